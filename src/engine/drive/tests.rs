use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Value, json};

use super::*;
use crate::{
    diagnostic::Diagnostic,
    engine::{
        check::check,
        connection::{Connection, Reader, Shared, Target},
        observe::observe_target,
        verify::reread,
    },
    model::{Call, Desired, Ensure, FieldChange, Live, ObservedState, Refusal, ResourceId},
    provider::{
        Endpoint, Envelope, Freshness, Kind, Observation, Planned, Platform, Prepared, Read, Reply, RequestContext,
    },
    source::{Origin, Sources},
    transport::{self, Transport},
    yaml::Node,
};

/// A kind that behaves as its name says.
struct Behaviour(&'static str);

impl Behaviour {
    fn step(&self, ids: &[&ResourceId], facts: &Facts) -> Step<Observation> {
        let request = |page: usize| Request { operation: "list", arguments: json!(page), repeatable: true };
        let mut observation = Observation::default();
        match self.0 {
            // It finds one more page behind each page.
            "Endless" => return Step::Ask(vec![request(facts.size())]),
            // It does not look at the answer.
            "Deaf" => return Step::Ask(vec![request(0)]),
            // It waits for an object of a kind that does not come to a result.
            "Waiting" if facts.observed(&id("Endless")).is_none() => return Step::Ask(Vec::new()),
            _ => {}
        }
        if !matches!(observation.read(request(0), facts), Read::Pending) {
            ids.iter().for_each(|id| observation.know(id, ObservedState::absent()));
        }
        observation.step()
    }
}

impl Kind for Behaviour {
    fn name(&self) -> &'static str {
        self.0
    }

    fn decode(&self, _: &Envelope, _: &Node<'_>, _: &mut Vec<Diagnostic>) -> Vec<Desired> {
        Vec::new()
    }

    fn observe(&self, desired: &[&Desired], _: &[&Desired], facts: &Facts) -> Step<Observation> {
        self.step(&desired.iter().map(|one| &one.id).collect::<Vec<_>>(), facts)
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        self.observe(desired, all, facts)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        self.step(&objects.iter().map(|(one, _)| &one.id).collect::<Vec<_>>(), facts)
    }

    fn compare(&self, _: &Desired, _: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn calls(&self, _: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        Vec::new()
    }

    fn precondition_fields(&self) -> Option<&'static [&'static str]> {
        None
    }
}

/// A platform that refuses everything before it is sent.
struct Refusing;

impl Platform for Refusing {
    fn name(&self) -> &'static str {
        "refusing"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&Behaviour("Endless"), &Behaviour("Deaf"), &Behaviour("Waiting"), &Behaviour("Sound")]
    }

    fn operation(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn is_read(&self, _: &str) -> bool {
        true
    }

    fn prepare(&self, _: &Request, _: &Endpoint, _: RequestContext<'_>) -> Result<Prepared, Refusal> {
        Err(Refusal::new(None, "no"))
    }

    fn interpret(&self, _: &Request, _: &Reply<'_>) -> Result<Value, Refusal> {
        Err(Refusal::new(None, "no"))
    }
}

fn id(kind: &'static str) -> ResourceId {
    ResourceId { kind, key: "x".into() }
}

fn reader() -> Reader {
    let endpoint = Endpoint { url: String::new(), settings: HashMap::new(), secrets: HashMap::new() };
    let shared = Shared::new(Transport::new(&transport::Options::default()).expect("a client"), 4, None);
    let resolve = Arc::new(move || Ok(endpoint.clone()));
    let target = Target { name: "here".into(), platform: &Refusing, resolve, concurrency: None, rate: None };
    Connection::new(target, shared).reader()
}

#[tokio::test]
async fn what_asks_for_ever_is_ended_and_named() {
    let reader = reader();
    let envelope = Envelope {
        name: "x".into(),
        target: "here".into(),
        labels: BTreeMap::new(),
        origin: Origin::new(Sources::default().add("x.yaml", ""), 0..0),
    };
    let kinds = Refusing.kinds();
    let objects: Vec<Desired> = kinds.iter().map(|kind| envelope.desired(kind.name(), Ensure::Present)).collect();
    let state = observe_target(&reader, objects.iter().collect(), Freshness::Replica).await;
    let findings = check(&[reader.clone()], &objects).await;
    let endless = |kind: &str| Some(format!("the kind {kind} still asks after 10000 rounds of reads"));
    let stuck = |kind: &str| Some(format!("the kind {kind} came to no result with all that was read"));
    // Together they go on as long as one of them learns anything.
    let together = [endless("Endless"), endless("Deaf"), stuck("Waiting"), None];
    let alone = [endless("Endless"), stuck("Deaf"), stuck("Waiting"), None];
    let observed = |why: Option<String>| why.map_or_else(ObservedState::absent, ObservedState::Unknown);
    let unread: BTreeSet<_> = together.iter().flatten().map(|why| format!("target here: {why}")).collect();
    assert_eq!(findings.unread, unread);
    for (((kind, desired), together), alone) in kinds.iter().zip(&objects).zip(together).zip(alone) {
        assert_eq!(state.facts.observed(&desired.id), Some(&observed(together)));
        let reread = reread(&reader, *kind, &[(desired, &Value::Null)]).await;
        assert_eq!(reread.get(&desired.id), Some(&observed(alone)), "read back");
    }
}
