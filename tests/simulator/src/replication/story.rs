//! Who writes and deletes what, and what goes wrong meanwhile.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use sealane::{
    aws::Limits,
    checksum::Checksum,
    ports::{Attributes, Objects as _},
    region::RegionName,
    replication::{META_REGIONS, META_UPLOAD, regions_value},
    units::ByteSize,
};
use tokio::time::{sleep, sleep_until};
use upload_orchestrator::Policy;

use super::stage::Stage;
use crate::{
    cloud::{Effect, Fault, Place, Service},
    dice::Dice,
    lambda::Kill,
};

/// How long people write.
const WRITING: Duration = Duration::from_secs(150);
/// When everything is mended.
const MENDED: Duration = Duration::from_secs(300);
/// How long the comparison of the listings takes to find what events missed, at the most.
const COMPARED: Duration = Duration::from_secs(720);
/// When all that is owed must have been paid by, once everything is mended.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(1800);
/// The size from which an object goes in parts in a story.
const PARTS_FROM: ByteSize = ByteSize::mib(5);

/// What a user does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Writes it in its home region.
    Write,
    /// Writes it in the region so many places behind its home, if that shows what was written last.
    WriteBehind(usize),
    /// Uploads it into this many regions of three, its home first.
    Upload(usize),
    /// Deletes it everywhere, where it was written last first.
    Delete,
}

/// A deed at a time, counted from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Act {
    at: Duration,
    key: usize,
    deed: Deed,
    bytes: usize,
}

/// A trouble and its span.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    from: Duration,
    until: Duration,
    region: usize,
    /// `None`: the region is lost. Else what befalls its requests to the buckets of others.
    effect: Option<Effect>,
}

/// What was done to a key, as its user knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// These bytes were acknowledged, after so many tries in each region that was written to.
    Wrote {
        /// The bytes, unlike those of any other deed.
        body: Bytes,
        /// How often they were sent.
        tries: BTreeMap<RegionName, usize>,
        /// Whether an upload fed the regions, and not replication alone.
        is_upload: bool,
    },
    /// It was deleted everywhere.
    Deleted,
}

/// One seed's story.
#[derive(Debug)]
pub(super) struct Story {
    done: RefCell<BTreeMap<usize, Vec<Done>>>,
    homes: Vec<usize>,
    acts: Vec<Act>,
    troubles: Vec<Trouble>,
    kills: Vec<Kill>,
    repeats: u64,
    /// How many of a hundred events never come.
    lost_percent: f64,
}

fn seconds(dice: &mut Dice, least: u64, most: u64) -> Duration {
    dice.between(Duration::from_secs(least), Duration::from_secs(most))
}

fn index(dice: &mut Dice, n: u64) -> usize {
    usize::try_from(dice.below(n)).unwrap_or_default()
}

impl Story {
    pub(super) fn drawn(seed: u64) -> Self {
        let root = Dice::new(seed);
        let mut dice = root.fork("story");
        let homes: Vec<usize> = (0..3 + index(&mut dice, 3)).map(|_| index(&mut dice, 3)).collect();
        let mut acts: Vec<Act> = (0..homes.len()).flat_map(|key| deeds(&mut dice, key)).collect();
        acts.sort_by_key(|act| act.at);
        if dice.chance(20.0)
            && let Some(first) = acts.first_mut()
        {
            first.bytes = (11 << 20) + 7;
        }
        let troubles = (0..1 + dice.below(3)).map(|_| trouble(&mut dice)).collect();
        let kills = (0..1 + dice.below(3)).map(|_| kill(&mut dice)).collect();
        let repeats = 1 + dice.below(3);
        let lost_percent = if dice.chance(25.0) { 20.0 } else { 0.0 };
        Self { done: RefCell::default(), homes, acts, troubles, kills, repeats, lost_percent }
    }

    /// The orchestrators' limits: as in the field, with parts from a size that a story can hold.
    pub(super) fn policy(&self) -> Policy {
        Policy { whole_max: PARTS_FROM, part_target: PARTS_FROM, ..Policy::default() }
    }

