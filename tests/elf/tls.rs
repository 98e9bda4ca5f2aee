//! Thread-local storage: every model, local and global, in the image and in another library.

use crate::support::{Bench, Cpu, reads_clean, succeeds};

const OTHER: &str = "
    __thread int foreign = 5; __thread char padding[3]; __thread long foreign_zero;
    int *foreign_here(void) { return &foreign; }";

const VARIABLES: &str = "
    #ifndef STRICT
    #define STRICT 256
    #endif
    __thread int exported = 11;
    __thread int hidden __attribute__((visibility(\"hidden\"))) = 12;
    static __thread int local = 13;
    static __thread int second_local = 14;
    __thread char odd = 15;
    __thread long zero;
    static __thread long local_zero;
    __thread struct { char bytes[64]; } aligned __attribute__((aligned(STRICT)));
    static __thread struct { char bytes[64]; } aligned_data __attribute__((aligned(STRICT / 2))) = { { 1, 2, 3 } };
    extern __thread int foreign; extern __thread long foreign_zero; extern int *foreign_here(void);
    extern __thread int elsewhere; extern int *elsewhere_here(void);
    extern __thread int absent __attribute__((weak));
    static int look(int add) {
        CHECK(exported == 11 + add && hidden == 12 + add && local == 13 + add && second_local == 14 + add);
        CHECK(odd == 15 + add && zero == add && local_zero == add);
        CHECK((unsigned long)&aligned % STRICT == 0 && (unsigned long)&aligned_data % (STRICT / 2) == 0);
        CHECK(aligned.bytes[0] == add && aligned_data.bytes[1] == 2 + add);
        CHECK(foreign == 5 + add && foreign_zero == add && &foreign == foreign_here());
        CHECK(elsewhere == 21 + add && &elsewhere == elsewhere_here());
        return 0;
    }
    static void change(void) {
        exported++; hidden++; local++; second_local++; odd++; zero++; local_zero++; aligned.bytes[0]++;
        aligned_data.bytes[1]++; foreign++; foreign_zero++; elsewhere++;
    }";

const PROBE: &str = "
    #include <pthread.h>
    #include <stdint.h>
    static void *in_thread(void *unused) {
        (void)unused;
        int line = look(0);
        if (!line) { change(); line = look(1); }
        return (void *)(intptr_t)line;
    }
    int probe(void) {
        int line = look(0);
        if (line) return line;
        change();
        line = look(1);
        if (line) return line;
        for (int i = 0; i < 3; i++) {
            pthread_t thread;
            void *result;
            CHECK(!pthread_create(&thread, 0, in_thread, 0) && !pthread_join(thread, &result));
            if (result) return (int)(intptr_t)result;
        }
        return look(1);
    }";

const ELSEWHERE: &str = "__thread int elsewhere __attribute__((visibility(\"hidden\"))) = 21;
    int *elsewhere_here(void) { return &elsewhere; }";

fn check(compiler: &str) {
    on(Cpu::X86_64, compiler);
}

pub(crate) fn on(cpu: Cpu, compiler: &str) {
    let bench = Bench::of(cpu);
    let libc = cpu.libc();
    bench.library("other", "", OTHER);
    let user = bench.compile(compiler, "user.c", &format!("{VARIABLES}{PROBE}"));
    let elsewhere = bench.compile(compiler, "elsewhere.c", ELSEWHERE);
    for options in ["", "-z now", "-Bsymbolic", "--gc-sections", "-z pack-relative-relocs"] {
        for objects in [format!("{user} {elsewhere}"), format!("{elsewhere} {user}")] {
            let pair = bench.link("tls.so", &format!("{options} {objects} -L. -lother {libc}"));
            pair.is_right("probe 0\nend\n");
            pair.prints("-l", "probe 0\nend\n");
        }
    }
}

/// As [`on`], without the reference linker.
pub(crate) fn alone_on(cpu: Cpu, compiler: &str) {
    let bench = Bench::of(cpu);
    bench.library("other", "", OTHER);
    let user = bench.compile(compiler, "user.c", &format!("{VARIABLES}{PROBE}"));
    let elsewhere = bench.compile(compiler, "elsewhere.c", ELSEWHERE);
    for options in ["", "-z now", "-z pack-relative-relocs"] {
        let inputs = format!("{options} {user} {elsewhere} -L. -lother {}", cpu.libc());
        succeeds(&bench.ours(&format!("-shared -o ours/tls.so {inputs}")));
        reads_clean(&bench, "ours/tls.so");
        for bind in ["-n", "-l"] {
            assert_eq!(bench.load(&format!("{bind} ours/tls.so")), "probe 0\nend\n", "{compiler} {options}");
        }
    }
}

#[test]
fn dynamic_models() {
    for compiler in ["gcc -O1", "gcc -O0", "clang-19 -O1", "gcc -O2 -fno-plt"] {
        check(compiler);
    }
}

#[test]
fn descriptors() {
    for compiler in
        ["gcc -O1 -mtls-dialect=gnu2", "clang-19 -O1 -mtls-dialect=gnu2", "gcc -O2 -fno-plt -mtls-dialect=gnu2"]
    {
        check(compiler);
    }
}

#[test]
fn initial_exec() {
    for compiler in ["gcc -O1 -ftls-model=initial-exec", "clang-19 -O1 -ftls-model=initial-exec"] {
        // What is left of static TLS space is little.
        check(&format!("{compiler} -DSTRICT=16"));
        let bench = Bench::new();
        let object = bench.compile(compiler, "small.c", "__thread int x = 3; int probe(void) { return x - 3; }");
        bench.link("small.so", &object).is_right("probe 0\nend\n");
        let dynamic = bench.must("readelf -Wd ours/small.so");
        assert!(dynamic.contains("STATIC_TLS"), "{dynamic}");
    }
}

#[test]
fn large_code_model() {
    check("gcc -O1 -mcmodel=large");
}

#[test]
fn local_exec_is_for_executables() {
    let bench = Bench::new();
    for compiler in ["gcc -O1 -fno-pic -fno-pie -ftls-model=local-exec", "clang-19 -O1 -ftls-model=local-exec"] {
        let compiler = compiler.to_owned();
        bench.file("exec.c", "__thread int x = 3; int probe(void) { return x - 3; }");
        bench.must(&format!("{compiler} -c -o exec.o exec.c"));
        let said = bench.refuses("exec.o");
        assert!(said.contains("R_X86_64_TPOFF32 against 'x'") && said.contains("local-exec"), "{said}");
        assert!(said.contains("-fPIC"), "{said}");
    }
}

/// Both kinds of reference to one symbol must agree that it is thread-local.
#[test]
fn a_thread_local_symbol_is_used_as_one() {
    let bench = Bench::new();
    let one = bench.compile("gcc -O1", "one.c", "__thread int x = 3;");
    let two = bench.compile("gcc -O1", "two.c", "extern int x; int probe(void) { return x; }");
    let said = bench.refuses(&format!("{one} {two}"));
    assert!(said.contains("'x'") && said.contains("thread-local"), "{said}");
    let one = bench.compile("gcc -O1", "one.c", "int x = 3;");
    let two = bench.compile("gcc -O1", "two.c", "extern __thread int x; int probe(void) { return x; }");
    let said = bench.refuses(&format!("{one} {two} --Bsymbolic"));
    assert!(said.contains("'x'") && said.contains("thread-local"), "{said}");
}

#[test]
fn offsets_in_the_own_block_are_those_of_own_definitions() {
    // Who counts from the own block means the own definition, though others may preempt the symbol.
    let code = |name: &str| {
        format!(
            ".globl probe, {name}\nprobe: push %rbx\nleaq {name}@TLSLD(%rip), %rdi\ncall __tls_get_addr@PLT\n
             movl {name}@DTPOFF(%rax), %eax\nsubl $42, %eax\npop %rbx\nret\n.section .note.GNU-stack,\"\",@progbits\n"
        )
    };
    let bench = Bench::new();
    let data =
        ".section .tdata,\"awT\",@progbits\n.type counter, @object\n.quad 7\ncounter: .long 42\n.size counter, 4\n";
    let object = bench.compile("gcc", "own.s", &format!("{}{data}", code("counter")));
    let pair = bench.link("own.so", &object);
    pair.reads_clean();
    pair.prints("", "probe 0\nend\n");
    let object = bench.compile("gcc", "other.s", &code("elsewhere").replace(", elsewhere\n", "\n"));
    let said = bench.refuses(&object);
    assert!(said.contains("against 'elsewhere': the symbol lies in another library's thread-local storage"), "{said}");
}

/// The way Go's compiler asks for a variable on i386: two relocations of one place, which add up.
#[test]
#[ignore = "needs the packages gcc-i686-linux-gnu, clang-19 and qemu-user-static"]
fn relocations_of_one_place_add_up() {
    let bench = Bench::of(Cpu::X86);
    // The loads stand at other distances from the start of the section, so that some are where two of its parts meet.
    let loads: String = (0..4)
        .map(|number| {
            format!(
                "call 1f
                1: popl %ecx
                .byte 0x8b, 0x99
                2: .long 2b - 1b
                .reloc 2b, R_386_GOTPC, _GLOBAL_OFFSET_TABLE_
                .reloc 2b, R_386_TLS_GOTIE, v{number}
                addl %gs:(%ebx), %eax
                jmp 3f
                .fill 300007
                3:\n"
            )
        })
        .collect();
    let source = format!(
        ".text
        .globl probe
        .type probe, @function
        probe:
            pushl %ebx
            xorl %eax, %eax
            {loads}
            subl $1111, %eax
            popl %ebx
            ret
        .section .tdata, \"awT\", @progbits
        .p2align 2
        .globl v0, v1
        v0: .long 1
        v1: .long 10
        v2: .long 100
        v3: .long 1000
        .section .note.GNU-stack, \"\", @progbits\n"
    );
    let object = bench.compile("clang-19", "composed.s", &source);
    for options in ["", "-z now", "-Bsymbolic", "--threads=1", "--no-relax"] {
        succeeds(&bench.ours(&format!("-shared -o ours/composed.so {options} {object}")));
        assert_eq!(bench.load("ours/composed.so"), "probe 0\nend\n", "{options}");
        reads_clean(&bench, "ours/composed.so");
    }
}

/// Thread-local variables that several objects may bring without initialising them: GCC's `common`, Fortran's `threadprivate`.
#[test]
fn common_symbols_may_be_thread_local() {
    let bench = Bench::new();
    let common = "__attribute__((common))";
    let one = format!(
        "__thread int shared {common}; __thread long own {common}; static __thread int zero; __thread int data = 3;
        int plain {common}, filled = 3;
        int *shared_in_one(void) {{ return &shared; }}
        int sum_in_one(void) {{ return shared + (int)own + zero + data + plain; }}"
    );
    let two = format!(
        "#include <pthread.h>
        #include <stdint.h>
        __thread int shared[4] {common} __attribute__((aligned(64)));
        __thread char exported {common};
        extern int *shared_in_one(void), sum_in_one(void);
        extern __thread int data; extern int plain;
        static int look(void) {{
            CHECK(!shared[0] && !shared[3] && !exported && data == 3 && sum_in_one() == 3);
            CHECK(shared == shared_in_one() && (uintptr_t)shared % 64 == 0);
            shared[0] = 4; shared[3] = 5; exported = 6; data = 7;
            CHECK(sum_in_one() == 11 && !plain);
            return 0;
        }}
        static void *in_thread(void *unused) {{ return (void *)(intptr_t)look() + (uintptr_t)unused; }}
        int probe(void) {{
            pthread_t thread;
            void *result;
            CHECK(!pthread_create(&thread, 0, in_thread, 0) && !pthread_join(thread, &result));
            return result ? (int)(intptr_t)result : look();
        }}"
    );
    for model in ["", "-ftls-model=initial-exec", "-mtls-dialect=gnu2"] {
        let one = bench.compile(&format!("gcc -O1 {model}"), "one.c", &one);
        let two = bench.compile(&format!("gcc -O1 {model}"), "two.c", &two);
        let symbols = bench.must(&format!("readelf -sW {one}"));
        assert!(symbols.lines().any(|line| line.contains(" TLS ") && line.contains(" COM ")), "{symbols}");
        for options in ["", "-Bsymbolic", "--gc-sections -z now"] {
            for objects in [format!("{one} {two}"), format!("{two} {one}")] {
                let line = format!("-shared -Map=map -o ours/common.so {options} {objects} {}", Cpu::X86_64.libc());
                succeeds(&bench.ours(&line));
                reads_clean(&bench, "ours/common.so");
                assert_eq!(bench.load("ours/common.so"), "probe 0\nend\n", "{model} {options} {objects}");
                // Each block lists its own.
                let map = String::from_utf8(bench.bytes("map")).unwrap();
                let lists = |name: &str| map.lines().filter(|line| line.ends_with(name)).count();
                assert_eq!((lists(" shared"), lists(" plain")), (1, 1), "{map}");
            }
        }
    }
}
