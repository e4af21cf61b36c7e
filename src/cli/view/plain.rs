//! Text for people and logs of CI, made harmless; and cut.

use std::borrow::Cow;

pub(super) use crate::plain::{line, visible};

/// Words that make a line of its output a command to a CI server, wherever they stand in the line.
const COMMANDS: &[&str] = &["##[", "##vso[", "##teamcity["];

/// Returns the first characters of a text, and says how many more there are.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let more = text[end..].chars().count();
            Cow::Owned(format!("{}… ({more} more characters)", &text[..end]))
        }
    }
}

/// Returns a number with its noun.
pub(in crate::cli) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Returns text as terminals and logs of CI may have it: what does not show is spelled out, but for our own colours, and
/// no line is a command to a CI server, such as `::error::`.
pub(super) fn guarded(text: &str, colour: bool) -> String {
    let guard = |text: &str| {
        let text = if colour { between_colours(text) } else { visible(text).into_owned() };
        without_commands(&text, colour)
    };
    text.split_inclusive('\n').map(guard).collect()
}

/// Spells out what does not show between the colours.
fn between_colours(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find('\u{1b}') {
        shown.push_str(&visible(&rest[..start]));
        let end = start + colour(&rest[start..]).unwrap_or(0).max(1);
        let kept = &rest[start..end];
        shown.push_str(&if end - start > 1 { Cow::Borrowed(kept) } else { visible(kept) });
        rest = &rest[end..];
    }
    shown + &visible(rest)
}

/// Returns the length of a sequence that sets a colour or makes text bold, dim or as usual: none that hides it.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\u{1b}[")?.split_once('m')?.0;
    let is_plain = |number: &str| matches!(number.parse(), Ok(0..=4 | 22 | 31..=37 | 39 | 91..=97));
    numbers.split(';').all(is_plain).then_some(numbers.len() + 3)
}

fn without_commands(text: &str, coloured: bool) -> String {
    let mut start = text.len() - text.trim_start().len();
    while let Some(length) = colour(&text[start..]).filter(|_| coloured) {
        start += length;
        start += text[start..].len() - text[start..].trim_start().len();
    }
    let text = match text[start..].strip_prefix("::") {
        Some(rest) => format!("{}\\u{{3a}}:{rest}", &text[..start]),
        None => text.to_owned(),
    };
    COMMANDS.iter().fold(text, |text, command| text.replace(command, &format!("\\u{{23}}{}", &command[1..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(cut("机柜", 2), "机柜");
        assert_eq!(cut("机柜一二", 2), "机柜… (2 more characters)");
    }

    #[test]
    fn no_line_is_a_command_and_only_our_colours_pass() {
        let check = |text: &str, plain: &str, coloured: &str| {
            assert_eq!(guarded(text, false), plain, "{text:?}");
            assert_eq!(guarded(text, true), coloured, "{text:?}");
        };
        check(
            "a\n::error::b\n  ::stop::\n",
            "a\n\\u{3a}:error::b\n  \\u{3a}:stop::\n",
            "a\n\\u{3a}:error::b\n  \\u{3a}:stop::\n",
        );
        check(
            "[::]:80 ##vso[x] ##[y] a::b",
            "[::]:80 \\u{23}#vso[x] \\u{23}#[y] a::b",
            "[::]:80 \\u{23}#vso[x] \\u{23}#[y] a::b",
        );
        check("\u{1b}[1;31merror\u{1b}[0m", "\\u{1b}[1;31merror\\u{1b}[0m", "\u{1b}[1;31merror\u{1b}[0m");
        check("\u{1b}[2m::error::\u{1b}[0m", "\\u{1b}[2m::error::\\u{1b}[0m", "\u{1b}[2m\\u{3a}:error::\u{1b}[0m");
        check(
            "\u{1b}[8mx\u{1b}]0;t\u{7}\u{9b}1m",
            "\\u{1b}[8mx\\u{1b}]0;t\\u{7}\\u{9b}1m",
            "\\u{1b}[8mx\\u{1b}]0;t\\u{7}\\u{9b}1m",
        );
        check("a\rb\u{8}", "a\\u{d}b\\u{8}", "a\\u{d}b\\u{8}");
    }

    proptest! {
        /// Whatever a text holds, no control character passes but line breaks and tabs, and no line is a command.
        #[test]
        fn nothing_passes_but_what_shows(text in "[:#\\[ a\u{1b}\u{9b}\u{202e}\r\n\tm0-9;]{0,30}") {
            let shown = guarded(&text, false);
            prop_assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t'));
            let is_harmless = !shown.contains("##[") && !shown.contains('\u{202e}');
            prop_assert!(is_harmless, "{}", shown);
            for line in shown.lines() {
                prop_assert!(!line.trim_start().starts_with("::"), "{}", line);
            }
        }
    }
}
