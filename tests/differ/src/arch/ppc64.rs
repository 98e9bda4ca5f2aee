//! 64-bit PowerPC, ELFv2: relocations of object files (*64-Bit ELF V2 ABI Specification*, 3.5) and linkage stubs (4.2.5.3).

use object::elf::*;

use super::bits::{Form, WHOLE};
use super::{Bits, Exit, Field, StaticKind};
use crate::image::Image;

/// 16 bits: all of a value, its low part, its high part, and the high part that a signed low part is added to.
static HALF: Bits = Bits::whole(2, 16, &[(0, 16, 0)]);
static HALF_DS: Bits = Bits::whole(2, 16, &[(2, 14, 2)]);
static LOW: Bits = Bits::part(2, 0xffff, &[(0, 16, 0)]);
static LOW_DS: Bits = Bits::part(2, 0xffff, &[(2, 14, 2)]);
static HIGH: Bits = Bits { sign: 32, ..Bits::part(2, !0xffff, &[(0, 16, 16)]) };
static HIGH_ADJUSTED: Bits = Bits { round: 0x8000, sign: 32, ..Bits::part(2, !0xffff, &[(0, 16, 16)]) };
static HIGHER: Bits = Bits::part(2, 0xffff_0000_0000, &[(0, 16, 32)]);
static HIGHER_ADJUSTED: Bits = Bits { round: 0x8000, ..Bits::part(2, 0xffff_0000_0000, &[(0, 16, 32)]) };
static HIGHEST: Bits = Bits::part(2, WHOLE << 48, &[(0, 16, 48)]);
static HIGHEST_ADJUSTED: Bits = Bits { round: 0x8000, ..Bits::part(2, WHOLE << 48, &[(0, 16, 48)]) };
/// `bl`, `b`.
static BRANCH24: Bits = Bits::whole(4, 26, &[(2, 24, 2)]);
/// `bc`.
static BRANCH14: Bits = Bits::whole(4, 16, &[(2, 14, 2)]);
/// A prefixed instruction: 18 bits in the prefix, 16 in the instruction.
static PREFIXED: Bits = Bits { form: Form::Plain, ..Bits::whole(8, 34, &[(0, 18, 16), (32, 16, 0)]) };

/// Power10's relocations, which are not in every list of names.
const R_PPC64_REL24_NOTOC: RelocationType = RelocationType(116);
const R_PPC64_ENTRY: RelocationType = RelocationType(118);
const R_PPC64_PCREL_OPT: RelocationType = RelocationType(123);
const R_PPC64_PCREL34: RelocationType = RelocationType(132);
const R_PPC64_GOT_PCREL34: RelocationType = RelocationType(133);
const R_PPC64_TLSGD_PCREL34: RelocationType = RelocationType(148);
const R_PPC64_TPREL_PCREL34: RelocationType = RelocationType(150);

pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Bits as B, Either, Empty, Signed};
    table! { kind;
        R_PPC64_NONE: Empty, None, Zero;
        R_PPC64_TLS: Empty, None, Zero;
        R_PPC64_TLSGD: Empty, None, Zero;
        R_PPC64_TLSLD: Empty, None, Zero;
        R_PPC64_ENTRY: Empty, None, Zero;
        R_PPC64_PCREL_OPT: Empty, None, Zero;
        R_PPC64_ADDR64: Either(8), Symbol, Zero;
        R_PPC64_UADDR64: Either(8), Symbol, Zero;
        R_PPC64_ADDR32: Either(4), Symbol, Zero;
        R_PPC64_UADDR32: Either(4), Symbol, Zero;
        R_PPC64_REL64: Signed(8), Symbol, Place;
        R_PPC64_REL32: Signed(4), Symbol, Place;
        R_PPC64_TOC: Either(8), Got, Zero;
        R_PPC64_REL16: B(&HALF), Symbol, Place;
        R_PPC64_REL16_LO: B(&LOW), Symbol, Place;
        R_PPC64_REL16_HI: B(&HIGH), Symbol, Place;
        R_PPC64_REL16_HA: B(&HIGH_ADJUSTED), Symbol, Place;
        R_PPC64_ADDR16_HIGHER: B(&HIGHER), Symbol, Zero;
        R_PPC64_ADDR16_HIGHERA: B(&HIGHER_ADJUSTED), Symbol, Zero;
        R_PPC64_ADDR16_HIGHEST: B(&HIGHEST), Symbol, Zero;
        R_PPC64_ADDR16_HIGHESTA: B(&HIGHEST_ADJUSTED), Symbol, Zero;
        R_PPC64_REL24: B(&BRANCH24), Plt, Place;
        R_PPC64_REL24_NOTOC: B(&BRANCH24), Plt, Place;
        R_PPC64_REL14: B(&BRANCH14), Plt, Place;
        R_PPC64_REL14_BRTAKEN: B(&BRANCH14), Plt, Place;
        R_PPC64_REL14_BRNTAKEN: B(&BRANCH14), Plt, Place;
        R_PPC64_TOC16: B(&HALF), Symbol, Toc;
        R_PPC64_TOC16_LO: B(&LOW), Symbol, Toc;
        R_PPC64_TOC16_HI: B(&HIGH), Symbol, Toc;
        R_PPC64_TOC16_HA: B(&HIGH_ADJUSTED), Symbol, Toc;
        R_PPC64_TOC16_DS: B(&HALF_DS), Symbol, Toc;
        R_PPC64_TOC16_LO_DS: B(&LOW_DS), Symbol, Toc;
        R_PPC64_GOT16: B(&HALF), Slot, Toc;
        R_PPC64_GOT16_LO: B(&LOW), Slot, Toc;
        R_PPC64_GOT16_HI: B(&HIGH), Slot, Toc;
        R_PPC64_GOT16_HA: B(&HIGH_ADJUSTED), Slot, Toc;
        R_PPC64_GOT16_DS: B(&HALF_DS), Slot, Toc;
        R_PPC64_GOT16_LO_DS: B(&LOW_DS), Slot, Toc;
        R_PPC64_GOT_TLSGD16: B(&HALF), TlsPair, Toc;
        R_PPC64_GOT_TLSGD16_LO: B(&LOW), TlsPair, Toc;
        R_PPC64_GOT_TLSGD16_HI: B(&HIGH), TlsPair, Toc;
        R_PPC64_GOT_TLSGD16_HA: B(&HIGH_ADJUSTED), TlsPair, Toc;
        R_PPC64_GOT_TLSLD16: B(&HALF), TlsModule, Toc;
        R_PPC64_GOT_TLSLD16_LO: B(&LOW), TlsModule, Toc;
        R_PPC64_GOT_TLSLD16_HI: B(&HIGH), TlsModule, Toc;
        R_PPC64_GOT_TLSLD16_HA: B(&HIGH_ADJUSTED), TlsModule, Toc;
        R_PPC64_GOT_TPREL16_DS: B(&HALF_DS), ThreadSlot, Toc;
        R_PPC64_GOT_TPREL16_LO_DS: B(&LOW_DS), ThreadSlot, Toc;
        R_PPC64_GOT_TPREL16_HI: B(&HIGH), ThreadSlot, Toc;
        R_PPC64_GOT_TPREL16_HA: B(&HIGH_ADJUSTED), ThreadSlot, Toc;
        R_PPC64_GOT_DTPREL16_DS: B(&HALF_DS), TlsOffsetSlot, Toc;
        R_PPC64_GOT_DTPREL16_LO_DS: B(&LOW_DS), TlsOffsetSlot, Toc;
        R_PPC64_GOT_DTPREL16_HI: B(&HIGH), TlsOffsetSlot, Toc;
        R_PPC64_GOT_DTPREL16_HA: B(&HIGH_ADJUSTED), TlsOffsetSlot, Toc;
        R_PPC64_DTPREL16: B(&HALF), TlsOffset, Zero;
        R_PPC64_DTPREL16_LO: B(&LOW), TlsOffset, Zero;
        R_PPC64_DTPREL16_HI: B(&HIGH), TlsOffset, Zero;
        R_PPC64_DTPREL16_HA: B(&HIGH_ADJUSTED), TlsOffset, Zero;
        R_PPC64_DTPREL16_DS: B(&HALF_DS), TlsOffset, Zero;
        R_PPC64_DTPREL16_LO_DS: B(&LOW_DS), TlsOffset, Zero;
        R_PPC64_DTPREL64: Either(8), TlsOffset, Zero;
        R_PPC64_TPREL64: Either(8), ThreadOffset, Zero;
        R_PPC64_PCREL34: B(&PREFIXED), Symbol, Place;
        R_PPC64_GOT_PCREL34: B(&PREFIXED), Slot, Place;
        R_PPC64_TLSGD_PCREL34: B(&PREFIXED), TlsPair, Place;
        R_PPC64_TPREL_PCREL34: B(&PREFIXED), ThreadSlot, Place;
    }
}

