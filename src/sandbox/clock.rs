//! The simulated clock.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A clock that may be set to another time, from which it runs on.
#[derive(Debug, Default)]
pub struct Clock(Mutex<SignedDuration>);

impl Clock {
    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        let offset = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// Sets the clock by an option's value: null for the system's time, or a time as text.
    pub fn set(&self, value: &Value) -> Result<(), String> {
        let offset = match value {
            Value::Null => SignedDuration::ZERO,
            Value::String(text) => {
                let time: Timestamp = text.parse().map_err(|_| "expected a time such as 2026-11-22T15:00:00Z")?;
                time.duration_since(Timestamp::now())
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err("expected null or a time as text".to_owned());
            }
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = offset;
        Ok(())
    }

    /// Returns the option's entry in the list of options.
    pub fn option(&self) -> Value {
        let offset = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = if offset.is_zero() { Value::Null } else { self.now().to_string().into() };
        json!({"value": value, "values": "null for the system's time, or a time from which the clock runs on"})
    }
}
