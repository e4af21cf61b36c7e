//! Roll-outs of service templates: modules follow in waves, each of which is waited for.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{Output, Site, operations, state, wait_until};

/// What a document of the template says of its roll-out.
pub(crate) const ROLLOUT: &str = "modules: all, waves: [1, 50%, 100%], pause: 10ms, timeout: 20s";

/// A business with a template, four modules of it in two sets, three of them with hosts, all in line.
pub(crate) fn shop() -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    let set = |id: i64, name: &str| json!({"bk_set_id": id, "bk_set_name": name, "bk_biz_id": 3, "bk_parent_id": 3});
    cmdb["sets"] = json!([set(11, "public"), set(12, "prod-1"), set(13, "prod-2")]);
    let module = |id: i64, set: i64, name: &str| {
        json!({"bk_module_id": id, "bk_module_name": name, "bk_set_id": set, "bk_biz_id": 3, "bk_module_type": "1",
            "operator": null, "service_template_id": 51, "service_category_id": 2})
    };
    cmdb["modules"] = json!([module(31, 13, "nginx"), module(32, 12, "nginx"), module(33, 11, "nginx"),
        {"bk_module_id": 34, "bk_module_name": "nginx", "bk_set_id": 14, "bk_biz_id": 3, "service_template_id": 51,
            "service_category_id": 2}]);
    cmdb["sets"].as_array_mut().expect("sets").push(set(14, "prod-3"));
    let locked = |value: Value| json!({"value": value, "as_default_value": true});
    cmdb["process_templates"][0]["property"]["bind_info"] = locked(json!([{"row_id": 1, "ip": locked(json!("1")),
        "port": locked(json!("80")), "protocol": locked(json!("1")), "enable": locked(json!(true))}]));
    let hosts =
        (1..=4).map(|id| json!({"bk_host_id": id, "bk_host_innerip": format!("10.0.0.{id}"), "bk_cloud_id": 0}));
    cmdb["instances"]["host"] = hosts.collect();
    let pair = |host: i64, module: i64, set: i64| json!({"bk_host_id": host, "bk_module_id": module, "bk_set_id": set, "bk_biz_id": 3});
    cmdb["host_relations"] = json!([pair(1, 31, 13), pair(2, 32, 12), pair(3, 32, 12), pair(4, 34, 14)]);
    state
}

pub(crate) fn template(rollout: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {{name: t}}\nspec:\n  business: demo\n  template: \
         nginx\n  fields: {{name: nginx}}\n  rollout: {{{rollout}}}\n---\n"
    )
}

pub(crate) fn process(properties: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: p}}\nspec: {{business: demo, serviceTemplate: \
         nginx, process: nginx, properties: {{{properties}}}}}\n---\n"
    )
}

/// The document of a process template whose port changes.
pub(crate) const PORT: &str = "bind_info: [{ip: 127.0.0.1, port: '8080', protocol: tcp, enable: true}]";

fn site(rollout: &str, properties: &str) -> Site {
    let documents = format!("{}{}", template(rollout), process(properties));
    let site = Site::with(&shop(), &[("one.yaml", &documents)]);
    site.sandbox().set_option("task_delay", &json!(200)).expect("an option");
    site
}

/// The ports of all processes with their ids and row ids, by module.
pub(crate) fn ports(site: &Site) -> Vec<String> {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["service_instances"].as_array().expect("service instances").clone();
    let mut ports: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            let module = row["bk_module_id"].clone();
            let entries = row["process_instances"].as_array().cloned().unwrap_or_default();
            entries.into_iter().map(move |entry| {
                let bind = &entry["process"]["bind_info"][0];
                format!("{module} #{} row {} {}", row["id"], bind["template_row_id"], bind["port"])
            })
        })
        .collect();
    ports.sort();
    ports
}

/// The modules of each call that syncs.
pub(crate) fn synced(site: &Site) -> Value {
    let calls = site.writes().into_iter().filter(|call| call.operation.starts_with("sync_"));
    calls.map(|call| call.body["bk_module_ids"].clone()).collect()
}

/// The outcomes that a run prints behind its plan, less what they took.
pub(crate) fn results(output: &Output) -> String {
    let (told, _) = output.stdout.split_once("\nCalls:").unwrap_or((&output.stdout, ""));
    let told = told.rsplit("\n\n").next().unwrap_or_default();
    Regex::new(r"\d+\.\d\d s").expect("an expression").replace_all(told, "[time]").into_owned()
}

