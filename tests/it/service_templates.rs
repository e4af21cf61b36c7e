//! Service templates: made before what rests on them, changed, and removed behind it.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, state};

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn template(name: &str, spec: &str) -> String {
    document("ServiceTemplate", name, spec)
}

/// The state of the tests with a category of two levels beside the default one.
fn demo() -> Value {
    let mut state = state();
    let categories = state["bk-cmdb"]["service_categories"].as_array_mut().expect("a list");
    for (id, name, parent) in [(3, "Web", 0), (4, "Nginx", 3), (5, "Data", 0), (6, "Nginx", 5), (7, "Redis", 5)] {
        let root = if parent == 0 { id } else { parent };
        categories.push(json!({"id": id, "name": name, "bk_biz_id": 0, "bk_parent_id": parent, "bk_root_id": root}));
    }
    state
}

fn site(state: &Value, documents: &[String]) -> Site {
    let site = Site::with(state, &[("one.yaml", &documents.concat())]);
    site.configure("safety: {maxDeletes: 10}\n");
    site
}

const NEW: &str = "ensure: present, business: demo, template: redis, fields: {category: [Data, Redis]}";

#[test]
fn a_business_is_made_from_its_templates_on() {
    let state = with_set_model(demo());
    let documents = [
        document("Module", "m", "ensure: present, business: demo, set: prod, module: redis, serviceTemplate: redis"),
        document(
            "ProcessTemplate",
            "p",
            "ensure: present, business: demo, serviceTemplate: redis, process: redis, properties: {bk_func_name: redis}",
        ),
        document("Set", "s", "ensure: present, business: demo, set: prod"),
        template("t", NEW),
    ];
    let site = site(&state, &documents);
    let online = site.run(&["validate", "--online"]);
    assert_eq!(online.code, Some(0), "{online}");
    assert_eq!(
        operations(&site.apply()),
        json!({"create_service_template": 1, "create_set": 1, "batch_create_proc_template": 1, "create_module": 1})
    );
    let made = site.row("/bk-cmdb/service_templates", "name", "redis");
    assert_eq!(made["service_category_id"], 7);
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_name", "redis")["service_template_id"], made["id"]);
    assert_eq!(site.row("/bk-cmdb/process_templates", "bk_process_name", "redis")["service_template_id"], made["id"]);
    site.assert_converged();
}

fn with_set_model(mut state: Value) -> Value {
    let cmdb = &mut state["bk-cmdb"];
    cmdb["objects"].as_array_mut().expect("a list").push(json!({"bk_obj_id": "set", "bk_obj_name": "Set"}));
    cmdb["attributes"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"bk_obj_id": "set", "bk_property_id": "bk_set_name",
        "bk_property_name": "name", "bk_property_type": "singlechar", "editable": true, "isrequired": true}));
    state
}

#[test]
fn name_and_category_change() {
    let check = |category: &str, id: i64| {
        let spec = format!("business: demo, template: nginx, fields: {{name: proxy, category: {category}}}");
        let site = site(&demo(), &[template("t", &spec)]);
        let writes = site.apply();
        assert_eq!(operations(&writes), json!({"update_service_template": 1}), "{category}");
        assert_eq!(
            bodies(&writes),
            json!([{"bk_biz_id": 3, "id": 51, "name": "proxy", "service_category_id": id}]),
            "{category}"
        );
        site.assert_converged();
    };
    check("[Web, Nginx]", 4);
    check("Redis", 7);
    check("6", 6);
    // A category that stays is not sent: it may have become a parent.
    let site = site(&demo(), &[template("t", "business: demo, template: 51, fields: {name: proxy, category: 2}")]);
    assert_eq!(bodies(&site.apply()), json!([{"bk_biz_id": 3, "id": 51, "name": "proxy"}]));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    let mut state = demo();
    let rows = state["bk-cmdb"]["service_templates"].as_array_mut().expect("a list");
    rows.push(json!({"id": 52, "name": "taken", "bk_biz_id": 3, "service_category_id": 2}));
    let check = |spec: &str, expected: &[&str]| {
        let site = site(&state, &[template("t", spec)]);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        expected.iter().for_each(|text| assert!(output.stderr.contains(text), "`{text}` is not told\n{output}"));
        assert!(site.writes().is_empty(), "{output}");
    };
    check("business: demo, template: nginx, fields: {category: Nginx}", &["P111", "several", "Web / Nginx (#4)"]);
    check("business: demo, template: nginx, fields: {category: Web}", &["P111", "there are: Nginx"]);
    check("business: demo, template: nginx, fields: {category: Rediss}", &["P111", "no service category Rediss"]);
    check("business: demo, template: 51, fields: {name: taken}", &["P130", "the name `taken`"]);
    check("business: demo, template: nginx, fields: {name: 'a b'}", &["M310", "white space"]);
    check("ensure: present, business: demo, template: new, fields: {}", &["M311", "category"]);
    check("ensure: present, business: demo, template: 9, fields: {category: Redis}", &["M306"]);
    check("business: demo, template: ngin, fields: {name: x}", &["P100", "did you mean `nginx`?"]);
}

