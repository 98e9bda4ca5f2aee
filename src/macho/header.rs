//! The header and the load commands.
//!
//! Source: `mach-o/loader.h`. The order is LLD's; the order of segments must be that of their addresses and offsets, and
//! commands come in multiples of 8 bytes.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::collections::HashMap;

use object::macho as m;

use super::linkedit::{Linkedit, Part, indirect_start};
use super::segments::WRITE;
use super::{Table, install_name, is_chained, is_coalesced, platform, stubs, symtab};
use crate::input::LibraryRole;
use crate::layout::{Content, OutputSection};
use crate::library::SharedLibrary;
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::SectionFlags as Flags;
use crate::options::Arch;
use crate::symbols::{Definition, Global, GlobalFlags};

/// Bytes of `mach_header_64`, `segment_command_64`, `section_64`.
pub(super) const HEADER: u64 = 32;
pub(super) const SEGMENT: u64 = 72;
pub(super) const SECTION: u64 = 80;
/// Bytes of room behind the load commands, for tools that add to them.
const PAD: u64 = 32;
/// Bytes that a name may grow to (`-headerpad_max_install_names`).
const NAME_PAD: u64 = 1024;

/// `MH_NOUNDEFS | MH_DYLDLINK | MH_TWOLEVEL`
const FLAGS: u32 = 0x85;
/// `MH_NO_REEXPORTED_DYLIBS`
const NO_REEXPORTS: u32 = 0x10_0000;
/// `MH_WEAK_DEFINES`: others may have to take definitions of this image for theirs.
pub(super) const WEAK_DEFINES: u32 = 0x8000;
/// `MH_BINDS_TO_WEAK`: the image may have to take definitions of others for its own.
const BINDS_TO_WEAK: u32 = 0x1_0000;
/// `MH_HAS_TLV_DESCRIPTORS`
const THREAD_LOCAL: u32 = 0x80_0000;
/// `MH_DEAD_STRIPPABLE_DYLIB`
pub(super) const DEAD_STRIPPABLE: u32 = 0x40_0000;
/// `MH_APP_EXTENSION_SAFE`
const APPLICATION_EXTENSION: u32 = 0x200_0000;
/// `TOOL_*` lists and such have no place here: the version of the linker is no part of its output.
const NO_TOOLS: u32 = 0;

/// A library as a load command names it.
pub(super) struct Needed<'l> {
    pub(super) name: &'l [u8],
    current: u32,
    compatibility: u32,
    role: LibraryRole,
}

/// The numbers by which the loader counts the libraries, from 1; 0 for those that it is not asked for. Several stubs may say
/// that they are of one library: these have one number.
pub(super) fn ordinals(link: &Link<'_>) -> Vec<u32> {
    let mut numbers: HashMap<&[u8], u32> = HashMap::new();
    let number = link.libraries.iter().map(|library| match &library.shared {
        SharedLibrary::MachO(shared) if library.needed => {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
            *numbers.entry(shared.install_name()).or_insert(next)
        }
        _ => 0,
    });
    number.collect()
}

/// The libraries that the loader is to load, in the order of their numbers.
pub(super) fn needed<'l>(link: &'l Link<'_>) -> impl Iterator<Item = Needed<'l>> {
    let dropped = malfunction::on(Malfunction::NeededLibraryDropped);
    let ordinals = &link.macho.ordinals;
    // Of each number, whether something is used of the library, and whether something of that must be there.
    let mut uses = vec![(false, false); ordinals.len().saturating_add(1)];
    for (_, global) in link.symbols.iter() {
        // What pkgld itself looks up, as the binder of functions, is no use of the library unless something needs it.
        if let Definition::Library(number, _) = global.definition
            && global.flags.has(GlobalFlags::IN_OBJECT)
            && let Some(use_of) = ordinals.get(number as usize).and_then(|ordinal| uses.get_mut(*ordinal as usize))
        {
            *use_of = (true, use_of.1 || global.flags.has(GlobalFlags::STRONG_REFERENCE));
        }
    }
    let mut last = 0;
    let firsts = link.libraries.iter().zip(ordinals).filter(move |(_, ordinal)| {
        let first = **ordinal > last;
        last = last.max(**ordinal);
        first
    });
    firsts.skip(usize::from(dropped)).filter_map(move |(library, ordinal)| {
        let library_role = library.role;
        let SharedLibrary::MachO(library) = &library.shared else { return None };
        // A library of which all that is wanted may be missing may be missing itself.
        let weak = uses.get(*ordinal as usize) == Some(&(true, false));
        let role = if weak && library_role == LibraryRole::Plain { LibraryRole::Weak } else { library_role };
        Some(Needed {
            name: library.install_name(),
            current: library.current_version(),
            compatibility: library.compatibility_version(),
            role,
        })
    })
}

