//! Saved plans: what `plan --out` writes, what `show` tells of it, and what `apply FILE` does with it.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, state, switch};

const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";

const NGINX: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    bind_info:
      - {ip: 0.0.0.0, port: 80, protocol: tcp}
";

const MODULE: &str = "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, fields: {operator: [erin]}}
";

const CABLE: &str = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: cable}
spec:
  association: switch_rack
  source: {ref: new}
  targets: [{model: bk_rack, match: {bk_inst_name: rack-1}}]
";

/// The row of the cable.
const CABLE_ROW: &str = "InstanceAssociation/cable → bk_rack rack-1";

/// A site with one change of each kind, and creates among them.
fn site() -> Site {
    let switches = format!(
        "{}{}",
        switch("one", "bk_asset_id: A1", "ports: 48"),
        switch("new", "bk_asset_id: A9", "bk_inst_name: sw-9").replace("spec:\n", "spec:\n  ensure: present\n"),
    );
    let cable = format!("---\n{CABLE}");
    let files = [
        ("app.yaml", APP),
        ("nginx.yaml", NGINX),
        ("module.yaml", MODULE),
        ("net.yaml", &format!("{switches}{cable}")),
    ];
    Site::with(&state(), &files)
}

/// A site whose plan was saved.
fn saved() -> Site {
    let site = site();
    let output = site.run(&["plan", "--out", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.sandbox().clear_calls();
    site
}

fn document(site: &Site) -> Value {
    let text = std::fs::read_to_string(site.path().join("plan.json")).expect("the plan was saved");
    serde_json::from_str(&text).expect("it is JSON")
}

/// The outcomes of a run by address.
fn outcomes(output: &Value) -> Value {
    let rows = output["outcomes"].as_array().into_iter().flatten();
    rows.map(|row| (row["address"].as_str().unwrap_or_default().to_owned(), row["outcome"].clone())).collect()
}

#[test]
fn what_is_sent_is_what_the_file_says() {
    let site = saved();
    let planned = document(&site);
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    let sent = site.writes();
    let mut expected = serde_json::Map::new();
    for call in planned["calls"].as_array().expect("there are calls") {
        let name = call["operation"].as_str().expect("a name").to_owned();
        expected.insert(name, json!(1));
    }
    assert_eq!(operations(&sent), Value::Object(expected));
    // A call without the id of an object that the plan makes goes out as it was saved.
    let bodies = bodies(&sent).to_string();
    assert!(bodies.contains(r#""ports":48"#) && bodies.contains(r#""operator":"erin""#), "{bodies}");
    site.assert_converged();
}

#[test]
fn a_second_apply_finds_all_as_planned() {
    let site = saved();
    assert_eq!(site.run(&["apply", "plan.json", "-y"]).code, Some(0));
    site.sandbox().clear_calls();
    // Nothing to do needs no approval.
    let output = site.run(&["apply", "plan.json", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let outcomes = outcomes(&output.json());
    assert!(outcomes.as_object().is_some_and(|all| all.len() == 6), "{outcomes}");
    assert!(outcomes.as_object().is_some_and(|all| all.values().all(|row| row == "already_true")), "{outcomes}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn show_tells_the_same() {
    let site = site();
    let plan = site.run(&["plan", "--out", "plan.json"]);
    let shown = site.run(&["show", "plan.json"]);
    assert_eq!(shown.code, Some(0), "{shown}");
    let without_costs = |text: &str| text.split(", 18 reads").next().map(str::to_owned).unwrap_or_default();
    let lines =
        |text: &str| text.lines().filter(|line| !line.starts_with("Plan:")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&shown.stdout), lines(&plan.stdout));
    assert!(without_costs(&shown.stdout).contains("Plan: 2 to add, 4 to update, 0 to delete"), "{shown}");
    assert_eq!(site.run(&["show", "plan.json", "-o", "json"]).json(), document(&site));
    assert!(site.run(&["show", "plan.json", "--calls"]).stdout.contains("add_instance_association"));
}

#[test]
fn show_tells_what_was_left_alone() {
    let site = Site::with(&state(), &[("net.yaml", &switch("gone", "bk_asset_id: A7", "ports: 1")), ("app.yaml", APP)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(1));
    insta::assert_snapshot!(site.run(&["show", "plan.json"]), @r#"
    ~ App orders  (roma, app a1)                                        app.yaml:1
        remark         "orders" → "new"                                 app.yaml:4:38

    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged, 1 blocked.   1 call
    ------- stderr -------
    error[P100]: Instance/gone does not exist
    --> net.yaml:6:24
     = help: `ensure: existing` is the default: the object has to be there
    made with the configuration reconcile.yaml
    "#);
}

/// Edits by somebody else after the plan, and whose changes they make stale.
#[test]
fn what_moved_since_is_stale() {
    let check = |operation: &str, body: &Value, moved: &[&str]| {
        let site = saved();
        site.edit(operation, body);
        let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
        let stale: Value = moved.iter().map(|id| ((*id).to_owned(), json!("stale"))).collect();
        if moved.is_empty() {
            assert_eq!(output.code, Some(0), "an unrelated move does not matter: {operation} {body}\n{output}");
            return;
        }
        assert_eq!(output.code, Some(4), "{operation} {body}\n{output}");
        assert_eq!(operations(&site.writes()), json!({}), "all or nothing");
        assert_eq!(outcomes(&output.json()), stale, "{operation} {body}\n{output}");
        for id in moved {
            assert!(output.stderr.contains(&format!("{id} has moved since this was planned: ")), "{output}");
        }
        let output = site.run(&["apply", "plan.json", "-y", "-o", "json", "--partial-stale=skip"]);
        assert_eq!(output.code, Some(4), "{output}");
        for (id, outcome) in outcomes(&output.json()).as_object().expect("outcomes") {
            assert_eq!(*outcome, if moved.contains(&&**id) { "stale" } else { "applied" }, "{id}: {output}");
        }
    };
    let instance = |id: i64, field: &str, value: Value| {
        let mut body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": id});
        body[field] = value;
        body
    };
    check("update_inst", &instance(1, "ports", json!(96)), &["Instance/one"]);
    // The key that it was found by.
    check("update_inst", &instance(1, "bk_asset_id", json!("A100")), &["Instance/one"]);
    check("update_inst", &instance(1, "remark", json!("no concern of ours")), &[]);
    check("update_inst", &instance(2, "ports", json!(96)), &[]);
    check("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1}), &["Instance/one"]);
    check(
        "create_inst",
        &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "sw-9b", "bk_asset_id": "A9"}),
        &["Instance/new", CABLE_ROW],
    );
    check(
        "update_module",
        &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"operator": "mallory"}}),
        &["Module/web"],
    );
    check(
        "update_module",
        &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"bk_bak_operator": "x"}}),
        &[],
    );
    // The whole list is passed back: any row of it matters.
    let rows = json!({"as_default_value": true, "value": [{"row_id": 1, "ip": {"value": "2"}, "port": {"value": "99"}, "protocol": {"value": "1"}}]});
    let property = |name: &str, value: &Value| json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {name: value}});
    check("update_proc_template", &property("bind_info", &rows), &["ProcessTemplate/nginx"]);
    check("update_proc_template", &property("proc_num", &json!({"value": 9})), &[]);
}

