//! The files for CI below `examples/ci`: they parse, their commands are the program's, and nothing of a stranger gets
//! into a script.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{
    forms::check_markdown,
    harness::{Site, program, repository, skip, state, switch},
};

const GITHUB: &str = "examples/ci/github/reconcile.yml";
const GITLAB: &str = "examples/ci/gitlab/.gitlab-ci.yml";

fn text(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).expect("it is there")
}

fn document(file: &str) -> Value {
    let text = text(file);
    let mut sources = reconcile::source::Sources::default();
    let id = sources.add(file, text.clone());
    let mut diagnostics = Vec::new();
    let documents = reconcile::yaml::load(id, &text, &mut diagnostics);
    let wrong: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    assert!(documents.len() == 1 && wrong.is_empty(), "{file}: {wrong:?}");
    documents[0].root.to_json()
}

/// The scripts of a file: what stands under these keys, lists joined.
fn scripts(value: &Value, keys: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => found.push(text.clone()),
                    Value::Array(lines) if keys.contains(&key.as_str()) => {
                        let lines: Vec<_> = lines.iter().filter_map(Value::as_str).collect();
                        found.push(lines.join("\n"));
                    }
                    other => scripts(other, keys, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| scripts(item, keys, found)),
        _ => {}
    }
}

fn all_scripts() -> Vec<String> {
    let mut found = Vec::new();
    scripts(&document(GITHUB), &["run"], &mut found);
    scripts(&document(GITLAB), &["script"], &mut found);
    assert!(found.len() > 8, "{found:?}");
    found
}

