//! Somebody else changes objects between a saved plan and its apply, and while it is applied. What they wrote before an
//! object was read again right before its call is never overwritten, and what moved is reported.
//!
//! `RECONCILE_RUNS` sets the number of runs.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

/// The value that every object is to have, the one it had, and the one that others write.
const WANTED: i64 = 7;
const BEFORE: i64 = 1;
const OTHERS: [i64; 4] = [BEFORE, WANTED, 4, 5];

/// One object: its address, the operation that reads it again, the operation that writes it.
struct Object {
    address: &'static str,
    reads: &'static [&'static str],
    writes: &'static str,
    id: i64,
}

const OBJECTS: &[Object] = &[
    object("Instance/one", &["search_inst_by_object"], "update_inst", 1),
    object("Instance/two", &["search_inst_by_object"], "update_inst", 2),
    object("Instance/three", &["search_inst_by_object"], "update_inst", 3),
    object("Module/web", &["find_module_batch"], "update_module", 31),
    object("Module/cache", &["find_module_batch"], "update_module", 32),
    object("ProcessTemplate/nginx", &["list_proc_template"], "update_proc_template", 50),
];

const fn object(address: &'static str, reads: &'static [&'static str], writes: &'static str, id: i64) -> Object {
    Object { address, reads, writes, id }
}

impl Object {
    /// The call that sets its value.
    fn set(&self, value: i64) -> Value {
        let text = format!("user{value}");
        match self.writes {
            "update_inst" => json!({"bk_obj_id": "bk_switch", "bk_inst_id": self.id, "ports": value}),
            "update_module" => {
                json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": self.id, "data": {"operator": text}})
            }
            _ => {
                json!({"bk_biz_id": 3, "process_template_id": self.id, "process_property": {"proc_num": {"value": value}}})
            }
        }
    }

    /// Returns true if a call of ours writes it.
    fn is_written_by(&self, operation: &str, body: &Value) -> bool {
        let ids = ["bk_inst_id", "bk_module_id", "process_template_id"];
        operation == self.writes && ids.iter().any(|key| body[key] == self.id)
    }
}

/// A write of somebody else: when it was begun and answered, the object, the value.
struct Edit {
    begun: Timestamp,
    done: Timestamp,
    object: usize,
    value: i64,
}

fn edit(site: &Site, object: usize, value: i64) -> Edit {
    let begun = Timestamp::now();
    site.edit(OBJECTS[object].writes, &OBJECTS[object].set(value));
    Edit { begun, done: Timestamp::now(), object, value }
}

fn start() -> Site {
    let mut switches = String::new();
    for (name, key) in [("one", "A1"), ("two", "A2"), ("three", "A3")] {
        switches.push_str(&switch(name, &format!("bk_asset_id: {key}"), &format!("ports: {WANTED}")));
    }
    let module = |name: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: {name}}}\nspec: {{business: demo, set: public, module: \
             {name}, fields: {{operator: [user{WANTED}]}}}}\n---\n"
        )
    };
    let nginx = format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: nginx}}\nspec: {{business: demo, \
         serviceTemplate: nginx, process: nginx, properties: {{proc_num: {WANTED}}}}}\n"
    );
    let modules = format!("{}{}", module("web"), module("cache"));
    Site::with(&state(), &[("net.yaml", &switches), ("modules.yaml", &modules), ("nginx.yaml", &nginx)])
}

/// The result of one run: the times between reading an object again and its call, in microseconds, and how many writes
/// of others fell into them.
#[derive(Default)]
struct Seen {
    windows: Vec<i64>,
    inside: usize,
    stale: usize,
    sent: usize,
}

