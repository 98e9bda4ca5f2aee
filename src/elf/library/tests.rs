#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::elf::{STB_WEAK, STV_HIDDEN, gnu_hash, hash};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// How a test library is made.
#[derive(Debug, Clone, Copy)]
struct Form {
    class: Bits,
    gnu_hash: bool,
    sysv_hash: bool,
    section_headers: bool,
}

impl Form {
    /// All that can be looked into.
    fn all() -> impl Iterator<Item = Self> {
        (0..16)
            .map(|bits| Self {
                class: if bits & 1 == 0 { Bits::B32 } else { Bits::B64 },
                gnu_hash: bits & 2 != 0,
                sysv_hash: bits & 4 != 0,
                section_headers: bits & 8 != 0,
            })
            .filter(|form| form.gnu_hash || form.sysv_hash || form.section_headers)
    }
}

/// A symbol of a test library. Its value is its number in the list, from 1.
#[derive(Debug, Clone)]
struct TestSymbol {
    name: String,
    defined: bool,
    weak: bool,
    hidden: bool,
    /// The version: `Some("")` for local ones.
    version: Option<(String, bool)>,
}

impl TestSymbol {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), defined: true, weak: false, hidden: false, version: None }
    }

    fn version(name: &str, version: &str, default: bool) -> Self {
        Self { version: Some((version.to_owned(), default)), ..Self::new(name) }
    }

    /// Whether a look-up may find it.
    fn fits(&self, name: &str, version: Option<&str>) -> bool {
        let version_fits = match (&self.version, version) {
            (None, None) => true,
            (Some((_, default)), None) => *default,
            (Some((own, _)), Some(wanted)) => own == wanted,
            (None, Some(_)) => false,
        };
        let local = self.version.as_ref().is_some_and(|(version, _)| version.is_empty());
        self.name == name && self.defined && !self.hidden && !local && version_fits
    }
}

/// Bytes under construction, with numbers of the class's size.
struct Writer {
    class: Bits,
    bytes: Vec<u8>,
}

impl Writer {
    fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u16s(&mut self, values: &[u16]) {
        values.iter().for_each(|&value| self.u16(value));
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|&value| self.u32(value));
    }

    fn word(&mut self, value: u64) {
        match self.class {
            Bits::B32 => self.u32(value as u32),
            Bits::B64 => self.bytes.extend_from_slice(&value.to_le_bytes()),
        }
    }

    fn words(&mut self, values: &[u64]) {
        values.iter().for_each(|&value| self.word(value));
    }

    /// Appends a table and tells where it is: offset and size.
    fn table(&mut self, write: impl FnOnce(&mut Self)) -> (u64, u64) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let start = self.bytes.len();
        write(self);
        (start as u64, (self.bytes.len() - start) as u64)
    }
}

/// A string table under construction.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, string: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(string.as_bytes());
        self.0.push(0);
        at
    }
}

/// Where the file's only segment is loaded, so that addresses and offsets differ.
const BASE: u64 = 0x10_0000;

