//! The traps of the server (contract section 9), one test each: the sandbox falls into the trap when it is asked the
//! plain way, and the program does something else.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, operations, state, switch};

/// A module's document: its place and its fields.
fn module(place: &str, fields: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: m}}\nspec: {{business: demo, {place}, fields: \
         {{{fields}}}}}\n---\n"
    )
}

/// The document of the process template, with properties.
fn process(properties: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: p}}\nspec: {{business: demo, \
         serviceTemplate: nginx, process: nginx, properties: {{{properties}}}}}\n---\n"
    )
}

/// A document of one row: its association, source and target, and whatever else.
fn link(name: &str, association: &str, source: i64, target: i64, more: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {{name: {name}}}\nspec: {{association: \
         {association}, source: {{model: bk_switch, id: {source}}}, targets: [{{model: bk_rack, id: {target}}}], \
         {more}}}\n---\n"
    )
}

/// An instance's document by its id.
fn instance_by_id(name: &str, model: &str, id: i64, more: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec: {{model: {model}, id: {id}, \
         {more}}}\n---\n"
    )
}

/// A state with an attribute more of switches.
fn with_attribute(state: &mut Value, name: &str, kind: &str, option: &Value) {
    list(state, "attributes").push(json!({"bk_obj_id": "bk_switch", "bk_property_id": name,
        "bk_property_name": name, "bk_property_type": kind, "option": option, "editable": name != "frozen",
        "isrequired": false, "ismultiple": true}));
}

fn list<'s>(state: &'s mut Value, name: &str) -> &'s mut Vec<Value> {
    state["bk-cmdb"][name].as_array_mut().expect("a list")
}

/// A state in which `switch_rack` has a mapping and these rows: id, source, target.
fn linked(mapping: &str, rows: &[(i64, i64, i64)]) -> Value {
    let mut state = state();
    state["bk-cmdb"]["object_associations"][0]["mapping"] = json!(mapping);
    state["bk-cmdb"]["instance_associations"] = rows
        .iter()
        .map(|(id, source, target)| {
            json!({"id": id, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": source,
                "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": target, "bk_asst_id": "connect"})
        })
        .collect();
    state
}

fn instance(site: &Site, id: i64) -> Value {
    site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", id)
}

fn properties(site: &Site) -> Value {
    site.row("/bk-cmdb/process_templates", "id", 50)["property"].clone()
}

/// Plans documents that cannot be as declared: nothing is written, and each of the texts is printed.
fn refused(state: &Value, manifest: &str, told: &[&str]) -> Output {
    let site = Site::with(state, &[("one.yaml", manifest)]);
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{manifest}{output}");
    assert_eq!(operations(&site.writes()), json!({}), "{manifest}{output}");
    for text in told {
        assert!(output.stderr.contains(text), "{text} is not told\n{manifest}{output}");
    }
    output
}

/// Applies documents: these bodies are written, and nothing differs afterwards.
fn written(state: &Value, manifest: &str, expected: &Value) -> Site {
    let site = Site::with(state, &[("one.yaml", manifest)]);
    assert_eq!(&bodies(&site.apply()), expected, "{manifest}");
    site.assert_converged();
    site
}

