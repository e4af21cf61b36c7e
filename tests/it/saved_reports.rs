//! Reports of plans that stand in files, of plans against snapshots, and of what plans hold beside changes.

use serde_json::{Value, json};

use crate::{
    forms::Reports,
    harness::{Site, state, switch},
};

/// The course of an apply, as its events tell it.
const COURSE: &[&str] = &["version", "read_start", "read_complete", "planned_change", "change_summary"];

/// Switches of which one is only reported, and rows of which one is too many.
fn site() -> Site {
    let mut state = state();
    state["bk-cmdb"]["instance_associations"] = [(91, 21), (92, 22)]
        .map(|(id, rack)| {
            json!({"id": id, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": 1,
                "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": rack, "bk_asst_id": "connect"})
        })
        .into_iter()
        .collect();
    let files = switch("one", "bk_asset_id: A1", "ports: 48")
        + &switch("two", "bk_asset_id: A2", "operator: '${WHO:-bob}'")
        + &switch("three", "bk_asset_id: A3", "ports: 96, operator: erin").replace("spec:", "spec:\n  policy: report");
    let cables = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: cables}\nspec:\n  association: \
                  switch_rack\n  mode: exact\n  source: {model: bk_switch, match: {bk_asset_id: A1}}\n  targets: [{model: \
                  bk_rack, id: 21}]\n";
    Site::with(&state, &[("net.yaml", &files), ("cables.yaml", cables)])
}

/// The limits under which all of it passes.
const LIMITS: &[&str] = &["--max-deletes", "1"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().chain(LIMITS).copied().collect()
}

/// A site whose plan was saved.
fn saved() -> Site {
    let site = site();
    let output = site.run(&with(&["plan", "--out", "plan.json"]));
    assert_eq!(output.code, Some(0), "{output}");
    site
}

