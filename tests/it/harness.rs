//! A directory with manifests, a sandbox behind it, and the program run in it.

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reconcile_sandbox::{LoggedCall, Running, Sandbox};
use regex::Regex;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The longest that anything may take, on a machine that does many other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// A directory with a configuration that points at a sandbox of its own.
pub(crate) struct Site {
    directory: TempDir,
    sandbox: Sandbox,
    address: SocketAddr,
    // The server ends with the runtime.
    _running: Running,
    _runtime: Runtime,
}

impl Site {
    /// Starts a sandbox with a state and writes the configuration for it.
    pub(crate) fn new(state: &Value) -> Self {
        let sandbox = Sandbox::new();
        sandbox.load(state).expect("the state is right");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let running = runtime.block_on(sandbox.start(([127, 0, 0, 1], 0).into())).expect("a port is free");
        let directory = TempDir::new().expect("a directory can be made");
        let site = Self { directory, sandbox, address: running.address, _running: running, _runtime: runtime };
        site.write("app-secret.txt", "hush");
        site.write("token.txt", "hush");
        site.configure("");
        site
    }

    /// A site with manifests: `(file, text)`.
    pub(crate) fn with(state: &Value, manifests: &[(&str, &str)]) -> Self {
        let site = Self::new(state);
        manifests.iter().for_each(|(file, text)| site.write(file, text));
        site
    }

    /// Writes the configuration with more of it behind the targets. Where that says nothing of safety, all may change.
    pub(crate) fn configure(&self, more: &str) {
        let url = self.url();
        let safety = if more.contains("safety:") { "" } else { "safety: {maxChanges: 100%}\n" };
        let targets = format!(
            "apiVersion: reconcile/v1
kind: Config
targets:
  cmdb:
    platform: bk-cmdb
    access: esb
    endpoint: {url}
    auth: {{appCode: reconcile, appSecret: {{file: app-secret.txt}}, username: admin}}
    timeZone: Asia/Shanghai
  roma:
    platform: roma-connect
    endpoint: {url}
    projectId: p1
    instanceId: i1
    auth: {{token: {{file: token.txt}}}}
{more}
{safety}"
        );
        self.write("reconcile.yaml", &targets);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file below the directory.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory can be made");
        }
        std::fs::write(path, text).expect("a file can be written");
    }

    /// Prepares the program with an empty environment.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = program();
        command.current_dir(self.path()).env("RECONCILE_STATE_DIR", ".state").args(arguments);
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.end(self.command(arguments), "")
    }

    /// Runs the program with a text on stdin.
    pub(crate) fn run_on(&self, stdin: &str, arguments: &[&str]) -> Output {
        self.end(self.command(arguments), stdin)
    }

    /// Runs a prepared command to its end.
    pub(crate) fn end(&self, mut command: Command, stdin: &str) -> Output {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // A command that does not read its stdin may be gone already.
        let _ = child.stdin.take().expect("it was piped").write_all(stdin.as_bytes());
        self.collect(child)
    }

    /// Waits for a child whose output is piped.
    pub(crate) fn collect(&self, child: Child) -> Output {
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Output {
            stdout: text(output.stdout),
            stderr: without_configuration(&text(output.stderr)),
            code: output.status.code(),
            hide: vec![
                (self.path().display().to_string(), "[site]".to_owned()),
                (self.address.to_string(), "[sandbox]".to_owned()),
            ],
        }
    }

    /// The ids of the recorded runs, the oldest first.
    pub(crate) fn runs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(".state/runs")).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.expect("an entry").file_name().into_string().ok());
        let mut runs: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        runs.sort();
        runs
    }

    /// The path of a file of a run.
    pub(crate) fn run_file(&self, run: &str, name: &str) -> PathBuf {
        self.path().join(".state/runs").join(run).join(name)
    }

    /// The records of a run.
    pub(crate) fn journal_of(&self, run: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.run_file(run, "journal")).expect("a run has a journal");
        let record = |line: &str| serde_json::from_str(line.split_once(' ').expect("a chain and a record").1);
        text.lines().map(|line| record(line).expect("a record is JSON")).collect()
    }

    /// The records of all runs, the oldest run first.
    pub(crate) fn journal(&self) -> Vec<Value> {
        self.runs().iter().flat_map(|run| self.journal_of(run)).collect()
    }

    /// Plans everything. A plan never writes.
    pub(crate) fn plan(&self) -> Output {
        let before = self.writes().len();
        let output = self.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(self.writes().len(), before, "a plan wrote:\n{output}");
        output
    }

    /// Applies everything and returns what was written.
    pub(crate) fn apply(&self) -> Vec<LoggedCall> {
        self.sandbox.clear_calls();
        let output = self.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "{output}");
        self.writes()
    }

    /// Checks that nothing differs: the plan is empty, and an apply writes nothing.
    pub(crate) fn assert_converged(&self) {
        let output = self.plan();
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(operations(&self.apply()), json!({}));
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The calls that write, since they were last cleared.
    pub(crate) fn writes(&self) -> Vec<LoggedCall> {
        self.sandbox.calls().into_iter().filter(|call| call.write).collect()
    }

    /// How often each operation was read since the calls were last cleared.
    pub(crate) fn reads(&self) -> Value {
        operations(&self.sandbox.calls().into_iter().filter(|call| !call.write).collect::<Vec<_>>())
    }

    pub(crate) fn faults(&self, faults: &Value) {
        self.sandbox.set_faults(faults).expect("the faults are right");
    }

    /// Makes a call in somebody else's name.
    pub(crate) fn edit(&self, operation: &str, body: &Value) {
        let answer = self.ask(operation, body);
        assert_ne!(answer["result"], false, "{operation} {body}: {answer}");
    }

    /// Makes a call in somebody else's name and returns the answer, whatever it is.
    pub(crate) fn ask(&self, operation: &str, body: &Value) -> Value {
        let edit = json!({"user": "zoe", "operation": operation, "body": body});
        let answer = http(self.address, "POST", "/_sandbox/edit", &edit.to_string());
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// A row of the state by a JSON pointer to its list and a value that it has.
    pub(crate) fn row(&self, list: &str, key: &str, value: impl Into<Value>) -> Value {
        let (state, value) = (self.sandbox.state(), value.into());
        let rows = state.pointer(list).and_then(Value::as_array).expect("there is such a list");
        rows.iter().find(|row| row[key] == value).cloned().unwrap_or_else(|| panic!("no row has {key} = {value}"))
    }
}

/// The program with an empty environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
    command.env_clear();
    command
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The result of a run of the program.
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
    hide: Vec<(String, String)>,
}

