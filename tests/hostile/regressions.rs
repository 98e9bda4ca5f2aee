//! Reduced cases, one for each thing that once went wrong or nearly did.

use pkgld::Mode;

use super::link::{Outcome, link, options, quiet_panics};
use super::objects::*;

/// Links one object, which must go well as far as [`link`] looks.
fn run(name: &str, object: Object) -> Outcome {
    run_with(name, object, &options())
}

fn run_with(name: &str, object: Object, options: &pkgld::Options) -> Outcome {
    quiet_panics();
    link(name, &[("a.o", &object.build(), Mode::default())], options).unwrap_or_else(|what| panic!("{name}: {what}"))
}

fn message(outcome: Outcome) -> String {
    outcome.result.expect_err("this cannot be linked")
}

fn text() -> Section {
    Section::new(".text", PROGBITS, ALLOC | EXEC, &[0xc3; 16])
}

#[test]
fn the_builder_makes_good_objects() {
    let mut object = Object::new();
    let code = object.section(text());
    let data = object.section(Section::new(".data", PROGBITS, ALLOC | WRITE, &[0; 16]).align(8));
    let symbol = object.symbol("f", GLOBAL | 2, code, 0, 16);
    object.relocations(data, &[(0, 1, symbol, 0)]);
    run("good", object).result.unwrap();
}

/// `.tbss` takes no room in the image, so its sizes add up beside the addresses that are checked.
#[test]
fn thread_local_zeros_beyond_an_address_space() {
    let mut object = Object::new();
    for name in ["a", "b", "c", "d"] {
        object.section(Section::new(name, NOBITS, ALLOC | WRITE | TLS, &[]).size(i64::MAX as u64).align(1 << 32));
    }
    assert!(message(run("tbss", object)).contains("output_size"));
}

#[test]
fn zeros_beyond_the_limit() {
    for size in [65 << 20, 1 << 40, i64::MAX as u64, u64::MAX - 4096, u64::MAX] {
        for name in [".bss", ".data"] {
            let mut object = Object::new();
            object.section(Section::new(name, NOBITS, ALLOC | WRITE, &[]).size(size));
            object.section(Section::new(name, NOBITS, ALLOC | WRITE, &[]).size(size).align(1 << 32));
            let message = message(run("zeros", object));
            assert!(message.contains("limit of"), "{message}");
        }
    }
}

/// A common symbol's value is its alignment.
#[test]
fn common_symbols_with_extreme_alignment() {
    for align in [1_u64 << 33, 1 << 62, 1 << 63] {
        let mut object = Object::new();
        object.section(Section::new(".lbss", NOBITS, ALLOC | WRITE, &[]).size(8));
        object.symbol("a", GLOBAL | 1, COMMON, align, 8);
        object.symbol("b", GLOBAL | 1, COMMON, 1, u64::MAX);
        let message = message(run("common", object));
        assert!(message.contains("alignment"), "{message}");
    }
    let mut object = Object::new();
    object.symbol("b", GLOBAL | 1, COMMON, 1, u64::MAX);
    object.symbol("c", GLOBAL | 1, COMMON, 1 << 32, u64::MAX);
    assert!(message(run("common", object)).contains("limit of"));
}

/// A global symbol of a section that is left out has no place in the symbol tables.
#[test]
fn symbols_of_sections_left_out() {
    for (gc, strip) in [(true, pkgld::Strip::None), (false, pkgld::Strip::Debug)] {
        let mut object = Object::new();
        let code = object.section(text());
        let debug = object.section(Section::new(".debug_info", PROGBITS, 0, &[0; 16]));
        let unused = object.section(Section::new(".text.unused", PROGBITS, ALLOC | EXEC, &[0xc3; 16]));
        object.symbol("local", LOCAL, debug, 4, 0);
        object.symbol("f", GLOBAL | 2, code, 0, 0);
        object.symbol("in_debug", GLOBAL, debug, 4, 0);
        object.symbol("unused", GLOBAL | 2, unused, 0, 0);
        // Hidden.
        let mut bytes = object.build();
        let symbols = bytes.windows(24).position(|it| it[4] == GLOBAL | 2 && it[6] == unused as u8 && it[7] == 0);
        bytes[symbols.unwrap() + 5] = 2;
        let mut options = options();
        options.gc_sections = gc;
        options.strip = strip;
        quiet_panics();
        let outcome = link("left out", &[("a.o", &bytes, Mode::default())], &options).unwrap();
        let image = outcome.result.unwrap();
        use object::{Object as _, ObjectSymbol as _};
        let image = object::File::parse(&*image).unwrap();
        let names: Vec<&str> = image.symbols().map(|symbol| symbol.name().unwrap()).collect();
        assert_eq!(names.contains(&"unused"), !gc, "{names:?}");
        assert_eq!(names.contains(&"in_debug"), strip == pkgld::Strip::None, "{names:?}");
        let exported = image.dynamic_symbols().any(|symbol| symbol.name() == Ok("in_debug"));
        assert_eq!(exported, strip == pkgld::Strip::None);
    }
}

