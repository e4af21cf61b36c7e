//! Documents that are added to the files of a directory: gathered first, and written once all is read.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    neighbours::{Neighbours, Sort},
    paths::Paths,
    staging::{Class, Staging, named},
};
use crate::{
    cli::{args::Layout, rewrite, view::export::AddedTo},
    files::write::{self, Readers},
    manifest::{
        self,
        append::{Joint, joint},
    },
};

/// The file with the gathered documents.
const GATHERED: &str = "documents";

/// Documents that no file declares yet.
pub(in crate::cli) struct Additions {
    directory: PathBuf,
    overlays: Vec<PathBuf>,
    /// The manifests by their paths, with their texts.
    texts: BTreeMap<Arc<str>, Arc<str>>,
    neighbours: Neighbours,
    paths: Paths,
    groups: Vec<Group>,
    numbers: HashMap<(Sort, Vec<String>), usize>,
    gathered: BufWriter<File>,
    length: u64,
    staging: Staging,
}

/// Documents of one group, all of which go beside the same neighbours.
struct Group {
    sort: Sort,
    names: Vec<String>,
    /// The directories and the file that the layout has for it.
    place: Vec<String>,
    documents: Vec<Gathered>,
}

/// A gathered document.
struct Gathered {
    name: Box<str>,
    start: u64,
    length: u64,
}

/// How a file gets documents.
enum Destination {
    /// It is not there yet.
    New,
    /// Behind its last document.
    Existing(Joint),
}

impl Additions {
    /// Starts with the manifests of a directory and their texts.
    pub(in crate::cli) fn new(
        directory: &Path,
        overlays: &[PathBuf],
        texts: BTreeMap<Arc<str>, Arc<str>>,
        layout: Layout,
    ) -> Result<Self, String> {
        let staging = Staging::beside(directory)?;
        let gathered = File::create(staging.join(GATHERED));
        let gathered = gathered.map_err(|error| format!("cannot write to {}: {error}", directory.display()))?;
        let below =
            |path: &Arc<str>| Some(Path::new(&**path).strip_prefix(plain(directory)).ok()?.to_str()?.to_owned());
        let taken: Vec<String> = texts.keys().filter_map(below).collect();
        Ok(Self {
            directory: directory.to_owned(),
            overlays: overlays.to_vec(),
            neighbours: Neighbours::default(),
            paths: Paths::new(layout, taken.iter().map(String::as_str)),
            texts,
            groups: Vec::new(),
            numbers: HashMap::new(),
            gathered: BufWriter::new(gathered),
            length: 0,
            staging,
        })
    }

    /// Notes that a file declares an object of a class already.
    pub(super) fn note(&mut self, class: &Class<'_>, file: &Arc<str>) {
        if self.texts.contains_key(file) {
            self.neighbours.note(&class.sort, class.group, file);
        }
    }

    /// Takes a document of an object of a class.
    pub(super) fn gather(&mut self, class: &Class<'_>, name: &str, document: &str) -> Result<(), String> {
        let (groups, key) = (&mut self.groups, (class.sort.clone(), class.group.to_vec()));
        let number = *self.numbers.entry(key).or_insert_with(|| {
            let place = class.place().into_iter().map(str::to_owned).collect();
            groups.push(Group { sort: class.sort.clone(), names: class.group.to_vec(), place, documents: Vec::new() });
            groups.len() - 1
        });
        let written = self.gathered.write_all(document.as_bytes());
        written.map_err(|error| format!("cannot write to {}: {error}", self.directory.display()))?;
        let (start, length) = (self.length, document.len() as u64);
        self.length += length;
        self.groups[number].documents.push(Gathered { name: name.into(), start, length });
        Ok(())
    }

    /// Adds the documents to files. All is checked before the first file is written.
    pub(super) fn finish(mut self) -> Result<Vec<AddedTo>, Vec<String>> {
        let failed = |error: io::Error| vec![format!("cannot write to {}: {error}", self.directory.display())];
        self.gathered.flush().map_err(failed)?;
        let (mut files, mut problems, mut replaced) =
            (BTreeMap::<String, Vec<Gathered>>::new(), Vec::new(), Vec::new());
        for group in std::mem::take(&mut self.groups) {
            let beside = self.neighbours.file(&group.sort, &group.names);
            let place: Vec<&str> = group.place.iter().map(String::as_str).collect();
            for document in group.documents {
                let path = beside.as_ref().map_or_else(
                    || shown(&self.directory.join(self.paths.choose(&place, &document.name))),
                    ToString::to_string,
                );
                files.entry(path).or_default().push(document);
            }
        }
        let mut destinations = Vec::with_capacity(files.len());
        for (path, documents) in files {
            match self.destination(&path) {
                Ok(Some(destination)) => destinations.push((path, documents, destination)),
                Ok(None) => replaced.push(path),
                Err(problem) => problems.push(problem),
            }
        }
        if !replaced.is_empty() {
            problems.push(format!("{} would be replaced, which is no manifest of this directory", named(replaced)));
        }
        if !problems.is_empty() {
            problems.push("nothing is written".to_owned());
            return Err(problems);
        }
        let mut added = Vec::with_capacity(destinations.len());
        for (path, documents, destination) in destinations {
            self.write(&path, &documents, &destination).map_err(|problem| vec![problem])?;
            let is_new = matches!(destination, Destination::New);
            added.push(AddedTo { path, documents: documents.len(), is_new });
        }
        Ok(added)
    }

    /// Returns how a file gets documents; `None` if it is there and no manifest.
    fn destination(&self, path: &str) -> Result<Option<Destination>, String> {
        if let Some(text) = self.texts.get(path) {
            rewrite::as_it_was(Path::new(path), text)?;
            let joint = joint(text).ok_or_else(|| format!("no document can be added behind the last one of {path}"));
            return Ok(Some(Destination::Existing(joint?)));
        }
        if fs::symlink_metadata(path).is_ok() {
            return Ok(None);
        }
        if manifest::is_left_out(&self.directory, Path::new(path), &self.overlays) {
            return Err(format!("{path} would not be read as a manifest: an ignore file or an overlay leaves it out"));
        }
        Ok(Some(Destination::New))
    }

    fn write(&self, path: &str, documents: &[Gathered], destination: &Destination) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot write {path}: {error}");
        let beginning = Joint { text: String::new(), line_end: "\n" };
        let (place, before, joint) = match destination {
            Destination::New => {
                let place = PathBuf::from(path);
                place.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
                (place, Vec::new(), &beginning)
            }
            Destination::Existing(joint) => {
                let text = self.texts.get(path).map(|text| &**text).unwrap_or_default();
                let (place, before) = rewrite::as_it_was(Path::new(path), text)?;
                (place, before, joint)
            }
        };
        let gathered = File::open(self.staging.join(GATHERED)).map_err(failed)?;
        let text = |out: &mut dyn Write| -> io::Result<()> {
            let mut out = BufWriter::new(out);
            out.write_all(&before)?;
            out.write_all(joint.text.as_bytes())?;
            for (number, document) in documents.iter().enumerate() {
                let mut text = if number > 0 { Joint::mark("\n") } else { String::new() };
                (&gathered).seek(SeekFrom::Start(document.start))?;
                (&gathered).take(document.length).read_to_string(&mut text)?;
                out.write_all(text.replace('\n', joint.line_end).as_bytes())?;
            }
            out.flush()
        };
        write::replace_by(&place, &text, Readers::Mask).map_err(failed)
    }
}

/// Returns a path without what says nothing, as manifests are called.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

fn shown(path: &Path) -> String {
    plain(path).display().to_string()
}
