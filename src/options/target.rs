//! What images are made for.

/// The container of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Executable and Linkable Format: Linux and FreeBSD.
    Elf,
    /// Mach object: macOS.
    MachO,
    /// Portable Executable: Windows.
    Pe,
}

/// The instruction set of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// AMD64, 64-bit little-endian.
    X86_64,
    /// IA-32: i386 to i686, 32-bit little-endian.
    X86,
    /// AArch64 (Arm, 64-bit), little-endian.
    Aarch64,
    /// Arm, 32-bit little-endian: ARM and Thumb-2 code of ARMv7, EABI version 5.
    Arm,
    /// RISC-V, 64-bit little-endian.
    Riscv64,
    /// POWER, 64-bit little-endian, ELFv2 ABI.
    Ppc64,
}

/// The operating system that loads the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Os {
    /// Linux; ELF OSABI 0 (or 3 where an input says so).
    Linux,
    /// FreeBSD; ELF OSABI 9.
    FreeBsd,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// What the image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Container format.
    pub format: Format,
    /// Instruction set.
    pub arch: Arch,
    /// Operating system.
    pub os: Os,
}

impl Target {
    /// 64-bit x86 Linux.
    pub const LINUX_X86_64: Self = Self::elf(Arch::X86_64, Os::Linux);
    /// 32-bit x86 Linux.
    pub const LINUX_X86: Self = Self::elf(Arch::X86, Os::Linux);
    /// 64-bit Arm Linux.
    pub const LINUX_AARCH64: Self = Self::elf(Arch::Aarch64, Os::Linux);
    /// 32-bit Arm Linux.
    pub const LINUX_ARM: Self = Self::elf(Arch::Arm, Os::Linux);
    /// 64-bit RISC-V Linux.
    pub const LINUX_RISCV64: Self = Self::elf(Arch::Riscv64, Os::Linux);
    /// 64-bit little-endian POWER Linux.
    pub const LINUX_PPC64: Self = Self::elf(Arch::Ppc64, Os::Linux);
    /// 64-bit x86 FreeBSD.
    pub const FREEBSD_X86_64: Self = Self::elf(Arch::X86_64, Os::FreeBsd);
    /// 64-bit Arm FreeBSD.
    pub const FREEBSD_AARCH64: Self = Self::elf(Arch::Aarch64, Os::FreeBsd);
    /// 64-bit Arm macOS.
    pub const MACOS_AARCH64: Self = Self { format: Format::MachO, arch: Arch::Aarch64, os: Os::MacOs };
    /// 64-bit x86 macOS.
    pub const MACOS_X86_64: Self = Self { format: Format::MachO, arch: Arch::X86_64, os: Os::MacOs };
    /// 64-bit x86 Windows.
    pub const WINDOWS_X86_64: Self = Self { format: Format::Pe, arch: Arch::X86_64, os: Os::Windows };
    /// 32-bit x86 Windows.
    pub const WINDOWS_X86: Self = Self { format: Format::Pe, arch: Arch::X86, os: Os::Windows };
    /// 64-bit Arm Windows.
    pub const WINDOWS_AARCH64: Self = Self { format: Format::Pe, arch: Arch::Aarch64, os: Os::Windows };

    /// Whether images for it can be linked.
    pub(super) fn is_linked_for(self) -> bool {
        match self.format {
            Format::Elf => true,
            Format::Pe => matches!(self.arch, Arch::X86_64 | Arch::X86 | Arch::Aarch64),
            Format::MachO => matches!(self.arch, Arch::X86_64 | Arch::Aarch64),
        }
    }

    const fn elf(arch: Arch, os: Os) -> Self {
        Self { format: Format::Elf, arch, os }
    }
}
