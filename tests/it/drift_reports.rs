//! Reports of `drift` in every form: which side moved, who moved it, and when.

use serde_json::json;

use crate::{
    forms::Reports,
    harness::{Site, state, switch},
};

/// One field that somebody else changed, one that the manifest says anew, and one that is only reported.
fn site() -> Site {
    let report = switch("two", "bk_asset_id: A2", "operator: alice").replace("spec:", "spec:\n  policy: report");
    let files = switch("one", "bk_asset_id: A1", "operator: alice, ports: 24") + &report;
    let mut state = state();
    state["bk-cmdb"]["time_zone"] = json!("Asia/Shanghai");
    let site = Site::with(&state, &[("net.yaml", &files)]);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 2, "operator": "bob"}));
    site.write("net.yaml", &files.replace("ports: 24", "ports: 96"));
    site
}

/// A text without the moment of what happened.
fn timeless(text: &str) -> String {
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").expect("it is right");
    time.replace_all(text, "[moment]").into_owned()
}

#[test]
fn every_form_tells_who_did_it() {
    let site = site();
    let reports = Reports::of(&site, &["drift", "--detailed-exitcode"], 2);
    insta::assert_snapshot!(timeless(reports.text("markdown")), @r#"
    <!-- reconcile -->
    ## drift: 2 drifted, 0 edited, 0 unknown which

    0 unchanged, 1 reported only. Values go from the live to the declared one, as in a plan. 5 reads.

    ### Differences

    <details open><summary>drift <code>~</code> Instance <code>one</code> on <code>cmdb</code>, <code>bk_switch #1</code> – <code>net.yaml:1</code></summary>

    ```diff
    - operator: "bob"
    + operator: "alice"  # net.yaml:7
    ! drift: changed [moment] +08:00 by zoe (audit record)
    - ports: 24
    + ports: 96  # net.yaml:7
    # edit: not changed since [moment] +08:00 (audit record)
    ```

    </details>

    ### Reported only

    Their policy is to report them: nothing is sent.

    <details open><summary>drift <code>~</code> Instance <code>two</code> on <code>cmdb</code>, <code>bk_switch #2</code> – <code>net.yaml:9</code></summary>

    ```diff
    - operator: "bob"
    + operator: "alice"  # net.yaml:16
    ! drift: changed [moment] +08:00 by zoe (audit record)
    ```

    </details>
    "#);
    insta::assert_snapshot!(timeless(reports.text("github")), @r#"
    ::warning file=net.yaml,line=7,col=22,title=drift%3A update Instance/one::drift: update Instance/one (cmdb, bk_switch #1): operator live "bob", declared "alice", drift: changed [moment] +08:00 by zoe (audit record); ports live 24, declared 96, edit: not changed since [moment] +08:00 (audit record)
    ::warning file=net.yaml,line=16,col=22,title=drift%2C reported only%3A update Instance/two::drift, reported only: update Instance/two (cmdb, bk_switch #2): operator live "bob", declared "alice", changed [moment] +08:00 by zoe (audit record)
    "#);
    let document = reports.json("json");
    assert_eq!(document["kind"], "Drift");
    assert_eq!(document["summary"]["drift"], 2);
    let sarif = reports.json("sarif");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let told: Vec<_> = results.iter().map(|result| (result["ruleId"].as_str(), result["level"].as_str())).collect();
    assert_eq!(told, [(Some("drift"), Some("warning")); 2]);
    let planned = reports.events("planned_change");
    assert_eq!(planned.len(), 2);
    assert_eq!((&planned[1]["verdict"], &planned[1]["policy"]), (&json!("drift"), &json!("report")));
    assert!(planned[1]["authors"].as_str().is_some_and(|authors| authors.contains("by zoe")), "{:?}", planned[1]);
    if let Some(suites) = reports.suites() {
        let found: Vec<_> =
            suites[1]["cases"].as_array().expect("cases").iter().map(|case| &case["found"][0]).collect();
        assert!(found.iter().all(|found| found[0] == "failure" && found[1] == "drift"), "{found:?}");
    }
    // With the calls that would undo it.
    let reports = Reports::of(&site, &["drift", "--calls"], 0);
    assert_eq!(reports.json("json")["calls"].as_array().map(Vec::len), Some(1));
    assert!(reports.text("markdown").contains("update_inst {"));
}

#[test]
fn an_edit_alone_is_a_note_and_what_nobody_knows_is_said() {
    let site = site();
    let gone = switch("gone", "bk_inst_name: sw-9", "ports: 1").replace("spec:", "spec:\n  ensure: present");
    site.write("net.yaml", &(switch("three", "bk_asset_id: A3", "ports: 96, operator: erin") + &gone));
    let reports = Reports::of(&site, &["drift"], 0);
    assert!(reports.text("markdown").contains("## drift: 0 drifted, 2 edited, 0 unknown which"));
    assert!(reports.text("markdown").contains("# edit: never there (audit record)"), "{}", reports.text("markdown"));
    assert!(
        reports
            .annotations()
            .iter()
            .all(|annotation| annotation.kind == "notice" && annotation.title.starts_with("edit: "))
    );
    if let Some(suites) = reports.suites() {
        let cases = suites[1]["cases"].as_array().expect("cases");
        let found: Vec<_> = cases.iter().map(|case| (&case["found"][0][0], &case["found"][0][1])).collect();
        assert_eq!(found, [(&json!("skipped"), &json!("edit")); 2], "{cases:?}");
    }
    // A source that two fields share is said once.
    assert_eq!(reports.text("github").matches("by admin").count(), 1, "{}", reports.text("github"));
    site.faults(&json!([{"operation": "list_operation_audit", "fault": "code", "code": 9_900_403, "message": "no"}]));
    let reports = Reports::of(&site, &["drift"], 0);
    let titles: Vec<_> = reports.annotations().into_iter().map(|annotation| annotation.title).collect();
    assert_eq!(titles, ["drift or edit: create Instance/gone", "edit: update Instance/three"]);
    // Nothing differs.
    site.write("net.yaml", &switch("three", "bk_asset_id: A3", "ports: 24"));
    let reports = Reports::of(&site, &["drift", "--detailed-exitcode"], 0);
    assert!(reports.text("markdown").contains("## drift: no differences\n\n1 unchanged."));
    assert_eq!(reports.text("github"), "");
    // And where nothing could be compared.
    site.write("net.yaml", "a: [\n");
    let reports = Reports::of(&site, &["drift"], 1);
    assert_eq!(reports.json("json")["kind"], "Validation");
}
