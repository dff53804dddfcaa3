//! The keys of worksets in their tables.
//!
//! `#` parts the fields; no name may hold one, so no key of one tenant can
//! ever read as a key of another.

use super::{
    call::CallKey,
    class::Priority,
    event::Place,
    name::{Tenant, WorksetId},
    state::State,
};
use crate::{notify::TargetName, time::Timestamp, upload::ticket::TicketId};

/// Sort key of the row that is the workset itself.
pub const META: &str = "meta";

/// What the sort keys of all events begin with.
pub const EVENT_PREFIX: &str = "event#";

/// The latest time that a sort key holds in its 13 digits: November 2286.
const CREATED_MS_MAX: u64 = 9_999_999_999_999;

/// Partition key of a workset's row and events: `<tenant>#<id>`.
pub fn item(tenant: &Tenant, id: &WorksetId) -> String {
    format!("{tenant}#{id}")
}

/// Sort key of one event: `event#<version>#<region>#<mark>`, the version in twenty
/// digits, so that text order is version order.
///
/// The region keeps both events when two regions write the same version while
/// the replicas are apart: the row itself has one winner, the history has both.
/// The mark keeps both when one region writes a version twice, the first of which
/// replication has undone in between.
pub fn event(place: Place) -> String {
    let Place { version, region, mark } = place;
    format!("{EVENT_PREFIX}{version:020}#{region}#{mark:08x}")
}

/// Partition key of the locks of a tenant; their sort key is the workset's id.
pub fn locks(tenant: &Tenant) -> String {
    format!("lock#{tenant}")
}

/// Partition key of a call that may be sent again: `~call#<tenant>#<operation>#<key>`. No
/// tenant's name begins with `~`, and of the three parts only the last may hold a `#`.
pub fn call(tenant: &Tenant, operation: &str, key: &CallKey) -> String {
    let operation = operation.replace('#', "_");
    format!("~call#{tenant}#{operation}#{key}")
}

/// Sort key of a call.
pub const CALL: &str = "call";

/// Partition key of an upload that goes through the API: `~upload#<tenant>#<id>`.
pub fn upload(tenant: &Tenant, id: &TicketId) -> String {
    format!("~upload#{tenant}#{id}")
}

/// Sort key of an upload.
pub const UPLOAD: &str = "upload";

/// Index partition of the events that somebody has yet to be told of.
pub const UNTOLD: &str = "~outbox";

/// Index partition of the calls that may have written a workset and whose end nobody has seen.
pub const UNFINISHED: &str = "~outbox#calls";

/// Sort key in those partitions: `<ms>#<partition>#<sort>`, so that text order is the order of age.
pub fn aged(at: Timestamp, partition: &str, sort: &str) -> String {
    format!("{}#{partition}#{sort}", age(at))
}

/// The part of [`aged`] that says when.
pub fn age(at: Timestamp) -> String {
    format!("{:013}", at.as_millis().min(CREATED_MS_MAX))
}

/// The workset whose row and events lie in `partition`, if [`item`] made it.
pub fn parse_item(partition: &str) -> Option<(Tenant, WorksetId)> {
    let (tenant, id) = partition.split_once('#')?;
    Some((tenant.parse().ok()?, id.parse().ok()?))
}

/// Whose call lies in `partition`, if [`call`] made it.
pub fn parse_caller(partition: &str) -> Option<Tenant> {
    let (tenant, _) = partition.strip_prefix("~call#")?.split_once('#')?;
    tenant.parse().ok()
}

/// Partition key of what a target is told of one line: `~notify#<target>#<line>`. No name of a target
/// holds a `#`.
pub fn notices(target: &TargetName, line: &str) -> String {
    format!("~notify#{target}#{line}")
}

/// Partition key of the row that says how far a target was told of failovers.
pub fn heard(target: &TargetName) -> String {
    format!("~notify#{target}")
}

/// What the sort keys of one priority begin with, and the text behind the last of them.
pub fn span(priority: Priority) -> (String, String) {
    (format!("{}#", priority.rank()), format!("{}#~", priority.rank()))
}

/// Partition key of the queue that holds a tenant's worksets in `state`.
pub fn queue(tenant: &Tenant, state: State) -> String {
    format!("{tenant}#{state}")
}

