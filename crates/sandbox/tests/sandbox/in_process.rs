//! The sandbox without a network, on the paused clock.

use std::time::Duration;

use reconcile_sandbox::{Delivery, Sandbox, clock::SimulatedTime, simulator::Request};
use serde_json::{Value, json};
use tokio::time::Instant;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let state = json!({"bk-cmdb": {
        "objects": [{"bk_obj_id": "rack"}],
        "attributes": [{"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar"}],
        "instances": {"rack": [{"bk_inst_id": 1, "bk_inst_name": "r1", "room": "a"}]},
    }});
    sandbox.load(&state).expect("the state is fine");
    sandbox
}

async fn update(sandbox: &Sandbox, room: &str) -> Delivery {
    let body = json!({"bk_app_code": "app", "bk_app_secret": "hush", "bk_username": "zoe", "bk_obj_id": "rack",
        "bk_inst_id": 1, "room": room});
    let request = Request {
        method: "POST".to_owned(),
        path: "/api/c/compapi/v2/cc/update_inst/".to_owned(),
        body: body.to_string().into_bytes(),
        ..Request::default()
    };
    sandbox.deliver(&request).await
}

#[tokio::test(start_paused = true)]
async fn faults_strike_without_a_network() {
    let check = async |fault: Value, expected: &str, room: &str| {
        let sandbox = sandbox();
        sandbox.set_faults(&json!([fault])).expect("a fault");
        let delivery = match update(&sandbox, "b").await {
            Delivery::Answered(answer) => answer.status.to_string(),
            Delivery::Lost => "lost".to_owned(),
            Delivery::Refused => "refused".to_owned(),
        };
        assert_eq!(delivery, expected, "{fault}");
        assert_eq!(sandbox.state()["bk-cmdb"]["instances"]["rack"][0]["room"], room, "{fault}");
    };
    check(json!({"fault": "delay", "ms": 1}), "200", "b").await;
    check(json!({"fault": "status", "status": 503}), "503", "a").await;
    check(json!({"fault": "refuse"}), "refused", "a").await;
    check(json!({"fault": "reset_before"}), "lost", "a").await;
    check(json!({"fault": "reset_after"}), "lost", "b").await;
    check(json!({"fault": "cut"}), "lost", "b").await;
    check(json!({"fault": "applied_504"}), "504", "b").await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_follow_the_paused_clock() {
    let _simulated = SimulatedTime::from("2026-01-01T00:00:00Z".parse().expect("a time"));
    let sandbox = sandbox();
    sandbox.set_option("latency", &json!(3_600_000)).expect("an option");
    let start = Instant::now();
    update(&sandbox, "b").await;
    assert_eq!(start.elapsed(), Duration::from_hours(1));
    let calls = sandbox.calls();
    assert_eq!((calls[0].time.to_string(), calls[0].ms), ("2026-01-01T00:00:00Z".to_owned(), 3_600_000.0));
    let time = sandbox.state()["bk-cmdb"]["instances"]["rack"][0]["last_time"].clone();
    assert_eq!(time, "2026-01-01T01:00:00Z");
}
