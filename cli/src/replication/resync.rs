//! `sealane replication resync`: compares the listings of the regions, and writes down what is owed.

use std::fmt;

use sealane::{
    ports::{Clock, Objects, Rows},
    region::RegionName,
};
use serde::Serialize;
use upload_orchestrator::{Deps, Walk, WalkError, walk};

/// What is compared.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Range {
    /// The region whose objects are looked for in the others
    #[arg(long, value_name = "REGION")]
    pub(super) from: RegionName,
    /// Only objects whose key begins with this
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Write down what is owed; without this, gaps are only counted
    #[arg(long)]
    apply: bool,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Resynced {
    /// Whether it was only looked at.
    dry_run: bool,
    /// Keys that a listing lacks. Copies of other regions' objects are among them.
    gaps: usize,
    /// Copies that are owed for them.
    owed: usize,
    /// Keys that could not be looked into, and regions that could not be listed.
    unread: Vec<String>,
}

impl Resynced {
    /// Whether every key was looked into, in every region.
    pub(super) const fn is_whole(&self) -> bool {
        self.unread.is_empty()
    }

    fn and(mut self, walk: Walk) -> Self {
        self.gaps += walk.gaps;
        self.owed += walk.owed;
        self.unread.extend(walk.unread);
        self
    }
}

impl fmt::Display for Resynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dry_run, gaps, owed, unread } = self;
        if *dry_run {
            write!(
                f,
                "{gaps} keys are not in every region (nothing was written; `--apply` looks into each and \
                 writes down what is owed)"
            )?;
        } else {
            write!(f, "{gaps} keys were not in every region, and {owed} copies are owed for them")?;
        }
        unread.iter().try_for_each(|problem| write!(f, "\nnot looked into: {problem}"))
    }
}

/// Walks over the listings to their end.
pub(super) async fn resync<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    range: &Range,
) -> Result<Resynced, WalkError> {
    let mut found = Resynced { dry_run: !range.apply, ..Resynced::default() };
    let mut after = None;
    loop {
        let walked = Box::pin(walk(deps, &range.prefix, after.as_deref(), !range.apply)).await?;
        after = walked.next.clone();
        found = found.and(walked);
        if after.is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use futures::FutureExt as _;
    use sealane::{
        checksum::Checksum,
        config::Config,
        memory::{Cloud, ManualClock, MemoryObjects, MemoryRows},
        ports::Attributes,
        store::LedgerTable,
        time::Timestamp,
    };
    use upload_orchestrator::Policy;

    use super::*;

    const REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

    /// Three regions, of which the first holds `keys`.
    struct World {
        cloud: Cloud,
        deps: Deps<MemoryObjects, MemoryRows, ManualClock>,
    }

    impl World {
        fn holding(keys: &[&str]) -> Self {
            let document = r#"{"primary_region": "us-west-2", "regions": [
                {"name": "us-west-2", "bucket": "us-west-2"}, {"name": "us-east-1", "bucket": "us-east-1"},
                {"name": "eu-west-1", "bucket": "eu-west-1"}]}"#;
            let cloud = Cloud::default();
            let bucket = |name: &&str| (name.parse().unwrap(), cloud.bucket(name));
            let deps = Deps {
                config: Config::read(Some(document), std::iter::empty()).unwrap(),
                here: REGIONS[0].parse().unwrap(),
                buckets: REGIONS.iter().map(bucket).collect::<BTreeMap<_, _>>(),
                ledger: LedgerTable::new(MemoryRows::default()),
                clock: ManualClock::at(Timestamp::from_millis(1_000_000)),
                pause: |_| Box::pin(std::future::ready(())),
                policy: Policy { upload_grace: Duration::ZERO, ..Policy::default() },
            };
            for key in keys {
                let attributes = Attributes::default();
                let bucket = cloud.bucket(REGIONS[0]);
                let put = bucket.put(key, "x".into(), Checksum::of(b"x"), &attributes);
                put.now_or_never().unwrap().unwrap();
            }
            Self { cloud, deps }
        }

        fn resync(&self, prefix: &str, apply: bool) -> Resynced {
            let range = Range { from: self.deps.here, prefix: prefix.to_owned(), apply };
            resync(&self.deps, &range).now_or_never().unwrap().unwrap()
        }

        fn owed(&self) -> usize {
            self.deps.ledger.owed(self.deps.here, 1_000).now_or_never().unwrap().unwrap().len()
        }
    }

    #[test]
    fn a_look_counts_and_writes_nothing() {
        let world = World::holding(&["a", "b"]);
        let found = world.resync("", false);
        assert_eq!((found.dry_run, found.gaps, found.owed, world.owed()), (true, 2, 0, 0));
        assert!(found.is_whole() && found.to_string().contains("nothing was written"), "{found}");
    }

    #[test]
    fn what_is_applied_is_owed_once_however_often() {
        let world = World::holding(&["a", "run/b"]);
        assert_eq!(world.resync("run/", true).owed, 2, "one copy to each other region");
        assert_eq!(world.owed(), 2);
        world.resync("", true);
        assert_eq!(world.owed(), 4);
        world.resync("", true);
        assert_eq!(world.owed(), 4);
    }

    #[test]
    fn a_region_that_cannot_be_listed_is_named_and_the_others_are_compared() {
        let world = World::holding(&["a"]);
        world.cloud.cut(REGIONS[2], true);
        let found = world.resync("", false);
        assert!(!found.is_whole() && found.unread[0].contains(REGIONS[2]), "{found}");
        assert_eq!(found.gaps, 1);
    }

    #[test]
    fn more_keys_than_a_page_holds_are_all_compared() {
        let keys: Vec<String> = (0..1_500).map(|i| format!("k{i:05}")).collect();
        let world = World::holding(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(world.resync("", false).gaps, 1_500);
    }
}
