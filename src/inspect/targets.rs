//! `jl_dispatch_target_ids`: the CPUs that an image has code for.
//!
//! The same bytes stand in the image and in the `.ji` file. There are two forms, of 32-bit little-endian words and of strings
//! that are a word with their length and their bytes:
//!
//! | up to Julia 1.13 | from the rewrite of CPU detection in 1.14 on |
//! |---|---|
//! | number of targets | the same |
//! | each: flags | each: flags |
//! | | base target |
//! | number of words | number of double words |
//! | enabled features, disabled ones | the same, in double words |
//! | name, features for LLVM alone | the same |
//!
//! Nothing says which form it is: the one that uses up the bytes, or the first that makes sense, is taken.
//!
//! Up to 1.13 the bits of features are Julia's own and the same since 1.0: those of CPUID on x86 (`features_x86.h`), of
//! Linux's `HWCAP` and `HWCAP2` on Arm, with a third word for versions of the architecture (`features_aarch64.h`,
//! `features_aarch32.h`). In 1.14 they are numbers in a table made from LLVM's, which differ from one LLVM to the next: they
//! have no names here.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::facts::CpuTarget;
use super::text_of;
use crate::reader::{Malformed, Reader};

/// More targets than anybody compiles for.
const TARGETS_LIMIT: u32 = 256;
/// More words of features than any CPU has.
const WORDS_LIMIT: u32 = 64;

/// Reads the targets in `bytes`, which may go on behind them unless `exact`.
///
/// # Errors
/// Bytes that are in neither form.
pub(super) fn parse(bytes: &[u8], arch: Option<&str>, exact: bool) -> Result<Vec<CpuTarget>, Malformed> {
    let old = parse_form(bytes, arch, Form::Words, exact);
    match old {
        Ok(targets) => Ok(targets),
        Err(malformed) => parse_form(bytes, arch, Form::DoubleWords, exact).map_err(|_| malformed),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Words,
    DoubleWords,
}

fn parse_form(bytes: &[u8], arch: Option<&str>, form: Form, exact: bool) -> Result<Vec<CpuTarget>, Malformed> {
    const CUT: &str = "the list of CPU targets is cut off";
    let mut reader = Reader::new(bytes);
    let count = reader.u32(CUT)?;
    if count == 0 || count > TARGETS_LIMIT {
        return Err(Malformed::new(0, "the number of CPU targets makes no sense"));
    }
    let mut targets = Vec::new();
    for index in 0..count {
        let flags = reader.u32(CUT)?;
        let base = if form == Form::DoubleWords { reader.u32(CUT)?.cast_signed() } else { -1 };
        if base >= index.cast_signed() || base < -1 {
            return Err(reader.malformed("a CPU target's base is none of those before it"));
        }
        let words = reader.u32(CUT)?;
        if words > WORDS_LIMIT {
            return Err(reader.malformed("a CPU target has too many features"));
        }
        let size = u64::from(words).saturating_mul(if form == Form::Words { 4 } else { 8 });
        let enabled = reader.take(size, CUT)?;
        let disabled = reader.take(size, CUT)?;
        let length = reader.u32(CUT)?.into();
        let name = reader.take(length, CUT)?;
        let length = reader.u32(CUT)?.into();
        let extra = reader.take(length, CUT)?;
        if name.is_empty() || name.iter().chain(extra).any(|byte| !byte.is_ascii_graphic()) {
            return Err(reader.malformed("a CPU target's name is not one"));
        }
        targets.push(CpuTarget {
            name: text_of(name),
            flags: FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect(),
            features: features(enabled, names(if form == Form::Words { arch } else { None })),
            disabled: disabled.iter().map(|byte| u64::from(byte.count_ones())).sum(),
            extra: text_of(extra),
            base: u32::try_from(base).ok(),
            clones: 0,
        });
    }
    if exact && reader.remaining() != 0 {
        return Err(reader.malformed("there is more than the CPU targets"));
    }
    Ok(targets)
}

/// `JL_TARGET_*` of Julia's `processor.h`.
const FLAGS: &[(u32, &str)] = &[
    (1 << 0, "vector-call"),
    (1 << 1, "clone-all"),
    (1 << 2, "clone-math"),
    (1 << 3, "clone-loop"),
    (1 << 4, "clone-simd"),
    (1 << 5, "unknown-name"),
    (1 << 6, "opt-size"),
    (1 << 7, "min-size"),
    (1 << 8, "clone-cpu"),
    (1 << 9, "clone-float16"),
    (1 << 10, "clone-bfloat16"),
];

fn features(words: &[u8], names: &[(u32, &str)]) -> Vec<String> {
    let mut features = Vec::new();
    for (byte, at) in words.iter().zip((0_u32..).step_by(8)) {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            let bit = at.saturating_add(bit);
            let name = names.iter().find(|(known, _)| *known == bit).map(|(_, name)| (*name).to_owned());
            features.push(name.unwrap_or_else(|| format!("bit {bit}")));
        }
    }
    features
}

