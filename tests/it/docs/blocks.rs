//! Runs the commands of each page, in order, in a directory that holds the examples.
//!
//! | fence | what is done |
//! |---|---|
//! | `yaml` | a manifest or a configuration: it has to be valid |
//! | `yaml config` | keys of a configuration, without its head and targets |
//! | `yaml invalid` | a manifest that `validate` refuses |
//! | `yaml data` | values, overlays, states: what a command of the page reads |
//! | `file=NAME` behind any of them | is written for the commands that follow |
//! | `console` | each line after `$` is run, and its output compared; `…` stands for anything |
//! | `sh` | commands of `reconcile` have to be known, with all their flags |
//! | `text` | nothing |

use std::{
    fs::{self, File},
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reconcile_sandbox::{Running, Sandbox};
use regex::Regex;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Block, fenced, is_update, pages, read, root};

/// The address that pages name for a sandbox of the reader's own.
const ADDRESS: &str = "127.0.0.1:8080";

/// A sandbox that a page starts by `$ reconcile sandbox`.
struct Server {
    address: String,
    // The server ends with the runtime.
    _running: Running,
    _runtime: Runtime,
}

/// The directory in which the commands of a page run.
struct Desk {
    directory: TempDir,
    server: Option<Server>,
    /// The exit code of the last command, for `echo $?`.
    code: i32,
}

