//! Reports of a run in all forms, and what checks each of them apart from what wrote it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::harness::{Site, repository, skip};

/// Every form but text, with the end of its file.
pub(crate) const FORMS: &[(&str, &str)] = &[
    ("json", "json"),
    ("yaml", "yaml"),
    ("markdown", "md"),
    ("github", "txt"),
    ("gitlab", "gitlab.json"),
    ("gitlab-code-quality", "quality.json"),
    ("sarif", "sarif"),
    ("junit", "xml"),
];

/// The reports of one run, by form, and its events.
pub(crate) struct Reports {
    directory: PathBuf,
    texts: BTreeMap<&'static str, String>,
    events: Vec<Value>,
}

impl Reports {
    /// Returns the flags that make a run write its reports.
    pub(crate) fn flags() -> Vec<String> {
        let mut flags = Self::files();
        flags.extend(["--events".to_owned(), ".out/events.ndjson".to_owned()]);
        flags
    }

    fn files() -> Vec<String> {
        let file = |(form, end): &(&str, &str)| ["--output-file".to_owned(), format!("{form}=.out/report.{end}")];
        FORMS.iter().flat_map(file).collect()
    }

    /// Makes room for the reports of a run.
    pub(crate) fn prepare(site: &Site) {
        let _ = std::fs::remove_dir_all(site.path().join(".out"));
        std::fs::create_dir(site.path().join(".out")).expect("a directory can be made");
    }

    /// Runs the program with all forms, checks the exit code and each form, and returns them.
    pub(crate) fn of(site: &Site, arguments: &[&str], code: i32) -> Self {
        Self::prepare(site);
        let flags = Self::flags();
        let all: Vec<&str> = arguments.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        let output = site.run(&all);
        assert_eq!(output.code, Some(code), "{arguments:?}: {output}");
        Self::written(site, code)
    }

    /// As `of`, of a command that has no events. What is on stdout is what is in the file of that form.
    pub(crate) fn still(site: &Site, arguments: &[&str], code: i32) -> Self {
        Self::prepare(site);
        let flags = Self::files();
        let all: Vec<&str> = arguments.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        let output = site.run(&all);
        assert_eq!(output.code, Some(code), "{arguments:?}: {output}");
        let reports = Self::read(site);
        reports.check(site);
        for (form, _) in FORMS {
            let output = site.run(&[arguments, &["-o", form]].concat());
            assert_eq!((output.code, output.stdout.as_str()), (Some(code), reports.text(form)), "{form}");
        }
        reports
    }

    /// Reads the reports that a run wrote, and checks each.
    pub(crate) fn written(site: &Site, code: i32) -> Self {
        let mut reports = Self::read(site);
        let path = reports.directory.join("events.ndjson");
        let events = std::fs::read_to_string(&path).expect("events were written");
        assert!(events.ends_with('\n') && events.starts_with("{\"type\":\"version\","), "{events}");
        reports.events = events.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect();
        reports.check(site);
        check_events(&reports.events, code);
        reports
    }

    fn read(site: &Site) -> Self {
        let directory = site.path().join(".out");
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let texts = FORMS.iter().map(|(form, end)| (*form, read(directory.join(format!("report.{end}"))))).collect();
        Self { directory, texts, events: Vec::new() }
    }

    pub(crate) fn text(&self, form: &str) -> &str {
        &self.texts[form]
    }

    pub(crate) fn json(&self, form: &str) -> Value {
        serde_json::from_str(self.text(form)).unwrap_or_else(|error| panic!("{form}: {error}"))
    }

    /// The types of all events, in their order, each that repeats once.
    pub(crate) fn course(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.events.iter().filter_map(|event| event["type"].as_str()).collect();
        types.dedup();
        types
    }

