//! Completion: keys, kinds, words, targets, and names for references.

use serde_json::{Value, json};

use super::{
    cursor::Cursor,
    keys::{self, Place},
    position::{self, range_of},
    workspace::Workspace,
};
use crate::{
    manifest::VERSION,
    provider::{FieldKind, FieldTable},
    yaml::{self, Key},
};

/// Kinds of items in the protocol.
const VALUE: u8 = 12;
const FIELD: u8 = 5;
const REFERENCE: u8 = 18;
const OPTION: u8 = 20;

/// Most live names that are offered at once.
const NAMES: usize = 200;

/// Something that can be written.
struct Offer {
    /// The text that is offered, and that what is typed is compared with.
    label: String,
    /// The text that is written; the label where it is empty.
    written: String,
    kind: u8,
    detail: String,
}

impl Offer {
    fn new(label: impl Into<String>, kind: u8, detail: impl Into<String>) -> Self {
        Self { label: label.into(), written: String::new(), kind, detail: detail.into() }
    }

    fn writing(self, written: impl Into<String>) -> Self {
        Self { written: written.into(), ..self }
    }
}

impl Workspace {
    /// Returns what can be written at a position of a text, counted from 0 in units of UTF-16.
    pub fn complete(&self, path: &str, line: usize, character: usize) -> Vec<Value> {
        let Some(text) = self.text(path) else { return Vec::new() };
        let byte = position::byte(text, line, character);
        let cursor = Cursor::at(text, byte);
        let range = range_of(text, cursor.start..byte);
        let offers = if cursor.is_value { self.values(&cursor) } else { self.keys(&cursor) };
        let item = |offer: Offer| {
            let written = if offer.written.is_empty() { &offer.label } else { &offer.written };
            let is_truth = offer.kind == VALUE && ["true", "false"].contains(&written.as_str());
            let written = if is_truth {
                written.clone()
            } else if cursor.is_value {
                yaml::scalar(written)
            } else {
                format!("{}: ", yaml::scalar(written))
            };
            json!({
                "label": offer.label,
                "kind": offer.kind,
                "detail": offer.detail,
                "filterText": offer.label,
                "textEdit": {"range": range, "newText": written},
            })
        };
        offers.into_iter().map(item).collect()
    }

    /// Returns the keys that can be written: those of tables, and the fields of a model by their ids and display names.
    fn keys(&self, cursor: &Cursor) -> Vec<Offer> {
        let Some(place) = keys::place(cursor, self.inputs.platforms) else { return Vec::new() };
        let known = keys::keys(&place).into_iter().map(|key: &Key| {
            let needed = if key.required && key.unless.is_empty() { "needed. " } else { "" };
            Offer::new(key.name, FIELD, format!("{needed}{}", key.description))
        });
        let mut offers: Vec<Offer> = known.collect();
        let Some((fields, is_match)) = self.fields(cursor, &cursor.path) else { return offers };
        let meant = fields.iter().filter(|(_, field)| if is_match { field.is_key } else { field.is_editable });
        for (id, field) in meant {
            let about = if field.is_required { ", needed by a new one" } else { "" };
            offers.push(Offer::new(id, FIELD, format!("{} ({}{about})", field.name, field.type_name)));
            if !field.name.is_empty() && field.name != *id {
                offers.push(Offer::new(&field.name, FIELD, format!("{id} ({}{about})", field.type_name)).writing(id));
            }
        }
        offers
    }

    /// Returns the fields that are written at a path, and true if they find an object.
    pub(super) fn fields(&self, cursor: &Cursor, path: &[String]) -> Option<(&FieldTable, bool)> {
        let kind = cursor.kind.as_deref()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let is_match = path.last() == Some(&"match");
        let (kind, model) = match path.as_slice() {
            ["spec", "source" | "targets" | "parent", "match"] => ("Instance", cursor.model.as_deref()?),
            ["spec", "fields" | "match" | "fieldPolicy"] if kind == "Instance" => (kind, cursor.model.as_deref()?),
            ["spec", "fields" | "match" | "fieldPolicy"] => (kind, ""),
            ["spec", "moduleFields"] => ("Module", ""),
            _ => return None,
        };
        Some((self.live.catalog.fields(kind, model)?, is_match))
    }

    /// Returns the values that can be written.
    fn values(&self, cursor: &Cursor) -> Vec<Offer> {
        let path: Vec<&str> = cursor.path.iter().map(String::as_str).collect();
        let platforms = self.inputs.platforms;
        match path.as_slice() {
            ["apiVersion"] => platforms
                .iter()
                .map(|platform| Offer::new(format!("{}/{VERSION}", platform.name()), VALUE, ""))
                .collect(),
            ["kind"] => {
                let name = cursor.version.as_deref().and_then(|version| version.split('/').next());
                let is_meant = |platform: &str| {
                    name.is_none_or(|name| name == platform || platforms.iter().all(|known| known.name() != name))
                };
                let meant = platforms.iter().filter(|platform| is_meant(platform.name()));
                let kinds =
                    meant.flat_map(|platform| platform.kinds().iter().map(|kind| (kind.name(), platform.name())));
                kinds.map(|(kind, platform)| Offer::new(kind, VALUE, platform)).collect()
            }
            ["metadata", "target"] => self
                .inputs
                .targets
                .names()
                .map(|(name, platform)| Offer::new(name.to_string(), VALUE, platform.to_string()))
                .collect(),
            [.., "ref"] => {
                let objects = self.declared.desired().filter(|object| object.id.kind == "Instance");
                objects
                    .map(|object| Offer::new(object.id.key.to_string(), REFERENCE, self.declared_at(object)))
                    .collect()
            }
            ["spec", .., "model"] => {
                self.live.catalog.models("Instance").map(|model| Offer::new(model, VALUE, "")).collect()
            }
            _ => {
                let mut offers: Vec<Offer> = match keys::place(cursor, platforms) {
                    Some(Place::Value(shape)) => {
                        keys::words(&shape).into_iter().map(|word| Offer::new(word, VALUE, "")).collect()
                    }
                    Some(Place::Mapping(_)) | None => Vec::new(),
                };
                offers.extend(self.live_values(cursor));
                offers
            }
        }
    }

    /// Returns the options of a field, by their ids and display names, and live names of what a key finds.
    fn live_values(&self, cursor: &Cursor) -> Vec<Offer> {
        let Some((key, parent)) = cursor.path.split_last() else { return Vec::new() };
        let mut offers = Vec::new();
        let table = self.fields(cursor, parent);
        if let Some(field) = table.and_then(|(fields, _)| fields.get(key)) {
            for option in &field.options {
                offers.push(Offer::new(&option.id, OPTION, &option.name));
                if option.name != option.id {
                    offers.push(Offer::new(&option.name, OPTION, &option.id));
                }
            }
            if field.kind == FieldKind::Boolean {
                offers.extend(["true", "false"].map(|word| Offer::new(word, VALUE, "")));
            }
        }
        let kind = cursor.kind.as_deref().unwrap_or_default();
        let (kind, model) = match table {
            Some((_, true)) if kind != "Host" => ("Instance", cursor.model.as_deref().unwrap_or_default()),
            Some((_, false)) => return offers,
            Some(_) | None => (kind, ""),
        };
        let names = self.live.catalog.values(kind, model, key);
        let meant = names.filter(|name| name.contains(cursor.typed.trim_start_matches(['"', '\''])));
        offers.extend(meant.take(NAMES).map(|name| Offer::new(name, REFERENCE, "live")));
        offers
    }
}
