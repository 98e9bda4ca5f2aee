//! Debug information on its way through a link: compressed on either side, in a companion, and in messages.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod companion;
mod compression;
mod positions;
