mod events;
mod outage;

use std::{collections::BTreeMap, fs, sync::atomic::Ordering};

use tokio::{task::JoinHandle, time::Instant};

use super::{
    fake::{PLATFORMS, Store, serve, targets, thing},
    *,
};
use crate::{
    journal::{
        Directory, Record, RunOrigin, Store as _,
        lease::{Holder, Leases},
        target_record,
    },
    model::policy::Policy,
    plan::file::Setup,
    run::{Recording, Surroundings},
};

/// More than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent over a directory and a server.
struct Running {
    directory: tempfile::TempDir,
    /// Where the agent keeps its journal.
    state: tempfile::TempDir,
    store: Arc<Store>,
    status: Status,
    stop: CancellationToken,
    task: JoinHandle<Result<(), AgentError>>,
}

impl Running {
    async fn start(files: &[(&str, &str)], live: &[(&str, i64)], set_up: impl FnOnce(&mut Agent)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(directory.path().join(name), text).expect("written");
        }
        let (store, connection, _) = serve().await;
        live.iter().for_each(|(key, value)| store.put(key, *value));
        let state = tempfile::tempdir().expect("a directory");
        let mut agent = Agent::new(vec![directory.path().to_owned()], &PLATFORMS);
        agent.settings.targets = targets();
        agent.settings.connections = vec![connection];
        agent.settings.surroundings = Surroundings {
            recording: Recording::In(Arc::new(Directory::new(state.path()))),
            locks: Some(state.path().to_owned()),
            ..Surroundings::unrecorded(RunOrigin::here("watch", &[]))
        };
        agent.debounce.quiet = Duration::from_millis(30);
        set_up(&mut agent);
        let (status, stop) = (agent.status.clone(), CancellationToken::new());
        let task = tokio::spawn(run(agent, stop.clone()));
        Self { directory, state, store, status, stop, task }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("written");
    }

    /// Waits until the state fulfils a condition, and returns it.
    async fn until(&self, what: &str, condition: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let mut receiver = self.status.subscribe();
        let waited = tokio::time::timeout(PATIENCE, receiver.wait_for(|snapshot| condition(snapshot))).await;
        let Ok(found) = waited else { panic!("{what}: {:#?}", self.status.snapshot()) };
        found.expect("the agent runs").clone()
    }

    async fn passes(&self, count: u64) -> Report {
        let snapshot = self.until("passes", |snapshot| snapshot.passes >= count).await;
        snapshot.last.expect("a pass ended")
    }

    /// Ends the agent, and returns the plans and the outcomes that it recorded.
    async fn end(self) -> Vec<String> {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("the agent ends");
        ended.expect("no panic").expect("no error");
        let store = Directory::new(self.state.path());
        let runs = store.runs().expect("runs");
        let journals = runs.iter().map(|run| store.journal(run).expect("a journal"));
        journals.flat_map(|journal| journal.entries).filter_map(|entry| event(&entry.record)).collect()
    }
}

