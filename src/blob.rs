//! Bytes that become data of the image without an object file around them.
//!
//! A compiler that embeds a large block of data, such as Julia's heap image, would have to push it through a constant of its
//! intermediate code and through an object file, and hold several copies on the way. A [`Blob`] is the same to the link as an
//! object that holds nothing else: a section with the bytes, a symbol at its start and, if asked for, a constant with
//! the number of bytes. The bytes are borrowed from the caller, or mapped from a file, and go from there to the output.
//!
//! The object exists only in memory, in the form into which the parsers of all formats bring theirs ([`crate::model`]).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::path::PathBuf;

use object::{elf, pe};

use crate::arch::{Bits, ElfMachine};
use crate::elf::parse::ALIGN_LIMIT;
use crate::error::Error;
use crate::model::{
    Binding, InputName, Object, ObjectInfo, Section, SectionFlags as Flags, Symbol, SymbolKind, SymbolSection,
};
use crate::options::{Arch, Format, Target};

/// Bytes that the image holds as data under an exported name: [`Input::blob`](crate::Input::blob).
///
/// ```
/// # fn main() -> pkgld::Result<()> {
/// use pkgld::{Blob, Input, Inputs, Options, Target};
///
/// let heap = vec![7; 100_000];
/// let blob = Blob::new("jl_system_image_data", &heap).align(4096).size_symbol("jl_system_image_size");
/// let options = Options::julia(Target::LINUX_X86_64);
/// let inputs = Inputs::open(vec![Input::blob(blob)], &options)?;
/// let (image, report) = pkgld::link(&inputs, &options)?.to_vec()?;
/// assert_eq!(report.exports, [&b"jl_system_image_data"[..], b"jl_system_image_size"]);
/// # assert!(image.len() > 100_000);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob<'a> {
    pub(crate) name: String,
    pub(crate) contents: Contents<'a>,
    pub(crate) align: u64,
    pub(crate) size_symbol: Option<String>,
    pub(crate) writable: bool,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents<'a> {
    /// In the caller's memory.
    Bytes(&'a [u8]),
    /// In a file, all of it.
    File(PathBuf),
}

impl<'a> Blob<'a> {
    /// Writable data, aligned to 64 bytes, under a name as C has it: without the underscore that object files for macOS and
    /// 32-bit Windows put before it. At least one byte.
    pub fn new(name: impl Into<String>, bytes: &'a [u8]) -> Self {
        Self::of(name.into(), Contents::Bytes(bytes))
    }

    /// The same, with the contents of a file, which is mapped or read as other inputs are.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::of(name.into(), Contents::File(path.into()))
    }

    fn of(name: String, contents: Contents<'a>) -> Self {
        Self { name, contents, align: 64, size_symbol: None, writable: true }
    }

    /// The same, aligned to so many bytes: a power of two, up to 2^32 in ELF images, 8192 in PE images and 2^15 in Mach-O
    /// images.
    ///
    /// Julia aligns its heap image to 64 bytes, from 1.13 on to the page size of the machine that it runs on.
    pub fn align(mut self, bytes: u64) -> Self {
        self.align = bytes;
        self
    }

    /// The same, with an exported constant, in the size of a pointer, that says how many bytes there are.
    pub fn size_symbol(mut self, name: impl Into<String>) -> Self {
        self.size_symbol = Some(name.into());
        self
    }

    /// The same as data that nobody writes to.
    pub fn read_only(mut self) -> Self {
        self.writable = false;
        self
    }
}

/// A blob that has been checked, with what its object borrows beside the bytes.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The names, each behind an underscore for the formats that want one, and with a NUL byte at the end.
    strings: Vec<u8>,
    /// Where the name of the size begins in them.
    size_name: Option<u32>,
    /// What an object for Windows says to have the names exported.
    directives: Vec<u8>,
    /// The names hold nothing that these cannot express.
    plain: bool,
    align: u64,
    writable: bool,
}

