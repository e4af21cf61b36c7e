//! `Module`: a module of a set, by `update_module` (contract section 4.2).

mod author;
mod check;
mod export;
mod fixed;
mod impact;
mod names;
mod observe;
mod prune;
mod removal;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use serde_json::{Map, Value, json};

use self::observe::{Declared, Services};
use super::{
    decode_common::{self, by_business, by_handle, fail_all},
    export_common::plain_tree,
    impact::{HOSTS, SERVICE_INSTANCES},
    instance::{attribute_changes, displays},
    own, refs, service_template, sets, templates,
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Json, Layout, Live, LiveFields,
        ObservedState, Refusal, Request, ResourceId, placeholder_in, policy::Policy,
    },
    platform::bk_cmdb::{
        api::DATA,
        attribute::text,
        codes,
        lookup::{Businesses, modules_by_ids},
    },
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, Observation, Planned,
        ProposedChange, Reversal, ScopeKey, Step, SyncNeed, UniqueKeys, export_step, reversal,
    },
    source::Located,
    yaml::{Form, Key, Node, Section, Shape, write::Tree},
};

/// The kind's name.
pub(super) const KIND: &str = "Module";
/// The model of modules.
pub(super) const MODEL: &str = "module";
/// The field that names a module; unique within its set.
pub(super) const NAME: &str = "bk_module_name";
/// The service template that a module is made from; fixed once it is made.
pub(super) const TEMPLATE: &str = "service_template_id";
/// The service category of a module.
const CATEGORY: &str = "service_category_id";
/// Prefix of what a document resolves to beside what is live: ids of its service template and category.
const WANTED: &str = "wanted";

/// Returns the path under which a live module keeps an id that its document asks for.
fn wanted_path(key: &str) -> FieldPath {
    FieldPath::field(WANTED).part(key)
}

/// The keys of a handle.
static HANDLE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["business", "module", "set"]));

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    decode_common::BUSINESS_KEY,
    Key::new("set", Shape::NameOrId, "the set, by name or id").required(),
    Key::new("module", Shape::NameOrId, "the module, by name or id").required(),
    Key::new(
        "fields",
        decode_common::ATTRIBUTES_SHAPE,
        "the declared attributes; with `present` and `absent` they can be left out",
    )
    .required_unless(&[("ensure", "present"), ("ensure", "absent")]),
    decode_common::ENSURE_KEY,
    Key::new(
        "serviceTemplate",
        Shape::NameOrId,
        "the service template of a new module, by name or id; it gives the module its name",
    ),
    Key::new("serviceCategory", Shape::NameOrId, "the service category of a new module, by name or id"),
]);

/// The kind.
pub(crate) struct Module;