fn run(site: &Site, random: &mut Rng, seen: &mut Seen) {
    site.sandbox().load(&state()).expect("the state is right");
    for object in 0..OBJECTS.len() {
        edit(site, object, BEFORE);
    }
    let output = site.run(&["plan", "--out", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.sandbox().clear_calls();
    let pick = |random: &mut Rng| (random.usize(..OBJECTS.len()), OTHERS[random.usize(..OTHERS.len())]);
    let mut edits = Vec::new();
    for _ in 0..random.usize(..4) {
        let (object, value) = pick(random);
        edits.push(edit(site, object, value));
    }
    let early = edits.len();
    let busy = random.bool();
    let ended = AtomicBool::new(false);
    let mut other = random.fork();
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut late = Vec::new();
            while busy && !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(other.u64(..3000)));
                let (object, value) = pick(&mut other);
                late.push(edit(site, object, value));
            }
            late
        });
        let output = site.run(&["apply", "plan.json", "-y", "-o", "json", "--partial-stale=skip"]);
        ended.store(true, Ordering::Relaxed);
        edits.extend(writer.join().expect("the other writer ends"));
        output
    });
    judge(site, &output.json(), &edits, early, seen);
}

fn judge(site: &Site, document: &Value, edits: &[Edit], early: usize, seen: &mut Seen) {
    let calls = site.sandbox().calls();
    for (number, object) in OBJECTS.iter().enumerate() {
        let own = || edits.iter().filter(|edit| edit.object == number);
        let row = document["outcomes"].as_array().into_iter().flatten().find(|row| row["address"] == object.address);
        let outcome = row.and_then(|row| row["outcome"].as_str()).unwrap_or("none");
        let context = || {
            let own: Vec<_> = own().map(|edit| (edit.begun, edit.done, edit.value)).collect();
            format!("{} {outcome}: {own:?}\n{calls:#?}", object.address)
        };
        let write = calls.iter().position(|call| object.is_written_by(&call.operation, &call.body));
        let Some(write) = write else {
            assert!(matches!(outcome, "stale" | "already_true"), "unsent, and not said so: {}", context());
            assert!(own().count() > 0, "nobody touched it: {}", context());
            seen.stale += usize::from(outcome == "stale");
            continue;
        };
        seen.sent += 1;
        let read = calls[..write].iter().rev().find(|call| object.reads.contains(&&*call.operation));
        let read = read.unwrap_or_else(|| panic!("it was not read again: {}", context())).time;
        seen.windows.push(calls[write].time.duration_since(read).as_micros().try_into().unwrap_or(i64::MAX));
        // A write that was under way during the read may be seen or not.
        if own().all(|edit| edit.done < read || edit.begun > read) {
            let value = own().rfind(|edit| edit.done < read).map_or(BEFORE, |edit| edit.value);
            assert_eq!(value, BEFORE, "a write of somebody else was lost: {}", context());
        }
        seen.inside += own().filter(|edit| edit.begun > read && edit.done < calls[write].time).count();
    }
    // An object that moved before the apply, and not since, is stale or as planned already.
    for (number, object) in OBJECTS.iter().enumerate() {
        if edits[early..].iter().any(|edit| edit.object == number) {
            continue;
        }
        let value = edits.iter().rfind(|edit| edit.object == number).map_or(BEFORE, |edit| edit.value);
        let row = document["outcomes"].as_array().into_iter().flatten().find(|row| row["address"] == object.address);
        let expected = match value {
            BEFORE => "applied",
            WANTED => "already_true",
            _ => "stale",
        };
        assert_eq!(
            row.map(|row| &row["outcome"]),
            Some(&json!(expected)),
            "{} is {value}: {document:#}",
            object.address
        );
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the times are what one wants to know")]
fn no_write_of_somebody_else_is_lost() {
    let runs = std::env::var("RECONCILE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let (site, mut random, mut seen) = (start(), Rng::with_seed(seed), Seen::default());
    println!("seed {seed}");
    (0..runs).for_each(|_| run(&site, &mut random, &mut seen));
    let Seen { mut windows, inside, stale, sent } = seen;
    assert!(sent > 0 && stale > 0, "the runs cover both: {sent} sent, {stale} stale");
    windows.sort_unstable();
    let at = |share: usize| windows[(windows.len() - 1) * share / 100];
    println!(
        "{runs} runs, {sent} calls, {stale} stale; between reading again and the call {} µs (median), {} µs (p99); {inside} \
         writes of others fell between",
        at(50),
        at(99)
    );
}