/// Checks that no read of a plan was refused, and returns how often each was made.
fn clean_reads(site: &Site) -> Value {
    let refused: Vec<_> = site.sandbox().calls().into_iter().filter(|call| !call.code.is_null()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    site.reads()
}

#[test]
fn trap_01_silent_drop() {
    let mut state = state();
    with_attribute(&mut state, "frozen", "singlechar", &json!(""));
    let site = Site::new(&state);
    let before = instance(&site, 1);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "frozen": "x", "colour": "red"}));
    assert_eq!((&instance(&site, 1)["frozen"], instance(&site, 1).get("colour")), (&before["frozen"], None));
    site.edit(
        "update_proc_template",
        &json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {"proc_nmu": {"value": 1}}}),
    );
    // Names and `editable` are looked at before anything is written.
    refused(&state, &switch("s", "bk_asset_id: A1", "colour: red"), &["P103", "no attribute `colour`", "one.yaml:7:"]);
    refused(&state, &switch("s", "bk_asset_id: A1", "frozen: x"), &["P104", "is not editable", "one.yaml:7:"]);
    refused(&state, &switch("s", "bk_asset_id: A1", "ports: many"), &["P104", "a whole number", "one.yaml:7:"]);
    refused(&state, &module("set: public, module: web", "colour: red"), &["P103", "one.yaml:4:"]);
    refused(&state, &process("proc_nmu: 1"), &["M321", "did you mean `proc_num`?"]);
    // And what was written is read again.
    let site = Site::with(&state, &[("one.yaml", &switch("s", "bk_asset_id: A1", "ports: 48"))]);
    site.faults(&json!([{"operation": "update_inst", "fault": "drop"}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!((output.code, &output.json()["outcomes"][0]["outcome"]), (Some(1), &json!("dropped")), "{output}");
}

#[test]
fn trap_02_bk_func_name_cannot_be_updated() {
    let site = Site::new(&state());
    let before = properties(&site);
    for name in ["bk_func_name", "bk_func_id", "auto_time_gap"] {
        let property = json!({name: {"value": "java", "as_default_value": true}});
        let body = json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": property});
        site.edit("update_proc_template", &body);
        assert_eq!(properties(&site), before, "{name}");
    }
    refused(&state(), &process("bk_func_name: java"), &["P110", "cannot be updated", "one.yaml:4:"]);
    refused(&state(), &process("bk_func_id: '1'"), &["M320", "`bk_func_id` is no property", "one.yaml:4:"]);
    refused(&state(), &process("auto_time_gap: 5"), &["M320", "`auto_time_gap` is no property", "one.yaml:4:"]);
    // As it is, it differs in nothing.
    written(&state(), &process("bk_func_name: nginx"), &json!([]));
}

#[test]
fn trap_03_default_bricks_a_module() {
    let site = Site::new(&state());
    let update = |data: Value| json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": data});
    site.edit("update_module", &update(json!({"default": 1})));
    assert_eq!(site.ask("update_module", &update(json!({"operator": "eve"})))["code"], 1_101_098);
    // Whatever the definition of the model says: these are never sent.
    let mut open = state();
    for name in ["default", "bk_supplier_account", "bk_data_status"] {
        for model in ["module", "bk_switch"] {
            list(&mut open, "attributes").push(json!({"bk_obj_id": model, "bk_property_id": name,
                "bk_property_name": name, "bk_property_type": "singlechar", "editable": true}));
        }
    }
    for name in ["default", "bk_supplier_account", "bk_data_status"] {
        let field = format!("{name}: '1'");
        refused(&open, &module("set: public, module: web", &field), &["M304", name, "one.yaml:4:"]);
        refused(&open, &switch("s", "bk_asset_id: A1", &field), &["M304", name, "one.yaml:7:"]);
    }
    // A built-in module is told before the server says no.
    refused(&site.sandbox().state(), &module("set: public, module: web", "operator: bob"), &["P107", "built-in"]);
}

/// A row of `bind_info` that listens everywhere.
fn row(id: i64, port: &str) -> Value {
    let locked = |value: &str| json!({"value": value, "as_default_value": true});
    json!({"row_id": id, "ip": locked("2"), "port": locked(port), "protocol": locked("1"),
        "enable": {"value": true, "as_default_value": false}})
}

/// A state whose process template has these rows.
fn bound(rows: &[Value]) -> Value {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"] =
        json!({"value": rows, "as_default_value": true});
    state
}

fn update(property: &Value) -> Value {
    json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": property})
}

#[test]
fn trap_04_bind_info_is_replaced_whole() {
    let state = bound(&[row(1, "80"), row(2, "81")]);
    let site = Site::new(&state);
    site.edit("update_proc_template", &update(&json!({"bind_info": {"value": [row(2, "82")]}})));
    assert_eq!(properties(&site)["bind_info"]["value"].as_array().map(Vec::len), Some(1));
    site.edit("update_proc_template", &update(&json!({"bind_info": {"as_default_value": true}})));
    assert_eq!(properties(&site)["bind_info"]["value"], Value::Null);
    // All that stays goes with what changes, also where only the lock changes, and never with another property.
    let rows =
        |rows: &[Value], lock: bool| json!([update(&json!({"bind_info": {"value": rows, "as_default_value": lock}}))]);
    let changed = process("bind_info: [{port: 80}, {row_id: 2, port: 82}]");
    written(&state, &changed, &rows(&[row(1, "80"), row(2, "82")], true));
    let unlocked = process("bind_info: {as_default_value: false}");
    written(&state, &unlocked, &rows(&[row(1, "80"), row(2, "81")], false));
    let other = json!([update(&json!({"proc_num": {"value": 4, "as_default_value": true}}))]);
    let site = written(&state, &process("proc_num: 4"), &other);
    assert_eq!(properties(&site)["bind_info"]["value"], json!([row(1, "80"), row(2, "81")]));
}

#[test]
fn trap_05_row_ids_are_the_clients_business() {
    let state = bound(&[row(1, "80"), row(2, "81"), row(3, "82")]);
    let site = Site::new(&state);
    let odd = [row(77, "80"), row(77, "81"), row(-5, "82")];
    site.edit("update_proc_template", &update(&json!({"bind_info": {"value": odd}})));
    assert_eq!(properties(&site)["bind_info"]["value"], json!(odd));
    let site = Site::new(&state);
    let mut unnumbered = row(1, "9000");
    unnumbered.as_object_mut().expect("an object").remove("row_id");
    site.edit(
        "update_proc_template",
        &update(&json!({"bind_info": {"value": [row(1, "80"), row(2, "81"), unnumbered]}})),
    );
    assert_eq!(properties(&site)["bind_info"]["value"][2]["row_id"], 3, "the id of a removed row is handed on");

    refused(&state, &process("bind_info: [{row_id: 77, port: 80}]"), &["P113", "no live row has the row_id 77"]);
    refused(&state, &process("bind_info: [{row_id: 1}, {row_id: 1}]"), &["M331", "two rows have the row_id 1"]);
    refused(&state, &process("bind_info: [{row_id: -5}]"), &["M333"]);
    let site = Site::with(
        &state,
        &[(
            "one.yaml",
            &process("bind_info: [{port: 80}, {port: 81}, {row_id: new, ip: '1', port: 9000, protocol: '1'}]"),
        )],
    );
    site.apply();
    let ids: Vec<_> = properties(&site)["bind_info"]["value"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["row_id"].as_i64())
        .collect();
    assert_eq!(ids, [Some(1), Some(2), Some(4)], "#3 goes, and its id with it");
    site.assert_converged();
}

#[test]
fn trap_06_the_envelope_is_not_merged() {
    let site = Site::new(&state());
    site.edit("update_proc_template", &update(&json!({"user": {"value": "app"}})));
    assert_eq!(properties(&site)["user"], json!({"value": "app", "as_default_value": null}));
    site.edit("update_proc_template", &update(&json!({"user": {"as_default_value": true}})));
    assert_eq!(properties(&site)["user"], json!({"value": null, "as_default_value": true}));
    // Both halves always go.
    let user = |value: Value, lock: bool| json!([update(&json!({"user": {"value": value, "as_default_value": lock}}))]);
    written(&state(), &process("user: app"), &user(json!("app"), true));
    written(&state(), &process("user: {value: app}"), &user(json!("app"), true));
    written(&state(), &process("user: {as_default_value: false}"), &user(json!("root"), false));
    written(&state(), &process("user: null"), &user(Value::Null, true));
}

#[test]
fn trap_07_the_business_of_a_process_template_is_not_checked() {
    let mut state = state();
    list(&mut state, "businesses").push(json!({"bk_biz_id": 4, "bk_biz_name": "other"}));
    let site = Site::new(&state);
    let body = json!({"bk_biz_id": 4, "process_template_id": 50, "process_property": {"proc_num": {"value": 9}}});
    site.edit("update_proc_template", &body);
    assert_eq!(properties(&site)["proc_num"]["value"], 9, "another business's template");
    for business in ["other", "4"] {
        let manifest = format!(
            "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: p}}\nspec: {{business: {business}, id: \
             50, properties: {{proc_num: 4}}}}\n"
        );
        refused(&state, &manifest, &["P100", "ProcessTemplate/p does not exist"]);
    }
}

#[test]
fn trap_08_adding_again_is_not_called_a_duplicate() {
    let row = json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 21});
    for (mapping, code) in [("1:1", 1_101_052), ("1:n", 1_101_061), ("n:n", 1_199_014)] {
        let there = linked(mapping, &[(1, 1, 21)]);
        assert_eq!(Site::new(&there).ask("add_instance_association", &row)["code"], code, "{mapping}");
        // A row that is there is not added again.
        written(&there, &link("l", "switch_rack", 1, 21, ""), &json!([]));
        // Where the code alone is seen, because somebody was faster, reading tells.
        let site = Site::with(&linked(mapping, &[]), &[("one.yaml", &link("l", "switch_rack", 1, 21, ""))]);
        let first = json!({"operation": "add_instance_association", "body": row});
        site.faults(&json!([{"operation": "add_instance_association", "nth": 1, "fault": "second_writer",
            "edit": first}]));
        let output = site.run(&["apply", "-y", "-o", "json"]);
        assert_eq!(output.code, Some(0), "{mapping}: {output}");
        assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1}), "{mapping}");
        site.faults(&json!([]));
        site.assert_converged();
    }
    // A target that another source holds is told before, with the row that holds it.
    for mapping in ["1:1", "1:n"] {
        let taken = linked(mapping, &[(7, 2, 21)]);
        assert_ne!(Site::new(&taken).ask("add_instance_association", &row)["code"], 0);
        refused(&taken, &link("l", "switch_rack", 1, 21, ""), &["P130", "association #7 has the target bk_rack #21"]);
    }
}

