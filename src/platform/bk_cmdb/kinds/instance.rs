//! `Instance`: an instance of a general model or a custom layer, by `update_inst` (contract section 4.1).

mod author;
mod check;
mod export;
mod impact;
mod import;
pub(super) mod layer;
mod observe;
pub(super) mod parent;
mod prune;
mod rename;
mod unique;
mod unique_keys;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    decode_common::{self, observed_after},
    export_common::plain_tree,
    impact::{ASSOCIATIONS, HOSTS, MODULES},
    instance_association::end,
    select_instances::{ByModel, wanted_fields},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, DisplayKind, Ensure, FieldChange, FieldPath, Json, Live,
        LiveFields, ObservedState, Refusal, Request, placeholder_in,
    },
    platform::bk_cmdb::{
        api::DATA,
        attribute::{Attribute, Definition, text},
        codes,
        lookup::{self, PARENT, Selector},
    },
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, ImportResult, ImportScope, Kind,
        Observation, Planned, ScopeKey, Step, UniqueKeys, export_step,
    },
    source::{Located, Origin},
    yaml::{self, Form, Key, Node, Section, Shape, write::Tree},
};

/// The field that names an instance; unique within its model.
pub(super) const NAME: &str = "bk_inst_name";

/// Models that the common API refuses (code 1199084), and what to use instead.
pub(in crate::platform::bk_cmdb) const BUILT_IN: &[(&str, Option<&str>)] = &[
    ("biz", None),
    ("bk_biz_set_obj", None),
    ("bk_project", None),
    ("host", Some("Host")),
    ("module", Some("Module")),
    ("plat", None),
    ("process", Some("ProcessTemplate")),
    ("set", Some("Set")),
];

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    Key::new(
        "model",
        Shape::Name,
        "the id of the model (`bk_obj_id`). Built-in models such as `biz`, `set`, `module` and `host` are refused",
    )
    .required(),
    Key::new("match", decode_common::MATCH_SHAPE, "fields that select exactly one instance"),
    Key::new("id", decode_common::ID_SHAPE, "the instance's id, instead of `match`"),
    Key::new(
        "fields",
        decode_common::ATTRIBUTES_SHAPE,
        "the declared attributes; their names and types are those of the model",
    )
    .required_unless(&[("ensure", "absent")]),
    decode_common::ENSURE_KEY,
    Key::new(
        "business",
        Shape::NameOrId,
        "the business of an instance of a custom layer of the topology, by name or id",
    ),
    Key::new(
        "parent",
        Shape::Mapping(&super::instance_association::END),
        "the instance of the layer above, for a custom layer",
    ),
    Key::new(
        layer::CASCADE,
        Shape::Boolean,
        "with `ensure: absent`: also removes what lies below an instance of a custom layer",
    ),
])
.exactly_one(&["match", "id"]);

/// The kind.
pub(crate) struct Instance;

