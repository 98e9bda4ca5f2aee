//! Damaged inputs: whatever the bytes, a link returns.
//!
//! Every committed archive, its members, the stub libraries and a few objects of the C compiler are damaged where it hurts:
//! fields of headers, symbols, relocations, groups, notes and unwind records take extreme values or those of their
//! neighbours, files end at the bounds of their structures, records change places, members come twice. Each damaged input is
//! linked in this process, with options that vary, and
//!
//! * no link panics;
//! * a link holds at most [`link::FACTOR`] times the bytes of its inputs, twice the size of the image, what
//!   [`Limits::decompressed_size`](pkgld::Limits) allows, and [`link::BASE`];
//! * a link takes at most [`link::WORK`] times the processor time of the same link of the good inputs and of an image of zeros
//!   as large as its own, and in no case more than [`meter::LIMIT`];
//! * an image that comes out can be read by the `object` crate, has a sound skeleton, holds nothing but zeros between its
//!   structures, and is the same whether it is copied out, written over other bytes or streamed.
//!
//! Damaged inputs and images are told of, too, as `pkgld inspect` does it, within the same bounds of memory and time.
//!
//! The damage depends on nothing but a victim's name and a number: a failure names both.
//!
//! | variable | meaning |
//! |---|---|
//! | `PKGLD_HOSTILE_CASES` | links of each victim (default 250) |
//! | `PKGLD_HOSTILE_SEED` | the first number (default 0) |
//! | `PKGLD_HOSTILE_ONLY` | `VICTIM` or `VICTIM:NUMBER`: only this victim, only this link; says what came of each |
//! | `PKGLD_HOSTILE_KEEP` | a directory for the inputs of links that fail the test |
//!
//! The program itself is given some, too ([`program`], with variables of its own).
//!
//! A campaign: `PKGLD_HOSTILE_CASES=20000 cargo test --profile hostile --test hostile`, with overflow checks and debug
//! assertions on.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod anatomy;
#[cfg(all(feature = "inspect", target_os = "linux", target_arch = "x86_64"))]
mod inspected;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod libraries;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod limits;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod link;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod macho;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod meter;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod mutate;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod objects;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod parts;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod program;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod quadratic;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod regressions;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod victims;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../../fuzz/src/wellformed.rs"]
mod wellformed;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;
