//! Unwinding through the frames of an image, natively: with the unwinder of GCC's runtime, with nongnu libunwind, which
//! Julia uses, and with gdb.
//!
//! `unwind.c` loads an image with the corpus's stand-ins for Julia's libraries and walks the stack from a callback under
//! a chain of the image's functions. What it must find is read from the image by other means: where functions are from
//! `.symtab`, what `.eh_frame` describes by gimli.
//!
//! Each test runs on images linked by LLD too. That shows that a failure is the linker's and not the test's.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use gimli::UnwindSection as _;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Manifest, committed};

/// Who links the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linker {
    /// The LLD of the Rust toolchain.
    Lld,
    /// The program under test, which makes `.eh_frame_hdr` unasked.
    Pkgld,
}

const LINKERS: [Linker; 2] = [Linker::Lld, Linker::Pkgld];

/// Which unwinder `unwind.c` is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwinder {
    /// GCC's runtime, libgcc_s.
    Gcc,
    /// nongnu libunwind.
    Libunwind,
}

const UNWINDERS: [Unwinder; 2] = [Unwinder::Gcc, Unwinder::Libunwind];

/// A directory for what the tests make.
fn scratch() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unwind");
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn run(command: &mut Command, package: &str) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}: install the package {package}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

fn program(unwinder: Unwinder) -> &'static Path {
    static PROGRAMS: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
        UNWINDERS.map(|unwinder| {
            let output = scratch().join(format!("unwind-{unwinder:?}"));
            let mut compiler = Command::new("cc");
            compiler.args(["-g", "-O1", "-o"]).arg(&output);
            compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/unwind/unwind.c"));
            let package = match unwinder {
                Unwinder::Gcc => "gcc",
                Unwinder::Libunwind => "libunwind-dev",
            };
            if unwinder == Unwinder::Libunwind {
                compiler.args(["-DLIBUNWIND", "-lunwind"]);
            }
            let result = compiler.output().expect("`cc` does not start: install the package gcc");
            let errors = String::from_utf8_lossy(&result.stderr);
            assert!(result.status.success(), "{errors}\nif a header is missing: install the package {package}");
            output
        })
    });
    &PROGRAMS[unwinder as usize]
}

/// A linked image, and what other readers than unwinders say of it.
struct Image {
    path: PathBuf,
    stubs: Stubs,
    /// Functions by address.
    functions: BTreeMap<u64, String>,
    /// Length of the code that each frame description covers, by its start.
    described: BTreeMap<u64, u64>,
    /// Whether there is a table of lines.
    has_lines: bool,
    /// The depth to call with, and the frames of the image there are then.
    depth: u64,
    frames: usize,
}

