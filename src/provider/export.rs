//! Live objects as documents: what a kind lists of a scope, page by page.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use super::{Envelope, Facts, Kind, Step};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Labels, Live, ObservedState, Request, stable_hash},
    source::Sources,
    yaml::{
        self,
        write::{self, Entry, Tree},
    },
};

/// A scope whose objects are to be written as documents.
pub struct ExportScope<'a> {
    /// The scope, written like a document: its locator says where it lies.
    pub scope: &'a Desired,
    /// The fields to declare; `None` for all that can be written and have a value.
    pub fields: Option<&'a [String]>,
    /// What is declared beside the fields, of [`Kind::export_parts`].
    pub parts: &'a [String],
    /// Values that fields have to have, such as `status` and `In use`, as documents declare them.
    pub conditions: &'a [(String, String)],
    /// Returns the name of the document that declares an instance of a model, by its id.
    pub name_of: &'a dyn Fn(&str, i64) -> Option<String>,
    /// Returns true if a document declares the object with this [`Kind::identity`] already; `None` if none is declared.
    pub is_declared: Option<&'a dyn Fn(&str) -> bool>,
}

impl ExportScope<'_> {
    /// Returns true if a part is to be declared beside the fields.
    pub fn has_part(&self, part: &str) -> bool {
        self.parts.iter().any(|asked| asked == part)
    }

    /// Returns true for an object that a document declares already, and notes in which group it lies.
    pub fn skips<K: Kind + ?Sized>(
        &self,
        kind: &K,
        live: &Live,
        group: &[String],
        declared: &mut Vec<DeclaredObject>,
    ) -> bool {
        let Some(is_declared) = self.is_declared else { return false };
        let identity = kind.identity(self.scope, live);
        let skips = is_declared(&identity);
        // Documents of instances tell their model themselves.
        if skips && kind.instance(self.scope, live).is_none() {
            declared.push(DeclaredObject { identity, group: group.to_vec() });
        }
        skips
    }
}

impl ExportedObject {
    /// Declares a key of the spec beside its fields.
    pub fn declare(&mut self, key: &str, value: Tree) {
        if let Tree::Map(entries) = &mut self.spec {
            entries.push(Entry::new(key, value));
        }
    }
}

/// A live object of a scope that a document declares already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredObject {
    /// Its [`Kind::identity`].
    pub identity: String,
    /// Names of the group that it lies in, as in [`ExportedObject::group`].
    pub group: Vec<String>,
}

/// How far a scope was listed. The default is its beginning.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    /// The number of the part, such as a business.
    pub part: usize,
    /// The last id that was listed in that part.
    pub after: i64,
    /// The number of rows that were listed in that part, where pages go by numbers.
    pub listed: usize,
    /// The result of the first reading of that part, where it is read twice.
    pub first: Option<Arc<FirstReading>>,
}

/// The names of a list, to tell which of them repeat.
#[derive(Debug, Clone, Default)]
pub struct ListedNames {
    /// Digests of the names: there may be very many, and a name that is taken for another is only not used.
    all: HashSet<u64>,
    repeated: HashSet<u64>,
}

/// The result of reading a list for its names alone, before its objects are written: a name that repeats further behind
/// tells none of them.
#[derive(Debug, Clone, Default)]
pub struct FirstReading {
    /// The names.
    pub names: ListedNames,
    /// The id of the object that the command names, and true if it names it by that id.
    pub picked: Option<(i64, bool)>,
    /// True if the list was read to its end.
    pub is_whole: bool,
}

impl ListedNames {
    /// Takes in a name.
    pub fn add(&mut self, name: &str) {
        let name = stable_hash(name);
        if !self.all.insert(name) {
            self.repeated.insert(name);
        }
    }

    /// Returns true if only one object has a name.
    pub fn is_unique(&self, name: &str) -> bool {
        let name = stable_hash(name);
        self.all.contains(&name) && !self.repeated.contains(&name)
    }
}

/// Some objects of a scope, in the order of their ids.
#[derive(Debug, Default)]
pub struct ExportPage {
    /// The objects that no document declares.
    pub objects: Vec<ExportedObject>,
    /// Those that documents declare, but for instances of models.
    pub declared: Vec<DeclaredObject>,
    /// Where the next page begins; `None` behind the last one.
    pub next: Option<Cursor>,
    /// The reads that no other page needs.
    pub read: Vec<Request>,
}

