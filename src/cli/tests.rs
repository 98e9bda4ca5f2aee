//! The command lines that Julia and the compilers' drivers pass, and those that nobody should.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::flag::{Takes, dashed};
use super::{Color, Command, Console, Exit, Link, MapTo, Problem, flags, parse, run};
use crate::{BuildId, HashStyle, Input, Mode, Options, Source, Strip, Symbolic, Target, Undefined};

/// The link that a line of arguments, separated by spaces, asks for.
#[track_caller]
fn link(line: &str) -> Link {
    match parse(line.split(' ').map(OsString::from)) {
        Ok(Command::Link(link)) => *link,
        other => panic!("{line}: {other:?}"),
    }
}

/// What `-shared -o x.so x.o` and `more` ask for.
#[track_caller]
fn options(more: &str) -> Options {
    link(&format!("-shared -o x.so x.o {more}")).options
}

/// What is wrong with `-shared x.o` and `more`.
#[track_caller]
fn problems(more: &str) -> Vec<String> {
    let line = format!("-shared x.o {more}");
    let problems = parse(line.split(' ').map(OsString::from)).expect_err(&line);
    assert!(!problems.is_empty());
    problems.iter().map(ToString::to_string).collect()
}

/// Inputs in one mode: `-lNAME` is a library, else a path.
fn inputs(mode: Mode, names: &[&str]) -> Vec<Input<'static>> {
    let source = |name: &str| match name.strip_prefix("-l") {
        Some(library) => Source::Library(library.to_owned()),
        None => Source::Path(name.into()),
    };
    names.iter().map(|name| Input { source: source(name), mode }).collect()
}

const PLAIN: Mode = Mode {
    whole_archive: false,
    lazy: false,
    as_needed: false,
    static_only: false,
    role: crate::LibraryRole::Plain,
    needed: false,
    hidden: false,
};
const WHOLE: Mode = Mode { whole_archive: true, ..PLAIN };
const AS_NEEDED: Mode = Mode { as_needed: true, ..PLAIN };

#[test]
fn julia_1_9_to_1_12() {
    for (libraries, verbose) in [("/j/lib -L/j/lib/julia -L/j/bin", ""), ("/j/lib/julia -L/j/lib", "--verbose")] {
        let line = format!(
            "{verbose} -shared -o /d/jl_out --whole-archive /d/jl_in --no-whole-archive -L{libraries} -ljulia -ljulia-internal"
        );
        let link = link(&line);
        let search_paths = libraries.split(" -L").map(Into::into).collect();
        assert_eq!(link.options, Options { search_paths, ..Options::default() });
        assert_eq!(link.output, std::path::Path::new("/d/jl_out"));
        let wanted = [inputs(WHOLE, &["/d/jl_in"]), inputs(PLAIN, &["-ljulia", "-ljulia-internal"])].concat();
        assert_eq!(link.inputs, wanted);
        assert_eq!(link.show.verbose, !verbose.is_empty());
        assert_eq!((link.show.remarks.len(), link.show.ignored.len()), (0, 0));
    }
}

#[test]
fn julia_1_13_and_later() {
    let link = link(
        "--build-id --eh-frame-hdr --hash-style=gnu --as-needed -z relro -z defs  -shared -o /d/jl_out \
         /j/crti.o /j/crtbeginS.o --whole-archive /d/jl_in --no-whole-archive -L/j/lib/julia -L/j/lib -L/j/lib \
         -ljulia -ljulia-internal -lgcc --as-needed -lgcc_s -latomic -lopenlibm --no-as-needed /lib/libc.so.6 \
         /j/libc_nonshared.a --as-needed /lib64/ld-linux-x86-64.so.2 --no-as-needed /j/crtendS.o /j/crtn.o",
    );
    let search_paths = ["/j/lib/julia", "/j/lib", "/j/lib"].map(Into::into).into();
    let mut options = Options { search_paths, undefined: Undefined::Error, ..Options::default() };
    options.elf.build_id = BuildId::Fast20;
    options.pe.build_id = true;
    options.elf.hash_style = HashStyle::Gnu;
    assert_eq!(link.options, options);
    let wanted = [
        inputs(AS_NEEDED, &["/j/crti.o", "/j/crtbeginS.o"]),
        inputs(Mode { as_needed: true, ..WHOLE }, &["/d/jl_in"]),
        inputs(AS_NEEDED, &["-ljulia", "-ljulia-internal", "-lgcc", "-lgcc_s", "-latomic", "-lopenlibm"]),
        inputs(PLAIN, &["/lib/libc.so.6", "/j/libc_nonshared.a"]),
        inputs(AS_NEEDED, &["/lib64/ld-linux-x86-64.so.2"]),
        inputs(PLAIN, &["/j/crtendS.o", "/j/crtn.o"]),
    ];
    assert_eq!(link.inputs, wanted.concat());
}

