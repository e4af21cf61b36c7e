//! Plain data that every part of the program shares: what is wanted, what is live, what differs, what to call.

pub mod author;
mod context;
mod id;
mod json;
mod live_fields;
mod path;
pub mod policy;
mod request;
pub mod selector;
mod shared_map;
mod suspension;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub use context::{
    CreateContext, has_placeholder, part_placeholder, placeholder, placeholder_in, placeholder_of, placeholder_part,
};
pub use id::{ARROW, ResourceId, stable_hash};
use json::Recent;
pub use json::{Json, KeyPool, Layout, Object, View};
pub use live_fields::LiveFields;
pub use path::{FieldPath, PathError, Row};
pub use request::{Call, Refusal, Request, Retry};
use serde_json::Value;
use shared_map::SharedKeys;
pub use shared_map::SharedMap;
use smol_str::SmolStr;
pub use suspension::Suspension;

use crate::{
    diagnostic::Diagnostic,
    source::{Located, Origin},
};

/// True if an object is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ensure {
    /// It has to be there already; a missing object is an error.
    #[default]
    Existing,
    /// It is created where it is missing.
    Present,
    /// It is removed where it is there.
    Absent,
}

/// A pointer from one document to another (`ref: name`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The document pointed at.
    pub to: ResourceId,
    /// Where the pointer was written.
    pub origin: Origin,
}

/// Declared values and the places that they were written at. Objects have few fields, and there are many objects: a
/// sorted list takes a fraction of the memory of a tree.
pub type Fields = SharedMap<FieldPath, Located<Json>>;

/// The fields that find an object and the places that they were written at, by names that its kind chooses.
pub type Locator = SharedMap<Arc<str>, Located<Json>>;

/// Labels by their keys. Objects with the same ones share them.
pub type Labels = Arc<BTreeMap<Arc<str>, Arc<str>>>;

/// The wanted state of one object.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Its address.
    pub id: ResourceId,
    /// The target that holds it, by its name in `reconcile.yaml`.
    pub target: Arc<str>,
    /// True if it is to be there.
    pub ensure: Ensure,
    /// The fields that find it: ids, natural keys, the business it lies in.
    pub locator: Locator,
    /// Documents that have to be found, or made, before this one.
    pub references: Vec<Reference>,
    /// The declared fields. Nothing else is managed.
    pub fields: Fields,
    /// `metadata.labels`, for selectors.
    pub labels: Labels,
    /// Where the document begins.
    pub origin: Origin,
    /// True if it is part of the run. Others are only read, for those that refer to them.
    pub selected: bool,
    /// It is never removed, whatever else says so.
    pub protect: bool,
    /// True if objects of its kind that no document declares beside it are removed: all documents of its kind have to
    /// be known.
    pub exclusive: bool,
    /// The policies for differences.
    pub policies: policy::Policies,
    /// The time for which it is not written; `None` if its document says nothing.
    pub suspended: Option<Arc<Suspension>>,
}

impl Desired {
    /// Shares names and labels with other objects that were given the same `common` ones, and gives back the memory
    /// that its lists took for more than they came to hold. There may be many objects.
    pub fn share(&mut self, common: &mut Common) {
        self.locator.share(&mut common.locators);
        self.fields.share(&mut common.fields);
        self.fields.iter_mut().for_each(|(_, located)| common.values.share(&mut located.value));
        match common.labels.get(&self.labels) {
            Some(known) => self.labels = known.clone(),
            None => _ = common.labels.insert(self.labels.clone()),
        }
        self.references.shrink_to_fit();
    }

    /// Returns a value of the locator.
    pub fn locate(&self, name: &str) -> Option<&Json> {
        self.locator.get(name).map(|located| &located.value)
    }

    /// Returns a declared field.
    pub fn field(&self, path: &str) -> Option<&Json> {
        self.fields.get(path).map(|located| &located.value)
    }
}

/// Names and labels that many objects have in common.
#[derive(Debug, Default)]
pub struct Common {
    fields: SharedKeys<FieldPath>,
    locators: SharedKeys<Arc<str>>,
    labels: HashSet<Labels>,
    values: Recent,
}

/// The state of one object as the platform returned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The ids that calls about it need; the kind chooses the shape.
    pub handle: Json,
    /// How people tell it apart, such as `bk_switch #42`. A short one takes no memory of its own.
    pub label: SmolStr,
    /// The fields that were read.
    pub fields: LiveFields,
    /// Labels of the live objects that it is a part or an end of: they cannot be removed before it.
    pub depends_on: Box<[SmolStr]>,
    /// Most objects have none.
    relations: Option<Box<Relations>>,
}

