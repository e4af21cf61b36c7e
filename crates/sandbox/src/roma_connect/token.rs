//! Tokens that carry what they say, so that a state need not list them. A new password voids those of its user, as
//! on the real server (contract, section 5).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{derive, signature::hmac_sha256, store::User};

/// The contents of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Id of its user.
    pub(super) user: String,
    /// Name of its user.
    pub(super) name: String,
    /// Its project; `None` for a token of the whole account.
    pub(super) project: Option<String>,
    /// When it ends.
    pub(super) expires: Timestamp,
}

/// Real tokens start like this.
const START: &str = "MIIR";

/// Writes a token of about so many characters.
pub(super) fn write(token: &Token, password: &str, issued: Timestamp, length: usize) -> String {
    let content = json!({
        "user": token.user, "name": token.name, "project": token.project,
        "expires": token.expires.as_microsecond(), "issued": issued.as_microsecond(),
    });
    let content = derive::hex(content.to_string().as_bytes());
    let filler = derive::text(&content, length.saturating_sub(START.len() + content.len() + 66));
    let text = format!("{START}{content}+{filler}");
    let seal = seal(&text, password);
    format!("{text}-{seal}")
}

/// Reads a token; `user` returns the user of an id and a name, if there still is one.
pub(super) fn read(text: &str, user: impl Fn(&str, &str) -> Option<User>) -> Option<(Token, User)> {
    let (content, seal_found) = text.rsplit_once('-')?;
    let hex = content.strip_prefix(START)?.split_once('+')?.0;
    let said: Value = serde_json::from_slice(&derive::unhex(hex)?).ok()?;
    let token = Token {
        user: said["user"].as_str()?.to_owned(),
        name: said["name"].as_str()?.to_owned(),
        project: said["project"].as_str().map(str::to_owned),
        expires: Timestamp::from_microsecond(said["expires"].as_i64()?).ok()?,
    };
    let user = user(&token.user, &token.name)?;
    (seal(content, &user.password) == seal_found).then_some((token, user))
}

fn seal(text: &str, password: &str) -> String {
    hmac_sha256(format!("sandbox {password}").as_bytes(), text.as_bytes())
}
