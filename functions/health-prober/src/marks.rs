//! Marks in the data's table: written where the others are, looked for here.
//!
//! A full region's prober asks how late the data of each other full region arrives
//! in its own replica. A witness has no replica of the data and measures nothing, and where the
//! replicas are strongly consistent nothing is late, so that nobody does.

use futures::future::join_all;
use sealane::{
    config::Consistency,
    health::{Mark, SHARDS},
    ports::{Clock, Rows},
    region::RegionName,
    time::Timestamp,
};
use tokio::time::timeout;

use crate::{Deps, Doors, State, look::Wanted, row::OWN_ANSWER_MAX};

/// A mark that is about to be written in one region.
pub(crate) struct Errand {
    watched: RegionName,
    mark: Mark,
    began: Timestamp,
}

/// What to write in each of the regions that are `due`: the next mark of this sandbox.
pub(crate) fn errands<D, R, C: Clock>(
    deps: &Deps<D, R, C>,
    state: &State,
    due: &Wanted<'_>,
    number: u64,
) -> Vec<Errand> {
    let is_late = match deps.config.worksets_consistency {
        Consistency::Eventual => deps.data.is_some(),
        Consistency::Strong => false,
    };
    if !is_late {
        return Vec::new();
    }
    let began = deps.clock.now();
    let mark = Mark { series: state.began.unwrap_or(began), number };
    let others = due.iter().map(|(region, _)| region);
    let others = others.filter(|region| region.is_full() && region.name != deps.here);
    others.map(|region| Errand { watched: region.name, mark, began }).collect()
}

/// Writes each mark to every shard at once, and says which were acknowledged.
pub(crate) async fn write<R: Rows, O, A>(
    doors: &Doors<R, O, A>,
    here: RegionName,
    errands: &[Errand],
) -> Vec<(RegionName, usize)> {
    let shards = errands.iter().flat_map(|errand| (0..SHARDS).map(move |shard| (errand, shard)));
    let written = join_all(shards.map(async |(errand, shard)| {
        let table = doors.data.get(&errand.watched)?;
        let write = table.write(here, errand.watched, shard, errand.mark);
        let done = timeout(OWN_ANSWER_MAX, write).await;
        matches!(done, Ok(Ok(()))).then_some((errand.watched, shard))
    }));
    written.await.into_iter().flatten().collect()
}

/// Remembers what was written, and what of it was acknowledged.
pub(crate) fn note(state: &mut State, errands: &[Errand], acknowledged: &[(RegionName, usize)]) {
    for errand in errands {
        let marks = state.marks.entry(errand.watched).or_default();
        let sent = std::mem::take(marks).send(errand.mark, errand.began);
        let shards = acknowledged.iter().filter(|(region, _)| *region == errand.watched);
        *marks = shards.fold(sent, |marks, (_, shard)| marks.acknowledge(*shard, errand.mark));
    }
}

/// Looks here for the marks that have not arrived, and takes the lag into the view.
pub(crate) async fn collect<D, R: Rows, C: Clock>(deps: &Deps<D, R, C>, state: &mut State) {
    let Some(own) = &deps.data else { return };
    let waiting = state.marks.iter().filter(|(_, marks)| marks.is_waiting()).map(|(name, _)| *name);
    let looks = waiting.flat_map(|watched| (0..SHARDS).map(move |shard| (watched, shard)));
    let found = join_all(looks.map(async |(watched, shard)| {
        let mark = timeout(OWN_ANSWER_MAX, own.read(deps.here, watched, shard)).await;
        (watched, shard, mark.ok().and_then(Result::ok).flatten())
    }));
    let found = found.await;
    let now = deps.clock.now();
    for (watched, shard, mark) in found {
        let marks = state.marks.entry(watched).or_default();
        *marks = std::mem::take(marks).find(shard, mark, now);
    }
    measure(state, now);
}

/// Takes the lag at this moment into the view. Before each write of the row: readers
/// date what it says by the newest that it has heard.
pub(crate) fn measure(state: &mut State, now: Timestamp) {
    for (watched, marks) in &state.marks {
        state.observation = state.observation.clone().measure(*watched, marks.lag(now));
    }
}
