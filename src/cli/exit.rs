//! Exit codes: other programs rely on them.

/// Planned; converged; valid. With `--detailed-exitcode`: nothing differs.
pub const OK: u8 = 0;
/// An error, or an object is blocked by one; of `apply` also: objects failed and none was applied.
pub const ERROR: u8 = 1;
/// With `--detailed-exitcode`: there are changes; of `apply`: converged after changes.
pub const CHANGES: u8 = 2;
/// The plan exceeds a safety limit, and nothing acknowledges it: nothing was sent.
pub const REFUSED: u8 = 3;
/// Objects of the plan were changed by somebody else after it had been made: they were left alone.
pub const STALE: u8 = 4;
/// Something could not be read; of `apply` also: some objects were applied and some failed or are unknown.
pub const PARTIAL: u8 = 5;
/// The command line is wrong, or nobody could be asked and `--auto-approve` was not given.
pub const USAGE: u8 = 64;
/// Ended by SIGINT, after the calls on their way had ended.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM, after the calls on their way had ended.
pub const TERMINATED: u8 = 143;

/// Returns the exit code of a run whose report could not be written: an error, where there was no other.
pub(super) fn unwritten(code: u8) -> u8 {
    if matches!(code, OK | CHANGES) { ERROR } else { code }
}

/// Text about exit codes for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    done: planned, converged or valid
  1    an error, or an object is blocked by one
  2    with --detailed-exitcode: there are (plan, drift) or were (apply) changes
  3    refused by a safety limit
  4    an object was changed by somebody else after it had been planned
  5    partial: something could not be read, or only some objects were applied
  64   wrong usage, or no terminal to ask on and no --auto-approve
  130  interrupted (SIGINT), 143 terminated (SIGTERM)";
