use super::*;
use crate::model::Json;

fn request(operation: &'static str, arguments: Value) -> Request {
    Request { operation, arguments, repeatable: true }
}

#[test]
fn a_read_is_widened_to_what_lies_around_it() {
    let check = |operation, arguments: Value, expected: &str| {
        let scopes = Scopes.scopes(&request(operation, arguments));
        let told: Vec<_> = scopes.iter().map(|scope| format!("{} {}", scope.operation, scope.arguments)).collect();
        assert_eq!(told.join(", "), expected);
    };
    let rules = json!({"condition": "AND", "rules": [{"field": "bk_inst_id", "operator": "in", "value": [1]}]});
    let page = json!({"start": 500, "limit": 500, "sort": "bk_inst_id"});
    check(
        "search_object_instances",
        json!({"bk_obj_id": "m", "conditions": rules, "fields": ["a"], "page": page}),
        r#"search_object_instances {"bk_obj_id":"m"}"#,
    );
    check(
        "search_inst_by_object",
        json!({"bk_obj_id": "m", "condition": {"a": {"$in": ["x"]}}}),
        r#"search_inst_by_object {"bk_obj_id":"m"}"#,
    );
    check("search_object_attribute", json!({"bk_obj_id": "m"}), r#"search_object_attribute {"bk_obj_id":"m"}"#);
    check(
        "search_object_attribute",
        json!({"bk_obj_id": "module", "bk_biz_id": 3}),
        r#"search_object_attribute {"bk_biz_id":3,"bk_obj_id":"module"}"#,
    );
    check(FIXED, json!({"bk_biz_id": 3, "id": 51}), r#"list_service_template_attribute {"bk_biz_id":3}"#);
    check("search_business", json!({"condition": {"bk_biz_name": {"$in": ["a"]}}}), "search_business {}");
    check("search_set", json!({"bk_biz_id": 3, "condition": {}}), r#"search_set {"bk_biz_id":3}"#);
    for operation in ["search_module", "find_module_batch"] {
        check(operation, json!({"bk_biz_id": 3, "bk_ids": [1]}), r#"search_module {"bk_biz_id":3}"#);
    }
    for operation in BELOW {
        let arguments = json!({"bk_biz_id": 3, "bk_module_ids": [1], "page": {"start": 1000, "limit": 1000}});
        check(operation, arguments, &format!(r#"{operation} {{"bk_biz_id":3}}"#));
    }
    check(
        "list_proc_template",
        json!({"bk_biz_id": 3, "process_template_ids": [50]}),
        r#"list_proc_template {"bk_biz_id":3}"#,
    );
    check("find_object_association", json!({"condition": {"bk_obj_asst_id": "x"}}), "find_object_association {}");
    check("list_operation_audit", json!({}), "");
}

/// Returns the answer to a request from rows; nothing where they do not tell.
fn told(operation: &'static str, arguments: Value, rows: &Value) -> Value {
    let scope_rows = ScopeRows::new(rows.as_array().cloned().unwrap_or_default());
    select(&request(operation, arguments), &scope_rows).unwrap_or_default()
}

#[test]
fn rows_are_narrowed_as_the_server_would() {
    let rows = json!([{"bk_inst_id": 1, "bk_inst_name": "a", "x": 1, "bk_biz_id": 3},
        {"bk_inst_id": 2, "bk_inst_name": "b", "x": 1, "bk_biz_id": 4}, {"bk_inst_id": 3, "bk_inst_name": "c"}]);
    let check = |operation, arguments: Value, expected: Value| assert_eq!(told(operation, arguments, &rows), expected);
    let rule =
        |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
    let all = |rules: Value| json!({"condition": "AND", "rules": rules});
    check(
        "search_object_instances",
        json!({"conditions": all(json!([rule("bk_inst_name", "in", json!(["c", "a", "z"]))])), "fields": ["bk_inst_id"]}),
        json!({"info": [{"bk_inst_id": 1}, {"bk_inst_id": 3}]}),
    );
    check(
        "search_object_instances",
        json!({"conditions": all(json!([rule("bk_biz_id", "equal", json!(4)), all(json!([rule("x", "in", json!([1]))]))])),
            "fields": ["bk_inst_name", "no"]}),
        json!({"info": [{"bk_inst_name": "b"}]}),
    );
    let page = |start: usize, limit: usize| json!({"start": start, "limit": limit, "sort": "bk_inst_id"});
    let names = |start, limit| json!({"fields": ["bk_inst_name"], "page": page(start, limit)});
    check("search_object_instances", names(1, 1), json!({"info": [{"bk_inst_name": "b"}]}));
    check("search_object_instances", names(3, 500), json!({"info": []}));
    check(
        "search_inst_by_object",
        json!({"condition": {"x": 1}, "fields": ["bk_inst_id"], "page": page(1, 500)}),
        json!({"count": 2, "info": [{"bk_inst_id": 2}]}),
    );
    // No limit is all.
    let fields = json!(["bk_inst_id"]);
    check(
        "search_set",
        json!({"condition": {}, "fields": fields, "page": page(0, 0)}),
        json!({"count": 3, "info": [{"bk_inst_id": 1}, {"bk_inst_id": 2}, {"bk_inst_id": 3}]}),
    );
    // What no kind asks, and what was left behind, is not told.
    let odd = all(json!([rule("x", "less", json!(0))]));
    check("search_object_instances", json!({"conditions": odd}), Value::Null);
    let maker = all(json!([rule("bk_created_by", "in", json!(["zoe"]))]));
    check("search_object_instances", json!({"conditions": maker}), Value::Null);
    check("search_inst_by_object", json!({"condition": {"bk_updated_by": "zoe"}}), Value::Null);
    check("list_operation_audit", json!({}), Value::Null);
}

#[test]
fn modules_and_processes_are_picked_by_their_ids_and_templates() {
    let rows = json!([{"bk_module_id": 1, "service_template_id": 51}, {"bk_module_id": 2, "service_template_id": 0},
        {"bk_module_id": 3, "service_template_id": 52}]);
    let fields = json!(["bk_module_id"]);
    assert_eq!(
        told("find_module_batch", json!({"bk_ids": [3, 1, 9], "fields": fields}), &rows),
        json!([{"bk_module_id": 1}, {"bk_module_id": 3}])
    );
    let arguments = json!({"bk_service_template_ids": [51, 52], "fields": fields, "page": {"start": 1, "limit": 500}});
    assert_eq!(told("find_module_with_relation", arguments, &rows), json!({"count": 2, "info": [{"bk_module_id": 3}]}));
    let rows = json!([{"id": 9, "service_template_id": 51}, {"id": 8, "service_template_id": 51},
        {"id": 7, "service_template_id": 52}]);
    let ids = |arguments: Value| {
        let answer = told("list_proc_template", arguments, &rows);
        answer["info"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_i64()).collect::<Vec<_>>()
    };
    assert_eq!(ids(json!({"service_template_id": 51})), [9, 8]);
    assert_eq!(ids(json!({"process_template_ids": [7, 8, 1]})), [8, 7]);
    assert_eq!(ids(json!({"service_template_id": 51, "process_template_ids": [7, 8]})), [8]);
    assert_eq!(ids(json!({"service_template_id": 53})), Vec::<i64>::new());
}

#[test]
fn what_lies_in_modules_is_counted_in_pages_and_by_module() {
    let rows = json!([{"bk_host_id": 1, "bk_module_id": 31}, {"bk_host_id": 1, "bk_module_id": 32},
        {"bk_host_id": 2, "bk_module_id": 31}, {"bk_host_id": 3, "bk_module_id": 33}]);
    let page = |start: usize, limit: usize| json!({"start": start, "limit": limit});
    let modules = json!({"bk_biz_id": 3, "bk_module_ids": [31, 32], "page": page(1, 1)});
    let second = json!({"count": 3, "data": [{"bk_host_id": 1, "bk_module_id": 32}]});
    assert_eq!(told("find_host_topo_relation", modules, &rows), second);
    let rows = json!([{"id": 7, "bk_module_id": 31}, {"id": 8, "bk_module_id": 32}, {"id": 9, "bk_module_id": 31}]);
    let row = json!({"bk_biz_id": 3, "bk_module_id": 31, "page": page(0, 1)});
    let first = json!({"count": 2, "info": [{"id": 7, "bk_module_id": 31}]});
    assert_eq!(told("list_service_instance", row, &rows), first);
    let all = json!({"bk_biz_id": 3, "page": page(2, 1000)});
    assert_eq!(told("list_service_instance", all, &rows), json!({"count": 3, "info": [{"id": 9, "bk_module_id": 31}]}));
}

/// Reads a scope from a server that answers with these in turn; returns what it was asked, and the rows.
fn read(scope: &Request, needs: &[Arc<ScopeRows>], answers: &[Value]) -> (Vec<String>, Result<Vec<Value>, String>) {
    let (mut asked, mut answers) = (Vec::new(), answers.iter());
    let mut facts = Facts::default();
    loop {
        let requests = match Scopes.rows(scope, needs, &facts) {
            Ok(Step::Done(rows)) => return (asked, Ok(rows)),
            Err(refusal) => return (asked, Err(refusal.to_string())),
            Ok(Step::Ask(requests)) => requests,
        };
        for request in requests {
            asked.push(format!("{} {}", request.operation, request.arguments));
            let refusal = Refusal::absent(request.operation, "old");
            facts.learn(request, answers.next().map(Json::from).ok_or(refusal));
        }
    }
}

#[test]
fn whole_scopes_are_read_to_their_last_page() {
    let page = |ids: std::ops::Range<usize>| {
        let row = |id: usize| json!({"id": id, "bk_inst_id": id, "creator": "zoe"});
        json!({"info": ids.map(row).collect::<Vec<_>>()})
    };
    let scope = request("search_instance_associations", json!({"bk_obj_id": "m"}));
    let (asked, rows) = read(&scope, &[], &[page(0..500), page(499..999), page(998..999)]);
    assert_eq!(asked.len(), 3);
    assert!(asked[2].contains(r#""page":{"limit":500,"sort":"id","start":998}"#), "{asked:?}");
    let rows = rows.expect("it was read");
    assert_eq!((rows.len(), &rows[7]), (999, &json!({"id": 7, "bk_inst_id": 7})));
    assert_eq!(read(&scope, &[], &[json!({"info": null})]).1, Ok(Vec::new()));
    // What has a count ends with it, and what is refused is refused.
    let scope = request("search_set", json!({"bk_biz_id": 3}));
    let page = json!({"count": 1, "info": [{"bk_set_id": 1, "bk_set_name": "a", "bk_set_desc": "zoe's"}]});
    let (asked, rows) = read(&scope, &[], &[page]);
    assert_eq!((asked.len(), rows), (1, Ok(vec![json!({"bk_set_id": 1, "bk_set_name": "a"})])));
    let refused = "the server has no operation `search_set`: old (code absent)".to_owned();
    assert_eq!(read(&scope, &[], &[]).1, Err(refused));
}

#[test]
fn things_that_move_while_they_are_read_are_read_again() {
    let rows = |ids: std::ops::Range<usize>| {
        ids.map(|id| json!({"id": id, "bk_module_id": 31, "name": "10.0.0.1", "bk_host_id": 5}))
    };
    let page = |count: usize, ids| json!({"count": count, "info": rows(ids).collect::<Vec<_>>()});
    let scope = request("list_service_instance", json!({"bk_biz_id": 3}));
    let (asked, told) = read(&scope, &[], &[page(2001, 0..1000), page(2001, 1000..2000), page(2001, 2000..2001)]);
    assert_eq!(asked.len(), 3);
    assert!(asked[2].contains(r#""page":{"limit":1000,"start":2000}"#), "{asked:?}");
    let told = told.expect("it was read");
    assert_eq!((told.len(), &told[5]), (2001, &json!({"id": 5, "bk_module_id": 31})));
    let moved = Err("the rows moved each of 5 times they were read".to_owned());
    for second in [page(1500, 999..1499), page(1501, 1000..1500)] {
        let answers = [page(1500, 0..1000), second];
        let (asked, told) = read(&scope, &[], &vec![answers.clone(); 5].concat());
        assert_eq!((asked.len(), told), (10, moved.clone()));
        let calm = [page(1500, 0..1000), page(1500, 1000..1500)];
        let (asked, told) = read(&scope, &[], &[answers, calm].concat());
        assert_eq!((asked.len(), told.map(|rows| rows.len())), (4, Ok(1500)));
    }
    assert_eq!(read(&scope, &[], &[page(0, 0..0)]).1, Ok(Vec::new()));
    assert_eq!(read(&scope, &[], &[json!({"info": []})]).1, Err("the answer has no count".to_owned()));
}

#[test]
fn pages_that_move_while_they_are_read_are_read_again() {
    let page = |count: Option<usize>, ids: std::ops::Range<usize>| {
        let rows: Vec<_> = ids.map(|id| json!({"bk_inst_id": id, "bk_set_id": id})).collect();
        count.map_or_else(|| json!({"info": rows}), |count| json!({"count": count, "info": rows}))
    };
    let check = |operation, moved: &[Value], calm: &[Value], rows: usize| {
        let scope = request(operation, json!({"bk_obj_id": "m", "bk_biz_id": 3}));
        let (asked, told) = read(&scope, &[], &[moved, calm].concat());
        assert_eq!((asked.len(), told.map(|rows| rows.len())), (moved.len() + calm.len(), Ok(rows)), "{asked:?}");
        assert!(asked[moved.len()].contains(r#""again":1"#), "{asked:?}");
        let (_, told) = read(&scope, &[], &[moved; 5].concat());
        assert_eq!(told, Err("the rows moved each of 5 times they were read".to_owned()));
    };
    // The first row goes after the first page: number 500 is on no page.
    let calm = [page(None, 1..501), page(None, 500..899)];
    check("search_object_instances", &[page(None, 0..500), page(None, 500..899)], &calm, 898);
    // All behind the first page go, and some before its end.
    let calm = [page(None, 5..500)];
    check("search_object_instances", &[page(None, 0..500), page(None, 0..0)], &calm, 495);
    // Where there is a count, it has to fit too.
    let calm = [page(Some(600), 0..500), page(Some(600), 499..600)];
    check("search_set", &[page(Some(600), 0..500), page(Some(600), 500..600)], &calm, 600);
    check("search_set", &[page(Some(600), 0..500), page(Some(601), 499..600), page(Some(601), 599..600)], &calm, 600);
}

#[test]
fn rows_keep_what_their_definition_names() {
    let attributes = json!([{"bk_property_id": "x"}, {"bk_property_id": "bk_created_by", "editable": false},
        {"bk_property_id": "creator", "editable": true}]);
    let needs = [Arc::new(ScopeRows::new(attributes.as_array().cloned().unwrap_or_default()))];
    let row = json!({"bk_inst_id": 1, "bk_inst_name": "a", "x": null, "y": "kept secret", "bk_created_by": "zoe",
        "creator": "theirs", "bk_parent_id": 0, "bk_supplier_account": "0"});
    let scope = request("search_object_instances", json!({"bk_obj_id": "m"}));
    let (_, rows) = read(&scope, &needs, &[json!({"info": [row]})]);
    let kept = json!({"bk_inst_id": 1, "bk_inst_name": "a", "x": null, "creator": "theirs", "bk_parent_id": 0});
    assert_eq!(rows, Ok(vec![kept]));
    // Processes come by service template, all at once.
    let templates = [Arc::new(ScopeRows::new(vec![json!({"id": 51}), json!({"id": 52})]))];
    let scope = request("list_proc_template", json!({"bk_biz_id": 3}));
    let process = |id: i64| json!({"count": 1, "info": [{"id": id, "property": {}, "modifier": "zoe"}]});
    let (asked, rows) = read(&scope, &templates, &[process(1), process(2)]);
    assert_eq!(asked.len(), 2);
    assert_eq!(rows, Ok(vec![json!({"id": 1, "property": {}}), json!({"id": 2, "property": {}})]));
}
