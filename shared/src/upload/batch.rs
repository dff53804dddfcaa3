//! The receipts of many objects that were shipped together.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Outcome, Receipt};
use crate::units::ByteSize;

/// What came of many uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The id of the batch, which the id of each upload begins with.
    pub batch_id: String,
    /// The least of the outcomes: one object that failed is a batch that failed.
    pub outcome: Outcome,
    /// Objects that were to be shipped.
    pub files: u64,
    /// Bytes in them.
    pub size: ByteSize,
    /// Objects without a receipt, and why: nothing of them is verified anywhere.
    pub unshipped: Vec<Unshipped>,
    /// The receipt of each object, in the order of the names.
    pub receipts: Vec<Receipt>,
}

/// An object that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unshipped {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl Batch {
    /// Sums up the receipts and what came to nothing.
    pub fn of(batch_id: String, receipts: Vec<Receipt>, unshipped: Vec<Unshipped>) -> Self {
        let worst = |a: Outcome, b: Outcome| if rank(b) > rank(a) { b } else { a };
        let least = if unshipped.is_empty() { Outcome::Complete } else { Outcome::Failed };
        let outcome = receipts.iter().map(|receipt| receipt.outcome).fold(least, worst);
        let files = (receipts.len() + unshipped.len()) as u64;
        let size = ByteSize(receipts.iter().map(|receipt| receipt.size.0).sum());
        Self { batch_id, outcome, files, size, unshipped, receipts }
    }
}

/// How bad an outcome is.
const fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::Degraded => 1,
        Outcome::Unknown => 2,
        Outcome::Failed => 3,
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self.receipts.iter().filter(|receipt| receipt.outcome == Outcome::Complete).count();
        let Self { batch_id, outcome, files, size, .. } = self;
        writeln!(
            f,
            "batch {batch_id} is {outcome}: {complete} of {files} objects ({size}) have all their copies"
        )?;
        for receipt in self.receipts.iter().filter(|receipt| receipt.outcome != Outcome::Complete) {
            write!(f, "{receipt}")?;
        }
        self.unshipped.iter().try_for_each(|one| writeln!(f, "`{}`: {}", one.key, one.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checksum::Checksum,
        upload::{Plan, Policy, Shipment},
    };
    use proptest::{collection::vec, prelude::*};

    fn receipt(outcome: Outcome) -> Receipt {
        let region = ["us-west-2".parse().unwrap()];
        let plan = Plan::new(&Policy::default(), &region, &region).unwrap();
        let (size, checksum, key) = (ByteSize(3), Checksum::EMPTY, "a".parse().unwrap());
        let shipment = Shipment { upload_id: "b-1".to_owned(), key, size, checksum, files: 1 };
        Receipt { outcome, ..Receipt::judge(&shipment, &plan, &[]) }
    }

    proptest! {
        /// A batch is never better than the worst of its objects.
        #[test]
        fn the_worst_object_decides(picks in vec(0..4_usize, 0..6), lost in 0..2_usize) {
            let all = [Outcome::Complete, Outcome::Degraded, Outcome::Unknown, Outcome::Failed];
            let receipts: Vec<_> = picks.iter().map(|i| receipt(all[*i])).collect();
            let unshipped = vec![Unshipped { key: "k".to_owned(), reason: "gone".to_owned() }; lost];
            let batch = Batch::of("b".to_owned(), receipts, unshipped);
            let worst = if lost > 0 { 3 } else { picks.iter().copied().max().unwrap_or(0) };
            prop_assert_eq!(batch.outcome, all[worst]);
            prop_assert_eq!(batch.files, (picks.len() + lost) as u64);
            let text = serde_json::to_string(&batch).unwrap();
            prop_assert_eq!(serde_json::from_str::<Batch>(&text).unwrap(), batch);
        }
    }
}
