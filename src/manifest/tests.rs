use proptest::prelude::*;
use serde_json::Value;

use super::{Discovery, Set, Targets, Variables, decode, values};
use crate::{
    diagnostic::{Diagnostic, render},
    model::{
        Call, Desired, Ensure, FieldChange, FieldPath, Json, KeyPool, Live, Reference, Refusal, Request, ResourceId,
    },
    provider::{Endpoint, Envelope, Facts, Kind, Observation, Planned, Platform, Prepared, Reply, Step},
    source::{Located, Sources},
    yaml::{self, Form, Node, Section},
};

/// A kind with a port, an upstream and any number of free fields.
struct Switch;

impl Kind for Switch {
    fn name(&self) -> &'static str {
        "Switch"
    }

    fn spec_form(&self) -> &'static Form {
        const { &Form::new(&[]) }
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "spec of Switch", diagnostics) else { return Vec::new() };
        let mut desired = envelope.desired("Switch", Ensure::Existing);
        if let Some(node) = section.require("serial", diagnostics)
            && let Some(serial) = yaml::text(node, "serial", diagnostics)
        {
            desired.locator.insert("serial".into(), Located::new(serial, node.origin.clone()));
        }
        if let Some(node) = section.get("port") {
            yaml::integer(node, "port", diagnostics);
        }
        if let Some(node) = section.get("upstream") {
            let key = yaml::text(node, "upstream", diagnostics).unwrap_or_default();
            desired.references.push(Reference { to: ResourceId::new("Switch", key), origin: node.origin.clone() });
        }
        if let Some(node) = section.get("fields") {
            for (key, value) in node.entries() {
                desired.fields.insert(FieldPath::field(key.key()), Located::new(value.to_json(), value.origin.clone()));
            }
        }
        section.finish(diagnostics);
        if diagnostics.len() > before { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, _: &[&Desired], _: &[&Desired], _: &Facts) -> Step<Observation> {
        Observation::default().step()
    }

    fn reread(&self, _: &[(&Desired, &serde_json::Value)], _: &Facts) -> Step<Observation> {
        Observation::default().step()
    }

    fn compare(&self, _: &Desired, _: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn calls(&self, _: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        Vec::new()
    }
}

/// A kind of another platform, without anything of its own.
struct Cable;

impl Kind for Cable {
    fn name(&self) -> &'static str {
        "Cable"
    }

    fn spec_form(&self) -> &'static Form {
        const { &Form::new(&[]) }
    }

    fn decode(&self, _: &Envelope, _: &Node<'_>, _: &mut Vec<Diagnostic>) -> Vec<Desired> {
        Vec::new()
    }

    fn observe(&self, _: &[&Desired], _: &[&Desired], _: &Facts) -> Step<Observation> {
        Observation::default().step()
    }

    fn reread(&self, _: &[(&Desired, &serde_json::Value)], _: &Facts) -> Step<Observation> {
        Observation::default().step()
    }

    fn compare(&self, _: &Desired, _: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn calls(&self, _: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        Vec::new()
    }
}

