//! Bad surroundings: each gets a clear message, the right exit code, and bounded time and memory.
//!
//! | case | tests |
//! |---|---|
//! | full disk: plans, snapshots, events, reports | here; stdout: `reports` |
//! | full disk, or no place, for the record of a run | here |
//! | directories that cannot be written, files that cannot be read | here |
//! | no home directory | here, and in every test: the harness sets no HOME |
//! | huge answers, compressed or not | `transport::tests` (64 MiB, by a smaller bound) |
//! | lists without end | `endless` |
//! | slow servers | here; what holds up what: `limits`, `engine::connection::tests` |
//! | servers that are down | `outage`, `network` |
//! | TLS: plain HTTP, unknown CA, a file without certificates | `network` |
//! | TLS: a private CA | here |
//! | proxies | `network`, `transport::proxy` |
//! | IPv6 | here |
//! | clock jumps: tokens and breakers count by the monotonic clock | `engine::session`, `engine::breaker`; dates in `Retry-After`: `provider::wire` |
//! | tokens that run out in the middle of a run | `roma` (`a_token_that_is_refused_is_renewed_once`) |
//! | a million lines | here |
//! | YAML bombs, deep nesting, text that is not UTF-8 | here; `yaml::load::tests`; the fuzz targets |
//! | links in circles, directories named like manifests | here; `manifest::discover::tests` |
//! | pipes and devices as manifests | `inputs` |
//! | manifests that vanish | `watch` (all of them), `safety` (one), here (while they are read) |
//! | 100,000 objects | `benches/run.py` |

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    process::Command,
    sync::Arc,
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::harness::{Output, Site, operations, program, state, switch};

fn site() -> Site {
    Site::with(&state(), &[("m/a.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))])
}

/// Runs the program with at most so many KiB of memory.
fn run_within(site: &Site, kibibytes: u64, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -v {kibibytes} && exec \"$0\" \"$@\"");
    command
        .env_clear()
        .current_dir(site.path())
        .args(["-c", &limited, env!("CARGO_BIN_EXE_reconcile")])
        .args(arguments);
    site.end(command, "")
}

/// Runs the program as a user who may not do everything: as another one where this one is root.
fn run_as_nobody(site: &Site, arguments: &[&str]) -> Output {
    let mut command = program();
    if rustix::process::geteuid().is_root() {
        // Where the program lies, others may not look.
        let copy = site.path().join("reconcile");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_reconcile"), &copy).expect("it can be copied");
        }
        fs::set_permissions(site.path(), PermissionsExt::from_mode(0o755)).expect("it is ours");
        command = Command::new(copy);
        command.env_clear().uid(65_534).gid(65_534);
    }
    command.current_dir(site.path()).args(arguments).args(["--config", "reconcile.yaml"]);
    site.end(command, "")
}

#[test]
fn files_that_cannot_be_written_are_named() {
    let site = site();
    let full = "cannot write /dev/full: No space left on device";
    let nowhere = "cannot write /proc/x.json: No such file";
    let check = |arguments: &[&str], expected: &str| {
        let output = site.run(arguments);
        assert_eq!(output.code, Some(1), "{arguments:?}: {output}");
        assert!(output.stderr.contains(expected), "{arguments:?}: {output}");
        assert_eq!(operations(&site.writes()), json!({}), "{arguments:?}");
    };
    check(&["plan", "m", "--out", "/dev/full"], full);
    check(&["plan", "m", "--output-file", "json=/dev/full"], full);
    check(&["drift", "m", "--output-file", "junit=/dev/full"], full);
    check(&["snapshot", "m", "--out", "/dev/full"], full);
    check(&["plan", "m", "--out", "/proc/x.json"], nowhere);
    check(&["snapshot", "m", "--out", "/proc/x.json"], nowhere);
    check(&["plan", "m", "--out", "m"], "cannot write m: it is a directory");
    // What was applied is not hidden by a report that cannot be written.
    for arguments in [["--output-file", "json=/dev/full"], ["--events", "/dev/full"]] {
        site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 24}));
        let output = site.run(&[&["apply", "m", "-y"][..], &arguments].concat());
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stdout.contains("Applied: 1 of 1"), "{output}");
        assert!(output.stderr.contains("No space left on device"), "{output}");
    }
}