impl Image {
    /// Links the archive of `manifest`.
    fn link(archive: &Path, manifest: &Manifest, linker: Linker) -> Self {
        let name = archive.file_stem().unwrap().to_str().unwrap();
        let path = scratch().join(format!("{name}-{linker:?}.so"));
        let stubs = Stubs::committed(manifest.julia);
        let mut command = match linker {
            Linker::Lld => {
                let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]), "rustc");
                let sysroot = String::from_utf8(sysroot.stdout).unwrap();
                let lld = format!("{}/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", sysroot.trim());
                let mut command = Command::new(lld);
                command.args(["-flavor", "gnu", "--eh-frame-hdr"]);
                command
            }
            Linker::Pkgld => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
                command.args(["-flavor", "gnu"]);
                command
            }
        };
        command.args(["-shared", "-o"]).arg(&path).arg("--whole-archive").arg(archive).arg("--no-whole-archive");
        command.arg("-L").arg(&stubs.dir).args(["-ljulia", "-ljulia-internal"]);
        run(&mut command, "rustup's toolchain");
        Self::read(path, stubs, manifest)
    }

    fn read(path: PathBuf, stubs: Stubs, manifest: &Manifest) -> Self {
        let bytes = fs::read(&path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let code = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
        let functions = code.map(|symbol| (symbol.address(), symbol.name().unwrap().to_owned())).collect();

        let section = file.section_by_name(".eh_frame").unwrap();
        let bases = gimli::BaseAddresses::default().set_eh_frame(section.address());
        let frames = gimli::EhFrame::new(section.data().unwrap(), gimli::LittleEndian);
        let mut entries = frames.entries(&bases);
        let mut described = BTreeMap::new();
        while let Some(entry) = entries.next().unwrap() {
            if let gimli::CieOrFde::Fde(fde) = entry {
                let fde = fde.parse(gimli::EhFrame::cie_from_offset).unwrap();
                described.insert(fde.initial_address(), fde.len());
            }
        }
        assert!(described.len() > 50, "{}: {} descriptions", path.display(), described.len());
        let unwind = manifest.unwind[0];
        let has_lines = file.section_by_name(".debug_line").is_some();
        Self { path, stubs, functions, described, has_lines, depth: unwind.arg, frames: unwind.frames as usize }
    }

    /// The address of the function at the start of the chain.
    fn entry(&self) -> u64 {
        let first = |name: &str| name.starts_with("julia_descend_") && !name.contains("again");
        *self.functions.iter().find(|(_, name)| first(name)).unwrap().0
    }

    /// The arguments of `unwind.c`.
    fn arguments(&self) -> [String; 5] {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (first, second) = (path(&self.stubs.libjulia), path(&self.stubs.libjulia_internal));
        [first, second, path(&self.path), format!("{:x}", self.entry()), self.depth.to_string()]
    }

    /// Runs `unwind.c` and gives it offsets to look up; returns its lines.
    fn unwind(&self, unwinder: Unwinder, lookups: &[u64]) -> Vec<String> {
        let mut command = Command::new(program(unwinder));
        command.args(self.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let offsets: String = lookups.iter().map(|offset| format!("{offset:x}\n")).collect();
        let mut stdin = child.stdin.take().unwrap();
        // A second thread writes, as both pipes could be full.
        let writer = std::thread::spawn(move || stdin.write_all(offsets.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let written = writer.join().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?}: {}\n{out}", output.status);
        written.unwrap();
        out.lines().map(str::to_owned).collect()
    }

    /// Walks the stack and checks each frame.
    fn check_frames(&self, unwinder: Unwinder) {
        let lines = self.unwind(unwinder, &[]);
        let what = || format!("{} {unwinder:?}:\n{}", self.path.display(), lines.join("\n"));
        let frames: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("frame ")).collect();
        // The callback, and the stub through which the image calls it (unless it was a tail call).
        let first = frames.iter().position(|frame| frame.starts_with("image")).unwrap_or_else(|| panic!("{}", what()));
        assert!(first <= 2, "{}", what());
        let main = frames.iter().position(|frame| *frame == "main").unwrap_or_else(|| panic!("{}", what()));
        let image = &frames[first..main];
        assert_eq!(image.len(), self.frames, "{}", what());
        for (index, frame) in image.iter().rev().enumerate() {
            let words: Vec<&str> = frame.split(' ').collect();
            let ["image", ip, start] = words[..] else { panic!("{}", what()) };
            let (ip, start) = (u64::from_str_radix(ip, 16).unwrap(), u64::from_str_radix(start, 16).unwrap());
            let name = self.functions.get(&start).unwrap_or_else(|| panic!("{start:x}: {}", what()));
            let again = index % 2 == 1;
            assert!(name.starts_with("julia_descend_") && name.contains("again") == again, "{name}: {}", what());
            assert!(start < ip && ip <= start + self.described[&start], "{name}: {}", what());
        }
        // The result came back through the image's frames.
        let returned = format!("returned {}", frames.len());
        assert!(lines.contains(&returned), "{}", what());
    }

    /// Looks every description up by addresses in it, and addresses that none covers.
    fn check_functions(&self, unwinder: Unwinder) {
        let mut expected = Vec::new();
        for (&start, &length) in self.described.iter().filter(|(_, length)| **length > 0) {
            for address in [start, start + length / 2, start + length - 1] {
                expected.push((address, Some(start)));
            }
        }
        let covered = |address: u64| {
            self.described.range(..=address).next_back().is_some_and(|(start, length)| address < start + length)
        };
        // Functions that cannot be unwound through have no description, and padding between functions has none.
        let without = self.functions.keys().copied().filter(|address| !covered(*address));
        let between = self.described.iter().map(|(start, length)| start + length).filter(|address| !covered(*address));
        expected.extend(without.chain(between).map(|address| (address, None)));
        let addresses: Vec<u64> = expected.iter().map(|(address, _)| *address).collect();
        let found = self.unwind(unwinder, &addresses);
        let found: Vec<&String> = found.iter().filter(|line| line.starts_with("function ")).collect();
        assert_eq!(found.len(), expected.len());
        for (line, (address, start)) in found.into_iter().zip(expected) {
            let start = start.map_or("none".to_owned(), |start| format!("{start:x}"));
            let wanted = format!("function {address:x} {start}");
            assert_eq!(*line, wanted, "{} {unwinder:?}", self.path.display());
        }
    }

    /// A copy whose `.eh_frame_hdr` says that it has no table.
    fn without_table(&self, manifest: &Manifest) -> Self {
        const OMITTED: u8 = 0xff;
        let mut bytes = fs::read(&self.path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let (offset, size) = file.section_by_name(".eh_frame_hdr").unwrap().file_range().unwrap();
        let (start, end) = (offset as usize, (offset + size) as usize);
        assert_eq!(bytes[start..start + 4], [1, 0x1b, 0x03, 0x3b], "{}", self.path.display());
        bytes[start + 2..start + 4].fill(OMITTED);
        bytes[start + 8..end].fill(0);
        let path = self.path.with_extension("no-table.so");
        fs::write(&path, bytes).unwrap();
        Self::read(path, self.stubs.clone(), manifest)
    }

    /// gdb's backtrace from the callback: a line for each frame, without addresses.
    fn backtrace(&self) -> Vec<String> {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set disable-randomization off"]);
        gdb.args(["-ex", "set width 0", "-ex", "break callback", "-ex", "run", "-ex", "backtrace", "--args"]);
        gdb.arg(program(Unwinder::Gcc)).args(self.arguments()).stdin(Stdio::null());
        let output = String::from_utf8(run(&mut gdb, "gdb").stdout).unwrap();
        let frames = output.lines().filter(|line| line.starts_with('#'));
        // «#1  0x00007f… in name (arguments) at file:line».
        frames.map(|line| line.split_once(" in ").map_or(line, |(_, frame)| frame).to_owned()).collect()
    }
}

/// An archive's images, one for each linker.
struct Case {
    manifest: Manifest,
    images: [Image; 2],
}

/// Every committed archive for this host.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let host = committed().into_iter().filter(|entry| entry.manifest.target == "linux-x86_64");
    let cases = host.map(|entry| {
        let images = LINKERS.map(|linker| Image::link(&entry.path, &entry.manifest, linker));
        Case { manifest: entry.manifest, images }
    });
    let cases: Vec<Case> = cases.collect();
    assert!(cases.len() >= 5, "{} archives", cases.len());
    cases
});

