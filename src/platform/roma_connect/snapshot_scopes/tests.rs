use super::*;

fn request(operation: &'static str, arguments: Value) -> Request {
    Request { operation, arguments, repeatable: true }
}

fn scope_rows(rows: &Value) -> Arc<ScopeRows> {
    Arc::new(ScopeRows::new(rows.as_array().cloned().unwrap_or_default()))
}

#[test]
fn a_read_is_widened_to_its_instance() {
    let check = |operation, arguments: Value, expected: &[&str]| {
        let scopes = Scopes.scopes(&request(operation, arguments));
        let told: Vec<_> = scopes.iter().map(|scope| format!("{} {}", scope.operation, scope.arguments)).collect();
        assert_eq!(told, expected);
    };
    check("CheckRomaInstanceListV2", json!({"offset": 100, "limit": 100}), &["CheckRomaInstanceListV2 {}"]);
    check("ListRomaApp", json!({"instance_id": "i", "offset": 5, "again": 1}), &[r#"ListRomaApp {"instance_id":"i"}"#]);
    check(
        "ValidateRomaApp",
        json!({"instance_id": "i", "name": "a"}),
        &[r#"ValidateRomaApp {"instance_id":"i","name":"a"}"#, r#"ListRomaApp {"instance_id":"i"}"#],
    );
    check(
        "CheckAuthUsersOfApp",
        json!({"instance_id": "i", "app_id": "x"}),
        &[r#"CheckAuthUsersOfApp {"instance_id":"i"}"#, r#"CheckAuthUsersOfApp {"app_id":"x","instance_id":"i"}"#],
    );
    check("CheckRomaAppSecret", json!({"instance_id": "i"}), &[]);
    let related = Scopes.related(&request("ListRomaApp", json!({"instance_id": "i"})));
    let told: Vec<_> = related.iter().map(|scope| format!("{} {}", scope.operation, scope.arguments)).collect();
    assert_eq!(told, ["CheckRomaInstanceListV2 {}", r#"CheckAuthUsersOfApp {"instance_id":"i"}"#]);
}

#[test]
fn rows_are_narrowed_as_the_server_would() {
    let apps = scope_rows(&json!([{"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "c"}]));
    let list = request("ListRomaApp", json!({"instance_id": "i"}));
    let told = |operation, arguments: Value, scope: &Request, scope_rows: &ScopeRows| {
        Scopes
            .select(&request(operation, arguments), scope, scope_rows)
            .map(|told| told.map_err(|refusal| refusal.code))
    };
    let page = told("ListRomaApp", json!({"instance_id": "i", "offset": 1, "limit": 1}), &list, &apps);
    assert_eq!(page, Some(Ok(json!({"total": 3, "apps": [{"id": "2", "name": "b"}]}))));
    let validate =
        |key: &str, value: &str| told("ValidateRomaApp", json!({"instance_id": "i", key: value}), &list, &apps);
    assert_eq!(validate("name", "c"), Some(Ok(json!({"id": "3", "name": "c"}))));
    assert_eq!(validate("id", "1"), Some(Ok(json!({"id": "1", "name": "a"}))));
    assert_eq!(validate("name", "C"), Some(Err(Some("ROMA.00014001".into()))));
    assert!(codes::is_absent(&codes::no_such_app()));
    // One that was asked for is known to the letter: it may be hidden from the list.
    let itself = request("ValidateRomaApp", json!({"instance_id": "i", "name": "hidden"}));
    let hidden = scope_rows(&json!([{"id": "9", "name": "hidden"}]));
    let answer = Scopes.select(&itself, &itself, &hidden).map(Result::ok);
    assert_eq!(answer, Some(Some(json!({"id": "9", "name": "hidden"}))));
    // Members of an app that the list does not show are not told.
    let shared =
        scope_rows(&json!([{"app": "1", "users": [{"id": "u", "roles": ["read"]}]}, {"app": "2", "users": null}]));
    let all = request("CheckAuthUsersOfApp", json!({"instance_id": "i"}));
    let members = |app: &str| told("CheckAuthUsersOfApp", json!({"instance_id": "i", "app_id": app}), &all, &shared);
    assert_eq!(members("1"), Some(Ok(json!({"users": [{"id": "u", "roles": ["read"]}]}))));
    assert_eq!(members("2"), Some(Ok(json!({"users": null}))));
    assert_eq!(members("9"), None);
}

/// Reads a scope from a server that answers with these in turn; returns how often it was asked, and the rows.
fn read(
    scope: &Request,
    needs: &[Arc<ScopeRows>],
    answers: &[Result<Value, Refusal>],
) -> (usize, Result<Value, String>) {
    let (mut asked, mut answers) = (0, answers.iter().cloned());
    let mut facts = Facts::default();
    loop {
        let requests = match Scopes.rows(scope, needs, &facts) {
            Ok(Step::Done(rows)) => return (asked, Ok(Value::Array(rows))),
            Err(refusal) => return (asked, Err(refusal.to_string())),
            Ok(Step::Ask(requests)) => requests,
        };
        for request in requests {
            asked += 1;
            facts.learn(request, answers.next().expect("no more is asked").map(Json::from));
        }
    }
}

#[test]
fn whole_lists_are_read_without_what_nobody_reads() {
    let scope = request("ListRomaApp", json!({"instance_id": "i"}));
    let app = |id: &str| json!({"id": id, "name": id, "remark": "", "favorite": true, "key": "k", "secret": "s", "owner": true});
    let kept = |id: &str| json!({"id": id, "name": id, "remark": "", "favorite": true});
    let page = |total: usize, ids: &[&str]| {
        Ok(json!({"total": total, "apps": ids.iter().map(|id| app(id)).collect::<Vec<_>>()}))
    };
    let two = Ok(json!([kept("a"), kept("b")]));
    assert_eq!(read(&scope, &[], &[page(2, &["b", "a"])]), (1, two.clone()));
    assert_eq!(read(&scope, &[], &[page(2, &["b"]), page(2, &["a"])]), (2, two.clone()));
    // One came while it was read.
    assert_eq!(read(&scope, &[], &[page(3, &["b"]), page(2, &["a"]), page(2, &[]), page(2, &["a", "b"])]), (4, two));
    let moving: Vec<_> = (0..10).map(|at| if at % 2 == 0 { page(2, &["a"]) } else { page(2, &[]) }).collect();
    let (asked, told) = read(&scope, &[], &moving);
    assert_eq!((asked, told), (10, Err("the list of apps moved each of 5 times it was read".to_owned())));
}

#[test]
fn more_instances_than_the_server_lists_are_not_taken_to_be_absent() {
    let scope = request("CheckRomaInstanceListV2", json!({}));
    let rows =
        |from: usize| (from..from + 100).map(|at| json!({"id": format!("{at:03}"), "status": "RUNNING", "name": "n"}));
    let page = |total: usize, from: usize| Ok(json!({"total": total, "instances": rows(from).collect::<Vec<_>>()}));
    let (asked, told) = read(&scope, &[], &[page(300, 0), page(300, 100)]);
    let told = told.expect("it was read");
    assert_eq!((asked, told.as_array().map(Vec::len)), (2, Some(201)));
    assert_eq!((&told[0], &told[200]), (&json!({"id": "000", "status": "RUNNING"}), &json!({"id": null})));
    assert_eq!(read(&scope, &[], &[page(100, 0)]).1.expect("it was read").as_array().map(Vec::len), Some(100));
}

#[test]
fn members_are_read_of_each_app_that_tells() {
    let scope = request("CheckAuthUsersOfApp", json!({"instance_id": "i"}));
    let apps = [scope_rows(&json!([{"id": "1"}, {"id": "2"}]))];
    let users = Ok(json!({"total": 1, "id": "1", "users": [{"id": "u", "name": "zoe", "roles": ["read"]}]}));
    let forbidden = Err(Refusal::new(Some("ROMA.00000101".into()), "no"));
    let kept = json!({"app": "1", "users": [{"id": "u", "roles": ["read"]}]});
    assert_eq!(read(&scope, &apps, &[users.clone(), forbidden]), (2, Ok(json!([kept.clone()]))));
    let lost = Err(Refusal::new(None, "cut off"));
    assert_eq!(read(&scope, &apps, &[users.clone(), lost]).1, Err("cut off".to_owned()));
    // One that the list does not show, by itself.
    let hidden = request("CheckAuthUsersOfApp", json!({"instance_id": "i", "app_id": "1"}));
    assert_eq!(read(&hidden, &[], &[users]), (1, Ok(json!([kept]))));
}

#[test]
fn only_refusals_that_tell_of_an_app_are_answers() {
    let scope =
        |operation| Request { operation, arguments: json!({"instance_id": "i", "app_id": "a"}), repeatable: true };
    let check = |operation, code: &str, expected: bool| {
        let refusal = Refusal::new(Some(code.into()), "no");
        assert_eq!(Scopes.is_answer(&scope(operation), &refusal), expected, "{operation} {code}");
        let lost = Refusal { lost: true, ..refusal.clone() };
        let busy = Refusal { retry: Retry::Soon, ..refusal };
        if operation == "CheckRomaAppDetails" {
            assert!(
                !Scopes.is_answer(&scope(operation), &lost) && !Scopes.is_answer(&scope(operation), &busy),
                "{code}"
            );
        }
    };
    for code in ["ROMA.00014001", "ROMA.13000", "ROMA.00013000", "ROMA.00012000"] {
        check("CheckRomaAppDetails", code, true);
    }
    for code in ["ROMA.00010000", "ROMA.00015000", "APIGW.0101", "500", "429"] {
        check("CheckRomaAppDetails", code, false);
    }
    check("ValidateRomaApp", "ROMA.00014001", true);
    check("ValidateRomaApp", "ROMA.13000", false);
}
