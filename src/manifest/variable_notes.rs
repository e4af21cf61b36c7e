//! Messages about values with variables in them say which variables these are, what they are and where they come from.

use super::{Given, Provenance, Use};
use crate::{diagnostic::Diagnostic, source::Sources};

/// Most characters of a variable's value that a message shows.
const LONG: usize = 60;

/// Shown in place of a value that may not be.
const HIDDEN: &str = "***";

impl Provenance {
    /// Adds to messages about values what is known of the variables in them. A value that is, holds or is part of one of
    /// the `secrets` is not shown, wherever the message has it; they are asked for only where a message is about a variable.
    pub fn name_variables<'d>(
        &self,
        diagnostics: impl IntoIterator<Item = &'d mut Diagnostic>,
        sources: &Sources,
        secrets: &dyn Fn() -> Vec<String>,
    ) {
        let mut known: Option<Vec<String>> = None;
        for diagnostic in diagnostics {
            let Some(origin) = diagnostic.origin() else { continue };
            let uses = self.variables(origin);
            if !uses.is_empty() {
                note(diagnostic, uses, sources, known.get_or_insert_with(secrets));
            }
        }
    }
}

fn note(diagnostic: &mut Diagnostic, uses: &[Use], sources: &Sources, secrets: &[String]) {
    let is_secret = |text: &str| {
        let holds = |secret: &String| !secret.is_empty() && (text.contains(&**secret) || secret.contains(text));
        !text.is_empty() && secrets.iter().any(holds)
    };
    if let [only] = uses
        && only.is_whole
        && !is_secret(&only.text)
        && let Some(start) = diagnostic.message.strip_suffix("not a text")
    {
        diagnostic.message = format!("{start}not `{}`", cut(&only.text));
    }
    if let [only] = uses
        && only.is_whole
        && let Some(hint) = &mut diagnostic.hint
        && [format!("without quotes it is one: {}", only.text), format!("write {}", only.text)].contains(hint)
    {
        // The quotes may be there because a variable within {} needs them.
        *hint = format!("write ${{{}}} without quotes, and not within {{}} or []: on a line of its own", only.name);
    }
    let mut named: Vec<String> = Vec::new();
    for usage in uses {
        let (name, text, from) = (&usage.name, &*usage.text, origin(usage, sources));
        if is_secret(text) {
            // A message may have one twice, and its hint too.
            let texts = diagnostic.labels.iter_mut().map(|label| &mut label.text).chain(&mut diagnostic.hint);
            texts.chain([&mut diagnostic.message]).for_each(|shown| *shown = shown.replace(text, HIDDEN));
        }
        let is_named = is_secret(text) || diagnostic.message.contains(&format!("`{}`", cut(text)));
        let value = if is_named { String::new() } else { format!(" is `{}`", cut(text)) };
        let note = format!("{name}{value}, from {from}");
        if !named.contains(&note) {
            named.push(note);
        }
    }
    diagnostic.message = format!("{} ({})", diagnostic.message, named.join("; "));
}

/// Returns where the value of a variable came from.
fn origin(usage: &Use, sources: &Sources) -> String {
    match &usage.given {
        Given::Set => "--set".to_owned(),
        Given::Values(place) => {
            let position = sources.position(place);
            format!("{}:{}", position.file, position.line)
        }
        Given::Environment => format!("the environment variable RECONCILE_VAR_{}", usage.name),
        Given::Default => "its default".to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
