//! A new document that may mean a live object under another name is told how: of each kind, with `--prune` and without.

use serde_json::json;

use crate::harness::{Output, Site, state, switch};

/// Documents that mean something on each target, without which nothing is pruned there.
const KEEP: &str = "SWITCHapiVersion: roma-connect/v1
kind: App
metadata: {name: keep}
spec: {app: invoices, fields: {favorite: true}}
";

fn site(scopes: &str, manifests: &str) -> Site {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    let mut push = |list: &str, row: serde_json::Value| cmdb[list].as_array_mut().expect("a list").push(row);
    // Nothing lies below these.
    push("service_templates", json!({"id": 52, "name": "redis", "bk_biz_id": 3, "service_category_id": 2}));
    push("sets", json!({"bk_set_id": 12, "bk_set_name": "spare", "bk_biz_id": 3, "bk_parent_id": 3}));
    let site = Site::with(&state, &[("all.yaml", manifests)]);
    site.write("keep.yaml", &KEEP.replace("SWITCH", &switch("keep", "bk_inst_name: sw-1", "ports: 24")));
    site.configure(&format!("safety: {{maxDeletes: 100%, maxChanges: 100%}}\n{scopes}"));
    site
}

fn document(api: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {api}/v1\nkind: {kind}\nmetadata: {{name: new}}\nspec:\n{spec}")
}

fn cmdb(kind: &str, spec: &str) -> String {
    document("bk-cmdb", kind, spec)
}

/// The hint of the warning about a new object that is like a live one.
fn hint(output: &Output) -> String {
    let about = output.stderr.split("warning[P163]").nth(1).unwrap_or_default();
    let hint = about.lines().find_map(|line| line.split_once("under another name, write "));
    hint.map(|(_, hint)| hint.to_owned()).unwrap_or_default()
}

#[test]
fn each_kind_tells_what_makes_a_rename() {
    let check = |scope: &str, document: &str, expected: &str, renamed: &str| {
        let site = site(&format!("prune:\n  - {{{scope}}}\n"), document);
        let output = site.run(&["plan", "--prune"]);
        assert_eq!(hint(&output), expected, "{output}");
        // What the hint says makes a rename of it.
        site.write("all.yaml", renamed);
        let plan = site.run(&["plan", "--prune", "-o", "json"]);
        let summary = &plan.json()["summary"];
        assert_eq!((&summary["create"], &summary["update"]), (&0.into(), &1.into()), "{plan}");
        assert_eq!(hint(&site.run(&["plan", "--prune"])), "", "{plan}");
    };
    let module = |name: &str, more: &str| {
        let fields = format!("{{bk_module_type: '1', operator: dave{more}}}");
        cmdb(
            "Module",
            &format!("  {{business: demo, set: public, module: {name}, ensure: present, fields: {fields}}}\n"),
        )
    };
    check(
        "kind: Module, business: demo, set: public",
        &module("store", ""),
        "`module: cache`, and `bk_module_name: store` below `fields`",
        &module("cache", ", bk_module_name: store"),
    );
    let app = |name: &str, more: &str| {
        let spec = format!("  {{app: {name}, ensure: present, fields: {{remark: orders, favorite: false{more}}}}}\n");
        document("roma-connect", "App", &spec)
    };
    check(
        "kind: App",
        &app("sales", ""),
        "`app: orders`, and `name: sales` below `fields`",
        &app("orders", ", name: sales"),
    );
    let process = |name: &str, more: &str| {
        let properties = format!("{{bk_func_name: nginx, proc_num: 2, user: root{more}}}");
        let keys = format!("business: demo, serviceTemplate: nginx, process: {name}, ensure: present");
        cmdb("ProcessTemplate", &format!("  {{{keys}, properties: {properties}}}\n"))
    };
    check(
        "kind: ProcessTemplate, business: demo, serviceTemplate: nginx",
        &process("proxy", ""),
        "`process: nginx`, and `bk_process_name: proxy` below `properties`",
        &process("nginx", ", bk_process_name: proxy"),
    );
    let template = |name: &str, more: &str| {
        let fields = format!("{{category: [Default, Default]{more}}}");
        cmdb("ServiceTemplate", &format!("  {{business: demo, template: {name}, ensure: present, fields: {fields}}}\n"))
    };
    // The other template has something below it.
    let nginx = "---\napiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: nginx}\nspec: {business: demo, \
        template: nginx, fields: {name: nginx}}\n";
    check(
        "kind: ServiceTemplate, business: demo",
        &(template("cache", "") + nginx),
        "`template: redis`, and `name: cache` below `fields`",
        &(template("redis", ", name: cache") + nginx),
    );
    let set = |name: &str, more: &str| {
        let fields = format!("{{bk_set_env: '3', bk_service_status: '1'{more}}}");
        cmdb("Set", &format!("  {{business: demo, set: {name}, ensure: present, fields: {fields}}}\n"))
    };
    let public = "---\napiVersion: bk-cmdb/v1\nkind: Set\nmetadata: {name: public}\nspec: {business: demo, set: public, \
        fields: {bk_set_name: public}}\n";
    check(
        "kind: Set, business: demo",
        &(set("edge", "") + public),
        "`set: spare`, and `bk_set_name: edge` below `fields`",
        &(set("spare", ", bk_set_name: edge") + public),
    );
}

#[test]
fn without_pruning_journals_know_the_document_that_is_gone() {
    let old = switch("old", "bk_inst_name: sw-3", "ports: 48, remark: core");
    let site = site("", &old);
    let applied = site.run(&["apply", "-y"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    let new = |name: &str, fields: &str| {
        switch(name, "bk_inst_name: core-3", fields).replace("spec:\n", "spec:\n  ensure: present\n")
    };
    site.write("all.yaml", &new("new", "ports: 48, remark: core"));
    let output = site.run(&["plan"]);
    assert_eq!(hint(&output), "`match: {bk_inst_name: sw-3}`, and `bk_inst_name: core-3` below `fields`", "{output}");
    assert!(
        output.stderr.contains("a new object like bk_switch #3, which Instance/old declared in an earlier run"),
        "{output}"
    );
    assert!(output.stdout.contains("1 to add, 0 to update, 0 to delete"), "nothing is guessed: {output}");
    // One that has little in common with it is another object; so is one beside the document.
    site.write("all.yaml", &new("new", "ports: 12, remark: edge"));
    assert_eq!(hint(&site.run(&["plan"])), "");
    site.write("all.yaml", &(old.clone() + &new("new", "ports: 48, remark: core")));
    assert_eq!(hint(&site.run(&["plan"])), "");
    // The same document under another name means the same object.
    site.write("all.yaml", &(old.replace("name: old", "name: other") + &new("new", "ports: 48, remark: core")));
    assert_eq!(hint(&site.run(&["plan"])), "");
    // An object that is gone from the server was not renamed.
    site.write("all.yaml", &new("new", "ports: 48, remark: core"));
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 3}));
    assert_eq!(hint(&site.run(&["plan"])), "");
}
