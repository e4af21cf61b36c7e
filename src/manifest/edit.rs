//! Writing other values into the texts of manifests: a value at its place, and nothing beside it.
//!
//! Every edit is checked: the new text is read again, and has to differ from the old one in that value alone. So what
//! cannot be rewritten safely, such as an anchor that others refer to, is refused.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use crate::{
    diagnostic::Diagnostic,
    source::Sources,
    yaml::{
        self, Content, Node, Typed,
        write::{Tree, quoted, scalar},
    },
};

/// A value that is to stand at a place of a text.
pub type Edit = (Range<usize>, Tree);

/// Bytes of a text, and those that stand for them in the new one.
pub type Span = (Range<usize>, Range<usize>);

/// Why a value is not written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A comment stands inside of the value.
    #[error("a comment stands inside of the value")]
    Comment,
    /// The list or mapping that stands there takes several lines.
    #[error("a list that takes several lines stands there")]
    Lines,
    /// The new text would say something else in another place too, or could not be read.
    #[error("the line cannot be rewritten without changing something else")]
    Unsafe,
    /// Another value was written to the same place.
    #[error("another difference wants another value there")]
    Twice,
}

/// A text with other values.
#[derive(Debug)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// Of each edit whether it is in it.
    pub results: Vec<Result<(), EditError>>,
    /// The bytes that were replaced, in their order, and those that stand there now.
    pub spans: Vec<Span>,
}

/// Writes values to places of a text, each in the style of what stands there. A text of JSON is written as JSON.
pub fn write(path: &str, text: &str, edits: &[Edit]) -> Edited {
    let mut sources = Sources::default();
    let file = sources.add("before", text);
    let mut problems = Vec::new();
    let before = yaml::load(file, text, &mut problems);
    let is_json = std::path::Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let mut writer = Writer { text, is_json, before, errors: errors(&problems), written: Vec::new() };
    let mut results = vec![Ok(()); edits.len()];
    let (mut open, mut known) = (Vec::new(), BTreeMap::new());
    for (at, (place, value)) in edits.iter().enumerate() {
        // None of those before overlaps another, so that the last one that begins before the end of this ends last.
        let overlaps = known.range(..place.end).next_back().is_some_and(|(_, end)| place.start < *end);
        match styled(text, place, value, is_in_flow(text, place.start), is_json) {
            _ if overlaps => results[at] = Err(EditError::Twice),
            Err(why) => results[at] = Err(why),
            Ok(_) => {
                known.insert(place.start, place.end);
                open.push(at);
            }
        }
    }
    writer.add(edits, &open, &mut results);
    let (text, spans) = writer.with(&[]);
    Edited { text, results, spans }
}

struct Writer<'t> {
    text: &'t str,
    is_json: bool,
    /// The documents of the text as it was.
    before: Vec<yaml::Document<'t>>,
    /// The number of errors in it.
    errors: usize,
    /// The edits that were checked, with the text that stands there now.
    written: Vec<(Edit, String)>,
}

impl Writer<'_> {
    /// Adds edits: all at once where that is right, else the halves, so that few checks find the wrong ones.
    fn add(&mut self, edits: &[Edit], some: &[usize], results: &mut [Result<(), EditError>]) {
        let flows: &[bool] = if some.len() == 1 { &[false, true] } else { &[false] };
        for is_flipped in flows {
            let new = some.iter().filter_map(|at| {
                let (place, value) = &edits[*at];
                let is_flow = is_in_flow(self.text, place.start) != *is_flipped;
                Some((edits[*at].clone(), styled(self.text, place, value, is_flow, self.is_json).ok()?))
            });
            let new: Vec<_> = new.collect();
            if self.is_right(&new) {
                self.written.extend(new);
                return;
            }
        }
        match some {
            [] => {}
            [only] => results[*only] = Err(EditError::Unsafe),
            _ => {
                let (first, second) = some.split_at(some.len() / 2);
                self.add(edits, first, results);
                self.add(edits, second, results);
            }
        }
    }

    /// Returns the text with all that was written and some more, and where that is.
    fn with(&self, more: &[(Edit, String)]) -> (String, Vec<Span>) {
        let mut all: Vec<&(Edit, String)> = self.written.iter().chain(more).collect();
        all.sort_by_key(|((place, _), _)| place.start);
        let (mut text, mut spans, mut end) = (String::with_capacity(self.text.len()), Vec::new(), 0);
        for ((place, _), new) in all {
            text += &self.text[end..place.start];
            spans.push((place.clone(), text.len()..text.len() + new.len()));
            text += new;
            end = place.end;
        }
        (text + &self.text[end..], spans)
    }

    /// Returns true if the text with some more edits says the same as before but for the edited values.
    fn is_right(&self, more: &[(Edit, String)]) -> bool {
        let (text, _) = self.with(more);
        let (mut sources, mut problems) = (Sources::default(), Vec::new());
        let file = sources.add("after", text.as_str());
        let after = yaml::load(file, &text, &mut problems);
        let all = self.written.iter().chain(more).map(|((place, value), _)| ((place.start, place.end), value));
        let mut expected: HashMap<(usize, usize), (&Tree, usize)> =
            all.map(|(place, value)| (place, (value, 0))).collect();
        errors(&problems) == self.errors
            && self.before.len() == after.len()
            && self.before.iter().zip(&after).all(|(before, after)| same(&before.root, &after.root, &mut expected))
            && expected.values().all(|(_, found)| *found == 1)
    }
}