/// The follow-ups that a run ends with.
fn follow_ups(output: &Output) -> &str {
    output.stdout.rsplit("\nCalls:").next().and_then(|told| told.split_once('\n')).map_or("", |(_, told)| told)
}

pub(crate) fn code(output: &Output, expected: i32) {
    assert_eq!(output.code, Some(expected), "{output}");
}

#[test]
fn a_changed_port_reaches_the_processes_in_waves() {
    let site = site(ROLLOUT, PORT);
    let before = ports(&site);
    let writes = site.apply();
    assert_eq!(operations(&writes), json!({"update_proc_template": 1, "sync_service_template_to_service_instance": 3}));
    assert_eq!(synced(&site), json!([[32], [31], [34]]));
    let after: Vec<_> = before.iter().map(|port| port.replace("\"80\"", "\"8080\"")).collect();
    assert_ne!(before, after);
    assert_eq!(ports(&site), after);
    let history = site.run(&["history"]);
    assert!(history.stdout.contains(" +0 ~1 -0 >3 "), "{history}");
    site.assert_converged();
}

/// Brings the modules out of sync by somebody else's change.
pub(crate) fn disturb(site: &Site) {
    let value = json!({"value": 4, "as_default_value": true});
    site.edit(
        "update_proc_template",
        &json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {"proc_num": value}}),
    );
}

/// A site whose modules are out of sync, with a document of the template alone.
fn disturbed(rollout: &str) -> Site {
    let site = Site::with(&shop(), &[("one.yaml", &template(rollout))]);
    site.sandbox().set_option("task_delay", &json!(100)).expect("an option");
    disturb(&site);
    site.sandbox().clear_calls();
    site
}

#[test]
fn what_differs_is_read_and_only_that_is_synced() {
    let check = |rollout: &str, expected: Value| {
        let site = disturbed(rollout);
        site.apply();
        assert_eq!(synced(&site), expected, "{rollout}");
        assert_eq!(operations(&site.apply()), json!({}), "{rollout}");
    };
    check("modules: all, waves: ['100%']", json!([[32, 31, 34]]));
    check("modules: all, waves: [2], pause: 0s", json!([[32, 31], [34]]));
    check("modules: ['prod-*/nginx'], waves: [{match: 'prod-3/*'}], pause: 0s", json!([[34], [32, 31]]));
    check("modules: [prod-2/nginx, public/nginx]", json!([[31]]));
}

