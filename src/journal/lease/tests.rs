use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

use jiff::SignedDuration;

use super::*;

const NO_TIME: Duration = Duration::ZERO;

/// The clock of a host: it goes as the paused clock of the test does, and can be set.
#[derive(Clone)]
struct Clock {
    start: Instant,
    offset: Arc<AtomicI64>,
}

impl Clock {
    fn new() -> Self {
        Self { start: Instant::now(), offset: Arc::default() }
    }

    fn jump(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        let base: Timestamp = "2026-11-28T10:00:00Z".parse().expect("a time");
        base + self.start.elapsed() + SignedDuration::from_secs(self.offset.load(Ordering::Relaxed))
    }
}

/// A host with a clock of its own.
fn host(directory: &Path, clock: &Clock) -> Leases {
    let clock = clock.clone();
    // Nothing is known here of processes of other hosts.
    let process = Process { pid: 7, started: None, machine: None };
    Leases { now: Arc::new(move || clock.now()), process, ..Leases::new(directory) }
}

fn targets(keys: &[&str]) -> Vec<TargetRecord> {
    let target =
        |key: &&str| TargetRecord { name: format!("t-{key}"), platform: "p".to_owned(), key: (*key).to_owned() };
    keys.iter().map(target).collect()
}

fn holder(run: &str) -> Holder {
    Holder { run: run.to_owned(), name: format!("{run}@host"), command: "apply".to_owned() }
}

/// The sentences that were said.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Said {
    fn all(&self) -> String {
        self.0.lock().expect("no panic").join("\n")
    }
}

async fn acquire(
    leases: &Leases,
    targets: &[TargetRecord],
    run: &str,
    timeout: Duration,
) -> (Result<Guard, LockError>, String) {
    let said = Said::default();
    let say = |text: &str| said.0.lock().expect("no panic").push(text.to_owned());
    let guard = leases.acquire_all(targets, &holder(run), timeout, &say).await;
    (guard, said.all())
}

/// Stops renewing without giving the leases back, as a process that was killed or stands still does.
fn freeze(guard: &mut Guard) {
    guard.renewing = None;
}