impl Prepared {
    /// Checks a blob of these bytes.
    ///
    /// # Errors
    /// No bytes; an empty name, or one with a NUL byte; an alignment that is no power of two or beyond 2^32.
    pub(crate) fn new(blob: &Blob<'_>, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |what: String| Err(Error::Options(format!("blob {:?}: {what}", blob.name)));
        let names = || [Some(&blob.name), blob.size_symbol.as_ref()].into_iter().flatten();
        if names().any(|name| name.is_empty()) {
            return wrong("the empty name is no symbol's".to_owned());
        }
        if names().any(|name| name.contains('\0')) {
            return wrong("a name with a NUL byte cannot be a symbol's".to_owned());
        }
        if bytes.is_empty() {
            return wrong("it has no bytes, at least one is needed".to_owned());
        }
        if !blob.align.is_power_of_two() || blob.align > ALIGN_LIMIT {
            return wrong(format!("alignment {} is no power of two up to 2^32", blob.align));
        }
        let mut prepared = Self {
            strings: vec![0],
            size_name: None,
            directives: Vec::new(),
            plain: !names().any(|name| name.contains('"')),
            align: blob.align,
            writable: blob.writable,
        };
        for (number, name) in names().enumerate() {
            if number > 0 {
                let start = u32::try_from(prepared.strings.len());
                let start = start.map_err(|_| Error::Options(format!("blob {:?}: name of 4 GiB", blob.name)))?;
                prepared.size_name = Some(start);
            }
            prepared.strings.push(b'_');
            prepared.strings.extend_from_slice(name.as_bytes());
            prepared.strings.push(0);
            prepared.directives.extend_from_slice(format!(" -export:\"{name}\",data").as_bytes());
        }
        Ok(prepared)
    }
}

/// The largest alignment of data that objects of a format can ask for, in bytes.
fn align_limit(format: Format) -> u64 {
    match format {
        Format::Elf => ALIGN_LIMIT,
        // IMAGE_SCN_ALIGN_8192BYTES
        Format::Pe => 8192,
        // MAXSECTALIGN of Apple's assembler.
        Format::MachO => 1 << 15,
    }
}

/// Whether an object for the target has an underscore before every name of C.
pub(crate) fn has_underscores(target: Target) -> bool {
    target.format == Format::MachO || (target.format == Format::Pe && target.arch == Arch::X86)
}

/// The size of a pointer, in bytes.
fn word(target: Target) -> usize {
    let narrow = match target.format {
        Format::Elf => ElfMachine::of(target.arch).bits == Bits::B32,
        Format::Pe | Format::MachO => target.arch == Arch::X86,
    };
    if narrow { 4 } else { 8 }
}

/// The object that holds a blob's bytes, and nothing else: in section 1, and the size in section 2.
///
/// # Errors
/// An alignment or a size beyond what the format or the CPU has; a name that the format cannot export.
pub(crate) fn object<'a>(
    name: &'a str,
    blob: &'a Prepared,
    bytes: &'a [u8],
    target: Target,
) -> Result<Object<'a>, Error> {
    let limit = align_limit(target.format);
    if blob.align > limit {
        let what = format!("{name}: alignment {} where {limit} is the most in such an image", blob.align);
        return Err(Error::Options(what));
    }
    if target.format == Format::Pe && !blob.plain {
        return Err(Error::Options(format!("{name}: a name with a double quote cannot be exported from a DLL")));
    }
    let size = bytes.len() as u64;
    let word = word(target);
    let number = size.to_le_bytes();
    let (value, beyond) = number.split_at_checked(word).unwrap_or((&number, &[]));
    if beyond.iter().any(|byte| *byte != 0) {
        return Err(Error::Options(format!("{name}: {size} bytes do not fit into an address space of 32 bits")));
    }

    let (data, constant) = sections(target, blob.writable);
    let mut sections = vec![section(Kind::NONE, Cow::Borrowed(&[]), 1)];
    sections.push(section(data, Cow::Borrowed(bytes), blob.align));
    let mut symbols = Vec::new();
    if target.format == Format::Elf {
        symbols.push(Symbol::new(0, SymbolSection::Undefined, 0));
    }
    // The table begins with a NUL byte.
    symbols.push(symbol(target, 1, 1, size));
    if let Some(name) = blob.size_name {
        sections.push(section(constant, Cow::Owned(value.to_vec()), word as u64));
        symbols.push(symbol(target, name, 2, word as u64));
    }
    let info = info(target, blob, &sections, &mut symbols);
    let (name, strings) = (InputName { file: name, member: None }, &*blob.strings);
    Ok(Object { name, sections, symbols, strings, short_names: &[], groups: Vec::new(), hide_symbols: false, info })
}

