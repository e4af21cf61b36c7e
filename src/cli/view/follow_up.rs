//! Steps that a run leaves to people, in words.

use super::plain::count;

pub(in crate::cli) use crate::plan::follow_up::{FollowUp, follow_ups};

/// Says in one line how many steps are left.
pub(super) fn headline(steps: usize) -> String {
    let is = if steps == 1 { "is" } else { "are" };
    format!("{} {is} left", count(steps, "manual follow-up"))
}
