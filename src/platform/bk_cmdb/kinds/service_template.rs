//! `ServiceTemplate`: a service template of a business, by `update_service_template` (contract "topology", section 2).

mod below;
mod calls;
mod category;
mod export;
mod fixed_reach;
mod module_fields;
mod observe;
mod prune;
mod rollout;
mod sync;

use std::sync::LazyLock;

use serde_json::{Value, json};

use self::{category::Categories, module_fields::MODULE_FIELDS, rollout::ROLLOUT};
pub(super) use self::{
    fixed_reach::{declared_values, templates_first},
    sync::rolled_out,
};
use super::{
    decode_common::{self, by_business, fail_all},
    impact::{HOSTS, MODULES, SERVICE_INSTANCES},
    templates::{self, KIND, NAME},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Call, CreateContext, Desired, Display, DisplayKind, Ensure, FieldChange, FieldPath, Json, Layout, Live,
        ObservedState, Refusal, Request,
    },
    platform::bk_cmdb::{codes, lookup::Businesses},
    provider::{
        Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, NameKeys, Notes, Observation, Planned,
        ProposedChange, Reversal, Rollout, ScopeKey, Step, SyncNeed, UniqueKeys, export_step, reversal,
    },
    source::Located,
    yaml::{self, Content, Form, Key, Node, Section, Shape},
};

/// The field that names the category.
const CATEGORY: &str = "category";
/// The server's name of the category.
const CATEGORY_ID: &str = "service_category_id";
/// The path under which a live template keeps the id of the category that its document asks for.
const WANTED: &str = "wanted";

/// The ids of a module that follows a template. Process templates name the first two alike.
static HANDLE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["business", "module", "serviceTemplate"]));

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    decode_common::BUSINESS_KEY,
    Key::new("template", Shape::NameOrId, "the service template, by name or id").required(),
    Key::new(
        "fields",
        Shape::Mapping(&FIELDS),
        "the declared fields; with `absent`, `moduleFields` or `rollout` they can be left out",
    )
    .required_unless(&[("ensure", "absent"), (MODULE_FIELDS, ""), (ROLLOUT, "")]),
    Key::new(
        MODULE_FIELDS,
        decode_common::ATTRIBUTES_SHAPE,
        "values that it fixes for attributes of its modules, by their ids; `null` leaves an attribute free",
    ),
    decode_common::ENSURE_KEY,
    Key::new(ROLLOUT, Shape::Mapping(&rollout::FORM), "how its modules follow it; without it they are left to you"),
]);

/// The keys of `fields`.
static FIELDS: Form = Form::new(&[
    Key::new(NAME, Shape::Name, "the name"),
    Key::new(
        CATEGORY,
        Shape::AnyOf(&[Shape::NameOrId, Shape::List(&Shape::Text, 1)]),
        "the service category, by its path (`[Default, Default]`), its name or its id; needed by a new template",
    ),
]);

/// The kind.
pub(crate) struct ServiceTemplate;

