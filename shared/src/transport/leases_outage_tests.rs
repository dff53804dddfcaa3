//! Leases while replicas of the control table are silent or slow, and while many ask at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::*;
use crate::{
    admission::reap,
    memory::{ManualClock, MemoryRows},
    ports::{Cursor, Key, Page, Row, Silence, When},
};

fn config(capacity: u32) -> Config {
    let document = format!(
        "{{primary_region: us-west-2, regions: [\
         {{name: us-west-2, bucket: west, capacity: {{max_concurrent_uploads: {capacity}}}}}, \
         {{name: us-east-1, bucket: east}}, {{name: eu-west-1, bucket: europe}}]}}"
    );
    Config::read(Some(&document), std::iter::empty()).unwrap()
}

fn name(text: &str) -> RegionName {
    text.parse().unwrap()
}

fn west() -> RegionName {
    name("us-west-2")
}

/// What is wrong with a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ill {
    /// Nothing but the way to it.
    Far,
    /// It swallows every call, and the client gives up.
    Silent,
    /// It swallows every call, and the client does not give up.
    Mute,
    /// It carries out every write and swallows the answers.
    LosesAnswers,
    /// It finds a write under way in another region: always, or at each one of this many.
    WritesElsewhere { one_of: usize },
}

/// A replica with a fault, which can be cured.
#[derive(Debug, Clone)]
struct Replica {
    rows: MemoryRows,
    ill: Ill,
    cured: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
}

impl Replica {
    fn new(rows: &MemoryRows, ill: Ill) -> Self {
        Self { rows: rows.replica(), ill, cured: Arc::default(), writes: Arc::default() }
    }

    fn ill(&self) -> Ill {
        if self.cured.load(Ordering::SeqCst) { Ill::Far } else { self.ill }
    }

    async fn swallowed<T>() -> Result<T, RowsError> {
        sleep(LEASE_CALL_MAX).await;
        let how = Silence::Timeout;
        Err(RowsError::NoAnswer { table: "control".to_owned(), how, source: "swallowed".into() })
    }

    async fn on_its_way(&self) -> Result<(), RowsError> {
        match self.ill() {
            Ill::Silent => Self::swallowed().await,
            Ill::Mute => std::future::pending().await,
            Ill::Far | Ill::LosesAnswers | Ill::WritesElsewhere { .. } => {
                sleep(Duration::from_millis(40)).await;
                Ok(())
            }
        }
    }
}

impl Rows for Replica {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.on_its_way().await?;
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.on_its_way().await?;
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        match self.ill() {
            Ill::WritesElsewhere { one_of } if number.is_multiple_of(one_of) => Err(RowsError::Throttled {
                table: "control".to_owned(),
                source: "under way elsewhere".into(),
            }),
            Ill::LosesAnswers => {
                self.rows.write(row, when).await?;
                Self::swallowed().await
            }
            Ill::Far | Ill::Silent | Ill::Mute | Ill::WritesElsewhere { .. } => {
                self.rows.write(row, when).await
            }
        }
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.on_its_way().await?;
        self.rows.list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.on_its_way().await?;
        self.rows.list_index(partition, up_to, from, limit).await
    }
}

/// The table as everyone else has it, and one upload's leases through `replicas` of it.
struct World {
    config: Config,
    clock: ManualClock,
    rows: MemoryRows,
}

impl World {
    fn new(capacity: u32) -> Self {
        Self { config: config(capacity), clock: ManualClock::default(), rows: MemoryRows::default() }
    }