/// What a section is called and what it is, in a format's own terms too.
struct Kind {
    name: &'static [u8],
    flags: Flags,
    kind: u32,
}

impl Kind {
    /// Section 0, which is none.
    const NONE: Self = Self { name: b"", flags: Flags(0), kind: 0 };
}

/// The sections for the bytes and for their number: those in which a compiler puts such data.
fn sections(target: Target, writable: bool) -> (Kind, Kind) {
    let (constant, data) = (Flags::ALLOC, Flags::ALLOC.and(Flags::WRITE));
    let elf = |name, flags| Kind { name, flags, kind: elf::SHT_PROGBITS.0 };
    let pe = |name, flags, writable| {
        let kind = pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0 | pe::IMAGE_SCN_MEM_READ.0 | writable;
        Kind { name, flags, kind }
    };
    let macho = |name, flags| Kind { name, flags, kind: 0 };
    match (target.format, target.arch, writable) {
        // There is a large code model there, whose data may be beyond the reach of other code.
        (Format::Elf, Arch::X86_64, true) => (elf(b".ldata", data.and(Flags::FAR)), elf(b".rodata", constant)),
        (Format::Elf, Arch::X86_64, false) => (elf(b".lrodata", constant.and(Flags::FAR)), elf(b".rodata", constant)),
        (Format::Elf, _, true) => (elf(b".data", data), elf(b".rodata", constant)),
        (Format::Elf, _, false) => (elf(b".rodata", constant), elf(b".rodata", constant)),
        (Format::Pe, _, true) => (pe(b".data", data, pe::IMAGE_SCN_MEM_WRITE.0), pe(b".rdata", constant, 0)),
        (Format::Pe, _, false) => (pe(b".rdata", constant, 0), pe(b".rdata", constant, 0)),
        (Format::MachO, _, true) => (macho(b"__data", data), macho(b"__const", constant)),
        (Format::MachO, _, false) => (macho(b"__const", constant), macho(b"__const", constant)),
    }
}

fn section<'a>(kind: Kind, data: Cow<'a, [u8]>, align: u64) -> Section<'a> {
    // Nothing in the image refers to it, and others are to find it.
    let flags = kind.flags.when(!kind.name.is_empty(), Flags::RETAIN);
    Section { kind: kind.kind, ..Section::made(kind.name, data, align, flags) }
}

/// The exported symbol at the start of a section, the name of which is behind an underscore at `name`.
fn symbol(target: Target, name: u32, section: u32, size: u64) -> Symbol {
    let name = if has_underscores(target) { name } else { name.saturating_add(1) };
    let mut symbol = Symbol::new(name, SymbolSection::In(section), 0);
    symbol.binding = Binding::Global;
    // COFF tells code from data and has no sizes; Mach-O has none either.
    if target.format != Format::Pe {
        symbol.kind = SymbolKind::Object;
    }
    if target.format == Format::Elf {
        symbol.size = size;
    }
    symbol
}

