//! Going on with a batch that was stopped: what it was asked for, and what it has shipped.

use std::{collections::BTreeMap, fs};

use sealane::{
    transport::{BatchFile, Journals, Order, ShippedFiles, Source},
    upload::{BATCH_FORMAT, Batch, BatchRecord, ObjectKey, Receipt, Record},
};

use super::{Args, Job, each::Done, job::order_by};
use crate::{
    console::{note, warn},
    fault::Fault,
    uploads,
    world::World,
};

/// A batch that an earlier run began, and what that has shipped of it.
pub(super) struct Earlier {
    pub(super) file: BatchFile,
    pub(super) shipped: ShippedFiles,
}

impl Args {
    /// The batch to go on with, if it is one. What it was asked for then holds from here on.
    pub(super) fn earlier_batch(&mut self, journals: &Journals) -> Result<Option<Earlier>, Fault> {
        let found = match self.resume.as_deref() {
            None => None,
            Some("") if self.each => self.newest_batch(journals)?,
            Some("") => None,
            Some(id) => match journals.resume_batch(id)? {
                None if self.each => return Err(Fault::NothingToResume { what: format!("batch {id}") }),
                found => found,
            },
        };
        let Some((file, shipped)) = found else { return Ok(None) };
        note(&format!("going on with {}: {} have their receipts", file.record(), shipped.len()));
        self.ask_as(file.record());
        Ok(Some(Earlier { file, shipped }))
    }

    /// The newest batch of the path that was stopped, else the only one.
    fn newest_batch(&self, journals: &Journals) -> Result<Option<(BatchFile, ShippedFiles)>, Fault> {
        let (entries, odd) = journals.batches()?;
        warn(&odd.iter().map(ToString::to_string).collect::<Vec<_>>());
        let path = self.followed();
        let fit = entries.into_iter().filter(|entry| {
            let of_path = path.as_deref().is_none_or(|path| entry.record.is_of(path));
            !entry.running && of_path && (self.key.is_none() || self.key == entry.record.key)
        });
        let newest = self.newest(fit, "batch that was stopped")?;
        Ok(newest.map(|entry| journals.resume_batch(&entry.record.batch_id)).transpose()?.flatten())
    }

    /// Puts what a batch was asked for in the place of what the command line says.
    fn ask_as(&mut self, record: &BatchRecord) {
        let record = record.clone();
        (self.each, self.path, self.key) = (true, Some(record.path), record.key);
        (self.copies, self.min_copies) = (record.copies, record.min_copies);
        self.allow_degraded |= record.allow_degraded;
        self.sha256 |= record.sha256;
        (self.storage_class, self.access, self.keep_days) = (record.class, None, None);
        (self.strategy, self.session) = (record.strategy, record.session);
        self.prefer = record.preferred.iter().map(ToString::to_string).collect();
    }

    /// The journal of a fresh batch. One that cannot be kept stops nothing, and is told of.
    pub(super) fn begun_batch(&self, journals: &Journals, job: &Job) -> Option<BatchFile> {
        let (totals, policy) = (job.source.totals(), &job.order.policy);
        let record = BatchRecord {
            format: BATCH_FORMAT,
            batch_id: job.order.upload_id.clone(),
            begun: World::now(),
            path: fs::canonicalize(job.source.path()).unwrap_or_else(|_| job.source.path().to_owned()),
            files: totals.files,
            size: totals.size,
            key: self.key.clone(),
            copies: self.copies,
            min_copies: self.min_copies,
            allow_degraded: policy.allow_degraded,
            sha256: policy.sha256,
            class: self.class(),
            strategy: self.strategy,
            preferred: self.prefer.iter().filter_map(|name| name.parse().ok()).collect(),
            session: self.session.clone(),
        };
        let begun = journals.begin_batch(record);
        begun
            .inspect_err(|error| warn(&[format!("the batch cannot be resumed if it is stopped: {error}")]))
            .ok()
    }
}

/// Files with their places in the folder.
type Placed<T> = Vec<(usize, T)>;

impl Earlier {
    /// What the ids of this run's uploads begin with: no other run's do.
    pub(super) fn ids(&self, job: &Job) -> String {
        format!("{}-{:08x}", self.file.record().batch_id, job.order.seed >> 32)
    }

    /// The files that were shipped as they are now, with their receipts, and the others.
    pub(super) fn split(&self, objects: Vec<(Source, Order)>) -> (Vec<Done>, Placed<(Source, Order)>) {
        let (mut shipped, mut lacking) = (Vec::new(), Vec::new());
        for (place, (source, order)) in objects.into_iter().enumerate() {
            let same = self.shipped.get(&order.key).filter(|shipped| shipped.print == source.print());
            match same {
                Some(found) => {
                    shipped.push((place, order.key.as_str().to_owned(), Ok(found.receipt.clone())));
                }
                None => lacking.push((place, (source, order))),
            }
        }
        (shipped, lacking)
    }

    /// The receipts of files that are in the folder no more.
    pub(super) fn gone<T>(&self, now: &BTreeMap<ObjectKey, T>) -> Vec<Receipt> {
        let gone = self.shipped.iter().filter(|(key, _)| !now.contains_key(key));
        gone.map(|(_, shipped)| shipped.receipt.clone()).collect()
    }
}

/// Has the files of several parts go on where stopped runs of the batch left them, and gives up what those
/// began and nobody goes on with.
pub(super) async fn take_up(
    journals: &Journals,
    record: &BatchRecord,
    job: &Job,
    lacking: &mut Placed<(Source, Order)>,
) -> Result<(), Fault> {
    let mut left: BTreeMap<_, _> = uploads::of_batch(journals, &record.batch_id)?
        .into_iter()
        .map(|record| (record.key.clone(), record))
        .collect();
    let mut stale = Vec::new();
    for (_, (source, order)) in lacking {
        match left.remove(&order.key) {
            Some(record) if record.source == source.identity() => {
                *order = order_by(record, job.world.config.upload);
            }
            Some(record) => stale.push(record),
            None => {}
        }
    }
    let buckets = job.world.buckets();
    for Record { upload_id, .. } in stale.into_iter().chain(left.into_values()) {
        if uploads::abort_one(journals, &upload_id, &buckets).await?.iter().any(uploads::Line::is_left) {
            note(&format!("`sealane uploads abort {upload_id}` frees what is left unfinished"));
        }
    }
    Ok(())
}

/// Forgets the batch if every file came to its receipt, else says how to go on.
pub(super) fn ended(file: Option<BatchFile>, batch: &Batch) {
    let Some(file) = file else { return };
    let trouble = file.trouble();
    if batch.outcome.is_success() {
        let lost = file.close().err().map(|error| error.to_string());
        return warn(&lost.into_iter().collect::<Vec<_>>());
    }
    warn(&trouble.into_iter().collect::<Vec<_>>());
    note(&format!("`sealane upload --resume={}` ships what lacks", batch.batch_id));
}
