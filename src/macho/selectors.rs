//! Stubs of Objective-C: code that sends a message.
//!
//! A message is sent by calling `_objc_msgSend` with the receiver and a *selector*, the unique address of the message's name.
//! To spare each caller the load of the selector, compilers call `_objc_msgSend$name:`, which no object defines: the linker
//! makes a stub that loads the selector from a *reference*, a pointer to the name which the runtime replaces by the unique
//! address, and jumps to `_objc_msgSend`. Names, references and stubs go where compilers put theirs: `__TEXT,__objc_methname`,
//! `__DATA,__objc_selrefs` and `__TEXT,__objc_stubs`.
//!
//! Source: the code of LLD and of Apple's linker (`-objc_stubs_fast`).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use object::macho;

use super::parse::S_ATTR_NO_DEAD_STRIP;
use super::relocs::Encoding;
use super::{ObjectInfo, lazy, section_symbol};
use crate::error::Error;
use crate::link::{Link, over};
use crate::model::{
    Binding, GlobalId, InputName, Object, ObjectId, ObjectInfo as Info, RelocEncoding, Relocs, Section,
    SectionFlags as Flags, Symbol, SymbolKind, SymbolSection, Visibility,
};
use crate::options::Arch;
use crate::symbols::{Definition, GlobalFlags};

/// What sends a message.
const SEND: &[u8] = b"_objc_msgSend";
/// What the name of a stub begins with; the name of the message follows.
const PREFIX: &[u8] = b"_objc_msgSend$";
/// Bytes of a reference.
const REFERENCE: u32 = 8;

/// The most stubs: each has three symbols, of which relocations can name 2^24.
const STUBS: u64 = (1 << 22) - 1;

/// The sections, by their numbers.
const NAMES: u32 = 1;
const REFERENCES: u32 = 2;
const CODE: u32 = 3;

/// A relocation of a stub: the offset of its field in the stub, whether its symbol is [`SEND`] or the reference, whether it
/// counts from its place, and its kind. All have 4 bytes.
type Field = (u32, bool, bool, u32);

/// What a stub is made of: its code, and the relocations in descending order of their offsets.
struct Template {
    code: &'static [u8],
    fields: &'static [Field],
    align: u64,
}

const X86_64: Template = Template {
    code: &[
        0x48, 0x8b, 0x35, 0, 0, 0, 0, // movq reference(%rip), %rsi
        0xff, 0x25, 0, 0, 0, 0, // jmpq *_objc_msgSend@GOT(%rip)
    ],
    // X86_64_RELOC_GOT, X86_64_RELOC_SIGNED
    fields: &[(9, true, true, 4), (3, false, true, 1)],
    align: 1,
};

const ARM64: Template = Template {
    code: &[
        0x01, 0x00, 0x00, 0x90, // adrp x1, reference@PAGE
        0x21, 0x00, 0x40, 0xf9, // ldr  x1, [x1, reference@PAGEOFF]
        0x10, 0x00, 0x00, 0x90, // adrp x16, _objc_msgSend@GOTPAGE
        0x10, 0x02, 0x40, 0xf9, // ldr  x16, [x16, _objc_msgSend@GOTPAGEOFF]
        0x00, 0x02, 0x1f, 0xd6, // br   x16
        0x20, 0x00, 0x20, 0xd4, // brk  #1, to a multiple of 32 bytes
        0x20, 0x00, 0x20, 0xd4, //
        0x20, 0x00, 0x20, 0xd4, //
    ],
    // ARM64_RELOC_GOT_LOAD_PAGEOFF12, _GOT_LOAD_PAGE21, _PAGEOFF12, _PAGE21
    fields: &[(12, true, false, 6), (8, true, true, 5), (4, false, false, 4), (0, false, true, 3)],
    align: 32,
};

/// Makes the stubs that are called and that nothing defines, in an object of their own.
///
/// # Errors
/// More stubs, or objects, than there are numbers for.
pub(super) fn make_stubs(link: &mut Link<'_>) -> Result<(), Error> {
    let is_stub = |name: &[u8]| name.len() > PREFIX.len() && name.starts_with(PREFIX);
    let called: Vec<(GlobalId, Vec<u8>)> = link
        .symbols
        .iter()
        .filter(|(_, global)| global.definition == Definition::Undefined && is_stub(global.name))
        .map(|(id, global)| (id, global.name.get(PREFIX.len()..).unwrap_or_default().to_vec()))
        .collect();
    if called.is_empty() {
        return Ok(());
    }
    over("objects", "the number of objects", link.objects.len() as u64, u32::MAX.into())?;
    over("stubs of Objective-C", "the number of messages with stubs", called.len() as u64, STUBS)?;
    let home = ObjectId(u32::try_from(link.objects.len()).unwrap_or(u32::MAX));
    let send = lazy::look_up(link, SEND);
    let global = link.symbols.get_mut(send);
    global.flags.set(GlobalFlags::IN_OBJECT.and(GlobalFlags::STRONG_REFERENCE));
    if let Definition::Library(number, _) = global.definition
        && let Some(library) = link.libraries.get_mut(number as usize)
    {
        library.needed = true;
    }
    for ((id, _), index) in called.iter().zip(0_u32..) {
        let global = link.symbols.get_mut(*id);
        // Its name stays that of the mention in the object that calls it.
        global.definition = Definition::Object(home, index);
        (global.visibility, global.kind) = (Visibility::Hidden, SymbolKind::Function);
    }
    let object = object(link.target, &called, send);
    link.objects.push(object);
    Ok(())
}

