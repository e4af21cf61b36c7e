//! Saved plans: the JSON document of a plan, with everything that its calls rest on.
//!
//! A file holds no credential: requests know none. Problems of a file have names; a file that is not wholly understood
//! is refused.

mod document;
mod streamed;
pub mod write;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use serde_json::{Value, json};

pub use streamed::Document;

use super::{Blocked, Cause, ImpactTotal, Plan, precondition::digest};
use crate::{
    diagnostic::{Diagnostic, Severity},
    model::{
        Action, Call, Change, Desired, Display, DisplayKind, Ensure, FieldChange, FieldPath, Json, KnownField,
        PathError, Reference, Request, ResourceId, Suspension, Wave, policy::Policies,
    },
    provider::Platform,
    source::{FileId, Located, Origin, Sources},
};

/// Version of the documents: the number before the dot changes when a key goes or changes its meaning.
pub const FORMAT_VERSION: &str = "2.0";

/// The first version that can be applied.
const OLDEST: (u32, u32) = (2, 0);

/// The key that holds the digest of all others.
const DIGEST: &str = "digest";

/// The key of the figures that differ from run to run although nothing else does: no part of the digest.
const COST: &str = "cost";

/// A file that is no saved plan, or one that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not JSON, or a part of it is not as it has to be.
    #[error("it is no saved plan: {0}")]
    Shape(String),
    /// It is a document of another kind.
    #[error("it is a {0}, no saved plan")]
    Kind(String),
    /// It was written by a version of the program that this one does not understand.
    #[error("its format is {0}; this program reads 2.{oldest} to {FORMAT_VERSION}: plan again", oldest = OLDEST.1)]
    Version(String),
    /// It was cut off or edited after it had been written.
    #[error("it was changed after it had been written: its digest does not fit; plan again")]
    Digest,
}

/// Where a target leads to, as far as the configuration itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The target's name.
    pub target: Arc<str>,
    /// The name of its platform.
    pub platform: Arc<str>,
    /// Digests of its settings by their keys.
    pub settings: BTreeMap<String, String>,
}

/// A plan that was saved.
#[derive(Debug)]
pub struct Saved {
    /// The plan.
    pub plan: Plan,
    /// The objects that it changes, those that they refer to, and what else has to be known of them.
    pub objects: Vec<Desired>,
    /// Where its targets led to.
    pub setups: Vec<Setup>,
    /// The configuration that it was made with.
    pub config: Option<String>,
    /// Diagnostics of documents.
    pub diagnostics: Vec<Diagnostic>,
    /// The steps by which values of changes came about, by object and field: of those that are not written where they
    /// stand.
    pub steps: HashMap<(ResourceId, FieldPath), Value>,
    /// The text of the whole document.
    text: String,
}

impl Saved {
    /// Returns the whole document.
    pub fn document(&self) -> Document<'_> {
        // It was read before.
        Document::parse(&self.text).unwrap_or_default()
    }
}

/// Returns the digest of a setting.
pub fn fingerprint(text: &str) -> String {
    let mut digest = digest(&json!(text));
    digest.truncate(16);
    digest
}

/// Returns an object as a document holds it.
pub fn object(desired: &Desired, sources: &Sources) -> Value {
    let value = |located: &Located<Json>| json!({"value": located.value, "at": location(&located.origin, sources)});
    let mut document = json!({
        "address": desired.id.to_string(),
        "target": *desired.target,
        "ensure": match desired.ensure {
            Ensure::Existing => "existing",
            Ensure::Present => "present",
            Ensure::Absent => "absent",
        },
        "locator": desired.locator.iter().map(|(name, located)| (name.to_string(), value(located))).collect::<Value>(),
        "fields": desired.fields.iter().map(|(path, located)| (path.to_string(), value(located))).collect::<Value>(),
        "references": desired.references.iter().map(|reference| json!({
            "address": reference.to.to_string(),
            "at": location(&reference.origin, sources),
        })).collect::<Vec<_>>(),
        "labels": desired.labels.iter().map(|(key, value)| (key.to_string(), json!(**value))).collect::<Value>(),
        "protect": desired.protect,
        "exclusive": desired.exclusive,
        "policies": json!({
            "object": desired.policies.object.name(),
            "fields": desired.policies.fields.iter().map(|(path, policy)| (path.to_string(), json!(policy.name()))).collect::<Value>(),
        }),
        "changes": desired.selected,
        "at": location(&desired.origin, sources),
    });
    if let Some(suspension) = &desired.suspended {
        document["suspend"] = json!({"reason": *suspension.reason, "until": suspension.until.to_string()});
    }
    document
}

