//! What Objective-C asks of a linker.
//!
//! An object with code in Objective-C or Swift describes it in `__objc_imageinfo`: a version, which is 0, and a word of flags.
//! The runtime reads one description, the first of the image, and takes it for true of all its code: so those of the objects
//! become one.
//!
//! Classes and categories are found by their names when the image runs, and nothing refers to them: who has them in archives asks
//! for all of them (`-ObjC`). Source: `objc_image_info` of Apple's runtime (`objc-abi.h`), and LLD for what it makes of several.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{MachHeader as _, Segment as _};

use super::parse::trimmed;
use crate::error::Error;
use crate::link::Link;
use crate::model::{Fate, Object, Section, SectionFlags};

/// Whether a name is that of a class.
pub(crate) fn is_class(name: &[u8]) -> bool {
    name.starts_with(b"_OBJC_CLASS_$_")
}

/// Whether an object has what the runtime finds though nothing refers to it: categories of classes, or Swift code. Bytes that are
/// no object have none.
pub(crate) fn is_found_by_name(bytes: &[u8]) -> bool {
    let segments = || {
        let header = macho::MachHeader64::<LE>::parse(bytes, 0).ok()?;
        let mut commands = header.load_commands(LE, bytes, 0).ok()?;
        let mut found = false;
        while let Some(command) = commands.next().ok()? {
            let Some((segment, data)) = command.segment_64().ok()? else { continue };
            let sections = segment.sections(LE, data).ok()?;
            found |= sections.iter().any(|section| is_searched(trimmed(&section.segname), trimmed(&section.sectname)));
        }
        Some(found)
    };
    segments().unwrap_or(false)
}

/// The same of an object that has been read.
pub(crate) fn has_what_is_found_by_name(object: &Object<'_>) -> bool {
    let segments = object.info.macho().map(|info| info.segments.as_slice()).unwrap_or_default();
    object.sections.iter().skip(1).zip(segments).any(|(section, segment)| is_searched(trimmed(segment), section.name))
}

/// Whether the runtime looks for a section.
fn is_searched(segment: &[u8], name: &[u8]) -> bool {
    name == b"__objc_catlist" || (segment == b"__TEXT" && name.starts_with(b"__swift"))
}

/// The section with the description.
const DESCRIPTION: &[u8] = b"__objc_imageinfo";
/// Bytes of a description.
const SIZE: usize = 8;
/// The flag of code whose categories may have properties of classes: the runtime looks for these if all of it is such.
const CLASS_PROPERTIES: u32 = 0x40;

/// What the flags of a description say.
#[derive(Debug, Clone, Copy)]
struct Flags {
    /// Categories may have properties of classes.
    class_properties: bool,
    /// The number of Swift's binary interface; 0 without Swift.
    swift: u8,
    /// The version of the language Swift, as two numbers of 8 bits; 0 if it is not told.
    language: u16,
}

impl Flags {
    fn read(word: u32) -> Self {
        let [_, swift, minor, major] = word.to_le_bytes();
        let language = u16::from_le_bytes([minor, major]);
        Self { class_properties: word & CLASS_PROPERTIES != 0, swift, language }
    }

    /// The bytes of a description.
    fn bytes(self) -> [u8; SIZE] {
        let [minor, major] = self.language.to_le_bytes();
        [0, 0, 0, 0, if self.class_properties { 0x40 } else { 0 }, self.swift, minor, major]
    }

    /// What is true of both, if both can be in one image.
    fn and(self, other: Self) -> Option<Self> {
        let told = |one: u16, other: u16| if one == 0 || other == 0 { one | other } else { one.min(other) };
        let agree = self.swift == other.swift || self.swift == 0 || other.swift == 0;
        agree.then(|| Self {
            class_properties: self.class_properties && other.class_properties,
            swift: self.swift | other.swift,
            // The earliest, as Apple's linker has it.
            language: told(self.language, other.language),
        })
    }
}

/// Whether a section is a description.
pub(super) fn is_description(section: &Section<'_>) -> bool {
    // In a segment of data, that is.
    let flags = section.flags;
    section.name == DESCRIPTION && flags.has(SectionFlags::RELRO) && !flags.has(SectionFlags::ZERO)
}

/// Has the first description stand for those of all objects; the others are no part of the image.
///
/// # Errors
/// Descriptions that are malformed, or cannot be true of one image.
pub(super) fn join_descriptions(link: &mut Link<'_>) -> Result<(), Error> {
    let mut joined: Option<Flags> = None;
    // Where they are, and the first object that tells of Swift.
    let mut places = Vec::new();
    let mut first_swift = None;
    for (object, number) in link.objects.iter().zip(0_usize..) {
        for (section, index) in object.sections.iter().zip(0_usize..) {
            if !section.is_live() || !is_description(section) {
                continue;
            }
            let malformed = |what: String| Error::malformed(&object.name, format!("__objc_imageinfo: {what}"));
            let (descriptions, rest) = section.data.as_chunks::<SIZE>();
            if !rest.is_empty() || !section.relocs.bytes.is_empty() {
                let size = section.data.len();
                return Err(malformed(format!("{size} bytes, where descriptions of {SIZE} plain bytes belong")));
            }
            for [v0, v1, v2, v3, f0, f1, f2, f3] in descriptions {
                let version = u32::from_le_bytes([*v0, *v1, *v2, *v3]);
                if version != 0 {
                    return Err(malformed(format!("version {version}, of which only 0 is known")));
                }
                let own = Flags::read(u32::from_le_bytes([*f0, *f1, *f2, *f3]));
                let together = joined.map_or(Some(own), |joined| joined.and(own));
                joined = Some(together.ok_or_else(|| {
                    let first = first_swift.and_then(|first: usize| link.objects.get(first));
                    Error::Incompatible {
                        file: object.name.to_string(),
                        what: format!("is of {}", swift(own.swift)),
                        other: first.map(|object| object.name.to_string()).unwrap_or_default(),
                        other_what: format!("is of {}", swift(joined.map_or(0, |joined| joined.swift))),
                    }
                })?);
                if own.swift != 0 {
                    first_swift.get_or_insert(number);
                }
            }
            places.push((number, index));
        }
    }
    let Some(joined) = joined else { return Ok(()) };
    for (place, (object, section)) in places.iter().enumerate() {
        let section = link.objects.get_mut(*object).and_then(|object| object.sections.get_mut(*section));
        let Some(section) = section else { continue };
        if place == 0 {
            section.flags.set(SectionFlags::RETAIN);
            if *section.data != joined.bytes() {
                (section.data, section.size) = (Cow::Owned(joined.bytes().to_vec()), SIZE as u64);
            }
        } else {
            section.fate = Fate::Metadata;
        }
    }
    if places.len() > 1 {
        // Names of places in what is left out stand for nothing any more.
        link.symbols.mark_left_out(&link.objects);
    }
    Ok(())
}

/// The versions of Swift that have a binary interface with a number.
fn swift(number: u8) -> String {
    let version = match number {
        1 => "1.0",
        2 => "1.1",
        3 => "2",
        4 => "3",
        5 => "4.0",
        6 => "4.1 or 4.2",
        7 => "5 or later",
        _ => return format!("Swift with the binary interface {number}"),
    };
    format!("Swift {version}")
}
