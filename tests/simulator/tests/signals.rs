//! Upload events and alarms.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod support;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use failover_handler::{AlarmState as Told, Alarms as _, aws::CloudWatchAlarms};
use sealane::{
    aws::Limits,
    checksum::Checksum,
    emf::{Metric, Unit, line},
    ports::{Attributes, Clock as _, Objects as _},
};
use simulator::cloud::{AlarmState, Cloud, Message};
use support::{cloud, here, name, region};
use tokio::time::sleep;

fn key_of(message: &Message) -> String {
    let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    body["Records"][0]["s3"]["object"]["key"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn every_object_is_announced_late_some_twice_and_out_of_order() {
    let cloud = cloud(1);
    let west = name("us-west-2");
    let bucket = cloud.aws(here()).objects(&region(&cloud, "us-west-2"), None, Limits::CALL).unwrap();
    for n in 0..300 {
        let key = format!("a b/{n:03}");
        bucket.put(&key, Bytes::new(), Checksum::EMPTY, &Attributes::default()).await.unwrap();
    }
    let mut keys = Vec::new();
    while cloud.queued(west) > 0 {
        sleep(Duration::from_millis(100)).await;
        for message in cloud.receive(west, 10) {
            keys.push(key_of(&message));
            assert_eq!(message.record(west)["body"], message.body.as_str());
            cloud.delete(west, &message.receipt);
        }
    }
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 300);
    assert!(keys.contains(&"a+b/000".to_owned()));
    assert!((301..330).contains(&keys.len()), "{}", keys.len());
    assert!(!keys.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_back_until_it_is_dead() {
    let cloud = cloud(1);
    let west = name("us-west-2");
    let bucket = cloud.aws(here()).objects(&region(&cloud, "us-west-2"), None, Limits::CALL).unwrap();
    bucket.put("k", Bytes::new(), Checksum::EMPTY, &Attributes::default()).await.unwrap();
    sleep(Duration::from_secs(90)).await;
    let first = cloud.receive(west, 1).remove(0);
    assert!(cloud.receive(west, 1).is_empty(), "hidden while it is worked on");
    cloud.requeue(west, &first.receipt, Duration::ZERO);
    let second = cloud.receive(west, 1).remove(0);
    assert_eq!((&second.id, second.receives), (&first.id, 2));
    cloud.delete(west, &first.receipt);
    assert_eq!(cloud.queued(west), 1, "an old receipt deletes nothing");
    for receives in 3..=5 {
        sleep(Duration::from_secs(5401)).await;
        assert_eq!(cloud.receive(west, 1).remove(0).receives, receives);
    }
    sleep(Duration::from_secs(5401)).await;
    assert!(cloud.receive(west, 1).is_empty());
    assert_eq!((cloud.dead_letters(west).len(), cloud.queued(west)), (1, 0));
}

/// What a prober prints of another region's health.
fn print(cloud: &Cloud, health: f64) {
    let metric = Metric { name: "RegionHealth", unit: Unit::None, value: health };
    let now = cloud.clock(here()).now();
    let printed = line(&[("Observer", "us-west-2"), ("Region", "us-east-1")], &[metric], now);
    cloud.emit(name("us-west-2"), &[printed]);
}

#[tokio::test(start_paused = true)]
async fn alarms_follow_what_observers_print_and_their_silence() {
    let cloud = cloud(1);
    let west = name("us-west-2");
    let asked = CloudWatchAlarms::new(&cloud.aws(here()), &region(&cloud, "us-west-2"));
    let down = "sealane-region-down-us-east-1";
    for _ in 0..30 {
        print(&cloud, 1.0);
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(asked.state(down).await.unwrap(), Some(Told::Ok));
    cloud.alarms(west);
    for _ in 0..4 {
        print(&cloud, 0.0);
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(asked.state(down).await.unwrap(), Some(Told::Alarm));
    let told = cloud.alarms(west);
    let changed: Vec<_> = told.iter().filter(|t| t.alarm == down).map(|t| (t.from, t.to)).collect();
    assert_eq!(changed, [(AlarmState::Ok, AlarmState::Alarm)]);
    // Silence proves nothing about the region; it raises an alarm of its own.
    sleep(Duration::from_secs(600)).await;
    let told = cloud.alarms(west);
    assert!(!told.iter().any(|t| t.alarm == down), "{told:?}");
    assert!(
        told.iter().any(|t| t.alarm.ends_with("silent-us-east-1") && t.to == AlarmState::Alarm),
        "{told:?}"
    );
    assert_eq!(asked.state("no-such-alarm").await.unwrap(), None);
}
