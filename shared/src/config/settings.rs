//! Every setting, once: its key, its default and its meaning.
//!
//! The reader, the environment names, the spelling hints and the reference
//! page all come from these two tables, so they cannot disagree.

/// What holds where a setting is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as it would be written.
    Value(&'static str),
    /// What these words say.
    Derived(&'static str),
    /// Nothing: it has to be set.
    Required,
}

/// What a setting's variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The bare value.
    Scalar,
    /// A list, written in YAML or JSON.
    List,
}

/// One thing that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its path in the document, with dots.
    pub key: &'static str,
    /// What its variable holds.
    pub shape: Shape,
    /// What holds where it is left out.
    pub fallback: Fallback,
    /// What it does, with unit and bounds.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        variable(self.key)
    }
}

/// What every variable of ours begins with.
pub const PREFIX: &str = "SEALANE_";

/// The environment variable of this key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

const fn setting(key: &'static str, fallback: Fallback, meaning: &'static str) -> Setting {
    Setting { key, shape: Shape::Scalar, fallback, meaning }
}

const fn value(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    setting(key, Fallback::Value(default), meaning)
}

const fn derived(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    setting(key, Fallback::Derived(default), meaning)
}

const fn list(key: &'static str, fallback: Fallback, meaning: &'static str) -> Setting {
    Setting { key, shape: Shape::List, fallback, meaning }
}

