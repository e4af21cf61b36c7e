use std::{io::Write as _, net::SocketAddr};

use axum::{Router, body::Bytes, http::header};
use flate2::{Compression, write::GzEncoder};

use super::*;

/// The bound of these tests.
const BOUND: usize = 1 << 20;

/// Starts a server that answers with so many bytes, compressed or not.
async fn serve(length: usize, is_compressed: bool) -> SocketAddr {
    let plain = vec![b'x'; length];
    let body = if is_compressed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("memory takes it")
    } else {
        plain
    };
    let encoding = if is_compressed { "gzip" } else { "identity" };
    let body = Bytes::from(body);
    let router = Router::new().fallback(move || async move { ([(header::CONTENT_ENCODING, encoding)], body) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_read_to_its_end() {
    let options = Options { longest_body: BOUND, ..Options::default() };
    let transport = Transport::new(&options).expect("a client");
    let cases = [(0, true), (BOUND, true), (BOUND + 1, false), (BOUND * 40, false)];
    for (length, fits, is_compressed) in
        cases.iter().flat_map(|(length, fits)| [(*length, *fits, false), (*length, *fits, true)])
    {
        let url = format!("http://{}/", serve(length, is_compressed).await);
        let prepared = Prepared { method: Method::Get, url, headers: Vec::new(), body: Vec::new() };
        match transport.send(prepared).await {
            Ok(answer) => assert_eq!((answer.body.len(), fits), (length, true), "compressed: {is_compressed}"),
            Err(refusal) => {
                assert!(!fits, "{length}, compressed: {is_compressed}: {refusal}");
                assert!(
                    refusal.message.starts_with("the answer is longer than 1 MiB and was not read to its end: see ")
                );
                // A write may have been carried out.
                assert!(refusal.lost && refusal.retry == crate::model::Retry::Never);
            }
        }
    }
}
