//! `sealane`: ships folders to several regions at once, and shows and steers where work is done.
//!
//! The command line is parsed here and each command lives in a module of its
//! own name. Results go to standard output, everything else to standard error.

mod args;
mod audit;
mod console;
mod download;
mod exit;
mod failover;
mod fault;
mod named;
mod notifications;
mod progress;
mod regions;
mod replication;
mod route;
mod settings;
mod signals;
mod state;
mod table;
mod telling;
mod upload;
mod uploads;
mod verify;
mod worksets;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Command},
    console::Console,
    exit::Exit,
    fault::Fault,
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = run(cli).await.unwrap_or_else(|fault| {
        eprintln!("error: {}", fault.on_one_line());
        fault.exit()
    });
    exit.into()
}

async fn run(cli: Cli) -> Result<Exit, Fault> {
    let console = Console::new(cli.json);
    let config = settings::read(cli.config.as_deref(), settings::environment())?;
    match cli.command {
        Command::Upload(args) => upload::run(args, config, console).await,
        Command::Download(args) => download::run(args, config, console).await,
        Command::Uploads(args) => uploads::run(args, config, console).await,
        Command::Verify(args) => verify::run(args, config, console).await,
        Command::Regions(args) => regions::run(args, config, console).await,
        Command::Route(args) => route::run(args, config, console).await,
        Command::Failover(args) => failover::run(args, config, console).await,
        Command::Worksets(args) => worksets::run(args, config, console).await,
        Command::Replication(args) => replication::run(args, config, console).await,
        Command::Notifications(args) => notifications::run(args, config, console).await,
        Command::Audit(args) => audit::run(args, config, console).await,
    }
}
