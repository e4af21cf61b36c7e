//! A save is answered by a look at what it changed, and at everything where that leaves a doubt.

use serde_json::json;

use crate::{
    harness::{Site, bodies, state, switch, wait_until},
    watch::Watch,
};

/// How many switches there are.
const COUNT: usize = 40;

fn name(number: usize) -> String {
    format!("sw{number:02}")
}

/// A site with [`COUNT`] switches, each declared in a file of its own as it is.
fn site() -> Site {
    let mut state = state();
    state["bk-cmdb"]["instances"]["bk_switch"] = (0..COUNT)
        .map(|number| {
            json!({"bk_inst_id": number + 1, "bk_inst_name": name(number), "bk_asset_id": format!("A{number}"),
                "bk_sn": format!("S{number}"), "ports": 24})
        })
        .collect();
    let site = Site::with(&state, &[]);
    for number in 0..COUNT {
        declare(&site, number, "ports: 24");
    }
    site
}

fn declare(site: &Site, number: usize, fields: &str) {
    let matches = format!("bk_inst_name: {}", name(number));
    site.write(&format!("manifests/{number}.yaml"), &switch(&name(number), &matches, fields));
}

/// Waits for writes and for the end of the pass that made them.
fn wait_for_writes(site: &Site, watch: &Watch, count: usize) {
    wait_until("the writes are there", || site.writes().len() >= count);
    wait_until("the pass has ended", || !watch.lines("pass ended trigger=\"change\"").is_empty());
}

#[test]
fn only_what_a_save_changed_is_read() {
    let site = site();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    site.sandbox().clear_calls();
    declare(&site, 7, "ports: 48");
    wait_for_writes(&site, &watch, 1);
    let calls = site.sandbox().calls();
    let named: Vec<String> =
        calls.iter().map(|call| call.body.to_string()).filter(|body| body.contains("sw")).collect();
    assert!(!named.is_empty());
    for body in named {
        assert!((0..COUNT).all(|number| number == 7 || !body.contains(&name(number))), "{body}");
    }
    assert_eq!(bodies(&site.writes()), json!([{"bk_obj_id": "bk_switch", "bk_inst_id": 8, "ports": 48}]));
    // The others count as they were found before.
    assert_eq!(watch.metric("reconcile_objects"), COUNT as u64);
    assert_eq!(watch.lines("whole=false").len(), 1, "{:?}", watch.lines("pass ended"));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn an_object_that_two_documents_mean_stays_as_it_is() {
    let site = site();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    site.sandbox().clear_calls();
    // The document of another switch comes to mean the third, which its own document does not change.
    site.write("manifests/1.yaml", &switch("sw01", "bk_asset_id: A3", "ports: 96"));
    let told = "means the same live object as another document";
    wait_until("it is said", || !watch.lines(told).is_empty());
    assert_eq!(site.writes().len(), 0);
    assert_eq!(watch.lines("whole=false").len(), 0, "{:?}", watch.lines("pass ended"));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn what_refers_to_a_changed_object_is_looked_at_too() {
    let site = site();
    let row = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: stands}\nspec:\n  association: \
               switch_rack\n  source: {ref: sw05}\n  targets:\n    - {model: bk_rack, match: {bk_inst_name: rack-1}}\n";
    site.write("manifests/row.yaml", row);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let rows = site.writes();
    assert_eq!(rows.len(), 1, "{rows:?}");
    site.sandbox().clear_calls();
    site.write("manifests/5.yaml", &switch("sw05", "bk_inst_name: sw05", "ports: 12"));
    wait_for_writes(&site, &watch, 1);
    let calls = site.sandbox().calls();
    assert!(calls.iter().any(|call| call.operation.contains("association")), "the row was looked at");
    assert_eq!(watch.end(), Some(0));
}

/// How many files are written at once.
const BURST: usize = 20_000;

#[test]
fn twenty_thousand_files_at_once_are_few_passes() {
    let site = Site::with(&state(), &[]);
    declare(&site, 0, "ports: 24");
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    site.sandbox().clear_calls();
    // All of them are more than the queue of the system's events holds. All but one declare nothing.
    for number in 1..BURST {
        site.write(&format!("manifests/burst/{}/{number}.yaml", number % 100), "# nothing yet\n");
    }
    let matches = "bk_asset_id: A1";
    site.write("manifests/burst/99/last.yaml", &switch("last", matches, "ports: 48"));
    wait_until("the last file is answered", || site.writes().len() == 1);
    assert_eq!(bodies(&site.writes()), json!([{"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 48}]));
    let passes = watch.lines("pass ended").len();
    assert!(passes < 60, "{passes} passes for {BURST} files");
    assert_eq!(watch.end(), Some(0));
}
