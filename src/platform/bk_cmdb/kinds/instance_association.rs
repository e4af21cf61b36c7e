//! `InstanceAssociation`: rows between instances, by `add_instance_association` (contract section 4.3).
//!
//! A document declares one row for each of its targets, and each row is an object of the plan. Rows never change:
//! they are there or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use smol_str::SmolStr;

mod author;
mod check;
mod ends;
mod export;
mod import;
mod links;
mod prune;

use ends::{End, Ends};
use links::PAGE;

use super::{
    decode_common::{self, fail_all, nearest},
    instance::BUILT_IN,
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Json, KnownField, Live, ObservedState,
        Reference, Request, ResourceId,
    },
    platform::bk_cmdb::lookup::read_rows,
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, ImportResult, ImportScope, Kind, Observation,
        Planned, ScopeKey, Step, UniqueKeys, export_step,
    },
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    Key::new("association", Shape::Text, "the id of the association between the models (`bk_obj_asst_id`)").required(),
    Key::new("source", Shape::Mapping(&END), "the instance on the left side").required(),
    Key::new("targets", Shape::List(&Shape::Mapping(&END), 1), "the instances on the right side; at least one")
        .required(),
    Key::new("ensure", Shape::OneOf(decode_common::ENSURE), "`present` (the default) or `absent`"),
    Key::new(
        "mode",
        Shape::OneOf(&["add", "exact"]),
        "`add` (the default): other rows of the source stay. `exact`: they are removed",
    ),
]);

/// The keys of an end of an association.
pub(super) static END: Form = Form::new(&[
    Key::new("ref", Shape::Text, "the name of an Instance document; no other key goes with it"),
    Key::new("model", Shape::Text, "the id of the model").required_unless(&[("ref", "")]),
    Key::new("match", decode_common::MATCH_SHAPE, "fields that select exactly one instance"),
    Key::new("id", decode_common::ID_SHAPE, "the instance's id; ends of built-in models need it"),
])
.exactly_one(&["ref", "match", "id"]);

/// The kind.
pub(crate) struct InstanceAssociation;

