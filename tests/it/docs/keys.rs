//! The tables of keys hold what the decoders know: each decoder is asked by a document with an unknown key.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::{read, root};
use crate::harness::program;

/// The key that no decoder knows, and that is like no other.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzz";

/// A table, named by a comment `<!-- keys: NAME -->` above it: page, name, and a document with an unknown key.
const TABLES: &[(&str, &str, &str)] = &[
    ("manifests.md", "document", "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: a}\nspec: {}\nX: 1\n"),
    ("manifests.md", "metadata", "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: a, X: 1}\nspec: {}\n"),
    ("kinds/instance.md", "spec", "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: a}\nspec: {X: 1}\n"),
    (
        "kinds/instance-association.md",
        "spec",
        "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: a}\nspec: {X: 1}\n",
    ),
    (
        "kinds/instance-association.md",
        "end",
        "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: a}\n\
         spec: {association: a, source: {model: m, X: 1}, targets: []}\n",
    ),
    ("kinds/module.md", "spec", "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: a}\nspec: {X: 1}\n"),
    (
        "kinds/process-template.md",
        "spec",
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: a}\nspec: {process: a, X: 1}\n",
    ),
    (
        "kinds/process-template.md",
        "properties",
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: a}\nspec: {properties: {X: 1}}\n",
    ),
    (
        "kinds/process-template.md",
        "row",
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: a}\nspec: {properties: {bind_info: [{X: 1}]}}\n",
    ),
    ("kinds/host.md", "spec", "apiVersion: bk-cmdb/v1\nkind: Host\nmetadata: {name: a}\nspec: {X: 1}\n"),
    (
        "kinds/service-template.md",
        "spec",
        "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: a}\nspec: {X: 1}\n",
    ),
    (
        "kinds/service-template.md",
        "fields",
        "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: a}\nspec: {fields: {X: 1}}\n",
    ),
    (
        "kinds/service-template.md",
        "rollout",
        "apiVersion: bk-cmdb/v1\nkind: ServiceTemplate\nmetadata: {name: a}\nspec: {rollout: {X: 1}}\n",
    ),
    ("kinds/app.md", "spec", "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: a}\nspec: {X: 1}\n"),
    ("kinds/app.md", "fields", "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: a}\nspec: {fields: {X: 1}}\n"),
    (
        "kinds/app.md",
        "member",
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: a}\nspec: {members: [{X: 1}]}\n",
    ),
    ("configuration.md", "configuration", "apiVersion: reconcile/v1\nkind: Config\nX: 1\n"),
    (
        "configuration.md",
        "bk-cmdb",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: bk-cmdb, access: esb, X: 1}}\n",
    ),
    (
        "configuration.md",
        "bk-cmdb auth",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: bk-cmdb, access: esb, auth: {X: 1}}}\n",
    ),
    (
        "configuration.md",
        "roma-connect",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: roma-connect, auth: {token: {env: A}}, X: 1}}\n",
    ),
    (
        "configuration.md",
        "roma-connect auth",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: roma-connect, auth: {X: 1}}}\n",
    ),
    (
        "configuration.md",
        "iam",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: roma-connect, auth: {iam: {X: 1}}}}\n",
    ),
    (
        "configuration.md",
        "limits",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: roma-connect, limits: {X: 1}}}\n",
    ),
    ("configuration.md", "safety", "apiVersion: reconcile/v1\nkind: Config\nsafety: {X: 1}\n"),
    (
        "configuration.md",
        "notify",
        "apiVersion: reconcile/v1\nkind: Config\nnotify: {a: {format: dingtalk, url: {env: A}, X: 1}}\n",
    ),
    ("configuration.md", "watch", "apiVersion: reconcile/v1\nkind: Config\nwatch: {X: 1}\n"),
    ("configuration.md", "resync", "apiVersion: reconcile/v1\nkind: Config\nwatch: {resync: {X: 1}}\n"),
    ("configuration.md", "rule", "apiVersion: reconcile/v1\nkind: Config\nwatch: {resync: {rules: [{X: 1}]}}\n"),
    ("configuration.md", "ceasefire", "apiVersion: reconcile/v1\nkind: Config\nwatch: {ceasefire: {X: 1}}\n"),
    ("configuration.md", "window", "apiVersion: reconcile/v1\nkind: Config\nwindows: {a: {X: 1}}\n"),
    (
        "configuration.md",
        "suspend",
        "apiVersion: reconcile/v1\nkind: Config\ntargets: {a: {platform: roma-connect, suspend: {X: 1}}}\n",
    ),
    ("configuration.md", "state", "apiVersion: reconcile/v1\nkind: Config\nstate: {X: 1}\n"),
    ("configuration.md", "sandbox", "apiVersion: reconcile/v1\nkind: Config\nsandbox: {X: 1}\n"),
];

/// The report of `validate` about a document.
fn validate(document: &str) -> Value {
    let directory = tempfile::TempDir::new().expect("a directory can be made");
    let is_config = document.contains("kind: Config");
    let name = if is_config { "reconcile.yaml" } else { "block.yaml" };
    std::fs::write(directory.path().join(name), document).expect("it can be written");
    let mut command = program();
    command.current_dir(directory.path()).args(["validate", "--allow-empty", "-o", "json"]);
    let output = command.output().expect("the program runs");
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

/// The keys that a decoder knows, by its hint about an unknown one.
fn known(document: &str) -> BTreeSet<String> {
    let report = validate(&document.replace('X', UNKNOWN));
    let messages = report["diagnostics"].as_array().expect("there are messages");
    let about = messages.iter().find(|message| message["message"].as_str().is_some_and(|text| text.contains(UNKNOWN)));
    let hint = about.and_then(|row| row["hint"].as_str()).unwrap_or_else(|| panic!("{document}{report:#}"));
    let keys = hint.split_once(": ").unwrap_or_else(|| panic!("{hint}")).1;
    keys.split(", ").map(str::to_owned).collect()
}

/// The keys of a table: the first column below a comment `<!-- keys: NAME -->`.
fn listed(page: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = page.split_once(&format!("<!-- keys: {name} -->\n")).unwrap_or_else(|| panic!("no table {name}"));
    let key = Regex::new("`([^`]+)`").expect("the expression is right");
    let rows = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.skip(2).filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| key.captures_iter(cell).map(|found| found[1].to_owned()).collect::<Vec<_>>()).collect()
}

/// Ranges of numbers in the table of properties: each is asked for by a number that is too large.
#[test]
fn ranges_of_properties_are_those_of_the_decoder() {
    let page = read(&root().join("docs/src/kinds/process-template.md"));
    let row = Regex::new(r"(?m)^\| `(\w+)` \| (-?\d+) to (\d+)").expect("the expression is right");
    let mut count = 0;
    for found in row.captures_iter(&page) {
        let (name, least, most) = (&found[1], &found[2], &found[3]);
        let document = format!(
            "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: a}}\n\
             spec: {{business: b, id: 1, properties: {{{name}: 99999}}}}\n"
        );
        let report = validate(&document).to_string();
        assert!(report.contains(&format!("`{name}` lies between {least} and {most}, not at 99999")), "{report}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn tables_hold_the_keys_that_the_decoders_know() {
    let mut wrong = Vec::new();
    for (page, name, document) in TABLES {
        let listed = listed(&read(&root().join("docs/src").join(page)), name);
        let known = known(document);
        if listed != known {
            wrong.push(format!("{page}, {name}: listed {listed:?}\n    the decoder knows {known:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
