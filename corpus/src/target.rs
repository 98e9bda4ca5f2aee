//! What the generated code runs on.

use crate::julia::Julia;

/// A platform of Julia: the triple and what Julia's target machine is set to there.
///
/// Adding a platform means adding a constant here, and, where its assembly or object format differs, the places that
/// match on [`Target::cpu`] and [`Target::format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Julia's name of the platform, and of its folder in the corpus: `linux-x86_64`.
    pub name: &'static str,
    /// LLVM's target triple; [`Target::triple`] has the one of a version of Julia.
    pub triple: &'static str,
    /// Its family of processors.
    pub cpu: Cpu,
    /// The form of its objects and images.
    pub format: Format,
    /// Whether the platform has glibc's `__sigsetjmp`.
    pub sigsetjmp: bool,
    /// The value of `EI_OSABI` in its objects.
    pub osabi: u8,
}

/// A family of processors, as far as the generator tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// x86-64.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, version 7 with hardware floating point.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit PowerPC, little endian.
    Ppc64,
}

/// An object format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Linux and FreeBSD.
    Elf,
    /// macOS.
    MachO,
    /// Windows.
    Coff,
}

/// Linux on x86-64.
pub const LINUX_X86_64: Target = Target {
    name: "linux-x86_64",
    triple: "x86_64-unknown-linux-gnu",
    cpu: Cpu::X86_64,
    format: Format::Elf,
    sigsetjmp: true,
    osabi: 0,
};

/// FreeBSD on x86-64.
pub const FREEBSD_X86_64: Target =
    Target { name: "freebsd-x86_64", triple: "x86_64-unknown-freebsd", sigsetjmp: false, osabi: 9, ..LINUX_X86_64 };

/// Linux on 32-bit x86.
pub const LINUX_I686: Target =
    Target { name: "linux-i686", triple: "i686-unknown-linux-gnu", cpu: Cpu::X86, ..LINUX_X86_64 };

/// Linux on 64-bit Arm.
pub const LINUX_AARCH64: Target =
    Target { name: "linux-aarch64", triple: "aarch64-unknown-linux-gnu", cpu: Cpu::Aarch64, ..LINUX_X86_64 };

/// FreeBSD on 64-bit Arm.
pub const FREEBSD_AARCH64: Target =
    Target { name: "freebsd-aarch64", triple: "aarch64-unknown-freebsd", cpu: Cpu::Aarch64, ..FREEBSD_X86_64 };

/// Linux on 32-bit Arm.
pub const LINUX_ARMV7: Target =
    Target { name: "linux-armv7", triple: "armv7l-unknown-linux-gnueabihf", cpu: Cpu::Arm, ..LINUX_X86_64 };

/// Linux on 64-bit RISC-V.
pub const LINUX_RISCV64: Target =
    Target { name: "linux-riscv64", triple: "riscv64-unknown-linux-gnu", cpu: Cpu::Riscv64, ..LINUX_X86_64 };

/// Linux on 64-bit PowerPC, little endian, ELFv2.
pub const LINUX_PPC64LE: Target =
    Target { name: "linux-ppc64le", triple: "powerpc64le-unknown-linux-gnu", cpu: Cpu::Ppc64, ..LINUX_X86_64 };

/// macOS on Intel's processors.
pub const MACOS_X86_64: Target = Target {
    name: "macos-x86_64",
    triple: "x86_64-apple-macosx10.14.0",
    format: Format::MachO,
    sigsetjmp: false,
    ..LINUX_X86_64
};

/// macOS on Apple's processors.
pub const MACOS_ARM64: Target =
    Target { name: "macos-arm64", triple: "arm64-apple-macosx11.0.0", cpu: Cpu::Aarch64, ..MACOS_X86_64 };

/// Windows on x86-64.
pub const WINDOWS_X86_64: Target = Target {
    name: "windows-x86_64",
    triple: "x86_64-w64-windows-gnu",
    format: Format::Coff,
    sigsetjmp: false,
    ..LINUX_X86_64
};

