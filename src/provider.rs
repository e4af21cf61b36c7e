//! The interfaces of a platform and a kind. Neither does any I/O: both say what to ask and what an answer means.

mod author;
mod catalog;
pub mod codes;
mod events;
mod export;
mod facts;
mod impact;
mod import;
mod platform;
mod rename;
pub mod reversal;
mod rollout;
pub mod scope;
pub mod settings;
mod step;
mod suspend;
mod wire;

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

pub use author::Authors;
pub use catalog::{Catalog, FieldDefinition, FieldKind, FieldOption, FieldTable};
pub use events::{Event, EventBatch, EventSchema, Stream};
pub use export::{
    Cursor, DeclaredObject, Draft, ExportPage, ExportResult, ExportScope, ExportedObject, FirstReading, ListedNames,
    export_step, tree_of,
};
pub use facts::{Facts, Freshness};
pub use impact::{Impact, ImpactSet};
pub use import::{CellProblem, ImportResult, ImportScope, Imported, LinkRow, SheetRow};
pub use platform::Platform;
pub use rename::NameKeys;
pub use reversal::Reversal;
pub use rollout::{Rollout, RolloutPace, SyncNeed, SyncProgress};
pub use settings::{Environment, GivenSettings, ScopeKey, SettingSpec, SettingValues, SettingsProblem};
pub use step::Step;
pub use suspend::{SUSPENSION, suspension};
pub use wire::{
    ConcurrencyGroup, CredentialStatus, Endpoint, LockedKey, Login, LoginResult, Method, Prepared, Reply,
    RequestContext,
};

use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Fields, Json, KnownField, Labels,
        Live, Locator, ObservedState, Refusal, Request, ResourceId, policy::Policies,
    },
    source::Origin,
    yaml::{Form, Node, write::Tree},
};

/// The surroundings of the document that a kind's decoder reads.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// The name of the target.
    pub target: Arc<str>,
    /// `metadata.labels`.
    pub labels: Labels,
    /// Where the document begins.
    pub origin: Origin,
}

impl Envelope {
    /// Returns the desired object of a document with nothing in it yet.
    pub fn desired(&self, kind: &'static str, ensure: Ensure) -> Desired {
        Desired {
            id: ResourceId::new(kind, self.name.clone()),
            target: self.target.clone(),
            ensure,
            locator: Locator::new(),
            references: Vec::new(),
            fields: Fields::new(),
            labels: self.labels.clone(),
            origin: self.origin.clone(),
            selected: true,
            protect: false,
            exclusive: false,
            policies: Policies::default(),
            suspended: None,
        }
    }
}

/// The conclusions of a kind from the answers so far.
#[derive(Debug, Default)]
pub struct Observation {
    /// Reads that are missing. While there are any, the rest may still change.
    pub ask: Vec<Request>,
    /// The known objects. There may be many: what is known of one is moved around without being copied.
    pub known: Vec<(ResourceId, Box<ObservedState>)>,
    /// Live objects that no document means and that a document asks to remove.
    pub surplus: Vec<(Desired, Live)>,
    /// Parts of roll-outs: objects that follow one of a document by a sync. In the order in which they are synced.
    pub parts: Vec<(Desired, ObservedState)>,
    /// Remarks about documents beside it.
    pub remarks: Vec<Diagnostic>,
}

impl Observation {
    /// Reads an answer from the facts, and notes the request where it was not asked yet.
    pub fn read<'f>(&mut self, request: Request, facts: &'f Facts) -> Read<'f> {
        match facts.answer(&request) {
            Some(Ok(value)) => Read::Value(value),
            Some(Err(refusal)) => Read::Failed(refusal),
            None => {
                self.ask.push(request);
                Read::Pending
            }
        }
    }

    /// Returns a step that asks for what is missing; with nothing missing, the observation.
    pub fn step(mut self) -> Step<Self> {
        Step::new(std::mem::take(&mut self.ask), self)
    }

    /// Notes what is known of an object.
    pub fn know(&mut self, id: &ResourceId, observed: ObservedState) {
        self.known.push((id.clone(), Box::new(observed)));
    }

    /// Notes what is known of an object, if anything is.
    pub fn know_if(&mut self, id: &ResourceId, observed: Option<ObservedState>) {
        observed.into_iter().for_each(|observed| self.know(id, observed));
    }

    /// Notes that a document was checked, and what is wrong with it.
    pub fn checked(&mut self, id: &ResourceId, problems: Vec<Diagnostic>) {
        self.know(id, ObservedState::absent());
        self.remarks.extend(problems);
    }
}

