//! An acknowledgement lets its own plan pass, and no other: random pairs of plans, most of them one small change apart.
//!
//! 1,000 pairs, or as many as `PROPTEST_CASES` says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use reconcile::{
    manifest::{self, Discovery, Targets, Variables},
    model::{Desired, Ensure, FieldPath, Live, ObservedState, Request, ResourceId},
    plan::{
        Plan, TargetState,
        guard::{self, Limit, Limits, Safety},
        plan,
    },
    platform::bk_cmdb::BkCmdb,
    provider::{Facts, Platform},
    source::Sources,
};
use serde_json::{Value, json};

static PLATFORMS: [&dyn Platform; 1] = [&BkCmdb];
const TARGETS: [&str; 2] = ["a", "b"];
const MODELS: [&str; 2] = ["bk_switch", "bk_rack"];
const FIELDS: [&str; 3] = ["ports", "units", "slots"];

/// An instance with what is declared of it and what is live.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Object {
    name: u8,
    target: usize,
    model: usize,
    id: i64,
    removed: bool,
    /// No document declares it.
    implicit: bool,
    declared: [Option<i64>; 3],
    live: [i64; 3],
}

/// Objects in the order of their documents, how these are laid out, and their impact.
#[derive(Debug, Clone)]
struct World {
    objects: Vec<Object>,
    files: usize,
    reversed: bool,
    comment: bool,
    hosts: Option<u64>,
    associations: Option<u64>,
}

/// The most associations below that pass; hosts have no limit.
const MOST: u64 = 2;

