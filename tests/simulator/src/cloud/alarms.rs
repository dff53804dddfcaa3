//! Metrics and the alarms on them, as `infra/template.yaml` has them.
//!
//! A point is counted in the period of its own timestamp, which is its emitter's clock, and is
//! seen some seconds after it was printed. Alarms are evaluated at the ends of periods, from
//! the newest points of a range somewhat longer than the periods that they need.

use std::{collections::BTreeMap, time::Duration};

use sealane::{config::Config, region::RegionName};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Cloud, EPOCH_MS, lock};
use crate::dice::Dice;

/// How an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmState {
    /// The condition holds.
    Alarm,
    /// It does not.
    Ok,
    /// There was never enough to tell.
    InsufficientData,
}

impl AlarmState {
    /// The name that CloudWatch gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "ALARM",
            Self::Ok => "OK",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// An alarm that changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmTransition {
    /// When, since the start.
    pub at: Duration,
    /// Its name.
    pub alarm: String,
    /// The region that it is in.
    pub region: RegionName,
    /// The region that it is about.
    pub about: RegionName,
    /// The state before.
    pub from: AlarmState,
    /// The state now.
    pub to: AlarmState,
}

/// What is computed of a period's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statistic {
    Minimum,
    Maximum,
    SampleCount,
    P90,
}

/// What a period without points counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Ignored,
    Breaching,
}

/// One kind of alarm, which every region has for every other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kind {
    name: &'static str,
    metric: &'static str,
    statistic: Statistic,
    period_s: u64,
    periods: u64,
    threshold: f64,
    below: bool,
    missing: Missing,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "down",
        metric: "RegionHealth",
        statistic: Statistic::Minimum,
        period_s: 10,
        periods: 1,
        threshold: 0.5,
        below: true,
        missing: Missing::Ignored,
    },
    Kind {
        name: "silent",
        metric: "RegionHealth",
        statistic: Statistic::SampleCount,
        period_s: 60,
        periods: 3,
        threshold: 1.0,
        below: true,
        missing: Missing::Breaching,
    },
    Kind {
        name: "slow",
        metric: "RegionLatency",
        statistic: Statistic::P90,
        period_s: 60,
        periods: 5,
        threshold: 500.0,
        below: false,
        missing: Missing::Ignored,
    },
    Kind {
        name: "lag",
        metric: "ReplicationLag",
        statistic: Statistic::Maximum,
        period_s: 60,
        periods: 3,
        threshold: 5000.0,
        below: false,
        missing: Missing::Ignored,
    },
];

/// Periods that are looked at beyond those that are needed, for points that come late.
const EXTRA_PERIODS: u64 = 2;

/// Points older than this are forgotten.
const KEPT: Duration = Duration::from_secs(900);

#[derive(Debug, Clone, Copy)]
struct Point {
    /// Since the epoch, by its emitter's clock.
    stamp_ms: u64,
    /// When it can be seen, since the start.
    seen: Duration,
    value: f64,
}

#[derive(Debug)]
struct Alarm {
    kind: Kind,
    name: String,
    region: RegionName,
    about: RegionName,
    state: AlarmState,
    /// The next evaluation, since the start.
    next: Duration,
}

/// A metric of one observer about one region.
type Series = (&'static str, RegionName, RegionName);

/// Every alarm of every region, and what they look at.
#[derive(Debug)]
pub(super) struct Watchtower {
    points: BTreeMap<Series, Vec<Point>>,
    alarms: Vec<Alarm>,
    untold: BTreeMap<RegionName, Vec<AlarmTransition>>,
    dice: Dice,
}

/// What every line of metrics holds besides its values.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_aws")]
    aws: Described,
    #[serde(rename = "Observer")]
    observer: Option<RegionName>,
    #[serde(rename = "Region")]
    region: Option<RegionName>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "Timestamp")]
    stamp_ms: u64,
    #[serde(rename = "CloudWatchMetrics")]
    metrics: Vec<Directive>,
}

#[derive(Deserialize)]
struct Directive {
    #[serde(rename = "Dimensions")]
    dimensions: Vec<Vec<String>>,
}

