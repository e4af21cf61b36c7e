//! Targets: what all have in common, and the settings that their platforms name.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::source::{self, Setting, Source},
    diagnostic::Diagnostic,
    model::{Suspension, policy::Policy},
    provider::{
        GivenSettings, Platform, SUSPENSION, SettingSpec,
        settings::{Format, Role, is_root},
        suspension,
    },
    source::{Located, Origin},
    yaml::{self, Form, Key, MOST, Node, Section, Shape, Typed},
};

/// The keys of a target that its platform does not name.
pub static TARGET: Form = Form::new(&[
    Key::new("platform", Shape::Text, "the product that the target is a server of").required(),
    Key::new("default", Shape::Boolean, "`true`: documents without a target belong to this one"),
    Key::new("limits", Shape::Mapping(&LIMITS), "how fast requests are sent"),
    Key::new("policy", Shape::OneOf(Policy::WORDS), "the most that is done about differences on this target"),
    Key::new("suspend", Shape::Mapping(&SUSPENSION), "for how long nothing is written"),
]);

/// The keys of `limits`.
static LIMITS: Form = Form::new(&[
    Key::new(
        "concurrency",
        Shape::Integer(1, MOST),
        "maximum number of concurrent requests, `--parallelism` by default",
    ),
    Key::new("requestsPerSecond", Shape::Number, "maximum number of requests per second"),
]);

/// The platforms of a run.
pub type Platforms = &'static [&'static dyn Platform];

/// A platform's endpoint with an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: Arc<str>,
    /// Where its name is written.
    pub origin: Origin,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// Documents of its platform that name no target mean this one.
    pub default: bool,
    /// Values by their name, such as `endpoint` or `username`.
    pub settings: BTreeMap<&'static str, Located<Setting>>,
    /// Where secrets come from, by their name, such as `appSecret`.
    pub secrets: BTreeMap<&'static str, Located<Source>>,
    /// How hard it may be driven.
    pub limits: Limits,
    /// The policy that no object on it goes beyond, whatever its document says.
    pub policy: Policy,
    /// The time for which nothing is written to it; `None` if nothing is said.
    pub suspended: Option<Suspension>,
}

/// How hard a target may be driven.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Requests in flight at once.
    pub concurrency: Option<usize>,
    /// Requests begun per second.
    pub requests_per_second: Option<f64>,
}

/// Gives a shared setting on which targets agree to those that have none: what one run tells is in one time zone.
pub(super) fn share_settings(targets: &mut [Target]) {
    let shared: BTreeSet<&'static str> =
        targets.iter().flat_map(|target| target.platform.settings_of(Role::Shared)).collect();
    for name in shared {
        let given: Vec<_> = targets.iter().filter_map(|target| target.settings.get(name).cloned()).collect();
        let Some(first) = given.first().filter(|first| given.iter().all(|located| located.value == first.value)) else {
            continue;
        };
        let shares = |target: &&mut Target| target.platform.settings_of(Role::Shared).contains(&name);
        for target in targets.iter_mut().filter(shares) {
            target.settings.entry(name).or_insert_with(|| first.clone());
        }
    }
}

impl Target {
    /// Returns the files that it takes values from.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let settings = self.settings.values().filter_map(|setting| match &setting.value {
            Setting::From(source) => Some(source),
            Setting::Literal(_) => None,
        });
        settings.chain(self.secrets.values().map(|secret| &secret.value)).filter_map(Source::file)
    }

    /// Returns true if two targets are reached in the same way, wherever they are written.
    pub fn is_same(&self, other: &Self) -> bool {
        fn values<'m, T>(map: &'m BTreeMap<&'static str, Located<T>>) -> impl Iterator<Item = (&'static str, &'m T)> {
            map.iter().map(|(key, located)| (*key, &located.value))
        }
        self.name == other.name
            && self.platform.name() == other.platform.name()
            && self.limits == other.limits
            && values(&self.settings).eq(values(&other.settings))
            && values(&self.secrets).eq(values(&other.secrets))
    }

    /// Returns the value of a setting that is written in the file itself.
    pub fn literal(&self, name: &str) -> Option<&str> {
        match &self.settings.get(name)?.value {
            Setting::Literal(text) => Some(text),
            Setting::From(_) => None,
        }
    }
}

/// Reads a target.
pub(super) fn target(
    key: &Node<'_>,
    node: &Node<'_>,
    directory: &Path,
    platforms: Platforms,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Target> {
    let name = key.key();
    if name.is_empty() || name.contains(|letter: char| letter == '/' || letter == '*' || letter.is_whitespace()) {
        let message = format!("the target name `{name}` must not hold spaces, `/` or `*`");
        diagnostics.push(Diagnostic::error("C011", message, &key.origin));
    }
    let section = Section::open(node, &format!("target {name}"), diagnostics)?;
    let platform = section.require("platform", diagnostics)?;
    let names: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
    let platform = yaml::one_of(platform, "platform", &names, diagnostics)?;
    let platform = *platforms.iter().find(|provider| provider.name() == platform)?;
    let default = section.get("default").and_then(|node| yaml::boolean(node, "default", diagnostics));
    let limits = section.get("limits").map(|node| limits(node, diagnostics)).unwrap_or_default();
    let policy = section.get("policy").and_then(|node| yaml::one_of(node, "policy", Policy::WORDS, diagnostics));
    let suspended =
        section.get("suspend").and_then(|node| suspension(node, &format!("suspend of target {name}"), diagnostics));
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
            policy: policy.and_then(|word| word.parse().ok()).unwrap_or_default(),
            suspended,
        },
    };
    reader.section(&section, "");
    reader.check_together(node);
    let target = reader.target;
    section.finish(diagnostics);
    Some(target)
}

