//! Code that the linker writes: PLT entries and thunks. Registers `x16` and `x17` are theirs to use.

use super::imm::Imm;
use crate::arch::{LazyEntry, PltPlace};

/// Size of the PLT's first entry, in bytes.
pub(crate) const PLT_HEADER_SIZE: u64 = 32;
/// Size of each further entry of the PLT, in bytes.
pub(crate) const PLT_ENTRY_SIZE: u64 = 16;

const BTI_C: u32 = 0xd503_245f;
const NOP: u32 = 0xd503_201f;

/// Size of each further entry of the PLT, in bytes, where entries must have landing pads or not.
pub(crate) const fn plt_entry_size(landing: bool) -> u64 {
    if landing { 24 } else { PLT_ENTRY_SIZE }
}

/// The PLT's first entry, which hands over to the loader's resolver: it finds the slot's address in `x16`, and saves it with
/// the return address for the resolver.
pub(crate) fn plt_header(place: &PltPlace, landing: bool) -> Vec<u8> {
    let resolver = place.got_plt.wrapping_add(16);
    let code = [
        0xa9bf_7bf0, // stp x16, x30, [sp, #-16]!
        0x9000_0010, // adrp x16, GOT+16: the resolver
        0xf940_0211, // ldr x17, [x16, :lo12:GOT+16]
        0x9100_0210, // add x16, x16, :lo12:GOT+16
        0xd61f_0220, // br x17
        NOP,
        NOP,
        NOP,
    ];
    let mut code = code.to_vec();
    if landing {
        code.insert(0, BTI_C);
        code.pop();
    }
    let at = if landing { 2 } else { 1 };
    load_slot(code, at, place.plt, resolver)
}

/// A lazily bound PLT entry: jumps through its slot, which at first leads to the PLT's first entry.
pub(crate) fn plt_entry(entry: &LazyEntry, landing: bool) -> Vec<u8> {
    plt_got_entry(entry.address, entry.slot, landing)
}

/// A PLT entry that jumps through `slot`.
pub(crate) fn plt_got_entry(address: u64, slot: u64, landing: bool) -> Vec<u8> {
    let jump = [
        0x9000_0010, // adrp x16, slot
        0xf940_0211, // ldr x17, [x16, :lo12:slot]
        0x9100_0210, // add x16, x16, :lo12:slot
        0xd61f_0220, // br x17
    ];
    let mut code = jump.to_vec();
    if landing {
        code.insert(0, BTI_C);
        code.push(NOP);
    }
    load_slot(code, usize::from(landing), address, slot)
}

/// Fills in the `adrp`, `ldr` and `add` at index `at` of code that stands at `address`.
fn load_slot(code: Vec<u32>, at: usize, address: u64, slot: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    let start = at.saturating_mul(4);
    let page = page_distance(slot, address.wrapping_add(start as u64));
    let offset = page_offset(slot);
    for (index, imm, value) in [(0, Imm::Adrp, page), (4, Imm::Load12 { shift: 3 }, offset), (8, Imm::Add12, offset)] {
        let place = bytes.get_mut(start.saturating_add(index)..).unwrap_or_default();
        // The templates are long enough.
        let _ = imm.store(place, value);
    }
    bytes
}

/// Size of a [`long_thunk`], in bytes.
pub(crate) const LONG_THUNK_SIZE: u64 = 12;

/// A thunk at `address` that jumps to `target`, ±4 GiB away; `None` if it is farther.
pub(crate) fn long_thunk(address: u64, target: u64) -> Option<Vec<u8>> {
    let code: [u32; 3] = [
        0x9000_0010, // adrp x16, target
        0x9100_0210, // add x16, x16, :lo12:target
        0xd61f_0200, // br x16
    ];
    let mut bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    let distance = page_distance(target, address);
    let (min, max) = Imm::Adrp.range();
    if !(min..=max).contains(&distance) {
        return None;
    }
    Imm::Adrp.store(&mut bytes, distance)?;
    Imm::Add12.store(bytes.get_mut(4..)?, page_offset(target))?;
    Some(bytes)
}

/// Size of a [`landing_pad`], in bytes.
pub(crate) const LANDING_PAD_SIZE: u64 = 8;

/// A landing pad at `address` for a function at `target`, ±128 MiB away, that has none; `None` if it is farther.
pub(crate) fn landing_pad(address: u64, target: u64) -> Option<Vec<u8>> {
    let code: [u32; 2] = [
        BTI_C,
        0x1400_0000, // b target
    ];
    let mut bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    let distance = target.wrapping_sub(address.wrapping_add(4)).cast_signed();
    let (min, max) = Imm::Branch26.range();
    if !(min..=max).contains(&distance) {
        return None;
    }
    Imm::Branch26.store(bytes.get_mut(4..)?, distance)?;
    Some(bytes)
}

/// Whether `br x16` may lead to an instruction in a guarded page: `bti c`, `bti j`, `bti jc`, `paciasp`, `pacibsp`
/// (DDI 0487, *PSTATE.BTYPE*).
pub(crate) fn is_landing_pad(instruction: u32) -> bool {
    const PACIASP: u32 = 0xd503_233f;
    const PACIBSP: u32 = 0xd503_237f;
    const BTI_J: u32 = 0xd503_249f;
    const BTI_JC: u32 = 0xd503_24df;
    matches!(instruction, BTI_C | BTI_J | BTI_JC | PACIASP | PACIBSP)
}

fn page_distance(to: u64, from: u64) -> i64 {
    (to & !0xfff).wrapping_sub(from & !0xfff).cast_signed()
}

fn page_offset(address: u64) -> i64 {
    (address & 0xfff).cast_signed()
}
