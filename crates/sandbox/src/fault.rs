//! Faults: which call goes wrong, and how.

use serde_json::{Map, Value};

use super::simulator::{Misbehaviour, Record, StateError};

/// A fault of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Another HTTP status with a body; the call is not made.
    Status {
        /// HTTP status.
        status: u16,
        /// Body; a text is sent as it is, anything else as JSON.
        body: Value,
        /// Header names and values.
        headers: Vec<(String, String)>,
    },
    /// A code of the platform inside its usual envelope; the call is not made.
    Code {
        /// The code.
        code: Value,
        /// Its text.
        message: String,
    },
    /// The refusal of the access's rate limiter; the call is not made.
    RateLimit {
        /// Seconds for `Retry-After`, where the access sends one.
        retry_after: Option<u64>,
        /// True if the platform behind the access refuses instead of the access.
        inside: bool,
    },
    /// The answer comes later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection is closed on accept.
    Refuse,
    /// The connection is reset, the call is not made.
    ResetBefore,
    /// The call is made, then the connection is reset.
    ResetAfter,
    /// The call is made, the answer breaks off half-way.
    Cut,
    /// The call is made, the answer is no JSON.
    Garbage,
    /// The call is made, a proxy answers with an HTTP status instead.
    Applied {
        /// HTTP status.
        status: u16,
    },
    /// Somebody else's call is made right before.
    SecondWriter {
        /// The user.
        user: String,
        /// The operation as the ESB spells it.
        operation: String,
        /// The body as on the ESB.
        body: Value,
    },
    /// The platform does something else than it says.
    Misbehaviour(Misbehaviour),
}

/// A fault with the calls it strikes.
#[derive(Debug)]
struct Rule {
    /// The operation; empty for any.
    operation: String,
    /// The number of the call among those of the operation, from 1.
    nth: Option<u64>,
    /// The probability and its random numbers, which a seed makes the same each time.
    chance: Option<(f64, fastrand::Rng)>,
    seen: u64,
    fault: Fault,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Rule>);

impl Faults {
    /// Reads `[{operation, nth | probability + seed, fault, …}]`.
    pub(super) fn of(value: &Value) -> Result<Self, Vec<StateError>> {
        let Some(items) = value.as_array() else {
            return Err(vec![StateError { pointer: String::new(), message: "expected a list of faults".to_owned() }]);
        };
        let mut rules = Vec::new();
        let mut mistakes = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let read = item.as_object().ok_or_else(|| (String::new(), "expected an object".to_owned())).and_then(rule);
            match read {
                Ok(rule) => rules.push(rule),
                Err((name, message)) => mistakes.push(StateError { pointer: format!("/{position}{name}"), message }),
            }
        }
        if mistakes.is_empty() { Ok(Self(rules)) } else { Err(mistakes) }
    }

    /// Returns true if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts a call and returns the faults that strike it.
    pub(super) fn strike(&mut self, record: &Record) -> Vec<Fault> {
        let struck = self.0.iter_mut().filter(|rule| rule.fault != Fault::Refuse);
        struck.filter_map(|rule| rule.strike(&record.operation)).collect()
    }

    /// Counts a connection and returns true if it is refused. It carries no operation yet, so any rule of this kind
    /// counts.
    pub(super) fn refuses(&mut self) -> bool {
        let rules = self.0.iter_mut().filter(|rule| rule.fault == Fault::Refuse);
        rules.filter_map(Rule::count).count() > 0
    }
}

impl Rule {
    fn strike(&mut self, operation: &str) -> Option<Fault> {
        if self.operation.is_empty() || self.operation == operation { self.count() } else { None }
    }

    fn count(&mut self) -> Option<Fault> {
        self.seen += 1;
        let by_number = self.nth.is_none_or(|nth| nth == self.seen);
        let by_chance = self.chance.as_mut().is_none_or(|(probability, random)| random.f64() < *probability);
        (by_number && by_chance).then(|| self.fault.clone())
    }
}

/// The milliseconds until the server puts back a task that hangs.
const HANG: u64 = 25 * 60 * 1000;

type Mistake = (String, String);

