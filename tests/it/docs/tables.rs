//! Tables of the book that say what platforms and kinds know of themselves: their settings, codes, scopes and units.

use std::collections::BTreeMap;

use reconcile::{
    platform,
    provider::{Kind, ScopeKey, codes::Meaning},
};

use super::{read, root};

/// The rows of tables, each with the page and the comment above its table.
fn rows() -> BTreeMap<(&'static str, String), Vec<String>> {
    let mut rows: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for platform in platform::ALL {
        for spec in platform.settings() {
            let table = match spec.section().rsplit_once('.') {
                Some((_, section)) => section.to_owned(),
                None => format!("{} {}", platform.name(), spec.section()),
            };
            let row = format!("| `{}` | {} |", spec.key(), spec.description);
            rows.entry(("configuration.md", format!("keys: {}", table.trim()))).or_default().push(row);
        }
        for row in platform.codes() {
            let row = format!("| `{}` | {} | {} | {} |", row.code, row.case, row.meaning.word(), row.about);
            rows.entry(("answers.md", format!("codes: {}", platform.name()))).or_default().push(row);
        }
        for kind in platform.kinds() {
            rows.entry(("plans.md", "scopes".to_owned())).or_default().extend(scope_row(*kind));
            if !kind.impact_units().is_empty() {
                let units: Vec<_> = kind.impact_units().iter().map(|unit| format!("`{unit}`")).collect();
                let row = format!("| `{}` | {} |", kind.name(), units.join(", "));
                rows.entry(("plans.md", "units".to_owned())).or_default().push(row);
            }
        }
    }
    rows
}

fn scope_row(kind: &dyn Kind) -> Option<String> {
    let keys = kind.scope_keys()?;
    let cell = |required: bool| {
        let keys = keys.iter().filter(|key| key.required == required);
        let text = |key: &ScopeKey| format!("`{}`{}", key.name, if key.is_id { " (name or id)" } else { "" });
        keys.map(text).collect::<Vec<_>>().join(", ")
    };
    Some(format!("| `{}` | {} | {} |", kind.name(), cell(true), cell(false)))
}

#[test]
fn tables_say_what_platforms_and_kinds_say_of_themselves() {
    let mut wrong = Vec::new();
    for ((page, name), rows) in rows() {
        let text = read(&root().join("docs/src").join(page));
        let (_, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap_or_else(|| panic!("no table {name}"));
        let lines: Vec<&str> = rest.lines().take_while(|line| line.starts_with('|')).collect();
        // A longer row goes on to say more.
        let is_there = |row: &String| lines.iter().any(|line| line.starts_with(row.as_str()));
        wrong.extend(rows.iter().filter(|row| !is_there(row)).map(|row| format!("{page}, {name}: {row}")));
    }
    assert!(wrong.is_empty(), "these rows are missing:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_codes_has_no_other_rows() {
    let text = read(&root().join("docs/src/answers.md"));
    for platform in platform::ALL {
        let (_, rest) = text.split_once(&format!("<!-- codes: {} -->\n", platform.name())).expect("a table");
        let count = rest.lines().take_while(|line| line.starts_with('|')).count();
        assert_eq!(count - 2, platform.codes().len(), "{}", platform.name());
    }
}

#[test]
fn every_meaning_is_explained() {
    let text = read(&root().join("docs/src/answers.md"));
    for meaning in Meaning::ALL {
        assert!(text.contains(&format!("\n| {} | ", meaning.word())), "{meaning:?}");
    }
}
