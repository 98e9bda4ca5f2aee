//! What a file of macOS is, told by its first bytes, and the slice for one CPU of a universal file.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::ops::Range;

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{FatArch, MachHeader as _, MachOFatFile32, MachOFatFile64};

use crate::bytes;
use crate::error::Error;
use crate::options::Arch;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A relocatable object.
    Object,
    /// A dylib, or the stub of one.
    Dylib,
    /// Files for several CPUs in one.
    Universal,
    /// A text stub.
    Stub,
    /// A Mach-O file that cannot be linked, and why.
    Refused(&'static str),
}

/// The largest number of slices that a file is taken for a universal one with. Java's class files have the same first
/// bytes, and a version where the number stands, which was never below 43.
const SLICES: u32 = 42;

/// Tells what `file` is, by its first bytes; `None` if it is nothing of macOS.
pub(crate) fn of(file: &[u8]) -> Option<Content> {
    match bytes::u32(file, 0)? {
        0xfeed_facf => Some(match bytes::u32(file, 12).map(macho::FileType) {
            Some(macho::MH_OBJECT) => Content::Object,
            Some(macho::MH_DYLIB | macho::MH_DYLIB_STUB) => Content::Dylib,
            Some(macho::MH_EXECUTE) => {
                Content::Refused("Mach-O executable: only objects, archives and libraries can be linked")
            }
            Some(macho::MH_BUNDLE) => Content::Refused("Mach-O bundle: it can be loaded, not linked with"),
            Some(macho::MH_DSYM) => Content::Refused("Mach-O file with debug information only"),
            Some(_) => Content::Refused("Mach-O file of a type that cannot be linked"),
            None => Content::Refused("Mach-O file that ends inside its header"),
        }),
        0xfeed_face => Some(Content::Refused("32-bit Mach-O file: images are 64-bit")),
        0xcffa_edfe | 0xcefa_edfe => Some(Content::Refused("big-endian Mach-O file")),
        // Big-endian, as all of a universal file's header.
        0xbeba_feca | 0xbfba_feca => {
            let count = bytes::u32(file, 4)?.swap_bytes();
            (count <= SLICES).then_some(Content::Universal)
        }
        _ if is_stub(file) => Some(Content::Stub),
        _ => None,
    }
}

fn is_stub(file: &[u8]) -> bool {
    const SAMPLE: usize = 512;
    let start = file.get(..SAMPLE).unwrap_or(file);
    let json = start.trim_ascii_start().starts_with(b"{");
    let named = |key: &[u8]| memchr::memmem::find(start, key).is_some();
    // Version 1 has no tag, but lists of CPUs as versions 2 and 3 have.
    let first = start.starts_with(b"---") && named(b"archs:") && named(b"install-name:");
    start.starts_with(b"--- !tapi") || first || (json && (named(b"tapi_tbd_version") || named(b"main_library")))
}

/// Where in a universal file the slice for `arch` is.
///
/// # Errors
/// There is none, or the file is malformed.
pub(crate) fn slice(name: impl ToString, bytes: &[u8], arch: Option<Arch>) -> Result<Range<usize>, Error> {
    let name = name.to_string();
    let malformed = |what: &str| Error::malformed(&name, format!("malformed universal file: {what}"));
    let Some(arch) = arch else {
        return Err(Error::unsupported(&name, "universal file: say for which CPU to link (-arch arm64 or x86_64)"));
    };
    let cpu = match arch {
        Arch::X86_64 => macho::CPU_TYPE_X86_64,
        _ => macho::CPU_TYPE_ARM64,
    };
    let found = match MachOFatFile32::parse(bytes) {
        Ok(file) => find(file.arches(), cpu),
        Err(_) => find(MachOFatFile64::parse(bytes).map_err(|error| malformed(&error.to_string()))?.arches(), cpu),
    };
    let (offset, size) = found.ok_or_else(|| {
        Error::unsupported(&name, format!("universal file without a slice for {}", super::arch_name(arch)))
    })?;
    let range = bytes::slice(bytes, offset, size).and_then(|slice| {
        let start = usize::try_from(offset).ok()?;
        Some(start..start.checked_add(slice.len())?)
    });
    range.ok_or_else(|| malformed("a slice is outside of the file"))
}

