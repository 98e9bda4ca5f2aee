//! The libraries of macOS: dylibs, looked into rather than read, and *text stubs* (`.tbd`), which say what a dylib that
//! is not at hand exports.
//!
//! A library is known to the loader by its *install name*, which images that use it repeat in a load command. Names are
//! looked up in two levels: an image says for each name which library has it. A library may *re-export* others: what they
//! have counts as its own.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod dylib;
mod exports;
mod stub;
mod yaml;

use std::borrow::Cow;

use super::Platform;
use crate::error::Error;
use crate::options::Arch;
use exports::Exports;
use stub::Names;

/// A library, ready to be asked for names.
#[derive(Debug)]
pub(crate) struct Library<'a> {
    name: &'a str,
    install_name: Cow<'a, [u8]>,
    current_version: u32,
    compatibility_version: u32,
    /// The install names of libraries in other files whose names count as its own.
    reexports: Vec<Cow<'a, [u8]>>,
    /// The directories in which it looks for libraries whose names begin with `@rpath`.
    rpaths: Vec<String>,
    /// For which CPUs it is.
    cpus: Cpus,
    /// For which system, if it says so; macOS, if that is among several.
    platform: Option<Platform>,
    /// Whoever uses nothing of it need not name it to the loader.
    dead_strippable: bool,
    /// Some of its definitions are weak.
    weak: bool,
    table: Table<'a>,
}

/// Where the names stand.
#[derive(Debug)]
enum Table<'a> {
    /// In the export trie or the symbol table of a dylib.
    Dylib(Exports<'a>),
    /// In a text stub, with those of the libraries of the same file that it re-exports.
    Stub(Names),
}

/// A set of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cpus(u8);

impl Cpus {
    const X86_64: Self = Self(1);
    const AARCH64: Self = Self(2);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn of(arch: Arch) -> Self {
        match arch {
            Arch::X86_64 => Self::X86_64,
            Arch::Aarch64 => Self::AARCH64,
            _ => Self(0),
        }
    }
}

/// A name that a library has for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Export {
    /// The process has one definition of it, whichever library is loaded first.
    pub(crate) weak: bool,
    /// It is thread-local.
    pub(crate) thread_local: bool,
}

impl<'a> Library<'a> {
    /// Reads the library `bytes`, which messages call `name`: a dylib of one CPU, or a text stub.
    ///
    /// # Errors
    /// Bytes that are nothing of this, or malformed.
    pub(crate) fn parse(name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        match super::content::of(bytes) {
            Some(super::content::Content::Stub) => stub::parse(name, bytes),
            _ => dylib::parse(name, bytes),
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// The name by which the loader knows it.
    pub(crate) fn install_name(&self) -> &[u8] {
        &self.install_name
    }

    /// Its version, as `xxxx.yy.zz` in 16, 8 and 8 bits.
    pub(crate) fn current_version(&self) -> u32 {
        self.current_version
    }

    /// The oldest version that it can stand for, in the same form.
    pub(crate) fn compatibility_version(&self) -> u32 {
        self.compatibility_version
    }

    /// The install names of libraries in other files whose names count as its own.
    pub(crate) fn reexports(&self) -> impl Iterator<Item = &[u8]> {
        self.reexports.iter().map(|name| &**name)
    }

    /// Whether who uses nothing of it need not name it to the loader.
    pub(crate) fn is_dead_strippable(&self) -> bool {
        self.dead_strippable
    }

    /// Whether some of its own definitions are weak.
    pub(crate) fn has_weak(&self) -> bool {
        self.weak
    }

    /// The directories in which it looks for libraries whose names begin with `@rpath`.
    pub(crate) fn rpaths(&self) -> &[String] {
        &self.rpaths
    }

    /// Whether a library can be seen at a glance to re-export nothing from other files. Others may do so or not.
    pub(crate) fn is_closed(bytes: &[u8]) -> bool {
        super::content::of(bytes) == Some(super::content::Content::Stub) && stub::is_closed(bytes)
    }

    /// Whether it is for a CPU.
    pub(crate) fn is_for(&self, arch: Arch) -> bool {
        self.cpus.has(Cpus::of(arch))
    }

    /// The system that it says it is for: macOS, if that is among several.
    pub(crate) fn platform(&self) -> Option<Platform> {
        self.platform
    }

    /// What it has of this name itself; what it re-exports from other files is not looked at.
    pub(crate) fn lookup(&self, name: &[u8], arch: Option<Arch>) -> Option<Export> {
        match &self.table {
            Table::Dylib(exports) => exports.find(name),
            Table::Stub(names) => names.find(name, arch),
        }
    }
}

/// A version of the form `1`, `1.2` or `1.2.3`, as 16, 8 and 8 bits; each part that is too large counts as the largest.
pub(crate) fn version(text: &str) -> Option<u32> {
    let mut parts = text.split('.');
    let mut part = |limit: u64| match parts.next() {
        None => Some(0),
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More digits than a number has are more than the limit.
            u32::try_from(digits.parse::<u64>().unwrap_or(u64::MAX).min(limit)).ok()
        }
        Some(_) => None,
    };
    let (major, minor, patch) = (part(0xffff)?, part(0xff)?, part(0xff)?);
    parts.next().is_none().then_some((major << 16) | (minor << 8) | patch)
}

#[cfg(test)]
mod tests;
