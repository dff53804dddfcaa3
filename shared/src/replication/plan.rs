//! Who copies what to where, and in which pieces.

use std::collections::BTreeMap;

use crate::{
    region::RegionName,
    units::ByteSize,
    upload::{Layout, Part, TooLarge},
};

use super::Origin;

/// The largest object that one `CopyObject` takes: 5 GB, counted in thousands to be on the safe side.
pub const COPY_MAX: ByteSize = ByteSize(5_000_000_000);

/// What is known of an object in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there, with the size and checksum of the source.
    Whole,
    /// It is not there, or not whole.
    Absent,
    /// The region gave no answer.
    Unreachable,
}

/// The regions that the object `here` shall be copied to, in the order of
/// `wanted` or, for a plain object, of `full`, the regions that hold data.
///
/// A wanted region that holds no data, such as one that was taken out of the
/// configuration, is left out.
pub fn destinations(origin: &Origin, here: RegionName, full: &[RegionName]) -> Vec<RegionName> {
    let among: &[RegionName] = match origin {
        Origin::Upload { wanted, .. } => wanted,
        Origin::Plain => full,
        Origin::Copy { .. } | Origin::System => &[],
    };
    among.iter().fold(Vec::new(), |mut chosen, region| {
        if *region != here && full.contains(region) && !chosen.contains(region) {
            chosen.push(*region);
        }
        chosen
    })
}

/// The region that pays what an upload owes: the first wanted one that holds a whole copy.
///
/// All regions that see the same pick the same, so that one pays. A region that
/// gives no answer, or that nobody asked, is passed over: two observers that see different things
/// may both pay, and the second copy of the same bytes does no harm.
pub fn payer(wanted: &[RegionName], presence: &BTreeMap<RegionName, Presence>) -> Option<RegionName> {
    wanted.iter().copied().find(|region| presence.get(region) == Some(&Presence::Whole))
}

/// The wanted regions that are not known to hold a whole copy.
pub fn owed(wanted: &[RegionName], presence: &BTreeMap<RegionName, Presence>) -> Vec<RegionName> {
    wanted.iter().copied().filter(|region| presence.get(region) != Some(&Presence::Whole)).collect()
}

/// How an object is copied from region to region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyPlan {
    /// One `CopyObject`.
    Whole,
    /// A multipart upload whose parts are ranges of the source (`UploadPartCopy`).
    Ranges(Layout),
}

impl CopyPlan {
    /// One request for up to [`COPY_MAX`], else ranges of about `part_target`.
    pub fn new(size: ByteSize, part_target: ByteSize) -> Result<Self, TooLarge> {
        if size <= COPY_MAX {
            return Ok(Self::Whole);
        }
        Layout::new(size, part_target.min(COPY_MAX)).map(Self::Ranges)
    }

