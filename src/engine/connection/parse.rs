//! Large answers are taken apart beside the run, on as many threads as there are cores.

use std::{
    panic,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task,
};

use crate::{
    model::{Json, KeyPool},
    parallel,
};

/// Smallest answer, in bytes, that another thread takes apart: a smaller one is done before that thread has begun.
const LARGE: usize = 16 << 10;

/// The parts that the answers of a connection have in common, and who takes answers apart.
#[derive(Debug)]
pub(super) struct Parser {
    /// Each thread takes a pool for itself, the last one first: where nothing is done at once, there is one.
    pools: Arc<Mutex<Vec<KeyPool>>>,
    turns: Semaphore,
}

impl Default for Parser {
    fn default() -> Self {
        Self { pools: Arc::default(), turns: Semaphore::new(parallel::threads().get()) }
    }
}

impl Parser {
    /// Shares nothing with earlier answers any more.
    pub(super) fn forget(&self) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Does something with a pool that nobody else uses meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut KeyPool) -> T) -> T {
        with(&self.pools, work)
    }

    /// Returns a body with its value: none of a small one, which is read faster where it is needed, none of one that is not
    /// JSON, and none where there is one thread for everything.
    pub(super) async fn parsed(&self, body: Vec<u8>) -> (Vec<u8>, Option<Json>) {
        // On one thread the order of all that happens is fixed, which rehearsals rest on.
        if body.len() < LARGE || Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return (body, None);
        }
        let _turn = self.turns.acquire().await;
        let pools = self.pools.clone();
        let parse = move || {
            let value = with(&pools, |keys| keys.parse(&body)).ok();
            (body, value)
        };
        match task::spawn_blocking(parse).await {
            Ok(parsed) => parsed,
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            // The program ends: nobody reads this.
            Err(_) => (Vec::new(), None),
        }
    }
}

fn with<T>(pools: &Mutex<Vec<KeyPool>>, work: impl FnOnce(&mut KeyPool) -> T) -> T {
    let lock = || pools.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pool = lock().pop().unwrap_or_default();
    let result = work(&mut pool);
    lock().push(pool);
    result
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rows() -> Value {
        json!(vec![json!({"name": "a row of a long list", "units": 42}); 1_000])
    }

    #[tokio::test]
    async fn on_one_thread_nothing_is_done_beside_it() {
        let parser = Parser::default();
        assert_eq!(parser.parsed(rows().to_string().into_bytes()).await.1, None);
        assert!(parser.pools.lock().expect("nobody panicked").is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_comes_back_with_its_value() {
        let parser = Parser::default();
        let rows = rows();
        let check = async |body: Vec<u8>, value: Option<&Value>| {
            let (returned, parsed) = parser.parsed(body.clone()).await;
            assert!(returned == body);
            assert_eq!(parsed.map(|json| json.to_value()).as_ref(), value);
        };
        check(rows.to_string().into_bytes(), Some(&rows)).await;
        check(b"[1]".to_vec(), None).await;
        check(vec![b'['; LARGE], None).await;
        // A body that is no JSON does not spoil the pool.
        check(rows.to_string().into_bytes(), Some(&rows)).await;
        assert_eq!(parser.pools.lock().expect("nobody panicked").len(), 1);
        parser.forget();
        assert!(parser.pools.lock().expect("nobody panicked").is_empty());
    }
}
