//! The room as a whole: made-up sections, real ones, broken ones.

use std::collections::BTreeMap;

use gimli::UnwindSection as _;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
use object::{Object as _, ObjectSection as _};
use proptest::prelude::*;

use super::eh_frame::{Cie, Fde, Kind, Record, TERMINATOR, descriptions, records};
use super::eh_frame_hdr::{self, Entry, Table};
use super::join::{Joined, join};
use super::pointer::{Bases, Encoding, Stored};
use crate::reader::{Malformed, Reader};

/// A CIE as LLVM writes it for x86-64: `zR`, `pcrel sdata4`.
const CIE: [u8; 24] = [0x14, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 0x10, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0];

/// An FDE of `size` bytes that stands `distance` bytes behind its CIE's start and describes `range` bytes at `begin`
/// (both 4 bytes).
fn fde(size: usize, distance: usize, begin: u32, range: u32) -> Vec<u8> {
    let mut bytes = vec![0; size];
    bytes[..4].copy_from_slice(&(size as u32 - 4).to_le_bytes());
    bytes[4..8].copy_from_slice(&(distance as u32 + 4).to_le_bytes());
    bytes[8..12].copy_from_slice(&begin.to_le_bytes());
    bytes[12..16].copy_from_slice(&range.to_le_bytes());
    bytes
}

fn all(section: &[u8]) -> Result<Vec<Record>, Malformed> {
    records(section).collect()
}

fn what(result: Result<Vec<Record>, Malformed>) -> (u64, &'static str) {
    let malformed = result.unwrap_err();
    (malformed.offset, malformed.what)
}

#[test]
fn reads_both_length_forms_and_terminators() {
    let mut section = CIE.to_vec();
    section.extend(fde(20, 24, 0, 8));
    section.extend(TERMINATOR);
    // The 64-bit form: length in 12 bytes, CIE pointer in 4.
    section.extend([0xff, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0, 0, 0, 0]);
    section.extend((48_u32 + 12).to_le_bytes());
    section.extend([0; 12]);
    let cie = Record { offset: 0, size: 24, kind: Kind::Cie };
    let short = Record { offset: 24, size: 20, kind: Kind::Fde { cie_offset: 0, pc_begin_offset: 32 } };
    let end = Record { offset: 44, size: 4, kind: Kind::Terminator };
    let long = Record { offset: 48, size: 28, kind: Kind::Fde { cie_offset: 0, pc_begin_offset: 64 } };
    assert_eq!(all(&section), Ok(vec![cie, short, end, long]));
    assert_eq!(all(&[]), Ok(vec![]));
}

#[test]
fn refuses_what_breaks_a_rule() {
    for (bytes, offset, sentence) in [
        (&[1, 2, 3][..], 0, "an exception frame record's length is cut off"),
        (&[0xff, 0xff, 0xff, 0xff, 8, 0], 4, "an exception frame record's 64-bit length is cut off"),
        (&[0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0], 0, "an exception frame record's length is a value reserved by DWARF"),
        (&[3, 0, 0, 0, 0, 0, 0, 0], 0, "an exception frame record is too short for its CIE id"),
        (&[8, 0, 0, 0, 0, 0, 0, 0], 0, "an exception frame record reaches beyond the section"),
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            0,
            "an exception frame record reaches beyond the section",
        ),
        (&[4, 0, 0, 0, 5, 0, 0, 0], 4, "a frame description's CIE pointer leads to before the section"),
    ] {
        assert_eq!(what(all(bytes)), (offset, sentence), "{bytes:x?}");
        assert_eq!(records(bytes).filter(Result::is_err).count(), 1, "{bytes:x?}");
    }
    // A CIE pointer that leads to an FDE, or into a record.
    for distance in [20, 24, 40] {
        let mut section = CIE.to_vec();
        section.extend(fde(20, 24, 0, 8));
        section.extend(fde(20, distance, 0, 8));
        let expected = Malformed { offset: 44, what: "a frame description's CIE pointer leads to no CIE" };
        assert_eq!(join(&section, |_| true), Err(expected));
        assert_eq!(descriptions(&section, 8).last(), Some(Err(expected)));
        // What follows is read all the same.
        section.extend(fde(20, 64, 0, 8));
        let found: Vec<_> = descriptions(&section, 8).collect();
        assert!(matches!(found[..], [Ok(_), Err(problem), Ok(_)] if problem == expected), "{found:?}");
    }
}

