//! The report's peak of memory against what an allocator counts.
//!
//! One test, since what another thread takes would count too.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pkgld::{BuildId, DebugCompression, Input, Inputs, Mode, Options, Report, Source, Target};
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::{MACOS_ARM64, WINDOWS_X86_64};
use pkgld_corpus::{Julia, committed_for};

/// Counts bytes: those taken now, and the most there have been.
struct Counting;

static NOW: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator does the work; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Grown in place, as allocators do with what is big.
        NOW.fetch_sub(layout.size() as u64, Relaxed);
        take(size);
        // SAFETY: as the caller says.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn take(size: usize) {
    let now = NOW.fetch_add(size as u64, Relaxed) + size as u64;
    PEAK.fetch_max(now, Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The report may be off by this factor, either way.
const TOLERANCE: f64 = 1.5;
/// Or by so many bytes: what small links take for a time (names of libraries, a chunk that is made twice) is not reckoned.
const SLACK: u64 = 512 << 10;

/// An object with `count` functions: each named, with a slot that is relocated, an unwind record, and a line. Lines are
/// compressed in a `form` of GCC's `-gz`.
fn many_functions(count: usize, form: &str) -> Vec<u8> {
    let mut source = String::from(".file \"many.s\"\n");
    for number in 0..count {
        writeln!(
            source,
            ".text\n.globl function_{number}\n.hidden function_{number}\n.type function_{number}, @function\n\
             function_{number}:\n.cfi_startproc\nret\n.cfi_endproc\n.size function_{number}, .-function_{number}\n\
             .data\n.quad function_{number}\n.quad external_{}\n",
            number % 500
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("many.s"), source).unwrap();
    let mut assembler = Command::new("gcc");
    assembler.current_dir(directory.path()).args(["-c", "-g", form, "many.s", "-o", "many.o"]);
    let output = assembler.output().expect("`gcc` does not start: install the package gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(directory.path().join("many.o")).unwrap()
}

/// As many functions and pointers in the assembly of another format, from clang.
fn many_of(target: &str, prefix: &str, count: usize) -> Vec<u8> {
    let mut source = String::new();
    for number in 0..count {
        let name = format!("{prefix}function_{number}");
        writeln!(source, ".text\n.globl {name}\n{name}:\nret\n.data\n.quad {name}\n").unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("many.s"), source).unwrap();
    let mut assembler = Command::new("clang-19");
    assembler.current_dir(directory.path()).arg(format!("--target={target}")).args(["-c", "many.s", "-o", "many.o"]);
    let output = assembler.output().expect("`clang-19` does not start: install the package clang-19");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(directory.path().join("many.o")).unwrap()
}

/// Bytes that a link may take: some for buffers and threads, some for each symbol, and what has to be held in any case.
fn allowed(report: &Report) -> u64 {
    let counts = &report.counts;
    (32 << 20) + 100 * counts.symbols + counts.decompressed_bytes + 24 * counts.dynamic_relocations
}

fn check(name: &str, bytes: &[u8], options: &Options) {
    let libraries: &[&str] = match options.target {
        Some(Target::WINDOWS_X86_64) => &["julia", "julia-internal", "openlibm", "ssp", "gcc_s", "gcc", "msvcrt"],
        Some(_) => &["julia", "julia-internal"],
        None => &[],
    };
    let mut mode = Mode::default();
    mode.whole_archive = true;
    let source = Source::Bytes { name: name.to_owned(), bytes };
    let inputs = [Input { source, mode }].into_iter().chain(libraries.iter().map(|name| Input::library(*name)));
    let inputs = Inputs::open(inputs.collect(), options).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let compare = |how: &str, reported: u64, counted: u64| {
        let ratio = reported as f64 / counted as f64;
        println!("{name}, {how}, {:?} threads: {reported} reported, {counted} counted, {ratio:.2}", options.threads);
        assert!(
            reported.abs_diff(counted) <= SLACK || (1.0 / TOLERANCE..=TOLERANCE).contains(&ratio),
            "{name}, {how}: {reported} reported, {counted} counted"
        );
    };

    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let image = pkgld::link(&inputs, options).unwrap();
    compare("linked", image.report().memory_peak, PEAK.load(Relaxed) - before);
    let report = image.write_file(directory.path().join("image.so")).unwrap();
    let counted = PEAK.load(Relaxed) - before;
    compare("written to a file", report.memory_peak, counted);
    let allowed = allowed(&report);
    assert!(counted <= allowed, "{name}: {counted} bytes taken, {allowed} are allowed");
    let mut buffer = vec![0; image.size() as usize];
    drop((report, image));

    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let report = pkgld::link(&inputs, options).unwrap().write_into(&mut buffer).unwrap();
    compare("written to a buffer", report.memory_peak, PEAK.load(Relaxed) - before);
}

#[test]
fn the_report_is_close_to_what_is_allocated() {
    let committed = pkgld_corpus::committed();
    let mut archives = Vec::new();
    for wanted in ["julia-1.12-llvm19.a", "julia-1.11-llvm16-g2.a", "julia-1.14-llvm22-shards2.a"] {
        let entry = committed.iter().find(|entry| entry.path.ends_with(wanted)).expect(wanted);
        archives.push((wanted, fs::read(&entry.path).unwrap()));
    }
    archives.push(("many functions", many_functions(50_000, "-gz=none")));
    archives.push(("many functions, compressed", many_functions(50_000, "-gz=zlib")));
    for (name, bytes) in &archives {
        for threads in [1, 2] {
            let mut options = Options::default();
            options.threads = NonZeroUsize::new(threads);
            check(name, bytes, &options);
            options.elf.build_id = BuildId::Bytes20;
            options.elf.relr = true;
            check(name, bytes, &options);
            options.elf.separate_debug_file = Some(tempfile::tempdir().unwrap().path().with_extension("debug"));
            check(name, bytes, &options);
            options.elf.separate_debug_file = None;
            for algorithm in [DebugCompression::Zlib, DebugCompression::Zstd] {
                options.elf.compress_debug = Some(algorithm);
                check(name, bytes, &options);
            }
        }
    }

    let mut windows = Options::julia(Target::WINDOWS_X86_64);
    let stubs = WindowsStubs::committed(WINDOWS_X86_64);
    windows.search_paths = vec![stubs.mingw, stubs.bin];
    (windows.allow_multiple_definition, windows.pe.auto_import) = (true, false);
    let mut macos = Options::julia(Target::MACOS_AARCH64);
    macos.search_paths = vec![MacosStubs::committed(MACOS_ARM64, Julia::V1_12).dir];
    macos.macho.platform_version = Some((0x000d_0301, 0x000d_0300));
    let others = [
        (WINDOWS_X86_64, windows, many_of("x86_64-w64-mingw32", "", 50_000)),
        (MACOS_ARM64, macos, many_of("arm64-apple-macos13", "_", 50_000)),
    ];
    for (target, mut options, many) in others {
        let wanted = "julia-1.12-llvm19-shards3";
        let entries = committed_for(target);
        let entry = entries.iter().find(|entry| entry.path.file_stem().is_some_and(|stem| stem == wanted));
        let archive = fs::read(&entry.expect(wanted).path).unwrap();
        for threads in [1, 2] {
            options.threads = NonZeroUsize::new(threads);
            check(&format!("{}, {wanted}", target.name), &archive, &options);
            check(&format!("{}, many functions", target.name), &many, &options);
        }
    }
}
