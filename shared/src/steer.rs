//! One controller's turn at the wheel: read what stands, decide, write what follows.
//!
//! The prober's tick and the alarm's handler both come through here, in every
//! region, so doubled, late and stale triggers do no harm: a turn depends only on
//! what the tables say now, and a write only succeeds on the record it was decided on.

use std::time::Duration;

use crate::{
    config::Config,
    failover::{Decision, Inputs, Lags, Loads, Moved, Record, Watch, apply, decide, polls},
    health::Verdicts,
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    store::ControlTable,
};

/// Writes in one turn: a move off a dead region takes two, and lost races a few more.
const WRITES_MAX: usize = 4;

/// What a turn came to.
#[derive(Debug, Clone)]
pub struct Turn {
    /// What was decided, in order; the last one is how things stand.
    pub decisions: Vec<Decision>,
    /// The record after the turn.
    pub record: Option<Record>,
    /// The moves of the active region that this turn made: from, to.
    pub moved: Vec<(RegionName, RegionName)>,
}

/// What the verdicts say of replication, some time after they were reached.
struct Measured<'a> {
    verdicts: &'a Verdicts,
    since: Duration,
}

impl Lags for Measured<'_> {
    fn lag(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        self.verdicts.lag(from, to)
    }

    fn loss_max(&self, from: RegionName, to: RegionName) -> Option<Duration> {
        Some(self.verdicts.loss_max(from, to)?.saturating_add(self.since))
    }
}

