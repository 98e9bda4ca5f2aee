//! General ELF: what objects of every compiler, the C runtime's start files, drivers and archives bring.
//!
//! Each test compiles small sources, links them with the program and with a reference linker, compares the two by meaning,
//! has other readers look at the result, and runs it.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod aarch64;
mod arm;
mod cpus;
mod drivers;
mod errors;
mod groups;
mod ifunc;
mod inputs;
mod named;
mod power;
mod relocations;
mod riscv64;
mod rust;
mod startup;
mod support;
mod symbols;
mod tls;
mod versions;
