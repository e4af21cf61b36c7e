//! The version of this program, as the build tells it.

/// The version with the commit that it was built from, where that is known, as in `0.1.0+1bc95ea2d3f4`.
pub const VERSION: &str = env!("RECONCILE_VERSION");

/// The version as people read it, with the commit and its date.
pub const LINE: &str = env!("RECONCILE_VERSION_LINE");

/// The number of the version alone.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// Returns the commit that the program was built from; `None` if the build did not know it.
pub fn commit() -> Option<&'static str> {
    Some(env!("RECONCILE_COMMIT")).filter(|commit| !commit.is_empty())
}

/// Returns true if the sources were not those of the commit.
pub fn is_modified() -> bool {
    env!("RECONCILE_MODIFIED") == "true"
}

/// Returns the day of the commit in UTC, or of `SOURCE_DATE_EPOCH`; `None` if the build knew neither.
pub fn date() -> Option<&'static str> {
    Some(env!("RECONCILE_DATE")).filter(|date| !date.is_empty())
}

/// The target that the program was built for, such as `x86_64-unknown-linux-musl`.
pub const TARGET: &str = env!("RECONCILE_BUILD_TARGET");
