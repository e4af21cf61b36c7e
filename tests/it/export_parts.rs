//! The modules of hosts and the members of apps, declared where the command asks for them.

use serde_json::json;

use crate::{
    harness::{Site, state},
    hosts::with_hosts,
};

fn site() -> Site {
    let mut state = with_hosts(state());
    let cmdb = &mut state["bk-cmdb"];
    // The same names twice: only ids tell these modules apart.
    for set in [12, 13] {
        let row = json!({"bk_set_id": set, "bk_set_name": "twin", "bk_biz_id": 3, "bk_parent_id": set});
        cmdb["sets"].as_array_mut().expect("a list").push(row);
        let row = json!({"bk_module_id": set * 10, "bk_module_name": "web", "bk_set_id": set, "bk_biz_id": 3,
            "service_template_id": 0});
        cmdb["modules"].as_array_mut().expect("a list").push(row);
    }
    let relation = json!({"bk_host_id": 71, "bk_module_id": 130, "bk_set_id": 13, "bk_biz_id": 3});
    cmdb["host_relations"].as_array_mut().expect("a list").push(relation);
    let roma = &mut state["roma-connect"];
    roma["apps"][0]["users"] = json!([{"id": "u1", "name": "one", "roles": ["read", "modify"]},
        {"id": "010", "name": "two", "roles": ["admin"]}]);
    Site::new(&state)
}

#[test]
fn they_are_declared_as_they_are() {
    let site = site();
    let output =
        site.run(&["export", "--kind", "Host,App", "--with", "modules,members", "--layout", "one", "--out", "live"]);
    assert_eq!(output.code, Some(0), "{output}");
    let text = std::fs::read_to_string(site.path().join("live/export.yaml")).expect("a file");
    let found: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with("modules: ")).collect();
    assert_eq!(
        found,
        [
            "modules: [public/web, 130]",
            "modules: [public/web]",
            "modules: [public/web, public/nginx]",
            "modules: [idle]",
            "modules: [idle]"
        ]
    );
    for expected in ["- {id: u1, roles: [modify, read]}", "- {id: \"010\", roles: [admin]}", "members: []"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let plan = site.run(&["plan", "live", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    // They are held from now on.
    site.edit("transfer_host_to_idlemodule", &json!({"bk_biz_id": 3, "bk_host_id": [72]}));
    let plan = site.run(&["plan", "live", "--detailed-exitcode"]);
    assert!(plan.stdout.contains("[idle] → [public/web]"), "{plan}");
    assert!(site.writes().is_empty());
}

#[test]
fn they_are_left_to_people_otherwise() {
    let site = site();
    let output = site.run(&["export", "--kind", "Host,App"]);
    assert!(!output.stdout.contains("modules:") && !output.stdout.contains("members:"), "{output}");
    let output = site.run(&["export", "--kind", "App", "--with", "modules"]);
    assert_eq!(output.code, Some(64), "{output}");
    assert!(output.stderr.contains("--with modules says nothing about App"), "{output}");
    site.faults(
        &json!([{"operation": "find_host_topo_relation", "fault": "code", "code": 9_900_403, "message": "no"}]),
    );
    let output = site.run(&["export", "--kind", "Host", "--with", "modules", "--out", "live"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(
        !site.path().join("live").exists() || std::fs::read_dir(site.path().join("live")).expect("read").count() == 0
    );
}
