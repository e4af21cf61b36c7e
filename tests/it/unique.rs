//! `ensure: present` and keys that are not unique.

use serde_json::{Value, json};

use crate::harness::{Site, state};

/// The state with rules for switches: the asset alone, the serial number with the remark.
fn ruled() -> Value {
    let mut state = state();
    let attributes = state["bk-cmdb"]["attributes"].as_array_mut().expect("a list");
    for (id, attribute) in (800..).zip(attributes) {
        attribute["id"] = json!(id);
    }
    let key = |id: i64| json!({"key_kind": "property", "key_id": id});
    state["bk-cmdb"]["uniques"] = json!([{"bk_obj_id": "bk_switch", "keys": [key(801)]},
        {"bk_obj_id": "bk_switch", "keys": [key(802), key(805)]}]);
    state
}

fn present(name: &str, matches: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec:\n  ensure: present\n  model: bk_switch\n  \
         match: {{{matches}}}\n  fields: {{bk_inst_name: {name}}}\n---\n"
    )
}

/// A site whose documents go through an access.
fn site(access: &str, manifests: &str) -> Site {
    let site = Site::with(&ruled(), &[("all.yaml", manifests)]);
    let auth = if access == "direct" {
        "{username: admin}"
    } else {
        "{appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}"
    };
    site.write(
        "reconcile.yaml",
        &format!(
            "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: {access}, endpoint: '{}', \
             auth: {auth}}}\n",
            site.url()
        ),
    );
    site
}

fn told(site: &Site) -> (Option<i32>, Vec<String>) {
    let output = site.run(&["plan", "-o", "json"]);
    let document = output.json();
    let told = document["diagnostics"].as_array().cloned().unwrap_or_default();
    let line = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{}:{} {} {} {}",
            row["at"]["line"],
            row["at"]["column"],
            text("severity"),
            text("code"),
            text("message")
        )
    };
    (output.code, told.iter().map(line).collect())
}

fn documents() -> String {
    [
        present("name", "bk_inst_name: name"),
        present("single", "bk_asset_id: A7"),
        present("composite", "bk_sn: s, remark: r"),
        present("more", "bk_asset_id: A8, ports: 3"),
        present("half", "bk_sn: s2"),
        present("other", "ports: 7"),
    ]
    .concat()
}

#[test]
fn where_the_rules_can_be_read_only_what_is_no_key_is_warned_of() {
    for access in ["gateway", "direct"] {
        let site = site(access, &documents());
        let (code, told) = told(&site);
        assert_eq!(code, Some(0), "{told:?}");
        assert_eq!(
            told,
            [
                "43:18 warning P153 `bk_sn` is no unique key of `bk_switch`: a second instance could get the same",
                "52:18 warning P153 `ports` is no unique key of `bk_switch`: a second instance could get the same",
            ]
        );
        assert_eq!(site.reads()["search_object_unique"], 1);
    }
}

#[test]
fn the_esb_cannot_tell_and_says_so() {
    let site = site("esb", &documents());
    let (code, told) = told(&site);
    assert_eq!(code, Some(0), "{told:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("warning P154 it cannot be known whether each of these is a unique key of `bk_switch`: `"),
        "{told:?}"
    );
    for text in ["`bk_asset_id`; ", "`bk_sn`", "`bk_sn` with `remark`", "`ports`", "(here and in 4 more documents)"] {
        assert!(told[0].contains(text), "{text}: {told:?}");
    }
    assert_eq!(site.reads().get("search_object_unique"), None);
    insta::assert_snapshot!(site.run(&["plan", "-q"]).stderr, @"");
    let stderr = site.run(&["plan"]).stderr;
    assert!(stderr.contains("warning[P154]") && stderr.contains("`bk_inst_name` always is one"), "{stderr}");
}

#[test]
fn nothing_is_asked_where_nobody_needs_to_know() {
    let existing = present("a", "bk_asset_id: A1").replace("ensure: present", "ensure: existing");
    let site = site("direct", &(present("name", "bk_inst_name: name") + &existing));
    assert_eq!(told(&site), (Some(0), Vec::new()));
    assert_eq!(site.reads().get("search_object_unique"), None);
}

#[test]
fn rules_that_cannot_be_read_are_no_error() {
    let site = site("direct", &present("x", "bk_asset_id: A7"));
    site.faults(&json!([{"operation": "search_object_unique", "fault": "code", "code": 1_199_045, "message": "no"}]));
    let (code, told) = told(&site);
    assert_eq!((code, told.len()), (Some(0), 1), "{told:?}");
    assert!(told[0].contains("warning P154"), "{told:?}");
}
