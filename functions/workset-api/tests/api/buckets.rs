//! Buckets for uploads, in memory, whose answers may get lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use sealane::{
    config::Config,
    memory::{Call, Cloud, Hook, Hooked},
    ports::{ObjectsError, Silence},
    region::RegionName,
};

/// What ails a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ailment {
    #[default]
    None,
    /// Completions are carried out, and their answers are lost.
    LosesCompletions,
    /// The same, and nothing is seen afterwards.
    LosesSight,
    /// No completion is carried out.
    JoinsNothing,
    /// No upload is begun.
    BeginsNothing,
}

/// A hook that a test may change while the API is at work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Ailment>>);

impl Trouble {
    pub(crate) fn be(&self, ailment: Ailment) {
        *self.0.lock().unwrap() = ailment;
    }
}

fn silent() -> ObjectsError {
    let how = Silence::Timeout;
    ObjectsError::NoAnswer { bucket: "any".to_owned(), how, source: "the answer is lost".into() }
}

impl Hook for Trouble {
    async fn around<T: Send>(
        &self,
        call: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        let ailment = *self.0.lock().unwrap();
        match (ailment, &call) {
            (Ailment::JoinsNothing, Call::Complete) | (Ailment::BeginsNothing, Call::Begin) => Err(silent()),
            (Ailment::LosesCompletions | Ailment::LosesSight, Call::Complete) => {
                carried_out.await.and(Err(silent()))
            }
            // The parts are listed before the completion, and looked at again only after it.
            (Ailment::LosesSight, Call::Look) => match carried_out.await {
                Ok(found) if std::any::type_name::<T>().contains("Vec<") => Ok(found),
                _ => Err(silent()),
            },
            _ => carried_out.await,
        }
    }
}

/// The buckets that the configuration names.
pub(crate) fn buckets(
    config: &Config,
    cloud: &Cloud,
    troubles: &BTreeMap<RegionName, Trouble>,
) -> BTreeMap<RegionName, Hooked<Trouble>> {
    let bucket = |name: &str, trouble: &Trouble| Hooked::new(cloud.bucket(name), trouble.clone());
    let full = config.full_regions();
    full.map(|r| (r.name, bucket(r.bucket.as_deref().unwrap(), &troubles[&r.name]))).collect()
}
