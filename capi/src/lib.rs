//! The C interface of pkgld: `libpkgld`, whose header is `include/pkgld.h`.
//!
//! A caller fills a [`Link`](link::Link) with inputs and options, links it into an [`Image`](image::Image), and has the image
//! written to a file, a descriptor, its own memory or the library's. [`pkgld_run`](program::pkgld_run) is the whole program
//! instead. What holds for every function:
//!
//! * If it can fail, it returns a [`Status`](error::Status): 0, or the kind of the first problem. All problems stand in an
//!   [`Errors`](error::Errors), for which the last parameter has a place, if it is not null.
//! * Handles are opaque. They begin with a word that says what they are, so that one kind in the place of another is an error;
//!   freeing one also sets the caller's pointer to null, which is an error too when it is used again.
//! * Strings and bytes are a pointer and a length. A null pointer is allowed where the length is zero. Strings that come back
//!   have a NUL byte after their last.
//! * Nothing is kept beside the handles, and nothing is printed. A handle may be used by any thread; a [`Link`](link::Link)
//!   and a [`Job`](job::Job) by one at a time, the others by many.
//! * Functions whose names end in `_start` do the same work on a thread of the library, as a [`Job`](job::Job).
//! * A panic within the library, which would be a defect, comes back as [`Status::Internal`](error::Status::Internal).

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(panic = "abort")]
compile_error!("a defect would end the program that calls the library: use a profile that unwinds, as release does");

mod border;
pub mod error;
pub mod image;
pub mod job;
pub mod link;
pub mod program;

use std::ffi::c_char;

/// The version of this interface: it changes when programs compiled for another one would not work.
pub const ABI_VERSION: u32 = 1;

/// The version of the interface that the library has, to be compared with `PKGLD_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn pkgld_abi_version() -> u32 {
    ABI_VERSION
}

/// The library's version, as `major.minor.patch` with a NUL byte at the end; never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn pkgld_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
