use std::fmt::Write as _;

use super::*;
use crate::{model::KeyPool, provider::Reply};

const STAMP: RequestContext<'_> = RequestContext { request_id: "r1", now: jiff::Timestamp::UNIX_EPOCH };

fn request(operation: &'static str, arguments: Value) -> Request {
    Request { operation, arguments, repeatable: true }
}

/// Shows an answer to a read that all versions have.
fn told(operation: &'static str, status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let reply =
        Reply { status, headers: &headers, body: body.as_bytes(), parsed: None, received: jiff::Timestamp::UNIX_EPOCH };
    match interpret(&request(operation, json!({})), &reply, &mut KeyPool::default()) {
        Ok(data) => data.to_string(),
        Err(refusal) => format!("{refusal}; {:?}, lost: {}", refusal.retry, refusal.lost),
    }
}

#[test]
fn answers() {
    let check = |status: u16, body: &str, expected: &str| {
        let headers: &[_] = if status == 429 { &[("retry-after", "7")] } else { &[] };
        assert_eq!(told("update_inst", status, headers, body), expected, "{status} {body}");
    };
    check(200, r#"{"result":true,"code":0,"message":"success","data":{"id":5}}"#, r#"{"id":5}"#);
    check(200, r#"{"result":true,"code":"0","message":"","request_id":"e","data":[]}"#, "[]");
    check(200, r#"{"result":true,"bk_error_code":0,"bk_error_msg":"success","data":null}"#, "null");
    check(
        200,
        r#"{"result":false,"code":"1199019","message":"No relevant data found","data":null}"#,
        "No relevant data found (code 1199019); Never, lost: false",
    );
    check(
        200,
        r#"{"result":false,"code":1199019,"message":"gone","request_id":"e5b0","data":null}"#,
        "gone (code 1199019, request e5b0); Never, lost: false",
    );
    // Limiters in all their disguises.
    check(
        200,
        r#"{"result":false,"bk_error_code":1199997,"bk_error_msg":"too many requests"}"#,
        "too many requests (code 1199997); Slower(None), lost: false",
    );
    check(
        200,
        r#"{"result":false,"code":"1306429","message":"rate","request_id":"e"}"#,
        "rate (code 1306429, request e); Slower(None), lost: false",
    );
    check(
        429,
        r#"{"code":1642903,"code_name":"RATE_LIMIT_RESTRICTION","message":"slow down","result":false}"#,
        "slow down (code 1642903); Slower(Some(7s)), lost: false",
    );
    check(429, "", "answered HTTP 429 with an empty body instead of an envelope; Slower(Some(7s)), lost: false");
    // Routes that are not there.
    let gone = "the server has no operation `update_inst`";
    let check_gone = |status: u16, body: &str, why: &str| {
        check(status, body, &format!("{gone}: {why} (code absent); Never, lost: false"));
    };
    check_gone(200, "405: Method Not Allowed", "answered `405: Method Not Allowed`");
    check_gone(200, "404: Page Not Found", "answered `404: Page Not Found`");
    check_gone(
        404,
        r#"{"code":1640401,"code_name":"API_NOT_FOUND","message":"API not found","result":false}"#,
        "API not found; check `stage` and `endpoint` (code 1640401)",
    );
    check_gone(
        200,
        r#"{"result":false,"code":1306404,"message":"Component class not found by path"}"#,
        "Component class not found by path (code 1306404)",
    );
    // Writes that may have been done: only a code of the platform proves that they were not.
    for status in [408, 500, 502, 503, 520, 599] {
        let text = format!("answered HTTP {status} with `down` instead of an envelope; Soon, lost: true");
        check(status, "down", &text);
        let body = format!(r#"{{"code":{status},"message":"down"}}"#);
        check(status, &body, "down; Soon, lost: true");
    }
    check(503, r#"{"result":false,"code":1113053,"message":"locked"}"#, "locked (code 1113053); Soon, lost: false");
    check(504, "", "answered HTTP 504 with an empty body instead of an envelope; Soon, lost: true");
    check(
        504,
        r#"{"code":1650401,"code_name":"REQUEST_BACKEND_TIMEOUT","message":"late","result":false}"#,
        "late (code 1650401); Soon, lost: true",
    );
    check(
        500,
        r#"{"result":false,"bk_error_code":1199998,"bk_error_msg":"proxy request failed"}"#,
        "proxy request failed (code 1199998); Soon, lost: true",
    );
    check(
        500,
        r#"{"result":false,"bk_error_code":1199998,"bk_error_msg":"rewrite request failed, unknown requested with backend process"}"#,
        "rewrite request failed, unknown requested with backend process; check `endpoint`: it is the root of the server, \
         without a path (code 1199998); Never, lost: false",
    );
    check(
        200,
        r#"{"result":false,"bk_error_code":1199998,"bk_error_msg":"field x contains space"}"#,
        "field x contains space (code 1199998); Never, lost: false",
    );
    check(
        200,
        r#"{"result":false,"code":1306000,"message":"no json","request_id":"e"}"#,
        "no json (code 1306000, request e); Never, lost: true",
    );
    check(200, "<html>", "answered HTTP 200 with `<html>` instead of an envelope; Never, lost: true");
    // A code decides, whatever the status says.
    check(
        500,
        r#"{"result":false,"bk_error_code":1199027,"bk_error_msg":"'user' authorization information query failed"}"#,
        "'user' authorization information query failed (code 1199027); Never, lost: false",
    );
    check(
        200,
        r#"{"result":false,"code":9900403,"message":"no","permission":{"system_id":"bk_cmdb","actions":[{"id":"edit_sys_instance","name":"Edit instance"},{"id":"x"}]}}"#,
        "no; needed: `edit_sys_instance` (Edit instance), `x` (code 9900403); Never, lost: false",
    );
}

#[test]
fn what_an_older_server_says_to_a_newer_read() {
    let check = |status: u16, body: &str| {
        let told = told("search_object_instances", status, &[], body);
        assert!(told.ends_with("(code absent); Never, lost: false"), "{told}");
    };
    check(500, r#"{"result":false,"bk_error_code":1199998,"bk_error_msg":"rewrite request failed"}"#);
    check(200, r#"{"result":false,"code":1306000,"message":"not a json string"}"#);
    check(200, r#"{"code":,"message":}"#);
    check(200, "404: Page Not Found");
}

#[test]
fn the_platforms_own_id_is_told() {
    let body = r#"{"result":false,"code":1,"message":"no"}"#;
    let check = |headers: &[(&str, &str)], expected: &str| {
        assert_eq!(told("update_inst", 200, headers, body), format!("no (code 1{expected}); Never, lost: false"));
    };
    check(&[("x-request-id", "cc0000a")], ", request cc0000a");
    check(&[("x-request-id", "cc0000a"), ("x-bkapi-request-id", "g1")], ", request g1");
    check(&[], "");
}

/// Shows what goes over the wire.
fn wire(request: &Request, settings: &[(&'static str, &str)], secrets: &[(&'static str, &str)]) -> String {
    let endpoint = Endpoint {
        url: "http://h".to_owned(),
        settings: settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        secrets: secrets.iter().map(|(key, value)| (*key, (*value).into())).collect(),
    };
    match prepare(request, &endpoint, STAMP) {
        Err(refusal) => refusal.to_string(),
        Ok(prepared) => {
            assert!(!format!("{prepared:?}").contains("canary"));
            let mut text = format!("{} {}\n", prepared.method.as_str(), prepared.url);
            for (name, value) in prepared.headers.iter().filter(|(name, _)| !matches!(*name, "accept" | "content-type"))
            {
                let _ = writeln!(text, "{name}: {value}");
            }
            text + &String::from_utf8(prepared.body).expect("text")
        }
    }
}

#[test]
fn one_request_through_three_doors() {
    let update = request("update_inst", json!({"bk_obj_id": "m", "bk_inst_id": 7, "data": {"bk_inst_name": "x"}}));
    let module = request(
        "update_module",
        json!({"bk_biz_id": 1, "bk_set_id": 2, "bk_module_id": 3, "data": {"bk_module_name": "x"}}),
    );
    let account = [("appCode", "app"), ("username", "admin")];
    let through = |api: &'static str, more: &[(&'static str, &'static str)]| {
        account.iter().chain(&[("access", api)]).chain(more).copied().collect::<Vec<_>>()
    };
    let secret = [("appSecret", "canary")];
    insta::assert_snapshot!(wire(&update, &through("esb", &[]), &secret), @r#"
    POST http://h/api/c/compapi/v2/cc/update_inst/
    blueking-language: en
    x-request-id: r1
    {"bk_app_code":"app","bk_app_secret":"canary","bk_inst_id":7,"bk_inst_name":"x","bk_obj_id":"m","bk_username":"admin"}
    "#);
    insta::assert_snapshot!(wire(&module, &through("esb", &[("in", "header"), ("supplierAccount", "9")]), &secret), @r#"
    POST http://h/api/c/compapi/v2/cc/update_module/
    blueking-language: en
    x-request-id: r1
    x-bkapi-authorization: {"bk_app_code":"app","bk_app_secret":"canary","bk_username":"admin"}
    {"bk_biz_id":1,"bk_module_id":3,"bk_set_id":2,"bk_supplier_account":"9","data":{"bk_module_name":"x"}}
    "#);
    insta::assert_snapshot!(wire(&update, &through("gateway", &[]), &secret), @r#"
    PUT http://h/api/bk-cmdb/prod/api/v3/update/instance/object/m/inst/7
    x-bkapi-authorization: {"bk_app_code":"app","bk_app_secret":"canary","bk_username":"admin"}
    blueking-language: en
    x-bkcmdb-language: en
    http_blueking_language: en
    x-bkcmdb-supplier-account: 0
    x-request-id: r1
    x-bkapi-request-id: r1
    {"bk_inst_name":"x"}
    "#);
    insta::assert_snapshot!(wire(&module, &[("access", "gateway"), ("stage", "test"), ("appCode", "app")], &[("appSecret", "canary"), ("token", "canary2")]), @r#"
    PUT http://h/api/bk-cmdb/test/api/v3/module/1/2/3
    x-bkapi-authorization: {"bk_app_code":"app","bk_app_secret":"canary","bk_token":"canary2"}
    blueking-language: en
    x-bkcmdb-language: en
    http_blueking_language: en
    x-bkcmdb-supplier-account: 0
    x-request-id: r1
    x-bkapi-request-id: r1
    {"bk_module_name":"x"}
    "#);
    insta::assert_snapshot!(wire(&module, &[("access", "direct"), ("username", "admin"), ("supplierAccount", "9")], &[]), @r#"
    PUT http://h/api/v3/module/1/2/3
    x-bkcmdb-user: admin
    bk_user: admin
    x-bkcmdb-supplier-account: 9
    http_bk_supplier_account: 9
    http_blueking_supplier_id: 9
    x-bkcmdb-language: en
    http_blueking_language: en
    x-request-id: r1
    cc_request_id: r1
    {"bk_module_name":"x"}
    "#);
    for api in ["esb", "gateway", "direct"] {
        let told = wire(&module, &through(api, &[("language", "zh-cn")]), &secret);
        let asked = told.lines().filter(|line| line.contains("anguage: "));
        assert!(asked.clone().count() > 0 && asked.clone().all(|line| line.ends_with(": zh-cn")), "{told}");
    }
    let internal = request("get_biz_internal_module", json!({"bk_biz_id": 3}));
    insta::assert_snapshot!(wire(&internal, &through("esb", &[]), &secret), @r#"
    GET http://h/api/c/compapi/v2/cc/get_biz_internal_module/?bk_biz_id=3
    blueking-language: en
    x-request-id: r1
    x-bkapi-authorization: {"bk_app_code":"app","bk_app_secret":"canary","bk_username":"admin"}
    "#);
    insta::assert_snapshot!(wire(&internal, &through("direct", &[]), &secret), @r#"
    GET http://h/api/v3/topo/internal/0/3
    x-bkcmdb-user: admin
    bk_user: admin
    x-bkcmdb-supplier-account: 0
    http_bk_supplier_account: 0
    http_blueking_supplier_id: 0
    x-bkcmdb-language: en
    http_blueking_language: en
    x-request-id: r1
    cc_request_id: r1
    x-bkcmdb-app-code: app
    bk-app-code: app
    "#);
    let unique = request("search_object_unique", json!({"bk_obj_id": "m"}));
    assert_eq!(
        wire(&unique, &through("esb", &[]), &secret),
        "the server has no operation `search_object_unique`: the ESB does not offer it (code absent)"
    );
}
