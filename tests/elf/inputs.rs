//! Forms of inputs: archives, linker scripts, many sections, compact relocations, compressed debug information, notes.

use crate::support::{Bench, Cpu, LIBC, reads_clean, succeeds, text};

const MAIN: &str = "extern int first(void); int probe(void) { CHECK(first() == 3); return 0; }";
const CHAIN: [(&str, &str); 4] = [
    ("first.c", "extern int second(void); int first(void) { return second() + 1; }"),
    ("second.c", "extern int third(void); int second(void) { return third() + 1; }"),
    ("third.c", "int third(void) { return 1; }"),
    ("unused.c", "extern int nowhere(void); int unused(void) { return nowhere(); }"),
];

#[test]
fn archives_of_all_makes_give_the_members_that_are_needed() {
    let bench = Bench::new();
    let main = bench.compile("gcc -O1", "main.c", MAIN);
    let [first, _, third, unused] = CHAIN.map(|(name, source)| bench.compile("gcc -O1", name, source));
    // A member name beyond the header's 16 bytes.
    std::fs::copy(bench.path("second.o"), bench.path("second_with_a_name_that_does_not_fit.o")).unwrap();
    let long = "second_with_a_name_that_does_not_fit.o";
    let members = format!("{unused} {third} {long} {first}");
    let makers = [
        "ar rcs",
        "ar rcS",
        "ar rcsT",
        "ar rcST",
        "llvm-ar-19 --format=gnu rcs",
        "llvm-ar-19 --format=gnu rcS",
        "llvm-ar-19 --format=bsd rcs",
        "llvm-ar-19 --format=bsd rcS",
        "llvm-ar-19 --format=darwin rcs",
        "llvm-ar-19 rcs --thin",
    ];
    for (number, maker) in makers.iter().enumerate() {
        let archive = format!("lib{number}.a");
        let line = match maker.strip_suffix(" --thin") {
            Some(maker) => format!("{maker} --thin {archive} {members}"),
            None => format!("{maker} {archive} {members}"),
        };
        bench.must(&line);
        let ours = bench.ours(&format!("-shared -z defs --trace -o ours/archive.so {main} {archive}"));
        assert!(ours.status.success(), "{maker}: {}", text(&ours.stderr));
        let took = text(&ours.stdout);
        assert!(took.contains("(first.o)") && took.contains(long) && !took.contains("unused.o"), "{maker}: {took}");
        assert_eq!(bench.load("ours/archive.so"), "probe 0\nend\n", "{maker}");
        // The reference linker does not look into archives without an index of Apple's kind, nor of none.
        if maker.ends_with("rcs") && !maker.contains("darwin") {
            bench.link("archive.so", &format!("-z defs {main} {archive}")).is_right("probe 0\nend\n");
        }
    }
}

#[test]
fn members_may_stand_in_each_others_archives_and_before_who_needs_them() {
    let bench = Bench::new();
    let main = bench.compile("gcc -O1", "main.c", MAIN);
    let [first, second, third, _] = CHAIN.map(|(name, source)| bench.compile("gcc -O1", name, source));
    bench.must(&format!("ar rcs liba.a {first} {third}"));
    bench.must(&format!("ar rcs libb.a {second}"));
    for inputs in [
        "main.o liba.a libb.a",
        "liba.a libb.a main.o",
        "--start-group libb.a liba.a --end-group main.o",
        "main.o -L. -la -lb",
    ] {
        bench.link("chain.so", &format!("-z defs {inputs}")).is_right("probe 0\nend\n");
    }
    assert_eq!(main, "main.o");
    // -u asks for a member that nobody else needs; a weak reference does not.
    let alone = bench.compile(
        "gcc -O1",
        "alone.c",
        "__attribute__((weak)) extern int first(void); int probe(void) { return first ? 1 : 0; }",
    );
    bench.link("weak.so", &format!("{alone} liba.a libb.a")).is_right("probe 0\nend\n");
    bench.link("asked.so", &format!("-u first {alone} liba.a libb.a")).is_right("probe 1\nend\n");
    bench
        .link("asked.so", &format!("--undefined=third --whole-archive libb.a --no-whole-archive {alone} liba.a"))
        .is_right("probe 0\nend\n");
    // --exclude-libs hides what archives bring.
    for (options, exported) in
        [("", true), ("--exclude-libs=liba.a", false), ("--exclude-libs ALL", false), ("--exclude-libs libb.a", true)]
    {
        bench.link("excluded.so", &format!("{options} {main} liba.a libb.a")).is_right("probe 0\nend\n");
        let symbols = bench.must("readelf -W --dyn-syms ours/excluded.so");
        assert_eq!(symbols.contains(" first"), exported, "{options}: {symbols}");
    }
}