    fn leases(&self, id: &str, replicas: &[Replica]) -> Leases<'_, Replica, ManualClock> {
        let control = ControlTable::new(replicas.to_vec());
        Leases::new(&self.config, control, &self.clock, id, "lab-7", None)
    }

    fn replica(&self, ill: Ill) -> Replica {
        Replica::new(&self.rows, ill)
    }

    fn control(&self) -> ControlTable<MemoryRows> {
        ControlTable::new(vec![self.rows.clone()])
    }

    async fn held(&self, region: RegionName) -> u32 {
        self.control().leases(region).await.unwrap().load().uploads
    }

    /// Keeps `leases` for this long, with a reaper beside it.
    async fn run_on(&self, leases: &Leases<'_, Replica, ManualClock>, seconds: u64) {
        let began = Instant::now();
        let since = self.clock.now();
        let mut watches = BTreeMap::new();
        let reaper = async {
            loop {
                self.clock.set(since.after(began.elapsed()));
                reap(&self.config, &self.control(), &mut watches, &self.clock).await.unwrap();
                sleep(Duration::from_secs(10)).await;
            }
        };
        // The end of the time is the only end there is.
        let _ = timeout(Duration::from_secs(seconds), futures::future::join(leases.keep(), reaper)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_replica_takes_no_lease_away_while_another_answers() {
    let world = World::new(1);
    for order in [[Ill::Silent, Ill::Far], [Ill::Far, Ill::Silent]] {
        let leases = world.leases("u", &order.map(|ill| world.replica(ill)));
        let regions: Vec<_> = world.config.regions.iter().map(|region| region.name).collect();
        let began = Instant::now();
        let entered = join_all(regions.iter().map(|region| leases.enter(*region))).await;
        assert!(entered.iter().all(Result::is_ok), "{entered:?}");
        assert!(began.elapsed() < leases.exchange_max(), "{:?}", began.elapsed());
        world.run_on(&leases, 300).await;
        assert_eq!(leases.without(), Vec::new());
        for region in regions {
            assert_eq!(world.held(region).await, 1, "{region}");
            leases.leave(region, Outcome::Failed).await;
            assert_eq!(world.held(region).await, 0, "{region}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_replica_is_not_waited_for() {
    let world = World::new(1);
    let leases = world.leases("u", &[world.replica(Ill::Silent), world.replica(Ill::Far)]);
    let began = Instant::now();
    leases.enter(west()).await.unwrap();
    let first = began.elapsed();
    leases.leave(west(), Outcome::Failed).await;
    assert!(began.elapsed() < LEASE_CALL_MAX, "{first:?} to enter");
}

#[tokio::test(start_paused = true)]
async fn a_control_table_that_hangs_is_waited_for_briefly() {
    let world = World::new(1);
    let leases = world.leases("u", &[world.replica(Ill::Mute)]);
    let began = Instant::now();
    leases.enter(west()).await.unwrap();
    leases.leave(west(), Outcome::Failed).await;
    assert_eq!(began.elapsed(), 2 * leases.exchange_max());
    assert_eq!(leases.without()[0].reason, "the control table could not be asked: no answer within 3s");
}

#[tokio::test(start_paused = true)]
async fn of_many_that_begin_at_once_none_goes_without_a_lease() {
    let world = World::new(20);
    let uploads: Vec<_> = (0..60)
        .map(|i| {
            let replica = world.replica(Ill::WritesElsewhere { one_of: 3 });
            world.leases(&i.to_string(), &[replica])
        })
        .collect();
    let entered = join_all(uploads.iter().map(|leases| leases.enter(west()))).await;
    assert!(uploads.iter().all(|leases| leases.without().is_empty()));
    assert_eq!(entered.iter().filter(|entered| entered.is_ok()).count(), 20);
    let full = |entered: &Result<(), Reason>| match entered {
        Ok(()) => true,
        Err(reason) => matches!(reason, Reason::AtCapacity { .. }),
    };
    assert!(entered.iter().all(full), "{entered:?}");
    assert_eq!(world.held(west()).await, 20);
}

#[tokio::test(start_paused = true)]
async fn contention_that_does_not_end_sends_the_lane_away_in_time() {
    let world = World::new(1);
    let leases = world.leases("u", &[world.replica(Ill::WritesElsewhere { one_of: 1 })]);
    let began = Instant::now();
    let refused = leases.enter(west()).await.unwrap_err();
    assert!(refused.to_string().contains("too many uploads begin there at once"), "{refused}");
    assert!(began.elapsed() <= CONTENTION_MAX + leases.exchange_max(), "{:?}", began.elapsed());
    assert_eq!(leases.without(), Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_not_be_asked_for_is_taken_once_control_is_back() {
    let world = World::new(1);
    let replica = world.replica(Ill::Silent);
    let leases = world.leases("u", std::slice::from_ref(&replica));
    leases.enter(west()).await.unwrap();
    world.run_on(&leases, 90).await;
    assert_eq!((world.held(west()).await, leases.without().len()), (0, 1));
    replica.cured.store(true, Ordering::SeqCst);
    world.run_on(&leases, 30).await;
    assert_eq!((world.held(west()).await, leases.without()), (1, Vec::new()));
    world.run_on(&leases, 300).await;
    assert_eq!(world.held(west()).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_was_refused_while_inside_is_not_let_in_later() {
    let world = World::new(1);
    let replica = world.replica(Ill::Silent);
    let leases = world.leases("u", std::slice::from_ref(&replica));
    leases.enter(west()).await.unwrap();
    let other = world.leases("other", &[world.replica(Ill::Far)]);
    other.enter(west()).await.unwrap();
    replica.cured.store(true, Ordering::SeqCst);
    world.run_on(&leases, 30).await;
    let told = &leases.without()[0].reason;
    assert!(told.starts_with("there was none when the lane began, and no upload slot is free"), "{told}");
    other.leave(west(), Outcome::Failed).await;
    world.run_on(&leases, 300).await;
    assert_eq!(world.held(west()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_was_lost_is_renewed_and_given_back() {
    let world = World::new(1);
    let replica = world.replica(Ill::LosesAnswers);
    let leases = world.leases("u", std::slice::from_ref(&replica));
    // One client, so nobody to read it back from in time.
    let mute = Replica { ill: Ill::Mute, ..replica.clone() };
    assert!(timeout(Duration::from_millis(500), leases.enter(west())).await.is_err());
    assert_eq!(world.held(west()).await, 1);
    let leases = Leases { control: ControlTable::new(vec![mute.clone()]), ..leases };
    leases.enter(west()).await.unwrap();
    assert_eq!(leases.without().len(), 1);
    mute.cured.store(true, Ordering::SeqCst);
    world.run_on(&leases, 300).await;
    assert_eq!((world.held(west()).await, leases.without()), (1, Vec::new()));
    leases.leave(west(), Outcome::Failed).await;
    assert_eq!(world.held(west()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_because_control_was_away_is_told_of_and_taken_again() {
    let world = World::new(1);
    let replica = world.replica(Ill::Silent);
    let leases = world.leases("u", std::slice::from_ref(&replica));
    replica.cured.store(true, Ordering::SeqCst);
    leases.enter(west()).await.unwrap();
    replica.cured.store(false, Ordering::SeqCst);
    // One renewal may be lost, and even two.
    world.run_on(&leases, 45).await;
    assert_eq!(leases.without(), Vec::new());
    world.run_on(&leases, 60).await;
    assert!(
        leases.without()[0].reason.contains("control table could not be asked"),
        "{:?}",
        leases.without()
    );
    world.run_on(&world.leases("nobody", &[]), 100).await;
    assert_eq!(world.held(west()).await, 0);
    replica.cured.store(true, Ordering::SeqCst);
    world.run_on(&leases, 30).await;
    assert_eq!((world.held(west()).await, leases.without()), (1, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_ends_while_its_lease_is_taken_leaves_none() {
    let world = World::new(1);
    let replica = world.replica(Ill::Silent);
    let leases = world.leases("u", std::slice::from_ref(&replica));
    leases.enter(west()).await.unwrap();
    replica.cured.store(true, Ordering::SeqCst);
    // In between: the row was found empty, and the lease is not written yet.
    let lane = async {
        sleep(world.config.lease.renew_every() + Duration::from_millis(100)).await;
        leases.leave(west(), Outcome::Failed).await;
    };
    tokio::select! {
        () = lane => {}
        never = leases.keep() => match never {},
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.held(west()).await, 0);
}
