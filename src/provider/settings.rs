//! The settings of a platform's targets in `reconcile.yaml`: which there are, and what they have to be.

use std::{collections::HashMap, fmt, io, path::Path};

use secrecy::SecretString;

use crate::yaml::{Content, Node};

/// The form of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// Any text.
    Text,
    /// A text for which a test holds.
    Checked {
        /// The expected form, such as `a region such as cn-north-4`.
        wanted: &'static str,
        /// The test.
        fits: fn(&str) -> bool,
    },
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// The root of an address: scheme and host, perhaps a port and a path.
    Address {
        /// An address for messages.
        example: &'static str,
        /// Paths of its API, which people copy along although they are put behind the root.
        paths: &'static [&'static str],
    },
    /// The path of a file, from the directory of the configuration.
    File,
    /// A secret: only where it comes from is written.
    Secret,
    /// A secret without a use here; it may stand there and is not fetched.
    UnusedSecret,
    /// A section with settings of its own.
    Section,
}

/// A role of a setting in the program, beside its meaning to its platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It decides where a target leads to: a plan that was saved with another value is for another place.
    Locates,
    /// It tells whose state is read: a snapshot that was taken with another value is of another state.
    Identifies,
    /// Plans depend on it, so that it belongs into snapshots.
    ShapesPlans,
    /// Left out, it is the value on which the targets of all platforms agree.
    Shared,
}

/// When a setting exists.
#[derive(Debug, Clone, Copy)]
enum Condition {
    Always,
    /// Another setting, listed before it, has a value.
    Is(&'static str, &'static str),
    /// Another setting, listed before it, has not that value.
    IsNot(&'static str, &'static str),
}

/// A key in the section of a target.
#[derive(Debug, Clone, Copy)]
pub struct SettingSpec {
    /// Where it stands, such as `auth.iam.endpoint`.
    pub path: &'static str,
    /// The name by which the platform finds the value, such as `iamEndpoint`.
    pub name: &'static str,
    /// The format of its values.
    pub format: Format,
    /// One sentence for people.
    pub description: &'static str,
    /// It may not be left out where its section is there.
    pub required: bool,
    roles: &'static [Role],
    condition: Condition,
}

impl SettingSpec {
    /// Returns a setting that may be left out. Its name is the last part of its path.
    pub const fn new(path: &'static str, format: Format, description: &'static str) -> Self {
        let name = last_part(path);
        Self { path, name, format, description, required: false, roles: &[], condition: Condition::Always }
    }

    /// Gives it another name than the last part of its path.
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Makes it one that has to be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Gives it roles.
    #[must_use]
    pub const fn roles(self, roles: &'static [Role]) -> Self {
        Self { roles, ..self }
    }

    /// Makes it exist only where a setting that is listed before it has a value.
    #[must_use]
    pub const fn when(self, name: &'static str, value: &'static str) -> Self {
        Self { condition: Condition::Is(name, value), ..self }
    }

    /// Makes it exist unless a setting that is listed before it has a value.
    #[must_use]
    pub const fn unless(self, name: &'static str, value: &'static str) -> Self {
        Self { condition: Condition::IsNot(name, value), ..self }
    }

    /// Returns true if the setting exists on a target with these values.
    pub fn exists<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> bool {
        match self.condition {
            Condition::Always => true,
            Condition::Is(name, wanted) => value(name) == Some(wanted),
            Condition::IsNot(name, wanted) => value(name) != Some(wanted),
        }
    }

    /// Returns when the setting exists: a setting, its value, and true if it has to have that value, false if it must
    /// not; `None` if the setting always exists.
    pub fn condition(&self) -> Option<(&'static str, &'static str, bool)> {
        match self.condition {
            Condition::Always => None,
            Condition::Is(name, value) => Some((name, value, true)),
            Condition::IsNot(name, value) => Some((name, value, false)),
        }
    }

