#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::cast_possible_truncation
)]

use proptest::prelude::*;

use super::{Imm, Part, word};

/// Instructions as the GNU assembler 2.40 encodes them: the form, the number, the encoding with zero for the number, and
/// the encoding. Prefixed ones are written as in memory, prefix first.
const ENCODINGS: [(&str, Imm, i64, u64, u64); 19] = [
    ("bl .+0x1fffffc", Imm::Branch24, 0x1ff_fffc, 0x4800_0001, 0x49ff_fffd),
    ("b .-0x2000000", Imm::Branch24, -0x200_0000, 0x4800_0000, 0x4a00_0000),
    ("beq .+0x7ffc", Imm::Branch14, 0x7ffc, 0x4182_0000, 0x4182_7ffc),
    ("bdnz .-0x8000", Imm::Branch14, -0x8000, 0x4200_0000, 0x4200_8000),
    ("addi 3,2,0x1234", Imm::D(Part::Whole), 0x1234, 0x3862_0000, 0x3862_1234),
    ("addis 3,2,-1", Imm::D(Part::Ha), -0x1_8000, 0x3c62_0000, 0x3c62_ffff),
    ("addis 3,2,-1", Imm::D(Part::Hi), -1, 0x3c62_0000, 0x3c62_ffff),
    ("ld 12,-32768(2)", Imm::Ds(Part::Lo), 0x1_8000, 0xe982_0000, 0xe982_8000),
    ("std 4,0x7ffc(1)", Imm::Ds(Part::Whole), 0x7ffc, 0xf881_0000, 0xf881_7ffc),
    ("lwa 5,8(2)", Imm::Ds(Part::Lo), 8, 0xe8a2_0002, 0xe8a2_000a),
    ("lxv 34,0x7ff0(3)", Imm::Dq(Part::Whole), 0x7ff0, 0xf443_0009, 0xf443_7ff9),
    ("stxv 34,-16(3)", Imm::Dq(Part::Lo), -16, 0xf443_000d, 0xf443_fffd),
    ("lq 4,32(3)", Imm::Dq(Part::Lo), 32, 0xe083_0000, 0xe083_0020),
    ("addpcis 3,0x1234", Imm::Dx(Part::Ha), 0x1233_8000, 0x4c60_0004, 0x4c7a_1204),
    ("addpcis 3,-2", Imm::Dx(Part::Ha), -0x2_0000, 0x4c60_0004, 0x4c7f_ffc4),
    ("paddi 3,0,0x123456789,1", Imm::D34, 0x1_2345_6789, 0x3860_0000_0610_0000, 0x3860_6789_0611_2345),
    ("pld 12,-8(0),1", Imm::D34, -8, 0xe580_0000_0410_0000, 0xe580_fff8_0413_ffff),
    ("plwz 4,0x1ffffffff(5),0", Imm::D34Lo, 0x1_ffff_ffff, 0x8085_0000_0600_0000, 0x8085_ffff_0601_ffff),
    ("paddi 3,3,-0x200000000,0", Imm::D34, -0x2_0000_0000, 0x3863_0000_0600_0000, 0x3863_0000_0602_0000),
];

#[test]
fn instructions_are_encoded_as_the_assembler_does() {
    for (asm, imm, number, plain, encoded) in ENCODINGS {
        let width = if encoded > u64::from(u32::MAX) { 8 } else { 4 };
        let (min, max) = imm.range();
        assert!((min..=max).contains(&number) && number % imm.step() == 0, "{asm}");
        let mut bytes = plain.to_le_bytes();
        imm.store(&mut bytes[..width], number).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), encoded, "{asm}: {:#x}", u64::from_le_bytes(bytes));
        let loaded = imm.load(&bytes[..width]).unwrap();
        let mut again = plain.to_le_bytes();
        imm.store(&mut again[..width], loaded).unwrap();
        // An adjusted part of what an adjusted part gives back is one too many where the number had its half bit set;
        // every other field gives back what it took.
        if imm.range() == Imm::D34.range() || matches!(imm, Imm::Branch24 | Imm::Branch14 | Imm::D(Part::Whole)) {
            assert_eq!(loaded, number, "{asm}");
        }
        assert_eq!(again, bytes, "{asm}");
    }
}

