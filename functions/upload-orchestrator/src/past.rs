//! What is owed for a key: its versions, from the newest down to those that are written down already.
//!
//! Rule: a version is written down after those below it, so one that is found written down says that
//! everything below it is, too. Each row names the version that its destination shall hold before it.

use std::collections::{BTreeMap, BTreeSet};

use sealane::{
    ports::{Clock, Head, Objects, Rows},
    region::RegionName,
    replication::{Entry, History, META_UPLOAD, ObjectId, Origin, Phase, destinations},
    store::Versioned,
};

use crate::{
    Deps,
    intake::{IntakeError, origin, owe},
    pay::Debt,
    source::{FEW, MANY, Sight},
    twin::take_away,
};

/// How far down a region looks below uploads that another one pays.
const BELOW_FOREIGN: usize = 8;

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
#[derive(Default)]
struct Past {
    /// The newest first.
    steps: Vec<Step>,
    /// Copies that are settled.
    settled: BTreeSet<(ObjectId, RegionName)>,
    /// Destinations of the new versions.
    wanted: BTreeSet<RegionName>,
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
        let page = own.list_versions(key, None, most).await.map_err(IntakeError::Source)?;
        let history = History::of(key, &page);
        let mut past = Past::default();
        for place in 0..history.ids.len() {
            if past.is_whole() {
                break;
            }
            past.step(deps, key, (&history.ids, place), first.as_ref()).await?;
        }
        let is_cut = history.cut && !past.is_whole();
        if is_cut && most < MANY {
            continue;
        }
        if is_cut {
            tracing::warn!(object.key = key, versions = MANY, "left the versions below these alone");
        }
        let debts = past.write_down(deps, key).await?;
        take_away(deps, key, &page, first.as_ref()).await?;
        return Ok(debts);
    }
    Ok(Vec::new())
}

impl Past {
    /// Whether of each destination of the new versions one was found that is written down.
    fn is_whole(&self) -> bool {
        !self.steps.is_empty() && self.wanted.is_subset(&self.reached)
    }

