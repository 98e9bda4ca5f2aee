#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;
use crate::macho::section_symbol;
use crate::model::{Binding, Fate, InputName};
use crate::options::Arch;
use crate::reloc;

/// Flags of sections: code, strings, constants of 4 bytes.
const CODE: u32 = 0x8000_0400;
const STRINGS: u32 = 2;
const CONSTANTS: u32 = 3;

/// An object whose sections follow one another, each of a type and with these bytes, aligned to 16 bytes; with symbols at
/// addresses of it, and with relocations of the first section.
fn object<'a>(parts: &[(u32, &'a [u8])], symbols: &[(u64, u8)], relocs: &[[u32; 2]]) -> Object<'a> {
    let mut info = ObjectInfo::new(Arch::X86_64, 3);
    (info.divisible, info.symbols) = (true, symbols.len() as u32);
    let mut sections: Vec<Section<'a>> = Vec::new();
    let mut address = 0;
    for (kind, data) in [(0, &b""[..])].iter().chain(parts) {
        let first = sections.len() == 1;
        let encoding = Encoding { arch: Arch::X86_64, section_symbols: info.symbols, address };
        let bytes: Vec<u8> = relocs.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        if !sections.is_empty() {
            info.addresses.push(address);
            info.segments.push([0; 16]);
        }
        sections.push(Section {
            name: b"section",
            data: Cow::Borrowed(data),
            size: data.len() as u64,
            align: 16,
            flags: SectionFlags::ALLOC,
            kind: *kind,
            entry_size: 0,
            linked: 0,
            relocs: Relocs {
                bytes: if first { Cow::Owned(bytes) } else { Cow::Borrowed(&[]) },
                encoding: RelocEncoding::MachO(encoding),
            },
            fate: if sections.is_empty() { Fate::Metadata } else { Fate::Live },
            output: Section::NOWHERE,
            offset: 0,
        });
        address += data.len() as u64;
    }
    let place = |address: u64| {
        let index = info.addresses.iter().rposition(|start| *start <= address).unwrap() as u32 + 1;
        (index, address - info.address(index))
    };
    let mut all: Vec<Symbol> = symbols
        .iter()
        .map(|(address, other)| {
            let (section, value) = place(*address);
            let mut symbol = Symbol::new(0, SymbolSection::In(section), value);
            (symbol.binding, symbol.other) = (Binding::Local, *other);
            symbol
        })
        .collect();
    all.extend(info.addresses.iter().zip(1..).map(|(address, number)| section_symbol(number, *address)));
    Object {
        name: InputName { file: "x.o", member: None },
        sections,
        symbols: all,
        strings: b"\0",
        short_names: &[],
        groups: Vec::new(),
        hide_symbols: false,
        info: Info::MachO(info),
    }
}

/// The parts' addresses, sizes and alignments.
fn divided(object: &mut Object<'_>) -> Vec<(u64, u64, u64)> {
    if let Some(division) = Division::new(object) {
        division.carry_out(object);
    }
    let info = object.info.macho().unwrap();
    let sections = object.sections.iter().skip(1);
    assert_eq!(object.sections.len(), info.addresses.len() + 1);
    assert_eq!(object.symbols.len(), info.symbols as usize + info.addresses.len());
    sections.zip(&info.addresses).map(|(section, address)| (*address, section.size, section.align)).collect()
}

/// Where the relocations of a section lead to, in addresses of the object, by the section that they name.
fn led(object: &Object<'_>, section: usize) -> Vec<(u64, u64)> {
    let info = object.info.macho().unwrap();
    let place = |raw: reloc::RawReloc| {
        let symbol = &object.symbols[raw.symbol as usize];
        let SymbolSection::In(index) = symbol.section() else { panic!("nowhere") };
        let value = info.address(index).wrapping_add(symbol.value).wrapping_add_signed(raw.addend);
        (info.address(index), value)
    };
    let section = &object.sections[section];
    reloc::decode(section, 0..section.relocs.len()).map(place).collect()
}

/// An entry of a relocation table: offset, section or symbol, kind and width (3 for 8 bytes), and whether it is of a symbol.
fn entry(offset: u32, number: u32, kind: u32, length: u32, external: bool, relative: bool) -> [u32; 2] {
    [offset, number | u32::from(relative) << 24 | length << 25 | u32::from(external) << 27 | kind << 28]
}

#[test]
fn parts_begin_with_symbols() {
    let code = [0x90; 40];
    // Two at one place, one behind the end, and one that is inside of another's part.
    let symbols = [(0, 0), (24, 0), (8, 0), (24, 0), (40, 0), (12, other::ALT_ENTRY)];
    let mut object = object(&[(CODE, &code)], &symbols, &[]);
    assert_eq!(divided(&mut object), [(0, 8, 16), (8, 16, 8), (24, 16, 8)]);
    let places: Vec<_> = object.symbols.iter().take(6).map(|symbol| (symbol.section(), symbol.value)).collect();
    let at = |index, value| (SymbolSection::In(index), value);
    assert_eq!(places, [at(1, 0), at(3, 0), at(2, 0), at(3, 0), at(3, 16), at(2, 4)]);
    // What the compiler has not allowed, and what is in one part.
    let mut whole = super::tests::object(&[(CODE, &code)], &symbols, &[]);
    let Info::MachO(info) = &mut whole.info else { panic!("no Mach-O") };
    info.divisible = false;
    assert_eq!(divided(&mut whole), [(0, 40, 16)]);
    assert!(Division::new(&super::tests::object(&[(CODE, &code)], &[(0, 0)], &[])).is_none());
}

