//! The document as a whole.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    config::{
        Config, Mode, Watch, duration, prune, safety,
        target::{self, SECRETS, Target},
    },
    diagnostic::Diagnostic,
    source::{FileId, Origin, Sources},
    yaml::{self, Node, Section},
};

/// Reads a configuration that is in the sources already; paths in it are relative to the directory of `path`.
pub fn decode(file: FileId, path: &Path, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Config {
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
            document(&first.root, &mut config, &mut found);
            if let Some(second) = rest.first() {
                let message = "a configuration is one document";
                found.push(Diagnostic::error("C010", message, &second.origin));
            }
        }
    }
    for diagnostic in &mut found {
        diagnostic.hidden |= names_secret(diagnostic, sources);
    }
    diagnostics.append(&mut found);
    config
}

/// Says whether a line that a diagnostic would show names a secret. Its value may stand beside it.
fn names_secret(diagnostic: &Diagnostic, sources: &Sources) -> bool {
    diagnostic.labels.iter().any(|label| {
        let (lines, _) = sources.lines(&label.origin);
        let text = sources.text(label.origin.file).get(lines).unwrap_or_default();
        let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.any(|word| SECRETS.contains(&word))
    })
}

fn document(root: &Node<'_>, config: &mut Config, diagnostics: &mut Vec<Diagnostic>) {
    let Some(section) = Section::open(root, "the configuration", diagnostics) else { return };
    if let Some(node) = section.require("apiVersion", diagnostics) {
        yaml::one_of(node, "apiVersion", &["reconcile/v1"], diagnostics);
    }
    if let Some(node) = section.require("kind", diagnostics) {
        yaml::one_of(node, "kind", &["Config"], diagnostics);
    }
    let directory = config.path.parent().unwrap_or(Path::new("")).to_owned();
    if let Some(node) = section.get("targets") {
        config.targets = targets(node, &directory, diagnostics);
    }
    if let Some(node) = section.get("prune") {
        config.prune = prune::scopes(node, &config.targets, diagnostics);
    }
    if let Some(node) = section.get("safety") {
        config.safety = safety::safety(node, diagnostics);
    }
    if let Some(node) = section.get("watch") {
        config.watch = watch(node, diagnostics);
    }
    if let Some(node) = section.get("sandbox") {
        config.sandbox = sandbox(node, &directory, diagnostics);
    }
    section.finish(diagnostics);
}

fn targets(node: &Node<'_>, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<Target> {
    let Some(section) = Section::open(node, "targets", diagnostics) else { return Vec::new() };
    let entries = section.node().entries().iter();
    let mut targets: Vec<Target> =
        entries.filter_map(|(key, node)| target::target(key, node, directory, diagnostics)).collect();
    target::share_time_zone(&mut targets);
    let mut defaults: BTreeMap<&str, &Origin> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.default) {
        if let Some(first) = defaults.insert(target.platform, &target.origin) {
            let message = format!("only one target of {} can be the default", target.platform);
            diagnostics
                .push(Diagnostic::error("C006", message, &target.origin).label("again").also(first, "first here"));
        }
    }
    targets
}

fn watch(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Watch {
    let mut watch = Watch::default();
    let Some(section) = Section::open(node, "watch", diagnostics) else { return watch };
    if let Some(node) = section.get("mode")
        && yaml::one_of(node, "mode", &["enforce", "report"], diagnostics) == Some("report")
    {
        watch.mode = Mode::Report;
    }
    if let Some(node) = section.get("resync")
        && let Some(text) = yaml::text(node, "resync", diagnostics)
    {
        watch.resync = duration(text).filter(|duration| !duration.is_zero());
        if watch.resync.is_none() {
            let message = format!("resync cannot be `{text}`");
            diagnostics
                .push(Diagnostic::error("C007", message, &node.origin).hint("write a duration such as 5m or 30s"));
        }
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
    section.finish(diagnostics);
    watch
}

fn sandbox(node: &Node<'_>, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let Some(section) = Section::open(node, "sandbox", diagnostics) else { return Vec::new() };
    let mut files = Vec::new();
    if let Some(node) = section.get("state") {
        for item in yaml::list(node, "state", diagnostics).unwrap_or_default() {
            files.extend(yaml::text(item, "state", diagnostics).map(|path| directory.join(path)));
        }
    }
    section.finish(diagnostics);
    files
}
