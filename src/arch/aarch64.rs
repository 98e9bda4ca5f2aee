//! AArch64 (Arm, 64-bit): the relocation kinds of the ELF ABI, the fields of instructions, the procedure linkage table and
//! the thunks that carry branches farther.
//!
//! Instructions have 32 bits and lie at multiples of 4. No instruction holds an address, so one is put together from two:
//! `adrp x0, sym` gives the address of the 4 KiB *page* that `sym` lies in, as a distance of up to ±4 GiB from the page of the
//! instruction itself; then `add x0, x0, :lo12:sym`, or a load or a store with an offset, adds the low 12 bits. The second
//! half is the same for every place, which is why its relocation kinds never overflow. Loads and stores count their offset in
//! units of what they access, so the low bits must be zero. (The page is a unit of the instruction set; systems may map
//! pages of 4, 16 or 64 KiB, and images are laid out for the largest.)
//!
//! What another library defines is reached through a slot of the GOT (`adrp x0, :got:sym; ldr x0, [x0, :got_lo12:sym]`) and
//! called through the PLT: `bl` reaches ±128 MiB, and what the callee leaves alone does not include `x16` and `x17`, with
//! which an entry loads its slot. The same registers serve *thunks*: where a branch does not reach its target, it goes to one
//! nearby that does (see [`thunks`](crate::thunks)).
//!
//! The thread pointer (`tpidr_el0`) points at two words of the loader's, and the executable's thread-local block follows
//! ("variant I"). Code in shared libraries asks a *descriptor* for a variable's offset: two words in the GOT, of which the first
//! is a function that the loader chose (`ldr x1, [x0]; blr x1`). Descriptors are resolved when the image is loaded. The
//! older `__tls_get_addr` and the initial-exec model exist besides.
//!
//! Code that is compiled with branch target identification (BTI) runs in pages where indirect branches may lead to landing
//! pads only; an image is marked so (`GNU_PROPERTY_AARCH64_FEATURE_1_AND`) if all its objects are, and then its PLT entries
//! and thunks have to have landing pads, too.
//!
//! Source: *ELF for the Arm 64-bit Architecture (AArch64)*, IHI 0056, chapter 5.7 *Relocation*; *System V ABI for the Arm
//! 64-bit Architecture*, chapter *Program Loading and Dynamic Linking*; *Arm Architecture Reference Manual for A-profile*,
//! DDI 0487, chapter C6 for the encodings.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

pub(crate) mod erratum;
mod imm;
mod stubs;

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase, Reach, ThunkKind};
use crate::reloc::{Field, Origin, Value, What};
use crate::thunks::Branch;

