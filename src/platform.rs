//! The platforms.

pub mod bk_cmdb;
pub mod roma_connect;

use crate::provider::Platform;

/// All platforms.
pub static ALL: &[&dyn Platform] = &[&bk_cmdb::BkCmdb, &roma_connect::RomaConnect];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn an_address_needs_no_platform() {
        let mut names = BTreeSet::new();
        for (platform, kind) in
            super::ALL.iter().flat_map(|platform| platform.kinds().iter().map(move |kind| (platform, kind)))
        {
            assert!(names.insert(kind.name()), "another platform has a kind {} too: {}", kind.name(), platform.name());
        }
    }
}
