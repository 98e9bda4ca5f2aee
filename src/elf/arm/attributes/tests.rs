#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::*;

/// A section with one subsection of `vendor`, and in it a part that concerns the whole file.
fn section_of(vendor: &[u8], values: &[u8]) -> Vec<u8> {
    let mut part = vec![1];
    part.extend((values.len() as u32 + 5).to_le_bytes());
    part.extend(values);
    let mut section = vec![b'A'];
    section.extend((part.len() as u32 + vendor.len() as u32 + 5).to_le_bytes());
    section.extend(vendor);
    section.push(0);
    section.extend(part);
    section
}

fn parsed(values: &[u8]) -> Attributes {
    Attributes::parse(&section_of(b"aeabi", values)).unwrap()
}

/// Attributes with these numbers.
fn numbers(values: &[(u64, u64)]) -> Attributes {
    let mut bytes = Vec::new();
    for (tag, value) in values {
        uleb128(&mut bytes, *tag);
        uleb128(&mut bytes, *value);
    }
    parsed(&bytes)
}

/// The value that two objects' values of a tag give.
fn merged(tag: u64, one: u64, other: u64) -> Option<u64> {
    let mut merger = Merger::default();
    merger.add("a.o", &numbers(&[(tag, one)])).unwrap();
    let result = merger.add("b.o", &numbers(&[(tag, other)]));
    match result {
        Ok(warnings) if warnings.is_empty() => Some(merger.merged.number(tag)),
        _ => None,
    }
}

/// What GCC 12 writes for `-march=armv7-a -mfpu=vfpv3-d16 -mfloat-abi=hard -O2`.
#[test]
fn what_a_compiler_writes_is_read_and_written() {
    let values = [
        5, b'7', b'-', b'A', 0, 6, 10, 7, b'A', 8, 1, 9, 2, 10, 4, 18, 4, 20, 1, 21, 1, 23, 3, 24, 1, 25, 1, 26, 2, 28,
        1, 30, 2, 34, 1,
    ];
    let section = section_of(b"aeabi", &values);
    let attributes = Attributes::parse(&section).unwrap();
    assert_eq!(attributes.write(), section);
    assert_eq!(attributes.float_arguments(), Some(1));
    assert_eq!(attributes.number(CPU_ARCH), 10);
    assert_eq!(Attributes::default().write(), [0_u8; 0]);
    assert_eq!(Attributes::default().float_arguments(), None);
}

#[test]
fn what_may_be_passed_over_is() {
    // Another vendor's subsection, parts about a section and a symbol, and unknown tags that say so themselves.
    let mut section = section_of(b"gnu", &[200, 200, 200]);
    let mut own = section_of(b"aeabi", &[6, 10, 127, b'x', 0, 126, 9, 0xc1, 1, b'y', 0, 4, b'r', 0, 32, 1, b'v', 0]);
    own.extend([2, 8, 0, 0, 0, 1, 0, 6, 3, 7, 0, 0, 0, 1, 0]);
    let length = own.len() as u32 - 1;
    own[1..5].copy_from_slice(&length.to_le_bytes());
    section.extend(&own[1..]);
    let attributes = Attributes::parse(&section).unwrap();
    assert_eq!(attributes.numbers, BTreeMap::from([(6, 10)]));
    assert_eq!(attributes.write(), section_of(b"aeabi", &[6, 10]));
}

#[test]
fn broken_sections_are_refused() {
    let whole = section_of(b"aeabi", &[5, b'7', 0, 6, 10, 67, b'2', 0]);
    for length in 0..whole.len() {
        // The version alone is an empty list.
        assert_eq!(Attributes::parse(&whole[..length]).is_ok(), length == 1, "{length}");
    }
    let error = |section: &[u8]| Attributes::parse(section).unwrap_err();
    assert_eq!(error(b"B"), "at offset 0x0: the version is not 'A'");
    assert_eq!(error(&section_of(b"aeabi", &[33, b'x', 0])), "attribute 33 is not known, and may not be passed over");
    assert_eq!(
        error(&section_of(b"aeabi", &[0xa1, 1, b'x', 0])),
        "attribute 161 is not known, and may not be passed over"
    );
    assert_eq!(error(&section_of(b"aeabi", &[32, 2, b'x', 0])), "only tools of 'x' can process this object");
    assert_eq!(error(&section_of(b"aeabi", &[6])), "at offset 0x11: an attribute's number is cut off");
}