impl Kind for Module {
    fn name(&self) -> &'static str {
        KIND
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of a Module", &SPEC, diagnostics) else { return Vec::new() };
        let ensure = decode_common::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        for (key, what) in [("business", "`business`"), ("set", "`set`"), ("module", "`module`")] {
            if let Some(node) = section.require(key, diagnostics)
                && let Some(value) = decode_common::name_or_id(node, what, diagnostics)
            {
                desired.locator.insert(key.into(), value);
            }
        }
        for (key, what) in [("serviceTemplate", "`serviceTemplate`"), ("serviceCategory", "`serviceCategory`")] {
            if let Some(value) = section.get(key).and_then(|node| decode_common::name_or_id(node, what, diagnostics)) {
                desired.locator.insert(key.into(), value);
            }
        }
        if let Some(module) = desired.locator.get("module").filter(|_| ensure == Ensure::Present)
            && module.value.is_i64()
        {
            let message = "`ensure: present` needs the module's name: an id cannot be chosen";
            diagnostics.push(Diagnostic::error("M306", message, &module.origin));
        }
        // Nothing but its being there has to be declared.
        if let Some(node) = section.get("fields") {
            desired.fields = decode_common::attributes(node, diagnostics);
        } else if ensure == Ensure::Existing {
            section.require("fields", diagnostics);
        }
        check_name(&desired, diagnostics);
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let Some((_, businesses)) = own::grounds(MODEL, desired, all, &mut observation, facts) else {
            return observation.step();
        };
        for (business, group) in by_business(desired, &businesses, &mut observation, facts) {
            let definition = own::definition(MODEL, business, &group, &mut observation, facts);
            let declared = declared(business, all, &businesses, &mut observation, facts);
            observe::business(business, &group, &declared, facts, &mut observation);
            if let Err(error) = definition {
                own::withdraw(MODEL, &error, &group, &mut observation, facts);
            }
        }
        observation.step()
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        check::check(desired, all, facts).step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name_or_id("business").required(), ScopeKey::name_or_id("set").required()] })
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
    }

    fn identity(&self, _desired: &Desired, live: &Live) -> String {
        live.handle["module"].to_string()
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name_or_id("business"), ScopeKey::name_or_id("set")] })
    }

    fn export(&self, export: &ExportScope<'_>, from: &Cursor, facts: &Facts) -> Step<ExportResult> {
        let mut observation = Observation::default();
        let page = export::export(export, from, &mut observation, facts);
        export_step(observation.ask, page)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for (business, group) in by_handle(objects, "module") {
            let documents: Vec<_> = group.iter().map(|(desired, _)| *desired).collect();
            let ids: BTreeSet<_> = group.iter().map(|(_, id)| *id).collect();
            let rows = modules_by_ids(business, &ids, &observe::fields(&documents), &mut observation, facts);
            // What a document names has an id that the row alone does not tell: without it, nothing would differ.
            let services = Services::of(business, &documents, &[], &mut observation, facts);
            let (rows, services) = match (rows, services) {
                (Ok(rows), Ok(services)) => (rows, services),
                (rows, services) => {
                    for error in [rows.err(), services.err()].into_iter().flatten() {
                        fail_all(&error, &documents, &mut observation);
                    }
                    continue;
                }
            };
            let rows: HashMap<i64, &Json> =
                rows.into_iter().filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect();
            for (desired, id) in group {
                let observed = match rows.get(&id) {
                    Some(row) => observe::found(desired, live(desired, row), &services, facts),
                    None => Some(ObservedState::absent()),
                };
                observation.know_if(&desired.id, observed);
            }
        }
        observation.step()
    }

    fn displays(&self, desired: &Desired, live: &Live, facts: &Facts) -> BTreeMap<FieldPath, String> {
        displays(live, &own::known(MODEL, own::business(desired, Some(live), facts), facts), facts)
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let definition = own::known(MODEL, own::business(desired, live, facts), facts);
        let mut declared: Vec<(&str, &Located<Json>)> =
            desired.fields.iter().map(|(path, value)| (path.as_str(), value)).collect();
        if live.is_none() && desired.field(NAME).is_none() {
            declared.extend(desired.locator.get("module").map(|name| (NAME, name)));
        }
        let mut changes = attribute_changes(&declared, live, &definition, facts)?;
        let problems = fixed::problems(desired, live, &changes, &definition, facts);
        if !problems.is_empty() {
            return Err(problems);
        }
        let Some(live) = live else { return Ok(changes) };
        changes.extend(category_change(desired, live)?);
        refused(desired, live, &changes).map_or(Ok(changes), |problem| Err(vec![problem]))
    }

    fn implicit_dependencies<'d>(&self, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
        let (sets, templates) = (sets::implicit_dependencies(some, all), templates::implicit_dependencies(some, all));
        sets.into_iter().chain(templates).collect()
    }

    fn follows(
        &self,
        some: &[(&Desired, Option<&Live>)],
        all: &[&Desired],
        facts: &Facts,
    ) -> Vec<(ResourceId, ResourceId)> {
        service_template::templates_first(some, all, facts, |live, context| {
            live.map_or(&context[TEMPLATE], |live| live.field(TEMPLATE)).as_i64()
        })
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        let at = live.map_or(context.handle(), |live| &live.handle);
        let held = live.and_then(|live| live.field(NAME).as_str());
        let given = desired.locate("module").and_then(Json::as_str);
        let wanted = wanted_name(desired).or(held).or(given);
        let unique_keys = |name: Option<&str>| name.map(|name| claim(at, name)).into_iter().collect();
        UniqueKeys { current: unique_keys(held), desired: unique_keys(wanted) }
    }

    /// The category is declared with the place, and sent: it matters like a field.
    fn precondition_fields<'d>(&self, _desired: &'d Desired) -> Option<Vec<&'d str>> {
        Some(vec![NAME, TEMPLATE, CATEGORY, "default"])
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[NAME, "bk_module_type", "operator", "bk_bak_operator", CATEGORY, TEMPLATE]
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| Call {
            request: request(planned),
            target: planned.desired.target.clone(),
            serves: vec![planned.desired.id.clone()],
        };
        planned.iter().map(call).collect()
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &[HOSTS, SERVICE_INSTANCES]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        impact::impact(planned, facts)
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
        names::rename_hint(desired, live, context)
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        author::changed(planned, facts)
    }

    fn touched(&self, objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
        author::touched(objects, facts)
    }

    fn sync_need(&self, proposed: &ProposedChange<'_>, part: &Live) -> SyncNeed {
        let is_part = |live: &Live| live.handle["module"] == part.handle["module"];
        let goes = proposed.action == Action::Delete && proposed.live.is_some_and(is_part);
        if goes { SyncNeed::Gone } else { SyncNeed::None }
    }

    fn is_conflict(&self, refusal: &Refusal) -> bool {
        codes::is_duplicated(refusal)
    }

    fn written(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Tree {
        plain_tree(self.declared(desired, path, stored, facts))
    }

    fn declared(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
        own::declared(MODEL, desired, path, stored, facts)
    }

    /// The category is declared with the place.
    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        let (category, others): (Vec<&FieldChange>, Vec<&FieldChange>) =
            changes.iter().partition(|change| change.path == CATEGORY);
        let mut base = desired.clone();
        ["serviceTemplate", "serviceCategory"].iter().for_each(|key| drop(base.locator.remove(*key)));
        let mut reversal = reversal::fields(self, &base, live, others, facts);
        for change in category {
            if let Some(before) = reversal::id(&mut reversal, change, &live.field(CATEGORY).to_value()) {
                let before = Located::new(before, change.because.clone());
                reversal.desired.locator.insert("serviceCategory".into(), before);
            }
        }
        reversal
    }

    fn recreation(&self, desired: &Desired, removed: &Change, facts: &Facts) -> Result<Desired, String> {
        let mut made = decode_common::present(desired);
        let located = |value: &Value| Located::new(value.clone(), desired.origin.clone());
        let name = decode_common::known(removed, NAME).ok_or("its name is not known")?;
        made.locator.insert("module".into(), located(name));
        let known = |key: &str| decode_common::known(removed, key).filter(|id| id.as_i64().is_some_and(|id| id > 0));
        ["serviceTemplate", "serviceCategory"].iter().for_each(|key| drop(made.locator.remove(*key)));
        // A service template gives its category too.
        if let Some(template) = known(TEMPLATE) {
            made.locator.insert("serviceTemplate".into(), located(template));
        } else if let Some(category) = known(CATEGORY) {
            made.locator.insert("serviceCategory".into(), located(category));
        }
        let definition = own::known(MODEL, own::business(&made, None, facts), facts);
        made.fields = decode_common::known_attributes(removed, &definition, facts);
        [NAME, CATEGORY].iter().for_each(|name| drop(made.fields.remove(*name)));
        Ok(made)
    }

    /// `create_module` returns the full row; `update_module` returns nothing.
    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        let made = || answer["bk_module_id"].is_i64().then(|| live(planned.desired, answer).handle.to_value());
        planned.live.map_or_else(made, |live| Some(live.handle.to_value()))
    }
}

