//! One upload to be made: fresh from the command line, or taken up from an earlier run.

use std::{collections::BTreeMap, path::Path};

use sealane::{
    config::Config,
    region::{Capability, RegionName},
    replication::{Asked, Shipment},
    route::{
        Outcome::{Dropped, Kept},
        Request, Route,
    },
    transport::{JournalFile, Journals, Order, Rates, Source},
    upload::{JOURNAL_FORMAT, ObjectKey, Plan, Policy, Receipt, Record},
};
use uuid::Uuid;

use super::{Args, spool::Spool};
use crate::{
    console::{note, warn},
    fault::Fault,
    named,
    route::{ranked, usable},
    world::World,
};

/// What is shipped where, and what is known of it besides.
pub(super) struct Job {
    pub(super) world: World,
    pub(super) source: Source,
    pub(super) order: Order,
    /// Where a later run finds how far this one came; `None` when it cannot be kept.
    pub(super) journal: Option<JournalFile>,
    /// How the regions were chosen; `None` when an earlier run chose them.
    pub(super) placed: Option<Placed>,
    /// The region that the data is sent from.
    pub(super) data_in: Option<RegionName>,
    /// Where standard input was kept, if it is the source.
    spool: Option<Spool>,
}

/// How regions were chosen.
pub(super) struct Placed {
    asked: Asked,
    pub(super) route: Route,
    /// What the rules make of it.
    pub(super) shipment: Shipment,
}

/// Where the rules, and what was asked for, send `key` over `route`.
fn aimed(config: &Config, key: &ObjectKey, asked: &Asked, route: &Route) -> Result<Shipment, Fault> {
    let usable = usable(config);
    Ok(config.replication.shipment(key.as_str(), asked, &config.upload, &usable, &route.ranked)?)
}

impl Job {
    /// What the command line asks for.
    pub(super) async fn fresh(
        spool: Option<Spool>,
        args: &Args,
        journals: Journals,
        config: Config,
    ) -> Result<Self, Fault> {
        let path = spool.as_ref().map_or(args.path(), Spool::path);
        let job =
            Self::planned(path, args, config).await.inspect_err(|_| spool.iter().for_each(Spool::remove))?;
        let journal = begun(&journals, &job.order, &job.source);
        Ok(Self { journal, spool, ..job })
    }

    /// What the command line asks for, before anything of it is written down.
    pub(super) async fn planned(path: &Path, args: &Args, config: Config) -> Result<Self, Fault> {
        let source = Source::open(path)?;
        let (asked, keys) = (args.asked(&config)?, args.keys(&source)?);
        // What can never fit is refused before anything is asked of the network.
        for key in &keys {
            config.replication.can_ship(key.as_str(), &asked, &config.upload, &usable(&config))?;
        }
        let key = keys.into_iter().next().map_or_else(|| args.key(), Ok)?;
        let data_in = args.data_in.as_deref().map(|name| named::full_region(&config, "--data-in", name));
        let (data_in, session) = (data_in.transpose()?, args.session.clone());
        let world = World::connect(config).await;
        let request = Request { session, data_in, ..Request::new(Capability::ObjectWrite) };
        let route = ranked(&world.config, request, &world.look().await);
        let shipment = aimed(&world.config, &key, &asked, &route)?;
        let policy = world.config.upload;
        let order = Order {
            upload_id: Uuid::now_v7().to_string(),
            key,
            plan: shipment.plan.clone(),
            policy: Policy { part_size: source.part_size(policy.part_size), ..policy },
            classes: shipment.classes.clone(),
            seed: seed(),
        };
        let placed = Some(Placed { asked, route, shipment });
        Ok(Self { world, source, order, journal: None, placed, data_in, spool: None })
    }

    /// As the order of this job, for an object `key` of its own, which the rules may send elsewhere.
    pub(super) fn order_of(&self, key: ObjectKey, upload_id: String) -> Result<Order, Fault> {
        let order = self.order.clone();
        let Some(Placed { asked, route, .. }) = &self.placed else {
            return Ok(Order { key, upload_id, ..order });
        };
        let Shipment { plan, classes, .. } = aimed(&self.world.config, &key, asked, route)?;
        Ok(Order { key, upload_id, plan, classes, ..order })
    }

