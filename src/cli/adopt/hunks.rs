//! The difference of two texts of which it is known where they differ: a general comparison of large texts with many
//! differences takes the product of both.

use std::{fmt::Write as _, ops::Range};

use similar::{DiffOp, DiffTag, TextDiff, group_diff_ops, udiff::UnifiedHunkHeader};

use crate::manifest::edit::Span;

/// Lines around what differs.
const CONTEXT: usize = 3;

/// Returns the hunks of a patch that makes one text of another. Outside of the spans, which are in their order, the two
/// are the same.
pub(super) fn hunks(before: &str, now: &str, spans: &[Span]) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), now.split_inclusive('\n').collect());
    let mut text = String::new();
    for group in group_diff_ops(operations(before, now, spans), CONTEXT) {
        let _ = writeln!(text, "{}", UnifiedHunkHeader::new(&group));
        for operation in &group {
            let (tag, was, is) = operation.as_tag_tuple();
            let (kept, gone, come): (&[&str], &[&str], &[&str]) = match tag {
                DiffTag::Equal => (&old[was], &[], &[]),
                DiffTag::Delete => (&[], &old[was], &[]),
                DiffTag::Insert => (&[], &[], &new[is]),
                DiffTag::Replace => (&[], &old[was], &new[is]),
            };
            for (sign, lines) in [(' ', kept), ('-', gone), ('+', come)] {
                lines.iter().for_each(|line| add(&mut text, sign, line));
            }
        }
    }
    text
}

fn add(text: &mut String, sign: char, line: &str) {
    text.push(sign);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}

/// Returns what is the same and what differs, line by line.
fn operations(before: &str, now: &str, spans: &[Span]) -> Vec<DiffOp> {
    let mut operations = Operations::default();
    let mut end = 0;
    for (was, is) in regions(before, now, spans) {
        operations.equal(before[end..was.start].matches('\n').count());
        operations.compare(&before[was.clone()], &now[is]);
        end = was.end;
    }
    operations.equal(before[end..].split_inclusive('\n').count());
    operations.all
}

