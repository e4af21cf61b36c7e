//! Single values: each reader reports what does not fit, and returns what does.

use serde_json::Value;

use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, Typed, nearest},
};

fn refuse(code: &'static str, what: &str, wanted: &str, node: &Node<'_>) -> Diagnostic {
    Diagnostic::error(code, format!("{what} has to be {wanted}, not {}", node.describe()), &node.origin)
}

/// Returns a text. Numbers and truth values without quotes are taken as written; null, lists and mappings are not.
pub fn text<'a>(node: &'a Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a str> {
    let value = node.as_text();
    if value.is_none() {
        diagnostics.push(refuse("Y204", what, "a text", node));
    }
    value
}

/// Returns a whole number. One in quotes is not taken.
pub fn integer(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<i64> {
    match node.typed() {
        Some(Typed::Int(value)) => return Some(value),
        Some(Typed::BigInt(text)) => {
            let message = format!("{what} is too large: {text} does not fit 64 bits");
            diagnostics.push(Diagnostic::error("Y205", message, &node.origin));
        }
        Some(Typed::Text(text)) if text.parse::<i64>().is_ok() => {
            let hint = format!("without quotes it is one: {text}");
            diagnostics.push(refuse("Y205", what, "a whole number", node).hint(hint));
        }
        Some(Typed::Null | Typed::Bool(_) | Typed::Float(_) | Typed::Text(_)) | None => {
            diagnostics.push(refuse("Y205", what, "a whole number", node));
        }
    }
    None
}

/// Returns a truth value.
pub fn boolean(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<bool> {
    let typed = node.typed();
    if let Some(Typed::Bool(value)) = typed {
        return Some(value);
    }
    let mut diagnostic = refuse("Y206", what, "true or false", node);
    if let Some(Typed::Text(text)) = typed {
        let meant = match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("true"),
            "no" | "off" | "n" | "false" => Some("false"),
            _ => None,
        };
        if let Some(meant) = meant {
            diagnostic = diagnostic.hint(format!("write {meant}"));
        }
    }
    diagnostics.push(diagnostic);
    None
}

/// Returns the one of the words that a scalar spells, without quotes or with.
pub fn one_of(
    node: &Node<'_>,
    what: &str,
    words: &[&'static str],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'static str> {
    let written = text(node, what, diagnostics)?;
    let found = words.iter().find(|word| **word == written).copied();
    if found.is_none() {
        let message = format!("{what} cannot be `{written}`");
        let diagnostic = Diagnostic::error("Y207", message, &node.origin);
        diagnostics.push(match nearest(written, words.iter().copied()) {
            Some(word) => diagnostic.hint(format!("did you mean `{word}`?")),
            None => diagnostic.hint(format!("it can be {}", words.join(", "))),
        });
    }
    found
}

/// Returns the items of a list.
pub fn list<'a, 's>(node: &'a Node<'s>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a [Node<'s>]> {
    if let Content::Sequence(items) = &node.content {
        return Some(items);
    }
    diagnostics.push(refuse("Y208", what, "a list", node));
    None
}

/// Returns a value of any shape without its places. Numbers that JSON cannot hold are refused, wherever they stand.
pub fn json(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    let before = diagnostics.len();
    refuse_numbers(node, what, diagnostics);
    (diagnostics.len() == before).then(|| node.to_json())
}

fn refuse_numbers(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) {
    match &node.content {
        Content::Sequence(items) => {
            for item in items {
                refuse_numbers(item, what, diagnostics);
            }
        }
        Content::Mapping(entries) => {
            for (_, value) in entries {
                refuse_numbers(value, what, diagnostics);
            }
        }
        Content::Scalar(scalar) => match scalar.typed() {
            Typed::BigInt(text) => {
                let message = format!("{what} is too large: {text} does not fit 64 bits");
                let hint = format!("write \"{text}\" for the text");
                diagnostics.push(Diagnostic::error("Y209", message, &node.origin).hint(hint));
            }
            Typed::Float(value) if !value.is_finite() => {
                let text = &scalar.text;
                let is_number = text.contains(|letter: char| letter.is_ascii_digit());
                diagnostics.push(if is_number {
                    let message = format!("{what} is too large: {text} is beyond what JSON numbers hold");
                    Diagnostic::error("Y209", message, &node.origin).hint(format!("write \"{text}\" for the text"))
                } else {
                    Diagnostic::error("Y209", format!("{what} cannot be {text}"), &node.origin)
                });
            }
            Typed::Null | Typed::Bool(_) | Typed::Int(_) | Typed::Float(_) | Typed::Text(_) => {}
        },
    }
}