fn errors(problems: &[Diagnostic]) -> usize {
    problems.iter().filter(|problem| problem.is_error()).count()
}

/// Returns true if a place seems to lie inside of `[]` or `{}`, by its line. A wrong guess costs a check.
fn is_in_flow(text: &str, start: usize) -> bool {
    let line = text[..start].rsplit('\n').next().unwrap_or_default();
    let count = |letters: [char; 2]| line.matches(letters).count();
    count(['[', '{']) > count([']', '}'])
}

/// Returns a value in the style of what stands at a place.
fn styled(text: &str, place: &Range<usize>, value: &Tree, is_flow: bool, is_json: bool) -> Result<String, EditError> {
    let old = text.get(place.clone()).ok_or(EditError::Unsafe)?;
    let before = text[..place.start].rsplit('\n').next().unwrap_or_default();
    let value = match value {
        // A list in one text, as of users, stays a list.
        Tree::Text(names) if old.starts_with('[') || has_dash(before) || has_dash(old) => &list(names),
        value => value,
    };
    if is_json {
        return Ok(json(value));
    }
    if old.starts_with(['[', '{']) {
        return if old.contains('\n') { Err(EditError::Lines) } else { Ok(yaml::write::in_one_line(value)) };
    }
    if let Tree::List(items) = value {
        // A list begins at its first dash, or behind it where it is not indented.
        if has_dash(before) {
            return lines(old, before, items);
        }
        if has_dash(old) {
            return Ok(format!("- {}", lines(old, &format!("{before}- "), items)?));
        }
    }
    let Tree::Text(new) = value else { return Ok(yaml::write::in_one_line(value)) };
    if before.trim().is_empty() && is_block(text[..place.start - before.len()].trim_end_matches('\n')) {
        return block_text(before, old, new);
    }
    if old.contains('\n') && old.contains(" #") {
        return Err(EditError::Comment);
    }
    if old.starts_with('"') {
        return Ok(quoted(new));
    }
    let is_single = old.starts_with('\'') && quoted(new).len() == new.len() + 2 + new.matches('"').count();
    Ok(if is_single { format!("'{}'", new.replace('\'', "''")) } else { scalar(new, is_flow) })
}

/// Returns true if a text begins with the dash of an item of a list.
fn has_dash(text: &str) -> bool {
    text.trim_start().starts_with("- ")
}

fn list(names: &str) -> Tree {
    Tree::List(names.split(',').filter(|name| !name.is_empty()).map(Tree::text).collect())
}

/// Returns the items of a list, each behind a dash in a line of its own.
fn lines(old: &str, before: &str, items: &[Tree]) -> Result<String, EditError> {
    if old.contains(" #") {
        return Err(EditError::Comment);
    }
    // Lines that end before the next key keep their end.
    let end = if old.ends_with('\n') { "\n" } else { "" };
    let items: Vec<String> = items.iter().map(yaml::write::in_one_line).collect();
    if items.is_empty() { Err(EditError::Lines) } else { Ok(items.join(&format!("\n{before}")) + end) }
}

