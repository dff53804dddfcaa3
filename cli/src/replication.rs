//! `sealane replication`: the copies that regions owe one another.

use std::fmt;

use clap::Subcommand;
use sealane::{
    config::Config,
    ports::{Rows, RowsError},
    region::RegionName,
    replication::{Entry, Phase},
    store::LedgerTable,
    time::{Human, Timestamp},
    units::ByteSize,
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, table::Table, world::World};

/// Arguments of `sealane replication`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the copies that are owed, by the region that has to send them
    Owed {
        /// Most copies to list of each region
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
}

/// One copy that is owed.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    key: String,
    size: ByteSize,
    from: RegionName,
    to: RegionName,
    phase: &'static str,
    attempts: u32,
    /// Milliseconds until it is tried again; `None` while it is copied or may be tried at once.
    next_try_in_ms: Option<u64>,
    reason: Option<String>,
}

/// Every copy that is owed.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Report {
    owed: Vec<Line>,
}

/// Shows the copies that regions owe one another.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let Command::Owed { limit } = args.command;
    let world = World::connect(config).await;
    let ledgers: Vec<_> = world.ledgers().map(LedgerTable::new).collect();
    let mut owed = Vec::new();
    for payer in world.config.full_regions() {
        let entries = of_payer(&ledgers, payer.name, limit.into()).await;
        let entries = entries.map_err(|source| Fault::Read { what: "the ledger", source })?;
        owed.extend(entries.iter().map(|entry| line(entry, World::now())));
    }
    console.show(&Report { owed })?;
    Ok(Exit::Done)
}

/// What `payer` owes, by the first replica that answers: silence is not an empty list.
async fn of_payer<R: Rows>(
    ledgers: &[LedgerTable<R>],
    payer: RegionName,
    limit: usize,
) -> Result<Vec<Entry>, RowsError> {
    let mut silent = None;
    for ledger in ledgers {
        match ledger.owed(payer, limit).await {
            Err(error) if error.is_outage() => silent = Some(error),
            Err(error) => return Err(error),
            Ok(entries) => return Ok(entries.into_iter().map(|entry| entry.value).collect()),
        }
    }
    silent.map_or(Ok(Vec::new()), Err)
}

fn line(entry: &Entry, now: Timestamp) -> Line {
    let (phase, next_try, reason) = match &entry.phase {
        Phase::Pending => ("pending", None, None),
        Phase::Copying(claim) => ("copying", None, Some(format!("`{}` is at it", claim.owner))),
        Phase::Failed { reason, next_try } => ("failed", Some(*next_try), Some(reason.to_string())),
        Phase::Void { reason } => ("void", None, Some(reason.to_string())),
        // The index may lag behind the table.
        Phase::Verified { .. } => ("verified", None, None),
    };
    Line {
        key: entry.source.key.clone(),
        size: entry.source.size,
        from: entry.source.region,
        to: entry.destination,
        phase,
        attempts: entry.attempts,
        next_try_in_ms: next_try.map(|at| sealane::time::millis(at.since(now))),
        reason,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.owed.is_empty() {
            return f.write_str("no copy is owed");
        }
        let mut table = Table::new(["to", "from", "phase", "tries", "next try", "size", "key", "reason"]);
        for line in &self.owed {
            let wait = |ms| format!("in {}", Human(std::time::Duration::from_secs(ms / 1_000)));
            table.row(vec![
                line.to.to_string(),
                line.from.to_string(),
                line.phase.to_owned(),
                line.attempts.to_string(),
                line.next_try_in_ms.map_or_else(|| "-".to_owned(), wait),
                line.size.to_string(),
                line.key.clone(),
                line.reason.clone().unwrap_or_default(),
            ]);
        }
        table.fmt(f)
    }
}
