//! Values that service templates fix for attributes of their modules.

use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, operations},
    module_attributes::go_direct,
    rollout::{ROLLOUT, process, shop},
    snapshot::{FILE, seal},
    snapshot_property::plan_of,
    undo::{apply_undo, undo},
};

/// The id of the attribute of modules that templates fix here.
const ZONE: i64 = 900;
/// The same of one that only one business has.
const TIER: i64 = 901;

/// A business with a template of four modules, one of which has the value `north` already.
fn zoned(fixed: &[(i64, Value)]) -> Value {
    let mut state = shop();
    let cmdb = &mut state["bk-cmdb"];
    let attributes = cmdb["attributes"].as_array_mut().expect("a list");
    attributes.push(json!({"id": ZONE, "bk_obj_id": "module", "bk_property_id": "zone", "bk_property_name": "Zone",
        "bk_property_type": "singlechar", "editable": true}));
    attributes.push(json!({"id": TIER, "bk_obj_id": "module", "bk_property_id": "tier", "bk_property_name": "Tier",
        "bk_property_type": "enum", "editable": true, "bk_biz_id": 3,
        "option": [{"id": "g", "name": "Gold", "type": "text"}, {"id": "s", "name": "Silver", "type": "text"}]}));
    attributes.push(json!({"id": 902, "bk_obj_id": "module", "bk_property_id": "seal", "bk_property_name": "Seal",
        "bk_property_type": "singlechar", "editable": false}));
    for module in cmdb["modules"].as_array_mut().expect("a list") {
        module["zone"] = if module["bk_module_id"] == 33 { json!("north") } else { json!("") };
        module["tier"] = Value::Null;
    }
    let row = |(at, (attribute, value)): (usize, &(i64, Value))| {
        json!({"id": at + 1, "bk_biz_id": 3, "service_template_id": 51, "bk_attribute_id": attribute,
            "bk_property_value": value})
    };
    cmdb["service_template_attributes"] = fixed.iter().enumerate().map(row).collect();
    state
}

fn template(spec: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {{name: t}}\nspec:\n  business: demo\n  template: \
         nginx\n{spec}---\n"
    )
}

fn site(fixed: &[(i64, Value)], documents: &str) -> Site {
    let site = Site::with(&zoned(fixed), &[("one.yaml", documents)]);
    site.sandbox().set_option("task_delay", &json!(50)).expect("an option");
    go_direct(&site);
    site
}

