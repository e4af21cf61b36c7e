//! Walks the pages of a list of applications, however a server pages.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::Refusal;

/// Most applications of one list.
const MOST: usize = 100_000;

/// One reading of a list, from its first page.
#[derive(Default)]
pub(super) struct Walk<'f> {
    seen: HashSet<&'f str>,
    /// Where the next page begins.
    pub(super) offset: usize,
}

impl<'f> Walk<'f> {
    /// Takes a page and returns true if another may bring more. None follows behind the server's own total, or behind a
    /// page that brought nothing new, as that of a server that ignores the offset.
    pub(super) fn goes_on(&mut self, rows: &'f [Value], total: usize) -> Result<bool, Refusal> {
        self.offset += rows.len();
        let before = self.seen.len();
        self.seen.extend(rows.iter().filter_map(|app| app["id"].as_str()));
        if total.max(self.offset) > MOST {
            let message =
                format!("the server lists {} apps, more than {MOST}: the list is not read", total.max(self.offset));
            return Err(Refusal::new(None, message));
        }
        Ok(self.seen.len() > before && self.offset < total)
    }
}
