//! The fixed part of every server: attributes of built-in models, the default service category.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{call::Language, row::Row, world::INNER};

/// Id, type, required, editable.
type Known = (&'static str, &'static str, bool, bool);

const TIMES: [Known; 4] = [
    ("bk_created_at", "time", false, false),
    ("bk_created_by", "objuser", false, false),
    ("bk_updated_at", "time", false, false),
    ("bk_updated_by", "objuser", false, false),
];

const COMMON: [Known; 5] = [("bk_inst_name", "singlechar", true, true), TIMES[0], TIMES[1], TIMES[2], TIMES[3]];

const MODULE: [Known; 8] = [
    ("bk_module_name", "singlechar", true, true),
    ("bk_module_type", "enum", false, true),
    ("operator", "objuser", false, true),
    ("bk_bak_operator", "objuser", false, true),
    TIMES[0],
    TIMES[1],
    TIMES[2],
    TIMES[3],
];

const SET: [Known; 10] = [
    ("bk_set_name", "singlechar", true, true),
    ("bk_set_desc", "singlechar", false, true),
    ("bk_set_env", "enum", false, true),
    ("bk_service_status", "enum", false, true),
    ("description", "longchar", false, true),
    ("bk_capacity", "int", false, true),
    TIMES[0],
    TIMES[1],
    TIMES[2],
    TIMES[3],
];

const BUSINESS: [Known; 13] = [
    ("bk_biz_name", "singlechar", true, true),
    ("life_cycle", "enum", false, true),
    ("bk_biz_maintainer", "objuser", true, true),
    ("bk_biz_productor", "objuser", false, true),
    ("bk_biz_tester", "objuser", false, true),
    ("bk_biz_developer", "objuser", false, true),
    ("operator", "objuser", false, true),
    ("time_zone", "timezone", true, false),
    ("language", "enum", true, true),
    TIMES[0],
    TIMES[1],
    TIMES[2],
    TIMES[3],
];

/// Those of hosts that no options belong to.
const HOST: [Known; 26] = [
    ("bk_host_innerip", "singlechar", false, false),
    ("bk_host_outerip", "singlechar", false, true),
    ("bk_host_innerip_v6", "singlechar", false, false),
    ("bk_host_outerip_v6", "singlechar", false, true),
    ("bk_cloud_id", "foreignkey", false, false),
    ("bk_agent_id", "singlechar", false, false),
    ("bk_asset_id", "singlechar", false, false),
    ("operator", "objuser", false, true),
    ("bk_bak_operator", "objuser", false, true),
    ("bk_sn", "singlechar", false, true),
    ("bk_comment", "longchar", false, true),
    ("bk_service_term", "int", false, false),
    ("bk_host_name", "singlechar", false, true),
    ("bk_os_name", "singlechar", false, true),
    ("bk_os_version", "singlechar", false, true),
    ("bk_os_bit", "singlechar", false, true),
    ("bk_cpu", "int", false, true),
    ("bk_cpu_module", "singlechar", false, true),
    ("bk_mem", "int", false, true),
    ("bk_disk", "int", false, true),
    ("bk_mac", "singlechar", false, true),
    ("bk_outer_mac", "singlechar", false, true),
    TIMES[0],
    TIMES[1],
    TIMES[2],
    TIMES[3],
];

/// The attributes that a model has in any case.
pub(super) fn attributes(model: &str) -> &'static [Known] {
    match model {
        "module" => &MODULE,
        "set" => &SET,
        "biz" => &BUSINESS,
        "host" => &HOST,
        _ if INNER.contains(&model) => &[],
        _ => &COMMON,
    }
}

