//! The documentation: every block is run or validated, every link leads somewhere, every list is complete.
//!
//! `UPDATE_DOCS=1 cargo test --test it docs` writes the output of commands and the picture of the README anew.

mod blocks;
mod codes;
mod commands;
mod keys;
mod links;
mod picture;
mod tables;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns true if pages are to be written anew.
fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// The pages of the book, sorted, and the README.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut open = vec![root().join("docs/src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Block {
    /// The number of the first line of its body, counted from 0.
    line: usize,
    language: String,
    /// The words behind the language, such as `file=nginx.yaml`.
    marks: Vec<String>,
    body: Vec<String>,
}

impl Block {
    fn has(&self, mark: &str) -> bool {
        self.marks.iter().any(|text| text == mark)
    }

    /// The value of a mark such as `file=nginx.yaml`.
    fn value(&self, mark: &str) -> Option<&str> {
        self.marks.iter().find_map(|text| text.strip_prefix(mark)?.strip_prefix('='))
    }

    fn text(&self) -> String {
        self.body.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

/// The fenced blocks of a page.
fn fenced(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Block { line: number + 1, language, marks: words.collect(), body: Vec::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.body.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The text of a page without its fenced blocks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}
