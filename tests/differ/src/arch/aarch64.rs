//! AArch64: relocations of object files (*ELF for the Arm 64-bit Architecture*, "Relocation") and the code that linkers make.

use object::elf::*;

use super::bits::{Form, WHOLE};
use super::{Bits, Exit, Field, StaticKind};
use crate::image::Image;

/// `adrp`: immhi at 5, immlo at 29; the low 12 bits of the distance of pages are zero.
static PAGE: Bits =
    Bits { width: 4, pieces: &[(29, 2, 12), (5, 19, 14)], sign: 33, round: 0, part: !0xfff, form: Form::Plain };
/// `adr`.
static ADR: Bits = Bits::whole(4, 21, &[(29, 2, 0), (5, 19, 2)]);
/// `b`, `bl`.
static BRANCH26: Bits = Bits::whole(4, 28, &[(0, 26, 2)]);
/// `b.cond`, `cbz`, `ldr` of a literal.
static WORDS19: Bits = Bits::whole(4, 21, &[(5, 19, 2)]);
/// `tbz`.
static BRANCH14: Bits = Bits::whole(4, 16, &[(5, 14, 2)]);
/// `add` with an immediate; loads and stores of one byte.
static LOW12: Bits = Bits::part(4, 0xfff, &[(10, 12, 0)]);
/// `add` with an immediate shifted by 12.
static HIGH12: Bits = Bits::part(4, 0xff_f000, &[(10, 12, 12)]);
/// Loads and stores of 2, 4, 8 and 16 bytes count in those.
static LOW12_BY_2: Bits = Bits::part(4, 0xfff, &[(10, 12, 1)]);
static LOW12_BY_4: Bits = Bits::part(4, 0xfff, &[(10, 12, 2)]);
static LOW12_BY_8: Bits = Bits::part(4, 0xfff, &[(10, 12, 3)]);
static LOW12_BY_16: Bits = Bits::part(4, 0xfff, &[(10, 12, 4)]);
/// `ldr` at up to 32 KiB from the GOT's page.
static LOW15_BY_8: Bits = Bits::whole(4, 0, &[(10, 12, 3)]);
/// `movz`, `movk`.
static MOVE_0: Bits = Bits::part(4, 0xffff, &[(5, 16, 0)]);
static MOVE_1: Bits = Bits::part(4, 0xffff_0000, &[(5, 16, 16)]);
static MOVE_2: Bits = Bits::part(4, 0xffff_0000_0000, &[(5, 16, 32)]);
static MOVE_3: Bits =
    Bits { width: 4, pieces: &[(5, 16, 48)], sign: 0, round: 0, part: WHOLE << 48, form: Form::Plain };

pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Bits as B, Either, Empty, Signed};
    table! { kind;
        R_AARCH64_NONE: Empty, None, Zero;
        R_AARCH64_ABS64: Either(8), Symbol, Zero;
        R_AARCH64_ABS32: Either(4), Symbol, Zero;
        R_AARCH64_ABS16: Either(2), Symbol, Zero;
        R_AARCH64_PREL64: Signed(8), Symbol, Place;
        R_AARCH64_PREL32: Signed(4), Symbol, Place;
        R_AARCH64_PREL16: Signed(2), Symbol, Place;
        R_AARCH64_PLT32: Signed(4), Plt, Place;
        R_AARCH64_GOTPCREL32: Signed(4), Slot, Place;
        R_AARCH64_GOTREL64: Signed(8), Symbol, Got;
        R_AARCH64_GOTREL32: Signed(4), Symbol, Got;
        R_AARCH64_MOVW_UABS_G0: B(&MOVE_0), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G0_NC: B(&MOVE_0), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G1: B(&MOVE_1), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G1_NC: B(&MOVE_1), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G2: B(&MOVE_2), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G2_NC: B(&MOVE_2), Symbol, Zero;
        R_AARCH64_MOVW_UABS_G3: B(&MOVE_3), Symbol, Zero;
        R_AARCH64_MOVW_PREL_G0_NC: B(&MOVE_0), Symbol, Place;
        R_AARCH64_MOVW_PREL_G1_NC: B(&MOVE_1), Symbol, Place;
        R_AARCH64_MOVW_PREL_G2_NC: B(&MOVE_2), Symbol, Place;
        R_AARCH64_MOVW_PREL_G3: B(&MOVE_3), Symbol, Place;
        R_AARCH64_LD_PREL_LO19: B(&WORDS19), Symbol, Place;
        R_AARCH64_ADR_PREL_LO21: B(&ADR), Symbol, Place;
        R_AARCH64_ADR_PREL_PG_HI21: B(&PAGE), Symbol, Page;
        R_AARCH64_ADR_PREL_PG_HI21_NC: B(&PAGE), Symbol, Page;
        R_AARCH64_ADD_ABS_LO12_NC: B(&LOW12), Symbol, Zero;
        R_AARCH64_LDST8_ABS_LO12_NC: B(&LOW12), Symbol, Zero;
        R_AARCH64_LDST16_ABS_LO12_NC: B(&LOW12_BY_2), Symbol, Zero;
        R_AARCH64_LDST32_ABS_LO12_NC: B(&LOW12_BY_4), Symbol, Zero;
        R_AARCH64_LDST64_ABS_LO12_NC: B(&LOW12_BY_8), Symbol, Zero;
        R_AARCH64_LDST128_ABS_LO12_NC: B(&LOW12_BY_16), Symbol, Zero;
        R_AARCH64_TSTBR14: B(&BRANCH14), Plt, Place;
        R_AARCH64_CONDBR19: B(&WORDS19), Plt, Place;
        R_AARCH64_JUMP26: B(&BRANCH26), Plt, Place;
        R_AARCH64_CALL26: B(&BRANCH26), Plt, Place;
        R_AARCH64_GOT_LD_PREL19: B(&WORDS19), Slot, Place;
        R_AARCH64_ADR_GOT_PAGE: B(&PAGE), Slot, Page;
        R_AARCH64_LD64_GOT_LO12_NC: B(&LOW12_BY_8), Slot, Zero;
        R_AARCH64_LD64_GOTPAGE_LO15: B(&LOW15_BY_8), Slot, GotPage;
        R_AARCH64_LD64_GOTOFF_LO15: B(&LOW15_BY_8), Slot, Got;
        R_AARCH64_TLSGD_ADR_PREL21: B(&ADR), TlsPair, Place;
        R_AARCH64_TLSGD_ADR_PAGE21: B(&PAGE), TlsPair, Page;
        R_AARCH64_TLSGD_ADD_LO12_NC: B(&LOW12), TlsPair, Zero;
        R_AARCH64_TLSLD_ADR_PREL21: B(&ADR), TlsModule, Place;
        R_AARCH64_TLSLD_ADR_PAGE21: B(&PAGE), TlsModule, Page;
        R_AARCH64_TLSLD_ADD_LO12_NC: B(&LOW12), TlsModule, Zero;
        R_AARCH64_TLSLD_MOVW_DTPREL_G1: B(&MOVE_1), TlsOffset, Zero;
        R_AARCH64_TLSLD_MOVW_DTPREL_G1_NC: B(&MOVE_1), TlsOffset, Zero;
        R_AARCH64_TLSLD_MOVW_DTPREL_G0: B(&MOVE_0), TlsOffset, Zero;
        R_AARCH64_TLSLD_MOVW_DTPREL_G0_NC: B(&MOVE_0), TlsOffset, Zero;
        R_AARCH64_TLSLD_ADD_DTPREL_HI12: B(&HIGH12), TlsOffset, Zero;
        R_AARCH64_TLSLD_ADD_DTPREL_LO12: B(&LOW12), TlsOffset, Zero;
        R_AARCH64_TLSLD_ADD_DTPREL_LO12_NC: B(&LOW12), TlsOffset, Zero;
        R_AARCH64_TLSLD_LDST8_DTPREL_LO12_NC: B(&LOW12), TlsOffset, Zero;
        R_AARCH64_TLSLD_LDST16_DTPREL_LO12_NC: B(&LOW12_BY_2), TlsOffset, Zero;
        R_AARCH64_TLSLD_LDST32_DTPREL_LO12_NC: B(&LOW12_BY_4), TlsOffset, Zero;
        R_AARCH64_TLSLD_LDST64_DTPREL_LO12_NC: B(&LOW12_BY_8), TlsOffset, Zero;
        R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21: B(&PAGE), ThreadSlot, Page;
        R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC: B(&LOW12_BY_8), ThreadSlot, Zero;
        R_AARCH64_TLSIE_LD_GOTTPREL_PREL19: B(&WORDS19), ThreadSlot, Place;
        R_AARCH64_TLSDESC_LD_PREL19: B(&WORDS19), Descriptor, Place;
        R_AARCH64_TLSDESC_ADR_PREL21: B(&ADR), Descriptor, Place;
        R_AARCH64_TLSDESC_ADR_PAGE21: B(&PAGE), Descriptor, Page;
        R_AARCH64_TLSDESC_LD64_LO12: B(&LOW12_BY_8), Descriptor, Zero;
        R_AARCH64_TLSDESC_ADD_LO12: B(&LOW12), Descriptor, Zero;
        R_AARCH64_TLSDESC_LDR: Empty, DescriptorCall, Zero;
        R_AARCH64_TLSDESC_ADD: Empty, DescriptorCall, Zero;
        R_AARCH64_TLSDESC_CALL: Empty, DescriptorCall, Zero;
        R_AARCH64_TLS_DTPREL: Signed(8), TlsOffset, Zero;
    }
}

