//! What the demo found, as JSON: every number in it was read back, not taken from a receipt.
//!
//! Times are whole milliseconds. `*_at_ms` counts from the beginning of the story, `detected_ms`
//! and `switched_ms` from the cut, `healed_ms` from the moment the region was healed to the
//! moment its copy was read back.

use serde::Serialize;
use serde_json::Value;

/// The report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether every claim held.
    pub ok: bool,
    /// The claims that did not hold, or what kept the story from its end. Only there if not `ok`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The upload.
    pub upload: Upload,
    /// The failover.
    pub failover: Failover,
    /// The copies that were owed.
    pub repair: Repair,
    /// The return to the primary region; `null` when the story ended before it.
    pub failback: Option<Failback>,
    /// The worksets.
    pub worksets: Worksets,
}

/// What the upload left.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Upload {
    /// Files in the archive, as read back from it.
    pub files: u64,
    /// Bytes of the archive.
    pub bytes: u64,
    /// The copies that the receipt names.
    pub copies: Vec<Copy>,
    /// The copies that the receipt calls owed: `region` and `reason`.
    pub owed: Vec<Value>,
    /// Every try in every region, as the receipt has them.
    pub attempts: Vec<Value>,
}

/// One copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Where it is.
    pub region: String,
    /// Its key.
    pub key: String,
    /// Its CRC64NVME, computed from the bytes that were read back; base64.
    pub checksum: String,
    /// Whether it was read back, equals every other copy byte for byte, and has the checksum of the receipt.
    pub verified: bool,
}

/// How work moved away from the region that was cut off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failover {
    /// When the region was cut off.
    pub cut_at_ms: Option<u64>,
    /// When a surviving region's API first called it down.
    pub detected_ms: Option<u64>,
    /// When a surviving region's API first named another active region.
    pub switched_ms: Option<u64>,
    /// The epoch before the cut.
    pub epoch_before: Option<u64>,
    /// The epoch that the control table holds after the move.
    pub epoch_after: Option<u64>,
    /// Why it moved, as the control table has it.
    pub reason: Option<String>,
}

/// How the debt was paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// Copies that the ledger had as owed during the outage.
    pub owed: usize,
    /// Of these, copies that are verified in the ledger and were read back whole.
    pub paid: usize,
    /// Time from healing the region to the proof.
    pub healed_ms: Option<u64>,
}

/// How work came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failback {
    /// When the primary region was active again.
    pub at_ms: u64,
    /// Why, as the control table has it.
    pub reason: String,
}

/// What became of the worksets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Worksets {
    /// Writes that were acknowledged while the region was cut off.
    pub written_during_outage: usize,
    /// Reads that were answered while it was.
    pub read_during_outage: usize,
    /// Acknowledged writes that some region's table does not hold. Has to be 0.
    pub lost: usize,
}

impl Report {
    /// Notes a claim: nothing if it holds, its text if it does not. Says whether it holds.
    pub fn claim(&mut self, holds: bool, claim: &str) -> bool {
        if !holds {
            self.failed.push(format!("does not hold: {claim}"));
        }
        holds
    }

    /// The finished report: all is well exactly if nothing failed.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.ok = self.failed.is_empty();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_claim_that_fails_spoils_the_report_and_is_named() {
        let mut report = Report::default();
        assert!(report.claim(true, "water is wet"));
        assert!(!report.claim(false, "three copies are equal"));
        let report = json!(report.closed());
        assert_eq!(report["ok"], false);
        assert_eq!(report["failed"], json!(["does not hold: three copies are equal"]));
    }

    #[test]
    fn the_keys_are_those_that_readers_know() {
        let report = json!(Report { failback: Some(Failback::default()), ..Report::default() }.closed());
        let keys =
            |part: &Value| part.as_object().expect("a map").keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&report), "failback failover ok repair upload worksets");
        assert_eq!(keys(&report["upload"]), "attempts bytes copies files owed");
        assert_eq!(
            keys(&report["failover"]),
            "cut_at_ms detected_ms epoch_after epoch_before reason switched_ms"
        );
        assert_eq!(keys(&report["repair"]), "healed_ms owed paid");
        assert_eq!(keys(&report["failback"]), "at_ms reason");
        assert_eq!(keys(&report["worksets"]), "lost read_during_outage written_during_outage");
    }
}
