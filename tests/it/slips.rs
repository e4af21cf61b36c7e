//! Slips that must not change what a run does.

use serde_json::json;

use crate::harness::{Site, operations, state, switch};

fn site() -> Site {
    Site::with(&state(), &[("one.yaml", &switch("one", "bk_inst_name: sw-1", "ports: 36"))])
}

#[test]
fn a_flag_in_the_environment_is_a_plain_yes_or_no() {
    let check = |value: &str, code: i32, writes: i32| {
        let site = site();
        let mut command = site.command(&["apply"]);
        command.env("RECONCILE_AUTO_APPROVE", value);
        let output = site.end(command, "");
        assert_eq!(output.code, Some(code), "{value}: {output}");
        assert_eq!(operations(&site.writes()), if writes == 0 { json!({}) } else { json!({"update_inst": writes}) });
    };
    check("nein", 64, 0);
    check("maybe", 64, 0);
    check("no", 64, 0);
    check("", 64, 0);
    check("true", 0, 1);
    check("1", 0, 1);
}

#[test]
fn an_address_that_means_nothing_is_refused() {
    for arguments in [
        ["--exclude", "Instnce/*"],
        ["--exclude", "cmdb-prd"],
        ["--target", "Instance/two"],
        ["--target", "nowhere"],
        ["--rate", "0"],
        ["--parallelism", "0"],
    ] {
        let site = site();
        let output = site.run(&["apply", "-y", arguments[0], arguments[1]]);
        assert_eq!(output.code, Some(64), "{arguments:?}: {output}");
        assert_eq!(operations(&site.writes()), json!({}));
    }
}

#[test]
fn documents_that_contradict_one_another_are_refused() {
    let documents = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: rack}
spec: {ensure: absent, model: bk_rack, id: 21}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: link}
spec:
  association: switch_rack
  source: {model: bk_switch, id: 1}
  targets: [{model: bk_rack, id: 21}]
";
    let site = Site::with(&state(), &[("both.yaml", documents)]);
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("error[P142]"), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn a_list_of_no_targets_is_an_error() {
    let text = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: link}
spec: {association: switch_rack, source: {model: bk_switch, id: 1}, mode: exact, targets: []}
";
    let site = Site::with(&state(), &[("none.yaml", text)]);
    let output = site.run(&["validate"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("error[M345]"), "{output}");
}
