//! The second way to answer reads: from whole scopes, which are read once from the live server, or lie in a snapshot.
//!
//! Both ways run the same code, so that a plan against a snapshot is what a plan was when it was taken.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{
    connection::{ReadSource, Reader},
    drive::drive,
};
use crate::{
    model::{Json, KeyPool, Refusal, Request, Retry},
    provider::{
        Facts, Step,
        scope::{ScopeRows, ScopeSchema},
        settings::Role,
    },
    snapshot::{Content, ScopeName, TargetSnapshot},
};

/// Where scopes come from.
enum Source {
    /// The live server.
    Live(Reader),
    /// A snapshot, with the settings of the target; or why there is none.
    Kept(Result<HashMap<String, String>, Refusal>),
}

/// Answers the reads of one target from whole scopes.
pub struct ScopeReader {
    schema: &'static dyn ScopeSchema,
    source: Source,
    /// Rows keep who changed them last.
    with_authors: bool,
    scopes: Mutex<HashMap<Request, Arc<OnceCell<Content>>>>,
    kept: BTreeMap<ScopeName, Content>,
    guessed: Mutex<BTreeSet<String>>,
    /// The parts that its answers have in common.
    keys: Mutex<KeyPool>,
}

impl fmt::Debug for ScopeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeReader").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl ReadSource for ScopeReader {
    fn settings(&self) -> Option<Result<HashMap<String, String>, Refusal>> {
        match &self.source {
            Source::Live(_) => None,
            Source::Kept(settings) => Some(settings.clone()),
        }
    }

    fn answer<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Json, Refusal>> {
        async move {
            let answer = self.read_from_scopes(request).await?;
            Ok(self.keys.lock().unwrap_or_else(PoisonError::into_inner).json(answer))
        }
        .boxed()
    }
}

/// The result of taking a snapshot of a target.
pub struct Taken {
    /// The scopes; a refusal if not even the target's settings could be had.
    pub target_snapshot: Result<TargetSnapshot, Refusal>,
    /// Scopes that were asked for and could not be read, with the refusal.
    pub missing: Vec<(ScopeName, Refusal)>,
    /// Scopes that plans can do without and that could not be read.
    pub left_out: Vec<(ScopeName, Refusal)>,
}

impl ScopeReader {
    /// Returns a reader that reads scopes from a live server as they are asked for, and with `with_authors` who changed
    /// their rows last.
    pub fn live(schema: &'static dyn ScopeSchema, reader: Reader, with_authors: bool) -> Arc<Self> {
        Arc::new(Self { with_authors, ..Self::new(schema, Source::Live(reader), BTreeMap::new()) })
    }

    /// Returns a reader of the scopes of a snapshot. Nothing is sent.
    pub fn kept(
        schema: &'static dyn ScopeSchema,
        settings: Result<HashMap<String, String>, Refusal>,
        scopes: BTreeMap<ScopeName, Content>,
    ) -> Arc<Self> {
        Arc::new(Self::new(schema, Source::Kept(settings), scopes))
    }

