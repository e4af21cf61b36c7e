//! The places of a file's scalars in little memory: there are many, and each begins close behind the one before.

use std::ops::Range;

/// Places of scalars. They are added in any order, and are read once they are packed.
#[derive(Debug, Clone, Default)]
pub(super) struct Scalars {
    /// Places that were added and are not packed yet.
    loose: Vec<Range<u32>>,
    /// The places in order, each once: how far it begins behind the one before and its length, as [`put`] writes numbers.
    packed: Vec<u8>,
    /// For every place whose number is a multiple of [`STEP`]: where the one before it begins, and its position in `packed`.
    marks: Vec<(u32, u32)>,
}

/// Number of places from one mark to the next.
const STEP: usize = 64;

impl Scalars {
    /// Adds a place.
    pub(super) fn push(&mut self, place: Range<u32>) {
        self.loose.push(place);
    }

    /// Adds the places of others.
    pub(super) fn append(&mut self, others: Self) {
        if self.packed.is_empty() && self.loose.is_empty() {
            *self = others;
        } else {
            self.loose.extend(others.from(0));
            self.loose.extend(others.loose);
        }
    }

    /// Puts all places into order, each once.
    pub(super) fn pack(&mut self) {
        if self.loose.is_empty() {
            return;
        }
        let mut places: Vec<Range<u32>> = self.from(0).collect();
        places.append(&mut self.loose);
        places.sort_unstable_by_key(|place| (place.start, place.end));
        places.dedup();
        *self = Self::default();
        let mut before = 0;
        for (at, place) in places.iter().enumerate() {
            if at % STEP == 0 {
                self.marks.push((before, u32::try_from(self.packed.len()).unwrap_or(u32::MAX)));
            }
            put(&mut self.packed, place.start - before);
            put(&mut self.packed, place.end.saturating_sub(place.start));
            before = place.start;
        }
        self.packed.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Returns the packed places that begin at a byte or behind it, in order.
    pub(super) fn from(&self, start: u32) -> impl Iterator<Item = Range<u32>> {
        let mark = self.marks.partition_point(|(before, _)| *before < start).saturating_sub(1);
        let (mut before, position) = self.marks.get(mark).copied().unwrap_or_default();
        let mut rest = &self.packed[position as usize..];
        let places = std::iter::from_fn(move || {
            before += take(&mut rest)?;
            Some(before..before + take(&mut rest)?)
        });
        places.skip_while(move |place| place.start < start)
    }
}

/// Adds a number, 7 bits in a byte, the lowest first; the highest bit says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes a number from the front; `None` at the end.
fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_kept_in_order_and_once(
            groups in prop::collection::vec(prop::collection::vec((0..3000_u32, 0..400_u32), 0..150), 1..4),
            far in prop::option::of(Just(u32::MAX - 1..u32::MAX)),
            start in 0..3500_u32,
        ) {
            let (mut all, mut expected) = (Scalars::default(), Vec::new());
            for group in groups {
                let mut scalars = Scalars::default();
                for (start, length) in group {
                    scalars.push(start..start + length);
                    expected.push(start..start + length);
                }
                // Some are packed before they are joined with others.
                if expected.len() % 2 == 0 {
                    scalars.pack();
                }
                all.append(scalars);
            }
            far.iter().for_each(|place| all.push(place.clone()));
            expected.extend(far);
            all.pack();
            all.pack();
            expected.sort_unstable_by_key(|place| (place.start, place.end));
            expected.dedup();
            prop_assert!(all.from(0).eq(expected.iter().cloned()));
            prop_assert!(all.from(start).eq(expected.into_iter().filter(|place| place.start >= start)));
        }
    }

    #[test]
    fn places_take_little_memory() {
        let mut scalars = Scalars::default();
        (0..10_000).for_each(|at| scalars.push(at * 30..at * 30 + 12));
        scalars.pack();
        assert_eq!((scalars.packed.len(), scalars.marks.len(), scalars.loose.capacity()), (20_000, 157, 0));
    }
}