fn for_each_image(check: impl Fn(&Image, &Manifest, Unwinder)) {
    for Case { manifest, images } in CASES.iter() {
        for image in images {
            UNWINDERS.into_iter().for_each(|unwinder| check(image, manifest, unwinder));
        }
    }
}

#[test]
fn stacks_are_walked_through_the_image() {
    for_each_image(|image, _, unwinder| image.check_frames(unwinder));
}

#[test]
fn every_function_is_found_by_its_addresses() {
    for_each_image(|image, _, unwinder| image.check_functions(unwinder));
}

/// What an image gets whose code is too far from the table: unwinders then go from record to record, and see whether
/// `.eh_frame` is one list without a terminator but at its end.
#[test]
fn without_a_table_records_are_searched_in_order() {
    for_each_image(|image, manifest, unwinder| {
        let image = image.without_table(manifest);
        image.check_frames(unwinder);
        image.check_functions(unwinder);
    });
}

#[test]
fn the_debugger_names_function_file_and_line() {
    let mut with_lines = 0;
    for Case { images, .. } in CASES.iter() {
        assert_eq!(images[0].has_lines, images[1].has_lines, "{}", images[1].path.display());
        let own = images.each_ref().map(|image| {
            let frames = image.backtrace();
            let what = || format!("{}:\n{}", image.path.display(), frames.join("\n"));
            assert!(frames.last().is_some_and(|frame| frame.starts_with("main (")), "{}", what());
            let own = frames.iter().filter(|frame| frame.starts_with("julia_descend_"));
            // Without debug information the image is named in place of the source.
            let own: Vec<String> = own.map(|frame| frame.split(" from ").next().unwrap().to_owned()).collect();
            assert_eq!(own.len(), image.frames, "{}", what());
            let has_line = |frame: &String| {
                let line = frame.rsplit_once(".jl:").map(|(_, line)| line.parse::<u32>());
                line.is_some_and(|line| line.is_ok_and(|line| line > 0))
            };
            assert!(own.iter().all(|frame| has_line(frame) == image.has_lines), "{}", what());
            own
        });
        assert_eq!(own[0], own[1], "{}", images[1].path.display());
        with_lines += usize::from(images[0].has_lines);
    }
    assert!(with_lines >= 5, "{with_lines} archives with debug information");
}
