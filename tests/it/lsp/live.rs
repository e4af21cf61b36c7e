//! The language server with a snapshot: what is live, what may be written, and what a value becomes.

use serde_json::{Value, json};

use super::editor::Editor;
use crate::harness::{Output, Site, state, switch};

/// A site with a field of each sort that editors help with.
fn site() -> Site {
    let mut state = state();
    let options =
        json!([{"id": "1", "name": "In use", "type": "text"}, {"id": "2", "name": "Spare parts", "type": "text"}]);
    let status = json!({"bk_obj_id": "bk_switch", "bk_property_id": "status", "bk_property_name": "状态",
        "bk_property_type": "enum", "editable": true, "isrequired": false, "option": options});
    state["bk-cmdb"]["attributes"].as_array_mut().expect("a list").push(status);
    state["bk-cmdb"]["instances"]["bk_switch"][0]["status"] = json!("2");
    let core = switch("core", "bk_asset_id: A1", "ports: 48, status: In use");
    let other = switch("other", "bk_asset_id: A2", "ports: 24, remark: ''");
    let site = Site::with(&state, &[("a.yaml", &(core + &other))]);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "remark": "x"}));
    ok(&site.run(&["snapshot", "--authors", "--out", "live.json"]));
    site.sandbox().clear_calls();
    // Nobody can look a secret up.
    std::fs::remove_file(site.path().join("app-secret.txt")).expect("it was there");
    site
}

fn ok(output: &Output) {
    assert_eq!(output.code, Some(0), "{output}");
}

fn hover(editor: &mut Editor<'_>, file: &str, marked: &str) -> String {
    let answer = editor.at("textDocument/hover", file, marked, &[]);
    answer["result"]["contents"]["value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_live_is_what_explain_says() {
    let site = site();
    let mut editor = Editor::start(&site, &["--against", "live.json"]);
    let text = editor.open("a.yaml");
    let mut changed = Vec::new();
    for (line, place) in text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, line.find("ports: ")?))) {
        let value = place + "ports: ".len() + 1;
        let explained = site.run(&["explain", &format!("a.yaml:{line}:{value}"), ".", "--against", "live.json"]);
        ok(&explained);
        let start: usize = text.lines().take(line - 1).map(|line| line.len() + 1).sum::<usize>() + value - 1;
        let marked = format!("{}|{}", &text[..start], &text[start..]);
        let shown = hover(&mut editor, "a.yaml", &marked);
        assert!(shown.contains(&format!("```text\n{}```", explained.stdout)), "{shown}\n\n{explained}");
        changed.extend(shown.lines().filter(|line| line.contains("last foreign change")).map(str::to_owned));
        assert!(shown.contains("from live.json, taken "), "{shown}");
    }
    // As `blame` tells it, of what the snapshot keeps.
    assert!(changed[0].contains("`ports` of Instance/core: last foreign change zoe, "), "{changed:?}");
    assert!(changed[0].ends_with(" (the object); last own change unknown"), "{changed:?}");
    assert!(changed[1].contains("last foreign change unknown; last own change this account, "), "{changed:?}");
    // What was typed since moves the places; what was typed over is not compared with anything.
    let later = format!("# A comment.\n{}", text.replacen("ports: 48", "ports: 4|8", 1));
    assert!(hover(&mut editor, "a.yaml", &later).contains("live 24 → 48"), "{later}");
    let other = text.replacen("ports: 48", "ports: 4|7", 1);
    assert!(!hover(&mut editor, "a.yaml", &other).contains("live"), "{other}");
    editor.end();
}

