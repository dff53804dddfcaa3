//! Runs a command to its end and prints what it used, as one line of JSON: processor time, wall
//! time and peak memory of this one process and of nothing else.

use std::{
    error::Error,
    process::{Command, ExitCode, Stdio},
};

use serde_json::json;
use wait4::Wait4 as _;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("want a command to run")?;
    let began = now();
    let client = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let ended = client.wait4()?;
    let figures = json!({
        "ok": ended.status.success(),
        "user_s": ended.rusage.utime.as_secs_f64(),
        "system_s": ended.rusage.stime.as_secs_f64(),
        "wall_s": began.elapsed().as_secs_f64(),
        "rss_bytes": ended.rusage.maxrss,
    });
    print(&figures.to_string());
    Ok(if ended.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::disallowed_methods, reason = "a meter reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn print(line: &str) {
    println!("{line}");
}
