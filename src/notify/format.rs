//! The messages of each sort of webhook.
//!
//! Sources: Slack "Formatting text for app surfaces"; `WeCom` "group robot configuration" (`markdown`, 4,096 bytes);
//! `DingTalk` "custom robot access" (`markdown`, and the signature by `timestamp` and `sign`).

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    agent::{FieldDifference, Notice},
    config::WebhookFormat,
    plain::visible,
};

/// Most bytes of a text: `WeCom` takes 4,096.
const LONGEST: usize = 3_900;

/// Most fields of an object that a text names.
const FIELDS: usize = 6;

/// Most characters of a value in a text.
const LONG: usize = 60;

/// Returns the body of a message.
pub(super) fn body(format: WebhookFormat, notice: &Notice) -> Value {
    match format {
        WebhookFormat::Json => json!({"apiVersion": "reconcile/v1", "kind": "Notification", "notification": notice}),
        WebhookFormat::Slack => json!({"text": text(notice, escaped_for_slack)}),
        WebhookFormat::Wecom => {
            json!({"msgtype": "markdown", "markdown": {"content": text(notice, escaped_for_markdown)}})
        }
        WebhookFormat::Dingtalk => json!({
            "msgtype": "markdown",
            "markdown": {"title": escaped_for_markdown(&notice.title), "text": text(notice, escaped_for_markdown)},
        }),
    }
}

/// Returns the address of `DingTalk` with a signature.
pub(super) fn signed(url: &str, secret: &str, now: Timestamp) -> String {
    let timestamp = now.as_millisecond().to_string();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return url.to_owned() };
    mac.update(format!("{timestamp}\n{secret}").as_bytes());
    let sign = base64(&mac.finalize().into_bytes());
    let sign = utf8_percent_encode(&sign, NON_ALPHANUMERIC);
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}timestamp={timestamp}&sign={sign}")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, index| number << 8 | usize::from(group.get(index).copied().unwrap_or(0)));
        for digit in 0..4 {
            let index = number >> (18 - 6 * digit) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

/// Returns a notice as lines: its title, and its objects with their fields.
fn text(notice: &Notice, escape: fn(&str) -> String) -> String {
    let mut text = escape(&notice.title);
    let mut named = 0;
    for object in &notice.objects {
        let mut line = format!("\n- {}", escape(&object.address));
        if !object.at.is_empty() {
            let _ = write!(line, " ({})", escape(&object.at));
        }
        for field in object.fields.iter().take(FIELDS) {
            let _ = write!(line, "\n  {}", escape(&difference(field)));
        }
        if object.fields.len() > FIELDS {
            let _ = write!(line, "\n  and {} more fields", object.fields.len() - FIELDS);
        }
        if !object.reason.is_empty() {
            let _ = write!(line, "\n  {}", escape(&cut(&object.reason, 4 * LONG)));
        }
        if text.len() + line.len() > LONGEST {
            break;
        }
        text += &line;
        named += 1;
    }
    if notice.count > named {
        let _ = write!(text, "\nand {} more", notice.count - named);
    }
    text
}

fn difference(field: &FieldDifference) -> String {
    let side = |value: &Option<Value>, display: &Option<String>| match (display, value) {
        (Some(display), _) => cut(display, LONG),
        (None, Some(value)) => cut(&value.to_string(), LONG),
        (None, None) => "(none)".to_owned(),
    };
    let [from, to] = &field.display;
    let author = field.author.as_ref().map(|author| format!("; {author}")).unwrap_or_default();
    format!("{}: {} → {}{author}", field.path, side(&field.from, from), side(&field.to, to))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Keeps texts of strangers from being links, mentions or tags in Slack.
fn escaped_for_slack(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Keeps texts of strangers from being links, mentions or tags in Markdown.
fn escaped_for_markdown(text: &str) -> String {
    visible(text).chars().fold(String::new(), |mut escaped, character| {
        if "\\`*_[]<>#|~@!".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Event, NoticeObject};

    fn notice(count: usize, path: &str) -> Notice {
        let field = FieldDifference {
            path: path.to_owned(),
            from: Some(json!(7)),
            to: Some(json!("<@all> *48*")),
            display: [None, None],
            at: "m.yaml:7:3".to_owned(),
            author: Some("changed by zoe".to_owned()),
        };
        let object = |index: usize| NoticeObject {
            address: format!("Instance/core-{index}"),
            at: "m.yaml:3:1".to_owned(),
            fields: vec![field.clone()],
            reason: String::new(),
        };
        Notice {
            event: Event::Drifted,
            target: Some("cmdb".to_owned()),
            time: Timestamp::UNIX_EPOCH,
            title: format!("cmdb: {count} objects are not as declared"),
            count,
            objects: (0..count.min(10)).map(object).collect(),
        }
    }

    #[test]
    fn each_sort_gets_its_own_form() {
        let check = |format, expected: &str| assert_eq!(body(format, &notice(1, "ports")).to_string(), expected);
        check(
            WebhookFormat::Slack,
            r#"{"text":"cmdb: 1 objects are not as declared\n- Instance/core-0 (m.yaml:3:1)\n  ports: 7 → \"&lt;@all&gt; *48*\"; changed by zoe"}"#,
        );
        check(
            WebhookFormat::Wecom,
            r#"{"markdown":{"content":"cmdb: 1 objects are not as declared\n- Instance/core-0 (m.yaml:3:1)\n  ports: 7 → \"\\<\\@all\\> \\*48\\*\"; changed by zoe"},"msgtype":"markdown"}"#,
        );
        let generic = body(WebhookFormat::Json, &notice(12, "ports"));
        assert_eq!(generic["notification"]["count"], 12);
        assert_eq!(generic["notification"]["objects"][9]["fields"][0]["from"], 7);
    }

    #[test]
    fn long_messages_are_cut_at_an_object() {
        let long = text(&notice(4_000, &"路".repeat(300)), escaped_for_markdown);
        assert!(long.len() < 4_096 && long.ends_with("more"), "{long}");
        assert!(text(&notice(4_000, "ports"), escaped_for_slack).ends_with("\nand 3990 more"));
    }

    #[test]
    fn dingtalk_is_signed() {
        // The digest was taken with `openssl dgst -sha256 -hmac SECabc -binary`.
        let url = signed("https://oapi.example.com/robot/send?access_token=x", "SECabc", Timestamp::UNIX_EPOCH);
        let start = "https://oapi.example.com/robot/send?access_token=x&timestamp=0&sign=";
        assert_eq!(url.strip_prefix(start), Some(DIGEST), "{url}");
    }

    const DIGEST: &str = "pfJd4UT71kFTfWONjs7w2EVRfx%2FKBHz7iGjIZuxy1s4%3D";

    #[test]
    fn base64_is_padded() {
        let check = |text: &str, expected: &str| assert_eq!(base64(text.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
    }
}
