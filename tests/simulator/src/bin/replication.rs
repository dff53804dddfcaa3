//! The drill of replication: tells many stories and says what was not kept.

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use simulator::{replication::tell, trace::Trace};

/// Tells stories of replication on the simulator.
#[derive(Debug, Parser)]
struct Args {
    /// Stories, of the seeds from 1.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Tells this one story and prints what happened.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    let seeds = args.seed.map_or(1..=args.seeds, |seed| seed..=seed);
    let mut bad = 0;
    for seed in seeds {
        let trace = if args.seed.is_some() { Trace::recording() } else { Trace::new() };
        let told = tell(seed, None, &trace);
        for line in trace.lines() {
            writeln!(out, "{line}")?;
        }
        bad += usize::from(!told.broken.is_empty());
        for broken in &told.broken {
            writeln!(out, "seed {seed}: {broken}")?;
        }
    }
    writeln!(out, "{bad} bad")?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
