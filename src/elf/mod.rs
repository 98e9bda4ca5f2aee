//! What only ELF has. Source of the rules: the gABI (System V Application Binary Interface, Edition 4.1 and the later
//! drafts of chapters 4 and 5), the psABI of each CPU, and the GNU extensions where no ABI speaks.

pub(crate) mod arm;
pub(crate) mod class;
mod collect;
pub(crate) mod companion;
pub(crate) mod compressed;
pub(crate) mod define;
pub(crate) mod dynamic;
pub(crate) mod emit;
pub(crate) mod erratum;
mod features;
pub(crate) mod frames;
pub(crate) mod got;
pub(crate) mod library;
pub(crate) mod package;
pub(crate) mod parse;
pub(crate) mod plan;
pub(crate) mod ppc64;
pub(crate) mod property;
pub(crate) mod rela;
pub(crate) mod relocs;
pub(crate) mod riscv;
pub(crate) mod script;
pub(crate) mod segments;
pub(crate) mod symtab;
pub(crate) mod version;

use std::collections::HashMap;

use object::elf;

use crate::arch::{Bits, ElfMachine, GotBase};
use crate::error::Error;
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::model::{
    self, CommonKind, Fate, Group, InputName, Object, ObjectId, Section, SectionFlags, SectionIndex, Traits,
};
use crate::options::{Arch, Format, Os, Target};
use crate::scan::Scan;
use crate::symbols::{Anchor, Needs};

pub(crate) use define::{define_symbols, fix_traits, give_plt_addresses};
pub(crate) use emit::emit;
pub(crate) use plan::plan;
pub(crate) use segments::assign_addresses;

/// What only ELF objects have.
#[derive(Debug)]
pub(crate) struct ObjectInfo {
    /// `e_machine`.
    pub(crate) machine: u16,
    /// The width of its addresses: `e_ident[EI_CLASS]`.
    pub(crate) bits: Bits,
    /// `e_flags`.
    pub(crate) flags: u32,
    /// `e_ident[EI_OSABI]`.
    pub(crate) os_abi: u8,
    /// Whether its code needs an executable stack (`.note.GNU-stack` with SHF_EXECINSTR).
    pub(crate) exec_stack: bool,
    /// What its `.note.gnu.property` says, or that it has none; plain data have no say.
    pub(crate) properties: Option<property::Properties>,
    /// What its `.ARM.attributes` says.
    pub(crate) arm_attributes: Option<Box<arm::attributes::Attributes>>,
    /// What its `.riscv.attributes` say.
    pub(crate) riscv_attributes: Option<Box<riscv::attributes::Attributes>>,
}

impl ObjectInfo {
    /// What is to be known of an object that holds data only: it agrees with all code.
    pub(crate) fn of_data(target: Target) -> Self {
        let machine = ElfMachine::of(target.arch);
        let os_abi = if target.os == Os::FreeBsd { elf::ELFOSABI_FREEBSD.0 } else { elf::ELFOSABI_NONE.0 };
        let (exec_stack, properties, arm_attributes, riscv_attributes) = (false, None, None, None);
        let (machine, bits, flags) = (machine.machine.0, machine.bits, 0);
        Self { machine, bits, flags, os_abi, exec_stack, properties, arm_attributes, riscv_attributes }
    }
}

/// What is known of the objects of a link, each of which is ELF.
pub(crate) fn infos<'l>(link: &'l Link<'_>) -> impl Iterator<Item = &'l ObjectInfo> {
    link.objects.iter().filter_map(|object| match &object.info {
        model::ObjectInfo::Elf(info) => Some(info),
        _ => None,
    })
}

