//! Rehearsals: one seed is one history, all schedules end well, and a kill at each boundary is mended.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use reconcile::{
    journal::memory::KillPoint,
    plan::file,
    platform,
    rehearse::{Configured, Ending, Mended, Rehearsal, SimulatedTarget, schedule::FaultKind},
    snapshot::Snapshot,
    source::Sources,
};
use reconcile_sandbox::{Sandbox, simulator::Listing};
use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

/// A state with more of everything.
fn crowd() -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    for (model, number) in (4..=20).map(|number| ("bk_switch", number)) {
        let row = json!({"bk_inst_id": number, "bk_inst_name": format!("sw-{number}"),
            "bk_asset_id": format!("A{number}"), "ports": 24, "operator": "alice", "remark": "as it was"});
        cmdb["instances"][model].as_array_mut().expect("a list").push(row);
    }
    for number in 40..48 {
        let row = json!({"bk_module_id": number, "bk_module_name": format!("m{number}"), "bk_set_id": 11,
            "bk_biz_id": 3, "bk_module_type": "1", "operator": "dave", "service_template_id": 0});
        cmdb["modules"].as_array_mut().expect("a list").push(row);
    }
    cmdb["instance_associations"] = json!([{"id": 7, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch",
        "bk_inst_id": 3, "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": 21, "bk_asst_id": "connect"}]);
    for number in 3..9 {
        let row = json!({"instance_id": "i1", "id": format!("a{number}"), "name": format!("app{number}"),
            "remark": "as it was", "favorite": false});
        state["roma-connect"]["apps"].as_array_mut().expect("a list").push(row);
    }
    state
}

fn document(api: &str, kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {api}/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

/// Manifests with about fifty changes of all five kinds.
fn manifests() -> String {
    let mut text = String::new();
    for number in 1..=12 {
        let own = switch(&format!("s{number}"), &format!("bk_asset_id: A{number}"), "ports: 48");
        text += &own;
    }
    for number in 30..36 {
        let fields = format!("bk_inst_name: sw-{number}, ports: 8");
        let own = switch(&format!("s{number}"), &format!("bk_asset_id: A{number}"), &fields);
        text += &own.replace("spec:\n", "spec:\n  ensure: present\n");
    }
    for number in 19..=20 {
        let spec = format!("model: bk_switch, ensure: absent, match: {{bk_asset_id: A{number}}}");
        text += &document("bk-cmdb", "Instance", &format!("gone{number}"), &spec);
    }
    for number in (1..=4).chain(30..34) {
        let ends =
            format!("source: {{ref: s{number}}}, targets: [{{model: bk_rack, match: {{bk_inst_name: rack-1}}}}]");
        let spec = format!("association: switch_rack, {ends}");
        text += &document("bk-cmdb", "InstanceAssociation", &format!("cable{number}"), &spec);
    }
    for number in 40..48 {
        let spec = format!("business: demo, set: public, module: m{number}, fields: {{operator: [erin]}}");
        text += &document("bk-cmdb", "Module", &format!("m{number}"), &spec);
    }
    for name in ["nginx", "sidecar", "exporter", "logger"] {
        let properties = format!("properties: {{bk_func_name: {name}, user: web}}");
        let spec = format!("ensure: present, business: demo, serviceTemplate: nginx, process: {name}, {properties}");
        text += &document("bk-cmdb", "ProcessTemplate", name, &spec);
    }
    for number in 3..9 {
        let spec = format!("app: app{number}, fields: {{remark: theirs}}");
        text += &document("roma-connect", "App", &format!("app{number}"), &spec);
    }
    for number in 20..24 {
        let spec = format!("ensure: present, app: app{number}, fields: {{remark: fresh}}");
        text += &document("roma-connect", "App", &format!("app{number}"), &spec);
    }
    text
}

/// A site with a saved plan and the snapshot that it was made for.
fn site() -> Site {
    let site = Site::with(&crowd(), &[("all.yaml", &manifests())]);
    let planned = site.run(&["plan", "all.yaml", "--out", "plan.json"]);
    assert_eq!(planned.code, Some(0), "{planned}");
    let taken = site.run(&["snapshot", "all.yaml", "--out", "live.json"]);
    assert_eq!(taken.code, Some(0), "{taken}");
    site
}

fn snapshot(site: &Site, file: &str) -> Snapshot {
    let text = std::fs::read_to_string(site.path().join(file)).expect("it was written");
    Snapshot::from_text(&text).expect("it is a snapshot")
}

fn rehearsal(site: &Site) -> Rehearsal {
    let text = std::fs::read_to_string(site.path().join("plan.json")).expect("it was written");
    let saved = file::read(text, platform::ALL, &mut Sources::default()).expect("it is a plan");
    let snapshot = snapshot(site, "live.json");
    let target = |setup: &file::Setup| {
        let platform = platform::ALL.iter().copied().find(|platform| platform.name() == &*setup.platform);
        let kept = &snapshot.targets[&*setup.target];
        let platform = platform.expect("it is known");
        SimulatedTarget::new(setup.target.clone(), platform, kept, snapshot.taken, Configured::default())
    };
    let targets = saved.setups.iter().map(target).collect::<Result<_, _>>().expect("they can be simulated");
    Rehearsal::new(saved, targets, snapshot.taken).expect("it can be rehearsed")
}

/// Returns the number in an environment variable.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_seed_is_one_history_and_schedules_end_well() {
    let site = site();
    let replay = |seed: &str| {
        let output = site.run(&["rehearse", "plan.json", "--against", "live.json", "--seed", seed]);
        assert_eq!(output.code, Some(0), "{output}");
        output.stdout
    };
    let first = replay("4");
    assert_eq!(first, replay("4"), "byte for byte");
    assert_ne!(first, replay("5"));
    let seeds = number("RECONCILE_SEEDS", 30).to_string();
    let rehearse = || site.run(&["rehearse", "plan.json", "--against", "live.json", "--seeds", &seeds, "-o", "json"]);
    let output = rehearse();
    assert_eq!(output.code, Some(0), "{output}");
    let report = output.json();
    assert_eq!(report["good"], report["schedules"], "{report:#}");
    assert!(report["faults"].as_object().is_some_and(|faults| faults.len() > 5), "{report:#}");
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/rehearsal.json")).expect("a schema");
    assert!(jsonschema::is_valid(&schema, &report), "{report:#}");
    assert_eq!(output.stdout, rehearse().stdout, "on however many threads");
}

