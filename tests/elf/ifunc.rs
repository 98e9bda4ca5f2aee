//! Indirect functions: the resolver runs when the image is loaded, and a function has one address.

use pkgld_differ::rules::{self, Check, Rule};

use crate::support::{Bench, Cpu};

const SOURCE: &str = "
    static int one(void) { return 1; }
    static int two(void) { return 2; }
    static int three(void) { return 3; }
    extern char *getenv(const char *);
    static void *resolve_one(void) { return one; }
    // A resolver may call other libraries.
    static void *resolve_two(void) { return getenv(\"PKGLD_NO_SUCH_VARIABLE\") ? one : two; }
    static void *resolve_three(void) { return three; }
    int exported(void) __attribute__((ifunc(\"resolve_one\")));
    int hidden(void) __attribute__((ifunc(\"resolve_two\"), visibility(\"hidden\")));
    int kept(void) __attribute__((ifunc(\"resolve_two\"), visibility(\"protected\")));
    static int local(void) __attribute__((ifunc(\"resolve_three\")));
    int (*table[])(void) = { exported, hidden, local, kept };
    int (*const constant[])(void) = { exported, hidden, local, kept };
    typedef int function(void);
    extern function *hidden_elsewhere(void), *exported_elsewhere(void), *kept_elsewhere(void);
    int probe(void) {
        CHECK(exported() == 1 && hidden() == 2 && local() == 3 && kept() == 2);
        function *volatile a = exported, *volatile b = hidden, *volatile c = local, *volatile d = kept;
        CHECK(a() == 1 && b() == 2 && c() == 3 && d() == 2);
        CHECK(a == table[0] && b == table[1] && c == table[2] && d == table[3]);
        CHECK(a == constant[0] && b == constant[1] && c == constant[2] && d == constant[3]);
        CHECK(hidden_elsewhere() == b && exported_elsewhere() == a && kept_elsewhere() == d);
        for (int i = 0; i < 4; i++) CHECK(table[i]() == constant[i]());
        return 0;
    }";

const ELSEWHERE: &str = "
    typedef int function(void);
    extern int hidden(void) __attribute__((visibility(\"hidden\")));
    extern int exported(void), kept(void);
    function *hidden_elsewhere(void) { return hidden; }
    function *exported_elsewhere(void) { return exported; }
    function *kept_elsewhere(void) { return kept; }";

/// As the rule of the same name for symbols.
const EXPORTED_ENTRY: Rule = Rule {
    name: "exported-indirect-function-entry",
    reason: "whether an exported indirect function that cannot be preempted is offered as its resolver or as its PLT entry \
             is up to the linker, as long as it has one address",
    allows: |finding| {
        let forms = |text: &str| text.starts_with("(2, 1, ") || text.starts_with("(10, 1, ");
        finding.check == Check::Export && forms(&finding.expected) && forms(&finding.found)
    },
};

#[test]
fn indirect_functions_are_called_and_have_one_address() {
    on(Cpu::X86_64, &["gcc -O0", "gcc -O2", "clang-19 -O1", "gcc -O1 -fno-plt", "gcc -O1 -fcf-protection=full"]);
}

pub(crate) fn on(cpu: Cpu, compilers: &[&str]) {
    for compiler in compilers {
        let bench = Bench::of(cpu);
        let libc = cpu.libc();
        let objects =
            [("user.c", SOURCE), ("elsewhere.c", ELSEWHERE)].map(|(name, text)| bench.compile(compiler, name, text));
        for options in ["", "-z now", "-Bsymbolic", "-z norelro", "-z pack-relative-relocs"] {
            let pair = bench.link("ifunc.so", &format!("{options} {} {libc}", objects.join(" ")));
            pair.means_the_same(&[rules::INDIRECT_FUNCTION_ENTRY, EXPORTED_ENTRY]);
            pair.reads_clean();
            // A resolver of ours calls through the PLT, of which some images of the reference linker die.
            for bind in ["-n", "-l"] {
                assert_eq!(bench.load(&format!("{bind} {}", pair.ours())), "probe 0\nend\n", "{compiler} {options}");
            }
        }
    }
}

/// Functions of other libraries that happen to be indirect are ordinary imports.
#[test]
fn imported_indirect_functions_are_imports() {
    imported_on(Cpu::X86_64);
}

pub(crate) fn imported_on(cpu: Cpu) {
    let bench = Bench::of(cpu);
    bench.library("chosen", "", "static int f(void) { return 4; } static void *r(void) { return f; } int chosen(void) __attribute__((ifunc(\"r\")));");
    let source = "extern int chosen(void); int (*pointer)(void) = chosen;
        int probe(void) { CHECK(chosen() == 4 && pointer() == 4 && pointer == chosen); return 0; }";
    let object = bench.compile("gcc -O1", "user.c", source);
    let pair = bench.link("user.so", &format!("{object} -L. -lchosen"));
    pair.is_right("probe 0\nend\n");
    pair.prints("-l", "probe 0\nend\n");
}

/// A word may hold the address of an indirect function and a number: the loader stores what the resolver returns, so that the
/// number can only be added to the address of the function's PLT entry.
#[test]
fn words_count_from_an_indirect_function() {
    let bench = Bench::new();
    let source = "
        .text
        .type chosen, @function
        chosen: movl $42, %eax
        ret
        .hidden answer
        .globl answer
        .type answer, @gnu_indirect_function
        answer: leaq chosen(%rip), %rax
        ret
        .globl probe
        .type probe, @function
        probe: movq beyond(%rip), %rax
        subq $8, %rax
        subq $8, %rsp
        call *%rax
        addq $8, %rsp
        subl $42, %eax
        ret
        .data
        .p2align 3
        beyond: .quad answer + 8
        .section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("gcc", "beyond.s", source);
    let pair = bench.link("beyond.so", &object);
    pair.prints("", "probe 0\nend\n");
    pair.prints("-n", "probe 0\nend\n");
    pair.reads_clean();
}
