//! The last chapter: every copy, row and workset is read back from every region.

use super::{
    narrator::size,
    report::{Copy, Report},
    scene::{FULL, Scene},
};
use crate::cloud::{configuration::OPEN_TENANT, error::CloudError, region::CONTROL};
use sealane::failover::{Moved, Record};
use serde_json::Value;

/// The record as one control region has it, and the accounts of the moves.
type Steering = (Option<Record>, Vec<String>);

impl Scene {
    /// Reads everything back and notes what does not hold.
    ///
    /// # Errors
    /// When a region does not answer.
    pub fn verify(&mut self, report: &mut Report) -> Result<(), CloudError> {
        self.verify_copies(report)?;
        self.verify_record(report)?;
        self.verify_worksets(report)
    }

    fn verify_copies(&mut self, report: &mut Report) -> Result<(), CloudError> {
        let found = self.readback.copies(&self.key, &FULL, &self.input.path)?;
        let whole = found.equal && found.archive.differences.is_empty();
        let owed = |region: &str| report.upload.owed.iter().any(|owed| owed["region"] == region);
        let copies = found.copies.iter().filter(|copy| !owed(&copy.region)).map(|copy| Copy {
            region: copy.region.clone(),
            key: self.key.clone(),
            checksum: copy.crc64nvme.clone(),
            verified: whole && copy.bytes == report.upload.bytes && copy.crc64nvme == self.checksum,
        });
        report.upload.copies = copies.collect();
        report.upload.files = found.archive.files;
        let bytes = report.upload.bytes;
        report.claim(found.missing.is_empty(), "every region has a copy");
        report.claim(found.equal, "the copies equal one another byte for byte");
        report
            .claim(found.copies.iter().all(|copy| copy.bytes == bytes), "the copies have the receipt's size");
        let summed = found.copies.iter().all(|copy| copy.crc64nvme == self.checksum);
        report.claim(summed, "the bytes of each copy have the receipt's checksum");
        report.claim(found.archive.files == self.input.files, "the archive has every file of the input");
        let differences = &found.archive.differences;
        report.claim(
            differences.is_empty(),
            &format!("the archive equals the input ({})", differences.join("; ")),
        );
        self.narrator.say(&format!(
            "{} copies of {} are equal byte for byte; unpacked, {} files equal their sources",
            found.copies.len(),
            size(bytes),
            found.archive.files
        ));
        Ok(())
    }

    /// The record and the moves as each control region has them.
    fn records(&mut self) -> Result<Vec<Steering>, CloudError> {
        let mut seen = Vec::new();
        for region in CONTROL {
            let record = self.readback.row(region, "control", ("assignment", "current"))?;
            let moves = self.readback.rows::<Moved>(region, "control", "moves")?;
            seen.push((record, moves.iter().map(|row| row.body.to_string()).collect()));
        }
        Ok(seen)
    }

    fn verify_record(&mut self, report: &mut Report) -> Result<(), CloudError> {
        let mut seen = self.records()?;
        // A controller may write between two reads; that is no difference between regions.
        for _ in 0..2 {
            if seen.windows(2).all(|two| two[0] == two[1]) {
                break;
            }
            seen = self.records()?;
        }
        report
            .claim(seen.windows(2).all(|two| two[0] == two[1]), "every control region holds the same record");
        let Some((Some(record), moves)) = seen.pop() else {
            report.claim(false, "there is a record of the active region");
            return Ok(());
        };
        // Work goes home by itself, whether the story waits for it or not.
        let expected = if report.failback.is_some() { 3..=3 } else { 2..=3 };
        report.claim(
            expected.contains(&record.epoch),
            &format!("the control table holds an epoch of {expected:?}"),
        );
        // A move is on record when it has ended.
        let ended =
            record.epoch - 1 - u64::from(record.underway.is_some() && record.phase.target().is_none());
        report.claim(moves.len() as u64 == ended, &format!("{ended} moves are on record"));
        self.narrator.say(&format!("the record of moves:\n  {}", moves.join("\n  ")));
        Ok(())
    }

    fn verify_worksets(&mut self, report: &mut Report) -> Result<(), CloudError> {
        let expected: Vec<(String, &str)> =
            self.writer.expected().map(|(id, state)| (id.to_owned(), state)).collect();
        for (id, state) in &expected {
            let mut kept = true;
            for region in FULL {
                let row: Option<Value> =
                    self.readback.row(region, "worksets", (&format!("{OPEN_TENANT}#{id}"), "meta"))?;
                kept &= row.is_some_and(|row| has_state(&row, state));
            }
            report.worksets.lost += usize::from(!kept);
        }
        let lost = report.worksets.lost;
        report.claim(lost == 0, "every acknowledged write is in every region's table");
        self.narrator.say(&format!(
            "{} worksets after {} acknowledged writes: {lost} lost in {} regions",
            expected.len(),
            self.writer.done(),
            FULL.len()
        ));
        Ok(())
    }
}

/// Whether a workset's row has it in this state. The row holds the workset beside its last event.
fn has_state(row: &Value, state: &str) -> bool {
    row["state"] == state || row["workset"]["state"] == state
}
