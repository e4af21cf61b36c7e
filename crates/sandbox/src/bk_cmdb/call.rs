//! One call of an operation, free of the access it came through.

use serde_json::{Map, Value};

use super::{args::Args, lenient, refusal::Refusal};

/// The body of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    /// No bytes at all, which counts as an empty object.
    Empty,
    /// A JSON document.
    Json(Value),
    /// Anything else.
    Broken,
}

impl Payload {
    /// Reads a body.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let read = serde_json::from_slice(bytes).ok().or_else(|| lenient::read(bytes));
        read.map_or(Self::Broken, Self::Json)
    }
}

/// The language of names that the server translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// Reads a header.
    pub(super) fn of(header: Option<&str>) -> Self {
        if header.is_some_and(|text| text.starts_with("zh")) { Self::Chinese } else { Self::English }
    }
}

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The variables of the path.
    pub(super) vars: Vec<(&'static str, String)>,
    pub(super) payload: Payload,
    pub(super) user: String,
    /// The application code, where the call carries one.
    pub(super) app: Option<String>,
    /// The request id.
    pub(super) rid: String,
    pub(super) language: Language,
}

impl Call {
    /// A call without arguments in a user's name, for what the server does by itself.
    pub(super) fn of_user(user: &str) -> Self {
        Self {
            vars: Vec::new(),
            payload: Payload::Empty,
            user: user.to_owned(),
            app: None,
            rid: String::new(),
            language: Language::default(),
        }
    }

    /// Returns a variable of the path.
    pub(super) fn var(&self, name: &str) -> &str {
        self.vars.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// Returns a numeric variable of the path; `label` is the server's name for it.
    pub(super) fn id(&self, name: &str, label: &str) -> Result<i64, Refusal> {
        self.var(name).parse().map_err(|_| Refusal::integral(label))
    }

    /// Returns the body's arguments.
    pub(super) fn args(&self) -> Result<Args, Refusal> {
        Ok(Args(self.map()?.unwrap_or_default()))
    }

    /// Returns the body's object, or `None` for a body of `null`, at which some operations crash.
    pub(super) fn map(&self) -> Result<Option<Map<String, Value>>, Refusal> {
        match &self.payload {
            Payload::Empty => Ok(Some(Map::new())),
            Payload::Json(Value::Object(map)) => Ok(Some(map.clone())),
            Payload::Json(Value::Null) => Ok(None),
            Payload::Json(_) | Payload::Broken => Err(Refusal::decode()),
        }
    }
}