#[test]
fn relocations_lead_where_they_led() {
    let mut code = [0; 48];
    // An address, the distance from an instruction's end to another, and that of one which is a byte longer.
    code[32..40].copy_from_slice(&20_u64.to_le_bytes());
    code[16..20].copy_from_slice(&(8_i32 - 20).to_le_bytes());
    code[4..8].copy_from_slice(&(32_i32 - 9).to_le_bytes());
    let relocs = [
        entry(32, 1, 0, 3, false, false),
        entry(24, 1, 0, 3, true, false),
        entry(16, 1, 1, 2, false, true),
        entry(4, 1, 6, 2, false, true),
    ];
    let mut object = object(&[(CODE, &code)], &[(8, 0), (16, 0), (32, 0)], &relocs);
    assert_eq!(divided(&mut object), [(0, 8, 16), (8, 8, 8), (16, 16, 16), (32, 16, 16)]);
    // What counts from its place counts from 4 bytes before the end of the shortest instruction.
    assert_eq!(led(&object, 1), [(32, 32 - 5)]);
    assert_eq!(led(&object, 2), []);
    // By its symbol, the second one; and by address.
    assert_eq!(led(&object, 3), [(16, 16), (8, 8 - 4)]);
    assert_eq!(led(&object, 4), [(16, 20)]);
}

#[test]
fn strings_and_constants_are_divided_where_something_refers_to() {
    let pointers: Vec<u8> = [32_u64 + 5, 32 + 3, 32 + 12, 48 + 8].into_iter().flat_map(u64::to_le_bytes).collect();
    let relocs = [
        entry(24, 3, 0, 3, false, false),
        entry(16, 2, 0, 3, false, false),
        entry(8, 2, 0, 3, false, false),
        entry(0, 2, 0, 3, false, false),
    ];
    let parts = [(0, &pointers[..]), (STRINGS, b"a\0bcd\0e\0\0fghijk\0"), (CONSTANTS, &[1; 32])];
    let mut object = object(&parts, &[], &relocs);
    // The last is of the type of constants of 4 bytes; its middle is referred to.
    let wanted = [(0, 32, 16), (32, 2, 16), (34, 7, 2), (41, 7, 1), (48, 8, 16), (56, 24, 8)];
    assert_eq!(divided(&mut object), wanted);
    // The middle of a string, the place behind it, one behind two ends, and a constant.
    assert_eq!(led(&object, 1), [(56, 56), (41, 44), (34, 35), (34, 37)]);
}

/// A distance of which both ends are told by sections alone could be of any parts.
#[test]
fn sections_of_untold_distances_stay_whole() {
    let symbols = [(0, 0), (8, 0), (16, 0), (24, 0)];
    let data = [0; 16];
    let parts = [(0, &data[..]), (0, &data[..])];
    let untold = [entry(8, 2, 5, 3, false, false), entry(8, 2, 0, 3, false, false)];
    let mut whole = object(&parts, &symbols, &untold);
    assert_eq!(divided(&mut whole), [(0, 8, 16), (8, 8, 8), (16, 16, 16)]);
    // From a symbol it is an address.
    let mut stored = data;
    stored[8] = 24;
    let told = [entry(8, 0, 5, 3, true, false), entry(8, 2, 0, 3, false, false)];
    let mut object = object(&[(0, &stored), (0, &data)], &symbols, &told);
    assert_eq!(divided(&mut object), [(0, 8, 16), (8, 8, 8), (16, 8, 16), (24, 8, 8)]);
    assert_eq!(led(&object, 2), [(24, 24)]);
}

/// A distance from a symbol may count from there or from its field: what it may mean stays together.
#[test]
fn strings_that_a_distance_may_mean_stay_together() {
    let strings = b"abc\0defghij\0xy\0";
    for (meant, wanted) in [
        (20_u8, vec![(0, 16, 16), (16, 4, 16), (20, 11, 4)]),
        // From its field it would be the middle of a string.
        (16, vec![(0, 16, 16), (16, 12, 16), (28, 3, 4)]),
    ] {
        let mut data = [0; 16];
        (data[0], data[8]) = (28, meant);
        let relocs = [entry(8, 0, 5, 3, true, false), entry(8, 2, 0, 3, false, false), entry(0, 2, 0, 3, false, false)];
        let mut object = object(&[(0, &data), (STRINGS, strings)], &[(0, 0)], &relocs);
        assert_eq!(divided(&mut object), wanted);
        let led: Vec<u64> = led(&object, 1).into_iter().map(|(_, to)| to).collect();
        assert_eq!(led, [meant.into(), 28]);
    }
}

/// Entries that name no section, and addresses outside of theirs.
#[test]
fn nonsense_is_carried_along() {
    let data = [0xff; 32];
    let relocs = [entry(24, 9, 0, 3, false, false), entry(16, 0, 0, 3, false, false), entry(0, 1, 0, 3, false, false)];
    let mut object = object(&[(0, &data)], &[(0, 0), (16, 0)], &relocs);
    assert_eq!(divided(&mut object), [(0, 16, 16), (16, 16, 16)]);
    let named: Vec<u32> =
        object.sections.iter().flat_map(|section| naming_sections(section).map(|named| named.number)).collect();
    assert_eq!(named, [2, 0, 0]);
}