/// The fixed values of a template, by the ids of their attributes.
fn fixed(site: &Site, template: i64) -> Value {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["service_template_attributes"].as_array().cloned().unwrap_or_default();
    let own = rows.iter().filter(|row| row["service_template_id"] == template);
    own.map(|row| (row["bk_attribute_id"].to_string(), row["bk_property_value"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The process templates of a state without their ids and times.
fn processes(site: &Site) -> Value {
    site.sandbox().state()["bk-cmdb"]["process_templates"].clone()
}

#[test]
fn each_difference_is_one_call() {
    let north = [(ZONE, json!("north")), (TIER, json!("g"))];
    let check = |before: &[(i64, Value)], spec: &str, operation: &str, expected: Value| {
        let site = site(before, &template(spec));
        let known = processes(&site);
        let writes = site.apply();
        assert_eq!(operations(&writes), json!({operation: 1}), "{spec}");
        assert_eq!(fixed(&site, 51), expected, "{spec}");
        // A call with all of a template leaves what it has beside: no process template is touched.
        assert_eq!(processes(&site), known, "{spec}");
        site.assert_converged();
    };
    let whole = "update_service_template_all_info";
    check(&[], "  moduleFields: {zone: north}\n", whole, json!({"900": "north"}));
    check(&[], "  moduleFields: {zone: north, tier: Gold}\n", whole, json!({"900": "north", "901": "g"}));
    let set = "update_service_template_attribute";
    check(&north, "  moduleFields: {zone: south}\n", set, json!({"900": "south", "901": "g"}));
    check(&north, "  moduleFields: {zone: south, tier: Silver}\n", set, json!({"900": "south", "901": "s"}));
    let free = "delete_service_template_attribute";
    check(&north, "  moduleFields: {zone: null}\n", free, json!({"901": "g"}));
    check(&north, "  moduleFields: {zone: null, tier: null}\n", free, json!({}));
    // Several sorts of changes are one call too: it is made whole or not at all.
    check(&north, "  moduleFields: {zone: south, tier: null}\n", whole, json!({"900": "south"}));
    check(
        &north,
        "  fields: {name: proxy}\n  moduleFields: {zone: south}\n",
        whole,
        json!({"900": "south", "901": "g"}),
    );
    check(&north[..1], "  moduleFields: {tier: Gold}\n", whole, json!({"900": "north", "901": "g"}));
}

#[test]
fn what_is_as_declared_costs_no_call() {
    let check = |before: &[(i64, Value)], spec: &str| {
        let site = site(before, &template(spec));
        site.assert_converged();
        assert_eq!(site.writes().len(), 0, "{spec}");
    };
    check(&[(ZONE, json!("north")), (TIER, json!("g"))], "  moduleFields: {zone: north}\n");
    check(&[(TIER, json!("g"))], "  moduleFields: {zone: null}\n");
    // What nobody declares is nobody's business.
    check(&[(TIER, json!("g"))], "  fields: {name: nginx}\n");
}

#[test]
fn a_new_template_comes_with_its_values() {
    let documents = "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: t}\nspec:\n  ensure: present\n  \
        business: demo\n  template: redis\n  fields: {category: 2}\n  moduleFields: {zone: south, tier: Gold}\n---\n\
        apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: m}\nspec:\n  ensure: present\n  business: demo\n  set: \
        public\n  module: redis\n  serviceTemplate: redis\n  fields: {operator: amy}\n---\n";
    let site = site(&[], documents);
    let online = site.run(&["validate", "--online"]);
    assert_eq!(online.code, Some(0), "{online}");
    assert_eq!(operations(&site.apply()), json!({"create_service_template_all_info": 1, "create_module": 1}));
    let module = site.row("/bk-cmdb/modules", "bk_module_name", "redis");
    assert_eq!((&module["zone"], &module["tier"]), (&json!("south"), &json!("g")));
    site.assert_converged();
    // Without a value there is nothing to send.
    let free = documents.replace("redis", "memcached").replace("zone: south, tier: Gold", "zone: null");
    site.write("one.yaml", &free);
    site.sandbox().clear_calls();
    assert_eq!(operations(&site.apply()), json!({"create_service_template": 1, "create_module": 1}));
}

/// Values of attributes do not ask if a module has hosts, and a module that has the value already needs no sync.
#[test]
fn a_changed_value_is_rolled_out_to_the_modules_that_differ() {
    let documents = template(&format!("  moduleFields: {{zone: north}}\n  rollout: {{{ROLLOUT}}}\n"));
    let site = site(&[], &documents);
    let plan = site.run(&["plan"]);
    assert!(plan.stdout.contains("3 to sync") && !plan.stdout.contains("public/nginx"), "{plan}");
    let explained = site.run(&["explain", "one.yaml:7"]);
    assert!(explained.code == Some(0) && explained.stdout.contains("moduleFields.zone"), "{explained}");
    let calls = operations(&site.apply());
    assert_eq!(calls, json!({"update_service_template_all_info": 1, "sync_service_template_to_service_instance": 3}));
    for id in 31..=34 {
        assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", id)["zone"], "north");
    }
    site.assert_converged();
    // A free attribute puts nobody out of sync.
    site.write("one.yaml", &documents.replace("zone: north", "zone: null"));
    site.sandbox().clear_calls();
    assert_eq!(operations(&site.apply()), json!({"delete_service_template_attribute": 1}));
}

#[test]
fn without_a_rollout_the_modules_that_differ_are_left_to_people() {
    let site = site(&[], &template("  moduleFields: {zone: north}\n"));
    let told = "sync the modules of the service template: nginx (#31), nginx (#32), nginx (#34)";
    let plan = site.run(&["plan"]);
    assert!(plan.stdout.contains(told) && !plan.stdout.contains("#33"), "{plan}");
    let applied = site.run(&["apply", "-y"]);
    assert!(applied.code == Some(0) && applied.stdout.contains(told), "{applied}");
}

/// A call with all of a template would take process templates back to what was read of them, and remove new ones.
#[test]
fn process_templates_change_behind_the_template() {
    let new = "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: new}\nspec: {ensure: present, business: \
        demo, serviceTemplate: nginx, process: sidecar, properties: {bk_func_name: sidecar}}\n---\n";
    let documents = format!("{}{new}{}", process("proc_num: 9"), template("  moduleFields: {zone: north}\n"));
    let site = site(&[], &documents);
    let order: Vec<String> = site.apply().into_iter().map(|call| call.operation).collect();
    assert_eq!(order[0], "update_service_template_all_info", "{order:?}");
    assert_eq!(order.len(), 3, "{order:?}");
    site.assert_converged();
    let gone = new.replace("ensure: present", "ensure: absent");
    site.write("one.yaml", &format!("{gone}{}", template("  moduleFields: {zone: north, tier: Gold}\n")));
    site.sandbox().clear_calls();
    let order: Vec<String> = site.apply().into_iter().map(|call| call.operation).collect();
    assert_eq!(order, ["update_service_template_all_info", "delete_proc_template"]);
    site.assert_converged();
}

#[test]
fn a_saved_plan_is_stale_once_a_process_template_has_changed() {
    let site = site(&[], &template("  moduleFields: {zone: north}\n"));
    let saved = site.run(&["plan", "--out", "p.plan"]);
    assert_eq!(saved.code, Some(0), "{saved}");
    let value = json!({"value": 7, "as_default_value": true});
    let body = json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {"proc_num": value}});
    site.edit("update_proc_template", &body);
    site.sandbox().clear_calls();
    let applied = site.run(&["apply", "p.plan", "-y"]);
    assert!(applied.code != Some(0) && applied.all().contains("stale"), "{applied}");
    assert_eq!(site.writes().len(), 0, "{applied}");
}

#[test]
fn what_cannot_be_is_told_before_anything_is_sent() {
    let check = |spec: &str, expected: &[&str]| {
        let site = site(&[], &template(spec));
        for arguments in [["apply", "-y"], ["validate", "--online"]] {
            let output = site.run(&arguments);
            assert_eq!(output.code, Some(1), "{output}");
            expected.iter().for_each(|text| assert!(output.stderr.contains(text), "`{text}` is not told\n{output}"));
        }
        assert!(site.writes().is_empty());
    };
    check("  moduleFields: {zoen: north}\n", &["P103", "did you mean `zone`?", "one.yaml:7:18"]);
    check("  moduleFields: {tier: Bronze}\n", &["P104", "`tier` has no option `Bronze`"]);
    check("  moduleFields: {seal: x}\n", &["P104", "no service template can fix it"]);
    check("  moduleFields: {seal: null}\n", &["P104", "no service template can fix it"]);
    check("  moduleFields: {bk_module_name: x}\n", &["M304", "modules have the name of their template"]);
    check("  moduleFields: [zone]\n", &["`moduleFields` has to be a mapping"]);
}

#[test]
fn neither_the_esb_nor_the_gateway_nor_an_old_server_can() {
    let new = "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: n}\nspec: {ensure: present, business: \
        demo, template: redis, fields: {category: 2}, moduleFields: {zone: south}}\n---\n";
    let check = |access: &str, version: &str, expected: &[&str]| {
        for document in [&template("  moduleFields: {zone: north}\n"), new] {
            let mut state = zoned(&[]);
            state["bk-cmdb"]["version"] = json!(version);
            let site = Site::with(&state, &[("one.yaml", document)]);
            if access == "direct" {
                go_direct(&site);
            } else {
                let file = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
                site.write("reconcile.yaml", &file.replace("access: esb", &format!("access: {access}")));
            }
            let output = site.run(&["plan"]);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains("error[P127]: `moduleFields` cannot be managed here"), "{output}");
            expected.iter().for_each(|text| assert!(output.stderr.contains(text), "`{text}` is not told\n{output}"));
        }
    };
    check("esb", "3.14", &["`access: esb` shows no attributes of service templates", "they need `access: direct`"]);
    check("gateway", "3.14", &["`access: gateway` shows no attributes"]);
    check("direct", "3.9", &["this server has no attributes of service templates", "3.10.18"]);
}

#[test]
fn documents_that_fix_and_set_the_same_attribute_are_told_apart() {
    let module = |fields: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: m}}\nspec: {{business: demo, set: public, module: \
             nginx, fields: {{{fields}}}}}\n---\n"
        )
    };
    let check = |before: &[(i64, Value)], fixes: &str, fields: &str, expected: Option<&str>| {
        let spec = format!("  moduleFields: {{{fixes}}}\n");
        let site = site(before, &format!("{}{}", module(fields), template(&spec)));
        let output = site.run(&["apply", "-y"]);
        if let Some(text) = expected {
            assert!(output.code != Some(0) && output.stderr.contains(text), "{output}");
        } else {
            assert_eq!(output.code, Some(0), "{output}");
            site.assert_converged();
        }
    };
    let clash = "error[P119]: `zone` is fixed by ServiceTemplate/t for all modules of its service template";
    check(&[], "zone: south", "zone: west", Some(clash));
    check(&[], "zone: south", "zone: south", Some(clash));
    check(&[], "zone: south", "zone: north", Some(clash));
    // The module has the value, so nothing is sent.
    check(&[], "zone: north", "zone: north", None);
    // The module is written once the attribute is free.
    check(&[(ZONE, json!("north"))], "zone: null", "zone: west", None);
}