    /// The events of a type.
    pub(crate) fn events(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    pub(crate) fn annotations(&self) -> Vec<Annotation> {
        annotations(self.text("github"))
    }

    /// The suites of the `JUnit` report; `None` if there is no Python to read it with.
    pub(crate) fn suites(&self) -> Option<Value> {
        Some(junit(&[&self.directory.join("report.xml")])?[0].clone())
    }

    fn check(&self, site: &Site) {
        let document = self.json("json");
        check_document(&document);
        assert_eq!(read_yaml(self.text("yaml")), document, "{}", self.text("yaml"));
        if document["kind"] == "Plan" {
            let costs = self.text("json").lines().filter(|line| line.starts_with("  \"cost\": {\"")).count();
            assert_eq!(costs, 1, "what it cost is one line");
        }
        check_markdown(self.text("markdown"));
        for annotation in self.annotations() {
            assert!(annotation.file.is_none_or(|file| site.path().join(&file).is_file()), "a file that is there");
        }
        check_counts(&self.json("gitlab"), &document);
        check_quality(self.text("gitlab-code-quality"));
        check_sarif(self.text("sarif"));
        junit(&[&self.directory.join("report.xml")]);
    }
}

/// Reads a schema and closes it: what it does not describe is wrong.
fn closed(text: &str) -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(keys) => {
                if keys.contains_key("properties") && !keys.contains_key("additionalProperties") {
                    keys.insert("additionalProperties".to_owned(), json!(false));
                }
                keys.values_mut().for_each(close);
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = serde_json::from_str(text).expect("a schema is JSON");
    close(&mut schema);
    schema
}

/// A schema that the program prints.
fn published(name: &str) -> String {
    let output = crate::harness::program().args(["schema", name]).output().expect("the program runs");
    assert!(output.status.success(), "{name}");
    String::from_utf8(output.stdout).expect("a schema is text")
}

fn conforms(schema: &Value, document: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema).expect("the schema is right");
    let wrong: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

/// Checks a document against its published schema, which has to describe all its keys.
pub(crate) fn check_document(document: &Value) {
    let name = document["kind"].as_str().expect("a kind").to_lowercase();
    conforms(&closed(&published(&name)), document, &name);
}

fn check_events(events: &[Value], code: i32) {
    let schema = closed(&published("events"));
    let validator = jsonschema::validator_for(&schema).expect("the schema is right");
    for event in events {
        assert!(validator.is_valid(event), "{event}");
    }
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types.first(), Some(&"version"));
    assert_eq!(types.last(), Some(&"run_summary"));
    assert_eq!(types.iter().filter(|text| matches!(**text, "version" | "run_summary")).count(), 2, "{types:?}");
    assert_eq!(events[events.len() - 1]["exit_code"], code);
    let times: Vec<&str> = events.iter().filter_map(|event| event["@timestamp"].as_str()).collect();
    assert_eq!(times.len(), events.len());
}

fn read_yaml(text: &str) -> Value {
    let mut sources = reconcile::source::Sources::default();
    let file = sources.add("report.yaml", text);
    let mut diagnostics = Vec::new();
    let documents = reconcile::yaml::load(file, text, &mut diagnostics);
    assert!(documents.len() == 1 && diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    documents[0].root.to_json()
}

/// Checks what a comment may hold: its size, its mark, and that nothing of strangers stands outside of code.
pub(crate) fn check_markdown(text: &str) {
    assert!(text.encode_utf16().count() <= 65_536 && text.len() <= 1024 * 1024, "{} bytes", text.len());
    assert!(text.starts_with("<!-- reconcile -->\n## "), "{text}");
    assert_eq!(text.matches("<details").count(), text.matches("\n</details>\n").count());
    let behind = text.split("\n</details>\n").skip(1);
    assert!(behind.clone().all(|rest| rest.is_empty() || rest.starts_with(['\n', '<'])), "{text}");
    let mut fence = None;
    for line in text.lines().skip(1) {
        let ticks = line.chars().take_while(|letter| *letter == '`').count();
        match fence {
            Some(open) if ticks >= open && line.len() == ticks => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => check_words(line),
        }
        let hidden = |letter: char| letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{200b}');
        assert!(!line.chars().any(hidden), "{line:?}");
    }
    assert_eq!(fence, None, "a fence is open:\n{text}");
}

/// Checks a line of Markdown outside of fences: the program's own words, and `<code>`.
fn check_words(line: &str) {
    let code = regex::Regex::new("<code>[^<>]*</code>").expect("it is right");
    let tag = regex::Regex::new("</?(details|summary)( open)?>").expect("it is right");
    let words = code.replace_all(line, "");
    let words = tag.replace_all(&words, "");
    let own = regex::Regex::new(r"^[A-Za-z0-9 .,:;()*#+~✓✗–-]*$").expect("it is right");
    assert!(own.is_match(&words), "{line}");
    assert!(!words.contains("nasty"), "{line}");
    let reference = regex::Regex::new(r"#[0-9]").expect("it is right");
    assert!(!reference.is_match(&words), "{line}");
}

/// An annotation as GitHub's runner reads it.
#[derive(Debug)]
pub(crate) struct Annotation {
    pub(crate) kind: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<usize>,
    pub(crate) title: String,
    pub(crate) message: String,
}

/// Reads workflow commands, and checks that there are at most ten of a type and nothing else.
fn annotations(text: &str) -> Vec<Annotation> {
    let read: Vec<Annotation> = text.split_terminator('\n').map(annotation).collect();
    for kind in ["error", "warning", "notice"] {
        assert!(read.iter().filter(|annotation| annotation.kind == kind).count() <= 10, "{text}");
    }
    read
}

fn annotation(line: &str) -> Annotation {
    let command = line.strip_prefix("::").unwrap_or_else(|| panic!("no command: {line}"));
    let (head, message) = command.split_once("::").expect("a message");
    let (kind, properties) = head.split_once(' ').expect("properties");
    assert!(["error", "warning", "notice"].contains(&kind), "{line}");
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for property in properties.split(',') {
        let (key, value) = property.split_once('=').expect("a value");
        assert!(["file", "line", "col", "title"].contains(&key), "{line}");
        found.insert(key.to_owned(), decoded(value, &[("%3A", ":"), ("%2C", ",")]));
    }
    assert!(!line.contains('\r'));
    assert_eq!(found.contains_key("file"), found.contains_key("line"));
    Annotation {
        kind: kind.to_owned(),
        file: found.remove("file"),
        line: found.get("line").map(|line| line.parse().expect("a number")),
        title: found.remove("title").expect("a title"),
        message: decoded(message, &[]),
    }
}

/// Undoes GitHub's escapes; `%25` last, as its runner does.
fn decoded(text: &str, more: &[(&str, &str)]) -> String {
    let known = [("%0D", "\r"), ("%0A", "\n")];
    let text = known.iter().chain(more).fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("%25", "%")
}

fn check_counts(counts: &Value, document: &Value) {
    let expected = match document["kind"].as_str() {
        Some("Plan") => {
            let summary = &document["summary"];
            json!({"create": summary["create"], "update": summary["update"], "delete": summary["delete"]})
        }
        Some("Drift") => {
            let all = document["changes"].as_array().expect("a list");
            let of =
                |action: &str| all.iter().filter(|row| row["action"] == action && row["policy"] == "enforce").count();
            json!({"create": of("create"), "update": of("update"), "delete": of("delete")})
        }
        _ => json!({}),
    };
    assert_eq!(*counts, expected);
}

/// Checks what GitLab's documentation asks of an issue of code quality.
fn check_quality(text: &str) {
    assert!(text.len() <= 10_100_000, "{} bytes", text.len());
    let schema = json!({"type": "array", "maxItems": 5001, "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {"type": "object", "required": ["path", "lines"], "properties": {
                "path": {"type": "string", "pattern": "^[^./]"},
                "lines": {"type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer", "minimum": 1}}},
            }},
        },
    }});
    let issues: Value = serde_json::from_str(text).expect("it is JSON");
    conforms(&schema, &issues, "code quality");
    let issues = issues.as_array().expect("a list");
    let prints: BTreeSet<&str> = issues.iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
    assert_eq!(prints.len(), issues.len(), "fingerprints are unique");
}