fn find<Fat: FatArch>(arches: &[Fat], cpu: macho::CpuType) -> Option<(u64, u64)> {
    /// The bits of a subtype that tell nothing of the CPU.
    const FEATURES: u32 = 0xff00_0000;
    // What runs on any such CPU comes before what is for some, as `x86_64h` of Haswell. The pointers of `arm64e` are signed.
    let (any, signed) = match cpu {
        macho::CPU_TYPE_X86_64 => (3, None),
        _ => (0, Some(2)),
    };
    let subtype = |slice: &Fat| slice.cpusubtype().0 & !FEATURES;
    let plain = || arches.iter().filter(|slice| slice.cputype() == cpu && Some(subtype(slice)) != signed);
    let found = plain().find(|slice| subtype(slice) == any).or_else(|| plain().next());
    found.map(|slice| (slice.offset().into(), slice.size().into()))
}

/// A library that an object asks for by name (`LC_LINKER_OPTION`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    /// As `-l` would.
    Library(String),
    /// As `-framework` would.
    Framework(String),
}

/// The libraries that an object asks for. Bytes that are no object, and what is malformed, ask for none: that is told when they
/// are read.
pub(crate) fn wanted(bytes: &[u8]) -> Vec<Wanted> {
    let mut all = Vec::new();
    if of(bytes) != Some(Content::Object) {
        return all;
    }
    let Ok(header) = macho::MachHeader64::<LE>::parse(bytes, 0) else { return all };
    let Ok(mut commands) = header.load_commands(LE, bytes, 0) else { return all };
    while let Ok(Some(command)) = commands.next() {
        if command.cmd() != macho::LC_LINKER_OPTION {
            continue;
        }
        // A number of strings, and these.
        let strings = command.raw_data().get(12..).unwrap_or_default().split(|byte| *byte == 0);
        let strings: Vec<&str> = strings.take(2).filter_map(|string| std::str::from_utf8(string).ok()).collect();
        match strings.as_slice() {
            ["-framework", name] => all.push(Wanted::Framework((*name).to_owned())),
            [option, ..] => all.extend(option.strip_prefix("-l").map(|name| Wanted::Library(name.to_owned()))),
            [] => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let header = |kind: u8| [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1, 3, 0, 0, 0, kind, 0, 0, 0];
        assert_eq!(of(&header(1)), Some(Content::Object));
        assert_eq!(of(&header(6)), Some(Content::Dylib));
        assert!(matches!(of(&header(2)), Some(Content::Refused(_))));
        assert!(matches!(of(&header(1)[..8]), Some(Content::Refused(_))));
        assert_eq!(of(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]), Some(Content::Universal));
        // Java's class files.
        assert_eq!(of(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52]), None);
        assert_eq!(of(b"--- !tapi-tbd\n"), Some(Content::Stub));
        assert_eq!(of(b"---\narchs: [ x86_64 ]\ninstall-name: /x\n"), Some(Content::Stub));
        assert_eq!(of(b"--- a list of archs:\n"), None);
        assert_eq!(of(b"{\n \"main_library\": {"), Some(Content::Stub));
        assert_eq!(of(b"\x7fELF\x02\x01\x01"), None);
        assert_eq!(of(b""), None);
    }

    #[test]
    fn the_right_slice_is_taken() {
        let mut file = Vec::new();
        for word in
            [0xcafe_babe_u32, 3, 0x0100_000c, 0x8000_0002, 68, 1, 0, 0x0100_0007, 3, 69, 2, 0, 0x0100_000c, 0, 71, 3, 0]
        {
            file.extend(word.to_be_bytes());
        }
        file.extend(b"exxaaa");
        assert_eq!(slice("f", &file, Some(Arch::X86_64)).unwrap(), 69..71);
        assert_eq!(slice("f", &file, Some(Arch::Aarch64)).unwrap(), 71..74);
        // One for Haswell is taken if there is no other.
        let mut haswell = file.clone();
        for (at, word) in [(8, 0x0100_0007_u32), (12, 8), (52, 8)] {
            haswell[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        assert_eq!(slice("f", &haswell, Some(Arch::X86_64)).unwrap(), 69..71);
        haswell[32..36].copy_from_slice(&8_u32.to_be_bytes());
        assert_eq!(slice("f", &haswell, Some(Arch::X86_64)).unwrap(), 68..69);
        assert!(slice("f", &file, None).unwrap_err().to_string().contains("-arch"));
        assert!(slice("f", &file[..70], Some(Arch::Aarch64)).is_err());
    }
}
