//! Hides a target's secrets in what its servers say, however they spell them.

use std::borrow::Cow;

use secrecy::ExposeSecret;

use crate::provider::Endpoint;

/// Letters from which on a secret is searched for at all. Hiding less hides nothing and makes messages unreadable.
const SHORTEST: usize = 4;

/// Letters from which on a secret is hidden inside words too.
const ANYWHERE: usize = 8;

/// Letters of a secret that are hidden without its end: servers cut what they quote.
const HEAD: usize = 12;

/// The text that replaces a secret.
const STARS: &str = "***";

/// The secrets of a target.
pub(super) struct Mask<'a>(Vec<&'a str>);

impl<'a> Mask<'a> {
    /// Returns the mask of all secrets of an endpoint that are long enough to be searched for.
    pub(super) fn of(endpoint: &'a Endpoint) -> Self {
        Self::new(endpoint.secrets.values().map(ExposeSecret::expose_secret))
    }

    fn new(secrets: impl Iterator<Item = &'a str>) -> Self {
        Self(secrets.filter(|secret| is_masked(secret)).collect())
    }

    /// Returns a text without secrets: as they are, and as JSON, URLs, HTML and log files spell them.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = String::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(letter) = text[at..].chars().next() {
            let longest = self.0.iter().filter_map(|secret| found(text, at, secret)).max();
            match longest {
                Some(length) => {
                    masked.push_str(&text[copied..at]);
                    masked.push_str(STARS);
                    at += length;
                    copied = at;
                }
                None => at += letter.len_utf8(),
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        masked.push_str(&text[copied..]);
        Cow::Owned(masked)
    }

    /// Returns the body of an answer without secrets.
    pub(super) fn body(&self, body: &[u8]) -> Vec<u8> {
        self.text(&String::from_utf8_lossy(body)).into_owned().into_bytes()
    }
}

/// Returns the names of the secrets of an endpoint that are too short to be searched for.
pub(super) fn unmasked(endpoint: &Endpoint) -> Vec<&'static str> {
    let short = endpoint.secrets.iter().filter(|(_, secret)| !is_masked(secret.expose_secret()));
    let mut names: Vec<_> = short.map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

fn is_masked(secret: &str) -> bool {
    secret.chars().filter(|letter| *letter != '\\').count() >= SHORTEST
}

/// Returns how many bytes of a text spell a secret at `start`.
fn found(text: &str, start: usize, secret: &str) -> Option<usize> {
    // One spelling may begin as another does: `&` and `&amp;`.
    let (mut ends, mut matched) = (vec![start], 0);
    for letter in secret.chars().filter(|letter| *letter != '\\') {
        let mut next: Vec<usize> =
            ends.iter().flat_map(|end| spelled(&text[*end..], letter).map(move |length| end + length)).collect();
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return (matched >= HEAD).then(|| ends.last().map(|end| end - start)).flatten();
        }
        ends = next;
        matched += 1;
    }
    let end = *ends.last()?;
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let within = is_word(text[..start].chars().next_back()) || is_word(text[end..].chars().next());
    (matched >= ANYWHERE || !within).then_some(end - start)
}

/// Returns how many bytes spell a letter at the beginning of a text, for each way to spell it. Backslashes before it
/// count in: they escape it, or belong to the secret, whose own are left out.
fn spelled(text: &str, letter: char) -> impl Iterator<Item = usize> + use<> {
    let bare = behind_slashes(text);
    let slashes = text.len() - bare.len();
    let raw = bare.starts_with(letter).then_some(letter.len_utf8());
    let escaped = if slashes > 0 { escaped(bare, letter) } else { None };
    let lengths = [raw, escaped, percent(bare, letter), entity(bare, letter)];
    lengths.into_iter().flatten().map(move |length| slashes + length)
}

/// Returns a text without the backslashes at its beginning, in every spelling.
fn behind_slashes(text: &str) -> &str {
    let spelled =
        ["\\u005c", "\\u005C", "\\x5c", "\\x5C", "%5c", "%5C", "%255c", "%255C", "&#92;", "&#x5c;", "&#x5C;", "\\"];
    let mut rest = text;
    while let Some(shorter) = spelled.iter().find_map(|slash| rest.strip_prefix(slash)) {
        rest = shorter;
    }
    rest
}

/// Returns the length of a letter behind a backslash: `n`, `u00e9`, `xe9`.
fn escaped(text: &str, letter: char) -> Option<usize> {
    let short = match letter {
        '\n' => Some('n'),
        '\t' => Some('t'),
        '\r' => Some('r'),
        _ => None,
    };
    if short.is_some_and(|short| text.starts_with(short)) {
        return Some(1);
    }
    let units = |marker: char, digits: usize, units: &mut dyn Iterator<Item = u32>| {
        let mut rest = text;
        for unit in units {
            rest = rest.trim_start_matches('\\').strip_prefix(marker)?;
            let hex = rest.get(..digits).filter(|hex| u32::from_str_radix(hex, 16) == Ok(unit))?;
            rest = &rest[hex.len()..];
        }
        Some(text.len() - rest.len())
    };
    let (mut wide, mut buffer) = ([0; 2], [0; 4]);
    let bytes = letter.encode_utf8(&mut buffer).bytes();
    units('u', 4, &mut letter.encode_utf16(&mut wide).iter().map(|unit| u32::from(*unit)))
        .or_else(|| units('x', 2, &mut bytes.map(u32::from)))
}

