//! Attributes of modules that belong to one business.

use serde_json::{Value, json};

use crate::{
    harness::{Site, operations, state},
    snapshot::{FILE, seal, unplug},
    snapshot_property::plan_of,
};

fn list<'s>(state: &'s mut Value, name: &str) -> &'s mut Vec<Value> {
    state["bk-cmdb"][name].as_array_mut().expect("the state has such a list")
}

/// A state in which one business has an attribute of its own and another one has none.
fn with_own_attribute() -> Value {
    let mut state = state();
    let options = json!([{"id": "g", "name": "Gold", "type": "text"}, {"id": "s", "name": "Silver", "type": "text"}]);
    list(&mut state, "attributes").push(json!({"bk_obj_id": "module", "bk_property_id": "tier",
        "bk_property_name": "Tier", "bk_property_type": "enum", "editable": true, "option": options, "bk_biz_id": 3}));
    state
}

/// A module of the business `demo`.
fn of_demo(fields: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: web}}\nspec:\n  business: demo\n  set: public\n  \
            module: web\n  fields: {{{fields}}}\n---\n"
    )
}

#[test]
fn an_attribute_of_one_business_is_as_good_as_any() {
    let site = Site::with(&with_own_attribute(), &[("a.yaml", &of_demo("tier: Gold, operator: alice"))]);
    let valid = site.run(&["validate", "--online"]);
    assert_eq!(valid.code, Some(0), "{valid}");
    site.sandbox().clear_calls();
    site.apply();
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 31)["tier"], "g");
    // The model, and once what the business has of its own.
    assert_eq!(site.reads()["search_object_attribute"], 2);
    // Who does not declare it does not ask for it.
    site.sandbox().clear_calls();
    site.write("a.yaml", &of_demo("operator: bob"));
    assert_eq!(site.run(&["plan"]).code, Some(0));
    assert_eq!(site.reads()["search_object_attribute"], 1);
    // Options are told by their names, in `drift` too.
    site.edit("update_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"tier": "s"}}));
    site.write("a.yaml", &of_demo("tier: Gold"));
    let plan = site.run(&["plan"]);
    assert!(plan.stdout.contains("Silver") && plan.stdout.contains("Gold"), "{plan}");
    site.write("a.yaml", &of_demo("tier: null"));
    let drift = site.run(&["drift"]);
    assert!(drift.stdout.contains("by zoe, before") && drift.stdout.contains("Gold"), "{drift}");
}

#[test]
fn a_new_module_has_it_too() {
    let new = of_demo("tier: Silver").replace("module: web", "module: fresh\n  ensure: present");
    let site = Site::with(&with_own_attribute(), &[("a.yaml", &new)]);
    site.apply();
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_name", "fresh")["tier"], "s");
    let again = site.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(again.code, Some(0), "{again}");
}

#[test]
fn what_is_wrong_with_it_is_told() {
    let state = with_own_attribute();
    let check = |fields: &str, told: &str| {
        let site = Site::with(&state, &[("a.yaml", &of_demo(fields))]);
        for arguments in [["plan"].as_slice(), &["validate", "--online"]] {
            let output = site.run(arguments);
            assert!(output.code == Some(1) && output.stderr.contains(told), "{output}");
        }
    };
    check("tier: Bronze", "error[P104]: `tier` has no option `Bronze`; it has g (Gold), s (Silver)");
    check("teir: Gold", "did you mean `tier`?");
    check("Tier: Gold", "`Tier` is the display name of `tier`");
    // Another business does not have it.
    let mut other = state.clone();
    list(&mut other, "businesses").push(json!({"bk_biz_id": 4, "bk_biz_name": "shop"}));
    let site = Site::with(&other, &[("a.yaml", &of_demo("tier: Gold").replace("demo", "shop"))]);
    let output = site.run(&["validate", "--online"]);
    assert!(output.code == Some(1) && output.stderr.contains("the model has no attribute `tier`"), "{output}");
    // Of a business that does not exist nobody knows what it has.
    let site = Site::with(&state, &[("a.yaml", &of_demo("tier: Gold, operatr: bob").replace("demo", "dem"))]);
    let output = site.run(&["validate", "--online"]);
    assert!(output.stderr.contains("P101") && !output.stderr.contains("P103"), "{output}");
}

#[test]
fn a_definition_that_cannot_be_read_leaves_open_who_needs_it() {
    let other = of_demo("operator: alice").replace("name: web", "name: other");
    let other = other.replace("module: web", "module: more\n  ensure: present");
    let site = Site::with(&with_own_attribute(), &[("a.yaml", &(of_demo("tier: Gold") + &other))]);
    let refused = json!({"operation": "search_object_attribute", "nth": 2, "fault": "code", "code": 9_900_403,
        "message": "no permission"});
    site.faults(&json!([refused]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.to_string().contains("no permission"), "{output}");
    assert_eq!(operations(&site.writes()), json!({"create_module": 1}));
    site.faults(&json!([refused]));
    let output = site.run(&["validate", "--online"]);
    assert!(output.code != Some(0) && !output.stderr.contains("P103"), "{output}");
}

#[test]
fn a_snapshot_knows_it() {
    // What a pull request brings need not have been asked for before.
    let site = Site::with(&with_own_attribute(), &[("a.yaml", &of_demo("operator: alice"))]);
    seal(&site);
    site.write("a.yaml", &of_demo("operator: alice, tier: Silver"));
    let live = site.run(&["plan", "-o", "json"]);
    assert!(live.stdout.contains("Silver"), "{live}");
    unplug(&site);
    let sealed = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!(plan_of(&sealed), plan_of(&live));
}
