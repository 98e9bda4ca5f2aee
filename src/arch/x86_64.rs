//! AMD64: the relocation kinds of the psABI, the rewriting of GOT loads, and the procedure linkage table.
//!
//! Code reaches data by 32-bit displacements from the next instruction (`sym(%rip)`), which is why most kinds are
//! *relative* and span ±2 GiB. The medium code model reaches data beyond that by 64-bit offsets from the GOT base
//! (`lea _GLOBAL_OFFSET_TABLE_(%rip), %rbx; movabs $sym@GOTOFF, %rax; mov (%rbx,%rax), …`), which is `.got.plt`. What another library
//! defines is reached through a slot of the GOT (`mov sym@GOTPCREL(%rip), %rax`), and called through the PLT.
//!
//! Source: System V Application Binary Interface, AMD64 Architecture Processor Supplement, version 1.0 and later:
//! chapter 4.4 *Relocation* (table 4.9 and 4.10), 5.2 *Dynamic linking* (PLT), B.2 *Optimize GOTPCRELX Relocations*.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, LazyEntry, PltPlace};
use crate::reloc::{Field, Origin, Value, What};

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Field::{Any8, Any16, I8, I16, I32, Nothing, U32, U64};
    use Origin::{GotBase, Place, Zero};
    use What::{
        Got, GotRelaxable, Plt, Size, Symbol, TlsBlock, TlsDescriptor, TlsModule, TlsOffset, TlsPair, TlsStatic,
    };
    Some(match elf::RelocationType(kind) {
        elf::R_X86_64_NONE => (What::Nothing.from(Zero), Nothing),
        elf::R_X86_64_64 => (Symbol.from(Zero), U64),
        elf::R_X86_64_32 => (Symbol.from(Zero), U32),
        elf::R_X86_64_32S => (Symbol.from(Zero), I32),
        elf::R_X86_64_16 => (Symbol.from(Zero), Any16),
        elf::R_X86_64_8 => (Symbol.from(Zero), Any8),
        elf::R_X86_64_PC64 => (Symbol.from(Place), U64),
        // The _BND kinds of the withdrawn MPX extension differ only in what a PLT entry had to preserve.
        elf::R_X86_64_PC32 | PC32_BND => (Symbol.from(Place), I32),
        elf::R_X86_64_PC16 => (Symbol.from(Place), I16),
        elf::R_X86_64_PC8 => (Symbol.from(Place), I8),
        elf::R_X86_64_PLT32 | PLT32_BND => (Plt.from(Place), I32),
        elf::R_X86_64_PLTOFF64 => (Plt.from(GotBase), U64),
        elf::R_X86_64_GOT32 => (Got.from(GotBase), I32),
        // GOTPLT64 asked for a slot shared with the PLT; the psABI has made it a synonym.
        elf::R_X86_64_GOT64 | elf::R_X86_64_GOTPLT64 => (Got.from(GotBase), U64),
        elf::R_X86_64_GOTPCREL => (Got.from(Place), I32),
        elf::R_X86_64_GOTPCREL64 => (Got.from(Place), U64),
        elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX => (GotRelaxable.from(Place), I32),
        // With the REX2 and EVEX prefixes of APX the rewriting is optional, and is not done here.
        elf::R_X86_64_CODE_4_GOTPCRELX | elf::R_X86_64_CODE_5_GOTPCRELX | elf::R_X86_64_CODE_6_GOTPCRELX => {
            (Got.from(Place), I32)
        }
        elf::R_X86_64_GOTOFF64 => (Symbol.from(GotBase), U64),
        elf::R_X86_64_GOTPC32 => (What::GotBase.from(Place), I32),
        elf::R_X86_64_GOTPC64 => (What::GotBase.from(Place), U64),
        elf::R_X86_64_SIZE32 => (Size.from(Zero), U32),
        elf::R_X86_64_SIZE64 => (Size.from(Zero), U64),
        elf::R_X86_64_TLSGD => (TlsPair.from(Place), I32),
        elf::R_X86_64_TLSLD => (TlsModule.from(Place), I32),
        elf::R_X86_64_DTPOFF32 => (TlsBlock.from(Zero), I32),
        elf::R_X86_64_DTPOFF64 => (TlsBlock.from(Zero), U64),
        elf::R_X86_64_GOTTPOFF
        | elf::R_X86_64_CODE_4_GOTTPOFF
        | elf::R_X86_64_CODE_5_GOTTPOFF
        | elf::R_X86_64_CODE_6_GOTTPOFF => (TlsOffset.from(Place), I32),
        elf::R_X86_64_TPOFF32 => (TlsStatic.from(Zero), I32),
        elf::R_X86_64_TPOFF64 => (TlsStatic.from(Zero), U64),
        elf::R_X86_64_GOTPC32_TLSDESC
        | elf::R_X86_64_CODE_4_GOTPC32_TLSDESC
        | elf::R_X86_64_CODE_5_GOTPC32_TLSDESC
        | elf::R_X86_64_CODE_6_GOTPC32_TLSDESC => (TlsDescriptor.from(Place), I32),
        // Marks the call through a descriptor, for linkers that rewrite it.
        elf::R_X86_64_TLSDESC_CALL => (What::Nothing.from(Zero), Nothing),
        _ => return None,
    })
}

