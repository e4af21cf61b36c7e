//! The switches: one for every question that the contract leaves open (section 12), and a few for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{clock::Clock, simulator::StateError};

/// The values of a switch; the default comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// True or false.
    Flag(bool),
    /// A whole number: the default, the least and the greatest.
    Number(i64, i64, i64),
}

/// A switch of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub setting: Setting,
    /// The behaviour that it decides.
    pub about: &'static str,
}

impl Switch {
    /// Returns what it can be set to, for people and programs.
    pub fn values(&self) -> Value {
        match self.setting {
            Setting::Choice(choices) => json!(choices),
            Setting::Flag(_) => json!([false, true]),
            Setting::Number(_, least, most) => json!(format!("a whole number from {least} to {most}")),
        }
    }
}

const fn choice(name: &'static str, values: &'static [&'static str], about: &'static str) -> Switch {
    Switch { name, setting: Setting::Choice(values), about }
}

const fn flag(name: &'static str, default: bool, about: &'static str) -> Switch {
    Switch { name, setting: Setting::Flag(default), about }
}

const fn number(name: &'static str, default: i64, least: i64, greatest: i64, about: &'static str) -> Switch {
    Switch { name, setting: Setting::Number(default, least, greatest), about }
}

const MANY: i64 = 1_000_000_000;

/// All switches. Those without another remark are questions of section 12 of the contract.
pub const SWITCHES: &[Switch] = &[
    choice("put-omitted", &["merge", "replace"], "update: a field left out stays, or becomes empty or false"),
    choice("put-empty-remark", &["cleared", "ignored"], "update: an empty remark clears the text, or does nothing"),
    choice("favorite", &["per-app", "per-caller"], "a favourite is everybody's, or each caller's own"),
    choice("empty-remark", &["text", "absent", "null"], "answers: an empty remark is `\"\"`, left out, or null"),
    choice("roles", &["array", "joined"], "answers: roles as an array, or as one text joined by commas in an array"),
    choice("key", &["plain", "masked"], "answers: the access key as it is, or with asterisks"),
    choice("delete-answer", &["message", "empty", "no-content"], "delete: 200 with a message, 200 empty, or 204"),
    choice("delete-with-resources", &["refused", "allowed"], "delete of an application that owns resources"),
    choice("name-comparison", &["exact", "case-insensitive"], "when two names count as the same"),
    choice("name-filter", &["substring", "case-insensitive"], "list: how `name` and `key` match"),
    flag("name-filter-wildcards", false, "list: `%` and `_` in `name` and `key` are wildcards"),
    choice("unknown-app", &["not-found", "forbidden", "bad-request"], "a wrong application id: 404, 403 or 400"),
    choice("duplicate-name", &["bad-request", "conflict"], "a name that exists: 400 or 409"),
    choice("page-bounds", &["refused", "clamped"], "`limit` and `offset` outside of their bounds"),
    number("list-delay-ms", 0, 0, MANY, "list: a new application shows up so much later"),
    choice(
        "list-order",
        &["created", "shuffled", "unstable"],
        "list: order behind the favourites; unstable: another one per call",
    ),
    number("throttle-every", 0, 0, MANY, "every so many calls one is answered with 429; 0 for none"),
    number("throttle-retry-after", 0, 0, MANY, "seconds in the Retry-After of a 429; 0 leaves the header out"),
    number("lose-answer-every", 0, 0, MANY, "every so many writes one is done and answered with 504; 0 for none"),
    flag("lockout", true, "an AK with too many failures in a row is locked (section 6)"),
    number("lockout-failures", 5, 0, MANY, "more failures than this lock the AK"),
    number("lockout-seconds", 300, 0, MANY, "how long an AK stays locked"),
    number("clock-window-seconds", 900, 0, MANY, "how far X-Sdk-Date may be from the clock (section 6)"),
    choice("time-digits", &["millis", "seconds"], "answers: times with or without milliseconds (section 2.2)"),
    number("token-seconds", 86_400, 1, MANY, "how long a token is valid (section 5)"),
    number("token-length", 4096, 512, 100_000, "length of a token (section 5)"),
    choice(
        "token-errors",
        &["gateway", "service"],
        "a bad token: 401 of the gateway, or 400 ROMA.00001002 (section 4)",
    ),
    choice("iam-errors", &["nested", "flat"], "which of its two error bodies IAM sends (section 4)"),
    choice("gateway-prefix", &["APIGW", "APIG", "APIC"], "prefix of the gateway's codes (section 4)"),
    choice("code-spelling", &["long", "short"], "`ROMA.00014011` or `ROMA.14011` (section 4)"),
    number("quota", 100, 0, MANY, "applications of an instance (section 2.1)"),
    number("member-limit", 0, 0, MANY, "members of an application; 0 for no limit (section 2.6)"),
];

/// The values of all switches.
#[derive(Debug)]
pub(super) struct Options {
    values: BTreeMap<&'static str, Value>,
    clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        let values = SWITCHES.iter().map(|switch| (switch.name, default(switch.setting))).collect();
        Self { values, clock: Clock::default() }
    }
}

