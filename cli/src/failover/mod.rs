//! `sealane failover`: which region is active, how that would change, and what operators rule.

mod history;
mod moves;
mod pins;
mod status;

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use sealane::{config::Config, failover::Rule, region::RegionName};

pub(crate) use status::at;

use crate::{console::Console, exit::Exit, fault::Fault, named};

/// Arguments of `sealane failover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which region is active, and what would be decided now
    Status,
    /// List past moves and what operators ordered, newest first
    History {
        /// Most moves, and most orders, to list
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
        /// Columns for people, or everything that is recorded
        #[arg(long, value_enum, default_value = "table")]
        output: history::Output,
    },
    /// Tell the story of each past move, newest first
    List {
        /// Most moves to tell of
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Ask for a move, which the next controller carries out if the region is up
    Move {
        /// Where the move goes
        to: String,
        #[command(flatten)]
        who: Who,
    },
    /// Propose a move, which another operator has to approve within an hour
    Propose {
        /// Where the move goes
        to: String,
        #[command(flatten)]
        who: Who,
    },
    /// Approve the move that waits for approval, and that somebody else proposed
    Approve {
        /// Where the move goes
        to: String,
        /// Who approves
        #[arg(long, value_name = "NAME", value_parser = named::words)]
        by: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "approved", value_parser = named::words)]
        reason: String,
    },
    /// Reject the move that waits for approval, for an hour
    Reject {
        /// Where the move goes
        to: String,
        #[command(flatten)]
        who: Who,
    },
    /// Rule on a region, above what automation would do
    Pin {
        /// The region
        region: String,
        /// Work stays there, never moves there, or leaves it
        #[arg(long, value_enum)]
        rule: RuleName,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        term: Term,
    },
    /// Take the ruling on a region away
    Unpin {
        /// The region
        region: String,
        #[command(flatten)]
        who: Who,
    },
    /// Empty a region: no new work goes there, and the active primary leaves it gracefully
    Drain {
        /// The region
        region: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        term: Term,
    },
    /// Let work go to a drained region again
    Undrain {
        /// The region
        region: String,
        #[command(flatten)]
        who: Who,
    },
}

/// Who orders something, and why.
#[derive(Debug, clap::Args)]
struct Who {
    /// Who orders it
    #[arg(long, value_name = "NAME", value_parser = named::words)]
    by: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = named::words)]
    reason: String,
}

/// How long a ruling holds.
#[derive(Debug, clap::Args)]
struct Term {
    /// How long it holds, such as 30m or 1h, at most 30 days
    #[arg(long = "for", value_name = "DURATION", value_parser = named::term)]
    term: Duration,
}

/// The rules, as the command line names them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RuleName {
    /// Work stays there
    Stay,
    /// Work never moves there
    Forbid,
    /// Work leaves it and does not come back
    Drain,
}

impl From<RuleName> for Rule {
    fn from(name: RuleName) -> Self {
        match name {
            RuleName::Stay => Self::Stay,
            RuleName::Forbid => Self::Forbid,
            RuleName::Drain => Self::Drain,
        }
    }
}

/// Shows or steers which region is active.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    use moves::Verb;
    match args.command {
        Command::Status => status::status(config, console).await,
        Command::List { limit } => status::list(limit.into(), config, console).await,
        Command::History { limit, output } => {
            let console = console.or_json(output == history::Output::Json);
            history::history(limit.into(), config, console).await
        }
        Command::Move { to, who } => wish(Verb::Move, &to, who, config, console).await,
        Command::Propose { to, who } => wish(Verb::Propose, &to, who, config, console).await,
        Command::Approve { to, by, reason } => {
            wish(Verb::Approve, &to, Who { by, reason }, config, console).await
        }
        Command::Reject { to, who } => wish(Verb::Reject, &to, who, config, console).await,
        Command::Pin { region, rule, who, term } => {
            let region = named::region(&config, "REGION", &region)?;
            pins::pin(ruling(region, rule.into(), who, term), config, console).await
        }
        Command::Drain { region, who, term } => {
            let region = named::full_region(&config, "REGION", &region)?;
            pins::pin(ruling(region, Rule::Drain, who, term), config, console).await
        }
        Command::Unpin { region, who } => {
            let region = named::region(&config, "REGION", &region)?;
            pins::unpin(release(region, None, who), config, console).await
        }
        Command::Undrain { region, who } => {
            let region = named::region(&config, "REGION", &region)?;
            pins::unpin(release(region, Some(Rule::Drain), who), config, console).await
        }
    }
}

async fn wish(
    verb: moves::Verb,
    to: &str,
    who: Who,
    config: Config,
    console: Console,
) -> Result<Exit, Fault> {
    let to = named::full_region(&config, "TO", to)?;
    let Who { by, reason } = who;
    moves::run(moves::Wish { verb, to, by, reason }, config, console).await
}

fn ruling(region: RegionName, rule: Rule, who: Who, term: Term) -> pins::Ruling {
    pins::Ruling { region, rule, by: who.by, reason: who.reason, term: term.term }
}

fn release(region: RegionName, only: Option<Rule>, who: Who) -> pins::Release {
    pins::Release { region, only, by: who.by, reason: who.reason }
}
