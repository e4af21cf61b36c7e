//! Two applies of the same manifests at once: what the other one was faster with is booked as already as declared.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch};

fn document(api: &str, kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {api}/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn cmdb(kind: &str, spec: &str) -> String {
    document("bk-cmdb", kind, "x", spec)
}

/// A state with a row to remove.
fn linked() -> Value {
    let mut state = state();
    state["bk-cmdb"]["instance_associations"] = json!([{"id": 7, "bk_obj_asst_id": "switch_rack",
        "bk_obj_id": "bk_switch", "bk_inst_id": 1, "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": 21,
        "bk_asst_id": "connect"}]);
    state
}

/// Applies a manifest whose first call of an operation comes right after the same call of somebody else.
fn second(operation: &str, manifest: &str, expected: &str) {
    let fresh = Site::with(&linked(), &[("one.yaml", manifest)]);
    let sent = fresh.apply().into_iter().find(|call| call.operation == operation).expect("it is sent").body;
    let site = Site::with(&linked(), &[("one.yaml", manifest)]);
    let first = json!({"operation": operation, "body": sent});
    site.faults(&json!([{"operation": operation, "nth": 1, "fault": "second_writer", "edit": first}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{operation}: {output}");
    assert_eq!(output.json()["outcomes"][0]["outcome"], expected, "{operation}: {output}");
    assert_eq!(operations(&site.writes()), json!({operation: 1}), "{operation}");
    let told = |line: &Value| line["type"] == "outcome" && line["outcome"] == expected;
    assert!(site.journal().iter().any(told), "{operation}: {:?}", site.journal());
    site.faults(&json!([]));
    site.assert_converged();
}

#[test]
fn the_loser_of_two_applies_made_nothing() {
    let cases = [
        (
            "create_inst",
            cmdb("Instance", "ensure: present, model: bk_switch, match: {bk_inst_name: sw-9}, fields: {ports: 48}"),
        ),
        ("create_module", cmdb("Module", "ensure: present, business: demo, set: public, module: api")),
        (
            "batch_create_proc_template",
            cmdb(
                "ProcessTemplate",
                "ensure: present, business: demo, serviceTemplate: nginx, \
            process: redis, properties: {bk_func_name: redis, proc_num: 4}",
            ),
        ),
        (
            "add_instance_association",
            cmdb(
                "InstanceAssociation",
                "association: switch_rack, source: {model: bk_switch, id: 2}, \
            targets: [{model: bk_rack, id: 21}]",
            ),
        ),
        (
            "delete_proc_template",
            cmdb(
                "ProcessTemplate",
                "ensure: absent, business: demo, serviceTemplate: nginx, process: \
            nginx",
            ),
        ),
    ];
    for (operation, manifest) in cases {
        second(operation, &manifest, "already_true");
    }
}

/// Where the server accepts the second call like the first, nobody can tell whose it was.
#[test]
fn what_the_server_accepts_twice_is_applied() {
    second("update_inst", &switch("x", "bk_asset_id: A1", "ports: 48"), "applied");
    second("delete_module", &cmdb("Module", "ensure: absent, business: demo, set: public, module: cache"), "applied");
    second(
        "delete_instance_association",
        &cmdb(
            "InstanceAssociation",
            "ensure: absent, association: switch_rack, source: {model: \
            bk_switch, id: 1}, targets: [{model: bk_rack, id: 21}]",
        ),
        "applied",
    );
    second("delete_inst", &cmdb("Instance", "ensure: absent, model: bk_switch, id: 3"), "applied");
}

#[test]
fn the_report_says_that_it_was_so_already() {
    let manifest =
        cmdb("Instance", "ensure: present, model: bk_switch, match: {bk_inst_name: sw-9}, fields: {ports: 48}");
    let site = Site::with(&state(), &[("one.yaml", &manifest)]);
    let first = json!({"operation": "create_inst",
        "body": {"bk_obj_id": "bk_switch", "bk_inst_name": "sw-9", "ports": 48}});
    site.faults(&json!([{"operation": "create_inst", "nth": 1, "fault": "second_writer", "edit": first}]));
    let output = site.run(&["apply", "-y"]);
    assert!(output.stdout.contains("Applied: 0 of 1, 1 already as declared."), "{output}");
}

#[test]
fn of_many_applies_at_once_one_made_each_object() {
    let manifests: Vec<String> = (1..=4)
        .map(|at| {
            let spec = format!("ensure: present, app: app-{at}, fields: {{remark: new}}");
            document("roma-connect", "App", &format!("app-{at}"), &spec)
        })
        .collect();
    let site = Site::with(&state(), &[("apps.yaml", &manifests.concat())]);
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 300}]));
    // Each from a machine of its own: no lock keeps one from the others' targets.
    let children: Vec<_> = ["a", "b", "c"]
        .map(|state| {
            let mut command = site.command(&["apply", "-y", "-o", "json", "--state-dir", state]);
            command.stdin(std::process::Stdio::null());
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("the program starts")
        })
        .into();
    let outputs: Vec<_> = children.into_iter().map(|child| site.collect(child)).collect();
    let mut made = [0; 4];
    for output in &outputs {
        assert_eq!(output.code, Some(0), "{output}");
        let outcomes = output.json()["outcomes"].as_array().cloned().unwrap_or_default();
        for (at, count) in made.iter_mut().enumerate() {
            let address = format!("App/app-{}", at + 1);
            let outcome =
                outcomes.iter().find(|outcome| outcome["address"] == address).map(|row| row["outcome"].clone());
            // A run that came late enough saw nothing to do.
            assert!(
                outcome.as_ref().is_none_or(|outcome| *outcome == "applied" || *outcome == "already_true"),
                "{output}"
            );
            *count += usize::from(outcome == Some(json!("applied")));
        }
    }
    assert_eq!(made, [1; 4], "{outputs:?}", outputs = outputs.iter().map(ToString::to_string).collect::<Vec<_>>());
    site.faults(&json!([]));
    site.assert_converged();
}