/// Returns what a record says of a plan or of a change.
fn event(record: &Record) -> Option<String> {
    match record {
        Record::Run(run) => {
            let counts = run.counts;
            Some(format!("{} planned", counts.create + counts.update + counts.delete))
        }
        Record::Outcome(outcome) => Some(format!("{} {}", outcome.address, outcome.outcome)),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_declared_is_made_so() {
    let files = [("a.yaml", &*(thing("a", "1") + &thing("b", "2")))];
    let running = Running::start(&files, &[("a", 0), ("b", 2)], |_| {}).await;
    let report = running.passes(1).await;
    assert_eq!((report.trigger, report.verdict, report.drift), (Trigger::Start, Verdict::Converged, 1));
    assert_eq!(report.counts, Counts { in_sync: 1, changed: 1, ..Counts::default() });
    assert_eq!(running.store.get("a"), Some(1));

    running.write("a.yaml", &(thing("a", "1") + &thing("b", "5")));
    let report = running.passes(2).await;
    assert_eq!((report.trigger, report.verdict), (Trigger::Change, Verdict::Converged));
    assert_eq!(running.store.get("b"), Some(5));
    let events = running.end().await;
    assert_eq!(events, ["1 planned", "Thing/a applied", "1 planned", "Thing/b applied"]);
}

#[tokio::test]
async fn reporting_sends_nothing() {
    let files = [("a.yaml", &*thing("a", "1"))];
    let running = Running::start(&files, &[("a", 0)], |agent| agent.settings.mode = Policy::Report).await;
    let report = running.passes(1).await;
    assert_eq!((report.verdict, report.drift, report.retry), (Verdict::Drifted, 1, false));
    assert_eq!(report.counts, Counts { drifted: 1, ..Counts::default() });
    assert_eq!(running.store.writes.load(Ordering::SeqCst), 0);
    // A journal is of writes.
    assert_eq!(running.end().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_burst_is_few_passes_and_a_touch_none() {
    let files = [("a.yaml", &*thing("a", "0"))];
    let running = Running::start(&files, &[("a", 0)], |_| {}).await;
    running.passes(1).await;
    for value in 1..=200 {
        running.write("a.yaml", &thing("a", &value.to_string()));
    }
    running.until("the last value", |_| running.store.get("a") == Some(200)).await;
    let passes = running.status.snapshot().passes;
    assert!(passes < 50, "{passes} passes");

    // The same text again, then a real change: one pass for the latter.
    running.write("a.yaml", &thing("a", "200"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = running.until("rest", |snapshot| snapshot.running.is_none()).await.passes;
    running.write("b.yaml", "");
    running.passes(before + 1).await;
    assert_eq!(running.status.snapshot().passes, before + 1);
    running.end().await;
}

#[tokio::test]
async fn a_broken_document_is_told_and_held_back() {
    let files = [("a.yaml", &*thing("a", "1")), ("b.yaml", &*thing("b", "1"))];
    let running = Running::start(&files, &[("a", 1), ("b", 1)], |_| {}).await;
    running.passes(1).await;
    running.write("a.yaml", "a: [\n");
    let snapshot =
        running.until("the mistake", |snapshot| snapshot.manifests.as_ref().is_some_and(|m| m.errors > 0)).await;
    let manifests = snapshot.manifests.expect("just seen");
    assert_eq!((manifests.objects, manifests.held), (2, vec!["Thing/a".to_owned()]));
    assert!(!manifests.diagnostics.is_empty());
    // The last good version is in force: drift of it is corrected.
    running.store.put("a", 7);
    running.write("b.yaml", &thing("b", "2"));
    running.until("both", |_| running.store.get("a") == Some(1) && running.store.get("b") == Some(2)).await;
    running.end().await;
}

#[tokio::test]
async fn failures_are_tried_again() {
    let files = [("a.yaml", &*thing("a", "1"))];
    let running = Running::start(&files, &[("a", 0)], |agent| agent.settings.resync = Duration::from_millis(50)).await;
    running.passes(1).await;
    running.store.down.store(true, Ordering::SeqCst);
    let snapshot = running.until("a failure", |snapshot| snapshot.last.as_ref().is_some_and(|last| last.retry)).await;
    let last = snapshot.last.expect("just seen");
    assert_eq!((last.verdict, last.counts.unknown), (Verdict::Failed, 1));
    assert!(snapshot.last_error.is_some_and(|error| error.contains("Thing/a")));
    running.store.put("a", 9);
    running.store.down.store(false, Ordering::SeqCst);
    running.until("the value", |_| running.store.get("a") == Some(1)).await;
    running.end().await;
}

#[tokio::test]
async fn what_fails_holds_up_no_others() {
    let things: String = (0..8).map(|number| thing(&format!("t{number}"), "1")).collect();
    let files = [("a.yaml", &*things), ("b.yaml", &*thing("bad", "1"))];
    let live: Vec<(String, i64)> = (0..8).map(|number| (format!("t{number}"), 1)).collect();
    let live: Vec<(&str, i64)> = live.iter().map(|(key, value)| (&**key, *value)).chain([("bad", 0)]).collect();
    let short = |agent: &mut Agent| agent.retry = Duration::from_millis(20);
    let running = Running::start(&files, &live, short).await;
    let refuse = |keys: &[&str]| {
        *running.store.refused.lock().expect("not poisoned") = keys.iter().map(|key| (*key).to_owned()).collect();
    };
    running.until("the first pass", |snapshot| snapshot.passes == 1).await;
    assert_eq!(running.store.get("bad"), Some(1));
    running.store.put("bad", 0);
    refuse(&["bad"]);
    running.write("b.yaml", &thing("bad", "2"));
    running.until("a failure", |snapshot| snapshot.last.as_ref().is_some_and(|last| last.counts.unknown == 1)).await;
    let (passes, reads) = (running.status.snapshot().passes, running.store.reads.load(Ordering::SeqCst));
    let report = running.passes(passes + 3).await;
    assert_eq!((report.trigger, report.whole, report.verdict), (Trigger::Retry, false, Verdict::Failed));
    // Only the failing one was asked for, once by each pass.
    let asked = running.store.reads.load(Ordering::SeqCst) - reads;
    let passes = usize::try_from(running.status.snapshot().passes - passes).expect("few");
    assert!(asked <= passes + 1, "{asked} reads in {passes} passes");
    // A save of another is answered by a look at that one alone.
    running.write("a.yaml", &things.replacen("value: 1", "value: 5", 1));
    let answered = |snapshot: &Snapshot| snapshot.last.as_ref().is_some_and(|last| last.trigger == Trigger::Change);
    let last = running.until("the save is answered", answered).await.last.expect("just seen");
    assert_eq!((last.whole, running.store.get("t0")), (false, Some(5)));
    refuse(&[]);
    running.until("the value", |_| running.store.get("bad") == Some(2)).await;
    let converged = |snapshot: &Snapshot| snapshot.last.as_ref().is_some_and(|last| last.verdict == Verdict::Converged);
    let last = running.until("all is well", converged).await.last.expect("just seen");
    assert_eq!((last.trigger, last.whole, last.counts.changed), (Trigger::Retry, false, 2));
    running.end().await;
}

#[tokio::test]
async fn a_save_is_not_kept_waiting_by_a_look_at_everything() {
    let things: String = (0..8).map(|number| thing(&format!("t{number}"), "1")).collect();
    let live: Vec<(String, i64)> = (0..8).map(|number| (format!("t{number}"), 1)).collect();
    let live: Vec<(&str, i64)> = live.iter().map(|(key, value)| (&**key, *value)).collect();
    let often = |agent: &mut Agent| agent.settings.resync = Duration::from_millis(200);
    let running = Running::start(&[("a.yaml", &*things)], &live, often).await;
    running.passes(1).await;
    running.store.hold_reads.store(true, Ordering::SeqCst);
    let looks = running.until("a look at everything", |snapshot| snapshot.running.is_some()).await;
    // It is broken off at once: its end is seen before any answer comes.
    running.write("a.yaml", &things.replacen("value: 1", "value: 5", 1));
    let other = |snapshot: &Snapshot| snapshot.running.is_some_and(|start| Some(start) != looks.running);
    running.until("another pass", other).await;
    assert_eq!(running.status.snapshot().passes, looks.passes);
    running.store.hold_reads.store(false, Ordering::SeqCst);
    running.until("the value", |_| running.store.get("t0") == Some(5)).await;
    let answered = |snapshot: &Snapshot| snapshot.last.as_ref().is_some_and(|last| last.trigger == Trigger::Change);
    let last = running.until("the save is answered", answered).await.last.expect("just seen");
    assert_eq!((last.whole, last.verdict), (false, Verdict::Converged));
    // What gave way is made afterwards.
    let resync = |snapshot: &Snapshot| snapshot.last.as_ref().is_some_and(|last| last.trigger == Trigger::Resync);
    running.until("a look at everything", resync).await;
    running.end().await;
}

#[tokio::test]
async fn a_look_around_waits_for_people_and_a_save_does_not() {
    let setup = Setup { target: "here".into(), platform: "fake".into(), settings: BTreeMap::new() };
    let often = |agent: &mut Agent| {
        agent.settings.resync = Duration::from_millis(50);
        agent.settings.setups = vec![setup.clone()];
    };
    let running = Running::start(&[("a.yaml", &thing("a", "1"))], &[("a", 1)], often).await;
    running.passes(2).await;
    let holder = Holder { run: "r".to_owned(), name: "zoe@desk".to_owned(), command: "apply".to_owned() };
    let targets = [target_record(&setup)];
    let taken = Leases::acquire(running.state.path(), &targets, &holder, PATIENCE, &|_| {}).await;
    let lease = taken.expect("nobody else has it");
    // One that has begun may end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = running.status.snapshot().passes;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running.status.snapshot().passes, before);
    running.store.put("a", 2);
    running.write("a.yaml", &thing("a", "2"));
    let report = running.passes(before + 1).await;
    assert_eq!((report.trigger, report.verdict), (Trigger::Change, Verdict::Converged));
    drop(lease);
    let report = running.passes(before + 2).await;
    assert_eq!(report.trigger, Trigger::Resync);
    running.end().await;
}

#[tokio::test]
async fn a_panic_costs_one_pass() {
    let files = [("a.yaml", &*thing("a", "666"))];
    let running = Running::start(&files, &[("a", 0)], |_| {}).await;
    let report = running.passes(1).await;
    assert_eq!((report.verdict, report.retry), (Verdict::Panicked, true));
    assert!(report.error.is_some_and(|error| error.contains("the number of the beast")));
    assert!(!running.status.snapshot().complete);
    running.write("a.yaml", &thing("a", "1"));
    running.until("the value", |_| running.store.get("a") == Some(1)).await;
    running.end().await;
}

#[tokio::test]
async fn a_filter_picks() {
    let files = [("a.yaml", &*(thing("a", "1") + &thing("b", "1")))];
    let only_b = |agent: &mut Agent| agent.filter = Some(Arc::new(|object: &Desired| &*object.id.key == "b"));
    let running = Running::start(&files, &[("a", 0), ("b", 0)], only_b).await;
    let report = running.passes(1).await;
    assert_eq!(report.counts, Counts { changed: 1, ..Counts::default() });
    assert_eq!((running.store.get("a"), running.store.get("b")), (Some(0), Some(1)));
    running.end().await;
}

#[tokio::test]
async fn without_a_connection_nothing_is_known() {
    let files = [("a.yaml", &*thing("a", "1"))];
    let running = Running::start(&files, &[("a", 0)], |agent| agent.settings.connections.clear()).await;
    let report = running.passes(1).await;
    assert_eq!((report.verdict, report.counts.unknown), (Verdict::Failed, 1));
    running.end().await;
}

#[tokio::test]
async fn an_end_breaks_reads_off() {
    let files = [("a.yaml", &*thing("a", "1"))];
    let running = Running::start(&files, &[("a", 0)], |_| {}).await;
    running.passes(1).await;
    running.store.hold_reads.store(true, Ordering::SeqCst);
    running.write("a.yaml", &thing("a", "2"));
    running.until("a pass", |snapshot| snapshot.running.is_some()).await;
    let (store, status) = (running.store.clone(), running.status.clone());
    running.end().await;
    assert_eq!((store.get("a"), store.writes.load(Ordering::SeqCst)), (Some(1), 1));
    assert_eq!(status.snapshot().last.map(|last| last.verdict), Some(Verdict::Interrupted));
}

#[tokio::test]
async fn an_end_waits_for_calls_on_their_way() {
    // The second needs the first, so its call cannot be on its way yet.
    let second = thing("b", "1").replace("value: 1", "value: 1, beside: a");
    let files = [("a.yaml", &*(thing("a", "1") + &second))];
    let running = Running::start(&files, &[], |_| {}).await;
    running.passes(1).await;
    running.write("a.yaml", &(thing("a", "1") + &second).replace("spec: {", "spec: {create: true, "));
    running.store.hold_writes.store(true, Ordering::SeqCst);
    let end = Instant::now() + PATIENCE;
    while running.store.arrived.load(Ordering::SeqCst) == 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (store, status) = (running.store.clone(), running.status.clone());
    running.stop.cancel();
    store.hold_writes.store(false, Ordering::SeqCst);
    let events = running.end().await;
    assert_eq!((store.get("a"), store.get("b")), (Some(1), None));
    assert!(events.ends_with(&["Thing/a applied".to_owned(), "Thing/b interrupted".to_owned()]), "{events:?}");
    assert_eq!(status.snapshot().last.map(|last| last.verdict), Some(Verdict::Interrupted));
}

#[tokio::test]
async fn numbers_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("a.yaml"), thing("a", "1") + "---\nkind: Thing\n").expect("written");
    let (store, connection, shared) = serve().await;
    store.put("a", 0);
    let mut agent = Agent::new(vec![directory.path().to_owned()], &PLATFORMS);
    agent.settings.targets = targets();
    agent.settings.connections = vec![connection];
    let (status, registry) = (agent.status.clone(), agent.metrics.registry(Some(shared.counters().clone())));
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(agent, stop.clone()));
    let mut receiver = status.subscribe();
    let passed = receiver.wait_for(|snapshot| snapshot.passes == 1);
    tokio::time::timeout(PATIENCE, passed).await.expect("in time").expect("the agent runs");
    stop.cancel();
    task.await.expect("no panic").expect("no error");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text has room");
    for line in [
        "reconcile_passes_total{result=\"converged\"} 1",
        "reconcile_changes_total{kind=\"Thing\",action=\"update\",outcome=\"applied\"} 1",
        "reconcile_objects{target=\"here\",kind=\"Thing\",state=\"changed\"} 1",
        "reconcile_drift{target=\"here\",kind=\"Thing\"} 1",
        "reconcile_calls_total{target=\"here\",operation=\"get\",write=\"false\",result=\"answered\"} 2",
        "reconcile_requests_total{target=\"here\",outcome=\"answered\"} 3",
        "reconcile_request_duration_seconds_count{target=\"here\"} 3",
        "reconcile_target_up{target=\"here\"} 1",
        "reconcile_calls_total{target=\"here\",operation=\"put\",write=\"true\",result=\"answered\"} 1",
        "reconcile_pass_duration_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("reconcile_manifest_errors 0"), "{text}");
}

#[tokio::test]
async fn some_things_cannot_be_watched() {
    for (paths, expected) in [(vec![], "no path"), (vec![PathBuf::from("-")], "standard input")] {
        let agent = Agent::new(paths, &PLATFORMS);
        let error = run(agent, CancellationToken::new()).await.expect_err("it cannot run");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
