//! In which region an upload is begun: by the route, and never where it was tried before.

use sealane::{
    ports::{Clock, Rows, Uploads},
    region::{Capability, Region, RegionName},
    route::{self, Roster, Route, Turn},
    upload::ticket::{Leg, TicketId, Wanted, attributes},
    workset,
};

use super::{Desk, cause, invalid, unserved};
use crate::{
    problem::{Kind, Problem},
    status::shares,
};

impl<R: Rows, C: Clock, O: Uploads> Desk<'_, R, C, O> {
    /// Begins the upload in the best region that was not `tried` and answers.
    pub(super) async fn place(
        &self,
        id: &TicketId,
        wanted: &Wanted,
        tried: &[RegionName],
    ) -> Result<Leg, Problem> {
        let eligible = self.eligible(wanted)?;
        let route = self.route(id, wanted, &eligible, tried).await;
        let mut silent = None;
        for region in &route.ranked {
            let bucket = self.bucket(*region)?;
            let regions = holders(*region, &route.ranked, &eligible, self.copies(wanted, eligible.len())?);
            match bucket.begin(wanted.key.as_str(), &attributes(id, wanted, &regions)).await {
                Ok(upload) => {
                    return Ok(Leg {
                        region: *region,
                        bucket: bucket.bucket().to_owned(),
                        upload,
                        regions,
                        why: route.to_string(),
                        begun_at: self.app.now(),
                        left: None,
                        freed: false,
                    });
                }
                Err(error) if error.is_outage() => {
                    tracing::warn!(region.name = %region, error = cause(&error), "began an upload elsewhere");
                    silent = Some(error);
                }
                Err(error) => return Err(unserved(*region, &error)),
            }
        }
        let detail = format!("no region is left for the upload: {route} (nothing was changed)");
        let are_spent = eligible.iter().all(|region| tried.contains(&region.name));
        let kind = if are_spent { Kind::RegionsSpent } else { Kind::NoRegion };
        let problem = Problem::new(kind, detail);
        Err(match silent {
            Some(error) => problem.caused_by(&error),
            None => problem,
        })
    }

    /// The regions that may hold the object, by what it demands and by the rules of replication.
    fn eligible(&self, wanted: &Wanted) -> Result<Vec<Region>, Problem> {
        let rules = &self.app.deps.config.replication;
        let admits = |region: &&Region| {
            rules.admit(region, wanted.key.as_str())
                && wanted.residency.iter().all(|tag| region.residency.contains(tag))
        };
        let eligible: Vec<_> = self.app.full_regions().filter(admits).cloned().collect();
        if eligible.is_empty() {
            let problem = "no region has all these tags and may hold the key by the rules of replication";
            return Err(invalid(vec![workset::Problem { field: "residency", problem: problem.to_owned() }]));
        }
        Ok(eligible)
    }

    /// How many regions shall hold the object.
    fn copies(&self, wanted: &Wanted, eligible: usize) -> Result<usize, Problem> {
        match wanted.copies {
            None => Ok(self.app.deps.config.upload.copies.clamp(1, eligible)),
            Some(copies) if copies <= eligible => Ok(copies),
            Some(copies) => {
                let problem =
                    format!("it is {copies}, and {eligible} regions may hold the object (lower it)");
                Err(invalid(vec![workset::Problem { field: "copies", problem }]))
            }
        }
    }

    async fn route(
        &self,
        id: &TicketId,
        wanted: &Wanted,
        eligible: &[Region],
        tried: &[RegionName],
    ) -> Route {
        let (app, needs) = (self.app, Capability::ObjectWrite);
        let outlook = app.outlook().await;
        let request = route::Request {
            residency: wanted.residency.clone(),
            tried: tried.to_vec(),
            data_in: wanted.data_in,
            turn: Turn::of(id.as_str().as_bytes()),
            at: app.now(),
            shares: shares(outlook.record.as_ref()),
            loads: outlook.loads_for(needs),
            ..route::Request::new(needs)
        };
        let roster = Roster::new(eligible, &outlook.view, &app.deps.config.load_balancing);
        roster.shunning(&app.ejections()).route(&request)
    }
}

/// The regions that shall hold the object in the end: `home` first, then as the route ranks them, and
/// those that are out of reach now at last.
fn holders(home: RegionName, ranked: &[RegionName], eligible: &[Region], copies: usize) -> Vec<RegionName> {
    let rest = ranked.iter().copied().chain(eligible.iter().map(|region| region.name));
    let mut holders = vec![home];
    for region in rest {
        if holders.len() < copies && !holders.contains(&region) {
            holders.push(region);
        }
    }
    holders
}
