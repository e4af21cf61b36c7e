//! Live objects become manifests, and a plan of these is empty: for every object, through every access.

use std::{process::Stdio, time::Duration};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{Site, operations};

/// Kinds whose objects are exported.
pub(crate) const KINDS: &str = "Instance,InstanceAssociation,Set,Module,ServiceTemplate,ProcessTemplate,Host,App";

/// Number of objects of each kind whose export is compared with that of a tenth.
const SIZE: usize = 10_000;

/// Texts that mean something to YAML, to variables or to nobody.
const ODD: &[&str] = &[
    "true",
    "null",
    "~",
    "no",
    "010",
    "0x1F",
    "1e3",
    "22:22",
    "2024-02-28",
    "- a",
    "a: b",
    "a #b",
    "${HOME}",
    "$${X}",
    "\"quoted\"",
    "it's",
    "[a, b]",
    "{a: b}",
    "*a",
    "&a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "深圳 机柜",
    "a\\b",
    "...",
    "---",
    "a\tb",
    "=",
    "<<",
    "?",
    "a,b",
    "e\u{301}",
    "👩\u{200d}💻",
];

/// Texts of several lines.
const LONG: &[&str] =
    &["first\nsecond", "first\n\n  second\n# third", "a: b\n- c", "trailing \nblank", "x\r\ny", "tab\n\tb"];

/// Chooses at random, the same for the same seed.
struct Choice(Rng);

impl Choice {
    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.0.usize(..texts.len())]
    }

    /// A text of one line, unique by its number.
    fn name(&mut self, number: usize) -> String {
        match self.0.u8(..3) {
            0 => format!("{} {number}", self.of(ODD)),
            1 => format!("{number}"),
            _ => format!("node-{number}"),
        }
    }

    /// A name that layers and modules take.
    fn plain(&mut self, number: usize) -> String {
        format!("{}{number}", self.of(&["web-", "010", "机柜", "1e", "no", "null_"]))
    }

    /// One of some values, or nothing in one of the ways in which nothing is stored.
    fn some(&mut self, values: &[Value]) -> Value {
        match self.0.u8(..6) {
            0 => Value::Null,
            1 => json!(""),
            _ => values[self.0.usize(..values.len())].clone(),
        }
    }

    /// One of some values, or null.
    fn maybe(&mut self, values: &[Value]) -> Value {
        if self.0.u8(..4) == 0 { Value::Null } else { values[self.0.usize(..values.len())].clone() }
    }

    fn text(&mut self) -> Value {
        let values: Vec<Value> = ODD.iter().map(|text| json!(text)).collect();
        self.some(&values)
    }
}

fn attribute(id: usize, model: &str, name: &str, kind: &str, option: &Value) -> Value {
    json!({"id": id, "bk_obj_id": model, "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind,
        "editable": true, "isrequired": false, "ismultiple": true, "option": option})
}

fn attributes() -> Value {
    let options = json!([{"id": "1", "name": "In use", "type": "text"}, {"id": "no", "name": "2", "type": "text"}]);
    let mut rows = Vec::new();
    for model in ["node", "rack"] {
        let kinds = [
            ("bk_inst_name", "singlechar", Value::Null),
            ("short", "singlechar", Value::Null),
            ("long", "longchar", Value::Null),
            ("whole", "int", json!({"min": 0, "max": 100})),
            ("real", "float", Value::Null),
            ("switched", "bool", Value::Null),
            ("state", "enum", options.clone()),
            ("states", "enummulti", options.clone()),
            ("choice", "list", json!(["010", "true", "x"])),
            ("day", "date", Value::Null),
            ("moment", "time", Value::Null),
            ("user", "objuser", Value::Null),
            ("zone", "timezone", Value::Null),
        ];
        for (name, kind, option) in kinds {
            rows.push(attribute(rows.len() + 1, model, name, kind, &option));
        }
    }
    for (model, name, kind) in [
        ("set", "bk_set_name", "singlechar"),
        ("set", "description", "longchar"),
        ("module", "bk_module_name", "singlechar"),
        ("module", "operator", "objuser"),
        ("host", "bk_host_innerip", "singlechar"),
        ("host", "bk_cloud_id", "foreignkey"),
        ("host", "bk_host_name", "singlechar"),
        ("host", "bk_comment", "longchar"),
        ("host", "operator", "objuser"),
    ] {
        rows.push(attribute(rows.len() + 1, model, name, kind, &Value::Null));
    }
    json!(rows)
}