/// Bytes that two sections share could be multiplied without end.
#[test]
fn sections_that_share_bytes() {
    let mut object = Object::new();
    object.section(Section::new("first", PROGBITS, ALLOC, &[1; 1 << 16]));
    for _ in 0..1000 {
        let shared = Section { data_of: Some(0), ..Section::new("more", PROGBITS, ALLOC, &[]) };
        object.section(shared);
    }
    let message = message(run("shared", object));
    assert!(message.contains("overlap"), "{message}");
}

/// Two sections of one name share it in the string table; that is no overlap.
#[test]
fn many_sections_of_one_name() {
    let mut object = Object::new();
    for _ in 0..5000 {
        object.section(Section::new(".text.unlikely", PROGBITS, ALLOC | EXEC, &[0xc3]));
    }
    run("one name", object).result.unwrap();
}

/// Two words of `.relr.dyn` for one place would relocate it twice.
#[test]
fn relocations_of_one_place() {
    let mut object = Object::new();
    let data = object.section(Section::new(".data", PROGBITS, ALLOC | WRITE, &[0; 64]).align(8));
    let symbol = object.symbol("f", LOCAL, data, 0, 16);
    object.relocations(data, &[(0, 1, symbol, 0), (8, 1, symbol, 0), (8, 1, symbol, 0), (16, 1, symbol, 0)]);
    let mut options = options();
    options.elf.relr = true;
    let image = run_with("one place", object, &options).result.unwrap();
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(&*image).unwrap();
    let relr = file.section_by_name(".relr.dyn").unwrap();
    let words: Vec<u64> =
        relr.data().unwrap().chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words.iter().filter(|word| **word & 1 == 0).count(), 1, "{words:x?}");
}

/// An alias names another alias, and so on, in every order of definition; and in a circle.
#[test]
fn chains_of_aliases() {
    let count = 100_000;
    let link_name = |number: usize| (format!("s{number}"), pkgld::SymbolValue::Symbol(format!("s{}", number + 1), 1));
    for reverse in [false, true] {
        let mut object = Object::new();
        let data = object.section(Section::new(".data", PROGBITS, ALLOC | WRITE, &[0; 64]).align(8));
        object.symbol(&format!("s{count}"), GLOBAL, data, 8, 0);
        let mut options = options();
        options.defined_symbols = (0..count).map(link_name).collect();
        if reverse {
            options.defined_symbols.reverse();
        }
        // The names are the caller's, not the object's.
        let padding = object.section(Section::new(".comment.pad", PROGBITS, 0, &vec![0; 8 << 20]));
        assert!(padding > 0);
        let outcome = run_with("chain", object, &options);
        let image = outcome.result.unwrap();
        use object::{Object as _, ObjectSymbol as _};
        let file = object::File::parse(&*image).unwrap();
        let address = |name: &str| file.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address();
        assert_eq!(address("s0"), address(&format!("s{count}")) + count as u64);
    }
    let mut options = options();
    options.defined_symbols =
        (0..count).map(|n| (format!("s{n}"), pkgld::SymbolValue::Symbol(format!("s{}", (n + 1) % count), 0))).collect();
    let mut object = Object::new();
    object.section(Section::new(".comment.pad", PROGBITS, 0, &vec![0; 8 << 20]));
    assert!(message(run_with("circle", object, &options)).contains("defined by itself"));
}

/// Sections that only the separate debug file has are laid out apart from the image.
#[test]
fn a_separate_debug_file_beyond_the_limit() {
    let mut object = Object::new();
    object.section(text());
    for name in [".debug_a", ".debug_b", ".debug_c"] {
        object.section(Section::new(name, NOBITS, 0, &[]).size(i64::MAX as u64 - 4096));
        object.section(Section::new(name, PROGBITS, 0, &[1]));
    }
    let mut options = options();
    options.elf.separate_debug_file = Some("a.debug".into());
    let message = message(run_with("companion", object, &options));
    assert!(message.contains("output_size"), "{message}");
}

/// The alignment in a compression header is as untrusted as that of a section.
#[test]
fn compressed_sections_with_extreme_alignment() {
    for companion in [false, true] {
        let mut object = Object::new();
        object.section(text());
        for name in [".debug_a", ".debug_b", ".debug_c"] {
            // ELFCOMPRESS_ZLIB, one byte, and "a" in a stored block.
            let mut data = [1_u64, 1, 1 << 63].map(u64::to_le_bytes).concat();
            data.extend([0x78, 0x01, 1, 1, 0, 0xfe, 0xff, b'a', 0, 0x62, 0, 0x62]);
            object.section(Section::new(name, PROGBITS, 0x800, &data));
        }
        let mut options = options();
        options.elf.separate_debug_file = companion.then(|| "a.debug".into());
        let message = message(run_with("compressed", object, &options));
        assert!(message.contains("output_size"), "{message}");
    }
}
