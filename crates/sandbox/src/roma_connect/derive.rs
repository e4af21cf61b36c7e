//! Values that look random and are not: the same counter always gives the same id.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LETTERS_OF_BOTH_SIZES: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Returns bytes as small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Returns the SHA-256 of bytes as hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns an id of 32 hexadecimal digits, as projects, users and requests have.
pub(super) fn id32(seed: &str) -> String {
    hex(&Sha256::digest(seed.as_bytes())[..16])
}

/// Returns a text in the shape of a random UUID, as applications have.
pub(super) fn uuid(seed: &str) -> String {
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&Sha256::digest(seed.as_bytes())[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// Returns an access key of 20 capitals and digits.
pub(super) fn key(seed: &str) -> String {
    spell(seed, 20, LETTERS)
}

/// Returns a text of so many letters and digits.
pub(super) fn text(seed: &str, length: usize) -> String {
    spell(seed, length, LETTERS_OF_BOTH_SIZES)
}

fn spell(seed: &str, length: usize, alphabet: &[u8]) -> String {
    (0..length.div_ceil(32))
        .flat_map(|block| Sha256::digest(format!("{seed} {block}").as_bytes()))
        .take(length)
        .map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()]))
        .collect()
}
