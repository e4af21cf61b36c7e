//! Parts of roll-outs: which need a sync, now or once other changes of the run are made, and in which wave.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Candidate, Cause, TargetState, edges, order, policy, trouble};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Change, CreateContext, Desired, FieldChange, Live, ObservedState, ResourceId, Wave, policy::Policy,
    },
    provider::{Kind, ProposedChange, Rollout, SyncNeed},
};

/// Returns true if an object is a part of a roll-out.
pub(super) fn is_part(kind: &dyn Kind, desired: &Desired) -> bool {
    kind.rollout().is_some_and(|rollout| rollout.is_part(desired))
}

/// Adds the parts that need a sync to the candidates, each wave behind the one before it and all behind what puts them
/// out of sync.
pub(super) fn add<'s>(
    state: &'s TargetState<'_>,
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
    reported: &mut BTreeMap<&'s ResourceId, Change>,
) {
    let mut groups: Vec<(ResourceId, &'static dyn Kind, Vec<&'s Desired>)> = Vec::new();
    for desired in state.objects().filter(|desired| desired.id.part.is_some() && desired.selected) {
        let Some(kind) = state.kind(&desired.id).filter(|kind| is_part(*kind, desired)) else { continue };
        let document = desired.id.document();
        match groups.iter_mut().rev().find(|(id, ..)| *id == document) {
            Some((.., parts)) => parts.push(desired),
            None => groups.push((document, kind, vec![desired])),
        }
    }
    for (_, kind, parts) in groups {
        let Some(rollout) = kind.rollout() else { continue };
        Group { state, kind, rollout }.add(&parts, candidates, blocked, reported);
    }
}

/// The parts that one document rolls out.
struct Group<'s, 't> {
    state: &'s TargetState<'t>,
    kind: &'static dyn Kind,
    rollout: &'s dyn Rollout,
}

/// A part that needs a sync.
struct Needed<'s> {
    desired: &'s Desired,
    live: &'s Live,
    fields: Vec<FieldChange>,
}

