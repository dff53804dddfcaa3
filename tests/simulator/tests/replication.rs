//! What replicas promise each other, through the real clients.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

mod support;

use std::time::Duration;

use futures::future::join_all;
use sealane::{
    aws::{DynamoRows, Limits},
    ports::{Key, Row, Rows as _, RowsError, When},
    region::RegionName,
};
use simulator::{
    cloud::{Cloud, Effect, Fault, FaultId, Lag, Place},
    dice::Dice,
};
use support::{cloud, here, name, region, row, rows};
use tokio::time::sleep;

const HEALTH: &str = "sealane-health";
const CONTROL: &str = "sealane-control";
const ALL: [&str; 4] = ["us-west-2", "us-east-1", "eu-west-1", "us-east-2"];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn key() -> Key {
    Key::new("p", "s")
}

fn with_body(version: u64, body: &str) -> Row {
    Row { body: body.to_owned(), ..row("p", "s", version) }
}

fn at(cloud: &Cloud, region: &str) -> DynamoRows {
    rows(cloud, Place::Region(name(region)), region, Limits::CALL)
}

/// Parts two regions in both directions.
fn part(cloud: &Cloud, a: RegionName, b: RegionName) -> [FaultId; 2] {
    [(a, b), (b, a)].map(|(from, to)| {
        let (from, to) = (Some(Place::Region(from)), Some(to));
        cloud.network().add(Fault { from, to, service: None, effect: Effect::Cut })
    })
}

#[tokio::test(start_paused = true)]
async fn a_write_shows_elsewhere_after_the_lag() {
    let cloud = cloud(1);
    let (west, east) = (name("us-west-2"), name("us-east-1"));
    cloud.set_lag(west, east, Lag::Fixed(ms(700)));
    at(&cloud, "us-west-2").write(&row("p", "s", 1), When::Absent).await.unwrap();
    sleep(ms(600)).await;
    assert_eq!(cloud.row(HEALTH, east, &key()), None);
    assert!(cloud.unreplicated(HEALTH, west, east).is_some());
    sleep(ms(150)).await;
    assert_eq!(cloud.row(HEALTH, east, &key()), Some(row("p", "s", 1)));
    assert_eq!(cloud.unreplicated(HEALTH, west, east), None);
}

