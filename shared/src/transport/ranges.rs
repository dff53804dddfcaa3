//! Which ranges of an object are here, from where, and what they sum to.

use std::ops::Range;

use crate::{
    checksum::{Checksum, combine},
    region::RegionName,
    units::ByteSize,
};

/// One range that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Received {
    region: RegionName,
    checksum: Checksum,
}

/// The ranges of one object.
#[derive(Debug)]
pub(super) struct Ranges {
    size: u64,
    range: u64,
    here: Vec<Option<Received>>,
    /// What was received before the whole was found to be wrong.
    doubted: Vec<Vec<Received>>,
}

impl Ranges {
    /// Of an object of `size` bytes, none of which is here; `range` bytes in each but the last.
    pub(super) fn new(size: ByteSize, range: ByteSize) -> Self {
        let range = range.0.max(1);
        let count = usize::try_from(size.0.div_ceil(range)).unwrap_or(usize::MAX);
        Self { size: size.0, range, here: vec![None; count], doubted: vec![Vec::new(); count] }
    }

    pub(super) const fn size(&self) -> ByteSize {
        ByteSize(self.size)
    }

    fn bytes(&self, number: usize) -> Range<u64> {
        let start = number as u64 * self.range;
        start..self.size.min(start + self.range)
    }

    /// Number and bytes of each range that is not here.
    pub(super) fn lacking(&self) -> Vec<(usize, Range<u64>)> {
        let lacking = self.here.iter().enumerate().filter(|(_, here)| here.is_none());
        lacking.map(|(number, _)| (number, self.bytes(number))).collect()
    }

    /// Takes in one range.
    pub(super) fn received(&mut self, number: usize, region: RegionName, checksum: Checksum) {
        if let Some(place) = self.here.get_mut(number) {
            *place = Some(Received { region, checksum });
        }
    }

    /// Bytes that are here from `region`.
    pub(super) fn of(&self, region: RegionName) -> ByteSize {
        let from = self.here.iter().enumerate().filter(|(_, here)| here.is_some_and(|h| h.region == region));
        ByteSize(from.map(|(number, _)| self.bytes(number)).map(|range| range.end - range.start).sum())
    }

    /// The checksum of everything that is here.
    pub(super) fn checksum(&self) -> Checksum {
        let here = self.here.iter().enumerate().filter_map(|(number, here)| Some((number, (*here)?)));
        here.fold(Checksum::EMPTY, |sum, (number, received)| {
            let range = self.bytes(number);
            combine(sum, received.checksum, range.end - range.start)
        })
    }

    /// The whole is wrong: nothing of it counts any more, and what each region gave is kept to
    /// find out who was wrong.
    pub(super) fn doubt(&mut self) {
        for (here, doubted) in self.here.iter_mut().zip(&mut self.doubted) {
            doubted.extend(here.take());
        }
    }

    /// The regions that gave other bytes than those that are here, which have to be proved
    /// whole, each with the first place where it did.
    pub(super) fn damaged(&self) -> Vec<(RegionName, String)> {
        let mut named: Vec<(RegionName, String)> = Vec::new();
        for (number, (here, doubted)) in self.here.iter().zip(&self.doubted).enumerate() {
            for wrong in doubted.iter().filter(|wrong| here.is_some_and(|h| h.checksum != wrong.checksum)) {
                if named.iter().all(|(region, _)| *region != wrong.region) {
                    let Range { start, end } = self.bytes(number);
                    named.push((wrong.region, format!("gave wrong bytes between {start} and {end}")));
                }
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    proptest! {
        /// In whatever order ranges come, they sum to the whole, and only what is here is not lacking.
        #[test]
        fn ranges_tile_the_object(bytes in vec(any::<u8>(), 0..200), range in 1..50_u64, from in vec(0..3_usize, 200)) {
            let mut ranges = Ranges::new(ByteSize(bytes.len() as u64), ByteSize(range));
            let mut lacking = ranges.lacking();
            lacking.reverse();
            for (place, (number, span)) in lacking.into_iter().enumerate() {
                prop_assert!(ranges.lacking().iter().any(|(n, _)| *n == number));
                let part = &bytes[usize::try_from(span.start).unwrap()..usize::try_from(span.end).unwrap()];
                ranges.received(number, region(from[place]), Checksum::of(part));
            }
            prop_assert!(ranges.lacking().is_empty());
            prop_assert_eq!(ranges.checksum(), Checksum::of(&bytes));
            let shares: u64 = (0..3).map(|i| ranges.of(region(i)).0).sum();
            prop_assert_eq!(shares, bytes.len() as u64);
        }
    }

    #[test]
    fn the_region_that_gave_wrong_bytes_is_named_and_the_other_is_cleared() {
        let mut ranges = Ranges::new(ByteSize(4), ByteSize(2));
        ranges.received(0, region(0), Checksum::of(b"ab"));
        ranges.received(1, region(1), Checksum::of(b"xx"));
        ranges.doubt();
        assert_eq!(ranges.lacking().len(), 2);
        ranges.received(0, region(2), Checksum::of(b"ab"));
        ranges.received(1, region(2), Checksum::of(b"cd"));
        assert_eq!(ranges.damaged(), [(region(1), "gave wrong bytes between 2 and 4".to_owned())]);
    }
}
