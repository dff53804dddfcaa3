//! What operators ordered: entries of an append-only list.
//!
//! Pins and proposals are replaced by what comes after them; this list is not, so
//! that who ruled what, when and why stays readable.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pins::{Pin, Rule};
use crate::{audit::Link, region::RegionName, time::Timestamp};

/// What an operator ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// A pin was set.
    Pin {
        /// The pin.
        pin: Pin,
        /// The pin of that region which it took the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Pin>,
    },
    /// The pin of a region was taken away.
    Unpin {
        /// The region.
        region: RegionName,
        /// The pin; `None`: there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<Pin>,
    },
    /// A move was asked for.
    Move {
        /// Where to.
        to: RegionName,
    },
    /// A move was proposed to other operators.
    Propose {
        /// Where to.
        to: RegionName,
    },
    /// A proposed move was approved.
    Approve {
        /// Where to.
        to: RegionName,
    },
    /// A proposed move was rejected.
    Reject {
        /// Where to.
        to: RegionName,
    },
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replaced = |f: &mut fmt::Formatter<'_>, was: &Option<Pin>| match was {
            Some(pin) => write!(f, ", in place of [{pin}]"),
            None => Ok(()),
        };
        match self {
            Self::Pin { pin, was } => {
                match pin.rule {
                    Rule::Stay => write!(f, "stay in {}", pin.region)?,
                    Rule::Forbid => write!(f, "never move to {}", pin.region)?,
                    Rule::Drain => write!(f, "drain {}", pin.region)?,
                }
                replaced(f, was)
            }
            Self::Unpin { region, was: Some(pin) } => {
                write!(f, "no ruling on {region} any more, it was [{pin}]")
            }
            Self::Unpin { region, was: None } => write!(f, "no ruling on {region}, there was none"),
            Self::Move { to } => write!(f, "move to {to}"),
            Self::Propose { to } => write!(f, "propose to move to {to}"),
            Self::Approve { to } => write!(f, "approve the move to {to}"),
            Self::Reject { to } => write!(f, "reject the move to {to}"),
        }
    }
}

/// One entry of the list. It is written before the order is carried out, so that
/// nothing is done that is not listed; an order whose entry is the last word of a
/// process that died may not have been carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// Its place in the list, from 1 and without gaps.
    pub number: u64,
    /// When, on the clock of the machine that it was given on. For people only.
    pub at: Timestamp,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What was ordered.
    #[serde(flatten)]
    pub order: Order,
    /// What ties it to the entry before; made when it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Link>,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, by, order, reason, .. } = self;
        write!(f, "order {number}: {by} ordered `{order}`: {reason}")
    }
}
