//! Lists live objects as documents, page by page: only one page is held at a time.

use std::collections::HashMap;

use super::{connection::Reader, drive::drive};
use crate::{
    model::ObservedState,
    provider::{Cursor, ExportPage, ExportScope, Facts, Freshness, ImportScope, Imported, Kind},
};

/// Lists the objects of one target.
pub struct Lister<'r> {
    reader: &'r Reader,
    facts: Facts,
}

impl<'r> Lister<'r> {
    /// Returns a lister of a target; what it cannot read says why.
    pub async fn new(reader: &'r Reader) -> Result<Self, ObservedState> {
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        facts.settings = reader.settings().await.map_err(|refusal| ObservedState::Unknown(refusal.to_string()))?;
        Ok(Self { reader, facts })
    }

    /// Returns a page of a scope from a cursor on, or why there is none.
    pub async fn page(
        &mut self,
        kind: &'static dyn Kind,
        scope: &ExportScope<'_>,
        from: &Cursor,
    ) -> Result<ExportPage, ObservedState> {
        let step = |facts: &mut Facts| kind.export(scope, from, facts);
        let page = drive(self.reader, kind, &mut self.facts, step).await;
        let page = page.map_err(|error| ObservedState::Unknown(error.to_string()))??;
        self.facts.forget(&page.read);
        Ok(page)
    }

    /// Returns rows of a spreadsheet as documents, or why there are none.
    pub async fn import(
        &mut self,
        kind: &'static dyn Kind,
        scope: &ImportScope<'_>,
    ) -> Result<Imported, ObservedState> {
        let step = |facts: &mut Facts| kind.import(scope, facts);
        let imported = drive(self.reader, kind, &mut self.facts, step).await;
        imported.map_err(|error| ObservedState::Unknown(error.to_string()))?
    }
}
