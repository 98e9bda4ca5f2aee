//! What is known of each CPU: relocation kinds, instruction encodings, stub templates.
//!
//! Each CPU has a module with functions of the same names; the matches on [`Arch`] that choose among them stand here and
//! in the format rooms that call them.

pub(crate) mod aarch64;
pub(crate) mod arm;
pub(crate) mod ppc64;
pub(crate) mod riscv64;
pub(crate) mod x86;
pub(crate) mod x86_64;

use object::elf;

use crate::options::Arch;
use crate::reloc::{Field, Value};
use crate::thunks::Branch;

/// The width of addresses in an ELF file: its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    /// `ELFCLASS32`.
    B32,
    /// `ELFCLASS64`.
    B64,
}

impl Bits {
    /// This for a file of 32 bits, that for one of 64.
    pub(crate) const fn choose(self, narrow: u64, wide: u64) -> u64 {
        match self {
            Self::B32 => narrow,
            Self::B64 => wide,
        }
    }

    /// Size of an address, in bytes.
    pub(crate) const fn word(self) -> u64 {
        self.choose(4, 8)
    }
}

/// What offsets from the GOT count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GotBase {
    /// The start of `.got.plt`.
    GotPlt,
    /// This many bytes into `.got`.
    Got(u64),
}

/// What an ELF image for a CPU looks like.
#[derive(Debug)]
pub(crate) struct ElfMachine {
    /// `e_machine`.
    pub(crate) machine: elf::Machine,
    /// What people call it.
    pub(crate) name: &'static str,
    /// How BFD's names of its file formats start, which linker scripts use.
    pub(crate) bfd_name: &'static str,
    /// Its class.
    pub(crate) bits: Bits,
    /// The loader's relocations hold their addends (`DT_RELA`); else the fields do (`DT_REL`).
    pub(crate) rela: bool,
    /// The largest page size of its systems, in bytes.
    pub(crate) page: u64,
    /// The relocation kinds that its loader resolves.
    pub(crate) dynamic: ElfDynamicKinds,
    /// Words at the start of `.got` that are no symbol's.
    pub(crate) got_header: u32,
    /// Words at the start of `.got.plt` that are no symbol's. Of three, the first holds the address of the dynamic section.
    pub(crate) got_plt_header: u32,
    /// What `_GLOBAL_OFFSET_TABLE_` is, and offsets from the GOT count from.
    pub(crate) got_base: GotBase,
    /// Subtracted from offsets in a module's TLS block, so that signed displacements reach more of it.
    pub(crate) tls_bias: u64,
    /// Size of the PLT's first entry, in bytes.
    pub(crate) plt_header_size: u64,
    /// Size of each further entry of the PLT, and of each that jumps through the GOT, in bytes.
    pub(crate) plt_entry_size: u64,
    /// A filler for gaps in code: an instruction that traps, so that running into one is noticed.
    pub(crate) trap: &'static [u8],
    /// A filler for gaps in code that runs through them: an instruction that does nothing.
    pub(crate) nop: &'static [u8],
}

/// The numbers of the relocation kinds that an ELF loader resolves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ElfDynamicKinds {
    /// Image base + A.
    pub(crate) relative: u32,
    /// S + A, in a word of data.
    pub(crate) absolute: u32,
    /// S, in a GOT slot.
    pub(crate) got: u32,
    /// S, in a slot of a PLT entry, which may wait for the first call.
    pub(crate) plt: u32,
    /// What the function at image base + A returns.
    pub(crate) indirect: u32,
    /// The TLS module of S.
    pub(crate) tls_module: u32,
    /// The offset of S in its module's TLS block.
    pub(crate) tls_offset: u32,
    /// The offset of S from the thread pointer.
    pub(crate) tls_static: u32,
    /// The TLS descriptor of S, two words.
    pub(crate) tls_descriptor: u32,
}

/// The CPUs that ELF images can be made for.
const ELF_CPUS: [Arch; 6] = [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm, Arch::Riscv64, Arch::Ppc64];

impl ElfMachine {
    /// Of a CPU.
    pub(crate) fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::X86_64 => &x86_64::ELF,
            Arch::X86 => &x86::ELF,
            Arch::Aarch64 => &aarch64::ELF,
            Arch::Arm => &arm::ELF,
            Arch::Riscv64 => &riscv64::ELF,
            Arch::Ppc64 => &ppc64::ELF,
        }
    }

    /// The CPU with an `e_machine`, in files of a class.
    pub(crate) fn find(machine: elf::Machine, bits: Bits) -> Option<Arch> {
        let is = |arch: &Arch| (Self::of(*arch).machine, Self::of(*arch).bits) == (machine, bits);
        ELF_CPUS.into_iter().find(is)
    }
}

/// What a CPU's table says of a relocation kind of ELF objects; `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(arch: Arch, kind: u32) -> Option<(Value, Field)> {
    match arch {
        Arch::X86_64 => x86_64::elf_reloc(kind),
        Arch::X86 => x86::elf_reloc(kind),
        Arch::Aarch64 => aarch64::elf_reloc(kind),
        Arch::Arm => arm::elf_reloc(kind),
        Arch::Riscv64 => riscv64::elf_reloc(kind),
        Arch::Ppc64 => ppc64::elf_reloc(kind),
    }
}

/// Why objects of a kind that the table does not know cannot be linked, where more can be said than that.
pub(crate) fn elf_reloc_refusal(arch: Arch, kind: u32) -> Option<&'static str> {
    match arch {
        Arch::Aarch64 => aarch64::elf_reloc_refusal(kind),
        Arch::Arm => arm::elf_reloc_refusal(kind),
        Arch::Riscv64 => riscv64::elf_reloc_refusal(kind),
        Arch::Ppc64 => ppc64::elf_reloc_refusal(kind),
        _ => None,
    }
}

