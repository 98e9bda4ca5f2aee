//! What an input is, told by its first bytes. Names mean nothing: Julia's archives have no extension.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::elf::{ELFDATA2MSB, ELFMAG, ET_CORE, ET_DYN, ET_EXEC, ET_REL, FileType};

use crate::archive::{MAGIC, THIN_MAGIC};
use crate::bytes;
use crate::macho;
use crate::pe;

/// How much of a file decides whether it is text, in bytes.
const TEXT_SAMPLE: usize = 4096;

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A relocatable object.
    Object,
    /// An archive with its members inside.
    Archive,
    /// An archive whose members are files.
    ThinArchive,
    /// A shared library: of ELF (or a position-independent executable: these look alike from the outside), or a DLL.
    SharedLibrary,
    /// Text, perhaps a linker script.
    Text,
    /// Something that cannot be linked: what it is, and what to do about it.
    Refused(&'static str),
}

impl Content {
    /// Tells what `file` is. Looks at its first bytes only.
    pub(crate) fn of(file: &[u8]) -> Self {
        if let Some(identity) = file.strip_prefix(&ELFMAG) {
            // After the magic: class, byte order.
            let kind = match identity.get(1) {
                Some(&data) if data == ELFDATA2MSB.0 => bytes::u16(file, 16).map(u16::swap_bytes),
                _ => bytes::u16(file, 16),
            };
            return match kind.map(FileType) {
                Some(ET_REL) => Self::Object,
                Some(ET_DYN) => Self::SharedLibrary,
                Some(ET_EXEC) => {
                    Self::Refused("ELF executable: only objects, archives and shared libraries can be linked")
                }
                Some(ET_CORE) => Self::Refused("ELF core dump"),
                Some(_) => Self::Refused("ELF file of an unknown type"),
                None => Self::Refused("ELF file that ends inside its header"),
            };
        }
        if pe::parse::is_object(file) {
            return Self::Object;
        }
        if file.starts_with(b"MZ") {
            return Self::SharedLibrary;
        }
        match macho::content::of(file) {
            Some(macho::content::Content::Object) => return Self::Object,
            Some(macho::content::Content::Dylib | macho::content::Content::Stub) => return Self::SharedLibrary,
            Some(macho::content::Content::Universal) => {
                return Self::Refused("universal file inside of a universal file");
            }
            Some(macho::content::Content::Refused(what)) => return Self::Refused(what),
            None => {}
        }
        if file.starts_with(MAGIC) {
            return Self::Archive;
        }
        if file.starts_with(THIN_MAGIC) {
            return Self::ThinArchive;
        }
        let foreign = FOREIGN.iter().find(|(magic, _)| file.starts_with(magic));
        if let Some((_, what)) = foreign {
            return Self::Refused(what);
        }
        if file.is_empty() {
            return Self::Refused("empty file");
        }
        let sample = file.get(..TEXT_SAMPLE).unwrap_or(file);
        let is_text = |&byte: &u8| byte >= b' ' || byte.is_ascii_whitespace() || byte == 0x0b;
        if sample.iter().all(is_text) { Self::Text } else { Self::Refused("binary file of an unknown format") }
    }
}

const BITCODE: &str = "LLVM bitcode: link-time optimization is not done here; compile to object code (without -flto)";
const ANONYMOUS: &str = "anonymous COFF object: a member of an import library, or compiled with /GL; give the library, or compile without /GL";

/// The first bytes of formats that people mistake for the ones that can be linked, and what to say.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"BC\xc0\xde", BITCODE),
    (b"\xde\xc0\x17\x0b", BITCODE),
    (b"\0\0\xff\xff", ANONYMOUS),
    (b"\0asm", "WebAssembly module"),
    (b"<bigaf>\n", "AIX archive"),
];
