//! Reports for reviews: written on every path, in every form, and harmless whatever they tell of.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    forms::Reports,
    harness::{Site, state, switch, wait_until},
};

/// Two changes, one of them of two fields.
fn two() -> String {
    switch("core", "bk_asset_id: A1", "ports: 48, operator: bob") + &switch("edge", "bk_asset_id: A2", "ports: 48")
}

fn site() -> Site {
    Site::with(&state(), &[("all.yaml", &two())])
}

fn outcomes(document: &Value) -> Vec<&str> {
    document["outcomes"]
        .as_array()
        .map(|all| all.iter().filter_map(|row| row["outcome"].as_str()).collect())
        .unwrap_or_default()
}

#[test]
fn a_plan_is_reported() {
    let site = site();
    let reports = Reports::of(&site, &["plan"], 0);
    insta::assert_snapshot!(reports.text("markdown"), @r#"
    <!-- reconcile -->
    ## plan: 0 to add, 2 to update, 0 to delete

    0 unchanged. 2 calls, 3 reads.

    ### Changes

    <details open><summary><code>~</code> Instance <code>core</code> on <code>cmdb</code>, <code>bk_switch #1</code> – <code>all.yaml:1</code></summary>

    ```diff
    - ports: 24
    + ports: 48  # all.yaml:7
    - operator: "alice"
    + operator: "bob"  # all.yaml:7
    ```

    </details>
    <details open><summary><code>~</code> Instance <code>edge</code> on <code>cmdb</code>, <code>bk_switch #2</code> – <code>all.yaml:9</code></summary>

    ```diff
    - ports: 24
    + ports: 48  # all.yaml:15
    ```

    </details>
    "#);
    insta::assert_snapshot!(reports.text("github"), @r#"
    ::notice file=all.yaml,line=7,col=19,title=update Instance/core::update Instance/core (cmdb, bk_switch #1): ports 24 → 48, operator "alice" → "bob"
    ::notice file=all.yaml,line=15,col=19,title=update Instance/edge::update Instance/edge (cmdb, bk_switch #2): ports 24 → 48
    "#);
    insta::assert_snapshot!(reports.text("gitlab"), @r#"{"create":0,"delete":0,"update":2}"#);
    assert_eq!(reports.events("planned_change").len(), 2);
    assert_eq!(reports.events("change_summary")[0]["update"], 2);
    assert_eq!(reports.events("read_complete").len(), 1);
    let sarif = reports.json("sarif");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["level"], &result["ruleId"]), (&json!("note"), &json!("update")));
    assert_eq!(result["locations"][0]["physicalLocation"]["region"], json!({"startLine": 7, "startColumn": 19}));
    assert_eq!(result["relatedLocations"].as_array().map(Vec::len), Some(2));
    if let Some(suites) = reports.suites() {
        assert_eq!(suites[0]["properties"], json!({"unchanged": "0", "calls": "2"}));
        assert_eq!(suites[1]["name"], "cmdb");
        assert_eq!(suites[1]["cases"][0]["file"], "all.yaml");
        // A change that is planned is no test that failed.
        let found = &suites[1]["cases"][0]["found"];
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!((&found[0][0], &found[0][1]), (&json!("skipped"), &json!("update")));
        assert_eq!(found[0][2], r#"update: ports 24 → 48, operator "alice" → "bob""#);
    }
    // With the calls, where they are asked for.
    assert!(!reports.text("markdown").contains("update_inst"));
    assert!(Reports::of(&site, &["plan", "--calls"], 0).text("markdown").contains("update_inst {"));
}

#[test]
fn an_apply_is_reported() {
    let site = site();
    let reports = Reports::of(&site, &["apply", "-y"], 0);
    assert_eq!(outcomes(&reports.json("json")), ["applied", "applied"]);
    assert!(reports.text("markdown").contains("## apply: 2 of 2 changes applied"), "{}", reports.text("markdown"));
    assert!(
        reports
            .annotations()
            .iter()
            .all(|annotation| annotation.kind == "notice" && annotation.message.starts_with("applied: "))
    );
    assert_eq!(reports.events("apply_start").len(), 2);
    assert_eq!(reports.events("apply_complete").len(), 2);
    assert_eq!(reports.events("apply_progress").last().map(|event| event["done"].clone()), Some(json!(2)));
    assert_eq!(reports.events("run_summary")[0]["outcomes"], json!({"applied": 2}));
    if let Some(suites) = reports.suites() {
        assert!(suites[1]["cases"].as_array().is_some_and(|cases| cases.iter().all(|case| case["found"] == json!([]))));
    }
    // And then nothing is to be done.
    let reports = Reports::of(&site, &["plan", "--detailed-exitcode"], 0);
    assert!(reports.text("markdown").contains("## plan: no changes\n\n2 unchanged."), "{}", reports.text("markdown"));
    assert_eq!(reports.text("github"), "");
    assert_eq!(reports.json("gitlab-code-quality"), json!([]));
    if let Some(suites) = reports.suites() {
        assert_eq!(suites[0]["cases"][0]["found"][0][0], "system-out");
    }
}

#[test]
fn failures_are_reported_where_their_cause_was_written() {
    let site = site();
    site.faults(&json!([{"operation": "update_inst", "nth": 1, "fault": "code", "code": 1_101_000, "message": "no\n::error::way"}]));
    let reports = Reports::of(&site, &["apply", "-y", "--parallelism", "1"], 5);
    let mut outcomes = outcomes(&reports.json("json")).into_iter().map(str::to_owned).collect::<Vec<_>>();
    outcomes.sort();
    assert_eq!(outcomes, ["applied", "refused"]);
    let all = reports.annotations();
    let errors: Vec<_> = all.iter().filter(|annotation| annotation.kind == "error").collect();
    assert!(errors.len() == 1 && errors[0].message.contains("no\\n::error::way"), "{errors:?}");
    assert!(errors[0].file.as_deref() == Some("all.yaml") && errors[0].line.is_some());
    assert_eq!(reports.events("apply_errored")[0]["outcome"], "refused");
    assert!(reports.text("markdown").contains("<summary>✗ <code>~</code>"));
    assert_eq!(reports.json("sarif")["runs"][0]["invocations"][0]["executionSuccessful"], false);
    if let Some(suites) = reports.suites() {
        let found: Vec<_> =
            suites[1]["cases"].as_array().into_iter().flatten().filter(|case| case["found"] != json!([])).collect();
        assert!(found.len() == 1 && found[0]["found"][0][1] == "refused", "{found:?}");
    }
}

#[test]
fn broken_manifests_are_reported_by_every_command() {
    for command in [&["plan"][..], &["apply", "-y"], &["validate"]] {
        let site = Site::with(&state(), &[("a/one.yaml", "kind: Instance\nmodle: x\n"), ("two.yaml", "a: [\n")]);
        let reports = Reports::of(&site, command, 1);
        let document = reports.json("json");
        assert_eq!((&document["kind"], &document["valid"]), (&json!("Validation"), &json!(false)), "{document}");
        let wrong = document["diagnostics"].as_array().map_or(0, Vec::len);
        assert!(wrong > 1);
        assert_eq!(reports.events("diagnostic").len(), wrong);
        assert!(reports.annotations().iter().any(|annotation| annotation.file.as_deref() == Some("a/one.yaml")));
        assert!(reports.text("markdown").contains(" --> two.yaml:"), "{}", reports.text("markdown"));
        let results = reports.json("sarif")["runs"][0]["results"].as_array().map_or(0, Vec::len);
        assert_eq!(results, wrong);
        if let Some(suites) = reports.suites() {
            assert_eq!(suites[0]["cases"][0]["found"][0][0], "error");
        }
    }
}

#[test]
fn a_refused_plan_is_reported_with_what_lets_it_pass() {
    let site = site();
    for command in [&["plan", "--max-changes", "1"][..], &["apply", "-y", "--max-changes", "1"]] {
        let reports = Reports::of(&site, command, 3);
        let document = reports.json("json");
        let pass = format!("--ack '{}'", document["acknowledgement"].as_str().expect("the text"));
        assert_eq!(document["acknowledged"], false);
        assert!(reports.text("markdown").contains(&pass));
        assert!(
            reports
                .annotations()
                .iter()
                .any(|annotation| annotation.kind == "error" && annotation.message.contains(&pass))
        );
        assert!(reports.text("gitlab-code-quality").contains("over the limit of 1"));
        let notes = reports.json("sarif")["runs"][0]["invocations"][0]["toolExecutionNotifications"].to_string();
        assert!(notes.contains("over the limit of 1"), "{notes}");
        if let Some(suites) = reports.suites() {
            assert_eq!(suites[0]["cases"][0]["found"][0][1], "limit");
        }
    }
    let document = site.run(&["plan", "--max-changes", "1", "-o", "json"]).json();
    let pass = document["acknowledgement"].as_str().expect("the text");
    let reports = Reports::of(&site, &["plan", "--max-changes", "1", "--ack", pass], 0);
    assert_eq!(reports.json("json")["acknowledged"], true);
    assert!(reports.annotations().iter().all(|annotation| annotation.kind != "error"), "{}", reports.text("github"));
    assert!(reports.text("markdown").contains("### Over a limit, acknowledged"));
    assert!(site.writes().is_empty());
}

#[test]
fn what_cannot_be_read_or_is_missing_is_reported() {
    let missing = switch("gone", "bk_asset_id: A9", "ports: 48");
    let link = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: link}\nspec:\n  association: switch_rack\n  source: {ref: gone}\n  targets: [{model: bk_rack, id: 21}]\n";
    let site = Site::with(&state(), &[("all.yaml", &(two() + &missing + link))]);
    let reports = Reports::of(&site, &["plan"], 1);
    let document = reports.json("json");
    let causes: Vec<_> = document["blocked"].as_array().into_iter().flatten().map(|row| row["cause"].clone()).collect();
    assert_eq!(causes, ["wrong", "needs"], "{document}");
    let all = reports.annotations();
    let errors: Vec<_> = all
        .iter()
        .filter(|annotation| annotation.kind == "error")
        .map(|annotation| annotation.title.as_str())
        .collect();
    assert_eq!(errors, ["error P100", "InstanceAssociation/link → bk_rack #21"]);
    site.faults(&json!([{"fault": "code", "code": 1_101_000, "message": "@here <b>#1</b>\u{202e}"}]));
    let reports = Reports::of(&site, &["plan"], 5);
    assert!(reports.text("markdown").contains("could not be read"), "{}", reports.text("markdown"));
    assert!(reports.text("sarif").contains("\"ruleId\":\"unread\""));
    // The ids of requests differ from run to run, and fingerprints do not.
    let prints = |reports: &Reports| -> Vec<Value> {
        reports
            .json("gitlab-code-quality")
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| row["fingerprint"].clone())
            .collect()
    };
    assert_eq!(prints(&reports), prints(&Reports::of(&site, &["plan"], 5)));
}

#[test]
fn a_run_that_did_not_start_is_reported() {
    let bare = Site::with(&state(), &[("all.yaml", &two())]);
    std::fs::remove_file(bare.path().join("reconcile.yaml")).expect("it is there");
    for (command, code) in [
        (&["plan"][..], 1),
        (&["apply", "-y"], 1),
        (&["validate", "--online"], 1),
        (&["plan", "-l", "=b"], 64),
        (&["plan", "--target", "Instance/none"], 64),
        (&["validate", "--values", "none.yaml"], 64),
        (&["plan", "none.yaml"], 1),
    ] {
        let reports = Reports::of(&bare, command, code);
        let document = reports.json("json");
        assert_eq!(document["valid"], false, "{command:?}");
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(1), "{command:?}: {document}");
        assert!(reports.text("markdown").contains(": 1 error"), "{}", reports.text("markdown"));
        assert_eq!(reports.annotations()[0].kind, "error");
        assert_eq!(reports.events("diagnostic").len(), 1);
    }
    let site = site();
    let reports = Reports::of(&site, &["apply"], 64);
    assert!(reports.json("json")["errors"][0].as_str().is_some_and(|error| error.contains("no terminal")));
    assert!(reports.text("github").contains("no terminal"));
    let reports = Reports::of(&site, &["apply", "--dry-run"], 0);
    assert_eq!(reports.json("json")["errors"], Value::Null);
    let reports = Reports::of(&site, &["validate"], 0);
    assert_eq!(reports.json("json")["valid"], true);
    assert!(reports.text("markdown").contains("## validate: valid"));
}

/// Runs a command and ends it by a signal once something holds.
fn interrupted(site: &Site, command: &[&str], holds: impl Fn() -> bool) -> Reports {
    Reports::prepare(site);
    let flags = Reports::flags();
    let all: Vec<&str> = command.iter().copied().chain(flags.iter().map(String::as_str)).collect();
    let mut child = site.command(&all);
    let child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("it is on its way", holds);
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    let output = site.collect(child);
    assert_eq!(output.code, Some(143), "{output}");
    Reports::written(site, 143)
}

#[test]
fn an_interrupted_run_is_reported() {
    let site = site();
    site.faults(&json!([{"fault": "delay", "ms": 20_000}]));
    for command in [&["plan"][..], &["apply", "-y"], &["validate", "--online"]] {
        let events = site.path().join(".out/events.ndjson");
        let reads = || std::fs::read_to_string(&events).is_ok_and(|events| events.contains("read_start"));
        let reports = interrupted(&site, command, reads);
        let document = reports.json("json");
        assert_eq!(document["kind"], "Validation");
        assert!(document["errors"][0].as_str().is_some_and(|error| error.starts_with("interrupted")), "{document}");
        assert!(reports.text("markdown").contains("error: interrupted"));
    }
    site.write("more.yaml", &switch("more", "bk_asset_id: A3", "ports: 48"));
    site.faults(&json!([{"operation": "update_inst", "fault": "delay", "ms": 1500}]));
    let reports = interrupted(&site, &["apply", "-y", "--parallelism", "1"], || !site.writes().is_empty());
    let document = reports.json("json");
    assert!(outcomes(&document).contains(&"interrupted"), "{document}");
    assert!(reports.text("markdown").contains("! not sent: the run was interrupted"));
    assert!(!reports.events("apply_errored").is_empty());
}

#[test]
fn what_comes_from_stdin_has_no_file_to_point_at() {
    let site = Site::new(&state());
    Reports::prepare(&site);
    let flags = Reports::flags();
    let all: Vec<&str> = ["plan", "-"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let output = site.run_on(&two(), &all);
    assert_eq!(output.code, Some(0), "{output}");
    let reports = Reports::written(&site, 0);
    assert!(reports.annotations().iter().all(|annotation| annotation.file.is_none()));
    assert!(reports.text("markdown").contains("<code>&lt;stdin&gt;:1</code>"), "{}", reports.text("markdown"));
    let run = &reports.json("sarif")["runs"][0];
    assert_eq!(run["results"], json!([]));
    assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let site = site();
    for flag in ["--output-file=sarif=none/report.sarif", "--events=none/events"] {
        let output = site.run(&["plan", flag]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains("cannot write none/"), "{output}");
    }
}

#[test]
fn the_same_form_goes_to_stdout() {
    let site = site();
    for form in ["json", "yaml", "markdown", "github", "gitlab", "gitlab-code-quality", "sarif", "junit"] {
        let output = site.run(&["plan", "-o", form, "--output-file", &format!("{form}=same")]);
        let file = std::fs::read_to_string(site.path().join("same")).expect("it was written");
        assert_eq!(output.stdout, file, "{form}");
    }
    let output = site.run(&["plan", "-o", "jsn"]);
    assert_eq!(output.code, Some(64), "{output}");
}

#[test]
fn reports_are_written_where_stdout_takes_nothing() {
    let report = |site: &Site, command: &str, stdout: Stdio| {
        let mut run = site.command(&[command, "--output-file", "json=report.json"]);
        let output = run.stdout(stdout).stderr(Stdio::piped()).output().expect("the program runs");
        let text = std::fs::read_to_string(site.path().join("report.json")).expect("the report is written");
        let document: Value = serde_json::from_str(&text).expect("it is JSON");
        (output.status.code(), document["kind"].clone(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device").into();
    // A reader that went away, as `| head` does, is no error.
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    for command in ["plan", "drift"] {
        let site = site();
        let (code, kind, _) = report(&site, command, closed());
        assert_eq!(code, Some(0), "{command}");
        assert!(kind.is_string(), "{command}");
        let (code, kind, stderr) = report(&site, command, full());
        assert_eq!(code, Some(1), "{command}: {stderr}");
        assert!(kind.is_string(), "{command}");
        assert_eq!(stderr.matches("the result could not be written").count(), 1, "{command}: {stderr}");
    }
    // Broken manifests are reported there too.
    let site = Site::with(&state(), &[("all.yaml", "apiVersion: bk-cmdb/v1\nkind: Instans\n")]);
    let (code, kind, _) = report(&site, "plan", full());
    assert_eq!((code, kind), (Some(1), json!("Validation")));
}
