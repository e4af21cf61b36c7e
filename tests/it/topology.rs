//! Roll-outs, hosts and renames in one run, by `apply` and by `watch`, and what others do meanwhile.

use serde_json::{Value, json};

use crate::{
    harness::{Site, operations, state, wait_until},
    hosts::with_hosts,
    rollout::{PORT, ROLLOUT, code, disturb, ports, process, results, shop, synced, template},
    watch::Watch,
};

/// The business of the roll-outs with the model of hosts and the built-in modules.
fn with_host_model() -> Value {
    let (mut state, full) = (shop(), with_hosts(state()));
    let cmdb = &mut state["bk-cmdb"];
    let own = |list: &str| full["bk-cmdb"][list].as_array().cloned().unwrap_or_default();
    (cmdb["objects"], cmdb["attributes"]) = (json!(own("objects")), json!(own("attributes")));
    for list in ["sets", "modules"] {
        let built_in = own(list).into_iter().filter(|row| row["default"].as_i64().unwrap_or(0) > 0);
        cmdb[list].as_array_mut().expect("a list").extend(built_in.filter(|row| row["bk_biz_id"] == 3));
    }
    state
}

fn host(at: i64, modules: &str) -> String {
    let spec = format!("business: demo, match: {{bk_host_innerip: 10.0.0.{at}, bk_cloud_id: 0}}, modules: [{modules}]");
    format!("apiVersion: bk-cmdb/v1\nkind: Host\nmetadata: {{name: h{at}}}\nspec: {{{spec}}}\n---\n")
}

fn site(state: &Value, documents: &str) -> Site {
    let site = Site::with(state, &[("one.yaml", documents)]);
    site.sandbox().set_option("task_delay", &json!(50)).expect("an option");
    site
}

/// The writes of a site in their order.
fn order(site: &Site) -> Vec<String> {
    site.writes().into_iter().map(|call| call.operation).collect()
}

const SYNC: &str = "sync_service_template_to_service_instance";