/// Seeds of this plan that once ended badly.
const ONCE_BAD: [u64; 10] = [1228, 1804, 3715, 3778, 3952, 4716, 5287, 6247, 6347, 7616];

#[test]
fn schedules_that_once_ended_badly_end_well() {
    let site = site();
    let rehearsal = rehearsal(&site);
    for seed in ONCE_BAD {
        let ending = rehearsal.run(seed, false);
        assert!(ending.is_good(), "{seed}: {:#?}", ending.violations);
    }
}

#[test]
fn each_sort_of_faults_alone_ends_well() {
    let site = site();
    let rehearsal = rehearsal(&site);
    let seeds = number("RECONCILE_ALONE", 4);
    let runs: Vec<(FaultKind, u64)> =
        FaultKind::ALL.into_iter().flat_map(|kind| (1..=seeds).map(move |seed| (kind, seed))).collect();
    let bad: Mutex<Vec<(FaultKind, Ending)>> = Mutex::default();
    let struck: Mutex<BTreeSet<&str>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((kind, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ending = rehearsal.run_kind(*kind, *seed);
                    struck.lock().expect("no panic").extend(ending.strikes.keys().map(|kind| kind.name()));
                    if !ending.is_good() {
                        bad.lock().expect("no panic").push((*kind, Ending { journals: Vec::new(), ..ending }));
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().expect("no panic");
    let seeds: Vec<_> = bad.iter().map(|(kind, ending)| (kind.name(), ending.seed)).collect();
    assert!(bad.is_empty(), "{seeds:?}: {:#?}", bad.first());
    let struck = struck.into_inner().expect("no panic");
    let missing: Vec<_> =
        FaultKind::ALL.into_iter().map(FaultKind::name).filter(|name| !struck.contains(name)).collect();
    assert!(missing.is_empty(), "these never struck: {missing:?}");
}

#[test]
fn a_kill_at_each_boundary_is_mended_by_resuming() {
    let site = site();
    let rehearsal = rehearsal(&site);
    let extent = rehearsal.extent();
    assert!(extent.writes >= 40, "{extent:?}");
    let sorts: BTreeSet<_> = extent.kill_points.iter().collect();
    assert_eq!(sorts.len(), KillPoint::ALL.len(), "{sorts:?}");
    // All of them take minutes: those of the journal always, of requests a sample.
    let step = usize::try_from(number("RECONCILE_KILL_STEP", 12)).expect("a step");
    let is_taken = |(at, point): &(usize, &KillPoint)| {
        let of_request = [KillPoint::BeforeRequest, KillPoint::BeforeAnswer, KillPoint::Answered].contains(point);
        !of_request || at % step == 0
    };
    let points: Vec<usize> = extent.kill_points.iter().enumerate().filter(is_taken).map(|(at, _)| at).collect();
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ending = rehearsal.run_kills(vec![*point], false);
                    let mended = ending.half_done.as_ref().and_then(|half| half.mended_by);
                    if !ending.is_good() || ending.kills != 1 || mended != Some(Mended::Resume) {
                        let ending = Ending { journals: Vec::new(), ..ending };
                        bad.lock().expect("no panic").push((*point, ending));
                    }
                }
            });
        }
    });
    let bad: Vec<(usize, Ending)> = bad.into_inner().expect("no panic");
    assert!(bad.is_empty(), "{} of {}: {:#?}", bad.len(), points.len(), bad.first());
}

