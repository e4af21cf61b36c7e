//! Calls that somebody else makes.

use serde_json::{Value, json};

use super::{create, read, send, start, start_with};

#[test]
fn somebody_else_writes_under_his_own_name() {
    let simulator = start(&json!({"throttle-every": 1, "lose-answer-every": 1}));
    let answer = simulator.edit(
        "mallory",
        "CreateRomaApp",
        &json!({"instance_id": "i1", "name": "a", "secret": "s3cr3t-s3cr3t"}),
    );
    let (status, app) = read(&answer);
    assert_eq!((status, &app["created_user"]["user_name"]), (201, &json!("mallory")), "neither throttled nor lost");
    assert_eq!((answer.record.operation.as_str(), &answer.record.body), ("CreateRomaApp", &json!({"name": "a"})));

    let edit = |operation: &str, fields: Value| {
        let mut body = json!({"instance_id": "i1", "app_id": app["id"]});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        read(&simulator.edit("eve", operation, &body))
    };
    let (status, changed) = edit("UpdateRomaApp", json!({"remark": "moved"}));
    assert_eq!((status, &changed["remark"]), (200, &json!("moved")));
    assert_eq!(changed["last_updated_user"]["user_name"], "eve");
    assert_eq!(edit("ListRomaApp", json!({"name": "a", "limit": 1})).1["total"], 1);
    assert_eq!(edit("ListRomaApp", json!({"name": "b"})).1["total"], 0);
    assert_eq!(edit("UpdateRomaApp", json!({"name": "a/b"})).1["error_code"], "ROMA.00013000");
    assert_eq!(edit("Nonsense", json!({})).0, 404);
    assert_eq!(edit("KeystoneListProjects", json!({})).0, 404);
    assert_eq!(edit("DeleteRomaApp", json!({})).0, 200);
    assert_eq!(edit("DeleteRomaApp", json!({})).1["error_code"], "ROMA.00014001");
}

#[test]
fn the_only_instance_need_not_be_named() {
    let simulator = start(&json!({}));
    assert_eq!(simulator.edit("eve", "CreateRomaApp", &json!({"name": "a"})).status, 201);
    let simulator = start_with(&json!({"instances": [{"id": "i1"}, {"id": "i2"}]}), &json!({}));
    assert_eq!(simulator.edit("eve", "CreateRomaApp", &json!({"name": "a"})).status, 404);
}

#[test]
fn an_edit_is_seen_by_everybody() {
    let simulator = start(&json!({}));
    let app = create(&simulator, &json!({"name": "a", "remark": "r"}));
    simulator.edit("eve", "UpdateRomaApp", &json!({"app_id": app["id"], "remark": "other"}));
    let (_, list) = send(&simulator, "GET", "apps", &Value::Null);
    assert_eq!(list["apps"][0]["remark"], "other");
    assert_eq!(list["apps"][0]["last_updated_user"]["user_name"], "eve");
    assert_eq!(list["apps"][0]["created_user"]["user_name"], "sandbox");
}
