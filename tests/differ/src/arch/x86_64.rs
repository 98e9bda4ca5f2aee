//! x86-64: relocations of object files (psABI, table 4.9) and what linkers make of the code around them.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};
use object::elf::*;

use super::{Field, From, Relaxed, StaticKind, What};
use crate::image::Image;

/// The psABI's table of relocation types, without those that only dynamic tables hold.
pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Either, Empty, Signed, Unsigned};
    use From as F;
    use What as W;
    let (name, field, (what, from)) = match RelocationType(kind) {
        R_X86_64_NONE => ("R_X86_64_NONE", Empty, (W::None, F::Zero)),
        R_X86_64_64 => ("R_X86_64_64", Either(8), (W::Symbol, F::Zero)),
        R_X86_64_PC32 => ("R_X86_64_PC32", Signed(4), (W::Symbol, F::Place)),
        R_X86_64_GOT32 => ("R_X86_64_GOT32", Signed(4), (W::Slot, F::Got)),
        R_X86_64_PLT32 => ("R_X86_64_PLT32", Signed(4), (W::Plt, F::Place)),
        R_X86_64_GOTPCREL => ("R_X86_64_GOTPCREL", Signed(4), (W::Slot, F::Place)),
        R_X86_64_32 => ("R_X86_64_32", Unsigned(4), (W::Symbol, F::Zero)),
        R_X86_64_32S => ("R_X86_64_32S", Signed(4), (W::Symbol, F::Zero)),
        R_X86_64_16 => ("R_X86_64_16", Either(2), (W::Symbol, F::Zero)),
        R_X86_64_PC16 => ("R_X86_64_PC16", Signed(2), (W::Symbol, F::Place)),
        R_X86_64_8 => ("R_X86_64_8", Either(1), (W::Symbol, F::Zero)),
        R_X86_64_PC8 => ("R_X86_64_PC8", Signed(1), (W::Symbol, F::Place)),
        R_X86_64_DTPOFF64 => ("R_X86_64_DTPOFF64", Signed(8), (W::TlsOffset, F::Zero)),
        R_X86_64_TPOFF64 => ("R_X86_64_TPOFF64", Signed(8), (W::ThreadOffset, F::Zero)),
        R_X86_64_TLSGD => ("R_X86_64_TLSGD", Signed(4), (W::TlsPair, F::Place)),
        R_X86_64_TLSLD => ("R_X86_64_TLSLD", Signed(4), (W::TlsModule, F::Place)),
        R_X86_64_DTPOFF32 => ("R_X86_64_DTPOFF32", Signed(4), (W::TlsOffset, F::Zero)),
        R_X86_64_GOTTPOFF => ("R_X86_64_GOTTPOFF", Signed(4), (W::ThreadSlot, F::Place)),
        R_X86_64_TPOFF32 => ("R_X86_64_TPOFF32", Signed(4), (W::ThreadOffset, F::Zero)),
        R_X86_64_PC64 => ("R_X86_64_PC64", Signed(8), (W::Symbol, F::Place)),
        R_X86_64_GOTOFF64 => ("R_X86_64_GOTOFF64", Signed(8), (W::Symbol, F::Got)),
        R_X86_64_GOTPC32 => ("R_X86_64_GOTPC32", Signed(4), (W::Got, F::Place)),
        R_X86_64_GOT64 => ("R_X86_64_GOT64", Signed(8), (W::Slot, F::Got)),
        R_X86_64_GOTPCREL64 => ("R_X86_64_GOTPCREL64", Signed(8), (W::Slot, F::Place)),
        R_X86_64_GOTPC64 => ("R_X86_64_GOTPC64", Signed(8), (W::Got, F::Place)),
        R_X86_64_GOTPLT64 => ("R_X86_64_GOTPLT64", Signed(8), (W::Slot, F::Got)),
        R_X86_64_PLTOFF64 => ("R_X86_64_PLTOFF64", Signed(8), (W::Plt, F::Got)),
        R_X86_64_SIZE32 => ("R_X86_64_SIZE32", Unsigned(4), (W::Size, F::Zero)),
        R_X86_64_SIZE64 => ("R_X86_64_SIZE64", Either(8), (W::Size, F::Zero)),
        R_X86_64_GOTPC32_TLSDESC => ("R_X86_64_GOTPC32_TLSDESC", Signed(4), (W::Descriptor, F::Place)),
        R_X86_64_TLSDESC_CALL => ("R_X86_64_TLSDESC_CALL", Empty, (W::DescriptorCall, F::Zero)),
        R_X86_64_GOTPCRELX => ("R_X86_64_GOTPCRELX", Signed(4), (W::RelaxableSlot, F::Place)),
        R_X86_64_REX_GOTPCRELX => ("R_X86_64_REX_GOTPCRELX", Signed(4), (W::RelaxableSlot, F::Place)),
        R_X86_64_CODE_4_GOTPCRELX => ("R_X86_64_CODE_4_GOTPCRELX", Signed(4), (W::RelaxableSlot, F::Place)),
        R_X86_64_CODE_4_GOTTPOFF => ("R_X86_64_CODE_4_GOTTPOFF", Signed(4), (W::ThreadSlot, F::Place)),
        R_X86_64_CODE_4_GOTPC32_TLSDESC => ("R_X86_64_CODE_4_GOTPC32_TLSDESC", Signed(4), (W::Descriptor, F::Place)),
        _ => return None,
    };
    Some(StaticKind { name, field, what, from })
}

