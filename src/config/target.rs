//! Targets: one table of keys per platform.

mod roma_connect;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::source::{self, Setting, Source},
    diagnostic::Diagnostic,
    source::{Located, Origin},
    yaml::{self, Node, Section, Typed},
};

/// A platform's endpoint with an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: Arc<str>,
    /// Where its name is written.
    pub origin: Origin,
    /// The name of its platform.
    pub platform: &'static str,
    /// Documents of its platform that name no target mean this one.
    pub default: bool,
    /// Values by their key, such as `endpoint` or `username`.
    pub settings: BTreeMap<&'static str, Located<Setting>>,
    /// Where secrets come from, by their key, such as `appSecret`.
    pub secrets: BTreeMap<&'static str, Located<Source>>,
    /// How hard it may be driven.
    pub limits: Limits,
}

/// How hard a target may be driven.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Requests in flight at once.
    pub concurrency: Option<usize>,
    /// Requests begun per second.
    pub requests_per_second: Option<f64>,
}

/// Returns the language of a locale, as its environment variables name it: the first that says something.
fn language(variable: &dyn Fn(&str) -> Option<String>) -> &'static str {
    let locale =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
    if locale.is_some_and(|locale| locale.starts_with("zh")) { LANGUAGES[1] } else { LANGUAGES[0] }
}

/// Gives the time zone on which targets agree to those of ROMA Connect that have none: there it only shows times, and
/// what one run tells is in one zone.
pub(super) fn share_time_zone(targets: &mut [Target]) {
    let zones: Vec<_> = targets.iter().filter_map(|target| target.settings.get("timeZone").cloned()).collect();
    let Some(zone) = zones.first().filter(|first| zones.iter().all(|zone| zone.value == first.value)) else { return };
    for target in targets.iter_mut().filter(|target| target.platform == ROMA_CONNECT) {
        target.settings.entry("timeZone").or_insert_with(|| zone.clone());
    }
}

impl Target {
    /// Puts what the environment says in place of settings that are left out.
    pub fn complete(&self, settings: &mut HashMap<&'static str, String>, variable: &dyn Fn(&str) -> Option<String>) {
        if self.platform == PLATFORMS[0] {
            settings.entry("language").or_insert_with(|| language(variable).to_owned());
        }
    }

    /// Returns the files that it takes values from.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let settings = self.settings.values().filter_map(|setting| match &setting.value {
            Setting::From(source) => Some(source),
            Setting::Literal(_) => None,
        });
        settings.chain(self.secrets.values().map(|secret| &secret.value)).filter_map(|source| match source {
            Source::File(path) => Some(path),
            Source::Env(_) | Source::Command(_) => None,
        })
    }
}

/// Keys of secrets and of what holds them. Lines with one of these words are never shown.
pub(super) const SECRETS: [&str; 8] = ["auth", "appSecret", "token", "ak", "sk", "securityToken", "password", "totp"];

pub(super) const ROMA_CONNECT: &str = "roma-connect";
const PLATFORMS: [&str; 2] = ["bk-cmdb", ROMA_CONNECT];
/// The languages in which BlueKing names what is built in.
const LANGUAGES: [&str; 2] = ["en", "zh-cn"];

/// Reads a target.
pub(super) fn target(
    key: &Node<'_>,
    node: &Node<'_>,
    directory: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Target> {
    let name = key.key();
    if name.is_empty() || name.contains(|letter: char| letter == '/' || letter == '*' || letter.is_whitespace()) {
        let message = format!("the target name `{name}` must not hold spaces, `/` or `*`");
        diagnostics.push(Diagnostic::error("C011", message, &key.origin));
    }
    let section = Section::open(node, &format!("target {name}"), diagnostics)?;
    let platform = section.require("platform", diagnostics)?;
    let platform = yaml::one_of(platform, "platform", &PLATFORMS, diagnostics)?;
    let default = section.get("default").and_then(|node| yaml::boolean(node, "default", diagnostics));
    let limits = section.get("limits").map(|node| limits(node, diagnostics)).unwrap_or_default();
    let mut reader = Reader {
        directory,
        diagnostics,
        target: Target {
            name: name.into(),
            origin: key.origin.clone(),
            platform,
            default: default.unwrap_or_default(),
            settings: BTreeMap::new(),
            secrets: BTreeMap::new(),
            limits,
        },
    };
    if platform == PLATFORMS[0] {
        reader.bk_cmdb(&section);
    } else {
        reader.roma_connect(&section);
    }
    let target = reader.target;
    section.finish(diagnostics);
    Some(target)
}

struct Reader<'a> {
    directory: &'a Path,
    diagnostics: &'a mut Vec<Diagnostic>,
    target: Target,
}

