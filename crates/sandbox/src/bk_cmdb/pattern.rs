//! Patterns as the server's language reads them.

/// Returns a pattern in the notation of this program's library.
///
/// The classes `\d`, `\w`, `\s` and the border `\b` mean ASCII only, and inside brackets `[`, `&`, `~` and a second `-`
/// are letters like others.
pub(super) fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars().peekable();
    let mut brackets = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let Some(next) = letters.next() else {
                    out.push(letter);
                    break;
                };
                out.push_str(class(next, brackets).unwrap_or(""));
                if class(next, brackets).is_none() {
                    out.push(letter);
                    out.push(next);
                }
            }
            '[' if !brackets => {
                brackets = true;
                out.push(letter);
                out.extend(letters.next_if_eq(&'^'));
                // A bracket that closes at once is a letter.
                if letters.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if letters.peek() == Some(&':') => {
                out.push(letter);
                for inner in letters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if brackets => {
                brackets = false;
                out.push(letter);
            }
            '[' | '&' | '~' if brackets => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// The meaning of an escaped letter, where it differs.
fn class(letter: char, brackets: bool) -> Option<&'static str> {
    match letter {
        'd' => Some("[0-9]"),
        'D' => Some("[^0-9]"),
        'w' => Some("[0-9A-Za-z_]"),
        'W' => Some("[^0-9A-Za-z_]"),
        's' => Some("[\\t\\n\\f\\r ]"),
        'S' => Some("[^\\t\\n\\f\\r ]"),
        'b' if !brackets => Some("(?-u:\\b)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::translated;

    #[test]
    fn classes_are_ascii() {
        for (pattern, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "１２", false),
            (r"^\D$", "１", true),
            (r"^\w+$", "abc_9", true),
            (r"^\w+$", "é", false),
            (r"^[\w.-]+$", "a.b-c", true),
            (r"^[\w.-]+$", "é", false),
            (r"^[^\s]+$", "a\u{3000}b", true),
            (r"^a\sb$", "a\u{a0}b", false),
            (r"^a\sb$", "a\tb", true),
            (r"\bx\b", "éxé", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[[a]+$", "[", true),
            (r"^\.$", ".", true),
            (r"^\\d$", r"\d", true),
        ] {
            let made = Regex::new(&translated(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(made.is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_stays_none() {
        for pattern in ["(", "*", "[", "a\\"] {
            assert!(Regex::new(&translated(pattern)).is_err(), "{pattern}");
        }
    }
}
