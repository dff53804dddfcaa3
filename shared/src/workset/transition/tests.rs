use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::workset::{DELAY_MAX, register};

fn by(at_ms: u64) -> By {
    By {
        actor: "worker-7".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        at: Timestamp::from_millis(at_ms),
        request: String::new(),
        epoch: None,
    }
}

fn fresh() -> Workset {
    let request =
        json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/", "metadata": {"samples": ["s1"]}});
    register(serde_json::from_value(request).unwrap(), "lab".parse().unwrap(), &by(0)).unwrap().0
}

fn failure(category: ErrorCategory) -> Failure {
    Failure { category, details: "disk full".to_owned().try_into().unwrap() }
}

/// `workset` after bare moves through `states`, an hour apart, with `category` for every failure.
fn walk(workset: Workset, states: &[State], category: ErrorCategory) -> Result<Workset, Refused> {
    states.iter().try_fold(workset, |workset, to| {
        let error = (*to == State::Error).then(|| failure(category));
        let at_ms = workset.updated_at.as_millis() + 3_600_000;
        Ok(transition(&workset, Transition { error, ..Transition::to(*to) }, &by(at_ms), 7)?.0)
    })
}

prop_compose! {
    fn change()(
        to in select(&State::ALL[..]), category in option::of(select(&ErrorCategory::ALL[..])),
        results in any::<bool>(), token in option::of(0..5_u64), if_version in option::weighted(0.2, 1..20_u64),
    ) -> Transition {
        Transition {
            error: category.map(failure),
            results_uri: results.then(|| "s3://results/ws-001".to_owned().try_into().unwrap()),
            token,
            if_version,
            ..Transition::to(to)
        }
    }
}

/// A change that the state machine would take, so that walks get far.
fn likely(workset: &Workset, mut change: Transition, pick: usize) -> Transition {
    let moves = workset.state.legal_moves();
    if let Some(to) = moves.get(pick % moves.len().max(1)) {
        change.to = *to;
        change.results_uri = None;
        change.error =
            (*to == State::Error).then(|| change.error.unwrap_or(failure(ErrorCategory::Transient)));
    }
    change
}

proptest! {
    /// Whatever is asked, a workset only makes legal moves, and each write is
    /// one version, one event and no step back of the fence.
    #[test]
    fn only_legal_moves_are_ever_made(
        asked in vec((change(), any::<usize>(), any::<bool>(), 0..9_000_u64), 1..40), seed: u64,
    ) {
        let (mut workset, mut now_ms) = (fresh(), 0);
        for (change, pick, help, passed_ms) in asked {
            now_ms += passed_ms;
            let change = if help { likely(&workset, change, pick) } else { change };
            let Ok((next, event)) = transition(&workset, change.clone(), &by(now_ms), seed) else { continue };
            prop_assert!(workset.state.legal_moves().contains(&next.state));
            prop_assert_eq!(next.state, change.to);
            prop_assert_eq!(next.version, workset.version + 1);
            prop_assert!(next.fence >= workset.fence && change.token.is_none_or(|t| t == next.fence));
            prop_assert!(change.if_version.is_none_or(|v| v == workset.version));
            prop_assert_eq!((event.version, event.from, event.to), (next.version, Some(workset.state), next.state));
            prop_assert!(next.retry_count <= RETRIES_MAX);
            prop_assert_eq!(next.next_retry_at.is_some(), next.state == State::Retrying);
            prop_assert!(next.state != State::Error || next.error.is_some());
            prop_assert!(next.state != State::InProgress || (next.started_at.is_some() && next.finished_at.is_none()));
            prop_assert_eq!((&next.tenant, &next.id, next.created_at), (&workset.tenant, &workset.id, workset.created_at));
            let json = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Workset>(&json).unwrap(), &next);
            workset = next;
        }
    }

    /// A retry never begins before its delay is over, nor is it put off beyond the cap.
    #[test]
    fn a_retry_waits_out_its_delay(seed: u64, waited_ms in 0..3_000_u64) {
        let failed = walk(fresh(), &[State::InProgress, State::Error], ErrorCategory::Resource).unwrap();
        let at_ms = failed.updated_at.as_millis();
        let (waiting, _) = transition(&failed, Transition::to(State::Retrying), &by(at_ms), seed).unwrap();
        let due_ms = waiting.next_retry_at.unwrap().as_millis();
        prop_assert!(due_ms > at_ms && due_ms - at_ms <= crate::time::millis(DELAY_MAX));
        let ready = transition(&waiting, Transition::to(State::Ready), &by(at_ms + waited_ms), seed);
        prop_assert_eq!(ready.is_ok(), at_ms + waited_ms >= due_ms);
        prop_assert!(transition(&waiting, Transition::to(State::Canceled), &by(at_ms), seed).is_ok());
    }
}

