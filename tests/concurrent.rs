//! Many links at once in one process, of different targets and of the same inputs, and links in different surroundings: each
//! makes the bytes that it makes alone. The module that maps files works under valgrind.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use pkgld::{BuildId, Input, Inputs, Options};
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::{ALL, Format};
use pkgld_corpus::{Entry, command_line, committed_for};

/// Threads that link at once, and how many links each makes.
const THREADS: usize = 40;
const EACH: usize = 6;

/// A link: what everybody shares.
struct Job {
    entry: Entry,
    archive: Vec<u8>,
    beside: Vec<Vec<u8>>,
    image: Vec<u8>,
}

impl Job {
    fn new(entry: Entry) -> Self {
        let archive = fs::read(&entry.path).unwrap();
        let beside = match entry.target.format {
            Format::Coff => {
                let stubs = WindowsStubs::committed(entry.target);
                let files = [stubs.bin, stubs.mingw].into_iter().flat_map(|directory| fs::read_dir(directory).unwrap());
                let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
                paths.sort();
                paths.iter().map(|path| fs::read(path).unwrap()).collect()
            }
            _ => Vec::new(),
        };
        let mut job = Self { entry, archive, beside, image: Vec::new() };
        job.image = job.link(0);
        job
    }

    /// Links as the `number`th to do so: from memory or from the file, on one thread or several.
    fn link(&self, number: usize) -> Vec<u8> {
        let mut options = Options::default();
        options.elf.build_id = BuildId::Bytes20;
        options.threads = NonZeroUsize::new(1 + number % 3);
        options.read_inputs = number % 4 == 1;
        let archive = match number % 2 {
            // Mach-O images tell debuggers where the archive is.
            0 => Input::bytes(self.entry.path.display().to_string(), &self.archive),
            _ => Input::path(&self.entry.path),
        };
        let mut inputs = vec![archive.whole_archive()];
        inputs.extend(self.beside.iter().map(|bytes| Input::bytes("library", bytes)));
        let inputs = Inputs::open(inputs, &options).unwrap();
        let image =
            pkgld::link(&inputs, &options).unwrap_or_else(|error| panic!("{}: {error}", self.entry.path.display()));
        image.to_vec().unwrap().0
    }
}

#[test]
fn concurrent_links_do_not_disturb_each_other() {
    let mut jobs: Vec<Job> = ALL.iter().map(|target| Job::new(committed_for(*target).pop().unwrap())).collect();
    jobs.extend(committed_for(ALL[0]).into_iter().map(Job::new));
    let formats: BTreeSet<_> = jobs.iter().map(|job| format!("{:?}", job.entry.target.format)).collect();
    assert_eq!(formats.len(), 3, "{formats:?}");
    let (jobs, start) = (&jobs, &Barrier::new(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    // Neighbours link the same thing, from the same bytes.
                    let job = &jobs[(thread / 2 + number) % jobs.len()];
                    let image = job.link(thread + number);
                    assert!(image == job.image, "{}: other bytes than alone", job.entry.path.display());
                }
            });
        }
    });
}

