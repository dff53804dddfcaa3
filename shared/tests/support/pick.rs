//! Thirty regions and one request for each strategy, with every setting of
//! consequence: what is measured and what is counted is the same.
#![allow(clippy::unwrap_used, reason = "the names of these regions are what they are")]

use std::time::Duration;

use sealane::{
    health::{Seen, View},
    region::{Capability, Capacity, Coordinates, Endpoints, HealthCheck, Region, RegionName, Role, Status},
    route::{Policy, Request, Roster, Strategy, Turn},
    time::Timestamp,
};

const NEEDS: Capability = Capability::ObjectWrite;
/// AWS has about 40 regions; the promise is made for 30.
const REGIONS: u16 = 30;

/// One way to ask.
pub(crate) struct Case {
    /// The strategy, whose turn, and whether sessions stick.
    pub(crate) name: String,
    /// What is asked of.
    pub(crate) roster: Roster,
    /// What is asked.
    pub(crate) request: Request,
}

/// Every strategy with sticky sessions on and off, and both ways to take turns.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for strategy in Strategy::ALL {
        let spreads = matches!(strategy, Strategy::RoundRobin | Strategy::Weighted);
        for turn in [Turn::Counter(1_234_567), Turn::of(b"request-7")] {
            for sticky_sessions in [false, true] {
                let by = match turn {
                    Turn::Counter(_) | Turn::Region { .. } => "counted",
                    Turn::Key(_) if spreads => "hashed",
                    // The turn is of no consequence, so once is enough.
                    Turn::Key(_) => continue,
                };
                let sticks = if sticky_sessions { "sticky" } else { "free" };
                let policy = Policy { strategy, sticky_sessions, ..Policy::default() };
                let roster = Roster::new(&regions(), &view(), &policy);
                cases.push(Case {
                    name: format!("{strategy}_{by}_{sticks}"),
                    roster,
                    request: request(turn),
                });
            }
        }
    }
    cases
}

fn name(i: u16) -> RegionName {
    format!("xx-region-{i:02}").parse().unwrap()
}

fn regions() -> Vec<Region> {
    let region = |i: u16| Region {
        name: name(i),
        role: Role::Full,
        offline: false,
        bucket: Some(format!("bucket-{i}")),
        kms_key: None,
        priority: u32::from(i % 5) + 1,
        weight: u32::from(i % 7) * 10 + 5,
        coordinates: Some(Coordinates {
            latitude: f64::from(i) * 5.0 - 70.0,
            longitude: f64::from(i * 37 % 360) - 180.0,
        }),
        residency: vec!["all".to_owned(), if i.is_multiple_of(2) { "even" } else { "odd" }.to_owned()],
        capacity: Capacity { max_concurrent_uploads: 8, max_bandwidth_mbps: 800 },
        health_check: HealthCheck::default(),
        endpoints: Endpoints::default(),
        transfer_out_usd_per_gb: Some(0.02),
    };
    (0..REGIONS).map(region).collect()
}

/// Most regions are healthy, some degraded, one is down and one unknown.
fn view() -> View {
    let mut view = View::default();
    for i in 0..REGIONS - 1 {
        let status = match i % 10 {
            3 => Status::Degraded,
            7 if i == 7 => Status::Unhealthy,
            _ => Status::Healthy,
        };
        let latency = Some(Duration::from_micros(10_000 + u64::from(i) * 7_919 % 90_000));
        view.set(name(i), NEEDS, Seen { status, latency });
    }
    view
}

fn request(turn: Turn) -> Request {
    Request {
        turn,
        residency: vec!["all".to_owned()],
        tried: vec![name(4)],
        session: Some("0190b0c0-upload-of-run-0042".to_owned()),
        at: Timestamp::from_millis(1_795_166_130_512),
        client: Some(Coordinates { latitude: 53.35, longitude: -6.26 }),
        data_in: Some(name(12)),
        current: Some(name(20)),
        ..Request::new(NEEDS)
    }
}
