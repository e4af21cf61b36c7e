//! Waits for work that has a deadline, and names what it waits for.

use std::{any::Any, sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinHandle},
    time::sleep,
};

use super::{hang, status::Status};
use crate::engine::connection::Connection;

/// Work with a deadline.
pub(super) struct Supervised<'a> {
    /// What it is, for people.
    pub(super) what: String,
    /// The key under which the status notes that it is overdue.
    pub(super) key: Arc<str>,
    pub(super) deadline: Duration,
    /// The targets that it may wait for.
    pub(super) connections: &'a [Arc<Connection>],
    pub(super) status: &'a Status,
}

impl Supervised<'_> {
    /// Waits for a task. Where it does not end in its time, says what it waits for, calls `end`, and waits on: nothing else
    /// may begin before. Returns that sentence, too.
    pub(super) async fn wait<T>(
        self,
        mut task: JoinHandle<T>,
        end: impl FnOnce(),
    ) -> (Result<T, JoinError>, Option<String>) {
        let Self { what, key, deadline, connections, status } = self;
        tokio::select! {
            ended = &mut task => return (ended, None),
            () = sleep(deadline) => {}
        }
        let problem = format!(
            "{what} has not ended within {} s and is broken off: {}",
            deadline.as_secs_f64(),
            hang::waiting_for(connections)
        );
        tracing::error!("{problem}");
        status.set_overdue(&key, Some(problem.clone()));
        status.update(|snapshot| snapshot.last_error = Some(problem.clone()));
        end();
        (task.await, Some(problem))
    }
}

/// Returns what a task that did not end said.
pub(super) fn panic_message(error: JoinError) -> String {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "no message".to_owned(), |text| (*text).to_owned()),
    };
    match error.try_into_panic() {
        Ok(panic) => format!("it panicked: {}", text(panic)),
        Err(error) => error.to_string(),
    }
}