#[test]
fn models_fields_options_and_names_are_completed_from_a_snapshot() {
    let site = site();
    let options = json!({"initializationOptions": {"against": "live.json"}});
    let mut editor = Editor::open_with(&site, &[], &options);
    let text = editor.open("a.yaml");
    // The answer comes once the snapshot was read.
    hover(&mut editor, "a.yaml", &text.replacen("ports", "po|rts", 1));
    let instance = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: new}\nspec:\n  model: bk_switch\n";
    let mut check = |marked: &str, expected: &[&str], not: &[&str]| {
        let labels = editor.labels("a.yaml", marked);
        let has = |word: &&&str| labels.iter().any(|label| label == **word);
        let missing: Vec<_> = expected.iter().filter(|word| !has(word)).collect();
        assert!(missing.is_empty(), "{marked}\n{missing:?} of {labels:?}");
        let more: Vec<_> = not.iter().filter(has).collect();
        assert!(more.is_empty(), "{marked}\n{more:?}");
    };
    check("apiVersion: bk-cmdb/v1\nkind: Instance\nspec:\n  model: |", &["bk_switch"], &["set", "module"]);
    check(&format!("{instance}  fields:\n    |"), &["ports", "status", "状态", "operator"], &["units"]);
    check(&format!("{instance}  match: {{|"), &["bk_asset_id", "bk_inst_name"], &[]);
    check(&format!("{instance}  match: {{bk_inst_name: |"), &["sw-1", "sw-3"], &["rack-1"]);
    check(&format!("{instance}  fields: {{status: |"), &["1", "In use", "2", "Spare parts"], &["sw-1"]);
    check(&format!("{instance}  fields: {{status: In use}}\n  fieldPolicy: {{|"), &["status"], &[]);
    let answer = editor.at("textDocument/completion", "a.yaml", &format!("{instance}  fields:\n    状|"), &[]);
    let items = answer["result"].as_array().cloned().unwrap_or_default();
    let status = items.iter().find(|item| item["label"] == "状态").expect("it is offered");
    assert_eq!(status["textEdit"]["newText"], "status: ");
    let described = hover(&mut editor, "a.yaml", &format!("{instance}  fields:\n    sta|tus: 1\n"));
    assert!(described.contains("**status** 状态") && described.contains("- `2` Spare parts"), "{described}");
    editor.end();
}

#[test]
fn values_that_drifted_are_marked_and_adopted() {
    let site = site();
    let mut editor = Editor::start(&site, &["--against", "live.json"]);
    let text = editor.open("a.yaml");
    let uri = editor.uri("a.yaml");
    let lines = json!({"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}});
    let hints = |editor: &mut Editor<'_>| -> Vec<String> {
        let parameters = json!({"textDocument": {"uri": editor.uri("a.yaml")}, "range": lines});
        let hints = editor.ask("textDocument/inlayHint", &parameters);
        let shown = |hint: &Value| format!("{} {}", hint["position"], hint["label"].as_str().unwrap_or_default());
        hints.as_array().expect("a list").iter().map(shown).collect()
    };
    let shown = hints(&mut editor);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].contains("live: 24") && shown[1].contains("live: Spare parts"), "{shown:?}");
    // Both places lie on one line.
    let line = text.lines().position(|line| line.contains("ports: 48")).expect("it is there");
    let range = json!({"start": {"line": line, "character": 0}, "end": {"line": line, "character": 60}});
    let parameters = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    let actions = editor.ask("textDocument/codeAction", &parameters);
    let adopted: Vec<&Value> = actions
        .as_array()
        .expect("a list")
        .iter()
        .filter(|action| action["title"].as_str().is_some_and(|title| title.starts_with("Adopt")))
        .collect();
    assert_eq!(adopted.len(), 2, "{actions}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the right, so that the places to the left stay.
    for action in adopted.iter().rev() {
        let edit = &action["edit"]["changes"][&uri][0];
        let column =
            |key: &str| usize::try_from(edit["range"][key]["character"].as_u64().expect("a number")).expect("small");
        assert_eq!(edit["range"]["start"]["line"], line, "{edit}");
        let new = edit["newText"].as_str().expect("a text");
        lines[line].replace_range(column("start")..column("end"), new);
    }
    let new = lines.join("\n") + "\n";
    assert!(new.contains("ports: 24, status: Spare parts"), "{new}");
    assert_eq!(std::fs::read_to_string(site.path().join("a.yaml")).expect("it is there"), text, "nothing is written");
    editor.change("a.yaml", &new);
    editor.save("a.yaml", &new);
    assert_eq!(hints(&mut editor), Vec::<String>::new());
    editor.end();
    let plan = site.run(&["plan", "a.yaml", "--against", "live.json", "-o", "json"]).json();
    assert_eq!(plan["changes"], json!([]), "{plan}");
}

