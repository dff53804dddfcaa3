//! `sealane replication dlq` and `redrive`: what rests in the dead-letter queues, and its way back.
//!
//! A message is sent back first and taken away second, so that whoever is killed between leaves it in
//! both queues: it is sent once more by the next redrive, and an event that comes twice changes nothing.

use std::{collections::BTreeSet, fmt, time::Duration};

use futures::future::join_all;
use sealane::{
    region::RegionName,
    time::{Human, Timestamp},
};
use serde::Serialize;

use super::{
    poison::{Kind, Why, why},
    queues::{QueueError, Queues, Resting},
};
use crate::{exit::Exit, table::Table};

/// Which messages are looked at, and what is done with them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Back {
    #[command(flatten)]
    pub(super) place: Place,
    /// Send the messages back; without this, they are only looked at
    #[arg(long)]
    pub(super) apply: bool,
    /// Send back what cannot be read, too, as when a newer version of the function can
    #[arg(long)]
    pub(super) poison: bool,
}

/// Where messages rest.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Place {
    /// Only this region
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
    /// Name of the queue of upload events [default: that of the ledger's stack, as in `sealane-uploads`]
    #[arg(long, value_name = "NAME")]
    pub(super) queue: Option<String>,
}

impl Place {
    /// The queue's name, where the template gives it and the table `ledger` one prefix.
    pub(super) fn queue(&self, ledger: &str) -> String {
        let prefix = ledger.strip_suffix("-ledger").unwrap_or("sealane");
        self.queue.clone().unwrap_or_else(|| format!("{prefix}-uploads"))
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// It rests where it was.
    Rests,
    /// It would be sent back.
    WouldGo,
    /// It was sent back and taken away.
    Sent,
    /// It was sent back, or may have been, and rests still: it may come twice.
    InDoubt,
}

/// One message.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    region: RegionName,
    id: String,
    fate: Fate,
    received: u32,
    /// Since it was sent first, in milliseconds.
    age_ms: Option<u64>,
    #[serde(flatten)]
    why: Why,
}

/// What was found, and what was done.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Redriven {
    messages: Vec<Line>,
    /// Regions whose queue did not do what was asked, and why: what rests there is not known.
    unknown: Vec<String>,
}

impl Redriven {
    /// What the exit code says.
    pub(super) fn exit(&self) -> Exit {
        let in_doubt = self.messages.iter().any(|line| line.fate == Fate::InDoubt);
        if in_doubt || !self.unknown.is_empty() { Exit::Unknown } else { Exit::Done }
    }

    /// Adds a region that could not be asked.
    pub(super) fn silent(&mut self, region: RegionName, error: &QueueError) {
        self.unknown.push(format!("{region}: {}", chain(error)));
    }

    fn count(&self, fate: Fate) -> usize {
        self.messages.iter().filter(|line| line.fate == fate).count()
    }
}

/// The messages of `error` and all its sources, outermost first.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Looks at all that rests in `region`, whose bucket is `own`, and sends back what `back` says.
///
/// What stays is hidden while it is looked at, so that each message is met once, and shown again at the end.
pub(super) async fn region<Q: Queues>(
    queues: &Q,
    (region, own): (RegionName, Option<&str>),
    back: &Back,
    now: Timestamp,
    found: &mut Redriven,
) {
    let (mut met, mut stay) = (BTreeSet::new(), Vec::new());
    loop {
        let batch = match queues.receive().await {
            Ok(batch) => batch,
            Err(error) => break found.silent(region, &error),
        };
        let fresh: Vec<Resting> =
            batch.into_iter().filter(|message| met.insert(message.id.clone())).collect();
        if fresh.is_empty() {
            break;
        }
        let told =
            join_all(fresh.iter().map(|message| settle(queues, message, why(message, own), back))).await;
        let mut refused = None;
        for (message, (fate, why, error)) in fresh.into_iter().zip(told) {
            let age_ms = message.sent.map(|sent| sealane::time::millis(now.since(sent)));
            let line = Line { region, id: message.id.clone(), fate, received: message.received, age_ms, why };
            found.messages.push(line);
            if fate != Fate::Sent {
                stay.push(message);
            }
            refused = refused.or(error);
        }
        // A queue that takes one message badly is not fed the others.
        if let Some(error) = refused {
            break found.silent(region, &error);
        }
    }
    // What cannot be shown again shows itself within a minute.
    join_all(stay.iter().map(|message| queues.show(message))).await;
}

/// Sends one message back, if it is to go.
async fn settle<Q: Queues>(
    queues: &Q,
    message: &Resting,
    why: Why,
    back: &Back,
) -> (Fate, Why, Option<QueueError>) {
    let goes = match why.kind {
        Kind::Poison => back.poison,
        Kind::Spent => true,
    };
    if !goes {
        return (Fate::Rests, why, None);
    }
    if !back.apply {
        return (Fate::WouldGo, why, None);
    }
    match queues.send(&message.body).await {
        Ok(()) => {}
        Err(error @ QueueError::NoAnswer { .. }) => return (Fate::InDoubt, why, Some(error)),
        Err(error @ QueueError::Refused { .. }) => return (Fate::Rests, why, Some(error)),
    }
    match queues.remove(message).await {
        Ok(()) => (Fate::Sent, why, None),
        Err(error) => (Fate::InDoubt, why, Some(error)),
    }
}

impl fmt::Display for Redriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.messages.is_empty() {
            let mut table = Table::new(["region", "state", "age", "key", "reason"]);
            for line in &self.messages {
                let state = match (line.fate, line.why.kind) {
                    (Fate::Rests, Kind::Poison) => "poison, rests",
                    (Fate::Rests, Kind::Spent) => "rests",
                    (Fate::WouldGo, _) => "can go back",
                    (Fate::Sent, _) => "sent back",
                    (Fate::InDoubt, _) => "in doubt",
                };
                let age = |ms: u64| Human(Duration::from_secs(ms / 1_000)).to_string();
                table.row(vec![
                    line.region.to_string(),
                    state.to_owned(),
                    line.age_ms.map_or_else(|| "-".to_owned(), age),
                    line.why.key.clone().unwrap_or_else(|| "-".to_owned()),
                    line.why.reason.clone(),
                ]);
            }
            writeln!(f, "{table}")?;
        }
        match (self.messages.len(), self.unknown.is_empty()) {
            (0, true) => f.write_str("no message rests in a dead-letter queue")?,
            (0, false) => f.write_str("no message was seen")?,
            (n, _) => {
                let [rests, go, sent, doubt] =
                    [Fate::Rests, Fate::WouldGo, Fate::Sent, Fate::InDoubt].map(|fate| self.count(fate));
                write!(
                    f,
                    "{n} messages: {rests} rest, {go} can go back (`sealane replication redrive --apply`), {sent} were sent back"
                )?;
                if doubt > 0 {
                    write!(f, ", {doubt} may come twice, which does no harm")?;
                }
            }
        }
        self.unknown.iter().try_for_each(|region| write!(f, "\nunknown: {region}"))
    }
}

#[cfg(test)]
mod tests;
