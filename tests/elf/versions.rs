//! Version scripts, versions in symbols' names, lists of symbols, and what else decides which symbols others see.

use crate::support::{Bench, Pair, reads_clean, text};

/// The dynamic symbols of a library with their versions, sorted.
fn symbols(bench: &Bench, library: &str) -> Vec<String> {
    let table = bench.must(&format!("readelf -W --dyn-syms {library}"));
    let mut names: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|name| !name.starts_with("Name"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// The symbols that the loader looks up to fill words, sorted.
fn looked_up(bench: &Bench, library: &str) -> Vec<String> {
    let table = bench.must(&format!("readelf -W -r {library}"));
    let symbolic = table.lines().filter(|line| line.contains("R_X86_64_64"));
    let mut names: Vec<String> =
        symbolic.filter_map(|line| line.split_whitespace().nth(4)).map(str::to_owned).collect();
    names.sort();
    names
}

impl Pair<'_> {
    /// Checks that both libraries have the same symbols in the same versions, and that readers are content with ours.
    #[track_caller]
    fn exports_the_same(&self, bench: &Bench) -> Vec<String> {
        let ours = symbols(bench, &self.ours());
        assert_eq!(ours, symbols(bench, &self.ours().replace("ours/", "lld/")));
        reads_clean(bench, &self.ours());
        ours
    }
}

const MAP: &str = "# versions of a library
    V1 { global: probe; old; both; v1_*; local: *; };
    V2 { global: both; renewed; extern \"C\" { \"quoted\" }; } V1;
    V3 { *_three; } V2;";

#[test]
fn definitions_have_the_versions_of_scripts_and_names() {
    let bench = Bench::new();
    bench.file("map", MAP);
    bench.file("map.ld", format!("VERSION {{ {} }}", MAP.split_once('\n').unwrap().1));
    let object = bench.compile(
        "gcc -O1",
        "library.c",
        "int secret(void) { return 1; }
         int old(void) { return secret(); }
         int both1(void) { return 10; } int both2(void) { return 20; }
         __asm__(\".symver both1,both@V1\\n.symver both2,both@@V2\");
         extern int both(void), both_first(void); __asm__(\".symver both_first,both@V1\");
         int renewed(void) { return secret() + 1; }
         int v1_glob(void) { return both() + both_first(); }
         int x_three(void) { return 3; } int quoted(void) { return 4; }
         int probe(void) { CHECK(v1_glob() == 30); return 0; }",
    );
    let expected =
        ["both@@V2", "both@V1", "old@@V1", "probe@@V1", "quoted@@V2", "renewed@@V2", "v1_glob@@V1", "x_three@@V3"];
    for options in ["--version-script=map", "--version-script=map --gc-sections -z now --hash-style=gnu", "map.ld"] {
        let pair = bench.link("libv.so", &format!("{options} -soname libv.so {object}"));
        assert_eq!(pair.exports_the_same(&bench), expected, "{options}");
        pair.prints("", "probe 0\nend\n");
        pair.prints("-l", "probe 0\nend\n");
    }
    let versions = bench.must("readelf -V -W ours/libv.so");
    for wanted in [
        "Flags: BASE  Index: 1  Cnt: 1  Name: libv.so",
        "Index: 3  Cnt: 2  Name: V2",
        "Index: 4  Cnt: 2  Name: V3",
        "Parent 1: V2",
    ] {
        assert!(versions.contains(wanted), "{wanted}: {versions}");
    }
    assert!(
        bench
            .must("readelf -W -s ours/libv.so")
            .lines()
            .any(|line| line.contains(" LOCAL ") && line.ends_with(" secret"))
    );

    // Programs linked against it, by both, find each version, and so does who asks the loader.
    std::fs::copy(bench.path("ours/libv.so"), bench.path("libv.so")).unwrap();
    let user = bench.compile(
        "gcc -O1",
        "user.c",
        "extern int old(void), both(void), renewed(void), both_first(void);
         __asm__(\".symver both_first,both@V1\");
         extern void *dlvsym(void *, const char *, const char *), *dlopen(const char *, int), *dlsym(void *, const char *);
         int probe(void) {
             CHECK(old() == 1 && both() == 20 && renewed() == 2 && both_first() == 10);
             void *library = dlopen(\"libv.so\", 2);
             int (*one)(void) = dlvsym(library, \"both\", \"V1\"), (*two)(void) = dlvsym(library, \"both\", \"V2\");
             int (*plain)(void) = dlsym(library, \"both\");
             CHECK(one && two && one() == 10 && two() == 20 && plain == two);
             CHECK(!dlvsym(library, \"both\", \"V3\") && !dlvsym(library, \"old\", \"V2\") && !dlsym(library, \"secret\"));
             return 0;
         }",
    );
    bench.link("user.so", &format!("-z defs {user} -L. -lv {}", crate::support::LIBC)).prints("", "probe 0\nend\n");
    bench.must(&format!("gcc -shared -Wl,-z,defs -o ours/gnu.so {user} -L. -lv"));
    assert_eq!(bench.load("ours/gnu.so"), "probe 0\nend\n");
    assert!(symbols(&bench, "ours/gnu.so").iter().any(|name| name.starts_with("both@V1")));
}

#[test]
fn of_several_patterns_the_same_counts_as_elsewhere() {
    let bench = Bench::new();
    let object = bench.compile(
        "gcc",
        "names.s",
        ".globl foo_a, foo_b, fx, i1, i2\nfoo_a:\nfoo_b:\nfx: ret\ni1: ret\ni2: ret\n\
         .symver i1,old@V1\n.symver i2,old@@V2\n.symver i1,solo@V1\n.symver i2,dflt@@V1\n.symver fx,plain@\n\
         .section .note.GNU-stack,\"\",@progbits\n",
    );
    for script in [
        "V1 { global: *; }; V2 { global: *; };",
        "V1 { local: *; }; V2 { global: foo*; fx; local: foo_b; };",
        "V1 { global: foo_*; }; V2 { global: foo_?; local: f*; };",
        "V1 { global: old; f[!a-n]*; local: *; }; V2 { old; \"fx\"; dflt; i?; } V1;",
        "V1 { local: old; dflt; solo; }; V2 { };",
        "V1 { foo_a; local: *; }; V2 { foo_a; *; } V1;",
    ] {
        bench.file("map", script);
        bench.link("names.so", &format!("--undefined-version --version-script map {object}")).exports_the_same(&bench);
    }
    // A symbol with a name only.
    let plain =
        bench.compile("gcc", "plain.s", ".globl a, b, c\na:\nb:\nc: ret\n.section .note.GNU-stack,\"\",@progbits\n");
    for script in ["{ a; local: *; };", "{ global: [ab]; local: b; };", "{ local: a*; ?; };"] {
        bench.file("map", script);
        let pair = bench.link("plain.so", &format!("--undefined-version --version-script=map {plain}"));
        pair.exports_the_same(&bench);
        assert!(!bench.must("readelf -V ours/plain.so").contains("definition"), "{script}");
    }
    // Backslashes and quotes take the meaning from wildcards, as in GNU ld.
    bench.file("map", "{ \\a; \\b; local: [\\c]; \"*\"; \"[a]\"; };");
    let linked = bench.ours(&format!("-shared -o ours/plain.so --undefined-version --version-script=map {plain}"));
    assert!(linked.status.success(), "{}", text(&linked.stderr));
    assert_eq!(symbols(&bench, "ours/plain.so"), ["a", "b"]);
}

#[test]
fn what_a_script_hides_goes_with_other_options() {
    let bench = Bench::new();
    let flags = "gcc -O1 -ffunction-sections -fdata-sections";
    let object = bench.compile(
        flags,
        "main.c",
        "extern int member(void); int unused(void) { return 5; } int used(void) { return 6; }
         int kept(void) { return used() + member(); } int probe(void) { CHECK(kept() == 13); return 0; }",
    );
    let member =
        bench.compile(flags, "member.c", "int member(void) { return 7; } int other_member(void) { return 8; }");
    let lazy = bench.compile(flags, "lazy.c", "int never_taken(void) { return 9; }");
    bench.must(&format!("ar rcs libm.a {member} {lazy}"));
    bench.file("map", "V { global: probe; kept; also; member; never_taken; local: *; };");
    let pair = bench.link(
        "all.so",
        &format!("--version-script=map --gc-sections --exclude-libs=ALL --defsym also=kept {object} libm.a"),
    );
    assert_eq!(symbols(&bench, "ours/all.so"), ["also@@V", "kept@@V", "probe@@V"]);
    pair.prints("", "probe 0\nend\n");
    let table = bench.must("readelf -W -s ours/all.so");
    assert!(table.contains(" used") && !table.contains(" unused") && !table.contains("other_member"), "{table}");
    // What the archive would define is named and not taken; what nothing defines is a mistake.
    let mistake = format!("--version-script=map --defsym also=kept {object} {member}");
    assert!(bench.refuses(&mistake).contains("version script: never_taken of V: nothing defines such a symbol"));
    bench.link("loose.so", &format!("--undefined-version {mistake}"));
}

#[test]
fn lists_say_what_stays_preemptible() {
    let bench = Bench::new();
    bench.file("list", "{ f1; \"d1\"; w*; };");
    let object = bench.compile(
        "gcc",
        "words.s",
        ".globl f1, f2, d1, d2, w1, wd\n.weak wf\n.type f1,@function\n.type f2,@function\n.type wf,@function\n\
         .type d1,@object\n.type d2,@object\nf1:\nf2:\nwf:\nw1: ret\n.data\n.weak wd\nd1: .quad f1, f2\nd2: .quad d1, d2\n\
         wd: .quad wf, wd, w1\n.section .note.GNU-stack,\"\",@progbits\n",
    );
    let all = ["d1", "d2", "f1", "f2", "w1", "wd", "wf"];
    for (options, expected) in [
        ("", &all[..]),
        ("--dynamic-list=list", &["d1", "f1", "w1", "wd", "wf"]),
        ("--dynamic-list list --export-dynamic-symbol=f?", &["d1", "f1", "f2", "w1", "wd", "wf"]),
        ("-Bsymbolic --export-dynamic-symbol d2", &["d2"]),
        ("-Bsymbolic-functions --export-dynamic-symbol-list=list", &["d1", "d2", "f1", "w1", "wd", "wf"]),
        ("-Bsymbolic-non-weak", &["wd", "wf"]),
        ("-Bsymbolic-non-weak-functions", &["d1", "d2", "w1", "wd", "wf"]),
        ("--export-dynamic-symbol=nothing", &all),
    ] {
        let pair = bench.link("words.so", &format!("{options} {object}"));
        assert_eq!(pair.exports_the_same(&bench), all, "{options}");
        assert_eq!(looked_up(&bench, "lld/words.so"), expected, "lld {options}");
        assert_eq!(looked_up(&bench, "ours/words.so"), expected, "{options}");
    }
    // GNU ld's: a list of all data.
    for linker in [format!("{} -flavor gnu", env!("CARGO_BIN_EXE_pkgld")), "ld.bfd".to_owned()] {
        bench.must(&format!("{linker} -shared -o data.so --dynamic-list-data {object}"));
        let found = looked_up(&bench, "data.so");
        assert_eq!(found, ["d1", "d2"], "{linker}");
    }
}

#[test]
fn versions_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    let object =
        bench.compile("gcc", "a.s", ".globl i1, i2, j\ni1: ret\ni2: ret\nj: ret\n.symver i1,f@V1\n.symver i2,f@@V2\n");
    let twice = bench.compile("gcc", "b.s", ".globl k\nk: ret\n.symver k,f@@V1\n");
    let same = bench.compile("gcc", "c.s", ".globl l\nl: ret\n.symver l,f@V2\n");
    for (script, objects, wanted) in [
        ("V1 { j; };", &object, "a.o: defines f in version V2, which no version script has"),
        ("V1 { }; V1 { };", &object, "version script: version V1 is defined twice"),
        ("V1 { }; { j; };", &object, "--version-script: map: line 1: a node without a name cannot stand beside others"),
        ("V1 { } V0; V2 { };", &object, "version script: version V1 comes after V0, which is not defined"),
        ("V1 { }; V2 { none; };", &object, "version script: none of V2: nothing defines such a symbol"),
        ("V1 { }; V2 { };", &format!("{object} {twice}"), "duplicate symbol: f"),
        ("V1 { }; V2 { };", &format!("{object} {same}"), "duplicate symbol: f"),
        (
            "V1 {\n extern \"Java\" { f.*; }; };",
            &object,
            "--version-script: map: line 2: extern \"Java\" is not supported",
        ),
        ("V1 { j }", &object, "--version-script: map: line 1: ';' is expected, not '}'"),
    ] {
        bench.file("map", script);
        let said = bench.refuses(&format!("--version-script=map {objects}"));
        assert!(said.contains(wanted), "{script}: {said}");
    }
    bench.file("list", "{ local: f; };");
    let said = bench.refuses(&format!("--dynamic-list=list {object}"));
    assert!(said.contains("--dynamic-list: list: line 1: a list of symbols has no 'local:' part"), "{said}");
    // In several scripts it can.
    for (first, second) in [
        ("{ j; };", "V1 { j; f; }; V2 { };"),
        ("{ local: j; };", "V1 { j; }; V2 { f; };"),
        ("{ j; local: *; };", "V1 { j; }; V2 { f; };"),
        ("V1 { f; }; V2 { };", "{ local: *; };"),
    ] {
        bench.file("map", first);
        bench.file("map2", second);
        let options = "--undefined-version --version-script=map --version-script=map2";
        bench.link("two.so", &format!("{options} {object}")).exports_the_same(&bench);
    }
    // Named twice: the first counts, and it is told.
    bench.file("map", "V1 { j; }; V2 { j; };");
    let output = bench.ours(&format!("-shared -o ours/warned.so --version-script=map {object}"));
    assert!(output.status.success() && text(&output.stderr).contains("version script: j: named more than once"));
    assert!(symbols(&bench, "ours/warned.so").contains(&"j@@V1".to_owned()));
}

#[test]
fn filters_relaxation_and_bounds_are_those_of_other_linkers() {
    let bench = Bench::new();
    let object = bench.compile(
        "gcc -O1",
        "loads.c",
        "extern int (*__init_array_start[])(void), (*__init_array_end[])(void), (*__preinit_array_start[])(void);
         extern int (*__preinit_array_end[])(void), (*__fini_array_start[])(void), (*__fini_array_end[])(void);
         static int ran; __attribute__((constructor)) static void run(void) { ran = 1; }
         __attribute__((visibility(\"hidden\"))) int near = 3; int load(void);
         __asm__(\".text\\nload: movq near@GOTPCREL(%rip), %rax\\nmovl (%rax), %eax\\nret\");
         int probe(void) {
             CHECK(__init_array_end - __init_array_start == 1 && ran);
             CHECK(__preinit_array_start == __preinit_array_end && __fini_array_start == __fini_array_end);
             CHECK(load() == 3);
             return 0;
         }",
    );
    for (options, loads) in [("", 0), ("--no-relax", 1), ("--no-relax --relax", 0)] {
        let pair = bench.link("loads.so", &format!("{options} {object}"));
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
        let code = bench.must("objdump -d --disassemble=load ours/loads.so");
        let found = code.lines().filter(|line| line.contains("mov ") && line.contains("(%rip)")).count();
        assert_eq!(found, loads, "{options}: {code}");
    }
    // The loader asks for filters; auxiliary ones may be missing.
    let filters = "-f one --auxiliary=two -F three --filter four";
    bench.link("filter.so", &format!("{filters} {object}"));
    for library in ["ours/filter.so", "lld/filter.so"] {
        let section = bench.must(&format!("readelf -W -d {library}"));
        for wanted in [
            "Auxiliary library: [one]",
            "Auxiliary library: [two]",
            "Filter library: [three]",
            "Filter library: [four]",
        ] {
            assert!(section.contains(wanted), "{library}: {wanted}: {section}");
        }
    }
}

#[test]
fn a_default_version_and_the_name_alone_are_one_definition() {
    let bench = Bench::new();
    // GNU's assembler and LLVM's keep the name without the version beside it: strong or weak, before or behind.
    let source =
        ".globl one, probe\n.weak soft\n.symver one, one@@V2\n.symver soft, soft@@V1\n.symver three, three@V1\n
        .globl three\none: mov $1, %eax\nret\nsoft: mov $2, %eax\nret\nthree: ret\n
        probe: push %rbx\ncall one@PLT\nmov %eax, %ebx\ncall soft@PLT\nlea -3(%rax,%rbx), %eax\npop %rbx\nret\n
        .section .note.GNU-stack,\"\",@progbits\n";
    for compiler in ["clang-19", "gcc"] {
        let object = bench.compile(compiler, "both.s", source);
        for script in ["V1 { local: *; }; V2 { probe; };", "V1 { probe; }; V2 { local: none; };", "V1 { *; }; V2 { };"]
        {
            bench.file("map", script);
            let pair = bench.link("both.so", &format!("--undefined-version --version-script=map {object}"));
            let names = pair.exports_the_same(&bench);
            assert!(names.contains(&"one@@V2".to_owned()) && names.contains(&"soft@@V1".to_owned()), "{names:?}");
            assert!(!names.contains(&"one".to_owned()), "{names:?}");
            pair.prints("", "probe 0\nend\n");
        }
    }
    // Two definitions are two all the same.
    let twice = bench.compile(
        "clang-19",
        "twice.s",
        ".globl one, other\n.symver other, one@@V2\none: ret\nother: ret\n.section .note.GNU-stack,\"\",@progbits\n",
    );
    bench.file("map", "V2 { };");
    let said = bench.refuses(&format!("--version-script=map {twice}"));
    assert!(said.contains("duplicate symbol: one"), "{said}");
}

#[test]
fn members_of_archives_are_found_without_their_default_versions() {
    let bench = Bench::new();
    let member = bench.compile(
        "gcc",
        "member.s",
        ".globl two, old\n.symver two, answer@@V2\n.symver old, answer@V1\ntwo: mov $2, %eax\nret\nold: ret\n
         .section .note.GNU-stack,\"\",@progbits\n",
    );
    bench.must(&format!("ar rcs libmember.a {member}"));
    let user = "extern int answer(void); int probe(void) { CHECK(answer() == 2); return 0; }";
    let user = bench.compile("gcc -O1", "user.c", user);
    bench.file("map", "V1 { };\nV2 { };");
    let pair = bench.link("found.so", &format!("{user} libmember.a --version-script=map"));
    pair.exports_the_same(&bench);
    pair.prints("", "probe 0\nend\n");
    // What is not for others needs no script that has its version.
    let pair = bench.link("hidden.so", &format!("{user} libmember.a --exclude-libs=ALL"));
    assert_eq!(pair.exports_the_same(&bench), ["probe"]);
    let said = bench.refuses(&format!("{user} libmember.a"));
    assert!(said.contains("libmember.a(member.o)") && said.contains("in version V2"), "{said}");
}

#[test]
fn a_version_that_no_library_has_is_missing() {
    let bench = Bench::new();
    for weak in ["", ".weak plain\n"] {
        let source = format!(
            ".symver plain, gone@V7\n{weak}.globl probe\nprobe: call plain@PLT\nret\n.section .note.GNU-stack,\"\",@progbits\n"
        );
        let object = bench.compile("gcc", "gone.s", &source);
        // Left to the loader it would bind to what has another version.
        let said = bench.refuses(&object);
        assert!(said.contains("undefined symbol: gone@V7") && said.contains("gone.o:(.text+0x1)"), "{said}");
    }
}