#[test]
fn trap_09_deleting_an_association_by_the_wrong_model_deletes_nothing() {
    let mut state = linked("n:n", &[(7, 1, 21)]);
    list(&mut state, "objects").push(json!({"bk_obj_id": "bk_router", "bk_obj_name": "Router"}));
    let site = Site::new(&state);
    site.edit("delete_instance_association", &json!({"bk_obj_id": "bk_router", "id": 7}));
    assert_eq!(site.row("/bk-cmdb/instance_associations", "id", 7)["bk_inst_id"], 1, "it is still there");
    // The model is that of the association's definition, and the row is looked for afterwards.
    let gone = link("l", "switch_rack", 1, 21, "ensure: absent");
    written(&state, &gone, &json!([{"bk_obj_id": "bk_switch", "id": 7}]));
    let site = Site::with(&state, &[("one.yaml", &gone)]);
    site.faults(&json!([{"operation": "delete_instance_association", "fault": "drop"}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(1), "{output}");
    let told = "not applied: its removal was accepted, but it is still there";
    assert_eq!(output.json()["outcomes"][0]["message"], told, "{output}");
}

#[test]
fn trap_10_counts_know_one_end_only() {
    let state = linked("n:n", &[(7, 1, 21)]);
    let site = Site::new(&state);
    let targets = json!({"bk_obj_id": "bk_rack", "conditions": {"condition": "AND", "rules": [
        {"field": "bk_asst_inst_id", "operator": "equal", "value": 21}]}});
    assert_eq!(site.ask("count_instance_associations", &targets)["data"]["count"], 0);
    // Both ends are looked at by their rows: what is a target cannot go either.
    for (model, id) in [("bk_switch", 1), ("bk_rack", 21)] {
        let manifest = instance_by_id("i", model, id, "ensure: absent");
        refused(&state, &manifest, &["P141", "association #7"]);
        let site = Site::with(&state, &[("one.yaml", &manifest)]);
        site.run(&["plan"]);
        assert_eq!(site.reads()["count_instance_associations"], Value::Null);
    }
}

#[test]
fn trap_11_empty_answers_and_pages_that_are_ignored() {
    let mut empty = state();
    empty["bk-cmdb"]["instances"]["bk_switch"] = json!([]);
    let search = json!({"bk_obj_id": "bk_switch", "page": {"limit": 10}});
    let answer = Site::new(&empty).ask("search_object_instances", &search)["data"].clone();
    assert_eq!((&answer["info"], answer.get("count")), (&Value::Null, None));
    let rows: Vec<_> = (0..600).map(|at| (at + 1, 1, 1000 + at)).collect();
    let mut many = linked("n:n", &rows);
    let racks = many["bk-cmdb"]["instances"]["bk_rack"].as_array_mut().expect("a list");
    racks.extend((0..600).map(|at| json!({"bk_inst_id": 1000 + at, "bk_inst_name": format!("r{at}")})));
    let find = json!({"bk_obj_id": "bk_switch", "condition": {"bk_inst_id": 1}, "page": {"start": 0, "limit": 1}});
    let found = Site::new(&many).ask("find_instance_association", &find)["data"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(600));
    // Null is nothing, which is no failure.
    let new = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: n}\nspec: {ensure: present, model: bk_switch, \
               match: {bk_inst_name: sw-9}, fields: {}}\n";
    let site = Site::with(&empty, &[("one.yaml", new)]);
    assert_eq!(operations(&site.apply()), json!({"create_inst": 1}));
    site.assert_converged();
    // Rows come by pages, the last of which is short; from servers without pages all at once, asked for once.
    for (version, search) in [("3.14", "search_instance_associations"), ("3.9", "find_instance_association")] {
        many["bk-cmdb"]["version"] = json!(version);
        let site = Site::with(&many, &[("one.yaml", &link("l", "switch_rack", 1, 1599, ""))]);
        assert_eq!(site.plan().code, Some(0), "{version}");
        assert_eq!(site.reads()[search], if version == "3.14" { 2 } else { 1 }, "{version}");
    }
}

#[test]
fn trap_12_limits_of_pages() {
    let mut state = state();
    list(&mut state, "service_templates").extend(
        (0..1000)
            .map(|at| json!({"id": 1000 + at, "name": format!("t{at}"), "bk_biz_id": 3, "service_category_id": 2})),
    );
    let switches = state["bk-cmdb"]["instances"]["bk_switch"].as_array_mut().expect("a list");
    switches.extend((0..501).map(|at| json!({"bk_inst_id": 1000 + at, "bk_inst_name": format!("i{at}")})));
    let site = Site::new(&state);
    for limit in [0, 501] {
        let search = json!({"bk_obj_id": "bk_switch", "page": {"limit": limit}});
        assert_eq!(site.ask("search_object_instances", &search)["code"], 1_199_006, "{limit}");
        assert_eq!(site.ask("search_instance_associations", &search)["code"], 1_199_006, "{limit}");
    }
    assert_eq!(site.ask("list_service_template", &json!({"bk_biz_id": 3, "page": {"limit": 1001}}))["result"], false);
    // 501 names in 2 pages, 501 sources in 2 and their target in 1, the 1,001st service template, all modules of a set: no question is refused.
    let mut manifest: String =
        (0..501).map(|at| switch(&format!("i{at}"), &format!("bk_inst_name: i{at}"), "")).collect();
    manifest +=
        &(0..501).map(|at| link(&format!("l{at}"), "switch_rack", 1000 + at, 21, "ensure: absent")).collect::<String>();
    manifest +=
        &process("proc_num: 2").replace("serviceTemplate: nginx, process: nginx", "serviceTemplate: t999, process: x");
    manifest += &module("set: public, module: web", "operator: null");
    site.write("all.yaml", &manifest);
    let output = site.run(&["plan"]);
    assert!(output.stderr.contains("ProcessTemplate/p does not exist"), "the service template is found: {output}");
    assert_eq!(output.stderr.matches("error[").count(), 1, "{output}");
    let reads = clean_reads(&site);
    assert_eq!((&reads["search_object_instances"], &reads["search_instance_associations"]), (&json!(5), &json!(2)));
    assert_eq!((&reads["list_service_template"], &reads["search_module"]), (&json!(2), &json!(1)));
}

#[test]
fn trap_13_limits_of_lists() {
    let mut state = state();
    let rows = state["bk-cmdb"]["instances"]["bk_switch"].as_array_mut().expect("a list");
    rows.extend((0..501).map(|at| json!({"bk_inst_id": 1000 + at, "bk_inst_name": format!("i{at}")})));
    let site = Site::new(&state);
    let ids = |ids: Vec<Value>| {
        json!({"bk_obj_id": "bk_switch", "page": {"limit": 500}, "conditions": {"condition": "AND", "rules": [
            {"field": "bk_inst_id", "operator": "in", "value": ids}]}})
    };
    for wrong in [(0..501).map(Value::from).collect(), vec![json!(1), json!("2")], Vec::new()] {
        assert_eq!(site.ask("search_object_instances", &ids(wrong))["result"], false);
    }
    // 501 ids, and names that look like numbers beside others, are asked for in lists of one type, none of them empty.
    let by_id: Vec<_> =
        (0..501).map(|at| instance_by_id(&format!("d{at}"), "bk_switch", 1000 + at, "fields: {}")).collect();
    let names =
        switch("n1", "bk_inst_name: 42", "") + &switch("n2", "bk_inst_name: sw-1", "") + &switch("n3", "ports: 24", "");
    site.write("all.yaml", &(by_id.concat() + &names));
    site.run(&["plan"]);
    assert_eq!(clean_reads(&site)["search_object_instances"].as_i64().map(|reads| reads >= 4), Some(true));
    // A source that is only made in this run, and so nothing to ask about.
    let site = Site::with(
        &self::state(),
        &[(
            "one.yaml",
            "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: n}\nspec: {ensure: present, model: bk_switch, \
             match: {bk_inst_name: sw-9}, fields: {}}\n---\napiVersion: bk-cmdb/v1\nkind: \
             InstanceAssociation\nmetadata: {name: l}\nspec: {association: switch_rack, source: {ref: n}, targets: \
             [{model: bk_rack, id: 21}]}\n",
        )],
    );
    assert_eq!(site.plan().code, Some(2));
    clean_reads(&site);
}

#[test]
fn trap_14_secondary_reads_are_behind() {
    let site = Site::with(&state(), &[("one.yaml", &switch("s", "bk_asset_id: A1", "ports: 48"))]);
    site.sandbox().set_option("replica_lag", &json!(600_000)).expect("there is such an option");
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 2, "ports": 7}));
    let id = json!({"condition": "AND", "rules": [{"field": "bk_inst_id", "operator": "equal", "value": 2}]});
    let search = json!({"bk_obj_id": "bk_switch", "conditions": id, "page": {"limit": 1}});
    assert_eq!(site.ask("search_object_instances", &search)["data"]["info"][0]["ports"], 24, "the old state");
    // Writes are read back from the primary.
    assert_eq!(operations(&site.apply()), json!({"update_inst": 1}));
    assert_eq!(site.reads()["search_inst_by_object"], 1);
}

