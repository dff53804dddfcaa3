//! Uploads, side by side with the clients that people would use instead.
//!
//! All clients send the same files to the same sink, in turn: the first run of each, then the
//! second of each, so that whatever else the machine does falls on all of them. What is compared
//! is the processor time of the client's process; the sink has one of its own.

pub mod clients;
pub mod report;
pub mod sink;

use crate::cloud::{
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
};
use clap::ValueEnum;
use clients::{Client, Programs, Task};
use report::{Metered, Run, Runs, case, median, row};
use serde_json::{Map, Value, json};
use sink::Sink;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Stdio,
};

/// Bytes of the large file.
const BIG: u64 = 1 << 30;
/// Bytes of the file that goes over links that take their time.
const MIDDLE: u64 = 256 << 20;
/// The links of `adapt`: one that takes 20 MB a second in all, one that asks every eighth part to slow
/// down, and one with 100 ms to every answer.
const LINKS: [(&str, &[&str]); 3] =
    [("slow", &["throttle 0 20000000"]), ("busy", &["link 0 20 8"]), ("long", &["link 0 100 0"])];
/// Parts in flight: by what is measured, and fixed.
const SETTINGS: [(&str, Option<&str>); 2] = [("ours", None), ("four at once", Some("4"))];
/// Room for more than four parts.
const ADAPT_MEMORY: (&str, &str) = ("SEALANE_UPLOAD_MEMORY", "192MiB");
/// Files of the folder of small ones, and bytes in each.
const SMALL: (u64, u64) = (2_000, 64 << 10);
/// Where in the large file a region fails.
const FAILS_AT: u64 = 256 << 20;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// A file of 1 GiB to one region.
    BigHttp,
    /// The same over TLS.
    BigTls,
    /// The file to three regions at once.
    ThreeHttp,
    /// The same over TLS.
    ThreeTls,
    /// 2,000 files of 64 KiB, each an object of its own.
    #[value(name = "small_64k")]
    Small64k,
    /// Three regions, one of which takes a hundredth of what it could.
    SlowLane,
    /// A region that resets every connection after 256 MiB, and one to go to.
    Refused,
    /// A region that falls silent after 256 MiB, and one to go to.
    Silent,
    /// Parts in flight by what is measured against four, over a slow, a busy and a long link.
    Adapt,
}

impl Case {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    const fn regions(self) -> usize {
        match self {
            Self::BigHttp | Self::BigTls | Self::Small64k | Self::Adapt => 1,
            Self::Refused | Self::Silent => 2,
            Self::ThreeHttp | Self::ThreeTls | Self::SlowLane => 3,
        }
    }

    const fn tls(self) -> bool {
        matches!(self, Self::BigTls | Self::ThreeTls)
    }

