//! What moved, and what operators ordered: the two append-only lists, newest first.

use std::fmt;

use clap::ValueEnum;
use sealane::{
    config::Config,
    failover::{Moved, Ordered},
    time::Human,
};
use serde::Serialize;

use super::status::at;
use crate::{console::Console, exit::Exit, fault::Fault, table::Table, world::World};

/// The form of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Padded columns
    Table,
    /// Everything that is recorded, as JSON
    Json,
}

/// Past moves and orders.
#[derive(Debug, PartialEq, Serialize)]
struct History {
    moves: Vec<Moved>,
    orders: Vec<Ordered>,
}

/// Shows past moves and orders, newest first.
pub(super) async fn history(limit: usize, config: Config, console: Console) -> Result<Exit, Fault> {
    let control = World::connect(config).await.control();
    let moves = control.moves(limit).await;
    let moves = moves.map_err(|source| Fault::Read { what: "the past moves", source })?;
    let orders = control.orders(limit).await;
    let orders = orders.map_err(|source| Fault::Read { what: "the list of orders", source })?;
    console.show(&History { moves, orders })?;
    Ok(Exit::Done)
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.moves.is_empty() {
            writeln!(f, "no move is recorded")?;
        } else {
            let mut table = Table::new(["epoch", "ended", "from", "to", "by", "lag", "phases", "because"]);
            self.moves.iter().for_each(|moved| table.row(moved_row(moved)));
            write!(f, "{table}")?;
        }
        if self.orders.is_empty() {
            return f.write_str("\nno order is recorded");
        }
        let mut table = Table::new(["order", "at", "by", "what", "until", "because"]);
        self.orders.iter().for_each(|ordered| table.row(ordered_row(ordered)));
        write!(f, "\n{table}")
    }
}

fn moved_row(moved: &Moved) -> Vec<String> {
    let lag = moved.lag_ms.map_or("unknown".to_owned(), |ms| format!("{ms} ms"));
    let phases: Vec<_> =
        moved.steps.iter().map(|step| format!("{} {}", step.phase.as_str(), Human(step.took))).collect();
    let seen = if moved.verified { "" } else { ", not seen working in time" };
    vec![
        moved.epoch.to_string(),
        at(moved.ended),
        moved.from.to_string(),
        moved.to.to_string(),
        moved.started_by.to_string(),
        lag,
        phases.join(", ") + seen,
        moved.reason.to_string(),
    ]
}

fn ordered_row(ordered: &Ordered) -> Vec<String> {
    use sealane::failover::Order;
    let until = match &ordered.order {
        Order::Pin { pin, .. } => at(pin.expires),
        Order::Unpin { .. }
        | Order::Move { .. }
        | Order::Propose { .. }
        | Order::Approve { .. }
        | Order::Reject { .. } => "-".to_owned(),
    };
    vec![
        ordered.number.to_string(),
        at(ordered.at),
        ordered.by.clone(),
        ordered.order.to_string(),
        until,
        ordered.reason.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sealane::{
        failover::{Order, Phase, Pin, Reason, Rule, Saw, Standing, StartedBy, Step, Votes},
        region::{Capability, RegionName},
        time::Timestamp,
    };

    use super::*;

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    fn history() -> History {
        let (west, east) = (name("us-west-2"), name("us-east-1"));
        let now = Timestamp::from_millis(1_700_000_000_000);
        let on = Capability::TableWrite;
        let saw = Saw {
            region: west,
            standing: Standing::Down { capability: on },
            votes: Some(Votes { on, up: 0, slow: 0, down: 3, uncounted: 1 }),
            load: None,
            full: false,
        };
        let took = Duration::from_secs(2);
        let moved = Moved {
            epoch: 2,
            from: west,
            to: east,
            reason: Reason::Down { region: west, capability: on },
            started_by: StartedBy::Automation,
            lag_ms: Some(40),
            loss_max_ms: None,
            saw: vec![saw],
            steps: vec![Step { phase: Phase::Switching { to: east }, at: now, took }],
            verified: true,
            ended: now,
            chain: None,
        };
        let pin = Pin {
            region: west,
            rule: Rule::Drain,
            owner: "ada".to_owned(),
            reason: "maintenance".to_owned(),
            expires: now.after(Duration::from_secs(3600)),
        };
        let ordered = Ordered {
            number: 1,
            at: now,
            by: "ada".to_owned(),
            reason: "maintenance".to_owned(),
            order: Order::Pin { pin, was: None },
            chain: None,
        };
        History { moves: vec![moved], orders: vec![ordered] }
    }

    #[test]
    fn the_table_says_who_moved_what_when_and_why() {
        assert_eq!(
            history().to_string(),
            "epoch  ended                 from       to         by          lag    phases        because\n\
             2      2023-11-14T22:13:20Z  us-west-2  us-east-1  automation  40 ms  switching 2s  \
             us-west-2 is down for table_write\n\
             \n\
             order  at                    by   what             until                 because\n\
             1      2023-11-14T22:13:20Z  ada  drain us-west-2  2023-11-14T23:13:20Z  maintenance\n"
        );
    }

    #[test]
    fn json_holds_the_votes_and_the_time_of_each_phase() {
        let json = serde_json::to_value(history()).unwrap();
        assert_eq!(json["moves"][0]["saw"][0]["votes"]["down"], 3);
        assert_eq!(json["moves"][0]["steps"][0]["took_ms"], 2000);
        assert_eq!(json["orders"][0]["order"], "pin");
        assert_eq!(json["orders"][0]["pin"]["rule"], "drain");
    }

    #[test]
    fn an_empty_history_says_so() {
        let none = History { moves: Vec::new(), orders: Vec::new() };
        assert_eq!(none.to_string(), "no move is recorded\n\nno order is recorded");
    }
}
