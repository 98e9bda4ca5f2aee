//! A bench: a directory in which sources are compiled, linked by the program and by a reference linker, compared and run.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

use pkgld_differ::compare::compare;
use pkgld_differ::image::Image;
use pkgld_differ::inputs::Inputs;
use pkgld_differ::rules::{self, Check, Rule, Side};

/// The first line of every C and C++ fixture: a check that fails makes the probe return its line.
const CHECK: &str = "#define CHECK(x) do { if (!(x)) return __LINE__; } while (0)\n";

/// Differences from the reference linker that are of its own making, in every link.
const ALWAYS: &[Rule] = &[
    rules::ASSEMBLER_LOCALS,
    rules::LINKER_SYMBOLS,
    rules::PLT_FRAMES,
    rules::RELRO_EXTENT,
    rules::BOOKKEEPING_ENTRIES,
    rules::GNU_OS_ABI,
    rules::STATED_ALIGNMENT,
    rules::SLOT_TABLES,
];

/// LLD's `--gc-sections` drops single strings, and lets debug information that names one refer to another.
const COLLECTED_STRINGS: Rule = Rule {
    name: "collected-strings",
    reason: "LLD's debug information refers to a place whose string it has not kept",
    allows: |finding| {
        finding.side == Side::Reference
            && finding.check == Check::Relocation
            && finding.subject.contains(":(.debug_")
            && finding.subject.contains(" .rodata.")
    },
};

/// What eu-elflint says of images that are as they should be, each with the reason.
const LINT_ALLOWED: &[(&str, &str)] = &[
    ("_GLOBAL_OFFSET_TABLE_ symbol size 0 does not match", "a label, which no linker gives a size"),
    ("_DYNAMIC symbol size 0 does not match", "a label, which no linker gives a size"),
    ("'.relr.dyn' has wrong type: expected REL", "SHT_RELR of the gABI is newer than the tool"),
    (
        "contains invalid processor-specific flag(s) 0x10000000",
        "SHF_X86_64_LARGE of the psABI, which the tool does not know",
    ),
    (
        "not fully contained in segment of program header entry",
        "the tool looks for zero-filled sections by file offset, where the protected segment's last page in memory overlaps",
    ),
    (
        "is writable but contains no writable sections",
        "the tool does not count zero-filled sections, of which alone a segment may consist; LLD's neither",
    ),
    ("thread-local data sections address not zero", "no TLS section has address 0 in a shared library; LLD's neither"),
    ("(__ehdr_start): st_value out of bounds", "the file header is in no section; LLD puts the symbol there, too"),
    ("(__dso_handle): st_value out of bounds", "the image's start is in no section"),
    ("_array_start): st_value out of bounds", "where an array that is not there begins: the image's start"),
    ("_array_end): st_value out of bounds", "where an array that is not there ends: the image's start"),
    (
        "symbol in dynamic symbol table with non-default visibility",
        "protected symbols are exported: gABI, Symbol Table",
    ),
];

/// A CPU that images are made for and run on: natively, or by an emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cpu {
    X86_64,
    X86,
    Aarch64,
    Arm,
    Riscv64,
    Ppc64,
}

/// Where this machine's C library is, of whose functions fixtures call some.
pub(crate) const LIBC: &str = Cpu::X86_64.libc();

