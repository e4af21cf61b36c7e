//! How far lists are read.

use crate::model::Json;

use super::LookupError;

/// Most rows of one list.
const MOST: usize = 1_000_000;

/// Returns an error for a count of more rows than any list is read for.
pub(in crate::platform::bk_cmdb) fn check_count(count: usize) -> Result<(), String> {
    if count > MOST {
        return Err(format!("the server counts {count} rows, more than {MOST}: the list is not read"));
    }
    Ok(())
}

/// Returns an error for a page that shows that a list never ends: it ends like the one before, or is one too many.
pub(in crate::platform::bk_cmdb) fn check_page(before: &[&Json], page: &[&Json]) -> Result<(), LookupError> {
    let repeats = page.last().is_some_and(|last| before.last() == Some(last));
    if repeats || before.len() + page.len() > MOST {
        let why = if repeats { "the server sends the same rows again" } else { "there are more than a million rows" };
        return Err(LookupError::Failed(format!("{why} behind row {}: the list cannot be read", before.len())));
    }
    Ok(())
}