#[test]
fn julia_asks_for_what_the_preset_says() {
    let options = link("-shared -o out --whole-archive in --no-whole-archive -ljulia").options;
    assert_eq!(Options { target: Some(Target::LINUX_X86_64), ..options }, Options::julia(Target::LINUX_X86_64));
}

#[test]
fn gcc_and_its_plugin() {
    let link = link(
        "-plugin /g/liblto_plugin.so -plugin-opt=/g/lto-wrapper -plugin-opt=-fresolution=/tmp/r.res \
         -plugin-opt=-pass-through=-lgcc --build-id --eh-frame-hdr -m elf_x86_64 --hash-style=gnu --as-needed -shared \
         -o x.so crti.o -L/g -L/lib/../lib x.o -lgcc --push-state --as-needed -lgcc_s --pop-state -lc crtn.o",
    );
    let search_paths = ["/g", "/lib/../lib"].map(Into::into).into();
    let mut options = Options { target: Some(Target::LINUX_X86_64), search_paths, ..Options::default() };
    options.elf.build_id = BuildId::Fast20;
    options.pe.build_id = true;
    options.elf.hash_style = HashStyle::Gnu;
    assert_eq!(link.options, options);
    assert_eq!(link.inputs, inputs(AS_NEEDED, &["crti.o", "x.o", "-lgcc", "-lgcc_s", "-lc", "crtn.o"]));
    assert_eq!(link.show.ignored.len(), 4);
}

#[test]
fn clang_for_linux_freebsd_and_android() {
    let linux = link(
        "--hash-style=gnu --build-id --eh-frame-hdr -m elf_x86_64 -shared -static -export-dynamic -o y.so crti.o -L/lib \
         -plugin-opt=mcpu=x86-64 -plugin-opt=O2 -plugin-opt=thinlto y.o --start-group -lgcc -lgcc_eh -lc --end-group crtn.o",
    );
    let static_only = Mode { static_only: true, ..PLAIN };
    assert_eq!(linux.inputs, inputs(static_only, &["crti.o", "y.o", "-lgcc", "-lgcc_eh", "-lc", "crtn.o"]));
    let freebsd =
        link("-EL --eh-frame-hdr -shared --hash-style=both --enable-new-dtags -m elf_x86_64_fbsd -o y.so y.o");
    assert_eq!(freebsd.options, Options { target: Some(Target::FREEBSD_X86_64), ..Options::default() });
    let android = link("-z now -z relro -z max-page-size=16384 -shared -o y.so -soname y -X y.o").options;
    assert!(android.elf.now && android.elf.relro);
    assert_eq!((android.elf.max_page_size, android.elf.soname.as_deref()), (Some(16384), Some("y")));
}

/// `-oNAME` is an output file, unless the image is for Windows and NAME begins as the name of a file that only such have.
#[test]
fn one_dash_before_options_in_o() {
    let elf = link("-shared x.o -out-implib=x.a");
    assert_eq!((elf.output, elf.options.pe.import_library), ("ut-implib=x.a".into(), None));
    for emulation in ["-m i386pep", "-mi386pe", "-m arm64pe"] {
        for given in ["-out-implib=x.a -output-def x.def", "--out-implib x.a --output-def=x.def"] {
            let windows = link(&format!("-shared -o x.dll x.o {given} {emulation}"));
            assert_eq!(windows.output, std::path::Path::new("x.dll"));
            assert_eq!(windows.options.pe.import_library, Some("x.a".into()));
            assert_eq!(windows.options.pe.definition_file, Some("x.def".into()));
        }
        assert_eq!(link(&format!("-shared -outer.dll x.o {emulation}")).output, std::path::Path::new("uter.dll"));
    }
}

