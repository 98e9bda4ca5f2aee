//! What is known and not done: an error that says what to do instead.

use super::super::flag::{Flag, Group, Takes};

const NO_EXECUTABLES: &str = "only shared libraries are made; link executables with the compiler's own linker";
const NO_SCRIPTS: &str = "a shared library's layout is fixed; leave it out";
const NO_ORDER: &str = "sections stand in the order of the inputs; leave it out";
const NO_LTO: &str = "there is no link-time optimisation; have the compiler write it";
const OTHER_MACHINE: &str = "this is for machines that this build does not link for; leave it out";

pub(super) const OUTPUT: Group = Group {
    title: "Known and refused: other kinds of output",
    flags: &[
        Flag::refused(&["pie", "pic-executable"], Takes::Nothing, NO_EXECUTABLES),
        Flag::refused(
            &["r", "relocatable", "i", "Ur"],
            Takes::Nothing,
            "objects are not merged; give them all at once",
        ),
        Flag::refused(&["q", "emit-relocs"], Takes::Nothing, "relocations are resolved, not kept; leave it out"),
        Flag::refused(&["n", "nmagic", "N", "omagic"], Takes::Nothing, "segments are aligned to pages; leave it out"),
        Flag::refused(&["EB"], Takes::Nothing, "the machines linked for are little-endian"),
        Flag::refused(&["T", "script"], Takes::Value("FILE"), NO_SCRIPTS),
        Flag::refused(&["dT", "default-script"], Takes::Value("FILE"), NO_SCRIPTS),
        Flag::refused(&["c", "mri-script"], Takes::Value("FILE"), "name the inputs on the command line"),
        Flag::refused(
            &["Tbss", "Tdata", "Ttext", "Ttext-segment", "Trodata-segment", "Tldata-segment", "section-start"],
            Takes::Value("ADDRESS"),
            NO_SCRIPTS,
        ),
        Flag::refused(&["enable-non-contiguous-regions", "force-group-allocation"], Takes::Nothing, NO_SCRIPTS),
        Flag::refused(&["unique"], Takes::Optional("SECTION"), "sections of one name are joined; leave it out"),
        Flag::refused(&["execute-only"], Takes::Nothing, "code may be read, as Julia reads it; leave it out"),
        Flag::refused(&["compress-sections"], Takes::Value("SECTIONS=FORMAT"), "use --compress-debug-sections"),
        Flag::refused(
            &["split-stack-adjust-size"],
            Takes::Value("SIZE"),
            "split stacks are not supported; compile without -fsplit-stack",
        ),
        Flag::refused(
            &["lto-emit-asm", "lto-emit-llvm", "thinlto-emit-imports-files", "thinlto-emit-index-files"],
            Takes::Nothing,
            NO_LTO,
        ),
        Flag::refused(&["thinlto-index-only"], Takes::Optional("FILE"), NO_LTO),
        Flag::refused(
            &[
                "thinlto-distributor",
                "thinlto-distributor-arg",
                "thinlto-remote-compiler",
                "thinlto-remote-compiler-arg",
                "thinlto-remote-compiler-prepend-arg",
            ],
            Takes::Value("VALUE"),
            NO_LTO,
        ),
    ],
};

pub(super) const REST: Group = Group {
    title: "Known and refused: the rest",
    flags: &[
        Flag::refused(
            &["dynamic-list-cpp-new", "dynamic-list-cpp-typeinfo"],
            Takes::Nothing,
            "name the symbols in a file, for --dynamic-list",
        ),
        Flag::refused(&["Bgroup"], Takes::Nothing, "use -z defs, and -Bsymbolic where it is meant"),
        Flag::refused(&["just-symbols"], Takes::Value("FILE"), "give the addresses with --defsym"),
        Flag::refused(&["ignore-unresolved-symbol"], Takes::Value("SYMBOL"), "use --defsym SYMBOL=0"),
        Flag::refused(&["P", "audit", "depaudit"], Takes::Value("LIBRARY"), "set LD_AUDIT when the program runs"),
        Flag::refused(
            &["copy-dt-needed-entries", "add-needed"],
            Takes::Nothing,
            "name every library whose symbols are used",
        ),
        Flag::refused(&["Y"], Takes::Value("DIRS"), "give directories with -L"),
        Flag::refused(&["A", "architecture"], Takes::Value("ARCHITECTURE"), "use -m"),
        Flag::refused(
            &["symbol-ordering-file", "call-graph-ordering-file", "print-symbol-order", "section-ordering-file"],
            Takes::Value("FILE"),
            NO_ORDER,
        ),
        Flag::refused(
            &[
                "shuffle-sections",
                "randomize-section-padding",
                "irpgo-profile",
                "bp-compression-sort",
                "bp-startup-sort",
            ],
            Takes::Value("VALUE"),
            NO_ORDER,
        ),
        Flag::refused(
            &["bp-compression-sort-startup-functions", "verbose-bp-section-orderer"],
            Takes::Nothing,
            NO_ORDER,
        ),
        Flag::refused(
            &["remap-inputs", "remap-inputs-file"],
            Takes::Value("FROM=TO"),
            "name the inputs that are meant",
        ),
        Flag::refused(&["cref", "print-memory-usage"], Takes::Nothing, "use -Map"),
        Flag::refused(&["print-archive-stats", "why-extract"], Takes::Value("FILE"), "use --trace or -Map"),
        Flag::refused(&["why-live"], Takes::Value("GLOB"), "link without --gc-sections"),
        Flag::refused(&["reproduce"], Takes::Value("FILE"), "copy the inputs that --trace names, and the command line"),
        Flag::refused(&["time-trace"], Takes::Optional("FILE"), "--verbose tells the time of each pass"),
        Flag::refused(
            &["time-trace-file", "time-trace-granularity"],
            Takes::Value("VALUE"),
            "--verbose tells the time of each pass",
        ),
        Flag::refused(&["error-handling-script"], Takes::Value("FILE"), "leave it out"),
        Flag::refused(&["vs-diagnostics", "error-rwx-segments", "error-execstack"], Takes::Nothing, "leave it out"),
        Flag::refused(&["chroot"], Takes::Value("DIR"), "use --sysroot"),
        Flag::refused(&["be8"], Takes::Nothing, "the machines linked for are little-endian"),
        Flag::refused(
            &["fix-cortex-a8"],
            Takes::Nothing,
            "leave it out unless the image is for a Cortex-A8 before revision r3p2, and compile with -marm for that one",
        ),
        Flag::refused(
            &["target1-rel"],
            Takes::Nothing,
            "leave it out: on systems with shared libraries the lists of constructors hold addresses",
        ),
        Flag::refused(
            &["fix-v4bx", "fix-v4bx-interworking"],
            Takes::Nothing,
            "leave it out: processors with the hard-float ABI have the instruction",
        ),
        Flag::refused(
            &["fix-cortex-a53-835769"],
            Takes::Nothing,
            "leave it out, and have the compiler keep the instructions apart: -mfix-cortex-a53-835769",
        ),
        Flag::refused(
            &[
                "cmse-implib",
                "android-memtag-heap",
                "android-memtag-stack",
                "use-android-relr-tags",
                "no-power10-stubs",
            ],
            Takes::Nothing,
            OTHER_MACHINE,
        ),
        Flag::refused(&["in-implib", "android-memtag-mode", "mips-got-size"], Takes::Value("VALUE"), OTHER_MACHINE),
        Flag::refused(&["power10-stubs"], Takes::Optional("HOW"), OTHER_MACHINE),
    ],
};
