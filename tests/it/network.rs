//! The way between the program and its servers: proxies, certificates, addresses, credentials.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Instant,
};

use serde_json::json;

use crate::harness::{Site, state, switch};

fn site() -> Site {
    Site::with(&state(), &[("a.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))])
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

/// A port of this machine where nobody answers.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let site = site();
    site.write("state.json", &state().to_string());
    site.configure("sandbox: {state: [state.json]}\n");
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        for arguments in [&["plan", "--sandbox"][..], &["plan"]] {
            let mut command = site.command(arguments);
            command.env(variable, format!("http://{}", closed()));
            let output = site.end(command, "");
            assert_eq!(output.code, Some(0), "{variable} {arguments:?}: {output}");
        }
    }
}

#[test]
fn other_addresses_are_reached_through_a_proxy_unless_excepted() {
    let site = site();
    // Nobody has this address (RFC 5737): what is reached is the proxy, or nothing.
    direct_to(&site, "http://192.0.2.1:8080");
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("an address").to_string();
    let heard = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().expect("a request");
        let mut buffer = [0; 2048];
        let count = stream.read(&mut buffer).expect("it can be read");
        stream.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").expect("it can be answered");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    let mut command = site.command(&["plan"]);
    command.env("HTTP_PROXY", address);
    let output = site.end(command, "");
    assert_eq!(output.code, Some(5), "{output}");
    let heard = heard.join().expect("the proxy heard it");
    assert!(heard.contains("http://192.0.2.1:8080/"), "{heard}");

    let mut command = site.command(&["plan"]);
    command.env("HTTP_PROXY", "http://user:canary@:99999/");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("the environment variable HTTP_PROXY is no address of a proxy"), "{output}");
    assert!(!output.all().contains("canary"), "{output}");
}

#[test]
fn what_never_answered_is_asked_twice_at_most() {
    let site = site();
    direct_to(&site, &format!("http://{}", closed()));
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(output.stderr.matches("sent again").count(), 1, "{output}");
    assert!(output.stdout.contains("cannot connect: Connection refused"), "{output}");
}

#[test]
fn a_connection_that_is_not_safe_is_not_tried_again() {
    let site = site();
    let check = |endpoint: &str, expected: &str| {
        direct_to(&site, endpoint);
        let start = Instant::now();
        let output = site.run(&["plan"]);
        assert_eq!(output.code, Some(5), "{output}");
        assert!(output.stdout.contains(expected), "{output}");
        assert!(!output.stderr.contains("sent again"), "{output}");
        start.elapsed()
    };
    check(&site.url().replace("http://", "https://"), "the port may speak plain HTTP: check `endpoint`");
    let port = untrusted();
    check(&format!("https://localhost:{port}"), "`--ca-cert-file FILE` or SSL_CERT_FILE names the CA that signed it");
}

/// Starts a server whose certificate nobody signed, and returns its port.
fn untrusted() -> u16 {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            // The client breaks it off.
            while session.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
        }
    });
    port
}

#[test]
fn a_file_of_certificates_without_one_is_an_error() {
    let site = site();
    for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not PEM at all"] {
        site.write("ca.pem", text);
        let output = site.run(&["plan", "--ca-cert-file", "ca.pem"]);
        assert_eq!(output.code, Some(1), "{text}: {output}");
        assert!(output.stderr.contains("ca.pem: the file of CA certificates holds no certificate"), "{text}: {output}");
    }
}

#[test]
fn refused_credentials_name_their_settings() {
    let mut state = state();
    state["bk-cmdb"]["credentials"] = json!({"apps": {"reconcile": "right"}, "users": ["admin"]});
    let site = Site::with(&state, &[("a.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    let url = site.url();
    let config = format!(
        "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: esb, endpoint: '{url}', \
         auth: {{appCode: reconcile, appSecret: {{file: secret.txt}}, username: admin}}}}\n"
    );
    site.write("reconcile.yaml", &config);
    site.write("secret.txt", "canary-wrong\n");
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(
        output.all().contains("check `auth.appCode`, `auth.appSecret` and `auth.username` of target `cmdb`"),
        "{output}"
    );
    assert!(!output.all().contains("canary-wrong"), "{output}");
    site.write("secret.txt", "right\n");
    site.write("reconcile.yaml", &config.replace("access: esb", "access: gateway, stage: stag"));
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.all().contains("check `stage` and `endpoint`"), "{output}");
    site.write("reconcile.yaml", &config.replace("access: esb", "access: gateway"));
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(0), "{output}");
}