impl Kind for InstanceAssociation {
    fn name(&self) -> &'static str {
        "InstanceAssociation"
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of an InstanceAssociation", &SPEC, diagnostics) else {
            return Vec::new();
        };
        let ensure = decode_common::ensure(&section, Ensure::Present, &["existing", "present", "absent"], diagnostics);
        let mut shared = envelope.desired(self.name(), ensure);
        if let Some(node) = section.require("association", diagnostics)
            && let Some(name) = yaml::text(node, "`association`", diagnostics)
        {
            if name.contains("_bk_mainline_") {
                let message = format!("`{name}` is part of the topology: it cannot be written as an association");
                diagnostics.push(Diagnostic::error("M340", message, &node.origin));
            }
            shared.locator.insert("association".into(), Located::new(json!(name), node.origin.clone()));
        }
        if let Some(node) = section.require("source", diagnostics) {
            end("source.", node, &mut shared, diagnostics);
        }
        if let Some(node) = section.get("mode")
            && let Some(mode) = yaml::one_of(node, "`mode`", &["add", "exact"], diagnostics)
        {
            if mode == "exact" && ensure == Ensure::Absent {
                let message = "`mode: exact` says which rows there are: it cannot go with `ensure: absent`";
                diagnostics.push(Diagnostic::error("M344", message, &node.origin));
            }
            shared.exclusive = mode == "exact";
            shared.locator.insert("mode".into(), Located::new(json!(mode), node.origin.clone()));
        }
        let mut rows: Vec<Desired> = Vec::new();
        if let Some(node) = section.require("targets", diagnostics) {
            let items = yaml::list(node, "`targets`", diagnostics);
            if items.is_some_and(<[_]>::is_empty) {
                let diagnostic = Diagnostic::error("M345", "`targets` is empty: it declares no row", &node.origin);
                diagnostics.push(diagnostic.hint("to remove rows, name them with `ensure: absent`"));
            }
            for item in items.unwrap_or_default() {
                let mut row = shared.clone();
                row.origin = item.origin.clone();
                let Some(label) = end("target.", item, &mut row, diagnostics) else { continue };
                row.id = row.id.with_part(label.as_str());
                if let Some(first) = rows.iter().find(|other| other.id == row.id) {
                    let message = format!("the target {label} is named twice");
                    let diagnostic = Diagnostic::error("M341", message, &item.origin);
                    diagnostics.push(diagnostic.also(&first.origin, "the first time"));
                }
                rows.push(row);
            }
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { rows }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let names: BTreeSet<&str> =
            desired.iter().filter_map(|desired| desired.locate("association")?.as_str()).collect();
        let arguments = json!({"condition": {"bk_obj_asst_id": {"$in": names}}});
        let request = Request { operation: "find_object_association", arguments, repeatable: true };
        let definitions = match read_rows(request, "", &mut observation, facts) {
            Ok(rows) => rows,
            Err(error) => {
                fail_all(&error, desired, &mut observation);
                // The ends can be looked up in the same round.
                Ends::of(desired, all, &mut observation, facts);
                return observation.step();
            }
        };
        let definitions: HashMap<&str, &Json> =
            definitions.into_iter().filter_map(|row| Some((row["bk_obj_asst_id"].as_str()?, row))).collect();
        let ends = Ends::of(desired, all, &mut observation, facts);
        let mut groups: BTreeMap<&str, Vec<Wanted<'_>>> = BTreeMap::new();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for document in desired {
            match wanted(document, &definitions, &ends, &mut observation) {
                Ok(Some(wanted)) => groups.entry(wanted.association).or_default().push(wanted),
                Ok(None) => open.extend(document.locate("association").and_then(Json::as_str)),
                Err(observed) => observation.know(&document.id, observed),
            }
        }
        // The rows of an association are read once, when all its ends are known.
        for (name, group) in groups.into_iter().filter(|(name, _)| !open.contains(name)) {
            if let Err(error) = links::observe_links(definitions[name], &group, &mut observation, facts) {
                let documents: Vec<_> = group.iter().map(|wanted| wanted.desired).collect();
                fail_all(&error, &documents, &mut observation);
            }
        }
        observation.step()
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        check::check(desired, all, facts).step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("association").required()] })
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
    }

    fn identity(&self, _desired: &Desired, live: &Live) -> String {
        live.handle["id"].to_string()
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("association"), ScopeKey::name("model")] })
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
        let mut by_model: BTreeMap<&str, Vec<(&Desired, &Value)>> = BTreeMap::new();
        for (desired, handle) in objects {
            by_model.entry(handle["model"].as_str().unwrap_or_default()).or_default().push((desired, handle));
        }
        for (model, group) in by_model {
            for chunk in group.chunks(PAGE) {
                let ids: Vec<_> = chunk.iter().filter_map(|(_, handle)| handle["id"].as_i64()).collect();
                match links::rows(model, None, Some(("id", &ids)), &mut observation, facts) {
                    Ok(rows) => {
                        for (desired, handle) in chunk {
                            let found = rows.iter().any(|row| row["id"] == handle["id"]);
                            let observed = if found {
                                ObservedState::Found(links::live((*handle).into()))
                            } else {
                                ObservedState::absent()
                            };
                            observation.know(&desired.id, observed);
                        }
                    }
                    Err(error) => {
                        let documents: Vec<_> = chunk.iter().map(|(desired, _)| *desired).collect();
                        fail_all(&error, &documents, &mut observation);
                    }
                }
            }
        }
        observation.step()
    }

    fn compare(
        &self,
        _desired: &Desired,
        _live: Option<&Live>,
        _facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        // Found or to be made, the ends are the same ones: a row never changes.
        let ends = live.map_or(context.handle(), |live| &live.handle);
        let unique_keys =
            links::unique_keys(desired.locate("association").and_then(Json::as_str).unwrap_or_default(), ends);
        UniqueKeys { current: if live.is_some() { unique_keys.clone() } else { Vec::new() }, desired: unique_keys }
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn before(&self, _: &Desired, live: &Live, _: &Facts) -> Vec<KnownField> {
        let ends = ["source", "target"].iter().zip(&live.depends_on);
        let known = |(end, label): (&&str, &SmolStr)| {
            let name = live.relations().end_names.get(*end).map(|name| format!("{name} ({label})"));
            KnownField { display: name, ..KnownField::new(FieldPath::field(end), json!(label.as_str())) }
        };
        ends.map(known).collect()
    }

    fn implicit_dependencies<'d>(&self, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
        ends::implicit_dependencies(some, all)
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let request = |planned: &Planned<'_>| match planned.live {
            Some(live) => Request {
                operation: "delete_instance_association",
                arguments: json!({"bk_obj_id": live.handle["model"], "id": live.handle["id"]}),
                repeatable: true,
            },
            None => Request {
                operation: "add_instance_association",
                arguments: json!({"bk_obj_asst_id": planned.desired.locate("association"),
                    "bk_inst_id": planned.context["source"], "bk_asst_inst_id": planned.context["target"]}),
                repeatable: false,
            },
        };
        let call = |planned: &Planned<'_>| Call {
            request: request(planned),
            target: planned.desired.target.clone(),
            serves: vec![planned.desired.id.clone()],
        };
        planned.iter().map(call).collect()
    }

    /// A row that goes says nothing of the others.
    fn removal(&self, desired: &Desired) -> Option<Desired> {
        Some(Desired { ensure: Ensure::Absent, ..decode_common::present(desired) })
    }

    fn recreation(&self, desired: &Desired, removed: &Change, _facts: &Facts) -> Result<Desired, String> {
        let mut made = decode_common::present(desired);
        let handle = &removed.handle;
        // What no document declared has no ends but those that were read.
        for (end, model, id) in [("source", "model", "source"), ("target", "targetModel", "target")] {
            let is_given = made.locator.keys().any(|key| key.starts_with(&format!("{end}.")));
            for (key, value) in [("model", &handle[model]), ("id", &handle[id])].into_iter().filter(|_| !is_given) {
                let value = Located::new(value.clone(), desired.origin.clone());
                made.locator.insert(format!("{end}.{key}").into(), value);
            }
        }
        Ok(made)
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        author::changed(planned, facts)
    }

    /// `add_instance_association` returns the id of the row and nothing else.
    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        if let Some(live) = planned.live {
            return Some(live.handle.to_value());
        }
        let mut handle = planned.context.handle().to_value();
        handle["id"] = json!(answer["id"].as_i64()?);
        Some(handle)
    }
}

