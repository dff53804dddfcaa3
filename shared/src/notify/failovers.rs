//! Which moves of the active region a target has not heard of.
//!
//! The record and the accounts of moves are their own outbox: epochs only rise, so how far a target
//! was told is two numbers.

use serde::{Deserialize, Serialize};

use super::notice::Notice;
use crate::failover::{Moved, Phase, Record};

/// Up to which epoch a target was told. Both only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The last epoch whose switch it was told of.
    pub switched: u64,
    /// The last epoch whose end it was told of.
    pub ended: u64,
}

impl Heard {
    /// Where a target begins that was never told anything: what happened before is not news.
    pub const fn first(record: &Record) -> Self {
        let is_open = matches!(record.phase, Phase::Verifying { .. });
        let ended = if is_open { record.epoch.saturating_sub(1) } else { record.epoch };
        Self { switched: record.epoch, ended }
    }

    /// Whether there may be something to tell; `false` spares reading the accounts.
    pub const fn is_behind(self, record: &Record) -> bool {
        self.switched < record.epoch || self.ended < record.epoch
    }
}

/// What a target that heard so much has yet to be told, and what it will have heard then.
///
/// `accounts` are those of finished moves, in any order. A move that the record no longer lists is
/// told of by its account alone.
pub fn untold(record: &Record, accounts: &[Moved], heard: Heard) -> (Vec<Notice>, Heard) {
    let mut ends: Vec<&Moved> = accounts.iter().filter(|moved| moved.epoch > heard.ended).collect();
    ends.sort_by_key(|moved| moved.epoch);
    let switches = record.moves.iter().filter(|moved| moved.epoch > heard.switched).map(|moved| {
        let current = (moved.epoch == record.epoch).then_some(&record.reason);
        let told = ends.iter().find(|end| end.epoch == moved.epoch).map(|end| &end.reason);
        Notice::of_switch(moved, current.or(told))
    });
    let mut notices: Vec<Notice> = switches.collect();
    notices.extend(ends.iter().map(|moved| Notice::of_end(moved)));
    notices.sort_by(|a, b| a.order.cmp(&b.order));
    let ended = ends.last().map_or(heard.ended, |moved| moved.epoch);
    (notices, Heard { switched: heard.switched.max(record.epoch), ended })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        failover::{MOVES_KEPT, PastMove, Reason, StartedBy},
        region::RegionName,
        time::Timestamp,
    };

    fn names() -> (RegionName, RegionName) {
        ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap())
    }

    fn record(epoch: u64) -> Record {
        let (from, to) = names();
        let past = |epoch| PastMove {
            epoch,
            at: Timestamp::default(),
            age: Duration::ZERO,
            from,
            to,
            automatic: true,
            failback: false,
        };
        let oldest = epoch.saturating_sub(MOVES_KEPT as u64).max(1) + 1;
        let moves = (oldest..=epoch).map(past).collect();
        Record { epoch, moves, ..Record::first(to, Timestamp::default()) }
    }

    fn account(epoch: u64) -> Moved {
        let (from, to) = names();
        Moved {
            epoch,
            from,
            to,
            reason: Reason::Failback { region: to },
            started_by: StartedBy::Automation,
            lag_ms: None,
            loss_max_ms: None,
            saw: Vec::new(),
            steps: Vec::new(),
            verified: true,
            ended: Timestamp::default(),
            chain: None,
        }
    }

    proptest! {
        /// However often and late somebody looks, and whenever the account of a move comes, each switch
        /// since the first look is told once, by itself or by its account, each end once, and in order.
        #[test]
        fn every_move_is_told_once_and_in_order(looks in prop::collection::vec((0..6_u64, any::<bool>()), 1..12)) {
            let mut epoch = 3;
            let mut heard = Heard::first(&record(epoch));
            let mut ids = Vec::new();
            for (more, is_open) in looks {
                epoch += more;
                let ended = if is_open { epoch - 1 } else { epoch };
                let accounts: Vec<_> = (2..=ended).rev().map(account).collect();
                let (notices, next) = untold(&record(epoch), &accounts, heard);
                prop_assert!(next.switched >= heard.switched && next.ended >= heard.ended);
                prop_assert!(heard.is_behind(&record(epoch)) || notices.is_empty());
                ids.extend(notices.into_iter().map(|notice| notice.id));
                heard = next;
            }
            let (last, _) = untold(&record(epoch), &[account(epoch)], heard);
            ids.extend(last.into_iter().map(|notice| notice.id));
            for told in 4..=epoch {
                let count = |word| ids.iter().filter(|id| **id == format!("failover:{told}:{word}")).count();
                prop_assert_eq!((count("switched"), count("ended")), (1, 1), "epoch {} in {:?}", told, ids);
            }
            prop_assert_eq!(ids.len() as u64, 2 * (epoch - 3));
        }
    }

    #[test]
    fn what_happened_before_anybody_listened_is_not_told() {
        let heard = Heard::first(&record(9));
        assert_eq!(untold(&record(9), &[account(9), account(8)], heard), (vec![], heard));
        let (from, _) = names();
        let open = Record { phase: Phase::Verifying { from }, ..record(9) };
        let (notices, _) = untold(&record(9), &[account(9)], Heard::first(&open));
        assert_eq!(notices.len(), 1, "a move that was under way is told to have ended");
    }
}
