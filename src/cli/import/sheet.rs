//! The cells of a spreadsheet: rows with instances below the rows of a header, and rows with associations.

use std::path::Path;

use calamine::{Data, Range, Reader as _, Xlsx, open_workbook};

use crate::provider::{LinkRow, SheetRow};

/// The sheet with associations.
pub(super) const ASSOCIATIONS: &str = "association";
/// The row of the header that has the ids of the fields, from 0. Above it are their names and their types.
const IDS: u32 = 2;
/// The first row with an association, from 0. Above it are names and an example.
const LINKS: u32 = 2;
/// The columns of associations: their name, what is to be done, and both ends.
const LINK: [(&str, u32); 4] = [("association", 1), ("operation", 2), ("source", 3), ("target", 4)];

/// The rows of a file.
pub(super) struct Sheet {
    /// The name of the sheet with instances.
    pub(super) name: String,
    /// The rows with instances.
    pub(super) rows: Vec<SheetRow>,
    /// The rows with associations.
    pub(super) links: Vec<LinkRow>,
    /// The fields by their columns, from 0.
    fields: Vec<(u32, String)>,
}

impl Sheet {
    /// Reads a file of the platform's page for a model.
    pub(super) fn read(path: &Path, model: &str) -> Result<Self, Vec<String>> {
        let mut book: Xlsx<_> =
            open_workbook(path).map_err(|error: calamine::XlsxError| vec![format!("it cannot be read: {error}")])?;
        let names = book.sheet_names();
        let is_links = |name: &String| name.eq_ignore_ascii_case(ASSOCIATIONS);
        let named = names.iter().find(|name| *name == model).or_else(|| names.iter().find(|name| !is_links(name)));
        let name = named.cloned().ok_or_else(|| vec!["it has no sheet with instances".to_owned()])?;
        let mut range = |name: &str| {
            book.worksheet_range(name).map_err(|error| vec![format!("sheet {name} cannot be read: {error}")])
        };
        let instances = range(&name)?;
        let links = match names.iter().find(|name| is_links(name)) {
            Some(links) => Some(range(links)?),
            None => None,
        };
        let mut problems = Vec::new();
        let fields = header(&name, &instances, &mut problems);
        let rows = rows(&name, &instances, &fields, &mut problems);
        let links = links.map(|links| self::links(&links, &mut problems)).unwrap_or_default();
        if problems.is_empty() { Ok(Self { name, rows, links, fields }) } else { Err(problems) }
    }

    /// Returns the column of a field as spreadsheets call it, such as `C (ports)`.
    pub(super) fn column(&self, sheet: &str, field: &str) -> Option<String> {
        let at = if sheet == self.name {
            self.fields.iter().find(|(_, name)| name == field).map(|(at, _)| *at)
        } else {
            LINK.iter().find(|(name, _)| *name == field).map(|(_, at)| *at)
        };
        at.map(|at| format!("{} ({field})", letters(at)))
    }
}

/// Returns the letters of a column, from 0.
fn letters(mut at: u32) -> String {
    let mut letters = String::new();
    loop {
        let letter = char::from_u32(u32::from('A') + at % 26).unwrap_or('?');
        letters.insert(0, letter);
        if at < 26 {
            return letters;
        }
        at = at / 26 - 1;
    }
}

fn text(range: &Range<Data>, row: u32, column: u32) -> Result<String, String> {
    Ok(match range.get_value((row, column)) {
        None | Some(Data::Empty) => String::new(),
        Some(Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text)) => text.clone(),
        Some(Data::Int(number)) => number.to_string(),
        Some(Data::Float(number)) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Some(Data::Float(number)) => number.to_string(),
        Some(Data::Bool(truth)) => truth.to_string(),
        Some(Data::DateTime(time)) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            if (hour, minute, second) == (0, 0, 0) { date } else { format!("{date} {hour:02}:{minute:02}:{second:02}") }
        }
        Some(other) => return Err(format!("the cell holds {other}")),
    })
}

/// Returns the fields of the columns. The first column has the names of the header's rows, and nothing below them.
fn header(name: &str, range: &Range<Data>, problems: &mut Vec<String>) -> Vec<(u32, String)> {
    let width = range.end().map_or(0, |(_, column)| column + 1);
    let mut fields: Vec<(u32, String)> = Vec::new();
    for column in 1..width {
        let id = text(range, IDS, column).unwrap_or_default().trim().to_owned();
        if id.is_empty() {
            continue;
        }
        match fields.iter().find(|(_, known)| *known == id) {
            Some((first, _)) => problems.push(format!(
                "sheet {name}, row {}, column {}: the field `{id}` is in column {} too",
                IDS + 1,
                letters(column),
                letters(*first)
            )),
            None => fields.push((column, id)),
        }
    }
    if fields.is_empty() {
        problems.push(format!("sheet {name}, row {}: the ids of fields are expected here", IDS + 1));
    }
    fields
}

fn rows(name: &str, range: &Range<Data>, fields: &[(u32, String)], problems: &mut Vec<String>) -> Vec<SheetRow> {
    let height = range.end().map_or(0, |(row, _)| row + 1);
    // The header of newer versions has three more rows, for tables in cells.
    let is_header = |row: &u32| !text(range, *row, 0).unwrap_or_default().trim().is_empty();
    let first = (0..height).take_while(is_header).count().max(IDS as usize + 1);
    let mut rows = Vec::new();
    for row in u32::try_from(first).unwrap_or(u32::MAX)..height {
        let mut cells = Vec::new();
        for (column, field) in fields {
            match text(range, row, *column) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => cells.push((field.clone(), text)),
                Err(why) => {
                    problems.push(format!(
                        "sheet {name}, row {}, column {} ({field}): {why}",
                        row + 1,
                        letters(*column)
                    ));
                }
            }
        }
        if !cells.is_empty() {
            rows.push(SheetRow { number: row + 1, cells });
        }
    }
    rows
}

fn links(range: &Range<Data>, problems: &mut Vec<String>) -> Vec<LinkRow> {
    let height = range.end().map_or(0, |(row, _)| row + 1);
    let mut links = Vec::new();
    for row in LINKS..height {
        let [association, operation, source, target] =
            LINK.map(|(_, column)| text(range, row, column).unwrap_or_default().trim().to_owned());
        if [&association, &source, &target].iter().all(|text| text.is_empty()) {
            continue;
        }
        let place = format!("sheet {ASSOCIATIONS}, row {}", row + 1);
        if !matches!(operation.as_str(), "" | "add") {
            problems.push(format!(
                "{place}, column C (operation): `{operation}` is not brought in: write `add` or nothing"
            ));
            continue;
        }
        links.push(LinkRow { number: row + 1, association, source, target });
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let check = |at: u32, expected: &str| assert_eq!(letters(at), expected);
        check(0, "A");
        check(25, "Z");
        check(26, "AA");
        check(51, "AZ");
        check(52, "BA");
        check(701, "ZZ");
        check(702, "AAA");
    }
}
