//! Attributes of modules that belong to one business, and those that a service template fixes.

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
    // A run that does not declare it does not ask for it.
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
    // A pull request may bring fields that nobody asked for before.
    let site = Site::with(&with_own_attribute(), &[("a.yaml", &of_demo("operator: alice"))]);
    seal(&site);
    site.write("a.yaml", &of_demo("operator: alice, tier: Silver"));
    let live = site.run(&["plan", "-o", "json"]);
    assert!(live.stdout.contains("Silver"), "{live}");
    unplug(&site);
    let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!(plan_of(&target_snapshot), plan_of(&live));
}

/// A state with a module of a service template that fixes who operates it.
fn with_fixed_attribute() -> Value {
    let mut state = with_own_attribute();
    list(&mut state, "modules").push(json!({"bk_module_id": 33, "bk_module_name": "nginx", "bk_set_id": 11,
        "bk_biz_id": 3, "service_template_id": 51, "service_category_id": 2, "operator": "amy", "bk_bak_operator": ""}));
    list(&mut state, "attributes").push(json!({"id": 900, "bk_obj_id": "module", "bk_property_id": "zone",
        "bk_property_name": "Zone", "bk_property_type": "singlechar", "editable": true}));
    state["bk-cmdb"]["service_template_attributes"] = json!([{"id": 1, "bk_biz_id": 3, "service_template_id": 51,
        "bk_attribute_id": 900, "bk_property_value": "north"}]);
    state
}

/// A module of the service template.
fn of_template(fields: &str) -> String {
    of_demo(fields).replace("module: web", "module: nginx")
}

/// Lets the target speak to the server itself, which alone lists what service templates fix.
pub(crate) fn go_direct(site: &Site) {
    let target =
        format!("{{platform: bk-cmdb, access: direct, endpoint: '{}', auth: {{username: admin}}}}", site.url());
    let file =
        format!("apiVersion: reconcile/v1\nkind: Config\nsafety: {{maxChanges: 100%}}\ntargets:\n  cmdb: {target}\n");
    site.write("reconcile.yaml", &file);
}

const FIXED: &str = "list_service_template_attribute";

#[test]
fn what_a_service_template_fixes_is_told_before_it_is_sent() {
    let check = |fields: &str, told: &[&str]| {
        let site = Site::with(&with_fixed_attribute(), &[("a.yaml", &of_template(fields))]);
        go_direct(&site);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert_eq!(site.writes().len(), 0, "{output}");
        assert_eq!(site.reads()[FIXED], 1, "{output}");
        for text in told {
            assert!(output.stderr.contains(text), "{output}");
        }
    };
    let told = "error[P119]: `zone` of demo/public #33 is fixed by its service template #51: only a sync changes it";
    check("zone: south", &[told, "a.yaml:8:18", "change it in the service template and sync the module"]);
    check("zone: south, operator: bob", &[told]);
    // The template's own value is refused too while the module lags behind.
    check("zone: north", &[told, "the service template has this value: sync the module"]);
}

#[test]
fn only_who_changes_an_attribute_asks_what_is_fixed() {
    let site = Site::with(&with_fixed_attribute(), &[("a.yaml", &of_template("operator: amy"))]);
    go_direct(&site);
    assert_eq!(site.run(&["plan", "--detailed-exitcode"]).code, Some(0));
    site.write("a.yaml", &of_demo("operator: bob"));
    assert_eq!(site.run(&["plan"]).code, Some(0));
    assert!(site.reads().get(FIXED).is_none(), "{}", site.reads());
    // Attributes that the template leaves free are written.
    site.write("a.yaml", &of_template("operator: bob"));
    site.apply();
    assert_eq!(site.reads()[FIXED], 1);
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 33)["operator"], "bob");
}

