//! What a journal holds, and what it never does.

use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

#[test]
fn a_value_with_a_secret_is_a_keyed_digest_in_a_journal() {
    let from_file = Site::new(&state());
    from_file.write("app-secret.txt", "5ecret-of-the-app");
    check_secret(&from_file);
    let from_program = Site::new(&state());
    let config = from_program.path().join("reconcile.yaml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let changed = text.replace("{file: app-secret.txt}", "{command: [echo, 5ecret-of-the-app]}");
    assert_ne!(changed, text);
    from_program.write("reconcile.yaml", &changed);
    check_secret(&from_program);
}

fn check_secret(site: &Site) {
    let document = switch("core", "bk_asset_id: A1", "bk_inst_name: 'a 5ecret-of-the-app b', ports: 48");
    site.write("core.yaml", &document);
    let output = site.run(&["apply", "-y"]);
    let run = site.runs().pop().unwrap_or_else(|| panic!("a run: {output}"));
    let bytes = std::fs::read(site.run_file(&run, "journal")).expect("a journal");
    assert!(!String::from_utf8_lossy(&bytes).contains("5ecret-of-the-app"), "{output}");
    let journal = site.journal_of(&run);
    let intent = journal.iter().find(|record| record["type"] == "intent").expect("a call was sent");
    let field = |path: &str| {
        let fields = intent["objects"][0]["fields"].as_array().cloned().unwrap_or_default();
        fields.into_iter().find(|field| field["path"] == path).unwrap_or_default()
    };
    assert_eq!(field("ports")["to"], 48, "{intent}");
    assert!(field("bk_inst_name")["to"]["keyed_digest"].as_str().is_some_and(|digest| digest.len() == 64), "{intent}");
    assert!(intent["body"].as_str().is_some_and(|digest| digest.len() == 64), "{intent}");
}

#[test]
fn only_runs_that_the_configuration_keeps_stay() {
    let site = Site::new(&state());
    site.configure("state: {runs: 2}");
    for ports in [48, 24, 48, 24] {
        site.write("core.yaml", &switch("core", "bk_asset_id: A1", &format!("ports: {ports}")));
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "{output}");
    }
    let verdicts: Vec<Value> = site
        .runs()
        .iter()
        .map(|run| site.journal_of(run).pop().map(|last| last["verdict"].clone()).unwrap_or_default())
        .collect();
    assert_eq!(verdicts, [json!("converged"), json!("converged")]);
}