impl Kind for Instance {
    fn name(&self) -> &'static str {
        "Instance"
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of an Instance", &SPEC, diagnostics) else { return Vec::new() };
        let ensure = decode_common::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        if let Some(node) = section.require("model", diagnostics)
            && let Some(model) = yaml::text(node, "`model`", diagnostics)
        {
            refuse_built_in(model, &node.origin, diagnostics);
            desired.locator.insert("model".into(), Located::new(json!(model), node.origin.clone()));
        }
        if let Some(node) = section.get("business")
            && let Some(business) = decode_common::name_or_id(node, "`business`", diagnostics)
        {
            desired.locator.insert("business".into(), business);
        }
        if let Some(node) = section.get("parent") {
            decode_parent(node, &mut desired, diagnostics);
        }
        if let Some(node) = section.get(layer::CASCADE)
            && let Some(cascade) = yaml::boolean(node, "`cascade`", diagnostics)
        {
            if ensure != Ensure::Absent {
                let message = "`cascade` goes with `ensure: absent` only";
                diagnostics.push(Diagnostic::error("M308", message, &node.origin));
            }
            desired.locator.insert(layer::CASCADE.into(), Located::new(json!(cascade), node.origin.clone()));
        }
        match (section.get("match"), section.get("id")) {
            (None, Some(node)) if section.get("parent").is_some() => {
                let message = "`parent` goes with `match`: an id needs none";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (Some(node), None) => desired.locator.extend(decode_common::matching(node, "", diagnostics)),
            (None, Some(node)) => {
                if let Some(id) = decode_common::id(node, "`id`", diagnostics) {
                    desired.locator.insert("id".into(), id);
                }
                if ensure == Ensure::Present {
                    let message = "`ensure: present` needs `match`: an id cannot be chosen";
                    diagnostics.push(Diagnostic::error("M306", message, &node.origin));
                }
            }
            (Some(_), Some(node)) => {
                let message = "an instance is picked by `match` or by `id`, not by both";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (None, None) => {
                let message = "the spec of an Instance needs `match` or `id`";
                diagnostics.push(Diagnostic::error("M306", message, &envelope.origin));
            }
        }
        if let Some(node) = decode_common::fields(&section, ensure, diagnostics) {
            desired.fields = decode_common::attributes(node, diagnostics);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let mut by_model: BTreeMap<(&str, Option<String>), Vec<&Desired>> = BTreeMap::new();
        for document in desired {
            by_model
                .entry((model_of(document), document.locate("business").map(Json::to_string)))
                .or_default()
                .push(document);
        }
        let pointing = ByModel::of(all);
        for ((model, _), group) in by_model {
            observe::model(model, &group, (all, &pointing), facts, &mut observation);
        }
        observation.step()
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        check::check(desired, all, facts).step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("model").required(), ScopeKey::name_or_id("business")] })
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
    }

    fn identity(&self, desired: &Desired, live: &Live) -> String {
        format!("{}/{}", model_of(desired), live.handle)
    }

    fn instance(&self, desired: &Desired, live: &Live) -> Option<(String, i64)> {
        Some((model_of(desired).to_owned(), live.handle.as_i64()?))
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("model").required(), ScopeKey::name_or_id("business")] })
    }

    fn export(&self, export: &ExportScope<'_>, from: &Cursor, facts: &Facts) -> Step<ExportResult> {
        let mut observation = Observation::default();
        let page = export::export(export, from, &mut observation, facts);
        export_step(observation.ask, page)
    }

    fn import(&self, import: &ImportScope<'_>, facts: &Facts) -> Step<ImportResult> {
        let mut observation = Observation::default();
        let imported = import::import(import, &mut observation, facts);
        match imported {
            Err(Some(why)) => Step::Done(Err(why)),
            Ok(imported) if observation.ask.is_empty() => Step::Done(Ok(imported)),
            Ok(_) | Err(None) => Step::Ask(observation.ask),
        }
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let mut by_model: BTreeMap<&str, Vec<(&Desired, i64)>> = BTreeMap::new();
        for (desired, handle) in objects {
            by_model.entry(model_of(desired)).or_default().push((desired, handle.as_i64().unwrap_or_default()));
        }
        for (model, group) in by_model {
            let selectors: BTreeSet<_> = group.iter().map(|(_, id)| Selector::Id(*id)).collect();
            let fields = group.iter().flat_map(|(desired, _)| wanted_fields(desired)).collect::<BTreeSet<_>>();
            match lookup::instances(model, None, &selectors, fields, &mut observation, facts) {
                Ok(rows) => {
                    for (desired, id) in group {
                        let observed = rows
                            .row(id)
                            .map_or_else(ObservedState::absent, |row| ObservedState::Found(live(desired, row)));
                        observation.know(&desired.id, observed);
                    }
                }
                Err(error) => {
                    for (desired, _) in group {
                        if let Some(observed) = observed_after(&error, desired) {
                            observation.know(&desired.id, observed);
                        }
                    }
                }
            }
        }
        observation.step()
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, _context: &CreateContext) -> Option<String> {
        rename::hint(desired, live)
    }

    fn displays(&self, desired: &Desired, live: &Live, facts: &Facts) -> BTreeMap<FieldPath, String> {
        let definition = lookup::definition(model_of(desired), &mut Observation::default(), facts).unwrap_or_default();
        displays(live, &definition, facts)
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let definition = lookup::definition(model_of(desired), &mut Observation::default(), facts).unwrap_or_default();
        let mut declared: Vec<(&str, &Located<Json>)> =
            desired.fields.iter().map(|(path, value)| (path.as_str(), value)).collect();
        if live.is_none() {
            declared.extend(decode_common::matched(desired, "").filter(|(name, _)| desired.field(name).is_none()));
        }
        let changes = attribute_changes(&declared, live, &definition, facts)?;
        if live.is_none() {
            let missing: Vec<_> = definition
                .iter()
                .filter(|(name, attribute)| {
                    attribute.is_required() && declared.iter().all(|(text, _)| *text != name.as_ref())
                })
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            if !missing.is_empty() {
                let message = format!("a new instance of `{}` needs {}", model_of(desired), missing.join(", "));
                return Err(vec![Diagnostic::error("P106", message, &desired.origin)]);
            }
        }
        Ok(changes)
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        facts: &Facts,
    ) -> UniqueKeys {
        let parent = live.map_or(&context[PARENT], |live| live.field(PARENT));
        let held = live.and_then(|live| live.field(NAME).as_str());
        let wanted = wanted_name(desired).or(held);
        let claim = |name: Option<&str>| name.map(|name| claim(desired, name, parent)).into_iter();
        let (held_keys, wanted_keys) = unique_keys::unique_keys(model_of(desired), desired, live, facts);
        UniqueKeys {
            current: claim(held).chain(held_keys).collect(),
            desired: claim(wanted).chain(wanted_keys).collect(),
        }
    }

    fn precondition_fields<'d>(&self, desired: &'d Desired) -> Option<Vec<&'d str>> {
        Some(decode_common::matched(desired, "").map(|(name, _)| name).chain([NAME]).collect())
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[NAME]
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        planned
            .iter()
            .map(|planned| {
                if planned.change.action == Action::Delete {
                    return deletion(planned);
                }
                let data: Map<String, Value> = planned
                    .change
                    .fields
                    .iter()
                    .map(|field| (field.path.to_string(), field.to.clone().unwrap_or_default()))
                    .collect();
                let data: Map<String, Value> = data.into_iter().chain(placed_in(planned)).collect();
                let model = model_of(planned.desired);
                let request = match planned.live {
                    Some(live) => Request {
                        operation: "update_inst",
                        arguments: json!({"bk_obj_id": model, "bk_inst_id": live.handle, DATA: data}),
                        repeatable: true,
                    },
                    None => Request {
                        operation: "create_inst",
                        arguments: json!({"bk_obj_id": model, DATA: data}),
                        repeatable: false,
                    },
                };
                Call { request, target: planned.desired.target.clone(), serves: vec![planned.desired.id.clone()] }
            })
            .collect()
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &[ASSOCIATIONS, MODULES, HOSTS]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        impact::impact(planned, facts)
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        author::changed(planned, facts)
    }

    fn touched(&self, objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
        author::touched(objects, facts)
    }

    fn is_conflict(&self, refusal: &Refusal) -> bool {
        codes::is_duplicated(refusal)
    }

    fn written(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Tree {
        plain_tree(self.declared(desired, path, stored, facts))
    }

    fn declared(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
        let definition = lookup::definition(model_of(desired), &mut Observation::default(), facts).unwrap_or_default();
        let time_zone = facts.settings.get("timeZone").map(String::as_str);
        definition.get(path.as_str()).map_or_else(|| stored.clone(), |attribute| attribute.declared(stored, time_zone))
    }

    fn recreation(&self, desired: &Desired, removed: &Change, facts: &Facts) -> Result<Desired, String> {
        let mut made = decode_common::present(desired);
        let name = decode_common::known(removed, NAME).ok_or("its name is not known")?;
        let parent = decode_common::known(removed, PARENT).unwrap_or(&Value::Null);
        let has_parent = made.locator.keys().any(|key| key.starts_with(parent::PREFIX));
        if lookup::is_layer(&parent.into()) && !has_parent {
            return Err("its document does not say below which instance it lay".to_owned());
        }
        if decode_common::matched(&made, "").next().is_none() {
            let name = Located::new(name.clone(), desired.origin.clone());
            made.locator.insert(format!("match.{NAME}").into(), name);
        }
        let definition = lookup::definition(model_of(desired), &mut Observation::default(), facts).unwrap_or_default();
        made.fields = decode_common::known_attributes(removed, &definition, facts);
        Ok(made)
    }

    /// `create_inst` returns the full row; `update_inst` returns nothing.
    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        let made = || answer.get("bk_inst_id").filter(|id| id.is_i64()).map(Json::to_value);
        planned.live.map_or_else(made, |live| Some(live.handle.to_value()))
    }
}