/// Decodes the instruction of `bytes` at `address`.
pub fn decode(bytes: &[u8], address: u64) -> Option<(Instruction, iced_x86::ConstantOffsets)> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then(|| (instruction, decoder.get_constant_offsets(&instruction)))
}

/// A PLT entry is `[endbr64] [push imm | mov imm, reg] [bnd] jmp *slot(%rip)`, in all linkers' forms.
pub(super) fn jump_slot(image: &Image<'_>, address: u64) -> Option<u64> {
    if image.segment_at(address)?.flags & PF_X.0 == 0 {
        return None;
    }
    let mut bytes = (8..=32).rev().find_map(|size| image.read(address, size))?;
    let mut address = address;
    for _ in 0..3 {
        let (instruction, _) = decode(bytes, address)?;
        match instruction.mnemonic() {
            Mnemonic::Endbr64 | Mnemonic::Nop => {}
            Mnemonic::Mov if instruction.op1_kind() != OpKind::Memory && instruction.op0_kind() == OpKind::Register => {
            }
            Mnemonic::Jmp if instruction.is_ip_rel_memory_operand() => {
                return Some(instruction.ip_rel_memory_address());
            }
            _ => return None,
        }
        bytes = bytes.get(instruction.len()..)?;
        address = instruction.next_ip();
    }
    None
}

/// Recognises the rewriting of the instruction whose 32-bit GOT displacement is at `field` of `input`, given the same bytes
/// of the output, which lie at `address`:
/// `mov foo@GOTPCREL(%rip), %reg` → `lea foo(%rip), %reg`; `call *foo@GOTPCREL(%rip)` → `addr32 call foo` or `call foo; nop`;
/// `jmp *foo@GOTPCREL(%rip)` → `jmp foo; nop` (psABI B.2, "Optimize GOTPCRELX Relocations").
/// `None` if the instruction was left alone or the output is no legal rewriting of it.
pub(super) fn relaxed(input: &[u8], output: &[u8], field: usize, address: u64) -> Option<Relaxed> {
    let before = input.get(field.checked_sub(2)?..field)?;
    let after = output.get(field - 2..field.checked_add(4)?)?;
    let displacement = |bytes: &[u8]| Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?)));
    let place = address.wrapping_add(field as u64);
    match (before, after) {
        // 8b /r → 8d /r
        ([0x8b, modrm], [0x8d, same, rest @ ..]) if modrm == same && modrm & 0xc7 == 0x05 => {
            let target = place.wrapping_add(4).wrapping_add_signed(displacement(rest)?);
            Some(Relaxed { target })
        }
        // ff 15 → 67 e8
        ([0xff, 0x15], [0x67, 0xe8, rest @ ..]) => {
            let target = place.wrapping_add(4).wrapping_add_signed(displacement(rest)?);
            Some(Relaxed { target })
        }
        // ff 15 → e8 …; 90
        ([0xff, 0x15], [0xe8, rest @ .., 0x90]) | ([0xff, 0x25], [0xe9, rest @ .., 0x90]) => {
            let target = place.wrapping_add(3).wrapping_add_signed(displacement(rest)?);
            Some(Relaxed { target })
        }
        _ => None,
    }
}

