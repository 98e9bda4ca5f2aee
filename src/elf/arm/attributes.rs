//! `.ARM.attributes`: what a file's code needs of the processor and of other code (*Addenda to, and Errata in, the ABI for the
//! Arm Architecture*, chapter *Build Attributes*).
//!
//! The section starts with `A` and holds subsections, each with its length and the name of a vendor. That of `aeabi` has parts
//! that concern the whole file (`Tag_File`), a section or a symbol; the last two are deprecated and may be passed over. A part is a
//! list of tags and values: above 32, even tags have numbers and odd ones strings. A tool that does not know a tag must refuse
//! the file if the tag modulo 128 is below 64, else it may pass over it. A tag that is not there has the value 0.
//!
//! The image states the same for all objects together. What one needs more than the others, the image needs; what each
//! must do, the image does if all do; and where two cannot go together, it is an error or, if other linkers let it pass,
//! a warning. [`RULES`] is the list. Objects without the section say nothing.
//!
//! One rule is softer than the document: an object without `Tag_ABI_VFP_args` goes with any, unless it says that its code has
//! floating-point numbers (`Tag_ABI_FP_number_model`), as compilers do. The tag is missing in much hand-written assembly.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use crate::error::Error;
use crate::reader::{Malformed, Reader};

/// `Tag_File`: a part concerns the whole file.
const FILE: u64 = 1;
const CPU_RAW_NAME: u64 = 4;
const CPU_NAME: u64 = 5;
const CPU_ARCH: u64 = 6;
const CPU_ARCH_PROFILE: u64 = 7;
const FP_ARCH: u64 = 10;
const ABI_FP_NUMBER_MODEL: u64 = 23;
const ABI_VFP_ARGS: u64 = 28;
const COMPATIBILITY: u64 = 32;
const CONFORMANCE: u64 = 67;

/// What one object says, or several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Tags with a number other than 0, and those that stand there with 0.
    numbers: BTreeMap<u64, u64>,
    /// `Tag_CPU_name`.
    cpu: Vec<u8>,
    /// `Tag_conformance`.
    conformance: Vec<u8>,
    /// There was such a section.
    stated: bool,
}

