//! What is told about a file: the JSON document is these types, key by key.
//!
//! Sizes and offsets are in bytes; addresses are those that the file is laid out for (PE: with the preferred base).
//! Names are text: bytes that are no UTF-8 are replaced, and what is longer than 4 KiB is cut.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use serde::Serialize;

/// Everything that is told about one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The version of this document: it changes when a key's meaning does, not when keys are added.
    pub schema: u32,
    /// The file's name as it was given.
    pub file: String,
    /// The file's size.
    pub size: u64,
    /// `archive`, `object` or `shared library`.
    pub kind: &'static str,
    /// `ELF`, `Mach-O` or `PE`; of an archive, that of its first object.
    pub format: Option<&'static str>,
    /// What it is for, as `linux-x86_64`; `None` if that is nothing that Julia runs on.
    pub target: Option<String>,
    /// The members of an archive; of an object, itself.
    pub members: Vec<Member>,
    /// What is in an image.
    pub image: Option<Image>,
    /// Julia's own structures in an image.
    pub julia: Option<Julia>,
    /// The `.ji` file beside the image.
    pub cache: Option<Cache>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
}

/// A member of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Member {
    /// Its file name.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// What it is for, if it is an object.
    pub target: Option<String>,
    /// What made it: the compiler's name in its debug information or its `.comment`.
    pub producer: Option<String>,
    /// Its sections, in order, without the nameless ones.
    pub sections: Vec<Section>,
    /// Defined symbols that other members see.
    pub defined: u64,
    /// Symbols that it needs from elsewhere.
    pub undefined: u64,
    /// Its relocations.
    pub relocations: u64,
}

/// What is in an image, whoever's it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Image {
    /// The name that the image has for itself: `DT_SONAME`, `LC_ID_DYLIB`, the export directory's.
    pub name: Option<String>,
    /// What distinguishes it from others.
    pub identity: Option<Identity>,
    /// Its code signature.
    pub signature: Option<Signature>,
    /// What is mapped.
    pub segments: Vec<Segment>,
    /// What is in it, for linkers and debuggers.
    pub sections: Vec<Section>,
    /// Where the file's bytes go; the sum is the file's size.
    pub space: Vec<Space>,
    /// The biggest symbols, in descending order of size.
    pub biggest: Vec<Symbol>,
    /// The symbols in its symbol table.
    pub symbols: u64,
    /// What it has for others.
    pub exports: Exports,
    /// What it takes from others, by library.
    pub imports: Vec<Imports>,
    /// The libraries that it asks the loader for, in order.
    pub needed: Vec<String>,
    /// How its relocations are stored, as `chained fixups`.
    pub relocation_form: Option<&'static str>,
    /// What the loader has to relocate, by kind.
    pub relocations: Vec<Count>,
    /// How much of it can be unwound.
    pub unwind: Unwind,
}

/// What distinguishes an image from others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Identity {
    /// `build id`, `UUID`, or `time stamp`.
    pub kind: &'static str,
    /// In hexadecimal digits.
    pub value: String,
}

/// A Mach-O code signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Signature {
    /// The name that it was signed for.
    pub identifier: String,
    /// Whether nobody's certificate stands behind it.
    pub ad_hoc: bool,
    /// The pages that it covers.
    pub pages: u64,
    /// What is wrong with it; `None` if every page has the hash that it states.
    pub problem: Option<String>,
}

/// A part of the file that is mapped at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// Its name, or its type where segments have none.
    pub name: String,
    /// Where it is mapped.
    pub address: u64,
    /// How much of the address space it takes.
    pub size: u64,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// How many they are; the rest of the segment is zero.
    pub file_size: u64,
    /// What may be done with it, as `r-x`.
    pub permissions: String,
}

/// A section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Section {
    /// Its name; on Mach-O `__SEGMENT,__section`.
    pub name: String,
    /// Where it is mapped; zero if it is not.
    pub address: u64,
    /// Its size in memory.
    pub size: u64,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// How many they are.
    pub file_size: u64,
    /// What may be done with it, as `r-x`; `---` if it is not mapped.
    pub permissions: String,
}

/// What a part of the file's bytes is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Space {
    /// What for.
    pub what: &'static str,
    /// How many.
    pub bytes: u64,
}

/// A symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: u64,
    /// Its size; where the format has none, the distance to the next symbol or the section's end.
    pub size: u64,
}

/// What an image has for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Exports {
    /// How many symbols.
    pub count: u64,
    /// Their names, in byte order.
    pub names: Vec<String>,
}

/// What an image takes from one library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Imports {
    /// The library, or, on ELF, the library that the symbol version names; `None` if any library will do.
    pub library: Option<String>,
    /// The names, in byte order.
    pub names: Vec<String>,
}

