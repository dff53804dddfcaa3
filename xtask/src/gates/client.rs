//! The other end of the control port, for the commands, the demo and the tests.

use super::{
    control::{Reply, Request},
    fault::{Effect, Fault, GateId},
};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// How long a reply may take; the gates answer at once, so a longer wait means that nobody is there.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// The gates of a running local cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    port: u16,
}

impl Gates {
    /// The gates whose control port is `port`.
    #[must_use]
    pub const fn at(port: u16) -> Self {
        Self { port }
    }

    /// Every gate and every fault in force.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn state(&self) -> io::Result<Reply> {
        self.ask(&Request::State)
    }

    /// Cuts `region` off: every gate to it and from it, its own included.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn cut(&self, region: &str) -> io::Result<Reply> {
        self.add(Fault { region: region.to_owned(), service: None, from: None, effect: Effect::Refuse })
    }

    /// Delays everything to and from `region` by `delay` in each direction.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn slow(&self, region: &str, delay: Duration) -> io::Result<Reply> {
        let effect = Effect::SlowMs(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        self.add(Fault { region: region.to_owned(), service: None, from: None, effect })
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn add(&self, fault: Fault) -> io::Result<Reply> {
        self.ask(&Request::Cut(fault))
    }

    /// Takes back the faults of `region`, or all of them.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn heal(&self, region: Option<&str>) -> io::Result<Reply> {
        self.ask(&Request::Heal { region: region.map(str::to_owned) })
    }

    /// Bytes carried by the gates that `which` picks: to the destination, and back.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn bytes(&self, which: impl Fn(&GateId) -> bool) -> io::Result<(u64, u64)> {
        let gates = self.state()?.gates;
        let picked = gates.iter().filter(|gate| which(&gate.id));
        Ok(picked.fold((0, 0), |(sent, received), gate| (sent + gate.sent, received + gate.received)))
    }

    /// Ends the local cloud.
    ///
    /// # Errors
    /// When nobody answers at the control port.
    pub fn down(&self) -> io::Result<()> {
        self.ask(&Request::Down).map(drop)
    }

    fn ask(&self, request: &Request) -> io::Result<Reply> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(REPLY_WITHIN))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply)?;
        let reply: Reply = serde_json::from_str(&reply)?;
        match reply.error {
            Some(error) => Err(io::Error::other(error)),
            None => Ok(reply),
        }
    }
}