/// How the values of a tag are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `Tag_CPU_arch`: the least architecture that has what both have.
    Architecture,
    /// `Tag_CPU_arch_profile`: 0 goes with any, `S` with `A` and `R`; the others exclude each other.
    Profile,
    /// `Tag_FP_arch`: the later version, with the more registers.
    FloatingPoint,
    /// The larger number: more is asked for.
    Largest,
    /// The smaller number: less is promised.
    Smallest,
    /// The bits of both.
    Bits,
    /// The larger in the order 0, 2, 1.
    Order021,
    /// The larger in the order 1, 0, 2.
    Order102,
    /// The number, if it is the same in both, else 0.
    SameOrNone,
    /// 0 goes with any number; two others that differ cannot be in one image. What one is said to have.
    Exclusive(&'static str),
    /// As [`Exclusive`](Self::Exclusive), where this number goes with any, and 0 does not.
    ExclusiveBut(u64, &'static str),
    /// As [`Exclusive`](Self::Exclusive), and a warning only: code may well not have passed such data on. The number goes
    /// with any.
    Doubtful(u64, &'static str),
}

/// The tags with a number, ascending.
const RULES: [(u64, Rule); 39] = [
    (CPU_ARCH, Rule::Architecture),
    (CPU_ARCH_PROFILE, Rule::Profile),
    (8, Rule::Largest), // Tag_ARM_ISA_use
    (9, Rule::Largest), // Tag_THUMB_ISA_use
    (FP_ARCH, Rule::FloatingPoint),
    (11, Rule::Largest),                                        // Tag_WMMX_arch
    (12, Rule::Largest),                                        // Tag_Advanced_SIMD_arch
    (13, Rule::SameOrNone),                                     // Tag_PCS_config
    (14, Rule::ExclusiveBut(3, "uses register r9 in the way")), // Tag_ABI_PCS_R9_use
    (15, Rule::Smallest),                                       // Tag_ABI_PCS_RW_data: 0 is absolute addressing
    (16, Rule::Smallest),                                       // Tag_ABI_PCS_RO_data
    (17, Rule::Largest),                                        // Tag_ABI_PCS_GOT_use
    (18, Rule::Doubtful(0, "has wchar_t of size")),             // Tag_ABI_PCS_wchar_t
    (19, Rule::Largest),                                        // Tag_ABI_FP_rounding
    (20, Rule::Order021),                                       // Tag_ABI_FP_denormal
    (21, Rule::Largest),                                        // Tag_ABI_FP_exceptions
    (22, Rule::Largest),                                        // Tag_ABI_FP_user_exceptions
    (ABI_FP_NUMBER_MODEL, Rule::Largest),                       // Tag_ABI_FP_number_model
    (24, Rule::Order021),                                       // Tag_ABI_align_needed: 2 is alignment to 4 bytes
    (25, Rule::Smallest),                                       // Tag_ABI_align_preserved
    (26, Rule::Doubtful(3, "has enumerations of kind")),        // Tag_ABI_enum_size
    (27, Rule::SameOrNone),                                     // Tag_ABI_HardFP_use
    (ABI_VFP_ARGS, Rule::ExclusiveBut(3, "passes floating-point numbers in the way")),
    (29, Rule::Exclusive("passes WMMX data in the way")), // Tag_ABI_WMMX_args
    (30, Rule::SameOrNone),                               // Tag_ABI_optimization_goals
    (31, Rule::SameOrNone),                               // Tag_ABI_FP_optimization_goals
    (34, Rule::Largest),                                  // Tag_CPU_unaligned_access
    (36, Rule::Largest),                                  // Tag_FP_HP_extension
    (38, Rule::Exclusive("has 16-bit floating-point numbers of format")), // Tag_ABI_FP_16bit_format
    (42, Rule::Largest),                                  // Tag_MPextension_use
    (44, Rule::Order102),                                 // Tag_DIV_use: 1 is "not permitted"
    (46, Rule::Largest),                                  // Tag_DSP_extension
    (48, Rule::Largest),                                  // Tag_MVE_arch
    (50, Rule::Largest),                                  // Tag_PAC_extension
    (52, Rule::Largest),                                  // Tag_BTI_extension
    (66, Rule::Largest),                                  // Tag_T2EE_use
    (68, Rule::Bits),                                     // Tag_Virtualization_use
    (74, Rule::Smallest),                                 // Tag_BTI_use
    (76, Rule::Smallest),                                 // Tag_PACRET_use
];

impl Attributes {
    /// Reads a `.ARM.attributes` section.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the section.
    pub(crate) fn parse(section: &[u8]) -> Result<Self, String> {
        let shown = |malformed: Malformed| format!("at offset 0x{:x}: {}", malformed.offset, malformed.what);
        let mut attributes = Self { stated: true, ..Self::default() };
        let mut reader = Reader::new(section);
        if reader.u8("the version is missing").map_err(shown)? != b'A' {
            return Err("at offset 0x0: the version is not 'A'".to_owned());
        }
        while reader.remaining() > 0 {
            let start = reader.offset();
            let mut part = length_first(&mut reader, start).map_err(shown)?;
            if part.string("a vendor's name does not end").map_err(shown)? != b"aeabi" {
                continue;
            }
            while part.remaining() > 0 {
                let start = part.offset();
                let about = part.uleb128("a tag is cut off").map_err(shown)?;
                let mut values = length_first(&mut part, start).map_err(shown)?;
                while about == FILE && values.remaining() > 0 {
                    attributes.parse_value(&mut values).map_err(|problem| match problem {
                        Problem::Malformed(malformed) => shown(malformed),
                        Problem::Words(words) => words,
                    })?;
                }
            }
        }
        // 0 goes without saying where there is something to pass.
        if attributes.number(ABI_FP_NUMBER_MODEL) != 0 {
            attributes.numbers.entry(ABI_VFP_ARGS).or_insert(0);
        }
        Ok(attributes)
    }

    fn parse_value(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        const CUT: &str = "an attribute's string does not end";
        let tag = reader.uleb128("a tag is cut off")?;
        match tag {
            CPU_RAW_NAME => drop(reader.string(CUT)?),
            CPU_NAME => self.cpu = reader.string(CUT)?.to_vec(),
            CONFORMANCE => self.conformance = reader.string(CUT)?.to_vec(),
            COMPATIBILITY => {
                let flag = reader.uleb128("an attribute's number is cut off")?;
                let vendor = String::from_utf8_lossy(reader.string(CUT)?).into_owned();
                if flag > 1 {
                    return Err(Problem::Words(format!("only tools of '{vendor}' can process this object")));
                }
            }
            _ => {
                let known = RULES.iter().any(|(known, _)| *known == tag);
                if !known && tag & 0x7f < 64 {
                    return Err(Problem::Words(format!("attribute {tag} is not known, and may not be passed over")));
                }
                if !known && tag & 1 == 1 {
                    reader.string(CUT)?;
                    return Ok(());
                }
                let value = reader.uleb128("an attribute's number is cut off")?;
                if known {
                    self.numbers.insert(tag, value);
                }
            }
        }
        Ok(())
    }

    /// The value of a tag: 0 where it is not there.
    fn number(&self, tag: u64) -> u64 {
        self.numbers.get(&tag).copied().unwrap_or(0)
    }

    /// How floating-point numbers are passed (`Tag_ABI_VFP_args`): 0 as integers, 1 in their registers. `None` where nothing
    /// is said of it, nor that there are such numbers.
    pub(crate) fn float_arguments(&self) -> Option<u64> {
        self.numbers.get(&ABI_VFP_ARGS).copied()
    }

    /// The section's contents; empty where nothing is stated.
    pub(crate) fn write(&self) -> Vec<u8> {
        if !self.stated {
            return Vec::new();
        }
        let mut values = Vec::new();
        let text = |tag: u64, text: &[u8], values: &mut Vec<u8>| {
            if !text.is_empty() {
                uleb128(values, tag);
                values.extend_from_slice(text);
                values.push(0);
            }
        };
        // "This tag should be emitted first" (*Conformance tag*).
        text(CONFORMANCE, &self.conformance, &mut values);
        text(CPU_NAME, &self.cpu, &mut values);
        for (tag, value) in &self.numbers {
            // That floating-point numbers are passed as integers is worth saying where it does not go without.
            if *value != 0 || (*tag == ABI_VFP_ARGS && self.number(ABI_FP_NUMBER_MODEL) == 0) {
                uleb128(&mut values, *tag);
                uleb128(&mut values, *value);
            }
        }
        // Lengths count themselves: of the part with its tag, of the subsection with its vendor.
        let size = |of: &[u8], head: usize| u32::try_from(of.len().saturating_add(head)).unwrap_or(u32::MAX);
        let mut section = vec![b'A'];
        section.extend_from_slice(&size(&values, 4 + 6 + 1 + 4).to_le_bytes());
        section.extend_from_slice(b"aeabi\0\x01");
        section.extend_from_slice(&size(&values, 1 + 4).to_le_bytes());
        section.extend_from_slice(&values);
        section
    }
}

/// Why a section cannot be read.
enum Problem {
    Malformed(Malformed),
    Words(String),
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Reads a length of four bytes that counts from `start`, and gives what it covers; `reader` goes on behind it.
fn length_first<'data>(reader: &mut Reader<'data>, start: u64) -> Result<Reader<'data>, Malformed> {
    let length = reader.u32("a length is cut off")?;
    let end = start.saturating_add(u64::from(length));
    let part = reader.until(end, "a length leads beyond the end, or back")?;
    reader.skip(part.remaining(), "a length leads beyond the end, or back")?;
    Ok(part)
}

fn uleb128(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

/// Brings the attributes of objects together, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    /// Of all so far.
    pub(crate) merged: Attributes,
    /// The object that a tag's value comes from.
    sources: BTreeMap<u64, String>,
}

impl Merger {
    /// Brings an object in. Returns what goes together, but not for sure: warnings.
    ///
    /// # Errors
    /// Each attribute that cannot stand beside that of an object before.
    pub(crate) fn add(&mut self, object: &str, attributes: &Attributes) -> Result<Vec<String>, Vec<Error>> {
        if !attributes.stated {
            return Ok(Vec::new());
        }
        if !self.merged.stated {
            self.merged = attributes.clone();
            self.sources = attributes.numbers.keys().map(|tag| (*tag, object.to_owned())).collect();
            return Ok(Vec::new());
        }
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        let before = self.merged.number(CPU_ARCH);
        for (tag, rule) in RULES {
            // What is not said of the passing of floating-point numbers goes with any.
            let unsaid = tag == ABI_VFP_ARGS && !attributes.numbers.contains_key(&tag);
            if unsaid || (!attributes.numbers.contains_key(&tag) && !self.merged.numbers.contains_key(&tag)) {
                continue;
            }
            let first = tag == ABI_VFP_ARGS && !self.merged.numbers.contains_key(&tag);
            let (old, new) = (self.merged.number(tag), attributes.number(tag));
            let merged = if first { Ok(new) } else { rule.merge(old, new) };
            let value = match merged {
                Ok(value) => value,
                Err(what) => {
                    let other = self.sources.get(&tag).cloned().unwrap_or_else(|| "an object before".to_owned());
                    let told = |value| format!("{what} {}", value_name(tag, value));
                    if matches!(rule, Rule::Doubtful(..)) {
                        warnings.push(format!("{object}: {}, but {other} {}", told(new), told(old)));
                    } else {
                        problems.push(Error::Incompatible {
                            file: object.to_owned(),
                            what: told(new),
                            other,
                            other_what: told(old),
                        });
                    }
                    old
                }
            };
            if first || value != old || !self.sources.contains_key(&tag) {
                self.sources.insert(tag, object.to_owned());
            }
            self.merged.numbers.insert(tag, value);
        }
        // The name belongs to the architecture.
        if self.merged.number(CPU_ARCH) != before {
            let same = self.merged.number(CPU_ARCH) == attributes.number(CPU_ARCH);
            self.merged.cpu = if same { attributes.cpu.clone() } else { Vec::new() };
        }
        if self.merged.conformance != attributes.conformance {
            self.merged.conformance.clear();
        }
        if problems.is_empty() { Ok(warnings) } else { Err(problems) }
    }
}

impl Rule {
    /// Two values together; what is said of one that does not go with the other.
    fn merge(self, old: u64, new: u64) -> Result<u64, &'static str> {
        let largest = |rank: fn(u64) -> u64| if rank(old) >= rank(new) { old } else { new };
        let exclusive = |any: u64, what: &'static str| match () {
            () if old == new || new == any => Ok(old),
            () if old == any => Ok(new),
            () => Err(what),
        };
        Ok(match self {
            Self::Architecture => return architecture(old, new).ok_or("is for architecture"),
            Self::Profile => match (old, new) {
                _ if old == new => old,
                (0, value) | (value, 0) => value,
                (SYSTEM, value @ (APPLICATION | REAL_TIME)) | (value @ (APPLICATION | REAL_TIME), SYSTEM) => value,
                _ => return Err("is for the profile"),
            },
            Self::FloatingPoint => floating_point(old, new),
            Self::Largest => old.max(new),
            Self::Smallest => old.min(new),
            Self::Bits => old | new,
            Self::Order021 => largest(|value| match value {
                1 => 2,
                2 => 1,
                other => other,
            }),
            Self::Order102 => largest(|value| match value {
                0 => 1,
                1 => 0,
                other => other,
            }),
            Self::SameOrNone => {
                if old == new {
                    old
                } else {
                    0
                }
            }
            Self::Exclusive(what) => return exclusive(0, what),
            Self::ExclusiveBut(any, what) => return exclusive(any, what),
            // 0: the code uses none of it.
            Self::Doubtful(..) if old == 0 || new == 0 => old | new,
            Self::Doubtful(any, what) => return exclusive(any, what),
        })
    }
}

