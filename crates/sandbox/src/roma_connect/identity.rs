//! IAM: tokens by password, and projects (contract, sections 5 and 6).

use serde_json::{Map, Value, json};

use super::{
    access::Caller,
    clock, derive,
    option::Options,
    query::Query,
    reply::{Failure, Success},
    store::{Project, Store, User},
    token::{self, Token},
};

/// Answers `POST /v3/auth/tokens`.
pub(super) fn create_token(
    store: &Store,
    options: &Options,
    query: &Query,
    body: Option<&Value>,
) -> Result<Success, Failure> {
    let invalid = |what: &str| Failure::identity(400, format!("Request body is invalid: {what}"));
    let identity =
        body.and_then(|body| body.pointer("/auth/identity")).ok_or_else(|| invalid("auth.identity is missing"))?;
    let methods = identity["methods"].as_array().ok_or_else(|| invalid("auth.identity.methods is missing"))?;
    if !methods.iter().any(|method| method == "password") {
        return Err(invalid("the method password is missing"));
    }
    let said = &identity["password"]["user"];
    if !said["password"].is_string() || !(said["name"].is_string() || said["id"].is_string()) {
        return Err(invalid("auth.identity.password.user needs a name or an id, and a password"));
    }
    let user = known_user(store, said).ok_or_else(|| Failure::identity(401, "The username or password is wrong."))?;
    let scope = body.and_then(|body| body.pointer("/auth/scope"));
    let project = match scope.map(|scope| &scope["project"]).filter(|project| !project.is_null()) {
        Some(project) => {
            let found = store.project(project["id"].as_str(), project["name"].as_str());
            Some(found.ok_or_else(|| Failure::identity(401, "The project of the scope could not be found."))?)
        }
        None => None,
    };

    let now = options.now();
    let token = Token {
        user: user.person.id.clone(),
        name: user.person.name.clone(),
        project: project.as_ref().map(|project| project.id.clone()),
        expires: clock::later(now, options.number("token-seconds")),
    };
    let length = usize::try_from(options.count("token-length")).unwrap_or_default();
    let text = token::write(&token, &user.password, now, length);
    let mut answer = json!({
        "methods": methods,
        "expires_at": clock::micros(token.expires),
        "issued_at": clock::micros(now),
        "user": {
            "id": user.person.id, "name": user.person.name, "password_expires_at": "", "domain": domain(&user.domain),
        },
        "roles": [{"id": "0", "name": if user.administrator { "te_admin" } else { "te_agency" }}],
    });
    match project {
        Some(project) => {
            answer["project"] = json!({"id": project.id, "name": project.name, "domain": domain(&user.domain)});
        }
        None => answer["domain"] = domain(&user.domain),
    }
    if query.get("nocatalog").is_none_or(str::is_empty) {
        answer["catalog"] = json!([]);
    }
    let headers = vec![("X-Subject-Token".to_owned(), text)];
    Ok(Success { status: 201, headers, body: Some(json!({"token": answer})) })
}

/// Finds the user whom a password belongs to. Without any credential configured everybody is known.
fn known_user(store: &Store, said: &Value) -> Option<User> {
    let (id, name) = (said["id"].as_str(), said["name"].as_str());
    if !store.credentials.are_demanded() {
        return Some(store.credentials.anybody(name.or(id)?));
    }
    let in_domain = |user: &User| {
        let (name, id) = (said["domain"]["name"].as_str(), said["domain"]["id"].as_str());
        // A user who is named by id needs no domain.
        user.domain.is_empty()
            || name == Some(&user.domain)
            || id == Some(&domain_id(&user.domain))
            || (said["id"].is_string() && name.is_none() && id.is_none())
    };
    let is_meant = |user: &&User| id.map_or(Some(user.person.name.as_str()) == name, |id| user.person.id == id);
    let found = store.credentials.users.iter().find(|user| is_meant(user) && in_domain(user))?;
    (said["password"].as_str() == Some(&found.password)).then(|| found.clone())
}

fn domain_id(name: &str) -> String {
    derive::id32(&format!("domain {name}"))
}

fn domain(name: &str) -> Value {
    json!({"id": domain_id(name), "name": name})
}

/// Answers `GET /v3/projects`, filtered by the exact name if one is given.
pub(super) fn list_projects(store: &Store, query: &Query, caller: &Caller) -> Success {
    let name = query.get("name");
    let projects: Vec<Project> = if store.projects.is_empty() {
        name.and_then(|name| store.project(None, Some(name))).into_iter().collect()
    } else {
        store.projects.iter().filter(|project| name.is_none_or(|name| project.name == name)).cloned().collect()
    };
    let rows: Vec<Value> = projects.into_iter().map(|project| row(project, caller)).collect();
    Success::ok(json!({"projects": rows, "links": {"self": "/v3/projects", "previous": null, "next": null}}))
}

fn row(project: Project, caller: &Caller) -> Value {
    let domain = domain_id(&caller.domain);
    let mut row = Map::new();
    row.insert("id".to_owned(), project.id.into());
    row.insert("name".to_owned(), project.name.into());
    row.insert("domain_id".to_owned(), domain.clone().into());
    row.insert("parent_id".to_owned(), domain.into());
    row.insert("is_domain".to_owned(), false.into());
    row.insert("enabled".to_owned(), true.into());
    row.insert("description".to_owned(), "".into());
    row.extend(project.row);
    row.into()
}