#[test]
fn trap_15_codes_get_lost() {
    let site = Site::new(&state());
    let body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": "x", "operator": "a b"});
    assert_eq!(site.ask("update_inst", &body)["code"], 1_199_011, "one of the two, nobody knows which");
    // All are told before, each at its place.
    let manifest = switch("s", "bk_asset_id: A1", "ports: x, operator: a b");
    let output = refused(&state(), &manifest, &["`ports` takes", "`operator` takes"]);
    assert_eq!(output.stderr.matches("error[P104]").count(), 2, "{output}");
    // A limiter under HTTP 200 is a limiter, and what is refused under it says its code and request.
    let site = Site::with(&state(), &[("one.yaml", &switch("s", "bk_asset_id: A1", "ports: 48"))]);
    site.faults(&json!([{"operation": "update_inst", "nth": 1, "fault": "code", "code": 1_199_997, "message": "too many requests"}]));
    assert_eq!(site.apply().len(), 2);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 1}));
    site.faults(&json!([{"operation": "update_inst", "fault": "code", "code": 1_199_011, "message": "'ports' no"}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("refused: 'ports' no (code 1199011, request rec"), "{output}");
    // Missing identity is HTTP 500 with a code: told, and not tried again.
    site.faults(&json!([{"operation": "search_object_attribute", "fault": "status", "status": 500, "body":
        {"result": false, "bk_error_code": 1_199_027, "bk_error_msg": "'user' authorization information query failed"}}]));
    site.sandbox().clear_calls();
    let output = site.run(&["plan"]);
    assert_eq!((output.code, &site.reads()["search_object_attribute"]), (Some(5), &json!(1)), "{output}");
    assert!(output.all().contains("1199027"), "{output}");
}

/// Attributes of every type that has a form of its own.
fn typed() -> Value {
    let mut state = state();
    let options = json!([{"id": "1", "name": "in use", "is_default": true}, {"id": "2", "name": "spare"}]);
    for (name, kind, option) in [
        ("f_time", "time", json!("")),
        ("f_date", "date", json!("")),
        ("f_float", "float", json!("")),
        ("f_enum", "enum", options.clone()),
        ("f_many", "enummulti", options),
        ("f_org", "organization", json!("")),
        ("f_bool", "bool", json!("")),
        ("f_zone", "timezone", json!("")),
    ] {
        with_attribute(&mut state, name, kind, &option);
    }
    state
}

#[test]
fn trap_16_normalisation_is_no_difference() {
    let check = |live: Value, declared: &str| {
        let mut state = typed();
        let row = state["bk-cmdb"]["instances"]["bk_switch"][0].as_object_mut().expect("a row");
        row.extend(live.as_object().cloned().unwrap_or_default());
        written(&state, &switch("s", "bk_asset_id: A1", declared), &json!([]));
    };
    check(json!({"remark": "a b"}), "remark: '  a b '");
    check(json!({"f_time": "2024-02-28T02:00:00Z"}), "f_time: 2024-02-28 10:00:00");
    check(json!({"f_time": "2024-02-28T02:00:00.000Z"}), "f_time: 2024-02-28T03:00:00+01:00");
    check(json!({"ports": 24.0}), "ports: 24");
    check(json!({"f_float": "3.5"}), "f_float: 3.5");
    check(json!({"f_many": ["2", "1"]}), "f_many: [in use, spare]");
    check(json!({"f_enum": "2"}), "f_enum: spare");
    check(json!({"f_org": [3, 1]}), "f_org: [1, 3]");
    check(json!({"operator": "bob,alice,bob"}), "operator: [alice, bob]");
    // Written once, they come back in the server's form and stay.
    let all = "remark: ' a ', f_time: 2024-02-28 10:00:00, ports: 7, f_float: 3.5, f_many: [spare, in use], f_enum: \
               spare, f_org: [2, 1], operator: 'bob, alice', f_date: 2024-02-28, f_bool: true, f_zone: Asia/Shanghai";
    let site = Site::with(&typed(), &[("one.yaml", &switch("s", "bk_asset_id: A1", all))]);
    assert_eq!(operations(&site.apply()), json!({"update_inst": 1}));
    site.assert_converged();
    // A create fills in defaults of its own, which nobody declared.
    let new =
        format!("{}\n", switch("n", "bk_inst_name: sw-9", "ports: 1").replace("spec:\n", "spec:\n  ensure: present\n"));
    let site = Site::with(&typed(), &[("one.yaml", &new)]);
    assert_eq!(operations(&site.apply()), json!({"create_inst": 1}));
    let row = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "sw-9");
    assert_eq!((&row["f_enum"], &row["f_bool"], &row["remark"]), (&json!("1"), &json!(false), &json!("")));
    site.assert_converged();
}

