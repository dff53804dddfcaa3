//! How an upload or a download tells of its progress: bars for people, lines of JSON for programs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use sealane::{
    aws::SystemClock,
    ports::Clock as _,
    region::RegionName,
    time::{Timestamp, millis},
    transport::Progress,
    units::ByteSize,
};
use serde::Serialize;

use crate::progress::Bars;

/// Shortest time between two lines on the bytes of one region.
const LINES_APART_MS: u64 = 200;

/// Tells of progress, on standard error.
#[derive(Debug)]
pub(crate) enum Telling {
    /// A bar a region, on a terminal.
    People(Bars),
    /// A line of JSON for each piece of news.
    Programs(Lines),
}

impl Telling {
    /// Of regions that each send or get `size`, or less when it is a bound.
    pub(crate) fn new(json: bool, size: ByteSize) -> Self {
        if json { Self::Programs(Lines::new(size)) } else { Self::People(Bars::new(size)) }
    }

    /// Tells what has happened.
    pub(crate) fn show(&self, news: Progress) {
        match self {
            Self::People(bars) => bars.show(news),
            Self::Programs(lines) => {
                if let Some(line) = lines.line(&news, SystemClock.now()) {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Leaves room for the result.
    pub(crate) fn clear(&self) {
        match self {
            Self::People(bars) => bars.clear(),
            Self::Programs(_) => {}
        }
    }
}

/// The lines of one upload or download.
#[derive(Debug)]
pub(crate) struct Lines {
    size: ByteSize,
    /// When each region began, and when its bytes were last told of.
    regions: Mutex<BTreeMap<RegionName, (Timestamp, Timestamp)>>,
}

/// One line, as `docs/SHIPPING.md` describes it.
#[derive(Debug, Serialize)]
struct Line {
    event: &'static str,
    region: RegionName,
    #[serde(flatten)]
    bytes: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<RegionName>,
}

#[derive(Debug, Serialize)]
struct Bytes {
    bytes: u64,
    bytes_max: u64,
    bytes_s: u64,
    left_ms: u64,
}

impl Lines {
    fn new(size: ByteSize) -> Self {
        Self { size, regions: Mutex::default() }
    }

    /// The line on this piece of news; `None` when the last one was a moment ago.
    fn line(&self, news: &Progress, now: Timestamp) -> Option<String> {
        let line = |event, region| Line { event, region, bytes: None, reason: None, to: None };
        let line = match news {
            Progress::Began { region } => {
                self.held().insert(*region, (now, Timestamp::default()));
                line("began", *region)
            }
            Progress::Sent { region, bytes } => {
                Line { bytes: Some(self.bytes(*region, *bytes, now)?), ..line("sent", *region) }
            }
            Progress::Received { region, bytes } => {
                Line { bytes: Some(self.bytes(*region, *bytes, now)?), ..line("received", *region) }
            }
            Progress::Dropped { region, reason } => {
                Line { reason: Some(reason.to_string()), ..line("dropped", *region) }
            }
            Progress::Moved { from, to } => Line { to: Some(*to), ..line("moved", *from) },
            Progress::Verifying { region } => line("verifying", *region),
            Progress::Verified { region } => line("verified", *region),
        };
        serde_json::to_string(&line).ok()
    }

    /// How far a region is; the last byte is always told of.
    fn bytes(&self, region: RegionName, bytes: ByteSize, now: Timestamp) -> Option<Bytes> {
        let mut regions = self.held();
        let (began, told) = regions.entry(region).or_insert((now, Timestamp::default()));
        if bytes < self.size && millis(now.since(*told)) < LINES_APART_MS {
            return None;
        }
        *told = now;
        let bytes_s = bytes.0.saturating_mul(1_000) / millis(now.since(*began)).max(1);
        let left = self.size.0.saturating_sub(bytes.0);
        let left_ms = left.saturating_mul(1_000) / bytes_s.max(1);
        Some(Bytes { bytes: bytes.0, bytes_max: self.size.0, bytes_s, left_ms })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<RegionName, (Timestamp, Timestamp)>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sealane::upload::Reason;

    use super::*;

    fn region() -> RegionName {
        "eu-west-1".parse().unwrap()
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    #[test]
    fn bytes_are_told_with_rate_and_time_left() {
        let lines = Lines::new(ByteSize(4_000));
        lines.line(&Progress::Began { region: region() }, at(0)).unwrap();
        let line = lines.line(&Progress::Sent { region: region(), bytes: ByteSize(1_000) }, at(500)).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "event": "sent", "region": "eu-west-1", "bytes": 1_000, "bytes_max": 4_000, "bytes_s": 2_000, "left_ms": 1_500
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn many_parts_make_few_lines_and_the_last_byte_is_told_of() {
        let lines = Lines::new(ByteSize(1_000));
        lines.line(&Progress::Began { region: region() }, at(0)).unwrap();
        let sent = |bytes| Progress::Sent { region: region(), bytes: ByteSize(bytes) };
        let told = (1..=1_000).filter_map(|n| lines.line(&sent(n), at(n))).count();
        assert!((5..=7).contains(&told), "{told}");
        assert!(lines.line(&sent(1_000), at(1_001)).is_some());
    }

    #[test]
    fn every_mishap_has_a_line() {
        let lines = Lines::new(ByteSize(0));
        let reason = Reason::Refused { detail: "no".to_owned() };
        let line = lines.line(&Progress::Dropped { region: region(), reason }, at(0)).unwrap();
        assert!(line.contains("\"reason\":\"refused: no\""), "{line}");
        let to = "us-west-2".parse().unwrap();
        let line = lines.line(&Progress::Moved { from: region(), to }, at(0)).unwrap();
        assert!(line.contains("\"to\":\"us-west-2\""), "{line}");
    }
}
