//! The files that a command is to write.

use std::collections::BTreeSet;

use super::Command;

impl Command {
    /// Returns the problem with an output file that cannot be written or is named twice. Found at the end, it would
    /// come after everything was sent.
    pub(in crate::cli) fn unwritable(&self) -> Option<String> {
        let (forms, saved) = match self {
            Self::Validate(args) => (Some(&args.forms), None),
            Self::Plan(args) => (Some(&args.output.forms), args.out.as_ref()),
            Self::Apply(args) => (Some(&args.output.forms), None),
            Self::Drift(args) => (Some(&args.output.forms), None),
            Self::Show(args) => (Some(&args.forms), None),
            Self::Undo(args) => (Some(&args.forms), Some(&args.out)),
            Self::Snapshot(args) => (None, args.out.as_ref()),
            Self::Resume(_)
            | Self::Render(_)
            | Self::Explain(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::Adopt(_)
            | Self::Blame(_)
            | Self::History(_)
            | Self::Watch(_)
            | Self::Rehearse(_)
            | Self::Sandbox(_)
            | Self::Schema(_)
            | Self::Lsp(_)
            | Self::Completion(_)
            | Self::Man(_)
            | Self::Version(_) => (None, None),
        };
        let events = self.stream().and_then(|(stream, _)| stream.events.as_ref());
        let reports = forms.into_iter().flat_map(|forms| forms.output_files.iter().map(|(_, path)| path)).chain(events);
        let mut planned_run = BTreeSet::new();
        reports.chain(saved).find_map(|path| {
            let name = path.display();
            if path.as_os_str() == "-" {
                return Some("`-` is no file to write; `-o` chooses what goes to stdout".to_owned());
            }
            if !planned_run.insert(path) {
                return Some(format!("{name} would be written twice"));
            }
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let missing = directory.filter(|directory| !directory.is_dir());
            match missing {
                Some(directory) => Some(format!("cannot write {name}: {} is no directory", directory.display())),
                None => path.is_dir().then(|| format!("cannot write {name}: it is a directory")),
            }
        })
    }
}
