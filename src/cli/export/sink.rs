//! Where exported documents go: stdout, new files, or files that are there already.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    additions::Additions,
    paths::Paths,
    staging::{Class, Staging, named},
};
use crate::cli::{
    args::Layout,
    view::{Ui, export::Written},
};

/// Takes documents one after the other.
pub(in crate::cli) enum Sink {
    /// Shown as they come.
    Stdout { is_first: bool },
    /// Gathered beside the place where they are to be.
    Directory(Staged),
    /// Added to the files of a directory.
    Additions(Box<Additions>),
}

/// Files that are not in their place yet.
pub(in crate::cli) struct Staged {
    out: PathBuf,
    staging: Staging,
    paths: Paths,
    /// The files, with the number of their documents.
    files: BTreeMap<PathBuf, usize>,
}

impl Sink {
    pub(in crate::cli) fn new(out: Option<&Path>, layout: Layout) -> Result<Self, String> {
        let Some(out) = out else { return Ok(Self::Stdout { is_first: true }) };
        let (staging, out) = (Staging::beside(out)?, out.to_owned());
        Ok(Self::Directory(Staged { out, staging, paths: Paths::new(layout, []), files: BTreeMap::new() }))
    }

    /// Writes a document of an object of a class.
    pub(in crate::cli) fn write(
        &mut self,
        class: &Class<'_>,
        name: &str,
        document: &str,
        ui: &Ui,
    ) -> Result<(), String> {
        match self {
            Self::Stdout { is_first } => {
                let mark = if std::mem::take(is_first) { "" } else { "---\n" };
                ui.out(&format!("{mark}{document}"));
                Ok(())
            }
            Self::Directory(staged) => staged.write(&class.place(), name, document),
            Self::Additions(additions) => additions.gather(class, name, document),
        }
    }

    /// Notes that a file declares an object of a class already.
    pub(in crate::cli) fn note_declared(&mut self, class: &Class<'_>, file: &Arc<str>) {
        if let Self::Additions(additions) = self {
            additions.note(class, file);
        }
    }

    /// Brings the documents to their places. No file that is there is replaced by another one.
    pub(in crate::cli) fn finish(self) -> Result<Written, Vec<String>> {
        match self {
            Self::Stdout { .. } => Ok(Written::Shown),
            Self::Directory(staged) => staged.finish().map(Written::New),
            Self::Additions(additions) => additions.finish().map(Written::Added),
        }
    }
}

impl Staged {
    fn write(&mut self, group: &[&str], name: &str, document: &str) -> Result<(), String> {
        let path = self.paths.choose(group, name);
        let staged = self.staging.join(&path);
        let count = self.files.entry(path).or_default();
        *count += 1;
        let mark = if *count > 1 { "---\n" } else { "" };
        let written = staged.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut file = File::options().create(true).append(true).open(&staged)?;
            file.write_all(format!("{mark}{document}").as_bytes())
        });
        written.map_err(|error| format!("cannot write {}: {error}", staged.display()))
    }

    fn finish(self) -> Result<usize, Vec<String>> {
        let (mut new, mut differing) = (Vec::new(), Vec::new());
        for path in self.files.keys() {
            let place = self.out.join(path);
            match fs::symlink_metadata(&place) {
                Err(_) => new.push(path),
                Ok(_) if is_same(&self.staging.join(path), &place) => {}
                Ok(_) => differing.push(place.display().to_string()),
            }
        }
        if !differing.is_empty() {
            let named = named(differing);
            return Err(vec![format!("{named} would be replaced: nothing is written; name another directory")]);
        }
        for path in &new {
            let place = self.out.join(path);
            let moved = place.parent().map_or(Ok(()), fs::create_dir_all);
            let moved = moved.and_then(|()| fs::rename(self.staging.join(path), &place));
            moved.map_err(|error| vec![format!("cannot write {}: {error}", place.display())])?;
        }
        Ok(new.len())
    }
}

/// Returns true if two files hold the same, without reading either of them whole.
fn is_same(one: &Path, other: &Path) -> bool {
    let open = |path: &Path| File::open(path).map(BufReader::new);
    let (Ok(one), Ok(other)) = (open(one), open(other)) else { return false };
    let (mut one, mut other) = (one.bytes(), other.bytes());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(Ok(byte)), Some(Ok(same))) if byte == same => {}
            _ => return false,
        }
    }
}
