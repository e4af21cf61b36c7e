//! Versions of the server, as far as they matter (contract section 6).

/// A version by its first two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

impl Version {
    /// The searches by rules and the batch creates came with it.
    pub(super) const V3_10: Self = Self(3, 10);
    /// IPv6 came with it.
    pub(super) const V3_11: Self = Self(3, 11);
    /// The wide filters came with it.
    pub(super) const V3_14: Self = Self(3, 14);

    /// Reads a version such as `3.10` or `3.14.8-beta1`; `None` if it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().trim_start_matches('v').split(['.', '-']);
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let check = |text: &str, expected: Option<Version>| assert_eq!(Version::parse(text), expected, "{text}");
        check("3.9", Some(Version(3, 9)));
        check("3.14.8-beta1", Some(Version::V3_14));
        check("v3.10", Some(Version::V3_10));
        check("3", None);
        check("latest", None);
        assert!(Version::parse("3.9") < Version::parse("3.10"));
    }
}
