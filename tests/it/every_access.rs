//! The same manifests through every access and on every version that differs: the same plan, the same end state.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use reconcile_sandbox::{Running, Sandbox};
use serde_json::{Value, json};

/// One target: how it is reached, and what answers.
struct Case {
    access: &'static str,
    auth: &'static str,
    version: &'static str,
    /// More lines of the target.
    more: &'static str,
}

const PASSWORD: &str = "auth: {appCode: app, appSecret: {env: DOORS_SECRET}, username: admin}";
const HEADER: &str = "auth: {appCode: app, appSecret: {env: DOORS_SECRET}, username: admin, in: header}";
const TOKEN: &str = "auth: {appCode: app, appSecret: {env: DOORS_SECRET}, token: {env: DOORS_TOKEN}}";
const NAME: &str = "auth: {username: admin}";

/// Starts a sandbox with the state of the examples.
async fn sandbox(version: &str) -> (Sandbox, Running) {
    sandbox_of("examples/manifests/sandbox.yaml", version).await
}

/// Starts a sandbox with the state of a file.
async fn sandbox_of(file: &str, version: &str) -> (Sandbox, Running) {
    let text = fs::read_to_string(file).expect("the examples have a state");
    let mut sources = reconcile::source::Sources::default();
    let file = sources.add("sandbox.yaml", text);
    let mut diagnostics = Vec::new();
    let documents = reconcile::yaml::load(file, sources.text(file), &mut diagnostics);
    let mut state = documents[0].root.to_json();
    state["bk-cmdb"]["version"] = json!(version);
    state["bk-cmdb"]["credentials"] =
        json!({"apps": {"app": "hush"}, "users": ["admin"], "tokens": {"ticket": "admin"}});
    let sandbox = Sandbox::new();
    sandbox.load(&state).expect("the state is fine");
    let running = sandbox.start(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    (sandbox, running)
}

/// Hosts whose fields and modules change.
const HOSTS: &str = "apiVersion: bk-cmdb/v1
kind: Host
metadata: {name: front-1}
spec: {business: shop, match: {bk_asset_id: H-0001}, modules: [idle]}
---
apiVersion: bk-cmdb/v1
kind: Host
metadata: {name: front-2}
spec:
  business: shop
  match: {bk_host_innerip: 10.0.1.2, bk_cloud_id: 0}
  fields: {operator: [alice], bk_comment: rack 7}
  modules: [public/gateway]
---
apiVersion: bk-cmdb/v1
kind: Host
metadata: {name: front-3}
spec: {business: shop, match: {bk_host_id: 73}, fields: {operator: [bob]}, modules: [public/nginx, 33]}
";

/// Copies the examples of BlueKing CMDB into a directory, without the row that needs a server of 3.11.
fn manifests(directory: &Path) {
    fs::write(directory.join("hosts.yaml"), HOSTS).expect("written");
    for group in ["network", "processes"] {
        for entry in fs::read_dir(format!("examples/manifests/{group}")).expect("there are examples") {
            let path = entry.expect("a file").path();
            let text = fs::read_to_string(&path).expect("a text");
            let lines = text.lines().filter(|line| !line.contains("tcp6")).map(|line| format!("{line}\n"));
            fs::write(directory.join(path.file_name().expect("a name")), lines.collect::<String>()).expect("written");
        }
    }
}

/// Writes a configuration into a directory.
fn configure(directory: &Path, address: SocketAddr, Case { access, auth, more, .. }: &Case) {
    let text = format!(
        "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb-prod:\n    platform: bk-cmdb\n    access: {access}\n    \
         endpoint: http://{address}\n    timeZone: Asia/Shanghai\n    {auth}\n    {more}\n"
    );
    fs::write(directory.join("reconcile.yaml"), text).expect("it can be written");
}

/// Runs the program in a directory; returns its exit code and what it prints.
fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_reconcile"));
    program
        .current_dir(directory)
        .args(arguments)
        .args(["-o", "json"])
        .env("DOORS_SECRET", "hush")
        .env("DOORS_TOKEN", "ticket")
        .stdin(Stdio::null());
    // The sandbox answers on the other threads.
    let output = tokio::task::block_in_place(|| program.output()).expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("hush") && !String::from_utf8_lossy(&output.stdout).contains("hush"), "{told}");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

