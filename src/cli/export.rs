//! `reconcile export`: live objects as manifests.

mod additions;
mod declared;
pub(super) mod names;
mod neighbours;
mod paths;
pub(super) mod scopes;
pub(super) mod sink;
pub(super) mod staging;

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
        export::{self as view, Written},
        manifest::{self, Document},
        progress,
    },
};
use crate::{
    config::Config,
    diagnostic::Diagnostic,
    engine::{connection::Reader, export::Lister, observe::observe},
    manifest::Set,
    model::ObservedState,
    provider::{Cursor, ExportPage, ExportScope},
    source::Sources,
};
use additions::Additions;
use declared::{Declared, Undecided};
use names::Names;
use scopes::Scope;
use sink::Sink;
use staging::Class;

/// Lists live objects and writes their documents. Only readers are made: nothing here can write to a platform.
pub(super) async fn run(args: &ExportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    tokio::select! {
        result = export(args, ui) => result,
        () = stop.token().cancelled() => {
            let problem = match args.out.as_ref().or(args.into.as_ref()) {
                Some(_) => "interrupted before everything was read: no file was written",
                None => "interrupted before everything was read",
            };
            Err(CommandError::interrupted(&stop, problem))
        }
    }
}

async fn export(args: &ExportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let Inputs { mut sources, config, set } = inputs(args, ui)?;
    let scopes = scopes::of(args, config.as_ref(), &mut sources).map_err(CommandError::usage)?;
    let used: BTreeSet<Arc<str>> = scopes.iter().map(|scope| scope.desired.target.clone()).collect();
    let connected = connect(args, config.as_ref(), &used, ui).await.map_err(CommandError::failed)?;
    let sink = match &args.into {
        Some(directory) => {
            let texts = declared::texts(args, config.as_ref(), &set, &sources);
            Additions::new(directory, &args.overlays, texts, args.layout).map(|sink| Sink::Additions(Box::new(sink)))
        }
        None => Sink::new(args.out.as_deref(), args.layout),
    };
    let mut exporter = Exporter {
        pattern: args.name.as_deref().map(pattern),
        names: Names::default(),
        declared: None,
        sources: &sources,
        sink: sink.map_err(CommandError::failed)?,
        count: 0,
        left: 0,
        args,
    };
    let work = async {
        if args.into.is_some() {
            exporter.know(&connected, &set, &scopes).await?;
        }
        exporter.all(&connected, &scopes, ui).await
    };
    let result = progress::reading(&used, connected.shared.counters(), ui, work).await;
    against::guesses(&connected, ui);
    planning::end(connected).await;
    let Exporter { sink, count, left, .. } = exporter;
    match result {
        Ok(()) => {}
        Err(Problem::Scope(observed)) => return Err(unlisted(observed, sources, ui)),
        Err(Problem::File(why)) => return Err(CommandError::failed(why)),
        Err(Problem::Undecided(why)) => return Err(undecided(why, sources, ui)),
    }
    let written = sink.finish().map_err(CommandError::all)?;
    if let Written::Added(files) = &written {
        ui.out(&view::added(files));
    }
    ui.say(&view::summary(count, left, &written, args.out.as_deref()));
    Ok(ExitStatus::Success)
}

/// What people wrote.
struct Inputs {
    sources: Sources,
    config: Option<Config>,
    /// The manifests to which documents are to be added.
    set: Set,
}

