//! S3 events, read from what a queue delivers: hints that something may have changed.
//!
//! Three forms are known: S3's own notification, the same wrapped by SNS, and
//! EventBridge's. Fields that nobody needs are ignored, and so are newer minor
//! versions; a foreign source is refused by name. Whether a hint is still true is
//! for its reader to find out.

use serde::Deserialize;
use serde_json::Value;

use crate::{region::RegionName, units::ByteSize};

use super::{Sequencer, encoding};

/// The longest message body that is read, in bytes: the most that SQS carries.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// The most records that one message may hold. S3 sends one.
pub const RECORDS_MAX: usize = 1_000;

/// What happened to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new version is there.
    Created,
    /// A version is gone.
    Removed,
    /// A delete marker hides the versions, which are still there.
    DeleteMarker,
    /// Something else, such as a new tag or a restored object: nothing to replicate.
    Other,
}

/// What an event hints at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The region that sent it, if it says.
    pub region: Option<RegionName>,
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The version; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// Its place among the events of the same key.
    pub sequencer: Option<Sequencer>,
    /// The object's size.
    pub size: Option<ByteSize>,
    /// The object's ETag, without quotes.
    pub etag: Option<String>,
    /// What happened.
    pub kind: Kind,
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// S3 tried out the connection. There is nothing to do.
    Test {
        /// The bucket that was connected.
        bucket: String,
    },
    /// Hints, in the order of the message.
    Hints(Vec<Hint>),
}

/// Why a message was refused. No later delivery of it will be read either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// More than [`BODY_LEN_MAX`] bytes, or more than [`RECORDS_MAX`] records.
    #[error("the message has {found} {what} (want at most {limit})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The body is no JSON.
    #[error("the message is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but none of the known forms.
    #[error("the message is no S3 event (want `Records`, an SNS `Message`, or an EventBridge `detail`)")]
    NotAnEvent,
    /// It comes from somewhere else.
    #[error("the event comes from `{0}` (want `aws:s3` or `aws.s3`; check what the queue is subscribed to)")]
    ForeignSource(String),
    /// A major version that this reader does not know.
    #[error("the event has version `{0}` (want a version 2 of S3's, or 0 of EventBridge's)")]
    Version(String),
    /// A field is missing or of another type.
    #[error("the {form} event lacks something or has it wrong")]
    Malformed {
        /// Which of the known forms it has.
        form: &'static str,
        /// What was missing.
        #[source]
        source: serde_json::Error,
    },
    /// A field holds what it cannot.
    #[error("the event's `{field}` is `{value}`, which it cannot be")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value, escaped.
        value: String,
    },
}

impl Message {
    /// Reads the body of one queue message.
    pub fn parse(body: &[u8]) -> Result<Self, EventError> {
        limit("bytes", body.len(), BODY_LEN_MAX)?;
        let value: Value = serde_json::from_slice(body).map_err(EventError::NotJson)?;
        match value.get("Message").and_then(Value::as_str) {
            Some(inner) if value.get("TopicArn").is_some() => {
                Self::from_value(serde_json::from_str(inner).map_err(EventError::NotJson)?)
            }
            _ => Self::from_value(value),
        }
    }

    /// Reads a message that is no longer wrapped; a second wrapping is not looked into.
    fn from_value(mut value: Value) -> Result<Self, EventError> {
        if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            let bucket = value.get("Bucket").and_then(Value::as_str).unwrap_or_default().to_owned();
            return Ok(Self::Test { bucket });
        }
        if let Some(Value::Array(records)) = value.get_mut("Records").map(Value::take) {
            limit("records", records.len(), RECORDS_MAX)?;
            return records.into_iter().map(notified).collect::<Result<_, _>>().map(Self::Hints);
        }
        if value.get("detail").is_some() {
            return bridged(value).map(|hint| Self::Hints(vec![hint]));
        }
        Err(EventError::NotAnEvent)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_version: String,
    aws_region: Option<String>,
    event_name: String,
    s3: RecordBody,
}

