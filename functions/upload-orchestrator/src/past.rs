//! What is owed for a key: its versions, from the newest down to those that are written down already.
//!
//! Rule: a version is written down after those below it, so one that is found written down says that
//! everything below it is, too. Each row names the version that its destination shall hold before it.

use std::collections::{BTreeMap, BTreeSet};

use sealane::{
    ports::{Clock, Head, Objects, Rows},
    region::RegionName,
    replication::{Entry, META_REGIONS, META_UPLOAD, ObjectId, Origin, Phase, destinations},
    store::Versioned,
};

use crate::{
    Deps,
    intake::{IntakeError, origin, owe},
    pay::Debt,
    source::{FEW, MANY, Sight, history},
};

/// A version that was not found written down.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The version, as it was seen.
    pub(crate) sight: Sight,
    /// Where it came from.
    pub(crate) origin: Origin,
}

/// For each destination, the version that it shall hold before the next one.
pub(crate) type Before = BTreeMap<RegionName, ObjectId>;

/// One version on the way down.
enum Step {
    /// It was written in this region, and nobody has written down that it is owed.
    New(Box<Write>),
    /// It is written down, or is a copy: what it is called, by destination.
    Known(Before),
}

/// The way from a key's newest version down.
struct Past {
    /// The newest first.
    steps: Vec<Step>,
    /// Copies that are settled.
    settled: BTreeSet<(ObjectId, RegionName)>,
    /// Destinations of which a version was found that is written down.
    reached: BTreeSet<RegionName>,
}

/// Writes down what this region owes for `key`, the oldest version first, and answers with the rows,
/// each with its source as it was just seen. `first` is a version that was looked at already.
pub(crate) async fn owe_all<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    first: Option<(Head, Origin)>,
) -> Result<Vec<Debt>, IntakeError> {
    let own = deps.own()?;
    for most in [FEW, MANY] {
        let history = history(own, key, most).await.map_err(IntakeError::Source)?;
        let past = walk_back(deps, key, &history.ids, first.as_ref()).await?;
        if history.cut && !past.is_whole(deps) && most < MANY {
            continue;
        }
        if history.cut && !past.is_whole(deps) {
            tracing::warn!(object.key = key, versions = MANY, "left the versions below these alone");
        }
        return write_down(deps, key, past).await;
    }
    Ok(Vec::new())
}

impl Past {
    /// Whether of each destination a version was found that is written down.
    fn is_whole<O: Objects, R: Rows, C: Clock>(&self, deps: &Deps<O, R, C>) -> bool {
        deps.full().iter().all(|region| *region == deps.here || self.reached.contains(region))
    }

    fn know(&mut self, rows: &[Versioned<Entry>], belongs: Before) {
        let settled = rows.iter().filter(|row| !row.value.is_owed());
        self.settled.extend(settled.map(|row| (row.value.object.clone(), row.value.destination)));
        self.reached.extend(belongs.keys());
        self.steps.push(Step::Known(belongs));
    }
}

