//! The text of documents that are made from live objects.

use std::fmt::Write as _;

use crate::{
    provider::ExportedObject,
    yaml::write::{self, Entry, Tree},
};

/// A document of a live object.
pub(in crate::cli) struct Document<'a> {
    /// `apiVersion`.
    pub(in crate::cli) version: &'a str,
    /// `kind`.
    pub(in crate::cli) kind: &'static str,
    /// `metadata.name`.
    pub(in crate::cli) name: &'a str,
    /// `metadata.target`, where the platform has several.
    pub(in crate::cli) target: Option<&'a str>,
    /// The object.
    pub(in crate::cli) object: &'a ExportedObject,
}

/// Returns the text of a document, with the ids of its object and what is left out as comments. There is no `---`.
pub(in crate::cli) fn text(document: &Document<'_>) -> String {
    let Document { version, kind, name, target, object } = document;
    let mut text = String::new();
    let mut comment = |line: &str| {
        let _ = writeln!(text, "# {}", crate::plain::line(line));
    };
    comment(&object.note);
    for (field, why) in &object.left {
        comment(&format!("{field} is left out: {why}"));
    }
    let name = Entry::new("name", Tree::text(*name));
    let target = target.map(|target| Entry::new("target", Tree::text(target)));
    let entries = [
        Entry::new("apiVersion", Tree::text(*version)),
        Entry::new("kind", Tree::text(*kind)),
        Entry::new("metadata", Tree::Map(std::iter::once(name).chain(target).collect())),
        Entry::new("spec", object.spec.clone()),
    ];
    // `$${` is a literal `${`.
    let entries =
        entries.map(|entry| Entry { value: entry.value.map_texts(&|text| text.replace("${", "$${")), ..entry });
    text + &write::write(&entries, 0)
}