/// Writes a shared library `libtest.so.1` that needs `libother.so`.
fn write(form: Form, symbols: &[TestSymbol]) -> Vec<u8> {
    let wide = form.class == Bits::B64;
    let bucket_count = (symbols.len() as u32 / 2).max(1);
    let mut symbols: Vec<_> = symbols.iter().zip(1_u64..).collect();
    // `.gnu.hash` wants the undefined symbols first and the others by bucket.
    symbols.sort_by_key(|(symbol, _)| symbol.defined.then(|| gnu_hash(symbol.name.as_bytes()) % bucket_count));
    let undefined = symbols.iter().filter(|(symbol, _)| !symbol.defined).count() as u32;

    let mut strings = Strings(vec![0]);
    let (soname, needed) = (strings.add("libtest.so.1"), strings.add("libother.so"));
    let mut versions: Vec<String> = Vec::new();
    for (version, _) in symbols.iter().filter_map(|(symbol, _)| symbol.version.clone()) {
        if !version.is_empty() && !versions.contains(&version) {
            versions.push(version);
        }
    }
    let versioned = symbols.iter().any(|(symbol, _)| symbol.version.is_some());
    let version_names: Vec<u32> = versions.iter().map(|version| strings.add(version)).collect();
    let names: Vec<u32> = symbols.iter().map(|(symbol, _)| strings.add(&symbol.name)).collect();

    let mut out = Writer { class: form.class, bytes: vec![0; if wide { 64 + 2 * 56 } else { 52 + 2 * 32 }] };
    let dynsym = out.table(|out| {
        out.bytes.extend_from_slice(&[0; 24][..if wide { 24 } else { 16 }]);
        for ((symbol, value), &name) in symbols.iter().zip(&names) {
            let info = if symbol.weak { 0x22 } else { 0x12 };
            let other = if symbol.hidden { STV_HIDDEN.0 } else { 0 };
            let section = u16::from(symbol.defined);
            out.u32(name);
            if wide {
                out.bytes.extend_from_slice(&[info, other]);
                out.u16(section);
                out.words(&[*value, 8]);
            } else {
                out.words(&[*value, 8]);
                out.bytes.extend_from_slice(&[info, other]);
                out.u16(section);
            }
        }
    });
    let dynstr = out.table(|out| out.bytes.extend_from_slice(&strings.0));
    let versym = out.table(|out| {
        out.u16(0);
        for (symbol, _) in &symbols {
            out.u16(match &symbol.version {
                None => VER_NDX_GLOBAL,
                Some((version, _)) if version.is_empty() => VER_NDX_LOCAL,
                Some((version, default)) => {
                    let id = versions.iter().position(|it| it == version).unwrap() as u16 + 2;
                    if *default { id } else { id | VERSYM_HIDDEN }
                }
            });
        }
    });
    let verdef = out.table(|out| {
        let definitions = [(1, soname)].into_iter().chain(version_names.iter().map(|&name| (0, name)));
        for (id, (flags, name)) in (1..).zip(definitions) {
            out.u16s(&[1, flags, id, 1]);
            // Hash (not looked at), names after this header, next definition after the names.
            let next = if usize::from(id) == versions.len() + 1 { 0 } else { 28 };
            out.u32s(&[0, 20, next, name, 0]);
        }
    });
    let gnu = out.table(|out| {
        let bits = if wide { 64 } else { 32 };
        let (filter_size, shift) = (2_u32, 5);
        out.u32s(&[bucket_count, undefined + 1, filter_size, shift]);
        let hashes: Vec<u32> =
            symbols[undefined as usize..].iter().map(|(symbol, _)| gnu_hash(symbol.name.as_bytes())).collect();
        let mut filter = vec![0_u64; filter_size as usize];
        for hash in &hashes {
            let word = &mut filter[(hash / bits % filter_size) as usize];
            *word |= 1 << (hash % bits) | 1 << ((hash >> shift) % bits);
        }
        out.words(&filter);
        for bucket in 0..bucket_count {
            let first = hashes.iter().position(|hash| hash % bucket_count == bucket);
            out.u32(first.map_or(0, |first| first as u32 + undefined + 1));
        }
        for (at, hash) in hashes.iter().enumerate() {
            let last = hashes.get(at + 1).is_none_or(|next| next % bucket_count != hash % bucket_count);
            out.u32(hash & !1 | u32::from(last));
        }
    });
    let sysv = out.table(|out| {
        let mut buckets = vec![0; bucket_count as usize];
        let mut next = vec![0];
        for ((symbol, _), index) in symbols.iter().zip(1_u32..) {
            let bucket = &mut buckets[(hash(symbol.name.as_bytes()) % bucket_count) as usize];
            next.push(*bucket);
            *bucket = index;
        }
        out.u32s(&[bucket_count, next.len() as u32]);
        out.u32s(&buckets);
        out.u32s(&next);
    });
    let dynamic = out.table(|out| {
        let mut entries = vec![(1, needed.into()), (14, soname.into()), (5, BASE + dynstr.0), (10, dynstr.1)];
        entries.push((6, BASE + dynsym.0));
        if form.gnu_hash {
            entries.push((0x6fff_fef5, BASE + gnu.0));
        }
        if form.sysv_hash {
            entries.push((4, BASE + sysv.0));
        }
        if versioned {
            let count = versions.len() as u64 + 1;
            entries.extend([(0x6fff_fff0, BASE + versym.0), (0x6fff_fffc, BASE + verdef.0), (0x6fff_fffd, count)]);
        }
        entries.push((0, 0));
        entries.into_iter().for_each(|(tag, value)| out.words(&[tag, value]));
    });

    // Type, place, link, info.
    let mut sections = vec![(0, (0, 0), 0, 0), (11, dynsym, 2, 1), (3, dynstr, 0, 0), (6, dynamic, 2, 0)];
    if form.gnu_hash {
        sections.push((0x6fff_fff6, gnu, 1, 0));
    }
    if form.sysv_hash {
        sections.push((5, sysv, 1, 0));
    }
    if versioned {
        sections.push((0x6fff_ffff, versym, 1, 0));
        sections.push((0x6fff_fffd, verdef, 2, versions.len() as u32 + 1));
    }
    let (section_offset, _) = out.table(|out| {
        for &(kind, (offset, size), link, info) in sections.iter().filter(|_| form.section_headers) {
            out.u32s(&[0, kind]);
            out.words(&[0, 0, offset, size]);
            out.u32s(&[link, info]);
            out.words(&[1, 0]);
        }
    });

    let file_size = out.bytes.len() as u64;
    let mut header = Writer { class: form.class, bytes: b"\x7fELF".to_vec() };
    header.bytes.extend_from_slice(&[if wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.u16s(&[3, if wide { 62 } else { 3 }]);
    header.u32(1);
    header.words(&[0, if wide { 64 } else { 52 }, if form.section_headers { section_offset } else { 0 }]);
    header.u32(0);
    let count = if form.section_headers { sections.len() as u16 } else { 0 };
    let sizes = if wide { [64, 56, 2, 64, count, 0] } else { [52, 32, 2, 40, count, 0] };
    header.u16s(&sizes);
    for (kind, (offset, size)) in [(1, (0, file_size)), (2, dynamic)] {
        header.u32(kind);
        if wide {
            header.u32(4);
            header.words(&[offset, BASE + offset, BASE + offset, size, size, 8]);
        } else {
            header.words(&[offset, BASE + offset, BASE + offset, size, size, 4, 8]);
        }
    }
    out.bytes[..header.bytes.len()].copy_from_slice(&header.bytes);
    out.bytes
}

fn samples() -> Vec<TestSymbol> {
    vec![
        TestSymbol::new("plain"),
        TestSymbol { weak: true, ..TestSymbol::new("weak") },
        TestSymbol::version("both", "V_1", false),
        TestSymbol::version("both", "V_2", true),
        TestSymbol::version("old", "V_1", false),
        TestSymbol::version("secret", "", true),
        TestSymbol { hidden: true, ..TestSymbol::new("hidden") },
        TestSymbol { defined: false, ..TestSymbol::new("wanted") },
        TestSymbol { defined: false, weak: true, ..TestSymbol::new("welcome") },
    ]
}

/// Everything that can be asked of a library, for the sake of asking.
fn exhaust(bytes: &[u8]) {
    let Ok(library) = SharedLibrary::parse("test", "test", bytes) else { return };
    for symbol in samples() {
        for version in [None, Some("V_1"), Some("V_2")] {
            let found = library.lookup(symbol.name.as_bytes(), version.map(str::as_bytes));
            if let Some(id) = found.and_then(|export| export.version) {
                let _ = library.version_name(id);
            }
        }
    }
}

fn message(result: Result<impl Sized, Error>) -> String {
    result.err().expect("an error").to_string()
}

fn symbols() -> impl Strategy<Value = Vec<TestSymbol>> {
    let version = proptest::option::weighted(0.6, ("V_[1-4]|", any::<bool>()));
    // Few names, so that many have several versions.
    let symbol = ("[ab]{1,3}|[a-zλ]{1,40}", 0..8_u8, any::<bool>(), version);
    vec(symbol, 0..40).prop_map(|symbols| {
        let symbols = symbols.into_iter().map(|(name, rare, weak, version)| {
            let (defined, hidden) = (rare != 0, rare == 1);
            TestSymbol { name, defined, weak, hidden, version: version.filter(|_| defined) }
        });
        symbols.collect()
    })
}

proptest! {
    #[test]
    fn look_ups_find_what_a_scan_finds(symbols in symbols()) {
        for form in Form::all() {
            let bytes = write(form, &symbols);
            let library = SharedLibrary::parse("test", "test", &bytes).unwrap();
            for name in symbols.iter().map(|symbol| symbol.name.as_str()).chain(["", "absent"]) {
                for version in [None, Some("V_1"), Some("V_4"), Some("V_"), Some("libtest.so.1"), Some("")] {
                    let found = library.lookup(name.as_bytes(), version.map(str::as_bytes));
                    let expected: Vec<_> = symbols.iter().zip(1..).filter(|(it, _)| it.fits(name, version)).collect();
                    prop_assert_eq!(found.is_some(), !expected.is_empty(), "{:?} {} {:?}", form, name, version);
                    let Some(found) = found else { continue };
                    let (symbol, _) = expected.iter().find(|(_, value)| *value == found.value).unwrap();
                    prop_assert_eq!(found.binding == STB_WEAK, symbol.weak);
                    prop_assert_eq!(found.size, 8);
                    let own = found.version.map(|id| library.version_name(id));
                    prop_assert_eq!(own, symbol.version.as_ref().map(|(version, _)| version.as_bytes()));
                }
            }
        }
    }


    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..600), class in 1..3_u8) {
        exhaust(&bytes);
        exhaust(&[&b"\x7fELF"[..], &[class, 1, 1], &bytes].concat());
    }

    #[test]
    fn any_changes_are_survived(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for form in Form::all() {
            let mut bytes = write(form, &samples());
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            exhaust(&bytes);
        }
    }
}