/// Bytes of a command that ends in a string.
fn with_string(fixed: u64, string: &[u8]) -> u64 {
    fixed.saturating_add(string.len() as u64).saturating_add(1).next_multiple_of(8)
}

/// Where the first section may start: behind the load commands and the room that is left for more.
pub(super) fn size(link: &Link<'_>) -> u64 {
    let (commands, libraries) = commands_size(link);
    let pad = if link.options.macho.pad_install_names { NAME_PAD.saturating_mul(libraries) } else { 0 };
    let pad = pad.max(link.options.macho.header_pad.unwrap_or(PAD));
    HEADER.saturating_add(commands).saturating_add(pad)
}

/// Bytes of all commands, and the number of libraries they name.
fn commands_size(link: &Link<'_>) -> (u64, u64) {
    let sections = link.outputs.len() as u64;
    let segments = link.macho.segments.len() as u64;
    let mut size = segments.saturating_mul(SEGMENT).saturating_add(sections.saturating_mul(SECTION));
    // Fixups and exports, symbol tables, function starts, data in code; then versions.
    size = size.saturating_add(if is_chained(link) { 32 } else { 48 }).saturating_add(24 + 80);
    let lists = [link.options.macho.function_starts, link.options.macho.data_in_code];
    size = lists.into_iter().filter(|list| *list).fold(size, |size, _| size.saturating_add(16));
    size = size.saturating_add(16);
    size = size.saturating_add(version_size(link));
    if link.options.macho.uuid {
        size = size.saturating_add(24);
    }
    if link.options.macho.sign.unwrap_or(link.target.arch != Arch::X86_64) {
        size = size.saturating_add(16);
    }
    if !link.options.macho.bundle {
        size = size.saturating_add(with_string(24, install_name(link).as_bytes()));
    }
    for (_, string) in strings(link) {
        size = size.saturating_add(with_string(12, string.as_bytes()));
    }
    let mut libraries = 1_u64;
    for library in needed(link) {
        size = size.saturating_add(with_string(24, library.name));
        libraries = libraries.saturating_add(1);
    }
    (size, libraries)
}

/// The commands that are a string and nothing else.
fn strings<'l>(link: &'l Link<'_>) -> impl Iterator<Item = (m::LoadCommandType, &'l str)> {
    let macho = &link.options.macho;
    let rpaths = macho.rpath.iter().map(|path| (m::LC_RPATH, path.as_str()));
    let umbrella = macho.umbrella.iter().map(|name| (m::LC_SUB_FRAMEWORK, name.as_str()));
    let clients = macho.allowable_clients.iter().map(|name| (m::LC_SUB_CLIENT, name.as_str()));
    rpaths.chain(umbrella).chain(clients)
}

/// Whether the versions stand in `LC_BUILD_VERSION`, which macOS 10.14 was the first to know, or in
/// `LC_VERSION_MIN_MACOSX`.
fn has_build_version(link: &Link<'_>) -> bool {
    platform(link).minimum >= 0xa_0e00
}

/// Bytes of the command that [`version`] writes.
pub(super) fn version_size(link: &Link<'_>) -> u64 {
    if has_build_version(link) { 24 } else { 16 }
}

/// Writes the command that tells the system that the image is for.
pub(super) fn version(link: &Link<'_>, out: &mut Writer) {
    let versions = platform(link);
    if has_build_version(link) {
        out.begin(m::LC_BUILD_VERSION.0, 24);
        out.words([versions.platform, versions.minimum, versions.sdk, NO_TOOLS]);
    } else {
        out.begin(m::LC_VERSION_MIN_MACOSX.0, 16);
        out.words([versions.minimum, versions.sdk]);
    }
}

