//! Lines that fit a terminal. Redirected output is not folded: other programs may read it line by line.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Column where places begin, if the text before them is short enough.
const PLACES: usize = 68;

/// Blanks between a text and its place.
const GAP: usize = 2;

/// Narrowest terminal that lines are folded for; a narrower one gets lines of this width.
const NARROWEST: usize = 30;

/// Returns a text with its place at the end of the line or, if that is too wide, on a line of its own.
///
/// `columns` is the width of the terminal, if there is one.
pub(super) fn with_place(text: &str, place: &str, columns: Option<usize>) -> String {
    let (width, place_width) = (visible_width(text), visible_width(place));
    let Some(columns) = columns.map(|columns| columns.max(NARROWEST)) else {
        return format!("{text}{}{place}", " ".repeat(PLACES.saturating_sub(width).max(GAP)));
    };
    let start = PLACES.max(width + GAP).min(columns.saturating_sub(place_width));
    if start >= width + GAP {
        return format!("{text}{}{place}", " ".repeat(start - width));
    }
    let indent = hanging(text, columns);
    let room = columns - indent;
    let parts: Vec<_> = place.split(' ').map(|part| cut_middle(part, room)).collect();
    let place = parts.join(" ");
    // A short place stays at the right edge, where the eye looks for it.
    let pad = if visible_width(&place) <= room { columns - visible_width(&place) } else { indent };
    format!("{}\n{}", fold(text, columns), fold_at(&format!("{}{place}", " ".repeat(pad)), columns, indent))
}

/// Returns a text folded at the width of a terminal, with continuation lines indented below its first word.
pub(super) fn fold(text: &str, columns: usize) -> String {
    let columns = columns.max(NARROWEST);
    fold_at(text, columns, hanging(text, columns))
}

/// Returns the indent of continuation lines: four more than that of the text.
fn hanging(text: &str, columns: usize) -> usize {
    let plain = anstream::adapter::strip_str(text).to_string();
    let own = plain.len() - plain.trim_start_matches(' ').len();
    (own + 4).min(columns / 2)
}

/// Folds at the last blank that fits, inside a word only if the word alone is too wide.
fn fold_at(text: &str, columns: usize, indent: usize) -> String {
    if visible_width(text) <= columns {
        return text.to_owned();
    }
    let mut lines = String::new();
    let (mut line, mut width) = (String::new(), 0);
    // Where the line can be broken: the byte behind which the next line begins, and the width up to there.
    let mut blank: Option<(usize, usize)> = None;
    let mut is_inside = false;
    let mut has_word = false;
    for letter in text.chars() {
        let escape = letter == '\u{1b}';
        is_inside |= escape;
        let own = if is_inside { 0 } else { letter.width().unwrap_or(0) };
        is_inside &= escape || !letter.is_ascii_alphabetic();
        if width + own > columns && letter != ' ' {
            let (at, taken) = blank.take().unwrap_or((line.len(), width));
            let rest = line.split_off(at);
            lines.push_str(line.trim_end_matches(' '));
            lines.push('\n');
            line = format!("{}{rest}", " ".repeat(indent));
            width = indent + width - taken;
        }
        line.push(letter);
        width += own;
        if letter == ' ' && has_word {
            blank = Some((line.len(), width));
        }
        has_word |= own > 0 && letter != ' ';
    }
    lines.push_str(line.trim_end_matches(' '));
    lines
}

/// Returns a word without its middle if it is too wide. Names of files differ at both ends.
fn cut_middle(word: &str, columns: usize) -> String {
    if word.width() <= columns {
        return word.to_owned();
    }
    let room = columns.saturating_sub(1);
    // The end holds the file's name, the line and the column.
    let end = room * 2 / 3;
    let head = taken(word.chars(), room - end);
    let tail: String = taken(word.chars().rev(), end).chars().rev().collect();
    format!("{head}…{tail}")
}

/// Returns as many letters as fit a width.
fn taken(letters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut width = 0;
    letters
        .take_while(|letter| {
            width += letter.width().unwrap_or(0);
            width <= columns
        })
        .collect()
}

/// Returns the columns that a text takes up on a terminal; colours take none.
pub(super) fn visible_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_fit_the_terminal() {
        let check = |text: &str, place: &str, columns: Option<usize>, expected: &str| {
            assert_eq!(with_place(text, place, columns), expected, "{text:?} {place:?} {columns:?}");
        };
        let padded = |text: &str, column: usize, place: &str| format!("{text:column$}{place}");
        check("~ Module web", "web.yaml:1", None, &padded("~ Module web", 68, "web.yaml:1"));
        check("~ Module web", "web.yaml:1", Some(120), &padded("~ Module web", 68, "web.yaml:1"));
        check("~ Module web", "web.yaml:1", Some(80), &padded("~ Module web", 68, "web.yaml:1"));
        check("~ Module web", "cmdb/module.yaml:1:22", Some(80), &padded("~ Module web", 59, "cmdb/module.yaml:1:22"));
        // Redirected, a long line stays one.
        let long = "x".repeat(90);
        check(&long, "web.yaml:1", None, &format!("{long}  web.yaml:1"));
        // No room beside the text: a line of its own, at the right edge.
        let text = "    operator     \"alice\" → \"bob\"";
        check(text, "a/b/operators.yaml:10:22", Some(50), &format!("{text}\n{:>50}", "a/b/operators.yaml:10:22"));
        // Wider than the terminal: without its middle.
        check(
            text,
            "environments/production/operators.yaml:10:22",
            Some(40),
            &format!("{text}\n        environment…operators.yaml:10:22"),
        );
        check("~ 机柜", "机柜/机柜/机柜/机柜/机柜.yaml:1", Some(30), "~ 机柜\n    机柜/机柜…机柜/机柜.yaml:1");
    }

    #[test]
    fn texts_are_folded_between_words() {
        let check = |text: &str, columns: usize, expected: &str| assert_eq!(fold(text, columns), expected);
        check("short", 30, "short");
        check("? Instance a could not be read: no answer", 30, "? Instance a could not be\n    read: no answer");
        check("    manual follow-up: sync the modules", 30, "    manual follow-up: sync the\n        modules");
        check(&"x".repeat(40), 30, &format!("{}\n    {}", "x".repeat(30), "x".repeat(10)));
        check(
            "\u{1b}[1maaaaaaaaaaaaaaa bbbbbbbbbbbbbbb\u{1b}[0m",
            30,
            "\u{1b}[1maaaaaaaaaaaaaaa\n    bbbbbbbbbbbbbbb\u{1b}[0m",
        );
        check(&"机".repeat(20), 30, &format!("{}\n    {}", "机".repeat(15), "机".repeat(5)));
    }

    proptest! {
        #[test]
        fn every_line_fits_and_nothing_is_lost(text in "[a-z机 ]{0,200}", place in "[a-z机/]{1,60}:1", columns in 30_usize..120) {
            let placed = with_place(&text, &place, Some(columns));
            for line in placed.lines() {
                prop_assert!(visible_width(line) <= columns, "{line:?} is wider than {columns}");
            }
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            let placed = letters(&placed);
            prop_assert!(placed.starts_with(&letters(&text)), "{placed:?}");
            prop_assert!(placed.ends_with(":1"));
        }
    }
}