/// *The target-related attributes*, *The procedure call-related attributes*: tag, two values, and what they give together.
#[test]
fn each_rule_is_kept() {
    let rows: &[(u64, u64, u64, Option<u64>)] = &[
        (6, 2, 10, Some(10)),
        (6, 0, 6, Some(6)),
        (6, 7, 8, Some(10)), // v6KZ and v6T2 give v7: *Combining two values of the same tag*
        (6, 9, 8, Some(10)),
        (6, 9, 7, Some(7)),
        (6, 10, 14, Some(14)),
        (6, 14, 20, Some(20)),
        (6, 10, 13, Some(13)),
        (6, 11, 10, Some(10)),
        (6, 14, 15, None),
        (6, 14, 17, None),
        (6, 6, 11, None),
        (6, 10, 99, None),
        (7, 0, 0x41, Some(0x41)),
        (7, 0x53, 0x52, Some(0x52)),
        (7, 0x41, 0x4d, None),
        (7, 0x41, 0x52, None),
        (8, 0, 1, Some(1)),
        (10, 4, 3, Some(3)),
        (10, 3, 6, Some(5)), // 32 registers of version 3 and 16 of version 4
        (10, 8, 5, Some(7)),
        (10, 0, 4, Some(4)),
        (10, 2, 1, Some(2)),
        (12, 1, 2, Some(2)),
        (13, 2, 3, Some(0)),
        (13, 2, 2, Some(2)),
        (14, 3, 1, Some(1)),
        (14, 0, 1, None),
        (15, 0, 1, Some(0)),
        (17, 1, 2, Some(2)),
        (18, 0, 4, Some(4)),
        (18, 2, 4, None),
        (20, 1, 2, Some(1)),
        (20, 0, 2, Some(2)),
        (24, 1, 2, Some(1)),
        (24, 4, 1, Some(4)),
        (25, 0, 1, Some(0)),
        (26, 1, 2, None),
        (26, 3, 2, Some(2)),
        (26, 0, 1, Some(1)),
        (28, 1, 1, Some(1)),
        (28, 3, 1, Some(1)),
        (28, 3, 0, Some(0)),
        (28, 0, 1, None),
        (28, 1, 2, None),
        (30, 2, 4, Some(0)),
        (38, 1, 2, None),
        (38, 0, 2, Some(2)),
        (44, 1, 0, Some(0)),
        (44, 1, 2, Some(2)),
        (68, 1, 2, Some(3)),
        (74, 1, 0, Some(0)),
    ];
    for (tag, one, other, expected) in rows {
        assert_eq!(merged(*tag, *one, *other), *expected, "tag {tag}: {one} and {other}");
        assert_eq!(merged(*tag, *other, *one), *expected, "tag {tag}: {other} and {one}");
    }
}

#[test]
fn rules_ascend_and_are_complete() {
    assert!(RULES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    // Table 1 of the document: every tag with a number, but the ones of structure and Tag_nodefaults.
    for tag in (6..=31).chain([34, 36, 38, 42, 44, 46, 48, 66, 68]) {
        assert!(RULES.iter().any(|(known, _)| *known == tag), "{tag}");
    }
}

#[test]
fn differing_float_abis_are_told_with_both_objects() {
    let mut merger = Merger::default();
    merger.add("x.o", &numbers(&[(6, 10)])).unwrap();
    merger.add("hard.o", &numbers(&[(6, 10), (28, 1)])).unwrap();
    // What says nothing goes with any.
    merger.add("asm.o", &numbers(&[(6, 10)])).unwrap();
    merger.add("none.o", &Attributes::default()).unwrap();
    let problems = merger.add("soft.o", &numbers(&[(6, 10), (28, 0)])).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "soft.o: passes floating-point numbers in the way 'in core registers' (-mfloat-abi=soft or softfp), but hard.o \
          passes floating-point numbers in the way 'in VFP registers' (-mfloat-abi=hard)"
        ]
    );
}

#[test]
fn doubts_are_warnings() {
    let mut merger = Merger::default();
    merger.add("a.o", &numbers(&[(18, 4), (26, 2)])).unwrap();
    let warnings = merger.add("b.o", &numbers(&[(18, 2), (26, 1)])).unwrap();
    assert_eq!(
        warnings,
        [
            "b.o: has wchar_t of size 2, but a.o has wchar_t of size 4",
            "b.o: has enumerations of kind 'as small as can be' (-fshort-enums), but a.o has enumerations of kind '32 bits'",
        ]
    );
    // The first stays.
    assert_eq!((merger.merged.number(18), merger.merged.number(26)), (4, 2));
}

#[test]
fn the_name_of_the_processor_goes_with_its_architecture() {
    let named = |name: &[u8], arch: u8| parsed(&[&[5], name, &[0, 6, arch]].concat());
    let cpu = |objects: &[Attributes]| {
        let mut merger = Merger::default();
        objects.iter().for_each(|object| drop(merger.add("o", object).unwrap()));
        String::from_utf8(merger.merged.cpu).unwrap()
    };
    assert_eq!(cpu(&[named(b"5TE", 4), named(b"7-A", 10)]), "7-A");
    assert_eq!(cpu(&[named(b"7-A", 10), named(b"5TE", 4)]), "7-A");
    assert_eq!(cpu(&[named(b"6KZ", 7), named(b"6T2", 8)]), "");
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Attributes::parse(&bytes);
        let _ = Attributes::parse(&section_of(b"aeabi", &bytes));
    }

    #[test]
    fn what_is_merged_can_be_read(
        objects in proptest::collection::vec(proptest::collection::vec((0..RULES.len(), 0..30_u64), 0..8), 1..5)
    ) {
        let mut merger = Merger::default();
        for object in &objects {
            let values: Vec<_> = object.iter().map(|(rule, value)| (RULES[*rule].0, *value)).collect();
            let _ = merger.add("o", &numbers(&values));
        }
        let written = merger.merged.write();
        let read = Attributes::parse(&written).unwrap();
        prop_assert_eq!(read.write(), written);
    }
}