fn instance(choice: &mut Choice, id: usize) -> Value {
    let long: Vec<Value> = LONG.iter().map(|text| json!(text)).collect();
    json!({"bk_inst_id": id, "bk_inst_name": choice.name(id), "short": choice.text(), "long": choice.some(&long),
        // Above the limit of the model by now, so that no document can declare it.
        "whole": choice.some(&[json!(0), json!(42), json!(101)]),
        "real": choice.some(&[json!(0.1), json!(1e21), json!(-3)]),
        "switched": choice.some(&[json!(true), json!(false)]),
        "state": choice.some(&[json!("1"), json!("no"), json!("gone")]),
        "states": choice.some(&[json!(["no", "1"]), json!(["1"])]),
        "choice": choice.some(&[json!("010"), json!("true"), json!("x")]),
        "day": choice.some(&[json!("2024-02-29")]),
        "moment": choice.some(&[json!("2024-02-29 08:00:00"), json!("2024-02-29T00:00:00Z")]),
        "user": choice.some(&[json!("alice"), json!("bob,alice")]),
        "zone": choice.some(&[json!("Asia/Shanghai")])})
}

/// A state of both platforms with about `size` objects of each of the larger kinds.
pub(crate) fn state(seed: u64, size: usize, version: &str) -> Value {
    let choice = &mut Choice(Rng::with_seed(seed));
    let nodes: Vec<Value> = (1..=size).map(|id| instance(choice, id)).collect();
    let racks: Vec<Value> = (1..=size / 4).map(|id| instance(choice, 100_000 + id)).collect();
    let row = |id: usize, rng: &mut Rng| {
        json!({"id": id, "bk_obj_asst_id": "node_in_rack", "bk_obj_id": "node",
        "bk_inst_id": rng.usize(1..=size), "bk_asst_obj_id": "rack", "bk_asst_inst_id": 100_001 + id % (size / 4),
        "bk_asst_id": "in"})
    };
    let links: Vec<Value> = (1..=size / 4).map(|id| row(id, &mut choice.0)).collect();
    let (mut sets, mut modules, mut templates, mut processes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for at in 1..=size / 4 {
        let business = 3 + at % 2;
        let (set, name) = (1000 + at, choice.plain(at));
        sets.push(json!({"bk_set_id": set, "bk_set_name": name, "bk_biz_id": business, "bk_parent_id": business,
            "description": choice.text()}));
        for module in 0..2 {
            modules.push(
                json!({"bk_module_id": 10 * set + module, "bk_module_name": choice.plain(module), "bk_set_id": set,
                "bk_biz_id": business, "bk_parent_id": set, "service_category_id": 2, "service_template_id": 0,
                "operator": choice.some(&[json!("alice"), json!("bob,carol")])}),
            );
        }
        templates.push(json!({"id": 5000 + at, "name": choice.plain(at), "bk_biz_id": business,
            "service_category_id": 2 + at % 2}));
        processes.push(process(choice, at, business));
    }
    let hosts = (1..=size).map(|id| {
        let address = format!("10.{}.{}.1", id / 250, id % 250);
        let addresses =
            if id.is_multiple_of(5) { format!("{address},192.{}.{}.2", id / 250, id % 250) } else { address };
        json!({"bk_host_id": id, "bk_host_innerip": addresses, "bk_cloud_id": id % 2, "bk_host_name": choice.text(),
            "bk_comment": choice.text(), "operator": choice.some(&[json!("alice")])})
    });
    let hosts: Vec<Value> = hosts.collect();
    let relation = |id: usize| {
        let (module, set, business) = if id.is_multiple_of(3) { (10_020, 1002, 3) } else { (10_010, 1001, 4) };
        json!({"bk_host_id": id, "bk_module_id": module, "bk_set_id": set, "bk_biz_id": business})
    };
    let apps = (1..=size).map(|id| {
        json!({"instance_id": "i1", "id": format!("app-{id:05}"),
        "name": format!("{} {id}", choice.of(&["010", "orders (new)", "发票", "no"])), "remark": choice.of(ODD),
        "favorite": choice.0.bool()})
    });
    let apps: Vec<Value> = apps.collect();
    json!({
        "bk-cmdb": {
            "version": version,
            "businesses": [{"bk_biz_id": 3, "bk_biz_name": "shop"}, {"bk_biz_id": 4, "bk_biz_name": "123"}],
            "sets": sets, "modules": modules, "service_templates": templates, "process_templates": processes,
            "service_categories": [{"id": 1, "name": "Web", "bk_biz_id": 0, "bk_parent_id": 0, "bk_root_id": 1},
                {"id": 2, "name": "Nginx", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1},
                {"id": 3, "name": "true", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1}],
            "objects": (["node", "rack", "set", "module", "host"].iter().enumerate().map(|(id, model)| json!({"id": id + 1,
                "bk_obj_id": model, "bk_obj_name": model, "bk_classification_id": "c"})).collect::<Vec<_>>()),
            "attributes": attributes(),
            "object_associations": [{"id": 1, "bk_obj_asst_id": "node_in_rack", "bk_obj_id": "node",
                "bk_asst_obj_id": "rack", "bk_asst_id": "in", "mapping": "n:n"}],
            "instances": {"node": nodes, "rack": racks, "host": hosts},
            "instance_associations": links,
            "host_relations": (1..=size).map(relation).collect::<Vec<_>>(),
        },
        "roma-connect": {"projects": [{"id": "p1", "name": "p"}],
            "instances": [{"id": "i1", "project_id": "p1", "status": "RUNNING"}], "apps": apps},
    })
}

fn process(choice: &mut Choice, at: usize, business: usize) -> Value {
    let cell = |value: Value, locked: bool| json!({"value": value, "as_default_value": locked});
    let rows: Vec<Value> = (0..choice.0.usize(..3))
        .map(|row| {
            json!({"row_id": row + 1,
        "ip": cell(json!(["1", "2", "3"][row]), true), "port": cell(json!(format!("{}", 8000 + row)), row == 1),
        "protocol": cell(json!("1"), true), "enable": cell(json!(row == 0), false)})
        })
        .collect();
    json!({"id": 7000 + at, "bk_process_name": format!("p{at}"), "bk_biz_id": business, "service_template_id": 5000 + at,
    "property": {
        "bk_process_name": cell(json!(format!("p{at}")), true),
        "bk_func_name": cell(json!(choice.plain(at)), true),
        "user": cell(choice.text(), choice.0.bool()),
        "start_cmd": cell(choice.text(), choice.0.bool()),
        "timeout": cell(choice.maybe(&[json!(60), json!(20_000)]), true),
        "auto_start": cell(choice.maybe(&[json!(true), json!(false)]), choice.0.bool()),
        "bind_info": cell(json!(rows), true),
    }})
}

/// Points the configuration at the sandbox through another access.
pub(crate) fn through(site: &Site, access: &str) {
    let text = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it was written");
    let auth = "auth: {appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}";
    let own = if access == "direct" { "auth: {username: admin}" } else { auth };
    site.write("reconcile.yaml", &text.replace("access: esb", &format!("access: {access}")).replace(auth, own));
}

fn export(site: &Site, more: &[&str]) -> crate::harness::Output {
    let arguments = ["export", "--kind", KINDS, "--model", "node,rack"];
    let output = site.run(&[&arguments, more].concat());
    assert_eq!(output.code, Some(0), "{output}");
    output
}

/// The text of all files below a directory, by their paths.
pub(crate) fn files(site: &Site, directory: &str) -> Vec<(String, String)> {
    let (mut open, mut files) = (vec![site.path().join(directory)], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        } else {
            let name = path.strip_prefix(site.path().join(directory)).expect("below").display().to_string();
            files.push((name, std::fs::read_to_string(&path).expect("a text")));
        }
    }
    files.sort();
    files
}

