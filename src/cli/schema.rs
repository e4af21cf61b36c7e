//! `reconcile schema`.

use std::collections::BTreeSet;

use super::{
    against,
    args::{Document, SchemaArgs},
    error::CommandError,
    exit::ExitStatus,
    planning,
    signal::Stop,
    view::Ui,
};
use crate::{engine::catalog::definitions, platform, provider::Catalog, schema};

/// Prints the schema of a document. Only readers are made: nothing here can write to a platform.
pub(super) async fn run(args: &SchemaArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let mut status = ExitStatus::Success;
    let text = match args.document {
        Document::Manifest => {
            let stop = Stop::listen();
            let catalog = tokio::select! {
                catalog = catalog(args, ui) => catalog?,
                () = stop.token().cancelled() => {
                    return Err(CommandError::interrupted(&stop, "interrupted before everything was read"));
                }
            };
            let (catalog, unread) = catalog;
            unread.iter().for_each(|problem| ui.error(problem));
            if !unread.is_empty() {
                status = ExitStatus::Partial;
            }
            &format!("{:#}\n", schema::manifest_with(platform::ALL, &catalog))
        }
        _ if args.online || args.against.is_some() => {
            return Err(CommandError::usage("`--online` and `--against` go with `schema manifest` only"));
        }
        Document::Config => &format!("{:#}\n", schema::configuration(platform::ALL)),
        Document::Plan => include_str!("../../docs/schema/plan.json"),
        Document::Drift => include_str!("../../docs/schema/drift.json"),
        Document::Explanation => include_str!("../../docs/schema/explanation.json"),
        Document::Blame => include_str!("../../docs/schema/blame.json"),
        Document::History => include_str!("../../docs/schema/history.json"),
        Document::Validation => include_str!("../../docs/schema/validation.json"),
        Document::Events => include_str!("../../docs/schema/events.json"),
        Document::Resumption => include_str!("../../docs/schema/resumption.json"),
        Document::Rehearsal => include_str!("../../docs/schema/rehearsal.json"),
        Document::Rendering => include_str!("../../docs/schema/rendering.json"),
        Document::Version => include_str!("../../docs/schema/version.json"),
    };
    ui.out(text);
    Ok(status)
}

/// Returns the fields of live models, and reads that failed, in words.
async fn catalog(args: &SchemaArgs, ui: &Ui) -> Result<(Catalog, BTreeSet<String>), CommandError> {
    if let Some(file) = &args.against {
        let snapshot = against::read(file).map_err(CommandError::failed)?;
        return Ok((against::catalog(&snapshot), BTreeSet::new()));
    }
    if !args.online {
        return Ok(Default::default());
    }
    let prepared = planning::prepare(&args.inputs, &args.network, false, None, ui).await?;
    let readers = prepared.connected.readers();
    let found = prepared.reading(ui, definitions(&readers, &prepared.desired)).await;
    planning::end(prepared.connected).await;
    Ok(found)
}
