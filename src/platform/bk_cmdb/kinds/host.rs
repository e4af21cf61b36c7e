//! `Host`: a host that exists, by `batch_update_host`, and the modules that it is in, by transfers (contract
//! "topology", section 7). Hosts are neither created nor removed.

mod author;
mod calls;
mod check;
mod decode;
mod export;
mod find;
mod impact;
mod key;
mod modules;
mod placed;
mod placement;
mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

use super::{
    decode_common::{self, by_business, by_handle},
    export_common::plain_tree,
    instance::{attribute_changes, displays},
    module, own, process_template, sets, templates,
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Call, CreateContext, Desired, FieldChange, FieldPath, Json, Layout, Live, LiveFields, ObservedState, Refusal,
        Request, ResourceId,
    },
    platform::bk_cmdb::codes,
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, Observation, Planned,
        ProposedChange, Reversal, ScopeKey, Step, SyncNeed, export_step, reversal,
    },
    source::Located,
    yaml::{Form, Node, write::Tree},
};

/// The model of hosts.
const MODEL: &str = "host";

/// The keys of a handle.
static HANDLE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["business", "host"]));

/// The kind.
pub(crate) struct Host;

impl Kind for Host {
    fn name(&self) -> &'static str {
        "Host"
    }

    fn spec_form(&self) -> &'static Form {
        &decode::SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        decode::decode(self.name(), envelope, spec, diagnostics)
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let Some((_, businesses)) = own::grounds(MODEL, desired, all, &mut observation, facts) else {
            return observation.step();
        };
        for (business, group) in by_business(desired, &businesses, &mut observation, facts) {
            let hosts: Vec<&Desired> =
                group.iter().copied().filter(|desired| !placement::is_placement(desired)).collect();
            let definition = own::definition(MODEL, business, &hosts, &mut observation, facts);
            find::business(business, &group, (all, &businesses), &mut observation, facts);
            if let Err(error) = definition {
                own::withdraw(MODEL, &error, &hosts, &mut observation, facts);
            }
        }
        observation.step()
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        check::check(desired, all, facts).step()
    }

    fn export_parts(&self) -> &'static [&'static str] {
        &[placement::MODULES]
    }

    fn identity(&self, _desired: &Desired, live: &Live) -> String {
        live.handle["host"].to_string()
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name_or_id("business")] })
    }

    fn export(&self, export: &ExportScope<'_>, from: &Cursor, facts: &Facts) -> Step<ExportResult> {
        let mut observation = Observation::default();
        let page = export::export(export, from, &mut observation, facts);
        export_step(observation.ask, page)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for (business, group) in by_handle(objects, "host") {
            find::reread(business, &group, &mut observation, facts);
        }
        observation.step()
    }

    fn displays(&self, desired: &Desired, live: &Live, facts: &Facts) -> BTreeMap<FieldPath, String> {
        if placement::is_placement(desired) {
            let shown = placement::shown(&placement::live_modules(live), live);
            return BTreeMap::from([(FieldPath::field(placement::MODULES), shown)]);
        }
        displays(live, &own::known(MODEL, own::business(desired, Some(live), facts), facts), facts)
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        if placement::is_placement(desired) {
            return placement::compare(desired, live);
        }
        let definition = own::known(MODEL, own::business(desired, live, facts), facts);
        let declared: Vec<(&str, &Located<Json>)> =
            desired.fields.iter().map(|(path, value)| (path.as_str(), value)).collect();
        attribute_changes(&declared, live, &definition, facts)
    }

    fn implicit_dependencies<'d>(&self, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
        let named: BTreeSet<(&str, &str)> = some
            .iter()
            .flat_map(|desired| placement::entries(desired))
            .filter_map(|entry| entry.as_str()?.split_once('/'))
            .collect();
        if named.is_empty() {
            return Vec::new();
        }
        let is_named =
            |document: &Desired| module::names(document).any(|name| named.iter().any(|(_, module)| *module == name));
        let modules: Vec<&'d Desired> =
            all.iter().copied().filter(|document| document.id.kind == module::KIND && is_named(document)).collect();
        // A document may give a set another name than the one by which its modules are called here.
        let is_set = |document: &Desired| sets::names(document).any(|name| named.iter().any(|(set, _)| *set == name));
        let own_sets = all.iter().copied().filter(|document| document.id.kind == sets::KIND && is_set(document));
        let others = sets::implicit_dependencies(&modules, all)
            .into_iter()
            .chain(templates::implicit_dependencies(&modules, all));
        own_sets.chain(others).chain(modules.iter().copied()).collect()
    }

    fn awaits(&self, _desired: &Desired, live: &Live) -> Vec<ResourceId> {
        placement::made(live)
    }

    fn follows(
        &self,
        some: &[(&Desired, Option<&Live>)],
        all: &[&Desired],
        facts: &Facts,
    ) -> Vec<(ResourceId, ResourceId)> {
        processes_first(some, all, facts)
    }

    /// A host that comes to a module gets its service instance at once: a sync of before would leave it out.
    fn sync_need(&self, proposed: &ProposedChange<'_>, part: &Live) -> SyncNeed {
        let is_there = |live: &Live| live.handle["business"] == part.handle["business"];
        let moves = placement::is_placement(proposed.desired) && proposed.live.is_some_and(is_there);
        if moves { SyncNeed::Order } else { SyncNeed::None }
    }

    fn precondition_fields<'d>(&self, desired: &'d Desired) -> Option<Vec<&'d str>> {
        Some(decode_common::matched(desired, "").map(|(name, _)| name).collect())
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[key::ADDRESS, key::CLOUD, key::ASSET, "bk_host_name", "operator", "bk_bak_operator"]
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let (moves, fields): (Vec<&Planned<'_>>, Vec<&Planned<'_>>) =
            planned.iter().partition(|planned| placement::is_placement(planned.desired));
        calls::updates(&fields).into_iter().chain(calls::transfers(&moves)).collect()
    }

    fn narrowed(&self, request: &Request, some: &[Planned<'_>]) -> Option<Request> {
        calls::narrowed(request, some)
    }

    /// What is refused for the account, or by something on the way, is refused for each host.
    fn is_about_some(&self, refusal: &Refusal) -> bool {
        refusal.has_own_code() && !refusal.is_absent() && !codes::is_forbidden(refusal)
    }

    fn impact_units(&self) -> &'static [&'static str] {
        impact::UNITS
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

    fn written(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Tree {
        plain_tree(self.declared(desired, path, stored, facts))
    }

    fn declared(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
        if placement::is_placement(desired) {
            return stored.clone();
        }
        own::declared(MODEL, desired, path, stored, facts)
    }

    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        if placement::is_placement(desired) {
            return placement::reversal(desired, live, changes);
        }
        reversal::fields(self, desired, live, changes, facts)
    }
}

