//! Which region's API is asked next, and when a write may be repeated.
//!
//! Reads go on to the next region on an outage. A write whose answer was lost is
//! looked up before it is sent again, and what an API refuses it refuses for good:
//! another region would do the same, or worse, do it twice.

use std::time::Duration;

use sealane::{
    ports::Silence,
    region::RegionName,
    workset::{Priority, Registration, State, Transition, Workset, WorksetId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    api::{Answer, Api, Call, Lost, Method},
    fault::ApiFault,
};

/// Worksets that an API gives at once, at most.
const PAGE_MAX: usize = 100;

/// How long a call waits for an earlier request of its own that is still at work: the API lets
/// another one take over after 30 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// The wait where an API does not say how long to wait.
const WAIT: Duration = Duration::from_secs(2);

/// One workset, as the API gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct One {
    /// The workset.
    pub(super) workset: Workset,
    /// The region whose replica was read or written.
    pub(super) served_by: Option<RegionName>,
}

/// One page of a listing, as the API gives it.
#[derive(Debug, Deserialize)]
struct Page {
    worksets: Vec<Workset>,
    #[serde(default)]
    next: Option<String>,
}

/// What a look at the workset says of a write whose answer was lost.
enum Found {
    /// It took effect.
    Done(Box<One>),
    /// It did not.
    NotDone,
}

/// What `call` reads, from the first region that answers.
pub(super) async fn read<T: DeserializeOwned>(
    api: &impl Api,
    order: &[RegionName],
    call: &Call,
) -> Result<T, ApiFault> {
    let (region, answer) = first_answer(api, order, call).await?;
    accepted(region, answer)
}