#[test]
fn what_an_app_sends_back_matters() {
    let site = saved();
    let mut state = site.sandbox().state();
    state["roma-connect"]["apps"][0]["favorite"] = json!(true);
    site.sandbox().load(&state).expect("the state is right");
    let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(4), "the PUT would take the favorite back: {output}");
    assert_eq!(outcomes(&output.json()), json!({"App/orders": "stale"}));
}

#[test]
fn what_was_done_by_somebody_else_is_not_stale() {
    let site = saved();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 48}));
    let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(outcomes(&output.json())["Instance/one"], "already_true");
    assert_eq!(operations(&site.writes()).get("update_inst"), None);
}

#[test]
fn what_moves_while_others_are_sent_is_seen_right_before_its_call() {
    let site = saved();
    // The second switch is made in the first level; its cable comes after. Somebody connects it in between.
    site.faults(&json!([{"operation": "create_inst", "fault": "second_writer", "times": 1, "edit": {"user": "zoe",
        "operation": "delete_inst", "body": {"bk_obj_id": "bk_rack", "bk_inst_id": 21}}}]));
    let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
    let document = output.json();
    let cable = document["outcomes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|row| row["address"].as_str().is_some_and(|id| id.contains("cable")));
    assert_eq!(cable.map(|row| &row["outcome"]), Some(&json!("stale")), "{output}");
    assert_eq!(output.code, Some(4), "{output}");
    assert_eq!(operations(&site.writes()).get("add_instance_association"), None, "it was not sent");
}

#[test]
fn a_read_that_fails_is_no_leave() {
    let site = saved();
    site.faults(&json!([{"operation": "search_module", "fault": "refuse", "times": 100}]));
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn a_file_that_cannot_be_trusted_is_refused_by_name() {
    let check = |edit: &dyn Fn(String) -> String, reason: &str| {
        let site = saved();
        let text = std::fs::read_to_string(site.path().join("plan.json")).expect("it was saved");
        site.write("plan.json", &edit(text));
        for command in [&["apply", "plan.json", "-y"][..], &["show", "plan.json"]] {
            let output = site.run(command);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains(&format!("plan.json: {reason}")), "{reason}: {output}");
        }
        assert_eq!(site.sandbox().calls().len(), 0, "nothing was asked");
    };
    check(&|text| text.replace("48", "96"), "it was changed after it had been written");
    check(&|text| text[..text.len() / 2].to_owned(), "it is no saved plan: EOF while parsing");
    check(&|text| text.replace(r#""format_version": "2.0""#, r#""format_version": "1.0""#), "its format is 1.0");
    check(&|text| text.replace(r#""format_version": "2.0""#, r#""format_version": "1.9""#), "its format is 1.9");
    check(&|text| text.replace(r#""format_version": "2.0""#, r#""format_version": "2.1""#), "its format is 2.1");
    check(&|text| text.replace(r#""kind": "Plan""#, r#""kind": "Snapshot""#), "it is a Snapshot, no saved plan");
    check(&|_| r#"{"apiVersion": "reconcile/v1", "kind": "Plan"}"#.to_owned(), "its format is unknown");
}

/// Puts the right digest into an edited plan, as anybody can.
fn forge(site: &Site, edit: &dyn Fn(&mut Value)) {
    let mut document = document(site);
    edit(&mut document);
    let mut document = reconcile::plan::file::Document::from(document);
    document.add_digest();
    site.write("plan.json", &document.text());
}

/// The call of an operation in a document.
fn at<'v>(document: &'v mut Value, operation: &str) -> &'v mut Value {
    let calls = document["calls"].as_array_mut().into_iter().flatten();
    calls.into_iter().find(|call| call["operation"] == operation).expect("there is such a call")
}

#[test]
fn calls_that_the_objects_do_not_give_are_refused() {
    let check = |edit: &dyn Fn(&mut Value), reason: &str| {
        let site = saved();
        forge(&site, edit);
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(reason), "{reason}: {output}");
        assert_eq!(operations(&site.writes()), json!({}), "nothing was sent");
    };
    check(
        &|document| {
            let mut call = at(document, "update_module").clone();
            call["operation"] = json!("delete_inst");
            call["arguments"] = json!({"bk_obj_id": "bk_switch", "inst_id": 1});
            document["calls"].as_array_mut().expect("a list").push(call);
        },
        "its call `delete_inst` is not what Module/web gives now",
    );
    check(
        &|document| at(document, "update_module")["arguments"]["data"]["bk_module_name"] = json!("gone"),
        "its call `update_module` is not what Module/web gives now",
    );
    check(
        &|document| {
            let calls = document["calls"].as_array_mut().expect("a list");
            calls.retain(|call| call["operation"] != "update_module");
        },
        "it lacks the call `update_module` that Module/web needs",
    );
    // As it was, a file written anew is what it was.
    let site = saved();
    forge(&site, &|_| {});
    assert_eq!(site.run(&["apply", "plan.json", "-y"]).code, Some(0));
}

#[test]
fn a_plan_that_contradicts_itself_is_refused_and_shown_as_such() {
    let check = |edit: &dyn Fn(&mut Value), reason: &str| {
        let site = saved();
        forge(&site, edit);
        for arguments in
            [&["apply", "plan.json", "-y"][..], &["show", "plan.json"], &["show", "plan.json", "-o", "json"]]
        {
            let output = site.run(arguments);
            assert_eq!(output.code, Some(1), "{arguments:?}: {output}");
            assert!(output.stderr.contains(reason), "{reason}: {arguments:?}: {output}");
            let is_shown = output.stdout.contains("Module/web") || output.stdout.contains("Module web");
            assert_eq!(is_shown, arguments[0] == "show", "{arguments:?}: {output}");
        }
        assert_eq!(operations(&site.writes()), json!({}), "nothing was sent");
    };
    check(&|document| at(document, "update_module")["serves"] = json!([]), "`update_module` serves no object");
    check(
        &|document| at(document, "update_module")["serves"] = json!(["Module/other"]),
        "its call `update_module` serves Module/other, without a change there",
    );
    let count = |document: &mut Value, count: usize| {
        let rows = document["live"].as_array_mut().expect("a list");
        rows.iter_mut().find(|row| row["kind"] == "Module").expect("there is one")["count"] = json!(count);
    };
    // Limits on shares count among these.
    check(&|document| count(document, 5000), "live objects and is about ");
    check(&|document| count(document, usize::MAX), "live objects and is about ");
    check(&|document| count(document, 0), "it changes 1 live objects of Module on cmdb and counts 0");
}

#[test]
fn what_is_ignored_or_reported_is_no_contradiction() {
    for policy in ["ignore", "report"] {
        let gone = format!(
            "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: gone}}\nspec: {{ensure: absent, model: bk_switch, \
             match: {{bk_asset_id: A2}}, policy: {policy}}}\n"
        );
        let core = switch("core", "bk_asset_id: A1", "ports: 48");
        let site = Site::with(&state(), &[("gone.yaml", &gone), ("core.yaml", &core)]);
        assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
        let shown = site.run(&["show", "plan.json"]);
        assert_eq!(shown.code, Some(0), "{policy}: {shown}");
    }
}

#[test]
fn an_added_call_is_refused_beside_what_moved_too() {
    let site = saved();
    assert_eq!(site.run(&["apply", "app.yaml", "-y"]).code, Some(0));
    site.sandbox().clear_calls();
    forge(&site, &|document| {
        let serves = json!(["Module/web"]);
        let arguments = json!({"bk_obj_id": "bk_switch", "inst_id": 1});
        let mut call = document["calls"][0].clone();
        call["operation"] = json!("delete_inst");
        call["arguments"] = arguments;
        call["target"] = json!("cmdb");
        call["serves"] = serves;
        document["calls"].as_array_mut().expect("a list").push(call);
    });
    let output = site.run(&["apply", "plan.json", "-y", "--partial-stale=skip"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn an_empty_file_is_no_plan() {
    let site = site();
    for text in ["", "\n"] {
        site.write("plan.json", text);
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert!(output.code == Some(64) && output.stderr.contains("plan.json: the file is empty"), "{output}");
    }
}

#[test]
fn the_configuration_in_a_plan_is_never_followed() {
    let site = site();
    let elsewhere = tempfile::tempdir().expect("a directory can be made");
    let plan = elsewhere.path().join("plan.json").display().to_string();
    assert_eq!(site.run(&["plan", "--out", &plan]).code, Some(0));
    site.sandbox().clear_calls();
    let output = site.run(&["apply", &plan, "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("no reconcile.yaml beside it or above: name one by `--config`"), "{output}");
    assert_eq!(site.sandbox().calls().len(), 0);
    assert!(site.run(&["show", &plan]).stderr.contains("made with the configuration reconcile.yaml"));
    // Beside the file or above it, from any directory.
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    let path = site.path().join("plan.json").display().to_string();
    let mut command = site.command(&["apply", &path, "-y"]);
    command.current_dir(elsewhere.path());
    let output = site.end(command, "");
    assert_eq!(output.code, Some(0), "{output}");
}

#[cfg(unix)]
#[test]
fn files_with_live_values_are_for_their_owner_and_written_through_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let site = site();
    site.write("precious", "kept");
    for name in ["plan.out", "plan.out.part", "snapshot.out", "events.out"] {
        symlink(site.path().join("precious"), site.path().join(name)).expect("a link");
    }
    assert_eq!(site.run(&["snapshot", "--out", "snapshot.out"]).code, Some(0));
    assert_eq!(site.run(&["plan", "--out", "plan.out", "--events", "events.out"]).code, Some(0));
    assert_eq!(site.run(&["apply", "plan.out", "-y", "--state-dir", "state"]).code, Some(0));
    let runs = std::fs::read_dir(site.path().join("state/runs")).expect("there is a run");
    let run = runs.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).next();
    let run = format!("state/runs/{}", run.expect("a run"));
    let of_run = ["plan.json", "journal"].map(|name| format!("{run}/{name}"));
    for name in ["plan.out", "snapshot.out", "events.out", "state/key", &*of_run[0], &*of_run[1]] {
        let metadata = std::fs::symlink_metadata(site.path().join(name)).expect("it is there");
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{name}: {metadata:?}");
    }
    assert_eq!(std::fs::read_to_string(site.path().join("precious")).expect("it is there"), "kept");
}

#[test]
fn a_plan_for_one_server_is_not_sent_to_another() {
    let site = saved();
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("there is one");
    site.write("reconcile.yaml", &config.replace("instanceId: i1", "instanceId: i2"));
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output.stderr.contains("`instanceId` of target `roma` is not what it was when this was planned"),
        "{output}"
    );
    assert_eq!(site.sandbox().calls().len(), 0);
}

#[test]
fn a_saved_plan_is_taken_as_it_is() {
    let site = saved();
    for more in [&["net.yaml"][..], &["--set", "A=1"], &["-l", "a=b"], &["--target", "cmdb"], &["--prune"]] {
        let output = site.run(&[&["apply", "plan.json", "-y"], more].concat());
        assert_eq!(output.code, Some(64), "{more:?}: {output}");
    }
    assert_eq!(operations(&site.writes()), json!({}));
    // The other documents do not take it for a manifest.
    assert_eq!(site.run(&["validate"]).code, Some(0));
}

#[test]
fn a_plan_of_a_selection_is_applied_to_it_alone() {
    let labelled = |name: &str, site: &str| {
        switch(name, &format!("bk_inst_name: {name}"), "ports: 48")
            .replace("}\nspec", &format!(", labels: {{site: {site}}}}}\nspec"))
    };
    let all = [labelled("sw-1", "sz"), labelled("sw-2", "bj"), labelled("sw-3", "sh")].concat();
    let site = Site::with(&state(), &[("all.yaml", &all)]);
    let output = site.run(&["plan", "-l", "site in (sz, sh)", "--exclude", "*/sw-3", "--out", "some.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let output = site.run(&["apply", "some.json", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(bodies(&site.writes()), json!([{"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 48}]));
    let output = site.run(&["drift", "-l", "site notin (bj)", "-o", "json"]).json();
    assert_eq!(output["summary"], json!({"blocked": 0, "drift": 0, "edit": 1, "unchanged": 1, "unknown": 0}));
}

#[test]
fn limits_are_checked_again() {
    let site = saved();
    let output = site.run(&["apply", "plan.json", "-y", "--max-changes", "0"]);
    assert_eq!(output.code, Some(3), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
    let ack = output.stderr.split("--ack '").nth(1).and_then(|rest| rest.split('\'').next()).expect("it is printed");
    let planned = site.run(&["plan", "--max-changes", "0", "-o", "json"]).json();
    assert_eq!(planned["acknowledgement"], ack, "the same plan has the same acknowledgement wherever it comes from");
    let pass = ["apply", "plan.json", "-y", "--max-changes", "0", "--ack", ack];
    // The journal names the person who let it pass.
    let output = site.run(&[&pass[..], &["--state-dir", "app.yaml"]].concat());
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("app.yaml/locks"), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
    let output = site.run(&pass);
    assert_eq!(output.code, Some(0), "{output}");
    let runs = site.runs();
    let [refused, passed] = [0, 1].map(|at| site.journal_of(&runs[at]));
    assert_eq!((runs.len(), &refused[1]["verdict"]), (2, &json!("refused")));
    let count = |kind: &str| passed.iter().filter(|record| record["type"] == kind).count();
    assert_eq!((count("run"), count("outcome"), count("ended")), (1, 6, 1));
    assert_eq!((&refused[0]["acknowledged"], &passed[0]["acknowledged"]), (&json!(false), &json!(true)));
    assert!([&refused, &passed].iter().all(|journal| journal[0]["acknowledgement"] == ack), "{refused:?}");
    assert_eq!(passed[0]["file"], "plan.json");
    assert_eq!(passed[0]["limits"].as_array().map(Vec::len), Some(5), "one for each kind that changes");
    let ended = passed.last().expect("it has an end");
    assert_eq!((&ended["verdict"], &ended["outcomes"]), (&json!("converged"), &json!({"applied": 6})));
}

#[test]
fn what_no_document_declares_goes_as_planned() {
    let exact = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: cables}
spec:
  association: switch_rack
  mode: exact
  source: {model: bk_switch, match: {bk_asset_id: A1}}
  targets: [{model: bk_rack, match: {bk_inst_name: rack-1}}]
";
    let site = Site::with(&state(), &[("cables.yaml", exact)]);
    site.edit(
        "add_instance_association",
        &json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 22}),
    );
    let flags = ["--max-deletes", "1"];
    let output = site.run(&[&["plan", "--out", "plan.json"], &flags[..]].concat());
    assert_eq!(output.code, Some(0), "{output}");
    site.sandbox().clear_calls();
    assert_eq!(site.run(&["apply", "plan.json", "-y"]).code, Some(3), "nothing allows the delete here");
    let output = site.run(&[&["apply", "plan.json", "-y"], &flags[..]].concat());
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1, "delete_instance_association": 1}));
    // Gone, and made: nothing is left to do.
    let output = site.run(&[&["apply", "plan.json", "-y"], &flags[..]].concat());
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn a_plan_of_the_sandbox_is_not_sent_to_a_server() {
    let site = site();
    site.write("state.json", &state().to_string());
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("there is one");
    site.write("reconcile.yaml", &format!("{config}sandbox: {{state: [state.json]}}\n"));
    assert_eq!(site.run(&["plan", "--sandbox", "--out", "plan.json"]).code, Some(0));
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("`endpoint` of target `cmdb` is not what it was when this was planned"), "{output}");
    assert_eq!(site.run(&["apply", "plan.json", "-y", "--sandbox"]).code, Some(0));
    assert_eq!(site.sandbox().calls().len(), 0);
}

#[test]
fn a_saved_plan_is_no_manifest() {
    let site = saved();
    let text = std::fs::read_to_string(site.path().join("plan.json")).expect("it was saved");
    for command in ["plan", "apply", "validate"] {
        let output = site.run_on(&text, &[command, "-"]);
        assert_eq!(output.code, Some(64), "{output}");
        assert!(output.stderr.contains("<stdin> holds no manifests: it was written by this program"), "{output}");
    }
    let output = site.run(&["plan", "plan.json"]);
    assert_eq!(output.code, Some(64), "{output}");
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_sent() {
    let site = site();
    for (more, problem) in [
        (&["--output-file", "markdown=gone/x.md"][..], "cannot write gone/x.md: gone is no directory"),
        (&["--output-file", "markdown=."], "cannot write .: it is a directory"),
        (&["--output-file", "markdown=x,json=x"], "x would be written twice"),
        (&["--output-file", "json=x", "--events", "x"], "x would be written twice"),
        (&["--output-file", "json=-"], "`-` is no file to write"),
    ] {
        let output = site.run(&[&["apply", "-y"], more].concat());
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(problem), "{problem}: {output}");
    }
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn the_first_of_several_exit_codes_is_that_of_the_table() {
    let site = saved();
    // Nobody to ask comes before a limit.
    assert_eq!(site.run(&["apply", "plan.json", "--max-changes", "0"]).code, Some(64));
    assert_eq!(site.run(&["apply", "plan.json", "--max-changes", "0", "-y"]).code, Some(3));
    // A stale object comes before an unread one, and what moved is told.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 96}));
    site.faults(&json!([{"operation": "search_module", "fault": "code", "code": 1_199_006, "message": "no"}]));
    for more in [&[][..], &["--partial-stale=skip"]] {
        let output = site.run(&[&["apply", "plan.json", "-y"], more].concat());
        assert_eq!(output.code, Some(4), "{output}");
        assert!(
            output.stderr.contains("Instance/one has moved since this was planned: ports was 24 and is 96"),
            "{output}"
        );
    }
    let types: Vec<_> = site.journal().iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["run", "ended", "run", "ended", "run", "ended"]);
    let verdicts: Vec<_> = site.journal().iter().filter_map(|line| line.get("verdict").cloned()).collect();
    assert_eq!(verdicts, ["refused", "stale", "stale"]);
    // An object that is as planned already is no change.
    let site = saved();
    assert_eq!(site.run(&["apply", "plan.json", "-y"]).code, Some(0));
    let output = site.run(&["apply", "plan.json", "--dry-run", "--detailed-exitcode"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("Applied: 0 of 6, 6 already as declared."), "{output}");
}

#[test]
fn a_category_that_somebody_changed_since_is_not_overwritten() {
    let mut state = state();
    let categories = state["bk-cmdb"]["service_categories"].as_array_mut().expect("a list");
    for (id, name) in [(3, "Web"), (4, "Cache")] {
        categories.push(json!({"id": id, "name": name, "bk_biz_id": 3, "bk_parent_id": 1, "bk_root_id": 1}));
    }
    let module = "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, serviceCategory: 3, fields: {}}
";
    let site = Site::with(&state, &[("module.yaml", module)]);
    let output = site.run(&["plan", "--out", "plan.json"]);
    assert!(output.code == Some(0) && output.stdout.contains("1 to update"), "{output}");
    let data = json!({"service_category_id": 4});
    site.edit("update_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": data}));
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(4), "{output}");
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 31)["service_category_id"], 4);
}