/// Bytes from a function's global entry to its local one, which the upper 3 bits of `st_other` tell (ABI 3.4.1).
pub(crate) fn local_entry(other: u8) -> u64 {
    match other >> 5 {
        0 | 1 | 7 => 0,
        bits => 1 << bits,
    }
}

/// The instruction after a call, and what it becomes where the callee may change the TOC pointer: `nop`, `ld r2, 24(r1)`.
pub(crate) const NOP: u64 = 0x6000_0000;
pub(crate) const RESTORE_TOC: u64 = 0xe841_0018;

/// Follows `[std r2, 24(r1)]; [addis r12, r2, high;] ld r12, low(r12); mtctr r12; bctr` (a call through the PLT, or a long
/// branch), `addis r12, r2, high; addi r12, r12, low; mtctr r12; bctr`, `pld` or `paddi` in place of the first two, and `b`.
pub(super) fn exit(image: &Image<'_>, address: u64) -> Option<Exit> {
    let word = |at: u64| Some(image.file.unsigned(image.read(at, 4)?));
    let half = |code: u64| i64::from(code as u16 as i16);
    let mut at = address;
    if word(at)? == 0xf841_0018 {
        at = at.wrapping_add(4);
    }
    let code = word(at)?;
    if code & 0xfc00_0003 == 0x4800_0000 {
        return Some(Exit::To(at.wrapping_add_signed(BRANCH24.number(code))));
    }
    let toc = image.toc_base();
    let (place, loaded) = if code & 0xfff0_0000 == 0x0410_0000 || code & 0xfff0_0000 == 0x0610_0000 {
        let next = word(at.wrapping_add(4))?;
        let place = at.wrapping_add_signed(PREFIXED.number(next << 32 | code));
        at = at.wrapping_add(8);
        match (code >> 24, next >> 16) {
            (4, 0xe580) => (place, true),
            (6, 0x3980) => (place, false),
            _ => return None,
        }
    } else {
        let mut base = toc?;
        let mut register = 2;
        let mut load = code;
        at = at.wrapping_add(4);
        if code >> 16 == 0x3d82 {
            base = base.wrapping_add_signed(half(code) << 16);
            register = 12;
            load = word(at)?;
            at = at.wrapping_add(4);
        }
        let place = base.wrapping_add_signed(half(load));
        match load >> 16 {
            operation if operation == 0xe980 | register && load & 3 == 0 => (place, true),
            operation if operation == 0x3980 | register => (place, false),
            _ => return None,
        }
    };
    let leaves = word(at)? == 0x7d89_03a6 && word(at.wrapping_add(4))? == 0x4e80_0420;
    leaves.then_some(if loaded { Exit::Slot(place) } else { Exit::To(place) })
}