/// The settings of the whole system, each with a variable of its own.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    value("enabled", "true", "Whether more than the primary region is used."),
    setting("primary_region", Fallback::Required, "Where work belongs when all is well: a full region of the list that is not offline."),
    derived("account_id", "ownership unchecked", "The account that owns every bucket: 12 digits, in quotes."),
    list("regions", Fallback::Required, "Every region; the settings of one are in the second table."),
    list("control_regions", Fallback::Derived("the full regions of the primary region's MRSC set, primary first, 3 at most"), "The regions whose replica of the control table can be asked, best first. Two or more have to lie in one MRSC set."),
    value("tables.health", "sealane-health", "Table of observations and heartbeats."),
    value("tables.control", "sealane-control", "Table of the assignment of the active primary, moves, pins and locks."),
    value("tables.worksets", "sealane-worksets", "Table of worksets and their history."),
    value("tables.ledger", "sealane-ledger", "Table of the copies owed and paid."),
    value("worksets.consistency", "eventual", "How the replicas of the worksets table agree, settled when it is made. `eventual`: one in every full region; writes go to the active region's, and a failover may lose the last of them. `strong`: one in each of `control_regions`, which hold one truth; no failover loses an acknowledged write, and each one takes a round trip to another region."),
    value("health_check.enabled", "true", "Whether regions are probed; a region may say otherwise for itself, as for the next four."),
    value("health_check.interval", "10s", "Time between the starts of two probes, 5 s to 60 s."),
    value("health_check.timeout", "2s", "Time after which one probe counts as failed; below the interval."),
    value("health_check.failure_threshold", "3", "Bad probes in a row that turn a vote down; 1 to 100."),
    value("health_check.success_threshold", "2", "Good probes in a row that turn it up again; at least 1."),
    value("health.degraded_latency", "500ms", "Smoothed latency above which a capability counts as degraded; 60 s at most."),
    value("health.voters_min", "2", "Fresh, unsuspecting votes of other regions that a verdict needs; at least 1, and no more than there are other regions."),
    value("load_balancing.strategy", "round_robin", "How usable regions are ranked: `round_robin`, `weighted`, `latency`, `geographic`, `priority` or `cost`."),
    value("load_balancing.sticky_sessions", "false", "Whether a session keeps its region while that region is up."),
    value("load_balancing.session_ttl", "24h", "Time after which a session's region is drawn anew, each session at its own moment; above 0."),
    list("load_balancing.preferred_regions", Fallback::Value("[]"), "Full regions that come first when they are usable, best first."),
    value("load_balancing.latency_gain_ratio_min", "0.15", "Share by which another region must be faster to be worth a switch, 0 to 1."),
    value("load_balancing.latency_gain_min", "10ms", "Time by which another region must be faster to be worth a switch."),
    value("failover.auto_failover", "true", "Whether moves happen without an operator; `false` makes every move a proposal."),
    value("failover.strategy", "graceful", "How a move is carried out: `immediate`, `graceful` or `manual`."),
    value("failover.detection_interval", "15s", "Age at which an observer that writes nothing new is no longer heard; not below the longest probe interval."),
    value("failover.drain_timeout", "10s", "Longest drain of a graceful move, which ends earlier when no upload holds a lease there. Not below `api.cache_ttl`, below `failover.failover_timeout`."),
    value("failover.failover_timeout", "30s", "Longest time a move may stay in one phase before the next controller pushes it on."),
    value("failover.dwell", "30s", "Shortest time between two moves."),
    value("failover.hold_down", "30s", "Wait before a failback, times the number of recent moves."),
    value("failover.hold_down_max", "5m", "Longest such wait; not below `failover.hold_down`."),
    value("failover.moves_per_hour_max", "2", "Automatic moves away in any hour, failbacks left out, at least 1; beyond that a move waits for approval."),
    value("failover.failback", "true", "Whether work returns to the primary region by itself."),
    value("failover.replication_lag_max", "5s", "Replication lag above which work does not return."),
    value("failover.failback_step", "10s", "Time between two steps (10, 25, 50, 100%) of a return."),
    derived("upload.copies", "1, or `upload.redundant_region_count` when `upload.redundant_uploads`", "Copies wanted; at least 1, at most one a full region."),
    derived("upload.min_copies", "a true majority, n/2 + 1", "Verified copies that make a success; at least 1, at most `upload.copies`."),
    value("upload.allow_degraded", "false", "Whether fewer verified copies than that, but at least one, are a degraded success instead of a failure."),
    value("upload.cross_region_retries", "2", "Further regions tried for a copy whose region failed; 0 or more."),
    value("upload.failover_delay", "5s", "Longest wait before a further region is tried when one was left for the same kind of trouble before; the actual one is drawn below it. The first region that is left is replaced at once."),
    value("upload.redundant_uploads", "false", "Whether `upload.redundant_region_count` copies are wanted where `upload.copies` is not set."),
    value("upload.redundant_region_count", "2", "Copies wanted by `upload.redundant_uploads`; at least 1."),
    value("upload.sync_validation", "true", "Whether each copy is read back and compared before it counts."),
    value("upload.sha256", "false", "Whether the SHA-256 of what is shipped is kept with each copy, as metadata `sealane-sha256`, and in the receipt. The source is read once more for it, beforehand."),
    value("upload.part_size", "8MiB", "Size aimed at for a part, 5 MiB to 5 GiB."),
    derived("upload.concurrency", "4, or `upload.concurrency_max` if that is less", "Parts in flight in one region at first; at least 1."),
    derived("upload.concurrency_max", "16, or `upload.concurrency` where that is set", "Parts in flight in one region at most: one more at a time, as long as that brings more bytes and `upload.memory` holds them; half as many when the region asks to slow down. Not below `upload.concurrency`."),
    value("upload.memory", "40MiB", "Memory for parts that are read and not yet sent everywhere, 10 MiB to 64 GiB; two parts at least."),
    value("upload.part_timeout", "30s", "Longest wait for one part of up to 8 MiB before its region is dropped, and 4 s more for each MiB beyond. A region that falls silent is left sooner if there is another to go to: after twice the time that its parts took, and a round trip."),
    derived("upload.state_folder", "`sealane/uploads` in `$XDG_STATE_HOME`, else in `~/.local/state`", "Folder in which `sealane upload` notes what a later run needs to go on after it was stopped."),
    list("replication.rules", Fallback::Value("[]"), "Where objects go, the first rule that fits one decides; the settings of a rule are in the third table. What none fits goes to every full region."),
    value("replication.relay", "cost", "Whether a copy may be sent on from the region that got it: `cost`, where that saves more than 5% of what sending each from its source costs, or `off`."),
    list("notifications.targets", Fallback::Value("[]"), "Who is told when a workset changes its state or the active region changes, at most 8; the settings of a target are in the fourth table."),
    value("notifications.attempts_max", "30", "Tries after which a notification that nobody takes is parked for an operator, 1 to 100. With the waits between them, 30 are about half a day."),
    value("worksets.sentinels", "off", "Whether worksets show how they stand in their bucket, by objects such as `daylily.ready` beside their data: `off`; `own`, where the prefix lies below the tenant's name, as what it uploads through the API does; or `any`, wherever the workset says, for tenants that trust each other."),
    value("capacity.lease_ttl", "60s", "Time after which the slot of an upload that no longer renews its lease is free again, 10 s to 1 h."),
    value("monitoring.enabled", "true", "Whether metric lines are written."),
    value("monitoring.metrics_interval", "10s", "Time between two metric lines."),
    derived("api.open_tenant", "calls without a verified tenant are refused", "Tenant of every caller where the gateway has no authorizer."),
    value("api.cache_ttl", "5s", "How long the API may serve the last route and verdicts that it read."),
    value("api.rate_limit", "50", "Requests a second of one tenant that one sandbox of the API answers in the long run, 1 to 1000; the rest is 429. A tenant is served by as many sandboxes as it keeps busy."),
    value("api.rate_burst", "100", "Requests of one tenant that one sandbox answers at once after a pause, 1 to 100000."),
    value("security.allow_local_endpoints", "false", "Whether `endpoints` may be plain `http`, of any host and at private addresses, as a local cloud's are."),
    list("security.endpoint_hosts", Fallback::Derived("AWS's own hosts for its services, any public name for an API"), "The only hosts that `endpoints` may have, with all that lie below them, such as `[example.com]`."),
];

