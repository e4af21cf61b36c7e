//! Values as people read them.

use std::borrow::Cow;

use serde_json::Value;
use unicode_security::confusable_detection::skeleton;

use super::plain::{cut, line};
use crate::model::{Display, DisplayKind, FieldChange};

/// Longest value that is shown in one line.
const LONG: usize = 60;

/// Returns a value in one line; none at all is `(none)`.
pub(super) fn short(value: Option<&Value>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(Value::Array(items)) => {
            let items: Vec<_> = items.iter().map(|item| short(Some(item))).collect();
            format!("[{}]", items.join(", "))
        }
        Some(other) => other.to_string(),
    }
}

/// Returns true if a change reads better line by line: a text of several lines, or a long one.
pub(super) fn is_long(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| text.contains('\n') || text.chars().count() > LONG)
}

/// The two values of a changed field, each in one line, and never looking alike.
pub(super) struct Sides {
    from: String,
    to: String,
    /// Stored values that names stand for, such as ids of options.
    from_id: Option<String>,
    to_id: Option<String>,
}

impl Sides {
    /// Returns the sides of a field.
    pub(super) fn of(field: &FieldChange) -> Self {
        let side = |display: fn(&Display) -> &Option<String>, value: &Option<Value>| {
            let shown = field.display.as_ref().and_then(|shown| Some((shown.kind, display(shown).as_ref()?.as_str())));
            side(shown, value.as_ref())
        };
        let (from, from_id) = side(|display| &display.from, &field.from);
        let (to, to_id) = side(|display| &display.to, &field.to);
        let (from, to) = distinct(&from, &to).unwrap_or((from, to));
        Self { from, to, from_id, to_id }
    }

    /// Returns the same with each value in one line of at most so many characters.
    pub(super) fn bounded(self, most: usize) -> Self {
        let bound = |text: &str| cut(&line(text), most).into_owned();
        let bound_id = |id: Option<String>| id.map(|id| bound(&id));
        Self {
            from: bound(&self.from),
            to: bound(&self.to),
            from_id: bound_id(self.from_id),
            to_id: bound_id(self.to_id),
        }
    }

    /// Returns the live value, with the id that is stored where it is a name.
    pub(super) fn named_from(&self) -> String {
        named(&self.from, self.from_id.as_ref())
    }

    /// Returns the desired value, with the id that is stored where it is a name.
    pub(super) fn named_to(&self) -> String {
        named(&self.to, self.to_id.as_ref())
    }

    /// Returns both, as in `In stock → In use (1 → 2)`.
    pub(super) fn arrow(&self) -> String {
        match (&self.from_id, &self.to_id) {
            (Some(from), Some(to)) => format!("{} → {} ({from} → {to})", self.from, self.to),
            _ => format!("{} → {}", self.named_from(), self.named_to()),
        }
    }
}

/// Returns the text of a value, and the stored value where the text is a name of it.
fn side(display: Option<(DisplayKind, &str)>, value: Option<&Value>) -> (String, Option<String>) {
    match (display, value) {
        (Some((DisplayKind::Option, name)), Some(id)) => (line(name), Some(bare(id))),
        (Some((DisplayKind::Word, word)), _) => (short(Some(&Value::from(word))), None),
        (Some((_, text)), _) => (line(text), None),
        (None, value) => (short(value), None),
    }
}

/// Returns the value that a display calls the desired one.
pub(super) fn shown(display: Option<&Display>, value: &Value) -> String {
    let display = display.and_then(|display| Some((display.kind, display.to.as_deref()?)));
    let (text, id) = side(display, Some(value));
    named(&text, id.as_ref())
}

fn named(text: &str, id: Option<&String>) -> String {
    id.map_or_else(|| text.to_owned(), |id| format!("{text} ({id})"))
}

/// Returns ids without quotes, which are the names' alone.
fn bare(id: &Value) -> String {
    match id {
        Value::Array(items) => format!("[{}]", items.iter().map(bare).collect::<Vec<_>>().join(", ")),
        Value::String(text) => line(text),
        other => other.to_string(),
    }
}

/// Returns two different texts with their difference spelled out, as in `to\u{a0}be`, where they would look alike:
/// blanks of another width, accents on their own, letters of other scripts. `None` if anybody sees the difference.
pub(super) fn distinct(name: &str, other: &str) -> Option<(String, String)> {
    if name == other || (name.is_ascii() && other.is_ascii()) || !looks_alike(name, other) {
        return None;
    }
    let same = |(a, b): &(char, char)| a == b;
    let start = name.chars().zip(other.chars()).take_while(same).count();
    let left = name.chars().count().min(other.chars().count()) - start;
    let end = name.chars().rev().zip(other.chars().rev()).take(left).take_while(same).count();
    let spelled = |text: &str| {
        let differs = start..text.chars().count() - end;
        let letter = |(at, letter): (usize, char)| match letter {
            letter if letter.is_ascii() || !differs.contains(&at) => letter.to_string(),
            letter => letter.escape_unicode().to_string(),
        };
        text.chars().enumerate().map(letter).collect()
    };
    Some((spelled(name), spelled(other)))
}

/// Returns a line of one text with what differs spelled out, where a line of the other text looks like it.
pub(super) fn distinct_line<'l>(text: &'l str, mut others: impl Iterator<Item = &'l str>) -> Cow<'l, str> {
    match others.find_map(|other| distinct(text, other)) {
        Some((spelled, _)) => Cow::Owned(spelled),
        None => Cow::Borrowed(text),
    }
}

fn looks_alike(name: &str, other: &str) -> bool {
    let planned_run = |text: &str| {
        let blank = |letter: char| if letter.is_whitespace() { ' ' } else { letter };
        let text: String = text.chars().map(blank).collect();
        skeleton(&text).filter(|letter| *letter != ' ').collect::<String>()
    };
    planned_run(name) == planned_run(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_look_alike_are_told_apart() {
        let check = |name: &str, other: &str, expected: Option<(&str, &str)>| {
            let told = distinct(name, other);
            let told = told.as_ref().map(|(text, other)| (text.as_str(), other.as_str()));
            assert_eq!(told, expected, "{name} {other}");
        };
        check("to be replaced", "to\u{a0}be replaced", Some(("to be replaced", "to\\u{a0}be replaced")));
        check("café", "cafe\u{301}", Some(("caf\\u{e9}", "cafe\\u{301}")));
        check("Москва A", "Москва А", Some(("Москва A", "Москва \\u{410}")));
        check("机柜　一", "机柜 一", Some(("机柜\\u{3000}一", "机柜 一")));
        check("机柜　一", "机柜  一", Some(("机柜\\u{3000}一", "机柜  一")));
        check("a\u{200b}b", "ab", Some(("a\\u{200b}b", "ab")));
        check("机柜一", "机柜二", None);
        check("café", "cafe", None);
        check("Ol", "0I", None);
        check("café", "café", None);
    }

    proptest! {
        /// Two different values never read the same.
        #[test]
        fn two_values_never_read_the_same(one in "[ab\u{a0}\u{301}é\u{410}A\u{3000} ]{0,6}", other in "[ab\u{a0}\u{301}é\u{410}A\u{3000} ]{0,6}") {
            if let Some((shown, shown_other)) = distinct(&one, &other) {
                prop_assert_ne!(&shown, &shown_other);
                prop_assert_eq!(shown.len() >= one.len(), true);
            } else if one != other {
                prop_assert!(!looks_alike(&one, &other) || (one.is_ascii() && other.is_ascii()));
            }
        }
    }
}
