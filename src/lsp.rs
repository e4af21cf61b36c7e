//! What an editor asks about manifests, answered from the texts in it: diagnostics, completion, descriptions, places.
//!
//! Everything here is pure: a [`Workspace`] holds the texts, and whoever reads files and speaks the protocol gives them to
//! it. Answers are in the form of the Language Server Protocol.

mod actions;
mod complete;
mod cursor;
mod hover;
mod keys;
mod live;
mod navigate;
mod position;
mod shift;
mod workspace;

pub use live::Live;
pub use navigate::RenameError;
pub use position::{byte, text_edit};
pub use shift::Shift;
pub use workspace::{Inputs, Workspace, uri};
