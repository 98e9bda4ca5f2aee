//! Arm of 32 bits: relocations of object files (*ELF for the Arm Architecture*, "Relocation") and the code that linkers make.
//!
//! Bit 0 of an address is the mode that the code there runs in: 1 is Thumb.

use object::elf::*;

use super::bits::Form;
use super::{Bits, Exit, Field, StaticKind};
use crate::image::Image;

/// `b`, `bl`, `blx` of Arm.
static BRANCH: Bits = Bits { form: Form::ArmBranch, ..Bits::whole(4, 26, &[]) };
/// `bl`, `blx`, `b.w` of Thumb.
static THUMB_BRANCH: Bits = Bits { form: Form::ThumbBranch, ..Bits::whole(4, 25, &[]) };
/// `b<cond>.w`.
static THUMB_CONDITIONAL: Bits = Bits { form: Form::ThumbConditional, ..Bits::whole(4, 21, &[]) };
/// `b.n` and `b<cond>.n`.
static THUMB_JUMP11: Bits = Bits { form: Form::ThumbToThumb, ..Bits::whole(2, 12, &[(0, 11, 1)]) };
static THUMB_JUMP8: Bits = Bits { form: Form::ThumbToThumb, ..Bits::whole(2, 9, &[(0, 8, 1)]) };
/// `movw`, `movt`.
static MOVW: Bits = Bits::part(4, 0xffff, &[(0, 12, 0), (16, 4, 12)]);
static MOVT: Bits = Bits::part(4, 0xffff_0000, &[(0, 12, 16), (16, 4, 28)]);
/// The same of Thumb; the first half-word is the lower one here.
static THUMB_MOVW: Bits = Bits::part(4, 0xffff, &[(16, 8, 0), (28, 3, 8), (10, 1, 11), (0, 4, 12)]);
static THUMB_MOVT: Bits = Bits::part(4, 0xffff_0000, &[(16, 8, 16), (28, 3, 24), (10, 1, 27), (0, 4, 28)]);
/// 31 bits of a distance, in the tables for unwinding; bit 31 is another field.
static DISTANCE31: Bits = Bits { form: Form::Table, ..Bits::whole(4, 31, &[(0, 31, 0)]) };

pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Bits as B, Either, Empty, Signed};
    table! { kind;
        R_ARM_NONE: Empty, None, Zero;
        R_ARM_V4BX: Empty, None, Zero;
        R_ARM_TLS_CALL: Empty, DescriptorCall, Zero;
        R_ARM_THM_TLS_CALL: Empty, DescriptorCall, Zero;
        R_ARM_TLS_DESCSEQ: Empty, DescriptorCall, Zero;
        R_ARM_THM_TLS_DESCSEQ16: Empty, DescriptorCall, Zero;
        R_ARM_ABS32: Either(4), Symbol, Zero;
        R_ARM_TARGET1: Either(4), Symbol, Zero;
        R_ARM_ABS16: Either(2), Symbol, Zero;
        R_ARM_ABS8: Either(1), Symbol, Zero;
        R_ARM_REL32: Signed(4), Symbol, Place;
        R_ARM_TARGET2: Signed(4), Slot, Place;
        R_ARM_PREL31: B(&DISTANCE31), Plt, Place;
        R_ARM_GOTOFF: Signed(4), Symbol, Got;
        R_ARM_GOTPC: Signed(4), Got, Place;
        R_ARM_GOT32: Signed(4), Slot, Got;
        R_ARM_GOT_PREL: Signed(4), Slot, Place;
        R_ARM_CALL: B(&BRANCH), Plt, Place;
        R_ARM_PLT32: B(&BRANCH), Plt, Place;
        R_ARM_PC24: B(&BRANCH), Plt, Place;
        R_ARM_JUMP24: B(&BRANCH), Plt, Place;
        R_ARM_THM_PC22: B(&THUMB_BRANCH), Plt, Place;
        R_ARM_THM_JUMP24: B(&THUMB_BRANCH), Plt, Place;
        R_ARM_THM_JUMP19: B(&THUMB_CONDITIONAL), Plt, Place;
        R_ARM_THM_PC11: B(&THUMB_JUMP11), Plt, Place;
        R_ARM_THM_PC9: B(&THUMB_JUMP8), Plt, Place;
        R_ARM_MOVW_ABS_NC: B(&MOVW), Symbol, Zero;
        R_ARM_MOVT_ABS: B(&MOVT), Symbol, Zero;
        R_ARM_MOVW_PREL_NC: B(&MOVW), Symbol, Place;
        R_ARM_MOVT_PREL: B(&MOVT), Symbol, Place;
        R_ARM_THM_MOVW_ABS_NC: B(&THUMB_MOVW), Symbol, Zero;
        R_ARM_THM_MOVT_ABS: B(&THUMB_MOVT), Symbol, Zero;
        R_ARM_THM_MOVW_PREL_NC: B(&THUMB_MOVW), Symbol, Place;
        R_ARM_THM_MOVT_PREL: B(&THUMB_MOVT), Symbol, Place;
        R_ARM_TLS_GD32: Signed(4), TlsPair, Place;
        R_ARM_TLS_LDM32: Signed(4), TlsModule, Place;
        R_ARM_TLS_LDO32: Signed(4), TlsOffset, Zero;
        R_ARM_TLS_IE32: Signed(4), ThreadSlot, Place;
        R_ARM_TLS_LE32: Signed(4), ThreadOffset, Zero;
        R_ARM_TLS_GOTDESC: Signed(4), Descriptor, Place;
    }
}

