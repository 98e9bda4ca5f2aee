//! Function, file and line in errors, in-process.

use std::fs;

use pkgld::{Error, Errors, Input, Inputs, Mode, Options, Place, Source, Undefined};

use super::common::{asks, compile};

/// What linking an object in memory fails with, when its bytes are asked for at the latest.
fn problems(object: &[u8], options: &Options) -> Errors {
    let source = Source::Bytes { name: "memory.o".to_owned(), bytes: object };
    let inputs = Inputs::open(vec![Input { source, mode: Mode::default() }], options).unwrap();
    let errors = pkgld::link(&inputs, options).and_then(|image| image.to_vec()).unwrap_err();
    assert!(errors.problems().len() == 1 && errors.cut() == 0, "{errors}");
    errors
}

fn told(place: &Place) -> (&str, Option<&str>, Option<&str>) {
    (&place.file, place.function.as_deref(), place.source.as_deref())
}

const USER: &str = "\
int missing(int);
int user(int x) {
    return missing(x) + 1;
}
";

#[test]
fn undefined_symbols_name_the_line_whatever_the_form_of_debug_information() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut options = Options::default();
    options.undefined = Undefined::Error;
    for (compiler, form) in [
        ("gcc", &["-g"][..]),
        ("gcc", &["-g", "-gz=zlib"]),
        ("gcc", &["-g", "-gz=zlib-gnu"]),
        ("gcc", &["-g", "-gdwarf-4", "-ffunction-sections"]),
        ("clang-19", &["-g"]),
        ("clang-19", &["-g", "-gz=zstd", "-ffunction-sections"]),
        ("clang-19", &["-gline-tables-only"]),
        // Addresses of 32 bits; labels of the assembler's before the function.
        ("i686-linux-gnu-gcc", &["-g", "-ffunction-sections"]),
        ("arm-linux-gnueabihf-gcc", &["-g"]),
        ("clang-19", &["-g", "-gdwarf-4", "--target=i686-linux-gnu"]),
        ("clang-19", &["-g", "--target=riscv64-linux-gnu"]),
    ] {
        compile(directory, compiler, "user", USER, &[&["-fPIC", "-O1"], form].concat());
        let object = fs::read(directory.join("user.o")).unwrap();
        let problems = problems(&object, &options);
        let [Error::Undefined { symbol, references, .. }] = problems.problems() else { panic!("{problems:?}") };
        assert_eq!(symbol, "missing");
        assert_eq!(told(&references[0]), ("memory.o", Some("user"), Some("user.c:3")), "{compiler} {form:?}");
    }
    compile(directory, "gcc", "user", USER, &["-fPIC", "-O1"]);
    let object = fs::read(directory.join("user.o")).unwrap();
    let problems = problems(&object, &options);
    let [Error::Undefined { references, .. }] = problems.problems() else { panic!("{problems:?}") };
    assert_eq!(told(&references[0]), ("memory.o", Some("user"), None));
}

/// A distance that no layout brings into reach: its addend is half the address space.
#[test]
fn overflows_name_the_line() {
    const SOURCE: &str = "\
int small;
int reads(void) {
    int value;
    __asm__(\"movl small+0x7ffffff0(%%rip), %0\" : \"=r\"(value));
    return value;
}
";
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let source = SOURCE.replace("int small;", "__attribute__((visibility(\"hidden\"))) int small;");
    for form in ["-gz=none", "-gz=zlib"] {
        compile(directory, "gcc", "far", &source, &["-g", "-O1", "-fPIC", form]);
        let object = fs::read(directory.join("far.o")).unwrap();
        let problems = problems(&object, &Options::default());
        let [Error::Overflow { place, symbol, value, max, .. }] = problems.problems() else { panic!("{problems:?}") };
        assert_eq!((symbol.as_str(), place.section.as_str()), ("small", ".text"));
        assert_eq!(told(place), ("memory.o", Some("reads"), Some("far.c:4")));
        assert!(value > max, "{value} {max}");
    }
    let said = super::common::pkgld(directory, &["far.o"]).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(" in reads at far.c:4: relocation R_X86_64_PC32 out of range"), "{said}");
    // With nothing to ask, the function remains.
    asks(directory, "strip", "binutils", &["--strip-debug", "far.o"]);
    let said = super::common::pkgld(directory, &["far.o"]).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(" in reads: relocation R_X86_64_PC32 out of range"), "{said}");
}
