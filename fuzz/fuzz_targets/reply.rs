//! The interpreters of replies: any answer through any access is data or a refusal.
//!
//! The first byte picks the platform and the access, the second the operation, the third the status, the fourth the
//! headers; the rest is the body.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::{
    model::{KeyPool, Request},
    platform,
    provider::{Endpoint, Platform, Reply},
};
use serde_json::json;

const BK: &[&str] = &[
    "search_inst_by_object",
    "search_object_instances",
    "update_inst",
    "update_module",
    "list_service_template_attribute",
];
const ROMA: &[&str] = &["ListRomaApp", "CheckRomaAppDetails", "UpdateRomaApp", "DeleteRomaApp"];
const STATUSES: &[u16] = &[200, 201, 204, 302, 400, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504, 520, 599];

fuzz_target!(|data: &[u8]| {
    let [access, operation, status, headers, body @ ..] = data else { return };
    let (name, operations): (_, &[&str]) = if *access < 200 { ("bk-cmdb", BK) } else { ("roma-connect", ROMA) };
    let Some(platform) = platform::ALL.iter().find(|platform| platform.name() == name) else { return };
    let operation = operations[usize::from(*operation) % operations.len()];
    let operation = platform.operation(operation).expect("the platform has it");
    let headers: Vec<(String, String)> = [
        ("retry-after", "7"),
        ("retry-after", "Sun, 06 Nov 1994 12:00:20 GMT"),
        ("x-subject-token", "MIIR"),
        ("x-request-id", "r1"),
        ("date", "Sun, 06 Nov 1994 12:00:15 GMT"),
    ]
    .into_iter()
    .enumerate()
    .filter(|(bit, _)| headers >> bit & 1 == 1)
    .map(|(_, (name, value))| (name.to_owned(), value.to_owned()))
    .collect();
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let reply = Reply { status, headers: &headers, body, parsed: None, received: Default::default() };
    interpret(*platform, operation, *access, &reply);
});

fn interpret(platform: &dyn Platform, operation: &'static str, access: u8, reply: &Reply<'_>) {
    let request = Request { operation, arguments: json!({"instance_id": "i1"}), repeatable: true };
    let access = ["esb", "gateway", "direct"][usize::from(access) % 3];
    let endpoint = Endpoint {
        url: "http://h".to_owned(),
        settings: HashMap::from([("access", access.to_owned()), ("user", "u".to_owned()), ("project", "p".to_owned())]),
        secrets: HashMap::new(),
    };
    if let Err(refusal) = platform.interpret(&request, reply, &mut KeyPool::default()) {
        let _ = platform.credential_status(&endpoint, &refusal);
        let _ = platform.settings_to_check(&endpoint, &refusal);
        let _ = refusal.to_string();
        assert!(!refusal.message.is_empty(), "a refusal says something");
    }
    let _ = platform.login_result(&endpoint, reply);
}
