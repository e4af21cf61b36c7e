//! The end of a mapping: keys are checked for repetition, and `<<` is merged in.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, Scalar},
};

type Entry<'s> = (Node<'s>, Node<'s>);

/// Below this, looking at all keys is faster than hashing them.
const FEW: usize = 16;

/// Returns true if a key merges another mapping in. Quoted it is a key like any other.
pub(super) fn is_merge(key: &Node<'_>) -> bool {
    matches!(&key.content, Content::Scalar(Scalar { text, plain: true }) if text == "<<")
}

/// Returns what is wrong with a key.
pub(super) fn refuse_key(key: &Node<'_>) -> Option<Diagnostic> {
    match &key.content {
        Content::Sequence(_) | Content::Mapping(_) => {
            let hint = "a text that begins with [ or { has to be quoted";
            Some(Diagnostic::error("Y007", "a key has to be a text", &key.origin).hint(hint))
        }
        Content::Scalar(Scalar { text, plain: true }) if text.is_empty() => {
            Some(Diagnostic::error("Y011", "a key is missing before `:`", &key.origin))
        }
        Content::Scalar(_) => None,
    }
}

/// Returns the entries of a mapping: its own, without repetitions, then those that only a merge brings.
pub(super) fn finish<'s>(
    mut entries: Vec<Entry<'s>>,
    mut merges: Vec<Entry<'s>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Entry<'s>> {
    drop_repeated(&mut entries, diagnostics);
    drop_repeated(&mut merges, diagnostics);
    if let Some((_, value)) = merges.pop() {
        merge(&mut entries, value, diagnostics);
    }
    entries
}

/// Keeps the first of each key. Spelling decides: `1` and `"1"` are the same key.
fn drop_repeated(entries: &mut Vec<Entry<'_>>, diagnostics: &mut Vec<Diagnostic>) {
    let mut repeated = Vec::new();
    if entries.len() <= FEW {
        for (at, (key, _)) in entries.iter().enumerate() {
            if let Some(first) = entries[..at].iter().position(|(other, _)| other.key() == key.key()) {
                repeated.push((at, first));
            }
        }
    } else {
        let mut seen = HashMap::with_capacity(entries.len());
        for (at, (key, _)) in entries.iter().enumerate() {
            let first = *seen.entry(key.key()).or_insert(at);
            if first != at {
                repeated.push((at, first));
            }
        }
    }
    for (at, first) in &repeated {
        let (again, first) = (&entries[*at].0, &entries[*first].0);
        diagnostics.push(
            Diagnostic::error("Y006", format!("the key `{}` is written twice", again.key()), &again.origin)
                .label("again")
                .also(&first.origin, "first written here"),
        );
    }
    if !repeated.is_empty() {
        let repeated: HashSet<usize> = repeated.into_iter().map(|(at, _)| at).collect();
        let mut at = 0;
        entries.retain(|_| {
            at += 1;
            !repeated.contains(&(at - 1))
        });
    }
}

fn merge<'s>(entries: &mut Vec<Entry<'s>>, value: Node<'s>, diagnostics: &mut Vec<Diagnostic>) {
    let sources = match value.content {
        Content::Sequence(items) => items,
        Content::Mapping(_) | Content::Scalar(_) => vec![value],
    };
    let mut known: HashSet<String> = entries.iter().map(|(key, _)| key.key().to_owned()).collect();
    for source in sources {
        let Content::Mapping(added) = source.content else {
            // An alias without an anchor was told.
            if diagnostics.iter().any(|told| told.is_error() && told.origin() == Some(&source.origin)) {
                continue;
            }
            let message = "`<<` takes a mapping or a list of mappings";
            diagnostics.push(Diagnostic::error("Y008", message, &source.origin));
            continue;
        };
        for (key, value) in added {
            if known.insert(key.key().to_owned()) {
                entries.push((key, value));
            }
        }
    }
}