/// Decides and writes until nothing is left to write now.
///
/// `watch` is what this controller remembers of the record between its turns.
///
/// # Errors
/// When the control table does not answer: nothing is then decided, and every
/// route stays as it was.
pub async fn steer<R: Rows>(
    config: &Config,
    here: RegionName,
    verdicts: &Verdicts,
    control: &ControlTable<R>,
    watch: &mut Watch,
    clock: &impl Clock,
) -> Result<Turn, RowsError> {
    let pins = control.pins().await?;
    let view = verdicts.view(here);
    let began = clock.now();
    let polls = polls(verdicts, &view, &config.regions);
    let mut turn = Turn { decisions: Vec::new(), record: None, moved: Vec::new() };
    for _ in 0..WRITES_MAX {
        let record = control.record().await?;
        // Read after the answer: a version must not look older than it is.
        let moment = watch.look(record.as_ref().map_or(0, |r| r.version), clock.now());
        let decision = decide(
            record.as_ref(),
            &Inputs {
                regions: &config.regions,
                view: &view,
                lags: &Measured { verdicts, since: clock.now().since(began) },
                pins: &pins,
                policy: &config.failover,
                primary: config.primary_region,
                loads: &Loads::new(),
                polls: &polls,
                leases: None,
                moment,
            },
        );
        let next = apply(record.as_ref(), &decision, moment);
        turn.decisions.push(decision);
        let Some(next) = next else {
            turn.record = record;
            return Ok(turn);
        };
        match write(control, record.as_ref(), &next, turn.decisions.last(), moment).await {
            Ok(()) => {
                let before = record.as_ref().map(|r| r.active).filter(|active| *active != next.active);
                turn.moved.extend(before.map(|from| (from, next.active)));
                let _watched = watch.look(next.version, clock.now());
                turn.record = Some(next);
            }
            // Another controller was first, which is as good: read again and decide anew.
            Err(RowsError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(turn)
}

/// Writes the next record, and before it the account of the move that it ends: a
/// crash in between leaves an account to be written again, never a move without one.
async fn write<R: Rows>(
    control: &ControlTable<R>,
    record: Option<&Record>,
    next: &Record,
    decision: Option<&Decision>,
    moment: crate::failover::Moment,
) -> Result<(), RowsError> {
    let ended = record.zip(decision).and_then(|(record, d)| Moved::ended_by(d, record, moment));
    if let Some(moved) = ended {
        control.log(&moved).await?;
    }
    control.swap(record, next).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        health::{Lag, Observation, Probe, judge},
        memory::{ManualClock, MemoryRows},
        region::Region,
        time::Timestamp,
    };

    const DOCUMENT: &str = r#"{"primary_region": "us-west-2", "regions": [
        {"name": "us-west-2", "bucket": "west", "priority": 1, "endpoints": {"api": "https://west.example"}},
        {"name": "us-east-1", "bucket": "east", "priority": 2, "endpoints": {"api": "https://east.example"}},
        {"name": "eu-west-1", "bucket": "europe", "priority": 3, "endpoints": {"api": "https://europe.example"}},
        {"name": "us-east-2", "role": "witness"}]}"#;

    fn config() -> Config {
        Config::read(Some(DOCUMENT), std::iter::empty()).unwrap()
    }

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// What everyone sees when exactly the regions in `down` do not answer.
    fn verdicts(config: &Config, down: &[RegionName]) -> Verdicts {
        let probe = |region: &Region| {
            if down.contains(&region.name) {
                Probe::Bad(crate::health::Failure::Timeout)
            } else {
                Probe::Good(Duration::from_millis(20))
            }
        };
        let row = |observer: RegionName| {
            let targets = config.regions.iter().flat_map(|r| r.capabilities().iter().map(move |c| (r, *c)));
            let seen = (0..4).fold(Observation::new(observer), |row, tick| {
                targets.clone().fold(row, |row, (r, c)| row.observe(r, c, probe(r), &config.health, at(tick)))
            });
            let all = config.regions.iter().map(|r| r.name).filter(|r| *r != observer);
            all.fold(seen, |row, from| row.measure(from, Lag::new(Some(Duration::ZERO), None)))
                .seal(&config.regions)
        };
        let rows: Vec<Observation> =
            config.regions.iter().map(|r| r.name).filter(|r| !down.contains(r)).map(row).collect();
        let judged: Vec<_> = rows.iter().map(|r| (r, true)).collect();
        judge(&judged, &config.regions, &config.health, None)
    }

    async fn turn(control: &ControlTable<MemoryRows>, watch: &mut Watch, down: &[&str], now: u64) -> Turn {
        let config = config();
        let down: Vec<RegionName> = down.iter().map(|n| name(n)).collect();
        steer(
            &config,
            name("us-east-1"),
            &verdicts(&config, &down),
            control,
            watch,
            &ManualClock::at(at(now)),
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_dead_primary_is_left_in_one_turn_and_comes_home_in_steps() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        let mut watch = Watch::default();
        let began = turn(&control, &mut watch, &[], 0).await;
        assert_eq!(began.record.unwrap().active, name("us-west-2"));
        let left = turn(&control, &mut watch, &["us-west-2"], 10).await;
        assert_eq!(left.moved, [(name("us-west-2"), name("us-east-1"))]);
        assert_eq!(left.record.unwrap().epoch, 2);
        for now in (20..600).step_by(10) {
            let down: &[&str] = if now < 100 { &["us-west-2"] } else { &[] };
            turn(&control, &mut watch, down, now).await;
        }
        let record = control.record().await.unwrap().unwrap();
        assert_eq!((record.active, record.epoch), (name("us-west-2"), 3));
        let moves = control.moves(10).await.unwrap();
        assert_eq!(moves.iter().map(|m| m.epoch).collect::<Vec<_>>(), [3, 2]);
        assert!(moves.iter().all(|m| m.verified), "{moves:?}");
        let votes = moves[1].saw[0].votes.unwrap();
        assert_eq!((votes.up, votes.slow, votes.down, votes.uncounted), (0, 0, 3, 1), "{}", moves[1]);
    }

    #[tokio::test]
    async fn two_controllers_make_one_move() {
        let rows = MemoryRows::default();
        let (a, b) = (ControlTable::new(vec![rows.replica()]), ControlTable::new(vec![rows.replica()]));
        let (mut watch_a, mut watch_b) = (Watch::default(), Watch::default());
        turn(&a, &mut watch_a, &[], 0).await;
        turn(&b, &mut watch_b, &[], 0).await;
        let (one, two) = tokio::join!(
            turn(&a, &mut watch_a, &["us-west-2"], 60),
            turn(&b, &mut watch_b, &["us-west-2"], 60)
        );
        assert_eq!(one.moved.len() + two.moved.len(), 1);
        assert_eq!(a.record().await.unwrap().unwrap().epoch, 2);
    }

    #[tokio::test]
    async fn nothing_is_decided_when_control_cannot_be_reached() {
        let rows = MemoryRows::default();
        rows.cut(true);
        let control = ControlTable::new(vec![rows]);
        let config = config();
        let all = verdicts(&config, &[]);
        let turn =
            steer(&config, name("us-east-1"), &all, &control, &mut Watch::default(), &ManualClock::at(at(0)))
                .await;
        assert!(turn.is_err());
    }
}
