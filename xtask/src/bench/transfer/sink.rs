//! The sink, in a process of its own, and what it counted.

use crate::cloud::error::{CloudError, Doing};
use serde::Deserialize;
use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Regions of the sink.
pub const REGIONS: usize = 3;

/// Where a region of the sink is reached.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Ports {
    http: u16,
    https: u16,
}

/// What a region counted; times are seconds since the run began.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Counts {
    /// Requests of any kind.
    pub requests: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Bytes of the objects that it holds.
    pub object_bytes: u64,
    /// Multipart uploads begun and neither completed nor given up.
    pub unfinished: u64,
    /// Parts in those uploads.
    pub parts: usize,
    /// When the first byte of a body came.
    pub first_byte_s: Option<f64>,
    /// When the last byte of a body came.
    pub last_byte_s: Option<f64>,
    /// When a client first met the region's trouble.
    pub trouble_s: Option<f64>,
}

/// A running sink; ends when it is dropped.
#[derive(Debug)]
pub struct Sink {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    ports: Vec<Ports>,
}

impl Sink {
    /// Starts `program`, which writes its certificate to `certificate`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, certificate: &Path) -> Result<Self, CloudError> {
        let mut command = Command::new(program);
        command.args(["--regions", &REGIONS.to_string(), "--certificate"]).arg(certificate);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().doing("starting the sink")?;
        let no_pipe = || CloudError::failed("the sink has no pipes".to_owned(), "start it again".to_owned());
        let (orders, answers) = (process.stdin.take(), process.stdout.take().ok_or_else(no_pipe)?);
        let mut sink = Self { process, orders, answers: BufReader::new(answers), ports: Vec::new() };
        let line = sink.line()?;
        sink.ports =
            serde_json::from_str(&line).map_err(io::Error::from).doing("reading the sink's ports")?;
        Ok(sink)
    }

    /// The endpoints of the first `n` regions.
    #[must_use]
    pub fn endpoints(&self, n: usize, tls: bool) -> Vec<String> {
        let url = |ports: &Ports| match tls {
            false => format!("http://127.0.0.1:{}", ports.http),
            true => format!("https://127.0.0.1:{}", ports.https),
        };
        self.ports.iter().take(n).map(url).collect()
    }

    /// Gives an order, such as `reset`.
    ///
    /// # Errors
    /// When the sink does not take it.
    pub fn order(&mut self, order: &str) -> Result<(), CloudError> {
        self.ask(order).map(drop)
    }

    /// What every region counted since the last reset.
    ///
    /// # Errors
    /// When the sink does not say.
    pub fn counts(&mut self) -> Result<Vec<Counts>, CloudError> {
        let line = self.ask("counts")?;
        serde_json::from_str(&line).map_err(io::Error::from).doing("reading the sink's counts")
    }

    fn ask(&mut self, order: &str) -> Result<String, CloudError> {
        if let Some(orders) = &mut self.orders {
            writeln!(orders, "{order}").doing("giving the sink an order")?;
        }
        self.line()
    }

    fn line(&mut self) -> Result<String, CloudError> {
        let mut line = String::new();
        self.answers.read_line(&mut line).doing("hearing the sink")?;
        Ok(line)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It ends with its input.
        self.orders = None;
        let _ = self.process.wait();
    }
}
