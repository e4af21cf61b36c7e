//! Decides what became of a call once its object was read back. Pure: the tables of the tests are the rules.

use crate::{
    engine::planted::{self, Mistake},
    model::{Live, ObservedState, Outcome, Refusal},
    provider::SyncProgress,
};

/// The result of a call, or that it has none yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// The object is done with.
    Finish(Outcome),
    /// The call was not carried out, and is sent again.
    SendAgain,
}

/// Decides on a deletion. `lost` is the refusal of a call whose answer got lost.
pub(super) fn decide_deletion(
    observed: Option<&ObservedState>,
    lost: Option<&Refusal>,
    may_send_again: bool,
) -> Decision {
    let outcome = match (observed, lost) {
        (Some(ObservedState::Absent { .. }), _) => Outcome::Applied,
        (Some(ObservedState::Unknown(_)), _) if planted::has(Mistake::UnreadIsRemoved) => Outcome::Applied,
        (Some(ObservedState::Found(_)), Some(_)) if may_send_again => return Decision::SendAgain,
        (Some(ObservedState::Found(_)), None) => {
            Outcome::NotApplied("its removal was accepted, but it is still there".to_owned())
        }
        (_, Some(refusal)) => Outcome::Unknown(refusal.to_string()),
        (Some(ObservedState::Unknown(why)), None) => {
            Outcome::Unknown(format!("its removal was accepted, but it could not be read back: {why}"))
        }
        (_, None) => Outcome::Unknown("it was not read back".to_owned()),
    };
    Decision::Finish(outcome)
}

/// Decides on a sync, whose task was waited for. `unfinished` says why one that is not over is not waited for any more.
pub(super) fn decide_sync(
    observed: Option<&ObservedState>,
    is_in_sync: bool,
    progress: &SyncProgress,
    lost: Option<&Refusal>,
    may_send_again: bool,
    unfinished: impl Fn(&str) -> String,
) -> Decision {
    let outcome = match (observed, progress, lost) {
        (Some(ObservedState::Found(_)), ..) if is_in_sync => Outcome::Applied,
        (Some(ObservedState::Found(_)), SyncProgress::Working(status), _) => Outcome::Unknown(unfinished(status)),
        (Some(ObservedState::Found(_)), _, Some(_)) if may_send_again => return Decision::SendAgain,
        (_, _, Some(refusal)) => Outcome::Unknown(refusal.to_string()),
        (Some(ObservedState::Found(_)), SyncProgress::Failed(why), None) => Outcome::NotApplied(why.clone()),
        (Some(ObservedState::Found(_)), SyncProgress::Idle, None) => {
            Outcome::NotApplied("its task is over, and it still differs".to_owned())
        }
        (Some(ObservedState::Unknown(why)), _, None) => {
            Outcome::Unknown(format!("it was accepted, but could not be read back: {why}"))
        }
        (_, _, None) => Outcome::NotApplied("it was accepted, but it does not follow any more".to_owned()),
    };
    Decision::Finish(outcome)
}

