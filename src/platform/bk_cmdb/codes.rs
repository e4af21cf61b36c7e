//! The codes and statuses of BlueKing CMDB, its ESB and its gateway, with their meanings.
//!
//! Sources: the code tables of the server (`resources/errors` and `src/common/errors.go` of bk-cmdb 3.9 to 3.14), of the
//! ESB (`paas2/esb/common/errors.py` of legacy-bk-paas) and of the gateway (`pkg/errorx` of blueking-apigateway-apisix),
//! and answers recorded from a real server. Codes decide, never texts, and the HTTP status only where there is no code.

use crate::{
    model::Refusal,
    provider::codes::{CodeMeaning, Meaning},
};

/// Case of an answer to a read that came with a later version: an older server answers so too.
pub(super) const NEWER_READ: &str = "a read of a later version";
/// Case of the same with a status from 500 on.
pub(super) const NEWER_READ_5XX: &str = "a read of a later version, HTTP 5xx";
/// Case of an answer of the server's front on a path that it does not know.
pub(super) const UNKNOWN_PATH: &str = "`rewrite request failed`";
/// Case of an answer of the server's front, or of the ESB, rather than of the service behind it.
pub(super) const FRONT: &str = "HTTP 5xx, or through the ESB";
/// Case of a refusal of a transfer of hosts that another service gave.
pub(super) const WRAPPED: &str = "a transfer of hosts, with the reason";
/// Case of a text about a path or a method in place of an envelope.
pub(super) const NO_ROUTE: &str = "a text `404: …` or `405: …`";
/// Case of an envelope that is no JSON, in answer to a read of a later version.
pub(super) const GARBLED: &str = "`{` without JSON, a read of a later version";
/// Case of a body that is no envelope.
pub(super) const NO_ENVELOPE: &str = "no envelope";

/// All rows; the first that fits counts. A code without a row means [`Meaning::Stop`].
pub(super) const CODES: &[CodeMeaning] = &[
    // The server's own. Its limiter has no status and no `Retry-After` (`src/apiserver/service/filter.go`).
    CodeMeaning::new("1199997", Meaning::Wait, "too many requests, of the server's limiter"),
    // A transfer of hosts wraps a refusal of the service behind in it (contract "topology", section 7).
    CodeMeaning::new("1199002", Meaning::Stop, "the transfer was refused").when(WRAPPED),
    // A hop between its services failed: the service behind may have done its work.
    CodeMeaning::new("1199002", Meaning::Settle, "a service did not answer another one"),
    // No transaction, no write. The commit is another matter: it may have reached the database.
    CodeMeaning::new("1199065", Meaning::Retry, "no transaction could be started"),
    CodeMeaning::new("1199066", Meaning::Settle, "a transaction could not be committed"),
    // Two creations of associations at once: one takes the lock, the other is told so.
    CodeMeaning::new("1113053", Meaning::Retry, "another creation of an association holds the lock"),
    // A panic, which is recovered from at any point of the work.
    CodeMeaning::new("1199999", Meaning::SettleOnce, "a service failed within itself"),
    // The code for what has no code of its own. The front uses it for paths it does not know and for services that it
    // cannot reach; its text alone tells the two apart.
    CodeMeaning::new("1199998", Meaning::Missing, "the path is unknown").when(NEWER_READ_5XX),
    CodeMeaning::new("1199998", Meaning::Stop, "the path is unknown").when(UNKNOWN_PATH),
    CodeMeaning::new("1199998", Meaning::Settle, "a service could not be reached").when(FRONT),
    CodeMeaning::new("1199998", Meaning::Stop, "an error without a code of its own"),
    CodeMeaning::new("1199014", Meaning::Stop, "another object holds the unique value"),
    CodeMeaning::new("1199006", Meaning::Stop, "a parameter is wrong, or too much was asked for at once"),
    CodeMeaning::new("1199083", Meaning::Stop, "a template fixes the field"),
    CodeMeaning::new("1117008", Meaning::Stop, "a task for the same module is not over"),
    CodeMeaning::new("1100004", Meaning::Stop, "the user is unknown"),
    CodeMeaning::new("9900403", Meaning::Stop, "a permission is missing"),
    // The ESB's (1306…).
    CodeMeaning::new("1306429", Meaning::Wait, "too many requests, of the ESB's limiter"),
    CodeMeaning::new("1306201", Meaning::Settle, "the ESB could not reach the server, or got no answer in 30 s"),
    CodeMeaning::new("1306000", Meaning::Missing, "the server's answer to the ESB was no JSON").when(NEWER_READ),
    CodeMeaning::new("1306000", Meaning::SettleOnce, "the server's answer to the ESB was no JSON"),
    CodeMeaning::new("1306208", Meaning::SettleOnce, "the server's answer to the ESB was of an unknown form"),
    CodeMeaning::new("1306401", Meaning::Stop, "the user is missing"),
    CodeMeaning::new("1306404", Meaning::Missing, "the ESB does not offer the operation"),
    CodeMeaning::new("1306406", Meaning::Stop, "the application, its secret or the user is wrong"),
    // The gateway's (16…), all made before or behind the server, never by it.
    CodeMeaning::new("1642901", Meaning::Wait, "too many requests to the gateway"),
    CodeMeaning::new("1642902", Meaning::Wait, "too many requests to the stage"),
    CodeMeaning::new("1642903", Meaning::Wait, "too many requests for the resource"),
    CodeMeaning::new("1642904", Meaning::Wait, "too many requests at once"),
    CodeMeaning::new("1650200", Meaning::Settle, "the gateway got no proper answer"),
    CodeMeaning::new("1650201", Meaning::Settle, "the gateway lost the connection to the server"),
    CodeMeaning::new("1650401", Meaning::Settle, "the server did not answer the gateway in time"),
    CodeMeaning::new("1640001", Meaning::Stop, "the application, its secret or the user is wrong"),
    CodeMeaning::new("1640401", Meaning::Missing, "the gateway does not know the path, perhaps one of another stage"),
    // Without a code. A proxy may answer for a server that has done its work, and says 503 too when the connection broke.
    CodeMeaning::new("HTTP 429", Meaning::Wait, "too many requests"),
    CodeMeaning::new("HTTP 408", Meaning::Settle, "no answer in time, by anything on the way"),
    CodeMeaning::new("HTTP 5xx", Meaning::Settle, "no answer, by anything on the way"),
    CodeMeaning::new("HTTP 200", Meaning::Missing, "the service does not know the path or the method").when(NO_ROUTE),
    CodeMeaning::new("HTTP 404", Meaning::Missing, "the service does not know the path").when(NO_ROUTE),
    CodeMeaning::new("HTTP 405", Meaning::Missing, "the service does not know the method").when(NO_ROUTE),
    CodeMeaning::new("HTTP 200", Meaning::Missing, "an older server, behind the gateway").when(GARBLED),
    CodeMeaning::new("HTTP 200", Meaning::SettleOnce, "an answer of something else, such as a login page")
        .when(NO_ENVELOPE),
];

