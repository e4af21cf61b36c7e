use super::*;

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new("cmdb".into())
}

fn refusal() -> Refusal {
    Refusal::new(None, "cannot connect")
}

/// Sends one request; `true` if it is answered. Returns false where the breaker did not let it leave.
async fn send(breaker: &CircuitBreaker, is_answered: bool) -> bool {
    loop {
        if breaker.ready().await.is_err() {
            return false;
        }
        let Some(passage) = breaker.pass(false) else { continue };
        if is_answered {
            passage.answered();
        } else {
            passage.failed(&refusal());
        }
        return true;
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_ever_answered_a_few_failures_are_enough() {
    let breaker = breaker();
    for _ in 0..FAILURES {
        assert!(send(&breaker, false).await);
    }
    assert!(!send(&breaker, false).await);
    let message = breaker.down().expect("down").message;
    assert!(message.starts_with("nothing has answered since "), "{message}");
    assert!(message.ends_with(": cannot connect"), "{message}");
    // One probe after the cooldown, and the next one later.
    tokio::time::sleep(COOLDOWNS.0).await;
    assert!(send(&breaker, false).await, "a probe");
    assert!(!send(&breaker, false).await);
    tokio::time::sleep(COOLDOWNS.0 / 2).await;
    assert!(!send(&breaker, false).await, "its cooldown is longer");
    tokio::time::sleep(COOLDOWNS.0 * 2).await;
    assert!(send(&breaker, true).await, "a probe");
    assert!(breaker.down().is_none() && !breaker.is_open());
    assert!(send(&breaker, true).await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_between_begins_the_count_anew() {
    let breaker = breaker();
    for _ in 0..10 {
        for _ in 1..FAILURES {
            assert!(send(&breaker, false).await);
        }
        assert!(send(&breaker, true).await);
    }
    assert!(!breaker.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_again_is_waited_for() {
    let breaker = breaker();
    assert!(send(&breaker, true).await);
    for _ in 0..FAILURES {
        assert!(send(&breaker, false).await);
    }
    assert!(breaker.is_open() && breaker.down().is_none());
    // Many wait; one at a time finds out.
    let start = Instant::now();
    let is_back = || start.elapsed() > Duration::from_secs(20);
    let request = async || {
        let mut sent = 0;
        loop {
            assert!(breaker.ready().await.is_ok(), "it is waited for");
            let Some(passage) = breaker.pass(false) else { continue };
            sent += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if is_back() {
                passage.answered();
                return sent;
            }
            passage.failed(&refusal());
        }
    };
    let sent: Vec<usize> = futures_util::future::join_all((0..50).map(|_| request())).await;
    let probes = sent.iter().sum::<usize>() - sent.len();
    assert!((3..60).contains(&probes), "{probes} probes failed");
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_come_back_is_given_up() {
    let breaker = breaker();
    assert!(send(&breaker, true).await);
    let start = Instant::now();
    let mut sent = 0;
    while send(&breaker, false).await {
        sent += 1;
    }
    assert!(breaker.down().is_some());
    let took = start.elapsed();
    assert!((PATIENCE..PATIENCE + PROBES.1 + Duration::from_secs(1)).contains(&took), "{took:?}");
    assert!(sent < 60, "{sent} were sent");
}

#[tokio::test(start_paused = true)]
async fn no_write_is_a_probe() {
    let breaker = breaker();
    assert!(send(&breaker, true).await);
    assert!(breaker.pass(true).is_some());
    for _ in 0..FAILURES {
        send(&breaker, false).await;
    }
    tokio::time::sleep(PROBES.1).await;
    assert!(breaker.pass(true).is_none());
    assert!(breaker.pass(false).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_broken_off_leaves_its_place_to_another() {
    let breaker = breaker();
    for _ in 0..FAILURES {
        send(&breaker, false).await;
    }
    tokio::time::sleep(COOLDOWNS.0).await;
    drop(breaker.pass(false).expect("a probe"));
    assert!(send(&breaker, true).await);
    assert!(!breaker.is_open());
}
