//! Rulings of operators on regions.
//!
//! Each is listed before it is made, with who made it and why, and is then kept
//! until its time is over or an operator takes it away: automation writes no pins.

use std::{fmt, time::Duration};

use sealane::{
    config::Config,
    failover::{Order, Pin, Rule},
    ports::Rows,
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
};
use serde::Serialize;

use super::status::at;
use crate::{console::Console, exit::Exit, fault::Fault, world::World};

const PINS: &str = "the pins";
const ORDERS: &str = "the list of orders";

/// What an operator rules.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) region: RegionName,
    pub(super) rule: Rule,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) term: Duration,
}

/// What an operator takes back.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) region: RegionName,
    /// Take away nothing but a pin with this rule.
    pub(super) only: Option<Rule>,
    pub(super) by: String,
    pub(super) reason: String,
}

/// A ruling that now stands.
#[derive(Debug, PartialEq, Serialize)]
struct Pinned {
    #[serde(flatten)]
    pin: Pin,
    /// The ruling that it took the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Pin>,
}

/// A region without a ruling.
#[derive(Debug, PartialEq, Serialize)]
struct Unpinned {
    region: RegionName,
    by: String,
    /// The ruling that stood before.
    was: Option<Pin>,
}

/// Sets the ruling on a region, in place of the one it had.
pub(super) async fn pin(ruling: Ruling, config: Config, console: Console) -> Result<Exit, Fault> {
    let control = World::connect(config).await.control();
    console.show(&set(ruling, &control, World::now()).await?)?;
    Ok(Exit::Done)
}

/// Takes the ruling on a region away.
pub(super) async fn unpin(release: Release, config: Config, console: Console) -> Result<Exit, Fault> {
    let control = World::connect(config).await.control();
    console.show(&clear(release, &control, World::now()).await?)?;
    Ok(Exit::Done)
}

async fn set<R: Rows>(ruling: Ruling, control: &ControlTable<R>, now: Timestamp) -> Result<Pinned, Fault> {
    let Ruling { region, rule, by, reason, term } = ruling;
    let was = standing(control, region).await?.filter(|pin| pin.is_live(now));
    let pin = Pin { region, rule, owner: by.clone(), reason: reason.clone(), expires: now.after(term) };
    list(control, &by, &reason, Order::Pin { pin: pin.clone(), was: was.clone() }, now).await?;
    control.pin(&pin).await.map_err(|source| Fault::Write { what: PINS, source })?;
    Ok(Pinned { pin, was })
}

async fn clear<R: Rows>(
    release: Release,
    control: &ControlTable<R>,
    now: Timestamp,
) -> Result<Unpinned, Fault> {
    let Release { region, only, by, reason } = release;
    let was = standing(control, region).await?;
    if let Some(pin) = was.as_ref().filter(|pin| only.is_some_and(|rule| rule != pin.rule)) {
        return Err(Fault::NotDrained { region, pin: pin.to_string() });
    }
    list(control, &by, &reason, Order::Unpin { region, was: was.clone() }, now).await?;
    control.unpin(region).await.map_err(|source| Fault::Write { what: PINS, source })?;
    Ok(Unpinned { region, by, was })
}

async fn standing<R: Rows>(control: &ControlTable<R>, region: RegionName) -> Result<Option<Pin>, Fault> {
    let pins = control.pins().await.map_err(|source| Fault::Read { what: PINS, source })?;
    Ok(pins.into_iter().find(|pin| pin.region == region))
}

async fn list<R: Rows>(
    control: &ControlTable<R>,
    by: &str,
    reason: &str,
    order: Order,
    now: Timestamp,
) -> Result<(), Fault> {
    let listed = control.order(by, reason, order, now).await;
    listed.map(drop).map_err(|source| Fault::Write { what: ORDERS, source })
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, until {}", self.pin, at(self.pin.expires))?;
        match &self.was {
            Some(was) => write!(f, "\nit takes the place of: {was}"),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use sealane::memory::MemoryRows;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ruling(rule: Rule, by: &str) -> Ruling {
        Ruling {
            region: "us-west-2".parse().unwrap(),
            rule,
            by: by.to_owned(),
            reason: "maintenance".to_owned(),
            term: HOUR,
        }
    }

    fn release(only: Option<Rule>) -> Release {
        let region = "us-west-2".parse().unwrap();
        Release { region, only, by: "bob".to_owned(), reason: "over".to_owned() }
    }

    #[tokio::test]
    async fn the_history_outlives_the_pin() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        set(ruling(Rule::Drain, "ada"), &control, Timestamp::default()).await.unwrap();
        let gone = clear(release(None), &control, Timestamp::default()).await.unwrap();
        assert_eq!(gone.was.unwrap().owner, "ada");
        assert_eq!(control.pins().await.unwrap(), []);
        let told: Vec<_> = control.orders(10).await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "order 2: bob ordered `no ruling on us-west-2 any more, it was [ada ruled `drain us-west-2`: \
                 maintenance]`: over",
                "order 1: ada ordered `drain us-west-2`: maintenance"
            ]
        );
    }

    #[tokio::test]
    async fn a_pin_that_takes_the_place_of_another_says_so() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        set(ruling(Rule::Stay, "ada"), &control, Timestamp::default()).await.unwrap();
        let second = set(ruling(Rule::Drain, "bob"), &control, Timestamp::default()).await.unwrap();
        assert_eq!(second.was.as_ref().unwrap().owner, "ada");
        assert!(second.to_string().ends_with("ada ruled `stay in us-west-2`: maintenance"), "{second}");
        let late = Timestamp::default().after(2 * HOUR);
        assert_eq!(set(ruling(Rule::Stay, "eve"), &control, late).await.unwrap().was, None);
    }

    #[tokio::test]
    async fn undrain_takes_no_other_ruling_away() {
        let control = ControlTable::new(vec![MemoryRows::default()]);
        set(ruling(Rule::Forbid, "ada"), &control, Timestamp::default()).await.unwrap();
        let refused = clear(release(Some(Rule::Drain)), &control, Timestamp::default()).await;
        assert!(matches!(refused, Err(Fault::NotDrained { .. })), "{refused:?}");
        assert_eq!(control.pins().await.unwrap().len(), 1);
        set(ruling(Rule::Drain, "ada"), &control, Timestamp::default()).await.unwrap();
        clear(release(Some(Rule::Drain)), &control, Timestamp::default()).await.unwrap();
        assert_eq!(control.pins().await.unwrap(), []);
    }

    #[tokio::test]
    async fn nothing_is_ruled_that_cannot_be_listed() {
        let rows = MemoryRows::default();
        let control = ControlTable::new(vec![rows.replica()]);
        let silent = rows.replica();
        silent.cut(true);
        let cut = ControlTable::new(vec![silent]);
        let refused = set(ruling(Rule::Stay, "ada"), &cut, Timestamp::default());
        assert!(refused.await.is_err());
        assert_eq!(control.pins().await.unwrap(), []);
    }
}
