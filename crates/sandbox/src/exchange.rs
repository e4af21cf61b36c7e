//! The exchange of one request for one answer, with the latency and the faults that are set.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Sandbox, clock,
    fault::Fault,
    lock,
    server::plain,
    simulator::{Answer, Record, Request, Simulator},
};

/// How often a waiting answer is tried again.
const PATIENCE: Duration = Duration::from_millis(50);

/// What becomes of a request that is sent without a network, see [`Sandbox::deliver`].
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The answer came.
    Answered(Answer),
    /// The answer broke off, or none came: the call may have been made.
    Lost,
    /// The server accepted no connection: the call was not made.
    Refused,
}

impl Sandbox {
    /// Answers a request as the served sandbox does, faults and latency included, but without any network.
    ///
    /// Time is that of tokio, which may be paused. Header names have to be in small letters.
    pub async fn deliver(&self, request: &Request) -> Delivery {
        self.deliver_with(request, &[]).await
    }

    /// Does the same with faults that strike this request besides those that are set.
    pub async fn deliver_with(&self, request: &Request, faults: &[Fault]) -> Delivery {
        // Every request is a connection of its own here.
        if lock(&self.shared.faults).refuses() || faults.contains(&Fault::Refuse) {
            return Delivery::Refused;
        }
        let Some(simulator) = self.serving(request) else {
            return Delivery::Answered(plain(404, "404: no platform serves this path"));
        };
        match answer(self, simulator, request, faults, &CancellationToken::new()).await {
            (answer, Ending::Whole) => Delivery::Answered(answer),
            (_, Ending::Cut | Ending::Reset) => Delivery::Lost,
        }
    }

    /// Says what a request is without answering it.
    pub fn peek(&self, request: &Request) -> Record {
        self.serving(request).map(|simulator| simulator.peek(request)).unwrap_or_default()
    }

    /// Returns true if the answer to a request, where it writes, shows the object as it is afterwards.
    pub fn shows_writes(&self, request: &Request) -> bool {
        self.serving(request).is_some_and(Simulator::shows_writes)
    }

    fn serving(&self, request: &Request) -> Option<&dyn Simulator> {
        let found = self.shared.simulators.iter().find(|simulator| simulator.serves(&request.path));
        found.map(AsRef::as_ref)
    }
}

/// Answers a platform's request, faults included, and notes the call.
pub(super) async fn answer(
    sandbox: &Sandbox,
    simulator: &dyn Simulator,
    request: &Request,
    more: &[Fault],
    stop: &CancellationToken,
) -> (Answer, Ending) {
    let shared = &sandbox.shared;
    let (time, begun) = (clock::now(), Instant::now());
    let latency = *lock(&shared.latency);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut faults = {
        let mut faults = lock(&shared.faults);
        if faults.is_empty() { Vec::new() } else { faults.strike(&simulator.peek(request)) }
    };
    faults.extend_from_slice(more);
    for fault in &faults {
        if let Fault::Delay { ms } = fault {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
        }
    }
    while simulator.waits(request, begun.elapsed()) && !stop.is_cancelled() {
        tokio::time::sleep(PATIENCE).await;
    }
    let (answer, ending) = struck(simulator, request, &faults);
    let status = if ending == Ending::Reset { 0 } else { answer.status };
    let record = answer.record.clone();
    lock(&shared.calls).add(time, simulator.platform(), status, begun.elapsed(), record);
    (answer, ending)
}

/// How an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it is.
    Whole,
    /// Its body breaks off half-way.
    Cut,
    /// The connection is reset instead.
    Reset,
}

/// Answers a request with the faults that strike it.
fn struck(simulator: &dyn Simulator, request: &Request, faults: &[Fault]) -> (Answer, Ending) {
    // An answer in place of the platform's is noted as the call that it was to be.
    let instead = |answer: Answer| {
        let code = answer.record.code.clone();
        let mut record = simulator.peek(request);
        record.code = if code.is_null() { Value::from(answer.status) } else { code };
        (Answer { record, ..answer }, Ending::Whole)
    };
    for fault in faults {
        match fault {
            Fault::Status { status, body, headers } => {
                let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
                let mut answer = plain(*status, if body.is_null() { "" } else { &text });
                answer.headers.extend(headers.iter().cloned());
                return instead(answer);
            }
            Fault::Code { code, message } => {
                let mut answer = simulator.refuse(request, code, message);
                answer.record.code = code.clone();
                return instead(answer);
            }
            Fault::RateLimit { retry_after, inside } => {
                let mut answer = simulator.refuse_rate(request, *inside);
                if let Some(seconds) = retry_after {
                    answer.headers.push(("retry-after".to_owned(), seconds.to_string()));
                }
                return instead(answer);
            }
            Fault::ResetBefore => return (instead(Answer::default()).0, Ending::Reset),
            Fault::SecondWriter { user, operation, body } => {
                simulator.edit(user, operation, body);
            }
            Fault::Delay { .. }
            | Fault::Refuse
            | Fault::ResetAfter
            | Fault::Cut
            | Fault::Garbage
            | Fault::Applied { .. }
            | Fault::Misbehaviour(_) => {}
        }
    }
    let misbehaviour = faults
        .iter()
        .find_map(|fault| if let Fault::Misbehaviour(misbehaviour) = fault { Some(misbehaviour) } else { None });
    let mut answer = match misbehaviour {
        Some(misbehaviour) => simulator.answer_twisted(request, misbehaviour),
        None => simulator.answer(request),
    };
    let mut ending = Ending::Whole;
    for fault in faults {
        match fault {
            Fault::ResetAfter => ending = Ending::Reset,
            Fault::Cut => ending = Ending::Cut,
            Fault::Garbage => answer.body = b"<html><body>502 Bad Gateway</body></html>".to_vec(),
            Fault::Applied { status } => {
                answer.status = *status;
                answer.body = b"upstream request timeout".to_vec();
                answer.headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
            }
            Fault::Status { .. }
            | Fault::Code { .. }
            | Fault::RateLimit { .. }
            | Fault::Delay { .. }
            | Fault::Refuse
            | Fault::ResetBefore
            | Fault::SecondWriter { .. }
            | Fault::Misbehaviour(_) => {}
        }
    }
    (answer, ending)
}
