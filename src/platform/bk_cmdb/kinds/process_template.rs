//! `ProcessTemplate`: a process of a service template, by `update_proc_template` (contract section 4.4).
//!
//! The server replaces every property that is sent as a whole, and `bind_info` with all its rows. So what is sent is
//! what was read with what is declared laid over it.

mod author;
mod check;
mod creation;
mod export;
mod find;
mod held;
mod lock;
mod pair;
mod ports;
mod property;
mod prune;
mod read;
mod reversal;
mod rows;
mod sync;
mod wording;

pub(super) use sync::Below;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use serde_json::{Map, Value, json};

use super::{
    decode_common::{self, by_business, by_handle, fail_all},
    impact::{HOSTS, MODULES, SERVICE_INSTANCES},
    refs, service_template, templates,
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Json, KnownField, Live,
        ObservedState, Request, ResourceId, placeholder_in,
    },
    platform::bk_cmdb::{lookup::Businesses, version::Version},
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, NameKeys, Notes, Observation,
        Planned, ProposedChange, Reversal, ScopeKey, Step, SyncNeed, UniqueKeys, export_step, tree_of,
    },
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape, write::Tree},
};

/// The kind's name.
pub(super) const KIND: &str = "ProcessTemplate";
/// The property that names a process; unique within its service template.
const NAME: &str = "bk_process_name";

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    decode_common::BUSINESS_KEY,
    Key::new("serviceTemplate", Shape::NameOrId, "the service template, by name or id").required_unless(&[("id", "")]),
    Key::new("process", Shape::Text, "the name of the process (`bk_process_name`)"),
    Key::new(
        "id",
        decode_common::ID_SHAPE,
        "the template's id, instead of `process`; then `serviceTemplate` can be left out",
    ),
    Key::new("properties", Shape::Mapping(&property::FORM), "the declared properties")
        .required_unless(&[("ensure", "absent")]),
    Key::new("as_default_value", Shape::Boolean, "`true` locks all that the document declares, `false` unlocks it"),
    decode_common::ENSURE_KEY,
])
.exactly_one(&["process", "id"]);

/// The kind.
pub(crate) struct ProcessTemplate;