#[test]
fn definitions_in_a_snapshot_tell_mistakes_when_a_file_is_saved() {
    let site = site();
    let mut editor = Editor::start(&site, &["--against", "live.json"]);
    let text = editor.open("a.yaml");
    let wrong = text.replacen("ports: 48", "prots: 48", 1);
    editor.change("a.yaml", &wrong);
    // Typing compares with nothing that is live.
    let described = hover(&mut editor, "a.yaml", &wrong.replacen("kind: In", "kind: I|n", 1));
    assert!(!described.contains("prots"), "{described}");
    editor.save("a.yaml", &wrong);
    let diagnostics = editor.diagnostics("a.yaml");
    let validated = site.run(&["validate", ".", "--against", "live.json", "-o", "json"]).json();
    let told = |rows: &Value| -> Vec<(Value, u64)> {
        let line = |row: &Value| {
            let start = row["range"]["start"]["line"].as_u64().map(|line| line + 1);
            start.or(row["at"]["line"].as_u64()).unwrap_or_default()
        };
        rows.as_array().expect("a list").iter().map(|row| (row["code"].clone(), line(row))).collect()
    };
    assert_eq!(told(&json!(diagnostics)), told(&validated["diagnostics"]), "{validated}");
    assert!(!diagnostics.is_empty());
    // They move with what is typed above them, and go where they are mended.
    editor.change("a.yaml", &format!("# A comment.\n{wrong}"));
    let moved = editor.diagnostics("a.yaml");
    assert_eq!(
        moved[0]["range"]["start"]["line"],
        json!(diagnostics[0]["range"]["start"]["line"].as_u64().map(|at| at + 1))
    );
    editor.change("a.yaml", &text);
    assert_eq!(editor.diagnostics("a.yaml"), Vec::<Value>::new());
    editor.end();
}

#[test]
fn the_newest_snapshot_is_read_again_on_request_only() {
    let site = site();
    std::fs::create_dir(site.path().join("snapshots")).expect("it can be made");
    let old = std::fs::read_to_string(site.path().join("live.json")).expect("it is there");
    site.write("snapshots/1.json", &old);
    let mut editor = Editor::open_with(&site, &[], &json!({"initializationOptions": {"against": "snapshots"}}));
    let text = editor.open("a.yaml");
    let marked = text.replacen("ports: 48", "ports: 4|8", 1);
    assert!(hover(&mut editor, "a.yaml", &marked).contains("live 24 → 48"));
    // A snapshot of another moment.
    site.write("app-secret.txt", "hush");
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 12}));
    ok(&site.run(&["snapshot", "--out", "snapshots/2.json"]));
    site.sandbox().clear_calls();
    std::fs::remove_file(site.path().join("app-secret.txt")).expect("it was there");
    assert!(hover(&mut editor, "a.yaml", &marked).contains("live 24 → 48"), "typing reads no snapshot");
    let told = editor.ask("workspace/executeCommand", &json!({"command": "reconcile.refresh", "arguments": []}));
    assert!(told.as_str().is_some_and(|told| told.starts_with("live values from snapshots/2.json")), "{told}");
    assert!(hover(&mut editor, "a.yaml", &marked).contains("live 12 → 48"));
    // A snapshot that cannot be read is reported, and the values of the one before stay.
    site.write("snapshots/3.json", "{");
    editor.ask("workspace/executeCommand", &json!({"command": "reconcile.refresh"}));
    assert!(hover(&mut editor, "a.yaml", &marked).contains("live 12 → 48"));
    editor.end();
}