const APPLICATION: u64 = b'A' as u64;
const REAL_TIME: u64 = b'R' as u64;
const SYSTEM: u64 = b'S' as u64;

/// The least of the architectures that has what two others have: pre-v4 to v6 follow each other (0 to 6); v6KZ (7) has v6K (9);
/// v7 (10) has these and v6T2 (8); v8-A to v8.3-A (14, 18 to 20) follow, and v8-R (15) follows v7. Of those for
/// microcontrollers, v6-M (11), v6S-M (12), v7 and v7E-M (13) follow each other, and so do v8-M (16, 17, 21).
fn architecture(one: u64, other: u64) -> Option<u64> {
    let (low, high) = (one.min(other), one.max(other));
    Some(match (low, high) {
        _ if low == high => low,
        (0..=6, 7..=10 | 14 | 15 | 18..=20) | (0..=6, 0..=6) => high,
        (7, 9) => 7,
        (7, 8) | (8, 9) | (7..=9, 10) => 10,
        (7..=10, 14 | 15 | 18..=20) => high,
        (14, 18..=20) | (18..=20, 18..=20) => high,
        (10, 11 | 12) => 10,
        (10, 13) | (11..=13, 11..=13) => high,
        (11..=13, 17 | 21) | (11 | 12, 16) | (16 | 17 | 21, 16 | 17 | 21) => high,
        _ => return None,
    })
}

