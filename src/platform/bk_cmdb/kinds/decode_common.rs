//! Pieces of `spec` that several kinds share.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    model::{Change, Desired, Ensure, FieldPath, Fields, Json, ObservedState, policy::Policies},
    platform::bk_cmdb::{
        attribute::{Definition, plain, text},
        lookup::{Businesses, LookupError, Place},
    },
    provider::{Facts, Observation},
    source::{Located, Origin},
    yaml::{self, Content, Key, MOST, Node, Section, Shape, Typed},
};

/// Keys that the ESB takes out of every body, so that no attribute of such a name can be set (contract section 1.1).
const EATEN: &[&str] = &[
    "app_code",
    "app_secret",
    "bk_app_code",
    "bk_app_secret",
    "bk_nonce",
    "bk_signature",
    "bk_supplier_account",
    "bk_timestamp",
    "bk_token",
    "bk_username",
    "signature",
    "username",
];

/// Keys that the server drops from updates without a word, or takes unchecked to the object's ruin (contract section
/// 9, traps 1 and 3).
const SYSTEM: &[&str] = &[
    "bk_biz_id",
    "bk_created_at",
    "bk_created_by",
    "bk_data_status",
    "bk_host_id",
    "bk_inst_id",
    "bk_module_id",
    "bk_obj_id",
    "bk_parent_id",
    "bk_set_id",
    "bk_updated_at",
    "bk_updated_by",
    "create_time",
    "default",
    "last_time",
    "metadata",
    "service_template_id",
    "set_template_id",
];

/// The values of `ensure`.
pub(super) const ENSURE: &[&str] = &["existing", "present", "absent"];

/// The table's row for `ensure` of a kind whose objects exist by default.
pub(super) const ENSURE_KEY: Key =
    Key::new("ensure", Shape::OneOf(ENSURE), "`existing` (the default), `present` or `absent`");

/// The table's row for `business`.
pub(super) const BUSINESS_KEY: Key = Key::new("business", Shape::NameOrId, "the business, by name or id").required();

/// The shape of `match`.
pub(super) const MATCH_SHAPE: Shape = Shape::MappingOf(&Shape::Text);

/// The shape of an id.
pub(super) const ID_SHAPE: Shape = Shape::Integer(1, MOST);

/// The shape of the attributes of a model, whose names and types only the server knows.
pub(super) const ATTRIBUTES_SHAPE: Shape = Shape::MappingOf(&Shape::Any);

/// Reads `ensure`. What a kind does not offer is refused.
pub(super) fn ensure(
    section: &Section<'_, '_>,
    default: Ensure,
    offers: &[&str],
    diagnostics: &mut Vec<Diagnostic>,
) -> Ensure {
    let Some(node) = section.get("ensure") else { return default };
    match yaml::one_of(node, "`ensure`", ENSURE, diagnostics) {
        Some(word) if !offers.contains(&word) => {
            let message = format!("`ensure: {word}` is not supported here by this version yet");
            let hint = format!("supported: {}", offers.join(", "));
            diagnostics.push(Diagnostic::error("M301", message, &node.origin).hint(hint));
            default
        }
        Some("present") => Ensure::Present,
        Some("existing") => Ensure::Existing,
        Some("absent") => Ensure::Absent,
        _ => default,
    }
}

/// Returns `fields`, which everything but a removal needs.
pub(super) fn fields<'a, 's>(
    section: &Section<'a, 's>,
    ensure: Ensure,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a Node<'s>> {
    if ensure == Ensure::Absent { section.get("fields") } else { section.require("fields", diagnostics) }
}

/// Reads an id: a whole number above 0.
pub(super) fn id(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Json>> {
    let id = yaml::integer(node, what, diagnostics)?;
    if id > 0 {
        return Some(Located::new(json!(id), node.origin.clone()));
    }
    diagnostics.push(Diagnostic::error("M302", format!("{what} has to be above 0"), &node.origin));
    None
}

/// Reads a name, or an id written as a plain number.
pub(super) fn name_or_id(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Json>> {
    if matches!(node.typed(), Some(Typed::Int(_))) {
        return id(node, what, diagnostics);
    }
    let name = yaml::text(node, what, diagnostics)?;
    if name.trim().is_empty() {
        diagnostics.push(Diagnostic::error("M303", format!("{what} is empty"), &node.origin));
        return None;
    }
    Some(Located::new(json!(name), node.origin.clone()))
}

/// Returns a value whose meaning is up to the attribute's type.
fn declared(node: &Node<'_>) -> Json {
    match &node.content {
        Content::Scalar(scalar) => match scalar.typed() {
            Typed::Null => Json::NULL,
            Typed::Text(text) => text.into(),
            Typed::Bool(_) | Typed::Int(_) | Typed::BigInt(_) | Typed::Float(_) => plain(&scalar.text),
        },
        Content::Sequence(items) => items.iter().map(declared).collect(),
        Content::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.key().to_owned(), declared(value).to_value()));
            entries.collect::<Value>().into()
        }
    }
}