/// The option of such an attribute.
pub(super) fn option(model: &str, id: &str) -> Value {
    let options = |names: &[(&str, &str)], default: &str| {
        let of =
            |(id, name): &(&str, &str)| json!({"id": id, "name": name, "type": "text", "is_default": *id == default});
        Value::Array(names.iter().map(of).collect())
    };
    match (model, id) {
        ("module", "bk_module_type") => options(&[("1", "normal"), ("2", "database")], "1"),
        ("set", "bk_set_env") => options(&[("1", "testing"), ("2", "experience"), ("3", "formal")], "3"),
        ("set", "bk_service_status") => options(&[("1", "opened"), ("2", "closed")], "1"),
        ("set", "bk_capacity") => json!({"min": "1", "max": "999999999"}),
        ("biz", "life_cycle") => options(&[("1", "testing"), ("2", "online"), ("3", "stopped")], "2"),
        ("biz", "language") => options(&[("1", "Chinese"), ("2", "English")], "1"),
        _ => json!(""),
    }
}

/// The display name of an attribute that every model has.
pub(super) fn display_name(id: &str) -> Option<&'static str> {
    Some(match id {
        "bk_inst_name" => "Instance Name",
        "bk_created_at" => "Created At",
        "bk_created_by" => "Created By",
        "bk_updated_at" => "Updated At",
        "bk_updated_by" => "Updated By",
        _ => return None,
    })
}

/// The name of a built-in set or module in a language; `None` for one that was given a name of its own.
pub(super) fn name(cell: &str, row: &Row, language: Language) -> Option<&'static str> {
    let (english, chinese) = match (cell, row.int("default")) {
        ("bk_set_name", 1) => ("idle pool", "空闲机池"),
        ("bk_module_name", 1) => ("idle host", "空闲机"),
        ("bk_module_name", 2) => ("fault host", "故障机"),
        ("bk_module_name", 3) => ("recycle host", "待回收"),
        _ => return None,
    };
    let shown = if language == Language::Chinese { chinese } else { english };
    [english, chinese].contains(&row.text(cell)).then_some(shown)
}

/// Returns the row of an attribute in a language: names of the built-in ones, and of their options, are translated.
pub(super) fn translated(row: &Arc<Row>, language: Language) -> Arc<Row> {
    let (model, id) = (row.text("bk_obj_id"), row.text("bk_property_id"));
    let (name, options): (_, &[&str]) = match (model, id) {
        _ if language == Language::English => return row.clone(),
        ("module", "bk_module_type") => ("模块类型", &["普通", "数据库"]),
        ("module", "bk_module_name") => ("模块名", &[]),
        ("module", "operator") => ("主要维护人", &[]),
        ("module", "bk_bak_operator") => ("备份维护人", &[]),
        ("set", "bk_set_name") => ("集群名", &[]),
        ("set", "bk_set_env") => ("环境类型", &["测试", "体验", "正式"]),
        ("set", "bk_service_status") => ("服务状态", &["开放", "关闭"]),
        _ => return row.clone(),
    };
    let mut translated = (**row).clone();
    translated.set("bk_property_name", name);
    let mut option = row.get("option").cloned().unwrap_or(Value::Null);
    for (option, name) in option.as_array_mut().into_iter().flatten().zip(options) {
        option["name"] = json!(name);
    }
    translated.set("option", option);
    Arc::new(translated)
}

/// Attributes that `search_object_attribute` never shows but that an update may write.
pub(super) fn hidden(model: &str) -> Vec<Row> {
    let row = |id: &str, kind: &str| {
        Row::of([
            ("bk_obj_id", model.into()),
            ("bk_property_id", id.into()),
            ("bk_property_name", id.into()),
            ("bk_property_type", kind.into()),
            ("editable", true.into()),
        ])
    };
    match model {
        "set" => vec![row("set_template_version", "int")],
        "module" => vec![row("service_category_id", "int"), row("host_apply_enabled", "bool")],
        _ => Vec::new(),
    }
}

/// The default service category below its root.
pub(super) fn categories() -> Vec<Row> {
    let row = |id: i64, parent: i64| {
        Row::of([
            ("bk_biz_id", 0.into()),
            ("id", id.into()),
            ("name", "Default".into()),
            ("bk_root_id", 1.into()),
            ("bk_parent_id", parent.into()),
            ("bk_supplier_account", "0".into()),
            ("is_built_in", true.into()),
        ])
    };
    vec![row(1, 0), row(2, 1)]
}
