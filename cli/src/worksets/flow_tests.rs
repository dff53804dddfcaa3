use std::sync::{Mutex, PoisonError};

use sealane::{ports::Silence, time::Timestamp, workset::By};
use serde_json::json;

use super::*;

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn order() -> Vec<RegionName> {
    vec![region("us-west-2"), region("us-east-1")]
}

fn registration() -> Registration {
    serde_json::from_value(json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "run/"})).unwrap()
}

fn workset(version: u64, state: State) -> Workset {
    let by = By {
        actor: "ada".parse().unwrap(),
        region: region("us-west-2"),
        at: Timestamp::from_millis(1_700_000_000_000),
        request: String::new(),
        epoch: None,
    };
    let (first, _) = sealane::workset::register(registration(), "lab".parse().unwrap(), &by).unwrap();
    Workset { version, state, ..first }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer { status, body, retry_after: None }
}

/// Another request with the key is at work for up to `secs`.
fn at_work(secs: u64) -> Result<Answer, Lost> {
    let body = json!({"type": "/problems/call-in-progress", "detail": "another request is at work"});
    Ok(Answer { retry_after: Some(Duration::from_secs(secs)), ..answer(409, body) })
}

fn found(workset: &Workset) -> Result<Answer, Lost> {
    Ok(answer(200, json!({ "workset": workset, "served_by": "us-west-2" })))
}

fn refused(status: u16) -> Result<Answer, Lost> {
    Ok(answer(status, json!({"title": "no", "detail": "it is as it is"})))
}

const LOST: Result<Answer, Lost> = Err(Lost { how: Silence::Timeout, said: None });

