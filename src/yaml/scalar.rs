//! The core schema of YAML 1.2: what a scalar without quotes means, and which ones other readers take otherwise.

use crate::yaml::Typed;

/// Returns what a scalar without quotes means.
pub(super) fn resolve(text: &str) -> Typed<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Typed::Null,
        "true" | "True" | "TRUE" => return Typed::Bool(true),
        "false" | "False" | "FALSE" => return Typed::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Typed::Float(f64::NAN),
        _ => {}
    }
    // Most scalars are words; only these bytes begin a number.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return Typed::Text(text);
    }
    whole(text).or_else(|| float(text).map(Typed::Float)).unwrap_or(Typed::Text(text))
}

fn whole(text: &str) -> Option<Typed<'_>> {
    let (digits, base) = if let Some(digits) = text.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = text.strip_prefix("0o") {
        (digits, 8)
    } else {
        (text, 10)
    };
    // Only decimals have a sign.
    let unsigned = if base == 10 { digits.strip_prefix(['+', '-']).unwrap_or(digits) } else { digits };
    let valid = !unsigned.is_empty() && unsigned.chars().all(|digit| digit.is_digit(base));
    valid.then(|| i64::from_str_radix(digits, base).map_or(Typed::BigInt(text), Typed::Int))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let valid =
        digits(before) && digits(after) && !(before.is_empty() && after.is_empty()) && exponent.is_none_or(is_digits);
    // What the schema allows, Rust reads, so this is never a `None` of its own.
    if valid { text.parse().ok() } else { None }
}

/// A scalar without quotes that readers of YAML 1.1 take otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// `yes`, `no`, `on` or `off`: a text here, a truth value there.
    Switch,
    /// `010`: ten here, eight there.
    LeadingZero,
    /// `22:22`: a text here, 1342 there.
    Sexagesimal,
}

/// Returns what is doubtful about a scalar without quotes.
pub(super) fn doubt(text: &str) -> Option<Doubt> {
    let first = *text.as_bytes().first()?;
    if matches!(first, b'y' | b'Y' | b'n' | b'N' | b'o' | b'O') {
        // `nO` is a text everywhere.
        let uniform = text[1..].bytes().all(|byte| byte.is_ascii_lowercase())
            || text.bytes().all(|byte| byte.is_ascii_uppercase());
        let switch = ["yes", "no", "on", "off"].iter().any(|word| word.eq_ignore_ascii_case(text));
        return (switch && uniform).then_some(Doubt::Switch);
    }
    // Most scalars are words; only these bytes begin a number.
    if !matches!(first, b'0'..=b'9' | b'+' | b'-') {
        return None;
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.len() > 1 && digits.starts_with('0') && is_digits(digits) {
        return Some(Doubt::LeadingZero);
    }
    let mut parts = digits.split(':');
    let hours = parts.next().is_some_and(is_digits);
    let minutes = parts.clone().count() > 0
        && parts.all(|part| is_digits(part) && part.len() <= 2 && (part.len() == 1 || part < "60"));
    (hours && minutes).then_some(Doubt::Sexagesimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        let texts = "~ NULL nULL true TRUE yes 0 -0 +12 010 0o17 0x1F 0b1 1_000 9223372036854775807 \
            9223372036854775808 -9223372036854775808 0x8000000000000000 1.5 -.5 5. . 1e3 1e 1.e+3 .inf -.INF .nan \
            inf 1:2 2024-02-28 - + 12a ０";
        let shown: Vec<String> = texts.split_whitespace().map(|text| format!("{text} {:?}", resolve(text))).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        ~ Null
        NULL Null
        nULL Text("nULL")
        true Bool(true)
        TRUE Bool(true)
        yes Text("yes")
        0 Int(0)
        -0 Int(0)
        +12 Int(12)
        010 Int(10)
        0o17 Int(15)
        0x1F Int(31)
        0b1 Text("0b1")
        1_000 Text("1_000")
        9223372036854775807 Int(9223372036854775807)
        9223372036854775808 BigInt("9223372036854775808")
        -9223372036854775808 Int(-9223372036854775808)
        0x8000000000000000 BigInt("0x8000000000000000")
        1.5 Float(1.5)
        -.5 Float(-0.5)
        5. Float(5.0)
        . Text(".")
        1e3 Float(1000.0)
        1e Text("1e")
        1.e+3 Float(1000.0)
        .inf Float(inf)
        -.INF Float(-inf)
        .nan Float(NaN)
        inf Text("inf")
        1:2 Text("1:2")
        2024-02-28 Text("2024-02-28")
        - Text("-")
        + Text("+")
        12a Text("12a")
        ０ Text("０")
        "#);
    }

    #[test]
    fn doubts_are_those_of_yaml_1_1() {
        for text in ["yes", "No", "ON", "off"] {
            assert_eq!(doubt(text), Some(Doubt::Switch), "{text}");
        }
        for text in ["010", "-08", "00"] {
            assert_eq!(doubt(text), Some(Doubt::LeadingZero), "{text}");
        }
        for text in ["22:22", "1:30:00", "-1:5"] {
            assert_eq!(doubt(text), Some(Doubt::Sexagesimal), "{text}");
        }
        for text in ["", "y", "nO", "none", "0", "0x10", "1:60", "1:", ":1", "00:1a", "::1", "10.0.0.1:80", "-", "名"]
        {
            assert_eq!(doubt(text), None, "{text}");
        }
    }
}
