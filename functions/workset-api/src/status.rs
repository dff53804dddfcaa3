//! The routes that show what the system knows and does: regions, routes, moves, copies owed.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderName, header},
};
use futures::{future::join_all, join};
use sealane::{
    failover::{Moved, Pin, Record},
    outlook::Outlook,
    ports::{Clock, Rows, RowsError},
    region::{Capability, Coordinates, Region, RegionName, Role, Status},
    replication::{Entry, Phase},
    route::{self, Share, Strategy, Turn, Utilization},
    store::LedgerTable,
    time::{Timestamp, millis},
    units::ByteSize,
    workset::{Tenant, WorksetId},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    caller::Reads,
    dress::RequestId,
    extract::{Nothing, Params, page_limit},
    problem::{Kind, Problem},
    replica::{Served, ask},
};

type Shared<R, C> = State<Arc<App<R, C>>>;

/// Moves and owed copies shown when the caller does not say.
const LIMIT: usize = 20;

/// That this API answers, and in which region.
#[derive(Debug, Serialize)]
pub(crate) struct Live {
    region: RegionName,
    status: &'static str,
}

/// `GET /v1/live`: touches no table, so that it tells of the API alone.
pub(crate) async fn live<R: Rows, C: Clock>(State(app): Shared<R, C>) -> Json<Live> {
    Json(Live { region: app.deps.home, status: "live" })
}

/// `GET /openapi.json`
pub(crate) async fn openapi<R: Rows, C: Clock>(
    State(_app): Shared<R, C>,
    _: Reads,
) -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi::DOCUMENT)
}

/// `GET /problems/{name}`: the page of a problem's type.
pub(crate) async fn problem<R: Rows, C: Clock>(
    State(_app): Shared<R, C>,
    _: Reads,
    Path(name): Path<String>,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let kind = Kind::ALL.iter().find(|kind| kind.name() == name);
    let page = kind.ok_or_else(|| {
        Problem::new(Kind::NoSuchRoute, "there is no problem of that name (see `docs/PROBLEMS.md`)")
    })?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], page.page()))
}

/// `GET /v1/ready`: whether this region's own tables answer.
pub(crate) async fn ready<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    _: Reads,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<Live>, Problem> {
    let deps = &app.deps;
    let worksets = async {
        let table = app.worksets_of(deps.home)?;
        // Any key will do: what counts is that the replica says whether it has it.
        let (tenant, id) = ("sealane".parse::<Tenant>().ok()?, "ready".parse::<WorksetId>().ok()?);
        Some(table.get(&tenant, &id).await.map(drop))
    };
    let ledger = async { Some(deps.ledger.get(&deps.home)?.owed(deps.home, 1).await.map(drop)) };
    let health = async { Some(deps.health.first()?.observations().await.map(drop)) };
    let control = async { Some(deps.control.record().await.map(drop)) };
    let (worksets, ledger, health, control) = join!(worksets, ledger, health, control);
    let tables = [("worksets", worksets), ("ledger", ledger), ("health", health), ("control", control)];
    let faults: Vec<_> = tables.into_iter().filter_map(|(name, answer)| fault(name, answer)).collect();
    if faults.is_empty() {
        return Ok(Json(Live { region: deps.home, status: "ready" }));
    }
    let detail = format!("in `{}`: {} (ask another region)", deps.home, faults.join("; "));
    Err(Problem::new(Kind::NotReady, detail))
}

fn fault(name: &str, answer: Option<Result<(), RowsError>>) -> Option<String> {
    match answer {
        None => Some(format!("the configuration has no replica of `{name}` here")),
        Some(Ok(())) => None,
        Some(Err(error)) => Some(format!("`{name}`: {error}")),
    }
}

/// How one capability of a region stands.
#[derive(Debug, Serialize)]
pub(crate) struct Stands {
    pub(crate) capability: Capability,
    pub(crate) status: Status,
    pub(crate) latency_ms: Option<u64>,
    /// The verdict in words.
    pub(crate) verdict: String,
}

/// How a region stands.
#[derive(Debug, Serialize)]
pub(crate) struct Stood {
    pub(crate) name: RegionName,
    pub(crate) role: Role,
    /// Whether it takes the writes.
    pub(crate) active: bool,
    /// Whether an operator drained it in the configuration.
    pub(crate) drained: bool,
    pub(crate) capabilities: Vec<Stands>,
    /// How much of its room uploads take; `null` for a witness, or if it is not known.
    pub(crate) utilization: Option<Utilization>,
    /// How late what another region writes arrives here; `null`: not known.
    pub(crate) lag_ms: BTreeMap<RegionName, Option<u64>>,
}

/// How all regions stand.
#[derive(Debug, Serialize)]
pub(crate) struct Regions {
    pub(crate) active: Option<RegionName>,
    pub(crate) epoch: Option<u64>,
    pub(crate) phase: Option<String>,
    /// Capabilities whose health is ignored, because most regions look down at once.
    pub(crate) panics: Vec<Capability>,
    /// What could not be read.
    pub(crate) problems: Vec<String>,
    pub(crate) regions: Vec<Stood>,
}