pub(crate) use imm::{Imm, Move};
pub(crate) use stubs::{
    CODE_MARK, IMPORT_THUNK_SIZE, MOVED_PREFIX, Thunk, branch, import_thunk, is_landing_pad, plt_entry, plt_entry_size,
    plt_got_entry, plt_header,
};
use stubs::{PLT_ENTRY_SIZE, PLT_HEADER_SIZE};

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
///
/// The ABI lets PREL32 and PREL16 be read as signed or as unsigned numbers; here they are signed, as all their readers
/// take them: a distance of more than 2 GiB would be read as a negative one.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Field::{Any16, Any32, I16, I32, Nothing, U64};
    use Imm::{Add12, Add12High, Adr, Adrp, AdrpLow, Branch14, Branch26, Load15, Words19};
    use Origin::{GotBase, GotPage, Page, PageOffset, Place, Zero};
    use What::{Got, Plt, Symbol, TlsBlock, TlsDescriptor, TlsModule, TlsOffset, TlsPair, TlsStatic};
    let imm = |imm: Imm| Field::Aarch64(imm);
    let load = |shift: u8| Field::Aarch64(Imm::Load12 { shift });
    let unsigned = |part: u8| Field::Aarch64(Imm::Move { part, form: Move::Unsigned });
    let signed = |part: u8| Field::Aarch64(Imm::Move { part, form: Move::Signed });
    let part = |part: u8| Field::Aarch64(Imm::Move { part, form: Move::Part });
    Some(match elf::RelocationType(kind) {
        elf::R_AARCH64_NONE | WITHDRAWN_NONE => (What::Nothing.from(Zero), Nothing),

        // Data (table "Data relocations", "GOT-relative data relocations").
        elf::R_AARCH64_ABS64 => (Symbol.from(Zero), U64),
        elf::R_AARCH64_ABS32 => (Symbol.from(Zero), Any32),
        elf::R_AARCH64_ABS16 => (Symbol.from(Zero), Any16),
        elf::R_AARCH64_PREL64 => (Symbol.from(Place), U64),
        elf::R_AARCH64_PREL32 => (Symbol.from(Place), I32),
        elf::R_AARCH64_PREL16 => (Symbol.from(Place), I16),
        elf::R_AARCH64_PLT32 => (Plt.from(Place), I32),
        elf::R_AARCH64_GOTPCREL32 => (Got.from(Place), I32),
        elf::R_AARCH64_GOTREL64 => (Symbol.from(GotBase), U64),
        elf::R_AARCH64_GOTREL32 => (Symbol.from(GotBase), I32),

        // Parts of a number that a group of instructions puts together.
        elf::R_AARCH64_MOVW_UABS_G0 => (Symbol.from(Zero), unsigned(0)),
        elf::R_AARCH64_MOVW_UABS_G0_NC => (Symbol.from(Zero), part(0)),
        elf::R_AARCH64_MOVW_UABS_G1 => (Symbol.from(Zero), unsigned(1)),
        elf::R_AARCH64_MOVW_UABS_G1_NC => (Symbol.from(Zero), part(1)),
        elf::R_AARCH64_MOVW_UABS_G2 => (Symbol.from(Zero), unsigned(2)),
        elf::R_AARCH64_MOVW_UABS_G2_NC => (Symbol.from(Zero), part(2)),
        elf::R_AARCH64_MOVW_UABS_G3 => (Symbol.from(Zero), part(3)),
        elf::R_AARCH64_MOVW_SABS_G0 => (Symbol.from(Zero), signed(0)),
        elf::R_AARCH64_MOVW_SABS_G1 => (Symbol.from(Zero), signed(1)),
        elf::R_AARCH64_MOVW_SABS_G2 => (Symbol.from(Zero), signed(2)),
        elf::R_AARCH64_MOVW_PREL_G0 => (Symbol.from(Place), signed(0)),
        elf::R_AARCH64_MOVW_PREL_G0_NC => (Symbol.from(Place), part(0)),
        elf::R_AARCH64_MOVW_PREL_G1 => (Symbol.from(Place), signed(1)),
        elf::R_AARCH64_MOVW_PREL_G1_NC => (Symbol.from(Place), part(1)),
        elf::R_AARCH64_MOVW_PREL_G2 => (Symbol.from(Place), signed(2)),
        elf::R_AARCH64_MOVW_PREL_G2_NC => (Symbol.from(Place), part(2)),
        elf::R_AARCH64_MOVW_PREL_G3 => (Symbol.from(Place), signed(3)),
        elf::R_AARCH64_MOVW_GOTOFF_G0 => (Got.from(GotBase), signed(0)),
        elf::R_AARCH64_MOVW_GOTOFF_G0_NC => (Got.from(GotBase), part(0)),
        elf::R_AARCH64_MOVW_GOTOFF_G1 => (Got.from(GotBase), signed(1)),
        elf::R_AARCH64_MOVW_GOTOFF_G1_NC => (Got.from(GotBase), part(1)),
        elf::R_AARCH64_MOVW_GOTOFF_G2 => (Got.from(GotBase), signed(2)),
        elf::R_AARCH64_MOVW_GOTOFF_G2_NC => (Got.from(GotBase), part(2)),
        elf::R_AARCH64_MOVW_GOTOFF_G3 => (Got.from(GotBase), signed(3)),

        // Addresses.
        elf::R_AARCH64_LD_PREL_LO19 => (Symbol.from(Place), imm(Words19)),
        elf::R_AARCH64_ADR_PREL_LO21 => (Symbol.from(Place), imm(Adr)),
        elf::R_AARCH64_ADR_PREL_PG_HI21 => (Symbol.from(Page), imm(Adrp)),
        elf::R_AARCH64_ADR_PREL_PG_HI21_NC => (Symbol.from(Page), imm(AdrpLow)),
        elf::R_AARCH64_ADD_ABS_LO12_NC => (Symbol.from(PageOffset), imm(Add12)),
        elf::R_AARCH64_LDST8_ABS_LO12_NC => (Symbol.from(PageOffset), load(0)),
        elf::R_AARCH64_LDST16_ABS_LO12_NC => (Symbol.from(PageOffset), load(1)),
        elf::R_AARCH64_LDST32_ABS_LO12_NC => (Symbol.from(PageOffset), load(2)),
        elf::R_AARCH64_LDST64_ABS_LO12_NC => (Symbol.from(PageOffset), load(3)),
        elf::R_AARCH64_LDST128_ABS_LO12_NC => (Symbol.from(PageOffset), load(4)),

        // Branches: to another library they go through the PLT.
        elf::R_AARCH64_TSTBR14 => (Plt.from(Place), imm(Branch14)),
        elf::R_AARCH64_CONDBR19 => (Plt.from(Place), imm(Words19)),
        elf::R_AARCH64_JUMP26 | elf::R_AARCH64_CALL26 => (Plt.from(Place), imm(Branch26)),

        // Slots of the GOT.
        elf::R_AARCH64_GOT_LD_PREL19 => (Got.from(Place), imm(Words19)),
        elf::R_AARCH64_LD64_GOTOFF_LO15 => (Got.from(GotBase), imm(Load15)),
        elf::R_AARCH64_ADR_GOT_PAGE => (Got.from(Page), imm(Adrp)),
        elf::R_AARCH64_LD64_GOT_LO12_NC => (Got.from(PageOffset), load(3)),
        elf::R_AARCH64_LD64_GOTPAGE_LO15 => (Got.from(GotPage), imm(Load15)),

        // General dynamic thread-local storage: `__tls_get_addr` of a pair.
        elf::R_AARCH64_TLSGD_ADR_PREL21 => (TlsPair.from(Place), imm(Adr)),
        elf::R_AARCH64_TLSGD_ADR_PAGE21 => (TlsPair.from(Page), imm(Adrp)),
        elf::R_AARCH64_TLSGD_ADD_LO12_NC => (TlsPair.from(PageOffset), imm(Add12)),
        elf::R_AARCH64_TLSGD_MOVW_G1 => (TlsPair.from(GotBase), signed(1)),
        elf::R_AARCH64_TLSGD_MOVW_G0_NC => (TlsPair.from(GotBase), part(0)),

        // Local dynamic: the same of the image's own pair, then offsets in its block.
        elf::R_AARCH64_TLSLD_ADR_PREL21 => (TlsModule.from(Place), imm(Adr)),
        elf::R_AARCH64_TLSLD_ADR_PAGE21 => (TlsModule.from(Page), imm(Adrp)),
        elf::R_AARCH64_TLSLD_ADD_LO12_NC => (TlsModule.from(PageOffset), imm(Add12)),
        elf::R_AARCH64_TLSLD_MOVW_G1 => (TlsModule.from(GotBase), signed(1)),
        elf::R_AARCH64_TLSLD_MOVW_G0_NC => (TlsModule.from(GotBase), part(0)),
        elf::R_AARCH64_TLSLD_LD_PREL19 => (TlsModule.from(Place), imm(Words19)),
        elf::R_AARCH64_TLSLD_MOVW_DTPREL_G2 => (TlsBlock.from(Zero), signed(2)),
        elf::R_AARCH64_TLSLD_MOVW_DTPREL_G1 => (TlsBlock.from(Zero), signed(1)),
        elf::R_AARCH64_TLSLD_MOVW_DTPREL_G1_NC => (TlsBlock.from(Zero), part(1)),
        elf::R_AARCH64_TLSLD_MOVW_DTPREL_G0 => (TlsBlock.from(Zero), signed(0)),
        elf::R_AARCH64_TLSLD_MOVW_DTPREL_G0_NC => (TlsBlock.from(Zero), part(0)),
        elf::R_AARCH64_TLSLD_ADD_DTPREL_HI12 => (TlsBlock.from(Zero), imm(Add12High)),
        elf::R_AARCH64_TLSLD_ADD_DTPREL_LO12 => (TlsBlock.from(Zero), imm(Add12)),
        elf::R_AARCH64_TLSLD_ADD_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), imm(Add12)),
        elf::R_AARCH64_TLSLD_LDST8_DTPREL_LO12 => (TlsBlock.from(Zero), load(0)),
        elf::R_AARCH64_TLSLD_LDST8_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), load(0)),
        elf::R_AARCH64_TLSLD_LDST16_DTPREL_LO12 => (TlsBlock.from(Zero), load(1)),
        elf::R_AARCH64_TLSLD_LDST16_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), load(1)),
        elf::R_AARCH64_TLSLD_LDST32_DTPREL_LO12 => (TlsBlock.from(Zero), load(2)),
        elf::R_AARCH64_TLSLD_LDST32_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), load(2)),
        elf::R_AARCH64_TLSLD_LDST64_DTPREL_LO12 => (TlsBlock.from(Zero), load(3)),
        elf::R_AARCH64_TLSLD_LDST64_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), load(3)),
        elf::R_AARCH64_TLSLD_LDST128_DTPREL_LO12 => (TlsBlock.from(Zero), load(4)),
        elf::R_AARCH64_TLSLD_LDST128_DTPREL_LO12_NC => (TlsBlock.from(PageOffset), load(4)),
        // A loader's kind by its number, which compilers use in debug information.
        elf::R_AARCH64_TLS_DTPREL => (TlsBlock.from(Zero), U64),

        // Initial exec: a slot with the offset from the thread pointer.
        elf::R_AARCH64_TLSIE_MOVW_GOTTPREL_G1 => (TlsOffset.from(GotBase), signed(1)),
        elf::R_AARCH64_TLSIE_MOVW_GOTTPREL_G0_NC => (TlsOffset.from(GotBase), part(0)),
        elf::R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21 => (TlsOffset.from(Page), imm(Adrp)),
        elf::R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC => (TlsOffset.from(PageOffset), load(3)),
        elf::R_AARCH64_TLSIE_LD_GOTTPREL_PREL19 => (TlsOffset.from(Place), imm(Words19)),

        // Local exec: refused in shared libraries, whatever the field.
        elf::R_AARCH64_TLSLE_LDST128_TPREL_LO12 | elf::R_AARCH64_TLSLE_LDST128_TPREL_LO12_NC => {
            (TlsStatic.from(Zero), load(4))
        }
        _ if (elf::R_AARCH64_TLSLE_MOVW_TPREL_G2.0..=elf::R_AARCH64_TLSLE_LDST64_TPREL_LO12_NC.0).contains(&kind) => {
            (TlsStatic.from(Zero), imm(Add12))
        }

        // Descriptors.
        elf::R_AARCH64_TLSDESC_LD_PREL19 => (TlsDescriptor.from(Place), imm(Words19)),
        elf::R_AARCH64_TLSDESC_ADR_PREL21 => (TlsDescriptor.from(Place), imm(Adr)),
        elf::R_AARCH64_TLSDESC_ADR_PAGE21 => (TlsDescriptor.from(Page), imm(Adrp)),
        elf::R_AARCH64_TLSDESC_LD64_LO12 => (TlsDescriptor.from(PageOffset), load(3)),
        elf::R_AARCH64_TLSDESC_ADD_LO12 => (TlsDescriptor.from(PageOffset), imm(Add12)),
        elf::R_AARCH64_TLSDESC_OFF_G1 => (TlsDescriptor.from(GotBase), signed(1)),
        elf::R_AARCH64_TLSDESC_OFF_G0_NC => (TlsDescriptor.from(GotBase), part(0)),
        // Marks of the instructions of one access, for linkers that rewrite it.
        elf::R_AARCH64_TLSDESC_LDR | elf::R_AARCH64_TLSDESC_ADD | elf::R_AARCH64_TLSDESC_CALL => {
            (What::Nothing.from(Zero), Nothing)
        }
        _ => return None,
    })
}