/// Windows on 32-bit x86.
pub const WINDOWS_I686: Target =
    Target { name: "windows-i686", triple: "i686-w64-windows-gnu", cpu: Cpu::X86, ..WINDOWS_X86_64 };

/// Windows on 64-bit Arm, for which no Julia is built yet: as the one for x86-64 would be.
pub const WINDOWS_AARCH64: Target =
    Target { name: "windows-aarch64", triple: "aarch64-w64-windows-gnu", cpu: Cpu::Aarch64, ..WINDOWS_X86_64 };

/// All platforms that the generator knows.
pub const ALL: &[Target] = &[
    LINUX_X86_64,
    FREEBSD_X86_64,
    LINUX_I686,
    LINUX_AARCH64,
    FREEBSD_AARCH64,
    LINUX_ARMV7,
    LINUX_RISCV64,
    LINUX_PPC64LE,
    MACOS_ARM64,
    MACOS_X86_64,
    WINDOWS_X86_64,
    WINDOWS_I686,
    WINDOWS_AARCH64,
];

impl Cpu {
    /// What `llc` gets so that it generates code for the baseline that Julia does.
    pub(crate) fn llc_arguments(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["-mcpu=x86-64"],
            Self::X86 => &["-mcpu=pentium4"],
            Self::Aarch64 | Self::Arm => &["-mcpu=generic"],
            Self::Riscv64 => &["-mcpu=generic-rv64", "-mattr=+m,+a,+f,+d,+c", "-target-abi=lp64d"],
            Self::Ppc64 => &["-mcpu=pwr8"],
        }
    }

    /// The second CPU target of multi-versioned images: its name, and its features as an LLVM attribute.
    pub(crate) fn clone_target(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("x86-64-v2", "+cx16,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3"),
            Self::X86 => ("nocona", "+sse3"),
            Self::Aarch64 => ("cortex-a76", "+crc,+lse"),
            Self::Arm => ("cortex-a15", "+hwdiv,+hwdiv-arm"),
            Self::Riscv64 => ("generic-rv64", "+zba,+zbb"),
            Self::Ppc64 => ("pwr9", "+power9-vector"),
        }
    }

    /// The size of a pointer in bytes.
    pub(crate) fn pointer(self) -> u64 {
        if matches!(self, Self::X86 | Self::Arm) { 4 } else { 8 }
    }

    /// LLVM's integer type of that size.
    pub(crate) fn word(self) -> &'static str {
        if self.pointer() == 4 { "i32" } else { "i64" }
    }

    /// The bits of a number that fit into such a word.
    pub(crate) fn word_mask(self) -> u64 {
        if self.pointer() == 4 { 0xffff_ffff } else { u64::MAX }
    }

    /// Bytes that an exception handler of the stub runtime keeps for `sigsetjmp`; more than any glibc wants there.
    pub(crate) fn handler_buffer(self) -> u64 {
        if self == Self::X86_64 { 256 } else { 1024 }
    }
}

