//! Variables: where their values come from, and which source wins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{
    diagnostic::Diagnostic,
    manifest::Provenance,
    source::{FileId, Origin, Sources},
    yaml::{self, Section, nearest},
};

/// The prefix of environment variables that are variables of manifests.
const PREFIX: &str = "RECONCILE_VAR_";

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its text.
    pub text: String,
    /// True if the text may mean a number, a truth value or null, as a YAML scalar without quotes does.
    pub plain: bool,
    /// Its origin.
    pub given: Given,
}

/// Where the value of a variable came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Given {
    /// `--set`.
    Set,
    /// A values file, and where in it.
    Values(Origin),
    /// The environment.
    Environment,
    /// The default that is written where the variable is used.
    Default,
}

impl Variable {
    /// Returns a value that was given outside of YAML. An empty one is a text: as null it would clear a field.
    pub(super) fn new(text: String, given: Given) -> Self {
        Self { plain: !text.is_empty(), text, given }
    }
}

/// Sources of variables; the first that knows a name wins.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    layers: Vec<BTreeMap<String, Variable>>,
    secrets: Secrets,
}

/// Finds the secrets that messages must not show.
#[derive(Clone, Default)]
struct Secrets(Option<Arc<dyn Fn() -> Vec<String> + Send + Sync>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// A `--set` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not NAME=VALUE")]
pub struct AssignmentError(String);

impl Variables {
    /// Adds a source that all sources added before it win over.
    #[must_use]
    pub fn over(mut self, layer: BTreeMap<String, Variable>) -> Self {
        self.layers.push(layer);
        self
    }

    /// Sets what finds the secrets of the configuration. A variable may hold one; no message shows it then.
    #[must_use]
    pub fn hiding(mut self, secrets: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.secrets = Secrets(Some(Arc::new(secrets)));
        self
    }

    /// Returns the secrets that messages must not show.
    pub fn secrets(&self) -> Vec<String> {
        self.secrets.0.as_ref().map(|secrets| secrets()).unwrap_or_default()
    }

    /// Adds values such as `NAME=VALUE`, of which the last wins.
    pub fn over_assignments<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Result<Self, AssignmentError> {
        let mut layer = BTreeMap::new();
        for text in texts {
            let (name, value) = text.split_once('=').ok_or_else(|| AssignmentError(text.to_owned()))?;
            if !is_name(name) {
                return Err(AssignmentError(text.to_owned()));
            }
            layer.insert(name.to_owned(), Variable::new(value.to_owned(), Given::Set));
        }
        Ok(self.over(layer))
    }

    /// Adds the variables of an environment: `RECONCILE_VAR_NAME` is `NAME`.
    #[must_use]
    pub fn over_environment(self, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let layer = environment
            .into_iter()
            .filter_map(|(name, text)| {
                Some((name.strip_prefix(PREFIX)?.to_owned(), Variable::new(text, Given::Environment)))
            })
            .collect();
        self.over(layer)
    }

    /// Returns a variable.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    /// Returns a known name that is spelt like another.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.layers.iter().flat_map(BTreeMap::keys).map(String::as_str))
    }
}

/// Returns warnings about values that no document uses: most often a name is misspelt in one of the two.
pub fn unused(variables: &Variables, provenance: &Provenance) -> Vec<Diagnostic> {
    idle(variables, provenance.mentioned())
}

/// Returns warnings about values that are none of the variables in use.
pub fn idle(variables: &Variables, used: &BTreeSet<String>) -> Vec<Diagnostic> {
    let values = variables.layers.iter().flatten();
    let idle = values.filter_map(|(name, variable)| match &variable.given {
        Given::Values(origin) if !used.contains(name) => Some((name, origin)),
        _ => None,
    });
    let warning = |(name, origin): (&String, &Origin)| {
        let warning = Diagnostic::warning("M021", format!("no document uses the variable `{name}`"), origin);
        match nearest(name, used.iter().map(String::as_str)) {
            Some(near) => warning.hint(format!("did you mean `{near}`?")),
            None => warning,
        }
    };
    idle.map(warning).collect()
}

/// Returns true if a text can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|next| next.is_ascii_alphanumeric() || next == b'_')
}

/// Reads a values file: one mapping of names to scalars.
pub fn values(sources: &Sources, file: FileId, diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, Variable> {
    let text = sources.text(file).clone();
    let mut values = BTreeMap::new();
    for document in yaml::load(file, &text, diagnostics) {
        let Some(section) = Section::open(&document.root, "a values file", diagnostics) else { continue };
        for (key, value) in section.node().entries() {
            let name = key.key();
            if !is_name(name) {
                let message = format!("`{name}` cannot be the name of a variable");
                let hint = "names consist of letters, digits and `_`";
                diagnostics.push(Diagnostic::error("M016", message, &key.origin).hint(hint));
            } else if let Some(scalar) = value.as_scalar() {
                let given = Given::Values(value.origin.clone());
                let variable = Variable { text: scalar.text.to_string(), plain: scalar.plain, given };
                values.insert(name.to_owned(), variable);
            } else {
                let message = format!("the variable `{name}` has to be a single value, not {}", value.describe());
                diagnostics.push(Diagnostic::error("M017", message, &value.origin));
            }
        }
    }
    values
}
