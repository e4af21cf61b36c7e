//! The targets that documents may name, by name and platform.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::policy::Policy;

/// The targets of `reconcile.yaml`, as far as manifests are concerned.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    targets: BTreeMap<Arc<str>, Target>,
    /// How to come to a configuration, where none was found.
    remedy: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Target {
    platform: Arc<str>,
    default: bool,
    policy: Policy,
}

/// Why a platform has no target that goes without saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoDefault {
    /// It has no target at all.
    None,
    /// It has several; these.
    Several(Vec<Arc<str>>),
}

impl Targets {
    /// Notes that there is no configuration, and how to come to one.
    #[must_use]
    pub fn unconfigured(mut self, remedy: impl Into<Arc<str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Returns how to come to a configuration; `None` if there is one.
    pub(super) fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Adds a target.
    pub fn add(&mut self, name: impl Into<Arc<str>>, platform: impl Into<Arc<str>>, default: bool) {
        self.targets.insert(name.into(), Target { platform: platform.into(), default, policy: Policy::Enforce });
    }

    /// Sets the policy that no object of a target goes beyond.
    pub fn restrict(&mut self, name: &str, policy: Policy) {
        if let Some(target) = self.targets.get_mut(name) {
            target.policy = policy;
        }
    }

    /// Returns the policy that no object of a target goes beyond.
    pub(super) fn policy(&self, name: &str) -> Policy {
        self.targets.get(name).map(|target| target.policy).unwrap_or_default()
    }

    /// Returns the name of a target and its platform.
    pub(super) fn find(&self, name: &str) -> Option<(&Arc<str>, &Arc<str>)> {
        self.targets.get_key_value(name).map(|(name, target)| (name, &target.platform))
    }

    /// Returns the names of all targets, each with its platform.
    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.targets.iter().map(|(name, target)| (name, &target.platform))
    }

    /// Returns the targets of a platform.
    pub(super) fn of(&self, platform: &str) -> impl Iterator<Item = &Arc<str>> {
        self.targets.iter().filter(move |(_, target)| &*target.platform == platform).map(|(name, _)| name)
    }

    /// Returns the target of documents that name none: the platform's only one, or the one that is the default.
    pub(super) fn default_of(&self, platform: &str) -> Result<&Arc<str>, NoDefault> {
        let all: Vec<&Arc<str>> = self.of(platform).collect();
        let default = all.iter().find(|name| self.targets.get(&***name).is_some_and(|target| target.default));
        match (all.as_slice(), default) {
            ([only], _) | (_, Some(only)) => Ok(only),
            ([], None) => Err(NoDefault::None),
            (_, None) => Err(NoDefault::Several(all.into_iter().cloned().collect())),
        }
    }
}

impl<N: Into<Arc<str>>, P: Into<Arc<str>>> FromIterator<(N, P, bool)> for Targets {
    fn from_iter<T: IntoIterator<Item = (N, P, bool)>>(iter: T) -> Self {
        let mut targets = Self::default();
        for (name, platform, default) in iter {
            targets.add(name, platform, default);
        }
        targets
    }
}
