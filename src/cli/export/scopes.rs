//! From the flags of `export` to the scopes that are listed.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use crate::{
    cli::args::ExportArgs,
    config::Config,
    model::{Desired, Ensure, Fields, Locator, ResourceId, policy::Policies},
    platform,
    provider::{Kind, Platform, ScopeKey},
    source::{Located, Origin, Sources},
};

/// A scope of one kind on one target.
pub(in crate::cli) struct Scope {
    /// The scope, written like a document.
    pub(in crate::cli) desired: Desired,
    /// The `apiVersion` of its documents.
    pub(in crate::cli) version: String,
    /// The target that its documents name; `None` where the platform has but one.
    pub(in crate::cli) written_target: Option<String>,
    /// The directory of the target, where several are exported.
    pub(in crate::cli) directory: Option<String>,
}

impl Scope {
    /// Returns its target and its kind.
    pub(in crate::cli) fn sort(&self) -> (Arc<str>, &'static str) {
        (self.desired.target.clone(), self.desired.id.kind)
    }
}

/// A flag and the key of a scope that it gives.
type Flag<'a> = (&'static str, &'static str, &'a [String]);

fn flags(args: &ExportArgs) -> [Flag<'_>; 6] {
    [
        ("model", "--model", &args.model),
        ("business", "--business", &args.business),
        ("set", "--set", &args.set),
        ("serviceTemplate", "--service-template", &args.service_template),
        ("association", "--association", &args.association),
        ("instance", "--app-instance", &args.app_instance),
    ]
}

/// Returns the scopes in the order in which they are listed: by target and kind, those first that others refer to.
pub(in crate::cli) fn of(
    args: &ExportArgs,
    config: Option<&Config>,
    sources: &mut Sources,
) -> Result<Vec<Scope>, String> {
    let line = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let file = sources.add("the command line", line.as_str());
    let origin = Origin::new(file, 0..line.len());
    check_flags(args)?;
    let targets = targets(args, config)?;
    let mut scopes = Vec::new();
    for (name, platform) in &targets {
        let of_platform =
            |config: &Config| config.targets.iter().filter(|target| target.platform.name() == platform.name()).count();
        let is_one_of_several = config.is_some_and(|config| of_platform(config) > 1);
        for kind in platform.kinds().iter().filter(|kind| args.kind.iter().any(|asked| asked == kind.name())) {
            for locator in locators(args, *kind, &origin)? {
                scopes.push(Scope {
                    desired: scope(*kind, name, locator, &origin),
                    version: format!("{}/v1", platform.name()),
                    written_target: is_one_of_several.then(|| name.to_string()),
                    directory: (targets.len() > 1).then(|| name.to_string()),
                });
            }
        }
    }
    Ok(scopes)
}

fn scope(kind: &'static dyn Kind, target: &Arc<str>, locator: Locator, origin: &Origin) -> Desired {
    Desired {
        id: ResourceId::new(kind.name(), "export"),
        target: target.clone(),
        ensure: Ensure::Existing,
        locator,
        references: Vec::new(),
        fields: Fields::new(),
        labels: Arc::default(),
        origin: origin.clone(),
        selected: true,
        protect: false,
        exclusive: false,
        policies: Policies::default(),
        suspended: None,
    }
}

fn kinds(args: &ExportArgs) -> impl Iterator<Item = &'static dyn Kind> {
    let kinds = platform::ALL.iter().flat_map(|platform| platform.kinds()).copied();
    kinds.filter(|kind| args.kind.iter().any(|asked| asked == kind.name()))
}

/// Returns the keys of a kind's scopes.
fn keys(kind: &dyn Kind) -> &'static [ScopeKey] {
    kind.export_keys().unwrap_or_default()
}

/// Reports a flag that none of the kinds knows: it would be passed over in silence.
fn check_flags(args: &ExportArgs) -> Result<(), String> {
    for (key, flag, given) in flags(args) {
        if !given.is_empty() && !kinds(args).any(|kind| keys(kind).iter().any(|known| known.name == key)) {
            return Err(format!("{flag} says nothing about {}", args.kind.join(", ")));
        }
    }
    let unknown = |part: &&String| !kinds(args).any(|kind| kind.export_parts().contains(&part.as_str()));
    match args.parts.iter().find(unknown) {
        Some(part) => Err(format!("--with {part} says nothing about {}", args.kind.join(", "))),
        None => Ok(()),
    }
}

/// Returns the places of a kind's scopes: each combination of the values that the flags give.
fn locators(args: &ExportArgs, kind: &dyn Kind, origin: &Origin) -> Result<Vec<Locator>, String> {
    let mut locators = vec![Locator::new()];
    for key in keys(kind) {
        let Some((_, flag, given)) = flags(args).into_iter().find(|(name, ..)| *name == key.name) else { continue };
        if given.is_empty() {
            if key.required {
                return Err(format!("--kind {} needs {flag}", kind.name()));
            }
            continue;
        }
        let values: BTreeSet<&String> = given.iter().collect();
        let value = |text: &str| -> Value {
            let id = text.parse::<i64>().ok().filter(|_| key.is_id);
            id.map_or_else(|| json!(text), |id| json!(id))
        };
        let with = |locator: &Locator, text: &str| {
            let mut locator = locator.clone();
            locator.insert(key.name.into(), Located::new(value(text), origin.clone()));
            locator
        };
        locators = locators.iter().flat_map(|locator| values.iter().map(|text| with(locator, text))).collect();
    }
    Ok(locators)
}

type Target = (Arc<str>, &'static dyn Platform);

/// Returns the targets whose platforms have one of the kinds, or those that the command names.
fn targets(args: &ExportArgs, config: Option<&Config>) -> Result<Vec<Target>, String> {
    let all: Vec<Target> = match config {
        Some(config) => config.targets.iter().map(|target| (target.name.clone(), target.platform)).collect(),
        None => platform::ALL.iter().map(|platform| (platform.name().into(), *platform)).collect(),
    };
    if let Some(unknown) = args.target.iter().find(|name| all.iter().all(|(known, _)| **known != ***name)) {
        let names: Vec<&str> = all.iter().map(|(name, _)| &**name).collect();
        return Err(format!("there is no target `{unknown}`; there are {}", names.join(", ")));
    }
    let has_kind = |platform: &dyn Platform| args.kind.iter().any(|kind| platform.kind(kind).is_some());
    let is_asked = |name: &str| args.target.is_empty() || args.target.iter().any(|asked| asked == name);
    let mut found: Vec<Target> =
        all.into_iter().filter(|(name, platform)| has_kind(*platform) && is_asked(name)).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    if found.is_empty() {
        Err(format!("no target has objects of the kind {}", args.kind.join(", ")))
    } else {
        Ok(found)
    }
}
