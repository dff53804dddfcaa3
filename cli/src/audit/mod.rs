//! `sealane audit`: who did what, and whether the record of it is whole.
//!
//! The records are read from the tables themselves, with the caller's own credentials, and not
//! over the API: what is to be checked is not asked for its own word.

mod chains;
mod list;

use std::{collections::BTreeSet, fmt, fs, path::PathBuf};

use clap::{Subcommand, ValueEnum};
use sealane::{
    audit::{Heads, Verified},
    config::Config,
    workset::{Tenant, WorksetId},
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, table::Table, world::World};
use chains::Chains;

/// Arguments of `sealane audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the result; `--json` means the same as `json`
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what was done, newest first: orders of operators, moves, and writes of worksets
    List {
        #[command(flatten)]
        whose: Whose,
        /// Most records to show
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Find records that were changed, taken out, put in or moved; exit code 1 if there are any
    Verify {
        #[command(flatten)]
        whose: Whose,
        /// What `audit heads` printed earlier: finds an end that was cut off as well
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
    },
    /// Print the newest digest of every chain, to be kept where the tables' writers cannot reach it
    Heads {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose records.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// The worksets of this tenant, too; without it, only orders and moves
    #[arg(long)]
    tenant: Option<Tenant>,
    /// Of this workset and nothing else
    #[arg(long, value_name = "ID", requires = "tenant")]
    workset: Option<WorksetId>,
    /// Read this region's replica of the worksets [default: the active region's]
    #[arg(long)]
    region: Option<String>,
}

/// Shows or proves the records.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let console = console.or_json(args.output == Output::Json);
    match args.command {
        Command::List { whose, limit } => {
            console.show(&list::newest(&Chains::read(whose, config, &[]).await?, limit))?;
        }
        Command::Verify { whose, heads } => {
            let kept = heads.map(kept).transpose()?.unwrap_or_default();
            let whose = Whose { tenant: whose.tenant.or(tenant_of(&kept)?), ..whose };
            let extra: BTreeSet<_> = kept.heads.keys().filter_map(|name| chains::workset_of(name)).collect();
            let extra: Vec<_> = extra.into_iter().collect();
            let told = Told(Chains::read(whose, config, &extra).await?.judged(&kept));
            console.show(&told)?;
            return Ok(if told.is_whole() { Exit::Done } else { Exit::Failed });
        }
        Command::Heads { whose } => {
            let heads = Chains::read(whose, config, &[]).await?.heads(World::now());
            console.or_json(true).show(&Printed(heads))?;
        }
    }
    Ok(Exit::Done)
}

/// The heads in a file.
fn kept(path: PathBuf) -> Result<Heads, Fault> {
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| Fault::File { path: path.clone(), verb: "read", source })?;
    let what = "what `sealane audit heads` prints";
    serde_json::from_str(&text).map_err(|source| Fault::Content { path, what, source })
}

fn tenant_of(kept: &Heads) -> Result<Option<Tenant>, Fault> {
    let parsed = kept.tenant.as_deref().map(str::parse).transpose();
    parsed.map_err(|e: sealane::workset::InvalidName| Fault::Tenant(e))
}

/// Heads, which are always JSON.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Printed(Heads);

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} chains", self.0.heads.len())
    }
}

/// What became of each chain.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Told(Vec<(String, Verified)>);

impl Told {
    fn is_whole(&self) -> bool {
        self.0.iter().all(|(_, found)| found.findings.is_empty())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["chain", "records", "unchained", "forks", "findings"]);
        for (name, found) in &self.0 {
            let counts =
                [found.records, found.unchained, found.forks.len() as u64, found.findings.len() as u64];
            let row = std::iter::once(name.clone()).chain(counts.map(|count| count.to_string()));
            table.row(row.collect());
        }
        write!(f, "{table}")?;
        for (name, found) in &self.0 {
            for fork in &found.forks {
                let places = fork.places.join("` and `");
                writeln!(
                    f,
                    "{name}: regions that could not see each other wrote `{places}` (a fork, no tampering)"
                )?;
            }
            found.findings.iter().try_for_each(|finding| writeln!(f, "{name}: {finding}"))?;
        }
        f.write_str(if self.is_whole() { "whole" } else { "not whole" })
    }
}

#[cfg(test)]
mod tests {
    use sealane::audit::{Finding, Fork};

    use super::*;

    #[test]
    fn what_was_done_to_a_chain_is_told_by_name() {
        let place = "event#00000000000000000002#us-west-2#0a0b0c0d".to_owned();
        let fork = Fork { number: 3, places: vec!["a".to_owned(), "b".to_owned()] };
        let bent = Verified {
            records: 4,
            forks: vec![fork],
            findings: vec![Finding::Edited { place }],
            ..Verified::default()
        };
        let told = Told(vec![
            ("orders".to_owned(), Verified { records: 2, unchained: 2, ..Verified::default() }),
            ("workset ws-001".to_owned(), bent),
        ]);
        assert_eq!(
            told.to_string(),
            "chain           records  unchained  forks  findings\n\
             orders          2        2          0      0\n\
             workset ws-001  4        0          1      1\n\
             workset ws-001: regions that could not see each other wrote `a` and `b` (a fork, no tampering)\n\
             workset ws-001: `event#00000000000000000002#us-west-2#0a0b0c0d` was changed after it was written\n\
             not whole"
        );
        assert!(!told.is_whole());
    }
}