#[test]
fn every_changed_byte_is_survived() {
    for form in Form::all() {
        let bytes = write(form, &samples());
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1), bytes[at] ^ 0x40] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                exhaust(&bytes);
            }
            exhaust(&bytes[..at]);
        }
    }
}

#[test]
fn headers_tell_the_names_and_the_abi() {
    for form in Form::all() {
        let bytes = write(form, &samples());
        let library = SharedLibrary::parse("dir/libtest.so", "unused", &bytes).unwrap();
        assert_eq!(library.name(), "dir/libtest.so");
        assert_eq!(library.soname(), b"libtest.so.1");
        let machine = Machine(if form.class == Bits::B64 { 62 } else { 3 });
        assert_eq!(library.abi(), Abi { bits: form.class, machine, os_abi: 0, flags: 0 });
    }
}

#[test]
fn without_a_soname_the_default_counts() {
    let form = Form { class: Bits::B64, gnu_hash: true, sysv_hash: true, section_headers: true };
    let mut bytes = write(form, &samples());
    let soname = [14_u64.to_le_bytes(), 13_u64.to_le_bytes()];
    let entry = soname[0];
    let at = bytes.windows(8).rposition(|window| window == entry).unwrap();
    // DT_DEBUG, which says nothing in a file.
    bytes[at] = 21;
    assert_eq!(SharedLibrary::parse("a/b.so", "b.so", &bytes).unwrap().soname(), b"b.so");
}

