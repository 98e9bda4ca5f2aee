//! Sections are written byte by byte; what the bytes are is said beside them.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;

/// The sections of an object; the rest are empty.
fn sections<'d>(given: &[(Kind, &'d [u8])]) -> PerKind<&'d [u8]> {
    let mut all = PerKind::<&[u8]>::default();
    given.iter().for_each(|(kind, bytes)| *all.of_mut(*kind) = bytes);
    all
}

fn offsets(patches: &[Patch]) -> Vec<(u32, Kind)> {
    patches.iter().map(|patch| (patch.offset, patch.target)).collect()
}

/// A unit of `version` with these entries; its abbreviations are at 0.
fn unit(version: u8, entries: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version, 0];
    match version {
        5 => bytes.extend([1, 8, 0, 0, 0, 0]), // DW_UT_compile, address_size, debug_abbrev_offset
        _ => bytes.extend([0, 0, 0, 0, 8]),    // debug_abbrev_offset, address_size
    }
    bytes.extend(entries);
    let mut unit = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    unit.extend(bytes);
    unit
}

/// One abbreviation, number 1, of a compile unit without children.
fn abbreviation(attributes: &[[u8; 2]]) -> Vec<u8> {
    let mut bytes = vec![1, 0x11, 0];
    bytes.extend(attributes.as_flattened());
    bytes.extend([0, 0, 0]);
    bytes
}

#[test]
fn each_form_is_passed_over_and_each_offset_found() {
    use Kind::{Addr, Info, Line, LineStr, Loc, LocLists, Ranges, RngLists, Str, StrOffsets};
    // DWARF 5, table 7.5 (attributes), table 7.6 (forms), and 7.5.6.
    type Case<'c> = (u8, [u8; 2], &'c [u8], Option<Kind>);
    let cases: &[Case<'_>] = &[
        (4, [0x11, 0x01], &[9; 8], None),          // DW_AT_low_pc, DW_FORM_addr
        (4, [0x03, 0x0e], &[0; 4], Some(Str)),     // DW_AT_name, DW_FORM_strp
        (5, [0x03, 0x1f], &[0; 4], Some(LineStr)), // DW_FORM_line_strp
        (4, [0x10, 0x17], &[0; 4], Some(Line)),    // DW_AT_stmt_list, DW_FORM_sec_offset
        (3, [0x10, 0x06], &[0; 4], Some(Line)),    // DW_AT_stmt_list, DW_FORM_data4
        (4, [0x0b, 0x06], &[9; 4], None),          // DW_AT_byte_size, DW_FORM_data4
        (4, [0x55, 0x17], &[0; 4], Some(Ranges)),  // DW_AT_ranges
        (5, [0x55, 0x17], &[0; 4], Some(RngLists)),
        (4, [0x02, 0x17], &[0; 4], Some(Loc)), // DW_AT_location
        (5, [0x02, 0x17], &[0; 4], Some(LocLists)),
        (5, [0x72, 0x17], &[0; 4], Some(StrOffsets)), // DW_AT_str_offsets_base
        (5, [0x73, 0x17], &[0; 4], Some(Addr)),       // DW_AT_addr_base
        (4, [0x31, 0x10], &[0; 4], Some(Info)),       // DW_AT_abstract_origin, DW_FORM_ref_addr
        (4, [0x31, 0x13], &[9; 4], None),             // DW_FORM_ref4: counted in the unit
        (4, [0x03, 0x08], b"name\0", None),           // DW_FORM_string
        (4, [0x3f, 0x19], &[], None),                 // DW_AT_external, DW_FORM_flag_present
        (4, [0x0b, 0x0f], &[0x80, 0x80, 1], None),    // DW_FORM_udata
        (4, [0x1c, 0x0a], &[2, 9, 9], None),          // DW_FORM_block1
        (5, [0x0b, 0x1e], &[9; 16], None),            // DW_FORM_data16
        (5, [0x03, 0x25], &[9], None),                // DW_FORM_strx1
    ];
    for (version, attribute, value, target) in cases {
        // Something of one byte stands before, something else behind: DW_AT_decl_file, DW_FORM_data1.
        let abbreviations = abbreviation(&[[0x3a, 0x0b], *attribute, [0x3a, 0x0b]]);
        let info = unit(*version, &[&[1, 9], *value, &[9]].concat());
        let header = info.len() - value.len() - 3;
        let data = sections(&[(Kind::Info, &info), (Kind::Abbrev, &abbreviations)]);
        let found = patches(&data).unwrap_or_else(|problem| panic!("{attribute:x?}: {problem:?}"));
        let mut expected = vec![(if *version == 5 { 8 } else { 6 }, Kind::Abbrev)];
        expected.extend(target.map(|target| (header as u32 + 2, target)));
        assert_eq!(offsets(found.of(Kind::Info)), expected, "version {version}, {attribute:x?}");
    }
}

