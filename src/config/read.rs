//! The document as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{
        Ceasefire, Config, ResyncRule, StateLimits, Watch, prune, safety,
        target::{self, Platforms, Target},
        windows,
    },
    diagnostic::Diagnostic,
    model::policy::Policy,
    provider::SettingSpec,
    source::{FileId, Origin, Sources},
    yaml::{self, Content, Form, Key, MOST, Node, Section, Shape},
};

/// The keys of a configuration. Those of a target are up to its platform, those of a scope of `prune` up to its kind.
pub static CONFIGURATION: Form = Form::new(&[
    Key::new("apiVersion", Shape::OneOf(&["reconcile/v1"]), "`reconcile/v1`").required(),
    Key::new("kind", Shape::OneOf(&["Config"]), "`Config`").required(),
    Key::new("targets", Shape::MappingOf(&Shape::Any), "the servers, each with a name of its own"),
    Key::new("prune", Shape::List(&Shape::Any, 0), "where `--prune` may remove objects"),
    Key::new("safety", Shape::Mapping(&safety::SAFETY), "limits on what one run may change"),
    Key::new(
        "windows",
        Shape::MappingOf(&Shape::Mapping(&windows::WINDOW)),
        "times at which changes are made, or are not, each with a name of its own",
    ),
    Key::new("watch", Shape::Mapping(&WATCH), "settings of `reconcile watch`"),
    Key::new(
        "notify",
        Shape::MappingOf(&Shape::Mapping(&super::notify::WEBHOOK)),
        "webhooks for messages of `watch`, each with a name of its own",
    ),
    Key::new("state", Shape::Mapping(&STATE), "how long runs stay recorded"),
    Key::new("sandbox", Shape::Mapping(&SANDBOX), "the state that `--sandbox` starts from"),
]);

/// The keys of `watch.resync`.
static RESYNC: Form = Form::new(&[
    Key::new("default", Shape::Duration, "how often objects without a rule are compared; `5m` by default"),
    Key::new(
        "rules",
        Shape::List(&Shape::Mapping(&RULE), 0),
        "objects that are compared at times of their own; the first rule about an object counts",
    ),
]);

/// The keys of a rule of `watch.resync`.
static RULE: Form = Form::new(&[
    Key::new("every", Shape::Duration, "how often its objects are compared").required(),
    Key::new("selector", Shape::Text, "labels, as in `-l`; all by default"),
    Key::new(
        "target",
        Shape::AnyOf(&[Shape::Text, Shape::List(&Shape::Text, 0)]),
        "a target or an object such as `Instance/core-*`, or a list of them; all by default",
    ),
]);

/// The keys of `watch`.
static WATCH: Form = Form::new(&[
    Key::new(
        "mode",
        Shape::OneOf(Policy::WORDS),
        "`enforce` (the default); `report`, which writes nothing; or `ignore`, which looks at nothing",
    ),
    Key::new(
        "resync",
        Shape::AnyOf(&[Shape::Duration, Shape::Mapping(&RESYNC)]),
        "how often everything is compared, besides changes of files and events; `5m` by default",
    ),
    Key::new(
        "deadline",
        Shape::Duration,
        "the longest time of one comparison; then it is broken off, and `/healthz` fails; `30m` by default",
    ),
    Key::new(
        "ceasefire",
        Shape::Mapping(&CEASEFIRE),
        "when a field that somebody else sets back each time is only reported",
    ),
    Key::new(
        "listen",
        Shape::Text,
        "address and port of the status page, health and metrics; `127.0.0.1:8321` by default",
    ),
    Key::new("token", Shape::Secret, "the token of the status page's controls, as a secret; without it they are off"),
]);

/// The keys of `ceasefire`.
static CEASEFIRE: Form = Form::new(&[
    Key::new(
        "after",
        Shape::Integer(1, MOST),
        "how often the field is taken back from the same party before; `3` by default",
    ),
    Key::new("within", Shape::Duration, "the time within which that happens; `1h` by default"),
    Key::new("quiet", Shape::Duration, "how long its value has to rest before it is enforced again; `1h` by default"),
]);

/// The keys of `state`.
static STATE: Form = Form::new(&[
    Key::new("keep", Shape::Duration, "the age at which runs are removed; `90d` by default"),
    Key::new(
        "runs",
        Shape::Integer(1, MOST),
        "how many runs are kept; unfinished ones are never removed; `1000` by default",
    ),
]);

/// The keys of `sandbox`.
static SANDBOX: Form =
    Form::new(&[Key::new("state", Shape::List(&Shape::Text, 0), "a list of files from which `--sandbox` starts")]);

