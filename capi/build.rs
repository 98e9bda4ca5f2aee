//! Names the shared library by the version of its interface, as loaders look for it.

use std::env;

/// `ABI_VERSION`; a test compares them.
const ABI_VERSION: u32 = 1;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let vendor = env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default();
    if vendor == "apple" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libpkgld.{ABI_VERSION}.dylib");
    } else if system != "windows" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libpkgld.so.{ABI_VERSION}");
    }
}
