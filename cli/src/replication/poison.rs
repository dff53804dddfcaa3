//! Why a message came to rest in the dead-letter queue, as far as it shows.
//!
//! It is read by what the orchestrator reads it with. One that can be read was given up because what
//! it leads to could not be found out in any of its deliveries, and may go well when it is sent again.

use sealane::replication::{Hint, Message};
use serde::Serialize;

use super::queues::Resting;

/// Why a message rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// It will never be read by this version.
    Poison,
    /// It can be read; its deliveries ran out.
    Spent,
}

/// Why a message rests, in words, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Why {
    pub(super) kind: Kind,
    pub(super) reason: String,
    /// Key of the first object that it is about.
    pub(super) key: Option<String>,
}

/// Why `message` rests in the region whose bucket is `own`.
pub(super) fn why(message: &Resting, own: Option<&str>) -> Why {
    let poison = |reason| Why { kind: Kind::Poison, reason, key: None };
    match Message::parse(message.body.as_bytes()) {
        Err(error) => poison(format!("not an S3 event: {error}")),
        Ok(Message::Test { bucket }) => {
            spent(message, &format!("a test of the connection to bucket `{bucket}`"), None)
        }
        Ok(Message::Hints(hints)) => {
            let foreign = |hint: &&Hint| own.is_some_and(|own| hint.bucket != own);
            match hints.iter().find(foreign) {
                Some(hint) => Why {
                    key: Some(hint.key.clone()),
                    ..poison(format!("about bucket `{}`, which this region does not copy from", hint.bucket))
                },
                None => spent(message, "an S3 event", hints.first().map(|hint| hint.key.clone())),
            }
        }
    }
}

fn spent(message: &Resting, what: &str, key: Option<String>) -> Why {
    let reason =
        format!("{what}, which went well in none of its deliveries (received {} times)", message.received);
    Why { kind: Kind::Spent, reason, key }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn message(body: &str) -> Resting {
        let text = str::to_owned;
        Resting { id: text("m"), handle: text("h"), body: text(body), received: 5, sent: None }
    }

    fn event(bucket: &str) -> String {
        let s3 = json!({"bucket": {"name": bucket}, "object": {"key": "a+b", "versionId": "v", "sequencer": "01"}});
        json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-west-2",
            "eventName": "ObjectCreated:Put", "s3": s3}]})
        .to_string()
    }

    #[test]
    fn what_can_be_read_is_told_from_poison() {
        let mine = why(&message(&event("own")), Some("own"));
        assert_eq!((mine.kind, mine.key.as_deref()), (Kind::Spent, Some("a b")));
        assert!(mine.reason.contains("received 5 times"), "{}", mine.reason);
        let foreign = why(&message(&event("other")), Some("own"));
        assert_eq!(foreign.kind, Kind::Poison);
        assert!(foreign.reason.contains("`other`"), "{}", foreign.reason);
        let odd = why(&message("{\"hello\": 1}"), Some("own"));
        assert_eq!(odd.kind, Kind::Poison);
        assert!(odd.reason.starts_with("not an S3 event: "), "{}", odd.reason);
    }

    proptest! {
        /// Whatever lies in the queue, something is said of it.
        #[test]
        fn any_message_is_explained(body in "\\PC{0,200}") {
            prop_assert!(!why(&message(&body), Some("own")).reason.is_empty());
        }
    }
}
