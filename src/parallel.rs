//! Work on several threads whose results arrive in the order of the items.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    panic,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Results that may wait for an earlier one before the threads pause, for each thread.
const AHEAD: usize = 4;

/// Items of a chunk. Fewer are done before another thread has begun.
const CHUNK: usize = 500;

/// Returns as many threads as there are cores.
pub(crate) fn threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Applies `work` to items on a number of threads and hands the results to `take` in the order of the items, on the
/// calling thread. A panic of `work` goes on in the caller.
pub(crate) fn in_order<T: Send, R: Send>(
    threads: NonZeroUsize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let threads = threads.get().min(items.len());
    if threads <= 1 {
        items.into_iter().for_each(|item| take(work(item)));
        return;
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let (sender, results) = mpsc::sync_channel(threads * AHEAD);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, queue, work) = (sender.clone(), &queue, &work);
            scope.spawn(move || {
                loop {
                    // Not in the condition of a loop: the lock would be held while the work is done.
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((number, item)) = next else { return };
                    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| work(item)));
                    if sender.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (number, result) in results {
            let result = result.unwrap_or_else(|reason| panic::resume_unwind(reason));
            early.insert(number, result);
            while let Some(result) = early.remove(&next) {
                take(result);
                next += 1;
            }
        }
    });
}

/// Applies `work` to items, many at a time and on all cores, and hands the results to `take` in the order of the items.
pub(crate) fn in_chunks<'i, T: Sync, R: Send>(items: &'i [T], work: impl Fn(&'i [T]) -> R + Sync, take: impl FnMut(R)) {
    in_order(threads(), items.chunks(CHUNK).collect(), work, take);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn so_many(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).expect("not zero")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn results_keep_the_order_of_the_items(delays in proptest::collection::vec(0_u64..400, 0..40), number in 1_usize..8) {
            let items: Vec<(usize, u64)> = delays.iter().copied().enumerate().collect();
            let mut taken = Vec::new();
            let work = |(number, delay)| {
                thread::sleep(Duration::from_micros(delay));
                number
            };
            in_order(so_many(number), items, work, |result| taken.push(result));
            prop_assert_eq!(taken, (0..delays.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let run = || in_order(so_many(3), (0..100).collect(), |number| assert_ne!(number, 50, "the fiftieth"), drop);
        let reason = panic::catch_unwind(run).expect_err("it panics");
        let message = reason.downcast_ref::<String>().expect("a text");
        assert!(message.contains("the fiftieth"), "{message}");
    }
}
