//! What strangers wrote, made harmless: values of manifests and servers may hold anything.

use std::borrow::Cow;

/// Returns a text in which characters that do not show, or that reorder those that do, are spelled out, as in
/// `\u{202e}`. Line breaks and tabs stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let spelled = |letter: char| if is_hidden(letter) { letter.escape_unicode().to_string() } else { letter.into() };
    Cow::Owned(text.chars().map(spelled).collect())
}

/// Returns a text in one line, with what does not show spelled out.
pub(super) fn line(text: &str) -> String {
    let text = visible(text);
    let text = text.trim_end_matches('\n');
    if text.contains(['\n', '\t']) { text.replace('\n', "\\n").replace('\t', "\\t") } else { text.to_owned() }
}

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

/// Says whether a character is a control character, changes the direction of text, or takes up no place.
fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}')
        || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_spelled_out() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check("a b 机柜 👩\u{200d}💻", "a b 机柜 👩\u{200d}💻");
        check("a\u{202e}b\u{0}c\u{7f}\u{85}\u{feff}", "a\\u{202e}b\\u{0}c\\u{7f}\\u{85}\\u{feff}");
        check("a\r\nb\tc\n", "a\\u{d}\\nb\\tc");
        check("\u{1b}[31m", "\\u{1b}[31m");
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(cut("机柜", 2), "机柜");
        assert_eq!(cut("机柜一二", 2), "机柜… (2 more characters)");
    }
}
