//! Any live state and any manifests: a plan against a snapshot is the plan against the servers, byte for byte, whether
//! the snapshot knew these manifests or only some that touch the same models, businesses and instances.

use std::collections::BTreeSet;

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use serde_json::{Value, json};

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

/// The impact of the objects of a case.
#[derive(Debug, Clone)]
struct Below {
    /// How many modules the service template gave rise to.
    templated: i64,
    /// Pairs of a module and a host.
    pairs: BTreeSet<(usize, i64)>,
    /// How many more hosts lie in the first module: with them rows take more than a page.
    crowd: i64,
    /// Members of the apps.
    members: Vec<usize>,
}

fn below() -> impl Strategy<Value = Below> {
    (
        0..4_i64,
        btree_set((0..6_usize, 1..9_i64), 0..12),
        prop_oneof![5 => Just(0), 1 => 990..2010_i64],
        vec(0..4_usize, 4),
    )
        .prop_map(|(templated, pairs, crowd, members)| Below { templated, pairs, crowd, members })
}

/// Adds things to the modules and apps of a state.
fn hang(state: &mut Value, below: &Below) {
    let cmdb = &mut state["bk-cmdb"];
    let modules = cmdb["modules"].as_array_mut().expect("a list");
    modules.extend((0..below.templated).map(|at| {
        json!({"bk_module_id": 70 + at, "bk_module_name": format!("nginx{at}"), "bk_set_id": 11, "bk_biz_id": 3,
            "service_template_id": 51})
    }));
    // Those of a service template first, which have service instances too.
    let ids: Vec<Value> = modules.iter().rev().map(|module| module["bk_module_id"].clone()).collect();
    let crowd = (0..below.crowd).map(|at| (0, 100 + at));
    let pairs = below.pairs.iter().copied().chain(crowd).filter_map(|(module, host)| Some((ids.get(module)?, host)));
    let relation = |(module, host): (&Value, i64)| json!({"bk_host_id": host, "bk_module_id": module, "bk_set_id": 11, "bk_biz_id": 3});
    let elsewhere = json!({"bk_host_id": 1, "bk_module_id": 999, "bk_set_id": 99, "bk_biz_id": 4});
    cmdb["host_relations"] = pairs.map(relation).chain([elsewhere]).collect();
    for (app, count) in state["roma-connect"]["apps"].as_array_mut().expect("a list").iter_mut().zip(&below.members) {
        let member = |at: usize| json!({"id": format!("u{at}"), "name": format!("user{at}"), "roles": ["read"]});
        app["users"] = (0..*count).map(member).collect();
    }
}

fn way() -> impl Strategy<Value = Way> {
    (any::<bool>(), prop::sample::select(vec!["3.9", "3.10", "3.14"]), any::<bool>())
        .prop_map(|(is_direct, version, prune)| Way { is_direct, version, prune })
}

/// Returns the output of a plan without its costs.
pub(crate) fn plan_of(output: &Output) -> String {
    let is_cost = |line: &&str| line.starts_with("  \"cost\": ");
    assert_eq!(output.stdout.lines().filter(is_cost).count(), 1, "{output}");
    output.stdout.lines().filter(|line| !is_cost(line)).collect::<Vec<_>>().join("\n")
}

fn check(case: &Case, below: &Below, way: Way) -> Result<(), TestCaseError> {
    let mut scene = Scene::of(case);
    hang(&mut scene.state, below);
    scene.state["bk-cmdb"]["version"] = json!(way.version);
    let site = Site::with(&scene.state, &[("few/all.yaml", ANCHORS), ("many/all.yaml", &scene.manifests)]);
    site.configure(if way.prune { SCOPES } else { "" });
    if way.is_direct {
        let text = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it was written");
        let esb = "auth: {appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}";
        assert!(text.contains(esb) && text.contains("access: esb"));
        site.write(
            "reconcile.yaml",
            &text.replace("access: esb", "access: direct").replace(esb, "auth: {username: admin}"),
        );
    }
    let run = |arguments: &[&str]| {
        let prune: &[&str] = if way.prune { &["--prune"] } else { &[] };
        site.run(&[arguments, prune].concat())
    };
    let live = run(&["plan", "many", "--allow-empty", "-o", "json"]);
    for known in ["many", "few"] {
        let taken = run(&["snapshot", known, "--allow-empty", "--out", "state.snapshot"]);
        prop_assert_eq!(taken.code, Some(0), "{}", taken);
        site.sandbox().clear_calls();
        let target_snapshot = run(&["plan", "many", "--allow-empty", "-o", "json", "--against", "state.snapshot"]);
        prop_assert_eq!(operations(&site.sandbox().calls()), json!({}));
        prop_assert_eq!(target_snapshot.code, live.code, "{}: {}", known, target_snapshot);
        prop_assert!(
            plan_of(&target_snapshot) == plan_of(&live),
            "{}: {}\n--- live\n{}\n--- manifests\n{}",
            known,
            target_snapshot,
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
    let outcome =
        TestRunner::new(config).run(&(case(), below(), way()), |(case, below, way)| check(&case, &below, way));
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
