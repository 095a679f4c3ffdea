//! Links the program to a fixed address: to move it costs a third of the price of a short command,
//! and memory in each supervisor, as every page with a pointer becomes the process's own.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let has = |name: &str, word: &str| {
        std::env::var(name).is_ok_and(|it| it.split(',').any(|it| it == word))
    };
    // A static program is told so by the flags that make it one.
    if has("CARGO_CFG_TARGET_OS", "linux") && !has("CARGO_CFG_TARGET_FEATURE", "crt-static") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
