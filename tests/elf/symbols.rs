//! Symbols: weak, common, unique, absolute ones; visibility and preemption; versions; names that linkers define.

use pkgld_differ::rules;

use crate::support::{Bench, Cpu, LIBC, reads_clean, succeeds, text};

#[test]
fn common_symbols_share_the_largest_block_at_the_strictest_alignment() {
    commons_on(Cpu::X86_64, &["gcc -fcommon -O0", "clang-19 -fcommon -O1"]);
}

pub(crate) fn commons_on(cpu: Cpu, compilers: &[&str]) {
    let bench = Bench::of(cpu);
    let one = "char block[10]; int counted; int given; char aligned[3] __attribute__((aligned(8)));
        char *block_here(void) { return block; }
        char *aligned_here(void) { return aligned; }";
    let two = "char block[1000]; int counted; int given = 42; char aligned[3] __attribute__((aligned(256)));
        extern char *block_here(void); extern char *aligned_here(void);
        int probe(void) {
            CHECK(block_here() == block && aligned_here() == aligned);
            CHECK((unsigned long)aligned % 256 == 0);
            for (int i = 0; i < 1000; i++) { CHECK(block[i] == 0); block[i] = 1; }
            CHECK(counted == 0 && given == 42);
            CHECK(aligned[0] == 0 && aligned[2] == 0);
            return 0;
        }";
    for compiler in compilers {
        let (one, two) = (bench.compile(compiler, "one.c", one), bench.compile(compiler, "two.c", two));
        bench.link("a.so", &format!("{one} {two}")).is_right("probe 0\nend\n");
        bench.link("b.so", &format!("{two} {one}")).is_right("probe 0\nend\n");
    }
}

#[test]
fn weak_symbols_give_way_and_undefined_ones_are_null() {
    weak_on(Cpu::X86_64, &["gcc -O1", "clang-19 -O0"]);
}

