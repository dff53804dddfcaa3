//! Every check has an example that fails it, with the whole message.

use super::*;

/// The problems of a reading, one a line.
fn lines(read: Result<Config, Problems>) -> String {
    let problems = read.expect_err("the configuration was accepted");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_check_names_the_key_the_value_and_the_remedy() {
    for (key, value, message) in region_cases::CASES
        .iter()
        .chain(refusal_cases::CASES)
        .chain(rule_cases::CASES)
        .chain(notification_cases::CASES)
    {
        assert_eq!(lines(read(&with(BASE, key, value))), *message, "{key}: {value}");
    }
}

#[test]
fn a_variable_is_named_with_the_key_that_it_sets() {
    let cases = [
        (
            "SEALANE_FAILOVER_DWELL",
            "soon",
            "`failover.dwell` (from `SEALANE_FAILOVER_DWELL`) is `soon`: want a duration from `0s` to `24h`, \
             such as `500ms` or `10s` (a bare number is seconds)",
        ),
        (
            "SEALANE_REGIONS",
            "[{name: us-west-2}]",
            "`regions[us-west-2].bucket` (from `SEALANE_REGIONS`) is not set: a full region needs one, \
             name it or make the region a `witness`",
        ),
        (
            "SEALANE_FAILOVER_DWEL",
            "30s",
            "`SEALANE_FAILOVER_DWEL` is `30s`: there is no such variable, did you mean `SEALANE_FAILOVER_DWELL`?",
        ),
        (
            "SEALANE_CROSS_REGION_RETRIES",
            "2",
            "`SEALANE_CROSS_REGION_RETRIES` is `2`: there is no such variable, \
             did you mean `SEALANE_UPLOAD_CROSS_REGION_RETRIES`?",
        ),
        (
            "SEALANE_LATENCY_THRESHOLD_MS",
            "500",
            "`SEALANE_LATENCY_THRESHOLD_MS` is `500`: there is no such variable, \
             want `SEALANE_HEALTH_DEGRADED_LATENCY`, with its unit, as in `500ms`",
        ),
        ("SEALANE_COLOUR", "blue", "`SEALANE_COLOUR` is `blue`: there is no such variable, unset it"),
    ];
    for (variable, text, message) in cases {
        let base = if variable == "SEALANE_REGIONS" { ONE_REGION } else { BASE };
        assert_eq!(lines(read_with(base, &[(variable, text)])), message);
    }
}

const ONE_REGION: &str = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: lane-usw2}]}";