/// The object with the stubs of messages of these names. Its symbols are the stubs, as many names and as many references, and
/// [`SEND`].
fn object<'a>(target: crate::Target, called: &[(GlobalId, Vec<u8>)], send: GlobalId) -> Object<'a> {
    let template = if target.arch == Arch::X86_64 { X86_64 } else { ARM64 };
    let count = u32::try_from(called.len()).unwrap_or(u32::MAX);
    let size = u32::try_from(template.code.len()).unwrap_or(u32::MAX);
    let (first_name, first_reference) = (count, count.saturating_mul(2));
    let sender = count.saturating_mul(3);
    let mut symbols = Vec::with_capacity(called.len().saturating_mul(3).saturating_add(4));
    let (mut names, mut code) = (Vec::new(), Vec::new());
    for ((id, _), number) in called.iter().zip(0_u64..) {
        let mut symbol = Symbol::new(u32::MAX, SymbolSection::In(CODE), number.saturating_mul(size.into()));
        (symbol.binding, symbol.kind, symbol.global) = (Binding::Global, SymbolKind::Function, *id);
        symbols.push(symbol);
        code.extend(template.code);
    }
    // Names and references have symbols as sections have them, which no table shows: these count from minus their value.
    for (_, name) in called {
        symbols.push(section_symbol(NAMES, (names.len() as u64).wrapping_neg()));
        names.extend(name);
        names.push(0);
    }
    let offsets = (0..u64::from(count)).map(|number| number.saturating_mul(REFERENCE.into()));
    symbols.extend(offsets.map(|offset| section_symbol(REFERENCES, offset.wrapping_neg())));
    let mut symbol = Symbol::new(u32::MAX, SymbolSection::Undefined, 0);
    (symbol.binding, symbol.global) = (Binding::Global, send);
    symbols.push(symbol);
    // Tables descend.
    let (mut pointers, mut fields) = (Vec::new(), Vec::new());
    for number in (0..count).rev() {
        // ARM64_RELOC_UNSIGNED and X86_64_RELOC_UNSIGNED
        let offset = number.saturating_mul(REFERENCE);
        pointers.extend(entry(offset, first_name.saturating_add(number), false, 3, 0));
        for (offset, sends, relative, kind) in template.fields {
            let symbol = if *sends { sender } else { first_reference.saturating_add(number) };
            let offset = number.saturating_mul(size).saturating_add(*offset);
            fields.extend(entry(offset, symbol, *relative, 2, *kind));
        }
    }
    let references = vec![0; called.len().saturating_mul(REFERENCE as usize)];
    let places = [
        ("__TEXT", names.len() as u64, 1),
        ("__DATA", references.len() as u64, REFERENCE.into()),
        ("__TEXT", code.len() as u64, template.align),
    ];
    let info = ObjectInfo::of_data(target, places.into_iter(), &mut symbols);
    let section = |name, data, align, flags, kind: u32, table| {
        let encoding = Encoding { arch: target.arch, section_symbols: info.symbols, address: 0 };
        let relocs = Relocs { bytes: Cow::Owned(table), encoding: RelocEncoding::MachO(encoding) };
        Section { kind, relocs, ..Section::made(name, Cow::Owned(data), align, flags) }
    };
    let (strings, pointer_list) = (u32::from(macho::S_CSTRING_LITERALS.0), u32::from(macho::S_LITERAL_POINTERS.0));
    let (read, write, run) = (Flags::ALLOC, Flags::ALLOC.and(Flags::WRITE), Flags::ALLOC.and(Flags::EXEC));
    let none = section(b"", Vec::new(), 1, Flags::default(), 0, Vec::new());
    let names = section(b"__objc_methname", names, 1, read, strings, Vec::new());
    let kind = pointer_list | S_ATTR_NO_DEAD_STRIP;
    let references = section(b"__objc_selrefs", references, REFERENCE.into(), write, kind, pointers);
    let code = section(b"__objc_stubs", code, template.align, run, super::plan::CODE, fields);
    Object {
        name: InputName { file: "stubs of Objective-C", member: None },
        sections: vec![none, names, references, code],
        symbols,
        strings: &[],
        short_names: &[],
        groups: Vec::new(),
        hide_symbols: false,
        info: Info::MachO(info),
    }
}

/// An entry of a table of relocations, against a symbol; the width of the field is a power of two.
fn entry(offset: u32, symbol: u32, relative: bool, width: u32, kind: u32) -> [u8; 8] {
    let info = symbol & 0x00ff_ffff | u32::from(relative) << 24 | width << 25 | 1 << 27 | kind << 28;
    let ([o0, o1, o2, o3], [i0, i1, i2, i3]) = (offset.to_le_bytes(), info.to_le_bytes());
    [o0, o1, o2, o3, i0, i1, i2, i3]
}