/// Text of the server's front on a path that it does not know. Its code does not tell that from a service that it cannot
/// reach.
pub(super) const REWRITE_FAILED: &str = "rewrite request failed";
/// Text before the reason of a refusal in that of the call between two services. The server puts no place for it into
/// its message, in any language.
pub(super) const REASON: &str = "%!(EXTRA string=";
/// Code for a field that a template owns.
pub(super) const FIXED: i64 = 1_199_083;
/// Code of a sync of a module whose task is not over (contract "topology", section 5).
pub(super) const TASK_RUNS: i64 = 1_117_008;
/// Code for a missing permission.
pub(super) const FORBIDDEN: i64 = 9_900_403;
/// Code of the gateway for a path that it does not know, such as one of another stage.
pub(super) const NO_PATH: i64 = 1_640_401;
/// Code of a write whose unique value another object holds.
const DUPLICATED: i64 = 1_199_014;
/// Code of a write whose name another set below the same parent has (contract "topology", section 6).
const SAME_SET_NAME: i64 = 1_101_108;
/// Code for a rule tree that breaks a limit.
const BROKEN_RULES: i64 = 1_199_006;
/// Codes of the ESB and the gateway for bad arguments. The path variables are always there, so it is the application or
/// the user that is wrong.
const BAD_ACCOUNT: &[i64] = &[1_306_406, 1_640_001];
/// Codes for a user that is missing or unknown.
const NO_USER: &[i64] = &[1_306_401, 1_100_004];

/// Returns true if a refusal says that another object holds a unique value.
pub(super) fn is_duplicated(refusal: &Refusal) -> bool {
    matches!(refusal.number(), Some(DUPLICATED | SAME_SET_NAME))
}

/// Returns true if a refusal says that a permission is missing.
pub(super) fn is_forbidden(refusal: &Refusal) -> bool {
    refusal.number() == Some(FORBIDDEN)
}

/// Returns true if a refusal says that a rule tree breaks a limit.
pub(super) fn breaks_rules(refusal: &Refusal) -> bool {
    refusal.number() == Some(BROKEN_RULES)
}

/// Returns true if a refusal says that the application, its secret or the user is wrong.
pub(super) fn is_bad_account(refusal: &Refusal) -> bool {
    refusal.number().is_some_and(|code| BAD_ACCOUNT.contains(&code))
}

/// Returns true if a refusal says that there is no user, or an unknown one.
pub(super) fn is_no_user(refusal: &Refusal) -> bool {
    refusal.number().is_some_and(|code| NO_USER.contains(&code))
}