impl Kind for ServiceTemplate {
    fn name(&self) -> &'static str {
        KIND
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of a ServiceTemplate", &SPEC, diagnostics) else {
            return Vec::new();
        };
        let ensure = decode_common::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        for (key, what) in [("business", "`business`"), ("template", "`template`")] {
            if let Some(node) = section.require(key, diagnostics)
                && let Some(value) = decode_common::name_or_id(node, what, diagnostics)
            {
                desired.locator.insert(key.into(), value);
            }
        }
        if let Some(template) =
            desired.locator.get("template").filter(|template| ensure == Ensure::Present && template.value.is_i64())
        {
            let message = "`ensure: present` needs the template's name: an id cannot be chosen";
            diagnostics.push(Diagnostic::error("M306", message, &template.origin));
        }
        let (module_fields, rollout) = (section.get(MODULE_FIELDS), section.get(ROLLOUT));
        let fields = if module_fields.or(rollout).is_some() {
            section.get("fields")
        } else {
            decode_common::fields(&section, ensure, diagnostics)
        };
        if let Some(node) = fields {
            decode_fields(node, &mut desired, diagnostics);
        }
        if let Some(node) = module_fields {
            module_fields::decode(node, &mut desired, diagnostics);
        }
        let named = desired.fields.get(NAME).or(desired.locator.get("template").filter(|_| ensure == Ensure::Present));
        if let Some(name) = named.filter(|name| name.value.is_string())
            && let Some(problem) = name_problem(&name.value)
        {
            diagnostics.push(Diagnostic::error("M310", format!("`{NAME}` {problem}"), &name.origin));
        }
        if ensure == Ensure::Present && desired.field(CATEGORY).is_none() {
            let message = "a new service template needs `fields.category`";
            let hint = "name a leaf of the categories, such as `category: [Web, Nginx]`";
            diagnostics.push(Diagnostic::error("M311", message, &envelope.origin).hint(hint));
        }
        if let Some(node) = rollout {
            desired.locator.extend(rollout::decode(node, diagnostics).map(|rollout| (ROLLOUT.into(), rollout)));
            if ensure == Ensure::Absent {
                let message = "a service template that is to be absent is not rolled out";
                diagnostics.push(Diagnostic::error("M313", message, &node.origin));
            }
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
            observe::business(business, &group, all, &mut observation, facts);
        }
        observation.step()
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let businesses = match Businesses::of(all, &mut observation, facts) {
            Ok(businesses) => businesses,
            Err(error) => {
                fail_all(&error, desired, &mut observation);
                return observation.step();
            }
        };
        for (business, group) in by_business(desired, &businesses, &mut observation, facts) {
            match Categories::of(business, &group, &mut observation, facts) {
                Ok(categories) => {
                    for desired in group {
                        let problem = categories.wanted(desired).err().map(|problem| *problem);
                        match module_fields::check(desired, business, &mut observation, facts) {
                            Ok(problems) => {
                                observation.checked(&desired.id, problem.into_iter().chain(problems).collect());
                            }
                            Err(observed) => observation.know_if(&desired.id, observed),
                        }
                    }
                }
                Err(error) => fail_all(&error, &group, &mut observation),
            }
        }
        observation.step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name_or_id("business").required()] })
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
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
        let (parts, objects): (Vec<_>, Vec<_>) =
            objects.iter().copied().partition(|(desired, _)| self.is_part(desired));
        sync::again(&parts, &mut observation, facts);
        let objects = objects.as_slice();
        let documents: Vec<&Desired> = objects.iter().map(|(desired, _)| *desired).collect();
        if documents.is_empty() {
            return observation.step();
        }
        let businesses = match Businesses::of(&documents, &mut observation, facts) {
            Ok(businesses) => businesses,
            Err(error) => {
                fail_all(&error, &documents, &mut observation);
                return observation.step();
            }
        };
        for (business, group) in by_business(&documents, &businesses, &mut observation, facts) {
            observe::again(business, &group, objects, &mut observation, facts);
        }
        observation.step()
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        if let Some(live) = live.filter(|_| self.is_part(desired)) {
            return Ok(sync::compare(desired, live));
        }
        changes(desired, live, facts)
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        if self.is_part(desired) {
            return UniqueKeys::default();
        }
        let business = live.map_or(&context["business"], |live| live.field("bk_biz_id"));
        let held = live.and_then(|live| live.field(NAME).as_str());
        let wanted = wanted_name(desired).or(held).or_else(|| desired.locate("template").and_then(Json::as_str));
        let unique_keys = |name: Option<&str>| name.map(|name| claim(business, name)).into_iter().collect();
        UniqueKeys { current: unique_keys(held), desired: unique_keys(wanted) }
    }

    /// A part rests on being a module of its template, which its ids say: that it differs may come with the run.
    fn precondition_fields<'d>(&self, desired: &'d Desired) -> Option<Vec<&'d str>> {
        if self.is_part(desired) {
            return Some(Vec::new());
        }
        Some(vec![NAME, CATEGORY, "bk_biz_id", module_fields::ATTRIBUTES, module_fields::PROCESSES])
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[NAME, CATEGORY]
    }

    fn declared(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
        module_fields::declared_value(desired, path, stored, facts)
    }

    /// A category is declared by its id.
    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        let (category, others): (Vec<&FieldChange>, Vec<&FieldChange>) =
            changes.iter().partition(|change| change.path == CATEGORY);
        let mut reversal = reversal::fields(self, desired, live, others, facts);
        for change in category {
            if let Some(before) = reversal::id(&mut reversal, change, &live.field(CATEGORY).to_value()) {
                let before = Located::new(before, change.because.clone());
                reversal.desired.fields.insert(change.path.clone(), before);
            }
        }
        reversal
    }

    fn calls(&self, planned: &[Planned<'_>], facts: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| Call {
            request: calls::request(planned, facts),
            target: planned.desired.target.clone(),
            serves: vec![planned.desired.id.clone()],
        };
        let (parts, planned): (Vec<_>, Vec<_>) = planned.iter().partition(|planned| self.is_part(planned.desired));
        planned.into_iter().map(call).chain(sync::calls(&parts)).collect()
    }

    fn narrowed(&self, request: &Request, some: &[Planned<'_>]) -> Option<Request> {
        some.iter().all(|planned| self.is_part(planned.desired)).then(|| sync::narrowed(request, some))
    }

    fn rollout(&self) -> Option<&dyn Rollout> {
        Some(self)
    }

    fn sync_need(&self, proposed: &ProposedChange<'_>, part: &Live) -> SyncNeed {
        let is_own = |live: &Live| live.handle == part.handle["serviceTemplate"];
        match proposed.live.is_some_and(is_own) {
            false => SyncNeed::None,
            true if fixed_reach::differs(proposed.fields, part) => SyncNeed::Sync,
            true => SyncNeed::Order,
        }
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
        let is_there = *live.field("bk_biz_id") == context["business"];
        let keys = NameKeys { key: "template", fields: "fields", name: NAME };
        keys.hint(desired, live.field(NAME).as_str().filter(|_| is_there))
    }

    fn notes(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Notes> {
        let mut observation = Observation::default();
        let mut notes = sync::notes(planned);
        notes.notes.extend(fixed_reach::left_to_people(planned, &mut observation, facts));
        Step::new(observation.ask, notes)
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &[MODULES, HOSTS, SERVICE_INSTANCES]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        below::impact(planned, facts)
    }

    fn is_conflict(&self, refusal: &Refusal) -> bool {
        codes::is_duplicated(refusal)
    }

    /// `create_service_template` returns the full row, the call with all of a template its id.
    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        let made = || answer.get("id").filter(|id| id.is_i64()).map(Json::to_value);
        planned.live.map_or_else(made, |live| Some(live.handle.to_value()))
    }
}