fn object() -> impl Strategy<Value = Object> {
    let numbers = || prop::array::uniform3(0..3_i64);
    let declared = prop::array::uniform3(prop::option::weighted(0.7, 0..3_i64));
    let shape = (0..6_u8, 0..2_usize, 0..2_usize, 1..4_i64, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (shape, declared, numbers()).prop_map(|((name, target, model, id, removed, implicit), declared, live)| Object {
        name,
        target,
        model,
        id,
        removed: removed || implicit,
        implicit,
        declared,
        live,
    })
}

fn world() -> impl Strategy<Value = World> {
    let below = || prop::option::weighted(0.8, 0..6_u64);
    (vec(object(), 0..6), 1..4_usize, any::<bool>(), any::<bool>(), below(), below()).prop_map(
        |(objects, files, reversed, comment, hosts, associations)| World {
            objects,
            files,
            reversed,
            comment,
            hosts,
            associations,
        },
    )
}

/// One small change; some of them change nothing that is done.
#[derive(Debug, Clone)]
enum Slip {
    Layout(usize, bool, bool),
    Rotate(usize),
    Hosts(Option<u64>),
    Associations(Option<u64>),
    Declared(usize, usize, Option<i64>),
    Live(usize, usize, i64),
    Id(usize, i64),
    Name(usize, u8),
    Target(usize),
    Model(usize),
    Removed(usize),
    Unasked(usize),
    Drop(usize),
    Add(Object),
    /// Two objects change their declared values for one another's.
    Swap(usize, usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let below = || prop::option::weighted(0.8, 0..6_u64);
    let at = || 0..6_usize;
    prop_oneof![
        (1..4_usize, any::<bool>(), any::<bool>())
            .prop_map(|(files, reversed, comment)| Slip::Layout(files, reversed, comment)),
        at().prop_map(Slip::Rotate),
        below().prop_map(Slip::Hosts),
        below().prop_map(Slip::Associations),
        (at(), 0..3_usize, prop::option::weighted(0.8, 0..3_i64))
            .prop_map(|(at, field, to)| Slip::Declared(at, field, to)),
        (at(), 0..3_usize, 0..3_i64).prop_map(|(at, field, to)| Slip::Live(at, field, to)),
        (at(), 1..4_i64).prop_map(|(at, to)| Slip::Id(at, to)),
        (at(), 0..6_u8).prop_map(|(at, to)| Slip::Name(at, to)),
        at().prop_map(Slip::Target),
        at().prop_map(Slip::Model),
        at().prop_map(Slip::Removed),
        at().prop_map(Slip::Unasked),
        at().prop_map(Slip::Drop),
        object().prop_map(Slip::Add),
        (at(), at()).prop_map(|(number, other)| Slip::Swap(number, other)),
    ]
}

fn slipped(mut world: World, slip: &Slip) -> World {
    let count = world.objects.len();
    let mut change = |at: usize, change: &dyn Fn(&mut Object)| {
        if count > 0 {
            change(&mut world.objects[at % count]);
        }
    };
    match slip {
        Slip::Layout(files, reversed, comment) => {
            (world.files, world.reversed, world.comment) = (*files, *reversed, *comment);
        }
        Slip::Rotate(by) if count > 0 => world.objects.rotate_left(by % count),
        Slip::Hosts(hosts) => world.hosts = *hosts,
        Slip::Associations(associations) => world.associations = *associations,
        Slip::Declared(at, field, to) => change(*at, &|one| one.declared[*field] = *to),
        Slip::Live(at, field, to) => change(*at, &|one| one.live[*field] = *to),
        Slip::Id(at, to) => change(*at, &|one| one.id = *to),
        Slip::Name(at, to) => change(*at, &|one| one.name = *to),
        Slip::Target(at) => change(*at, &|one| one.target = 1 - one.target),
        Slip::Model(at) => change(*at, &|one| one.model = 1 - one.model),
        Slip::Removed(at) => change(*at, &|one| one.removed = !one.removed),
        Slip::Unasked(at) => change(*at, &|one| (one.implicit, one.removed) = (!one.implicit, true)),
        Slip::Drop(at) if count > 0 => drop(world.objects.remove(at % count)),
        Slip::Add(object) => world.objects.push(object.clone()),
        Slip::Swap(number, other) if count > 0 => {
            let declared = world.objects[other % count].declared;
            world.objects[other % count].declared = world.objects[number % count].declared;
            world.objects[number % count].declared = declared;
        }
        Slip::Rotate(_) | Slip::Drop(_) | Slip::Swap(..) => {}
    }
    world
}

/// Leaves out objects that contradict others: addresses and live objects are there once.
fn sound(mut world: World) -> World {
    let (mut names, mut handles) = (BTreeSet::new(), BTreeSet::new());
    world
        .objects
        .retain(|object| names.insert(object.name) && handles.insert((object.target, object.model, object.id)));
    world.objects.iter_mut().for_each(|object| object.removed |= object.implicit);
    world
}

impl Object {
    fn document(&self, world: &World) -> String {
        let mut fields: Vec<String> = (0..3)
            .filter_map(|field| Some(format!("{}: {}", FIELDS[field], self.declared[field].filter(|_| !self.removed)?)))
            .collect();
        if world.reversed {
            fields.reverse();
        }
        let what =
            if self.removed { "ensure: absent".to_owned() } else { format!("fields: {{{}}}", fields.join(", ")) };
        format!(
            "{}apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: n{}, target: {}}}\nspec: {{model: {}, id: {}, \
             {what}}}\n---\n",
            if world.comment { "# why\n" } else { "" },
            self.name,
            TARGETS[self.target],
            MODELS[self.model],
            self.id,
        )
    }

    fn live(&self) -> Live {
        let fields = (0..3).map(|field| (FieldPath::field(FIELDS[field]), json!(self.live[field]).into())).collect();
        Live::new(json!(self.id), format!("{} #{}", MODELS[self.model], self.id), fields)
    }

    /// Returns the effect of a change, in words of this test: nothing of the program is asked.
    fn effect(&self) -> Option<String> {
        let place = format!("n{} {} {} {}", self.name, TARGETS[self.target], MODELS[self.model], self.id);
        if self.removed {
            return Some(format!("{place} removed {}", self.implicit));
        }
        let differ: Vec<_> = (0..3)
            .filter_map(|field| Some((FIELDS[field], self.live[field], self.declared[field]?)))
            .filter(|(_, live, declared)| live != declared)
            .collect();
        (!differ.is_empty()).then(|| format!("{place} {differ:?}"))
    }
}

/// Returns the effects of a plan, the order of documents aside.
fn effects(world: &World) -> BTreeSet<String> {
    let mut effects: BTreeSet<String> = world.objects.iter().filter_map(Object::effect).collect();
    let changing: BTreeSet<usize> =
        world.objects.iter().filter(|object| object.effect().is_some()).map(|object| object.target).collect();
    if world.associations.is_none_or(|count| count > MOST) {
        effects.extend(changing.iter().map(|target| format!("below {target}: {:?}", world.associations)));
    }
    effects
}

fn definition(facts: &mut Facts) {
    for model in MODELS {
        let request =
            Request { operation: "search_object_attribute", arguments: json!({"bk_obj_id": model}), repeatable: true };
        let attribute = |name: &str| {
            json!({"bk_obj_id": model, "bk_property_id": name, "bk_property_name": name, "bk_property_type": "int",
                "editable": true, "isrequired": false})
        };
        facts.learn(request, Ok(FIELDS.map(attribute).into_iter().collect::<Value>().into()));
    }
}

/// Plans as the program does, and returns the acknowledgement that it prints.
fn acknowledgement(world: &World) -> (Plan, String) {
    let mut sources = Sources::default();
    let asked: Vec<&Object> = world.objects.iter().filter(|object| !object.implicit).collect();
    let files: Vec<_> = (0..world.files)
        .map(|file| {
            let mine = asked.iter().enumerate().filter(|(at, _)| at % world.files == file);
            let text: String = mine.map(|(_, object)| object.document(world)).collect();
            sources.add(format!("{file}.yaml"), text)
        })
        .collect();
    let targets: Targets = TARGETS.map(|name| (name, "bk-cmdb", false)).into_iter().collect();
    let (set, diagnostics) = manifest::decode(
        &sources,
        &Discovery { files, ..Discovery::default() },
        &PLATFORMS,
        &targets,
        &Variables::default(),
    );
    assert!(diagnostics.is_empty() && set.desired.len() == asked.len(), "{diagnostics:?}");
    let by_id: BTreeMap<ResourceId, &Object> =
        world.objects.iter().map(|object| (ResourceId::new("Instance", format!("n{}", object.name)), object)).collect();
    let states: Vec<TargetState<'_>> = (0..TARGETS.len())
        .map(|target| {
            let desired: Vec<&Desired> =
                set.desired.iter().filter(|desired| *desired.target == *TARGETS[target]).collect();
            let mut facts = Facts::default();
            definition(&mut facts);
            let mine = by_id.iter().filter(|(_, object)| object.target == target);
            mine.clone().for_each(|(id, object)| facts.record(id.clone(), ObservedState::Found(object.live())));
            let surplus =
                mine.filter(|(_, object)| object.implicit).map(|(id, object)| surplus(id, object, &mut sources));
            let surplus = surplus.collect();
            TargetState {
                target: TARGETS[target].into(),
                platform: &BkCmdb,
                desired,
                surplus,
                parts: Vec::new(),
                enforced: BTreeMap::new(),
                scopes: Vec::new(),
                remarks: Vec::new(),
                facts,
            }
        })
        .collect();
    let mut plan = plan(&states);
    assert!(plan.blocked.is_empty(), "{:?}", plan.blocked);
    for total in &mut plan.impact {
        match total.unit {
            "hosts" => total.count = world.hosts,
            "associations" => total.count = world.associations,
            _ => {}
        }
    }
    let none = Some(Limit::Count(0));
    let max = [("associations".to_owned(), MOST)].into();
    let safety = Safety {
        all: Limits { changes: none, deletes: none, min_objects: None, max_impact: max },
        ..Safety::default()
    };
    let excesses = guard::excesses(&plan, &safety);
    assert_eq!(excesses.is_empty(), plan.is_empty(), "nothing passes such limits unasked");
    let acknowledgement = guard::acknowledgement(&plan, &excesses);
    (plan, acknowledgement)
}

/// An object that no document declares, as a scope of `prune` finds it.
fn surplus(id: &ResourceId, object: &Object, sources: &mut Sources) -> Desired {
    let file = sources.add("reconcile.yaml".to_owned(), object.document(&World { comment: false, ..EMPTY }));
    let targets: Targets = TARGETS.map(|name| (name, "bk-cmdb", false)).into_iter().collect();
    let (set, _) = manifest::decode(
        sources,
        &Discovery { files: vec![file], ..Discovery::default() },
        &PLATFORMS,
        &targets,
        &Variables::default(),
    );
    let found = set.desired.into_iter().next().expect("it was decoded");
    assert!(found.id == *id && found.ensure == Ensure::Absent);
    found
}

const EMPTY: World =
    World { objects: Vec::new(), files: 1, reversed: false, comment: false, hosts: None, associations: None };

#[test]
fn none_passes_but_its_own() {
    let defaults = Config { failure_persistence: None, ..Config::default() };
    let config = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => defaults,
        None => Config { cases: 1000, rng_seed: RngSeed::Fixed(7), ..defaults },
    };
    let pairs = (world(), vec(slip(), 1..4), prop::option::weighted(0.1, world()));
    let (mut same, mut different) = (0, 0);
    let mut runner = TestRunner::new(config);
    let mut check = |case: World, slips: Vec<Slip>, stranger: Option<World>| -> Result<(), TestCaseError> {
        let world = sound(case);
        let other = stranger.unwrap_or_else(|| slips.iter().fold(world.clone(), slipped));
        let other = sound(other);
        let ((plan, own), (another, given)) = (acknowledgement(&world), acknowledgement(&other));
        prop_assert_eq!(plan.changes.len(), world.objects.iter().filter_map(Object::effect).count());
        let is_same = effects(&world) == effects(&other);
        prop_assert_eq!(own == given, is_same, "{:#?}\n{:#?}", plan.changes, another.changes);
        *(if is_same { &mut same } else { &mut different }) += 1;
        Ok(())
    };
    let check = std::cell::RefCell::new(&mut check);
    let run = runner.run(&pairs, |(world, slips, stranger)| (check.borrow_mut())(world, slips, stranger));
    run.unwrap_or_else(|error| panic!("{error}"));
    let pairs = same + different;
    assert!(same * 10 > pairs && different * 4 > pairs, "the pairs tell little: {different} of {pairs} differ");
}