    fn new(schema: &'static dyn ScopeSchema, source: Source, kept: BTreeMap<ScopeName, Content>) -> Self {
        Self {
            schema,
            source,
            with_authors: false,
            scopes: Mutex::default(),
            kept,
            guessed: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// Returns what was answered from a scope that does not quite tell, in words.
    pub fn guessed(&self) -> BTreeSet<String> {
        self.guessed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read_from_scopes(&self, request: &Request) -> Result<Value, Refusal> {
        for (at, scope) in self.schema.scopes(request).iter().enumerate() {
            let Some(content) = self.content(scope).await else { continue };
            if let Some(answer) = self.schema.select(request, scope, &*content?) {
                if at > 0 && scope != request {
                    self.guessed.lock().unwrap_or_else(PoisonError::into_inner).insert(format!(
                        "{} from {}",
                        ScopeName::of(request),
                        ScopeName::of(scope)
                    ));
                }
                return answer;
            }
        }
        let scopes = self.schema.scopes(request);
        let name = ScopeName::of(scopes.first().unwrap_or(request));
        Err(Refusal::new(None, format!("the snapshot does not hold {name}")))
    }

    /// Returns what a scope holds; `None` if a snapshot lacks it.
    fn content<'a>(&'a self, scope: &'a Request) -> BoxFuture<'a, Option<Content>> {
        async move {
            let Source::Live(reader) = &self.source else { return self.kept.get(&ScopeName::of(scope)).cloned() };
            let cell = {
                let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
                scopes.entry(scope.clone()).or_default().clone()
            };
            Some(cell.get_or_init(|| self.read(scope, reader)).await.clone())
        }
        .boxed()
    }

    /// Reads a scope from the live server.
    async fn read(&self, scope: &Request, reader: &Reader) -> Content {
        let mut needs = Vec::new();
        for need in self.schema.needs(scope) {
            needs.extend(self.content(&need).await.transpose()?);
        }
        let mut facts = Facts::of_scopes(self.with_authors);
        let rows = |facts: &mut Facts| match self.schema.rows(scope, &needs, facts) {
            Ok(Step::Ask(missing)) => Step::Ask(missing),
            Ok(Step::Done(rows)) => Step::Done(Ok(rows)),
            Err(refusal) => Step::Done(Err(refusal)),
        };
        let asker = format!("the scope {}", ScopeName::of(scope));
        let rows = drive(reader, asker, &mut facts, rows).await;
        let rows = rows.map_err(|error| Refusal::new(None, error.to_string()))??;
        Ok(Arc::new(ScopeRows::new(rows)))
    }

    /// Reads what belongs to the scopes that were asked for, and returns all that was read. Call it when the plan is
    /// known.
    pub async fn finish(&self) -> Taken {
        let asked: HashSet<Request> = self.read_so_far().into_iter().map(|(scope, _)| scope).collect();
        loop {
            let known = self.read_so_far();
            let related =
                known.iter().filter(|(_, content)| content.is_ok()).flat_map(|(scope, _)| self.schema.related(scope));
            let open: HashSet<Request> =
                related.filter(|scope| known.iter().all(|(other, _)| other != scope)).collect();
            if open.is_empty() {
                break;
            }
            join_all(open.iter().map(|scope| self.content(scope))).await;
        }
        let mut taken = Taken { target_snapshot: self.target().await, missing: Vec::new(), left_out: Vec::new() };
        for (scope, content) in self.read_so_far() {
            let name = ScopeName::of(&scope);
            match (content, &mut taken.target_snapshot) {
                (Err(refusal), _) if !self.schema.is_answer(&scope, &refusal) => {
                    // Another try may do where the server was only busy. Else it said no to what nobody asked for, or
                    // to what live plans do without too.
                    let is_final = refusal.code.is_some() && refusal.retry == Retry::Never;
                    let is_needed = asked.contains(&scope) && !self.schema.is_dispensable(&scope);
                    let is_missing = is_needed || !is_final;
                    let list = if is_missing { &mut taken.missing } else { &mut taken.left_out };
                    list.push((name, refusal));
                }
                (content, Ok(target_snapshot)) => drop(target_snapshot.scopes.insert(name, content)),
                (_, Err(_)) => {}
            }
        }
        taken.missing.sort_by(|entry, other| entry.0.cmp(&other.0));
        taken.left_out.sort_by(|entry, other| entry.0.cmp(&other.0));
        taken
    }

    /// Returns the settings of a live target that a snapshot keeps.
    async fn target(&self) -> Result<TargetSnapshot, Refusal> {
        let Source::Live(reader) = &self.source else { return Ok(TargetSnapshot::default()) };
        let platform = reader.target().platform;
        let kept: Vec<&str> = [Role::ShapesPlans, Role::Identifies].map(|role| platform.settings_of(role)).concat();
        let settings = reader.settings().await?.into_iter().filter(|(key, _)| kept.contains(&key.as_str()));
        let platform = platform.name().to_owned();
        Ok(TargetSnapshot { platform, settings: settings.collect(), scopes: BTreeMap::new() })
    }

    fn read_so_far(&self) -> Vec<(Request, Content)> {
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().filter_map(|(scope, cell)| Some((scope.clone(), cell.get()?.clone()))).collect()
    }
}
