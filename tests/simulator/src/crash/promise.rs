//! What every schedule must leave behind.

use sealane::{
    failover::{Phase, Pin, Record, Watch},
    ports::RowsError,
    steer::steer,
};
use std::time::Duration;
use tokio::time::sleep;

use super::{
    explore::alone,
    flows::Flow,
    stage::{Durable, HERE, Observers, Stage, name},
};

/// Turns within which a controller that is left alone brings everything to rest.
const TURNS_MAX: u32 = 60;

/// Time between them.
const EVERY: Duration = Duration::from_secs(5);

/// The promises that `left` does not keep.
pub(super) fn broken(flow: &Flow, left: &Durable) -> Vec<String> {
    let mut broken = left.broken.clone();
    let checked = alone(async {
        let stage = Stage::new(left).await;
        let mut broken = rulings(flow, &stage).await?;
        broken.extend(own_rows(left, &stage).await?);
        let record = settle(flow, &stage).await?;
        broken.extend(match &record {
            Some(record) => accounts(record, &stage).await?,
            None => vec![format!(
                "no controller brings the move to its end: {:?}",
                stage.control().record().await?
            )],
        });
        let settled = stage.left();
        let records = settled.control.iter().filter(|row| row.key.partition == "assignment").count();
        broken.extend((records != 1).then(|| format!("there are {records} records")));
        broken.extend(settled.broken.into_iter().skip(left.broken.len()));
        Ok::<_, RowsError>(broken)
    });
    match checked {
        Ok(found) => broken.extend(found),
        Err(error) => broken.push(format!("a row is not readable: {error}")),
    }
    broken
}

/// Whether the rulings are those that were commanded.
async fn rulings(flow: &Flow, stage: &Stage) -> Result<Vec<String>, RowsError> {
    let held: Vec<Pin> = stage.control().pins().await?;
    Ok(if held == flow.pins { Vec::new() } else { vec![format!("the rulings are {held:?}")] })
}

/// Whether every observer's row can still be read.
async fn own_rows(left: &Durable, stage: &Stage) -> Result<Vec<String>, RowsError> {
    let written = left.health.iter().filter(|row| row.key.partition == "observation").count();
    let read = stage.health().observations().await?.len();
    Ok(if read == written {
        Vec::new()
    } else {
        vec![format!("{read} of {written} observations are readable")]
    })
}

/// The record once a fresh controller has brought work to rest where it belongs; `None`: it cannot.
async fn settle(flow: &Flow, stage: &Stage) -> Result<Option<Record>, RowsError> {
    let (control, observers) = (stage.control(), Observers::of(flow.finally));
    let mut watch = Watch::default();
    for _ in 0..TURNS_MAX {
        let turn =
            steer(&flow.config, name(HERE), observers.verdicts(), &control, &mut watch, &stage.clock).await?;
        let rests = |r: &Record| {
            let asked = r.proposal.as_ref().is_some_and(|p| p.approved_by.is_some());
            r.phase == Phase::Steady && flow.active.contains(&r.active.as_str()) && !asked
        };
        if let Some(record) = turn.record.filter(rests) {
            return Ok(Some(record));
        }
        sleep(EVERY).await;
    }
    Ok(None)
}

/// Whether each move has its one account, and the accounts lead from the beginning to `record`.
async fn accounts(record: &Record, stage: &Stage) -> Result<Vec<String>, RowsError> {
    let mut moves = stage.control().moves(100).await?;
    moves.reverse();
    let epochs: Vec<u64> = moves.iter().map(|m| m.epoch).collect();
    let mut broken = Vec::new();
    if epochs != (2..=record.epoch).collect::<Vec<_>>() {
        broken.push(format!("epoch {} has accounts of {epochs:?}", record.epoch));
    }
    let leads = moves.windows(2).all(|two| two[0].to == two[1].from);
    let arrives = moves.last().is_none_or(|last| last.to == record.active);
    if !leads || !arrives {
        broken.push(format!("the accounts do not lead to {}: {moves:?}", record.active));
    }
    Ok(broken)
}