/// The state of one read.
#[derive(Debug, Clone, Copy)]
pub enum Read<'f> {
    /// Not asked yet.
    Pending,
    /// Asked in vain: what depends on it is unknown.
    Failed(&'f Refusal),
    /// The answer.
    Value(&'f Json),
}

/// An object that changes, with all that its calls may rest on.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// The desired object.
    pub desired: &'a Desired,
    /// The live object; `None` for a create.
    pub live: Option<&'a Live>,
    /// The surroundings that a create needs; empty for an object that is there.
    pub context: &'a CreateContext,
    /// The change.
    pub change: &'a Change,
}

impl<'a> Planned<'a> {
    /// Returns the change without what the plan adds to it.
    pub fn proposed(&self) -> ProposedChange<'a> {
        let Self { desired, live, context, change } = *self;
        ProposedChange { desired, live, context, action: change.action, fields: &change.fields }
    }
}

/// A change that is about to be planned.
#[derive(Debug, Clone, Copy)]
pub struct ProposedChange<'a> {
    /// The desired object.
    pub desired: &'a Desired,
    /// The live object; `None` for a create.
    pub live: Option<&'a Live>,
    /// The surroundings that a create needs.
    pub context: &'a CreateContext,
    /// Its action.
    pub action: Action,
    /// Its fields that change.
    pub fields: &'a [FieldChange],
}

/// A kind of object on a platform.
pub trait Kind: Sync {
    /// Returns its name as manifests spell it, such as `Instance`.
    fn name(&self) -> &'static str;

    /// Returns the keys of its `spec` without those that all kinds share: the table that [`Kind::decode`] reads by.
    fn spec_form(&self) -> &'static Form;

    /// Reads the `spec` of a document; one document may declare several objects (the rows of an association).
    /// Problems go to `diagnostics`; with an error among them nothing is returned.
    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired>;

    /// Says what is known of objects of this kind on one target, or what to ask. Called again after each round of
    /// answers. `all` holds the objects of every kind on that target, so that kinds can share their reads.
    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation>;

    /// Finds surplus objects: live ones in scopes of `reconcile.yaml` that none of `all` declares. A scope is written
    /// like a document that is to be absent, with the keys that say where it is in its locator; its problems are
    /// reported as those of documents. Called again after each round of answers, when the documents of this kind are
    /// known.
    fn prune(&self, scopes: &[&Desired], _all: &[&Desired], _facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for scope in scopes {
            let message = format!("nothing of the kind {} can be pruned", self.name());
            let diagnostic = Diagnostic::error("P152", message, &scope.origin);
            observation.know(&scope.id, ObservedState::Impossible(Box::new(diagnostic)));
        }
        observation.step()
    }

