//! `.ji` files: what Julia keeps beside a package image, and by which it decides whether to load it.
//!
//! The form is that of `jl_write_header` and `write_dependency_list` in Julia's `staticdata_utils.c` and of `parse_cache_header`
//! in `base/loading.jl`; numbers are little-endian:
//!
//! | field | size |
//! |---|---|
//! | magic `\373jli\r\n\032\n` | 8 |
//! | version of the format: 12, in Julia 1.14 13 | 2 |
//! | byte order mark 0xfeff | 2 |
//! | size of a pointer | 1 |
//! | operating system, machine, Julia's version, branch, commit | each up to a NUL |
//! | whether this is the image itself (0: the `.ji` file) | 1 |
//! | checksum; where the data begins; where it ends | 8 each |
//! | flags | 1 |
//! | modules: length, name, UUID, lower half of the build id; a length of 0 ends the list | 4, …, 16, 8 |
//! | size of the dependencies and preferences, and these | 8, … |
//! | modules that have to be loaded: as above, with the build id's upper half in front | |
//! | size of the CPU targets, and these | 4, … |
//! | … | |
//! | CRC-32C of the image, if there is one | 4 |
//! | CRC-32C of everything before | 4 |

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::facts::{Cache, CacheFlags, Checksum};
use super::{targets, text_of};
use crate::bytes;
use crate::error::Error;
use crate::reader::{Malformed, Reader};

/// The first bytes.
const MAGIC: &[u8; 8] = b"\xfbjli\r\n\x1a\n";
const CUT: &str = "the header is cut off";
/// More modules than a file has, by far.
const MODULES_LIMIT: usize = 100_000;

impl CacheFlags {
    /// The flags in `byte` (`jl_cache_flags` in Julia's `staticdata_utils.c`).
    pub fn from_byte(byte: u8) -> Self {
        Self {
            byte,
            pkgimages: byte & 1 != 0,
            debug_level: (byte >> 1) & 3,
            check_bounds: match (byte >> 3) & 3 {
                0 => "auto",
                1 => "yes",
                2 => "no",
                _ => "3",
            },
            inline: byte & 0x20 != 0,
            opt_level: byte >> 6,
        }
    }

    /// The byte for `text`: a number, as `0xa3`, or options of Julia, as `-O3 -g2 --check-bounds=yes`, for those that are
    /// not the defaults.
    ///
    /// # Errors
    /// What is not understood.
    pub fn parse(text: &str) -> Result<u8, String> {
        let hexadecimal = text.strip_prefix("0x").map(|digits| u8::from_str_radix(digits, 16));
        if let Ok(byte) = hexadecimal.unwrap_or_else(|| text.parse()) {
            return Ok(byte);
        }
        // --pkgimages=yes -g1 --check-bounds=auto --inline=yes -O2
        let mut byte = 0xa3_u8;
        for word in text.split_whitespace() {
            let (mask, value) = match word {
                "--pkgimages=yes" => (0x01, 0x01),
                "--pkgimages=no" => (0x01, 0),
                "-g0" => (0x06, 0),
                "-g1" => (0x06, 0x02),
                "-g2" | "-g" => (0x06, 0x04),
                "--check-bounds=auto" => (0x18, 0),
                "--check-bounds=yes" => (0x18, 0x08),
                "--check-bounds=no" => (0x18, 0x10),
                "--inline=yes" => (0x20, 0x20),
                "--inline=no" => (0x20, 0),
                "-O0" => (0xc0, 0),
                "-O1" => (0xc0, 0x40),
                "-O2" => (0xc0, 0x80),
                "-O3" | "-O" => (0xc0, 0xc0),
                _ => {
                    return Err(format!(
                        "'{word}' is none of -O0 to -O3, -g0 to -g2, --check-bounds=, --inline=, --pkgimages="
                    ));
                }
            };
            byte = byte & !mask | value;
        }
        Ok(byte)
    }

    /// Why a Julia that was started with the flags `wanted` would not take code with these; empty if it would.
    /// `exact_debug` is for Julia up to 1.10, which wants the debug level itself and not as much or more.
    fn rejections(self, wanted: Self, exact_debug: bool) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.pkgimages && !wanted.pkgimages {
            return reasons;
        }
        let mut differs = |name: &str, has: String, wants: String| {
            reasons.push(format!("{name}{has} is in the file, {name}{wants} is wanted"));
        };
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        if self.pkgimages != wanted.pkgimages {
            differs("--pkgimages=", yes(self.pkgimages), yes(wanted.pkgimages));
        }
        if self.check_bounds != wanted.check_bounds {
            differs("--check-bounds=", self.check_bounds.to_owned(), wanted.check_bounds.to_owned());
        }
        if self.inline != wanted.inline {
            differs("--inline=", yes(self.inline), yes(wanted.inline));
        }
        if self.debug_level < wanted.debug_level || (exact_debug && self.debug_level != wanted.debug_level) {
            differs("-g", self.debug_level.to_string(), wanted.debug_level.to_string());
        }
        if self.opt_level < wanted.opt_level {
            differs("-O", self.opt_level.to_string(), wanted.opt_level.to_string());
        }
        reasons
    }
}