#[test]
fn reads_every_pointer_encoding() {
    let bytes = [0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x92];
    for (encoding, address_size, size, value) in [
        (Encoding::ABSPTR, 8, 8, 0x9234_5678_9abc_def0_u64),
        (Encoding::ABSPTR, 4, 4, 0x9abc_def0),
        (Encoding(0x08), 4, 4, 0xffff_ffff_9abc_def0),
        (Encoding(0x08), 8, 8, 0x9234_5678_9abc_def0),
        (Encoding::UDATA2, 8, 2, 0xdef0),
        (Encoding::SDATA2, 8, 2, 0xffff_ffff_ffff_def0),
        (Encoding::UDATA4, 8, 4, 0x9abc_def0),
        (Encoding::SDATA4, 8, 4, 0xffff_ffff_9abc_def0),
        (Encoding::UDATA8, 4, 8, 0x9234_5678_9abc_def0),
        (Encoding::SDATA8, 4, 8, 0x9234_5678_9abc_def0),
        // 0xf0 | 0xde << 7 | … | 0x56 << 28, seven bits of each.
        (Encoding::ULEB128, 8, 5, 0x70 | 0x5e << 7 | 0x3c << 14 | 0x1a << 21 | 0x78 << 28),
        (Encoding::SLEB128, 8, 5, (0x70 | 0x5e << 7 | 0x3c << 14 | 0x1a << 21 | 0x78 << 28) | u64::MAX << 35),
    ] {
        let mut reader = Reader::new(&bytes);
        assert_eq!(encoding.read(&mut reader, address_size), Ok(Stored { offset: 0, size, value }), "{encoding:?}");
        assert_eq!(reader.offset(), size);
        let fixed = !matches!(encoding, Encoding::ULEB128 | Encoding::SLEB128);
        assert_eq!(encoding.size(address_size), fixed.then_some(size as u8), "{encoding:?}");
    }
    for meaningless in [0x05, 0x06, 0x07, 0x0d, 0x0e, 0x0f] {
        assert!(Encoding(meaningless).read(&mut Reader::new(&bytes), 8).is_err());
        assert_eq!(Encoding(meaningless).size(8), None);
    }
    assert!(Encoding::OMIT.read(&mut Reader::new(&bytes), 8).is_err());
    assert_eq!(Encoding::OMIT.size(8), Some(0));
    assert!(!Encoding::OMIT.is_indirect());
    assert!(Encoding(0x9b).is_indirect());

    // An aligned pointer skips to the next multiple of its size.
    let mut reader = Reader::at(&[0, 0, 0, 0, 1, 2, 3, 4], 1, "").unwrap();
    let aligned = Stored { offset: 4, size: 4, value: 0x0403_0201 };
    assert_eq!(Encoding(Encoding::ALIGNED).read(&mut reader, 4), Ok(aligned));
}

#[test]
fn resolves_against_every_base() {
    let bases = Bases { section: Some(0x1000), text: Some(0x2000), data: Some(0x3000), function: Some(0x4000) };
    let stored = Stored { offset: 0x20, size: 4, value: (-0x10_i64).cast_unsigned() };
    for (application, value) in [
        (0, 0xffff_ffff_ffff_fff0),
        (Encoding::PCREL, 0x1010),
        (Encoding::TEXTREL, 0x1ff0),
        (Encoding::DATAREL, 0x2ff0),
        (Encoding::FUNCREL, 0x3ff0),
    ] {
        let encoding = Encoding::SDATA4.relative(application);
        assert_eq!(encoding.resolve(stored, &bases, 8), Some(value));
        assert_eq!(encoding.resolve(stored, &bases, 4), Some(value & 0xffff_ffff));
        let unknown = encoding.resolve(stored, &Bases::default(), 8);
        assert_eq!(unknown.is_none(), application != 0);
        assert_eq!(encoding.resolve(Stored { value: 0, ..stored }, &bases, 8), Some(0));
    }
    assert_eq!(Encoding(0x6b).resolve(stored, &bases, 8), None);
}

