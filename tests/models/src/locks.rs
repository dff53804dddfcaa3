//! The locks: workers that take, renew and give back the lock of a workset, and write under it.
//!
//! The rules are [`Slot`]'s and [`report`]'s own. A worker may pause for as long as it likes
//! between any two steps and still believe in its lock (a zombie), may die, may send a write
//! twice whose answer was lost, and may have a clock that is ahead. It asks the lock's row
//! whether it may write, and some time later writes the workset's row, which is another row.
//!
//! The workset is always in a state that can be locked, and always takes news: the states
//! have their own properties beside the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sealane::{
    time::Timestamp,
    workset::{
        Actor, By, Lease, Lock, Progress, Registration, Report, Slot, State as Phase, Workset, register,
        report,
    },
};
use stateright::{Model, Property};

/// The unit of time of the model, and how long a lock is held.
const TICK: Duration = Duration::from_secs(1);

/// A mistake that the locks exist to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// None: the protocol as it is.
    None,
    /// Writes of the lock's row carry no condition.
    NoCondition,
    /// The lock's table is a default global table, and the last writer wins.
    LastWriterWins,
    /// The workset's row is written without a look at the token.
    NoFence,
    /// A lock is taken over before it expired.
    StolenEarly,
    /// A lock that is given back takes its token with it.
    TokensForgotten,
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Broken {
    TwoHolders,
    WroteAfterSuccessor,
    TakenEarly,
    TokenFell,
}

/// The lock's row, as states keep it: version, last token, and the lock as owner, token and expiry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    version: u64,
    token_last: u64,
    lock: Option<(usize, u64, u64)>,
}

/// A write of the lock's row that has not yet arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    read: u64,
    next: Row,
    taking: bool,
}

/// A worker's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// The token that it believes to hold.
    token: Option<u64>,
    plan: Option<Plan>,
    /// The lock's row has said that it may write; the write has yet to come.
    may_write: bool,
}

/// The rows and the workers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The lock's row: one, or two replicas of it where the last writer wins.
    slots: Vec<Row>,
    last: usize,
    /// The workset's fence.
    fence: u64,
    workers: Vec<Worker>,
    now: u64,
    /// Who took each token.
    holders: BTreeMap<u64, usize>,
    /// The highest token under which anything was written.
    written: u64,
    broken: BTreeSet<Broken>,
}

/// What happens next. The number is the worker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads the lock's row and decides to take the lock.
    Take(usize),
    /// Reads the lock's row and decides to renew.
    Renew(usize),
    /// Reads the lock's row and decides to give the lock back.
    GiveBack(usize),
    /// The write of the lock's row arrives.
    Commit(usize),
    /// It arrives, and the answer is lost: it will be sent again.
    CommitUnheard(usize),
    /// Asks whether its token still opens the workset.
    Ask(usize),
    /// Writes the workset.
    Write(usize),
    /// Dies, and starts without memory.
    Die(usize),
    /// Time passes.
    Tick,
    /// The replicas meet.
    Meet,
}

/// Some workers and one workset.
#[derive(Debug)]
pub struct Locks {
    flaw: Flaw,
    /// How far each worker's clock is ahead, in ticks.
    ahead: Vec<u64>,
    ticks_max: u64,
    versions_max: u64,
    names: Vec<Actor>,
    workset: Workset,
    by: By,
    lease: Lease,
}

