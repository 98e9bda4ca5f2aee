//! Tables that lead an unwinder from a program counter to its caller.
//!
//! On ELF a compiler describes each function in `.eh_frame` ([`eh_frame`]); the linker joins the sections of all objects
//! and adds `.eh_frame_hdr` ([`eh_frame_hdr`]), a table sorted by address that unwinders search by halves. On 32-bit Arm the
//! table is all there is, and compilers write its entries ([`exidx`]).

pub(crate) mod compact;
pub(crate) mod eh_frame;
pub(crate) mod eh_frame_hdr;
pub(crate) mod exidx;
pub(crate) mod join;
pub(crate) mod pdata;
pub(crate) mod pointer;

#[cfg(test)]
mod tests;