/// A CIE with the given version, augmentation string and everything behind the return address register.
fn cie(version: u8, augmentation: &[u8], between: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.push(version);
    bytes.extend(augmentation);
    bytes.push(0);
    bytes.extend(between);
    bytes.extend([1, 0x78, 16]);
    bytes.extend(behind);
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn reads_every_augmentation() {
    let plain = cie(1, b"", &[], &[]);
    let plain = Cie::parse(&plain, 0, 8).unwrap();
    assert_eq!((plain.fde_encoding, plain.has_augmentation_data), (Encoding::ABSPTR, false));

    // What GCC writes for C++: personality, language-specific data, addresses.
    let bytes = cie(1, b"zPLR", &[], &[7, 0x9b, 0x11, 0x22, 0x33, 0x44, 0x1b, 0x1b, 0x0c, 7, 8]);
    let full = Cie::parse(&bytes, 0, 8).unwrap();
    let personality = full.personality.unwrap();
    assert_eq!(personality.encoding, Encoding(0x9b));
    assert_eq!(personality.pointer, Stored { offset: 19, size: 4, value: 0x4433_2211 });
    assert_eq!(full.lsda_encoding, Some(Encoding(0x1b)));
    assert_eq!(full.fde_encoding, Encoding(0x1b));
    assert!(!full.signal_frame);

    let bytes = cie(1, b"zRS", &[], &[1, 0x1b]);
    assert!(Cie::parse(&bytes, 0, 8).unwrap().signal_frame);
    let bytes = cie(3, b"zRB", &[], &[1, 0x1b]);
    assert_eq!(Cie::parse(&bytes, 0, 8).unwrap().fde_encoding, Encoding(0x1b));
    let bytes = cie(4, b"zR", &[8, 0], &[1, 0x1b]);
    assert_eq!(Cie::parse(&bytes, 0, 8).unwrap().version, 4);
    let bytes = cie(1, b"eh", &[1, 2, 3, 4], &[]);
    assert_eq!(Cie::parse(&bytes, 0, 4).unwrap().eh_data.unwrap().value, 0x0403_0201);
    // Letters behind an unknown one are not understood, and their data is passed over.
    let bytes = cie(1, b"zR?L", &[], &[3, 0x1b, 5, 6]);
    let unknown = Cie::parse(&bytes, 0, 8).unwrap();
    assert_eq!((unknown.fde_encoding, unknown.lsda_encoding), (Encoding(0x1b), None));

    for (bytes, sentence) in [
        (cie(2, b"zR", &[], &[1, 0x1b]), "a CIE's version is not 1, 3 or 4"),
        (cie(4, b"zR", &[4, 0], &[1, 0x1b]), "a CIE's address size is not that of the target"),
        (cie(4, b"zR", &[8, 1], &[1, 0x1b]), "a CIE has segment selectors"),
        (cie(1, b"armcc+", &[], &[]), "a CIE's augmentation is of an unknown layout"),
        (cie(1, b"zR", &[], &[2, 0x1b]), "a CIE's augmentation data reaches beyond the CIE"),
        (cie(1, b"zRL", &[], &[1, 0x1b]), "a CIE's augmentation data is too short for its augmentation string"),
        (cie(1, b"zP", &[], &[3, 0x1b, 0, 0]), "an encoded pointer is cut off"),
        (fde(20, 0, 0, 0), "a CIE pointer leads to something that is no CIE"),
        (TERMINATOR.to_vec(), "a CIE pointer leads to something that is no CIE"),
    ] {
        assert_eq!(Cie::parse(&bytes, 0, 8).unwrap_err().what, sentence);
    }
}

#[test]
fn reads_a_description() {
    let mut section = cie(1, b"zPLR", &[], &[7, 0x9b, 0, 0, 0, 0, 0x1b, 0x1b]);
    let start = section.len();
    let mut description = fde(28, start, 0xffff_f000, 0xffff_fff0);
    description[16] = 4;
    description[17..21].copy_from_slice(&7_u32.to_le_bytes());
    section.extend(description);
    let found: Vec<Fde> = descriptions(&section, 8).collect::<Result<_, _>>().unwrap();
    let [found] = found.as_slice() else { panic!("{found:?}") };
    let begin = start as u64 + 8;
    assert_eq!(found.pc_begin, Stored { offset: begin, size: 4, value: 0xffff_ffff_ffff_f000 });
    assert_eq!(found.function(0x10000, 8), Some(0x10000 + begin - 0x1000));
    assert_eq!(found.pc_range, 0xffff_fff0);
    assert_eq!(found.lsda, Some(Stored { offset: begin + 9, size: 4, value: 7 }));
}

#[test]
fn a_trailing_terminator_alone_is_cut_in_place() {
    let mut section = CIE.to_vec();
    section.extend(fde(20, 24, 0, 8));
    let whole = join(&section, |_| true).unwrap();
    assert!(whole.is_identity());
    assert_eq!((whole.size, &whole.patches), (44, &vec![]));
    section.extend(TERMINATOR);
    assert_eq!(join(&section, |_| true).unwrap(), whole);
    // crtend.o.
    let end = join(&TERMINATOR, |_| true).unwrap();
    assert_eq!((end.is_identity(), end.size, end.label_offset(0), end.output_offset(0)), (true, 0, 0, None));
}

#[test]
fn dropped_records_move_the_others() {
    let mut section = CIE.to_vec(); // 0
    section.extend(fde(20, 24, 1, 8)); // 24, goes
    section.extend(fde(28, 44, 2, 8)); // 44
    section.extend(TERMINATOR); // 72, goes
    section.extend(CIE); // 76, goes with its only description
    section.extend(fde(20, 24, 3, 8)); // 100, goes
    section.extend(fde(20, 120, 4, 8)); // 120, uses the first CIE
    let begin = |record: &Record| section[record.offset as usize + 8];
    let joined = join(&section, |record| ![1, 3].contains(&begin(record))).unwrap();
    assert!(!joined.is_identity());
    assert_eq!(joined.size, 24 + 28 + 20);
    let places: Vec<_> = joined.pieces.iter().map(|piece| (piece.input.clone(), piece.output_offset)).collect();
    assert_eq!(places, [(0..24, 0), (44..72, 24), (120..140, 52)]);
    let patches: Vec<_> = joined.patches.iter().map(|patch| (patch.output_offset, patch.value)).collect();
    assert_eq!(patches, [(28, 28), (56, 56)]);
    let mut expected = CIE.to_vec();
    expected.extend(fde(28, 24, 2, 8));
    expected.extend(fde(20, 52, 4, 8));
    assert_eq!(joined.contents(&section), expected);
    for (input, output, label) in [
        (0, Some(0), 0),
        (23, Some(23), 23),
        (24, None, 24),
        (43, None, 24),
        (44, Some(24), 24),
        (71, Some(51), 51),
        (72, None, 52),
        (119, None, 52),
        (120, Some(52), 52),
        (139, Some(71), 71),
        (140, None, 72),
        (u64::MAX, None, 72),
    ] {
        assert_eq!((joined.output_offset(input), joined.label_offset(input)), (output, label), "{input}");
    }
}

#[test]
fn a_cie_that_moves_with_its_descriptions_needs_no_patch() {
    let mut section = CIE.to_vec();
    section.extend(fde(20, 24, 1, 8));
    section.extend(CIE);
    section.extend(fde(20, 24, 2, 8));
    let joined = join(&section, |record| record.offset > 44).unwrap();
    assert_eq!(joined.contents(&section), section[44..]);
    assert!(joined.patches.is_empty() && !joined.is_identity());
}

#[test]
fn the_table_is_sorted_without_duplicates_and_can_be_written_in_parts() {
    let entry = |function, length, description| Entry { function, length, description };
    let entries = vec![
        entry(0x5000, 8, 0x2100),
        entry(0x4000, 0, 0x2180),
        entry(0x4000, 16, 0x21c0),
        entry(0x4000, 16, 0x21a0),
        entry(0x4800, 8, 0x2140),
    ];
    let size = eh_frame_hdr::size(entries.len() as u64);
    assert_eq!(size, 12 + 5 * 8);
    let mut expected = vec![1, 0x1b, 0x03, 0x3b];
    let numbers = [0xffc, 3, 0x3000, 0x11a0, 0x3800, 0x1140, 0x4000, 0x1100, 0, 0, 0, 0_u32];
    expected.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    let mut turned = entries.clone();
    for _ in 0..entries.len() {
        turned.rotate_left(1);
        let table = Table::new(0x1000, 0x2000, turned.clone()).unwrap();
        assert_eq!((table.len(), table.size()), (3, size));
        for start in 0..=expected.len() {
            for end in start..=expected.len() {
                let mut part = vec![0xaa; end - start];
                table.write_at(start as u64, &mut part);
                assert_eq!(part, expected[start..end], "{start}..{end}");
            }
        }
    }
}

#[test]
fn distances_beyond_32_bits_leave_the_table_out() {
    let near = Entry { function: 0x1000 + 0x7fff_ffff, length: 1, description: 0 };
    assert_eq!(Table::new(0x1000, 0x2000, vec![near]).unwrap().len(), 1);
    let far = Entry { function: 0x1000 + 0x8000_0000, ..near };
    let table = Table::new(0x1000, 0x2000, vec![near, far]).unwrap();
    let mut bytes = vec![0xaa; table.size() as usize];
    table.write_at(0, &mut bytes);
    assert_eq!(table.len(), 0);
    let mut expected = vec![1, 0x1b, 0xff, 0xff, 0xfc, 0x0f, 0, 0];
    expected.resize(12 + 2 * 8, 0);
    assert_eq!(bytes, expected);

    assert!(Table::new(0, 4 + 0x7fff_ffff, vec![]).is_ok());
    assert_eq!(Table::new(0, 4 + 0x8000_0000, vec![]).unwrap_err().distance, 0x8000_0000);
    assert!(Table::new(0x8000_0000, 4, vec![]).is_ok());
    assert_eq!(Table::new(0x8000_0001, 4, vec![]).unwrap_err().distance, -0x8000_0001);
}

/// `.eh_frame` with absolute addresses that name each FDE, read by an independent reader: address → return address
/// column of the CIE, which names that one.
fn meaning(section: &[u8]) -> BTreeMap<u64, u16> {
    let bases = gimli::BaseAddresses::default();
    let section = gimli::EhFrame::new(section, gimli::LittleEndian);
    let mut entries = section.entries(&bases);
    let mut found = BTreeMap::new();
    while let Some(entry) = entries.next().unwrap() {
        if let gimli::CieOrFde::Fde(partial) = entry {
            let fde = partial.parse(|section, bases, offset| section.cie_from_offset(bases, offset)).unwrap();
            let double = found.insert(fde.initial_address(), fde.cie().return_address_register().0);
            assert_eq!(double, None);
        }
    }
    found
}

#[derive(Debug, Clone)]
enum Made {
    Cie,
    /// Uses the CIE so many before (modulo their number), has so many words of padding, and stays or goes.
    Fde(usize, usize, bool),
    Terminator,
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let record = prop_oneof![
        2 => Just(Made::Cie),
        8 => (0..4_usize, 0..4_usize, any::<bool>()).prop_map(|(cie, padding, keep)| Made::Fde(cie, padding, keep)),
        1 => Just(Made::Terminator),
    ];
    proptest::collection::vec(record, 0..40)
}

proptest! {
    #[test]
    fn joining_keeps_every_kept_description(records in made()) {
        let mut section = Vec::new();
        let mut cies = Vec::new();
        let mut expected = BTreeMap::new();
        let mut kept = Vec::new();
        for (index, record) in records.iter().enumerate() {
            match record {
                Made::Cie => {
                    let (start, number) = (section.len(), cies.len() as u8);
                    section.extend(cie(1, b"", &[], &[0]));
                    // The return address register names the CIE.
                    section[start + 12] = number;
                    cies.push((start, number));
                }
                Made::Fde(back, padding, keep) => {
                    let Some((cie, number)) = cies.len().checked_sub(1 + back % cies.len().max(1)).map(|at| cies[at]) else { continue };
                    let start = section.len();
                    let size = 24 + padding * 4;
                    section.extend(((size - 4) as u32).to_le_bytes());
                    section.extend(((start + 4 - cie) as u32).to_le_bytes());
                    section.extend((index as u64 + 1).to_le_bytes());
                    section.extend(1_u64.to_le_bytes());
                    section.resize(start + size, 0);
                    kept.push(*keep);
                    if *keep {
                        expected.insert(index as u64 + 1, u16::from(number));
                    }
                }
                Made::Terminator => section.extend(TERMINATOR),
            }
        }
        let mut asked = kept.iter();
        let joined = join(&section, |_| *asked.next().unwrap()).unwrap();
        prop_assert_eq!(asked.next(), None);
        let mut contents = joined.contents(&section);
        prop_assert_eq!(contents.len() as u64, joined.size);
        prop_assert_eq!(joined.is_identity(), section.starts_with(&contents) && joined.pieces.len() <= 1);
        // No terminator before the end, and nothing that is not used.
        prop_assert!(all(&contents).unwrap().iter().all(|record| record.kind != Kind::Terminator));
        let again = join(&contents, |_| true).unwrap();
        prop_assert!(again.is_identity() && again.size == joined.size);
        contents.extend(TERMINATOR);
        prop_assert_eq!(meaning(&contents), expected);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), keep in any::<u64>()) {
        exercise(&bytes, keep);
    }

    #[test]
    fn any_table_agrees_with_an_independent_search(
        functions in proptest::collection::vec((0..1_000_u64, 0..8_u64, 0..100_u64), 1..60),
    ) {
        let entries = functions.iter().map(|&(function, length, at)| Entry {
            function: 0x10_0000 + function * 8, length, description: 0x20_0000 + at * 4,
        });
        let entries: Vec<Entry> = entries.collect();
        let table = Table::new(0x1000, 0x20_0000, entries.clone()).unwrap();
        let mut bytes = vec![0; table.size() as usize];
        table.write_at(0, &mut bytes);
        let bases = gimli::BaseAddresses::default().set_eh_frame_hdr(0x1000).set_eh_frame(0x20_0000);
        let parsed = gimli::EhFrameHdr::new(&bytes, gimli::LittleEndian).parse(&bases, 8).unwrap();
        prop_assert_eq!(parsed.eh_frame_ptr(), gimli::Pointer::Direct(0x20_0000));
        let search = parsed.table().unwrap();
        for entry in &entries {
            let best = entries.iter().filter(|other| other.function == entry.function);
            let best = best.min_by_key(|other| (u64::MAX - other.length, other.description)).unwrap();
            let found = search.lookup(entry.function, &bases).unwrap();
            prop_assert_eq!(found, gimli::Pointer::Direct(best.description));
        }
    }
}

