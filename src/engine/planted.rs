//! Deliberate mistakes, one at a time, by which tests show that rehearsals find such. Builds for release have none.

use std::cell::Cell;

/// A mistake that an engine like this one could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A lost answer counts as success.
    LostIsApplied,
    /// A lost answer counts as a refusal.
    LostIsRefused,
    /// A refusal counts as success.
    RefusedIsApplied,
    /// An object that could not be read back counts as written.
    UnreadIsApplied,
    /// An object that could not be read back counts as removed.
    UnreadIsRemoved,
    /// A write whose answer got lost is repeated without a look.
    BlindRepeat,
    /// Objects are not read again right before their calls.
    NoRecheck,
    /// An object that somebody else changed is written over.
    StaleIsSent,
    /// A value that was not stored counts as stored.
    DroppedIsApplied,
    /// What was accepted is not read back.
    AcceptedIsApplied,
    /// The id of one created object is taken for that of another.
    MixedIds,
    /// A call that came too late counts as made.
    LateIsApplied,
    /// A call to a target that is down counts as made.
    UnsentIsApplied,
    /// A resumed run takes calls that were about to leave for made.
    IntentIsApplied,
    /// A resumed run takes what was not begun for made.
    UntouchedIsApplied,
    /// An outcome is recorded before the call was answered.
    EarlyOutcome,
    /// Calls leave before they are recorded.
    NoIntent,
    /// A request without an answer counts as one that did not arrive.
    TimeoutIsUnsent,
    /// An answer that cannot be read counts as one to a request that was not carried out.
    GarbageIsUnsent,
    /// A call is made twice.
    SentTwice,
    /// Calls do not wait for those that they depend on.
    NoOrder,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::LostIsApplied,
        Self::LostIsRefused,
        Self::RefusedIsApplied,
        Self::UnreadIsApplied,
        Self::UnreadIsRemoved,
        Self::BlindRepeat,
        Self::NoRecheck,
        Self::StaleIsSent,
        Self::DroppedIsApplied,
        Self::AcceptedIsApplied,
        Self::MixedIds,
        Self::LateIsApplied,
        Self::UnsentIsApplied,
        Self::IntentIsApplied,
        Self::UntouchedIsApplied,
        Self::EarlyOutcome,
        Self::NoIntent,
        Self::TimeoutIsUnsent,
        Self::GarbageIsUnsent,
        Self::SentTwice,
        Self::NoOrder,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Plants a mistake in the engine as far as it runs on this thread, or removes it. Builds for release ignore it.
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// Returns true if a mistake is planted on this thread.
pub(crate) fn has(mistake: Mistake) -> bool {
    cfg!(debug_assertions) && PLANTED.get() == Some(mistake)
}