const PC32_BND: elf::RelocationType = elf::RelocationType(39);
const PLT32_BND: elf::RelocationType = elf::RelocationType(40);

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    const NAMES: [&str; 52] = [
        "NONE",
        "64",
        "PC32",
        "GOT32",
        "PLT32",
        "COPY",
        "GLOB_DAT",
        "JUMP_SLOT",
        "RELATIVE",
        "GOTPCREL",
        "32",
        "32S",
        "16",
        "PC16",
        "8",
        "PC8",
        "DTPMOD64",
        "DTPOFF64",
        "TPOFF64",
        "TLSGD",
        "TLSLD",
        "DTPOFF32",
        "GOTTPOFF",
        "TPOFF32",
        "PC64",
        "GOTOFF64",
        "GOTPC32",
        "GOT64",
        "GOTPCREL64",
        "GOTPC64",
        "GOTPLT64",
        "PLTOFF64",
        "SIZE32",
        "SIZE64",
        "GOTPC32_TLSDESC",
        "TLSDESC_CALL",
        "TLSDESC",
        "IRELATIVE",
        "RELATIVE64",
        "PC32_BND",
        "PLT32_BND",
        "GOTPCRELX",
        "REX_GOTPCRELX",
        "CODE_4_GOTPCRELX",
        "CODE_4_GOTTPOFF",
        "CODE_4_GOTPC32_TLSDESC",
        "CODE_5_GOTPCRELX",
        "CODE_5_GOTTPOFF",
        "CODE_5_GOTPC32_TLSDESC",
        "CODE_6_GOTPCRELX",
        "CODE_6_GOTTPOFF",
        "CODE_6_GOTPC32_TLSDESC",
    ];
    match NAMES.get(kind as usize) {
        Some(name) => format!("R_X86_64_{name}"),
        None => format!("number {kind}"),
    }
}

/// ELF images for this CPU.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_X86_64,
    name: "x86-64",
    bfd_name: "elf64-x86-64",
    bits: Bits::B64,
    rela: true,
    page: 4096,
    dynamic: ElfDynamicKinds {
        relative: elf::R_X86_64_RELATIVE.0,
        absolute: elf::R_X86_64_64.0,
        got: elf::R_X86_64_GLOB_DAT.0,
        plt: elf::R_X86_64_JUMP_SLOT.0,
        indirect: elf::R_X86_64_IRELATIVE.0,
        tls_module: elf::R_X86_64_DTPMOD64.0,
        tls_offset: elf::R_X86_64_DTPOFF64.0,
        tls_static: elf::R_X86_64_TPOFF64.0,
        tls_descriptor: elf::R_X86_64_TLSDESC.0,
    },
    got_header: 0,
    got_plt_header: 3,
    got_base: Base::GotPlt,
    tls_bias: 0,
    plt_header_size: 16,
    plt_entry_size: 16,
    trap: &[0xcc], // int3
    nop: &[0x90],
};

/// A GOT load that can do without the GOT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GotLoad {
    /// `mov sym@GOTPCREL(%rip), %reg`, opcode 8b: becomes `lea sym(%rip), %reg`, opcode 8d.
    Move,
    /// `call *sym@GOTPCREL(%rip)`, ff 15: becomes `addr32 call sym`, 67 e8.
    Call,
    /// `jmp *sym@GOTPCREL(%rip)`, ff 25: becomes `jmp sym; nop`, e9 … 90.
    Jump,
}

/// The form of the instruction whose displacement stands at `offset` of `bytes`, if it can be rewritten
/// (psABI B.2: the addend must be −4, so that the displacement ends the instruction).
pub(crate) fn got_load(bytes: &[u8], offset: u64, addend: i64) -> Option<GotLoad> {
    if addend != -4 {
        return None;
    }
    let start = usize::try_from(offset).ok()?.checked_sub(2)?;
    match bytes.get(start..)?.get(..2)? {
        // The ModRM byte must say "displacement from %rip": mod 00, r/m 101.
        [0x8b, modrm] if modrm & 0xc7 == 0x05 => Some(GotLoad::Move),
        [0xff, 0x15] => Some(GotLoad::Call),
        [0xff, 0x25] => Some(GotLoad::Jump),
        _ => None,
    }
}

