//! What options say of symbols by their names, and objects that stand between `--start-lib` and `--end-lib`.

use crate::support::{Bench, succeeds, text};

#[test]
fn references_to_wrapped_symbols_mean_others() {
    let bench = Bench::new();
    let user = "extern int ext(int), own(int) __attribute__((weak)); int (*pointer)(int) = ext;
        int probe(void) { CHECK(ext(1) == 111 && pointer(2) == 112 && own(5) == 7); return 0; }";
    let user = bench.compile("gcc -O1", "user.c", user);
    let provider = "int ext(int x) { return x + 10; } int own(int x) { return x; }
        int inner(int x) { return ext(x); }";
    let provider = bench.compile("gcc -O1", "provider.c", provider);
    let wrapper = "extern int __real_ext(int), __real_own(int);
        int __wrap_ext(int x) { return __real_ext(x) + 100; } int __wrap_own(int x) { return __real_own(x) + 2; }";
    let wrapper = bench.compile("gcc -O1", "wrapper.c", wrapper);
    bench.must(&format!("ar rcs libprovider.a {provider}"));
    bench.must(&format!("ar rcs libwrapper.a {wrapper}"));
    let wraps = "-z defs --wrap=ext --wrap own";
    // From archives the wrappers come for the names that are meant.
    for inputs in [format!("{user} {provider} {wrapper}"), format!("{user} libwrapper.a libprovider.a")] {
        let pair = bench.link("wrapped.so", &format!("{wraps} {inputs}"));
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
    }
    let said = bench.refuses(&format!("-z defs --wrap=ext {user} {provider}"));
    assert!(said.contains("undefined symbol: __wrap_ext") && said.contains("user.o"), "{said}");
    // Without wrappers the loader is asked for them, by these names.
    let ours = bench.ours(&format!("-shared --wrap=ext -o ours/open.so {user} {provider}"));
    assert!(ours.status.success(), "{}", text(&ours.stderr));
    let symbols = bench.must("readelf -W -s ours/open.so");
    let undefined = symbols.lines().filter(|line| line.contains(" UND ") && line.ends_with("__wrap_ext"));
    assert_eq!(undefined.count(), 2, "{symbols}");
}

