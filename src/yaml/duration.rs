//! Durations as people write them.

use std::time::Duration;

/// Reads a duration such as `5m`, `1h30m` or `500ms`. Units are `ms`, `s`, `m`, `h` and `d`, each once and the large
/// ones first.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit: u64 = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        };
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("500ms", Some(500));
        check("0s", Some(0));
        check("2d", Some(172_800_000));
        for text in
            ["", "5", "m", "5x", "30m1h", "1m1m", "-5m", "5 m", "五m", "99999999999999999999s", "999999999999999d"]
        {
            check(text, None);
        }
    }
}