#[test]
fn undo_puts_back_what_was_fixed() {
    let check = |before: &[(i64, Value)], spec: &str, expected: Value| {
        let site = site(before, &template(spec));
        site.apply();
        let planned = undo(&site);
        let undone = apply_undo(&site, &planned);
        assert_eq!(undone.code, Some(0), "{undone}");
        assert_eq!(fixed(&site, 51), expected, "{spec}\n{undone}");
    };
    check(&[(ZONE, json!("north"))], "  moduleFields: {zone: south}\n", json!({"900": "north"}));
    check(&[(TIER, json!("g"))], "  moduleFields: {zone: south}\n", json!({"901": "g"}));
    check(&[(TIER, json!("g"))], "  moduleFields: {tier: null}\n", json!({"901": "g"}));
    check(&[], "  moduleFields: {tier: Silver}\n  fields: {name: proxy}\n", json!({}));
}

#[test]
fn drift_and_policies_go_by_the_field() {
    let site = site(&[(ZONE, json!("north")), (TIER, json!("g"))], &template("  moduleFields: {zone: north}\n"));
    let body =
        json!({"bk_biz_id": 3, "id": 51, "attributes": [{"bk_attribute_id": ZONE, "bk_property_value": "west"}]});
    site.edit("update_service_template_attribute", &body);
    let drift = site.run(&["drift"]);
    assert!(drift.stdout.contains("moduleFields.zone") && drift.stdout.contains("\"west\""), "{drift}");
    site.write("one.yaml", &template("  fieldPolicy: {moduleFields: report}\n  moduleFields: {zone: north}\n"));
    site.sandbox().clear_calls();
    let applied = site.run(&["apply", "-y"]);
    assert!(applied.code == Some(0) && site.writes().is_empty(), "{applied}");
}

