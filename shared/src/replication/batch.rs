//! The reply to a batch of queue messages: which of them the queue shall keep.

use std::fmt;

use serde::Serialize;

/// What came of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Its work is done, or safely written down as owed.
    Done,
    /// It may go well later.
    Retry(String),
    /// It will never go well. The queue keeps it all the same: after its last
    /// delivery it comes to rest in the dead-letter queue, where a person can see it.
    Poison(String),
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Retry(why) => write!(f, "to be retried: {why}"),
            Self::Poison(why) => write!(f, "left to the dead-letter queue: {why}"),
        }
    }
}

/// What came of a batch, in the form that Lambda's queue poller reads.
///
/// A misspelt key would make the poller delete the failed messages, so the form
/// is pinned by a test to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The messages that are not done.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// A message that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// The message's id, as it came.
    pub item_identifier: String,
}

impl Outcome {
    /// Gathers what came of each message.
    pub fn of(messages: impl IntoIterator<Item = (String, Disposition)>) -> Self {
        let failed = messages.into_iter().filter_map(|(item_identifier, disposition)| match disposition {
            Disposition::Done => None,
            Disposition::Retry(_) | Disposition::Poison(_) => Some(ItemFailure { item_identifier }),
        });
        Self { batch_item_failures: failed.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn the_reply_has_the_exact_form() {
        let why = || "why".to_owned();
        let outcome = Outcome::of([
            ("a".to_owned(), Disposition::Done),
            ("b".to_owned(), Disposition::Retry(why())),
            ("c".to_owned(), Disposition::Poison(why())),
        ]);
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(json, r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}"#);
        assert_eq!(serde_json::to_string(&Outcome::default()).unwrap(), r#"{"batchItemFailures":[]}"#);
    }

    proptest! {
        /// No message that is not done is ever deleted, and no done one is kept.
        #[test]
        fn exactly_the_done_are_deleted(messages in vec(("[a-f0-9-]{1,36}", 0..3_u8), 0..12)) {
            let draw = |kind| match kind {
                0 => Disposition::Done,
                1 => Disposition::Retry(String::new()),
                _ => Disposition::Poison(String::new()),
            };
            let expected: Vec<_> = messages.iter().filter(|(_, k)| *k != 0).map(|(id, _)| id.clone()).collect();
            let outcome = Outcome::of(messages.into_iter().map(|(id, kind)| (id, draw(kind))));
            let kept: Vec<_> = outcome.batch_item_failures.into_iter().map(|i| i.item_identifier).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
