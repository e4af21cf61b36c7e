//! The files of a release: archives are the same each time, checksums fit, and the signature is of the right key.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::harness::{repository, skip};

/// A file that runs the program: it is packed in place of one that takes minutes to build.
fn stand_in(directory: &Path) -> PathBuf {
    let path = directory.join("program");
    fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_reconcile"))).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn dist(binary: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(repository().join("packaging/dist.sh"));
    command.arg("--binary").arg(binary).arg("--out").arg(out);
    command.args(["--without", "deb", "--without", "sbom", "--target", "x86_64-unknown-linux-musl"]).args(more);
    // As in an unpacked archive of the sources: the date is given, git is not asked.
    command.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("bash is there")
}

fn assert_ends(output: &Output, code: i32) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
}

fn run(directory: &Path, command: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(command).args(arguments).current_dir(directory).output().ok()
}

#[test]
fn an_archive_is_whole_and_the_same_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = stand_in(directory.path());
    let [once, again] = ["once", "again"].map(|name| directory.path().join(name));
    for out in [&once, &again] {
        assert_ends(&dist(&binary, out, &["--unsigned"]), 0);
    }
    let sums = fs::read_to_string(once.join("SHA256SUMS")).expect("it is written");
    assert_eq!(sums, fs::read_to_string(again.join("SHA256SUMS")).expect("it is written"));

    let check = |directory: &Path| run(directory, "sha256sum", &["--check", "SHA256SUMS"]).expect("it is there");
    assert_ends(&check(&once), 0);
    let archive = sums.split_whitespace().nth(1).expect("a file");
    let name = archive.strip_suffix(".tar.gz").expect("an archive");
    assert_ends(&run(&once, "tar", &["--extract", "--file", archive]).expect("it is there"), 0);
    let has = |path: &str| assert!(once.join(name).join(path).is_file(), "{path}");
    for path in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "man/reconcile.1", "man/reconcile-apply.1"] {
        has(path);
    }
    for shell in ["bash", "zsh", "fish", "powershell"] {
        has(&format!("completions/reconcile.{shell}"));
    }
    let told = run(&once.join(name), "./reconcile", &["version"]).expect("it can be run");
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("reconcile "), "{told:?}");

    fs::write(again.join(archive), "another").expect("it is written");
    assert_ends(&check(&again), 1);
}

#[test]
fn checksums_are_signed_with_the_key_that_is_given() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let key = |name: &str| run(directory, "minisign", &["-G", "-W", "-p", &format!("{name}.pub"), "-s", name]);
    if key("ours").is_none() {
        skip("minisign is not installed (Debian package `minisign`)");
        return;
    }
    key("theirs");
    let out = directory.join("out");
    let secret = directory.join("ours");
    assert_ends(&dist(&stand_in(directory), &out, &["--key", secret.to_str().expect("text")]), 0);
    let verify = |key: &str| {
        run(directory, "minisign", &["-V", "-p", key, "-m", "out/SHA256SUMS"]).expect("it is there").status.success()
    };
    assert!(verify("ours.pub"));
    assert!(!verify("theirs.pub"), "another key");
    let sums = out.join("SHA256SUMS");
    let text = fs::read_to_string(&sums).expect("it is written");
    fs::write(&sums, text.replacen(['0', '1', '2', '3'], "4", 1)).expect("it is written");
    assert!(!verify("ours.pub"), "other checksums");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_built() {
    let directory = tempfile::tempdir().expect("a directory");
    let (binary, out) = (stand_in(directory.path()), directory.path().join("out"));
    let check = |more: &[&str], code: i32, expected: &str| {
        let output = dist(&binary, &out, more);
        assert_ends(&output, code);
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{output:?}");
        assert!(!out.exists());
    };
    check(&[], 2, "give --key FILE, or --unsigned");
    check(&["--sign"], 2, "`--sign`");
    check(&["--key", "/nowhere/key"], 1, "the key /nowhere/key cannot be read");
    check(&["--unsigned", "--target", "aarch64-unknown-linux-musl"], 2, "--binary goes with one --target");
}
