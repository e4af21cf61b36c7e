//! Text of strangers made harmless: values of manifests and servers and names of files may hold anything.

use std::borrow::Cow;

/// Returns a text in which characters that do not show, or that reorder those that do, are spelled out, as in
/// `\u{202e}`. Line breaks and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(may_hide) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len());
    let mut before = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // Joins pictures to one.
        let joins =
            letter == '\u{200d}' && before.is_some_and(is_picture) && letters.peek().copied().is_some_and(is_picture);
        if may_hide(letter) && !joins {
            spelled.extend(letter.escape_unicode());
        } else {
            spelled.push(letter);
        }
        before = Some(letter);
    }
    Cow::Owned(spelled)
}

/// Returns a text in one line, with what does not show spelled out.
pub fn line(text: &str) -> String {
    let text = visible(text);
    let text = text.trim_end_matches('\n');
    if text.contains(['\n', '\t']) { text.replace('\n', "\\n").replace('\t', "\\t") } else { text.to_owned() }
}

/// Returns true for a control character, one that changes the direction of text, and one that takes up no place.
fn may_hide(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

fn is_picture(letter: char) -> bool {
    matches!(letter, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

/// Returns a reason without the id of the request in which it came up.
pub fn without_request(why: &str) -> String {
    let at = [", request ", " (request "].iter().find_map(|mark| why.find(mark));
    at.map_or(why, |at| &why[..at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_spelled_out() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check("a b 机柜 👩\u{200d}💻", "a b 机柜 👩\u{200d}💻");
        check("👩🏽\u{200d}❤️\u{200d}👩", "👩🏽\u{200d}❤️\u{200d}👩");
        check("a\u{200d}b\u{200c}c\u{34f}\u{3164}", "a\\u{200d}b\\u{200c}c\\u{34f}\\u{3164}");
        check("a\u{202e}b\u{0}c\u{7f}\u{85}\u{feff}", "a\\u{202e}b\\u{0}c\\u{7f}\\u{85}\\u{feff}");
        check("a\r\nb\tc\n", "a\\u{d}\\nb\\tc");
        check("\u{1b}[31m", "\\u{1b}[31m");
    }
}