/// Links that are large enough to be done on several threads (`src/workers.rs`) make the bytes that one thread makes: many copies
/// of an archive, in which functions have other names. Of other definitions the first ones hold.
#[test]
fn the_threads_of_one_link_do_not_show() {
    for job in ALL.iter().map(|target| Job::new(committed_for(*target).pop().unwrap())) {
        let name = job.entry.path.display();
        // Names of the runtime stay.
        let is_own = |place: &usize| {
            !["julia__", "julia_pers"].iter().any(|it| job.archive[*place..].starts_with(it.as_bytes()))
        };
        let places: Vec<_> = memchr::memmem::find_iter(&job.archive, b"julia_").filter(is_own).collect();
        let copy = |number| {
            let mut copy = job.archive.clone();
            for place in &places {
                copy[*place..][..5].copy_from_slice(format!("{number:05}").as_bytes());
            }
            copy
        };
        let copies: Vec<_> = (0..(9 << 20) / job.archive.len()).map(copy).collect();
        // Debug information in the image; in a file beside it; without what nothing refers to.
        for (aside, gc_sections) in [(false, false), (true, false), (false, true)] {
            let linked = |threads: usize| {
                let mut options = Options::default();
                options.threads = NonZeroUsize::new(threads);
                options.allow_multiple_definition = true;
                options.gc_sections = gc_sections;
                options.elf.build_id = BuildId::Bytes20;
                options.elf.separate_debug_file = aside.then(|| "image.debug".into());
                options.macho.dsym = aside.then(|| "image.dSYM".into());
                let inputs = copies.iter().map(|copy| Input::bytes("copy", copy).whole_archive());
                let libraries = job.beside.iter().map(|bytes| Input::bytes("library", bytes));
                let inputs = Inputs::open(inputs.chain(libraries).collect(), &options).unwrap();
                let image = pkgld::link(&inputs, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
                let (bytes, report) = image.to_vec().unwrap();
                let companion = image.companion().map(|companion| companion.to_vec().unwrap());
                assert_eq!(companion.is_some(), aside && job.entry.target.format != Format::Coff, "{name}");
                (bytes, companion, report.exports, report.warnings)
            };
            let one = linked(1);
            assert!(gc_sections || one.0.len() > 2 << 20, "{name}: {} bytes", one.0.len());
            for threads in [2, 5] {
                assert!(one == linked(threads), "{name}: other bytes on {threads} threads");
            }
        }
    }
}

/// The arguments that Julia gives for the last archive of each format.
fn command_lines(output: &Path) -> Vec<Vec<OsString>> {
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for target in ALL {
        if !seen.contains(&target.format) {
            seen.push(target.format);
            let entry = committed_for(*target).into_iter().find(|entry| entry.julia.name() == "1.14").unwrap();
            lines.push(command_line::arguments(&entry, output));
        }
    }
    assert_eq!(lines.len(), 3);
    lines
}

/// The image that the program makes in some surroundings.
fn image_of(output: &Path, command: &mut Command) -> Vec<u8> {
    let result = command.output().unwrap();
    let text = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success() && text.is_empty(), "{command:?}: {text}");
    let bytes = fs::read(output).unwrap();
    fs::remove_file(output).unwrap();
    bytes
}

#[test]
fn surroundings_do_not_show() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    for line in command_lines(&output) {
        let program = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
            command.args(&line);
            command
        };
        let plain = image_of(&output, &mut program());
        let mut others: Vec<Command> = (0..5).map(|_| program()).collect();
        others[0].current_dir("/");
        others[1].env_clear();
        others[2].envs([
            ("LC_ALL", "tr_TR.UTF-8"),
            ("TZ", "Asia/Kolkata"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("TMPDIR", "/"),
        ]);
        others[3].arg("--threads=7");
        if line.iter().any(|word| word == "darwin") {
            others[3] = program();
        }
        others[4] = Command::new("sh");
        others[4].args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_pkgld")]).args(&line);
        for command in &mut others {
            assert!(image_of(&output, command) == plain, "{command:?}: other bytes");
        }
        // Another time, in another place.
        let elsewhere = tempfile::tempdir().unwrap();
        let moved = elsewhere.path().join("other");
        let line = line.iter().map(|word| if *word == output { moved.clone().into() } else { word.clone() });
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        assert!(image_of(&moved, command.args(line)) == plain, "other bytes under another name");
    }
}

#[test]
fn the_program_makes_what_the_library_makes() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    for target in ALL.iter().filter(|target| target.format == Format::Elf) {
        let entry = committed_for(*target).pop().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        command.args(["-flavor", "gnu", "-shared", "-o"]).arg(&output).arg("--build-id=sha1");
        let image = image_of(&output, command.arg("--whole-archive").arg(&entry.path));
        assert!(image == Job::new(entry).image, "{}", target.name);
    }
}

/// Neither a byte that was never written nor one beyond a mapping is read, and nothing is lost.
#[test]
#[ignore = "needs the package valgrind"]
fn links_under_valgrind() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    for line in command_lines(&output) {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        image_of(&output, command.arg(env!("CARGO_BIN_EXE_pkgld")).args(&line));
    }
}
