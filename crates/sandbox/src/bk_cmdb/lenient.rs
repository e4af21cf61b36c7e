//! JSON as the api-server reads it, which takes more than the standard has.
//!
//! Bytes that are no UTF-8 and lone surrogates become U+FFFD. A number with a leading zero, or one beyond every number,
//! is kept as it was written: what becomes of it is up to the service that uses it.

use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Value, json};

/// The key of an object that stands for a number as it was written.
const NUMBER: &str = "\u{0}number";

/// Reads what the standard does not have; `None` for what the api-server refuses too.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                out.push(letter);
                string(&mut letters, &mut out);
            }
            '-' | '0'..='9' => {
                let mut end = at + 1;
                while let Some((next, _)) = letters.next_if(|(_, letter)| is_of_number(*letter)) {
                    end = next + 1;
                }
                number(&text[at..end], &mut out);
            }
            _ => out.push(letter),
        }
    }
    serde_json::from_str(&out).ok()
}

/// Returns a number of a request that JSON does not have, as it was written.
pub(super) fn odd_number(value: &Value) -> Option<&str> {
    value.get(NUMBER)?.as_str()
}

/// Returns true if a number is beyond every number of the store.
pub(super) fn is_beyond(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(f64::is_infinite)
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, '.' | 'e' | 'E' | '+' | '-')
}

fn number(text: &str, out: &mut String) {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let leading = digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit);
    if text.parse::<f64>().is_ok() && (leading || is_beyond(text)) {
        out.push_str(&json!({ NUMBER: text }).to_string());
    } else {
        out.push_str(text);
    }
}

fn string(letters: &mut Peekable<CharIndices<'_>>, out: &mut String) {
    // A first half of a pair that waits for its second half.
    let mut first: Option<String> = None;
    loop {
        let Some((_, letter)) = letters.next() else { return };
        let unit = match letter {
            '\\' => match letters.next() {
                Some((_, 'u')) => {
                    let hex: String = (0..4).filter_map(|_| letters.next()).map(|(_, letter)| letter).collect();
                    let value = u32::from_str_radix(&hex, 16).unwrap_or(0);
                    (format!("\\u{hex}"), value)
                }
                Some((_, other)) => (format!("\\{other}"), 0),
                None => (letter.to_string(), 0),
            },
            _ => (letter.to_string(), 0),
        };
        match (first.take(), unit) {
            (Some(high), (low, 0xDC00..=0xDFFF)) => {
                out.push_str(&high);
                out.push_str(&low);
            }
            (lone, (unit, value)) => {
                if lone.is_some() {
                    out.push_str("\\ufffd");
                }
                match value {
                    0xD800..=0xDBFF => first = Some(unit),
                    0xDC00..=0xDFFF => out.push_str("\\ufffd"),
                    _ => out.push_str(&unit),
                }
            }
        }
        if letter == '"' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_beyond, odd_number, read};

    #[test]
    fn what_is_more_than_json() {
        for (bytes, expected) in [
            (br#"{"a":"x\ud800y"}"#.as_slice(), Some(json!({"a": "x\u{fffd}y"}))),
            (br#"{"a":"\ud83d\ude00"}"#, Some(json!({"a": "\u{1f600}"}))),
            (br#"{"a":"\udc00\ud800"}"#, Some(json!({"a": "\u{fffd}\u{fffd}"}))),
            (b"{\"a\":\"x\xffy\"}", Some(json!({"a": "x\u{fffd}y"}))),
            (br#"{"a":"08 \"1e400\" \\"}"#, Some(json!({"a": "08 \"1e400\" \\"}))),
            (br#"{"a":-0,"b":0.5}"#, Some(json!({"a": -0.0, "b": 0.5}))),
            (br#"{"a":+1}"#, None),
            (br#"{"a":NaN}"#, None),
            (br#"{"a":0x10}"#, None),
            (br#"{"a":"x",}"#, None),
            (br#"{"a":1} {"a":2}"#, None),
            (br#"{"a":"x"#, None),
        ] {
            assert_eq!(read(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn odd_numbers_are_kept_as_written() {
        for (text, number, beyond) in [("08", "08", false), ("-01.5", "-01.5", false), ("1e400", "1e400", true)] {
            let value = read(format!("{{\"a\":{text}}}").as_bytes()).expect("it is read");
            assert_eq!(odd_number(&value["a"]), Some(number));
            assert_eq!(is_beyond(number), beyond, "{number}");
        }
    }
}
