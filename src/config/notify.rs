//! `notify`: the webhooks that `watch` sends messages to.

use std::path::Path;

use super::source::{self, Source};
use crate::{
    diagnostic::Diagnostic,
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// The names of the events, as they can be chosen.
pub const EVENTS: [&str; 8] =
    ["unknown", "failed", "blocked", "drifted", "changed", "resolved", "refused", "manifests"];

/// The names of the forms of messages.
const FORMATS: &[&str] = &["json", "slack", "wecom", "dingtalk"];

/// The keys of a webhook.
pub(super) static WEBHOOK: Form = Form::new(&[
    Key::new("format", Shape::OneOf(FORMATS), "`json` (the default), `slack`, `wecom` or `dingtalk`"),
    Key::new("url", Shape::Secret, "its address, as a secret").required(),
    Key::new("events", Shape::List(&Shape::OneOf(&EVENTS), 0), "the events that it gets; all by default"),
    Key::new("secret", Shape::Secret, "the key of the signature, as a secret; for `dingtalk` only"),
]);

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Its name in logs.
    pub name: String,
    /// The form of its messages.
    pub format: WebhookFormat,
    /// Its address, which holds what only its owner may know.
    pub url: Source,
    /// The key of its signatures, where it wants any.
    pub secret: Option<Source>,
    /// The names of the events that it gets; all if it is empty.
    pub events: Vec<&'static str>,
}

/// The form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// One JSON document with everything in it.
    Json,
    /// Slack's incoming webhooks.
    Slack,
    /// A robot of a `WeCom` group.
    Wecom,
    /// A robot of a `DingTalk` group.
    Dingtalk,
}

impl Notify {
    /// Returns where its secrets come from.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.url).chain(&self.secret)
    }
}

/// Reads the webhooks.
pub(super) fn webhooks(node: &Node<'_>, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<Notify> {
    let Some(section) = Section::open(node, "notify", diagnostics) else { return Vec::new() };
    let entries = section.node().entries().iter();
    entries.filter_map(|(key, node)| webhook(key.key(), node, directory, diagnostics)).collect()
}

fn webhook(name: &str, node: &Node<'_>, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Notify> {
    let section = Section::of(node, &format!("notify {name}"), &WEBHOOK, diagnostics)?;
    let format = section.get("format").map_or(Some("json"), |node| yaml::one_of(node, "format", FORMATS, diagnostics));
    let url = section.require("url", diagnostics);
    let url = url.and_then(|node| source::secret(node, &format!("notify.{name}.url"), directory, diagnostics));
    // Elsewhere it is a key that is not known.
    let secret = if format == Some("dingtalk") { section.get("secret") } else { None };
    let secret = secret.and_then(|node| source::secret(node, &format!("notify.{name}.secret"), directory, diagnostics));
    let events = section.get("events").and_then(|node| yaml::list(node, "events", diagnostics)).unwrap_or_default();
    let events = events.iter().filter_map(|node| yaml::one_of(node, "an event", &EVENTS, diagnostics)).collect();
    section.finish(diagnostics);
    let format = match format? {
        "slack" => WebhookFormat::Slack,
        "wecom" => WebhookFormat::Wecom,
        "dingtalk" => WebhookFormat::Dingtalk,
        _ => WebhookFormat::Json,
    };
    Some(Notify { name: name.to_owned(), format, url: url?, secret, events })
}
