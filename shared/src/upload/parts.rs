//! Into which pieces an object is cut, within the limits of S3, and how long one may take.

use std::time::Duration;

use crate::units::ByteSize;

/// The most parts a multipart upload may have.
pub const PARTS_MAX: u64 = 10_000;
/// The smallest part that is not the last one.
pub const PART_MIN: ByteSize = ByteSize::mib(5);
/// The largest part.
pub const PART_MAX: ByteSize = ByteSize::gib(5);
/// The largest object: [`PARTS_MAX`] parts of [`PART_MAX`], 48.8 TiB.
pub const OBJECT_MAX: ByteSize = ByteSize(PARTS_MAX * PART_MAX.0);

/// Bytes that the time for a part is meant for; a larger part is given more.
const USUAL: ByteSize = ByteSize::mib(8);
/// Bytes a second at which what is beyond that has to move, at least.
const RATE_MIN: u64 = 256 << 10;

/// The longest wait for `size` bytes to be taken, where `base` is that for 8 MiB or less: four
/// seconds more for each MiB beyond.
///
/// ```
/// use std::time::Duration;
/// use sealane::{units::ByteSize, upload::wait_max};
///
/// let base = Duration::from_secs(30);
/// assert_eq!(wait_max(base, ByteSize::mib(8)), base);
/// assert_eq!(wait_max(base, ByteSize::mib(108)), Duration::from_secs(430));
/// ```
pub const fn wait_max(base: Duration, size: ByteSize) -> Duration {
    let beyond_ms = size.0.saturating_sub(USUAL.0).saturating_mul(1_000) / RATE_MIN;
    base.saturating_add(Duration::from_millis(beyond_ms))
}

/// The smallest part size, no less than `target` (itself held between
/// [`PART_MIN`] and [`PART_MAX`]), that fits `object` into [`PARTS_MAX`] parts.
///
/// ```
/// use sealane::{units::ByteSize, upload::part_size};
///
/// let target = ByteSize::mib(8);
/// assert_eq!(part_size(ByteSize::mib(100), target), target);
/// // 1 TiB in 8 MiB parts would need 131 072 of them.
/// assert!(part_size(ByteSize::mib(1 << 20), target) > target);
/// ```
pub fn part_size(object: ByteSize, target: ByteSize) -> ByteSize {
    ByteSize(object.0.div_ceil(PARTS_MAX)).max(target.min(PART_MAX)).max(PART_MIN)
}

/// One piece of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1 to [`PARTS_MAX`].
    pub number: u32,
    /// Bytes of the object before it.
    pub offset: u64,
    /// Its own bytes; zero only for the one part of an empty object.
    pub length: ByteSize,
}

impl Part {
    /// The part as an HTTP range, both ends included; `None` when it is empty.
    pub fn range(&self) -> Option<String> {
        let last = self.length.0.checked_sub(1)?;
        Some(format!("bytes={}-{}", self.offset, self.offset.saturating_add(last)))
    }
}

/// The object is larger than S3 keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object of `{0}` is over the limit of `{OBJECT_MAX}` (ship it as several objects)")]
pub struct TooLarge(pub ByteSize);

/// How one object is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    size: ByteSize,
    part_size: ByteSize,
}

impl Layout {
    /// Cuts an object of `size` bytes into parts of about `target` bytes.
    pub fn new(size: ByteSize, target: ByteSize) -> Result<Self, TooLarge> {
        if size > OBJECT_MAX {
            return Err(TooLarge(size));
        }
        Ok(Self { size, part_size: part_size(size, target) })
    }

    /// The size of the object.
    pub const fn size(&self) -> ByteSize {
        self.size
    }

    /// The size of each part but the last.
    pub const fn part_size(&self) -> ByteSize {
        self.part_size
    }

    /// Whether one PUT carries the object: a multipart upload would add two requests for nothing.
    pub fn is_single(&self) -> bool {
        self.size <= self.part_size
    }

    /// How many parts there are; at least 1.
    pub fn part_count(&self) -> u32 {
        let count = self.size.0.div_ceil(self.part_size.0).max(1);
        // `new` keeps the count within PARTS_MAX.
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The part of this number, counted from 1.
    pub fn part(&self, number: u32) -> Option<Part> {
        if number == 0 || number > self.part_count() {
            return None;
        }
        let offset = u64::from(number - 1) * self.part_size.0;
        let length = ByteSize((self.size.0 - offset).min(self.part_size.0));
        Some(Part { number, offset, length })
    }

    /// The parts in order.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        (1..=self.part_count()).filter_map(move |number| self.part(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object() -> impl Strategy<Value = u64> {
        prop_oneof![0..100_000_000_u64, 0..=OBJECT_MAX.0, OBJECT_MAX.0 - 1_000..=OBJECT_MAX.0]
    }

    proptest! {
        /// The parts lie end to end, cover the object, and keep every limit of S3.
        #[test]
        fn parts_tile_the_object_within_the_limits(size in object(), target in 0..20_000_000_000_u64) {
            let layout = Layout::new(ByteSize(size), ByteSize(target)).unwrap();
            let parts: Vec<Part> = layout.parts().collect();
            let (last, full) = parts.split_last().unwrap();
            prop_assert!(parts.len() as u64 <= PARTS_MAX);
            prop_assert_eq!(parts.len(), layout.part_count() as usize);
            let mut offset = 0;
            for (i, part) in parts.iter().enumerate() {
                prop_assert_eq!((part.number as usize, part.offset), (i + 1, offset));
                offset += part.length.0;
            }
            prop_assert_eq!(offset, size);
            prop_assert!(full.iter().all(|p| p.length >= PART_MIN && p.length <= PART_MAX));
            prop_assert!(last.length <= PART_MAX);
            prop_assert!(size == 0 || last.length.0 > 0);
        }

        /// One PUT exactly when there is one part.
        #[test]
        fn one_part_is_one_put(size in object(), target in 0..PART_MAX.0) {
            let layout = Layout::new(ByteSize(size), ByteSize(target)).unwrap();
            prop_assert_eq!(layout.is_single(), layout.part_count() == 1);
        }

        /// Parts grow beyond the target only when there would be too many of them.
        #[test]
        fn the_target_is_kept_while_it_fits(size in object(), target in PART_MIN.0..PART_MAX.0) {
            let chosen = part_size(ByteSize(size), ByteSize(target)).0;
            prop_assert!(chosen >= target);
            prop_assert!(chosen == target || size.div_ceil(target) > PARTS_MAX);
        }
    }

    #[test]
    fn what_s3_cannot_hold_is_refused_by_size() {
        let error = Layout::new(ByteSize(OBJECT_MAX.0 + 1), PART_MIN).unwrap_err();
        assert!(error.to_string().contains("48.8 TiB"), "{error}");
    }

    #[test]
    fn ranges_include_both_ends() {
        let part = Part { number: 2, offset: 100, length: ByteSize(50) };
        assert_eq!(part.range().as_deref(), Some("bytes=100-149"));
        assert_eq!(Part { length: ByteSize(0), ..part }.range(), None);
    }
}