/// Checks that exports of a state plan to nothing, in each layout, and come out the same again.
fn check(seed: u64, size: usize, access: &str, version: &str, layout: &str) {
    let site = Site::new(&state(seed, size, version));
    through(&site, access);
    let first = export(&site, &["--out", "live", "--layout", layout]);
    assert!(site.writes().is_empty());
    let plan = site.run(&["plan", "live", "-o", "json", "--detailed-exitcode"]);
    let told = plan.json();
    assert_eq!(told["blocked"], json!([]), "seed {seed} {access} {version}: {}", plan.stderr);
    assert_eq!(told["changes"], json!([]), "seed {seed} {access} {version}: {}", plan.stderr);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let objects = 3 * size + 7 * (size / 4);
    let count: usize = first
        .stderr
        .lines()
        .find_map(|line| line.split_once(" objects exported into")?.0.parse().ok())
        .expect("a count");
    // Sources of several rows share a document.
    assert!(count <= objects && count > objects - size / 4, "{count} of {objects}: {first}");
    export(&site, &["--out", "again", "--layout", layout]);
    let written = files(&site, "live");
    assert_eq!(written, files(&site, "again"));
    // The same once more is no error, and leaves nothing beside it.
    let over = export(&site, &["--out", "again", "--layout", layout]);
    assert!(over.stderr.contains("into 0 new files"), "{over}");
    // A snapshot tells the same as the servers.
    let taken = site.run(&["snapshot", "live", "--out", "state.snapshot"]);
    assert_eq!(taken.code, Some(0), "{taken}");
    site.sandbox().clear_calls();
    export(&site, &["--out", "kept", "--layout", layout, "--from", "state.snapshot"]);
    assert_eq!(operations(&site.sandbox().calls()), json!({}));
    assert_eq!(files(&site, "kept"), written);
}

