//! Signs requests with an access key: SDK-HMAC-SHA256 (contract section 6).

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

/// Letters, digits and `-_.~` stay; all else is written as `%XX`, the blank too.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// A header that says what stands for the body in the signature.
const CONTENT_HASH: &str = "x-sdk-content-sha256";

/// The parts of a request that are signed. The time is among the headers, as `x-sdk-date`.
pub(super) struct Subject<'a> {
    /// Method, in capitals.
    pub(super) method: &'a str,
    /// Path as it stands in the request line, without the query.
    pub(super) path: &'a str,
    /// Query as [`query`] writes it.
    pub(super) query: &'a str,
    /// The headers to sign.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    /// Body.
    pub(super) body: &'a [u8],
}

/// A signature and how it came about.
pub(super) struct Signed {
    /// The text whose hash is signed.
    #[cfg(test)]
    pub(super) canonical_request: String,
    /// The text that is signed.
    #[cfg(test)]
    pub(super) string_to_sign: String,
    /// The value of `Authorization`.
    pub(super) authorization: String,
    /// A header that has to be sent too.
    pub(super) added: Option<(&'static str, &'static str)>,
}

/// Signs a request with an access key and its secret.
pub(super) fn sign(subject: &Subject<'_>, access: &str, secret: &str) -> Signed {
    let mut headers: Vec<(String, &str)> = subject
        .headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let value = |headers: &[(String, &str)], wanted: &str| {
        headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| (*value).to_owned())
    };
    // What is no JSON goes unhashed.
    let media_type = value(&headers, "content-type").unwrap_or_default();
    let is_hashed = media_type.is_empty()
        || ["application/json", "application/bson"].iter().any(|known| media_type.starts_with(known));
    let added = (!is_hashed && value(&headers, CONTENT_HASH).is_none()).then_some((CONTENT_HASH, "UNSIGNED-PAYLOAD"));
    headers.extend(added.map(|(name, value)| (name.to_owned(), value)));
    headers.sort();
    let date = value(&headers, "x-sdk-date").unwrap_or_default();
    let body_hash = value(&headers, CONTENT_HASH).filter(|_| !subject.body.is_empty());
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().flat_map(|(name, value)| [name, ":", value, "\n"]).collect();
    let canonical_request = [
        subject.method,
        &path(subject.path),
        subject.query,
        &lines,
        &names,
        &body_hash.unwrap_or_else(|| hex(&Sha256::digest(subject.body))),
    ]
    .join("\n");
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical_request.as_bytes())));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    Signed {
        authorization: format!("{ALGORITHM} Access={access}, SignedHeaders={names}, Signature={signature}"),
        #[cfg(test)]
        canonical_request,
        #[cfg(test)]
        string_to_sign,
        added,
    }
}

/// Writes a query: sorted by key, then by value, before either is encoded.
pub(super) fn query(mut pairs: Vec<(&str, &str)>) -> String {
    pairs.sort_unstable();
    pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&")
}

/// Encodes a part of a path or a query.
pub(super) fn encode(text: &str) -> String {
    percent_encode(text.as_bytes(), ENCODED).to_string()
}

/// Decoded, each segment encoded anew, with a slash at the end that the request line does not have.
fn path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut canonical = decoded
        .split(|byte| *byte == b'/')
        .map(|segment| percent_encode(segment, ENCODED).to_string())
        .collect::<Vec<_>>()
        .join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Writes a time as `X-Sdk-Date` has it.
pub(super) fn date(now: jiff::Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../crates/sandbox/tests/fixtures/sdk-hmac-sha256-vectors.json");

    /// Signs 23 requests as the vendor's signer signs them.
    #[test]
    fn recorded_signatures() {
        let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
        let vectors = vectors["vectors"].as_array().expect("a list");
        assert_eq!(vectors.len(), 23);
        for vector in vectors {
            let (name, input, expected) = (&vector["name"], &vector["input"], &vector["expected"]);
            let text = |value: &'static str| input[value].as_str().unwrap_or_default();
            let pairs = input["query"].as_array().expect("a list").iter();
            let query = query(pairs.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))).collect());
            let headers = input["headers"].as_object().expect("an object").iter();
            let subject = Subject {
                method: text("method"),
                path: text("path"),
                query: &query,
                headers: headers.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect(),
                body: text("body").as_bytes(),
            };
            let signed = sign(&subject, text("ak"), text("sk"));
            assert_eq!(signed.canonical_request, expected["canonical_request"], "{name}");
            assert_eq!(signed.string_to_sign, expected["string_to_sign"], "{name}");
            assert_eq!(signed.authorization, expected["authorization"], "{name}");
            let signature = expected["signature"].as_str().expect("a text");
            assert!(signed.authorization.ends_with(&format!("Signature={signature}")), "{name}");
            let target = if query.is_empty() { text("path").to_owned() } else { format!("{}?{query}", text("path")) };
            assert_eq!(target, expected["request_target"], "{name}");
            let added = expected["added_headers"].as_object().expect("an object");
            assert_eq!(usize::from(signed.added.is_some()), added.len(), "{name}");
            if let Some((header, value)) = signed.added {
                let found = added.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value);
                assert_eq!(found.and_then(Value::as_str), Some(value), "{name}");
            }
        }
    }

    #[test]
    fn dates() {
        let now = jiff::Timestamp::from_second(1_767_323_045).expect("a time");
        assert_eq!(date(now), "20260102T030405Z");
    }
}
