#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;

/// An entry as `struct relocation_info` has it.
fn entry(offset: u32, number: u32, relative: bool, length: u32, external: bool, kind: u32) -> [u8; SIZE] {
    let info = number | u32::from(relative) << 24 | length << 25 | u32::from(external) << 27 | kind << 28;
    let mut bytes = [0; SIZE];
    bytes[..4].copy_from_slice(&offset.to_le_bytes());
    bytes[4..].copy_from_slice(&info.to_le_bytes());
    bytes
}

const X86: Encoding = Encoding { arch: Arch::X86_64, section_symbols: 10, address: 0x100 };
const ARM: Encoding = Encoding { arch: Arch::Aarch64, section_symbols: 10, address: 0x100 };

fn decode(table: &[[u8; SIZE]], encoding: Encoding, contents: &[u8]) -> Vec<RawReloc> {
    let mut entries = table.as_flattened();
    let mut first = None;
    std::iter::from_fn(|| next(&mut entries, &mut first, encoding, contents)).collect()
}

fn one(entry: [u8; SIZE], encoding: Encoding, contents: &[u8]) -> (RawReloc, Option<(Value, Field)>) {
    let raw = decode(&[entry], encoding, contents)[0];
    (raw, understand(encoding.arch, raw))
}

#[test]
fn kinds_of_x86_64_mean_these_numbers() {
    let contents = [0xf8, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let (raw, meaning) = one(entry(0, 3, true, 2, true, x86::SIGNED), X86, &contents);
    // S + stored − (P + 4).
    assert_eq!((raw.symbol, raw.addend), (3, -12));
    assert_eq!(meaning, Some((What::Symbol.from(Origin::Place), Field::I32)));
    // By section: the distance in the object leads to an address there, 0x100 + 0 + 4 − 8, whose instruction ends 4 on.
    let (raw, _) = one(entry(0, 2, true, 2, false, x86::SIGNED_1), X86, &contents);
    assert_eq!((raw.symbol, raw.addend), (11, 0x100 - 8));
    let wide = 0x1234_5678_9abc_u64.to_le_bytes();
    let (raw, meaning) = one(entry(0, 1, false, 3, false, x86::UNSIGNED), X86, &wide);
    assert_eq!((raw.symbol, raw.addend), (10, 0x1234_5678_9abc));
    assert_eq!(meaning, Some((What::Symbol.from(Origin::Zero), Field::U64)));
    let meaning = |relative, length, kind| one(entry(0, 3, relative, length, true, kind), X86, &contents).1;
    assert_eq!(meaning(true, 2, x86::BRANCH), Some((What::Plt.from(Origin::Place), Field::I32)));
    assert_eq!(meaning(true, 2, x86::GOT_LOAD), Some((What::GotRelaxable.from(Origin::Place), Field::I32)));
    assert_eq!(meaning(true, 2, x86::GOT), Some((What::Got.from(Origin::Place), Field::I32)));
    // A thread-local variable's descriptor is reached as a variable is.
    assert_eq!(meaning(true, 2, x86::TLV), Some((What::GotRelaxable.from(Origin::Place), Field::I32)));
    // A branch of one byte, a place-relative pointer, and no kind.
    assert_eq!([meaning(true, 0, x86::BRANCH), meaning(true, 3, x86::UNSIGNED), meaning(true, 2, 10)], [None; 3]);
}

#[test]
fn kinds_of_arm64_mean_these_numbers() {
    let word = |word: u32| word.to_le_bytes();
    let meaning =
        |relative, length, kind, code: u32| one(entry(0, 3, relative, length, true, kind), ARM, &word(code)).1;
    let page = Some((What::Symbol.from(Origin::Page), Field::Aarch64(Imm::Adrp)));
    assert_eq!(meaning(true, 2, arm64::PAGE21, 0x9000_0008), page);
    let low = |imm| Some((What::Symbol.from(Origin::PageOffset), Field::Aarch64(imm)));
    // add x8, x8, #0; ldr w8, [x8]; ldrb w8, [x8]; ldr q0, [x8]; and ret, which has no such field.
    assert_eq!(meaning(false, 2, arm64::PAGEOFF12, 0x9100_0108), low(Imm::Add12));
    assert_eq!(meaning(false, 2, arm64::PAGEOFF12, 0xb940_0108), low(Imm::Load12 { shift: 2 }));
    assert_eq!(meaning(false, 2, arm64::PAGEOFF12, 0x3940_0108), low(Imm::Load12 { shift: 0 }));
    assert_eq!(meaning(false, 2, arm64::PAGEOFF12, 0x3dc0_0100), low(Imm::Load12 { shift: 4 }));
    assert_eq!(meaning(false, 2, arm64::PAGEOFF12, 0xd65f_03c0), None);
    // Only ldr x, [x] loads an address.
    let got = Some((What::GotRelaxable.from(Origin::PageOffset), Field::Aarch64(Imm::Load12 { shift: 3 })));
    assert_eq!(meaning(false, 2, arm64::GOT_LOAD_PAGEOFF12, 0xf940_0108), got);
    assert_eq!(meaning(false, 2, arm64::GOT_LOAD_PAGEOFF12, 0xb940_0108), None);
    let branch = Some((What::Plt.from(Origin::Place), Field::Aarch64(Imm::Branch26)));
    assert_eq!(meaning(true, 2, arm64::BRANCH26, 0x9400_0000), branch);
    assert_eq!(meaning(true, 2, arm64::POINTER_TO_GOT, 0), Some((What::Got.from(Origin::Place), Field::I32)));
    // What an assembler leaves in the field is no addend.
    let raws = decode(&[entry(0, 3, true, 2, true, arm64::POINTER_TO_GOT)], ARM, &word(0xffff_fff8));
    assert_eq!((raws[0].symbol, raws[0].addend), (3, 0));
    // So are descriptors of thread-local variables.
    let page = Some((What::GotRelaxable.from(Origin::Page), Field::Aarch64(Imm::Adrp)));
    assert_eq!(meaning(true, 2, arm64::TLVP_LOAD_PAGE21, 0x9000_0008), page);
    assert_eq!(meaning(false, 2, arm64::TLVP_LOAD_PAGEOFF12, 0xf940_0108), got);
    // Signed pointers.
    assert_eq!(meaning(false, 3, 11, 0), None);
    // An instruction's addend stands before it; what is in the instruction is none.
    let pair = [entry(0, 0xff_fffc, false, 2, false, arm64::ADDEND), entry(0, 3, true, 2, true, arm64::PAGE21)];
    let raws = decode(&pair, ARM, &word(0x9000_0008));
    assert_eq!((raws.len(), raws[0].symbol, raws[0].addend), (1, 3, -4));
}

#[test]
fn a_pair_is_one_difference() {
    let contents = [4, 0, 0, 0, 0, 0, 0, 0];
    for (encoding, minus) in [(X86, x86::SUBTRACTOR), (ARM, arm64::SUBTRACTOR)] {
        for (length, field) in [(3, Field::U64), (2, Field::I32)] {
            let pair = [entry(0, 7, false, length, true, minus), entry(0, 2, false, length, false, 0)];
            let raws = decode(&pair, encoding, &contents);
            assert_eq!((raws.len(), raws[0].symbol, raws[0].addend), (1, 11, 4));
            assert_eq!(understand(encoding.arch, raws[0]), Some((What::Symbol.from(Origin::Symbol(7)), field)));
            assert!(name(encoding.arch, raws[0].kind).contains("SUBTRACTOR with"));
            // Wherever a table is cut, the pair is decoded once.
            let whole = pair.as_flattened();
            assert!(first_half(whole, 0, encoding).is_none() && first_half(whole, 1, encoding).is_some());
            assert!(decode(&pair[..1], encoding, &contents).is_empty());
        }
        // 16 bits are too few.
        let pair = [entry(0, 7, false, 1, true, minus), entry(0, 2, false, 1, true, 0)];
        assert_eq!(understand(encoding.arch, decode(&pair, encoding, &contents)[0]), None);
    }
}

#[test]
fn tables_are_put_in_order_and_broken_pairs_refused() {
    let pair = [entry(8, 1, false, 3, true, 5), entry(8, 2, false, 3, true, 0)];
    let plain = entry(0x20, 1, false, 3, true, 0);
    let descending = [plain, pair[0], pair[1]];
    assert!(matches!(in_order(descending.as_flattened(), Arch::X86_64), Ok(Cow::Borrowed(_))));
    let ascending = [pair[0], pair[1], plain];
    assert_eq!(*in_order(ascending.as_flattened(), Arch::X86_64).unwrap(), *descending.as_flattened());
    assert_eq!(find(descending.as_flattened(), 0..0x20), 1..3);
    assert_eq!(find(descending.as_flattened(), 0x20..0x21), 0..1);
    let broken: [&[[u8; SIZE]]; 5] = [
        &[pair[0]],
        &[pair[0], plain],
        &[pair[0], pair[0]],
        &[pair[0], entry(8, 2, false, 2, true, 0)],
        &[entry(0x8000_0008, 0, false, 2, false, 0)],
    ];
    for table in broken {
        assert!(in_order(table.as_flattened(), Arch::X86_64).is_err(), "{table:?}");
    }
    // ADDEND goes with instructions only.
    let table = [entry(0, 4, false, 2, false, arm64::ADDEND), entry(0, 3, false, 3, true, arm64::UNSIGNED)];
    assert!(in_order(table.as_flattened(), Arch::Aarch64).is_err());
}
