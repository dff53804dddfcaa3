//! The demo: ships a folder to three regions, cuts one off in the middle, and tells what happens.
//!
//! The story is told by the local cloud alone: the demo acts as a client and as the fault, and
//! everything else is done by the deployed functions. A claim counts when it was read back by
//! a program that shares no code with them (`readback.py`). Whatever does not hold is in the
//! report and makes the demo fail; the local cloud stays up, so that it can be looked at.

pub mod api;
pub mod input;
pub mod narrator;
pub mod outage;
pub mod proof;
pub mod readback;
pub mod report;
pub mod scene;
pub mod shipping;
pub mod watch;
pub mod writer;

use crate::cloud::{
    self, Cloud,
    configuration::Access,
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
    functions::{self, Binaries, CLI},
    region::PRIMARY,
};
use input::Input;
use narrator::{Narrator, seconds, size};
use report::Report;
use scene::Scene;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Size of the generated file of the demo's own input.
pub const GENERATED: u64 = 256 << 20;

/// How long the fresh cloud may take until every region is judged up.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// What is to be told, and where.
#[derive(Debug, Clone)]
pub struct Story {
    /// The folder of the cloud to use. A cloud that is up there is restarted.
    pub folder: Folder,
    /// What to ship; `None`: the workspace's sources and a generated file.
    pub input: Option<PathBuf>,
    /// Size of that generated file.
    pub generated: u64,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// The functions and the command line program.
    pub programs: Programs,
    /// Whether to wait until work is back in the primary region.
    pub failback: bool,
}

/// Where the functions and the command line program come from.
#[derive(Debug, Clone)]
pub enum Programs {
    /// Built at the beginning, with this Cargo profile.
    Built(String),
    /// Built before: the path of each, by name.
    Found(BTreeMap<String, PathBuf>),
}

/// Tells the story, and writes the report whether it ends well or not.
///
/// # Errors
/// When the input cannot be shipped, a step fails, or a claim does not hold.
pub fn tell(story: &Story) -> Result<Cloud, CloudError> {
    if let Some(path) = &story.report {
        writable(path)?;
    }
    let input = story.input.as_deref().map(input::given).transpose()?;
    let narrator = Narrator::begin();
    let mut report = Report::default();
    let played = play(story, input, narrator, &mut report);
    if let Err(error) = &played {
        report.failed.push(words(error));
    }
    let report = report.closed();
    if let Some(path) = &story.report {
        write_whole(path, &format!("{:#}\n", json!(report)))?;
        narrator.say(&format!("the report is in `{}`", path.display()));
    }
    let cloud = played?;
    if report.ok {
        return Ok(cloud);
    }
    let what = format!("{} of the demo's claims failed: {}", report.failed.len(), report.failed.join("; "));
    Err(CloudError::failed(what, "the local cloud is still up; its logs tell more".to_owned()))
}

/// The whole story; what it finds goes into `report`.
fn play(
    story: &Story,
    input: Option<Input>,
    narrator: Narrator,
    report: &mut Report,
) -> Result<Cloud, CloudError> {
    narrator.chapter("1  The local cloud");
    let (cloud, sealane) = prepare(story, narrator)?;
    let input = match input {
        Some(input) => input,
        None => input::assembled(&story.folder, story.generated)?,
    };
    let mut scene = Scene::open(cloud, narrator, input)?;
    scene.settle(UP_WITHIN, report)?;

    narrator.chapter("2  Shipping, and a region that goes away");
    let receipt = scene.ship(&sealane, report)?;
    narrator.chapter("3  The move");
    scene.move_away(report)?;
    scene.owe(&receipt, report)?;
    narrator.chapter("4  The region comes back");
    scene.repair(&receipt, report)?;
    if story.failback {
        narrator.chapter("5  Work returns");
        scene.come_home(report)?;
    }
    narrator.chapter("Reading everything back");
    scene.verify(report)?;
    Ok(scene.into_cloud())
}

/// Builds, and brings a fresh local cloud up.
fn prepare(story: &Story, narrator: Narrator) -> Result<(Cloud, PathBuf), CloudError> {
    let folder = &story.folder;
    let programs = match &story.programs {
        Programs::Found(programs) => programs.clone(),
        Programs::Built(profile) => {
            narrator.say(&format!("building the functions and `sealane` (profile `{profile}`)"));
            functions::built(folder, profile)?
        }
    };
    let sealane = functions::program(&programs, CLI.1)?;
    if cloud::down(folder)? {
        narrator.say("took down the local cloud of an earlier run");
    }
    let up = cloud::up(folder, &Binaries::Found(programs), Access::Open, &|step| narrator.say(step))?.cloud();
    narrator.say(&format!(
        "the local cloud is up: {} full regions, {} that only observes\nstatus page {}",
        up.record.regions.len(),
        up.record.witnesses.len(),
        up.record.status_url
    ));
    Ok((up, sealane))
}

/// Refuses a report that could not be written, before anything is done.
fn writable(path: &Path) -> Result<(), CloudError> {
    let open = fs::OpenOptions::new().append(true).create(true).open(path);
    open.map(drop).doing(format!("opening the report `{}`", path.display()))
}

/// An error and its causes.
fn words(error: &CloudError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The last lines of a demo that went well.
#[must_use]
pub fn epilogue(cloud: &Cloud) -> String {
    format!(
        "\nAll of it holds, and was read back. The local cloud stays up:\n  status page  {}\n  primary API  {}\n  \
         end it with  cargo xtask down",
        cloud.record.status_url,
        cloud.record.region(PRIMARY).map_or("", |region| region.api_url.as_str()),
    )
}

/// A count of bytes and the time that it took, in words.
fn at_rate(bytes: u64, ms: u64) -> String {
    format!("{} in {}", size(bytes), seconds(ms))
}
