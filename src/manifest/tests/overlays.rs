use super::*;
use crate::manifest::{Given, Overlay, Via};

/// Reads a base and overlays over it, each a name and a text.
fn laid(base: &str, overlays: &[(&str, &str)]) -> (Set, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let files = vec![sources.add("base.yaml", base)];
    let overlays = overlays.iter().map(|(name, text)| Overlay {
        directory: (*name).into(),
        files: vec![sources.add(format!("{name}/x.yaml"), *text)],
        partial: false,
    });
    let found = Discovery { files, overlays: overlays.collect(), errors: Vec::new(), broken: Vec::new() };
    let (set, diagnostics) = decode(&sources, &found, &PLATFORMS, &targets(), &variables());
    (set, diagnostics, sources)
}

/// Shows what is declared, each value with its place and how it came about, then the messages.
fn show(base: &str, overlays: &[(&str, &str)]) -> String {
    let (set, diagnostics, sources) = laid(base, overlays);
    let mut lines = Vec::new();
    for object in &set.desired {
        lines.push(object.id.to_string());
        let finders = object.locator.iter().map(|(name, value)| (&**name, value));
        for (path, value) in finders.chain(object.fields.iter().map(|(path, value)| (path.as_str(), value))) {
            let steps: Vec<String> = set.provenance.via(&value.origin).iter().map(|via| step(via, &sources)).collect();
            let at = sources.position(&value.origin);
            lines.push(format!("  {path}={} {at} {}", value.value, steps.join(", ")).trim_end().to_owned());
        }
    }
    lines.extend(set.broken.iter().map(|id| format!("broken: {id}")));
    format!("{}\n\n{}", lines.join("\n"), render::text(&diagnostics, &sources, false, 120))
}

fn step(via: &Via, sources: &Sources) -> String {
    match via {
        Via::Variable(usage) => {
            let given = match &usage.given {
                // The values file of these tests is in other sources; its bytes are what can be shown.
                Given::Values(at) => format!("values {:?}", at.bytes),
                other => format!("{other:?}"),
            };
            format!("${{{}}} {given}", usage.name)
        }
        Via::Overlay { directory, over } => {
            let over = over.as_ref().map(|over| format!(" over {}", sources.position(over))).unwrap_or_default();
            format!("[{directory}{over}]")
        }
    }
}

const BASE: &str = "apiVersion: net-fabric/v1
kind: Switch
metadata: {name: one}
spec:
  serial: A1
  port: 80
  fields:
    a: 1
    b: {c: 2, d: '${COUNT}'}
    e: [1, 2]
    f: ${NAME}
";

fn over(spec: &str) -> String {
    format!("kind: Switch\nmetadata: {{name: one}}\nspec: {spec}\n---\n")
}

