//! IA-32: the relocation kinds of the i386 psABI and the procedure linkage table.
//!
//! There is no addressing relative to the instruction, so position-independent code first finds out where it is (`call` to
//! the next instruction, `pop %ebx`, `add $_GLOBAL_OFFSET_TABLE_, %ebx`) and then reaches everything by its offset from the
//! GOT base, which `%ebx` holds: own data at `sym@GOTOFF(%ebx)`, slots at `sym@GOT(%ebx)`. Calls go straight, or through a PLT entry,
//! which expects `%ebx` to hold the GOT base, too. The GOT base is `.got.plt`.
//!
//! Addresses have 32 bits and wrap: a 32-bit field can hold any distance. Objects and images have `Elf32_Rel` tables, so
//! the addend is what the field holds.
//!
//! Source: System V Application Binary Interface, Intel386 Architecture Processor Supplement, version 1.0 and later:
//! table 4.9 (*Relocation Types*), 5.2 (PLT); for thread-local storage Ulrich Drepper, *ELF Handling For Thread-Local
//! Storage*, 3.4.2 and 4.4.2 (IA-32, GNU variant).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, LazyEntry, PltPlace};
use crate::reloc::{Field, Origin, Value, What};

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Field::{Any8, Any16, I8, Nothing, Word32};
    use Origin::{GotBase, Place, Zero};
    use What::{Got, Plt, Size, Symbol, TlsBlock, TlsDescriptor, TlsModule, TlsOffset, TlsPair, TlsStatic};
    Some(match elf::RelocationType(kind) {
        elf::R_386_NONE => (What::Nothing.from(Zero), Nothing),
        elf::R_386_32 => (Symbol.from(Zero), Word32),
        elf::R_386_16 => (Symbol.from(Zero), Any16),
        elf::R_386_8 => (Symbol.from(Zero), Any8),
        elf::R_386_PC32 => (Symbol.from(Place), Word32),
        // In 16-bit code, whose addresses wrap at 64 KiB.
        elf::R_386_PC16 => (Symbol.from(Place), Any16),
        elf::R_386_PC8 => (Symbol.from(Place), I8),
        elf::R_386_PLT32 => (Plt.from(Place), Word32),
        // The rewriting of GOT32X to a reference without a slot is optional, and is not done here.
        elf::R_386_GOT32 | elf::R_386_GOT32X => (Got.from(GotBase), Word32),
        elf::R_386_GOTOFF => (Symbol.from(GotBase), Word32),
        elf::R_386_GOTPC => (What::GotBase.from(Place), Word32),
        elf::R_386_SIZE32 => (Size.from(Zero), Word32),
        elf::R_386_TLS_GD => (TlsPair.from(GotBase), Word32),
        elf::R_386_TLS_LDM => (TlsModule.from(GotBase), Word32),
        elf::R_386_TLS_LDO_32 => (TlsBlock.from(Zero), Word32),
        elf::R_386_TLS_GOTIE => (TlsOffset.from(GotBase), Word32),
        // The slot's address itself: only code that knows where it will be loaded can hold it.
        elf::R_386_TLS_IE => (TlsOffset.from(Zero), Word32),
        elf::R_386_TLS_LE | elf::R_386_TLS_LE_32 => (TlsStatic.from(Zero), Word32),
        elf::R_386_TLS_GOTDESC => (TlsDescriptor.from(GotBase), Word32),
        // Marks the call through a descriptor, for linkers that rewrite it.
        elf::R_386_TLS_DESC_CALL => (What::Nothing.from(Zero), Nothing),
        _ => return None,
    })
}

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    const NAMES: [&str; 44] = [
        "NONE",
        "32",
        "PC32",
        "GOT32",
        "PLT32",
        "COPY",
        "GLOB_DAT",
        "JUMP_SLOT",
        "RELATIVE",
        "GOTOFF",
        "GOTPC",
        "32PLT",
        "",
        "",
        "TLS_TPOFF",
        "TLS_IE",
        "TLS_GOTIE",
        "TLS_LE",
        "TLS_GD",
        "TLS_LDM",
        "16",
        "PC16",
        "8",
        "PC8",
        "TLS_GD_32",
        "TLS_GD_PUSH",
        "TLS_GD_CALL",
        "TLS_GD_POP",
        "TLS_LDM_32",
        "TLS_LDM_PUSH",
        "TLS_LDM_CALL",
        "TLS_LDM_POP",
        "TLS_LDO_32",
        "TLS_IE_32",
        "TLS_LE_32",
        "TLS_DTPMOD32",
        "TLS_DTPOFF32",
        "TLS_TPOFF32",
        "SIZE32",
        "TLS_GOTDESC",
        "TLS_DESC_CALL",
        "TLS_DESC",
        "IRELATIVE",
        "GOT32X",
    ];
    match NAMES.get(kind as usize) {
        Some(name) if !name.is_empty() => format!("R_386_{name}"),
        _ => format!("number {kind}"),
    }
}

