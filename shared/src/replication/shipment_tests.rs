//! Uploads go where the rules say, residency is outranked by nothing, and what cannot be had is refused by name.

use std::{collections::BTreeMap, iter};

use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::config::Config;

const NAMES: [&str; 4] = ["us-west-2", "us-east-1", "eu-west-1", "eu-central-1"];

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn regions(names: &[&str]) -> Vec<RegionName> {
    names.iter().map(|name| region(name)).collect()
}

fn config(rules: &str) -> Config {
    let listed: Vec<_> = NAMES.iter().map(|name| format!("{{name: {name}, bucket: lane-{name}}}")).collect();
    let listed = listed.join(", ");
    let document = format!(
        "{{primary_region: us-west-2, upload: {{copies: 3}}, regions: [{listed}], replication: {{rules: {rules}}}}}"
    );
    Config::read(Some(&document), iter::empty()).unwrap()
}

fn shipped(config: &Config, key: &str, asked: &Asked, route: &[&str]) -> Result<Shipment, Contradiction> {
    config.replication.shipment(key, asked, &config.upload, &config.regions, &regions(route))
}

fn wanted(config: &Config, key: &str, asked: &Asked, route: &[&str]) -> Vec<String> {
    let shipment = shipped(config, key, asked, route).unwrap();
    shipment.plan.wanted().map(|region| region.to_string()).collect()
}

fn refused(config: &Config, key: &str, asked: &Asked) -> String {
    let refused = shipped(config, key, asked, &NAMES).unwrap_err();
    assert_eq!(
        config.replication.can_ship(key, asked, &config.upload, &config.regions),
        Err(refused.clone())
    );
    refused.to_string()
}

fn copies(copies: usize) -> Asked {
    Asked { copies: Some(copies), ..Asked::default() }
}

proptest! {
    /// Whatever is asked for and whichever regions are up: no region that a copy is sent to, moved to or owed to
    /// lacks a tag of the rule, and as many are wanted as were asked for.
    #[test]
    fn no_upload_leaves_its_residency(
        route in subsequence(NAMES.to_vec(), 1..=4).prop_shuffle(), tag in prop::sample::select(vec!["us", "eu"]),
        asked in (prop::option::of(1..5_usize), prop::option::of(1..4_usize), subsequence(NAMES.to_vec(), 0..=2)),
        goes in prop::sample::select(vec!["", ", copies: 1", ", copies: 2"]),
    ) {
        let config = config(&format!("[{{prefix: p/, residency: [{tag}]{goes}}}]"));
        let (copies, min_copies, preferred) = asked;
        let asked = Asked { copies, min_copies, preferred: regions(&preferred), class: None };
        let Ok(shipment) = shipped(&config, "p/k", &asked, &route) else { return Ok(()) };
        let plan = &shipment.plan;
        for name in plan.lanes.iter().chain(&plan.spare).chain(&plan.owed) {
            prop_assert!(config.region(*name).unwrap().residency.iter().any(|own| own == tag));
        }
        prop_assert_eq!(plan.wanted().count(), copies.unwrap_or(plan.copies));
        prop_assert!(plan.min_copies >= min_copies.unwrap_or(1) && plan.min_copies <= plan.copies);
    }

    /// Without a rule that fits, an upload goes where it went without rules.
    #[test]
    fn what_no_rule_fits_goes_by_the_route(
        route in subsequence(NAMES.to_vec(), 0..=4).prop_shuffle(), asked in prop::option::of(0..6_usize),
    ) {
        let config = config("[{prefix: p/, copies: 1}]");
        let asked = Asked { copies: asked, ..Asked::default() };
        let policy = Policy { copies: asked.copies.unwrap_or(3), ..config.upload };
        let plan = Plan::new(&policy, &regions(&NAMES), &regions(&route)).map_err(Contradiction::from);
        prop_assert_eq!(shipped(&config, "k", &asked, &route).map(|shipment| shipment.plan), plan);
    }

    /// An upload that no word of its own sends elsewhere lies where replication would have put the object,
    /// and in the same classes.
    #[test]
    fn an_upload_ends_as_an_object_in_its_first_region_would(
        route in Just(NAMES.to_vec()).prop_shuffle(),
        rule in prop::sample::select(vec![
            "bucket: lane-us-west-2, regions: [eu-west-1]", "copies: 4, storage_class: GLACIER_IR", "copies: 1",
            "residency: [eu], storage_class: {eu-west-1: STANDARD_IA, eu-central-1: STANDARD_IA}",
        ]),
    ) {
        let config = config(&format!("[{{{rule}}}]"));
        let shipment = shipped(&config, "k", &Asked::default(), &route).unwrap();
        prop_assume!(shipment.rule.is_some());
        let home = shipment.plan.lanes[0];
        let placed = config.replication.placement(config.region(home).unwrap(), "k", None, &config.regions);
        let decided = &config.replication.rules[placed.rule.unwrap()];
        let expected: BTreeMap<_, _> = placed.tree.destinations().map(|to| (to, decided.class.of(to))).collect();
        let found: BTreeMap<_, _> = shipment.plan.wanted().skip(1).map(|to| (to, shipment.classes.of(to))).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(shipment.classes.of(home), None);
    }
}