/// Reads a configuration that is in the sources already; paths in it are relative to the directory of `path`.
pub fn decode(
    file: FileId,
    path: &Path,
    platforms: Platforms,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Config {
    let mut config = Config::new(path);
    let mut found = Vec::new();
    let documents = yaml::load(file, sources.text(file), &mut found);
    match documents.as_slice() {
        [] => {
            if found.is_empty() {
                found.push(Diagnostic::error("C010", "the configuration is empty", &Origin::new(file, 0..0)));
            }
        }
        [first, rest @ ..] => {
            document(&first.root, &mut config, platforms, &mut found);
            if let Some(second) = rest.first() {
                let message = "a configuration is one document";
                found.push(Diagnostic::error("C010", message, &second.origin));
            }
        }
    }
    let secrets = platforms.iter().flat_map(|platform| platform.settings()).flat_map(SettingSpec::secret_words);
    let secrets: BTreeSet<&str> = secrets.collect();
    for diagnostic in &mut found {
        diagnostic.hidden |= names_secret(diagnostic, &secrets, sources);
    }
    diagnostics.append(&mut found);
    config
}

/// Returns true if a line that a diagnostic would show names a secret. Its value may stand beside it.
fn names_secret(diagnostic: &Diagnostic, secrets: &BTreeSet<&str>, sources: &Sources) -> bool {
    diagnostic.labels.iter().any(|label| {
        let (lines, _) = sources.lines(&label.origin);
        let text = sources.text(label.origin.file).get(lines).unwrap_or_default();
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.any(|word| secrets.contains(word))
    })
}

fn document(root: &Node<'_>, config: &mut Config, platforms: Platforms, diagnostics: &mut Vec<Diagnostic>) {
    let Some(section) = Section::of(root, "the configuration", &CONFIGURATION, diagnostics) else { return };
    if let Some(node) =
        section.require_hinted("apiVersion", || "write `apiVersion: reconcile/v1`".to_owned(), diagnostics)
    {
        yaml::one_of(node, "apiVersion", &["reconcile/v1"], diagnostics);
    }
    if let Some(node) = section.require_hinted("kind", || "write `kind: Config`".to_owned(), diagnostics) {
        yaml::one_of(node, "kind", &["Config"], diagnostics);
    }
    let directory = config.path.parent().unwrap_or(Path::new("")).to_owned();
    if let Some(node) = section.get("targets") {
        config.targets = targets(node, &directory, platforms, diagnostics);
    }
    if let Some(node) = section.get("prune") {
        config.prune = prune::scopes(node, &config.targets, platforms, diagnostics);
    }
    if let Some(node) = section.get("safety") {
        config.safety = safety::safety(node, platforms, diagnostics);
    }
    if let Some(node) = section.get("windows") {
        config.windows = windows::windows(node, &config.targets, diagnostics);
    }
    if let Some(node) = section.get("watch") {
        config.watch = watch(node, &directory, &config.targets, diagnostics);
    }
    if let Some(node) = section.get("notify") {
        config.notify = super::notify::webhooks(node, &directory, diagnostics);
    }
    if let Some(node) = section.get("state") {
        config.state = state(node, diagnostics);
    }
    if let Some(node) = section.get("sandbox") {
        config.sandbox = sandbox(node, &directory, diagnostics);
    }
    section.finish(diagnostics);
}

fn targets(node: &Node<'_>, directory: &Path, platforms: Platforms, diagnostics: &mut Vec<Diagnostic>) -> Vec<Target> {
    let Some(section) = Section::open(node, "targets", diagnostics) else { return Vec::new() };
    let entries = section.node().entries().iter();
    let mut targets: Vec<Target> =
        entries.filter_map(|(key, node)| target::target(key, node, directory, platforms, diagnostics)).collect();
    target::share_settings(&mut targets);
    let mut defaults: BTreeMap<&str, &Origin> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.default) {
        if let Some(first) = defaults.insert(target.platform.name(), &target.origin) {
            let message = format!("only one target of {} can be the default", target.platform.name());
            diagnostics
                .push(Diagnostic::error("C006", message, &target.origin).label("again").also(first, "first here"));
        }
    }
    targets
}

