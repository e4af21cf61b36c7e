//! The examples of `examples/deploy`: their commands are the program's, their configuration is valid, and they give the
//! program no more rights than it needs.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{program, repository};

fn text(file: &str) -> String {
    std::fs::read_to_string(repository().join("examples/deploy").join(file)).expect("it is there")
}

/// The documents of a YAML file.
fn documents(file: &str, text: &str) -> Vec<Value> {
    let mut sources = reconcile::source::Sources::default();
    let id = sources.add(file, text);
    let mut diagnostics = Vec::new();
    let documents = reconcile::yaml::load(id, text, &mut diagnostics);
    let wrong: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    assert!(wrong.is_empty(), "{file}: {wrong:?}");
    documents.iter().map(|document| document.root.to_json()).collect()
}

/// Checks that the program knows a command with its flags: with `--help` behind it, it is parsed and not run.
fn check_command(arguments: &[&str]) {
    assert_eq!(arguments.first(), Some(&"watch"), "{arguments:?}");
    let output = program().args(arguments).arg("--help").output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn check_config(config: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("reconcile.yaml"), config).expect("it is written");
    let output = program().current_dir(directory.path()).args(["validate", ".", "--allow-empty"]).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}\n{config}", String::from_utf8_lossy(&output.stderr));
}

fn check_container(pod: &Value) {
    let container = &pod["containers"][0];
    let arguments: Vec<&str> = container["args"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    check_command(&arguments);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let expected =
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(container["securityContext"], expected);
    let probes = ["livenessProbe", "readinessProbe"].map(|probe| &container[probe]["httpGet"]["path"]);
    assert_eq!(probes, ["/healthz", "/readyz"]);
}

#[test]
fn kubernetes_gets_a_pod_without_rights() {
    let all = documents("kubernetes", &text("kubernetes/reconcile.yaml"));
    let of = |kind: &str| all.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    check_container(&of("Deployment")["spec"]["template"]["spec"]);
    check_config(of("ConfigMap")["data"]["reconcile.yaml"].as_str().expect("a text"));
    assert_eq!(of("Deployment")["spec"]["replicas"], 1);
    assert_eq!(of("Service")["spec"]["ports"][0]["port"], 8321);
}

/// Fills in a template as far as the values of this chart need it: `helm` itself is asked where it is installed.
fn filled(template: &str) -> String {
    let lines = template.lines().filter(|line| !line.trim_start().starts_with("{{-") || line.contains(": {{"));
    let action = regex::Regex::new(r"\{\{.*?[^}]\}\}").expect("right");
    lines.map(|line| action.replace_all(line, "x").into_owned() + "\n").collect()
}

#[test]
fn the_chart_is_the_same_pod() {
    let values = documents("values.yaml", &text("helm/reconcile/values.yaml")).remove(0);
    check_config(&values["config"].to_string());
    let chart = documents("Chart.yaml", &text("helm/reconcile/Chart.yaml")).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let deployment = filled(&text("helm/reconcile/templates/deployment.yaml"));
    // One of the two volumes is chosen.
    let deployment = deployment.replace("          emptyDir: {}\n", "");
    check_container(&documents("deployment.yaml", &deployment)[0]["spec"]["template"]["spec"]);
    let mut helm = Command::new("helm");
    helm.args(["lint", "--strict", "examples/deploy/helm/reconcile"]).current_dir(repository());
    if let Ok(output) = helm.output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_image_runs_the_program_as_nobody() {
    let file = text("docker/Dockerfile");
    let line = |start: &str| file.lines().rev().find_map(|line| line.strip_prefix(start)).expect("such a line");
    let arguments: Vec<String> = serde_json::from_str(line("CMD ")).expect("a list");
    check_command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((line("FROM "), line("USER ")), ("scratch", "65532:65532"));
}

#[test]
fn the_unit_runs_the_program_in_a_cage() {
    let unit = text("systemd/reconcile.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/reconcile ")).expect("a command");
    check_command(&command.split(' ').collect::<Vec<_>>());
    for line in ["DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let path = repository().join("examples/deploy/systemd/reconcile.service");
    let rated = Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(path).output();
    let Ok(rated) = rated else { return };
    let text = String::from_utf8_lossy(&rated.stdout).into_owned();
    let Some((_, level)) = text.split_once("exposure level for reconcile.service: ") else { return };
    let level: f64 = level.split(' ').next().and_then(|level| level.parse().ok()).expect("a number");
    assert!(level < 2.0, "{text}");
}

#[test]
fn the_package_holds_files_that_exist() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "reconcile").expect("the program");
    let deb = &package["metadata"]["deb"];
    for asset in deb["assets"].as_array().expect("files") {
        let from = asset[0].as_str().expect("a path");
        // `packaging/dist.sh` puts those there that the program writes, and the program.
        assert!(from.starts_with("target/package-files/") || repository().join(from).is_file(), "{from}");
    }
    assert!(repository().join(deb["systemd-units"]["unit-scripts"].as_str().expect("a path")).is_dir());
}
