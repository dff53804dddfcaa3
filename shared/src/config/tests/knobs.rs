//! No knob is dead: each setting, set either way, changes the configuration.

use super::*;

/// A setting with a value that differs from what [`BASE`] has.
pub(super) struct Knob {
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    /// Another setting without which this one has nothing to decide.
    beside: Option<(&'static str, &'static str)>,
}

const fn knob(key: &'static str, value: &'static str) -> Knob {
    Knob { key, value, beside: None }
}

const fn beside(key: &'static str, value: &'static str, other: (&'static str, &'static str)) -> Knob {
    Knob { key, value, beside: Some(other) }
}

/// As many as [`BASE`] has, so that the other knobs still find their place.
const OTHER_REGIONS: &str = "[{name: us-west-2, bucket: b-1}, {name: us-east-1, bucket: b-2}, \
                             {name: eu-west-1, bucket: b-3}, {name: us-east-2, bucket: b-4}]";

/// Half a pair of coordinates is refused, so each half is changed beside the other.
const DUBLIN: (&str, &str) = ("regions.2.coordinates", "{latitude: 53.3, longitude: -6.3}");

/// A rule that the others change.
const RULE: (&str, &str) = ("replication.rules", "[{}]");

/// Endpoints that AWS does not have need leave.
const LOCAL: (&str, &str) = ("security.allow_local_endpoints", "true");

/// A target that the others change.
pub(super) const WEBHOOK: &str =
    "[{name: lims, kind: webhook, url: 'https://lims.example.com/hook', secret_env: WEBHOOK_SECRET_1}]";
const HOOKED: (&str, &str) = ("notifications.targets", WEBHOOK);
const TOPIC: (&str, &str) = (
    "notifications.targets",
    "[{name: lims, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:my-topic'}]",
);

pub(super) const KNOBS: [Knob; 102] = [
    knob("enabled", "false"),
    knob("primary_region", "us-east-1"),
    knob("account_id", "'012345678901'"),
    knob("regions", OTHER_REGIONS),
    knob("control_regions", "[us-east-1]"),
    knob("tables.health", "other-health"),
    knob("tables.control", "other-control"),
    knob("tables.worksets", "other-worksets"),
    knob("tables.ledger", "other-ledger"),
    knob("worksets.consistency", "strong"),
    knob("health_check.enabled", "false"),
    knob("health_check.interval", "6s"),
    knob("health_check.timeout", "1500ms"),
    knob("health_check.failure_threshold", "4"),
    knob("health_check.success_threshold", "5"),
    knob("health.degraded_latency", "400ms"),
    knob("health.voters_min", "3"),
    knob("load_balancing.strategy", "latency"),
    knob("load_balancing.sticky_sessions", "true"),
    knob("load_balancing.session_ttl", "2h"),
    knob("load_balancing.preferred_regions", "[eu-west-1, us-east-1]"),
    knob("load_balancing.latency_gain_ratio_min", "0.3"),
    knob("load_balancing.latency_gain_min", "20ms"),
    knob("failover.auto_failover", "false"),
    knob("failover.strategy", "immediate"),
    knob("failover.detection_interval", "20"),
    knob("failover.drain_timeout", "12s"),
    knob("failover.failover_timeout", "1m"),
    knob("failover.dwell", "31s"),
    knob("failover.hold_down", "32s"),
    knob("failover.hold_down_max", "1h"),
    knob("failover.moves_per_hour_max", "3"),
    knob("failover.failback", "false"),
    knob("failover.replication_lag_max", "0"),
    knob("failover.failback_step", "11s"),
    knob("upload.copies", "3"),
    beside("upload.min_copies", "2", ("upload.copies", "2")),
    knob("upload.allow_degraded", "true"),
    knob("upload.cross_region_retries", "0"),
    knob("upload.failover_delay", "6s"),
    knob("upload.redundant_uploads", "true"),
    beside("upload.redundant_region_count", "3", ("upload.redundant_uploads", "true")),
    knob("upload.sync_validation", "false"),
    knob("upload.sha256", "true"),
    knob("upload.part_size", "64 MiB"),
    knob("upload.concurrency", "8"),
    knob("upload.concurrency_max", "9"),
    knob("upload.memory", "64 MiB"),
    knob("upload.part_timeout", "33s"),
    knob("upload.state_folder", "/var/lib/sealane"),
    knob("replication.rules", "[{prefix: raw/, copies: 1}]"),
    knob("replication.relay", "off"),
    knob("notifications.targets", WEBHOOK),
    knob("notifications.attempts_max", "12"),
    knob("worksets.sentinels", "own"),
    knob("capacity.lease_ttl", "90s"),
    knob("monitoring.enabled", "false"),
    knob("monitoring.metrics_interval", "60s"),
    knob("security.allow_local_endpoints", "true"),
    knob("security.endpoint_hosts", "[example.com]"),
    knob("api.open_tenant", "lab"),
    knob("api.cache_ttl", "1s"),
    knob("api.rate_limit", "5"),
    knob("api.rate_burst", "7"),
    beside(
        "regions.2",
        "{name: lab-rack-1, bucket: lane-lab, residency: [lab, hipaa], endpoints: {s3: 'http://127.0.0.1:9000'}}",
        LOCAL,
    ),
    knob("regions.2.name", "eu-west-2"),
    knob("regions.3", "{name: us-east-2, bucket: lane-use2, role: full}"),
    knob("regions.2.bucket", "lane-dublin"),
    knob("regions.2.kms_key", "alias/lane"),
    knob("regions.2.priority", "2"),
    knob("regions.2.weight", "0"),
    beside("regions.2.coordinates.latitude", "-12.5", DUBLIN),
    beside("regions.2.coordinates.longitude", "12", DUBLIN),
    knob("regions.2.residency", "[]"),
    knob("regions.2.status", "offline"),
    knob("regions.2.capacity.max_concurrent_uploads", "3"),
    knob("regions.2.capacity.max_bandwidth_mbps", "300"),
    knob("regions.2.health_check.enabled", "false"),
    knob("regions.2.health_check.interval", "7s"),
    knob("regions.2.health_check.timeout", "3s"),
    knob("regions.2.health_check.failure_threshold", "7"),
    knob("regions.2.health_check.success_threshold", "8"),
    beside("regions.2.endpoints.s3", "http://localhost:4566", LOCAL),
    beside(
        "regions.2.endpoints.dynamodb",
        "https://dynamodb.example.com",
        ("security.endpoint_hosts", "[example.com]"),
    ),
    knob("regions.2.endpoints.cloudwatch", "https://monitoring.eu-west-1.amazonaws.com"),
    knob("regions.2.endpoints.sqs", "https://sqs.eu-west-1.amazonaws.com"),
    knob("regions.2.endpoints.sns", "https://sns.eu-west-1.amazonaws.com"),
    knob("regions.2.endpoints.api", "https://sealane.example.com/stage"),
    knob("regions.2.transfer_out_usd_per_gb", "0"),
    beside("replication.rules.0.bucket", "lane-euw1", RULE),
    beside("replication.rules.0.prefix", "raw/", RULE),
    beside("replication.rules.0.copies", "2", RULE),
    beside("replication.rules.0.regions", "[eu-west-1]", RULE),
    beside("replication.rules.0.residency", "[us]", RULE),
    beside("replication.rules.0.storage_class", "{eu-west-1: GLACIER_IR}", RULE),
    beside("notifications.targets.0.name", "ops", HOOKED),
    beside("notifications.targets.0.url", "https://lims.example.com/other", HOOKED),
    beside("notifications.targets.0.secret_env", "WEBHOOK_SECRET_2", HOOKED),
    beside("notifications.targets.0.events", "[failover]", HOOKED),
    beside("notifications.targets.0.states", "[complete, error]", HOOKED),
    beside("notifications.targets.0.topic_arn", "arn:aws:sns:us-west-2:123456789012:other", TOPIC),
    beside(
        "notifications.targets.0",
        "{name: lims, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:t'}",
        HOOKED,
    ),
];

