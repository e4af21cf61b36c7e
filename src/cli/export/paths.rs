//! The files that exported documents go to.

use std::{collections::HashSet, path::PathBuf};

use crate::cli::args::Layout;

/// Longest name of a file, in bytes, without its end.
const LONGEST: usize = 120;

/// Chooses the files of documents, below a directory.
pub(in crate::cli) struct Paths {
    layout: Layout,
    /// The files of single documents, as file systems that know no capitals tell them.
    folded: HashSet<String>,
}

impl Paths {
    /// Returns the paths of a layout. `taken` are files that no document of its own may get.
    pub(in crate::cli) fn new<'p>(layout: Layout, taken: impl IntoIterator<Item = &'p str>) -> Self {
        Self { layout, folded: taken.into_iter().map(str::to_lowercase).collect() }
    }

    /// Returns the file of a document of a group.
    pub(in crate::cli) fn choose(&mut self, group: &[&str], name: &str) -> PathBuf {
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

    #[test]
    fn files_of_single_documents_are_told_apart_by_every_system() {
        let mut paths = Paths::new(Layout::Object, ["sw/core.yaml"]);
        let mut check = |name: &str, expected: &str| {
            assert_eq!(paths.choose(&["sw"], name), PathBuf::from(expected));
        };
        check("Core", "sw/Core-2.yaml");
        check("core", "sw/core-3.yaml");
        check("edge", "sw/edge.yaml");
    }
}
