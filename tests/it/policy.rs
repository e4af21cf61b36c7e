//! `policy` and `fieldPolicy`: what is sent, what is only shown, what is not looked at.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, state};

/// A document of a kind of BlueKing CMDB.
fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn app(name: &str, spec: &str) -> String {
    format!("apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

/// Returns the changes and the reported changes of a plan: the paths of fields, or the action where there are no
/// fields.
fn seen(site: &Site) -> (Value, Value) {
    let output = site.run(&["plan", "-o", "json"]);
    assert!(output.stderr.is_empty(), "{output}");
    let document = output.json();
    let build = |change: &Value| {
        let paths: Vec<_> = change["fields"].as_array().expect("a list").iter().map(|field| &field["path"]).collect();
        let what = if change["action"] == "update" { json!(paths) } else { change["action"].clone() };
        json!([change["address"], what])
    };
    let list = |key: &str| document[key].as_array().expect("a list").iter().map(build).collect::<Value>();
    assert_eq!(document["summary"]["reported"], json!(list("reported").as_array().expect("a list").len()));
    (list("changes"), list("reported"))
}

/// Checks what a manifest changes and what it reports, that an apply sends exactly that, and that nothing is left.
fn check(manifest: &str, changed: &Value, reported: &Value, sent: &Value) -> Site {
    let site = Site::with(&state(), &[("a.yaml", manifest)]);
    assert_eq!(seen(&site), (changed.clone(), reported.clone()), "{manifest}");
    let is_nothing = changed.as_array().is_some_and(Vec::is_empty);
    assert_eq!(site.plan().code, Some(if is_nothing { 0 } else { 2 }), "{manifest}");
    assert_eq!(operations(&site.apply()), *sent, "{manifest}");
    site.assert_converged();
    assert_eq!(seen(&site), (json!([]), reported.clone()), "{manifest}");
    site
}

const SW: &str = "model: bk_switch, match: {bk_inst_name: sw-1}, fields: {operator: bob, ports: 48}";

#[test]
fn of_an_instance() {
    let id = "Instance/a";
    let check = |policy: &str, changed: &Value, reported: &Value| {
        let both = |row: &Value| if row.is_null() { json!([]) } else { json!([[id, row]]) };
        let sent = if changed.is_null() { json!({}) } else { json!({"update_inst": 1}) };
        check(&document("Instance", "a", &format!("{SW}{policy}")), &both(changed), &both(reported), &sent)
    };
    let none = Value::Null;
    check("", &json!(["operator", "ports"]), &none);
    check(", policy: enforce", &json!(["operator", "ports"]), &none);
    check(", policy: report", &none, &json!(["operator", "ports"]));
    check(", policy: ignore", &none, &none);
    check(", fieldPolicy: {operator: ignore}", &json!(["ports"]), &none);
    let site = check(", fieldPolicy: {operator: report}", &json!(["ports"]), &json!(["operator"]));
    let row = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1);
    assert_eq!((&row["operator"], &row["ports"]), (&json!("alice"), &json!(48)));
    check(", fieldPolicy: {operator: report, ports: ignore}", &none, &json!(["operator"]));
    check(", policy: report, fieldPolicy: {operator: enforce}", &json!(["operator"]), &json!(["ports"]));
    check(", policy: ignore, fieldPolicy: {operator: enforce}", &json!(["operator"]), &none);
    check(", policy: ignore, fieldPolicy: {operator: report}", &none, &json!(["operator"]));
}

#[test]
fn what_is_made_gets_all_its_fields() {
    let new = "ensure: present, model: bk_switch, match: {bk_inst_name: new}, fields: {operator: bob, ports: 48}";
    let made = json!([["Instance/a", "create"]]);
    let build = |policy: &str| document("Instance", "a", &format!("{new}, {policy}"));
    for policy in ["fieldPolicy: {operator: ignore}", "fieldPolicy: {operator: report}"] {
        let site = check(&build(policy), &made, &json!([]), &json!({"create_inst": 1}));
        let row = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "new");
        assert_eq!((&row["operator"], &row["ports"]), (&json!("bob"), &json!(48)), "{policy}");
        // From here on somebody else may change it.
        let body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": row["bk_inst_id"], "operator": "carol"});
        site.edit("update_inst", &body);
        assert_eq!(operations(&site.apply()), json!({}), "{policy}");
    }
    check(&build("policy: report"), &json!([]), &made, &json!({}));
    check(&build("policy: ignore"), &json!([]), &json!([]), &json!({}));
    check(&build("policy: ignore, fieldPolicy: {operator: enforce}"), &json!([]), &json!([]), &json!({}));
}

