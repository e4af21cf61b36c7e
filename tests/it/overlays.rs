//! `--overlay`: what it changes, what a plan says about it, and what happens while it is broken.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, state, switch};

const OVER: &str = "kind: Instance
metadata: {name: one}
spec:
  fields:
    ports: ${PORTS}
    remark: null
";

fn site() -> Site {
    let base = switch("one", "bk_asset_id: A1", "ports: 48, operator: [alice, '${BOB:-bob}'], remark: base")
        + &switch("two", "bk_asset_id: A2", "ports: '${PORTS}'");
    let site = Site::with(&state(), &[("m/net.yaml", &base), ("m/overlays/prod/net.yaml", OVER)]);
    site.write("values.yaml", "PORTS: 96\n");
    site.write("m/reconcile.yaml", &std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there"));
    site.write("m/app-secret.txt", "hush");
    site.write("m/token.txt", "hush");
    site
}

const PROD: [&str; 5] = ["m", "--overlay", "m/overlays/prod", "--values", "values.yaml"];

fn run(site: &Site, command: &[&str]) -> Output {
    let arguments: Vec<&str> = command.iter().copied().chain(PROD).collect();
    site.run(&arguments)
}

#[test]
fn a_plan_says_how_values_came_about() {
    let site = site();
    insta::assert_snapshot!(run(&site, &["plan"]), @r#"
    ~ Instance one  (cmdb, bk_switch #1)                                m/net.yaml:1
        operator       "alice" → "alice,bob"                            m/net.yaml:7:33  (${BOB} by default)
        ports          24 → 96                                          m/overlays/prod/net.yaml:5:12  (${PORTS} from values.yaml:1:8; overlay prod, over m/net.yaml:7:19)
        remark         "" → null                                        m/overlays/prod/net.yaml:6:13  (overlay prod, over m/net.yaml:7:65)
    ~ Instance two  (cmdb, bk_switch #2)                                m/net.yaml:9
        ports          24 → 96                                          m/net.yaml:15:19  (${PORTS} from values.yaml:1:8)

    Plan: 0 to add, 2 to update, 0 to delete, 0 unchanged.   2 calls, 3 reads, [time]
    "#);
    let set = site.run(&["plan", "m", "--overlay=m/overlays/prod", "--set", "PORTS=12", "--set", "BOB=carol"]);
    insta::assert_snapshot!(set, @r#"
    ~ Instance one  (cmdb, bk_switch #1)                                m/net.yaml:1
        operator       "alice" → "alice,carol"                          m/net.yaml:7:33  (${BOB} from --set)
        ports          24 → 12                                          m/overlays/prod/net.yaml:5:12  (${PORTS} from --set; overlay prod, over m/net.yaml:7:19)
        remark         "" → null                                        m/overlays/prod/net.yaml:6:13  (overlay prod, over m/net.yaml:7:65)
    ~ Instance two  (cmdb, bk_switch #2)                                m/net.yaml:9
        ports          24 → 12                                          m/net.yaml:15:19  (${PORTS} from --set)

    Plan: 0 to add, 2 to update, 0 to delete, 0 unchanged.   2 calls, 3 reads, [time]
    "#);
    assert_eq!(bodies(&site.writes()), json!([]));
}

#[test]
fn a_saved_plan_says_it_too() {
    let site = site();
    let plan = run(&site, &["plan", "--out", "plan.json"]);
    let shown = site.run(&["show", "plan.json"]);
    let noted =
        |text: &str| text.lines().filter(|line| line.contains("overlay prod")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(noted(&shown.stdout), noted(&plan.stdout));
    assert_eq!(noted(&shown.stdout).len(), 2, "{shown}");
}

#[test]
fn each_planned_field_and_call_names_its_places() {
    let plan = run(&site(), &["plan", "-o", "json"]).json();
    let change = &plan["changes"][0];
    assert_eq!(change["address"], "Instance/one");
    let at = |file: &str, line: u64, column: u64| json!({"file": file, "line": line, "column": column});
    let values = at("values.yaml", 1, 8);
    let fields: Vec<&Value> = change["fields"].as_array().expect("a list").iter().collect();
    let via = |path: &str| &fields.iter().find(|field| field["path"] == path).expect("it changes")["via"];
    let ports = json!([
        {"variable": "PORTS", "from": "values", "at": values},
        {"overlay": "m/overlays/prod", "over": at("m/net.yaml", 7, 19)},
    ]);
    assert_eq!(*via("ports"), ports);
    assert_eq!(*via("operator"), json!([{"variable": "BOB", "from": "default"}]));
    let because = plan["calls"][0]["because"].as_array().expect("a list");
    assert!(because.contains(&values), "{because:?}");
    assert!(because.contains(&at("m/overlays/prod/net.yaml", 5, 12)), "{because:?}");
    // The value that the overlay replaced decides nothing.
    assert!(!because.contains(&at("m/net.yaml", 7, 19)), "{because:?}");
    let plain = site().run(&["plan", "m", "--set", "PORTS=1", "--overlay", "m/overlays/prod", "-o", "json"]).json();
    let two = plain["changes"].as_array().expect("a list").iter().find(|change| change["address"] == "Instance/two");
    assert_eq!(two.expect("it changes")["fields"][0]["via"], json!([{"variable": "PORTS", "from": "set"}]));
}

#[test]
fn apply_sends_what_the_overlay_says() {
    let site = site();
    let mut command = site.command(&["apply", "-y", "m"]);
    // The environment works like the flag.
    command.env("RECONCILE_OVERLAY", "m/overlays/prod").env("RECONCILE_VAR_PORTS", "7");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(0), "{output}");
    assert!(
        output.stdout.contains("${PORTS} from RECONCILE_VAR_PORTS; overlay prod, over m/net.yaml:7:19"),
        "{output}"
    );
    let row = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1);
    assert_eq!((&row["ports"], &row["remark"], &row["operator"]), (&json!(7), &Value::Null, &json!("alice,bob")));
}

#[test]
fn a_mistake_in_an_overlay_stops_the_run() {
    let site = site();
    let check = |text: &str, expected: &str| {
        site.write("m/overlays/prod/net.yaml", text);
        for command in ["validate", "plan"] {
            let output = run(&site, &[command]);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains(expected), "{output}");
        }
    };
    check(&OVER.replace("name: one", "name: on"), "did you mean `one`?");
    check(&OVER.replace("fields", "feilds"), "m/overlays/prod/net.yaml:4:3");
    check("a: [\n", "m/overlays/prod/net.yaml:1:4");
    // It is no document of our own for saying so: the value of the base must not go out.
    check(&format!("apiVersion: reconcile/v1\n{OVER}"), "m/overlays/prod/net.yaml:3:18");
    check(&format!("apiVersion: reconcile/v1\n{OVER}"), "`one` is of apiVersion bk-cmdb/v1");
    let output = site.run(&["validate", "m", "--overlay", "nowhere", "--set", "PORTS=1"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot read nowhere"), "{output}");
}