    /// Returns true if the setting has a role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Returns the path of the section that it stands in; empty for that of the target.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Returns its key within its section.
    pub fn key(&self) -> &'static str {
        last_part(self.path)
    }

    /// Returns the words on the lines of which a secret may stand: its key and the section that holds it.
    pub fn secret_words(&self) -> impl Iterator<Item = &'static str> {
        let is_secret = matches!(self.format, Format::Secret | Format::UnusedSecret);
        self.path.split('.').next().into_iter().chain([self.key()]).filter(move |_| is_secret)
    }
}

/// Returns the part of a path behind its last dot.
const fn last_part(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut start = bytes.len();
    while start > 0 && bytes[start - 1] != b'.' {
        start -= 1;
    }
    path.split_at(start).1
}

/// The section of a target, for rules about several of its settings.
#[derive(Debug, Clone, Copy)]
pub struct GivenSettings<'a> {
    /// The target's name.
    pub target: &'a str,
    section: &'a Node<'a>,
}

impl<'a> GivenSettings<'a> {
    /// Returns the settings that a section gives.
    pub fn new(target: &'a str, section: &'a Node<'a>) -> Self {
        Self { target, section }
    }

    /// Returns true if a key is there; its path is that of a [`SettingSpec`].
    pub fn has(&self, path: &str) -> bool {
        self.node(path).is_some()
    }

    /// Returns true if a key is there and holds further keys.
    pub fn has_section(&self, path: &str) -> bool {
        self.node(path).is_some_and(|node| matches!(node.content, Content::Mapping(_)))
    }

    /// Returns true if a key has a value that is written there.
    pub fn is(&self, path: &str, value: &str) -> bool {
        self.node(path).and_then(Node::as_text) == Some(value)
    }

    /// Returns the node of a key.
    pub fn node(&self, path: &str) -> Option<&'a Node<'a>> {
        path.split('.').try_fold(self.section, |node, key| node.get(key))
    }
}

/// A problem of several settings of a target together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// One sentence without a final period.
    pub message: String,
    /// The path of the section that it is about; empty for the whole target.
    pub section: &'static str,
}

/// The values of a target, all fetched.
#[derive(Debug, Clone, Default)]
pub struct SettingValues {
    /// Settings by their name.
    pub settings: HashMap<&'static str, String>,
    /// Secrets by their name.
    pub secrets: HashMap<&'static str, SecretString>,
}

/// The ways to what surrounds the program; a platform has no others.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Returns the value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a text file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// A key of a scope below `prune` in `reconcile.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeKey {
    /// The key, as in the spec of the kind.
    pub name: &'static str,
    /// It may not be left out.
    pub required: bool,
    /// A plain number is an id.
    pub is_id: bool,
}

impl ScopeKey {
    /// Returns a key for a name.
    pub const fn name(name: &'static str) -> Self {
        Self { name, required: false, is_id: false }
    }

    /// Returns a key for a name or an id.
    pub const fn name_or_id(name: &'static str) -> Self {
        Self { name, required: false, is_id: true }
    }

    /// Makes it one that has to be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// Returns true if a text is the root of an address: scheme and host, perhaps a port and a path, nothing behind it.
pub fn is_root(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let place = rest.split('/').next().unwrap_or_default();
        is_host(place) && !rest.contains(['?', '#', '@', ' ']) && !rest.contains("//")
    })
}

/// Returns true for a host, perhaps with a port; an IPv6 address stands in brackets.
fn is_host(place: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(rest) = place.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, behind)| {
            let is_free = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
            is_free && address.parse::<core::net::Ipv6Addr>().is_ok()
        });
    }
    match place.split_once(':') {
        Some((host, port)) => !host.is_empty() && is_port(port),
        None => !place.is_empty(),
    }
}

/// The time zone of a platform's times.
pub const TIME_ZONE: Format =
    Format::Checked { wanted: "a time zone such as Asia/Shanghai", fits: |name| jiff::tz::TimeZone::get(name).is_ok() };
