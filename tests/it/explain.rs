//! `explain`: from a line to what it decides.

use serde_json::{Value, json};

use crate::{
    forms::check_document,
    harness::{Site, state, switch},
};

const OVER: &str = "kind: Instance
metadata: {name: one}
spec:
  fields: {ports: 96}
";

const PROCESS: &str = "# the web server
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx, labels: {a: b}}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    proc_num: 2
    bind_info:
      - {ip: 0.0.0.0, port: \"80\", protocol: tcp}
";

fn site() -> Site {
    let base = switch("one", "bk_asset_id: A1", "ports: 48, operator: [alice, '${BOB}'], remark: '${BOB}'")
        + &switch("two", "bk_asset_id: A2", "ports: 24, bk_sn: '${BOB}'")
        + &switch("gone", "bk_asset_id: A9", "ports: 1")
        + "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: cable}\nspec:\n  association: switch_rack\n  \
           source: {ref: two}\n  targets: [{model: bk_rack, id: 21}]\n";
    let site = Site::with(&state(), &[("m/net.yaml", &base), ("m/web.yaml", PROCESS), ("over/net.yaml", OVER)]);
    site.write("values.yaml", "BOB: bob\nUNUSED: 1\n");
    site
}

fn explain(site: &Site, place: &str, more: &[&str]) -> crate::harness::Output {
    let fixed = ["explain", place, "m", "--overlay", "over", "--values", "values.yaml", "--config", "reconcile.yaml"];
    let output = site.run(&fixed.iter().chain(more).copied().collect::<Vec<_>>());
    if more.contains(&"json") {
        check_document(&output.json());
    }
    output
}

#[test]
fn explanations_conform_to_their_schema() {
    let site = site();
    let places =
        ["values.yaml:1", "values.yaml:2", "over/net.yaml:4", "m/net.yaml:7:19", "m/net.yaml:14", "m/net.yaml:23"];
    for place in places.iter().chain(&["m/web.yaml:4", "m/web.yaml:10", "m/web.yaml:11", "m/web.yaml:1"]) {
        let document = explain(&site, place, &["-o", "json"]).json();
        assert_eq!(document["kind"], "Explanation", "{place}");
    }
}

#[test]
fn a_line_leads_to_fields_and_calls() {
    let site = site();
    let places = [
        // A variable that several objects take, from where it is set and from where it is used.
        "values.yaml:1",
        "m/net.yaml:7:62",
        // An overlay, and what it replaced.
        "over/net.yaml:4",
        "m/net.yaml:7:19",
        // As it is live; what finds an object, and one that another refers to.
        "m/net.yaml:15:19",
        "m/net.yaml:14",
        // Left alone.
        "m/net.yaml:23",
        // A cell of a row that comes to be, and the whole list.
        "m/web.yaml:12:29",
        "m/web.yaml:11",
    ];
    let shown: Vec<_> = places.iter().map(|place| format!("{place}\n{}\n", explain(&site, place, &["-q"]))).collect();
    let shown = shown.concat();
    insta::assert_snapshot!(shown, @r##"
    values.yaml:1
    Instance one  (cmdb, bk_switch #1)                                  m/net.yaml:1:1
        operator     live "alice" → "alice,bob"                         m/net.yaml:7:33  (${BOB} from values.yaml:1:6)
        remark       live "" → "bob"                                    m/net.yaml:7:60  (${BOB} from values.yaml:1:6)
        call: update_inst {"bk_inst_id":1,"bk_obj_id":"bk_switch","data":{"operator":"alice,bob","ports":96,"remark":"bob"}}
    Instance two  (cmdb, bk_switch #2)                                  m/net.yaml:9:1
        bk_sn        live "" → "bob"                                    m/net.yaml:15:30  (${BOB} from values.yaml:1:6)
        call: update_inst {"bk_inst_id":2,"bk_obj_id":"bk_switch","data":{"bk_sn":"bob"}}

    m/net.yaml:7:62
    Instance one  (cmdb, bk_switch #1)                                  m/net.yaml:1:1
        remark       live "" → "bob"                                    m/net.yaml:7:60  (${BOB} from values.yaml:1:6)
        call: update_inst {"bk_inst_id":1,"bk_obj_id":"bk_switch","data":{"operator":"alice,bob","ports":96,"remark":"bob"}}

    over/net.yaml:4
    Instance one  (cmdb, bk_switch #1)                                  m/net.yaml:1:1
        ports        live 24 → 96                                       over/net.yaml:4:19  (overlay over, over m/net.yaml:7:19)
        call: update_inst {"bk_inst_id":1,"bk_obj_id":"bk_switch","data":{"operator":"alice,bob","ports":96,"remark":"bob"}}

    m/net.yaml:7:19
    m/net.yaml:7:19 is replaced by over/net.yaml:4:19
    Instance one  (cmdb, bk_switch #1)                                  m/net.yaml:1:1
        ports        live 24 → 96                                       over/net.yaml:4:19  (overlay over, over m/net.yaml:7:19)
        call: update_inst {"bk_inst_id":1,"bk_obj_id":"bk_switch","data":{"operator":"alice,bob","ports":96,"remark":"bob"}}

    m/net.yaml:15:19
    Instance two  (cmdb, bk_switch #2)                                  m/net.yaml:9:1
        ports        24, as it is live                                  m/net.yaml:15:19
        call: update_inst {"bk_inst_id":2,"bk_obj_id":"bk_switch","data":{"bk_sn":"bob"}}

    m/net.yaml:14
    Instance two  (cmdb, bk_switch #2)                                  m/net.yaml:9:1
        match.bk_asset_id A2 finds bk_switch #2                         m/net.yaml:14:24
        call: update_inst {"bk_inst_id":2,"bk_obj_id":"bk_switch","data":{"bk_sn":"bob"}}
    InstanceAssociation cable → bk_rack #21  (cmdb)                     m/net.yaml:31:13
        match.bk_asset_id finds Instance/two, which it refers to
        call: add_instance_association {"bk_asst_inst_id":21,"bk_inst_id":2,"bk_obj_asst_id":"switch_rack"}

    m/net.yaml:23
    Instance gone  (cmdb)                                               m/net.yaml:17:1
        ports        1                                                  m/net.yaml:23:19
        no call: it is blocked: Instance/gone does not exist
    ------- stderr -------
    error[P100]: Instance/gone does not exist
      --> m/net.yaml:22:24
       |
    22 |   match: {bk_asset_id: A9}
       |                        ^^
       |
       = help: `ensure: existing` is the default: the object has to be there
    [exit status: 1]

    m/web.yaml:12:29
    ProcessTemplate nginx  (cmdb, demo/nginx #50)                       m/web.yaml:2:1
        bind_info[@0].port bind_info[1] comes to be 0.0.0.0:80 tcp      m/web.yaml:12:29
        call: update_proc_template {"bk_biz_id":3,"process_property":{"bind_info":{"as_default_value":true,"value":[{"ip":{"as_default_value":true,"value":"2"},"port":{"as_default_value":true,"value":"80"},"protocol":{"as_default_value":true,"value":"1"},"row_id":1}]}},"process_template_id":50}

    m/web.yaml:11
    ProcessTemplate nginx  (cmdb, demo/nginx #50)                       m/web.yaml:2:1
        bind_info[@0].ip       bind_info[1] comes to be 0.0.0.0:80 tcp  m/web.yaml:12:14
        bind_info[@0].port     bind_info[1] comes to be 0.0.0.0:80 tcp  m/web.yaml:12:29
        bind_info[@0].protocol bind_info[1] comes to be 0.0.0.0:80 tcp  m/web.yaml:12:45
        bind_info              bind_info[1] comes to be 0.0.0.0:80 tcp  m/web.yaml:12:7
        call: update_proc_template {"bk_biz_id":3,"process_property":{"bind_info":{"as_default_value":true,"value":[{"ip":{"as_default_value":true,"value":"2"},"port":{"as_default_value":true,"value":"80"},"protocol":{"as_default_value":true,"value":"1"},"row_id":1}]}},"process_template_id":50}
    "##);
    assert!(site.writes().is_empty());
}

#[test]
fn a_place_that_decides_nothing_says_why() {
    let site = site();
    let check = |place: &str, code: i32, expected: &str| {
        let output = explain(&site, place, &[]);
        assert_eq!(output.code, Some(code), "{place}: {output}");
        assert!(output.all().contains(expected), "{place}: {output}");
    };
    check("m/web.yaml:1", 1, "this line is a comment");
    check("m/web.yaml:3", 1, "it says what the document is");
    check("m/web.yaml:4", 1, "it names and labels the object");
    check("m/net.yaml:8", 1, "here one document ends");
    check("m/web.yaml:99", 1, "has no line 99");
    check("m/web.yaml:10:99", 1, "has no column 99");
    check("values.yaml:2", 1, "no value in force takes this variable");
    check("reconcile.yaml:4", 1, "this is no manifest");
    check("elsewhere.yaml:1", 64, "is none of the files that are read");
    check("m/web.yaml", 64, "FILE:LINE");
    // Nothing is asked of the servers for any of these.
    assert_eq!(site.reads(), json!({}));
}

#[test]
fn json_says_the_same() {
    let site = site();
    let output = explain(&site, "./m/../m/net.yaml:7:19", &["-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let document = output.json();
    assert_eq!(document["kind"], "Explanation");
    assert_eq!(document["replaced"][0]["by"][0], json!({"file": "over/net.yaml", "line": 4, "column": 19}));
    let [object] = document["objects"].as_array().expect("a list").as_slice() else { panic!("{document}") };
    assert_eq!((&object["address"], &object["state"]), (&json!("Instance/one"), &json!("update")));
    let part = &object["parts"][0];
    assert_eq!((&part["path"], &part["written"], &part["live"]), (&json!("ports"), &json!("96"), &json!(24)));
    assert_eq!(part["via"][0]["over"], json!({"file": "m/net.yaml", "line": 7, "column": 19}));
    assert_eq!(object["calls"][0]["operation"], "update_inst");
    let nothing = explain(&site, "m/web.yaml:1", &["-o", "json"]).json();
    assert_eq!((&nothing["objects"], &nothing["message"]), (&json!([]), &json!("this line is a comment")));
}

#[test]
fn what_could_not_be_read_is_not_explained_away() {
    let site = site();
    site.faults(
        &json!([{"operation": "search_object_instances", "fault": "code", "code": 1_199_006, "message": "no"}]),
    );
    let output = explain(&site, "m/net.yaml:15:19", &["-o", "json"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(output.json()["objects"][0]["state"], "blocked", "{output}");
    assert_eq!(output.json()["objects"][0]["calls"], Value::Array(Vec::new()));
}

#[test]
fn what_holds_for_a_whole_object_is_explained_too() {
    let made = switch("new", "bk_inst_name: sw-9", "bk_asset_id: A9").replace("spec:", "spec:\n  ensure: present");
    let site = Site::with(&state(), &[("m/net.yaml", &made)]);
    let output = site.run(&["explain", "m/net.yaml:5", "m", "--config", "reconcile.yaml"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("ensure       holds for the object as a whole"), "{output}");
    assert!(output.stdout.contains("call: create_inst"), "{output}");
    let output = site.run(&["explain", "m/net.yaml:7", "m", "--config", "reconcile.yaml"]);
    assert!(output.stdout.contains("match.bk_inst_name bk_inst_name comes to be \"sw-9\""), "{output}");
    site.write("m/net.yaml", "a: [\n");
    let output = site.run(&["explain", "m/net.yaml:1", "m", "--config", "reconcile.yaml", "-o", "json"]);
    assert_eq!((output.code, &output.json()["kind"]), (Some(1), &json!("Validation")), "{output}");
    check_document(&output.json());
}

#[test]
fn what_is_not_enforced_is_not_said_to_be_as_it_is_live() {
    let document = |policy: &str| {
        switch("one", "bk_inst_name: sw-1", "ports: 48, operator: bob, remark: x")
            .replace("spec:\n", &format!("spec:\n  {policy}\n"))
    };
    let site = Site::with(&state(), &[]);
    let told = |policy: &str, path: &str| {
        site.write("a.yaml", &document(policy));
        let text = site.run(&["explain", "a.yaml:8"]);
        let json = site.run(&["explain", "a.yaml:8", "-o", "json"]).json();
        let object = json["objects"][0].clone();
        let parts = object["parts"].as_array().expect("a list");
        let part = parts.iter().find(|part| part["path"] == path).expect("it is declared").clone();
        let line = text.stdout.lines().find(|line| line.trim_start().starts_with(path)).expect("a line").to_owned();
        let last = text.stdout.lines().last().unwrap_or_default().trim().to_owned();
        (line, last, json!([object["state"], part["differs"], part["policy"], part["live"]]))
    };
    let check = |policy: &str, path: &str, line: &str, last: &str, expected: Value| {
        let (said, end, told) = told(policy, path);
        assert!(said.contains(line), "{policy}: {said}");
        assert!(end.starts_with(last), "{policy}: {end}");
        assert_eq!(told, expected, "{policy}");
    };
    let only = "no call: what differs is only reported (policy: report)";
    check("policy: report", "ports", "live 24 → 48, only reported ", only, json!(["reported", true, "report", 24]));
    // Some of it is enforced, some reported, some ignored.
    let mixed = "fieldPolicy: {ports: report, operator: ignore}";
    let call = "call: update_inst {\"bk_inst_id\":1,\"bk_obj_id\":\"bk_switch\",\"data\":{\"remark\":\"x\"}}";
    check(mixed, "ports", "live 24 → 48, only reported ", call, json!(["update", true, "report", 24]));
    check(mixed, "operator", "bob, ignored, whatever is live ", call, json!(["update", false, "ignore", "alice"]));
    check(mixed, "remark", "→ \"x\" ", call, json!(["update", true, null, ""]));
    site.write("a.yaml", &document("policy: ignore"));
    let output = site.run(&["explain", "a.yaml:8"]);
    assert_eq!(output.stdout, "a.yaml:8: its object is ignored (policy: ignore)\n", "{output}");
    // It is read where another one refers to it.
    let row = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: cable}\nspec: {association: switch_rack, \
               source: {ref: one}, targets: [{model: bk_rack, match: {bk_inst_name: rack-1}}]}\n";
    site.write("b.yaml", row);
    let ignored = "no call: it is ignored (policy: ignore)";
    check(
        "policy: ignore",
        "ports",
        "48, ignored, whatever is live ",
        ignored,
        json!(["ignored", false, "ignore", 24]),
    );
}