/// What few live objects have to do with others.
#[derive(Debug, Clone, PartialEq)]
pub struct Relations {
    /// Unique values that its document wants for it and that other live objects hold.
    pub key_conflicts: Vec<KeyConflict>,
    /// Names of its ends for people, by `source` and `target`, if they were read. No change rests on them.
    pub end_names: BTreeMap<&'static str, String>,
    /// Labels of live objects that hang on it, where its removal was asked for.
    pub holds: Vec<String>,
    /// Why its removal is refused, where it was asked for.
    pub undeletable: Option<Box<Undeletable>>,
}

impl Relations {
    const NONE: Self =
        Self { key_conflicts: Vec::new(), end_names: BTreeMap::new(), holds: Vec::new(), undeletable: None };
}

/// A reason why a live object is not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeletable {
    /// The reason, such as `3 hosts lie in it`.
    pub reason: String,
    /// A way to mend it.
    pub hint: &'static str,
}

/// A live object that holds a unique value which another one is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyConflict {
    /// The value in words, as in `Kind::unique_keys`.
    pub claim: String,
    /// How people tell the holder apart, such as `bk_switch #42`.
    pub holder: String,
}

impl Live {
    /// Returns a live object with nothing known about its relations to others.
    pub fn new(handle: impl Into<Json>, label: impl Into<SmolStr>, fields: LiveFields) -> Self {
        Self { handle: handle.into(), label: label.into(), fields, depends_on: Box::default(), relations: None }
    }

    /// Returns it as a part or an end of others, by their labels.
    #[must_use]
    pub fn depending_on<L: Into<SmolStr>>(self, labels: impl IntoIterator<Item = L>) -> Self {
        Self { depends_on: labels.into_iter().map(Into::into).collect(), ..self }
    }

    /// Returns what it has to do with others.
    pub fn relations(&self) -> &Relations {
        self.relations.as_deref().unwrap_or(const { &Relations::NONE })
    }

    /// Changes what it has to do with others.
    pub fn relate(&mut self, change: impl FnOnce(&mut Relations)) {
        let mut relations = self.relations.take().map_or(Relations::NONE, |relations| *relations);
        change(&mut relations);
        self.relations = (relations != Relations::NONE).then(|| Box::new(relations));
    }

    /// Returns it with something changed of what it has to do with others.
    #[must_use]
    pub fn related(mut self, change: impl FnOnce(&mut Relations)) -> Self {
        self.relate(change);
        self
    }

    /// Returns a field that was read, null where it was not.
    pub fn field(&self, path: &str) -> &Json {
        self.fields.get(path).unwrap_or(const { &Json::NULL })
    }
}

/// The result of observing one declared object.
#[derive(Debug, Clone, PartialEq)]
pub enum ObservedState {
    /// It is there.
    Found(Live),
    /// The platform answered, and it is not there.
    Absent {
        /// Names that lie near, for the hint.
        nearest: Vec<String>,
        /// Unique values that its document wants for it and that live objects hold.
        key_conflicts: Vec<KeyConflict>,
        /// The surroundings that its creation needs.
        context: CreateContext,
    },
    /// Nothing can be said before this other object is as declared.
    Needs(ResourceId),
    /// Several objects fit, or what fits is wanted by another document too.
    Ambiguous(Box<Diagnostic>),
    /// It cannot be read as declared: the model, the business or a reference is wrong.
    Impossible(Box<Diagnostic>),
    /// A read failed: nothing is known.
    Unknown(String),
}

/// An action on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is made.
    Create,
    /// Fields of it change.
    Update,
    /// It is removed.
    Delete,
    /// It is brought into line with the object that it follows.
    Sync,
}

impl ObservedState {
    /// Returns the sight of an object that is not there, with nothing else known.
    pub fn absent() -> Self {
        Self::Absent { nearest: Vec::new(), key_conflicts: Vec::new(), context: CreateContext::default() }
    }
}

impl Action {
    /// Returns its sign in a plan: `+`, `~`, `-` or `>`.
    pub fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Delete => '-',
            Self::Sync => '>',
        }
    }

    /// All actions.
    pub const ALL: &[Self] = &[Self::Create, Self::Update, Self::Delete, Self::Sync];

    /// Returns its name in reports: `create`, `update`, `delete` or `sync`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Sync => "sync",
        }
    }
}

/// One field of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field, such as `bk_inst_name` or `bind_info[2].port`; rows go by their ids.
    pub path: FieldPath,
    /// The live value as it is stored; `None` if the field comes to be.
    pub from: Option<Value>,
    /// The desired value as it is sent; `None` if the field goes.
    pub to: Option<Value>,
    /// The two values as people read them; `None` if they are read as they are stored.
    pub display: Option<Display>,
    /// The place in a manifest that causes it.
    pub because: Origin,
}