impl Reader<'_> {
    fn bk_cmdb(&mut self, section: &Section<'_, '_>) {
        let access = section.require("access", self.diagnostics).and_then(|node| {
            Some((yaml::one_of(node, "access", &["esb", "gateway", "direct"], self.diagnostics)?, node))
        });
        if let Some((access, node)) = access {
            let setting = Setting::Literal(access.to_owned());
            self.target.settings.insert("access", Located::new(setting, node.origin.clone()));
        }
        let is_direct = access.is_some_and(|(access, _)| access == "direct");
        self.required(section, "", "endpoint");
        self.check_endpoint("https://paas.example.com");
        self.setting(section, "", "stage");
        self.check("stage", "a stage such as prod", |stage| {
            stage.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        self.setting(section, "", "supplierAccount");
        self.setting(section, "", "version");
        self.check("version", "a version from 3.9 on, such as 3.14", is_supported);
        self.time_zone(section);
        self.setting(section, "", "language");
        self.check("language", "en or zh-cn", |language| LANGUAGES.contains(&language));
        let Some(auth) = self.auth(section) else { return };
        if is_direct {
            // The server itself believes the name, so that nothing else is needed, nor fetched.
            self.required(&auth, "auth.", "username");
            self.setting(&auth, "auth.", "appCode");
            if let Some(node) = auth.get("appSecret") {
                source::secret(node, "auth.appSecret", self.directory, self.diagnostics);
            }
            auth.finish(self.diagnostics);
            return;
        }
        self.required(&auth, "auth.", "appCode");
        if let Some(node) = auth.require("appSecret", self.diagnostics) {
            self.secret(node, "auth.", "appSecret");
        }
        self.setting(&auth, "auth.", "username");
        if let Some(node) = auth.get("token") {
            self.secret(node, "auth.", "token");
        }
        if let Some(node) = auth.get("in")
            && let Some(place) = yaml::one_of(node, "auth.in", &["body", "header"], self.diagnostics)
        {
            let setting = Setting::Literal(place.to_owned());
            self.target.settings.insert("in", Located::new(setting, node.origin.clone()));
        }
        if auth.node().get("username").is_some() == auth.node().get("token").is_some() {
            self.needs_one(&auth, "`username` and `token`");
        }
        auth.finish(self.diagnostics);
    }

    fn time_zone(&mut self, section: &Section<'_, '_>) {
        self.setting(section, "", "timeZone");
        self.check("timeZone", "a time zone such as Asia/Shanghai", |name| jiff::tz::TimeZone::get(name).is_ok());
    }

    fn auth<'a, 's>(&mut self, section: &Section<'a, 's>) -> Option<Section<'a, 's>> {
        let node = section.require("auth", self.diagnostics)?;
        let what = format!("auth of target {}", self.target.name);
        Section::open(node, &what, self.diagnostics)
    }

    fn required(&mut self, section: &Section<'_, '_>, path: &str, key: &'static str) {
        section.require(key, self.diagnostics);
        self.setting(section, path, key);
    }

    fn setting(&mut self, section: &Section<'_, '_>, path: &str, key: &'static str) {
        let Some(node) = section.get(key) else { return };
        if let Some(setting) = source::setting(node, &format!("{path}{key}"), self.directory, self.diagnostics) {
            self.target.settings.insert(key, Located::new(setting, node.origin.clone()));
        }
    }

    fn secret(&mut self, node: &Node<'_>, path: &str, key: &'static str) {
        if let Some(source) = source::secret(node, &format!("{path}{key}"), self.directory, self.diagnostics) {
            self.target.secrets.insert(key, Located::new(source, node.origin.clone()));
        }
    }

    /// Checks a setting that is written in the file; one that is fetched is not known yet.
    fn check(&mut self, key: &'static str, wanted: &str, fits: impl Fn(&str) -> bool) {
        let Some(Located { value: Setting::Literal(text), origin, .. }) = self.target.settings.get(key) else { return };
        if !fits(text) {
            let diagnostic = Diagnostic::error("C004", format!("{key} has to be {wanted}"), origin);
            // What stands before an @ may be a password.
            let diagnostic = if text.contains('@') {
                diagnostic.hint("a user name and a password belong into `auth`").hide()
            } else {
                diagnostic
            };
            self.diagnostics.push(diagnostic);
        }
    }

    /// Checks the root of an API.
    fn check_endpoint(&mut self, example: &str) {
        self.check("endpoint", &format!("an address such as {example}"), is_root);
        let Some(Located { value: Setting::Literal(text), origin, .. }) = self.target.settings.get("endpoint") else {
            return;
        };
        if let Some(root) = before_api(text).filter(|_| is_root(text)) {
            let message = "endpoint is the root of the API, without the path behind it";
            self.diagnostics.push(Diagnostic::error("C004", message, origin).hint(format!("write `{root}`")));
        }
    }

    fn needs_one(&mut self, section: &Section<'_, '_>, keys: &str) {
        let message = format!("auth of target {} needs exactly one of {keys}", self.target.name);
        self.diagnostics.push(Diagnostic::error("C005", message, section.origin()));
    }
}

/// Says whether a text is the root of an address: scheme and host, perhaps a port and a path, nothing behind it.
fn is_root(text: &str) -> bool {
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
            is_free && address.parse::<std::net::Ipv6Addr>().is_ok()
        });
    }
    match place.split_once(':') {
        Some((host, port)) => !host.is_empty() && is_port(port),
        None => !place.is_empty(),
    }
}

