//! Function name and start parameter regex: a pair that only one process template of a service template can have (code
//! 1113020, contract section 4.4).
//!
//! The server looks for another template with the pair at every update, whatever it changes, and looks a null regex up
//! as an empty one. So one with a null regex meets one whose regex is empty, but holds nothing that others could meet.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::template_label;
use crate::model::{Desired, KeyConflict, Live};

/// The function; settable at creation alone.
const FUNCTION: &str = "bk_func_name";
/// The pattern that tells processes of one function apart.
pub(super) const REGEX: &str = "bk_start_param_regex";

/// A pair of a function and a regex.
struct Pair<'a> {
    function: &'a str,
    regex: &'a Value,
}

impl<'a> Pair<'a> {
    fn of(function: &'a Value, regex: &'a Value) -> Option<Self> {
        Some(Self { function: function.as_str()?, regex })
    }

    /// Of a row of `list_proc_template`.
    fn of_row(row: &'a Value) -> Option<Self> {
        let property = |name: &str| &row["property"][name]["value"];
        Self::of(property(FUNCTION), property(REGEX))
    }

    fn held(live: &'a Live) -> Option<Self> {
        Self::of(&live.field(FUNCTION)["value"], &live.field(REGEX)["value"])
    }

    /// Returns the value that a template will have once it is as declared.
    fn wanted(desired: &'a Desired, live: Option<&'a Live>) -> Option<Self> {
        let live = |name: &str| live.map_or(&Value::Null, |live| &live.field(name)["value"]);
        let function = if live(FUNCTION).is_null() { desired.field(FUNCTION)? } else { live(FUNCTION) };
        Self::of(function, desired.field(REGEX).unwrap_or_else(|| live(REGEX)))
    }

    /// Returns true if others can meet it.
    fn is_held(&self) -> bool {
        self.regex.is_string()
    }

    fn claim(&self, template: &Value) -> String {
        let (function, regex) = (self.function, self.regex.as_str().unwrap_or_default());
        let note = if regex.is_empty() { " (none counts as empty)" } else { "" };
        format!(
            "the function `{function}` with the start parameter regex `{regex}`{note}, beside which the server takes no \
             change of another that has them, in service template #{template}"
        )
    }
}

/// Returns the claim that a live template holds.
pub(super) fn held(live: &Live) -> Option<String> {
    Pair::held(live).filter(Pair::is_held).map(|pair| pair.claim(&live.handle["serviceTemplate"]))
}

/// Returns the claim that a template will hold once it is as declared.
pub(super) fn wanted(desired: &Desired, live: Option<&Live>, place: &Value) -> Option<String> {
    Pair::wanted(desired, live).filter(Pair::is_held).map(|pair| pair.claim(&place["serviceTemplate"]))
}

/// The live templates that hold a pair: their ids by service template, function and regex.
pub(super) struct Holders<'a>(HashMap<(&'a Value, &'a str, &'a str), Vec<i64>>);

impl<'a> Holders<'a> {
    /// Of rows of `list_proc_template` by their ids.
    pub(super) fn of(rows: &BTreeMap<i64, &'a Value>) -> Self {
        let mut holders: HashMap<_, Vec<i64>> = HashMap::new();
        for (id, row) in rows {
            let row: &'a Value = row;
            if let Some(Pair { function, regex: Value::String(regex) }) = Pair::of_row(row) {
                holders.entry((&row["service_template_id"], function, regex.as_str())).or_default().push(*id);
            }
        }
        Self(holders)
    }

    /// Returns the other templates that have the pair which a document will have; its place names the service template.
    pub(super) fn key_conflicts(&self, desired: &Desired, live: Option<&Live>, place: &Value) -> Vec<KeyConflict> {
        let template = &place["serviceTemplate"];
        let Some(wanted) = Pair::wanted(desired, live) else { return Vec::new() };
        let key = (template, wanted.function, wanted.regex.as_str().unwrap_or_default());
        let others = self.0.get(&key).into_iter().flatten();
        let others = others.filter(|id| live.is_none_or(|live| live.handle["process"] != **id));
        others.map(|id| KeyConflict { claim: wanted.claim(template), holder: template_label(*id) }).collect()
    }
}