/// Returns the whole lines that spans lie in; those that meet are one region.
fn regions(before: &str, now: &str, spans: &[Span]) -> Vec<Span> {
    let lines = |text: &str, bytes: &Range<usize>| {
        let start = text[..bytes.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[bytes.end..].find('\n').map_or(text.len(), |at| bytes.end + at + 1);
        start..end
    };
    let mut regions: Vec<Span> = Vec::new();
    for (was, is) in spans {
        let (was, is) = (lines(before, was), lines(now, is));
        match regions.last_mut() {
            Some((known_was, known_is)) if was.start < known_was.end => {
                known_was.end = was.end.max(known_was.end);
                known_is.end = is.end.max(known_is.end);
            }
            _ => regions.push((was, is)),
        }
    }
    regions
}

/// Operations as they are found, one behind the other.
#[derive(Default)]
struct Operations {
    all: Vec<DiffOp>,
    /// The numbers of the next line of both texts, from 0.
    old: usize,
    new: usize,
}

impl Operations {
    /// Adds lines that are the same.
    fn equal(&mut self, count: usize) {
        match self.all.last_mut() {
            _ if count == 0 => {}
            Some(DiffOp::Equal { len, .. }) => *len += count,
            _ => self.all.push(DiffOp::Equal { old_index: self.old, new_index: self.new, len: count }),
        }
        self.old += count;
        self.new += count;
    }

    /// Compares a few lines.
    fn compare(&mut self, before: &str, now: &str) {
        for operation in TextDiff::from_lines(before, now).ops() {
            match operation.as_tag_tuple() {
                (DiffTag::Equal, was, _) => self.equal(was.len()),
                (DiffTag::Delete | DiffTag::Insert | DiffTag::Replace, was, is) => self.differ(was.len(), is.len()),
            }
        }
    }

    /// Adds lines that differ. Those that follow each other are one operation: what goes is shown before what comes.
    fn differ(&mut self, gone: usize, come: usize) {
        let (mut old_index, mut new_index) = (self.old, self.new);
        self.old += gone;
        self.new += come;
        if let Some(last) = self.all.pop_if(|last| last.tag() != DiffTag::Equal) {
            (old_index, new_index) = (last.old_range().start, last.new_range().start);
        }
        let (old_len, new_len) = (self.old - old_index, self.new - new_index);
        self.all.push(match (old_len, new_len) {
            (_, 0) => DiffOp::Delete { old_index, old_len, new_index },
            (0, _) => DiffOp::Insert { old_index, new_index, new_len },
            _ => DiffOp::Replace { old_index, old_len, new_index, new_len },
        });
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    /// Replaces parts of a text at random, and returns the spans.
    fn edited(text: &str, rng: &mut Rng) -> (String, Vec<Span>) {
        let (mut now, mut spans, mut at) = (String::new(), Vec::new(), 0);
        while at < text.len() {
            let start = (at + rng.usize(..40)).min(text.len());
            let end = (start + rng.usize(1..6)).min(text.len());
            if end == text.len() {
                break;
            }
            now += &text[at..start];
            let new = ["x", "long\nlonger\n", "", "\n", "b c\n d"][rng.usize(..5)];
            spans.push((start..end, now.len()..now.len() + new.len()));
            now += new;
            at = end;
        }
        (now + &text[at..], spans)
    }

    #[test]
    fn hunks_are_those_of_a_general_comparison() {
        let check = |before: &str, now: &str, spans: &[Span]| {
            let expected = TextDiff::from_lines(before, now).unified_diff().to_string();
            assert_eq!(hunks(before, now, spans), expected, "{before:?} {now:?}");
        };
        check("a: 1\nb: 2\n", "a: 1\nb: 3\n", &[(8..9, 8..9)]);
        check("a: 1\nb: 2", "a: 1\nb: 3", &[(8..9, 8..9)]);
        check("a: 1\n", "a: 1\n", &[]);
        check("a: 1, b: 2\n", "a: 10, b: 20\n", &[(3..4, 3..5), (9..10, 10..12)]);
    }

    /// Two ways to tell the same difference are possible, so what the hunks make of the text counts.
    #[test]
    fn hunks_make_one_text_of_the_other() {
        let rng = &mut Rng::with_seed(7);
        for size in 0..200 {
            let text: String = (0..size).flat_map(|line| [["a", "b: c", "", "d"][line % 4], "\n"]).collect();
            let (now, spans) = edited(&text, rng);
            assert_eq!(applied(&text, &hunks(&text, &now, &spans)), now, "{text:?} {now:?}");
        }
    }

    /// Applies hunks to a text.
    fn applied(text: &str, hunks: &str) -> String {
        let old: Vec<&str> = text.split_inclusive('\n').collect();
        let (mut now, mut at) = (String::new(), 0);
        for line in hunks.split_inclusive('\n') {
            if let Some(header) = line.strip_prefix("@@ -") {
                let (first, count) = header
                    .split_once(' ')
                    .expect("a range")
                    .0
                    .split_once(',')
                    .unwrap_or((header.split_once(' ').expect("a range").0, "1"));
                // Behind the line before, where the range is empty.
                let first: usize = first.parse().expect("a number");
                let start = if count == "0" { first } else { first - 1 };
                now.extend(old[at..start].iter().copied());
                at = start;
            } else if let Some(kept) = line.strip_prefix(' ') {
                assert_eq!(old[at], kept);
                now += kept;
                at += 1;
            } else if let Some(gone) = line.strip_prefix('-') {
                assert_eq!(old[at], gone);
                at += 1;
            } else if let Some(new) = line.strip_prefix('+') {
                now += new;
            }
        }
        now.extend(old[at..].iter().copied());
        now
    }
}