#[test]
fn a_template_goes_behind_what_rests_on_it() {
    let mut state = demo();
    for module in state["bk-cmdb"]["modules"].as_array_mut().expect("a list") {
        module["service_template_id"] = json!(51);
    }
    let absent = template("t", "ensure: absent, business: demo, template: nginx");
    let rests = [
        document("Module", "w", "ensure: absent, business: demo, set: public, module: web"),
        document("Module", "c", "ensure: absent, business: demo, set: public, module: cache"),
        document("ProcessTemplate", "p", "ensure: absent, business: demo, serviceTemplate: nginx, process: nginx"),
    ];
    let refused = site(&state, std::slice::from_ref(&absent)).run(&["plan"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    for text in ["P141", "module `web` #31", "module `cache` #32", "process template `nginx` #50"] {
        assert!(refused.stderr.contains(text), "`{text}` is not told\n{refused}");
    }
    let site = site(&state, &[absent, rests.concat()]);
    let names: Vec<_> = site.apply().iter().map(|call| call.operation.clone()).collect();
    assert_eq!(names.last().map(String::as_str), Some("delete_service_template"), "{names:?}");
    assert_eq!(site.sandbox().state()["bk-cmdb"]["service_templates"], json!([]));
    site.assert_converged();
}

#[test]
fn a_lost_answer_makes_no_second_template() {
    let site = site(&demo(), &[template("t", NEW)]);
    site.faults(&json!([{"operation": "create_service_template", "nth": 1, "fault": "reset_after"}]));
    assert_eq!(operations(&site.apply()), json!({"create_service_template": 1}));
    site.assert_converged();
}

#[test]
fn a_snapshot_says_the_same() {
    let documents = [
        template("t", NEW),
        template("n", "business: demo, template: nginx, fields: {name: proxy, category: [Web, Nginx]}"),
        document(
            "ProcessTemplate",
            "p",
            "business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}",
        ),
    ];
    let site = site(&demo(), &documents);
    let live = site.run(&["plan"]);
    assert!(live.stdout.contains("Default / Default → Web / Nginx"), "{live}");
    assert_eq!(site.run(&["snapshot", "--out", "snap.json"]).code, Some(0));
    let kept = site.run(&["plan", "--against", "snap.json"]);
    let changes = |text: &str| text.split("Plan:").next().map(str::to_owned);
    assert_eq!(changes(&kept.stdout), changes(&live.stdout), "{kept}");
    let output = site.run(&["plan", "--out", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let applied = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    site.assert_converged();
}

#[test]
fn what_no_document_means_is_pruned() {
    let mut state = demo();
    let rows = state["bk-cmdb"]["service_templates"].as_array_mut().expect("a list");
    rows.push(json!({"id": 52, "name": "spare", "bk_biz_id": 3, "service_category_id": 2}));
    let site =
        Site::with(&state, &[("one.yaml", &template("n", "business: demo, template: nginx, fields: {name: nginx}"))]);
    site.configure("safety: {maxDeletes: 10}\nprune:\n  - {kind: ServiceTemplate, business: demo}\n");
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"delete_service_template": 1}));
}
