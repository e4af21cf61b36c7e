//! Messages about what people wrote: a code, a severity, labelled places and a hint.
//!
//! Diagnostics are collected, never thrown: one run reports everything it finds.

pub mod render;

use std::borrow::Cow;

use crate::source::Origin;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The run goes on.
    Warning,
    /// The document that holds it is not used.
    Error,
}

impl Severity {
    /// Returns its name in reports: `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub origin: Origin,
    /// The text beside the caret; may be empty.
    pub text: String,
}

/// One message about a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Stable code, such as `M014`: `Y` for the YAML itself, `M` for manifests, `C` for the configuration, `P` for
    /// what only the platform could tell.
    pub code: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a final period.
    pub message: String,
    /// Places, the one that the message is about first. Empty where no text is to blame.
    pub labels: Vec<Label>,
    /// The way to mend it, such as a spelling that exists.
    pub hint: Option<String>,
    /// The lines of its places may hold a secret: they are named, but never shown.
    pub hidden: bool,
}

impl Diagnostic {
    /// Returns an error about a place.
    pub fn error(code: &'static str, message: impl Into<String>, origin: &Origin) -> Self {
        Self {
            code: Cow::Borrowed(code),
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label { origin: origin.clone(), text: String::new() }],
            hint: None,
            hidden: false,
        }
    }

    /// Returns a warning about a place.
    pub fn warning(code: &'static str, message: impl Into<String>, origin: &Origin) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, origin) }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the remark beside the first place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(label) = self.labels.first_mut() {
            label.text = text.into();
        }
        self
    }

    /// Adds a further place with a remark.
    #[must_use]
    pub fn also(mut self, origin: &Origin, text: impl Into<String>) -> Self {
        self.labels.push(Label { origin: origin.clone(), text: text.into() });
        self
    }

    /// Keeps the lines of its places out of what is shown.
    #[must_use]
    pub fn hide(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Returns the place that the message is about.
    pub fn origin(&self) -> Option<&Origin> {
        self.labels.first().map(|label| &label.origin)
    }

    /// Returns true if this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
