//! Answers that point elsewhere.

use crate::{model::Refusal, transport::Answer};

/// Refuses an answer that points elsewhere: to follow it would carry the credentials there.
pub(super) fn checked(answer: Answer) -> Result<Answer, Refusal> {
    let location = answer.headers.iter().find(|(name, _)| name == "location").filter(|_| answer.status / 100 == 3);
    let Some((_, location)) = location else { return Ok(answer) };
    // The query and the fragment may hold a token.
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let shown = match location.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or_default())
        }
        None => location.to_owned(),
    };
    let what = if shown.to_lowercase().contains("login") {
        "that is where people log in: the credentials were not accepted, or `endpoint` is the address of a page"
    } else {
        "write the address of that server as the `endpoint`"
    };
    let message = format!("answered HTTP {}: redirected to {shown}, which was not followed; {what}", answer.status);
    Err(Refusal { lost: true, ..Refusal::new(None, message) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_points_elsewhere_is_refused() {
        let check = |status: u16, location: Option<&str>, expected: &str| {
            let headers = location.map(|location| ("location".to_owned(), location.to_owned())).into_iter().collect();
            let answer = checked(Answer { status, headers, body: Vec::new() });
            assert_eq!(answer.map_or_else(|refusal| refusal.message, |_| "read".to_owned()), expected);
        };
        let elsewhere = "which was not followed; write the address of that server as the `endpoint`";
        check(200, Some("/made/1"), "read");
        check(304, None, "read");
        check(
            301,
            Some("https://user:canary@paas.example.com/api/c?token=canary"),
            &format!("answered HTTP 301: redirected to https://paas.example.com/api/c, {elsewhere}"),
        );
        check(302, Some("/api/"), &format!("answered HTTP 302: redirected to /api/, {elsewhere}"));
        check(
            302,
            Some("https://paas.example.com/login/?c_url=x"),
            "answered HTTP 302: redirected to https://paas.example.com/login/, which was not followed; that is where \
             people log in: the credentials were not accepted, or `endpoint` is the address of a page",
        );
    }
}
