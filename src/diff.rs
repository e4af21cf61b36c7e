//! What differs between what is wanted and what is live.

pub mod identity;
pub mod rows;
pub mod values;
