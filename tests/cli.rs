//! The program as its users run it: exit status, words, files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use object::{Object, ObjectSymbol};

/// A committed archive and the directory of the libraries it is linked to.
fn corpus() -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/linux-x86_64");
    (folder.join("julia-1.12-llvm19.a"), folder.join("stubs/1.12"))
}

/// A directory to link in, with one archive.
struct Bench {
    directory: tempfile::TempDir,
    archive: PathBuf,
    libraries: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let (archive, libraries) = corpus();
        Self { directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), archive, libraries }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a file there.
    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// The names of the files there, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs the program in the directory.
    fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        command.current_dir(self.directory.path()).args(arguments).output().unwrap()
    }

    /// What Julia 1.10 to 1.12 pass, and `more` in front of the output's name.
    fn julia(&self, more: &[&str], output: &str) -> Output {
        let archive = self.archive.to_str().unwrap();
        let libraries = format!("-L{}", self.libraries.display());
        let head = ["-flavor", "gnu", "", "-shared"];
        let tail = ["-o", output, "--whole-archive", archive, "--no-whole-archive", &libraries];
        self.run([&head, more, &tail, &["-ljulia", "-ljulia-internal"]].concat())
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// What the program says when it fails with exit status 1, standard output staying empty.
#[track_caller]
fn fails(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    let lines = said.lines().all(|line| line.starts_with("pkgld: error: ") || line.starts_with(">>> "));
    assert!(lines && !said.is_empty(), "{said}");
    said
}

#[test]
fn julia_s_command_line_links_quietly() {
    let bench = Bench::new();
    let output = bench.julia(&[], "jl_out");
    succeeds(&output);
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
    assert!(fs::read(bench.path("jl_out")).unwrap().starts_with(b"\x7fELF"));
    assert_eq!(bench.files(), ["jl_out"]);
}

#[cfg(unix)]
#[test]
fn the_output_replaces_an_empty_private_file() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let path = bench.file("jl_out", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    succeeds(&bench.julia(&[], "jl_out"));
    fs::create_dir(bench.path("fresh")).unwrap(); // 0777 less what the umask takes
    let mode = |name| fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("jl_out"), mode("fresh"));
}

#[test]
fn the_name_chooses_the_dialect() {
    let bench = Bench::new();
    let called = |name: &str| {
        let program = bench.path(&format!("{name}{}", std::env::consts::EXE_SUFFIX));
        // A link, not a copy: while another test starts a program, a file that was just written may not be run.
        fs::hard_link(env!("CARGO_BIN_EXE_pkgld"), &program).unwrap();
        Command::new(&program).args(["--version", "-x"]).output().unwrap()
    };
    for name in ["ld.lld", "ld", "lld"] {
        let output = called(name);
        succeeds(&output);
        assert!(text(&output.stdout).starts_with("pkgld "), "{}", text(&output.stdout));
    }
    let output = called("ld64.lld");
    succeeds(&output);
    assert!(text(&output.stdout).starts_with("pkgld "), "{}", text(&output.stdout));
    assert!(fails(&called("lld-link")).contains("command line of lld-link"));
}

#[test]
fn verbose_tells_what_was_done_on_standard_error() {
    let bench = Bench::new();
    let output = bench.julia(&["--verbose", "-X"], "out.so");
    succeeds(&output);
    let said = text(&output.stderr);
    let image = fs::read(bench.path("out.so")).unwrap();
    let crc = crc32c::crc32c(&image);
    let archive = bench.archive.display();
    for wanted in [
        format!("pkgld: output: out.so: {} bytes, CRC-32C 0x{crc:08x}\n", image.len()),
        format!("pkgld: input: {archive}(text#0.o)\n"),
        format!("pkgld: input: {archive}(sysimg.o)\n"),
        format!("pkgld: library: {}", bench.libraries.join("libjulia.so").display()),
        "pkgld: needed: libjulia".to_owned(),
        "pkgld: objects: 3\n".to_owned(),
        "pkgld: bytes of memory: ".to_owned(),
        "pkgld: time: parse: ".to_owned(),
        "pkgld: ignored: -X: local symbols are kept".to_owned(),
    ] {
        assert!(said.contains(&wanted), "{wanted:?} is not in\n{said}");
    }
}

