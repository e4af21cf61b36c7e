//! Patterns of attributes: the server's syntax (RE2 as Go has it) in that of the library used here.

use regex::bytes::Regex;

/// A pattern, which is translated once for all texts.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    source: Box<str>,
    regex: Option<Regex>,
}

impl Pattern {
    /// Reads a pattern as the server understands it.
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.into(), regex: Regex::new(&translated(source)).ok() }
    }

    /// Returns the pattern as the server has it.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Returns true if a text fits; `None` for a pattern that cannot be understood here, which is left to the server.
    pub(super) fn fits(&self, text: &str) -> Option<bool> {
        Some(self.regex.as_ref()?.is_match(text.as_bytes()))
    }
}

/// Writes a pattern in the library's syntax. `\d`, `\w`, `\s` and `\b` are of ASCII in Go, and within brackets `[`,
/// `&` and `~` are plain characters.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars().peekable();
    // The number of characters since a bracket was opened; none outside of brackets.
    let mut bracket: Option<usize> = None;
    while let Some(letter) = letters.next() {
        let first = bracket == Some(0);
        bracket = bracket.map(|count| count + 1);
        match letter {
            '\\' => match letters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some(edge @ ('b' | 'B')) => {
                    out.push_str("(?-u:\\");
                    out.extend([edge, ')']);
                }
                Some('Q') if bracket.is_none() => {
                    let mut quoted = String::new();
                    while let Some(letter) = letters.next() {
                        if letter == '\\' && letters.next_if_eq(&'E').is_some() {
                            break;
                        }
                        quoted.push(letter);
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if bracket.is_none() => {
                out.push('[');
                bracket = Some(0);
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if first => out.push_str("\\]"),
            ']' if bracket.is_some() => {
                out.push(']');
                bracket = None;
            }
            '[' if letters.peek() == Some(&':') => {
                out.push('[');
                for letter in letters.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if bracket.is_some() => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_server() {
        let check = |pattern: &str, text: &str, expected: Option<bool>| {
            assert_eq!(Pattern::new(pattern).fits(text), expected, "{pattern} {text}");
        };
        check(r"^\d+$", "12", Some(true));
        check(r"^\d+$", "１２", Some(false));
        check(r"^[\d-]+$", "1-2", Some(true));
        check(r"^[\d-]+$", "１-２", Some(false));
        check(r"^\D$", "１", Some(true));
        check(r"^\w+$", "ab_1", Some(true));
        check(r"^\w+$", "机柜", Some(false));
        check(r"^[^\w]+$", "机柜", Some(true));
        check(r"^\s$", "\u{a0}", Some(false));
        check(r"^\S$", "\u{3000}", Some(true));
        check(r"^\s$", "\u{b}", Some(false));
        check(r"\bb", "机b", Some(true));
        check(r"\Bb", "机b", Some(false));
        check(r"^.{2}$", "机柜", Some(true));
        check("^[一-龥]{2}$", "机柜", Some(true));
        check(r"^\p{Han}+$", "机柜", Some(true));
        check("(?i)^straße$", "STRASSE", Some(false));
        check("^[a[b]$", "[", Some(true));
        check("^[a[b]c]$", "bc]", Some(true));
        check("^[a&&b]+$", "a&b", Some(true));
        check("^[]a]+$", "]a", Some(true));
        check("^[^]a]+$", "b", Some(true));
        check("^[^]a]+$", "]", Some(false));
        check("^[[:alpha:]_]+$", "a_b", Some(true));
        check("^[[:alpha:]]+$", "é", Some(false));
        check(r"^\Qa.b\E.$", "a.bc", Some(true));
        check(r"^\Qa.b\E.$", "axbc", Some(false));
        check(r"^[\[\]]+$", "[]", Some(true));
        check(r"^a(?=b)", "ab", None);
        check(r"^(a)\1$", "aa", None);
    }
}
