//! Inputs made to cost far more than their size: each must end soon, with an image or an error.

use pkgld::{Mode, Options};

use super::link::{Outcome, link, options, quiet_panics};
use super::objects::*;

fn run(name: &str, object: Object, options: &Options) -> Outcome {
    quiet_panics();
    let bytes = object.build();
    let outcome = link(name, &[("a.o", &bytes, Mode::default())], options);
    let outcome = outcome.unwrap_or_else(|what| panic!("{name}: {what}"));
    println!("{name}: {} bytes of input, {:.2?}, factor {}", bytes.len(), outcome.time, outcome.factor);
    outcome
}

fn text(size: usize) -> Section {
    Section::new(".text", PROGBITS, ALLOC | EXEC, &vec![0xc3; size])
}

/// Many symbols, each the tail of one long name.
#[test]
fn names_within_names() {
    let mut object = Object::new();
    let code = object.section(text(16));
    object.strings = vec![b'a'; 1 << 20];
    object.strings[0] = 0;
    object.strings.push(0);
    for at in 1..40_000 {
        object.symbol_at(at, GLOBAL | 2, code, 0, 0);
    }
    let message = run("names", object, &options()).result.unwrap_err();
    assert!(message.contains("names"), "{message}");
}

/// The same with the names of sections.
#[test]
fn section_names_within_names() {
    let mut object = Object::new();
    object.strings = vec![b'a'; 1 << 20];
    object.strings[0] = 0;
    object.strings.push(0);
    object.names_by_offset = true;
    for at in 1..30_000 {
        object.section(Section::new(&at.to_string(), PROGBITS, ALLOC, &[1]));
    }
    let message = run("section names", object, &options()).result.unwrap_err();
    assert!(message.contains("names"), "{message}");
}