/// The constant of an Arm data instruction: 8 bits, rotated right by twice 4.
fn rotated(code: u64) -> u64 {
    u64::from(((code & 0xff) as u32).rotate_right(2 * (code >> 8 & 0xf) as u32))
}

/// Follows code that works out an address in ip (r12) and goes there, or loads pc: entries of the PLT and veneers. Runs a few
/// instructions of the kinds that linkers use, of either instruction set.
pub(super) fn exit(image: &Image<'_>, address: u64) -> Option<Exit> {
    let mut pc = address & 0xffff_ffff;
    let mut ip: Option<u64> = None;
    let wrap = |address: u64| address & 0xffff_ffff;
    for _ in 0..8 {
        let thumb = pc & 1 == 1;
        let place = pc & !1;
        if thumb {
            let code = image.file.unsigned(image.read(place, 2)?);
            let here = wrap(place + 4);
            match code {
                0x4778 => pc = here & !3,             // bx pc
                0x46c0 | 0xbf00 => pc = wrap(pc + 2), // nop
                0x44fc => {
                    ip = Some(wrap(ip? + here)); // add ip, pc
                    pc = wrap(pc + 2);
                }
                0x4760 => return Some(Exit::To(ip?)), // bx ip
                _ => {
                    let word = image.file.unsigned(image.read(place, 4)?);
                    if word & 0x8f00_fbf0 == 0x0c00_f240 {
                        ip = Some(THUMB_MOVW.number(word) as u64); // movw ip
                    } else if word & 0x8f00_fbf0 == 0x0c00_f2c0 {
                        ip = Some(ip? & 0xffff | THUMB_MOVT.number(word) as u64); // movt ip
                    } else if word & 0xd000_f800 == 0x9000_f000 {
                        // b.w
                        return Some(Exit::To(wrap(here.wrapping_add_signed(THUMB_BRANCH.number(word)))));
                    } else if word == 0xf000_f8dc {
                        return Some(Exit::Slot(ip?)); // ldr.w pc, [ip]
                    } else if word & 0xffff == 0xf8df && word >> 28 == 0xf {
                        return Some(Exit::Slot((here & !3) + (word >> 16 & 0xfff))); // ldr.w pc, [pc, #…]
                    } else {
                        return None;
                    }
                    pc = wrap(pc + 4);
                }
            }
            continue;
        }
        let code = image.file.unsigned(image.read(place, 4)?);
        let here = wrap(place + 8);
        match code >> 12 {
            0xe28fc => ip = Some(wrap(here + rotated(code))), // add ip, pc, #…
            0xe24fc => ip = Some(wrap(here.wrapping_sub(rotated(code)))), // sub ip, pc, #…
            0xe28cc => ip = Some(wrap(ip? + rotated(code))),  // add ip, ip, #…
            0xe59fc => {
                let bytes = image.read(here + (code & 0xfff), 4)?; // ldr ip, [pc, #…]
                ip = Some(image.file.unsigned(bytes));
            }
            0xe51fc => {
                let bytes = image.read(here.wrapping_sub(code & 0xfff), 4)?; // ldr ip, [pc, #-…]
                ip = Some(image.file.unsigned(bytes));
            }
            0xe08cc | 0xe08fc if code & 0xfff == 0xf || code & 0xfff == 0xc => ip = Some(wrap(ip? + here)), // add ip, ip, pc
            0xe5bcf | 0xe59cf => return Some(Exit::Slot(wrap(ip? + (code & 0xfff)))), // ldr pc, [ip, #…]{!}
            0xe53cf | 0xe51cf => return Some(Exit::Slot(wrap(ip?.wrapping_sub(code & 0xfff)))),
            0xe51ff => return Some(Exit::Slot(wrap(here.wrapping_sub(code & 0xfff)))), // ldr pc, [pc, #-…]
            0xe59ff => return Some(Exit::Slot(wrap(here + (code & 0xfff)))),
            0xe12ff if code & 0xfff == 0xf1c => return Some(Exit::To(ip?)), // bx ip
            _ if code & 0xfff0_f000 == 0xe300_c000 => ip = Some(MOVW.number(code) as u64), // movw ip
            _ if code & 0xfff0_f000 == 0xe340_c000 => ip = Some(ip? & 0xffff | MOVT.number(code) as u64), // movt ip
            _ if code >> 24 == 0xea => return Some(Exit::To(wrap(here.wrapping_add_signed(BRANCH.number(code))))), // b
            _ => return None,
        }
        pc = wrap(pc + 4);
    }
    None
}
