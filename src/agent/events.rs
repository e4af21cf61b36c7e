//! Follows the events of the platforms: what somebody else changes is looked at at once.
//!
//! An event is a hint to look at an object, and nothing more. Events that are lost, late or told twice cost at most a look
//! too many, or one that waits for the next look at everything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use smallvec::SmallVec;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{changed::Changes, schedule::at_most};
use crate::{
    engine::connection::Connection,
    model::{Desired, Refusal, ResourceId},
    provider::{Event, EventSchema, Stream},
};

/// How long the first pass waits for the cursors, so that no change falls between its reads and the first event.
const READY: Duration = Duration::from_secs(2);

/// How long further events are waited for, so that a burst is one pass.
const BURST: Duration = Duration::from_millis(100);

/// The longest wait before events are asked for again after a failure, doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The most events that wait to be taken in.
const WAITING: usize = 256;

/// What a stream told.
#[derive(Debug)]
enum Told {
    /// A new stream of a target is followed from now on.
    Begun(Arc<str>),
    /// A new stream cannot be followed for now.
    Failed,
    /// Events may have been missed: anything on a target may have changed.
    Missed(Arc<str>),
    /// Objects of a target changed.
    Changed(Arc<str>, Vec<Event>),
}

/// What events concern.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Touched {
    /// Targets on which all objects may have changed.
    pub(super) all: BTreeSet<Arc<str>>,
    /// Events by their targets.
    pub(super) events: Vec<(Arc<str>, Event)>,
}

impl Touched {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.events.is_empty()
    }

    fn add(&mut self, told: Told) {
        match told {
            Told::Failed => {}
            Told::Begun(target) | Told::Missed(target) => drop(self.all.insert(target)),
            Told::Changed(target, events) => {
                self.events.extend(events.into_iter().map(|event| (target.clone(), event)));
            }
        }
    }
}

/// The streams that are followed.
pub(super) struct Followers {
    /// What ends each of them. The address of its connection tells a newer one apart.
    followed: BTreeMap<(Arc<str>, Stream), (usize, CancellationToken)>,
    tasks: JoinSet<()>,
    sender: Sender<Told>,
    told: Receiver<Told>,
    /// What was told and is not taken in yet.
    early: Touched,
}

impl Followers {
    pub(super) fn new() -> Self {
        let (sender, told) = mpsc::channel(WAITING);
        let (followed, tasks, early) = (BTreeMap::new(), JoinSet::new(), Touched::default());
        Self { followed, tasks, sender, told, early }
    }

    /// Follows the streams that tell of changes of what is declared, and no others. Waits for a short time until the new
    /// ones have begun.
    pub(super) async fn follow(&mut self, desired: &[Arc<Desired>], connections: &[Arc<Connection>]) {
        while self.tasks.try_join_next().is_some() {}
        let wanted = streams(desired, connections);
        self.followed.retain(|key, (address, stop)| {
            let is_kept = wanted.get(key).is_some_and(|(connection, _)| Arc::as_ptr(connection) as usize == *address);
            if !is_kept {
                stop.cancel();
            }
            is_kept
        });
        let mut begun = 0;
        for (key, (connection, schema)) in wanted {
            if self.followed.contains_key(&key) {
                continue;
            }
            let (stop, sender, stream) = (CancellationToken::new(), self.sender.clone(), key.1.clone());
            self.followed.insert(key, (Arc::as_ptr(&connection) as usize, stop.clone()));
            begun += 1;
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = Follower { connection, schema, stream, sender }.run() => {}
                }
            });
        }
        let end = Instant::now() + READY;
        while begun > 0
            && let Ok(Some(told)) = timeout_at(end, self.told.recv()).await
        {
            match told {
                // All is read after this.
                Told::Begun(_) | Told::Failed => begun -= 1,
                told => self.early.add(told),
            }
        }
    }

    /// Waits for events, and for the end of a burst of them. What was told stays if the wait is broken off.
    pub(super) async fn next(&mut self) -> Touched {
        while self.early.is_empty() {
            match self.told.recv().await {
                Some(told) => self.early.add(told),
                None => std::future::pending().await,
            }
        }
        let end = Instant::now() + BURST;
        while let Ok(Some(told)) = timeout_at(end, self.told.recv()).await {
            self.early.add(told);
        }
        std::mem::take(&mut self.early)
    }
}

