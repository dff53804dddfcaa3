//! The rules of a row, over drawn histories of several workers.

use proptest::{collection::vec, prelude::*};

use super::*;

const LEASE: Duration = Duration::from_secs(60);
const POLICY: RetryPolicy = RetryPolicy { base: Duration::from_secs(2), cap: Duration::from_secs(300) };

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1_000)
}

fn row() -> Entry {
    let region: RegionName = "us-west-2".parse().unwrap();
    let source = Source {
        region,
        bucket: "data".to_owned(),
        key: "k".to_owned(),
        version_id: Some("v1".to_owned()),
        etag: "abc".to_owned(),
        size: ByteSize(5),
        checksum: Some(Checksum::from_u64(1)),
    };
    Entry::owed(ObjectId::of_upload("u1"), "eu-west-1".parse().unwrap(), source, at(0))
}

fn gone() -> Reason {
    Reason::SourceChanged { detail: "the version was deleted".to_owned() }
}

/// What a worker tries, with the last token that it was given.
#[derive(Debug, Clone, Copy)]
enum Act {
    Claim,
    Renew,
    Journal,
    Restart,
    Source,
    Verify,
    Fail,
    Void,
}

fn act() -> impl Strategy<Value = Act> {
    use Act::{Claim, Fail, Journal, Renew, Restart, Source, Verify, Void};
    prop::sample::select(vec![Claim, Claim, Claim, Renew, Journal, Restart, Source, Verify, Fail, Fail, Void])
}

/// The row after the act, and the token if it was a claim.
fn perform(
    row: Entry,
    act: Act,
    worker: usize,
    token: Option<&Token>,
    now: Timestamp,
) -> Result<(Entry, Option<Token>), Refused> {
    let stale = Token { owner: format!("w{worker}"), epoch: 0 };
    let token = token.unwrap_or(&stale);
    let moved = match act {
        Act::Claim => {
            return row.claim(&format!("w{worker}"), now, LEASE).map(|(row, token)| (row, Some(token)));
        }
        Act::Renew => row.renewed(token, now, LEASE),
        Act::Journal => row.journaled(token, format!("upload of w{worker}")),
        Act::Restart => row.restarted(token),
        Act::Source => {
            let source = row.source.clone();
            row.sourced(token, source)
        }
        Act::Verify => row.verified(token, Some("v9".to_owned())),
        Act::Fail => row.failed(token, Reason::Stopped, now, &POLICY, 7),
        Act::Void => row.voided(token, gone()),
    };
    moved.map(|row| (row, None))
}

proptest! {
    /// However three workers interleave, late and in any order: the epoch rises by one with
    /// each claim and never else, only the newest token moves the row, and a
    /// settled row stays settled.
    #[test]
    fn only_the_newest_claim_moves_a_row(steps in vec((act(), 0..3_usize, 0..90_u64), 0..60)) {
        let (mut row, mut tokens, mut now) = (row(), [const { None::<Token> }; 3], 0);
        for (act, worker, passed) in steps {
            now += passed;
            let before = row.clone();
            let newest = tokens[worker].as_ref().is_some_and(|t| t.epoch == before.epoch);
            let Ok((after, token)) = perform(row.clone(), act, worker, tokens[worker].as_ref(), at(now)) else { continue };
            prop_assert!(before.is_owed(), "a settled row moved");
            match token {
                Some(token) => {
                    prop_assert_eq!(after.epoch, before.epoch + 1);
                    prop_assert!(before.due().is_some_and(|due| due <= at(now)), "claimed before it was due");
                    prop_assert_eq!(&after.multipart, &before.multipart);
                    tokens[worker] = Some(token);
                }
                None => {
                    prop_assert!(newest);
                    prop_assert!(matches!(before.phase, Phase::Copying(_)));
                    prop_assert_eq!(after.epoch, before.epoch);
                }
            }
            prop_assert!(after.attempts >= before.attempts);
            row = after;
        }
    }

    /// Whatever happened, a row that is owed can be claimed once it is due: nothing is stuck.
    #[test]
    fn what_is_owed_can_always_be_claimed_in_time(steps in vec((act(), 0..3_usize, 0..90_u64), 0..40)) {
        let (mut row, mut tokens, mut now) = (row(), [const { None::<Token> }; 3], 0);
        for (act, worker, passed) in steps {
            now += passed;
            if let Ok((after, token)) = perform(row.clone(), act, worker, tokens[worker].as_ref(), at(now)) {
                row = after;
                tokens[worker] = token.or(tokens[worker].take());
            }
        }
        if let Some(due) = row.due() {
            prop_assert!(row.claim("heir", due.max(at(now)), LEASE).is_ok());
        }
    }

    /// The wait after a failure grows, within its cap.
    #[test]
    fn retries_back_off_within_the_cap(failures in 1..200_u32, seed: u64) {
        let row = Entry { attempts: failures - 1, ..row() };
        let (row, token) = row.claim("w", at(10), LEASE).unwrap();
        let row = row.failed(&token, Reason::Stopped, at(10), &POLICY, seed).unwrap();
        let Phase::Failed { next_try, .. } = row.phase else { panic!("{row}") };
        prop_assert!(next_try > at(10));
        prop_assert!(next_try <= at(10).after(POLICY.cap));
        prop_assert_eq!(row.attempts, failures);
    }

    /// Every row reads back as it was written.
    #[test]
    fn rows_round_trip_through_json(steps in vec((act(), 0..2_usize, 0..90_u64), 0..20)) {
        let (mut row, mut tokens, mut now) = (row(), [const { None::<Token> }; 2], 0);
        for (act, worker, passed) in steps {
            now += passed;
            if let Ok((after, token)) = perform(row.clone(), act, worker, tokens[worker].as_ref(), at(now)) {
                row = after;
                tokens[worker] = token.or(tokens[worker].take());
            }
        }
        let json = serde_json::to_string(&row).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), row);
    }
}

