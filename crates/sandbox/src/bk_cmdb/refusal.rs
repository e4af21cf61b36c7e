//! The server's refusals: the codes of section 8 of the contract with their English texts.
//!
//! The texts carry the server's own formatting debris; clients must match codes only.

use serde_json::Value;

/// A refusal: a code and a text inside an answer of HTTP status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) text: String,
}

/// The `data` of the envelope of a successful operation.
#[derive(Debug)]
pub(super) enum Reply {
    /// `null`.
    Nothing,
    /// A value.
    Json(Value),
    /// JSON text made already, for pages of many rows.
    Text(String),
    /// A whole body that replaces the envelope.
    Body(String),
}

/// The result of an operation.
pub(super) type Outcome = Result<Reply, Refusal>;

impl Refusal {
    /// A refusal with a free text.
    pub(super) fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// 1199000: malformed body or a wrong JSON type in it.
    pub(super) fn decode() -> Self {
        Self::new(1_199_000, "Deserializing JSON data failed")
    }

    /// 1199006: general validation of a parameter.
    pub(super) fn invalid(name: &str) -> Self {
        Self::new(1_199_006, format!("'{name}' data parameter verification does not pass"))
    }

    /// 1199009: an id in the path that is no integer.
    pub(super) fn integral(name: &str) -> Self {
        Self::new(1_199_009, format!("'{name}' parameters must be integral"))
    }

    /// 1199010: a required parameter is missing.
    pub(super) fn unassigned(name: &str) -> Self {
        Self::new(1_199_010, format!("'{name}' unassigned"))
    }

    /// 1199011: also the wrapper of every attribute error, whose own code is lost in it.
    pub(super) fn wrapped(inner: &str) -> Self {
        Self::new(1_199_011, format!("'{inner}' the parameter is invalid or does not exist"))
    }

    /// 1199011 for a parameter of a request.
    pub(super) fn wrapped_name(name: &str) -> Self {
        Self::wrapped(name)
    }

    /// Returns the refusal of an attribute with its own code, which the common instance operations lose.
    pub(super) fn unwrapped(self) -> Self {
        const CODES: [(&str, i64); 7] = [
            ("data parameter verification does not pass", 1_199_006),
            ("must be a string type", 1_199_007),
            ("parameters must be integral", 1_199_009),
            ("unassigned", 1_199_010),
            ("Data out of bounds", 1_199_015),
            ("Field regular check failed", 1_199_016),
            ("current field type status is single choice", 1_199_092),
        ];
        let found = CODES.into_iter().find(|(text, _)| self.text.contains(text));
        let text = self.text.strip_prefix('\'').unwrap_or(&self.text);
        let text = text.strip_suffix("' the parameter is invalid or does not exist").unwrap_or(text);
        Self::new(found.map_or(self.code, |(_, code)| code), text)
    }

    /// 1199014: a unique key is taken.
    pub(super) fn duplicated(fields: &str) -> Self {
        Self::new(1_199_014, format!("duplicated instances exist, fields [{fields}] duplicated"))
    }

    /// 1199019: the object does not exist.
    pub(super) fn not_found() -> Self {
        Self::new(1_199_019, "No relevant data found")
    }

    /// 1199035: too many items in a batch.
    pub(super) fn exceeds(name: &str, limit: usize) -> Self {
        Self::new(1_199_035, format!(" {name} exceed the limit {limit}"))
    }

    /// 1199038: an empty batch.
    pub(super) fn empty(name: &str) -> Self {
        Self::new(1_199_038, format!("need data {name} is null"))
    }

    /// 1199059: the page is too long.
    pub(super) fn page() -> Self {
        Self::new(1_199_059, "page limit is exceeded. suggestion 200")
    }

    /// 1199083: a field owned by a template.
    pub(super) fn forbidden_field(name: &str) -> Self {
        Self::new(1_199_083, format!("modify field {name} forbidden"))
    }

    /// 1199084: the common instance operations refuse built-in models.
    pub(super) fn inner_model() -> Self {
        Self::new(1_199_084, "forbidden operate inner model instance with common instance API")
    }

    /// 1199089: a list of ids is empty or too long.
    pub(super) fn length(name: &str, limit: usize) -> Self {
        let text = format!("the length of array {name} is wrong, the length must be in range 1~{limit}");
        Self::new(1_199_089, text)
    }

    /// A refusal without code and text: the answer could not be written.
    pub(super) fn unwritable() -> Self {
        Self::new(0, "")
    }

    /// 1199002: a service behind did not answer.
    pub(super) fn no_answer() -> Self {
        Self::new(1_199_002, "http request failed")
    }

    /// 1199998: an error without a code.
    pub(super) fn unknown() -> Self {
        Self::new(1_199_998, "Unknown or unrecognized error")
    }

    /// 1199999: a crash inside one of the services.
    pub(super) fn crash(service: &str) -> Self {
        Self::new(1_199_999, format!("'{service}' Internal Server Error"))
    }

    /// 1101046: no such model association.
    pub(super) fn no_association() -> Self {
        Self::new(1_101_046, "object association does not exist.")
    }

    /// 1101098: built-in sets and modules are fixed.
    pub(super) fn built_in() -> Self {
        Self::new(1_101_098, "forbidden remove or update built in set or module")
    }
}
