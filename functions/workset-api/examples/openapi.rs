//! Prints `docs/openapi.json`.

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn main() {
    println!("{:#}", workset_api::openapi::document());
}