/// Sort key within a queue: `<priority rank>#<created ms>#<id>`.
///
/// Text order is the order of priority, then age, then id.
///
/// ```
/// use sealane::{time::Timestamp, workset::{Priority, keys}};
///
/// let id = "ws-001".parse().unwrap();
/// let key = keys::place(Priority::Urgent, Timestamp::from_millis(1_700_000_000_000), &id);
/// assert_eq!(key, "0#1700000000000#ws-001");
/// ```
pub fn place(priority: Priority, created_at: Timestamp, id: &WorksetId) -> String {
    let created_ms = created_at.as_millis().min(CREATED_MS_MAX);
    format!("{}#{created_ms:013}#{id}", priority.rank())
}

/// The parts of a key that [`place`] made; `None` for any other text.
pub(super) fn parse_place(text: &str) -> Option<(Priority, Timestamp, WorksetId)> {
    let mut parts = text.splitn(3, '#');
    let rank = parts.next()?;
    let created_ms = parts.next().filter(|digits| digits.len() == 13)?;
    let id = parts.next()?.parse().ok()?;
    let priority = Priority::ALL.into_iter().find(|p| p.rank().to_string() == rank)?;
    let digits = created_ms.bytes().all(|b| b.is_ascii_digit());
    let created_at = Timestamp::from_millis(created_ms.parse().ok().filter(|_| digits)?);
    Some((priority, created_at, id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::region::RegionName;

    prop_compose! {
        fn waiting()(
            priority in prop::sample::select(&Priority::ALL[..]),
            created_ms in prop_oneof![0..3_u64, 0..=CREATED_MS_MAX],
            id in "[a-b0-1][a-b0-1_-]{2,4}",
        ) -> (Priority, Timestamp, WorksetId) {
            (priority, Timestamp::from_millis(created_ms), id.parse().unwrap())
        }
    }

    proptest! {
        /// Sort keys order as priority, then age, then id.
        #[test]
        fn places_order_as_their_parts(a in waiting(), b in waiting()) {
            let key = |w: &(Priority, Timestamp, WorksetId)| place(w.0, w.1, &w.2);
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            prop_assert_eq!(parse_place(&key(&a)), Some(a));
        }

        /// A queue has all of one priority in its span, and nothing of another.
        #[test]
        fn a_span_holds_one_priority(a in waiting(), priority in prop::sample::select(&Priority::ALL[..])) {
            let (first, last) = span(priority);
            let place = place(a.0, a.1, &a.2);
            prop_assert_eq!(first < place && place <= last, a.0 == priority);
        }

        /// Events read back in the order in which they were written, and two
        /// regions that write one version keep both.
        #[test]
        fn events_order_as_versions(
            a: (u64, u32), b: (u64, u32), r in "[a-c]{2}-west-[1-2]", s in "[a-c]{2}-west-[1-2]",
        ) {
            let (here, there): (RegionName, RegionName) = (r.parse().unwrap(), s.parse().unwrap());
            let one = Place { version: a.0, region: here, mark: a.1 };
            let two = Place { version: b.0, region: there, mark: b.1 };
            prop_assert_eq!(event(one).cmp(&event(two)), one.cmp(&two));
            prop_assert_eq!(one.to_string().parse::<Place>(), Ok(one));
        }

        /// Two worksets share a key only if they are one.
        #[test]
        fn keys_of_tenants_never_meet(
            t in "[a-b_-]{1,3}", u in "[a-b_-]{1,3}", i in "[a-b][a-b_-]{2,4}", j in "[a-b][a-b_-]{2,4}",
        ) {
            let (tenant_a, tenant_b): (Tenant, Tenant) = (t.parse().unwrap(), u.parse().unwrap());
            let (id_a, id_b): (WorksetId, WorksetId) = (i.parse().unwrap(), j.parse().unwrap());
            prop_assert_eq!(item(&tenant_a, &id_a) == item(&tenant_b, &id_b), t == u && i == j);
            prop_assert_eq!(parse_item(&item(&tenant_a, &id_a)), Some((tenant_a.clone(), id_a)));
            let key: CallKey = "a#b".parse().unwrap();
            prop_assert_eq!(parse_caller(&call(&tenant_a, "/v1/x", &key)), Some(tenant_a));
        }
    }
}