/// Returns a place as documents hold it.
pub fn location(origin: &Origin, sources: &Sources) -> Value {
    let position = sources.position(origin);
    json!({"file": *position.file, "line": position.line, "column": position.column})
}

/// Reads a document. Its places go into `sources`.
pub fn read(text: String, platforms: &[&'static dyn Platform], sources: &mut Sources) -> Result<Saved, FileError> {
    let document = Document::parse(&text).map_err(|error| FileError::Shape(error.to_string()))?;
    match (document.get("apiVersion").as_str(), document.get("kind").as_str()) {
        (Some("reconcile/v1"), Some("Plan")) => {}
        (Some("reconcile/v1"), Some(other)) => return Err(FileError::Kind(other.to_owned())),
        _ => return Err(FileError::Shape("it has no `apiVersion: reconcile/v1` and `kind: Plan`".to_owned())),
    }
    check_version(document.get("format_version").as_str().unwrap_or("unknown"))?;
    if document.digest() != Some(document.work_out_digest()) {
        return Err(FileError::Digest);
    }
    drop(document);
    let read: document::Document = serde_json::from_str(&text).map_err(|error| FileError::Shape(error.to_string()))?;
    Reading { platforms, sources, files: BTreeMap::new(), steps: HashMap::new() }.saved(read, text)
}

fn check_version(version: &str) -> Result<(), FileError> {
    let parse = |version: &str| -> Option<(u32, u32)> {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let known = parse(version).filter(|known| *known >= OLDEST && Some(*known) <= parse(FORMAT_VERSION));
    known.map(|_| ()).ok_or_else(|| FileError::Version(version.to_owned()))
}

/// Reads the path of a field.
fn path(text: &str) -> Result<FieldPath, FileError> {
    text.parse().map_err(|error: PathError| FileError::Shape(error.to_string()))
}

/// Returns what a missing value means: nothing for a row and for what is created, else null.
fn gone(path: &FieldPath, action: Option<Action>) -> Option<Value> {
    (action != Some(Action::Create) && !path.is_row()).then_some(Value::Null)
}

/// The diagnostics of a document, each to be taken once.
struct UnclaimedDiagnostics {
    all: Vec<Option<Diagnostic>>,
    by_message: HashMap<String, VecDeque<usize>>,
}

impl UnclaimedDiagnostics {
    fn of(all: Vec<Diagnostic>) -> Self {
        let mut by_message: HashMap<_, VecDeque<_>> = HashMap::new();
        for (at, diagnostic) in all.iter().enumerate() {
            by_message.entry(diagnostic.message.clone()).or_default().push_back(at);
        }
        Self { all: all.into_iter().map(Some).collect(), by_message }
    }

    /// Takes the first that is left with a message.
    fn claim(&mut self, message: &str) -> Option<Diagnostic> {
        let at = self.by_message.get_mut(message)?.pop_front()?;
        self.all.get_mut(at)?.take()
    }

    /// Returns those that were not taken.
    fn rest(self) -> Vec<Diagnostic> {
        self.all.into_iter().flatten().collect()
    }
}

/// Returns the values of a field as people read them; `None` if this program does not know their sort.
fn display(display: document::Display) -> Option<Display> {
    let kind = DisplayKind::ALL.iter().copied().find(|kind| kind.name() == display.kind)?;
    Some(Display { kind, from: display.before, to: display.after })
}

fn policies(read: &document::Policies) -> Result<Policies, FileError> {
    let policy = |word: &String| word.parse().map_err(|()| FileError::Shape(format!("`policy: {word}` is unknown")));
    let fields = read.fields.iter().map(|(path, word)| Ok((path.as_str().into(), policy(word)?)));
    Ok(Policies { object: policy(&read.object)?, fields: fields.collect::<Result<_, FileError>>()? })
}

/// Turns a document back into plain data.
struct Reading<'a> {
    platforms: &'a [&'static dyn Platform],
    sources: &'a mut Sources,
    files: BTreeMap<String, FileId>,
    steps: HashMap<(ResourceId, FieldPath), Value>,
}

