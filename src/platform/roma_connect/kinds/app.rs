//! `App`: an integration application, by `PUT …/apps/{app_id}` (contract sections 2 and 3).
//!
//! No page says whether the call merges or replaces. So all three fields are always sent, with the value just read
//! where none is declared: right either way.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    kind::{Claims, Envelope, Facts, Kind, Observation, Planned, Read},
    model::{Call, Desired, Ensure, FieldChange, Fields, Live, Refusal, Request, ResourceId, Rival, Sight},
    platform::roma_connect::door,
    source::Located,
    yaml::{self, Node, Section},
};

/// Largest page of a list.
const PAGE: usize = 500;
/// Longest name, in characters.
const NAME: usize = 256;
/// Longest remark, in characters.
const REMARK: usize = 255;
/// The fields that an update sends.
const FIELDS: &[&str] = &["name", "remark", "favorite"];

/// The kind.
pub(crate) struct App;

impl Kind for App {
    fn name(&self) -> &'static str {
        "App"
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "the spec of an App", diagnostics) else { return Vec::new() };
        let mut desired = Desired {
            id: ResourceId { kind: "App", key: envelope.name.clone() },
            target: envelope.target.clone(),
            ensure: ensure(&section, diagnostics),
            locator: Fields::new(),
            references: Vec::new(),
            fields: Fields::new(),
            labels: envelope.labels.clone(),
            origin: envelope.origin.clone(),
            selected: true,
            protect: false,
            exclusive: false,
        };
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
        if let Some(node) = section.get("members") {
            let message = "`members` is not supported by this version yet";
            diagnostics.push(Diagnostic::error("M301", message, &node.origin));
        }
        if let Some(node) = section.require("fields", diagnostics) {
            desired.fields = fields(node, diagnostics);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], _all: &[&Desired], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let mut by_instance: BTreeMap<&str, Vec<&Desired>> = BTreeMap::new();
        for one in desired {
            if let Some(instance) = instance_of(one, facts) {
                by_instance.entry(instance).or_default().push(one);
                continue;
            }
            let message = "neither this document nor its target names an instance";
            let diagnostic = Diagnostic::error("P201", message, &one.origin)
                .hint("set `instance` here or `instanceId` of the target");
            observation.know(&one.id, Sight::Impossible(Box::new(diagnostic)));
        }
        for (instance, group) in by_instance {
            match list(instance, &mut observation, facts) {
                Ok(Some(apps)) => assign(instance, &group, &apps, &mut observation),
                Ok(None) => {}
                Err(refusal) => {
                    group.iter().for_each(|one| observation.know(&one.id, Sight::Unknown(refusal.to_string())));
                }
            }
        }
        observation
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        for (desired, handle) in objects {
            let arguments = json!({"instance_id": handle["instance"], "app_id": handle["app"]});
            let request = Request { operation: "CheckRomaAppDetails", arguments, repeatable: true };
            let sight = match observation.read(request, facts) {
                Read::Pending => continue,
                Read::Failed(refusal) if refusal.code.as_deref() == Some("ROMA.14001") => Sight::absent(),
                Read::Failed(refusal) => Sight::Unknown(refusal.to_string()),
                Read::Value(app) => Sight::Found(live(handle["instance"].as_str().unwrap_or_default(), app)),
            };
            observation.know(&desired.id, sight);
        }
        observation
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        _facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let mut wanted: Vec<_> = desired.fields.iter().map(|(name, value)| (&**name, value)).collect();
        if live.is_none()
            && desired.field("name").is_none()
            && let Some(name) = desired.locator.get("app")
        {
            wanted.push(("name", name));
        }
        let mut changes: Vec<_> = wanted
            .into_iter()
            .filter(|(name, value)| live.is_none_or(|live| *live.field(name) != value.value))
            .map(|(name, value)| FieldChange {
                path: name.to_owned(),
                from: live.map(|live| live.field(name).clone()),
                to: Some(value.value.clone()),
                because: value.origin.clone(),
            })
            .collect();
        changes.sort_by_key(|change| change.because.bytes.start);
        Ok(changes)
    }

    fn claims(&self, desired: &Desired, live: Option<&Live>, place: &Value) -> Claims {
        let held = live.and_then(|live| live.field("name").as_str());
        let wanted = wanted_name(desired).or(held);
        let instance = live.map_or(place, |live| &live.handle)["instance"].clone();
        let claim = |name: Option<&str>| name.map(|name| claim(instance.as_str(), name)).into_iter().collect();
        Claims { held: claim(held), wanted: claim(wanted) }
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let call = |one: &Planned<'_>| {
            let change = |name: &str| one.change.fields.iter().find(|field| field.path == name)?.to.clone();
            let mut arguments = json!({});
            for name in FIELDS {
                if let Some(value) = change(name).or_else(|| Some(one.live?.field(name).clone())) {
                    arguments[name] = value;
                }
            }
            let request = if let Some(live) = one.live {
                arguments["instance_id"] = live.handle["instance"].clone();
                arguments["app_id"] = live.handle["app"].clone();
                Request { operation: "UpdateRomaApp", arguments, repeatable: true }
            } else {
                arguments["instance_id"] = one.place["instance"].clone();
                Request { operation: "CreateRomaApp", arguments, repeatable: false }
            };
            Call { request, target: one.desired.target.clone(), serves: vec![one.desired.id.clone()] }
        };
        planned.iter().map(call).collect()
    }

    fn handle(&self, planned: &Planned<'_>, answer: &Value) -> Option<Value> {
        if let Some(live) = planned.live {
            return Some(live.handle.clone());
        }
        answer["id"].as_str().map(|id| json!({"instance": planned.place["instance"], "app": id}))
    }

    /// Both writes return the whole application as it is stored (contract section 2.4).
    fn answered(&self, _desired: &Desired, answer: &Value) -> Option<Live> {
        answer["id"].is_string().then(|| live("", answer))
    }
}

