//! AArch64: every relocation kind, those that are refused, landing pads, variant calls, and thunks.

use crate::support::{Bench, Cpu, reads_clean};

const CLANG: &str = "clang-19";

/// Ends every assembly fixture.
const NOTE: &str = "\n.section .note.GNU-stack, \"\", %progbits\n";

/// States that code is ready for landing pads.
const BTI: &str = "
    .section .note.gnu.property, \"a\", %note
    .p2align 3
    .word 4, 16, 5
    .asciz \"GNU\"
    .word 0xc0000000, 4, 1, 0
    .text
";

fn bench() -> Bench {
    Bench::of(Cpu::Aarch64)
}

fn assemble(bench: &Bench, name: &str, source: &str) -> String {
    bench.compile(CLANG, &format!("{name}.s"), &format!("{source}{NOTE}"))
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn every_kind_is_read_back_by_code() {
    let bench = bench();
    let kinds = assemble(&bench, "kinds", include_str!("fixtures/aarch64_kinds.s"));
    let symbols = assemble(&bench, "symbols", include_str!("fixtures/aarch64_symbols.s"));
    let told = bench.must(&format!("llvm-readelf-19 -rW {kinds}"));
    let mut found: Vec<&str> = told.split_whitespace().filter(|word| word.starts_with("R_AARCH64_")).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 54, "{found:?}");
    let libc = Cpu::Aarch64.libc();
    for options in ["", "-z now", "-Bsymbolic", "--gc-sections -u probe", "-z max-page-size=4096", "-z norelro"] {
        for inputs in [format!("{kinds} {symbols}"), format!("{symbols} {kinds}")] {
            let said = bench.ours(&format!("-shared -o ours/kinds.so {options} {inputs} {libc}"));
            crate::support::succeeds(&said);
            assert_eq!(bench.load("ours/kinds.so"), "probe 0\nend\n", "{options} {inputs}");
            reads_clean(&bench, "ours/kinds.so");
        }
    }
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn every_thread_local_kind_is_read_back_by_code() {
    let bench = bench();
    let kinds = assemble(&bench, "tls", include_str!("fixtures/aarch64_tls.s"));
    let libc = Cpu::Aarch64.libc();
    for options in ["", "-z now", "-z norelro", "-z pack-relative-relocs"] {
        let said = bench.ours(&format!("-shared -o ours/tls.so {options} {kinds} {libc} -l:ld-linux-aarch64.so.1"));
        crate::support::succeeds(&said);
        for bind in ["-l", "-n"] {
            assert_eq!(bench.load(&format!("{bind} ours/tls.so")), "probe 0\nend\n", "{options}");
        }
        reads_clean(&bench, "ours/tls.so");
    }
}

/// Models that the reference linker does not know.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu and qemu-user-static"]
fn older_and_smaller_thread_local_models() {
    for compiler in [
        "gcc -O1 -mtls-dialect=trad",
        "gcc -O0 -mtls-dialect=trad",
        "gcc -O2 -mtls-dialect=trad -ftls-model=local-dynamic",
        "gcc -O1 -mcmodel=tiny",
        "gcc -O1 -mcmodel=tiny -mtls-dialect=trad",
        "gcc -O1 -mtls-size=48 -ftls-model=local-dynamic -mtls-dialect=trad",
    ] {
        crate::tls::alone_on(Cpu::Aarch64, compiler);
    }
}

/// What is wrong, and what the message says of it.
#[test]
#[ignore = "needs the package clang-19"]
fn what_cannot_be_linked_is_told_with_a_reason() {
    let cases: &[(&str, &[&str])] = &[
        ("movz x0, #:abs_g0:there\n.data\nthere: .word 0", &["R_AARCH64_MOVW_UABS_G0", "-fPIC"]),
        (".data\nthere: .word there", &["R_AARCH64_ABS32", "-fPIC"]),
        ("adrp x0, imported", &["R_AARCH64_ADR_PREL_PG_HI21 against 'imported'", "-fPIC"]),
        ("ldr x0, [x0, :lo12:imported]", &["R_AARCH64_LDST64_ABS_LO12_NC against 'imported'", "-fPIC"]),
        (".data\n.word imported - .", &["R_AARCH64_PREL32 against 'imported'", "hidden"]),
        (
            "mov x0, #0\nadd x0, x0, :tprel_hi12:there\n.section .tdata, \"awT\"\nthere: .word 0",
            &["R_AARCH64_TLSLE_ADD_TPREL_HI12", "local-exec", "-fPIC"],
        ),
        (
            "ldr q0, [x0, :tprel_lo12:there]\n.section .tdata, \"awT\"\nthere: .word 0",
            &["R_AARCH64_TLSLE_LDST128_TPREL_LO12", "local-exec"],
        ),
        ("adrp x0, :got:imported+8", &["R_AARCH64_ADR_GOT_PAGE against 'imported'", "addend"]),
        (
            "adrp x0, :tlsdesc:there+4\n.section .tdata, \"awT\"\nthere: .word 0",
            &["R_AARCH64_TLSDESC_ADR_PAGE21", "addend"],
        ),
        (
            ".data\n.p2align 3\n.reloc ., R_AARCH64_AUTH_ABS64, imported\n.quad 0",
            &["R_AARCH64_AUTH", "PAuth", "signed pointers"],
        ),
        (".data\n.reloc ., R_AARCH64_COPY, imported\n.quad 0", &["R_AARCH64_COPY", "allowed in an object file"]),
        // Loads count their offset in units of what they load.
        (
            "ldr x0, [x0, :lo12:odd]\n.data\n.p2align 3\n.byte 0\nodd: .quad 0",
            &["R_AARCH64_LDST64_ABS_LO12_NC", "no multiple of 8"],
        ),
        ("b there\n.data\n.byte 0\nthere: .byte 0", &["R_AARCH64_JUMP26", "no multiple of 4"]),
        // A distance of 2 to 4 GiB does not fit: whoever reads it takes it for a negative one.
        (
            ".data\n.word far - .\n.section .bss.far, \"aw\", %nobits\n.space 0xa0000000\nfar: .byte 0",
            &["R_AARCH64_PREL32", "is not in [-2147483648, 2147483647]"],
        ),
        (
            "adrp x0, far\n.section .bss.far, \"aw\", %nobits\n.space 0x180000000\nfar: .byte 0",
            &["R_AARCH64_ADR_PREL_PG_HI21", "is not in [-4294967296, 4294967295]", "-mcmodel=large"],
        ),
        (
            "b.eq far\n.section .text.far, \"ax\"\n.space 0x100000\nfar: ret",
            &["R_AARCH64_CONDBR19", "is not in [-1048576, 1048575]"],
        ),
        (
            "tbz x0, #3, far\n.section .text.far, \"ax\"\n.space 0x8000\nfar: ret",
            &["R_AARCH64_TSTBR14", "is not in [-32768, 32767]"],
        ),
        (
            "ldr x0, far\n.section .text.far, \"ax\"\n.space 0x100000\nfar: ret",
            &["R_AARCH64_LD_PREL_LO19", "is not in [-1048576, 1048575]"],
        ),
        ("movz x0, #:abs_g0:absolute", &["R_AARCH64_MOVW_UABS_G0", "references 'absolute'", "is not in [0, 65535]"]),
        ("movz x0, #:abs_g0_s:absolute", &["R_AARCH64_MOVW_SABS_G0", "is not in [-65536, 65535]"]),
    ];
    let bench = bench();
    let absolute = assemble(&bench, "absolute", ".globl absolute\n.hidden absolute\n.set absolute, 0x10000");
    for (number, (source, expected)) in cases.iter().enumerate() {
        let object = assemble(&bench, &format!("case{number}"), &format!(".text\nfunction: {source}\n"));
        let said = bench.refuses(&format!("{object} {absolute}"));
        assert!(expected.iter().all(|part| said.contains(part)), "{source}\n{said}");
        assert!(said.contains(&object), "{said}");
    }
}

/// What stands in the way of a whole object or link.
#[test]
#[ignore = "needs the package clang-19"]
fn other_abis_and_machines_are_told_apart() {
    let bench = bench();
    let ours = assemble(&bench, "ours", ".text\nret\n");
    bench.file("other.s", ".data\n.byte 0\n");
    for (target, name) in [
        ("x86_64-linux-gnu", "x86-64"),
        ("armv7-linux-gnueabihf", "Arm"),
        ("aarch64_be-linux-gnu", "big-endian"),
        ("aarch64-linux-gnu_ilp32", "AArch64 ILP32"),
    ] {
        bench.must(&format!("clang-19 --target={target} -c -o other.o other.s"));
        for inputs in [format!("{ours} other.o"), "-m aarch64linux other.o".to_owned()] {
            let said = bench.refuses(&inputs);
            assert!(said.contains("other.o") && said.contains(name), "{target}: {said}");
        }
    }
    let said = bench.refuses(&format!("-m elf_x86_64 {ours}"));
    assert!(said.contains("ours.o") && said.contains("AArch64"), "{said}");
    for name in ["aarch64linux", "aarch64elf", "aarch64_elf64_le_vec", "aarch64fbsd"] {
        crate::support::succeeds(&bench.ours(&format!("-m {name} -shared -o ours/{name}.so {ours}")));
        let header = bench.must(&format!("readelf -hW ours/{name}.so"));
        assert!(header.contains("AArch64") && header.contains("FreeBSD") == (name == "aarch64fbsd"), "{header}");
    }
    let said = bench.ours(&format!("-m aarch64linux --fix-cortex-a53-835769 -shared -o ours/fixed.so {ours}"));
    let said = crate::support::text(&said.stderr);
    assert!(said.contains("--fix-cortex-a53-835769: not supported") && said.contains("have the compiler"), "{said}");
}

/// Erratum 843419: loads and stores that stand where Cortex-A53 may carry them out wrongly do so somewhere else.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19, llvm-19 and qemu-user-static"]
fn loads_do_not_follow_page_addresses_across_pages() {
    let bench = bench();
    // Functions with the sequence at the end of a page, of three and four instructions; one that is the same but for where it
    // stands, one with a branch in the sequence, and the same words as data.
    let at = |section: &str, place: u32, body: &str| {
        format!(".section {section}, \"ax\", %progbits\n.p2align 12\n.fill {place} / 4, 4, 0xd503201f\n{body}\n")
    };
    let three = "adrp x0, value\nldr w3, [x2]\nldr w1, [x0, :lo12:value]\nadd w0, w1, w3\nret";
    let four = "adrp x0, value\nldr w3, [x2]\nadd w3, w3, #1\nldr w1, [x0, :lo12:value]\nadd w0, w1, w3\nret";
    let branch = "adrp x0, value\nldr w3, [x2]\ntbz w3, #31, 1f\n1: ldr w1, [x0, :lo12:value]\nadd w0, w1, w3\nret";
    let stores = "adrp x0, stored\nldr w3, [x2]\nstr w3, [x0, :lo12:stored]\nldr w0, [x0, :lo12:stored]\nret";
    let source = [
        at(".text.a", 4096 - 8, &format!("a: {three}")),
        at(".text.b", 4096 - 4, &format!("b: {four}")),
        at(".text.c", 4096 - 12, &format!("c: {three}")),
        at(".text.d", 4096 - 8, &format!("d: {branch}")),
        at(".text.e", 4096 - 8, &format!("e: {stores}")),
        at(".text.f", 2 * 4096 - 8, ".word 0x90000000, 0xb9400043, 0xb9400001"),
        ".text
        .globl probe
        .type probe, %function
        probe:
            stp x29, x30, [sp, #-32]!
            stp x19, x20, [sp, #16]
            adrp x2, two
            add x2, x2, :lo12:two
            bl a
            mov w19, w0
            bl b
            add w19, w19, w0
            bl c
            add w19, w19, w0
            bl d
            add w19, w19, w0
            bl e
            // 42, 43, 42, 42 and 2
            add w0, w19, w0
            sub w0, w0, #171
            ldp x19, x20, [sp, #16]
            ldp x29, x30, [sp], #32
            ret
        .section .rodata, \"a\", %progbits
        .p2align 2
        two: .word 2
        .data
        .p2align 2
        value: .word 40
        stored: .word 0\n"
            .to_owned(),
    ];
    let object = assemble(&bench, "erratum", &source.concat());
    let moved = |image: &str| -> Vec<String> {
        let symbols = bench.must(&format!("llvm-readelf-19 -sW {image}"));
        let names = symbols.split_whitespace().filter_map(|word| word.strip_prefix("__CortexA53843419_"));
        let mut names: Vec<String> = names.map(|place| place[place.len() - 3..].to_owned()).collect();
        names.sort();
        names
    };
    let code = |image: &str| bench.must(&format!("llvm-objdump-19 -d --no-show-raw-insn {image}"));
    for how in ["", "=full", "=adr"] {
        crate::support::succeeds(
            &bench.ours(&format!("-shared -o ours/fixed.so --fix-cortex-a53-843419{how} {object}")),
        );
        assert_eq!(bench.load("ours/fixed.so"), "probe 0\nend\n", "{how}");
        reads_clean(&bench, "ours/fixed.so");
        assert_eq!(moved("ours/fixed.so"), ["000", "000", "008"]);
    }
    bench.must(&format!(
        "{} -flavor gnu -shared -o lld/fixed.so --fix-cortex-a53-843419 {object}",
        crate::support::reference_linker().display()
    ));
    assert_eq!(moved("lld/fixed.so"), moved("ours/fixed.so"));
    let text = code("ours/fixed.so");
    for island in ["ldr\tw1, [x0,", "str\tw3, [x0,"] {
        let back = text.lines().collect::<Vec<_>>();
        let back = back.windows(2).filter(|pair| pair[0].contains(island) && pair[1].contains("\tb\t0x"));
        assert!(back.count() >= 1, "{island}: {text}");
    }
    // Unless it is asked for, nothing moves.
    for options in ["", "--fix-cortex-a53-843419 --no-fix-cortex-a53-843419"] {
        crate::support::succeeds(&bench.ours(&format!("-shared -o ours/plain.so {options} {object}")));
        assert_eq!(moved("ours/plain.so"), [""; 0]);
        assert_eq!(bench.load("ours/plain.so"), "probe 0\nend\n");
    }
    // A relocation that is wrong is told once, of the place where the instruction came from.
    let wrong = three.replace("value", "odd");
    let source = at(".text.wrong", 4096 - 8, &wrong) + ".data\n.p2align 2\n.byte 0\nodd: .word 0\n";
    let object = assemble(&bench, "odd", &source);
    let said = bench.refuses(&format!("--fix-cortex-a53-843419 {object}"));
    assert!(said.contains(".text.wrong+0x1000") && said.matches("R_AARCH64_LDST32_ABS_LO12_NC").count() == 1, "{said}");
}

/// A hidden function that nothing defines: its address is not known, and a call does nothing.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn a_call_of_what_is_missing_does_nothing() {
    let bench = bench();
    let source = "
        .weak missing
        .hidden missing
        .globl probe
        probe:
            stp x29, x30, [sp, #-16]!
            mov w0, #0
            bl missing
            b missing
            ldp x29, x30, [sp], #16
            ret\n";
    let object = assemble(&bench, "missing", source);
    crate::support::succeeds(&bench.ours(&format!("-shared -o ours/missing.so {object}")));
    assert_eq!(bench.load("ours/missing.so"), "probe 0\nend\n");
}

/// Loaders must not bind such calls lazily: their arguments stand in registers that the resolver does not save.
#[test]
#[ignore = "needs the package clang-19"]
fn variant_calls_are_stated() {
    let bench = bench();
    let source = |variant: &str| {
        format!(
            ".variant_pcs mine\n.globl mine\n.type mine, %function\nmine: ret\n{variant}
             .globl probe\nprobe: b plain\ncall: bl vector\n"
        )
    };
    for (variant, now, expected) in
        [("", "", false), (".variant_pcs vector", "", true), (".variant_pcs vector", "-z now", false)]
    {
        let object = assemble(&bench, "variant", &source(variant));
        crate::support::succeeds(&bench.ours(&format!("-shared {now} -Bsymbolic -o ours/variant.so {object}")));
        let dynamic = bench.must("llvm-readelf-19 -dW ours/variant.so");
        assert_eq!(dynamic.contains("AARCH64_VARIANT_PCS"), expected, "{variant} {now}: {dynamic}");
        let symbols = bench.must("llvm-readelf-19 --dyn-syms -W ours/variant.so");
        let states = |name: &str| {
            let line = symbols.lines().find(|line| line.split_whitespace().last() == Some(name));
            line.unwrap_or_else(|| panic!("{name}: {symbols}")).contains("VARIANT_PCS")
        };
        assert!(states("mine") && !states("plain") && !states("probe"), "{symbols}");
        assert_eq!(states("vector"), !variant.is_empty(), "{symbols}");
        reads_clean(&bench, "ours/variant.so");
    }
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn entries_have_landing_pads_if_all_objects_ask_for_them() {
    let bench = bench();
    let source = "extern int atoi(const char *); extern int atol(const char *); int (*pointer)(const char *) = atol;
        int probe(void) { CHECK(atoi(\"12\") == 12 && pointer(\"13\") == 13); return 0; }";
    let guarded = bench.compile("gcc -O1 -mbranch-protection=standard", "guarded.c", source);
    let plain = bench.compile("gcc -O1", "plain.c", "int other(void) { return 1; }");
    let libc = Cpu::Aarch64.libc();
    for (objects, landing) in [(guarded.clone(), true), (format!("{guarded} {plain}"), false)] {
        for options in ["", "-z now"] {
            crate::support::succeeds(&bench.ours(&format!("-shared {options} -o ours/pads.so {objects} {libc}")));
            let notes = bench.must("llvm-readelf-19 -nW ours/pads.so");
            assert_eq!(notes.contains("BTI"), landing, "{notes}");
            let dynamic = bench.must("llvm-readelf-19 -dW ours/pads.so");
            assert_eq!(dynamic.contains("AARCH64_BTI_PLT"), landing && options.is_empty(), "{dynamic}");
            let code = bench.must("llvm-objdump-19 -d -j .plt -j .plt.got --no-show-raw-insn ours/pads.so");
            let pads = code.lines().filter(|line| line.ends_with("bti\tc")).count();
            // The first entry and one more, or that one.
            let entries = if options.is_empty() { 2 } else { 1 };
            assert_eq!(pads, if landing { entries } else { 0 }, "{code}");
            for bind in ["-l", "-n"] {
                assert_eq!(bench.load(&format!("{bind} ours/pads.so")), "probe 0\nend\n", "{objects} {options}");
            }
            reads_clean(&bench, "ours/pads.so");
        }
    }
}

/// Tables of build attributes end to end would be no table.
#[test]
#[ignore = "needs the package clang-19"]
fn build_attributes_stay_in_the_objects() {
    let bench = bench();
    let attributes = format!(
        "{BTI}.globl {{}}\n{{}}: ret\n.section .ARM.attributes, \"\", %0x70000003\n.byte 'A'\n.word 30\n
         .asciz \"aeabi_feature_and_bits\"\n.byte 1, 0, 0, 1\n"
    );
    let objects = ["one", "two"].map(|name| assemble(&bench, name, &attributes.replace("{}", name)));
    crate::support::succeeds(&bench.ours(&format!("-shared -o ours/attributes.so {}", objects.join(" "))));
    let said = bench.must("llvm-readelf-19 -SnW ours/attributes.so");
    assert!(!said.contains("attributes") && said.contains("aarch64 feature: BTI"), "{said}");
}

/// The pages are guarded indeed: without a landing pad nothing is called through a pointer.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn guarded_pages_have_guards() {
    let bench = bench();
    for (notes, pad, traps) in [(BTI, "nop", true), (BTI, "bti c", false), ("", "nop", false)] {
        let source = format!("{notes}\n.text\n.globl probe\nprobe: {pad}\nmov w0, #0\nret\n");
        let object = assemble(&bench, "guard", &source);
        crate::support::succeeds(&bench.ours(&format!("-shared -o ours/guard.so {object}")));
        assert_eq!(bench.traps("ours/guard.so"), traps, "{source}");
    }
}

/// Code of 216 MiB: calls in all directions, through the PLT, to labels by their section, and to functions without landing
/// pads in guarded pages.
fn far_calls(bench: &Bench, notes: &str) -> String {
    let gap = 72 << 20;
    let start = if notes.is_empty() { "" } else { "bti c" };
    let first = format!(
        "{notes}
        .section .text.first, \"ax\"
        .globl probe
        .hidden last, back
        probe:
            {start}
            stp x29, x30, [sp, #-32]!
            str x19, [sp, #16]
            mov x0, #1
            bl last                 // forwards, and from there back here
            add x19, x0, #0
            bl within               // a label of another section
            add x19, x19, x0
            adrp x0, digits
            add x0, x0, :lo12:digits
            bl atoi                 // another library
            add x19, x19, x0
            sub w0, w19, #{sum}
            ldr x19, [sp, #16]
            ldp x29, x30, [sp], #32
            ret
        .globl back
        back:
            add x0, x0, #16
            ret
        .section .text.gap, \"ax\"
            .space {gap}
        .section .rodata.digits, \"a\"
        digits: .asciz \"3000\"\n",
        sum = 1 + 1 + 16 + 256 + 2 + 4 + 3000,
    );
    let last = format!(
        "{notes}
        .section .text.gap, \"ax\"
            .space {gap}
        .section .text.last, \"ax\"
        .globl last, within
        .hidden last, within, back
        last:
            stp x29, x30, [sp, #-16]!
            add x0, x0, #1
            bl back
            add x0, x0, #256
            bl .text.more + 4
            ldp x29, x30, [sp], #16
            ret
        within:
            mov x0, #4
            ret
        .section .text.gap2, \"ax\"
            .space {gap}
        .section .text.more, \"ax\"
            nop
            add x0, x0, #2
            ret\n"
    );
    format!("{} {}", assemble(bench, "first", &first), assemble(bench, "last", &last))
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn branches_reach_beyond_128_mib() {
    for (notes, prefix) in [("", "ADRP"), (BTI, "BTI")] {
        let bench = bench();
        let objects = far_calls(&bench, notes);
        let libc = Cpu::Aarch64.libc();
        let mut images = Vec::new();
        for threads in [1, 2, 7] {
            let said = bench.ours(&format!("--threads={threads} -shared -o ours/far.so {objects} {libc}"));
            crate::support::succeeds(&said);
            images.push(bench.bytes("ours/far.so"));
        }
        assert!(images.iter().all(|image| *image == images[0]), "the number of threads shows");
        for bind in ["-l", "-n"] {
            assert_eq!(bench.load(&format!("{bind} ours/far.so")), "probe 0\nend\n", "{prefix}");
        }
        let symbols = bench.must("llvm-readelf-19 -sW ours/far.so");
        let named = |name: &str| symbols.lines().filter(|line| line.ends_with(name)).count();
        assert_eq!(named(" __AArch64ADRPThunk_last"), 1, "{symbols}");
        assert_eq!(named(" __AArch64ADRPThunk_back"), 1, "{symbols}");
        assert_eq!(named(" __AArch64ADRPThunk_atoi"), 1, "{symbols}");
        assert_eq!(named(" __AArch64BTIThunk_last"), usize::from(prefix == "BTI"), "{symbols}");
        reads_clean(&bench, "ours/far.so");
    }
}

/// In the middle of a section that is larger than branches reach in both directions, there is no way to a thunk.
#[test]
#[ignore = "needs the package clang-19"]
fn a_section_beyond_all_reach_is_told() {
    let bench = bench();
    let middle = |more: &str| {
        format!(
            ".section .text.large, \"ax\"\n.globl middle\n.space 0x8400000\nmiddle: bl elsewhere\n.space 0x8400000\nret
             .section .text.other, \"ax\"\n.globl elsewhere\n.hidden elsewhere\n{more}elsewhere: ret\n"
        )
    };
    let object = assemble(&bench, "large", &middle(""));
    let said = bench.refuses(&object);
    for part in
        ["large.o", "(.text.large+0x8400000)", "middle", "R_AARCH64_CALL26", "'elsewhere'", "-ffunction-sections"]
    {
        assert!(said.contains(part), "{said}");
    }
}

/// What is not there counts as being where it is asked for, however far from 0 that is (AArch64 ELF ABI, *Weak References*).
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, clang-19 and qemu-user-static"]
fn what_is_not_there_is_at_the_place() {
    let bench = bench();
    let source = "
        .weak u
        .hidden u
        .text
        .space 0x200000
        .globl g
        g: adr x0, u
        ldr x1, u
        adrp x2, u
        .word u - .";
    let object = assemble(&bench, "weak", source);
    bench.link("weak.so", &object);
    let code = |from: &str| {
        let said = bench.must(&format!("llvm-objdump-19 -d --no-show-raw-insn --disassemble-symbols=g {from}/weak.so"));
        let lines = said.lines().filter(|line| line.contains("\tx") || line.contains("\tad"));
        lines.map(|line| line.split_whitespace().nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(code("ours"), code("lld"));
    assert_eq!(code("ours")[..3], ["adr", "ldr", "adrp"]);
    // A number is there, and out of reach of any image.
    let refused = bench.refuses(&assemble(&bench, "number", ".text\n.globl g\ng: bl A\nA = 0x100"));
    assert!(refused.contains("R_AARCH64_CALL26"), "{refused}");
}