/// The values of a changed field as people read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    /// The sort of text.
    pub kind: DisplayKind,
    /// The live value; `None` if it is read as it is stored.
    pub from: Option<String>,
    /// The desired value; `None` if it is read as it is stored.
    pub to: Option<String>,
}

/// The sort of text that stands for a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisplayKind {
    /// The names of options; what is stored are their ids.
    Option,
    /// A time in the target's zone.
    Time,
    /// The words that manifests have for codes.
    Word,
    /// A row of a list in one line.
    Row,
}

impl DisplayKind {
    /// All sorts.
    pub const ALL: &[Self] = &[Self::Option, Self::Time, Self::Word, Self::Row];

    /// Returns its name in reports, such as `option`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Time => "time",
            Self::Word => "word",
            Self::Row => "row",
        }
    }
}

impl FieldChange {
    /// Returns a text that is the same for the same change of the same field of the same object.
    pub fn fingerprint(&self, id: &ResourceId) -> String {
        format!("{id} {} {:?} {:?}", self.path, self.from, self.to)
    }
}

/// A field of a live object that is to be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownField {
    /// The field.
    pub path: FieldPath,
    /// Its value as it is stored.
    pub value: Value,
    /// The value as people read it; `None` if it is read as it is stored.
    pub display: Option<String>,
}

impl KnownField {
    /// Returns a field that is read as it is stored.
    pub fn new(path: FieldPath, value: Value) -> Self {
        Self { path, value, display: None }
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The object.
    pub id: ResourceId,
    /// The target that holds it.
    pub target: Arc<str>,
    /// How people tell the live object apart, such as `bk_switch #42`; empty for a create.
    pub label: String,
    /// The ids by which calls name the live object; null for a create.
    pub handle: Value,
    /// Its action.
    pub action: Action,
    /// No document spells it out: it goes because none declares it.
    pub implicit: bool,
    /// Its fields that change, in the order of the manifest.
    pub fields: Vec<FieldChange>,
    /// Known live fields of a removed object, the essential ones first; empty for other actions.
    pub before: Vec<KnownField>,
    /// The number of things that feel the change, by their units, such as `modules`; `None` if it is unknown.
    pub impact: BTreeMap<&'static str, Option<u64>>,
    /// Manual steps once the change is made, such as a sync that the platform does not make by itself.
    pub notes: Vec<String>,
    /// Remarks on single fields, by their paths.
    pub field_notes: BTreeMap<FieldPath, String>,
    /// The wave of a roll-out in which it is synced; `None` for other actions.
    pub wave: Option<Wave>,
    /// Changes that have to be applied before this one.
    pub after: Vec<ResourceId>,
    /// Digest of what its call rests on: the live object as far as it matters to it, or its absence.
    pub precondition: Arc<str>,
    /// Where its document begins.
    pub origin: Origin,
}

/// A wave of a roll-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    /// Its number, from 1 on.
    pub number: usize,
    /// The number of waves.
    pub of: usize,
}

/// The result of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Sent, and read back as wanted.
    Applied,
    /// Not sent: it already was as planned.
    AlreadyTrue,
    /// Not sent: the live object is no longer the one that the change was planned on.
    Stale,
    /// Sent, and read back as an equivalent of what was sent.
    Normalised(Vec<FieldChange>),
    /// Sent and accepted, but these fields still have the old value.
    Dropped(Vec<FieldChange>),
    /// Sent and accepted, but these fields have somebody else's value.
    Overtaken(Vec<FieldChange>),
    /// Sent and accepted, but afterwards the object is not there, still there, or cannot be kept as declared.
    NotApplied(String),
    /// The platform refused it.
    Refused(Refusal),
    /// Sent without an answer, and looking it up did not tell.
    Unknown(String),
    /// Not sent, because something it needs did not come about.
    Skipped(ResourceId),
    /// Not sent, because nothing answers at its target.
    Unsent(String),
    /// Not sent, because the run was interrupted.
    Interrupted,
    /// Not sent, because it is left to people: the access or the version has no operation for it.
    Manual(String),
}

impl Outcome {
    /// Returns its name in reports, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyTrue => "already_true",
            Self::Stale => "stale",
            Self::Normalised(_) => "normalised",
            Self::Dropped(_) => "dropped",
            Self::Overtaken(_) => "overtaken",
            Self::NotApplied(_) => "not_applied",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
            Self::Skipped(_) => "skipped",
            Self::Unsent(_) => "unsent",
            Self::Interrupted => "interrupted",
            Self::Manual(_) => "manual",
        }
    }

    /// Returns true if the object is now as declared.
    pub fn converged(&self) -> bool {
        matches!(self, Self::Applied | Self::AlreadyTrue | Self::Normalised(_))
    }
}
