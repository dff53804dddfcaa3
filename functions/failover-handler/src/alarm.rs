//! What an alarm event says: a hint that something may have changed, and no more.
//!
//! CloudWatch alarms arrive in three forms: wrapped by SNS, as an EventBridge
//! event, or as a direct invocation of the function.

use std::fmt;

use sealane::{emf::NAMESPACE, region::Region};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The alarms that wake the handler, as `infra/template.yaml` names them: `<prefix>` before, the region after.
const WAKING: [&str; 2] = ["-region-down-", "-region-silent-"];

/// Most alarms taken from one event. SNS sends one record at a time.
const HINTS_MAX: usize = 10;

/// How an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case", deserialize = "SCREAMING_SNAKE_CASE"))]
pub enum AlarmState {
    /// Its condition holds.
    Alarm,
    /// Its condition does not hold.
    Ok,
    /// There is too little data to tell.
    InsufficientData,
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alarm => "alarm",
            Self::Ok => "ok",
            Self::InsufficientData => "insufficient data",
        })
    }
}

/// One alarm, and how the event says that it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The alarm's name.
    pub alarm: String,
    /// How it stood when the event was sent.
    pub told: AlarmState,
}

impl Hint {
    /// Whether the alarm is one that may mean that work has to move: a region that is
    /// `down`, or about which an observer is `silent`. What other alarms tell, such as a
    /// slow region, and alarms about a region that is not configured, is for operators.
    pub fn wakes(&self, regions: &[Region]) -> bool {
        WAKING.iter().any(|kind| {
            self.alarm
                .split_once(kind)
                .is_some_and(|(_, about)| regions.iter().any(|region| region.name.as_str() == about))
        })
    }
}

/// The event is none that this function takes.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// It is not an alarm at all.
    #[error("the event is no CloudWatch alarm in SNS, EventBridge or direct form: {found}")]
    Foreign {
        /// What it is, as far as could be told.
        found: String,
    },
    /// It is an alarm on something else.
    #[error(
        "alarm `{alarm}` watches `{namespace}`, not `{NAMESPACE}`; subscribe this function to Sealane's alarms only"
    )]
    OtherNamespace {
        /// The alarm's name.
        alarm: String,
        /// What it watches.
        namespace: String,
    },
    /// It speaks of more alarms than one event may.
    #[error("the event holds {0} records, at most {HINTS_MAX} are taken; send fewer at once")]
    TooMany(usize),
    /// It looks like an alarm but cannot be read.
    #[error("the alarm in the event cannot be read")]
    Malformed(#[source] serde_json::Error),
}

/// The message that CloudWatch gives to SNS.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    alarm_name: String,
    new_state_value: AlarmState,
    trigger: Trigger,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trigger {
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    metrics: Vec<Value>,
}

/// What EventBridge and direct events say of the alarm.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    alarm_name: String,
    state: DetailState,
    #[serde(default)]
    configuration: Value,
}

#[derive(Deserialize)]
struct DetailState {
    value: AlarmState,
}

/// Every alarm that the event speaks of.
///
/// # Errors
/// When the event is foreign or damaged; none of its alarms is then acted on, and
/// nothing is lost, since the probers' ticks take the same decision by themselves.
pub fn parse(event: &Value) -> Result<Vec<Hint>, AlarmError> {
    if let Some(records) = event.get("Records").and_then(Value::as_array) {
        if records.len() > HINTS_MAX {
            return Err(AlarmError::TooMany(records.len()));
        }
        return records.iter().map(from_sns).collect();
    }
    let detail = event.get("detail").or_else(|| event.get("alarmData"));
    match (detail, event.get("source").and_then(Value::as_str)) {
        (Some(detail), Some("aws.cloudwatch")) => Ok(vec![from_detail(detail)?]),
        _ => Err(foreign(event)),
    }
}

