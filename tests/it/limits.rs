//! The program against servers that limit the rate, on the real clock. It takes its time: `just long` runs it.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use reconcile_sandbox::Sandbox;
use serde_json::{Value, json};

/// How many writes a window takes, how long it is, and how a refusal looks.
#[derive(Clone, Copy)]
struct Limit {
    access: &'static str,
    writes: u32,
    window: Duration,
    status: u16,
    refusal: &'static str,
    retry_after: Option<&'static str>,
}

/// Stands before a sandbox and limits its writes.
struct Front {
    limit: Limit,
    behind: SocketAddr,
    client: reqwest::Client,
    window: Mutex<Option<(Instant, u32)>>,
    /// First and last write that was let through.
    span: Mutex<Option<(Instant, Instant)>>,
}

impl Front {
    fn takes(&self) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock().expect("whole");
        let (begin, count) = window.filter(|(begin, _)| now < *begin + self.limit.window).unwrap_or((now, 0));
        *window = Some((begin, count + 1));
        let takes = count < self.limit.writes;
        if takes {
            let mut span = self.span.lock().expect("whole");
            *span = Some((span.map_or(now, |(first, _)| first), now));
        }
        takes
    }
}

async fn forward(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let limit = front.limit;
    if uri.path().contains("update") && !front.takes() {
        let mut answer = (StatusCode::from_u16(limit.status).expect("a status"), limit.refusal).into_response();
        if let Some(wait) = limit.retry_after {
            answer.headers_mut().insert("retry-after", wait.parse().expect("a value"));
        }
        return answer;
    }
    let answer = front
        .client
        .request(method, format!("http://{}{uri}", front.behind))
        .headers(headers)
        .body(body)
        .send()
        .await
        .expect("the sandbox answers");
    let status = answer.status();
    (status, answer.bytes().await.expect("a body")).into_response()
}

/// Applies so many changes through a limiter; returns the share of its rate that was used.
async fn share(limit: Limit, work: u32) -> f64 {
    let instances: Vec<Value> =
        (1..=work).map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("r{id}"), "units": 1})).collect();
    let sandbox = Sandbox::new();
    let state = json!({"bk-cmdb": {
        "objects": [{"bk_obj_id": "rack"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "bk_inst_name", "bk_property_type": "singlechar", "editable": true},
            {"bk_obj_id": "rack", "bk_property_id": "units", "bk_property_type": "int", "editable": true},
        ],
        "instances": {"rack": instances},
    }});
    sandbox.load(&state).expect("the state is fine");
    let running = sandbox.start(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let front = Arc::new(Front {
        limit,
        behind: running.address,
        client: reqwest::Client::builder().no_proxy().build().expect("a client"),
        window: Mutex::default(),
        span: Mutex::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(forward).with_state(front.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let directory = tempfile::tempdir().expect("a directory");
    let mut manifests = String::new();
    for id in 1..=work {
        let _ = writeln!(
            manifests,
            "---\napiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: r{id}}}\nspec: {{model: rack, id: {id}, \
             fields: {{units: 2}}}}"
        );
    }
    fs::write(directory.path().join("racks.yaml"), manifests).expect("written");
    let config = format!(
        "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  t:\n    platform: bk-cmdb\n    access: {}\n    endpoint: \
         http://{address}\n    auth: {{username: admin, appCode: a, appSecret: {{command: [echo, s]}}}}\n",
        limit.access
    );
    fs::write(directory.path().join("reconcile.yaml"), config).expect("written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_reconcile"));
    program.current_dir(directory.path()).args(["apply", "--auto-approve", "-o", "json"]).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || program.output()).await.expect("no panic").expect("it runs");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told["outcomes"].as_array().map(Vec::len), Some(work as usize));
    let units = sandbox.state()["bk-cmdb"]["instances"]["rack"].clone();
    assert!(units.as_array().expect("a list").iter().all(|row| row["units"] == json!(2)));
    server.abort();
    running.shutdown().await.expect("a clean end");
    let (first, last) = front.span.lock().expect("whole").expect("there were writes");
    f64::from(work) / (last - first).as_secs_f64() / (f64::from(limit.writes) / limit.window.as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute"]
async fn nine_tenths_of_an_unknown_rate() {
    // The client that forwards wants one, although it speaks plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Limit {
        access: "direct",
        writes: 100,
        window: Duration::from_secs(2),
        status: 200,
        refusal: r#"{"result":false,"bk_error_code":1199997,"bk_error_msg":"too many requests","permission":null,"data":null}"#,
        retry_after: None,
    };
    let esb = Limit {
        access: "esb",
        writes: 60,
        window: Duration::from_secs(1),
        refusal: r#"{"result":false,"code":1306429,"message":"rate limit","request_id":"e","data":null}"#,
        ..server
    };
    let gateway = Limit {
        access: "gateway",
        writes: 50,
        window: Duration::from_secs(1),
        status: 429,
        refusal: r#"{"code":1642903,"code_name":"RATE_LIMIT_RESTRICTION","message":"slow","result":false,"data":null}"#,
        retry_after: Some("1"),
    };
    let shares = tokio::join!(share(server, 1600), share(esb, 1900), share(gateway, 1600));
    for (access, share) in [("direct", shares.0), ("esb", shares.1), ("gateway", shares.2)] {
        assert!(share >= 0.9, "{access}: {share}, of {shares:?}");
    }
}