#[test]
fn trap_17_bad_values_are_accepted() {
    let site = Site::new(&typed());
    let sent = json!({"f_time": "2024-02-30 10:11:12", "ports": 9.5, "f_zone": "Mars/Base"});
    let mut body = sent.clone();
    body.as_object_mut()
        .expect("an object")
        .extend([("bk_obj_id".to_owned(), json!("bk_switch")), ("bk_inst_id".to_owned(), json!(1))]);
    site.edit("update_inst", &body);
    let stored = instance(&site, 1);
    assert!(stored["f_time"].as_str().is_some_and(|time| time.starts_with("0001-01-01")), "{stored}");
    assert_eq!((&stored["ports"], &stored["f_zone"]), (&sent["ports"], &sent["f_zone"]));
    site.edit(
        "update_module",
        &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"service_category_id": 99999}}),
    );

    let fields = |declared: &str, told: &[&str]| refused(&typed(), &switch("s", "bk_asset_id: A1", declared), told);
    fields("f_time: 2024-02-30 10:11:12", &["P104", "`f_time` takes a time"]);
    fields("ports: 9.5", &["P104", "`ports` takes a whole number"]);
    fields("f_zone: Mars/Base", &["P104", "`f_zone`", "Mars/Base"]);
    let category =
        module("set: public, module: web", "operator: null").replace("fields:", "serviceCategory: 99999, fields:");
    refused(&state(), &category, &["P111", "no service category 99999"]);
    // Taken by the template, and later by no process of it.
    let output = Site::with(&state(), &[("one.yaml", &process("bk_start_check_secs: 601"))]).run(&["validate"]);
    assert!(output.stderr.contains("600"), "{output}");
}