/// A live object as a document.
#[derive(Debug, Clone)]
pub struct ExportedObject {
    /// Its own name, which becomes that of the document where that is free.
    pub title: String,
    /// What it is told from others of its kind by, such as its id. A part of an object for each row that it declares.
    pub handles: Vec<String>,
    /// The model and the id of an instance, by which others refer to it.
    pub instance: Option<(String, i64)>,
    /// Names of the group that it lies in, the widest first, such as a business and a set.
    pub group: Vec<String>,
    /// How people tell it apart, such as `bk_switch #17`.
    pub note: String,
    /// The `spec` of its document.
    pub spec: Tree,
    /// Fields that cannot be declared as they are, each with the reason.
    pub left: Vec<(String, String)>,
}

/// The result of listing a page: the page, or why the scope cannot be listed.
pub type ExportResult = Result<ExportPage, ObservedState>;

/// Returns the step that a kind's listing came to. Its error is nothing while answers are missing.
pub fn export_step(ask: Vec<Request>, page: Result<ExportPage, Option<ObservedState>>) -> Step<ExportResult> {
    match page {
        Err(Some(why)) => Step::Done(Err(why)),
        Ok(page) if ask.is_empty() => Step::Done(Ok(page)),
        Ok(_) | Err(None) => Step::Ask(ask),
    }
}

/// Returns a value as a document holds it.
pub fn tree_of(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::null(),
        Value::Bool(_) | Value::Number(_) => Tree::Plain(value.to_string()),
        Value::String(text) => Tree::text(text),
        Value::Array(items) => Tree::List(items.iter().map(tree_of).collect()),
        Value::Object(entries) => {
            Tree::Flow(entries.iter().map(|(key, value)| (key.clone(), tree_of(value))).collect())
        }
    }
}

/// Where an object is found and what is declared of it, as far as that was tried.
#[derive(Debug)]
pub struct Draft<'a> {
    /// Ways to find the object, the best one first: the first that its decoder takes is used.
    pub heads: Vec<Vec<Entry>>,
    /// The key of the fields, such as `fields`.
    pub key: &'static str,
    /// The fields.
    pub fields: Vec<Entry>,
    /// The live object.
    pub live: &'a Live,
}

impl Draft<'_> {
    /// Returns the `spec` and the fields that are left out of it, each with the reason: reads the text of the spec as a
    /// manifest would be read, and compares what it declares with the live object. So nothing is written that a plan would
    /// change.
    pub fn spec<K: Kind + ?Sized>(self, kind: &K, facts: &Facts) -> (Tree, Vec<(String, String)>) {
        let spec = |head: &[Entry], fields: Vec<Entry>| {
            let fields = Entry::new(self.key, Tree::Map(fields));
            head.iter().cloned().chain([fields]).collect::<Vec<_>>()
        };
        let is_whole = |head: &[Entry], fields: &[Entry]| problem(kind, &spec(head, fields.to_vec()), self.live, facts);
        let (first, others) = (&self.heads[0], &self.heads[1..]);
        if is_whole(first, &self.fields).is_none() {
            return (Tree::Map(spec(first, self.fields)), Vec::new());
        }
        let head = std::iter::once(first).chain(others).find(|head| is_whole(head, &[]).is_none());
        let head = head.or(others.last()).unwrap_or(first);
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        for field in self.fields {
            match is_whole(head, std::slice::from_ref(&field)) {
                None => kept.push(field),
                Some(why) => left.push((field.key, why)),
            }
        }
        (Tree::Map(spec(head, kept)), left)
    }
}

/// Returns why a spec is no document of a live object whose plan is empty; `None` if it is one.
fn problem<K: Kind + ?Sized>(kind: &K, spec: &[Entry], live: &Live, facts: &Facts) -> Option<String> {
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let text = write::write(spec, 0);
    let file = sources.add("export", text.as_str());
    let documents = yaml::load(file, &text, &mut diagnostics);
    let document = documents.first()?;
    let envelope = Envelope {
        name: "export".into(),
        target: "export".into(),
        labels: Labels::default(),
        origin: document.origin.clone(),
    };
    let decoded = kind.decode(&envelope, &document.root, &mut diagnostics);
    let said = |diagnostics: &[Diagnostic]| {
        diagnostics.iter().find(|diagnostic| diagnostic.is_error()).map(|diagnostic| diagnostic.message.clone())
    };
    let Some(desired) = decoded.first() else { return said(&diagnostics) };
    match kind.compare(desired, Some(live), facts) {
        Ok(changes) if changes.is_empty() => None,
        Ok(_) => Some("the server keeps it in a form that no document can declare".to_owned()),
        Err(problems) => said(&problems),
    }
}
