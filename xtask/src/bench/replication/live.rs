//! Replication as it is deployed: the built functions on the local cloud.
//!
//! Objects are put into one region while another is cut off for the middle third of their bytes. What is
//! measured is when every region held every object, what the orchestrators held of memory, and
//! whether objects passed through them. Bytes are moved by the local cloud's own process, which is far
//! slower than a store: the time says that all ends well, and not how fast AWS is.

use crate::{
    cloud::{
        self, Cloud, Up,
        configuration::Access,
        error::{CloudError, Doing},
        folder::Folder,
        functions::Binaries,
        region::PRIMARY,
    },
    demo::narrator::{Narrator, size},
    gates::fault::{CLIENT, GateId, Service},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

/// The region that is cut off for a while.
const CUT: &str = "eu-west-1";
/// Bytes of each small object.
const OBJECT_BYTES: u64 = 64 << 10;
/// Bytes of a part of the large one.
const PART_BYTES: u64 = 5 << 20;
/// How often the functions' memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the regions are asked for what they hold.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// When every region must hold everything, counted from the last byte that was put.
const WHOLE_WITHIN: Duration = Duration::from_secs(900);
/// The most memory of one orchestrator, in MiB.
const RSS_MIB_MAX: f64 = 64.0;
/// The function whose memory counts, as its environment names it.
const FUNCTION: &str = "AWS_LAMBDA_FUNCTION_NAME=sealane-upload-orchestrator";

/// What is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Small objects.
    pub objects: u32,
    /// Bytes of the one large object; 0: none.
    pub large_bytes: u64,
}

impl Load {
    /// Objects in all.
    fn count(self) -> u64 {
        u64::from(self.objects) + u64::from(self.large_bytes > 0)
    }
}

/// Which third of the load is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Third {
    First,
    Middle,
    Last,
}

/// The third in which `put` of `of` bytes lie.
const fn third(put: u64, of: u64) -> Third {
    match (put.saturating_mul(3) >= of, put.saturating_mul(3) >= of.saturating_mul(2)) {
        (_, true) => Third::Last,
        (true, false) => Third::Middle,
        (false, false) => Third::First,
    }
}

/// What the loading program says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Said {
    Put { put: u64, of: u64 },
    Done { done: bool },
    Held { verified: u64, missing: BTreeMap<String, u64> },
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    load: Load,
    verified: u64,
    full_redundancy_s: Option<f64>,
    peak_rss_mib: f64,
    object_bytes: u64,
    function_bytes: u64,
}

impl Figures {
    fn json(self) -> Value {
        json!({
            "objects": self.load.count(),
            "verified": self.verified,
            "full_redundancy_s": self.full_redundancy_s,
            "peak_rss_mib": self.peak_rss_mib,
            "object_bytes_through_function": self.object_bytes,
            "bytes_sent_by_functions": self.function_bytes,
        })
    }

    fn missed(self) -> Vec<String> {
        let (all, rss) = (self.load.count(), self.peak_rss_mib);
        let bars = [
            (
                self.verified == all,
                format!("live: {} of {all} objects are verified everywhere", self.verified),
            ),
            (
                rss > 0.0 && rss <= RSS_MIB_MAX,
                format!("live: an orchestrator held {rss:.1} MiB, above {RSS_MIB_MAX}"),
            ),
            (self.object_bytes == 0, format!("live: {} may be object bytes", size(self.object_bytes))),
        ];
        bars.into_iter().filter(|(met, _)| !met).map(|(_, missed)| missed).collect()
    }
}

/// Object bytes among `sent` by functions to stores. A gate counts bytes and cannot tell what they are:
/// those of requests without an object stay far below the smallest object for each copy that is made, and
/// everything is counted once they do not.
fn through(sent: u64, copies: u64, smallest: u64) -> u64 {
    if sent / copies.max(1) < smallest { 0 } else { sent }
}

/// The peak of a process's memory in KiB, as `/proc` tells it.
fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The largest peak among the orchestrators that run now, in MiB; 0 while none does.
#[expect(clippy::cast_precision_loss, reason = "a process holds less than 2^52 KiB")]
fn peak_rss_mib() -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.map(|process| process.path()).filter(|process| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == FUNCTION.as_bytes())
    });
    let peaks = ours.filter_map(|process| peak_kib(&fs::read_to_string(process.join("status")).ok()?));
    peaks.max().unwrap_or_default() as f64 / 1024.0
}

/// The largest peak that was seen, and when one was looked for last.
#[derive(Debug, Default)]
struct Peak {
    mib: f64,
    looked_ms: Option<u64>,
}