/// Returns what differs between a template and its document.
fn changes(desired: &Desired, live: Option<&Live>, facts: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let context = match (live, facts.observed(&desired.id)) {
        (None, Some(ObservedState::Absent { context, .. })) => context,
        _ => CreateContext::none(),
    };
    let business = live.map_or(&context["business"], |live| live.field("bk_biz_id")).as_i64();
    let mut changes = module_fields::changes(desired, live, business, facts)?;
    let name = desired.fields.get(NAME).or(desired.locator.get("template").filter(|_| live.is_none()));
    if let Some(name) = name {
        let wanted = Json::from(name.value.as_str().unwrap_or_default().trim());
        let from = live.map(|live| live.field(NAME).clone());
        if from.as_ref() != Some(&wanted) {
            changes.push(change(NAME, from.as_ref(), &wanted, None, name));
        }
    }
    if let Some(category) = desired.fields.get(CATEGORY) {
        let wanted = live.map_or(&context[CATEGORY], |live| live.field(WANTED)).clone();
        let from = live.map(|live| live.field(CATEGORY).clone());
        if from.as_ref() != Some(&wanted) {
            let shown = |id: &Json| category::shown(business?, id.as_i64()?, facts);
            let display =
                Display { kind: DisplayKind::Option, from: from.as_ref().and_then(shown), to: shown(&wanted) };
            changes.push(change(CATEGORY, from.as_ref(), &wanted, Some(display), category));
        }
    }
    changes.sort_by_key(|change| change.because.order());
    Ok(changes)
}

/// Reads `fields`.
fn decode_fields(node: &Node<'_>, desired: &mut Desired, diagnostics: &mut Vec<Diagnostic>) {
    let Some(section) = Section::of(node, "`fields`", &FIELDS, diagnostics) else { return };
    if let Some(node) = section.get(NAME)
        && let Some(name) = yaml::text(node, "`name`", diagnostics)
    {
        desired.fields.insert(FieldPath::field(NAME), Located::new(json!(name), node.origin.clone()));
    }
    if let Some(node) = section.get(CATEGORY) {
        let value = if let Content::Sequence(items) = &node.content {
            let names = items.iter().filter_map(|item| yaml::text(item, "a category", diagnostics));
            Some(Located::new(names.map(Json::from).collect::<Json>(), node.origin.clone()))
        } else {
            decode_common::name_or_id(node, "`category`", diagnostics)
        };
        if value.as_ref().is_some_and(|value| value.value.as_array().is_some_and(<[_]>::is_empty)) {
            diagnostics.push(Diagnostic::error("M303", "`category` is empty", &node.origin));
        }
        desired.fields.extend(value.map(|value| (FieldPath::field(CATEGORY), value)));
    }
    section.finish(diagnostics);
}

fn change(
    name: &str,
    from: Option<&Json>,
    to: &Json,
    display: Option<Display>,
    declared: &Located<Json>,
) -> FieldChange {
    let (from, to) = (from.map(Json::to_value), Some(to.to_value()));
    FieldChange { path: FieldPath::field(name), from, to, display, because: declared.origin.clone() }
}

/// Returns what the server would refuse in the name of a service template: up to 256 characters (contract "topology",
/// section 2).
fn name_problem(value: &Json) -> Option<&'static str> {
    let name = value.as_str().unwrap_or_default().trim();
    match decode_common::name_problem(value) {
        Some(_) if name.len() > 256 && name.chars().count() <= 256 => None,
        Some(_) if name.chars().count() > 256 => Some("takes at most 256 characters"),
        problem => problem,
    }
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(Json::as_str).map(str::trim)
}

fn claim(business: &Json, name: &str) -> String {
    format!("the name `{name}` among service templates of business #{business}")
}

/// Returns a service template as it is read.
fn live(business: i64, row: &Json) -> Live {
    let fields = [(NAME, row[NAME].clone()), (CATEGORY, row[CATEGORY_ID].clone()), ("bk_biz_id", business.into())];
    let fields = fields.into_iter().map(|(name, value)| (FieldPath::field(name), value));
    Live::new(row["id"].clone(), templates::label(&row["id"]), fields.collect())
}
