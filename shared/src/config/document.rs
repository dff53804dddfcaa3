//! A configuration written out again, as functions are given it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Config, known,
    settings::{Fallback, REGION_SETTINGS, SETTINGS},
};
use crate::{
    notify::{Channel, Target},
    region::{HealthCheck, Region},
    replication::{Goes, Rule},
    time::Human,
    units::ByteSize,
};

fn text(span: Duration) -> String {
    Human(span).to_string()
}

fn size_text(size: ByteSize) -> String {
    const MIB: u64 = 1 << 20;
    if size.0.is_multiple_of(MIB) { format!("{}MiB", size.0 / MIB) } else { size.0.to_string() }
}

impl Config {
    /// This configuration as a JSON document on one line.
    ///
    /// Reading it gives the same configuration back, with what the environment
    /// said when this was read. It leaves out what has its default, because all
    /// variables of a Lambda function together have to fit 4 KB.
    pub fn to_document(&self) -> String {
        let regions: Vec<_> = self.regions.iter().map(region).collect();
        let mut document = json!({
            "enabled": self.enabled,
            "primary_region": self.primary_region,
            "account_id": self.account_id,
            "regions": regions,
            "control_regions": self.control_regions,
            "tables": {
                "health": self.tables.health,
                "control": self.tables.control,
                "worksets": self.tables.worksets,
                "ledger": self.tables.ledger,
            },
            "worksets": { "consistency": self.worksets_consistency, "sentinels": self.sentinels },
            "health": {
                "degraded_latency": text(self.health.degraded_latency),
                "voters_min": self.health.voters_min,
            },
            "load_balancing": {
                "strategy": self.load_balancing.strategy,
                "sticky_sessions": self.load_balancing.sticky_sessions,
                "session_ttl": text(self.load_balancing.session_ttl),
                "preferred_regions": self.load_balancing.preferred_regions,
                "latency_gain_ratio_min": self.load_balancing.latency_gain_ratio_min,
                "latency_gain_min": text(self.load_balancing.latency_gain_min),
            },
            "failover": self.failover_document(),
            "upload": self.upload_document(),
            "replication": {
                "rules": self.replication.rules.iter().map(rule).collect::<Vec<_>>(),
                "relay": self.replication.relay,
            },
            "notifications": {
                "targets": self.notifications.targets.iter().map(target).collect::<Vec<_>>(),
                "attempts_max": self.notifications.attempts_max,
            },
            "capacity": { "lease_ttl": text(self.lease.ttl) },
            "monitoring": {
                "enabled": self.metrics_interval.is_some(),
                "metrics_interval": self.metrics_interval.map(text),
            },
            "security": {
                "allow_local_endpoints": self.security.allow_local,
                "endpoint_hosts": self.security.hosts,
            },
            "api": {
                "open_tenant": self.api.open_tenant,
                "cache_ttl": text(self.api.cache_ttl),
                "rate_limit": self.api.rate_limit,
                "rate_burst": self.api.rate_burst,
            },
        });
        leave_out_defaults(&mut document, "");
        document.to_string()
    }

    fn failover_document(&self) -> Value {
        let policy = &self.failover;
        json!({
            "auto_failover": policy.auto_failover,
            "strategy": policy.mode,
            "detection_interval": text(self.health.stale_after),
            "drain_timeout": text(policy.drain_timeout),
            "failover_timeout": text(policy.failover_timeout),
            "dwell": text(policy.dwell),
            "hold_down": text(policy.hold_down),
            "hold_down_max": text(policy.hold_down_max),
            "moves_per_hour_max": policy.moves_per_hour_max,
            "failback": policy.failback,
            "replication_lag_max": text(policy.replication_lag_max),
            "failback_step": text(policy.failback_step),
        })
    }

