//! Changes under a model's own unique rules: chains are made in order, swaps are refused, on every access.

use serde_json::{Value, json};

use crate::harness::{Output, Site, operations, state};

const ACCESSES: [&str; 3] = ["direct", "gateway", "esb"];

/// Eight switches whose serial number is unique, and so is the asset with the number of ports.
fn ruled() -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    for (id, attribute) in (800..).zip(cmdb["attributes"].as_array_mut().expect("a list")) {
        attribute["id"] = json!(id);
    }
    let key = |id: i64| json!({"key_kind": "property", "key_id": id});
    cmdb["uniques"] = json!([{"bk_obj_id": "bk_switch", "keys": [key(802)]},
        {"bk_obj_id": "bk_switch", "keys": [key(801), key(803)]}]);
    cmdb["instances"]["bk_switch"] = (1..=8)
        .map(|id| {
            json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_sn": format!("S{id}"),
            "bk_asset_id": "A", "ports": id})
        })
        .collect();
    state
}

fn document(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec: {{model: bk_switch, {spec}}}\n---\n"
    )
}

/// A site whose documents go through an access.
fn site(access: &str, manifests: &[String]) -> Site {
    let site = Site::with(&ruled(), &[("all.yaml", &manifests.concat())]);
    let auth = if access == "direct" {
        "{username: admin}"
    } else {
        "{appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}"
    };
    site.write(
        "reconcile.yaml",
        &format!(
            "apiVersion: reconcile/v1\nkind: Config\nsafety: {{maxChanges: 100%}}\ntargets:\n  cmdb: {{platform: bk-cmdb, \
             access: {access}, endpoint: '{}', auth: {auth}}}\n",
            site.url()
        ),
    );
    site
}

/// A column of the switches, by their ids.
fn column(site: &Site, field: &str) -> Vec<Value> {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["instances"]["bk_switch"].as_array().cloned().unwrap_or_default();
    rows.into_iter().map(|row| row[field].clone()).collect()
}

fn outcomes(output: &Output) -> Vec<String> {
    let outcomes = output.json()["outcomes"].as_array().cloned().unwrap_or_default();
    let line = |row: &Value| format!("{} {}", row["address"], row["outcome"]).replace('"', "");
    outcomes.iter().map(line).collect()
}

#[test]
fn chains_of_eight_converge_in_one_run_on_every_access() {
    let shift = |matches: fn(i64) -> String, fields: fn(i64) -> String| -> Vec<String> {
        // Names whose order is neither that of the chain nor the opposite one.
        let name = |id: i64| format!("k{}", id * 3 % 8);
        (1..=8).map(|id| document(&name(id), &format!("{}, fields: {}", matches(id), fields(id)))).collect()
    };
    let by_id = |id: i64| format!("id: {id}");
    let by_key = |id: i64| format!("match: {{bk_sn: S{id}}}");
    let by_keys = |id: i64| format!("match: {{bk_asset_id: A, ports: {id}}}");
    let serial = |id: i64| format!("{{bk_sn: S{}}}", id + 1);
    let ports = |id: i64| format!("{{ports: {}}}", id + 1);
    let serials: Vec<Value> = (2..=9).map(|id| json!(format!("S{id}"))).collect();
    let numbers: Vec<Value> = (2..=9).map(|id| json!(id)).collect();
    let cases = [
        ("bk_sn", shift(by_key, serial), &serials),
        ("bk_sn", shift(by_id, serial), &serials),
        ("ports", shift(by_keys, ports), &numbers),
        ("ports", shift(by_id, ports), &numbers),
    ];
    for access in ACCESSES {
        for (field, manifests, expected) in &cases {
            let site = site(access, manifests);
            let written = operations(&site.apply());
            let count = written["update_inst"].as_u64().unwrap_or_default();
            // Where the rules can be read the order is known before anything is sent.
            assert!(if access == "esb" { (8..=15).contains(&count) } else { count == 8 }, "{access} {field}: {count}");
            assert_eq!(column(&site, field), **expected, "{access} {field}");
            site.assert_converged();
        }
    }
}

