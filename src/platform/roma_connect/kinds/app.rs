//! `App`: an integration application, by `PUT …/apps/{app_id}` (contract sections 2 and 3).
//!
//! No page says whether the call merges or replaces. So all three fields are always sent, with the value just read
//! where none is declared: right either way. Under a server that merges, it can undo somebody else's change to a field
//! that is not declared, made between the read and the write.

mod author;
mod export;
mod member;
mod observed;
mod prune;
mod read;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use serde_json::{Value, json};

use self::{observed::observe_instance, read::Missing};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Fields, Json, KnownField, Layout,
        Live, LiveFields, Locator, ObservedState, Request, ResourceId, policy::Policies,
    },
    provider::{
        Authors, Cursor, Envelope, ExportResult, ExportScope, Facts, Impact, Kind, NameKeys, Observation, Planned,
        Reversal, ScopeKey, Step, UniqueKeys, export_step, reversal,
    },
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// Longest name, in characters.
const NAME: usize = 256;
/// Longest remark, in characters.
const REMARK: usize = 255;
/// The fields that an update sends.
const FIELDS: &[&str] = &["name", "remark", "favorite"];

/// The keys of a handle.
static HANDLE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["app", "instance"]));
/// The fields of a live app.
static LIVE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["favorite", "name", "remark"]));

/// The keys of `spec`.
static SPEC: Form = Form::new(&[
    Key::new("app", Shape::Name, "the name of the app"),
    Key::new("id", Shape::Text, "the app's id, instead of `app`"),
    Key::new("instance", Shape::Text, "the id of the ROMA instance; by default `instanceId` of the target"),
    Key::new(
        "fields",
        Shape::Mapping(&FIELD_FORM),
        "the declared fields; with `members` or `absent` they can be left out",
    )
    .required_unless(&[("members", ""), ("ensure", "absent")]),
    Key::new(
        "members",
        Shape::AnyOf(&[Shape::List(&Shape::Mapping(&member::FORM), 0), Shape::Null]),
        "the complete list of members",
    ),
    Key::new("ensure", Shape::OneOf(ENSURE), "`existing` (the default), `present` or `absent`"),
])
.exactly_one(&["app", "id"]);

/// The values of `ensure`.
const ENSURE: &[&str] = &["existing", "present", "absent"];

/// The keys of `fields`.
static FIELD_FORM: Form = Form::new(&[
    Key::new("name", Shape::Name, "1 to 256 characters: letters, digits, Chinese characters, blanks and `-_.()（）`"),
    Key::new("remark", Shape::AnyOf(&[Shape::Text, Shape::Null]), "a text of at most 255 characters"),
    Key::new("favorite", Shape::AnyOf(&[Shape::Boolean, Shape::Null]), "true or false"),
]);

/// The kind.
pub(crate) struct App;