impl Watchtower {
    pub(super) fn new(config: &Config, dice: &Dice) -> Self {
        let mut dice = dice.fork("alarms");
        let mut alarms = Vec::new();
        for region in &config.regions {
            for about in config.regions.iter().filter(|about| about.name != region.name) {
                for kind in KINDS {
                    let offset = dice.between(Duration::from_millis(500), Duration::from_secs(3));
                    alarms.push(Alarm {
                        kind,
                        name: format!("sealane-region-{}-{}", kind.name, about.name),
                        region: region.name,
                        about: about.name,
                        state: AlarmState::InsufficientData,
                        next: Duration::from_secs(kind.period_s) + offset,
                    });
                }
            }
        }
        Self { points: BTreeMap::new(), alarms, untold: BTreeMap::new(), dice }
    }

    /// Takes a line in that was printed in `home`, if an alarm there looks at what it holds.
    fn take(&mut self, home: RegionName, line: &str, now: Duration) {
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        let Some(region) = line.region.filter(|_| line.observer == Some(home)) else { return };
        let coarse =
            |d: &Vec<String>| d.len() == 2 && d.iter().all(|name| name == "Observer" || name == "Region");
        if !line.aws.metrics.iter().any(|m| m.dimensions.iter().any(coarse)) {
            return;
        }
        let seen = now + self.dice.wait(Duration::from_secs(2), Duration::from_secs(6));
        for metric in ["RegionHealth", "RegionLatency", "ReplicationLag"] {
            let Some(value) = line.rest.get(metric).and_then(Value::as_f64) else { continue };
            let points = self.points.entry((metric, home, region)).or_default();
            points.retain(|point| point.seen + KEPT > now);
            points.push(Point { stamp_ms: line.aws.stamp_ms, seen, value });
        }
    }

    /// Evaluates every alarm up to `now`, in the order of time.
    fn evaluate(&mut self, now: Duration) -> Vec<AlarmTransition> {
        let mut changed = Vec::new();
        for alarm in &mut self.alarms {
            let series = (alarm.kind.metric, alarm.region, alarm.about);
            let points = self.points.get(&series).map(Vec::as_slice).unwrap_or_default();
            while alarm.next <= now {
                let (at, from) = (alarm.next, alarm.state);
                alarm.next += Duration::from_secs(alarm.kind.period_s);
                alarm.state = alarm.kind.judge(points, at, from);
                if alarm.state != from {
                    let (region, about, to) = (alarm.region, alarm.about, alarm.state);
                    changed.push(AlarmTransition { at, alarm: alarm.name.clone(), region, about, from, to });
                }
            }
        }
        changed.sort_by(|a, b| (a.at, a.region, &a.alarm).cmp(&(b.at, b.region, &b.alarm)));
        for transition in &changed {
            self.untold.entry(transition.region).or_default().push(transition.clone());
        }
        changed
    }
}

impl Kind {
    /// The state at `at`, from what can be seen by then.
    fn judge(&self, points: &[Point], at: Duration, before: AlarmState) -> AlarmState {
        let period_ms = self.period_s * 1000;
        let now_ms = EPOCH_MS + u64::try_from(at.as_millis()).unwrap_or_default();
        // The period that ended last is the newest.
        let end = now_ms / period_ms;
        let mut values = Vec::new();
        let mut missing = 0;
        for back in 1..=self.periods + EXTRA_PERIODS {
            let period = end.saturating_sub(back);
            let within = |p: &&Point| p.seen <= at && p.stamp_ms / period_ms == period;
            match self.compute(points.iter().filter(within).map(|p| p.value).collect()) {
                Some(value) => values.push(value),
                None => missing += 1,
            }
        }
        let need = usize::try_from(self.periods).unwrap_or(usize::MAX);
        let breaches =
            |value: &f64| if self.below { *value < self.threshold } else { *value > self.threshold };
        if values.len() >= need {
            // The newest come first.
            let breach = values.iter().take(need).all(breaches);
            return if breach { AlarmState::Alarm } else { AlarmState::Ok };
        }
        match self.missing {
            Missing::Ignored if values.is_empty() => before,
            Missing::Ignored if values.iter().all(breaches) => before,
            Missing::Ignored => AlarmState::Ok,
            Missing::Breaching if values.iter().all(breaches) && missing > 0 => AlarmState::Alarm,
            Missing::Breaching => AlarmState::Ok,
        }
    }

