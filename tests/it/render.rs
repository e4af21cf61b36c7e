//! `render`: manifests after variables and overlays.

use serde_json::{Value, json};

use crate::{
    forms::check_document,
    harness::{Site, repository, state, switch},
};

const OVER: &str = "kind: Instance
metadata: {name: one}
spec:
  fields:
    ports: ${PORTS}
    remark: null
";

const PROD: [&str; 4] = ["m", "--overlay", "prod", "--set"];

fn site() -> Site {
    let base = switch("one", "bk_asset_id: A1", "ports: 48, operator: [alice, '${BOB:-bob}'], remark: base")
        + &switch("two", "bk_asset_id: A2", "ports: '${PORTS}', remark: 'costs $${5}', bk_sn: 0042");
    Site::with(&state(), &[("m/net.yaml", &base), ("prod/net.yaml", OVER)])
}

fn render(site: &Site, more: &[&str]) -> crate::harness::Output {
    let output = site.run(&[&["render"], &PROD[..], &["PORTS=12"], more].concat());
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(site.sandbox().calls().len(), 0, "it needs no server");
    output
}

#[test]
fn values_have_the_places_that_decided_them() {
    let site = site();
    insta::assert_snapshot!(render(&site, &["--target", "*/one"]).stdout, @r#"
    ---
    # m/net.yaml:1
    apiVersion: bk-cmdb/v1
    kind: Instance
    metadata:
      name: one
    spec:
      model: bk_switch
      match:
        bk_asset_id: A1
      fields:
        ports: 12  # prod/net.yaml:5:12: ${PORTS} from --set; overlay prod, over m/net.yaml:7:19
        operator:
          - alice
          - bob  # ${BOB} by default
        remark: null  # prod/net.yaml:6:13: overlay prod, over m/net.yaml:7:65
    "#);
    let document = render(&site, &["-o", "json"]).json();
    check_document(&document);
    assert_eq!(document["documents"].as_array().map(Vec::len), Some(2));
    let origins = document["documents"][0]["origins"].as_array().expect("a list");
    let ports = origins.iter().find(|origin| origin["path"] == "/spec/fields/ports").expect("it is there");
    assert_eq!(
        *ports,
        json!({"path": "/spec/fields/ports", "at": {"file": "prod/net.yaml", "line": 5, "column": 12}, "via": [
            {"variable": "PORTS", "from": "set"},
            {"overlay": "prod", "over": {"file": "m/net.yaml", "line": 7, "column": 19}},
        ]})
    );
}

/// The changes of a plan without the places of their values, in one order.
fn changes(site: &Site, arguments: &[&str]) -> Value {
    let mut plan = site.run(&[&["plan", "-o", "json"], arguments].concat()).json();
    for change in plan["changes"].as_array_mut().expect("there are changes") {
        change["at"].take();
        let fields = change["fields"].as_array_mut().expect("there are fields");
        for field in fields.iter_mut() {
            field["at"].take();
            field.as_object_mut().expect("an object").remove("via");
        }
        // They are in the order of their places.
        fields.sort_by_key(|field| field["path"].to_string());
    }
    plan["changes"].take()
}

#[test]
fn what_is_rendered_declares_the_same() {
    let site = site();
    let rendered = render(&site, &[]).stdout;
    assert!(rendered.contains("remark: \"costs $${5}\"\n") && rendered.contains("bk_sn: 0042\n"), "{rendered}");
    let before = changes(&site, &[&PROD[..], &["PORTS=12"]].concat());
    site.write("again/all.yaml", &rendered);
    assert_eq!(changes(&site, &["again"]), before);
    // Once more, it is the same but for the places.
    let again = site.run(&["render", "again"]).stdout;
    let plain = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("# "));
        lines.map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(plain(&again), plain(&rendered));
}

#[test]
fn all_examples_are_rendered_as_what_they_are() {
    let root = repository();
    for (base, overlay) in [("manifests", None), ("manifests", Some("overlays/prod")), ("business", None)] {
        let site = Site::new(&state());
        let base = root.join("examples").join(base).display().to_string();
        let config = format!("{base}/reconcile.yaml");
        let mut arguments = vec!["render", &*base, "--config", &*config];
        let overlay = overlay.map(|overlay| root.join("examples").join(overlay).display().to_string());
        overlay.iter().for_each(|overlay| arguments.extend(["--overlay", &**overlay]));
        let output = site.run(&arguments);
        assert_eq!(output.code, Some(0), "{output}");
        site.write("rendered/all.yaml", &output.stdout);
        let counts = |paths: &[&str]| {
            let output = site.run(&[&["validate", "--config", &config], paths].concat());
            assert_eq!(output.code, Some(0), "{output}");
            output.stdout
        };
        assert_eq!(counts(&["rendered"]), counts(&arguments[1..2]));
    }
}

#[test]
fn secrets_are_masked() {
    let site = site();
    let output = site.run(&["render", "m", "--set", "PORTS=12", "--set", "BOB=x-hush-x"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(!output.to_string().contains("hush"), "{output}");
    assert!(output.stdout.contains("- \"***\"  # ${BOB} from --set\n"), "{output}");
}

#[test]
fn mistakes_are_reported_and_nothing_is_rendered() {
    let site = site();
    let output = site.run(&["render", "m"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output}");
    assert!(output.stderr.contains("m/net.yaml:15:20"), "{output}");
    let output = render(&site, &["-l", "site notin (sz)", "--exclude", "*/two"]);
    assert!(!output.stdout.contains("two"), "{output}");
    let output = site.run(&["render", "m", "--set", "PORTS=1", "--target", "Instance/none"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(64), ""), "{output}");
}
