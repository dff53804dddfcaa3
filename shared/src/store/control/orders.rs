//! What operators ordered, as an append-only list in the control table.

use super::{ControlTable, Listing, ORDERS};
use crate::{
    audit::Link,
    failover::{Order, Ordered},
    ports::{Key, Rows, RowsError, When},
    store::{decode, encode, unreadable},
    time::Timestamp,
};

/// How often the end of the list is looked up anew after another writer was first.
const TRIES_MAX: usize = 10;

impl<R: Rows> ControlTable<R> {
    /// Lists `order` as the newest one. Do it before carrying it out, so that nothing
    /// is done that is not listed.
    ///
    /// An entry is never written over: each is conditional on its number being free.
    ///
    /// # Errors
    /// When no replica answers, or others add to the list faster than this caller can.
    pub async fn order(
        &self,
        by: &str,
        reason: &str,
        order: Order,
        at: Timestamp,
    ) -> Result<Ordered, RowsError> {
        let (by, reason) = (clip(by), clip(reason));
        let mut entry = Ordered { number: 0, at, by, reason, order, chain: None };
        for _ in 0..TRIES_MAX {
            let newest = self.orders(1).await?.into_iter().next();
            entry.number = newest.as_ref().map_or(1, |newest| newest.number + 1);
            let key = Key::new(ORDERS, Listing::place(entry.number));
            // The number is free or this is not written: the chain has one end.
            let prev = newest.and_then(|newest| newest.chain).map(|link| link.hash);
            entry.chain = Some(Link::of(&entry, prev, None).map_err(|e| unreadable(&key, e))?);
            match self.write(&encode(key, 1, &entry)?, When::Absent).await {
                Ok(()) => return Ok(entry),
                Err(RowsError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RowsError::Conflict)
    }

    /// Up to `limit` orders, newest first.
    ///
    /// # Errors
    /// When no replica answers.
    pub async fn orders(&self, limit: usize) -> Result<Vec<Ordered>, RowsError> {
        self.all(ORDERS, true, limit).await?.iter().map(decode).collect()
    }
}

/// `text` cut to what the record of a move keeps of it, too.
fn clip(text: &str) -> String {
    text.chars().take(crate::failover::TEXT_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryRows;

    fn approve() -> Order {
        Order::Approve { to: "us-east-1".parse().unwrap() }
    }

    #[tokio::test]
    async fn orders_are_added_and_never_written_over() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        for by in ["ada", "bob", "eve"] {
            control.order(by, "drill", approve(), Timestamp::default()).await.unwrap();
        }
        let listed = control.orders(2).await.unwrap();
        let told: Vec<_> = listed.iter().map(|o| (o.number, o.by.as_str())).collect();
        assert_eq!(told, [(3, "eve"), (2, "bob")]);
    }

    #[tokio::test]
    async fn two_operators_at_once_are_both_listed() {
        let rows = MemoryRows::default();
        let (a, b) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        for turn in 0..4 {
            let at = Timestamp::from_millis(turn);
            let (one, two) =
                tokio::join!(a.order("ada", "", approve(), at), b.order("bob", "", approve(), at));
            assert_ne!(one.unwrap().number, two.unwrap().number);
        }
        let numbers: Vec<_> = a.orders(100).await.unwrap().iter().map(|o| o.number).collect();
        assert_eq!(numbers, (1..=8).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_listed_is_an_error() {
        let rows = MemoryRows::default();
        rows.cut(true);
        let control = ControlTable::new(vec![rows]);
        assert!(control.order("ada", "", approve(), Timestamp::default()).await.is_err());
    }

    #[tokio::test]
    async fn a_long_reason_is_cut() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        let entry = control.order("ada", &"x".repeat(9_000), approve(), Timestamp::default()).await;
        assert_eq!(entry.unwrap().reason.len(), crate::failover::TEXT_LEN_MAX);
    }
}
