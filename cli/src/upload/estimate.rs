//! `sealane upload --dry-run`: where an upload would go, what it would ask, and what that costs.

use std::fmt;

use sealane::{
    config::Config,
    region::RegionName,
    replication::Named,
    route::Route,
    units::ByteSize,
    upload::{
        Layout, ObjectKey, StorageClass,
        cost::{Cost, Way, can_be_owed, costs, days_min, total},
    },
};
use serde::Serialize;

use super::{Args, Job, job::Placed};
use crate::{
    console::{Console, warn},
    exit::Exit,
    fault::Fault,
    table::Table,
};

/// What would be done.
#[derive(Debug, Serialize)]
struct Report {
    key: ObjectKey,
    /// Bytes that each region would get; at most, for a folder, which is packed while it is sent.
    size_max: ByteSize,
    part_size: ByteSize,
    parts: u32,
    /// The class of the first copy; `costs` have that of each.
    storage_class: StorageClass,
    /// The rule that decided, and regions that may hold no copy by it; `None`: no rule fits.
    rule: Option<Named>,
    barred: Vec<RegionName>,
    /// Days for which each copy is billed at least.
    billed_days_min: u32,
    costs: Vec<Cost>,
    /// Sums, in dollars; absent where a price is not known.
    once_usd: Option<f64>,
    month_usd: Option<f64>,
    route: Option<Route>,
}

/// Plans the upload, sends nothing of it, and shows what it would cost.
pub(super) async fn run(args: &Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let job = Job::planned(args.path(), args, config).await?;
    let (order, size_max) = (&job.order, job.source.size_max());
    let layout = Layout::new(size_max, order.policy.part_size)?;
    let costs = costs(layout, &order.plan, &order.classes, &job.world.config.regions, job.data_in);
    let class = costs.first().map_or(StorageClass::Standard, |cost| cost.storage_class);
    let (route, rule, barred) = match job.placed {
        Some(Placed { route, shipment, .. }) => (Some(route), shipment.rule, shipment.barred),
        None => (None, None, Vec::new()),
    };
    if !order.plan.owed.is_empty() && !can_be_owed(class, size_max) {
        warn(&[format!("the copies that are owed cannot be made from `{class}` before it is restored")]);
    }
    let once = costs.iter().flat_map(|cost| [cost.requests_usd, cost.transfer_usd]);
    let report = Report {
        key: order.key.clone(),
        size_max,
        part_size: layout.part_size(),
        parts: layout.part_count(),
        storage_class: class,
        rule,
        barred,
        billed_days_min: costs.iter().map(|cost| days_min(cost.storage_class)).max().unwrap_or_default(),
        once_usd: total(once),
        month_usd: total(costs.iter().map(|cost| cost.storage_usd_month)),
        costs,
        route,
    };
    console.show(&report)?;
    Ok(Exit::Done)
}

/// Dollars, fine enough that a single request is not nothing.
fn usd(amount: Option<f64>) -> String {
    amount.map_or_else(|| "not known".to_owned(), |amount| format!("${amount:.6}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, size_max, part_size, parts, billed_days_min, .. } = self;
        writeln!(f, "`{}`: at most {size_max} to each region, {parts} parts of {part_size}", key.as_str())?;
        if let Some(rule) = &self.rule {
            writeln!(f, "by {rule}")?;
        }
        if !self.barred.is_empty() {
            let barred: Vec<_> = self.barred.iter().map(ToString::to_string).collect();
            writeln!(f, "never to {}, for want of the residency", barred.join(", "))?;
        }
        let mut table =
            Table::new(["region", "copy", "class", "requests", "for requests", "for transfer", "a month"]);
        for cost in &self.costs {
            let way = match cost.way {
                Way::Sent => "sent",
                Way::Owed => "owed",
            };
            table.row(vec![
                cost.region.to_string(),
                way.to_owned(),
                cost.storage_class.to_string(),
                (cost.writes + cost.reads).to_string(),
                usd(cost.requests_usd),
                usd(cost.transfer_usd),
                usd(cost.storage_usd_month),
            ]);
        }
        table.fmt(f)?;
        writeln!(f, "once {}, and {} a month, by list prices", usd(self.once_usd), usd(self.month_usd))?;
        if *billed_days_min > 0 {
            writeln!(f, "each copy is billed for {billed_days_min} days at least")?;
        }
        self.route.as_ref().map_or(Ok(()), |route| write!(f, "{route}"))
    }
}