/// Calls everything with `section`, and checks what must hold for any bytes.
fn exercise(section: &[u8], keep: u64) {
    let found = records(section);
    let mut end = 0;
    for record in found.map_while(Result::ok) {
        assert_eq!(record.offset, end, "records follow each other");
        assert!(record.size >= 4);
        end = record.end();
        for address_size in [4, 8] {
            let _ = Cie::parse(section, record.offset, address_size);
        }
    }
    assert!(end <= section.len() as u64);
    for address_size in [4, 8] {
        for description in descriptions(section, address_size).map_while(Result::ok) {
            let record = description.record;
            let field = description.pc_begin;
            assert!(record.offset < field.offset && field.offset + field.size <= record.end());
            description.function(0x1000, address_size);
        }
    }
    let mut count = 0;
    let joined = join(section, |_| {
        count += 1;
        keep >> (count % 64) & 1 == 0
    });
    if let Ok(joined) = joined {
        check_joined(section, &joined);
    }
}

fn check_joined(section: &[u8], joined: &Joined) {
    let contents = joined.contents(section);
    assert_eq!(contents.len() as u64, joined.size);
    assert!(join(&contents, |_| true).is_ok_and(|again| again.is_identity() && again.size == joined.size));
    for piece in &joined.pieces {
        assert_eq!(joined.output_offset(piece.input.start), Some(piece.output_offset));
    }
    if joined.is_identity() {
        assert!(section.starts_with(&contents) && joined.patches.is_empty());
    }
}

