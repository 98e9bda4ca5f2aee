//! POWER: what no other CPU has. Calls between code with and without TOC pointer, register-saving functions, fields of
//! all kinds, branches beyond 32 MiB.

use std::fmt::Write as _;

use crate::support::{Bench, Cpu, reads_clean, succeeds};

/// Links a library and runs its probe, bound lazily and at once.
#[track_caller]
fn runs(bench: &Bench, name: &str, arguments: &str) {
    succeeds(&bench.ours(&format!("-m elf64lppc -shared -o ours/{name} {arguments}")));
    for bind in ["-l", "-n"] {
        assert_eq!(bench.load(&format!("{bind} ours/{name}")), "probe 0\nend\n", "{bind} {arguments}");
    }
}

const WITH_TOC: &str = "gcc -O1 -mcpu=power8";
const WITHOUT_TOC: &str = "gcc -O1 -mcpu=power10 -mpcrel";

/// One side of calls back and forth: `NAME_*` in this object call `OTHER_*` in the other one, and use own data behind each
/// call, which they find only if r2 is right. Both are hidden, so that calls stay in the image.
fn side(name: &str, other: &str) -> String {
    format!(
        "extern int {other}_leaf(int), {other}_calls(int), outside(int);
        int {name}_data = 1000;
        extern int {name}_exported;
        int {name}_exported = 7;
        __attribute__((noinline)) int {name}_leaf(int a) {{ return a + {name}_data; }}
        int {name}_tail(int a) {{ return {other}_leaf(a + 1); }}
        int {name}_pure(int a) {{ return a + 3; }}
        int {name}_calls(int a) {{
            int sum = {other}_leaf(a);
            sum += {name}_data;
            sum += outside(sum) + {name}_exported;
            extern int {other}_tail(int), {other}_pure(int);
            sum += {other}_tail(a) + {name}_data + {other}_pure(a);
            int (*volatile pointer)(int) = {other}_leaf;
            sum += pointer(1) + {name}_data;
            return a > 0 ? sum + {other}_calls(a - 1) + {name}_data : sum;
        }}"
    )
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn calls_between_code_with_and_without_toc_pointer() {
    let bench = Bench::of(Cpu::Ppc64);
    bench.library("outside", "", "int outside(int a) { return a / 2; }");
    let main = "int one_calls(int) __attribute__((visibility(\"hidden\")));
        static int leaf(int a) { return a + 1000; }
        static int calls(int a) {
            int sum = leaf(a) + 1000;
            sum += sum / 2 + 7;
            sum += leaf(a + 1) + 1000 + a + 3 + leaf(1) + 1000;
            return a > 0 ? sum + calls(a - 1) + 1000 : sum;
        }
        int probe(void) { CHECK(one_calls(5) == calls(5)); return 0; }";
    for main_with in [WITH_TOC, WITHOUT_TOC] {
        for (one, two) in
            [(WITH_TOC, WITHOUT_TOC), (WITHOUT_TOC, WITH_TOC), (WITH_TOC, WITH_TOC), (WITHOUT_TOC, WITHOUT_TOC)]
        {
            let hidden = "-fvisibility=hidden -fno-optimize-sibling-calls";
            let main = bench.compile(main_with, "main.c", main);
            let first = bench.compile(&format!("{one} {hidden}"), "one.c", &side("one", "two"));
            // Jumps at the end of a function need nothing restored in code without a TOC pointer.
            let jumps = if two == WITHOUT_TOC { "-fvisibility=hidden -O2" } else { hidden };
            let second = bench.compile(&format!("{two} {jumps}"), "two.c", &side("two", "one"));
            runs(&bench, "modes.so", &format!("{main} {first} {second} -L. -loutside"));
            // The other way to write the same functions.
            let exported = bench.compile(two, "two.c", &side("two", "one"));
            let (first, main) = (bench.compile(one, "one.c", &side("one", "two")), main);
            runs(&bench, "modes.so", &format!("{main} {first} {exported} -L. -loutside"));
        }
    }
}

/// Code of older CPUs without a TOC pointer: its linker's code must do without prefixed instructions.
#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn calls_without_toc_pointer_and_without_prefixes() {
    let bench = Bench::of(Cpu::Ppc64);
    bench.library("outside", "", "int data = 5; int outside(int a) { return a * data; }");
    let code = "\t.machine power9\n\t.abiversion 2\n\t.globl without\n\t.type without,@function\nwithout:\n\t.localentry without,1
\tmflr 0\n\tstd 0,16(1)\n\tstdu 1,-32(1)\n\tli 2,0\n\tbl inside@notoc\n\tli 2,0\n\tbl outside@notoc\n\taddi 1,1,32\n\tld 0,16(1)\n\tmtlr 0\n\tblr
\t.size without,.-without\n\t.section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("gcc", "without.s", code);
    let kinds = bench.must(&format!("llvm-readelf-19 -r {object}"));
    assert!(
        bench.bytes(&object).len() > 64 && kinds.matches("REL24").count() + kinds.matches("Unknown").count() == 2,
        "{kinds}"
    );
    let user = "int data = 30, other = 4; extern int without(int);
        __attribute__((visibility(\"hidden\"))) int inside(int a) { return a + data; }
        int probe(void) { CHECK(without(1) == 5 * 31 || without(1) == 31 * 30); CHECK(other == 4); return 0; }";
    let user = bench.compile("gcc -O1 -mcpu=power8", "user.c", user);
    runs(&bench, "without.so", &format!("{object} {user} -L. -loutside"));
    let code = bench.must("llvm-objdump-19 -d --mcpu=pwr10 ours/without.so");
    assert!(!code.contains("pld") && !code.contains("paddi") && !code.contains("plwz"), "{code}");
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn registers_are_saved_and_restored() {
    // So many values that live across calls that -Os calls functions of all eight families.
    let mut source = "extern long give(int); extern double gived(int); extern void take(long *, double);
        typedef long vector __attribute__((vector_size(16)));
        extern vector givev(int);\n"
        .to_owned();
    for (name, of, call, count) in
        [("integers", "long", "give", 17), ("floats", "double", "gived", 17), ("vectors", "vector", "givev", 12)]
    {
        let (mut values, mut sum) = (String::new(), String::from("0"));
        for number in 1..=count {
            write!(values, "{of} v{number} = {call}({number});").unwrap();
            write!(sum, " + v{number} * {number}").unwrap();
        }
        let sum = if of == "vector" { sum.replacen("0 + ", "", 1) } else { sum };
        writeln!(source, "{of} {name}(int n) {{ {values} give(n); return {sum}; }}").unwrap();
    }
    source.push_str(
        "long both(int n) {
            long a = give(1), b = give(2), c = give(3), d = give(4);
            double e = gived(5), f = gived(6), g = gived(7);
            long x[n];
            take(x, e);
            for (int i = 0; i < n; i++) x[i] = give(i);
            return a + b + c + d + e + f * 2 + g * 3 + x[n - 1];
        }",
    );
    let user = "extern long integers(int), both(int); extern double floats(int);
        typedef long vector __attribute__((vector_size(16)));
        extern vector vectors(int);
        long give(int n) { return n * 3; }
        double gived(int n) { return n / 4.0; }
        vector givev(int n) { return (vector){ n, -n }; }
        void take(long *x, double d) { x[0] = d; }
        int probe(void) {
            CHECK(integers(1) == 3 * 1785);
            CHECK(floats(1) == 1785 / 4.0);
            vector v = vectors(1);
            CHECK(v[0] == 650 && v[1] == -650);
            CHECK(both(9) == (long)(30 + 1.25 + 3 + 5.25 + 24));
            return 0;
        }";
    let bench = Bench::of(Cpu::Ppc64);
    let object = bench.compile("gcc -Os", "many.c", &source);
    let undefined = bench.must(&format!("llvm-nm-19 -u {object}"));
    for family in
        ["_savegpr0_", "_restgpr0_", "_savegpr1_", "_restgpr1_", "_savefpr_", "_restfpr_", "_savevr_", "_restvr_"]
    {
        assert!(undefined.contains(family), "{family}: {undefined}");
    }
    let user = bench.compile("gcc -O2", "user.c", user);
    // LLD provides some of them only.
    runs(&bench, "saved.so", &format!("{object} {user}"));
    crate::support::reads_clean(&bench, "ours/saved.so");
    let symbols = bench.must("llvm-readelf-19 --dyn-symbols ours/saved.so");
    assert!(!symbols.contains("_savegpr"), "they are the image's own: {symbols}");
    // A definition of the caller's own is used.
    let own = bench.compile(
        "gcc",
        "own.s",
        "\t.globl _savevr_20\n\t.hidden _savevr_20\n_savevr_20:\n\tblr\n\t.globl probe\nprobe:\n\tmflr 0\n\tli 3,0\n\tbl _savevr_20\n\tmtlr 0\n\tblr\n",
    );
    runs(&bench, "own.so", &own);
    assert!(!bench.must("llvm-readelf-19 -S ours/own.so").contains(".text.provided"));
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn every_kind_of_field_holds_the_right_number() {
    let kinds = include_str!("fixtures/power_kinds.s");
    let names: Vec<&str> = kinds.lines().filter_map(|line| line.trim().strip_prefix("function ")).collect();
    assert!(names.len() > 15);
    let declared = names.join("(void), *");
    let mut user = format!(
        "extern long target __attribute__((visibility(\"hidden\"))); extern long *{declared}(void);\nint probe(void) {{\n"
    );
    for name in &names {
        writeln!(user, "CHECK({name}() == &target);").unwrap();
    }
    user.push_str("return 0; }");
    let bench = Bench::of(Cpu::Ppc64);
    let kinds = bench.compile("gcc", "kinds.s", kinds);
    let user = bench.compile("gcc -O1", "user.c", &user);
    for options in ["", "-z now", "-z norelro", "-z pack-relative-relocs", "--gc-sections -u target"] {
        runs(&bench, "kinds.so", &format!("{options} {kinds} {user}"));
    }
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn code_models_and_calls_that_are_written_out() {
    let bench = Bench::of(Cpu::Ppc64);
    bench.library("outside", "", "int data = 5; int outside(int a) { return a * data; } __thread int away = 8;");
    let source = "extern int outside(int), data; extern __thread int away; static __thread int here = 2, there = 3;
        int own = 11; static int local = 13; static int twice(int a) { return a * 2; }
        int (*volatile function)(int) = twice; int exported(int a) { return a + own; }
        int probe(void) {
            CHECK(outside(3) == 15 && data == 5 && own == 11 && local == 13);
            CHECK(function(4) == 8 && exported(1) == 12);
            away += here++; there += away;
            CHECK(away == 10 && here == 3 && there == 13);
            away = 8, here = 2, there = 3;
            CHECK(outside(exported(local)) == 120);
            return 0;
        }";
    for model in ["small", "medium", "large"] {
        for flags in ["-O0", "-O2", "-O2 -fno-plt", "-O1 -mtls-size=16", "-O1 -mtls-size=64", "-O2 -mlongcall"] {
            let object = bench.compile(&format!("gcc {flags} -mcmodel={model}"), "user.c", source);
            runs(&bench, "models.so", &format!("{object} -L. -loutside"));
        }
    }
    for flags in ["-O1 -mcpu=power10", "-O2 -mcpu=power10 -fno-plt", "-O0 -mcpu=power10", "-O2 -mcpu=power9"] {
        let object = bench.compile(&format!("gcc {flags}"), "user.c", source);
        runs(&bench, "models.so", &format!("{object} -L. -loutside"));
    }
}

/// Calls over more than the 32 MiB that a branch reaches, forwards and backwards, of both kinds of code.
#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn branches_reach_over_large_code() {
    let bench = Bench::of(Cpu::Ppc64);
    bench.library("outside", "", "int data = 5; int outside(int a) { return a * data; }");
    let side = |name: &str, other: &str| {
        format!(
            "extern int outside(int); extern int {other}(int) __attribute__((visibility(\"hidden\"))), {other}_exported(int);
            static int data = 100;
            __attribute__((visibility(\"hidden\"))) int {name}(int a) {{
                if (a <= 0) return data;
                int sum = {other}(a - 1) + data;
                return sum + outside(a) + {other}_exported(a);
            }}
            int {name}_exported(int a) {{ return a + data; }}"
        )
    };
    let padding = "\t.text\n\t.space 0x2800000\n\t.section .note.GNU-stack,\"\",@progbits\n";
    let padding = bench.compile("gcc", "padding.s", padding);
    let main = "extern int one(int) __attribute__((visibility(\"hidden\")));
        static int wanted(int a) { return a <= 0 ? 100 : wanted(a - 1) + 100 + a * 5 + a + 100; }
        int probe(void) { CHECK(one(9) == wanted(9)); return 0; }";
    let main = bench.compile("gcc -O1", "main.c", main);
    for (first, second) in [(WITH_TOC, WITH_TOC), (WITHOUT_TOC, WITHOUT_TOC), (WITH_TOC, WITHOUT_TOC)] {
        let one = bench.compile(first, "one.c", &side("one", "two"));
        let two = bench.compile(second, "two.c", &side("two", "one"));
        runs(&bench, "large.so", &format!("{one} {padding} {two} {main} -L. -loutside"));
        let symbols = bench.must("llvm-nm-19 ours/large.so");
        assert!(symbols.contains("Thunk_two") && symbols.contains("Thunk_outside"), "{symbols}");
    }
}

/// What the loader and other linkers read beside code.
#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn images_say_what_they_are() {
    let bench = Bench::of(Cpu::Ppc64);
    let source = "extern int outside(int); static int data; int probe(void) { return data; }
        int caller(int a) { data = 0; return outside(a) + data; }";
    let object = bench.compile("gcc -O1", "user.c", source);
    // Nobody defines the function: bound lazily it does not matter until it is called.
    succeeds(&bench.ours(&format!("-shared -o ours/says.so {object}")));
    assert_eq!(bench.load("-l ours/says.so"), "probe 0\nend\n");
    let header = bench.must("llvm-readelf-19 -hldW ours/says.so");
    assert!(header.contains("PowerPC64") && header.contains("0x2"), "{header}");
    assert!(header.contains("0x70000000") || header.contains("PPC64_GLINK"), "{header}");
    assert!(header.contains("0x10000"), "{header}");
    // Slots are called from code without a TOC pointer, too, only if there is such code.
    assert!(!header.contains("PPC64_OPT") && !header.contains("0x70000003"), "{header}");
    for table in ["--dyn-syms", "-s"] {
        let symbols = bench.must(&format!("readelf {table} -W ours/says.so"));
        let caller = symbols.lines().find(|line| line.ends_with(" caller")).unwrap();
        assert!(caller.contains("<localentry>: 8") || caller.contains("[<other>: 60]"), "{caller}");
    }
    crate::support::reads_clean(&bench, "ours/says.so");
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn what_cannot_be_linked_is_explained() {
    let bench = Bench::of(Cpu::Ppc64);
    let refused = |name: &str, compiler: &str, source: &str, wanted: &[&str]| {
        let object = bench.compile(compiler, name, source);
        let said = bench.refuses(&object);
        for wanted in wanted {
            assert!(said.contains(wanted), "{said}\nlacks: {wanted}");
        }
    };
    let code = |body: &str| {
        format!("\t.abiversion 2\n\t.text\n\t.globl caller\n\t.type caller,@function\ncaller:\n{body}\n\tblr\n")
    };
    refused(
        "call.s",
        "gcc",
        &code("\tbl outside\n\tli 3,0"),
        &["call.o:(.text+0x0) in caller", "R_PPC64_REL24", "no nop behind the call"],
    );
    refused("end.s", "gcc", "\t.text\n\tbl outside\n", &["no nop behind the call"]);
    refused("jump.s", "gcc", &code("\tb outside\n\tnop"), &["a jump cannot restore it", "-fno-optimize-sibling-calls"]);
    refused(
        "branch.s",
        "gcc",
        &code("\tbeq outside\n\tnop"),
        &["R_PPC64_REL14", "a conditional branch cannot leave the image"],
    );
    refused(
        "exec.c",
        "gcc -O1 -ftls-model=local-exec",
        "static __thread int x; int *f(void) { return &x; }",
        &["R_PPC64_TPREL16_HA", "-fPIC"],
    );
    refused("absolute.s", "gcc", &code("\tlis 3,caller@ha"), &["R_PPC64_ADDR16_HA", "recompile with -fPIC"]);
    refused(
        "plt64.s",
        "gcc",
        "\t.data\nplace: .quad 0\n\t.reloc place, R_PPC64_PLT64, outside\n",
        &["version 1 of the ABI"],
    );
    refused(
        "misaligned.s",
        "gcc",
        "\t.text\n\tld 3,odd@toc@l(2)\n\t.data\n\t.byte 0\nodd: .byte 0\n\t.p2align 4\n",
        &["R_PPC64_TOC16_LO_DS", "multiple of 4"],
    );
    let many: String = (0..9000)
        .map(|number| format!("extern int v{number}; int f{number}(void) {{ return v{number}; }}\n"))
        .collect();
    refused("many.c", "gcc -O1 -mcmodel=small", &many, &["R_PPC64_TOC16_DS", "-mcmodel=medium"]);
    // Version 1 of the ABI, in bits 1..0 of e_flags.
    let object = bench.compile("gcc", "old.c", "int probe(void) { return 0; }");
    let mut bytes = bench.bytes(&object);
    assert_eq!(bytes[48..52], [2, 0, 0, 0]);
    bytes[48] = 1;
    bench.file(&object, bytes);
    let fine = bench.compile("gcc", "fine.c", "int fine;");
    for inputs in [format!("{fine} {object}"), object] {
        let said = bench.refuses(&inputs);
        assert!(said.contains("old.o: ") && said.contains("version 1") && said.contains("-mabi=elfv2"), "{said}");
    }
}

#[test]
fn a_table_of_contents_may_name_functions_of_which_another_copy_was_taken() {
    let bench = Bench::of(Cpu::Ppc64);
    let source = |name: &str| {
        format!(
            "\t.abiversion 2\n\t.section .text.thing,\"axG\",@progbits,thing,comdat\n\t.weak thing\n\t.type thing, @function\n
             thing:\n.Lthing:\tli 3,0\n\tblr\n\t.section .toc,\"aw\"\n.Lentry:\t.quad .Lthing\n\t.text\n\t.globl {name}\n
             \t.type {name}, @function\n{name}: addis 2,12,.TOC.-{name}@ha\n\taddi 2,2,.TOC.-{name}@l\n\t.localentry {name}, .-{name}\n
             \taddis 9,2,.Lentry@toc@ha\n\tld 12,.Lentry@toc@l(9)\n\tcmpdi 12,0\n\tli 3,0\n\tbeqlr\n\tmtctr 12\n\tbctr\n
             \t.section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let one = bench.compile("gcc", "one.s", &source("probe"));
    let two = bench.compile("gcc", "two.s", &source("other"));
    let pair = bench.link("contents.so", &format!("{one} {two}"));
    reads_clean(&bench, &pair.ours());
    pair.prints("", "probe 0\nend\n");
}