/// Follows `[bti c]; adrp x16, page; ldr x17, [x16, #low]; add x16, x16, #low; br x17` (PLT entry),
/// `adrp x16, page; add x16, x16, #low; br x16`, `ldr x16, =address; br x16` and `b` (thunks).
pub(super) fn exit(image: &Image<'_>, address: u64) -> Option<Exit> {
    let word = |index: u64| {
        let bytes = image.read(address.wrapping_add(4 * index), 4)?;
        Some(image.file.unsigned(bytes))
    };
    let mut first = 0;
    while word(first)? == 0xd503_245f {
        first += 1;
        if first > 1 {
            return None;
        }
    }
    let code = word(first)?;
    let place = address.wrapping_add(4 * first);
    if code & 0xfc00_0000 == 0x1400_0000 {
        return Some(Exit::To(place.wrapping_add_signed(BRANCH26.number(code))));
    }
    // ldr x16, 8; br x16; .xword
    if code == 0x5800_0050 && word(first + 1)? == 0xd61f_0200 {
        return Some(Exit::Slot(place.wrapping_add(8)));
    }
    if code & 0x9f00_001f != 0x9000_0010 {
        return None;
    }
    let page = (place & !0xfff).wrapping_add_signed(PAGE.number(code));
    let next = word(first + 1)?;
    let last = word(first + 2)?;
    if next & 0xffc0_03ff == 0xf940_0211 {
        let slot = page.wrapping_add_signed(LOW12_BY_8.number(next));
        // The loader's resolver gets the slot's address in x16.
        let add = LOW12.number(last) == (slot & 0xfff) as i64 && last & 0xffc0_03ff == 0x9100_0210;
        return (add && word(first + 3)? == 0xd61f_0220).then_some(Exit::Slot(slot));
    }
    if next & 0xffc0_03ff == 0x9100_0210 && last == 0xd61f_0200 {
        return Some(Exit::To(page.wrapping_add_signed(LOW12.number(next))));
    }
    None
}

/// The PLT's header: `[bti c]; stp x16, x30, [sp, #-16]!`, then as an entry that goes through the third word of the GOT.
pub(super) fn lazy_binding(image: &Image<'_>, entry: u64) -> Result<(), String> {
    let got = image.dynamic_value(DT_PLTGOT).unwrap_or_default();
    let is = |address: u64, code: u64| image.read(address, 4).is_some_and(|bytes| image.file.unsigned(bytes) == code);
    let start = if is(entry, 0xd503_245f) { entry.wrapping_add(4) } else { entry };
    let found = exit(image, start.wrapping_add(4));
    match is(start, 0xa9bf_7bf0) && found == Some(Exit::Slot(got.wrapping_add(16))) {
        true => Ok(()),
        false => Err(format!("{entry:#x}, which hands nothing to the loader")),
    }
}