/// Returns true if the last line of a text begins a block: what follows are the lines of a text.
fn is_block(text: &str) -> bool {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let head = line.split(" #").next().unwrap_or_default().trim_end();
    let head = head.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-'));
    head.ends_with(['|', '>'])
}

/// Returns a text as the lines of the block that stands at a place, whose head stays.
fn block_text(indent: &str, old: &str, new: &str) -> Result<String, EditError> {
    let is_shown = |line: &str| line.trim_end() == line && quoted(line).len() == line.len() + 2 + escapes(line);
    if new.trim_matches('\n').is_empty() || new.starts_with([' ', '\n']) || !new.lines().all(is_shown) {
        return Err(EditError::Unsafe);
    }
    let lines = new.trim_end_matches('\n').split('\n').enumerate();
    let line = |(at, line): (usize, &str)| {
        if at == 0 || line.is_empty() { line.to_owned() } else { format!("{indent}{line}") }
    };
    let end = &old[old.trim_end_matches('\n').len()..];
    Ok(lines.map(line).collect::<Vec<_>>().join("\n") + end)
}

/// Returns how many letters of a line double quotes would escape although they are seen.
fn escapes(line: &str) -> usize {
    line.matches(['"', '\\']).count()
}

fn json(value: &Tree) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Tree::Plain(text) => text.clone(),
        Tree::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Tree::List(items) => format!("[{}]", list(items.iter().map(json).collect())),
        Tree::Lines(items) => format!("[{}]", list(items.iter().map(|item| json(&item.value)).collect())),
        Tree::Flow(entries) => {
            let entry = |(key, value): &(String, Tree)| format!("{}: {}", serde_json::json!(key), json(value));
            format!("{{{}}}", list(entries.iter().map(entry).collect()))
        }
        Tree::Map(entries) => {
            let entry =
                |entry: &yaml::write::Entry| format!("{}: {}", serde_json::json!(entry.key), json(&entry.value));
            format!("{{{}}}", list(entries.iter().map(entry).collect()))
        }
    }
}

/// Compares two trees: where an edited value stood, the new one has to stand.
pub(super) fn same(old: &Node<'_>, new: &Node<'_>, expected: &mut HashMap<(usize, usize), (&Tree, usize)>) -> bool {
    let place = old.origin.range();
    if let Some((value, found)) = expected.get_mut(&(place.start, place.end)) {
        *found += 1;
        return says(new, value);
    }
    match (&old.content, &new.content) {
        (Content::Scalar(old), Content::Scalar(new)) => old == new,
        (Content::Sequence(old), Content::Sequence(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new, expected))
        }
        (Content::Mapping(old), Content::Mapping(new)) => {
            old.len() == new.len()
                && old
                    .iter()
                    .zip(new)
                    .all(|((key, old), (new_key, new))| key.content == new_key.content && same(old, new, expected))
        }
        _ => false,
    }
}

/// Returns true if a node says a value.
fn says(node: &Node<'_>, value: &Tree) -> bool {
    match value {
        Tree::Text(text) => match &node.content {
            Content::Sequence(_) => says(node, &list(text)),
            // A block ends with a line break, which servers cut off.
            _ => match node.typed() {
                Some(Typed::Text(now)) => now.trim_end_matches('\n') == text.trim_end_matches('\n'),
                _ => false,
            },
        },
        Tree::Plain(text) => node.as_scalar().is_some_and(|scalar| scalar.text == *text && scalar.plain),
        Tree::List(items) => {
            node.items().len() == items.len() && node.items().iter().zip(items).all(|(node, item)| says(node, item))
        }
        Tree::Lines(items) => {
            node.items().len() == items.len()
                && node.items().iter().zip(items).all(|(node, item)| says(node, &item.value))
        }
        Tree::Flow(entries) => {
            node.entries().len() == entries.len()
                && entries.iter().all(|(key, value)| node.get(key).is_some_and(|node| says(node, value)))
        }
        Tree::Map(entries) => {
            node.entries().len() == entries.len()
                && entries.iter().all(|entry| node.get(&entry.key).is_some_and(|node| says(node, &entry.value)))
        }
    }
}

#[cfg(test)]
mod tests;