pub(crate) fn weak_on(cpu: Cpu, compilers: &[&str]) {
    let bench = Bench::of(cpu);
    let one = "__attribute__((weak)) int answer(void) { return 1; }
        __attribute__((weak)) int value = 1;
        int other(void) { return answer() + value; }";
    let two = "int answer(void) { return 20; } int value = 22;";
    let probe = "extern int nothing __attribute__((weak)); extern int absent(void) __attribute__((weak));
        extern int hidden_nothing __attribute__((weak, visibility(\"hidden\")));
        extern int hidden_absent(void) __attribute__((weak, visibility(\"hidden\")));
        extern int other(void);
        void *table[] = { &nothing, absent, &hidden_nothing, hidden_absent };
        int probe(void) {
            CHECK(other() == 42);
            CHECK(!&nothing && !absent && !&hidden_nothing && !hidden_absent);
            for (int i = 0; i < 4; i++) CHECK(!table[i]);
            return 0;
        }";
    for compiler in compilers {
        let objects = [("one.c", one), ("two.c", two), ("probe.c", probe)]
            .map(|(name, source)| bench.compile(compiler, name, source));
        let [one, two, probe] = &objects;
        bench.link("a.so", &format!("{one} {two} {probe}")).is_right("probe 0\nend\n");
        bench.link("b.so", &format!("-z defs {two} {probe} {one}")).is_right("probe 0\nend\n");
    }
}

/// A library whose functions say who answers for each name.
const WHO: &str = "
    int plain(void) { return 1; }
    int plain_value = 1;
    __attribute__((visibility(\"protected\"))) int kept(void) { return 1; }
    __attribute__((visibility(\"hidden\"))) int hidden(void) { return 1; }
    __attribute__((visibility(\"internal\"))) int internal(void) { return 1; }
    __attribute__((visibility(\"hidden\"))) int hidden_value = 1;
    int (*table[])(void) = { plain, kept, hidden, internal };
    int *values[] = { &plain_value, &hidden_value };
    long long answers(void) {
        long long all = 0;
        for (int i = 0; i < 4; i++) all = all * 10 + table[i]();
        return all * 10000000LL + (plain() * 10 + kept()) * 100000 + (hidden() * 10 + internal()) * 1000
            + plain_value * 100 + *values[0] * 10 + *values[1];
    }
    extern void tell(const char *);
    extern int snprintf(char *, __SIZE_TYPE__, const char *, ...);
    int probe(void) {
        char line[32];
        snprintf(line, 32, \"%lld\", answers());
        tell(line);
        return 0;
    }";

const OTHER: &str = "
    int plain(void) { return 2; } int plain_value = 2; int kept(void) { return 2; } int hidden(void) { return 2; }
    int internal(void) { return 2; } int hidden_value = 2;";

#[test]
fn visibility_decides_who_may_be_preempted() {
    let clang = "clang-19 -O1 -fno-inline -fsemantic-interposition";
    visibility_on(Cpu::X86_64, &["gcc -O1 -fno-inline", clang, "gcc -O0 -fno-plt -fno-inline"]);
}

pub(crate) fn visibility_on(cpu: Cpu, compilers: &[&str]) {
    let bench = Bench::of(cpu);
    let libc = cpu.libc();
    bench.library("other", "", OTHER);
    for compiler in compilers {
        let who = bench.compile(compiler, "who.c", WHO);
        let alone = "1111\n".replace('\n', "1111111\nprobe 0\nend\n");
        for (options, preempted) in [
            ("", "21112111221"),
            ("-z now", "21112111221"),
            ("-Bsymbolic", "11111111111"),
            ("-Bsymbolic-functions", "11111111221"),
        ] {
            let pair = bench.link("who.so", &format!("{options} {who} {libc}"));
            let bound = if options.contains("functions") { &[rules::BOUND_AT_LINK_TIME][..] } else { &[] };
            pair.means_the_same(bound);
            pair.reads_clean();
            pair.prints("", &alone);
            // With all functions bound at link time, plain() is called by address in the table, too.
            let expected = format!("{preempted}\nprobe 0\nend\n");
            pair.prints("-g libother.so -p", &expected);
        }
    }
}

#[test]
fn a_unique_object_is_one_in_the_whole_process() {
    let bench = Bench::new();
    let source = "template <typename T> struct Registry { static int count; };
        template <typename T> int Registry<T>::count = 0;
        extern \"C\" void tell(const char *);
        extern \"C\" int probe() { tell(++Registry<int>::count == 1 ? \"one\" : \"two\"); return 0; }";
    let object = bench.compile("g++ -O1 -fgnu-unique", "one.cc", source);
    let pair = bench.link("one.so", &object);
    pair.is_right("one\nprobe 0\nend\n");
    std::fs::copy(bench.path("ours/one.so"), bench.path("ours/two.so")).unwrap();
    assert_eq!(bench.load("ours/one.so ours/two.so"), "one\nprobe 0\ntwo\nprobe 0\nend\n");
    let symbols = bench.must("readelf -W --dyn-syms ours/one.so");
    assert!(symbols.lines().any(|line| line.contains("UNIQUE") && line.contains("Registry")), "{symbols}");
}

#[test]
fn absolute_symbols_do_not_move() {
    let bench = Bench::new();
    let numbers = "
        .globl number, hidden_number, small
        .hidden hidden_number, small
        number = 0x123456789a
        hidden_number = 0x7654321fedcba9
        small = 0x5a
        .section .note.GNU-stack,\"\",@progbits\n";
    let uses = "
        .hidden hidden_number, small
        .data
        .globl words, bytes
        words: .quad number, hidden_number, small + 1, hidden_number - 9
        bytes: .byte small, small + 1
               .short small, small
               .long small
        .text
        .globl by_got, by_immediate, by_wide
        by_got: movq number@GOTPCREL(%rip), %rax
                ret
        by_immediate: movl $small, %eax
                ret
        by_wide: movq hidden_number@GOTPCREL(%rip), %rax
                ret
        .section .note.GNU-stack,\"\",@progbits\n";
    let probe = "#include <dlfcn.h>
        extern unsigned long words[], by_got(void), by_immediate(void), by_wide(void);
        extern unsigned char bytes[];
        int probe(void) {
            CHECK(words[0] == 0x123456789a && words[1] == 0x7654321fedcba9);
            CHECK(words[2] == 0x5b && words[3] == 0x7654321fedcba0);
            CHECK(bytes[0] == 0x5a && bytes[1] == 0x5b && bytes[2] == 0x5a && bytes[4] == 0x5a && bytes[6] == 0x5a);
            CHECK(by_got() == 0x123456789a && by_immediate() == 0x5a && by_wide() == 0x7654321fedcba9);
            return 0;
        }";
    let numbers = bench.compile("gcc", "numbers.s", numbers);
    let uses = bench.compile("gcc", "uses.s", uses);
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    bench.link("a.so", &format!("{numbers} {uses} {probe}")).is_right("probe 0\nend\n");
}

#[test]
fn the_linkers_own_names_mean_what_they_say() {
    let bench = Bench::new();
    let source = "#include <elf.h>
        #include <link.h>
        extern char __ehdr_start[] __attribute__((visibility(\"hidden\")));
        extern char _end[] __attribute__((visibility(\"hidden\"))), end[] __attribute__((visibility(\"hidden\")));
        extern char _etext[] __attribute__((visibility(\"hidden\"))), etext[] __attribute__((visibility(\"hidden\")));
        extern char _edata[] __attribute__((visibility(\"hidden\"))), edata[] __attribute__((visibility(\"hidden\")));
        extern char __bss_start[] __attribute__((visibility(\"hidden\")));
        extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility(\"hidden\")));
        extern unsigned long _GLOBAL_OFFSET_TABLE_[] __attribute__((visibility(\"hidden\")));
        extern void *__dso_handle __attribute__((visibility(\"hidden\")));
        extern int __start_entries[] __attribute__((visibility(\"hidden\")));
        extern int __stop_entries[] __attribute__((visibility(\"hidden\")));
        static int a __attribute__((section(\"entries\"), used)) = 1, b __attribute__((section(\"entries\"), used)) = 2;
        int data = 5, zero[100];
        int probe(void) {
            CHECK(__ehdr_start[0] == 0x7f && __ehdr_start[1] == 'E');
            CHECK(_end == end && _etext == etext && _edata == edata);
            CHECK((char *)probe < etext && etext <= edata && (char *)&data < edata && edata <= __bss_start);
            CHECK((char *)zero >= __bss_start && (char *)(zero + 100) <= end);
            const ElfW(Ehdr) *header = (void *)__ehdr_start;
            const ElfW(Phdr) *segments = (void *)(__ehdr_start + header->e_phoff);
            char *top = 0, *dynamic = 0;
            for (int i = 0; i < header->e_phnum; i++) {
                char *last = __ehdr_start + segments[i].p_vaddr + segments[i].p_memsz;
                if (segments[i].p_type == PT_LOAD && last > top) top = last;
                if (segments[i].p_type == PT_DYNAMIC) dynamic = __ehdr_start + segments[i].p_vaddr;
            }
            CHECK(top == end && dynamic == (char *)_DYNAMIC);
            CHECK((char *)_GLOBAL_OFFSET_TABLE_ > __ehdr_start && (char *)_GLOBAL_OFFSET_TABLE_ < end);
            CHECK((char *)&__dso_handle >= __ehdr_start && (char *)&__dso_handle < end);
            CHECK(__stop_entries - __start_entries == 2 && __start_entries[0] + __start_entries[1] == 3);
            return 0;
        }";
    for compiler in ["gcc -O1", "clang-19 -O1 -ffunction-sections -fdata-sections"] {
        let object = bench.compile(compiler, "names.c", source);
        for options in ["", "--gc-sections -z nostart-stop-gc"] {
            // The addresses of these names are not compared: the layouts differ.
            let pair = bench.link("names.so", &format!("{options} {object}"));
            pair.reads_clean();
            pair.prints("", "probe 0\nend\n");
        }
    }
}

#[test]
fn section_bounds_of_default_visibility_are_protected_and_of_no_section_null() {
    let bench = Bench::new();
    let source = "extern int __start_entries[], __stop_entries[];
        extern int __start_absent[] __attribute__((weak)), __stop_absent[] __attribute__((weak));
        static int a __attribute__((section(\"entries\"), used)) = 1;
        int probe(void) {
            CHECK(__stop_entries - __start_entries == 1 && __start_entries[0] == 1);
            CHECK(__start_absent == 0 && __stop_absent == 0);
            return 0;
        }";
    let object = bench.compile("gcc -O1", "bounds.c", source);
    bench.link("bounds.so", &object).is_right("probe 0\nend\n");
}

/// Constants are only read, or relocated by the loader, as what they hold has it; those of one name are one section all the same.
#[test]
fn sections_of_one_name_are_one_whatever_is_done_with_them() {
    let bench = Bench::new();
    let entry = "struct entry { int number; const char *name; };";
    let main = format!(
        "{entry} extern const struct entry __start_plugins[], __stop_plugins[];
        extern int __start_notes[], __stop_notes[];
        int probe(void) {{
            int sum = 0;
            for (const struct entry *each = __start_plugins; each != __stop_plugins; each++)
                sum += each->number + (each->name ? each->name[0] : 0);
            CHECK(__stop_plugins - __start_plugins == 2 && sum == 3 + 'b');
            CHECK(__stop_notes - __start_notes == 2 && __start_notes[0] + __start_notes[1] == 30);
            *__start_notes = 11;
            return 0;
        }}"
    );
    let main = bench.compile("gcc -O1", "main.c", &main);
    let place = "__attribute__((section(\"plugins\"), used))";
    let one = format!("{entry} {place} static const struct entry one = {{ 1, 0 }};");
    let two = format!("{entry} {place} static const struct entry two = {{ 2, \"b\" }};");
    let place = "__attribute__((section(\"notes\"), used))";
    let (one, two) =
        (format!("{one} {place} static int ten = 10;"), format!("{two} {place} static const int twenty = 20;"));
    for compiler in ["gcc -O1", "clang-19 -O1"] {
        let (one, two) = (bench.compile(compiler, "one.c", &one), bench.compile(compiler, "two.c", &two));
        for objects in [format!("{main} {one} {two}"), format!("{two} {one} {main}")] {
            for options in ["", "--gc-sections -z nostart-stop-gc"] {
                let pair = bench.link("plugins.so", &format!("{options} {objects}"));
                pair.reads_clean();
                pair.prints("", "probe 0\nend\n");
            }
        }
    }
    // Nothing is written where code is.
    let code = "__attribute__((section(\"notes\"), used)) static int three(void) { return 3; }";
    let code = bench.compile("gcc -O1", "code.c", code);
    let said = bench.refuses(&format!("{main} {code} one.o two.o"));
    assert!(
        said.contains("has code in section notes") && said.contains("one.o") && said.contains("has data"),
        "{said}"
    );
}

#[test]
fn references_name_the_versions_of_what_they_found() {
    let bench = Bench::new();
    bench.file("map", "V1 { global: old; both; }; V2 { global: both; renewed; } V1;");
    let library = bench.compile(
        "gcc -O1",
        "versioned.c",
        "int old(void) { return 1; }
         int both1(void) { return 1; } int both2(void) { return 2; }
         __asm__(\".symver both1,both@V1\\n.symver both2,both@@V2\");
         int renewed(void) { return 2; }",
    );
    bench.must(&format!("gcc -shared -o libversioned.so -Wl,--version-script=map,-soname,libversioned.so {library}"));
    let source = "extern int old(void), both(void), renewed(void), both_first(void);
        __asm__(\".symver both_first,both@V1\");
        extern void *memcpy(void *, const void *, unsigned long);
        extern void *old_memcpy(void *, const void *, unsigned long);
        __asm__(\".symver old_memcpy,memcpy@GLIBC_2.2.5\");
        int probe(void) {
            char from[4] = \"abc\", to[4], more[4];
            volatile unsigned long size = 4;
            memcpy(to, from, size);
            old_memcpy(more, from, size);
            CHECK(to[1] == 'b' && more[2] == 'c');
            CHECK(old() == 1 && both() == 2 && renewed() == 2 && both_first() == 1);
            return 0;
        }";
    for compiler in ["gcc -O1 -fno-builtin", "clang-19 -O1 -fno-builtin"] {
        let object = bench.compile(compiler, "user.c", source);
        for options in ["-z defs", "-z defs -z now --hash-style=sysv", "-z defs --hash-style=gnu"] {
            let pair = bench.link("user.so", &format!("{options} {object} -L. -lversioned {LIBC}"));
            pair.is_right("probe 0\nend\n");
            pair.prints("-l", "probe 0\nend\n");
        }
        let imports = bench.must("readelf -W --dyn-syms ours/user.so");
        for wanted in ["memcpy@GLIBC_2.14", "memcpy@GLIBC_2.2.5", "both@V1", "both@V2", "old@V1", "renewed@V2"] {
            assert!(imports.contains(wanted), "{wanted}: {imports}");
        }
    }
    // A version that the library does not have.
    let wrong = bench.compile(
        "gcc -O1",
        "wrong.c",
        "extern int f(void); __asm__(\".symver f,both@V9\"); int probe(void) { return f(); }",
    );
    let said = bench.refuses(&format!("-z defs {wrong} -L. -lversioned"));
    assert!(said.contains("undefined symbol: both@V9"), "{said}");
    // Defining versions needs a version script.
    let defined = bench.compile("gcc -O1", "defined.c", "int f(void) { return 1; } __asm__(\".symver f,g@@V1\");");
    let said = bench.refuses(&defined);
    assert!(said.contains("defines g in version V1") && said.contains("version script"), "{said}");
}

#[test]
fn symbols_of_the_command_line() {
    let bench = Bench::new();
    let source = "extern int alias(void), shifted[], number[], target_value; int values[] = { 1, 2, 3 };
        int target(void) { return 42; }
        static int *table[] = { shifted, &target_value };
        int probe(void) {
            CHECK(alias() == 42 && shifted[0] == 2);
            CHECK((unsigned long)number == 0x1234 && table[0] == shifted && *table[1] == 1);
            return 0;
        }";
    let object = bench.compile("gcc -O1", "user.c", source);
    let options = "--defsym alias=target --defsym shifted=values+4 --defsym=number=0x1234 --defsym target_value=values";
    let pair = bench.link("user.so", &format!("{options} {object}"));
    pair.reads_clean();
    pair.prints("", "probe 0\nend\n");
    // Other names for functions that choose themselves, and for thread-local words.
    let source = "static int chosen(void) { return 42; } static int (*choose(void))(void) { return chosen; }
        int indirect(void) __attribute__((ifunc(\"choose\"))); __thread int word = 5; __thread int next = 6;
        extern int other(void); extern __thread int second;
        __attribute__((visibility(\"hidden\"))) extern int own(void);
        static int (*const volatile table[])(void) = { other, own };
        int probe(void) {
            CHECK(other() == 42 && own() == 42 && table[0]() == 42 && table[1]() == 42);
            CHECK(second == 5 && &second == &word && next == 6);
            return 0;
        }";
    let chooser = bench.compile("gcc -O1", "chooser.c", source);
    let options = "--defsym other=indirect --defsym own=indirect --defsym second=word";
    for how in ["", "-Bsymbolic", "-z now"] {
        // LLD's image does not survive this.
        let ours = bench.ours(&format!("-shared -o ours/chooser.so {options} {how} {chooser} {LIBC}"));
        succeeds(&ours);
        reads_clean(&bench, "ours/chooser.so");
        assert_eq!(bench.load("ours/chooser.so"), "probe 0\nend\n", "{how}");
        let symbols = bench.must("readelf -W --dyn-syms ours/chooser.so");
        let kind =
            |name: &str| symbols.lines().find(|line| line.ends_with(name)).and_then(|it| it.split_whitespace().nth(3));
        assert_eq!((kind(" other"), kind(" second")), (Some("IFUNC"), Some("TLS")), "{symbols}");
    }
    // An assignment takes the place of a definition.
    let both = bench.compile(
        "gcc -O1 -fPIC",
        "both.c",
        "int one(void) { return 1; } int two(void) { return 2; } int probe(void) { return two() - one(); }",
    );
    for options in ["--defsym one=two", "--defsym two=one"] {
        let pair = bench.link("assigned.so", &format!("{options} {both}"));
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
    }
    let said = bench.refuses(&format!("--defsym alias=nowhere {object}"));
    assert!(said.contains("nowhere"), "{said}");

    let first =
        bench.compile("gcc -O1", "first.c", "int twice(void) { return 1; } int probe(void) { return 1 - twice(); }");
    let second = bench.compile("gcc -O1", "second.c", "int twice(void) { return 2; }");
    let said = bench.refuses(&format!("{first} {second}"));
    assert!(
        said.contains("duplicate symbol: twice") && said.contains("first.o") && said.contains("second.o"),
        "{said}"
    );
    let pair = bench.link("twice.so", &format!("--allow-multiple-definition {first} {second}"));
    pair.is_right("probe 0\nend\n");
    let output = bench.ours(&format!("-shared -o ours/twice.so --allow-multiple-definition {first} {second}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    bench.link("muldefs.so", &format!("-z muldefs {first} {second}")).is_right("probe 0\nend\n");
}

#[test]
fn undefined_symbols_are_left_or_refused_as_asked() {
    let bench = Bench::new();
    let source = "extern int missing(void), unknown; int probe(void) { return 0; } int use(void) { return missing() + unknown; }";
    let object = bench.compile("gcc -O1 -g", "use.c", source);
    for options in ["-z defs", "--no-undefined", "--unresolved-symbols=report-all -z defs"] {
        let said = bench.refuses(&format!("{options} {object}"));
        assert!(said.contains("undefined symbol: missing") && said.contains("undefined symbol: unknown"), "{said}");
        assert!(said.contains("use.o:(.text+0x") && said.contains("in use"), "{said}");
    }
    for options in ["", "-z undefs", "--allow-shlib-undefined", "-z defs --unresolved-symbols=ignore-all"] {
        let pair = bench.link("use.so", &format!("{options} {object}"));
        pair.means_the_same(&[]);
        pair.reads_clean();
    }
    let output = bench.ours(&format!("-shared -o ours/warned.so -z defs --warn-unresolved-symbols {object}"));
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("warning: undefined symbol: missing"), "{said}");
    // Lazily bound: what is missing is noticed when it is called.
    let lazy = bench.compile(
        "gcc -O1",
        "lazy.c",
        "extern int missing(void); int probe(void) { return 0; } int use(void) { return missing(); }",
    );
    bench.link("lazy.so", &lazy).prints("-l", "probe 0\nend\n");
    // What must not be seen from outside cannot come from there.
    let hidden = bench.compile(
        "gcc -O1",
        "hidden.c",
        "extern int missing(void) __attribute__((visibility(\"hidden\"))); int use(void) { return missing(); }",
    );
    let said = bench.refuses(&hidden);
    assert!(said.contains("undefined symbol: missing") && said.contains("hidden visibility"), "{said}");
}

/// What a library defines is not for references that must not be seen from outside, wherever these stand.
#[test]
fn libraries_do_not_define_hidden_symbols_in_any_order() {
    let bench = Bench::new();
    bench.library("far", "", "int foo(void) { return 1; }");
    bench.compile("gcc -O1", "one.c", "extern int foo(void); int one(void) { return foo(); }");
    let orders = ["one.o two.o", "two.o one.o"].map(|objects| {
        let (first, second) = objects.split_once(' ').unwrap();
        [format!("libfar.so {objects}"), format!("{first} libfar.so {second}"), format!("{objects} libfar.so")]
    });
    for visibility in ["hidden", "protected"] {
        let two = |weak: &str| {
            format!(
                "extern int foo(void) __attribute__((visibility(\"{visibility}\"){weak})); int two(void) {{ return foo(); }}"
            )
        };
        bench.compile("gcc -O1", "two.c", &two(""));
        for order in orders.iter().flatten() {
            let said = bench.refuses(order);
            assert!(said.contains("undefined symbol: foo"), "{order}: {said}");
            assert!(said.contains(&format!("it has {visibility} visibility")), "{order}: {said}");
        }
    }
    // Weak ones are null; and archives may have what they mean.
    let weak = "extern int foo(void) __attribute__((visibility(\"hidden\"), weak)); void *address = foo;
        int probe(void) { return foo ? foo() : 7; }";
    bench.compile("gcc -O1", "two.c", weak);
    bench.compile("gcc -O1", "one.c", "extern int foo(void) __attribute__((weak)); int one(void) { return foo(); }");
    bench.compile("gcc -O1", "own.c", "int foo(void) { return 5; }");
    bench.must("ar rcs libown.a own.o");
    for order in orders.iter().flatten() {
        succeeds(&bench.ours(&format!("-shared -o ours/weak.so {order}")));
        reads_clean(&bench, "ours/weak.so");
        assert_eq!(bench.load("ours/weak.so"), "probe 7\nend\n", "{order}");
        let symbols = bench.must("readelf -W --dyn-syms ours/weak.so");
        assert!(!symbols.contains(" foo"), "{order}: {symbols}");
        succeeds(&bench.ours(&format!("-shared -o ours/own.so -u foo {order} libown.a")));
        assert_eq!(bench.load("ours/own.so"), "probe 5\nend\n", "{order}");
    }
}

#[test]
fn who_sees_the_bounds_of_sections_is_asked_for() {
    let bench = Bench::new();
    let source = "__attribute__((section(\"words\"))) int word = 3; extern int __start_words[], __stop_words[];
        int probe(void) { CHECK(__stop_words - __start_words == 1 && *__start_words == 3); return 0; }";
    let object = bench.compile("gcc -O1", "bounds.c", source);
    for (value, seen) in [("protected", true), ("hidden", false), ("internal", false)] {
        bench.link("bounds.so", &format!("-z start-stop-visibility={value} {object}")).prints("", "probe 0\nend\n");
        let symbols = bench.must("readelf -W --dyn-syms ours/bounds.so");
        assert_eq!(symbols.contains("PROTECTED") && symbols.contains("__start_words"), seen, "{value}: {symbols}");
    }
}

#[test]
fn the_table_that_relocations_count_from_is_the_linkers() {
    let bench = Bench::new();
    let source = ".data\n.globl _GLOBAL_OFFSET_TABLE_\n_GLOBAL_OFFSET_TABLE_: .quad 0\n";
    let object = bench.compile("gcc", "table.s", source);
    let said = bench.refuses(&object);
    assert!(said.contains("table.o: defines _GLOBAL_OFFSET_TABLE_, which only the linker can define"), "{said}");
}

#[test]
fn symbols_are_traced_in_links_that_fail() {
    let bench = Bench::new();
    let object = bench.compile("gcc -O1", "user.c", "extern int missing(void); int probe(void) { return missing(); }");
    let ours = bench.ours(&format!("-shared -o ours/traced.so {object} -z defs --trace-symbol=missing"));
    assert_eq!(ours.status.code(), Some(1));
    assert_eq!(text(&ours.stdout), "user.o: reference to missing\n");
    assert!(text(&ours.stderr).contains("undefined symbol: missing"));
}
