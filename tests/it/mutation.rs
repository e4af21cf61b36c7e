//! Provenance is right where it is complete and no more than that: a changed scalar changes just the calls that name
//! its place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Site, state};

/// Sets of manifests, unless `RECONCILE_MUTATIONS` says how many, and mutations of each.
const SETS: u64 = 16;
const MUTATIONS: u64 = 12;

/// Numbers that are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("it is small")
    }
}

/// The other values that a scalar can be changed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    /// A port in quotes.
    Port,
    Text,
    Flag,
    /// One of few, such as a key that finds an object.
    Of(&'static [&'static str]),
}

/// A scalar in one of the files.
#[derive(Debug, Clone)]
struct Scalar {
    file: &'static str,
    start: usize,
    length: usize,
    kind: Kind,
}

const BASE: &str = "m/base.yaml";
const OVER: &str = "over/prod.yaml";
const VALUES: &str = "values.yaml";

/// Manifests, a values file and an overlay, and all scalars in them that count: values of what is declared.
struct Scene {
    dice: Dice,
    texts: BTreeMap<&'static str, String>,
    scalars: Vec<Scalar>,
    fresh: u32,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut scene = Self { dice: Dice(seed), texts: BTreeMap::new(), scalars: Vec::new(), fresh: 0 };
        for (name, kind) in [("N0", Kind::Number), ("N1", Kind::Number), ("T0", Kind::Text), ("T1", Kind::Text)] {
            let value = scene.value(kind);
            scene.put(VALUES, &format!("{name}: "));
            scene.scalar(VALUES, &value, kind);
            scene.put(VALUES, "\n");
        }
        scene.documents();
        scene
    }

    fn put(&mut self, file: &'static str, text: &str) {
        self.texts.entry(file).or_default().push_str(text);
    }

    fn scalar(&mut self, file: &'static str, value: &str, kind: Kind) {
        let text = self.texts.entry(file).or_default();
        self.scalars.push(Scalar { file, start: text.len(), length: value.len(), kind });
        text.push_str(value);
    }

    /// A value that occurs nowhere else.
    fn value(&mut self, kind: Kind) -> String {
        self.fresh += 1;
        match kind {
            Kind::Number => format!("{}", 1000 + self.fresh),
            Kind::Port => format!("\"{}\"", 9000 + self.fresh),
            Kind::Text => format!("t{}", self.fresh),
            Kind::Flag => ["true", "false"][self.dice.roll(2)].to_owned(),
            Kind::Of(words) => words[self.dice.roll(words.len())].to_owned(),
        }
    }

    /// A value as people may write it: as it is, by a variable, with one in it, by a default.
    fn written(&mut self, kind: Kind) -> String {
        let plain = self.value(kind);
        match (kind, self.dice.roll(6)) {
            (Kind::Number, 0) => "${N0}".to_owned(),
            (Kind::Number, 1) => "${N1}".to_owned(),
            (Kind::Text, 0) => "${T0}".to_owned(),
            (Kind::Text, 1) => format!("{plain}-${{T1}}-${{T0}}"),
            (Kind::Text | Kind::Number, 2) => format!("${{NOT_SET:-{plain}}}"),
            _ => plain,
        }
    }

    fn documents(&mut self) {
        // The second of each pair is that of another live switch, or of none.
        let switches: [&[&str]; 4] = [&["A1", "B1"], &["A2", "B2"], &["A3", "B3"], &["A4", "B4"]];
        for (at, keys) in switches.into_iter().enumerate() {
            let fields =
                [("ports", Kind::Number), ("remark", Kind::Text), ("operator", Kind::Text), ("bk_sn", Kind::Text)];
            let spec = [("model", "bk_switch".to_owned()), ("ensure", "existing".to_owned())];
            self.document("Instance", &format!("sw-{at}"), &spec, ("match", "bk_asset_id", keys[0], keys), &fields);
        }
        let pick = [self.dice.roll(2), self.dice.roll(2), self.dice.roll(2)];
        let racks = &["rack-1", "机柜-2", "rack-9"];
        self.document(
            "Instance",
            "rack",
            &[("model", "bk_rack".to_owned())],
            ("match", "bk_inst_name", racks[pick[0]], racks),
            &[("units", Kind::Number)],
        );
        // One that the run makes: what refers to it knows its address only.
        let made = &["made-1", "made-2"];
        let spec = [("model", "bk_rack".to_owned()), ("ensure", "present".to_owned())];
        self.document("Instance", "made", &spec, ("match", "bk_inst_name", made[0], made), &[("units", Kind::Number)]);
        let modules = &["web", "cache"];
        let spec = [("business", "demo".to_owned()), ("set", "public".to_owned())];
        let fields = [("operator", Kind::Text), ("bk_bak_operator", Kind::Text)];
        self.document("Module", "module", &spec, ("", "module", modules[pick[1]], modules), &fields);
        let apps = &["orders", "invoices", "nothing"];
        let fields = [("remark", Kind::Text), ("favorite", Kind::Flag)];
        self.document("App", "app", &[], ("", "app", apps[pick[2]], apps), &fields);
        self.process();
        let sources: [&[&str]; 2] = [&["sw-0", "sw-1"], &["sw-2", "sw-3"]];
        for (name, sources) in ["cable-1", "cable-2"].into_iter().zip(sources) {
            self.head(BASE, "InstanceAssociation", name);
            self.put(BASE, "  association: switch_rack\n  source: {ref: ");
            self.scalar(BASE, sources[0], Kind::Of(sources));
            self.put(BASE, "}\n  targets:\n    - ref: ");
            let target = ["rack", "made"][self.dice.roll(2)];
            self.scalar(BASE, target, Kind::Of(&["rack", "made"]));
            self.put(BASE, "\n---\n");
        }
    }

    fn head(&mut self, file: &'static str, kind: &str, name: &str) {
        let platform = if kind == "App" { "roma-connect" } else { "bk-cmdb" };
        self.put(file, &format!("apiVersion: {platform}/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"));
        if file == BASE && platform == "bk-cmdb" {
            self.put(file, "  target: ");
            self.scalar(file, "cmdb", Kind::Of(&["cmdb", "cmdb-2"]));
            self.put(file, "\n");
        }
        self.put(file, "spec:\n");
    }

    /// Writes a document: what is fixed in its `spec`, the key that finds it, and some of the fields it may have. An
    /// overlay may have some of them too.
    fn document(
        &mut self,
        kind: &str,
        name: &str,
        spec: &[(&str, String)],
        (below, key, found_by, keys): (&str, &str, &str, &'static [&'static str]),
        fields: &[(&str, Kind)],
    ) {
        self.head(BASE, kind, name);
        for (key, value) in spec {
            self.put(BASE, &format!("  {key}: "));
            if *key == "ensure" {
                self.scalar(BASE, value, Kind::Of(&["present", "existing"]));
            } else {
                self.put(BASE, value);
            }
            self.put(BASE, "\n");
        }
        let indent = if below.is_empty() { String::from("  ") } else { format!("  {below}:\n    ") };
        self.put(BASE, &format!("{indent}{key}: "));
        self.scalar(BASE, found_by, Kind::Of(keys));
        self.put(BASE, "\n  fields:\n");
        self.fields(BASE, fields);
        self.put(BASE, "---\n");
        if self.dice.roll(2) == 0 {
            self.head(OVER, kind, name);
            self.put(OVER, "  fields:\n");
            self.fields(OVER, fields);
            self.put(OVER, "---\n");
        }
    }

    fn fields(&mut self, file: &'static str, fields: &[(&str, Kind)]) {
        let sure = self.dice.roll(fields.len());
        for (at, (name, kind)) in fields.iter().enumerate() {
            if at != sure && self.dice.roll(3) == 0 {
                continue;
            }
            self.put(file, &format!("    {name}: "));
            if name.ends_with("operator") && self.dice.roll(2) == 0 {
                let (first, second) = (self.value(*kind), self.value(*kind));
                self.put(file, "[");
                self.scalar(file, &first, *kind);
                self.put(file, ", ");
                self.scalar(file, &second, *kind);
                self.put(file, "]\n");
                continue;
            }
            // A comma would make two users of one.
            let value = self.written(*kind);
            self.scalar(file, &value, *kind);
            self.put(file, "\n");
        }
    }

    fn process(&mut self) {
        self.head(BASE, "ProcessTemplate", "nginx");
        self.put(BASE, "  business: demo\n  serviceTemplate: nginx\n  process: ");
        self.scalar(BASE, "nginx", Kind::Of(&["nginx", "nothing"]));
        self.put(BASE, "\n  properties:\n");
        self.properties(BASE);
        self.put(BASE, "---\n");
        if self.dice.roll(2) == 0 {
            self.head(OVER, "ProcessTemplate", "nginx");
            self.put(OVER, "  properties:\n");
            self.properties(OVER);
            self.put(OVER, "---\n");
        }
    }

    fn properties(&mut self, file: &'static str) {
        self.put(file, "    proc_num: ");
        let number = self.written(Kind::Number);
        self.scalar(file, &number, Kind::Number);
        // A value that stands for another changes with it; an overlay may replace the one and leave the other.
        self.put(file, "\n    work_path: &path ");
        let path = self.written(Kind::Text);
        self.scalar(file, &path, Kind::Text);
        let alias = if file == BASE { "\n    description: *path" } else { "" };
        self.put(file, alias);
        self.put(file, "\n    user: {value: ");
        let user = self.value(Kind::Text);
        self.scalar(file, &user, Kind::Text);
        self.put(file, ", as_default_value: ");
        self.scalar(file, "true", Kind::Flag);
        self.put(file, "}\n");
        if self.dice.roll(2) == 0 {
            self.put(file, "    bind_info:\n");
            for _ in 0..=self.dice.roll(2) {
                self.put(file, "      - {ip: ");
                self.scalar(file, "0.0.0.0", Kind::Of(&["0.0.0.0", "127.0.0.1"]));
                self.put(file, ", port: ");
                let port = self.value(Kind::Port);
                self.scalar(file, &port, Kind::Port);
                self.put(file, ", protocol: ");
                self.scalar(file, "tcp", Kind::Of(&["tcp", "udp"]));
                self.put(file, "}\n");
            }
        }
    }

    /// Returns the file of a scalar with another value in its place, and its place in a plan.
    fn mutated(&mut self, scalar: &Scalar) -> (String, Value) {
        let text = self.texts[scalar.file].clone();
        let now = text[scalar.start..scalar.start + scalar.length].to_owned();
        let mut new = self.value(scalar.kind);
        while new == now {
            new = self.value(scalar.kind);
        }
        let before = &text[..scalar.start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        let place =
            json!({"file": scalar.file, "line": before.matches('\n').count() + 1, "column": line.chars().count() + 1});
        (format!("{before}{new}{}", &text[scalar.start + scalar.length..]), place)
    }
}