impl Options {
    /// Returns true if a switch is set to a value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).as_str() == Some(value)
    }

    /// Returns the text of a switch.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// Returns true if a flag is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_default()
    }

    /// Returns the number of a switch.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.get(name).as_i64().unwrap_or_default()
    }

    /// Returns the number of a switch that cannot be negative.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.number(name).unsigned_abs()
    }

    /// Returns the present.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn get(&self, name: &str) -> &Value {
        debug_assert!(self.values.contains_key(name), "no switch is called {name}");
        self.values.get(name).unwrap_or(&Value::Null)
    }

    /// Returns the values by name, without the clock.
    pub(super) fn to_value(&self) -> Value {
        self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>().into()
    }

    /// Returns every option with what it can be set to.
    pub(super) fn described(&self) -> Map<String, Value> {
        let entry = |switch: &Switch| {
            let described =
                json!({"value": self.values[switch.name], "values": switch.values(), "about": switch.about});
            (switch.name.to_owned(), described)
        };
        SWITCHES.iter().map(entry).chain(self.clock.options()).collect()
    }

    /// Changes some options, or reports every mistake and changes none.
    pub(super) fn change(&mut self, changes: &Map<String, Value>) -> Result<(), Vec<StateError>> {
        let (mut values, clock) = (self.values.clone(), Clock::default());
        let mut errors = Vec::new();
        let mut set = |name: &str, value: &Value| -> Result<(), String> {
            if clock.set_option(name, value)? {
                return Ok(());
            }
            let switch = SWITCHES.iter().find(|switch| switch.name == name).ok_or("no such option")?;
            values.insert(switch.name, checked(switch.setting, value)?);
            Ok(())
        };
        for (name, value) in changes {
            if let Err(message) = set(&name.replace('_', "-"), value) {
                errors.push(StateError { pointer: format!("/{name}"), message });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.values = values;
        for (name, value) in changes {
            // The value was fine for another clock already.
            let _ = self.clock.set_option(&name.replace('_', "-"), value);
        }
        Ok(())
    }
}

fn default(setting: Setting) -> Value {
    match setting {
        Setting::Choice(values) => values[0].into(),
        Setting::Flag(value) => value.into(),
        Setting::Number(value, _, _) => value.into(),
    }
}

fn checked(setting: Setting, value: &Value) -> Result<Value, String> {
    let (holds, expected) = match setting {
        Setting::Choice(values) => {
            (value.as_str().is_some_and(|text| values.contains(&text)), format!("one of {}", values.join(", ")))
        }
        Setting::Flag(_) => (value.is_boolean(), "true or false".to_owned()),
        Setting::Number(_, least, greatest) => (
            value.as_i64().is_some_and(|number| (least..=greatest).contains(&number)),
            format!("a whole number from {least} to {greatest}"),
        ),
    };
    if holds { Ok(value.clone()) } else { Err(format!("expected {expected}")) }
}