/// The objects, without what depends on the clock.
fn end_state(sandbox: &Sandbox) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                for key in ["last_time", "create_time", "bk_updated_at", "bk_created_at", "operation_time"] {
                    entries.remove(key);
                }
                entries.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut state = sandbox.state()["bk-cmdb"].clone();
    for key in ["version", "audits", "audit", "events"] {
        state.as_object_mut().expect("an object").remove(key);
    }
    strip(&mut state);
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_plan_and_end_state_everywhere() {
    let mut cases = Vec::new();
    for version in ["3.9", "3.10", "3.14"] {
        for (access, auth) in [("esb", PASSWORD), ("gateway", PASSWORD), ("direct", NAME)] {
            cases.push(Case { access, auth, version, more: "" });
        }
    }
    cases.push(Case { access: "esb", auth: HEADER, version: "3.14", more: "supplierAccount: 0" });
    cases.push(Case { access: "esb", auth: TOKEN, version: "3.14", more: "version: 3.14.8" });
    cases.push(Case { access: "direct", auth: NAME, version: "3.14", more: "stage: prod" });
    let mut first: Option<(Value, Value)> = None;
    for case in &cases {
        let Case { access, auth, version, more } = case;
        let name = format!("{access} {version} {auth} {more}");
        let (sandbox, running) = sandbox(version).await;
        let directory = tempfile::tempdir().expect("a directory");
        manifests(directory.path());
        configure(directory.path(), running.address, case);
        let (code, mut plan, told) = run(directory.path(), &["plan", "--detailed-exitcode"]);
        assert_eq!(code, Some(2), "{name}: {told}");
        let calls = sandbox.calls();
        assert!(calls.iter().all(|call| !call.write && call.access == *access), "{name}");
        let refused = calls.iter().filter(|call| !call.code.is_null() || call.status != 200).count();
        let texts = calls.iter().filter(|call| call.operation.is_empty()).count();
        let told_by = if *version == "3.9" { 1..=4 } else { 0..=0 };
        assert!(told_by.contains(&refused.max(texts)), "{name}: {refused} and {texts} calls tell the version");
        let (code, _, told) = run(directory.path(), &["apply", "--auto-approve", "--parallelism", "1"]);
        assert_eq!(code, Some(0), "{name}: {told}");
        sandbox.clear_calls();
        let (code, again, told) = run(directory.path(), &["plan", "--detailed-exitcode"]);
        assert_eq!((code, &again["changes"]), (Some(0), &json!([])), "{name}: {told}");
        let counts = sandbox.call_counts();
        assert_eq!(counts.contains_key("find_instance_association"), *version == "3.9", "{name}: {counts:?}");
        let end = end_state(&sandbox);
        assert!(plan["changes"].as_array().is_some_and(|changes| changes.len() > 10), "{name}: {plan}");
        // The servers have different addresses, so the configurations differ too.
        for key in ["cost", "targets", "config", "manifests", "digest"] {
            plan.as_object_mut().expect("an object").remove(key);
        }
        match &first {
            None => first = Some((plan, end)),
            Some((first_plan, first_end)) => {
                assert_eq!(&plan, first_plan, "{name}");
                assert_eq!(&end, first_end, "{name}");
            }
        }
        running.shutdown().await.expect("a clean end");
    }
}

/// A whole business is made alike through each access and by each version. Where the modules cannot be compared with their
/// template afterwards, that alone is left to people, and said.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_business_is_made_everywhere() {
    let mut first: Option<(Value, Value)> = None;
    for version in ["3.9", "3.10", "3.14"] {
        for (access, auth) in [("esb", PASSWORD), ("gateway", PASSWORD), ("direct", NAME)] {
            let name = format!("{access} {version}");
            let (sandbox, running) = sandbox_of("examples/business/sandbox.yaml", version).await;
            let directory = tempfile::tempdir().expect("a directory");
            for file in ["business.yaml", "hosts.yaml"] {
                fs::copy(format!("examples/business/{file}"), directory.path().join(file)).expect("an example");
            }
            let more = "safety: {maxChanges: 100%}";
            configure(directory.path(), running.address, &Case { access, auth, version, more: "" });
            let file = directory.path().join("reconcile.yaml");
            let text = fs::read_to_string(&file).expect("it was written");
            fs::write(&file, format!("{text}\n{more}\n")).expect("it can be written");
            let (code, mut plan, told) = run(directory.path(), &["plan", "--detailed-exitcode"]);
            assert_eq!(code, Some(2), "{name}: {told}");
            let (code, _, told) = run(directory.path(), &["apply", "--auto-approve", "--parallelism", "1"]);
            assert_eq!(code, Some(0), "{name}: {told}");
            let (code, again, told) = run(directory.path(), &["plan", "--detailed-exitcode"]);
            let follow_ups = again["follow_ups"].to_string();
            if version == "3.14" || (version == "3.10" && access != "esb") {
                assert_eq!((code, &again["changes"]), (Some(0), &json!([])), "{name}: {told}");
            } else {
                assert_eq!(code, Some(2), "{name}: {told}");
                assert!(follow_ups.contains("list_service_template_difference"), "{name}: {follow_ups}");
                assert_eq!(again["calls"], json!([]), "{name}");
            }
            for key in ["cost", "targets", "config", "manifests", "digest"] {
                plan.as_object_mut().expect("an object").remove(key);
            }
            let end = end_state(&sandbox);
            match &first {
                None => first = Some((plan, end)),
                Some((first_plan, first_end)) => {
                    assert_eq!(&plan, first_plan, "{name}");
                    assert_eq!(&end, first_end, "{name}");
                }
            }
            running.shutdown().await.expect("a clean end");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_is_known_to_be_too_old_for_is_told_at_its_line() {
    let (sandbox, running) = sandbox("3.10").await;
    let directory = tempfile::tempdir().expect("a directory");
    let text = fs::read_to_string("examples/manifests/processes/web.yaml").expect("an example");
    fs::write(directory.path().join("web.yaml"), text).expect("written");
    let case = Case { access: "gateway", auth: PASSWORD, version: "3.10", more: "version: 3.10" };
    configure(directory.path(), running.address, &case);
    let (code, plan, told) = run(directory.path(), &["plan"]);
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(plan["blocked"][0]["address"], "ProcessTemplate/nginx");
    assert!(told.contains("P115") && told.contains("web.yaml:35:"), "{told}");
    assert!(sandbox.calls().iter().all(|call| call.code.is_null()));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_version_costs_no_refused_call() {
    for access in ["esb", "gateway", "direct"] {
        let (sandbox, running) = sandbox("3.9").await;
        let directory = tempfile::tempdir().expect("a directory");
        manifests(directory.path());
        let auth = if access == "direct" { NAME } else { PASSWORD };
        configure(directory.path(), running.address, &Case { access, auth, version: "3.9", more: "version: 3.9.41" });
        let (code, _, told) = run(directory.path(), &["plan"]);
        assert_eq!(code, Some(0), "{told}");
        assert!(sandbox.calls().iter().all(|call| call.code.is_null() && !call.operation.is_empty()), "{access}");
        running.shutdown().await.expect("a clean end");
    }
}
