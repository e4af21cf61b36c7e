//! Exit codes: other programs rely on them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Planned; converged; valid. With `--detailed-exitcode`: nothing differs.
    Success,
    /// An error, or an object is blocked by one; of `apply` also: objects failed and none was applied.
    Failed,
    /// With `--detailed-exitcode`: there are changes; of `apply`: converged after changes.
    Changes,
    /// The plan exceeds a safety limit that nothing acknowledges, or is held back for now: nothing was sent.
    Refused,
    /// Objects of the plan were changed by somebody else after it had been made: they were left alone.
    Stale,
    /// Something could not be read; of `apply` also: some objects were applied and some failed or are unknown.
    Partial,
    /// The command line is wrong, or nobody could be asked and `--auto-approve` was not given.
    Usage,
    /// Ended by SIGINT, after the calls on their way had ended.
    Interrupted,
    /// Ended by SIGTERM, after the calls on their way had ended.
    Terminated,
}

impl ExitStatus {
    /// Returns the exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Refused => 3,
            Self::Stale => 4,
            Self::Partial => 5,
            Self::Usage => 64,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns the status of a run whose output could not be written: an error, if there was no other.
    pub(super) fn unwritten(self) -> Self {
        if matches!(self, Self::Success | Self::Changes) { Self::Failed } else { self }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Text about exit codes for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    done: planned, converged or valid
  1    an error, or an object is blocked by one
  2    with --detailed-exitcode: there are (plan, drift) or were (apply) changes
  3    refused by a safety limit; of apply also: held back by a window or a suspension
  4    an object was changed by somebody else after it had been planned
  5    partial: something could not be read, or only some objects were applied
  64   wrong usage, or no terminal to ask on and no --auto-approve
  130  interrupted (SIGINT), 143 terminated (SIGTERM)";