#[test]
fn a_swap_is_refused_at_plan_time_or_once() {
    let swap = [document("a", "id: 1, fields: {bk_sn: S2}"), document("b", "id: 2, fields: {bk_sn: S1}")];
    for access in ACCESSES {
        let site = site(access, &swap);
        let output = site.run(&["apply", "-y", "-o", "json"]);
        if access == "esb" {
            assert_eq!(outcomes(&output), ["Instance/a refused", "Instance/b skipped"], "{output}");
            let told = output.all();
            assert!(told.contains("Instance/a → Instance/b → Instance/a; a swap takes two applies"), "{told}");
            assert_eq!(operations(&site.writes()), json!({"update_inst": 2}));
        } else {
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains("P132") || output.stdout.contains("P132"), "{output}");
            assert_eq!(operations(&site.writes()), json!({}));
        }
        assert_eq!(column(&site, "bk_sn")[..2], [json!("S1"), json!("S2")]);
    }
}

#[test]
fn a_key_that_another_instance_keeps_is_refused_with_its_holder() {
    let taken = document("a", "id: 1, fields: {ports: 2}");
    for (manifests, whose) in [
        (vec![taken.clone()], ""),
        (vec![taken, document("b", "id: 2, fields: {bk_sn: S2}")], ", which Instance/b keeps"),
    ] {
        for access in ["direct", "gateway"] {
            let site = site(access, &manifests);
            let output = site.run(&["plan"]);
            let expected = format!(
                "error[P130]: Instance/a cannot be as declared: bk_switch #2 has the bk_asset_id `A` with ports `2` in \
                 bk_switch{whose}\n"
            );
            assert!(output.stderr.contains(&expected), "{output}");
        }
        let site = site("esb", &manifests);
        let output = site.run(&["apply", "-y", "-o", "json"]);
        assert_eq!(outcomes(&output), ["Instance/a refused"], "{output}");
        assert_eq!(operations(&site.writes()), json!({"update_inst": 1}));
    }
}

#[test]
fn two_documents_that_want_one_key_are_told() {
    let new = |name: &str| {
        let spec = format!("ensure: present, match: {{bk_inst_name: {name}}}, fields: {{bk_sn: S9, ports: 9}}");
        document(name, &spec)
    };
    let output = site("direct", &[new("x"), new("y")]).run(&["plan"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output.stderr.contains("Instance/x and Instance/y are both to have the bk_sn `S9` in bk_switch"),
        "{output}"
    );
}

#[test]
fn a_key_of_an_instance_that_goes_is_free() {
    for access in ACCESSES {
        let gone = document("z", "ensure: absent, id: 1");
        let new = document("a", "ensure: present, match: {bk_inst_name: new}, fields: {bk_sn: S1, ports: 77}");
        let site = site(access, &[gone, new, document("m", "id: 2, fields: {ports: 1}")]);
        site.apply();
        assert_eq!(column(&site, "bk_sn"), ["S2", "S3", "S4", "S5", "S6", "S7", "S8", "S1"], "{access}");
        assert_eq!(column(&site, "ports")[0], 1, "{access}");
        site.assert_converged();
    }
}

#[test]
fn a_link_that_breaks_keeps_what_waits_for_it() {
    for access in ACCESSES {
        let chain = [
            document("a", "id: 1, fields: {bk_sn: S2}"),
            document("b", "id: 2, fields: {bk_sn: S3}"),
            document("c", "id: 3, fields: {bk_sn: S9, operator: '!'}"),
        ];
        let site = site(access, &chain);
        let output = site.run(&["apply", "-y"]);
        assert_ne!(output.code, Some(0), "{output}");
        assert_eq!(column(&site, "bk_sn")[..3], ["S1", "S2", "S3"].map(Value::from), "{access}: {output}");
    }
}

/// A field that cannot be a key costs no read, and neither does one that stays as it is.
#[test]
fn rules_are_read_where_a_key_may_change() {
    let check = |fields: &str, expected: Option<u64>| {
        let site = site("direct", &[document("a", &format!("id: 1, fields: {fields}"))]);
        site.run(&["plan"]);
        assert_eq!(site.reads()["search_object_unique"].as_u64(), expected, "{fields}");
    };
    check("{bk_sn: S1, ports: 1}", None);
    check("{operator: zoe}", None);
    check("{bk_inst_name: other}", None);
    check("{ports: 48}", Some(1));
}
