//! Replays the recordings of a real bk-cmdb 3.14.8-beta1 against the simulator and compares the answers.
//!
//! `conformance/bk-cmdb/scenarios` holds the recordings, `conformance/differences.md` the steps that may differ.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use reconcile_sandbox::{
    bk_cmdb::Simulator,
    simulator::{Answer, Request, Simulator as _},
};
use serde_json::Value;

mod compare;

use compare::{Bound, Unbound, fill, fill_text, judge};

/// The least share of equal steps, in percent.
const LEAST: usize = 98;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn read(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The scenario files by topic and name.
fn scenarios() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for topic in fs::read_dir(root().join("bk-cmdb/scenarios")).expect("the scenarios are there") {
        let topic = topic.expect("the folder can be read").path();
        for file in fs::read_dir(&topic).expect("a topic is a folder") {
            let path = file.expect("the folder can be read").path();
            let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(format!("{}/{}", stem(&topic), stem(&path)), path);
        }
    }
    found
}

fn send(simulator: &Simulator, request: &Value, bound: &Bound) -> Result<Answer, Unbound> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or("");
    let path = fill_text(text("path"), bound)?;
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let headers = request.get("headers").and_then(Value::as_object).into_iter().flatten();
    let body = match (request.get("raw_body"), request.get("body")) {
        (Some(raw), _) => raw.as_str().unwrap_or("").as_bytes().to_vec(),
        (None, None | Some(Value::Null)) => Vec::new(),
        (None, Some(body)) => fill(body, bound)?.to_string().into_bytes(),
    };
    Ok(simulator.answer(&Request {
        method: text("method").to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or("").to_owned())).collect(),
        body,
    }))
}

/// Sends a step's request; returns what differs.
fn ask(simulator: &Simulator, step: &Value, bound: &mut Bound) -> Vec<String> {
    match send(simulator, &step["request"], bound) {
        Err(Unbound(name)) => vec![format!("no earlier step gave the id ${{{name}}}")],
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            judge(step, answer.status, body, bound)
        }
    }
}

/// Replays a scenario; returns how many steps it has and what differs by step.
fn replay(simulator: &Simulator, scenario: &Value) -> (usize, BTreeMap<usize, Vec<String>>) {
    let mut bound = Bound::new();
    let mut differences = BTreeMap::new();
    let mut seconds = 0;
    let steps = scenario.get("steps").and_then(Value::as_array).expect("a scenario has steps");
    for (position, step) in steps.iter().enumerate() {
        let mut found = ask(simulator, step, &mut bound);
        // A task takes time, which the clock spends at once.
        let patience = step["retry"]["for_seconds"].as_i64().unwrap_or(0);
        for _ in 0..patience {
            if found.is_empty() {
                break;
            }
            seconds += 1;
            simulator.set_option("clock-offset-seconds", &seconds.into()).expect("the clock has an offset");
            found = ask(simulator, step, &mut bound);
        }
        if !found.is_empty() {
            differences.insert(position + 1, found);
        }
    }
    (steps.len(), differences)
}

#[test]
fn recordings() {
    let known = fs::read_to_string(root().join("differences.md")).expect("the list of differences is there");
    let mut states: BTreeMap<PathBuf, Simulator> = BTreeMap::new();
    let (mut steps, mut equal) = (0, 0);
    let (mut unknown, mut listed) = (Vec::new(), Vec::new());
    for (name, path) in scenarios() {
        let scenario = read(&path);
        let state = path.parent().expect("a file has a folder").join(scenario["state"].as_str().expect("a state"));
        let open = format!("- {name}: ");
        let is_open = known.lines().any(|line| line.starts_with(&open) && line.len() > open.len());
        if !states.contains_key(&state) {
            let simulator = Simulator::new();
            match simulator.load(&read(&state)["bk-cmdb"]) {
                Ok(()) => {
                    states.insert(state.clone(), simulator);
                }
                Err(mistakes) => assert!(is_open, "{name} is not open, but {}: {mistakes:?}", state.display()),
            }
        }
        let Some(loaded) = states.get(&state) else {
            // A state that the simulator does not take in has no equal step.
            listed.push(open);
            continue;
        };
        let (all, differences) = replay(&loaded.fork(), &scenario);
        if is_open {
            // An open scenario that has become equal makes its line untrue.
            listed.extend(Some(open).filter(|_| !differences.is_empty()));
            continue;
        }
        steps += all;
        equal += all - differences.len();
        for (step, found) in differences {
            // A listed difference is a line that begins so.
            let key = format!("- {name} step {step}:");
            if known.lines().any(|line| line.starts_with(&key)) {
                listed.push(key);
            } else {
                unknown.push(format!("{name} step {step}\n    {}", found.join("\n    ")));
            }
        }
    }
    assert!(unknown.is_empty(), "{equal} of {steps} steps are equal; not listed:\n{}", unknown.join("\n"));
    assert!(equal * 100 >= steps * LEAST, "only {equal} of {steps} steps are equal");
    assert_eq!(scenarios().len(), 161, "a scenario is missing");
    let stale: Vec<&str> = known
        .lines()
        .filter(|line| line.starts_with("- ") && !listed.iter().any(|key| line.starts_with(key)))
        .collect();
    assert!(stale.is_empty(), "no longer different: {stale:?}");
}

#[test]
fn states_are_lossless() {
    for name in [
        "base.json",
        "bulk.json",
        "facts.json",
        "east.json",
        "tower.json",
        "layers.json",
        "locks.json",
        "topology.json",
    ] {
        let state = read(&root().join("bk-cmdb/state").join(name));
        let simulator = Simulator::new();
        simulator.load(&state["bk-cmdb"]).expect("a recorded state loads");
        let saved = simulator.state();
        for (section, rows) in state["bk-cmdb"].as_object().expect("sections") {
            let mut expected = rows.clone();
            // A section that is empty need not come out.
            let mut found = saved.get(section).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
            // Tables come out by id; the recording has them as the store had.
            for list in [&mut expected, &mut found] {
                if let Value::Array(rows) = list {
                    rows.sort_by_key(ToString::to_string);
                }
            }
            if section == "instances" {
                let sorted = |value: &Value| {
                    let models = value.as_object().expect("models");
                    let mut rows: Vec<String> = models
                        .values()
                        .flat_map(|rows| rows.as_array().expect("rows"))
                        .map(ToString::to_string)
                        .collect();
                    rows.sort();
                    rows
                };
                assert!(sorted(&expected) == sorted(&found), "{name} {section}");
            } else if section == "next_ids" {
                for (sequence, next) in expected.as_object().expect("counters") {
                    assert_eq!(&found[sequence], next, "{name} {sequence}");
                }
            } else {
                assert!(expected == found, "{name} {section}");
            }
        }
        let again = Simulator::new();
        again.load(&saved).expect("a saved state loads");
        assert!(again.state() == saved, "{name} saved again");
    }
}