/// 256 was R_AARCH64_NONE in drafts of the ABI.
const WITHDRAWN_NONE: elf::RelocationType = elf::RelocationType(256);

/// The kinds of the *PAuth ABI Extension to ELF* for objects (`R_AARCH64_AUTH_…`): what they fill in is signed by the
/// loader.
const AUTHENTICATED: std::ops::RangeInclusive<u32> = 0x244..=0x25c;

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    match elf::NAMES_R_AARCH64.name(elf::RelocationType(kind)) {
        _ if AUTHENTICATED.contains(&kind) => format!("R_AARCH64_AUTH number {kind}"),
        Some(name) => name.to_owned(),
        None => format!("number {kind}"),
    }
}

/// Why a relocation kind that [`elf_reloc`] does not know cannot be linked, where there is a reason to tell.
pub(crate) fn elf_reloc_refusal(kind: u32) -> Option<&'static str> {
    AUTHENTICATED.contains(&kind).then_some(
        "signed pointers of the PAuth ABI need a loader that signs them, which no supported system has; compile for the standard ABI (not arm64e or pauthtest)",
    )
}

/// How far `b` and `bl` reach. (Conditional branches stay within their section.)
pub(crate) const REACH: Reach = Reach { bytes: 128 << 20, spacing: 96 << 20, always: false };

