//! `sealane failover`: which region is active, how that would change, and what operators rule.

mod moves;
mod pins;
mod status;

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use sealane::{config::Config, failover::Rule};

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
    /// List past moves, newest first
    List {
        /// Most moves to list
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Approve the move that waits for approval
    Approve {
        /// Where the move goes
        to: String,
        /// Who approves
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Ask for a move, which the next controller carries out if the region is up
    Move {
        /// Where the move goes
        to: String,
        /// Who asks
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Rule on a region, above what automation would do
    Pin {
        /// The region
        region: String,
        /// Work stays there, never moves there, or leaves it
        #[arg(long, value_enum)]
        rule: RuleName,
        /// Who rules
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How long it holds, such as 30m or 1h
        #[arg(long = "for", value_name = "DURATION", value_parser = named::term)]
        term: Duration,
    },
    /// Take the ruling on a region away
    Unpin {
        /// The region
        region: String,
        /// Who takes it away
        #[arg(long, value_name = "NAME")]
        by: String,
    },
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
    match args.command {
        Command::Status => status::status(config, console).await,
        Command::List { limit } => status::list(limit.into(), config, console).await,
        Command::Approve { to, by } => {
            let to = named::full_region(&config, "TO", &to)?;
            moves::run(moves::Order::Approve { to, by }, config, console).await
        }
        Command::Move { to, by, reason } => {
            let to = named::full_region(&config, "TO", &to)?;
            moves::run(moves::Order::Move { to, by, reason }, config, console).await
        }
        Command::Pin { region, rule, by, reason, term } => {
            let region = named::region(&config, "REGION", &region)?;
            let ruling = pins::Ruling { region, rule: rule.into(), by, reason, term };
            pins::pin(ruling, config, console).await
        }
        Command::Unpin { region, by } => {
            let region = named::region(&config, "REGION", &region)?;
            pins::unpin(region, by, config, console).await
        }
    }
}