impl Cpu {
    /// What is in front of the names of GCC's programs.
    fn gcc_prefix(self) -> &'static str {
        match self {
            Self::X86_64 => "",
            Self::X86 => "i686-linux-gnu-",
            Self::Aarch64 => "aarch64-linux-gnu-",
            Self::Arm => "arm-linux-gnueabihf-",
            Self::Riscv64 => "riscv64-linux-gnu-",
            Self::Ppc64 => "powerpc64le-linux-gnu-",
        }
    }

    /// Clang's flags.
    fn clang_flags(self) -> &'static str {
        match self {
            Self::X86_64 => "",
            Self::X86 => "--target=i686-linux-gnu -I/usr/i686-linux-gnu/include",
            Self::Aarch64 => "--target=aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include",
            Self::Arm => "--target=armv7-linux-gnueabihf -I/usr/arm-linux-gnueabihf/include",
            Self::Riscv64 => "--target=riscv64-linux-gnu -I/usr/riscv64-linux-gnu/include",
            Self::Ppc64 => "--target=powerpc64le-linux-gnu -I/usr/powerpc64le-linux-gnu/include",
        }
    }

    /// Where the C library is.
    pub(crate) const fn libc(self) -> &'static str {
        match self {
            Self::X86_64 => "-L/lib/x86_64-linux-gnu -lc",
            Self::X86 => "-L/usr/i686-linux-gnu/lib -lc",
            Self::Aarch64 => "-L/usr/aarch64-linux-gnu/lib -lc",
            Self::Arm => "-L/usr/arm-linux-gnueabihf/lib -lc",
            Self::Riscv64 => "-L/usr/riscv64-linux-gnu/lib -lc",
            Self::Ppc64 => "-L/usr/powerpc64le-linux-gnu/lib -lc",
        }
    }

    /// Where GCC's own libraries and start files are.
    fn gcc_directory(self) -> &'static str {
        match self {
            Self::X86_64 => "/usr/lib/gcc/x86_64-linux-gnu/12",
            Self::X86 => "/usr/lib/gcc-cross/i686-linux-gnu/12",
            Self::Aarch64 => "/usr/lib/gcc-cross/aarch64-linux-gnu/12",
            Self::Arm => "/usr/lib/gcc-cross/arm-linux-gnueabihf/12",
            Self::Riscv64 => "/usr/lib/gcc-cross/riscv64-linux-gnu/12",
            Self::Ppc64 => "/usr/lib/gcc-cross/powerpc64le-linux-gnu/12",
        }
    }

    /// The libraries of C++.
    pub(crate) fn standard(self) -> String {
        format!("-L{} {} -lstdc++ -lgcc_s -lc", self.gcc_directory(), self.libc())
    }

    /// What keeps the reference linker from shortening code as the program does not.
    fn plain_code(self) -> &'static str {
        match self {
            Self::X86_64 | Self::X86 | Self::Arm => "",
            Self::Aarch64 | Self::Riscv64 => "--no-relax",
            Self::Ppc64 => "--no-toc-optimize",
        }
    }

    /// What runs a program of a C library of this CPU, if it is not this machine's.
    fn runner(self) -> &'static str {
        match self {
            Self::X86_64 => "",
            // The loader by its path, since the program's own is not where it is looked for.
            Self::X86 => "qemu-i386-static -L /usr/i686-linux-gnu",
            // Every extension, landing pads among them; the quick kind of signatures.
            Self::Aarch64 => "qemu-aarch64-static -cpu max,pauth-impdef=on -L /usr/aarch64-linux-gnu",
            Self::Arm => "qemu-arm-static -L /usr/arm-linux-gnueabihf",
            Self::Riscv64 => "qemu-riscv64-static -L /usr/riscv64-linux-gnu",
            // Prefixed instructions too.
            Self::Ppc64 => "qemu-ppc64le-static -cpu power10 -L /usr/powerpc64le-linux-gnu",
        }
    }

    /// A compiler's command, said for this machine, for this CPU.
    pub(crate) fn compiler(self, line: &str) -> String {
        let (program, flags) = line.split_once(' ').unwrap_or((line, ""));
        match program {
            "gcc" | "g++" => {
                let program = format!("{}{program}", self.gcc_prefix());
                // Those of other CPUs are packages of their own, which may be there by chance.
                let install = include_str!("../install");
                assert!(
                    install.split_whitespace().any(|word| word == program),
                    "tests/install does not have {program}"
                );
                format!("{program} {flags}")
            }
            _ => format!("{program} {} {flags}", self.clang_flags()),
        }
    }
}

/// The reference linker: part of every Rust toolchain.
pub(crate) fn reference_linker() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc");
        let sysroot = String::from_utf8(sysroot.stdout).unwrap();
        Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld")
    })
}

/// The program that loads libraries and calls their probes, for a CPU.
fn driver(cpu: Cpu) -> PathBuf {
    static DRIVERS: Mutex<Option<(tempfile::TempDir, HashSet<Cpu>)>> = Mutex::new(None);
    let mut drivers = DRIVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let (directory, built) = drivers.get_or_insert_with(|| (tempfile::tempdir().unwrap(), HashSet::new()));
    let path = directory.path().join(format!("driver-{cpu:?}"));
    if built.insert(cpu) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elf/fixtures/driver.c");
        let compiler = format!("{}gcc", cpu.gcc_prefix());
        let built =
            Command::new(&compiler).args(["-O1", "-rdynamic", "-o"]).args([&path, &source]).arg("-ldl").output();
        succeeds(&built.unwrap_or_else(|error| panic!("{compiler}: {error}; tests/install installs it")));
    }
    path
}

