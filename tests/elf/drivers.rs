//! The command lines of compiler drivers, of Julia 1.13, and what each option does to an image that runs.

use crate::support::{Bench, LIBC, succeeds, text};

const SOURCE: &str = "#include <stdio.h>
    #include <stdlib.h>
    extern void tell(const char *);
    __attribute__((constructor)) static void start(void) { tell(\"start\"); }
    __attribute__((destructor)) static void stop(void) { tell(\"stop\"); }
    static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
    unsigned __int128 divide(unsigned __int128 a, unsigned __int128 b) { return a / b; }
    int probe(void) {
        char line[16];
        int all[] = { 3, 1, 2 };
        qsort(all, 3, sizeof *all, order);
        snprintf(line, sizeof line, \"%d%d%d\", all[0], all[1], all[2]);
        tell(line);
        CHECK(divide((unsigned __int128)1 << 100, 3) > 1000);
        return 0;
    }";
const PRINTED: &str = "start\n123\nprobe 0\nstop\nend\n";

/// Puts the program under the names that drivers look for into a directory, and returns it.
fn as_linker(bench: &Bench) -> String {
    let directory = bench.path("bin");
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["ld", "ld.lld"] {
        let path = directory.join(name);
        if !path.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pkgld"), path).unwrap();
        }
    }
    directory.display().to_string()
}

#[test]
fn drivers_link_with_the_program() {
    let bench = Bench::new();
    let bin = as_linker(&bench);
    // For `-z defs`; the driver's own function takes its place.
    bench.library("tell", "", "void tell(const char *what) { (void)what; }");
    bench.compile("gcc -O1 -g", "user.c", SOURCE);
    bench.compile("g++ -O1 -g", "more.cc", "#include <string>\n#include <stdexcept>
        extern \"C\" int more(int x) { try { if (x) throw std::runtime_error(std::string(40, 'x')); return 0; } catch (std::exception &e) { return e.what()[39]; } }");
    let more = bench.compile("gcc -O1", "calls.c", "extern int more(int); __attribute__((constructor)) static void check(void) { if (more(1) != 'x') __builtin_trap(); }");
    for driver in [
        format!("gcc -B{bin}"),
        format!("g++ -B{bin}"),
        format!("gcc -B{bin} -fuse-ld=lld"),
        format!("clang-19 -fuse-ld={bin}/ld.lld"),
        format!("clang++-19 --ld-path={bin}/ld.lld"),
    ] {
        for options in [
            "",
            "-Wl,-z,defs -Wl,-z,now",
            "-static-libgcc -Wl,--gc-sections -Wl,--build-id=sha1",
            "-Wl,--as-needed -s -Wl,-O1",
        ] {
            let cxx = driver.contains("++");
            let objects = if cxx { format!("user.o more.o {more}") } else { "user.o".to_owned() };
            let output = bench.run(&format!("{driver} -shared -v -o ours/driver.so {objects} {options} -L. -ltell"));
            let said = text(&output.stderr);
            assert!(output.status.success(), "{driver} {options}: {said}");
            crate::support::reads_clean(&bench, "ours/driver.so");
            assert_eq!(bench.load("ours/driver.so"), PRINTED, "{driver} {options}");
            let checked = bench.run("ldd -r ours/driver.so");
            let complaints = format!("{}{}", text(&checked.stdout), text(&checked.stderr));
            assert!(!complaints.contains("undefined symbol"), "{complaints}");
        }
    }
}

/// What `gcc -###` passes, to both linkers.
#[test]
fn the_line_that_gcc_passes() {
    let bench = Bench::new();
    let object = bench.compile("gcc -O1", "user.c", SOURCE);
    let output = bench.run("gcc -### -shared -o OUT user.o");
    let said = text(&output.stderr);
    let line = said.lines().find(|line| line.contains("collect2")).unwrap();
    let mut words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).skip(1).collect();
    for pair in ["-plugin", "-o"] {
        let at = words.iter().position(|word| *word == pair).unwrap();
        words.drain(at..at + 2);
    }
    words.retain(|word| !word.starts_with("-plugin-opt") && *word != "-shared");
    assert!(words.contains(&"crtbeginS.o") || words.iter().any(|word| word.ends_with("/crtbeginS.o")), "{words:?}");
    assert!(words.contains(&object.as_str()));
    bench.link("line.so", &words.join(" ")).is_right(PRINTED);
}

/// Julia 1.13's line in full, with a stand-in for the package's archive and for its runtime.
#[test]
fn julias_line_with_start_files_and_libraries() {
    let bench = Bench::new();
    bench.library("julia", "", "int julia(void) { return 1; }");
    bench.library("julia-internal", "", "int internal(void) { return 2; }");
    bench.library("openlibm", "", "double openlibm(void) { return 3; }");
    let text0 = bench.compile("clang-19 -O2 -mcmodel=medium -g", "text.c", "
        extern int julia(void), internal(void); extern unsigned __int128 divide(unsigned __int128, unsigned __int128);
        extern void *memcpy(void *, const void *, unsigned long);
        long jl_data[1000] = { 1 };
        int probe(void) {
            volatile unsigned long size = 8; long to;
            memcpy(&to, jl_data, size);
            CHECK(julia() == 1 && internal() == 2 && to == 1 && (long)divide((unsigned __int128)5 << 64, (unsigned __int128)1 << 64) == 5);
            return 0;
        }");
    let text1 = bench.compile(
        "clang-19 -O2 -mcmodel=medium",
        "divide.c",
        "unsigned __int128 divide(unsigned __int128 a, unsigned __int128 b) { return a / b; }",
    );
    bench.must(&format!("llvm-ar-19 rcs image.a {text0} {text1}"));
    let file = |name: &str| bench.must(&format!("gcc -print-file-name={name}")).trim().to_owned();
    let gcc = file("libgcc.a").replace("/libgcc.a", "");
    let system = "/usr/lib/x86_64-linux-gnu";
    let line = |nonshared: &str| {
        format!(
            "--build-id --eh-frame-hdr --hash-style=gnu --as-needed -z relro -z defs {} {} \
         --whole-archive image.a --no-whole-archive -L. -L{gcc} -L{system} -ljulia -ljulia-internal \
         -lgcc --as-needed -lgcc_s -latomic -lopenlibm --no-as-needed \
         {} {nonshared} --as-needed /lib64/ld-linux-x86-64.so.2 --no-as-needed {} {}",
            file("crti.o"),
            file("crtbeginS.o"),
            "/lib/x86_64-linux-gnu/libc.so.6",
            file("crtendS.o"),
            file("crtn.o"),
        )
    };
    for nonshared in [file("libc_nonshared.a"), String::new()] {
        bench.link("julia.so", &line(&nonshared)).is_right("probe 0\nend\n");
        let dynamic = bench.must("readelf -Wd ours/julia.so");
        let needed: Vec<&str> = dynamic
            .lines()
            .filter(|line| line.contains("(NEEDED)"))
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(needed, ["[libjulia.so]", "[libjulia-internal.so]", "[libc.so.6]"]);
        let checked = bench.run("ldd -r ours/julia.so");
        assert!(!text(&checked.stderr).contains("undefined"), "{}", text(&checked.stderr));
    }
}

#[test]
fn options_of_the_dynamic_section() {
    let bench = Bench::new();
    let object = bench.compile(
        "gcc -O1",
        "user.c",
        "extern int atoi(const char *); int probe(void) { return atoi(\"0\"); } int *table[] = { (int *)&table }; static int *own[] = { (int *)&own, (int *)&own }; int **find(void) { return own; }",
    );
    let cases = [
        ("-soname libname.so.1", "Library soname: [libname.so.1]"),
        ("-h libname.so.2", "Library soname: [libname.so.2]"),
        ("-rpath /a:/b --rpath=/c", "Library runpath: [/a:/b:/c]"),
        ("-rpath /a --disable-new-dtags", "Library rpath: [/a]"),
        ("-rpath $ORIGIN/x -z origin", "ORIGIN"),
        ("-z now", "NOW"),
        ("-z nodelete", "NODELETE"),
        ("-z nodlopen -z global", "NOOPEN"),
        ("-z initfirst", "INITFIRST"),
        ("-z interpose", "INTERPOSE"),
        ("-z loadfltr", "LOADFLTR"),
        ("-Bsymbolic", "SYMBOLIC"),
        ("--hash-style=sysv", "(HASH)"),
        ("--hash-style=gnu", "(GNU_HASH)"),
        ("--hash-style=both", "(HASH)"),
        ("-z pack-relative-relocs", "(RELR)"),
        ("-z lazy", "(PLTGOT)"),
        ("-init probe", "(INIT)"),
    ];
    for (options, wanted) in cases {
        if ["nodlopen", "relr", "loadfltr"].iter().any(|word| options.contains(word)) {
            succeeds(&bench.ours(&format!("-shared -o ours/dynamic.so {options} {object} {LIBC}")));
            crate::support::reads_clean(&bench, "ours/dynamic.so");
        } else {
            bench.link("dynamic.so", &format!("{options} {object} {LIBC}")).is_right("probe 0\nend\n");
        }
        let dynamic = bench.must("readelf -Wd ours/dynamic.so");
        assert!(dynamic.contains(wanted), "{options}: {dynamic}");
    }
    assert_eq!(bench.load("ours/dynamic.so"), "probe 0\nend\n");
    let segments = |options: &str| {
        succeeds(&bench.ours(&format!("-shared -o ours/segments.so {options} {object} {LIBC}")));
        assert_eq!(bench.load("ours/segments.so"), "probe 0\nend\n");
        bench.must("readelf -lW ours/segments.so")
    };
    assert!(segments("-z relro").contains("GNU_RELRO") && !segments("-z norelro").contains("GNU_RELRO"));
    assert!(
        segments("--eh-frame-hdr").contains("GNU_EH_FRAME") && !segments("--no-eh-frame-hdr").contains("GNU_EH_FRAME")
    );
    assert!(segments("-z max-page-size=65536").contains("0x10000\n"));
    assert!(segments("-e probe").lines().any(|line| line.starts_with("Entry point 0x") && !line.ends_with(" 0x0")));
}

#[test]
fn build_ids_have_the_form_asked_for() {
    let bench = Bench::new();
    let object = bench.compile("gcc -O1", "user.c", "int probe(void) { return 0; }");
    let id = |option: &str| {
        succeeds(&bench.ours(&format!("-shared -o ours/id.so {option} {object}")));
        crate::support::reads_clean(&bench, "ours/id.so");
        assert_eq!(bench.load("ours/id.so"), "probe 0\nend\n");
        let notes = bench.must("readelf -nW ours/id.so");
        notes.lines().find_map(|line| line.split_once("Build ID: ")).map(|(_, id)| id.to_owned())
    };
    for (option, digits) in [
        ("--build-id", 40),
        ("--build-id=fast", 16),
        ("--build-id=sha1", 40),
        ("--build-id=tree", 40),
        ("--build-id=md5", 32),
        ("--build-id=uuid", 32),
    ] {
        let one = id(option).unwrap_or_else(|| panic!("{option}: none"));
        assert_eq!(one.len(), digits, "{option}");
        assert_eq!(Some(one), id(option), "{option}: another id for the same inputs");
    }
    assert_eq!(id("--build-id=0x0123456789abcdef01").as_deref(), Some("0123456789abcdef01"));
    assert_eq!(id("--build-id=none"), None);
    assert_eq!(id(""), None);
    let one = id("--build-id=sha1");
    bench.compile("gcc -O1", "user.c", "int probe(void) { return 1 - 1 + 0; } int more = 1;");
    assert_ne!(one, id("--build-id=sha1"));
}

#[test]
fn stripping_leaves_what_runs() {
    let bench = Bench::new();
    let object = bench.compile(
        "gcc -O1 -g",
        "user.c",
        "static int helper(int x) { return x; } int probe(void) { return helper(0); }",
    );
    for (option, debug, symbols) in [
        ("", true, true),
        ("--strip-debug", false, true),
        ("-S", false, true),
        ("--strip-all", false, false),
        ("-s", false, false),
    ] {
        let pair = bench.link("strip.so", &format!("{option} {object}"));
        pair.means_the_same(&[]);
        pair.reads_clean();
        pair.prints("", "probe 0\nend\n");
        let sections = bench.must("readelf -SW ours/strip.so");
        assert_eq!(
            (sections.contains(".debug_info"), sections.contains(".symtab")),
            (debug, symbols),
            "{option}: {sections}"
        );
    }
}

#[test]
fn garbage_is_collected_and_what_is_used_stays() {
    let bench = Bench::new();
    let source = "extern void tell(const char *);
        __attribute__((visibility(\"hidden\"))) int used(int x) { return x + 1; }
        __attribute__((visibility(\"hidden\"))) int unused(int x) { return x + 2; }
        __attribute__((visibility(\"hidden\"))) int unused_data[100] = { 1 };
        __attribute__((visibility(\"hidden\"))) int used_data[100] = { 1 };
        int exported(int x) { return x + 3; }
        static void start(void) { tell(\"start\"); }
        __attribute__((section(\".init_array\"), used)) static void (*const starter)(void) = start;
        __attribute__((section(\"kept_because_named\"), used)) static int named = 4;
        extern int __start_kept_because_named[];
        int probe(void) { CHECK(used(1) == 2 && used_data[0] == 1 && __start_kept_because_named[0] == 4); return 0; }";
    let source = source.replace("static void (*const starter)", "static void (*starter)");
    for compiler in [
        "gcc -O1 -ffunction-sections -fdata-sections -fno-inline",
        "clang-19 -O1 -ffunction-sections -fdata-sections -fno-inline",
    ] {
        let object = bench.compile(compiler, "user.c", &source);
        bench.link("gc.so", &format!("--gc-sections -z nostart-stop-gc {object}")).is_right("start\nprobe 0\nend\n");
        let symbols = bench.must("nm ours/gc.so");
        assert!(
            symbols.contains(" used\n") && symbols.contains(" exported\n") && !symbols.contains(" unused"),
            "{symbols}"
        );
        bench.link("all.so", &format!("--no-gc-sections {object}")).is_right("start\nprobe 0\nend\n");
        assert!(bench.must("nm ours/all.so").contains(" unused_data"));
    }
}
