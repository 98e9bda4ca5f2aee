//! Every relocation kind of the psABI's table that an object for a shared library may hold, each read back by code; and
//! those that are refused.

use crate::support::{Bench, LIBC, reads_clean, succeeds};

/// Ends every assembly fixture.
const NOTE: &str = "\n.section .note.GNU-stack,\"\",@progbits\n";

const KINDS: &str = r#"
        .globl hidden_object, hidden_function, exported, probe_kinds
        .hidden hidden_object, hidden_function
        .data
        .p2align 4
        .type hidden_object, @object
        .size hidden_object, 24
hidden_object: .quad 0x1111, 0x2222, 0x3333
        .type exported, @object
        .size exported, 40
exported: .quad 0x4444, 0, 0, 0, 0

        .text
        .type hidden_function, @function
hidden_function: movl $77, %eax
        ret
        .size hidden_function, . - hidden_function

        # Returns the number of the check that failed, or 0.
        .type probe_kinds, @function
probe_kinds:
        pushq %rbx
        pushq %r12
        # GOTPC32: the GOT base.
        leaq _GLOBAL_OFFSET_TABLE_(%rip), %rbx

        # PC32 and GOTOFF64 meet.
        movl $1, %r12d
        leaq hidden_object(%rip), %rcx
        movabsq $hidden_object@GOTOFF, %rax
        addq %rbx, %rax
        cmpq %rcx, %rax
        jne failed
        # GOTPC64.
        movl $2, %r12d
here:   leaq here(%rip), %rax
        movabsq $_GLOBAL_OFFSET_TABLE_ - here, %rdx
        addq %rdx, %rax
        cmpq %rbx, %rax
        jne failed
        # GOT32: offset of the slot from the GOT base.
        movl $3, %r12d
        movq hidden_object@GOT(%rbx), %rax
        cmpq %rcx, %rax
        jne failed
        # GOT64.
        movl $4, %r12d
        movabsq $hidden_object@GOT, %rax
        movq (%rbx,%rax), %rax
        cmpq %rcx, %rax
        jne failed
        # GOTPCREL: no relaxation asked for.
        movl $5, %r12d
        .reloc . + 3, R_X86_64_GOTPCREL, hidden_object - 4
        movq 0(%rip), %rax
        cmpq %rcx, %rax
        jne failed
        # GOTPCREL64.
        movl $6, %r12d
        leaq there(%rip), %rax
there:  .reloc . + 2, R_X86_64_GOTPCREL64, hidden_object + 2
        movabsq $0, %rdx
        movq (%rax,%rdx), %rax
        cmpq %rcx, %rax
        jne failed
        # GOTPCRELX and REX_GOTPCRELX: rewritten.
        movl $7, %r12d
        movq hidden_object@GOTPCREL(%rip), %rax
        cmpq %rcx, %rax
        jne failed
        call *hidden_function@GOTPCREL(%rip)
        cmpl $77, %eax
        jne failed
        # An instruction that is not rewritten.
        cmpq hidden_object@GOTPCREL(%rip), %rcx
        jne failed
        pushq hidden_object@GOTPCREL(%rip)
        popq %rax
        cmpq %rcx, %rax
        jne failed
        # Imported and exported ones stay.
        movq exported@GOTPCREL(%rip), %rax
        cmpq $0x4444, (%rax)
        jne failed
        # PLTOFF64.
        movl $8, %r12d
        movabsq $hidden_function@PLTOFF, %rax
        addq %rbx, %rax
        call *%rax
        cmpl $77, %eax
        jne failed
        movabsq $abs@PLTOFF, %rax
        addq %rbx, %rax
        movl $-5, %edi
        call *%rax
        cmpl $5, %eax
        jne failed
        # GOTPLT64: a slot of the GOT.
        movl $9, %r12d
        .reloc . + 2, R_X86_64_GOTPLT64, hidden_function
        movabsq $0, %rax
        call *(%rbx,%rax)
        cmpl $77, %eax
        jne failed
        # PLT32 of an own and of another library's function.
        movl $10, %r12d
        call hidden_function@PLT
        cmpl $77, %eax
        jne failed
        movl $-6, %edi
        call abs@PLT
        cmpl $6, %eax
        jne failed
        call *abs@GOTPCREL(%rip)
        cmpl $6, %eax
        jne failed
        # SIZE32 and SIZE64.
        movl $11, %r12d
        .reloc . + 1, R_X86_64_SIZE32, hidden_object + 1
        movl $0, %eax
        cmpl $25, %eax
        jne failed
        .reloc . + 2, R_X86_64_SIZE64, elsewhere_hidden - 2
        movabsq $0, %rax
        cmpq $46, %rax
        jne failed
        # PC64, PC16 and PC8 in data.
        movl $12, %r12d
        leaq distances(%rip), %rax
        movq (%rax), %rdx
        addq %rax, %rdx
        cmpq %rcx, %rdx
        jne failed
        movswq 8(%rax), %rdx
        leaq 8(%rax,%rdx), %rdx
        leaq near(%rip), %rcx
        cmpq %rcx, %rdx
        jne failed
        movsbq 10(%rax), %rdx
        leaq 10(%rax,%rdx), %rdx
        cmpq %rcx, %rdx
        jne failed
        xorl %r12d, %r12d