/// The arguments of each call of the program in a script.
fn calls(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let calls = joined.lines().filter_map(|line| line.trim().strip_prefix("reconcile "));
    calls
        .map(|call| call.split(" || ").next().unwrap_or_default().replace('"', ""))
        .map(|call| call.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn parses(arguments: &[&str]) -> Result<(), String> {
    // With `--help` behind it a command is parsed and not run.
    let output = program().args(arguments).arg("--help").output().expect("the program runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn commands_of_the_kit_are_the_programs() {
    let mut seen = 0;
    for call in all_scripts().iter().flat_map(|script| calls(script)) {
        let words: Vec<&str> = call.iter().map(String::as_str).collect();
        seen += 1;
        parses(&words).unwrap_or_else(|problem| panic!("{call:?}: {problem}"));
    }
    assert_eq!(seen, 9);
}

#[test]
fn exit_codes_are_handled() {
    for script in all_scripts() {
        for call in calls(&script) {
            let codes: &[&str] = match call[0].as_str() {
                "plan" => &["0)", "3)", "5)", "*)"],
                "apply" => &["0)", "3)", "4)", "5)", "*)"],
                _ => continue,
            };
            let handled = script.split_once("case $code in").map(|(_, rest)| rest).unwrap_or_default();
            for code in codes {
                assert!(handled.contains(&format!("\n  {code}")), "{code} in:\n{script}");
            }
            assert_eq!(call.contains(&"--detailed-exitcode".to_owned()), handled.contains("\n  2)"), "{script}");
        }
    }
}

#[test]
fn scripts_are_right_and_hold_nothing_of_a_stranger() {
    for script in all_scripts() {
        assert!(!script.contains("${{"), "a value gets into a script as text:\n{script}");
        let Ok(output) = Command::new("bash").args(["-n", "-c", &script]).output() else { continue };
        assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    }
    let mut inline = Vec::new();
    scripts(&document(GITHUB), &["script"], &mut inline);
    assert!(inline.len() == 1 && !inline[0].contains("${{"));
    assert!(inline[0].contains("'<!-- reconcile -->'"));
}

#[test]
fn the_workflow_gives_no_more_than_is_needed() {
    let workflow = document(GITHUB);
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    assert!(workflow["on"].get("pull_request_target").is_none());
    let jobs = workflow["jobs"].as_object().expect("jobs");
    for (name, job) in jobs {
        let is_trusted = job["environment"].is_string();
        assert_eq!(job.to_string().contains("secrets."), is_trusted, "{name}");
        let permissions = job["permissions"].as_object().expect("permissions");
        let writes: Vec<_> = permissions.iter().filter(|(_, level)| *level == "write").map(|(what, _)| what).collect();
        let runs = job.to_string().contains("\"run\":");
        assert!(writes.is_empty() || !runs, "{name} runs something and may write {writes:?}");
    }
    let pinned = regex::Regex::new(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n").expect("it is right");
    let text = text(GITHUB);
    assert_eq!(text.matches("uses: ").count(), pinned.find_iter(&text).count(), "actions are named by commit");
}

#[test]
fn gitlab_gets_the_reports_that_it_asks_for() {
    let pipeline = document(GITLAB);
    let forms = [("terraform", "gitlab"), ("codequality", "gitlab-code-quality"), ("junit", "junit")];
    let mut seen = 0;
    for job in pipeline.as_object().expect("jobs").values() {
        for (report, form) in forms {
            let Some(file) = job["artifacts"]["reports"][report].as_str() else { continue };
            let written = format!("{form}={file}");
            assert!(job["script"].to_string().contains(&written), "{written}");
            seen += 1;
        }
    }
    assert_eq!(seen, 5);
}

#[test]
fn the_kit_is_what_the_services_take() {
    let checker = repository().join("target/interop/bin/check-jsonschema");
    let checks: [&[&str]; 2] = [
        &["--builtin-schema", "vendor.github-workflows", GITHUB],
        &["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", GITLAB],
    ];
    for arguments in checks {
        match Command::new(&checker).args(arguments).current_dir(repository()).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => skip(&format!("the schemas of the services: {error}")),
        }
    }
}

/// Runs a script as a runner does, with the program in its path, and returns the exit code and what it said.
fn run(site: &Site, script: &str, temporary: &Path) -> (Option<i32>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_reconcile"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a directory").display());
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .current_dir(site.path())
        .env_clear()
        .env("PATH", path)
        .env("RUNNER_TEMP", temporary)
        .env("GITHUB_STEP_SUMMARY", temporary.join("summary.md"))
        .env("GITHUB_OUTPUT", temporary.join("output"))
        .env("RECONCILE_ACK", "")
        .output()
        .expect("there is a bash");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_steps_of_the_workflow_do_what_they_say() {
    let scripts = all_scripts();
    let step = |call: &str| scripts.iter().find(|script| script.contains(call)).expect("there is such a step");
    let (plan, save) = (step("reconcile plan manifests"), step("changes=true"));
    let manifest = switch("core", "bk_asset_id: A1", "ports: 48");
    let try_out = |more: &str, manifest: &str, script: &str| {
        let site = Site::with(&state(), &[("manifests/all.yaml", manifest)]);
        site.configure(more);
        let temporary = tempfile::TempDir::new().expect("a directory can be made");
        let snapshot = temporary.path().join("live/snapshot.json");
        std::fs::create_dir(temporary.path().join("live")).expect("a directory can be made");
        // Taken on main, whatever the pull request holds.
        site.write("main/all.yaml", &switch("core", "bk_asset_id: A1", "ports: 24"));
        let taken = site.run(&["snapshot", "main", "--out", &snapshot.display().to_string()]);
        assert_eq!(taken.code, Some(0), "{taken}");
        let (code, said) = run(&site, script, temporary.path());
        let summary = std::fs::read_to_string(temporary.path().join("summary.md")).expect("a summary");
        check_markdown(&summary);
        let output = std::fs::read_to_string(temporary.path().join("output")).unwrap_or_default();
        assert!(site.writes().is_empty());
        (code, said, summary, output)
    };
    let (code, said, summary, _) = try_out("", &manifest, plan);
    assert!(
        code == Some(0) && said.contains("::notice file=manifests/all.yaml,") && summary.contains("ports"),
        "{said}"
    );
    let (code, said, summary, _) = try_out("safety: {maxChanges: 0}\n", &manifest, plan);
    assert!(
        code == Some(3) && said.contains("::error title=refused by a limit::") && summary.contains("--ack"),
        "{said}"
    );
    let (code, said, ..) = try_out("", "kind: [", plan);
    assert!(code == Some(1) && said.contains("::error file=manifests/all.yaml,"), "{said}");
    assert_eq!(try_out("", &manifest, save).3, "changes=true\n");
    assert_eq!(try_out("", &manifest.replace("48", "24"), save).3, "changes=false\n");
}