#[test]
fn what_a_plan_holds_beside_changes_is_reported() {
    let site = site();
    let reports = Reports::of(&site, &with(&["plan"]), 0);
    insta::assert_snapshot!(reports.text("markdown"), @r#"
    <!-- reconcile -->
    ## plan: 0 to add, 2 to update, 1 to delete

    1 unchanged, 1 reported only. 3 calls, 9 reads.

    **1 delete of what no document declares.**

    - impact of all changes of Instance on <code>cmdb</code>: 2 associations

    ### Changes

    <details open><summary><code>~</code> Instance <code>one</code> on <code>cmdb</code>, <code>bk_switch #1</code> – <code>net.yaml:1</code></summary>

    ```diff
    # impact: 2 associations
    - ports: 24
    + ports: 48  # net.yaml:7
    ```

    </details>
    <details open><summary><code>~</code> Instance <code>two</code> on <code>cmdb</code>, <code>bk_switch #2</code> – <code>net.yaml:9</code></summary>

    ```diff
    - operator: "alice"
    + operator: "bob"  # net.yaml:15  (${WHO} by default)
    ```

    </details>
    <details open><summary><code>-</code> InstanceAssociation <code>cables → bk_rack #22</code> on <code>cmdb</code>, <code>association #92</code> (no document declares it) – <code>cables.yaml:6</code></summary>

    ```diff
    - association #92
    - source: sw-1 (bk_switch #1)
    - target: 机柜-2 (bk_rack #22)
    ```

    </details>

    ### Reported only

    Their policy is to report them: nothing is sent.

    <details open><summary><code>~</code> Instance <code>three</code> on <code>cmdb</code>, <code>bk_switch #3</code> – <code>net.yaml:17</code></summary>

    ```diff
    - ports: 24
    + ports: 96  # net.yaml:24
    - operator: "alice"
    + operator: "erin"  # net.yaml:24
    ```

    </details>
    "#);
    insta::assert_snapshot!(reports.text("github"), @r#"
    ::notice file=net.yaml,line=7,col=19,title=update Instance/one::update Instance/one (cmdb, bk_switch #1): ports 24 → 48; impact: 2 associations
    ::notice file=net.yaml,line=15,col=22,title=update Instance/two::update Instance/two (cmdb, bk_switch #2): operator "alice" → "bob"
    ::notice file=cables.yaml,line=6,col=9,title=delete InstanceAssociation/cables → bk_rack #22::delete InstanceAssociation/cables → bk_rack #22 (cmdb, association #92): no document declares it
    ::notice file=net.yaml,line=24,col=19,title=reported only%3A update Instance/three::reported only: update Instance/three (cmdb, bk_switch #3): ports 24 → 96, operator "alice" → "erin"
    "#);
    let planned: Vec<_> = reports
        .events("planned_change")
        .iter()
        .map(|event| json!([event["address"], event["policy"], event["implicit"], event["impact"]]))
        .collect();
    assert_eq!(planned.len(), 4);
    assert_eq!(
        planned.iter().find(|row| row[1] == "report"),
        Some(&json!(["Instance/three", "report", false, {}])),
        "{planned:?}"
    );
    assert!(planned.iter().any(|row| row[0] == "Instance/one" && row[3]["associations"] == 2), "{planned:?}");
    assert_eq!(planned.iter().filter(|row| row[2] == true).count(), 1, "{planned:?}");
    assert_eq!(reports.events("change_summary")[0]["reported"], 1);
    let sarif = reports.json("sarif");
    let reported = sarif["runs"][0]["results"].as_array().into_iter().flatten().find(|row| row["ruleId"] == "reported");
    assert_eq!(reported.map(|row| &row["level"]), Some(&json!("note")));
    if let Some(suites) = reports.suites() {
        let cases = suites[1]["cases"].as_array().expect("cases");
        let of =
            |name: &str| cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("{name}: {suites}"));
        let three = of("Instance/three (reported only)");
        assert_eq!((&three["found"][0][0], &three["found"][1]), (&json!("skipped"), &Value::Null), "{three}");
        assert_eq!(of("Instance/one")["found"][0][0], "skipped");
        assert!(!suites.to_string().contains("failure"), "{suites}");
        assert_eq!(suites[0]["properties"]["reported"], "1");
    }
    // The text that lets it pass is beside the impact.
    let reports = Reports::of(&site, &with(&["plan", "--max-impact", "associations=1"]), 3);
    let refused = "associations affected by the changes of Instance on cmdb: 2, over the limit of 1";
    assert!(reports.text("markdown").contains(refused), "{}", reports.text("markdown"));
    assert!(
        reports.text("markdown").contains("- impact of all changes of Instance on <code>cmdb</code>: 2 associations")
    );
}

#[test]
fn a_saved_plan_is_shown_in_every_form() {
    let site = saved();
    let reports = Reports::still(&site, &["show", "plan.json", "--calls"], 0);
    assert_eq!(reports.json("json")["summary"]["update"], 2);
    for part in [
        "### Reported only",
        "(${WHO} by default)",
        "impact: 2 associations",
        "no document declares it",
        "update_inst {",
    ] {
        assert!(reports.text("markdown").contains(part), "{part}: {}", reports.text("markdown"));
    }
    site.write("cut.json", "{\n  \"apiVersion\": \"reconcile/v1\", \"kind\": \"Plan\"");
    for file in ["cut.json", "none.json"] {
        let reports = Reports::still(&site, &["show", file], 1);
        let document = reports.json("json");
        assert!(document["errors"][0].as_str().is_some_and(|error| error.starts_with(file)), "{document}");
        assert!(reports.text("markdown").contains("## show: 1 error"), "{}", reports.text("markdown"));
        assert_eq!(reports.annotations()[0].kind, "error");
    }
    let output = site.run(&["show", "plan.json", "--events", "events"]);
    assert_eq!(output.code, Some(64), "there are no events to write: {output}");
}

#[test]
fn a_saved_plan_is_applied_in_every_form() {
    let site = saved();
    let reports = Reports::of(&site, &with(&["apply", "plan.json", "-y"]), 0);
    assert_eq!(reports.json("json")["outcomes"].as_array().map(Vec::len), Some(3));
    assert!(reports.text("markdown").contains("## apply: 3 of 3 changes applied"), "{}", reports.text("markdown"));
    assert_eq!(reports.course()[..5], *COURSE);
    assert_eq!(reports.events("planned_change").len(), 4);
    assert_eq!((reports.events("apply_start").len(), reports.events("apply_complete").len()), (3, 3));
    // All of it is so already: no trouble, and nothing is sent.
    let reports = Reports::of(&site, &with(&["apply", "plan.json", "-y"]), 0);
    assert!(reports.text("markdown").contains("Outcomes: 3 already true."), "{}", reports.text("markdown"));
    assert!(reports.annotations().iter().all(|annotation| annotation.kind == "notice"), "{:?}", reports.annotations());
    let told = reports.events("apply_complete");
    assert_eq!((told.len(), &told[0]["outcome"], &told[0]["message"]), (3, &json!("already_true"), &Value::Null));
    assert_eq!(reports.events("run_summary")[0]["outcomes"], json!({"already_true": 3}));
    if let Some(suites) = reports.suites() {
        let cases = suites[1]["cases"].as_array().expect("cases");
        let found: Vec<_> = cases.iter().map(|case| &case["found"][0][0]).collect();
        assert_eq!(found, ["system-out", "system-out", "system-out", "skipped"], "{cases:?}");
    }
}

#[test]
fn a_stale_plan_is_reported_in_every_form() {
    let site = saved();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    let stopped = Reports::of(&site, &with(&["apply", "plan.json", "-y"]), 4);
    assert!(stopped.text("markdown").contains("## apply: 0 of 3 changes applied"), "{}", stopped.text("markdown"));
    assert_eq!(stopped.course()[5..], ["diagnostic", "apply_errored", "apply_progress", "run_summary"]);
    let skipped = Reports::of(&site, &with(&["apply", "plan.json", "-y", "--partial-stale=skip"]), 4);
    assert!(skipped.text("markdown").contains("## apply: 2 of 3 changes applied"), "{}", skipped.text("markdown"));
    for reports in [&stopped, &skipped] {
        assert!(reports.text("markdown").contains("! not sent: it is no longer as it was"));
        assert_eq!(reports.events("apply_errored")[0]["outcome"], "stale");
        let errors = reports
            .annotations()
            .into_iter()
            .filter(|annotation| annotation.kind == "error" && annotation.file.is_some());
        assert_eq!(errors.map(|annotation| annotation.title).collect::<Vec<_>>(), ["update Instance/one"]);
        if let Some(suites) = reports.suites() {
            let cases = suites[1]["cases"].as_array().expect("cases");
            let value = cases.iter().find(|case| case["name"] == "Instance/one");
            assert_eq!(value.map(|case| &case["found"][0][1]), Some(&json!("stale")));
        }
    }
    assert_eq!(stopped.events("run_summary")[0]["outcomes"], json!({"stale": 1}));
}

#[test]
fn a_saved_plan_that_cannot_be_applied_is_reported() {
    let site = saved();
    site.write("cut.json", "{\n  \"apiVersion\": \"reconcile/v1\", \"kind\": \"Plan\"");
    for (arguments, code) in [
        (&["apply", "cut.json", "-y"][..], 1),
        (&["apply", "none.json", "-y"], 1),
        (&["apply", "plan.json", "net.yaml", "-y"], 64),
        (&["apply", "plan.json", "-y", "--prune"], 64),
        (&["apply", "plan.json", "--max-deletes", "1"], 64),
    ] {
        let reports = Reports::of(&site, arguments, code);
        assert_eq!(reports.json("json")["errors"].as_array().map(Vec::len), Some(1), "{arguments:?}");
        assert_eq!(reports.annotations()[0].kind, "error", "{arguments:?}");
        assert_eq!(reports.events("diagnostic").len(), 1, "{arguments:?}");
    }
    site.write("reconcile.yaml", "apiVersion: reconcile/v1\nkind: Config\ntarget: {}\n");
    let reports = Reports::of(&site, &["apply", "plan.json", "-y"], 1);
    assert!(reports.text("markdown").contains("--> reconcile.yaml:3"), "{}", reports.text("markdown"));
    assert!(site.writes().is_empty());
}

#[test]
fn a_plan_against_a_snapshot_is_reported_in_every_form() {
    let site = site();
    let output = site.run(&["snapshot", "--out", "state.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.sandbox().clear_calls();
    let reports = Reports::of(&site, &with(&["plan", "--against", "state.json"]), 0);
    assert!(site.sandbox().calls().is_empty());
    assert_eq!(reports.json("json")["summary"]["reported"], 1);
    assert_eq!(reports.course(), [COURSE, &["run_summary"]].concat());
    assert_eq!(reports.events("read_complete")[0]["reads"], 0);
    site.write("cut.json", "{");
    for file in ["cut.json", "none.json"] {
        let reports = Reports::of(&site, &["plan", "--against", file], 1);
        assert!(reports.text("markdown").contains("## plan: 1 error"), "{}", reports.text("markdown"));
    }
}