/// A host gets its processes with its move: they have to be those of the changed template, and the module that it comes
/// to needs no sync for its sake.
#[test]
fn a_host_moves_between_the_change_of_a_template_and_its_sync() {
    let documents = [template(ROLLOUT), process(PORT), host(1, "public/nginx")].concat();
    let site = site(&with_host_model(), &documents);
    let explained = site.run(&["explain", "one.yaml:8"]);
    insta::assert_snapshot!(explained, @r#"
    ServiceTemplate t  (cmdb, service template #51)                     one.yaml:1:1
        rollout      {modules: all, waves: [1, 50%, 100%], pa… finds service template #51  one.yaml:8:12
        no call: it is as declared
    ServiceTemplate t → prod-1/nginx  (cmdb, module #32)                one.yaml:8:12
        rollout      syncs module #32 in wave 1 of 3                    one.yaml:8:12
        call: sync_service_template_to_service_instance {"bk_biz_id":3,"bk_module_ids":[32],"service_template_id":51}
    ServiceTemplate t → prod-2/nginx  (cmdb, module #31)                one.yaml:8:12
        rollout      syncs module #31 in wave 2 of 3                    one.yaml:8:12
        call: sync_service_template_to_service_instance {"bk_biz_id":3,"bk_module_ids":[31],"service_template_id":51}
    ServiceTemplate t → prod-3/nginx  (cmdb, module #34)                one.yaml:8:12
        rollout      syncs module #34 in wave 3 of 3                    one.yaml:8:12
        call: sync_service_template_to_service_instance {"bk_biz_id":3,"bk_module_ids":[34],"service_template_id":51}
    "#);
    site.apply();
    let order = order(&site);
    assert_eq!(order[..2], ["update_proc_template", "transfer_host_module"], "{order:?}");
    assert_eq!(synced(&site), json!([[32], [34]]));
    let ports = ports(&site);
    assert!(ports.len() == 4 && ports.iter().all(|port| port.ends_with("\"8080\"")), "{ports:?}");
    assert!(ports.iter().any(|port| port.starts_with("33 ")), "{ports:?}");
    site.assert_converged();
}

/// A module is found by its old and its new name while a document renames it.
#[test]
fn a_host_may_call_a_module_by_either_name_while_it_is_renamed() {
    for name in ["web", "web-frontend"] {
        let rename = "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: m}\nspec: {business: demo, set: public, module: \
            web, fields: {bk_module_name: web-frontend}}\n---\n";
        let documents = [rename.to_owned(), host(1, &format!("public/{name}")), host(4, &format!("public/{name}"))];
        let site = site(&with_hosts(state()), &documents.concat());
        let writes = operations(&site.apply());
        assert_eq!(writes, json!({"update_module": 1, "transfer_host_module": 1}), "{name}");
        site.assert_converged();
    }
}

#[test]
fn a_host_calls_a_module_by_its_old_name_until_its_template_is_renamed() {
    let rename = template(ROLLOUT).replace("{name: nginx}", "{name: proxy}");
    let documents = |name: &str| [rename.clone(), host(1, &format!("public/{name}"))].concat();
    let site = site(&with_host_model(), &documents("nginx"));
    assert_eq!(operations(&site.apply()), json!({"update_service_template": 1, "transfer_host_module": 1}));
    // The modules have their new name by now, and no document says how they were called.
    let output = site.run(&["plan"]);
    code(&output, 1);
    insta::assert_snapshot!(output.stderr, @r#"
    error[P181]: the set `public` has no module `nginx`
      --> one.yaml:13:85
       |
    13 | ... 10.0.0.1, bk_cloud_id: 0}, modules: [public/nginx]}
       |                                         ^^^^^^^^^^^^^^
       |
       = help: there are: proxy
    "#);
    site.write("one.yaml", &documents("proxy"));
    site.assert_converged();
}

/// Somebody starts the same task between the plan and the call, which the server then refuses (code 1117008).
#[test]
fn a_task_that_begins_between_plan_and_call_is_waited_for() {
    let site = site(&shop(), &template("modules: all, waves: ['100%']"));
    site.sandbox().set_option("task_delay", &json!(1500)).expect("an option");
    disturb(&site);
    site.sandbox().clear_calls();
    let body = json!({"bk_biz_id": 3, "service_template_id": 51, "bk_module_ids": [31]});
    let theirs = json!({"user": "zoe", "operation": SYNC, "body": body});
    site.faults(&json!([{"operation": SYNC, "nth": 1, "fault": "second_writer", "edit": theirs}]));
    let output = site.run(&["apply", "-y"]);
    code(&output, 0);
    // The first call is refused as a whole, and the second leaves out what the others did.
    assert_eq!(synced(&site), json!([[32, 31, 34], [32, 34]]), "{output}");
    site.assert_converged();
}

#[test]
fn a_task_that_fails_in_the_second_wave_stops_the_third() {
    let site = site(&shop(), &template("modules: all, waves: [1, 2, '100%'], pause: 0s"));
    disturb(&site);
    site.sandbox().clear_calls();
    site.faults(&json!([{"operation": SYNC, "nth": 2, "fault": "task_fails"}]));
    let output = site.run(&["apply", "-y"]);
    code(&output, 5);
    insta::assert_snapshot!(results(&output), @r#"
    ✗ ServiceTemplate/t → prod-2/nginx: not applied: its task ended as `failure`, for which the server gives no reason
    ✗ ServiceTemplate/t → prod-3/nginx: not sent, because ServiceTemplate/t → prod-2/nginx did not come about
    Applied: 1 of 3, 1 not_applied, 1 skipped.   [time]
    "#);
    assert_eq!(synced(&site), json!([[32], [31]]));
    // The next run takes up what is left, and leaves the first wave alone.
    site.sandbox().clear_calls();
    site.apply();
    assert_eq!(synced(&site), json!([[31], [34]]));
    site.assert_converged();
}

#[test]
fn watch_rolls_out_what_is_saved_and_moves_hosts() {
    let documents = |port: &str, module: &str| [template(ROLLOUT), process(port), host(1, module)].concat();
    let site = site(&with_host_model(), "");
    site.write("one.yaml", "");
    site.write("manifests/one.yaml", &documents("proc_num: 2", "prod-2/nginx"));
    let watch = Watch::start(&site, &["manifests", "--resync", "300ms"]);
    watch.settle();
    assert_eq!(order(&site), Vec::<String>::new(), "{:?}", watch.all());
    site.write("manifests/one.yaml", &documents(PORT, "public/nginx"));
    wait_until("the modules are synced", || synced(&site) == json!([[32], [34]]));
    watch.settle();
    assert_eq!(order(&site), ["update_proc_template", "transfer_host_module", SYNC, SYNC], "{:?}", watch.all());
    assert!(ports(&site).iter().all(|port| port.ends_with("\"8080\"")), "{:?}", ports(&site));
    assert!(watch.lines("manual follow-up").is_empty(), "{:?}", watch.all());
    assert_eq!(watch.end(), Some(0));
}

/// What nobody but people can do is said once, not with each pass, and starts no run.
#[test]
fn watch_says_once_what_is_left_to_people() {
    let site = site(&shop(), "");
    site.write("one.yaml", "");
    site.write("manifests/one.yaml", &[template("modules: [prod-1/nginx]"), process("proc_num: 2")].concat());
    site.sandbox().set_option("hidden_operations", &json!(false)).expect("an option");
    let watch = Watch::start(&site, &["manifests", "--resync", "300ms"]);
    let lines = |text: &str| watch.lines(text).len();
    wait_until("it is said", || lines("manual follow-up: sync module prod-1/nginx (#32)") == 1);
    watch.settle();
    watch.settle();
    assert_eq!(lines("manual follow-up"), 1, "{:?}", watch.all());
    assert_eq!(lines("left to people"), 0, "{:?}", watch.all());
    assert!(site.runs().is_empty(), "{:?}", site.runs());
    // A change without a roll-out leaves its modules to people, too; it is made once, so it is said once.
    site.write("manifests/one.yaml", &process("proc_num: 3"));
    let told = "manual follow-up: sync the modules of the service template: nginx (#31), nginx (#32)";
    wait_until("it is said", || lines(told) == 1);
    watch.settle();
    assert_eq!(lines("manual follow-up"), 2, "{:?}", watch.all());
    assert_eq!(operations(&site.writes()), json!({"update_proc_template": 1}));
    assert_eq!(watch.end(), Some(0));
}
