//! The way to a server in this process, such as a simulator. Failures mean the same as over HTTP.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use super::{Answer, too_long};
use crate::{
    model::{Refusal, Retry},
    provider::Prepared,
};

/// A server in this process.
pub trait Service: fmt::Debug + Send + Sync {
    /// Answers a request. Once nobody polls what this returns, the server may go on or not.
    fn answer(&self, prepared: Prepared) -> BoxFuture<'_, Result<Answer, Loss>>;
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// There was no connection: the request did not arrive.
    Unconnected,
    /// The connection broke off: the request may have arrived.
    BrokenOff,
}

/// Sends a request and waits for its answer for at most `timeout`.
pub(super) async fn send(
    service: &dyn Service,
    prepared: Prepared,
    timeout: Duration,
    longest_body: usize,
) -> Result<Answer, Refusal> {
    let refusal = |message: &str, retry, lost| Refusal { retry, lost, ..Refusal::new(None, message) };
    match tokio::time::timeout(timeout, service.answer(prepared)).await {
        Ok(Ok(answer)) if answer.body.len() > longest_body => Err(too_long(longest_body)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Loss::Unconnected)) => Err(refusal("cannot connect: connection refused", Retry::Once, false)),
        Ok(Err(Loss::BrokenOff)) => Err(refusal("error sending request: connection reset", Retry::Soon, true)),
        Err(_) => Err(refusal("error sending request: operation timed out", Retry::Soon, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Method;

    #[derive(Debug)]
    struct Fixed(Duration, Result<u16, Loss>);

    impl Service for Fixed {
        fn answer(&self, _: Prepared) -> BoxFuture<'_, Result<Answer, Loss>> {
            Box::pin(async {
                tokio::time::sleep(self.0).await;
                self.1.map(|status| Answer { status, headers: Vec::new(), body: vec![0; 10] })
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_say_whether_the_request_may_have_arrived() {
        let check = async |seconds: u64, answer: Result<u16, Loss>, longest: usize, lost: Option<bool>| {
            let prepared = Prepared { method: Method::Get, url: String::new(), headers: Vec::new(), body: Vec::new() };
            let service = Fixed(Duration::from_secs(seconds), answer);
            let sent = send(&service, prepared, Duration::from_secs(40), longest).await;
            assert_eq!(sent.err().map(|refusal| refusal.lost), lost, "{service:?}");
        };
        check(0, Ok(200), 10, None).await;
        check(39, Ok(500), 10, None).await;
        check(0, Ok(200), 9, Some(true)).await;
        check(41, Ok(200), 10, Some(true)).await;
        check(0, Err(Loss::Unconnected), 10, Some(false)).await;
        check(0, Err(Loss::BrokenOff), 10, Some(true)).await;
    }
}
