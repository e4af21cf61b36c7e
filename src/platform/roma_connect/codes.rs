//! The codes and statuses of ROMA Connect, its gateway and IAM, with their meanings.
//!
//! Sources: the error codes and the API reference of ROMA Connect, of API Gateway and of IAM on support.huaweicloud.com,
//! and the vendor's SDKs for the forms of codes. The table of ROMA Connect gives HTTP 400 even for permissions and
//! duplicates, so the code decides, and the status only where the code has no row.

use crate::{
    model::Refusal,
    provider::codes::{self, CodeMeaning, Meaning},
};

/// Case of an answer with a code of the service or its gateway: nothing else on the way made it.
const OWN: &str = "with a code of the service or its gateway";

const EXPIRED: &str = "the token is wrong or has expired";
const FORBIDDEN: &str = "this identity may not do this";

/// All rows; the first that fits counts. A code without a row means what its status means, and a status without a row
/// means [`Meaning::Stop`]. `APIG` stands for all three prefixes of the gateway; zeros behind the dot do not count.
pub(super) const CODES: &[CodeMeaning] = &[
    // The gateway in front of every call.
    CodeMeaning::new("APIG.301", Meaning::Renew, "the credentials were not accepted").hinted(),
    CodeMeaning::new("APIG.101", Meaning::Stop, "the endpoint is not that of ROMA Connect in this region").hinted(),
    CodeMeaning::new("APIG.308", Meaning::Wait, "too many requests, of the gateway's limiter"),
    // The service. Two of its codes are about tokens that the gateway let through.
    CodeMeaning::new("ROMA.1000", Meaning::Renew, EXPIRED).hinted(),
    CodeMeaning::new("ROMA.1002", Meaning::Renew, EXPIRED).hinted(),
    CodeMeaning::new("ROMA.1006", Meaning::Stop, FORBIDDEN).hinted(),
    CodeMeaning::new("ROMA.101", Meaning::Stop, FORBIDDEN).hinted(),
    CodeMeaning::new("ROMA.12000", Meaning::Stop, FORBIDDEN).hinted(),
    CodeMeaning::new("ROMA.12001", Meaning::Stop, "this identity lacks the role for it on this app").hinted(),
    CodeMeaning::new("ROMA.12002", Meaning::Stop, FORBIDDEN).hinted(),
    // It could not write what it was told to; how much of it is open.
    CodeMeaning::new("ROMA.11011", Meaning::Settle, "the service could not store what it was told to"),
    CodeMeaning::new("ROMA.13000", Meaning::Stop, "a parameter is wrong"),
    CodeMeaning::new("ROMA.14001", Meaning::Stop, "there is no such app"),
    CodeMeaning::new(
        "ROMA.14011",
        Meaning::Stop,
        "an app of this instance has the name, perhaps one that this identity does not see",
    )
    .hinted(),
    CodeMeaning::new("ROMA.14012", Meaning::Stop, "an app of this instance has the key").hinted(),
    CodeMeaning::new("ROMA.14020", Meaning::Stop, "the instance holds as many apps as it may, 100 as a rule").hinted(),
    CodeMeaning::new("ROMA.14021", Meaning::Stop, "delete what belongs to the app first").hinted(),
    CodeMeaning::new("ROMA.15001", Meaning::Stop, "the project has no such instance").hinted(),
    // IAM, before the first call.
    CodeMeaning::new("IAM.401", Meaning::Renew, "the user, the account or the password is wrong"),
    CodeMeaning::new("HTTP 401", Meaning::Renew, "the credentials were not accepted"),
    CodeMeaning::new("HTTP 403", Meaning::Stop, "the identity may not do this"),
    // Without a row for the code. A gateway that gave up on the service leaves open what the service did.
    CodeMeaning::new("HTTP 429", Meaning::Wait, "too many requests"),
    CodeMeaning::new("HTTP 500", Meaning::Settle, "the service failed within itself"),
    CodeMeaning::new("HTTP 502", Meaning::Settle, "the gateway got no proper answer"),
    CodeMeaning::new("HTTP 504", Meaning::Settle, "the service did not answer the gateway in time"),
    CodeMeaning::new("HTTP 408", Meaning::Retry, "the request came too slowly").when(OWN),
    CodeMeaning::new("HTTP 408", Meaning::Settle, "no answer in time, by anything on the way"),
    CodeMeaning::new("HTTP 5xx", Meaning::Retry, "the service is too busy").when(OWN),
    CodeMeaning::new("HTTP 5xx", Meaning::Settle, "no answer, by anything on the way"),
];