fn names(arch: Option<&str>) -> &'static [(u32, &'static str)] {
    match arch {
        Some("x86_64" | "i686") => X86,
        Some("aarch64" | "arm64") => AARCH64,
        Some("armv7" | "armv7l") => ARM,
        _ => &[],
    }
}

/// CPUID leaves, 32 bits each: 1 ECX, 1 EDX, 7 EBX, 7 ECX, 7 EDX, 0x80000001 ECX, 0x80000001 EDX, 0xd:1 EAX,
/// 0x80000008 EBX, 7:1 EAX, 0x14 EBX.
const X86: &[(u32, &str)] = &[
    (0, "sse3"),
    (1, "pclmul"),
    (9, "ssse3"),
    (12, "fma"),
    (13, "cx16"),
    (19, "sse4.1"),
    (20, "sse4.2"),
    (22, "movbe"),
    (23, "popcnt"),
    (25, "aes"),
    (26, "xsave"),
    (28, "avx"),
    (29, "f16c"),
    (30, "rdrnd"),
    (64, "fsgsbase"),
    (67, "bmi"),
    (69, "avx2"),
    (72, "bmi2"),
    (75, "rtm"),
    (80, "avx512f"),
    (81, "avx512dq"),
    (82, "rdseed"),
    (83, "adx"),
    (85, "avx512ifma"),
    (87, "clflushopt"),
    (88, "clwb"),
    (90, "avx512pf"),
    (91, "avx512er"),
    (92, "avx512cd"),
    (93, "sha"),
    (94, "avx512bw"),
    (95, "avx512vl"),
    (96, "prefetchwt1"),
    (97, "avx512vbmi"),
    (100, "pku"),
    (101, "waitpkg"),
    (102, "avx512vbmi2"),
    (103, "shstk"),
    (104, "gfni"),
    (105, "vaes"),
    (106, "vpclmulqdq"),
    (107, "avx512vnni"),
    (108, "avx512bitalg"),
    (110, "avx512vpopcntdq"),
    (118, "rdpid"),
    (121, "cldemote"),
    (123, "movdiri"),
    (124, "movdir64b"),
    (125, "enqcmd"),
    (133, "uintr"),
    (136, "avx512vp2intersect"),
    (142, "serialize"),
    (144, "tsxldtrk"),
    (146, "pconfig"),
    (150, "amx-bf16"),
    (151, "avx512fp16"),
    (152, "amx-tile"),
    (153, "amx-int8"),
    (160, "sahf"),
    (165, "lzcnt"),
    (166, "sse4a"),
    (168, "prfchw"),
    (171, "xop"),
    (175, "lwp"),
    (176, "fma4"),
    (181, "tbm"),
    (189, "mwaitx"),
    (224, "xsaveopt"),
    (225, "xsavec"),
    (227, "xsaves"),
    (256, "clzero"),
    (265, "wbnoinvd"),
    (292, "avxvnni"),
    (293, "avx512bf16"),
    (324, "ptwrite"),
];

