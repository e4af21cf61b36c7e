//! The number of reads of a plan: the formulae of the read plan, one case each. The impact of changes is read too.

use serde_json::{Value, json};

use crate::{
    harness::{Site, operations, state},
    hosts::with_hosts,
};

/// Plans one document for each spec and returns the reads by operation.
fn reads(state: &Value, kind: &str, specs: impl IntoIterator<Item = String>) -> Value {
    let documents = specs.into_iter().enumerate().map(|(at, spec)| {
        let platform = if kind == "App" { "roma-connect" } else { "bk-cmdb" };
        format!("apiVersion: {platform}/v1\nkind: {kind}\nmetadata: {{name: d{at}}}\nspec: {spec}\n---\n")
    });
    let site = Site::with(state, &[("all.yaml", &documents.collect::<String>())]);
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.reads()
}

/// A state with so many models, each with so many instances; ids are unique over all models.
fn models(models: usize, instances: usize) -> Value {
    let mut state = state();
    for model in 0..models {
        let name = format!("model_{model}");
        let cmdb = &mut state["bk-cmdb"];
        cmdb["objects"].as_array_mut().expect("a list").push(json!({"bk_obj_id": name, "bk_obj_name": name}));
        for attribute in ["bk_inst_name", "serial"] {
            cmdb["attributes"].as_array_mut().expect("a list").push(json!({"bk_obj_id": name,
                "bk_property_id": attribute, "bk_property_name": attribute, "bk_property_type": "singlechar",
                "isrequired": attribute == "bk_inst_name", "editable": true}));
        }
        cmdb["instances"][&name] = (0..instances)
            .map(|at| {
                let id = 1000 + model * instances + at;
                json!({"bk_inst_id": id, "bk_inst_name": format!("i{at}"), "serial": format!("s{at}")})
            })
            .collect();
    }
    state
}

#[test]
fn instances_by_name_take_one_definition_and_one_page_a_model() {
    // 4 models + 4 · ⌈250/500⌉, and the rows of associations below these: 4 · ⌈250/500⌉.
    let specs = (0..1000).map(|at| {
        format!("{{model: model_{}, match: {{bk_inst_name: i{}}}, fields: {{serial: x}}}}", at / 250, at % 250)
    });
    let expected =
        json!({"search_object_attribute": 4, "search_object_instances": 4, "search_instance_associations": 4});
    assert_eq!(reads(&models(4, 250), "Instance", specs), expected);
}

#[test]
fn instances_by_id_go_by_500() {
    // ⌈501/500⌉ of the instances, and of what they are ends of.
    let specs = (0..501).map(|at| format!("{{model: model_0, id: {}, fields: {{serial: x}}}}", 1000 + at));
    let expected =
        json!({"search_object_attribute": 1, "search_object_instances": 2, "search_instance_associations": 2});
    assert_eq!(reads(&models(1, 501), "Instance", specs), expected);
}

#[test]
fn a_rename_is_looked_up_by_both_names_in_the_same_pages() {
    // 300 old and 300 new names are 600 values: ⌈600/500⌉.
    let specs = (0..300)
        .map(|at| format!("{{model: model_0, match: {{bk_inst_name: i{at}}}, fields: {{bk_inst_name: n{at}}}}}"));
    let expected =
        json!({"search_object_attribute": 1, "search_object_instances": 2, "search_instance_associations": 1});
    assert_eq!(reads(&models(1, 300), "Instance", specs), expected);
}

#[test]
fn instances_by_two_fields_go_by_50_groups() {
    // ⌈101/50⌉.
    let specs =
        (0..101).map(|at| format!("{{model: model_0, match: {{bk_inst_name: i{at}, serial: s{at}}}, fields: {{}}}}"));
    let expected = json!({"search_object_attribute": 1, "search_object_instances": 3});
    assert_eq!(reads(&models(1, 101), "Instance", specs), expected);
}