impl Regions {
    pub(crate) fn of(regions: &[Region], outlook: &Outlook) -> Self {
        let record = outlook.record.as_ref();
        Self {
            active: record.map(|r| r.active),
            epoch: record.map(|r| r.epoch),
            phase: record.map(|r| r.phase.to_string()),
            panics: outlook.verdicts.panics().iter().copied().collect(),
            problems: outlook.problems.clone(),
            regions: regions.iter().map(|region| stood(region, regions, outlook)).collect(),
        }
    }
}

fn stood(region: &Region, regions: &[Region], outlook: &Outlook) -> Stood {
    let capabilities = region.capabilities().iter().map(|&capability| {
        let seen = outlook.view.seen(region.name, capability);
        let verdict = outlook.verdicts.verdict(region.name, capability);
        Stands {
            capability,
            status: seen.status,
            latency_ms: seen.latency.map(millis),
            verdict: verdict.map_or_else(|| "nobody has judged it yet".to_owned(), ToString::to_string),
        }
    });
    let writers = regions.iter().filter(|other| other.is_full() && other.name != region.name);
    let lag = |other: &Region| (other.name, outlook.verdicts.lag(other.name, region.name).map(millis));
    Stood {
        name: region.name,
        role: region.role,
        active: outlook.record.as_ref().is_some_and(|r| r.active == region.name),
        drained: region.offline,
        capabilities: capabilities.collect(),
        utilization: outlook.utilization(region),
        lag_ms: writers.map(lag).collect(),
    }
}

/// `GET /v1/regions`
pub(crate) async fn regions<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    _: Reads,
    Params(Nothing {}): Params<Nothing>,
) -> Served<Regions> {
    let outlook = app.outlook().await;
    Served { served_by: app.deps.home, body: Regions::of(&app.deps.config.regions, &outlook) }
}

/// What a route is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    needs: Option<Capability>,
    strategy: Option<Strategy>,
    session: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    residency: Option<String>,
    tried: Option<String>,
    data_in: Option<String>,
}

/// A route, and the same in words.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    #[serde(flatten)]
    route: route::Route,
    /// How much of each region's room uploads take, as far as it is known.
    loads: BTreeMap<RegionName, Utilization>,
    explanation: String,
}

/// `GET /v1/route`
pub(crate) async fn route<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    _: Reads,
    Params(asked): Params<Asked>,
    Extension(RequestId(id)): Extension<RequestId>,
) -> Result<Served<Explained>, Problem> {
    let outlook = app.outlook().await;
    let known = |names: Option<&str>| words(names).map(|name| app.known(name)).collect::<Result<Vec<_>, _>>();
    let needs = asked.needs.unwrap_or(Capability::ObjectWrite);
    let request = route::Request {
        residency: words(asked.residency.as_deref()).map(str::to_owned).collect(),
        tried: known(asked.tried.as_deref())?,
        data_in: asked.data_in.as_deref().map(|name| app.known(name)).transpose()?,
        client: coordinates(asked.lat, asked.lon)?,
        turn: Turn::of(id.as_bytes()),
        session: asked.session,
        at: app.now(),
        shares: shares(outlook.record.as_ref()),
        loads: outlook.loads_for(needs),
        ..route::Request::new(needs)
    };
    let settings = &app.deps.config.load_balancing;
    let policy = route::Policy { strategy: asked.strategy.unwrap_or(settings.strategy), ..settings.clone() };
    let config = &app.deps.config;
    let used = |r: &&Region| config.enabled || r.name == config.primary_region;
    let regions: Vec<_> = config.regions.iter().filter(used).cloned().collect();
    let roster = route::Roster::new(&regions, &outlook.view, &policy).shunning(&app.ejections());
    let route = roster.route(&request);
    let explanation = route.to_string();
    let loads = regions.iter().filter_map(|r| Some((r.name, outlook.utilization(r)?))).collect();
    Ok(Served { served_by: app.deps.home, body: Explained { route, loads, explanation } })
}

/// The parts of a comma list.
fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn coordinates(lat: Option<f64>, lon: Option<f64>) -> Result<Option<Coordinates>, Problem> {
    let (latitude, longitude) = match (lat, lon) {
        (None, None) => return Ok(None),
        (Some(lat), Some(lon)) => (lat, lon),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Problem::new(
                Kind::InvalidQuery,
                "`lat` and `lon` go together (send both, or neither)",
            ));
        }
    };
    // Not a number is in no range.
    if (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) {
        return Ok(Some(Coordinates { latitude, longitude }));
    }
    let detail = format!("`{latitude}`, `{longitude}` is no place (want `lat` -90 to 90, `lon` -180 to 180)");
    Err(Problem::new(Kind::InvalidQuery, detail))
}

