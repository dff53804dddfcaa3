//! Metrics as CloudWatch embedded-metric-format lines: no call, no permission and
//! no latency in the path of a failing region.
//!
//! One line holds the metrics of one set of dimensions. CloudWatch reads it from
//! the function's log.

use serde_json::{Map, Value, json};

use crate::time::Timestamp;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Sealane";

/// The unit of a metric, as CloudWatch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// A number of things.
    Count,
    /// Bytes a second.
    BytesPerSecond,
    /// Hundredths of a whole.
    Percent,
    /// A number between 0 and 1, or any other without a unit.
    None,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
            Self::Count => "Count",
            Self::BytesPerSecond => "Bytes/Second",
            Self::Percent => "Percent",
            Self::None => "None",
        }
    }
}

/// One metric's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value.
    pub value: f64,
}

/// One line of high-resolution metrics (1 s) for one set of dimensions.
///
/// ```
/// use sealane::{emf::{line, Metric, Unit}, time::Timestamp};
///
/// let metric = Metric { name: "RegionLatency", unit: Unit::Milliseconds, value: 12.5 };
/// let text = line(&[("Region", "eu-west-1")], &[metric], Timestamp::from_millis(0));
/// assert!(text.contains(r#""RegionLatency":12.5"#) && !text.contains('\n'));
/// ```
pub fn line(dimensions: &[(&str, &str)], metrics: &[Metric], now: Timestamp) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let described: Vec<Value> = metrics
        .iter()
        .map(|m| json!({"Name": m.name, "Unit": m.unit.as_str(), "StorageResolution": 1}))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millis(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": described}],
        }),
    );
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|m| (m.name.to_owned(), json!(m.value))));
    Value::Object(line).to_string()
}
