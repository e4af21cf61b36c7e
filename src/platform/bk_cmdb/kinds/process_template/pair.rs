//! Function name and start parameter regex: a pair that only one process template of a service template can have (code
//! 1113020, contract section 4.4).
//!
//! The server looks for another template with the pair at every update, whatever it changes, and looks a null regex up
//! as an empty one. So one with a null regex meets one whose regex is empty, but holds nothing that others could meet.

use std::collections::{BTreeMap, HashMap};

use super::template_label;
use crate::model::{Desired, Json, KeyConflict, Live};

/// The function; settable at creation alone.
const FUNCTION: &str = "bk_func_name";
/// The pattern that tells processes of one function apart.
pub(super) const REGEX: &str = "bk_start_param_regex";

/// A pair of a function and a regex.
struct Pair<'a> {
    function: &'a str,
    regex: &'a Json,
}

impl<'a> Pair<'a> {
    fn of(function: &'a Json, regex: &'a Json) -> Option<Self> {
        Some(Self { function: function.as_str()?, regex })
    }

    /// Of a row of `list_proc_template`.
    fn of_row(row: &'a Json) -> Option<Self> {
        let property = |name: &str| &row["property"][name]["value"];
        Self::of(property(FUNCTION), property(REGEX))
    }

    fn held(live: &'a Live) -> Option<Self> {
        Self::of(&live.field(FUNCTION)["value"], &live.field(REGEX)["value"])
    }

    /// Returns the value that a template will have once it is as declared.
    fn wanted(desired: &'a Desired, live: Option<&'a Live>) -> Option<Self> {
        let live = |name: &str| live.map_or(&Json::NULL, |live| &live.field(name)["value"]);
        let function = if live(FUNCTION).is_null() { desired.field(FUNCTION)? } else { live(FUNCTION) };
        Self::of(function, desired.field(REGEX).unwrap_or_else(|| live(REGEX)))
    }

    /// Returns true if others can meet it.
    fn is_held(&self) -> bool {
        self.regex.is_string()
    }

    fn claim(&self, template: &Json) -> String {
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
pub(super) fn wanted(desired: &Desired, live: Option<&Live>, place: &Json) -> Option<String> {
    Pair::wanted(desired, live).filter(Pair::is_held).map(|pair| pair.claim(&place["serviceTemplate"]))
}

/// The live templates that hold a pair: their ids by service template, function and regex.
pub(super) struct Holders<'a>(HashMap<(Option<i64>, &'a str, &'a str), Vec<i64>>);

impl<'a> Holders<'a> {
    /// Of rows of `list_proc_template` by their ids.
    pub(super) fn of(rows: &BTreeMap<i64, &'a Json>) -> Self {
        let mut holders: HashMap<_, Vec<i64>> = HashMap::new();
        for (id, row) in rows {
            let row: &'a Json = row;
            if let Some(pair) = Pair::of_row(row)
                && let Some(regex) = pair.regex.as_str()
            {
                holders.entry((row["service_template_id"].as_i64(), pair.function, regex)).or_default().push(*id);
            }
        }
        Self(holders)
    }

    /// Returns the other templates that have the pair which a document will have; its place names the service template.
    pub(super) fn key_conflicts(&self, desired: &Desired, live: Option<&Live>, place: &Json) -> Vec<KeyConflict> {
        let template = &place["serviceTemplate"];
        let Some(wanted) = Pair::wanted(desired, live) else { return Vec::new() };
        let key = (template.as_i64(), wanted.function, wanted.regex.as_str().unwrap_or_default());
        let others = self.0.get(&key).into_iter().flatten();
        let others = others.filter(|id| live.is_none_or(|live| live.handle["process"] != **id));
        others.map(|id| KeyConflict { claim: wanted.claim(template), holder: template_label(*id) }).collect()
    }
}