/// Reads a duration that is not zero.
pub(super) fn duration_above_zero(
    key: &str,
    text: &str,
    origin: &Origin,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<std::time::Duration> {
    let duration = yaml::duration(text).filter(|duration| !duration.is_zero());
    if duration.is_none() {
        let message = format!("{key} cannot be `{text}`");
        diagnostics.push(Diagnostic::error("C007", message, origin).hint("write a duration such as 5m or 30s"));
    }
    duration
}

fn state(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> StateLimits {
    let mut state = StateLimits::default();
    let Some(section) = Section::of(node, "state", &STATE, diagnostics) else { return state };
    if let Some(node) = section.get("keep")
        && let Some(text) = yaml::text(node, "keep", diagnostics)
    {
        state.keep = duration_above_zero("keep", text, &node.origin, diagnostics);
    }
    if let Some(node) = section.get("runs")
        && let Some(count) = yaml::integer(node, "runs", diagnostics)
    {
        state.runs = usize::try_from(count).ok().filter(|count| *count > 0);
        if state.runs.is_none() {
            let message = format!("runs cannot be {count}");
            diagnostics.push(Diagnostic::error("C007", message, &node.origin).hint("write a number above 0"));
        }
    }
    section.finish(diagnostics);
    state
}

fn watch(node: &Node<'_>, directory: &Path, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Watch {
    let mut watch = Watch::default();
    let Some(section) = Section::of(node, "watch", &WATCH, diagnostics) else { return watch };
    if let Some(node) = section.get("mode")
        && let Some(mode) = yaml::one_of(node, "mode", Policy::WORDS, diagnostics)
    {
        watch.mode = mode.parse().unwrap_or_default();
    }
    if let Some(node) = section.get("resync") {
        (watch.resync, watch.resync_rules) = resync(node, targets, diagnostics);
    }
    if let Some(node) = section.get("deadline")
        && let Some(text) = yaml::text(node, "deadline", diagnostics)
    {
        watch.deadline = duration_above_zero("deadline", text, &node.origin, diagnostics);
    }
    if let Some(node) = section.get("listen")
        && let Some(text) = yaml::text(node, "listen", diagnostics)
    {
        watch.listen = text.parse::<SocketAddr>().ok();
        if watch.listen.is_none() {
            let message = format!("listen cannot be `{text}`");
            let hint = "write an address and a port, such as 127.0.0.1:8321";
            diagnostics.push(Diagnostic::error("C008", message, &node.origin).hint(hint));
        }
    }
    if let Some(node) = section.get("token") {
        watch.token = super::source::secret(node, "watch.token", directory, diagnostics);
    }
    if let Some(node) = section.get("ceasefire") {
        watch.ceasefire = ceasefire(node, diagnostics);
    }
    section.finish(diagnostics);
    watch
}

/// Reads the times between two looks: one for all objects, or one for each of several rules.
fn resync(
    node: &Node<'_>,
    targets: &[Target],
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Duration>, Vec<ResyncRule>) {
    let time = |node: &Node<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>| {
        let text = yaml::text(node, key, diagnostics)?;
        duration_above_zero(key, text, &node.origin, diagnostics)
    };
    if !matches!(node.content, Content::Mapping(_)) {
        return (time(node, "resync", diagnostics), Vec::new());
    }
    let Some(section) = Section::of(node, "resync", &RESYNC, diagnostics) else { return (None, Vec::new()) };
    let default = section.get("default").and_then(|node| time(node, "default", diagnostics));
    let rules = section.get("rules").and_then(|node| yaml::list(node, "rules", diagnostics)).unwrap_or_default();
    let rules = rules.iter().filter_map(|node| {
        let section = Section::of(node, "a rule of resync", &RULE, diagnostics)?;
        let scope = windows::scope(&section, targets, diagnostics);
        let every = section.require("every", diagnostics);
        let every = every.and_then(|node| time(node, "every", diagnostics));
        section.finish(diagnostics);
        Some(ResyncRule { scope, every: every? })
    });
    let rules = rules.collect();
    section.finish(diagnostics);
    (default, rules)
}

fn ceasefire(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Ceasefire {
    let mut ceasefire = Ceasefire::default();
    let Some(section) = Section::of(node, "ceasefire", &CEASEFIRE, diagnostics) else { return ceasefire };
    if let Some(node) = section.get("after")
        && let Some(count) = yaml::integer(node, "after", diagnostics)
    {
        if let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) {
            ceasefire.after = count;
        } else {
            let message = format!("after cannot be {count}");
            diagnostics.push(Diagnostic::error("C007", message, &node.origin).hint("write a number above 0"));
        }
    }
    for (key, time) in [("within", &mut ceasefire.within), ("quiet", &mut ceasefire.quiet)] {
        if let Some(node) = section.get(key)
            && let Some(text) = yaml::text(node, key, diagnostics)
            && let Some(duration) = duration_above_zero(key, text, &node.origin, diagnostics)
        {
            *time = duration;
        }
    }
    section.finish(diagnostics);
    ceasefire
}

fn sandbox(node: &Node<'_>, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let Some(section) = Section::of(node, "sandbox", &SANDBOX, diagnostics) else { return Vec::new() };
    let mut files = Vec::new();
    if let Some(node) = section.get("state") {
        for item in yaml::list(node, "state", diagnostics).unwrap_or_default() {
            files.extend(yaml::text(item, "state", diagnostics).map(|path| directory.join(path)));
        }
    }
    section.finish(diagnostics);
    files
}