impl<'s> Group<'s, '_> {
    fn add(
        &self,
        parts: &[&'s Desired],
        candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
        blocked: &mut BTreeMap<&'s ResourceId, Cause>,
        reported: &mut BTreeMap<&'s ResourceId, Change>,
    ) {
        let mut live: Vec<(&'s Desired, &'s Live)> = Vec::new();
        for desired in parts {
            match self.state.facts.observed(&desired.id) {
                Some(ObservedState::Found(found)) => live.push((desired, found)),
                Some(other) => blocked.extend(trouble(other).map(|cause| (&desired.id, cause))),
                None => {}
            }
        }
        let Some((_, sample)) = live.first() else { return };
        self.block_handed_on(sample, candidates, blocked);
        let document = parts.first().map(|part| part.id.document());
        let own = document.as_ref().and_then(|document| candidates.get(document));
        let (before, is_disturbed) = self.before(sample, document.as_ref(), candidates);
        live.retain(|(_, live)| !self.goes(live, candidates));
        let is_put_out = |live: &Live| {
            (is_disturbed && self.rollout.is_in_use(live))
                || own.is_some_and(|own| self.need(own, live) == SyncNeed::Sync)
        };
        let mut needed = Vec::new();
        for (desired, live) in live {
            match desired.policies.object {
                Policy::Ignore => {}
                Policy::Report => match policy::reported(self.state, self.kind, desired, false) {
                    Ok(change) => {
                        let sync = change.map(|change| (&desired.id, Change { action: Action::Sync, ..change }));
                        reported.extend(sync);
                    }
                    Err(cause) => drop(blocked.insert(&desired.id, cause)),
                },
                Policy::Enforce => match self.kind.compare(desired, Some(live), &self.state.facts) {
                    Err(problems) => drop(blocked.insert(&desired.id, Cause::Wrong(problems))),
                    Ok(fields) if fields.is_empty() && !is_put_out(live) => {}
                    Ok(fields) => needed.push(Needed { desired, live, fields }),
                },
            }
        }
        self.add_waves(needed, &before, candidates);
    }

    /// Blocks changes that take a unique value which another one frees in the same run: one sync carries both over, in
    /// an order of its own, so it might fail. Values that go round are a matter of all changes, not of syncs.
    fn block_handed_on(
        &self,
        sample: &Live,
        candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
        blocked: &mut BTreeMap<&'s ResourceId, Cause>,
    ) {
        let synced = || candidates.values().filter(|candidate| self.need(candidate, sample) == SyncNeed::Sync);
        let mut givers: HashMap<String, &'s ResourceId> = HashMap::new();
        for candidate in synced().filter(|candidate| candidate.action == Action::Update) {
            let Some(kind) = self.state.kind(&candidate.desired.id) else { continue };
            let keys = kind.unique_keys(candidate.desired, candidate.live, candidate.context, &self.state.facts);
            let given = keys.current.into_iter().filter(|key| !keys.desired.contains(key));
            givers.extend(given.map(|key| (key, &candidate.desired.id)));
        }
        let taken = |id: &ResourceId| -> Option<(&'s ResourceId, &String)> {
            let wanted = &candidates.get(id)?.wanted;
            wanted.iter().find_map(|key| Some((*givers.get(key)?, key))).filter(|(giver, _)| *giver != id)
        };
        let mut wrong = Vec::new();
        for candidate in synced() {
            let id = &candidate.desired.id;
            let Some((giver, key)) = taken(id) else { continue };
            let mut chain = std::iter::successors(Some(giver), |other| Some(taken(other)?.0)).take(givers.len());
            if !chain.any(|other| other == id) {
                let origin = candidate.fields.first().map_or(&candidate.desired.origin, |field| &field.because);
                let message = format!("{id} is to have {key}, which {giver} frees: one sync cannot do both");
                let hint = "apply the other change first; once it is rolled out, this one can follow";
                wrong.push((id, Diagnostic::error("P144", message, origin).hint(hint)));
            }
        }
        for (id, diagnostic) in wrong {
            candidates.remove(id);
            blocked.insert(id, Cause::Wrong(vec![diagnostic]));
        }
    }

    /// Returns true if a part is removed in this run.
    fn goes(&self, part: &Live, candidates: &BTreeMap<&'s ResourceId, Candidate<'s>>) -> bool {
        let mut deletes = candidates.values().filter(|candidate| candidate.action == Action::Delete);
        deletes.any(|candidate| self.need(candidate, part) == SyncNeed::Gone)
    }

    fn need(&self, candidate: &Candidate<'_>, part: &Live) -> SyncNeed {
        let Candidate { desired, action, live, context, fields, .. } = candidate;
        let proposed = ProposedChange { desired, live: *live, context, action: *action, fields };
        self.state.kind(&desired.id).map_or(SyncNeed::None, |kind| kind.sync_need(&proposed, part))
    }

    /// Returns the changes that come before a sync, and true if one of them makes it needed for all that are in use. Of
    /// the document's own object each part is asked.
    fn before(
        &self,
        sample: &Live,
        document: Option<&ResourceId>,
        candidates: &BTreeMap<&'s ResourceId, Candidate<'s>>,
    ) -> (BTreeSet<ResourceId>, bool) {
        let (mut before, mut is_disturbed) = (BTreeSet::new(), false);
        for (id, candidate) in candidates {
            let need = self.need(candidate, sample);
            if need > SyncNeed::None {
                before.insert((*id).clone());
                is_disturbed |= need == SyncNeed::Sync && document != Some(*id);
            }
        }
        (before, is_disturbed)
    }

    fn add_waves(
        &self,
        needed: Vec<Needed<'s>>,
        before: &BTreeSet<ResourceId>,
        candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    ) {
        let last = last(before, candidates);
        // Modules that are left to people have no waves.
        let (manual, needed): (Vec<_>, Vec<_>) =
            needed.into_iter().partition(|needed| self.rollout.unavailable(needed.live).is_some());
        for needed in manual {
            candidates.insert(&needed.desired.id, candidate(needed, last.clone(), None));
        }
        let desired: Vec<&Desired> = needed.iter().map(|needed| needed.desired).collect();
        let waves = self.rollout.waves(&desired);
        let of = waves.iter().max().map_or(0, |last| last + 1);
        let mut members: Vec<Vec<ResourceId>> = vec![Vec::new(); of];
        for (needed, number) in needed.iter().zip(&waves) {
            members[*number].push(needed.desired.id.clone());
        }
        for (needed, number) in needed.into_iter().zip(waves) {
            // A wave waits for all that any of its parts waits for: the first names the whole, and for the others one
            // name is enough to put them behind it.
            let is_first = members[number].first() == Some(&needed.desired.id);
            let after: BTreeSet<ResourceId> = match number.checked_sub(1).map(|earlier| &members[earlier]) {
                None if is_first => before.clone(),
                None => last.iter().cloned().collect(),
                Some(earlier) => earlier.iter().take(if is_first { usize::MAX } else { 1 }).cloned().collect(),
            };
            let wave = Wave { number: number + 1, of };
            candidates.insert(&needed.desired.id, candidate(needed, after, Some(wave)));
        }
    }
}

/// Returns those of some candidates that come last: one is enough, where it is known which.
fn last(some: &BTreeSet<ResourceId>, candidates: &BTreeMap<&ResourceId, Candidate<'_>>) -> BTreeSet<ResourceId> {
    if some.len() < 2 {
        return some.clone();
    }
    // What waits for itself is told elsewhere.
    let Ok(levels) = order::levels(&edges(candidates)) else { return some.clone() };
    let last = levels.iter().rev().flatten().find(|id| some.contains(*id));
    last.into_iter().cloned().collect()
}

fn candidate(needed: Needed<'_>, after: BTreeSet<ResourceId>, wave: Option<Wave>) -> Candidate<'_> {
    Candidate {
        desired: needed.desired,
        action: Action::Sync,
        live: Some(needed.live),
        key_conflicts: &[],
        context: CreateContext::none(),
        fields: needed.fields,
        wanted: Vec::new(),
        after,
        wave,
    }
}
