//! Arm: two instruction sets in one image, the unwind index, build attributes.

use crate::support::{Bench, Cpu, reads_clean, succeeds, text};

const GCC_DIRECTORY: &str = "/usr/lib/gcc-cross/arm-linux-gnueabihf/12";

#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf, clang-19 and qemu-user-static"]
fn every_kind_of_relocation_reaches_its_target() {
    let bench = Bench::of(Cpu::Arm);
    let kinds = bench.compile("gcc -march=armv7-a", "kinds.s", include_str!("fixtures/arm_kinds.s"));
    let near = bench.compile("clang-19", "near.s", include_str!("fixtures/arm_near.s"));
    bench.file("absolute.s", ".globl absolute_short, absolute_byte\n.hidden absolute_short, absolute_byte\n");
    bench.must(
        "arm-linux-gnueabihf-as -o absolute.o absolute.s --defsym absolute_short=0x1234 --defsym absolute_byte=0xfe",
    );
    let probe = bench.compile(
        "gcc -O1",
        "probe.c",
        "
        extern unsigned value __attribute__((visibility(\"hidden\")));
        extern unsigned constructed __attribute__((visibility(\"hidden\")));
        extern char *odd_function __attribute__((visibility(\"hidden\")));
        extern unsigned function_distance[2] __attribute__((visibility(\"hidden\")));
        extern char *odd_byte __attribute__((visibility(\"hidden\")));
        extern struct { unsigned short two; unsigned char one; } small __attribute__((visibility(\"hidden\")));
        extern unsigned *give_thumb(void) __attribute__((visibility(\"hidden\")));
        extern unsigned *k_movw_prel(void), *k_groups(void), *k_got(void), *k_got_prel(void), *k_target2(void);
        extern unsigned *k_arm_to_thumb(void), *k_thumb_movw_prel(void), *k_short(void), *k_shorter(void);
        extern unsigned *k_thumb_to_arm(void), *k_thumb_jump(void);
        extern int n_arm(void), n_thumb(void);
        int probe(void) {
            CHECK(value == 0x12345678 && constructed == 1);
            CHECK(k_movw_prel() == &value);
            CHECK(k_groups() == &value);
            CHECK(k_got() == &value);
            CHECK(k_got_prel() == &value);
            CHECK(k_target2() == &value);
            CHECK(k_arm_to_thumb() == &value);
            CHECK(k_thumb_movw_prel() == &value);
            CHECK(k_short() == &value);
            CHECK(k_shorter() == &value);
            CHECK(k_thumb_to_arm() == &value);
            CHECK(k_thumb_jump() == &value);
            CHECK(n_arm() == 0);
            CHECK(n_thumb() == 0);
            CHECK(((unsigned)give_thumb & 1) == 1 && odd_function == (char *)give_thumb);
            unsigned *(*again)(void) = (unsigned *(*)(void))((char *)&function_distance[0] + function_distance[0]);
            CHECK(again == give_thumb && again() == &value);
            again = (unsigned *(*)(void))((char *)&function_distance[1] + function_distance[1]);
            CHECK(((unsigned)again & 1) == 0 && again() == &value);
            CHECK(*odd_byte == 2);
            CHECK(small.two == 0x1234 && small.one == 0xfe);
            return 0;
        }",
    );
    // The reference linker knows not all of these.
    succeeds(&bench.ours(&format!("-shared -o ours/kinds.so {probe} {kinds} {near} absolute.o")));
    reads_clean(&bench, "ours/kinds.so");
    assert_eq!(bench.load("ours/kinds.so"), "probe 0\nend\n");
}

/// Arm and Thumb objects in all mixtures: calls, tail calls and pointers between them and into other libraries.
#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf, clang-19 and qemu-user-static"]
fn instruction_sets_mix() {
    let bench = Bench::of(Cpu::Arm);
    let one = "
        extern int other(int) __attribute__((visibility(\"hidden\")));
        extern int tail(int) __attribute__((visibility(\"hidden\")));
        extern int exported(int);
        extern int atoi(const char *);
        static int mine(int x) { return x * 3; }
        int (*pointer)(int) = mine;
        int (*to_other)(int) = other;
        __attribute__((noinline)) static int imported(const char *text) { return atoi(text); }
        int back(int x) { return x ? exported(x - 1) : other(x); }
        int probe(void) {
            CHECK(other(1) == 11 && tail(1) == 101 && exported(1) == 1001);
            CHECK(pointer(2) == 6 && to_other(2) == 12);
            CHECK(imported(\"42\") == 42);
            CHECK(back(3) == 1002 && back(0) == 10);
            return 0;
        }";
    let two = "
        extern int atoi(const char *), back(int);
        int hidden_back(int x) { return back(x); }
        __attribute__((visibility(\"hidden\"))) int other(int x) { return x + 10; }
        __attribute__((visibility(\"hidden\"))) int tail(int x) { return other(x) + atoi(\"90\"); }
        int exported(int x) { return other(x) + 990; }";
    let compilers = ["gcc -O2 -marm", "gcc -O2 -mthumb", "clang-19 -O2 -marm", "clang-19 -O2 -mthumb"];
    for (first, second) in compilers.iter().flat_map(|first| compilers.map(|second| (first, second))) {
        let one = bench.compile(first, "one.c", one);
        let two = bench.compile(second, "two.c", two);
        for how in ["", "-z now", "-Bsymbolic", "--gc-sections"] {
            let pair = bench.link("mixed.so", &format!("{one} {two} {} {how}", Cpu::Arm.libc()));
            pair.reads_clean();
            // A slot that is bound late, and one that is not.
            pair.prints("-l", "probe 0\nend\n");
            pair.prints("-n", "probe 0\nend\n");
        }
    }
}

/// Branches of every kind to code 20 and 40 MB away, in both instruction sets.
#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf and qemu-user-static"]
fn far_branches_go_through_veneers() {
    let bench = Bench::of(Cpu::Arm);
    // Of two sections that a branch does not reach across, between small ones.
    let assembly = "
        .syntax unified
        .arch armv7-a
        .section .text.near, \"ax\", %progbits
        .thumb
        .globl from_thumb
        .thumb_func
        from_thumb:
            push {r4, lr}
            bl far_thumb
            bl far_arm
            nop
            bl far_arm
            bl label
            cmp r0, r0
            pop {r4, lr}
            b.w far_arm
        .globl from_thumb_conditional
        .thumb_func
        from_thumb_conditional:
            cmp r0, r0
            beq.w far_thumb
            udf #1
        .arm
        .globl from_arm
        .type from_arm, %function
        from_arm:
            push {r4, lr}
            bl far_thumb
            bl far_arm
            cmp r0, r0
            bleq far_thumb
            pop {r4, lr}
            b far_arm
        .section .text.space, \"ax\", %progbits
            .space 20 << 20
        .section .text.more_space, \"ax\", %progbits
            .space 20 << 20
        .section .text.zfar, \"ax\", %progbits
        .thumb
        .globl far_thumb, far_arm, label
        .hidden far_thumb, far_arm, label
        .thumb_func
        far_thumb:
            adds r0, #1
            bx lr
        @ Not declared as a function: it has no state, and is entered in the caller's.
        label:
            adds r0, #100
            bx lr
        .arm
        .type far_arm, %function
        far_arm:
            add r0, r0, #10
            bx lr
        .thumb
        .globl back_again
        .thumb_func
        back_again:
            b.w from_arm
        ";
    let object = bench.compile("gcc", "far.s", assembly);
    let probe = bench.compile(
        "gcc -O1",
        "probe.c",
        "extern int from_thumb(int), from_thumb_conditional(int), from_arm(int), back_again(int);
         int probe(void) {
             CHECK(from_thumb(0) == 131);
             CHECK(from_thumb_conditional(0) == 1);
             CHECK(from_arm(0) == 22);
             CHECK(back_again(0) == 22);
             return 0;
         }",
    );
    succeeds(&bench.ours(&format!("-shared -o ours/far.so {object} {probe}")));
    assert_eq!(bench.load("ours/far.so"), "probe 0\nend\n");
    reads_clean(&bench, "ours/far.so");
    let symbols = bench.must("llvm-readelf-19 -s ours/far.so");
    for name in ["__ThumbV7PILongThunk_far_arm", "__ThumbV7PILongThunk_far_thumb", "__ARMV7PILongThunk_far_thumb"] {
        assert!(symbols.contains(name), "{name}: {symbols}");
    }
    // Readers know what is what: the last instruction of a veneer is `bx ip` in both sets.
    let code = bench.must("llvm-objdump-19 -d --no-show-raw-insn --section=.text ours/far.so");
    let veneers = code.split("__ThumbV7PILongThunk_far_arm>:").nth(1).unwrap();
    let lines: Vec<&str> = veneers.lines().skip(1).take(4).map(str::trim).collect();
    let operations = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap_or_default());
    assert_eq!(operations.collect::<Vec<_>>(), ["movw", "movt", "add", "bx"], "{lines:?}");
}

#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf"]
fn branches_that_nothing_helps_are_errors() {
    let bench = Bench::of(Cpu::Arm);
    for (what, said) in [
        // A short branch has no veneers, and cannot change the state.
        (
            ".thumb\n.thumb_func\nprobe: b.n target\n.section .text.other,\"ax\"\n.arm\n.type target, %function\n.globl target\n.hidden target\ntarget: bx lr",
            "relocation R_ARM_THM_JUMP11 against 'target': the target is in the other instruction set",
        ),
        // Nor can it be reached from far away.
        (
            ".thumb\n.thumb_func\nprobe: beq.n target\n.space 1000\n.section .text.other,\"ax\"\n.thumb\n.thumb_func\n.globl target\n.hidden target\ntarget: bx lr",
            " in probe: relocation R_ARM_THM_JUMP8 out of range: ",
        ),
        // Absolute addresses.
        (
            ".arm\nprobe: movw r0, #:lower16:target\n.data\ntarget: .word 1",
            "relocation R_ARM_MOVW_ABS_NC against 'target': the image is loaded at an address that is not known now",
        ),
        (".arm\nprobe: movt r0, #:upper16:imported", "relocation R_ARM_MOVT_ABS against 'imported': "),
        // What another library may define is not at a distance.
        (".data\nprobe: .word imported - .", "relocation R_ARM_REL32 against 'imported': another library may define"),
        (
            ".data\nprobe: .word local(tpoff)\n.section .tbss,\"awT\",%nobits\nlocal: .skip 4",
            "relocation R_ARM_TLS_LE32 against 'local': local-exec thread-local storage is for executables only",
        ),
        (
            ".data\nprobe: .word imported(sbrel)",
            "relocation R_ARM_SBREL32 against 'imported': addressing relative to a static base",
        ),
        (
            ".data\nprobe: .word imported(tlsdesc)",
            "relocation R_ARM_TLS_GOTDESC against 'imported': thread-local storage by descriptors is not linked for this CPU",
        ),
    ] {
        let source = format!(".syntax unified\n.arch armv7-a\n.globl probe\n{what}\n");
        let object = bench.compile("gcc", "wrong.s", &source);
        let refused = bench.refuses(&object);
        assert!(refused.contains(said), "{what}\n{refused}");
    }
}

const THROWER: &str = "
    #include <stdexcept>
    #include <string>
    struct Guard { int *count; ~Guard() { ++*count; } };
    __attribute__((noinline)) static int thrower(int x) {
        if (x > 2) throw std::runtime_error(\"boom \" + std::to_string(x));
        return x;
    }
    extern \"C\" int other(int x) __attribute__((visibility(\"hidden\")));
    template <class T> __attribute__((noinline)) T twice(T t) { if (t < 0) throw t; return t * 2; }
    __attribute__((noinline)) static int middle(int x, int *count) { Guard guard{count}; return thrower(x) + other(x); }
    static int constructed = [] { return 11; }();
    extern \"C\" int probe() {
        int count = 0;
        CHECK(constructed == 11);
        CHECK(middle(1, &count) == 12 && count == 1);
        try { middle(5, &count); return __LINE__; }
        catch (const std::exception &error) { CHECK(error.what() == std::string(\"boom 5\")); }
        CHECK(count == 2);
        try { twice<int>(-4); return __LINE__; } catch (int value) { CHECK(value == -4); }
        try { other(-1); return __LINE__; } catch (double value) { CHECK(value == 2.5); }
        try { try { throw 3.5; } catch (...) { throw; } } catch (double value) { CHECK(value == 3.5); }
        return 0;
    }";
const OTHER: &str = "
    template <class T> __attribute__((noinline)) T twice(T t) { if (t < 0) throw t; return t * 2; }
    extern \"C\" __attribute__((visibility(\"hidden\"))) int other(int x) {
        if (x < 0) throw 2.5;
        return x + 10 + twice<int>(0);
    }
    extern \"C\" int more(int x) { return twice<int>(x); }";

/// Exceptions through Arm and Thumb frames, with the C runtime's start files and the unwind index that these need.
#[test]
#[ignore = "needs g++-arm-linux-gnueabihf, clang-19 and qemu-user-static"]
fn exceptions_pass_both_instruction_sets() {
    let bench = Bench::of(Cpu::Arm);
    let silent = bench.compile(
        "gcc -O1 -fno-unwind-tables -fno-asynchronous-unwind-tables",
        "silent.c",
        "int silent(int x) { return x; }",
    );
    let (c, gcc) = ("/usr/arm-linux-gnueabihf/lib", GCC_DIRECTORY);
    let standard = Cpu::Arm.standard();
    let compilers =
        ["g++ -O2 -marm", "g++ -O1 -mthumb", "clang-19 -O2 -marm", "clang-19 -O1 -mthumb -ffunction-sections"];
    let headers =
        "-I/usr/arm-linux-gnueabihf/include/c++/12 -I/usr/arm-linux-gnueabihf/include/c++/12/arm-linux-gnueabihf";
    for (first, second) in compilers.iter().zip(compilers.iter().cycle().skip(1)) {
        let compiler =
            |line: &str| if line.starts_with("clang") { format!("{line} {headers}") } else { line.to_owned() };
        let one = bench.compile(&compiler(first), "one.cc", THROWER);
        let two = bench.compile(&compiler(second), "two.cc", OTHER);
        for how in ["", "--gc-sections"] {
            let pair = bench.link(
                "throws.so",
                &format!("{how} {c}/crti.o {gcc}/crtbeginS.o {one} {silent} {two} {standard} -lm -lgcc {gcc}/crtendS.o {c}/crtn.o"),
            );
            pair.reads_clean();
            pair.prints("", "probe 0\nend\n");
            check_index(&bench, &pair.ours(), how.is_empty());
        }
    }
}

/// What readelf says of the unwind index: addresses ascend, code without tables cannot be unwound, and the end is marked.
fn check_index(bench: &Bench, library: &str, silent: bool) {
    let printed = bench.must(&format!("readelf -uW {library}"));
    let rows: Vec<(u64, &str)> = (printed.lines())
        .filter_map(|line| line.strip_prefix("0x")?.split_once(" <"))
        .map(|(address, rest)| (u64::from_str_radix(address, 16).unwrap(), rest))
        .collect();
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "{printed}");
    assert!(rows.last().is_some_and(|(_, last)| last.contains("0x1 [cantunwind]")), "{printed}");
    // Neighbours say something different, but for the end.
    let same = rows.windows(2).filter(|pair| pair[0].1.contains("cantunwind") && pair[1].1.contains("cantunwind"));
    assert!(same.count() <= 1, "{printed}");
    if silent {
        let row = rows.iter().rfind(|(address, _)| *address <= symbol(bench, library, "silent"));
        assert!(row.is_some_and(|(_, rest)| rest.contains("cantunwind")), "{printed}");
    }
    let row = rows.iter().find(|(address, _)| *address == symbol(bench, library, "probe") & !1);
    assert!(row.is_some_and(|(_, rest)| rest.contains(": @0x")), "{printed}");
    // The other reader, which goes by segments.
    let other = bench.must(&format!("llvm-readelf-19 -u {library}"));
    assert_eq!(other.matches("FunctionAddress").count(), rows.len(), "{other}");
    let segments = bench.must(&format!("readelf -lW {library}"));
    assert!(segments.lines().any(|line| line.trim_start().starts_with("EXIDX")), "{segments}");
}

fn symbol(bench: &Bench, library: &str, name: &str) -> u64 {
    let printed = bench.must(&format!("arm-linux-gnueabihf-nm {library}"));
    let line = printed.lines().find(|line| line.ends_with(&format!(" {name}")));
    u64::from_str_radix(&line.unwrap_or_else(|| panic!("{name}: {printed}"))[..8], 16).unwrap()
}

#[test]
#[ignore = "needs clang-19"]
fn broken_unwind_indices_are_errors() {
    let bench = Bench::of(Cpu::Arm);
    let text =
        ".syntax unified\n.text\n.globl probe\nprobe:\nlocal: bx lr\n.section .ARM.exidx, \"ao\", %0x70000001, .text\n";
    for (entries, said) in [
        (".word 0, 1", "an entry without a function of this object"),
        (".word probe(prel31)", "an entry of the unwind index is cut off"),
        (".word probe(prel31), 16", "an entry without a table of this object"),
        (".word probe(prel31), imported(prel31)", "an entry without a table of this object"),
        (".word imported(prel31), 1", "an entry without a function of this object"),
        (".word local(prel31), local - .", "a relocation that no entry of an unwind index has"),
    ] {
        let object = bench.compile("clang-19", "broken.s", &format!("{text}{entries}\n"));
        let refused = bench.refuses(&object);
        assert!(refused.contains("broken.o: .ARM.exidx") && refused.contains(said), "{entries}: {refused}");
    }
}

#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf"]
fn attributes_are_merged_and_flags_follow() {
    let bench = Bench::of(Cpu::Arm);
    let object = |name: &str, lines: &str| bench.compile("gcc", name, &format!(".syntax unified\n{lines}\n.text\n"));
    let a =
        object("a.s", ".arch armv6t2\n.fpu vfpv2\n.eabi_attribute 28, 1\n.eabi_attribute 18, 4\n.eabi_attribute 34, 1");
    let b = object("b.s", ".arch armv6k\n.fpu neon\n.eabi_attribute 18, 4\n.eabi_attribute 26, 2");
    let c = bench.compile("gcc -O1", "c.c", "int probe(void) { return 0; }");
    succeeds(&bench.ours(&format!("-shared -o ours/merged.so {a} {b} {c}")));
    let printed = bench.must("readelf -Ah ours/merged.so");
    for line in [
        "CPU_arch: v7",
        "FP_arch: VFPv3",
        "ABI_VFP_args: VFP registers",
        "ABI_PCS_wchar_t: 4",
        "CPU_unaligned_access: v6",
        "0x5000400, Version5 EABI, hard-float ABI",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let other = bench.must("llvm-readelf-19 -A ours/merged.so");
    assert!(other.contains("ARM v7"), "{other}");

    // Soft and hard: compilers say nothing of the first but that there are floating-point numbers.
    let soft = bench.compile("gcc -O1 -mfloat-abi=softfp", "soft.c", "int soft(void) { return 0; }");
    let said = bench.refuses(&format!("{a} {soft}"));
    assert!(
        said.contains("soft.o: passes floating-point numbers in the way 'in core registers'")
            && said.contains("but a.o passes floating-point numbers in the way 'in VFP registers'"),
        "{said}"
    );
    succeeds(&bench.ours(&format!("-shared -o ours/soft.so {soft}")));
    assert!(bench.must("readelf -h ours/soft.so").contains("soft-float ABI"));

    // Doubts are told, and the image is made.
    let short = object("short.s", ".eabi_attribute 18, 2\n.eabi_attribute 26, 1");
    let output = bench.ours(&format!("-shared -o ours/short.so {c} {short}"));
    succeeds(&output);
    let said = text(&output.stderr);
    assert!(
        said.contains("warning: short.o: has wchar_t of size 2, but c.o has wchar_t of size 4")
            && said.contains("warning: short.o: has enumerations of kind"),
        "{said}"
    );

    let unknown = object("unknown.s", ".eabi_attribute 63, \"x\"");
    let said = bench.refuses(&unknown);
    assert!(said.contains("unknown.o: section") && said.contains("attribute 63 is not known"), "{said}");
}

#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf"]
fn other_variants_of_the_abi_are_refused() {
    let bench = Bench::of(Cpu::Arm);
    let object = bench.compile("gcc -O1", "good.c", "int probe(void) { return 0; }");
    let bytes = bench.bytes(&object);
    let with_flags = |flags: u32| {
        let mut bytes = bytes.clone();
        bytes[0x24..0x28].copy_from_slice(&flags.to_le_bytes());
        bench.file("changed.o", bytes);
    };
    with_flags(0x0400_0000);
    succeeds(&bench.ours("-shared -o ours/four.so changed.o"));
    with_flags(0x0100_0000);
    let said = bench.refuses("changed.o");
    assert!(said.contains("changed.o: version 1 of the Arm EABI, where version 5 can be linked"), "{said}");
    with_flags(0x0580_0000);
    let said = bench.refuses("changed.o");
    assert!(said.contains("changed.o: BE8, code of a big-endian image, cannot be linked"), "{said}");
    let big = bench.compile("gcc -O1 -mbig-endian", "big.c", "int probe(void) { return 0; }");
    let said = bench.refuses(&big);
    assert!(said.contains("big.o: big-endian"), "{said}");
}

#[test]
#[ignore = "needs gcc-arm-linux-gnueabihf"]
fn options_of_arm_drivers() {
    let bench = Bench::of(Cpu::Arm);
    let object = bench.compile("gcc -O1", "good.c", "int probe(void) { return 0; }");
    succeeds(&bench.ours(&format!(
        "-shared -o ours/good.so -m armelf_linux_eabi --target1-abs --target2=got-rel --no-fix-cortex-a8 -EL --use-blx \
         --no-enum-size-warning {object}"
    )));
    for (option, said) in [
        ("--be8", "the machines linked for are little-endian"),
        ("--fix-cortex-a8", "leave it out unless the image is for a Cortex-A8 before revision r3p2"),
        ("--target1-rel", "the lists of constructors hold addresses"),
        ("--target2=abs", "type information of other libraries is reached through the GOT"),
        ("--target2=none", "--target2: 'none' is not got-rel"),
    ] {
        let refused = bench.refuses(&format!("{option} {object}"));
        assert!(refused.contains(said), "{option}: {refused}");
    }
}

/// Loads from the code itself are of what stands there: the bit of a Thumb function's address is no part of the distance
/// (AAELF32, *Relocation codes*: S + A − P, without T).
#[test]
#[ignore = "needs the packages gcc-arm-linux-gnueabihf, clang-19 and qemu-user-static"]
fn loads_of_thumb_functions_are_from_their_first_byte() {
    let bench = Bench::of(Cpu::Arm);
    let source = "
        .syntax unified
        .text
        .thumb
        .hidden t
        .globl t
        .type t, %function
        .thumb_func
        t: bx lr
        .p2align 2
        .globl q
        .type q, %function
        q: ldr.w r0, t
        .p2align 2
        .arm
        ldr r0, t
        ldrd r0, r1, t
        ldrh r0, t
        .section .note.GNU-stack, \"\", %progbits\n";
    let object = bench.compile("clang-19", "loads.s", source);
    bench.link("loads.so", &object);
    let loads = |from: &str| {
        let said = bench.must(&format!("llvm-objdump-19 -d --no-show-raw-insn {from}/loads.so"));
        let operands = said.lines().filter(|line| line.contains("[pc"));
        operands.map(|line| line.split('[').nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(loads("ours"), loads("lld"));
    assert_eq!(loads("ours").len(), 4);
}