fn rule(map: &Map<String, Value>) -> Result<Rule, Mistake> {
    let operation = text(map, "operation")?.unwrap_or_default();
    let nth = number(map, "nth")?;
    let chance = match map.get("probability") {
        None => None,
        Some(value) => {
            let probability = value.as_f64().filter(|probability| (0.0..=1.0).contains(probability));
            let probability = probability.ok_or_else(|| mistake("probability", "expected a number from 0 to 1"))?;
            Some((probability, fastrand::Rng::with_seed(number(map, "seed")?.unwrap_or(0))))
        }
    };
    let operation = if operation == "*" { String::new() } else { operation };
    Ok(Rule { operation, nth, chance, seen: 0, fault: fault(map)? })
}

fn mistake(name: &str, message: &str) -> Mistake {
    (format!("/{name}"), message.to_owned())
}

fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>, Mistake> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(mistake(name, "expected a text")),
    }
}

fn number(map: &Map<String, Value>, name: &str) -> Result<Option<u64>, Mistake> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| mistake(name, "expected a whole number, not negative")),
    }
}

fn http_status(map: &Map<String, Value>) -> Result<u16, Mistake> {
    let status = number(map, "status")?.and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (100..=599).contains(status));
    status.ok_or_else(|| mistake("status", "expected an HTTP status"))
}

fn fault(map: &Map<String, Value>) -> Result<Fault, Mistake> {
    let name = text(map, "fault")?.ok_or_else(|| mistake("fault", "expected the name of a fault"))?;
    let misbehaviour = |misbehaviour| Ok(Fault::Misbehaviour(misbehaviour));
    match name.as_str() {
        "status" => {
            let status = http_status(map)?;
            let headers = map.get("headers").and_then(Value::as_object).into_iter().flatten();
            let headers = headers
                .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            Ok(Fault::Status { status, body: map.get("body").cloned().unwrap_or_default(), headers: headers.collect() })
        }
        "code" => {
            let code = map.get("code").filter(|code| code.is_i64() || code.is_string());
            let code = code.cloned().ok_or_else(|| mistake("code", "expected a code of the platform"))?;
            Ok(Fault::Code { code, message: text(map, "message")?.unwrap_or_else(|| "injected".to_owned()) })
        }
        "rate_limit" => {
            let inside = map.get("inside").and_then(Value::as_bool).unwrap_or(false);
            Ok(Fault::RateLimit { retry_after: number(map, "retry_after")?, inside })
        }
        "delay" => Ok(Fault::Delay { ms: number(map, "ms")?.unwrap_or(1000) }),
        "refuse" => Ok(Fault::Refuse),
        "reset_before" => Ok(Fault::ResetBefore),
        "reset_after" => Ok(Fault::ResetAfter),
        "cut" => Ok(Fault::Cut),
        "garbage" => Ok(Fault::Garbage),
        "applied_504" => Ok(Fault::Applied { status: 504 }),
        "applied_status" => Ok(Fault::Applied { status: http_status(map)? }),
        "second_writer" => {
            let edit = map.get("edit").and_then(Value::as_object);
            let edit = edit.ok_or_else(|| mistake("edit", "expected `operation` and `body` of the other call"))?;
            Ok(Fault::SecondWriter {
                user: text(edit, "user")?.unwrap_or_else(|| "somebody_else".to_owned()),
                operation: text(edit, "operation")?.unwrap_or_default(),
                body: edit.get("body").cloned().unwrap_or_default(),
            })
        }
        "drop" => misbehaviour(Misbehaviour::Drop),
        "normalise" => misbehaviour(Misbehaviour::Normalise),
        "lag" => misbehaviour(Misbehaviour::Lag { ms: number(map, "ms")?.unwrap_or(1000) }),
        "page_shift" => {
            let skip = map.get("skip").and_then(Value::as_bool).unwrap_or(false);
            misbehaviour(Misbehaviour::PageShift { skip })
        }
        "lost_row" => misbehaviour(Misbehaviour::LostRow),
        "task_fails" => misbehaviour(Misbehaviour::TaskFails { after: number(map, "after")?.unwrap_or(0) }),
        "task_hangs" => misbehaviour(Misbehaviour::TaskHangs { ms: number(map, "ms")?.unwrap_or(HANG) }),
        _ => Err(mistake("fault", &format!("there is no fault `{name}`"))),
    }
}