/// Reads the settings of one target as the table of its platform says.
struct Reader<'a> {
    directory: &'a Path,
    diagnostics: &'a mut Vec<Diagnostic>,
    target: Target,
}

impl Reader<'_> {
    /// Reads the settings of a section; its path is empty for that of the target.
    fn section(&mut self, section: &Section<'_, '_>, path: &str) {
        for spec in self.target.platform.settings().iter().filter(|spec| spec.section() == path) {
            if !spec.exists(|name| self.target.literal(name)) {
                continue;
            }
            let node =
                if spec.required { section.require(spec.key(), self.diagnostics) } else { section.get(spec.key()) };
            if let Some(node) = node {
                self.setting(spec, node);
            }
        }
    }

    fn setting(&mut self, spec: &SettingSpec, node: &Node<'_>) {
        match spec.format {
            Format::Section => {
                let name = &self.target.name;
                let what = if spec.section().is_empty() {
                    format!("{} of target {name}", spec.path)
                } else {
                    spec.path.to_owned()
                };
                if let Some(section) = Section::open(node, &what, self.diagnostics) {
                    self.section(&section, spec.path);
                    section.finish(self.diagnostics);
                }
            }
            Format::OneOf(words) => {
                if let Some(word) = yaml::one_of(node, spec.path, words, self.diagnostics) {
                    self.insert(spec, Setting::Literal(word.to_owned()), node);
                }
            }
            Format::File => {
                if let Some(path) = yaml::text(node, spec.path, self.diagnostics) {
                    let path = self.directory.join(path).display().to_string();
                    self.insert(spec, Setting::Literal(path), node);
                }
            }
            Format::Secret | Format::UnusedSecret => {
                let source = source::secret(node, spec.path, self.directory, self.diagnostics);
                if let Some(source) = source.filter(|_| matches!(spec.format, Format::Secret)) {
                    self.target.secrets.insert(spec.name, Located::new(source, node.origin.clone()));
                }
            }
            Format::Text | Format::Checked { .. } | Format::Address { .. } => {
                if let Some(setting) = source::setting(node, spec.path, self.directory, self.diagnostics) {
                    // A setting that is fetched is not known yet.
                    if let Setting::Literal(text) = &setting {
                        self.check(spec, text, &node.origin);
                    }
                    self.insert(spec, setting, node);
                }
            }
        }
    }

    fn insert(&mut self, spec: &SettingSpec, setting: Setting, node: &Node<'_>) {
        self.target.settings.insert(spec.name, Located::new(setting, node.origin.clone()));
    }

    /// Checks a setting that is written in the file.
    fn check(&mut self, spec: &SettingSpec, text: &str, origin: &Origin) {
        let (fits, wanted) = match spec.format {
            Format::Checked { wanted, fits } => (fits(text), wanted.to_owned()),
            Format::Address { example, .. } => (is_root(text), format!("an address such as {example}")),
            _ => return,
        };
        if !fits {
            let diagnostic = Diagnostic::error("C004", format!("{} has to be {wanted}", spec.path), origin);
            // What stands before an @ may be a password.
            self.diagnostics.push(if text.contains('@') {
                diagnostic.hint("a user name and a password belong into `auth`").hide()
            } else {
                diagnostic
            });
            return;
        }
        let Format::Address { paths, .. } = spec.format else { return };
        if let Some(at) = paths.iter().find_map(|path| text.find(path)) {
            let message = format!("{} is the root of the API, without the path behind it", spec.path);
            let hint = format!("write `{}`", &text[..at]);
            self.diagnostics.push(Diagnostic::error("C004", message, origin).hint(hint));
        }
    }

    /// Checks the settings together, by the rules of the platform.
    fn check_together(&mut self, node: &Node<'_>) {
        let given = GivenSettings::new(&self.target.name, node);
        for problem in self.target.platform.check_settings(&given) {
            let section = Some(problem.section).filter(|path| !path.is_empty()).and_then(|path| given.node(path));
            let origin = section.map_or(&self.target.origin, |section| &section.origin);
            self.diagnostics.push(Diagnostic::error("C005", problem.message, origin));
        }
    }
}

fn limits(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let mut limits = Limits::default();
    let Some(section) = Section::of(node, "limits", &LIMITS, diagnostics) else { return limits };
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
