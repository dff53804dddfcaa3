//! What each target is told, in the worksets table: a row a notice and target, in the index while it
//! waits or is parked. The table drops a notice some time after it was heard.

use super::{Replicas, Versioned, encode, versioned};
use crate::{
    notify::{Heard, KEPT_FOR, Notice, Queued, Stage, TargetName},
    ports::{Cursor, Key, Row, Rows, RowsError, When},
    time::Timestamp,
    workset::keys,
};

/// Rows read with one call.
const PAGE: usize = 500;

/// Sort key of the row that says how far a target was told of failovers.
const FAILOVERS: &str = "failovers";

/// Notices of one target, the one that was queued first first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lined {
    /// The notices.
    pub rows: Vec<Versioned<Queued>>,
    /// What is wrong with rows that this version cannot read. They keep no others back.
    pub unreadable: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

/// Notices and how far they have come, through the replicas of the worksets table.
#[derive(Debug, Clone)]
pub struct NoticeTable<R> {
    rows: Replicas<R>,
}

impl<R: Rows> NoticeTable<R> {
    /// The table behind `rows`, which is that of the worksets.
    pub fn new(rows: R) -> Self {
        Self::through(vec![rows])
    }

    /// The same behind `replicas`, nearest first. More than one only where they are strongly consistent.
    pub fn through(replicas: Vec<R>) -> Self {
        Self { rows: Replicas::new(replicas) }
    }