#[test]
fn trace_map_and_dependencies_name_the_inputs() {
    let bench = Bench::new();
    let output = bench.julia(&["--trace", "-Map=out.map", "--dependency-file=out.d"], "out.so");
    succeeds(&output);
    let archive = bench.archive.display().to_string();
    assert!(text(&output.stdout).lines().any(|line| line == format!("{archive}(metadata.o)")));
    let map = fs::read_to_string(bench.path("out.map")).unwrap();
    let image = fs::read(bench.path("out.so")).unwrap();
    let mut functions = 0;
    for symbol in object::File::parse(&*image).unwrap().symbols() {
        if symbol.kind() == object::SymbolKind::Text && symbol.is_definition() {
            let (name, address, size) = (symbol.name().unwrap(), symbol.address(), symbol.size());
            let line = format!("{address:16x} {address:16x} {size:8x}     1                 {name}\n");
            assert!(map.contains(&line), "{line:?} is not in\n{map}");
            functions += 1;
        }
    }
    assert!(functions > 50, "{functions}");
    let rule = fs::read_to_string(bench.path("out.d")).unwrap();
    assert!(rule.starts_with("out.so: \\\n"), "{rule}");
    for path in [&bench.archive, &bench.libraries.join("libjulia-internal.so")] {
        let escaped = path.display().to_string().replace(' ', "\\ ");
        assert!(rule.contains(&format!("\n{escaped}:\n")), "{rule}");
    }
    let output = bench.julia(&["--print-map"], "again.so");
    succeeds(&output);
    assert_eq!(text(&output.stdout), fs::read_to_string(bench.path("out.map")).unwrap());
}

/// Of a link that fails, the files that were read are told all the more.
#[test]
fn trace_names_the_inputs_of_a_failing_link() {
    let bench = Bench::new();
    let archive = bench.archive.to_str().unwrap();
    let output = bench.run(["-shared", "-t", "-z", "defs", "-o", "out.so", "--whole-archive", archive]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), format!("{archive}\n"));
}

/// What is told of a link never takes the place of what is linked.
#[test]
fn two_files_under_one_name_are_an_error() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let cases: &[&[&str]] = &[
        &["-Map=out.so"],
        &["--dependency-file=d/../out.so"],
        &["--separate-debug-file=out.debug", "-Map=out.debug"],
        &["-Map=both", "--dependency-file=both"],
    ];
    for arguments in cases {
        let output = bench.julia(arguments, "out.so");
        let said = fails(&output);
        assert!(said.contains(": two files are to be written under this name"), "{arguments:?}: {said}");
        assert_eq!(bench.files(), ["d"], "{arguments:?}");
    }
    #[cfg(unix)]
    succeeds(&bench.julia(&["-Map=/dev/null", "--dependency-file=/dev/null"], "/dev/null"));
}

#[test]
fn response_files_hold_arguments() {
    let bench = Bench::new();
    let archive = bench.archive.display().to_string().replace('\\', "\\\\");
    bench.file("arguments", format!("-shared\n-o 'an image.so' \"--whole-archive\"\n'{archive}'"));
    succeeds(&bench.run(["--rsp-quoting=posix", "@arguments"]));
    assert_eq!(bench.files(), ["an image.so", "arguments"]);
}

#[test]
fn failures_say_why_and_leave_nothing_behind() {
    let bench = Bench::new();
    let archive = bench.archive.to_str().unwrap();
    let directory = bench.directory.path().to_str().unwrap().to_owned();
    bench.file("garbage.o", [0xde; 100]);
    bench.file("truncated.a", &fs::read(&bench.archive).unwrap()[..50_000]);
    let files = bench.files();
    let whole = ["--whole-archive", archive, "--no-whole-archive"];
    let here = format!("-L{directory}");
    let search = format!("searched {directory}");
    let cases: &[(&[&str], &str)] = &[
        (&["missing.o"], "cannot read missing.o"),
        (&["-lmissing"], "library not found: -lmissing: no directory to search"),
        (&[&here, "-lmissing"], &search),
        (&["garbage.o"], "garbage.o"),
        (&["--whole-archive", "truncated.a"], "truncated.a"),
        (&["."], "cannot read ."),
        (&["-z", "defs"], "undefined symbol: "),
        (&["--whole-archive", archive], "duplicate symbol: "),
    ];
    for (arguments, wanted) in cases {
        let output = bench.run([&["-shared", "-o", "out.so"], &whole[..], arguments].concat());
        let said = fails(&output);
        assert!(said.contains(wanted), "{arguments:?}: {wanted:?} is not in\n{said}");
        assert_eq!(bench.files(), files, "{arguments:?}");
    }
    let output = bench.run([&["-shared", "-o", "no/such/directory/out.so"], &whole[..]].concat());
    // No temporary name, nor what stands in front of the directory as it was given.
    let wanted = "pkgld: error: cannot write no/such/directory/out.so: ";
    let said = fails(&output).trim_end().strip_prefix(wanted).unwrap();
    assert!(said.ends_with("(os error 2)") || said.ends_with("(os error 3)") && cfg!(windows), "{said}");
    // Every problem at once.
    let said = fails(&bench.run(["-shared", "one.o", "two.o", "-lthree"])).to_owned();
    assert!(["one.o", "two.o", "three"].iter().all(|name| said.contains(name)), "{said}");
    bench.file("torn.a", &fs::read(&bench.archive).unwrap()[..40_000]);
    let said = fails(&bench.run(["-shared", "--whole-archive", "torn.a", "truncated.a"])).to_owned();
    assert!(["torn.a", "truncated.a"].iter().all(|name| said.contains(name)), "{said}");
}

