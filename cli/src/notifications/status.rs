//! `sealane notifications status`: what waits and what is parked, by target.

use std::{fmt, time::Duration};

use sealane::{
    notify::{Queued, TargetName},
    ports::Rows,
    store::{Lined, NoticeTable},
    time::{Human, Timestamp},
};
use serde::Serialize;

use super::COUNTED_MAX;
use crate::table::Table;

/// One notice that was not heard.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    target: String,
    id: String,
    stage: &'static str,
    attempts: u32,
    /// Milliseconds since it was queued, by the clock of the function that did.
    age_ms: u64,
    /// Milliseconds until it is told again; `None` when it is told with the next run, or no more.
    next_try_in_ms: Option<u64>,
    reason: Option<String>,
}

/// One target.
#[derive(Debug, PartialEq, Serialize)]
struct Summed {
    target: String,
    waiting: usize,
    parked: usize,
    oldest_age_ms: u64,
    notices: Vec<Line>,
}

/// Every target.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Status {
    targets: Vec<Summed>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.targets.is_empty() {
            return write!(f, "nobody is told: `notifications.targets` names no target");
        }
        let age = |ms| Human(Duration::from_secs(ms / 1_000)).to_string();
        let mut sums = Table::new(["target", "waiting", "oldest", "parked"]);
        for one in &self.targets {
            let oldest = if one.waiting > 0 { age(one.oldest_age_ms) } else { "-".to_owned() };
            sums.row(vec![one.target.clone(), one.waiting.to_string(), oldest, one.parked.to_string()]);
        }
        write!(f, "{sums}")?;
        let lines: Vec<&Line> = self.targets.iter().flat_map(|one| &one.notices).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["target", "notice", "stage", "age", "tries", "next", "reason"]);
        for line in lines {
            let next = line.next_try_in_ms.map_or_else(|| "-".to_owned(), |ms| format!("in {}", age(ms)));
            let reason = line.reason.clone().unwrap_or_default();
            let (target, id, stage) = (line.target.clone(), line.id.clone(), line.stage.to_owned());
            table.row(vec![target, id, stage, age(line.age_ms), line.attempts.to_string(), next, reason]);
        }
        write!(f, "\n{table}")
    }
}

/// Looks at every target, up to `limit` notices of each. A target that cannot be looked at keeps no other from being.
pub(super) async fn look<R: Rows>(
    notices: &NoticeTable<R>,
    names: Vec<TargetName>,
    limit: usize,
    now: Timestamp,
) -> (Status, Vec<String>) {
    let (mut targets, mut silent) = (Vec::new(), Vec::new());
    for name in names {
        let (waiting, parked) =
            futures::join!(notices.waiting(&name, COUNTED_MAX), notices.parked(&name, COUNTED_MAX));
        match (waiting, parked) {
            (Ok(waiting), Ok(parked)) => targets.push(summed(&name, waiting, parked, limit, now)),
            (Err(error), _) | (_, Err(error)) => {
                silent.push(format!("what `{name}` has yet to hear: {error}"))
            }
        }
    }
    (Status { targets }, silent)
}

fn summed(name: &TargetName, waiting: Lined, parked: Lined, limit: usize, now: Timestamp) -> Summed {
    let age = |queued: &Queued| sealane::time::millis(now.since(queued.queued_at));
    let line = |stage| {
        move |queued: &Queued| {
            let wait = sealane::time::millis(queued.next_at.since(now));
            Line {
                target: name.to_string(),
                id: queued.notice.id.clone(),
                stage,
                attempts: queued.attempts,
                age_ms: age(queued),
                next_try_in_ms: Some(wait).filter(|ms| *ms > 0 && stage == "waiting"),
                reason: queued.why.clone(),
            }
        }
    };
    let oldest = waiting.rows.iter().map(|row| age(&row.value)).max();
    let given_up = parked.rows.iter().map(|row| &row.value).map(line("parked"));
    let open = waiting.rows.iter().map(|row| &row.value).map(line("waiting"));
    Summed {
        target: name.to_string(),
        waiting: waiting.rows.len(),
        parked: parked.rows.len(),
        oldest_age_ms: oldest.unwrap_or_default(),
        notices: given_up.chain(open).take(limit).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use futures::FutureExt as _;
    use sealane::{
        memory::MemoryRows,
        notify::{Notice, Outcome, What},
    };

    use super::*;

    pub(in super::super) fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// Three notices for `lims`: one waits, two were refused.
    pub(in super::super) fn table() -> (NoticeTable<MemoryRows>, TargetName) {
        let (table, name) = (NoticeTable::new(MemoryRows::default()), "lims".parse().unwrap());
        for n in 1..=3 {
            let notice = Notice {
                id: format!("n:{n}"),
                line: format!("line-{n}"),
                order: "1".to_owned(),
                what: What::WorksetState,
                state: None,
                body: "{}".to_owned(),
            };
            table.queue(&name, notice, at(n * 1_000)).now_or_never().unwrap().unwrap();
        }
        let rows = table.waiting(&name, 9).now_or_never().unwrap().unwrap().rows;
        for row in &rows[1..] {
            let gone = Outcome::Refused { why: "answered with status 410".to_owned() };
            let parked = row.value.clone().after(&gone, 9, at(5_000), 0);
            table.settle(&name, row, &parked, at(5_000)).now_or_never().unwrap().unwrap();
        }
        (table, name)
    }

    #[test]
    fn what_waits_and_what_is_parked_is_told_with_its_reason() {
        let (table, name) = table();
        let names = vec![name, "ops".parse().unwrap()];
        let (status, silent) = look(&table, names, 2, at(61_000)).now_or_never().unwrap();
        assert_eq!(silent, [""; 0]);
        let text = status.to_string();
        let wanted = "target  waiting  oldest  parked\nlims    1        1m      2\nops     0        -       0\n\n\
                      target  notice  stage   age  tries  next  reason\n\
                      lims    n:2     parked  59s  1      -     answered with status 410\n\
                      lims    n:3     parked  58s  1      -     answered with status 410\n";
        assert_eq!(text, wanted);
    }
}
