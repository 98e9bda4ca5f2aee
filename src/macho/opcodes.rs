//! `LC_DYLD_INFO_ONLY`: what the loader fills, as programs for small machines.
//!
//! Loaders before macOS 12 do not know chained fixups. They run a *rebase* program, which lists the pointers into the
//! image itself, and a *bind* program, which lists those to symbols of others. A *weak bind* program lists, by name, pointers
//! to what the process has one definition of. A *lazy bind* program consists of descriptions of single pointers, which are
//! filled one by one when they are needed.
//! A byte is an opcode (high four bits) and a small number, numbers follow as LEB128.
//!
//! Source: `mach-o/loader.h`, `REBASE_OPCODE_*` and `BIND_OPCODE_*`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::POINTER;
use super::leb::{sleb, uleb};

const REBASE_SET_TYPE_POINTER: u8 = 0x11;
const REBASE_SET_SEGMENT: u8 = 0x20;
const REBASE_ADD_ADDRESS: u8 = 0x30;
const REBASE_TIMES_SMALL: u8 = 0x50;
const REBASE_TIMES: u8 = 0x60;

const BIND_DONE: u8 = 0x00;
const BIND_SET_ORDINAL_SMALL: u8 = 0x10;
const BIND_SET_ORDINAL: u8 = 0x20;
const BIND_SET_ORDINAL_SPECIAL: u8 = 0x30;
const BIND_SET_SYMBOL: u8 = 0x40;
const BIND_SET_TYPE_POINTER: u8 = 0x51;
const BIND_SET_ADDEND: u8 = 0x60;
const BIND_SET_SEGMENT: u8 = 0x70;
const BIND_ADD_ADDRESS: u8 = 0x80;
const BIND_DO: u8 = 0x90;
/// `BIND_SYMBOL_FLAGS_WEAK_IMPORT`
const WEAK_IMPORT: u8 = 1;
/// `BIND_SYMBOL_FLAGS_NON_WEAK_DEFINITION`
const STRONG_DEFINITION: u8 = 8;

/// The most segments with pointers: there are four bits for their numbers.
pub(crate) const SEGMENTS: u64 = 16;

/// A place in the image, as the programs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    /// The number of its segment, less than [`SEGMENTS`].
    pub(crate) segment: u8,
    /// Offset in the segment, in bytes.
    pub(crate) offset: u64,
}

/// A pointer to a symbol of another image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bind<'a> {
    /// Where it is.
    pub(crate) at: At,
    /// The symbol's name, without a NUL byte.
    pub(crate) name: &'a [u8],
    /// The library; `None` where that is of no account, as for weak definitions.
    pub(crate) ordinal: Option<i32>,
    /// The symbol may be missing.
    pub(crate) weak: bool,
    /// Added to its address.
    pub(crate) addend: i64,
}

