//! The header is what the sources say.
//!
//! `PKGLD_WRITE_HEADER=1 cargo test -p pkgld-capi --test header` writes it anew.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

#[test]
fn header_is_made_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    // The modules are found from there.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/lib.rs"));
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    // Rust's word for what a caller has to keep to.
    let made = made.replace("// # Safety\n", "// The caller keeps to this:\n");
    let made = made.replace("[`Link`]", "`pkgld_link_t`");
    let path = root.join("include/pkgld.h");
    if std::env::var_os("PKGLD_WRITE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).expect("include/pkgld.h is missing");
    assert!(committed == made, "include/pkgld.h is not what the sources say: PKGLD_WRITE_HEADER=1 writes it anew");
}
