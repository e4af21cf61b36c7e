//! `Set`: a set of a business, by `update_set` (contract "topology", section 6).

mod author;
mod below;
mod check;
mod export;
mod observe;
mod prune;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::{
    decode_common::{self, business_id, by_business, fail_all},
    export_common::plain_tree,
    impact::{HOSTS, MODULES, SERVICE_INSTANCES},
    instance::{attribute_changes, displays, layer::CASCADE},
    own,
    sets::{self, KIND, NAME, SET_TEMPLATE},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Json, Live, LiveFields,
        ObservedState, Refusal, Request, policy::Policy,
    },
    platform::bk_cmdb::{
        api::DATA,
        attribute::text,
        codes,
        lookup::{Businesses, PARENT, sets_by_ids},
    },
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, NameKeys, Observation, Planned,
        ScopeKey, Step, UniqueKeys, export_step,
    },
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape, write::Tree},
};

/// The model of sets.
const MODEL: &str = "set";

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    decode_common::BUSINESS_KEY,
    Key::new("set", Shape::NameOrId, "the set, by name or id").required(),
    Key::new(
        "parent",
        Shape::NameOrId,
        "the instance of the custom layer above sets, by name or id; only where there is such a layer",
    ),
    Key::new(
        "fields",
        decode_common::ATTRIBUTES_SHAPE,
        "the declared attributes; with `present` and `absent` they can be left out",
    )
    .required_unless(&[("ensure", "present"), ("ensure", "absent")]),
    decode_common::ENSURE_KEY,
    Key::new(CASCADE, Shape::Boolean, "with `absent`: the modules of the set go with it"),
]);

/// The kind.
pub(crate) struct Set;

impl Kind for Set {
    fn name(&self) -> &'static str {
        KIND
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of a Set", &SPEC, diagnostics) else { return Vec::new() };
        let ensure = decode_common::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        for (key, what) in [("business", "`business`"), ("set", "`set`")] {
            if let Some(node) = section.require(key, diagnostics)
                && let Some(value) = decode_common::name_or_id(node, what, diagnostics)
            {
                desired.locator.insert(key.into(), value);
            }
        }
        if let Some(value) =
            section.get("parent").and_then(|node| decode_common::name_or_id(node, "`parent`", diagnostics))
        {
            desired.locator.insert("parent".into(), value);
        }
        if let Some(node) = section.get(CASCADE)
            && let Some(cascade) = yaml::boolean(node, "`cascade`", diagnostics)
        {
            if ensure != Ensure::Absent {
                let message = "`cascade` goes with `ensure: absent` only";
                diagnostics.push(Diagnostic::error("M308", message, &node.origin));
            }
            desired.locator.insert(CASCADE.into(), Located::new(json!(cascade), node.origin.clone()));
        }
        if let Some(set) = desired.locator.get("set").filter(|set| ensure == Ensure::Present && set.value.is_i64()) {
            let message = "`ensure: present` needs the set's name: an id cannot be chosen";
            diagnostics.push(Diagnostic::error("M306", message, &set.origin));
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
            observe::business(business, &group, all, &mut observation, facts);
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
        let documents: Vec<&Desired> = objects.iter().map(|(desired, _)| *desired).collect();
        // A handle is the id alone, so that what lies in a new set can name it.
        let businesses = match Businesses::of(&documents, &mut observation, facts) {
            Ok(businesses) => businesses,
            Err(error) => {
                fail_all(&error, &documents, &mut observation);
                return observation.step();
            }
        };
        let mut by_business: BTreeMap<i64, Vec<(&Desired, &Value)>> = BTreeMap::new();
        for (desired, handle) in objects {
            let Some(given) = desired.locate("business") else { continue };
            match business_id(businesses.find(given, &mut observation, facts), desired) {
                Ok(id) => by_business.entry(id).or_default().push((desired, handle)),
                Err(observed) => observation.know_if(&desired.id, observed),
            }
        }
        for (business, group) in by_business {
            let documents: Vec<_> = group.iter().map(|(desired, _)| *desired).collect();
            let ids: BTreeSet<_> = group.iter().filter_map(|(_, handle)| handle.as_i64()).collect();
            match sets_by_ids(business, &ids, &observe::fields(&documents), &mut observation, facts) {
                Ok(rows) => {
                    let rows: HashMap<i64, &Json> =
                        rows.into_iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, row))).collect();
                    for (desired, handle) in group {
                        let row = handle.as_i64().and_then(|id| rows.get(&id));
                        let observed =
                            row.map_or_else(ObservedState::absent, |row| ObservedState::Found(live(business, row)));
                        observation.know(&desired.id, observed);
                    }
                }
                Err(error) => fail_all(&error, &documents, &mut observation),
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
            declared.extend(desired.locator.get("set").map(|name| (NAME, name)));
        }
        let changes = attribute_changes(&declared, live, &definition, facts)?;
        let Some(live) = live.filter(|live| is_built_in_set(live)) else { return Ok(changes) };
        // What is only reported, the server need not take.
        let mut sent = changes.iter().filter(|change| desired.policies.of(&change.path) == Policy::Enforce);
        let message = format!("{} is a built-in set: the server lets nobody change it", live.label);
        match sent.next().map(|first| Diagnostic::error("P107", message, &first.because)) {
            Some(problem) => Err(vec![problem]),
            None => Ok(changes),
        }
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        let parent = live.map_or(&context["parent"], |live| live.field(PARENT));
        let held = live.and_then(|live| live.field(NAME).as_str());
        let given = desired.locate("set").and_then(Json::as_str);
        let wanted = wanted_name(desired).or(held).or(given);
        let unique_keys = |name: Option<&str>| name.map(|name| claim(parent, name)).into_iter().collect();
        UniqueKeys { current: unique_keys(held), desired: unique_keys(wanted) }
    }

    fn precondition_fields<'d>(&self, _desired: &'d Desired) -> Option<Vec<&'d str>> {
        Some(vec![NAME, PARENT, "bk_biz_id", "default"])
    }

    fn essentials(&self) -> &'static [&'static str] {
        &[NAME, "bk_set_env", "bk_service_status", "bk_capacity", "description", PARENT, SET_TEMPLATE]
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
        &[MODULES, HOSTS, SERVICE_INSTANCES]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        below::impact(planned, facts)
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
        let is_there = *live.field(PARENT) == context["parent"];
        let keys = NameKeys { key: "set", fields: "fields", name: NAME };
        keys.hint(desired, live.field(NAME).as_str().filter(|_| is_there))
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
        own::declared(MODEL, desired, path, stored, facts)
    }

    fn recreation(&self, desired: &Desired, removed: &Change, facts: &Facts) -> Result<Desired, String> {
        let mut made = decode_common::present(desired);
        let located = |value: &Value| Located::new(value.clone(), desired.origin.clone());
        let name = decode_common::known(removed, NAME).ok_or("its name is not known")?;
        made.locator.insert("set".into(), located(name));
        if decode_common::known(removed, SET_TEMPLATE).and_then(Value::as_i64).is_some_and(|template| template > 0) {
            return Err("it was made from a set template".to_owned());
        }
        let (parent, business) = (decode_common::known(removed, PARENT), decode_common::known(removed, "bk_biz_id"));
        if made.locate("parent").is_none() && parent != business {
            made.locator.extend(parent.map(|parent| ("parent".into(), located(parent))));
        }
        let definition = own::known(MODEL, own::business(&made, None, facts), facts);
        made.fields = decode_common::known_attributes(removed, &definition, facts);
        made.fields.remove(NAME);
        Ok(made)
    }

    /// `create_set` returns the full row; `update_set` returns nothing.
    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        let made = || answer.get("bk_set_id").filter(|id| id.is_i64()).map(Json::to_value);
        planned.live.map_or_else(made, |live| Some(live.handle.to_value()))
    }
}