impl Desk {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        copy(&root().join("examples"), &directory.path().join("examples"));
        fs::create_dir(directory.path().join("bin")).expect("a directory can be made");
        symlink(env!("CARGO_BIN_EXE_reconcile"), directory.path().join("bin/reconcile")).expect("a link can be made");
        Self { directory, server: None, code: 0 }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("examples/manifests")
    }

    /// Replaces the address that the page names by that of the running sandbox.
    fn inward(&self, text: &str) -> String {
        self.server.as_ref().map_or_else(|| text.to_owned(), |server| text.replace(ADDRESS, &server.address))
    }

    fn outward(&self, text: &str) -> String {
        let text =
            self.server.as_ref().map_or_else(|| text.to_owned(), |server| text.replace(&server.address, ADDRESS));
        text.replace(&self.directory.path().display().to_string(), "…")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory can be made");
        fs::write(path, self.inward(text)).expect("it can be written");
    }

    /// Starts the sandbox of a page, on a free port.
    fn serve(&mut self, command: &str) -> String {
        let states: Vec<&str> =
            command.split_whitespace().skip_while(|word| *word != "--state").skip(1).take(1).collect();
        let sandbox = Sandbox::new();
        for state in states {
            let text = read(&self.path().join(state));
            let state: serde_json::Value = serde_saphyr::from_str(&text).expect("the state is YAML");
            sandbox.load(&state).expect("the state is right");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let running = runtime.block_on(sandbox.start(([127, 0, 0, 1], 0).into())).expect("a port is free");
        // Files that were written before name the address of the page.
        let address = running.address.to_string();
        self.server = Some(Server { address: address.clone(), _running: running, _runtime: runtime });
        for entry in fs::read_dir(self.path()).expect("it can be read").flatten().filter(|entry| entry.path().is_file())
        {
            let text = read(&entry.path());
            if text.contains(ADDRESS) {
                fs::write(entry.path(), text.replace(ADDRESS, &address)).expect("it can be written");
            }
        }
        format!("sandbox listening on http://{ADDRESS}\n")
    }

    /// Runs a command and returns what it wrote on stdout and stderr, in order.
    fn run(&mut self, command: &str) -> String {
        if command.starts_with("reconcile sandbox ") {
            return self.serve(command);
        }
        let file = self.directory.path().join("output");
        let output = File::create(&file).expect("it can be written");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("(exit {}); {}", self.code, self.inward(command))]).current_dir(self.path());
        shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.directory.path().join("bin").display()));
        shell.env("RECONCILE_STATE_DIR", self.directory.path().join("state")).env("USER", "alice");
        shell.stdin(Stdio::null()).stderr(output.try_clone().expect("a handle can be shared")).stdout(output);
        let status = shell.status().expect("a shell runs");
        self.code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let text = fs::read_to_string(file).expect("output is UTF-8");
        let lines = text.lines().filter(|line| !line.starts_with("configuration: "));
        self.outward(&lines.flat_map(|line| [line.trim_end(), "\n"]).collect::<String>())
    }

    /// Returns what `validate` says of a text as a file: whether it is valid, and its messages.
    fn validate(&self, name: &str, text: &str, more: &[&str]) -> (bool, String) {
        let directory = TempDir::new_in(self.path()).expect("a directory can be made");
        let path = directory.path().join(name);
        fs::write(&path, self.inward(text)).expect("it can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
        command.env_clear().current_dir(self.path()).arg("validate").arg(directory.path()).args(more);
        let output = command.output().expect("the program runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("it can be read").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

/// Returns an expression for an output: `…` stands for anything, durations for each other.
fn pattern(expected: &[String]) -> Regex {
    let lines = expected.iter().map(|line| match line.as_str() {
        "…" => "(?:[^\n]*\n)*?".to_owned(),
        line => format!("{}\n", regex::escape(&timeless(line)).replace('…', "[^\n]*")),
    });
    Regex::new(&format!("^{}$", lines.collect::<String>())).expect("the expression is right")
}

/// Replaces durations, which differ from run to run.
fn timeless(text: &str) -> String {
    Regex::new(r"\d+\.\d\d s\b").expect("the expression is right").replace_all(text, "0.00 s").into_owned()
}

/// Runs the commands of a block. Returns the block as it should be.
fn console(desk: &mut Desk, block: &Block, wrong: &mut Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = block.body.iter().peekable();
    while let Some(line) = rest.next() {
        let Some(mut command) = line.strip_prefix("$ ").map(str::to_owned) else {
            wrong.push(format!("a console block begins with `$ `, not `{line}`"));
            return block.body.clone();
        };
        lines.push(line.clone());
        while command.ends_with('\\') {
            let more = rest.next().expect("a line continues");
            lines.push(more.clone());
            command = format!("{} {}", command.trim_end_matches('\\'), more.trim_start());
        }
        let mut expected = Vec::new();
        while let Some(line) = rest.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line.clone());
        }
        let actual = desk.run(&command);
        if pattern(&expected).is_match(&timeless(&actual)) {
            lines.extend(expected);
        } else {
            wrong.push(format!("$ {command}\n{actual}instead of\n{}", expected.join("\n")));
            lines.extend(actual.lines().map(str::to_owned));
        }
    }
    lines
}

/// Checks a block of YAML, and writes it where it names a file.
fn yaml(desk: &Desk, block: &Block, wrong: &mut Vec<String>) {
    let text = block.text();
    if let Some(name) = block.value("file") {
        desk.write(name, &text);
    } else if block.has("data") {
        wrong.push("`yaml data` needs `file=`: some command has to read it".to_owned());
    }
    if block.has("data") {
        return;
    }
    let config = if block.has("config") {
        let targets = if text.starts_with("targets:") || text.contains("\ntargets:") {
            String::new()
        } else {
            let all = read(&desk.path().join("reconcile.yaml"));
            let targets = all.lines().skip_while(|line| !line.starts_with("targets:"));
            let targets = targets.take_while(|line| line.starts_with("targets:") || line.starts_with(' '));
            targets.flat_map(|line| [line, "\n"]).collect()
        };
        Some(format!("apiVersion: reconcile/v1\nkind: Config\n{targets}{text}"))
    } else {
        text.contains("kind: Config").then(|| text.clone())
    };
    let (is_valid, messages) = match config {
        Some(config) => desk.validate("reconcile.yaml", &config, &["--allow-empty"]),
        None => desk.validate("block.yaml", &text, &[]),
    };
    if is_valid == block.has("invalid") {
        wrong.push(format!("this block is{} valid:\n{text}{messages}", if is_valid { "" } else { " not" }));
    }
}

/// Checks that the commands of a block are known, with all their flags.
fn shell(block: &Block, wrong: &mut Vec<String>) {
    for line in &block.body {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut arguments = match words.as_slice() {
            ["reconcile", arguments @ ..] => arguments.to_vec(),
            ["cargo", "run", rest @ ..] => rest.iter().skip_while(|word| **word != "--").skip(1).copied().collect(),
            _ => continue,
        };
        if let Some(end) = arguments.iter().position(|word| ["|", ">", "&&", "#", "&"].contains(word)) {
            arguments.truncate(end);
        }
        // With `--help` behind it a command is parsed and not run.
        arguments.push("--help");
        let output = Command::new(env!("CARGO_BIN_EXE_reconcile")).env_clear().args(&arguments).output();
        let output = output.expect("the program runs");
        let help = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            wrong.push(format!("{line}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let flags = arguments.iter().filter(|word| word.starts_with("--")).filter_map(|word| word.split('=').next());
        wrong.extend(flags.filter(|flag| !help.contains(*flag)).map(|flag| format!("{line}: unknown {flag}")));
    }
}

/// Runs a page. Returns what is wrong with it.
fn check(path: &Path) -> Vec<String> {
    let text = read(path);
    let mut desk = Desk::new();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut wrong = Vec::new();
    // From the end, so that the numbers of lines above stay right.
    let mut outputs = Vec::new();
    for block in fenced(&text) {
        let mut found = Vec::new();
        match block.language.as_str() {
            "yaml" => yaml(&desk, &block, &mut found),
            "console" => {
                let output = console(&mut desk, &block, &mut found);
                outputs.push((block.line, block.body.len(), output));
            }
            "sh" => shell(&block, &mut found),
            "text" => block.value("file").into_iter().for_each(|name| desk.write(name, &block.text())),
            "json" => {
                if let Err(error) = serde_json::from_str::<serde_json::Value>(&block.text()) {
                    found.push(error.to_string());
                }
            }
            other => found.push(format!("a block of `{other}` is neither run nor marked `text`")),
        }
        wrong.extend(found.iter().map(|what| format!("{}:{}: {what}", path.display(), block.line)));
    }
    if is_update() {
        for (line, count, output) in outputs.into_iter().rev() {
            lines.splice(line..line + count, output);
        }
        let page = lines.join("\n") + "\n";
        if page != text {
            fs::write(path, page).expect("the page can be written");
        }
    }
    wrong
}

#[test]
fn every_block_works_as_it_is_written() {
    let only = std::env::var("DOCS_PAGE").unwrap_or_default();
    let pages = pages();
    let pages = pages.iter().filter(|page| page.display().to_string().contains(&only));
    let wrong: Vec<String> = pages.flat_map(|page| check(page)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_page_begins_with_an_example() {
    // The table of contents has no text.
    let pages = pages().into_iter().filter(|page| !page.ends_with("SUMMARY.md") && !page.ends_with("README.md"));
    let late = |page: &PathBuf| fenced(&read(page)).first().is_none_or(|block| block.line > 15);
    let late: Vec<_> = pages.filter(late).collect();
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn outputs_are_compared() {
    let expected = |lines: &[&str]| pattern(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
    assert!(expected(&["a … 0.01 s", "…", "z"]).is_match(&timeless("a b 1.20 s\nc\nd\nz\n")));
    assert!(!expected(&["a", "z"]).is_match("a\nb\nz\n"));
    assert!(!expected(&["a"]).is_match("a\nb\n"));
}
