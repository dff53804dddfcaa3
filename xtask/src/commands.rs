//! The commands and their words.

use crate::{
    bench,
    cloud::{
        self, Cloud, Up,
        configuration::Access,
        folder::Folder,
        functions::Binaries,
        listeners::{Listeners, SECRET},
        region::REGIONS,
        supervisor,
    },
    demo::{self, Programs, Story},
    drill::{Drill, live::Live, scenario::Scenario},
    gates::{
        client::Gates,
        control::Reply,
        fault::{CLIENT, Effect, Fault, Service},
    },
    planted, test,
};
use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// What can be asked of `cargo xtask`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Every chore of the Sealane workspace")]
pub struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the local cloud up: four regions on this machine, with the templates deployed
    Up(UpArgs),
    /// Takes it down; nothing is kept
    Down,
    /// Says what is up, where it is reached, and what is cut
    Status,
    /// Cuts a region off: refuses new connections and resets those under way
    Cut(CutArgs),
    /// Delays everything to and from a region
    Slow(SlowArgs),
    /// Takes cuts and delays back, in one region or everywhere
    Heal {
        /// The region; all of them if left out
        #[arg(value_parser = region())]
        region: Option<String>,
    },
    /// Ships a folder to three regions while one of them goes away, and proves what came of it
    Demo(DemoArgs),
    /// Runs every test: units, documentation, templates, and the functions on a local cloud of its own
    Test {
        /// Waits for the failback in the story, too, and has a fuzzer ask the API
        #[arg(long)]
        full: bool,
    },
    /// Plants mistakes in a copy of the sources, one at a time, and proves that a test notices each
    Planted {
        /// Only the faults with these names
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Loses regions and services on purpose, and measures what comes of it
    Drill(DrillArgs),
    /// Measures the functions and the hot paths
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// The process behind `up`
    #[command(hide = true)]
    Supervise {
        /// The cloud's folder in `target`
        #[arg(long, default_value = "local")]
        folder: String,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// How fast each function starts, how much memory it holds, how large it is
    Cold {
        /// Writes the figures to this file, as JSON
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Takes the functions' binaries from this folder instead of building them
        #[arg(long, value_name = "FOLDER")]
        functions: Option<PathBuf>,
    },
    /// What a copy of an object costs, how the cost grows, and how soon a region that comes back is paid
    Replication(bench::replication::Bench),
    /// What uploads cost, side by side with other clients, against a sink that discards
    Transfer {
        /// Writes the figures to this file, as JSON
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Only this case; may be given more than once
        #[arg(long = "case", value_name = "NAME")]
        cases: Vec<bench::transfer::Case>,
        /// Runs of each client in each case
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        runs: u8,
        /// Takes the sink and the Rust clients from this folder instead of building them
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
    },
    /// What a call of the API costs in its handler and its table adapter, against tables that answer at once
    Api {
        /// Writes the figures to this file, as JSON
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// What a pick of one region out of thirty costs, by every strategy
    Pick {
        /// Writes the figures to this file, as JSON
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// File or folder to ship; the workspace's sources and a file of 256 MiB if left out
    #[arg(long, value_name = "PATH")]
    input: Option<PathBuf>,
    /// Writes what was found to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Cargo profile of the functions and of `sealane`
    #[arg(long, default_value = "release")]
    profile: String,
}

#[derive(Debug, Args)]
struct DrillArgs {
    /// Makes this many runs, shared out over the scenarios in turn, each with its seeds from 1
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Only this scenario; may be given more than once
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Only this seed, to see again what failed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["live", "same_hash"])]
    seed: Option<u64>,
    /// Only this schedule of crashes, as a violation begins: `FLOW: CHOICES`
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["live", "same_hash", "seed", "scenarios", "report"])]
    crash: Option<String>,
    /// Writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Runs the seeds in three processes, and compares the hashes of their traces
    #[arg(long, conflicts_with_all = ["live", "report"])]
    same_hash: bool,
    /// Runs the scenarios with the built functions on the local cloud, once each
    #[arg(long, conflicts_with = "seeds")]
    live: bool,
    /// How long the live `registry` goes on, in minutes; 10 if left out
    #[arg(long, value_name = "N", requires = "live", value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: Option<u64>,
    /// Cargo profile of the functions of a live drill
    #[arg(long, default_value = "dev", requires = "live")]
    profile: String,
    /// Takes the functions' binaries and `sealane` from this folder instead of building them
    #[arg(long, value_name = "FOLDER", requires = "live", conflicts_with = "profile")]
    functions: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Cargo profile of the functions
    #[arg(long, default_value = "release")]
    profile: String,
    /// Takes the functions' binaries from this folder instead of building them
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    functions: Option<PathBuf>,
    /// Has the API ask for tokens, which the cloud's own issuer signs
    #[arg(long)]
    tokens: bool,
    /// Tells a webhook at this port of 127.0.0.1 of worksets and failovers, at the path `/hook`
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
    webhook: Option<u16>,
}