/// The header and the load commands, and the offset of the identity in them, if they have one.
pub(super) fn write(link: &Link<'_>, linkedit: &Linkedit) -> (Vec<u8>, Option<u64>) {
    let any = |is: &dyn Fn(&Global<'_>) -> bool| link.symbols.iter().any(|(_, global)| is(global));
    let exports_weak =
        any(&|global| global.flags.has(GlobalFlags::WEAK_DEFINITION) && symtab::is_exported(link, global));
    let defines_weak = exports_weak || !link.macho.overriding.is_empty();
    let binds_weak = exports_weak || any(&|global| symtab::is_import(global) && is_coalesced(link, global));
    let descriptors = u32::from(m::S_THREAD_LOCAL_VARIABLES.0);
    let thread_local = link.outputs.iter().any(|output| output.kind & m::SECTION_TYPE == descriptors);
    let reexports = needed(link).any(|library| library.role == LibraryRole::Reexport);
    // Nothing links with a bundle, so these marks are for dylibs alone.
    let is_dylib = !link.options.macho.bundle;
    let parts = [
        (defines_weak, WEAK_DEFINES),
        (binds_weak, BINDS_TO_WEAK),
        (thread_local, THREAD_LOCAL),
        (is_dylib && !reexports, NO_REEXPORTS),
        (is_dylib && link.options.macho.dead_strippable, DEAD_STRIPPABLE),
        (is_dylib && link.options.macho.application_extension, APPLICATION_EXTENSION),
    ];
    let flags = parts.into_iter().filter(|(set, _)| *set).fold(FLAGS, |all, (_, flag)| all | flag);
    let kind = if link.options.macho.bundle { m::MH_BUNDLE } else { m::MH_DYLIB };
    let mut out = Writer::new(link, kind, flags);
    segments(link, &mut out);
    let data = |out: &mut Writer, command: m::LoadCommandType, part: Part| {
        out.begin(command.0, 16);
        out.place(part);
    };
    if let Some(fixups) = linkedit.fixups {
        data(&mut out, m::LC_DYLD_CHAINED_FIXUPS, fixups);
        data(&mut out, m::LC_DYLD_EXPORTS_TRIE, linkedit.exports);
    }
    if let Some(programs) = linkedit.programs {
        out.begin(m::LC_DYLD_INFO_ONLY.0, 48);
        programs.into_iter().chain([linkedit.exports]).for_each(|part| out.part(part));
    }
    symbol_tables(linkedit, &mut out);
    for (command, string) in strings(link) {
        let size = with_string(12, string.as_bytes());
        out.begin(command.0, size);
        out.words([12]);
        out.string(string.as_bytes(), size, 12);
    }
    let macho = &link.options.macho;
    let id = Needed {
        name: install_name(link).as_bytes(),
        current: macho.current_version,
        compatibility: macho.compatibility_version,
        role: LibraryRole::Plain,
    };
    if !macho.bundle {
        dylib(&mut out, m::LC_ID_DYLIB, &id);
    }
    let mut identity = None;
    if macho.uuid {
        out.begin(m::LC_UUID.0, 24);
        identity = Some(out.bytes.len() as u64);
        out.words([0; 4]);
    }
    version(link, &mut out);
    out.begin(m::LC_SOURCE_VERSION.0, 16);
    out.words([0, 0]);
    for library in needed(link) {
        let command = match library.role {
            LibraryRole::Plain => m::LC_LOAD_DYLIB,
            LibraryRole::Weak => m::LC_LOAD_WEAK_DYLIB,
            LibraryRole::Reexport => m::LC_REEXPORT_DYLIB,
            LibraryRole::Upward => m::LC_LOAD_UPWARD_DYLIB,
        };
        dylib(&mut out, command, &library);
    }
    if macho.function_starts {
        data(&mut out, m::LC_FUNCTION_STARTS, linkedit.function_starts);
    }
    if macho.data_in_code {
        data(&mut out, m::LC_DATA_IN_CODE, linkedit.data_in_code);
    }
    if let Some(signature) = linkedit.signature {
        data(&mut out, m::LC_CODE_SIGNATURE, signature);
    }
    (out.finish(), identity)
}

fn segments(link: &Link<'_>, out: &mut Writer) {
    for segment in &link.macho.segments {
        let outputs = link.outputs.get(segment.outputs.clone()).unwrap_or_default();
        let sections = outputs.len() as u64;
        out.begin(m::LC_SEGMENT_64.0, SEGMENT.saturating_add(sections.saturating_mul(SECTION)));
        out.bytes.extend(segment.name);
        out.longs([segment.address, segment.size, segment.offset, segment.file_size]);
        let count = u32::try_from(sections).unwrap_or(u32::MAX);
        let more = if malfunction::on(Malfunction::ReadOnlyWritable) { WRITE } else { 0 };
        let protection = segment.protection | more;
        out.words([protection, protection, count, segment.flags]);
        for output in outputs {
            section(link, output, &segment.name, out);
        }
    }
}

fn section(link: &Link<'_>, output: &OutputSection<'_>, segment: &[u8; 16], out: &mut Writer) {
    out.bytes.extend(super::plan::padded(&output.name));
    out.bytes.extend(segment);
    out.longs([output.address, output.size]);
    let offset = if output.flags.has(Flags::ZERO) { 0 } else { u32::try_from(output.offset).unwrap_or(u32::MAX) };
    let (index, size) = match output.content {
        Content::Table(table) if table == Table::Stubs as u16 => {
            (indirect_start(link, Table::Stubs), u32::try_from(stubs::stub_size(link.target.arch)).unwrap_or(0))
        }
        Content::Table(table) if table == Table::LazyPointers as u16 => (indirect_start(link, Table::LazyPointers), 0),
        _ => (0, 0),
    };
    out.words([offset, output.align.trailing_zeros(), 0, 0, output.kind, index, size, 0]);
}

fn symbol_tables(linkedit: &Linkedit, out: &mut Writer) {
    let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let [locals, externals, undefined] = linkedit.symbol_counts;
    let count = locals.saturating_add(externals).saturating_add(undefined);
    out.begin(m::LC_SYMTAB.0, 24);
    out.words([low(linkedit.symbols.offset), count, low(linkedit.strings.offset), low(linkedit.strings.size)]);
    out.begin(m::LC_DYSYMTAB.0, 80);
    let behind = locals.saturating_add(externals);
    out.words([0, locals, locals, externals, behind, undefined]);
    out.words([0; 6]);
    out.words([low(linkedit.indirect.offset), low(linkedit.indirect.size / 4)]);
    out.words([0; 4]);
}

fn dylib(out: &mut Writer, command: m::LoadCommandType, library: &Needed<'_>) {
    let size = with_string(24, library.name);
    out.begin(command.0, size);
    out.words([24, 0, library.current, library.compatibility]);
    out.string(library.name, size, 24);
}

/// A header and load commands in the making.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    count: u32,
}

