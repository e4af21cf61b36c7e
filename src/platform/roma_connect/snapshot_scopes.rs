//! The whole scopes that precise reads are answered from: the instances of a project, the apps of an instance, with
//! whom they are shared.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    codes,
    list::{self, number},
};
use crate::{
    model::{Json, Refusal, Request, Retry},
    provider::{
        Catalog, Facts, Observation, Read, Step,
        scope::{ScopeRows, ScopeSchema, only_read},
    },
};

/// Scopes of the kind's reads.
pub(super) struct Scopes;

const INSTANCE: &str = "instance_id";
/// Largest page of instances, and the last offset that the server takes.
const INSTANCES: usize = 100;
/// The fields of an application that the kind reads: neither its key nor its secret, nor who made it.
const APP: &[&str] = &["id", "name", "remark", "favorite"];
/// The fields that tell who made and changed an application.
const AUTHORS: &[&str] = &["owner", "created_user", "create_time", "last_updated_user", "update_time"];

/// Returns what is kept of an application.
fn kept(app: &Json, facts: &Facts) -> Value {
    let authors = if facts.with_authors { AUTHORS } else { &[] };
    only_read(app, &[APP, authors].concat())
}

impl ScopeSchema for Scopes {
    /// The owner of a name can only be asked for: the list does not show what belongs to others. For a name that was
    /// not asked for, the list is the next best.
    fn scopes(&self, request: &Request) -> Vec<Request> {
        let instance = json!({INSTANCE: request.arguments[INSTANCE]});
        let of = |operation, arguments| Request { operation, arguments, repeatable: true };
        let itself = || of(request.operation, request.arguments.clone());
        match request.operation {
            "CheckRomaInstanceListV2" => vec![of("CheckRomaInstanceListV2", json!({}))],
            "ListRomaApp" => vec![of("ListRomaApp", instance)],
            "CheckAuthUsersOfApp" => vec![of("CheckAuthUsersOfApp", instance), itself()],
            "ValidateRomaApp" => vec![itself(), of("ListRomaApp", instance)],
            "CheckRomaAppDetails" => vec![itself()],
            _ => Vec::new(),
        }
    }

    fn needs(&self, scope: &Request) -> Vec<Request> {
        let is_all = scope.operation == "CheckAuthUsersOfApp" && scope.arguments.get("app_id").is_none();
        is_all.then(|| Request { operation: "ListRomaApp", ..scope.clone() }).into_iter().collect()
    }

    fn related(&self, scope: &Request) -> Vec<Request> {
        if scope.operation != "ListRomaApp" {
            return Vec::new();
        }
        let instances = Request { operation: "CheckRomaInstanceListV2", arguments: json!({}), repeatable: true };
        // With whom an app is shared is counted where it is to go.
        vec![instances, Request { operation: "CheckAuthUsersOfApp", ..scope.clone() }]
    }

    fn rows(&self, scope: &Request, needs: &[Arc<ScopeRows>], facts: &Facts) -> Result<Step<Vec<Value>>, Refusal> {
        let mut observation = Observation::default();
        let rows = match scope.operation {
            "CheckRomaInstanceListV2" => instances(scope, &mut observation, facts)?,
            "ListRomaApp" => apps(scope, &mut observation, facts)?,
            "CheckAuthUsersOfApp" if !needs.is_empty() => all_members(scope, needs, &mut observation, facts)?,
            "CheckAuthUsersOfApp" => {
                let app = &scope.arguments["app_id"];
                single_answer(scope.clone(), &mut observation, facts)?.map(|answer| vec![members(app, answer)])
            }
            _ => single_answer(scope.clone(), &mut observation, facts)?.map(|app| vec![kept(app, facts)]),
        };
        Ok(rows.map_or(Step::Ask(observation.ask), Step::Done))
    }

    fn is_answer(&self, scope: &Request, refusal: &Refusal) -> bool {
        match scope.operation {
            "CheckRomaInstanceListV2" => codes::is_forbidden(refusal),
            "ValidateRomaApp" => codes::is_forbidden(refusal) || codes::is_absent(refusal),
            // One of several codes refuses an id that is wrong; all others leave open whether there is such an app.
            "CheckRomaAppDetails" => {
                let is_final = !refusal.lost && refusal.retry == Retry::Never;
                is_final && (codes::is_forbidden(refusal) || codes::is_absent(refusal) || codes::is_invalid(refusal))
            }
            _ => false,
        }
    }