/// psABI, figure 5.2: `[endbr64] push $index; [bnd] jmp .PLT0`, and `.PLT0: push GOT+8(%rip); [bnd] jmp *GOT+16(%rip)`.
/// mold's header reads the index from a register that its entries set before they jump.
pub(super) fn lazy_binding(image: &Image<'_>, slot: u64, entry: u64, index: u64) -> Result<(), String> {
    let got = image.dynamic_value(DT_PLTGOT).unwrap_or_default();
    let code = instructions(image, entry, 4);
    let header = match &code[..] {
        [push, jump, ..] if is_push(push) && jump.mnemonic() == Mnemonic::Jmp => {
            if push.immediate(0) != index {
                return Err(format!("push of {}, not of {index}", push.immediate(0)));
            }
            jump.near_branch_target()
        }
        _ => {
            let sets_index = |address: u64| {
                let code = instructions(image, address, 2);
                matches!(&code[..], [set, jump, ..] if set.mnemonic() == Mnemonic::Mov
                    && set.op1_kind() == OpKind::Immediate32
                    && u64::from(set.immediate32()) == index
                    && jump.ip_rel_memory_address() == slot)
            };
            let plt = image.section_at(entry).filter(|section| section.address == entry);
            let mut entries = plt.into_iter().flat_map(|plt| (plt.address..plt.end()).step_by(16));
            if !entries.any(sets_index) {
                return Err(format!("{entry:#x}, which pushes no index"));
            }
            entry
        }
    };
    let code = instructions(image, header, 8);
    let second = |instruction: &&Instruction| {
        instruction.mnemonic() == Mnemonic::Push
            && instruction.is_ip_rel_memory_operand()
            && instruction.ip_rel_memory_address() == got.wrapping_add(8)
    };
    let third = |instruction: &&Instruction| {
        instruction.mnemonic() == Mnemonic::Jmp
            && instruction.is_ip_rel_memory_operand()
            && instruction.ip_rel_memory_address() == got.wrapping_add(16)
    };
    match code.iter().any(|one| second(&one)) && code.iter().any(|one| third(&one)) {
        true => Ok(()),
        false => Err(format!("{header:#x}, which hands nothing to the loader")),
    }
}

fn is_push(instruction: &Instruction) -> bool {
    let immediate = matches!(instruction.op0_kind(), OpKind::Immediate32to64 | OpKind::Immediate8to64);
    instruction.mnemonic() == Mnemonic::Push && immediate
}

/// Up to `count` instructions at `address`, without endbr64.
fn instructions(image: &Image<'_>, address: u64, count: usize) -> Vec<Instruction> {
    let Some(bytes) = (2..=64).rev().find_map(|size| image.read(address, size)) else { return Vec::new() };
    let decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let useful = |one: &Instruction| one.mnemonic() != Mnemonic::Endbr64;
    decoder.into_iter().take_while(|one| !one.is_invalid()).filter(useful).take(count).collect()
}

/// See [`super::references`]. Decoding that loses its way adds addresses that nothing refers to; they only shorten what is
/// compared at once.
pub(super) fn references(bytes: &[u8], address: u64, got: Option<u64>, anchors: &mut BTreeSet<u64>) {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_ip_rel_memory_operand() {
            anchors.insert(instruction.ip_rel_memory_address());
        }
        if instruction.op1_kind() == OpKind::Immediate64 {
            anchors.extend(got.map(|got| got.wrapping_add(instruction.immediate64())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::relaxed;

    /// The target of a rewriting at address 0x1000 whose field is the last four bytes.
    fn target(input: &[u8], output: &[u8]) -> Option<u64> {
        relaxed(input, output, input.len() - 4, 0x1000).map(|relaxed| relaxed.target)
    }

    #[test]
    fn loads_become_lea() {
        let load = [0x48, 0x8b, 0x05, 0, 0, 0, 0];
        assert_eq!(target(&load, &[0x48, 0x8d, 0x05, 0xf9, 0x0f, 0, 0]), Some(0x2000));
        // Another register; left alone; a binary operation, which has no form with lea.
        assert_eq!(target(&load, &[0x48, 0x8d, 0x0d, 0xf9, 0x0f, 0, 0]), None);
        assert_eq!(target(&load, &[0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0]), None);
        assert_eq!(target(&[0x48, 0x03, 0x05, 0, 0, 0, 0], &[0x48, 0x8d, 0x05, 0xf9, 0x0f, 0, 0]), None);
    }

    #[test]
    fn calls_become_direct() {
        let call = [0xff, 0x15, 0, 0, 0, 0];
        assert_eq!(target(&call, &[0x67, 0xe8, 0xfa, 0x0f, 0, 0]), Some(0x2000));
        assert_eq!(target(&call, &[0xe8, 0xfb, 0x0f, 0, 0, 0x90]), Some(0x2000));
        assert_eq!(target(&call, &[0xe8, 0xfb, 0x0f, 0, 0, 0xcc]), None);
    }

    #[test]
    fn jumps_become_direct() {
        let jump = [0xff, 0x25, 0, 0, 0, 0];
        assert_eq!(target(&jump, &[0xe9, 0xfb, 0x0f, 0, 0, 0x90]), Some(0x2000));
        assert_eq!(target(&jump, &[0xe8, 0xfb, 0x0f, 0, 0, 0x90]), None);
    }
}