impl Reading<'_> {
    fn saved(mut self, read: document::Document, text: String) -> Result<Saved, FileError> {
        let setups: Vec<_> = read
            .targets
            .into_iter()
            .map(|target| Setup {
                target: target.name.into(),
                platform: target.platform.into(),
                settings: target.settings,
            })
            .collect();
        let mut told = UnclaimedDiagnostics::of(
            read.diagnostics.into_iter().map(|diagnostic| self.diagnostic(diagnostic)).collect(),
        );
        let mut plan = Plan {
            unchanged: read.summary.unchanged,
            changes: read.changes.into_iter().map(|change| self.change(change)).collect::<Result<_, _>>()?,
            reported: read.reported.into_iter().map(|change| self.change(change)).collect::<Result<_, _>>()?,
            calls: read.calls.into_iter().map(|call| self.call(call, &setups)).collect::<Result<_, _>>()?,
            ..Plan::default()
        };
        for blocked in read.blocked {
            plan.blocked.push(self.blocked(blocked, &mut told)?);
        }
        for live in read.live {
            let kind = self.kind(&live.kind)?;
            plan.live.insert((live.target.into(), kind), live.count);
        }
        for total in read.impact {
            if let (kind, Some(unit)) = (self.kind(&total.kind)?, self.unit(&total.unit)) {
                plan.impact.push(ImpactTotal { target: total.target.into(), kind, unit, count: total.count });
            }
        }
        let objects = read.objects.into_iter().map(|object| self.object(object)).collect::<Result<Vec<_>, _>>()?;
        let known: HashSet<&ResourceId> = objects.iter().map(|desired| &desired.id).collect();
        if let Some(change) = plan.changes.iter().find(|change| !known.contains(&change.id)) {
            return Err(FileError::Shape(format!("nothing says what {} is", change.id)));
        }
        Ok(Saved { plan, objects, setups, config: read.config, diagnostics: told.rest(), steps: self.steps, text })
    }

    fn kind(&self, name: &str) -> Result<&'static str, FileError> {
        let kind = self.platforms.iter().find_map(|platform| platform.kind(name)).map(crate::provider::Kind::name);
        kind.ok_or_else(|| FileError::Shape(format!("there is no kind `{name}`")))
    }

    fn id(&self, address: &str) -> Result<ResourceId, FileError> {
        let id = ResourceId::read(address, |kind| self.kind(kind).ok());
        id.ok_or_else(|| FileError::Shape(format!("`{address}` is no address")))
    }

    fn origin(&mut self, at: &document::Location) -> Origin {
        let known = self.files.get(&at.file).copied();
        let file = known.unwrap_or_else(|| self.sources.add_absent(at.file.as_str()));
        self.files.insert(at.file.clone(), file);
        self.sources.mark(file, at.line, at.column)
    }

    fn change(&mut self, change: document::Change) -> Result<Change, FileError> {
        let action = Action::ALL.iter().copied().find(|action| action.name() == change.action);
        let id = self.id(&change.address)?;
        let mut field_notes = BTreeMap::new();
        let fields = change.fields.into_iter().map(|field| {
            let path = self::path(&field.path)?;
            field_notes.extend(field.note.map(|note| (path.clone(), note)));
            if !field.via.is_null() {
                self.steps.insert((id.clone(), path.clone()), field.via);
            }
            Ok(FieldChange {
                display: field.display.and_then(display),
                because: self.origin(&field.at),
                // A row of a list comes or goes; any other field of a live object has a value, which may be null.
                from: field.before.filter(|_| action != Some(Action::Create)).or_else(|| gone(&path, action)),
                to: field.after.or_else(|| gone(&path, None)),
                path,
            })
        });
        let fields = fields.collect::<Result<_, FileError>>()?;
        let known = |before: document::Before| {
            Ok(KnownField { path: path(&before.path)?, value: before.value, display: before.display })
        };
        let before = change.before.into_iter().map(known);
        Ok(Change {
            id,
            target: change.target.into(),
            label: change.label,
            handle: change.id,
            action: action.ok_or_else(|| FileError::Shape(format!("there is no action `{}`", change.action)))?,
            implicit: change.implicit,
            fields,
            before: before.collect::<Result<_, FileError>>()?,
            notes: change.notes,
            field_notes,
            wave: change.wave.map(|wave| Wave { number: wave.number, of: wave.of }),
            impact: self.impact(change.impact),
            after: change.after.iter().map(|text| self.id(text)).collect::<Result<_, _>>()?,
            precondition: change.precondition.into(),
            origin: self.origin(&change.at),
        })
    }

    /// Returns what hung below a change. What this program does not know by name limits nothing.
    fn impact(&self, impact: BTreeMap<String, Option<u64>>) -> BTreeMap<&'static str, Option<u64>> {
        impact.into_iter().filter_map(|(unit, count)| Some((self.unit(&unit)?, count))).collect()
    }

    fn unit(&self, unit: &str) -> Option<&'static str> {
        let kinds = self.platforms.iter().flat_map(|platform| platform.kinds());
        kinds.flat_map(|kind| kind.impact_units()).find(|known| **known == unit).copied()
    }

    fn call(&self, call: document::Call, setups: &[Setup]) -> Result<Call, FileError> {
        let platform = setups.iter().find(|setup| *setup.target == *call.target).map(|setup| &*setup.platform);
        let platform = self.platforms.iter().find(|provider| Some(provider.name()) == platform);
        // What only reads is no call of a plan.
        let operation =
            platform.and_then(|platform| platform.operation(&call.operation).filter(|name| !platform.is_read(name)));
        let operation = operation.ok_or_else(|| FileError::Shape(format!("there is no call `{}`", call.operation)))?;
        Ok(Call {
            request: Request { operation, arguments: call.arguments, repeatable: call.repeatable },
            target: call.target.into(),
            serves: call.serves.iter().map(|serve| self.id(serve)).collect::<Result<_, _>>()?,
        })
    }

    fn blocked(&mut self, blocked: document::Blocked, told: &mut UnclaimedDiagnostics) -> Result<Blocked, FileError> {
        let origin = self.origin(&blocked.at);
        let cause = match (&*blocked.cause, &blocked.needs) {
            ("needs", Some(other)) => Cause::Needs(self.id(other)?),
            ("wrong", _) => {
                // It is told once: with the object that it is about.
                Cause::Wrong(told.claim(&blocked.message).into_iter().collect())
            }
            _ => Cause::Unread(blocked.message),
        };
        Ok(Blocked { id: self.id(&blocked.address)?, target: blocked.target.into(), origin, cause })
    }

    fn diagnostic(&mut self, problem: document::Diagnostic) -> Diagnostic {
        let origin = problem.at.map(|at| self.origin(&at));
        Diagnostic {
            code: Cow::Owned(problem.code),
            severity: if problem.severity == Severity::Warning.name() { Severity::Warning } else { Severity::Error },
            message: problem.message,
            labels: origin.into_iter().map(|origin| crate::diagnostic::Label { origin, text: String::new() }).collect(),
            hint: problem.hint,
            hidden: false,
        }
    }

    fn object(&mut self, object: document::Object) -> Result<Desired, FileError> {
        let ensure = match &*object.ensure {
            "existing" => Ensure::Existing,
            "present" => Ensure::Present,
            "absent" => Ensure::Absent,
            other => return Err(FileError::Shape(format!("`ensure: {other}` is unknown"))),
        };
        let references = object
            .references
            .into_iter()
            .map(|reference| Ok(Reference { to: self.id(&reference.address)?, origin: self.origin(&reference.at) }));
        let references = references.collect::<Result<_, FileError>>()?;
        let fields = object.fields.into_iter().map(|(text, field)| Ok((path(&text)?, self.located(field))));
        let fields = fields.collect::<Result<_, FileError>>()?;
        Ok(Desired {
            id: self.id(&object.address)?,
            target: object.target.into(),
            ensure,
            locator: object.locator.into_iter().map(|(name, field)| (name.into(), self.located(field))).collect(),
            references,
            fields,
            labels: Arc::new(object.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
            origin: self.origin(&object.at),
            selected: object.changes,
            protect: object.protect,
            exclusive: object.exclusive,
            policies: policies(&object.policies)?,
            suspended: object
                .suspend
                .map(|document::Suspend { reason, until }| Arc::new(Suspension { reason: reason.into(), until })),
        })
    }

    fn located(&mut self, field: document::Field) -> Located<Json> {
        Located::new(field.value, self.origin(&field.at))
    }
}