impl Kind for App {
    fn name(&self) -> &'static str {
        "App"
    }

    fn spec_form(&self) -> &'static Form {
        &SPEC
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::of(spec, "the spec of an App", &SPEC, diagnostics) else { return Vec::new() };
        let mut desired = envelope.desired(self.name(), ensure(&section, diagnostics));
        match (section.get("app"), section.get("id")) {
            (Some(node), None) => {
                if let Some(name) = yaml::text(node, "`app`", diagnostics) {
                    check_name(name, node, diagnostics);
                    desired.locator.insert("app".into(), Located::new(json!(name), node.origin.clone()));
                }
            }
            (None, Some(node)) => {
                text_into("id", node, &mut desired.locator, diagnostics);
                if desired.ensure == Ensure::Present {
                    let message = "`ensure: present` needs `app`: an id cannot be chosen";
                    diagnostics.push(Diagnostic::error("M306", message, &node.origin));
                }
            }
            (Some(_), Some(node)) => {
                let message = "an app is picked by `app` or by `id`, not by both";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (None, None) => {
                let message = "the spec of an App needs `app` or `id`";
                diagnostics.push(Diagnostic::error("M306", message, &envelope.origin));
            }
        }
        if let Some(node) = section.get("instance") {
            text_into("instance", node, &mut desired.locator, diagnostics);
        }
        let has_members = section.node().get("members").is_some();
        // Somebody may manage nothing of an app but its members.
        let node = if has_members || desired.ensure == Ensure::Absent {
            section.get("fields")
        } else {
            section.require("fields", diagnostics)
        };
        if let Some(node) = node {
            desired.fields = fields(node, diagnostics);
        }
        let members = section.get("members").map(|node| member::decode(&desired, node, diagnostics));
        // They go with it.
        let members = members.filter(|_| desired.ensure != Ensure::Absent);
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) {
            return Vec::new();
        }
        std::iter::once(desired).chain(members).collect()
    }

    fn observe(&self, desired: &[&Desired], _all: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        let (members, mut apps): (Vec<&Desired>, Vec<&Desired>) =
            desired.iter().partition(|desired| member::is_members(desired));
        // Members may be looked up without their app.
        let missing: Vec<Desired> = members.iter().map(|desired| member::app(desired)).collect();
        if !missing.is_empty() {
            let known: HashSet<&ResourceId> = apps.iter().map(|desired| &desired.id).collect();
            apps.extend(missing.iter().filter(|desired| !known.contains(&desired.id)));
        }
        let mut by_instance: BTreeMap<&str, Vec<&Desired>> = BTreeMap::new();
        for desired in apps {
            if let Some(instance) = instance_of(desired, facts) {
                by_instance.entry(instance).or_default().push(desired);
                continue;
            }
            let message = "neither this document nor its target names an instance";
            let diagnostic = Diagnostic::error("P201", message, &desired.origin)
                .hint("set `instance` here or `instanceId` of the target");
            observation.know(&desired.id, ObservedState::Impossible(Box::new(diagnostic)));
        }
        for (instance, group) in by_instance {
            observe_instance(instance, &group, &mut observation, facts);
        }
        let mut known: HashMap<ResourceId, Box<ObservedState>> = HashMap::new();
        for (id, observed) in observation.known.iter().filter(|_| !members.is_empty()) {
            known.entry(id.clone()).or_insert_with(|| observed.clone());
        }
        for (desired, app) in members.iter().zip(&missing) {
            if let Some(observed) = known.get(&app.id) {
                member::observe(desired, &app.id, observed, &mut observation, facts);
            }
        }
        observation.step()
    }

    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("instance")] })
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        prune::prune(scopes, all, facts).step()
    }

    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        Some(const { &[ScopeKey::name("instance")] })
    }

    fn export_parts(&self) -> &'static [&'static str] {
        &[member::PART]
    }

    fn export(&self, export: &ExportScope<'_>, from: &Cursor, facts: &Facts) -> Step<ExportResult> {
        let mut observation = Observation::default();
        let page = export::export(export, from, &mut observation, facts);
        export_step(observation.ask, page)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for (desired, handle) in objects {
            let text = |key: &str| handle[key].as_str().unwrap_or_default();
            let observed = if member::is_members(desired) {
                member::read(&(*handle).into(), &mut observation, facts)
            } else {
                match read::show(text("instance"), text("app"), &mut observation, facts) {
                    Ok(None) => None,
                    Ok(Some(Ok(app))) => Some(ObservedState::Found(live(text("instance"), app))),
                    Ok(Some(Err(Missing::Gone))) => Some(ObservedState::absent()),
                    Ok(Some(Err(Missing::Hidden))) => {
                        Some(ObservedState::Unknown("it exists but is not visible to this identity".to_owned()))
                    }
                    Err(refusal) => Some(ObservedState::Unknown(refusal.to_string())),
                }
            };
            if let Some(observed) = observed {
                observation.know(&desired.id, observed);
            }
        }
        observation.step()
    }

    fn is_listed_with(&self, desired: &Desired, other: &Desired, facts: &Facts) -> bool {
        !member::is_members(desired) && instance_of(desired, facts) == instance_of(other, facts)
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        _facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        if member::is_members(desired) {
            return Ok(member::compare(desired, live));
        }
        let mut wanted: Vec<_> = desired.fields.iter().map(|(path, value)| (path.as_str(), value)).collect();
        if live.is_none()
            && desired.field("name").is_none()
            && let Some(name) = desired.locator.get("app")
        {
            wanted.push(("name", name));
        }
        let mut changes: Vec<_> = wanted
            .into_iter()
            .filter(|(name, value)| live.is_none_or(|live| !same(&value.value, live.field(name))))
            .map(|(name, value)| FieldChange {
                path: FieldPath::field(name),
                from: live.map(|live| live.field(name).to_value()),
                to: Some(value.value.to_value()),
                display: None,
                because: value.origin.clone(),
            })
            .collect();
        changes.sort_by_key(|change| change.because.order());
        Ok(changes)
    }

    fn unique_keys(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        if member::is_members(desired) {
            return UniqueKeys::default();
        }
        let held = live.and_then(|live| live.field("name").as_str());
        let wanted = wanted_name(desired, live);
        let instance = live.map_or(context.handle(), |live| &live.handle)["instance"].clone();
        let claim = |name: Option<&str>| name.map(|name| claim(instance.as_str(), name)).into_iter().collect();
        UniqueKeys { current: claim(held), desired: claim(wanted) }
    }

    /// The PUT sends name, remark and favorite back, whichever of them is declared.
    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn essentials(&self) -> &'static [&'static str] {
        &["name", "remark"]
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| {
            if member::is_members(planned.desired) {
                return member::call(planned);
            }
            if planned.change.action == Action::Delete {
                let handle = &planned.change.handle;
                let arguments = json!({"instance_id": handle["instance"], "app_id": handle["app"]});
                let request = Request { operation: "DeleteRomaApp", arguments, repeatable: true };
                return Call {
                    request,
                    target: planned.desired.target.clone(),
                    serves: vec![planned.desired.id.clone()],
                };
            }
            let change = |name: &str| planned.change.fields.iter().find(|field| field.path == name)?.to.clone();
            let mut arguments = json!({});
            for name in FIELDS {
                if let Some(value) = change(name).or_else(|| Some(planned.live?.field(name).to_value())) {
                    arguments[name] = value;
                }
            }
            let request = if let Some(live) = planned.live {
                arguments["instance_id"] = live.handle["instance"].to_value();
                arguments["app_id"] = live.handle["app"].to_value();
                Request { operation: "UpdateRomaApp", arguments, repeatable: true }
            } else {
                arguments["instance_id"] = planned.context["instance"].to_value();
                Request { operation: "CreateRomaApp", arguments, repeatable: false }
            };
            Call { request, target: planned.desired.target.clone(), serves: vec![planned.desired.id.clone()] }
        };
        planned.iter().map(call).collect()
    }

    fn impact_units(&self) -> &'static [&'static str] {
        member::NOUNS
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        member::impact(planned, facts)
    }

    fn rename_hint(&self, desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
        let is_there = live.handle["instance"] == context["instance"] && !member::is_members(desired);
        let keys = NameKeys { key: "app", fields: "fields", name: "name" };
        keys.hint(desired, live.field("name").as_str().filter(|_| is_there))
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        author::changed(planned, facts)
    }

    fn touched(&self, objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
        author::touched(objects, facts)
    }

    fn handle(&self, planned: &Planned<'_>, answer: &Json) -> Option<Value> {
        if let Some(live) = planned.live {
            return Some(live.handle.to_value());
        }
        answer["id"].as_str().map(|id| json!({"instance": planned.context["instance"], "app": id}))
    }

    /// All writes but a removal answer with what is stored, whole (contract sections 2.4 and 2.6).
    fn answered(&self, desired: &Desired, answer: &Json) -> Option<Live> {
        answer["id"].as_str()?;
        if member::is_members(desired) {
            return member::live(json!({"app": answer["id"]}).into(), answer);
        }
        let is_whole = answer["name"].is_string() && answer["favorite"].is_boolean();
        is_whole.then(|| live("", answer))
    }

    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        if member::is_members(desired) {
            return member::reversal(desired, live, changes);
        }
        reversal::fields(self, desired, live, changes, facts)
    }

    /// The members of an app that a run created go with it.
    fn removal(&self, desired: &Desired) -> Option<Desired> {
        let fields = Fields::new();
        let removal = Desired { ensure: Ensure::Absent, fields, policies: Policies::default(), ..desired.clone() };
        (!member::is_members(desired)).then_some(removal)
    }

    fn recreation(&self, desired: &Desired, removed: &Change, _facts: &Facts) -> Result<Desired, String> {
        let mut made = Desired { ensure: Ensure::Present, policies: Policies::default(), ..desired.clone() };
        made.locator.remove("id");
        let known = removed.before.iter().filter(|field| FIELDS.contains(&field.path.as_str()));
        let value =
            |field: &KnownField| (field.path.clone(), Located::new(field.value.clone(), desired.origin.clone()));
        made.fields = known.map(value).collect();
        let name = made.fields.get("name").cloned().ok_or("its name is not known")?;
        made.locator.insert("app".into(), name);
        Ok(made)
    }

    fn suppressed(&self, field: &FieldChange) -> Option<&'static str> {
        let emptied = field.path == "remark" && field.to.as_ref().and_then(Value::as_str) == Some("");
        emptied.then_some("the server did not accept the empty remark")
    }
}