#[test]
fn bracketed_objects_come_when_they_are_needed() {
    let bench = Bench::new();
    let main = "extern int first(void); int probe(void) { CHECK(first() == 3); return 0; }";
    let main = bench.compile("gcc -O1", "main.c", main);
    let first = "extern int second(void); int first(void) { return second() + 1; }";
    let first = bench.compile("gcc -O1", "first.c", first);
    let second = bench.compile("gcc -O1 -fcommon", "second.c", "int twice; int second(void) { return 2; }");
    let other =
        bench.compile("gcc -O1 -fcommon", "other.c", "int twice, missing(void); int other(void) { return missing(); }");
    bench.must(&format!("ar rcs libother.a {other}"));
    for inputs in [
        format!("{main} --start-lib {first} {other} {second} --end-lib"),
        format!("--start-lib {second} --end-lib --start-lib {first} --end-lib {main}"),
        format!("{main} --push-state --start-lib --as-needed {second} --pop-state {first} {other} --end-lib"),
    ] {
        bench.link("bracketed.so", &inputs).is_right("probe 0\nend\n");
    }
    let traced = format!("-shared -t -y other -y first -y missing -o ours/traced.so {main}");
    let ours = bench.ours(&format!("{traced} --start-lib {second} {first} --end-lib libother.a"));
    let said = text(&ours.stdout);
    assert!(said.contains("first.o\n") && !said.contains("other.o\n"), "{said}");
    for line in
        ["main.o: reference to first", "first.o: definition of first", "libother.a(other.o): lazy definition of other"]
    {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    for (options, wanted) in [
        ("--start-lib --start-lib", "do not nest"),
        ("--end-lib", "--end-lib"),
        ("--start-lib --end-lib --end-lib", "--end-lib"),
    ] {
        let said = bench.refuses(&format!("{main} {options}"));
        assert!(said.contains(wanted), "{options}: {said}");
    }
}

#[test]
fn symbols_are_asked_for_and_told_of() {
    let bench = Bench::new();
    let main =
        bench.compile("gcc -O1 -fcommon", "main.c", "int shared_value, filled = 1; int probe(void) { return 0; }");
    let one = bench.compile("gcc -O1 -fcommon", "one.c", "int shared_value; int wanted_one(void) { return 1; }");
    let two = bench.compile("gcc -O1", "two.c", "int wanted_two(void) { return 2; } int shared_value = 3;");
    bench.must(&format!("ar rcs liball.a {one} {two}"));
    let pair = bench.link("globbed.so", &format!("{main} liball.a --undefined-glob wanted_[no]*"));
    pair.is_right("probe 0\nend\n");
    let symbols = |image: &str| bench.must(&format!("readelf -W --dyn-syms {image}"));
    let found = symbols("ours/globbed.so");
    assert!(found.contains("wanted_one") && !found.contains("wanted_two"), "{found}");

    let ours =
        bench.ours(&format!("-shared {main} liball.a --require-defined=wanted_two --gc-sections -o ours/asked.so"));
    assert!(ours.status.success() && symbols("ours/asked.so").contains("wanted_two"), "{}", text(&ours.stderr));
    let said = bench.refuses(&format!("{main} liball.a --require-defined=nowhere"));
    assert!(said.contains("undefined symbol: nowhere") && said.contains("--require-defined"), "{said}");

    let ours = bench.ours(&format!("-shared --warn-common {main} {one} {two} -o ours/common.so"));
    let said = text(&ours.stderr);
    for object in ["main.o: common symbol shared_value gives way", "one.o: common symbol shared_value gives way"] {
        assert!(ours.status.success() && said.contains(object), "{said}");
    }
    bench.file("retained", "# these\nprobe\n\nwanted_one\n");
    bench.link("retained.so", &format!("--retain-symbols-file retained {main} {one}")).is_right("probe 0\nend\n");
    let found = symbols("ours/retained.so");
    assert!(found.contains(" wanted_one\n") && !found.contains("shared_value"), "{found}");
    let ours = bench.ours(&format!("-shared -e nowhere {main} -o ours/entry.so"));
    assert!(text(&ours.stderr).contains("warning: -e nowhere"), "{}", text(&ours.stderr));
}

#[test]
fn names_of_cpp_are_compared_as_in_source() {
    let bench = Bench::new();
    let source = "namespace ns { struct A { virtual int f(int); A(); }; int A::f(int x) { return x; } A::A() {} int g(long) { return 1; } }
        template <class T> T copy(T x) { return x; } template int copy<int>(int); template long copy<long>(long);
        extern \"C\" int probe() { return 0; }";
    let object = bench.compile("g++ -O1 -fno-rtti", "names.cc", source);
    for (script, wanted) in [
        ("V1 { probe; extern \"C++\" { ns::A::*; \"int copy<int>(int)\"; }; local: *; };", 5),
        ("V1 { *; local: extern \"C++\" { ns::*; \"vtable for ns::A\"; long*; }; };", 2),
        ("{ probe; extern \"C++\" { \"vtable for ns::A\"; *::g*; }; local: *; };", 3),
    ] {
        bench.file("map", script);
        let pair = bench.link("source.so", &format!("--version-script map {object}"));
        pair.is_right("probe 0\nend\n");
        let symbols = bench.must("readelf -W --dyn-syms ours/source.so");
        let defined = symbols.lines().filter(|line| !line.contains(" UND ") && !line.contains(" ABS "));
        let defined = defined.filter(|line| line.contains(" GLOBAL ") || line.contains(" WEAK "));
        assert_eq!(defined.count(), wanted, "{script}: {symbols}");
    }
    bench.file("map", "V1 { extern \"C++\" { \"ns::h()\"; }; };");
    let said = bench.refuses(&format!("--version-script map {object}"));
    assert!(said.contains("ns::h() of V1: nothing defines"), "{said}");
    bench.file("list", "{ probe; extern \"C++\" { ns::*; }; };");
    bench.link("listed.so", &format!("--dynamic-list list {object}")).is_right("probe 0\nend\n");
}

#[test]
fn scripts_define_symbols() {
    let bench = Bench::new();
    let source = "extern int alias(void), shifted, wanted, spare(void); int values[] = { 1, 2, 3 };
        int target(void) { return 42; } int spare(void) { return 5; }
        int probe(void) { CHECK(alias() == 42 && shifted == 2 && (long)&wanted == 16 && spare() == 5); return 0; }";
    let object = bench.compile("gcc -O1", "user.c", source);
    let needed = bench.compile("gcc -O1", "needed.c", "int needed(void) { return 1; }");
    bench.must(&format!("ar rcs libneeded.a {needed}"));
    bench.file(
        "symbols.ld",
        "/* names */\nalias = target;\n\"shifted\" = values + 4;\nPROVIDE(wanted = 0x10);\nPROVIDE(unused = nowhere);\n\
         PROVIDE(spare = target);\nEXTERN(needed)\n",
    );
    let pair = bench.link("scripted.so", &format!("-z defs {object} symbols.ld libneeded.a"));
    pair.reads_clean();
    pair.prints("", "probe 0\nend\n");
    let symbols = bench.must("readelf -W --dyn-syms ours/scripted.so");
    assert!(symbols.contains(" needed\n") && !symbols.contains("unused"), "{symbols}");
    // What a script asks for stays, though nobody else knows of it.
    let hidden = bench.compile(
        "gcc -O1 -ffunction-sections",
        "hidden.c",
        "__attribute__((visibility(\"hidden\"))) int needed(void) { return 1; }
         __attribute__((visibility(\"hidden\"))) int other(void) { return 2; } int probe(void) { return 0; }",
    );
    bench.file("extern.ld", "EXTERN(needed)\n");
    succeeds(&bench.ours(&format!("-shared --gc-sections -o ours/hidden.so {hidden} extern.ld")));
    let symbols = bench.must("readelf -W -s ours/hidden.so");
    assert!(symbols.contains(" needed\n") && !symbols.contains(" other\n"), "{symbols}");
    // The table for debuggers has versions in names, as objects have them.
    bench.file("version.ld", "VERSION { V1 { local: *; }; };\n\"old@V1\" = target;\n");
    bench.must("rm -f ours/versioned.so");
    let ours = bench.ours(&format!("-shared -o ours/versioned.so {object} version.ld --unresolved-symbols=ignore-all"));
    assert!(ours.status.success(), "{}", text(&ours.stderr));
    let symbols = bench.must("readelf -W -s ours/versioned.so");
    assert!(symbols.lines().any(|line| line.ends_with(" old@V1")), "{symbols}");
    bench.file("symbols.ld", "alias = alias;\n");
    let said = bench.refuses(&format!("{object} symbols.ld"));
    assert!(said.contains("alias") && said.contains("defined by itself"), "{said}");
}

#[test]
fn features_are_demanded_and_missed() {
    let bench = Bench::new();
    let source = "extern int ext(void); int probe(void) { return 0; } int use(void) { return ext(); }";
    let with = bench.compile("gcc -O1 -fcf-protection=full", "with.c", source);
    let without = bench.compile("gcc -O1 -fcf-protection=none", "without.c", "int other(void) { return 1; }");
    let notes = |options: &str| {
        let ours = bench.ours(&format!("-shared -o ours/features.so {options}"));
        let said = text(&ours.stderr);
        assert!(ours.status.success(), "{said}");
        (bench.must("readelf -n ours/features.so"), said)
    };
    for (options, stated, named) in [
        (with.clone(), "IBT, SHSTK", false),
        (format!("{with} {without}"), "", false),
        (format!("{with} {without} -z shstk"), "x86 feature: SHSTK", false),
        (format!("{with} {without} -z ibt -z shstk"), "IBT, SHSTK", false),
        (format!("{without} {with} -z force-ibt"), "x86 feature: IBT", true),
        (format!("{with} {without} -z cet-report=warning"), "", true),
    ] {
        let (notes, said) = notes(&options);
        assert_eq!(notes.contains("x86 feature"), !stated.is_empty(), "{options}: {notes}");
        assert!(notes.contains(stated), "{options}: {notes}");
        assert_eq!(said.contains("warning: without.o"), named, "{options}: {said}");
        assert!(!said.contains("with.o"), "{options}: {said}");
    }
    let said = bench.refuses(&format!("{with} {without} -z cet-report=error"));
    assert!(said.contains("without.o") && said.contains("SHSTK"), "{said}");
    // Entries of the procedure linkage table do their part.
    bench.link("forced.so", &format!("{with} {without} -z force-ibt")).prints("-l", "probe 0\nend\n");
    let code = bench.must("objdump -d -j .plt ours/forced.so");
    assert!(code.contains("endbr64"), "{code}");

    let package = "%7B%22name%22:%22x%22%7D";
    let pair = bench.link("packaged.so", &format!("{with} --package-metadata={package}"));
    pair.reads_clean();
    let (notes, _) = notes(&format!("{with} --package-metadata={package}"));
    let image = bench.bytes("ours/features.so");
    let written = image.windows(17).any(|bytes| bytes == b"FDO\0{\"name\":\"x\"}\0");
    assert!(written && notes.contains("FDO"), "{notes}");
}

#[test]
fn sections_that_are_left_out_are_told() {
    let bench = Bench::new();
    let source = "__attribute__((visibility(\"hidden\"))) int unused(void) { return 1; } int probe(void) { return 0; }";
    let object = bench.compile("gcc -O1 -ffunction-sections", "gone.c", source);
    let line = |options: &str| text(&bench.ours(&format!("-shared -o ours/gone.so {object} {options}")).stdout);
    let wanted = "removing unused section gone.o:(.text.unused)";
    assert!(line("--gc-sections --print-gc-sections").lines().any(|line| line == wanted));
    assert!(!line("--gc-sections --print-gc-sections").contains(".text.probe"));
    assert_eq!(line("--print-gc-sections"), "");
    assert_eq!(line("--gc-sections --print-gc-sections --no-print-gc-sections"), "");
}
