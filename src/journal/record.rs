//! The records of a run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunOrigin;
use crate::model::Outcome;

/// Version of the records: the number before the dot changes when a key goes or changes its meaning.
pub const FORMAT_VERSION: &str = "2.0";

/// A record with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written, by the clock of the machine.
    pub time: Timestamp,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// The first record of each run.
    Run(Box<RunRecord>),
    /// A call is about to be sent. It is on the disk before the call leaves.
    Intent(Intent),
    /// A change is done with.
    Outcome(OutcomeRecord),
    /// The run was taken up again.
    Resumed(Resumed),
    /// A change whose call had no recorded outcome was settled by reading.
    Settled(Settled),
    /// The last record of each run that came to an orderly end.
    Ended(Ended),
}

/// The beginning of a run: who is about to carry out which plan, where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of the records.
    pub format_version: String,
    /// The id of the run.
    pub run: String,
    /// The user, the machine and the commit.
    pub origin: RunOrigin,
    /// The process.
    pub pid: u32,
    /// The targets of the plan.
    pub targets: Vec<TargetRecord>,
    /// SHA-256 over the manifests that the plan was made from; `None` for a saved plan that does not say.
    pub manifests: Option<String>,
    /// The digest of `plan.json`.
    pub plan: Option<String>,
    /// The text that acknowledges this plan and no other.
    pub acknowledgement: Option<String>,
    /// True if that text was given.
    pub acknowledged: bool,
    /// The limits that the plan exceeds, in words.
    pub limits: Vec<String>,
    /// The changes that windows and suspensions held back, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// Why they were made all the same; `None` if nobody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
    /// The saved plan that was given, where one was.
    pub file: Option<String>,
    /// The effects of the plan in numbers.
    pub counts: ActionCounts,
}

/// A target of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Its name in the configuration.
    pub name: String,
    /// The name of its platform.
    pub platform: String,
    /// A digest of where it leads to: the same for each name of the same server.
    pub key: String,
}

/// The number of changes of a plan by their actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActionCounts {
    /// The number of objects that are created.
    pub create: usize,
    /// The number of objects that are updated.
    pub update: usize,
    /// The number of objects that are deleted.
    pub delete: usize,
    /// The number of objects that are synced.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sync: usize,
}

/// Runs without a sync look as they did before there were any.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A call that is about to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The number of the call in `plan.json`, from 0.
    pub call: usize,
    /// The number of the attempt, from 1.
    pub attempt: usize,
    /// The target.
    pub target: String,
    /// The name of the operation.
    pub operation: String,
    /// The keyed digest of the arguments that are sent.
    pub body: String,
    /// The objects that the call serves.
    pub objects: Vec<IntendedChange>,
}

/// A change that a call is to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntendedChange {
    /// The address of the object.
    pub address: String,
    /// The digest of what the call rests on.
    pub precondition: String,
    /// The fields; of an object that is deleted those that it had. Left out in all attempts but the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// The two values of a field. A value that holds a secret is replaced by its keyed digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The path, such as `bk_inst_name`.
    pub path: String,
    /// The live value; null where there was none.
    pub from: Value,
    /// The value that is sent; null where the field goes.
    pub to: Value,
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// The address of the object.
    pub address: String,
    /// The name of the outcome, such as `applied`.
    pub outcome: String,
    /// More about it, such as the reason of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The fields that were read back otherwise than sent: `from` is what was sent of a normalised field, else what was
    /// there; `to` is what is stored of a normalised field, else what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// The ids of an object that was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Value>,
    /// The time from sending to the answer, in milliseconds.
    pub took_ms: u64,
}

/// The return to a run that was broken off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// The user, the machine and the command.
    pub origin: RunOrigin,
    /// The process.
    pub pid: u32,
    /// True if nothing is sent any more.
    pub abandon: bool,
}

/// A change that was settled by reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The address of the object.
    pub address: String,
    /// What reading showed.
    pub verdict: SettledVerdict,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The ids of the object, where it was created and found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Value>,
    /// The id of the run that settled it; that of the run itself where `resume` did.
    pub by: String,
}

/// The result of looking at an object whose change may or may not have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettledVerdict {
    /// The change was made: the object is as planned.
    Made,
    /// The change was not made: the object is as it was before.
    NotMade,
    /// The object is neither as planned nor as it was before.
    Overtaken,
    /// The object could not be read.
    Unknown,
}

impl SettledVerdict {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::NotMade => "not_made",
            Self::Overtaken => "overtaken",
            Self::Unknown => "unknown",
        }
    }
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How it ended.
    pub verdict: Verdict,
    /// How many changes came to each outcome.
    #[serde(default)]
    pub outcomes: std::collections::BTreeMap<String, usize>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each change was made.
    Converged,
    /// Some changes were made, or what became of some is unknown.
    Partial,
    /// No change was made.
    Failed,
    /// The plan exceeds limits: nothing was sent.
    Refused,
    /// Objects of a saved plan have moved since: nothing was sent, or they were left as they are.
    Stale,
    /// A signal ended it: calls in flight were waited for.
    Interrupted,
    /// Broken off, and closed without writing.
    Abandoned,
}

impl Verdict {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }

    /// Returns the verdict on a run with these outcomes.
    pub fn of<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Self {
        let (mut all, mut converged, mut stale, mut unknown, mut interrupted) = (0, 0, false, false, false);
        for outcome in outcomes {
            // A change that is left to people is no failure of the run.
            all += usize::from(!matches!(outcome, Outcome::Manual(_)));
            converged += usize::from(outcome.converged());
            stale |= *outcome == Outcome::Stale;
            unknown |= matches!(outcome, Outcome::Unknown(_));
            interrupted |= *outcome == Outcome::Interrupted;
        }
        if converged == all {
            Self::Converged
        } else if interrupted {
            Self::Interrupted
        } else if stale && !unknown {
            Self::Stale
        } else if converged > 0 || unknown {
            Self::Partial
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Refusal, ResourceId};

    #[test]
    fn verdicts() {
        let check = |outcomes: &[Outcome], expected: Verdict| assert_eq!(Verdict::of(outcomes), expected);
        let refused = || Outcome::Refused(Refusal::new(None, "no"));
        check(&[], Verdict::Converged);
        check(&[Outcome::Applied, Outcome::AlreadyTrue], Verdict::Converged);
        check(&[Outcome::Applied, refused()], Verdict::Partial);
        check(&[refused(), Outcome::Skipped(ResourceId::new("Instance", "x"))], Verdict::Failed);
        check(&[Outcome::Applied, Outcome::Stale], Verdict::Stale);
        check(&[Outcome::Unknown(String::new()), Outcome::Stale], Verdict::Partial);
        check(&[Outcome::Applied, Outcome::Interrupted], Verdict::Interrupted);
    }
}
