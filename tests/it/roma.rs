//! ROMA Connect as its users have it: every way in, several instances, every answer that its contract leaves open.

use std::collections::BTreeMap;

use reconcile_sandbox::{LoggedCall, roma_connect::SWITCHES};
use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, operations, wait_until};

const SECRET_KEY: &str = "canary-sk-51c7";
const PASSWORD: &str = "canary-password-90ad";
const TOKEN: &str = "canary-token-77f0";
const SECURITY_TOKEN: &str = "canary-security-token-3e2b";
const APP_SECRET: &str = "canary-app-secret-c4d1";

/// A sandbox that lets nobody in without credentials, with two instances in two projects.
fn state() -> Value {
    json!({"roma-connect": {
        "projects": [{"id": "p1", "name": "cn-north-4"}, {"id": "p2", "name": "cn-north-4_two"}],
        "instances": [
            {"id": "i1", "project_id": "p1", "status": "RUNNING"}, {"id": "i2", "project_id": "p2", "status": "RUNNING"},
            {"id": "i3", "project_id": "p1", "status": "FROZEN"},
        ],
        "credentials": {
            "users": [
                {"id": "u1", "name": "ops", "password": PASSWORD, "domain": "acme", "administrator": true},
                {"id": "u2", "name": "ann", "password": "other", "domain": "acme"},
            ],
            "ak_sk": {
                "AK1": SECRET_KEY,
                "AK2": {"sk": SECRET_KEY, "user": "u1", "security_token": SECURITY_TOKEN},
                "AK3": {"sk": SECRET_KEY, "user": "u2"},
            },
            "tokens": {TOKEN: {"user": "u1", "project_id": "p1"}},
        },
        "apps": [
            {"instance_id": "i1", "id": "a1", "name": "orders", "remark": "old", "secret": APP_SECRET,
                "users": [{"id": "u2", "name": "ann", "roles": ["read"]}]},
            {"instance_id": "i1", "id": "a2", "name": "invoices", "remark": "text", "favorite": true},
            {"instance_id": "i1", "id": "a3", "name": "retired", "remark": ""},
            {"instance_id": "i1", "id": "a4", "name": "payments", "remark": ""},
        ],
    }})
}

/// A renamed app, one whose remark is cleared, one that is removed, one that is made, each with all that it may have.
const APPS: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec:
  app: orders
  fields: {name: orders-v2, remark: 订单 & more}
  members: [{id: u2, roles: [modify]}]
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: invoices}
spec: {app: invoices, fields: {favorite: false}}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: retired}
spec: {ensure: absent, app: retired}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: new}
spec:
  ensure: present
  app: brand new (1)
  fields: {remark: made}
  members: [{id: u2, roles: [admin]}]
";

const WRITES: &str = "AddUserToApp 2, CreateRomaApp 1, DeleteRomaApp 1, UpdateRomaApp 2";

fn configure(site: &Site, more: &str) {
    let url = site.url();
    site.write(
        "reconcile.yaml",
        &format!(
            "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  roma:\n    platform: roma-connect\n    endpoint: \
             {url}\n    instanceId: i1\n{more}safety: {{maxChanges: 100%}}\n"
        ),
    );
}

fn run(site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = site.command(arguments);
    command.envs(environment.iter().copied()).env("SECRET_KEY", SECRET_KEY).env("PASSWORD", PASSWORD);
    command.env("TOKEN", TOKEN).env("SECURITY_TOKEN", SECURITY_TOKEN);
    site.end(command, "")
}

