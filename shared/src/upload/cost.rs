//! What an upload will cost, by region, before the first byte is sent.
//!
//! List prices in dollars, without tiers, discounts and free allowances. A price that is not
//! in the table is not guessed: it is unknown, and so is every sum that it would be part of.

use serde::{Deserialize, Serialize};

use super::{Classes, Layout, Plan, StorageClass};
use crate::{
    config::known,
    region::{Region, RegionName},
    units::ByteSize,
};

/// Bytes of what S3 bills as a gigabyte.
const GIB: f64 = (1_u64 << 30) as f64;
/// Dollars for a read, such as the look at a copy that was written.
const READ_USD: f64 = 0.0004 / 1_000.0;
/// The regions that the prices below are those of.
const PRICED: [&str; 4] = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1"];

/// What a storage class costs, and what it bills at least.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tariff {
    /// Dollars for a GB and month.
    storage: f64,
    /// Dollars for a thousand writes.
    writes: f64,
    /// Dollars for watching one object for a month.
    watching: f64,
    /// Dollars for each GB that is read.
    reading: f64,
    /// Bytes that an object is billed for at least.
    at_least: u64,
    /// Bytes that are billed beside every object.
    beside: u64,
    /// Days that an object is billed for at least.
    days_min: u32,
}

const fn tariff(class: StorageClass) -> Tariff {
    let plain = Tariff {
        storage: 0.023,
        writes: 0.005,
        watching: 0.0,
        reading: 0.0,
        at_least: 0,
        beside: 0,
        days_min: 0,
    };
    match class {
        StorageClass::Standard => plain,
        StorageClass::IntelligentTiering => Tariff { watching: 0.0025 / 1_000.0, ..plain },
        StorageClass::StandardIa => Tariff {
            storage: 0.0125,
            writes: 0.01,
            reading: 0.01,
            at_least: 128 << 10,
            days_min: 30,
            ..plain
        },
        StorageClass::GlacierIr => {
            Tariff { storage: 0.004, writes: 0.02, reading: 0.03, at_least: 128 << 10, days_min: 90, ..plain }
        }
        StorageClass::Glacier => {
            Tariff { storage: 0.0036, writes: 0.03, beside: 40 << 10, days_min: 90, ..plain }
        }
        StorageClass::DeepArchive => {
            Tariff { storage: 0.00099, writes: 0.05, beside: 40 << 10, days_min: 180, ..plain }
        }
    }
}

/// How a region gets its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From here.
    Sent,
    /// From another region, by replication.
    Owed,
}

/// What the copy in one region costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The region.
    pub region: RegionName,
    /// How it gets its copy.
    pub way: Way,
    /// How the copy is kept.
    pub storage_class: StorageClass,
    /// Requests that write: puts, parts, and what begins and completes them.
    pub writes: u64,
    /// Requests that read, to look at what was written.
    pub reads: u64,
    /// Dollars for the requests; `None` where a price is not known.
    pub requests_usd: Option<f64>,
    /// Dollars for the transfer; `None` where a price is not known.
    pub transfer_usd: Option<f64>,
    /// Dollars for a month of storage; `None` where a price is not known.
    pub storage_usd_month: Option<f64>,
}

/// What an object of `size` costs in each region of `plan`, sent lanes first, kept as `classes` say.
///
/// `data_in` is the region that it is sent from, whose price of sending counts; what comes from
/// outside of AWS comes in for nothing.
pub fn costs(
    layout: Layout,
    plan: &Plan,
    classes: &Classes,
    regions: &[Region],
    data_in: Option<RegionName>,
) -> Vec<Cost> {
    let price_out = |from: RegionName, to: RegionName| match regions.iter().find(|r| r.name == from) {
        _ if from == to => Some(0.0),
        found => found.and_then(|r| known::transfer_usd_per_gb(from, r.transfer_out_usd_per_gb, to)),
    };
    let gigabytes = gigabytes(layout.size().0);
    let cost = |region: RegionName, way, from: Option<RegionName>| {
        let (writes, reads) = requests(layout);
        let storage_class = classes.of(region).unwrap_or(StorageClass::Standard);
        let tariff = PRICED.contains(&region.as_str()).then(|| tariff(storage_class));
        let per_gb = from.map_or(Some(0.0), |from| price_out(from, region));
        Cost {
            region,
            way,
            storage_class,
            writes,
            reads,
            requests_usd: tariff.map(|t| exact(writes) * t.writes / 1_000.0 + exact(reads) * READ_USD),
            transfer_usd: per_gb.map(|price| price * gigabytes),
            storage_usd_month: tariff.map(|t| storage(layout.size().0, &t)),
        }
    };
    let home = plan.lanes.first().copied();
    let sent = plan.lanes.iter().map(|region| cost(*region, Way::Sent, data_in));
    sent.chain(plan.owed.iter().map(|region| cost(*region, Way::Owed, home))).collect()
}

/// Days for which an object of the class is billed at least; 0 where there is no such rule.
pub const fn days_min(class: StorageClass) -> u32 {
    tariff(class).days_min
}

