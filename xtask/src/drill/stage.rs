//! The local cloud as the drill's stage: looked at from outside, broken, and put back as it was.

use super::{
    scenario::Act,
    sight::{Episode, Said},
};
use crate::{
    cloud::{
        Cloud,
        error::{CloudError, Doing},
        region::PRIMARY,
    },
    demo::{api::Api, narrator::Narrator, scene::FULL},
};
use sealane::failover::{Phase, Record};
use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

/// How often the regions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long it may take until all regions are up and work is at rest in the primary one.
const CALM_WITHIN: Duration = Duration::from_secs(240);

/// How long everything has to stay calm before a fault: longer than verdicts take to settle.
const CALM_FOR: Duration = Duration::from_secs(15);

/// How long what is to come of a fault may take.
pub const DONE_WITHIN: Duration = Duration::from_secs(120);

/// Who the drill's operator is in the records.
const OPERATOR: &str = "drill";

/// A running cloud.
#[derive(Debug)]
pub struct Stage {
    pub(super) cloud: Cloud,
    sealane: PathBuf,
    pub(super) api: Api,
    pub(super) narrator: Narrator,
}

impl Stage {
    /// A stage on `cloud`, with the command line program at `sealane`.
    #[must_use]
    pub fn on(cloud: Cloud, sealane: PathBuf, narrator: Narrator) -> Self {
        Self { api: Api::of(&cloud.record), cloud, sealane, narrator }
    }

    /// What each of `regions` says, all asked at once.
    #[must_use]
    pub fn look(&self, regions: &[&str]) -> Vec<Said> {
        thread::scope(|scope| {
            let asked: Vec<_> =
                regions.iter().map(|region| scope.spawn(|| Said::by(&self.api, region))).collect();
            asked.into_iter().map(|said| said.join().unwrap_or_default()).collect()
        })
    }

    /// Heals everything, has the regions begin anew, and waits until all is calm.
    ///
    /// The record begins anew since its past would damp the next episode: automation makes two moves an
    /// hour and then asks.
    ///
    /// # Errors
    /// When it does not get calm.
    pub fn restore(&self) -> Result<(), CloudError> {
        self.heal()?;
        self.calm_for(Duration::ZERO, "all regions up after healing", |said| {
            said.regions.as_ref().is_some_and(|regions| regions.waiting().is_empty())
        })?;
        self.act(["forget".as_ref()])?;
        self.calm_for(CALM_FOR, "work at rest in the primary region", Said::is_calm)
    }

    /// Heals everything, and waits until all regions are up and no move is under way.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn settled(&self) -> Result<(), CloudError> {
        self.heal()?;
        self.calm_for(Duration::ZERO, "rest after healing", |said| {
            let up = said.regions.as_ref().is_some_and(|regions| regions.waiting().is_empty());
            let at_rest = |record: &Record| match record.phase {
                Phase::Steady | Phase::Returning { .. } => true,
                Phase::Draining { .. } | Phase::Switching { .. } | Phase::Verifying { .. } => false,
            };
            up && said.record.as_ref().is_some_and(at_rest)
        })
    }

    fn calm_for(&self, time: Duration, what: &str, calm: impl Fn(&Said) -> bool) -> Result<(), CloudError> {
        let began = self.narrator.now_ms();
        let mut since = None;
        loop {
            let now = self.narrator.now_ms();
            if self.look(&FULL).iter().all(&calm) {
                if now - *since.get_or_insert(now) >= ms(time) {
                    return Ok(());
                }
            } else {
                since = None;
            }
            if now - began > ms(CALM_WITHIN) {
                let what = format!("after {} s there was never {what}", CALM_WITHIN.as_secs());
                return Err(CloudError::failed(what, "`cargo xtask down`, and drill again".to_owned()));
            }
            self.narrator.rest(LOOK_EVERY);
        }
    }

    /// Puts the faults of `act` in force.
    ///
    /// # Errors
    /// When the gates do not answer.
    pub fn break_it(&self, act: &Act) -> Result<(), CloudError> {
        for fault in &act.faults {
            self.cloud.gates().add(fault.clone()).doing("cutting a gate")?;
        }
        Ok(())
    }

    /// Takes every fault back.
    ///
    /// # Errors
    /// When the gates do not answer.
    pub fn heal(&self) -> Result<(), CloudError> {
        self.cloud.gates().heal(None).map(drop).doing("healing the gates")
    }

    /// Looks until `done`, or for `within`; what was seen is in `episode`. Says whether it was done.
    pub fn watch(
        &self,
        act: &Act,
        episode: &mut Episode,
        began_ms: u64,
        within: Duration,
        done: impl Fn(&Episode, &[Said]) -> bool,
    ) -> bool {
        let until = self.narrator.now_ms() + ms(within);
        loop {
            let said = self.look(&act.asked);
            // The answers are as old as the slowest of them: timed when all are there.
            let now = self.narrator.now_ms();
            episode.look(act, &said, now - began_ms);
            if done(episode, &said) {
                return true;
            }
            if now >= until {
                return false;
            }
            self.narrator.rest(LOOK_EVERY);
        }
    }

    /// Publishes an old alarm many times in every region.
    ///
    /// # Errors
    /// When a topic does not take it.
    pub fn storm(&self, times: u32) -> Result<String, CloudError> {
        let event = self.cloud.folder.workspace().join("events/failover-handler-sns-alarm.json");
        self.act(["storm".as_ref(), event.as_os_str(), times.to_string().as_ref()])
    }

    /// Has an operator keep work in the primary region.
    ///
    /// # Errors
    /// When the command fails.
    pub fn pin(&self) -> Result<(), CloudError> {
        let ruling = ["--rule", "stay", "--by", OPERATOR, "--reason", "the drill", "--for", "30m"];
        self.sealane(&[&["failover", "pin", PRIMARY][..], &ruling].concat())
    }

    /// Has the operator take that back.
    ///
    /// # Errors
    /// When the command fails.
    pub fn unpin(&self) -> Result<(), CloudError> {
        self.sealane(&["failover", "unpin", PRIMARY, "--by", OPERATOR, "--reason", "the drill is over"])
    }

    /// Runs the command line program as an operator does.
    ///
    /// # Errors
    /// When the command fails.
    pub(super) fn sealane(&self, arguments: &[&str]) -> Result<(), CloudError> {
        let keys = &self.cloud.record.credentials;
        let mut command = Command::new(&self.sealane);
        command.args(arguments).arg("--config").arg(&self.cloud.record.config);
        command.env("AWS_ACCESS_KEY_ID", &keys.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key);
        command.env("AWS_EC2_METADATA_DISABLED", "true").env_remove("AWS_PROFILE");
        let name = format!("sealane {}", arguments.join(" "));
        words(&name, &command.output().doing(format!("running `{name}`"))?).map(drop)
    }

    fn act<const N: usize>(&self, arguments: [&OsStr; N]) -> Result<String, CloudError> {
        let folder = &self.cloud.folder;
        let mut python = Command::new(folder.python());
        python
            .arg("-B")
            .arg(folder.programs().join("drill_acts.py"))
            .arg(folder.cloud_json())
            .args(arguments);
        words("drill_acts.py", &python.output().doing("running `drill_acts.py`")?)
    }
}

/// What a program printed, if it ended well.
fn words(name: &str, output: &Output) -> Result<String, CloudError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CloudError::failed(format!("`{name}` ended with {}", output.status), said))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