/// Reads `fields`: attributes of a model, whose names and types only the server knows.
pub(super) fn attributes(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Fields {
    attributes_in("fields", node, diagnostics)
}

/// Reads attributes of a model from a key of `spec`.
pub(super) fn attributes_in(key: &str, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Fields {
    let Some(section) = Section::open(node, &format!("`{key}`"), diagnostics) else { return Fields::new() };
    let entries = section.node().entries();
    let mut fields = Fields::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.key();
        let refused = if EATEN.contains(&name) {
            Some("the ESB takes it for a credential")
        } else if SYSTEM.contains(&name) {
            Some("the server keeps it itself")
        } else {
            None
        };
        if let Some(why) = refused {
            diagnostics.push(Diagnostic::error("M304", format!("`{name}` cannot be set: {why}"), &key.origin));
            continue;
        }
        let declared = Located::new(declared(value), value.origin.clone());
        fields.insert(FieldPath::field(name), declared.with_key(&key.origin));
    }
    fields
}

/// Returns the declared form of the known attributes of a removed object, as far as a write can set them: those without a
/// value, and what the server keeps itself, are left out.
pub(super) fn known_attributes(removed: &Change, definition: &Definition, facts: &Facts) -> Fields {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let is_empty = |value: &Value| value.is_null() || value.as_str() == Some("") || value.as_array() == Some(&vec![]);
    let known = removed.before.iter().filter(|field| !is_empty(&field.value) && !SYSTEM.contains(&field.path.as_str()));
    let attributes = known.filter_map(|field| {
        let attribute = definition.get(field.path.as_str()).filter(|attribute| attribute.is_editable())?;
        let value = Located::new(attribute.declared(&field.value, time_zone), removed.origin.clone());
        (!attribute.is_history()).then(|| (field.path.clone(), value))
    });
    attributes.collect()
}

/// Returns the document that is to make a removed object again, without fields.
pub(super) fn present(desired: &Desired) -> Desired {
    let mut made = Desired { ensure: Ensure::Present, fields: Fields::new(), ..desired.clone() };
    made.policies = Policies::default();
    made.exclusive = false;
    ["id", "cascade", "mode"].iter().for_each(|key| drop(made.locator.remove(*key)));
    made
}

/// Returns a known value of a removed object.
pub(super) fn known<'c>(removed: &'c Change, path: &str) -> Option<&'c Value> {
    removed.before.iter().find(|field| field.path == *path).map(|field| &field.value)
}

/// The prefix of names of the values of `match` in a locator.
const MATCH: &str = "match.";

/// Returns the values that pick one object, by the names of their fields. `prefix` is that of an end of an association
/// or of a parent, and empty for the object of the document itself.
pub(super) fn matched<'d>(
    desired: &'d Desired,
    prefix: &'d str,
) -> impl Iterator<Item = (&'d str, &'d Located<Json>)> + use<'d> {
    let name = move |key: &'d str| key.strip_prefix(prefix)?.strip_prefix(MATCH);
    desired.locator.iter().filter_map(move |(key, value)| Some((name(key)?, value)))
}

/// Returns the value of one field among those of [`matched`].
pub(super) fn matched_field<'d>(desired: &'d Desired, prefix: &str, field: &str) -> Option<&'d Located<Json>> {
    let is_it = |key: &str| key.strip_prefix(prefix).and_then(|key| key.strip_prefix(MATCH)) == Some(field);
    desired.locator.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
}

/// Reads `match`: the values of the fields that pick one object, to be found by [`matched`].
pub(super) fn matching(
    node: &Node<'_>,
    prefix: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(Arc<str>, Located<Json>)> {
    let Some(section) = Section::open(node, "`match`", diagnostics) else { return Vec::new() };
    if section.node().entries().is_empty() {
        diagnostics.push(Diagnostic::error("M305", "`match` is empty", &node.origin));
    }
    let mut values = Vec::new();
    for (key, value) in section.node().entries() {
        if value.as_text().is_none() {
            let message = format!("`match` needs a value for `{}`, not {}", key.key(), value.describe());
            diagnostics.push(Diagnostic::error("M305", message, &value.origin));
            continue;
        }
        let name: Arc<str> = format!("{prefix}{MATCH}{}", key.key()).into();
        values.push((name, Located::new(declared(value), value.origin.clone()).with_key(&key.origin)));
    }
    values
}

/// Returns what the server would refuse in the name of a module or of an instance of a custom layer (contract section
/// 4.2). Its pattern knows the white space of ASCII alone.
pub(super) fn name_problem(value: &Json) -> Option<&'static str> {
    match text(value).map(str::trim) {
        None => Some("has to be a text"),
        Some("") => Some("is empty"),
        Some(name) if name.contains(|letter| "\t\n\u{c}\r \\|/:*,<>\"?#".contains(letter)) => {
            Some("takes neither white space nor any of \\|/:*,<>\"?#")
        }
        Some(name) if name.len() > 256 => Some("takes at most 256 bytes"),
        Some(_) => None,
    }
}

