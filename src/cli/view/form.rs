//! The forms of a report, and where it is shown and written.

use std::{io, path::Path};

use super::{Ui, drift, github, gitlab, json, junit, markdown, report::Report, sarif, text, yaml};
use crate::{
    cli::{
        args::{Format, Forms},
        exit::ExitStatus,
    },
    files::write::{self, Readers},
    plan::file::Document,
};

impl Report<'_> {
    /// Returns the report as one document.
    fn document(&self) -> Document<'_> {
        if self.plan.is_some() && self.trace.is_some() { drift::json(self) } else { self.run_document() }
    }

    /// Returns the document of a plan and its outcome.
    pub(in crate::cli) fn run_document(&self) -> Document<'_> {
        json::report(self)
    }

    /// Returns the report in a form; text without colours.
    pub(in crate::cli) fn form(&self, format: Format) -> String {
        match format {
            Format::Text if self.trace.is_some() => drift::text(self, &Ui::plain()),
            Format::Text => text::report(self, &Ui::plain()),
            Format::Json => self.document().text(),
            Format::Yaml => yaml::text(&self.document().into_value()),
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

    /// Writes the report in a form to a file, whole or not at all.
    pub(in crate::cli) fn write_form(&self, format: Format, path: &Path, readers: Readers) -> io::Result<()> {
        if format == Format::Json {
            let document = self.document();
            return write::replace_by(path, &|out| document.write(out), readers);
        }
        write::replace(path, self.form(format).as_bytes(), readers)
    }

    fn write(&self, forms: &Forms) -> Vec<String> {
        let write = |format: Format, path: &Path| {
            let written = self.write_form(format, path, Readers::Mask);
            written.map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        forms.output_files.iter().filter_map(|(format, path)| write(*format, path).err()).collect()
    }
}