/// `delete_inst` of an instance that is not there succeeds (contract section 4.1).
fn deletion(planned: &Planned<'_>) -> Call {
    let id = planned.live.map(|live| &live.handle);
    Call {
        request: Request {
            operation: "delete_inst",
            arguments: json!({"bk_obj_id": model_of(planned.desired), "bk_inst_id": id}),
            repeatable: true,
        },
        target: planned.desired.target.clone(),
        serves: vec![planned.desired.id.clone()],
    }
}

/// Reports a model that this kind cannot write.
fn refuse_built_in(model: &str, origin: &Origin, diagnostics: &mut Vec<Diagnostic>) {
    let Some((_, instead)) = BUILT_IN.iter().find(|(name, _)| *name == model) else { return };
    let diagnostic = Diagnostic::error("M307", format!("`{model}` is a built-in model: not for Instance"), origin);
    diagnostics.push(match instead {
        Some(kind) => diagnostic.hint(format!("use kind `{kind}`")),
        None => diagnostic.hint("no kind manages it"),
    });
}

/// Returns the live values that people read otherwise than they are stored, by a definition that is read once.
pub(super) fn displays(live: &Live, definition: &Definition, facts: &Facts) -> BTreeMap<FieldPath, String> {
    let display =
        |(path, value): (&FieldPath, &Json)| Some((path.clone(), shown(definition.get(path.as_str())?, value, facts)?));
    live.fields.iter().filter_map(display).collect()
}

