//! Where exported documents go: stdout, or files that appear once all is read.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use crate::cli::{args::Layout, view::Ui};

/// Longest name of a file, in bytes, without its end.
const LONGEST: usize = 120;
/// Most files that an error names.
const NAMED: usize = 5;

/// Takes documents one after the other.
pub(in crate::cli) enum Sink {
    /// Shown as they come.
    Stdout { is_first: bool },
    /// Gathered beside the place where they are to be.
    Directory(Staged),
}

/// Files that are not in their place yet. What is left of them goes when this is dropped.
pub(in crate::cli) struct Staged {
    out: PathBuf,
    staging: PathBuf,
    layout: Layout,
    /// The files by their places, as file systems that know no capitals tell them.
    files: BTreeMap<PathBuf, usize>,
    folded: HashSet<String>,
}

impl Sink {
    pub(in crate::cli) fn new(out: Option<&Path>, layout: Layout) -> Result<Self, String> {
        let Some(out) = out else { return Ok(Self::Stdout { is_first: true }) };
        // Beside the files, so that these are only moved; directories with a dot are not read as manifests.
        let staging = out.join(format!(".reconcile-export-{}", std::process::id()));
        fs::create_dir_all(&staging).map_err(|error| format!("cannot write to {}: {error}", out.display()))?;
        let (out, files) = (out.to_owned(), BTreeMap::new());
        Ok(Self::Directory(Staged { out, staging, layout, files, folded: HashSet::new() }))
    }

    /// Writes a document of a group.
    pub(in crate::cli) fn write(&mut self, group: &[&str], name: &str, document: &str, ui: &Ui) -> Result<(), String> {
        match self {
            Self::Stdout { is_first } => {
                let mark = if std::mem::take(is_first) { "" } else { "---\n" };
                ui.out(&format!("{mark}{document}"));
                Ok(())
            }
            Self::Directory(staged) => staged.write(group, name, document),
        }
    }

    /// Moves the files to their places and returns how many are new; `None` for stdout. Nothing is moved where a file
    /// that is there differs.
    pub(in crate::cli) fn finish(self) -> Result<Option<usize>, Vec<String>> {
        match self {
            Self::Stdout { .. } => Ok(None),
            Self::Directory(staged) => staged.finish().map(Some),
        }
    }
}

impl Staged {
    fn write(&mut self, group: &[&str], name: &str, document: &str) -> Result<(), String> {
        let path = self.place(group, name);
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

    /// Returns the file of a document, below the directory.
    fn place(&mut self, group: &[&str], name: &str) -> PathBuf {
        let directories = group.iter().map(|part| file_name(part));
        match self.layout {
            Layout::One => PathBuf::from("export.yaml"),
            Layout::Group => {
                let mut path: PathBuf = directories.collect();
                path.as_mut_os_string().push(".yaml");
                path
            }
            Layout::Object => {
                let directory: PathBuf = directories.collect();
                let base = file_name(name);
                let named = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
                // Names that only differ in what file systems do not tell apart.
                let mut paths = named.map(|name| directory.join(format!("{name}.yaml")));
                let path = paths.find(|path| self.folded.insert(path.to_string_lossy().to_lowercase()));
                path.unwrap_or_else(|| directory.join(format!("{base}.yaml")))
            }
        }
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
            let more = differing.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} others") } else { String::new() };
            differing.truncate(NAMED);
            let named = differing.join(", ");
            return Err(vec![format!("{named}{more} would be replaced: nothing is written; name another directory")]);
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

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
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

/// Returns a text as the name of a file that every system takes.
fn file_name(text: &str) -> String {
    let is_odd = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    let name: String = text.chars().map(|letter| if is_odd(letter) { '-' } else { letter }).collect();
    let mut name = name.trim_matches([' ', '.']).to_owned();
    while name.len() > LONGEST {
        name.pop();
    }
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_that_every_system_takes() {
        let check = |text: &str, expected: &str| assert_eq!(file_name(text), expected);
        check("core-sw-1", "core-sw-1");
        check("深圳/机柜 08", "深圳-机柜 08");
        check("../..", "-");
        check("..", "_");
        check("", "_");
        check("a:b?\n", "a-b--");
        assert_eq!(file_name(&"机".repeat(100)).len(), 120);
    }
}
