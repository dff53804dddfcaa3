//! Rulings of operators on regions.

use std::{fmt, time::Duration};

use sealane::{
    config::Config,
    failover::{Pin, Rule},
    region::RegionName,
};
use serde::Serialize;

use super::status::at;
use crate::{console::Console, exit::Exit, fault::Fault, world::World};

const PINS: &str = "the pins";

/// What an operator rules.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) region: RegionName,
    pub(super) rule: Rule,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) term: Duration,
}

/// A ruling that now stands.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Pinned(Pin);

/// A region without a ruling.
#[derive(Debug, Serialize)]
struct Unpinned {
    region: RegionName,
    by: String,
    /// The ruling that stood before.
    was: Option<Pin>,
}

/// Sets the ruling on a region, in place of the one it had.
pub(super) async fn pin(ruling: Ruling, config: Config, console: Console) -> Result<Exit, Fault> {
    let Ruling { region, rule, by, reason, term } = ruling;
    let world = World::connect(config).await;
    let pin = Pin { region, rule, owner: by, reason, expires: World::now().after(term) };
    world.control().pin(&pin).await.map_err(|source| Fault::Write { what: PINS, source })?;
    console.show(&Pinned(pin))?;
    Ok(Exit::Done)
}

/// Takes the ruling on a region away.
pub(super) async fn unpin(
    region: RegionName,
    by: String,
    config: Config,
    console: Console,
) -> Result<Exit, Fault> {
    let control = World::connect(config).await.control();
    let pins = control.pins().await.map_err(|source| Fault::Read { what: PINS, source })?;
    let was = pins.into_iter().find(|pin| pin.region == region);
    control.unpin(region).await.map_err(|source| Fault::Write { what: PINS, source })?;
    console.show(&Unpinned { region, by, was })?;
    Ok(Exit::Done)
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, until {}", self.0, at(self.0.expires))
    }
}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.was {
            Some(pin) => write!(f, "no ruling on {} any more; it was: {pin}", self.region),
            None => write!(f, "there was no ruling on {}", self.region),
        }
    }
}