#[test]
fn modules_take_one_search_for_businesses_and_two_for_each() {
    // 1 business search, for each of 3 businesses 1 for its sets and 1 for its modules, and 1 definition. All change: for
    // each business 1 for the hosts below and 1 for the service instances.
    let mut state = state();
    let (businesses, sets, modules) = topology();
    for (list, rows) in [("businesses", businesses), ("sets", sets), ("modules", modules)] {
        state["bk-cmdb"][list].as_array_mut().expect("a list").extend(rows);
    }
    let specs = (0..300).map(|at| {
        let (business, set, module) = (at / 100, at / 50 % 2, at % 50);
        format!("{{business: b{business}, set: s{set}, module: m{module}, fields: {{operator: alice}}}}")
    });
    let expected = json!({"search_object_attribute": 1, "search_business": 1, "search_set": 3, "search_module": 3,
        "find_host_topo_relation": 3, "list_service_instance": 3});
    assert_eq!(reads(&state, "Module", specs), expected);
    // By ids nothing has to be found first: ⌈300/500⌉, here of one business.
    let specs = (0..100).map(|at| {
        format!("{{business: 100, set: {}, module: {}, fields: {{operator: alice}}}}", 200 + at / 50, 1000 + at)
    });
    let expected = json!({"search_object_attribute": 1, "find_module_batch": 1, "find_host_topo_relation": 1,
        "list_service_instance": 1});
    assert_eq!(reads(&state, "Module", specs), expected);
}

/// A state with so many service templates of so many process templates each.
fn processes(templates: usize, each: usize) -> Value {
    let mut state = state();
    let property = json!({"proc_num": {"value": 1, "as_default_value": true},
        "bind_info": {"value": [], "as_default_value": true}});
    for template in 0..templates {
        let service =
            json!({"id": 100 + template, "name": format!("t{template}"), "bk_biz_id": 3, "service_category_id": 2});
        state["bk-cmdb"]["service_templates"].as_array_mut().expect("a list").push(service);
        for process in 0..each {
            let name = format!("p{process}");
            let mut property = property.clone();
            property["bk_process_name"] = json!({"value": name, "as_default_value": true});
            property["bk_func_name"] = json!({"value": name, "as_default_value": true});
            state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list").push(json!({
                "id": 1000 + template * each + process, "bk_process_name": name, "bk_biz_id": 3,
                "service_template_id": 100 + template, "property": property}));
        }
    }
    state
}

#[test]
fn process_templates_take_one_list_a_service_template_or_one_for_200_ids() {
    let state = processes(40, 5);
    // The business, ⌈T/1000⌉ pages of service templates, K = 40 lists.
    let by_name = (0..200).map(|at| {
        format!("{{business: demo, serviceTemplate: t{}, process: p{}, properties: {{proc_num: 2}}}}", at / 5, at % 5)
    });
    // All of them change, so one more tells which modules need a sync afterwards.
    let expected = json!({"search_business": 1, "list_service_template": 1, "list_proc_template": 40,
        "find_module_with_relation": 1});
    assert_eq!(reads(&state, "ProcessTemplate", by_name), expected);
    // ⌈200/200⌉.
    let by_id = (0..200).map(|at| format!("{{business: 3, id: {}, properties: {{proc_num: 2}}}}", 1000 + at));
    let expected = json!({"list_proc_template": 1, "find_module_with_relation": 1});
    assert_eq!(reads(&state, "ProcessTemplate", by_id), expected);
}

#[test]
fn associations_take_one_definition_and_one_search_for_500_sources() {
    // 1000 rows of 2 model associations, 250 sources each: 1 + 2. Ends given by id need no read of instances, but the
    // models' definitions and rows are read once each to tell ends that are not there.
    let mut state = models(2, 500);
    state["bk-cmdb"]["object_associations"] = (0..2)
        .map(|at| {
            json!({"id": 1 + at, "bk_obj_asst_id": format!("link_{at}"), "bk_obj_id": "model_0",
                "bk_asst_obj_id": "model_1", "bk_asst_id": "connect", "mapping": "n:n"})
        })
        .collect();
    let specs = (0..500).map(|at| {
        let (association, source) = (at / 250, at % 250);
        format!(
            "{{association: link_{association}, source: {{model: model_0, id: {}}}, targets: [{{model: model_1, id: \
             {}}}, {{model: model_1, id: {}}}]}}",
            1000 + source,
            1500 + source,
            1750 + source
        )
    });
    let expected = json!({"find_object_association": 1, "search_instance_associations": 2,
        "search_object_attribute": 2, "search_object_instances": 2});
    assert_eq!(reads(&state, "InstanceAssociation", specs), expected);
}

