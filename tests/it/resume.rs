//! Runs that are broken off by a kill, and what becomes of them.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    harness::{Output, Site, operations, state, wait_until},
    watch::Watch,
};

/// Apps that are created.
const APPS: usize = 6;

fn manifests() -> String {
    let app = |at: usize| {
        format!(
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: app-{at}}}\nspec: {{ensure: present, app: app-{at}, \
             fields: {{remark: new}}}}\n---\n"
        )
    };
    (1..=APPS).map(app).collect()
}

/// A site on which an `apply` was killed when so many apps had been asked for.
fn killed(asked: usize) -> Site {
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    kill(&site, asked);
    site
}

fn creates(site: &Site) -> usize {
    site.writes().iter().filter(|call| call.operation == "CreateRomaApp").count()
}

/// Kills an `apply` when so many apps have been asked for.
fn kill(site: &Site, asked: usize) {
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 150}]));
    let mut command = site.command(&["apply", "-y", "--parallelism", "1"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("calls are sent", || creates(site) >= asked);
    // SIGKILL: nothing can be tidied up.
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    site.faults(&json!([]));
}

/// Checks that every app was created, once.
fn assert_made_once(site: &Site) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for call in site.writes().iter().filter(|call| call.operation == "CreateRomaApp") {
        *counts.entry(call.body["name"].to_string()).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    // A call that was under way when its connection broke may not have been carried out: it is sent again.
    assert!(twice.len() <= 1 && counts.len() == APPS, "{counts:?}");
    site.assert_converged();
    let state = site.sandbox().state();
    let apps = state["roma-connect"]["apps"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<_> =
        apps.iter().filter_map(|app| app["name"].as_str()).filter(|name| name.starts_with("app-")).collect();
    names.sort_unstable();
    names.dedup();
    let made = apps.iter().filter(|app| app["name"].as_str().is_some_and(|name| name.starts_with("app-"))).count();
    assert_eq!((names.len(), made), (APPS, APPS), "{apps:?}");
}

fn resume(site: &Site, more: &[&str]) -> Output {
    site.run(&[&["resume", "--timeout", "1s"], more].concat())
}

fn verdict(site: &Site, run: &str) -> Value {
    site.journal_of(run).last().map(|record| record["verdict"].clone()).unwrap_or_default()
}

#[test]
fn a_killed_apply_is_settled_and_finished() {
    let site = killed(3);
    let run = site.runs().pop().expect("a run");
    let before = creates(&site);
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    for part in [
        "an earlier run on the same target was broken off",
        &run,
        "(apply, started 2",
        "on roma",
        "of 6 made",
        "`reconcile resume`",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
    assert_eq!(creates(&site), before, "nothing was sent");
    let output = resume(&site, &[]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("Applied: 6 of 6"), "{output}");
    assert_eq!(verdict(&site, &run), "converged");
    assert_made_once(&site);
    // Whoever asks again has nothing to resume.
    let output = resume(&site, &[]);
    assert_eq!((output.code, output.stderr.contains("nothing to resume")), (Some(0), true), "{output}");
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
}

#[test]
fn an_abandoned_run_is_settled_and_sends_nothing() {
    let site = killed(2);
    let run = site.runs().pop().expect("a run");
    let before = operations(&site.writes());
    let output = resume(&site, &["--abandon", &run[..18], "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let document = output.json();
    crate::forms::check_document(&document);
    assert_eq!(document["runs"][0]["run"], run, "{document:#}");
    assert!(document["runs"][0]["settled"].as_array().is_some_and(|settled| !settled.is_empty()), "{document:#}");
    assert_eq!(operations(&site.writes()), before);
    assert_eq!(verdict(&site, &run), "abandoned");
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
    assert_made_once(&site);
    let output = resume(&site, &["--abandon", &run]);
    assert_eq!((output.code, output.stderr.contains("no unfinished run")), (Some(1), true), "{output}");
}

#[test]
fn apply_resumes_when_it_is_told_to() {
    let site = killed(2);
    let output = site.run(&["apply", "-y", "--resume", "--timeout", "1s"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_made_once(&site);
    let verdicts: Vec<_> = site.runs().iter().map(|run| verdict(&site, run)).collect();
    assert_eq!(verdicts, ["converged"], "nothing was left for a run of its own");
}

#[test]
fn a_run_survives_two_kills() {
    let site = killed(1);
    let run = site.runs().pop().expect("a run");
    let before = creates(&site);
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 150}]));
    let mut command = site.command(&["resume", "--timeout", "1s", "--parallelism", "1"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("calls are sent", || creates(&site) >= before + 2);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    site.faults(&json!([]));
    let output = resume(&site, &[]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!((site.runs().len(), verdict(&site, &run)), (1, json!("converged")));
    site.assert_converged();
}

#[test]
fn torn_and_edited_journals_are_settled_by_reading() {
    let check = |edit: &dyn Fn(String) -> String, said: &str, kept: bool| {
        let site = killed(3);
        let run = site.runs().pop().expect("a run");
        let path = site.run_file(&run, "journal");
        std::fs::write(&path, edit(std::fs::read_to_string(&path).expect("a journal"))).expect("edited");
        let output = site.run(&["apply", "-y"]);
        assert_eq!((output.code, output.stderr.contains(said)), (Some(1), true), "{said}: {output}");
        let output = resume(&site, &[]);
        assert_eq!(output.code, Some(0), "{said}: {output}");
        assert_made_once(&site);
        assert_eq!(site.run_file(&run, "journal.altered").exists(), kept, "{said}");
        assert_eq!(verdict(&site, &run), "converged");
    };
    check(&|text| text[..text.len() - 9].to_owned(), "was broken off", false);
    check(&|text| text + "0123456789abcdef {\"ty", "was broken off", false);
    check(&|text| text.replacen("\"attempt\":1", "\"attempt\":7", 1), "its journal was altered", true);
    check(&|text| text.replacen("\"pid\"", "\"PID\"", 1), "whose journal was altered", true);
    check(&|_| String::new(), "whose journal was altered", true);
}

#[test]
fn an_edited_journal_of_a_finished_run_is_noticed() {
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
    let run = site.runs().pop().expect("a run");
    let path = site.run_file(&run, "journal");
    let text = std::fs::read_to_string(&path).expect("a journal");
    std::fs::write(&path, text.replace("\"applied\"", "\"refused\"")).expect("edited");
    let output = site.run(&["apply", "-y"]);
    assert_eq!((output.code, output.stderr.contains("its journal was altered")), (Some(1), true), "{output}");
    assert_eq!(resume(&site, &[]).code, Some(0));
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
}

#[test]
fn a_run_that_a_signal_ends_is_no_unfinished_one() {
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 150}]));
    let mut command = site.command(&["apply", "-y", "--parallelism", "1"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("calls are sent", || creates(&site) >= 2);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal is sent");
    let output = site.collect(child);
    assert_eq!(output.code, Some(143), "{output}");
    let run = site.runs().pop().expect("a run");
    assert_eq!(verdict(&site, &run), "interrupted");
    site.faults(&json!([]));
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
    assert_made_once(&site);
}

/// Prepares an `apply` below a shell command. A write beyond the limit of files fails then, as on a full disk, and does
/// not end the program.
fn limited(site: &Site, shell: &str, more: &[&str]) -> Command {
    let program = site.command(&[""; 0]);
    let mut command = Command::new("sh");
    command.current_dir(site.path()).env_clear().env("RECONCILE_STATE_DIR", ".state");
    command.arg("-c").arg(format!("trap '' XFSZ; {shell} exec \"$0\" apply -y \"$@\""));
    command.arg(program.get_program()).args(more);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_stops_the_run_and_leaves_it_resumable() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 300}]));
    let mut command = limited(&site, "", &["--parallelism", "1"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("calls are sent", || creates(&site) >= 2);
    prlimit(Some(Pid::from_child(&child)), Resource::Fsize, Rlimit { current: Some(1), maximum: Some(1) })
        .expect("the limit is set");
    let output = site.collect(child);
    assert!(matches!(output.code, Some(1 | 5)), "{output}");
    for part in ["the run stops: cannot write .state/runs/", "File too large", "`reconcile resume`"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
    site.faults(&json!([]));
    assert_eq!(site.run(&["apply", "-y"]).code, Some(1));
    let output = resume(&site, &[]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_made_once(&site);
}

#[test]
fn nothing_is_sent_that_cannot_be_recorded() {
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    let check = |site: &Site, prepare: &dyn Fn(&Site) -> Command, said: &str| {
        let output = site.end(prepare(site), "");
        assert_eq!((output.code, output.stderr.contains(said)), (Some(1), true), "{said}: {output}");
        assert!(output.stderr.contains("--state-dir"), "the way out: {output}");
        assert_eq!(operations(&site.writes()), json!({}), "{said}");
    };
    let homeless = |site: &Site| {
        let mut command = site.command(&["apply", "-y"]);
        command.env_remove("RECONCILE_STATE_DIR").env_remove("HOME").env_remove("XDG_STATE_HOME");
        command
    };
    check(&site, &homeless, "no home directory says where");
    check(&site, &|site: &Site| site.command(&["apply", "-y", "--state-dir", "/proc/none"]), "/proc/none");
    check(&site, &|site: &Site| site.command(&["apply", "-y", "--state-dir", "apps.yaml/x"]), "apps.yaml/x");
    // A disk that is full takes no plan.
    check(&site, &|site: &Site| limited(site, "ulimit -f 2;", &[]), "cannot be recorded: .state/runs/");
    assert!(site.runs().is_empty(), "no half of a run is left");
    // A run without changes needs no place.
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
    let output = site.end(homeless(&site), "");
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn watch_leaves_the_target_of_an_unfinished_apply_alone_and_no_other() {
    let site = killed(2);
    site.write("core.yaml", &crate::watch::ports(48));
    let watch = Watch::start(&site, &["apps.yaml", "core.yaml", "--resync", "1s"]);
    wait_until("the refusal is said", || !watch.lines("`reconcile resume`").is_empty());
    wait_until("the other target is written to", || operations(&site.writes())["update_inst"] == 1);
    let before = creates(&site);
    assert_eq!(watch.end(), Some(0));
    assert_eq!(creates(&site), before);
    assert_eq!(resume(&site, &[]).code, Some(0));
    assert_made_once(&site);
}

#[test]
fn watch_settles_its_own_run_that_was_broken_off() {
    let site = Site::with(&state(), &[("apps.yaml", &manifests())]);
    site.faults(&json!([{"operation": "CreateRomaApp", "fault": "delay", "ms": 150}]));
    let mut command = site.command(&["watch", "apps.yaml", "--listen", "127.0.0.1:0", "--parallelism", "1"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_until("calls are sent", || creates(&site) >= 2);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    site.faults(&json!([]));
    let run = site.runs().pop().expect("a run");
    let watch = Watch::start(&site, &["apps.yaml", "--resync", "1s", "--timeout", "1s"]);
    wait_until("the rest is made", || creates(&site) >= APPS);
    assert_eq!(watch.lines("was broken off and is settled by reading").len(), 1, "{:?}", watch.lines(""));
    assert_eq!(watch.end(), Some(0));
    assert_eq!(verdict(&site, &run), "abandoned");
    assert_made_once(&site);
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
}
