//! Rules about the sources themselves: what may use what, what is absent where, examples and README that work.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use regex::Regex;

/// The parts of the crate that each part may use, beside itself. A part is a module, or a path below `platform`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("plain", &[]),
    ("parallel", &[]),
    ("source", &["plain"]),
    ("diagnostic", &["plain", "source"]),
    ("yaml", &["source", "diagnostic"]),
    ("model", &["source", "diagnostic"]),
    ("diff", &["model"]),
    ("provider", &["diff", "yaml", "model", "diagnostic", "source"]),
    ("files", &["diagnostic", "source"]),
    ("manifest", &["files", "parallel", "provider", "diff", "yaml", "model", "source", "diagnostic"]),
    ("plan", &["parallel", "provider", "diff", "yaml", "model", "source", "diagnostic"]),
    ("config", &["files", "plan", "provider", "yaml", "model", "diagnostic", "source"]),
    ("transport", &["provider", "model"]),
    ("snapshot", &["provider", "model"]),
    ("clock", &[]),
    (
        "engine",
        &[
            "clock",
            "parallel",
            "plain",
            "plan",
            "provider",
            "snapshot",
            "transport",
            "diff",
            "model",
            "diagnostic",
            "source",
        ],
    ),
    ("platform", &["provider"]),
    (PLATFORM, &["parallel", "provider", "diff", "yaml", "model", "diagnostic", "source"]),
    ("run", &["engine", "journal", "plan", "provider", "model", "diagnostic", "source", "clock"]),
    (
        "agent",
        &[
            "engine",
            "journal",
            "run",
            "plain",
            "plan",
            "provider",
            "manifest",
            "config",
            "diff",
            "yaml",
            "model",
            "diagnostic",
            "source",
            "transport",
            "version",
        ],
    ),
    ("journal", &["clock", "files", "plan", "model", "version"]),
    ("version", &[]),
    ("rehearse", &["run", "engine", "journal", "plan", "provider", "snapshot", "transport", "model", "clock"]),
    ("notify", &["agent", "config", "plain", "provider", "transport"]),
    ("web", &["agent", "journal", "plain", "version"]),
    ("main", &["cli"]),
    ("fuzzed", &[]),
    ("lib", &[]),
    ("lsp", &["config", "diagnostic", "manifest", "model", "provider", "source", "yaml"]),
    ("schema", &["config", "manifest", "provider", "yaml"]),
];

/// The part that stands for the folder of each platform; none may use another.
const PLATFORM: &str = "platform/*";

/// Modules that compute and nothing else.
const CORE: &[&str] =
    &["plain", "parallel", "source", "diagnostic", "yaml", "model", "diff", "provider", "manifest", "plan", "snapshot"];

/// The sources of the sandbox, a crate of its own.
const SANDBOX: &str = "crates/sandbox/src";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path below the repository and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The code without comments, texts and tests.
    fn code(&self) -> String {
        let code = without_words(&self.text);
        code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests") || self.path.ends_with("/fake.rs")
    }

    /// The path of the module, with `/` between its steps.
    fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.strip_suffix(".rs").unwrap_or(below)
    }

    /// The part that the file belongs to, the longest one that fits.
    fn part(&self) -> &str {
        part(self.module())
    }
}

/// The part that a module's path (`platform/bk_cmdb/access`) belongs to.
fn part(module: &str) -> &str {
    let folder = module.strip_prefix("platform/").map(|rest| rest.split('/').next().unwrap_or_default());
    let length = folder.map_or_else(|| module.find('/').unwrap_or(module.len()), |name| "platform/".len() + name.len());
    &module[..length]
}

/// All Rust files below a directory of the repository.
fn sources(directory: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let path = path.strip_prefix(root()).expect("it lies below").display().to_string();
            sources.push(Source { path, text });
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(!sources.is_empty(), "{directory} holds no sources");
    sources
}

/// The sources of the program and of its sandbox.
fn all_sources() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources(SANDBOX));
    all
}