/// Up to `limit` worksets of a state and a priority, page by page.
pub(super) async fn list(
    api: &impl Api,
    order: &[RegionName],
    filter: (Option<State>, Option<Priority>),
    limit: usize,
) -> Result<Vec<Workset>, ApiFault> {
    let (mut worksets, mut cursor) = (Vec::new(), None::<String>);
    while worksets.len() < limit {
        let call = Call::list(filter, PAGE_MAX.min(limit - worksets.len()), cursor.as_deref());
        let page: Page = read(api, order, &call).await?;
        worksets.extend(page.worksets);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    worksets.truncate(limit);
    Ok(worksets)
}

/// Registers a workset.
pub(super) async fn register(
    api: &impl Api,
    order: &[RegionName],
    registration: &Registration,
) -> Result<One, ApiFault> {
    let [first, ..] = order else { return Err(ApiFault::Nowhere) };
    let unreadable = |source| ApiFault::Unreadable { region: *first, source };
    let call = Call::register(registration).map_err(unreadable)?;
    let id = registration.id.as_deref().unwrap_or_default().parse::<WorksetId>();
    let look = id.map(|id| Call::get(&id, None)).map_err(|_| ApiFault::Nowhere)?;
    write(api, order, &call, &look, |held| match held {
        None => Ok(Found::NotDone),
        Some(held) if is_same(&held.workset, registration) => Ok(Found::Done(Box::new(held))),
        Some(held) => Err(changed(&held)),
    })
    .await
}

/// Moves a workset to another state, from the version that is read first.
pub(super) async fn transition(
    api: &impl Api,
    order: &[RegionName],
    id: &WorksetId,
    transition: Transition,
) -> Result<One, ApiFault> {
    let look = Call::get(id, None);
    let One { workset: before, .. } = read(api, order, &look).await?;
    let transition = Transition { if_version: Some(before.version), ..transition };
    let [first, ..] = order else { return Err(ApiFault::Nowhere) };
    let unreadable = |source| ApiFault::Unreadable { region: *first, source };
    let call = Call::transition(id, &transition).map_err(unreadable)?;
    write(api, order, &call, &look, |held| match held {
        Some(held) if held.workset.version <= before.version => Ok(Found::NotDone),
        Some(held) if held.workset.version == before.version + 1 && held.workset.state == transition.to => {
            Ok(Found::Done(Box::new(held)))
        }
        Some(held) => Err(changed(&held)),
        // A replica that has not heard of the workset yet has not heard of the write either.
        None => Ok(Found::NotDone),
    })
    .await
}

/// Changes or deletes a workset, from the version that is read first.
pub(super) async fn change(
    api: &impl Api,
    order: &[RegionName],
    id: &WorksetId,
    (method, body): (Method, Value),
) -> Result<One, ApiFault> {
    let look = Call::get(id, None);
    let One { workset: before, .. } = read(api, order, &look).await?;
    let tag = format!("\"{}-{}\"", before.version, before.written_in);
    let call = Call::tagged(method, id, tag, body);
    write(api, order, &call, &look, |held| match held {
        Some(held) if held.workset.version <= before.version => Ok(Found::NotDone),
        // The next version may be another's; whether it is ours, nobody can tell from here.
        Some(held) => Err(changed(&held)),
        None => Ok(Found::NotDone),
    })
    .await
}

/// Sends a call that is acted on once to one region after the other, until one answers: it has a
/// key, so that what took effect behind a lost answer is told again and not done again.
pub(super) async fn send(api: &impl Api, order: &[RegionName], call: &Call) -> Result<Value, ApiFault> {
    match first_answer(api, order, call).await {
        Ok((region, answer)) => accepted(region, answer),
        Err(ApiFault::Silent(silences)) if call.write.is_some() => Err(ApiFault::Doubtful(silences)),
        Err(fault) => Err(fault),
    }
}

/// Sends a write to the regions in turn, and looks at the workset before each repetition.
async fn write(
    api: &impl Api,
    order: &[RegionName],
    call: &Call,
    look: &Call,
    judge: impl Fn(Option<One>) -> Result<Found, ApiFault>,
) -> Result<One, ApiFault> {
    let mut silences: Vec<(RegionName, Lost)> = Vec::new();
    let mut patience = PATIENCE;
    for &region in order {
        if !silences.is_empty() {
            match api.call(region, look).await {
                Err(how) => {
                    silences.push((region, how));
                    continue;
                }
                Ok(answer) => {
                    if let Found::Done(workset) = judge(held(region, answer)?)? {
                        return Ok(*workset);
                    }
                }
            }
        }
        match patiently(api, region, call, &mut patience).await {
            // A refusal after a loss may be the refusal of what the loss hid, which a
            // replica that was behind did not show.
            Ok(answer) if !answer.is_success() && !silences.is_empty() => {
                let late =
                    api.call(region, look).await.ok().map(|answer| held(region, answer)).transpose()?;
                return match late.map(&judge).transpose()? {
                    Some(Found::Done(workset)) => Ok(*workset),
                    Some(Found::NotDone) | None => accepted(region, answer),
                };
            }
            Ok(answer) => return accepted(region, answer),
            Err(how) => silences.push((region, how)),
        }
    }
    if silences.is_empty() { Err(ApiFault::Nowhere) } else { Err(ApiFault::Doubtful(silences)) }
}

const fn changed(held: &One) -> ApiFault {
    ApiFault::Changed { state: held.workset.state, version: held.workset.version }
}

async fn first_answer(
    api: &impl Api,
    order: &[RegionName],
    call: &Call,
) -> Result<(RegionName, Answer), ApiFault> {
    let (mut silences, mut patience) = (Vec::new(), PATIENCE);
    for &region in order {
        match patiently(api, region, call, &mut patience).await {
            Ok(answer) => return Ok((region, answer)),
            Err(how) => silences.push((region, how)),
        }
    }
    if silences.is_empty() { Err(ApiFault::Nowhere) } else { Err(ApiFault::Silent(silences)) }
}

/// What the API of `region` answers, after `patience` at most if an earlier request of this very call
/// is still at work. One that is so for longer is as good as no answer: nobody knows what comes of it.
async fn patiently(
    api: &impl Api,
    region: RegionName,
    call: &Call,
    patience: &mut Duration,
) -> Result<Answer, Lost> {
    loop {
        let answer = api.call(region, call).await?;
        if !answer.is_at_work() {
            return Ok(answer);
        }
        let wait = answer.retry_after.unwrap_or(WAIT).max(Duration::from_secs(1));
        let Some(left) = patience.checked_sub(wait) else {
            return Err(Lost { how: Silence::Timeout, said: Some(answer.detail()) });
        };
        *patience = left;
        tokio::time::sleep(wait).await;
    }
}

/// The workset in the answer to a look; `None` if there is none.
fn held(region: RegionName, answer: Answer) -> Result<Option<One>, ApiFault> {
    if answer.status == 404 { Ok(None) } else { accepted(region, answer).map(Some) }
}

fn accepted<T: DeserializeOwned>(region: RegionName, answer: Answer) -> Result<T, ApiFault> {
    if !answer.is_success() {
        return Err(ApiFault::Refused { region, status: answer.status, detail: answer.detail() });
    }
    serde_json::from_value(answer.body).map_err(|source| ApiFault::Unreadable { region, source })
}

/// Whether `held` is what this registration makes.
fn is_same(held: &Workset, sent: &Registration) -> bool {
    let same = |held: &str, sent: &Option<String>| sent.as_deref().is_none_or(|sent| sent == held);
    held.version == 1
        && same(held.bucket.as_str(), &sent.bucket)
        && same(held.prefix.as_str(), &sent.prefix)
        && same(held.priority.as_str(), &sent.priority)
        && same(held.kind.as_str(), &sent.kind)
        && held.metadata.clone().map(serde_json::Value::from) == sent.metadata
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