/// The sections of an ELF image that the linker makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(crate) enum Table {
    /// `.note.gnu.property`
    Property,
    /// `.note.gnu.build-id`
    BuildId,
    /// `.dynsym`
    Dynsym,
    /// `.gnu.version`
    Versym,
    /// `.gnu.version_d`
    Verdef,
    /// `.gnu.version_r`
    Verneed,
    /// `.gnu.hash`
    GnuHash,
    /// `.hash`
    Hash,
    /// `.dynstr`
    Dynstr,
    /// `.rela.dyn`
    RelaDyn,
    /// `.relr.dyn`
    RelrDyn,
    /// `.rela.plt`
    RelaPlt,
    /// `.eh_frame_hdr`
    EhFrameHdr,
    /// `.plt`: lazily bound entries
    Plt,
    /// `.plt.got`: entries that jump through the GOT
    PltGot,
    /// `.plt.sec`: the called halves of lazily bound entries
    PltSec,
    /// `.dynamic`
    Dynamic,
    /// `.got`
    Got,
    /// `.got.plt`: slots of lazily bound entries
    GotPlt,
    /// `.symtab`
    Symtab,
    /// `.strtab`
    Strtab,
    /// `.shstrtab`
    Shstrtab,
    /// `.gnu_debuglink`: name and checksum of the companion
    DebugLink,
    /// `.ARM.attributes`, `.riscv.attributes`: what the image needs of the processor
    Attributes,
    /// `.ARM.exidx`: the unwind index
    Exidx,
    /// Functions that the linker provides, beside other code: on POWER those that save and restore registers
    ProvidedCode,
}

/// All tables, in the order of their numbers.
pub(crate) const TABLES: [Table; 26] = [
    Table::Property,
    Table::BuildId,
    Table::Dynsym,
    Table::Versym,
    Table::Verdef,
    Table::Verneed,
    Table::GnuHash,
    Table::Hash,
    Table::Dynstr,
    Table::RelaDyn,
    Table::RelrDyn,
    Table::RelaPlt,
    Table::EhFrameHdr,
    Table::Plt,
    Table::PltGot,
    Table::PltSec,
    Table::Dynamic,
    Table::Got,
    Table::GotPlt,
    Table::Symtab,
    Table::Strtab,
    Table::Shstrtab,
    Table::DebugLink,
    Table::Attributes,
    Table::Exidx,
    Table::ProvidedCode,
];

impl Table {
    /// The table as the content of an output section.
    pub(crate) fn content(self) -> Content {
        Content::Table(self as u16)
    }

    /// The table with a number, as [`content`](Self::content) gives it.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        TABLES.get(number as usize).copied()
    }
}

/// What is decided about an ELF image.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What scanning found.
    pub(crate) found: crate::scan::Scan,
    /// The dynamic symbols and what belongs to them.
    pub(crate) dynamic: dynamic::DynamicSymbols,
    /// The versions that the image defines.
    pub(crate) versions: version::Plan,
    /// `.symtab`, if the image has one.
    pub(crate) symtab: Option<symtab::SymbolTable>,
    /// `.eh_frame` sections that lose records.
    pub(crate) frames: frames::Frames,
    /// Lists of constructors whose words stand in the opposite order, with their sizes in bytes.
    pub(crate) reversed: HashMap<(ObjectId, SectionIndex), u64, foldhash::quality::RandomState>,
    /// Dynamic relocations.
    pub(crate) relocations: rela::DynamicRelocations,
    /// The output section of each table.
    pub(crate) tables: Vec<Option<u32>>,
    /// The output sections of common symbols, by kind.
    pub(crate) commons: [u32; CommonKind::ALL.len()],
    /// The names of all sections, and where each output section's name starts.
    pub(crate) section_names: (Vec<u8>, Vec<u32>),
    /// The loadable and other segments.
    pub(crate) segments: Vec<segments::Segment>,
    /// Where kinds of sections end or begin.
    pub(crate) bounds: Bounds,
    /// Address, size in memory and alignment of the TLS block.
    pub(crate) tls: (u64, u64, u64),
    /// File offset of the section headers.
    pub(crate) section_headers: u64,
    /// The merged `.note.gnu.property`.
    pub(crate) properties: Vec<u8>,
    /// Whether PLT entries are targets of indirect branches that must say so.
    pub(crate) ibt: bool,
    /// The `.eh_frame_hdr`, once addresses are fixed.
    pub(crate) frame_table: Option<crate::unwind::eh_frame_hdr::Table>,
    /// The packed contents of output sections, by their number.
    pub(crate) packed: std::collections::BTreeMap<usize, Vec<u8>>,
    /// Small tables, made once addresses are fixed.
    pub(crate) made: Vec<(Table, Vec<u8>)>,
    /// `e_flags`.
    pub(crate) flags: u32,
    /// The merged `.ARM.attributes` or `.riscv.attributes`.
    pub(crate) attributes: Vec<u8>,
    /// The entries of `.ARM.exidx`.
    pub(crate) unwind_index: arm::exidx::Index,
    /// What only images for POWER have.
    pub(crate) ppc64: ppc64::Plan,
}