const AARCH64: &[(u32, &str)] = &[
    (4, "aes"),
    (6, "sha2"),
    (7, "crc"),
    (8, "lse"),
    (9, "fullfp16"),
    (12, "rdm"),
    (13, "jsconv"),
    (14, "complxnum"),
    (15, "rcpc"),
    (16, "ccpp"),
    (17, "sha3"),
    (19, "sm4"),
    (20, "dotprod"),
    (22, "sve"),
    (23, "fp16fml"),
    (24, "dit"),
    (26, "rcpc-immo"),
    (27, "flagm"),
    (28, "ssbs"),
    (29, "sb"),
    (30, "pauth"),
    (32, "ccdp"),
    (33, "sve2"),
    (35, "sve2-aes"),
    (36, "sve2-bitperm"),
    (37, "sve2-sha3"),
    (38, "sve2-sm4"),
    (39, "altnzcv"),
    (40, "fptoint"),
    (42, "f32mm"),
    (43, "f64mm"),
    (45, "i8mm"),
    (46, "bf16"),
    (48, "rand"),
    (49, "bti"),
    (50, "mte"),
    (64, "v8.1a"),
    (65, "v8.2a"),
    (66, "v8.3a"),
    (67, "v8.4a"),
    (68, "v8.5a"),
    (69, "v8.6a"),
];

const ARM: &[(u32, &str)] = &[
    (12, "neon"),
    (13, "vfp3"),
    (16, "vfp4"),
    (17, "hwdiv-arm"),
    (18, "hwdiv"),
    (19, "d32"),
    (32, "crypto"),
    (36, "crc"),
    (64, "aclass"),
    (65, "rclass"),
    (66, "mclass"),
    (67, "v7"),
    (68, "v8"),
    (69, "v8.1a"),
    (70, "v8.2a"),
    (71, "v8.3a"),
    (72, "v8-m.main"),
];

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    /// Two targets as Julia 1.0 to 1.13 write them.
    pub(in crate::inspect) fn words() -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (name, flags, first) in [("generic", 0_u32, 1 << 13), ("haswell", 1, (1 << 28) | (1 << 12) | (1 << 13))] {
            bytes.extend(flags.to_le_bytes());
            bytes.extend(11_u32.to_le_bytes());
            for word in [[first, 0, 0_u32], [!first & 0x7283_1203, 0, 0]] {
                bytes.extend(word.iter().chain(&[0; 8]).flat_map(|word| word.to_le_bytes()));
            }
            text(&mut bytes, name);
            text(&mut bytes, if flags == 0 { "" } else { "+crc32" });
        }
        bytes
    }

    #[test]
    fn targets_of_julia_up_to_1_13() {
        let targets = parse(&words(), Some("x86_64"), true).unwrap();
        let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["generic", "haswell"]);
        assert_eq!(targets[0].features, ["cx16"]);
        assert_eq!(targets[1].features, ["fma", "cx16", "avx"]);
        assert_eq!((targets[1].flags.as_slice(), targets[1].extra.as_str()), (&["vector-call"][..], "+crc32"));
        // Of another CPU the same bits have other names.
        let targets = parse(&words(), Some("aarch64"), true).unwrap();
        assert_eq!(targets[1].features, ["rdm", "jsconv", "ssbs"]);
    }

    #[test]
    fn targets_of_julia_1_14() {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (name, base) in [("generic", -1_i32), ("znver4", 0)] {
            bytes.extend(2_u32.to_le_bytes());
            bytes.extend(base.to_le_bytes());
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend([0x21, 0, 0, 0, 1, 2, 3, 4_u64].iter().flat_map(|word| word.to_le_bytes()));
            text(&mut bytes, name);
            text(&mut bytes, "");
        }
        let targets = parse(&bytes, Some("x86_64"), true).unwrap();
        assert_eq!((targets[0].base, targets[1].base), (None, Some(0)));
        assert_eq!(targets[1].features, ["bit 0", "bit 5"]);
        assert_eq!((targets[1].disabled, targets[1].flags.as_slice()), (5, &["clone-all"][..]));
    }

    #[test]
    fn what_is_no_list_of_targets_is_refused() {
        let whole = words();
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], None, true).is_err(), "{end}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(parse(&longer, None, true).is_err());
        assert!(parse(&longer, None, false).is_ok());
        assert!(parse(&[0; 64], None, false).is_err());
        assert!(parse(&[0xff; 64], None, false).is_err());
    }
}
