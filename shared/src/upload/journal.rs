//! What is written down of an upload while it runs, so that a later run can go on with it.
//!
//! Rule: whatever a store may hold of an upload is named here before the store is
//! asked for it. The region is named before its multipart upload is begun, and the id
//! before the first part is sent; which parts the store has, the store itself is asked.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Classes, ObjectKey, Plan};
use crate::{checksum::Checksum, region::RegionName, time::Timestamp, units::ByteSize};

/// The format that [`Record`] is written in.
pub const JOURNAL_FORMAT: u32 = 1;

/// What tells a source from what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The file or folder, from the root on.
    pub path: PathBuf,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub size: ByteSize,
    /// Over name, mode, size, time of the last write and inode of everything in it.
    pub print: Checksum,
}

impl Identity {
    /// What differs in `now`, in words; `None` if nothing does.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.path != now.path {
            return Some(format!("it was `{}`", self.path.display()));
        }
        if self.size != now.size {
            return Some(format!("it had {} bytes and has {}", self.size.0, now.size.0));
        }
        if self.files != now.files {
            return Some(format!("it had {} files and has {}", self.files, now.files));
        }
        (self.print != now.print).then(|| "it was written to or put in place anew".to_owned())
    }
}

/// What was begun in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The bucket.
    pub bucket: String,
    /// When the store was asked, on this machine's clock.
    pub at: Timestamp,
    /// The id of the multipart upload; `None` until the store has named it.
    pub upload: Option<String>,
    /// When else the store was asked, so that it may have begun others whose names nobody heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Timestamp>,
}

/// An upload that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`JOURNAL_FORMAT`].
    pub format: u32,
    /// The id of the upload, which its copies carry.
    pub upload_id: String,
    /// When it was first begun.
    pub begun: Timestamp,
    /// What is shipped.
    pub source: Identity,
    /// The key in every region.
    pub key: ObjectKey,
    /// The regions.
    pub plan: Plan,
    /// The size of each part but the last.
    pub part_size: ByteSize,
    /// How the copies are kept.
    #[serde(rename = "storage_class", default)]
    pub classes: Classes,
    /// What may be unfinished, by region.
    pub regions: BTreeMap<RegionName, Begun>,
}

/// Something that happens to an upload and has to outlive its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A multipart upload is about to be begun.
    Beginning {
        /// The region.
        region: RegionName,
        /// Its bucket.
        bucket: String,
        /// The present moment on this machine's clock.
        at: Timestamp,
    },
    /// The store has named it.
    Begun {
        /// The region.
        region: RegionName,
        /// The id.
        upload: String,
        /// Whether it was asked again because an answer was lost.
        doubled: bool,
    },
    /// The upload that the record names in the region is unfinished no more.
    Ended {
        /// The region.
        region: RegionName,
    },
    /// Another region takes over a copy.
    Moved {
        /// The region that failed.
        from: RegionName,
        /// The region that is tried next.
        to: RegionName,
    },
}

impl Record {
    /// Takes in what has happened.
    pub fn apply(&mut self, note: Note) {
        match note {
            Note::Beginning { region, bucket, at } => {
                let before = self.regions.remove(&region);
                let unheard = before.as_ref().filter(|begun| begun.upload.is_none()).map(|begun| begun.at);
                let mut strays = before.map(|begun| begun.strays).unwrap_or_default();
                strays.extend(unheard);
                self.regions.insert(region, Begun { bucket, at, upload: None, strays });
            }
            Note::Begun { region, upload, doubled } => {
                if let Some(begun) = self.regions.get_mut(&region) {
                    begun.upload = Some(upload);
                    begun.strays.extend(doubled.then_some(begun.at));
                }
            }
            Note::Ended { region } => match self.regions.get_mut(&region) {
                Some(begun) if begun.upload.is_some() && !begun.strays.is_empty() => begun.upload = None,
                Some(_) | None => {
                    self.regions.remove(&region);
                }
            },
            Note::Moved { from, to } => self.plan.take_over(from, to),
        }
    }

