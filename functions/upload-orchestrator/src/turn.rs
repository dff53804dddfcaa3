//! Whose turn it is among the rows of one key and destination: they are paid in the order of their source.
//!
//! Rule: a row is paid once that of the version below it is settled. If that one fails for a reason of its
//! own again and again, it is overtaken in the end: an older version that cannot be copied must not keep
//! back the newest one for ever, and what was overtaken is seen in the ledger.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use sealane::{
    ports::{Clock, Objects, Rows},
    replication::Phase,
    upload::Reason,
};

use crate::{Deps, Policy, pay::Debt};

/// How often a row looks whether the copy below it, at which a worker is right now, is done.
const LOOKS: usize = 4;
/// The wait between two such looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a row may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may be paid.
    Now,
    /// It may be found there and not be copied: the version below is not there.
    ToBeFound,
    /// It has to wait for the version below.
    Wait,
}

/// The rows of each key in the order in which they are to be paid, the keys in the order of `debts`.
/// Of a row that comes twice the first is kept.
pub(crate) fn lines(debts: Vec<Debt>) -> VecDeque<VecDeque<Debt>> {
    let mut keys: Vec<Vec<Debt>> = Vec::new();
    let mut places = BTreeMap::new();
    for debt in debts {
        let place = *places.entry(debt.row.value.source.key.clone()).or_insert(keys.len());
        if place == keys.len() {
            keys.push(Vec::new());
        }
        let Some(line) = keys.get_mut(place) else { continue };
        if line.iter().all(|other| other.row.value.object != debt.row.value.object) {
            line.push(debt);
        }
    }
    keys.into_iter().map(in_order).collect()
}

/// Each after the one below it, if that is among them.
fn in_order(mut line: Vec<Debt>) -> VecDeque<Debt> {
    let mut ordered = VecDeque::with_capacity(line.len());
    while !line.is_empty() {
        let waits = |debt: &Debt| {
            let before = debt.row.value.after.as_ref();
            before.is_some_and(|before| line.iter().any(|other| other.row.value.object == *before))
        };
        // Rows that wait for one another in a ring cannot come up; the first goes first then.
        let next = line.iter().position(|debt| !waits(debt)).unwrap_or_default();
        ordered.push_back(line.remove(next));
    }
    ordered
}

/// What `debt` may do now.
pub(crate) async fn turn<O: Objects, R: Rows, C: Clock>(deps: &Deps<O, R, C>, debt: &Debt) -> Turn {
    let row = &debt.row.value;
    // A row that names itself would wait for ever.
    let before = row.after.as_ref().filter(|before| **before != row.object);
    let (Some(before), false) = (before, debt.ready) else { return Turn::Now };
    for _ in 0..LOOKS {
        let held = match deps.ledger.get(before, row.destination).await {
            Ok(held) => held,
            Err(_) => return Turn::Wait,
        };
        let now = deps.clock.now();
        match held.map(|held| held.value.phase) {
            Some(Phase::Copying(claim)) if claim.expires > now => (deps.pause)(LOOK_EVERY).await,
            below => return may(below.as_ref(), now.since(row.since), &deps.policy),
        }
    }
    Turn::Wait
}

/// What a row that has waited for so long may do while the row below it is in this phase.
fn may(below: Option<&Phase>, waited: Duration, policy: &Policy) -> Turn {
    match below {
        Some(Phase::Verified { .. } | Phase::Void { .. }) => Turn::Now,
        Some(Phase::Failed { reason, .. }) if !is_of_the_region(reason) => {
            if waited >= policy.patience {
                Turn::Now
            } else {
                Turn::ToBeFound
            }
        }
        Some(Phase::Pending | Phase::Copying(_) | Phase::Failed { .. }) => Turn::Wait,
        // Another region wrote it down and this replica of the ledger does not show it yet; or nobody did.
        None if waited >= policy.step_in_after => Turn::Now,
        None => Turn::Wait,
    }
}

