//! Problems are told with function, file and line, where debug information knows them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles `source`, in a directory of its own, with `arguments`.
fn compile(directory: &Path, name: &str, source: &str, arguments: &[&str]) {
    fs::write(directory.join(format!("{name}.c")), source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(directory).args(["-c", &format!("{name}.c"), "-o", &format!("{name}.o")]).args(arguments);
    let output = compiler.output().expect("`cc` does not start: install the package gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What linking fails with.
fn fails(directory: &Path, arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pkgld"));
    let output = program.current_dir(directory).args(["-flavor", "gnu", "-shared", "-o", "image.so"]).args(arguments);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

const USER: &str = "\
extern int missing(int);
int quiet(int x) { return x; }
int user(int x) {
    int y = x + 1;
    return missing(y) + 1;
}
";

#[test]
fn undefined_symbols_are_told_with_function_and_line() {
    for arguments in [
        &["-g", "-fPIC", "-O1", "-gdwarf-5"][..],
        &["-g", "-fPIC", "-O0", "-gdwarf-4", "-ffunction-sections"],
        &["-g", "-fPIC", "-O2", "-gdwarf-5", "-ffunction-sections"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        compile(directory.path(), "user", USER, arguments);
        let said = fails(directory.path(), &["-z", "defs", "user.o"]);
        assert!(said.contains("undefined symbol: missing"), "{said}");
        assert!(said.contains(" in user at user.c:5"), "{arguments:?}: {said}");
    }
}

#[test]
fn without_debug_information_the_function_is_told() {
    let directory = tempfile::tempdir().unwrap();
    compile(directory.path(), "user", USER, &["-fPIC", "-O1"]);
    let said = fails(directory.path(), &["-z", "defs", "user.o"]);
    assert!(said.contains(" in user") && !said.contains(" at "), "{said}");
}

#[test]
fn relocations_are_told_with_function_and_line() {
    const SOURCE: &str = "\
extern int elsewhere;
int first(void) { return 1; }
int second(int x) {
    if (x)
        elsewhere = x;
    return 2;
}
";
    let directory = tempfile::tempdir().unwrap();
    compile(directory.path(), "absolute", SOURCE, &["-g", "-O1", "-fno-pic", "-mcmodel=medium"]);
    let said = fails(directory.path(), &["absolute.o"]);
    assert!(said.contains(" in second at absolute.c:5: relocation R_X86_64_"), "{said}");
}

#[test]
fn duplicates_are_told_with_both_lines() {
    let directory = tempfile::tempdir().unwrap();
    compile(directory.path(), "one", "int a(void) { return 1; }\nint twice(void) { return 1; }\n", &["-g", "-fPIC"]);
    compile(directory.path(), "two", "\n\n\nint twice(void) { return 2; }\n", &["-g", "-fPIC"]);
    let said = fails(directory.path(), &["one.o", "two.o"]);
    assert!(said.contains("duplicate symbol: twice"), "{said}");
    assert!(said.contains(" in twice at one.c:2") && said.contains(" in twice at two.c:4"), "{said}");
}

/// Every relocation is a problem; finding and telling them must not take time for each.
#[test]
fn many_problems_are_told_quickly() {
    use std::fmt::Write as _;
    let mut source = "extern int missing;\n".to_owned();
    for number in 0..3000 {
        writeln!(source, "int *f{number}(int x) {{ return x ? &missing : 0; }}").unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    compile(directory.path(), "many", &source, &["-g", "-O1", "-fno-pic", "-mcmodel=large"]);
    let before = std::time::Instant::now();
    let said = fails(directory.path(), &["-z", "text", "many.o"]);
    assert!(before.elapsed().as_secs() < 20, "{:?}", before.elapsed());
    assert!(said.contains(" in f0 at many.c:2") && said.contains("2980 more problems"), "{said}");
}