impl Kind for ProcessTemplate {
    fn name(&self) -> &'static str {
        KIND
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of a ProcessTemplate", &SPEC, diagnostics) else {
            return Vec::new();
        };
        let ensure = decode_common::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        let mut place = |key: &'static str, node: Option<&Node<'_>>, diagnostics: &mut Vec<Diagnostic>| {
            let value = node.and_then(|node| decode_common::name_or_id(node, &format!("`{key}`"), diagnostics));
            desired.locator.extend(value.map(|value| (key.into(), value)));
        };
        place("business", section.require("business", diagnostics), diagnostics);
        match (section.get("process"), section.get("id")) {
            (Some(process), None) => {
                place("serviceTemplate", section.require("serviceTemplate", diagnostics), diagnostics);
                if let Some(name) = yaml::text(process, "`process`", diagnostics) {
                    let name = Located::new(json!(name), process.origin.clone());
                    desired.locator.insert("process".into(), name);
                }
            }
            (None, Some(id)) => {
                place("serviceTemplate", section.get("serviceTemplate"), diagnostics);
                desired.locator.extend(decode_common::id(id, "`id`", diagnostics).map(|id| ("id".into(), id)));
                if ensure == Ensure::Present {
                    let message = "`ensure: present` needs `process`: an id cannot be chosen";
                    diagnostics.push(Diagnostic::error("M306", message, &id.origin));
                }
            }
            (Some(_), Some(node)) => {
                let message = "a process is picked by `process` or by `id`, not by both";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (None, None) => {
                let message = "the spec of a ProcessTemplate needs `process` or `id`";
                diagnostics.push(Diagnostic::error("M306", message, &envelope.origin));
            }
        }
        let properties = if ensure == Ensure::Absent {
            section.get("properties")
        } else {
            section.require("properties", diagnostics)
        };
        if let Some(node) = properties {
            property::decode(node, &mut desired.fields, diagnostics);
        }
        if let Some(node) = section.get("as_default_value")
            && let Some(locked) = yaml::boolean(node, "`as_default_value`", diagnostics)
        {
            property::lock_all(&Located::new(json!(locked), node.origin.clone()), &mut desired.fields);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let businesses = match Businesses::of(all, &mut observation, facts) {
            Ok(businesses) => businesses,
            Err(error) => {
                fail_all(&error, desired, &mut observation);
                return observation.step();
            }
        };
        for (business, group) in by_business(desired, &businesses, &mut observation, facts) {
            let declared = refs::declared(templates::KIND, business, all, &businesses, &mut observation, facts);
            find::observe_business(business, &group, &declared, facts, &mut observation);
        }
        observation.step()
    }

    fn implicit_dependencies<'d>(&self, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
        templates::implicit_dependencies(some, all)
    }

    fn follows(
        &self,
        some: &[(&Desired, Option<&Live>)],
        all: &[&Desired],
        facts: &Facts,
    ) -> Vec<(ResourceId, ResourceId)> {
        service_template::templates_first(some, all, facts, |live, context| {
            live.map_or(context, |live| &live.handle)["serviceTemplate"].as_i64()
        })
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        check::check(desired, all, facts).step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(
            const { &[ScopeKey::name_or_id("business").required(), ScopeKey::name_or_id("serviceTemplate").required()] },
        )
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
    }

    fn identity(&self, _desired: &Desired, live: &Live) -> String {
        live.handle["process"].to_string()
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name_or_id("business"), ScopeKey::name_or_id("serviceTemplate")] })
    }

    fn export(&self, export: &ExportScope<'_>, from: &Cursor, facts: &Facts) -> Step<ExportResult> {
        let mut observation = Observation::default();
        let page = export::export(export, from, &mut observation, facts);
        export_step(observation.ask, page)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for (business, group) in by_handle(objects, "process") {
            let ids = group.iter().map(|(_, id)| *id).collect();
            match read::by_ids(business, &ids, &mut observation, facts) {
                Ok(rows) => {
                    let rows: HashMap<i64, &Json> =
                        rows.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row))).collect();
                    for (desired, id) in group {
                        let observed = rows
                            .get(&id)
                            .map_or_else(ObservedState::absent, |row| ObservedState::Found(find::live(desired, row)));
                        observation.know(&desired.id, observed);
                    }
                }
                Err(error) => {
                    let documents: Vec<_> = group.iter().map(|(desired, _)| *desired).collect();
                    fail_all(&error, &documents, &mut observation);
                }
            }
        }
        observation.step()
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let version = facts.settings.get("version").and_then(|version| Version::parse(version));
        let too_new = rows::too_new(desired, version);
        let Some(live) = live else {
            return if too_new.is_empty() { creation::changes(desired) } else { Err(too_new) };
        };
        let (mut changes, mut problems) = (Vec::new(), too_new);
        for name in &declared(desired) {
            if name == property::BIND_INFO {
                match rows::merge(desired, live, held::highest(live, facts)) {
                    Ok(merged) => changes.extend(merged.changes),
                    Err(more) => problems.extend(more),
                }
                continue;
            }
            let change = property::changes(name, desired, live);
            if let Some(change) = change.iter().find(|_| name == "bk_func_name") {
                // Ignored on update, so it would differ for ever (contract section 9, trap 2).
                let message = "`bk_func_name` cannot be updated: the server ignores it";
                let hint = format!("the live value is {}", live.field(name)["value"]);
                problems.push(Diagnostic::error("P110", message, &change.because).hint(hint));
            }
            changes.extend(change);
        }
        if problems.is_empty() {
            changes.sort_by_key(|change| change.because.order());
            Ok(changes)
        } else {
            Err(problems)
        }
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        let at = live.map_or(context.handle(), |live| &live.handle);
        let held = live.and_then(|live| live.field(NAME)["value"].as_str());
        let wanted = wanted_name(desired).or(held);
        let wanted = if live.is_some() { rename(desired).or(held) } else { wanted };
        let unique_keys = |name: Option<&str>, pair: Option<String>| {
            name.map(|name| claim(at, name)).into_iter().chain(pair).collect::<Vec<_>>()
        };
        UniqueKeys {
            current: unique_keys(held, live.and_then(pair::held)),
            desired: unique_keys(wanted, pair::wanted(desired, live, at)),
        }
    }

    fn precondition_fields<'d>(&self, _desired: &'d Desired) -> Option<Vec<&'d str>> {
        Some(vec![NAME])
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[NAME, "bk_func_name", "bk_start_param_regex", "user", "work_path", "proc_num", "bind_info"]
    }

    fn live_value(&self, live: &Live, path: &FieldPath) -> Option<Value> {
        property::live_value(live, path)
    }

    fn before(&self, _: &Desired, live: &Live, _: &Facts) -> Vec<KnownField> {
        property::before(live, self.essentials())
    }

    fn calls(&self, planned: &[Planned<'_>], facts: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| {
            let Some(live) = planned.live else { return Some(creation::call(planned)) };
            if planned.change.action == Action::Delete {
                return Some(deletion(planned, live));
            }
            let touched: BTreeSet<Cow<'_, str>> = planned.change.fields.iter().map(|field| field.path.root()).collect();
            let mut properties = Map::new();
            for name in touched {
                let envelope = if name == property::BIND_INFO {
                    rows::merge(planned.desired, live, held::highest(live, facts)).ok()?.envelope
                } else {
                    property::envelope(&name, planned.desired, live)
                };
                properties.insert(name.into_owned(), envelope);
            }
            let arguments = json!({"bk_biz_id": live.handle["business"],
                "process_template_id": live.handle["process"], "process_property": properties});
            Some(Call {
                request: Request { operation: "update_proc_template", arguments, repeatable: true },
                target: planned.desired.target.clone(),
                serves: vec![planned.desired.id.clone()],
            })
        };
        planned.iter().filter_map(call).collect()
    }

    fn written(&self, _desired: &Desired, path: &FieldPath, stored: &Value, _facts: &Facts) -> Tree {
        tree_of(&wording::words(path.rest(), &stored.into()).to_value())
    }

    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        reversal::reversal(self, desired, live, changes, facts)
    }

    fn recreation(&self, desired: &Desired, removed: &Change, _facts: &Facts) -> Result<Desired, String> {
        reversal::recreation(desired, removed)
    }

    fn declared(&self, _: &Desired, path: &FieldPath, stored: &Value, _: &Facts) -> Value {
        // A lock that is null counts as false.
        if property::is_lock(path) && stored.is_null() { json!(false) } else { stored.clone() }
    }

    fn notes(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Notes> {
        sync::notes(planned, facts)
    }

    fn sync_need(&self, proposed: &ProposedChange<'_>, part: &Live) -> SyncNeed {
        let handle = proposed.live.map_or(proposed.context.handle(), |live| &live.handle);
        let is_same = |key: &str| handle[key].as_i64().is_some_and(|id| part.handle[key].as_i64() == Some(id));
        match is_same("business") && is_same("serviceTemplate") {
            false => SyncNeed::None,
            true if lock::needs_sync(proposed) => SyncNeed::Sync,
            true => SyncNeed::Order,
        }
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
        let is_there = live.handle["serviceTemplate"] == context["serviceTemplate"];
        let keys = NameKeys { key: "process", fields: "properties", name: NAME };
        keys.hint(desired, live.field(NAME)["value"].as_str().filter(|_| is_there))
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        author::changed(planned, facts)
    }

    fn touched(&self, objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
        author::touched(objects, facts)
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &[MODULES, HOSTS, SERVICE_INSTANCES]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        sync::impact(planned, facts)
    }

    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        if let Some(live) = planned.live {
            return Some(live.handle.to_value());
        }
        // `batch_create_proc_template` returns the ids alone.
        let mut handle = planned.context.handle().to_value();
        handle["process"] = json!(answer[0].as_i64()?);
        Some(handle)
    }
}

/// One template a call: with an id that is gone the server refuses the whole list (code 1108014).
fn deletion(planned: &Planned<'_>, live: &Live) -> Call {
    let arguments = json!({"bk_biz_id": live.handle["business"], "process_templates": [live.handle["process"]]});
    Call {
        request: Request { operation: "delete_proc_template", arguments, repeatable: false },
        target: planned.desired.target.clone(),
        serves: vec![planned.desired.id.clone()],
    }
}

/// The name that a document gives to its process.
fn rename(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(Json::as_str)
}

/// The name that a process has once it is as declared.
fn wanted_name(desired: &Desired) -> Option<&str> {
    rename(desired).or_else(|| desired.locate("process").and_then(Json::as_str))
}

/// The properties that a document declares anything of.
fn declared(desired: &Desired) -> BTreeSet<Cow<'_, str>> {
    desired.fields.keys().map(FieldPath::root).collect()
}

fn template_label(id: i64) -> String {
    format!("process template #{id}")
}

fn claim(handle: &Json, name: &str) -> String {
    match placeholder_in(&handle["serviceTemplate"]) {
        Some(made) => format!("the name `{name}` in {made}"),
        None => format!("the name `{name}` in service template #{}", handle["serviceTemplate"]),
    }
}
