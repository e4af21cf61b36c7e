//! A platform is one folder and one line: a toy with one kind is planned and applied beside the real ones, and nothing
//! else of the program knows of it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
};

use reconcile::{
    config::{self, Config},
    diagnostic::render,
    engine::{
        apply::{self, apply},
        connection::{Connection, Shared, Target},
        impact::impact,
        observe::{note, observe},
    },
    journal::{Record, RunOrigin, Store as _, memory::Memory, target_record},
    manifest::{self, Search, Targets, Variables},
    model::{Action, Desired, Outcome},
    plan::{Plan, file::Setup, plan},
    platform::{self, bk_cmdb::BkCmdb, roma_connect::RomaConnect},
    provider::{Endpoint, Platform},
    run::{self, Recording, RunError, Surroundings, Work},
    source::Sources,
    transport::{self, Transport},
};
use serde_json::json;
use tokio::time::Instant;

use crate::toy::{self, Toy};

static PLATFORMS: [&dyn Platform; 3] = [&BkCmdb, &Toy, &RomaConnect];

const HEAD: &str = "apiVersion: reconcile/v1\nkind: Config\n";

/// Reads a configuration; returns it with what is wrong in it.
fn configure(directory: &Path, text: &str) -> (Config, String) {
    let path = directory.join("reconcile.yaml");
    std::fs::write(&path, HEAD.to_owned() + text).expect("written");
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let config = config::load(&path, &PLATFORMS, &mut sources, &mut diagnostics).expect("it can be read");
    let reported = render::text(&diagnostics, &sources, false, 120);
    (config, reported.replace(&format!("{}/", directory.display()), ""))
}

/// Returns the objects that the manifests of a directory declare.
fn declare(directory: &Path, config: &Config) -> Vec<Desired> {
    let mut sources = Sources::default();
    let search = Search { paths: &[directory.to_owned()], skip: &config.files(), overlays: &[], follow_links: false };
    let found = manifest::discover(&search, &mut io::empty(), &mut sources);
    let mut targets = Targets::default();
    config.targets.iter().for_each(|target| targets.add(target.name.clone(), target.platform.name(), target.default));
    let (set, diagnostics) = manifest::decode(&sources, &found, &PLATFORMS, &targets, &Variables::default());
    assert!(diagnostics.is_empty(), "{}", render::text(&diagnostics, &sources, false, 120));
    set.desired
}

/// Returns connections to all targets of a configuration.
fn connect(config: &Config) -> Vec<Arc<Connection>> {
    let shared = Shared::new(Transport::new(&transport::Options::default()).expect("a client"), 4, None);
    let connect = |target: &config::Target| {
        let values = target.resolve().expect("it has all values");
        let url = target.platform.url(&values.settings).expect("it has an address");
        let endpoint = Endpoint { url, settings: values.settings, secrets: values.secrets };
        let resolve = Arc::new(move || Ok(endpoint.clone()));
        let (name, platform) = (target.name.clone(), target.platform);
        Connection::new(Target { name, platform, resolve, concurrency: None, rate: None }, shared.clone())
    };
    config.targets.iter().map(connect).collect()
}