fn ensure(section: &Section<'_, '_>, diagnostics: &mut Vec<Diagnostic>) -> Ensure {
    let Some(node) = section.get("ensure") else { return Ensure::Existing };
    match yaml::one_of(node, "`ensure`", &["existing", "present", "absent"], diagnostics) {
        Some("present") => Ensure::Present,
        Some("absent") => {
            let message = "`ensure: absent` is not supported here by this version yet";
            diagnostics.push(Diagnostic::error("M301", message, &node.origin).hint("supported: existing, present"));
            Ensure::Existing
        }
        _ => Ensure::Existing,
    }
}

fn text_into(key: &str, node: &Node<'_>, into: &mut Fields, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(text) = yaml::text(node, &format!("`{key}`"), diagnostics) {
        into.insert(key.into(), Located::new(json!(text), node.origin.clone()));
    }
}

fn fields(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Fields {
    let mut fields = Fields::new();
    let Some(section) = Section::open(node, "`fields`", diagnostics) else { return fields };
    if let Some(node) = section.get("name")
        && let Some(name) = yaml::text(node, "`name`", diagnostics)
    {
        check_name(name, node, diagnostics);
        fields.insert("name".into(), Located::new(json!(name), node.origin.clone()));
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
            fields.insert("remark".into(), Located::new(json!(remark), node.origin.clone()));
        }
    }
    if let Some(node) = section.get("favorite") {
        let favorite = if node.is_null() { Some(false) } else { yaml::boolean(node, "`favorite`", diagnostics) };
        if let Some(favorite) = favorite {
            fields.insert("favorite".into(), Located::new(json!(favorite), node.origin.clone()));
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
    desired.locate("instance").and_then(Value::as_str).or_else(|| facts.settings.get("instanceId").map(String::as_str))
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field("name").or_else(|| desired.locate("app")).and_then(Value::as_str)
}

fn claim(instance: Option<&str>, name: &str) -> String {
    format!("the name `{name}` in the instance {}", instance.unwrap_or_default())
}

/// Reads all applications of an instance; nothing while pages are missing.
fn list<'f>(
    instance: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<BTreeMap<&'f str, &'f Value>>, &'f Refusal> {
    let mut apps = BTreeMap::new();
    let mut offset = 0;
    loop {
        let arguments = door::page(instance, offset, PAGE);
        match observation.read(Request { operation: "ListRomaApp", arguments, repeatable: true }, facts) {
            Read::Pending => return Ok(None),
            Read::Failed(refusal) => return Err(refusal),
            Read::Value(page) => {
                let rows = page["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
                apps.extend(rows.iter().filter_map(|app| Some((app["id"].as_str()?, app))));
                offset += rows.len();
                let total = page["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0);
                if rows.is_empty() || apps.len() >= total {
                    return Ok(Some(apps));
                }
            }
        }
    }
}

fn assign(instance: &str, group: &[&Desired], apps: &BTreeMap<&str, &Value>, observation: &mut Observation) {
    let named = |name: &str| {
        let fits = apps.iter().filter(|(_, app)| app["name"].as_str() == Some(name));
        fits.map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let candidates = group.iter().map(|one| {
        if let Some(id) = one.locate("id").and_then(Value::as_str) {
            return apps.get_key_value(id).map(|(id, _)| *id).into_iter().collect();
        }
        let old = one.locate("app").and_then(Value::as_str).map(named).unwrap_or_default();
        let new = one.field("name").and_then(Value::as_str).map(named).unwrap_or_default();
        old.into_iter().chain(new).collect()
    });
    let assigned = identity::assign(candidates.collect());
    for (one, assigned) in group.iter().zip(&assigned) {
        let rivals = |own: Option<&str>| {
            let holders = wanted_name(one).map(|name| (name, named(name)));
            holders.map_or_else(Vec::new, |(name, holders)| {
                let others = holders.into_iter().filter(|id| Some(*id) != own);
                let claim = claim(Some(instance), name);
                others.map(|id| Rival { claim: claim.clone(), holder: format!("app {id}") }).collect()
            })
        };
        let sight = match assigned {
            Assigned::One(id) => Sight::Found(Live { rivals: rivals(Some(id)), ..live(instance, apps[id]) }),
            Assigned::Nothing => {
                let names: BTreeSet<_> = apps.values().filter_map(|app| app["name"].as_str()).collect();
                Sight::Absent {
                    nearest: names.into_iter().map(str::to_owned).collect(),
                    rivals: rivals(None),
                    place: json!({"instance": instance}),
                }
            }
            Assigned::Several(ids) => {
                let message = format!("{} could mean several apps: {}", one.id, ids.join(", "));
                Sight::Ambiguous(Box::new(
                    Diagnostic::error("P105", message, &one.origin)
                        .hint("give its id; a swap of names takes two applies with a third name between them"),
                ))
            }
            Assigned::Shared(others) => {
                let message = format!("{} means the same app as another document", one.id);
                let diagnostic = Diagnostic::error("P105", message, &one.origin);
                Sight::Ambiguous(Box::new(others.iter().fold(diagnostic, |diagnostic, other| {
                    diagnostic.also(&group[*other].origin, format!("{} means it too", group[*other].id))
                })))
            }
        };
        observation.know(&one.id, sight);
    }
}

fn live(instance: &str, app: &Value) -> Live {
    let remark = app["remark"].as_str().unwrap_or_default();
    let fields = [
        ("name".into(), app["name"].clone()),
        ("remark".into(), json!(remark)),
        ("favorite".into(), json!(app["favorite"].as_bool().unwrap_or(false))),
    ];
    let label = format!("app {}", app["id"].as_str().unwrap_or_default());
    Live::new(json!({"instance": instance, "app": app["id"]}), label, fields.into())
}
