//! What windows and suspensions hold back: it is observed and reported, and nothing is sent for it.

use std::{
    collections::{HashMap, HashSet},
    future,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::sleep;

use crate::{
    model::{Desired, ResourceId, policy::Policy},
    plan::{
        Plan, TargetState,
        hold::{Hold, Holds},
    },
};

/// The longest sleep before the wall clock is looked at again: it may be set, and a machine may have slept.
const LOOK: Duration = Duration::from_secs(10);

/// Most turns that are looked at to find the one that closes on a run.
const TURNS: usize = 20;

/// Why objects are held back, by the objects.
pub(super) type Held = HashMap<ResourceId, Arc<Hold>>;

/// Lets objects that are held back now be reported only. Returns them with the reasons.
pub(super) fn hold_back(desired: &mut [Desired], holds: &Holds, now: Timestamp) -> Held {
    let (mut holds, mut held) = (holds.at(now), Held::new());
    for object in desired.iter_mut().filter(|object| object.policies.any(Policy::Enforce)) {
        if let Some(hold) = holds.of(object) {
            object.policies.restrict(Policy::Report);
            held.insert(object.id.clone(), hold);
        }
    }
    held
}

/// Returns the first time at which one of the changes of a plan comes to be held back; `None` if that is far.
pub(super) fn closing(plan: &Plan, states: &[TargetState<'_>], holds: &Holds) -> Option<Timestamp> {
    let changed: HashSet<&ResourceId> = plan.changes.iter().map(|change| &change.id).collect();
    let desired: Vec<&Desired> =
        states.iter().flat_map(TargetState::declared).filter(|object| changed.contains(&object.id)).collect();
    let mut time = Timestamp::now();
    for _ in 0..TURNS {
        time = holds.next_turn(desired.iter().copied(), time)?;
        let mut at = holds.at(time);
        if desired.iter().any(|object| at.of(object).is_some()) {
            return Some(time);
        }
    }
    None
}

/// Waits until a time of the wall clock; for ever without one.
pub(super) async fn until(time: Option<Timestamp>) {
    let Some(time) = time else { return future::pending().await };
    while let Ok(left) = Duration::try_from(time.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        sleep(left.min(LOOK)).await;
    }
}
