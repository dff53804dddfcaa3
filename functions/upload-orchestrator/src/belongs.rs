//! Where an object belongs by the rules of the configuration, and in which storage class.

use sealane::{
    ports::{Clock, Head, Metadata, Objects, Rows},
    region::{Region, RegionName},
    replication::{
        BY_RULE, Entry, InvalidOrigin, META_CLASS, Origin, Placement, Rule, destinations, own_regions,
    },
    time::Timestamp,
    upload::StorageClass,
};

use crate::Deps;

/// Where one object belongs.
#[derive(Debug)]
pub(crate) struct Belongs {
    /// The regions that shall get a copy.
    pub(crate) regions: Vec<RegionName>,
    /// How they get it; `None`: each straight from who pays.
    placement: Option<Placement>,
}

impl Belongs {
    /// `entry` as it gets to its region: straight, or by way of other copies, which are waited for
    /// until `until`.
    pub(crate) fn routed(&self, entry: Entry, until: Timestamp) -> Entry {
        let Some(placement) = &self.placement else { return entry };
        let destination = entry.destination;
        let via = placement.tree.relays_to(destination);
        entry.routed(via, placement.tree.is_relay(destination), until)
    }

    /// Whether `region` sends its copy on to others.
    pub(crate) fn is_relay(&self, region: RegionName) -> bool {
        self.placement.as_ref().is_some_and(|placement| placement.tree.is_relay(region))
    }
}

impl<O: Objects, R: Rows, C: Clock> Deps<O, R, C> {
    /// Where the object belongs that `head` describes and that was written in `made_in`.
    pub(crate) fn belongs(
        &self,
        origin: &Origin,
        made_in: RegionName,
        key: &str,
        head: &Head,
    ) -> Result<Belongs, InvalidOrigin> {
        let nowhere = Belongs { regions: Vec::new(), placement: None };
        let Some(from) = self.config.region(made_in).filter(|_| self.config.enabled) else {
            return Ok(nowhere);
        };
        let place = |own: Option<&[RegionName]>| {
            self.config.replication.placement(from, key, own, &self.config.regions)
        };
        Ok(match origin {
            Origin::System => nowhere,
            // Several regions may hold an upload from the start; who pays the rest pays it straight.
            Origin::Upload { wanted, .. } => {
                let admitted: Vec<_> = place(Some(wanted)).tree.destinations().collect();
                Belongs { regions: destinations(origin, self.here, &admitted), placement: None }
            }
            Origin::Plain | Origin::Copy { .. } => {
                let own = own_regions(key, &head.attributes.metadata)?;
                let placement = place(own.as_deref());
                let meant: Vec<_> = placement.tree.destinations().collect();
                Belongs { regions: destinations(origin, self.here, &meant), placement: Some(placement) }
            }
        })
    }

    /// The storage class that a rule gives the copy of `row`, whose object was written in `made_in` and carries `metadata`.
    /// An upload says itself in which class it is kept, or leaves that to the rule of its first region.
    pub(crate) fn class(
        &self,
        row: &Entry,
        made_in: RegionName,
        metadata: &Metadata,
    ) -> Option<StorageClass> {
        let key = &row.source.key;
        if !row.object.is_upload() {
            return self.rule(made_in, key)?.class.of(row.destination);
        }
        let is_ruled = metadata.get(META_CLASS).is_some_and(|whose| whose == BY_RULE);
        let home = own_regions(key, metadata).ok().flatten().filter(|_| is_ruled)?;
        let class = self.rule(*home.first()?, key)?.class.of(row.destination);
        // What is copied may lie in a class that is only its own region's.
        Some(class.unwrap_or(StorageClass::Standard))
    }

    fn rule(&self, made_in: RegionName, key: &str) -> Option<&Rule> {
        let bucket = self.config.region(made_in).and_then(|region: &Region| region.bucket.as_deref())?;
        self.config.replication.rule_for(bucket, key).map(|(_, rule)| rule)
    }
}