#[test]
fn every_spelling_of_an_option() {
    for soname in ["-soname n", "--soname n", "-soname=n", "--soname=n", "-h n", "-hn"] {
        assert_eq!(options(soname).elf.soname.as_deref(), Some("n"), "{soname}");
    }
    for output in ["-o y", "-oy", "--output y", "--output=y"] {
        assert_eq!(link(&format!("x.o --shared {output}")).output, std::path::Path::new("y"), "{output}");
    }
    // As GNU ld says, one dash and an 'o' is an output file.
    assert_eq!(link("-shared x.o -output=y").output, std::path::Path::new("utput=y"));
    // Whole names go first; '=' belongs to a letter's value.
    assert_eq!(options("-entry f").entry.as_deref(), Some("f"));
    assert_eq!(options("-entries").entry.as_deref(), Some("ntries"));
    assert_eq!(options("-L=/usr").search_paths, [std::path::Path::new("=/usr")]);
    assert_eq!(options("-znow").elf.now, options("-z now").elf.now);
    let library = |name: &str| link(&format!("-shared {name}")).inputs;
    for name in ["-la", "-l a", "--library=a", "--library a", "-library=a"] {
        assert_eq!(library(name), inputs(PLAIN, &["-la"]), "{name}");
    }
    assert_eq!(library("-l:liba.so.1"), inputs(PLAIN, &["-l:liba.so.1"]));
    assert_eq!(library("-"), inputs(PLAIN, &["-"]));
}

#[test]
fn the_last_one_wins_or_all_count() {
    assert_eq!(options("").elf.build_id, BuildId::None);
    assert_eq!(options("--build-id=sha1 --build-id=none").elf.build_id, BuildId::None);
    assert_eq!(options("--build-id=0xabcd").elf.build_id, BuildId::Given(vec![0xab, 0xcd]));
    assert_eq!(options("-Bsymbolic -Bsymbolic-functions").elf.symbolic, Symbolic::Functions);
    assert_eq!(options("-Bsymbolic-functions -Bno-symbolic").elf.symbolic, Symbolic::None);
    assert_eq!(options("-s -S").strip, Strip::Debug);
    assert_eq!(options("--rpath a -R b -rpath=c").elf.rpath, ["a", "b", "c"]);
    // As build systems give what stands in no variable.
    let nothing = options("-rpath= -soname= -L=");
    assert_eq!((nothing.elf.rpath.len(), nothing.elf.soname), (0, None));
    assert_eq!(options("-u a --undefined=b").required_symbols, ["a", "b"]);
    assert_eq!(options("--exclude-libs a,b:c --exclude-libs ALL").exclude_libs, ["a", "b", "c", "ALL"]);
    assert_eq!(options("-z defs -z undefs").undefined, Undefined::Allow);
    assert_eq!(options("--warn-unresolved-symbols").undefined, Undefined::Allow);
    assert_eq!(options("--warn-unresolved-symbols --no-undefined").undefined, Undefined::Warn);
    assert_eq!(options("-z defs --unresolved-symbols=ignore-all").undefined, Undefined::Allow);
    assert_eq!(options("--unresolved-symbols=report-all").undefined, Undefined::Error);
    assert_eq!(options("--threads=3").threads, NonZeroUsize::new(3));
    assert_eq!(options("--threads=3 --threads").threads, None);
    assert_eq!(options("--threads 2").threads, NonZeroUsize::new(2));
    assert_eq!(link("-shared x.o --threads y.o").inputs.len(), 2);
    for format in ["elf", "elf64-littleaarch64", "elf32-i386"] {
        link(&format!("-shared x.o --oformat={format}"));
    }
    assert_eq!(options("--no-threads").threads, NonZeroUsize::new(1));
    assert!(!options("").map && options("-M").map);
    let show =
        link("-shared x.o -Map a -Map=b --print-map --no-fatal-warnings --color-diagnostics --error-limit 3").show;
    assert_eq!(show.map, [MapTo::File("b".into()), MapTo::Stdout]);
    assert_eq!((show.color, show.error_limit, show.fatal_warnings), (Color::Always, Some(3), false));
    let debug = |more| options(more).elf.separate_debug_file;
    assert_eq!(debug("--separate-debug-file"), Some("x.so.dbg".into()));
    assert_eq!(debug("--separate-debug-file=d"), Some("d".into()));
    assert_eq!(debug("--separate-debug-file --separate-debug-file=d"), Some("d".into()));
}

#[test]
fn states_hold_for_what_follows() {
    let link = link(
        "-shared a --whole-archive --push-state --no-whole-archive --as-needed -Bstatic b --push-state -Bdynamic c \
         --pop-state d --pop-state e --no-whole-archive f",
    );
    let inner = Mode { as_needed: true, static_only: true, ..PLAIN };
    let wanted = [
        inputs(PLAIN, &["a"]),
        inputs(inner, &["b"]),
        inputs(AS_NEEDED, &["c"]),
        inputs(inner, &["d"]),
        inputs(WHOLE, &["e"]),
        inputs(PLAIN, &["f"]),
    ];
    assert_eq!(link.inputs, wanted.concat());
}

