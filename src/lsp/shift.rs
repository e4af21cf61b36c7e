//! Where a place of a text lies once the text was edited.

use std::ops::Range;

/// The one stretch in which two texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Bytes that both begin with.
    start: usize,
    /// Where what both end with begins, in the old text and in the new one.
    old_end: usize,
    new_end: usize,
}

impl Shift {
    /// Compares two texts.
    pub fn between(old: &str, new: &str) -> Self {
        let same = old.bytes().zip(new.bytes()).take_while(|(one, other)| one == other).count();
        let start = (0..=same).rev().find(|at| old.is_char_boundary(*at) && new.is_char_boundary(*at)).unwrap_or(0);
        let (old_rest, new_rest) = (&old[start..], &new[start..]);
        let tail = old_rest.bytes().rev().zip(new_rest.bytes().rev()).take_while(|(one, other)| one == other).count();
        let is_whole = |tail: &usize| {
            old_rest.is_char_boundary(old_rest.len() - tail) && new_rest.is_char_boundary(new_rest.len() - tail)
        };
        let tail = (0..=tail).rev().find(is_whole).unwrap_or(0);
        Self { start, old_end: old.len() - tail, new_end: new.len() - tail }
    }

    /// Returns true if the texts are the same.
    pub fn is_nothing(self) -> bool {
        self.start == self.old_end && self.start == self.new_end
    }

    /// Returns the bytes of the old text that the new one has others for, and those of the new text.
    pub fn replaced(self) -> (Range<usize>, Range<usize>) {
        (self.start..self.old_end, self.start..self.new_end)
    }

    /// Returns where bytes of the old text lie in the new one; `None` if what stands there, or right beside it, was
    /// edited.
    pub fn forward(self, old: &Range<usize>) -> Option<Range<usize>> {
        if self.is_nothing() || old.end < self.start {
            return Some(old.clone());
        }
        let moved = |at: usize| at - self.old_end + self.new_end;
        (old.start > self.old_end).then(|| moved(old.start)..moved(old.end))
    }

    /// Returns where a byte of the new text lies in the old one; `None` if it was edited.
    pub fn back(self, new: usize) -> Option<usize> {
        if self.is_nothing() || new < self.start {
            return Some(new);
        }
        (new > self.new_end).then(|| new - self.new_end + self.old_end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_move_with_what_stands_before_them() {
        let check = |old: &str, new: &str, place: &str, expected: Option<&str>| {
            let shift = Shift::between(old, new);
            let start = old.find(place).expect("it is there");
            let found = shift.forward(&(start..start + place.len()));
            assert_eq!(found.map(|range| &new[range]), expected, "{old} → {new}");
        };
        check("a: 1\nb: 2\n", "a: 1\nb: 2\n", "2", Some("2"));
        check("a: 1\nb: 2\n", "a: 1\nx: 机\nb: 2\n", "2", Some("2"));
        check("a: 1\nx: 机\nb: 2\n", "b: 2\n", "2", Some("2"));
        check("a: 1\nb: 2\n", "a: 1\nb: 2\nc: 3\n", "1", Some("1"));
        check("a: 1\nb: 2\n", "a: 1\nb: 24\n", "2", None);
        check("a: 1\nb: 2\n", "a: 12\nb: 2\n", "1", None);
        check("a: 机\n", "a: 柜\n", "机", None);
    }

    proptest! {
        #[test]
        fn what_moves_is_the_same_text(old in "[ab机柜\n]{0,12}", new in "[ab机柜\n]{0,12}", at in 0_usize..12) {
            let shift = Shift::between(&old, &new);
            let (before, after) = shift.replaced();
            let rebuilt = format!("{}{}{}", &old[..before.start], &new[after], &old[before.end..]);
            prop_assert_eq!(&rebuilt, &new);
            if let Some((start, letter)) = old.char_indices().nth(at) {
                let range = start..start + letter.len_utf8();
                if let Some(moved) = shift.forward(&range) {
                    prop_assert_eq!(&new[moved.clone()], &old[range]);
                    prop_assert_eq!(shift.back(moved.start), Some(start));
                }
            }
        }
    }
}
