//! The impact of changes: it is counted, shown, and limited.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch};

/// A site's state with modules, and hosts in them: so many modules of the service template `nginx` with so many hosts
/// each, one host in two of them, and rows at the first switch.
pub(crate) fn busy(modules: i64, hosts: i64) -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    let relation =
        |host: i64, module: i64| json!({"bk_host_id": host, "bk_module_id": module, "bk_set_id": 11, "bk_biz_id": 3});
    let mut relations = vec![relation(1, 31)];
    for at in 0..modules {
        let row = json!({"bk_module_id": 100 + at, "bk_module_name": format!("m{at}"), "bk_set_id": 11, "bk_biz_id": 3,
            "service_template_id": 51, "operator": null});
        cmdb["modules"].as_array_mut().expect("a list").push(row);
        relations.extend((0..hosts).map(|host| relation(1 + at * (hosts - 1) + host, 100 + at)));
    }
    cmdb["host_relations"] = json!(relations);
    cmdb["instance_associations"] = [(91, 1, 21), (92, 1, 22), (93, 2, 21)]
        .map(|(id, switch, rack)| {
            json!({"id": id, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": switch,
                "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": rack, "bk_asst_id": "connect"})
        })
        .into_iter()
        .collect();
    state
}

const NGINX: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}}
---
";

const SECOND: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: second}
spec: {ensure: present, business: demo, serviceTemplate: nginx, process: second, properties: {bk_func_name: second}}
---
";

fn module(name: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: {name}}}\nspec: {{business: demo, set: public, module: \
         {name}, fields: {{operator: zoe}}}}\n---\n"
    )
}

fn rack(name: &str, id: i64) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec: {{model: bk_rack, id: {id}, fields: \
         {{units: 1}}}}\n---\n"
    )
}

