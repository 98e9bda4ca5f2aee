//! What may be asked for and changes nothing, each with the reason why that is right.
//!
//! An option stands here only if the image is as correct without it: it asks for what is done anyway, for what a shared
//! library does not have, for an optimisation, or for a check that makes no image different.

use super::super::flag::{Flag, Group, Takes};

pub(super) const GROUP: Group = Group {
    title: "Accepted, and change nothing",
    flags: &[
        Flag::ignored(
            &["E", "export-dynamic", "no-export-dynamic"],
            Takes::Nothing,
            "a shared library exports every symbol of default visibility anyway",
        ),
        Flag::ignored(
            &["I", "dynamic-linker"],
            Takes::Value("FILE"),
            "shared libraries name no loader, executables do",
        ),
        Flag::ignored(&["no-dynamic-linker"], Takes::Nothing, "shared libraries name no loader anyway"),
        Flag::ignored(&["no-pie", "no-pic-executable", "nopie"], Takes::Nothing, "a shared library is asked for"),
        Flag::ignored(
            &["rpath-link"],
            Takes::Value("DIR"),
            "what the libraries given need themselves is not looked up at link time",
        ),
        Flag::ignored(
            &["allow-shlib-undefined", "no-allow-shlib-undefined"],
            Takes::Nothing,
            "what shared libraries leave undefined is the loader's to check",
        ),
        Flag::ignored(
            &["no-copy-dt-needed-entries", "no-add-needed"],
            Takes::Nothing,
            "libraries are searched only if they are given",
        ),
        Flag::ignored(&["nostdlib"], Takes::Nothing, "no directory is searched but those given with -L"),
        Flag::ignored(&["EL"], Takes::Nothing, "the machines linked for are little-endian"),
        Flag::ignored(&["target1-abs"], Takes::Nothing, "the lists of constructors hold addresses anyway"),
        Flag::ignored(
            &["merge-exidx-entries", "no-merge-exidx-entries"],
            Takes::Nothing,
            "neighbours in the unwind table that say the same are always one entry",
        ),
        Flag::ignored(&["pic-veneer", "use-blx"], Takes::Nothing, "it is done anyway"),
        Flag::ignored(
            &["no-fix-cortex-a8", "no-fix-arm1176", "no-fix-cortex-a53-835769"],
            Takes::Nothing,
            "no code is changed for the sake of a processor's errors",
        ),
        Flag::ignored(
            &["no-enum-size-warning", "no-wchar-size-warning"],
            Takes::Nothing,
            "a warning changes nothing in the image",
        ),
        Flag::ignored(
            &["X", "x", "discard-locals", "discard-all", "discard-none"],
            Takes::Nothing,
            "local symbols are kept for stack traces and debuggers; --strip-all leaves out the symbol table",
        ),
        Flag::ignored(
            &["d", "dc", "dp", "define-common", "no-define-common"],
            Takes::Nothing,
            "common symbols are always allocated",
        ),
        Flag::ignored(
            &["fortran-common", "no-fortran-common"],
            Takes::Nothing,
            "a common symbol is a definition: no archive is searched to replace it",
        ),
        Flag::ignored(&["no-nmagic", "no-omagic"], Takes::Nothing, "segments are always aligned to pages"),
        Flag::ignored(
            &["rosegment", "no-rosegment", "no-execute-only", "xosegment", "no-xosegment"],
            Takes::Nothing,
            "code and read-only data have a segment each",
        ),
        Flag::ignored(
            &["icf"],
            Takes::Value("HOW"),
            "folding identical functions is an optimisation, and stack traces are better without it",
        ),
        Flag::ignored(
            &["ignore-function-address-equality", "ignore-data-address-equality", "print-icf-sections"],
            Takes::Nothing,
            "nothing is folded",
        ),
        Flag::ignored(&["no-print-icf-sections"], Takes::Nothing, "nothing is folded"),
        Flag::ignored(&["keep-unique"], Takes::Value("SYMBOL"), "nothing is folded"),
        Flag::ignored(
            &["call-graph-profile-sort"],
            Takes::Optional("HOW"),
            "the order of functions is that of the inputs; another one is an optimisation",
        ),
        Flag::ignored(&["no-call-graph-profile-sort"], Takes::Nothing, "this is what is done anyway"),
        Flag::ignored(
            &["optimize-bb-jumps", "no-optimize-bb-jumps", "branch-to-branch", "no-branch-to-branch"],
            Takes::Nothing,
            "code is kept as the compiler made it",
        ),
        Flag::ignored(
            &["gdb-index", "no-gdb-index", "debug-names", "no-debug-names"],
            Takes::Nothing,
            "an index of debug information only spares the debugger the making of its own",
        ),
        Flag::ignored(
            &["apply-dynamic-relocs", "no-apply-dynamic-relocs"],
            Takes::Nothing,
            "where relocations have addends, the loader writes over what stands in their fields",
        ),
        Flag::ignored(&["no-use-android-relr-tags"], Takes::Nothing, "this is what is done anyway"),
        Flag::ignored(
            &["toc-optimize", "no-toc-optimize", "pcrel-optimize", "no-pcrel-optimize"],
            Takes::Nothing,
            "on POWER loads through the table of contents stay what they are",
        ),
        Flag::ignored(
            &["relax-gp", "no-relax-gp"],
            Takes::Nothing,
            "on RISC-V the global pointer is the executable's, and no library's code may count from it",
        ),
        Flag::ignored(
            &["dependent-libraries", "no-dependent-libraries"],
            Takes::Nothing,
            "libraries that objects name (.deplibs) are not looked for; give them with -l",
        ),
        Flag::ignored(&["demangle", "no-demangle"], Takes::Nothing, "messages show symbols as they are stored"),
        Flag::ignored(&["check-sections", "no-check-sections"], Takes::Nothing, "sections never overlap"),
        Flag::ignored(
            &["check-dynamic-relocations", "no-check-dynamic-relocations"],
            Takes::Nothing,
            "it checks the linker itself, which tests do here",
        ),
        Flag::ignored(
            &["mmap-output-file", "no-mmap-output-file", "no-keep-memory", "reduce-memory-overheads"],
            Takes::Nothing,
            "the output is written in pieces, neither mapped nor held in memory",
        ),
        Flag::ignored(
            &["map-whole-files", "no-map-whole-files"],
            Takes::Nothing,
            "inputs are mapped; --read-inputs reads them",
        ),
        Flag::ignored(
            &["sort-common"],
            Takes::Optional("ORDER"),
            "common symbols are placed one after the other with the alignment each needs",
        ),
        Flag::ignored(&["sort-section"], Takes::Value("ORDER"), "it matters to linker scripts only"),
        Flag::ignored(&["orphan-handling"], Takes::Value("HOW"), "it matters to linker scripts only"),
        Flag::ignored(
            &[
                "warn-once",
                "warn-backrefs",
                "no-warn-backrefs",
                "warn-execstack",
                "no-warn-execstack",
                "warn-rwx-segments",
                "no-warn-rwx-segments",
                "warn-shared-textrel",
                "warn-textrel",
                "warn-ifunc-textrel",
                "no-warn-ifunc-textrel",
                "warn-symbol-ordering",
                "no-warn-symbol-ordering",
                "no-warn-search-mismatch",
                "warn-section-align",
                "warn-alternate-em",
                "detect-odr-violations",
            ],
            Takes::Nothing,
            "these warnings are not given; they would not change the image",
        ),
        Flag::ignored(&["warn-backrefs-exclude"], Takes::Value("GLOB"), "this warning is not given"),
        Flag::ignored(&["no-warn-mismatch"], Takes::Nothing, "inputs for different machines are an error all the same"),
        Flag::ignored(&["stats"], Takes::Nothing, "--verbose tells counts and times"),
        Flag::ignored(&["g", "Qy", "p", "long-plt", "secure-plt"], Takes::Nothing, "GNU ld ignores it here too"),
        Flag::ignored(&["G"], Takes::Value("SIZE"), "the machines linked for have no small-data sections"),
        Flag::ignored(&["no-ctors-in-init-array"], Takes::Nothing, "'.ctors' and '.init_array' stay what they are"),
        Flag::ignored(
            &["no-ld-generated-unwind-info"],
            Takes::Nothing,
            "the procedure linkage table has no unwind information",
        ),
        Flag::ignored(
            &["disable-linker-version", "no-spare-dynamic-tags"],
            Takes::Nothing,
            "this is what is done anyway",
        ),
        Flag::ignored(&["spare-dynamic-tags"], Takes::Value("COUNT"), "nothing edits the dynamic section later"),
        Flag::ignored(&["hash-size"], Takes::Value("COUNT"), "hash tables are made as large as they need to be"),
        Flag::ignored(
            &["strip-discarded", "no-strip-discarded", "no-print-map-discarded"],
            Takes::Nothing,
            "symbols of sections that were left out are left out",
        ),
    ],
};

