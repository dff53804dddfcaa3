//! The chains that are looked at, read from the tables.

use std::collections::BTreeMap;

use sealane::{
    audit::{Entry, Head, Heads, Rules, Verified, foreign, verify},
    config::Config,
    failover::Moved,
    ports::{Rows, RowsError},
    region::RegionName,
    store::{ControlTable, Trail, WorksetTable},
    time::Timestamp,
    workset::{Tenant, WorksetId},
};

use super::Whose;
use crate::{
    fault::Fault,
    named,
    world::{By, World},
};

/// The names of the chains in the control table.
const ORDERS: &str = "orders";
const MOVES: &str = "moves";

/// Every chain that was asked for.
#[derive(Debug, Default)]
pub(super) struct Chains {
    tenant: Option<Tenant>,
    /// Whether orders and moves were read.
    has_control: bool,
    pub(super) orders: Vec<Entry>,
    pub(super) moves: Vec<Entry>,
    pub(super) worksets: BTreeMap<String, Trail>,
    /// Which region took the writes under which assignment, as far as moves and record say.
    active: BTreeMap<u64, RegionName>,
}

impl Chains {
    /// Reads what `whose` asks for, and the worksets `extra` whether or not they are listed.
    pub(super) async fn read(whose: Whose, config: Config, extra: &[WorksetId]) -> Result<Self, Fault> {
        let Whose { tenant, workset, region } = whose;
        let forced = region.map(|name| named::worksets_region(&config, "--region", &name)).transpose()?;
        let world = World::connect(config).await;
        let control = world.control();
        let mut chains = Self { tenant: tenant.clone(), ..Self::default() };
        if workset.is_none() {
            chains
                .control(&control)
                .await
                .map_err(|source| Fault::Read { what: "the control table", source })?;
        }
        let Some(tenant) = tenant else { return Ok(chains) };
        let record = control.record().await.map_err(|source| Fault::Read { what: "the record", source })?;
        let active = record.as_ref().map_or(world.config.primary_region, |record| record.active);
        chains.active.extend(record.map(|record| (record.epoch, record.active)));
        let Some(region) = world.config.region(forced.unwrap_or(active)) else { return Ok(chains) };
        let table = world.worksets_of(region, if forced.is_some() { By::Itself } else { By::Any });
        let read = chains.worksets(&table, &tenant, workset.map_or(Only::All(extra), Only::One)).await;
        read.map_err(|source| Fault::Read { what: "the worksets", source })?;
        Ok(chains)
    }

    async fn control<R: Rows>(&mut self, control: &ControlTable<R>) -> Result<(), RowsError> {
        self.orders = control.orders_trail().await?;
        self.moves = control.moves_trail().await?;
        self.has_control = true;
        for Moved { epoch, from, to, .. } in self.moves.iter().filter_map(account) {
            self.active.extend([(epoch.saturating_sub(1), from), (epoch, to)]);
        }
        Ok(())
    }

    async fn worksets<R: Rows>(
        &mut self,
        table: &WorksetTable<R>,
        tenant: &Tenant,
        only: Only<'_>,
    ) -> Result<(), RowsError> {
        let ids = match only {
            Only::One(id) => vec![id],
            Only::All(extra) => {
                let mut ids = table.ids(tenant).await?;
                ids.extend(extra.iter().cloned());
                ids.sort();
                ids.dedup();
                ids
            }
        };
        for id in ids {
            let trail = table.trail(tenant, &id).await?;
            self.worksets.insert(chain_of(&id), trail);
        }
        Ok(())
    }

    /// What became of each chain. `kept` are the heads as somebody kept them.
    pub(super) fn judged(&self, kept: &Heads) -> Vec<(String, Verified)> {
        let head = |name: &str| kept.heads.get(name).copied();
        let mut told = Vec::new();
        if self.has_control {
            told.push((ORDERS.to_owned(), verify(&self.orders, Rules::List, None, head(ORDERS))));
            told.push((MOVES.to_owned(), verify(&self.moves, Rules::Rising, None, head(MOVES))));
        }
        for (name, trail) in &self.worksets {
            let mut found = trail.verified(head(name));
            found.findings.extend(foreign(&trail.entries, &self.active));
            told.push((name.clone(), found));
        }
        told
    }

    /// The newest record of each chain that has a link.
    pub(super) fn heads(&self, now: Timestamp) -> Heads {
        let judged = self.judged(&Heads::default());
        let heads: BTreeMap<String, Head> =
            judged.into_iter().filter_map(|(name, found)| Some((name, found.head?))).collect();
        Heads { at_ms: now.as_millis(), tenant: self.tenant.as_ref().map(ToString::to_string), heads }
    }
}

