//! The forms of a report, and where it is shown and written.

use std::path::Path;

use serde_json::Value;

use super::{Ui, drift, github, gitlab, json, junit, markdown, report::Report, sarif, text, yaml};
use crate::{
    cli::{
        args::{Format, Forms},
        exit::ExitStatus,
    },
    files::write::{self, Readers},
};

impl Report<'_> {
    /// Returns the report as one document.
    fn document(&self) -> Value {
        if self.plan.is_some() && self.trace.is_some() { drift::json(self) } else { json::report(self) }
    }

    /// Returns the report in a form; text without colours.
    pub(in crate::cli) fn form(&self, format: Format) -> String {
        match format {
            Format::Text if self.trace.is_some() => drift::text(self, &Ui::plain()),
            Format::Text => text::report(self, &Ui::plain()),
            Format::Json => json::pretty(&self.document()),
            Format::Yaml => yaml::text(&self.document()),
            Format::Markdown => markdown::report(self),
            Format::Github => github::report(self),
            Format::Gitlab => gitlab::counts(self),
            Format::GitlabCodeQuality => gitlab::quality(self),
            Format::Sarif => sarif::report(self),
            Format::Junit => junit::report(self),
        }
    }

    /// Shows the report on stdout, unless that is text for people, and writes it to the files that were asked for.
    pub(in crate::cli) fn publish(&self, forms: &Forms, status: ExitStatus, ui: &Ui) -> ExitStatus {
        if forms.format != Format::Text {
            ui.out(&self.form(forms.format));
        }
        self.save(forms, status, ui)
    }

    /// Writes the report to the files that were asked for. A file that cannot be written is an error.
    pub(in crate::cli) fn save(&self, forms: &Forms, status: ExitStatus, ui: &Ui) -> ExitStatus {
        let problems = self.write(forms);
        problems.iter().for_each(|problem| ui.error(problem));
        if problems.is_empty() { status } else { status.unwritten() }
    }

    fn write(&self, forms: &Forms) -> Vec<String> {
        let write = |format: Format, path: &Path| {
            let loaded = write::replace(path, self.form(format).as_bytes(), Readers::Mask);
            loaded.map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        forms.output_files.iter().filter_map(|(format, path)| write(*format, path).err()).collect()
    }
}
