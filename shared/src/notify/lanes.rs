//! The order in which one target is told.

use std::collections::BTreeMap;

use super::queued::Queued;

/// What is told now, lane by lane: a lane holds the notices of one line, oldest first, up to the first
/// that is not due. Whoever tells a lane stops at the first that fails; other lanes go on.
///
/// `is_due` says whether a notice is told now; what is not waiting any more must not be among `rows`.
pub fn lanes<T>(rows: Vec<T>, of: impl Fn(&T) -> &Queued, is_due: impl Fn(&Queued) -> bool) -> Vec<Vec<T>> {
    let mut lines: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for row in rows {
        lines.entry(of(&row).notice.line.clone()).or_default().push(row);
    }
    let lane = |mut rows: Vec<T>| {
        rows.sort_by(|a, b| of(a).notice.order.cmp(&of(b).notice.order));
        let due = rows.iter().take_while(|row| is_due(of(row))).count();
        rows.truncate(due);
        rows
    };
    // Who has waited longest is told first, so that what does not fit into a run comes in the next.
    let mut lanes: Vec<Vec<T>> = lines.into_values().map(lane).filter(|lane| !lane.is_empty()).collect();
    lanes.sort_by_key(|lane| lane.first().map(|row| of(row).queued_at));
    lanes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{notify::queued::tests::queued, time::Timestamp};

    proptest! {
        /// However notices come in, a line is told in its order, nothing is told before what it waits
        /// for, and no line waits for another.
        #[test]
        fn a_line_keeps_its_order_and_holds_back_no_other(
            rows in prop::collection::vec((0..4_u8, 0..9_u64, 0..20_u64), 0..30), now in 0..20_u64,
        ) {
            let now = Timestamp::from_millis(now);
            let all: Vec<Queued> =
                rows.iter().map(|(line, order, at)| queued(&format!("line-{line}"), *order, *at)).collect();
            let told = lanes(all.clone(), |row| row, |row| row.is_due(now));
            for line in (0..4).map(|line| format!("line-{line}")) {
                let own: Vec<&Queued> = all.iter().filter(|row| row.notice.line == line).collect();
                let lane: Vec<&Queued> = told.iter().flatten().filter(|row| row.notice.line == line).collect();
                prop_assert!(lane.is_sorted_by_key(|row| &row.notice.order));
                prop_assert!(lane.iter().all(|row| row.is_due(now)));
                let first = own.iter().map(|row| &row.notice.order).min();
                let is_first_due = own.iter().any(|row| Some(&row.notice.order) == first && row.is_due(now));
                prop_assert!(is_first_due || lane.is_empty());
                // Nothing that waits stands before anything that is told.
                let waits = own.iter().filter(|row| !row.is_due(now)).map(|row| &row.notice.order).min();
                prop_assert!(waits.is_none_or(|waits| lane.iter().all(|row| row.notice.order <= *waits)));
                if own.iter().all(|row| row.is_due(now)) {
                    prop_assert_eq!(lane.len(), own.len());
                }
            }
        }
    }
}