#[test]
fn references_in_expressions_are_found() {
    let abbreviations = abbreviation(&[[0x02, 0x18]]); // DW_AT_location, DW_FORM_exprloc
    let cases: &[(&[u8], &[u32])] = &[
        (&[0x03, 9, 9, 9, 9, 9, 9, 9, 9], &[]),     // DW_OP_addr
        (&[0x91, 0x70, 0x9f], &[]),                 // DW_OP_fbreg -16; DW_OP_stack_value
        (&[0x9a, 0, 0, 0, 0], &[1]),                // DW_OP_call_ref
        (&[0x30, 0xa0, 0, 0, 0, 0, 4], &[2]),       // DW_OP_lit0; DW_OP_implicit_pointer
        (&[0xa3, 5, 0x9a, 0, 0, 0, 0, 0x9f], &[3]), // DW_OP_entry_value
        (&[0x9e, 2, 0x9a, 0x9a], &[]),              // DW_OP_implicit_value
        (&[0xf5, 0, 1, 0xf7, 1, 0x9f], &[]),        // DW_OP_GNU_regval_type; DW_OP_GNU_convert; DW_OP_stack_value
        (&[0xf4, 1, 2, 0x9a, 0x9a, 0xf9, 0], &[]),  // DW_OP_GNU_const_type; DW_OP_GNU_reinterpret
        (&[0xfa, 0x9a, 0, 0, 0, 0xf6, 8, 1], &[]),  // DW_OP_GNU_parameter_ref; DW_OP_GNU_deref_type
        (&[0xfd, 0, 0, 0, 0, 0x9f], &[1]),          // DW_OP_GNU_variable_value
    ];
    for (expression, places) in cases {
        let info = unit(4, &[&[1, expression.len() as u8], *expression].concat());
        let data = sections(&[(Kind::Info, &info), (Kind::Abbrev, &abbreviations)]);
        let found = patches(&data).unwrap();
        let start = (info.len() - expression.len()) as u32;
        let expected: Vec<_> = places.iter().map(|place| (start + place, Kind::Info)).collect();
        assert_eq!(offsets(&found.of(Kind::Info)[1..]), expected, "{expression:x?}");
    }
}