/// Returns what is known of an object whose business was looked for; `None` if it was found, or is still asked for.
pub(super) fn business_id(place: Option<Place>, desired: &Desired) -> Result<i64, Option<ObservedState>> {
    let Some(given) = desired.locator.get("business") else { return Err(None) };
    let said = |message: String| Diagnostic::error("P101", message, &given.origin);
    match place {
        None => Err(None),
        Some(Place::Id(id)) => Ok(id),
        Some(Place::Several) => {
            Err(Some(ObservedState::Ambiguous(Box::new(said(format!("several businesses are named {}", given.value))))))
        }
        Some(Place::Missing(names)) => {
            let wanted = given.value.as_str().unwrap_or_default();
            let diagnostic = said(format!("no business is named `{wanted}`"));
            Err(Some(ObservedState::Impossible(Box::new(nearest(diagnostic, wanted, &names)))))
        }
    }
}

/// Sorts objects by the businesses that their handles name, each with its id there, which lies under `key`.
pub(super) fn by_handle<'d>(objects: &[(&'d Desired, &Value)], key: &str) -> BTreeMap<i64, Vec<(&'d Desired, i64)>> {
    let mut sorted: BTreeMap<i64, Vec<(&Desired, i64)>> = BTreeMap::new();
    for (desired, handle) in objects {
        let (business, id) = (handle["business"].as_i64(), handle[key].as_i64());
        sorted.entry(business.unwrap_or_default()).or_default().push((desired, id.unwrap_or_default()));
    }
    sorted
}

/// Sorts documents by their businesses, and says of those whose business cannot be found why.
pub(super) fn by_business<'d>(
    documents: &[&'d Desired],
    businesses: &Businesses,
    observation: &mut Observation,
    facts: &Facts,
) -> BTreeMap<i64, Vec<&'d Desired>> {
    let mut by_business: BTreeMap<i64, Vec<&Desired>> = BTreeMap::new();
    for document in documents {
        let Some(given) = document.locate("business") else { continue };
        match business_id(businesses.find(given, observation, facts), document) {
            Ok(id) => by_business.entry(id).or_default().push(document),
            Err(observed) => observation.know_if(&document.id, observed),
        }
    }
    by_business
}

/// Adds the names that lie nearest as a hint.
pub(super) fn nearest(diagnostic: Diagnostic, wanted: &str, names: &[String]) -> Diagnostic {
    match yaml::suggestion(wanted, names.iter().map(String::as_str)) {
        Some(question) => diagnostic.hint(question),
        None if names.is_empty() => diagnostic,
        None => {
            let some: Vec<_> = names.iter().take(8).map(String::as_str).collect();
            let more = if names.len() > some.len() { ", …" } else { "" };
            diagnostic.hint(format!("there are: {}{more}", some.join(", ")))
        }
    }
}

/// Returns what is known of an object after a read that gave nothing; none while it is still asked for.
pub(super) fn observed_after(error: &LookupError, desired: &Desired) -> Option<ObservedState> {
    match error {
        LookupError::Pending => None,
        LookupError::Failed(why) => Some(ObservedState::Unknown(why.clone())),
        LookupError::NoModel => {
            let model = desired.locator.get("model");
            let origin = model.map_or(&desired.origin, |model| &model.origin);
            let name = model.and_then(|model| model.value.as_str()).unwrap_or("it");
            Some(ObservedState::Impossible(Box::new(no_model(name, origin))))
        }
    }
}

/// Returns the error about a model that the server does not have.
pub(super) fn no_model(name: &str, origin: &Origin) -> Diagnostic {
    let hint = "write the id of the model (`bk_obj_id`), such as `bk_switch`, and not its name";
    Diagnostic::error("P102", format!("the model `{name}` does not exist"), origin).hint(hint)
}

/// Says of several objects what is known after a read that gave nothing.
pub(super) fn fail_all(error: &LookupError, documents: &[&Desired], observation: &mut Observation) {
    for desired in documents {
        observation.know_if(&desired.id, observed_after(error, desired));
    }
}