/// Whether a try failed for what is wrong with a region, and not with this one copy.
fn is_of_the_region(reason: &Reason) -> bool {
    match reason {
        Reason::Unreachable { .. }
        | Reason::TimedOut { .. }
        | Reason::Busy { .. }
        | Reason::RetriesSpent { .. }
        | Reason::FellBehind { .. }
        | Reason::AtCapacity { .. }
        | Reason::Closed { .. }
        | Reason::NotRouted
        | Reason::Stopped => true,
        Reason::Refused { .. }
        | Reason::SizeDiffers { .. }
        | Reason::ChecksumDiffers { .. }
        | Reason::Unverified { .. }
        | Reason::Unfit { .. }
        | Reason::SourceChanged { .. }
        | Reason::Overtaken { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::subsequence};
    use sealane::{
        replication::{Claim, Entry, ObjectId, Source},
        store::Versioned,
        time::Timestamp,
        units::ByteSize,
    };

    fn debt(key: &str, number: usize, after: Option<usize>) -> Debt {
        let region = "us-west-2".parse().unwrap();
        let source = Source {
            region,
            bucket: "b".to_owned(),
            key: key.to_owned(),
            version_id: None,
            etag: String::new(),
            size: ByteSize(1),
            checksum: None,
        };
        let object = |number: usize| ObjectId::of_upload(&format!("{key}-{number}"));
        let entry = Entry::owed(object(number), region, source, Timestamp::from_millis(1));
        let value = entry.following(after.map(object));
        Debt { row: Versioned { value, version: 1 }, seen: None, ready: false }
    }

    proptest! {
        /// However the rows come, those of a key come out in the order of its versions, each once.
        #[test]
        fn rows_of_a_key_are_paid_in_the_order_of_its_versions(
            versions in subsequence((0..8_usize).collect::<Vec<_>>(), 0..=8).prop_shuffle(),
            again in 0..8_usize,
        ) {
            let row = |number: &usize| debt("k", *number, number.checked_sub(1));
            let mut debts: Vec<_> = versions.iter().map(row).collect();
            debts.extend(versions.get(again).map(row));
            debts.push(debt("other", 0, None));
            let lines = lines(debts);
            let of_key = lines.iter().find(|line| line[0].row.value.source.key == "k");
            let paid: Vec<_> = of_key.into_iter().flatten().map(|debt| debt.row.value.object.clone()).collect();
            let place = |n: usize| paid.iter().position(|object| *object == ObjectId::of_upload(&format!("k-{n}")));
            prop_assert_eq!(paid.len(), versions.len());
            for n in versions.iter().filter(|n| versions.contains(&(**n + 1))) {
                prop_assert!(place(*n) < place(n + 1));
            }
        }
    }

    #[test]
    fn a_version_waits_for_the_one_below_unless_that_fails_for_reasons_of_its_own() {
        let (policy, now) = (Policy::default(), Timestamp::from_millis(1));
        let failed = |reason| Some(Phase::Failed { reason, next_try: now });
        let detail = || "why".to_owned();
        let claim = Claim { owner: "w".to_owned(), expires: now };
        let (short, long) = (Duration::from_secs(60), policy.patience);
        for (below, soon, late) in [
            (Some(Phase::Verified { version_id: None }), Turn::Now, Turn::Now),
            (Some(Phase::Void { reason: Reason::SourceChanged { detail: detail() } }), Turn::Now, Turn::Now),
            (Some(Phase::Pending), Turn::Wait, Turn::Wait),
            (Some(Phase::Copying(claim)), Turn::Wait, Turn::Wait),
            (failed(Reason::Unreachable { detail: detail() }), Turn::Wait, Turn::Wait),
            (failed(Reason::Busy { detail: detail() }), Turn::Wait, Turn::Wait),
            (failed(Reason::Refused { detail: detail() }), Turn::ToBeFound, Turn::Now),
            (None, Turn::Wait, Turn::Now),
        ] {
            assert_eq!(
                (may(below.as_ref(), short, &policy), may(below.as_ref(), long, &policy)),
                (soon, late),
                "{below:?}"
            );
        }
    }
}