/// A blank at the end of a text means nothing where the server keeps one.
fn same(declared: &Json, live: &Json) -> bool {
    match (declared.as_str(), live.as_str()) {
        (Some(declared), Some(live)) => declared.trim_end() == live.trim_end(),
        _ => declared == live,
    }
}

fn ensure(section: &Section<'_, '_>, diagnostics: &mut Vec<Diagnostic>) -> Ensure {
    let Some(node) = section.get("ensure") else { return Ensure::Existing };
    match yaml::one_of(node, "`ensure`", ENSURE, diagnostics) {
        Some("present") => Ensure::Present,
        Some("absent") => Ensure::Absent,
        _ => Ensure::Existing,
    }
}

fn text_into(key: &str, node: &Node<'_>, into: &mut Locator, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(text) = yaml::text(node, &format!("`{key}`"), diagnostics) {
        into.insert(key.into(), Located::new(json!(text), node.origin.clone()));
    }
}

fn fields(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Fields {
    let mut fields = Fields::new();
    let Some(section) = Section::of(node, "`fields`", &FIELD_FORM, diagnostics) else { return fields };
    if let Some(node) = section.get("name")
        && let Some(name) = yaml::text(node, "`name`", diagnostics)
    {
        check_name(name, node, diagnostics);
        fields.insert(FieldPath::field("name"), Located::new(json!(name), node.origin.clone()));
    }
    if let Some(node) = section.get("remark") {
        // The server has no null: an application without a remark has an empty one.
        let remark = if node.is_null() { Some("") } else { yaml::text(node, "`remark`", diagnostics) };
        if let Some(remark) = remark {
            let length = remark.chars().count();
            if length > REMARK {
                let message = format!("`remark` takes at most {REMARK} characters, not {length}");
                diagnostics.push(Diagnostic::error("M401", message, &node.origin));
            }
            fields.insert(FieldPath::field("remark"), Located::new(json!(remark), node.origin.clone()));
        }
    }
    if let Some(node) = section.get("favorite") {
        let favorite = if node.is_null() { Some(false) } else { yaml::boolean(node, "`favorite`", diagnostics) };
        if let Some(favorite) = favorite {
            fields.insert(FieldPath::field("favorite"), Located::new(json!(favorite), node.origin.clone()));
        }
    }
    section.finish(diagnostics);
    fields
}

/// Reports a name that the server would refuse (contract section 3).
fn check_name(name: &str, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let length = name.chars().count();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_. ()（）".contains(letter) || is_chinese(letter);
    let problem = if length == 0 || length > NAME {
        Some(format!("takes 1 to {NAME} characters, not {length}"))
    } else if name.trim() != name {
        Some("neither begins nor ends with a blank".to_owned())
    } else {
        name.chars()
            .find(|letter| !allowed(*letter))
            .map(|letter| format!("takes letters, digits, Chinese characters, blanks and `-_.()（）`, not `{letter}`"))
    };
    if let Some(problem) = problem {
        diagnostics.push(Diagnostic::error("M402", format!("the name of an app {problem}"), &node.origin));
    }
}

fn is_chinese(letter: char) -> bool {
    matches!(letter, '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

fn instance_of<'a>(desired: &'a Desired, facts: &'a Facts) -> Option<&'a str> {
    desired.locate("instance").and_then(Json::as_str).or_else(|| facts.settings.get("instanceId").map(String::as_str))
}

/// The name that an app is to have: the declared one, else the one it has.
fn wanted_name<'a>(desired: &'a Desired, live: Option<&'a Live>) -> Option<&'a str> {
    let declared = desired.field("name").and_then(Json::as_str);
    declared.or_else(|| match live {
        Some(live) => live.field("name").as_str(),
        None => desired.locate("app").and_then(Json::as_str),
    })
}

fn claim(instance: Option<&str>, name: &str) -> String {
    format!("the name `{name}` in the instance {}", instance.unwrap_or_default())
}

fn live(instance: &str, app: &Json) -> Live {
    let remark = app["remark"].as_str().unwrap_or_default();
    let favorite = app["favorite"].as_bool().unwrap_or(false);
    let fields = LIVE.object([favorite.into(), app["name"].clone(), remark.into()]);
    let label = format!("app {}", app["id"].as_str().unwrap_or_default());
    Live::new(HANDLE.object([app["id"].clone(), instance.into()]), label, LiveFields::of_row(fields))
}
