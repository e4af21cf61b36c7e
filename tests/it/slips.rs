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

/// A process template whose number of processes is a variable, and an object whose policy is one.
fn with_variables() -> String {
    let template = "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: nginx}\nspec:\n  serviceTemplate: \
                    nginx\n  process: nginx\n  business: demo\n  properties:\n    proc_num: ${WORKERS:-2}\n";
    format!(
        "{template}---\n{}",
        switch("core", "bk_asset_id: A1", "ports: 48").replace("---", "  policy: ${POLICY:-report}\n")
    )
}

#[test]
fn a_message_about_a_variable_names_it_and_its_value() {
    let site = Site::with(&state(), &[("all.yaml", &with_variables()), ("values.txt", "WORKERS: many\n")]);
    let check = |arguments: &[&str], expected: &[&str]| {
        let output = site.run(&[&["validate", "all.yaml"][..], arguments].concat());
        for text in expected {
            assert!(output.all().contains(text), "{arguments:?} {text}: {output}");
        }
    };
    check(&["--set", "WORKERS=abc"], &["has to be a whole number, not `abc` (WORKERS, from --set)"]);
    check(&["--set", "WORKERS=1.5"], &["not the number 1.5 (WORKERS is `1.5`, from --set)"]);
    check(&["--values", "values.txt"], &["has to be a whole number, not `many` (WORKERS, from values.txt:1)"]);
    check(&["--set", "POLICY=reprot"], &["`reprot`", "(POLICY, from --set)", "did you mean `report`?"]);
    let mut command = site.command(&["validate", "all.yaml"]);
    command.env("RECONCILE_VAR_WORKERS", "abc");
    let output = site.end(command, "");
    assert!(
        output.all().contains("not `abc` (WORKERS, from the environment variable RECONCILE_VAR_WORKERS)"),
        "{output}"
    );
    site.write("all.yaml", &with_variables().replace(":-2", ":-two"));
    check(&[], &["not `two` (WORKERS, from its default)"]);
    // Within {} it cannot be without quotes.
    site.write("all.yaml", &with_variables().replace("${WORKERS:-2}", "\"${WORKERS:-2}\""));
    check(&[], &["not `2` (WORKERS, from its default)", "write ${WORKERS} without quotes, and not within {} or []"]);
    site.write("all.yaml", &with_variables().replace(":\n    proc_num: ${WORKERS:-2}", ": {proc_num: ${WORKERS:-2}}"));
    check(&[], &["within [] and {} a variable has to be quoted", "put a number on a line of its own"]);
    // The type of a field that only the server knows.
    site.write(
        "all.yaml",
        &switch("core", "bk_asset_id: A1", "ports: 1").replace("{ports: 1}", "\n    ports: ${PORTS}"),
    );
    for command in [&["plan"][..], &["validate", "--online"], &["drift"]] {
        let output = site.run(&[command, &["all.yaml", "--set", "PORTS=many"]].concat());
        assert!(output.all().contains("many") && output.all().contains("(PORTS"), "{command:?}: {output}");
        assert!(output.all().contains(", from --set)"), "{command:?}: {output}");
    }
}

#[test]
fn first_tries_are_told_what_to_write() {
    let one = switch("one", "bk_inst_name: sw-1", "ports: 36");
    let two = one.replace("apiVersion: bk-cmdb/v1\n", "");
    let indented = format!("{one}  ---\n{one}").replace("---\n  ---", "  ---");
    for (name, text, expected) in [
        ("one.yaml", &*two, &["needs `apiVersion`", "write `apiVersion: bk-cmdb/v1` or `apiVersion: roma-connect/v1`"]),
        ("one.yaml", &*indented, &["`---` is indented", "write it at the start of the line"]),
        ("reconcile.yaml", "targets: {}\n", &["needs `apiVersion`", "write `apiVersion: reconcile/v1`"]),
        ("reconcile.yaml", "apiVersion: reconcile/v1\n", &["needs `kind`", "write `kind: Config`"]),
    ] {
        let site = site();
        site.write(name, text);
        let output = site.run(&["validate", "."]);
        assert!(expected.iter().all(|text| output.all().contains(text)), "{text}: {output}");
    }
}

#[test]
fn one_row_in_place_of_a_list_of_rows_is_told() {
    let template = with_variables().replace("proc_num: ${WORKERS:-2}", "bind_info: {ip: 0.0.0.0, port: 80}");
    let site = Site::with(&state(), &[("all.yaml", &template)]);
    let output = site.run(&["validate", "all.yaml"]);
    assert!(output.all().contains("error[M330]: `bind_info` has to be a list of rows, not a mapping"), "{output}");
    assert!(
        output.all().contains("put `- ` before each row") && output.all().contains("1 error in 1 file"),
        "{output}"
    );
}

#[test]
fn a_setting_that_is_missing_names_its_target_once() {
    let site = site();
    let config = "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb:\n    platform: bk-cmdb\n    access: esb\n    \
                  endpoint: http://127.0.0.1:9\n    auth: {appCode: a, appSecret: {env: NO_SUCH}, username: u}\n";
    site.write("other/reconcile.yaml", config);
    let output = site.run(&["plan", "one.yaml", "--config", "other/reconcile.yaml"]);
    let message =
        "could not be read: target `cmdb`: cannot get `appSecret`: the environment variable NO_SUCH is not set";
    assert!(output.all().contains(message), "{output}");
}

#[test]
fn a_message_about_a_variable_shows_no_secret() {
    const CANARY: &str = "canary-5f1d";
    let site = Site::with(&state(), &[("all.yaml", &with_variables()), ("app-secret.txt", CANARY)]);
    for (name, value) in
        [("WORKERS", CANARY), ("POLICY", CANARY), ("WORKERS", "x-canary-5f1d-y"), ("WORKERS", "canary-5f")]
    {
        for command in [&["validate"][..], &["plan"], &["plan", "-o", "json"], &["drift"], &["validate", "--online"]] {
            let assignment = format!("{name}={value}");
            let output = site.run(&[command, &["all.yaml", "--set", &assignment]].concat());
            assert!(output.all().contains(&format!("({name}, from --set)")), "{command:?}: {output}");
            assert!(!output.all().contains("canary"), "{command:?} {assignment}: {output}");
        }
    }
    // One that the environment holds.
    site.write(
        "reconcile.yaml",
        &std::fs::read_to_string(site.path().join("reconcile.yaml"))
            .expect("it is there")
            .replace("file: app-secret.txt", "env: SECRET"),
    );
    let mut command = site.command(&["validate", "all.yaml", "--set", &format!("POLICY={CANARY}")]);
    command.env("SECRET", CANARY);
    let output = site.end(command, "");
    assert!(output.all().contains("(POLICY, from --set)") && !output.all().contains(CANARY), "{output}");
}
