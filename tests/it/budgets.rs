//! Reports of strange values and of many changes: harmless, and inside the sizes that their readers take.

use serde_json::{Value, json};

use crate::{
    forms::Reports,
    harness::{Site, state, switch},
};

/// Texts of strangers that try to break out of where they are put.
const NASTY: &[&str] = &[
    "nasty | pipe | @octocat #123 https://nasty.example.com <script>alert(1)</script> <!-- nasty -->",
    "```nasty\n````\n`````\n## nasty\n| a | b |\n::error file=nasty::nasty\n/close nasty",
    "</code></summary></details><img src=x onerror=nasty>&nbsp;&#64;nasty",
    "nasty\u{202e}txet\u{200b}\u{feff}\u{2028}\u{85}\u{7f}",
    "nasty % %0A %25 a:b,c=d ::set-output name=nasty::1",
    "]]> <![CDATA[ nasty ]]> & \" ' --> \\ \t",
    "- nasty\n+ nasty\n\n\n! nasty\n@@ nasty @@",
    "nasty: [yes, no, ~, 0042, 1e3, 2026-11-22] #",
    "\u{fffe}nasty\u{ffff}\u{e0041}",
    " nasty\nwith blanks \n",
];

#[test]
fn strange_values_stay_values() {
    let mut state = state();
    let mut manifests = String::new();
    let rows = state["bk-cmdb"]["instances"]["bk_switch"].as_array_mut().expect("rows");
    rows.clear();
    for (number, text) in NASTY.iter().enumerate() {
        rows.push(
            json!({"bk_inst_id": number + 1, "bk_inst_name": format!("n{number}"), "remark": text, "bk_sn": "x"}),
        );
        let wanted = Value::from(NASTY[(number + 1) % NASTY.len()]).to_string();
        // JSON's escapes are YAML's; what YAML may not hold as it is has to be escaped too.
        let wanted: String = wanted.chars().map(escaped).collect();
        manifests += &switch(
            &format!("d{number}"),
            &format!("bk_inst_name: n{number}"),
            &format!("remark: {wanted}, bk_sn: \"@nasty `` #1\""),
        );
    }
    // Paths can be as strange.
    let site = Site::with(&state, &[("a,b::c %0A/<i>@nasty` #1.yaml", &manifests)]);
    let reports = Reports::of(&site, &["plan", "--calls"], 0);
    let document = reports.json("json");
    assert_eq!(document["summary"]["update"], NASTY.len());
    for (number, text) in NASTY.iter().enumerate() {
        let fields = document["changes"][number]["fields"].as_array().expect("fields");
        let remark = fields.iter().find(|field| field["path"] == "remark").expect("it changes");
        assert_eq!(remark["before"], *text);
    }
    // Messages of servers come from strangers too.
    for text in NASTY {
        site.faults(&json!([{"fault": "code", "code": 1_101_000, "message": text}]));
        let reports = Reports::of(&site, &["plan"], 5);
        assert!(reports.text("markdown").contains("nasty"), "{}", reports.text("markdown"));
    }
}

/// A character as a YAML text between quotes may hold it.
fn escaped(letter: char) -> String {
    match u32::from(letter) {
        code @ (0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff) => format!("\\u{code:04x}"),
        code @ 0x1_0000.. => format!("\\U{code:08x}"),
        _ => letter.to_string(),
    }
}

#[test]
fn one_value_of_a_megabyte_fits() {
    let mut state = state();
    let long = |word: &str| word.repeat(1_000_000 / word.len());
    // The size of a request is bounded, that of the stored state is not.
    for (live, wanted) in [
        (long("a"), "b"),
        (long("`"), "`"),
        (
            long(
                "a
",
            ),
            "b
c
",
        ),
        (long("机"), ""),
    ] {
        state["bk-cmdb"]["instances"]["bk_switch"][0]["remark"] = json!(live);
        let site = Site::with(&state, &[]);
        site.write("all.yaml", &switch("big", "bk_asset_id: A1", &format!("remark: {}", json!(wanted))));
        let reports = Reports::of(&site, &["plan", "--calls"], 0);
        let text = reports.text("markdown");
        assert!(text.contains("<code>big</code>") && text.contains("remark"), "the object is shown:\n{text}");
        assert!(text.contains("more characters)") || text.contains("more lines not shown"), "{text}");
    }
}

