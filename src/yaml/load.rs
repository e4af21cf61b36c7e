//! Text → documents. A syntax error costs its document, not the ones behind it.

mod simple;

use std::{borrow::Cow, collections::HashMap, ops::Range};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin},
    yaml::{
        Content, Document, Node, Scalar, mapping,
        report::{self, DEPTH},
        slip,
        tag::{self, Refused},
    },
};

/// How many nodes aliases and merges may add to a text, plus one for each of its bytes.
const EXPANSION: usize = 100_000;

/// Reads the documents of a text. Empty ones are left out, and so are those with an error of syntax.
pub fn load<'s>(file: FileId, text: &'s str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Document<'s>> {
    let read = simple::documents(file, text, diagnostics, |range, diagnostics| parse(file, text, range, diagnostics));
    read.unwrap_or_else(|| parse(file, text, 0..text.len(), diagnostics))
}

/// Parses a part of a text that holds whole documents.
fn parse<'s>(file: FileId, text: &'s str, part: Range<usize>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Document<'s>> {
    let options = options! {
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let mut parser = Parser::new_from_str_with_options(&text[part.clone()], options);
    let mut loader = Loader {
        file,
        text,
        start: part.start,
        diagnostics,
        documents: Vec::new(),
        errors: 0,
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        aliases: Vec::new(),
        budget: EXPANSION + text.len(),
    };
    while let Some(next) = parser.next_event() {
        let taken = match next {
            Ok((event, span)) => loader.event(event, &span),
            Err(error) => {
                loader.syntax(&error);
                Err(Abandoned)
            }
        };
        if taken.is_err() && !loader.recover(&mut parser) {
            break;
        }
    }
    loader.documents
}

/// The document cannot be read on.
struct Abandoned;

/// A list or a mapping whose end was not seen yet.
struct Open<'s> {
    start: usize,
    anchor: usize,
    items: Items<'s>,
}

enum Items<'s> {
    Sequence(Vec<Node<'s>>),
    Mapping { entries: Vec<(Node<'s>, Node<'s>)>, merges: Vec<(Node<'s>, Node<'s>)>, key: Key<'s> },
}

/// The state of the key of the next entry.
enum Key<'s> {
    Awaited,
    Seen(Node<'s>),
    Refused,
}

/// A node that an alias may stand for.
struct Anchored<'s> {
    node: Node<'s>,
    nodes: usize,
    height: usize,
}

struct Loader<'s, 'd> {
    file: FileId,
    text: &'s str,
    /// The byte of the text at which the parser began.
    start: usize,
    diagnostics: &'d mut Vec<Diagnostic>,
    documents: Vec<Document<'s>>,
    /// Errors reported for the current document.
    errors: usize,
    open: Vec<Open<'s>>,
    root: Option<Node<'s>>,
    anchors: HashMap<usize, Anchored<'s>>,
    aliases: Vec<(Origin, Origin)>,
    /// Nodes that aliases may still add.
    budget: usize,
}