/// What the format wants to know of an object.
fn info<'a>(target: Target, blob: &'a Prepared, sections: &[Section<'_>], symbols: &mut Vec<Symbol>) -> ObjectInfo<'a> {
    match target.format {
        Format::Elf => ObjectInfo::Elf(crate::elf::ObjectInfo::of_data(target)),
        Format::Pe => ObjectInfo::Pe(Box::new(crate::pe::ObjectInfo::of_data(target, &blob.directives))),
        Format::MachO => {
            let segment = |section: &Section<'_>| if section.flags.has(Flags::WRITE) { "__DATA" } else { "__TEXT" };
            let sections = sections.get(1..).unwrap_or_default();
            let placed = sections.iter().map(|section| (segment(section), section.size, section.align));
            ObjectInfo::MachO(crate::macho::ObjectInfo::of_data(target, placed, symbols))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn refusal(blob: &Blob<'_>, bytes: &[u8]) -> String {
        Prepared::new(blob, bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_a_symbol_is_refused() {
        let blob = || Blob::new("x", b"1");
        assert_eq!(refusal(&blob(), b""), "blob \"x\": it has no bytes, at least one is needed");
        assert_eq!(refusal(&Blob::new("", b"1"), b"1"), "blob \"\": the empty name is no symbol's");
        let nul = "a name with a NUL byte cannot be a symbol's";
        assert_eq!(refusal(&Blob::new("a\0b", b"1"), b"1"), format!("blob \"a\\0b\": {nul}"));
        assert_eq!(refusal(&blob().size_symbol("\0"), b"1"), format!("blob \"x\": {nul}"));
        for align in [0, 3, 63, (1 << 32) + 1, 1 << 33, u64::MAX] {
            let what = format!("blob \"x\": alignment {align} is no power of two up to 2^32");
            assert_eq!(refusal(&blob().align(align), b"1"), what);
        }
    }

    #[test]
    fn formats_bound_the_alignment_and_the_names() {
        let cases = [
            (Target::LINUX_X86_64, 1 << 32, None),
            (Target::WINDOWS_X86_64, 8192, Some("blob x: alignment 16384 where 8192 is the most in such an image")),
            (Target::MACOS_AARCH64, 1 << 15, Some("blob x: alignment 65536 where 32768 is the most in such an image")),
        ];
        for (target, most, beyond) in cases {
            let blob = |align| Prepared::new(&Blob::new("x", b"1").align(align), b"1").unwrap();
            assert!(object("blob x", &blob(most), b"1", target).is_ok());
            if let Some(beyond) = beyond {
                let error = object("blob x", &blob(most * 2), b"1", target).unwrap_err();
                assert_eq!(error.to_string(), beyond);
            }
        }
        let quoted = Prepared::new(&Blob::new("a\"b", b"1"), b"1").unwrap();
        assert!(object("blob", &quoted, b"1", Target::LINUX_X86_64).is_ok());
        let error = object("blob", &quoted, b"1", Target::WINDOWS_X86_64).unwrap_err();
        assert!(error.to_string().contains("double quote"), "{error}");
    }

    #[test]
    fn names_are_decorated_as_the_format_has_them() {
        let blob = Blob::new("data", b"123").size_symbol("size");
        let prepared = Prepared::new(&blob, b"123").unwrap();
        for (target, names, word) in [
            (Target::LINUX_X86_64, ["data", "size"], 8),
            (Target::LINUX_ARM, ["data", "size"], 4),
            (Target::WINDOWS_X86_64, ["data", "size"], 8),
            (Target::WINDOWS_X86, ["_data", "_size"], 4),
            (Target::MACOS_AARCH64, ["_data", "_size"], 8),
        ] {
            let object = object("blob", &prepared, b"123", target).unwrap();
            let defined = object.symbols.iter().filter(|symbol| symbol.binding == Binding::Global);
            let found: Vec<&[u8]> = defined.map(|symbol| object.symbol_name(symbol)).collect();
            assert_eq!(found, names.map(str::as_bytes), "{target:?}");
            assert_eq!(*object.sections[2].data, 3_u64.to_le_bytes()[..word]);
            assert!(matches!(object.sections[1].data, Cow::Borrowed(b"123")), "it is never copied");
        }
    }
}