#[test]
fn keys_are_merged_and_the_last_overlay_wins() {
    let prod = over("{port: 443, fields: {a: 5, b: {c: '${SET}'}, e: [3, '${NAME}'], f: null, g: new}}");
    let eu = over("{fields: {a: 6, b: {x: 1}}}");
    insta::assert_snapshot!(show(BASE, &[("prod", &prod), ("eu", &eu)]), @r##"
    Switch/one
      serial="A1" base.yaml:5:11
      a=6 eu/x.yaml:3:20 [eu over prod/x.yaml:3:31]
      b={"c":"3","d":"5","x":1} base.yaml:9:8 ${SET} Set, ${COUNT} values 37..38, [prod over base.yaml:9:12], [eu]
      e=[3,"from values"] prod/x.yaml:3:55 ${NAME} values 6..17, [prod over base.yaml:10:8]
      f=null prod/x.yaml:3:74 [prod over base.yaml:11:8]
      g="new" prod/x.yaml:3:83 [prod]
    "##);
}

#[test]
fn aliases_and_merge_keys_stay_within_their_file() {
    let base = switch("one", "{serial: A, fields: {a: &x {k: 1, l: 2}, b: *x, c: {<<: *x, l: 3}}}");
    let prod = over("{fields: {a: &y {k: '${COUNT}'}, b: *y, c: {<<: *y}, d: *y}}");
    insta::assert_snapshot!(show(&base, &[("prod", &prod)]), @r##"
    Switch/one
      serial="A" base.yaml:4:16
      a={"k":"5","l":2} base.yaml:4:34 ${COUNT} values 37..38, [prod over base.yaml:4:38]
      b={"k":"5","l":2} base.yaml:4:51 ${COUNT} values 37..38, [prod over base.yaml:4:38]
      c={"k":"5","l":3} base.yaml:4:58 ${COUNT} values 37..38, [prod over base.yaml:4:38]
      d={"k":"5"} prod/x.yaml:3:63 ${COUNT} values 37..38, [prod over base.yaml:4:38]
    "##);
}

#[test]
fn a_document_without_a_base_holds_everything_back() {
    let base = switch("one", "{serial: A}") + &switch("core-1", "{serial: B}") + "a: [";
    for (text, expected) in [
        (over("{}").replace("name: one", "name: core-2"), "did you mean `core-1`?"),
        (over("{}").replace("name: one", "name: elsewhere"), "a document that could not be read"),
        (over("{}").replace("kind: Switch", "kind: Cable"), "`one` is of kind Switch"),
        (format!("apiVersion: cabling/v1\n{}", over("{}")), "`one` is of apiVersion net-fabric/v1"),
        (format!("apiVersion: reconcile/v1\n{}", over("{}")), "`one` is of apiVersion net-fabric/v1"),
        ("apiVersion: reconcile/v1\nspec: {}\n".to_owned(), "needs `kind` and `metadata.name`"),
        ("spec: {}\n".to_owned(), "needs `kind` and `metadata.name`"),
        ("a: [\n".to_owned(), "unclosed"),
    ] {
        let (set, diagnostics, sources) = laid(&base, &[("prod", &text)]);
        let told = render::text(&diagnostics, &sources, false, 120);
        assert!(told.contains(expected), "{text}\n{told}");
        assert!(told.contains("prod/x.yaml:"), "{told}");
        assert!(set.desired.is_empty() && set.broken.len() == 2 && set.unplaced, "{text}");
    }
}

#[test]
fn a_mistake_in_an_overlay_holds_back_its_base_only() {
    let base = switch("one", "{serial: A}") + &switch("two", "{serial: B}");
    let twice = over("{serial: C}") + &over("{serial: D}");
    insta::assert_snapshot!(show(&base, &[("prod", &twice)]), @r##"
    Switch/two
      serial="B" base.yaml:9:16
    broken: Switch/one

    error[M020]: this overlay changes the Switch called `one` twice
     --> prod/x.yaml:6:18
      |
    2 | metadata: {name: one}
      |                  --- first here
    ...
    6 | metadata: {name: one}
      |                  ^^^ again
      |
      = help: write both changes in one document
    "##);
    let wrong = over("{serial: {a: '${UNSET}'}, colour: red, port: 1, port: 2}");
    insta::assert_snapshot!(show(&base, &[("prod", &wrong)]), @r##"
    Switch/two
      serial="B" base.yaml:9:16
    broken: Switch/one

    error[Y204]: serial has to be a text, not a mapping
     --> prod/x.yaml:3:16
      |
    3 | spec: {serial: {a: '${UNSET}'}, colour: red, port: 1, port: 2}
      |                ^^^^^^^^^^^^^^^

    error[M013]: the variable `UNSET` is not set
     --> prod/x.yaml:3:21
      |
    3 | spec: {serial: {a: '${UNSET}'}, colour: red, port: 1, port: 2}
      |                     ^^^^^^^^
      |
      = help: give it by --set UNSET=…, --values FILE or RECONCILE_VAR_UNSET, or write a default: ${UNSET:-…}

    error[Y202]: unknown key `colour` in spec of Switch
     --> prod/x.yaml:3:33
      |
    3 | spec: {serial: {a: '${UNSET}'}, colour: red, port: 1, port: 2}
      |                                 ^^^^^^
      |
      = help: known keys: fields, port, serial, upstream

    error[Y006]: the key `port` is written twice
     --> prod/x.yaml:3:55
      |
    3 | spec: {serial: {a: '${UNSET}'}, colour: red, port: 1, port: 2}
      |                                              ----     ^^^^ again
      |                                              |
      |                                              first written here
    "##);
}

#[test]
fn what_is_in_force_is_known_by_place() {
    let prod = over("{fields: {b: {c: 7}, e: [\"${SET}\"]}}");
    let (set, _, sources) = laid(BASE, &[("prod", &prod)]);
    let fields = &set.desired[0].fields;
    let places = |path: &str| {
        let places = set.provenance.places(&fields[&FieldPath::field(path)].origin);
        places.iter().map(|place| sources.position(place).to_string()).collect::<Vec<_>>()
    };
    assert_eq!(places("a"), ["base.yaml:8:8"]);
    assert_eq!(places("b"), ["prod/x.yaml:3:24", "base.yaml:9:18"]);
    assert_eq!(places("e"), ["prod/x.yaml:3:32"]);
    let replaced = |path: &str| set.provenance.replaced_by(&fields[&FieldPath::field(path)].origin).len();
    assert_eq!((replaced("a"), replaced("e")), (0, 0));
    let values: Vec<_> = ["b", "e", "f"]
        .into_iter()
        .flat_map(|path| set.provenance.places(&fields[&FieldPath::field(path)].origin))
        .flat_map(|place| set.provenance.variables(&place).to_vec())
        .collect();
    let names: Vec<&str> = values.iter().map(|usage| &*usage.name).collect();
    assert_eq!(names, ["COUNT", "SET", "NAME"]);
    let Given::Values(at) = &values[0].given else { panic!("{:?}", values[0]) };
    let used: Vec<String> =
        set.provenance.used_at(at).iter().map(|place| sources.position(place).to_string()).collect();
    assert_eq!(used, ["base.yaml:9:18"]);
}

#[test]
fn an_alias_rests_on_what_it_stands_for() {
    let base = switch("one", "{serial: A, fields: {a: &x old, b: *x}}");
    let prod = over("{fields: {a: new}}");
    let (set, _, sources) = laid(&base, &[("prod", &prod)]);
    let mut places = set.provenance.places(&set.desired[0].fields[&FieldPath::field("b")].origin);
    set.provenance.with_sources(&mut places);
    let shown: Vec<String> = places.iter().map(|place| sources.position(place).to_string()).collect();
    assert_eq!(shown, ["base.yaml:4:34", "base.yaml:4:42"]);
    assert_eq!(set.provenance.used_at(&places[0]), [places[1].clone()]);
    assert_eq!(set.provenance.replaced_by(&places[0]).len(), 1);
}

type Entries = std::collections::BTreeMap<String, Value>;

/// A value as JSON, which is YAML too.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..9_i64).prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            mapping_of(inner).prop_map(object),
        ]
    })
}