/// Gives its answers in turn, and remembers what was asked, as `region verb`.
struct Script {
    answers: Mutex<Vec<Result<Answer, Lost>>>,
    asked: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Value>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Answer, Lost>>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self { answers: Mutex::new(answers), asked: Mutex::default(), bodies: Mutex::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Api for Script {
    async fn call(&self, region: RegionName, call: &Call) -> Result<Answer, Lost> {
        let verb = if call.write.is_some() { "POST" } else { "GET" };
        self.asked.lock().unwrap().push(format!("{region} {verb}"));
        self.bodies.lock().unwrap().extend(call.write.as_ref().map(|write| write.body.clone()));
        self.answers.lock().unwrap().pop().expect("no more calls are expected")
    }
}

#[tokio::test]
async fn a_read_goes_on_to_the_next_region_on_an_outage() {
    let api = Script::new([Err(Silence::ServerError(503).into()), found(&workset(1, State::Ready))]);
    let read: One = read(&api, &order(), &Call::get(&"ws-001".parse().unwrap(), None)).await.unwrap();
    assert_eq!(read.workset.id.as_str(), "ws-001");
    assert_eq!(api.asked(), ["us-west-2 GET", "us-east-1 GET"]);
}

#[tokio::test]
async fn an_outage_is_never_told_as_not_found() {
    let api = Script::new([LOST, Err(Silence::NoConnection.into())]);
    let read = read::<One>(&api, &order(), &Call::get(&"ws-001".parse().unwrap(), None)).await;
    let text = read.unwrap_err().to_string();
    assert_eq!(text, "no region's api answered: us-west-2 timed out, us-east-1 no connection");
}

#[tokio::test]
async fn what_one_region_refuses_no_other_is_asked() {
    let api = Script::new([refused(409)]);
    let text = register(&api, &order(), &registration()).await.unwrap_err().to_string();
    assert_eq!(text, "the api of us-west-2 refused the call with status 409: it is as it is");
    assert_eq!(api.asked(), ["us-west-2 POST"]);
}

#[tokio::test]
async fn a_lost_write_is_looked_up_before_it_is_repeated() {
    let api = Script::new([LOST, found(&workset(1, State::Ready))]);
    assert!(register(&api, &order(), &registration()).await.is_ok());
    assert_eq!(api.asked(), ["us-west-2 POST", "us-east-1 GET"]);

    let api = Script::new([LOST, refused(404), found(&workset(1, State::Ready))]);
    assert!(register(&api, &order(), &registration()).await.is_ok());
    assert_eq!(api.asked(), ["us-west-2 POST", "us-east-1 GET", "us-east-1 POST"]);
}

#[tokio::test]
async fn a_lost_write_that_nobody_can_look_up_is_not_known() {
    let api = Script::new([LOST, LOST]);
    let fault = register(&api, &order(), &registration()).await.unwrap_err();
    assert!(matches!(fault, ApiFault::Doubtful(_)), "{fault}");
    assert_eq!(fault.exit(), crate::exit::Exit::Unknown);
}

#[tokio::test]
async fn another_workset_of_that_id_is_not_taken_for_ones_own() {
    let other = Workset { prefix: "other/".parse().unwrap(), ..workset(1, State::Ready) };
    let api = Script::new([LOST, found(&other)]);
    let fault = register(&api, &order(), &registration()).await.unwrap_err();
    assert!(matches!(fault, ApiFault::Changed { .. }), "{fault}");
}

#[tokio::test]
async fn a_transition_is_sent_from_the_version_that_was_read() {
    let after = workset(4, State::InProgress);
    let api = Script::new([found(&workset(3, State::Ready)), LOST, found(&after)]);
    let id = "ws-001".parse().unwrap();
    let done = transition(&api, &order(), &id, Transition::to(State::InProgress)).await.unwrap();
    assert_eq!(done.workset, after);
    assert_eq!(api.asked(), ["us-west-2 GET", "us-west-2 POST", "us-east-1 GET"]);
    assert_eq!(*api.bodies.lock().unwrap(), [json!({"to": "in_progress", "if_version": 3})]);
}

#[tokio::test]
async fn a_listing_follows_its_pages_to_the_limit() {
    let page = |next: Option<&str>| {
        let worksets = vec![workset(1, State::Ready); 2];
        Ok(answer(200, json!({"worksets": worksets, "next": next})))
    };
    let api = Script::new([page(Some("c1")), page(Some("c2"))]);
    assert_eq!(list(&api, &order(), (Some(State::Ready), None), 3).await.unwrap().len(), 3);
    let api = Script::new([page(Some("c1")), page(None)]);
    assert_eq!(list(&api, &order(), (None, None), 50).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_refusal_after_a_loss_may_be_that_of_ones_own_success() {
    let (before, after) = (workset(3, State::Ready), workset(4, State::InProgress));
    // The look comes too early for the replica, the repetition does not.
    let api = Script::new([found(&before), LOST, found(&before), refused(412), found(&after)]);
    let id = "ws-001".parse().unwrap();
    let done = transition(&api, &order(), &id, Transition::to(State::InProgress)).await.unwrap();
    assert_eq!(done.workset, after);

    let api = Script::new([found(&before), LOST, found(&before), refused(412), found(&before)]);
    let fault = transition(&api, &order(), &id, Transition::to(State::InProgress)).await.unwrap_err();
    assert!(matches!(fault, ApiFault::Refused { status: 412, .. }), "{fault}");
}

#[tokio::test]
async fn a_call_with_a_key_is_sent_on_without_a_look_and_the_same() {
    let claimed = Ok(answer(201, json!({"workset": {"id": "ws-001"}, "lock": {"token": 1}})));
    let api = Script::new([LOST, claimed]);
    let call = Call::post("/v1/worksets:claim".to_owned(), json!({"lease_s": 60}));
    assert_eq!(send(&api, &order(), &call).await.unwrap()["lock"]["token"], 1);
    assert_eq!(api.asked(), ["us-west-2 POST", "us-east-1 POST"]);
    let api = Script::new([LOST, LOST]);
    assert!(matches!(send(&api, &order(), &call).await, Err(ApiFault::Doubtful(_))));
    let api = Script::new([LOST, LOST]);
    assert!(matches!(send(&api, &order(), &Call::queue(None)).await, Err(ApiFault::Silent(_))));
}

#[tokio::test]
async fn a_change_names_the_version_that_was_read() {
    let api = Script::new([found(&workset(3, State::Ready)), found(&workset(4, State::Ready))]);
    let id = "ws-001".parse().unwrap();
    let changed = change(&api, &order(), &id, (Method::Patch, json!({"priority": "low"}))).await.unwrap();
    assert_eq!(changed.workset.version, 4);
    let call = Call::tagged(Method::Delete, &id, "\"3-us-west-2\"".to_owned(), json!({}));
    let write = call.write.unwrap();
    assert_eq!((write.method.as_str(), write.if_match.as_deref()), ("DELETE", Some("\"3-us-west-2\"")));
}

/// The first request is still at it: its end is waited for, and what came of it told.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_still_at_work_is_waited_for() {
    let claimed = || Ok(answer(201, json!({"lock": {"token": 1}})));
    let api = Script::new([LOST, at_work(31), claimed()]);
    let call = Call::post("/v1/worksets:claim".to_owned(), json!({}));
    let began = tokio::time::Instant::now();
    assert_eq!(send(&api, &order(), &call).await.unwrap()["lock"]["token"], 1);
    assert_eq!(began.elapsed(), Duration::from_secs(31));
    assert_eq!(api.asked(), ["us-west-2 POST", "us-east-1 POST", "us-east-1 POST"]);

    let registered = found(&workset(1, State::Ready));
    let api = Script::new([LOST, refused(404), at_work(31), registered]);
    assert!(register(&api, &order(), &registration()).await.is_ok());
}

/// What nobody knows the end of is not told as refused.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_at_work_for_too_long_is_not_known() {
    let call = Call::post("/v1/worksets:claim".to_owned(), json!({}));
    let api = Script::new([LOST, at_work(31), at_work(31)]);
    let began = tokio::time::Instant::now();
    let fault = send(&api, &order(), &call).await.unwrap_err();
    assert!(matches!(fault, ApiFault::Doubtful(_)), "{fault}");
    assert_eq!(fault.exit(), crate::exit::Exit::Unknown);
    assert!(began.elapsed() <= PATIENCE);
    assert!(fault.to_string().contains("at work"), "{fault}");
}
