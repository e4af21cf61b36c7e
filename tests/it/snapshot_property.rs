//! Any live state and any manifests: a plan against a snapshot is the plan against the servers, byte for byte, whether
//! the snapshot knew these manifests or only some that touch the same models, businesses and instances.

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use serde_json::json;

use crate::{
    harness::{Output, Site, operations},
    property::{Case, Scene, case},
};

const CASES: u32 = 24;

/// One document of each kind, which touch what the documents of a case do.
const ANCHORS: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: anchor-switch}
spec: {model: bk_switch, ensure: absent, match: {bk_inst_name: no such switch}}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: anchor-rack}
spec: {model: bk_rack, ensure: absent, match: {bk_inst_name: no such rack}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: anchor-module}
spec: {ensure: absent, business: demo, set: public, module: no such module}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: anchor-process}
spec: {ensure: absent, business: demo, serviceTemplate: nginx, process: no-such-process}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: anchor-app}
spec: {ensure: absent, app: no such app}
";

const SCOPES: &str = "prune:
  - {kind: Instance, model: bk_switch}
  - {kind: InstanceAssociation, association: switch_rack}
  - {kind: Module, business: demo, set: public}
  - {kind: ProcessTemplate, business: demo, serviceTemplate: nginx}
  - {kind: App}
";

/// A way to the servers, and how old they are.
#[derive(Debug, Clone, Copy)]
struct Way {
    is_direct: bool,
    version: &'static str,
    prune: bool,
}

fn way() -> impl Strategy<Value = Way> {
    (any::<bool>(), prop::sample::select(vec!["3.9", "3.10", "3.14"]), any::<bool>())
        .prop_map(|(is_direct, version, prune)| Way { is_direct, version, prune })
}

/// What a plan says, without its costs.
pub(crate) fn plan_of(output: &Output) -> String {
    let is_cost = |line: &&str| line.starts_with("  \"cost\": ");
    assert_eq!(output.stdout.lines().filter(is_cost).count(), 1, "{output}");
    output.stdout.lines().filter(|line| !is_cost(line)).collect::<Vec<_>>().join("\n")
}

fn check(case: &Case, way: Way) -> Result<(), TestCaseError> {
    let mut scene = Scene::of(case);
    scene.state["bk-cmdb"]["version"] = json!(way.version);
    let site = Site::with(&scene.state, &[("few/all.yaml", ANCHORS), ("many/all.yaml", &scene.manifests)]);
    site.configure(if way.prune { SCOPES } else { "" });
    if way.is_direct {
        let text = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it was written");
        let esb = "auth: {appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}";
        assert!(text.contains(esb) && text.contains("door: esb"));
        site.write(
            "reconcile.yaml",
            &text.replace("door: esb", "door: direct").replace(esb, "auth: {username: admin}"),
        );
    }
    let run = |arguments: &[&str]| {
        let prune: &[&str] = if way.prune { &["--prune"] } else { &[] };
        site.run(&[arguments, prune].concat())
    };
    let live = run(&["plan", "many", "-o", "json"]);
    for known in ["many", "few"] {
        let taken = run(&["snapshot", known, "--out", "state.snapshot"]);
        prop_assert_eq!(taken.code, Some(0), "{}", taken);
        site.sandbox().clear_calls();
        let sealed = run(&["plan", "many", "-o", "json", "--against", "state.snapshot"]);
        prop_assert_eq!(operations(&site.sandbox().calls()), json!({}));
        prop_assert_eq!(sealed.code, live.code, "{}: {}", known, sealed);
        prop_assert!(
            plan_of(&sealed) == plan_of(&live),
            "{}: {}\n--- live\n{}\n--- manifests\n{}",
            known,
            sealed,
            live,
            scene.manifests
        );
    }
    prop_assert!(site.writes().is_empty());
    Ok(())
}

/// `SNAPSHOT_CASES=1000` makes a long run of it, with other cases every time.
#[test]
fn a_plan_against_a_snapshot_is_the_live_plan() {
    let defaults = Config { failure_persistence: None, ..Config::default() };
    let config = match std::env::var("SNAPSHOT_CASES") {
        Ok(cases) => Config { cases: cases.parse().expect("SNAPSHOT_CASES is a number"), ..defaults },
        Err(_) => Config { cases: CASES, rng_seed: RngSeed::Fixed(7), ..defaults },
    };
    let outcome = TestRunner::new(config).run(&(case(), way()), |(case, way)| check(&case, way));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