    /// Who else can do that: nobody else leaves a region behind.
    fn peers(self) -> &'static [Client] {
        match self {
            Self::BigHttp | Self::BigTls | Self::ThreeHttp | Self::ThreeTls | Self::Small64k => {
                &Client::PEERS
            }
            Self::SlowLane | Self::Refused | Self::Silent | Self::Adapt => &[],
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Bench {
    /// The cases; all of them if there are none.
    pub cases: Vec<Case>,
    /// Runs of each client in each case.
    pub runs: usize,
    /// Where the figures go, as JSON.
    pub report: Option<PathBuf>,
    /// A folder with the Rust programs, if they are not to be built.
    pub programs: Option<PathBuf>,
}

impl Bench {
    /// Measures, prints tables and writes the report.
    ///
    /// # Errors
    /// When our own client or the sink cannot be built, or our client fails.
    pub fn run(self, folder: &Folder, say: &dyn Fn(&str)) -> Result<(), CloudError> {
        folder.create()?;
        let programs = Programs::install(folder, self.programs.as_deref(), say)?;
        let stage = Stage::set(folder, programs)?;
        let all = if self.cases.is_empty() { Case::value_variants().to_vec() } else { self.cases };
        let mut cases = Map::new();
        for case in all {
            say(&format!("\n{}, {} runs each", case.name(), self.runs));
            cases.insert(case.name(), stage.measure(case, self.runs, say)?);
            if let Some(path) = &self.report {
                let report = json!({ "runs": self.runs, "cases": cases });
                write_whole(path, &format!("{report:#}\n"))?;
            }
        }
        Ok(())
    }
}

/// What all cases share.
struct Stage {
    programs: Programs,
    certificate: PathBuf,
    big: PathBuf,
    middle: PathBuf,
    small: PathBuf,
}

impl Stage {
    fn set(folder: &Folder, programs: Programs) -> Result<Self, CloudError> {
        let place = folder.workspace().join("target/bench-transfer");
        let small = place.join("small");
        fs::create_dir_all(&small).doing("making a folder for the files to ship")?;
        let big = place.join("big");
        fill(&big, BIG)?;
        let middle = place.join("middle");
        fill(&middle, MIDDLE)?;
        for number in 0..SMALL.0 {
            fill(&small.join(format!("{number:04}")), SMALL.1)?;
        }
        Ok(Self { programs, certificate: place.join("sink.pem"), big, middle, small })
    }

    fn measure(&self, what: Case, runs: usize, say: &dyn Fn(&str)) -> Result<Value, CloudError> {
        let mut sink = Sink::start(&self.programs.own("transfer-sink")?, &self.certificate)?;
        match what {
            Case::SlowLane => self.slow_lane(&mut sink, runs, say),
            Case::Adapt => self.adapt(&mut sink, runs, say),
            Case::BigHttp
            | Case::BigTls
            | Case::ThreeHttp
            | Case::ThreeTls
            | Case::Small64k
            | Case::Refused
            | Case::Silent => {
                let measured = self.interleaved(&mut sink, what, runs, say)?;
                let shown = case(&measured, |run| run.cpu_s);
                show(&measured, &shown, say);
                Ok(shown)
            }
        }
    }

    fn interleaved(
        &self,
        sink: &mut Sink,
        what: Case,
        runs: usize,
        say: &dyn Fn(&str),
    ) -> Result<Runs, CloudError> {
        let path = if what == Case::Small64k { &self.small } else { &self.big };
        let copies = matches!(what, Case::Refused | Case::Silent).then_some(1);
        let endpoints = sink.endpoints(what.regions(), what.tls());
        let task = Task { path: path.clone(), endpoints, copies, variables: Vec::new() };
        let trouble = match what {
            Case::Refused => Some(format!("refuse 0 {FAILS_AT}")),
            Case::Silent => Some(format!("silence 0 {FAILS_AT}")),
            Case::BigHttp
            | Case::BigTls
            | Case::ThreeHttp
            | Case::ThreeTls
            | Case::Small64k
            | Case::SlowLane
            | Case::Adapt => None,
        };
        let mut measured = Runs::new();
        let mut failed: Vec<Client> = Vec::new();
        for _ in 0..runs {
            for client in std::iter::once(Client::Ours).chain(what.peers().iter().copied()) {
                if failed.contains(&client) {
                    continue;
                }
                let well = |region: usize| trouble.is_none() || region > 0;
                match self.once(sink, client, &task, trouble.as_slice(), well)? {
                    Some(run) => measured.entry(client.name().to_owned()).or_default().push(run),
                    None if client == Client::Ours => return Err(ended_badly(client)),
                    None => {
                        say(&format!("  {} is left out: it cannot be had, or cannot do this", client.name()));
                        failed.push(client);
                        measured.remove(client.name());
                    }
                }
            }
        }
        Ok(measured)
    }

    /// The time of two regions while a third is slow, against their time alone.
    fn slow_lane(&self, sink: &mut Sink, runs: usize, say: &dyn Fn(&str)) -> Result<Value, CloudError> {
        let to = |endpoints| Task { path: self.big.clone(), endpoints, copies: None, variables: Vec::new() };
        let (two, three) = (to(sink.endpoints(2, false)), to(sink.endpoints(3, false)));
        let mut measured = Runs::new();
        for _ in 0..runs {
            let bad = || ended_badly(Client::Ours);
            let alone = self.once(sink, Client::Ours, &two, &[""; 0], |_| true)?.ok_or_else(bad)?;
            #[expect(clippy::cast_precision_loss, reason = "a round number")]
            let rate = BIG as f64 / alone.last_byte_s / 100.0;
            let order = format!("throttle 2 {rate:.0}");
            let slowed = self.once(sink, Client::Ours, &three, &[order], |region| region < 2)?;
            measured.entry("alone".to_owned()).or_default().push(alone);
            measured.entry("ours".to_owned()).or_default().push(slowed.ok_or_else(bad)?);
        }
        let shown = case(&measured, |run| run.last_byte_s);
        show(&measured, &shown, say);
        Ok(shown)
    }

    /// The time to the last byte with as many parts in flight as pay, against a fixed number, with the
    /// same memory, over each link.
    fn adapt(&self, sink: &mut Sink, runs: usize, say: &dyn Fn(&str)) -> Result<Value, CloudError> {
        let mut links = Map::new();
        for (name, orders) in LINKS {
            let mut measured = Runs::new();
            for _ in 0..runs {
                for (setting, concurrency) in SETTINGS {
                    let variables = concurrency.map(|n| ("SEALANE_UPLOAD_CONCURRENCY", n));
                    let variables: Vec<_> = variables.into_iter().chain([ADAPT_MEMORY]).collect();
                    let endpoints = sink.endpoints(1, false);
                    let task = Task { path: self.middle.clone(), endpoints, copies: None, variables };
                    let run = self.once(sink, Client::Ours, &task, orders, |_| true)?;
                    let run = run.ok_or_else(|| ended_badly(Client::Ours))?;
                    measured.entry(setting.to_owned()).or_default().push(run);
                }
            }
            say(&format!("  over a {name} link"));
            let shown = case(&measured, |run| run.last_byte_s);
            show(&measured, &shown, say);
            links.insert(name.to_owned(), shown);
        }
        Ok(Value::Object(links))
    }

    /// One run; `None` if the client cannot be had, cannot do this, or ends badly.
    fn once(
        &self,
        sink: &mut Sink,
        client: Client,
        task: &Task,
        orders: &[impl AsRef<str>],
        well: impl Fn(usize) -> bool,
    ) -> Result<Option<Run>, CloudError> {
        let Some(mut command) = self.programs.command(client, task, &self.certificate) else {
            return Ok(None);
        };
        sink.order("reset")?;
        orders.iter().try_for_each(|order| sink.order(order.as_ref()))?;
        let ran = command.stdin(Stdio::null()).stderr(Stdio::null()).output().doing("running a client")?;
        let line = String::from_utf8_lossy(&ran.stdout).into_owned();
        let Ok(metered) = serde_json::from_str::<Metered>(line.trim()) else { return Ok(None) };
        let counts = sink.counts()?;
        let counts = counts.get(..task.endpoints.len()).unwrap_or_default();
        let troubled = orders.iter().any(|order| !order.as_ref().starts_with("link"));
        let whole = troubled || counts.iter().all(|region| region.object_bytes == size(&task.path));
        Ok((metered.ok && whole).then(|| Run::of(&metered, counts, well)))
    }
}

fn ended_badly(client: Client) -> CloudError {
    let what = format!("`{}` did not ship everything", client.name());
    CloudError::failed(what, "run it by hand against `transfer-sink`".to_owned())
}

/// Bytes that a client has to bring into each region.
fn size(path: &Path) -> u64 {
    if path.is_dir() { SMALL.0 * SMALL.1 } else { fs::metadata(path).map_or(BIG, |file| file.len()) }
}

/// Fills a file with bytes that do not compress, unless it has that size already.
fn fill(path: &Path, bytes: u64) -> Result<(), CloudError> {
    if fs::metadata(path).is_ok_and(|there| there.len() == bytes) {
        return Ok(());
    }
    let copied = File::open("/dev/urandom").and_then(|random| {
        let mut file = File::create(path)?;
        io::copy(&mut random.take(bytes), &mut file)
    });
    copied.map(drop).doing(format!("writing `{}`", path.display()))
}

fn show(measured: &Runs, shown: &Value, say: &dyn Fn(&str)) {
    for (name, runs) in measured {
        say(&row(name, runs, shown["ratio"][name.as_str()].as_f64()));
        let first = median(runs.iter().filter_map(|run| run.first_byte_ms).collect());
        if let Some(ms) = first {
            say(&format!("  {name:<24} first byte to the next region after {ms:.1} ms"));
        }
    }
}
