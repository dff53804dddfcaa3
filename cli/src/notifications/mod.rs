//! `sealane notifications`: what others have yet to be told, and what was given up.

mod retry;
mod status;

pub(crate) use retry::UnknownTarget;

use clap::Subcommand;
use sealane::{aws::DynamoRows, config::Config, notify::TargetName, store::NoticeTable};

use crate::{
    console::{Console, warn},
    exit::Exit,
    fault::Fault,
    named::full_region,
    world::World,
};

/// Most notices of each target that are looked at.
const COUNTED_MAX: usize = 10_000;

/// Arguments of `sealane notifications`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what waits and what is parked, by target, and why
    Status {
        /// Most notifications to list of each target
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        limit: u16,
    },
    /// Have parked notifications told again with the next run
    Retry(retry::Which),
}

/// Shows what others have yet to be told, or has it told again.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    if let Command::Retry(which) = &args.command {
        which.check(&config)?;
    }
    let world = World::connect(config).await;
    let notices = notices(&world).await?;
    let names: Vec<TargetName> = world.config.listeners();
    match args.command {
        Command::Status { limit } => {
            let (status, silent) = status::look(&notices, names, limit.into(), World::now()).await;
            console.show(&status)?;
            warn(&silent);
            Ok(if silent.is_empty() { Exit::Done } else { Exit::Failed })
        }
        Command::Retry(which) => {
            let (retried, silent) = retry::retry(&notices, names, &which, World::now()).await;
            console.show(&retried)?;
            warn(&silent);
            Ok(if silent.is_empty() { Exit::Done } else { Exit::Failed })
        }
    }
}

/// The notices as the active region has them, which is the one that tells.
async fn notices(world: &World) -> Result<NoticeTable<DynamoRows>, Fault> {
    let what = "which region is active";
    let active = match world.config.enabled {
        true => world.control().record().await.map_err(|source| Fault::Read { what, source })?,
        false => None,
    };
    let name = active.map_or(world.config.primary_region, |record| record.active);
    let name = full_region(&world.config, "the active region", name.as_str())?;
    let region = world.config.region(name).ok_or(Fault::NoRecord)?;
    Ok(world.notices_of(region))
}
