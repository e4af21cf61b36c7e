//! Every link of the documentation leads to a file and, with `#`, to a heading of it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use regex::Regex;

use super::{pages, prose, read, root};

/// The anchors of a page: of its headings, as mdBook and GitHub make them, and those written in HTML.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let mut anchors: BTreeSet<String> = headings.map(|line| slug(line.trim_start_matches('#').trim())).collect();
    let written = Regex::new(r#"id="([^"]+)""#).expect("the expression is right");
    anchors.extend(written.captures_iter(&prose).map(|found| found[1].to_owned()));
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The links of a page: what stands in `](…)`, and the sources of pictures.
fn links(text: &str) -> Vec<String> {
    let link = Regex::new(r#"\]\(([^)\s]+)\)|src="([^"]+)""#).expect("the expression is right");
    let prose = prose(text);
    let found = link.captures_iter(&prose).filter_map(|found| Some(found.get(1).or(found.get(2))?.as_str().to_owned()));
    found.filter(|link| !link.starts_with("http")).collect()
}

/// Returns what is wrong with a link of a page.
fn problem(page: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    let path: PathBuf = path.canonicalize().ok().filter(|path| path.starts_with(root())).or_else(|| {
        // A checkout may lie behind a link.
        path.exists().then(|| path.clone())
    })?;
    let book = root().join("docs/src");
    if page.starts_with(&book) && !path.starts_with(book.canonicalize().ok()?) {
        return Some("a page of the book can link to no file outside of it".to_owned());
    }
    let anchor = anchor?;
    (!anchors(&read(&path)).contains(anchor)).then(|| format!("there is no heading #{anchor}"))
}

#[test]
fn links_lead_somewhere() {
    let mut all = pages();
    all.extend(["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let mut wrong = Vec::new();
    for page in &all {
        for link in links(&read(page)) {
            let file = link.split('#').next().unwrap_or_default();
            let exists = file.is_empty() || page.parent().is_some_and(|parent| parent.join(file).exists());
            let what = if exists { problem(page, &link) } else { Some("there is no such file".to_owned()) };
            wrong.extend(what.map(|what| format!("{}: {link}: {what}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_summary_has_every_page_once() {
    let book = root().join("docs/src");
    let listed = links(&read(&book.join("SUMMARY.md")));
    let unique: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page is listed twice");
    let there: BTreeSet<String> = pages()
        .iter()
        .filter_map(|page| Some(page.strip_prefix(&book).ok()?.display().to_string()))
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(unique.into_iter().cloned().collect::<BTreeSet<_>>(), there);
}

#[test]
fn headings_become_anchors() {
    assert_eq!(slug("Saved plans, and `show`"), "saved-plans-and-show");
    assert_eq!(anchors("# A b\n```\n# no\n```\n<a id=\"m001\"></a>"), ["a-b", "m001"].map(str::to_owned).into());
}
