//! Tells the linker how much memory the component begins with.

/// Room for the stack, the constants, and what a purchase allocates. A memory that need not grow is not handed to the
/// system page by page: two system calls less for each call, a tenth of a purchase's time (docs/performance.md).
const INITIAL_MEMORY_BYTES: usize = 1280 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-cdylib-link-arg=--initial-memory={INITIAL_MEMORY_BYTES}");
    }
}