#[test]
fn targets_with_one_source_only_are_looked_up_too() {
    // 1:n: (a) by declared sources, and ⌈T/500⌉ by declared targets, which others may hold.
    let mut state = models(2, 10);
    state["bk-cmdb"]["object_associations"] = json!([{"id": 1, "bk_obj_asst_id": "link", "bk_obj_id": "model_0",
        "bk_asst_obj_id": "model_1", "bk_asst_id": "connect", "mapping": "1:n"}]);
    let specs = (0..10).map(|at| {
        format!(
            "{{association: link, source: {{model: model_0, id: {}}}, targets: [{{model: model_1, id: {}}}]}}",
            1000 + at,
            1010 + at
        )
    });
    assert_eq!(reads(&state, "InstanceAssociation", specs)["search_instance_associations"], 2);
}

#[test]
fn associations_and_instances_ask_the_same_questions_once() {
    let mut state = models(1, 20);
    state["bk-cmdb"]["object_associations"] = json!([{"id": 1, "bk_obj_asst_id": "link", "bk_obj_id": "model_0",
        "bk_asst_obj_id": "model_0", "bk_asst_id": "connect", "mapping": "n:n"}]);
    let documents: Vec<String> = (0..10)
        .map(|at| {
            format!(
                "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: d{at}}}\nspec: {{model: model_0, match: \
                 {{bk_inst_name: i{at}}}, fields: {{serial: x}}}}\n---\napiVersion: bk-cmdb/v1\nkind: \
                 InstanceAssociation\nmetadata: {{name: d{at}}}\nspec: {{association: link, source: {{ref: d{at}}}, \
                 targets: [{{model: model_0, match: {{bk_inst_name: i{}}}}}]}}\n---\n",
                at + 10
            )
        })
        .collect();
    let site = Site::with(&state, &[("all.yaml", &documents.concat())]);
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(0), "{output}");
    // One for the declared rows, and one for all that the changed instances are ends of.
    let expected = json!({"search_object_attribute": 1, "search_object_instances": 1, "find_object_association": 1,
        "search_instance_associations": 2});
    assert_eq!(site.reads(), expected);
}

/// Documents of 5,000 hosts in `web`, and a site with them; `fields` and `modules` of each by its number.
fn many_hosts(spec: impl Fn(usize) -> String) -> Site {
    let mut state = with_hosts(state());
    let address = |at: usize| format!("10.{}.{}.{}", 1 + at / 62_500, at / 250 % 250, at % 250);
    for at in 0..5000 {
        let id = 1000 + at;
        let row = json!({"bk_host_id": id, "bk_host_innerip": address(at), "bk_cloud_id": 0, "bk_cpu": 4});
        let pair = json!({"bk_host_id": id, "bk_module_id": 31, "bk_set_id": 11, "bk_biz_id": 3});
        state["bk-cmdb"]["instances"]["host"].as_array_mut().expect("a list").push(row);
        state["bk-cmdb"]["host_relations"].as_array_mut().expect("a list").push(pair);
    }
    let documents = (0..5000).map(|at| {
        let id = format!("business: demo, match: {{bk_host_innerip: {}, bk_cloud_id: 0}}", address(at));
        let spec = spec(at);
        format!("apiVersion: bk-cmdb/v1\nkind: Host\nmetadata: {{name: h{at}}}\nspec: {{{id}, {spec}}}\n---\n")
    });
    Site::with(&state, &[("all.yaml", &documents.collect::<String>())])
}

