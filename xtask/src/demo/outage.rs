//! Chapters three to five: the move away, the debt and its payment, and the way home.

use super::{
    narrator::seconds,
    report::{Failback, Report},
    scene::{READER, STANDBY, Scene},
};
use crate::cloud::{
    error::{CloudError, Doing},
    region::PRIMARY,
};
use sealane::{
    failover::{Phase, Record},
    replication::{Entry, Phase as Debt},
    upload::Receipt,
};
use std::time::Duration;

/// How long a move may take from the cut on, far above the seconds that it should.
const MOVED_WITHIN: Duration = Duration::from_secs(120);

/// How long it may take until the debt is in the ledger.
const OWED_WITHIN: Duration = Duration::from_secs(90);

/// How long a healed region may wait for its copy: a sweep a minute, and waits between tries that grow to 5 minutes.
const PAID_WITHIN: Duration = Duration::from_secs(480);

/// How long work may take to return: recovery, hold-down and three steps.
const HOME_WITHIN: Duration = Duration::from_secs(600);

impl Scene {
    /// Watches until work has moved to another region, and writes there are taken.
    ///
    /// # Errors
    /// When it does not move in time.
    pub fn move_away(&mut self, report: &mut Report) -> Result<(), CloudError> {
        let until = self.deadline(MOVED_WITHIN);
        let moved = |record: &Record| record.active.as_str() != PRIMARY && record.phase == Phase::Steady;
        loop {
            let record = self.attend(STANDBY, report)?;
            let written = report.worksets.written_during_outage >= 2;
            if written && record.as_ref().is_some_and(moved) {
                break;
            }
            self.in_time(until, || format!("work did not move away from {PRIMARY}"))?;
        }
        let (refusals, put_off) = self.writer.put_off();
        self.tell(&format!(
            "worksets: {} writes taken and {} reads from {READER} answered since the cut; \
             writes waited {} at the longest ({refusals} attempts put off)",
            report.worksets.written_during_outage,
            report.worksets.read_during_outage,
            seconds(put_off)
        ));
        let record: Option<Record> = self.readback.row(STANDBY, "control", ("assignment", "current"))?;
        let record = record.ok_or_else(|| missing("the record of the active region"))?;
        report.failover.epoch_after = Some(record.epoch);
        report.failover.reason = Some(record.reason.to_string());
        report.claim(report.failover.detected_ms.is_some(), &format!("{PRIMARY} was judged down"));
        report.claim(report.failover.switched_ms.is_some(), "another region became active");
        report.claim(record.epoch == 2, "the control table holds epoch 2 after the move");
        report.claim(report.worksets.read_during_outage > 0, &format!("worksets were read from {READER}"));
        Ok(())
    }

    /// Waits until the ledger of a surviving region has the missing copy as owed.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn owe(&mut self, receipt: &Receipt, report: &mut Report) -> Result<(), CloudError> {
        let until = self.deadline(OWED_WITHIN);
        let owed = loop {
            let owed = self.debts(receipt)?.into_iter().filter(Entry::is_owed).count();
            if owed > 0 {
                break owed;
            }
            self.attend(STANDBY, report)?;
            self.in_time(until, || "no copy is owed in the ledger".to_owned())?;
        };
        report.repair.owed = owed;
        self.tell(&format!("the ledger in {STANDBY} has {owed} copy as owed, to {PRIMARY}"));
        report.claim(owed == 1, "the ledger has one copy as owed");
        Ok(())
    }

    /// Heals the region and waits until what is owed to it is paid.
    ///
    /// # Errors
    /// When it is not paid in time.
    pub fn repair(&mut self, receipt: &Receipt, report: &mut Report) -> Result<(), CloudError> {
        self.cloud.gates().heal(Some(PRIMARY)).doing(format!("healing {PRIMARY}"))?;
        let healed_at = self.narrator.now_ms();
        self.cut = false;
        self.tell(&format!("HEALED: {PRIMARY} is reached again"));
        let until = self.deadline(PAID_WITHIN);
        loop {
            let debts = self.debts(receipt)?;
            if !debts.is_empty() && !debts.iter().any(Entry::is_owed) {
                report.repair.paid =
                    debts.iter().filter(|debt| matches!(debt.phase, Debt::Verified { .. })).count();
                break;
            }
            self.attend(STANDBY, report)?;
            self.in_time(until, || format!("the copy owed to {PRIMARY} was not paid"))?;
        }
        let found = self.readback.copies(receipt.key.as_str(), &[PRIMARY], &self.input.path)?;
        let whole = found.missing.is_empty() && found.archive.differences.is_empty();
        let took = self.narrator.now_ms() - healed_at;
        report.repair.healed_ms = Some(took);
        self.tell(&format!(
            "the owed copy is paid and read back, {} after the region came back",
            seconds(took)
        ));
        report.claim(whole, &format!("the copy that was owed is in {PRIMARY}, and whole"));
        report.claim(report.repair.paid == report.repair.owed, "everything that was owed is paid");
        Ok(())
    }

    /// What the ledger of a surviving region has for this upload.
    fn debts(&mut self, receipt: &Receipt) -> Result<Vec<Entry>, CloudError> {
        let rows = self.readback.rows(STANDBY, "ledger", &format!("upload#{}", receipt.upload_id))?;
        Ok(rows.into_iter().filter(|row| row.sk == PRIMARY).map(|row| row.body).collect())
    }

    /// Watches work return to the primary region.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn come_home(&mut self, report: &mut Report) -> Result<(), CloudError> {
        self.narrator.say(
            "it returns once the region has stayed up for its hold-down, in steps of 10, 25, 50 and 100%",
        );
        let until = self.deadline(HOME_WITHIN);
        let home = |record: &Record| record.active.as_str() == PRIMARY && record.epoch > 2;
        let mut at_ms = None;
        loop {
            let record = self.attend(STANDBY, report)?;
            if let Some(record) = record.filter(home) {
                let at_ms = *at_ms.get_or_insert_with(|| self.narrator.now_ms());
                report.failback = Some(Failback { at_ms, reason: record.reason.to_string() });
                if record.phase == Phase::Steady {
                    break;
                }
            }
            self.in_time(until, || format!("work did not return to {PRIMARY}"))?;
        }
        Ok(())
    }
}

fn missing(what: &str) -> CloudError {
    CloudError::failed(format!("{what} is not there"), format!("look at the tables through {STANDBY}"))
}
