//! `reconcile version`.

use serde_json::json;

use super::{
    args::{TextOrJson, VersionArgs},
    exit::ExitStatus,
    view::Ui,
};
use crate::{plan::file::FORMAT_VERSION, version};

/// Prints the version.
pub(super) fn run(args: &VersionArgs, ui: &Ui) -> ExitStatus {
    match args.output {
        TextOrJson::Text => ui.out(&format!("reconcile {}\ntarget {}\n", version::LINE, version::TARGET)),
        TextOrJson::Json => {
            let document = json!({
                "apiVersion": "reconcile/v1",
                "kind": "Version",
                "format_version": FORMAT_VERSION,
                "version": version::NUMBER,
                "commit": version::commit(),
                "modified": version::is_modified(),
                "date": version::date(),
                "target": version::TARGET,
            });
            ui.out(&format!("{document:#}\n"));
        }
    }
    ExitStatus::Success
}