#[test]
fn archives_give_what_shared_libraries_miss() {
    let bench = Bench::new();
    let given = |name: &str, body: &str| bench.compile("gcc -O1", name, body);
    let missing = given("missing.c", "int missing(void) { return 4; }");
    let had = given("had.c", "int had(void) { return 1; }");
    let own = given("own.c", "int own(void) { return 2; }");
    let perhaps = given("perhaps.c", "int perhaps(void) { return 2; }");
    bench.must(&format!("ar rcs liball.a {missing} {had} {own} {perhaps}"));
    let first = "extern int missing(void), had(void), own(void); extern int perhaps(void) __attribute__((weak));\
                 int user(void) { return missing() + had() + own() + (perhaps ? 100 : 0); }";
    let first = given("first.c", first);
    let second = given("second.c", "int had(void) { return 20; }");
    bench.must(&format!("gcc -shared -o libfirst.so -Wl,-soname,libfirst.so {first}"));
    bench.must(&format!("gcc -shared -o libsecond.so -Wl,-soname,libsecond.so {second}"));
    let main = "extern int user(void); int own(void) { return 300; }\
                int probe(void) { CHECK(user() == 324); return 0; }";
    let main = bench.compile("gcc -O1", "main.c", main);
    let link = bench.link("image.so", &format!("{main} libfirst.so libsecond.so liball.a -rpath $ORIGIN/.."));
    link.is_right("probe 0\nend\n");
    let ours = bench.ours(&format!("-shared --trace -o ours/traced.so {main} libfirst.so libsecond.so liball.a"));
    let took = text(&ours.stdout);
    assert!(took.contains("(missing.o)"), "{took}");
    for member in ["(had.o)", "(own.o)", "(perhaps.o)"] {
        assert!(!took.contains(member), "{took}");
    }
}