/// Where an offset of a list of constructors of `size` bytes has gone.
fn reversed_offset(word: u64, size: u64, offset: u64) -> u64 {
    let within = offset % word;
    // The end of the list, which a label may mean, stays.
    let end = (offset - within).saturating_add(word);
    size.checked_sub(end).map_or(offset, |start| start + within)
}

impl Plan {
    /// The address of the block of common symbols of a kind.
    pub(crate) fn commons_address(&self, link: &Link<'_>, kind: CommonKind) -> u64 {
        link.outputs.get(self.commons[kind as usize] as usize).map_or(0, |output| output.address)
    }
}

/// Where an offset of an input section has gone in its contribution.
pub(crate) fn moved_offset(link: &Link<'_>, object: ObjectId, section: SectionIndex, offset: u64) -> u64 {
    if let Some(size) = link.elf.reversed.get(&(object, section)) {
        return reversed_offset(machine(link).bits.word(), *size, offset);
    }
    link.elf.frames.moved_offset(object, section, offset)
}

/// The array that a `.ctors` or `.dtors` section joins, if it does.
///
/// Start files of GCC no longer go through these lists, so their addresses move to `.init_array` and `.fini_array`, last one
/// first: the lists ran from their end. What the start files themselves bring are the lists' ends, and stays.
pub(crate) fn constructors(word: u64, object: &Object<'_>, section: &Section<'_>) -> Option<&'static [u8]> {
    let array: &[u8] = match () {
        () if parse::is_or_starts(section.name, b".ctors") => b".init_array",
        () if parse::is_or_starts(section.name, b".dtors") => b".fini_array",
        () => return None,
    };
    let file = object.name.file.rsplit(['/', '\\']).next().unwrap_or_default();
    let start_file = file.starts_with("crtbegin") || file.starts_with("crtend");
    let words = section.flags.has(SectionFlags::ALLOC.and(SectionFlags::WRITE))
        && (section.data.len() as u64).is_multiple_of(word);
    (words && !start_file).then_some(array)
}

/// Which section of a group keeps which other one, in pairs: each its next, and the last one the first, so that all stay or
/// none (gABI, *Section Groups*). Unwind records and what is not loaded keep nothing.
pub(crate) fn kept_in_group(object: &Object<'_>, group: &Group<'_>) -> Vec<(SectionIndex, SectionIndex)> {
    let loaded: Vec<SectionIndex> = loaded_members(object, group).collect();
    let next = loaded.iter().cycle().skip(1);
    loaded.iter().zip(next).map(|(one, next)| (*one, *next)).collect()
}

fn loaded_members(object: &Object<'_>, group: &Group<'_>) -> impl Iterator<Item = SectionIndex> {
    let loaded =
        |section: &Section<'_>| section.flags.has(SectionFlags::ALLOC) && !section.flags.has(SectionFlags::EH_FRAME);
    let members = group.members.iter().copied();
    members.filter(move |member| object.sections.get(*member as usize).is_some_and(loaded))
}

