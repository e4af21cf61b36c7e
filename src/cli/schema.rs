//! `reconcile schema`.

use super::{
    args::{Document, SchemaArgs},
    exit::ExitStatus,
    view::Ui,
};
use crate::{platform, schema};

/// Prints the schema of a document.
pub(super) fn run(args: &SchemaArgs, ui: &Ui) -> ExitStatus {
    let text = match args.document {
        Document::Manifest => &format!("{:#}\n", schema::manifest(platform::ALL)),
        Document::Config => &format!("{:#}\n", schema::configuration(platform::ALL)),
        Document::Plan => include_str!("../../docs/schema/plan.json"),
        Document::Drift => include_str!("../../docs/schema/drift.json"),
        Document::Explanation => include_str!("../../docs/schema/explanation.json"),
        Document::History => include_str!("../../docs/schema/history.json"),
        Document::Validation => include_str!("../../docs/schema/validation.json"),
        Document::Events => include_str!("../../docs/schema/events.json"),
        Document::Resumption => include_str!("../../docs/schema/resumption.json"),
        Document::Rehearsal => include_str!("../../docs/schema/rehearsal.json"),
        Document::Rendering => include_str!("../../docs/schema/rendering.json"),
        Document::Version => include_str!("../../docs/schema/version.json"),
    };
    ui.out(text);
    ExitStatus::Success
}