impl Locks {
    /// One worker for each clock, and bounds of time and of writes.
    ///
    /// # Panics
    /// Never: the names are fixed, and a test of this crate parses them.
    pub fn new(flaw: Flaw, ahead: &[u64], ticks_max: u64, versions_max: u64) -> Self {
        let name = |who| format!("worker-{who}").parse().unwrap_or_else(|e| panic!("{e}"));
        let names: Vec<Actor> = (0..ahead.len()).map(name).collect();
        let request = Registration {
            id: Some("ws-001".to_owned()),
            bucket: Some("my-bucket".to_owned()),
            prefix: Some("worksets/ws-001/".to_owned()),
            ..Registration::default()
        };
        let by = By {
            actor: names[0].clone(),
            region: "us-west-2".parse().unwrap_or_else(|e| panic!("{e}")),
            at: Timestamp::default(),
            request: "request".to_owned(),
            epoch: None,
        };
        let tenant = "tenant".parse().unwrap_or_else(|e| panic!("{e}"));
        let (workset, _) = register(request, tenant, &by).unwrap_or_else(|e| panic!("{e}"));
        let workset = Workset { state: Phase::InProgress, ..workset };
        let lease = Lease::try_from(TICK).unwrap_or_default();
        Self { flaw, ahead: ahead.to_vec(), ticks_max, versions_max, names, workset, by, lease }
    }

    fn place(&self, who: usize) -> usize {
        if self.flaw == Flaw::LastWriterWins { who % 2 } else { 0 }
    }

    /// The time on this worker's clock.
    fn clock(&self, state: &State, who: usize) -> Timestamp {
        at(state.now + self.ahead[who])
    }

    fn slot(&self, row: Row) -> Slot {
        let lock = row.lock.map(|(owner, token, until)| Lock {
            owner: self.names[owner].clone(),
            token,
            expires_at: at(until),
        });
        Slot { token_last: row.token_last, lock }
    }

    fn row(&self, slot: &Slot, version: u64) -> Row {
        let owner =
            |lock: &Lock| self.names.iter().position(|name| *name == lock.owner).unwrap_or(usize::MAX);
        let lock = slot.lock.as_ref().map(|l| (owner(l), l.token, l.expires_at.as_millis() / 1_000));
        Row { version, token_last: slot.token_last, lock }
    }

    /// The write of the lock's row that `action` leads to, if the rules allow it.
    fn plan(&self, state: &State, who: usize, action: Action) -> Option<Plan> {
        let row = state.slots[self.place(who)];
        let (slot, now) = (self.slot(row), self.clock(state, who));
        let token = state.workers[who].token.unwrap_or_default();
        let next = match action {
            Action::Take(_) => {
                let now_or_later = if self.flaw == Flaw::StolenEarly { now.after(TICK) } else { now };
                slot.acquire(Phase::Ready, self.names[who].clone(), self.lease, now_or_later).ok()?
            }
            Action::Renew(_) => slot.renew(token, self.lease, now).ok()?,
            Action::GiveBack(_) => {
                let free = slot.release(token).ok()?;
                let token_last = if self.flaw == Flaw::TokensForgotten { 0 } else { free.token_last };
                Slot { token_last, ..free }
            }
            Action::Commit(_)
            | Action::CommitUnheard(_)
            | Action::Ask(_)
            | Action::Write(_)
            | Action::Die(_)
            | Action::Tick
            | Action::Meet => return None,
        };
        let taking = matches!(action, Action::Take(_));
        Some(Plan { read: row.version, next: self.row(&next, row.version + 1), taking })
    }

    /// The state after a write of the lock's row arrived, which may be refused.
    fn commit(&self, mut state: State, who: usize, heard: bool) -> Option<State> {
        let plan = state.workers[who].plan?;
        let place = self.place(who);
        let old = state.slots[place];
        let holds = self.flaw == Flaw::NoCondition || plan.read == old.version;
        if heard {
            state.workers[who].plan = None;
        }
        if !holds {
            return Some(state);
        }
        if plan.taking {
            let first = *state.holders.entry(plan.next.token_last).or_insert(who);
            let early = old.lock.is_some_and(|(owner, _, until)| owner != who && state.now < until);
            let skewed = self.ahead.iter().any(|ahead| *ahead > 0);
            let broken = [
                (Broken::TwoHolders, first != who),
                (Broken::TakenEarly, early && !skewed),
                (Broken::TokenFell, plan.next.token_last <= old.token_last),
            ];
            state.broken.extend(broken.into_iter().filter(|(_, breaks)| *breaks).map(|(rule, _)| rule));
        }
        if heard && plan.next.lock.is_none_or(|(owner, ..)| owner == who) {
            state.workers[who].token = plan.next.lock.map(|(_, token, _)| token);
        }
        state.slots[place] = plan.next;
        state.last = place;
        Some(state)
    }

