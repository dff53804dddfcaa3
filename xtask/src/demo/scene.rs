//! The stage: the running cloud, what watches it, and the first two chapters.

use super::{
    api::Api,
    at_rate,
    input::Input,
    narrator::{self, Narrator, seconds, size},
    readback::Readback,
    report::Report,
    shipping::Shipping,
    watch::{Regions, Watch},
    writer::{Sent, Writer},
};
use crate::cloud::{
    Cloud,
    configuration::bucket,
    error::{CloudError, Doing},
    region::PRIMARY,
};
use sealane::{
    failover::{Phase, Record},
    upload::{How, Receipt},
};
use serde_json::json;
use std::{collections::BTreeSet, path::Path, time::Duration};

/// The region that the demo's client asks while the primary is away.
pub const STANDBY: &str = "us-east-1";

/// The region that worksets are read from.
pub const READER: &str = "eu-west-1";

/// The full regions, all of which shall hold a copy.
pub const FULL: [&str; 3] = [PRIMARY, STANDBY, READER];

/// How often the cloud is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often the bytes of an upload are counted.
const COUNT_EVERY: Duration = Duration::from_millis(15);

/// Characters of a reason that are told; the report has the rest.
const REASON_MAX: usize = 90;

/// How long an upload may take.
const SHIPPED_WITHIN: Duration = Duration::from_secs(600);

/// The running cloud and all that is known of it.
#[derive(Debug)]
pub struct Scene {
    pub(super) cloud: Cloud,
    pub(super) narrator: Narrator,
    pub(super) api: Api,
    pub(super) readback: Readback,
    pub(super) writer: Writer,
    pub(super) watch: Watch,
    pub(super) input: Input,
    /// The key of what is shipped.
    pub(super) key: String,
    /// The checksum that the receipt names.
    pub(super) checksum: String,
    /// When the region was cut off.
    pub(super) cut_at_ms: u64,
    /// Whether it is cut off now.
    pub(super) cut: bool,
    /// The last refusal that was told.
    told: Option<String>,
}

impl Scene {
    /// Sets the stage.
    ///
    /// # Errors
    /// When the readback program cannot be started.
    pub fn open(cloud: Cloud, narrator: Narrator, input: Input) -> Result<Self, CloudError> {
        let ending = if input.path.is_dir() { ".tar.zst" } else { "" };
        let name = input.path.file_name().map_or_else(|| "input".into(), |name| name.to_string_lossy());
        let key = format!("demo/{name}{ending}");
        Ok(Self {
            api: Api::of(&cloud.record),
            readback: Readback::start(&cloud)?,
            writer: Writer::default(),
            watch: Watch::default(),
            checksum: String::new(),
            cut_at_ms: 0,
            cut: false,
            told: None,
            cloud,
            narrator,
            input,
            key,
        })
    }

