//! Objects go where the rules of the configuration, and their own metadata, say.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod world;

use futures::FutureExt as _;
use sealane::{
    ports::Objects as _,
    replication::{BY_RULE, META_CLASS, META_REGIONS, META_UPLOAD},
};
use world::{ALL, EAST, EU, WEST, World, bucket};

/// How many versions of `key` lie in each region after it was put in the west and all is paid.
fn spread(world: &World, key: &str, metadata: &[(&str, &str)]) -> [usize; 3] {
    world.put(WEST, key, b"x", metadata);
    assert_eq!(world.deliver(WEST, &world.event(WEST, key)), [""; 0]);
    world.settle();
    ALL.map(|name| world.versions(name, key))
}

fn class(world: &World, region: &str, key: &str) -> Option<String> {
    let head = world.objects(region).head(key, None).now_or_never().unwrap().unwrap().unwrap();
    head.attributes.storage_class
}

#[test]
fn a_rule_says_how_many_copies_there_are_and_where() {
    let world = World::ruled(
        "{rules: [{prefix: tmp/, copies: 1}, {prefix: two/, copies: 2}, {prefix: eu/, regions: [eu-west-1]}]}",
    );
    assert_eq!(spread(&world, "tmp/a", &[]), [1, 0, 0]);
    assert_eq!(spread(&world, "two/a", &[]), [1, 1, 0]);
    assert_eq!(spread(&world, "eu/a", &[]), [1, 0, 1]);
    assert_eq!(spread(&world, "a", &[]), [1, 1, 1]);
}

#[test]
fn a_rule_of_a_bucket_is_for_what_is_written_there() {
    let world = World::ruled(&format!("{{rules: [{{bucket: {}, copies: 1}}]}}", bucket(EAST)));
    assert_eq!(spread(&world, "a", &[]), [1, 1, 1]);
    world.put(EAST, "b", b"x", &[]);
    world.deliver(EAST, &world.event(EAST, "b"));
    world.settle();
    assert_eq!(ALL.map(|name| world.versions(name, "b")), [0, 1, 0]);
}

#[test]
fn an_objects_own_regions_are_stronger_than_a_rule_and_residency_than_both() {
    let world = World::ruled("{rules: [{prefix: gdpr/, residency: [eu]}, {copies: 1}]}");
    assert_eq!(spread(&world, "a", &[]), [1, 0, 0]);
    assert_eq!(spread(&world, "b", &[(META_REGIONS, "us-east-1")]), [1, 1, 0]);
    assert_eq!(spread(&world, "gdpr/a", &[]), [1, 0, 1]);
    assert_eq!(spread(&world, "gdpr/b", &[(META_REGIONS, "us-east-1,eu-west-1")]), [1, 0, 1]);
}

#[test]
fn an_upload_is_not_copied_out_of_its_residency() {
    let world = World::ruled("{rules: [{residency: [us]}]}");
    world.upload(&[WEST], "k", b"x");
    assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), [""; 0]);
    world.settle();
    assert_eq!(ALL.map(|name| world.versions(name, "k")), [1, 1, 0]);
}

#[test]
fn an_object_that_names_its_regions_badly_is_left_to_the_dead_letter_queue() {
    let world = World::new();
    world.put(WEST, "k", b"x", &[(META_REGIONS, "everywhere")]);
    assert_eq!(world.deliver(WEST, &world.event(WEST, "k")), ["m-1"]);
    assert_eq!(ALL.map(|name| world.versions(name, "k")), [1, 0, 0]);
}

#[test]
fn copies_are_kept_in_the_class_that_their_rule_gives_them() {
    let world = World::ruled(
        "{rules: [{prefix: a/, storage_class: {eu-west-1: STANDARD_IA}}, {prefix: cold/, storage_class: DEEP_ARCHIVE}]}",
    );
    assert_eq!(spread(&world, "a/k", &[]), [1, 1, 1]);
    let classes = |key| ALL.map(|name| class(&world, name, key));
    assert_eq!(classes("a/k"), [None, None, Some("STANDARD_IA".to_owned())]);
    // An archived copy cannot be read back, and is proved all the same.
    assert_eq!(spread(&world, "cold/k", &[]), [1, 1, 1]);
    let archived = Some("DEEP_ARCHIVE".to_owned());
    assert_eq!(classes("cold/k"), [None, archived.clone(), archived]);
    assert_eq!(spread(&world, "k", &[]), [1, 1, 1]);
    assert_eq!(classes("k"), [None, None, None]);
}

#[test]
fn an_upload_keeps_its_own_class() {
    let world = World::ruled("{rules: [{storage_class: STANDARD_IA}]}");
    world.upload(&[WEST, EAST], "k", b"x");
    world.deliver(WEST, &world.event(WEST, "k"));
    world.settle();
    assert_eq!((world.versions(EU, "k"), class(&world, EU, "k")), (1, None));
}

#[test]
fn an_upload_that_leaves_its_classes_to_the_rule_gets_them_from_whichever_copy_is_there() {
    let world = World::ruled("{rules: [{storage_class: {us-east-1: STANDARD_IA}}]}");
    let upload = |here: &str, key: &str| {
        let wanted = ALL.join(",");
        let said = [(META_UPLOAD, key), (META_REGIONS, &*wanted), (META_CLASS, BY_RULE)];
        world.put(here, key, b"x", &said);
        world.deliver(here, &world.event(here, key));
        world.settle();
        ALL.map(|name| (world.versions(name, key), class(&world, name, key)))
    };
    let (standard, ia) = (Some("STANDARD".to_owned()), Some("STANDARD_IA".to_owned()));
    assert_eq!(upload(WEST, "k"), [(1, None), (1, ia.clone()), (1, standard.clone())]);
    assert_eq!(upload(EU, "l"), [(1, standard), (1, ia), (1, None)]);
}

#[test]
fn a_rule_that_changed_brings_nothing_back_and_takes_nothing_away() {
    let mut world = World::new();
    assert_eq!(spread(&world, "k", &[]), [1, 1, 1]);
    world.config = World::ruled("{rules: [{copies: 1}]}").config;
    world.deliver(WEST, &world.event(WEST, "k"));
    world.settle();
    assert_eq!(ALL.map(|name| world.versions(name, "k")), [1, 1, 1]);
}