#[test]
fn a_list_that_is_no_yaml_is_blamed_on_its_variable() {
    let message = lines(read_with(BASE, &[("SEALANE_CONTROL_REGIONS", "[us-west-2")]));
    let start = "`control_regions` (from `SEALANE_CONTROL_REGIONS`) is `[us-west-2`: want a list in YAML or JSON, but ";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn strong_worksets_want_replicas_in_several_control_regions_and_in_the_primary() {
    let strong = with(BASE, "worksets.consistency", "strong");
    let alone = "`worksets.consistency` is `strong`: want two or three `control_regions` for its replicas, in one \
                 set of strongly consistent replicas (MRSC), or `eventual`";
    assert_eq!(lines(read(&with(&strong, "control_regions", "[us-west-2]"))), alone);
    // The default finds no other full region beside this one.
    assert_eq!(lines(read(&with(&strong, "primary_region", "eu-west-1"))), alone);
    let elsewhere = with(&strong, "control_regions", "[us-east-1, us-east-2]");
    assert_eq!(
        lines(read(&elsewhere)),
        "`worksets.consistency` is `strong`: want the primary region (`us-west-2`) among `control_regions`, \
         since the replicas lie there, or `eventual`"
    );
    let apart = with(&strong, "control_regions", "[us-west-2, eu-west-1]");
    assert!(lines(read(&apart)).starts_with("`control_regions` is"), "one problem for one mistake");
}

#[test]
fn a_document_that_is_no_map_is_one_problem_beside_what_is_missing() {
    let message = lines(read("- us-west-2"));
    assert!(message.starts_with("`document` is `[\"us-west-2\"]`: want a map of settings"), "{message}");
    let message = lines(read("regions: [unclosed"));
    assert!(message.starts_with("`document` is `regions: [unclosed`: want YAML or JSON, but "), "{message}");
}

#[test]
fn a_key_written_twice_is_refused() {
    let message = lines(read("enabled: true\nenabled: false"));
    assert!(message.contains("duplicate"), "{message}");
}

#[test]
fn aliases_cannot_blow_a_document_up() {
    let mut document = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..30 {
        let row = format!("*a{}", i - 1);
        document += &format!("a{i}: &a{i} [{}]\n", [row.as_str(); 9].join(", "));
    }
    let message = lines(read(&document));
    assert!(message.contains("repetition limit"), "{message}");
}

#[test]
fn no_weight_at_all_is_refused() {
    let document = ["0", "1", "2"]
        .iter()
        .fold(BASE.to_owned(), |document, i| with(&document, &format!("regions.{i}.weight"), "0"));
    let message = lines(read(&document));
    let end = "every `weight` is 0, give at least one full region a share";
    assert!(message.starts_with("`regions` is ") && message.ends_with(end), "{message}");
}

#[test]
fn control_replicas_keep_to_what_a_strong_table_can_have() {
    let europe = "{primary_region: eu-west-1, regions: [{name: eu-west-1, bucket: b-1}, {name: eu-west-2, bucket: b-2}, \
                  {name: eu-west-3, bucket: b-3}, {name: eu-central-1, bucket: b-4}, {name: eu-north-1, bucket: b-5}]}";
    assert_eq!(read(europe).unwrap().control_regions.len(), 3);
    let all_four = with(europe, "control_regions", "[eu-west-1, eu-west-2, eu-west-3, eu-central-1]");
    let message = lines(read(&all_four));
    assert!(
        message.ends_with("want at most 3 regions: a strongly consistent table has no more replicas"),
        "{message}"
    );
    let alone = with(europe, "control_regions", "[eu-north-1]");
    assert_eq!(read(&alone).unwrap().control_regions.len(), 1);
    let apart = with(europe, "control_regions", "[eu-north-1, eu-west-1]");
    let end =
        "`eu-north-1` is in no set of strongly consistent replicas (MRSC), so it cannot be with `eu-west-1`";
    assert!(lines(read(&apart)).ends_with(end));
}

#[test]
fn two_regions_need_a_witness_or_a_single_vote() {
    let two = with(ONE_REGION, "regions", "[{name: us-west-2, bucket: b-1}, {name: us-east-1, bucket: b-2}]");
    assert_eq!(
        lines(read(&two)),
        "`health.voters_min` is `2`: want at most `1`, the regions that watch each one, or add a witness: \
         no verdict has that many votes"
    );
    assert!(read(&with(&two, "health.voters_min", "1")).is_ok());
    assert!(read(&with(&two, "enabled", "false")).is_ok());
    assert!(read(ONE_REGION).is_ok());
}

#[test]
fn one_bucket_name_in_two_stores_is_two_buckets() {
    let document = with(BASE, "regions.1.bucket", "lane-usw2");
    assert!(read(&document).is_err());
    let document = with(&document, "security.allow_local_endpoints", "true");
    assert!(read(&with(&document, "regions.1.endpoints.s3", "http://localhost:9000")).is_ok());
}

#[test]
fn a_misread_region_does_not_cast_blame_on_those_who_name_it() {
    let message = lines(read(&with(BASE, "regions.0.name", "us_west_2")));
    assert_eq!(
        message,
        "`regions[0].name` is `us_west_2`: want the name of an AWS region, such as `eu-west-1`"
    );
}

#[test]
fn nothing_at_all_is_told_what_is_required() {
    let message = lines(Config::read(None, iter::empty()));
    assert_eq!(
        message,
        "`regions` is not set: want a list of at least one region, such as \
         `[{name: us-west-2, bucket: my-bucket}]`\n\
         `primary_region` is not set: want the name of a region of the list, such as `us-west-2`"
    );
}

#[test]
fn all_problems_are_found_in_one_reading() {
    let document = with(BASE, "failover", "{dwell: soon, strategy: at_once}");
    let document = with(&document, "regions.2.weight", "900");
    let document = with(&document, "upload.copies", "9");
    let variables = [("SEALANE_API_CACHE_TTL", "later"), ("SEALANE_COLOUR", "blue")];
    let problems = read_with(&document, &variables).unwrap_err();
    let mut keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
    keys.sort_unstable();
    let all = [
        "SEALANE_COLOUR",
        "api.cache_ttl",
        "failover.dwell",
        "failover.strategy",
        "regions[eu-west-1].weight",
        "upload.copies",
    ];
    assert_eq!(keys, all);
    assert!(problems.to_string().starts_with("the configuration has 6 problems\n- `"), "{problems}");
}