    /// Each key, with the place of its home among the regions and what was done to it, in order.
    pub(super) fn keys(&self) -> Vec<(String, usize, Vec<Done>)> {
        let done = self.done.borrow();
        let key =
            |(key, home): (usize, &usize)| (name(key), *home, done.get(&key).cloned().unwrap_or_default());
        self.homes.iter().enumerate().map(key).collect()
    }

    /// Plays the story until everything is mended.
    pub(super) async fn play(&self, stage: &Stage) {
        stage.cloud.repeat_events(self.repeats);
        stage.cloud.lose_events(self.lost_percent);
        stage.doom(self.kills.clone());
        stage.start();
        let began = tokio::time::Instant::now();
        for trouble in self.troubles.clone() {
            let stage = stage.clone();
            stage.cloud.clone().spawn("trouble", async move {
                sleep(trouble.from).await;
                befall(&stage, trouble).await;
            });
        }
        for (number, act) in self.acts.iter().enumerate() {
            sleep_until(began + act.at).await;
            self.perform(stage, number, act).await;
        }
        sleep_until(began + MENDED).await;
        if self.lost_percent > 0.0 {
            sleep(COMPARED).await;
        }
    }

    /// Whether `region` shows what was written last, so that who writes there knows it.
    fn is_known(&self, stage: &Stage, region: RegionName, key: usize) -> bool {
        let done = self.done.borrow();
        let Some(last) = done.get(&key).and_then(|done| done.last()) else { return true };
        let objects = stage.cloud.objects(region);
        let newest = objects.get(&name(key)).and_then(|versions| versions.last());
        match last {
            Done::Wrote { body, .. } => newest.is_some_and(|newest| newest.body == *body),
            Done::Deleted => newest.is_none_or(|newest| newest.is_marker),
        }
    }