/// The settings of one region: keys of an entry of `regions`.
#[rustfmt::skip]
pub const REGION_SETTINGS: &[Setting] = &[
    setting("name", Fallback::Required, "Its AWS name. One that AWS does not have needs `endpoints`."),
    value("role", "full", "`full` holds data, serves and watches; `witness` only watches."),
    derived("bucket", "required for a full region", "Its bucket; a witness has none."),
    derived("kms_key", "the bucket's own", "The KMS key that encrypts its objects, as an ARN or alias."),
    value("priority", "1", "Rank under the priority strategy; at least 1, and 1 is best."),
    value("weight", "50", "Share under the weighted strategies, 0 to 100, not 0 for all; 0 gets nothing."),
    derived("coordinates.latitude", "about the region's city", "Degrees north of the equator, -90 to 90."),
    derived("coordinates.longitude", "about the region's city", "Degrees east of Greenwich, -180 to 180."),
    list("residency", Fallback::Derived("the region's jurisdiction: `us`, `eu`, `uk` and so on"), "Tags that a request may demand, such as `eu` or `hipaa`."),
    value("status", "healthy", "`offline` drains it: watched, never used. `healthy` leaves it to the probes."),
    value("capacity.max_concurrent_uploads", "10", "Uploads in flight, 1 to 256; further ones go elsewhere or wait for replication."),
    value("capacity.max_bandwidth_mbps", "1000", "Megabits a second over all uploads, at least 1: no process sends more into the region. Each upload sets its share of it aside, this divided by `capacity.max_concurrent_uploads`."),
    derived("health_check.enabled", "`health_check.enabled` of the whole", "Whether others probe this region. An unwatched one stays `unknown`."),
    derived("health_check.interval", "`health_check.interval` of the whole", "Time between the starts of two probes, 5 s to 60 s."),
    derived("health_check.timeout", "`health_check.timeout` of the whole", "Time after which one probe counts as failed; below the interval."),
    derived("health_check.failure_threshold", "`health_check.failure_threshold` of the whole", "Bad probes in a row that turn a vote down; 1 to 100."),
    derived("health_check.success_threshold", "`health_check.success_threshold` of the whole", "Good probes in a row that turn it up again; at least 1."),
    derived("endpoints.s3", "AWS", "S3, as an `https` URL of a host that `security.endpoint_hosts` allows."),
    derived("endpoints.dynamodb", "AWS", "DynamoDB, likewise."),
    derived("endpoints.cloudwatch", "AWS", "CloudWatch, likewise."),
    derived("endpoints.sqs", "AWS", "SQS, likewise; asked by `sealane replication dlq` and `redrive`."),
    derived("endpoints.sns", "AWS", "SNS, likewise; asked for topics of this region."),
    derived("endpoints.api", "none: its API is not probed", "The region's HTTPS API, likewise, up to but without the `/v1`."),
    derived("transfer_out_usd_per_gb", "the list price, where known", "Price of sending to another region, in dollars per GB; 0 or more."),
];

/// The settings of one rule: keys of an entry of `replication.rules`.
#[rustfmt::skip]
pub const RULE_SETTINGS: &[Setting] = &[
    derived("bucket", "any", "The bucket of a full region: only what is written there is meant."),
    value("prefix", "''", "What the keys that are meant begin with."),
    derived("copies", "one in each full region", "Copies, the written one included, in the regions that are cheapest to send to, those listed first among equals; 1 keeps objects where they are."),
    list("regions", Fallback::Derived("every full region"), "The full regions that get a copy, instead of `copies`."),
    list("residency", Fallback::Value("[]"), "Tags that a region must have to get a copy, all of them. Nothing outranks this."),
    derived("storage_class", "that of the object", "Storage class of the copies: one for all, or a map from region to class, such as `{eu-west-1: DEEP_ARCHIVE}`. What was written keeps its own, and so does an upload that names one. A copy in an archive class is sent on to nobody."),
];