#[test]
fn a_rule_says_how_many_copies_there_are_and_the_request_is_stronger() {
    let config = config("[{prefix: tmp/, copies: 1}, {prefix: two/, copies: 2}]");
    let route = ["us-east-1", "eu-west-1", "us-west-2"];
    assert_eq!(wanted(&config, "tmp/k", &Asked::default(), &route), ["us-east-1"]);
    assert_eq!(wanted(&config, "two/k", &Asked::default(), &route), ["us-east-1", "eu-west-1"]);
    assert_eq!(wanted(&config, "tmp/k", &copies(2), &route), ["us-east-1", "eu-west-1"]);
    assert_eq!(wanted(&config, "two/k", &copies(4), &route), [&route[..], &["eu-central-1"]].concat());
}

#[test]
fn a_rule_that_names_regions_is_kept_to_whatever_the_route() {
    let config = config("[{prefix: raw/, regions: [eu-central-1, us-west-2]}]");
    let of = |asked: &Asked, route: &[&str]| wanted(&config, "raw/k", asked, route);
    assert_eq!(of(&Asked::default(), &NAMES), ["us-west-2", "eu-central-1"]);
    let shipment = shipped(&config, "raw/k", &Asked::default(), &NAMES[1..]).unwrap();
    assert_eq!(
        (shipment.plan.lanes, shipment.plan.owed),
        (regions(&["eu-central-1"]), regions(&["us-west-2"]))
    );
    assert_eq!(shipment.plan.spare, [], "no copy moves to a region that is not named");
    assert_eq!(of(&copies(1), &NAMES), ["us-west-2"]);
    // Those that are named come first, also where one of them is down.
    assert_eq!(of(&copies(3), &NAMES[1..]), ["us-east-1", "eu-central-1", "us-west-2"]);
    let asked = Asked { preferred: regions(&["eu-west-1"]), ..Asked::default() };
    assert_eq!(
        of(&asked, &["eu-west-1", "us-west-2", "eu-central-1"]),
        ["eu-west-1", "us-west-2", "eu-central-1"]
    );
}

#[test]
fn a_rule_of_a_bucket_is_for_uploads_that_begin_there() {
    let config = config("[{bucket: lane-us-east-1, regions: [eu-west-1]}]");
    assert_eq!(wanted(&config, "k", &Asked::default(), &NAMES[1..]), ["us-east-1", "eu-west-1"]);
    assert_eq!(wanted(&config, "k", &Asked::default(), &NAMES), NAMES[..3]);
}

#[test]
fn copies_take_the_class_of_their_rule_unless_the_request_names_one() {
    let config = config("[{storage_class: {us-east-1: STANDARD_IA, us-west-2: GLACIER_IR}}]");
    let classes = |asked: &Asked, route: &[&str]| {
        let classes = shipped(&config, "k", asked, route).unwrap().classes;
        NAMES.map(|name| classes.of(region(name)))
    };
    let (ia, ir) = (Some(StorageClass::StandardIa), Some(StorageClass::GlacierIr));
    assert_eq!(classes(&Asked::default(), &NAMES), [None, ia, None, None]);
    assert_eq!(classes(&Asked::default(), &NAMES[2..]), [ir, None, None, None], "owed, and so a copy");
    let asked = Asked { class: ia, ..Asked::default() };
    assert_eq!(classes(&asked, &NAMES), [ia; 4]);
}

#[test]
fn fewer_copies_than_the_settings_want_are_no_failure_where_a_rule_makes_fewer() {
    let mut config = config("[{prefix: tmp/, copies: 1}, {prefix: eu/, residency: [eu]}]");
    config.upload.min_copies = Some(3);
    let plan = |key| shipped(&config, key, &Asked::default(), &NAMES).unwrap().plan;
    assert_eq!((plan("tmp/k").min_copies, plan("eu/k").min_copies, plan("k").min_copies), (1, 2, 3));
    assert_eq!(plan("eu/k").copies, 2);
}

#[test]
fn what_contradicts_a_rule_is_refused_with_its_name_and_the_remedy() {
    let config = config("[{prefix: eu/, residency: [eu]}, {prefix: tmp/, copies: 1}]");
    assert_eq!(
        refused(&config, "eu/k", &copies(3)),
        "3 copies are asked for, and rule 0 of `replication.rules` (`eu/`) lets only 2 regions hold one, which have \
         the tags `eu` (ask for 2 at most)"
    );
    let preferred = Asked { preferred: regions(&["us-east-1"]), ..Asked::default() };
    assert_eq!(
        refused(&config, "eu/k", &preferred),
        "rule 0 of `replication.rules` (`eu/`) lets no copy lie in `us-east-1`, which lacks a tag of `eu` (leave the \
         region out, or ship under another key)"
    );
    assert_eq!(
        refused(&config, "tmp/k", &Asked { min_copies: Some(2), ..Asked::default() }),
        "2 verified copies are asked for, and rule 1 of `replication.rules` (`tmp/`) makes 1 (say how many copies \
         there shall be as well, or ask for 1 at most)"
    );
    let primary = &config.regions[..1];
    let nowhere =
        config.replication.can_ship("eu/k", &Asked::default(), &config.upload, primary).unwrap_err();
    assert_eq!(
        nowhere.to_string(),
        "rule 0 of `replication.rules` (`eu/`) lets no usable region hold `eu/k` (give a region the tags `eu`, or ship \
         it under another key)"
    );
}

#[test]
fn what_some_order_of_the_regions_allows_is_not_refused_beforehand() {
    let config = config("[{bucket: lane-us-west-2, copies: 1}]");
    let asked = Asked { min_copies: Some(2), ..Asked::default() };
    assert!(shipped(&config, "k", &asked, &NAMES).is_err());
    assert_eq!(config.replication.can_ship("k", &asked, &config.upload, &config.regions), Ok(()));
}