#[test]
fn other_files_are_refused_by_name() {
    let form = Form { class: Bits::B64, gnu_hash: true, sysv_hash: true, section_headers: true };
    let bytes = write(form, &samples());
    let parse = |bytes: &[u8]| message(SharedLibrary::parse("lib.so", "", bytes));
    assert!(parse(b"").starts_with("lib.so: not an ELF shared library"));
    assert!(parse(&bytes[..63]).starts_with("lib.so: not an ELF shared library"));
    assert!(parse(&bytes[..200]).starts_with("lib.so: malformed shared library: "), "{}", parse(&bytes[..200]));
    let mut big = bytes.clone();
    big[5] = 2;
    assert_eq!(parse(&big), "lib.so: shared library for a big-endian machine");
    let unhashed = write(Form { gnu_hash: false, sysv_hash: false, section_headers: false, ..form }, &samples());
    let what = "it has neither section headers nor a hash table of symbols";
    assert_eq!(parse(&unhashed), format!("lib.so: malformed shared library: {what}"));
}

#[test]
fn chains_without_end_are_left() {
    let form = Form { class: Bits::B64, gnu_hash: false, sysv_hash: true, section_headers: true };
    let bytes = write(form, &samples());
    let library = SharedLibrary::parse("test", "", &bytes).unwrap();
    let table = library.tables.hash.unwrap();
    let at = table.as_ptr() as usize - bytes.as_ptr() as usize;
    let count = (table.len() / 4) as u32;
    for index in 1..10 {
        let mut bytes = bytes.clone();
        // Every bucket and every link leads to the same symbol.
        for word in 2..count {
            let at = at + 4 * word as usize;
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(index));
        }
        let library = SharedLibrary::parse("test", "", &bytes).unwrap();
        assert!(library.lookup(b"absent", None).is_none());
    }
}

