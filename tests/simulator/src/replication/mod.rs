//! Replication on the simulated cloud: the real orchestrators behind S3's events and their queues.
//!
//! One seed draws who writes and deletes what, which workers die where, which events come again
//! and which regions are lost; when all of it is over and the work has come to rest, the
//! [`oracle`](self) compares the buckets with what users were promised.

mod all;
mod growth;
mod healing;
mod oracle;
mod plant;
mod report;
mod stage;
mod story;

use std::time::Duration;

use tokio::{runtime, task::LocalSet};

pub use all::{Summary, tell_all};
pub use growth::{Growth, grow};
pub use healing::{Healing, heal};
pub use oracle::Broken;
pub use plant::Plant;
pub use report::{Figures, Grown, Requests, healed};

use self::{stage::Stage, story::Story};
use crate::trace::Trace;

/// What one story came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its seed.
    pub seed: u64,
    /// The promises that were not kept.
    pub broken: Vec<Broken>,
    /// Objects whose copies were looked for.
    pub objects: usize,
    /// Workers that died.
    pub deaths: usize,
    /// Time from the last trouble to rest.
    pub settled: Option<Duration>,
    /// What stands for all that happened.
    pub hash: u64,
}

/// Tells the story of this seed, with a mistake planted or none.
pub fn tell(seed: u64, plant: Option<Plant>, trace: &Trace) -> Told {
    alone(seed, async {
        let story = Story::drawn(seed);
        let stage = Stage::new(seed, &story.policy(), trace);
        story.play(&stage).await;
        let settled = stage.settle(story::SETTLED_WITHIN).await;
        if let Some(plant) = plant {
            plant.sow(&stage, &story).await;
        }
        let mut broken = oracle::broken(&stage, &story);
        broken.extend((settled.is_none()).then(|| Broken::Restless { owed: stage.owed() }));
        broken.extend(stage.cloud.panics().into_iter().map(|p| Broken::Panicked { words: p.words }));
        let (objects, deaths) = (story.keys().len(), stage.deaths());
        Told { seed, broken, objects, deaths, settled, hash: trace.hash() }
    })
}

/// Runs `scene` in a time of its own, which passes only while everyone sleeps.
#[expect(clippy::expect_used, reason = "without a runtime there is nothing to tell")]
fn alone<T>(seed: u64, scene: impl Future<Output = T>) -> T {
    // What the clients draw for themselves comes from this thread's generator.
    fastrand::seed(seed);
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime with a paused clock needs nothing that can be missing");
    LocalSet::new().block_on(&runtime, scene)
}
