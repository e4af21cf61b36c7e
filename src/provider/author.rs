//! The last changes of live values, as a kind reports them.

use crate::model::{FieldPath, ResourceId, author::Changed};

/// The last changes of live values, as far as they are known.
#[derive(Debug, Default)]
pub struct Authors {
    /// The last change of each field that differs, by its path; without a path that of the object itself, where it is
    /// made or removed. What is missing is unknown.
    pub known: Vec<(ResourceId, Option<FieldPath>, Changed)>,
}

impl Authors {
    /// Takes in what another part of the same kind says.
    pub fn extend(&mut self, other: Self) {
        self.known.extend(other.known);
    }
}