/// Blanks out comments and what stands between quotes.
fn without_words(text: &str) -> String {
    let pattern = r#"(?x)
        //[^\n]*                                    # a comment
        | r\#"(?s:.*?)"\#                           # a raw text with a hash
        | r"[^"]*"                                  # and without
        | b?"(?s:\\.|[^"\\])*"                      # a text
        | b?'(?:\\(?:u\{[0-9a-fA-F]+\}|x..|.)|[^\\'\n])'  # a character; a lifetime has no second quote
    "#;
    regex::Regex::new(pattern).expect("the expression is right").replace_all(text, "\"\"").into_owned()
}

/// The paths that begin with `crate::` in code, groups resolved, with `/` between their steps.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let is_word = code[..at].chars().next_back().is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        if !is_word {
            follow(&code[at + "crate::".len()..], "", &mut paths);
        }
    }
    paths
}

/// The paths that begin with `super::` in the code of a module, from the crate's root.
fn super_paths(module: &str, code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let pattern = regex::Regex::new(r"\b(?:super::)+").expect("the expression is right");
    for found in pattern.find_iter(code) {
        let up = found.as_str().matches("super").count();
        let steps: Vec<&str> = module.split('/').collect();
        let above = &steps[..steps.len().saturating_sub(up)];
        follow(&code[found.end()..], &above.join("/"), &mut paths);
    }
    paths
}

/// Reads one path or group and returns what stands behind it.
fn follow<'a>(code: &'a str, before: &str, paths: &mut BTreeSet<String>) -> &'a str {
    let mut code = code.trim_start();
    let mut path = before.to_owned();
    loop {
        if let Some(group) = code.strip_prefix('{') {
            code = group.trim_start();
            while !code.starts_with('}') && !code.is_empty() {
                code = follow(code, &path, paths).trim_start();
                code = code.strip_prefix(',').unwrap_or(code).trim_start();
            }
            return code.strip_prefix('}').unwrap_or(code);
        }
        let end = code.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(code.len());
        if end == 0 {
            // `*`, or something that is no path.
            paths.insert(path);
            return code.get(1..).unwrap_or_default();
        }
        let (step, rest) = code.split_at(end);
        if step != "self" {
            path = if path.is_empty() { step.to_owned() } else { format!("{path}/{step}") };
        }
        code = rest;
        let Some(rest) = code.strip_prefix("::") else {
            paths.insert(path);
            let renamed = code.trim_start().strip_prefix("as ").map(|rest| {
                rest.trim_start().trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_')
            });
            return renamed.unwrap_or(code);
        };
        code = rest.trim_start();
    }
}

#[test]
fn paths_are_read() {
    let code = "use crate::{a::{self, b::C as D}, e, f::*}; fn g() { crate::h::i(); mycrate::no(); }";
    let paths: Vec<_> = crate_paths(code).into_iter().collect();
    assert_eq!(paths, ["a", "a/b/C", "e", "f", "h/i"]);
    let paths: Vec<_> = super_paths("a/b/c", "use super::{d, e::F}; use super::super::g;").into_iter().collect();
    assert_eq!(paths, ["a/b/d", "a/b/e/F", "a/g"]);
    assert_eq!(without_words("a // b \"\nc \"d \\\" e\" 'f' &'g h '\\''"), "a \"\"\nc \"\" \"\" &'g h \"\"");
}