#[test]
fn hosts_go_by_500_and_are_written_in_batches() {
    // ⌈5000/500⌉ searches by address, all in one business.
    let site = many_hosts(|_| "fields: {bk_cpu: 8}".to_owned());
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(site.reads(), json!({"search_business": 1, "search_object_attribute": 1, "list_biz_hosts": 10}));
    // ⌈5000/200⌉, each in other words: every host is judged for itself.
    assert_eq!(operations(&site.apply()), json!({"batch_update_host": 25}));
    site.assert_converged();
}

#[test]
fn hosts_move_in_one_call_for_each_set_of_modules() {
    // 5 sets of modules with 1,000 hosts each. Of those that leave `web` the service instances are counted.
    let targets = ["[public/cache]", "[public/nginx]", "[public/nginx, public/cache]", "[idle]", "[recycle]"];
    let site = many_hosts(|at| format!("modules: {}", targets[at % 5]));
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let expected = json!({
        "search_business": 1, "search_object_attribute": 1,
        // ⌈5000/500⌉ each: the hosts, where they are, and what they lose.
        "list_biz_hosts": 10, "find_host_topo_relation": 10, "list_service_instance_detail": 10,
        // The modules that documents name and that hosts are in.
        "search_set": 1, "search_module": 1, "find_module_batch": 1,
    });
    assert_eq!(site.reads(), expected);
    let expected =
        json!({"transfer_host_module": 3, "transfer_host_to_idlemodule": 1, "transfer_host_to_recyclemodule": 1});
    assert_eq!(operations(&site.apply()), expected);
    site.assert_converged();
}

#[test]
fn apps_take_one_page_for_500() {
    let mut state = state();
    state["roma-connect"]["apps"] = (0..501)
        .map(|at| json!({"instance_id": "i1", "id": format!("id{at}"), "name": format!("app{at}"), "remark": ""}))
        .collect();
    let specs = || (0..3).map(|at| format!("{{app: app{at}, fields: {{remark: x}}}}"));
    assert_eq!(reads(&state, "App", specs()), json!({"CheckRomaInstanceListV2": 1, "ListRomaApp": 2}));
    state["roma-connect"]["apps"].as_array_mut().expect("a list").pop();
    assert_eq!(reads(&state, "App", specs()), json!({"CheckRomaInstanceListV2": 1, "ListRomaApp": 1}));
}

#[test]
fn apps_that_a_list_shows_are_not_read_one_by_one_as_well() {
    // Two answers of different age would contradict each other, and the younger one may be the first.
    let mut state = state();
    state["roma-connect"]["apps"] = (0..3)
        .map(|at| json!({"instance_id": "i1", "id": format!("id{at}"), "name": format!("app{at}"), "remark": ""}))
        .collect();
    let check = |apps: &[&str], expected: Value| {
        let documents = apps.iter().map(|app| {
            let spec = format!("{{ensure: present, app: {app}, fields: {{remark: x}}}}");
            format!("apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {app}}}\nspec: {spec}\n---\n")
        });
        let site = Site::with(&state, &[("all.yaml", &documents.collect::<String>())]);
        assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
        site.sandbox().clear_calls();
        let applied = site.run(&["apply", "plan.json", "--auto-approve"]);
        assert_eq!(applied.code, Some(0), "{applied}");
        assert_eq!(site.reads(), expected, "{apps:?}");
    };
    // The look at the plan's objects, and the one right before the calls.
    check(&["app0", "app1"], json!({"CheckRomaInstanceListV2": 1, "ListRomaApp": 1, "CheckRomaAppDetails": 2}));
    let expected = json!({"CheckRomaInstanceListV2": 2, "ListRomaApp": 2, "ValidateRomaApp": 2});
    check(&["app0", "app1", "new"], expected);
}

