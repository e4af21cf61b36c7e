//! The part of a document that all kinds share: what it is, what it is called, where it belongs.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    diagnostic::Diagnostic,
    manifest::targets::{NoDefault, Targets},
    model::{ARROW, Labels},
    provider::{Kind, Platform},
    source::{Located, Origin},
    yaml::{self, Form, Key, Node, Section, Shape, nearest},
};

/// The version that all platforms are at.
pub const VERSION: &str = "v1";

/// The keys of a document. Which versions, kinds and specs there are is up to the platforms.
pub static DOCUMENT: Form = Form::new(&[
    Key::new("apiVersion", Shape::Text, "the platform and the version of its manifests").required(),
    Key::new("kind", Shape::Text, "the kind of object that it declares").required(),
    Key::new("metadata", Shape::Mapping(&METADATA), "the name and more").required(),
    Key::new("spec", Shape::Any, "the object; its keys depend on the kind").required(),
]);

/// The keys of `metadata`.
pub static METADATA: Form = Form::new(&[
    Key::new("name", Shape::Name, "the name of the document, unique among the documents of its kind").required(),
    Key::new(
        "target",
        Shape::Text,
        "a target of `reconcile.yaml`; it can be left out if the platform has one target, or one with `default: true`",
    ),
    Key::new(
        "labels",
        Shape::MappingOf(&Shape::Text),
        "texts by which `-l 'site=sz,team notin (net, db)'` selects documents",
    ),
    Key::new("annotations", Shape::MappingOf(&Shape::Text), "texts for people; they have no effect"),
]);

/// The envelope of a document, as far as it could be read.
#[derive(Default)]
pub(super) struct Head {
    pub(super) kind: Option<&'static dyn Kind>,
    pub(super) name: Option<Located<Arc<str>>>,
    pub(super) target: Option<Arc<str>>,
    pub(super) labels: Labels,
}

/// Reads the envelope of a document. `spec` is known here, and left to its kind.
pub(super) fn read(
    root: &Node<'_>,
    platforms: &[&dyn Platform],
    targets: &Targets,
    diagnostics: &mut Vec<Diagnostic>,
) -> Head {
    if root.get("apiVersion").is_none() && root.get("kind").is_none() && !root.entries().is_empty() {
        let (key, _) = &root.entries()[0];
        let message = "this is not a manifest: it has neither `apiVersion` nor `kind`";
        let hint = "name files that are something else in .reconcileignore";
        diagnostics.push(Diagnostic::error("M015", message, &key.origin).hint(hint));
        return Head::default();
    }
    if let (Some(kind), true) = (root.get("kind").filter(|kind| kind.key() == "List"), root.get("items").is_some()) {
        let diagnostic = Diagnostic::error("M003", "`kind: List` is not read", &kind.origin);
        diagnostics.push(diagnostic.hint("make each item a document of its own, with `---` between them"));
        return Head::default();
    }
    let mut head = Head::default();
    let Some(section) = Section::of(root, "the document", &DOCUMENT, diagnostics) else { return head };
    let hint = || {
        let lines = platforms.iter().map(|platform| format!("`apiVersion: {}/{VERSION}`", platform.name()));
        format!("write {}", lines.collect::<Vec<_>>().join(" or "))
    };
    let version = section.require_hinted("apiVersion", hint, diagnostics);
    let platform = version.and_then(|node| platform(node, platforms, diagnostics));
    if let Some(node) = section.require("kind", diagnostics) {
        head.kind = kind(node, platform, platforms, diagnostics);
    }
    if let Some(node) = section.require("metadata", diagnostics) {
        metadata(node, &mut head, platform, targets, diagnostics);
    }
    if head.target.is_none() && !has_target(root) {
        // Without a version the platform follows from the kind, but then the version is what has to be mended first.
        if let (Some(platform), Some(version)) = (platform, version) {
            head.target = default_target(platform, targets, &version.origin, diagnostics);
        }
    }
    section.require("spec", diagnostics);
    section.finish(diagnostics);
    head
}