/// Leaves out what is not loaded of groups whose loaded sections nothing refers to.
pub(crate) fn leave_out_attached(link: &mut Link<'_>) {
    let unreferenced = |object: &Object<'_>, member: SectionIndex| {
        object.sections.get(member as usize).is_some_and(|section| section.fate == Fate::Unreferenced)
    };
    for object in &mut link.objects {
        let is_gone = |group: &&Group<'_>| loaded_members(object, group).any(|member| unreferenced(object, member));
        let gone = object.groups.iter().filter(is_gone);
        let members: Vec<SectionIndex> = gone.flat_map(|group| group.members.iter().copied()).collect();
        for member in members {
            if let Some(section) = object.sections.get_mut(member as usize).filter(|section| section.is_live())
                && !section.flags.has(SectionFlags::ALLOC)
            {
                section.fate = Fate::Unreferenced;
            }
        }
    }
}

/// What is known of the link's CPU.
pub(crate) fn machine(link: &Link<'_>) -> &'static ElfMachine {
    ElfMachine::of(link.target.arch)
}

/// The offset in the image's TLS block that stands for an address in the template, as code adds it to the block's address.
pub(crate) fn tls_block_offset(link: &Link<'_>, address: u64) -> u64 {
    address.wrapping_sub(link.elf.tls.0).wrapping_sub(machine(link).tls_bias)
}

/// Whether calls must not wait for their first: glibc's loader for Arm wants the relocations that call resolvers among those
/// of data, which it carries out before it prepares the slots of calls that wait, and resolvers may make such calls. On POWER
/// a loader that binds at once fills slots after all of `.rela.dyn`, and one that does not counts slots by the relocations of
/// `.rela.plt` and looks at none of them: so those that call resolvers can stand nowhere but in `.rela.dyn`.
pub(crate) fn must_bind_now(link: &Link<'_>, found: &Scan) -> bool {
    let indirect = |traits: Traits| traits.has(Traits::IFUNC);
    matches!(link.target.arch, Arch::Arm | Arch::Ppc64)
        && (found.pieces.iter().any(|piece| piece.indirect > 0)
            || found.locals.iter().any(|(.., traits)| indirect(*traits))
            || link.symbols.iter().any(|(_, global)| indirect(global.traits) && global.needs() != Needs::default()))
}

/// The output section of a table.
pub(crate) fn table_output<'l, 'a>(link: &'l Link<'a>, table: Table) -> Option<&'l OutputSection<'a>> {
    let number = link.elf.tables.get(table as usize).copied().flatten()?;
    link.outputs.get(number as usize)
}

/// Addresses where kinds of sections end or begin. They are asked for once for each symbol that names them.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    text_end: u64,
    data_end: u64,
    zero_start: u64,
    image_end: u64,
}