/// The part of its traffic that a returning region takes.
pub(crate) fn shares(record: Option<&Record>) -> BTreeMap<RegionName, Share> {
    let shift = record.and_then(Record::shift);
    shift.map(|(region, percent)| (region, Share::percent(percent))).into_iter().collect()
}

/// How many to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HowMany {
    limit: Option<usize>,
}

/// A thing, and the same in words.
#[derive(Debug, Serialize)]
pub(crate) struct Told<T> {
    #[serde(flatten)]
    pub(crate) it: T,
    pub(crate) words: String,
}

/// Where the writes go, where they went, and what operators ruled.
#[derive(Debug, Serialize)]
pub(crate) struct Failovers {
    record: Option<Record>,
    /// Finished moves, newest first.
    moves: Vec<Told<Moved>>,
    pins: Vec<Told<Ruling>>,
}

/// A pin, and whether it still counts.
#[derive(Debug, Serialize)]
pub(crate) struct Ruling {
    #[serde(flatten)]
    pin: Pin,
    live: bool,
}

/// `GET /v1/failovers`
pub(crate) async fn failovers<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    _: Reads,
    Params(many): Params<HowMany>,
) -> Result<Served<Failovers>, Problem> {
    let limit = page_limit(many.limit, LIMIT)?;
    let control = &app.deps.control;
    // Asked anew and not of the last look: whoever asks this wants to see a move happen.
    let (record, moves, pins) = join!(control.record(), control.moves(limit), control.pins());
    let now = app.now();
    let body = Failovers {
        record: record?,
        moves: moves?.into_iter().map(|it| Told { words: it.to_string(), it }).collect(),
        pins: pins?.into_iter().map(|pin| told(pin, now)).collect(),
    };
    Ok(Served { served_by: app.deps.home, body })
}

fn told(pin: Pin, now: Timestamp) -> Told<Ruling> {
    Told { words: pin.to_string(), it: Ruling { live: pin.is_live(now), pin } }
}

/// A copy that a region lacks.
#[derive(Debug, Serialize)]
pub(crate) struct Copy {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) size_bytes: ByteSize,
    /// The region that holds the object and sends it.
    pub(crate) source: RegionName,
    /// The region that lacks it.
    pub(crate) destination: RegionName,
    pub(crate) phase: &'static str,
    /// Why the last try failed.
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) since_ms: Timestamp,
    pub(crate) next_try_ms: Option<Timestamp>,
}

impl Copy {
    fn of(entry: Entry) -> Self {
        let next_try_ms = entry.due();
        let (phase, reason) = match entry.phase {
            Phase::Pending => ("pending", None),
            Phase::Copying(_) => ("copying", None),
            Phase::Verified { .. } => ("verified", None),
            Phase::Failed { reason, .. } => ("failed", Some(reason.to_string())),
            Phase::Void { reason } => ("void", Some(reason.to_string())),
        };
        Self {
            bucket: entry.source.bucket,
            key: entry.source.key,
            version_id: entry.source.version_id,
            size_bytes: entry.source.size,
            source: entry.source.region,
            destination: entry.destination,
            phase,
            reason,
            attempts: entry.attempts,
            since_ms: entry.since,
            next_try_ms,
        }
    }
}

/// Copies that regions lack.
#[derive(Debug, Serialize)]
pub(crate) struct Owed {
    pub(crate) owed: Vec<Copy>,
    /// Whether there are more than are shown.
    pub(crate) more: bool,
}

/// `GET /v1/copies/owed`
pub(crate) async fn owed<R: Rows, C: Clock>(
    State(app): Shared<R, C>,
    _: Reads,
    Params(many): Params<HowMany>,
) -> Result<Served<Owed>, Problem> {
    let limit = page_limit(many.limit, LIMIT)?;
    copies_owed(&app, limit).await
}

/// Up to `limit` copies that regions lack, those that are owed longest first.
pub(crate) async fn copies_owed<R: Rows, C: Clock>(
    app: &App<R, C>,
    limit: usize,
) -> Result<Served<Owed>, Problem> {
    let payers: Vec<_> = app.full_regions().map(|r| r.name).collect();
    let (served_by, mut entries) =
        ask(app, &app.deps.ledger, None, |ledger| entries(ledger, &payers, limit + 1)).await?;
    entries.sort_by(|a, b| {
        (a.since, &a.source.key, a.destination).cmp(&(b.since, &b.source.key, b.destination))
    });
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Served { served_by, body: Owed { owed: entries.into_iter().map(Copy::of).collect(), more } })
}

async fn entries<R: Rows>(
    ledger: &LedgerTable<R>,
    payers: &[RegionName],
    limit: usize,
) -> Result<Vec<Entry>, RowsError> {
    let lists = join_all(payers.iter().map(|&payer| ledger.owed(payer, limit))).await;
    let mut found = Vec::new();
    for list in lists {
        // The index may lag behind: what is settled meanwhile is not owed.
        found.extend(list?.into_iter().map(|row| row.value).filter(Entry::is_owed));
    }
    Ok(found)
}