failed: movl %r12d, %eax
        popq %r12
        popq %rbx
        ret
        .size probe_kinds, . - probe_kinds

        .section .rodata
        .globl near
        .hidden near
distances:
        .quad hidden_object - .
        .reloc ., R_X86_64_PC16, near
        .short 0
        .reloc ., R_X86_64_PC8, near
        .byte 0
        .skip 13
near:   .byte 1
"#;

#[test]
fn each_kind_gives_its_value() {
    let bench = Bench::new();
    let source = KINDS.replace("movl $-6, %edi\n        call abs@PLT\n        cmpl $6, %eax\n        jne failed\n        call", "movl $-6, %edi\n        call abs@PLT\n        cmpl $6, %eax\n        jne failed\n        movl $-6, %edi\n        call");
    let kinds = bench.compile("gcc", "kinds.s", &format!("{source}{NOTE}"));
    let probe = "extern int probe_kinds(void);
        __attribute__((visibility(\"hidden\"))) long elsewhere_hidden[6] = { 1 };
        int probe(void) { return probe_kinds(); }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    for options in ["", "-z now", "-z pack-relative-relocs"] {
        // The reference linker does not know GOTPCREL64 and GOTPLT64.
        succeeds(&bench.ours(&format!("-shared -o ours/kinds.so {options} {kinds} {probe} {LIBC}")));
        reads_clean(&bench, "ours/kinds.so");
        assert_eq!(bench.load("ours/kinds.so"), "probe 0\nend\n");
        assert_eq!(bench.load("-l ours/kinds.so"), "probe 0\nend\n");
    }
}

#[test]
fn narrow_kinds_store_numbers_in_sections_that_are_not_loaded() {
    let bench = Bench::new();
    let source = ".section numbers,\"\",@progbits
        .quad number + 1
        .reloc ., R_X86_64_32, number + 2
        .long 0
        .reloc ., R_X86_64_32S, number - 0x200
        .long 0
        .reloc ., R_X86_64_16, number + 3
        .short 0
        .reloc ., R_X86_64_8, number - 0xc0
        .byte 0
        .section .note.GNU-stack,\"\",@progbits\n";
    let number = ".globl number\n.hidden number\nnumber = 0x123\n.section .note.GNU-stack,\"\",@progbits\n";
    let uses = bench.compile("gcc", "uses.s", source);
    let number = bench.compile("gcc", "number.s", number);
    bench.link("numbers.so", &format!("{uses} {number}")).means_the_same(&[]);
    bench.must("objcopy -O binary --only-section=numbers --set-section-flags numbers=alloc ours/numbers.so numbers");
    assert_eq!(
        bench.bytes("numbers"),
        [0x24, 1, 0, 0, 0, 0, 0, 0, 0x25, 1, 0, 0, 0x23, 0xff, 0xff, 0xff, 0x26, 1, 0x63]
    );
}

#[test]
fn what_a_shared_library_cannot_hold_is_refused_with_a_reason() {
    let bench = Bench::new();
    let cases = [
        ("movl $x, %eax", "R_X86_64_32 against 'x'", "-fPIC"),
        ("movq $x, %rax", "R_X86_64_32S against 'x'", "-fPIC"),
        ("movq x(%rip), %rax", "R_X86_64_PC32 against 'x'", "visibility"),
        ("leaq y(%rip), %rax", "R_X86_64_PC32 against 'y'", "visibility"),
        (".quad x", "R_X86_64_64 against 'x'", "-z notext"),
        (".reloc ., R_X86_64_RELATIVE, x\n.quad 0", "R_X86_64_RELATIVE", "allowed in an object file"),
        (".reloc ., R_X86_64_JUMP_SLOT, x\n.quad 0", "R_X86_64_JUMP_SLOT", "allowed in an object file"),
        ("movabsq $x@GOTOFF, %rax", "R_X86_64_GOTOFF64 against 'x'", "visibility"),
    ];
    for (code, relocation, reason) in cases {
        let source = format!(".globl x\n.text\nfunction: {code}\n ret\n.data\nx: .quad 1{NOTE}");
        let object = bench.compile("gcc", "bad.s", &source);
        let said = bench.refuses(&object);
        assert!(said.contains(relocation) && said.contains(reason), "{code}: {said}");
        assert!(said.contains("bad.o:(.text+0x"), "{said}");
    }
    // The same against what the image keeps to itself is right, and a read-only word if it is asked for.
    let text = format!(".globl probe\n.text\n.quad local\nprobe: movl $0, %eax\n ret\n.data\nlocal: .quad 1{NOTE}");
    let object = bench.compile("gcc", "text.s", &text);
    let pair = bench.link("text.so", &format!("-z notext {object}"));
    pair.reads_clean();
    pair.prints("", "probe 0\nend\n");
    let dynamic = bench.must("readelf -Wd ours/text.so");
    assert!(dynamic.contains("TEXTREL"), "{dynamic}");
}

#[test]
fn values_out_of_range_are_errors() {
    let bench = Bench::new();
    let cases = [
        (".reloc ., R_X86_64_PC8, far\n.byte 0", "R_X86_64_PC8", "[-128, 127]"),
        (".reloc ., R_X86_64_PC16, far\n.short 0", "R_X86_64_PC16", "[-32768, 32767]"),
        (".reloc ., R_X86_64_8, number\n.byte 0", "R_X86_64_8", "[-128, 255]"),
        (".reloc ., R_X86_64_16, number + 0x10000\n.short 0", "R_X86_64_16", "[-32768, 65535]"),
        (".reloc ., R_X86_64_32, number - 0x124\n.long 0", "R_X86_64_32", "[0, 4294967295]"),
        (".reloc ., R_X86_64_32S, number + 0x7fffffff\n.long 0", "R_X86_64_32S", "[-2147483648, 2147483647]"),
        (".reloc ., R_X86_64_PC32, far + 0x7fffffff\n.long 0", "R_X86_64_PC32", "[-2147483648, 2147483647]"),
    ];
    let number = ".globl number\n.hidden number\nnumber = 0x123\n.section .note.GNU-stack,\"\",@progbits\n";
    let number = bench.compile("gcc", "number.s", number);
    for (field, relocation, range) in cases {
        let source = format!(".hidden number\n.data\nplace: {field}\n.skip 70000\nfar: .byte 0{NOTE}");
        let object = bench.compile("gcc", "range.s", &source);
        let said = bench.refuses(&format!("{object} {number}"));
        assert!(said.contains(&format!("relocation {relocation} out of range")) && said.contains(range), "{said}");
        assert!(said.contains("range.o:(.data+0x0) in place"), "{said}");
    }
}

#[test]
fn large_and_medium_code_models() {
    let bench = Bench::new();
    bench.library("other", "", "int foreign(int x) { return x + 1; } int foreign_value = 4;");
    let one = "static int local[200] = { 1, 2, 3 }; int exported[300] = { 4 };
        __attribute__((visibility(\"hidden\"))) long hidden[100000] = { 7 };
        static char zero[1 << 20]; static const char *const names[] = { \"a\", \"b\" };
        extern int foreign(int), foreign_value;
        static int twice(int x) { return 2 * x; }
        int (*pointers[])(int) = { twice, foreign };
        __attribute__((noinline)) int compute(int i) {
            zero[i] = 1;
            return local[i] + exported[0] + (int)hidden[0] + foreign(i) + foreign_value + zero[i] + names[i][0];
        }
        int probe(void) {
            CHECK(compute(1) == 2 + 4 + 7 + 2 + 4 + 1 + 'b');
            CHECK(pointers[0](4) == 8 && pointers[1](4) == 5 && foreign == pointers[1]);
            return 0;
        }";
    for compiler in [
        "gcc -O1 -mcmodel=large",
        "gcc -O0 -mcmodel=medium",
        "gcc -O2 -mcmodel=medium -mlarge-data-threshold=0",
        "clang-19 -O1 -mcmodel=large",
        "clang-19 -O1 -mcmodel=medium",
        "clang-19 -O0 -mcmodel=medium -mlarge-data-threshold=0",
    ] {
        let object = bench.compile(compiler, "one.c", one);
        for options in ["", "-z now -z norelro", "--gc-sections"] {
            bench.link("model.so", &format!("{options} {object} -L. -lother")).is_right("probe 0\nend\n");
        }
    }
}

/// x86-64's medium code model: what is large stands behind all that code reaches with 32 bits, zero-filled data included.
#[test]
fn large_data_stands_behind_what_must_be_near() {
    let bench = Bench::new();
    let source = "
        static char big_zero[1 << 20]; char big_data[1 << 17] = { 1, 2, 3 };
        static const char big_constant[1 << 17] = { 4, 5, 6 };
        static char *const big_table[1 << 14] = { big_zero, big_data };
        static int zero, data = 7; int common __attribute__((common));
        extern char _edata[] __attribute__((visibility(\"hidden\"))), __bss_start[] __attribute__((visibility(\"hidden\")));
        int probe(void) {
            volatile int at = 2;
            CHECK(big_zero[at] == 0 && big_data[at] == 3 && big_constant[at] == 6 && big_table[at - 1] == big_data);
            CHECK(zero++ == 0 && data++ == 7 && common++ == 0 && big_zero[at]++ == 0 && big_data[at]++ == 3);
            CHECK((char *)&data < _edata && _edata <= __bss_start && __bss_start <= (char *)&zero);
            CHECK((char *)&zero < big_data && big_data < big_zero);
            return 0;
        }";
    for compiler in ["gcc -O1 -mcmodel=medium", "clang-19 -O1 -mcmodel=medium"] {
        let object = bench.compile(compiler, "large.c", source);
        for options in ["", "-z norelro", "--gc-sections"] {
            let pair = bench.link("large.so", &format!("{options} {object}"));
            pair.reads_clean();
            pair.prints("", "probe 0\nend\n");
            let sections = bench.must("readelf -SW ours/large.so");
            let at = |name: &str| sections.find(name).unwrap_or_else(|| panic!("{name}: {sections}"));
            assert!(at(" .data ") < at(" .bss ") && at(" .bss ") < at(" .ldata ") && at(" .ldata ") < at(" .lbss "));
            assert!(bench.bytes("ours/large.so").len() < 1 << 20, "{sections}");
        }
    }
    // Common symbols are large or not, too; who takes one to be near decides.
    let source = "
        .globl probe, near
        probe: movl small(%rip), %eax
        addl mixed(%rip), %eax
        movabsq $huge - probe, %rcx
        leaq probe(%rip), %rdx
        addq %rdx, %rcx
        addl (%rcx), %eax
        ret
        .largecomm huge, 0x90000000, 64
        .largecomm mixed, 4, 128
        .comm small, 4, 4
        .section .note.GNU-stack,\"\",@progbits\n";
    let one = bench.compile("gcc", "commons.s", source);
    let two = ".comm mixed, 4, 128\n.section .note.GNU-stack,\"\",@progbits\n";
    let two = bench.compile("gcc", "mixed.s", two);
    for objects in [format!("{one} {two}"), format!("{two} {one}")] {
        succeeds(&bench.ours(&format!("-shared -Bsymbolic -o ours/commons.so {objects}")));
        reads_clean(&bench, "ours/commons.so");
        let symbols = bench.must("readelf -sW ours/commons.so");
        let sections = bench.must("readelf -SW ours/commons.so");
        let place = |name: &str| {
            let line = symbols.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
            let number = line.split_whitespace().nth(6).unwrap();
            let section = sections.lines().find(|line| line.contains(&format!("[{number:>2}]"))).unwrap();
            section.split(']').nth(1).unwrap().split_whitespace().next().unwrap()
        };
        assert_eq!(["small", "mixed", "huge"].map(place), [".bss", ".bss", ".lbss"], "{symbols}{sections}");
    }
}

/// Sections of code that is written, as runtime patching has them, are in memory for both, with addresses that the loader
/// writes; what is only one of the two has no more rights for that.
#[test]
fn code_may_be_written() {
    let bench = Bench::new();
    let source = "
        .section patched,\"awx\",@progbits
        .globl answer
        .hidden answer
        .type answer, @function
        answer: movl $1, %eax
        ret
        .p2align 3
        pointer: .quad answer
        .text
        .globl probe
        .type probe, @function
        probe: movb $42, answer+1(%rip)
        call *pointer(%rip)
        subl $42, %eax
        ret
        .section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("gcc", "patched.s", source);
    let pair = bench.link("patched.so", &format!("--fatal-warnings {object}"));
    // Not that it is clean: eu-elflint finds fault with any such section.
    pair.means_the_same(&[]);
    pair.prints("", "probe 0\nend\n");
    let segments = bench.must("readelf -lW ours/patched.so");
    let rights = |wanted: &str| segments.lines().filter(|line| line.contains("LOAD") && line.contains(wanted)).count();
    assert_eq!((rights(" RWE "), rights(" R E ")), (1, 1), "{segments}");
}