impl Target {
    /// The platform of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|target| target.name == name)
    }

    /// The triple that Julia's code generator is set to. Before 1.11 those of macOS had no version of the system, so
    /// that objects had no `LC_BUILD_VERSION`.
    pub fn triple(self, julia: Julia) -> &'static str {
        match self.format {
            Format::MachO if julia < Julia::V1_11 && self.cpu == Cpu::Aarch64 => "arm64-apple-darwin",
            Format::MachO if julia < Julia::V1_11 => "x86_64-apple-darwin",
            _ => self.triple,
        }
    }

    /// What a C name becomes in the symbol table: with an underscore before it or not.
    pub(crate) fn decorated(self, name: &str) -> String {
        let underscore = self.format == Format::MachO || (self.format, self.cpu) == (Format::Coff, Cpu::X86);
        if underscore { format!("_{name}") } else { name.to_owned() }
    }

    /// The relocation model that `llc` is to use. Julia asks for none on macOS and Windows; these are LLVM's defaults.
    pub(crate) fn relocation_model(self) -> &'static str {
        if (self.format, self.cpu) == (Format::Coff, Cpu::X86) { "static" } else { "pic" }
    }

    /// Alignment in bytes of `jl_system_image_data`: from 1.13 that of a page.
    pub fn heap_align(self, julia: Julia) -> u64 {
        match (self.format, self.cpu) {
            (Format::MachO, Cpu::Aarch64) if julia >= Julia::V1_13 => 16384,
            _ => julia.heap_align(),
        }
    }

    /// Whether functions have a personality of the runtime's, which sees the exceptions that pass them.
    pub(crate) fn personality(self) -> bool {
        self.format == Format::Coff && self.cpu.pointer() == 8
    }

    /// How a half-precision number is passed to the runtime's conversions.
    pub(crate) fn half(self, llvm: u32) -> Half {
        // LLVM 16 went back to integer registers for x86-64 macOS, and Julia to functions of other names there.
        match (self.format, self.cpu) {
            (Format::MachO, Cpu::X86_64) if llvm >= 16 => Half::Integer { darwin: true },
            _ if llvm < 15 => Half::Integer { darwin: false },
            _ => Half::Register,
        }
    }

    /// The code model that Julia's `jl_dump_native` asks for: medium on x86-64 Linux from 1.11, on RISC-V from 1.12 and
    /// on PowerPC, small else.
    pub fn code_model(self, julia: Julia) -> &'static str {
        let medium = match self.cpu {
            Cpu::X86_64 => self == LINUX_X86_64 && julia >= Julia::V1_11,
            Cpu::Riscv64 => julia >= Julia::V1_12,
            Cpu::Ppc64 => true,
            Cpu::X86 | Cpu::Aarch64 | Cpu::Arm => false,
        };
        if medium { "medium" } else { "small" }
    }

    /// The platform whose stub libraries its images run with: FreeBSD's images, whose `EI_OSABI` a test patches to run
    /// them, take Linux's, to which they are linked, and so do macOS', whose loader is the tests' own.
    pub fn stubs(self) -> Self {
        if self.format == Format::Coff {
            return self;
        }
        let linux =
            ALL.iter().find(|target| target.cpu == self.cpu && target.format == Format::Elf && target.osabi == 0);
        *linux.expect("each family of processors has its Linux")
    }

    /// The C compiler for it on an x86-64 machine, and its Debian package.
    pub fn compiler(self) -> (&'static str, &'static str) {
        match self.cpu {
            Cpu::X86_64 => ("cc", "gcc"),
            Cpu::X86 => ("i686-linux-gnu-gcc", "gcc-i686-linux-gnu"),
            Cpu::Aarch64 => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
            Cpu::Arm => ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
            Cpu::Riscv64 => ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
            Cpu::Ppc64 => ("powerpc64le-linux-gnu-gcc", "gcc-powerpc64le-linux-gnu"),
        }
    }

    /// How the definition of `jl_system_image_data` asks for a place out of the way of 32-bit relocations:
    /// by section name with LLVM 16, by the variable's own code model from LLVM 18, not at all before.
    pub fn heap_placement(self, julia: Julia, llvm: u32) -> HeapPlacement {
        if llvm >= 18 {
            HeapPlacement::CodeModel
        } else if julia >= Julia::V1_11 && self.name == "linux-x86_64" {
            HeapPlacement::Section
        } else {
            HeapPlacement::Ordinary
        }
    }
}

/// See [`Target::half`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// As LLVM's `half`.
    Register,
    /// As `i16`; `darwin` says that the functions are called `julia_half_to_float` and so on.
    Integer { darwin: bool },
}

/// See [`Target::heap_placement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapPlacement {
    /// In `.data` with everything else.
    Ordinary,
    /// `section ".ldata"`, which LLVM 16 gives no `SHF_X86_64_LARGE`.
    Section,
    /// `code_model "large"`.
    CodeModel,
}
