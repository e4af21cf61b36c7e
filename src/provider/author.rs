//! What a kind says about who changed what.

use crate::model::{Request, ResourceId, author::Changed};

/// What is known of the last changes of live values, or what to ask for that.
#[derive(Debug, Default)]
pub struct Authors {
    /// Reads to be made before it can say more. One that fails makes the answer worse, and is no error.
    pub ask: Vec<Request>,
    /// The last change of each field that differs, by its path; with an empty path that of the object itself, where it
    /// is made or removed. What is missing is unknown.
    pub known: Vec<(ResourceId, String, Changed)>,
}

impl Authors {
    /// Takes in what another part of the same kind says.
    pub fn extend(&mut self, other: Self) {
        self.ask.extend(other.ask);
        self.known.extend(other.known);
    }
}