pub(super) const LTO: Group = Group {
    title: "Accepted, and without effect because there is no link-time optimisation (an input of bitcode is an error)",
    flags: &[
        Flag::ignored(&["plugin"], Takes::Value("FILE"), "compiler drivers name their plugin in every link"),
        // Those plugin options that would change what is written stand among the refused ones.
        Flag::does(
            &["plugin-opt"],
            Takes::Value("OPTION"),
            "options for the plugin, which is not there; those that ask for other output than an image are errors",
            |reading, given| {
                let option = given.value().to_string_lossy();
                let other = ["emit-asm", "emit-llvm", "thinlto-index-only", "thinlto-emit-imports-files"];
                if other
                    .iter()
                    .any(|name| option.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
                {
                    return Err(given.refused("there is no link-time optimisation; have the compiler write it"));
                }
                reading.show.ignored.push(format!("{}={option}: there is no link-time optimisation", given.option));
                Ok(())
            },
        ),
        Flag::ignored(&["lto-O", "lto-CGO"], Takes::Joined("LEVEL"), "the inputs are compiled already"),
        Flag::ignored(
            &[
                "lto",
                "lto-partitions",
                "lto-aa-pipeline",
                "lto-newpm-passes",
                "lto-sample-profile",
                "lto-cs-profile-file",
                "lto-basic-block-sections",
                "lto-known-safe-vtables",
                "lto-obj-path",
                "thinlto-jobs",
                "thinlto-cache-dir",
                "thinlto-cache-policy",
                "thinlto-object-suffix-replace",
                "thinlto-prefix-replace",
                "thinlto-single-module",
                "mllvm",
                "load-pass-plugin",
                "opt-remarks-filename",
                "opt-remarks-format",
                "opt-remarks-passes",
                "opt-remarks-hotness-threshold",
                "flto-partition",
            ],
            Takes::Value("VALUE"),
            "the inputs are compiled already",
        ),
        Flag::ignored(&["save-temps", "flto"], Takes::Optional("WHAT"), "the inputs are compiled already"),
        Flag::ignored(
            &[
                "lto-cs-profile-generate",
                "lto-debug-pass-manager",
                "lto-pgo-warn-mismatch",
                "no-lto-pgo-warn-mismatch",
                "lto-whole-program-visibility",
                "no-lto-whole-program-visibility",
                "lto-validate-all-vtables-have-type-infos",
                "no-lto-validate-all-vtables-have-type-infos",
                "lto-basic-block-address-map",
                "no-lto-basic-block-address-map",
                "lto-unique-basic-block-section-names",
                "no-lto-unique-basic-block-section-names",
                "opt-remarks-with-hotness",
                "disable-verify",
                "fat-lto-objects",
                "lto-legacy-pass-manager",
                "no-lto-legacy-pass-manager",
                "no-fat-lto-objects",
            ],
            Takes::Nothing,
            "the inputs are compiled already",
        ),
    ],
};