#[test]
fn the_plan_of_an_export_is_empty_through_every_access() {
    let cases = [("esb", "3.14", "group"), ("gateway", "3.10", "object"), ("direct", "3.9", "one")];
    for (seed, (access, version, layout)) in (1..).zip(cases) {
        check(seed, 60, access, version, layout);
    }
}

/// Several pages of everything. It takes a minute or two.
#[test]
#[ignore = "long"]
fn the_plan_of_an_export_of_a_large_site_is_empty() {
    for access in ["esb", "gateway", "direct"] {
        check(9, 2_200, access, "3.14", "group");
    }
}

/// A small site.
fn small() -> Site {
    Site::new(&state(1, 8, "3.14"))
}

#[test]
fn objects_are_chosen_by_name_place_and_values() {
    let site = small();
    let check = |arguments: &[&str], expected: usize| {
        let output = site.run(&[&["export"], arguments].concat());
        assert_eq!(output.code, Some(0), "{output}");
        let found = output.stdout.matches("\napiVersion:").count();
        assert_eq!(found, expected, "{arguments:?}\n{output}");
        let count = if found == 1 { "1 object" } else { &format!("{found} objects") };
        assert!(output.stderr.contains(&format!("{count} exported")), "{output}");
    };
    check(&["--kind", "Host"], 8);
    check(&["--kind", "Host", "--business", "123", "--where", "bk_cloud_id=1"], 3);
    check(&["--kind", "Host", "--business", "3"], 2);
    check(&["--kind", "Module", "--business", "4", "--set", "1001"], 2);
    check(&["--kind", "Set,Module", "--business", "shop,4"], 6);
    check(&["--kind", "ServiceTemplate", "--where", "category=Web / Nginx"], 1);
    check(&["--kind", "ProcessTemplate", "--business", "shop", "--where", "bk_process_name=p2"], 1);
    check(&["--kind", "App", "--app-instance", "i1", "--name", "*1"], 1);
    check(&["--kind", "InstanceAssociation", "--association", "node_in_rack"], 2);
    let on = site.row("/bk-cmdb/instances/node", "bk_inst_id", 3);
    let name = on["bk_inst_name"].as_str().expect("a name");
    check(&["--kind", "Instance", "--model", "node", "--where", &format!("bk_inst_name={name}")], 1);
    check(&["--kind", "Instance", "--model", "node", "--where", "state=In use", "--fields", "state"], {
        let nodes = site.sandbox().state();
        let nodes = nodes["bk-cmdb"]["instances"]["node"].as_array().expect("a list").clone();
        nodes.iter().filter(|node| node["state"] == "1").count()
    });
}

#[test]
fn what_the_command_line_names_has_to_be_there() {
    let site = small();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = site.run(&[&["export"], arguments].concat());
        assert_eq!(output.code, Some(code), "{output}");
        assert!(output.stderr.contains(expected), "{expected}\n{output}");
        assert_eq!(output.stdout, "", "{output}");
    };
    check(&["--kind", "Instnace"], 64, "did you mean `Instance`?");
    check(&["--kind", "Instance"], 64, "--kind Instance needs --model");
    check(&["--kind", "App", "--model", "node"], 64, "--model says nothing about App");
    check(&["--kind", "App", "--target", "cmbd"], 64, "there is no target `cmbd`");
    check(&["--kind", "Instance", "--model", "nodes"], 1, "P102");
    check(&["--kind", "Instance", "--model", "host"], 1, "use --kind Host");
    check(&["--kind", "Instance", "--model", "node", "--fields", "shrot"], 1, "did you mean `short`?");
    check(&["--kind", "Set", "--business", "shpo"], 1, "did you mean `shop`?");
    check(&["--kind", "Module", "--business", "shop", "--set", "none"], 1, "there is no set `none`");
    check(&["--kind", "App", "--where", "nmae=x"], 1, "did you mean `name`?");
}

