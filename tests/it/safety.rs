//! Limits on what one run may change.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch};

/// A switch that stands in one rack and is to stand in another one only.
const EXACT: &str = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: link}
spec:
  association: switch_rack
  source: {model: bk_switch, id: 1}
  mode: exact
  targets: [{model: bk_rack, id: 22}]
";

/// A site in which the exact list of [`EXACT`] takes a row away.
fn site() -> Site {
    let site = Site::with(&state(), &[("link.yaml", EXACT)]);
    site.edit(
        "add_instance_association",
        &json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 21}),
    );
    site
}

#[test]
fn a_delete_that_no_document_spells_out_needs_a_word() {
    let site = site();
    let refused = site.run(&["apply", "-y"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert_eq!(operations(&site.writes()), json!({}));
    assert_eq!(site.run(&["plan"]).code, Some(3));
    let document = site.run(&["plan", "-o", "json"]).json();
    assert_eq!(document["limits"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(
        site.run(&["plan", "--ack", document["acknowledgement"].as_str().unwrap_or_default()]).code,
        Some(0),
        "{document}"
    );
    assert_eq!(site.run(&["apply", "-y", "--max-deletes", "1"]).code, Some(0));
    assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1, "delete_instance_association": 1}));
    site.assert_converged();
}

#[test]
fn an_acknowledgement_passes_its_own_plan_alone() {
    let site = site();
    let refused = site.run(&["plan"]);
    let acknowledgement = refused.stderr.split('\'').nth(1).expect("the text to give").to_owned();
    assert_eq!(site.run(&["apply", "-y", "--ack", "1 changes, 1 deletes@000000000000000000000000"]).code, Some(3));
    site.write("more.yaml", &switch("more", "bk_inst_name: sw-2", "bk_inst_name: other"));
    assert_eq!(site.run(&["apply", "-y", "--ack", &acknowledgement]).code, Some(3));
    assert_eq!(operations(&site.writes()), json!({}));
    site.write("more.yaml", "");
    assert_eq!(site.run(&["apply", "-y", "--ack", &acknowledgement]).code, Some(0));
}

#[test]
fn shares_count_from_ten_objects_on() {
    let check = |count: i64, limit: &str, expected: i32| {
        let mut state = state();
        let rows: Vec<_> =
            (1..=count).map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}")})).collect();
        state["bk-cmdb"]["instances"]["bk_switch"] = json!(rows);
        let manifests: Vec<String> =
            (1..=count).map(|id| switch(&format!("s{id}"), &format!("bk_inst_name: sw-{id}"), "ports: 24")).collect();
        let site = Site::with(&state, &[("all.yaml", &manifests.concat())]);
        let output = site.run(&["plan", "--max-changes", limit]);
        assert_eq!(output.code, Some(expected), "{count} objects, {limit}: {output}");
    };
    check(9, "30%", 0);
    check(10, "30%", 3);
    check(10, "100%", 0);
    check(3, "2", 3);
    check(3, "3", 0);
}

/// A site with so many switches, of each of which a document wants other ports, and no word on limits.
fn many(count: i64) -> Site {
    let mut state = state();
    let rows: Vec<_> =
        (1..=count).map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "ports": 48})).collect();
    state["bk-cmdb"]["instances"]["bk_switch"] = json!(rows);
    let site = Site::new(&state);
    site.configure("safety: {}\nwatch: {resync: 1s}\n");
    site.write("all.yaml", &ports(count, count));
    site
}

/// Documents of so many switches, of which so many want other ports.
fn ports(count: i64, others: i64) -> String {
    let ports = |id: i64| if id <= others { 24 } else { 48 };
    (1..=count)
        .map(|id| switch(&format!("s{id}"), &format!("bk_inst_name: sw-{id}"), &format!("ports: {}", ports(id))))
        .collect()
}