/// What bytes say.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails with what a program said if it failed.
#[track_caller]
pub(crate) fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// A directory to work in.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
    cpu: Cpu,
}

impl Bench {
    /// For this machine.
    pub(crate) fn new() -> Self {
        Self::of(Cpu::X86_64)
    }

    /// For a CPU: what says `gcc`, `g++` or `clang` means its compilers.
    pub(crate) fn of(cpu: Cpu) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("ours")).unwrap();
        fs::create_dir(directory.path().join("lld")).unwrap();
        Self { directory, cpu }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a file there.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    /// The bytes of a file there.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a command line, split at spaces, in the directory.
    pub(crate) fn run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).env("LC_ALL", "C").env("LD_LIBRARY_PATH", ".").args(words);
        command.output().unwrap_or_else(|error| panic!("{program}: {error}; tests/install installs it"))
    }

    /// Runs a command line that must succeed; returns its standard output.
    #[track_caller]
    pub(crate) fn must(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Compiles C, C++ (`.cc`) or assembly (`.s`, `.S`) to an object file with position-independent code; returns its name.
    #[track_caller]
    pub(crate) fn compile(&self, compiler: &str, name: &str, source: &str) -> String {
        let check = if name.ends_with(".s") || name.ends_with(".S") { "" } else { CHECK };
        self.file(name, format!("{check}#line 1\n{source}").trim_start_matches("#line 1\n"));
        let object = format!("{}.o", name.split_once('.').map_or(name, |(stem, _)| stem));
        self.must(&format!("{} -fPIC -c -o {object} {name}", self.cpu.compiler(compiler)));
        object
    }

    /// Links a library of the fixture's surroundings, which is not under test, with the compiler's own linker.
    #[track_caller]
    pub(crate) fn library(&self, name: &str, flags: &str, source: &str) {
        let object = self.compile("gcc -O1", &format!("{name}.c"), source);
        self.must(&format!(
            "{}gcc -shared -o lib{name}.so -Wl,-soname,lib{name}.so {object} {flags}",
            self.cpu.gcc_prefix()
        ));
    }

    /// Runs the program.
    pub(crate) fn ours(&self, arguments: &str) -> Output {
        self.run(&format!("{} -flavor gnu {arguments}", env!("CARGO_BIN_EXE_pkgld")))
    }

    /// Links a shared library with the program, as `ours/NAME`, and with the reference linker, as `lld/NAME`.
    #[track_caller]
    pub(crate) fn link(&self, name: &str, arguments: &str) -> Pair<'_> {
        let ours = self.ours(&format!("-shared -o ours/{name} {arguments}"));
        assert!(ours.status.success(), "pkgld: {arguments}\n{}", text(&ours.stderr));
        let (lld, plain) = (reference_linker().display(), self.cpu.plain_code());
        self.must(&format!("{lld} -flavor gnu --eh-frame-hdr {plain} -shared -o lld/{name} {arguments}"));
        Pair { bench: self, name: name.to_owned(), arguments: arguments.to_owned() }
    }

    /// What the program says when it refuses a link: exit status 1, and no output.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &str) -> String {
        let output = self.ours(&format!("-shared -o ours/refused.so {arguments}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {said}");
        assert_eq!(text(&output.stdout), "");
        assert!(said.starts_with("pkgld: error: "), "{said}");
        assert!(!self.path("ours/refused.so").exists());
        said
    }

    /// Whether the CPU stops the process when libraries are loaded and their probes called.
    pub(crate) fn traps(&self, arguments: &str) -> bool {
        self.drive(arguments).status.code().is_none()
    }

    fn drive(&self, arguments: &str) -> Output {
        self.run(&format!("{} {} {arguments}", self.cpu.runner(), driver(self.cpu).display()))
    }

    /// Loads libraries and calls their probes; what the driver prints. Arguments as in `fixtures/driver.c`.
    #[track_caller]
    pub(crate) fn load(&self, arguments: &str) -> String {
        let output = self.drive(arguments);
        assert!(
            output.status.code().is_some(),
            "{arguments}: killed: {:?}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

/// A library linked by the program and by the reference linker.
pub(crate) struct Pair<'b> {
    bench: &'b Bench,
    name: String,
    arguments: String,
}

impl Pair<'_> {
    /// The program's library, relative to the bench.
    pub(crate) fn ours(&self) -> String {
        format!("ours/{}", self.name)
    }

    /// Checks that both mean the same, that readers of all makes are content with ours, and that both do the same when
    /// loaded: what the driver prints is `expected`.
    #[track_caller]
    pub(crate) fn is_right(&self, expected: &str) {
        self.means_the_same(&[]);
        self.reads_clean();
        self.prints("", expected);
    }

    /// Checks that both mean the same, apart from what the rules allow.
    #[track_caller]
    pub(crate) fn means_the_same(&self, more: &[Rule]) {
        // The comparison knows Thumb's instructions, and RISC-V's and POWER's, but not what compilers make of these sources:
        // code from which padding was deleted, and code that is entered in two states or at two places.
        if matches!(self.bench.cpu, Cpu::Arm | Cpu::Riscv64 | Cpu::Ppc64) {
            return;
        }
        let ours = self.bench.bytes(&self.ours());
        let lld = self.bench.bytes(&format!("lld/{}", self.name));
        let (lld, ours) = (Image::parse(&lld).unwrap(), Image::parse(&ours).unwrap());
        // This machine's code is compared instruction by instruction; that of others through the objects that it came from.
        let through = |name: &&str| name.ends_with(".o") && self.bench.cpu != Cpu::X86_64;
        let objects = self.arguments.split_whitespace().filter(through);
        let objects: Vec<(&str, Vec<u8>)> = objects.map(|name| (name, self.bench.bytes(name))).collect();
        let objects: Vec<(String, &[u8])> =
            objects.iter().map(|(name, bytes)| ((*name).to_owned(), &bytes[..])).collect();
        let inputs = (!objects.is_empty()).then(|| Inputs::parse(&objects, &[]).unwrap());
        // Code that is not compared by itself need not have been kept.
        let collects = self.arguments.contains("--gc-sections") && inputs.is_some();
        let collected: &[Rule] = if collects { &[rules::COLLECTED_SECTIONS, COLLECTED_STRINGS] } else { &[] };
        let report = compare(&lld, &ours, inputs.as_ref(), &[ALWAYS, collected, more].concat());
        assert!(report.is_equal(), "{}\n{report}", self.arguments);
    }

    /// Loads both, with flags of the driver and libraries in front; the driver must print `expected` for each.
    #[track_caller]
    pub(crate) fn prints(&self, before: &str, expected: &str) {
        for from in ["lld", "ours"] {
            let printed = self.bench.load(&format!("{before} {from}/{}", self.name));
            assert_eq!(printed, expected, "{from}: {}", self.arguments);
        }
    }

    /// Checks that readelf, llvm-readelf and eu-elflint find nothing to complain about.
    #[track_caller]
    pub(crate) fn reads_clean(&self) {
        reads_clean(self.bench, &self.ours());
    }
}