/// The account in an entry of the list of moves.
pub(super) fn account(entry: &Entry) -> Option<Moved> {
    serde_json::from_value(entry.raw.clone()).ok()
}

/// Which worksets.
enum Only<'a> {
    One(WorksetId),
    /// All that are listed, and these.
    All(&'a [WorksetId]),
}

/// The name of a workset's chain.
fn chain_of(id: &WorksetId) -> String {
    format!("workset {id}")
}

/// The workset of the chain of that name.
pub(super) fn workset_of(name: &str) -> Option<WorksetId> {
    name.strip_prefix("workset ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use sealane::{
        audit::Finding,
        failover::Order,
        memory::MemoryRows,
        store::Held,
        workset::{By, register},
    };
    use serde_json::json;

    use super::*;

    async fn registered(rows: &MemoryRows, id: &str, region: &str) {
        let by = By {
            actor: "ada".parse().unwrap(),
            region: region.parse().unwrap(),
            at: Timestamp::default(),
            request: "r".to_owned(),
            epoch: Some(1),
        };
        let request = json!({"id": id, "bucket": "my-bucket", "prefix": "p/"});
        let request = serde_json::from_value(request).unwrap();
        let (workset, last) = register(request, "lab".parse().unwrap(), &by).unwrap();
        WorksetTable::new(rows.clone()).create(&Held { workset, last }).await.unwrap();
    }

    async fn chains(rows: &MemoryRows) -> Chains {
        let tenant: Tenant = "lab".parse().unwrap();
        let mut chains = Chains { tenant: Some(tenant.clone()), ..Chains::default() };
        chains.control(&ControlTable::new(vec![rows.clone()])).await.unwrap();
        let extra = ["ws-gone".parse().unwrap()];
        chains.worksets(&WorksetTable::new(rows.clone()), &tenant, Only::All(&extra)).await.unwrap();
        chains
    }

    /// All that is there is whole, and what is gone without a trace is missed by who kept its head.
    #[tokio::test]
    async fn a_workset_that_is_gone_altogether_is_missed_by_its_head() {
        let rows = MemoryRows::default();
        let control = ControlTable::new(vec![rows.clone()]);
        let order = Order::Approve { to: "us-east-1".parse().unwrap() };
        control.order("ada", "drill", order, Timestamp::default()).await.unwrap();
        registered(&rows, "ws-001", "us-west-2").await;

        let chains = chains(&rows).await;
        let mut kept = chains.heads(Timestamp::default());
        assert_eq!(kept.heads.keys().collect::<Vec<_>>(), ["orders", "workset ws-001"]);
        assert!(chains.judged(&kept).iter().all(|(_, found)| found.findings.is_empty()));
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Heads>(&text).unwrap(), kept);

        kept.heads.insert("workset ws-gone".to_owned(), kept.heads["workset ws-001"]);
        let found = chains.judged(&kept);
        let (_, gone) = found.iter().find(|(name, _)| name == "workset ws-gone").unwrap();
        assert_eq!(gone.findings, [Finding::Cut { number: 1 }]);
    }

    /// The moves say who took the writes when; a record that claims otherwise was not written by the API.
    #[tokio::test]
    async fn a_record_of_a_region_that_was_not_active_is_found() {
        let rows = MemoryRows::default();
        let moved = json!({
            "epoch": 2, "from": "us-west-2", "to": "us-east-1", "reason": {"rule": "began"}, "saw": [],
            "started_by": {"who": "automation"}, "lag_ms": null, "steps": [], "verified": true, "ended": 0,
        });
        let moved: Moved = serde_json::from_value(moved).unwrap();
        ControlTable::new(vec![rows.clone()]).log(&moved).await.unwrap();
        registered(&rows, "ws-001", "us-west-2").await;
        registered(&rows, "ws-002", "us-east-1").await;
        let found = chains(&rows).await.judged(&Heads::default());
        let findings: Vec<_> =
            found.iter().flat_map(|(name, f)| f.findings.iter().map(move |f| (name, f))).collect();
        let [(name, Finding::Foreign { epoch: 1, active, .. })] = findings.as_slice() else {
            panic!("{findings:?}")
        };
        assert_eq!((name.as_str(), active.as_str()), ("workset ws-002", "us-west-2"));
    }

    #[test]
    fn the_name_of_a_chain_names_its_workset() {
        let id: WorksetId = "ws-001".parse().unwrap();
        assert_eq!(workset_of(&chain_of(&id)), Some(id));
        assert_eq!((workset_of(ORDERS), workset_of("workset ../x")), (None, None));
    }
}