/// The same with groups, whose signatures are names.
#[test]
fn signatures_within_names() {
    let mut object = Object::new();
    object.strings = vec![b'a'; 1 << 20];
    object.strings[0] = 0;
    object.strings.push(0);
    for at in 1..30_000 {
        object.symbol_at(at, LOCAL, ABS, 0, 0);
        let data = [1_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        let group = Section::new(".group", GROUP, 0, &data).align(4);
        object.section(Section { link: u32::MAX, info: at, entry_size: 4, ..group });
    }
    let message = run("signatures", object, &options()).result.unwrap_err();
    assert!(message.contains("names"), "{message}");
}

/// Many output sections, and many symbols whose addresses are those of a place in the image.
#[test]
fn many_output_sections_and_anchors() {
    let mut object = Object::new();
    for number in 0..30_000 {
        object.section(Section::new(&format!("s{number}"), PROGBITS, ALLOC, &[1]));
    }
    let names = ["end", "_end", "etext", "edata", "__bss_start"];
    let at: Vec<u32> = names
        .iter()
        .map(|name| {
            let at = object.strings.len() as u32;
            object.strings.extend_from_slice(name.as_bytes());
            object.strings.push(0);
            at
        })
        .collect();
    for number in 0..60_000 {
        object.symbol_at(at[number % at.len()], GLOBAL, 0, 0, 0);
    }
    for number in 0..10_000 {
        object.symbol(&format!("__start_s{number}"), GLOBAL, 0, 0, 0);
        object.symbol(&format!("__stop_none{number}"), GLOBAL, 0, 0, 0);
    }
    run("anchors", object, &options()).result.unwrap();
}

/// Notes whose alignments differ from one to the next: each run of one alignment is a segment.
#[test]
fn many_notes() {
    let mut object = Object::new();
    for number in 0..30_000 {
        let note = Section::new(&format!(".note.{number}"), NOTE, ALLOC, &[0; 16]);
        object.section(note.align(if number % 2 == 0 { 4 } else { 8 }));
    }
    run("notes", object, &options()).result.unwrap();
}

/// Many problems, in an object with many symbols: each message looks for the function.
/// An object that states all there is to be stated, and many that state nothing.
#[test]
fn many_properties_and_objects() {
    quiet_panics();
    let mut note = Vec::new();
    let types = 0xb000_8000_u32..=0xb000_ffff;
    let array: Vec<u8> = types.flat_map(|kind| [kind, 4, 1, 0]).flat_map(u32::to_le_bytes).collect();
    for word in [4, array.len() as u32, 5] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(array);
    let mut stating = Object::new();
    stating.section(text(4));
    stating.section(Section::new(".note.gnu.property", 7, ALLOC, &note));
    let (stating, mut silent) = (stating.build(), Object::new());
    silent.section(text(4));
    let silent = silent.build();
    let mut inputs = vec![("a.o", &*stating, Mode::default())];
    inputs.resize(4000, ("b.o", &*silent, Mode::default()));
    link("properties", &inputs, &options()).unwrap().result.unwrap();
}

#[test]
fn many_bad_relocations() {
    for (kind, offset) in [(250, 0), (9, 1 << 40), (23, 0), (1, 0), (2, 0)] {
        let mut object = Object::new();
        let code = object.section(text(64));
        for number in 0..100_000 {
            object.symbol(&format!("f{number}"), LOCAL | 2, code, 0, 0);
        }
        let other = object.symbol("other", GLOBAL, 0, 0, 0);
        // One that is there twice is told once.
        let relocations: Vec<_> = (0..100_000).map(|addend| (offset, kind, other, addend)).collect();
        object.relocations(code, &relocations);
        let message = run("bad relocations", object, &options()).result.unwrap_err();
        assert!(message.contains("99980 more problems"), "{}", message.lines().last().unwrap());
    }
}

/// The same when the image is made: values that do not fit.
#[test]
fn many_overflows() {
    let mut object = Object::new();
    let code = object.section(text(1 << 20));
    for number in 0..100_000 {
        object.symbol(&format!("f{number}"), LOCAL | 2, code, 0, 0);
    }
    let table: Vec<_> = (0..100_000).map(|number| (number * 10, 2, 1, i64::MAX)).collect();
    object.relocations(code, &table);
    let message = run("overflows", object, &options()).result.unwrap_err();
    assert!(message.contains("99980 more problems"), "{}", message.lines().last().unwrap());
}

/// Many undefined symbols, each with similar names to look for.
#[test]
fn many_undefined_symbols() {
    for undefined in [pkgld::Undefined::Error, pkgld::Undefined::Warn] {
        let mut object = Object::new();
        let code = object.section(text(64));
        let mut table = Vec::new();
        for number in 0..50_000 {
            object.symbol(&format!("f{number}"), LOCAL | 2, code, 0, 0);
        }
        for number in 0..50_000 {
            object.symbol(&format!("defined{number}"), GLOBAL | 2, code, 0, 0);
            let symbol = object.symbol(&format!("u{number}"), GLOBAL, 0, 0, 0);
            table.push((8, 4, symbol, -4));
        }
        object.relocations(code, &table);
        let mut options = options();
        options.undefined = undefined;
        let outcome = run("undefined", object, &options);
        assert_eq!(outcome.result.is_ok(), undefined == pkgld::Undefined::Warn);
    }
}

/// Many duplicates, in a member with a long name.
#[test]
fn many_duplicates() {
    let mut object = Object::new();
    let code = object.section(text(64));
    for number in 0..50_000 {
        object.symbol(&format!("f{number}"), GLOBAL | 2, code, 0, 0);
    }
    let bytes = object.build();
    quiet_panics();
    let name = "n".repeat(20_000);
    for allow in [false, true] {
        let mut options = options();
        options.allow_multiple_definition = allow;
        let inputs =
            [(name.as_str(), bytes.as_slice(), Mode::default()), (name.as_str(), bytes.as_slice(), Mode::default())];
        let outcome = link("duplicates", &inputs, &options).unwrap();
        assert_eq!(outcome.result.is_ok(), allow);
    }
}

/// Many members that share one long name.
#[test]
fn member_names_that_are_one() {
    let mut object = Object::new();
    object.section(text(16));
    let object = object.build();
    let long = 32_000;
    let mut archive = b"!<arch>\n".to_vec();
    let header = |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    archive.extend(header("//", long).bytes());
    archive.resize(archive.len() + long - 2, b'n');
    archive.extend(b"/\n");
    for _ in 0..2_000 {
        archive.extend(header("/0", object.len()).bytes());
        archive.extend(&object);
    }
    quiet_panics();
    link("member names", &[("lib.a", &archive, super::link::whole())], &options()).unwrap();
}

/// Members inside of members, which the archive's index leads to.
#[test]
fn members_within_members() {
    // Each header is followed by an object that reaches to the end of the archive.
    let count = 300_usize;
    let mut names = Vec::new();
    let mut asks = Object::new();
    let code = asks.section(text(16));
    let mut table = Vec::new();
    for number in 0..count {
        let symbol = asks.symbol(&format!("f{number}"), GLOBAL, 0, 0, 0);
        table.push((0, 4, symbol, -4));
        names.extend(format!("f{number}\0").bytes());
    }
    asks.relocations(code, &table);
    let asks = asks.build();
    let piece = {
        let mut object = Object::new();
        object.section(text(16));
        object.build()
    };
    let index_size = 4 + 4 * count + names.len();
    let header = |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    let start = (8 + 60 + index_size).next_multiple_of(2);
    let step = 60 + piece.len().next_multiple_of(2);
    let tail = 2 << 20;
    let total = start + step * count + tail;
    let mut archive = b"!<arch>\n".to_vec();
    archive.extend(header("/", index_size).bytes());
    archive.extend((count as u32).to_be_bytes());
    for number in 0..count {
        archive.extend(((start + number * step) as u32).to_be_bytes());
    }
    archive.extend(&names);
    archive.resize(start, 0);
    for number in 0..count {
        let at = start + number * step;
        archive.extend(header(&format!("m{number}.o/"), total - at - 60).bytes());
        archive.extend(&piece);
        archive.resize(at + step, 0);
    }
    archive.resize(total, 0);
    quiet_panics();
    let inputs = [("a.o", asks.as_slice(), Mode::default()), ("lib.a", archive.as_slice(), Mode::default())];
    let outcome = link("members within members", &inputs, &options()).unwrap();
    let message = outcome.result.unwrap_err();
    assert!(message.contains("overlap"), "{message}");
}

/// A library whose hash table has all symbols in one chain.
#[test]
fn one_chain_of_symbols() {
    let count = 60_000_u32;
    let mut strings = vec![0_u8];
    let mut symbols = vec![0_u8; 24];
    for number in 1..count {
        symbols.extend((strings.len() as u32).to_le_bytes());
        symbols.extend([GLOBAL | 2, 0, 1, 0]);
        symbols.extend([0; 16]);
        strings.extend(format!("lib{number}\0").bytes());
    }
    // `.hash` with one bucket.
    let mut hash = Vec::new();
    for word in [1, count, 1] {
        hash.extend(word.to_le_bytes());
    }
    for number in 0..count {
        let next = if number == 0 || number + 1 == count { 0 } else { number + 1 };
        hash.extend(next.to_le_bytes());
    }
    let mut library = Object::new();
    let strings = library.section(Section::new(".dynstr", 3, ALLOC, &strings));
    let table =
        Section { link: strings.into(), entry_size: 24, info: 1, ..Section::new(".dynsym", 11, ALLOC, &symbols) };
    let table = library.section(table.align(8));
    library.section(Section { link: table.into(), ..Section::new(".hash", 5, ALLOC, &hash).align(4) });
    library.section(Section {
        link: strings.into(),
        entry_size: 16,
        ..Section::new(".dynamic", 6, ALLOC | WRITE, &[0; 16]).align(8)
    });
    let mut library = library.build();
    library[16] = 3;

    let mut object = Object::new();
    let code = object.section(text(16));
    let mut table = Vec::new();
    for number in 0..60_000 {
        let symbol = object.symbol(&format!("wanted{number}"), GLOBAL, 0, 0, 0);
        table.push((0, 4, symbol, -4));
    }
    object.relocations(code, &table);
    let object = object.build();
    quiet_panics();
    let inputs = [("a.o", object.as_slice(), Mode::default()), ("lib.so", library.as_slice(), Mode::default())];
    let outcome = link("one chain", &inputs, &options()).unwrap();
    println!("one chain: {:.2?}", outcome.time);
    outcome.result.unwrap();
}

/// Sections ordered so that the size of `.relr.dyn` changes what it has to say, again and again.
#[test]
fn packed_relocations_that_do_not_settle() {
    let mut object = Object::new();
    let mut tables = Vec::new();
    for number in 0..2_000_u32 {
        let align = 8 << (number % 7);
        let section = Section::new(&format!("d{number}"), PROGBITS, ALLOC | WRITE, &[0; 8]).align(align);
        tables.push(object.section(section));
    }
    let symbol = object.symbol("here", LOCAL, 1, 0, 0);
    for section in tables {
        object.relocations(section, &[(0, 1, symbol, 0)]);
    }
    let mut options = options();
    options.elf.relr = true;
    run("relr", object, &options).result.unwrap();
}

/// A trie whose nodes lead back to its root, past an edge of a mebibyte, looked into for a name of as many steps.
#[test]
fn names_that_go_in_circles_in_a_trie() {
    quiet_panics();
    // No terminal information, two edges: one that is long, and "a", which leads to the root.
    let mut trie = vec![0, 2];
    trie.extend(vec![b'b'; 2 << 20]);
    trie.extend(b"\0\0a\0\0");
    let at = 32 + 40 + 16;
    let mut library = [0xfeed_facf_u32, 0x0100_000c, 0, 6, 2, 56, 0, 0].map(u32::to_le_bytes).concat();
    library.extend([0xd_u32, 40, 24, 0, 0, 0].map(u32::to_le_bytes).concat());
    library.extend(b"x.dylib\0\0\0\0\0\0\0\0\0");
    library.extend([0x8000_0033, 16, at, trie.len() as u32].map(u32::to_le_bytes).concat());
    library.extend(&trie);
    let entry = pkgld_corpus::committed_for(pkgld_corpus::target::MACOS_ARM64).remove(0);
    let archive = super::victims::read(&entry.path);
    let mut options = options();
    options.required_symbols = vec!["a".repeat(200_000)];
    let inputs = [("a.a", &archive[..], super::link::whole()), ("x.dylib", &library[..], Mode::default())];
    link("trie", &inputs, &options).unwrap().result.unwrap();
}

/// Versions by options, one for each of many symbols.
#[test]
fn many_versions_by_options() {
    let mut object = Object::new();
    let data = object.section(Section::new(".data", PROGBITS, ALLOC | WRITE, &[0; 64]).align(8));
    object.symbol("base", GLOBAL, data, 8, 0);
    // The names are the caller's, not the object's.
    object.section(Section::new(".comment.pad", PROGBITS, 0, &vec![0; 16 << 20]));
    let mut options = options();
    let value = |_| pkgld::SymbolValue::Symbol("base".to_owned(), 0);
    options.defined_symbols = (0..150_000).map(|number| (format!("s{number}@@V"), value(number))).collect();
    options.elf.version_script = pkgld::VersionScript::parse("script", b"V { *; };").unwrap();
    let image = run("versions", object, &options).result.unwrap();
    assert!(image.windows(8).any(|bytes| bytes == b"s149999\0"));
}