/// Reads the `.ji` file `file`, whose image is `image`.
///
/// # Errors
/// A file that is no `.ji` file, or is cut off in its header.
pub(super) fn read(name: &str, file: &[u8], image: Option<&[u8]>, wanted: Option<u8>) -> Result<Cache, Error> {
    if !file.starts_with(MAGIC) {
        return Err(Error::unsupported(name, "not a .ji file: it does not begin as one"));
    }
    let mut cache = parse(file).map_err(|malformed| Error::malformed(name, malformed.to_string()))?;
    name.clone_into(&mut cache.file);
    let end = file.len() as u64;
    let stated = |before: u64| bytes::u32(file, end.checked_sub(before)?);
    let own = bytes::slice(file, 0, end.saturating_sub(4)).unwrap_or_default();
    cache.own_crc = checksum(stated(4), own);
    if !cache.own_crc.right {
        cache.problems.push("its own checksum is wrong".to_owned());
    }
    if let Some(image) = image
        && !cache.targets.is_empty()
    {
        let crc = checksum(stated(8), image);
        if !crc.right {
            cache.problems.push("the image's checksum is wrong: Julia would not load this image with it".to_owned());
        }
        cache.image_crc = Some(crc);
    }
    let exact_debug = ["1.9", "1.10"].contains(&minor(&cache.julia));
    match wanted {
        Some(byte) => {
            let wanted = CacheFlags::from_byte(byte);
            cache.rejected_by = cache.flags.rejections(wanted, exact_debug);
        }
        None => {
            // Each of Julia's options by itself, with the others as the file has them.
            const OPTIONS: [(u8, u8, &str); 14] = [
                (0x01, 0x01, "--pkgimages=yes"),
                (0x01, 0x00, "--pkgimages=no"),
                (0x06, 0x00, "-g0"),
                (0x06, 0x02, "-g1"),
                (0x06, 0x04, "-g2"),
                (0x18, 0x00, "--check-bounds=auto"),
                (0x18, 0x08, "--check-bounds=yes"),
                (0x18, 0x10, "--check-bounds=no"),
                (0x20, 0x20, "--inline=yes"),
                (0x20, 0x00, "--inline=no"),
                (0xc0, 0x00, "-O0"),
                (0xc0, 0x40, "-O1"),
                (0xc0, 0x80, "-O2"),
                (0xc0, 0xc0, "-O3"),
            ];
            for (mask, value, option) in OPTIONS {
                let wanted = CacheFlags::from_byte(cache.flags.byte & !mask | value);
                let reasons = cache.flags.rejections(wanted, exact_debug);
                if !reasons.is_empty() {
                    cache.rejected_by.push(format!("{option}: {}", reasons.join("; ")));
                }
            }
        }
    }
    Ok(cache)
}

fn minor(version: &str) -> &str {
    let end = version.match_indices(['.', '-', '+']).nth(1).map_or(version.len(), |(index, _)| index);
    version.get(..end).unwrap_or(version)
}

fn checksum(stated: Option<u32>, bytes: &[u8]) -> Checksum {
    let computed = crc32c::crc32c(bytes);
    Checksum {
        stated: stated.map(|stated| format!("{stated:08x}")).unwrap_or_default(),
        computed: format!("{computed:08x}"),
        right: stated == Some(computed),
    }
}

fn parse(file: &[u8]) -> Result<Cache, Malformed> {
    let mut reader = Reader::at(file, MAGIC.len() as u64, CUT)?;
    let mut cache = Cache { format_version: reader.u16(CUT)?, ..Cache::default() };
    if !matches!(cache.format_version, 11..=13) {
        let version = cache.format_version;
        cache.problems.push(format!("version {version} of the format is not one of Julia 1.9 to 1.14"));
    }
    if reader.u16(CUT)? != 0xfeff {
        return Err(reader.malformed("the byte order is not little-endian"));
    }
    cache.pointer_size = reader.u8(CUT)?;
    let mut text = || reader.string(CUT).map(text_of);
    (cache.os, cache.arch, cache.julia) = (text()?, text()?, text()?);
    (cache.branch, cache.commit) = (text()?, text()?);
    if reader.u8(CUT)? != 0 {
        return Err(reader.malformed("this is the header of an image, not of a .ji file"));
    }
    let checksum = reader.u64(CUT)?;
    cache.checksum = format!("{checksum:016x}");
    // The loader takes 0 for a header that it could not read; the upper half marks a finished file.
    if checksum >> 32 != 0xfafb_fcfd {
        cache.problems.push("the file was not finished: it has no checksum".to_owned());
    }
    let (start, end) = (reader.u64(CUT)?, reader.u64(CUT)?);
    if start.max(end) > file.len() as u64 {
        cache.problems.push("the data is cut off".to_owned());
    }
    cache.flags = CacheFlags::from_byte(reader.u8(CUT)?);
    cache.modules = modules(&mut reader, false)?;
    let size = reader.u64(CUT)?;
    reader.skip(size, "the list of dependencies is cut off")?;
    cache.required = modules(&mut reader, true)?;
    let size = reader.u32(CUT)?;
    let ids = reader.take(size.into(), "the CPU targets are cut off")?;
    if !ids.is_empty() {
        match targets::parse(ids, Some(&cache.arch), true) {
            Ok(targets) => cache.targets = targets,
            Err(malformed) => {
                cache.problems.push(format!("the CPU targets are not what a Julia writes: {malformed}"));
                // There is an image all the same.
                cache.targets.push(super::CpuTarget::default());
            }
        }
    }
    Ok(cache)
}

fn modules(reader: &mut Reader<'_>, with_build_id: bool) -> Result<Vec<String>, Malformed> {
    let mut modules = Vec::new();
    loop {
        let length = reader.u32(CUT)?;
        if length == 0 {
            return Ok(modules);
        }
        let name = text_of(reader.take(length.into(), CUT)?);
        let uuid = (u128::from(reader.u64(CUT)?) << 64) | u128::from(reader.u64(CUT)?);
        reader.skip(if with_build_id { 16 } else { 8 }, CUT)?;
        if modules.len() >= MODULES_LIMIT {
            return Err(reader.malformed("there are too many modules"));
        }
        modules.push(if uuid == 0 {
            name
        } else {
            let digits = format!("{uuid:032x}");
            let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
            format!("{name} [{}]", groups.join("-"))
        });
    }
}
