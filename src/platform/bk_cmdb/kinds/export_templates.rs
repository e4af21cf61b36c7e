//! The service templates of a business for `export`, page by page: first their names alone, as one that repeats further
//! behind tells none of them apart, then the templates.

use std::sync::Arc;

use super::export_common::{self, Unlisted};
use crate::{
    model::{Json, ObservedState, Request},
    platform::bk_cmdb::lookup::{TEMPLATES, check_count, service_templates_page},
    provider::{Cursor, ExportPage, Facts, FirstReading, Observation, Read},
    source::Located,
};

/// The page that a cursor leads to.
pub(super) enum Listed<'f> {
    /// Names alone: the page without objects that goes on behind them.
    Names(ExportPage),
    /// Service templates.
    Templates(Templates<'f>),
}

/// Some service templates of a business.
pub(super) struct Templates<'f> {
    /// The templates, by ascending ids.
    pub(super) rows: Vec<&'f Json>,
    /// The first reading, of the names of all.
    pub(super) first: Arc<FirstReading>,
    /// Where the next ones begin; `None` behind the last of the business.
    pub(super) next: Option<Cursor>,
    /// The reads that are not needed any more.
    pub(super) read: Vec<Request>,
}

/// Returns at most `most` service templates of a business, or more of their names. `given` is the one that the command
/// names.
pub(super) fn listed<'f>(
    business: i64,
    from: &Cursor,
    most: usize,
    given: Option<&Located<Json>>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Listed<'f>, Unlisted> {
    let page = Page::of(business, from, observation, facts)?;
    let Some(first) = from.first.clone().filter(|first| first.is_whole) else {
        return Ok(Listed::Names(names(page, from, given)));
    };
    let Page { mut rows, request, behind } = page;
    let next = if rows.len() > most {
        rows.truncate(most);
        rows.last().map(|row| Cursor { after: id(row), ..from.clone() })
    } else {
        behind
    };
    let is_read = next.as_ref().is_none_or(|next| next.listed != from.listed);
    let read = if is_read { vec![request] } else { Vec::new() };
    Ok(Listed::Templates(Templates { rows, first, next, read }))
}

/// Returns the page without objects that takes in the names of a page.
fn names(page: Page<'_>, from: &Cursor, given: Option<&Located<Json>>) -> ExportPage {
    let mut first = from.first.as_deref().cloned().unwrap_or_default();
    for row in &page.rows {
        first.names.add(name(row));
    }
    let named = page.rows.iter().map(|row| (id(row), name(row)));
    let picked = given.and_then(|given| export_common::picked(&given.value, named));
    let is_by_id = picked.is_some_and(|id| given.is_some_and(|given| given.value.as_i64() == Some(id)));
    if picked.is_some() && (first.picked.is_none() || is_by_id) {
        first.picked = picked.map(|id| (id, is_by_id));
    }
    first.is_whole = page.behind.is_none();
    // A list of one page is not asked for twice.
    let is_read = !first.is_whole || from.listed > 0;
    let first = Some(Arc::new(first));
    let next = match page.behind {
        Some(behind) => Cursor { first, ..behind },
        None => Cursor { part: from.part, first, ..Cursor::default() },
    };
    let read = if is_read { vec![page.request] } else { Vec::new() };
    ExportPage { next: Some(next), read, ..ExportPage::default() }
}

/// A page of the list.
struct Page<'f> {
    /// The templates behind the cursor, by ascending ids.
    rows: Vec<&'f Json>,
    request: Request,
    /// Where the next page begins; `None` behind the last one.
    behind: Option<Cursor>,
}

impl<'f> Page<'f> {
    /// Reads the page in which a cursor lies. The list knows no ids, so a page begins with the last template of the one
    /// before: where one of those before is gone meanwhile, that one would be missed.
    fn of(business: i64, from: &Cursor, observation: &mut Observation, facts: &'f Facts) -> Result<Self, Unlisted> {
        let start = from.listed.saturating_sub(1);
        let request = service_templates_page(business, start);
        let data = match observation.read(request.clone(), facts) {
            Read::Pending => return Err(None),
            Read::Failed(refusal) => return Err(Some(ObservedState::Unknown(refusal.to_string()))),
            Read::Value(data) => data,
        };
        let all = data["info"].items();
        let unlisted = |why: String| Some(ObservedState::Unknown(format!("{why}: the list cannot be read")));
        let is_sorted = all.windows(2).all(|pair| id(&pair[0]) < id(&pair[1]));
        if !is_sorted || (start > 0 && all.first().is_some_and(|row| id(row) > from.after)) {
            return Err(unlisted("the service templates moved meanwhile".to_owned()));
        }
        let rows: Vec<&Json> = all.iter().filter(|row| id(row) > from.after).collect();
        let is_last = all.len() < TEMPLATES;
        let listed = start + all.len();
        check_count(listed).map_err(unlisted)?;
        let behind = match all.last() {
            Some(last) if !is_last => Some(Cursor { after: id(last), listed, ..from.clone() }),
            _ => None,
        };
        if behind.is_some() && rows.is_empty() {
            return Err(unlisted(format!("the server sends the same rows again behind row {}", from.listed)));
        }
        Ok(Self { rows, request, behind })
    }
}

fn id(row: &Json) -> i64 {
    row["id"].as_i64().unwrap_or_default()
}

fn name(row: &Json) -> &str {
    row["name"].as_str().unwrap_or_default()
}