/// The settings of one target: keys of an entry of `notifications.targets`.
#[rustfmt::skip]
pub const TARGET_SETTINGS: &[Setting] = &[
    setting("name", Fallback::Required, "What it is called: 1 to 32 lower-case letters, digits and dashes. What it has yet to hear is kept under this name."),
    setting("kind", Fallback::Required, "How it is told: `sns` or `webhook`."),
    derived("topic_arn", "required for `sns`", "The topic, a standard one, in any region. The template's `NotifyTopicArns` has to name it, too."),
    derived("url", "required for `webhook`", "Where the requests go, as an `https` URL of a host that `security.endpoint_hosts` allows, without a query."),
    derived("secret_env", "required for `webhook`", "The environment variable that holds the secret which signs the requests, such as `WEBHOOK_SECRET_1`; the secret itself stands nowhere in the configuration."),
    list("events", Fallback::Value("[workset, failover]"), "What it is told of: `workset`, `failover` or both."),
    list("states", Fallback::Derived("every state"), "The states that it is told of when a workset reaches one, such as `[complete, error]`."),
];

/// Names that other systems of this kind use for one of our settings, and what to mind.
const ELSEWHERE: [(&str, &str, &str); 7] = [
    ("multi_region", "enabled", ""),
    ("health_check_interval", "health_check.interval", ""),
    ("failover_threshold", "health_check.failure_threshold", ""),
    ("latency_threshold_ms", "health.degraded_latency", ", with its unit, as in `500ms`"),
    ("failover.retry_attempts", "upload.cross_region_retries", ""),
    ("monitoring.interval", "monitoring.metrics_interval", ""),
    ("upload.chunk_size", "upload.part_size", ""),
];

/// What to write instead of an unknown key of the document.
pub(super) fn remedy_for_key(unknown: &str, settings: &[Setting]) -> String {
    let elsewhere = ELSEWHERE.iter().find(|(name, ..)| *name == unknown);
    if let Some((_, ours, mind)) = elsewhere {
        return format!("there is no such key, want `{ours}`{mind}");
    }
    let last = unknown.rsplit('.').next().unwrap_or(unknown);
    let mut namesakes = settings.iter().filter(|s| s.key.rsplit_once('.').is_some_and(|(_, l)| l == last));
    let close = match (namesakes.next(), namesakes.next()) {
        (Some(only), None) => Some(only.key),
        _ => nearest(unknown, settings.iter().map(|s| s.key)),
    };
    match close {
        Some(key) => format!("there is no such key, did you mean `{key}`?"),
        None => "there is no such key, remove it".to_owned(),
    }
}

/// What to set instead of an unknown variable.
pub(super) fn remedy_for_variable(unknown: &str) -> String {
    let elsewhere = ELSEWHERE.iter().find(|(name, ..)| variable(name) == unknown);
    if let Some((_, ours, mind)) = elsewhere {
        return format!("there is no such variable, want `{}`{mind}", variable(ours));
    }
    let tail = unknown.replacen(PREFIX, "_", 1);
    let names: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let mut namesakes = names.iter().filter(|name| name.ends_with(&tail));
    let close = match (namesakes.next(), namesakes.next()) {
        (Some(only), None) => Some(only.as_str()),
        _ => nearest(unknown, names.iter().map(String::as_str)),
    };
    match close {
        Some(name) => format!("there is no such variable, did you mean `{name}`?"),
        None => "there is no such variable, unset it".to_owned(),
    }
}

/// The candidate that differs least from `text`, if it differs in no more than a fifth of it.
pub(super) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (text.chars().count() / 5).clamp(2, 5);
    // Longer text is no misspelling, and comparing it would cost its square.
    let text = Some(text).filter(|t| t.len() <= 100)?;
    let scored = candidates.map(|c| (distance(text, c), c));
    scored.filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// Letters to insert, remove or replace to turn `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_settings_share_a_variable() {
        let mut names: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
        names.push(super::super::DOCUMENT_VARIABLE.to_owned());
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_used_elsewhere_lead_to_settings_that_exist_and_shadow_none() {
        for (theirs, ours, _) in ELSEWHERE {
            assert!(SETTINGS.iter().any(|s| s.key == ours), "{ours}");
            assert!(!SETTINGS.iter().any(|s| s.key == theirs), "{theirs}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "abc", 3), ("dwell", "dwel", 1), ("kitten", "sitting", 3), ("a", "a", 0)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }
}