/// The calls of a plan by what they serve: what is sent, and the places that it rests on.
fn calls(site: &Site) -> BTreeMap<String, (Value, BTreeSet<String>)> {
    let output = site.run(&["plan", "m", "--overlay", "over", "--values", VALUES, "-o", "json"]);
    let plan = output.json();
    assert_eq!(plan["kind"], "Plan", "{output}");
    let calls = plan["calls"].as_array().expect("a list").iter().map(|call| {
        let because = call["because"].as_array().expect("a list").iter().map(Value::to_string).collect();
        (call["serves"].to_string(), (json!([call["operation"], call["target"], call["arguments"]]), because))
    });
    calls.collect()
}

/// A site with more switches.
fn live() -> Value {
    let mut state = state();
    let switches = state["bk-cmdb"]["instances"]["bk_switch"].as_array_mut().expect("a list");
    for (id, key) in [(4, "A4"), (5, "B1"), (6, "B3")] {
        switches.push(json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_asset_id": key, "ports": 24}));
    }
    state
}

#[test]
fn a_changed_scalar_changes_the_calls_that_name_it() {
    let sets = std::env::var("RECONCILE_MUTATIONS").ok().and_then(|sets| sets.parse().ok()).unwrap_or(SETS);
    let (mut none, mut one, mut several) = (0, 0, 0);
    for seed in 0..sets {
        let mut scene = Scene::new(seed);
        scene.put(OVER, "# may be empty\n");
        let files: Vec<_> = scene.texts.iter().map(|(file, text)| (*file, text.clone())).collect();
        let files: Vec<_> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let site = Site::with(&live(), &files);
        // A second way to the same server: its objects are others all the same.
        let way = "access: esb, auth: {appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}";
        site.configure(&format!("  cmdb-2: {{platform: bk-cmdb, endpoint: '{}', {way}}}\n", site.url()));
        let before = calls(&site);
        assert!(before.len() > 5, "seed {seed}: {before:#?}");
        for _ in 0..MUTATIONS {
            let scalar = scene.scalars[scene.dice.roll(scene.scalars.len())].clone();
            let (text, place) = scene.mutated(&scalar);
            site.write(scalar.file, &text);
            let after = calls(&site);
            site.write(scalar.file, &scene.texts[scalar.file]);
            let served: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let sent = |calls: &BTreeMap<String, (Value, _)>, one: &str| calls.get(one).map(|(sent, _)| sent.clone());
            let names = |calls: &BTreeMap<String, (Value, BTreeSet<String>)>, one: &str| {
                calls.get(one).is_some_and(|(_, because)| because.contains(&place.to_string()))
            };
            let changed: Vec<_> = served.iter().filter(|one| sent(&before, one) != sent(&after, one)).collect();
            let named: Vec<_> = served.iter().filter(|one| names(&before, one) || names(&after, one)).collect();
            assert_eq!(changed, named, "seed {seed}, {place} changed:\n{text}\n{}", scene.texts[OVER]);
            match changed.len() {
                0 => none += 1,
                1 => one += 1,
                _ => several += 1,
            }
        }
    }
    // All three happen, or it shows little.
    let count = sets * MUTATIONS;
    assert!(
        sets < SETS || (none * 30 > count && one * 2 > count && several * 30 > count),
        "{none}, {one}, {several} of {count}"
    );
}