#[test]
fn a_plan_says_what_is_synced_and_when() {
    let site = disturbed("modules: all, pause: 0s");
    let plan = site.plan();
    insta::assert_snapshot!(plan, @r#"
    > ServiceTemplate t → prod-1/nginx  (cmdb, module #32)              one.yaml:8
        impact: 2 hosts, 1 module, 2 service instances
        wave 1 of 2
        inSync         false → true                                     one.yaml:8:12
    > ServiceTemplate t → prod-2/nginx  (cmdb, module #31)              one.yaml:8
        impact: 1 host, 1 module, 1 service instance
        wave 2 of 2
        inSync         false → true                                     one.yaml:8:12
    > ServiceTemplate t → prod-3/nginx  (cmdb, module #34)              one.yaml:8
        impact: 1 host, 1 module, 1 service instance
        wave 2 of 2
        inSync         false → true                                     one.yaml:8:12

    Plan: 0 to add, 0 to update, 0 to delete, 3 to sync, 1 unchanged.   2 calls, 8 reads, [time]
    [exit status: 2]
    "#);
    let limited = site.run(&["apply", "-y", "--max-impact", "hosts=3"]);
    code(&limited, 3);
    assert!(limited.stderr.contains("hosts affected by the changes of ServiceTemplate on cmdb: 4, over"), "{limited}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn a_task_that_fails_stops_the_following_waves() {
    let site = disturbed("modules: all, waves: [1, '100%'], pause: 0s");
    site.faults(&json!([{"operation": "sync_service_template_to_service_instance", "nth": 1, "fault": "task_fails"}]));
    let output = site.run(&["apply", "-y"]);
    code(&output, 1);
    insta::assert_snapshot!(results(&output), @r#"
    ✗ ServiceTemplate/t → prod-1/nginx: not applied: its task ended as `failure`, for which the server gives no reason
    ✗ ServiceTemplate/t → prod-2/nginx: not sent, because ServiceTemplate/t → prod-1/nginx did not come about
    ✗ ServiceTemplate/t → prod-3/nginx: not sent, because ServiceTemplate/t → prod-1/nginx did not come about
    Applied: 0 of 3, 1 not_applied, 2 skipped.   [time]
    "#);
    assert_eq!(synced(&site), json!([[32]]));
    // The next run takes it up.
    site.sandbox().clear_calls();
    site.apply();
    assert_eq!(synced(&site), json!([[32], [31, 34]]));
    site.assert_converged();
}

#[test]
fn a_task_that_hangs_is_given_up_in_time() {
    let site = disturbed("modules: all, waves: [1, '100%'], pause: 0s, timeout: 2s");
    let hangs = json!([{"operation": "sync_service_template_to_service_instance", "nth": 1, "fault": "task_hangs",
        "ms": 4000}]);
    site.faults(&hangs);
    let output = site.run(&["apply", "-y"]);
    code(&output, 5);
    insta::assert_snapshot!(results(&output), @r#"
    ✗ ServiceTemplate/t → prod-1/nginx: whether it was done is unknown: a task for it is still `executing`, and its timeout has passed
    ✗ ServiceTemplate/t → prod-2/nginx: not sent, because ServiceTemplate/t → prod-1/nginx did not come about
    ✗ ServiceTemplate/t → prod-3/nginx: not sent, because ServiceTemplate/t → prod-1/nginx did not come about
    Applied: 0 of 3, 2 skipped, 1 unknown.   [time]
    "#);
    assert_eq!(synced(&site), json!([[32]]));
    // The next run waits for that task, and starts none of its own for the module.
    site.faults(&json!([]));
    site.sandbox().clear_calls();
    site.write("one.yaml", &template("modules: all, waves: [1, '100%'], pause: 0s, timeout: 20s"));
    site.apply();
    assert_eq!(synced(&site), json!([[31, 34]]));
    site.assert_converged();
}

#[test]
fn a_task_of_somebody_else_is_waited_for() {
    let site = disturbed("modules: all, waves: ['100%']");
    site.sandbox().set_option("task_delay", &json!(2500)).expect("an option");
    site.edit(
        "sync_service_template_to_service_instance",
        &json!({"bk_biz_id": 3, "service_template_id": 51, "bk_module_ids": [31]}),
    );
    site.sandbox().set_option("task_delay", &json!(100)).expect("an option");
    site.apply();
    assert_eq!(synced(&site), json!([[32, 34]]));
    site.assert_converged();
}

#[test]
fn a_lost_answer_starts_no_second_task() {
    let site = disturbed("modules: all, waves: ['100%']");
    site.sandbox().set_option("task_delay", &json!(1500)).expect("an option");
    site.faults(&json!([{"operation": "sync_service_template_to_service_instance", "nth": 1, "fault": "reset_after"}]));
    site.apply();
    assert_eq!(synced(&site), json!([[32, 31, 34]]));
    site.assert_converged();
    let site = disturbed("modules: all, waves: ['100%']");
    site.faults(
        &json!([{"operation": "sync_service_template_to_service_instance", "nth": 1, "fault": "reset_before"}]),
    );
    site.apply();
    site.assert_converged();
}

#[test]
fn a_lost_row_of_the_comparison_is_asked_for_again() {
    let site = disturbed("modules: all, waves: ['100%']");
    site.faults(&json!([{"operation": "list_service_template_difference", "nth": 1, "fault": "lost_row"}]));
    site.apply();
    assert_eq!(synced(&site), json!([[32, 31, 34]]));
    site.assert_converged();
    let site = disturbed("modules: all, waves: ['100%']");
    site.faults(&json!([{"operation": "list_service_template_difference", "fault": "lost_row"}]));
    let output = site.run(&["plan", "--detailed-exitcode"]);
    code(&output, 5);
    assert!(output.stdout.contains("left it out twice"), "{output}");
}

#[test]
fn what_the_access_hides_is_left_to_people_and_not_forgotten() {
    let site = site(ROLLOUT, PORT);
    site.sandbox().set_option("hidden_operations", &json!(false)).expect("an option");
    let output = site.run(&["apply", "-y"]);
    code(&output, 0);
    assert_eq!(results(&output), "Applied: 1 of 5, 4 manual.   [time]", "{output}");
    insta::assert_snapshot!(follow_ups(&output), @r#"
    4 manual follow-ups are left:
      sync module prod-1/nginx (#32), unless it is in sync: this access offers no `list_service_template_difference`
      sync module prod-2/nginx (#31), unless it is in sync: this access offers no `list_service_template_difference`
      sync module prod-3/nginx (#34), unless it is in sync: this access offers no `list_service_template_difference`
      sync module public/nginx (#33), unless it is in sync: this access offers no `list_service_template_difference`
    "#);
    assert_eq!(operations(&site.writes()), json!({"update_proc_template": 1}));
    let plan = site.run(&["plan", "--detailed-exitcode"]);
    code(&plan, 2);
    let again = site.run(&["apply", "-y", "--detailed-exitcode"]);
    code(&again, 2);
    assert!(again.stdout.contains("manual follow-up"), "{again}");
}

#[test]
fn mistakes_are_told_with_their_places() {
    let check = |rollout: &str, expected: &str| {
        let site = Site::with(&shop(), &[("one.yaml", &template(rollout))]);
        let output = site.run(&["validate"]);
        code(&output, 1);
        assert!(output.stderr.contains(expected), "`{expected}` is not told\n{output}");
    };
    check("waves: [1]", "needs `modules`");
    check("modules: none", "`modules` has to be `all` or a list");
    check("modules: [nginx]", "`nginx` names no module");
    check("modules: all, waves: []", "`waves` is empty");
    check("modules: all, waves: [0]", "a wave cannot be `0`");
    check("modules: all, waves: [5, 2]", "takes no more modules");
    check("modules: all, waves: ['101%']", "a wave cannot be `101%`");
    check("modules: all, waves: [some]", "a wave cannot be");
    check("modules: all, pause: soon", "`pause` cannot be `soon`");
    check("modules: all, timeout: 0s", "`timeout` cannot be `0s`");
    check("modules: all, wave: [1]", "did you mean `waves`?");
    let site = disturbed("modules: [prod-9/nginx]");
    let output = site.run(&["plan"]);
    assert!(output.stderr.contains("is named `prod-9/nginx`"), "{output}");
}

/// Kills a command when so many calls have come.
fn kill(site: &Site, arguments: &[&str], calls: usize) {
    let mut command = site.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let before = site.sandbox().calls().len();
    wait_until("calls come", || {
        child.try_wait().expect("it can be asked").is_some() || site.sandbox().calls().len() >= before + calls
    });
    let _ = child.kill();
    child.wait().expect("it ends");
}

/// The calls of an undisturbed run with the documents of the kill tests.
const WAVES: &str = "modules: all, waves: [1, '100%'], pause: 0s, timeout: 20s";

/// Kills a small roll-out when so many calls have come, for each of the numbers that are chosen among all, and lets the next
/// run end it. The numbers of `abandoned` ones get no resume.
fn kill_at(chosen: impl Fn(usize) -> Vec<usize>, abandoned: impl Fn(usize) -> Vec<usize>) {
    let undisturbed = site(WAVES, PORT);
    let expected = {
        undisturbed.apply();
        ports(&undisturbed)
    };
    let calls = undisturbed.sandbox().calls().len();
    let check = |calls: usize, abandons: bool| {
        let site = site(WAVES, PORT);
        site.sandbox().clear_calls();
        kill(&site, &["apply", "-y"], calls);
        let run = site.runs().last().cloned().filter(|_| abandons);
        let abandoned = run.as_ref().map(|run| vec!["--abandon", run.as_str()]);
        let arguments = [vec!["resume", "--timeout", "1s"], abandoned.unwrap_or_default()].concat();
        let output = site.run(&arguments);
        assert!(abandons || output.code == Some(0), "killed after {calls} calls: {output}");
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "killed after {calls} calls: {output}");
        assert_eq!(ports(&site), expected, "killed after {calls} calls");
        let synced = synced(&site);
        let mut modules: Vec<i64> = synced
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|call| call.as_array().into_iter().flatten())
            .filter_map(Value::as_i64)
            .collect();
        modules.sort_unstable();
        assert_eq!(modules, [31, 32, 34], "killed after {calls} calls: {synced}");
        assert_eq!(site.plan().code, Some(0), "killed after {calls} calls");
    };
    let boundaries = chosen(calls);
    std::thread::scope(|scope| {
        for boundaries in boundaries.chunks(boundaries.len().div_ceil(4).max(1)) {
            scope.spawn(|| boundaries.iter().for_each(|calls| check(*calls, false)));
        }
    });
    // Without a resume, a new plan reads where things are.
    abandoned(calls).into_iter().for_each(|calls| check(calls, true));
}

#[test]
fn a_roll_out_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    // The reads of the plan come first; what matters are the last calls.
    kill_at(|calls| (calls.saturating_sub(20)..calls).step_by(2).collect(), |calls| vec![calls - 6]);
}

/// The same at each boundary: `just killed-roll-out`.
#[test]
#[ignore = "takes minutes"]
fn a_roll_out_that_is_killed_at_each_boundary_ends_as_if_it_had_not_been() {
    kill_at(|calls| (0..=calls).collect(), |calls| (0..calls).collect());
}

#[test]
fn a_signal_ends_a_pause_and_a_wait() {
    let check = |rollout: &str, delay: u64, expected: &str| {
        let site = disturbed(rollout);
        site.sandbox().set_option("task_delay", &json!(delay)).expect("an option");
        let mut command = site.command(&["apply", "-y"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        wait_until("the first wave is sent", || !site.writes().is_empty());
        std::thread::sleep(Duration::from_millis(2500));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal is sent");
        let start = Instant::now();
        let output = site.collect(child);
        assert!(start.elapsed() < Duration::from_secs(20), "{output}");
        assert_eq!(output.code, Some(143), "{output}");
        assert!(output.all().contains(expected), "`{expected}` is not told\n{output}");
        assert_eq!(synced(&site), json!([[32]]));
    };
    let pause = "pause before wave 2 of 2 of ServiceTemplate/t: waiting 3600.0 s, until ";
    check("modules: all, waves: [1, '100%'], pause: 1h", 0, pause);
    check("modules: all, waves: [1, '100%']", 600_000, "a task for it is still `new`, and the run was interrupted");
}

#[test]
fn a_saved_plan_rolls_out_and_names_what_moved() {
    let site = site(WAVES, PORT);
    code(&site.run(&["plan", "--out", "plan.json"]), 0);
    let applied = site.run(&["apply", "plan.json", "-y"]);
    code(&applied, 0);
    assert_eq!(synced(&site), json!([[32], [31, 34]]));
    site.assert_converged();
    // A module that is gone is not synced, and one that was synced meanwhile needs no call.
    let site = disturbed(WAVES);
    code(&site.run(&["plan", "--out", "plan.json"]), 0);
    site.edit(
        "sync_service_template_to_service_instance",
        &json!({"bk_biz_id": 3, "service_template_id": 51, "bk_module_ids": [32]}),
    );
    site.sandbox().clear_calls();
    code(&site.run(&["apply", "plan.json", "-y"]), 0);
    assert_eq!(synced(&site), json!([[31, 34]]));
    let site = disturbed(WAVES);
    code(&site.run(&["plan", "--out", "plan.json"]), 0);
    site.edit("delete_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 33}));
    let moved = json!({"bk_biz_id": 3, "bk_host_id": [2, 3], "bk_module_id": [31], "is_increment": false});
    site.edit("transfer_host_module", &moved);
    site.edit("delete_module", &json!({"bk_biz_id": 3, "bk_set_id": 12, "bk_module_id": 32}));
    let output = site.run(&["apply", "plan.json", "-y"]);
    code(&output, 4);
    assert_eq!(synced(&site), json!([]), "{output}");
}

#[test]
fn undo_puts_the_template_back_and_says_that_a_sync_stays() {
    let site = site(WAVES, PORT);
    site.apply();
    let after = ports(&site);
    site.sandbox().clear_calls();
    let run = site.runs().last().cloned().expect("it is recorded");
    let output = site.run(&["undo", &run, "--out", "undo.json"]);
    code(&output, 0);
    assert!(output.stderr.contains("a sync is not undone"), "{output}");
    code(&site.run(&["apply", "undo.json", "-y"]), 0);
    assert_eq!(operations(&site.writes()), json!({"update_proc_template": 1}));
    assert_eq!(ports(&site), after);
    // Only the roll-out follows: its own document asks for nothing else.
    site.write("one.yaml", &template(WAVES));
    site.sandbox().clear_calls();
    site.apply();
    assert_eq!(synced(&site), json!([[32], [31, 34]]));
    assert!(ports(&site).iter().all(|port| port.ends_with("\"80\"")), "{:?}", ports(&site));
}

#[test]
fn what_is_only_reported_is_not_synced() {
    let site = Site::with(&shop(), &[("one.yaml", &template(WAVES).replace("spec:\n", "spec:\n  policy: report\n"))]);
    disturb(&site);
    site.sandbox().clear_calls();
    let output = site.plan();
    assert!(output.stdout.contains("> ServiceTemplate t → prod-1/nginx"), "{output}");
    assert_eq!(operations(&site.apply()), json!({}));
}

#[test]
fn a_name_that_is_handed_on_takes_two_roll_outs() {
    let mut state = shop();
    let mut other = state["bk-cmdb"]["process_templates"][0].clone();
    other["id"] = json!(60);
    other["bk_process_name"] = json!("logger");
    other["property"]["bk_process_name"]["value"] = json!("logger");
    other["property"]["bk_func_name"]["value"] = json!("logger");
    other["property"]["bind_info"]["value"] = json!([]);
    state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list").push(other);
    let rename = |name: &str, id: u64, to: &str| {
        let spec = format!("business: 3, id: {id}, properties: {{bk_process_name: {to}}}");
        format!("apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
    };
    let check = |first: &str, second: &str, expected: &str| {
        let documents = [template(WAVES), rename("a", 50, first), rename("b", 60, second)].concat();
        let site = Site::with(&state, &[("one.yaml", &documents)]);
        let output = site.run(&["apply", "-y"]);
        assert!(output.stderr.contains(expected), "`{expected}` is not told\n{output}");
        site
    };
    let site = check("front", "nginx", "P144");
    assert_eq!(operations(&site.writes())["update_proc_template"], 1);
    assert_eq!(synced(&site), json!([[32], [31, 34]]));
    site.apply();
    assert_eq!(synced(&site), json!([[32], [31, 34]]));
    site.assert_converged();
    // A swap has no first change.
    let site = check("logger", "nginx", "P132");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn each_access_and_version_rolls_out_or_says_what_it_lacks() {
    let check = |access: &str, version: &str, hidden: bool, expected: &str| {
        let mut state = shop();
        state["bk-cmdb"]["version"] = json!(version);
        let site = Site::with(&state, &[("one.yaml", &template("modules: all, waves: ['100%']"))]);
        site.sandbox().set_option("task_delay", &json!(0)).expect("an option");
        site.sandbox().set_option("hidden_operations", &json!(hidden)).expect("an option");
        site.configure("");
        let text = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("a configuration");
        let auth = "auth: {appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}";
        let text = text.replace("access: esb", &format!("access: {access}"));
        let text = if access == "direct" { text.replace(auth, "auth: {username: admin}") } else { text };
        site.write("reconcile.yaml", &text);
        disturb(&site);
        site.sandbox().clear_calls();
        let output = site.run(&["apply", "-y", "--detailed-exitcode"]);
        let follow_up = output.stdout.lines().rev().find_map(|line| line.split_once("sync module prod-1/nginx (#32)"));
        let told = follow_up.map_or_else(|| synced(&site).to_string(), |(_, why)| why.to_owned());
        assert_eq!((output.code, told.as_str()), (Some(2), expected), "{access} {version} {hidden}: {output}");
    };
    let done = "[[32,31,34]]";
    for access in ["esb", "gateway", "direct"] {
        check(access, "3.14", true, done);
    }
    check("direct", "3.10", true, done);
    check("direct", "3.14", false, done);
    let lacks = ", unless it is in sync: this access offers no `list_service_template_difference`";
    check("esb", "3.14", false, lacks);
    check("gateway", "3.14", false, lacks);
    check("esb", "3.10", true, lacks);
    check("direct", "3.9", true, lacks);
}

#[test]
fn a_snapshot_does_not_tell_what_differs() {
    let site = disturbed(WAVES);
    code(&site.run(&["snapshot", "--out", "snap.json"]), 0);
    let output = site.run(&["plan", "--against", "snap.json"]);
    code(&output, 5);
    assert!(output.stdout.contains("could not be read: the snapshot does not hold"), "{output}");
}