#[test]
fn a_run_that_cannot_be_recorded_sends_nothing() {
    let site = site();
    let check = |change: &dyn Fn(&mut Command), expected: &str| {
        let mut command = site.command(&["apply", "m", "-y"]);
        change(&mut command);
        let output = site.end(command, "");
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected) && output.stderr.contains("--state-dir"), "{output}");
        assert_eq!(operations(&site.writes()), json!({}), "{output}");
    };
    check(&|command| _ = command.env_remove("RECONCILE_STATE_DIR"), "no home directory says where");
    check(&|command| _ = command.env("RECONCILE_STATE_DIR", "/proc/reconcile"), "/proc/reconcile");
    site.write("file", "");
    check(&|command| _ = command.env("RECONCILE_STATE_DIR", "file"), "file");
}

#[test]
fn what_another_user_may_not_read_or_write_is_named() {
    let site = site();
    fs::create_dir(site.path().join("closed")).expect("made");
    fs::set_permissions(site.path().join("closed"), PermissionsExt::from_mode(0o555)).expect("it is ours");
    let output = run_as_nobody(&site, &["plan", "m", "--out", "closed/plan.json"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot write closed/plan.json: Permission denied"), "{output}");
    let output = run_as_nobody(&site, &["apply", "m", "-y", "--state-dir", "closed/state"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("closed/state") && output.stderr.contains("Permission denied"), "{output}");
    assert_eq!(operations(&site.writes()), json!({}), "{output}");
    let file = site.path().join("m/b.yaml");
    site.write("m/b.yaml", &switch("other", "bk_asset_id: A2", "ports: 48"));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o0)).expect("it is ours");
    let output = run_as_nobody(&site, &["plan", "m"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot read m/b.yaml: Permission denied"), "{output}");
    fs::remove_file(&file).expect("removed");
    fs::create_dir(site.path().join("m/inner")).expect("made");
    fs::set_permissions(site.path().join("m/inner"), PermissionsExt::from_mode(0o0)).expect("it is ours");
    let output = run_as_nobody(&site, &["plan", "m"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot list m/inner: Permission denied"), "{output}");
}

#[test]
fn texts_that_ask_for_too_much_are_refused_soon() {
    let site = site();
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..) {
        let _ = writeln!(bomb, "{name}: &{name} [{}]", vec![format!("*{before}"); 9].join(", "));
    }
    let blocks = (0..300).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    let check = |text: &[u8], expected: &str| {
        fs::write(site.path().join("m/b.yaml"), text).expect("written");
        let output = run_within(&site, 1 << 20, &["validate", "m"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
    };
    check(bomb.as_bytes(), "error[Y004]: the aliases of this file stand for too many values");
    check("[".repeat(100_000).as_bytes(), "error[Y005]: lists and mappings are nested more than 100 deep");
    check("{a: ".repeat(100_000).as_bytes(), "error[Y005]: lists and mappings are nested more than 100 deep");
    check(blocks.as_bytes(), "error[Y005]: lists and mappings are nested more than 100 deep");
    check("- ".repeat(100_000).as_bytes(), "error[Y005]: lists and mappings are nested more than 100 deep");
    check(b"kind: \xe9\n", "error[Y012]: this text is not UTF-8");
    check(b"\xff\xfek\0i\0", "error[Y012]");
}

#[test]
fn a_million_lines_are_read() {
    const DOCUMENTS: usize = 5_000;
    let remark = "# one line of many\n".repeat(193);
    let mut text = String::new();
    for id in 0..DOCUMENTS {
        text += &switch(&format!("s{id}"), &format!("bk_asset_id: A{id}"), "ports: 48");
        text += &remark;
    }
    assert!(text.lines().count() >= 1_000_000, "{} lines", text.lines().count());
    let site = Site::with(&state(), &[("m/a.yaml", &text)]);
    let output = run_within(&site, 1 << 20, &["validate", "m"]);
    assert_eq!((output.code, &*output.stdout), (Some(0), "valid: 5000 objects in 5000 documents\n"), "{output}");
}

#[test]
fn circles_of_links_and_directories_named_like_manifests_are_no_manifests() {
    let site = site();
    fs::create_dir(site.path().join("m/b.yaml")).expect("made");
    symlink("../m", site.path().join("m/again")).expect("linked");
    let output = site.run(&["validate", "m"]);
    assert_eq!((output.code, &*output.stdout), (Some(0), "valid: 1 object in 1 document\n"), "{output}");
    // Manifests in such a directory are manifests.
    site.write("m/b.yaml/c.yaml", &switch("other", "bk_asset_id: A2", "ports: 48"));
    let output = site.run(&["validate", "m"]);
    assert_eq!((output.code, &*output.stdout), (Some(0), "valid: 2 objects in 2 documents\n"), "{output}");
    symlink("y.yaml", site.path().join("m/x.yaml")).expect("linked");
    symlink("x.yaml", site.path().join("m/y.yaml")).expect("linked");
    let output = site.run(&["validate", "m"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.stderr.matches("warning[Y013]").count(), 2, "{output}");
    let output = site.run(&["validate", "m/x.yaml"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot read m/x.yaml: Too many levels of symbolic links"), "{output}");
}

#[test]
fn manifests_that_come_and_go_while_they_are_read_break_nothing() {
    let site = site();
    let good = switch("core", "bk_asset_id: A1", "ports: 48");
    let directory = site.path().join("m");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let editor = thread::spawn(move || {
        let mut count = 0_usize;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let file = directory.join(format!("{}.yaml", count % 50));
            let _ =
                fs::write(&file, good.replace("core", &format!("s{}", count % 50)).replace("A1", &format!("B{count}")));
            let _ = fs::remove_file(directory.join(format!("{}.yaml", (count + 25) % 50)));
            count += 1;
        }
    });
    for _ in 0..20 {
        let output = site.run(&["validate", "m"]);
        // A file that was listed and could not be read is named; a half written one is a mistake in it.
        let is_named = output.stderr.contains("error[") || output.stderr.contains("cannot read m/");
        assert!(output.code == Some(0) || output.code == Some(1) && is_named, "{output}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    editor.join().expect("it ends");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    let site = site();
    // It takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    direct_to(&site, &format!("http://{address}"));
    let output = site.run(&["plan", "m", "--timeout", "1s"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.stdout.contains("operation timed out"), "{output}");
}

#[test]
fn an_endpoint_may_be_an_ipv6_address() {
    let site = site();
    // Some machines have no IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let address = listener.local_addr().expect("an address");
    let server = site.url().trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = exchange(&mut client, &server);
        }
    });
    direct_to(&site, &format!("http://{address}"));
    let output = site.run(&["plan", "m", "--detailed-exitcode"]);
    assert_eq!(output.code, Some(2), "{output}");
}

#[test]
fn a_private_ca_is_trusted_where_its_file_is_given() {
    let site = site();
    let (port, authority) = serve_tls(&site);
    site.write("ca.pem", &authority);
    direct_to(&site, &format!("https://localhost:{port}"));
    let output = site.run(&["plan", "m"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.stdout.contains("`--ca-cert-file FILE` or SSL_CERT_FILE names the CA that signed it"), "{output}");
    let output = site.run(&["plan", "m", "--detailed-exitcode", "--ca-cert-file", "ca.pem"]);
    assert_eq!(output.code, Some(2), "{output}");
    let mut command = site.command(&["plan", "m", "--detailed-exitcode"]);
    command.env("SSL_CERT_FILE", "ca.pem");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(2), "{output}");
    // The certificate is for a name.
    direct_to(&site, &format!("https://127.0.0.1:{port}"));
    let output = site.run(&["plan", "m", "--ca-cert-file", "ca.pem"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.stdout.contains("the `endpoint` has to use a name that the certificate is for"), "{output}");
}

/// Points the target elsewhere.
fn direct_to(site: &Site, endpoint: &str) {
    site.write(
        "reconcile.yaml",
        &format!(
            "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: direct, \
             endpoint: '{endpoint}', auth: {{username: admin}}}}\n"
        ),
    );
}

/// Passes one request on to a server and its answer back; then the connection ends.
fn exchange(client: &mut (impl Read + Write), server: &str) -> io::Result<()> {
    let (mut head, mut length) = (String::new(), 0);
    let mut reader = BufReader::new(&mut *client);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut server = TcpStream::connect(server)?;
    server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.flush()
}

/// Serves a site over TLS with a certificate for `localhost` by a CA of its own; returns the port and the CA's certificate.
fn serve_tls(site: &Site) -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = authority.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = site.url().trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(config.clone()).expect("a session");
            let mut stream = rustls::StreamOwned::new(session, stream);
            let _ = exchange(&mut stream, &server);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, pem)
}
