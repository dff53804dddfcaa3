//! Metrics as CloudWatch embedded-metric-format lines: no call, no permission and
//! no latency in the path of a failing region.
//!
//! One line holds the metrics of one set of dimensions. CloudWatch reads it from
//! the function's log.

use serde_json::{Map, Value, json};

use crate::{lease::Done, region::RegionName, time::Timestamp};

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

/// Who brought copies into a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Somebody who shipped them from outside, such as `sealane upload`.
    Upload,
    /// The orchestrator, from another region's bucket.
    Replication,
}

impl By {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Replication => "replication",
        }
    }
}

/// The lines of copies that ended in `region`: once for the region that `answers` for them,
/// whose alarms read them, and once by where they ended and who brought them. None when
/// nothing ended.
///
/// Uploads from outside are answered for by the region that took them in, and the
/// orchestrator's copies by the region that made them: there is their log, and the
/// permission that they may lack.
pub fn uploads(answers: RegionName, region: RegionName, by: By, done: Done, now: Timestamp) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
    let count =
        |name, value: u64| (value > 0).then_some(Metric { name, unit: Unit::Count, value: value as f64 });
    let throughput = done.throughput_bytes_s();
    let throughput =
        throughput.map(|value| Metric { name: "UploadThroughput", unit: Unit::BytesPerSecond, value });
    let counts = [count("UploadSuccess", done.shipped), count("UploadFailure", done.failed), throughput];
    let metrics: Vec<Metric> = counts.into_iter().flatten().collect();
    if metrics.is_empty() {
        return Vec::new();
    }
    let ended = [("Region", region.as_str()), ("By", by.as_str())];
    vec![line(&[("Region", answers.as_str())], &metrics, now), line(&ended, &metrics, now)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{lease::Outcome, units::ByteSize};

    #[test]
    fn copies_are_counted_for_the_region_and_by_who_brought_them() {
        let (here, region) = ("us-west-2".parse().unwrap(), "eu-west-1".parse().unwrap());
        let now = Timestamp::default();
        let shipped = Outcome::Shipped { size: ByteSize(3_000), took: Duration::from_secs(2) };
        let lines = uploads(here, region, By::Upload, Done::default().with(shipped), now);
        assert_eq!(lines.len(), 2);
        for text in [r#""UploadSuccess":1.0"#, r#""UploadThroughput":1500.0"#, r#""Unit":"Bytes/Second""#] {
            assert!(lines.iter().all(|line| line.contains(text)), "{lines:?}");
        }
        assert!(lines[0].contains(r#""Region":"us-west-2""#), "{lines:?}");
        assert!(lines[1].contains(r#""Region":"eu-west-1""#), "{lines:?}");
        assert!(lines[1].contains(r#""By":"upload""#) && !lines[0].contains("UploadFailure"), "{lines:?}");
        assert!(uploads(here, region, By::Replication, Done::default(), now).is_empty());
    }
}