    /// Waits until every region is judged up, work is in the primary region, and a workset is registered.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub fn settle(&mut self, within: Duration, report: &mut Report) -> Result<(), CloudError> {
        self.narrator.say("waiting until the regions have judged one another");
        let until = self.deadline(within);
        loop {
            // Each API judges for itself, and each has to be ready before one of them is left alone.
            let seen = FULL.map(|region| self.look(region));
            let waiting: BTreeSet<&str> =
                seen.iter().flat_map(|seen| seen.as_ref().map_or(vec!["an API"], Regions::waiting)).collect();
            let record = self.record(PRIMARY)?;
            let steady = record.as_ref().filter(|r| r.active.as_str() == PRIMARY && r.phase == Phase::Steady);
            if let (true, Some(record)) = (waiting.is_empty(), steady) {
                report.failover.epoch_before = Some(record.epoch);
                break;
            }
            let waiting = waiting.into_iter().collect::<Vec<_>>().join(", ");
            self.in_time(until, || format!("after {} s not yet up: {waiting}", within.as_secs()))?;
        }
        report.claim(report.failover.epoch_before == Some(1), "the story begins in epoch 1");
        while self.writer.done() == 0 {
            self.write(PRIMARY)?;
            self.in_time(until, || "no workset could be registered".to_owned())?;
        }
        self.narrator.say(&format!("workset `demo-001` is registered through {PRIMARY}"));
        Ok(())
    }

    /// Ships the input, and cuts the primary region off while it is on its way.
    ///
    /// # Errors
    /// When the upload ends before the cut, or without a receipt.
    pub fn ship(&mut self, sealane: &Path, report: &mut Report) -> Result<Receipt, CloudError> {
        let Input { path, files, bytes, .. } = &self.input;
        let (shown, files, bytes) = (path.display(), *files, size(*bytes));
        self.narrator.say(&format!("`sealane upload {shown} --copies 3`: {files} files, {bytes}"));
        let began = self.narrator.now_ms();
        let until = self.deadline(SHIPPED_WITHIN);
        let mut shipping = Shipping::start(&self.cloud, sealane, &self.input.path, &self.key)?;
        self.cut_in_the_middle(&mut shipping, report)?;
        let status = loop {
            if let Some(status) = shipping.ended()? {
                break status;
            }
            self.attend(STANDBY, report)?;
            self.in_time(until, || "the upload does not end".to_owned())?;
        };
        let receipt = shipping.receipt(status)?;
        self.checksum = receipt.checksum.to_string();
        self.tell_receipt(&receipt, began, status.success(), report);
        Ok(receipt)
    }

    fn cut_in_the_middle(&mut self, shipping: &mut Shipping, report: &mut Report) -> Result<(), CloudError> {
        let carried = loop {
            let carried = shipping.carried()?;
            if carried >= self.input.cut_after {
                break carried;
            }
            if let Some(status) = shipping.ended()? {
                let receipt = shipping.receipt(status)?;
                let what =
                    format!("the upload ended ({}) when {PRIMARY} had {}", receipt.rule, size(carried));
                return Err(CloudError::failed(what, "ship more, or what is less easily packed".to_owned()));
            }
            self.narrator.rest(COUNT_EVERY);
        };
        self.cloud.gates().cut(PRIMARY).doing(format!("cutting {PRIMARY} off"))?;
        self.cut_at_ms = self.narrator.now_ms();
        self.cut = true;
        report.failover.cut_at_ms = Some(self.cut_at_ms);
        self.narrator.say(&format!(
            "CUT: {PRIMARY} is cut off from everyone and everything, {} into its copy",
            size(carried)
        ));
        Ok(())
    }

    fn tell_receipt(&self, receipt: &Receipt, began: u64, accepted: bool, report: &mut Report) {
        let took = at_rate(receipt.size.0, self.narrator.now_ms() - began);
        let mut lines = vec![format!("the receipt: {} ({took} to each region)", receipt.rule)];
        for copy in &receipt.copies {
            let how = match copy.how {
                How::ReadBack => "read back",
                How::ChecksumAttribute => "by the store's checksum",
                How::WriteReply => "by the reply of the write",
            };
            lines.push(format!("  verified  {:<10} {how}, CRC64NVME {}", copy.region, copy.checksum));
        }
        let owed = receipt.owed.iter().map(|owed| (owed.region, narrator::clipped(&owed.reason, REASON_MAX)));
        lines.extend(owed.map(|(region, reason)| format!("  owed      {region:<10} {reason}")));
        self.narrator.say(&lines.join("\n"));
        report.upload.bytes = receipt.size.0;
        report.upload.owed = receipt.owed.iter().map(|owed| json!(owed)).collect();
        report.upload.attempts = receipt.attempts.iter().map(|attempt| json!(attempt)).collect();
        report.claim(accepted, "the upload ends with exit code 0");
        report.claim(receipt.copies.len() == 2, "the receipt names two verified copies");
        let owed: Vec<&str> = receipt.owed.iter().map(|owed| owed.region.as_str()).collect();
        report.claim(owed == [PRIMARY], &format!("the receipt owes one copy, to {PRIMARY}"));
    }

    /// Looks at the cloud once through `region`, tells what is new, and goes on writing and reading.
    ///
    /// # Errors
    /// When a write is refused for good.
    pub(super) fn attend(&mut self, region: &str, report: &mut Report) -> Result<Option<Record>, CloudError> {
        let regions = self.look(region);
        let record = self.record(region)?;
        let now = self.narrator.now_ms();
        if self.cut {
            let since = now.saturating_sub(self.cut_at_ms);
            let down =
                regions.as_ref().and_then(|seen| seen.region(PRIMARY)).is_some_and(|r| r.down().is_some());
            if down {
                report.failover.detected_ms.get_or_insert(since);
            }
            if record.as_ref().is_some_and(|record| record.active.as_str() != PRIMARY) {
                report.failover.switched_ms.get_or_insert(since);
            }
        }
        let done = self.writer.done();
        self.write(region)?;
        if self.cut {
            report.worksets.written_during_outage += self.writer.done() - done;
            let read = self.api.get(READER, "/v1/worksets/demo-001");
            report.worksets.read_during_outage += usize::from(read.is_ok_and(|reply| reply.is_success()));
        }
        self.narrator.rest(LOOK_EVERY);
        Ok(record)
    }

    /// What `region`'s API says of the regions; `None` while it does not answer.
    fn look(&mut self, region: &str) -> Option<Regions> {
        let reply = self.api.get(region, "/v1/regions").ok().filter(super::api::Reply::is_success)?;
        let seen: Regions = serde_json::from_value(reply.body).ok()?;
        // The others' views differ by seconds; the story is told from where the client will be.
        if region == STANDBY {
            for news in self.watch.regions(&seen) {
                self.tell(&news);
            }
        }
        Some(seen)
    }

    /// The record of the active region, as `region`'s API reads it; `None` while it does not answer.
    pub(super) fn record(&mut self, region: &str) -> Result<Option<Record>, CloudError> {
        let Some(mut reply) =
            self.api.get(region, "/v1/failovers").ok().filter(super::api::Reply::is_success)
        else {
            return Ok(None);
        };
        let record: Option<Record> =
            serde_json::from_value(reply.body["record"].take()).map_err(|error| {
                CloudError::failed(
                    format!("`{region}` shows no record: {error}"),
                    "see `GET /v1/failovers`".into(),
                )
            })?;
        if let Some(news) = record.as_ref().and_then(|record| self.watch.record(record)) {
            self.tell(&news);
        }
        Ok(record)
    }

    fn write(&mut self, region: &str) -> Result<(), CloudError> {
        match self.writer.step(&self.api, region, &bucket(PRIMARY), self.narrator.now_ms()) {
            Sent::Done(write) => {
                if self.told.take().is_some() {
                    let (_, put_off) = self.writer.put_off();
                    self.tell(&format!("writes are taken again, after {}: {write}", seconds(put_off)));
                }
                Ok(())
            }
            Sent::Later(why) => {
                if self.told.is_none() {
                    self.tell(&format!("a write is put off: {}", narrator::clipped(&why, REASON_MAX)));
                }
                self.told = Some(why);
                Ok(())
            }
            Sent::Refused(why) => Err(CloudError::failed(
                format!("a write was refused: {why}"),
                "see the logs of `workset-api`".into(),
            )),
        }
    }

    /// Tells news, with the time since the cut while there is one.
    pub(super) fn tell(&self, news: &str) {
        let since = self.narrator.now_ms().saturating_sub(self.cut_at_ms);
        let when = if self.cut { format!("{} after the cut: ", seconds(since)) } else { String::new() };
        self.narrator.say(&format!("{when}{news}"));
    }

    /// The moment when something has taken too long.
    pub(super) fn deadline(&self, within: Duration) -> u64 {
        self.narrator.now_ms() + u64::try_from(within.as_millis()).unwrap_or(u64::MAX)
    }

    /// Rests before the next look, unless it is too late for one.
    pub(super) fn in_time(&self, until: u64, what: impl FnOnce() -> String) -> Result<(), CloudError> {
        if self.narrator.now_ms() >= until {
            let logs = self.cloud.folder.log_path("bridge");
            return Err(CloudError::failed(what(), format!("see the logs beside `{}`", logs.display())));
        }
        self.narrator.rest(LOOK_EVERY);
        Ok(())
    }

    /// The cloud, when the story is over.
    #[must_use]
    pub fn into_cloud(self) -> Cloud {
        self.cloud
    }
}
