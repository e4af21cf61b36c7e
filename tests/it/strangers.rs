//! Text that others wrote, such as names of files and messages of servers, cannot steer a terminal or a CI log.

use serde_json::json;

use crate::harness::{Output, Site, state, switch};

/// Commands of terminals and CI services, and characters that do not show.
const HOSTILE: &[&str] = &[
    "\n::error::pwned",
    "\r::add-mask::pwned",
    "\n##[error]pwned",
    "\u{1b}]0;pwned\u{7}",
    "\u{1b}[2J",
    "\u{9b}2J",
    "\u{8}\u{8}",
    "\u{202e}pwned",
    "\u{200b}",
    "\u{2028}::error::pwned",
];

/// Checks that nothing of it reaches a stream as it is.
fn check(what: &str, output: &Output) {
    for line in output.all().lines() {
        let is_command =
            ["::error::pwned", "::add-mask::", "##[error]"].iter().any(|command| line.starts_with(command));
        assert!(!is_command, "{what}: {line}");
        let hidden = line.chars().find(|letter| {
            letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(hidden, None, "{what}: {line:?}");
    }
}

#[test]
fn names_of_files_are_shown_as_they_are_written() {
    for hostile in HOSTILE {
        let site = Site::with(&state(), &[("b.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
        site.write(&format!("x{hostile}.yaml"), &switch("two", "bk_asset_id: A2", "ports: 49"));
        site.write(&format!("y{hostile}.yaml"), "apiVersion: bk-cmdb/v1\nkind: [\n");
        for arguments in
            [&["plan"][..], &["validate"], &["validate", "-o", "github"], &["plan", "no-such\n::error::pwned"]]
        {
            check(&format!("{hostile:?} {arguments:?}"), &site.run(arguments));
        }
    }
}

#[test]
fn messages_of_servers_are_shown_as_they_are_written() {
    for hostile in HOSTILE {
        let site = Site::with(&state(), &[("b.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
        let message = json!(format!("no{hostile}"));
        let body =
            format!(r#"{{"result":false,"code":1199014,"message":{message},"data":null,"request_id":{message}}}"#);
        for operation in ["search_object_attribute", "update_inst"] {
            site.faults(&json!([{"operation": operation, "fault": "status", "status": 200, "body": body}]));
            for arguments in [&["plan", "-vv"][..], &["apply", "-y", "-v"], &["apply", "-y", "-o", "github"]] {
                check(&format!("{hostile:?} {operation} {arguments:?}"), &site.run(arguments));
            }
        }
    }
}

#[test]
fn values_are_shown_as_they_are_written() {
    for hostile in HOSTILE {
        let site = Site::new(&state());
        let remark = json!(format!("a{hostile}b"));
        site.write("b.yaml", &switch("core", "bk_asset_id: A1", &format!("remark: {remark}")));
        for arguments in [&["plan", "--calls"][..], &["plan", "-o", "github"], &["apply", "-y", "-v"], &["drift"]] {
            check(&format!("{hostile:?} {arguments:?}"), &site.run(arguments));
        }
    }
}
