//! The simple style that most manifests are written in, read without the parser.
//!
//! Only what certainly has no message is read here: mappings and lists in block style, values on the line of their key,
//! quotes without escapes, brackets that close on their line. A document with anything else is left to the parser, which
//! alone decides what is right. The trees are the same, to the last place.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin},
    yaml::{Content, Document, Node, Scalar, report},
};

/// How deep mappings and lists may nest here.
const DEPTH: usize = 24;

/// The longest key in bytes; the parser refuses keys of more than 1024 characters.
const KEY: usize = 512;

/// Below this, looking at all keys is faster than hashing them.
const FEW: usize = 16;

/// Reads the documents of a text. Those that are not simple are read by `parse`, which takes the bytes that a document
/// takes up. Returns nothing where the text as a whole has to be parsed.
pub(super) fn documents<'s>(
    file: FileId,
    text: &'s str,
    diagnostics: &mut Vec<Diagnostic>,
    parse: impl Fn(std::ops::Range<usize>, &mut Vec<Diagnostic>) -> Vec<Document<'s>>,
) -> Option<Vec<Document<'s>>> {
    let mut found = Vec::new();
    let mut documents = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut reader = Reader { text, bytes: text.as_bytes(), file, at: start, indent: None };
        if reader.document(&mut documents).is_some() {
            start = reader.at;
            continue;
        }
        let (end, mark) = document_end(text, start)?;
        // With the mark behind it: a text may end in another way. The empty document that it begins is left out.
        documents.append(&mut parse(start..end + mark, &mut found));
        // Errors may be about more than a document, such as a quote that is never closed.
        if found.iter().any(Diagnostic::is_error) {
            return None;
        }
        start = end;
    }
    diagnostics.append(&mut found);
    Some(documents)
}

/// Returns the first line of a document.
pub(super) fn first_line(text: &str, root: &Origin) -> Origin {
    let range = root.range();
    let line = text[range.clone()].lines().next().unwrap_or_default().len();
    Origin::new(root.file, range.start..range.start + line)
}

/// Returns where the next document starts, and the bytes of its mark; nothing if documents could depend on each other.
fn document_end(text: &str, start: usize) -> Option<(usize, usize)> {
    let mut at = start;
    for (number, line) in text[start..].split_inclusive('\n').enumerate() {
        // Anchors share one budget, and a line break of another sort may stand before a mark.
        if line.starts_with("...") || line.starts_with('%') || line.contains(['&', '\0', '\r', '\u{feff}']) {
            return None;
        }
        if line.starts_with("---") {
            if !is_mark(line) {
                return None;
            }
            if number > 0 {
                return Some((at, line.len()));
            }
        }
        at += line.len();
    }
    Some((at, 0))
}

/// Returns true if a line is nothing but `---`.
fn is_mark(line: &str) -> bool {
    line.trim_end_matches('\n') == "---"
}

/// A cursor. Its functions return `None` for what is not simple.
struct Reader<'s> {
    text: &'s str,
    bytes: &'s [u8],
    file: FileId,
    at: usize,
    /// Spaces before the line that starts at `at`; `None` at the end of the document.
    indent: Option<usize>,
}

/// The end of a scalar without quotes.
struct Plain {
    end: usize,
    /// A colon follows, and a space or the end of the line.
    is_key: bool,
}

impl<'s> Reader<'s> {
    /// Reads a document, unless it is empty, with the `---` before it. Afterwards `at` is at the next.
    fn document(&mut self, documents: &mut Vec<Document<'s>>) -> Option<()> {
        let rest = &self.text[self.at..];
        if rest.starts_with("---") {
            let line = rest.split_inclusive('\n').next().unwrap_or_default();
            if !is_mark(line) {
                return None;
            }
            self.at += line.len();
        }
        self.find_line()?;
        match self.indent {
            None => return Some(()),
            Some(0) => {}
            Some(_) => return None,
        }
        let root = self.block(0, 0)?;
        if self.indent.is_some() {
            return None;
        }
        let origin = first_line(self.text, &root.origin);
        documents.push(Document { root, origin, sound: true, aliases: Vec::new() });
        Some(())
    }