    /// Returns the keys that say where a scope of `prune` lies; `None` for a kind that cannot be pruned.
    fn scope_keys(&self) -> Option<&'static [ScopeKey]> {
        None
    }

    /// Returns the keys that say where a scope of [`Kind::export`] lies; `None` for a kind that cannot be exported.
    fn export_keys(&self) -> Option<&'static [ScopeKey]> {
        None
    }

    /// Lists live objects in a scope as documents whose plan is empty, a page from a cursor on. Called again after each
    /// round of answers. Objects that no document can declare, such as built-in ones, are left out.
    fn export(&self, export: &ExportScope<'_>, _from: &Cursor, _facts: &Facts) -> Step<ExportResult> {
        let message = format!("nothing of the kind {} can be exported", self.name());
        let diagnostic = Diagnostic::error("P190", message, &export.scope.origin);
        Step::Done(Err(ObservedState::Impossible(Box::new(diagnostic))))
    }

    /// Returns the keys of a spec beside the fields that [`Kind::export`] declares where they are asked for, because they
    /// take reads of their own.
    fn export_parts(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the text that tells a live object of this kind from all others on its target. `desired` is a document
    /// that means it, or a scope that it lies in.
    fn identity(&self, _desired: &Desired, live: &Live) -> String {
        live.handle.to_string()
    }

    /// Returns the model and the id of an object to which documents of other kinds can refer as an instance; `None` for
    /// kinds that are no instances of models.
    fn instance(&self, _desired: &Desired, _live: &Live) -> Option<(String, i64)> {
        None
    }

    /// Turns rows of a spreadsheet of the platform into documents, as far as they are about this kind, or asks for what
    /// tells how.
    fn import(&self, _import: &ImportScope<'_>, _facts: &Facts) -> Step<ImportResult> {
        Step::Done(Ok(Imported::default()))
    }

    /// Checks documents against what the platform defines, whether their objects are there or not: names of models and
    /// places that do not exist, fields and values that the server would drop or refuse. Called like
    /// [`Kind::observe`]; a document without a fault is `Absent`.
    fn check(&self, desired: &[&Desired], _all: &[&Desired], _facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        desired.iter().for_each(|desired| observation.know(&desired.id, ObservedState::absent()));
        observation.step()
    }

    /// Reads objects again whose handles are known, after writes were made to them. What is gone is `Absent`.
    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation>;

    /// Returns true if looking another object up by its key shows this one too, because the platform lists both in one
    /// read. It is then not read by its handle as well: two answers of different age would contradict each other.
    fn is_listed_with(&self, _desired: &Desired, _other: &Desired, _facts: &Facts) -> bool {
        false
    }

    /// Returns what differs, in the order of the manifest, or why the object cannot become as declared. Without a
    /// live object: the fields of the one to be created.
    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>>;

    /// Returns the unique values that an object holds now and those that it will hold, each as a text that equals
    /// another's only if the two collide. Used to order renames and to refuse those that cannot be ordered.
    ///
    /// A claim is said in words, such as `the name x`. `context` is that of [`ObservedState::Absent`].
    fn unique_keys(
        &self,
        _desired: &Desired,
        _live: Option<&Live>,
        _context: &CreateContext,
        _facts: &Facts,
    ) -> UniqueKeys {
        UniqueKeys::default()
    }

    /// Returns a live value by its path, in the form that a change of it has; `None` if it is not known, or is compared
    /// by its parts.
    fn live_value(&self, live: &Live, path: &FieldPath) -> Option<Value> {
        live.fields.get(path.as_str()).map(Json::to_value)
    }

    /// Returns the calls that make the changes; each serves at least one of them.
    fn calls(&self, planned: &[Planned<'_>], facts: &Facts) -> Vec<Call>;

    /// Returns the request of a call that serves several objects for some of them alone; `None` if it can only be sent
    /// whole. Ids of created objects are filled in.
    fn narrowed(&self, _request: &Request, _some: &[Planned<'_>]) -> Option<Request> {
        None
    }

    /// Returns true if a refusal of a call that serves several objects may be about some of them alone: then its parts
    /// are sent, so that the others are written.
    fn is_about_some(&self, _refusal: &Refusal) -> bool {
        false
    }

    /// Returns the roll-out of this kind; `None` if it has no parts that follow by a sync.
    fn rollout(&self) -> Option<&dyn Rollout> {
        None
    }

    /// Returns what a change means for the parts of a roll-out, of which `part` is one.
    fn sync_need(&self, _proposed: &ProposedChange<'_>, _part: &Live) -> SyncNeed {
        SyncNeed::None
    }

    /// Names the fields of a live object that calls about it rest on beside those that are declared: what it is known
    /// by, and what a call sends back as it was read. None for all of its fields.
    fn precondition_fields<'d>(&self, desired: &'d Desired) -> Option<Vec<&'d str>>;

    /// Returns those documents of all that tell which objects some of this kind mean, by no reference: one that gives an
    /// instance another name, to others that call it by either.
    fn implicit_dependencies<'d>(&self, _some: &[&Desired], _all: &[&'d Desired]) -> Vec<&'d Desired> {
        Vec::new()
    }

    /// Returns the objects that the run is yet to make and that the change of a live object needs.
    fn awaits(&self, _desired: &Desired, _live: &Live) -> Vec<ResourceId> {
        Vec::new()
    }

    /// Returns pairs of an object that changes and another one whose change comes first, where the run changes both. An
    /// object that is to be created has no live one.
    fn follows(
        &self,
        _some: &[(&Desired, Option<&Live>)],
        _all: &[&Desired],
        _facts: &Facts,
    ) -> Vec<(ResourceId, ResourceId)> {
        Vec::new()
    }

    /// Says what people have to do once changes are made, or what to ask for that. Asked when the plan is known.
    fn notes(&self, _planned: &[Planned<'_>], _facts: &Facts) -> Step<Notes> {
        Step::Done(Notes::default())
    }

    /// Returns the fields by which people recognise an object, the most telling first.
    fn essentials(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the live values that people read otherwise than they are stored, such as options by their names.
    fn displays(&self, _desired: &Desired, _live: &Live, _facts: &Facts) -> BTreeMap<FieldPath, String> {
        BTreeMap::new()
    }

    /// Returns the known values of a live object that is to be removed, the essential ones first.
    fn before(&self, desired: &Desired, live: &Live, facts: &Facts) -> Vec<KnownField> {
        let essentials = self.essentials();
        let rank = |name: &str| essentials.iter().position(|essential| *essential == name).unwrap_or(essentials.len());
        let mut displays = self.displays(desired, live, facts);
        let known = |(path, value): (&FieldPath, &Json)| KnownField {
            display: displays.remove(path),
            ..KnownField::new(path.clone(), value.to_value())
        };
        let mut fields: Vec<_> = live.fields.iter().map(known).collect();
        fields.sort_by_key(|field| rank(&field.path.root()));
        fields
    }

    /// Returns the nouns of what [`Kind::impact`] counts: limits can be set on them.
    fn impact_units(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the impact of changes, or the requests that it needs. Called when the plan is known.
    fn impact(&self, _planned: &[Planned<'_>], _facts: &Facts) -> Step<Impact> {
        Step::Done(Impact::default())
    }

    /// Says what a document that is to make an object has to say instead to mean a live one, as its rename; `None` if it
    /// cannot be the same object. `context` is that of [`ObservedState::Absent`].
    fn rename_hint(&self, _desired: &Desired, _live: &Live, _context: &CreateContext) -> Option<String> {
        None
    }

    /// Says who changed the live values that differ, or what to ask for that. Asked by `drift` alone.
    fn changed(&self, _planned: &[Planned<'_>], _facts: &Facts) -> Step<Authors> {
        Step::Done(Authors::default())
    }

    /// Says who changed live objects last, whatever of them, and where the platform keeps that, who else changed each of
    /// their fields last, or what to ask for that: a read for hundreds of objects. Nothing is said of an object of which
    /// the platform keeps nothing.
    fn touched(&self, _objects: &[(&Desired, &Live)], _facts: &Facts) -> Step<Authors> {
        Step::Done(Authors::default())
    }

    /// Returns the handle of an object after its write was answered: an update leaves it as it was, a create names it.
    fn handle(&self, planned: &Planned<'_>, _answer: &Json) -> Option<Value> {
        planned.live.map(|live| live.handle.to_value())
    }

    /// Returns true if a refusal says that another object holds a unique value. Its call is sent again once another
    /// change of the run has freed such a value.
    fn is_conflict(&self, _refusal: &Refusal) -> bool {
        false
    }

    /// Says why a change that the platform accepted and did not store is not to be sent again as long as it is the
    /// same; `None` if it is.
    fn suppressed(&self, _field: &FieldChange) -> Option<&'static str> {
        None
    }

    /// Returns a stored value of a field as a document declares it.
    fn declared(&self, _desired: &Desired, _path: &FieldPath, stored: &Value, _facts: &Facts) -> Value {
        stored.clone()
    }

    /// Returns a stored value of a field as a manifest spells it.
    fn written(&self, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Tree {
        tree_of(&self.declared(desired, path, stored, facts))
    }

    /// Returns the document that puts back the fields of a live object that a run changed, where they still have the
    /// values that the run wrote. `changes` hold the values as they were stored before and behind the run.
    fn reversal(&self, desired: &Desired, live: &Live, changes: &[FieldChange], facts: &Facts) -> Reversal {
        reversal::fields(self, desired, live, changes, facts)
    }

    /// Returns the document that removes an object that a run created; `None` if it goes with another object.
    fn removal(&self, desired: &Desired) -> Option<Desired> {
        let fields = Fields::new();
        let removal = Desired { ensure: Ensure::Absent, fields, policies: Policies::default(), ..desired.clone() };
        Some(Desired { exclusive: false, ..removal })
    }

    /// Returns the document that makes an object again which a run removed, from what was known of it. The error says
    /// why there is none. Asked before anything was read too: values that need facts are left out then.
    fn recreation(&self, _desired: &Desired, _removed: &Change, _facts: &Facts) -> Result<Desired, String> {
        Err(format!("objects of the kind {} are not made again", self.name()))
    }

    /// Reads the object back from the answer of a write, where the platform's answer is what it stored. Without it the
    /// object is read again.
    fn answered(&self, _desired: &Desired, _answer: &Json) -> Option<Live> {
        None
    }
}

impl fmt::Display for dyn Kind + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kind {}", self.name())
    }
}

/// Remarks of a kind about changes.
#[derive(Debug, Default)]
pub struct Notes {
    /// Manual follow-ups, by object.
    pub notes: Vec<(ResourceId, String)>,
    /// Remarks on single fields: the object, the path of the field, the remark.
    pub fields: Vec<(ResourceId, FieldPath, String)>,
}

/// Unique values of an object, before and after its change.
#[derive(Debug, Default)]
pub struct UniqueKeys {
    /// Held now.
    pub current: Vec<String>,
    /// Held once the object is as declared.
    pub desired: Vec<String>,
}