fn from_sns(record: &Value) -> Result<Hint, AlarmError> {
    let source = record.get("EventSource").and_then(Value::as_str);
    let text = record.pointer("/Sns/Message").and_then(Value::as_str);
    let (Some("aws:sns"), Some(text)) = (source, text) else { return Err(foreign(record)) };
    let message: Message = serde_json::from_str(text).map_err(AlarmError::Malformed)?;
    let metrics = &message.trigger.metrics;
    let namespace =
        message.trigger.namespace.or_else(|| namespace_of(metrics, "/MetricStat/Metric/Namespace"));
    hint(message.alarm_name, message.new_state_value, namespace)
}

fn from_detail(detail: &Value) -> Result<Hint, AlarmError> {
    let detail = Detail::deserialize(detail).map_err(AlarmError::Malformed)?;
    let metrics = detail.configuration.get("metrics").and_then(Value::as_array).cloned().unwrap_or_default();
    hint(detail.alarm_name, detail.state.value, namespace_of(&metrics, "/metricStat/metric/namespace"))
}

fn namespace_of(metrics: &[Value], path: &str) -> Option<String> {
    metrics.iter().find_map(|m| m.pointer(path)?.as_str().map(str::to_owned))
}

fn hint(alarm: String, told: AlarmState, namespace: Option<String>) -> Result<Hint, AlarmError> {
    match namespace {
        Some(namespace) if namespace != NAMESPACE => Err(AlarmError::OtherNamespace { alarm, namespace }),
        Some(_) | None => Ok(Hint { alarm, told }),
    }
}

/// What is named of a foreign event: where it says it comes from, never what it holds.
fn foreign(event: &Value) -> AlarmError {
    let source = ["source", "EventSource", "eventSource"].iter().find_map(|name| event.get(name)?.as_str());
    let found = source.map_or("it names no source".to_owned(), |source| {
        let shown: String = source.chars().filter(|c| !c.is_control()).take(64).collect();
        format!("it comes from `{shown}`")
    });
    AlarmError::Foreign { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever JSON comes, it is read or refused, and never ends the process.
        #[test]
        fn odd_events_are_refused(source in "\\PC{0,12}", text in "\\PC{0,60}", wrapped: bool) {
            let event = if wrapped {
                serde_json::json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": text}}]})
            } else {
                serde_json::json!({"source": source, "detail": {"alarmName": text}})
            };
            prop_assert!(parse(&event).is_err());
        }
    }

    #[test]
    fn only_alarms_about_configured_regions_being_down_or_silent_wake_anyone() {
        let document = "{primary_region: us-west-2, health: {voters_min: 1}, \
            regions: [{name: us-west-2, bucket: my-bucket}]}";
        let config = sealane::config::Config::read(Some(document), std::iter::empty()).unwrap();
        for (alarm, wakes) in [
            ("sealane-region-down-us-west-2", true),
            ("other-prefix-region-silent-us-west-2", true),
            ("sealane-region-slow-us-west-2", false),
            ("sealane-region-down-us-west-20", false),
            ("sealane-region-down-mars", false),
            ("sealane-unreplicated-age", false),
            ("", false),
        ] {
            let hint = Hint { alarm: alarm.to_owned(), told: AlarmState::Alarm };
            assert_eq!(hint.wakes(&config.regions), wakes, "{alarm}");
        }
    }

    #[test]
    fn an_event_of_a_thousand_records_is_refused() {
        let record = serde_json::json!({"EventSource": "aws:sns", "Sns": {"Message": "{}"}});
        let event = serde_json::json!({"Records": vec![record; 1_000]});
        assert!(matches!(parse(&event), Err(AlarmError::TooMany(1_000))));
    }

    #[test]
    fn a_foreign_event_is_named() {
        let error = parse(&serde_json::json!({"source": "aws.ec2", "detail": {}})).unwrap_err();
        assert!(error.to_string().ends_with("it comes from `aws.ec2`"), "{error}");
    }
}