struct Fabric(&'static str, &'static [&'static dyn Kind]);

impl Platform for Fabric {
    fn name(&self) -> &'static str {
        self.0
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        self.1
    }

    fn operation(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn is_read(&self, _: &str) -> bool {
        true
    }

    fn prepare(&self, _: &Request, _: &Endpoint, _: crate::provider::RequestContext<'_>) -> Result<Prepared, Refusal> {
        Err(Refusal::new(None, "no server"))
    }

    fn interpret(&self, _: &Request, _: &Reply<'_>, _: &mut KeyPool) -> Result<Json, Refusal> {
        Err(Refusal::new(None, "no server"))
    }
}

static PLATFORMS: [&dyn Platform; 2] = [&Fabric("net-fabric", &[&Switch]), &Fabric("cabling", &[&Cable])];

fn targets() -> Targets {
    [
        ("fabric-1", "net-fabric", true),
        ("fabric-2", "net-fabric", false),
        ("cab-1", "cabling", false),
        ("cab-2", "cabling", false),
    ]
    .into_iter()
    .collect()
}

mod overlays;

fn run(files: &[(&str, &str)], targets: &Targets, variables: &Variables) -> (Set, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let files: Vec<_> = files.iter().map(|(path, text)| sources.add(*path, *text)).collect();
    let (set, diagnostics) =
        decode(&sources, &Discovery { files, ..Discovery::default() }, &PLATFORMS, targets, variables);
    (set, diagnostics, sources)
}

/// Shows what is declared, then the messages.
fn show(files: &[(&str, &str)], variables: &Variables) -> String {
    let (set, diagnostics, sources) = run(files, &targets(), variables);
    let mut lines = vec![format!("{} documents", set.documents)];
    for object in &set.desired {
        let fields: Vec<String> = object.fields.iter().map(|(path, at)| format!(" {path}={}", at.value)).collect();
        let position = sources.position(&object.origin);
        lines.push(format!("{} in {} at {position}{}", object.id, object.target, fields.concat()));
    }
    lines.extend(set.broken.iter().map(|id| format!("broken: {id}")));
    lines.extend(
        set.desired.iter().filter(|desired| desired.protect).map(|desired| format!("protected: {}", desired.id)),
    );
    format!("{}\n\n{}", lines.join("\n"), render::text(&diagnostics, &sources, false, 120))
}

fn check(text: &str) -> String {
    show(&[("a.yaml", text)], &Variables::default())
}

/// Returns a manifest of a switch.
fn switch(name: &str, spec: &str) -> String {
    format!("apiVersion: net-fabric/v1\nkind: Switch\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n")
}

#[test]
fn documents_decode() {
    let first = switch("one", "{serial: 1}")
        + "apiVersion: net-fabric/v1\nkind: Switch\nmetadata:\n  name: 二号\n  target: fabric-2\n  labels: {site: sz, rack: 7}\n  annotations: {ticket: 'a, b'}\nspec:\n  serial: B\n  upstream: one\n  protect: true\n  policy: enforce\n";
    let ours = "apiVersion: reconcile/v1\nkind: Plan\nx: ${NOT_A_VARIABLE}\ny: no\ny: 1\n";
    insta::assert_snapshot!(show(&[("a.yaml", &first), ("plan.yaml", ours)], &Variables::default()), @r"
    2 documents
    Switch/one in fabric-1 at a.yaml:1:1
    Switch/二号 in fabric-2 at a.yaml:6:1
    protected: Switch/二号
    ");
}

#[test]
fn a_manifest_is_no_document_of_our_own_for_saying_so() {
    insta::assert_snapshot!(check(&switch("one", "{serial: 1}").replace("net-fabric/v1", "reconcile/v1")), @r"
    1 documents
    broken: Switch/one

    error[M001]: unknown apiVersion `reconcile/v1`
     --> a.yaml:1:13
      |
    1 | apiVersion: reconcile/v1
      |             ^^^^^^^^^^^^
      |
      = help: known are net-fabric/v1, cabling/v1
    ");
}

/// Ten documents, nearly all of them broken.
const BROKEN: &str = "apiVersion: net-fabrik/v1
kind: Swich
metadata: {name: a}
spec: {serial: 1}
---
apiVersion: net-fabric/v2
kind: Cable
metadata: {nmae: b, target: cab-1}
spec: {}
---
kind: Switch
metadata:
  name: ' c'
  target: fabric-3
  labels: {'a,b': c, d: [e], f: 'g,h'}
spec: {serial: 2, policy: reprot, fieldPolicy: [], protect: maybe}
---
apiVersion: cabling/v1
kind: Cable
metadata: {name: d}
---
version: '3'
services: {}
---
- a
---
apiVersion: net-fabric/v1
kind: Switch
metadata: {name: e, target: cab-1}
spec: [1]
---
apiVersion: net-fabric/v1
kind: Switch
metadata: {name: good}
spec: {serial: 3}
";

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot")]
fn ten_mistakes_in_one_file() {
    insta::assert_snapshot!(check(BROKEN), @r"
    8 documents
    Switch/good in fabric-1 at a.yaml:32:1
    broken: Cable/d
    broken: Switch/e

    error[M001]: unknown apiVersion `net-fabrik/v1`
     --> a.yaml:1:13
      |
    1 | apiVersion: net-fabrik/v1
      |             ^^^^^^^^^^^^^
      |
      = help: did you mean `net-fabric/v1`?

    error[M003]: unknown kind `Swich`
     --> a.yaml:2:7
      |
    2 | kind: Swich
      |       ^^^^^
      |
      = help: did you mean `Switch`?

    error[M002]: apiVersion `net-fabric/v2` is not known to this version
     --> a.yaml:6:13
      |
    6 | apiVersion: net-fabric/v2
      |             ^^^^^^^^^^^^^
      |
      = help: write net-fabric/v1

    error[M003]: `Cable` is not a kind of net-fabric
     --> a.yaml:7:7
      |
    7 | kind: Cable
      |       ^^^^^
      |
      = help: it is one of cabling: apiVersion: cabling/v1

    error[Y202]: unknown key `nmae` in metadata
     --> a.yaml:8:12
      |
    8 | metadata: {nmae: b, target: cab-1}
      |            ^^^^
      |
      = help: did you mean `name`?

    error[M007]: target `cab-1` is one of cabling, not of net-fabric
     --> a.yaml:8:29
      |
    8 | metadata: {nmae: b, target: cab-1}
      |                             ^^^^^
      |
      = help: targets of net-fabric: fabric-1, fabric-2

    error[Y203]: the document needs `apiVersion`
      --> a.yaml:11:1
       |
    11 | kind: Switch
       | ^^^^
       |
       = help: write `apiVersion: net-fabric/v1` or `apiVersion: cabling/v1`

    error[M004]: metadata.name must not begin or end with a space
      --> a.yaml:13:9
       |
    13 |   name: ' c'
       |         ^^^^

    error[M005]: the label key `a,b` must not hold spaces or any of , = !
      --> a.yaml:15:12
       |
    15 |   labels: {'a,b': c, d: [e], f: 'g,h'}
       |            ^^^^^

    error[Y204]: labels.d has to be a text, not a list
      --> a.yaml:15:25
       |
    15 |   labels: {'a,b': c, d: [e], f: 'g,h'}
       |                         ^^^

    error[M005]: the label `f` must not hold a comma or spaces at its ends
      --> a.yaml:15:33
       |
    15 |   labels: {'a,b': c, d: [e], f: 'g,h'}
       |                                 ^^^^^

    error[Y207]: `policy` cannot be `reprot`
      --> a.yaml:16:27
       |
    16 | spec: {serial: 2, policy: reprot, fieldPolicy: [], protect: maybe}
       |                           ^^^^^^
       |
       = help: did you mean `report`?

    error[Y201]: `fieldPolicy` has to be a mapping, not a list
      --> a.yaml:16:48
       |
    16 | spec: {serial: 2, policy: reprot, fieldPolicy: [], protect: maybe}
       |                                                ^^

    error[Y206]: `protect` has to be true or false, not a text
      --> a.yaml:16:61
       |
    16 | spec: {serial: 2, policy: reprot, fieldPolicy: [], protect: maybe}
       |                                                             ^^^^^

    error[Y203]: the document needs `spec`
      --> a.yaml:18:1
       |
    18 | apiVersion: cabling/v1
       | ^^^^^^^^^^

    error[M008]: it is not clear which target of cabling is meant
      --> a.yaml:18:13
       |
    18 | apiVersion: cabling/v1
       |             ^^^^^^^^^^
       |
       = help: write metadata.target, one of cab-1, cab-2, or `default: true` at one of them in reconcile.yaml

    error[M015]: this is not a manifest: it has neither `apiVersion` nor `kind`
      --> a.yaml:22:1
       |
    22 | version: '3'
       | ^^^^^^^
       |
       = help: name files that are something else in .reconcileignore

    error[Y201]: the document has to be a mapping, not a list
      --> a.yaml:25:1
       |
    25 | - a
       | ^^^

    error[M007]: target `cab-1` is one of cabling, not of net-fabric
      --> a.yaml:29:29
       |
    29 | metadata: {name: e, target: cab-1}
       |                             ^^^^^
       |
       = help: targets of net-fabric: fabric-1, fabric-2

    error[Y201]: spec of Switch has to be a mapping, not a list
      --> a.yaml:30:7
       |
    30 | spec: [1]
       |       ^^^
    ");
}

#[test]
fn a_name_is_told_from_a_part_of_its_object() {
    let is_refused =
        |name: &str| check(&switch(name, "{serial: 1}")).contains("error[M004]: metadata.name must not hold");
    for (name, expected) in [("a → b", true), ("a→b", false), ("a -> b", false), ("a →", false), ("a/b", false)] {
        assert_eq!(is_refused(name), expected, "{name}");
    }
}

#[test]
fn names_and_objects_are_declared_once() {
    let text = switch("one", "{serial: X}") + &switch("two", "{serial: Y}");
    let two = switch("one", "{serial: Z}") + &switch("three", "{serial: Y}");
    insta::assert_snapshot!(show(&[("a.yaml", &text), ("b.yaml", &two)], &Variables::default()), @r"
    4 documents
    broken: Switch/one
    broken: Switch/three
    broken: Switch/two

    error[M010]: there is another Switch called `one`
     --> b.yaml:3:18
      |
    3 | metadata: {name: one}
      |                  ^^^ again
      |
     ::: a.yaml:3:18
      |
    3 | metadata: {name: one}
      |                  --- first here
      |
      = help: metadata.name is unique per kind; it can be chosen freely

    error[M011]: Switch/three means the same object as Switch/two
     --> b.yaml:6:1
      |
    6 | apiVersion: net-fabric/v1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^ this document
      |
     ::: a.yaml:6:1
      |
    6 | apiVersion: net-fabric/v1
      | ------------------------- and this one
      |
      = help: declare an object in one document
    ");
}

#[test]
fn references_lead_to_documents() {
    let text = switch("core-1", "{serial: 1}")
        + &switch("leaf", "{serial: 2, upstream: core-2}")
        + &switch("deep", "{serial: 3, upstream: broken}")
        + &switch("broken", "{serial: []}");
    insta::assert_snapshot!(check(&text), @r"
    4 documents
    Switch/core-1 in fabric-1 at a.yaml:1:1
    Switch/deep in fabric-1 at a.yaml:11:1
    broken: Switch/broken
    broken: Switch/leaf

    error[M012]: there is no Switch called `core-2`
     --> a.yaml:9:29
      |
    9 | spec: {serial: 2, upstream: core-2}
      |                             ^^^^^^
      |
      = help: did you mean `core-1`?

    error[Y204]: serial has to be a text, not a list
      --> a.yaml:19:16
       |
    19 | spec: {serial: []}
       |                ^^
    ");
    insta::assert_snapshot!(check(&(switch("leaf", "{serial: 2, upstream: elsewhere}") + "a: [\n")), @r"
    1 documents
    broken: Switch/leaf

    error[M012]: there is no Switch called `elsewhere`
     --> a.yaml:4:29
      |
    4 | spec: {serial: 2, upstream: elsewhere}
      |                             ^^^^^^^^^
      |
      = help: a document that could not be read may be the one that is meant

    error[Y001]: unclosed bracket '['
     --> a.yaml:6:4
      |
    6 | a: [
      |    ^
    ");
}

#[test]
fn a_mistake_of_yaml_is_reported_once() {
    let text = switch("one", "*nothing") + &switch("two", "{serial: 1, serial: 2, port: *nothing, colour: red}");
    insta::assert_snapshot!(check(&text), @r"
    2 documents
    broken: Switch/one
    broken: Switch/two

    error[Y002]: no anchor `&nothing` before this alias
     --> a.yaml:4:7
      |
    4 | spec: *nothing
      |       ^^^^^^^^

    error[Y006]: the key `serial` is written twice
     --> a.yaml:9:19
      |
    9 | spec: {serial: 1, serial: 2, port: *nothing, colour: red}
      |        ------     ^^^^^^ again
      |        |
      |        first written here

    error[Y002]: no anchor `&nothing` before this alias
     --> a.yaml:9:36
      |
    9 | spec: {serial: 1, serial: 2, port: *nothing, colour: red}
      |                                    ^^^^^^^^

    error[Y202]: unknown key `colour` in spec of Switch
     --> a.yaml:9:46
      |
    9 | spec: {serial: 1, serial: 2, port: *nothing, colour: red}
      |                                              ^^^^^^
      |
      = help: known keys: fields, port, serial, upstream
    ");
}

#[test]
fn a_platform_needs_a_target() {
    let text = switch("one", "{serial: 1}") + &switch("two", "{serial: 2}");
    let (set, diagnostics, sources) = run(&[("a.yaml", &text)], &Targets::default(), &Variables::default());
    assert!(set.desired.is_empty());
    insta::assert_snapshot!(render::text(&diagnostics, &sources, false, 120), @r"
    error[M008]: there is no target of net-fabric
     --> a.yaml:1:13
      |
    1 | apiVersion: net-fabric/v1
      |             ^^^^^^^^^^^^^
      |
      = help: add one to reconcile.yaml
    ");
}

fn variables() -> Variables {
    let mut sources = Sources::default();
    let file = sources.add("values.yaml", "NAME: from values\nCODE: '010'\nCOUNT: 5\nLIST: [1]\nbad-name: x\n");
    let mut diagnostics = Vec::new();
    let layer = values(&sources, file, &mut diagnostics);
    assert_eq!(diagnostics.iter().map(|found| found.code.clone()).collect::<Vec<_>>(), ["M017", "M016"]);
    let environment = [("RECONCILE_VAR_ENV", "环境"), ("RECONCILE_VAR_NAME", "shadowed"), ("PATH", "/bin")];
    Variables::default()
        .over_assignments(["SET=3", "EMPTY="])
        .expect("these are assignments")
        .over(layer)
        .over_environment(environment.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

#[test]
fn variables_are_replaced_after_parsing() {
    let spec = "
  serial: sw-${SET}
  port: ${COUNT}
  fields:
    a: ${SET}
    b: \"${SET}\"
    c: ${CODE}
    d: ${NAME}/${ENV}
    e: $${NAME} $NAME $$${NAME}
    f: ${NOTHING:-8080}
    g: ${EMPTY:-名 字}
    h: ${EMPTY}
    hh: ${NOTHING:-}
    i: 1${SET}
    j: [\"${NOTHING:-}\", {k: \"${ENV}\"}]
    ${KEY}: kept";
    insta::assert_snapshot!(show(&[("a.yaml", &switch("x", spec))], &variables()), @r#"
    1 documents
    Switch/x in fabric-1 at a.yaml:1:1 ${KEY}="kept" a=3 b="3" c="010" d="from values/环境" e="${NAME} $NAME $${NAME}" f=8080 g="名 字" h="" hh="" i="13" j=["",{"k":"环境"}]
    "#);
}

#[test]
fn an_unset_variable_is_shown_where_it_stands() {
    let spec = "
  serial: 序列 ${SET} ${PATH} ${SETT} ${}
  port: ${NOTHING}
  fields:
    a: |
      export A=${a%%b}
      echo ${UNSET} ${
    b: \"\\u0024{X}\"
    c: &c ${C}
    d: *c";
    insta::assert_snapshot!(show(&[("a.yaml", &switch("x", spec))], &variables()), @r#"
    1 documents
    broken: Switch/x

    error[M013]: the variable `PATH` is not set
     --> a.yaml:5:21
      |
    5 |   serial: 序列 ${SET} ${PATH} ${SETT} ${}
      |                       ^^^^^^^
      |
      = help: give it by --set PATH=…, --values FILE or RECONCILE_VAR_PATH, or write a default: ${PATH:-…}

    error[M013]: the variable `SETT` is not set
     --> a.yaml:5:29
      |
    5 |   serial: 序列 ${SET} ${PATH} ${SETT} ${}
      |                               ^^^^^^^
      |
      = help: `SET` is set

    error[M014]: this is not a variable
     --> a.yaml:5:37
      |
    5 |   serial: 序列 ${SET} ${PATH} ${SETT} ${}
      |                                       ^^^
      |
      = help: a variable is ${NAME} or ${NAME:-default}; write $${ for the characters ${

    error[M013]: the variable `NOTHING` is not set
     --> a.yaml:6:9
      |
    6 |   port: ${NOTHING}
      |         ^^^^^^^^^^
      |
      = help: give it by --set NOTHING=…, --values FILE or RECONCILE_VAR_NOTHING, or write a default: ${NOTHING:-…}

    error[M014]: this is not a variable
     --> a.yaml:9:16
      |
    9 |       export A=${a%%b}
      |                ^^^^^^^
      |
      = help: a variable is ${NAME} or ${NAME:-default}; write $${ for the characters ${

    error[M013]: the variable `UNSET` is not set
      --> a.yaml:10:12
       |
    10 |       echo ${UNSET} ${
       |            ^^^^^^^^
       |
       = help: give it by --set UNSET=…, --values FILE or RECONCILE_VAR_UNSET, or write a default: ${UNSET:-…}

    error[M014]: this is not a variable
      --> a.yaml:10:21
       |
    10 |       echo ${UNSET} ${
       |                     ^^
       |
       = help: a variable is ${NAME} or ${NAME:-default}; write $${ for the characters ${

    error[M013]: the variable `X` is not set
      --> a.yaml:11:8
       |
    11 |     b: "\u0024{X}"
       |        ^^^^^^^^^^^
       |
       = help: give it by --set X=…, --values FILE or RECONCILE_VAR_X, or write a default: ${X:-…}

    error[M013]: the variable `C` is not set
      --> a.yaml:12:11
       |
    12 |     c: &c ${C}
       |           ^^^^
       |
       = help: give it by --set C=…, --values FILE or RECONCILE_VAR_C, or write a default: ${C:-…}

    error[M013]: the variable `C` is not set
      --> a.yaml:13:8
       |
    13 |     d: *c
       |        ^^
       |
       = help: give it by --set C=…, --values FILE or RECONCILE_VAR_C, or write a default: ${C:-…}
    "#);
}

#[test]
fn assignments_have_a_name() {
    for text in ["A", "=1", "a b=1", "1=2"] {
        assert!(Variables::default().over_assignments([text]).is_err(), "{text}");
    }
}

#[test]
fn the_digest_is_that_of_paths_and_texts() {
    let digest = |files: &[(&str, &str)]| {
        let mut sources = Sources::default();
        let files: Vec<_> = files.iter().map(|(path, text)| sources.add(*path, *text)).collect();
        crate::manifest::digest(&sources, files)
    };
    let text = digest(&[("a", "x"), ("b", "y")]);
    assert_eq!(text.len(), 64);
    assert_eq!(text, digest(&[("a", "x"), ("b", "y")]));
    assert_ne!(text, digest(&[("a", "x"), ("b", "z")]));
    assert_ne!(text, digest(&[("ab", "x"), ("", "y")]));
}

proptest! {
    #[test]
    fn nothing_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "apiVersion: ", "net-fabric/v1\n", "kind: ", "Switch\n", "metadata: ", "{name: ", "a", "}\n", "spec: ", "serial: ",
        "\n", "  ", "---\n", "${", "A:-", "}", "$", "名", "&a ", "*a\n", "<<: ", "[", "]", "- ", "'", "\"", "upstream: a\n",
    ]), 0..40)) {
        let text = parts.concat();
        let (_, diagnostics, sources) = run(&[("a.yaml", &text)], &targets(), &variables());
        render::text(&diagnostics, &sources, false, 80);
    }
}
