//! The regions of the local cloud.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalRegion {
    /// Its AWS name.
    pub name: &'static str,
    /// Rank under the priority strategy; none for the witness.
    pub priority: Option<u32>,
    /// Share under the weighted strategies, 0 to 100.
    pub weight: u32,
}

impl LocalRegion {
    /// Whether it only observes: no bucket, no API.
    #[must_use]
    pub const fn is_witness(self) -> bool {
        self.priority.is_none()
    }
}

/// The account of the local cloud.
pub const ACCOUNT: &str = "000000000000";

/// The region where work belongs.
pub const PRIMARY: &str = "us-west-2";

/// The regions whose replica of the control table can be asked, best first.
pub const CONTROL: [&str; 2] = [PRIMARY, "us-east-1"];

/// All regions, the primary first and the witness last.
pub const REGIONS: [LocalRegion; 4] = [
    LocalRegion { name: PRIMARY, priority: Some(1), weight: 50 },
    LocalRegion { name: "us-east-1", priority: Some(2), weight: 30 },
    LocalRegion { name: "eu-west-1", priority: Some(3), weight: 20 },
    LocalRegion { name: "us-east-2", priority: None, weight: 0 },
];
