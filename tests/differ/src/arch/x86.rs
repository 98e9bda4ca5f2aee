//! IA-32: relocations of object files (System V ABI, Intel386 supplement, "Relocation Types"; its TLS supplement) and PLT
//! entries.

use object::elf::*;

use super::{Field, From, StaticKind, What};
use crate::image::Image;

/// The psABI's table of relocation types, without those that only dynamic tables hold.
pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Either, Empty, Signed};
    use From as F;
    use What as W;
    let (name, field, (what, from)) = match RelocationType(kind) {
        R_386_NONE => ("R_386_NONE", Empty, (W::None, F::Zero)),
        R_386_32 => ("R_386_32", Either(4), (W::Symbol, F::Zero)),
        R_386_PC32 => ("R_386_PC32", Signed(4), (W::Symbol, F::Place)),
        R_386_GOT32 => ("R_386_GOT32", Signed(4), (W::Slot, F::Got)),
        R_386_GOT32X => ("R_386_GOT32X", Signed(4), (W::RelaxableSlot, F::Got)),
        R_386_PLT32 => ("R_386_PLT32", Signed(4), (W::Plt, F::Place)),
        R_386_GOTOFF => ("R_386_GOTOFF", Signed(4), (W::Symbol, F::Got)),
        R_386_GOTPC => ("R_386_GOTPC", Signed(4), (W::Got, F::Place)),
        R_386_16 => ("R_386_16", Either(2), (W::Symbol, F::Zero)),
        R_386_PC16 => ("R_386_PC16", Signed(2), (W::Symbol, F::Place)),
        R_386_8 => ("R_386_8", Either(1), (W::Symbol, F::Zero)),
        R_386_PC8 => ("R_386_PC8", Signed(1), (W::Symbol, F::Place)),
        R_386_SIZE32 => ("R_386_SIZE32", Either(4), (W::Size, F::Zero)),
        // The slot's address itself, and its distance from the GOT.
        R_386_TLS_IE => ("R_386_TLS_IE", Signed(4), (W::ThreadSlot, F::Zero)),
        R_386_TLS_GOTIE => ("R_386_TLS_GOTIE", Signed(4), (W::ThreadSlot, F::Got)),
        R_386_TLS_LE => ("R_386_TLS_LE", Signed(4), (W::ThreadOffset, F::Zero)),
        R_386_TLS_GD => ("R_386_TLS_GD", Signed(4), (W::TlsPair, F::Got)),
        R_386_TLS_LDM => ("R_386_TLS_LDM", Signed(4), (W::TlsModule, F::Got)),
        R_386_TLS_LDO_32 => ("R_386_TLS_LDO_32", Signed(4), (W::TlsOffset, F::Zero)),
        R_386_TLS_GOTDESC => ("R_386_TLS_GOTDESC", Signed(4), (W::Descriptor, F::Got)),
        R_386_TLS_DESC_CALL => ("R_386_TLS_DESC_CALL", Empty, (W::DescriptorCall, F::Zero)),
        _ => return None,
    };
    Some(StaticKind { name, field, what, from })
}

/// A PLT entry is `[endbr32] jmp *slot`, by its address or by its distance from the GOT, which is in %ebx.
pub(super) fn jump_slot(image: &Image<'_>, address: u64) -> Option<u64> {
    if image.segment_at(address)?.flags & PF_X.0 == 0 {
        return None;
    }
    let mut code = image.read(address, 6)?;
    if code.starts_with(&[0xf3, 0x0f, 0x1e, 0xfb]) {
        code = image.read(address.wrapping_add(4), 6)?;
    }
    let (opcode, operand) = code.split_at_checked(2)?;
    let operand = image.file.unsigned(operand);
    match opcode {
        [0xff, 0x25] => Some(operand),
        [0xff, 0xa3] => Some(image.got_base()?.wrapping_add(operand) & 0xffff_ffff),
        _ => None,
    }
}

/// `push $offset; jmp .PLT0`: the offset of the slot's relocation in DT_JMPREL, whose records have 8 bytes; `.PLT0` hands over
/// the second word of the GOT and jumps to the third.
pub(super) fn lazy_binding(image: &Image<'_>, entry: u64, index: u64) -> Result<(), String> {
    let nothing = || format!("{entry:#x}, which pushes no offset");
    let mut at = entry;
    let mut code = image.read(at, 10).ok_or_else(nothing)?;
    if code.starts_with(&[0xf3, 0x0f, 0x1e, 0xfb]) {
        at = at.wrapping_add(4);
        code = image.read(at, 10).ok_or_else(nothing)?;
    }
    let [0x68, push @ .., 0xe9, d0, d1, d2, d3] = code else { return Err(nothing()) };
    let pushed = image.file.unsigned(push);
    if pushed != 8 * index {
        return Err(format!("push of {pushed:#x}, not of {:#x}", 8 * index));
    }
    let distance = image.file.signed(&[*d0, *d1, *d2, *d3]);
    let header = at.wrapping_add(10).wrapping_add_signed(distance) & 0xffff_ffff;
    let header_code = image.read(header, 12).unwrap_or_default();
    match header_code {
        // push 4(%ebx); jmp *8(%ebx)
        [0xff, 0xb3, 4, 0, 0, 0, 0xff, 0xa3, 8, 0, 0, 0] => Ok(()),
        _ => Err(format!("{header:#x}, which hands nothing to the loader")),
    }
}