    /// The parts that a successor still has to copy, given those that `ListParts` shows.
    ///
    /// A part whose length is not that of the layout is copied again: it is
    /// from another layout, and the parts would not fit together.
    pub fn missing(&self, done: &BTreeMap<u32, ByteSize>) -> Vec<Part> {
        match self {
            Self::Whole => Vec::new(),
            Self::Ranges(layout) => {
                layout.parts().filter(|part| done.get(&part.number) != Some(&part.length)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::OBJECT_MAX;
    use proptest::{collection::vec, prelude::*};

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn presence() -> impl Strategy<Value = Presence> {
        prop::sample::select(vec![Presence::Whole, Presence::Absent, Presence::Unreachable])
    }

    proptest! {
        /// Nothing is copied onto itself, twice, or to a region that holds no data; a plain
        /// object goes to all others, and copies and Sealane's own objects go nowhere.
        #[test]
        fn destinations_are_the_other_regions_that_hold_data(wanted in vec(0..6_usize, 0..6), here in 0..4_usize) {
            let full: Vec<_> = (0..4).map(region).collect();
            let here = region(here);
            let upload = Origin::Upload { id: "u".to_owned(), wanted: wanted.iter().copied().map(region).collect() };
            let chosen = destinations(&upload, here, &full);
            let mut distinct = chosen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), chosen.len());
            prop_assert!(chosen.iter().all(|r| *r != here && full.contains(r) && wanted.iter().any(|w| region(*w) == *r)));
            prop_assert_eq!(destinations(&Origin::Plain, here, &full).len(), full.len() - 1);
            let copy = Origin::Copy { region: region(0), version_id: "v".to_owned(), epoch: 1 };
            prop_assert!(destinations(&copy, here, &full).is_empty());
            prop_assert!(destinations(&Origin::System, here, &full).is_empty());
        }

        /// Who pays holds a whole copy; and whenever a wanted region holds one, somebody pays.
        #[test]
        fn exactly_one_holder_pays(seen in vec(presence(), 0..6)) {
            let wanted: Vec<_> = (0..seen.len()).map(region).collect();
            let presence: BTreeMap<_, _> = wanted.iter().copied().zip(seen.iter().copied()).collect();
            let holders: Vec<_> = wanted.iter().copied().filter(|r| presence[r] == Presence::Whole).collect();
            prop_assert_eq!(payer(&wanted, &presence), holders.first().copied());
            prop_assert_eq!(owed(&wanted, &presence).len() + holders.len(), wanted.len());
        }

        /// Losing sight of a region moves the duty only when that region had it.
        #[test]
        fn a_cut_moves_the_duty_only_away_from_the_cut(seen in vec(presence(), 1..6), cut in any::<prop::sample::Index>()) {
            let wanted: Vec<_> = (0..seen.len()).map(region).collect();
            let mut presence: BTreeMap<_, _> = wanted.iter().copied().zip(seen).collect();
            let before = payer(&wanted, &presence);
            let cut = wanted[cut.index(wanted.len())];
            presence.insert(cut, Presence::Unreachable);
            let after = payer(&wanted, &presence);
            prop_assert!(after != Some(cut));
            prop_assert!(before == after || before == Some(cut));
        }

        /// Whatever was done before, the missing parts and the matching ones are the whole object.
        #[test]
        fn a_successor_copies_just_what_is_missing(size in COPY_MAX.0 + 1..=OBJECT_MAX.0, target in 0..10_000_000_000_u64, done in vec((1..10_001_u32, any::<bool>()), 0..50)) {
            let plan = CopyPlan::new(ByteSize(size), ByteSize(target)).unwrap();
            let CopyPlan::Ranges(layout) = plan else { panic!("{size} bytes do not fit one request") };
            let done: BTreeMap<u32, ByteSize> = done.into_iter().filter_map(|(number, fits)| {
                let length = layout.part(number)?.length;
                Some((number, if fits { length } else { ByteSize(length.0 + 1) }))
            }).collect();
            let missing: u64 = plan.missing(&done).iter().map(|p| p.length.0).sum();
            let kept: u64 = done.iter().filter(|(n, l)| layout.part(**n).map(|p| p.length) == Some(**l)).map(|(_, l)| l.0).sum();
            prop_assert_eq!(missing + kept, size);
        }
    }

    #[test]
    fn one_request_copies_up_to_its_limit() {
        let plan = |size| CopyPlan::new(ByteSize(size), ByteSize::mib(256));
        assert_eq!(plan(0), Ok(CopyPlan::Whole));
        assert_eq!(plan(COPY_MAX.0), Ok(CopyPlan::Whole));
        assert!(matches!(plan(COPY_MAX.0 + 1), Ok(CopyPlan::Ranges(_))));
        assert!(plan(OBJECT_MAX.0 + 1).is_err());
    }

    #[test]
    fn an_unasked_region_does_not_pay() {
        assert_eq!(payer(&[region(1)], &BTreeMap::new()), None);
    }
}