/// Returns the impact of each change, and of all changes of a kind.
fn below(site: &Site) -> (Vec<String>, Vec<String>) {
    let output = site.run(&["plan", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let plan = output.json();
    let rows = |list: &str, text: &dyn Fn(&Value) -> String| {
        plan[list].as_array().into_iter().flatten().map(text).collect::<Vec<_>>()
    };
    let changes = rows("changes", &|one| format!("{} {}", one["address"].as_str().unwrap_or_default(), one["impact"]));
    let totals = rows("impact", &|one| {
        format!("{} {} {}", one["kind"].as_str().unwrap_or_default(), one["unit"], one["count"]).replace('"', "")
    });
    (changes, totals.into_iter().filter(|total| !total.ends_with(" 0")).collect())
}

#[test]
fn what_hangs_below_is_counted_for_each_change_and_for_all_of_a_kind() {
    // 12 modules of 5 hosts each; neighbours share one: 49 hosts.
    let documents = [
        NGINX,
        SECOND,
        &module("m0"),
        &module("m1"),
        &module("web"),
        &module("cache"),
        &switch("one", "bk_inst_name: sw-1", "ports: 48"),
        &switch("two", "bk_inst_name: sw-2", "ports: 48"),
        &switch("three", "bk_inst_name: sw-3", "ports: 48"),
        &rack("rack", 21),
    ];
    let site = Site::with(&busy(12, 5), &[("all.yaml", &documents.concat())]);
    let (changes, totals) = below(&site);
    insta::assert_snapshot!(changes.join("\n"), @r#"
    Instance/one {"associations":2,"hosts":0,"modules":0}
    Instance/rack {"associations":2,"hosts":0,"modules":0}
    Instance/three {"associations":0,"hosts":0,"modules":0}
    Instance/two {"associations":1,"hosts":0,"modules":0}
    Module/cache {"hosts":0,"serviceInstances":0}
    Module/m0 {"hosts":5,"serviceInstances":5}
    Module/m1 {"hosts":5,"serviceInstances":5}
    Module/web {"hosts":1,"serviceInstances":0}
    ProcessTemplate/nginx {"hosts":49,"modules":12,"serviceInstances":60}
    ProcessTemplate/second {"hosts":49,"modules":12,"serviceInstances":60}
    "#);
    // Shared things count once: hosts 1 and 5, and the row between the first switch and the rack.
    insta::assert_snapshot!(totals.join("\n"), @"
    Instance associations 3
    Module hosts 9
    Module serviceInstances 10
    ProcessTemplate modules 12
    ProcessTemplate hosts 49
    ProcessTemplate serviceInstances 60
    ");
    // Two questions about modules for each kind that has some below, one for each model; the sync note asks no other.
    let reads = site.reads();
    let of = |name: &str| reads[name].clone();
    assert_eq!(
        json!([
            of("find_module_with_relation"),
            of("find_host_topo_relation"),
            of("list_service_instance"),
            of("search_instance_associations")
        ]),
        json!([1, 2, 1, 2]),
        "{reads}"
    );
    insta::assert_snapshot!(site.run(&["plan", "--target", "*/nginx", "--target", "*/one", "--target", "*/web"]), @r#"
    ~ Instance one  (cmdb, bk_switch #1)                                all.yaml:31
        impact: 2 associations
        ports          24 → 48                                          all.yaml:37:19
    ~ Module web  (cmdb, demo/public #31)                               all.yaml:21
        impact: 1 host
        operator       null → "zoe"                                     all.yaml:24:69
    ~ ProcessTemplate nginx  (cmdb, demo/nginx #50)                     all.yaml:1
        impact: 49 hosts, 12 modules, 60 service instances
        proc_num       2 → 4                                            all.yaml:4:87
        manual follow-up: sync the modules of the service template: m0 (#100), m1 (#101), m2 (#102), m3 (#103), m4 (#104), m5 (#105), m6 (#106), m7 (#107), m8 (#108), m9 (#109), m10 (#110), m11 (#111)

    Plan: 0 to add, 3 to update, 0 to delete, 0 unchanged.   3 calls, 14 reads, [time]
    1 manual follow-up is left: sync the modules of the service template: m0 (#100), m1 (#101), m2 (#102), m3 (#103), m4 (#104), m5 (#105), m6 (#106), m7 (#107), m8 (#108), m9 (#109), m10 (#110), m11 (#111)
    "#);
}

#[test]
fn a_plan_without_changes_costs_no_read_more() {
    let same = NGINX.replace("proc_num: 4", "proc_num: 2") + &switch("one", "bk_inst_name: sw-1", "ports: 24");
    let site = Site::with(&busy(12, 5), &[("all.yaml", &same)]);
    assert_eq!(below(&site), (Vec::new(), Vec::new()));
    let expected = json!({"search_business": 1, "list_service_template": 1, "list_proc_template": 1,
        "search_object_attribute": 1, "search_object_instances": 1});
    assert_eq!(site.reads(), expected);
}

#[test]
fn many_are_counted_in_pages_or_by_number_whichever_is_less() {
    let check = |modules: i64, hosts: i64, changed: i64, expected: (i64, i64), pages: (i64, i64)| {
        let documents: String = (0..changed).map(|at| module(&format!("m{at}"))).collect();
        let site = Site::with(&busy(modules, hosts), &[("all.yaml", &documents)]);
        let (_, totals) = below(&site);
        assert_eq!(totals, [format!("Module hosts {}", expected.0), format!("Module serviceInstances {}", expected.1)]);
        let reads = site.reads();
        assert_eq!(
            (&reads["find_host_topo_relation"], &reads["list_service_instance"]),
            (&json!(pages.0), &json!(pages.1))
        );
    };
    // One module: its two numbers.
    check(30, 101, 1, (101, 101), (1, 1));
    // 10 modules of 101 hosts: 1,010 pairs are two pages, 3,030 service instances of the business four.
    check(30, 101, 10, (1001, 1010), (2, 4));
    // Two of them: the pairs are one page; behind the first page of service instances two numbers are less than three
    // pages.
    check(30, 101, 2, (201, 202), (1, 3));
}

#[test]
fn limits_on_what_hangs_below_hold_for_all_changes_of_a_kind() {
    let documents = NGINX.to_owned() + SECOND + &module("m0") + &module("m1");
    let site = Site::with(&busy(12, 5), &[("all.yaml", &documents)]);
    let code = |flags: &[&str]| site.run(&[&["plan"], flags].concat()).code;
    assert_eq!(code(&["--max-impact", "modules=12", "--max-impact", "hosts=49"]), Some(0));
    assert_eq!(code(&["--max-impact", "modules=11"]), Some(3));
    assert_eq!(code(&["--max-impact", "hosts=48,modules=12"]), Some(3));
    site.configure(
        "safety: {maxImpact: {hosts: 9}, kinds: {ProcessTemplate: {maxImpact: {hosts: 49, modules: 20}}}}\n",
    );
    assert_eq!(code(&[]), Some(0));
    site.configure("safety: {maxImpact: {hosts: 8}, kinds: {ProcessTemplate: {maxImpact: {hosts: 48}}}}\n");
    let said = site.run(&["apply", "-y"]).stderr;
    let (head, tail) = said.split_once('@').expect("a digest");
    insta::assert_snapshot!(format!("{head}@[digest]{}", &tail[24..]), @"
    error: hosts affected by the changes of Module on cmdb: 9, over the limit of 8
    error: hosts affected by the changes of ProcessTemplate on cmdb: 49, over the limit of 48
    nothing is sent; `--ack 'changes:4,deletes:0@[digest]'` lets this plan pass, and no other
    `--max-impact hosts=49` raises the limits for one run
    ");
    assert_eq!(operations(&site.writes()), json!({}));
    // An acknowledgement is one of what hung below, as far as that was too much.
    let refused = site.run(&["plan"]);
    let acknowledgement = refused.stderr.split('\'').nth(1).expect("the text to give").to_owned();
    assert_eq!(code(&["--ack", &acknowledgement]), Some(0));
    let mut more = site.sandbox().state();
    let relation = json!({"bk_host_id": 999, "bk_module_id": 111, "bk_set_id": 11, "bk_biz_id": 3});
    more["bk-cmdb"]["host_relations"].as_array_mut().expect("a list").push(relation);
    site.sandbox().load(&more).expect("the state is right");
    assert_eq!(code(&["--ack", &acknowledgement]), Some(3));
    assert_eq!(code(&["--max-impact", "hosts=49"]), Some(3));
    assert_eq!(code(&["--max-impact", "hosts=50"]), Some(0));
}

#[test]
fn what_is_unknown_is_said_and_passes_no_limit() {
    let documents = NGINX.to_owned() + &module("web") + &switch("one", "bk_inst_name: sw-1", "ports: 48");
    let refused = |operation: &str| json!([{"operation": operation, "fault": "code", "code": 1_199_034, "message": "no permission"}]);
    let check = |operation: &str, expected: &str, unknown: &[&str], known: &[&str]| {
        let site = Site::with(&busy(3, 2), &[("all.yaml", &documents)]);
        site.faults(&refused(operation));
        let output = site.run(&["plan"]);
        assert_eq!(output.code, Some(0), "{output}");
        assert!(output.stdout.contains(expected), "{output}");
        for unit in unknown {
            let output = site.run(&["apply", "-y", "--max-impact", &format!("{unit}=1000000")]);
            assert_eq!(output.code, Some(3), "{unit}: {output}");
            assert!(output.stderr.contains("unknown, and so not within 1000000"), "{output}");
            assert!(!output.stderr.contains("raises the limits"), "no number would do: {output}");
        }
        assert_eq!(operations(&site.writes()), json!({}));
        for unit in known {
            assert_eq!(site.run(&["plan", "--max-impact", &format!("{unit}=1000000")]).code, Some(0), "{unit}");
        }
    };
    check("find_host_topo_relation", "hosts unknown, 3 modules, 6 service instances", &["hosts"], &["modules"]);
    check("list_service_instance", "service instances unknown", &["serviceInstances"], &["hosts", "modules"]);
    let all = "hosts unknown, modules unknown, service instances unknown";
    check("find_module_with_relation", all, &["hosts", "modules"], &["associations"]);
    check("search_instance_associations", "associations unknown", &["associations"], &["hosts", "modules"]);
}

#[test]
fn what_lies_below_a_layer_of_the_topology_is_unknown() {
    let mut state = state();
    state["bk-cmdb"]["instances"]["bk_switch"][0]["bk_biz_id"] = json!(3);
    let layer = switch("layer", "bk_inst_name: sw-1", "ports: 48").replace("spec:\n", "spec:\n  business: demo\n");
    let site = Site::with(&state, &[("layer.yaml", &layer)]);
    let (changes, _) = below(&site);
    assert_eq!(changes, [r#"Instance/layer {"associations":0,"hosts":null,"modules":null}"#]);
    assert_eq!(site.run(&["plan", "--max-impact", "associations=0"]).code, Some(0));
    assert_eq!(site.run(&["plan", "--max-impact", "hosts=1000"]).code, Some(3));
    // It is one whether its document names a business or not.
    state["bk-cmdb"]["instances"]["bk_switch"][0]["bk_parent_id"] = json!(3);
    let layer = switch("layer", "bk_inst_name: sw-1", "ports: 48");
    let other = switch("other", "bk_inst_name: sw-2", "ports: 48");
    for version in ["3.9", "3.14"] {
        state["bk-cmdb"]["version"] = json!(version);
        let site = Site::with(&state, &[("layer.yaml", &layer), ("other.yaml", &other)]);
        let (changes, _) = below(&site);
        assert_eq!(
            changes,
            [
                r#"Instance/layer {"associations":0,"hosts":null,"modules":null}"#,
                r#"Instance/other {"associations":0,"hosts":0,"modules":0}"#
            ]
        );
        assert_eq!(site.run(&["plan", "--max-impact", "hosts=1000"]).code, Some(3));
        assert_eq!(site.run(&["plan", "other.yaml", "--max-impact", "hosts=0"]).code, Some(0));
    }
}

#[test]
fn an_app_that_goes_takes_its_members_along() {
    let mut state = state();
    state["roma-connect"]["apps"][0]["users"] = json!([{"id": "u1", "name": "zoe", "roles": ["read"]}]);
    let app = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {ensure: absent, app: orders}\n";
    let site = Site::with(&state, &[("app.yaml", app)]);
    let (changes, totals) = below(&site);
    assert_eq!(changes, [r#"App/orders {"apis":null,"members":1}"#]);
    assert!(totals.contains(&"App apis null".to_owned()), "{totals:?}");
    assert_eq!(site.run(&["plan", "--max-impact", "apis=5"]).code, Some(3));
}

#[test]
fn an_older_server_is_asked_in_older_ways() {
    let mut state = busy(3, 2);
    state["bk-cmdb"]["version"] = json!("3.9");
    let documents = NGINX.to_owned() + &switch("one", "bk_inst_name: sw-1", "ports: 48");
    let site = Site::with(&state, &[("all.yaml", &documents)]);
    let (changes, _) = below(&site);
    assert_eq!(
        changes,
        [
            r#"Instance/one {"associations":2,"hosts":0,"modules":0}"#,
            r#"ProcessTemplate/nginx {"hosts":4,"modules":3,"serviceInstances":6}"#
        ]
    );
}

#[test]
fn nouns_that_are_not_counted_are_told() {
    let site = Site::with(&state(), &[("all.yaml", NGINX)]);
    site.configure(
        "safety:\n  maxImpact: {host: 1, modules: -1}\n  kinds:\n    Module: {maxImpact: {modules: 1}}\n    Modul: {maxChanges: 1}\n",
    );
    insta::assert_snapshot!(site.run(&["plan"]).stderr, @"
    error[C013]: no `host` are counted below a change of any kind
      --> reconcile.yaml:17:15
       |
    17 |   maxImpact: {host: 1, modules: -1}
       |               ^^^^
       |
       = help: did you mean `hosts`?

    error[C012]: the most `modules` has to be a number, 0 or more
      --> reconcile.yaml:17:33
       |
    17 |   maxImpact: {host: 1, modules: -1}
       |                                 ^^

    error[C013]: no `modules` are counted below a change of Module
      --> reconcile.yaml:19:26
       |
    19 |     Module: {maxImpact: {modules: 1}}
       |                          ^^^^^^^
       |
       = help: known: hosts, serviceInstances

    error[C013]: there is no kind `Modul`
      --> reconcile.yaml:20:5
       |
    20 |     Modul: {maxChanges: 1}
       |     ^^^^^
       |
       = help: did you mean `Module`?
    ");
    let output = site.run(&["plan", "--max-impact", "moduls=1"]);
    assert_eq!(output.code, Some(64), "{output}");
    assert!(output.stderr.contains("did you mean `modules`?"), "{output}");
}
