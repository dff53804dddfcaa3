//! Many stories, as many at once as there are cores.

use std::{
    fmt,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use super::{Told, tell};
use crate::{cloud::words, measure::Spread, trace::Trace};

/// What many stories came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Stories.
    pub stories: u64,
    /// Keys whose copies were looked for.
    pub objects: usize,
    /// Workers that died.
    pub deaths: usize,
    /// Times from the last trouble to rest.
    pub settled: Spread,
    /// The promises that were not kept, each with the seed that showed it.
    pub complaints: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stories, objects, deaths, settled, complaints } = self;
        let ms = |ms: Option<u64>| ms.unwrap_or_default();
        let (p50, p99, max) = (ms(settled.p50), ms(settled.p99), ms(settled.max));
        write!(
            f,
            "{stories} stories: {objects} keys, {deaths} workers died, at rest {p50}/{p99}/{max} ms (p50/p99/max) \
             after the last trouble, {} promises broken",
            complaints.len()
        )
    }
}

/// Tells the stories of the seeds from 1.
pub fn tell_all(stories: u64) -> Summary {
    let next = AtomicU64::new(1);
    let (told, heard) = mpsc::channel();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut all: Vec<Result<Told, String>> = thread::scope(|scope| {
        for _ in 0..cores {
            let (told, next) = (told.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > stories {
                        break;
                    }
                    // What a panic leaves half done belongs to this story alone and is dropped with it.
                    let one = catch_unwind(AssertUnwindSafe(|| tell(seed, None, &Trace::new())));
                    let one = one
                        .map_err(|payload| format!("seed {seed}: the world panicked: {}", words(&*payload)));
                    // The receiver outlives every worker.
                    let _ = told.send(one);
                }
            });
        }
        drop(told);
        heard.iter().collect()
    });
    all.sort_by_key(|one| one.as_ref().map_or(0, |told| told.seed));
    summed(stories, &all)
}

fn summed(stories: u64, all: &[Result<Told, String>]) -> Summary {
    let good = || all.iter().flatten();
    let complaint = |told: &Told| {
        let seed = told.seed;
        told.broken.iter().map(move |broken| format!("seed {seed}: {broken}")).collect::<Vec<_>>()
    };
    let panics = all.iter().filter_map(|one| one.as_ref().err().cloned());
    Summary {
        stories,
        objects: good().map(|told| told.objects).sum(),
        deaths: good().map(|told| told.deaths).sum(),
        settled: Spread::of(good().filter_map(|told| told.settled)),
        complaints: good().flat_map(complaint).chain(panics).collect(),
    }
}
