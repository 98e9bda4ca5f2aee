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

use super::x86_64::{distance, put};
use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, LazyEntry, PltPlace};
use crate::reloc::{Field, Origin, Reloc, Value, What};

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

/// Whether a slot is asked for by an instruction without a base register: `mov sym@GOT, %eax`. What stands there then is not
/// the slot's offset from the GOT base but its address (psABI 4.4, R_386_GOT32).
pub(crate) fn is_without_base(reloc: &Reloc, contents: &[u8]) -> bool {
    let kind = elf::RelocationType(reloc.kind);
    if kind != elf::R_386_GOT32 && kind != elf::R_386_GOT32X {
        return false;
    }
    // The ModRM byte in front of the displacement: mod 00 and r/m 101 stand for a displacement alone.
    let modrm = usize::try_from(reloc.offset).ok().and_then(|offset| contents.get(offset.checked_sub(1)?));
    modrm.is_some_and(|modrm| modrm & 0xc7 == 0x05)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    /// Each kind of the psABI's table 4.9 and of the TLS document's tables that an object may hold: its number, its formula
    /// in the letters of `crate::reloc`, its field.
    #[test]
    fn kinds_have_the_formulas_of_the_psabi() {
        let table = [
            (0, "Nothing Zero Nothing"),
            (1, "Symbol Zero Word32"),        // S + A
            (2, "Symbol Place Word32"),       // S + A - P
            (3, "Got GotBase Word32"),        // G + A
            (4, "Plt Place Word32"),          // L + A - P
            (9, "Symbol GotBase Word32"),     // S + A - GOT
            (10, "GotBase Place Word32"),     // GOT + A - P
            (15, "TlsOffset Zero Word32"),    // @indntpoff
            (16, "TlsOffset GotBase Word32"), // @gotntpoff
            (17, "TlsStatic Zero Word32"),    // @ntpoff
            (18, "TlsPair GotBase Word32"),   // @tlsgd
            (19, "TlsModule GotBase Word32"), // @tlsldm
            (20, "Symbol Zero Any16"),
            (21, "Symbol Place Any16"),
            (22, "Symbol Zero Any8"),
            (23, "Symbol Place I8"),
            (32, "TlsBlock Zero Word32"), // @dtpoff
            (34, "TlsStatic Zero Word32"),
            (38, "Size Zero Word32"),             // Z + A
            (39, "TlsDescriptor GotBase Word32"), // @tlsdesc
            (40, "Nothing Zero Nothing"),         // @tlscall
            (43, "Got GotBase Word32"),
        ];
        for kind in 0..64 {
            let known = elf_reloc(kind).map(|(value, field)| format!("{:?} {:?} {field:?}", value.what, value.from));
            let expected = table.iter().find(|(number, _)| *number == kind).map(|(_, formula)| (*formula).to_owned());
            assert_eq!(known, expected, "{}", elf_reloc_name(kind));
        }
    }

    #[test]
    fn names_are_the_psabis() {
        assert_eq!(elf_reloc_name(4), "R_386_PLT32");
        assert_eq!(elf_reloc_name(43), "R_386_GOT32X");
        assert_eq!(elf_reloc_name(12), "number 12");
        assert_eq!(elf_reloc_name(44), "number 44");
    }

    #[test]
    fn slots_without_a_base_register_are_noticed() {
        let reloc = |offset, kind| {
            let (value, field) = elf_reloc(kind).unwrap();
            Reloc { offset, symbol: 1, kind, value, field, addend: 0 }
        };
        let based = [0x8b, 0x83, 0, 0, 0, 0]; // mov sym@GOT(%ebx), %eax
        let plain = [0x8b, 0x05, 0, 0, 0, 0]; // mov sym@GOT, %eax
        assert!(!is_without_base(&reloc(2, 3), &based) && !is_without_base(&reloc(2, 43), &based));
        assert!(is_without_base(&reloc(2, 3), &plain) && is_without_base(&reloc(2, 43), &plain));
        assert!(!is_without_base(&reloc(2, 9), &plain));
        assert!(!is_without_base(&reloc(0, 3), &plain) && !is_without_base(&reloc(9, 3), &plain));
    }

    #[test]
    fn entries_lead_where_they_should() {
        let place = PltPlace { plt: 0x1000, got_plt: 0x3000, got: 0x3000 };
        let entry = plt_entry(&place, &LazyEntry { address: 0x1020, slot: 0x3010, index: 1 });
        assert_eq!(entry, [0xff, 0xa3, 0x10, 0, 0, 0, 0x68, 8, 0, 0, 0, 0xe9, 0xd0, 0xff, 0xff, 0xff]);
        // A slot of the GOT proper stands before the base.
        assert_eq!(plt_got_entry(&place, 0x2ffc)[..6], [0xff, 0xa3, 0xfc, 0xff, 0xff, 0xff]);
    }
}
