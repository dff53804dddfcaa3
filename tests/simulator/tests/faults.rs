//! What callers see of each fault, through the real clients.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use sealane::{
    aws::Limits,
    checksum::Checksum,
    ports::{Attributes, CopySource, Key, Objects as _, ObjectsError, Rows as _, RowsError, Silence, When},
};
use simulator::cloud::{Effect, Fault, Place, Service};
use support::{cloud, here, region, row, rows};

fn all(effect: Effect) -> Fault {
    Fault { from: None, to: None, service: None, effect }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_cut_is_silence_until_the_callers_own_limit() {
    let cloud = cloud(1);
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    let key = Key::new("p", "s");
    // The connection is made before the cut, and the next only after it.
    west.read(&key).await.unwrap();
    let cut = cloud.network().add(all(Effect::Cut));
    let fresh = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    for (rows, waited) in [(&west, 2 * SECOND), (&fresh, SECOND)] {
        let before = cloud.now();
        let read = rows.read(&key).await;
        assert!(matches!(read, Err(RowsError::NoAnswer { how: Silence::Timeout, .. })), "{read:?}");
        assert!(
            (cloud.now() - before).abs_diff(waited) < Duration::from_millis(50),
            "{:?}",
            cloud.now() - before
        );
    }
    cloud.network().remove(cut);
    assert_eq!(west.read(&key).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_at_once() {
    let cloud = cloud(1);
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    west.read(&Key::new("p", "s")).await.unwrap();
    cloud.network().add(all(Effect::Refused));
    for _ in 0..2 {
        let before = cloud.now();
        let read = west.read(&Key::new("p", "s")).await;
        assert!(matches!(read, Err(RowsError::NoAnswer { how: Silence::NoConnection, .. })), "{read:?}");
        assert!(cloud.now() - before < Duration::from_millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn only_new_connections_meet_a_fault_of_names() {
    let cloud = cloud(1);
    let aws = cloud.aws(here());
    let table = cloud.configuration().tables.health.clone();
    let west = region(&cloud, "us-west-2");
    let pooled = aws.rows(&west, &table, "", Limits::CALL.once());
    pooled.read(&Key::new("p", "s")).await.unwrap();
    cloud.network().add(all(Effect::FreshOnly));
    pooled.read(&Key::new("p", "s")).await.unwrap();
    let fresh = aws.fresh().rows(&west, &table, "", Limits::CALL.once());
    let read = fresh.read(&Key::new("p", "s")).await;
    assert!(matches!(read, Err(RowsError::NoAnswer { how: Silence::NoConnection, .. })), "{read:?}");
    // An idle connection does not last for ever.
    tokio::time::sleep(91 * SECOND).await;
    assert!(pooled.read(&Key::new("p", "s")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_does_nothing_and_says_so() {
    let cloud = cloud(1);
    cloud.network().add(all(Effect::Throttled { percent: 100.0 }));
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    let wrote = west.write(&row("p", "s", 1), When::Always).await;
    assert!(matches!(wrote, Err(RowsError::Throttled { .. })), "{wrote:?}");
    assert_eq!(cloud.row("sealane-health", "us-west-2".parse().unwrap(), &Key::new("p", "s")), None);
    let bucket = cloud.aws(here()).objects(&region(&cloud, "us-west-2"), None, Limits::CALL.once()).unwrap();
    let put = bucket.put("k", Bytes::new(), Checksum::EMPTY, &Attributes::default()).await;
    assert!(matches!(put, Err(ObjectsError::Throttled { .. })), "{put:?}");
    assert!(cloud.objects("us-west-2".parse().unwrap()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_took_effect_and_is_not_answered() {
    let cloud = cloud(1);
    cloud.network().add(all(Effect::Ambiguous { percent: 100.0 }));
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    let wrote = west.write(&row("p", "s", 1), When::Absent).await;
    assert!(matches!(wrote, Err(RowsError::NoAnswer { how: Silence::Timeout, .. })), "{wrote:?}");
    let found = cloud.row("sealane-health", "us-west-2".parse().unwrap(), &Key::new("p", "s"));
    assert_eq!(found, Some(row("p", "s", 1)));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_lost_answer_meets_its_own_write() {
    let cloud = cloud(1);
    let fault = cloud.network().add(all(Effect::Ambiguous { percent: 100.0 }));
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL);
    let network = cloud.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        network.network().remove(fault);
    });
    let wrote = west.write(&row("p", "s", 1), When::Absent).await;
    assert!(matches!(wrote, Err(RowsError::Conflict)), "{wrote:?}");
}

#[tokio::test(start_paused = true)]
async fn half_of_what_is_lost_took_effect() {
    let cloud = cloud(1);
    cloud.network().add(all(Effect::Loss { percent: 100.0 }));
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    for n in 0..100 {
        assert!(west.write(&row("p", &format!("{n}"), 1), When::Absent).await.is_err());
    }
    let found = cloud.rows("sealane-health", "us-west-2".parse().unwrap()).len();
    assert!((30..70).contains(&found), "{found}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_answers_late() {
    let cloud = cloud(1);
    let slow = Effect::Slow { by: SECOND };
    cloud.network().add(Fault { service: Some(Service::DynamoDb), ..all(slow) });
    let west = rows(&cloud, here(), "us-west-2", Limits::CALL.once());
    let before = cloud.now();
    west.read(&Key::new("p", "s")).await.unwrap();
    assert!((cloud.now() - before).abs_diff(SECOND) < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_fault_meets_only_those_that_it_names() {
    let cloud = cloud(1);
    let east = "us-east-1".parse().unwrap();
    cloud.network().add(Fault { from: Some(here()), to: Some(east), ..all(Effect::Cut) });
    let key = Key::new("p", "s");
    assert!(rows(&cloud, here(), "us-east-1", Limits::CALL.once()).read(&key).await.is_err());
    assert!(rows(&cloud, here(), "eu-west-1", Limits::CALL.once()).read(&key).await.is_ok());
    assert!(rows(&cloud, Place::Client(1), "us-east-1", Limits::CALL.once()).read(&key).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_caller_sent_takes_effect() {
    let cloud = cloud(1);
    let east = rows(&cloud, here(), "us-east-1", Limits::CALL);
    east.read(&Key::new("p", "s")).await.unwrap();
    let sent = row("p", "s", 1);
    let dropped = tokio::time::timeout(Duration::from_millis(10), east.write(&sent, When::Always)).await;
    assert!(dropped.is_err());
    let held = || cloud.row("sealane-health", "us-east-1".parse().unwrap(), &Key::new("p", "s"));
    assert_eq!(held(), None);
    tokio::time::sleep(SECOND).await;
    assert_eq!(held(), Some(sent));
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused() {
    let cloud = cloud(1);
    let west = region(&cloud, "us-west-2");
    let aws = cloud.aws(here());
    let nowhere = aws.rows(&west, "no-such-table", "", Limits::CALL);
    assert!(matches!(nowhere.read(&Key::new("p", "s")).await, Err(RowsError::Refused { .. })));
    let health = &cloud.configuration().tables.health;
    let wrong_index = aws.rows(&west, health, "no-such-index", Limits::CALL);
    assert!(matches!(wrong_index.list_index("p", None, None, 1).await, Err(RowsError::Refused { .. })));
    // The third region has no replica of the control table.
    let control =
        aws.rows(&region(&cloud, "eu-west-1"), &cloud.configuration().tables.control, "", Limits::CALL);
    assert!(matches!(control.read(&Key::new("p", "s")).await, Err(RowsError::Refused { .. })));
    let config = aws_sdk_dynamodb::config::Builder::from(&aws.client_config(&west, Limits::CALL));
    let client = aws_sdk_dynamodb::Client::from_conf(
        config.endpoint_url(west.endpoints.dynamodb.as_deref().unwrap()).build(),
    );
    let odd = client.delete_item().table_name(health).send().await;
    assert!(odd.is_err());
}

/// The SDK's way and the short one past it differ in cost alone.
#[tokio::test(start_paused = true)]
async fn the_copy_of_a_part_fails_and_is_repeated_alike_on_both_ways() {
    let cloud = cloud(1);
    let (west, aws) = (region(&cloud, "us-west-2"), cloud.aws(here()));
    let limits = Limits::data(5 * SECOND);
    for bucket in [aws.objects(&west, None, limits).unwrap(), aws.shipping(&west, None, limits).unwrap()] {
        let (body, attributes) = (Bytes::from_static(b"bytes"), Attributes::default());
        let put = bucket.put("k \u{fc}", body, Checksum::of(b"bytes"), &attributes).await.unwrap();
        let (version_id, etag) = (put.version_id, put.etag);
        let source =
            CopySource { bucket: bucket.bucket().to_owned(), key: "k \u{fc}".to_owned(), version_id, etag };
        let upload = bucket.begin("l", &attributes).await.unwrap();
        let copy =
            async |source: &CopySource, upload: &str| bucket.copy_part(source, "l", upload, 1, 1..4).await;
        let part = copy(&source, &upload).await.unwrap();
        assert_eq!((part.size_bytes, part.checksum), (3, Some(Checksum::of(b"yte"))));
        assert_eq!(bucket.parts("l", &upload).await.unwrap(), [part]);
        let other = CopySource { etag: Some("\"other\"".to_owned()), ..source.clone() };
        let changed = copy(&other, &upload).await;
        assert!(matches!(changed, Err(ObjectsError::Mismatch { .. })), "{changed:?}");
        let gone = copy(&source, "no-such-upload").await;
        assert!(matches!(gone, Err(ObjectsError::Missing { .. })), "{gone:?}");

        let fault = cloud.network().add(all(Effect::Throttled { percent: 100.0 }));
        let slow = copy(&source, &upload).await;
        assert!(matches!(slow, Err(ObjectsError::Throttled { .. })), "{slow:?}");
        let healed = cloud.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            healed.network().remove(fault);
        });
        copy(&source, &upload).await.unwrap();

        let cut = cloud.network().add(all(Effect::Cut));
        let before = cloud.now();
        let silent = copy(&source, &upload).await;
        assert!(matches!(silent, Err(ObjectsError::NoAnswer { how: Silence::Timeout, .. })), "{silent:?}");
        assert!(cloud.now() - before <= 2 * 5 * SECOND, "{:?}", cloud.now() - before);
        cloud.network().remove(cut);
    }
}
