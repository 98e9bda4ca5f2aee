//! Code that the linker writes: PLT entries and veneers. Register `ip` (r12) is theirs to use (AAPCS32, 6.1.1).

use super::imm::Imm;
use crate::arch::{LazyEntry, PltPlace};

/// Size of the PLT's first entry, in bytes.
pub(crate) const PLT_HEADER_SIZE: u64 = 20;
/// Offset in the PLT's first entry of a word of data.
pub(crate) const PLT_HEADER_DATA: u64 = 16;
/// Size of each further entry of the PLT, in bytes.
pub(crate) const PLT_ENTRY_SIZE: u64 = 20;
/// Offset in a further entry of its Arm code, which calls go to. Before it stands the entrance for Thumb code.
pub(crate) const PLT_ARM_OFFSET: u64 = 4;

/// The entrance for Thumb code of the PLT entry whose Arm code is at `arm`, with bit 0 set.
pub(crate) fn thumb_entrance(arm: u64) -> u64 {
    arm.wrapping_sub(PLT_ARM_OFFSET) | 1
}

/// The PLT's first entry, which hands over to the loader's resolver: that expects `ip` to hold the address of the slot, `lr`
/// that of the resolver's own slot, GOT+8, and the return address on the stack.
pub(crate) fn plt_header(place: &PltPlace) -> Vec<u8> {
    // The program counter of the `add`.
    let pc = place.plt.wrapping_add(16);
    let words = [
        0xe52d_e004,                 // str lr, [sp, #-4]!
        0xe59f_e004,                 // ldr lr, 1f
        0xe08f_e00e,                 // add lr, pc, lr
        0xe5be_f008,                 // ldr pc, [lr, #8]!
        distance(place.got_plt, pc), // 1: .word GOT - pc
    ];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A lazily bound PLT entry: jumps through its slot, which at first leads to the PLT's first entry.
pub(crate) fn plt_entry(entry: &LazyEntry) -> Vec<u8> {
    plt_got_entry(entry.address, entry.slot)
}

/// A PLT entry at `address` that jumps through `slot`, and leaves its address in `ip`.
///
/// The distance is added in three parts of 8 bits, the last 12 bits by the load; any distance can be made so.
pub(crate) fn plt_got_entry(address: u64, slot: u64) -> Vec<u8> {
    let arm = address.wrapping_add(PLT_ARM_OFFSET);
    let far = distance(slot, arm.wrapping_add(8));
    let part = |shift: u32| far.checked_shr(shift).unwrap_or(0) & 0xff;
    let words = [
        0x46c0_4778,               // bx pc; nop: the word behind it, in Arm state
        0xe28f_c200 | far >> 28,   // add ip, pc, #distance & 0xf0000000
        0xe28c_c600 | part(20),    // add ip, ip, #distance & 0x0ff00000
        0xe28c_ca00 | part(12),    // add ip, ip, #distance & 0x000ff000
        0xe5bc_f000 | far & 0xfff, // ldr pc, [ip, #distance & 0xfff]!
    ];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Size of an [`arm_veneer`], in bytes.
pub(crate) const ARM_VENEER_SIZE: u64 = 16;

/// A veneer at `address` that goes from Arm code to `target`, whose bit 0 is its state.
pub(crate) fn arm_veneer(address: u64, target: u64) -> Option<Vec<u8>> {
    let words: [u32; 4] = [
        0xe300_c000, // movw ip, #:lower16:(target - pc)
        0xe340_c000, // movt ip, #:upper16:(target - pc)
        0xe08c_c00f, // add ip, ip, pc
        0xe12f_ff1c, // bx ip
    ];
    let mut code: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let far = i64::from(distance(target, address.wrapping_add(16)));
    Imm::Low16.store(&mut code, far)?;
    Imm::High16.store(code.get_mut(4..)?, far)?;
    Some(code)
}

/// Size of a [`thumb_veneer`], in bytes.
pub(crate) const THUMB_VENEER_SIZE: u64 = 12;

/// A veneer at `address` that goes from Thumb code to `target`, whose bit 0 is its state.
pub(crate) fn thumb_veneer(address: u64, target: u64) -> Option<Vec<u8>> {
    let halves: [u16; 6] = [
        0xf240, 0x0c00, // movw ip, #:lower16:(target - pc)
        0xf2c0, 0x0c00, // movt ip, #:upper16:(target - pc)
        0x44fc, // add ip, pc
        0x4760, // bx ip
    ];
    let mut code: Vec<u8> = halves.into_iter().flat_map(u16::to_le_bytes).collect();
    let far = i64::from(distance(target, address.wrapping_add(12)));
    Imm::ThumbLow16.store(&mut code, far)?;
    Imm::ThumbHigh16.store(code.get_mut(4..)?, far)?;
    Some(code)
}

/// The distance from `from` to `to` in an address space of 32 bits.
fn distance(to: u64, from: u64) -> u32 {
    let [b0, b1, b2, b3, ..] = to.wrapping_sub(from).to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn words(code: &[u8]) -> Vec<u32> {
        code.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    /// The address that `add ip, pc, …; add ip, ip, …; add ip, ip, …; ldr pc, [ip, …]!` at `address` loads from.
    fn loaded_from(code: &[u8], address: u64) -> u64 {
        let [a, b, c, d] = words(code)[1..] else { panic!("five words") };
        assert_eq!([a >> 12, b >> 12, c >> 12, d >> 12], [0xe28fc, 0xe28cc, 0xe28cc, 0xe5bcf]);
        let added = |code: u32| Imm::AddGroup(0).load(&code.to_le_bytes()).unwrap();
        let offset = added(a) + added(b) + added(c) + Imm::Load12(0).load(&d.to_le_bytes()).unwrap();
        u64::from((address + 12).wrapping_add_signed(offset) as u32)
    }

    #[test]
    fn the_header_loads_the_resolver() {
        let code = plt_header(&PltPlace { plt: 0x1_2340, got_plt: 0x3_0000, got: 0x3_0000 });
        assert_eq!(code.len() as u64, PLT_HEADER_SIZE);
        let word = words(&code)[4];
        // lr = pc + word, then pc = [lr + 8], with lr = GOT + 8 behind it.
        assert_eq!(0x1_2340 + 16 + u64::from(word), 0x3_0000);
    }

    #[test]
    fn veneers_have_their_sizes() {
        assert_eq!(arm_veneer(0x1000, 0x2001).unwrap().len() as u64, ARM_VENEER_SIZE);
        assert_eq!(thumb_veneer(0x1000, 0x2000).unwrap().len() as u64, THUMB_VENEER_SIZE);
        // movw ip, #0xff1: 0x2001 - 0x1010.
        assert_eq!(words(&arm_veneer(0x1000, 0x2001).unwrap()), [0xe300cff1, 0xe340c000, 0xe08cc00f, 0xe12fff1c]);
    }

    proptest! {
        #[test]
        fn entries_load_their_slot(address in any::<u32>(), slot in any::<u32>()) {
            let (address, slot) = (u64::from(address & !3), u64::from(slot & !3));
            let code = plt_got_entry(address, slot);
            prop_assert_eq!(code.len() as u64, PLT_ENTRY_SIZE);
            prop_assert_eq!(loaded_from(&code, address), slot);
        }

        #[test]
        fn veneers_lead_to_their_target(address in any::<u32>(), target in any::<u32>()) {
            let (address, to) = (u64::from(address & !3), u64::from(target));
            let half = |imm: Imm, code: &[u8]| imm.load(code).unwrap() as u32 & 0xffff;
            let code = arm_veneer(address, to).unwrap();
            let far = half(Imm::Low16, &code) | half(Imm::High16, &code[4..]) << 16;
            prop_assert_eq!((address as u32).wrapping_add(16).wrapping_add(far), target);
            let code = thumb_veneer(address, to).unwrap();
            let far = half(Imm::ThumbLow16, &code) | half(Imm::ThumbHigh16, &code[4..]) << 16;
            prop_assert_eq!((address as u32).wrapping_add(12).wrapping_add(far), target);
        }
    }
}
