//! `reconcile history`: what journals tell of runs.

use serde_json::{Value, json};

use crate::{
    forms::check_document,
    harness::{Site, state, switch},
};

/// A site after one run that updates one object, creates another, and is refused a third.
fn site() -> Site {
    let manifests = [
        switch("one", "bk_asset_id: A1", "ports: 48"),
        switch("new", "bk_asset_id: A9", "bk_inst_name: sw-9").replace("spec:\n", "spec:\n  ensure: present\n"),
        switch("two", "bk_asset_id: A2", "ports: 48"),
    ];
    let site = Site::with(&state(), &[("all.yaml", &manifests.concat())]);
    site.faults(&json!([{"operation": "update_inst", "nth": 2, "fault": "code", "code": 1_199_014, "message": "no"}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    site
}

fn run_of(document: &Value) -> &Value {
    let runs = document["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1, "{document}");
    &runs[0]
}

#[test]
fn runs_are_listed_and_shown() {
    let site = site();
    let list = site.run(&["history"]);
    assert_eq!(list.code, Some(0), "{list}");
    let row = list.stdout.lines().nth(1).expect("a run");
    for part in ["apply", "cmdb", "+1 ~2 -0", "partial"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    let document = site.run(&["history", "-o", "json"]).json();
    check_document(&document);
    let run = run_of(&document);
    assert_eq!((&run["verdict"], &run["journal"]), (&json!("partial"), &json!("whole")));
    assert_eq!(run["counts"], json!({"create": 1, "update": 2, "delete": 0}));
    assert_eq!(run["outcomes"], json!({"applied": 2, "refused": 1}));
    assert!(run.get("changes").is_none());
    let id = run["id"].as_str().expect("an id");
    // The beginning of an id will do.
    let document = site.run(&["history", &id[..16], "-o", "json"]).json();
    check_document(&document);
    let changes = run_of(&document)["changes"].as_array().expect("changes");
    let of = |address: &str| changes.iter().find(|change| change["address"] == address).expect("it is there");
    // Which of the two calls came second is not fixed.
    let updates = [(of("Instance/one"), 1), (of("Instance/two"), 2)];
    for (change, id) in updates {
        assert_eq!(change["fields"], json!([{"path": "ports", "before": 24, "after": 48}]));
        assert_eq!((&change["action"], &change["id"]), (&json!("update"), &json!(id)));
        assert_eq!(change["attempts"][0]["operation"], "update_inst");
    }
    let refused: Vec<_> = updates.iter().filter(|(change, _)| change["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].0["detail"].as_str().is_some_and(|detail| detail.contains("no")), "{}", refused[0].0);
    let new = of("Instance/new");
    assert_eq!((&new["action"], &new["outcome"]), (&json!("create"), &json!("applied")));
    assert!(new["id"].is_i64(), "the id that it got: {new}");
    let shown = site.run(&["history", "latest"]);
    for part in [
        &format!("Run {id}: partial"),
        "~ Instance/one  (cmdb, bk_switch #1)  ",
        "ports: 24 → 48",
        "update_inst, attempt 1",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {shown}");
    }
    let yaml = site.run(&["history", "latest", "-o", "yaml"]);
    assert!(yaml.stdout.contains("kind: History"), "{yaml}");
}

#[test]
fn the_newest_runs_come_first_and_can_be_filtered() {
    let site = site();
    site.faults(&json!([]));
    site.run(&["apply", "-y"]);
    let ids = |arguments: &[&str]| -> Vec<(String, String)> {
        let document = site.run(&[&["history", "-o", "json"], arguments].concat()).json();
        let text = |run: &Value, key: &str| run[key].as_str().expect("a text").to_owned();
        document["runs"].as_array().expect("runs").iter().map(|run| (text(run, "id"), text(run, "verdict"))).collect()
    };
    let all = ids(&[]);
    assert_eq!(all.iter().map(|(_, verdict)| verdict.as_str()).collect::<Vec<_>>(), ["converged", "partial"]);
    assert_eq!(ids(&["--limit", "1"]), all[..1]);
    assert_eq!(ids(&["--target", "cmdb"]), all);
    assert!(ids(&["--target", "roma"]).is_empty());
    // Nothing was sent to a server for all that.
    let before = site.sandbox().calls().len();
    site.run(&["history", "latest"]);
    assert_eq!(site.sandbox().calls().len(), before);
}

#[test]
fn journals_that_were_torn_or_edited_say_so() {
    let site = site();
    let run = site.runs().pop().expect("a run");
    let path = site.run_file(&run, "journal");
    let text = std::fs::read_to_string(&path).expect("read");
    let check = |text: &str, verdict: &str, journal: &str| {
        std::fs::write(&path, text).expect("written");
        let document = site.run(&["history", &run, "-o", "json"]).json();
        check_document(&document);
        let run = run_of(&document);
        assert_eq!((&run["verdict"], &run["journal"]), (&json!(verdict), &json!(journal)));
    };
    let cut = text.trim_end().rfind('\n').expect("several lines");
    check(&text[..=cut], "unfinished", "whole");
    check(&text[..cut + 20], "unfinished", "torn");
    check(&text.replace("\"ports\"", "\"units\""), "altered", "altered");
    check("", "altered", "altered");
    check(&text, "partial", "whole");
    // A plan that is another one is not believed, but the journal tells enough.
    let plan = site.run_file(&run, "plan.json");
    std::fs::write(&plan, "{}").expect("written");
    let shown = site.run(&["history", &run]);
    assert!(shown.stderr.contains("the plan of run") && shown.stdout.contains("ports: 24 → 48"), "{shown}");
}

#[test]
fn a_run_that_is_not_there_is_an_error() {
    let site = Site::new(&state());
    let output = site.run(&["history"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "no runs\n"), "{output}");
    for (name, part) in [("latest", "there is no run latest"), ("0123456789", "there is no run"), ("01", "too short")] {
        let output = site.run(&["history", name]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(part), "{output}");
    }
    let mut command = site.command(&["history"]);
    command.env_remove("RECONCILE_STATE_DIR");
    let output = site.end(command, "");
    assert!(output.code == Some(1) && output.stderr.contains("no state directory"), "{output}");
}
