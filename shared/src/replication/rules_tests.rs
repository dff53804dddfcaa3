//! Which rule decides, and that residency is outranked by nothing.

use std::iter;

use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::*;
use crate::{config::Config, upload::StorageClass};

const NAMES: [&str; 5] = ["us-west-2", "us-east-1", "eu-west-1", "eu-central-1", "sa-east-1"];

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn config(replication: &str) -> Config {
    let regions: Vec<_> = NAMES.iter().map(|name| format!("{{name: {name}, bucket: lane-{name}}}")).collect();
    let regions = regions.join(", ");
    let document = format!("{{primary_region: us-west-2, regions: [{regions}], replication: {replication}}}");
    Config::read(Some(&document), iter::empty()).unwrap()
}

fn placed(config: &Config, from: &str, key: &str, own: Option<&[RegionName]>) -> Placement {
    let from = config.region(region(from)).unwrap();
    config.replication.placement(from, key, own, &config.regions)
}

fn goes_to(config: &Config, from: &str, key: &str) -> Vec<String> {
    let placed = placed(config, from, key, None);
    placed.tree.destinations().map(|region| region.to_string()).collect()
}

#[test]
fn without_rules_everything_goes_everywhere() {
    let config = config("{}");
    assert_eq!(goes_to(&config, "us-west-2", "k"), NAMES[1..]);
    assert_eq!(placed(&config, "us-west-2", "k", None).rule, None);
}

#[test]
fn the_first_rule_that_fits_decides() {
    let config = config(
        "{rules: [{bucket: lane-eu-west-1, prefix: raw/, copies: 1}, {prefix: raw/, regions: [eu-central-1, us-east-1]}, \
         {prefix: raw, copies: 2}]}",
    );
    assert_eq!(goes_to(&config, "eu-west-1", "raw/x"), [""; 0]);
    assert_eq!(goes_to(&config, "us-west-2", "raw/x"), ["eu-central-1", "us-east-1"]);
    assert_eq!(goes_to(&config, "us-east-1", "raw/x"), ["eu-central-1"]);
    assert_eq!(goes_to(&config, "us-west-2", "raw.txt"), ["us-east-1"]);
    assert_eq!(placed(&config, "us-west-2", "raw.txt", None).rule, Some(2));
    assert_eq!(goes_to(&config, "us-west-2", "other").len(), 4);
}

#[test]
fn an_objects_own_word_is_stronger_than_a_rule_but_for_residency() {
    let config = config("{rules: [{prefix: gdpr/, residency: [eu]}, {copies: 1}]}");
    let own = ["us-east-1", "eu-west-1", "ap-south-1", "eu-west-1"].map(region);
    assert_eq!(goes_to(&config, "us-west-2", "k"), [""; 0]);
    let free = placed(&config, "us-west-2", "k", Some(&own));
    assert_eq!(free.tree.destinations().collect::<Vec<_>>(), ["us-east-1", "eu-west-1"].map(region));
    let bound = placed(&config, "us-west-2", "gdpr/k", Some(&own));
    assert_eq!(bound.tree.destinations().collect::<Vec<_>>(), [region("eu-west-1")]);
    assert_eq!(bound.barred, [region("us-east-1")]);
}

#[test]
fn copies_go_where_sending_is_cheapest_and_then_by_the_order_of_the_configuration() {
    let config = config("{rules: [{copies: 3}]}");
    assert_eq!(goes_to(&config, "us-west-2", "k"), ["us-east-1", "eu-west-1"]);
    // From São Paulo the second copy is sent on by the first, so no dear region is among them.
    let placed = placed(&config, "sa-east-1", "k", None);
    assert_eq!(placed.tree.relays_to(region("us-east-1")), [region("us-west-2")]);
    assert_eq!(placed.lacking, 0);
}

#[test]
fn copies_that_no_region_is_left_for_are_counted() {
    let config = config("{rules: [{residency: [eu], copies: 3}]}");
    assert_eq!(goes_to(&config, "us-west-2", "k"), ["eu-west-1", "eu-central-1"]);
    assert_eq!(goes_to(&config, "eu-west-1", "k"), ["eu-central-1"]);
    assert_eq!(placed(&config, "eu-west-1", "k", None).lacking, 1);
}

