//! Who changed what: `drift` against what really happened, and what it says where the platform tells less.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch};

/// A site whose server keeps the time zone that its target names.
fn site(manifest: &str) -> Site {
    let mut state = state();
    state["bk-cmdb"]["time_zone"] = json!("Asia/Shanghai");
    Site::with(&state, &[("a.yaml", manifest)])
}

#[test]
fn smoke() {
    let site = site(&switch("core", "bk_inst_name: sw-1", "operator: alice, ports: 48"));
    site.apply();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    site.write("a.yaml", &switch("core", "bk_inst_name: sw-1", "operator: alice, ports: 96"));
    println!("{}", site.run(&["drift"]));
    println!("{}", site.run(&["drift", "-o", "json"]));
    println!("{}", site.reads());
    site.configure("");
    panic!();
}