#[test]
fn problems_name_the_option_and_what_to_do() {
    for (line, wanted) in [
        ("--shraed", "unknown option '--shraed', did you mean '--shared'?"),
        ("-shraed=1", "unknown option '-shraed=1', did you mean '--shared'?"),
        ("--frobnicate=now", "unknown option '--frobnicate=now'"),
        ("--", "unknown option '--'"),
        ("---shared", "unknown option '---shared', did you mean '--shared'?"),
        ("--o=x", "unknown option '--o=x'"),
        ("-sx", "unknown option '-sx'"),
        ("--shared=1", "--shared: takes no value, but '1' is given"),
        ("-o", "-o: a value is needed: FILE"),
        ("--soname", "--soname: a value is needed: NAME"),
        ("--lto-O", "--lto-O: a value is needed: LEVEL"),
        ("-z max-page-size", "-z max-page-size: a value is needed: SIZE"),
        ("-z now=1", "-z now: takes no value, but '1' is given"),
        ("-z max-page-size=4097", "-z max-page-size=4097: a power of two from 4096 to 2^30 bytes is needed"),
        ("-z max-page-size=4k", "-z max-page-size: '4k' is not a number, as 4096 or 0x1000"),
        ("--hash-style=md5", "--hash-style: 'md5' is not one of sysv, gnu, both"),
        ("--threads=0", "--threads: '0' is not a number from 1 to 4096"),
        ("--pop-state", "--pop-state: there is no --push-state before it"),
        ("--end-group", "--end-group: there is no --start-group before it"),
        ("-( -(", "-(: groups do not nest"),
        ("-m elf_s390", "-m elf_s390: this machine is not supported"),
        ("-m arm64ecpe --enable-auto-image-base", "-m arm64ecpe: linking for this machine is not supported"),
        (
            "--dynamic-list-cpp-new",
            "--dynamic-list-cpp-new: not supported: name the symbols in a file, for --dynamic-list",
        ),
        ("--export-dynamic-symbol=a[", "--export-dynamic-symbol: 'a[' is not a name or a pattern"),
        ("-z wxneeded", "-z wxneeded: not supported: leave it out"),
        (
            "-plugin-opt=emit-llvm",
            "-plugin-opt=emit-llvm: not supported: there is no link-time optimisation; have the compiler write it",
        ),
        ("--undefined=", "--undefined: '' is not a name"),
        (
            "--image-base=0x1000",
            "--image-base=0x1000: not supported: a shared library begins at address 0, and the loader moves it",
        ),
    ] {
        assert_eq!(problems(line), [wanted], "{line}");
    }
    let known = &problems("-m vax")[0];
    assert!(known.starts_with("-m: 'vax' is not one of elf_x86_64, elf_x86_64_fbsd, "), "{known}");
    assert_eq!(problems("--nope1xyz -o2 --nope2xyz --pie").len(), 3);
    assert!(problems("--version-script=no/such/file")[0].starts_with("--version-script: cannot read no/such/file: "));
    assert_eq!(problems("--separate-debug-file -s").len(), 1);
    let text = |line: &str| parse(line.split(' ').map(OsString::from)).unwrap_err()[0].to_string();
    assert_eq!(text("x.o -o y"), "only shared libraries are linked: add -shared");
    assert_eq!(text("-shared"), "no input files");
    // That a program is asked for tells more than that -shared is missing.
    assert!(text("-pie x.o").starts_with("-pie: not supported: only shared libraries"));
}

#[test]
fn unknown_keywords_are_warned_of() {
    let show = link("-shared x.o -z nodelet -z frobnicate=1").show;
    let wanted = [
        "unknown keyword '-z nodelet' is ignored; did you mean '-z nodelete'?",
        "unknown keyword '-z frobnicate=1' is ignored",
    ];
    assert_eq!(show.remarks, wanted);
}

#[test]
fn keywords_that_lld_does_not_know_are_no_errors() {
    let show = link("-shared x.o -z x86-64-v3 -z noreloc-overflow -z ibtplt -z memory-tag=x").show;
    assert_eq!(show.remarks.len(), 4);
    assert!(show.remarks.iter().all(|remark| remark.contains("has no effect: ")), "{:?}", show.remarks);
    let show = link("-shared x.o -z rel -z rodynamic --apply-dynamic-relocs --no-toc-optimize --relax-gp").show;
    assert_eq!((show.remarks.len(), show.ignored.len()), (0, 5));
}

