//! The proof that a copy is whole.
//!
//! A server-side copy may carry the source's checksum along, so equal checksums alone are no full
//! proof: of every copy that is found, and of a share of those that are made, some bytes of both are
//! read and compared as well. An archived copy cannot be read: its store's checksum is all there is.

use std::ops::Range;

use sealane::{
    checksum::{Checksum, Crc64},
    ports::{Clock, Objects, Rows, Stored},
    units::ByteSize,
    upload::{Reason, StorageClass},
};

use crate::{
    job::Job,
    trouble::{Side, Trouble},
};

/// Bytes read at each of the sampled places.
const SAMPLE: u64 = 64 << 10;
/// Bytes read at once where a whole object has to be read.
const CHUNK: u64 = 8 << 20;

/// Whether what is kept in this class has to be restored before it is read.
fn is_archive(class: &str) -> bool {
    class.parse::<StorageClass>().is_ok_and(|class| !class.reads_at_once())
}

/// The places where source and copy are compared byte by byte: the beginning, the middle and the end.
pub(crate) fn samples(size: u64) -> Vec<Range<u64>> {
    let starts = [0, (size / 2).saturating_sub(SAMPLE / 2), size.saturating_sub(SAMPLE)];
    let mut ranges: Vec<_> = starts.into_iter().map(|start| start..size.min(start + SAMPLE)).collect();
    ranges.dedup();
    ranges.retain(|range| !range.is_empty());
    ranges
}

impl<O: Objects, R: Rows, C: Clock> Job<'_, O, R, C> {
    /// Proves a copy that was made just now; answers with its version.
    ///
    /// A store that computes the checksum of what it writes has said with its answer what it holds,
    /// and it was written on top of nothing unknown. A share of these copies is read back all the same.
    pub(crate) async fn prove_copy(&mut self, stored: &Stored) -> Result<Option<String>, Trouble> {
        let (expected, found) = (self.row().source.checksum, stored.checksum);
        if let (Some(expected), Some(found)) = (expected, found)
            && !self.is_sampled()
        {
            let differs = Trouble::Failure(Reason::ChecksumDiffers { expected, found });
            return if expected == found { Ok(stored.version_id.clone()) } else { Err(differs) };
        }
        self.prove(stored.version_id.as_deref()).await
    }

    /// Whether this row is among those whose bytes are read and compared: its name decides.
    fn is_sampled(&self) -> bool {
        let row = self.row();
        let name = format!("{} {}", row.object, row.destination);
        Checksum::of(name.as_bytes()).as_u64().is_multiple_of(self.deps.policy.sampled_of.max(1))
    }

    /// Proves that what the key holds at the destination, or `version` of it if that is given, is a whole
    /// copy; answers with its version.
    pub(crate) async fn prove(&mut self, version: Option<&str>) -> Result<Option<String>, Trouble> {
        self.keep().await?;
        let source = self.source();
        let head = self.at_destination(self.destination.head(&source.key, version).await)?;
        let head = head.ok_or_else(|| Trouble::unverified("the copy is not there"))?;
        let found = ByteSize(head.size_bytes);
        if found != source.size {
            return Err(Trouble::Failure(Reason::SizeDiffers { expected: source.size, found }));
        }
        let expected = match source.checksum {
            Some(sum) => sum,
            None => self.sum(Side::Source, source.version_id.as_deref()).await?,
        };
        let archived = head.attributes.storage_class.as_deref().is_some_and(is_archive);
        let found = match head.checksum {
            Some(sum) => sum,
            None if archived => {
                return Err(Trouble::unverified(
                    "its store reports no checksum, and an archived copy is not read back",
                ));
            }
            None => self.sum(Side::Destination, head.version_id.as_deref()).await?,
        };
        if expected != found {
            return Err(Trouble::Failure(Reason::ChecksumDiffers { expected, found }));
        }
        if !archived {
            self.sample(head.version_id.as_deref()).await?;
        }
        Ok(head.version_id)
    }

    /// Compares some bytes of the source with those of version `copy`.
    async fn sample(&mut self, copy: Option<&str>) -> Result<(), Trouble> {
        let source = self.source();
        for range in samples(source.size.0) {
            // Each call may take as long as half a lease.
            self.keep().await?;
            let ours = self.own.read(&source.key, source.version_id.as_deref(), range.clone()).await;
            self.keep().await?;
            let theirs = self.destination.read(&source.key, copy, range.clone()).await;
            if self.at_source(ours)? != self.at_destination(theirs)? {
                let detail = format!("its bytes {} to {} differ", range.start, range.end);
                return Err(Trouble::unverified(detail));
            }
        }
        Ok(())
    }

    /// The checksum of one side's object where its store keeps none, by reading all of it.
    async fn sum(&mut self, side: Side, version: Option<&str>) -> Result<Checksum, Trouble> {
        let source = self.source();
        let mut sum = Crc64::new();
        while sum.len() < source.size.0 {
            self.keep().await?;
            let range = sum.len()..source.size.0.min(sum.len() + CHUNK);
            let bytes = match side {
                Side::Source => self.at_source(self.own.read(&source.key, version, range).await)?,
                Side::Destination => {
                    self.at_destination(self.destination.read(&source.key, version, range).await)?
                }
            };
            if bytes.is_empty() {
                return Err(Trouble::unverified("it ended before its size while it was read"));
            }
            sum.update(&bytes);
        }
        Ok(sum.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Samples lie within the object, are small, and hold its first and last byte.
        #[test]
        fn samples_hold_both_ends(size in prop_oneof![0..300_000_u64, 0..u64::MAX / 2]) {
            let ranges = samples(size);
            prop_assert!(ranges.iter().all(|r| r.end <= size && r.end - r.start <= SAMPLE && !r.is_empty()));
            prop_assert_eq!(ranges.is_empty(), size == 0);
            if size > 0 {
                prop_assert_eq!(ranges[0].start, 0);
                prop_assert_eq!(ranges.last().map(|r| r.end), Some(size));
            }
            if size <= SAMPLE {
                prop_assert!(ranges.len() <= 1);
            }
        }
    }
}
