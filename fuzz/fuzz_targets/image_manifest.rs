#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wharf::engine::fuzzed::image_manifest(bytes));