#[derive(Debug, Args)]
struct Where {
    /// The region
    #[arg(value_parser = region())]
    region: String,
    /// Only this service of it: s3, dynamodb, api or other
    #[arg(long)]
    service: Option<Service>,
    /// Only what this region, or `client`, sends to it
    #[arg(long, value_parser = source())]
    from: Option<String>,
}

#[derive(Debug, Args)]
struct CutArgs {
    #[command(flatten)]
    place: Where,
    /// Accepts connections and never answers, instead of refusing
    #[arg(long)]
    silent: bool,
    /// Refuses new connections only, as when a name resolves to nothing
    #[arg(long, conflicts_with = "silent")]
    new: bool,
}

#[derive(Debug, Args)]
struct SlowArgs {
    #[command(flatten)]
    place: Where,
    /// Milliseconds added in each direction
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    ms: u64,
}

impl DemoArgs {
    fn story(self, folder: Folder) -> Story {
        let Self { input, report, profile } = self;
        let programs = Programs::Built(profile);
        Story { folder, input, report, programs, generated: demo::GENERATED, failback: true }
    }
}

impl DrillArgs {
    fn run(self, folder: &Folder) -> Result<ExitCode, Box<dyn Error>> {
        let Self { seeds, scenarios, seed, crash, report, same_hash, live, minutes, profile, functions } =
            self;
        if live {
            let named = scenarios.iter().map(|name| Scenario::from_str(name, false));
            let mut scenarios = named.collect::<Result<Vec<_>, _>>()?;
            if scenarios.is_empty() {
                scenarios = Scenario::DEFAULT.to_vec();
            }
            if minutes.is_some() && !scenarios.contains(&Scenario::Registry) {
                return Err("`--minutes` is for `registry` alone (add `--scenario registry`)".into());
            }
            let minutes = minutes.unwrap_or(10);
            let binaries = functions.map_or(Binaries::Built { profile }, Binaries::From);
            Live { scenarios, minutes, report, binaries }.run(folder, &say)?;
            return Ok(ExitCode::SUCCESS);
        }
        let drill = Drill { seeds, scenarios, seed, crash, report };
        if same_hash {
            drill.compare(folder, &say)?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(drill.simulate(folder)?)
    }
}

impl CutArgs {
    fn fault(self) -> Fault {
        let effect = match (self.silent, self.new) {
            (true, _) => Effect::Silence,
            (false, true) => Effect::RefuseNew,
            (false, false) => Effect::Refuse,
        };
        self.place.fault(effect)
    }
}

impl Where {
    fn fault(self, effect: Effect) -> Fault {
        Fault { region: self.region, service: self.service, from: self.from, effect }
    }
}

fn region() -> PossibleValuesParser {
    PossibleValuesParser::new(REGIONS.map(|region| region.name))
}

fn source() -> PossibleValuesParser {
    PossibleValuesParser::new(std::iter::once(CLIENT).chain(REGIONS.map(|region| region.name)))
}

/// Runs one command.
///
/// # Errors
/// When it fails; [`complain`] prints the error with its causes.
pub fn run(xtask: Xtask) -> Result<ExitCode, Box<dyn Error>> {
    let folder = Folder::of_workspace();
    match xtask.command {
        Command::Up(args) => up(&folder, args)?,
        Command::Down => {
            let was_up = cloud::down(&folder)?;
            say(if was_up { "the local cloud is down" } else { "the local cloud was not up" });
        }
        Command::Status => status(&folder)?,
        Command::Cut(args) => {
            let fault = args.fault();
            say(&faults(&gates(&folder)?.add(fault)?));
        }
        Command::Slow(args) => say(&faults(&gates(&folder)?.add(args.place.fault(Effect::SlowMs(args.ms)))?)),
        Command::Heal { region } => say(&faults(&gates(&folder)?.heal(region.as_deref())?)),
        Command::Demo(args) => {
            let cloud = demo::tell(&args.story(folder))?;
            say(&demo::epilogue(&cloud));
        }
        Command::Test { full } => test::run(full, &say)?,
        Command::Drill(args) => return args.run(&folder),
        Command::Planted { names } => planted::run(&names, &say)?,
        Command::Bench { what: Bench::Cold { report, functions } } => {
            let release = Binaries::Built { profile: "release".to_owned() };
            let binaries = functions.map_or(release, Binaries::From);
            met(bench::cold(&folder, &binaries, report.as_deref(), &say)?)?;
        }
        Command::Bench { what: Bench::Transfer { report, cases, runs, programs } } => {
            bench::transfer::Bench { cases, runs: usize::from(runs), report, programs }.run(&folder, &say)?;
        }
        Command::Bench { what: Bench::Api { report } } => {
            met(bench::api::api(&folder, report.as_deref(), &say)?)?;
        }
        Command::Bench { what: Bench::Pick { report } } => {
            met(bench::pick::pick(&folder, report.as_deref(), &say)?)?;
        }
        Command::Bench { what: Bench::Replication(bench) } => {
            let missed = bench.run(&folder, &say)?;
            if !missed.is_empty() {
                return Err(missed.join("; ").into());
            }
        }
        Command::Supervise { folder } => {
            let folder = Folder::called(&folder);
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(supervisor::supervise(&folder))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails with the bars that a benchmark missed, if it missed any.
fn met(missed: Vec<String>) -> Result<(), Box<dyn Error>> {
    if missed.is_empty() { Ok(()) } else { Err(missed.join("; ").into()) }
}

fn up(folder: &Folder, args: UpArgs) -> Result<(), Box<dyn Error>> {
    let binaries = match args.functions {
        Some(place) => Binaries::From(place),
        None => Binaries::Built { profile: args.profile },
    };
    let access = if args.tokens { Access::Tokens } else { Access::Open };
    let listeners = args.webhook.map(|port| Listeners { port });
    let telling = (access, listeners);
    let cloud = match cloud::up_telling(folder, &binaries, telling, &|step| say(&format!("{step} ...")))? {
        Up::Already(cloud) => {
            say("the local cloud is already up");
            cloud
        }
        Up::Started(cloud) => cloud,
    };
    say(&addresses(&cloud));
    if let Some(Listeners { port }) = listeners {
        say(&format!("the webhook at http://127.0.0.1:{port}/hook gets requests signed with {SECRET}"));
    }
    Ok(())
}

fn status(folder: &Folder) -> Result<(), Box<dyn Error>> {
    let Some(cloud) = Cloud::running(folder) else {
        say("the local cloud is not up (start it with `cargo xtask up`)");
        return Ok(());
    };
    let state = cloud.gates().state()?;
    say(&addresses(&cloud));
    say(&faults(&state));
    let busy = state.gates.iter().filter(|gate| gate.sent + gate.received > 0 || !gate.condition.is_open());
    for gate in busy {
        let id = &gate.id;
        let (from, to, service) = (&id.from, &id.to, id.service.name());
        let (port, sent, received, now) = (gate.port, gate.sent, gate.received, gate.condition.to_string());
        say(&format!(
            "{from:>10} -> {to:<10} {service:<9} :{port:<6} {now:<14} {sent:>12} B out {received:>12} B back"
        ));
    }
    Ok(())
}

fn gates(folder: &Folder) -> Result<Gates, Box<dyn Error>> {
    let not_up = "the local cloud is not up (start it with `cargo xtask up`)";
    Ok(Cloud::running(folder).ok_or(not_up)?.gates())
}

fn addresses(cloud: &Cloud) -> String {
    let record = &cloud.record;
    let mut lines = vec![format!("the local cloud is up (process {})", cloud.supervisor.pid)];
    for region in &record.regions {
        let (name, api, s3) = (&region.name, &region.api_url, &region.endpoint);
        lines.push(format!(
            "  {name:<10} api {api}  s3 {s3}  dynamodb {}  bucket {}",
            region.endpoints.dynamodb, region.bucket
        ));
    }
    for witness in &record.witnesses {
        lines.push(format!("  {:<10} witness  dynamodb {}", witness.name, witness.endpoints.dynamodb));
    }
    lines.push(format!("status page {}", record.status_url));
    if let Some(issuer) = &record.issuer {
        lines.push(format!("tokens      {issuer}/token?tenant=lab&scope=read+write+operate"));
    }
    lines.push(format!(
        "for clients {}  for `sealane` {}",
        cloud.folder.cloud_json().display(),
        record.config
    ));
    lines.join("\n")
}

fn faults(state: &Reply) -> String {
    if state.faults.is_empty() {
        return "every gate is open".to_owned();
    }
    let lines: Vec<String> = state.faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Prints an error with its causes, each once.
#[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
pub fn complain(error: &dyn Error) {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("error: {}", words.join(": "));
}

#[expect(clippy::print_stdout, reason = "this is a program for a terminal")]
fn say(line: &str) {
    println!("{line}");
}