/// Reads one end and returns how people call it.
pub(super) fn end(
    prefix: &str,
    node: &Node<'_>,
    desired: &mut Desired,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let what = prefix.trim_end_matches('.');
    if node.get("ref").or_else(|| node.get("model")).is_none() {
        let message = format!("`{what}` has to name an instance");
        let hint = match node.as_text() {
            Some(name) => format!("write {{ref: {name}}}, or {{model: MODEL, match: {{FIELD: VALUE}}}}"),
            None => "write {ref: NAME}, or {model: MODEL, match: {FIELD: VALUE}}".to_owned(),
        };
        diagnostics.push(Diagnostic::error("M343", message, &node.origin).hint(hint));
        return None;
    }
    let section = Section::of(node, &format!("`{what}`"), &END, diagnostics)?;
    let before = diagnostics.len();
    let mut label = String::new();
    if let Some(reference) = section.get("ref") {
        let name = yaml::text(reference, "`ref`", diagnostics)?;
        name.clone_into(&mut label);
        let to = ResourceId::new("Instance", name);
        desired.references.push(Reference { to, origin: reference.origin.clone() });
        desired.locator.insert(format!("{prefix}ref").into(), Located::new(json!(name), reference.origin.clone()));
    } else if let Some(node) = section.require("model", diagnostics)
        && let Some(model) = yaml::text(node, "`model`", diagnostics)
    {
        desired.locator.insert(format!("{prefix}model").into(), Located::new(json!(model), node.origin.clone()));
        label = format!("{model} ?");
        match (section.get("id"), section.get("match")) {
            (Some(node), None) => {
                let id = decode_common::id(node, "`id`", diagnostics)?;
                label = format!("{model} #{}", id.value);
                desired.locator.insert(format!("{prefix}id").into(), id);
            }
            (None, Some(node)) => {
                if BUILT_IN.iter().any(|(name, _)| *name == model) {
                    let message = format!("`{model}` is a built-in model: give the `id` of the object");
                    diagnostics.push(Diagnostic::error("M342", message, &node.origin));
                }
                let fields = decode_common::matching(node, prefix, diagnostics);
                let values: Vec<_> = node.entries().iter().filter_map(|(_, value)| value.as_text()).collect();
                label = format!("{model} {}", values.join(" "));
                desired.locator.extend(fields);
            }
            _ => {
                let message = format!("`{what}` needs either `match` or `id` beside `model`, or `ref` alone");
                diagnostics.push(Diagnostic::error("M343", message, &node.origin));
            }
        }
    }
    section.finish(diagnostics);
    diagnostics[before..].iter().all(|diagnostic| !diagnostic.is_error()).then_some(label)
}