#[test]
fn each_part_uses_only_what_it_may() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        let own = source.part();
        if own == "cli" {
            continue;
        }
        let rule = if own.starts_with("platform/") { PLATFORM } else { own };
        let Some(allowed) = rules.get(rule) else { panic!("{}: the part `{own}` has no rule", source.path) };
        let code = source.code();
        for path in crate_paths(&code).union(&super_paths(source.module(), &code)) {
            let used = part(path);
            if used != own && !allowed.contains(&used) {
                wrong.push(format!("{}: `{own}` must not use crate::{}", source.path, path.replace('/', "::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the files of a room that each of its files uses, but for the files that it is a part of and its own parts.
fn uses_within(room: &str) -> BTreeMap<String, BTreeSet<String>> {
    let all: Vec<Source> = sources("src").into_iter().filter(|source| !source.is_test()).collect();
    let modules: BTreeSet<&str> = all.iter().map(Source::module).filter(|module| module.starts_with(room)).collect();
    let is_kin =
        |text: &str, other: &str| text.starts_with(&format!("{other}/")) || other.starts_with(&format!("{text}/"));
    let uses = all.iter().filter(|source| modules.contains(source.module())).map(|source| {
        let code = source.code();
        let paths: BTreeSet<String> = crate_paths(&code).union(&super_paths(source.module(), &code)).cloned().collect();
        // A path ends with the names of items; the longest beginning that is a file is meant.
        let files = paths.iter().filter_map(|path| {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.filter_map(|end| modules.get(&path[..end])).next_back().copied()
        });
        let files = files.filter(|file| *file != source.module() && !is_kin(file, source.module()));
        (source.module().to_owned(), files.map(str::to_owned).collect())
    });
    uses.collect()
}

/// Returns the files that use each other in a circle, by taking away again and again those that use no other.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let free: BTreeSet<String> =
            uses.iter().filter(|(_, used)| used.is_empty()).map(|(file, _)| file.clone()).collect();
        if free.is_empty() {
            return uses.into_keys().collect();
        }
        uses.retain(|file, _| !free.contains(file));
        uses.values_mut().for_each(|used| used.retain(|file| !free.contains(file)));
    }
}

#[test]
fn files_of_a_room_use_each_other_in_one_direction() {
    for (room, file, used) in
        [("engine", "engine/observe", "engine/drive"), ("cli", "cli/view/form", "cli/view/report")]
    {
        let uses = uses_within(room);
        assert!(uses[file].contains(used), "the rule sees what is used: {uses:?}");
        assert_eq!(circles(uses), Vec::<String>::new(), "{room}");
    }
    let circle = [("a", vec!["b"]), ("b", vec!["a"]), ("c", vec![]), ("d", vec!["c"])];
    let named = circle.map(|(file, used)| (file.to_owned(), used.into_iter().map(str::to_owned).collect()));
    assert_eq!(circles(BTreeMap::from(named)), ["a", "b"]);
}

#[test]
fn the_sandbox_shares_no_code_with_the_program() {
    let manifest = std::fs::read_to_string(root().join("crates/sandbox/Cargo.toml")).expect("the crate has a manifest");
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("it has dependencies");
    assert!(!dependencies.contains("reconcile") && !dependencies.contains("path ="), "{dependencies}");
    let outside =
        regex::Regex::new(r#"#\[path|include(_str|_bytes)?!\("([^"]*/)?src/"#).expect("the expression is right");
    let wrong: Vec<_> = sources(SANDBOX).into_iter().filter(|source| outside.is_match(&source.text)).collect();
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|source| &source.path).collect::<Vec<_>>());
}

/// Checks that words occur only in files that may have them.
fn absent(words: &[&str], may: impl Fn(&Source) -> bool) {
    let mut wrong = Vec::new();
    for source in all_sources().iter().filter(|source| !source.is_test() && !may(source)) {
        let code = source.code();
        wrong.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", source.path)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_computes_and_nothing_else() {
    let words = [
        "tokio",
        "reqwest",
        "axum",
        "async fn",
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "fs::read",
        "env::var",
    ];
    absent(&words, |source| {
        let part = source.part();
        let is_core = CORE.contains(&part) || part == "platform" || part.starts_with("platform/");
        // Discovery reads directories: it is the edge of `manifest`.
        !is_core || source.path.starts_with("src/manifest/discover")
    });
}

#[test]
fn one_module_alone_names_the_parser_the_client_and_the_streams() {
    absent(&["granit_parser"], |source| source.part() == "yaml");
    absent(&["reqwest"], |source| source.part() == "transport");
    absent(&["println!", "eprintln!", "print!(", "eprint!(", "io::stdout", "io::stderr"], |source| {
        source.path.starts_with("src/cli/view") || source.path == "src/cli/execute.rs"
    });
}

#[test]
fn platforms_are_named_in_their_own_folders_only() {
    let own = reconcile::platform::ALL.iter().map(|platform| platform.name().replace('-', "[-_]?"));
    let words: Vec<String> = own.chain(["roma".to_owned(), "blueking".to_owned()]).collect();
    let named = regex::Regex::new(&format!(r"(?i)\b({})\b", words.join("|"))).expect("it is right");
    let comment = regex::Regex::new("//[^\n]*").expect("it is right");
    let mut wrong = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        if source.path.starts_with("src/platform") {
            continue;
        }
        let code = comment.replace_all(&source.text, "").into_owned();
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        wrong.extend(named.find_iter(&code).map(|found| format!("{}: {}", source.path, found.as_str())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns true if nothing stands on stderr but which configuration is used.
fn is_silent(output: &Output) -> bool {
    let stderr = String::from_utf8_lossy(&output.stderr);
    stderr.lines().filter(|line| !line.starts_with("configuration: ")).count() == 0
}

/// Runs the program in the repository with an empty environment.
fn reconcile(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
    command.env_clear().current_dir(directory).args(arguments).output().expect("the program runs")
}

#[test]
fn examples_are_valid() {
    let output = reconcile(&root(), &["validate", "examples/manifests"]);
    assert!(output.status.success() && is_silent(&output), "{}", String::from_utf8_lossy(&output.stderr));
    let output = reconcile(&root(), &["validate", "examples/manifests", "--overlay", "examples/overlays/prod"]);
    assert!(output.status.success() && is_silent(&output), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Words of one's own for which the field has others, as expressions with the word to write.
const OLD_WORDS: &[(&str, &str)] = &[
    (r"beneath", "impact, or below"),
    (r"hang(s|ing)? (below|on)", "impact, or depends on"),
    (r"unasked", "implicit, or without asking"),
    (r"(un)?seal(s|ed|ing)?", "snapshot"),
    (r"doors?", "access"),
    (r"given up|gives? up", "suppressed, or frees"),
    (r"(to do|done) by hand", "manual follow-up"),
    (r"left alone", "blocked"),
    (r"lower bound", "the fewest calls, or nothing"),
    (r"platforms? tells? nothing", "reports no changes"),
    (r"most requests", "maximum number of requests"),
];

/// Matches any old word.
static OLD_WORD: LazyLock<Regex> = LazyLock::new(|| {
    let words: Vec<_> = OLD_WORDS.iter().map(|(word, _)| *word).collect();
    Regex::new(&format!(r"(?i)\b({})\b", words.join("|"))).expect("the expression is right")
});

/// Matches a comment, or a text between quotes in one of two groups.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?x) //[^\n]* | r\#"(?s:(.*?))"\# | b?"((?s:\\.|[^"\\])*)"
        | b?'(?:\\(?:u\{[0-9a-fA-F]+\}|x..|.)|[^\\'\n])' "#;
    Regex::new(pattern).expect("the expression is right")
});

/// Returns each old word in a text, with the line that it is in.
fn old_words(path: &str, text: &str) -> Vec<String> {
    // The value of an example, in which it is an ordinary word.
    let text = text.replace("front door", "front");
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let found = OLD_WORD.find(line)?.as_str().to_lowercase();
        let is_meant = |word: &str| Regex::new(&format!("^({word})$")).is_ok_and(|word| word.is_match(&found));
        let (_, instead) = OLD_WORDS.iter().find(|(word, _)| is_meant(word)).expect("it is one of them");
        Some(format!("{path}:{}: write {instead}, not {found}: {}", at + 1, line.trim()))
    });
    lines.collect()
}

/// The texts of a source: what stands between quotes, and the doc comments that become help.
fn public_texts(source: &Source) -> String {
    let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let name = Regex::new(r"\{[A-Za-z_]+").expect("the expression is right");
    let texts = QUOTED.captures_iter(code).filter_map(|found| found.get(1).or(found.get(2)));
    let texts: Vec<_> = texts.map(|text| name.replace_all(text.as_str(), "{")).collect();
    let mut lines = texts.join("\n") + "\n";
    if source.path.starts_with("src/cli/args") {
        let help = code.lines().filter_map(|line| line.trim_start().strip_prefix("/// "));
        lines.extend(help.flat_map(|line| [line, "\n"]));
    }
    lines
}

#[test]
fn public_texts_use_the_words_of_the_field() {
    let mut wrong = Vec::new();
    let mut open: Vec<PathBuf> =
        ["docs", "examples", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)).into();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            wrong.extend(old_words(&path.strip_prefix(root()).expect("it lies below").display().to_string(), &text));
        }
    }
    for source in all_sources().iter().filter(|source| !source.is_test()) {
        wrong.extend(old_words(&source.path, &public_texts(source)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn old_words_are_found() {
    let found = |text: &str| old_words("a", text).len();
    assert_eq!((found("its door is shut"), found("the Impact"), found("Sealed: 3"), found("outdoors")), (1, 0, 1, 0));
    let text = "/// seal\nfn a() { b(\"a door\", r#\"c\"#, '\"'); } // door";
    let source = Source { path: "src/a.rs".to_owned(), text: text.to_owned() };
    assert_eq!(public_texts(&source), "a door\nc\n");
}

#[test]
fn the_readme_is_short_and_the_glossary_too() {
    let lines = |name: &str| std::fs::read_to_string(root().join(name)).expect("it can be read");
    assert!(lines("README.md").lines().count() <= 150, "move what is more into the book");
    let map = lines("ARCHITECTURE.md");
    let glossary = map.split("## Glossary").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a glossary");
    let words = glossary.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!((10..=25).contains(&words), "the glossary has {words} words, not 10 to 25");
}

#[test]
fn nothing_of_a_machine_is_in_the_repository() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        // An unpacked archive: nothing tells which files belong to it.
        return;
    };
    // In two pieces each, so that this file does not name them.
    let words = [
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/wo", "rk/"),
        ("/tm", "p/w"),
        ("cla", "ude"),
        ("chat", "gpt"),
        ("open", "ai"),
        ("co-authored", "-by"),
    ];
    let words: Vec<String> = words.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut wrong = Vec::new();
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty()) {
        let Ok(text) = std::fs::read_to_string(root().join(name)) else { continue };
        let text = text.to_lowercase();
        wrong.extend(words.iter().filter(|word| text.contains(*word)).map(|word| format!("{name}: {word}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_fuzz_targets_have_the_crates_of_the_modules_that_they_build() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it can be read");
    let names = |manifest: &str| -> BTreeSet<String> {
        let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("it has dependencies");
        let lines = rest.lines().take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
        let name = |line: &str| Some(line.split(['=', '.', ' ']).next()?.replace('-', "_"));
        lines.filter_map(name).filter(|name| !name.is_empty()).collect()
    };
    let (own, theirs) = (names(&read("Cargo.toml")), names(&read("fuzz/Cargo.toml")));
    let modules = read("src/fuzzed.rs");
    let built: Vec<Source> = sources("src")
        .into_iter()
        .filter(|source| !source.is_test())
        .filter(|source| {
            modules.contains(&format!("pub mod {};", source.module().split('/').next().unwrap_or_default()))
        })
        .collect();
    assert!(built.len() > 50, "{} files", built.len());
    let mut missing = BTreeSet::new();
    for name in own.difference(&theirs) {
        let used = Regex::new(&format!(r"\b{name}::")).expect("the expression is right");
        if built.iter().any(|source| used.is_match(&source.code())) {
            missing.insert(name);
        }
    }
    assert!(missing.is_empty(), "fuzz/Cargo.toml lacks {missing:?}");
}