    /// Goes from the start of a line to the first one with content.
    fn find_line(&mut self) -> Option<()> {
        loop {
            let start = self.at;
            let spaces = self.bytes[start..].iter().take_while(|byte| **byte == b' ').count();
            self.at += spaces;
            match self.byte(self.at) {
                None => self.indent = None,
                Some(b'\n') => {
                    self.at += 1;
                    continue;
                }
                Some(b'#') => {
                    self.comment()?;
                    continue;
                }
                Some(b'-' | b'.' | b'%') if spaces == 0 => {
                    let rest = &self.text[start..];
                    if rest.starts_with("---") && is_mark(rest.split_inclusive('\n').next().unwrap_or_default()) {
                        self.indent = None;
                    } else if ["---", "...", "%"].iter().any(|mark| rest.starts_with(mark)) {
                        return None;
                    } else {
                        self.indent = Some(0);
                    }
                }
                Some(_) => self.indent = Some(spaces),
            }
            return Some(());
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Returns true if a byte is a space, or the end of a line.
    fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    fn skip_spaces(&mut self) {
        while self.byte(self.at) == Some(b' ') {
            self.at += 1;
        }
    }

    /// Goes from a `#` to the next line.
    fn comment(&mut self) -> Option<()> {
        let end = self.bytes[self.at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(self.bytes.len(), |length| self.at + length);
        self.checked(self.at..end)?;
        self.at = (end + 1).min(self.bytes.len());
        Some(())
    }

    /// Goes from the end of a value to the next line with content.
    fn end_line(&mut self) -> Option<()> {
        let value = self.at;
        self.skip_spaces();
        match self.byte(self.at) {
            None => {}
            Some(b'\n') => self.at += 1,
            Some(b'#') if self.at > value => self.comment()?,
            Some(_) => return None,
        }
        self.find_line()
    }

    /// Cuts a part of a line out of the text, if all its characters are ordinary.
    fn checked(&self, range: std::ops::Range<usize>) -> Option<&'s str> {
        let text = &self.text[range];
        let ordinary = |letter: char| {
            matches!(letter,
                ' '..='~' | '\u{a1}'..='\u{1fff}' | '\u{3000}'..='\u{d7ff}' | '\u{f900}'..='\u{fdff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
        };
        let is_ordinary = if text.is_ascii() {
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        } else {
            text.chars().all(ordinary)
        };
        is_ordinary.then_some(text)
    }

    fn block(&mut self, indent: usize, depth: usize) -> Option<Node<'s>> {
        if depth >= DEPTH {
            return None;
        }
        if self.is_item() { self.sequence(indent, depth, false) } else { self.mapping(indent, depth) }
    }

    fn is_item(&self) -> bool {
        self.byte(self.at) == Some(b'-') && self.is_blank(self.at + 1)
    }

    /// Reads a mapping whose first key is at hand, and whose other keys have its indentation.
    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Node<'s>> {
        let start = self.at;
        let mut entries: Vec<(Node<'s>, Node<'s>)> = Vec::new();
        loop {
            let key = self.key()?;
            let value = self.value(indent, depth, &key.origin)?;
            entries.push((key, value));
            match self.indent {
                Some(next) if next == indent => {}
                Some(next) if next > indent => return None,
                _ => break,
            }
        }
        self.mapping_of(start, None, entries)
    }

    /// Makes a mapping of entries; it ends with the last of them if nothing closes it.
    fn mapping_of(&self, start: usize, end: Option<usize>, entries: Vec<(Node<'s>, Node<'s>)>) -> Option<Node<'s>> {
        let is_repeated = if entries.len() <= FEW {
            entries
                .iter()
                .enumerate()
                .any(|(at, (key, _))| entries[..at].iter().any(|(other, _)| other.key() == key.key()))
        } else {
            let mut seen = HashSet::with_capacity(entries.len());
            !entries.iter().all(|(key, _)| seen.insert(key.key()))
        };
        if is_repeated {
            return None;
        }
        let last = entries.iter().map(|(_, value)| value.origin.bytes.end).max().unwrap_or_default() as usize;
        let content = Content::Mapping(entries);
        Some(Node { origin: Origin::new(self.file, start..end.unwrap_or(last)), content })
    }