#[test]
fn every_single_changed_byte_is_survived() {
    let mut section = CIE.to_vec();
    section.extend(fde(20, 24, 1, 8));
    section.extend(cie(1, b"zPLR", &[], &[7, 0x9b, 0, 0, 0, 0, 0x1b, 0x1b]));
    section.extend(fde(28, section.len() - 44, 2, 8));
    section.extend(fde(20, section.len(), 3, 8));
    section.extend(TERMINATOR);
    assert!(join(&section, |_| true).is_ok());
    for at in 0..section.len() {
        for value in 0..=u8::MAX {
            let mut changed = section.clone();
            changed[at] = value;
            exercise(&changed, 0b0110);
        }
    }
    for length in 0..section.len() {
        exercise(&section[..length], 0);
    }
}

/// Files that every host with a C compiler has; on others this is not tested.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
mod real {
    use super::*;

    const ADDRESS_SIZE: u8 = size_of::<usize>() as u8;

    /// A file of the C compiler's.
    fn compiler_file(name: &str) -> Vec<u8> {
        let output = std::process::Command::new("cc").arg(format!("-print-file-name={name}")).output();
        let output = output.expect("`cc` does not start: install the package gcc");
        let path = String::from_utf8(output.stdout).unwrap();
        std::fs::read(path.trim_end()).unwrap_or_else(|error| panic!("{name}: {error}: install the package libc6-dev"))
    }