type Wanted = BTreeMap<(Arc<str>, Stream), (Arc<Connection>, &'static dyn EventSchema)>;

/// Returns the streams that tell of changes of documents' objects, by target.
fn streams(desired: &[Arc<Desired>], connections: &[Arc<Connection>]) -> Wanted {
    let mut wanted = BTreeMap::new();
    for connection in connections {
        let Some(schema) = connection.target().platform.events() else { continue };
        let name = &connection.target().name;
        let of_target = |object: &&Desired| object.target == *name && !object.policies.ignore_all();
        let objects: Vec<&Desired> = desired.iter().map(|object| &**object).filter(of_target).collect();
        let streams: BTreeSet<Stream> = schema.streams(&objects);
        wanted.extend(streams.into_iter().map(|stream| ((name.clone(), stream), (connection.clone(), schema))));
    }
    wanted
}

/// Follows one stream.
struct Follower {
    connection: Arc<Connection>,
    schema: &'static dyn EventSchema,
    stream: Stream,
    sender: Sender<Told>,
}

impl Follower {
    async fn run(self) {
        let (mut cursor, mut pause, mut said) = (None, FIRST_PAUSE, None);
        let mut is_new = true;
        loop {
            let request = self.schema.request(&self.stream, cursor.as_deref());
            let answer = self.connection.poll(&request).await;
            let batch = answer.and_then(|answer| self.schema.batch(&self.stream, &answer));
            match batch {
                Ok(batch) => {
                    if cursor.is_none() {
                        self.began(is_new).await;
                    } else if !batch.events.is_empty() {
                        let target = self.connection.target().name.clone();
                        let _ = self.sender.send(Told::Changed(target, batch.events)).await;
                    }
                    (cursor, pause, said) = (Some(batch.cursor), FIRST_PAUSE, None);
                    is_new = false;
                }
                Err(refusal) if cursor.is_some() && self.schema.is_expired(&refusal) => cursor = None,
                Err(refusal) => {
                    if is_new {
                        let _ = self.sender.send(Told::Failed).await;
                        is_new = false;
                    }
                    self.failed(&refusal, &mut said);
                    sleep(at_most(pause, 2)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells that events are followed from now on. Whatever changed before the first cursor was missed, unless nothing had
    /// been read yet.
    async fn began(&self, is_new: bool) {
        let (target, resource, part) = (&*self.connection.target().name, self.stream.resource, &*self.stream.part);
        tracing::info!(target, resource, part, "events are followed");
        let name = self.connection.target().name.clone();
        let _ = self.sender.send(if is_new { Told::Begun(name) } else { Told::Missed(name) }).await;
    }

    /// Says once why events cannot be followed.
    fn failed(&self, refusal: &Refusal, said: &mut Option<String>) {
        let (target, resource, part) = (&*self.connection.target().name, self.stream.resource, &*self.stream.part);
        let reason = crate::plain::without_request(&refusal.to_string());
        if said.as_ref() != Some(&reason) {
            let message = "events cannot be followed; what others change is found by the resync";
            tracing::warn!(target, resource, part, reason, "{message}");
            *said = Some(reason);
        }
    }
}

/// Which documents an event may concern, by the names under which they may mean its object.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    documents: HashMap<u64, SmallVec<[ResourceId; 1]>>,
    hasher: RandomState,
}

/// A name that so few documents share tells which of them an event concerns.
const FEW: usize = 2;

impl KeyIndex {
    /// Returns the index of what is declared.
    pub(super) fn of(desired: &[Arc<Desired>], connections: &[Arc<Connection>]) -> Self {
        let mut index = Self::default();
        index.add(desired, connections);
        index
    }

    /// Takes in what is declared otherwise now.
    pub(super) fn update(&mut self, changes: &Changes, connections: &[Arc<Connection>]) {
        for (object, key) in self.keys(&changes.before, connections) {
            if let Some(documents) = self.documents.get_mut(&key) {
                documents.retain(|id| *id != object.id);
                if documents.is_empty() {
                    self.documents.remove(&key);
                }
            }
        }
        self.add(&changes.after, connections);
    }

    fn add(&mut self, desired: &[Arc<Desired>], connections: &[Arc<Connection>]) {
        for (object, key) in self.keys(desired, connections) {
            self.documents.entry(key).or_default().push(object.id.clone());
        }
    }

    /// Returns the hashes of the names of objects.
    fn keys<'d>(&self, desired: &'d [Arc<Desired>], connections: &[Arc<Connection>]) -> Vec<(&'d Desired, u64)> {
        let schemas: HashMap<&Arc<str>, &'static dyn EventSchema> = connections
            .iter()
            .filter_map(|connection| Some((&connection.target().name, connection.target().platform.events()?)))
            .collect();
        let keys = desired.iter().flat_map(|object| {
            let keys = schemas.get(&object.target).map(|schema| schema.keys(object)).unwrap_or_default();
            keys.into_iter().map(|key| (&**object, self.hasher.hash_one((&*object.target, key))))
        });
        keys.collect()
    }

    /// Returns the documents that may come to mean the object of an event. `is_open` is true for a document that means no
    /// object yet, or says what else there may be.
    pub(super) fn documents(
        &self,
        target: &str,
        event: &Event,
        is_open: impl Fn(&ResourceId) -> bool,
    ) -> HashSet<ResourceId> {
        let named = event.keys.iter().filter_map(|key| self.documents.get(&self.hasher.hash_one((target, key))));
        let open = named.flat_map(|documents| documents.iter().filter(|id| documents.len() <= FEW || is_open(id)));
        open.cloned().collect()
    }
}