fn mapping_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Entries> {
    prop::collection::btree_map("[abc]", inner, 0..4)
}

fn object(entries: Entries) -> Value {
    Value::Object(entries.into_iter().collect())
}

/// Merges as the manifest language defines it: mappings key by key, all else is replaced.
fn merged(base: &Value, over: &Value) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return over.clone() };
    let mut both = base.clone();
    for (key, value) in over {
        both.insert(key.clone(), base.get(key).map_or_else(|| value.clone(), |known| merged(known, value)));
    }
    Value::Object(both)
}

/// How many scalars, and lists and mappings with nothing in them, a value consists of.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 1,
    }
}

proptest! {
    #[test]
    fn overlays_merge_as_the_language_says(
        base in mapping_of(value()),
        overlays in prop::collection::vec(mapping_of(value()), 0..3),
    ) {
        let base = object(base);
        let overlays: Vec<Value> = overlays.into_iter().map(object).collect();
        let texts: Vec<String> = overlays.iter().map(|fields| over(&format!("{{fields: {fields}}}"))).collect();
        let texts: Vec<(&str, &str)> = ["one", "two"].into_iter().zip(texts.iter().map(String::as_str)).collect();
        let (set, diagnostics, sources) = laid(&switch("one", &format!("{{serial: A, fields: {base}}}")), &texts);
        let told = render::text(&diagnostics, &sources, false, 120);
        prop_assert!(diagnostics.iter().all(|found| !found.is_error()), "{}", told);
        let fields = &set.desired[0].fields;
        let found = fields.iter().map(|(key, value)| (key.to_string(), value.value.to_value())).collect();
        prop_assert_eq!(object(found), overlays.iter().fold(base, |below, over| merged(&below, over)));
        for located in fields.values() {
            // Each scalar in force has one place, and none of them was replaced.
            let places = set.provenance.places(&located.origin);
            prop_assert_eq!(places.len(), count(&located.value.to_value()).max(1));
            for place in &places {
                let replaced = set.provenance.replaced_by(place);
                prop_assert!(replaced.is_empty(), "{} is replaced", sources.position(place));
            }
        }
    }
}
