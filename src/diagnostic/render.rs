//! Diagnostics as terminal text, JSON and annotations.