/// ELF images for this CPU.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_386,
    name: "i386",
    bfd_name: "elf32-i386",
    bits: Bits::B32,
    rela: false,
    page: 4096,
    dynamic: ElfDynamicKinds {
        relative: elf::R_386_RELATIVE.0,
        absolute: elf::R_386_32.0,
        got: elf::R_386_GLOB_DAT.0,
        plt: elf::R_386_JMP_SLOT.0,
        indirect: elf::R_386_IRELATIVE.0,
        tls_module: elf::R_386_TLS_DTPMOD32.0,
        tls_offset: elf::R_386_TLS_DTPOFF32.0,
        // The variant that is added to the thread pointer.
        tls_static: elf::R_386_TLS_TPOFF.0,
        tls_descriptor: elf::R_386_TLS_DESC.0,
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

/// The PLT's first entry, which hands over to the loader's resolver.
pub(crate) fn plt_header() -> [u8; 16] {
    [
        0xff, 0xb3, 4, 0, 0, 0, // push 4(%ebx): the link map
        0xff, 0xa3, 8, 0, 0, 0, // jmp *8(%ebx): the resolver
        0x0f, 0x1f, 0x40, 0x00, // nop
    ]
}

/// A lazily bound PLT entry: jumps through its slot, which at first leads to the entry's second instruction.
pub(crate) fn plt_entry(place: &PltPlace, entry: &LazyEntry) -> [u8; 16] {
    let mut code = [
        0xff, 0xa3, 0, 0, 0, 0, // jmp *slot@GOTOFF(%ebx)
        0x68, 0, 0, 0, 0, // push the offset of the slot's relocation
        0xe9, 0, 0, 0, 0, // jmp PLT header
    ];
    put(&mut code, 2, distance(entry.slot, place.got));
    put(&mut code, 7, entry.index.wrapping_mul(REL_SIZE));
    put(&mut code, 12, distance(place.plt, entry.address.wrapping_add(16)));
    code
}

/// Offset in a PLT entry of the instruction its slot leads to before it is bound.
pub(crate) const PLT_LAZY_OFFSET: u64 = 6;

/// A PLT entry bound when the image is loaded: jumps through `slot` of the GOT.
pub(crate) fn plt_got_entry(place: &PltPlace, slot: u64) -> [u8; 16] {
    let mut code = [
        0xff, 0xa3, 0, 0, 0, 0, // jmp *slot@GOTOFF(%ebx)
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    ];
    put(&mut code, 2, distance(slot, place.got));
    code
}

/// Size of an `Elf32_Rel`, in bytes.
const REL_SIZE: u32 = 8;

/// The distance from `from` to `to` in an address space of 32 bits.
fn distance(to: u64, from: u64) -> u32 {
    to.wrapping_sub(from) as u32
}

fn put(code: &mut [u8; 16], at: usize, value: u32) {
    if let Some(field) = code.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}
