//! Generations of Julia: which tables an image has, and which LLVM writes it.

use std::fmt;

/// A minor version of Julia whose images differ from its neighbours'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Julia {
    /// `text.o` and `data.o`; tables of their own names, all exported.
    V1_9,
    /// Shards, `jl_image_pointers`; 32-bit offsets to functions.
    V1_10,
    /// Absolute pointers to functions; medium code model.
    V1_11,
    /// As 1.11, from an LLVM that knows large sections.
    V1_12,
    /// `jl_image_unpack`; the heap image is page aligned.
    V1_13,
    /// `jl_system_image_checksum`, calls into other package images.
    V1_14,
}

/// How an image's tables refer to functions and global variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// 1.9: `jl_sysimg_fvars_base` and its companions, for one module.
    Sysimg,
    /// 1.10: for each shard 32-bit offsets from a base function and a base variable.
    Offsets,
    /// 1.11 and later: for each shard absolute function pointers; variables as offsets from their own table.
    Pointers,
}

impl Julia {
    /// All generations, oldest first.
    pub const ALL: [Self; 6] = [Self::V1_9, Self::V1_10, Self::V1_11, Self::V1_12, Self::V1_13, Self::V1_14];

    /// The generation of a version such as `1.12`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|julia| julia.name() == name)
    }

    /// `1.12`, as in the libraries' sonames and symbol versions.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_9 => "1.9",
            Self::V1_10 => "1.10",
            Self::V1_11 => "1.11",
            Self::V1_12 => "1.12",
            Self::V1_13 => "1.13",
            Self::V1_14 => "1.14",
        }
    }

    /// The major version of the LLVM that stands for the one this Julia ships, among those that Debian 12 has.
    pub fn llvm(self) -> u32 {
        match self {
            Self::V1_9 => 14,
            Self::V1_10 => 15,
            Self::V1_11 => 16,
            Self::V1_12 => 19,
            Self::V1_13 | Self::V1_14 => 22,
        }
    }

    /// The form of the tables.
    pub fn tables(self) -> Tables {
        match self {
            Self::V1_9 => Tables::Sysimg,
            Self::V1_10 => Tables::Offsets,
            _ => Tables::Pointers,
        }
    }

    /// Alignment in bytes of `jl_system_image_data` on a machine with pages of 4 KiB.
    pub fn heap_align(self) -> u64 {
        if self >= Self::V1_13 { 4096 } else { 64 }
    }
}

impl fmt::Display for Julia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
