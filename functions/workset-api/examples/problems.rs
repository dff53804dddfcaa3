//! Prints `docs/PROBLEMS.md`.

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn main() {
    print!("{}", workset_api::pages());
}