impl Writer {
    /// Starts with the header of a file of a type, with flags.
    pub(super) fn new(link: &Link<'_>, file_type: m::FileType, flags: u32) -> Self {
        let info = link.objects.first().and_then(|object| object.info.macho());
        let (cpu, subtype) = match link.target.arch {
            Arch::X86_64 => (m::CPU_TYPE_X86_64, 3),
            _ => (m::CPU_TYPE_ARM64, info.map_or(0, |info| info.subtype & 0xff_ffff)),
        };
        let mut writer = Self { bytes: Vec::new(), count: 0 };
        // The number and the size of commands follow.
        writer.words([0xfeed_facf, cpu.0, subtype, file_type.0, 0, 0, flags, 0]);
        writer
    }

    /// The header and the commands.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let size = (self.bytes.len() as u64).saturating_sub(HEADER);
        for (at, word) in [(16, u64::from(self.count)), (20, size)] {
            let field = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>);
            if let (Some(field), Ok(word)) = (field, u32::try_from(word)) {
                *field = word.to_le_bytes();
            }
        }
        self.bytes
    }

    /// Starts a command of so many bytes.
    pub(super) fn begin(&mut self, command: u32, size: u64) {
        self.count = self.count.saturating_add(1);
        self.words([command, u32::try_from(size).unwrap_or(u32::MAX)]);
    }

    /// Appends words of 4 bytes.
    pub(super) fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.bytes.extend(word.to_le_bytes()));
    }

    /// Appends words of 8 bytes.
    pub(super) fn longs(&mut self, longs: impl IntoIterator<Item = u64>) {
        longs.into_iter().for_each(|long| self.bytes.extend(long.to_le_bytes()));
    }

    /// Where a table is. A program without a byte is nowhere.
    fn part(&mut self, part: Part) {
        self.place(if part.size == 0 { Part::default() } else { part });
    }

    /// Where a table is. Readers want even an empty one in `__LINKEDIT`, between its neighbours.
    fn place(&mut self, part: Part) {
        self.words([part.offset, part.size].map(|number| u32::try_from(number).unwrap_or(u32::MAX)));
    }

    /// The string at the end of a command of `size` bytes, of which `fixed` stand before it.
    fn string(&mut self, string: &[u8], size: u64, fixed: u64) {
        let end = (self.bytes.len() as u64).saturating_add(size.saturating_sub(fixed));
        self.bytes.extend(string);
        self.bytes.resize(usize::try_from(end).unwrap_or(usize::MAX), 0);
    }
}