/// Returns a live value of an attribute as people read it: an option by its name with the id, a time in the target's
/// zone; `None` if it is read as it is stored.
pub(super) fn shown(attribute: &Attribute, value: &Json, facts: &Facts) -> Option<String> {
    let display = attribute.display(None, value, facts.settings.get("timeZone").map(String::as_str))?;
    let ids = value.as_str().map_or_else(|| value.to_string().replace('"', ""), str::to_owned);
    let is_option = display.kind == DisplayKind::Option;
    display.to.map(|text| if is_option { format!("{text} ({ids})") } else { text })
}

/// Returns what differs in attributes of a model, in the order of the manifest.
pub(super) fn attribute_changes(
    declared: &[(&str, &Located<Json>)],
    live: Option<&Live>,
    definition: &Definition,
    facts: &Facts,
) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in declared {
        let Some(attribute) = definition.get(*name) else {
            let diagnostic =
                Diagnostic::error("P103", format!("the model has no attribute `{name}`"), &value.name_origin());
            let ids: Vec<_> = definition.keys().map(ToString::to_string).collect();
            problems.push(match definition.iter().find(|(_, attribute)| attribute.display_name() == *name) {
                Some((id, _)) => diagnostic.hint(format!("`{name}` is the display name of `{id}`")),
                None => decode_common::nearest(diagnostic, name, &ids),
            });
            continue;
        };
        match attribute.wire(&value.value, time_zone) {
            Err(problem) => {
                problems.push(Diagnostic::error("P104", format!("`{name}` {problem}"), &value.origin));
            }
            Ok(wire) if live.is_some_and(|live| attribute.same(&wire, live.field(name), time_zone)) => {}
            Ok(wire) => changes.push(FieldChange {
                path: FieldPath::field(name),
                display: attribute.display(live.map(|live| live.field(name)), &wire, time_zone),
                from: live.map(|live| live.field(name).to_value()),
                to: Some(wire.to_value()),
                because: value.origin.clone(),
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    changes.sort_by_key(|change| change.because.order());
    Ok(changes)
}

pub(super) fn model_of(desired: &Desired) -> &str {
    desired.locate("model").and_then(Json::as_str).unwrap_or_default()
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    let matched = || decode_common::matched_field(desired, "", NAME).map(|name| &name.value);
    desired.field(NAME).or_else(matched).and_then(text).map(str::trim)
}

/// Returns the key by which a name is unique: in its model, for an instance of a layer below its parent.
fn claim(desired: &Desired, name: &str, parent: &Json) -> String {
    let model = model_of(desired);
    match placeholder_in(parent) {
        Some(made) => format!("the name `{name}` in {model} below {made}"),
        None if lookup::is_layer(parent) => format!("the name `{name}` in {model} below #{parent}"),
        None => format!("the name `{name}` in {model}"),
    }
}

/// Returns what a create sends beside the attributes: the business and the parent.
fn placed_in(planned: &Planned<'_>) -> impl Iterator<Item = (String, Value)> {
    let context = planned.context.handle().as_object().filter(|_| planned.live.is_none());
    context.into_iter().flatten().map(|(key, value)| (key.to_owned(), value.to_value()))
}

/// Reads `parent`: the instance that one of a custom layer lies below.
fn decode_parent(node: &Node<'_>, desired: &mut Desired, diagnostics: &mut Vec<Diagnostic>) {
    end(parent::PREFIX, node, desired, diagnostics);
    if desired.locate("business").is_none() {
        let message = "`parent` needs `business`: names of a layer repeat in other businesses";
        diagnostics.push(Diagnostic::error("M309", message, &node.origin));
    }
}

/// Returns an instance as a row tells of it. It shares the row.
fn live(desired: &Desired, row: &Json) -> Live {
    let label = format!("{} #{}", model_of(desired), row["bk_inst_id"]);
    Live::new(row["bk_inst_id"].clone(), label, LiveFields::of_row(row.clone()))
}