fn inputs(args: &ExportArgs, ui: &Ui) -> Result<Inputs, CommandError> {
    let Some(directory) = &args.into else {
        let mut sources = Sources::default();
        let config = configuration(args, &mut sources, ui)?;
        return Ok(Inputs { sources, config, set: Set::default() });
    };
    let loaded = declared::load(args, directory, ui)?;
    if loaded.config.is_none() && args.from.is_none() {
        let problem = configuration::missing(std::slice::from_ref(directory));
        return Err(CommandError::failed(problem).with(loaded));
    }
    Ok(Inputs { sources: loaded.sources, config: loaded.config, set: loaded.set })
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
    /// It is not known what is declared already.
    Undecided(Undecided),
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

/// Returns the error about documents of which it is not known what they mean.
fn undecided(why: Undecided, sources: Sources, ui: &Ui) -> CommandError {
    match why {
        Undecided::Wrong(diagnostics) => {
            ui.diagnostics(&diagnostics, &sources);
            let problem = "it is not known which objects these documents mean: nothing is written";
            CommandError::failed(problem).with_configuration(sources, diagnostics)
        }
        Undecided::Unknown(why) => {
            CommandError::partial(format!("it is not known what is declared already: {why}: nothing is written"))
        }
    }
}

struct Exporter<'a> {
    pattern: Option<Regex>,
    names: Names,
    /// What documents declare already; `None` where documents are not added to others.
    declared: Option<Declared>,
    sources: &'a Sources,
    sink: Sink,
    count: usize,
    left: usize,
    args: &'a ExportArgs,
}

impl Exporter<'_> {
    /// Finds out which live objects documents declare already.
    async fn know(&mut self, connected: &Connected, set: &Set, scopes: &[Scope]) -> Result<(), Problem> {
        for id in set.desired.iter().map(|desired| &desired.id) {
            self.names.take(id.kind, &id.key);
        }
        let states = observe(&connected.readers(), &set.desired).await;
        let declared = Declared::of(&states, scopes).map_err(Problem::Undecided)?;
        for instance in &declared.instances {
            let group = [instance.model.clone()];
            let class = Class { sort: instance.sort.clone(), directory: None, group: &group };
            self.sink.note_declared(&class, self.sources.path(instance.file));
        }
        self.declared = Some(declared);
        Ok(())
    }

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
        let known = self.declared.iter().flat_map(|declared| &declared.instances);
        for instance in known.filter(|instance| instance.sort.0 == reader.target().name) {
            if let Some(name) = &instance.name {
                self.names.name_instance(&instance.model, instance.id, name);
            }
        }
        for scope in scopes {
            let mut cursor = Some(Cursor::default());
            while let Some(from) = cursor {
                let mut page = self.page(&mut lister, reader, scope, &from).await.map_err(Problem::Scope)?;
                cursor = page.next.take();
                self.write(scope, page, ui).map_err(Problem::File)?;
            }
        }
        Ok(())
    }

    async fn page(
        &self,
        lister: &mut Lister<'_>,
        reader: &Reader,
        scope: &Scope,
        from: &Cursor,
    ) -> Result<ExportPage, ObservedState> {
        let sort = scope.sort();
        let name_of = |model: &str, id: i64| self.names.of_instance(model, id);
        let is_declared =
            |identity: &str| self.declared.as_ref().is_some_and(|declared| declared.file(&sort, identity).is_some());
        let scope = ExportScope {
            scope: &scope.desired,
            fields: self.args.fields.as_deref(),
            parts: &self.args.parts,
            conditions: &self.args.conditions,
            name_of: &name_of,
            is_declared: self.declared.is_some().then_some(&is_declared),
        };
        lister.page(scope_kind(sort.1, reader), &scope, from).await
    }

    fn write(&mut self, scope: &Scope, page: ExportPage, ui: &Ui) -> Result<(), String> {
        let (sort, directory) = (scope.sort(), scope.directory.as_deref());
        for object in page.declared {
            let file = self.declared.as_ref().and_then(|declared| declared.file(&sort, &object.identity));
            if let Some(file) = file {
                let class = Class { sort: sort.clone(), directory, group: &object.group };
                self.sink.note_declared(&class, self.sources.path(file));
            }
        }
        for object in page.objects {
            if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&object.title)) {
                continue;
            }
            let name = self.names.choose(sort.1, &object);
            let document = Document {
                version: &scope.version,
                kind: sort.1,
                name: &name,
                target: scope.written_target.as_deref(),
                object: &object,
            };
            self.count += 1;
            self.left += object.left.len();
            let class = Class { sort: sort.clone(), directory, group: &object.group };
            self.sink.write(&class, &name, &manifest::text(&document), ui)?;
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
