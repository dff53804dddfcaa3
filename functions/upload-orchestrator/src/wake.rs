//! What woke the function: queue messages, or the schedule's tick.

use serde_json::Value;

/// One message of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMessage {
    /// The id by which the queue is told what became of it.
    pub id: String,
    /// What it holds.
    pub body: String,
}

/// What woke the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Messages of the queue.
    Batch(Vec<QueueMessage>),
    /// The schedule's tick: pay what is owed and due.
    Tick,
}

/// The event is none that this function takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WakeError {
    /// Something else is connected to the function.
    #[error("foreign event source `{0}`; this function takes SQS batches and scheduled events")]
    Foreign(String),
    /// The event does not say where it comes from.
    #[error("the event names no source; this function takes SQS batches and scheduled events")]
    Nameless,
    /// A queue message lacks what every queue message has.
    #[error("record {index} of the batch has no `{field}`")]
    Incomplete {
        /// Its place in the batch, from 0.
        index: usize,
        /// What it lacks.
        field: &'static str,
    },
}

impl Wake {
    /// Reads an invocation's event.
    ///
    /// # Errors
    /// When it is neither a batch of SQS messages nor a scheduled event. The
    /// whole invocation fails then: without message ids nothing can be told apart.
    pub fn read(event: &Value) -> Result<Self, WakeError> {
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            return records.iter().enumerate().map(message).collect::<Result<_, _>>().map(Self::Batch);
        }
        match (text(event, "source"), text(event, "detail-type")) {
            (Some("aws.events" | "aws.scheduler"), Some("Scheduled Event")) => Ok(Self::Tick),
            (Some(source), _) => Err(WakeError::Foreign(shown(source))),
            (None, _) => Err(WakeError::Nameless),
        }
    }
}

fn message((index, record): (usize, &Value)) -> Result<QueueMessage, WakeError> {
    // SNS spells the field with a capital.
    match text(record, "eventSource").or_else(|| text(record, "EventSource")) {
        Some("aws:sqs") => {}
        Some(source) => return Err(WakeError::Foreign(shown(source))),
        None => return Err(WakeError::Nameless),
    }
    let field = |field| text(record, field).map(str::to_owned).ok_or(WakeError::Incomplete { index, field });
    Ok(QueueMessage { id: field("messageId")?, body: field("body")? })
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// Foreign text, fit for one line of a log.
fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn other_sources_are_refused_by_name() {
        let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {}}]});
        let error = Wake::read(&sns).unwrap_err().to_string();
        assert_eq!(
            error,
            "foreign event source `aws:sns`; this function takes SQS batches and scheduled events"
        );
        let bridged = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}});
        assert_eq!(Wake::read(&bridged), Err(WakeError::Foreign("aws.s3".to_owned())));
        for odd in [json!({}), json!([]), json!("x"), json!({"Records": [{}]})] {
            assert_eq!(Wake::read(&odd), Err(WakeError::Nameless), "{odd}");
        }
    }

    #[test]
    fn a_message_without_an_id_fails_the_batch() {
        let event = json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]});
        assert_eq!(Wake::read(&event), Err(WakeError::Incomplete { index: 0, field: "messageId" }));
    }
}
