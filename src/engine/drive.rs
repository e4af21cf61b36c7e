//! Drives step functions: sends what they ask for, round by round, until they are done.

use std::{
    collections::HashSet,
    fmt::{self, Display},
    pin::pin,
};

use foldhash::fast::RandomState;
use futures_util::{StreamExt, stream};

use super::connection::Reader;
use crate::{
    model::Request,
    provider::{Facts, Step},
};

/// Requests of one round that are on their way at once; the connection's own limits lie below.
const AT_ONCE: usize = 64;

/// Maximum number of rounds. Lists that have to be read page by page take a round a page, so that it allows millions of
/// rows; what asks longer would ask for ever.
const MAX_ROUNDS: usize = 10_000;

/// Why a step function came to no result, in words that name who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoResult {
    asker: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It asked in each of [`MAX_ROUNDS`] rounds.
    TooManyRounds,
    /// A round added no knowledge, and the next one would be like it.
    NothingNew,
}

impl Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::TooManyRounds => write!(f, "{} still asks after {MAX_ROUNDS} rounds of reads", self.asker),
            Reason::NothingNew => write!(f, "{} came to no result with all that was read", self.asker),
        }
    }
}

/// Calls a step function until it is done, with the answers to what it asked for in between.
pub(super) async fn drive<T, S: AsMut<Facts>>(
    reader: &Reader,
    asker: impl Display,
    state: &mut S,
    step: impl FnMut(&mut S) -> Step<T>,
) -> Result<T, NoResult> {
    run(reader, state, step).await.map_err(|reason| NoResult { asker: asker.to_string(), reason })
}

/// Drives the step functions of several askers together, so that they share rounds and answers. Returns the results in
/// the order in which the askers were done.
pub(super) async fn drive_all<A: Copy + Display, T, S: AsMut<Facts>>(
    reader: &Reader,
    askers: impl IntoIterator<Item = A>,
    state: &mut S,
    mut step: impl FnMut(A, &mut S) -> Step<T>,
) -> Vec<(A, Result<T, NoResult>)> {
    let mut results = Vec::new();
    // Each with whether it asked in the last round.
    let mut open: Vec<(A, bool)> = askers.into_iter().map(|asker| (asker, false)).collect();
    let all = |state: &mut S| {
        let mut missing = Vec::new();
        open.retain_mut(|(asker, asked)| match step(*asker, state) {
            Step::Ask(requests) => {
                *asked = !requests.is_empty();
                missing.extend(requests);
                true
            }
            Step::Done(result) => {
                results.push((*asker, Ok(result)));
                false
            }
        });
        if open.is_empty() { Step::Done(()) } else { Step::Ask(missing) }
    };
    if let Err(reason) = run(reader, state, all).await {
        results.extend(open.into_iter().map(|(asker, asked)| {
            let reason = if asked { reason } else { Reason::NothingNew };
            (asker, Err(NoResult { asker: asker.to_string(), reason }))
        }));
    }
    results
}

async fn run<T, S: AsMut<Facts>>(
    reader: &Reader,
    state: &mut S,
    mut step: impl FnMut(&mut S) -> Step<T>,
) -> Result<T, Reason> {
    for _ in 0..MAX_ROUNDS {
        let known = state.as_mut().size();
        match step(state) {
            Step::Done(result) => return Ok(result),
            Step::Ask(missing) => round(reader, missing, state.as_mut()).await,
        }
        if state.as_mut().size() == known {
            return Err(Reason::NothingNew);
        }
    }
    Err(Reason::TooManyRounds)
}

/// Sends the requests of a round that have no answer yet, each once.
async fn round(reader: &Reader, mut requests: Vec<Request>, facts: &mut Facts) {
    let mut distinct: HashSet<Request, RandomState> = HashSet::default();
    requests.retain(|request| facts.answer(request).is_none() && distinct.insert(request.clone()));
    let answers = stream::iter(requests).map(|request| async move {
        let answer = reader.read(&request).await;
        (request, answer)
    });
    // Each is taken in as it comes: facts hold it in less memory.
    let mut answers = pin!(answers.buffer_unordered(AT_ONCE));
    while let Some((request, answer)) = answers.next().await {
        facts.learn(request, answer);
    }
}

#[cfg(test)]
mod tests;