#[test]
fn three_in_ten_may_change_where_nothing_else_is_said() {
    let site = many(9);
    assert_eq!(site.run(&["apply", "-y"]).code, Some(0));
    let site = many(12);
    let refused = site.run(&["apply", "-y"]);
    assert_eq!((refused.code, operations(&site.writes())), (Some(3), json!({})));
    let acknowledgement = refused.stderr.split('\'').nth(1).expect("the text to give").to_owned();
    assert_eq!(
        refused.stderr,
        format!(
            "error: changes on cmdb: 12 of 12 Instance, over the limit of 30%\nnothing is sent; `--ack \
             '{acknowledgement}'` lets this plan pass, and no other\n`--max-changes 100%` raises the limits for one run\n"
        )
    );
    site.write("all.yaml", &ports(12, 3));
    assert_eq!(site.run(&["plan"]).code, Some(0));
    site.write("all.yaml", &ports(12, 4));
    assert_eq!(site.run(&["plan"]).code, Some(3));
    assert_eq!(site.run(&["plan", "--max-changes", "100%"]).code, Some(0));
    // Without a configuration too.
    std::fs::remove_file(site.path().join("reconcile.yaml")).expect("it was there");
    site.write("state.json", &site.sandbox().state().to_string());
    site.write("reconcile.yaml", "apiVersion: reconcile/v1\nkind: Config\nsandbox: {state: [state.json]}\ntargets: {cmdb: {platform: bk-cmdb, access: direct, endpoint: http://x, auth: {username: a}}}\n");
    assert_eq!(site.run(&["apply", "-y", "--sandbox"]).code, Some(3));
    assert_eq!(site.run(&["apply", "-y", "--sandbox", "--max-changes", "4"]).code, Some(0));
}

#[test]
fn creates_have_no_share() {
    let site = many(12);
    let new: String = (1..=40)
        .map(|id| {
            switch(&format!("n{id}"), &format!("bk_inst_name: new-{id}"), "ports: 1")
                .replace("spec:\n", "spec:\n  ensure: present\n")
        })
        .collect();
    site.write("all.yaml", &(ports(12, 0) + &new));
    assert_eq!(site.run(&["plan"]).code, Some(0));
    assert_eq!(site.run(&["plan", "--max-changes", "39"]).code, Some(3));
}

