//! One look: everything that is wanted at once, what is in doubt again and again, and
//! the doubt told to the peers before the last answer is in.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use sealane::{
    health::{Observation, Probe},
    ports::{Apis, Clock, Objects, Rows},
    region::{Capability, Region, RegionName},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    Deps, Doors, State, marks,
    probe::{self, Acknowledged, Answers, Service, Stamp},
    row::{self, Published, Written},
    sheet::{ROUNDS_MAX, Sheet},
};

/// Time between the starts of two probes of one service in one look.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// What one look wants to know: capabilities by region.
pub(crate) type Wanted<'a> = Vec<(&'a Region, Vec<Capability>)>;

/// Whether the peers hear of doubts before the look is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// In a regular tick, once.
    Doubts,
    /// In a look that was taken because a peer has told already.
    Nothing,
}

/// Something that a look waits for.
enum Wait<'a> {
    Round(u32),
    Probe(&'a Region, Service, usize),
    Published(Box<Observation>),
}

/// Something that a look waited for.
enum Event {
    Round(u32),
    Probed(RegionName, Service, usize, Vec<(Capability, Probe)>),
    Published(Published),
}

/// Asks all that is `wanted`, and gives the answers that count, a region at a time;
/// nothing when another invocation of this prober turned up meanwhile.
pub(crate) async fn look<D, R, C, T, O, A>(
    deps: &Deps<D, R, C>,
    doors: &Doors<T, O, A>,
    state: &mut State,
    wanted: &Wanted<'_>,
    stamp: Stamp,
    tell: Tell,
) -> Option<Vec<Answers>>
where
    R: Rows,
    T: Rows,
    O: Objects,
    A: Apis,
    C: Clock,
{
    let started = Instant::now();
    let (held, read) = (state.acknowledged.clone(), state.row);
    let wait = |wait| happen(deps, doors, &held, read, stamp, started, wait);
    let region = |name: RegionName| wanted.iter().find(|(r, _)| r.name == name).map(|(r, _)| *r);
    let mut sheet = sheet(state, wanted);
    let mut out = FuturesUnordered::new();
    let (mut tell, mut telling, mut rounds) = (tell, false, 0);
    out.push(wait(Wait::Round(0)));
    while let Some(event) = out.next().await {
        match event {
            Event::Round(round) => {
                rounds = round;
                let again = sheet.ask().into_iter();
                let again = again.filter_map(|(name, service, round)| Some((region(name)?, service, round)));
                out.extend(again.map(|(region, service, round)| wait(Wait::Probe(region, service, round))));
                if round + 1 < ROUNDS_MAX {
                    out.push(wait(Wait::Round(round + 1)));
                }
            }
            Event::Probed(region, service, round, answer) => sheet.enter(region, service, round, answer),
            Event::Published(published) => {
                telling = false;
                if row::settle(state, published) == Written::ByAnother {
                    return None;
                }
            }
        }
        let is_time = rounds > 0 || sheet.is_first_round_in();
        if tell == Tell::Doubts && is_time && !sheet.doubted().is_empty() {
            (tell, telling) = (Tell::Nothing, true);
            marks::measure(state, deps.clock.now());
            row::seal(state, &sheet.doubted(), &deps.config.regions);
            out.push(wait(Wait::Published(Box::new(state.observation.clone()))));
        }
        // What is still out then would count for nothing.
        if sheet.is_settled() && !telling {
            break;
        }
    }
    drop(out);
    Some(answers(&sheet))
}

/// An empty sheet for what is `wanted`.
fn sheet(state: &State, wanted: &Wanted<'_>) -> Sheet {
    let mut sheet = Sheet::default();
    for (region, capabilities) in wanted {
        for capability in capabilities {
            let holds_up = state.observation.holds_up(region.name, *capability);
            sheet.want(region.name, *capability, holds_up, region.health_check.failure_threshold);
        }
    }
    sheet
}

fn answers(sheet: &Sheet) -> Vec<Answers> {
    let outcomes = sheet.outcomes().into_iter();
    outcomes.map(|(region, probes)| Answers { region, probes }).collect()
}

async fn happen<D, R, C, T, O, A>(
    deps: &Deps<D, R, C>,
    doors: &Doors<T, O, A>,
    held: &BTreeMap<RegionName, Acknowledged>,
    read: crate::Row,
    stamp: Stamp,
    started: Instant,
    wait: Wait<'_>,
) -> Event
where
    R: Rows,
    T: Rows,
    O: Objects,
    A: Apis,
    C: Clock,
{
    match wait {
        Wait::Round(round) => {
            sleep_until(started + CONFIRM_EVERY * round).await;
            Event::Round(round)
        }
        Wait::Probe(region, service, round) => {
            let held = held.get(&region.name).copied().unwrap_or_default();
            let answer = probe::service(doors, region, service, stamp, held).await;
            Event::Probed(region.name, service, round, answer)
        }
        Wait::Published(observation) => Event::Published(row::write(&deps.own, &observation, read).await),
    }
}
