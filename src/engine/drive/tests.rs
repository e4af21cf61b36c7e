use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Value, json};

use super::*;
use crate::{
    diagnostic::Diagnostic,
    engine::{
        author::trace,
        check::check,
        connection::{Connection, Reader, Shared, Target},
        impact::impact,
        observe::{note, observe_target, reread},
        prune::prune,
    },
    model::{
        Call, Desired, Ensure, FieldChange, Json, KeyPool, Live, ObservedState, Refusal, ResourceId,
        author::{Changed, Deed},
    },
    plan::plan,
    provider::{
        Authors, Endpoint, Envelope, Freshness, Impact, Kind, Notes, Observation, Planned, Platform, Prepared, Read,
        Reply, RequestContext,
    },
    source::{Origin, Sources},
    transport::{self, Transport},
    yaml::Node,
};

/// A kind that behaves as its name says.
struct Behaviour(&'static str);

impl Behaviour {
    /// Asks for one more page behind all that was read.
    fn ask<T>(facts: &Facts) -> Step<T> {
        Step::Ask(vec![Request { operation: "list", arguments: json!(facts.size()), repeatable: true }])
    }

    fn step(&self, ids: &[&ResourceId], facts: &Facts) -> Step<Observation> {
        let request = |page: usize| Request { operation: "list", arguments: json!(page), repeatable: true };
        let mut observation = Observation::default();
        match self.0 {
            // It finds one more page behind each page.
            "Endless" => return Self::ask(facts),
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

    fn spec_form(&self) -> &'static crate::yaml::Form {
        const { &crate::yaml::Form::new(&[]) }
    }

    fn decode(&self, _: &Envelope, _: &Node<'_>, _: &mut Vec<Diagnostic>) -> Vec<Desired> {
        Vec::new()
    }

    fn observe(&self, desired: &[&Desired], _: &[&Desired], facts: &Facts) -> Step<Observation> {
        self.step(&desired.iter().map(|desired| &desired.id).collect::<Vec<_>>(), facts)
    }

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        self.observe(desired, all, facts)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        self.step(&objects.iter().map(|(desired, _)| &desired.id).collect::<Vec<_>>(), facts)
    }

    fn compare(&self, _: &Desired, _: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Step<Observation> {
        if self.0 == "Nosy" { Self::ask(facts) } else { self.observe(scopes, all, facts) }
    }

    fn notes(&self, _: &[Planned<'_>], facts: &Facts) -> Step<Notes> {
        if self.0 == "Nosy" { Self::ask(facts) } else { Step::Done(Notes::default()) }
    }

    fn impact_units(&self) -> &'static [&'static str] {
        &["things"]
    }

    fn impact(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
        let mut impact = Impact::default();
        planned.iter().for_each(|planned| impact.set_none(&planned.desired.id, "things"));
        if self.0 == "Nosy" { Self::ask(facts) } else { Step::Done(impact) }
    }

    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
        let changed = || Changed { deed: Deed::Never, ..Changed::unknown() };
        let known = planned.iter().map(|planned| (planned.desired.id.clone(), None, changed())).collect();
        if self.0 == "Nosy" { Self::ask(facts) } else { Step::Done(Authors { known }) }
    }

    fn calls(&self, _: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        Vec::new()
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
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
        &[&Behaviour("Endless"), &Behaviour("Deaf"), &Behaviour("Waiting"), &Behaviour("Nosy"), &Behaviour("Sound")]
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

    fn interpret(&self, _: &Request, _: &Reply<'_>, _: &mut KeyPool) -> Result<Json, Refusal> {
        Err(Refusal::new(None, "no"))
    }
}

fn id(kind: &'static str) -> ResourceId {
    ResourceId::new(kind, "x")
}

fn named(id: &ResourceId, key: &str) -> ResourceId {
    ResourceId { key: key.into(), ..id.clone() }
}

fn reader() -> Reader {
    let endpoint = Endpoint { url: String::new(), settings: HashMap::new(), secrets: HashMap::new() };
    let shared = Shared::new(Transport::new(&transport::Options::default()).expect("a client"), 4, None);
    let resolve = Arc::new(move || Ok(endpoint.clone()));
    let target = Target { name: "here".into(), platform: &Refusing, resolve, concurrency: None, rate: None };
    Connection::new(target, shared).reader()
}

/// Returns an object of each kind.
fn objects() -> Vec<Desired> {
    let envelope = Envelope {
        name: "x".into(),
        target: "here".into(),
        labels: Arc::default(),
        origin: Origin::new(Sources::default().add("x.yaml", ""), 0..0),
    };
    Refusing.kinds().iter().map(|kind| envelope.desired(kind.name(), Ensure::Present)).collect()
}

#[tokio::test]
async fn what_asks_for_ever_is_ended_and_named() {
    let reader = reader();
    let kinds = Refusing.kinds();
    let objects = objects();
    let state = observe_target(&reader, objects.iter().collect(), Freshness::Replica).await;
    let findings = check(std::slice::from_ref(&reader), &objects).await;
    let endless = |kind: &str| Some(format!("the kind {kind} still asks after 10000 rounds of reads"));
    let stuck = |kind: &str| Some(format!("the kind {kind} came to no result with all that was read"));
    // Together they go on as long as one of them learns anything.
    let together = [endless("Endless"), endless("Deaf"), stuck("Waiting"), None, None];
    let alone = [endless("Endless"), stuck("Deaf"), stuck("Waiting"), None, None];
    let observed = |why: Option<String>| why.map_or_else(ObservedState::absent, ObservedState::Unknown);
    let unread: BTreeSet<_> = together.iter().flatten().map(|why| format!("target here: {why}")).collect();
    assert_eq!(findings.unread, unread);
    for (((kind, desired), together), alone) in kinds.iter().zip(&objects).zip(together).zip(alone) {
        assert_eq!(state.facts.observed(&desired.id), Some(&observed(together)));
        let reread = reread(&reader, *kind, &[(desired, &Value::Null)]).await;
        assert_eq!(reread.get(&desired.id), Some(&observed(alone)), "read back");
    }
}

/// Questions about a plan may have no end either: the plan stays, and what is unknown of it is not taken for nothing.
#[tokio::test]
async fn a_plan_outlives_questions_without_end() {
    let (reader, objects) = (reader(), objects());
    let readers = [reader.clone()];
    let own = |kind: &str| objects.iter().filter(|desired| desired.id.kind == kind).collect::<Vec<_>>();
    let desired = [own("Nosy"), own("Sound")].concat();
    let scopes: Vec<Desired> =
        desired.iter().map(|desired| Desired { id: named(&desired.id, "scope"), ..(*desired).clone() }).collect();
    let mut states = vec![observe_target(&reader, desired, Freshness::Replica).await];
    prune(&readers, &mut states, &scopes).await;
    let pruned = |kind: &str| {
        let scope = scopes.iter().find(|scope| scope.id.kind == kind).expect("there is one");
        states[0].facts.observed(&scope.id).cloned()
    };
    let endless = "the kind Nosy still asks after 10000 rounds of reads";
    assert_eq!(pruned("Nosy"), Some(ObservedState::Unknown(endless.to_owned())));
    assert_eq!(pruned("Sound"), Some(ObservedState::absent()));
    states[0].scopes.clear();
    let mut plan = plan(&states);
    note(&readers, &mut states, &mut plan).await;
    impact(&readers, &mut states, &mut plan).await;
    let trace = trace(&readers, &mut states, &plan).await;
    let told: Vec<_> = plan
        .changes
        .iter()
        .map(|change| {
            let total = plan.impact.iter().find(|total| total.kind == change.id.kind).and_then(|total| total.count);
            (change.id.kind, change.notes.clone(), total, trace.of(&change.id, None).deed)
        })
        .collect();
    let note = format!("find out what else has to be done: {endless}");
    let expected = [("Nosy", vec![note], None, Deed::Unknown), ("Sound", Vec::new(), Some(0), Deed::Never)];
    assert_eq!(told, expected);
}