/// The psABI's name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(arch: Arch, kind: u32) -> String {
    match arch {
        Arch::X86_64 => x86_64::elf_reloc_name(kind),
        Arch::X86 => x86::elf_reloc_name(kind),
        Arch::Aarch64 => aarch64::elf_reloc_name(kind),
        Arch::Arm => arm::elf_reloc_name(kind),
        Arch::Riscv64 => riscv64::elf_reloc_name(kind),
        Arch::Ppc64 => ppc64::elf_reloc_name(kind),
    }
}

/// Where the tables of calls and slots of an image stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PltPlace {
    /// The address of `.plt`.
    pub(crate) plt: u64,
    /// The address of `.got.plt`.
    pub(crate) got_plt: u64,
    /// The GOT base.
    pub(crate) got: u64,
}

/// A PLT entry that is bound at its first call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LazyEntry {
    /// The address of the entry.
    pub(crate) address: u64,
    /// The address of its slot in `.got.plt`.
    pub(crate) slot: u64,
    /// The index of the slot's relocation among those of the PLT.
    pub(crate) index: u32,
}

/// How far branches of a CPU reach, and where thunks for those that do not are put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// The distance in bytes, forwards and backwards, that every branch covers: an image with less code than this needs no
    /// thunks.
    pub(crate) bytes: u64,
    /// The most bytes of code between two islands of thunks, as far as its sections can be kept apart.
    pub(crate) spacing: u64,
    /// Thunks do more than that, so that they are looked for in every image.
    pub(crate) always: bool,
}

/// The reach of a CPU's branches; `None` for one that has no thunks.
pub(crate) fn reach(arch: Arch) -> Option<Reach> {
    match arch {
        Arch::Aarch64 => Some(aarch64::REACH),
        Arch::Arm => Some(arm::REACH),
        Arch::Ppc64 => Some(ppc64::REACH),
        _ => None,
    }
}

/// What a thunk does: each CPU has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ThunkKind {
    /// Of AArch64.
    Aarch64(aarch64::Thunk),
    /// Of Arm.
    Arm(arm::Thunk),
    /// Of POWER.
    Ppc64(ppc64::stubs::Thunk),
}

impl ThunkKind {
    /// Size in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Aarch64(thunk) => thunk.size(),
            Self::Arm(thunk) => thunk.size(),
            Self::Ppc64(_) => ppc64::stubs::STUB_SIZE,
        }
    }

    /// How far it can lead, in bytes.
    pub(crate) fn reach(self) -> u64 {
        match self {
            Self::Aarch64(thunk) => thunk.reach(),
            Self::Arm(_) => 1 << 32,
            Self::Ppc64(thunk) => thunk.reach(),
        }
    }

    /// The name of the symbol that tells readers what follows: instructions, of which kind, or data (the ELF ABIs of AArch64
    /// and Arm, *Mapping symbols*). Other ABIs have none.
    pub(crate) fn mark(self) -> Option<&'static str> {
        match self {
            Self::Aarch64(_) => Some(aarch64::CODE_MARK),
            Self::Arm(thunk) => Some(thunk.mark()),
            Self::Ppc64(_) => None,
        }
    }

    /// What the names of its symbols start with, as LLD names them; the target's name follows.
    pub(crate) fn symbol_prefix(self) -> &'static str {
        match self {
            Self::Aarch64(thunk) => thunk.symbol_prefix(),
            Self::Arm(thunk) => thunk.symbol_prefix(),
            Self::Ppc64(thunk) => thunk.symbol_prefix(),
        }
    }

    /// What is added to its address to make the value of its symbol: for Thumb code, the bit that says so.
    pub(crate) fn state(self) -> u64 {
        u64::from(self == Self::Arm(arm::Thunk::Thumb))
    }

    /// The code of a thunk at `address` that goes on to `target`, in an image with a GOT base; `None` if that is too
    /// far.
    pub(crate) fn code(self, address: u64, target: u64, got_base: u64) -> Option<Vec<u8>> {
        match self {
            Self::Aarch64(thunk) => thunk.code(address, target),
            Self::Arm(thunk) => thunk.code(address, target),
            Self::Ppc64(thunk) => thunk.code(address, target, got_base),
        }
    }
}

/// Whether a field is that of a branch for which there can be thunks.
#[inline]
pub(crate) fn is_branch(field: Field) -> bool {
    use arm::Imm::{Branch, ThumbBranch, ThumbBranch20};
    use ppc64::imm::Imm::{Branch14, Branch24};
    matches!(
        field,
        Field::Aarch64(aarch64::Imm::Branch26)
            | Field::Arm(Branch | ThumbBranch | ThumbBranch20)
            | Field::Ppc64(Branch14 | Branch24)
    )
}

/// What a branch adds to the distance that its field holds: the program counter is ahead of it.
pub(crate) fn branch_bias(field: Field) -> i64 {
    match field {
        Field::Arm(imm) if imm.is_thumb() => 4,
        Field::Arm(_) => 8,
        _ => 0,
    }
}

/// The thunk that a branch needs to get to its target.
pub(crate) fn thunk_for(branch: &Branch) -> Option<ThunkKind> {
    match branch.field {
        Field::Aarch64(_) => aarch64::thunk_for(branch),
        Field::Arm(imm) => arm::thunk_for(branch, imm),
        _ => None,
    }
}
