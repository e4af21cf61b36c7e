use std::fs;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::{diagnostic::render, platform};

fn read(text: &str) -> (Config, String) {
    let mut sources = Sources::default();
    let file = sources.add("etc/reconcile.yaml", text);
    let mut diagnostics = Vec::new();
    let config = decode(file, Path::new("etc/reconcile.yaml"), platform::ALL, &sources, &mut diagnostics);
    (config, render::text(&diagnostics, &sources, false, 120))
}

/// Shows the targets and what is reported.
fn check(text: &str) -> String {
    let (config, reported) = read(text);
    let mut lines = vec![reported];
    for target in &config.targets {
        lines.push(format!(
            "{} ({}) default={} {:?}",
            target.name,
            target.platform.name(),
            target.default,
            target.limits
        ));
        lines.extend(target.settings.iter().map(|(key, setting)| format!("  {key} = {:?}", setting.value)));
        lines.extend(target.secrets.iter().map(|(key, source)| format!("  {key} = {:?}", source.value)));
    }
    lines.push(format!("{:?} {:?}", config.watch, config.sandbox));
    lines.join("\n")
}

const HEAD: &str = "apiVersion: reconcile/v1\nkind: Config\n";

#[test]
fn a_full_configuration_is_read() {
    let text = "
targets:
  cmdb-prod:
    platform: bk-cmdb
    access: esb
    endpoint: https://paas.example.com/
    auth: {appCode: my-app, appSecret: {env: BK_APP_SECRET}, username: admin}
    supplierAccount: 0
    timeZone: Asia/Shanghai
    default: true
    limits: {concurrency: 8, requestsPerSecond: 50}
  cmdb-test:
    platform: bk-cmdb
    access: esb
    endpoint: {env: BK_URL}
    auth: {appCode: {file: code}, appSecret: {command: [pass, bk]}, token: {file: /run/token}, in: header}
  cmdb-gateway:
    platform: bk-cmdb
    access: gateway
    stage: test
    version: 3.10
    endpoint: https://bkapi.example.com
    auth: {appCode: my-app, appSecret: {env: BK_APP_SECRET}, token: {env: BK_TOKEN}}
  cmdb-direct: {platform: bk-cmdb, access: direct, endpoint: http://10.0.0.1:8080, version: 3.14.8-beta1, auth: {username: admin}}
  roma:
    platform: roma-connect
    region: cn-north-4
    projectId: {env: HW_PROJECT_ID}
    instanceId: 4f2
    auth: {token: {env: HW_TOKEN}}
    limits: {requestsPerSecond: 0.5}
watch: {mode: report, resync: 5m, listen: 127.0.0.1:8321}
sandbox: {state: [sandbox.yaml, /tmp/x.yaml]}
";
    insta::assert_snapshot!(check(&(HEAD.to_owned() + text)), @r#"

    cmdb-prod (bk-cmdb) default=true Limits { concurrency: Some(8), requests_per_second: Some(50.0) }
      access = Literal("esb")
      appCode = Literal("my-app")
      endpoint = Literal("https://paas.example.com/")
      supplierAccount = Literal("0")
      timeZone = Literal("Asia/Shanghai")
      username = Literal("admin")
      appSecret = Env("BK_APP_SECRET")
    cmdb-test (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      access = Literal("esb")
      appCode = From(File("etc/code"))
      endpoint = From(Env("BK_URL"))
      in = Literal("header")
      appSecret = Command(["pass", "bk"])
      token = File("/run/token")
    cmdb-gateway (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      access = Literal("gateway")
      appCode = Literal("my-app")
      endpoint = Literal("https://bkapi.example.com")
      stage = Literal("test")
      version = Literal("3.10")
      appSecret = Env("BK_APP_SECRET")
      token = Env("BK_TOKEN")
    cmdb-direct (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      access = Literal("direct")
      endpoint = Literal("http://10.0.0.1:8080")
      username = Literal("admin")
      version = Literal("3.14.8-beta1")
    roma (roma-connect) default=false Limits { concurrency: None, requests_per_second: Some(0.5) }
      instanceId = Literal("4f2")
      projectId = From(Env("HW_PROJECT_ID"))
      region = Literal("cn-north-4")
      timeZone = Literal("Asia/Shanghai")
      token = Env("HW_TOKEN")
    Watch { mode: Report, resync: Some(300s), resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: Some(127.0.0.1:8321), token: None } ["etc/sandbox.yaml", "/tmp/x.yaml"]
    "#);
    let (config, _) = read(&(HEAD.to_owned() + text));
    let files: Vec<String> = config.files().iter().map(|file| file.display().to_string()).collect();
    assert_eq!(files, ["etc/reconcile.yaml", "etc/sandbox.yaml", "/tmp/x.yaml", "etc/code", "/run/token"]);
    assert!(config.target("roma").is_some() && config.target("nowhere").is_none());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot")]
fn all_mistakes_are_reported_at_once() {
    let text = "
targets:
  a/b:
    platform: bk-cmbd
  one:
    platform: bk-cmdb
    default: yes
    endpoint: paas.example.com
    timeZone: Asia/Shenzen
    limits: {concurrency: 0, requestsPerSecond: fast, burst: 1}
    auth:
      appcode: x
      username: admin
  two:
    platform: roma-connect
    default: true
    region: cn-north-4/#
    endpoint: http://127.0.0.1:1
    projectId:
    auth: {}
  three: {platform: roma-connect, default: true, region: cn-north-4, projectId: {env: $P}, instanceId: {command: []}}
watch: {mode: of, resync: 5, listen: localhost, once: true}
sandbox: {state: x}
targtes: {}
";
    insta::assert_snapshot!(check(&(HEAD.to_owned() + text)), @r#"
    error[C011]: the target name `a/b` must not hold spaces, `/` or `*`
     --> etc/reconcile.yaml:5:3
      |
    5 |   a/b:
      |   ^^^

    error[Y207]: platform cannot be `bk-cmbd`
     --> etc/reconcile.yaml:6:15
      |
    6 |     platform: bk-cmbd
      |               ^^^^^^^
      |
      = help: did you mean `bk-cmdb`?

    error[Y203]: target one needs `access`
     --> etc/reconcile.yaml:8:5
      |
    8 |     platform: bk-cmdb
      |     ^^^^^^^^

    warning[Y101]: `yes` is a text, not a truth value
     --> etc/reconcile.yaml:9:14
      |
    9 |     default: yes
      |              ^^^
      |
      = help: write true or false, or "yes" to say that the text is meant

    error[Y206]: default has to be true or false, not a text
     --> etc/reconcile.yaml:9:14
      |
    9 |     default: yes
      |              ^^^
      |
      = help: write true

    error[C004]: endpoint has to be an address such as https://paas.example.com
      --> etc/reconcile.yaml:10:15
       |
    10 |     endpoint: paas.example.com
       |               ^^^^^^^^^^^^^^^^

    error[C004]: timeZone has to be a time zone such as Asia/Shanghai
      --> etc/reconcile.yaml:11:15
       |
    11 |     timeZone: Asia/Shenzen
       |               ^^^^^^^^^^^^

    error[C009]: concurrency has to be 1 or more
      --> etc/reconcile.yaml:12:27
       |
    12 |     limits: {concurrency: 0, requestsPerSecond: fast, burst: 1}
       |                           ^

    error[C009]: requestsPerSecond has to be a number above 0
      --> etc/reconcile.yaml:12:49
       |
    12 |     limits: {concurrency: 0, requestsPerSecond: fast, burst: 1}
       |                                                 ^^^^

    error[Y202]: unknown key `burst` in limits
      --> etc/reconcile.yaml:12:55
       |
    12 |     limits: {concurrency: 0, requestsPerSecond: fast, burst: 1}
       |                                                       ^^^^^
       |
       = help: known keys: concurrency, requestsPerSecond

    error[Y203]: auth of target one needs `appSecret`
      --> etc/reconcile.yaml:14:7
       |
    14 |       appcode: x
       |       ^^^^^^^

    error[Y202]: unknown key `appcode` in auth of target one
      --> etc/reconcile.yaml:14:7
       |
    14 |       appcode: x
       |       ^^^^^^^
       |
       = help: did you mean `appCode`?

    error[C005]: target two needs exactly one of `region` and `endpoint`
      --> etc/reconcile.yaml:16:3
       |
    16 |   two:
       |   ^^^

    error[Y203]: target two needs `instanceId`
      --> etc/reconcile.yaml:17:5
       |
    17 |     platform: roma-connect
       |     ^^^^^^^^

    error[C004]: region has to be a region such as cn-north-4
      --> etc/reconcile.yaml:19:13
       |
    19 |     region: cn-north-4/#
       |             ^^^^^^^^^^^^

    error[Y204]: projectId has to be a text, not empty
      --> etc/reconcile.yaml:21:5
       |
    21 |     projectId:
       |     ^^^^^^^^^

    error[C005]: auth of target two needs exactly one of `token`, `ak` with `sk`, `iam` and `credentialsFile`
    --> etc/reconcile.yaml:22:11

    error[C006]: only one target of roma-connect can be the default
      --> etc/reconcile.yaml:23:3
       |
    16 |   two:
       |   --- first here
    ...
    23 |   three: {platform: roma-connect, default: true, region: cn-north-4, projectId: {env: $P}, instanceId: {command:...
       |   ^^^^^ again

    error[C003]: projectId.env has to be the name of an environment variable
      --> etc/reconcile.yaml:23:87
       |
    23 |   three: {platform: roma-connect, default: true, region: cn-north-4, projectId: {env: $P}, instanceId: {command:...
       |                                                                                       ^^
       |
       = help: write the name alone, without $

    error[C003]: instanceId.command needs a program
      --> etc/reconcile.yaml:23:114
       |
    23 | ...north-4, projectId: {env: $P}, instanceId: {command: []}}
       |                                                         ^^

    error[Y207]: mode cannot be `of`
      --> etc/reconcile.yaml:24:15
       |
    24 | watch: {mode: of, resync: 5, listen: localhost, once: true}
       |               ^^
       |
       = help: it can be enforce, report, ignore

    error[C007]: resync cannot be `5`
      --> etc/reconcile.yaml:24:27
       |
    24 | watch: {mode: of, resync: 5, listen: localhost, once: true}
       |                           ^
       |
       = help: write a duration such as 5m or 30s

    error[C008]: listen cannot be `localhost`
      --> etc/reconcile.yaml:24:38
       |
    24 | watch: {mode: of, resync: 5, listen: localhost, once: true}
       |                                      ^^^^^^^^^
       |
       = help: write an address and a port, such as 127.0.0.1:8321

    error[Y202]: unknown key `once` in watch
      --> etc/reconcile.yaml:24:49
       |
    24 | watch: {mode: of, resync: 5, listen: localhost, once: true}
       |                                                 ^^^^
       |
       = help: known keys: ceasefire, deadline, listen, mode, resync, token

    error[Y208]: state has to be a list, not a text
      --> etc/reconcile.yaml:25:18
       |
    25 | sandbox: {state: x}
       |                  ^

    error[Y202]: unknown key `targtes` in the configuration
      --> etc/reconcile.yaml:26:1
       |
    26 | targtes: {}
       | ^^^^^^^
       |
       = help: did you mean `targets`?

    one (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      endpoint = Literal("paas.example.com")
      timeZone = Literal("Asia/Shenzen")
      username = Literal("admin")
    two (roma-connect) default=true Limits { concurrency: None, requests_per_second: None }
      endpoint = Literal("http://127.0.0.1:1")
      region = Literal("cn-north-4/#")
      timeZone = Literal("Asia/Shenzen")
    three (roma-connect) default=true Limits { concurrency: None, requests_per_second: None }
      region = Literal("cn-north-4")
      timeZone = Literal("Asia/Shenzen")
    Watch { mode: Enforce, resync: None, resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: None, token: None } []
    "#);
}

#[test]
fn an_endpoint_is_a_root_and_never_shows_a_password() {
    let check = |endpoint: &str, expected: Option<&str>| {
        let target = format!("{{platform: bk-cmdb, access: direct, endpoint: '{endpoint}', auth: {{username: u}}}}");
        let (_, reported) = read(&format!("{HEAD}targets:\n  t: {target}\n"));
        assert!(!reported.contains("canary"), "{endpoint}: {reported}");
        match expected {
            Some(expected) => assert!(reported.contains(expected), "{endpoint}: {reported}"),
            None => assert_eq!(reported, "", "{endpoint}"),
        }
    };
    for fine in ["http://h", "https://h:8443/", "http://[::1]:8080", "https://h/cmdb", "http://10.0.0.1:8080/"] {
        check(fine, None);
    }
    for wrong in ["h", "ftp://h", "http://", "http://h:99999", "http://h:0", "http://[::1", "http://[x]", "http://:80"]
    {
        check(wrong, Some("endpoint has to be an address such as https://paas.example.com"));
    }
    check("http://user:canary@h", Some("a user name and a password belong into `auth`"));
    check("http://h:8080/api/v3", Some("write `http://h:8080`"));
    check("https://paas.example.com/api/c/compapi/v2/cc/", Some("write `https://paas.example.com`"));
}

#[test]
fn scopes_of_prune() {
    let target = |name: &str| {
        format!("  {name}: {{platform: bk-cmdb, access: direct, endpoint: 'http://c', auth: {{username: u}}}}\n")
    };
    let scopes = "
prune:
- {kind: ProcessTemplate, business: demo, serviceTemplate: 51, target: a}
- {kind: Module, business: 3, set: '3'}
- {kind: Modul, business: 3}
- {kind: Module, business: 3, target: c, module: x}
- {kind: App}
- {kind: Instance, model: ''}
";
    let check = |targets: &[&str]| {
        let targets: String = targets.iter().map(|name| target(name)).collect();
        let text = format!("{HEAD}\ntargets:\n{targets}{scopes}");
        let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
        let file = sources.add("reconcile.yaml", text);
        let config = decode(file, Path::new("reconcile.yaml"), platform::ALL, &sources, &mut diagnostics);
        let told = diagnostics.iter().map(|diagnostic| {
            let at = sources.position(&diagnostic.labels[0].origin);
            format!("{}:{} {} {}\n", at.line, at.column, diagnostic.code, diagnostic.message)
        });
        let scopes = config.prune.iter().map(|scope| {
            let values: std::collections::BTreeMap<_, _> =
                scope.values.iter().map(|(key, value)| (key, &value.value)).collect();
            format!("{} on {}: {values:?}\n", scope.kind, scope.target)
        });
        told.chain(scopes).collect::<String>()
    };
    insta::assert_snapshot!(check(&["a"]), @r#"
    10:10 Y207 kind cannot be `Modul`
    11:4 Y203 a scope of prune needs `set`
    11:39 C012 `c` is no target of bk-cmdb
    11:42 Y202 unknown key `module` in a scope of prune
    12:3 C012 there is no target of roma-connect
    13:27 C003 model must not be empty
    ProcessTemplate on a: {"business": String("demo"), "serviceTemplate": Number(51)}
    Module on a: {"business": Number(3), "set": String("3")}
    Instance on a: {}
    "#);
    insta::assert_snapshot!(check(&["a", "b"]), @r#"
    10:3 C012 it is not clear which target of bk-cmdb is meant
    11:10 Y207 kind cannot be `Modul`
    12:4 Y203 a scope of prune needs `set`
    12:39 C012 `c` is no target of bk-cmdb
    12:42 Y202 unknown key `module` in a scope of prune
    13:3 C012 there is no target of roma-connect
    14:27 C003 model must not be empty
    14:3 C012 it is not clear which target of bk-cmdb is meant
    ProcessTemplate on a: {"business": String("demo"), "serviceTemplate": Number(51)}
    "#);
}

#[test]
fn doors_want_what_they_need() {
    let text = "
targets:
  direct:
    platform: bk-cmdb
    access: direct
    endpoint: http://h
    version: 3.8
    auth:
      appCode: x
      in: header
  gate:
    platform: bk-cmdb
    access: gateway
    endpoint: http://h
    stage: a/b
    version: new
    auth:
      appCode: x
      in: query
      username: u
";
    insta::assert_snapshot!(check(&(HEAD.to_owned() + text)), @r#"
    error[C004]: version has to be a version from 3.9 on, such as 3.14
     --> etc/reconcile.yaml:9:14
      |
    9 |     version: 3.8
      |              ^^^

    error[Y203]: auth of target direct needs `username`
      --> etc/reconcile.yaml:11:7
       |
    11 |       appCode: x
       |       ^^^^^^^

    error[Y202]: unknown key `in` in auth of target direct
      --> etc/reconcile.yaml:12:7
       |
    12 |       in: header
       |       ^^
       |
       = help: known keys: appCode, appSecret, username

    error[C004]: stage has to be a stage such as prod
      --> etc/reconcile.yaml:17:12
       |
    17 |     stage: a/b
       |            ^^^

    error[C004]: version has to be a version from 3.9 on, such as 3.14
      --> etc/reconcile.yaml:18:14
       |
    18 |     version: new
       |              ^^^

    error[Y203]: auth of target gate needs `appSecret`
      --> etc/reconcile.yaml:20:7
       |
    20 |       appCode: x
       |       ^^^^^^^

    error[Y207]: auth.in cannot be `query`
      --> etc/reconcile.yaml:21:11
       |
    21 |       in: query
       |           ^^^^^
       |
       = help: it can be body, header

    direct (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      access = Literal("direct")
      appCode = Literal("x")
      endpoint = Literal("http://h")
      version = Literal("3.8")
    gate (bk-cmdb) default=false Limits { concurrency: None, requests_per_second: None }
      access = Literal("gateway")
      appCode = Literal("x")
      endpoint = Literal("http://h")
      stage = Literal("a/b")
      username = Literal("u")
      version = Literal("new")
    Watch { mode: Enforce, resync: None, resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: None, token: None } []
    "#);
}

#[test]
fn secrets_are_shown_nowhere() {
    let target = "targets:\n  t:\n    platform: bk-cmdb\n    access: esb\n    endpoint: http://h\n";
    let texts = [
        "    auth: {appCode: c, appSecret: hunter2, usrname: u}\n",
        "    auth: {appCode: c, appSecret: {env: A, hunter: hunter2}, username: u}\n",
        "    auth:\n      appCode: c\n      appSecret:\n        hunter2\n      username: u\n",
        "    auth:\n      appCode: c\n      appSecret: [hunter2]\n      username: u\n",
        "    auth:\n      appCode: c\n      appSecret: {env: A}\n      appSecret: hunter2\n      username: u\n",
        "    auth: {appCode: c, appSecret: 'hunter2, username: u}\n",
        "    auth: hunter2\n",
    ];
    let mut all = String::new();
    for text in texts {
        let (_, shown) = read(&[HEAD, target, text].concat());
        assert!(!shown.contains("hunter2") && shown.contains("error["), "{shown}");
        all += &shown;
    }
    insta::assert_snapshot!(all, @r"
    error[C005]: auth of target t needs exactly one of `username` and `token`
    --> etc/reconcile.yaml:8:11

    error[C001]: auth.appSecret is a secret and must not be written in the file
    --> etc/reconcile.yaml:8:35
     = help: write where it comes from: {env: NAME}, {file: PATH} or {command: [program, argument]}

    error[Y202]: unknown key `usrname` in auth of target t
    --> etc/reconcile.yaml:8:44
     = help: did you mean `username`?
    error[Y202]: unknown key `hunter` in auth.appSecret
    --> etc/reconcile.yaml:8:44
     = help: known keys: command, env, file
    error[C001]: auth.appSecret is a secret and must not be written in the file
    --> etc/reconcile.yaml:11:9
     = help: write where it comes from: {env: NAME}, {file: PATH} or {command: [program, argument]}
    error[C001]: auth.appSecret is a secret and must not be written in the file
    --> etc/reconcile.yaml:10:18
     = help: write where it comes from: {env: NAME}, {file: PATH} or {command: [program, argument]}
    error[Y006]: the key `appSecret` is written twice
    --> etc/reconcile.yaml:11:7
    error[Y001]: unclosed quote
    --> etc/reconcile.yaml:8:35
    error[Y201]: auth of target t has to be a mapping, not a text
    --> etc/reconcile.yaml:8:11
    ");
}

#[test]
fn a_configuration_is_one_document() {
    insta::assert_snapshot!(check(""), @r"
    error[C010]: the configuration is empty
     --> etc/reconcile.yaml:1:1
      |
    1 |
      | ^

    Watch { mode: Enforce, resync: None, resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: None, token: None } []
    ");
    insta::assert_snapshot!(check("a: [\n"), @r"
    error[Y001]: unclosed bracket '['
     --> etc/reconcile.yaml:1:4
      |
    1 | a: [
      |    ^

    Watch { mode: Enforce, resync: None, resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: None, token: None } []
    ");
    insta::assert_snapshot!(check("apiVersion: reconcile/v2\nkind: Plan\n---\na: 1\n"), @r"
    error[Y207]: apiVersion cannot be `reconcile/v2`
     --> etc/reconcile.yaml:1:13
      |
    1 | apiVersion: reconcile/v2
      |             ^^^^^^^^^^^^
      |
      = help: did you mean `reconcile/v1`?

    error[Y207]: kind cannot be `Plan`
     --> etc/reconcile.yaml:2:7
      |
    2 | kind: Plan
      |       ^^^^
      |
      = help: it can be Config

    error[C010]: a configuration is one document
     --> etc/reconcile.yaml:4:1
      |
    4 | a: 1
      | ^^^^

    Watch { mode: Enforce, resync: None, resync_rules: [], deadline: None, ceasefire: Ceasefire { after: 3, within: 3600s, quiet: 3600s }, listen: None, token: None } []
    ");
}

#[test]
fn values_are_fetched() {
    let root = tempfile::tempdir().expect("a temporary directory");
    fs::write(root.path().join("secret"), "from a file\r\n").expect("a file");
    fs::write(root.path().join("empty"), "\n").expect("a file");
    let resolve = |source: &str| {
        let text = format!(
            "{HEAD}targets: {{t: {{platform: roma-connect, endpoint: http://h/x/, projectId: p, instanceId: i, auth: {{token: {source}}}}}}}\n"
        );
        let mut sources = Sources::default();
        let path = root.path().join(FILE);
        fs::write(&path, text).expect("a file");
        let mut diagnostics = Vec::new();
        let config = load(&path, platform::ALL, &mut sources, &mut diagnostics).expect("it can be read");
        assert!(diagnostics.is_empty(), "{}", render::text(&diagnostics, &sources, false, 120));
        match config.targets[0].resolve() {
            Ok(resolved) => {
                assert_eq!(resolved.settings["endpoint"], "http://h/x");
                assert!(!format!("{resolved:?}").contains("from a"));
                resolved.secrets["token"].expose_secret().to_owned()
            }
            Err(error) => format!("{error}: {}", error.source).replace(&root.path().display().to_string(), "ROOT"),
        }
    };
    assert_eq!(resolve("{file: secret}"), "from a file");
    assert_eq!(resolve("{command: [sh, -c, 'echo from a program; echo']}"), "from a program\n");
    assert_eq!(resolve("{env: CARGO_PKG_NAME}"), "reconcile");
    insta::assert_snapshot!(resolve("{env: NO_SUCH_VARIABLE}"), @"cannot get `token`: the environment variable NO_SUCH_VARIABLE is not set");
    insta::assert_snapshot!(resolve("{file: missing}"), @"cannot get `token`: cannot read ROOT/missing: No such file or directory (os error 2)");
    insta::assert_snapshot!(resolve("{file: empty}"), @"cannot get `token`: the value is empty");
    insta::assert_snapshot!(resolve("{command: [sh, -c, 'echo hunter2; exit 3']}"), @"cannot get `token`: sh ended with exit status: 3");
    insta::assert_snapshot!(resolve("{command: [no-such-program-at-all]}"), @"cannot get `token`: cannot run no-such-program-at-all: No such file or directory (os error 2)");
}

#[test]
fn the_file_is_found_in_parents() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let deep = root.path().join("a/b");
    fs::create_dir_all(&deep).expect("directories");
    fs::write(root.path().join("a").join(FILE), "").expect("a file");
    fs::write(deep.join("x.yaml"), "").expect("a file");
    let expected = Some(root.path().join("a").join(FILE));
    assert_eq!(find(&deep).file, expected);
    assert_eq!(find(&deep.join("x.yaml")).file, expected);
    assert_eq!(find(&root.path().join("a")).file, expected);
}

proptest! {
    #[test]
    fn nothing_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "targets: ", "{t: ", "{platform: ", "bk-cmdb", "roma-connect", ", ", "auth: ", "{token: ", "env", ": ", "}", "[", "]",
        "\n", "  ", "watch: ", "{resync: ", "5m", "名", "limits: ", "sandbox: ", "state", "- ", "endpoint: ", "http://",
    ]), 0..40)) {
        read(&(HEAD.to_owned() + &parts.concat()));
    }
}

#[test]
fn a_mistake_behind_the_last_blank_is_shown() {
    for text in ["- ", "-   ", "-   \n", "-   \r\n", "targets:\n  t: \n- "] {
        let (_, reported) = read(&(HEAD.to_owned() + text));
        assert!(reported.contains("error["), "{text:?}: {reported}");
    }
}

#[test]
fn what_one_run_tells_is_in_one_zone() {
    let check = |text: &str, other: &str, roma: &str, expected: Option<&str>| {
        let zone = |zone: &str| if zone.is_empty() { String::new() } else { format!("timeZone: {zone}, ") };
        let cmdb = |name: &str, set: &str| {
            format!(
                "  {name}: {{platform: bk-cmdb, access: direct, endpoint: \"http://h\", {}auth: {{username: admin}}}}\n",
                zone(set)
            )
        };
        let roma = format!(
            "  roma: {{platform: roma-connect, region: cn-north-4, instanceId: i, {}auth: {{token: {{env: T}}}}}}\n",
            zone(roma)
        );
        let (config, diagnostics) = read(&format!("{HEAD}targets:\n{}{roma}{}", cmdb("a", text), cmdb("b", other)));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let target = config.target("roma").expect("it is there");
        let found = target.settings.get("timeZone").map(|zone| zone.value.clone());
        assert_eq!(found, expected.map(|zone| Setting::Literal(zone.to_owned())));
        assert_eq!(config.target("b").is_some_and(|b| b.settings.contains_key("timeZone")), !other.is_empty());
    };
    check("Asia/Shanghai", "", "", Some("Asia/Shanghai"));
    check("Asia/Shanghai", "Asia/Shanghai", "", Some("Asia/Shanghai"));
    check("Asia/Shanghai", "Europe/Berlin", "", None);
    check("Asia/Shanghai", "Asia/Shanghai", "UTC", Some("UTC"));
    check("", "", "", None);
}
