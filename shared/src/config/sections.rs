//! Each part of the configuration from its settings, with the checks that need no region.
//!
//! Every setting here has a default in the table, so no `unwrap_or_default` is
//! ever the one that decides; a test reads all defaults and compares them with
//! the policies' own.

use std::{path::PathBuf, time::Duration};

use super::{
    Api, Consistency, Tables,
    values::{DURATION_MAX, DURATION_MIN, Group},
};
use crate::{
    endpoint, failover, health, lease, region::HealthCheck, route, time::Human, units::ByteSize, upload,
    workset::Tenant,
};

/// The names of selection strategies, as `route::Strategy` has them.
const STRATEGIES: [&str; 6] = ["round_robin", "weighted", "latency", "geographic", "priority", "cost"];

/// The names of failover strategies, as `failover::Mode` has them.
const MODES: [&str; 3] = ["immediate", "graceful", "manual"];

/// What S3 allows a part to be.
const PART_SIZES: std::ops::RangeInclusive<ByteSize> = ByteSize::mib(5)..=ByteSize::gib(5);

/// From two parts of the smallest size to more than pays.
const MEMORY_SIZES: std::ops::RangeInclusive<ByteSize> = ByteSize::mib(10)..=ByteSize::gib(64);

/// Parts in flight in one region, at first and at most, where nobody chose how many.
const IN_FLIGHT: (u32, u32) = (4, 16);

const ANY: std::ops::RangeInclusive<Duration> = Duration::ZERO..=DURATION_MAX;
const SOME: std::ops::RangeInclusive<Duration> = DURATION_MIN..=DURATION_MAX;

pub(super) fn tables(group: &mut Group) -> Tables {
    let keys = ["tables.health", "tables.control", "tables.worksets", "tables.ledger"];
    let names = keys.map(|key| group.text(key, WANT_TABLE, is_table_name).unwrap_or_default());
    for (i, key) in keys.iter().enumerate().skip(1) {
        if let Some(twin) = names[..i].iter().position(|name| *name == names[i]) {
            group.refuse(key, format!("want a name of its own, `{}` has this one", keys[twin]));
        }
    }
    let [health, control, worksets, ledger] = names;
    Tables { health, control, worksets, ledger }
}

const WANT_TABLE: &str = "want a DynamoDB table name: 3 to 255 letters, digits, `_`, `-` or `.`";