#[test]
fn trap_18_limits_are_bytes() {
    let (fits, long) = ("字".repeat(85), "字".repeat(86));
    let site = Site::new(&state());
    let body = |name: &str| json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "bk_sn": name});
    assert_eq!(site.ask("update_inst", &body(&long))["code"], 1_199_011, "86 characters are 258 bytes");
    assert_eq!(site.ask("update_inst", &body(&fits))["result"], true);
    refused(&state(), &switch("s", "bk_asset_id: A1", &format!("bk_sn: {long}")), &["P104", "256 bytes, not 258"]);
    let remark = "字".repeat(667);
    refused(&state(), &switch("s", "bk_asset_id: A1", &format!("remark: {remark}")), &["P104", "2000 bytes, not 2001"]);
    let named = |name: &str| module("set: public, module: web", &format!("bk_module_name: {name}"));
    refused(&state(), &named(&long), &["M310", "256 bytes"]);
    let sent = json!([{"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"bk_module_name": fits}}]);
    written(&state(), &named(&fits), &sent);
}

#[test]
fn trap_19_updates_that_change_nothing_are_not_free() {
    let site = Site::with(&state(), &[("one.yaml", &switch("s", "bk_asset_id: A1", "ports: 24"))]);
    site.sandbox().set_option("clock", &json!("2030-01-01T00:00:00Z")).expect("there is such an option");
    let before = instance(&site, 1)["last_time"].clone();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 24}));
    let touched = instance(&site, 1)["last_time"].clone();
    assert_ne!(touched, before);
    assert_eq!(operations(&site.apply()), json!({}));
    assert_eq!(instance(&site, 1)["last_time"], touched);
}

