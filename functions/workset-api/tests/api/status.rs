//! The routes that show what the system knows.

use std::time::Duration;

use sealane::{
    failover::{Pin, Rule},
    lease::Ask,
    region::Capacity,
    replication::{Entry, ObjectId, Source},
    store::{ControlTable, LedgerTable},
    time::Timestamp,
    units::ByteSize,
};

use super::world::{EAST, WEST, World};

fn owed(key: &str) -> Entry {
    let source = Source {
        region: WEST.parse().unwrap(),
        bucket: "bucket-west".to_owned(),
        key: key.to_owned(),
        version_id: Some("v1".to_owned()),
        etag: "\"1\"".to_owned(),
        size: ByteSize::mib(3),
        checksum: None,
    };
    let object = ObjectId::of_version(WEST.parse().unwrap(), key, Some("v1"), "\"1\"");
    Entry::owed(object, EAST.parse().unwrap(), source, Timestamp::from_millis(7))
}

#[tokio::test]
async fn regions_are_shown_with_their_verdicts_and_unknown_is_not_health() {
    let world = World::steady().await;
    let body = world.get("/v1/regions").await.json();
    assert_eq!(
        (&body["active"], &body["epoch"], &body["phase"]),
        (&"us-west-2".into(), &1.into(), &"steady".into())
    );
    let regions = body["regions"].as_array().unwrap();
    assert_eq!(
        regions.iter().map(|r| r["capabilities"].as_array().unwrap().len()).collect::<Vec<_>>(),
        [5, 5, 5, 2]
    );
    for stands in regions.iter().flat_map(|r| r["capabilities"].as_array().unwrap()) {
        assert_eq!(stands["status"], "unknown");
        assert!(stands["verdict"].as_str().unwrap().contains("votes needed"), "{stands}");
    }
}

#[tokio::test]
async fn a_route_explains_itself() {
    let world = World::steady().await;
    let route = world.get("/v1/route?needs=api&strategy=priority&tried=us-west-2,eu-west-1").await.json();
    assert_eq!(
        (&route["ranked"], &route["strategy"]),
        (&serde_json::json!(["us-east-1"]), &"priority".into())
    );
    assert!(route["explanation"].as_str().unwrap().contains("us-west-2: dropped, already tried"), "{route}");
    let near = world.get("/v1/route?strategy=geographic&lat=53.3&lon=-6.2").await.json();
    assert_eq!(near["ranked"][0], "eu-west-1");
}

#[tokio::test]
async fn a_full_region_is_shown_as_full_and_left_out_of_uploads() {
    let world = World::steady().await;
    let control = ControlTable::new(vec![world.control.clone()]);
    let capacity = Capacity { max_concurrent_uploads: 10, max_bandwidth_mbps: 1_000 };
    let ask = |i: i32| Ask {
        id: i.to_string(),
        holder: "lab-7".to_owned(),
        bandwidth_mbps: 100,
        ttl: Duration::from_secs(60),
    };
    for i in 0..10 {
        let held = control.leases(WEST.parse().unwrap()).await.unwrap();
        let next = held.acquire(&ask(i), capacity).unwrap().unwrap();
        control.write_leases(WEST.parse().unwrap(), &next).await.unwrap();
    }
    let regions = world.get("/v1/regions").await.json();
    assert_eq!(regions["regions"][0]["utilization"]["load"]["uploads"], 10, "{regions}");
    let route = world.get("/v1/route?strategy=priority").await.json();
    let why = "us-west-2: dropped, at capacity: 10 of 10 uploads";
    assert!(route["explanation"].as_str().unwrap().contains(why), "{route}");
    assert_eq!(route["loads"]["us-east-1"]["load"]["uploads"], 0, "{route}");
    let read = world.get("/v1/route?strategy=priority&needs=table_read").await.json();
    assert_eq!(read["ranked"].as_array().unwrap().len(), 3, "reads take no upload's room");
    assert!(world.get("/").await.text.contains("10 of 10 <small>100%</small>"));
}

#[tokio::test]
async fn what_a_route_cannot_be_asked_for_is_refused_with_the_choices() {
    let world = World::steady().await;
    let cases = [
        ("strategy=best", "invalid-query", "`round_robin`"),
        ("needs=luck", "invalid-query", "`object_write`"),
        ("capability=api", "invalid-query", "`needs`"),
        ("lat=1", "invalid-query", "`lat` and `lon`"),
        ("lat=NaN&lon=1", "invalid-query", "-90 to 90"),
        ("tried=us-west-2,mars", "unknown-region", "`us-east-1`"),
        ("data_in=us-east-2", "unknown-region", "`us-east-1`"),
    ];
    for (query, name, choice) in cases {
        let detail = world.get(&format!("/v1/route?{query}")).await.problem(400, name);
        assert!(detail.contains(choice), "{query}: {detail}");
    }
}

#[tokio::test]
async fn failovers_show_the_record_and_the_pins() {
    let world = World::steady().await;
    let pin = Pin {
        region: EAST.parse().unwrap(),
        rule: Rule::Forbid,
        owner: "ada".to_owned(),
        reason: "<b>maintenance</b>".to_owned(),
        expires: Timestamp::from_millis(1),
    };
    ControlTable::new(vec![world.control.clone()]).pin(&pin).await.unwrap();
    let body = world.get("/v1/failovers").await.json();
    assert_eq!((&body["record"]["active"], &body["pins"][0]["live"]), (&"us-west-2".into(), &false.into()));
    world.get("/v1/failovers?limit=0").await.problem(400, "invalid-query");
    world.get("/v1/failovers?limit=101").await.problem(400, "invalid-query");
}

#[tokio::test]
async fn owed_copies_are_shown_and_counted() {
    let world = World::steady().await;
    let ledger = LedgerTable::new(world.ledger[WEST].clone());
    for key in ["a", "b", "c"] {
        ledger.owe(&owed(key)).await.unwrap();
    }
    let body = world.get("/v1/copies/owed?limit=2").await.json();
    assert_eq!((body["owed"].as_array().unwrap().len(), &body["more"]), (2, &true.into()));
    let first = &body["owed"][0];
    assert_eq!(
        (&first["key"], &first["destination"], &first["phase"]),
        (&"a".into(), &EAST.into(), &"pending".into())
    );
}

#[tokio::test]
async fn the_page_says_everything_in_words_and_nothing_in_code() {
    let world = World::steady().await;
    let hostile = "<script>alert(1)</script>\"'";
    LedgerTable::new(world.ledger[WEST].clone()).owe(&owed(hostile)).await.unwrap();
    let page = world.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text.contains("<strong>us-west-2</strong> takes the writes: epoch 1, steady."));
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script"));
    assert!(page.text.contains("unknown") && !page.text.contains("class=\"healthy\""));
    for elsewhere in ["http://", "https://", "src=", "href="] {
        assert!(!page.text.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn the_page_stands_when_nothing_can_be_read() {
    let world = World::new("");
    world.ledger.values().for_each(|door| door.cut(true));
    world.health.cut(true);
    world.control.cut(true);
    let page = world.get("/").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.text.contains("It is not known which region takes the writes."));
    assert_eq!(page.text.matches("This could not be read").count(), 2);
    assert!(!page.text.contains("Every region has every copy"));
}
