//! Another program that sets the same field back each time: after a few times it is left alone, and nothing else is.

use serde_json::json;

use crate::{
    harness::{Site, operations, state, switch, wait_until},
    watch::Watch,
};

fn sets(site: &Site, field: &str, value: u32) {
    let mut body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1});
    body[field] = json!(value);
    site.edit("update_inst", &body);
}

/// Returns how many writes set the ports.
fn of_ports(site: &Site) -> usize {
    site.writes().iter().filter(|call| call.body.get("ports").is_some()).count()
}

#[test]
fn a_tug_of_war_is_given_up_for_one_field_alone() {
    let text = switch("core", "bk_asset_id: A1", "ports: 24, operator: bob");
    let site = Site::with(&state(), &[("manifests/core.yaml", &text)]);
    site.configure("watch: {resync: 300ms, ceasefire: {after: 3, within: 1h, quiet: 4s}}\n");
    let watch = Watch::start(&site, &["manifests"]);
    watch.settle();
    site.sandbox().clear_calls();
    for round in 1..=3 {
        sets(&site, "ports", 7);
        wait_until("it is taken back", || of_ports(&site) == round);
        watch.settle();
    }
    let said = watch.lines("zoe changed ports again each time it was set, 3 times");
    assert_eq!(said.len(), 1, "{:?}", watch.lines("ports"));
    // The opponent goes on, and nobody answers.
    for value in [8, 9] {
        sets(&site, "ports", value);
        wait_until("it is reported", || !watch.lines(&format!("would update: ports: {value} → 24")).is_empty());
    }
    assert_eq!(of_ports(&site), 3);
    // The other field is as it was declared.
    let edit = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "zoe"});
    site.edit("update_inst", &edit);
    wait_until("the other field is taken back", || {
        site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["operator"] == json!("bob")
    });
    assert_eq!(of_ports(&site), 3);
    // It has come to rest, and is set once more. The opponent does not give way.
    wait_until("it is set once more", || of_ports(&site) == 4);
    // What comes before it is read back would be no setback.
    wait_until("it is read back", || watch.lines("update applied: ports: ").len() == 4);
    assert_eq!(operations(&site.writes()), json!({"update_inst": 5}));
    sets(&site, "ports", 7);
    wait_until("it is reported again", || !watch.lines("would update: ports: 7 → 24").is_empty());
    assert_eq!((of_ports(&site), watch.lines("each time it was set").len()), (4, 1));
    // In the end it does.
    wait_until("it is set once more", || of_ports(&site) == 5);
    wait_until("it is read back", || watch.lines("update applied: ports: ").len() == 5);
    wait_until("peace", || !watch.lines("has stayed as declared, and is enforced as before").is_empty());
    sets(&site, "ports", 7);
    wait_until("it is enforced as before", || of_ports(&site) == 6);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn an_object_that_is_removed_each_time_is_given_up_too() {
    let text = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: new}\nspec:\n  ensure: present\n  model: bk_switch\n  \
                match: {bk_inst_name: new}\n  fields: {ports: 8}\n";
    let site = Site::with(&state(), &[("manifests/new.yaml", text)]);
    site.configure("watch: {resync: 300ms, ceasefire: {after: 2, within: 1h, quiet: 4s}}\n");
    let watch = Watch::start(&site, &["manifests"]);
    let made = || operations(&site.writes())["create_inst"].as_u64().unwrap_or_default();
    let remove = || {
        let id = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "new")["bk_inst_id"].clone();
        site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id}));
    };
    for round in 1..=3 {
        wait_until("it is made", || made() == round);
        wait_until("it is read back", || watch.lines("create applied").len() as u64 == round);
        watch.settle();
        remove();
    }
    let said = watch.lines("removed it again each time it was made, 2 times");
    assert_eq!(said.len(), 1, "{:?}", watch.lines("create"));
    wait_until("it is reported", || !watch.lines("would create").is_empty());
    assert_eq!(made(), 3);
    // Once nobody cares any more it is made again.
    wait_until("it is made once more", || made() == 4);
    wait_until("peace", || !watch.lines("has stayed as declared, and is enforced as before").is_empty());
    assert_eq!(watch.end(), Some(0));
}