    /// Whether it is an upload of what lies at `path`.
    pub fn is_of(&self, path: &Path) -> bool {
        self.source.path == path
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { upload_id, key, source, .. } = self;
        write!(f, "upload {upload_id} of `{}` ({}) to `{}`", source.path.display(), source.size, key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::{Policy, StorageClass};
    use proptest::{collection::vec, prelude::*};

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn identity() -> Identity {
        Identity { path: "/data/run".into(), files: 2, size: ByteSize(10), print: Checksum::of(b"1") }
    }

    fn record() -> Record {
        let all: Vec<_> = (0..5).map(region).collect();
        let policy = Policy { copies: 3, ..Policy::default() };
        Record {
            format: JOURNAL_FORMAT,
            upload_id: "u-1".to_owned(),
            begun: Timestamp::from_millis(5),
            source: identity(),
            key: "run".parse().unwrap(),
            plan: Plan::new(&policy, &all, &all[..4]).unwrap(),
            part_size: ByteSize::mib(8),
            classes: Classes::All(StorageClass::StandardIa),
            regions: BTreeMap::new(),
        }
    }

    fn note() -> impl Strategy<Value = Note> {
        let (at, bucket) = (Timestamp::from_millis(7), "b".to_owned());
        prop_oneof![
            (0..5_usize).prop_map(move |i| Note::Beginning { region: region(i), bucket: bucket.clone(), at }),
            (0..5_usize).prop_map(|i| Note::Begun {
                region: region(i),
                upload: format!("id-{i}"),
                doubled: i == 1
            }),
            (0..5_usize).prop_map(|i| Note::Ended { region: region(i) }),
            (0..4_usize, 0..4_usize).prop_map(|(a, b)| Note::Moved { from: region(a), to: region(b) }),
        ]
    }

    proptest! {
        /// Whatever happens, each region has one place in the plan, none is lost, and the record
        /// reads back as it was written.
        #[test]
        fn no_region_is_lost_or_doubled(notes in vec(note(), 0..20)) {
            let mut record = record();
            let all = |plan: &Plan| {
                let mut all: Vec<_> = plan.lanes.iter().chain(&plan.spare).copied().collect();
                all.sort_unstable();
                all
            };
            let (before, lanes) = (all(&record.plan), record.plan.lanes.len());
            for note in notes {
                record.apply(note);
                prop_assert_eq!(all(&record.plan), before.clone());
                prop_assert_eq!(record.plan.lanes.len(), lanes);
            }
            let text = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        }
    }

    #[test]
    fn a_region_is_named_before_its_upload_and_until_it_ended() {
        let mut record = record();
        let at = Timestamp::from_millis(7);
        record.apply(Note::Beginning { region: region(1), bucket: "b".to_owned(), at });
        assert_eq!(record.regions[&region(1)].upload, None);
        record.apply(Note::Begun { region: region(1), upload: "id".to_owned(), doubled: false });
        assert_eq!(record.regions[&region(1)].upload.as_deref(), Some("id"));
        record.apply(Note::Ended { region: region(1) });
        assert!(record.regions.is_empty());
    }

    #[test]
    fn an_upload_that_may_have_a_twin_leaves_the_twin_to_be_looked_for() {
        let mut record = record();
        let at = Timestamp::from_millis(7);
        record.apply(Note::Beginning { region: region(1), bucket: "b".to_owned(), at });
        record.apply(Note::Begun { region: region(1), upload: "id".to_owned(), doubled: true });
        record.apply(Note::Ended { region: region(1) });
        assert_eq!(record.regions[&region(1)].upload, None);
        record.apply(Note::Ended { region: region(1) });
        assert!(record.regions.is_empty());
    }

    #[test]
    fn every_question_that_nobody_heard_the_answer_of_is_remembered() {
        let mut record = record();
        let asked = [7, 8, 9].map(Timestamp::from_millis);
        for at in asked {
            record.apply(Note::Beginning { region: region(1), bucket: "b".to_owned(), at });
        }
        record.apply(Note::Begun { region: region(1), upload: "id".to_owned(), doubled: false });
        assert_eq!(record.regions[&region(1)].strays, asked[..2]);
    }

    #[test]
    fn a_copy_that_moved_goes_on_where_it_went() {
        let mut record = record();
        record.apply(Note::Moved { from: region(1), to: region(3) });
        assert_eq!(record.plan.lanes, [region(0), region(3), region(2)]);
        assert_eq!(record.plan.spare, [region(1)]);
    }

    /// The text of a record as it was written before the rules of replication chose classes; `class`: what it
    /// said of them.
    fn earlier(class: &str) -> Record {
        let text = format!(
            r#"{{"format":1,"upload_id":"u-1","begun":5,"source":{{"path":"/data/run","files":2,"size":10,
            "print":"{}"}},"key":"run","plan":{{"copies":3,"min_copies":2,"allow_degraded":false,
            "lanes":["us-west-0","us-west-1","us-west-2"],"spare":["us-west-3"],"owed":["us-west-4"]}},
            "part_size":8388608,{class}"regions":{{"us-west-1":{{"bucket":"b","at":7,"upload":"id"}}}}}}"#,
            Checksum::of(b"1")
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn records_from_before_the_rules_are_read() {
        let one = earlier(r#""storage_class":"STANDARD_IA","#);
        assert_eq!(one.classes, Classes::All(StorageClass::StandardIa));
        let begun = Begun {
            bucket: "b".to_owned(),
            at: Timestamp::from_millis(7),
            upload: Some("id".to_owned()),
            strays: vec![],
        };
        let plan = one.plan.clone();
        assert_eq!(one, Record { plan, regions: [(region(1), begun)].into(), ..record() });
        assert_eq!(one.plan.lanes, [region(0), region(1), region(2)]);
        for unsaid in [r#""storage_class":null,"#, ""] {
            assert_eq!(earlier(unsaid), Record { classes: Classes::AsSource, ..one.clone() });
        }
    }

    #[test]
    fn what_changed_in_the_source_is_said() {
        let was = identity();
        assert_eq!(was.difference(&was.clone()), None);
        let told = |now: &Identity| was.difference(now).unwrap();
        assert!(told(&Identity { size: ByteSize(9), ..was.clone() }).contains("10 bytes and has 9"));
        assert!(told(&Identity { files: 3, ..was.clone() }).contains("2 files and has 3"));
        assert!(told(&Identity { print: Checksum::of(b"2"), ..was.clone() }).contains("written to"));
        assert!(told(&Identity { path: "/else".into(), ..was.clone() }).contains("/data/run"));
    }
}