fn base_for(knob: &Knob) -> String {
    match knob.beside {
        Some((key, value)) => with(BASE, key, value),
        None => BASE.to_owned(),
    }
}

#[test]
fn every_setting_has_a_knob_here() {
    for setting in SETTINGS {
        assert!(KNOBS.iter().any(|k| k.key == setting.key), "{}", setting.key);
    }
    for setting in REGION_SETTINGS.iter().filter(|s| s.key != "role") {
        let key = format!("regions.2.{}", setting.key);
        assert!(KNOBS.iter().any(|k| k.key == key), "{key}");
    }
    let of_rules = RULE_SETTINGS.iter().map(|s| format!("replication.rules.0.{}", s.key));
    let of_targets = TARGET_SETTINGS.iter().filter(|s| s.key != "kind");
    for key in of_rules.chain(of_targets.map(|s| format!("notifications.targets.0.{}", s.key))) {
        assert!(KNOBS.iter().any(|k| k.key == key), "{key}");
    }
}

#[test]
fn every_key_changes_the_configuration() {
    for knob in &KNOBS {
        let base = base_for(knob);
        let before = read(&base).unwrap();
        let after = read(&with(&base, knob.key, knob.value)).unwrap_or_else(|p| panic!("{}: {p}", knob.key));
        assert_ne!(before, after, "`{}` does nothing", knob.key);
    }
}

#[test]
fn every_variable_does_what_its_key_does() {
    for setting in SETTINGS {
        let knob = KNOBS.iter().find(|k| k.key == setting.key).unwrap();
        let base = base_for(knob);
        let by_key = read(&with(&base, knob.key, knob.value));
        let by_variable = read_with(&base, &[(&setting.variable(), knob.value.trim_matches('\''))]);
        assert_eq!(by_variable, by_key, "{}", setting.variable());
    }
}

#[test]
fn every_strategy_and_mode_can_be_chosen() {
    for name in ["round_robin", "weighted", "latency", "geographic", "priority", "cost"] {
        let config = read(&with(BASE, "load_balancing.strategy", name)).unwrap();
        assert_eq!(serde_json::to_value(config.load_balancing.strategy).unwrap(), name);
    }
    for name in ["immediate", "graceful", "manual"] {
        let config = read(&with(BASE, "failover.strategy", name)).unwrap();
        assert_eq!(serde_json::to_value(config.failover.mode).unwrap(), name);
    }
}