/// What `addis` and the instruction behind it add up to must be the number, over the whole range of `@ha` and `@l`.
fn sum_of_parts(high: Imm, low: Imm, number: i64) -> i64 {
    let part = |imm: Imm| {
        let mut bytes = [0; 8];
        imm.store(&mut bytes, number).unwrap();
        imm.load(&bytes).unwrap()
    };
    part(high) + part(low)
}

#[test]
fn ranges_are_exact() {
    // Fields, their ranges and steps: psABI, *Relocation Fields*; Power ISA 3.1, Book I, 1.6.
    let table = [
        (Imm::Branch24, -0x200_0000, 0x1ff_ffff, 4),
        (Imm::Branch14, -0x8000, 0x7fff, 4),
        (Imm::D(Part::Whole), -0x8000, 0x7fff, 1),
        (Imm::Ds(Part::Whole), -0x8000, 0x7fff, 4),
        (Imm::Dq(Part::Whole), -0x8000, 0x7fff, 16),
        (Imm::D(Part::Hi), -0x8000_0000, 0x7fff_ffff, 1),
        (Imm::D(Part::Ha), -0x8000_8000, 0x7fff_7fff, 1),
        (Imm::Dx(Part::Ha), -0x8000_8000, 0x7fff_7fff, 1),
        (Imm::D(Part::HighA), i64::MIN, i64::MAX, 1),
        (Imm::D34, -0x2_0000_0000, 0x1_ffff_ffff, 1),
        (Imm::D28, -0x800_0000, 0x7ff_ffff, 1),
    ];
    for (imm, min, max, step) in table {
        assert_eq!((imm.range(), imm.step()), ((min, max), step), "{imm:?}");
    }
    // The largest and smallest numbers that a pair reaches come back whole; one more would not.
    for number in [-0x8000_8000, 0x7fff_7fff, -1, 0x7fff, 0x8000] {
        assert_eq!(sum_of_parts(Imm::D(Part::Ha), Imm::D(Part::Lo), number), number);
    }
    for number in [-0x8000_8001, 0x7fff_8000] {
        assert_ne!(sum_of_parts(Imm::D(Part::Ha), Imm::D(Part::Lo), number), number);
    }
}

#[test]
fn the_form_of_a_load_is_seen_in_its_opcode() {
    let forms = [
        (0xe982_0000_u32, "ld 12,0(2)", Imm::Ds(Part::Lo)),
        (0xe982_0002, "lwa 12,0(2)", Imm::Ds(Part::Lo)),
        (0xf881_0002, "stq 4,0(1)", Imm::Ds(Part::Lo)),
        (0xf443_0009, "lxv 34,0(3)", Imm::Dq(Part::Lo)),
        (0xf443_000d, "stxv 34,0(3)", Imm::Dq(Part::Lo)),
        (0xf443_0002, "stxsd 2,0(3)", Imm::Ds(Part::Lo)),
        (0xf443_0003, "stxssp 2,0(3)", Imm::Ds(Part::Lo)),
        (0xe083_0000, "lq 4,0(3)", Imm::Dq(Part::Lo)),
        (0x1843_0001, "stxvp 2,0(3)", Imm::Dq(Part::Lo)),
    ];
    for (word, asm, form) in forms {
        assert_eq!(Imm::Ds(Part::Lo).of_instruction(&word.to_le_bytes()), form, "{asm}");
        assert_eq!(Imm::D(Part::Lo).of_instruction(&word.to_le_bytes()), Imm::D(Part::Lo), "{asm}");
    }
    assert_eq!(Imm::Ds(Part::Lo).of_instruction(&[0, 0]), Imm::Ds(Part::Lo));
}

const PARTS: [Part; 14] = [
    Part::Whole,
    Part::Lo,
    Part::Hi,
    Part::Ha,
    Part::High,
    Part::HighA,
    Part::Higher,
    Part::HigherA,
    Part::Highest,
    Part::HighestA,
    Part::Higher34,
    Part::HigherA34,
    Part::Highest34,
    Part::HighestA34,
];

