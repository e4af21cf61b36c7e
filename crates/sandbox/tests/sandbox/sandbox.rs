//! The sandbox over HTTP: control paths, calls, faults, options, concurrent clients.

use std::{io, net::SocketAddr, time::Duration};

use reconcile_sandbox::{Running, Sandbox};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

const UPDATE: &str = "/api/c/compapi/v2/cc/update_inst/";

fn state() -> Value {
    json!({"bk-cmdb": {
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}],
        "sets": [{"bk_set_id": 5, "bk_set_name": "set-a", "bk_biz_id": 3}],
        "modules": [{"bk_module_id": 7, "bk_module_name": "mod-a", "bk_set_id": 5}],
        "objects": [{"bk_obj_id": "rack"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar"},
            {"bk_obj_id": "rack", "bk_property_id": "units", "bk_property_type": "int"},
        ],
        "instances": {"rack": [{"bk_inst_id": 1, "bk_inst_name": "r1", "room": "a"}, {"bk_inst_id": 2, "bk_inst_name": "r2"}]},
    }})
}

async fn started() -> Running {
    let sandbox = Sandbox::new();
    sandbox.load(&state()).expect("the state is fine");
    sandbox.start(([127, 0, 0, 1], 0).into()).await.expect("a free port")
}

/// Sends one request on a connection of its own; returns status, head and body.
async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, head.to_owned(), body.to_owned()))
}