    fn compute(&self, mut values: Vec<f64>) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        match self.statistic {
            Statistic::Minimum => values.first().copied(),
            Statistic::Maximum => values.last().copied(),
            Statistic::SampleCount => u32::try_from(values.len()).ok().map(f64::from),
            Statistic::P90 => values.get((values.len() * 9).div_ceil(10).saturating_sub(1)).copied(),
        }
    }
}

impl Cloud {
    /// What a function in `region` printed: its metrics reach that region's CloudWatch.
    pub fn emit(&self, region: RegionName, lines: &[String]) {
        let now = self.now();
        let mut watchtower = lock(&self.0.watchtower);
        for line in lines {
            watchtower.take(region, line, now);
        }
    }

    /// The changes of the alarms in `region` since the last call, in order.
    pub fn alarms(&self, region: RegionName) -> Vec<AlarmTransition> {
        self.evaluate_alarms();
        lock(&self.0.watchtower).untold.remove(&region).unwrap_or_default()
    }

    /// How an alarm in `region` stands; `None` if there is none of this name.
    pub fn alarm_state(&self, region: RegionName, alarm: &str) -> Option<AlarmState> {
        self.evaluate_alarms();
        let watchtower = lock(&self.0.watchtower);
        watchtower.alarms.iter().find(|a| a.region == region && a.name == alarm).map(|a| a.state)
    }

    fn evaluate_alarms(&self) {
        let now = self.now();
        for AlarmTransition { at, alarm, region, from, to, .. } in lock(&self.0.watchtower).evaluate(now) {
            let (from, to) = (from.as_str(), to.as_str());
            self.0.trace.note(at, format_args!("{region} alarm {alarm} {from} {to}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a property of an alarm in the template; its text is plain enough to search.
    fn property<'a>(resource: &'a str, name: &str) -> Option<&'a str> {
        let line = resource.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    }

    #[test]
    fn every_alarm_is_as_the_template_has_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let default = |parameter: &str| {
            let (_, rest) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
            property(rest, "Default").unwrap()
        };
        for kind in KINDS {
            let at = format!("AlarmName: !Sub ${{Prefix}}-region-{}-${{Watched1}}", kind.name);
            let (_, resource) = template.split_once(&at).unwrap();
            let statistic = match kind.statistic {
                Statistic::Minimum => ("Statistic", "Minimum"),
                Statistic::Maximum => ("Statistic", "Maximum"),
                Statistic::SampleCount => ("Statistic", "SampleCount"),
                Statistic::P90 => ("ExtendedStatistic", "p90"),
            };
            let missing = match kind.missing {
                Missing::Ignored => "ignore",
                Missing::Breaching => "breaching",
            };
            let (period, periods) = (kind.period_s.to_string(), kind.periods.to_string());
            let sign = if kind.below { "LessThanThreshold" } else { "GreaterThanThreshold" };
            let expected = [
                ("MetricName", kind.metric),
                statistic,
                ("Period", &period),
                ("EvaluationPeriods", &periods),
                ("ComparisonOperator", sign),
                ("TreatMissingData", missing),
            ];
            for (name, value) in expected {
                assert_eq!(property(resource, name), Some(value), "{} {name}", kind.name);
            }
            let threshold = property(resource, "Threshold").unwrap();
            let threshold = threshold.strip_prefix("!Ref ").map_or(threshold, default);
            assert!((threshold.parse::<f64>().unwrap() - kind.threshold).abs() < 1e-9, "{}", kind.name);
        }
    }

    #[test]
    fn a_skewed_observer_reports_into_the_wrong_period() {
        let [down, ..] = KINDS;
        let at = Duration::from_secs(100);
        let point = |stamp_ms| Point { stamp_ms, seen: Duration::ZERO, value: 0.0 };
        let judged = |stamp_ms| down.judge(&[point(stamp_ms)], at, AlarmState::Ok);
        assert_eq!(judged(EPOCH_MS + 95_000), AlarmState::Alarm);
        assert_eq!(judged(EPOCH_MS + 105_000), AlarmState::Ok, "the future is not looked at");
        assert_eq!(judged(EPOCH_MS + 40_000), AlarmState::Ok, "nor what is long past");
    }
}
