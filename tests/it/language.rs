//! Names of what is built in, which the server translates into the language that it is asked in.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, state};

/// A site whose business has its built-in set and modules, stored as a server stores them.
fn site(set: &str, module: &str, fields: &str) -> Site {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    let mut add = |list: &str, row: Value| cmdb[list].as_array_mut().expect("a list").push(row);
    add(
        "attributes",
        json!({"bk_obj_id": "module", "bk_property_id": "bk_module_type", "bk_property_name": "Module type",
        "bk_property_type": "enum", "editable": true, "option": [{"id": "1", "name": "normal"}, {"id": "2", "name": "database"}]}),
    );
    add("sets", json!({"bk_set_id": 1, "bk_set_name": "空闲机池", "bk_biz_id": 3, "bk_parent_id": 3, "default": 1}));
    for (id, name, flag) in [(1, "空闲机", 1), (2, "故障机", 2), (3, "待回收", 3)] {
        add(
            "modules",
            json!({"bk_module_id": id, "bk_module_name": name, "bk_set_id": 1, "bk_biz_id": 3,
            "bk_module_type": "1", "default": flag, "service_template_id": 0}),
        );
    }
    let manifest = format!(
        "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: m}}\nspec:\n  business: demo\n  set: {set}\n  module: \
         {module}\n  fields: {{{fields}}}\n"
    );
    Site::with(&state, &[("one.yaml", &manifest)])
}

fn in_locale(site: &Site, locale: &str, arguments: &[&str]) -> Output {
    let mut command = site.command(arguments);
    command.env("LANG", locale);
    site.end(command, "")
}

#[test]
fn options_are_named_in_the_language_of_the_target() {
    let site = site("public", "web", "bk_module_type: 数据库");
    // The locale says it.
    let output = in_locale(&site, "zh_CN.UTF-8", &["plan"]);
    assert!(output.stdout.contains("bk_module_type   普通 → 数据库 (1 → 2)"), "{output}");
    let output = in_locale(&site, "en_US.UTF-8", &["plan"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output.stderr.contains("`bk_module_type` has no option `数据库`; it has 1 (normal), 2 (database)"),
        "{output}"
    );
    // The target wins over it, through each access.
    let configuration = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    for access in ["esb", "gateway", "direct"] {
        let through = configuration.replace("access: esb", &format!("access: {access}\n    language: zh-cn"));
        site.write("reconcile.yaml", &through);
        let output = in_locale(&site, "en_US.UTF-8", &["plan"]);
        assert!(output.stdout.contains("bk_module_type   普通 → 数据库 (1 → 2)"), "{access}: {output}");
    }
    let calls = site.apply();
    assert_eq!(bodies(&calls)[0]["bk_module_type"], "2");
    site.assert_converged();
    // The embedded sandbox speaks it too.
    site.write("reconcile.yaml", &configuration.replace("access: esb", "access: esb\n    language: fr"));
    let output = site.run(&["validate"]);
    assert!(output.stderr.contains("error[C004]: language has to be en or zh-cn"), "{output}");
}

#[test]
fn what_is_built_in_is_found_by_its_names_in_any_language() {
    let check = |set: &str, module: &str, found: &str| {
        let site = site(set, module, "operator: alice");
        for locale in ["en_US.UTF-8", "zh_CN.UTF-8", ""] {
            let output = in_locale(&site, locale, &["plan"]);
            // It is found: nobody may change it.
            assert_eq!(output.code, Some(1), "{output}");
            let message = format!("error[P107]: demo/{found} is a built-in module");
            assert!(output.stderr.contains(&message), "{locale} {set} {module}: {output}");
        }
        site.run(&["snapshot", "--out", "state.json"]);
        let output = site.run(&["plan", "--against", "state.json"]);
        assert!(output.stderr.contains("error[P107]"), "{output}");
    };
    check("idle pool", "idle host", "idle pool #1");
    check("空闲机池", "空闲机", "空闲机池 #1");
    check("空闲机池", "fault host", "空闲机池 #2");
    check("idle pool", "待回收", "idle pool #3");
    // A module of that name that is not built in takes precedence.
    let site = site("public", "空闲机", "operator: alice");
    site.edit(
        "update_module",
        &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"bk_module_name": "空闲机"}}),
    );
    for locale in ["en_US.UTF-8", "zh_CN.UTF-8"] {
        let output = in_locale(&site, locale, &["plan"]);
        assert!(output.stdout.contains("~ Module m  (cmdb, demo/public #31)"), "{output}");
    }
}
