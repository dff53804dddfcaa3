//! A fuzzer that asks the API what its own document promises, as everybody who may and may not.

use crate::{
    cloud::{
        Cloud,
        error::{CloudError, Doing},
        folder::Folder,
        venv,
    },
    demo::narrator::Narrator,
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use ureq::http::StatusCode;

/// Cases a route and phase: some 2,600 a run.
const CASES: &str = "20";

/// How often a fresh cloud is asked at most until a region takes writes.
const LOOKS_MAX: usize = 120;

/// How long it is left alone between.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a reply may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Every scope that there is.
const ALL: &str = "read write operate";

/// The fuzzer (schemathesis), installed.
#[derive(Debug)]
pub struct Fuzzer {
    /// Its settings and what is narrowed, with the sources.
    settings: PathBuf,
    /// Where it is installed, and where it leaves what it remembers.
    place: PathBuf,
}

impl Fuzzer {
    /// Installs its pinned packages, unless exactly these are there.
    ///
    /// # Errors
    /// When a package cannot be fetched.
    pub fn install(folder: &Folder) -> Result<Self, CloudError> {
        let workspace = folder.workspace();
        let (settings, place) = (workspace.join("xtask/fuzz"), workspace.join("target/fuzz"));
        venv::install_into(folder, &place.join("venv"), &settings.join("requirements.txt"))?;
        Ok(Self { settings, place })
    }

    /// Asks the API of the first region, whose cloud has to ask for tokens.
    ///
    /// # Errors
    /// When somebody is let in who may not be, or a reply is not as the document says.
    pub fn ask(&self, cloud: &Cloud) -> Result<(), CloudError> {
        let door = Door::of(cloud)?;
        door.is_shut_to_others()?;
        let regions: Vec<&str> = cloud.record.regions.iter().map(|region| region.name.as_str()).collect();
        let mut fuzzer = Command::new(self.place.join("venv/bin/schemathesis"));
        fuzzer.arg("--config-file").arg(self.settings.join("schemathesis.toml"));
        fuzzer.args(["run", &format!("{}/openapi.json", door.url), "-n", CASES]);
        fuzzer.args(["--header", &format!("Authorization: Bearer {}", door.token("lab", ALL)?)]);
        fuzzer
            .env("SCHEMATHESIS_HOOKS", self.settings.join("hooks.py"))
            .env("SEALANE_REGIONS", regions.join(","));
        fuzzer.current_dir(&self.place).stdin(Stdio::null());
        let status = fuzzer.status().doing("running the fuzzer")?;
        if status.success() {
            return Ok(());
        }
        let remedy = "each failure above has a `curl` that shows it again";
        Err(CloudError::failed(format!("the fuzzer ended with {status}"), remedy.to_owned()))
    }
}

/// An API that asks for tokens, and where they are issued.
struct Door {
    agent: ureq::Agent,
    url: String,
    issuer: String,
}

impl Door {
    fn of(cloud: &Cloud) -> Result<Self, CloudError> {
        let missing = || {
            CloudError::failed(
                "the API asks for no tokens".to_owned(),
                "bring it up with `--tokens`".to_owned(),
            )
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_WITHIN))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let region = cloud.record.regions.first().ok_or_else(missing)?;
        let issuer = cloud.record.issuer.clone().ok_or_else(missing)?;
        Ok(Self { agent, url: region.api_url.clone(), issuer })
    }

    fn token(&self, tenant: &str, scope: &str) -> Result<String, CloudError> {
        let asked = self.agent.get(&format!("{}/token", self.issuer));
        let mut reply = asked
            .query("tenant", tenant)
            .query("scope", scope)
            .call()
            .map_err(|error| unasked("the issuer", &error))?;
        let body: serde_json::Value =
            reply.body_mut().read_json().map_err(|error| unasked("the issuer", &error))?;
        let token = body["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| CloudError::failed(format!("the issuer gave no token: {body}"), String::new()))
    }

    /// Real tokens at the real gateway: each of these callers has to be told off, and how.
    fn is_shut_to_others(&self) -> Result<(), CloudError> {
        let forged = format!("{}x", self.token("lab", ALL)?);
        let (reader, writer) = (self.token("lab", "read")?, self.token("lab", "write")?);
        let workset = r#"{"id": "ws-door", "bucket": "my-bucket", "prefix": "p/"}"#;
        let narrator = Narrator::begin();
        for _ in 0..LOOKS_MAX {
            if self.status(Some(&writer), "/v1/worksets", Some(workset))? != 503 {
                break;
            }
            narrator.rest(LOOK_EVERY);
        }
        for (wanted, token, path, body) in [
            (409, Some(&*writer), "/v1/worksets", Some(workset)),
            (200, None, "/v1/live", None),
            (401, None, "/v1/regions", None),
            (401, Some(&*forged), "/v1/regions", None),
            (401, Some("no.token.atall"), "/v1/worksets", Some(workset)),
            (403, Some(&*writer), "/v1/worksets/ws-door", None),
            (403, Some(&*reader), "/v1/worksets", Some(workset)),
            (200, Some(&*reader), "/v1/worksets/ws-door", None),
            (404, Some(&*self.token("other", ALL)?), "/v1/worksets/ws-door", None),
        ] {
            self.expect(wanted, token, path, body)?;
        }
        Ok(())
    }

    fn expect(
        &self,
        wanted: u16,
        token: Option<&str>,
        path: &str,
        body: Option<&str>,
    ) -> Result<(), CloudError> {
        let found = self.status(token, path, body)?;
        if found == wanted {
            return Ok(());
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        let what = format!("`{method} {path}` was answered with {found} and not {wanted}");
        Err(CloudError::failed(what, "see `docs/API.md` for who may do what".to_owned()))
    }

    fn status(&self, token: Option<&str>, path: &str, body: Option<&str>) -> Result<StatusCode, CloudError> {
        let url = format!("{}{path}", self.url);
        let bearer = token.map(|token| format!("Bearer {token}"));
        let answered = match body {
            Some(body) => {
                let mut call =
                    self.agent.post(&url).header("idempotency-key", uuid::Uuid::new_v4().to_string());
                if let Some(bearer) = bearer {
                    call = call.header("authorization", bearer);
                }
                call.content_type("application/json").send(body)
            }
            None => {
                let mut call = self.agent.get(&url);
                if let Some(bearer) = bearer {
                    call = call.header("authorization", bearer);
                }
                call.call()
            }
        };
        answered.map(|reply| reply.status()).map_err(|error| unasked("the API", &error))
    }
}

fn unasked(whom: &str, error: &ureq::Error) -> CloudError {
    CloudError::failed(
        format!("{whom} did not answer: {error}"),
        "see the logs of the local cloud".to_owned(),
    )
}