#[test]
fn writes_are_read_back_in_pages_too() {
    let documents: Vec<String> = (0..250)
        .map(|at| {
            format!(
                "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: d{at}}}\nspec: {{model: model_0, match: \
                 {{bk_inst_name: i{at}}}, fields: {{serial: x}}}}\n---\n"
            )
        })
        .collect();
    let site = Site::with(&models(1, 250), &[("all.yaml", &documents.concat())]);
    assert_eq!(site.apply().len(), 250);
    let expected = json!({"search_object_attribute": 1, "search_object_instances": 1, "search_inst_by_object": 1,
        "search_instance_associations": 1});
    assert_eq!(site.reads(), expected);
}

/// The state of the large plan: 4 models of 250 instances, 2 associations of 500 rows from 150 sources each, 40 service
/// templates of 5 process templates, 300 modules in 6 sets of 3 businesses.
fn large() -> Value {
    let mut state = models(4, 250);
    let rows = processes(40, 5);
    for list in ["service_templates", "process_templates"] {
        state["bk-cmdb"][list] = rows["bk-cmdb"][list].clone();
    }
    let (businesses, sets, modules) = topology();
    for (list, rows) in [("businesses", businesses), ("sets", sets), ("modules", modules)] {
        state["bk-cmdb"][list].as_array_mut().expect("a list").extend(rows);
    }
    let association = |at: usize| {
        let (from, to) = (format!("model_{}", 2 * at), format!("model_{}", 2 * at + 1));
        json!({"id": 10 + at, "bk_obj_asst_id": format!("link_{at}"), "bk_obj_id": from, "bk_asst_obj_id": to,
            "bk_asst_id": "connect", "mapping": "n:n"})
    };
    state["bk-cmdb"]["object_associations"] = (0..2).map(association).collect();
    state
}

/// Businesses, sets, and modules: 3 businesses of 2 sets of 50 modules.
fn topology() -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let (mut businesses, mut sets, mut modules) = (Vec::new(), Vec::new(), Vec::new());
    for business in 0..3 {
        businesses.push(json!({"bk_biz_id": 100 + business, "bk_biz_name": format!("b{business}")}));
        for set in 0..2 {
            let set_id = 200 + business * 2 + set;
            sets.push(json!({"bk_set_id": set_id, "bk_set_name": format!("s{set}"), "bk_biz_id": 100 + business}));
            modules.extend((0..50).map(|module| {
                json!({"bk_module_id": 1000 + (set_id - 200) * 50 + module, "bk_module_name": format!("m{module}"),
                    "bk_set_id": set_id, "bk_biz_id": 100 + business})
            }));
        }
    }
    (businesses, sets, modules)
}

/// The documents of the large plan, by names or by ids.
fn large_documents(by_name: bool) -> String {
    let pick = |name: String, id: usize| {
        if by_name { format!("match: {{bk_inst_name: {name}}}") } else { format!("id: {id}") }
    };
    let document = |kind: &str, name: String, spec: String| {
        format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
    };
    let mut documents = Vec::new();
    for at in 0..1000 {
        let (model, row) = (at / 250, at % 250);
        let pick = pick(format!("i{row}"), 1000 + at);
        documents.push(document(
            "Instance",
            format!("i{at}"),
            format!("model: model_{model}, {pick}, fields: {{serial: x}}"),
        ));
    }
    for at in 0..300 {
        // 1,000 rows: 200 sources of 3, 100 of 4.
        let (association, source) = (at / 150, at % 150);
        let targets: Vec<_> = (0..3 + usize::from(at % 3 == 0))
            .map(|target| format!("{{ref: i{}}}", 500 * association + 250 + (source + target * 50) % 250))
            .collect();
        let ends = format!("source: {{ref: i{}}}, targets: [{}]", 500 * association + source, targets.join(", "));
        documents.push(document(
            "InstanceAssociation",
            format!("l{at}"),
            format!("association: link_{association}, {ends}"),
        ));
    }
    for at in 0..200 {
        let pick = if by_name {
            format!("business: demo, serviceTemplate: t{}, process: p{}", at / 5, at % 5)
        } else {
            format!("business: 3, id: {}", 1000 + at)
        };
        documents.push(document("ProcessTemplate", format!("p{at}"), format!("{pick}, properties: {{proc_num: 2}}")));
    }
    for at in 0..300 {
        let (business, set, module) = (at / 100, at / 50 % 2, at % 50);
        let pick = if by_name {
            format!("business: b{business}, set: s{set}, module: m{module}")
        } else {
            format!("business: {}, set: {}, module: {}", 100 + business, 200 + at / 50, 1000 + at)
        };
        documents.push(document("Module", format!("m{at}"), format!("{pick}, fields: {{operator: alice}}")));
    }
    documents.concat()
}

