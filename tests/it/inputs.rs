//! The inputs of a run: its files, its configuration, its part of the objects; finding nothing is no success.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
    process::Command,
};

use serde_json::{Value, json};

use crate::harness::{Site, operations, program, state, switch};

/// Runs the program and returns its exit code and what it said on stderr, to the last line.
fn raw(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn site() -> Site {
    Site::with(&state(), &[("m/a.yaml", &switch("core-sw-1", "bk_inst_name: sw-1", "ports: 48"))])
}

#[test]
fn an_unsaved_buffer_of_emacs_stops_nobody() {
    let site = site();
    symlink("user@host.example.4711:1700000000", site.path().join("m/.#a.yaml")).expect("linked");
    for command in [&["plan", "m"][..], &["validate", "m"], &["apply", "m", "-y"]] {
        let output = site.run(command);
        assert_eq!(output.code, Some(0), "{output}");
    }
}

#[test]
fn a_link_out_of_the_directory_is_named_and_not_shown() {
    let site = site();
    site.write("secret.txt", "BEGIN SECRET");
    symlink("../secret.txt", site.path().join("m/z.yaml")).expect("linked");
    let output = site.run(&["validate", "m"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("m/z.yaml is a link that leads outside"), "{output}");
    assert!(!output.all().contains("BEGIN"), "{output}");
    let output = site.run(&["validate", "m", "--follow-links"]);
    assert!(output.stderr.contains("BEGIN SECRET"), "{output}");
}

#[test]
fn pipes_and_devices_are_not_waited_for() {
    let site = site();
    let made = Command::new("mkfifo").arg(site.path().join("pipe.yaml")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo runs");
    for (arguments, expected) in [
        (&["validate", "pipe.yaml"][..], "cannot read pipe.yaml: it is a pipe"),
        (&["validate", "/dev/zero"], "cannot read /dev/zero: it is a device"),
        (&["validate", "m", "--config", "pipe.yaml"], "cannot read pipe.yaml: it is a pipe"),
        (&["validate", "m", "--values", "/dev/zero"], "cannot read /dev/zero: it is a device"),
    ] {
        let output = site.run(arguments);
        assert!(output.code != Some(0) && output.stderr.contains(expected), "{arguments:?}: {output}");
    }
}

#[test]
fn the_configuration_in_use_is_named() {
    let site = site();
    let (code, stderr) = raw(site.command(&["validate", "m"]));
    let path = site.path().canonicalize().expect("it is there").join("reconcile.yaml");
    assert_eq!((code, stderr), (Some(0), format!("configuration: {}\n", path.display())));
    assert_eq!(raw(site.command(&["validate", "-q", "m"])), (Some(0), String::new()));
    assert_eq!(raw(site.command(&["validate", "m", "--config", "reconcile.yaml"])), (Some(0), String::new()));
    let (_, stderr) = raw(site.command(&["plan", "."]));
    assert!(stderr.contains("configuration: reconcile.yaml\n"), "{stderr}");
}

#[test]
fn a_configuration_above_the_repository_is_used_only_where_it_is_named() {
    let site = site();
    fs::create_dir(site.path().join("m/.git")).expect("made");
    let output = site.run(&["plan", "m"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("reconcile.yaml is not used: it lies above the repository"), "{output}");
    assert_eq!(site.run(&["plan", "m", "--config", "reconcile.yaml"]).code, Some(0));
}

#[test]
fn a_configuration_of_another_user_is_used_only_where_it_is_named() {
    let site = site();
    let file = site.path().join("reconcile.yaml");
    // Only root can give a file away.
    if chown(&file, Some(12_345), None).is_err() {
        return;
    }
    let output = site.run(&["plan", "m"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("reconcile.yaml is not used: it belongs to another user (12345)"), "{output}");
    assert_eq!(operations(&site.sandbox().calls()), json!({}));
    assert_eq!(site.run(&["plan", "m", "--config", "reconcile.yaml"]).code, Some(0));
}

#[test]
fn without_a_configuration_those_that_lie_beneath_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: a, target: cmdb-gw}\nspec: {model: bk_switch, id: 1, fields: {}}\n";
    for team in ["net", "dc"] {
        fs::create_dir(directory.path().join(team)).expect("made");
        fs::write(directory.path().join(team).join("reconcile.yaml"), "").expect("written");
    }
    fs::write(directory.path().join("a.yaml"), manifest).expect("written");
    let run = |arguments: &[&str]| {
        let mut command = program();
        command.current_dir(directory.path()).args(arguments);
        raw(command)
    };
    let (code, stderr) = run(&["validate", "a.yaml"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("no configuration was found that has the target `cmdb-gw`"), "{stderr}");
    assert!(stderr.contains("name one by `--config`: there are dc/reconcile.yaml, net/reconcile.yaml"), "{stderr}");
    fs::write(directory.path().join("a.yaml"), manifest.replace(", target: cmdb-gw", "")).expect("written");
    let (code, stderr) = run(&["plan", "a.yaml"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("no reconcile.yaml in a.yaml or above") && stderr.contains("net/reconcile.yaml"),
        "{stderr}"
    );
}

#[test]
fn nothing_selected_is_a_wrong_command_line() {
    let site = site();
    let labelled = switch("core-sw-1", "bk_inst_name: sw-1", "ports: 48");
    site.write("m/a.yaml", &labelled.replace("metadata: {", "metadata: {labels: {team: net}, "));
    let check = |arguments: &[&str], expected: &str| {
        for command in ["validate", "plan", "apply", "drift", "snapshot"] {
            let mut all = vec![command, "m"];
            all.extend(arguments);
            all.extend(["-q"]);
            let output = site.run(&all);
            assert_eq!(
                (output.code, &*output.stderr),
                (Some(64), &*format!("error: {expected}\n")),
                "{all:?}: {output}"
            );
        }
    };
    check(&["-l", "team=nett"], "nothing that is declared fits the selection `team=nett`; did you mean `team=net`?");
    check(&["-l", "!team"], "nothing that is declared fits the selection `!team`");
    check(&["--target", "Instance/sw11"], "no declared object fits `Instance/sw11`");
    check(
        &["--target", "instance/core-sw-1"],
        "no declared object fits `instance/core-sw-1`; did you mean `Instance/core-sw-1`?",
    );
    check(&["--target", "core-*"], "no target fits `core-*`; objects are named KIND/NAME: `Instance/core-*`");
    check(&["--target", "cmbd"], "no target fits `cmbd`; did you mean `cmdb`?");
    check(&["--exclude", "cmdb"], "nothing that is declared fits `--target` and `--exclude` together");
    let report = site.run(&["plan", "m", "-l", "team=nett", "-o", "json"]).json();
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(site.run(&["plan", "m", "-l", "team=net"]).code, Some(0));
}

#[test]
fn nothing_declared_is_an_error_unless_it_is_allowed() {
    let site = site();
    site.write("empty/notes.md", "no manifest");
    site.write("hollow/a.yaml", "# nothing\n");
    for directory in ["empty", "hollow"] {
        for command in [&["validate"][..], &["plan"], &["apply", "-y"], &["drift"], &["snapshot"]] {
            let mut all = command.to_vec();
            all.push(directory);
            let output = site.run(&all);
            assert_eq!(output.code, Some(1), "{all:?}: {output}");
            assert!(output.stderr.contains(&format!("no manifest in {directory} (looked for")), "{output}");
            all.push("--allow-empty");
            let output = site.run(&all);
            assert_eq!(output.code, Some(0), "{all:?}: {output}");
        }
    }
}

#[test]
fn a_value_that_no_document_uses_is_a_slip() {
    let site = site();
    site.write("m/a.yaml", &switch("core-sw-1", "bk_inst_name: sw-1", "ports: '${WORKERS:-48}'"));
    for command in ["validate", "plan", "watch"] {
        let output = site.run(&[command, "m", "--set", "WROKERS=8"]);
        assert_eq!(output.code, Some(64), "{output}");
        let expected = "no document uses the variable `WROKERS` of `--set`; did you mean `WORKERS`?";
        assert!(output.stderr.contains(expected), "{output}");
    }
    site.write("values.yaml", "WROKERS: 8\n");
    let output = site.run(&["validate", "m", "--values", "values.yaml"]);
    assert_eq!(output.code, Some(0), "{output}");
    let expected = "warning[M021]: no document uses the variable `WROKERS`\n --> values.yaml:1:10";
    assert!(output.stderr.contains(expected) && output.stderr.contains("did you mean `WORKERS`?"), "{output}");
}

#[test]
fn reports_of_an_earlier_run_are_no_manifests() {
    let site = site();
    let forms = ["json", "yaml", "gitlab", "gitlab-code-quality", "sarif"];
    let files: Vec<String> =
        forms.iter().map(|form| format!("{form}=m/{form}.{}", if *form == "yaml" { "yaml" } else { "json" })).collect();
    let mut plan = vec!["plan", "m", "--out", "m/saved.json", "--events", "m/events.json"];
    files.iter().for_each(|file| plan.extend(["--output-file", file]));
    site.write("m/snapshot.json", &site.run(&["snapshot", "m"]).stdout);
    site.write("m/explained.json", &site.run(&["explain", "m/a.yaml:2", "m", "-o", "json"]).stdout);
    for document in ["plan", "validation", "drift", "explanation", "events"] {
        site.write(&format!("m/{document}.schema.json"), &site.run(&["schema", document]).stdout);
    }
    for _ in 0..2 {
        let output = site.run(&plan);
        assert_eq!(output.code, Some(0), "{output}");
    }
    let output = site.run(&["validate", "m"]);
    assert_eq!(output.stdout, "valid: 1 object in 1 document\n", "{output}");
    // Reports of a run that found nothing.
    site.write("m/gitlab.json", "{}\n");
    site.write("m/quality.json", "[]\n");
    assert_eq!(site.run(&["validate", "m"]).code, Some(0));
    // A file that merely looks a little like one is told.
    site.write("m/gitlab.json", "{\"create\": 1, \"update\": \"x\", \"delete\": 0}\n");
    assert_eq!(site.run(&["validate", "m"]).code, Some(1));
}

#[test]
fn each_variable_of_the_environment_feeds_one_flag() {
    let mut flags: std::collections::BTreeMap<String, (String, String)> = std::collections::BTreeMap::new();
    let commands = ["validate", "plan", "explain", "apply", "show", "drift", "watch", "snapshot", "sandbox", "schema"];
    let pattern = regex::Regex::new(r"(?s)--([a-z-]+)[^\n]*\n(.*?)\[env: (RECONCILE_[A-Z_]+)=").expect("it is right");
    for command in commands {
        let output = program().args([command, "--help"]).output().expect("it runs");
        let help = String::from_utf8(output.stdout).expect("UTF-8");
        for section in help.split("\n      --").flat_map(|part| part.split("\n  -")) {
            let section = format!("--{}", section.trim_start_matches('-'));
            let Some(found) = pattern.captures(&section) else { continue };
            let flag = section.split_whitespace().find(|word| word.starts_with("--") && word.len() > 3);
            let flag = flag.unwrap_or_default().trim_end_matches(',').to_owned();
            let about =
                found[2].split("[default").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            let entry = flags.entry(found[3].to_owned()).or_insert_with(|| (flag.clone(), about.clone()));
            // `--prune` of a snapshot seals what the one of a plan then removes.
            if &found[3] != "RECONCILE_PRUNE" {
                assert_eq!(*entry, (flag, about), "{} of {command}", &found[3]);
            }
        }
    }
    assert!(flags.len() > 30, "{flags:?}");
    let site = site();
    let mut command = site.command(&["snapshot", "m"]);
    command.env("RECONCILE_OUT", "both.json");
    let output = site.end(command, "");
    assert_eq!(output.json()["kind"], Value::from("Snapshot"));
}