/// How many there are of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// The kind, as its ABI calls it.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// How much of an image can be unwound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unwind {
    /// The tables that say how.
    pub tables: Vec<&'static str>,
    /// Their rows, one for each function or part of one.
    pub rows: u64,
    /// The functions that the image's tables know of.
    pub functions: u64,
    /// Those of them that have a row.
    pub covered: u64,
    /// The first few of those that have none.
    pub uncovered: Vec<String>,
}

/// Julia's own structures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Julia {
    /// The versions of Julia that write images with these exports, as `1.11 or 1.12`.
    pub version: &'static str,
    /// The version in `jl_image_header`; `None` for Julia 1.9, which has none.
    pub header: Option<u32>,
    /// The number of functions of the image as a whole.
    pub functions: u64,
    /// The number of variables that the loader fills.
    pub variables: u64,
    /// The modules that it was compiled in.
    pub shards: Vec<Shard>,
    /// The CPUs that it has code for.
    pub targets: Vec<CpuTarget>,
    /// `jl_cpu_target_string` (from 1.14 on).
    pub cpu_target: Option<String>,
    /// Where `jl_image_unpack` leads (from 1.13 on).
    pub unpack: Option<String>,
    /// `jl_system_image_checksum` (from 1.14 on).
    pub checksum: Option<u32>,
    /// The heap image.
    pub heap: Option<Heap>,
    /// Whether Julia's loader would take it, as far as the file alone tells.
    pub accepted: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// A module that Julia's compiler made: one text member of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shard {
    /// Functions.
    pub functions: u64,
    /// Variables.
    pub variables: u64,
    /// Slots through which functions with clones are called.
    pub slots: u64,
}

/// A CPU that an image has code for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CpuTarget {
    /// Its name in LLVM.
    pub name: String,
    /// What the compiler noted about it.
    pub flags: Vec<&'static str>,
    /// The features that its code uses, by LLVM's names; bits without a known name are `bit N`.
    pub features: Vec<String>,
    /// The number of features that its code does not use though the CPU may have them.
    pub disabled: u64,
    /// Features that Julia does not know and passed on to LLVM.
    pub extra: String,
    /// The target whose functions are used where it has no clone of its own; `None` if it has all functions.
    pub base: Option<u32>,
    /// The functions that were compiled for it.
    pub clones: u64,
}

/// The heap image: the package's objects, ready to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Heap {
    /// Where `jl_system_image_data` is.
    pub address: u64,
    /// What `jl_system_image_size` says.
    pub size: u64,
    /// Where it is in the file.
    pub file_offset: u64,
    /// The largest power of two that divides the address.
    pub alignment: u64,
    /// `none` or `zstd`.
    pub compression: &'static str,
}

/// A `.ji` file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cache {
    /// The file's name.
    pub file: String,
    /// The version of the format: 12 up to Julia 1.13, 13 in 1.14.
    pub format_version: u16,
    /// The size of a pointer.
    pub pointer_size: u8,
    /// The operating system, as `Linux`.
    pub os: String,
    /// The machine, as `x86_64`.
    pub arch: String,
    /// Julia's version.
    pub julia: String,
    /// The branch that Julia was built from.
    pub branch: String,
    /// The commit that Julia was built from.
    pub commit: String,
    /// The package image's checksum: the upper half of its modules' build ids.
    pub checksum: String,
    /// The modules in it, as `Name [UUID]`.
    pub modules: Vec<String>,
    /// The modules that have to be loaded before it.
    pub required: Vec<String>,
    /// The flags that it was compiled with.
    pub flags: CacheFlags,
    /// The CPUs that its image has code for; empty if there is no image.
    pub targets: Vec<CpuTarget>,
    /// The CRC-32C of the file itself.
    pub own_crc: Checksum,
    /// The CRC-32C of the image; `None` if there is no image.
    pub image_crc: Option<Checksum>,
    /// For each way to start Julia that would not take it: which, and why.
    pub rejected_by: Vec<String>,
    /// What is wrong with it, so that no Julia would take it.
    pub problems: Vec<String>,
}

/// The flags byte, decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheFlags {
    /// The byte itself.
    pub byte: u8,
    /// `--pkgimages`.
    pub pkgimages: bool,
    /// `-g`.
    pub debug_level: u8,
    /// `--check-bounds`: `auto`, `yes` or `no`.
    pub check_bounds: &'static str,
    /// `--inline`.
    pub inline: bool,
    /// `-O`.
    pub opt_level: u8,
}

/// A checksum as it is stated, and as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checksum {
    /// What the file says, in hexadecimal digits.
    pub stated: String,
    /// What the bytes have.
    pub computed: String,
    /// Whether these are the same.
    pub right: bool,
}