#[test]
fn what_references_become_to_what_was_left_out() {
    let elf = options("-z dead-reloc-in-nonalloc=.debug_*=0x7f -z start-stop-visibility=internal").elf;
    assert_eq!(elf.dead_references.len(), 1);
    assert_eq!(elf.dead_references[0].1, 0x7f);
    assert!(elf.hide_section_bounds);
    let elf = options("-z start-stop-visibility=hidden -z start-stop-visibility=protected").elf;
    assert!(!elf.hide_section_bounds);
    for value in ["=1", "=x=", "=x=y", "=[=1"] {
        let said = problems(&format!("-z dead-reloc-in-nonalloc{value}"));
        assert!(said[0].contains("a pattern, an equals sign and a number"), "{value}: {said:?}");
    }
}

#[test]
fn help_and_version_need_no_link() {
    let parsed = |line: &str| parse(line.split(' ').map(OsString::from));
    assert!(matches!(parsed("--help --nope"), Ok(Command::Help)));
    assert!(matches!(parsed("x.o --version"), Ok(Command::Version)));
    assert!(matches!(parsed("-v"), Ok(Command::Version)));
    assert!(matches!(parsed("-v -shared x.o"), Ok(Command::Link(link)) if link.show.version));
    // The value of an option is none.
    assert!(matches!(parsed("-shared x.o -o --help"), Ok(Command::Link(_))));
}