impl<'s> Loader<'s, '_> {
    fn event(&mut self, event: Event<'s>, span: &Span) -> Result<(), Abandoned> {
        let range = self.range(span);
        match event {
            Event::DocumentStart(..) => self.reset(),
            Event::DocumentEnd => self.end_document(),
            Event::Alias(anchor) => self.alias(anchor, range)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{name}` before this alias");
                let error = Diagnostic::error("Y002", message, &self.at(range.clone()));
                let is_earlier = self.text[..range.start].contains(&format!("&{name}"));
                self.error(if is_earlier { error.hint("anchors end with their document, at `---`") } else { error });
                self.attach(self.null(range));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag.as_deref(), span, range);
                self.anchor(anchor, &node)?;
                self.attach(node);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.container_tag(tag.as_deref(), "seq", span, &range);
                self.push(range.start, anchor, Items::Sequence(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.container_tag(tag.as_deref(), "map", span, &range);
                let items = Items::Mapping { entries: Vec::new(), merges: Vec::new(), key: Key::Awaited };
                self.push(range.start, anchor, items)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&range)?,
            // The ends of the stream; the options above leave out everything else.
            Event::StreamStart | Event::StreamEnd | Event::Anchor(..) | _ => {}
        }
        Ok(())
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or_default();
        range.start + self.start..range.end + self.start
    }

    fn at(&self, bytes: Range<usize>) -> Origin {
        Origin::new(self.file, bytes)
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors += 1;
        self.diagnostics.push(diagnostic);
    }

    fn reset(&mut self) {
        self.errors = 0;
        self.open.clear();
        self.anchors.clear();
        self.aliases.clear();
        self.root = None;
    }

    fn end_document(&mut self) {
        let Some(root) = self.root.take() else { return };
        if matches!(&root.content, Content::Scalar(scalar) if scalar.plain && scalar.text.is_empty()) {
            return;
        }
        let origin = simple::first_line(self.text, &root.origin);
        let aliases = std::mem::take(&mut self.aliases);
        self.documents.push(Document { root, origin, sound: self.errors == 0, aliases });
    }

    fn push(&mut self, start: usize, anchor: usize, items: Items<'s>) -> Result<(), Abandoned> {
        if self.open.len() >= DEPTH {
            return Err(self.too_deep(start..start));
        }
        self.open.push(Open { start, anchor, items });
        Ok(())
    }

    fn too_deep(&mut self, range: Range<usize>) -> Abandoned {
        self.error(report::too_deep(&self.at(range)));
        Abandoned
    }

    fn close(&mut self, end: &Range<usize>) -> Result<(), Abandoned> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (content, last) = match open.items {
            Items::Sequence(items) => {
                let last = items.last().map(|item| item.origin.bytes.end);
                (Content::Sequence(items), last)
            }
            Items::Mapping { entries, merges, .. } => {
                let last = entries.iter().chain(&merges).map(|(_, value)| value.origin.bytes.end).max();
                let before = self.diagnostics.len();
                let added = mapping::finish(entries, merges, self.diagnostics);
                self.errors += self.diagnostics.len() - before;
                (Content::Mapping(added), last)
            }
        };
        // The end of what has no bracket is that of its last item, not the start of what follows.
        let end = if end.is_empty() { last.map_or(open.start, |last| last as usize) } else { end.end };
        let node = Node { origin: self.at(open.start..end.max(open.start)), content };
        self.anchor(open.anchor, &node)?;
        self.attach(node);
        Ok(())
    }

    fn attach(&mut self, node: Node<'s>) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        let (entries, merges, key) = match &mut open.items {
            Items::Sequence(items) => return items.push(node),
            Items::Mapping { entries, merges, key } => (entries, merges, key),
        };
        match std::mem::replace(key, Key::Awaited) {
            Key::Awaited => match mapping::refuse_key(&node) {
                None => *key = Key::Seen(node),
                Some(diagnostic) => {
                    *key = Key::Refused;
                    let start = node.origin.range().start;
                    // In `{{ x }}` a mapping is the key of another.
                    let is_template = start > 0 && self.text.get(start - 1..=start) == Some("{{");
                    let template = || slip::unrendered(self.file, self.text, start - 1);
                    self.error(if is_template { template() } else { diagnostic });
                }
            },
            Key::Seen(name) => {
                let mut value = node;
                if value.origin.bytes.is_empty() {
                    value.origin = name.origin.clone();
                }
                let target = if mapping::is_merge(&name) { merges } else { entries };
                target.push((name, value));
            }
            Key::Refused => {}
        }
    }

    fn anchor(&mut self, anchor: usize, node: &Node<'s>) -> Result<(), Abandoned> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, height) = measure(node);
        self.spend(nodes, node.origin.range())?;
        self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, height });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, range: Range<usize>) -> Result<(), Abandoned> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            // The anchor is known to the parser, so it is that of a node that is still open.
            self.error(Diagnostic::error(
                "Y003",
                "this alias stands for a node that it lies in",
                &self.at(range.clone()),
            ));
            self.attach(self.null(range));
            return Ok(());
        };
        let (nodes, height) = (anchored.nodes, anchored.height);
        if self.open.len() + height > DEPTH {
            return Err(self.too_deep(range));
        }
        let content = anchored.node.content.clone();
        if matches!(content, Content::Scalar(_)) {
            self.aliases.push((self.at(range.clone()), anchored.node.origin.clone()));
        }
        self.spend(nodes, range.clone())?;
        self.attach(Node { origin: self.at(range), content });
        Ok(())
    }

    fn spend(&mut self, nodes: usize, range: Range<usize>) -> Result<(), Abandoned> {
        if let Some(left) = self.budget.checked_sub(nodes) {
            self.budget = left;
            return Ok(());
        }
        self.error(Diagnostic::error("Y004", "the aliases of this file stand for too many values", &self.at(range)));
        Err(Abandoned)
    }

    fn null(&self, range: Range<usize>) -> Node<'s> {
        Node { origin: self.at(range), content: Content::Scalar(Scalar { text: Cow::Borrowed(""), plain: true }) }
    }

    fn scalar(
        &mut self,
        text: Cow<'s, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
        mut range: Range<usize>,
    ) -> Node<'s> {
        let mut plain = style == ScalarStyle::Plain;
        // The parser fills in a tilde for what was left out.
        let text = if plain && range.is_empty() { Cow::Borrowed("") } else { text };
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            range.end = range.start + self.text[range.clone()].trim_end().len();
        }
        let origin = self.at(range.clone());
        match tag {
            Some(tag) => match tag::of_scalar(tag, &text) {
                Ok(typed) => plain = typed,
                Err(refused) => self.refuse_tag(tag, refused, span, &range),
            },
            None if !self.awaits_key() => {
                let doubt = plain.then(|| report::doubt(&text, &origin)).flatten();
                self.diagnostics.extend(report::suspicion(&text, &origin).or(doubt));
            }
            None => {}
        }
        Node { origin, content: Content::Scalar(Scalar { text, plain }) }
    }

    fn container_tag(&mut self, tag: Option<&Tag>, expected: &str, span: &Span, range: &Range<usize>) {
        if let Some(tag) = tag
            && let Err(refused) = tag::of_container(tag, expected)
        {
            self.refuse_tag(tag, refused, span, range);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, refused: Refused, span: &Span, range: &Range<usize>) {
        let range = span.tag_span().map_or_else(|| range.clone(), |span| self.range(&span));
        self.error(refused.diagnostic(&tag.original(), &self.at(range)));
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Mapping { key: Key::Awaited, .. }, .. }))
    }

    fn syntax(&mut self, error: &ScanError) {
        self.error(report::syntax(error, self.start, self.file, self.text));
    }

    /// Goes on behind a broken document; returns true if there is more to read.
    fn recover(&mut self, parser: &mut Parser<'s, StrInput<'s>>) -> bool {
        self.reset();
        match parser.proceed_next_document() {
            Ok(_) => true,
            Err(error) => {
                self.syntax(&error);
                false
            }
        }
    }
}

/// Counts the nodes of a tree, and its levels.
fn measure(node: &Node<'_>) -> (usize, usize) {
    let of_children = |children: &mut dyn Iterator<Item = &Node<'_>>| {
        children.map(measure).fold((1, 0), |(nodes, height), child| (nodes + child.0, height.max(child.1)))
    };
    match &node.content {
        Content::Scalar(_) => (1, 0),
        Content::Sequence(items) => {
            let (nodes, height) = of_children(&mut items.iter());
            (nodes, height + 1)
        }
        Content::Mapping(entries) => {
            let (nodes, height) = of_children(&mut entries.iter().flat_map(|(key, value)| [key, value]));
            (nodes, height + 1)
        }
    }
}

#[cfg(test)]
mod tests;
