//! With whom an app is shared: `members`, the full list (contract section 2.6).
//!
//! They are an object of their own in a plan, as they are a call of their own: `App/orders → members`.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Desired, Ensure, FieldChange, FieldPath, Fields, Json, Live, LiveFields, ObservedState,
        Reference, Request, ResourceId, Row,
    },
    provider::{Facts, Impact, ImpactSet, Observation, Planned, Read, Reversal, Step},
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape, write::Tree},
};

/// All roles that there are, as the server lists them.
const ROLES: &[&str] = &["read", "access", "delete", "modify", "admin"];
/// The entry of a locator that says that members are meant, with the place of their list.
pub(super) const PART: &str = "members";

/// The keys of a member.
pub(super) static FORM: Form = Form::new(&[
    Key::new("id", Shape::Name, "the id of an IAM user").required(),
    Key::new(
        "roles",
        Shape::List(&Shape::OneOf(ROLES), 0),
        "a list of `read`, `access`, `delete`, `modify` and `admin`",
    )
    .required(),
]);

/// Returns true if a document's object are the members of an app.
pub(super) fn is_members(desired: &Desired) -> bool {
    desired.locator.contains_key(PART)
}

/// Reads the list; the app is the one of the same document.
pub(super) fn decode(app: &Desired, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Desired {
    let mut fields = Fields::new();
    let rows = if node.is_null() { None } else { yaml::list(node, "`members`", diagnostics) };
    for row in rows.unwrap_or_default() {
        let Some(section) = Section::of(row, "a member", &FORM, diagnostics) else { continue };
        let id = section.require("id", diagnostics);
        let id = id.and_then(|node| Some((yaml::text(node, "the `id` of a member", diagnostics)?, node)));
        let names = section.require("roles", diagnostics);
        let roles = names.map(|node| roles(node, diagnostics)).unwrap_or_default();
        section.finish(diagnostics);
        let Some((id, node)) = id else { continue };
        if id.is_empty() {
            diagnostics.push(Diagnostic::error("M403", "the `id` of a member must not be empty", &node.origin));
        }
        let place = Located::new(expanded(roles), row.origin.clone());
        if let Some(first) = fields.insert(path(id), place) {
            let message = format!("the member {id} is listed twice");
            diagnostics.push(Diagnostic::error("M403", message, &node.origin).also(&first.origin, "first here"));
        }
    }
    let mut locator = app.locator.clone();
    locator.insert(PART.into(), Located::new(Value::Null, node.origin.clone()));
    if let Some(name) = app.fields.get("name") {
        locator.insert("name".into(), name.clone());
    }
    Desired {
        id: app.id.with_part(PART),
        locator,
        references: vec![Reference { to: app.id.clone(), origin: node.origin.clone() }],
        fields,
        ..app.clone()
    }
}

fn roles(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for item in yaml::list(node, "`roles`", diagnostics).unwrap_or_default() {
        roles.extend(yaml::one_of(item, "a role", ROLES, diagnostics).map(str::to_owned));
    }
    roles
}

fn path(id: &str) -> FieldPath {
    FieldPath::field(PART).row_id(id)
}

/// Returns the roles as the server stores them: an administrator holds all, and everybody reads.
fn expanded(mut roles: BTreeSet<String>) -> Value {
    if roles.contains("admin") {
        roles = ROLES.iter().map(|role| (*role).to_owned()).collect();
    }
    roles.insert("read".to_owned());
    json!(roles)
}

/// Returns the app that a list of members belongs to, as a document of its own.
pub(super) fn app(members: &Desired) -> Desired {
    let mut app = members.clone();
    app.locator.remove(PART);
    app.fields = app.locator.remove("name").map(|name| (FieldPath::field("name"), name)).into_iter().collect();
    app.references = Vec::new();
    if let Some(reference) = members.references.first() {
        app.id = reference.to.clone();
    }
    app
}

/// Says what is known of the members of an app of which this is known.
pub(super) fn observe(
    desired: &Desired,
    app: &ResourceId,
    observed: &ObservedState,
    observation: &mut Observation,
    facts: &Facts,
) {
    let observed = match observed {
        ObservedState::Found(live) => match read(&live.handle, observation, facts) {
            None => return,
            Some(observed) => observed,
        },
        // None are there, and none are wanted.
        ObservedState::Absent { .. } if desired.fields.is_empty() => {
            ObservedState::Found(Live::new(Value::Null, String::new(), LiveFields::new()))
        }
        ObservedState::Absent { context, .. } if desired.ensure == Ensure::Present => {
            let mut context = context.clone();
            context.set_made("app", app);
            ObservedState::Absent { nearest: Vec::new(), key_conflicts: Vec::new(), context }
        }
        ObservedState::Absent { .. }
        | ObservedState::Needs(_)
        | ObservedState::Ambiguous(_)
        | ObservedState::Impossible(_)
        | ObservedState::Unknown(_) => ObservedState::Needs(app.clone()),
    };
    observation.know(&desired.id, observed);
}

/// Returns the request for the members of an app.
pub(super) fn request(handle: &Json) -> Request {
    let arguments = json!({"instance_id": handle["instance"], "app_id": handle["app"]});
    Request { operation: "CheckAuthUsersOfApp", arguments, repeatable: true }
}

/// Reads the members of an app; none while the answer is missing.
pub(super) fn read(handle: &Json, observation: &mut Observation, facts: &Facts) -> Option<ObservedState> {
    match observation.read(request(handle), facts) {
        Read::Pending => None,
        Read::Failed(refusal) => Some(ObservedState::Unknown(refusal.to_string())),
        Read::Value(answer) => Some(live(handle.clone(), answer).map_or_else(
            || ObservedState::Unknown("the list of members was not understood".to_owned()),
            ObservedState::Found,
        )),
    }
}

/// Reads the members from an answer.
pub(super) fn live(handle: Json, answer: &Json) -> Option<Live> {
    let mut fields = LiveFields::new();
    for row in answer["users"].as_array()? {
        // A proper list, or one text with commas.
        let names = row["roles"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let names = names.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned());
        let roles = expanded(names.filter(|name| !name.is_empty()).collect());
        fields.insert(path(row["id"].as_str()?), roles.into());
    }
    let label = format!("members of app {}", handle["app"].as_str().unwrap_or_default());
    Some(Live::new(handle, label, fields))
}

/// Returns the members as a document lists them. Who administers holds all other roles too.
pub(super) fn tree(live: &Live) -> Tree {
    let is_admin = |roles: &Json| roles.items().iter().any(|role| *role == "admin");
    let names = |roles: &Json| {
        let all = roles.items().iter().filter_map(Json::as_str);
        if is_admin(roles) { vec![Tree::text("admin")] } else { all.map(Tree::text).collect() }
    };
    let row = |(path, roles): (&FieldPath, &Json)| match path.row() {
        Some(Row::Id(id)) => Some(Tree::Flow(vec![
            ("id".to_owned(), Tree::text(id.to_string())),
            ("roles".to_owned(), Tree::List(names(roles))),
        ])),
        _ => None,
    };
    Tree::List(live.fields.iter().filter_map(row).collect())
}

/// Returns whose roles differ, those behind the others who are no longer to be members.
pub(super) fn compare(desired: &Desired, live: Option<&Live>) -> Vec<FieldChange> {
    let list = desired.locator.get(PART).map_or(&desired.origin, |list| &list.origin);
    let mut changes: Vec<_> = desired
        .fields
        .iter()
        .map(|(path, roles)| (path, live.and_then(|live| live.fields.get(path)), roles))
        .filter(|(_, is, wanted)| *is != Some(&wanted.value))
        .map(|(path, is, wanted)| FieldChange {
            path: path.clone(),
            from: is.map(Json::to_value),
            to: Some(wanted.value.to_value()),
            display: None,
            because: wanted.origin.clone(),
        })
        .collect();
    changes.sort_by_key(|change| change.because.order());
    let gone = live.iter().flat_map(|live| live.fields.iter()).filter(|(path, _)| !desired.fields.contains_key(*path));
    changes.extend(gone.map(|(path, roles)| FieldChange {
        path: path.clone(),
        from: Some(roles.to_value()),
        to: None,
        display: None,
        because: list.clone(),
    }));
    changes
}

/// Returns the reversal of a list: the members that it has now, but for those whose roles are put back.
pub(super) fn reversal(desired: &Desired, live: &Live, changes: &[FieldChange]) -> Reversal {
    let mut reversal = Reversal::none(desired);
    let kept =
        |(path, roles): (&FieldPath, &Json)| (path.clone(), Located::new(roles.to_value(), desired.origin.clone()));
    reversal.desired.fields = live.fields.iter().map(kept).collect();
    for change in changes {
        let now = live.fields.get(&change.path).map(Json::to_value);
        if now == change.from {
            continue;
        }
        if now != change.to {
            reversal.leave_overtaken(change, now.as_ref());
            continue;
        }
        match &change.from {
            Some(roles) => {
                let roles = Located::new(roles.clone(), change.because.clone());
                reversal.desired.fields.insert(change.path.clone(), roles);
            }
            None => drop(reversal.desired.fields.remove(&change.path)),
        }
        reversal.is_needed = true;
    }
    reversal
}

/// Returns the call that makes the list as declared, whatever it is.
pub(super) fn call(planned: &Planned<'_>) -> Call {
    let handle = planned.live.map_or(planned.context.handle(), |live| &live.handle);
    let mut rows: Vec<_> = planned.desired.fields.iter().collect();
    rows.sort_by_key(|(_, roles)| roles.origin.bytes.start);
    let user = |(path, roles): &(&FieldPath, &Located<Json>)| match path.row() {
        Some(Row::Id(id)) => Some(json!({"id": id, "roles": roles.value})),
        _ => None,
    };
    let users: Vec<_> = rows.iter().filter_map(user).collect();
    let arguments = json!({"instance_id": handle["instance"], "app_id": handle["app"], "users": users});
    let request = Request { operation: "AddUserToApp", arguments, repeatable: true };
    Call { request, target: planned.desired.target.clone(), serves: vec![planned.desired.id.clone()] }
}

/// The units of an app's impact: those with whom it is shared, and the APIs that it may call.
pub(super) const NOUNS: &[&str] = &["members", "apis"];

/// Counts what goes with apps that are removed; other changes of an app reach nobody else. Which APIs it may call is
/// not said by any page that these calls rest on.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    for item in planned {
        let Some(app) = item.live else { continue };
        if item.change.action != Action::Delete {
            NOUNS.iter().for_each(|unit| impact.set_none(&item.desired.id, unit));
            continue;
        }
        let members = match read(&app.handle, &mut observation, facts) {
            Some(ObservedState::Found(list)) => {
                let mut members = ImpactSet::default();
                let of = app.handle["app"].as_str().unwrap_or_default();
                list.fields.keys().for_each(|path| members.add(format!("{path} of app {of}")));
                Some(Arc::new(members))
            }
            _ => None,
        };
        impact.note(&item.desired.id, "members", members);
        impact.note(&item.desired.id, "apis", None);
    }
    Step::new(observation.ask, impact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_compared_as_the_server_keeps_them() {
        let check = |roles: &[&str], expected: &[&str]| {
            assert_eq!(expanded(roles.iter().map(|role| (*role).to_owned()).collect()), json!(expected));
        };
        check(&[], &["read"]);
        check(&["modify"], &["modify", "read"]);
        check(&["admin"], &["access", "admin", "delete", "modify", "read"]);
        let answer = json!({"users": [{"id": "u1", "roles": ["read, modify"]}, {"id": "u2", "roles": ["admin"]}]});
        let live = live(json!({"app": "a1"}).into(), &answer.into()).expect("understood");
        assert_eq!(live.field("members[u1]"), &json!(["modify", "read"]));
        assert_eq!(live.field("members[u2]"), &json!(["access", "admin", "delete", "modify", "read"]));
    }
}
