//! Walks the pages of a list of applications, however a server pages.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::Refusal;

/// Most applications of one list.
const MOST: usize = 100_000;

/// Pages that are asked for together. A list that moves is begun anew, so that not all of a long one is read in vain.
const TOGETHER: usize = 40;

/// Returns where the pages behind a full one begin that are asked for together with it: one after another, each would
/// cost a way to the server and back.
pub(super) fn offsets_behind(
    offset: usize,
    page: &[Value],
    limit: usize,
    total: usize,
) -> impl Iterator<Item = usize> + use<> {
    let is_first = offset.is_multiple_of(TOGETHER * limit) && page.len() == limit && total <= MOST;
    let end = if is_first { total.min(offset + (TOGETHER + 1) * limit) } else { 0 };
    (offset + limit..end).step_by(limit)
}

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
