//! What the regions tell at the end: histories, conflicts, and accounts of moves, each through its own API.

use super::{Tape, record};
use crate::{
    cloud::{
        error::{CloudError, Doing},
        folder::write_whole,
    },
    demo::scene::FULL,
    drill::stage::Stage,
};
use histories::{Deed, Entry, Told};
use sealane::{failover::Moved, region::RegionName, workset::Event};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    thread,
    time::Duration,
};

/// Histories that are read at once.
const AT_ONCE: usize = 6;

/// Tries of one read, when everything is healed.
const TRIES: u32 = 8;

/// What is waited between them.
const AGAIN: Duration = Duration::from_secs(1);

/// All that is told at the end.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By region: the history of each workset.
    pub(super) histories: BTreeMap<RegionName, BTreeMap<String, Vec<Event>>>,
    /// The calls whose writes are reported as conflicts, wherever.
    pub(super) reported: BTreeSet<String>,
    /// The accounts of moves, as any region tells them.
    pub(super) accounts: Vec<Moved>,
    /// Where work is at the end.
    pub(super) active: Option<RegionName>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (region, histories) in &self.histories {
            let events: usize = histories.values().map(Vec::len).sum();
            write!(f, "{events} events of {} worksets from {region}, ", histories.len())?;
        }
        write!(f, "{} writes in conflicts, {} accounts of moves", self.reported.len(), self.accounts.len())
    }
}

/// Reads the history of every workset that clients know of from every region, and what else is told.
pub(super) fn read(stage: &Stage, tape: &Tape, tag: &str) -> Result<Found, CloudError> {
    let ids: BTreeSet<&str> = tape.notes.entries.iter().map(|entry| entry.id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().filter(|id| id.starts_with(tag)).collect();
    let reader = Reader { stage };
    let mut found = Found::default();
    for region in FULL {
        let name: RegionName = region.parse().map_err(|error| unread(format!("{error}")))?;
        let told = reader.all(region, &ids)?;
        let mut histories = BTreeMap::new();
        for (id, events, conflicts) in told {
            found.reported.extend(conflicts);
            histories.insert(id, events);
        }
        found.histories.insert(name, histories);
        let told = reader.body(region, "/v1/failovers?limit=100")?.unwrap_or_default();
        for account in told["moves"].as_array().into_iter().flatten() {
            let account =
                serde_json::from_value(account.clone()).map_err(|error| unread(error.to_string()))?;
            if !found.accounts.contains(&account) {
                found.accounts.push(account);
            }
        }
    }
    found.active = FULL.into_iter().find_map(|region| record(&stage.api, region)).map(|record| record.active);
    Ok(found)
}

/// A workset, its events, and the calls whose writes are reported as conflicts.
type Tale = (String, Vec<Event>, Vec<String>);

struct Reader<'a> {
    stage: &'a Stage,
}

impl Reader<'_> {
    fn all(&self, region: &str, ids: &[&str]) -> Result<Vec<Tale>, CloudError> {
        let size = ids.len().div_ceil(AT_ONCE).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = ids
                .chunks(size)
                .map(|part| {
                    scope.spawn(move || {
                        part.iter().filter_map(|id| self.one(region, id).transpose()).collect()
                    })
                })
                .collect();
            let mut all = Vec::new();
            for part in parts {
                let told: Result<Vec<Tale>, CloudError> =
                    part.join().unwrap_or_else(|_| Err(unread("a reader ended early".to_owned())));
                all.extend(told?);
            }
            Ok(all)
        })
    }

    /// One workset; `None` if the region says that there is none.
    fn one(&self, region: &str, id: &str) -> Result<Option<Tale>, CloudError> {
        let Some(events) = self.pages(region, id, "events")? else { return Ok(None) };
        let events = events.into_iter().map(serde_json::from_value).collect::<Result<Vec<Event>, _>>();
        let events = events.map_err(|error| unread(format!("the history of `{id}`: {error}")))?;
        let conflicts = self.pages(region, id, "conflicts")?.unwrap_or_default();
        let writes =
            conflicts.iter().flat_map(|conflict| conflict["writes"].as_array().into_iter().flatten());
        let calls = writes.filter_map(|write| Some(write["request"].as_str()?.to_owned())).collect();
        Ok(Some((id.to_owned(), events, calls)))
    }

    fn pages(&self, region: &str, id: &str, what: &str) -> Result<Option<Vec<Value>>, CloudError> {
        let limit = if what == "events" { "&limit=100" } else { "" };
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/worksets/{id}/{what}?region={region}{limit}{next}");
            let Some(mut page) = self.body(region, &path)? else { return Ok(None) };
            all.extend(page[what].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return Ok(Some(all)),
            }
        }
    }

    /// One answer; `None`: that there is no such thing.
    fn body(&self, region: &str, path: &str) -> Result<Option<Value>, CloudError> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.stage.api.get(region, path) {
                Ok(reply) if reply.is_success() => return Ok(Some(reply.body)),
                Ok(reply) if reply.status == 404 => return Ok(None),
                Ok(reply) => last = reply.words(),
                Err(silence) => last = silence,
            }
            self.stage.narrator.rest(AGAIN);
        }
        Err(unread(format!("`GET {path}` of {region}: {last}")))
    }
}

fn unread(what: String) -> CloudError {
    CloudError::failed(what, "what the regions tell could not be read, so nothing was judged".to_owned())
}

/// Keeps everything that was noted and told, one line of JSON each.
pub(super) fn keep(path: &Path, tape: &Tape, found: &Found) -> Result<(), CloudError> {
    let mut lines: Vec<Value> = tape.notes.entries.iter().map(entry_line).collect();
    lines.extend(tape.notes.seen.iter().map(|seen| {
        json!({"seen": seen.id, "version": seen.version, "state": seen.state, "heard_us": us(seen.heard)})
    }));
    lines.extend(tape.looks.iter().map(|look| {
        json!({"record": look.version, "epoch": look.epoch, "active": look.active, "sent_us": us(look.sent), "heard_us": us(look.heard)})
    }));
    let events = found.histories.iter().flat_map(|(region, histories)| {
        histories.iter().map(move |(id, events)| json!({"history": id, "in": region, "events": events}))
    });
    lines.extend(events);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).doing(format!("creating `{}`", parent.display()))?;
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    write_whole(path, &text)
}

fn entry_line(entry: &Entry) -> Value {
    let Entry { worker, id, deed, told, version, sent, heard, write } = entry;
    let granted = match (deed, told) {
        (Deed::Lock(_), Told::Done(token)) => *token,
        _ => None,
    };
    json!({"worker": worker, "id": id, "deed": deed.to_string(), "told": told.name(), "granted": granted,
        "version": version, "sent_us": us(*sent), "heard_us": us(*heard), "write": write})
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
