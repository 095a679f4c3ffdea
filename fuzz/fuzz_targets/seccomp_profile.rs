#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| wharf::engine::fuzzed::seccomp_profile(text));