    /// Takes in the version at `place` among `ids`.
    async fn step<O: Objects, R: Rows, C: Clock>(
        &mut self,
        deps: &Deps<O, R, C>,
        key: &str,
        (ids, place): (&[String], usize),
        first: Option<&(Head, Origin)>,
    ) -> Result<(), IntakeError> {
        let Some(id) = ids.get(place) else { return Ok(()) };
        let seen = first.filter(|(head, _)| head.version_id.as_deref().unwrap_or("null") == id);
        // Of the only version nothing is gained by asking first: writing it down asks as well.
        let plain = ObjectId::of_version(deps.here, key, Some(id), "");
        let asks = seen.is_none() && ids.len() > 1;
        let rows = if asks { rows_of(deps, key, &plain).await? } else { Vec::new() };
        let all = destinations(&Origin::Plain, deps.here, &deps.full());
        if !all.is_empty() && is_known(&rows, &all) {
            self.know(&rows, &plain, all);
            return Ok(());
        }
        let (head, origin) = match seen {
            Some(seen) => seen.clone(),
            None => match look(deps, key, id, first.is_some()).await? {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        let (object, rows) = match &origin {
            Origin::System => return Ok(()),
            Origin::Copy { region, version_id, .. } => {
                let object = ObjectId::of_version(*region, key, Some(version_id), "");
                self.reached.insert(*region);
                self.know_copy(deps, key, &head, *region, object);
                return Ok(());
            }
            Origin::Upload { id, .. } if asks => {
                let object = ObjectId::of_upload(id);
                let rows = rows_of(deps, key, &object).await?;
                (object, rows)
            }
            Origin::Upload { .. } | Origin::Plain => (plain, rows),
        };
        let wanted = match deps.belongs(&origin, deps.here, key, &head) {
            Ok(belongs) => belongs.regions,
            // What does not say where it belongs keeps no other version back.
            Err(_) if seen.is_none() && first.is_some() => return Ok(()),
            Err(error) => return Err(IntakeError::Origin(error)),
        };
        if !rows.is_empty() && is_known(&rows, &wanted) {
            let pays = rows.iter().any(|row| row.value.source.region == deps.here);
            let reached = self.reached.clone();
            self.know(&rows, &object, wanted.clone());
            if !pays && place < BELOW_FOREIGN {
                // Another region wrote it down, which says nothing of what this one is to pay below it.
                self.wanted.extend(wanted);
                self.reached = reached;
            }
        } else {
            self.wanted.extend(wanted);
            let above = ids.get(..place).unwrap_or_default().to_vec();
            self.steps.push(Step::New(Box::new(Write { sight: Sight { head, above }, origin })));
        }
        Ok(())
    }

    fn know(&mut self, rows: &[Versioned<Entry>], object: &ObjectId, wanted: Vec<RegionName>) {
        let settled = rows.iter().filter(|row| !row.value.is_owed());
        self.settled.extend(settled.map(|row| (row.value.object.clone(), row.value.destination)));
        self.reached.extend(&wanted);
        self.steps.push(Step::Known(wanted.into_iter().map(|region| (region, object.clone())).collect()));
    }

    /// A copy of what was written in `region`, which pays its other copies.
    fn know_copy<O: Objects, R: Rows, C: Clock>(
        &mut self,
        deps: &Deps<O, R, C>,
        key: &str,
        head: &Head,
        region: RegionName,
        object: ObjectId,
    ) {
        // A copy of an uploaded object carries the upload's id along, which names its rows.
        let object = head.attributes.metadata.get(META_UPLOAD).map_or(object, |id| ObjectId::of_upload(id));
        let belongs = deps.belongs(&Origin::Plain, region, key, head);
        self.know(&[], &object, belongs.map(|belongs| belongs.regions).unwrap_or_default());
    }

    /// Writes the new versions down, the oldest first.
    async fn write_down<O: Objects, R: Rows, C: Clock>(
        self,
        deps: &Deps<O, R, C>,
        key: &str,
    ) -> Result<Vec<Debt>, IntakeError> {
        let (mut before, mut debts) = (Before::new(), Vec::new());
        for step in self.steps.into_iter().rev() {
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
                let belongs = deps.belongs(&write.origin, deps.here, key, &write.sight.head);
                let wanted = belongs.map_err(IntakeError::Origin)?.regions;
                before.extend(wanted.into_iter().map(|region| (region, ObjectId::of_upload(id))));
            }
            for row in rows {
                let destination = row.value.destination;
                let below = row.value.after.clone().map(|object| (object, destination));
                let ready = below.is_some_and(|below| self.settled.contains(&below));
                before.insert(destination, row.value.object.clone());
                debts.push(Debt { row, seen: Some(write.sight.clone()), ready });
            }
        }
        Ok(debts)
    }
}

/// The version `id` of `key` and where it came from; `None` if it is gone, or if it does not say where it
/// belongs and others are asked for, too.
async fn look<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    id: &str,
    others: bool,
) -> Result<Option<(Head, Origin)>, IntakeError> {
    let head = deps.own()?.head(key, Some(id)).await.map_err(IntakeError::Source)?;
    let Some(head) = head else { return Ok(None) };
    match origin(deps, key, &head).await {
        Ok(origin) => Ok(Some((head, origin))),
        Err(IntakeError::Origin(_)) if others => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows of `object`, as far as they are about `key`: an upload's id may have gone to another one.
async fn rows_of<O: Objects, R: Rows, C: Clock>(
    deps: &Deps<O, R, C>,
    key: &str,
    object: &ObjectId,
) -> Result<Vec<Versioned<Entry>>, IntakeError> {
    let mut rows = deps.ledger.of_object(object).await.map_err(IntakeError::Ledger)?;
    rows.retain(|row| row.value.source.key == key);
    Ok(rows)
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