#[test]
fn a_copy_that_is_archived_or_dear_to_read_is_not_sent_on() {
    let why = |class: &str| {
        let config = config(&format!("{{rules: [{{storage_class: {class}}}]}}"));
        placed(&config, "sa-east-1", "k", None).tree.saved_percent()
    };
    assert_eq!(why("STANDARD"), 64);
    // A cent for each GB that is read of it.
    assert_eq!(why("STANDARD_IA"), 59);
    assert_eq!(why("DEEP_ARCHIVE"), 0);
    assert_eq!(why("{us-west-2: DEEP_ARCHIVE}"), 64);
}

#[test]
fn a_drained_region_and_relays_that_are_off_send_nothing_on() {
    let mut config = config("{relay: off}");
    let of = |config: &Config| placed(config, "sa-east-1", "k", None).tree.relays_to(region("eu-west-1"));
    assert_eq!(of(&config), []);
    config.replication.relay = Relaying::Cost;
    assert_eq!(of(&config), [region("us-west-2")]);
    config.regions[0].offline = true;
    assert_eq!(of(&config), [region("us-east-1")]);
    assert!(placed(&config, "sa-east-1", "k", None).tree.destinations().any(|r| r == region("us-west-2")));
}

#[test]
fn classes_are_by_destination() {
    let config =
        config("{rules: [{prefix: a, storage_class: GLACIER}, {storage_class: {eu-west-1: STANDARD_IA}}]}");
    let class = |place: usize, name| config.replication.rules[place].class.of(region(name));
    assert_eq!(class(0, "us-east-1"), Some(StorageClass::Glacier));
    assert_eq!((class(1, "eu-west-1"), class(1, "us-east-1")), (Some(StorageClass::StandardIa), None));
}

fn rule() -> impl Strategy<Value = Rule> {
    let goes = prop_oneof![
        Just(Goes::Everywhere),
        (1..6_usize).prop_map(Goes::Copies),
        subsequence(NAMES.to_vec(), 1..5)
            .prop_map(|names| Goes::Regions(names.into_iter().map(region).collect())),
    ];
    let prefix = prop::sample::select(vec!["", "a", "ab", "b"]);
    let residency = prop::sample::select(vec![vec![], vec!["eu".to_owned()], vec!["us".to_owned()]]);
    let bucket = prop_oneof![3 => Just(None), 1 => Just(Some("lane-sa-east-1".to_owned()))];
    (bucket, prefix, goes, residency).prop_map(|(bucket, prefix, goes, residency)| Rule {
        bucket,
        prefix: prefix.to_owned(),
        goes,
        residency,
        class: Classes::AsSource,
    })
}

proptest! {
    /// Whatever the rules and whatever an object says of itself: each copy goes to another full region, once, which
    /// has every tag that the rule demands; and the rule is the first that fits.
    #[test]
    fn residency_is_outranked_by_nothing(rules in vec(rule(), 0..4), from in 0..5_usize, key in "[ab]{0,2}", own in proptest::option::of(vec(0..5_usize, 0..5))) {
        let config = config("{}");
        let rules = Rules { rules, relay: Relaying::Cost };
        let from = &config.regions[from];
        let own: Option<Vec<_>> = own.map(|own| own.into_iter().map(|i| config.regions[i].name).collect());
        let placed = rules.placement(from, &key, own.as_deref(), &config.regions);
        let first = rules.rules.iter().position(|rule| rule.fits(from.bucket.as_deref().unwrap(), &key));
        prop_assert_eq!(placed.rule, first);
        let found: Vec<_> = placed.tree.destinations().collect();
        for (i, name) in found.iter().enumerate() {
            prop_assert!(*name != from.name && !found[..i].contains(name));
            let region = config.region(*name).unwrap();
            prop_assert!(first.is_none_or(|place| rules.rules[place].admits(region)));
            prop_assert!(own.as_ref().is_none_or(|own| own.contains(name)));
        }
        if let (None, Some(Goes::Copies(copies))) = (&own, first.map(|place| &rules.rules[place].goes)) {
            prop_assert_eq!(found.len() + placed.lacking + 1, *copies);
        }
    }
}
