//! `reconcile sandbox --state`: several files, and mistakes with their places, through the real binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

fn write(files: &[(&str, &str)]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |(name, text): &(&str, &str)| {
        std::fs::write(folder.path().join(name), text).expect("a file");
        PathBuf::from(name)
    };
    let paths = files.iter().map(put).collect();
    (folder, paths)
}

fn command(files: &[(&str, &str)]) -> (TempDir, Command) {
    let (folder, paths) = write(files);
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
    command.current_dir(folder.path()).args(["sandbox", "--listen", "127.0.0.1:0"]);
    for path in paths {
        command.arg("--state").arg(path);
    }
    (folder, command)
}

/// Starts a sandbox with files and returns its state.
fn state(files: &[(&str, &str)]) -> Value {
    let (_folder, mut command) = command(files);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("sandbox listening on http://").expect("the address").to_owned();
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .write_all(b"GET /_sandbox/state HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .expect("a request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    child.kill().expect("the child ends");
    child.wait().expect("the child ends");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// Returns the messages about files with mistakes.
fn mistakes(files: &[(&str, &str)]) -> String {
    let (_folder, mut command) = command(files);
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, b"", "nothing listens");
    String::from_utf8(output.stderr).expect("a text").replace("error: ", "")
}

const ONE: &str = "bk-cmdb:
  version: '3.10'
  objects: [{bk_obj_id: rack}]
  instances:
    rack: [{bk_inst_id: 1, bk_inst_name: r1}]
  credentials:
    apps: {one: s1}
";

const TWO: &str = r#"{
  "bk-cmdb": {
    "version": "3.10",
    "objects": [{"bk_obj_id": "shelf"}],
    "instances": {"rack": [{"bk_inst_id": 2, "bk_inst_name": "r2"}], "shelf": [{"bk_inst_id": 3, "bk_inst_name": "s"}]},
    "credentials": {"apps": {"two": "s2"}}
  },
  "roma-connect": {"instances": [{"id": "i1"}]}
}"#;

#[test]
fn files_are_merged() {
    let state = state(&[("one.yaml", ONE), ("two.json", TWO), ("empty.yaml", "bk-cmdb:\n")]);
    let section = &state["bk-cmdb"];
    assert_eq!(section["version"], "3.10");
    let names = |model: &str| -> Vec<&str> {
        let rows = section["instances"][model].as_array().expect("rows");
        rows.iter().filter_map(|row| row["bk_inst_name"].as_str()).collect()
    };
    assert_eq!((names("rack"), names("shelf")), (vec!["r1", "r2"], vec!["s"]));
    assert_eq!(section["credentials"]["apps"], json!({"one": "s1", "two": "s2"}));
    assert_eq!(state["roma-connect"]["instances"][0]["id"], "i1");
}

#[test]
fn mistakes_have_places() {
    let twice = "bk-cmdb:\n  instances:\n    rack:\n      - bk_inst_name: r9\n        bk_inst_id: 1\n";
    let name = "bk-cmdb:\n  instances:\n    rack:\n      - {bk_inst_id: 9, bk_inst_name: r1}\n";
    let clash = "bk-cmdb:\n  version: '3.14'\n  objects: {}\n";
    let roma = "roma-connect:\n  instances: [{id: i1}]\n  apps:\n    - {instance_id: i1, name: 'a/b'}\n    - {instance_id: i9, name: c}\n";
    for (files, expected) in [
        (
            vec![("one.yaml", ONE), ("b.yaml", twice)],
            "b.yaml:5:21: /bk-cmdb/instances/rack/1/bk_inst_id: `bk_inst_id` 1 is there twice\n",
        ),
        (
            vec![("one.yaml", ONE), ("b.yaml", name)],
            "b.yaml:4:9: /bk-cmdb/instances/rack/1: another row has the same unique key: bk_inst_name: \"r1\"\n",
        ),
        (
            vec![("one.yaml", ONE), ("b.yaml", clash)],
            "b.yaml:2:12: this is `3.14`, but `3.10` at one.yaml:2:12\n\
             b.yaml:3:12: this is a mapping, but a list at one.yaml:3:12\n",
        ),
        (vec![("one.yaml", ONE), ("b.yaml", "moon: {}\n")], "b.yaml:1:7: /moon: there is no such platform\n"),
        (
            vec![("one.yaml", "bk-cmdb: {wether: 1}\n"), ("roma.yaml", roma)],
            "one.yaml:1:19: /bk-cmdb/wether: unknown section `wether`\n\
             roma.yaml:4:31: /roma-connect/apps/0/name: expected 1 to 256 of Chinese characters, letters, digits, \
             hyphens, underscores, periods, spaces, parentheses\n\
             roma.yaml:5:21: /roma-connect/apps/1/instance_id: the instance i9 is not listed\n",
        ),
        (vec![("b.yaml", "- 1\n")], "b.yaml:1:1: expected an object with a section for each platform\n"),
    ] {
        assert_eq!(mistakes(&files), expected);
    }
    let broken = mistakes(&[("one.yaml", ONE), ("b.yaml", "bk-cmdb: [1\n")]);
    assert!(broken.contains("b.yaml:"), "{broken}");
    let (_folder, mut command) = command(&[]);
    let output = command.args(["--state", "none.yaml"]).output().expect("the binary starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read none.yaml: "));
}
