//! `reconcile render`.

use std::collections::BTreeSet;

use super::{
    args::{RenderArgs, RenderFormat},
    error::CommandError,
    exit::ExitStatus,
    plan_file, selection, setup,
    view::{
        Ui,
        rendering::{self, Rendering},
    },
};
use crate::{config::Config, manifest::Resolved};

/// Prints the selected documents as they are decoded.
pub(super) fn run(args: &RenderArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let is_selected = selection::filter(&args.inputs.selection).map_err(CommandError::usage)?;
    let (loaded, documents) = setup::read_resolved(&args.inputs).map_err(CommandError::usage)?;
    if let Some(problem) = plan_file::mistaken(&args.inputs, &loaded.sources) {
        return Err(CommandError::usage(problem));
    }
    let loaded = setup::usable(loaded, ui)?;
    if let Err(problem) = selection::check(&args.inputs, &loaded) {
        return Err(CommandError::usage(problem).with(loaded));
    }
    let selected = loaded.set.desired.iter().filter(|desired| is_selected(desired));
    let selected: BTreeSet<String> = selected.map(|desired| desired.id.document().to_string()).collect();
    let documents: Vec<Resolved> =
        documents.into_iter().filter(|document| selected.contains(&rendering::address(&document.root))).collect();
    let secrets = loaded.config.as_ref().map(Config::known_secrets).unwrap_or_default();
    let rendering = Rendering { sources: &loaded.sources, provenance: &loaded.set.provenance, secrets: &secrets };
    match args.output {
        RenderFormat::Yaml => ui.out(&rendering.text(&documents)),
        RenderFormat::Json => ui.out(&format!("{:#}\n", rendering.json(&documents))),
    }
    Ok(ExitStatus::Success)
}