#[derive(Deserialize)]
struct RecordBody {
    bucket: Bucket,
    object: RecordObject,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordObject {
    key: String,
    size: Option<ByteSize>,
    e_tag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

#[derive(Deserialize)]
struct Bridged {
    #[serde(rename = "detail-type")]
    detail_type: String,
    region: Option<String>,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    version: String,
    bucket: Bucket,
    object: DetailObject,
    #[serde(rename = "deletion-type")]
    deletion_type: Option<String>,
}

#[derive(Deserialize)]
struct DetailObject {
    key: String,
    size: Option<ByteSize>,
    etag: Option<String>,
    #[serde(rename = "version-id")]
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// One record of S3's own notification.
fn notified(value: Value) -> Result<Hint, EventError> {
    own_source(value.get("eventSource"), "aws:s3")?;
    let record: Record = malformed("S3", serde_json::from_value(value))?;
    known_version(&record.event_version, "2")?;
    let object = record.s3.object;
    let name = record.event_name.strip_prefix("s3:").unwrap_or(&record.event_name);
    let kind = match name {
        "ObjectRemoved:DeleteMarkerCreated" | "LifecycleExpiration:DeleteMarkerCreated" => Kind::DeleteMarker,
        name if name.starts_with("ObjectCreated:") => Kind::Created,
        name if name.starts_with("ObjectRemoved:") || name == "LifecycleExpiration:Delete" => Kind::Removed,
        _ => Kind::Other,
    };
    let key = encoding::decode(&object.key).ok_or_else(|| field("key", &object.key))?;
    hint(
        record.aws_region,
        record.s3.bucket,
        key,
        kind,
        (object.version_id, object.sequencer, object.size, object.e_tag),
    )
}

/// An EventBridge event, whose keys are not encoded.
fn bridged(value: Value) -> Result<Hint, EventError> {
    own_source(value.get("source"), "aws.s3")?;
    let event: Bridged = malformed("EventBridge", serde_json::from_value(value))?;
    known_version(&event.detail.version, "0")?;
    let object = event.detail.object;
    let kind = match (event.detail_type.as_str(), event.detail.deletion_type.as_deref()) {
        ("Object Created", _) => Kind::Created,
        ("Object Deleted", Some("Delete Marker Created")) => Kind::DeleteMarker,
        ("Object Deleted", _) => Kind::Removed,
        _ => Kind::Other,
    };
    let rest = (object.version_id, object.sequencer, object.size, object.etag);
    hint(event.region, event.detail.bucket, object.key, kind, rest)
}

/// Version id, sequencer, size and ETag, as an event spells them.
type Spelt = (Option<String>, Option<String>, Option<ByteSize>, Option<String>);

fn hint(
    region: Option<String>,
    bucket: Bucket,
    key: String,
    kind: Kind,
    (version_id, sequencer, size, etag): Spelt,
) -> Result<Hint, EventError> {
    if key.is_empty() {
        return Err(field("key", &key));
    }
    if bucket.name.is_empty() {
        return Err(field("bucket", &bucket.name));
    }
    Ok(Hint {
        region: region.map(|name| name.parse().map_err(|_| field("region", &name))).transpose()?,
        bucket: bucket.name,
        key,
        version_id: version_id.filter(|version| !version.is_empty()),
        sequencer: sequencer.map(|s| s.parse().map_err(|_| field("sequencer", &s))).transpose()?,
        size,
        etag: etag.map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty()),
        kind,
    })
}

fn own_source(source: Option<&Value>, want: &str) -> Result<(), EventError> {
    match source {
        Some(Value::String(found)) if found == want => Ok(()),
        Some(Value::String(found)) => Err(EventError::ForeignSource(shown(found))),
        Some(_) | None => Err(EventError::NotAnEvent),
    }
}

fn known_version(found: &str, major: &str) -> Result<(), EventError> {
    match found.split('.').next() == Some(major) {
        true => Ok(()),
        false => Err(EventError::Version(shown(found))),
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), EventError> {
    if found > limit { Err(EventError::TooLarge { what, found, limit }) } else { Ok(()) }
}

fn malformed<T>(form: &'static str, read: Result<T, serde_json::Error>) -> Result<T, EventError> {
    read.map_err(|source| EventError::Malformed { form, source })
}

fn field(field: &'static str, value: &str) -> EventError {
    EventError::Field { field, value: shown(value) }
}

/// Foreign text, fit for one line of a log.
fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
