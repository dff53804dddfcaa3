//! Every chore of the workspace, so that nobody has to remember a script.

pub mod bench;
pub mod cloud;
pub mod commands;
pub mod demo;
pub mod drill;
pub mod gates;
pub mod planted;
pub mod test;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let ended = commands::run(commands::Xtask::parse());
    match ended {
        Ok(code) => code,
        Err(error) => {
            commands::complain(&*error);
            ExitCode::FAILURE
        }
    }
}
