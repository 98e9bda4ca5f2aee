//! What links cost, in numbers that do not depend on how busy the machine is: instructions of the program, as valgrind counts
//! them, and allocations of the library. What `baseline.txt` says may be exceeded by a few per cent.
//!
//! After a change that is worth its cost, or one that saves much:
//!
//! ```sh
//! PKGLD_RENEW_BASELINE=1 cargo test -p pkgld --test cost -- --include-ignored --test-threads 1
//! ```
//!
//! The numbers are those of the profile `dev`, for which the test suite is compiled anyway, and of one compiler: with another
//! one, the tests say in the list of skips that they have compared nothing.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../pe/objects.rs"]
#[allow(dead_code)]
mod objects;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld::cli::{self, Console};
use pkgld_corpus::target::{LINUX_X86_64, MACOS_ARM64, MACOS_X86_64, Target, WINDOWS_X86_64};
use pkgld_corpus::{Entry, command_line, committed_for};

/// A count may exceed the baseline by this factor.
const TOLERANCE: f64 = 1.05;

/// Archives: each format, with one and several shards, with little and much debug information.
const ARCHIVES: [(Target, &str); 8] = [
    (LINUX_X86_64, "julia-1.12-llvm19-shards3"),
    (LINUX_X86_64, "julia-1.12-llvm19-g0"),
    (LINUX_X86_64, "julia-1.11-llvm16-g2"),
    (LINUX_X86_64, "julia-1.14-llvm22-shards2"),
    (WINDOWS_X86_64, "julia-1.12-llvm19-shards3"),
    (WINDOWS_X86_64, "julia-1.11-llvm16-g2"),
    (MACOS_ARM64, "julia-1.12-llvm19-shards3"),
    (MACOS_X86_64, "julia-1.11-llvm16-g2"),
];

thread_local! {
    /// Allocations that this thread has made: other tests have threads of their own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts allocations, and enlargements of what is allocated.
struct Counting;

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: the system's allocator does the work; counting touches nothing of it, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The committed numbers of one kind.
struct Baseline {
    kind: &'static str,
    /// What they were counted with.
    tools: String,
}

impl Baseline {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cost").join(format!("{}.txt", self.kind))
    }

    /// Compares `counts`, or writes them down if that is asked for. Says so if there is nothing to compare with.
    fn check(&self, counts: &BTreeMap<String, u64>) {
        if std::env::var_os("PKGLD_RENEW_BASELINE").is_some() {
            let lines: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
            fs::write(self.path(), format!("{}\n{lines}", self.tools)).expect("the baseline can be written");
            return;
        }
        let text = fs::read_to_string(self.path()).expect("a baseline");
        let (tools, lines) = text.split_once('\n').expect("tools, and numbers");
        if tools != self.tools {
            return skip(self.kind, &format!("the baseline is of {tools}, this is {}", self.tools));
        }
        let mut problems = Vec::new();
        let mut known = BTreeMap::new();
        for line in lines.lines() {
            let (name, count) = line.split_once(' ').expect("a name and a number");
            known.insert(name.to_owned(), count.parse::<u64>().expect("a number"));
        }
        assert!(known.keys().eq(counts.keys()), "the baseline is of other archives: renew it, see tests/cost/main.rs");
        for (name, count) in counts {
            let ratio = *count as f64 / known[name] as f64;
            println!("{name}: {count} {}, {ratio:.3} of the baseline", self.kind);
            if ratio > TOLERANCE {
                problems.push(format!("{name}: {count} {} where there were {}", self.kind, known[name]));
            }
        }
        assert!(
            problems.is_empty(),
            "links have become more expensive; if it is worth that, renew the baseline, see tests/cost/main.rs\n{}",
            problems.join("\n")
        );
    }
}

/// Says in the summary of `tests/run` that nothing could be compared here, and why.
fn skip(test: &str, reason: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tests");
    fs::create_dir_all(&directory).expect("a directory for logs");
    let mut file =
        fs::File::options().create(true).append(true).open(directory.join("skipped")).expect("the list of skips");
    file.write_all(format!("skipped: cost, {test}: {reason}\n").as_bytes()).expect("a line for a skip");
}