#[test]
fn every_state_is_reached_by_real_writes() {
    use State::{Archived, Canceled, Complete, Deleted, Error, Failed, Ignored, InProgress, Ready, Retrying};
    let walks: [&[State]; 5] = [
        &[Canceled],
        &[InProgress, Complete, Archived, Deleted],
        &[InProgress, Error, Failed, Archived, Ready],
        &[InProgress, Error, Ignored, Archived],
        &[InProgress, Error, Retrying, Ready, InProgress],
    ];
    for states in walks {
        let last = walk(fresh(), states, ErrorCategory::Transient).map(|w| w.state);
        assert_eq!(last, Ok(*states.last().unwrap()));
    }
}

#[test]
fn three_retries_and_no_more() {
    let round = [State::InProgress, State::Error, State::Retrying, State::Ready];
    let thrice = walk(fresh(), &round.repeat(3), ErrorCategory::Transient).unwrap();
    assert_eq!(thrice.retry_count, 3);
    assert_eq!(walk(thrice.clone(), &round, ErrorCategory::Transient), Err(Refused::RetriesSpent));
    // A life after the archive has retries of its own.
    let again = [State::InProgress, State::Error, State::Archived, State::Ready];
    assert_eq!(walk(thrice, &again, ErrorCategory::Data).unwrap().retry_count, 0);
}

#[test]
fn only_passing_errors_are_retried() {
    for category in ErrorCategory::ALL {
        let walked = walk(fresh(), &[State::InProgress, State::Error, State::Retrying], category);
        let expected =
            if category.is_retryable() { Ok(State::Retrying) } else { Err(Refused::NotRetryable(category)) };
        assert_eq!(walked.map(|w| w.state), expected);
    }
}

#[test]
fn a_failed_run_says_what_went_wrong() {
    let running = walk(fresh(), &[State::InProgress], ErrorCategory::Data).unwrap();
    let silent = transition(&running, Transition::to(State::Error), &by(9), 7);
    assert_eq!(silent, Err(Refused::NoError));
}

#[test]
fn fields_stay_with_the_states_they_belong_to() {
    let change = Transition { error: Some(failure(ErrorCategory::Data)), ..Transition::to(State::Canceled) };
    let refused = transition(&fresh(), change, &by(9), 7).unwrap_err();
    assert_eq!(refused.to_string(), "`error` does not go with a move to `canceled` (leave it out)");
}

#[test]
fn a_superseded_holder_writes_nothing() {
    let claim = Transition { token: Some(6), ..Transition::to(State::InProgress) };
    let (running, _) = transition(&fresh(), claim, &by(9), 7).unwrap();
    let late = Transition { token: Some(5), ..Transition::to(State::Complete) };
    let refused = Err(Refused::Superseded { presented: 5, fence: 6 });
    assert_eq!(transition(&running, late, &by(10), 7), refused);
    let news: Report = serde_json::from_value(json!({"progress": {"step": "align"}, "token": 5})).unwrap();
    assert_eq!(report(&running, news, &by(10)), refused);
}

#[test]
fn a_stale_reader_is_told_the_version() {
    let change = Transition { if_version: Some(4), ..Transition::to(State::InProgress) };
    let refused = transition(&fresh(), change, &by(9), 7);
    assert_eq!(refused, Err(Refused::Changed { wanted: 4, version: 1 }));
}

#[test]
fn progress_is_reported_only_of_a_run() {
    let news: Report =
        serde_json::from_value(json!({"progress": {"step": "align", "message": "3 of 9"}})).unwrap();
    assert_eq!(report(&fresh(), news.clone(), &by(9)), Err(Refused::NotRunning(State::Ready)));
    let running = walk(fresh(), &[State::InProgress], ErrorCategory::Data).unwrap();
    let (next, event) = report(&running, news.clone(), &by(9)).unwrap();
    assert_eq!((next.version, next.progress), (running.version + 1, Some(news.progress)));
    assert_eq!((event.from, event.to), (Some(State::InProgress), State::InProgress));
}