impl Bounds {
    /// Of sections that have their addresses.
    pub(crate) fn new(outputs: &[OutputSection<'_>]) -> Self {
        // Zero-filled thread-local storage takes no room in the image.
        let template = SectionFlags::ZERO.and(SectionFlags::TLS);
        let loaded =
            || outputs.iter().filter(|output| output.flags.has(SectionFlags::ALLOC) && !output.flags.has(template));
        let end = |wanted: &dyn Fn(SectionFlags) -> bool| {
            loaded().filter(|output| wanted(output.flags)).map(OutputSection::end).max().unwrap_or(0)
        };
        let image_end = end(&|_| true);
        let apart = SectionFlags::RELRO.and(SectionFlags::FAR);
        let zero = loaded().find(|output| output.flags.has(SectionFlags::ZERO) && !output.flags.any(apart));
        Self {
            text_end: end(&|flags| flags.has(SectionFlags::EXEC)),
            data_end: end(&|flags| {
                flags.has(SectionFlags::WRITE) && !flags.any(SectionFlags::ZERO.and(SectionFlags::FAR))
            }),
            zero_start: zero.map_or(image_end, |output| output.address),
            image_end,
        }
    }
}

/// The address of a place that layout knows.
pub(crate) fn anchor_address(link: &Link<'_>, anchor: Anchor) -> u64 {
    let bounds = &link.elf.bounds;
    match anchor {
        Anchor::ImageStart => 0,
        Anchor::GotBase => {
            let (table, offset) = match machine(link).got_base {
                GotBase::GotPlt => (Table::GotPlt, 0),
                GotBase::Got(offset) => (Table::Got, offset),
            };
            table_output(link, table).map_or(0, |output| output.address.wrapping_add(offset))
        }
        Anchor::Dynamic => table_output(link, Table::Dynamic).map_or(0, |output| output.address),
        Anchor::TlsStart => link.elf.tls.0,
        Anchor::TextEnd => bounds.text_end,
        Anchor::DataEnd => bounds.data_end,
        Anchor::ZeroStart => bounds.zero_start,
        Anchor::ImageEnd => bounds.image_end,
        Anchor::ProvidedCode(offset) => {
            table_output(link, Table::ProvidedCode).map_or(0, |output| output.address.wrapping_add(offset))
        }
        Anchor::SectionStart(number) => link.outputs.get(number as usize).map_or(0, |output| output.address),
        Anchor::SectionEnd(number) => link.outputs.get(number as usize).map_or(0, OutputSection::end),
        Anchor::Pe(_) | Anchor::MachO(_) => 0,
    }
}

/// What an object is for.
///
/// # Errors
/// [`Error::Unsupported`] for a machine that this linker does not know.
pub(crate) fn target_of(name: &InputName<'_>, info: &ObjectInfo) -> Result<Target, Error> {
    let ObjectInfo { machine, bits, os_abi, .. } = *info;
    let Some(arch) = ElfMachine::find(elf::Machine(machine), bits) else {
        let what = format!("{} objects cannot be linked", machine_name(machine, bits));
        return Err(Error::unsupported(name, what));
    };
    let os = if os_abi == elf::ELFOSABI_FREEBSD.0 { Os::FreeBsd } else { Os::Linux };
    Ok(Target { format: Format::Elf, arch, os })
}

/// Checks that an object is for the machine of the others.
///
/// # Errors
/// [`Error::Incompatible`], naming both.
pub(crate) fn check_object(name: &InputName<'_>, info: &ObjectInfo, target: Target, source: &str) -> Result<(), Error> {
    check_machine(&name.to_string(), (info.machine, info.bits), target, source)?;
    if target.arch == Arch::Ppc64 {
        ppc64::check_flags(name, info.flags)?;
    }
    Ok(())
}

/// Checks that a shared library is for the machine of the objects.
///
/// # Errors
/// [`Error::Incompatible`].
pub(crate) fn check_library(library: &library::SharedLibrary<'_>, target: Target) -> Result<(), Error> {
    let abi = library.abi();
    check_machine(library.name(), (abi.machine.0, abi.bits), target, "the image")
}

fn check_machine(file: &str, (machine, bits): (u16, Bits), target: Target, source: &str) -> Result<(), Error> {
    if ElfMachine::find(elf::Machine(machine), bits) == Some(target.arch) {
        return Ok(());
    }
    let wanted = match target.format {
        Format::Elf => ElfMachine::of(target.arch).name,
        Format::MachO | Format::Pe => "another format",
    };
    Err(Error::Incompatible {
        file: file.to_owned(),
        what: format!("is for {}", machine_name(machine, bits)),
        other: source.to_owned(),
        other_what: format!("is for {wanted}"),
    })
}

/// What people call an `e_machine` in files of a class.
fn machine_name(machine: u16, bits: Bits) -> String {
    if let Some(known) = ElfMachine::find(elf::Machine(machine), bits).map(ElfMachine::of) {
        return known.name.to_owned();
    }
    match (elf::Machine(machine), bits) {
        (elf::EM_X86_64, Bits::B32) => "x32".to_owned(),
        (elf::EM_AARCH64, Bits::B64) => "AArch64".to_owned(),
        (elf::EM_AARCH64, Bits::B32) => "AArch64 ILP32".to_owned(),
        (elf::EM_ARM, _) => "Arm".to_owned(),
        (elf::EM_RISCV, Bits::B32) => "RISC-V with 32 bits".to_owned(),
        (elf::EM_RISCV, Bits::B64) => "RISC-V".to_owned(),
        (elf::EM_PPC, _) => "PowerPC with 32 bits".to_owned(),
        (elf::EM_PPC64, _) => "PowerPC64".to_owned(),
        (other, _) => format!("machine {}", other.0),
    }
}