    fn upload_document(&self) -> Value {
        let policy = &self.upload;
        json!({
            "copies": policy.copies,
            "min_copies": policy.min_copies,
            "allow_degraded": policy.allow_degraded,
            "cross_region_retries": policy.cross_region_retries,
            "failover_delay": text(policy.failover_delay),
            "sync_validation": policy.sync_validation,
            "sha256": policy.sha256,
            "part_size": size_text(policy.part_size),
            "concurrency": policy.concurrency,
            "concurrency_max": policy.concurrency_max,
            "memory": size_text(policy.memory),
            "part_timeout": text(policy.part_timeout),
            "state_folder": self.state_folder,
        })
    }
}

fn rule(rule: &Rule) -> Value {
    let (copies, regions) = match &rule.goes {
        Goes::Everywhere => (None, None),
        Goes::Copies(copies) => (Some(copies), None),
        Goes::Regions(regions) => (None, Some(regions)),
    };
    let mut document = json!({
        "bucket": rule.bucket,
        "prefix": rule.prefix,
        "copies": copies,
        "regions": regions,
        "residency": Some(&rule.residency).filter(|tags| !tags.is_empty()),
        "storage_class": rule.class,
    });
    leave_out_defaults(&mut document, "");
    document
}

fn target(target: &Target) -> Value {
    let (kind, topic, url, secret_env) = match &target.channel {
        Channel::Sns { topic } => ("sns", Some(topic.as_str()), None, None),
        Channel::Webhook { url, secret_env } => ("webhook", None, Some(url), Some(secret_env)),
    };
    let mut document = json!({
        "name": target.name.as_str(),
        "kind": kind,
        "topic_arn": topic,
        "url": url,
        "secret_env": secret_env,
        "events": target.about,
        "states": target.states,
    });
    leave_out_defaults(&mut document, "");
    document
}

fn region(region: &Region) -> Value {
    let known = known::of(region.name);
    let coordinates = region.coordinates.filter(|c| known.is_none_or(|k| k.coordinates != *c));
    let jurisdiction: Vec<&str> = known.map(|k| k.residency).into_iter().collect();
    let residency = Some(&region.residency).filter(|r| **r != jurisdiction);
    let price = region.transfer_out_usd_per_gb;
    let price = price.filter(|_| known.is_none_or(|k| k.transfer_out_usd_per_gb != price));
    let mut document = json!({
        "name": region.name,
        "role": region.role,
        "bucket": region.bucket,
        "kms_key": region.kms_key,
        "priority": region.priority,
        "weight": region.weight,
        "coordinates": coordinates,
        "residency": residency,
        "status": if region.offline { "offline" } else { "healthy" },
        "capacity": region.capacity,
        "health_check": health_check(&region.health_check),
        "endpoints": region.endpoints,
        "transfer_out_usd_per_gb": price,
    });
    leave_out_defaults(&mut document, "");
    document
}

fn health_check(check: &HealthCheck) -> Value {
    json!({
        "enabled": check.enabled,
        "interval": text(check.interval),
        "timeout": text(check.timeout),
        "failure_threshold": check.failure_threshold,
        "success_threshold": check.success_threshold,
    })
}

/// Drops what reads the same when it is not set: defaults, nulls and empty maps.
fn leave_out_defaults(value: &mut Value, path: &str) {
    let Value::Object(map) = value else { return };
    map.retain(|word, value| {
        let key = if path.is_empty() { word.clone() } else { format!("{path}.{word}") };
        leave_out_defaults(value, &key);
        let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        !is_empty && !is_default(&key, value)
    });
}

/// Whether `key`, of the whole or of a region, has `value` as its default.
///
/// The two tables share only the keys of the health check, which a region
/// inherits from the whole.
fn is_default(key: &str, value: &Value) -> bool {
    let named = SETTINGS.iter().chain(REGION_SETTINGS).filter(|s| s.key == key);
    let mut defaults = named.filter_map(|s| match s.fallback {
        Fallback::Value(text) => serde_norway::from_str::<Value>(text).ok(),
        Fallback::Derived(_) | Fallback::Required => None,
    });
    defaults.next().is_some_and(|default| default == *value)
}
