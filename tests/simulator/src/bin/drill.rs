//! The drill: runs the scenarios and says how long things took and what was kept.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use simulator::{
    crash::{Depth, Summary, enumerate_to, replay},
    drill::{Run, make, make_all, runs},
    measure::Outcome,
    report::{Report, table},
    scenario::Scenario,
    trace::Trace,
};

/// A quarter of a run's time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From this many runs on, three crashes are tried where two actors are at work, instead of one.
const SEEDS_OF_A_LARGE_DRILL: usize = 1_000;

/// Runs the scenarios on the simulator, and measures.
#[derive(Debug, Parser)]
struct Args {
    /// Runs, shared out over the scenarios in turn.
    #[arg(long, default_value_t = 150, value_parser = some_seeds)]
    seeds: usize,
    /// A scenario to run; may be given again. Without it, all.
    #[arg(long)]
    scenario: Vec<Scenario>,
    /// Replays this one seed of each scenario and prints what happened.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes through this one schedule of crashes again, as a violation begins: `flow: choices`.
    #[arg(long)]
    crash: Option<String>,
    /// Writes the report to this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Prints scenario, seed and trace hash of each run and nothing else.
    #[arg(long)]
    hashes: bool,
}

/// What a large drill says on standard error while it is under way: how far it is, and at once
/// whatever failed, with the line that shows it again.
#[derive(Debug)]
struct Progress {
    made: usize,
    all: usize,
    failed: usize,
}

impl Progress {
    /// Lines that a large drill prints; a smaller one is over before they would help.
    const LINES: usize = 20;

    fn of(all: usize) -> Self {
        Self { made: 0, all, failed: 0 }
    }

    fn tell(&mut self, outcome: &Outcome) {
        let mut err = std::io::stderr().lock();
        self.made += 1;
        let complaints = outcome.complaints();
        self.failed += usize::from(!complaints.is_empty());
        // Who closed standard error wants no progress; the report has every failure as well.
        for complaint in complaints {
            let _ = writeln!(err, "{complaint}");
        }
        let is_due = self.made.is_multiple_of(self.all.div_ceil(Self::LINES));
        if self.all >= SEEDS_OF_A_LARGE_DRILL && is_due {
            let _ = writeln!(err, "{} of {} runs made, {} failed", self.made, self.all, self.failed);
        }
    }
}

/// A drill of nothing would meet every bar that it measures.
fn some_seeds(text: &str) -> Result<usize, String> {
    let seeds = text.parse().ok().filter(|seeds| *seeds > 0);
    seeds.ok_or_else(|| format!("`{text}` is no number of runs (want 1 or more, as in `--seeds 150`)"))
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let args = Args::parse();
    if let Some(schedule) = &args.crash {
        let broken = replay(schedule)?;
        broken.iter().try_for_each(|broken| writeln!(std::io::stdout(), "{broken}"))?;
        return Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let is_whole = args.seed.is_none() && args.scenario.is_empty();
    let scenarios = if args.scenario.is_empty() { Scenario::ALL.to_vec() } else { args.scenario };
    let mut out = std::io::stdout().lock();
    let outcomes: Vec<Outcome> = match args.seed {
        Some(seed) => {
            let replay = |scenario: &Scenario| {
                let trace = Trace::recording();
                let outcome = make(Run { scenario: *scenario, seed }, &trace);
                trace.lines().iter().try_for_each(|line| writeln!(out, "{line}")).map(|()| outcome)
            };
            scenarios.iter().map(replay).collect::<Result<_, _>>()?
        }
        None => {
            let mut progress = Progress::of(args.seeds);
            make_all(&runs(&scenarios, args.seeds), |outcome| progress.tell(outcome))
        }
    };
    if args.hashes {
        outcomes.iter().try_for_each(|o| writeln!(out, "{} {} {:016x}", o.scenario, o.seed, o.hash))?;
        return Ok(ExitCode::SUCCESS);
    }
    // The crashes depend on no seed and no scenario: they are part of the whole drill only.
    let depth = if args.seeds < SEEDS_OF_A_LARGE_DRILL { Depth::QUICK } else { Depth::FULL };
    let crashes = if is_whole { enumerate_to(depth) } else { Summary::default() };
    let report = Report::of(&outcomes, &crashes);
    let report = if is_whole { report.whole() } else { report };
    if let Some(path) = &args.report {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    writeln!(out, "{}", table(&report))?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