/// Parts of messages, and their most likely causes.
const WORDS: &[(&str, &str)] = &[
    ("signature expired", "the clock of this machine is more than 15 minutes off"),
    ("verify aksk signature fail", "the secret key is wrong, or something on the way rewrites requests"),
    ("ak not exist", "there is no such access key: mistyped, deleted, or temporary without its security token"),
    ("reach the limit", "after too many failures the access key is locked for five minutes, for all who use it"),
    ("credentials expired", "the temporary access key has expired"),
    ("token must be updated", "the token has expired"),
    ("decrypt token fail", "the token is wrong or has expired"),
];

/// Returns the meaning of an answer from its code, or from its status where the code has no row.
pub(super) fn meaning(code: &str, status: u16) -> Meaning {
    // The service and its gateway alone have codes with a prefix; other codes are a status in the body.
    let is_own = code.contains('.');
    let row = if is_own { row(code) } else { None };
    let row = row.or_else(|| codes::of_status(CODES, status, |case| case == OWN && is_own));
    row.map_or(Meaning::Stop, |row| row.meaning)
}

/// Returns the most likely cause of an answer in words. Codes come first: the texts differ between editions.
pub(super) fn hint(code: &str, message: &str) -> Option<&'static str> {
    let row = row(code).filter(|row| row.is_hint)?;
    let words = WORDS.iter().find(|(words, _)| row.meaning == Meaning::Renew && message.contains(words));
    Some(words.map_or(row.about, |(_, cause)| cause))
}

/// Returns true if a refusal says that the credentials were not accepted. Whatever the service itself says, the gateway
/// has let through, but for its two codes about tokens.
pub(super) fn is_unauthorized(refusal: &Refusal) -> bool {
    refusal.code.as_deref().and_then(row).is_some_and(|row| row.meaning == Meaning::Renew)
}

/// Returns true if a refusal means that the identity may not do this.
pub(super) fn is_forbidden(refusal: &Refusal) -> bool {
    const CODES: &[&str] = &["ROMA.101", "ROMA.1006", "ROMA.12000", "ROMA.12001", "ROMA.12002", "HTTP 403"];
    is_one_of(refusal, CODES)
}

/// Returns true if a refusal means that a parameter is wrong.
pub(super) fn is_invalid(refusal: &Refusal) -> bool {
    is_one_of(refusal, &["ROMA.13000"])
}

/// Returns true if a refusal means that there is no such app.
pub(super) fn is_absent(refusal: &Refusal) -> bool {
    is_one_of(refusal, &["ROMA.14001"])
}

/// Returns the refusal of a question about an app that is not there.
pub(super) fn no_such_app() -> Refusal {
    Refusal::new(Some("ROMA.00014001".into()), "the app does not exist")
}

fn is_one_of(refusal: &Refusal, codes: &[&str]) -> bool {
    refusal.code.as_deref().is_some_and(|code| codes.contains(&&*key(code)))
}

fn row(code: &str) -> Option<&'static CodeMeaning> {
    codes::of_code(CODES, &key(code), |_| false)
}

/// Returns a code as the table writes it: the gateway has three prefixes, a status has none, and one code has two
/// spellings, `ROMA.13000` and `ROMA.00013000`.
fn key(code: &str) -> String {
    match code.split_once('.') {
        None => format!("HTTP {code}"),
        Some((prefix, number)) => {
            let prefix = if ["APIGW", "APIG", "APIC"].contains(&prefix) { "APIG" } else { prefix };
            format!("{prefix}.{}", number.trim_start_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_then_the_status() {
        let check = |code: &str, status: u16, expected: Meaning| {
            assert_eq!(meaning(code, status), expected, "{code} with HTTP {status}");
        };
        check("ROMA.14011", 400, Meaning::Stop);
        check("ROMA.11011", 400, Meaning::Settle);
        check("ROMA.00001002", 400, Meaning::Renew);
        for prefix in ["APIGW", "APIG", "APIC"] {
            check(&format!("{prefix}.0301"), 401, Meaning::Renew);
            check(&format!("{prefix}.0308"), 429, Meaning::Wait);
            check(&format!("{prefix}.0201"), 400, Meaning::Stop);
            check(&format!("{prefix}.0201"), 504, Meaning::Settle);
        }
        check("ROMA.11000", 500, Meaning::Settle);
        check("ROMA.11000", 503, Meaning::Retry);
        check("503", 503, Meaning::Settle);
        check("429", 429, Meaning::Wait);
        check("401", 401, Meaning::Renew);
        check("403", 403, Meaning::Stop);
        // A status in the body says less than the status itself.
        check("401", 502, Meaning::Settle);
    }
}
