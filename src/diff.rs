//! The differences between desired and live values.

pub mod identity;
pub mod rows;
pub mod values;
