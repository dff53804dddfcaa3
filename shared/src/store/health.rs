//! The health table: observations and heartbeats.
//!
//! Every row has one writer, which writes it in its own region's replica (the
//! observation) or in the replica that it probes (the heartbeat), so the last writer has nothing to overwrite.

use super::{Versioned, decode, encode, versioned};
use crate::{
    health::Observation,
    ports::{Key, Rows, RowsError, When},
    region::RegionName,
};

const OBSERVATIONS: &str = "observation";
const HEARTBEATS: &str = "heartbeat";

/// Rows read at once; one page holds every observer there can be.
const PAGE: usize = 100;

/// One region's replica of the health table.
#[derive(Debug, Clone)]
pub struct HealthTable<R> {
    rows: R,
}

impl<R: Rows> HealthTable<R> {
    /// The table behind `rows`.
    pub const fn new(rows: R) -> Self {
        Self { rows }
    }

    /// Every observer's row. A row that this version cannot read counts as missing,
    /// so that one odd writer does not blind every reader.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn observations(&self) -> Result<Vec<Observation>, RowsError> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = self.rows.list(OBSERVATIONS, false, from.as_ref(), PAGE).await?;
            for row in &page.rows {
                match decode(row) {
                    Ok(observation) => found.push(observation),
                    Err(error) => tracing::warn!(observer = row.key.sort, %error, "skipped an observation"),
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// One observer's row, which it reads back when it starts anew. A row that
    /// cannot be read is as good as none: its version still guards the next write.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn observation(
        &self,
        observer: RegionName,
    ) -> Result<Option<Versioned<Observation>>, RowsError> {
        let row = self.rows.read(&Key::new(OBSERVATIONS, observer.as_str())).await?;
        Ok(row.map(|row| {
            versioned(&row)
                .unwrap_or_else(|_| Versioned { value: Observation::new(observer), version: row.version })
        }))
    }

    /// Writes an observer's next row if the one it read last is still there, and
    /// gives its version. [`RowsError::Conflict`]: another invocation of the same
    /// prober is at work.
    ///
    /// # Errors
    /// On a conflict, or when the replica does not answer.
    pub async fn publish(&self, observation: &Observation, read: Option<u64>) -> Result<u64, RowsError> {
        let version = read.unwrap_or(0) + 1;
        let row = encode(Key::new(OBSERVATIONS, observation.observer().as_str()), version, observation)?;
        match self.rows.write(&row, read.map_or(When::Absent, When::Version)).await {
            Ok(()) => Ok(version),
            // After a retry inside the client, a refusal may be that of our own write.
            Err(RowsError::Conflict) if self.rows.read(&row.key).await?.as_ref() == Some(&row) => Ok(version),
            Err(error) => Err(error),
        }
    }

    /// Writes the heartbeat of `observer` in the replica of `target`.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn beat(&self, observer: RegionName, target: RegionName, beat: u64) -> Result<(), RowsError> {
        self.rows.write(&encode(heartbeat_key(observer, target), beat, &beat)?, When::Always).await
    }

    /// The last heartbeat of `observer` in the replica of `target`; `None` before the first.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn heartbeat(
        &self,
        observer: RegionName,
        target: RegionName,
    ) -> Result<Option<u64>, RowsError> {
        let row = self.rows.read(&heartbeat_key(observer, target)).await?;
        row.map(|row| decode(&row)).transpose()
    }
}

fn heartbeat_key(observer: RegionName, target: RegionName) -> Key {
    Key::new(HEARTBEATS, format!("{observer}#{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryRows;

    fn west() -> RegionName {
        "us-west-2".parse().unwrap()
    }

    #[tokio::test]
    async fn two_invocations_of_one_prober_do_not_both_write() {
        let table = HealthTable::new(MemoryRows::default());
        let row = Observation::new(west()).seal(&[]);
        let version = table.publish(&row, None).await.unwrap();
        assert_eq!(table.publish(&row, None).await.unwrap(), 1, "the same row again is a repetition");
        let other = row.clone().hear("us-east-1".parse().unwrap(), 7);
        assert!(matches!(table.publish(&other, None).await, Err(RowsError::Conflict)));
        assert_eq!(table.publish(&row.clone().seal(&[]), Some(version)).await.unwrap(), 2);
        assert!(matches!(table.publish(&row, Some(version)).await, Err(RowsError::Conflict)));
    }

    #[tokio::test]
    async fn an_unreadable_observation_blinds_nobody() {
        let rows = MemoryRows::default();
        let table = HealthTable::new(rows.clone());
        table.publish(&Observation::new(west()).seal(&[]), None).await.unwrap();
        let odd = encode(Key::new(OBSERVATIONS, "us-east-1"), 7, &"from a later release").unwrap();
        rows.write(&odd, When::Absent).await.unwrap();
        assert_eq!(table.observations().await.unwrap().len(), 1);
        let east = "us-east-1".parse().unwrap();
        let own = table.observation(east).await.unwrap().unwrap();
        assert_eq!(own.version, 7, "the next write still names the version that is there");
    }
}