    fn eh_frame(file: &[u8]) -> Option<Vec<u8>> {
        let file = object::File::parse(file).unwrap();
        Some(file.section_by_name(".eh_frame")?.data().unwrap().to_vec())
    }

    #[test]
    fn an_end_file_contributes_nothing() {
        let end = eh_frame(&compiler_file("crtendS.o")).unwrap();
        assert_eq!(end, TERMINATOR);
        let joined = join(&end, |_| true).unwrap();
        assert!(joined.is_identity() && joined.size == 0);
    }

    #[test]
    fn startup_code_is_survived_with_every_changed_byte() {
        let start = eh_frame(&compiler_file("Scrt1.o")).unwrap();
        let joined = join(&start, |_| true).unwrap();
        assert!(joined.is_identity());
        assert_eq!(joined.contents(&start), start);
        for at in 0..start.len() {
            for value in 0..=u8::MAX {
                let mut changed = start.clone();
                changed[at] = value;
                exercise(&changed, u64::from(value));
            }
        }
    }

    #[test]
    fn compiler_library_members_are_read_as_gimli_reads_them() {
        let library = compiler_file("libgcc.a");
        let archive = object::read::archive::ArchiveFile::parse(&*library).unwrap();
        let mut total = 0;
        for member in archive.members() {
            let data = member.unwrap().data(&*library).unwrap();
            let Some(section) = eh_frame(data) else { continue };
            let ours: Vec<Fde> = descriptions(&section, ADDRESS_SIZE).collect::<Result<_, _>>().unwrap();
            let bases = gimli::BaseAddresses::default().set_eh_frame(0).set_text(0);
            let mut reader = gimli::EhFrame::new(&section, gimli::LittleEndian);
            reader.set_address_size(ADDRESS_SIZE);
            let mut entries = reader.entries(&bases);
            let mut theirs = Vec::new();
            while let Some(entry) = entries.next().unwrap() {
                if let gimli::CieOrFde::Fde(partial) = entry {
                    let fde = partial.parse(|section, bases, at| section.cie_from_offset(bases, at)).unwrap();
                    theirs.push((fde.offset() as u64, fde.len(), fde.lsda().is_some()));
                }
            }
            let fields = |fde: &Fde| (fde.record.offset, fde.pc_range, fde.lsda.is_some());
            assert_eq!(ours.iter().map(fields).collect::<Vec<_>>(), theirs);
            total += theirs.len();
            // Every other one goes; the rest must be found where the map says.
            let mut count = 0;
            let joined = join(&section, |_| {
                count += 1;
                count % 2 == 0
            });
            let joined = joined.unwrap();
            check_joined(&section, &joined);
            let contents = joined.contents(&section);
            let left: Vec<Fde> = descriptions(&contents, ADDRESS_SIZE).collect::<Result<_, _>>().unwrap();
            let expected = ours.iter().skip(1).step_by(2).map(|fde| joined.output_offset(fde.record.offset).unwrap());
            assert_eq!(left.iter().map(|fde| fde.record.offset).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        assert!(total > 100, "{total} descriptions");
    }

    #[test]
    fn the_table_of_this_program_is_made_again() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(&*file).unwrap();
        let frames = file.section_by_name(".eh_frame").unwrap();
        let table = file.section_by_name(".eh_frame_hdr").unwrap();
        let found = descriptions(frames.data().unwrap(), ADDRESS_SIZE).map(Result::unwrap);
        let entries: Vec<Entry> = found
            .map(|fde| Entry {
                function: fde.function(frames.address(), ADDRESS_SIZE).unwrap(),
                length: fde.pc_range,
                description: frames.address() + fde.record.offset,
            })
            .collect();
        assert!(entries.len() > 1000);
        let ours = Table::new(table.address(), frames.address(), entries).unwrap();
        let theirs = table.data().unwrap();
        let mut bytes = vec![0; theirs.len()];
        ours.write_at(0, &mut bytes);
        assert_eq!(ours.size(), theirs.len() as u64);
        assert!(bytes == theirs, "the table differs from that of the linker that made this program");
    }
}