impl Peak {
    /// Looks, unless it did just now: there are many processes.
    fn look(&mut self, narrator: Narrator) {
        let (now, pause) = (narrator.now_ms(), sealane::time::millis(LOOK_EVERY));
        if self.looked_ms.is_none_or(|looked| now - looked >= pause) {
            self.looked_ms = Some(now);
            self.mib = self.mib.max(peak_rss_mib());
        }
    }
}

/// The loading program and what it says.
struct Loader {
    child: Child,
    orders: Option<ChildStdin>,
    said: Receiver<Said>,
}

impl Loader {
    fn start(cloud: &Cloud, load: Load, prefix: &str) -> Result<Self, CloudError> {
        let folder = &cloud.folder;
        let plan = json!({
            "region": PRIMARY, "prefix": prefix, "objects": load.objects, "object_bytes": OBJECT_BYTES,
            "large_bytes": load.large_bytes, "part_bytes": PART_BYTES,
        });
        let mut command = Command::new(folder.python());
        command.arg("-B").arg(folder.programs().join("replication_load.py"));
        command.arg(folder.cloud_json()).arg(plan.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(folder.log("load")?);
        let mut child = command.spawn().doing("starting `replication_load.py`")?;
        let orders = child.stdin.take();
        let out = child.stdout.take().ok_or_else(|| silent(folder))?;
        let (tell, said) = mpsc::channel();
        // Its end is the end of this thread.
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let parsed = lines.filter_map(|line| serde_json::from_str(&line).ok());
            parsed.take_while(|said| tell.send(Said::clone(said)).is_ok()).for_each(drop);
        });
        Ok(Self { child, orders, said })
    }

    /// What it said within `LOOK_EVERY`, if anything.
    fn heard(&self, folder: &Folder) -> Result<Option<Said>, CloudError> {
        match self.said.recv_timeout(LOOK_EVERY) {
            Ok(said) => Ok(Some(said)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(silent(folder)),
        }
    }

    fn ask(&mut self, folder: &Folder) -> Result<(), CloudError> {
        let orders = self.orders.as_mut().ok_or_else(|| silent(folder))?;
        writeln!(orders, "look").doing("asking `replication_load.py`")
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // It ends with its input, or is ended while it puts.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn silent(folder: &Folder) -> CloudError {
    let log = folder.log_path("load");
    CloudError::failed("`replication_load.py` ended too early".to_owned(), format!("see `{}`", log.display()))
}

/// Measures; the figures, and the bars that they miss. A cloud that is up is used and left up; else one
/// is brought up, and taken down.
///
/// # Errors
/// When the cloud cannot be brought up, or the objects cannot be put.
pub fn measure(
    folder: &Folder,
    functions: &Binaries,
    load: Load,
    say: &dyn Fn(&str),
) -> Result<(Value, Vec<String>), CloudError> {
    let narrator = Narrator::begin();
    let up = cloud::up(folder, functions, Access::Open, &|step| narrator.say(step))?;
    let was_up = matches!(up, Up::Already(_));
    let cloud = up.cloud();
    let played = play(&cloud, load, narrator);
    let healed = cloud.gates().heal(Some(CUT)).doing(format!("healing {CUT}"));
    if !was_up {
        cloud::down(folder)?;
    }
    let figures = played?;
    healed?;
    say(&format!(
        "{} of {} objects verified in every region, {} after the last byte; an orchestrator held {:.1} MiB at \
         most, and {} of object passed through (functions sent {} to stores)",
        figures.verified,
        load.count(),
        figures.full_redundancy_s.map_or_else(|| "not all".to_owned(), |s| format!("{s:.1} s")),
        figures.peak_rss_mib,
        size(figures.object_bytes),
        size(figures.function_bytes)
    ));
    Ok((figures.json(), figures.missed()))
}

/// Bytes that functions sent to stores so far.
fn sent_by_functions(cloud: &Cloud) -> Result<u64, CloudError> {
    let theirs = |gate: &GateId| gate.from != CLIENT && gate.service == Service::S3;
    Ok(cloud.gates().bytes(theirs).doing("asking the gates what they carried")?.0)
}

fn play(cloud: &Cloud, load: Load, narrator: Narrator) -> Result<Figures, CloudError> {
    let sent_before = sent_by_functions(cloud)?;
    let mut loader = Loader::start(cloud, load, &format!("live-{}", std::process::id()))?;
    let mut peak = Peak::default();
    put(cloud, &loader, narrator, &mut peak)?;
    let began = narrator.now_ms();
    narrator.say("the last byte is put");
    let (verified, ended) = watch(&cloud.folder, &mut loader, load, narrator, &mut peak)?;
    let function_bytes = sent_by_functions(cloud)?.saturating_sub(sent_before);
    #[expect(clippy::cast_precision_loss, reason = "a run takes less than 2^52 ms")]
    let span = |ended: u64| ended.saturating_sub(began) as f64 / 1000.0;
    Ok(Figures {
        load,
        verified,
        full_redundancy_s: ended.map(span),
        peak_rss_mib: peak.mib,
        object_bytes: through(function_bytes, load.count() * 2, OBJECT_BYTES),
        function_bytes,
    })
}

/// Watches the objects being put, and cuts a region off for the middle third of their bytes.
fn put(cloud: &Cloud, loader: &Loader, narrator: Narrator, peak: &mut Peak) -> Result<(), CloudError> {
    let mut now = Third::First;
    loop {
        peak.look(narrator);
        let (next, ended) = match loader.heard(&cloud.folder)? {
            Some(Said::Put { put, of }) => (third(put, of), false),
            Some(Said::Done { .. }) => (Third::Last, true),
            Some(Said::Held { .. }) | None => (now, false),
        };
        if now == Third::First && next > now {
            cloud.gates().cut(CUT).doing(format!("cutting {CUT} off"))?;
            narrator.say(&format!("{CUT} is cut off"));
        }
        if now < Third::Last && next == Third::Last {
            cloud.gates().heal(Some(CUT)).doing(format!("healing {CUT}"))?;
            narrator.say(&format!("{CUT} is back"));
        }
        now = now.max(next);
        if ended {
            return Ok(());
        }
    }
}

/// Asks until every region holds everything; how much they hold, and when that was all.
fn watch(
    folder: &Folder,
    loader: &mut Loader,
    load: Load,
    narrator: Narrator,
    peak: &mut Peak,
) -> Result<(u64, Option<u64>), CloudError> {
    let until = narrator.now_ms() + sealane::time::millis(WHOLE_WITHIN);
    loop {
        loader.ask(folder)?;
        let (verified, missing) = loop {
            peak.look(narrator);
            if let Some(Said::Held { verified, missing }) = loader.heard(folder)? {
                break (verified, missing);
            }
        };
        if verified == load.count() {
            return Ok((verified, Some(narrator.now_ms())));
        }
        if narrator.now_ms() >= until {
            return Ok((verified, None));
        }
        let lacks = missing.iter().map(|(region, n)| format!("{region} lacks {n}")).collect::<Vec<_>>();
        narrator.say(&format!("{verified} objects are everywhere; {}", lacks.join(", ")));
        narrator.rest(ASK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOAD: Load = Load { objects: 10, large_bytes: 1 };

    proptest! {
        /// Thirds follow one another, begin with the first and end with the last.
        #[test]
        fn thirds_follow_one_another(of in 3..u64::MAX / 4, a: u64, b: u64) {
            let (a, b) = (a % of, b % of);
            prop_assert!(third(a.min(b), of) <= third(a.max(b), of));
            prop_assert_eq!((third(0, of), third(of, of)), (Third::First, Third::Last));
            prop_assert_eq!(third(of / 2, of), Third::Middle);
        }
    }

    #[test]
    fn every_line_of_the_loader_is_understood() {
        let said = |line: &str| serde_json::from_str::<Said>(line).ok();
        assert_eq!(said(r#"{"put": 5, "of": 9}"#), Some(Said::Put { put: 5, of: 9 }));
        assert_eq!(said(r#"{"done": true}"#), Some(Said::Done { done: true }));
        let held = Said::Held { verified: 2, missing: [("a".to_owned(), 3)].into() };
        assert_eq!(said(r#"{"verified": 2, "missing": {"a": 3}}"#), Some(held));
    }

    #[test]
    fn a_function_that_passes_objects_on_is_found_out() {
        let requests = 6 * 2_000;
        assert_eq!(through(22 * requests, 22, OBJECT_BYTES), 0, "requests alone");
        let passed = 22 * (requests + OBJECT_BYTES);
        assert_eq!(through(passed, 22, OBJECT_BYTES), passed);
        assert_eq!(through(0, 0, OBJECT_BYTES), 0);
    }

    #[test]
    fn the_peak_is_read_from_what_the_system_tells() {
        assert_eq!(
            peak_kib("Name:\tbootstrap\nVmPeak:\t  9 kB\nVmHWM:\t   20480 kB\nVmRSS:\t 1 kB\n"),
            Some(20_480)
        );
        assert_eq!(peak_kib("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn what_is_missed_is_named() {
        let good = Figures {
            load: LOAD,
            verified: 11,
            full_redundancy_s: Some(1.0),
            peak_rss_mib: 20.0,
            object_bytes: 0,
            function_bytes: 1_000,
        };
        assert_eq!(good.missed(), [""; 0]);
        assert_eq!(good.json()["objects"], 11);
        let bad = Figures { verified: 10, peak_rss_mib: 65.0, object_bytes: 9, ..good };
        assert_eq!(bad.missed().len(), 3);
        assert_eq!(Figures { peak_rss_mib: 0.0, ..good }.missed().len(), 1, "nothing was measured");
    }
}