/// Returns for each move the process templates of the modules that the host comes into: a transfer makes its processes
/// after those of the moment, so they have to be as declared.
fn processes_first(
    some: &[(&Desired, Option<&Live>)],
    all: &[&Desired],
    facts: &Facts,
) -> Vec<(ResourceId, ResourceId)> {
    let template_of = |document: &Desired| match facts.observed(&document.id)? {
        ObservedState::Found(live) => Some(live.handle["serviceTemplate"].to_string()),
        ObservedState::Absent { context, .. } => Some(context["serviceTemplate"].to_string()),
        _ => None,
    };
    let mut processes: BTreeMap<String, Vec<&ResourceId>> = BTreeMap::new();
    for document in all.iter().filter(|document| document.id.kind == process_template::KIND) {
        if let Some(template) = template_of(document) {
            processes.entry(template).or_default().push(&document.id);
        }
    }
    if processes.is_empty() {
        return Vec::new();
    }
    let made_template = |id: &ResourceId| match facts.observed(id)? {
        ObservedState::Absent { context, .. } => Some(template(context)),
        _ => None,
    };
    let mut pairs = Vec::new();
    for (desired, live) in some.iter().filter(|(desired, _)| placement::is_placement(desired)) {
        let Some(live) = live else { continue };
        let there = placement::wanted_templates(live).iter().map(Json::to_string);
        let made = placement::made(live);
        let templates: BTreeSet<String> = there.chain(made.iter().filter_map(made_template)).collect();
        let first = templates.iter().filter_map(|template| processes.get(template)).flatten();
        pairs.extend(first.map(|process| (desired.id.clone(), (*process).clone())));
    }
    pairs
}

/// Returns the service template that a module will be made from, as text.
fn template(context: &CreateContext) -> String {
    context[module::TEMPLATE].to_string()
}

/// Returns how people tell a host apart.
fn label(handle: &Json) -> String {
    format!("host #{}", handle["host"])
}

/// Returns a host as a row tells of it.
fn live(business: i64, row: &Json) -> Live {
    let handle = HANDLE.object([business.into(), row[key::ID].clone()]);
    let mut fields = LiveFields::of_row(row.clone());
    fields.insert(FieldPath::field("bk_biz_id"), business.into());
    if row[key::ADDRESS].is_array() {
        fields.insert(FieldPath::field(key::ADDRESS), key::shown_addresses(&row[key::ADDRESS]).as_str().into());
    }
    let label = label(&handle);
    Live::new(handle, label, fields)
}
