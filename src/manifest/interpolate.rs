//! `${NAME}` in scalars. It is replaced after parsing, so that every place stays what it was.

use std::borrow::Cow;

use crate::{
    diagnostic::Diagnostic,
    manifest::{
        provenance::{Provenance, Use},
        variables::{Given, Variable, Variables, is_name},
    },
    source::Origin,
    yaml::{Content, Node, Scalar},
};

/// Replaces the variables in all values of a tree and notes them; keys stay as they are. Returns the scalars that could
/// not be replaced, whose further mistakes are only a consequence.
pub(super) fn interpolate(
    node: &mut Node<'_>,
    source: &str,
    variables: &Variables,
    provenance: &mut Provenance,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Origin> {
    let mut failed = Vec::new();
    walk(node, &mut |scalar, origin| {
        if !scalar.text.contains("${") {
            return;
        }
        for (_, _, part) in parts(&scalar.text) {
            if let Part::Variable { name, .. } = part {
                provenance.mention(name);
            }
        }
        match replace(scalar, variables) {
            Ok((replaced, uses)) => {
                *scalar = replaced;
                provenance.uses(origin, uses);
            }
            Err(problems) => {
                diagnostics
                    .extend(problems.iter().map(|problem| problem.diagnostic(scalar, origin, source, variables)));
                failed.push(origin.clone());
            }
        }
    });
    failed
}

fn walk<'s>(node: &mut Node<'s>, visit: &mut impl FnMut(&mut Scalar<'s>, &Origin)) {
    match &mut node.content {
        Content::Scalar(scalar) => visit(scalar, &node.origin),
        Content::Sequence(items) => {
            for item in items {
                walk(item, visit);
            }
        }
        Content::Mapping(entries) => {
            for (_, value) in entries {
                walk(value, visit);
            }
        }
    }
}

/// A part of a scalar.
enum Part<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
    Malformed,
}

/// Cuts a text into parts, each with the byte at which it starts and how many it takes.
fn parts(text: &str) -> Vec<(usize, usize, Part<'_>)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            // `$${` is a literal `${`: the first of the two is dropped.
            parts.push((at, start - 1 - at, Part::Text(&text[at..start - 1])));
            parts.push((start - 1, 3, Part::Text("${")));
            at = start + 2;
            continue;
        }
        parts.push((at, found, Part::Text(&text[at..start])));
        let inside = &text[start + 2..];
        let Some(length) = inside.find('}') else {
            parts.push((start, text.len() - start, Part::Malformed));
            return parts;
        };
        let inside = &inside[..length];
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, rest)| (name, Some(rest)));
        let part = if is_name(name) { Part::Variable { name, default } } else { Part::Malformed };
        parts.push((start, length + 3, part));
        at = start + length + 3;
    }
    parts.push((at, text.len() - at, Part::Text(&text[at..])));
    parts
}

/// Why a variable cannot be replaced, and where in the text of the scalar it stands.
struct Problem {
    start: usize,
    length: usize,
    /// The name of a variable that has no value; `None` if there is no name to be read.
    unset: Option<String>,
}

fn replace<'s>(scalar: &Scalar<'_>, variables: &Variables) -> Result<(Scalar<'s>, Vec<Use>), Vec<Problem>> {
    let parts = parts(&scalar.text);
    let mut text = String::new();
    let mut problems = Vec::new();
    let mut uses = Vec::new();
    let mut single = None;
    for (start, length, part) in &parts {
        let (start, length) = (*start, *length);
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Malformed => problems.push(Problem { start, length, unset: None }),
            Part::Variable { name, default } => match value(name, *default, variables) {
                Some(value) => {
                    text.push_str(&value.text);
                    let is_whole = length == scalar.text.len();
                    let (name, text) = ((*name).into(), (*value.text).into());
                    uses.push(Use { name, given: value.given.clone(), text, is_whole });
                    single = is_whole.then_some(value.plain);
                }
                None => problems.push(Problem { start, length, unset: Some((*name).to_owned()) }),
            },
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // Only a scalar that is nothing but a variable takes its type; `1${X}` is a text.
    Ok((Scalar { text: Cow::Owned(text), plain: scalar.plain && single.unwrap_or(false) }, uses))
}

/// Returns the value of a variable. As in a shell, one that is set to nothing gives way to a default.
fn value<'a>(name: &str, default: Option<&str>, variables: &'a Variables) -> Option<Cow<'a, Variable>> {
    let found = variables.get(name);
    match default {
        Some(default) if found.is_none_or(|variable| variable.text.is_empty()) => {
            Some(Cow::Owned(Variable::new(default.to_owned(), Given::Default)))
        }
        _ => found.map(Cow::Borrowed),
    }
}

impl Problem {
    fn diagnostic(&self, scalar: &Scalar<'_>, origin: &Origin, source: &str, variables: &Variables) -> Diagnostic {
        let place = self.origin_of(&scalar.text, origin, source);
        match &self.unset {
            None => Diagnostic::error("M014", "this is not a variable", &place)
                .hint("a variable is ${NAME} or ${NAME:-default}; write $${ for the characters ${"),
            Some(name) => {
                let diagnostic = Diagnostic::error("M013", format!("the variable `{name}` is not set"), &place);
                match variables.nearest(name) {
                    Some(near) => diagnostic.hint(format!("`{near}` is set")),
                    None => diagnostic.hint(format!(
                        "give it by --set {name}=…, --values FILE or RECONCILE_VAR_{name}, or write a default: ${{{name}:-…}}"
                    )),
                }
            }
        }
    }

    /// Returns the place of the variable. Escapes and folding move it, but never add or drop a `${`, so counting them
    /// finds it again; where the counts differ (an escaped `$`, an alias) the whole scalar is the place.
    fn origin_of(&self, text: &str, origin: &Origin, source: &str) -> Origin {
        let written = source.get(origin.range()).unwrap_or_default();
        if written.matches("${").count() != text.matches("${").count() {
            return origin.clone();
        }
        let number = text[..self.start].matches("${").count();
        let Some((start, _)) = written.match_indices("${").nth(number) else { return origin.clone() };
        let length = written[start..].find('}').map_or(written.len() - start, |end| end + 1).min(self.length.max(2));
        let start = origin.range().start + start;
        if source.is_char_boundary(start + length) {
            Origin::new(origin.file, start..start + length)
        } else {
            origin.clone()
        }
    }
}