#[test]
fn nothing_is_written_where_a_read_fails_or_a_file_differs() {
    let site = small();
    site.write("live/node.yaml", "# mine\n");
    let output = site.run(&["export", "--kind", "Instance", "--model", "node,rack", "--out", "live"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("live/node.yaml would be replaced: nothing is written"), "{output}");
    assert_eq!(files(&site, "live"), [("node.yaml".to_owned(), "# mine\n".to_owned())]);
    site.faults(
        &json!([{"operation": "list_biz_hosts", "fault": "code", "code": 9_900_403, "message": "no permission"}]),
    );
    let output = site.run(&["export", "--kind", "Set,Host", "--out", "new"]);
    assert_ne!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains("not everything could be read"), "{output}");
    assert_eq!(files(&site, "new"), []);
}

/// Peak memory of the program in KiB, as the system counted it last before the program ended.
fn peak(site: &Site, arguments: &[&str]) -> u64 {
    let mut child = site.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let told = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = told.and_then(|told| told.trim().parse().ok()).unwrap_or(0).max(peak);
        if let Some(status) = child.try_wait().expect("it is a child") {
            assert!(status.success(), "{arguments:?}: {status}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A site with as many sets as modules, service templates, process templates, instances and apps, of which a server lists
/// ten thousand.
fn many(size: usize) -> Site {
    let mut state = state(1, 8, "3.14");
    let rows = |row: &dyn Fn(usize) -> Value| -> Value { (0..size).map(row).collect() };
    let cmdb = &mut state["bk-cmdb"];
    cmdb["sets"] = rows(&|at| {
        json!({"bk_set_id": 1000 + at, "bk_set_name": format!("set-{at}"), "bk_biz_id": 3, "bk_parent_id": 3,
            "description": format!("the set with the number {at}")})
    });
    cmdb["modules"] = rows(&|at| {
        let set = 1000 + at / 10;
        json!({"bk_module_id": 1 + at, "bk_module_name": format!("module-{at}"), "bk_set_id": set, "bk_biz_id": 3,
            "bk_parent_id": set, "service_category_id": 2, "service_template_id": 0, "operator": "alice"})
    });
    cmdb["service_templates"] = rows(&|at| {
        let business = if at * 200 < size { 4 } else { 3 };
        json!({"id": 1 + at, "name": format!("template-{at}"), "bk_biz_id": business, "service_category_id": 2})
    });
    let cell = |value: Value| json!({"value": value, "as_default_value": true});
    // The processes of a service template are a read: a few templates of another business have them all.
    cmdb["process_templates"] = rows(&|at| {
        let name = format!("process-{at}");
        json!({"id": 1 + at, "bk_process_name": name, "bk_biz_id": 4, "service_template_id": 1 + at / 200,
            "property": {"bk_process_name": cell(json!(name)), "bk_func_name": cell(json!("nginx")),
                "user": cell(json!("root"))}})
    });
    let node = |at: usize| json!({"bk_inst_id": 1 + at, "bk_inst_name": format!("node-{at}"), "short": "a node"});
    cmdb["instances"] = json!({"node": rows(&node)});
    cmdb["instance_associations"] = json!([]);
    cmdb["host_relations"] = json!([]);
    let app = |at: usize| json!({"instance_id": "i1", "id": format!("app-{at}"), "name": format!("orders-{at}"), "remark": "orders"});
    state["roma-connect"]["apps"] = (0..size.min(10_000)).map(app).collect();
    Site::new(&state)
}

/// Exports are read and written page by page, so ten times as many objects take little more memory.
#[test]
fn memory_hardly_grows_with_the_number_of_objects() {
    let sites = [many(SIZE / 10), many(SIZE)];
    let kinds = [
        &["Set"][..],
        &["Module"],
        &["ServiceTemplate"],
        &["ProcessTemplate", "--business", "123"],
        &["Instance", "--model", "node"],
        &["App"],
    ];
    for kind in kinds {
        let [few, many] = sites.each_ref().map(|site| {
            let arguments = [&["export", "--out", kind[0], "--kind"], kind].concat();
            (peak(site, &arguments), files(site, kind[0]).iter().map(|(_, text)| text.len()).sum::<usize>())
        });
        assert!(many.1 > few.1 * 3, "{kind:?}: {} and {} bytes are written", few.1, many.1);
        let told = format!("{kind:?}: {} KiB, and for ten times as many objects {} KiB", few.0, many.0);
        assert!(many.0 * 4 < few.0 * 5, "{told}");
    }
}
