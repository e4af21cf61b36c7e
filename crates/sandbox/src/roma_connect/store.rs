//! The simulator's state.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::derive;

/// A project of IAM.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: String,
    /// The row as it was loaded.
    pub(super) row: Map<String, Value>,
}

/// An instance of ROMA Connect.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) id: String,
    /// None is in every project.
    pub(super) project: Option<String>,
    pub(super) status: String,
    /// The row as it was loaded.
    pub(super) row: Map<String, Value>,
}

/// A person as the service names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) name: String,
}

/// A right on an application, in the order in which the pages list it (contract, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Read,
    Access,
    Delete,
    Modify,
    Admin,
}

impl Role {
    /// All roles.
    pub(super) const ALL: [Self; 5] = [Self::Read, Self::Access, Self::Delete, Self::Modify, Self::Admin];

    /// Returns the role's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Access => "access",
            Self::Delete => "delete",
            Self::Modify => "modify",
            Self::Admin => "admin",
        }
    }

    /// Finds a role by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Roles, as the server keeps them: `admin` means all, and `read` is always there (contract, section 2.6).
pub(super) fn normalised(mut roles: BTreeSet<Role>) -> BTreeSet<Role> {
    roles.insert(Role::Read);
    if roles.contains(&Role::Admin) { Role::ALL.into() } else { roles }
}

/// Somebody with whom an application is shared.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) person: Person,
    pub(super) roles: BTreeSet<Role>,
}

/// An integration application (contract, section 2.2).
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) instance: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) remark: String,
    pub(super) key: String,
    pub(super) secret: String,
    pub(super) favorite: bool,
    /// Ids of the users whose favourite it is, for the switch that makes favourites each caller's own.
    pub(super) favorite_of: BTreeSet<String>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) creator: Person,
    pub(super) updater: Person,
    pub(super) members: Vec<Member>,
    /// How many resources it owns, such as APIs and topics.
    pub(super) resources: u64,
    /// Fields of a loaded row that the contract does not know; they are answered as they came.
    pub(super) others: Map<String, Value>,
}

/// A user of IAM.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) person: Person,
    pub(super) password: String,
    /// Name of the account; empty is in every account.
    pub(super) domain: String,
    /// True if it sees every application, as the account itself and a Tenant Administrator do.
    pub(super) administrator: bool,
}

/// An access key.
#[derive(Debug, Clone, Default)]
pub(super) struct Key {
    pub(super) secret: String,
    /// Id or name of its user; none is the first user.
    pub(super) user: Option<String>,
    /// The token that temporary credentials come with.
    pub(super) security_token: Option<String>,
    pub(super) expires: Option<Timestamp>,
}

/// A token that the state lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Ticket {
    /// Id or name of its user; none is the first user.
    pub(super) user: Option<String>,
    /// None is in every project.
    pub(super) project: Option<String>,
    pub(super) expires: Option<Timestamp>,
}

/// The credentials that are accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) users: Vec<User>,
    pub(super) tokens: BTreeMap<String, Ticket>,
}

impl Credentials {
    /// Returns true if callers have to say who they are.
    pub(super) fn are_demanded(&self) -> bool {
        !(self.keys.is_empty() && self.users.is_empty() && self.tokens.is_empty())
    }

    /// Returns who calls when a request does not say so: the first user, else `sandbox`.
    pub(super) fn default_user(&self) -> User {
        self.users.first().cloned().unwrap_or_else(|| User {
            person: Person { id: "sandbox".to_owned(), name: "sandbox".to_owned() },
            password: String::new(),
            domain: "sandbox".to_owned(),
            administrator: true,
        })
    }

    /// Finds a user by id, then by name.
    pub(super) fn user(&self, text: &str) -> Option<&User> {
        let by_id = self.users.iter().find(|user| user.person.id == text);
        by_id.or_else(|| self.users.iter().find(|user| user.person.name == text))
    }

    /// Finds a user by id or name; somebody unlisted is an administrator of that name.
    pub(super) fn anybody(&self, text: &str) -> User {
        let default = self.default_user();
        if text == default.person.id || text == default.person.name {
            return default;
        }
        self.user(text).cloned().unwrap_or_else(|| User {
            person: Person { id: derive::id32(&format!("user {text}")), name: text.to_owned() },
            password: String::new(),
            domain: default.domain,
            administrator: true,
        })
    }
}

/// The counters from which generated values are derived.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) app: u64,
    pub(super) secret: u64,
}

/// All that a state file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) projects: Vec<Project>,
    pub(super) instances: Vec<Instance>,
    pub(super) apps: Vec<App>,
    pub(super) credentials: Credentials,
    pub(super) counters: Counters,
}

impl Store {
    /// Returns the next id of an application that no application has, and a key that goes with it.
    pub(super) fn next_app(&mut self) -> (String, String) {
        loop {
            self.counters.app += 1;
            let id = derive::uuid(&format!("application {}", self.counters.app));
            let key = derive::key(&format!("key {}", self.counters.app));
            if !self.apps.iter().any(|app| app.id == id || app.key == key) {
                return (id, key);
            }
        }
    }

    /// Returns the next secret.
    pub(super) fn next_secret(&mut self) -> String {
        self.counters.secret += 1;
        derive::text(&format!("secret {}", self.counters.secret), 32)
    }

    /// Returns the project that a scope names by id, or by name.
    pub(super) fn project(&self, id: Option<&str>, name: Option<&str>) -> Option<Project> {
        if !self.projects.is_empty() {
            let mut projects = self.projects.iter();
            let found = projects.find(|project| id.map_or(Some(project.name.as_str()) == name, |id| project.id == id));
            return found.cloned();
        }
        // Without listed projects every name is one. Where the instances agree on an id it is theirs.
        let name = name.or(id)?.to_owned();
        let mut known: Vec<&str> = self.instances.iter().filter_map(|instance| instance.project.as_deref()).collect();
        known.dedup();
        let id = match (id, known.as_slice()) {
            (Some(id), _) => id.to_owned(),
            (None, [only]) => (*only).to_owned(),
            (None, _) => derive::id32(&format!("project {name}")),
        };
        Some(Project { id, name, row: Map::new() })
    }
}