    /// Queues a notice for a target, unless it was queued before, whatever became of it.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn queue(&self, target: &TargetName, notice: Notice, now: Timestamp) -> Result<(), RowsError> {
        let row = row(target, &Queued::new(notice, now), 1)?;
        match self.rows.write(&row, When::Absent).await {
            Ok(()) | Err(RowsError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Up to `limit` notices that a target is told next.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn waiting(&self, target: &TargetName, limit: usize) -> Result<Lined, RowsError> {
        self.lined(target, Stage::Waiting, limit).await
    }

    /// Up to `limit` notices that a target is told no more.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn parked(&self, target: &TargetName, limit: usize) -> Result<Lined, RowsError> {
        self.lined(target, Stage::Parked, limit).await
    }

    async fn lined(&self, target: &TargetName, stage: Stage, limit: usize) -> Result<Lined, RowsError> {
        let mut lined = Lined::default();
        let (mut from, mut seen): (Option<Cursor>, usize) = (None, 0);
        while seen < limit {
            let page = self
                .rows
                .list_index(&lane(target, stage), None, from.as_ref(), PAGE.min(limit - seen))
                .await?;
            seen += page.rows.len();
            for row in &page.rows {
                match versioned::<Queued>(row) {
                    Ok(one) if one.value.stage == stage => lined.rows.push(one),
                    Ok(_) => {}
                    Err(error) => lined.unreadable.push(error.to_string()),
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        lined.more = from.is_some();
        Ok(lined)
    }

    /// Replaces `old` by `new` if the table still holds `old`.
    ///
    /// # Errors
    /// [`RowsError::Conflict`] if it does not: somebody else tells this notice. Else when the replica
    /// does not answer.
    pub async fn settle(
        &self,
        target: &TargetName,
        old: &Versioned<Queued>,
        new: &Queued,
        now: Timestamp,
    ) -> Result<(), RowsError> {
        let row = row(target, new, old.version + 1)?;
        let ends = (new.stage == Stage::Told).then(|| now.after(KEPT_FOR).as_millis().div_ceil(1_000));
        self.rows.write(&Row { expires_s: ends, ..row }, When::Version(old.version)).await
    }

    /// How far a target was told of failovers; `None` before the first look.
    ///
    /// # Errors
    /// When the replica does not answer or the row is not readable.
    pub async fn heard(&self, target: &TargetName) -> Result<Option<Versioned<Heard>>, RowsError> {
        let key = Key::new(keys::heard(target), FAILOVERS);
        self.rows.read(&key).await?.as_ref().map(versioned).transpose()
    }

    /// Notes how far a target was told of failovers, unless somebody noted more meanwhile.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn note(
        &self,
        target: &TargetName,
        old: Option<&Versioned<Heard>>,
        new: Heard,
    ) -> Result<(), RowsError> {
        let version = old.map_or(0, |old| old.version);
        let row = encode(Key::new(keys::heard(target), FAILOVERS), version + 1, &new)?;
        let when = if old.is_some() { When::Version(version) } else { When::Absent };
        match self.rows.write(&row, when).await {
            // Who was first has told the same, and notices that are queued twice are one.
            Ok(()) | Err(RowsError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn lane(target: &TargetName, stage: Stage) -> String {
    let word = match stage {
        Stage::Waiting => "waiting",
        Stage::Told => "told",
        Stage::Parked => "parked",
    };
    format!("~notify#{target}#{word}")
}

fn row(target: &TargetName, queued: &Queued, version: u64) -> Result<Row, RowsError> {
    let Queued { notice, stage, queued_at, .. } = queued;
    let key = Key::new(keys::notices(target, &notice.line), notice.order.clone());
    let place = keys::aged(*queued_at, &notice.line, &notice.order);
    let row = encode(key, version, queued)?;
    let index = match stage {
        Stage::Told => None,
        Stage::Waiting | Stage::Parked => Some(Key::new(lane(target, *stage), place)),
    };
    Ok(Row { index, ..row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::MemoryRows,
        notify::{Outcome, What},
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn notice(order: u64) -> Notice {
        Notice {
            id: format!("n:{order}"),
            line: "workset#lab#ws-001".to_owned(),
            order: format!("{order:020}"),
            what: What::WorksetState,
            state: None,
            body: "{}".to_owned(),
        }
    }

    fn target() -> TargetName {
        "ops".parse().unwrap()
    }

    async fn ids(lined: Result<Lined, RowsError>) -> Vec<String> {
        lined.unwrap().rows.into_iter().map(|row| row.value.notice.id).collect()
    }

    #[tokio::test]
    async fn what_was_queued_once_is_not_queued_again_even_when_it_was_told() {
        let rows = MemoryRows::default();
        let table = NoticeTable::new(rows.clone());
        table.queue(&target(), notice(1), at(5)).await.unwrap();
        let [one] = table.waiting(&target(), 9).await.unwrap().rows.try_into().unwrap();
        let told = one.value.clone().after(&Outcome::Told, 9, at(6), 0);
        table.settle(&target(), &one, &told, at(6)).await.unwrap();
        table.queue(&target(), notice(1), at(7)).await.unwrap();
        assert_eq!(table.waiting(&target(), 9).await.unwrap(), Lined::default());
        let [row] = rows.all().try_into().unwrap();
        assert_eq!(row.expires_s, Some(14 * 86_400 + 1), "the table may drop it in time");
        let other: TargetName = "lims".parse().unwrap();
        table.queue(&other, notice(1), at(8)).await.unwrap();
        assert_eq!(ids(table.waiting(&other, 9).await).await, ["n:1"], "each target hears it");
    }

    #[tokio::test]
    async fn what_is_parked_waits_no_more_and_is_listed_until_it_is_told_again() {
        let table = NoticeTable::new(MemoryRows::default());
        for order in [2, 1] {
            table.queue(&target(), notice(order), at(10 - order)).await.unwrap();
        }
        let rows = table.waiting(&target(), 9).await.unwrap().rows;
        let gone = Outcome::Refused { why: "answered with status 410".to_owned() };
        let parked = rows[0].value.clone().after(&gone, 9, at(9), 0);
        table.settle(&target(), &rows[0], &parked, at(9)).await.unwrap();
        let late = table.settle(&target(), &rows[0], &parked, at(9)).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "of two that tell it one writes: {late:?}");
        assert_eq!(ids(table.waiting(&target(), 9).await).await, ["n:1"]);
        let [held] = table.parked(&target(), 9).await.unwrap().rows.try_into().unwrap();
        assert_eq!(held.value.why.as_deref(), Some("answered with status 410"));
        table.settle(&target(), &held, &held.value.clone().again(at(20)), at(20)).await.unwrap();
        assert_eq!(ids(table.waiting(&target(), 9).await).await, ["n:2", "n:1"], "in the order of queueing");
        assert!(table.waiting(&target(), 1).await.unwrap().more);
    }

    #[tokio::test]
    async fn how_far_a_target_heard_only_rises() {
        let table = NoticeTable::new(MemoryRows::default());
        let heard = |epoch| Heard { switched: epoch, ended: epoch };
        assert_eq!(table.heard(&target()).await.unwrap(), None);
        table.note(&target(), None, heard(3)).await.unwrap();
        let old = table.heard(&target()).await.unwrap();
        table.note(&target(), old.as_ref(), heard(5)).await.unwrap();
        table.note(&target(), old.as_ref(), heard(4)).await.unwrap();
        table.note(&target(), None, heard(1)).await.unwrap();
        assert_eq!(table.heard(&target()).await.unwrap().unwrap().value, heard(5));
    }
}