/// Plans, applies, and returns the plan with what became of it.
async fn reconcile(connections: &[Arc<Connection>], desired: &[Desired]) -> (Plan, Vec<Outcome>) {
    let readers: Vec<_> = connections.iter().map(Connection::reader).collect();
    let writers: Vec<_> = connections.iter().map(Connection::writer).collect();
    let mut states = observe(&readers, desired).await;
    let mut plan = plan(&states);
    note(&readers, &mut states, &mut plan).await;
    impact(&readers, &mut states, &mut plan).await;
    let options = apply::Options {
        log: &reconcile::engine::run_log::Unrecorded,
        verify: true,
        fresh_until: Instant::now() + apply::TRUST,
        settled: Vec::new(),
        listener: &|_| {},
        stop: tokio_util::sync::CancellationToken::new(),
    };
    let outcomes = apply(&plan, &states, &writers, &options).await;
    (plan, outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

#[tokio::test]
async fn a_toy_platform_is_planned_and_applied() {
    let directory = tempfile::tempdir().expect("a directory");
    let (address, notes) = toy::serve().await;
    std::fs::write(directory.path().join("key"), "s3cret\n").expect("written");
    let (config, reported) = configure(
        directory.path(),
        &format!(
            "targets:\n  toys: {{platform: toy, endpoint: {address}, mode: locked, auth: {{key: {{file: key}}}}}}\n\
             prune:\n- {{kind: Note, shelf: upper}}\n\
             safety: {{kinds: {{Note: {{maxImpact: {{readers: 3}}}}}}}}\n"
        ),
    );
    assert_eq!(reported, "");
    assert_eq!((&*config.prune[0].target, config.safety.kinds["Note"].max_impact["readers"]), ("toys", 3));
    let connections = connect(&config);
    let manifest = |text: &str| {
        let manifest = format!("apiVersion: toy/v1\nkind: Note\nmetadata: {{name: milk}}\nspec: {{text: {text}}}\n");
        std::fs::write(directory.path().join("notes.yaml"), manifest).expect("written");
        declare(directory.path(), &config)
    };
    for (text, expected) in [("buy it", Some(Action::Create)), ("drink it", Some(Action::Update)), ("drink it", None)] {
        let (plan, outcomes) = reconcile(&connections, &manifest(text)).await;
        assert_eq!(plan.changes.iter().map(|change| change.action).collect::<Vec<_>>(), Vec::from_iter(expected));
        assert_eq!(outcomes, vec![Outcome::Applied; plan.changes.len()], "{plan:?}");
        assert_eq!(*notes.lock().expect("no panic"), BTreeMap::from([("milk".to_owned(), json!(text))]));
    }
}

#[test]
fn the_settings_of_a_toy_platform_are_checked() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |target: &str, expected: &str| {
        let (_, reported) = configure(directory.path(), &format!("targets:\n  toys: {{platform: toy, {target}}}\n"));
        let told: Vec<&str> =
            reported.lines().filter(|line| line.starts_with("error") || line.contains("help")).collect();
        assert_eq!(told.join("\n"), expected);
    };
    check("endpoint: 'http://h', mode: open", "");
    check("endpoint: 'http://h', mode: locked", "error[Y203]: target toys needs `auth`");
    check("endpoint: 'http://h', mode: locked, auth: {}", "error[Y203]: auth of target toys needs `key`");
    check("mode: open", "error[Y203]: target toys needs `endpoint`");
    check(
        "endpoint: 'http://h', mode: locked, auth: {key: {env: KEY}, endpoint: h}",
        "error[C004]: auth.endpoint has to be an address such as https://keys.example.com",
    );
    check(
        "endpoint: 'http://h/notes', mode: open",
        "error[C004]: endpoint is the root of the API, without the path behind it\n  = help: write `http://h`",
    );
}

#[test]
fn kinds_have_names_of_their_own_over_all_platforms() {
    let mut names: HashMap<&str, &str> = HashMap::new();
    for platform in platform::ALL {
        for kind in platform.kinds() {
            let other = names.insert(kind.name(), platform.name());
            assert_eq!(other, None, "{} of {} is a kind of another platform too", kind.name(), platform.name());
        }
    }
}

#[test]
fn settings_are_told_apart_and_lie_in_sections_that_there_are() {
    for platform in platform::ALL {
        let specs = platform.settings();
        for (at, spec) in specs.iter().enumerate() {
            let told = format!("{} of {}", spec.path, platform.name());
            let is_section = |other: &&reconcile::provider::SettingSpec| other.path == spec.section();
            assert!(
                spec.section().is_empty() || specs[..at].iter().any(|setting_spec| is_section(&setting_spec)),
                "{told}"
            );
            assert!(!spec.description.is_empty() && !spec.description.ends_with('.'), "{told}");
            // One name may stand twice where only one of them exists at a time.
            let twin = specs[..at].iter().filter(|setting_spec| setting_spec.name == spec.name);
            assert!(twin.clone().all(|setting_spec| setting_spec.path == spec.path), "{told}");
        }
    }
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_run_leaves_a_run_to_resume() {
    let directory = tempfile::tempdir().expect("a directory");
    let (address, _notes) = toy::serve().await;
    std::fs::write(directory.path().join("key"), "s3cret\n").expect("written");
    let target = format!(
        "targets:\n  toys: {{platform: toy, endpoint: {address}, mode: locked, auth: {{key: {{file: key}}}}}}\n"
    );
    let (config, _) = configure(directory.path(), &target);
    let manifest = "apiVersion: toy/v1\nkind: Note\nmetadata: {name: milk}\nspec: {text: buy it}\n";
    std::fs::write(directory.path().join("notes.yaml"), manifest).expect("written");
    let desired = declare(directory.path(), &config);
    let connections = connect(&config);
    let readers: Vec<_> = connections.iter().map(Connection::reader).collect();
    let writers: Vec<_> = connections.iter().map(Connection::writer).collect();
    let states = observe(&readers, &desired).await;
    let plan = plan(&states);
    let memory = Memory::default();
    let surroundings = Surroundings {
        recording: Recording::In(Arc::new(memory.clone())),
        ..Surroundings::unrecorded(RunOrigin::here("apply", &[]))
    };
    let setup = Setup { target: "toys".into(), platform: "toy".into(), settings: BTreeMap::new() };
    let targets = vec![target_record(&setup)];
    let claim = run::claim(&surroundings, targets.clone(), &|_| {}).await.expect("nobody else is there");
    let work = Work {
        plan: &plan,
        document: &reconcile::plan::file::Document::default(),
        manifests: &[],
        excesses: &[],
        acknowledged: false,
        held: &[],
        override_reason: None,
        file: None,
    };
    let options = apply::Options {
        log: &reconcile::engine::run_log::Unrecorded,
        verify: true,
        fresh_until: Instant::now() + apply::TRUST,
        settled: Vec::new(),
        listener: &|event| assert!(!matches!(event, apply::Event::Finished(..)), "a mistake of ours"),
        stop: tokio_util::sync::CancellationToken::new(),
    };
    let error = run::carry_out(&surroundings, claim, &work, (&states, &writers), options).await.expect_err("it panics");
    let message = error.to_string();
    assert!(message.contains("a mistake of ours") && message.contains("`reconcile resume`"), "{message}");
    let error = run::claim(&surroundings, targets, &|_| {}).await.err().expect("the run is unfinished");
    assert!(matches!(error, RunError::Unfinished(_)), "{error}");
    let journal = memory.journal(&memory.runs().expect("runs")[0]).expect("a journal");
    assert!(journal.entries.iter().any(|entry| matches!(entry.record, Record::Intent(_))), "{journal:?}");
}
