//! `reconcile import`: a spreadsheet of the platform's page as manifests.

mod sheet;

use std::{collections::HashMap, sync::Arc};

use super::{
    args::{ExportArgs, ImportArgs},
    error::CommandError,
    exit::ExitStatus,
    export::{self, names::Names, scopes, sink::Sink, staging::Class},
    planning,
    setup::Connected,
    signal::Stop,
    view::{
        Ui,
        export::Written,
        manifest::{self, Document},
        progress,
    },
};
use crate::{
    engine::export::Lister,
    model::ObservedState,
    provider::{CellProblem, ImportScope},
    source::Sources,
};
use sheet::Sheet;

/// Most cells that are reported.
const REPORTED: usize = 50;

/// Reads a spreadsheet and the definitions of its models, and writes documents. Only readers are made: nothing here can
/// write to a platform.
pub(super) async fn run(args: &ImportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    tokio::select! {
        result = import(args, ui) => result,
        () = stop.token().cancelled() => {
            Err(CommandError::interrupted(&stop, "interrupted before everything was read: no file was written"))
        }
    }
}

async fn import(args: &ImportArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let shown = args.file.display().to_string();
    let sheet = Sheet::read(&args.file, &args.model).map_err(|problems| {
        CommandError::all(problems.iter().map(|problem| format!("{shown}: {problem}")).collect())
    })?;
    let mut sources = Sources::default();
    let like = like_export(args);
    let config = export::configuration(&like, &mut sources, ui)?;
    let scopes = scopes::of(&like, config.as_ref(), &mut sources).map_err(CommandError::usage)?;
    let first = scopes.first().map(|scope| scope.desired.target.clone());
    if scopes.iter().any(|scope| Some(&scope.desired.target) != first.as_ref()) {
        return Err(CommandError::usage("several targets have such instances: name one by --target"));
    }
    let used = first.into_iter().collect();
    let connected = export::connect(&like, config.as_ref(), &used, ui).await.map_err(CommandError::failed)?;
    let mut importer = Importer { sheet: &sheet, names: Names::default(), rows: HashMap::new(), problems: Vec::new() };
    let work = importer.all(&connected, &scopes);
    let result = progress::reading(&used, connected.shared.counters(), ui, work).await;
    planning::end(connected).await;
    let documents = result.map_err(|observed| export::unlisted(observed, sources, ui))?;
    if !importer.problems.is_empty() {
        let told = importer
            .problems
            .iter()
            .take(REPORTED)
            .map(|(sheet, problem)| format!("{shown}: {}", sheet_place(sheet, problem, &importer)));
        let more = importer.problems.len().saturating_sub(REPORTED);
        let more = (more > 0).then(|| format!("{shown}: and {more} other cells"));
        return Err(CommandError::all(told.chain(more).collect()).hint("nothing is written where a cell is wrong"));
    }
    let mut sink = Sink::new(args.out.as_deref(), args.layout).map_err(CommandError::failed)?;
    for Made { sort, group, name, text } in &documents {
        let class = Class { sort: sort.clone(), directory: None, group };
        sink.write(&class, name, text, ui).map_err(CommandError::failed)?;
    }
    let place = match (sink.finish().map_err(CommandError::all)?, &args.out) {
        (Written::New(files), Some(out)) => format!(" into {files} new files in {}", out.display()),
        _ => String::new(),
    };
    ui.say(&format!("{} documents made of {} rows{place}", documents.len(), sheet.rows.len() + sheet.links.len()));
    Ok(ExitStatus::Success)
}

fn sheet_place(sheet: &str, problem: &CellProblem, importer: &Importer<'_>) -> String {
    let column =
        importer.sheet.column(sheet, &problem.field).map(|column| format!(", column {column}")).unwrap_or_default();
    format!("sheet {sheet}, row {}{column}: {}", problem.row, problem.message)
}

/// Returns the arguments of an export of the same objects.
fn like_export(args: &ImportArgs) -> ExportArgs {
    ExportArgs {
        kind: ["Instance", "InstanceAssociation"].map(str::to_owned).into(),
        model: vec![args.model.clone()],
        business: Vec::new(),
        set: Vec::new(),
        service_template: Vec::new(),
        association: Vec::new(),
        app_instance: Vec::new(),
        name: None,
        conditions: Vec::new(),
        fields: None,
        parts: Vec::new(),
        target: args.target.clone().into_iter().collect(),
        from: args.from.clone(),
        config: args.config.clone(),
        network: args.network.clone(),
        variables: Vec::new(),
        values: Vec::new(),
        overlays: Vec::new(),
        follow_links: false,
        out: args.out.clone(),
        into: None,
        layout: args.layout,
    }
}

struct Importer<'a> {
    sheet: &'a Sheet,
    names: Names,
    /// The names of the documents of rows.
    rows: HashMap<u32, String>,
    problems: Vec<(String, CellProblem)>,
}

/// A document.
struct Made {
    /// Its target and its kind.
    sort: (Arc<str>, &'static str),
    /// Names of the group that it lies in.
    group: Vec<String>,
    name: String,
    text: String,
}

impl Importer<'_> {
    async fn all(&mut self, connected: &Connected, scopes: &[scopes::Scope]) -> Result<Vec<Made>, ObservedState> {
        let readers = connected.readers();
        let Some(reader) = readers.first() else { return Ok(Vec::new()) };
        let mut lister = Lister::new(reader).await?;
        let mut documents = Vec::new();
        for scope in scopes {
            let kind = export::scope_kind(scope.desired.id.kind, reader);
            let imported = {
                let name_of = |row: u32| self.rows.get(&row).cloned();
                let (rows, links) = (self.sheet.rows.as_slice(), self.sheet.links.as_slice());
                lister.import(kind, &ImportScope { scope: &scope.desired, rows, links, name_of: &name_of }).await?
            };
            let is_rows = scope.desired.id.kind == "Instance";
            let sheet = if is_rows { &self.sheet.name } else { sheet::ASSOCIATIONS };
            self.problems.extend(imported.problems.into_iter().map(|problem| (sheet.to_owned(), problem)));
            for (row, object) in imported.objects {
                let name = self.names.choose(scope.desired.id.kind, &object);
                let document = Document {
                    version: &scope.version,
                    kind: scope.desired.id.kind,
                    name: &name,
                    target: scope.written_target.as_deref(),
                    object: &object,
                };
                documents.push(Made {
                    sort: (scope.desired.target.clone(), scope.desired.id.kind),
                    group: object.group.clone(),
                    name: name.clone(),
                    text: manifest::text(&document),
                });
                if is_rows {
                    self.rows.insert(row, name);
                }
            }
        }
        Ok(documents)
    }
}