/// Checks that readelf, llvm-readelf and eu-elflint find nothing to complain about in a library.
#[track_caller]
pub(crate) fn reads_clean(bench: &Bench, library: &str) {
    for reader in ["readelf -aW", "llvm-readelf-19 -a"] {
        let output = bench.run(&format!("{reader} {library}"));
        let said = text(&output.stderr);
        let complains =
            |line: &&str| line.contains("Warning") || line.contains("warning:") || line.contains("<corrupt");
        let printed = text(&output.stdout);
        let faults: Vec<&str> = printed.lines().filter(complains).collect();
        assert!(output.status.success() && said.is_empty() && faults.is_empty(), "{reader}: {said}{faults:?}");
    }
    if bench.cpu != Cpu::X86_64 {
        return;
    }
    let bytes = bench.bytes(library);
    let image = Image::parse(&bytes).unwrap();
    let empty: Vec<String> = (image.file.sections.iter().filter(|section| section.size == 0))
        .map(|section| format!("'{}' is executable in nonexecutable segment", section.name))
        .collect();
    let output = bench.run(&format!("eu-elflint {library}"));
    let said = text(&output.stdout);
    let fault = |line: &&str| {
        // Offsets in the TLS block, which is what st_value is here, are taken for addresses.
        let thread_local = line.contains(" referenced section [") && line.contains("'.tbss'");
        // A section without a byte is taken for part of the segment that ends where it stands.
        let is_empty = empty.iter().any(|finding| line.contains(finding));
        *line != "No errors"
            && !is_empty
            && !thread_local
            && !LINT_ALLOWED.iter().any(|(allowed, _)| line.contains(allowed))
    };
    let faults: Vec<&str> = said.lines().filter(fault).collect();
    assert!(faults.is_empty(), "eu-elflint {library}:\n{}", faults.join("\n"));
}