fn request(planned: &Planned<'_>) -> Request {
    let changed =
        planned.change.fields.iter().map(|field| (field.path.to_string(), field.to.clone().unwrap_or_default()));
    let mut data: Map<String, Value> = changed.collect();
    let Some(live) = planned.live else {
        // Without a custom layer the server checks no parent, and loses a set below a wrong one.
        data.insert(PARENT.to_owned(), planned.context["parent"].to_value());
        let arguments = json!({"bk_biz_id": planned.context["business"], DATA: data});
        return Request { operation: "create_set", arguments, repeatable: false };
    };
    let mut arguments = json!({"bk_biz_id": live.field("bk_biz_id"), "bk_set_id": live.handle});
    if planned.change.action == Action::Delete {
        return Request { operation: "delete_set", arguments, repeatable: true };
    }
    arguments[DATA] = Value::Object(data);
    Request { operation: "update_set", arguments, repeatable: true }
}

fn is_built_in_set(live: &Live) -> bool {
    live.field("default").as_i64().unwrap_or(0) != 0
}

/// Reports a name that the server would refuse: it takes the same as those of modules.
fn check_name(desired: &Desired, diagnostics: &mut Vec<Diagnostic>) {
    let made = desired.locator.get("set").filter(|_| desired.ensure == Ensure::Present);
    let Some(field) = desired.fields.get(NAME).or(made.filter(|name| name.value.is_string())) else { return };
    if let Some(problem) = decode_common::name_problem(&field.value) {
        diagnostics.push(Diagnostic::error("M310", format!("`{NAME}` {problem}"), &field.origin));
    }
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(text).map(str::trim)
}

fn claim(parent: &Json, name: &str) -> String {
    format!("the name `{name}` below #{parent}")
}

/// Returns a set as it is read. Lists of rows leave the business out where it is asked for by the path.
fn live(business: i64, row: &Json) -> Live {
    let mut fields = LiveFields::of_row(row.clone());
    if row["bk_biz_id"] != business {
        fields.insert(FieldPath::field("bk_biz_id"), business.into());
    }
    Live::new(row["bk_set_id"].clone(), sets::label(&row["bk_set_id"]), fields)
}