/// The first line that a program prints.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let output = output.unwrap_or_else(|_| panic!("`{program}` does not start: install it"));
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// The compiler, and the profile as far as it can be seen.
fn compiler() -> String {
    let checks = if cfg!(debug_assertions) { "with" } else { "without" };
    format!("{}, {checks} debug assertions", version("rustc"))
}

/// What Julia's command line says for each of the archives, with its name.
fn command_lines(output: &Path) -> Vec<(String, Vec<OsString>)> {
    let of_archive = |(target, wanted): &(Target, &str)| {
        let entries: Vec<Entry> = committed_for(*target);
        let entry = entries.iter().find(|entry| entry.path.file_stem().is_some_and(|stem| stem == *wanted));
        let entry = entry.unwrap_or_else(|| panic!("no archive {wanted} for {}", target.name));
        (format!("{}/{wanted}", target.name), command_line::arguments(entry, output))
    };
    ARCHIVES.iter().map(of_archive).collect()
}

#[test]
fn allocations() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    let mut counts = BTreeMap::new();
    for (name, arguments) in command_lines(&output) {
        let arguments: Vec<OsString> = [OsString::from("pkgld")].into_iter().chain(arguments).collect();
        let link = || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let before = ALLOCATIONS.get();
            let status = cli::run(arguments.clone(), &mut Console::new(&mut out, &mut err, false));
            let count = ALLOCATIONS.get() - before;
            assert!(status == cli::Exit::Success, "{name}: {}", String::from_utf8_lossy(&err));
            count
        };
        // What is made once in a process is not counted.
        link();
        counts.insert(name.clone(), link());
    }
    Baseline { kind: "allocations", tools: compiler() }.check(&counts);
}

/// The number of instructions that the program takes for a command line, as valgrind counts them.
fn instructions_of(name: &str, arguments: &[OsString]) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    let run = command.arg(env!("CARGO_BIN_EXE_pkgld")).args(arguments).output();
    let run = run.expect("`valgrind` does not start: install the package valgrind");
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{name}: {told}");
    let refs = told.lines().find_map(|line| line.split_once("I   refs:")).expect("the number of instructions").1;
    let digits: String = refs.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
#[ignore = "needs the package valgrind"]
fn instructions() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    let counted = command_lines(&output).into_iter().map(|(name, arguments)| {
        let count = instructions_of(&name, &arguments);
        (name, count)
    });
    let counts: BTreeMap<String, u64> = counted.collect();
    let tools = format!("{}, {}", compiler(), version("valgrind"));
    Baseline { kind: "instructions", tools }.check(&counts);
}

/// LLVM lists every hidden symbol in `.drectve`. Four times the names take four times the work, also where an export is
/// looked for among objects that wait.
#[test]
#[ignore = "needs the package valgrind"]
fn directives_take_work_in_proportion() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut waiting = objects::Object::new("");
    waiting.symbol("late", 1, objects::EXTERNAL);
    fs::write(path("waiting.o"), waiting.build()).unwrap();
    let taken = |count: u32| {
        let names: String = (0..count).map(|number| format!(" -exclude-symbols:julia_function_{number}")).collect();
        let mut object = objects::Object::new(&format!("{names} -export:f,data -export:late"));
        object.symbol("f", 1, objects::EXTERNAL);
        fs::write(path("names.o"), object.build()).unwrap();
        let line = ["-m", "i386pep", "--threads=1", "-shared", "-o", "out.dll", "names.o", "--start-lib", "waiting.o"];
        let files = ["out.dll", "names.o", "waiting.o"];
        let word = |word: &str| if files.contains(&word) { path(word).into_os_string() } else { word.into() };
        instructions_of("names", &line.map(word))
    };
    let (few, more, most) = (taken(1000), taken(20_000), taken(80_000));
    let ratio = (most - few) as f64 / (more - few) as f64;
    println!("{few}, {more}, {most} instructions: {ratio:.2} times the work for four times the names");
    // 79 to 19.
    assert!(ratio < 5.0, "{few}, {more}, {most}: more than in proportion");
}