/// The rebase program for `places`, ascending; padded to 8 bytes.
pub(crate) fn rebases(places: impl IntoIterator<Item = At>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The machine's place, and the number of pointers before it that are not told yet.
    let (mut now, mut run): (Option<At>, u64) = (None, 0);
    for at in places {
        match now {
            Some(now) if now == at => {}
            Some(now) if now.segment == at.segment && now.offset < at.offset => {
                repeat(&mut bytes, run);
                run = 0;
                bytes.push(REBASE_ADD_ADDRESS);
                uleb(&mut bytes, at.offset.saturating_sub(now.offset));
            }
            _ => {
                if now.is_none() {
                    bytes.push(REBASE_SET_TYPE_POINTER);
                }
                repeat(&mut bytes, run);
                run = 0;
                bytes.push(REBASE_SET_SEGMENT | (at.segment & 0xf));
                uleb(&mut bytes, at.offset);
            }
        }
        run = run.saturating_add(1);
        now = Some(At { offset: at.offset.saturating_add(POINTER), ..at });
    }
    repeat(&mut bytes, run);
    if !bytes.is_empty() {
        bytes.push(0);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn repeat(bytes: &mut Vec<u8>, times: u64) {
    match u8::try_from(times) {
        Ok(0) => {}
        Ok(few @ 1..=15) => bytes.push(REBASE_TIMES_SMALL | few),
        _ => {
            bytes.push(REBASE_TIMES);
            uleb(bytes, times);
        }
    }
}

/// The program for `binds`; padded to 8 bytes. It is shortest if those of one symbol stand together, ascending.
pub(crate) fn binds<'a>(binds: impl IntoIterator<Item = Bind<'a>>) -> Vec<u8> {
    weak_binds(&[], binds)
}

/// The program for `binds`, ascending by name, before which it says of which names the image has definitions that are not
/// weak: these win over all others in the process.
pub(crate) fn weak_binds<'a>(strong: &[&[u8]], binds: impl IntoIterator<Item = Bind<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in strong {
        bytes.push(BIND_SET_SYMBOL | STRONG_DEFINITION);
        bytes.extend(*name);
        bytes.push(0);
    }
    let mut last: Option<Bind<'_>> = None;
    for bind in binds {
        let same = |what: &dyn Fn(&Bind<'_>) -> bool| last.as_ref().is_some_and(what);
        if let Some(ordinal) = bind.ordinal
            && !same(&|last| last.ordinal == Some(ordinal))
        {
            set_ordinal(&mut bytes, ordinal);
        }
        if !same(&|last| last.name == bind.name && last.weak == bind.weak) {
            set_symbol(&mut bytes, &bind);
        }
        if last.is_none() {
            bytes.push(BIND_SET_TYPE_POINTER);
        }
        if bind.addend != last.as_ref().map_or(0, |last| last.addend) {
            bytes.push(BIND_SET_ADDEND);
            sleb(&mut bytes, bind.addend);
        }
        match last {
            Some(Bind { at, .. })
                if at.segment == bind.at.segment && at.offset.saturating_add(POINTER) <= bind.at.offset =>
            {
                let step = bind.at.offset.saturating_sub(at.offset).saturating_sub(POINTER);
                if step > 0 {
                    bytes.push(BIND_ADD_ADDRESS);
                    uleb(&mut bytes, step);
                }
            }
            _ => {
                bytes.push(BIND_SET_SEGMENT | (bind.at.segment & 0xf));
                uleb(&mut bytes, bind.at.offset);
            }
        }
        bytes.push(BIND_DO);
        last = Some(bind);
    }
    if !bytes.is_empty() {
        bytes.push(BIND_DONE);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The program that describes functions to be looked up at their first call, each on its own.
#[derive(Debug, Default)]
pub(crate) struct LazyProgram {
    /// Its bytes, padded to 8.
    pub(crate) bytes: Vec<u8>,
    /// Where in it the description of each function starts.
    pub(crate) offsets: Vec<u32>,
}

impl LazyProgram {
    /// Describes these, in order.
    pub(crate) fn new<'a>(binds: impl IntoIterator<Item = Bind<'a>>) -> Self {
        let mut program = Self::default();
        let bytes = &mut program.bytes;
        for bind in binds {
            program.offsets.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            bytes.push(BIND_SET_SEGMENT | (bind.at.segment & 0xf));
            uleb(bytes, bind.at.offset);
            if let Some(ordinal) = bind.ordinal {
                set_ordinal(bytes, ordinal);
            }
            set_symbol(bytes, &bind);
            bytes.extend([BIND_DO, BIND_DONE]);
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        program
    }
}

fn set_ordinal(bytes: &mut Vec<u8>, ordinal: i32) {
    match u8::try_from(ordinal) {
        Ok(small @ 0..=15) => bytes.push(BIND_SET_ORDINAL_SMALL | small),
        _ if ordinal < 0 => {
            let [low, ..] = ordinal.to_le_bytes();
            bytes.push(BIND_SET_ORDINAL_SPECIAL | (low & 0xf));
        }
        _ => {
            bytes.push(BIND_SET_ORDINAL);
            uleb(bytes, u64::from(ordinal.unsigned_abs()));
        }
    }
}

fn set_symbol(bytes: &mut Vec<u8>, bind: &Bind<'_>) {
    bytes.push(BIND_SET_SYMBOL | if bind.weak { WEAK_IMPORT } else { 0 });
    bytes.extend(bind.name);
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn rebases_of_neighbours_are_told_together() {
        let at = |segment, offset| At { segment, offset };
        assert!(rebases([]).is_empty());
        let program = rebases([at(1, 0), at(1, 8), at(1, 0x20), at(2, 0x10)]);
        assert_eq!(program, [0x11, 0x21, 0, 0x52, 0x30, 0x10, 0x51, 0x22, 0x10, 0x51, 0, 0, 0, 0, 0, 0]);
        let many: Vec<u8> = rebases((0..20).map(|number| at(1, 8 * number)));
        assert_eq!(many, [0x11, 0x21, 0, 0x60, 20, 0, 0, 0]);
    }

    #[test]
    fn binds_say_only_what_changes() {
        let bind = |name, offset, ordinal, addend| Bind {
            at: At { segment: 2, offset },
            name,
            ordinal: Some(ordinal),
            weak: false,
            addend,
        };
        let program = binds([bind(b"_a", 0, 1, 0), bind(b"_a", 8, 1, 0), bind(b"_b", 0x20, -2, 4)]);
        let wanted = [
            0x11, 0x40, b'_', b'a', 0, 0x51, 0x72, 0, 0x90, 0x90, 0x3e, 0x40, b'_', b'b', 0, 0x60, 4, 0x80, 0x10, 0x90,
            0,
        ];
        assert_eq!(program[..wanted.len()], wanted);
        assert_eq!(binds([bind(b"_a", 0, 20, 0)])[..2], [0x20, 20]);
        let lazy = LazyProgram::new([bind(b"_a", 0x10, 1, 0), bind(b"_b", 0x18, -2, 0)]);
        assert_eq!(lazy.offsets, [0, 9]);
        let wanted = [0x72, 0x10, 0x11, 0x40, b'_', b'a', 0, 0x90, 0, 0x72, 0x18, 0x3e, 0x40, b'_', b'b', 0, 0x90, 0];
        assert_eq!((&lazy.bytes[..18], lazy.bytes.len()), (&wanted[..], 24));
    }
}
