//! The drill of replication: stories with every trouble at once, and what copying and healing take.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use simulator::{
    replication::{Figures, grow, heal, healed, tell, tell_all},
    trace::Trace,
};

/// When 99 of 100 owed copies must lie in a region that came back.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// Tells stories of replication on the simulator, and measures.
#[derive(Debug, Parser)]
struct Args {
    /// Stories, of the seeds from 1.
    #[arg(long, default_value_t = 0)]
    seeds: u64,
    /// Tells this one story and prints what happened.
    #[arg(long)]
    seed: Option<u64>,
    /// Lets a region come back to which so much is owed.
    #[arg(long)]
    heal: Option<usize>,
    /// Replicates so many objects; may be given again, in growing order.
    #[arg(long)]
    grow: Vec<usize>,
    /// Writes the figures to this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    let mut good = true;
    if let Some(seed) = args.seed {
        let trace = Trace::recording();
        let told = tell(seed, None, &trace);
        trace.lines().iter().try_for_each(|line| writeln!(out, "{line}"))?;
        told.broken.iter().try_for_each(|broken| writeln!(out, "seed {seed}: {broken}"))?;
        good &= told.broken.is_empty();
    }
    if args.seeds > 0 {
        let summary = tell_all(args.seeds);
        summary.complaints.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "{summary}")?;
        good &= summary.complaints.is_empty();
    }
    if let Some(objects) = args.heal {
        let healing = heal(1, objects);
        writeln!(out, "{}", healed(objects, &healing))?;
        let in_time = healing.waits.p99.is_some_and(|ms| Duration::from_millis(ms) <= HEALED_WITHIN);
        good &= in_time && healing.waits.count == objects && healing.settled.is_some();
    }
    if !args.grow.is_empty() {
        let runs: Vec<_> = args.grow.iter().map(|objects| grow(1, *objects)).collect();
        let figures = Figures::of(&runs);
        writeln!(out, "{}", figures.table())?;
        figures.missed().iter().try_for_each(|missed| writeln!(out, "missed: {missed}"))?;
        good &= figures.missed().is_empty();
        if let Some(path) = &args.report {
            std::fs::write(path, format!("{:#}\n", serde_json::to_value(&figures)?))?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
