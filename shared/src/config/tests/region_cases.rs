//! One example for each check of a region's settings: a key, the value that fails, and the whole message.

pub(super) const CASES: &[(&str, &str, &str)] = &[
    (
        "regions",
        "[]",
        "`regions` is `[]`: want a list of at least one region, such as `[{name: us-west-2, \
         bucket: my-bucket}]`",
    ),
    (
        "regions",
        "us-west-2",
        "`regions` is `us-west-2`: want a list of at least one region, such as `[{name: \
         us-west-2, bucket: my-bucket}]`",
    ),
    (
        "regions.0",
        "us-west-2",
        "`regions[0]` is `us-west-2`: want a map, such as `{name: us-west-2, bucket: my-bucket}`",
    ),
    ("regions.0.name", "''", "`regions[0].name` is ``: want the name of an AWS region, such as `eu-west-1`"),
    (
        "regions.2.name",
        "Europe",
        "`regions[2].name` is `Europe`: want the name of an AWS region, such as `eu-west-1`",
    ),
    (
        "regions.2.name",
        "eu-wst-1",
        "`regions[eu-wst-1].name` is `eu-wst-1`: AWS has no such region, did you mean \
         `eu-west-1`? (another store's region needs `endpoints`)",
    ),
    (
        "regions.2.name",
        "mars-base-1",
        "`regions[mars-base-1].name` is `mars-base-1`: AWS has no such region (another \
         store's region needs `endpoints`)",
    ),
    (
        "regions.2.name",
        "us-east-1",
        "`regions[us-east-1].name` is `us-east-1`: it is listed twice, remove one of the two",
    ),
    ("regions.2.role", "observer", "`regions[eu-west-1].role` is `observer`: want one of `full`, `witness`"),
    (
        "regions.2.bucket",
        "~",
        "`regions[eu-west-1].bucket` is not set: a full region needs one, name it or make the \
         region a `witness`",
    ),
    (
        "regions.2.bucket",
        "Lane_EU",
        "`regions[eu-west-1].bucket` is `Lane_EU`: want a bucket name: 3 to 63 lower-case \
         letters, digits, dashes and dots, with a letter or digit at both ends",
    ),
    (
        "regions.2.bucket",
        "192.168.0.1",
        "`regions[eu-west-1].bucket` is `192.168.0.1`: want a bucket name: 3 to 63 lower-case \
         letters, digits, dashes and dots, with a letter or digit at both ends",
    ),
    (
        "regions.2.bucket",
        "lane-use1",
        "`regions[eu-west-1].bucket` is `lane-use1`: `us-east-1` has this bucket, want one of \
         its own: copies in one bucket are one copy",
    ),
    (
        "regions.3.bucket",
        "lane-use2",
        "`regions[us-east-2].bucket` is `lane-use2`: a witness holds no data, remove it",
    ),
    (
        "regions.2.kms_key",
        "' '",
        "`regions[eu-west-1].kms_key` is ` `: want the ARN or the alias of a KMS key",
    ),
    ("regions.2.priority", "0", "`regions[eu-west-1].priority` is `0`: want a whole number, 1 or more"),
    ("regions.2.weight", "101", "`regions[eu-west-1].weight` is `101`: want a whole number from 0 to 100"),
    ("regions.2.weight", "-1", "`regions[eu-west-1].weight` is `-1`: want a whole number from 0 to 100"),
    (
        "regions.2.coordinates",
        "{latitude: 91, longitude: 0}",
        "`regions[eu-west-1].coordinates.latitude` is `91`: want a number from -90 to 90",
    ),
    (
        "regions.2.coordinates",
        "{latitude: 9, longitude: -181}",
        "`regions[eu-west-1].coordinates.longitude` is `-181`: want a number from -180 to 180",
    ),
    (
        "regions.2.coordinates",
        "{latitude: 9}",
        "`regions[eu-west-1].coordinates.longitude` is not set: want it beside \
         `coordinates.latitude`",
    ),
    (
        "regions.2.coordinates",
        "[1, 2]",
        "`regions[eu-west-1].coordinates` is `[1,2]`: want a map of settings",
    ),
    (
        "regions.2.residency",
        "eu",
        "`regions[eu-west-1].residency` is `eu`: want a list of tags of lower-case letters, \
         digits and dashes, such as `[eu, hipaa]`",
    ),
    (
        "regions.2.residency",
        "[EU]",
        r#"`regions[eu-west-1].residency` is `["EU"]`: want a list of tags of lower-case letters, digits and dashes, such as `[eu, hipaa]`"#,
    ),
    (
        "regions.2.status",
        "unhealthy",
        "`regions[eu-west-1].status` is `unhealthy`: want one of `healthy`, `offline`",
    ),
    (
        "regions.2.capacity.max_concurrent_uploads",
        "0",
        "`regions[eu-west-1].capacity.max_concurrent_uploads` is `0`: want a whole number from \
         1 to 256",
    ),
    (
        "regions.2.capacity.max_bandwidth_mbps",
        "0",
        "`regions[eu-west-1].capacity.max_bandwidth_mbps` is `0`: want a whole number, 1 or more",
    ),
    (
        "regions.2.capacity.max_uploads",
        "3",
        "`regions[eu-west-1].capacity.max_uploads` is `3`: there is no such key, remove it",
    ),
    (
        "regions.2.health_check.interval",
        "4s",
        "`regions[eu-west-1].health_check.interval` is `4s`: want a duration from `5s` to \
         `1m`, such as `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "regions.2.health_check.interval",
        "61s",
        "`regions[eu-west-1].health_check.interval` is `61s`: want a duration from `5s` to \
         `1m`, such as `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "regions.2.health_check.timeout",
        "0s",
        "`regions[eu-west-1].health_check.timeout` is `0s`: want a duration from `1ms` to \
         `1m`, such as `500ms` or `10s` (a bare number is seconds)",
    ),
    (
        "regions.2.health_check.timeout",
        "10s",
        "`regions[eu-west-1].health_check.timeout` is `10s`: want a timeout (`10s`) below the \
         interval (`10s`)",
    ),
    (
        "regions.2.health_check.failure_threshold",
        "0",
        "`regions[eu-west-1].health_check.failure_threshold` is `0`: want a whole number from 1 to 100",
    ),
    (
        "regions.2.health_check.success_threshold",
        "0",
        "`regions[eu-west-1].health_check.success_threshold` is `0`: want a whole number, 1 \
         or more",
    ),
    (
        "regions.2.endpoints.s3",
        "s3.example.com",
        "`regions[eu-west-1].endpoints.s3` is `s3.example.com`: want a URL of a host with a \
         scheme, without user, query or fragment",
    ),
    (
        "regions.2.endpoints.s3",
        "https://s3.example.com",
        "`regions[eu-west-1].endpoints.s3` is `https://s3.example.com`: the host is not among \
         those allowed, name it or its domain in `security.endpoint_hosts`",
    ),
    (
        "regions.2.endpoints.api",
        "http://sealane.example.com",
        "`regions[eu-west-1].endpoints.api` is `http://sealane.example.com`: want `https://`; \
         plain `http` needs `security.allow_local_endpoints`",
    ),
    (
        "regions.2.endpoints.api",
        "https://[::ffff:10.0.0.1]",
        "`regions[eu-west-1].endpoints.api` is `https://[::ffff:10.0.0.1]`: it is no public \
         address; a local one needs `security.allow_local_endpoints`",
    ),
    (
        "regions.2.endpoints.dynamodb",
        "https://user:word@example.com",
        "`regions[eu-west-1].endpoints.dynamodb` is `https://***@example.com`: want a URL of a \
         host with a scheme, without user, query or fragment",
    ),
    (
        "regions.2.endpoints.cloudwatch",
        "http://169.254.169.254/latest",
        "`regions[eu-west-1].endpoints.cloudwatch` is `http://169.254.169.254/latest`: no \
         endpoint may be there: machines get credentials or events at such an address, or it \
         is no single host's",
    ),
    (
        "regions.2.endpoints.sqs",
        "http://sqs.eu-west-1.amazonaws.com",
        "`regions[eu-west-1].endpoints.sqs` is `http://sqs.eu-west-1.amazonaws.com`: want \
         `https://`; plain `http` needs `security.allow_local_endpoints`",
    ),
    (
        "regions.2.transfer_out_usd_per_gb",
        "-0.01",
        "`regions[eu-west-1].transfer_out_usd_per_gb` is `-0.01`: want a number, 0 or more",
    ),
    (
        "regions.2.transfer_out_usd_per_gb",
        ".nan",
        "`regions[eu-west-1].transfer_out_usd_per_gb` is `.nan`: want a number, 0 or more",
    ),
    (
        "regions.0.status",
        "offline",
        "`primary_region` is `us-west-2`: its `status` is `offline`, choose another or bring \
         it back",
    ),
    (
        "regions.0.health_check.interval",
        "30s",
        "`failover.detection_interval` is `15s`: want at least the longest \
         `health_check.interval` (`30s`), or observations are stale before the next one",
    ),
    (
        "regions.2.buckets",
        "lane",
        "`regions[eu-west-1].buckets` is `lane`: there is no such key, did you mean `bucket`?",
    ),
];
