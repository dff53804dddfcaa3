//! The steps that are possible, and what must hold after each.

use std::collections::BTreeSet;

use sealane::{
    failover::{Moment, Phase, Record},
    time::Timestamp,
};
use stateright::{Model, Property};

use super::{Action, Broken, Controller, Epoch, Flaw, Plan, State, TICKS_MAX, held::Held};

impl Model for Epoch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let held = self.start.clone().map(Held::new);
        let actives = held.iter().map(|held| (held.record.epoch, held.record.active)).collect();
        let replicas = if self.flaw == Flaw::LastWriterWins { 2 } else { 1 };
        vec![State {
            tables: vec![held; replicas],
            last: 0,
            controllers: vec![Controller::default(); self.controllers],
            actives,
            broken: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (who, controller) in state.controllers.iter().enumerate() {
            if controller.plan.is_none() {
                actions.extend((0..self.views.len()).map(|view| Action::Look(who, view)));
                actions.extend(self.operator.then_some(Action::Ask(who)));
            } else {
                actions.extend([Action::Write(who), Action::WriteUnheard(who), Action::Die(who)]);
            }
        }
        actions.push(Action::Tick);
        if self.flaw == Flaw::LastWriterWins {
            actions.push(Action::Meet);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Look(who, view) => {
                let (watched, plan) = self.plan(&state, who, view);
                state.controllers[who] = Controller { watched, plan };
            }
            Action::Ask(who) => {
                let held = state.tables[self.place(who)].clone()?;
                if held.record.proposal.is_some() {
                    return None;
                }
                let moment = Moment::first_sight(held.record.version, Timestamp::default());
                let next = held.record.ask(self.config.regions[2].name, "ada", "drill", moment)?;
                let plan = Plan { read: held.record.version, next: Held::new(next), view: 0 };
                state.controllers[who].plan = Some(plan);
            }
            Action::Write(who) => return self.write(state, who, true),
            Action::WriteUnheard(who) => return self.write(state, who, false),
            Action::Die(who) => state.controllers[who] = Controller::default(),
            Action::Tick => {
                for (_, ticks) in state.controllers.iter_mut().filter_map(|c| c.watched.as_mut()) {
                    *ticks = (*ticks + 1).min(TICKS_MAX);
                }
            }
            Action::Meet => {
                let winner = state.tables[state.last].clone();
                state.tables.fill(winner);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no epoch has two active regions", |_, s: &State| {
                !s.broken.contains(&Broken::TwoActives)
            }),
            Property::always(
                "the epoch rises by one, when the active region changes and only then",
                |_, s: &State| !s.broken.contains(&Broken::EpochOutOfOrder),
            ),
            Property::always("work moves only into a region that the verdicts call up", |_, s: &State| {
                !s.broken.contains(&Broken::NotUp)
            }),
            Property::always("once work began, a region that holds data is active", |_, s: &State| {
                !s.broken.contains(&Broken::NoActive)
            }),
            Property::always("a plan made on an old record is not carried out", |_, s: &State| {
                !s.broken.contains(&Broken::StalePlan)
            }),
            Property::sometimes("work moves to another region", |m: &Self, s: &State| {
                let first = m.start.as_ref().map_or(1, |r| r.epoch);
                s.tables[0].as_ref().is_some_and(|held| held.record.epoch > first)
            }),
            Property::sometimes("a move comes to its end", |m: &Self, s: &State| {
                let first = m.start.as_ref().map_or(1, |r| r.epoch);
                let steady = |r: &Record| r.epoch > first && r.phase == Phase::Steady;
                s.tables[0].as_ref().is_some_and(|held| steady(&held.record))
            }),
            Property::sometimes("a write is refused because another came first", |_, s: &State| {
                let version = s.tables[0].as_ref().map_or(0, |held| held.record.version);
                s.controllers.iter().any(|c| c.plan.as_ref().is_some_and(|plan| plan.read < version))
            }),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        let version = |held: &Option<Held>| held.as_ref().map_or(0, |held| held.record.version);
        state.tables.iter().all(|held| version(held) <= self.versions_max)
    }
}