#[test]
fn manifests_that_are_not_all_there_remove_nothing() {
    let scopes = "prune:\n  - {kind: Instance, model: bk_switch}\n  - {kind: InstanceAssociation, association: switch_rack}\n  - \
         {kind: App}\nsafety: {maxChanges: 100%, maxDeletes: 100%}\n";
    let good = &(EXACT.to_owned() + "---\n" + &switch("one", "bk_inst_name: sw-1", "ports: 24"));
    let check = |what: &str, flags: &[&str], spoil: &dyn Fn(&Site), codes: &[i32]| {
        let site = site();
        site.configure(scopes);
        site.write("manifests/link.yaml", good);
        std::fs::remove_file(site.path().join("link.yaml")).expect("it was there");
        site.sandbox().clear_calls();
        spoil(&site);
        for command in [&["plan"][..], &["apply", "-y"]] {
            let output = site.run(&[command, &["manifests"], flags].concat());
            assert!(output.code.is_some_and(|code| codes.contains(&code)), "{what}: {output}");
        }
        let mut writes = site.writes();
        // A declared object may be created where something else is missing.
        writes.retain(|call| !codes.contains(&0) || call.operation != "add_instance_association");
        assert_eq!(operations(&writes), json!({}), "{what}");
    };
    let gone = |site: &Site| std::fs::remove_file(site.path().join("manifests/link.yaml")).expect("it was there");
    for flags in [&[][..], &["--prune"]] {
        check("an empty directory", flags, &|site| gone(site), &[1]);
        check(
            "no directory",
            flags,
            &|site| std::fs::rename(site.path().join("manifests"), site.path().join("x")).expect("it moves"),
            &[1],
        );
        check("empty files", flags, &|site| site.write("manifests/link.yaml", "# nothing\n"), &[1]);
        let broken = |text: &'static str| {
            move |site: &Site| {
                site.write("manifests/link.yaml", &good.replace("kind: InstanceAssociation", text));
            }
        };
        check("a broken document", flags, &broken("kind: InstanceAsociation"), &[1]);
        check("broken YAML", flags, &broken("kind: [InstanceAssociation"), &[1]);
        let half = |site: &Site| site.write("manifests/link.yaml", &good[..good.len() / 3]);
        check("half a file", flags, &half, &[1]);
        let more = |name: &'static str, text: &'static [u8]| {
            move |site: &Site| {
                std::fs::write(site.path().join("manifests").join(name), text).expect("it is written");
            }
        };
        check("a file that is no text", flags, &more("more.yaml", b"\xff\xfe\x00"), &[1]);
        let dangling = |site: &Site| {
            std::os::unix::fs::symlink("nowhere.yaml", site.path().join("manifests/more.yaml")).expect("a link");
        };
        check("a file that vanished", flags, &dangling, &[0, 1, 5]);
        let locked = |site: &Site| {
            use std::os::unix::fs::PermissionsExt;
            site.write("manifests/more.yaml", &switch("two", "bk_inst_name: sw-2", "ports: 24"));
            let file = site.path().join("manifests/more.yaml");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o0)).expect("it is ours");
            if std::fs::read(&file).is_ok() {
                // Root can read every file, so this file is one that nobody can read.
                more("more.yaml", b"\xff")(site);
            }
        };
        check("a file that may not be read", flags, &locked, &[1]);
    }
    // All is there again: two switches and a row go that no document means. Nothing is declared on the other target.
    let site = site();
    site.configure(scopes);
    site.write("link.yaml", good);
    let output = site.run(&["plan", "--prune", "-o", "json"]);
    assert_eq!(output.json()["summary"]["delete"], 3, "{output}");
    assert!(output.stderr.contains("P155") && output.stderr.contains("on roma: nothing is pruned"), "{output}");
}

#[test]
fn what_is_protected_is_not_pruned() {
    let site = Site::new(&state());
    site.configure("prune: [{kind: Instance, model: bk_switch}]\nsafety: {maxChanges: 100%, maxDeletes: 100%}\n");
    let kept = switch("kept", "bk_inst_name: sw-1", "").replace("spec:\n", "spec:\n  protect: true\n");
    let absent = kept.replace("sw-1", "sw-2").replace("name: kept", "name: absent");
    let absent = absent.replace("  fields: {}\n", "  ensure: absent\n");
    site.write("all.yaml", &(kept + &absent));
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(5), "one went, one was not let go: {output}");
    assert!(output.stderr.contains("Instance/absent is protected: it is not removed"), "{output}");
    assert_eq!(operations(&site.writes()), json!({"delete_inst": 1}));
    let names = site.sandbox().state();
    let names: Vec<_> = names["bk-cmdb"]["instances"]["bk_switch"].as_array().into_iter().flatten().collect();
    assert_eq!(names.iter().map(|row| &row["bk_inst_name"]).collect::<Vec<_>>(), ["sw-1", "sw-2"]);
}

#[test]
fn deletes_that_no_document_spells_out_are_marked() {
    let site = site();
    let output = site.run(&["plan", "--max-deletes", "1"]);
    assert!(
        output
            .stdout
            .contains("- InstanceAssociation link → bk_rack #21  (cmdb, association #1)  (no document declares it)"),
        "{output}"
    );
    let plan = site.run(&["plan", "--max-deletes", "1", "-o", "json"]).json();
    let marks = plan["changes"].as_array().into_iter().flatten().map(|row| json!([row["action"], row["implicit"]]));
    assert_eq!(marks.collect::<Value>(), json!([["delete", true], ["create", false]]), "{plan}");
}
