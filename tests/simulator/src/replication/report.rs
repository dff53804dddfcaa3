//! The figures of replication, as they are written and printed.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Growth, Healing};

/// Figures of the simulator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// What one copy of a small object takes.
    pub requests_per_object: Requests,
    /// How the cost grows.
    pub growth: Grown,
}

/// Requests for one copy: an object in one region besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Requests {
    /// To buckets. At most 5.
    pub s3: f64,
    /// To tables. At most 4.
    pub dynamodb: f64,
}

/// One entry for each number of objects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grown {
    /// Objects, each copied into two regions.
    pub objects: Vec<usize>,
    /// Requests to buckets and tables.
    pub requests: Vec<u64>,
    /// Simulated seconds to rest.
    pub seconds: Vec<f64>,
}

impl Figures {
    /// The figures of these runs; the largest says what a copy takes.
    pub fn of(runs: &[Growth]) -> Self {
        let largest = runs.last();
        Self {
            requests_per_object: Requests {
                s3: largest.map_or(0.0, Growth::s3_per_copy),
                dynamodb: largest.map_or(0.0, Growth::dynamodb_per_copy),
            },
            growth: Grown {
                objects: runs.iter().map(|run| run.objects).collect(),
                requests: runs.iter().map(|run| run.s3 + run.dynamodb).collect(),
                seconds: runs.iter().map(|run| run.took.map_or(f64::INFINITY, |t| t.as_secs_f64())).collect(),
            },
        }
    }

    /// The bars that are missed.
    pub fn missed(&self) -> Vec<String> {
        let Requests { s3, dynamodb } = self.requests_per_object;
        let over = |what: &str, found: f64, most: f64| {
            ((found * 100.0).round() > most * 100.0)
                .then(|| format!("{what} for each copy: {found:.2}, at most {most}"))
        };
        let bars = [over("requests to S3", s3, 5.0), over("requests to DynamoDB", dynamodb, 4.0)];
        let mut missed: Vec<_> = bars.into_iter().flatten().collect();
        missed.extend(self.slopes().into_iter().filter(|slope| !(0.8..=1.25).contains(slope)).map(|slope| {
            format!("ten times the objects make {slope:.2} times the requests for each, and not the same")
        }));
        missed
    }

    /// Requests for each object, against those of the run before.
    fn slopes(&self) -> Vec<f64> {
        let each = |(objects, requests): (&usize, &u64)| super::healing::per(*requests, *objects);
        let each: Vec<f64> = self.growth.objects.iter().zip(&self.growth.requests).map(each).collect();
        each.windows(2).map(|two| two[1] / two[0]).collect()
    }

    /// The figures as a table.
    pub fn table(&self) -> String {
        let mut text = String::from("objects    requests   per object    seconds\n");
        let Grown { objects, requests, seconds } = &self.growth;
        for ((objects, requests), seconds) in objects.iter().zip(requests).zip(seconds) {
            let each = super::healing::per(*requests, *objects);
            let _ = writeln!(text, "{objects:>7} {requests:>11} {each:>12.2} {seconds:>10.1}");
        }
        let Requests { s3, dynamodb } = self.requests_per_object;
        let _ = writeln!(
            text,
            "each copy: {s3:.2} requests to S3 (at most 5), {dynamodb:.2} to DynamoDB (at most 4)"
        );
        let slopes: Vec<_> = self.slopes().iter().map(|slope| format!("{slope:.3}")).collect();
        let _ = write!(text, "requests for each object against the line above: {}", slopes.join(", "));
        text
    }
}

/// A healing in words.
pub fn healed(objects: usize, healing: &Healing) -> String {
    let seconds = |ms: Option<u64>| {
        ms.map_or_else(
            || "-".to_owned(),
            |ms| format!("{:.1} s", std::time::Duration::from_millis(ms).as_secs_f64()),
        )
    };
    let settled = healing.settled.map_or_else(|| "never".to_owned(), |t| format!("{:.1} s", t.as_secs_f64()));
    format!(
        "{} of {objects} owed copies: p50 {}, p99 {}, max {} after the region came back; all verified after {settled}; \
         {:.2} requests to S3 and {:.2} to DynamoDB for each",
        healing.waits.count,
        seconds(healing.waits.p50),
        seconds(healing.waits.p99),
        seconds(healing.waits.max),
        healing.s3,
        healing.dynamodb,
    )
}