fn request(planned: &Planned<'_>) -> Request {
    let changed =
        planned.change.fields.iter().map(|field| (field.path.to_string(), field.to.clone().unwrap_or_default()));
    let mut data: Map<String, Value> = changed.collect();
    let Some(live) = planned.live else {
        // The parent is demanded although the set says it already (contract section 4.2).
        data.insert("bk_parent_id".to_owned(), planned.context["set"].to_value());
        for key in [TEMPLATE, CATEGORY] {
            data.extend(planned.context.handle().get(key).map(|id| (key.to_owned(), id.to_value())));
        }
        let arguments =
            json!({"bk_biz_id": planned.context["business"], "bk_set_id": planned.context["set"], DATA: data});
        return Request { operation: "create_module", arguments, repeatable: false };
    };
    let mut arguments = json!({"bk_biz_id": live.handle["business"], "bk_set_id": live.handle["set"],
        "bk_module_id": live.handle["module"]});
    if planned.change.action == Action::Delete {
        return Request { operation: "delete_module", arguments, repeatable: true };
    }
    arguments[DATA] = Value::Object(data);
    Request { operation: "update_module", arguments, repeatable: true }
}

/// Returns true if a change of a live module is to be sent: what is only reported, the server need not take.
fn is_sent(desired: &Desired, change: &FieldChange) -> bool {
    desired.policies.of(&change.path) == Policy::Enforce
}

