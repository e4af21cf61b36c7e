use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::model::KeyPool;
use crate::{
    provider::Kind,
    transport::{Options, Transport},
};

/// A platform whose requests end where they would be sent.
struct Mute;

impl Platform for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[]
    }

    fn operation(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn is_read(&self, _: &str) -> bool {
        true
    }

    fn prepare(&self, _: &Request, _: &Endpoint, _: RequestContext<'_>) -> Result<Prepared, Refusal> {
        Err(Refusal::new(None, "its turn came"))
    }

    fn interpret(&self, _: &Request, _: &Reply<'_>, _: &mut KeyPool) -> Result<Json, Refusal> {
        Ok(Json::NULL)
    }
}

fn connection(name: &str, rate: Option<f64>, shared: &Shared) -> Arc<Connection> {
    let endpoint = || Endpoint { url: String::new(), settings: HashMap::new(), secrets: HashMap::new() };
    let resolve = Arc::new(move || Ok(endpoint()));
    Connection::new(Target { name: name.into(), platform: &Mute, resolve, concurrency: None, rate }, shared.clone())
}

/// Sends so many requests at once and returns when the last had its turn, in seconds.
async fn last_turn(connection: &Arc<Connection>, count: usize) -> u64 {
    let start = tokio::time::Instant::now();
    let reader = connection.reader();
    let request = Request { operation: "get", arguments: json!({}), repeatable: true };
    for told in futures_util::future::join_all((0..count).map(|_| reader.read(&request))).await {
        assert_eq!(told.expect_err("none is sent").message, "its turn came");
    }
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_paced_target_does_not_slow_one_that_is_not() {
    // One permit for all: whoever held it while it waits for its own turn would hold up everybody.
    for parallelism in [1, 2, 8] {
        let shared = Shared::new(Transport::new(&Options::default()).expect("a client"), parallelism, None);
        let (slow, quick) = (connection("slow", Some(0.1), &shared), connection("quick", None, &shared));
        let turns = tokio::join!(last_turn(&slow, 9), last_turn(&quick, 9));
        assert_eq!(turns, (80, 0), "parallelism {parallelism}");
    }
}
