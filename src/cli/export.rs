//! `reconcile export`: live objects as manifests.

pub(super) mod names;
pub(super) mod scopes;
pub(super) mod sink;

use std::{collections::BTreeSet, sync::Arc};

use regex::Regex;

use super::{
    against,
    args::ExportArgs,
    configuration,
    error::CommandError,
    exit::ExitStatus,
    planning,
    setup::{self, Connected},
    signal::Stop,
    view::{
        Ui,
        manifest::{self, Document},
        progress,
    },
};
use crate::{
    config::Config,
    diagnostic::Diagnostic,
    engine::{connection::Reader, export::Lister},
    model::ObservedState,
    provider::{Cursor, ExportScope},
    source::Sources,
};
use names::Names;
use scopes::Scope;
use sink::Sink;

/// Lists live objects and writes their documents. Only readers are made: nothing here can write to a platform.
pub(super) async fn run(args: &ExportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    tokio::select! {
        result = export(args, ui) => result,
        () = stop.token().cancelled() => {
            let problem = match args.out {
                Some(_) => "interrupted before everything was read: no file was written",
                None => "interrupted before everything was read",
            };
            Err(CommandError::interrupted(&stop, problem))
        }
    }
}

async fn export(args: &ExportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let mut sources = Sources::default();
    let config = configuration(args, &mut sources, ui)?;
    let scopes = scopes::of(args, config.as_ref(), &mut sources).map_err(CommandError::usage)?;
    let used: BTreeSet<Arc<str>> = scopes.iter().map(|scope| scope.desired.target.clone()).collect();
    let connected = connect(args, config.as_ref(), &used, ui).await.map_err(CommandError::failed)?;
    let mut exporter = Exporter {
        pattern: args.name.as_deref().map(pattern),
        names: Names::default(),
        sink: Sink::new(args.out.as_deref(), args.layout).map_err(CommandError::failed)?,
        count: 0,
        left: 0,
        args,
    };
    let work = exporter.all(&connected, &scopes, ui);
    let result = progress::reading(&used, connected.shared.counters(), ui, work).await;
    against::guesses(&connected, ui);
    planning::end(connected).await;
    match result {
        Ok(()) => {}
        Err(Problem::Scope(observed)) => return Err(unlisted(observed, sources, ui)),
        Err(Problem::File(why)) => return Err(CommandError::failed(why)),
    }
    let (count, left) = (exporter.count, exporter.left);
    let files = exporter.sink.finish().map_err(CommandError::all)?;
    ui.say(&summary(count, left, files, args));
    Ok(ExitStatus::Success)
}

pub(super) fn configuration(args: &ExportArgs, sources: &mut Sources, ui: &Ui) -> Result<Option<Config>, CommandError> {
    let mut diagnostics = Vec::new();
    let config =
        configuration::read(args.config.as_deref(), &[], sources, &mut diagnostics).map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, sources);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(CommandError::failed("the configuration has errors: nothing was read"));
    }
    if config.is_none() && args.from.is_none() {
        return Err(CommandError::failed(configuration::missing(&[])));
    }
    Ok(config)
}

/// Prepares connections, or the snapshot that stands for them.
pub(super) async fn connect(
    args: &ExportArgs,
    config: Option<&Config>,
    used: &BTreeSet<Arc<str>>,
    ui: &Ui,
) -> Result<Connected, String> {
    match &args.from {
        Some(file) => against::open(file, &args.network, config, used, ui),
        None => setup::connect(&args.network, config, used).await,
    }
}