    /// The regions in the order in which the key is deleted: where it was written alone last, and from there
    /// back. A copy under way comes from where a later version was written than lies where it goes to, and
    /// a copy that was proved stays where it was deleted before.
    fn written(&self, key: usize, order: &[RegionName]) -> Vec<RegionName> {
        let done = self.done.borrow();
        let alone = done.get(&key).into_iter().flatten().rev().filter_map(|done| match done {
            Done::Wrote { tries, is_upload: false, .. } => tries.keys().next().copied(),
            Done::Wrote { .. } | Done::Deleted => None,
        });
        let mut regions = Vec::new();
        for region in alone.chain(order.iter().copied()) {
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        regions
    }

    async fn perform(&self, stage: &Stage, number: usize, act: &Act) {
        let regions = stage.regions();
        let home = self.homes[act.key];
        let order: Vec<RegionName> = (0..3).map(|i| regions[(home + i) % 3]).collect();
        // Who cannot reach a region does nothing: what was never acknowledged promises nothing.
        let into = match act.deed {
            Deed::Write => &order[..1],
            Deed::WriteBehind(places) => &order[places..=places],
            Deed::Upload(_) | Deed::Delete => &order[..],
        };
        let knows = |region: &RegionName| self.is_known(stage, *region, act.key);
        let writes = matches!(act.deed, Deed::Write | Deed::WriteBehind(_));
        if into.iter().any(|region| stage.is_lost(*region)) || writes && !into.iter().all(knows) {
            return;
        }
        let mut body = vec![u8::try_from(number % 251).unwrap_or_default(); act.bytes.max(8)];
        body[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let metadata = [
            (META_UPLOAD.to_owned(), format!("upload-{number}")),
            (META_REGIONS.to_owned(), regions_value(order.iter().copied())),
        ];
        let done = match act.deed {
            Deed::Write | Deed::WriteBehind(_) => {
                put(stage, into, act.key, body.into(), &Attributes::default()).await
            }
            Deed::Upload(copies) => {
                let attributes = Attributes { metadata: metadata.into(), ..Attributes::default() };
                put(stage, &order[..copies], act.key, body.into(), &attributes).await
            }
            Deed::Delete => {
                for region in self.written(act.key, &order) {
                    stage.cloud.hide(region, &name(act.key));
                    sleep(Duration::from_millis(300)).await;
                }
                Done::Deleted
            }
        };
        self.done.borrow_mut().entry(act.key).or_default().push(done);
    }
}

/// The name of the key of this number.
fn name(key: usize) -> String {
    format!("run {key}/data+ü.bin")
}

/// What is done to one key. A key is written by one hand: its deeds come one after the other.
fn deeds(dice: &mut Dice, key: usize) -> Vec<Act> {
    let uploads = dice.chance(30.0);
    let mut at = seconds(dice, 1, 60);
    let mut acts = Vec::new();
    let alike = dice.chance(30.0).then(|| 8 + index(dice, 100_000));
    for number in 0..1 + dice.below(5) {
        let deed = match (number, uploads) {
            (1.., _) if dice.chance(15.0) => Deed::Delete,
            (_, true) => Deed::Upload(2 + index(dice, 2)),
            (1.., false) if dice.chance(15.0) => Deed::WriteBehind(1 + index(dice, 2)),
            (_, false) => Deed::Write,
        };
        // Of one size, an overwrite shows in a listing by the number of versions alone.
        let bytes = alike.unwrap_or_else(|| 8 + index(dice, 100_000));
        acts.push(Act { at, key, deed, bytes });
        // From one that comes before the event of the last, over one that overtakes its copies, to one
        // that comes long after.
        let wait = if dice.chance(40.0) {
            dice.between(Duration::ZERO, Duration::from_millis(900))
        } else {
            dice.wait(Duration::from_secs(6), Duration::from_secs(60))
        };
        at = (at + wait).min(WRITING);
    }
    acts
}

fn trouble(dice: &mut Dice) -> Trouble {
    let from = seconds(dice, 0, 120);
    let until = (from + seconds(dice, 10, 150)).min(MENDED - Duration::from_secs(5));
    let effect = match dice.below(5) {
        0..3 => None,
        3 => Some(Effect::Ambiguous { percent: 20.0 }),
        _ => Some(Effect::Throttled { percent: 30.0 }),
    };
    Trouble { from, until, region: index(dice, 3), effect }
}

fn kill(dice: &mut Dice) -> Kill {
    if dice.chance(50.0) {
        let most = 2 << dice.below(9);
        Kill::AfterPolls(u32::try_from(dice.below(most)).unwrap_or(u32::MAX))
    } else {
        Kill::After(dice.between(Duration::ZERO, Duration::from_secs(3)))
    }
}

async fn befall(stage: &Stage, trouble: Trouble) {
    let region = stage.regions()[trouble.region];
    let span = trouble.until.saturating_sub(trouble.from);
    match trouble.effect {
        None if stage.is_lost(region) => {}
        None => {
            stage.lose(region);
            sleep(span).await;
            stage.give_back(region);
        }
        Some(effect) => {
            let from = Some(Place::Region(region));
            let fault =
                stage.cloud.network().add(Fault { from, to: None, service: Some(Service::S3), effect });
            sleep(span).await;
            stage.cloud.network().remove(fault);
        }
    }
}

/// A user's writes, each tried until it is acknowledged.
async fn put(stage: &Stage, into: &[RegionName], key: usize, body: Bytes, attributes: &Attributes) -> Done {
    let aws = stage.cloud.aws(Place::Client(0));
    let limits = Limits::data(Duration::from_secs(20)).once();
    let mut tries = BTreeMap::new();
    for region in into {
        let bucket = stage.config.region(*region).and_then(|r| aws.objects(r, None, limits));
        let Some(bucket) = bucket else { continue };
        loop {
            *tries.entry(*region).or_default() += 1;
            match bucket.put(&name(key), body.clone(), Checksum::of(&body), attributes).await {
                Ok(_) => break,
                Err(_) => sleep(Duration::from_secs(5)).await,
            }
        }
    }
    Done::Wrote { body, tries, is_upload: attributes.metadata.contains_key(META_UPLOAD) }
}