#[test]
fn a_failure_leaves_the_former_output() {
    let bench = Bench::new();
    bench.file("out.so", "former");
    fails(&bench.run(["-shared", "-o", "out.so", "missing.o"]));
    let archive = bench.archive.to_str().unwrap();
    fails(&bench.run(["-shared", "-z", "defs", "-o", "out.so", "--whole-archive", archive]));
    assert_eq!(fs::read(bench.path("out.so")).unwrap(), b"former");
    assert_eq!(bench.files(), ["out.so"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let bench = Bench::new();
    let output = bench.julia(&[], "/dev/full");
    assert!(fails(&output).contains("cannot write /dev/full: No space left on device"));
}

/// Results that nobody gets are a failure, but for a reader that has seen enough.
#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_are_told() {
    let bench = Bench::new();
    let archive = bench.archive.to_str().unwrap();
    let into = |arguments: &[&str], out: fs::File| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        command.current_dir(bench.directory.path()).args(arguments).stdout(out).output().unwrap()
    };
    let map = ["-shared", "-M", "-o", "out.so", "--whole-archive", archive];
    let inspection = ["inspect", "--json", archive];
    for arguments in [&map[..], &inspection] {
        let output = into(arguments, fs::File::options().write(true).open("/dev/full").unwrap());
        assert!(fails(&output).contains("cannot write standard output: No space left on device"), "{arguments:?}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
    let mut child = command.args(inspection).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn fatal_warnings_leave_nothing_behind() {
    let bench = Bench::new();
    let archive = bench.archive.to_str().unwrap();
    // An entry point that nothing defines: the image would be complete without.
    let doubtful = ["-shared", "-o", "out.so", "-e", "nowhere", "--whole-archive", archive];
    let said = fails(&bench.run([&doubtful[..], &["--fatal-warnings"]].concat())).to_owned();
    assert!(said.contains("nowhere"), "{said}");
    assert_eq!(bench.files(), [""; 0]);
    let output = bench.run(doubtful);
    succeeds(&output);
    let said = text(&output.stderr);
    assert!(said.starts_with("pkgld: warning: ") && said.contains("nowhere"), "{said}");
    let output = bench.run([&doubtful[..], &["-w"]].concat());
    succeeds(&output);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn definitions_may_be_duplicate_without_a_word() {
    let bench = Bench::new();
    let archive = bench.archive.to_str().unwrap();
    // The archive twice: every definition of it is duplicate.
    let twice = ["-shared", "-o", "out.so", "--whole-archive", archive, archive];
    assert!(fails(&bench.run(twice)).contains("duplicate symbol"));
    assert_eq!(bench.files(), [""; 0]);
    let output = bench.run([&twice[..], &["--allow-multiple-definition"]].concat());
    succeeds(&output);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let bench = Bench::new();
    for (threads, name) in [("--threads=1", "one"), ("--threads=7", "seven"), ("--read-inputs", "read")] {
        succeeds(&bench.julia(&[threads], name));
    }
    let image = |name| fs::read(bench.path(name)).unwrap();
    assert!(image("one") == image("seven") && image("one") == image("read"));
}

/// The commands of the README's section with this heading, one string each block.
#[cfg(unix)]
fn readme_commands(heading: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// The README's commands that put the program in the place of Julia's lld, and lld back, with stand-ins for cargo and Julia.
/// The one that makes a static program is `tests/run static`.
#[cfg(unix)]
#[test]
fn readme_takes_the_place_of_lld_and_gives_it_back() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    for directory in ["bin", "target/program", "libexec/julia"] {
        fs::create_dir_all(bench.path(directory)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_pkgld"), bench.path("target/program/pkgld")).unwrap();
    let lld = bench.file("libexec/julia/lld", "what Julia has");
    for (name, script) in
        [("bin/cargo", "#!/bin/sh\n".to_owned()), ("bin/julia", format!("#!/bin/sh\nprintf %s '{}'\n", lld.display()))]
    {
        let program = bench.file(name, script);
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |script: &str| {
        let path = std::env::join_paths([bench.path("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
        let mut shell = Command::new("sh");
        let output =
            shell.args(["-euc", script]).current_dir(bench.directory.path()).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = readme_commands("In Julia's place");
    let [there, back, _] = &commands[..] else { panic!("{commands:?}") };
    let (archive, libraries) = corpus();
    let link = format!(
        "{there}\"$lld\" -flavor gnu '' -shared -o image.so --whole-archive {} --no-whole-archive -L{} -ljulia -ljulia-internal",
        archive.display(),
        libraries.display()
    );
    run(&link);
    assert!(fs::read(bench.path("image.so")).unwrap().starts_with(b"\x7fELF"));
    run(&format!("lld={}\n{back}", lld.display()));
    assert_eq!(fs::read(&lld).unwrap(), b"what Julia has");
    assert!(!bench.path("libexec/julia/lld.orig").exists());
}
