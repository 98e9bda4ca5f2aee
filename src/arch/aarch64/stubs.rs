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

/// Size of code that jumps to an import of a Windows image, in bytes.
pub(crate) const IMPORT_THUNK_SIZE: u64 = 12;

/// Code at `address` that jumps to where `slot`, at a multiple of 8, points, for Windows.
pub(crate) fn import_thunk(address: u64, slot: u64) -> Vec<u8> {
    let code: [u32; 3] = [
        0x9000_0010, // adrp x16, slot
        0xf940_0210, // ldr x16, [x16, :lo12:slot]
        0xd61f_0200, // br x16
    ];
    let mut bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
    // Images end before the page could be too far.
    let _ = Imm::Adrp.store(&mut bytes, page_distance(slot, address));
    let _ = Imm::Load12 { shift: 3 }.store(bytes.get_mut(4..).unwrap_or_default(), page_offset(slot));
    bytes
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

/// The kinds of thunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thunk {
    /// Goes on to the target.
    Long,
    /// Goes on to the target's landing pad.
    LongToPad,
    /// A landing pad near a function that has none.
    Pad,
}

impl Thunk {
    /// Size in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Long | Self::LongToPad => 12,
            Self::Pad => 8,
        }
    }

    /// How far it can lead, in bytes.
    pub(crate) fn reach(self) -> u64 {
        match self {
            Self::Long | Self::LongToPad => 1 << 32,
            Self::Pad => 1 << 27,
        }
    }

    /// What the names of its symbols start with.
    pub(crate) fn symbol_prefix(self) -> &'static str {
        match self {
            Self::Long | Self::LongToPad => "__AArch64ADRPThunk_",
            Self::Pad => "__AArch64BTIThunk_",
        }
    }

    /// The code of a thunk at `address` that goes on to `target`; `None` if that is too far.
    pub(crate) fn code(self, address: u64, target: u64) -> Option<Vec<u8>> {
        match self {
            Self::Long | Self::LongToPad => {
                let code: [u32; 3] = [
                    0x9000_0010, // adrp x16, target
                    0x9100_0210, // add x16, x16, :lo12:target
                    0xd61f_0200, // br x16
                ];
                let mut bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
                put(Imm::Adrp, &mut bytes, page_distance(target, address))?;
                put(Imm::Add12, bytes.get_mut(4..)?, page_offset(target))?;
                Some(bytes)
            }
            Self::Pad => {
                let mut bytes = BTI_C.to_le_bytes().to_vec();
                bytes.extend(branch(address.wrapping_add(4), target)?);
                Some(bytes)
            }
        }
    }
}

/// What the names of symbols start with that instructions get which have moved because of erratum 843419, as LLD names them.
pub(crate) const MOVED_PREFIX: &str = "__CortexA53843419_";
/// The symbol that marks code (ELF for the Arm 64-bit Architecture, *Mapping symbols*).
pub(crate) const CODE_MARK: &str = "$x";

/// A branch at `address` to a place; `None` if that is too far.
pub(crate) fn branch(address: u64, to: u64) -> Option<[u8; 4]> {
    let mut bytes = 0x1400_0000_u32.to_le_bytes(); // b to
    put(Imm::Branch26, &mut bytes, to.wrapping_sub(address).cast_signed())?;
    Some(bytes)
}

