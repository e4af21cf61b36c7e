//! The kinds of ROMA Connect.

pub(super) mod app;
