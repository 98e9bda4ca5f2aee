//! Every fuzz target: the binary's name says which.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = (pkgld_fuzz::target(env!("CARGO_BIN_NAME")).body)(data);
});