const NEW_APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: fresh}
spec: {app: fresh, ensure: present, fields: {remark: x}, members: [{id: u1, roles: [read]}]}
";

#[test]
fn a_new_app_gets_its_members() {
    let site = Site::with(&state(), &[("app.yaml", NEW_APP)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    site.sandbox().clear_calls();
    let output = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"CreateRomaApp": 1, "AddUserToApp": 1}));
    site.assert_converged();
}

/// A plan of which a part was carried out, by a run that failed or by somebody else, is carried out to its end.
#[test]
fn what_is_there_as_planned_is_no_hindrance_to_what_hangs_on_it() {
    let new = switch("new", "bk_asset_id: A9", "bk_inst_name: sw-9").replace("spec:\n", "spec:\n  ensure: present\n");
    let cable = format!("{new}{CABLE}");
    // The manifest, and the call that fails in the first run.
    let cases = [("net.yaml", &*cable, "add_instance_association"), ("app.yaml", NEW_APP, "AddUserToApp")];
    for (file, manifest, fails) in cases {
        let site = Site::with(&state(), &[(file, manifest)]);
        assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
        let refusal = json!({"error_code": "ROMA.1", "error_msg": "no"});
        site.faults(&json!([{"operation": fails, "nth": 1, "fault": "status", "status": 403, "body": refusal}]));
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert_eq!(output.code, Some(5), "{output}");
        site.sandbox().clear_calls();
        let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(operations(&site.writes()), json!({fails: 1}), "{output}");
        site.assert_converged();
    }
    // Somebody else's switch of the same name and number as planned.
    let site = Site::with(&state(), &[("net.yaml", &cable)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "sw-9", "bk_asset_id": "A9"}));
    site.sandbox().clear_calls();
    let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1}));
    // Another end than the planned one is a move still.
    let site = Site::with(&state(), &[("net.yaml", &cable)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "sw-9", "bk_asset_id": "A9"}));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_rack", "bk_inst_id": 21, "bk_inst_name": "rack-old"}));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_rack", "bk_inst_id": 22, "bk_inst_name": "rack-1"}));
    let output = site.run(&["apply", "plan.json", "-y", "-o", "json"]);
    assert_eq!(outcomes(&output.json())[CABLE_ROW], "stale", "{output}");
}

