use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{replication::Origin, workset::Tenant};

fn region(n: usize) -> RegionName {
    format!("us-west-{n}").parse().unwrap()
}

fn leg(n: usize) -> Leg {
    Leg {
        region: region(n),
        bucket: format!("bucket-{n}"),
        upload: format!("u{n}"),
        regions: (0..3).map(|other| region((n + other) % 3)).collect(),
        why: "in its turn".to_owned(),
        begun_at: Timestamp::from_millis(1_000),
        left: None,
        freed: false,
    }
}

fn ticket() -> Ticket {
    let tenant: Tenant = "lab".parse().unwrap();
    let part = AskedPart { size_bytes: 9, crc64nvme: "rosUhgp5mIg=".to_owned() };
    let ask = Ask { key: Some("a".to_owned()), size_bytes: Some(9), parts: vec![part], ..Ask::default() };
    let wanted = ask.read(&tenant).unwrap();
    Ticket::begun(TicketId::of("a seed"), wanted, leg(0), Timestamp::from_millis(1_000))
}

fn found() -> Found {
    Found { version_id: Some("v1".to_owned()), how: How::ChecksumAttribute }
}

/// What may come to an upload.
#[derive(Debug, Clone, Copy)]
enum Step {
    Move,
    Abort,
    Free,
    Complete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Move), Just(Step::Abort), Just(Step::Free), (0..4_usize).prop_map(Step::Complete)]
}

proptest! {
    /// Whatever comes to it, a receipt names one verified copy where it was found, every region that was
    /// tried, the wanted ones that lack it, and what was not freed. And its row reads back.
    #[test]
    fn a_receipt_says_where_the_object_is_and_what_is_owed(steps in vec(step(), 0..8)) {
        let mut ticket = ticket();
        for step in steps {
            ticket = match step {
                Step::Move => { let next = leg(ticket.legs.len()); ticket.moved(next, "slow") }
                Step::Abort => ticket.aborted(),
                Step::Free => { let last = ticket.legs.last().unwrap().upload.clone(); ticket.freed(&[last]) }
                Step::Complete(n) => {
                    let at = ticket.legs[n % ticket.legs.len()].clone();
                    ticket.completed(&at, &found(), Timestamp::from_millis(3_000))
                }
            };
            if let Stage::Completed(receipt) = &ticket.stage && let Step::Complete(n) = step {
                let at = &ticket.legs[n % ticket.legs.len()];
                prop_assert!(receipt.outcome.is_success());
                prop_assert_eq!(receipt.copies.len(), 1);
                prop_assert_eq!((receipt.copies[0].region, &receipt.copies[0].bucket), (at.region, &at.bucket));
                prop_assert!(receipt.owed.iter().all(|line| line.region != at.region));
                prop_assert_eq!(receipt.owed.len() + 1, at.regions.iter().collect::<std::collections::BTreeSet<_>>().union(&[&at.region].into()).count());
                prop_assert_eq!(receipt.attempts.len(), ticket.legs.len());
                let unfreed = ticket.legs.iter().filter(|leg| !leg.freed).count();
                prop_assert_eq!(receipt.leftovers.len(), unfreed);
            }
            let row = serde_json::to_string(&ticket).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ticket>(&row).unwrap(), ticket.clone());
        }
    }

    /// No text makes the reader of ids panic, and what it takes is what it would print.
    #[test]
    fn odd_ids_are_refused(text in "(up-)?[0-9a-fA-F#/:]{0,40}") {
        if let Ok(id) = text.parse::<TicketId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

/// Replication takes the object for an upload that the other regions are owed, as it does one of the
/// transporter's: so two regions that completed it by mistake hold one object.
#[test]
fn the_object_is_an_upload_to_replication() {
    let ticket = ticket();
    let kept = ticket.attributes(&ticket.legs[0]);
    let origin = Origin::of(region(0), "lab/a", &kept.metadata).unwrap();
    let wanted = vec![region(0), region(1), region(2)];
    assert_eq!(origin, Origin::Upload { id: ticket.id.to_string(), wanted });
}

#[test]
fn another_upload_s_object_is_not_taken_for_this_one() {
    let ticket = ticket();
    let head = |id: &str, size_bytes, checksum| Head {
        version_id: None,
        etag: None,
        size_bytes,
        checksum,
        attributes: attributes(&TicketId(id.to_owned()), &ticket.wanted, &[region(0)]),
        tags: 0,
    };
    let own = ticket.id.as_str();
    assert!(
        ticket.is_in(&head(own, 9, Some(Checksum::of(b"123456789")))) && ticket.is_in(&head(own, 9, None))
    );
    assert!(!ticket.is_in(&head("up-1", 9, None)) && !ticket.is_in(&head(own, 8, None)));
    assert!(!ticket.is_in(&head(own, 9, Some(Checksum::EMPTY))));
}