fn counted(calls: &[LoggedCall]) -> String {
    let counts: BTreeMap<String, Value> =
        operations(calls).as_object().expect("an object").iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// The applications as they are stored, without ids and times.
fn apps(site: &Site) -> Vec<String> {
    let state = site.sandbox().state();
    let apps = state["roma-connect"]["apps"].as_array().expect("a list");
    let line = |app: &Value| {
        let users = app["users"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let users: Vec<String> = users.map(|user| format!("{} {}", user["id"], user["roles"])).collect();
        format!("{} {} {} {}", app["name"], app["remark"], app["favorite"], users.join(" "))
    };
    apps.iter().map(line).collect()
}

/// All secrets that a run may come to know; those that the server makes up too.
fn assert_no_secret(output: &Output, site: &Site) {
    let state = site.sandbox().state();
    let made = state["roma-connect"]["apps"].as_array().expect("a list").iter();
    let made: Vec<String> =
        made.flat_map(|app| [&app["secret"], &app["key"]]).filter_map(|text| Some(text.as_str()?.to_owned())).collect();
    let canaries = [SECRET_KEY, PASSWORD, TOKEN, SECURITY_TOKEN, APP_SECRET, "MIIR"];
    for canary in canaries.into_iter().chain(made.iter().map(String::as_str)).filter(|canary| canary.len() > 3) {
        assert!(!output.all().contains(canary), "{canary} is shown:\n{output}");
    }
}

/// Target settings and environments, for every way in.
fn ways(url: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let way = |auth: &str, environment: &[(&'static str, &str)]| {
        (auth.to_owned(), environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    };
    let iam = format!("user: ops, domain: acme, password: {{env: PASSWORD}}, endpoint: {url}");
    vec![
        way("    projectId: p1\n    auth: {token: {env: TOKEN}}\n", &[]),
        way(
            "    projectId: p1\n    auth: {ak: {command: [echo, AK1]}, sk: {env: SECRET_KEY}}\n",
            &[("PATH", "/bin:/usr/bin")],
        ),
        way(
            "    projectId: p1\n    auth: {ak: {file: ak2}, sk: {env: SECRET_KEY}, securityToken: {env: SECURITY_TOKEN}}\n",
            &[],
        ),
        way(&format!("    auth: {{iam: {{{iam}, project: cn-north-4}}}}\n"), &[]),
        way(&format!("    projectId: p1\n    auth: {{iam: {{{iam}}}}}\n"), &[]),
        way("", &[("HUAWEICLOUD_SDK_AK", "AK1"), ("HUAWEICLOUD_SDK_SK", SECRET_KEY), ("OS_PROJECT_ID", "p1")]),
        way(
            "",
            &[
                ("HW_ACCESS_KEY", "AK1"),
                ("HW_SECRET_KEY", SECRET_KEY),
                ("OS_AUTH_URL", url),
                ("HW_PROJECT_NAME", "cn-north-4"),
            ],
        ),
        way(
            "",
            &[
                ("OS_USERNAME", "ops"),
                ("OS_PASSWORD", PASSWORD),
                ("OS_DOMAIN_NAME", "acme"),
                ("OS_TENANT_NAME", "cn-north-4"),
                ("HW_AUTH_URL", &format!("{url}/v3")),
            ],
        ),
        way("", &[("HW_AUTH_TOKEN", TOKEN), ("HW_PROJECT_ID", "p1")]),
        way("    auth: {credentialsFile: credentials}\n", &[]),
    ]
}

#[test]
fn every_way_in_comes_to_the_same() {
    let mut outcomes = Vec::new();
    for at in 0.. {
        let site = Site::with(&state(), &[("apps.yaml", APPS), ("ak2", "AK2")]);
        let ways = ways(&site.url());
        let Some((auth, environment)) = ways.get(at) else { break };
        site.write("credentials", &format!("[basic]\nak = AK1\nsk = {SECRET_KEY}\nproject_id = p1\n"));
        configure(&site, auth);
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = |arguments: &[&str]| {
            let output = run(&site, arguments, &environment);
            assert_no_secret(&output, &site);
            output
        };
        let planned = run(&["plan", "-o", "json"]);
        assert_eq!(planned.code, Some(0), "{auth} {planned}");
        for verbose in [&["validate", "-vv"][..], &["plan", "-vv", "--calls"], &["plan", "-vv", "--log-format", "json"]]
        {
            run(verbose);
        }
        site.sandbox().clear_calls();
        let applied = run(&["apply", "-y", "-vv"]);
        assert_eq!(applied.code, Some(0), "{auth} {applied}");
        let calls = site.sandbox().calls();
        assert_eq!(counted(&site.writes()), WRITES, "{auth}");
        assert!(calls.iter().all(|call| call.status < 400 || (call.status == 404 && !call.write)), "{auth} {calls:?}");
        assert!(calls.iter().filter(|call| call.access == "iam").count() <= 1, "one login for the whole run: {auth}");
        let again = run(&["plan", "--detailed-exitcode"]);
        assert_eq!(again.code, Some(0), "{auth} {again}");
        outcomes.push((apps(&site), planned.json()["changes"].clone()));
    }
    assert_eq!(outcomes.len(), 10);
    for other in &outcomes {
        assert_eq!(other, &outcomes[0]);
    }
    insta::assert_snapshot!(outcomes[0].0.join("\n"), @r#"
    "orders-v2" "订单 & more" false "u2" ["read","modify"]
    "invoices" "text" false 
    "payments" "" false 
    "brand new (1)" "made" false "u2" ["read","access","delete","modify","admin"]
    "#);
}

#[test]
fn half_a_pair_of_variables_is_refused() {
    let site = Site::with(&state(), &[("apps.yaml", APPS)]);
    configure(&site, "");
    let output = run(&site, &["plan"], &[("HUAWEICLOUD_SDK_AK", "AK1"), ("HW_AUTH_TOKEN", TOKEN)]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.all().contains("HUAWEICLOUD_SDK_AK is set, but not HUAWEICLOUD_SDK_SK"), "{output}");
    assert!(site.sandbox().calls().is_empty());
}

#[test]
fn a_key_that_is_refused_is_used_once() {
    let check = |access: &str, secret: &str, option: (&str, Value), words: &str| {
        let site = Site::with(&state(), &[]);
        let (url, mut documents) = (site.url(), String::new());
        for at in 0..12 {
            let target = if at % 2 == 0 { "roma" } else { "two" };
            let text = format!(
                "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: d{at}, target: {target}}}\nspec: {{app: \
                 n{at}, instance: i{at}, fields: {{remark: x}}}}\n---\n"
            );
            documents.push_str(&text);
        }
        site.write("apps.yaml", &documents);
        let auth = format!("projectId: p1\n    auth: {{ak: {{command: [/bin/echo, {access}]}}, sk: {{env: WRONG}}}}\n");
        configure(
            &site,
            &format!(
                "    {auth}  two:\n    platform: roma-connect\n    endpoint: {url}\n    instanceId: i2\n    {auth}"
            ),
        );
        site.sandbox().set_option(option.0, &option.1).expect("an option");
        let output = run(&site, &["apply", "-y"], &[("WRONG", secret)]);
        assert_eq!(output.code, Some(5), "{output}");
        assert!(output.all().contains(words), "{words}: {output}");
        let calls = site.sandbox().calls();
        assert_eq!(calls.len(), 1, "nothing else was sent with this key: {calls:?}");
        assert!(!output.all().contains(secret), "{output}");
    };
    let none = ("lockout", json!(true));
    check("AK1", "canary-wrong", none.clone(), "the secret key is wrong");
    check("AK9", "canary-wrong", none, "there is no such access key");
    check(
        "AK1",
        SECRET_KEY,
        ("clock-offset-seconds", json!(1000)),
        "the clock of this machine is more than 15 minutes off",
    );
}

#[test]
fn a_password_that_is_refused_is_used_once() {
    let site = Site::with(&state(), &[("apps.yaml", APPS)]);
    let url = site.url();
    configure(
        &site,
        &format!(
            "    auth: {{iam: {{user: ops, domain: acme, password: {{env: TOKEN}}, endpoint: {url}, project: x}}}}\n"
        ),
    );
    let output = run(&site, &["plan", "-vv"], &[]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.all().contains("user, account, password, one-time code or project are wrong"), "{output}");
    assert_eq!(counted(&site.sandbox().calls()), "KeystoneCreateUserTokenByPassword 1");
    assert_no_secret(&output, &site);
}

#[test]
fn instances_in_two_projects_have_limits_of_their_own() {
    let mut state = state();
    let names = || (0..12).flat_map(|at| ["i1", "i2"].map(|instance| (instance, format!("{instance}-app{at}"))));
    state["roma-connect"]["credentials"]["tokens"] =
        json!({"TOKEN1": {"user": "u1", "project_id": "p1"}, "TOKEN2": {"user": "u1", "project_id": "p2"}});
    state["roma-connect"]["apps"] = names()
        .map(|(instance, name)| json!({"instance_id": instance, "id": format!("id-{name}"), "name": name}))
        .collect();
    let documents = |targets: bool| -> String {
        let document = |(instance, name): (&str, String)| {
            let place = if targets { format!("target: {instance}") } else { "target: i1".to_owned() };
            format!(
                "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {name}, {place}}}\nspec: {{app: {name}, \
                 fields: {{remark: new}}}}\n---\n"
            )
        };
        names().map(document).collect()
    };
    let site = Site::with(&state, &[("apps.yaml", &documents(true))]);
    let url = site.url();
    let configure = |limits: &str| {
        let target = |number: u8| {
            format!(
                "  i{number}:\n    platform: roma-connect\n    endpoint: {url}\n    projectId: p{number}\n    \
                 instanceId: i{number}\n    {limits}auth: {{token: {{command: [/bin/echo, TOKEN{number}]}}}}\n"
            )
        };
        let head = "apiVersion: reconcile/v1\nkind: Config\nsafety: {maxChanges: 100%}\n";
        let text = format!("{head}targets:\n{}{}", target(1), target(2));
        site.write("reconcile.yaml", &text);
    };
    let most = |instance: &str| {
        let calls = site.writes();
        let mine: Vec<_> = calls
            .iter()
            .filter(|call| call.body["name"].as_str().is_some_and(|name| name.starts_with(instance)))
            .map(|call| (call.time, call.time + jiff::SignedDuration::from_secs_f64(call.ms / 1e3)))
            .collect();
        assert_eq!(mine.len(), 12);
        mine.iter().map(|(start, _)| mine.iter().filter(|(from, to)| from <= start && start < to).count()).max()
    };
    site.faults(&json!([{"operation": "UpdateRomaApp", "fault": "delay", "ms": 60}]));
    configure("");
    let output = run(&site, &["apply", "-y", "--parallelism", "20"], &[]);
    assert_eq!(output.code, Some(0), "{output}");
    // Of the twelve of each, eight go first; the others follow as it answers.
    for instance in ["i1", "i2"] {
        assert!((6..=10).contains(&most(instance).unwrap_or_default()), "{instance}: {:?} at once", most(instance));
    }
    site.sandbox().load(&state).expect("the state is right");
    site.sandbox().clear_calls();
    configure("limits: {concurrency: 2}\n    ");
    let output = run(&site, &["apply", "-y", "--parallelism", "20"], &[]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!((most("i1"), most("i2")), (Some(2), Some(2)));
}

fn token_site(state: &Value, manifests: &[(&str, &str)]) -> Site {
    let site = Site::with(state, manifests);
    configure(&site, "    projectId: p1\n    auth: {token: {env: TOKEN}}\n");
    site
}

#[test]
fn instances_that_do_not_run_are_left_alone() {
    let app = |instance: &str| {
        format!(
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: x}}\nspec: {{ensure: present, app: x, instance: \
             {instance}, fields: {{}}}}\n"
        )
    };
    for (instance, words) in [
        ("i3", "instance i3 is FROZEN, not RUNNING"),
        ("i2", "the project has no instance i2"),
        ("nowhere", "the project has no instance nowhere"),
    ] {
        let site = token_site(&state(), &[("app.yaml", &app(instance))]);
        let output = run(&site, &["apply", "-y"], &[]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.all().contains(words), "{output}");
        assert_eq!(counted(&site.writes()), "");
    }
}

#[test]
fn apps_of_others_are_told_from_apps_that_are_not_there() {
    let app = |spec: &str| format!("apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: x}}\nspec: {spec}\n");
    let check = |spec: &str, expected: &str| {
        let site = Site::with(&state(), &[("app.yaml", &app(spec))]);
        configure(&site, "    projectId: p1\n    auth: {ak: {command: [/bin/echo, AK3]}, sk: {env: SECRET_KEY}}\n");
        let output = run(&site, &["apply", "-y"], &[]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
        assert_eq!(counted(&site.writes()), "", "{output}");
    };
    // ann sees `orders` only.
    check("{ensure: present, app: payments, fields: {}}", "app `payments` exists but is not visible to this identity");
    check("{app: payments, fields: {remark: x}}", "app `payments` exists but is not visible to this identity");
    check("{id: a4, fields: {remark: x}}", "app `a4` exists but is not visible to this identity");
    check(
        "{app: orders, fields: {name: payments}}",
        "app a4 (exists but is not visible to this identity) has the name",
    );
    check("{app: nothing, fields: {remark: x}}", "App/x does not exist");
}

#[test]
fn a_remark_that_cannot_be_cleared_is_reported_once() {
    let app =
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: x}\nspec: {app: orders, fields: {remark: null}}\n";
    let site = token_site(&state(), &[("app.yaml", app)]);
    site.sandbox().set_option("put-empty-remark", &json!("ignored")).expect("an option");
    let mut command = site.command(&["watch", "--listen", "127.0.0.1:0", "--resync", "1s"]);
    command.env("TOKEN", TOKEN).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let lists = || site.sandbox().calls().iter().filter(|call| call.operation == "ListRomaApp").count();
    wait_until("several passes were made", || lists() >= 3);
    child.kill().expect("it runs");
    let output = site.collect(child);
    assert_eq!(counted(&site.writes()), "UpdateRomaApp 1", "{output}");
    assert_eq!(output.all().matches("the server did not accept the empty remark").count(), 1, "{output}");
}

#[test]
fn mistakes_in_members_have_places() {
    let app = "apiVersion: roma-connect/v1
kind: App
metadata: {name: x}
spec:
  app: orders
  members:
    - {id: u1, roles: [reed]}
    - {id: u1, roles: [read]}
    - {roles: []}
";
    let site = token_site(&state(), &[("app.yaml", app)]);
    let output = run(&site, &["validate"], &[]);
    insta::assert_snapshot!(output, @r#"
    ------- stderr -------
    error[Y207]: a role cannot be `reed`
     --> app.yaml:7:24
      |
    7 |     - {id: u1, roles: [reed]}
      |                        ^^^^
      |
      = help: did you mean `read`?

    error[M403]: the member u1 is listed twice
     --> app.yaml:8:12
      |
    7 |     - {id: u1, roles: [reed]}
      |       ----------------------- first here
    8 |     - {id: u1, roles: [read]}
      |            ^^

    error[Y203]: a member needs `id`
     --> app.yaml:9:8
      |
    9 |     - {roles: []}
      |        ^^^^^
    3 errors in 1 file
    [exit status: 1]
    "#);
}

#[test]
fn members_are_the_full_list() {
    let app = |members: &str| {
        format!(
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: x}}\nspec: {{app: orders, members: {members}}}\n"
        )
    };
    let site = token_site(&state(), &[("app.yaml", &app("[{id: u1, roles: [admin]}]"))]);
    insta::assert_snapshot!(run(&site, &["plan"], &[]), @r#"
    ~ App x → members  (roma, members of app a1)                        app.yaml:1
        members      + row u1  ["access", "admin", "delete", "modify", "read"]  app.yaml:4:31
                     - row u2  ["read"]                                 app.yaml:4:30

    Plan: 0 to add, 1 to update, 0 to delete, 1 unchanged.   1 call, 3 reads, [time]
    "#);
    assert_eq!(run(&site, &["apply", "-y"], &[]).code, Some(0));
    assert_eq!(run(&site, &["plan", "--detailed-exitcode"], &[]).code, Some(0));
    site.write("app.yaml", &app("[]"));
    assert_eq!(run(&site, &["apply", "-y"], &[]).code, Some(0));
    assert_eq!(bodies(&site.writes())[1], json!({"users": []}));
    assert_eq!(run(&site, &["plan", "--detailed-exitcode"], &[]).code, Some(0));
}

/// The result of a run with a switch in a position.
enum Then {
    /// It converges, and the next one has nothing to do.
    Converges,
    /// It converges with more than one run.
    ConvergesInTwo,
    /// It says so.
    Refuses(&'static str),
}

/// Every switch of the simulator in every position, those of numbers in telling ones.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_open_question_either_way() {
    use Then::{Converges, ConvergesInTwo, Refuses};
    let clears = APPS.replace("fields: {favorite: false}", "fields: {favorite: false, remark: null}");
    let table: Vec<(&str, Vec<(Value, Then)>)> = vec![
        ("put-omitted", vec![(json!("merge"), Converges), (json!("replace"), Converges)]),
        (
            "put-empty-remark",
            vec![
                (json!("cleared"), Converges),
                (json!("ignored"), Refuses("the server did not accept the empty remark")),
            ],
        ),
        ("favorite", vec![(json!("per-app"), Converges), (json!("per-caller"), Converges)]),
        ("empty-remark", vec![(json!("text"), Converges), (json!("absent"), Converges), (json!("null"), Converges)]),
        ("roles", vec![(json!("array"), Converges), (json!("joined"), Converges)]),
        ("key", vec![(json!("plain"), Converges), (json!("masked"), Converges)]),
        (
            "delete-answer",
            vec![(json!("message"), Converges), (json!("empty"), Converges), (json!("no-content"), Converges)],
        ),
        (
            "delete-with-resources",
            vec![(json!("refused"), Refuses("delete what belongs to the app first")), (json!("allowed"), Converges)],
        ),
        ("name-comparison", vec![(json!("exact"), Converges), (json!("case-insensitive"), Converges)]),
        ("name-filter", vec![(json!("substring"), Converges), (json!("case-insensitive"), Converges)]),
        ("name-filter-wildcards", vec![(json!(false), Converges), (json!(true), Converges)]),
        (
            "unknown-app",
            vec![(json!("not-found"), Converges), (json!("forbidden"), Converges), (json!("bad-request"), Converges)],
        ),
        ("duplicate-name", vec![(json!("bad-request"), Converges), (json!("conflict"), Converges)]),
        ("page-bounds", vec![(json!("refused"), Converges), (json!("clamped"), Converges)]),
        ("list-delay-ms", vec![(json!(0), Converges), (json!(3_600_000), Converges)]),
        (
            "list-order",
            vec![(json!("created"), Converges), (json!("shuffled"), Converges), (json!("unstable"), Converges)],
        ),
        ("throttle-every", vec![(json!(0), Converges), (json!(4), Converges)]),
        ("throttle-retry-after", vec![(json!(0), Converges), (json!(1), Converges)]),
        ("lose-answer-every", vec![(json!(0), Converges), (json!(2), ConvergesInTwo), (json!(1), ConvergesInTwo)]),
        ("lockout", vec![(json!(true), Converges), (json!(false), Converges)]),
        ("lockout-failures", vec![(json!(0), Converges)]),
        ("lockout-seconds", vec![(json!(1), Converges)]),
        ("clock-window-seconds", vec![(json!(60), Converges)]),
        (
            "clock",
            vec![
                (json!("system"), Converges),
                (json!("2020-01-01T00:00:00Z"), Refuses("the clock of this machine is more than 15 minutes off")),
            ],
        ),
        (
            "clock-offset-seconds",
            vec![
                (json!(800), Converges),
                (json!(-1000), Refuses("the clock of this machine is more than 15 minutes off")),
            ],
        ),
        ("time-digits", vec![(json!("millis"), Converges), (json!("seconds"), Converges)]),
        ("token-seconds", vec![(json!(86_400), Converges), (json!(1), Converges)]),
        ("token-length", vec![(json!(512), Converges), (json!(50_000), Converges)]),
        ("token-errors", vec![(json!("gateway"), Converges), (json!("service"), Converges)]),
        ("iam-errors", vec![(json!("nested"), Converges), (json!("flat"), Converges)]),
        ("gateway-prefix", vec![(json!("APIGW"), Converges), (json!("APIG"), Converges), (json!("APIC"), Converges)]),
        ("code-spelling", vec![(json!("long"), Converges), (json!("short"), Converges)]),
        ("quota", vec![(json!(100), Converges), (json!(3), Refuses("the instance holds as many apps as it may"))]),
        ("member-limit", vec![(json!(0), Converges), (json!(1), Converges)]),
    ];
    let walked: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    // One clock for both platforms.
    let walked: Vec<&str> =
        walked.into_iter().filter(|name| !name.starts_with("clock") || *name == "clock-window-seconds").collect();
    assert_eq!(walked, SWITCHES.iter().map(|switch| switch.name).collect::<Vec<_>>());
    for (name, positions) in &table {
        for (value, then) in positions {
            let mut state = state();
            if *name == "delete-with-resources" {
                state["roma-connect"]["apps"][2]["resources"] = json!(2);
            }
            let site = Site::with(&state, &[("apps.yaml", &clears)]);
            let url = site.url();
            // Those about tokens need one, those about clocks a signature.
            let auth = if name.starts_with("token") || name.starts_with("iam") {
                format!("iam: {{user: ops, domain: acme, password: {{env: PASSWORD}}, endpoint: {url}}}")
            } else {
                "ak: {command: [/bin/echo, AK1]}, sk: {env: SECRET_KEY}".to_owned()
            };
            configure(&site, &format!("    projectId: p1\n    auth: {{{auth}}}\n"));
            if name.starts_with("throttle-retry") {
                site.sandbox().set_option("throttle-every", &json!(4)).expect("an option");
            }
            site.sandbox().set_option(name, value).expect("an option");
            let output = run(&site, &["apply", "-y"], &[]);
            assert_no_secret(&output, &site);
            let converged = || {
                let output = run(&site, &["plan", "--detailed-exitcode"], &[]);
                assert_eq!(output.code, Some(0), "{name}: {value}: {output}");
            };
            match then {
                Converges => {
                    assert_eq!(output.code, Some(0), "{name}: {value}: {output}");
                    converged();
                }
                ConvergesInTwo => {
                    let created: Vec<_> =
                        site.writes().into_iter().filter(|call| call.operation == "CreateRomaApp").collect();
                    assert_eq!(created.len(), 1, "{name}: {value}: {output}");
                    run(&site, &["apply", "-y"], &[]);
                    converged();
                }
                Refuses(words) => {
                    assert_ne!(output.code, Some(0), "{name}: {value}: {output}");
                    assert!(output.all().contains(words), "{name}: {value}: {output}");
                }
            }
        }
    }
}

/// Documents for so many apps of `i1`, and a state with them.
fn many(count: usize) -> (Value, String) {
    let mut state = state();
    state["roma-connect"]["apps"] = (0..count)
        .map(|at| json!({"instance_id": "i1", "id": format!("id{at}"), "name": format!("n{at}"), "remark": ""}))
        .collect();
    let document = |at| {
        format!(
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: d{at}}}\nspec: {{app: n{at}, fields: {{remark: \
             x}}}}\n---\n"
        )
    };
    (state, (0..count).map(document).collect())
}

#[test]
fn a_key_that_stops_working_ends_the_run() {
    let (state, documents) = many(40);
    let site = Site::with(&state, &[("apps.yaml", &documents)]);
    configure(&site, "    projectId: p1\n    auth: {ak: {command: [/bin/echo, AK1]}, sk: {env: SECRET_KEY}}\n");
    let message = "Incorrect IAM authentication information: verify aksk signature fail";
    let body = json!({"error_code": "APIGW.0301", "error_msg": message});
    let fault = |nth| json!({"operation": "UpdateRomaApp", "nth": nth, "fault": "status", "status": 401, "body": body});
    site.faults(&(9..=40).map(fault).collect());
    let output = run(&site, &["apply", "-y"], &[]);
    let writes = site.writes();
    let refused = writes.iter().filter(|call| call.status == 401).count();
    assert_ne!(output.code, Some(0), "{output}");
    assert!((1..=4).contains(&refused) && writes.len() < 16, "{} were sent, {refused} refused", writes.len());
    assert!(output.all().contains("not sent, and not for "), "{output}");
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    let (state, documents) = many(40);
    let check = |body: Value, status: u16, times: u64| {
        let site = Site::with(&state, &[("apps.yaml", &documents)]);
        let url = site.url();
        let iam = format!("user: ops, domain: acme, password: {{env: PASSWORD}}, endpoint: {url}, project: cn-north-4");
        configure(&site, &format!("    auth: {{iam: {{{iam}}}}}\n"));
        let fault =
            |nth| json!({"operation": "UpdateRomaApp", "nth": nth, "fault": "status", "status": status, "body": body});
        site.faults(&(1..=times).map(fault).collect());
        let output = run(&site, &["apply", "-y", "-vv"], &[]);
        assert_no_secret(&output, &site);
        let logins = site.sandbox().calls().iter().filter(|call| call.access == "iam").count();
        (output.code, logins)
    };
    let expired = json!({"error_code": "APIG.0301", "error_msg": "Incorrect IAM authentication information: The token must be updated"});
    assert_eq!(check(expired.clone(), 401, 1), (Some(0), 2));
    assert_eq!(check(json!({"error_code": "ROMA.00001002", "error_msg": "Wrong token"}), 400, 1), (Some(0), 2));
    // One that never works is not renewed again and again.
    let (code, logins) = check(expired, 401, 1000);
    assert!(code != Some(0) && logins == 2, "{code:?}, {logins} logins");
}

#[test]
fn every_way_in_works_with_the_embedded_sandbox() {
    let url = "https://roma.example.com";
    let targets = ways(url);
    for (auth, _) in &targets {
        let site = Site::with(&state(), &[("apps.yaml", APPS)]);
        site.write("state.yaml", &state().to_string());
        let mut text = "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  roma:\n    platform: roma-connect\n    \
                        region: cn-north-4\n    instanceId: i1\n"
            .to_owned();
        text.push_str(auth);
        text.push_str("sandbox: {state: [state.yaml]}\n");
        site.write("reconcile.yaml", &text);
        let output = site.run(&["apply", "-y", "--sandbox", "-v"]);
        assert_eq!(output.code, Some(0), "{auth} {output}");
        assert!(WRITES.split(", ").all(|call| output.stderr.contains(call)), "{output}");
        assert!(site.sandbox().calls().is_empty());
    }
}

#[test]
fn watch_shows_no_secret_however_much_it_logs() {
    for auth in [
        "auth: {token: {env: TOKEN}}".to_owned(),
        "auth: {ak: {file: ak2}, sk: {env: SECRET_KEY}, securityToken: {env: SECURITY_TOKEN}}".to_owned(),
        "auth: {iam: {user: ops, domain: acme, password: {env: PASSWORD}, endpoint: URL}}".to_owned(),
    ] {
        let site = Site::with(&state(), &[("apps.yaml", APPS), ("ak2", "AK2")]);
        configure(&site, &format!("    projectId: p1\n    {}\n", auth.replace("URL", &site.url())));
        let mut command = site.command(&["watch", "--listen", "127.0.0.1:0", "--resync", "1s", "-vv"]);
        command.env("SECRET_KEY", SECRET_KEY).env("PASSWORD", PASSWORD).env("RECONCILE_LOG", "trace");
        command.env("TOKEN", TOKEN).env("SECURITY_TOKEN", SECURITY_TOKEN);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = std::thread::scope(|scope| {
            let mut child = command.spawn().expect("the program starts");
            // It may say more than a pipe holds.
            let stderr = child.stderr.take().expect("it was piped");
            let reader = scope.spawn(move || std::io::read_to_string(stderr).expect("UTF-8"));
            wait_until("it has converged", || counted(&site.writes()) == WRITES);
            child.kill().expect("it runs");
            let mut output = site.collect(child);
            output.stderr = reader.join().expect("it was read");
            output
        });
        assert!(child.stderr.contains("pooling idle connection"), "the libraries log too: {child}");
        assert_no_secret(&child, &site);
    }
}
