//! `sealane replication`: the copies that regions owe one another.

mod plan;
mod poison;
mod queues;
mod redrive;
mod resync;
mod retry;
mod status;

use std::fmt;

use clap::Subcommand;
use queues::SqsQueues;
use sealane::{
    aws::{DynamoRows, S3Objects, SystemClock},
    config::Config,
    ports::{Rows, RowsError},
    region::RegionName,
    replication::{Entry, Phase},
    store::LedgerTable,
    time::{Human, Timestamp},
    units::ByteSize,
    upload::Reason,
};
use serde::Serialize;
use upload_orchestrator::{Deps, NoBucket, Policy};

use crate::{
    console::{Console, warn},
    exit::Exit,
    fault::Fault,
    named::full_region,
    table::Table,
    world::World,
};

/// Most copies of each region that are counted or made due.
const COUNTED_MAX: usize = 100_000;

/// Arguments of `sealane replication`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the copies that are owed or were missed, by the region that has to send them
    Owed {
        /// Most copies to list of each region
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Sum up what each region owes each other one, and since when
    Status,
    /// Have failed copies tried again with the next sweep
    Retry(retry::Which),
    /// List what rests in the dead-letter queues, and why
    Dlq(redrive::Place),
    /// Send what rests in the dead-letter queues back to be read again
    Redrive(redrive::Back),
    /// Compare the listings of the regions, and write down what is owed
    Resync(resync::Range),
    /// Show where objects go by the configuration, who copies from whom, and what that costs
    Plan(plan::Scope),
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
    if let Command::Plan(scope) = &args.command {
        console.show(&plan::plan(&config, scope)?)?;
        return Ok(Exit::Done);
    }
    let world = World::connect(config).await;
    match args.command {
        Command::Plan(_) => {}
        Command::Owed { limit } => {
            let mut entries = all_owed(&world, limit.into()).await?;
            entries.extend(all(&world, limit.into(), Debts::Missed).await?);
            console
                .show(&Report { owed: entries.iter().map(|entry| line(entry, World::now())).collect() })?;
        }
        Command::Status => {
            console.show(&status::Status::of(&all_owed(&world, COUNTED_MAX).await?, World::now()))?;
        }
        Command::Retry(which) => {
            let payers = world.config.full_regions();
            let ledgers = payers.map(|payer| (payer.name, LedgerTable::new(world.ledger_of(payer))));
            let (retried, silent) = retry::retry(ledgers, &which, World::now()).await;
            console.show(&retried)?;
            warn(&silent);
            if !silent.is_empty() {
                return Ok(Exit::Failed);
            }
        }
        Command::Dlq(place) => {
            let back = redrive::Back { place, ..redrive::Back::default() };
            return redriven(&world, &back, console).await;
        }
        Command::Redrive(back) => return redriven(&world, &back, console).await,
        Command::Resync(range) => {
            let deps = seat(&world, range.from)?;
            let found = resync::resync(&deps, &range).await.map_err(|e| Fault::Walk(Box::new(e)))?;
            console.show(&found)?;
            if !found.is_whole() {
                return Ok(Exit::Failed);
            }
        }
    }
    Ok(Exit::Done)
}

/// Looks at the dead-letter queue of each region that is meant, and shows what was found and done.
async fn redriven(world: &World, back: &redrive::Back, console: Console) -> Result<Exit, Fault> {
    let only = back.place.region.as_deref();
    let only = only.map(|name| full_region(&world.config, "--region", name)).transpose()?;
    let mut found = redrive::Redriven::default();
    let queue = back.place.queue(&world.config.tables.ledger);
    let account = world.config.account_id.as_deref();
    for region in world.config.full_regions().filter(|region| only.is_none_or(|only| only == region.name)) {
        let place = (region.name, region.bucket.as_deref());
        match SqsQueues::find(world.aws(), region, &queue, account).await {
            Ok(queues) => redrive::region(&queues, place, back, World::now(), &mut found).await,
            Err(error) => found.silent(region.name, &error),
        }
    }
    console.show(&found)?;
    Ok(found.exit())
}

/// The orchestrator of `region`, run from here.
fn seat(world: &World, region: RegionName) -> Result<Deps<S3Objects, DynamoRows, SystemClock>, Fault> {
    let own = world.config.region(region).filter(|r| r.is_full());
    let own = own.ok_or_else(|| Fault::Walk(Box::new(NoBucket(region).into())))?;
    Ok(Deps {
        config: world.config.clone(),
        here: region,
        buckets: world.buckets(),
        ledger: LedgerTable::new(world.ledger_of(own)),
        clock: SystemClock,
        pause: |span| Box::pin(tokio::time::sleep(span)),
        policy: Policy::default(),
    })
}

/// Which rows of a payer are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debts {
    /// Copies that are owed.
    Owed,
    /// Copies that were given up since a newer version came first.
    Missed,
}

/// What every region owes, up to `limit` copies each.
async fn all_owed(world: &World, limit: usize) -> Result<Vec<Entry>, Fault> {
    all(world, limit, Debts::Owed).await
}

/// The rows of every region, up to `limit` each.
async fn all(world: &World, limit: usize, which: Debts) -> Result<Vec<Entry>, Fault> {
    let ledgers: Vec<_> = world.ledgers().map(LedgerTable::new).collect();
    let mut owed = Vec::new();
    for payer in world.config.full_regions() {
        let entries = of_payer(&ledgers, payer.name, limit, which).await;
        owed.extend(entries.map_err(|source| Fault::Read { what: "the ledger", source })?);
    }
    Ok(owed)
}

/// What `payer` owes, by the first replica that answers: silence is not an empty list.
async fn of_payer<R: Rows>(
    ledgers: &[LedgerTable<R>],
    payer: RegionName,
    limit: usize,
    which: Debts,
) -> Result<Vec<Entry>, RowsError> {
    let mut silent = None;
    for ledger in ledgers {
        let rows = match which {
            Debts::Owed => ledger.owed(payer, limit).await,
            Debts::Missed => ledger.missed(payer, limit).await,
        };
        match rows {
            Err(error) if error.is_outage() => silent = Some(error),
            Err(error) => return Err(error),
            Ok(entries) => return Ok(entries.into_iter().map(|entry| entry.value).collect()),
        }
    }
    silent.map_or(Ok(Vec::new()), Err)
}

fn line(entry: &Entry, now: Timestamp) -> Line {
    let (phase, next_try, reason) = match &entry.phase {
        Phase::Pending => {
            ("pending", None, entry.awaits().map(|relay| format!("waits for the copy in {relay}")))
        }
        Phase::Copying(claim) => ("copying", None, Some(format!("`{}` is at it", claim.owner))),
        Phase::Failed { reason, next_try } => ("failed", Some(*next_try), Some(reason.to_string())),
        Phase::Void { reason: reason @ Reason::Overtaken { .. } } => {
            ("missed", None, Some(reason.to_string()))
        }
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
            return f.write_str("no copy is owed, and none was missed");
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
