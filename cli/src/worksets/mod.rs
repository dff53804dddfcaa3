//! `sealane worksets`: registers, reads and moves worksets over the API of the regions.

mod acts;
mod api;
mod fault;
mod flow;
mod http;
mod report;
mod shown;

use std::{fmt::Display, fs, path::PathBuf};

use clap::{Subcommand, ValueEnum};
use sealane::{
    config::Config,
    region::{Capability, RegionName},
    route::Request,
    workset::{By, InvalidText, Kind, Priority, Registration, State, Text, WorksetId, register},
};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use fault::ApiFault;

use crate::{
    console::Console, exit::Exit, fault::Fault, named, route::ranked, settings::TOKEN_VARIABLE, world::World,
};
use acts::{Act, Amend, Next};
use api::{Call, Method};
use http::HttpApi;
use report::Listed;
use shown::Shown;

/// Arguments of `sealane worksets`.
///
/// Calls carry the token of `--token`, if there is one, and are not signed with IAM.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Bearer token that the API asks for; calls are not signed with AWS credentials
    #[arg(long, global = true, env = TOKEN_VARIABLE, hide_env_values = true)]
    token: Option<String>,

    /// Form of the result; `--json` means the same as `json`
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Show only what this JMESPath expression finds in the result, as JSON
    #[arg(long, global = true, value_name = "EXPRESSION", value_parser = jmespath::compile)]
    query: Option<jmespath::Expression<'static>>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a workset
    Register(New),
    /// Show one workset
    Get {
        /// Its id
        id: WorksetId,
        /// Read this region's replica and no other
        #[arg(long)]
        region: Option<String>,
    },
    /// List worksets; those of one state come most urgent first
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<State>,
        /// Only those of this priority
        #[arg(long)]
        priority: Option<Priority>,
        /// Most worksets to list
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// Move a workset to another state
    Transition(Next),
    /// Change the priority, the samples or the preferred region of a workset
    Amend(Amend),
    /// Delete an archived workset, but for its history; needs the scope `operate`
    Delete {
        /// Its id
        id: WorksetId,
    },
    #[command(flatten)]
    Act(Act),
}

#[derive(Debug, clap::Args)]
struct New {
    /// The id that the workset shall have
    #[arg(long)]
    id: String,
    /// The bucket that holds its data
    #[arg(long)]
    bucket: String,
    /// Where in the bucket its data lies
    #[arg(long)]
    prefix: String,
    /// urgent, normal or low
    #[arg(long)]
    priority: Option<Priority>,
    /// clinical, ruo or lsmc
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    /// JSON file with an array of samples, or an object that has `samples`
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
}

/// Registers, reads or moves worksets.
pub(crate) async fn run(args: Args, config: Config, console: Console) -> Result<Exit, Fault> {
    let console = Results { console: console.or_json(args.output == Output::Json), query: args.query };
    let api = HttpApi::new(&config.regions, args.token)?;
    match args.command {
        Command::Register(new) => {
            let registration = new.checked(&config)?;
            let order = order(config, &api, Purpose::Write).await;
            console.show(&flow::register(&api, &order, &registration).await?)?;
        }
        Command::Get { id, region } => {
            let forced = region.map(|name| named::full_region(&config, "--region", &name)).transpose()?;
            let mut order = order(config, &api, Purpose::Read).await;
            order.sort_by_key(|region| forced.is_some_and(|forced| *region != forced));
            console.show(&flow::read::<flow::One>(&api, &order, &Call::get(&id, forced)).await?)?;
        }
        Command::List { state, priority, limit } => {
            let order = order(config, &api, Purpose::Read).await;
            console.show(&Listed(flow::list(&api, &order, (state, priority), limit.into()).await?))?;
        }
        Command::Transition(next) => {
            let order = order(config, &api, Purpose::Write).await;
            let id = next.id.clone();
            console.show(&flow::transition(&api, &order, &id, next.transition()).await?)?;
        }
        Command::Amend(amend) => {
            let (id, body) = (amend.id.clone(), amend.body()?);
            let order = order(config, &api, Purpose::Write).await;
            console.show(&flow::change(&api, &order, &id, (Method::Patch, body)).await?)?;
        }
        Command::Delete { id } => {
            let order = order(config, &api, Purpose::Write).await;
            console.show(&flow::change(&api, &order, &id, (Method::Delete, json!({}))).await?)?;
        }
        Command::Act(act) => {
            let purpose = if act.writes() { Purpose::Write } else { Purpose::Read };
            let order = order(config, &api, purpose).await;
            console.show(&Shown(flow::send(&api, &order, &act.call()).await?))?;
        }
    }
    Ok(Exit::Done)
}

/// Where results go, and what of them.
#[derive(Debug)]
struct Results {
    console: Console,
    query: Option<jmespath::Expression<'static>>,
}

impl Results {
    /// Prints a result, or what the query finds in it.
    fn show<T: Serialize + Display>(&self, result: &T) -> Result<(), Fault> {
        let Some(query) = &self.query else { return self.console.show(result) };
        let found = serde_json::to_value(result)
            .and_then(|value| query.search(value).map_err(serde::ser::Error::custom))
            .and_then(serde_json::to_value);
        let found = found.map_err(|e| Fault::Output(e.into()))?;
        self.console.or_json(true).show(&Shown(found))
    }
}

/// What the API is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// The regions whose API to ask, best first; writes go to the active region first.
async fn order(config: Config, api: &HttpApi, purpose: Purpose) -> Vec<RegionName> {
    let world = World::connect(config).await;
    let outlook = world.look().await;
    let mut order = ranked(&world.config, Request::new(Capability::Api), &outlook).ranked;
    let active = outlook.record.map(|record| record.active);
    order.sort_by_key(|region| purpose == Purpose::Write && Some(*region) != active);
    order.retain(|region| api.serves(*region));
    order
}

impl New {
    /// The registration, refused here for what the API would refuse it for.
    fn checked(self, config: &Config) -> Result<Registration, Fault> {
        let metadata = self.samples.map(samples).transpose()?;
        let registration = Registration {
            id: Some(self.id),
            bucket: Some(self.bucket),
            prefix: Some(self.prefix),
            priority: self.priority.map(|priority| priority.as_str().to_owned()),
            kind: self.kind.map(|kind| kind.as_str().to_owned()),
            metadata,
            preferred_region: None,
        };
        // Whose it is and who asks is for the API to say; neither takes part in the check.
        if let (Ok(tenant), Ok(actor)) = ("tenant".parse(), "cli".parse()) {
            let by = By {
                actor,
                region: config.primary_region,
                at: World::now(),
                request: String::new(),
                epoch: None,
            };
            register(registration.clone(), tenant, &by).map_err(ApiFault::Invalid)?;
        }
        Ok(registration)
    }
}

fn reason(text: &str) -> Result<Text<1024>, InvalidText> {
    text.to_owned().try_into()
}

/// The metadata in a file of samples.
fn samples(path: PathBuf) -> Result<Value, Fault> {
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| Fault::File { path: path.clone(), verb: "read", source })?;
    let value: Value =
        serde_json::from_str(&text).map_err(|source| Fault::Content { path, what: "JSON", source })?;
    Ok(if value.is_array() { json!({ "samples": value }) } else { value })
}