fn is_table_name(text: &str) -> bool {
    (3..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

pub(super) fn worksets_consistency(group: &mut Group) -> Consistency {
    group.choice("worksets.consistency", &Consistency::NAMES).unwrap_or_default()
}

/// The health check of `group`; `inherited` stands where it says nothing.
pub(super) fn health_check(group: &mut Group, inherited: HealthCheck) -> HealthCheck {
    let intervals = Duration::from_secs(5)..=Duration::from_secs(60);
    let timeouts = DURATION_MIN..=Duration::from_secs(60);
    let [failures, successes] = ["health_check.failure_threshold", "health_check.success_threshold"];
    let check = HealthCheck {
        enabled: group.flag("health_check.enabled").unwrap_or(inherited.enabled),
        interval: group.duration("health_check.interval", intervals).unwrap_or(inherited.interval),
        timeout: group.duration("health_check.timeout", timeouts).unwrap_or(inherited.timeout),
        failure_threshold: group.count(failures, 1..=100).unwrap_or(inherited.failure_threshold),
        success_threshold: group.count(successes, 1..=u32::MAX).unwrap_or(inherited.success_threshold),
    };
    // Blame the setting that was written, as the other may be inherited.
    let (blamed, other) = if group.is_set("health_check.timeout") {
        ("health_check.timeout", "health_check.interval")
    } else {
        ("health_check.interval", "health_check.timeout")
    };
    let touched = group.prefix.is_empty() || group.is_set(blamed);
    if touched && check.timeout >= check.interval {
        let (timeout, interval) = (Human(check.timeout), Human(check.interval));
        let remedy = format!("want a timeout (`{timeout}`) below the interval (`{interval}`)");
        group.refuse_pair(blamed, other, remedy);
    }
    check
}

pub(super) fn health(group: &mut Group) -> health::Policy {
    let latencies = DURATION_MIN..=Duration::from_secs(60);
    health::Policy {
        degraded_latency: group.duration("health.degraded_latency", latencies).unwrap_or_default(),
        stale_after: group.duration("failover.detection_interval", SOME).unwrap_or_default(),
        voters_min: group.count("health.voters_min", 1..=u32::MAX).unwrap_or_default() as usize,
    }
}

pub(super) fn load_balancing(group: &mut Group) -> route::Policy {
    let want = "want a list of region names, such as `[us-west-2, us-east-1]`";
    route::Policy {
        strategy: group.choice("load_balancing.strategy", &STRATEGIES).unwrap_or_default(),
        sticky_sessions: group.flag("load_balancing.sticky_sessions").unwrap_or_default(),
        session_ttl: group.duration("load_balancing.session_ttl", SOME).unwrap_or_default(),
        preferred_regions: group
            .list("load_balancing.preferred_regions", want, |name| name.parse().ok())
            .unwrap_or_default(),
        latency_gain_ratio_min: group
            .number("load_balancing.latency_gain_ratio_min", 0.0..=1.0)
            .unwrap_or_default(),
        latency_gain_min: group.duration("load_balancing.latency_gain_min", ANY).unwrap_or_default(),
    }
}

pub(super) fn failover(group: &mut Group) -> failover::Policy {
    let policy = failover::Policy {
        auto_failover: group.flag("failover.auto_failover").unwrap_or_default(),
        mode: group.choice("failover.strategy", &MODES).unwrap_or_default(),
        drain_timeout: group.duration("failover.drain_timeout", ANY).unwrap_or_default(),
        failover_timeout: group.duration("failover.failover_timeout", SOME).unwrap_or_default(),
        dwell: group.duration("failover.dwell", ANY).unwrap_or_default(),
        hold_down: group.duration("failover.hold_down", ANY).unwrap_or_default(),
        hold_down_max: group.duration("failover.hold_down_max", ANY).unwrap_or_default(),
        moves_per_hour_max: group.count("failover.moves_per_hour_max", 1..=u32::MAX).unwrap_or_default(),
        failback: group.flag("failover.failback").unwrap_or_default(),
        replication_lag_max: group.duration("failover.replication_lag_max", ANY).unwrap_or_default(),
        failback_step: group.duration("failover.failback_step", ANY).unwrap_or_default(),
    };
    if policy.drain_timeout >= policy.failover_timeout {
        let limit = Human(policy.failover_timeout);
        let remedy = format!(
            "want less than `failover.failover_timeout` (`{limit}`), or every drain outlasts its move"
        );
        group.refuse_pair("failover.drain_timeout", "failover.failover_timeout", remedy);
    }
    if policy.hold_down > policy.hold_down_max {
        let remedy = format!("want at least `failover.hold_down` (`{}`)", Human(policy.hold_down));
        group.refuse_pair("failover.hold_down_max", "failover.hold_down", remedy);
    }
    policy
}

pub(super) fn upload(group: &mut Group) -> upload::Policy {
    let redundant = group.flag("upload.redundant_uploads").unwrap_or_default();
    let redundant_count = group.count("upload.redundant_region_count", 1..=u32::MAX).unwrap_or_default();
    let copies = group.count("upload.copies", 1..=u32::MAX);
    let copies = copies.unwrap_or(if redundant { redundant_count } else { 1 }) as usize;
    let min_copies = group.count("upload.min_copies", 1..=u32::MAX).map(|n| n as usize);
    if min_copies.is_some_and(|min| min > copies) {
        let remedy = format!("want at most the number of copies (`{copies}`), or no upload succeeds");
        group.refuse_pair("upload.min_copies", copies_key(group), remedy);
    }
    let (concurrency, concurrency_max) = in_flight(group);
    let retries = group.count("upload.cross_region_retries", 0..=u32::MAX).unwrap_or_default();
    upload::Policy {
        copies,
        min_copies,
        allow_degraded: group.flag("upload.allow_degraded").unwrap_or_default(),
        cross_region_retries: retries,
        failover_delay: group.duration("upload.failover_delay", ANY).unwrap_or_default(),
        sync_validation: group.flag("upload.sync_validation").unwrap_or_default(),
        sha256: group.flag("upload.sha256").unwrap_or_default(),
        part_size: group.size("upload.part_size", PART_SIZES).unwrap_or_default(),
        concurrency: concurrency as usize,
        concurrency_max: concurrency_max as usize,
        memory: group.size("upload.memory", MEMORY_SIZES).unwrap_or_default(),
        part_timeout: group.duration("upload.part_timeout", SOME).unwrap_or_default(),
    }
}

/// Parts in flight in one region, at first and at most. A number that somebody chose is kept to.
fn in_flight(group: &mut Group) -> (u32, u32) {
    let chosen = group.count("upload.concurrency", 1..=u32::MAX);
    let most = group.count("upload.concurrency_max", 1..=u32::MAX);
    let first = chosen.unwrap_or(most.map_or(IN_FLIGHT.0, |most| most.min(IN_FLIGHT.0)));
    let most = most.unwrap_or(chosen.unwrap_or(IN_FLIGHT.1));
    if most < first {
        let remedy = format!("want at least `upload.concurrency` (`{first}`)");
        group.refuse_pair("upload.concurrency_max", "upload.concurrency", remedy);
    }
    (first, most)
}

pub(super) fn state_folder(group: &mut Group) -> Option<PathBuf> {
    let is_path = |text: &str| !text.is_empty() && !text.contains('\0');
    group.text("upload.state_folder", "want the path of a folder", is_path).map(PathBuf::from)
}

/// The setting that decided the number of copies.
pub(super) fn copies_key(group: &Group) -> &'static str {
    if group.is_set("upload.copies") { "upload.copies" } else { "upload.redundant_region_count" }
}

pub(super) fn lease(group: &mut Group) -> lease::Policy {
    let spans = Duration::from_secs(10)..=Duration::from_secs(3600);
    lease::Policy { ttl: group.duration("capacity.lease_ttl", spans).unwrap_or_default() }
}

pub(super) fn metrics_interval(group: &mut Group) -> Option<Duration> {
    let interval = group.duration("monitoring.metrics_interval", SOME);
    let enabled = group.flag("monitoring.enabled").unwrap_or_default();
    interval.filter(|_| enabled)
}

pub(super) fn api(group: &mut Group) -> Api {
    let want = "want a tenant of 1 to 64 lower-case letters, digits, `_` or `-`";
    Api {
        open_tenant: group.text("api.open_tenant", want, is_tenant),
        cache_ttl: group.duration("api.cache_ttl", ANY).unwrap_or_default(),
        rate_limit: group.count("api.rate_limit", 1..=1_000).unwrap_or(1),
        rate_burst: group.count("api.rate_burst", 1..=100_000).unwrap_or(1),
    }
}

/// The same rule as the API's own, or a tenant that passes here would be refused there.
fn is_tenant(text: &str) -> bool {
    text.parse::<Tenant>().is_ok()
}

/// What endpoints are allowed.
pub(super) fn security(group: &mut Group) -> endpoint::Policy {
    let (key, want) = ("security.endpoint_hosts", "want a list of host names, such as `[example.com]`");
    let hosts = group.list(key, want, |host| endpoint::is_host(host).then(|| host.to_owned()));
    endpoint::Policy { allow_local: group.flag("security.allow_local_endpoints").unwrap_or_default(), hosts }
}

pub(super) fn account_id(group: &mut Group) -> Option<String> {
    group.text("account_id", "want the 12 digits of an AWS account, in quotes", |text| {
        text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
    })
}