/// Returns the length of a letter as URLs spell it: `%22`, `%2522` where that was done twice, `+` for a blank.
fn percent(text: &str, letter: char) -> Option<usize> {
    if letter == ' ' && text.starts_with('+') {
        return Some(1);
    }
    let mut buffer = [0; 4];
    let mut rest = text;
    for byte in letter.encode_utf8(&mut buffer).bytes() {
        rest = rest.strip_prefix('%')?;
        while let Some(again) = rest.strip_prefix("25").filter(|again| byte != b'%' || again.starts_with("25")) {
            rest = again;
        }
        rest = rest.get(..2).filter(|hex| u8::from_str_radix(hex, 16) == Ok(byte)).map(|_| &rest[2..])?;
    }
    Some(text.len() - rest.len())
}

/// Returns the length of a letter as HTML spells it: `&quot;`, `&#34;`, `&#x22;`.
fn entity(text: &str, letter: char) -> Option<usize> {
    let name = text.strip_prefix('&')?.split_once(';')?.0;
    let number = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        },
        None => match name {
            "quot" => Some('"'),
            "apos" => Some('\''),
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            _ => None,
        }
        .map(u32::from),
    };
    (number? == u32::from(letter)).then_some(name.len() + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_hidden_in_every_spelling() {
        let check = |secret: &str, text: &str, expected: &str| {
            assert_eq!(Mask::new([secret].into_iter()).text(text), expected, "{secret} in {text}");
        };
        check("canary-f3a91c", "no: canary-f3a91c is wrong", "no: *** is wrong");
        check("canary-f3a91c", "xcanary-f3a91cx canary-f3a91c", "x***x ***");
        check(r#"CANARY"quote\back"#, r#"{"secret":"CANARY\"quote\\back"}"#, r#"{"secret":"***"}"#);
        check(r#"CANARY"quote\back"#, r#""{\"secret\":\"CANARY\\\"quote\\\\back\"}""#, r#""{\"secret\":\"***\"}""#);
        check(r#"CANARY"quote\back"#, r"CANARY\u0022quote\u005cback", "***");
        check("CANARY<1&2>é机", r"CANARY\u003c1\u00262\u003e\u00e9\u673a.", "***.");
        check("CANARY 1+2/é", "a=CANARY+1%2B2%2F%c3%A9&b", "a=***&b");
        check("CANARY 1+2/é", "a=CANARY%25201%252B2%252F%25C3%25A9", "a=***");
        check("CANARY<'\"&1", "<p>CANARY&lt;&#39;&#x22;&amp;1</p>", "<p>***</p>");
        // The server cut what it quotes.
        check("canary-f3a91c-0002", "you sent `canary-f3a91c…`", "you sent `***…`");
        // Part of a word hides nothing when it is short.
        check("s", "duplicated instances exist", "duplicated instances exist");
        check("1", "1 of 11 (code 1199014)", "1 of 11 (code 1199014)");
        check("test", "the latest test: test_1, `test`", "the latest ***: test_1, `***`");
        check("", "nothing", "nothing");
        check("\\\\\\\\\\\\", r"\\\\\\\\", r"\\\\\\\\");
    }

    #[test]
    fn the_longest_secret_wins() {
        let mask = Mask::new(["canary-one", "canary-one-more"].into_iter());
        assert_eq!(mask.text("canary-one canary-one-more"), "*** ***");
    }

    proptest! {
        /// A long secret shows in no text, whichever way it is spelled there.
        #[test]
        fn long_secrets_never_show(secret in r#"[a-zA-Z0-9"'<>&+/ é机\\]{12,30}"#, before in ".{0,8}", after in ".{0,8}") {
            prop_assume!(secret.chars().filter(|letter| *letter != '\\').count() >= ANYWHERE);
            let json = serde_json::to_string(&secret).expect("a text is JSON");
            let json = json[1..json.len() - 1].to_owned();
            let twice = serde_json::to_string(&json).expect("a text is JSON");
            let url: String = secret.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
            let html: String = secret.chars().fold(String::new(), |text, letter| text + &format!("&#{};", u32::from(letter)));
            let mask = Mask::new([secret.as_str()].into_iter());
            for spelled in [secret.clone(), json, twice[1..twice.len() - 1].to_owned(), url, html] {
                let masked = mask.text(&format!("{before}{spelled}{after}")).into_owned();
                prop_assert!(masked.contains(STARS), "{} in {}", spelled, masked);
                prop_assert!(!masked.contains(&spelled), "{} in {}", spelled, masked);
            }
        }
    }
}
