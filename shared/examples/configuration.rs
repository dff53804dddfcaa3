//! Prints the reference page of all settings.

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(sealane::config::reference().as_bytes())
}
