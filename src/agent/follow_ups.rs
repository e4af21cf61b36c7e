//! The manual follow-ups that the log already tells of: one that stays is said once, however many passes find it.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{Outcome, ResourceId},
    plan::{
        Plan,
        follow_up::{FollowUp, follow_ups},
    },
};

/// The follow-ups that stayed, by the objects that wait for them.
#[derive(Debug, Default)]
pub(super) struct FollowUps(HashMap<ResourceId, HashSet<String>>);

impl FollowUps {
    /// Notes what a pass leaves to people and returns what of it is news. `is_known` is false for an object that it did
    /// not look at.
    pub(super) fn news<'p>(
        &mut self,
        plan: &'p Plan,
        outcomes: &[(ResourceId, Outcome)],
        is_known: impl Fn(&ResourceId) -> bool,
    ) -> Vec<FollowUp<'p>> {
        let stays: HashSet<&ResourceId> =
            outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Manual(_))).map(|(id, _)| id).collect();
        let steps = follow_ups(plan, Some(outcomes));
        let mut open: HashMap<ResourceId, HashSet<String>> = HashMap::new();
        for step in &steps {
            for id in step.objects.iter().filter(|id| stays.contains(*id)) {
                open.entry((*id).clone()).or_default().insert(step.text.to_owned());
            }
        }
        let said = std::mem::take(&mut self.0);
        // What a change that was made leaves to do is said with each such change.
        let is_said = |id: &ResourceId, text: &str| said.get(id).is_some_and(|texts| texts.contains(text));
        let is_new = |step: &FollowUp<'_>| step.objects.iter().any(|id| !is_said(id, step.text));
        let news = steps.into_iter().filter(is_new).collect();
        self.0 = open;
        self.0.extend(said.into_iter().filter(|(id, _)| !is_known(id)));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::said::tests::change, model::Change};

    #[test]
    fn what_stays_is_said_once() {
        let of = |text: &str| Plan {
            changes: vec![Change { notes: vec![text.to_owned()], ..change(1) }],
            ..Plan::default()
        };
        let mut said = FollowUps::default();
        let mut check = |plan: &Plan, outcome: Option<Outcome>, is_known: bool, expected: usize| {
            let outcomes: Vec<_> = outcome.into_iter().map(|outcome| (change(1).id, outcome)).collect();
            let news = said.news(plan, &outcomes, |_| is_known);
            assert_eq!(news.len(), expected, "{news:?}");
        };
        let manual = || Some(Outcome::Manual("no such operation".to_owned()));
        check(&of("sync a"), manual(), true, 1);
        check(&of("sync a"), manual(), true, 0);
        check(&of("sync b"), manual(), true, 1);
        check(&Plan::default(), None, false, 0);
        check(&of("sync b"), manual(), true, 0);
        check(&Plan::default(), None, true, 0);
        check(&of("sync b"), manual(), true, 1);
        // A change that is made again leaves the same to do again.
        check(&of("sync c"), Some(Outcome::Applied), true, 1);
        check(&of("sync c"), Some(Outcome::Applied), true, 1);
        // What was not made leaves nothing to do.
        check(&of("sync d"), Some(Outcome::Stale), true, 0);
    }
}
