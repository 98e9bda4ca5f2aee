//! RISC-V: every relocation kind, those that are refused, padding that is too much, file flags and attributes.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::ElfFile64;
use object::{LittleEndian as LE, Object as _, ObjectSection as _, ObjectSymbol as _, ObjectSymbolTable as _};

use crate::support::{Bench, Cpu, reads_clean, reference_linker, succeeds};

/// Ends every assembly fixture.
const NOTE: &str = "\n.section .note.GNU-stack, \"\", @progbits\n";

fn bench() -> Bench {
    Bench::of(Cpu::Riscv64)
}

fn assemble(bench: &Bench, name: &str, source: &str) -> String {
    bench.compile("clang-19", &format!("{name}.s"), &format!("{source}{NOTE}"))
}

/// What the program says when it refuses an object. Assemblers know no names of some kinds: these are written as SUB6, with
/// the number in a comment.
fn refused(source: &str) -> String {
    const SUB6: u64 = 52;
    let bench = bench();
    let object = assemble(&bench, "bad", &format!(".option norvc\n{source}"));
    if let Some(kind) = source.lines().find_map(|line| line.split_once(", x # ")?.1.parse::<u64>().ok()) {
        let mut bytes = bench.bytes(&object);
        let info = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
        let table = file.section_by_name(".rela.text").unwrap().file_range().unwrap();
        let entries = (table.0 as usize..(table.0 + table.1) as usize).step_by(24).map(|entry| entry + 8);
        let entries: Vec<usize> = entries.filter(|at| info(&bytes[*at..*at + 8]) as u32 == SUB6 as u32).collect();
        assert!(!entries.is_empty());
        for at in entries {
            let changed = info(&bytes[at..at + 8]) & !0xffff_ffff | kind;
            bytes[at..at + 8].copy_from_slice(&changed.to_le_bytes());
        }
        bench.file(&object, bytes);
    }
    bench.refuses(&object)
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn every_kind_is_read_back_by_code() {
    for assembler in ["clang-19 -mrelax", "clang-19 -mno-relax", "gcc"] {
        let bench = bench();
        let kinds = include_str!("fixtures/riscv64_kinds.s");
        let kinds = if assembler == "gcc" {
            // Older than the kinds.
            let new = ["ULEB128", "PLT32", "GOT32_PCREL"];
            let old = |line: &&str| !new.iter().any(|kind| line.contains(kind));
            kinds
                .lines()
                .filter(old)
                .collect::<Vec<_>>()
                .join("\n")
                .replace(".byte  0x00, 0xff", ".byte 16, 0xff")
                .replace(".byte  0x80, 0x80, 0x80, 0x00, 0xff", ".byte 0x90, 0x80, 0x80, 0, 0xff")
        } else {
            kinds.to_owned()
        };
        let source = include_str!("fixtures/riscv64_kinds.c");
        let old_source: String;
        let source = if assembler == "gcc" {
            old_source = source.lines().filter(|line| !line.contains("_distance)")).collect::<Vec<_>>().join("\n");
            &old_source
        } else {
            source
        };
        let kinds = bench.compile(assembler, "kinds.s", &kinds);
        let probe = bench.compile("gcc -O1", "probe.c", source);
        let numbers = assemble(
            &bench,
            "numbers",
            ".globl NUMBER, EIGHT\n.hidden NUMBER, EIGHT\nNUMBER = 0x12345fff\nEIGHT = 8\n",
        );
        let told = bench.must(&format!("llvm-readelf-19 -rW {kinds} {probe}"));
        let found: BTreeSet<&str> = told.split_whitespace().filter(|word| word.starts_with("R_RISCV_")).collect();
        match assembler {
            "clang-19 -mrelax" => assert_eq!(found.len(), 37, "{found:?}"),
            "clang-19 -mno-relax" => assert_eq!(found.len(), 36, "{found:?}"),
            _ => assert!(found.len() > 30, "{found:?}"),
        }
        let libc = Cpu::Riscv64.libc();
        for options in ["", "-z now", "-Bsymbolic", "--gc-sections -u probe", "-z norelro"] {
            for inputs in [format!("{kinds} {probe} {numbers}"), format!("{numbers} {probe} {kinds}")] {
                let line = format!("-shared -o ours/kinds.so {options} {inputs} {libc} -l:ld-linux-riscv64-lp64d.so.1");
                succeeds(&bench.ours(&line));
                for bind in ["-l", "-n"] {
                    assert_eq!(bench.load(&format!("{bind} ours/kinds.so")), "probe 0\nend\n", "{assembler} {options}");
                }
                reads_clean(&bench, "ours/kinds.so");
            }
        }
    }
}

/// The bits of immediates of instructions of the U and I formats.
fn upper_and_lower(upper: u32, lower: u32) -> i64 {
    i64::from((upper & 0xffff_f000).cast_signed()) + i64::from(lower.cast_signed() >> 20)
}

/// Loaders that know descriptors are newer than that of the emulator, so the code is read.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn descriptors() {
    let bench = bench();
    let source = "
        __thread int exported = 1;
        __thread int hidden __attribute__((visibility(\"hidden\"))) = 2;
        __attribute__((noinline)) int *of_exported(void) { return &exported; }
        __attribute__((noinline)) int *of_hidden(void) { return &hidden; }";
    let object = bench.compile("clang-19 -O1 -mtls-dialect=desc", "descriptors.c", source);
    succeeds(&bench.ours(&format!("-shared -o ours/descriptors.so {object}")));
    reads_clean(&bench, "ours/descriptors.so");
    let bytes = bench.bytes("ours/descriptors.so");
    let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
    let relocations: BTreeMap<u64, (u32, i64, String)> = file
        .dynamic_relocations()
        .unwrap()
        .map(|(place, relocation)| {
            let object::RelocationFlags::Elf { r_type } = relocation.flags() else { panic!() };
            let name = match relocation.target() {
                object::RelocationTarget::Symbol(index) => {
                    file.dynamic_symbol_table().unwrap().symbol_by_index(index).unwrap().name().unwrap().to_owned()
                }
                _ => String::new(),
            };
            (place, (r_type.0, relocation.addend(), name))
        })
        .collect();
    for (function, expected) in [("of_exported", (12, 0, "exported".to_owned())), ("of_hidden", (12, 4, String::new()))]
    {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(function)).unwrap();
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let code = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
        let word = |at: usize| u32::from_le_bytes(code[at..at + 4].try_into().unwrap());
        let start = (0..code.len()).step_by(2).find(|at| word(*at) & 0x7f == 0x17).expect("auipc");
        let place = symbol.address() + start as u64;
        for lower in [start + 4, start + 8] {
            let slot = place.wrapping_add_signed(upper_and_lower(word(start), word(lower)));
            assert_eq!(relocations.get(&slot), Some(&expected), "{function} at {lower}: {slot:#x} {relocations:x?}");
        }
    }
}

const LABELS: &str = "
    .globl probe
    .type probe, @function
probe:
    addi sp, sp, -16
    sd ra, 0(sp)
    li a0, 0
    call add
    .p2align 5
here_32:
    call add
    .p2align 3
here_8:
    beqz a0, nowhere
    li t0, 2
    bne a0, t0, nowhere
    .p2align 4
here_16:
    lla t0, here_16
    andi t0, t0, 15
    bnez t0, nowhere
    lla t0, here_32
    andi t0, t0, 31
    bnez t0, nowhere
    lla t0, table
    lw t1, 4(t0)
    add t0, t0, t1
    jr t0
    .p2align 6
there:
    li a0, 0
    j back
    .p2align 2
nowhere:
    li a0, 1
    .p2align 3
back:
    ld ra, 0(sp)
    addi sp, sp, 16
    ret
    .size probe, . - probe
    .p2align 6
    .type add, @function
add:
    addi a0, a0, 1
    ret
    .size add, . - add
    .section .rodata
    .p2align 2
table:
    .word nowhere - table
    .word there - table
";

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn padding_is_cut_to_what_is_needed() {
    for assembler in ["clang-19", "gcc", "clang-19 -march=rv64imafd", "gcc -march=rv64imafd"] {
        let bench = bench();
        let object = bench.compile(assembler, "labels.s", &format!("{LABELS}{NOTE}"));
        assert!(bench.must(&format!("llvm-readelf-19 -rW {object}")).contains("R_RISCV_ALIGN"));
        let before = bench.compile("gcc -O1", "before.c", "int before(int a) { return a * 3 + 1; }");
        for inputs in [object.clone(), format!("{before} {object}")] {
            let pair = bench.link("labels.so", &format!("--no-relax {inputs}"));
            pair.reads_clean();
            pair.prints("", "probe 0\nend\n");
            // The reference linker, when it shortens nothing, makes the same of it.
            let code = |image: &str| {
                let bytes = bench.bytes(image);
                let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
                let symbols = file.symbols().filter(|symbol| ["probe", "add"].map(Ok).contains(&symbol.name()));
                symbols.map(|symbol| (symbol.name().unwrap().to_owned(), symbol.size())).collect::<BTreeSet<_>>()
            };
            assert_eq!(code("ours/labels.so"), code("lld/labels.so"));
        }
    }
}

/// File, line and flags of each row of the line table, by the function it is in and its distance from the function's start.
fn rows(bench: &Bench, image: &str) -> BTreeSet<String> {
    let bytes = bench.bytes(image);
    let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
    let mut functions: BTreeMap<u64, String> = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_definition()) {
        functions.entry(symbol.address()).or_insert_with(|| symbol.name().unwrap().to_owned());
    }
    let mut rows = BTreeSet::new();
    for line in bench.must(&format!("llvm-dwarfdump-19 --debug-line {image}")).lines() {
        let Some((address, rest)) = line.strip_prefix("0x").and_then(|line| line.split_once(' ')) else { continue };
        let Ok(address) = u64::from_str_radix(address, 16) else { continue };
        let Some((start, name)) = functions.range(..=address).next_back() else { continue };
        rows.insert(format!("{name}+{} {}", address - start, rest.trim()));
    }
    rows
}

#[test]
#[ignore = "needs the packages g++-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn everything_that_tells_of_code_follows_it() {
    let source = "
        #include <stdexcept>
        #include <string>
        struct Counts { int *to; ~Counts() { *to += 100; } };
        __attribute__((noinline)) int thrower(int x) {
            if (x > 2) throw std::runtime_error(std::string(\"boom\") + std::to_string(x));
            return x;
        }
        __attribute__((noinline)) int catcher(int x) {
            int seen = 0;
            try { Counts counts{&seen}; return thrower(x) + seen; }
            catch (const std::exception &error) { return seen + (int)std::string(error.what()).size(); }
        }
        __attribute__((noinline)) int choose(int x) {
            switch (x) {
                case 0: return thrower(1); case 1: return 5; case 2: return catcher(0); case 3: return 8; case 4: return 13;
                case 5: return catcher(7); default: return -1;
            }
        }
        __attribute__((noinline)) int loop(int *numbers, int count) {
            int sum = 0;
            for (int i = 0; i < count; i++) for (int j = i; j < count; j += 3) sum += numbers[j] ^ i;
            return sum;
        }
        thread_local int local = 3;
        int probe() __asm__(\"probe\");
        int probe() {
            int numbers[] = {1, 2, 3, 4, 5, 6, 7};
            if (catcher(1) != 1 || catcher(5) != 105) return 1;
            for (int i = 0; i < 7; i++) {
                int wanted[] = {1, 5, 0, 8, 13, 105, -1};
                if (choose(i) != wanted[i]) return 2 + i;
            }
            if (loop(numbers, 7) != 40) return loop(numbers, 7);
            return local++ - 3;
        }";
    for compiler in [
        "g++ -O2 -g -falign-functions=32 -falign-loops=16 -falign-jumps=8",
        "clang-19 -O2 -g -falign-functions=32",
        "clang-19 -O1 -gdwarf-4 -falign-functions=64 -ffunction-sections",
        "clang-19 -O0 -g",
        "clang-19 -O2 -g -mno-relax",
    ] {
        let bench = bench();
        let includes =
            "-I/usr/riscv64-linux-gnu/include/c++/12 -I/usr/riscv64-linux-gnu/include/c++/12/riscv64-linux-gnu";
        let includes = if compiler.starts_with("clang") { includes } else { "" };
        let object = bench.compile(&format!("{compiler} {includes}"), "unwound.cc", source);
        let standard = Cpu::Riscv64.standard();
        for options in ["--no-relax", "--no-relax --compress-debug-sections=zlib"] {
            let pair = bench.link("unwound.so", &format!("{options} {object} {standard}"));
            pair.reads_clean();
            pair.prints("", "probe 0\nend\n");
            let (ours, lld) = (rows(&bench, "ours/unwound.so"), rows(&bench, "lld/unwound.so"));
            assert!(ours.len() > 60, "{}", ours.len());
            assert_eq!(ours, lld, "{compiler} {options}");
            let told = |image: &str| {
                let told = bench.must(&format!("llvm-dwarfdump-19 --debug-info {image}"));
                let told =
                    told.lines().filter(|line| line.contains("DW_OP_const8u") || line.contains("DW_OP_GNU_push"));
                told.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(told("ours/unwound.so"), told("lld/unwound.so"));
            // The length of each function in its unwind description.
            let frames = bench.must("llvm-dwarfdump-19 --eh-frame ours/unwound.so");
            let bytes = bench.bytes("ours/unwound.so");
            let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
            let mut described = 0;
            for symbol in file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.size() > 0)
            {
                let (start, end) = (symbol.address(), symbol.address() + symbol.size());
                if frames.contains(&format!("pc={start:08x}...{end:08x}")) {
                    described += 1;
                }
            }
            assert!(described >= 5, "{described}: {frames}");
        }
    }
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn kinds_that_a_shared_library_cannot_have_are_refused() {
    let data = "\n.data\n.globl x\n.hidden x\nx: .word 1\n.section .tdata, \"awT\", @progbits\nt: .word 1\n.text\n";
    for (source, kind, said) in [
        ("lui a0, %hi(x)", "R_RISCV_HI20 against 'x'", "recompile with -fPIC"),
        ("lw a0, %lo(x)(a0)", "R_RISCV_LO12_I against 'x'", "recompile with -fPIC"),
        ("sw a0, %lo(x)(a0)", "R_RISCV_LO12_S against 'x'", "recompile with -fPIC"),
        (
            "lui a0, %tprel_hi(t)",
            "R_RISCV_TPREL_HI20 against 't'",
            "local-exec thread-local storage is for executables only",
        ),
        ("add a0, a0, tp, %tprel_add(t)", "R_RISCV_TPREL_ADD against 't'", "local-exec"),
        (
            ".reloc ., R_RISCV_SUB6, x # 47\naddi a0, gp, 0",
            "R_RISCV_GPREL_LO12_I against 'x'",
            "the global pointer belongs to the executable",
        ),
        (
            ".reloc ., R_RISCV_SUB6, x # 191\nnop",
            "R_RISCV_VENDOR against 'x'",
            "only its CPU vendor's own linker knows what it asks for",
        ),
        (
            ".reloc ., R_RISCV_SUB6, x # 200\nnop",
            "R_RISCV_CUSTOM200 against 'x'",
            "only its CPU vendor's own linker knows what it asks for",
        ),
        (
            ".reloc ., R_RISCV_RELATIVE, x\n.word 0",
            "R_RISCV_RELATIVE against 'x'",
            "no such relocation is allowed in an object file",
        ),
        (
            ".reloc ., R_RISCV_SUB6, x # 66\nnop",
            "number 66 against 'x'",
            "no such relocation is allowed in an object file",
        ),
        (".reloc ., R_RISCV_32, x\n.word 0", "R_RISCV_32 against 'x'", "recompile with -fPIC"),
        ("lla a0, undefined", "R_RISCV_PCREL_HI20 against 'undefined'", "another library may define the symbol anew"),
        (
            ".reloc ., R_RISCV_PCREL_LO12_I, x\naddi a0, a0, 0",
            "R_RISCV_PCREL_LO12_I against 'x'",
            "must be the label of an auipc instruction in the same section",
        ),
        (
            "1: nop\n.reloc ., R_RISCV_PCREL_LO12_I, 1b\naddi a0, a0, 0",
            "R_RISCV_PCREL_LO12_I",
            "no relocation of the upper 20 bits at the label",
        ),
        (
            "1: auipc a0, %pcrel_hi(x)\n.reloc ., R_RISCV_PCREL_LO12_S, 1b + 4\nsw a0, 0(a0)",
            "R_RISCV_PCREL_LO12_S",
            "its addend must be 0",
        ),
        (
            "1: auipc a0, %pcrel_hi(x)\n.reloc ., R_RISCV_TLSDESC_ADD_LO12, 1b\naddi a0, a0, 0",
            "R_RISCV_TLSDESC_ADD_LO12",
            "no relocation of the upper 20 bits at the label",
        ),
        (
            ".data\n.reloc ., R_RISCV_ADD32, x\n.word 0",
            "R_RISCV_ADD32 against 'x'",
            "one half of a difference stands alone",
        ),
        (
            ".data\n.reloc ., R_RISCV_SUB_ULEB128, x\n.byte 0",
            "R_RISCV_SUB_ULEB128 against 'x'",
            "one half of a difference stands alone",
        ),
        (
            ".data\n.reloc ., R_RISCV_SUB8, x\n.reloc ., R_RISCV_SET8, x\n.byte 0",
            "R_RISCV_SUB8 against 'x'",
            "it must be the first relocation of its place",
        ),
        (
            "a: .zero 200\nb:\n.data\n.reloc ., R_RISCV_SET_ULEB128, b\n.reloc ., R_RISCV_SUB_ULEB128, a\n.byte 0",
            "R_RISCV_SET_ULEB128 against 'b'",
            "does not fit in the bytes that the compiler left for it",
        ),
        (".reloc ., R_RISCV_TLS_GOT_HI20, x\nauipc a0, 0", "R_RISCV_TLS_GOT_HI20 against 'x'", "not thread-local"),
        (".data\n.reloc ., R_RISCV_ALIGN, 6\n.zero 8", "R_RISCV_ALIGN", "only code can be left to the linker to align"),
    ] {
        let told = refused(&format!("{data}{source}"));
        assert!(told.contains(kind) && told.contains(said), "{source}: {told}");
    }
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn numbers_that_do_not_fit_are_refused() {
    let around = "\n.section .far, \"ax\", @progbits\n.globl far\n.hidden far\nfar: .zero 0x200000\n.text\n";
    for (source, said) in [
        (
            ".reloc ., R_RISCV_BRANCH, 1f\n.word 0x63\n.zero 4092\n1: nop",
            "R_RISCV_BRANCH out of range: 4096 is not in [-4096, 4094]",
        ),
        (
            ".reloc ., R_RISCV_RVC_BRANCH, 1f\n.half 0xc101\n.zero 254\n1: nop",
            "R_RISCV_RVC_BRANCH out of range: 256 is not in [-256, 254]",
        ),
        (
            ".reloc ., R_RISCV_RVC_JUMP, 1f\n.half 0xa001\n.zero 2046\n1: nop",
            "R_RISCV_RVC_JUMP out of range: 2048 is not in [-2048, 2046]",
        ),
        (".reloc ., R_RISCV_JAL, far + 0x1fff00\n.word 0x6f", "is not in [-1048576, 1048574]"),
        (".reloc ., R_RISCV_JAL, 1f + 1\n.word 0x6f\n1: nop", "is no multiple of 2, as the instruction needs it"),
        (".reloc ., R_RISCV_CALL_PLT, far + 0x7fffffff\n.zero 8", "is not in [-2147485696, 2147481599]"),
        (".reloc ., R_RISCV_PCREL_HI20, far + 0x7ffff800\n.word 0x17", "is not in [-2147485696, 2147481599]"),
    ] {
        let told = refused(&format!("{around}{source}"));
        assert!(told.contains(said), "{source}: {told}");
    }
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn padding_that_is_none_is_refused() {
    for (source, said) in [
        (".p2align 4\nnop\n.reloc ., R_RISCV_ALIGN, 12\nnop", "12 bytes of padding reach beyond the section's 20"),
        (".reloc ., R_RISCV_ALIGN, 0x7fffffffffffffff\nnop", "bytes of padding reach beyond the section's 4"),
        (".reloc ., R_RISCV_ALIGN, -4\nnop", "-4 bytes of padding"),
        (".reloc ., R_RISCV_ALIGN, 30\n.zero 40", "alignment to 32 bytes in a section that is aligned to"),
    ] {
        let told = refused(source);
        assert!(
            told.contains(".text at offset") && told.contains("R_RISCV_ALIGN") && told.contains(said),
            "{source}: {told}"
        );
    }
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn objects_that_do_not_go_together_are_refused() {
    let bench = bench();
    let one = bench.compile("gcc -O1", "one.c", "int one(void) { return 1; }");
    for (flags, said) in [
        (
            "-march=rv64imac -mabi=lp64",
            "two.o: is compiled for the soft-float ABI (-mabi=lp64), but one.o is compiled for the double-float ABI (-mabi=lp64d)",
        ),
        ("-march=rv64imafc -mabi=lp64f", "two.o: is compiled for the single-float ABI (-mabi=lp64f), but one.o"),
    ] {
        let two = bench.compile(&format!("clang-19 {flags}"), "two.c", "int two(void) { return 2; }");
        let told = bench.refuses(&format!("{one} {two}"));
        assert!(told.contains(said), "{told}");
    }
    let two = assemble(&bench, "bad", ".attribute stack_align, 8");
    let told = bench.refuses(&format!("{one} {two}"));
    assert!(told.contains("bad.o: aligns the stack to 8 bytes, but one.o aligns the stack to 16 bytes"), "{told}");
    bench.file("narrow.s", "nop\n");
    bench.must("clang-19 --target=riscv32-linux-gnu -c -o narrow.o narrow.s");
    let told = bench.refuses("narrow.o");
    assert!(told.contains("narrow.o: RISC-V with 32 bits objects cannot be linked"), "{told}");
    let told = bench.refuses(&format!("{one} narrow.o"));
    assert!(told.contains("narrow.o: is for RISC-V with 32 bits, but one.o is for RISC-V"), "{told}");
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn flags_and_attributes_are_merged() {
    let bench = bench();
    let source = "int NAME(int a, int b) { return a * b; }\nint probe(void) { return 0; }";
    let one = bench.compile("gcc -O1 -march=rv64imafd", "one.c", &source.replace("NAME", "one"));
    let two = bench.compile("clang-19 -O1 -march=rv64gc_zba_zbb", "two.c", "int two(int a) { return a + 2; }");
    // Data without flags or attributes, as objcopy makes it.
    bench.file("plain.bin", "plain");
    bench.must("riscv64-linux-gnu-objcopy -I binary -O elf64-littleriscv plain.bin plain.o");
    succeeds(&bench.ours(&format!("-shared -o ours/merged.so {one} {two} plain.o")));
    assert_eq!(bench.load("ours/merged.so"), "probe 0\nend\n");
    reads_clean(&bench, "ours/merged.so");
    let header = bench.must("llvm-readelf-19 -h ours/merged.so");
    assert!(header.contains("0x5, RVC, double-float ABI"), "{header}");
    let told = bench.must("llvm-readelf-19 -A ours/merged.so");
    let arch =
        told.lines().find_map(|line| line.trim().strip_prefix("Value: rv64")).unwrap_or_else(|| panic!("{told}"));
    assert!(arch.starts_with("i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zifencei2p0_zmmul1p0_"), "{arch}");
    assert!(arch.ends_with("zba1p0_zbb1p0"), "{arch}");
    assert!(told.contains("Stack alignment is 16-bytes"), "{told}");
    let segments = bench.must("llvm-readelf-19 -lW ours/merged.so");
    assert!(segments.contains("ATTRIBUTES") && segments.contains(" .riscv.attributes"), "{segments}");
    // The reference linker adds what extensions imply, and orders them in the same way.
    let lld = reference_linker().display();
    bench.must(&format!("{lld} -flavor gnu -shared -o lld/merged.so {one} {two}"));
    let lld = bench.must("llvm-readelf-19 -A lld/merged.so");
    let theirs =
        lld.lines().find_map(|line| line.trim().strip_prefix("Value: rv64")).unwrap_or_else(|| panic!("{lld}"));
    let ours: Vec<&str> = arch.split('_').collect();
    assert_eq!(theirs.split('_').filter(|extension| ours.contains(extension)).collect::<Vec<_>>(), ours);
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn functions_of_other_calling_conventions_are_told_to_the_loader() {
    let bench = bench();
    bench.library("vectors", "", "int vectors(int a) { return a + 1; } int plain(int a) { return a + 2; }");
    let variant = ".globl caller\n.variant_cc vectors\n.type caller, @function\ncaller: tail vectors@plt\n";
    let caller = assemble(&bench, "caller", variant);
    let probe = "extern int caller(int), plain(int); int probe(void) { return caller(1) + plain(1) - 5; }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    for (inputs, told) in [(format!("{caller} {probe}"), true), (format!("{probe} {caller}"), true)] {
        succeeds(&bench.ours(&format!("-shared -o ours/variant.so {inputs} -L. -lvectors")));
        assert_eq!(bench.load("-l ours/variant.so"), "probe 0\nend\n");
        assert_eq!(bench.must("llvm-readelf-19 -d ours/variant.so").contains("RISCV_VARIANT_CC"), told);
        let symbols = bench.must("llvm-readelf-19 --dyn-syms -W ours/variant.so");
        let line =
            |name: &str| symbols.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{symbols}"));
        assert!(line(" vectors").contains("VARIANT_CC") && !line(" plain").contains("VARIANT_CC"), "{symbols}");
    }
    let plain = bench.compile("gcc -O1", "user.c", "extern int plain(int); int probe(void) { return plain(1) - 3; }");
    succeeds(&bench.ours(&format!("-shared -o ours/plain.so {plain} -L. -lvectors")));
    assert!(!bench.must("llvm-readelf-19 -d ours/plain.so").contains("VARIANT_CC"));
}

/// The image is made in parts of about a MiB; both halves of a difference belong to one, or to a seam.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn differences_stand_whole_at_the_seams() {
    const COUNT: usize = 180_000;
    let bench = bench();
    for before in [0, 3] {
        let source = format!(
            ".text\nfirst: call elsewhere\n.p2align 4\nlast: ret
            .data\n.globl table\n.hidden table\n.zero {before}\ntable:
            .rept {COUNT}\n.word last - first\n.uleb128 last - first\n.byte 0x55\n.endr
            .size table, . - table\n"
        );
        let object = assemble(&bench, "seams", &source);
        succeeds(&bench.ours(&format!("-shared -o ours/seams.so {object}")));
        let bytes = bench.bytes("ours/seams.so");
        let file = ElfFile64::<LE>::parse(&*bytes).unwrap();
        let table = file.symbols().find(|symbol| symbol.name() == Ok("table")).unwrap();
        let section = file.section_by_index(table.section_index().unwrap()).unwrap();
        let table = section.data_range(table.address(), table.size()).unwrap().unwrap();
        assert_eq!(table.len(), 6 * COUNT);
        for (index, entry) in table.chunks(6).enumerate() {
            assert_eq!(entry, [16, 0, 0, 0, 16, 0x55], "entry {index} behind {before} bytes");
        }
    }
}

/// What is told of the code in a file of its own stands there whole.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and clang-19"]
fn a_separate_debug_file_has_the_attributes() {
    let bench = bench();
    let source = "int f(int a) { for (int i = 0; i < a; i++) a += i; return a; }";
    let object = bench.compile("clang-19 -O2 -g -falign-functions=32", "apart.c", source);
    succeeds(&bench.ours(&format!("-shared --separate-debug-file -o ours/apart.so {object}")));
    succeeds(&bench.ours(&format!("-shared -o ours/whole.so {object}")));
    for file in ["ours/apart.so", "ours/apart.so.dbg"] {
        let told = bench.must(&format!("llvm-readelf-19 -A {file}"));
        assert!(told.contains("rv64i2p1"), "{file}: {told}");
        let segments = bench.must(&format!("llvm-readelf-19 -lW {file}"));
        assert!(segments.contains(" .riscv.attributes"), "{file}: {segments}");
    }
    assert_eq!(rows(&bench, "ours/apart.so.dbg"), rows(&bench, "ours/whole.so"));
}

/// What assemblers leave to the linker as a difference is one of the image's own definitions, whoever may have others.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn differences_of_exported_symbols() {
    let bench = bench();
    let source = "
        .text
        .globl f, g
        .type f, @function
        .type g, @function
        f: ret
        g: ret
        .data
        .globl gap
        gap: .word g - f";
    let differences = bench.compile("clang-19 -mrelax", "differences.s", &format!("{source}{NOTE}"));
    let probe = "extern void f(void), g(void); extern int gap;
        int probe(void) { CHECK(gap == (char *)g - (char *)f && gap > 0); return 0; }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    let pair = bench.link("differences.so", &format!("{differences} {probe}"));
    pair.prints("", "probe 0\nend\n");
    // There has to be one.
    let refused =
        refused(".globl f\nf: ret\n.data\n.reloc ., R_RISCV_ADD32, f\n.reloc ., R_RISCV_SUB32, nobody\n.word 0");
    assert!(refused.contains("nobody") && refused.contains("the image does not define it"), "{refused}");
}

/// A branch to what is not there reaches it, however far from 0.
#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu, clang-19 and qemu-user-static"]
fn branches_to_what_is_not_there() {
    let bench = bench();
    let source = "
        .weak u
        .hidden u
        .text
        .space 0x200000
        .globl g
        g: jal u
        beqz a0, u
        call u
        ret";
    let object = assemble(&bench, "weak", source);
    bench.link("weak.so", &object);
    let code = |from: &str| {
        let said = bench.must(&format!("llvm-objdump-19 -d --disassemble-symbols=g {from}/weak.so"));
        let lines = said.lines().filter(|line| line.starts_with("  "));
        lines.map(|line| line.split_whitespace().nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(code("ours"), code("lld"));
}
