//! A tree that was read as text, with a note behind each scalar.

use super::{
    Content, Node, Typed,
    write::{self, Entry, Item, Tree},
};

/// Returns a tree as a document in block style. Numbers and the like stay as they were written. `note` returns the
/// comment behind a scalar, without its `#`.
pub fn emit(root: &Node<'_>, note: &dyn Fn(&Node<'_>) -> Option<String>) -> String {
    write::document(&tree(root, note), &own_note(root, note))
}

/// Returns a text as a scalar on one line that means the same in every place: plain where that can be, otherwise in double
/// quotes.
pub fn scalar(text: &str) -> String {
    write::scalar(text, true)
}

fn tree(node: &Node<'_>, note: &dyn Fn(&Node<'_>) -> Option<String>) -> Tree {
    match &node.content {
        Content::Scalar(scalar) => match scalar.typed() {
            Typed::Null => Tree::null(),
            Typed::Text(text) => Tree::text(text),
            Typed::Bool(_) | Typed::Int(_) | Typed::BigInt(_) | Typed::Float(_) => Tree::Plain(scalar.text.to_string()),
        },
        Content::Sequence(items) => {
            let item = |item: &Node<'_>| Item { value: tree(item, note), note: own_note(item, note) };
            Tree::Lines(items.iter().map(item).collect())
        }
        Content::Mapping(entries) => {
            let entry = |(key, value): &(Node<'_>, Node<'_>)| {
                Entry::new(key.key(), tree(value, note)).note(own_note(value, note))
            };
            Tree::Map(entries.iter().map(entry).collect())
        }
    }
}

/// Returns the comment of a node that takes a line of its own: of a scalar, or of what is empty.
fn own_note(node: &Node<'_>, note: &dyn Fn(&Node<'_>) -> Option<String>) -> String {
    let is_inner = !node.items().is_empty() || !node.entries().is_empty();
    if is_inner { String::new() } else { note(node).unwrap_or_default() }
}

#[cfg(test)]
mod tests;