/// Runs the program: its exit status, standard output and standard error.
fn program(arguments: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(arguments.iter().map(OsString::from), &mut Console::new(&mut out, &mut err, false));
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn the_program_says_what_it_is() {
    let (exit, out, err) = program(&["ld.lld", "--version"]);
    assert_eq!((exit, err.as_str()), (Exit::Success, ""));
    assert_eq!(out, format!("pkgld v{} (compatible with GNU linkers)\n", env!("CARGO_PKG_VERSION")));
    let (exit, out, _) = program(&["lld", "-flavor", "gnu", "-help"]);
    assert_eq!(exit, Exit::Success);
    assert!(out.lines().next().unwrap().starts_with("Usage: pkgld"));
    assert!(out.lines().any(|line| line.contains(": supported targets: elf")));
}

#[test]
fn the_program_tells_every_problem_on_standard_error() {
    let (exit, out, err) = program(&["lld", "-flavor", "gnu", "", "-shared", "--nope1xyz", "-r", "x.o"]);
    assert_eq!((exit, out.as_str()), (Exit::Failure, ""));
    let wanted = "pkgld: error: unknown option '--nope1xyz'\n\
                  pkgld: error: -r: not supported: objects are not merged; give them all at once\n";
    assert_eq!(err, wanted);
    let (exit, _, err) = program(&["lld", "-flavor", "darwin", "-dylib"]);
    assert_eq!(exit, Exit::Failure);
    assert_eq!(err, "pkgld: error: no input files\n");
    let (exit, out, _) = program(&["ld64.lld", "-help"]);
    assert!(exit == Exit::Success && out.contains("-platform_version PLATFORM MINIMUM SDK"));
}

#[test]
fn warnings_can_be_fatal_or_silent() {
    let line = ["ld.lld", "-shared", "no/such.o", "-z", "frobnicate"];
    let run = |more: &[&str]| program(&[&line, more].concat()).2;
    assert!(run(&[]).starts_with("pkgld: warning: unknown keyword '-z frobnicate' is ignored\npkgld: error: "));
    assert_eq!(run(&["--fatal-warnings"]), "pkgld: error: unknown keyword '-z frobnicate' is ignored\n");
    assert!(run(&["-w", "--fatal-warnings"]).starts_with("pkgld: error: cannot read no/such.o"));
    assert!(run(&["-w", "--color-diagnostics"]).starts_with("pkgld: \x1b[1;31merror:\x1b[0m cannot read"));
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_unicode_and_names_must_be() {
    use std::os::unix::ffi::OsStringExt;
    let odd = |prefix: &str| OsString::from_vec([prefix.as_bytes(), b"\xff.o"].concat());
    let arguments = ["-shared".into(), odd(""), odd("-L"), odd("-o"), "--Map".into(), odd("")];
    let Ok(Command::Link(link)) = parse(arguments) else { panic!() };
    assert_eq!(link.inputs[0].source, Source::Path(odd("").into()));
    assert_eq!(link.options.search_paths, [std::path::PathBuf::from(odd(""))]);
    assert_eq!(link.output, std::path::PathBuf::from(odd("")));
    assert_eq!(link.show.map, [MapTo::File(odd("").into())]);
    for argument in ["-l", "-soname=", "-u", "--defsym=", "-z"] {
        let problems = parse(["-shared".into(), "x.o".into(), odd(argument)]).unwrap_err();
        assert!(matches!(problems.as_slice(), [Problem::NotText { .. }]), "{problems:?}");
    }
    let problems = parse(["-shared".into(), "x.o".into(), odd("--frob")]).unwrap_err();
    assert!(matches!(problems.as_slice(), [Problem::Unknown { .. }]), "{problems:?}");
}

/// Arguments in which options, whole and damaged, are frequent.
fn argument() -> impl Strategy<Value = OsString> {
    let names: Vec<String> =
        flags::all().chain(flags::keywords()).flat_map(|flag| flag.names).map(|name| dashed(name)).collect();
    let name = prop::sample::select(names);
    let value = prop_oneof![Just(String::new()), "=?[a-z0-9=+,:\\-]{0,6}", "\\PC{0,4}"];
    prop_oneof![
        (name, value).prop_map(|(name, value)| name + &value),
        "-{0,3}\\PC{0,6}",
        Just(String::new()),
        prop::sample::select(vec!["-z", "-shared", "x.o", "0", "now", "gnu"]).prop_map(str::to_owned),
    ]
    .prop_map(OsString::from)
}

proptest! {
    #[test]
    fn any_arguments_are_a_command_or_problems(arguments in prop::collection::vec(argument(), 0..12)) {
        match parse(arguments) {
            Ok(Command::Link(link)) => {
                prop_assert!(!link.inputs.is_empty());
                prop_assert!(link.options.validate().is_ok());
            }
            Ok(_) => {}
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[cfg(unix)]
    #[test]
    fn any_bytes_are_a_command_or_problems(
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..6),
        dashes in 0..3_usize,
    ) {
        use std::os::unix::ffi::OsStringExt;
        let arguments = arguments.into_iter().map(|bytes| OsString::from_vec([&b"--"[..dashes.min(2)], &bytes].concat()));
        if let Err(problems) = parse(arguments) {
            prop_assert!(!problems.is_empty());
        }
    }
}

#[test]
fn limits_are_set_by_name() {
    let limits = link("-shared x.o --limit=symbols=0x10 --limit output_size=5").options.limits;
    assert_eq!((limits.symbols, limits.output_size), (16, 5));
    for bad in ["symbols", "nothing=1", "symbols=many"] {
        let said = problems(&format!("--limit={bad}"));
        assert!(said[0].contains("NAME=N, where NAME is one of output_size, symbols"), "{said:?}");
    }
}

#[test]
fn every_option_is_found_in_every_form() {
    for flag in flags::all() {
        for name in flag.names.iter().filter(|name| !["m", "z", "help", "version"].contains(name)) {
            let forms: &[&str] = match flag.takes {
                Takes::Nothing => &["N"],
                Takes::Optional(_) | Takes::Number(_) => &["N", "N=0"],
                Takes::Joined(_) => &["N0"],
                Takes::Value(_) if name.len() == 1 => &["N0", "N 0"],
                Takes::Value(_) => &["N=0", "N 0"],
            };
            for form in forms {
                let line = format!("-shared x.o {}", form.replace('N', &dashed(name)));
                let problems = parse(line.split(' ').map(OsString::from)).err().unwrap_or_default();
                let lost = |problem: &Problem| {
                    matches!(problem, Problem::Unknown { .. } | Problem::NoValue { .. } | Problem::NeedlessValue { .. })
                };
                assert!(!problems.iter().any(lost), "{line}: {problems:?}");
            }
        }
    }
}

/// A response file may hold millions of mistakes, and looking for what was meant takes a while.
#[test]
fn the_first_mistakes_get_suggestions() {
    let mut problems = parse((0..100).map(|_| "--shraed".into())).unwrap_err();
    problems.retain(|problem| matches!(problem, Problem::Unknown { .. }));
    let suggested = |problem: &Problem| matches!(problem, Problem::Unknown { nearest: Some(_), .. });
    assert_eq!(problems.len(), 100);
    assert!(problems[..20].iter().all(suggested), "{:?}", problems[0]);
    assert!(!problems[20..].iter().any(suggested));
}