fn check_sarif(text: &str) {
    // GitHub takes 10 MB packed; unpacked is more than that.
    assert!(text.len() <= 10_000_000, "{} bytes", text.len());
    let path = repository().join("tests/fixtures/schemas/sarif-schema-2.1.0.json");
    let schema = std::fs::read_to_string(path).expect("it is there");
    // The standard's expression for languages has a bracket too many, which strict readers refuse.
    let schema = schema.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema = serde_json::from_str(&schema).expect("it is JSON");
    let log: Value = serde_json::from_str(text).expect("it is JSON");
    conforms(&schema, &log, "SARIF");
    let run = &log["runs"][0];
    let results = run["results"].as_array().expect("results");
    assert!(results.len() <= 5_000, "{}", results.len());
    let prints: BTreeSet<String> = results.iter().map(|result| result["partialFingerprints"].to_string()).collect();
    assert_eq!(prints.len(), results.len(), "fingerprints are unique");
    for result in results {
        // GitHub refuses a result without a place.
        assert!(result["locations"][0]["physicalLocation"]["region"]["startLine"].is_u64(), "{result}");
        let index = result["ruleIndex"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("a rule");
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
}

/// Reads `JUnit` reports with what Python has; `None` if there is no Python.
pub(crate) fn junit(files: &[&Path]) -> Option<Value> {
    let made = repository().join("target/interop/bin/python");
    let given = std::env::var_os("RECONCILE_PYTHON").map(PathBuf::from);
    let script = repository().join("tests/interop/junit.py");
    let schema = repository().join("tests/fixtures/schemas/junit-10.xsd");
    let run = |python: &Path| -> Option<Output> {
        Command::new(python).arg(&script).arg(&schema).args(files).output().ok().filter(|output| {
            // A shim of a Python that is not installed ends with 127.
            output.status.code() != Some(127)
        })
    };
    let Some(output) = given.iter().chain([&made, &PathBuf::from("python3")]).find_map(|python| run(python)) else {
        skip("no Python reads the JUnit reports");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    if read["schema"] == false {
        skip("JUnit's schema, without the Python package xmlschema");
    }
    Some(read["reports"].clone())
}
