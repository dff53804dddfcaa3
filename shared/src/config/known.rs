//! The AWS regions of the standard partition, and what follows from a name alone.
//!
//! Coordinates are those of the city or area that AWS names, to a tenth of a
//! degree: AWS publishes no sites, and ranking by distance needs no more.
//! Prices are list prices for sending to another region, in dollars per GB; a
//! region without one has to be given its price before the cost strategy can
//! rank it. Residency tags follow jurisdiction, not the first part of the
//! name: London and Zurich are not in the EU.

use crate::region::{Coordinates, RegionName};

/// A region that AWS runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Its AWS name.
    pub name: &'static str,
    /// Roughly where it lies.
    pub coordinates: Coordinates,
    /// Price of sending to another region, in dollars per GB, where there is a figure.
    pub transfer_out_usd_per_gb: Option<f64>,
    /// The residency tag it carries unless the configuration says otherwise.
    pub residency: &'static str,
}

const fn at(
    name: &'static str,
    latitude: f64,
    longitude: f64,
    transfer_out_usd_per_gb: Option<f64>,
    residency: &'static str,
) -> Known {
    Known { name, coordinates: Coordinates { latitude, longitude }, transfer_out_usd_per_gb, residency }
}

/// Every known region, by name.
pub const KNOWN: [Known; 32] = [
    at("af-south-1", -33.9, 18.4, None, "af"),
    at("ap-east-1", 22.3, 114.2, None, "ap"),
    at("ap-northeast-1", 35.7, 139.7, Some(0.09), "ap"),
    at("ap-northeast-2", 37.6, 127.0, None, "ap"),
    at("ap-northeast-3", 34.7, 135.5, None, "ap"),
    at("ap-south-1", 19.1, 72.9, Some(0.086), "ap"),
    at("ap-south-2", 17.4, 78.5, None, "ap"),
    at("ap-southeast-1", 1.4, 103.8, Some(0.09), "ap"),
    at("ap-southeast-2", -33.9, 151.2, Some(0.098), "ap"),
    at("ap-southeast-3", -6.2, 106.8, None, "ap"),
    at("ap-southeast-4", -37.8, 145.0, None, "ap"),
    at("ap-southeast-5", 3.1, 101.7, None, "ap"),
    at("ap-southeast-7", 13.8, 100.5, None, "ap"),
    at("ca-central-1", 45.5, -73.6, None, "ca"),
    at("ca-west-1", 51.0, -114.1, None, "ca"),
    at("eu-central-1", 50.1, 8.7, Some(0.02), "eu"),
    at("eu-central-2", 47.4, 8.5, None, "ch"),
    at("eu-north-1", 59.3, 18.1, Some(0.02), "eu"),
    at("eu-south-1", 45.5, 9.2, None, "eu"),
    at("eu-south-2", 41.6, -0.9, None, "eu"),
    at("eu-west-1", 53.3, -6.3, Some(0.02), "eu"),
    at("eu-west-2", 51.5, -0.1, Some(0.02), "uk"),
    at("eu-west-3", 48.9, 2.4, Some(0.02), "eu"),
    at("il-central-1", 32.1, 34.8, None, "il"),
    at("me-central-1", 25.2, 55.3, None, "me"),
    at("me-south-1", 26.1, 50.6, None, "me"),
    at("mx-central-1", 20.6, -100.4, None, "mx"),
    at("sa-east-1", -23.6, -46.6, Some(0.138), "sa"),
    at("us-east-1", 38.9, -77.4, Some(0.02), "us"),
    at("us-east-2", 40.0, -83.0, Some(0.02), "us"),
    at("us-west-1", 37.4, -122.0, Some(0.02), "us"),
    at("us-west-2", 45.8, -119.7, Some(0.02), "us"),
];

/// The region sets within which DynamoDB keeps replicas strongly consistent (MRSC).
const STRONG_SETS: [&[&str]; 3] = [
    &["us-east-1", "us-east-2", "us-west-2"],
    &["eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"],
    &["ap-northeast-1", "ap-northeast-2", "ap-northeast-3"],
];

/// Replicas that an MRSC table has at most.
pub(super) const STRONG_REPLICAS_MAX: usize = 3;

/// What is known of the region of this name.
///
/// ```
/// use sealane::config::known;
///
/// let london = known::of("eu-west-2".parse().unwrap()).unwrap();
/// assert_eq!(london.residency, "uk");
/// assert!(known::of("eu-west-9".parse().unwrap()).is_none());
/// ```
pub fn of(name: RegionName) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name.as_str())
}

/// Pairs of regions between which sending costs less than elsewhere, in dollars per GB, both ways.
const NEIGHBOURS: [(&str, &str, f64); 1] = [("us-east-1", "us-east-2", 0.01)];

/// Price of sending from one region to another, in dollars per GB, where sending from the first costs
/// `out` in general: a pair of regions may have a lower one.
pub fn transfer_usd_per_gb(from: RegionName, out: Option<f64>, to: RegionName) -> Option<f64> {
    let (from, to) = (from.as_str(), to.as_str());
    let pair = NEIGHBOURS.iter().find(|(a, b, _)| (*a, *b) == (from, to) || (*a, *b) == (to, from));
    out.map(|out| pair.map_or(out, |(.., price)| price.min(out)))
}

/// The strongly consistent region set that `name` belongs to; `None` if it is in none.
pub fn strong_set(name: RegionName) -> Option<&'static [&'static str]> {
    STRONG_SETS.into_iter().find(|set| set.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_region_is_a_valid_name_on_earth_and_listed_once() {
        for (i, known) in KNOWN.iter().enumerate() {
            assert!(known.name.parse::<RegionName>().is_ok(), "{}", known.name);
            assert!(known.coordinates.latitude.abs() <= 90.0, "{}", known.name);
            assert!(known.coordinates.longitude.abs() <= 180.0, "{}", known.name);
            assert!(!KNOWN[..i].iter().any(|k| k.name == known.name), "{} twice", known.name);
        }
    }

    #[test]
    fn strong_sets_hold_known_regions_and_do_not_overlap() {
        for name in STRONG_SETS.into_iter().flatten() {
            assert!(of(name.parse().unwrap()).is_some(), "{name}");
            assert_eq!(STRONG_SETS.iter().filter(|set| set.contains(name)).count(), 1, "{name}");
        }
    }
}