/// Decides on a creation or an update. `judge` compares the live object with the desired one.
pub(super) fn decide_write(
    observed: Option<&ObservedState>,
    lost: Option<&Refusal>,
    may_send_again: bool,
    judge: impl FnOnce(&Live) -> Outcome,
) -> Decision {
    let outcome = match (observed, lost) {
        (Some(ObservedState::Found(live)), None) => judge(live),
        (Some(ObservedState::Found(live)), Some(refusal)) => match judge(live) {
            outcome if outcome.converged() => outcome,
            _ if may_send_again => return Decision::SendAgain,
            _ => Outcome::Unknown(refusal.to_string()),
        },
        (Some(ObservedState::Absent { .. }), None) => {
            Outcome::NotApplied("it was accepted, but the object is not there".to_owned())
        }
        // A creation whose answer got lost may still be under way: it is not sent again.
        (_, Some(refusal)) => Outcome::Unknown(refusal.to_string()),
        (Some(ObservedState::Unknown(why)), None) => {
            Outcome::Unknown(format!("it was accepted, but could not be read back: {why}"))
        }
        (_, None) => Outcome::Unknown("it was accepted, but not found again".to_owned()),
    };
    Decision::Finish(outcome)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found() -> ObservedState {
        ObservedState::Found(Live::new(json!(1), "bk_switch #1", crate::model::LiveFields::new()))
    }

    fn absent() -> ObservedState {
        ObservedState::absent()
    }

    /// Returns what a decision comes to, in a word and with its reason.
    fn words(decision: Decision) -> String {
        match decision {
            Decision::SendAgain => "send again".to_owned(),
            Decision::Finish(Outcome::NotApplied(why)) => format!("not_applied: {why}"),
            Decision::Finish(Outcome::Unknown(why)) => format!("unknown: {why}"),
            Decision::Finish(outcome) => outcome.name().to_owned(),
        }
    }

    #[test]
    fn deletions() {
        let unread = ObservedState::Unknown("down".to_owned());
        let lost = Refusal::new(None, "no answer");
        let check = |observed: Option<&ObservedState>, is_lost: bool, may_send_again: bool, expected: &str| {
            let decision = decide_deletion(observed, Some(&lost).filter(|_| is_lost), may_send_again);
            assert_eq!(words(decision), expected, "{observed:?}, lost: {is_lost}, again: {may_send_again}");
        };
        for may_send_again in [false, true] {
            check(Some(&absent()), false, may_send_again, "applied");
            check(Some(&absent()), true, may_send_again, "applied");
            check(
                Some(&found()),
                false,
                may_send_again,
                "not_applied: its removal was accepted, but it is still there",
            );
            check(Some(&unread), true, may_send_again, "unknown: no answer");
            let why = "unknown: its removal was accepted, but it could not be read back: down";
            check(Some(&unread), false, may_send_again, why);
            check(None, true, may_send_again, "unknown: no answer");
            check(None, false, may_send_again, "unknown: it was not read back");
        }
        check(Some(&found()), true, true, "send again");
        check(Some(&found()), true, false, "unknown: no answer");
    }

    #[test]
    fn syncs() {
        let lost = Refusal::new(None, "no answer");
        let check =
            |observed: &ObservedState, in_sync: bool, progress: &SyncProgress, is_lost: bool, expected: &str| {
                let lost = Some(&lost).filter(|_| is_lost);
                let unfinished = |status: &str| format!("still {status}");
                for again in [false, true] {
                    let decision = decide_sync(Some(observed), in_sync, progress, lost, again, unfinished);
                    let expected =
                        if again { expected.replace("unknown: no answer", "send again") } else { expected.to_owned() };
                    assert_eq!(
                        words(decision),
                        expected,
                        "{observed:?}, {in_sync}, {progress:?}, lost: {is_lost}, {again}"
                    );
                }
            };
        let (idle, working) = (SyncProgress::Idle, SyncProgress::Working("new".to_owned()));
        let failed = SyncProgress::Failed("it failed".to_owned());
        for is_lost in [false, true] {
            for progress in [&idle, &failed, &working] {
                check(&found(), true, progress, is_lost, "applied");
            }
            check(&found(), false, &working, is_lost, "unknown: still new");
        }
        check(&found(), false, &idle, false, "not_applied: its task is over, and it still differs");
        check(&found(), false, &failed, false, "not_applied: it failed");
        check(&found(), false, &idle, true, "unknown: no answer");
        check(&found(), false, &failed, true, "unknown: no answer");
        check(&absent(), false, &idle, false, "not_applied: it was accepted, but it does not follow any more");
        let unread = ObservedState::Unknown("down".to_owned());
        check(&unread, false, &idle, false, "unknown: it was accepted, but could not be read back: down");
    }

    #[test]
    fn writes() {
        let unread = ObservedState::Unknown("down".to_owned());
        let lost = Refusal::new(None, "no answer");
        let check = |observed: Option<&ObservedState>, is_lost: bool, again: bool, judged: Outcome, expected: &str| {
            let decision = decide_write(observed, Some(&lost).filter(|_| is_lost), again, |_| judged.clone());
            assert_eq!(words(decision), expected, "{observed:?}, lost: {is_lost}, again: {again}, {judged:?}");
        };
        let dropped = || Outcome::Dropped(Vec::new());
        for again in [false, true] {
            check(Some(&found()), false, again, Outcome::Applied, "applied");
            check(Some(&found()), false, again, dropped(), "dropped");
            check(Some(&found()), true, again, Outcome::Applied, "applied");
            check(Some(&found()), true, again, Outcome::Normalised(Vec::new()), "normalised");
            let gone = "not_applied: it was accepted, but the object is not there";
            check(Some(&absent()), false, again, Outcome::Applied, gone);
            // Its creation may still be under way.
            check(Some(&absent()), true, again, Outcome::Applied, "unknown: no answer");
            check(Some(&unread), true, again, Outcome::Applied, "unknown: no answer");
            let why = "unknown: it was accepted, but could not be read back: down";
            check(Some(&unread), false, again, Outcome::Applied, why);
            check(None, true, again, Outcome::Applied, "unknown: no answer");
            check(None, false, again, Outcome::Applied, "unknown: it was accepted, but not found again");
        }
        check(Some(&found()), true, true, dropped(), "send again");
        check(Some(&found()), true, false, dropped(), "unknown: no answer");
    }
}