#[test]
fn what_goes() {
    let gone = "ensure: absent, model: bk_switch, match: {bk_inst_name: sw-3}";
    let goes = json!([["Instance/a", "delete"]]);
    let build = |policy: &str| document("Instance", "a", &format!("{gone}, policy: {policy}"));
    check(&build("enforce"), &goes, &json!([]), &json!({"delete_inst": 1}));
    check(&build("report"), &json!([]), &goes, &json!({}));
    check(&build("ignore"), &json!([]), &json!([]), &json!({}));
}

#[test]
fn of_a_process_with_rows() {
    let mut live = state();
    let row = |id: i64, port: &str| {
        json!({"row_id": id, "ip": {"value": "2", "as_default_value": true},
            "port": {"value": port, "as_default_value": true}, "protocol": {"value": "1", "as_default_value": true}})
    };
    live["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = json!([row(1, "80"), row(2, "443")]);
    let spec = "business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4, user: {value: app, \
                as_default_value: false}, bind_info: [{ip: 0.0.0.0, port: 8080, protocol: tcp}]}";
    let check = |policy: &str, properties: &[&str], reported: &Value| {
        let manifest = document("ProcessTemplate", "nginx", &format!("{spec}, fieldPolicy: {{{policy}}}"));
        let site = Site::with(&live, &[("a.yaml", &manifest)]);
        assert_eq!(seen(&site).1, *reported, "{policy}");
        let writes = site.apply();
        let sent = writes[0].body["process_property"].as_object().expect("an object");
        assert_eq!(sent.keys().map(String::as_str).collect::<Vec<_>>(), properties, "{policy}");
        site.assert_converged();
        assert_eq!(seen(&site).1, *reported, "{policy}");
    };
    let rows = json!([["ProcessTemplate/nginx", ["bind_info[2]", "bind_info[1].port"]]]);
    check("bind_info: report", &["proc_num", "user"], &rows);
    check("bind_info: ignore", &["proc_num", "user"], &json!([]));
    let user = json!([["ProcessTemplate/nginx", ["user", "user.as_default_value"]]]);
    check("user: report", &["bind_info", "proc_num"], &user);
    check("user: ignore, proc_num: ignore", &["bind_info"], &json!([]));
}

#[test]
fn of_an_app_whose_fields_are_sent_together() {
    let spec = "app: orders, fields: {remark: new, favorite: true}, members: [{id: u1, roles: [read]}]";
    let fields = json!([["App/a", ["remark", "favorite"]]]);
    let members = json!([["App/a → members", ["members[u1]"]]]);
    let both = json!([fields[0], members[0]]);
    let check = |policy: &str, changed: &Value, reported: &Value, sent: &Value| {
        check(&app("a", &format!("{spec}, {policy}")), changed, reported, sent)
    };
    let (update, add) = (json!({"UpdateRomaApp": 1}), json!({"AddUserToApp": 1}));
    check("policy: enforce", &both, &json!([]), &json!({"UpdateRomaApp": 1, "AddUserToApp": 1}));
    check("policy: report", &json!([]), &both, &json!({}));
    check("policy: ignore", &json!([]), &json!([]), &json!({}));
    check("fieldPolicy: {members: report}", &json!([fields[0]]), &members, &update);
    check("fieldPolicy: {members: ignore}", &json!([fields[0]]), &json!([]), &update);
    check("policy: report, fieldPolicy: {members: enforce}", &members, &fields, &add);
    let remark = json!([["App/a", ["remark"]]]);
    let changed = json!([["App/a", ["favorite"]], members[0]]);
    let site = Site::with(&state(), &[("a.yaml", &app("a", &format!("{spec}, fieldPolicy: {{remark: report}}")))]);
    assert_eq!(seen(&site), (changed, remark));
    // The call replaces all three fields, so the remark goes back as it is.
    let sent = bodies(&site.apply());
    assert!(
        sent.as_array().expect("a list").contains(&json!({"name": "orders", "remark": "orders", "favorite": true}))
    );
}

#[test]
fn of_a_module_and_its_category() {
    let spec = "business: demo, set: public, module: web, serviceCategory: 1, fields: {operator: bob}";
    let changed = json!([["Module/a", ["operator", "service_category_id"]]]);
    let build = |policy: &str| document("Module", "a", &format!("{spec}, {policy}"));
    check(&build("policy: enforce"), &changed, &json!([]), &json!({"update_module": 1}));
    check(&build("policy: report"), &json!([]), &changed, &json!({}));
    let category = json!([["Module/a", ["service_category_id"]]]);
    let operator = json!([["Module/a", ["operator"]]]);
    check(&build("fieldPolicy: {operator: report}"), &category, &operator, &json!({"update_module": 1}));
    let mixed = build("policy: report, fieldPolicy: {operator: enforce}");
    check(&mixed, &operator, &category, &json!({"update_module": 1}));
    // A saved plan knows no policies: what it does not send is left so as well.
    let site = Site::with(&state(), &[("a.yaml", &mixed)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    let output = site.run(&["apply", "-y", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"update_module": 1}), "{output}");
}

#[test]
fn a_saved_plan_keeps_them() {
    let spec = "business: demo, set: public, module: web, serviceCategory: 1, fields: {operator: bob}";
    let spec = format!("{spec}, policy: report, fieldPolicy: {{operator: enforce}}");
    let site = Site::with(&state(), &[("a.yaml", &document("Module", "a", &spec))]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    for _ in 0..2 {
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert_eq!(output.code, Some(0), "{output}");
    }
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 31)["service_category_id"], 2);
}

#[test]
fn of_rows_of_an_association() {
    let mut live = state();
    live["bk-cmdb"]["instance_associations"] = json!([{"id": 7, "bk_obj_asst_id": "switch_rack",
        "bk_obj_id": "bk_switch", "bk_inst_id": 1, "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": 22,
        "bk_asst_id": "connect"}]);
    let check = |policy: &str, reported: &Value, code: i32| {
        let spec = "association: switch_rack, source: {model: bk_switch, id: 1}, targets: [{model: bk_rack, id: 21}]";
        let manifest = document("InstanceAssociation", "a", &format!("{spec}, mode: exact, policy: {policy}"));
        let site = Site::with(&live, &[("a.yaml", &manifest)]);
        let output = site.plan();
        assert_eq!(output.code, Some(code), "{output}");
        if code == 0 {
            assert_eq!(seen(&site), (json!([]), reported.clone()));
            assert_eq!(operations(&site.apply()), json!({}));
        }
    };
    let (row, other) = ("InstanceAssociation/a → bk_rack #21", "InstanceAssociation/a → bk_rack #22");
    // Refused: no document spells out the row that goes.
    check("enforce", &json!([]), 3);
    check("report", &json!([[row, "create"], [other, "delete"]]), 0);
    check("ignore", &json!([]), 0);
}

/// A reported object is not created, so its dependents are blocked; a unique value that it keeps is taken.
#[test]
fn others_that_depend_on_a_reported_object() {
    let new = "ensure: present, model: bk_switch, match: {bk_inst_name: new}, fields: {ports: 1}, policy: report";
    let row = "association: switch_rack, source: {ref: a}, targets: [{model: bk_rack, id: 21}]";
    let manifest = document("Instance", "a", new) + &document("InstanceAssociation", "b", row);
    let site = Site::with(&state(), &[("a.yaml", &manifest)]);
    insta::assert_snapshot!(site.plan(), @r#"
    Reported only (policy: report):
    + Instance a  (cmdb)                                                a.yaml:1
        bk_inst_name   "new"                                            a.yaml:4:65
        ports          1                                                a.yaml:4:87

    ! InstanceAssociation b → bk_rack #21 is blocked: it needs Instance/a, which is only reported (policy: report)  a.yaml:9
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 1 blocked, 1 reported.   0 calls, 6 reads, [time]
    "#);

    // A name that is only reported is neither wanted nor given up.
    let rename = |name: &str, from: &str, to: &str, policy: &str| {
        let fields = format!("fields: {{bk_inst_name: {to}, ports: 9}}");
        document("Instance", name, &format!("model: bk_switch, match: {{bk_inst_name: {from}}}, {fields}{policy}"))
    };
    let manifest = rename("a", "sw-1", "sw-2", ", fieldPolicy: {bk_inst_name: ignore}");
    let site = Site::with(&state(), &[("a.yaml", &manifest)]);
    assert_eq!(site.plan().code, Some(1), "which of both is meant is open");
    let manifest =
        rename("a", "sw-1", "free", ", fieldPolicy: {bk_inst_name: report}") + &rename("b", "sw-2", "sw-1", "");
    let site = Site::with(&state(), &[("a.yaml", &manifest)]);
    insta::assert_snapshot!(site.plan(), @r#"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 2 blocked.   0 calls, 2 reads, [time]
    ------- stderr -------
    error[P131]: Instance/a and Instance/b are both to have the name `sw-1` in bk_switch
     --> a.yaml:4:91
      |
    4 | spec: {model: bk_switch, match: {bk_inst_name: sw-1}, fields: {bk_inst_name: free, ports: 9}, ...
      |                                                                                           ^
    5 | ---
    6 | apiVersion: bk-cmdb/v1
      | ---------------------- Instance/b is declared here

    error[P130]: Instance/b cannot be as declared: bk_switch #1 has the name `sw-1` in bk_switch, which Instance/a keeps
     --> a.yaml:9:78
      |
    9 | spec: {model: bk_switch, match: {bk_inst_name: sw-2}, fields: {bk_inst_name: sw-1, ports: 9}}
      |                                                                              ^^^^
    [exit status: 1]
    "#);
}

#[test]
fn what_is_ignored_is_not_read_but_for_others() {
    let ignored = document("Instance", "a", &format!("{SW}, policy: ignore"));
    let site = Site::with(&state(), &[("a.yaml", &ignored)]);
    site.plan();
    assert_eq!(site.reads(), json!({}));
    // As an end of an association it is.
    let row = "association: switch_rack, source: {ref: a}, targets: [{model: bk_rack, id: 21}]";
    site.write("b.yaml", &document("InstanceAssociation", "b", row));
    assert_eq!(seen(&site).0, json!([["InstanceAssociation/b → bk_rack #21", "create"]]));
    assert_eq!(operations(&site.apply()), json!({"add_instance_association": 1}));
    site.assert_converged();
}

#[test]
fn what_is_ignored_is_meant_all_the_same() {
    let site = Site::with(&state(), &[("a.yaml", &app("a", "app: orders, fields: {remark: x}, policy: ignore"))]);
    site.configure("prune:\n  - {kind: App}\n");
    let document = site.run(&["plan", "--prune", "--max-deletes", "5", "-o", "json"]).json();
    let labels: Vec<_> = document["changes"].as_array().expect("a list").iter().map(|row| &row["label"]).collect();
    assert_eq!(labels, ["app a2"]);
}

#[test]
fn slips_in_policies() {
    let site = Site::with(
        &state(),
        &[(
            "a.yaml",
            &(document("Instance", "a", &format!("{SW}, fieldPolicy: {{oprator: report, port: ignroe}}"))
                + &document(
                    "ProcessTemplate",
                    "b",
                    "business: demo, serviceTemplate: nginx, process: nginx, properties: \
                {bind_info: []}, fieldPolicy: {'bind_info[*].port': ignore, user: report}",
                )),
        )],
    );
    insta::assert_snapshot!(site.run(&["validate"]), @r#"
    ------- stderr -------
    error[M009]: this document declares no field `oprator`
     --> a.yaml:4:105
      |
    4 | ...operator: bob, ports: 48}, fieldPolicy: {oprator: report, port: ignroe}}
      |                                             ^^^^^^^
      |
      = help: did you mean `operator`?

    error[Y207]: `fieldPolicy.port` cannot be `ignroe`
     --> a.yaml:4:128
      |
    4 | ...48}, fieldPolicy: {oprator: report, port: ignroe}}
      |                                              ^^^^^^
      |
      = help: did you mean `ignore`?

    error[M009]: `bind_info[*].port` is a part of a field: policies are given to whole fields
     --> a.yaml:9:107
      |
    9 | ...es: {bind_info: []}, fieldPolicy: {'bind_info[*].port': ignore, user: report}}
      |                                       ^^^^^^^^^^^^^^^^^^^
      |
      = help: give it to `bind_info`

    error[M009]: this document declares no field `user`
     --> a.yaml:9:136
      |
    9 | ...fieldPolicy: {'bind_info[*].port': ignore, user: report}}
      |                                               ^^^^
      |
      = help: it declares bind_info
    4 errors in 1 file
    [exit status: 1]
    "#);
}