/// `ldr xT, [xN, #…]`, which loads an address from the GOT, rewritten as `add xT, xN, #…`, which computes it.
pub(crate) fn load_to_add(instruction: [u8; 4]) -> [u8; 4] {
    // ldr (immediate, unsigned offset): 11 111 0 01 01 imm12 Rn Rt; add (immediate): 1 0 0 100010 0 imm12 Rn Rd.
    (u32::from_le_bytes(instruction) & 0x3ff | 0x9100_0000).to_le_bytes()
}

/// The thunk that a branch needs.
pub(crate) fn thunk_for(branch: &Branch) -> Option<ThunkKind> {
    let (min, max) = Imm::Branch26.range();
    let distance = branch.target.wrapping_sub(branch.place).cast_signed();
    (branch.field == Field::Aarch64(Imm::Branch26) && !(min..=max).contains(&distance))
        .then_some(ThunkKind::Aarch64(Thunk::Long))
}

/// ELF images for this CPU.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_AARCH64,
    name: "AArch64",
    bfd_name: "elf64-littleaarch64",
    bits: Bits::B64,
    rela: true,
    page: 1 << 16,
    dynamic: ElfDynamicKinds {
        relative: elf::R_AARCH64_RELATIVE.0,
        absolute: elf::R_AARCH64_ABS64.0,
        got: elf::R_AARCH64_GLOB_DAT.0,
        plt: elf::R_AARCH64_JUMP_SLOT.0,
        indirect: elf::R_AARCH64_IRELATIVE.0,
        tls_module: elf::R_AARCH64_TLS_DTPMOD.0,
        tls_offset: elf::R_AARCH64_TLS_DTPREL.0,
        tls_static: elf::R_AARCH64_TLS_TPREL.0,
        tls_descriptor: elf::R_AARCH64_TLSDESC.0,
    },
    got_header: 0,
    got_plt_header: 3,
    got_base: GotBase::Got(0),
    tls_bias: 0,
    plt_header_size: PLT_HEADER_SIZE,
    plt_entry_size: PLT_ENTRY_SIZE,
    trap: &[0, 0, 0, 0],            // udf #0
    nop: &[0x1f, 0x20, 0x03, 0xd5], // nop
};