/// Dollars for each GB that is read of an object of the class, whoever reads it; `None` for an archived
/// one, which has to be restored first.
pub fn reading_usd_per_gb(class: StorageClass) -> Option<f64> {
    class.reads_at_once().then(|| tariff(class).reading)
}

/// Writes and reads that bring one copy into being and look at it.
fn requests(layout: Layout) -> (u64, u64) {
    let writes = if layout.is_single() { 1 } else { u64::from(layout.part_count()) + 2 };
    (writes, 1)
}

fn storage(size: u64, tariff: &Tariff) -> f64 {
    gigabytes(size.max(tariff.at_least) + tariff.beside) * tariff.storage + tariff.watching
}

fn gigabytes(bytes: u64) -> f64 {
    exact(bytes) / GIB
}

/// The number as it is computed with. S3 keeps no object so large that this would round by a cent.
#[expect(clippy::cast_precision_loss, reason = "a cent is far above the loss")]
const fn exact(number: u64) -> f64 {
    number as f64
}

/// The sum, unless a summand is not known.
pub fn total(parts: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    parts.into_iter().sum()
}

/// Whether an object of this class can be copied to the regions that are owed it, once it is
/// there: an archived one has to be restored first.
pub fn can_be_owed(class: StorageClass, size: ByteSize) -> bool {
    class.reads_at_once() || size.0 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, upload::Policy};
    use proptest::prelude::*;

    fn regions() -> Vec<Region> {
        let document = "{primary_region: us-west-2, health: {voters_min: 1}, regions: [{name: us-west-2, bucket: bucket-a}, \
            {name: eu-west-1, bucket: bucket-b}, {name: ap-southeast-2, bucket: bucket-c}]}";
        Config::read(Some(document), std::iter::empty()).unwrap().regions
    }

    fn plan(copies: usize, routed: usize) -> Plan {
        let all: Vec<_> = regions().iter().map(|r| r.name).collect();
        Plan::new(&Policy { copies, ..Policy::default() }, &all, &all[..routed]).unwrap()
    }

    fn estimate(gib: u64, plan: &Plan, class: StorageClass, data_in: Option<&str>) -> Vec<Cost> {
        let layout = Layout::new(ByteSize::gib(gib), ByteSize::mib(8)).unwrap();
        costs(layout, plan, &Classes::All(class), &regions(), data_in.map(|name| name.parse().unwrap()))
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-9)
    }

    #[test]
    fn a_hundred_gigabytes_cost_what_the_price_list_says() {
        let lines = estimate(100, &plan(2, 2), StorageClass::Standard, None);
        assert_eq!((lines.len(), lines[0].writes, lines[0].reads), (2, u64::from(parts()) + 2, 1));
        assert!(near(lines[0].storage_usd_month, 2.3), "{lines:?}");
        assert!(near(lines[0].transfer_usd, 0.0));
        let archived = estimate(100, &plan(1, 1), StorageClass::DeepArchive, None);
        assert!(archived[0].storage_usd_month < lines[0].storage_usd_month);
        assert!(archived[0].requests_usd > lines[0].requests_usd);
    }

    /// Parts of 100 GiB: 8 MiB would make too many of them.
    fn parts() -> u32 {
        Layout::new(ByteSize::gib(100), ByteSize::mib(8)).unwrap().part_count()
    }

    #[test]
    fn what_is_sent_between_regions_is_paid_by_where_it_comes_from() {
        let lines = estimate(10, &plan(2, 2), StorageClass::Standard, Some("us-west-2"));
        assert!(near(lines[0].transfer_usd, 0.0) && near(lines[1].transfer_usd, 0.2), "{lines:?}");
        let owed = estimate(10, &plan(2, 1), StorageClass::Standard, None);
        assert_eq!(owed[1].way, Way::Owed);
        assert!(near(owed[1].transfer_usd, 0.2), "{owed:?}");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let lines = estimate(1, &plan(3, 3), StorageClass::Standard, None);
        assert_eq!((lines[2].storage_usd_month, lines[2].requests_usd), (None, None));
        assert_eq!(total(lines.iter().map(|line| line.storage_usd_month)), None);
        assert!(total(lines[..2].iter().map(|line| line.storage_usd_month)).is_some());
    }

    proptest! {
        /// More bytes never cost less, in any class.
        #[test]
        fn more_is_never_cheaper(size in 0..1_u64 << 45, more in 0..1_u64 << 40, pick in 0..StorageClass::ALL.len()) {
            let class = StorageClass::ALL[pick];
            let of = |size| costs(Layout::new(ByteSize(size), ByteSize::mib(8)).unwrap(), &plan(2, 2), &Classes::All(class), &regions(), None);
            for (small, large) in of(size).iter().zip(of(size + more)) {
                prop_assert!(small.storage_usd_month <= large.storage_usd_month);
                prop_assert!(small.transfer_usd <= large.transfer_usd);
            }
        }
    }
}
