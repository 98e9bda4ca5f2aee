//! What runs by itself: `.init_array`, `.fini_array`, `.ctors`, `.dtors`, `.init`, `.fini`, and their order.

use crate::support::{Bench, Cpu};

const ORDERED: &str = "
    extern void tell(const char *);
    #define AT(order, name) \\
        __attribute__((constructor(order))) static void start_##name(void) { tell(\"+\" #name); } \\
        __attribute__((destructor(order))) static void stop_##name(void) { tell(\"-\" #name); }
    ";

fn object(bench: &Bench, compiler: &str, name: &str, body: &str) -> String {
    bench.compile(compiler, &format!("{name}.c"), &format!("{ORDERED}{body}"))
}

const PLAIN: &str = "
    __attribute__((constructor)) static void start_plain_NAME(void) { tell(\"+plain NAME\"); }
    __attribute__((destructor)) static void stop_plain_NAME(void) { tell(\"-plain NAME\"); }";

#[test]
fn priorities_order_constructors_and_destructors() {
    on(Cpu::X86_64, &["gcc -O1", "clang-19 -O1", "gcc -O1 -ffunction-sections"]);
}

pub(crate) fn on(cpu: Cpu, compilers: &[&str]) {
    for compiler in compilers {
        let bench = Bench::of(cpu);
        let one = format!("AT(200, a) AT(1000, b) AT(65535, c) {}", PLAIN.replace("NAME", "one"));
        let two = format!("AT(101, d) AT(1000, e) AT(30000, f) {}", PLAIN.replace("NAME", "two"));
        let one = object(&bench, compiler, "one", &one);
        let two = object(&bench, compiler, "two", &two);
        let expected = "+d\n+a\n+b\n+e\n+f\n+c\n+plain one\n+plain two\nend\n";
        for options in ["", "--gc-sections", "-z norelro"] {
            let pair = bench.link("order.so", &format!("{options} {one} {two}"));
            pair.means_the_same(&[]);
            pair.reads_clean();
            let printed = bench.load(&format!("-c {}", pair.ours()));
            let starts: String =
                printed.lines().filter(|line| !line.starts_with('-')).map(|line| format!("{line}\n")).collect();
            assert_eq!(starts, expected);
            // Destructors run in the opposite order.
            let stops: Vec<&str> = printed.lines().filter(|line| line.starts_with('-')).collect();
            assert_eq!(stops, ["-plain two", "-plain one", "-c", "-f", "-e", "-b", "-a", "-d"]);
            let reference = bench.load("-c lld/order.so");
            assert_eq!(printed, reference);
        }
    }
}

/// Sanitizers put what has to come last into `.init_array.65537`, beyond all priorities that a compiler knows.
#[test]
fn numbers_beyond_priorities_come_behind_sections_without() {
    let bench = Bench::new();
    let body = format!(
        "AT(65535, c) {} static void start_last(void) {{ tell(\"+last\"); }}
        __attribute__((section(\".init_array.65537\"), used)) static void (*const last)(void) = start_last;",
        PLAIN.replace("NAME", "one"),
    );
    // GCC takes any section for data of its own kind; Clang knows what the name means.
    let one = object(&bench, "clang-19 -O1", "one", &body);
    let two = object(&bench, "clang-19 -O1", "two", &PLAIN.replace("NAME", "two"));
    let pair = bench.link("order.so", &format!("{one} {two}"));
    pair.means_the_same(&[]);
    let printed = bench.load(&format!("-c {}", pair.ours()));
    assert!(printed.starts_with("+c\n+plain one\n+plain two\n+last\nend\n"), "{printed}");
}

const START_FILES: &str = "/usr/lib/x86_64-linux-gnu/crti.o";
const END_FILES: &str = "/usr/lib/x86_64-linux-gnu/crtn.o";

#[test]
fn init_and_fini_run_through_the_start_files() {
    let bench = Bench::new();
    let parts = "
        .section .init,\"ax\",@progbits
        leaq started(%rip), %rdi
        call tell@PLT
        .section .fini,\"ax\",@progbits
        leaq stopped(%rip), %rdi
        call tell@PLT
        .section .rodata
        started: .asciz \"+init\"
        stopped: .asciz \"-fini\"
        .section .note.GNU-stack,\"\",@progbits\n";
    let parts = bench.compile("gcc", "parts.s", parts);
    let rest = object(
        &bench,
        "gcc -O1",
        "rest",
        &format!("{} int probe(void) {{ return 0; }}", PLAIN.replace("NAME", "rest")),
    );
    let begin = bench.must("gcc -print-file-name=crtbeginS.o");
    let end = bench.must("gcc -print-file-name=crtendS.o");
    let (begin, end) = (begin.trim(), end.trim());
    let arguments = format!("{START_FILES} {begin} {rest} {parts} -L/lib/x86_64-linux-gnu -lc {end} {END_FILES}");
    let expected = "+init\n+plain rest\nprobe 0\n-plain rest\n-fini\nend\n";
    bench.link("init.so", &arguments).is_right(expected);

    // A gap between pieces is run through. (The reference linker fills it with traps.)
    let gap = ".section .init,\"ax\",@progbits\n.p2align 5\nnop\n.section .fini,\"ax\",@progbits\n.p2align 5\nnop\n
        .section .note.GNU-stack,\"\",@progbits\n";
    let gap = bench.compile("gcc", "gap.s", gap);
    crate::support::succeeds(
        &bench.ours(&format!("-shared -o ours/gap.so {}", arguments.replace(&parts, &format!("{parts} {gap}")))),
    );
    assert_eq!(bench.load("ours/gap.so"), expected);
}

/// What the kernel's sources, and libraries that follow them, call `.init.text` and `.init.data` is code and data like any other.
#[test]
fn what_only_starts_like_init_is_no_part_of_it() {
    let bench = Bench::new();
    let source = "
        .section .init.text,\"ax\",@progbits
        .globl once
        .type once, @function
        once: movl $5, counter(%rip)
        movl counter(%rip), %eax
        ret
        .section .fini.text,\"ax\",@progbits
        .globl last
        .type last, @function
        last: movl $7, %eax
        ret
        .section .init.data,\"aw\",@progbits
        counter: .long 1
        .section .jcr.count,\"aw\",@progbits
        .globl calls
        calls: .long 0
        .section .note.GNU-stack,\"\",@progbits\n";
    let parts = bench.compile("gcc", "parts.s", source);
    let probe = "extern int once(void), last(void), calls;
        int probe(void) { calls++; CHECK(once() == 5 && last() == 7 && calls == 1); return 0; }";
    let probe = bench.compile("gcc -O1", "probe.c", probe);
    // Between the halves of the functions that start files open and close.
    bench.link("like.so", &format!("{START_FILES} {parts} {probe} {END_FILES}")).is_right("probe 0\nend\n");
    // Nor does it stay for its name.
    let dead = ".section .init.text,\"ax\",@progbits\n.globl dead\n.hidden dead\ndead: ret\n
        .section .note.GNU-stack,\"\",@progbits\n";
    let dead = bench.compile("gcc", "dead.s", dead);
    let pair = bench.link("dead.so", &format!("--gc-sections {probe} {parts} {dead}"));
    pair.is_right("probe 0\nend\n");
    let symbols = bench.must("readelf -Ws ours/dead.so");
    assert!(!symbols.contains(" dead"), "{symbols}");
}

/// Compilers before SHT_INIT_ARRAY, and Go's, leave the type of such lists at SHT_PROGBITS.
#[test]
fn lists_without_their_type_stay() {
    let bench = Bench::new();
    let source = "
        .text
        start: leaq text(%rip), %rdi
        jmp tell@PLT
        .section .rodata
        text: .asciz \"+start\"
        .section .init_array.00100,\"aw\",@progbits
        .quad start
        .section .note.GNU-stack,\"\",@progbits\n";
    let object = bench.compile("clang-19", "list.s", source);
    bench.link("list.so", &format!("--gc-sections {object}")).is_right("+start\nend\n");
}

#[test]
fn init_and_fini_functions_can_be_named() {
    let bench = Bench::new();
    let source = "
        void begin(void) { tell(\"+begin\"); }
        __attribute__((visibility(\"hidden\"))) void finish(void) { tell(\"-finish\"); }
        void _init(void) { tell(\"+_init\"); } void _fini(void) { tell(\"-_fini\"); }";
    let object = object(&bench, "gcc -O1", "named", source);
    bench.link("a.so", &object).is_right("+_init\n-_fini\nend\n");
    bench.link("b.so", &format!("-init begin -fini finish {object}")).is_right("+begin\n-finish\nend\n");
    bench.link("c.so", &format!("--gc-sections -init=begin -fini=finish {object}")).is_right("+begin\n-finish\nend\n");
}

/// Constructors as compilers without `.init_array` leave them: addresses in `.ctors`, which run from the last to the first.
#[test]
fn ctors_and_dtors_run_in_their_order() {
    let bench = Bench::new();
    let source = |name: &str, sections: [&str; 2]| {
        let function = |what: &str| format!("{what}{name}: leaq text_{what}{name}(%rip), %rdi\njmp tell@PLT\n");
        let string = |what: &str, sign: &str| format!("text_{what}{name}: .asciz \"{sign}{what}{name}\"\n");
        format!(
            ".text\n{}{}.section .rodata\n{}{}.section {},\"aw\",@progbits\n.quad start{name}\n.section {},\"aw\",@progbits\n.quad stop{name}\n.section .note.GNU-stack,\"\",@progbits\n",
            function("start"),
            function("stop"),
            string("start", "+"),
            string("stop", "-"),
            sections[0],
            sections[1],
        )
    };
    let a = bench.compile("gcc", "a.s", &source("a", [".ctors", ".dtors"]));
    let b = bench.compile("gcc", "b.s", &source("b", [".ctors", ".dtors"]));
    // GCC writes 65535 minus the priority.
    let early = bench.compile("gcc", "early.s", &source("early", [".ctors.65335", ".dtors.65335"]));
    let late = bench.compile("gcc", "late.s", &source("late", [".ctors.01000", ".dtors.01000"]));
    let output = bench.ours(&format!("-shared -o ours/ctors.so {a} {late} {early} {b}"));
    crate::support::succeeds(&output);
    crate::support::reads_clean(&bench, "ours/ctors.so");
    assert_eq!(
        bench.load("ours/ctors.so"),
        "+startearly\n+startlate\n+starta\n+startb\n-stopb\n-stopa\n-stoplate\n-stopearly\nend\n"
    );
}