async fn walk_back<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    ids: &[String],
    first: Option<&(Head, Origin)>,
) -> Result<Past, IntakeError> {
    let own = deps.own()?;
    let mut past = Past { steps: Vec::new(), settled: BTreeSet::new(), reached: BTreeSet::new() };
    for (place, id) in ids.iter().enumerate() {
        if past.is_whole(deps) {
            break;
        }
        let seen = first.filter(|(head, _)| head.version_id.as_deref().unwrap_or("null") == id);
        // Of the only version nothing is gained by asking first: writing it down asks as well.
        if seen.is_none() && ids.len() > 1 {
            let object = ObjectId::of_version(deps.here, key, Some(id), "");
            let rows = deps.ledger.of_object(&object).await.map_err(IntakeError::Ledger)?;
            let wanted = destinations(&Origin::Plain, deps.here, &deps.full());
            if is_known(&rows, &wanted) {
                let belongs = wanted.into_iter().map(|region| (region, object.clone())).collect();
                past.know(&rows, belongs);
                continue;
            }
        }
        let (head, origin) = match seen {
            Some(seen) => seen.clone(),
            None => {
                let head = own.head(key, Some(id)).await.map_err(IntakeError::Source)?;
                let Some(head) = head else { continue };
                match origin(deps, key, &head).await {
                    Ok(origin) => (head, origin),
                    // One that does not say where it belongs keeps no other back.
                    Err(IntakeError::Origin(_)) if first.is_some() => continue,
                    Err(error) => return Err(error),
                }
            }
        };
        match &origin {
            Origin::System => break,
            Origin::Copy { region, version_id, .. } => {
                let object = ObjectId::of_version(*region, key, Some(version_id), "");
                past.reached.insert(*region);
                let belongs = of_copy(deps, &head, *region, object);
                past.know(&[], belongs);
            }
            Origin::Upload { id, .. } if place > 0 => {
                let object = ObjectId::of_upload(id);
                let mut rows = deps.ledger.of_object(&object).await.map_err(IntakeError::Ledger)?;
                rows.retain(|row| row.value.source.key == key);
                let wanted = destinations(&origin, deps.here, &deps.full());
                if is_known(&rows, &wanted) {
                    past.know(&rows, wanted.into_iter().map(|region| (region, object.clone())).collect());
                } else {
                    past.steps.push(Step::New(Box::new(Write { sight: at(head, ids, place), origin })));
                }
            }
            Origin::Upload { .. } | Origin::Plain => {
                past.steps.push(Step::New(Box::new(Write { sight: at(head, ids, place), origin })));
            }
        }
    }
    Ok(past)
}

fn at(head: Head, ids: &[String], place: usize) -> Sight {
    Sight { head, above: ids.get(..place).unwrap_or_default().to_vec() }
}

/// The destinations of a copy of what was written in `region`, which pays them.
fn of_copy<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    head: &Head,
    region: RegionName,
    object: ObjectId,
) -> Before {
    let metadata = &head.attributes.metadata;
    // A copy of an uploaded object carries the upload's id along, which names its rows.
    let object = metadata.get(META_UPLOAD).map_or(object, |id| ObjectId::of_upload(id));
    let meant = |to: &RegionName| match metadata.get(META_REGIONS) {
        Some(regions) => regions.split(',').any(|name| name.trim() == to.as_str()),
        None => true,
    };
    let others = deps.full().into_iter().filter(|to| ![deps.here, region].contains(to) && meant(to));
    others.map(|to| (to, object.clone())).collect()
}

/// Whether `rows` say for each of `wanted` what is to become of its copy. One that was given up since its
/// source had been deleted says nothing of a source that is there again.
fn is_known(rows: &[Versioned<Entry>], wanted: &[RegionName]) -> bool {
    let says = |row: &Entry| match &row.phase {
        Phase::Pending | Phase::Copying(_) | Phase::Verified { .. } | Phase::Failed { .. } => true,
        Phase::Void { .. } => row.is_missed(),
    };
    wanted.iter().all(|to| rows.iter().any(|row| row.value.destination == *to && says(&row.value)))
}

async fn write_down<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    past: Past,
) -> Result<Vec<Debt>, IntakeError> {
    let (mut before, mut debts) = (Before::new(), Vec::new());
    for step in past.steps.into_iter().rev() {
        let write = match step {
            Step::New(write) => write,
            Step::Known(belongs) => {
                before.extend(belongs);
                continue;
            }
        };
        let rows = owe(deps, key, &write, &before).await?;
        if let Origin::Upload { id, .. } = &write.origin {
            // Whether this region pays it or not.
            let wanted = destinations(&write.origin, deps.here, &deps.full());
            before.extend(wanted.into_iter().map(|region| (region, ObjectId::of_upload(id))));
        }
        for row in rows {
            before.insert(row.value.destination, row.value.object.clone());
            let its = row.value.after.clone().map(|id| (id, row.value.destination));
            let ready = its.is_some_and(|before| past.settled.contains(&before));
            debts.push(Debt { row, seen: Some(write.sight.clone()), ready });
        }
    }
    Ok(debts)
}
