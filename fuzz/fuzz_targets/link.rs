#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pkgld_fuzz::link(data);
});
