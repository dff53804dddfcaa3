//! One seed, one story: in every process.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod support;

use std::{process::Command, time::Duration};

use bytes::Bytes;
use futures::future::{join, join_all};
use sealane::{
    aws::Limits,
    checksum::Checksum,
    ports::{Attributes, Objects as _, Rows as _, When},
};
use simulator::{
    cloud::{Effect, Fault, Place},
    dice::Dice,
    trace::Trace,
};
use support::{cloud, name, region, row};
use tokio::time::sleep;

const REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

/// Rows and objects from everywhere to everywhere, in changing weather.
async fn story(seed: u64) -> Trace {
    let cloud = cloud(seed);
    let caller = async |number: usize| {
        let mut dice = Dice::new(seed).fork(&format!("caller {number}"));
        let from = Place::Region(name(REGIONS[number % 3]));
        let aws = cloud.aws(from);
        let tables = REGIONS.map(|at| aws.rows(&region(&cloud, at), "sealane-health", "", Limits::CALL));
        let buckets = REGIONS.map(|at| aws.objects(&region(&cloud, at), None, Limits::CALL).unwrap());
        for step in 0..20_u64 {
            let at = usize::try_from(dice.below(3)).unwrap();
            let (rows, bucket) = (&tables[at], &buckets[at]);
            let key = format!("{}", dice.below(5));
            let _ = rows.write(&row(&key, "s", step + 1), When::Always).await;
            let _ = rows.write(&row(&key, "s", step + 1), When::Absent).await;
            let _ = rows.list(&key, false, None, 10).await;
            let body = Bytes::from(vec![0; usize::try_from(dice.below(100)).unwrap()]);
            let metadata = (0..8).map(|n| (format!("name-{n}"), format!("{n}"))).collect();
            let attributes = Attributes { metadata, ..Attributes::default() };
            let _ = bucket.put(&key, body.clone(), Checksum::of(&body), &attributes).await;
            let _ = bucket.head(&key, None).await;
            sleep(dice.between(Duration::ZERO, Duration::from_secs(1))).await;
        }
    };
    let mut dice = Dice::new(seed).fork("weather");
    let weather = async {
        for _ in 0..10 {
            let effect = match dice.below(5) {
                0 => Effect::Cut,
                1 => Effect::Refused,
                2 => Effect::Loss { percent: 30.0 },
                3 => Effect::Throttled { percent: 30.0 },
                _ => Effect::FreshOnly,
            };
            let to = Some(name(REGIONS[usize::try_from(dice.below(3)).unwrap()]));
            let fault = cloud.network().add(Fault { from: None, to, service: None, effect });
            sleep(dice.between(Duration::from_secs(1), Duration::from_secs(5))).await;
            cloud.network().remove(fault);
        }
    };
    join(weather, join_all((0..4).map(caller))).await;
    cloud.trace().clone()
}

#[tokio::test(start_paused = true)]
#[ignore = "prints what the test below compares"]
#[allow(clippy::print_stdout, reason = "another process reads it")]
async fn the_story_is_told() {
    for seed in [1, 2] {
        let trace = story(seed).await;
        println!("story {seed} {:016x} {}", trace.hash(), trace.count());
    }
}

/// What another process makes of the seeds.
fn told() -> Vec<String> {
    let told = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "the_story_is_told", "--nocapture"])
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).unwrap();
    text.lines()
        .filter_map(|line| Some(line[line.find("story ")?..].to_owned()))
        .filter(|l| l.len() > 20)
        .collect()
}

#[test]
fn two_processes_tell_the_same_story_of_a_seed() {
    let (first, second) = (told(), told());
    assert_eq!(first.len(), 2);
    assert_eq!(first, second);
    assert_ne!(first[0].split(' ').nth(2), first[1].split(' ').nth(2));
}

#[tokio::test(start_paused = true)]
async fn a_story_does_not_depend_on_what_was_told_before_it() {
    let alone = story(1).await;
    story(2).await;
    let again = story(1).await;
    assert!(alone.count() > 400, "{}", alone.count());
    assert_eq!((alone.hash(), alone.count()), (again.hash(), again.count()));
}
