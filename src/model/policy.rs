//! The policies for differences: an object's own, and those of single fields.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};

use super::FieldPath;

/// The policy where a live value is not as declared; a later one does less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Policy {
    /// It is made as declared.
    #[default]
    Enforce,
    /// It is shown, and nothing is sent.
    Report,
    /// Nothing: it is not looked at.
    Ignore,
}

impl Policy {
    /// The words of manifests.
    pub const WORDS: &[&str] = &["enforce", "report", "ignore"];

    /// Returns its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
            Self::Ignore => "ignore",
        }
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "enforce" => Ok(Self::Enforce),
            "report" => Ok(Self::Report),
            "ignore" => Ok(Self::Ignore),
            _ => Err(()),
        }
    }
}

/// The policies of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policies {
    /// Of the object itself: whether it is made and removed, and of all its fields but those below.
    pub object: Policy,
    /// Of whole fields, such as `operator` or `bind_info`.
    pub fields: BTreeMap<Arc<str>, Policy>,
}

impl Policies {
    /// Returns the policy of a path such as `operator` or `bind_info[3].port`.
    pub fn of(&self, path: &FieldPath) -> Policy {
        self.fields.get(&*path.root()).copied().unwrap_or(self.object)
    }

    /// Gives all that is looked at or changed more than `most` allows that policy.
    pub fn restrict(&mut self, most: Policy) {
        let policies = std::iter::once(&mut self.object).chain(self.fields.values_mut());
        policies.for_each(|policy| *policy = (*policy).max(most));
    }

    /// Returns true if everything is to be as declared.
    pub fn enforce_all(&self) -> bool {
        self.all(Policy::Enforce)
    }

    /// Returns true if nothing of the object is looked at.
    pub fn ignore_all(&self) -> bool {
        self.all(Policy::Ignore)
    }

    /// Returns true if anything of a live object may get this policy.
    pub fn any(&self, policy: Policy) -> bool {
        self.object == policy || self.fields.values().any(|field| *field == policy)
    }

    fn all(&self, policy: Policy) -> bool {
        self.object == policy && self.fields.values().all(|field| *field == policy)
    }
}