#[tokio::test(start_paused = true)]
async fn one_run_at_a_time_holds_a_target() {
    let directory = tempfile::tempdir().expect("a directory");
    let leases = host(directory.path(), &Clock::new());
    let both = targets(&["b", "a", "a"]);
    let (first, said) = acquire(&leases, &both, "first", NO_TIME).await;
    let first = first.expect("it is free");
    assert!(said.is_empty() && first.is_held(), "{said}");
    // Half an hour later it still has them, since it renews them.
    sleep(Duration::from_mins(30)).await;
    assert!(first.is_held());
    let (second, said) = acquire(&leases, &targets(&["b"]), "second", NO_TIME).await;
    let error = second.err().expect("it is held").to_string();
    for part in
        ["target t-b", "run first", "`reconcile apply` by first@host", "since 2026-11-28T10:00:00Z", "--lock-timeout"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(said.is_empty(), "{said}");
    // Another target is free, and is free again where one of several was not.
    let (other, _) = acquire(&leases, &targets(&["0", "b"]), "second", NO_TIME).await;
    assert!(other.is_err());
    let (other, _) = acquire(&leases, &targets(&["0"]), "second", NO_TIME).await;
    assert!(other.is_ok_and(|guard| guard.is_held()));
    drop(first);
    let (second, said) = acquire(&leases, &both, "second", NO_TIME).await;
    assert!(second.is_ok_and(|guard| guard.is_held()) && said.is_empty(), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_as_long_as_it_was_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let leases = host(directory.path(), &Clock::new());
    let (first, _) = acquire(&leases, &targets(&["a"]), "first", NO_TIME).await;
    let start = Instant::now();
    let (second, said) = acquire(&leases, &targets(&["a"]), "second", Duration::from_secs(90)).await;
    assert!(matches!(second, Err(LockError::Held { .. })));
    assert_eq!(start.elapsed().as_secs(), 90);
    assert_eq!(said.lines().count(), 1, "it is said once, not at each renewal: {said}");
    assert!(said.contains("waiting for the lock on the target t-a, held by run first"), "{said}");
    let release = async {
        sleep(Duration::from_secs(30)).await;
        drop(first);
    };
    let taking = targets(&["a"]);
    let ((second, _), ()) = tokio::join!(acquire(&leases, &taking, "second", Duration::from_secs(90)), release);
    assert!(second.is_ok_and(|guard| guard.is_held()));
    assert_eq!(start.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn leases_that_nobody_renews_are_taken_over() {
    // The wait until another run asks, what that one sees of the first one's clock, and how long it takes.
    let check = async |later: u64, clock_differs: i64, expected: Option<u64>| {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Clock::new();
        let (first, _) = acquire(&host(directory.path(), &clock), &targets(&["a"]), "first", NO_TIME).await;
        let mut first = first.expect("it is free");
        freeze(&mut first);
        sleep(Duration::from_secs(later)).await;
        clock.jump(clock_differs);
        let start = Instant::now();
        let (second, said) = acquire(&host(directory.path(), &clock), &targets(&["a"]), "second", NO_TIME).await;
        assert_eq!(second.is_ok().then(|| start.elapsed().as_secs()), expected, "{later} {clock_differs}: {said}");
        if let Ok(second) = second {
            assert!(said.contains("ran out") && said.contains("did not renew it"), "{said}");
            let lost = first.check().expect_err("it was taken over");
            assert!(lost.to_string().contains("run second"), "{lost}");
            // The loser takes nothing away when it ends.
            drop(first);
            assert!(second.is_held());
        }
    };
    check(59, 0, None).await;
    check(60, 0, Some(20)).await;
    check(3600, 0, Some(20)).await;
    // A clock that was set, or that of another host.
    check(0, 3600, Some(20)).await;
    check(0, -3600, Some(20)).await;
}

#[tokio::test(start_paused = true)]
async fn leases_that_are_renewed_are_not_taken_over_whatever_the_clocks_say() {
    for clock_differs in [-86_400, -61, -1, 61, 3600, 86_400] {
        let directory = tempfile::tempdir().expect("a directory");
        let (here, there) = (Clock::new(), Clock::new());
        there.jump(clock_differs);
        let (first, _) = acquire(&host(directory.path(), &here), &targets(&["a"]), "first", NO_TIME).await;
        let first = first.expect("it is free");
        let other = host(directory.path(), &there);
        let (second, said) = acquire(&other, &targets(&["a"]), "second", Duration::from_mins(10)).await;
        assert!(second.is_err(), "{clock_differs}: {said}");
        assert!(first.is_held(), "{clock_differs}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_holds_if_nobody_took_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::new();
    let leases = host(directory.path(), &clock);
    let (guard, _) = acquire(&leases, &targets(&["a"]), "first", NO_TIME).await;
    let mut guard = guard.expect("it is free");
    freeze(&mut guard);
    for jump in [-3600, 3600, 0] {
        clock.jump(jump);
        assert!(guard.is_held(), "{jump}");
        sleep(Duration::from_secs(if jump == 0 { 3600 } else { 0 })).await;
        assert!(guard.is_held(), "{jump}");
    }
    // Others keep out again from then on.
    let (second, _) = acquire(&leases, &targets(&["a"]), "second", NO_TIME).await;
    assert!(second.is_err());
    // Somebody had it in between and is done with it: things may have changed.
    std::fs::write(directory.path().join("locks/a"), "").expect("written");
    clock.jump(3600);
    assert!(!guard.is_held());
    assert!(guard.check().is_err(), "it stays lost");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_is_lost_when_it_runs_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let (guard, _) = acquire(&host(directory.path(), &Clock::new()), &targets(&["a"]), "first", NO_TIME).await;
    let guard = guard.expect("it is free");
    std::fs::remove_dir_all(directory.path().join("locks")).expect("removed");
    std::fs::write(directory.path().join("locks"), "in the way").expect("written");
    sleep(Duration::from_secs(59)).await;
    assert!(guard.is_held());
    sleep(Duration::from_secs(1)).await;
    let lost = guard.check().expect_err("it ran out");
    assert!(matches!(&lost, Lost::NotRenewed { target, .. } if target == "t-a"), "{lost}");
    std::fs::remove_file(directory.path().join("locks")).expect("removed");
    std::fs::create_dir(directory.path().join("locks")).expect("made");
    // Its file is gone: another run may have had one there.
    assert!(matches!(guard.check(), Err(Lost::TakenOver { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lease_is_handled() {
    let check = async |content: &[u8], expected: Option<u64>| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("locks")).expect("made");
        std::fs::write(directory.path().join("locks/a"), content).expect("written");
        let start = Instant::now();
        let (guard, said) = acquire(&host(directory.path(), &Clock::new()), &targets(&["a"]), "run", NO_TIME).await;
        let content = String::from_utf8_lossy(content).into_owned();
        assert_eq!(guard.is_ok().then(|| start.elapsed().as_secs()), expected, "{content}: {said}");
    };
    check(b"", Some(0)).await;
    // A line that was torn, and what no version of this program wrote.
    check(b"{\"run\":\"x\",\"hol", Some(20)).await;
    check(b"\xff\0\n", Some(20)).await;
    check(&vec![b'['; 1 << 20], Some(20)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let leases = host(directory.path(), &Clock::new());
    std::fs::create_dir_all(directory.path().join("locks/a")).expect("made");
    let other = directory.path().join("other");
    std::fs::write(&other, "kept").expect("written");
    std::os::unix::fs::symlink(&other, directory.path().join("locks/b")).expect("a link");
    for key in ["a", "b"] {
        let (guard, _) = acquire(&leases, &targets(&[key]), "run", NO_TIME).await;
        let error = guard.err().expect("it is no file").to_string();
        assert!(error.contains(&format!("cannot lock the target t-{key}")) && error.contains("--state-dir"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&other).expect("read"), "kept");
}

#[tokio::test(start_paused = true)]
async fn a_line_behind_a_shorter_one_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let leases = host(directory.path(), &Clock::new());
    let (mut guard, _) = acquire(&leases, &targets(&["a"]), "first", NO_TIME).await;
    guard.as_mut().ok().map(freeze);
    let path = directory.path().join("locks/a");
    let line = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, format!("{line}st\",\"until\":\"2026\"}}\n")).expect("written");
    assert!(acquire(&leases, &targets(&["a"]), "second", NO_TIME).await.0.is_err());
}

#[test]
fn many_threads_take_turns() {
    const THREADS: usize = 8;
    const TURNS: usize = 25;
    let directory = tempfile::tempdir().expect("a directory");
    let (inside, turns) = (AtomicBool::default(), AtomicUsize::default());
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (inside, turns, directory) = (&inside, &turns, directory.path());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
                let timing = Timing { poll: Duration::from_millis(1), ..Timing::REAL };
                let leases = Leases { timing, ..Leases::new(directory) };
                // They want two targets each, in different orders.
                let wanted = targets(if number % 2 == 0 { &["a", "b"] } else { &["b", "a"] });
                for _ in 0..TURNS {
                    runtime.block_on(async {
                        let (guard, _) =
                            acquire(&leases, &wanted, &format!("run-{number}"), Duration::from_mins(5)).await;
                        let guard = guard.expect("its turn comes");
                        assert!(!inside.swap(true, Ordering::SeqCst), "two have it at once");
                        turns.fetch_add(1, Ordering::SeqCst);
                        assert!(guard.is_held());
                        assert!(inside.swap(false, Ordering::SeqCst));
                    });
                }
            });
        }
    });
    assert_eq!(turns.into_inner(), THREADS * TURNS);
}

/// Starts this test program again, to run `worker` alone.
fn start_worker(directory: &Path, turns: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("its path"));
    command.args(["--exact", "journal::lease::tests::worker", "--ignored", "--nocapture"]);
    command.env("LEASE_DIRECTORY", directory).env("LEASE_TURNS", turns.to_string());
    command.stdout(Stdio::piped()).spawn().expect("it starts")
}

/// Takes a lease again and again; with no turns left to take it keeps the last one until it is killed.
#[test]
#[ignore = "a process of other tests"]
fn worker() {
    let directory = PathBuf::from(std::env::var_os("LEASE_DIRECTORY").expect("a directory"));
    let turns: usize = std::env::var("LEASE_TURNS").expect("a number").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let timing = Timing { poll: Duration::from_millis(1), ..Timing::REAL };
    let leases = Leases { timing, ..Leases::new(&directory) };
    let inside = directory.join("inside");
    runtime.block_on(async {
        for _ in 0..turns {
            let (guard, _) = acquire(&leases, &targets(&["a"]), "worker", Duration::from_mins(5)).await;
            let guard = guard.expect("its turn comes");
            File::create_new(&inside).expect("no other process is inside");
            std::fs::remove_file(&inside).expect("removed");
            assert!(guard.is_held());
        }
        if turns == 0 {
            let _guard = acquire(&leases, &targets(&["a"]), "killed", NO_TIME).await.0.expect("it is free");
            std::fs::write(directory.join("held"), "").expect("written");
            std::future::pending::<()>().await;
        }
    });
}

#[test]
fn many_processes_take_turns() {
    let directory = tempfile::tempdir().expect("a directory");
    let workers: Vec<_> = (0..6).map(|_| start_worker(directory.path(), 20)).collect();
    for worker in workers {
        let output = worker.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_process_is_free_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let leases = Leases::new(directory.path());
    if leases.process.machine.is_none() {
        // Only Linux tells.
        return;
    }
    let mut worker = start_worker(directory.path(), 0);
    while !directory.path().join("held").exists() {
        assert!(worker.try_wait().expect("its state").is_none(), "it goes on until it is killed");
        sleep(Duration::from_millis(5)).await;
    }
    let (refused, _) = acquire(&leases, &targets(&["a"]), "second", NO_TIME).await;
    assert!(matches!(refused, Err(LockError::Held { .. })));
    worker.kill().expect("killed");
    worker.wait().expect("it ends");
    let (guard, said) = acquire(&leases, &targets(&["a"]), "second", NO_TIME).await;
    assert!(guard.is_ok_and(|guard| guard.is_held()));
    assert!(
        said.contains("took over the lock on the target t-a: the process of run killed") && said.contains("has ended"),
        "{said}"
    );
}