fn platform<'p>(
    node: &Node<'_>,
    platforms: &[&'p dyn Platform],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'p dyn Platform> {
    let written = yaml::text(node, "apiVersion", diagnostics)?;
    let (name, version) = written.split_once('/').unwrap_or((written, ""));
    let names = || platforms.iter().map(|platform| platform.name());
    let Some(platform) = platforms.iter().copied().find(|platform| platform.name() == name) else {
        let diagnostic = Diagnostic::error("M001", format!("unknown apiVersion `{written}`"), &node.origin);
        let all: Vec<String> = names().map(|name| format!("{name}/{VERSION}")).collect();
        diagnostics.push(match nearest(name, names()) {
            Some(near) => diagnostic.hint(format!("did you mean `{near}/{VERSION}`?")),
            None => diagnostic.hint(format!("known are {}", all.join(", "))),
        });
        return None;
    };
    if version != VERSION {
        let message = format!("apiVersion `{written}` is not known to this version");
        let hint = format!("write {name}/{VERSION}");
        diagnostics.push(Diagnostic::error("M002", message, &node.origin).hint(hint));
    }
    Some(platform)
}

/// Returns a kind. One of another platform is an error and returned all the same: its `spec` can be checked.
fn kind(
    node: &Node<'_>,
    platform: Option<&dyn Platform>,
    platforms: &[&dyn Platform],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'static dyn Kind> {
    let written = yaml::text(node, "kind", diagnostics)?;
    let of = |platform: &dyn Platform| platform.kinds().iter().copied().find(|kind| kind.name() == written);
    if let Some(kind) = platform.and_then(of) {
        return Some(kind);
    }
    let other = platforms.iter().find_map(|other| Some((other.name(), of(*other)?)));
    match (platform, other) {
        // The platform is unknown, which was reported.
        (None, Some((_, kind))) => return Some(kind),
        (Some(platform), Some((name, kind))) => {
            let message = format!("`{written}` is not a kind of {}", platform.name());
            let hint = format!("it is one of {name}: apiVersion: {name}/{VERSION}");
            diagnostics.push(Diagnostic::error("M003", message, &node.origin).hint(hint));
            return Some(kind);
        }
        (_, None) => {}
    }
    let known: Vec<&str> = platforms
        .iter()
        .filter(|candidate| platform.is_none_or(|platform| platform.name() == candidate.name()))
        .flat_map(|platform| platform.kinds().iter().map(|kind| kind.name()))
        .collect();
    let diagnostic = Diagnostic::error("M003", format!("unknown kind `{written}`"), &node.origin);
    diagnostics.push(match nearest(written, known.iter().copied()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint(format!("known are {}", known.join(", "))),
    });
    None
}

fn metadata(
    node: &Node<'_>,
    head: &mut Head,
    platform: Option<&dyn Platform>,
    targets: &Targets,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(section) = Section::of(node, "metadata", &METADATA, diagnostics) else { return };
    if let Some(node) = section.require("name", diagnostics)
        && let Some(name) = name(node, diagnostics)
    {
        head.name = Some(Located::new(name, node.origin.clone()));
    }
    if let Some(node) = section.get("target") {
        head.target = target(node, platform, targets, diagnostics);
    }
    if let Some(node) = section.get("labels") {
        head.labels = Arc::new(texts(node, "labels", diagnostics));
        refuse_unselectable(node, diagnostics);
    }
    if let Some(node) = section.get("annotations") {
        texts(node, "annotations", diagnostics);
    }
    section.finish(diagnostics);
}

fn name<'a>(node: &'a Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a str> {
    let name = yaml::text(node, "metadata.name", diagnostics)?;
    let problem = if name.is_empty() {
        "must not be empty"
    } else if name.trim() != name {
        "must not begin or end with a space"
    } else if name.chars().any(char::is_control) {
        "must not hold control characters or line breaks"
    } else if name.contains(ARROW) {
        "must not hold ` → `: in an address a part of the object follows it"
    } else {
        return Some(name);
    };
    diagnostics.push(Diagnostic::error("M004", format!("metadata.name {problem}"), &node.origin));
    None
}

fn has_target(root: &Node<'_>) -> bool {
    root.get("metadata").is_some_and(|metadata| metadata.get("target").is_some())
}

fn target(
    node: &Node<'_>,
    platform: Option<&dyn Platform>,
    targets: &Targets,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<str>> {
    let written = yaml::text(node, "metadata.target", diagnostics)?;
    let wanted = platform?;
    let of_platform: Vec<&str> = targets.of(wanted.name()).map(|name| &**name).collect();
    let hint = match (nearest(written, of_platform.iter().copied()), of_platform.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("reconcile.yaml has no target of {}", wanted.name()),
        (None, all) => format!("targets of {}: {}", wanted.name(), all.join(", ")),
    };
    let message = match targets.find(written) {
        Some((name, platform)) if **platform == *wanted.name() => return Some(name.clone()),
        Some((_, platform)) => {
            let message = format!("target `{written}` is one of {platform}, not of {}", wanted.name());
            diagnostics.push(Diagnostic::error("M007", message, &node.origin).hint(hint));
            return None;
        }
        None => format!("unknown target `{written}`"),
    };
    if let Some(remedy) = targets.remedy() {
        let message = format!("no configuration was found that has the target `{written}`");
        diagnostics.push(Diagnostic::error("M008", message, &node.origin).hint(remedy));
        return None;
    }
    diagnostics.push(Diagnostic::error("M006", message, &node.origin).hint(hint));
    None
}

fn default_target(
    platform: &dyn Platform,
    targets: &Targets,
    origin: &Origin,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<str>> {
    let name = platform.name();
    let diagnostic = match targets.default_of(name) {
        Ok(target) => return Some(target.clone()),
        Err(NoDefault::None) => {
            Diagnostic::error("M008", format!("there is no target of {name}"), origin).hint("add one to reconcile.yaml")
        }
        Err(NoDefault::Several(all)) => {
            Diagnostic::error("M008", format!("it is not clear which target of {name} is meant"), origin).hint(format!(
                "write metadata.target, one of {}, or `default: true` at one of them in reconcile.yaml",
                all.join(", ")
            ))
        }
    };
    diagnostics.push(diagnostic);
    None
}

fn texts(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(section) = Section::open(node, what, diagnostics) else { return BTreeMap::new() };
    let mut texts = BTreeMap::new();
    for (key, value) in section.node().entries() {
        if let Some(text) = yaml::text(value, &format!("{what}.{}", key.key()), diagnostics) {
            texts.insert(key.key().into(), text.into());
        }
    }
    texts
}

/// Refuses labels that no selector could name.
fn refuse_unselectable(labels: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (key, value) in labels.entries() {
        if key.key().is_empty() || key.key().contains(|letter: char| ",=!".contains(letter) || letter.is_whitespace()) {
            let message = format!("the label key `{}` must not hold spaces or any of , = !", key.key());
            diagnostics.push(Diagnostic::error("M005", message, &key.origin));
        }
        if value.as_text().is_some_and(|text| text.contains(',') || text.trim() != text) {
            let message = format!("the label `{}` must not hold a comma or spaces at its ends", key.key());
            diagnostics.push(Diagnostic::error("M005", message, &value.origin));
        }
    }
}