/// The numbers of the page on performance.
#[test]
fn a_plan_of_each_kind_at_once_takes_what_the_formulae_say() {
    let plan = |by_name: bool| {
        let site = Site::with(&large(), &[("all.yaml", &large_documents(by_name))]);
        let output = site.run(&["plan", "-o", "json"]);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let plan = output.json();
        // Rows of associations are to be made, all else differs.
        assert_eq!((&plan["summary"]["create"], &plan["summary"]["update"]), (&json!(1000), &json!(1500)));
        let reads = site.reads();
        let sum: i64 = reads.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_i64()).sum();
        assert_eq!((&plan["cost"]["reads"], sum), (&json!(sum), if by_name { 71 } else { 27 }), "{reads}");
        reads
    };
    let common = json!({
        // One definition for each of 4 models, and that of modules.
        "search_object_attribute": 5,
        // 4 models · ⌈250/500⌉. The ends of associations are among them.
        "search_object_instances": 4,
        // All associations between models in one.
        "find_object_association": 1,
        // The modules of service templates whose processes change, of one business: they need a sync.
        "find_module_with_relation": 1,
        // 2 associations · ⌈150/500⌉ sources · 1 page: no row is there yet. Below the instances that change: 4 models ·
        // ⌈250/500⌉.
        "search_instance_associations": 6,
        // Below the modules that change, in each of 3 businesses. The service templates have no modules.
        "find_host_topo_relation": 3,
        "list_service_instance": 3,
    });
    let with = |more: Value| {
        let mut counts = common.clone();
        counts.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        counts
    };
    let by_name = json!({
        // ⌈4/200⌉ names of businesses, for modules and process templates together.
        "search_business": 1,
        // The sets of each of 3 businesses, and their modules.
        "search_set": 3,
        "search_module": 3,
        // ⌈40/1000⌉ of one business, then K = 40 service templates.
        "list_service_template": 1,
        "list_proc_template": 40,
    });
    assert_eq!(plan(true), with(by_name));
    let by_id = json!({
        // ⌈100/500⌉ for each of 3 businesses.
        "find_module_batch": 3,
        // ⌈200/200⌉.
        "list_proc_template": 1,
    });
    assert_eq!(plan(false), with(by_id));
}

#[test]
fn a_roll_out_takes_one_comparison_for_100_modules_and_one_state_a_template() {
    let mut state = state();
    let modules = (0..250).map(|at| {
        json!({"bk_module_id": 1000 + at, "bk_module_name": format!("m{at}"), "bk_set_id": 11, "bk_biz_id": 3,
            "service_template_id": 51})
    });
    state["bk-cmdb"]["modules"] = modules.collect();
    let spec = |more: &str| format!("{{business: demo, template: nginx, fields: {{name: nginx}}{more}}}");
    let expected = json!({"search_business": 1, "list_service_template": 1});
    assert_eq!(reads(&state, "ServiceTemplate", [spec("")]), expected);
    // The modules, the names of their sets, ⌈250/100⌉ comparisons and the states of all tasks. The modules have the name of
    // the template after a sync alone, so all differ: one more for the hosts and one for the service instances below.
    let expected = json!({"search_business": 1, "list_service_template": 1, "find_module_with_relation": 1,
        "search_set": 1, "list_service_template_difference": 3, "list_service_template_sync_status": 1,
        "find_host_topo_relation": 1, "list_service_instance": 1});
    assert_eq!(reads(&state, "ServiceTemplate", [spec(", rollout: {modules: all}")]), expected);
}
