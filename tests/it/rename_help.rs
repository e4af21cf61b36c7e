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
    let cache = json!({"id": 3, "name": "Cache", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1});
    push("service_categories", cache);
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

/// A kind whose objects have names, with an object of it.
struct Named {
    /// The scope to prune, in which the object is found to go.
    scope: &'static str,
    /// The document of a name, a value of some field, and other fields.
    document: fn(name: &str, value: &str, more: &str) -> String,
    /// A document that is there too.
    beside: &'static str,
    /// The field's value as it is live, and another one.
    values: [&'static str; 2],
    /// The name as it is live, and another one.
    names: [&'static str; 2],
    /// The key that gives the object its other name, in a document under the name as it is live.
    renaming: &'static str,
    /// The hint about it.
    hint: &'static str,
}

const NAMED: &[Named] = &[
    Named {
        scope: "kind: Module, business: demo, set: public",
        document: |name, value, more| {
            let fields = format!("{{bk_module_type: '1', operator: {value}{more}}}");
            let keys = format!("business: demo, set: public, module: {name}, ensure: present");
            cmdb("Module", &format!("  {{{keys}, fields: {fields}}}\n"))
        },
        beside: "",
        values: ["dave", "erin"],
        names: ["cache", "store"],
        renaming: ", bk_module_name: store",
        hint: "`module: cache`, and `bk_module_name: store` below `fields`",
    },
    Named {
        scope: "kind: App",
        document: |name, value, more| {
            let fields = format!("{{remark: {value}, favorite: false{more}}}");
            document("roma-connect", "App", &format!("  {{app: {name}, ensure: present, fields: {fields}}}\n"))
        },
        beside: "",
        values: ["orders", "sold"],
        names: ["orders", "sales"],
        renaming: ", name: sales",
        hint: "`app: orders`, and `name: sales` below `fields`",
    },
    Named {
        scope: "kind: ProcessTemplate, business: demo, serviceTemplate: nginx",
        document: |name, value, more| {
            let properties = format!("{{bk_func_name: nginx, proc_num: 2, user: {value}{more}}}");
            let keys = format!("business: demo, serviceTemplate: nginx, process: {name}, ensure: present");
            cmdb("ProcessTemplate", &format!("  {{{keys}, properties: {properties}}}\n"))
        },
        beside: "",
        values: ["root", "www"],
        names: ["nginx", "proxy"],
        renaming: ", bk_process_name: proxy",
        hint: "`process: nginx`, and `bk_process_name: proxy` below `properties`",
    },
    Named {
        scope: "kind: ServiceTemplate, business: demo",
        document: |name, value, more| {
            let fields = format!("{{category: [Default, {value}]{more}}}");
            cmdb(
                "ServiceTemplate",
                &format!("  {{business: demo, template: {name}, ensure: present, fields: {fields}}}\n"),
            )
        },
        // The other template has something below it.
        beside: "---\napiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: nginx}\nspec: {business: demo, \
            template: nginx, fields: {name: nginx}}\n",
        values: ["Default", "Cache"],
        names: ["redis", "cache"],
        renaming: ", name: cache",
        hint: "`template: redis`, and `name: cache` below `fields`",
    },
    Named {
        scope: "kind: Set, business: demo",
        document: |name, value, more| {
            let fields = format!("{{bk_set_env: '{value}', bk_service_status: '1'{more}}}");
            cmdb("Set", &format!("  {{business: demo, set: {name}, ensure: present, fields: {fields}}}\n"))
        },
        beside: "---\napiVersion: bk-cmdb/v1\nkind: Set\nmetadata: {name: public}\nspec: {business: demo, set: public, \
            fields: {bk_set_name: public}}\n",
        values: ["3", "2"],
        names: ["spare", "edge"],
        renaming: ", bk_set_name: edge",
        hint: "`set: spare`, and `bk_set_name: edge` below `fields`",
    },
    Named {
        scope: "kind: Instance, model: bk_switch",
        document: |name, value, more| {
            switch("new", &format!("bk_inst_name: {name}"), &format!("operator: alice, ports: {value}{more}"))
                .replace("spec:\n", "spec:\n  ensure: present\n")
        },
        beside: "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: two}\nspec: {model: bk_switch, match: \
            {bk_inst_name: sw-2}, fields: {ports: 24}}\n",
        values: ["24", "48"],
        names: ["sw-3", "core-3"],
        renaming: ", bk_inst_name: core-3",
        hint: "`match: {bk_inst_name: sw-3}`, and `bk_inst_name: core-3` below `fields`",
    },
];

impl Named {
    /// The document under the live name, that under the other one, and what makes a rename of the two.
    fn documents(&self, value: &str) -> [String; 3] {
        let [name, other] = self.names;
        [(name, ""), (other, ""), (name, self.renaming)]
            .map(|(name, more)| (self.document)(name, value, more) + self.beside)
    }

    /// Checks what a plan says of the document under the other name, and that this makes a rename of it.
    fn check(&self, site: &Site, arguments: &[&str], [_, other, renamed]: [String; 3]) -> Output {
        let arguments = [&["plan"], arguments].concat();
        site.write("all.yaml", &other);
        let output = site.run(&arguments);
        assert_eq!(hint(&output), self.hint, "{output}");
        site.write("all.yaml", &renamed);
        let plan = site.run(&[&arguments[..], &["-o", "json"]].concat());
        let summary = &plan.json()["summary"];
        assert_eq!((&summary["create"], &summary["update"]), (&0.into(), &1.into()), "{plan}");
        assert_eq!(hint(&site.run(&arguments)), "", "{plan}");
        output
    }
}

#[test]
fn each_kind_tells_what_makes_a_rename() {
    for named in NAMED {
        let site = site(&format!("prune:\n  - {{{}}}\n", named.scope), "");
        named.check(&site, &["--prune"], named.documents(named.values[0]));
    }
}

#[test]
fn without_pruning_journals_know_the_object_of_each_kind() {
    for named in NAMED {
        let documents = named.documents(named.values[1]);
        let site = site("", &documents[0].replace("name: new", "name: old"));
        // Nobody declared it before.
        site.write("all.yaml", &documents[1]);
        assert_eq!(hint(&site.run(&["plan"])), "", "{}", named.scope);
        site.write("all.yaml", &documents[0].replace("name: new", "name: old"));
        let applied = site.run(&["apply", "-y"]);
        assert_eq!(applied.code, Some(0), "{applied}");
        let output = named.check(&site, &[], documents);
        assert!(output.stderr.contains("/old declared in an earlier run"), "{output}");
        assert!(output.stdout.contains("1 to add, 0 to update, 0 to delete"), "nothing is guessed: {output}");
    }
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