#[tokio::test(start_paused = true)]
async fn the_usual_lag_is_below_two_seconds_nearly_always() {
    let cloud = cloud(1);
    let (west, east) = (name("us-west-2"), name("us-east-1"));
    let mut late = 0;
    for n in 0..100 {
        at(&cloud, "us-west-2").write(&row(&format!("p{n}"), "s", 1), When::Absent).await.unwrap();
        sleep(ms(2000)).await;
        late += u32::from(cloud.unreplicated(HEALTH, west, east).is_some());
    }
    assert!(late <= 3, "{late}");
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_win_a_condition_and_the_last_writer_remains() {
    let cloud = cloud(1);
    let (west, east) = (at(&cloud, "us-west-2"), at(&cloud, "us-east-1"));
    west.write(&with_body(1, r#"{"by":"west"}"#), When::Absent).await.unwrap();
    let last = with_body(1, r#"{"by":"east"}"#);
    east.write(&last, When::Absent).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    for region in ALL {
        assert_eq!(cloud.row(HEALTH, name(region), &key()).as_ref(), Some(&last), "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_differ_while_parted_and_agree_when_healed() {
    let cloud = cloud(1);
    let (west, east) = (name("us-west-2"), name("us-east-1"));
    let faults = part(&cloud, west, east);
    let began = cloud.now();
    at(&cloud, "us-west-2").write(&with_body(1, r#"{"by":"west"}"#), When::Absent).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let last = with_body(7, r#"{"by":"east"}"#);
    at(&cloud, "us-east-1").write(&last, When::Absent).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(cloud.row(HEALTH, west, &key()).unwrap().version, 1);
    let since = cloud.unreplicated(HEALTH, east, west).unwrap();
    assert!(since.abs_diff(began + Duration::from_secs(30)) < ms(500), "{since:?}");
    // The third region heard both; what is missing in the east is older than what it has.
    assert_eq!(cloud.row(HEALTH, name("eu-west-1"), &key()).as_ref(), Some(&last));
    assert_eq!(cloud.unreplicated(HEALTH, west, east), None);
    let _ = faults.map(|fault| cloud.network().remove(fault));
    assert_eq!(cloud.row(HEALTH, west, &key()).unwrap().version, 1, "it takes a while to catch up");
    sleep(Duration::from_secs(20)).await;
    for region in ALL {
        assert_eq!(cloud.row(HEALTH, name(region), &key()).as_ref(), Some(&last), "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn paused_replication_holds_back_what_it_has_and_goes_on() {
    let cloud = cloud(1);
    let (west, east) = (name("us-west-2"), name("us-east-1"));
    cloud.set_lag(west, east, Lag::Paused);
    at(&cloud, "us-west-2").write(&row("p", "s", 1), When::Absent).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cloud.row(HEALTH, east, &key()), None);
    cloud.set_lag(west, east, Lag::Usual);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(cloud.row(HEALTH, east, &key()), Some(row("p", "s", 1)));
}

#[tokio::test(start_paused = true)]
async fn nothing_overtakes_within_a_partition() {
    let cloud = cloud(3);
    let west = at(&cloud, "us-west-2");
    let writer = async {
        for n in 1..=200 {
            west.write(&row("p", &format!("{n:03}"), n), When::Absent).await.unwrap();
            sleep(ms(20)).await;
        }
    };
    let reader = async {
        let mut seen = 0;
        for _ in 0..400 {
            sleep(ms(25)).await;
            let found = cloud.rows(HEALTH, name("us-east-1"));
            assert!(found.iter().enumerate().all(|(i, row)| row.version == i as u64 + 1), "a gap");
            assert!(found.len() >= seen);
            seen = found.len();
        }
        seen
    };
    let ((), seen) = futures::future::join(writer, reader).await;
    assert_eq!(seen, 200);
}

/// The control table through one region's replica.
fn control(cloud: &Cloud, from: Place, at: &str) -> DynamoRows {
    cloud.aws(from).rows(&region(cloud, at), CONTROL, "", Limits::CALL.once())
}

/// Adds one to the row if nobody else does at that time; whether it was acknowledged.
async fn bump(rows: &DynamoRows) -> Result<bool, RowsError> {
    let held = rows.read(&key()).await?;
    let (version, when) = match &held {
        None => (1, When::Absent),
        Some(held) => (held.version + 1, When::Version(held.version)),
    };
    match rows.write(&row("p", "s", version), when).await {
        Ok(()) => Ok(true),
        Err(RowsError::Conflict | RowsError::Throttled { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[tokio::test(start_paused = true)]
async fn writers_in_all_regions_lose_no_acknowledged_write_of_the_strong_table() {
    let cloud = cloud(5);
    let places = [("us-west-2", "us-west-2"), ("us-east-1", "us-east-1"), ("eu-west-1", "us-east-1")];
    let writers = places.iter().map(async |(from, at)| {
        let rows = control(&cloud, Place::Region(name(from)), at);
        let mut acknowledged = 0;
        for _ in 0..50 {
            acknowledged += u64::from(bump(&rows).await.unwrap());
        }
        acknowledged
    });
    let acknowledged: u64 = join_all(writers).await.into_iter().sum();
    assert!((50..150).contains(&acknowledged), "{acknowledged} of 150 should have met others");
    for region in ["us-west-2", "us-east-1"] {
        assert_eq!(cloud.row(CONTROL, name(region), &key()).unwrap().version, acknowledged);
    }
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_write_of_another_region_asks_to_try_again() {
    let cloud = cloud(1);
    let east = control(&cloud, Place::Region(name("us-east-1")), "us-east-1");
    let west = control(&cloud, here(), "us-west-2");
    for rows in [&east, &west] {
        rows.read(&key()).await.unwrap();
    }
    let (rows_a, rows_b) = (row("p", "s", 1), row("p", "s", 2));
    let (a, b) =
        futures::future::join(east.write(&rows_a, When::Always), west.write(&rows_b, When::Always)).await;
    let lost = |r: &Result<(), RowsError>| matches!(r, Err(RowsError::Throttled { .. }));
    assert_eq!(u8::from(lost(&a)) + u8::from(lost(&b)), 1, "{a:?} {b:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_alone_does_not_answer_and_the_others_do() {
    let cloud = cloud(1);
    let (west, east, witness) = (name("us-west-2"), name("us-east-1"), name("us-east-2"));
    let mut faults = part(&cloud, east, west).to_vec();
    let through_east = control(&cloud, Place::Region(east), "us-east-1");
    // The witness is enough.
    assert!(bump(&through_east).await.unwrap());
    faults.extend(part(&cloud, east, witness));
    let alone = through_east.read(&key()).await;
    assert!(matches!(alone, Err(RowsError::NoAnswer { .. })), "{alone:?}");
    assert!(bump(&control(&cloud, here(), "us-west-2")).await.unwrap());
    for fault in faults {
        cloud.network().remove(fault);
    }
    assert_eq!(through_east.read(&key()).await.unwrap().unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn no_partition_loses_an_acknowledged_write_of_the_strong_table() {
    for seed in 0..4 {
        let cloud = cloud(seed);
        let members = [name("us-west-2"), name("us-east-1"), name("us-east-2")];
        let mut dice = Dice::new(seed).fork("test");
        let weather = async {
            for _ in 0..30 {
                let (a, b) = (dice.below(3), dice.below(3));
                let pair = (members[usize::try_from(a).unwrap()], members[usize::try_from(b).unwrap()]);
                let faults = part(&cloud, pair.0, pair.1);
                sleep(dice.between(ms(10), ms(3000))).await;
                let _ = faults.map(|fault| cloud.network().remove(fault));
            }
        };
        let writer = async |at: &str| {
            let rows = control(&cloud, Place::Region(name(at)), at);
            let mut newest = 0;
            for _ in 0..100 {
                if let Ok(true) = bump(&rows).await {
                    newest += 1;
                }
            }
            newest
        };
        let ((), (a, b)) = futures::future::join(weather, async {
            futures::future::join(writer("us-west-2"), writer("us-east-1")).await
        })
        .await;
        let held = cloud.row(CONTROL, members[0], &key()).unwrap();
        assert!(a + b > 30, "{a} {b}");
        // Unanswered writes may have taken effect, too.
        assert!(held.version >= a + b, "seed {seed}: {} < {}", held.version, a + b);
    }
}
