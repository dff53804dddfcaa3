//! Upload events: from a bucket to its region's queue, late, sometimes twice, in any order.
//!
//! The queue keeps to `infra/template.yaml`: a message that was received is hidden for six times
//! the orchestrator's timeout, and after five receptions it is dead.

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sealane::region::RegionName;
use serde_json::{Value, json};

use super::{Cloud, EPOCH_MS, lock, objects::ObjectState};

/// How long a received message stays hidden.
const HIDDEN: Duration = Duration::from_secs(5400);

/// Receptions after which a message is dead.
const RECEIVES_MAX: u32 = 5;

/// How often S3 tells of one object twice, in percent.
const DOUBLED_PERCENT: f64 = 2.0;

/// What S3 escapes in the keys of its events, besides writing `+` for a space.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

/// A message as a poller receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Stays the same over all receptions.
    pub id: String,
    /// Of this reception; names the message in [`Cloud::delete`] and [`Cloud::requeue`].
    pub receipt: String,
    /// S3's event, as JSON.
    pub body: String,
    /// Receptions, this one included.
    pub receives: u32,
    /// When it was sent, since the start.
    pub sent: Duration,
}

impl Message {
    /// The message as Lambda hands it to a function, one of its `Records`.
    pub fn record(&self, region: RegionName) -> Value {
        let sent = u128::from(EPOCH_MS) + self.sent.as_millis();
        json!({
            "messageId": self.id,
            "receiptHandle": self.receipt,
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": self.receives.to_string(),
                "SentTimestamp": sent.to_string(),
                "SenderId": "S3",
                "ApproximateFirstReceiveTimestamp": sent.to_string(),
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:{region}:000000000000:sealane-uploads"),
            "awsRegion": region.as_str(),
        })
    }
}

#[derive(Debug, Clone)]
struct Waiting {
    body: String,
    sent: Duration,
    visible: Duration,
    receives: u32,
}

/// One region's queue and what died in it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    dead: Vec<Message>,
    serial: u64,
}

fn id(region: RegionName, serial: u64) -> String {
    format!("{region}-{serial:08}")
}

/// The message that a receipt names, if it is of the last reception.
fn serial(receipt: &str) -> Option<(u64, u32)> {
    let (rest, receives) = receipt.rsplit_once('#')?;
    let (_, serial) = rest.rsplit_once('-')?;
    Some((serial.parse().ok()?, receives.parse().ok()?))
}

impl Cloud {
    /// What S3 says of a new version, on its way to the region's queue.
    pub(super) fn announce(
        &self,
        region: RegionName,
        bucket: &str,
        key: &str,
        object: &ObjectState,
        how: &str,
    ) {
        let body = event(region, bucket, key, object, how).to_string();
        let now = self.now();
        let mut dice = lock(&self.0.dice);
        let most = *lock(&self.0.repeats);
        let lost = *lock(&self.0.lost_percent);
        if lost > 0.0 && dice.chance(lost) {
            self.0.trace.note(now, format_args!("{region} lost the event of {key} {}", object.version_id));
            return;
        }
        let copies = match most {
            0 => 1 + u64::from(dice.chance(DOUBLED_PERCENT)),
            most => 1 + dice.below(most),
        };
        let mut queues = lock(&self.0.queues);
        let queue = queues.entry(region).or_default();
        for _ in 0..copies {
            let late = dice.wait(Duration::from_millis(800), Duration::from_secs(8));
            queue.serial += 1;
            let waiting = Waiting { body: body.clone(), sent: now + late, visible: now + late, receives: 0 };
            queue.waiting.insert(queue.serial, waiting);
        }
    }

    /// From now on S3 tells of each object up to `most` times; with 0 once, and seldom twice.
    pub fn repeat_events(&self, most: u64) {
        *lock(&self.0.repeats) = most;
    }

    /// From now on so many of a hundred events never come.
    pub fn lose_events(&self, percent: f64) {
        *lock(&self.0.lost_percent) = percent;
    }

