//! What holds on every CPU: the same sources, compiled, linked and run for each by its emulator.

use crate::support::{Bench, Cpu, succeeds};
use crate::{groups, ifunc, startup, symbols, tls};

/// A module of tests for a CPU. `descriptors`: compilers with the flag for thread-local storage by descriptors, if they have
/// one; `ifunc`: compilers for indirect functions of all kinds.
macro_rules! on {
    ($module:ident, $cpu:expr, descriptors: $descriptors:expr, ifunc: $ifunc:expr) => {
        mod $module {
            use super::*;

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn thread_local_storage() {
                // LLD cannot link calls that are written out on POWER; `power.rs` has some.
                let written_out = "gcc -O2 -fno-plt";
                for compiler in ["gcc -O1", "gcc -O0", "clang-19 -O1", written_out] {
                    if $cpu == Cpu::Ppc64 && compiler == written_out {
                        continue;
                    }
                    tls::on($cpu, compiler);
                }
                let descriptors: &[&str] = $descriptors;
                for compiler in descriptors {
                    tls::on($cpu, compiler);
                }
                tls::on($cpu, "gcc -O1 -ftls-model=initial-exec -DSTRICT=16");
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn indirect_functions() {
                ifunc::imported_on($cpu);
                ifunc::on($cpu, $ifunc);
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn groups_and_exceptions() {
                groups::on($cpu, &["g++"]);
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn constructors() {
                startup::on($cpu, &["gcc -O1", "clang-19 -O1"]);
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn common_and_weak_symbols() {
                symbols::commons_on($cpu, &["gcc -fcommon -O0", "clang-19 -fcommon -O1"]);
                symbols::weak_on($cpu, &["gcc -O1", "clang-19 -O0"]);
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn visibility() {
                let clang = "clang-19 -O1 -fno-inline -fsemantic-interposition";
                symbols::visibility_on($cpu, &["gcc -O1 -fno-inline", clang]);
            }

            #[test]
            #[ignore = "needs a cross compiler and qemu-user-static"]
            fn driver() {
                super::driver($cpu);
            }
        }
    };
}

// A PLT entry of IA-32 needs %ebx, which callers by address, and of hidden functions, do not set: indirect functions of the
// image itself cannot work there, whoever links.
on!(x86, Cpu::X86, descriptors: &["gcc -O1 -mtls-dialect=gnu2"], ifunc: &[]);

// Descriptors are the default; `aarch64.rs` has the models that the reference linker does not know.
on!(
    aarch64,
    Cpu::Aarch64,
    descriptors: &["gcc -O2 -mbranch-protection=standard"],
    ifunc: &["gcc -O1", "gcc -O2 -fno-plt", "clang-19 -O1", "gcc -O1 -mbranch-protection=standard"]
);
// The compilers' descriptors are newer than the emulator's C library; `riscv64.rs` reads what they come to.
on!(riscv64, Cpu::Riscv64, descriptors: &["clang-19 -O2 -mno-relax"], ifunc: &["gcc -O1", "gcc -O2 -mno-relax", "clang-19 -O1"]);
// Clang refers to indirect functions of the same file by their section, and so calls the resolver.
on!(arm, Cpu::Arm, descriptors: &[], ifunc: &["gcc -O0", "gcc -O2 -marm", "gcc -O1 -fno-plt"]);

// The code models, calls written out instead of stubs, and code without a TOC pointer.
on!(
    ppc64,
    Cpu::Ppc64,
    descriptors: &[
        "gcc -O1 -mcmodel=small",
        "gcc -O1 -mcpu=power10",
        "gcc -O1 -mtls-size=16",
        "gcc -O1 -mtls-size=64",
        "clang-19 -O2 -mcpu=pwr10",
    ],
    ifunc: &["gcc -O1", "gcc -O1 -mcmodel=small", "gcc -O1 -mcpu=power10", "clang-19 -O1", "clang-19 -O1 -mcpu=pwr10"]
);

/// GCC's driver, with its start files and libraries, calls the program as its linker.
fn driver(cpu: Cpu) {
    let bench = Bench::of(cpu);
    std::fs::create_dir(bench.path("bin")).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_pkgld"), bench.path("bin/ld"))
        .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_pkgld"), bench.path("bin/ld")).map(drop))
        .unwrap();
    let source = "#include <stdio.h>\n#include <stdlib.h>
        static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
        static long long divide(long long a, long long b) { return a / b; }
        int probe(void) {
            int numbers[] = { 5, 3, 9, 1 };
            qsort(numbers, 4, sizeof *numbers, order);
            char text[64];
            snprintf(text, sizeof text, \"%d %d %d %d %lld %.2f\", numbers[0], numbers[1], numbers[2], numbers[3],
                     divide(1LL << 40, 3), (double)numbers[3] / 4);
            const char *wanted = \"1 3 5 9 366503875925 2.25\";
            for (int i = 0; i < 26; i++) CHECK(text[i] == wanted[i]);
            return 0;
        }";
    for flags in ["-O0", "-O2", "-Os"] {
        let object = bench.compile(&format!("gcc {flags} -g"), "probe.c", source);
        let gcc = cpu.compiler("gcc");
        succeeds(&bench.run(&format!("{gcc} -B bin -shared -o ours/driver.so {object} -lm")));
        assert_eq!(bench.load("ours/driver.so"), "probe 0\nend\n", "{flags}");
    }
}