async fn json_of(address: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let (_, _, text) = send(address, method, path, &body.to_string()).await.expect("an answer");
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn update(room: &str) -> Value {
    json!({"bk_app_code": "app", "bk_app_secret": "hush", "bk_username": "zoe", "bk_obj_id": "rack", "bk_inst_id": 1,
        "room": room})
}

async fn room(address: SocketAddr) -> Value {
    let body = json!({"bk_obj_id": "rack", "condition": {"bk_inst_id": 1}});
    let answer = json_of(address, "POST", "/api/c/compapi/v2/cc/search_inst_by_object/", &body).await;
    answer["data"]["info"][0]["room"].clone()
}

async fn fault(address: SocketAddr, fault: Value) {
    let answer = json_of(address, "PUT", "/_sandbox/faults", &json!([fault])).await;
    assert_eq!(answer, json!({"result": true}));
}

#[tokio::test]
async fn calls_hold_no_credentials() {
    let running = started().await;
    let at = running.address;
    assert_eq!(json_of(at, "POST", UPDATE, &update("b")).await["result"], json!(true));
    assert_eq!(room(at).await, json!("b"));
    let calls = json_of(at, "GET", "/_sandbox/calls", &Value::Null).await;
    assert_eq!(calls[0]["operation"], "update_inst");
    assert_eq!(calls[0]["access"], "esb");
    assert_eq!(calls[0]["write"], json!(true));
    assert_eq!(calls[0]["body"], json!({"bk_obj_id": "rack", "bk_inst_id": 1, "room": "b"}));
    assert_eq!(calls[1]["body"], Value::Null);
    let counts = json_of(at, "GET", "/_sandbox/calls?summary=1", &Value::Null).await;
    assert_eq!(counts, json!({"update_inst": 1, "search_inst_by_object": 1}));
    json_of(at, "DELETE", "/_sandbox/calls", &Value::Null).await;
    assert_eq!(json_of(at, "GET", "/_sandbox/calls", &Value::Null).await, json!([]));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn state_goes_out_and_in() {
    let running = started().await;
    let at = running.address;
    let saved = json_of(at, "GET", "/_sandbox/state", &Value::Null).await;
    assert_eq!(saved["bk-cmdb"]["instances"]["rack"][0]["units"], Value::Null);
    assert_eq!(saved["bk-cmdb"]["instances"]["rack"][1]["room"], json!(""));
    let (status, ..) = send(at, "PUT", "/_sandbox/state", &saved.to_string()).await.expect("an answer");
    assert_eq!(status, 200);
    assert_eq!(json_of(at, "GET", "/_sandbox/state", &Value::Null).await, saved);

    let yaml = "bk-cmdb:\n  objects: [{bk_obj_id: rack}]\n  instances:\n    rack:\n      - {bk_inst_name: r9}\n    shelf: []\n  sets:\n    - {bk_set_id: 1, bk_set_name: s, bk_biz_id: 8}\n";
    let (status, _, body) = send(at, "PUT", "/_sandbox/state", yaml).await.expect("an answer");
    assert_eq!(status, 400);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let pointers: Vec<&str> =
        answer["errors"].as_array().expect("a list").iter().filter_map(|error| error["pointer"].as_str()).collect();
    assert_eq!(
        pointers,
        ["/bk-cmdb/sets/0/bk_biz_id", "/bk-cmdb/instances/rack/0/bk_inst_id", "/bk-cmdb/instances/shelf"]
    );
    assert_eq!(json_of(at, "GET", "/_sandbox/state", &Value::Null).await, saved, "a refused state changes nothing");
    let answer = json_of(at, "PUT", "/_sandbox/state", &json!({"nobody": {}})).await;
    assert_eq!(answer["errors"][0]["pointer"], "/nobody");
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn faults_strike() {
    let running = started().await;
    let at = running.address;

    fault(at, json!({"operation": "update_inst", "nth": 2, "fault": "status", "status": 503, "body": "down"})).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("one")).await["result"], json!(true));
    let (status, _, body) = send(at, "POST", UPDATE, &update("two").to_string()).await.expect("an answer");
    assert_eq!((status, body.as_str()), (503, "down"));
    assert_eq!(json_of(at, "POST", UPDATE, &update("three")).await["result"], json!(true));

    fault(at, json!({"fault": "code", "code": 1_199_066})).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("four")).await["code"], json!(1_199_066));
    fault(at, json!({"fault": "rate_limit"})).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("four")).await["code"], json!(1_306_429));
    let gateway = "/api/bk-cmdb/prod/api/v3/find/object";
    let (status, ..) = send(at, "POST", gateway, "{}").await.expect("an answer");
    assert_eq!(status, 429);
    fault(at, json!({"fault": "rate_limit", "retry_after": 7})).await;
    let (_, head, _) = send(at, "POST", gateway, "{}").await.expect("an answer");
    assert!(head.to_lowercase().contains("retry-after: 7"));

    fault(at, json!({"operation": "update_inst", "fault": "reset_before"})).await;
    assert!(send(at, "POST", UPDATE, &update("five").to_string()).await.is_err());
    assert_eq!(room(at).await, json!("three"));
    fault(at, json!({"operation": "update_inst", "fault": "reset_after"})).await;
    assert!(send(at, "POST", UPDATE, &update("six").to_string()).await.is_err());
    assert_eq!(room(at).await, json!("six"));

    fault(at, json!({"operation": "update_inst", "fault": "applied_504"})).await;
    let (status, ..) = send(at, "POST", UPDATE, &update("seven").to_string()).await.expect("an answer");
    assert_eq!(status, 504);
    assert_eq!(room(at).await, json!("seven"));

    fault(at, json!({"operation": "update_inst", "fault": "drop"})).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("eight")).await["result"], json!(true));
    assert_eq!(room(at).await, json!("seven"));
    fault(at, json!({"operation": "update_inst", "fault": "normalise"})).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("nine")).await["result"], json!(true));
    assert_eq!(room(at).await, json!("nine "));

    let edit =
        json!({"user": "eve", "operation": "update_inst", "body": {"bk_obj_id": "rack", "bk_inst_id": 1, "units": 4}});
    fault(at, json!({"operation": "update_inst", "nth": 1, "fault": "second_writer", "edit": edit})).await;
    json_of(at, "POST", UPDATE, &update("ten")).await;
    let rows = json_of(at, "GET", "/_sandbox/state", &Value::Null).await;
    assert_eq!(rows["bk-cmdb"]["instances"]["rack"][0]["units"], json!(4));

    fault(at, json!({"operation": "search_objects", "fault": "garbage"})).await;
    assert!(json_of(at, "POST", "/api/c/compapi/v2/cc/search_objects/", &json!({})).await.is_string());
    fault(at, json!({"operation": "search_objects", "fault": "cut"})).await;
    let (_, head, body) = match send(at, "POST", "/api/c/compapi/v2/cc/search_objects/", "{}").await {
        Ok(answer) => answer,
        Err(error) => panic!("half an answer is one: {error}"),
    };
    assert!(head.contains("content-length") && serde_json::from_str::<Value>(&body).is_err());

    fault(at, json!({"nth": 2, "fault": "refuse"})).await;
    assert!(send(at, "GET", "/_sandbox/options", "").await.is_ok());
    assert!(send(at, "GET", "/_sandbox/options", "").await.is_err());
    assert!(send(at, "GET", "/_sandbox/options", "").await.is_ok());

    let answer = json_of(at, "PUT", "/_sandbox/faults", &json!([{"fault": "gremlin"}])).await;
    assert_eq!(answer["errors"][0]["pointer"], "/0/fault");
    running.shutdown().await.expect("a clean end");
}