impl Output {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON document: {error}\n{self}"))
    }

    /// Returns the text of both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Leaves out the line that names the configuration: each run that finds one says it. `inputs` looks at it.
fn without_configuration(stderr: &str) -> String {
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("configuration: ")).collect()
}

/// One text, without what differs from run to run.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.stdout.clone();
        if !self.stderr.is_empty() {
            text.push_str("------- stderr -------\n");
            text.push_str(&self.stderr);
        }
        match self.code {
            Some(0) => {}
            Some(code) => text = format!("{text}[exit status: {code}]\n"),
            None => text.push_str("[ended by a signal]\n"),
        }
        for (from, to) in &self.hide {
            text = text.replace(from, to);
        }
        for (pattern, name) in [(r"\b\d+\.\d\d s\b", "[time]"), (r"\brec[0-9a-f]{20,}\b", "[request]")] {
            let pattern = Regex::new(pattern).expect("the expression is right");
            text = pattern.replace_all(&text, name).into_owned();
        }
        f.write_str(&text)
    }
}

/// How often each operation occurs.
pub(crate) fn operations(calls: &[LoggedCall]) -> Value {
    let mut counts = Map::new();
    for call in calls {
        let count = counts.get(&call.operation).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(call.operation.clone(), json!(count + 1));
    }
    Value::Object(counts)
}

/// The bodies of calls.
pub(crate) fn bodies(calls: &[LoggedCall]) -> Value {
    calls.iter().map(|call| call.body.clone()).collect()
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends one HTTP request and returns the whole answer.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    http_with(address, method, path, &[], body)
}

/// Sends one HTTP request with headers and returns the whole answer.
pub(crate) fn http_with(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server is there");
    let length = body.len();
    let headers = headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("the request leaves");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    answer
}