    fn describe(&self, operation: &str, _arguments: &Value, scope_rows: &ScopeRows, catalog: &mut Catalog) {
        if operation == "ListRomaApp" {
            catalog.add_values("App", "", "app", scope_rows.rows().iter().filter_map(|app| app["name"].as_str()));
        }
    }

    fn select(&self, request: &Request, scope: &Request, scope_rows: &ScopeRows) -> Option<Result<Value, Refusal>> {
        let arguments = &request.arguments;
        let is_itself = *request == *scope;
        let page = |list: &str| json!({"total": scope_rows.rows().len(), list: paged(scope_rows.rows(), arguments)});
        match request.operation {
            "CheckRomaInstanceListV2" => Some(Ok(page("instances"))),
            "ListRomaApp" => Some(Ok(page("apps"))),
            "CheckAuthUsersOfApp" => {
                scope_rows.among("app", [&arguments["app_id"]]).first().map(|row| Ok(json!({"users": row["users"]})))
            }
            "ValidateRomaApp" if !is_itself => {
                let (key, value) = ["id", "name"].iter().find_map(|key| Some((*key, arguments.get(*key)?)))?;
                let found = scope_rows.among(key, [value]).first().map(|row| (*row).clone());
                Some(found.ok_or_else(codes::no_such_app))
            }
            _ => scope_rows.rows().first().cloned().map(Ok),
        }
    }
}

fn single_answer<'f>(
    request: Request,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<&'f Json>, Refusal> {
    match observation.read(request, facts) {
        Read::Pending => Ok(None),
        Read::Failed(refusal) => Err(refusal.clone()),
        Read::Value(value) => Ok(Some(value)),
    }
}

fn paged<'r>(rows: &'r [Value], arguments: &Value) -> Vec<&'r Value> {
    let number = |key: &str| arguments[key].as_u64().and_then(|number| usize::try_from(number).ok());
    rows.iter().skip(number("offset").unwrap_or(0)).take(number("limit").unwrap_or(usize::MAX)).collect()
}

/// Reads the state of all instances that the server lists.
fn instances(scope: &Request, observation: &mut Observation, facts: &Facts) -> Result<Option<Vec<Value>>, Refusal> {
    let mut all = Vec::new();
    loop {
        let arguments = json!({"offset": all.len(), "limit": INSTANCES});
        let Some(page) = single_answer(Request { arguments, ..scope.clone() }, observation, facts)? else {
            return Ok(None);
        };
        let rows = page["instances"].items();
        all.extend(rows.iter().map(|row| only_read(row, &["id", "status"])));
        let is_whole = rows.is_empty() || all.len() >= number(&page["total"]);
        if is_whole || all.len() > INSTANCES {
            all.sort_by(|row, other| row["id"].as_str().cmp(&other["id"].as_str()));
            // It stands for those that the server does not list, so that they are not taken to be absent.
            all.extend((!is_whole).then(|| json!({"id": null})));
            return Ok(Some(all));
        }
    }
}

/// Reads the apps of an instance.
fn apps(scope: &Request, observation: &mut Observation, facts: &Facts) -> Result<Option<Vec<Value>>, Refusal> {
    let apps = list::apps("the list of apps", scope, observation, facts)?;
    Ok(apps.map(|apps| apps.into_values().map(|app| kept(app, facts)).collect()))
}

/// Reads with whom all apps of an instance are shared.
fn all_members(
    scope: &Request,
    needs: &[Arc<ScopeRows>],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Option<Vec<Value>>, Refusal> {
    let mut all = Some(Vec::new());
    for app in needs.iter().flat_map(|apps| apps.rows()).map(|app| &app["id"]) {
        let arguments = json!({INSTANCE: scope.arguments[INSTANCE], "app_id": app});
        match (single_answer(Request { arguments, ..scope.clone() }, observation, facts), &mut all) {
            (Ok(Some(answer)), Some(all)) => all.push(members(app, answer)),
            // Only its creator is sure to be told; and it may be gone since the list was read.
            (Err(refusal), _) if codes::is_forbidden(&refusal) || codes::is_absent(&refusal) => {}
            (Err(refusal), _) => return Err(refusal),
            (Ok(_), _) => all = None,
        }
    }
    Ok(all)
}

/// Returns the members of an app without their names.
fn members(app: &Value, answer: &Json) -> Value {
    let users =
        answer["users"].as_array().map(|rows| rows.iter().map(|row| only_read(row, &["id", "roles"])).collect());
    let users: Option<Vec<Value>> = users;
    json!({"app": app, "users": users})
}

#[cfg(test)]
mod tests;
