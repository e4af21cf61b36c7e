//! Pages: start, limit and sort, and the selection of rows by them.

use std::{cmp::Ordering, sync::Arc};

use super::{
    args::Args,
    filter::{Filter, compare},
    refusal::Refusal,
    row::Row,
    table::Table,
};

/// `{"start":0,"limit":10,"sort":"-field,other"}` (section 3).
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// Rows to skip.
    pub(super) start: i64,
    /// Rows to return at most; 0 for all, where an operation does not refuse that.
    pub(super) limit: i64,
    /// Fields with their direction; true is descending.
    pub(super) sort: Vec<(String, bool)>,
}

impl Page {
    /// Reads the page of a request.
    pub(super) fn of(args: &Args) -> Result<Self, Refusal> {
        let page = args.object("page")?;
        let sort = page
            .text("sort")?
            .split(',')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .map(|field| match field.strip_prefix('-') {
                Some(field) => (field.to_owned(), true),
                None => (field.strip_prefix('+').unwrap_or(field).to_owned(), false),
            })
            .collect();
        Ok(Self { start: page.int("start")?, limit: page.int("limit")?, sort })
    }

    /// Refuses a limit outside 1..500, as the searches of 3.10 and later do.
    pub(super) fn bounded(self) -> Result<Self, Refusal> {
        if !(1..=500).contains(&self.limit) {
            return Err(Refusal::invalid("page.limit"));
        }
        if self.start < 0 {
            return Err(Refusal::invalid("page.start"));
        }
        Ok(self)
    }

    /// Sorts by a field unless the request says how.
    pub(super) fn default_sort(mut self, field: &str, descending: bool) -> Self {
        if self.sort.is_empty() {
            self.sort.push((field.to_owned(), descending));
        }
        self
    }

    /// Orders two rows.
    pub(super) fn compare(&self, row: &Row, other: &Row) -> Ordering {
        self.sort
            .iter()
            .map(|(field, descending)| {
                let order = compare(row.get(field), other.get(field));
                if *descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Cuts the page out of a whole list.
    pub(super) fn cut<T>(&self, items: impl Iterator<Item = T>) -> Vec<T> {
        let start = usize::try_from(self.start).unwrap_or(0);
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        items.skip(start).take(limit).collect()
    }
}

/// The rows of a page, and how many match in all.
pub(super) struct Selection<'a> {
    pub(super) rows: Vec<&'a Arc<Row>>,
    pub(super) count: usize,
}

/// Selects the rows of a page, by index where one fits.
pub(super) fn select<'a>(table: &'a Table, filter: &Filter, page: &Page) -> Selection<'a> {
    let by_id = match page.sort.as_slice() {
        [] => Some(false),
        [(field, descending), ..] if field == table.key => Some(*descending),
        _ => None,
    };
    let mut rows = matching(table, filter);
    let count = rows.len();
    match by_id {
        Some(false) => {}
        Some(true) => rows.reverse(),
        None => rows.sort_by(|row, other| page.compare(row, other)),
    }
    Selection { rows: page.cut(rows.into_iter()), count }
}

/// Returns the rows of a page whose list is not counted: what lies behind the page is not looked at.
pub(super) fn page_of<'a>(table: &'a Table, filter: &Filter, page: &Page) -> Vec<&'a Arc<Row>> {
    let descending = match page.sort.as_slice() {
        [] => false,
        [(field, descending), ..] if field == table.key => *descending,
        _ => return select(table, filter, page).rows,
    };
    let cut = |rows: &mut dyn Iterator<Item = &'a Arc<Row>>| page.cut(rows.filter(|row| filter.matches(row)));
    match (filter.candidates(table), descending) {
        (Some(ids), false) => cut(&mut ids.iter().filter_map(|id| table.get(*id))),
        (Some(ids), true) => cut(&mut ids.iter().rev().filter_map(|id| table.get(*id))),
        (None, false) => cut(&mut table.rows().map(|(_, row)| row)),
        (None, true) => cut(&mut table.rows().rev().map(|(_, row)| row)),
    }
}

/// Returns all matching rows by ascending id.
pub(super) fn matching<'a>(table: &'a Table, filter: &Filter) -> Vec<&'a Arc<Row>> {
    match filter.candidates(table) {
        Some(ids) => ids.into_iter().filter_map(|id| table.get(id)).filter(|row| filter.matches(row)).collect(),
        None => table.rows().map(|(_, row)| row).filter(|row| filter.matches(row)).collect(),
    }
}
