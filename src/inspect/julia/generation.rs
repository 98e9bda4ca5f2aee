//! Which Julia wrote an image, and what that one's loader looks up (`get_image_buf`, `jl_image_unpack_*` in Julia's
//! `staticdata.c`).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use crate::inspect::parts::Parts;

/// A generation of Julia, told by what its images export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// Tables exported by name, one shard.
    V1_9,
    /// `jl_image_pointers`, tables of distances.
    V1_10,
    /// Tables of pointers; Julia 1.12, too.
    V1_11,
    /// `jl_image_unpack`.
    V1_13,
    /// A checksum, a string of CPU targets.
    V1_14,
}

impl Generation {
    /// That of an image; `None` if the image is not one of Julia's.
    pub(super) fn of(parts: &Parts<'_>) -> Option<Self> {
        let has = |name| parts.export(name).is_some();
        if has("jl_sysimg_fvars_base") {
            return Some(Self::V1_9);
        }
        if !has("jl_image_pointers") {
            return None;
        }
        Some(match (has("jl_system_image_checksum"), has("jl_image_unpack")) {
            (true, _) => Self::V1_14,
            (false, true) => Self::V1_13,
            _ if has("get_jl_RTLD_DEFAULT_handle_addr") => Self::V1_11,
            _ => Self::V1_10,
        })
    }

    /// The versions it stands for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1_9 => "1.9",
            Self::V1_10 => "1.10",
            Self::V1_11 => "1.11 or 1.12",
            Self::V1_13 => "1.13",
            Self::V1_14 => "1.14",
        }
    }

    /// What the loader looks up.
    pub(super) fn wanted(self) -> &'static [&'static str] {
        match self {
            Self::V1_9 => &[
                "jl_system_image_data",
                "jl_system_image_size",
                "jl_sysimg_fvars_base",
                "jl_sysimg_fvars_offsets",
                "jl_dispatch_target_ids",
                "jl_dispatch_reloc_slots",
                "jl_dispatch_fvars_idxs",
                "jl_dispatch_fvars_offsets",
                "jl_RTLD_DEFAULT_handle_pointer",
            ],
            Self::V1_10 => &["jl_system_image_data", "jl_system_image_size", "jl_RTLD_DEFAULT_handle_pointer"],
            Self::V1_11 => &["jl_system_image_data", "jl_system_image_size", "get_jl_RTLD_DEFAULT_handle_addr"],
            Self::V1_13 => {
                &["jl_system_image_data", "jl_system_image_size", "get_jl_RTLD_DEFAULT_handle_addr", "jl_image_unpack"]
            }
            // The heap image of a split image is in the .ji file.
            Self::V1_14 => &["get_jl_RTLD_DEFAULT_handle_addr", "jl_image_unpack", "jl_system_image_checksum"],
        }
    }
}
