//! Sending what a job names, until it is done or somebody stops it.

use sealane::{
    aws::SystemClock,
    retry::RetryBudgets,
    transport::{Journal, Leases, Means, Unkept, ship_with},
    upload::Receipt,
};

use super::job::Job;
use crate::{
    console::{Console, warn},
    fault::Fault,
    signals,
    telling::Telling,
};

/// Ships by the job's order, with a lease in each region that can be asked for one.
///
/// When the process is told to stop, nothing more is sent, the leases are given back, and what
/// the regions have acknowledged stays for a later run.
pub(super) async fn shipped(
    job: &Job,
    bandwidth_mbps: Option<u32>,
    console: Console,
) -> Result<Receipt, Fault> {
    let Job { world, source, order, journal, .. } = job;
    let telling = Telling::new(console.is_json(), source.size_max());
    let holder = format!("sealane upload {}", order.key.as_str());
    let leases =
        Leases::new(&world.config, world.leases(), &SystemClock, &order.upload_id, &holder, bandwidth_mbps);
    let (buckets, budgets, progress) = (world.buckets(), RetryBudgets::default(), |news| telling.show(news));
    let kept: &dyn Journal = journal.as_ref().map_or(&Unkept, |journal| journal);
    let rates = job.rates(bandwidth_mbps);
    let means = Means { gate: &leases, budgets: &budgets, rates: &rates, journal: kept };
    let receipt = tokio::select! {
        receipt = ship_with(&means, source, &buckets, order, &progress, &SystemClock) => receipt,
        never = leases.keep() => match never {},
        () = signals::stop() => {
            telling.clear();
            leases.give_all_back().await;
            let resume = journal.is_some().then(|| order.upload_id.clone());
            return Err(Fault::Stopped { resume });
        }
    };
    telling.clear();
    warn(&journal.iter().filter_map(|journal| journal.trouble()).collect::<Vec<_>>());
    Ok(receipt.map(|receipt| receipt.without_leases(leases.without()))?)
}
