//! Which operation a method and a path are.

use super::query::decoded;

/// An operation, by the name that the official SDKs give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListApps,
    ShowApp,
    CreateApp,
    UpdateApp,
    DeleteApp,
    ValidateApp,
    ShowSecret,
    ResetSecret,
    ListMembers,
    SetMembers,
    ListCandidates,
    ListInstances,
    ListInstancesV3,
    CreateToken,
    ListProjects,
}

impl Operation {
    const ALL: [(Self, &'static str); 15] = [
        (Self::ListApps, "ListRomaApp"),
        (Self::ShowApp, "CheckRomaAppDetails"),
        (Self::CreateApp, "CreateRomaApp"),
        (Self::UpdateApp, "UpdateRomaApp"),
        (Self::DeleteApp, "DeleteRomaApp"),
        (Self::ValidateApp, "ValidateRomaApp"),
        (Self::ShowSecret, "CheckRomaAppSecret"),
        (Self::ResetSecret, "ResetRomaAppSecret"),
        (Self::ListMembers, "CheckAuthUsersOfApp"),
        (Self::SetMembers, "AddUserToApp"),
        (Self::ListCandidates, "CheckCanAuthUsersOfApp"),
        (Self::ListInstances, "CheckRomaInstanceListV2"),
        // In no SDK (contract, section 2): named after its older sibling.
        (Self::ListInstancesV3, "CheckRomaInstanceListV3"),
        (Self::CreateToken, "KeystoneCreateUserTokenByPassword"),
        (Self::ListProjects, "KeystoneListProjects"),
    ];

    /// Returns the operation's name.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(operation, _)| *operation == self).map_or("", |(_, name)| name)
    }

    /// Finds an operation by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(operation, _)| *operation)
    }

    /// Returns true if the operation changes anything. A new token changes nothing that a state holds.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::CreateApp | Self::UpdateApp | Self::DeleteApp | Self::ResetSecret | Self::SetMembers)
    }

    /// Returns true if the operation takes a body.
    pub(super) fn takes_body(self) -> bool {
        (self.writes() && self != Self::DeleteApp) || self == Self::CreateToken
    }

    /// Returns true if the operation is one of IAM.
    pub(super) fn is_identity(self) -> bool {
        matches!(self, Self::CreateToken | Self::ListProjects)
    }
}

/// An operation and the ids in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) project: String,
    pub(super) instance: String,
    pub(super) app: String,
}

/// Returns true if a path belongs to ROMA Connect or IAM (contract, sections 2 and 5).
pub(super) fn serves(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    matches!(
        segments.as_slice(),
        ["v2", _, "instances", ..] | ["v3", "auth", "tokens"] | ["v3", "projects"] | ["v3", _, "roma", "instances"]
    )
}

/// Returns true if a path is one of IAM.
pub(super) fn is_identity(path: &str) -> bool {
    matches!(path, "/v3/auth/tokens" | "/v3/projects")
}

/// Finds the route of a request; `None` if there is no such API.
pub(super) fn route(method: &str, path: &str) -> Option<Route> {
    let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, project, instance, app) = match (method, segments.as_slice()) {
        ("POST", ["v3", "auth", "tokens"]) => (Operation::CreateToken, "", "", ""),
        ("GET", ["v3", "projects"]) => (Operation::ListProjects, "", "", ""),
        ("GET", ["v3", project, "roma", "instances"]) => (Operation::ListInstancesV3, *project, "", ""),
        ("GET", ["v2", project, "instances"]) => (Operation::ListInstances, *project, "", ""),
        (method, ["v2", project, "instances", instance, rest @ ..]) => {
            let (operation, app) = below_instance(method, rest)?;
            (operation, *project, *instance, app)
        }
        _ => return None,
    };
    Some(Route { operation, project: project.to_owned(), instance: instance.to_owned(), app: app.to_owned() })
}

fn below_instance<'a>(method: &str, rest: &[&'a str]) -> Option<(Operation, &'a str)> {
    Some(match (method, rest) {
        ("GET", ["apps"]) => (Operation::ListApps, ""),
        ("POST", ["apps"]) => (Operation::CreateApp, ""),
        ("GET", ["validate-apps"]) => (Operation::ValidateApp, ""),
        ("GET", ["apps", app]) if !app.is_empty() => (Operation::ShowApp, app),
        ("PUT", ["apps", app]) if !app.is_empty() => (Operation::UpdateApp, app),
        ("DELETE", ["apps", app]) if !app.is_empty() => (Operation::DeleteApp, app),
        ("GET", ["apps", app, "secret"]) => (Operation::ShowSecret, app),
        ("PUT", ["apps", app, "secret"]) => (Operation::ResetSecret, app),
        ("GET", ["apps", app, "users"]) => (Operation::ListMembers, app),
        ("PUT", ["apps", app, "users"]) => (Operation::SetMembers, app),
        ("GET", ["apps", app, "candidates"]) => (Operation::ListCandidates, app),
        _ => return None,
    })
}
