//! Verifies SDK-HMAC-SHA256 signatures (contract, section 6), for whatever headers a client chose to sign.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::Sha256;

use super::{clock, derive};
use crate::simulator::Request;

/// Everything but letters, digits and `-_.~` is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The contents of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) access_key: String,
    pub(super) signed: Vec<String>,
    pub(super) signature: String,
}

impl Claim {
    /// Reads the header, or says what is wrong with it.
    pub(super) fn read(header: &str) -> Result<Self, String> {
        let (algorithm, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if algorithm != ALGORITHM {
            return Err(format!("signing algorithm {algorithm} is not supported, use {ALGORITHM}"));
        }
        let field = |name: &str| {
            let parts = rest.split(',').map(str::trim);
            let mut values = parts.filter_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            values.next().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} not found in authorization"))
        };
        Ok(Self {
            access_key: field("Access")?.to_owned(),
            signed: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?.to_owned(),
        })
    }
}

/// Verifies a claim with the secret key that belongs to it, or says what is wrong.
pub(super) fn verify(
    request: &Request,
    claim: &Claim,
    secret: &str,
    now: Timestamp,
    window_seconds: u64,
) -> Result<(), String> {
    let date = request.header("x-sdk-date").map(str::trim).ok_or("x-sdk-date not found")?;
    if !claim.signed.iter().any(|name| name == "x-sdk-date") {
        return Err("x-sdk-date is not among the signed headers".to_owned());
    }
    let time = clock::read_sdk_date(date).ok_or_else(|| format!("x-sdk-date {date} is malformed"))?;
    if time.duration_since(now).unsigned_abs().as_secs() > window_seconds {
        return Err(format!("aksk signature expired, x-sdk-date:{date}, server time:{}", clock::seconds(now)));
    }
    let requests = canonical_requests(request, &claim.signed)?;
    if requests.iter().any(|request| signature(secret, date, request) == claim.signature) {
        return Ok(());
    }
    // The real server may show its own canonical request like this (contract, section 4).
    let shown = requests.first().map(|request| request.replace('\n', "|")).unwrap_or_default();
    Err(format!("verify aksk signature fail, canonicalRequest:{shown}"))
}

/// Returns the text that is signed.
pub(super) fn string_to_sign(date: &str, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{}", derive::sha256(canonical_request.as_bytes()))
}

fn signature(secret: &str, date: &str, canonical_request: &str) -> String {
    hmac_sha256(secret.as_bytes(), string_to_sign(date, canonical_request).as_bytes())
}

/// Returns an HMAC-SHA256 as hexadecimal digits.
pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    derive::hex(&mac.finalize().into_bytes())
}

/// Returns the canonical requests that the server accepts: one for each way to hash the body.
pub(super) fn canonical_requests(request: &Request, signed: &[String]) -> Result<Vec<String>, String> {
    let value = |name: &str| request.header(name).unwrap_or_default().trim();
    let headers: Vec<String> = signed.iter().map(|name| format!("{name}:{}", value(name))).collect();
    let start = format!(
        "{}\n{}\n{}\n{}\n\n{}",
        request.method,
        canonical_path(&request.path),
        canonical_query(&request.query),
        headers.join("\n"),
        signed.join(";"),
    );
    Ok(body_hashes(request, signed)?.iter().map(|hash| format!("{start}\n{hash}")).collect())
}

/// Returns the path decoded, every segment encoded anew, and a slash at the end.
fn canonical_path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let segments: Vec<String> =
        decoded.split(|byte| *byte == b'/').map(|segment| percent_encode(segment, ENCODED).to_string()).collect();
    let path = segments.join("/");
    if path.ends_with('/') { path } else { path + "/" }
}

/// Returns the pairs sorted by decoded key and value, encoded anew.
fn canonical_query(query: &str) -> String {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect();
    pairs.sort();
    let encoded = |bytes: &[u8]| percent_encode(bytes, ENCODED).to_string();
    pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect::<Vec<_>>().join("&")
}

/// Returns what may stand for the body. A declared hash counts only where it is signed, and has to be right.
fn body_hashes(request: &Request, signed: &[String]) -> Result<Vec<String>, String> {
    let actual = derive::sha256(&request.body);
    let declared = request.header("x-sdk-content-sha256").map(str::trim);
    let Some(declared) = declared.filter(|_| signed.iter().any(|name| name == "x-sdk-content-sha256")) else {
        return Ok(vec![actual]);
    };
    if declared != "UNSIGNED-PAYLOAD" && declared != actual {
        return Err("verify aksk signature fail, x-sdk-content-sha256 is not the hash of the body".to_owned());
    }
    if request.body.is_empty() {
        // Without a body one official signer hashes the empty text, the other one takes the header.
        return Ok(vec![actual, declared.to_owned()]);
    }
    Ok(vec![declared.to_owned()])
}
