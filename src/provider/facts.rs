//! The answers so far in a run.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::fast::RandomState;

use crate::model::{Json, ObservedState, Refusal, Request, ResourceId};

/// How fresh the answers of a read have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// A replica may answer.
    #[default]
    Replica,
    /// A write has just been made: only what reads the primary will do.
    Primary,
}

/// Answers read so far in this run from one target, shared by all kinds of its platform.
#[derive(Debug, Default)]
pub struct Facts {
    /// How fresh new reads have to be.
    pub freshness: Freshness,
    /// Rows of scopes keep who changed them last, and when.
    pub with_authors: bool,
    /// Settings of the target that are not secret, such as `timeZone`.
    pub settings: HashMap<String, String>,
    /// Changes that the platform accepted earlier and did not store, by [`crate::model::FieldChange::fingerprint`]: they are not
    /// tried again.
    pub suppressed: HashSet<String>,
    answers: HashMap<Request, Result<Json, Refusal>, RandomState>,
    absent: HashSet<&'static str>,
    observed_states: HashMap<ResourceId, Box<ObservedState>, RandomState>,
    derived: Mutex<Derived>,
}

/// Values by their types and names.
type Derived = HashMap<TypeId, HashMap<Box<str>, Arc<dyn Any + Send + Sync>, RandomState>, RandomState>;

impl Facts {
    /// Returns no answers yet.
    pub fn new(freshness: Freshness, settings: HashMap<String, String>) -> Self {
        Self { freshness, settings, ..Self::default() }
    }

    /// Returns no answers yet, for reads of whole scopes.
    pub fn of_scopes(with_authors: bool) -> Self {
        Self { with_authors, ..Self::default() }
    }

    /// Returns the answer to a request; `None` if it was not asked yet.
    pub fn answer(&self, request: &Request) -> Option<&Result<Json, Refusal>> {
        self.answers.get(request)
    }

    /// Returns what is known of an object of any kind of this target.
    pub fn observed(&self, id: &ResourceId) -> Option<&ObservedState> {
        self.observed_states.get(id).map(|observed| &**observed)
    }

    /// Returns what was worked out from answers and kept under a name.
    pub fn derived<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.get(&TypeId::of::<T>())?.get(name)?.clone().downcast().ok()
    }

    /// Returns what is kept under a name; where nothing is, `make` works it out. It has to rest on answers alone, which
    /// stay as they are for the run.
    pub fn derive<T: Any + Send + Sync>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(known) = self.derived(name) {
            return known;
        }
        let made = Arc::new(make());
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.entry(TypeId::of::<T>()).or_default().insert(name.into(), made.clone());
        made
    }

    /// Returns true if the server was seen not to have an operation.
    pub fn lacks(&self, operation: &str) -> bool {
        self.absent.contains(operation)
    }

    /// Takes in an answer.
    pub fn learn(&mut self, request: Request, answer: Result<Json, Refusal>) {
        if answer.as_ref().is_err_and(Refusal::is_absent) {
            self.absent.insert(request.operation);
        }
        self.answers.insert(request, answer);
    }

    /// Forgets the answers of reads that nothing needs any more.
    pub fn forget(&mut self, requests: &[Request]) {
        requests.iter().for_each(|request| drop(self.answers.remove(request)));
    }

    /// Returns how much is known: it grows with each new answer and each object of which something becomes known.
    pub fn size(&self) -> usize {
        self.answers.len() + self.observed_states.len()
    }

    /// Takes in what is known of an object.
    pub fn record(&mut self, id: ResourceId, observed: ObservedState) {
        self.observed_states.insert(id, Box::new(observed));
    }

    /// Takes in what is known of objects, unless something was known before.
    pub fn record_new(&mut self, known: Vec<(ResourceId, Box<ObservedState>)>) {
        // A kind that waits for others says the same again.
        self.observed_states.reserve(known.len().saturating_sub(self.observed_states.len()));
        for (id, observed) in known {
            self.observed_states.entry(id).or_insert(observed);
        }
    }
}

impl AsMut<Self> for Facts {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}
