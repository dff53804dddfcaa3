//! One example for each check of a setting of the whole: a key, the value that fails, and the whole message.

pub(super) const CASES: &[(&str, &str, &str)] = &[
    (
        "security.endpoint_hosts",
        "[https://example.com]",
        "`security.endpoint_hosts` is `[\"https://example.com\"]`: want a list of host names, such as `[example.com]`",
    ),
    (
        "security.allow_local_endpoints",
        "perhaps",
        "`security.allow_local_endpoints` is `perhaps`: want `true` or `false`",
    ),
    (
        "primary_region",
        "~",
        "`primary_region` is not set: want the name of a region of the list, such as `us-west-2`",
    ),
    (
        "primary_region",
        "eu-west-3",
        "`primary_region` is `eu-west-3`: it is not in `regions`, add it or choose one of \
         `us-west-2`, `us-east-1`, `eu-west-1`",
    ),
    (
        "primary_region",
        "us-east-2",
        "`primary_region` is `us-east-2`: it is a witness, which holds no data, choose a full \
         region",
    ),
    ("account_id", "123", "`account_id` is `123`: want the 12 digits of an AWS account, in quotes"),
    (
        "account_id",
        "123456789012",
        "`account_id` is `123456789012`: want the 12 digits of an AWS account, in quotes",
    ),
    (
        "control_regions",
        "[]",
        "`control_regions` is `[]`: want at least one region, or no failover is ever decided",
    ),
    (
        "control_regions",
        "us-west-2",
        "`control_regions` is `us-west-2`: want a list of region names, such as `[us-west-2, \
         us-east-1]`",
    ),
    (
        "control_regions",
        "[us-west-2, us-west-1]",
        r#"`control_regions` is `["us-west-2","us-west-1"]`: `us-west-1` is not in `regions`, add it there or remove it here"#,
    ),
    (
        "control_regions",
        "[us-west-2, us-west-2]",
        r#"`control_regions` is `["us-west-2","us-west-2"]`: `us-west-2` is in it twice, remove one"#,
    ),
    (
        "control_regions",
        "[us-west-2, eu-west-1]",
        r#"`control_regions` is `["us-west-2","eu-west-1"]`: `us-west-2` and `eu-west-1` are not in one set of strongly consistent replicas (MRSC), want regions of `us-east-1`, `us-east-2`, `us-west-2`"#,
    ),
    (
        "tables.health",
        "x",
        "`tables.health` is `x`: want a DynamoDB table name: 3 to 255 letters, digits, `_`, \
         `-` or `.`",
    ),
    (
        "tables.ledger",
        "sealane-health",
        "`tables.ledger` is `sealane-health`: want a name of its own, `tables.health` has \
         this one",
    ),
    (
        "worksets.consistency",
        "linear",
        "`worksets.consistency` is `linear`: want one of `eventual`, `strong`",
    ),
    (
        "health_check.timeout",
        "10s",
        "`health_check.timeout` is `10s`: want a timeout (`10s`) below the interval (`10s`)",
    ),
    (
        "health_check.interval",
        "20s",
        "`failover.detection_interval` is `15s`: want at least the longest \
         `health_check.interval` (`20s`), or observations are stale before the next one",
    ),
    (
        "health.degraded_latency",
        "500",
        "`health.degraded_latency` is `500`: want a duration from `1ms` to `1m`, such as \
         `500ms` or `10s` (a bare number is seconds)",
    ),
    ("health.voters_min", "0", "`health.voters_min` is `0`: want a whole number, 1 or more"),
    (
        "health.voters_min",
        "4",
        "`health.voters_min` is `4`: want at most `3`, the regions that watch each one, or \
         add a witness: no verdict has that many votes",
    ),
    (
        "load_balancing.strategy",
        "random",
        "`load_balancing.strategy` is `random`: want one of `round_robin`, `weighted`, \
         `latency`, `geographic`, `priority`, `cost`",
    ),
    (
        "load_balancing.sticky_sessions",
        "yes",
        "`load_balancing.sticky_sessions` is `yes`: want `true` or `false`",
    ),
    (
        "load_balancing.session_ttl",
        "0",
        "`load_balancing.session_ttl` is `0`: want a duration from `1ms` to `24h`, such as \
         `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "load_balancing.preferred_regions",
        "[us-east-2]",
        r#"`load_balancing.preferred_regions` is `["us-east-2"]`: `us-east-2` is a witness, which is never routed to, remove it"#,
    ),
    (
        "load_balancing.preferred_regions",
        "[sa-east-1]",
        r#"`load_balancing.preferred_regions` is `["sa-east-1"]`: `sa-east-1` is not in `regions`, add it there or remove it here"#,
    ),
    (
        "load_balancing.latency_gain_ratio_min",
        "15",
        "`load_balancing.latency_gain_ratio_min` is `15`: want a number from 0 to 1",
    ),
    (
        "failover.strategy",
        "at_once",
        "`failover.strategy` is `at_once`: want one of `immediate`, `graceful`, `manual`",
    ),
    (
        "failover.detection_interval",
        "0",
        "`failover.detection_interval` is `0`: want a duration from `1ms` to `24h`, such as \
         `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "failover.drain_timeout",
        "30s",
        "`failover.drain_timeout` is `30s`: want less than `failover.failover_timeout` \
         (`30s`), or every drain outlasts its move",
    ),
    (
        "failover.failover_timeout",
        "0s",
        "`failover.failover_timeout` is `0s`: want a duration from `1ms` to `24h`, such as \
         `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "failover.dwell",
        "25h",
        "`failover.dwell` is `25h`: want a duration from `0s` to `24h`, such as `500ms` or \
         `10s` (a bare number is seconds)",
    ),
    (
        "failover.hold_down",
        "301s",
        "`failover.hold_down_max` is `5m`: want at least `failover.hold_down` (`301s`)",
    ),
    (
        "failover.moves_per_hour_max",
        "0",
        "`failover.moves_per_hour_max` is `0`: want a whole number, 1 or more",
    ),
    (
        "failover.replication_lag_max",
        "soon",
        "`failover.replication_lag_max` is `soon`: want a duration from `0s` to `24h`, such \
         as `500ms` or `10s` (a bare number is seconds)",
    ),
    ("upload.copies", "0", "`upload.copies` is `0`: want a whole number, 1 or more"),
    ("upload.copies", "4", "`upload.copies` is `4`: want at most one copy in each of the full regions (`3`)"),
    ("upload.min_copies", "0", "`upload.min_copies` is `0`: want a whole number, 1 or more"),
    (
        "upload.min_copies",
        "2",
        "`upload.min_copies` is `2`: want at most the number of copies (`1`), or no upload \
         succeeds",
    ),
    (
        "upload",
        "{redundant_uploads: true, redundant_region_count: 4}",
        "`upload.redundant_region_count` is `4`: want at most one copy in each of the full \
         regions (`3`)",
    ),
    (
        "upload.redundant_region_count",
        "0",
        "`upload.redundant_region_count` is `0`: want a whole number, 1 or more",
    ),
    (
        "upload.cross_region_retries",
        "-1",
        "`upload.cross_region_retries` is `-1`: want a whole number, 0 or more",
    ),
    (
        "upload.part_size",
        "4MiB",
        "`upload.part_size` is `4MiB`: want a size from 5 MiB to 5 GiB, such as `8MiB`, or bytes",
    ),
    (
        "upload.part_size",
        "8MB",
        "`upload.part_size` is `8MB`: want a size from 5 MiB to 5 GiB, such as `8MiB`, or bytes",
    ),
    ("upload.concurrency", "0", "`upload.concurrency` is `0`: want a whole number, 1 or more"),
    (
        "upload",
        "{concurrency: 8, concurrency_max: 3}",
        "`upload.concurrency_max` is `3`: want at least `upload.concurrency` (`8`)",
    ),
    ("upload.concurrency_max", "0", "`upload.concurrency_max` is `0`: want a whole number, 1 or more"),
    (
        "upload.memory",
        "1MiB",
        "`upload.memory` is `1MiB`: want a size from 10 MiB to 64 GiB, such as `8MiB`, or bytes",
    ),
    (
        "upload.part_timeout",
        "0s",
        "`upload.part_timeout` is `0s`: want a duration from `1ms` to `24h`, such as `500ms` \
         or `10s` (a bare number is seconds)",
    ),
    (
        "capacity.lease_ttl",
        "5s",
        "`capacity.lease_ttl` is `5s`: want a duration from `10s` to `1h`, such as `500ms` or \
         `10s` (a bare number is seconds)",
    ),
    (
        "failover.drain_timeout",
        "4s",
        "`failover.drain_timeout` is `4s`: want at least `8s`, `api.cache_ttl` and the longest write, or the region \
         changes while an API still takes writes by the record it remembers",
    ),
    (
        "monitoring.metrics_interval",
        "0s",
        "`monitoring.metrics_interval` is `0s`: want a duration from `1ms` to `24h`, such as \
         `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "api.open_tenant",
        "a#b",
        "`api.open_tenant` is `a#b`: want a tenant of 1 to 64 lower-case letters, digits, `_` or `-`",
    ),
    ("api.rate_limit", "0", "`api.rate_limit` is `0`: want a whole number from 1 to 1000"),
    ("api.rate_burst", "0", "`api.rate_burst` is `0`: want a whole number from 1 to 100000"),
    (
        "health_check_interval",
        "30",
        "`health_check_interval` is `30`: there is no such key, want `health_check.interval`",
    ),
    (
        "failover_threshold",
        "3",
        "`failover_threshold` is `3`: there is no such key, want `health_check.failure_threshold`",
    ),
    (
        "latency_threshold_ms",
        "500",
        "`latency_threshold_ms` is `500`: there is no such key, want \
         `health.degraded_latency`, with its unit, as in `500ms`",
    ),
    (
        "cross_region_retries",
        "2",
        "`cross_region_retries` is `2`: there is no such key, did you mean \
         `upload.cross_region_retries`?",
    ),
    (
        "failover_delay",
        "5s",
        "`failover_delay` is `5s`: there is no such key, did you mean `upload.failover_delay`?",
    ),
    (
        "redundant_uploads",
        "true",
        "`redundant_uploads` is `true`: there is no such key, did you mean \
         `upload.redundant_uploads`?",
    ),
    (
        "redundant_region_count",
        "2",
        "`redundant_region_count` is `2`: there is no such key, did you mean \
         `upload.redundant_region_count`?",
    ),
    (
        "sync_validation",
        "true",
        "`sync_validation` is `true`: there is no such key, did you mean \
         `upload.sync_validation`?",
    ),
    (
        "failover.retry_attempts",
        "2",
        "`failover.retry_attempts` is `2`: there is no such key, want \
         `upload.cross_region_retries`",
    ),
    ("failover.dwel", "2s", "`failover.dwel` is `2s`: there is no such key, did you mean `failover.dwell`?"),
    ("colour", "blue", "`colour` is `blue`: there is no such key, remove it"),
    ("failover", "graceful", "`failover` is `graceful`: want a map of settings"),
];