/// A change that is only reported is not sent, so the server's refusal does not matter.
#[test]
fn what_a_module_cannot_become_may_be_reported() {
    let check = |fields: &str, policy: &str, module: &str, reported: &str, writes: usize| {
        let manifest = of_demo(fields).replace("module: web", &format!("module: {module}\n  fieldPolicy: {policy}"));
        let mut state = with_fixed_attribute();
        list(&mut state, "modules").push(json!({"bk_module_id": 34, "bk_module_name": "idle", "bk_set_id": 11,
            "bk_biz_id": 3, "default": 1, "operator": "amy"}));
        let site = Site::with(&state, &[("a.yaml", &manifest)]);
        go_direct(&site);
        let plan = site.run(&["plan"]);
        assert!(plan.code == Some(0) && plan.stdout.contains(reported), "{plan}");
        let drift = site.run(&["drift"]);
        assert!(drift.code == Some(0) && drift.stdout.contains("only reported"), "{drift}");
        assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
        assert_eq!(site.writes().len(), writes);
    };
    check("zone: south, operator: bob", "{zone: report}", "nginx", "zone", 1);
    check("bk_module_name: other, operator: bob", "{bk_module_name: report}", "nginx", "bk_module_name", 1);
    check("operator: bob", "{operator: report}", "34", "operator", 0);
}

#[test]
fn a_new_module_has_the_values_of_its_template() {
    let new = |fields: &str| {
        of_template(fields).replace("set: public\n", "set: other\n  ensure: present\n  serviceTemplate: nginx\n")
    };
    let mut state = with_fixed_attribute();
    list(&mut state, "sets").push(json!({"bk_set_id": 13, "bk_set_name": "other", "bk_biz_id": 3, "bk_parent_id": 3}));
    let site = Site::with(&state, &[("a.yaml", &new("zone: south"))]);
    go_direct(&site);
    let output = site.run(&["plan"]);
    let told = "`zone` is fixed by service template #51: a new module gets \"north\", whatever is sent";
    assert!(output.code == Some(1) && output.stderr.contains(told), "{output}");
    site.write("a.yaml", &new("zone: north, operator: bob"));
    site.apply();
    assert_eq!(site.run(&["plan", "--detailed-exitcode"]).code, Some(0));
}

#[test]
fn a_server_that_does_not_tell_what_is_fixed_refuses_it() {
    let advice = "modify field zone forbidden; the module's service template fixes it: change it there and sync the \
        module, or leave it out of the manifest";
    let check = |prepare: &dyn Fn(&Site), reads: u64| {
        let site = Site::with(&with_fixed_attribute(), &[("a.yaml", &of_template("zone: south"))]);
        prepare(&site);
        let plan = site.run(&["plan"]);
        assert_eq!(plan.code, Some(0), "{plan}");
        assert_eq!(site.reads().get(FIXED).and_then(Value::as_u64).unwrap_or(0), reads, "{plan}");
        let output = site.run(&["apply", "-y"]);
        assert!(output.code != Some(0) && output.to_string().contains(advice), "{output}");
    };
    check(&|_| {}, 0);
    check(
        &|site| {
            let file = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
            site.write("reconcile.yaml", &file.replace("access: esb", "access: gateway"));
        },
        0,
    );
    check(
        &|site| {
            go_direct(site);
            site.faults(&json!([{"operation": FIXED, "fault": "code", "code": 9_900_403, "message": "no permission"}]));
        },
        1,
    );
}

/// A server that is too old to fix attributes has no such list; that is no error.
#[test]
fn an_older_server_fixes_nothing() {
    let mut state = with_fixed_attribute();
    state["bk-cmdb"]["version"] = json!("3.9");
    let site = Site::with(&state, &[("a.yaml", &of_template("zone: south"))]);
    go_direct(&site);
    site.apply();
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 33)["zone"], "south");
}

#[test]
fn a_snapshot_knows_what_is_fixed() {
    let site = Site::with(&with_fixed_attribute(), &[("a.yaml", &of_demo("operator: alice"))]);
    go_direct(&site);
    seal(&site);
    site.write("a.yaml", &of_template("zone: south"));
    let live = site.run(&["plan", "-o", "json"]);
    assert!(live.stdout.contains("P119"), "{live}");
    site.sandbox().clear_calls();
    let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!((plan_of(&target_snapshot), site.sandbox().calls().len()), (plan_of(&live), 0));
}