    /// Up to `max` messages of the region's queue, in no order that means anything; they are
    /// hidden from the next to ask until deleted, put back, or forgotten for too long.
    pub fn receive(&self, region: RegionName, max: usize) -> Vec<Message> {
        let now = self.now();
        let mut queues = lock(&self.0.queues);
        let queue = queues.entry(region).or_default();
        let mut ready: Vec<(Duration, u64)> = queue
            .waiting
            .iter()
            .filter(|(_, w)| w.visible <= now)
            .map(|(serial, w)| (w.visible, *serial))
            .collect();
        ready.sort_unstable();
        let mut received = Vec::new();
        for (_, serial) in ready {
            let Some(mut waiting) = queue.waiting.remove(&serial) else { continue };
            let dead = waiting.receives >= RECEIVES_MAX;
            waiting.receives += u32::from(!dead);
            waiting.visible = now + HIDDEN;
            let message = Message {
                id: id(region, serial),
                receipt: format!("{}#{}", id(region, serial), waiting.receives),
                body: waiting.body.clone(),
                receives: waiting.receives,
                sent: waiting.sent,
            };
            if dead {
                self.0.trace.note(now, format_args!("{region} queue {} dead", message.id));
                queue.dead.push(message);
                continue;
            }
            queue.waiting.insert(serial, waiting);
            received.push(message);
            if received.len() >= max {
                break;
            }
        }
        received
    }

    /// Removes a message for good. A receipt that is no longer the last one does nothing.
    pub fn delete(&self, region: RegionName, receipt: &str) {
        self.with_message(region, receipt, |queue, serial| drop(queue.waiting.remove(&serial)));
    }

    /// Makes a message visible again after `after`, as a poller does whose function failed.
    pub fn requeue(&self, region: RegionName, receipt: &str, after: Duration) {
        let visible = self.now() + after;
        self.with_message(region, receipt, |queue, serial| {
            if let Some(waiting) = queue.waiting.get_mut(&serial) {
                waiting.visible = visible;
            }
        });
    }

    /// The messages that were received too often.
    pub fn dead_letters(&self, region: RegionName) -> Vec<Message> {
        lock(&self.0.queues).get(&region).map(|queue| queue.dead.clone()).unwrap_or_default()
    }

    /// How many messages wait in the queue, visible, hidden or on their way.
    pub fn queued(&self, region: RegionName) -> usize {
        lock(&self.0.queues).get(&region).map_or(0, |queue| queue.waiting.len())
    }

    /// When the next message can be received, if any is left.
    pub fn next_message(&self, region: RegionName) -> Option<Duration> {
        lock(&self.0.queues).get(&region)?.waiting.values().map(|waiting| waiting.visible).min()
    }

    fn with_message(&self, region: RegionName, receipt: &str, work: impl FnOnce(&mut Queue, u64)) {
        let mut queues = lock(&self.0.queues);
        let Some(queue) = queues.get_mut(&region) else { return };
        if let Some((serial, receives)) = serial(receipt)
            && queue.waiting.get(&serial).is_some_and(|waiting| waiting.receives == receives)
        {
            work(queue, serial);
        }
    }
}

fn event(region: RegionName, bucket: &str, key: &str, object: &ObjectState, how: &str) -> Value {
    let key = utf8_percent_encode(key, ESCAPED).to_string().replace("%20", "+");
    let at_ms = u128::from(EPOCH_MS) + object.at.as_millis();
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region.as_str(),
        "eventTime": at.map(|at| at.to_string()),
        "eventName": format!("ObjectCreated:{how}"),
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {
                "key": key,
                "size": object.body.len(),
                "eTag": object.etag.trim_matches('"'),
                "versionId": object.version_id,
                "sequencer": sequencer(object),
            },
        },
    }]})
}

/// Rises with every version, as one key's events need it; S3 writes hexadecimal of any length.
fn sequencer(object: &ObjectState) -> String {
    let serial: u64 = object.version_id.trim_start_matches('v').parse().unwrap_or_default();
    format!("{serial:016X}")
}
