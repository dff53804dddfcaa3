//! Reading as a whole: the layers, the defaults, the pages for people.

mod knobs;
mod notification_cases;
mod refusal_cases;
mod refusals;
mod region_cases;
mod rule_cases;

use std::iter;

use proptest::prelude::*;

use super::*;
use crate::{region::Role, units::ByteSize};

/// Four regions with everything else at its default.
const BASE: &str = "
primary_region: us-west-2
regions:
  - {name: us-west-2, bucket: lane-usw2}
  - {name: us-east-1, bucket: lane-use1}
  - {name: eu-west-1, bucket: lane-euw1}
  - {name: us-east-2, role: witness}
";

fn read(document: &str) -> Result<Config, Problems> {
    Config::read(Some(document), iter::empty())
}

fn read_with(document: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Config::read(Some(document), variables)
}

/// `document` with `value` (YAML) at the dotted `key`.
fn with(document: &str, key: &str, value: &str) -> String {
    let mut root: serde_norway::Value = serde_norway::from_str(document).unwrap();
    put(&mut root, key, serde_norway::from_str(value).unwrap());
    serde_norway::to_string(&root).unwrap()
}

fn put(root: &mut serde_norway::Value, key: &str, value: serde_norway::Value) {
    let place = key.split('.').fold(root, |node, word| {
        if let Ok(place) = word.parse::<usize>() {
            return &mut node.as_sequence_mut().unwrap()[place];
        }
        if !node.is_mapping() {
            *node = serde_norway::Value::Mapping(serde_norway::Mapping::new());
        }
        let map = node.as_mapping_mut().unwrap();
        map.entry(word.into()).or_insert(serde_norway::Value::Null)
    });
    *place = value;
}

#[test]
fn what_is_left_out_has_the_default_of_each_policy() {
    let config = read(BASE).unwrap();
    assert_eq!(config.health, health::Policy::default());
    assert_eq!(config.load_balancing, route::Policy::default());
    assert_eq!(config.failover, failover::Policy::default());
    assert_eq!(config.upload, upload::Policy::default());
    assert_eq!(config.lease, lease::Policy::default());
    assert!(config.regions.iter().all(|r| r.health_check == HealthCheck::default()));
    assert_eq!(config.metrics_interval, Some(Duration::from_secs(10)));
    assert_eq!(config.upload.part_size, ByteSize::mib(8));
}

#[test]
fn every_default_of_the_tables_can_be_read() {
    let of_rules = (RULE_SETTINGS, "replication.rules.0.");
    let of_targets = (TARGET_SETTINGS, "notifications.targets.0.");
    for (settings, prefix) in [(SETTINGS, ""), (REGION_SETTINGS, "regions.0."), of_rules, of_targets] {
        for setting in settings {
            if let Fallback::Value(default) = setting.fallback {
                let key = format!("{prefix}{}", setting.key);
                let base = match prefix {
                    _ if prefix == of_rules.1 => with(BASE, "replication.rules", "[{}]"),
                    _ if prefix == of_targets.1 => with(BASE, "notifications.targets", knobs::WEBHOOK),
                    _ => BASE.to_owned(),
                };
                assert_eq!(read(&with(&base, &key, default)), read(&base), "{key}");
            }
        }
    }
}

#[test]
fn the_name_of_a_region_supplies_what_aws_has_there() {
    let config = read(BASE).unwrap();
    let ireland = config.region("eu-west-1".parse().unwrap()).unwrap();
    assert_eq!(ireland.residency, ["eu"]);
    assert_eq!(ireland.transfer_out_usd_per_gb, Some(0.02));
    assert!(ireland.coordinates.is_some_and(|c| c.latitude > 50.0));
    assert!(!ireland.offline);
    assert_eq!(config.full_regions().count(), 3);
}

#[test]
fn control_replicas_default_to_full_regions_of_the_primary_set() {
    let names = |config: Config| config.control_regions.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(read(BASE).unwrap()), ["us-west-2", "us-east-1"]);
    let europe = with(BASE, "primary_region", "eu-west-1");
    assert_eq!(names(read(&europe).unwrap()), ["eu-west-1"]);
}

#[test]
fn a_region_inherits_the_health_check_and_overrides_it() {
    let document = with(BASE, "health_check", "{interval: 12s, failure_threshold: 5}");
    let document = with(&document, "regions.1.health_check", "{failure_threshold: 9}");
    let config = read(&document).unwrap();
    assert_eq!(config.regions[0].health_check.failure_threshold, 5);
    assert_eq!(config.regions[1].health_check.failure_threshold, 9);
    assert_eq!(config.regions[1].health_check.interval, Duration::from_secs(12));
}

#[test]
fn a_region_of_another_store_is_known_by_its_endpoints() {
    let region = "{name: lab-rack-1, bucket: lane-lab, endpoints: {s3: 'http://127.0.0.1:9000'}}";
    let local = with(BASE, "security.allow_local_endpoints", "true");
    let config = read(&with(&local, "regions.1", region)).unwrap();
    assert_eq!(config.regions[1].coordinates, None);
    assert_eq!(config.regions[1].residency, Vec::<String>::new());
}

