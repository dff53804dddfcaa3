//! The command line as a whole; each command's own arguments are in its module.

use clap::{Parser, Subcommand};

use crate::{
    audit, download, exit, failover, notifications, regions, replication, route, upload, uploads, verify,
    worksets,
};

/// Ships folders to several AWS regions at once, and shows and steers where work is done.
#[derive(Debug, Parser)]
#[command(name = "sealane", version, after_help = exit::HELP, after_long_help = exit::HELP)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The configuration, in YAML or JSON [default: what SEALANE_CONFIG holds or names, else ./sealane.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<String>,

    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ship a file, or a folder as one archive, to several regions at once
    Upload(upload::Args),
    /// Bring an object back from the best region that has it, and prove it whole
    Download(download::Args),
    /// Show, and give up, uploads that were not finished
    Uploads(uploads::Args),
    /// Check the copies of an upload again, by its receipt
    Verify(verify::Args),
    /// Show what each region can do now
    Regions(regions::Args),
    /// Show where a request would go
    Route(route::Args),
    /// Show and steer which region is active
    Failover(failover::Args),
    /// Register, read and move worksets, over the API of the regions
    Worksets(worksets::Args),
    /// Show the copies that regions owe one another
    Replication(replication::Args),
    /// Show what others have yet to be told of worksets and failovers
    Notifications(notifications::Args),
    /// Show who did what, and prove that nobody changed the record of it
    Audit(audit::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
