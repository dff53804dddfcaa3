//! The list of regions: each entry on its own, then what they may not share.

use serde_norway::Value;

use super::{
    known,
    problem::Problem,
    sections,
    settings::{REGION_SETTINGS, nearest},
    values::Group,
};
use crate::{
    endpoint,
    lease::LEASES_MAX,
    region::{Capacity, Coordinates, Endpoints, HealthCheck, Region, RegionName, Role},
};

/// What was read of the list.
#[derive(Debug)]
pub(super) struct Listed {
    /// The regions whose name could be read.
    pub(super) regions: Vec<Region>,
    /// Whether that is all of them; if not, no other setting is blamed for naming a missing one.
    pub(super) complete: bool,
}

impl Listed {
    pub(super) fn find(&self, name: RegionName) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }
}

/// Reads `regions`; `check` is what a region's health check inherits, `security` what its
/// endpoints may be.
pub(super) fn regions(group: &mut Group, check: HealthCheck, security: &endpoint::Policy) -> Listed {
    let entry = group.entries.get("regions").cloned();
    let items = entry.as_ref().and_then(|e| e.value.as_sequence());
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        group.refuse(
            "regions",
            "want a list of at least one region, such as `[{name: us-west-2, bucket: my-bucket}]`",
        );
        return Listed { regions: Vec::new(), complete: false };
    };
    let variable = entry.as_ref().and_then(|e| e.variable.as_deref());
    let read: Vec<_> =
        items.iter().enumerate().map(|(i, item)| one(group, i, item, variable, check, security)).collect();
    let complete = read.iter().all(Option::is_some);
    let regions: Vec<Region> = read.into_iter().flatten().collect();
    refuse_shared(group, &regions, variable);
    Listed { regions, complete }
}

/// One entry of the list, named by its region or, without a name, by its place.
fn one(
    group: &mut Group,
    place: usize,
    item: &Value,
    variable: Option<&str>,
    check: HealthCheck,
    security: &endpoint::Policy,
) -> Option<Region> {
    let label = item.get("name").and_then(Value::as_str).filter(|name| name.parse::<RegionName>().is_ok());
    let prefix = label.map_or_else(|| format!("regions[{place}]."), |name| format!("regions[{name}]."));
    let at = format!("regions[{place}]");
    let words = [at.as_str(), &prefix, "{name: us-west-2, bucket: my-bucket}"];
    group.item(item, words, REGION_SETTINGS, variable, |entry| region(entry, check, security))
}

fn region(entry: &mut Group, check: HealthCheck, security: &endpoint::Policy) -> Option<Region> {
    let endpoints = endpoints(entry, security);
    let name = name(entry, endpoints != Endpoints::default());
    let known = name.and_then(known::of);
    let role = entry.choice("role", &["full", "witness"]).unwrap_or_default();
    let residency = entry.list("residency", WANT_TAGS, |tag| is_tag(tag).then(|| tag.to_owned()));
    let price = entry.number("transfer_out_usd_per_gb", 0.0..=f64::MAX);
    let kms = entry.text("kms_key", "want the ARN or the alias of a KMS key", |text| !text.trim().is_empty());
    let status: Option<String> = entry.choice("status", &["healthy", "offline"]);
    let region = Region {
        role,
        offline: status.as_deref() == Some("offline"),
        bucket: bucket(entry, role),
        kms_key: kms,
        priority: entry.count("priority", 1..=u32::MAX).unwrap_or_default(),
        weight: entry.count("weight", 0..=100).unwrap_or_default(),
        coordinates: coordinates(entry).or(known.map(|k| k.coordinates)),
        residency: residency.unwrap_or_else(|| known.map(|k| k.residency.to_owned()).into_iter().collect()),
        capacity: capacity(entry),
        health_check: sections::health_check(entry, check),
        endpoints,
        transfer_out_usd_per_gb: price.or(known.and_then(|k| k.transfer_out_usd_per_gb)),
        name: name?,
    };
    Some(region)
}

const WANT_TAGS: &str = "want a list of tags of lower-case letters, digits and dashes, such as `[eu, hipaa]`";

fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn name(entry: &mut Group, has_endpoints: bool) -> Option<RegionName> {
    let want = "want the name of an AWS region, such as `eu-west-1`";
    let name: RegionName = match entry.take("name", want, |value| value.as_str()?.parse().ok()) {
        Some(name) => name,
        None => {
            entry.refuse("name", want);
            return None;
        }
    };
    if known::of(name).is_none() && !has_endpoints {
        let close = nearest(name.as_str(), known::KNOWN.iter().map(|k| k.name));
        let hint = close.map(|close| format!(", did you mean `{close}`?")).unwrap_or_default();
        let remedy = format!("AWS has no such region{hint} (another store's region needs `endpoints`)");
        entry.refuse("name", remedy);
    }
    Some(name)
}

fn bucket(entry: &mut Group, role: Role) -> Option<String> {
    let want = "want a bucket name: 3 to 63 lower-case letters, digits, dashes and dots, with a letter or digit at both ends";
    let bucket = entry.text("bucket", want, is_bucket_name);
    match role {
        Role::Full if !entry.is_set("bucket") => {
            entry.refuse("bucket", "a full region needs one, name it or make the region a `witness`");
        }
        Role::Witness if entry.is_set("bucket") => {
            entry.refuse("bucket", "a witness holds no data, remove it");
        }
        Role::Full | Role::Witness => {}
    }
    bucket
}

/// The naming rules of general purpose buckets.
fn is_bucket_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let is_address = text.split('.').count() == 4
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let reserved = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|p| text.starts_with(p))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|s| text.ends_with(s));
    (3..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("..")
        && !is_address
        && !reserved
}

fn coordinates(entry: &mut Group) -> Option<Coordinates> {
    let [north, east] = ["coordinates.latitude", "coordinates.longitude"];
    let latitude = entry.number(north, -90.0..=90.0);
    let longitude = entry.number(east, -180.0..=180.0);
    for (set, other) in [(north, east), (east, north)] {
        if entry.is_set(set) && !entry.is_set(other) {
            entry.refuse(other, format!("want it beside `{set}`"));
        }
    }
    Some(Coordinates { latitude: latitude?, longitude: longitude? })
}

fn capacity(entry: &mut Group) -> Capacity {
    let [uploads, bandwidth] = ["capacity.max_concurrent_uploads", "capacity.max_bandwidth_mbps"];
    Capacity {
        max_concurrent_uploads: entry.count(uploads, 1..=LEASES_MAX).unwrap_or_default(),
        max_bandwidth_mbps: entry.count(bandwidth, 1..=u32::MAX).unwrap_or_default(),
    }
}

fn endpoints(entry: &mut Group, security: &endpoint::Policy) -> Endpoints {
    use endpoint::Served::{Api, Service};
    let mut url = |key: &str, served| {
        let text = entry.text(key, "want a URL", |_| true)?;
        if let Err(refusal) = security.check(&text, served) {
            entry.refuse(key, refusal.to_string());
        }
        Some(text)
    };
    Endpoints {
        s3: url("endpoints.s3", Service),
        dynamodb: url("endpoints.dynamodb", Service),
        cloudwatch: url("endpoints.cloudwatch", Service),
        sqs: url("endpoints.sqs", Service),
        sns: url("endpoints.sns", Service),
        api: url("endpoints.api", Api),
    }
}

/// Names are unique; buckets are, unless endpoints say that the stores differ.
fn refuse_shared(group: &mut Group, regions: &[Region], variable: Option<&str>) {
    for (i, region) in regions.iter().enumerate() {
        let earlier = &regions[..i];
        let mut refuse = |field: &str, value: String, remedy: String| {
            group.problems.push(Problem {
                key: format!("regions[{}].{field}", region.name),
                variable: variable.map(str::to_owned),
                value: Some(value),
                remedy,
            });
        };
        if earlier.iter().any(|r| r.name == region.name) {
            let remedy = "it is listed twice, remove one of the two";
            refuse("name", region.name.to_string(), remedy.to_owned());
            continue;
        }
        let same_store = |r: &&Region| r.bucket == region.bucket && r.endpoints.s3 == region.endpoints.s3;
        if let (Some(bucket), Some(twin)) = (&region.bucket, earlier.iter().find(same_store)) {
            let remedy = format!(
                "`{}` has this bucket, want one of its own: copies in one bucket are one copy",
                twin.name
            );
            refuse("bucket", bucket.clone(), remedy);
        }
    }
}
