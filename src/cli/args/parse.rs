//! Parsers of the values of flags.

use crate::config;

/// Parses a duration of the command line.
pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
    config::duration(text).ok_or_else(|| format!("`{text}` is no duration such as 30s or 5m"))
}

/// Reads the environment variable of a flag. Anything that is no plain yes or no is refused: a flag such as
/// `--auto-approve` must not be set by a slip.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "it has to be a whole number above 0".to_owned())
}

pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "it has to be a number above 0".to_owned())
}
