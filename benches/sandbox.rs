//! How fast the sandbox is: it must not be the bottleneck of what is measured against it.
//!
//! `cargo bench --bench sandbox`. Two models have 100,000 instances each, every one the end of an association. Medians on
//! one core of a shared virtual machine with two:
//!
//! | what | took |
//! |---|---|
//! | load 200,000 instances and 100,000 associations | 0.9 s to 1.7 s |
//! | a page of 500 by id | 0.25 ms |
//! | by name, by a unique key | 0.34 ms, 0.39 ms |
//! | by the source or the target of an association | 0.26 ms, 0.20 ms |
//! | a page of 500 behind 90,000 others | 0.7 ms |
//! | one by name | 0.004 ms |
//! | `update_inst` | 0.02 ms |
//! | over HTTP with its client on the same core: one by id, `update_inst` | 55,000 and 40,000 a second |

use std::{hint::black_box, io};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use reconcile_sandbox::{
    Sandbox,
    bk_cmdb::Simulator,
    simulator::{Request, Simulator as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const MANY: i64 = 100_000;

fn state() -> Value {
    let racks = (1..=MANY).map(
        |id| json!({"bk_inst_id": id, "bk_inst_name": format!("r{id}"), "room": format!("room {id}"), "units": id % 50 + 1}),
    );
    let servers = (1..=MANY).map(|id| json!({"bk_inst_id": MANY + id, "bk_inst_name": format!("s{id}")}));
    let links = (1..=MANY).map(
        |id| json!({"id": id, "bk_obj_asst_id": "server_in_rack", "bk_inst_id": MANY + id, "bk_asst_inst_id": id}),
    );
    json!({
        "objects": [{"bk_obj_id": "rack"}, {"bk_obj_id": "server"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar", "id": 900},
            {"bk_obj_id": "rack", "bk_property_id": "units", "bk_property_type": "int"},
        ],
        "uniques": [{"bk_obj_id": "rack", "keys": [{"key_kind": "property", "key_id": 900}]}],
        "object_associations": [
            {"bk_obj_id": "server", "bk_asst_id": "in", "bk_asst_obj_id": "rack", "mapping": "1:1"},
            {"bk_obj_id": "server", "bk_asst_id": "uses", "bk_asst_obj_id": "server", "mapping": "n:n"},
        ],
        "instances": {"rack": racks.collect::<Value>(), "server": servers.collect::<Value>()},
        "instance_associations": links.collect::<Value>(),
    })
}

fn request(operation: &str, body: &Value) -> Request {
    Request {
        method: "POST".to_owned(),
        path: format!("/api/c/compapi/v2/cc/{operation}/"),
        body: body.to_string().into_bytes(),
        ..Request::default()
    }
}

fn rule(field: &str, operator: &str, value: &Value) -> Value {
    json!({"condition": "AND", "rules": [{"field": field, "operator": operator, "value": value}]})
}

fn in_process(criterion: &mut Criterion) {
    let state = state();
    let simulator = Simulator::new();
    let mut group = criterion.benchmark_group("in process");
    group.sample_size(10);
    group.bench_function("load 200,000 instances, 100,000 associations", |bencher| {
        bencher.iter_batched(
            Simulator::new,
            |simulator| {
                simulator.load(&state).expect("the state is fine");
                simulator
            },
            BatchSize::PerIteration,
        );
    });
    simulator.load(&state).expect("the state is fine");
    group.sample_size(50);

    let ids: Vec<i64> = (40_000..40_500).collect();
    let names: Vec<String> = ids.iter().map(|id| format!("r{id}")).collect();
    let rooms: Vec<String> = ids.iter().map(|id| format!("room {id}")).collect();
    let page = json!({"start": 0, "limit": 500, "sort": "bk_inst_id"});
    let found = |field: &str, values: Value| json!({"bk_obj_id": "rack", "conditions": rule(field, "in", &values), "page": page});
    let deep = json!({"bk_obj_id": "rack", "page": {"start": 90_000, "limit": 500, "sort": "bk_inst_id"}});
    let linked = |field: &str, ids: &[i64]| {
        let rules = json!([
            {"field": "bk_obj_asst_id", "operator": "equal", "value": "server_in_rack"},
            {"field": field, "operator": "in", "value": ids},
        ]);
        json!({"bk_obj_id": "rack", "conditions": {"condition": "AND", "rules": rules}, "page": {"limit": 500, "sort": "id"}})
    };
    let sources: Vec<i64> = ids.iter().map(|id| id + MANY).collect();
    for (name, operation, body) in [
        ("500 by id", "search_object_instances", found("bk_inst_id", json!(ids))),
        ("500 by name", "search_object_instances", found("bk_inst_name", json!(names))),
        ("500 by unique key", "search_object_instances", found("room", json!(rooms))),
        ("500 by association source", "search_instance_associations", linked("bk_inst_id", &sources)),
        ("500 by association target", "search_instance_associations", linked("bk_asst_inst_id", &ids)),
        ("500 of a page far behind", "search_object_instances", deep),
        ("one by name", "search_object_instances", found("bk_inst_name", json!(["r77"]))),
        ("count_object_instances", "count_object_instances", json!({"bk_obj_id": "rack"})),
        ("update_inst", "update_inst", json!({"bk_obj_id": "rack", "bk_inst_id": 77, "units": 3})),
    ] {
        let request = request(operation, &body);
        let answer = simulator.answer(&request);
        assert!(answer.record.code.is_null(), "{name}: {}", String::from_utf8_lossy(&answer.body));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(simulator.answer(&request))));
    }
    group.finish();
}

/// Sends a request on a connection that stays open, and reads the whole answer.
async fn round_trip(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> io::Result<usize> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).unwrap_or("").to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if buffer.len() >= end + 4 + length.unwrap_or(0) {
            return Ok(buffer.len());
        }
    }
}

/// Client and server share one thread, so that a figure is one of one core.
fn over_http(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = Sandbox::new();
    sandbox.load(&json!({ "bk-cmdb": state() })).expect("the state is fine");
    let running = runtime.block_on(sandbox.start(([127, 0, 0, 1], 0).into())).expect("a free port");
    let mut stream = runtime.block_on(TcpStream::connect(running.address)).expect("a connection");
    stream.set_nodelay(true).expect("an option of the connection");
    let mut group = criterion.benchmark_group("over HTTP, client and server on one core");
    for (name, operation, body) in [
        (
            "one by id",
            "search_object_instances",
            json!({"bk_obj_id": "rack", "conditions": rule("bk_inst_id", "equal", &json!(5)), "page": {"limit": 1}}),
        ),
        ("update_inst", "update_inst", json!({"bk_obj_id": "rack", "bk_inst_id": 77, "units": 3})),
    ] {
        let body = body.to_string();
        let request = format!(
            "POST /api/c/compapi/v2/cc/{operation}/ HTTP/1.1\r\nhost: sandbox\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut buffer = Vec::new();
        group.throughput(criterion::Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(round_trip(&mut stream, request.as_bytes(), &mut buffer)).expect("an answer")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, in_process, over_http);
criterion_main!(benches);