/// Returns the root before the path of an API, where an address has one: paths are put behind the root.
fn before_api(text: &str) -> Option<&str> {
    ["/api/v3", "/api/c/", "/api/bk-cmdb", "/v2/"].iter().find_map(|path| Some(&text[..text.find(path)?]))
}

/// Says whether a text is a version of BlueKing CMDB that can be talked to.
fn is_supported(text: &str) -> bool {
    let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
    numbers.next() == Some(Ok(3)) && matches!(numbers.next(), Some(Ok(9..)))
}

fn limits(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let mut limits = Limits::default();
    let Some(section) = Section::open(node, "limits", diagnostics) else { return limits };
    if let Some(node) = section.get("concurrency")
        && let Some(number) = yaml::integer(node, "concurrency", diagnostics)
    {
        limits.concurrency = usize::try_from(number).ok().filter(|number| *number > 0);
        if limits.concurrency.is_none() {
            diagnostics.push(Diagnostic::error("C009", "concurrency has to be 1 or more", &node.origin));
        }
    }
    if let Some(node) = section.get("requestsPerSecond") {
        limits.requests_per_second = rate(node).filter(|rate| *rate > 0.0 && rate.is_finite());
        if limits.requests_per_second.is_none() {
            let message = "requestsPerSecond has to be a number above 0";
            diagnostics.push(Diagnostic::error("C009", message, &node.origin));
        }
    }
    section.finish(diagnostics);
    limits
}

fn rate(node: &Node<'_>) -> Option<f64> {
    match node.typed()? {
        Typed::Int(number) => u32::try_from(number).ok().map(f64::from),
        Typed::Float(number) => Some(number),
        Typed::Null | Typed::Bool(_) | Typed::BigInt(_) | Typed::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_the_locale() {
        let check = |set: &[(&str, &str)], expected: &str| {
            let variable = |name: &str| Some(set.iter().find(|(key, _)| *key == name)?.1.to_owned());
            assert_eq!(language(&variable), expected, "{set:?}");
        };
        check(&[], "en");
        check(&[("LANG", "zh_CN.UTF-8")], "zh-cn");
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], "en");
        check(&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "zh_CN")], "zh-cn");
        check(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")], "zh-cn");
    }
}
