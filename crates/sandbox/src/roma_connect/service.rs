//! Carries out a call of ROMA Connect: checks what all calls share, then hands it to its operation.

use serde_json::{Map, Value};

use super::{
    access::Caller,
    app, instance, list, member,
    option::Options,
    query::Query,
    reply::{Failure, Success},
    route::{Operation, Route},
    store::{App, Role, Store},
    view,
};

/// A call, with who makes it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) route: Route,
    pub(super) query: Query,
    /// Empty for operations without a body.
    pub(super) body: Map<String, Value>,
    pub(super) caller: Caller,
    /// Number of the call, from which an unstable order is derived.
    pub(super) number: u64,
}

/// Carries out a call.
pub(super) fn perform(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let route = &call.route;
    for (name, id) in [("project_id", &route.project), ("instance_id", &route.instance), ("app_id", &route.app)] {
        if id.chars().count() > 64 {
            return Err(Failure::parameter(name, "longer than 64 characters"));
        }
    }
    let operation = route.operation;
    if !matches!(operation, Operation::ListInstances | Operation::ListInstancesV3) {
        check_instance(store, route)?;
    }
    match operation {
        Operation::ListApps => list::list(store, options, call),
        Operation::ShowApp => app::show(store, options, call),
        Operation::CreateApp => app::create(store, options, call),
        Operation::UpdateApp => app::update(store, options, call),
        Operation::DeleteApp => app::delete(store, options, call),
        Operation::ValidateApp => app::validate(store, options, call),
        Operation::ShowSecret => app::show_secret(store, options, call),
        Operation::ResetSecret => app::reset_secret(store, options, call),
        Operation::ListMembers => member::list(store, options, call),
        Operation::SetMembers => member::set(store, options, call),
        Operation::ListCandidates => member::candidates(store, options, call),
        Operation::ListInstances => instance::list(store, options, call),
        Operation::ListInstancesV3 => Ok(instance::list_v3(store, call)),
        Operation::CreateToken | Operation::ListProjects => Err(Failure::no_such_api()),
    }
}

fn check_instance(store: &Store, route: &Route) -> Result<(), Failure> {
    let found = store.instances.iter().find(|instance| instance.id == route.instance);
    // An edit by somebody else names no project.
    let in_project = |project: &String| route.project.is_empty() || *project == route.project;
    match found {
        Some(instance) if instance.project.as_ref().is_none_or(in_project) => Ok(()),
        // Invented code and status: the contract knows none (section 4).
        Some(_) | None => {
            Err(Failure::service(404, 15001, "Instance not found", format!("no instance {}", route.instance)))
        }
    }
}

/// Returns the position of the application that a call names, if the caller holds a role on it.
pub(super) fn sought(store: &Store, options: &Options, call: &Call, role: Role) -> Result<usize, Failure> {
    let route = &call.route;
    let is_meant = |app: &App| app.instance == route.instance && app.id == route.app;
    let Some(position) = store.apps.iter().position(is_meant) else {
        let details = format!("no application {}", route.app);
        return Err(match options.text("unknown-app") {
            "forbidden" => Failure::service(403, 101, "error summary", details),
            "bad-request" => Failure::parameter("app_id", details),
            _ => Failure::service(404, 14001, "Application not found", details),
        });
    };
    if !view::roles_of(&store.apps[position], &call.caller).contains(&role) {
        return Err(Failure::no_permission(format!("the role {} is missing", role.name())));
    }
    Ok(position)
}