#[test]
fn an_object_of_many_fields_fits() {
    let mut state = state();
    let attributes = state["bk-cmdb"]["attributes"].as_array_mut().expect("rows");
    let names: Vec<String> = (0..300).map(|number| format!("f{number}")).collect();
    attributes.extend(names.iter().map(|name| {
        json!({"bk_obj_id": "bk_switch", "bk_property_id": name, "bk_property_name": name,
            "bk_property_type": "longchar", "editable": true, "isrequired": false})
    }));
    let fields: Vec<String> = names.iter().map(|name| format!("{name}: {}", "x".repeat(1_000))).collect();
    let site = Site::with(&state, &[("all.yaml", &switch("wide", "bk_asset_id: A1", &fields.join(", ")))]);
    let reports = Reports::of(&site, &["plan"], 0);
    assert!(reports.text("markdown").contains("more fields not shown"), "{}", reports.text("markdown"));
    assert!(reports.text("github").contains("more fields"), "{}", reports.text("github"));
}

/// How many changes the budgets are tested with; a few more than some forms take.
fn many() -> usize {
    std::env::var("RECONCILE_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_100)
}

#[test]
fn reports_of_many_changes_fit() {
    let many = many();
    let third = many / 3;
    let mut state = state();
    let remark = "很长的备注 with @mention and `code` | pipe; ".repeat(6);
    state["bk-cmdb"]["instances"]["bk_switch"] = (0..many)
        .filter(|number| number % 3 != 0)
        .map(|number| json!({"bk_inst_id": number + 1, "bk_inst_name": format!("sw-{number}"), "ports": 24, "remark": remark}))
        .collect();
    let mut files: Vec<(String, String)> = Vec::new();
    for number in 0..many {
        let (ensure, fields) = match number % 3 {
            0 => ("present", format!("fields: {{ports: 48, remark: \"{remark}\"}}")),
            1 => ("existing", format!("fields: {{ports: 48, operator: [alice, bob], remark: \"{number} {remark}\"}}")),
            _ => ("absent", String::new()),
        };
        let text = format!(
            "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: sw-{number}}}\nspec:\n  ensure: {ensure}\n  model: \
             bk_switch\n  match: {{bk_inst_name: sw-{number}}}\n  {fields}\n---\n"
        );
        let file = format!("site-{}/switches.yaml", number / 500);
        match files.last_mut().filter(|(last, _)| *last == file) {
            Some((_, all)) => *all += &text,
            None => files.push((file, text)),
        }
    }
    let site = Site::with(&state, &[]);
    files.iter().for_each(|(file, text)| site.write(file, text));
    let reports = Reports::of(&site, &["plan", "--calls"], 0);
    let document = reports.json("json");
    assert_eq!(document["changes"].as_array().map(Vec::len), Some(many));
    assert_eq!(document["summary"]["delete"], third);
    assert_eq!(reports.events("planned_change").len(), many);
    // Objects that are not shown are counted, by their outcome.
    let text = reports.text("markdown");
    let number = |text: &str, before: &str| -> usize {
        let at = text.find(before).unwrap_or_else(|| panic!("{before}: {}", &text[text.len() - 300..]));
        let digits = text[..at].rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().expect("a number")
    };
    let tail = &text[text.rfind("</details>").expect("an object is shown")..];
    let cut = number(tail, " more changes not shown");
    assert_eq!(text.matches("<details>").count() - text.matches("Calls</summary>").count() + cut, many);
    assert_eq!(number(tail, " to add") + number(tail, " to update") + number(tail, " to delete"), cut);
    assert!(text.encode_utf16().count() > 60_000, "the room is used");
    let last = reports.annotations().pop().expect("annotations");
    assert_eq!(last.message, format!("{} more changes not shown here", many - 9));
    assert_eq!(reports.json("gitlab-code-quality").as_array().map(Vec::len), Some(many.min(5_001)));
    assert_eq!(reports.json("sarif")["runs"][0]["results"].as_array().map(Vec::len), Some(many.min(5_000)));
    if many > 5_000 {
        let issues = reports.json("gitlab-code-quality");
        let last = issues.as_array().and_then(|issues| issues.last()).expect("an issue");
        assert_eq!(last["description"], format!("{} more findings not shown here", many - 5_000));
        let notes = &reports.json("sarif")["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        let said = format!("{} more results left out: the file would be too large", many - 5_000);
        assert_eq!(notes[0]["message"]["text"], said);
    }
    if let Some(suites) = reports.suites() {
        assert_eq!(suites[1]["cases"].as_array().map(Vec::len), Some(many));
    }
}

#[test]
fn what_is_only_reported_is_cut_first() {
    let remark = "r".repeat(400);
    let check = |changes: usize, reported: usize| {
        let mut state = state();
        let row =
            |number: usize| json!({"bk_inst_id": number + 1, "bk_inst_name": format!("sw-{number}"), "ports": 24});
        state["bk-cmdb"]["instances"]["bk_switch"] = (0..changes + reported).map(row).collect();
        let build = |number: usize| {
            // The reported ones come first in the file and are the smaller ones.
            let is_reported = number < reported;
            let fields = if is_reported { "ports: 48".to_owned() } else { format!("ports: 48, remark: {remark}") };
            let text = switch(&format!("sw-{number}"), &format!("bk_inst_name: sw-{number}"), &fields);
            if is_reported { text.replace("spec:", "spec:\n  policy: report") } else { text }
        };
        let site = Site::with(&state, &[("all.yaml", &(0..changes + reported).map(build).collect::<String>())]);
        Reports::of(&site, &["plan"], 0)
    };
    let reports = check(300, 40);
    let text = reports.text("markdown");
    assert!(text.contains(" more changes not shown**"), "{}", &text[text.len() - 500..]);
    assert!(text.contains("**40 more reported differences not shown.**") && !text.contains("### Reported only"));
    let last = reports.annotations().pop().expect("annotations");
    assert_eq!(last.message, "331 more changes not shown here, 40 of them reported only");
    // As many of them as there is room for.
    let reports = check(5, 400);
    let text = reports.text("markdown");
    assert!(!text.contains("more change"), "{}", &text[text.len() - 500..]);
    let shown = text.matches("<summary>").count();
    let cut = text.split("**").find_map(|part| part.strip_suffix(" more reported differences not shown."));
    assert_eq!(cut.and_then(|cut| cut.parse().ok()).map(|cut: usize| cut + shown), Some(405));
    assert!(text.encode_utf16().count() > 60_000, "the room is used");
}

#[test]
fn fingerprints_do_not_move_with_lines() {
    let manifests = switch("core", "bk_asset_id: A1", "ports: 48") + &switch("gone", "bk_asset_id: A9", "ports: 48");
    let site = Site::with(&state(), &[("all.yaml", &manifests)]);
    let prints = |reports: &Reports| -> (Vec<Value>, Vec<Value>) {
        let issues = reports.json("gitlab-code-quality");
        let of = |pointer: &str| {
            issues.as_array().into_iter().flatten().filter_map(|row| row.pointer(pointer).cloned()).collect()
        };
        (of("/fingerprint"), of("/location/lines/begin"))
    };
    let (before, lines) = prints(&Reports::of(&site, &["plan"], 1));
    site.write("all.yaml", &format!("# moved\n\n\n{manifests}"));
    let (after, moved) = prints(&Reports::of(&site, &["plan"], 1));
    assert_eq!((before.len(), &before), (2, &after));
    assert_ne!(lines, moved);
    // Mistakes of syntax too, though their messages come from a parser.
    let broken = "kind: [\n---\nkind: Instance\nmodle: x\nmodle: y\n---\na: b: c\n---\n\tx: 1\n";
    site.write("all.yaml", broken);
    let (before, lines) = prints(&Reports::of(&site, &["validate"], 1));
    site.write("all.yaml", &format!("# moved\n\n\n{broken}"));
    let (after, moved) = prints(&Reports::of(&site, &["validate"], 1));
    assert!(before.len() > 2);
    assert_eq!(before, after);
    assert_ne!(lines, moved);
}