    /// The state after a write of the workset, which the fence may refuse.
    fn write(&self, mut state: State, who: usize) -> Option<State> {
        let token = state.workers[who].token.filter(|_| state.workers[who].may_write)?;
        state.workers[who].may_write = false;
        let workset = Workset { fence: state.fence, ..self.workset.clone() };
        let step = "align".to_owned().try_into().ok()?;
        let news = Report {
            progress: Progress { step, message: None },
            metrics: None,
            token: (self.flaw != Flaw::NoFence).then_some(token),
            if_version: None,
        };
        if let Ok((next, _)) = report(&workset, news, &self.by) {
            state.fence = next.fence;
            if token < state.written {
                state.broken.insert(Broken::WroteAfterSuccessor);
            }
            state.written = state.written.max(token);
        }
        Some(state)
    }
}

fn at(ticks: u64) -> Timestamp {
    Timestamp::from_millis(ticks * 1_000)
}

impl Model for Locks {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let replicas = if self.flaw == Flaw::LastWriterWins { 2 } else { 1 };
        vec![State {
            slots: vec![Row::default(); replicas],
            last: 0,
            fence: 0,
            workers: vec![Worker::default(); self.ahead.len()],
            now: 0,
            holders: BTreeMap::new(),
            written: 0,
            broken: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (who, worker) in state.workers.iter().enumerate() {
            if worker.plan.is_some() {
                actions.extend([Action::Commit(who), Action::CommitUnheard(who)]);
            } else {
                actions.push(Action::Take(who));
            }
            if worker.plan.is_none() && worker.token.is_some() {
                actions.extend([Action::Renew(who), Action::GiveBack(who)]);
            }
            if worker.token.is_some() {
                actions.push(if worker.may_write { Action::Write(who) } else { Action::Ask(who) });
            }
            actions.push(Action::Die(who));
        }
        if state.now < self.ticks_max {
            actions.push(Action::Tick);
        }
        if self.flaw == Flaw::LastWriterWins {
            actions.push(Action::Meet);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Take(who) | Action::Renew(who) | Action::GiveBack(who) => {
                state.workers[who].plan = Some(self.plan(&state, who, action)?);
            }
            Action::Commit(who) => return self.commit(state, who, true),
            Action::CommitUnheard(who) => return self.commit(state, who, false),
            Action::Ask(who) => {
                let slot = self.slot(state.slots[self.place(who)]);
                state.workers[who].may_write =
                    slot.guard(state.workers[who].token, self.clock(&state, who)).is_ok();
            }
            Action::Write(who) => return self.write(state, who),
            Action::Die(who) => state.workers[who] = Worker::default(),
            Action::Tick => state.now += 1,
            Action::Meet => {
                let winner = state.slots[state.last];
                state.slots.fill(winner);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no token has two holders", |_, s: &State| {
                !s.broken.contains(&Broken::TwoHolders)
            }),
            Property::always("nobody writes after a later holder has", |_, s: &State| {
                !s.broken.contains(&Broken::WroteAfterSuccessor)
            }),
            Property::always("a lock is not taken over before it expired", |_, s: &State| {
                !s.broken.contains(&Broken::TakenEarly)
            }),
            Property::always("tokens rise with every lock taken", |_, s: &State| {
                !s.broken.contains(&Broken::TokenFell)
            }),
            Property::sometimes("a lock is taken over", |_, s: &State| {
                let taken: BTreeSet<_> = s.holders.values().collect();
                taken.len() > 1
            }),
            Property::sometimes("a later holder writes", |_, s: &State| s.written > 1),
            Property::sometimes(
                "a zombie is about to write under a token that was superseded",
                |_, s: &State| {
                    s.workers.iter().any(|w| w.may_write && w.token.is_some_and(|token| token < s.fence))
                },
            ),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.slots.iter().all(|slot| slot.version <= self.versions_max)
    }
}