    /// What an earlier run did not finish, if its source is what it was.
    pub(super) async fn resumed(
        journal: JournalFile,
        journals: &Journals,
        config: Config,
    ) -> Result<Self, Fault> {
        let Record { upload_id, source: was, .. } = journal.record();
        let source = Source::open(&was.path)?;
        if let Some(detail) = was.difference(&source.identity()) {
            return Err(Fault::SourceChanged { path: was.path, detail, upload_id });
        }
        note(&format!("going on with {}", journal.record()));
        let order = order_by(journal.record(), config.upload);
        let spool = Spool::at(&was.path, journals.folder());
        let world = World::connect(config).await;
        Ok(Self { world, source, order, journal: Some(journal), placed: None, data_in: None, spool })
    }

    /// How fast each region is sent to: what was asked for on the command line, else all that it takes.
    pub(super) fn rates(&self, bandwidth_mbps: Option<u32>) -> Rates {
        let full = self.world.config.full_regions();
        Rates::new(full.map(|r| (r.name, bandwidth_mbps.unwrap_or(r.capacity.max_bandwidth_mbps))))
    }

    /// Why the route left a region out, in words.
    pub(super) fn left_out(&self) -> impl Fn(RegionName) -> Option<String> {
        |region| {
            let choice = self.placed.as_ref()?.route.choices.iter().find(|choice| choice.region == region)?;
            match &choice.outcome {
                Dropped(reason) => Some(reason.to_string()),
                Kept { .. } => None,
            }
        }
    }

    /// Forgets the upload if nothing is left to go on with, else says how to go on.
    pub(super) fn end(self, receipt: &Receipt) {
        let Some(journal) = self.journal else {
            return self.spool.iter().for_each(Spool::remove);
        };
        if ended(journal, receipt) {
            self.spool.iter().for_each(Spool::remove);
        }
    }
}

/// Forgets the upload if nothing is left to go on with, else says how to go on. Whether nobody
/// has to read the source again.
pub(super) fn ended(journal: JournalFile, receipt: &Receipt) -> bool {
    let id = &receipt.upload_id;
    if receipt.outcome.is_success() && journal.record().regions.is_empty() {
        warn(&journal.close().err().map(|error| error.to_string()).into_iter().collect::<Vec<_>>());
    } else if receipt.outcome.is_success() {
        note(&format!("`sealane uploads abort {id}` frees what is left unfinished"));
    } else {
        note(&format!("`sealane upload --resume={id}` goes on with it"));
    }
    receipt.outcome.is_success()
}

/// The order of an upload that an earlier run began.
pub(super) fn order_by(record: Record, policy: Policy) -> Order {
    let Record { upload_id, key, plan, part_size, classes, .. } = record;
    let Plan { copies, min_copies, allow_degraded, .. } = plan;
    let policy = Policy { copies, min_copies: Some(min_copies), allow_degraded, part_size, ..policy };
    Order { upload_id, key, plan, policy, classes, seed: seed() }
}

fn seed() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// The journal of an upload, fresh or taken up. One that cannot be kept stops nothing, and is told of.
pub(super) fn taken_up(journals: &Journals, order: &Order, source: &Source) -> Option<JournalFile> {
    match journals.resume(&order.upload_id) {
        Ok(Some(journal)) => Some(journal),
        Ok(None) | Err(_) => begun(journals, order, source),
    }
}

/// The journal of a fresh upload. One that cannot be kept stops nothing, and is told of.
pub(super) fn begun(journals: &Journals, order: &Order, source: &Source) -> Option<JournalFile> {
    let record = Record {
        format: JOURNAL_FORMAT,
        upload_id: order.upload_id.clone(),
        begun: World::now(),
        source: source.identity(),
        key: order.key.clone(),
        plan: order.plan.clone(),
        part_size: order.policy.part_size,
        classes: order.classes.clone(),
        regions: BTreeMap::new(),
    };
    let journal = journals.begin(record);
    journal
        .inspect_err(|error| warn(&[format!("the upload cannot be resumed if it is stopped: {error}")]))
        .ok()
}
