//! Uploads that go through the API, in the worksets table.
//!
//! They lie in the replica that takes the writes, as the records of calls do. A row is written on
//! the version that was decided on, so of a completion and a change of region that meet one decides anew.

use super::{Versioned, WorksetTable, calls::keep, versioned};
use crate::{
    ports::{Key, Rows, RowsError},
    time::Timestamp,
    upload::ticket::{Ticket, TicketId},
    workset::{Tenant, keys},
};

fn row(tenant: &Tenant, id: &TicketId) -> Key {
    Key::new(keys::upload(tenant, id), keys::UPLOAD)
}

impl<R: Rows> WorksetTable<R> {
    /// The upload, if the tenant has one of that id which has not expired at `now`.
    ///
    /// # Errors
    /// When the replica does not answer or the row is not readable.
    pub async fn ticket(
        &self,
        tenant: &Tenant,
        id: &TicketId,
        now: Timestamp,
    ) -> Result<Option<Versioned<Ticket>>, RowsError> {
        let row = self.rows().read(&row(tenant, id)).await?;
        let held: Option<Versioned<Ticket>> = row.as_ref().map(versioned).transpose()?;
        Ok(held.filter(|held| now < held.value.expires_at))
    }

    /// Replaces what is kept of an upload, if it still is `old`.
    ///
    /// # Errors
    /// [`RowsError::Conflict`] when another write was first: read again and decide anew. Else when
    /// the replica does not answer.
    pub async fn keep_ticket(
        &self,
        tenant: &Tenant,
        old: Option<&Versioned<Ticket>>,
        new: Ticket,
    ) -> Result<Versioned<Ticket>, RowsError> {
        let (key, expires_at) = (row(tenant, &new.id), new.expires_at);
        keep(self.rows(), (key, None), old, new, expires_at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::MemoryRows,
        upload::ticket::{Ask, AskedPart, Leg, Stage},
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn begun(tenant: &Tenant) -> Ticket {
        let part = AskedPart { size_bytes: 9, crc64nvme: "rosUhgp5mIg=".to_owned() };
        let ask = Ask { key: Some("a".to_owned()), size_bytes: Some(9), parts: vec![part], ..Ask::default() };
        let region = "us-west-2".parse().unwrap();
        let leg = Leg {
            region,
            bucket: "b".to_owned(),
            upload: "u".to_owned(),
            regions: vec![region],
            why: "only one".to_owned(),
            begun_at: at(1),
            left: None,
            freed: false,
        };
        Ticket::begun(TicketId::of("seed"), ask.read(tenant).unwrap(), leg, at(1))
    }

    #[tokio::test]
    async fn of_two_changes_of_an_upload_one_wins_and_the_other_decides_anew() {
        let (table, tenant) = (WorksetTable::new(MemoryRows::default()), "lab".parse().unwrap());
        let first = table.keep_ticket(&tenant, None, begun(&tenant)).await.unwrap();
        let ended = table.keep_ticket(&tenant, Some(&first), first.value.clone().aborted()).await.unwrap();
        let late = table.keep_ticket(&tenant, Some(&first), first.value.clone()).await;
        assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
        let held = table.ticket(&tenant, &ended.value.id, at(2)).await.unwrap().unwrap();
        assert_eq!((held.value.stage, held.version), (Stage::Aborted, 2));
    }

    #[tokio::test]
    async fn an_upload_is_its_tenant_s_alone_and_ends_after_35_days() {
        let rows = MemoryRows::default();
        let (table, tenant) = (WorksetTable::new(rows.clone()), "lab".parse().unwrap());
        let kept = table.keep_ticket(&tenant, None, begun(&tenant)).await.unwrap();
        let found = async |tenant: &str, now| {
            let tenant = tenant.parse().unwrap();
            table.ticket(&tenant, &kept.value.id, now).await.unwrap().is_some()
        };
        let end = at(1 + 35 * 86_400_000);
        assert!(found("lab", at(5)).await && !found("other", at(5)).await && !found("lab", end).await);
        let [row] = rows.all().try_into().unwrap();
        assert_eq!(row.expires_s, Some(end.as_millis().div_ceil(1_000)));
    }
}