fn every_imm() -> impl Strategy<Value = Imm> {
    let halves = (0..PARTS.len(), 0..4).prop_map(|(part, form)| match form {
        0 => Imm::D(PARTS[part]),
        1 => Imm::Ds(PARTS[part]),
        2 => Imm::Dq(PARTS[part]),
        _ => Imm::Dx(PARTS[part]),
    });
    let others = prop::sample::select(vec![
        Imm::Branch24,
        Imm::Branch14,
        Imm::Word30,
        Imm::D34,
        Imm::D34Lo,
        Imm::D34Hi30,
        Imm::D34Ha30,
        Imm::D28,
    ]);
    prop_oneof![halves, others]
}

proptest! {
    /// What a field says, stored in a field of zeros, says the same.
    #[test]
    fn what_was_loaded_comes_back(imm in every_imm(), bytes: [u8; 8]) {
        let number = imm.load(&bytes).unwrap();
        // An adjusted part of a number that fits may be one more than what fits without the lower part.
        let (min, max) = imm.range();
        prop_assert!((min..=max.saturating_add(0x8000)).contains(&number));
        let mut stored = [0; 8];
        imm.store(&mut stored, number).unwrap();
        prop_assert_eq!(imm.load(&stored), Some(number));
    }

    /// A number that fits comes back from a field that holds all of it, and no bit outside the field changes.
    #[test]
    fn a_number_that_fits_comes_back(imm in every_imm(), number: i64, bytes: [u8; 8]) {
        let (min, max) = imm.range();
        let mut stored = bytes;
        imm.store(&mut stored, number).unwrap();
        let mut cleared = (bytes, stored);
        imm.store(&mut cleared.0, 0).unwrap();
        imm.store(&mut cleared.1, 0).unwrap();
        prop_assert_eq!(cleared.0, cleared.1);
        prop_assert_eq!(&stored[imm.size() as usize..], &bytes[imm.size() as usize..]);
        let whole = matches!(
            imm,
            Imm::Branch24 | Imm::Branch14 | Imm::Word30 | Imm::D34 | Imm::D28
                | Imm::D(Part::Whole) | Imm::Ds(Part::Whole) | Imm::Dq(Part::Whole) | Imm::Dx(Part::Whole)
        );
        if whole {
            let fitting = min + number.rem_euclid(max - min + 1);
            let fitting = fitting - fitting.rem_euclid(imm.step());
            imm.store(&mut stored, fitting).unwrap();
            prop_assert_eq!(imm.load(&stored), Some(fitting));
        }
    }

    #[test]
    fn pairs_add_up(number in -0x8000_8000_i64..=0x7fff_7fff, wide: i64) {
        prop_assert_eq!(sum_of_parts(Imm::D(Part::Ha), Imm::D(Part::Lo), number), number);
        prop_assert_eq!(sum_of_parts(Imm::Dx(Part::Ha), Imm::D(Part::Lo), number), number);
        prop_assert_eq!(sum_of_parts(Imm::D(Part::Ha), Imm::Ds(Part::Lo), number & !3), number & !3);
        let part = |imm: Imm| {
            let mut bytes = [0; 8];
            imm.store(&mut bytes, wide).unwrap();
            imm.load(&bytes).unwrap()
        };
        // Four instructions hold all 64 bits, two prefixed ones as well (psABI, *Relocation Notations*, `#highest`, `#hi30`).
        let quarters = [Part::Highest, Part::Higher, Part::High, Part::Lo].map(|of| part(Imm::D(of)));
        let shifts = [48, 32, 16, 0];
        let joined = quarters.iter().zip(shifts).fold(0, |all, (quarter, shift)| all | (quarter >> shift & 0xffff) << shift);
        prop_assert_eq!(joined, wide);
        prop_assert_eq!(part(Imm::D34Ha30).wrapping_add(part(Imm::D34Lo)), wide);
    }

    #[test]
    fn too_few_bytes_are_left_alone(imm in every_imm(), number: i64, bytes: [u8; 8], length in 0_usize..8) {
        let mut cut = bytes;
        let few = length < imm.size() as usize;
        prop_assert_eq!(imm.store(&mut cut[..length], number).is_none(), few);
        prop_assert_eq!(imm.load(&bytes[..length]).is_none(), few);
        if few {
            prop_assert_eq!(cut, bytes);
        }
        prop_assert_eq!(word(&bytes[..length]).is_none(), length < 4);
    }
}