/// `Tag_FP_arch`: versions 1, 2, 3, 4 and 8, the last three with 32 or 16 registers.
fn floating_point(one: u64, other: u64) -> u64 {
    let parts = |value: u64| match value {
        0..=2 => (value, 16),
        3 => (3, 32),
        4 => (3, 16),
        5 => (4, 32),
        6 => (4, 16),
        7 => (8, 32),
        8 => (8, 16),
        // A later one: more than these.
        _ => (value, 32),
    };
    let ((version, registers), (other_version, other_registers)) = (parts(one), parts(other));
    match (version.max(other_version), registers.max(other_registers)) {
        (3, 32) => 3,
        (3, _) => 4,
        (4, 32) => 5,
        (4, _) => 6,
        (8, 32) => 7,
        (8, _) => 8,
        (version, _) => version,
    }
}

/// What people call a value.
fn value_name(tag: u64, value: u64) -> String {
    const ARCHITECTURES: [&str; 22] = [
        "before v4",
        "v4",
        "v4T",
        "v5T",
        "v5TE",
        "v5TEJ",
        "v6",
        "v6KZ",
        "v6T2",
        "v6K",
        "v7",
        "v6-M",
        "v6S-M",
        "v7E-M",
        "v8-A",
        "v8-R",
        "v8-M.baseline",
        "v8-M.mainline",
        "v8.1-A",
        "v8.2-A",
        "v8.3-A",
        "v8.1-M.mainline",
    ];
    let known = match (tag, value) {
        (CPU_ARCH, value) => usize::try_from(value).ok().and_then(|value| ARCHITECTURES.get(value)).copied(),
        (CPU_ARCH_PROFILE, APPLICATION) => Some("A (application)"),
        (CPU_ARCH_PROFILE, REAL_TIME) => Some("R (real-time)"),
        (CPU_ARCH_PROFILE, SYSTEM) => Some("A or R"),
        (CPU_ARCH_PROFILE, 0x4d) => Some("M (microcontroller)"),
        (ABI_VFP_ARGS, 0) => Some("'in core registers' (-mfloat-abi=soft or softfp)"),
        (ABI_VFP_ARGS, 1) => Some("'in VFP registers' (-mfloat-abi=hard)"),
        (26, 1) => Some("'as small as can be' (-fshort-enums)"),
        (26, 2) => Some("'32 bits'"),
        _ => None,
    };
    known.map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