#[test]
fn trap_20_batches_do_not_say_what_failed() {
    let site = Site::new(&state());
    let swap = json!({"bk_obj_id": "bk_switch", "update": [{"inst_id": 1, "datas": {"bk_inst_name": "sw-2"}},
        {"inst_id": 2, "datas": {"bk_inst_name": "sw-1"}}]});
    assert_eq!(site.ask("batch_update_inst", &swap)["code"], 1_199_014);
    let batch = json!({"bk_obj_id": "bk_switch", "details": [{"bk_inst_name": "sw-1"}, {"bk_inst_name": "sw-9"}]});
    let answer = site.ask("batch_create_inst", &batch);
    assert_eq!((&answer["result"], answer["data"]["error_msg"]["0"].is_string()), (&json!(true), true), "{answer}");
    // One call an object: what is refused is told by its name, and the others are done.
    let manifest: String =
        (1..4).map(|at| switch(&format!("s{at}"), &format!("bk_asset_id: A{at}"), "ports: 48")).collect();
    let site = Site::with(&state(), &[("one.yaml", &manifest)]);
    site.faults(&json!([{"operation": "update_inst", "nth": 2, "fault": "code", "code": 1_199_006, "message": "no"}]));
    let output = site.run(&["apply", "-y", "-o", "json", "--parallelism", "1"]);
    assert_eq!(output.code, Some(5), "{output}");
    let outcomes = output.json()["outcomes"].clone();
    let told: Vec<_> = outcomes.as_array().into_iter().flatten().map(|row| row["outcome"].as_str()).collect();
    assert_eq!(told.iter().filter(|value| **value == Some("applied")).count(), 2, "{outcomes}");
    assert_eq!(told.iter().filter(|value| **value == Some("refused")).count(), 1, "{outcomes}");
    assert_eq!(operations(&site.writes()), json!({"update_inst": 3}));
}

#[test]
fn trap_21_modules_by_their_right_set() {
    let mut state = state();
    list(&mut state, "sets").push(json!({"bk_set_id": 12, "bk_set_name": "other", "bk_biz_id": 3, "bk_parent_id": 3}));
    list(&mut state, "modules").push(json!({"bk_module_id": 33, "bk_module_name": "nginx", "bk_set_id": 11,
        "bk_biz_id": 3, "service_template_id": 51, "service_category_id": 2, "operator": null}));
    let site = Site::new(&state);
    let update = |set: i64, module: i64, data: Value| json!({"bk_biz_id": 3, "bk_set_id": set, "bk_module_id": module, "data": data});
    assert_eq!(site.ask("update_module", &update(12, 31, json!({"operator": "bob"})))["code"], 1_199_019);
    site.edit("update_module", &update(11, 31, json!({"bk_set_id": 12, "bk_parent_id": 12})));
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 31)["bk_set_id"], 11, "it cannot be moved");
    let mixed = json!({"bk_module_name": "x", "operator": "bob"});
    assert_eq!(site.ask("update_module", &update(11, 33, mixed))["code"], 1_101_091);

    refused(&state, &module("set: 12, module: 31", "operator: bob"), &["P100", "Module/m does not exist"]);
    refused(&state, &module("set: other, module: web", "operator: bob"), &["P100", "Module/m does not exist"]);
    refused(&state, &module("set: public, module: web", "bk_set_id: 12"), &["M304", "bk_set_id"]);
    refused(&state, &module("set: public, module: web", "bk_parent_id: 12"), &["M304", "bk_parent_id"]);
    let mixed = module("set: public, module: nginx", "bk_module_name: x, operator: bob");
    refused(&state, &mixed, &["P108", "made from a service template"]);
    list(&mut state, "service_categories")
        .push(json!({"id": 3, "name": "Web", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1}));
    let mixed = module("set: public, module: nginx", "operator: bob").replace("fields:", "serviceCategory: 3, fields:");
    refused(&state, &mixed, &["P108", "its category"]);
    // Attributes that the template leaves free, and its own name, can be declared.
    let free = module("set: public, module: nginx", "bk_module_name: nginx, operator: bob");
    written(&state, &free, &json!([update(11, 33, json!({"operator": "bob"}))]));
}