#[test]
fn a_snapshot_knows_fixed_values() {
    let documents = template(&format!("  moduleFields: {{zone: north, tier: Gold}}\n  rollout: {{{ROLLOUT}}}\n"));
    let site = site(&[(TIER, json!("s"))], &template("  fields: {name: nginx}\n"));
    seal(&site);
    for document in [&documents, &template("  moduleFields: {zone: north}\n")] {
        site.write("one.yaml", document);
        let live = site.run(&["plan", "-o", "json"]);
        assert!(live.stdout.contains("moduleFields.zone"), "{live}");
        site.sandbox().clear_calls();
        let against = site.run(&["plan", "-o", "json", "--against", FILE]);
        // Roll-outs ask servers alone which modules differ.
        if *document != documents {
            assert_eq!(plan_of(&against), plan_of(&live));
        }
        assert_eq!(site.sandbox().calls().len(), 0);
    }
}

/// A template that cannot be made again for want of its attributes is worse than one that is left: the call is looked up.
#[test]
fn a_lost_answer_is_looked_up() {
    let check = |before: &[(i64, Value)], operation: &str| {
        let site = site(before, &template("  moduleFields: {zone: north}\n"));
        site.faults(&json!([{"operation": operation, "nth": 1, "fault": "reset_after"}]));
        let applied = site.run(&["apply", "-y"]);
        assert_eq!(applied.code, Some(0), "{applied}");
        assert_eq!(operations(&site.writes()), json!({operation: 1}), "{}", bodies(&site.writes()));
        assert_eq!(fixed(&site, 51), json!({"900": "north"}));
    };
    check(&[], "update_service_template_all_info");
    check(&[(ZONE, json!("x"))], "update_service_template_attribute");
}
