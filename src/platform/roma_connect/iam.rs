//! The requests to IAM that come before ROMA Connect answers: a token for a password, or the id of a project (contract
//! sections 5 and 6).

use std::{collections::HashMap, time::Duration};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    api::{Draft, authorized, refusal, segment},
    sign,
};
use crate::{
    model::Refusal,
    provider::{Endpoint, Login, LoginResult, Method, Reply, RequestContext},
};

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_mins(30);

/// Shortest time between two logins.
const SHORTEST: Duration = Duration::from_mins(1);

/// Returns the request that has to come first, if one has to: for a token where there is a password, for the project's
/// id where only its name is known.
pub(super) fn login(endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Option<Login>, Refusal> {
    let setting = |key: &str| endpoint.settings.get(key).map(String::as_str);
    let url = url(endpoint);
    if let Some(password) = endpoint.secrets.get("password") {
        let body = token_request(endpoint, password.expose_secret())?;
        let draft = Draft {
            method: Method::Post,
            url: &url,
            path: "/v3/auth/tokens".to_owned(),
            query: "nocatalog=true".to_owned(),
            content_type: "application/json;charset=utf8",
            body: body.to_string().into_bytes(),
            project: None,
        };
        return Ok(Some(Login {
            operation: "KeystoneCreateUserTokenByPassword",
            prepared: authorized(draft, endpoint, stamp),
        }));
    }
    if setting("projectId").is_some() {
        return Ok(None);
    }
    let name = project_name(endpoint).ok_or_else(|| {
        Refusal::new(None, "the project is not known: set `projectId`, or `region` to use its own project")
    })?;
    let draft = Draft {
        method: Method::Get,
        url: &url,
        path: "/v3/projects".to_owned(),
        query: sign::query(vec![("name", name)]),
        content_type: "application/json",
        body: Vec::new(),
        project: None,
    };
    Ok(Some(Login { operation: "KeystoneListProjects", prepared: authorized(draft, endpoint, stamp) }))
}

/// The address of IAM: its own, the one of the region, or the one for all regions.
fn url(endpoint: &Endpoint) -> String {
    let setting = |key: &str| endpoint.settings.get(key).map(String::as_str);
    if let Some(url) = setting("iamEndpoint") {
        // Paths are put behind it, with the version.
        let url = url.trim_end_matches('/');
        return url.strip_suffix("/v3").unwrap_or(url).to_owned();
    }
    let cloud = setting("cloud").unwrap_or("myhuaweicloud.com");
    setting("region").map_or_else(|| format!("https://iam.{cloud}"), |region| format!("https://iam.{region}.{cloud}"))
}

/// The project by name; the first one of a region has the region's name.
fn project_name(endpoint: &Endpoint) -> Option<&str> {
    ["project", "region"].iter().find_map(|key| endpoint.settings.get(*key).map(String::as_str))
}

/// Returns true if a project is given by its id.
fn is_id(project: &str) -> bool {
    project.len() == 32 && project.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn token_request(endpoint: &Endpoint, password: &str) -> Result<Value, Refusal> {
    let setting = |key: &str| endpoint.settings.get(key);
    let mut user = json!({"password": password});
    match (setting("user"), setting("userId")) {
        (_, Some(id)) => user["id"] = json!(id),
        (Some(name), None) => {
            user["name"] = json!(name);
            user["domain"] = match (setting("domain"), setting("domainId")) {
                (Some(name), _) => json!({"name": name}),
                (None, Some(id)) => json!({"id": id}),
                (None, None) => return Err(Refusal::new(None, "the account (`domain`) of the IAM user is not known")),
            };
        }
        (None, None) => return Err(Refusal::new(None, "the IAM user is not known")),
    }
    let mut identity = json!({"methods": ["password"], "password": {"user": user.clone()}});
    if let Some(code) = endpoint.secrets.get("totp") {
        let Some(id) = setting("userId") else {
            return Err(Refusal::new(None, "a one-time code needs the id of the IAM user (`userId`)"));
        };
        identity["methods"] = json!(["password", "totp"]);
        identity["totp"] = json!({"user": {"id": id, "passcode": code.expose_secret()}});
    }
    let project = match (setting("projectId"), project_name(endpoint)) {
        (Some(id), _) => json!({"id": id}),
        (None, Some(project)) if is_id(project) => json!({"id": project}),
        (None, Some(project)) => json!({"name": project}),
        (None, None) => {
            return Err(Refusal::new(
                None,
                "the project is not known: set `auth.iam.project`, `projectId` or `region`",
            ));
        }
    };
    Ok(json!({"auth": {"identity": identity, "scope": {"project": project}}}))
}

/// Reads the answer of either request.
pub(super) fn login_result(endpoint: &Endpoint, reply: &Reply<'_>) -> Result<LoginResult, Refusal> {
    if !(200..300).contains(&reply.status) {
        let mut refusal = refusal(reply, "IAM answered");
        if reply.status == 401 && endpoint.secrets.contains_key("password") {
            refusal.message.push_str(": user, account, password, one-time code or project are wrong");
        }
        return Err(refusal);
    }
    let body: Value = serde_json::from_slice(reply.body).map_err(|_| {
        Refusal::new(None, format!("IAM answered HTTP {} with something that is not JSON", reply.status))
    })?;
    if endpoint.secrets.contains_key("password") {
        return token(endpoint, reply, &body["token"]);
    }
    let name = project_name(endpoint).unwrap_or_default();
    let projects = body["projects"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<&Value> = projects.iter().filter(|project| project["name"] == name).collect();
    let [project] = named.as_slice() else {
        let message = format!("{} projects are called `{name}`: set `projectId`", named.len());
        return Err(Refusal::new(None, message));
    };
    let id = segment(project["id"].as_str(), "id of the project")?;
    Ok(LoginResult { settings: HashMap::from([("projectId", id.to_owned())]), ..LoginResult::default() })
}

fn token(endpoint: &Endpoint, reply: &Reply<'_>, token: &Value) -> Result<LoginResult, Refusal> {
    let Some(text) = reply.header("x-subject-token").map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(Refusal::new(None, "IAM answered without a token"));
    };
    let project = segment(token.pointer("/project/id").and_then(Value::as_str), "project of the token")?;
    if let Some(wanted) = endpoint.settings.get("projectId").filter(|wanted| *wanted != project) {
        return Err(Refusal::new(None, format!("the token is for project {project}, not for `projectId` {wanted}")));
    }
    let time = |key: &str| token[key].as_str()?.parse::<jiff::Timestamp>().ok();
    // By the server's clock on both sides: ours may be off.
    let life =
        time("expires_at").zip(time("issued_at")).and_then(|(end, start)| end.duration_since(start).try_into().ok());
    let life: Duration = life.unwrap_or(MARGIN * 2);
    Ok(LoginResult {
        settings: HashMap::from([("projectId", project.to_owned())]),
        secrets: HashMap::from([("token", text.into())]),
        // A token that is over at once must not cost a login for each request.
        renew: Some(life.checked_sub(MARGIN).unwrap_or_default().max(life / 2).max(SHORTEST)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: RequestContext<'_> = RequestContext { request_id: "r1", now: jiff::Timestamp::UNIX_EPOCH };

    fn endpoint(settings: &[(&'static str, &str)], secrets: &[(&'static str, &str)]) -> Endpoint {
        Endpoint {
            url: "https://roma".to_owned(),
            settings: settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
            secrets: secrets.iter().map(|(key, value)| (*key, (*value).into())).collect(),
        }
    }

    #[test]
    fn what_has_to_come_first() {
        let check = |settings: &[(&'static str, &str)], secrets: &[(&'static str, &str)], expected: &str| {
            let told = match login(&endpoint(settings, secrets), STAMP) {
                Ok(None) => "nothing".to_owned(),
                Ok(Some(Login { prepared, .. })) => {
                    format!("{} {} {}", prepared.method.as_str(), prepared.url, String::from_utf8_lossy(&prepared.body))
                }
                Err(refusal) => refusal.to_string(),
            };
            assert_eq!(told, expected);
        };
        check(&[("projectId", "p1")], &[("token", "t")], "nothing");
        check(
            &[("region", "cn-north-4")],
            &[("ak", "a"), ("sk", "s")],
            "GET https://iam.cn-north-4.myhuaweicloud.com/v3/projects?name=cn-north-4 ",
        );
        check(&[], &[("token", "t")], "the project is not known: set `projectId`, or `region` to use its own project");
        check(
            &[("user", "u"), ("domain", "d"), ("project", "cn-north-4_sub"), ("iamEndpoint", "http://iam/v3/")],
            &[("password", "p")],
            r#"POST http://iam/v3/auth/tokens?nocatalog=true {"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"d"},"name":"u","password":"p"}}},"scope":{"project":{"name":"cn-north-4_sub"}}}}"#,
        );
        check(
            &[("userId", "u1"), ("project", "0123456789abcdef0123456789abcdef")],
            &[("password", "p"), ("totp", "123456")],
            r#"POST https://iam.myhuaweicloud.com/v3/auth/tokens?nocatalog=true {"auth":{"identity":{"methods":["password","totp"],"password":{"user":{"id":"u1","password":"p"}},"totp":{"user":{"id":"u1","passcode":"123456"}}},"scope":{"project":{"id":"0123456789abcdef0123456789abcdef"}}}}"#,
        );
        check(
            &[("user", "u"), ("domain", "d")],
            &[("password", "p"), ("totp", "123456")],
            "a one-time code needs the id of the IAM user (`userId`)",
        );
    }

    #[test]
    fn what_a_login_gains() {
        let endpoint = endpoint(&[("user", "u")], &[("password", "p")]);
        let read = |headers: &[(String, String)], body: &str| {
            login_result(
                &endpoint,
                &Reply {
                    status: 201,
                    headers,
                    body: body.as_bytes(),
                    parsed: None,
                    received: jiff::Timestamp::UNIX_EPOCH,
                },
            )
        };
        let body = r#"{"token":{"issued_at":"2026-01-01T00:00:00.000000Z","expires_at":"2026-01-02T00:00:00.000000Z",
            "project":{"id":"p1","name":"x"}}}"#;
        let grant =
            read(&[("x-subject-token".to_owned(), "MIIR".to_owned())], body).unwrap_or_else(|no| panic!("{no}"));
        assert_eq!(grant.settings["projectId"], "p1");
        assert_eq!(grant.secrets["token"].expose_secret(), "MIIR");
        assert_eq!(grant.renew, Some(Duration::from_mins(24 * 60 - 30)));
        assert_eq!(read(&[], body).err().expect("no header").to_string(), "IAM answered without a token");
    }
}
