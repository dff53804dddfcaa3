//! `sealane replication resync`: compares the listings of the regions, and writes down what is owed.

use std::fmt;

use sealane::{
    aws::{DynamoRows, S3Objects, SystemClock},
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
pub(super) async fn resync(
    deps: &Deps<S3Objects, DynamoRows, SystemClock>,
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
