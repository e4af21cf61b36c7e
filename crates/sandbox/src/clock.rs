//! The simulated clock.

use std::{
    cell::Cell,
    marker::PhantomData,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

thread_local! {
    /// The time that the simulation of this thread began at, and the moment of that.
    static SIMULATED: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// Makes the system's time on this thread that of tokio's clock, which may be paused, until it is dropped.
#[derive(Debug)]
pub struct SimulatedTime(
    /// It belongs to its thread.
    PhantomData<*const ()>,
);

impl SimulatedTime {
    /// Begins at a time.
    #[must_use]
    pub fn from(start: Timestamp) -> Self {
        SIMULATED.set(Some((start, Instant::now())));
        Self(PhantomData)
    }
}

impl Drop for SimulatedTime {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

/// Returns the system's time, or that of the simulation on this thread.
pub fn now() -> Timestamp {
    let Some((start, since)) = SIMULATED.get() else { return Timestamp::now() };
    start.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX)
}

/// The settings of the clock, in words for people.
const VALUES: &str = "`system` (or null), a time such as 2026-11-22T15:00:00Z from which the clock runs on, or \
                      {\"frozen\": a time} at which it stands";

/// The options that set a clock.
pub const OPTIONS: [&str; 2] = ["clock", "clock-offset-seconds"];

/// A clock that may be set to another time, from which it runs on or at which it stands.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Setting>);

#[derive(Debug, Clone, Copy, Default)]
struct Setting {
    base: Base,
    /// Added to the base.
    offset_seconds: i64,
}

#[derive(Debug, Clone, Copy, Default)]
enum Base {
    #[default]
    System,
    /// So far from the system's time.
    Ahead(SignedDuration),
    Frozen(Timestamp),
}

impl Base {
    fn now(self) -> Timestamp {
        match self {
            Self::System => now(),
            Self::Ahead(by) => now().saturating_add(by).unwrap_or(Timestamp::MAX),
            Self::Frozen(time) => time,
        }
    }

    fn read(value: &Value) -> Result<Self, String> {
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_| format!("expected {VALUES}"));
        match value {
            Value::Null => Ok(Self::System),
            Value::String(text) if text == "system" => Ok(Self::System),
            Value::String(text) => Ok(Self::Ahead(time(text)?.duration_since(now()))),
            Value::Object(map) if map.len() == 1 => {
                let text = map.get("frozen").and_then(Value::as_str).ok_or_else(|| format!("expected {VALUES}"))?;
                Ok(Self::Frozen(time(text)?))
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(format!("expected {VALUES}")),
        }
    }
}

impl Clock {
    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        let Setting { base, offset_seconds } = *self.setting();
        let now = base.now();
        now.checked_add(SignedDuration::from_secs(offset_seconds)).unwrap_or(now)
    }

    /// Sets one of [`OPTIONS`]; returns true if the name is one of them.
    pub fn set_option(&self, name: &str, value: &Value) -> Result<bool, String> {
        match name {
            "clock" => self.setting().base = Base::read(value)?,
            "clock-offset-seconds" => {
                let seconds = value.as_i64().filter(|seconds| seconds.abs() <= 1_000_000_000);
                self.setting().offset_seconds = seconds.ok_or("expected seconds, a whole number up to 1000000000")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns [`OPTIONS`] with their values.
    pub fn options(&self) -> Map<String, Value> {
        let Setting { base, offset_seconds } = *self.setting();
        let value = match base {
            Base::System => "system".into(),
            Base::Ahead(_) => base.now().to_string().into(),
            Base::Frozen(time) => json!({"frozen": time.to_string()}),
        };
        Map::from_iter([
            (OPTIONS[0].to_owned(), json!({"value": value, "values": VALUES})),
            (OPTIONS[1].to_owned(), json!({"value": offset_seconds, "values": "seconds added to the clock"})),
        ])
    }

    fn setting(&self) -> std::sync::MutexGuard<'_, Setting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_on_or_stands() {
        let clock = Clock::default();
        let at = "2031-01-01T00:00:00Z";
        assert_eq!(clock.set_option("clock", &json!({"frozen": at})), Ok(true));
        assert_eq!(clock.now().to_string(), at);
        assert_eq!(clock.options()["clock"]["value"], json!({"frozen": at}));
        assert_eq!(clock.set_option("clock-offset-seconds", &json!(-60)), Ok(true));
        assert_eq!(clock.now().to_string(), "2030-12-31T23:59:00Z");
        assert_eq!(clock.set_option("clock", &json!(at)), Ok(true));
        assert!(clock.now().to_string().starts_with("2030-12-31T23:59:0"));
        assert_eq!(clock.set_option("clock", &Value::Null), Ok(true));
        assert_eq!(clock.options()["clock"]["value"], "system");
        assert_eq!(clock.set_option("latency", &json!(1)), Ok(false));
        for wrong in [json!("noon"), json!(5), json!({}), json!({"frozen": 1}), json!({"frozen": at, "x": 1})] {
            assert!(clock.set_option("clock", &wrong).is_err(), "{wrong}");
        }
        assert!(clock.set_option("clock-offset-seconds", &json!(1.5)).is_err());
    }
}
