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
