//! Section groups: C++ inline functions and templates that several objects bring, of which one copy stays.

use crate::support::{Bench, Cpu, reads_clean, succeeds};

const SHARED_CODE: &str = "
#include <stdexcept>
#include <string>
#include <vector>
extern \"C\" void tell(const char *);
struct Witness { ~Witness() { tell(\"unwound\"); } };
template <typename T> T twice(T x) { static T last; last = x; return x + last; }
inline int checked(int x) {
    Witness witness;
    if (x < 0) throw std::runtime_error(\"negative\");
    return x;
}
int first(int);
int second(int);
int *address_in_first();
int *address_in_second();
inline int *place() { static int value = 7; return &value; }
";

fn objects(bench: &Bench, compiler: &str, flags: &str) -> String {
    bench.file("shared.h", SHARED_CODE);
    let one = "#include \"shared.h\"
        int first(int x) { return checked(x) + twice(x); }
        int *address_in_first() { return place(); }";
    let two = "#include \"shared.h\"
        int second(int x) { return checked(x) + twice(x) + twice(2L); }
        int *address_in_second() { return place(); }
        int (*table[])(int) = { checked, twice<int> };";
    let probe = "#include \"shared.h\"
        extern int (*table[])(int);
        extern \"C\" int probe() {
            CHECK(first(1) == 3 && second(1) == 7);
            CHECK(address_in_first() == address_in_second() && *place() == 7);
            CHECK(table[0] == checked && table[1] == twice<int>);
            try { second(-1); return __LINE__; }
            catch (const std::exception &error) { CHECK(std::string(error.what()) == \"negative\"); }
            return 0;
        }";
    let parts = [("one.cc", one), ("two.cc", two), ("three.cc", probe)];
    parts.map(|(name, source)| bench.compile(&format!("{compiler} {flags}"), name, source)).join(" ")
}

const PRINTED: &str = "unwound\nunwound\nunwound\nprobe 0\nend\n";

#[test]
fn copies_of_groups_go_and_exceptions_pass_through() {
    on(Cpu::X86_64, &["g++", "clang++-19"]);
}

pub(crate) fn on(cpu: Cpu, compilers: &[&str]) {
    let standard = cpu.standard();
    for compiler in compilers {
        for flags in ["-O0 -g", "-O1 -g", "-O2 -ffunction-sections -fdata-sections -g -gdwarf-4"] {
            let bench = Bench::of(cpu);
            let objects = objects(&bench, compiler, flags);
            for options in ["", "--gc-sections", "-z now -Bsymbolic-functions"] {
                let pair = bench.link("lib.so", &format!("{options} {objects} {standard}"));
                if options.contains("symbolic") {
                    pair.means_the_same(&[pkgld_differ::rules::BOUND_AT_LINK_TIME]);
                    pair.reads_clean();
                    pair.prints("", PRINTED);
                } else {
                    pair.is_right(PRINTED);
                }
            }
        }
    }
}

#[test]
fn groups_of_the_old_form_are_groups() {
    let bench = Bench::new();
    let code = |section: &str, value: u32| {
        format!(
            ".section {section}\n.globl thunk\n.hidden thunk\nthunk: mov ${value}, %eax\nret\n.section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let old = ".gnu.linkonce.t.thunk,\"ax\",@progbits";
    let new = ".text.thunk,\"axG\",@progbits,thunk,comdat";
    let probe = "extern int thunk(void) __attribute__((visibility(\"hidden\"))); int probe(void) { return thunk(); }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    for (first, second) in [(old, old), (old, new), (new, old)] {
        let (one, two) =
            (bench.compile("gcc", "one.s", &code(first, 1)), bench.compile("gcc", "two.s", &code(second, 2)));
        let ours = bench.ours(&format!("-shared -o ours/old.so {probe} {one} {two}"));
        succeeds(&ours);
        reads_clean(&bench, "ours/old.so");
        assert_eq!(bench.load("ours/old.so"), "probe 1\nend\n", "{first} {second}");
    }
}

/// "The sections in a group must be retained or discarded as a unit" (gABI, *Section Groups*), whatever kind of group it is.
#[test]
fn members_of_a_group_stay_together_when_others_are_collected() {
    let bench = Bench::new();
    let group = |name: &str, form: &str| {
        format!(
            ".section .text.{name},\"axG\",@progbits,{name}{form}
            .globl {name}
            .hidden {name}
            {name}: ret
            .section facts.{name},\"aG\",@progbits,{name}{form}
            .quad 7
            .section .data.{name},\"awG\",@progbits,{name}{form}
            .globl data_{name}
            .hidden data_{name}
            data_{name}: .quad other_{name}
            .section .note.{name},\"aG\",@note,{name}{form}
            .long 4, 0, 1
            .asciz \"abc\"
            .section said.{name},\"G\",@progbits,{name}{form}
            .quad {name}
            .section .text.other_{name},\"ax\",@progbits
            other_{name}: ret
            .section unloaded.{name},\"\",@progbits
            .quad 1\n"
        )
    };
    let names = ["called", "read", "dead"];
    for form in ["", ",comdat"] {
        let groups: String = names.iter().map(|name| group(name, form)).collect();
        let source = format!(
            ".text
            .globl probe
            probe: call called
            movq data_read(%rip), %rax
            xorl %eax, %eax
            ret
            {groups}.section .note.GNU-stack,\"\",@progbits\n"
        );
        let object = bench.compile("clang-19", "groups.s", &source);
        let pair = bench.link("groups.so", &format!("--gc-sections {object}"));
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
        for linker in ["ours", "lld"] {
            let sections = bench.must(&format!("readelf -SW {linker}/groups.so"));
            let symbols = bench.must(&format!("readelf -sW {linker}/groups.so"));
            for name in names {
                let stays = name != "dead";
                for section in ["facts", ".note", "said"] {
                    let there = sections.contains(&format!(" {section}.{name}"));
                    assert_eq!(there, stays, "{linker}{form}: {section}.{name}: {sections}");
                }
                for symbol in [name, &format!("data_{name}"), &format!("other_{name}")] {
                    let there = symbols.lines().any(|line| line.ends_with(&format!(" {symbol}")));
                    assert_eq!(there, stays, "{linker}{form}: {symbol}: {symbols}");
                }
                assert!(sections.contains(&format!(" unloaded.{name}")), "{linker}{form}: {sections}");
            }
        }
    }
}

/// An object with unwind records that hold plain addresses, for the loader to fill: of a function in a group and of its own.
fn with_plain_addresses(bench: &Bench, word: &str, writable: bool, name: &str) -> String {
    let number = if word == ".quad" { "8" } else { "4" };
    let function = |name: &str, section: &str| {
        format!("{section}\n.type {name}, @function\n{name}: nop\nnop\nret\n.size {name}, .-{name}\n")
    };
    let record = |name: &str, range: &str| {
        format!("1: .long 3f - 2f\n2: .long 2b - cie\n{word} {name}\n{word} {range}\n.balign {number}\n3:\n")
    };
    let source = format!(
        "{}{}.section .eh_frame,\"a\",@progbits
        cie: .long 2f - 1f
        1: .long 0
        .byte 1, 0, 1, 0x78, 16, 12, 7, 8
        .balign {number}
        2:
        {}{}.section .note.GNU-stack,\"\",@progbits\n",
        function("shared", ".section .text.shared,\"axG\",@progbits,shared,comdat\n.weak shared\n.hidden shared"),
        function(name, &format!(".text\n.globl {name}\n.hidden {name}")),
        record("shared", "3"),
        record(name, "3"),
    );
    let object = bench.compile("clang-19", &format!("{name}.s"), &source);
    if writable {
        bench.must(&format!("objcopy --set-section-flags .eh_frame=alloc,load,data {object}"));
    }
    object
}

pub(crate) fn records_move_with_the_loaders_relocations_on(cpu: Cpu, word: &str) {
    let bench = Bench::of(cpu);
    let probe = "extern void *_Unwind_FindEnclosingFunction(void *);
        extern char shared[] __attribute__((visibility(\"hidden\")));
        extern char one[] __attribute__((visibility(\"hidden\"))), two[] __attribute__((visibility(\"hidden\")));
        int probe(void) {
            CHECK(_Unwind_FindEnclosingFunction(shared + 1) == shared);
            CHECK(_Unwind_FindEnclosingFunction(one + 1) == one && _Unwind_FindEnclosingFunction(two + 1) == two);
            return 0;
        }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    for (writable, options) in [
        (true, ""),
        (false, "-z notext"),
        (true, "-z pack-relative-relocs"),
        (false, "-z notext -z pack-relative-relocs"),
    ] {
        let objects = ["one", "two"].map(|name| with_plain_addresses(&bench, word, writable, name)).join(" ");
        let line = format!("-shared -o ours/plain.so {options} {probe} {objects} {}", cpu.standard());
        succeeds(&bench.ours(&line));
        reads_clean(&bench, "ours/plain.so");
        assert_eq!(bench.load("ours/plain.so"), "probe 0\nend\n", "{writable} {options}");
        // The loader fills what is there, and nothing else.
        let sections = bench.must("readelf -SW ours/plain.so");
        let section = sections.lines().rfind(|line| line.contains(" .eh_frame ")).unwrap();
        let fields: Vec<&str> = section.split(" .eh_frame ").nth(1).unwrap().split_whitespace().collect();
        let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
        let (start, size) = (number(fields[1]), number(fields[3]));
        let relocations = bench.must("readelf -rW ours/plain.so");
        let offsets =
            relocations.lines().filter_map(|line| u64::from_str_radix(line.split_whitespace().next()?, 16).ok());
        let offsets: Vec<u64> = offsets.collect();
        let inside = offsets.iter().filter(|offset| (start..start + size).contains(offset)).count();
        assert_eq!(inside, 3, "{writable} {options}: {sections}{relocations}");
        let dynamic = bench.must("readelf -dW ours/plain.so");
        assert!(!dynamic.contains("(RELR)"), "{dynamic}");
    }
}

#[test]
fn records_move_with_the_loaders_relocations() {
    records_move_with_the_loaders_relocations_on(Cpu::X86_64, ".quad");
}

#[test]
#[ignore = "needs the packages gcc-i686-linux-gnu, clang-19 and qemu-user-static"]
fn records_of_32_bits_move_with_the_loaders_relocations() {
    records_move_with_the_loaders_relocations_on(Cpu::X86, ".long");
}

/// `ld -r` leaves the unwind records of functions that it drops, and takes their relocations away. They describe nothing.
#[test]
fn records_of_functions_that_were_dropped_before_are_dropped() {
    let bench = Bench::new();
    let source = |name: &str| {
        format!(
            ".section .text.f,\"axG\",@progbits,f,comdat\n.weak f\n.hidden f\n\
             f: .cfi_startproc\nnop\nret\n.cfi_endproc\n.text\n.globl {name}\n.type {name}, @function\n\
             {name}: .cfi_startproc\nret\n.cfi_endproc\n.section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let objects = ["g", "h"].map(|name| bench.compile("clang-19", &format!("{name}.s"), &source(name)));
    for linker in [format!("{} -flavor gnu", crate::support::reference_linker().display()), "ld".to_owned()] {
        bench.must(&format!("{linker} -r {} -o joined.o", objects.join(" ")));
        let pair = bench.link("joined.so", "--eh-frame-hdr joined.o");
        pair.is_right("end\n");
        let told = bench.must("llvm-readelf-19 -u ours/joined.so");
        assert!(told.contains("fde_count: 3"), "{told}");
    }
}

/// Some compilers and start files have unwind records that are written, others not. Readers go through one section.
#[test]
fn unwind_records_are_one_section() {
    let bench = Bench::new();
    let source = |name: &str| {
        format!(
            ".text\n.globl {name}\n.type {name}, @function\n{name}: .cfi_startproc\nret\n.cfi_endproc\n\
             .section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let [read, written] = ["g", "h"].map(|name| bench.compile("clang-19", &format!("{name}.s"), &source(name)));
    bench.must(&format!("objcopy --set-section-flags .eh_frame=alloc,data,contents {written}"));
    for objects in [format!("{read} {written}"), format!("{written} {read}")] {
        let pair = bench.link("records.so", &format!("--eh-frame-hdr {objects}"));
        pair.prints("", "end\n");
        pair.reads_clean();
        let sections = bench.must("readelf -SW ours/records.so");
        assert_eq!(sections.matches(" .eh_frame ").count(), 1, "{sections}");
        let told = bench.must("llvm-readelf-19 -u ours/records.so");
        assert!(told.contains("fde_count: 2"), "{told}");
    }
}