/// Stores a number if it fits.
fn put(imm: Imm, bytes: &mut [u8], value: i64) -> Option<()> {
    let (min, max) = imm.range();
    let fits = (min..=max).contains(&value) && value & imm.step().wrapping_sub(1) == 0;
    if fits { imm.store(bytes, value) } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    const PLACE: PltPlace = PltPlace { plt: 0x1_0ff8, got_plt: 0x3_4ff0, got: 0x3_0000 };

    /// Source of the bytes: `llvm-mc --triple=aarch64 --show-encoding` of the text in the margin.
    #[test]
    fn entries_load_their_slots() {
        // The `adrp` of the first entry stands at 0x10ffc, on the page before the entry's other instructions.
        let expected = [
            0xa9bf_7bf0, // stp x16, x30, [sp, #-16]!
            0xb000_0130, // adrp x16, #0x25000
            0xf940_0211, // ldr x17, [x16]
            0x9100_0210, // add x16, x16, #0
            0xd61f_0220, // br x17
            NOP,
            NOP,
            NOP,
        ];
        assert_eq!(words(&plt_header(&PLACE, false)), expected);
        let expected = [
            BTI_C,
            0xa9bf_7bf0, // stp x16, x30, [sp, #-16]!
            0x9000_0130, // adrp x16, #0x24000
            0xf940_0211, // ldr x17, [x16]
            0x9100_0210, // add x16, x16, #0
            0xd61f_0220, // br x17
            NOP,
            NOP,
        ];
        assert_eq!(words(&plt_header(&PLACE, true)), expected);

        let entry = LazyEntry { address: 0x1_1018, slot: 0x3_4ff8, index: 0 };
        let expected = [
            0xf000_0110, // adrp x16, #0x23000
            0xf947_fe11, // ldr x17, [x16, #0xff8]
            0x913f_e210, // add x16, x16, #0xff8
            0xd61f_0220, // br x17
        ];
        assert_eq!(words(&plt_entry(&entry, false)), expected);
        assert_eq!(words(&plt_entry(&entry, true)), [&[BTI_C][..], &expected, &[NOP]].concat());
        // Backwards.
        let expected = [
            0xf0ff_fff0, // adrp x16, #-0x1000
            0xf940_0611, // ldr x17, [x16, #8]
            0x9100_2210, // add x16, x16, #8
            0xd61f_0220, // br x17
        ];
        assert_eq!(words(&plt_got_entry(0x1_1000, 0x1_0008, false)), expected);
        for landing in [false, true] {
            assert_eq!(plt_header(&PLACE, landing).len() as u64, PLT_HEADER_SIZE);
            assert_eq!(plt_entry(&entry, landing).len() as u64, plt_entry_size(landing));
        }
    }

    #[test]
    fn imports_are_jumped_to() {
        let expected = [
            0xf000_0110, // adrp x16, #0x23000
            0xf947_fe10, // ldr x16, [x16, #0xff8]
            0xd61f_0200, // br x16
        ];
        let code = import_thunk(0x1_8001_1ffc, 0x1_8003_4ff8);
        assert_eq!((words(&code), code.len() as u64), (expected.to_vec(), IMPORT_THUNK_SIZE));
    }

    #[test]
    fn thunks_lead_to_their_targets() {
        let long = |address, target| Thunk::Long.code(address, target).map(|code| words(&code));
        let expected = [
            0x9008_0010, // adrp x16, #0x10000000
            0x9108_d210, // add x16, x16, #0x234
            0xd61f_0200, // br x16
        ];
        assert_eq!(long(0x1ffc, 0x1000_1234).as_deref(), Some(&expected[..]));
        assert_eq!(Thunk::LongToPad.code(0x1ffc, 0x1000_1234), Thunk::Long.code(0x1ffc, 0x1000_1234));
        assert!(long(0, 0xffff_ffff).is_some() && long(0, 0x1_0000_0000).is_none());
        assert!(long(0x1_0000_0fff, 0).is_some() && long(0x1_0000_1000, 0).is_none());

        let pad = |address, target| Thunk::Pad.code(address, target).map(|code| words(&code));
        assert_eq!(pad(0x1000, 0x1000), Some(vec![BTI_C, 0x17ff_ffff])); // b #-4
        assert_eq!(pad(0, 0x0800_0000), Some(vec![BTI_C, 0x15ff_ffff])); // b #0x7fffffc
        assert_eq!(pad(0, 0x0800_0004), None);
        for kind in [Thunk::Long, Thunk::Pad] {
            assert_eq!(kind.code(0, 64).map(|code| code.len() as u64), Some(kind.size()));
        }
    }

    #[test]
    fn landing_pads_are_known() {
        for (instruction, pad) in [
            (0xd503_245f, true),  // bti c
            (0xd503_249f, true),  // bti j
            (0xd503_24df, true),  // bti jc
            (0xd503_233f, true),  // paciasp
            (0xd503_237f, true),  // pacibsp
            (0xd503_201f, false), // nop
            (0xd503_241f, false), // bti
            (0xa9bf_7bf0, false), // stp x16, x30, [sp, #-16]!
        ] {
            assert_eq!(is_landing_pad(instruction), pad, "{instruction:08x}");
        }
    }
}