/// Returns the pattern of a name in which `*` stands for any text and `?` for any letter.
fn pattern(text: &str) -> Regex {
    let escaped = regex::escape(text).replace("\\*", ".*").replace("\\?", ".");
    Regex::new(&format!("(?s)^{escaped}$")).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Why an export came to no end.
enum Problem {
    /// A scope cannot be listed.
    Scope(ObservedState),
    /// A file cannot be written.
    File(String),
}

/// Returns the error about a scope that cannot be listed: what was not read is unknown, so nothing is left out in silence.
pub(super) fn unlisted(observed: ObservedState, sources: Sources, ui: &Ui) -> CommandError {
    match observed {
        ObservedState::Impossible(diagnostic) | ObservedState::Ambiguous(diagnostic) => {
            ui.diagnostics(&[*diagnostic], &sources);
            CommandError::failed("nothing is exported where the command line is wrong")
                .with_configuration(sources, Vec::new())
        }
        ObservedState::Unknown(why) => CommandError::partial(format!("not everything could be read: {why}")),
        _ => CommandError::partial("not everything could be read"),
    }
}

fn summary(count: usize, left: usize, files: Option<usize>, args: &ExportArgs) -> String {
    let place = match (files, &args.out) {
        (Some(1), Some(out)) => format!(" into 1 new file in {}", out.display()),
        (Some(files), Some(out)) => format!(" into {files} new files in {}", out.display()),
        _ => String::new(),
    };
    let left = match left {
        0 => String::new(),
        1 => "; 1 field is left out, with the reason in a comment".to_owned(),
        left => format!("; {left} fields are left out, with the reason in a comment"),
    };
    let objects = if count == 1 { "object" } else { "objects" };
    format!("{count} {objects} exported{place}{left}")
}

struct Exporter<'a> {
    pattern: Option<Regex>,
    names: Names,
    sink: Sink,
    count: usize,
    left: usize,
    args: &'a ExportArgs,
}

impl Exporter<'_> {
    async fn all(&mut self, connected: &Connected, scopes: &[Scope], ui: &Ui) -> Result<(), Problem> {
        let readers = connected.readers();
        for reader in &readers {
            let scopes = scopes.iter().filter(|scope| scope.desired.target == reader.target().name);
            self.target(reader, &scopes.collect::<Vec<_>>(), ui).await?;
        }
        Ok(())
    }

    async fn target(&mut self, reader: &Reader, scopes: &[&Scope], ui: &Ui) -> Result<(), Problem> {
        let mut lister = Lister::new(reader).await.map_err(Problem::Scope)?;
        self.names.begin_target();
        for scope in scopes {
            let mut cursor = Some(Cursor::default());
            while let Some(from) = cursor {
                let page = {
                    let name_of = |model: &str, id: i64| self.names.of_instance(model, id);
                    let scope = ExportScope {
                        scope: &scope.desired,
                        fields: self.args.fields.as_deref(),
                        conditions: &self.args.conditions,
                        name_of: &name_of,
                    };
                    lister.page(scope_kind(scope.scope.id.kind, reader), &scope, from).await.map_err(Problem::Scope)?
                };
                cursor = page.next;
                for object in page.objects {
                    if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&object.title)) {
                        continue;
                    }
                    let name = self.names.choose(scope.desired.id.kind, &object);
                    let document = Document {
                        version: &scope.version,
                        kind: scope.desired.id.kind,
                        name: &name,
                        target: scope.written_target.as_deref(),
                        object: &object,
                    };
                    self.count += 1;
                    self.left += object.left.len();
                    let place =
                        scope.directory.iter().map(String::as_str).chain(object.group.iter().map(String::as_str));
                    self.sink
                        .write(&place.collect::<Vec<_>>(), &name, &manifest::text(&document), ui)
                        .map_err(Problem::File)?;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn scope_kind(kind: &str, reader: &Reader) -> &'static dyn crate::provider::Kind {
    reader.target().platform.kind(kind).unwrap_or_else(|| unreachable!("the scope is of a kind of the platform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        let check = |text: &str, name: &str, expected: bool| assert_eq!(pattern(text).is_match(name), expected);
        check("core-*", "core-sw-1", true);
        check("core-*", "score-sw-1", false);
        check("sw-?", "sw-机", true);
        check("sw.1", "sw-1", false);
        check("*", "", true);
    }
}