#[test]
fn trap_22_businesses_by_their_whole_name_and_answers_in_plain_text() {
    let mut state = state();
    list(&mut state, "businesses").insert(0, json!({"bk_biz_id": 2, "bk_biz_name": "demo-2"}));
    list(&mut state, "sets")
        .insert(0, json!({"bk_set_id": 10, "bk_set_name": "public", "bk_biz_id": 2, "bk_parent_id": 2}));
    list(&mut state, "modules")
        .insert(0, json!({"bk_module_id": 30, "bk_module_name": "web", "bk_set_id": 10, "bk_biz_id": 2}));
    let site = Site::new(&state);
    let found = site.ask("search_business", &json!({"condition": {"bk_biz_name": "demo"}}))["data"].clone();
    assert_eq!(found["count"], 2, "{found}");
    let manifest = module("set: public, module: web", "operator: bob");
    let sent = json!([{"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"operator": "bob"}}]);
    written(&state, &manifest, &sent);
    refused(&state, &manifest.replace("business: demo", "business: dem"), &["P101", "no business is named `dem`"]);
    // Plain text under HTTP 200 is no answer: a read of it is unknown, not empty; a write of it was not done.
    let text = json!({"fault": "status", "status": 200, "body": "405: Method Not Allowed"});
    for (operation, code) in [("search_module", Some(5)), ("update_module", Some(1))] {
        let site = Site::with(&state, &[("one.yaml", &manifest)]);
        let mut fault = text.clone();
        fault["operation"] = json!(operation);
        site.faults(&json!([fault]));
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, code, "{operation}: {output}");
        assert!(!output.all().contains("does not exist"), "{operation}: {output}");
        assert!(output.all().contains("405"), "{operation}: {output}");
    }
}

#[test]
fn trap_23_every_access_wants_another_form() {
    let manifest = module("set: public, module: web", "operator: bob") + &switch("s", "bk_asset_id: A1", "ports: 48");
    let target = |site: &Site, access: &str, auth: &str| {
        let url = site.url();
        site.write(
            "reconcile.yaml",
            &format!(
                "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: {access}, \
                 endpoint: '{url}', auth: {{{auth}}}}}\n"
            ),
        );
    };
    let app = "appCode: app, appSecret: {file: app-secret.txt}, username: admin";
    let in_header = format!("{app}, in: header");
    // Header authentication alone, or body authentication alone: where both were there, only the header would count.
    for (access, auth) in [("esb", app), ("esb", &in_header), ("gateway", app), ("direct", "username: admin")] {
        let mut state = state();
        state["bk-cmdb"]["credentials"] = json!({"apps": {"app": "hush"}, "users": ["admin"]});
        let site = Site::with(&state, &[("one.yaml", &manifest)]);
        target(&site, access, auth);
        let written = site.apply();
        assert!(written.iter().all(|call| call.access == access && call.code.is_null()), "{access}: {written:?}");
        let sent =
            |operation: &str| written.iter().find(|call| call.operation == operation).map(|call| call.body.clone());
        // Module writes have their fields below `data`, instance writes beside the ids; without the ESB both are flat.
        let data = json!({"operator": "bob"});
        let module = if access == "esb" {
            json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": data})
        } else {
            data
        };
        assert_eq!(sent("update_module"), Some(module), "{access}");
        assert_eq!(sent("update_inst").map(|body| body["ports"].clone()), Some(json!(48)), "{access}");
        site.assert_converged();
    }
    // The ESB would tell nobody that it took these for its own.
    let mut state = state();
    for name in ["username", "signature", "app_code", "bk_token"] {
        with_attribute(&mut state, name, "singlechar", &json!(""));
        refused(&state, &switch("s", "bk_asset_id: A1", &format!("{name}: x")), &["M304", name]);
    }
    let site = Site::new(&state);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "username": "eaten", "ports": 5}));
    let row = instance(&site, 1);
    assert_eq!((row["username"] == "eaten", &row["ports"]), (false, &json!(5)), "{row}");
}