const APPS: &str = "/v2/p1/instances/i1/apps";
const APP: &str = "/v2/p1/instances/i1/apps/a1";

/// A sandbox with one application of ROMA Connect.
async fn roma() -> Running {
    let sandbox = Sandbox::new();
    let state = json!({"roma-connect": {
        "projects": [{"id": "p1", "name": "cn-north-4"}],
        "instances": [{"id": "i1", "project_id": "p1"}],
        "apps": [{"instance_id": "i1", "id": "a1", "name": "orders", "remark": "one"}],
    }});
    sandbox.load(&state).expect("the state is fine");
    sandbox.start(([127, 0, 0, 1], 0).into()).await.expect("a free port")
}

async fn remark(at: SocketAddr) -> Value {
    json_of(at, "GET", APP, &Value::Null).await["remark"].clone()
}

/// Status, `Retry-After`, body.
async fn put(at: SocketAddr, remark: &str) -> io::Result<(u16, Option<String>, Value)> {
    let (status, head, body) = send(at, "PUT", APP, &json!({"remark": remark}).to_string()).await?;
    let after = head.lines().find_map(|line| line.to_lowercase().strip_prefix("retry-after: ").map(str::to_owned));
    Ok((status, after, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

#[tokio::test]
async fn refusing_faults_strike_both_platforms() {
    let running = roma().await;
    let at = running.address;
    let iam = "/v3/auth/tokens";
    for (case, expected) in [
        (json!({"fault": "status", "status": 503, "body": "down"}), (503, None, json!("down"))),
        (json!({"fault": "code", "code": "ROMA.00011000"}), (500, None, json!("ROMA.00011000"))),
        (json!({"fault": "code", "code": 14001}), (404, None, json!("ROMA.00014001"))),
        (json!({"fault": "code", "code": "ROMA.12001"}), (400, None, json!("ROMA.12001"))),
        (json!({"fault": "code", "code": "APIGW.0301"}), (401, None, json!("APIGW.0301"))),
        (json!({"fault": "rate_limit"}), (429, None, json!("APIGW.0308"))),
        (json!({"fault": "rate_limit", "retry_after": 7}), (429, Some("7".to_owned()), json!("APIGW.0308"))),
    ] {
        let mut row = case.clone();
        row["operation"] = json!("UpdateRomaApp");
        fault(at, row).await;
        let (status, after, body) = put(at, "two").await.expect("an answer");
        let code = body.get("error_code").cloned().unwrap_or_else(|| body.clone());
        assert_eq!((status, after, code), expected, "{case}");
        assert!(body.is_string() || body["request_id"].is_string(), "{case}: {body}");
        assert_eq!(remark(at).await, "one", "{case}");
    }
    fault(at, json!({"fault": "code", "code": 503})).await;
    assert_eq!(json_of(at, "POST", iam, &json!({})).await["error"]["code"], 503);
    fault(at, json!({"fault": "code", "code": "IAM.0011"})).await;
    assert_eq!(json_of(at, "POST", iam, &json!({})).await["error_code"], "IAM.0011");
    fault(at, json!({"operation": "*", "fault": "rate_limit"})).await;
    assert_eq!(send(at, "POST", iam, "{}").await.expect("an answer").0, 429);

    let calls = json_of(at, "GET", "/_sandbox/calls", &Value::Null).await;
    let refused = &calls[0];
    assert_eq!((&refused["operation"], &refused["code"]), (&json!("UpdateRomaApp"), &json!(503)));
    assert_eq!(refused["body"], json!({"remark": "two"}), "what was to be written is noted");
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn broken_connections_and_twists_strike_both_platforms() {
    let running = roma().await;
    let at = running.address;
    let on_update = |name: &str| json!({"operation": "UpdateRomaApp", "fault": name});
    fault(at, on_update("reset_before")).await;
    assert!(put(at, "two").await.is_err());
    assert_eq!(remark(at).await, "one");
    fault(at, on_update("reset_after")).await;
    assert!(put(at, "two").await.is_err());
    assert_eq!(remark(at).await, "two");
    fault(at, on_update("cut")).await;
    assert!(put(at, "three").await.is_err() || remark(at).await == "three");
    assert_eq!(remark(at).await, "three");
    fault(at, on_update("garbage")).await;
    assert!(put(at, "four").await.expect("an answer").2.is_string());
    assert_eq!(remark(at).await, "four");
    fault(at, on_update("applied_504")).await;
    assert_eq!(put(at, "five").await.expect("an answer").0, 504);
    assert_eq!(remark(at).await, "five");
    fault(at, on_update("drop")).await;
    // An update answers with what is stored.
    assert_eq!(put(at, "six").await.expect("an answer").2["remark"], "five");
    assert_eq!(remark(at).await, "five");
    fault(at, on_update("normalise")).await;
    assert_eq!(put(at, "seven").await.expect("an answer").2["remark"], "seven ");
    assert_eq!(remark(at).await, "seven ");
    let begun = Instant::now();
    fault(at, json!({"operation": "UpdateRomaApp", "fault": "delay", "ms": 80})).await;
    put(at, "eight").await.expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(80));

    let edit = json!({"user": "eve", "operation": "UpdateRomaApp", "body": {"app_id": "a1", "favorite": true}});
    fault(at, json!({"operation": "UpdateRomaApp", "nth": 1, "fault": "second_writer", "edit": edit})).await;
    let answer = put(at, "nine").await.expect("an answer").2;
    assert_eq!((&answer["favorite"], &answer["remark"]), (&json!(true), &json!("nine")));

    fault(at, json!({"operation": "CheckRomaAppDetails", "fault": "lag", "ms": 60_000})).await;
    assert_eq!(remark(at).await, "one", "the past");
    fault(at, json!({"operation": "CreateRomaApp", "fault": "drop"})).await;
    let ghost = json_of(at, "POST", APPS, &json!({"name": "ghost"})).await;
    json_of(at, "PUT", "/_sandbox/faults", &json!([])).await;
    let real = json_of(at, "POST", APPS, &json!({"name": "ghost"})).await;
    assert_ne!(ghost["id"], real["id"], "an id never comes back");
    fault(at, json!({"operation": "ListRomaApp", "fault": "lag", "ms": 60_000})).await;
    assert_eq!(json_of(at, "GET", APPS, &Value::Null).await["total"], 1);
    let second = format!("{APPS}?offset=1&limit=1");
    fault(at, json!({"operation": "ListRomaApp", "fault": "page_shift"})).await;
    assert_eq!(json_of(at, "GET", &second, &Value::Null).await["apps"][0]["name"], "orders", "repeated");
    fault(at, json!({"operation": "ListRomaApp", "fault": "page_shift", "skip": true})).await;
    assert_eq!(json_of(at, "GET", &second, &Value::Null).await["apps"], json!([]), "skipped");
    fault(at, json!({"operation": "ListRomaApp", "nth": 2, "fault": "refuse"})).await;
    assert!(send(at, "GET", APPS, "").await.is_ok());
    assert!(send(at, "GET", APPS, "").await.is_err());
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn one_option_moves_both_clocks() {
    let running = roma().await;
    let at = running.address;
    json_of(at, "PUT", "/_sandbox/state", &state()).await;
    let options = json_of(at, "PUT", "/_sandbox/options", &json!({"clock": {"frozen": "2031-01-01T00:00:00Z"}})).await;
    assert_eq!(options["clock"]["value"], json!({"frozen": "2031-01-01T00:00:00Z"}));
    assert_eq!(options["put-omitted"]["values"], json!(["merge", "replace"]));
    put(at, "late").await.expect("an answer");
    json_of(at, "POST", UPDATE, &update("late")).await;
    let saved = json_of(at, "GET", "/_sandbox/state", &Value::Null).await;
    assert_eq!(saved["roma-connect"]["apps"][0]["update_time"], "2031-01-01T00:00:00.000Z");
    assert_eq!(saved["bk-cmdb"]["instances"]["rack"][0]["last_time"], "2031-01-01T00:00:00Z");

    let wrong = json!({"clock": "2040-01-01T00:00:00Z", "latency": "much", "replica-lag": 5, "put_omitted": "perhaps"});
    let answer = json_of(at, "PUT", "/_sandbox/options", &wrong).await;
    let pointers: Vec<&str> =
        answer["errors"].as_array().expect("a list").iter().filter_map(|error| error["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/latency", "/put_omitted"]);
    assert_eq!(json_of(at, "GET", "/_sandbox/options", &Value::Null).await, options, "wrong options change nothing");
    let values: serde_json::Map<String, Value> = options
        .as_object()
        .expect("options")
        .iter()
        .map(|(name, option)| (name.clone(), option["value"].clone()))
        .collect();
    assert_eq!(json_of(at, "PUT", "/_sandbox/options", &json!(values)).await, options, "what comes out goes in");
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn options_set_credentials() {
    let running = roma().await;
    let at = running.address;
    json_of(at, "PUT", "/_sandbox/state", &state()).await;
    let credentials = json!({"bk-cmdb": {"apps": {"app": "hush"}}, "roma-connect": {"ak_sk": {"AK": "SK"}}});
    let options = json_of(at, "PUT", "/_sandbox/options", &json!({ "credentials": credentials })).await;
    assert_eq!(options["credentials"]["value"]["roma-connect"]["ak_sk"], json!({"AK": "SK"}));
    assert_eq!(put(at, "two").await.expect("an answer").0, 401);
    assert_eq!(json_of(at, "POST", UPDATE, &json!({"bk_obj_id": "rack"})).await["code"], json!(1_306_406));
    assert_eq!(json_of(at, "POST", UPDATE, &update("b")).await["result"], json!(true));
    let wrong = json!({"credentials": {"bk-cmdb": {"apps": {"app": 1}}, "roma-connect": {}, "moon": {}}});
    let answer = json_of(at, "PUT", "/_sandbox/options", &wrong).await;
    assert_eq!(answer["errors"][0]["pointer"], "/credentials/bk-cmdb/apps/app");
    assert_eq!(answer["errors"][1]["pointer"], "/credentials/moon");
    assert_eq!(put(at, "two").await.expect("an answer").0, 401, "nothing has changed");
    json_of(at, "PUT", "/_sandbox/options", &json!({"credentials": {"roma-connect": {}}})).await;
    assert_eq!(put(at, "two").await.expect("an answer").0, 200);
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn chance_is_replayed_by_its_seed() {
    let running = started().await;
    let at = running.address;
    let mut runs = Vec::new();
    for _ in 0..2 {
        fault(at, json!({"probability": 0.5, "seed": 42, "fault": "status", "status": 500})).await;
        let mut run = Vec::new();
        for _ in 0..20 {
            run.push(send(at, "POST", UPDATE, &update("x").to_string()).await.expect("an answer").0);
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&500) && runs[0].contains(&200));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn options_and_edits() {
    let running = started().await;
    let at = running.address;
    let answer = json_of(at, "PUT", "/_sandbox/options", &json!({"version": "3.9"})).await;
    assert_eq!(answer["version"]["value"], "3.9");
    let search = json!({"bk_obj_id": "rack", "page": {"limit": 1}});
    let path = "/api/c/compapi/v2/cc/search_object_instances/";
    assert_eq!(json_of(at, "POST", path, &search).await["code"], json!(1_306_404));
    json_of(at, "PUT", "/_sandbox/options", &json!({"version": "3.14", "replica_lag": 300})).await;
    assert_eq!(json_of(at, "PUT", "/_sandbox/options", &json!({"mood": 1})).await["errors"][0]["pointer"], "/mood");

    let edit =
        json!({"user": "eve", "operation": "update_inst", "body": {"bk_obj_id": "rack", "bk_inst_id": 1, "room": "z"}});
    assert_eq!(json_of(at, "POST", "/_sandbox/edit", &edit).await["result"], json!(true));
    assert_eq!(room(at).await, json!("z"), "the primary shows it at once");
    let lagging =
        json_of(at, "POST", path, &json!({"bk_obj_id": "rack", "page": {"limit": 1, "sort": "bk_inst_id"}})).await;
    assert_eq!(lagging["data"]["info"][0]["room"], "a", "the secondary does not");
    tokio::time::sleep(Duration::from_millis(350)).await;
    let lagging =
        json_of(at, "POST", path, &json!({"bk_obj_id": "rack", "page": {"limit": 1, "sort": "bk_inst_id"}})).await;
    assert_eq!(lagging["data"]["info"][0]["bk_updated_by"], "eve");
    let calls = json_of(at, "GET", "/_sandbox/calls?summary=1", &Value::Null).await;
    assert_eq!(calls.get("update_inst"), None, "an edit is not among the calls");

    json_of(at, "PUT", "/_sandbox/options", &json!({"clock": "2031-01-01T00:00:00Z", "latency": 80})).await;
    let begun = Instant::now();
    json_of(at, "POST", UPDATE, &update("y")).await;
    assert!(begun.elapsed() >= Duration::from_millis(80));
    let rows = json_of(at, "GET", "/_sandbox/state", &Value::Null).await;
    let time = rows["bk-cmdb"]["instances"]["rack"][0]["last_time"].as_str().unwrap_or("").to_owned();
    assert!(time.starts_with("2031-01-01T00:00:0"), "{time}");
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn a_watch_waits_for_an_event() {
    let running = started().await;
    let at = running.address;
    let path = "/api/c/compapi/v2/cc/resource_watch/";
    let first = json_of(at, "POST", path, &json!({"bk_resource": "object_instance"})).await;
    let cursor = first["data"]["bk_events"][0]["bk_cursor"].clone();
    assert_eq!(first["data"]["bk_watched"], json!(false));
    let watch =
        json!({"bk_resource": "object_instance", "bk_cursor": cursor, "bk_filter": {"bk_sub_resource": "rack"}});
    let waiting = tokio::spawn(async move { json_of(at, "POST", path, &watch).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    json_of(at, "POST", UPDATE, &update("w")).await;
    let answer = waiting.await.expect("an answer");
    let event = &answer["data"]["bk_events"][0];
    assert_eq!(answer["data"]["bk_watched"], json!(true));
    assert_eq!(event["bk_event_type"], "update");
    assert_eq!(event["bk_detail"]["room"], "w");
    json_of(at, "PUT", "/_sandbox/state", &state()).await;
    let old = json!({"bk_resource": "object_instance", "bk_cursor": event["bk_cursor"]});
    assert_eq!(json_of(at, "POST", path, &old).await["code"], json!(1_103_007));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once() {
    let running = started().await;
    let at = running.address;
    let clients: Vec<_> = (0..32)
        .map(|client| {
            tokio::spawn(async move {
                for turn in 0..10 {
                    let body = json!({"bk_obj_id": "rack", "bk_inst_name": format!("c{client}-{turn}")});
                    let answer = json_of(at, "POST", "/api/c/compapi/v2/cc/create_inst/", &body).await;
                    assert_eq!(answer["result"], json!(true), "{answer}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client ends well");
    }
    let body = json!({"bk_obj_id": "rack"});
    let answer = json_of(at, "POST", "/api/c/compapi/v2/cc/count_object_instances/", &body).await;
    assert_eq!(answer["data"]["count"], json!(322));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn front_doors_verify_credentials() {
    let running = started().await;
    let at = running.address;
    let mut state = state();
    state["bk-cmdb"]["credentials"] = json!({"apps": {"app": "hush"}, "users": ["zoe"]});
    json_of(at, "PUT", "/_sandbox/state", &state).await;
    assert_eq!(json_of(at, "POST", UPDATE, &update("b")).await["result"], json!(true));
    let mut wrong = update("c");
    wrong["bk_app_secret"] = json!("loud");
    assert_eq!(json_of(at, "POST", UPDATE, &wrong).await["code"], json!(1_306_406));
    let mut wrong = update("c");
    wrong["bk_username"] = json!("mallory");
    assert_eq!(json_of(at, "POST", UPDATE, &wrong).await["code"], json!(1_306_406));
    let (status, _, body) = send(at, "POST", "/api/bk-cmdb/prod/api/v3/find/object", "{}").await.expect("an answer");
    assert_eq!(status, 400);
    assert!(body.contains("1640001"));
    assert_eq!(room(at).await, Value::Null, "a read without credentials shows nothing");
    let calls = json_of(at, "GET", "/_sandbox/calls", &Value::Null).await;
    assert!(!calls.to_string().contains("hush") && !calls.to_string().contains("loud"));
    running.shutdown().await.expect("a clean end");
}

#[tokio::test]
async fn no_web_page_steers_the_sandbox() {
    let running = started().await;
    let at = running.address;
    let check = async |headers: &str, expected: u16| {
        let mut stream = TcpStream::connect(at).await.expect("it listens");
        let body = r#"{"user": "eve", "operation": "update_inst", "body": {}}"#;
        let length = body.len();
        let request = format!(
            "POST /_sandbox/edit HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("answered");
        let status = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        assert_eq!(status == Some(403), expected == 403, "{headers:?}: {text}");
    };
    let port = at.port();
    check(&format!("host: 127.0.0.1:{port}\r\n"), 200).await;
    check(&format!("host: localhost:{port}\r\norigin: http://localhost:{port}\r\n"), 200).await;
    check(&format!("host: localhost:{port}\r\norigin: https://evil.example.com\r\n"), 403).await;
    check(&format!("host: localhost:{port}\r\norigin: null\r\n"), 403).await;
    check(&format!("host: evil.example.com:{port}\r\n"), 403).await;
    check(&format!("host: evil.example.com:{port}\r\norigin: http://evil.example.com:{port}\r\n"), 403).await;
    running.shutdown().await.expect("it ends");
}

#[test]
fn a_guest_is_admitted_where_a_state_asks_for_credentials() {
    let check = |section: Value, expected: Value| {
        let (mut state, sandbox) = (section.clone(), Sandbox::new());
        assert_eq!(sandbox.admit(&mut state, "guest"), section != expected, "{section}");
        assert_eq!(state, expected, "{section}");
        sandbox.load(&state).expect("a guest leaves a state right");
    };
    let any = json!({"bk-cmdb": {}, "roma-connect": {}});
    check(any.clone(), any);
    check(
        json!({"bk-cmdb": {"credentials": {"apps": {"app": "s"}, "users": ["admin"]}}}),
        json!({"bk-cmdb": {"credentials": {"apps": {"app": "s", "guest": "guest"}, "users": ["admin", "guest"]}}}),
    );
    check(
        json!({"roma-connect": {"credentials": {}}}),
        json!({"roma-connect": {"credentials": {"tokens": {"guest": {}}}}}),
    );
}

#[test]
fn a_guest_takes_from_the_state_what_its_configuration_leaves_open() {
    let state = json!({"roma-connect": {
        "projects": [{"id": "p0"}],
        "instances": [{"id": "i1", "project_id": "p1"}, {"id": "i2", "project_id": "p2"}],
    }});
    let check = |platform: &str, state: &Value, given: &[(&str, &str)], expected: &str| {
        let value = |key: &str| given.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        let access = Sandbox::new().guest_access(platform, state, &value, "guest");
        let settings = access.settings.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("-")));
        let secrets = access.secrets.iter().map(|(key, value)| format!("{key}={value}"));
        assert_eq!(settings.chain(secrets).collect::<Vec<_>>().join(" "), expected, "{given:?}");
    };
    let bk_cmdb = "appCode=guest username=guest endpoint=- stage=- appSecret=guest token=guest";
    check("bk-cmdb", &state, &[("username", "eve"), ("stage", "test")], bk_cmdb);
    check("roma-connect", &state, &[], "projectId=p0 instanceId=i1 endpoint=- token=guest");
    check("roma-connect", &state, &[("instanceId", "i2")], "projectId=p2 instanceId=i2 endpoint=- token=guest");
    let both = [("instanceId", "i3"), ("projectId", "p")];
    check("roma-connect", &state, &both, "projectId=p instanceId=i3 endpoint=- token=guest");
    check("roma-connect", &json!({}), &[], "projectId=guest instanceId=- endpoint=- token=guest");
    check("none", &state, &[], "");
}