#[test]
fn a_malformed_hash_table_counts_as_none() {
    let form = Form { class: Bits::B64, gnu_hash: true, sysv_hash: false, section_headers: true };
    let bytes = write(form, &samples());
    let library = SharedLibrary::parse("test", "", &bytes).unwrap();
    let at = library.tables.gnu_hash.unwrap().as_ptr() as usize - bytes.as_ptr() as usize;
    let mut bytes = bytes;
    // A filter of three words is no power of two.
    bytes[at + 8] = 3;
    let library = SharedLibrary::parse("test", "", &bytes).unwrap();
    assert!(matches!(library.lookup, Lookup::Names));
    assert!(library.lookup(b"plain", None).is_some());
}

/// Every symbol of real libraries, by every table, with and without section headers, against a scan by another reader.
#[cfg(target_os = "linux")]
#[test]
fn real_libraries_answer_as_their_symbol_tables_do() {
    use object::read::elf::{ElfFile64, Sym};

    for name in ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6"] {
        let mut bytes = std::fs::read(crate::testing::compiler_file(name)).unwrap();
        let scan: Vec<_> = {
            let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
            let sections = file.elf_section_table();
            let versions = sections.versions(LE, &*bytes).unwrap().unwrap();
            let symbols = file.elf_dynamic_symbol_table();
            let symbols = symbols.enumerate().filter(|(_, symbol)| symbol.st_bind() != object::elf::STB_LOCAL);
            let symbols = symbols.map(|(index, symbol)| {
                let version = versions.version_index(LE, index);
                let version_name = versions.version(version.index()).unwrap().map(|version| version.name().to_vec());
                let name = symbol.name(LE, file.elf_dynamic_symbol_table().strings()).unwrap().to_vec();
                (name, symbol.st_value(LE), symbol.st_shndx(LE).0 != 0, version.is_hidden(), version_name)
            });
            symbols.collect()
        };
        for stripped in [false, true] {
            if stripped {
                // e_shoff.
                bytes[0x28..0x30].fill(0);
            }
            let mut library = SharedLibrary::parse(name, "", &bytes).unwrap();
            let counted = library.tables.counted;
            let mut ways = vec![];
            ways.extend(library.tables.gnu_hash.and_then(|table| GnuHash::parse(Bits::B64, table)).map(Lookup::Gnu));
            ways.extend(library.tables.hash.and_then(SysvHash::parse).map(Lookup::Sysv));
            ways.extend(counted.then_some(Lookup::Names));
            assert!(matches!(ways[0], Lookup::Gnu(_)), "{name}");
            for way in ways {
                library.lookup = way;
                let mut found = 0;
                for (symbol, value, defined, hidden, version) in &scan {
                    if !defined {
                        continue;
                    }
                    let exact = version.as_deref().map(|version| library.lookup(symbol, Some(version)).unwrap());
                    if let Some(export) = exact {
                        assert_eq!(export.value, *value);
                        assert_eq!(library.version_name(export.version.unwrap()), version.as_deref().unwrap());
                    }
                    if !hidden {
                        assert_eq!(library.lookup(symbol, None).unwrap().value, *value);
                        found += 1;
                    } else if scan.iter().all(|it| it.0 != *symbol || it.3) {
                        assert!(library.lookup(symbol, None).is_none());
                    }
                }
                assert!(found > 100, "{name}: {found}");
                assert!(library.lookup(b"no_such_symbol", None).is_none());
            }
        }
    }
}