#[test]
fn scripts_in_libraries_place_are_followed() {
    let bench = Bench::new();
    bench.library("real", "", "int real(void) { return 5; }");
    bench.library("spare", "", "int spare(void) { return 6; }");
    let helper = bench.compile("gcc -O1", "helper.c", "int helper(void) { return 7; }");
    bench.must(&format!("ar rcs libhelper.a {helper}"));
    bench.file("libboth.so", "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( libreal.so libhelper.a AS_NEEDED ( libspare.so ) )\n");
    let source =
        "extern int real(void), helper(void); int probe(void) { CHECK(real() == 5 && helper() == 7); return 0; }";
    let object = bench.compile("gcc -O1", "user.c", source);
    bench.link("script.so", &format!("-z defs {object} -L. -lboth")).is_right("probe 0\nend\n");
    // The system's own: libc.so, libgcc_s.so.
    let gcc = bench.must("gcc -print-file-name=libgcc_s.so");
    let directory = std::path::Path::new(gcc.trim()).parent().unwrap().display().to_string();
    let source = "#include <stdlib.h>\n#include <sys/stat.h>
        extern void *_Unwind_FindEnclosingFunction(void *);
        int probe(void) { struct stat s; CHECK(!stat(\"/\", &s) && _Unwind_FindEnclosingFunction((char *)probe + 1) == (void *)probe); return 0; }";
    let object = bench.compile("gcc -O1", "system.c", source);
    bench
        .link("system.so", &format!("-z defs {object} -L{directory} -L/usr/lib/x86_64-linux-gnu -lgcc_s -lc"))
        .is_right("probe 0\nend\n");
    let dynamic = bench.must("readelf -Wd ours/system.so");
    assert!(dynamic.contains("[libgcc_s.so.1]") && dynamic.contains("[libc.so.6]"), "{dynamic}");
}

/// More sections than 16 bits of a symbol's section index hold: SHN_XINDEX and SHT_SYMTAB_SHNDX.
#[test]
fn more_sections_than_sixteen_bits() {
    let bench = Bench::new();
    let count = 66_000;
    let mut source = String::new();
    for number in 0..count {
        source += &format!(".section .data.s{number},\"aw\",@progbits\nv{number}: .long {number}\n");
    }
    source += &format!(
        ".text\n.globl probe\n.type probe,@function\nprobe: movl v{last}(%rip), %eax\nsubl $({last} - 3), %eax\nsubl v3(%rip), %eax\nret\n.size probe, .-probe\n.data\n.globl table\ntable: .quad v0, v65300, v{last}\n.section .note.GNU-stack,\"\",@progbits\n",
        last = count - 1
    );
    let object = bench.compile("gcc", "many.s", &source);
    let pair = bench.link("many.so", &object);
    pair.prints("", "probe 0\nend\n");
    pair.reads_clean();
}

/// Compact relocations (SHT_CREL), which LLVM's assembler writes on request.
#[test]
fn compact_relocations() {
    let bench = Bench::new();
    let source = "extern int snprintf(char *, unsigned long, const char *, ...);
        static int values[1000]; int *pointers[] = { values, values + 5, values + 999 };
        static int helper(int x) { return x * 3; } int (*functions[])(int) = { helper };
        int probe(void) {
            char text[8];
            CHECK(snprintf(text, 8, \"%d\", functions[0](7)) == 2 && text[0] == '2' && text[1] == '1');
            CHECK(pointers[2] - pointers[0] == 999 && pointers[1] == values + 5);
            return 0;
        }";
    let plain = bench.compile("clang-19 -O1 -g", "plain.c", source);
    bench.link("plain.so", &format!("{plain} {LIBC}")).is_right("probe 0\nend\n");
    let ordinary = bench.bytes("ours/plain.so");
    bench.must("clang-19 -O1 -g -fPIC -S -o crel.s plain.c");
    bench.must("llvm-mc-19 -triple=x86_64-linux-gnu -filetype=obj --crel -o plain.o crel.s");
    let sections = bench.must("llvm-readelf-19 -SW plain.o");
    assert!(sections.contains("CREL"), "{sections}");
    succeeds(&bench.ours(&format!("-shared -o ours/crel.so plain.o {LIBC}")));
    reads_clean(&bench, "ours/crel.so");
    assert_eq!(bench.load("ours/crel.so"), "probe 0\nend\n");
    assert_eq!(bench.load("ours/plain.so"), "probe 0\nend\n");
    // The same image, apart from what the assembler writes elsewhere.
    assert_eq!(bench.bytes("ours/crel.so").len(), ordinary.len());
}

#[test]
fn compressed_debug_sections_are_read() {
    let bench = Bench::new();
    let source = "static int helper(int x) { return x * 3; } int probe(void) { return helper(7) - 21; }";
    for compression in ["-gz=zlib", "-gz=zstd"] {
        let padding: String =
            (0..200).map(|number| format!("int function_{number}(int x) {{ return x + {number}; }}\n")).collect();
        let object =
            bench.compile(&format!("clang-19 -O0 -g {compression}"), "debug.c", &format!("{source}\n{padding}"));
        let flags = bench.must(&format!("readelf -SW {object}"));
        assert!(flags.lines().any(|line| line.contains(".debug_info") && line.contains(" C ")), "{flags}");
        let pair = bench.link("debug.so", &object);
        pair.is_right("probe 0\nend\n");
        let lines = bench.must("llvm-dwarfdump-19 --verify ours/debug.so");
        assert!(lines.contains("No errors"), "{lines}");
        let lines = bench.must("readelf --debug-dump=decodedline ours/debug.so");
        assert!(lines.contains("debug.c"), "{lines}");
    }
}

#[test]
fn control_flow_protection_holds_if_all_objects_have_it() {
    let bench = Bench::new();
    let source = "extern int atoi(const char *), abs(int); extern void qsort(void *, unsigned long, unsigned long, int (*)(const void *, const void *));
        static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
        int (*pointer)(int) = abs;
        int probe(void) {
            int all[] = { 3, 1, 2 };
            qsort(all, 3, sizeof(int), less);
            CHECK(all[0] == 1 && all[2] == 3 && abs(-4) == 4 && atoi(\"12\") == 12 && pointer == abs);
            return 0;
        }";
    let protected = bench.compile("gcc -O1 -fcf-protection=full", "full.c", source);
    let also = bench.compile("clang-19 -O1 -fcf-protection=full", "also.c", "int also(void) { return 1; }");
    let branch = bench.compile("gcc -O1 -fcf-protection=branch", "branch.c", "int branch(void) { return 2; }");
    let none = bench.compile("gcc -O1 -fcf-protection=none", "none.c", "int none(void) { return 3; }");
    for (objects, wanted) in [
        (format!("{protected} {also}"), "x86 feature: IBT, SHSTK"),
        (format!("{protected} {branch}"), "x86 feature: IBT\n"),
        (format!("{protected} {none}"), ""),
    ] {
        for options in ["", "-z now"] {
            let pair = bench.link("cet.so", &format!("{options} {objects} {LIBC}"));
            pair.is_right("probe 0\nend\n");
            pair.prints("-l", "probe 0\nend\n");
            let notes = bench.must("readelf -nW ours/cet.so");
            assert_eq!(notes.contains("x86 feature:"), !wanted.is_empty(), "{objects}: {notes}");
            assert!(notes.contains(wanted), "{objects}: {notes}");
            let code = bench.must("llvm-objdump-19 -d -j .plt -j .plt.sec -j .plt.got ours/cet.so");
            assert_eq!(code.contains("endbr64"), wanted.contains("IBT"), "{code}");
        }
    }
}

/// The program's PLT for RISC-V has no landing pads, and must not say so.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn an_image_does_not_claim_landing_pads_that_its_calls_lack() {
    let bench = Bench::of(Cpu::Riscv64);
    let note = |bits: u32| {
        format!(
            ".section .note.gnu.property,\"a\",@note\n.p2align 3\n.long 4, 16, 5\n.asciz \"GNU\"\n.long 0xc0000000, 4, {bits}, 0\n
            .section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let probe = ".text\n.globl probe\n.type probe, @function\nprobe: ";
    let features = |body: &str, bits: u32| {
        let object = bench.compile("clang-19", "pads.s", &format!("{probe}{body}\n{}", note(bits)));
        succeeds(&bench.ours(&format!("-shared -o ours/pads.so {object}")));
        reads_clean(&bench, "ours/pads.so");
        let section = bench.must("llvm-readelf-19 -x .note.gnu.property ours/pads.so");
        // Of the last line, the third word: the value.
        let line =
            section.lines().rfind(|line| line.starts_with("0x")).map(|line| line.split_whitespace().nth(3).unwrap());
        line.map(|word| u32::from_str_radix(word, 16).unwrap().swap_bytes())
    };
    for (bits, without_calls, with_calls) in [(1, 1, None), (3, 3, Some(2)), (6, 6, Some(2))] {
        assert_eq!(features("li a0, 0\nret", bits), Some(without_calls));
        assert_eq!(features("tail elsewhere@plt", bits), with_calls, "{bits}");
    }
}

#[test]
fn a_compilers_signature_stands_once_and_an_executable_stack_has_to_be_allowed() {
    let bench = Bench::new();
    let one = bench.compile("gcc -O1", "one.c", "int probe(void) { return 0; }");
    let two = bench.compile("gcc -O1", "two.c", "int two(void) { return 0; }");
    let three = bench.compile("clang-19 -O1", "three.c", "int three(void) { return 0; }");
    bench.link("comment.so", &format!("{one} {two} {three}")).is_right("probe 0\nend\n");
    let comments = bench.must("readelf -p .comment ours/comment.so");
    assert_eq!(comments.matches("GCC:").count(), 1, "{comments}");
    assert_eq!(comments.matches("clang version").count(), 1, "{comments}");

    let stack = |library: &str| {
        let segments = bench.must(&format!("readelf -lW {library}"));
        let line = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap().to_owned();
        line.contains("RWE")
    };
    assert!(!stack("ours/comment.so"));
    // An object without a note says nothing.
    let silent = bench.compile("gcc", "silent.s", ".globl silent\nsilent: ret\n");
    succeeds(&bench.ours(&format!("-shared -o ours/silent.so {one} {silent}")));
    assert!(!stack("ours/silent.so"));
    let asks = bench.compile("gcc", "asks.s", ".section .note.GNU-stack,\"x\",@progbits\n.text\nnop\n");
    let said = bench.refuses(&format!("{one} {asks}"));
    assert!(said.contains("asks.o: its .note.GNU-stack asks for a stack that code can run on"), "{said}");
    succeeds(&bench.ours(&format!("-shared -z execstack -o ours/asks.so {one} {asks}")));
    assert!(stack("ours/asks.so"));
    succeeds(&bench.ours(&format!("-shared -z noexecstack -o ours/asks.so {one} {asks}")));
    assert!(!stack("ours/asks.so"));
    succeeds(&bench.ours(&format!("-shared -z execstack -o ours/asks.so {one}")));
    assert!(stack("ours/asks.so"));
}

/// An object's own identity is not the image's.
#[test]
fn identities_of_inputs_are_left_out() {
    let bench = Bench::new();
    let note = ".section .note.gnu.build-id,\"a\",@note\n.p2align 2\n.long 4, 4, 3\n.asciz \"GNU\"\n.long 0xdead\n\
        .section .note.GNU-stack,\"\",@progbits\n.text\n.globl probe\nprobe: xor %eax, %eax\nret\n";
    let object = bench.compile("clang-19", "noted.s", note);
    for (options, size) in
        [("", None), ("--build-id", Some(20)), ("--build-id=fast", Some(8)), ("--build-id=none", None)]
    {
        succeeds(&bench.ours(&format!("-shared {options} -o ours/noted.so {object}")));
        let image = bench.bytes("ours/noted.so");
        let id = object::Object::build_id(&object::File::parse(&*image).unwrap()).unwrap().map(<[u8]>::len);
        assert_eq!(id, size, "{options}");
        let notes = bench.must("readelf -n ours/noted.so");
        assert_eq!(notes.matches("NT_GNU_BUILD_ID").count(), usize::from(size.is_some()), "{notes}");
    }
}

/// What is protected after loading costs no room in the file, however large pages are.
#[test]
fn protection_takes_no_room() {
    let bench = Bench::new();
    let source =
        "int value; int *const pointer = &value; int data = 5; int probe(void) { return *pointer + data - 5; }";
    let object = bench.compile("gcc -O1 -fPIC", "protected.c", source);
    for page in ["4096", "65536", "2097152"] {
        let pair = bench.link("protected.so", &format!("-z max-page-size={page} {object}"));
        pair.is_right("probe 0\nend\n");
        let [ours, theirs] = ["ours/protected.so", "lld/protected.so"].map(|name| bench.bytes(name).len());
        assert!(ours < theirs + 4096, "{page}: {ours} bytes, LLD {theirs}");
    }
}

/// The program's bounds, where a library asks for what has their names.
#[test]
fn bounds_are_the_programs() {
    let bench = Bench::new();
    let names = ["end", "_end", "edata", "_edata", "etext", "_etext", "__bss_start"];
    let words: String = names.iter().map(|name| format!(".quad {name}\n")).collect();
    let text =
        format!(".globl probe\nprobe: xor %eax, %eax\nret\n.data\n{words}.section .note.GNU-stack,\"\",@progbits\n");
    let object = bench.compile("clang-19", "bounds.s", &text);
    bench.link("bounds.so", &object).is_right("probe 0\nend\n");
    let symbols = bench.must("readelf -W --dyn-syms ours/bounds.so");
    for name in names {
        assert!(
            symbols.lines().any(|line| line.ends_with(&format!(" {name}")) && line.contains("GLOBAL DEFAULT")),
            "{symbols}"
        );
    }
    let hidden = bench.compile("clang-19", "hidden.s", &format!(".hidden {}\n{text}", names.join("\n.hidden ")));
    succeeds(&bench.ours(&format!("-shared -o ours/hidden.so {hidden}")));
    let symbols = bench.must("readelf -W --dyn-syms ours/hidden.so");
    assert!(!symbols.contains("_end") && !symbols.contains("__bss_start"), "{symbols}");
}

#[test]
fn merged_strings_and_constants_keep_their_contents() {
    let bench = Bench::new();
    let one = "const char *one_text(void) { return \"shared text\"; } const char *one_tail(void) { return \"text\"; }
        double one_number(double x) { return x * 3.25; } const unsigned short *one_wide(void) { return u\"wide\"; }";
    let two = "#include <string.h>
        extern const char *one_text(void), *one_tail(void); extern double one_number(double); extern const unsigned short *one_wide(void);
        static const char *const table[] = { \"shared text\", \"text\", \"\", \"other\" };
        int probe(void) {
            CHECK(!strcmp(one_text(), table[0]) && !strcmp(one_tail(), table[1]) && !*table[2] && !strcmp(table[3], \"other\"));
            CHECK(one_number(2.0) == 6.5 && one_wide()[0] == 'w' && one_wide()[4] == 0);
            return 0;
        }";
    for compiler in ["gcc -O1", "clang-19 -O2", "gcc -O0 -fdata-sections"] {
        let objects =
            [("one.c", one), ("two.c", two)].map(|(name, source)| bench.compile(compiler, name, source)).join(" ");
        bench.link("merge.so", &format!("{objects} {LIBC}")).is_right("probe 0\nend\n");
    }
}

#[test]
fn what_only_other_tools_read_does_no_harm() {
    let bench = Bench::new();
    // LLVM's profile of calls has relocations without addends; a warning is GNU ld's to give; an empty file says nothing.
    let source = ".text\n.globl probe, other\nprobe: xor %eax, %eax\nret\nother: ret\n.cg_profile probe, other, 10\n
        .section .gnu.warning.other,\"a\",@progbits\n.string \"other is old\"\n.section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("clang-19", "profile.s", source);
    let sections = bench.must(&format!("llvm-readelf-19 -S {object}"));
    assert!(sections.contains("llvm.call-graph-profile") && sections.contains(".gnu.warning.other"), "{sections}");
    bench.file("empty.o", "");
    succeeds(&bench.ours(&format!("-shared -o ours/plain.so empty.o {object}")));
    reads_clean(&bench, "ours/plain.so");
    let sections = bench.must("llvm-readelf-19 -S ours/plain.so");
    assert!(!sections.contains("profile") && !sections.contains("warning"), "{sections}");
    assert_eq!(bench.load("ours/plain.so"), "probe 0\nend\n");
    let said = bench.refuses("empty.o -m elf_x86_64");
    assert!(said.contains("no object takes part"), "{said}");
}

#[test]
fn references_to_what_was_left_out_become_what_is_asked_for() {
    let bench = Bench::new();
    let source = ".section .text.dead,\"ax\",@progbits\n.hidden dead\n.globl dead\ndead: call nowhere@PLT\n
        .text\n.globl probe\nprobe: call somewhere@PLT\nret\n
        .section .debug_info,\"\",@progbits\n.quad dead\n.section .debug_ranges,\"\",@progbits\n.quad dead\n
        .section .debug_names,\"\",@progbits\n.quad dead\n.section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("gcc", "dead.s", source);
    let contents = |section: &str| {
        bench.must(&format!(
            "objcopy -O binary --only-section={section} --set-section-flags {section}=alloc ours/dead.so bytes"
        ));
        u64::from_le_bytes(bench.bytes("bytes").try_into().unwrap())
    };
    for (options, expected) in [
        ("", [0, 1, u64::MAX]),
        ("-z dead-reloc-in-nonalloc=.debug_*=0x7f", [0x7f; 3]),
        ("-z dead-reloc-in-nonalloc=*=5 -z dead-reloc-in-nonalloc=.debug_ranges=6", [5, 6, 5]),
    ] {
        succeeds(&bench.ours(&format!("-shared -o ours/dead.so --gc-sections {object} {options}")));
        assert_eq!([".debug_info", ".debug_ranges", ".debug_names"].map(contents), expected, "{options}");
    }
    // The loader is asked for what the rest refers to, and no more.
    let symbols = bench.must("readelf -W --dyn-syms ours/dead.so");
    assert!(symbols.contains(" somewhere") && !symbols.contains("nowhere"), "{symbols}");
    succeeds(&bench.ours(&format!("-shared -o ours/dead.so {object}")));
    let symbols = bench.must("readelf -W --dyn-syms ours/dead.so");
    assert!(symbols.contains(" nowhere"), "{symbols}");
}

#[test]
fn libraries_that_only_dropped_code_uses_are_not_asked_for() {
    let bench = Bench::new();
    for name in ["used", "dropped", "unused", "wanted"] {
        bench.library(name, "", &format!("int from_{name}(void) {{ return 3; }}"));
    }
    let source = "extern int from_used(void), from_dropped(void);
        __attribute__((visibility(\"hidden\"))) int dead(void) { return from_dropped(); }
        int probe(void) { return from_used() - 3; }";
    let object = bench.compile("gcc -O1 -ffunction-sections", "user.c", source);
    for (options, expected) in [("", &["used", "dropped"][..]), ("--gc-sections", &["used"])] {
        let line = format!("{options} --as-needed {object} -L. -lused -ldropped -lunused --no-as-needed -lwanted");
        let pair = bench.link("needed.so", &line);
        pair.is_right("probe 0\nend\n");
        for linker in ["ours", "lld"] {
            let dynamic = bench.must(&format!("readelf -Wd {linker}/needed.so"));
            let needed: Vec<&str> = ["used", "dropped", "unused", "wanted"]
                .into_iter()
                .filter(|name| dynamic.contains(&format!("[lib{name}.so]")))
                .collect();
            assert_eq!(needed, [expected, &["wanted"]].concat(), "{linker} {options}");
        }
    }
}

/// Tables that describe code section by section are in the order of the code (SHF_LINK_ORDER), however their objects have them.
#[test]
fn sections_stand_in_the_order_of_what_they_are_linked_to() {
    let bench = Bench::new();
    let code = |name: &str| {
        format!(".section .text.{name},\"ax\",@progbits\n.globl {name}\n.hidden {name}\n{name}: nop\nret\n")
    };
    let entry = |name: &str, number: u32| {
        format!(".section table,\"ao\",@progbits,.text.{name},unique,{number}\n.long {name} - .\n")
    };
    let stack = |name: &str, number: u32| {
        format!(".section .sizes,\"o\",@progbits,.text.{name},unique,{number}\n.byte {number}\n")
    };
    let note = ".section .note.GNU-stack,\"\",@progbits\n";
    let one =
        [code("a"), code("b"), entry("b", 1), entry("a", 2), stack("b", 3), stack("a", 4), note.to_owned()].concat();
    let two =
        [code("c"), code("d"), entry("d", 1), entry("c", 2), stack("d", 5), stack("c", 6), note.to_owned()].concat();
    let one = bench.compile("clang-19", "one.s", &one);
    let two = bench.compile("clang-19", "two.s", &two);
    let probe = "extern const int __start_table[] __attribute__((visibility(\"hidden\")));
        extern const int __stop_table[] __attribute__((visibility(\"hidden\")));
        extern char a[] __attribute__((visibility(\"hidden\"))), d[] __attribute__((visibility(\"hidden\")));
        int probe(void) {
            CHECK(__stop_table - __start_table == 4);
            const char *last = 0;
            for (const int *each = __start_table; each < __stop_table; each++) {
                const char *function = (const char *)each + *each;
                CHECK(function > last);
                last = function;
            }
            CHECK((const char *)__start_table + *__start_table == a && last == d);
            return 0;
        }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    // What is in no order comes last, and then the table as a whole has none.
    let rest = ".section .sizes,\"\",@progbits\n.byte 9\n.section .note.GNU-stack,\"\",@progbits\n";
    let rest = bench.compile("clang-19", "rest.s", rest);
    for (objects, sizes, ordered) in [
        (format!("{probe} {one} {two}"), &[4, 3, 6, 5][..], true),
        (format!("{rest} {probe} {one} {two}"), &[4, 3, 6, 5, 9], false),
    ] {
        let pair = bench.link("order.so", &objects);
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
        for linker in ["ours", "lld"] {
            let headers = bench.must(&format!("readelf -SW {linker}/order.so"));
            let field = |name: &str, number: usize| {
                let line = headers.lines().find(|line| line.contains(&format!("] {name} "))).unwrap();
                line.split(']').nth(1).unwrap().split_whitespace().nth(number).unwrap().to_owned()
            };
            let text = headers.lines().find(|line| line.contains("] .text ")).unwrap();
            let text = text.split(['[', ']']).nth(1).unwrap().trim().to_owned();
            assert_eq!((field("table", 6), field("table", 7)), ("AL".to_owned(), text), "{linker}: {headers}");
            bench.must(&format!(
                "objcopy -O binary --only-section=.sizes --set-section-flags .sizes=alloc {linker}/order.so bytes"
            ));
            assert_eq!(bench.bytes("bytes"), sizes, "{linker}");
            if linker == "ours" {
                assert_eq!(field(".sizes", 6) == "L", ordered, "{headers}");
            }
        }
    }
}

/// A library defines what it has whether it is needed or not, and archives do not give what is defined.
#[test]
fn libraries_go_before_archives_that_nobody_has_asked() {
    let bench = Bench::new();
    let member = bench.compile("gcc -O1", "member.c", "int both(void) { return 1; }");
    bench.must(&format!("ar rcs libboth.a {member}"));
    bench.library("both", "", "int both(void) { return 2; }");
    let user = bench.compile("gcc -O1", "user.c", "extern int both(void); int probe(void) { return both(); }");
    for (line, expected) in [
        ("libboth.a libboth.so {}", 2),
        ("libboth.so {} libboth.a", 2),
        ("{} libboth.a libboth.so", 1),
        ("libboth.a {} libboth.so", 1),
        ("-u both libboth.a libboth.so {}", 1),
    ] {
        let line = line.replace("{}", &user);
        bench.link("both.so", &format!("{line} -rpath $ORIGIN/..")).is_right(&format!("probe {expected}\nend\n"));
    }
}

#[test]
fn a_version_script_may_be_in_a_directory_to_search() {
    let bench = Bench::new();
    let object = bench.compile("gcc -O1", "probe.c", "int probe(void) { return 0; } int other(void) { return 1; }");
    bench.must("mkdir -p empty scripts");
    bench.file("scripts/found.map", "V1 { probe; local: *; };");
    for line in ["-Lempty -Lscripts --version-script=found.map {}", "{} --version-script found.map -Lscripts"] {
        bench.link("found.so", &line.replace("{}", &object)).is_right("probe 0\nend\n");
        let symbols = bench.must("readelf -W --dyn-syms ours/found.so");
        assert!(symbols.contains("probe@@V1") && !symbols.contains("other"), "{symbols}");
    }
    let said = bench.refuses(&format!("-Lempty {object} --version-script=found.map"));
    assert!(said.contains("--version-script: cannot read found.map"), "{said}");
}

#[test]
fn libraries_may_bring_the_path_of_their_loader() {
    let bench = Bench::new();
    let source = "const char path[] __attribute__((section(\".interp\"))) = \"/lib64/ld-linux-x86-64.so.2\";
        int probe(void) { return 0; }";
    let object = bench.compile("gcc -O1", "interp.c", source);
    let pair = bench.link("interp.so", &object);
    pair.is_right("probe 0\nend\n");
    let headers = bench.must("readelf -Wl ours/interp.so");
    assert!(headers.contains("[Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]"), "{headers}");
    let (interp, load) = (headers.find("INTERP").unwrap(), headers.find("LOAD").unwrap());
    assert!(interp < load, "{headers}");
}

/// What a library has by the name of a section's bounds is of its own section.
#[test]
fn bounds_of_sections_are_the_images_own() {
    let bench = Bench::new();
    let source = |name: &str, value: u32| {
        format!(
            "static int one __attribute__((section(\"set\"), used)) = {value};
             extern int __start_set[], __stop_set[];
             int {name}(void) {{ int sum = 0; for (int *at = __start_set; at < __stop_set; at++) sum += *at; return sum; }}"
        )
    };
    bench.library("theirs", "", &source("theirs", 3));
    let user = format!("{}\nint theirs(void); int probe(void) {{ return own() * 100 + theirs(); }}", source("own", 30));
    let object = bench.compile("gcc -O1", "bounds.c", &user);
    let pair = bench.link("bounds.so", &format!("{object} libtheirs.so -rpath $ORIGIN/.."));
    pair.is_right("probe 3003\nend\n");
}

/// Sections of old assemblers are there once by their names: one of data does not stand for one of code, nor for a group.
#[test]
fn old_sections_are_there_once_each() {
    let bench = Bench::new();
    let assembled = |name: &str, text: &str| bench.compile("gcc -x assembler", name, text);
    let code = ".section .gnu.linkonce.t.x,\"ax\"\n.globl fx\nfx: movl $40, %eax\nret\n";
    let data = ".section .gnu.linkonce.d.x,\"aw\"\n.globl dx\ndx: .long 2\n";
    let read_only = ".section .gnu.linkonce.r.y,\"a\"\n.long 1\n";
    let other_group = ".section .text.y,\"axG\",@progbits,y,comdat\n.globl gy\ngy: ret\n";
    let objects = [("a.s", code), ("b.s", data), ("c.s", read_only), ("d.s", other_group)];
    let objects = objects.map(|(name, text)| assembled(name, text)).join(" ");
    let user = "extern int fx(void), dx; extern void gy(void); int probe(void) { gy(); return fx() + dx; }";
    let user = bench.compile("gcc -O1", "user.c", user);
    bench.link("once.so", &format!("{user} {objects}")).is_right("probe 42\nend\n");
    // The group `x` is a copy of the code: GNU ld's rule, which LLD does not have.
    let group =
        assembled("group.s", ".section .text.x,\"axG\",@progbits,x,comdat\n.globl fx\nfx: movl $50, %eax\nret\n");
    for (order, expected) in [(format!("{objects} {group}"), 42), (format!("{group} {objects}"), 52)] {
        succeeds(&bench.ours(&format!("-shared -o ours/group.so {user} {order}")));
        assert_eq!(bench.load("ours/group.so"), format!("probe {expected}\nend\n"));
    }
}

#[test]
fn members_are_taken_for_versions_entry_points_and_other_names() {
    let bench = Bench::new();
    let first =
        bench.compile("gcc -x assembler", "first.s", ".globl f_one\n.symver f_one, f@V1\nf_one: movl $5, %eax\nret\n");
    let second = bench.compile(
        "gcc -x assembler",
        "second.s",
        ".globl f_two\n.symver f_two, f@@V2\nf_two: movl $6, %eax\nret\n",
    );
    let other = bench.compile("gcc -O1", "other.c", "int entry(void) { return 0; }");
    let named = bench.compile("gcc -O1", "named.c", "int named(void) { return 7; }");
    bench.must(&format!("ar rcs libmembers.a {first} {second} {other} {named}"));
    bench.file("map", "V1 { f; }; V2 { f; probe; } V1;");
    for (version, expected) in [("V1", 5), ("V2", 6)] {
        let user = format!("__asm__(\".symver f, f@{version}\"); int f(void); int probe(void) {{ return f(); }}");
        let user = bench.compile("gcc -O1", "user.c", &user);
        for members in ["libmembers.a", "--start-lib first.o second.o --end-lib"] {
            // LLD takes none for a default version.
            let line = format!("{user} {members} --version-script=map --undefined-version");
            succeeds(&bench.ours(&format!("-shared -o ours/versions.so {line}")));
            assert_eq!(bench.load("ours/versions.so"), format!("probe {expected}\nend\n"));
        }
    }
    let user = bench.compile("gcc -O1", "plain.c", "int x(void); int probe(void) { return x(); }");
    bench.link("named.so", &format!("{user} libmembers.a --defsym=x=named -e entry")).prints("", "probe 7\nend\n");
    let header = bench.must("readelf -Wh ours/named.so");
    let symbols = bench.must("readelf -W --dyn-syms ours/named.so");
    let entry = symbols.lines().find(|line| line.ends_with(" entry")).unwrap().split_whitespace().nth(1).unwrap();
    let address = entry.trim_start_matches('0');
    assert!(
        header.lines().any(|line| line.contains("Entry point") && line.ends_with(&format!("0x{address}"))),
        "{header}"
    );
    bench.link("address.so", &format!("{user} libmembers.a --defsym=x=named -e 0x1234")).prints("", "probe 7\nend\n");
    assert!(bench.must("readelf -Wh ours/address.so").contains("0x1234"));
}