/// A plan renames a switch and connects it by either of its names; the rows are sent after the rename.
#[test]
fn what_a_plan_renames_is_found_by_both_names() {
    let rename =
        |id: usize| switch(&format!("d{id}"), &format!("bk_inst_name: sw-{id}"), &format!("bk_inst_name: core-{id}"));
    let cable = |name: &str| {
        let source = format!("{{model: bk_switch, match: {{bk_inst_name: {name}}}}}");
        CABLE.replace("{ref: new}", &source)
    };
    let check = |renames: usize, name: &str, renamed_before: bool| {
        let mut state = state();
        let row =
            |id: usize| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_asset_id": format!("A{id}")});
        state["bk-cmdb"]["instances"]["bk_switch"] = (1..=renames).map(row).collect();
        let site = Site::with(&state, &[("net.yaml", &(1..=renames).map(rename).collect::<String>())]);
        if renamed_before {
            site.apply();
        }
        site.write("cable.yaml", &cable(name));
        assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert_eq!(output.code, Some(0), "{renames} {name}: {output}");
        site.assert_converged();
        let output = site.run(&["apply", "plan.json", "-o", "json"]);
        let outcomes = outcomes(&output.json());
        assert!(outcomes.as_object().is_some_and(|all| all.values().all(|row| row == "already_true")), "{outcomes}");
    };
    check(1, "core-1", false);
    check(1, "sw-1", false);
    check(1, "sw-1", true);
    // More than are read again at once.
    check(110, "sw-1", false);
    check(110, "core-1", false);
}
