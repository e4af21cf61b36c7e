//! Slips that must not change what a run does.

use serde_json::json;

use crate::harness::{Site, operations, state, switch};

fn site() -> Site {
    Site::with(&state(), &[("one.yaml", &switch("one", "bk_inst_name: sw-1", "ports: 36"))])
}

#[test]
fn a_flag_in_the_environment_is_a_plain_yes_or_no() {
    let check = |value: &str, writes: i32, message: &str| {
        let site = site();
        let mut command = site.command(&["apply"]);
        command.env("RECONCILE_AUTO_APPROVE", value);
        let output = site.end(command, "");
        assert_eq!(output.code, Some(if message.is_empty() { 0 } else { 64 }), "{value}: {output}");
        assert!(output.stderr.contains(message), "{value}: {output}");
        assert_eq!(operations(&site.writes()), if writes == 0 { json!({}) } else { json!({"update_inst": writes}) });
    };
    check("nein", 0, "invalid value 'nein' for '--auto-approve': it is neither true nor false");
    check("maybe", 0, "invalid value 'maybe' for '--auto-approve'");
    check("no", 0, "there is no terminal to ask on: nothing was sent; `--auto-approve` goes ahead without asking");
    check("", 0, "there is no terminal to ask on: nothing was sent");
    check("true", 1, "");
    check("1", 1, "");
}

#[test]
fn an_address_that_means_nothing_is_refused() {
    for (flag, value, message) in [
        ("--exclude", "Instnce/*", "no declared object fits `Instnce/*`"),
        ("--exclude", "cmdb-prd", "no target fits `cmdb-prd`"),
        ("--target", "Instance/two", "no declared object fits `Instance/two`; did you mean `Instance/one`?"),
        ("--target", "nowhere", "no target fits `nowhere`"),
        ("--rate", "0", "invalid value '0' for '--rate <N>': it has to be a number above 0"),
        ("--parallelism", "0", "invalid value '0' for '--parallelism <N>': it has to be a whole number above 0"),
    ] {
        let site = site();
        let output = site.run(&["apply", "-y", flag, value]);
        assert_eq!(output.code, Some(64), "{flag} {value}: {output}");
        assert!(output.stderr.contains(message), "{flag} {value}: {output}");
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