    /// Reads a key with its colon.
    fn key(&mut self) -> Option<Node<'s>> {
        let start = self.at;
        let (text, plain) = if let Some(quote @ (b'\'' | b'"')) = self.byte(start) {
            let text = self.quoted(quote)?;
            if self.byte(self.at) != Some(b':') || !self.is_blank(self.at + 1) {
                return None;
            }
            (text, false)
        } else {
            let Plain { end, is_key } = self.plain()?;
            // Something else could be meant by a space before the colon.
            if !is_key || self.byte(end) != Some(b':') {
                return None;
            }
            self.at = end;
            (self.checked(start..end)?, true)
        };
        let end = self.at;
        self.at += 1;
        let is_simple = end - start <= KEY && !(plain && (text == "<<" || text.is_empty()));
        is_simple.then(|| self.scalar(text, plain, start..end))
    }

    fn scalar(&self, text: &'s str, plain: bool, range: std::ops::Range<usize>) -> Node<'s> {
        let content = Content::Scalar(Scalar { text: Cow::Borrowed(text), plain });
        Node { origin: Origin::new(self.file, range), content }
    }

    /// Makes a scalar that is no key, if there is nothing to say about it.
    fn value_of(&self, text: &'s str, plain: bool, range: std::ops::Range<usize>) -> Option<Node<'s>> {
        let node = self.scalar(text, plain, range);
        let has_message =
            report::suspicion(text, &node.origin).is_some() || (plain && report::doubt(text, &node.origin).is_some());
        (!has_message).then_some(node)
    }

    /// Finds the end of a scalar without quotes on its line. `at` stays.
    fn plain(&self) -> Option<Plain> {
        let start = self.at;
        let is_start = match self.byte(start)? {
            b'-' => self.byte(start + 1).is_some_and(|next| next.is_ascii_alphanumeric() || next == b'.'),
            b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"'
            | b'%' | b'@' | b'`' => false,
            _ => true,
        };
        if !is_start {
            return None;
        }
        let mut end = start;
        let mut at = start;
        loop {
            match self.byte(at) {
                None | Some(b'\n') => return Some(Plain { end, is_key: false }),
                Some(b' ') => {}
                Some(b':') if self.is_blank(at + 1) => return Some(Plain { end, is_key: true }),
                Some(b'#') if self.bytes[at - 1] == b' ' => return Some(Plain { end, is_key: false }),
                Some(_) => end = at + 1,
            }
            at += 1;
        }
    }

    /// Reads a text in quotes without escapes, and goes behind it.
    fn quoted(&mut self, quote: u8) -> Option<&'s str> {
        let start = self.at + 1;
        let length = self.bytes[start..].iter().position(|byte| *byte == quote || matches!(byte, b'\n' | b'\\'))?;
        let end = start + length;
        // A quote that is written twice is one within the text.
        if self.byte(end) != Some(quote) || self.byte(end + 1) == Some(quote) {
            return None;
        }
        self.at = end + 1;
        self.checked(start..end)
    }

    /// Reads what stands behind the colon of a key, or below it.
    fn value(&mut self, indent: usize, depth: usize, key: &Origin) -> Option<Node<'s>> {
        self.skip_spaces();
        if !matches!(self.byte(self.at), None | Some(b'\n' | b'#')) {
            let value = self.inline(depth)?;
            self.end_line()?;
            return Some(value);
        }
        // The space before a comment belongs to the colon.
        self.at -= 1;
        if self.byte(self.at) == Some(b':') {
            self.at += 1;
        }
        self.end_line()?;
        match self.indent {
            Some(below) if below > indent => self.block(below, depth + 1),
            Some(below) if below == indent && self.is_item() => self.sequence(below, depth + 1, true),
            _ => {
                let content = Content::Scalar(Scalar { text: Cow::Borrowed(""), plain: true });
                Some(Node { origin: key.clone(), content })
            }
        }
    }

    /// Reads a scalar, or brackets, that end on this line.
    fn inline(&mut self, depth: usize) -> Option<Node<'s>> {
        let start = self.at;
        match self.byte(start)? {
            b'[' | b'{' => self.flow(depth + 1),
            quote @ (b'\'' | b'"') => {
                let text = self.quoted(quote)?;
                self.value_of(text, false, start..self.at)
            }
            _ => {
                let Plain { end, is_key } = self.plain()?;
                if is_key {
                    return None;
                }
                self.at = end;
                self.value_of(self.checked(start..end)?, true, start..end)
            }
        }
    }

    /// Reads a list whose first `-` is at hand.
    fn sequence(&mut self, indent: usize, depth: usize, is_indentless: bool) -> Option<Node<'s>> {
        let dash = self.at;
        let mut items: Vec<Node<'s>> = Vec::new();
        loop {
            let dash = self.at;
            self.at += 1;
            self.skip_spaces();
            if matches!(self.byte(self.at), None | Some(b'\n' | b'#')) {
                return None;
            }
            let column = indent + self.at - dash;
            items.push(self.item(column, depth)?);
            match self.indent {
                Some(next) if next == indent && self.is_item() => {}
                Some(next) if next > indent => return None,
                _ => break,
            }
        }
        // The parser places a list without an indentation of its own at its first item.
        let start = if is_indentless { items.first()?.origin.range().start } else { dash };
        let end = items.last()?.origin.range().end;
        Some(Node { origin: Origin::new(self.file, start..end), content: Content::Sequence(items) })
    }

    /// Reads what stands behind a `-` on its line.
    fn item(&mut self, column: usize, depth: usize) -> Option<Node<'s>> {
        let start = self.at;
        let is_key = match self.byte(start)? {
            b'[' | b'{' => false,
            quote @ (b'\'' | b'"') => {
                self.quoted(quote)?;
                let is_key = self.byte(self.at) == Some(b':');
                self.at = start;
                is_key
            }
            _ => self.plain()?.is_key,
        };
        if is_key {
            if depth + 1 >= DEPTH {
                return None;
            }
            return self.mapping(column, depth + 1);
        }
        let value = self.inline(depth)?;
        self.end_line()?;
        Some(value)
    }

    /// Reads brackets that close on their line.
    fn flow(&mut self, depth: usize) -> Option<Node<'s>> {
        if depth >= DEPTH {
            return None;
        }
        let start = self.at;
        let is_list = self.byte(start)? == b'[';
        let close = if is_list { b']' } else { b'}' };
        self.at += 1;
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        self.skip_spaces();
        while self.byte(self.at)? != close {
            let first = self.flow_value(depth, !is_list)?;
            if is_list {
                items.push(first);
            } else {
                if self.byte(self.at)? != b':' || self.byte(self.at + 1)? != b' ' {
                    return None;
                }
                self.at += 1;
                self.skip_spaces();
                let value = self.flow_value(depth, false)?;
                entries.push((first, value));
            }
            self.skip_spaces();
            match self.byte(self.at)? {
                b',' => {
                    self.at += 1;
                    self.skip_spaces();
                    if self.byte(self.at)? == close {
                        return None;
                    }
                }
                next if next == close => {}
                _ => return None,
            }
        }
        self.at += 1;
        if is_list {
            let origin = Origin::new(self.file, start..self.at);
            return Some(Node { origin, content: Content::Sequence(items) });
        }
        self.mapping_of(start, Some(self.at), entries)
    }

    /// Reads a scalar within brackets, or brackets of its own.
    fn flow_value(&mut self, depth: usize, is_key: bool) -> Option<Node<'s>> {
        let start = self.at;
        let (text, plain) = match self.byte(start)? {
            b'[' | b'{' if !is_key => return self.flow(depth + 1),
            quote @ (b'\'' | b'"') => (self.quoted(quote)?, false),
            _ => {
                let word = |byte: u8| {
                    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'.' | b'/' | b'-')
                };
                let next = |reader: &Self, at: usize| reader.byte(at).is_some_and(word);
                if !next(self, start) || (self.byte(start) == Some(b'-') && !next(self, start + 1)) {
                    return None;
                }
                while let Some(byte) = self.byte(self.at) {
                    // Within a word a colon is a part of it, and so is a space between words.
                    if !(word(byte) || (matches!(byte, b':' | b' ') && next(self, self.at + 1))) {
                        break;
                    }
                    self.at += 1;
                }
                (self.checked(start..self.at)?, true)
            }
        };
        let range = start..self.at;
        if is_key {
            return (range.len() <= KEY).then(|| self.scalar(text, plain, range));
        }
        self.value_of(text, plain, range)
    }
}
