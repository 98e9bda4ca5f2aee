//! Windows DLLs: what compilers for MinGW, import libraries, start files and Julia's archives bring.
//!
//! Images of the committed archives are compared with those of a reference linker by meaning, and run under wine; small
//! objects written in assembly show one rule each; damaged inputs show that a link returns whatever the bytes.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../corpus/tests/common/mod.rs"]
mod common;

mod arm64;
mod asked;
mod damage;
// The tests of other readers use the rest of it.
#[allow(dead_code)]
mod dll;
mod exports;
mod images;
mod inputs;
mod meaning;
mod objects;
mod refused;
mod resources;
mod rules;
mod runs;
mod sections;
mod support;
