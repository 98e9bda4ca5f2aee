//! Bad input: a message on standard error, exit status 1, no output.

use crate::support::{Bench, succeeds};

#[test]
fn objects_for_other_machines_are_named() {
    let bench = Bench::new();
    let good = bench.compile("gcc -O1", "good.c", "int probe(void) { return 0; }");
    for (target, machine) in [
        ("aarch64-linux-gnu", "AArch64"),
        ("i386-linux-gnu", "i386"),
        ("riscv64-linux-gnu", "RISC-V"),
        ("mips64el-linux-gnu", "machine 8"),
    ] {
        let other =
            bench.compile(&format!("clang-19 --target={target} -O1"), "other.c", "int other(void) { return 0; }");
        for inputs in [format!("{good} {other}"), format!("{other} {good}")] {
            let said = bench.refuses(&inputs);
            assert!(
                said.contains("other.o") && said.to_lowercase().contains(&machine.to_lowercase()),
                "{inputs}: {said}"
            );
        }
        bench.must(&format!("llvm-ar-19 rcs libother.a {other}"));
        let user = bench.compile("gcc -O1", "user.c", "extern int other(void); int probe(void) { return other(); }");
        let said = bench.refuses(&format!("{user} libother.a"));
        assert!(said.contains("libother.a(other.o)"), "{said}");
    }
}

#[test]
fn truncated_and_altered_objects_are_errors_never_images_of_garbage() {
    let bench = Bench::new();
    let object = bench.compile(
        "g++ -O1 -g",
        "whole.cc",
        "struct S { ~S() {} }; static thread_local S s; int probe() { return (long)&s == 0; }",
    );
    let whole = bench.bytes(&object);
    for part in 1..24 {
        let size = whole.len() * part / 24;
        bench.file("part.o", &whole[..size]);
        let said = bench.refuses("part.o");
        assert!(said.contains("part.o"), "{size}: {said}");
    }
    bench.must(&format!("ar rcs whole.a {object}"));
    let archive = bench.bytes("whole.a");
    for part in 1..12 {
        bench.file("part.a", &archive[..archive.len() * part / 12]);
        let said = bench.refuses("--whole-archive part.a");
        assert!(said.contains("part.a"), "{part}: {said}");
    }
    bench.file("empty.o", "");
    bench.file("text.o", "no object");
    bench.file("archive.a", "!<arch>\n");
    for name in ["empty.o", "text.o", "missing.o", "archive.a"] {
        let said = bench.refuses(name);
        // What says nothing is not named.
        assert!(said.contains(name) || ["archive.a", "empty.o"].contains(&name), "{said}");
    }
    let said = bench.refuses("whole.o -lnowhere -L/nonexistent");
    assert!(said.contains("-lnowhere") && said.contains("/nonexistent"), "{said}");
}

#[test]
fn what_needs_a_compiler_is_refused_by_name() {
    let bench = Bench::new();
    let gnu = bench.compile("gcc -O1 -flto", "gnu.c", "int gnu(void) { return 0; }");
    let said = bench.refuses(&gnu);
    assert!(said.contains("gnu.o") && said.contains("LTO"), "{said}");
    // One that has the CPU's code, too, is linked by that.
    let source = "int fat(int x) { return x + 1; }";
    for compiler in ["gcc -O1 -flto -ffat-lto-objects", "clang-19 -O1 -flto -ffat-lto-objects"] {
        let fat = bench.compile(compiler, "fat.c", source);
        bench.link("fat.so", &fat).is_right("end\n");
        let has_other = |file: &str| bench.must(&format!("readelf --sections --wide {file}")).contains("lto");
        assert_eq!([&*fat, "ours/fat.so"].map(has_other), [true, false]);
    }
    let llvm = bench.compile("clang-19 -O1 -flto", "llvm.c", "int llvm(void) { return 0; }");
    let said = bench.refuses(&llvm);
    assert!(said.contains("llvm.o") && (said.contains("bitcode") || said.contains("LTO")), "{said}");
    let relocatable = bench.compile("gcc -O1", "good.c", "int good(void) { return 0; }");
    bench.must(&format!("ld -r -o joined.o {relocatable}"));
    bench.link("joined.so", "joined.o").is_right("end\n");
}

/// References to a section of which another object's copy is taken.
#[test]
fn references_into_dropped_groups_are_named() {
    let bench = Bench::new();
    let source = |extra: &str| {
        format!(
            ".section .text.f,\"axG\",@progbits,f,comdat\n.weak f\nf: ret\nlocal: ret\n{extra}\n.section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let one = bench.compile("gcc", "one.s", &source(""));
    let two = bench.compile("gcc", "two.s", &source(".data\n.quad local"));
    let said = bench.refuses(&format!("{one} {two}"));
    assert!(said.contains("two.o:(.data+0x0)") && said.contains("group"), "{said}");
    let two = bench.compile("gcc", "two.s", &source(".data\n.quad f"));
    bench.link("groups.so", &format!("{one} {two}")).is_right("end\n");
}

#[test]
fn a_local_symbol_must_be_defined_by_its_object() {
    let bench = Bench::new();
    // As assemblers do not write it.
    bench.file(
        "call.yaml",
        "--- !ELF
FileHeader: { Class: ELFCLASS64, Data: ELFDATA2LSB, Type: ET_REL, Machine: EM_X86_64 }
Sections:
  - { Name: .text, Type: SHT_PROGBITS, Flags: [ SHF_ALLOC, SHF_EXECINSTR ], Content: e800000000c3 }
  - { Name: .rela.text, Type: SHT_RELA, Info: .text, Relocations: [ { Offset: 1, Symbol: own, Type: R_X86_64_PLT32 } ] }
Symbols: [ { Name: own, Binding: STB_LOCAL } ]
",
    );
    bench.must("yaml2obj-19 call.yaml -o call.o");
    let said = bench.refuses("call.o");
    let wanted = "call.o:(.text+0x1): relocation R_X86_64_PLT32 against 'own': the symbol is local, and its object";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn thread_local_symbols_are_in_sections_for_them() {
    let bench = Bench::new();
    let text = "\t.data\n\t.globl v\n\t.type v, @tls_object\nv:\t.quad 0\n";
    let object = bench.compile("clang-19 --target=x86_64-linux-gnu", "v.s", text);
    let said = bench.refuses(&object);
    assert!(said.contains("v.o: ") && said.contains("STT_TLS") && said.contains(".data"), "{said}");
    let right =
        bench.compile("clang-19 --target=x86_64-linux-gnu", "w.s", &text.replace(".data", ".section .tdata,\"awT\""));
    succeeds(&bench.ours(&format!("-shared -o w.so {right}")));
}
