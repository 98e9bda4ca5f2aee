#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The dialects of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Gnu,
    Gnu64,
    Bsd,
    /// BSD with 64-bit numbers, names and data padded to 8 bytes, the padding being counted as data.
    Darwin64,
}

const DIALECTS: [Dialect; 4] = [Dialect::Gnu, Dialect::Gnu64, Dialect::Bsd, Dialect::Darwin64];

/// A file to archive: name, contents, names of the symbols that the index is to list.
type TestFile = (String, Vec<u8>, Vec<String>);

/// Writes an archive; without an index if no file lists a symbol.
fn write(dialect: Dialect, files: &[TestFile]) -> Vec<u8> {
    let gnu = matches!(dialect, Dialect::Gnu | Dialect::Gnu64);
    let mut long_names = Vec::new();
    let mut members = Vec::new();
    for (name, data, _) in files {
        members.push(if !gnu {
            bsd_member(dialect, name, data)
        } else if name.len() < 16 {
            member(&format!("{name}/"), data)
        } else {
            let header = format!("/{}", long_names.len());
            long_names.extend_from_slice(format!("{name}/\n").as_bytes());
            member(&header, data)
        });
    }
    let symbols = |offsets: &[u64]| {
        let all = files.iter().zip(offsets).flat_map(|((_, _, symbols), &at)| symbols.iter().map(move |it| (it, at)));
        let all: Vec<_> = all.collect();
        let number = |value: u64| match dialect {
            Dialect::Gnu => (value as u32).to_be_bytes().to_vec(),
            Dialect::Gnu64 => value.to_be_bytes().to_vec(),
            Dialect::Bsd => (value as u32).to_le_bytes().to_vec(),
            Dialect::Darwin64 => value.to_le_bytes().to_vec(),
        };
        let (mut numbers, mut names) = (Vec::new(), Vec::new());
        for (name, offset) in &all {
            if !gnu {
                numbers.extend(number(names.len() as u64));
            }
            numbers.extend(number(*offset));
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        match dialect {
            _ if all.is_empty() => Vec::new(),
            Dialect::Gnu => member("/", &[number(all.len() as u64), numbers, names].concat()),
            Dialect::Gnu64 => member("/SYM64/", &[number(all.len() as u64), numbers, names].concat()),
            Dialect::Bsd | Dialect::Darwin64 => {
                let name = if dialect == Dialect::Bsd { "__.SYMDEF SORTED" } else { "__.SYMDEF_64" };
                let sizes = [numbers.len(), names.len()].map(|size| number(size as u64));
                bsd_member(dialect, name, &[&sizes[0][..], &numbers, &sizes[1], &names].concat())
            }
        }
    };
    let long_names = if long_names.is_empty() { Vec::new() } else { member("//", &long_names) };
    // The size of the index does not depend on the offsets in it.
    let first = MAGIC.len() + symbols(&vec![0; files.len()]).len() + long_names.len();
    let mut at = first as u64;
    let mut offsets = Vec::new();
    for member in &members {
        offsets.push(at);
        at += member.len() as u64;
    }
    [MAGIC.to_vec(), symbols(&offsets), long_names, members.concat()].concat()
}

fn bsd_member(dialect: Dialect, name: &str, data: &[u8]) -> Vec<u8> {
    let padding = |size: usize| if dialect == Dialect::Darwin64 { size.next_multiple_of(8) - size } else { 0 };
    if dialect == Dialect::Bsd && name.len() <= 16 && !name.contains(' ') && !name.ends_with('/') {
        return member(name, data);
    }
    let name = [name.as_bytes(), &vec![0; padding(name.len())]].concat();
    let data = [data, &vec![b'\n'; padding(data.len())]].concat();
    member(&format!("#1/{}", name.len()), &[name, data].concat())
}

fn member(name: &str, data: &[u8]) -> Vec<u8> {
    // Formatting pads by characters, the header counts bytes.
    let name = format!("{name}{}", " ".repeat(16 - name.len()));
    let header = format!("{name}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, data.len());
    assert_eq!(header.len() as u64, HEADER_SIZE);
    let padding: &[u8] = if data.len().is_multiple_of(2) { b"" } else { b"\n" };
    [header.as_bytes(), data, padding].concat()
}

fn message(result: Result<impl Sized, Error>) -> String {
    result.err().expect("an error").to_string()
}

/// Everything that can be asked of an archive, for the sake of asking.
fn exhaust(bytes: &[u8]) {
    let _ = thin_members("test", bytes);
    let Ok(archive) = Archive::parse_thin("test", bytes, &[]) else { return };
    for member in archive.members().map_while(Result::ok) {
        assert_eq!(archive.member(member.id).unwrap().name, member.name);
    }
    if let Ok(index) = archive.index() {
        for (_, id) in index.iter() {
            let _ = archive.member(id);
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    // Names that dialects treat differently: at the length limit, with spaces, with other characters than ASCII.
    prop_oneof!["[a-z]{1,17}", "[a-z]{14}\\.o", "[a-z #]{1,12}[a-z]", "[a-zλ☃]{1,40}"]
}

fn files() -> impl Strategy<Value = Vec<TestFile>> {
    vec((names(), vec(any::<u8>(), 0..40), vec("[a-d]{1,2}", 0..5)), 0..6)
}

proptest! {
    #[test]
    fn what_was_archived_is_read(files in files()) {
        // Contents that look like an archive are another matter.
        prop_assume!(files.iter().all(|(_, data, _)| !data.starts_with(b"!")));
        for dialect in DIALECTS {
            let bytes = write(dialect, &files);
            let archive = Archive::parse("test", &bytes).unwrap();
            let members: Vec<_> = archive.members().map(Result::unwrap).collect();
            prop_assert_eq!(members.len(), files.len());
            let index = archive.index().unwrap();
            for (member, (name, data, _)) in members.iter().zip(&files) {
                prop_assert_eq!(member.name, name.as_bytes());
                let (contents, padding) = member.bytes.split_at(data.len());
                prop_assert_eq!(contents, data);
                prop_assert!(padding.len() < 8 && padding.iter().all(|&byte| byte == b'\n'));
                prop_assert_eq!(archive.member(member.id).unwrap().bytes, member.bytes);
            }
            for symbol in files.iter().flat_map(|(_, _, symbols)| symbols) {
                let definer = files.iter().position(|(_, _, symbols)| symbols.contains(symbol));
                prop_assert_eq!(index.definer(symbol.as_bytes()), definer.map(|at| members[at].id));
            }
            prop_assert_eq!(index.definer(b"absent"), None);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        exhaust(&bytes);
        exhaust(&[if magic { &MAGIC[..] } else { &THIN_MAGIC[..] }, &bytes].concat());
    }
}

#[test]
fn every_changed_byte_is_survived() {
    let object = include_bytes!("../archive.rs");
    let files = [
        ("short.o".to_owned(), object[..33].to_vec(), vec!["one".to_owned(), "two".to_owned()]),
        ("a name of many letters.o".to_owned(), b"x".to_vec(), vec!["three".to_owned()]),
    ];
    for dialect in DIALECTS {
        let bytes = write(dialect, &files);
        for at in 0..bytes.len() {
            for value in [0, b' ', b'/', b'0', b'9', 0xff, bytes[at] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                exhaust(&bytes);
            }
            exhaust(&bytes[..at]);
        }
    }
}

#[test]
fn truncation_names_the_member_and_the_place() {
    let files = [("first.o".to_owned(), vec![1; 10], vec![]), ("second.o".to_owned(), vec![2; 10], vec![])];
    let bytes = write(Dialect::Gnu, &files);
    let read = |bytes: &[u8]| Archive::parse("lib.a", bytes)?.members().try_for_each(|member| member.map(drop));
    read(&bytes).unwrap();
    assert_eq!(
        message(read(&bytes[..bytes.len() - 1])),
        "lib.a: malformed archive at offset 0x4e: the archive ends inside the 10 bytes of member \"second.o\""
    );
    assert_eq!(
        message(read(&bytes[..100])),
        "lib.a: malformed archive at offset 0x4e: the archive ends inside a member's header"
    );
    let mut garbled = bytes.clone();
    garbled[0x4e + 58] = b'x';
    assert_eq!(message(read(&garbled)), "lib.a: malformed archive at offset 0x4e: no member's header stands here");
    garbled[0x4e + 58] = b'`';
    garbled[0x4e + 48] = b'-';
    assert_eq!(
        message(read(&garbled)),
        "lib.a: malformed archive at offset 0x4e: the member's size \"-0\" is no decimal number"
    );
}

#[test]
fn the_last_member_needs_no_padding() {
    let mut bytes = write(Dialect::Gnu, &[("odd.o".to_owned(), vec![7; 3], vec![])]);
    assert_eq!(bytes.pop(), Some(b'\n'));
    let archive = Archive::parse("test", &bytes).unwrap();
    let members: Vec<_> = archive.members().map(Result::unwrap).collect();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].bytes, [7; 3]);
}

#[test]
fn sizes_beyond_32_bits_are_understood() {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&member("big.o", b"")[..48]);
    bytes.extend_from_slice(b"9999999999`\n");
    let archive = Archive::parse("big.a", &bytes).unwrap();
    assert_eq!(
        message(archive.members().next().unwrap()),
        "big.a: malformed archive at offset 0x8: the archive ends inside the 9999999999 bytes of member \"big.o\""
    );
}

#[test]
fn archives_in_archives_are_refused() {
    let inner = write(Dialect::Gnu, &[("a.o".to_owned(), vec![1], vec![])]);
    let outer = write(Dialect::Gnu, &[("inner.a".to_owned(), inner, vec![])]);
    let archive = Archive::parse("outer.a", &outer).unwrap();
    assert_eq!(
        message(archive.members().next().unwrap()),
        "outer.a: member \"inner.a\" at offset 0x8 is an archive itself; link the inner archive"
    );
}

#[test]
fn thin_archives_need_their_files() {
    let mut bytes = write(Dialect::Gnu, &[("a.o".to_owned(), vec![], vec!["f".to_owned()])]);
    bytes[..8].copy_from_slice(THIN_MAGIC);
    assert!(message(Archive::parse("thin.a", &bytes)).contains("thin archive"));
    let members = thin_members("thin.a", &bytes).unwrap();
    let [(id, b"a.o")] = members[..] else { panic!("{members:?}") };
    let files = [(id, Arc::new(Contents::Read(vec![1, 2, 3])))];
    let archive = Archive::parse_thin("thin.a", &bytes, &files).unwrap();
    let definer = archive.index().unwrap().definer(b"f").unwrap();
    assert_eq!(archive.member(definer).unwrap().bytes, [1, 2, 3]);
}

#[test]
fn a_wrong_index_is_an_error() {
    let bytes = write(Dialect::Gnu, &[("a.o".to_owned(), vec![1, 2], vec!["f".to_owned()])]);
    let index = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.clone();
        change(&mut bytes[8 + HEADER_SIZE as usize..]);
        message(Archive::parse("lib.a", &bytes).unwrap().index())
    };
    let start = "lib.a: malformed symbol index of the archive: ";
    assert_eq!(index(&|index| index[0] = 1), format!("{start}it does not hold as many symbols as it says"));
    assert_eq!(index(&|index| index[9] = b'x'), format!("{start}it ends inside its names"));
    assert_eq!(
        index(&|index| index[4] = 1),
        format!("{start}f is said to be at offset 0x100004e, where no member can be")
    );
}

#[test]
fn an_index_to_the_middle_of_a_member_is_an_error_when_it_is_used() {
    let mut bytes = write(Dialect::Gnu, &[("a.o".to_owned(), vec![1; 80], vec!["f".to_owned()])]);
    bytes[8 + HEADER_SIZE as usize + 7] += 2;
    let archive = Archive::parse("lib.a", &bytes).unwrap();
    let id = archive.index().unwrap().definer(b"f").unwrap();
    assert!(message(archive.member(id)).contains("no member's header stands here"));
}

#[test]
fn names_that_overlap_cost_no_time() {
    // 20,000 symbols, each of whose names is a tail of one long string.
    let count = 20_000_u32;
    let mut table = (count * 8).to_le_bytes().to_vec();
    for at in 0..count {
        table.extend_from_slice(&at.to_le_bytes());
        table.extend_from_slice(&8_u32.to_le_bytes());
    }
    table.extend_from_slice(&(count * 10).to_le_bytes());
    table.extend_from_slice(&vec![b'a'; count as usize * 10 - 1]);
    table.push(0);
    let bytes = [&MAGIC[..], &member("__.SYMDEF", &table)].concat();
    let archive = Archive::parse("lib.a", &bytes).unwrap();
    assert_eq!(message(archive.index()), "lib.a: malformed symbol index of the archive: its names overlap");
}

#[cfg(target_os = "linux")]
#[test]
fn the_index_of_a_real_archive_says_what_its_members_say() {
    for name in ["libgcc.a", "libc_nonshared.a", "libgcc_eh.a"] {
        let bytes = std::fs::read(crate::testing::compiler_file(name)).unwrap();
        let mut archive = Archive::parse(name, &bytes).unwrap();
        let written = archive.index().unwrap();
        assert!(archive.symbols.take().is_some());
        let made = archive.index().unwrap();
        let sorted = |index: &Index<'_>| {
            let mut entries: Vec<_> = index.iter().map(|(name, id)| (name.to_vec(), id)).collect();
            entries.sort();
            entries
        };
        assert!(!sorted(&written).is_empty(), "{name}");
        assert_eq!(sorted(&written), sorted(&made), "{name}");
    }
}