#[test]
fn a_snapshot_of_what_a_snapshot_is_simulated_by_is_the_same() {
    let site = site();
    let taken = snapshot(&site, "live.json");
    let (sandbox, mut state) = (Sandbox::new(), json!({}));
    for target in taken.targets.values() {
        let listing = |(scope, content): (&reconcile::snapshot::ScopeName, &reconcile::snapshot::Content)| {
            let rows = content.as_ref().ok()?.rows().to_vec();
            Some(Listing { operation: scope.operation().to_owned(), arguments: scope.arguments(), rows })
        };
        let listings: Vec<Listing> = target.scopes.iter().filter_map(listing).collect();
        let own = sandbox.listed(&target.platform, &listings, &target.settings).expect("a state");
        state[&target.platform] = own[&target.platform].clone();
    }
    let copy = Site::with(&state, &[("all.yaml", &manifests())]);
    let again = copy.run(&["snapshot", "all.yaml", "--out", "live.json"]);
    assert_eq!(again.code, Some(0), "{again}");
    let again = snapshot(&copy, "live.json");
    for (name, target) in &taken.targets {
        let other = &again.targets[name];
        assert_eq!(target.scopes.keys().collect::<Vec<_>>(), other.scopes.keys().collect::<Vec<_>>());
        for (scope, content) in &target.scopes {
            let rows = |content: &reconcile::snapshot::Content| content.as_ref().ok().map(|rows| rows.rows().to_vec());
            assert_eq!(rows(content), rows(&other.scopes[scope]), "{scope}");
        }
    }
}

#[test]
#[cfg(debug_assertions)]
fn each_planted_mistake_is_found() {
    use reconcile::engine::planted::{self, Mistake};

    let site = site();
    let rehearsal = rehearsal(&site);
    let most = number("RECONCILE_PLANTED_SEEDS", 1_000);
    // All of them take minutes.
    let step = usize::try_from(number("RECONCILE_PLANTED_STEP", 5)).expect("a step");
    let mistakes: Vec<Mistake> = Mistake::ALL.into_iter().step_by(step).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mistake) = mistakes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    planted::plant(Some(*mistake));
                    let seed = (1..=most).find(|seed| !rehearsal.run(*seed, false).is_good());
                    planted::plant(None);
                    // Past the test harness, for those who run it by hand.
                    let _ = writeln!(std::io::stderr(), "{mistake:?}: seed {seed:?}");
                    found.lock().expect("no panic").push((*mistake, seed));
                }
            });
        }
    });
    let missed: Vec<_> = found.into_inner().expect("no panic").into_iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn what_cannot_be_rehearsed_is_refused_in_words() {
    let site = site();
    let check = |arguments: &[&str], expected: &str| {
        let output = site.run(&[&["rehearse", "plan.json"], arguments].concat());
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
    };
    check(&["--against", "no.json"], "cannot read no.json");
    check(&["--against", "plan.json"], "cannot use plan.json: it is no snapshot");
    site.write("apps.yaml", &document("roma-connect", "App", "app3", "app: app3, fields: {remark: theirs}"));
    assert_eq!(site.run(&["snapshot", "apps.yaml", "--out", "apps.json"]).code, Some(0));
    check(&["--against", "apps.json"], "the snapshot does not hold the target `cmdb`");
    assert_eq!(site.run(&["apply", "all.yaml", "-y"]).code, Some(0));
    assert_eq!(site.run(&["snapshot", "all.yaml", "--out", "later.json"]).code, Some(0));
    check(&["--against", "later.json"], "all changes of the plan are there already");
}