/// Returns what the server would refuse, said before anything is sent (contract section 4.2).
fn refused(desired: &Desired, live: &Live, changes: &[FieldChange]) -> Option<Diagnostic> {
    let mut sent = changes.iter().filter(|change| is_sent(desired, change));
    if live.field("default").as_i64().unwrap_or(0) != 0 {
        let message = format!("{} is a built-in module: the server lets nobody change it", live.label);
        return sent.next().map(|first| Diagnostic::error("P107", message, &first.because));
    }
    let renamed = sent.find(|change| change.path == NAME);
    let change = renamed.filter(|_| live.field(TEMPLATE).as_i64().unwrap_or(0) != 0)?;
    let message = format!("{} is made from a service template, which gives it its name", live.label);
    let hint = "rename the service template, or leave the name out";
    Some(Diagnostic::error("P108", message, &change.because).hint(hint))
}

/// Returns the change of service template and category of a live module: the template cannot change, and it gives the
/// category (codes 1199083 and 1101090).
fn category_change(desired: &Desired, live: &Live) -> Result<Option<FieldChange>, Vec<Diagnostic>> {
    let wanted = |key: &str| live.fields.get(&wanted_path(key));
    let template = live.field(TEMPLATE);
    if let (Some(given), Some(wanted)) = (desired.locator.get("serviceTemplate"), wanted(TEMPLATE))
        && wanted != template
    {
        let message = format!("{} cannot change its service template: it is #{template}", live.label);
        return Err(vec![Diagnostic::error("P117", message, &given.origin)]);
    }
    let (Some(given), Some(wanted)) = (desired.locator.get("serviceCategory"), wanted(CATEGORY)) else {
        return Ok(None);
    };
    if wanted == live.field(CATEGORY) {
        return Ok(None);
    }
    if template.as_i64().unwrap_or(0) != 0 {
        let message = format!("{} is made from a service template, which gives it its category", live.label);
        return Err(vec![Diagnostic::error("P108", message, &given.origin)]);
    }
    Ok(Some(FieldChange {
        path: FieldPath::field(CATEGORY),
        from: Some(live.field(CATEGORY).to_value()),
        to: Some(wanted.to_value()),
        display: None,
        because: given.origin.clone(),
    }))
}

/// Reports a name that the server would refuse (contract section 4.2).
fn check_name(desired: &Desired, diagnostics: &mut Vec<Diagnostic>) {
    let made = desired.locator.get("module").filter(|_| desired.ensure == Ensure::Present);
    let Some(field) = desired.fields.get(NAME).or(made.filter(|name| name.value.is_string())) else { return };
    if let Some(problem) = decode_common::name_problem(&field.value) {
        diagnostics.push(Diagnostic::error("M310", format!("`{NAME}` {problem}"), &field.origin));
    }
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(text).map(str::trim)
}

/// Returns the names that a document gives to a module: the one it has, and the one it is to get.
pub(super) fn names(desired: &Desired) -> impl Iterator<Item = &str> {
    desired.locate("module").and_then(Json::as_str).into_iter().chain(wanted_name(desired))
}

fn claim(handle: &Json, name: &str) -> String {
    match placeholder_in(&handle["set"]) {
        Some(made) => format!("the name `{name}` in {made}"),
        None => format!("the name `{name}` in set #{}", handle["set"]),
    }
}

fn live(desired: &Desired, row: &Json) -> Live {
    let handle = HANDLE.object([row["bk_biz_id"].clone(), row["bk_module_id"].clone(), row["bk_set_id"].clone()]);
    let template = Some(&row[TEMPLATE]).filter(|id| id.as_i64().is_some_and(|id| id > 0));
    let depends_on = [sets::label(&row["bk_set_id"])].into_iter().chain(template.map(templates::label));
    let fields = LiveFields::of_row(row.clone());
    Live::new(handle, label(desired, &row["bk_module_id"]), fields).depending_on(depends_on)
}

/// Returns how people tell a module apart that a document means.
pub(super) fn label(desired: &Desired, id: &Json) -> String {
    let place = |key: &str| desired.locate(key).and_then(Json::as_str);
    let path: Vec<_> = [place("business"), place("set")].into_iter().flatten().collect();
    format!("{} #{id}", if path.is_empty() { "module".to_owned() } else { path.join("/") })
}

/// Returns the documents that declare what modules of a business rest on.
fn declared<'d>(
    business: i64,
    all: &[&'d Desired],
    businesses: &Businesses,
    observation: &mut Observation,
    facts: &Facts,
) -> Declared<'d> {
    Declared {
        sets: refs::declared(sets::KIND, business, all, businesses, observation, facts),
        templates: refs::declared(templates::KIND, business, all, businesses, observation, facts),
    }
}