#[test]
fn redundant_uploads_want_their_count_unless_copies_is_set() {
    let redundant = with(BASE, "upload", "{redundant_uploads: true, redundant_region_count: 3}");
    assert_eq!(read(&redundant).unwrap().upload.copies, 3);
    let explicit = with(&redundant, "upload.copies", "1");
    assert_eq!(read(&explicit).unwrap().upload.copies, 1);
    let quiet = with(&redundant, "upload.redundant_uploads", "false");
    assert_eq!(read(&quiet).unwrap().upload.copies, 1);
}

#[test]
fn the_environment_stands_over_the_document() {
    let document = with(BASE, "failover.dwell", "40s");
    let config = read_with(&document, &[("SEALANE_FAILOVER_DWELL", "50s"), ("HOME", "/")]).unwrap();
    assert_eq!(config.failover.dwell, Duration::from_secs(50));
}

#[test]
fn an_empty_variable_and_a_key_without_a_value_are_not_set() {
    let document = with(BASE, "failover", "{dwell: null}");
    let variables = [("SEALANE_HEALTH_VOTERS_MIN", ""), (DOCUMENT_VARIABLE, "sealane.yaml")];
    assert_eq!(read_with(&document, &variables), read(BASE));
}

#[test]
fn the_environment_alone_is_enough() {
    let regions =
        r#"[{"name": "us-west-2", "bucket": "lane-usw2"}, {"name": "us-east-2", "role": "witness"}]"#;
    let variables = [
        ("SEALANE_REGIONS", regions),
        ("SEALANE_PRIMARY_REGION", "us-west-2"),
        ("SEALANE_HEALTH_VOTERS_MIN", "1"),
    ];
    let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let config = Config::read(None, variables.into_iter()).unwrap();
    assert_eq!(config.regions[1].role, Role::Witness);
}

#[test]
fn the_example_reads_without_problems() {
    let config = read(include_str!("../../../../sealane.example.yaml")).unwrap();
    assert_eq!(config.full_regions().count(), 3);
}

#[test]
fn what_the_example_calls_a_default_is_one() {
    let example = include_str!("../../../../sealane.example.yaml");
    for line in example.lines().filter_map(|l| l.trim().strip_prefix("# ")) {
        let Ok(serde_norway::Value::Mapping(map)) = serde_norway::from_str(line) else { continue };
        for (key, value) in map {
            let (Some(key), false) = (key.as_str(), value.is_mapping() || value.is_null()) else { continue };
            let found = SETTINGS.iter().find(|s| s.key.rsplit('.').next() == Some(key));
            if let Some(Setting { fallback: Fallback::Value(default), .. }) = found {
                let default: serde_norway::Value = serde_norway::from_str(default).unwrap();
                assert_eq!(value, default, "{line}");
            }
        }
    }
}

#[test]
fn a_written_document_of_ten_regions_fits_a_function() {
    let regions: Vec<_> = known::KNOWN[..10]
        .iter()
        .map(|k| format!("{{name: {0}, bucket: example-sealane-{0}, priority: 7, weight: 30}}", k.name))
        .collect();
    let document = format!("{{primary_region: af-south-1, regions: [{}]}}", regions.join(", "));
    let config = read(&document).unwrap();
    let written = config.to_document();
    assert!(written.len() < 2_000, "{} bytes: {written}", written.len());
    assert_eq!(read(&written), Ok(config));
}

#[test]
fn the_reference_page_is_current() {
    let page = include_str!("../../../../docs/CONFIGURATION.md");
    let remedy = "cargo run -p sealane --example configuration > docs/CONFIGURATION.md";
    assert_eq!(page, reference(), "the settings changed, run `{remedy}`");
}

fn yaml_word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(SETTINGS).prop_map(|s| s.key.split('.').next_back().unwrap().to_owned()),
        3 => prop::sample::select(SETTINGS).prop_map(|s| s.key.split('.').next().unwrap().to_owned()),
        2 => prop::sample::select(vec!["-1", "0", "1e999", ".nan", "~", "!tag x", "18446744073709551616", "9999999h"])
            .prop_map(str::to_owned),
        2 => prop::sample::select(vec!["us-west-2", "10s", "[]", "{}", "[{name: us-west-2}]", "&a [*a]", "0777"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

/// Nested maps of known and odd words.
fn document() -> impl Strategy<Value = String> {
    let leaf = yaml_word();
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec((yaml_word(), inner.clone()), 0..5).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    })
}

proptest! {
    /// Whatever the document and the variables, reading ends in a configuration or in problems.
    #[test]
    fn no_document_makes_the_reader_panic(text in document(), odd in "\\PC{0,60}", at in 0..SETTINGS.len()) {
        let _ = read(&text);
        let _ = read(&odd);
        let _ = read_with(BASE, &[(&SETTINGS[at].variable(), &text)]);
    }

    /// A configuration written out and read back is the same, whatever was set.
    #[test]
    fn documents_round_trip(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        // The knobs of a rule and of a target need one to change.
        let base = with(BASE, "replication.rules", "[{}]");
        let base = with(&base, "notifications.targets", knobs::WEBHOOK);
        let document = picks.iter().fold(base, |document, pick| {
            let knob = pick.get(&knobs::KNOBS);
            let wider = with(&document, knob.key, knob.value);
            if read(&wider).is_ok() { wider } else { document }
        });
        let config = read(&document).unwrap();
        let written = config.to_document();
        prop_assert!(matches!(Location::of(&written), Location::Inline(_)));
        prop_assert_eq!(read(&written).unwrap(), config);
    }
}