#[test]
fn a_zombie_cannot_clobber_its_successor() {
    let (row, zombie) = row().claim("a", at(0), LEASE).unwrap();
    let row = row.journaled(&zombie, "mpu-1".to_owned()).unwrap();
    assert!(
        matches!(row.clone().claim("b", at(59), LEASE), Err(Refused::Held { owner, .. }) if owner == "a")
    );
    let (row, heir) = row.claim("b", at(60), LEASE).unwrap();
    assert_eq!(
        row.multipart.as_deref(),
        Some("mpu-1"),
        "the successor goes on with the parts that are there"
    );
    assert!(matches!(
        row.clone().verified(&zombie, None),
        Err(Refused::Superseded { shown: 1, current: 2, .. })
    ));
    assert!(row.clone().failed(&zombie, Reason::Stopped, at(61), &POLICY, 1).is_err());
    assert!(!row.verified(&heir, None).unwrap().is_owed());
}

#[test]
fn the_same_worker_in_its_next_invocation_needs_the_new_epoch() {
    let (row, first) = row().claim("a", at(0), LEASE).unwrap();
    let (row, second) = row.claim("a", at(60), LEASE).unwrap();
    assert!(row.clone().renewed(&first, at(61), LEASE).is_err());
    assert!(row.renewed(&second, at(61), LEASE).is_ok());
}

#[test]
fn a_slow_worker_that_nobody_replaced_may_finish() {
    let (row, token) = row().claim("a", at(0), LEASE).unwrap();
    assert!(row.verified(&token, Some("v2".to_owned())).is_ok());
}

#[test]
fn a_row_whose_source_is_gone_is_owed_no_more() {
    let (row, token) = row().claim("a", at(0), LEASE).unwrap();
    let row = row.voided(&token, gone()).unwrap();
    assert_eq!(row.due(), None);
    assert!(matches!(row.claim("b", at(999), LEASE), Err(Refused::Settled { .. })));
}

/// The text of a row as the first functions wrote it, which knew of no proofs, detours and orders; `more` as those
/// in between did.
fn earlier(phase: &str, more: &str) -> String {
    format!(
        r#"{{"object":"upload#u1","destination":"eu-west-1","source":{{"region":"us-west-2","bucket":"data",
        "key":"k","version_id":"v1","etag":"abc","size":5,"checksum":"AAAAAAAAAAE="}},"phase":{phase},
        "epoch":3,"attempts":1,"since":0,"multipart":"m-1"{more}}}"#
    )
}

fn read(text: &str) -> Entry {
    serde_json::from_str(text).unwrap()
}

#[test]
fn rows_that_earlier_functions_wrote_are_read() {
    let claim = Claim { owner: "w-1".to_owned(), expires: at(60) };
    let failed = Reason::Busy { detail: "SlowDown".to_owned() };
    let phases = [
        (r#"{"phase":"pending"}"#, Phase::Pending),
        (r#"{"phase":"copying","owner":"w-1","expires":60000}"#, Phase::Copying(claim)),
        (r#"{"phase":"verified","version_id":"d1"}"#, Phase::Verified { version_id: Some("d1".to_owned()) }),
        (r#"{"phase":"verified","version_id":null}"#, Phase::Verified { version_id: None }),
        (
            r#"{"phase":"failed","reason":{"kind":"busy","detail":"SlowDown"},"next_try":9000}"#,
            Phase::Failed { reason: failed, next_try: at(9) },
        ),
        (
            r#"{"phase":"void","reason":{"kind":"source_changed","detail":"the version was deleted"}}"#,
            Phase::Void { reason: gone() },
        ),
    ];
    for (text, phase) in phases {
        let now = Entry { phase, epoch: 3, attempts: 1, multipart: Some("m-1".to_owned()), ..row() };
        assert_eq!(read(&earlier(text, "")), now);
        let proved = Entry { proved: 2, ..now };
        assert_eq!(read(&earlier(text, r#","proved":2"#)), proved);
        let until = at(7);
        let detour = Some(Detour { via: vec!["eu-west-2".parse().unwrap()], until, feeds: true, home: None });
        let routed = r#","proved":2,"detour":{"via":["eu-west-2"],"until":7000,"feeds":true,"home":null}"#;
        assert_eq!(read(&earlier(text, routed)), Entry { detour, ..proved });
    }
}

#[test]
fn a_claim_that_an_earlier_function_holds_is_minded_and_then_taken_over() {
    let row = read(&earlier(r#"{"phase":"copying","owner":"w-1","expires":60000}"#, ""));
    assert!(matches!(row.clone().claim("w-2", at(59), LEASE), Err(Refused::Held { .. })));
    let (taken, token) = row.claim("w-2", at(60), LEASE).unwrap();
    // Its upload is gone on with, and nothing that its worker still says counts.
    assert_eq!((token.epoch, taken.multipart.as_deref()), (4, Some("m-1")));
    let zombie = Token { owner: "w-1".to_owned(), epoch: 3 };
    assert!(matches!(taken.clone().verified(&zombie, None), Err(Refused::Superseded { .. })));
    let done = taken.verified(&token, Some("d1".to_owned())).unwrap();
    assert_eq!((done.proved, done.due()), (4, None));
}

#[test]
fn what_a_row_does_not_say_is_not_written() {
    // So that an earlier function that reads it finds what it knows, and no more than the proof besides.
    let text = serde_json::to_string(&row()).unwrap();
    assert!(!text.contains("detour") && !text.contains("after"), "{text}");
}
