//! State files of the sandbox: several become one state, and mistakes in it find their places.
//!
//! Sections and objects of several files are merged, lists are put one behind the other in the order of the files; two
//! rows with one id are a mistake. A single value may stand in several files if it is the same in all.

use std::path::PathBuf;

use reconcile_sandbox::{Sandbox, simulator::StateError};
use serde_json::Value;

use crate::{
    diagnostic::{Diagnostic, render},
    source::{Origin, Sources},
    yaml::{self, Content, Node},
};

/// Returns a sandbox with the states of files in it, and these states together.
pub(super) fn load(files: &[PathBuf]) -> Result<(Sandbox, Value), Vec<String>> {
    let mut sources = Sources::default();
    let (mut texts, mut unread) = (Vec::new(), Vec::new());
    for path in files {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let file = sources.add(path.display().to_string(), text);
                texts.push((file, sources.text(file).clone()));
            }
            Err(error) => unread.push(format!("cannot read {}: {error}", path.display())),
        }
    }
    if !unread.is_empty() {
        return Err(unread);
    }
    let mut diagnostics = Vec::new();
    let documents: Vec<_> = texts.iter().flat_map(|(file, text)| yaml::load(*file, text, &mut diagnostics)).collect();
    if diagnostics.iter().any(Diagnostic::is_error) {
        let told = |diagnostic: &Diagnostic| {
            let place = diagnostic.origin().map(|origin| format!("{}: ", sources.position(origin))).unwrap_or_default();
            let hint = diagnostic.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{place}{}{hint} ({})", diagnostic.message, diagnostic.code)
        };
        return Err(render::sorted(&diagnostics).into_iter().map(told).collect());
    }
    let roots: Vec<&Node<'_>> = documents.iter().map(|document| &document.root).collect();
    let mut clashes = Vec::new();
    let state = merged(&roots, &sources, &mut clashes);
    if !clashes.is_empty() {
        return Err(clashes);
    }
    let state = if state.is_null() { Value::Object(serde_json::Map::new()) } else { state };
    let sandbox = Sandbox::new();
    let line = |mistake: &StateError| {
        let origin = find_origin(&roots, &mistake.pointer).map(|origin| sources.position(origin).to_string());
        let pointer = Some(mistake.pointer.clone()).filter(|pointer| !pointer.is_empty());
        [origin, pointer, Some(mistake.message.clone())].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    sandbox.load(&state).map_err(|mistakes| mistakes.iter().map(line).collect::<Vec<_>>())?;
    Ok((sandbox, state))
}

/// Merges what several documents have in one place.
fn merged(nodes: &[&Node<'_>], sources: &Sources, clashes: &mut Vec<String>) -> Value {
    let nodes: Vec<&Node<'_>> = nodes.iter().copied().filter(|node| !node.is_null()).collect();
    let [first, rest @ ..] = nodes.as_slice() else { return Value::Null };
    if rest.is_empty() {
        return first.to_json();
    }
    let is_alike = |node: &&&Node<'_>| match (&first.content, &node.content) {
        (Content::Scalar(_), Content::Scalar(_)) => first.to_json() == node.to_json(),
        (content, other) => std::mem::discriminant(content) == std::mem::discriminant(other),
    };
    if let Some(other) = rest.iter().find(|node| !is_alike(node)) {
        let (here, there) = (sources.position(&other.origin), sources.position(&first.origin));
        let what = |node: &Node<'_>| node.as_text().map_or_else(|| node.describe(), |text| format!("`{text}`"));
        clashes.push(format!("{here}: this is {}, but {} at {there}", what(other), what(first)));
        return Value::Null;
    }
    match &first.content {
        Content::Scalar(_) => first.to_json(),
        Content::Sequence(_) => nodes.iter().flat_map(|node| node.items()).map(Node::to_json).collect(),
        Content::Mapping(_) => {
            let mut keys: Vec<&str> = Vec::new();
            for (key, _) in nodes.iter().flat_map(|node| node.entries()) {
                if !keys.contains(&key.key()) {
                    keys.push(key.key());
                }
            }
            let mut build = |key: &str| {
                let values: Vec<&Node<'_>> = nodes.iter().filter_map(|node| node.get(key)).collect();
                (key.to_owned(), merged(&values, sources, clashes))
            };
            keys.into_iter().map(&mut build).collect()
        }
    }
}

/// Returns the place of the last node of a JSON pointer that was written; `None` if there is no document.
fn find_origin<'a>(roots: &[&'a Node<'_>], pointer: &str) -> Option<&'a Origin> {
    let mut nodes = roots.to_vec();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let item = step.parse().ok().and_then(|at: usize| nodes.iter().flat_map(|node| node.items()).nth(at));
        let next: Vec<&Node<'_>> = match item {
            Some(item) => vec![item],
            None => nodes.iter().filter_map(|node| node.get(&step)).collect(),
        };
        if next.is_empty() {
            break;
        }
        nodes = next;
    }
    nodes.last().map(|node| &node.origin)
}