#[test]
fn names_of_line_tables_and_lists_of_strings_are_found() {
    let mut table = vec![5, 0, 8, 0]; // version, address_size, segment_selector_size
    let header = [
        &[1, 1, 1, 0xfb, 14, 4, 0, 1, 1][..],     // up to opcode_base (4), and three lengths
        &[1, 1, 0x1f, 1, 0, 0, 0, 0],             // directories: DW_LNCT_path as DW_FORM_line_strp; one
        &[2, 1, 0x0e, 2, 0x0b, 1, 0, 0, 0, 0, 7], // files: path as DW_FORM_strp, directory as DW_FORM_data1; one
    ]
    .concat();
    table.extend((header.len() as u32).to_le_bytes());
    table.extend(&header);
    table.extend([0, 1, 1]); // DW_LNE_end_sequence
    let old = [2, 0, 0, 0, 4, 0]; // of DWARF 4, which has no offsets
    let lines = [&old[..], &(table.len() as u32).to_le_bytes(), &table].concat();
    let strings = [12, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let data = sections(&[(Kind::Line, &lines), (Kind::StrOffsets, &strings)]);
    let found = patches(&data).unwrap();
    assert_eq!(offsets(found.of(Kind::Line)), [(31, Kind::LineStr), (41, Kind::Str)]);
    assert_eq!(offsets(found.of(Kind::StrOffsets)), [(8, Kind::Str), (12, Kind::Str)]);
}

#[test]
fn macros_of_dwarf_4_are_led_to() {
    let abbreviations = abbreviation(&[[0x43, 0x17]]); // DW_AT_macro_info, DW_FORM_sec_offset
    let info = unit(4, &[1, 0, 0, 0, 0]);
    let data = sections(&[(Kind::Info, &info), (Kind::Abbrev, &abbreviations), (Kind::MacInfo, &[1, 1, b'a', 0, 0])]);
    let found = patches(&data).unwrap();
    assert_eq!(offsets(&found.of(Kind::Info)[1..]), [(12, Kind::MacInfo)]);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let plain = abbreviation(&[[0x03, 0x0e]]);
    let macros = abbreviation(&[[0x79, 0x17]]); // DW_AT_macros
    let long = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    let info = |value: u8| unit(4, &[1, value, 0, 0, 0]);
    let (outside, inside, version, unknown) = (info(1), info(0), unit(6, &[]), unit(4, &[2]));
    type Case<'c> = (&'c [u8], &'c [u8], &'c [u8], &'c str);
    let cases: &[Case<'_>] = &[
        (&inside, &plain, b"", ""),
        (&outside, &plain, b"", "an offset outside of its section"),
        (&outside, &plain, b"a", "the last string does not end"),
        (&inside, &macros, b"", "macro information, which is not joined"),
        (&long, &plain, b"", "64-bit DWARF, which is not joined"),
        (&version, &plain, b"", "a unit of an unknown version of DWARF"),
        (&unknown, &plain, b"", "an entry with an unknown abbreviation"),
        (&inside[..12], &plain, b"", "a unit that is cut off"),
        (&inside, &plain[..5], b"", "an abbreviation table that does not end"),
    ];
    for (info, abbreviations, strings, expected) in cases {
        let data = sections(&[(Kind::Info, info), (Kind::Abbrev, abbreviations), (Kind::Str, strings)]);
        let what = patches(&data).map_or_else(|problem| problem.what.what, |_| "");
        assert_eq!(what, *expected);
    }
}

#[test]
fn many_units_cannot_share_much_that_overlaps() {
    // Abbreviations of one byte less each: units that name each place of them would have all read again and again.
    let mut abbreviations = Vec::new();
    (0..2000).for_each(|_| abbreviations.extend([1, 1, 0, 0, 0]));
    abbreviations.push(0);
    let mut info = Vec::new();
    for place in 0..2000_u32 {
        let mut unit = unit(4, &[]);
        unit[6..10].copy_from_slice(&(place * 5).to_le_bytes());
        info.extend(unit);
    }
    let data = sections(&[(Kind::Info, &info), (Kind::Abbrev, &abbreviations)]);
    assert_eq!(patches(&data).unwrap_err().what.what, "abbreviation tables that overlap");
}

#[test]
fn damage_never_panics() {
    let abbreviations = abbreviation(&[[0x03, 0x0e], [0x02, 0x18], [0x10, 0x17], [0x1c, 0x16]]);
    let info = unit(4, &[1, 0, 0, 0, 0, 2, 0x30, 0x9f, 0, 0, 0, 0, 0x0b, 1]);
    assert!(patches(&sections(&[(Kind::Info, &info), (Kind::Abbrev, &abbreviations)])).is_ok());
    for value in [0, 1, 0x7f, 0x80, 0xff] {
        for at in 0..info.len() + abbreviations.len() {
            let (mut info, mut abbreviations) = (info.clone(), abbreviations.clone());
            let place = match at.checked_sub(info.len()) {
                Some(at) => &mut abbreviations[at],
                None => &mut info[at],
            };
            *place = value;
            for size in 0..=info.len() {
                let data =
                    sections(&[(Kind::Info, &info[..size]), (Kind::Abbrev, &abbreviations), (Kind::Line, &info)]);
                let _ = patches(&data);
            }
        }
    }
}

#[test]
fn parts_of_a_section_join_without_a_seam() {
    let data: Vec<u8> = (0..16).collect();
    let patches = [Patch { offset: 1, target: Kind::Str }, Patch { offset: 9, target: Kind::Line }];
    let mut bases = PerKind::<u64>::default();
    (*bases.of_mut(Kind::Str), *bases.of_mut(Kind::Line)) = (0x100, 0x1_0000);
    let mut whole = data.clone();
    apply(&data, &patches, &bases, 0, &mut whole);
    assert_eq!(whole, [0, 1, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 12, 13, 14, 15]);
    for cut in 0..=data.len() {
        let mut parts = data.clone();
        let (first, second) = parts.split_at_mut(cut);
        apply(&data, &patches, &bases, 0, first);
        apply(&data, &patches, &bases, cut as u64, second);
        assert_eq!(parts, whole, "{cut}");
    }
}
