//! The query of a request.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::reply::Failure;

/// Decoded pairs in the order of arrival.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it is on the request line. A plus sign stays one: clients write a space as `%20`.
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// Returns the fields of an object as a query.
    pub(super) fn from_fields(fields: &Map<String, Value>) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self(fields.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// Returns the first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Moves a number that is above 0 by one, as a row that comes or goes in front of a page does.
    pub(super) fn shift(&mut self, name: &str, up: bool) {
        let Some((_, text)) = self.0.iter_mut().find(|(key, _)| key == name) else { return };
        if let Some(number) = text.parse::<u64>().ok().filter(|number| *number > 0) {
            *text = if up { number + 1 } else { number - 1 }.to_string();
        }
    }

    /// Returns a text of at most so many characters.
    pub(super) fn text(&self, name: &str, longest: usize) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            Some(text) if text.chars().count() > longest => {
                Err(Failure::parameter(name, format!("longer than {longest} characters")))
            }
            found => Ok(found),
        }
    }

    /// Returns a truth value.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Failure> {
        let read = |text: &str| text.parse().map_err(|_| Failure::parameter(name, "expected true or false"));
        self.get(name).map(read).transpose()
    }

    /// Returns a number within bounds; outside of them it is refused, or moved to the nearest one.
    pub(super) fn number(&self, name: &str, default: i64, bounds: (i64, i64), clamp: bool) -> Result<usize, Failure> {
        let (least, greatest) = bounds;
        let number = match self.get(name) {
            Some(text) => text.parse().map_err(|_| Failure::parameter(name, "expected a whole number"))?,
            None => default,
        };
        let allowed: i64 = number.clamp(least, greatest);
        if allowed != number && !clamp {
            return Err(Failure::parameter(name, format!("expected {least} to {greatest}")));
        }
        Ok(usize::try_from(allowed).unwrap_or_default())
    }
}

/// Decodes percent signs.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
