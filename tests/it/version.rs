//! The version that the program reports, and how the build finds it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    forms::check_document,
    harness::{Site, repository, skip, state, switch},
};

#[test]
fn the_program_tells_what_it_was_built_from() {
    let site = Site::new(&state());
    let line = site.run(&["version"]);
    let (version, target) = (env!("RECONCILE_VERSION_LINE"), env!("RECONCILE_BUILD_TARGET"));
    assert_eq!(line.stdout, format!("reconcile {version}\ntarget {target}\n"));
    assert_eq!(site.run(&["--version"]).stdout, format!("reconcile {version}\n"));
    let document = site.run(&["version", "-o", "json"]).json();
    check_document(&document);
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["target"], target);
    let head = Command::new("git").arg("-C").arg(repository()).args(["rev-parse", "HEAD"]).output();
    match head {
        Ok(head) if head.status.success() && repository().join(".git").exists() => {
            assert_eq!(document["commit"].as_str(), Some(String::from_utf8_lossy(&head.stdout).trim()));
        }
        _ => skip("there is no git repository"),
    }
}

#[test]
fn what_it_writes_names_its_version() {
    let site = Site::with(&state(), &[("core.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    let version = env!("RECONCILE_VERSION");
    let files = ["--out", "saved.json", "--output-file", "sarif=out.sarif", "--events", "events.ndjson"];
    let output = site.run(&[&["plan", "core.yaml"][..], &files].concat());
    assert_eq!(output.code, Some(0), "{output}");
    let read = |file: &str| std::fs::read_to_string(site.path().join(file)).expect("it was written");
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
    assert_eq!(json(&read("saved.json"))["reconcile"], version);
    assert_eq!(json(read("events.ndjson").lines().next().unwrap_or_default())["reconcile"], version);
    let driver = json(&read("out.sarif"))["runs"][0]["tool"]["driver"].clone();
    assert_eq!(
        (driver["version"].as_str(), driver["semanticVersion"].as_str()),
        (Some(env!("RECONCILE_VERSION_LINE")), Some(version))
    );
    for command in [&["validate", "core.yaml"][..], &["drift", "core.yaml"], &["explain", "core.yaml:7"]] {
        let document = site.run(&[command, &["-o", "json"]].concat()).json();
        assert_eq!(document["reconcile"], version, "{command:?}");
        check_document(&document);
    }
}

/// The build script, and a directory of sources in which it runs.
struct Build {
    directory: TempDir,
    script: PathBuf,
}

impl Build {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        let script = directory.path().join("script");
        let compiled = Command::new("rustc")
            .args(["--edition", "2024", "-o"])
            .arg(&script)
            .arg(repository().join("build.rs"))
            .status()
            .expect("rustc runs");
        assert!(compiled.success());
        std::fs::create_dir_all(directory.path().join("tree/src")).expect("a directory can be made");
        std::fs::write(directory.path().join("tree/src/main.rs"), "fn main() {}\n").expect("written");
        Self { directory, script }
    }

    fn tree(&self) -> PathBuf {
        self.directory.path().join("tree")
    }

    /// Runs git on a date of 2026 in a directory.
    fn git(directory: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
        let date = "2026-02-28T23:30:00-0500";
        command.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date).env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(command.output().expect("git runs").status.success(), "{arguments:?}");
    }

    /// Returns what the script says, and the lines of it about when it is to run again.
    fn run(&self, variables: &[(&str, &str)]) -> (String, Vec<String>) {
        let mut command = Command::new(&self.script);
        command.env("CARGO_MANIFEST_DIR", self.tree()).env("CARGO_PKG_VERSION", "1.2.3");
        command.env_remove("SOURCE_DATE_EPOCH").envs(variables.iter().copied());
        let output = command.output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("it is text");
        let value = |name: &str| {
            let start = format!("cargo::rustc-env=RECONCILE_{name}=");
            text.lines()
                .find_map(|line| line.strip_prefix(&start))
                .unwrap_or_else(|| panic!("no {name}:\n{text}"))
                .to_owned()
        };
        let said = ["VERSION", "VERSION_LINE", "COMMIT", "MODIFIED", "DATE"].map(value).join("|");
        let again = text.lines().filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
        (said, again.map(str::to_owned).collect())
    }
}

#[test]
fn the_build_tells_the_commit_only_where_it_is_known() {
    if Command::new("git").arg("--version").output().is_err() {
        return skip("there is no git");
    }
    let build = Build::new();
    let unknown = "1.2.3|1.2.3 (commit unknown)||false|";
    assert_eq!(build.run(&[]).0, unknown);
    let dated = [("SOURCE_DATE_EPOCH", "951782400")];
    assert_eq!(build.run(&dated).0, "1.2.3|1.2.3 (commit unknown, 2000-02-29)||false|2000-02-29");

    // The repository around an unpacked archive is somebody else's.
    Build::git(build.directory.path(), &["init", "-q"]);
    Build::git(build.directory.path(), &["add", "tree"]);
    Build::git(build.directory.path(), &["commit", "-q", "-m", "theirs"]);
    assert_eq!(build.run(&[]).0, unknown);

    let tree = build.tree();
    Build::git(&tree, &["init", "-q"]);
    assert_eq!(build.run(&[]).0, unknown, "there is no commit yet");
    Build::git(&tree, &["add", "."]);
    Build::git(&tree, &["commit", "-q", "-m", "ours"]);
    let head = Command::new("git").arg("-C").arg(&tree).args(["rev-parse", "HEAD"]).output().expect("git runs");
    let head = String::from_utf8(head.stdout).expect("it is text").trim().to_owned();
    let short = &head[..12];
    let (said, again) = build.run(&[]);
    // The day is that in UTC.
    assert_eq!(said, format!("1.2.3+{short}|1.2.3 ({short}, 2026-03-01)|{head}|false|2026-03-01"));
    assert_eq!(build.run(&[]), (said, again.clone()), "it says the same again");
    assert!(again.iter().any(|path| path.ends_with("logs/HEAD")) && again.iter().any(|path| path.ends_with("src")));
    // Cargo runs it in each build for a path that is not there.
    let missing: Vec<_> = again.iter().filter(|path| *path != "build.rs" && !Path::new(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(build.run(&dated).0.ends_with("|false|2000-02-29"));

    // A hook of git leads to another repository.
    let other = build.directory.path().join(".git").display().to_string();
    assert!(build.run(&[("GIT_DIR", &other)]).0.contains(&head));
    std::fs::write(tree.join("src/main.rs"), "fn main() { }\n").expect("written");
    let modified = format!("1.2.3+{short}.modified|1.2.3 ({short}, modified, 2026-03-01)|{head}|true|2026-03-01");
    assert_eq!(build.run(&[]).0, modified);
}
