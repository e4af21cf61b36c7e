//! Values that are written down, and values that are fetched.

use std::path::{Path, PathBuf};

use crate::{
    diagnostic::Diagnostic,
    yaml::{self, Content, Form, Key, Node, Section, Shape},
};

/// The keys of what says where a value comes from.
pub static SOURCE: Form = Form::new(&[
    Key::new("env", Shape::Name, "the name of an environment variable"),
    Key::new("file", Shape::Name, "a file, from the directory of the configuration"),
    Key::new("command", Shape::List(&Shape::Text, 1), "a program and its arguments; its output is the value"),
])
.exactly_one(&["env", "file", "command"]);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Env(String),
    /// The content of a file.
    File(PathBuf),
    /// The output of a program; its arguments follow its name.
    Command(Vec<String>),
}

impl Source {
    /// Returns the file that it reads; `None` where it reads none.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) | Self::Command(_) => None,
        }
    }
}

/// A value of a target that is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Written in the file.
    Literal(String),
    /// Fetched when the target is first called.
    From(Source),
}

/// Reads a setting: a text, or where it comes from.
pub(super) fn setting(
    node: &Node<'_>,
    what: &str,
    directory: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Setting> {
    match &node.content {
        Content::Mapping(_) => source(node, what, directory, diagnostics).map(Setting::From),
        Content::Scalar(_) | Content::Sequence(_) => {
            let text = yaml::text(node, what, diagnostics)?;
            if text.is_empty() {
                diagnostics.push(Diagnostic::error("C003", format!("{what} must not be empty"), &node.origin));
                return None;
            }
            Some(Setting::Literal(text.to_owned()))
        }
    }
}

/// Reads where a secret comes from. The secret itself is refused, and shown nowhere.
pub(super) fn secret(
    node: &Node<'_>,
    what: &str,
    directory: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Source> {
    if matches!(node.content, Content::Mapping(_)) {
        return source(node, what, directory, diagnostics);
    }
    let message = format!("{what} is a secret and must not be written in the file");
    diagnostics.push(
        Diagnostic::error("C001", message, &node.origin)
            .hint("write where it comes from: {env: NAME}, {file: PATH} or {command: [program, argument]}")
            .hide(),
    );
    None
}

fn source(node: &Node<'_>, what: &str, directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Source> {
    let section = Section::of(node, what, &SOURCE, diagnostics)?;
    let before = diagnostics.len();
    let env = section.get("env").map(|node| env(node, what, diagnostics));
    let file = section.get("file").map(|node| {
        let path = yaml::text(node, &format!("{what}.file"), diagnostics).filter(|path| !path.is_empty());
        path.map(|path| Source::File(directory.join(path)))
    });
    let command = section.get("command").map(|node| command(node, what, diagnostics));
    section.finish(diagnostics);
    let mut given = [env, file, command].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(source), None) => {
            if source.is_none() && diagnostics.len() == before {
                diagnostics.push(Diagnostic::error("C003", format!("{what} must not be empty"), &node.origin));
            }
            source
        }
        _ if diagnostics.len() > before => None,
        _ => {
            let message = format!("{what} needs exactly one of `env`, `file` and `command`");
            diagnostics.push(Diagnostic::error("C003", message, &node.origin));
            None
        }
    }
}

fn env(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Source> {
    let name = yaml::text(node, &format!("{what}.env"), diagnostics)?;
    // No variable has such a name; with a `$` the value was meant to be filled in.
    if name.is_empty() || name.contains(['=', '\0', '$']) {
        let message = format!("{what}.env has to be the name of an environment variable");
        diagnostics.push(Diagnostic::error("C003", message, &node.origin).hint("write the name alone, without $"));
        return None;
    }
    Some(Source::Env(name.to_owned()))
}

fn command(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Source> {
    let what = format!("{what}.command");
    let items = yaml::list(node, &what, diagnostics)?;
    let words: Vec<Option<String>> =
        items.iter().map(|item| yaml::text(item, &what, diagnostics).map(str::to_owned)).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        diagnostics.push(Diagnostic::error("C003", format!("{what} needs a program"), &node.origin));
        return None;
    }
    Some(Source::Command(words))
}