#[test]
fn a_plan_shows_what_it_only_reports() {
    let manifest = document("Instance", "a", &format!("{SW}, fieldPolicy: {{operator: report}}"))
        + &document(
            "Instance",
            "b",
            "model: bk_switch, match: {bk_inst_name: sw-2}, fields: {ports: 1}, policy: report",
        );
    let site = Site::with(&state(), &[("a.yaml", &manifest)]);
    insta::assert_snapshot!(site.plan(), @r#"
    ~ Instance a  (cmdb, bk_switch #1)                                  a.yaml:1
        ports          24 → 48                                          a.yaml:4:86

    Reported only (policy: report):
    ~ Instance a  (cmdb, bk_switch #1)                                  a.yaml:1
        operator       "alice" → "bob"                                  a.yaml:4:74
    ~ Instance b  (cmdb, bk_switch #2)                                  a.yaml:6
        ports          24 → 1                                           a.yaml:9:71

    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged, 2 reported.   1 call, 3 reads, [time]
    [exit status: 2]
    "#);
    // Neither limits nor acknowledgements count them.
    let output = site.run(&["plan", "--max-changes", "1"]);
    assert_eq!(output.code, Some(0), "{output}");
}

/// All 27 ways of giving policies to the three fields that one call replaces together.
#[test]
fn whatever_the_policies_only_what_is_enforced_moves() {
    let words = ["enforce", "report", "ignore"];
    let fields = [("name", json!("moved")), ("remark", json!("new")), ("favorite", json!(true))];
    let was = json!({"name": "orders", "remark": "orders", "favorite": false});
    for number in 0..27 {
        let policies = [words[number % 3], words[number / 3 % 3], words[number / 9]];
        let named = fields.iter().zip(policies).map(|((name, _), policy)| format!("{name}: {policy}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let spec = "id: a1, fields: {name: moved, remark: new, favorite: true}";
        let site = Site::with(&state(), &[("a.yaml", &app("a", &format!("{spec}, fieldPolicy: {{{named}}}")))]);
        let of = |policy: &str| -> Vec<&str> {
            fields.iter().zip(policies).filter(|(_, text)| *text == policy).map(|((name, _), _)| *name).collect()
        };
        let change = |paths: Vec<&str>| if paths.is_empty() { json!([]) } else { json!([["App/a", paths]]) };
        assert_eq!(seen(&site), (change(of("enforce")), change(of("report"))), "{named}");
        assert_eq!(site.apply().len(), usize::from(!of("enforce").is_empty()), "{named}");
        let row = site.row("/roma-connect/apps", "id", "a1");
        for ((name, declared), policy) in fields.iter().zip(policies) {
            assert_eq!(row[name], if policy == "enforce" { declared.clone() } else { was[name].clone() }, "{named}");
        }
        site.assert_converged();
    }
}