/// Rewrites a GOT load. `bytes` are the two bytes before the displacement and the four of it; `displacement` is
/// S + A − P with P the place of the displacement as it stands in the input. Returns `None` if `bytes` are not six.
pub(crate) fn relax_got_load(form: GotLoad, bytes: &mut [u8], displacement: i32) -> Option<()> {
    let [opcode, modrm, field @ ..] = bytes else { return None };
    let field: &mut [u8; 4] = field.try_into().ok()?;
    match form {
        GotLoad::Move => {
            *opcode = 0x8d;
            *field = displacement.to_le_bytes();
        }
        GotLoad::Call => {
            (*opcode, *modrm) = (0x67, 0xe8);
            *field = displacement.to_le_bytes();
        }
        GotLoad::Jump => {
            // The displacement moves one byte down, and the instruction ends one byte earlier.
            let [d0, d1, d2, d3] = displacement.wrapping_add(1).to_le_bytes();
            (*opcode, *modrm) = (0xe9, d0);
            *field = [d1, d2, d3, 0x90];
        }
    }
    Some(())
}

/// The PLT's first entry, which hands over to the loader's resolver.
pub(crate) fn plt_header(place: &PltPlace) -> [u8; 16] {
    let PltPlace { plt, got_plt, .. } = *place;
    let mut code = [
        0xff, 0x35, 0, 0, 0, 0, // push GOT+8(%rip): the link map
        0xff, 0x25, 0, 0, 0, 0, // jmp *GOT+16(%rip): the resolver
        0x0f, 0x1f, 0x40, 0x00, // nop
    ];
    put(&mut code, 2, distance(got_plt.wrapping_add(8), plt.wrapping_add(6)));
    put(&mut code, 8, distance(got_plt.wrapping_add(16), plt.wrapping_add(12)));
    code
}

/// A lazily bound PLT entry: jumps through its slot, which at first leads to the entry's second instruction.
pub(crate) fn plt_entry(place: &PltPlace, entry: &LazyEntry) -> [u8; 16] {
    let (plt, LazyEntry { address: entry, slot, index }) = (place.plt, *entry);
    let mut code = [
        0xff, 0x25, 0, 0, 0, 0, // jmp *slot(%rip)
        0x68, 0, 0, 0, 0, // push index
        0xe9, 0, 0, 0, 0, // jmp PLT header
    ];
    put(&mut code, 2, distance(slot, entry.wrapping_add(6)));
    put(&mut code, 7, index);
    put(&mut code, 12, distance(plt, entry.wrapping_add(16)));
    code
}

/// Offset in a PLT entry of the instruction its slot leads to before it is bound.
pub(crate) const PLT_LAZY_OFFSET: u64 = 6;

/// A PLT entry bound when the image is loaded: jumps through `slot` of the GOT.
pub(crate) fn plt_got_entry(entry: u64, slot: u64) -> [u8; 16] {
    let mut code = [
        0xff, 0x25, 0, 0, 0, 0, // jmp *slot(%rip)
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    ];
    put(&mut code, 2, distance(slot, entry.wrapping_add(6)));
    code
}

/// With `-z ibtplt`-style control-flow protection (psABI, *Program property*): every indirect branch target starts with
/// `endbr64`, so the lazy half of an entry stands in `.plt` and the half that is called in `.plt.sec`.
pub(crate) fn plt_ibt_entry(place: &PltPlace, entry: &LazyEntry) -> [u8; 16] {
    let (plt, LazyEntry { address: entry, index, .. }) = (place.plt, *entry);
    let mut code = [
        0xf3, 0x0f, 0x1e, 0xfa, // endbr64
        0x68, 0, 0, 0, 0, // push index
        0xe9, 0, 0, 0, 0, // jmp PLT header
        0x66, 0x90, // nop
    ];
    put(&mut code, 5, index);
    put(&mut code, 10, distance(plt, entry.wrapping_add(14)));
    code
}

/// The called half of a PLT entry under control-flow protection.
pub(crate) fn plt_sec_entry(entry: u64, slot: u64) -> [u8; 16] {
    let mut code = [
        0xf3, 0x0f, 0x1e, 0xfa, // endbr64
        0xff, 0x25, 0, 0, 0, 0, // jmp *slot(%rip)
        0x66, 0x0f, 0x1f, 0x44, 0, 0, // nop
    ];
    put(&mut code, 6, distance(slot, entry.wrapping_add(10)));
    code
}

/// The 32-bit distance from `from` to `to`. Tables of one image are laid out within reach of each other; layout checks it.
pub(super) fn distance(to: u64, from: u64) -> u32 {
    to.wrapping_sub(from) as u32
}

/// Stores a number of 32 bits in the code of an entry, `at` bytes from its start.
pub(super) fn put(code: &mut [u8; 16], at: usize, value: u32) {
    if let Some(field) = code.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}