/// A site with one of everything, in which each test declares what it needs.
pub(crate) fn state() -> Value {
    let attribute = |model: &str, name: &str, kind: &str| {
        json!({"bk_obj_id": model, "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind,
            "editable": true, "isrequired": name == "bk_inst_name" || name == "bk_module_name",
            "ismultiple": kind == "objuser"})
    };
    json!({
        "bk-cmdb": {
            "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}],
            "sets": [{"bk_set_id": 11, "bk_set_name": "public", "bk_biz_id": 3, "bk_parent_id": 3}],
            "modules": [
                {"bk_module_id": 31, "bk_module_name": "web", "bk_set_id": 11, "bk_biz_id": 3, "bk_module_type": "1",
                    "operator": null, "service_template_id": 0},
                {"bk_module_id": 32, "bk_module_name": "cache", "bk_set_id": 11, "bk_biz_id": 3, "bk_module_type": "1",
                    "operator": "dave", "service_template_id": 0},
            ],
            "service_templates": [{"id": 51, "name": "nginx", "bk_biz_id": 3, "service_category_id": 2}],
            "service_categories": [
                {"id": 1, "name": "Default", "bk_biz_id": 0, "bk_parent_id": 0, "bk_root_id": 1, "is_built_in": true},
                {"id": 2, "name": "Default", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1, "is_built_in": true},
            ],
            "objects": [
                {"bk_obj_id": "bk_switch", "bk_obj_name": "Switch"}, {"bk_obj_id": "bk_rack", "bk_obj_name": "Rack"},
                {"bk_obj_id": "module", "bk_obj_name": "Module"},
            ],
            "attributes": [
                attribute("bk_switch", "bk_inst_name", "singlechar"), attribute("bk_switch", "bk_asset_id", "singlechar"),
                attribute("bk_switch", "bk_sn", "singlechar"), attribute("bk_switch", "ports", "int"),
                attribute("bk_switch", "operator", "objuser"), attribute("bk_switch", "remark", "longchar"),
                attribute("bk_rack", "bk_inst_name", "singlechar"), attribute("bk_rack", "units", "int"),
                attribute("module", "bk_module_name", "singlechar"), attribute("module", "operator", "objuser"),
                attribute("module", "bk_bak_operator", "objuser"),
            ],
            "object_associations": [{"id": 1, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch",
                "bk_asst_obj_id": "bk_rack", "bk_asst_id": "connect", "mapping": "n:n", "on_delete": "none"}],
            "instances": {
                "bk_switch": [
                    {"bk_inst_id": 1, "bk_inst_name": "sw-1", "bk_asset_id": "A1", "ports": 24, "operator": "alice"},
                    {"bk_inst_id": 2, "bk_inst_name": "sw-2", "bk_asset_id": "A2", "ports": 24, "operator": "alice"},
                    {"bk_inst_id": 3, "bk_inst_name": "sw-3", "bk_asset_id": "A3", "ports": 24, "operator": "alice"},
                ],
                "bk_rack": [{"bk_inst_id": 21, "bk_inst_name": "rack-1", "units": 42},
                    {"bk_inst_id": 22, "bk_inst_name": "机柜-2", "units": 42}],
            },
            "instance_associations": [],
            "process_templates": [{"id": 50, "bk_process_name": "nginx", "bk_biz_id": 3, "service_template_id": 51,
                "property": {
                    "bk_process_name": {"value": "nginx", "as_default_value": true},
                    "bk_func_name": {"value": "nginx", "as_default_value": true},
                    "proc_num": {"value": 2, "as_default_value": true},
                    "user": {"value": "root", "as_default_value": true},
                    "bind_info": {"as_default_value": true, "value": []},
                }}],
        },
        "roma-connect": {
            "projects": [{"id": "p1", "name": "cn-north-4"}],
            "instances": [{"id": "i1", "project_id": "p1", "status": "RUNNING"}],
            "apps": [{"instance_id": "i1", "id": "a1", "name": "orders", "remark": "orders", "favorite": false},
                {"instance_id": "i1", "id": "a2", "name": "invoices", "remark": "", "favorite": true}],
        },
    })
}

/// A manifest of a switch: its document's name, what it matches, its fields.
pub(crate) fn switch(name: &str, matches: &str, fields: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec:\n  model: bk_switch\n  match: \
         {{{matches}}}\n  fields: {{{fields}}}\n---\n"
    )
}

/// Notes that a check was left out because a tool is missing. Where `CI` is set every tool has to be there.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every tool has to be there: {reason}");
    // Past the test harness, which shows nothing that a passing test prints.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