/// A row whose ends are known.
struct Wanted<'d> {
    desired: &'d Desired,
    association: &'d str,
    source: End,
    target: End,
}

impl Wanted<'_> {
    /// Returns the ids of both ends, if both are there.
    fn pair(&self) -> Option<(i64, i64)> {
        Some((self.source.id()?, self.target.id()?))
    }
}

/// Returns a row with its ends; nothing while an end is not known yet.
fn wanted<'d>(
    desired: &'d Desired,
    definitions: &HashMap<&str, &Json>,
    ends: &Ends<'_, 'd>,
    observation: &mut Observation,
) -> Result<Option<Wanted<'d>>, ObservedState> {
    let Some(given) = desired.locator.get("association") else { return Ok(None) };
    let association = given.value.as_str().unwrap_or_default();
    let Some(definition) = definitions.get(association) else {
        let message = format!("no association between models is named `{association}`");
        let known: BTreeSet<_> = definitions.keys().map(|name| (*name).to_owned()).collect();
        let known: Vec<_> = known.into_iter().collect();
        let diagnostic = Diagnostic::error("P122", message, &given.origin);
        return Err(ObservedState::Impossible(Box::new(nearest(diagnostic, association, &known))));
    };
    let mut find = |prefix: &str| match ends.find(desired, prefix, observation) {
        // What has no end is not there, which is what was asked for.
        Err(ObservedState::Impossible(_) | ObservedState::Needs(_)) if desired.ensure == Ensure::Absent => {
            Err(ObservedState::absent())
        }
        found => found,
    };
    let (Some((source_model, source)), Some((target_model, target))) = (find("source.")?, find("target.")?) else {
        return Ok(None);
    };
    if let Some(problem) = direction(desired, association, definition, (source_model, target_model)) {
        return Err(ObservedState::Impossible(Box::new(problem)));
    }
    Ok(Some(Wanted { desired, association, source, target }))
}

/// Returns what is wrong with a row whose ends are instances of other models than its association goes between.
fn direction(desired: &Desired, association: &str, definition: &Json, models: (&str, &str)) -> Option<Diagnostic> {
    let text = |key: &str| definition[key].as_str().unwrap_or_default();
    let (from, to) = (text("bk_obj_id"), text("bk_asst_obj_id"));
    if models == (from, to) {
        return None;
    }
    let (source, target) = models;
    let message = format!("`{association}` goes from `{from}` to `{to}`, not from `{source}` to `{target}`");
    let diagnostic = Diagnostic::error("P123", message, &desired.origin);
    Some(if (source, target) == (to, from) { diagnostic.hint("swap the source and the target") } else { diagnostic })
}
