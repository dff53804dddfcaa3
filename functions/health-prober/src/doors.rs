//! The ways into every region: pooled connections and fresh ones.
//!
//! Both take turns: in some outages only new connections fail, and in others only
//! old ones hang.

use std::collections::BTreeMap;

use sealane::{
    region::RegionName,
    store::{HealthTable, MarksTable},
};

/// The ways into every region over one set of connections.
#[derive(Debug)]
pub struct Doors<R, O, A> {
    /// Each region's replica of the health table.
    pub tables: BTreeMap<RegionName, HealthTable<R>>,
    /// Each full region's replica of the data's table, for marks.
    pub data: BTreeMap<RegionName, MarksTable<R>>,
    /// Each full region's bucket.
    pub buckets: BTreeMap<RegionName, O>,
    /// The APIs.
    pub apis: A,
}

/// Opens the ways into every region.
pub trait Reach {
    /// A replica of a table.
    type Rows;
    /// A bucket.
    type Objects;
    /// The APIs.
    type Apis;

    /// Doors over the connections of earlier ticks, while they last.
    fn pooled(&self) -> &Doors<Self::Rows, Self::Objects, Self::Apis>;

    /// Doors over new connections.
    fn fresh(&self) -> Doors<Self::Rows, Self::Objects, Self::Apis>;
}
