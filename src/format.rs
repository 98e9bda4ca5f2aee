//! The doors to the rooms of the formats: what the shared middle of the link asks of a format, one match each.
//!
//! The rooms have plain modules with functions of the same names. What only one format has stays behind its door.

use std::path::{Path, PathBuf};

use crate::addresses;
use crate::arch::{self, ThunkKind};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::input::Content;
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::{
    CommonKind, GlobalId, Group, InputName, Object, ObjectId, ObjectInfo, Section, SectionFlags, SectionIndex, Symbol,
    SymbolIndex, Traits, Visibility,
};
use crate::options::{Arch, BuildId, Format, Target};
use crate::pe;
use crate::reloc::Kinds;
use crate::scan::Scan;
use crate::slots::{PltEntry, SymbolRef};
use crate::symbols::{Anchor, Global};
use crate::thunks::{Branch, Destination};
use crate::{elf, macho};

/// Reads an object file, of whatever format its first bytes say.
///
/// # Errors
/// Bytes that contradict their format; contents that cannot be linked.
pub(crate) fn parse<'a>(name: InputName<'a>, bytes: &'a [u8]) -> Result<Object<'a>, Error> {
    match Content::of(bytes) {
        Content::Refused(what) => return Err(Error::unsupported(&name, what)),
        Content::Text => return Err(Error::unsupported(&name, "text, where an object file is needed")),
        Content::Archive | Content::ThinArchive => {
            return Err(Error::unsupported(&name, "archive in an archive; give it as an input of its own"));
        }
        Content::Object | Content::SharedLibrary => {}
    }
    if pe::parse::is_object(bytes) {
        return pe::parse::parse(name, bytes);
    }
    match macho::content::of(bytes) {
        Some(_) => macho::parse::parse(name, bytes),
        None => elf::parse::parse(name, bytes),
    }
}

/// What an object is for.
///
/// # Errors
/// A machine that this linker does not know.
pub(crate) fn target_of(object: &Object<'_>) -> Result<Target, Error> {
    match &object.info {
        ObjectInfo::Elf(info) => elf::target_of(&object.name, info),
        ObjectInfo::Pe(info) => pe::target_of(&object.name, info),
        ObjectInfo::MachO(info) => Ok(macho::target_of(info)),
    }
}

/// Checks that an object is for the target that `source` has fixed.
///
/// # Errors
/// [`Error::Incompatible`], naming both.
pub(crate) fn check_object(object: &Object<'_>, target: Target, source: &str) -> Result<(), Error> {
    let (format, what) = match &object.info {
        ObjectInfo::Elf(_) => (Format::Elf, "is an ELF object"),
        ObjectInfo::Pe(_) => (Format::Pe, "is a COFF object"),
        ObjectInfo::MachO(_) => (Format::MachO, "is a Mach-O object"),
    };
    if format != target.format {
        let wanted = match target.format {
            Format::Elf => "asks for an ELF image",
            Format::MachO => "asks for a Mach-O image",
            Format::Pe => "asks for a Windows image",
        };
        return Err(Error::Incompatible {
            file: object.name.to_string(),
            what: what.to_owned(),
            other: source.to_owned(),
            other_what: wanted.to_owned(),
        });
    }
    match &object.info {
        ObjectInfo::Elf(info) => elf::check_object(&object.name, info, target, source),
        ObjectInfo::Pe(info) => pe::check_machine(&object.name.to_string(), info.machine, target, source),
        ObjectInfo::MachO(info) => macho::check_object(&object.name, info, target, source),
    }
}

/// Defines what objects expect of a linker.
///
/// # Errors
/// What the room cannot define.
pub(crate) fn define_symbols(link: &mut Link<'_>) -> Result<()> {
    match link.target.format {
        Format::Elf => elf::define_symbols(link),
        Format::Pe => pe::define_symbols(link),
        Format::MachO => Ok(macho::define_symbols(link)?),
    }
}

/// Decides what each symbol is to relocations. The table of symbols does not change afterwards.
pub(crate) fn fix_traits(link: &mut Link<'_>) {
    let local_traits = match link.target.format {
        Format::Elf => elf::fix_traits(link),
        Format::Pe => pe::fix_traits(link),
        Format::MachO => macho::fix_traits(link),
    };
    let heap_image = link.heap_image;
    // Nothing is near enough for a load from the GOT to be relaxed.
    let far = link.target.format == Format::Elf && !link.options.elf.relax;
    let symbols = &link.symbols;
    let mut objects: Vec<_> = link.objects.iter_mut().map(|object| (object, Vec::new())).collect();
    link.workers.for_each_mut(&mut objects, |number, (object, special)| {
        let heap = heap_image.filter(|(id, _)| id.index() == number).map(|(_, section)| section);
        let mut all = std::mem::take(&mut object.symbols);
        special.reserve_exact(all.len());
        for symbol in &mut all {
            symbol.traits = match symbol.global.get() {
                Some(global) => symbols.get(global).traits,
                None => local_traits(object, symbol, heap),
            }
            .when(far, Traits::FAR);
            special.push(symbol.traits.any(Kinds::SPECIAL));
        }
        object.symbols = all;
    });
    link.special = objects.into_iter().map(|(_, special)| special).collect();
}

/// Tells what a symbol that only its object knows is to relocations, given the number of the object's section that holds
/// the heap image, if one does.
pub(crate) type LocalTraits = fn(&Object<'_>, &Symbol, Option<SectionIndex>) -> Traits;

/// Gives indirect functions whose address code computes by itself one address for all purposes.
pub(crate) fn give_plt_addresses(link: &mut Link<'_>, symbols: &[(ObjectId, SymbolIndex)]) {
    match link.target.format {
        Format::Elf => elf::give_plt_addresses(link, symbols),
        Format::MachO | Format::Pe => {}
    }
}

/// Whether calls through the PLT are bound when the image is loaded, so that they share slots with the GOT.
pub(crate) fn binds_now(link: &Link<'_>, found: &Scan) -> bool {
    match link.target.format {
        Format::Elf => link.options.elf.now || elf::must_bind_now(link, found),
        Format::MachO => macho::binds_now(link),
        Format::Pe => true,
    }
}

/// Words at the start of the GOT that are no symbol's.
pub(crate) fn got_header(link: &Link<'_>) -> u32 {
    match link.target.format {
        Format::Elf => elf::machine(link).got_header,
        Format::MachO | Format::Pe => 0,
    }
}

/// Looks for what else the format needs of the image, beside what relocations ask for, and adds it to `found`.
///
/// # Errors
/// What contradicts the format.
pub(crate) fn gather(link: &mut Link<'_>, found: &mut Scan) -> Result<()> {
    match link.target.format {
        Format::MachO => macho::gather(link, found),
        Format::Elf | Format::Pe => Ok(()),
    }
}

/// Decides the sections of the image, and makes all tables that do not depend on addresses.
///
/// # Errors
/// What does not fit the format.
pub(crate) fn plan(link: &mut Link<'_>, found: Scan) -> Result<()> {
    match link.target.format {
        Format::Elf => elf::plan(link, found),
        Format::Pe => pe::plan(link, found),
        Format::MachO => macho::plan(link, found),
    }
}

/// Gives every section its address and file offset.
///
/// # Errors
/// An image beyond the limits of the format or of [`Limits`](crate::Limits).
pub(crate) fn assign_addresses(link: &mut Link<'_>) -> Result<()> {
    match link.target.format {
        Format::Elf => elf::assign_addresses(link),
        Format::Pe => pe::assign_addresses(link),
        Format::MachO => macho::assign_addresses(link),
    }
}

/// Fixes the addresses of all symbols, makes the small tables, and says where each byte of the file comes from.
///
/// # Errors
/// Tables that cannot be made.
pub(crate) fn emit(link: Link<'_>) -> Result<Image<'_>> {
    match link.target.format {
        Format::Elf => elf::emit(link),
        Format::Pe => pe::emit(link),
        Format::MachO => macho::emit(link),
    }
}

/// Where an offset of an input section has gone in its contribution.
pub(crate) fn moved_offset(link: &Link<'_>, object: ObjectId, section: SectionIndex, offset: u64) -> u64 {
    match link.target.format {
        Format::Elf => elf::moved_offset(link, object, section, offset),
        Format::MachO | Format::Pe => offset,
    }
}

/// The address of the block of common symbols of a kind.
pub(crate) fn commons_address(link: &Link<'_>, kind: CommonKind) -> u64 {
    match link.target.format {
        Format::Elf => link.elf.commons_address(link, kind),
        Format::Pe => pe::commons_address(link),
        Format::MachO => macho::commons_address(link),
    }
}

/// The address of a place that layout knows.
pub(crate) fn anchor_address(link: &Link<'_>, anchor: Anchor) -> u64 {
    match link.target.format {
        Format::Elf => elf::anchor_address(link, anchor),
        Format::Pe => pe::anchor_address(link, anchor),
        Format::MachO => macho::anchor_address(link, anchor),
    }
}

/// The address of a word of the GOT.
pub(crate) fn got_address(link: &Link<'_>, word: u32) -> u64 {
    match link.target.format {
        Format::Elf => elf::got::got_address(link, word),
        Format::MachO => macho::stubs::got_address(link, word),
        Format::Pe => 0,
    }
}

/// The address that calls through a PLT entry go to.
pub(crate) fn plt_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    match link.target.format {
        Format::Elf => elf::got::plt_address(link, entry),
        Format::MachO => macho::stubs::plt_address(link, entry),
        Format::Pe => 0,
    }
}

/// The addresses of every object's symbols, with the addresses of sections as they are.
pub(crate) fn symbol_addresses(link: &Link<'_>) -> Vec<Vec<u64>> {
    match link.target.format {
        Format::Elf => elf::emit::symbol_addresses(link),
        Format::MachO | Format::Pe => addresses::of_symbols(link, |_, _| false, |_, _, _| None),
    }
}

/// Whether indirect branches may lead to landing pads only.
pub(crate) fn guards_branches(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => link.elf.ibt,
        Format::MachO | Format::Pe => false,
    }
}

/// The address of the image's first byte.
pub(crate) fn image_base(link: &Link<'_>) -> u64 {
    match link.target.format {
        Format::Elf | Format::MachO => 0,
        Format::Pe => link.pe.base,
    }
}

/// The address of the first byte of the image's section that holds a symbol of an object.
pub(crate) fn section_start(link: &Link<'_>, object: ObjectId, symbol: &Symbol) -> u64 {
    match link.target.format {
        Format::Elf | Format::MachO => 0,
        Format::Pe => pe::section_start(link, object, symbol),
    }
}

/// The number of the image's section that holds a symbol of an object; 0 if none does.
pub(crate) fn section_number(link: &Link<'_>, object: ObjectId, symbol: &Symbol) -> u64 {
    match link.target.format {
        Format::Elf | Format::MachO => 0,
        Format::Pe => pe::relocs::section_of(link, object, symbol).map_or(0, |section| u64::from(section) + 1),
    }
}

/// Whether the loader may be left fields in sections that are not writable.
pub(crate) fn refuses_text_relocations(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => link.options.elf.text,
        Format::MachO | Format::Pe => false,
    }
}

/// Whether what is referred to weakly alone may be missing when the image is linked, and is 0 then. Weak references of macOS are
/// to what libraries have, though they may lack it when the image is loaded.
pub(crate) fn weak_references_may_lack(link: &Link<'_>) -> bool {
    link.target.format != Format::MachO
}

/// A likely reason why nothing defines a symbol, beside a similar name.
pub(crate) fn undefined_hint(link: &Link<'_>, id: GlobalId, global: &Global<'_>) -> Option<String> {
    match link.target.format {
        Format::Elf | Format::MachO => (!global.traits.has(Traits::PREEMPTIBLE)).then(|| {
            let visibility = if global.visibility == Visibility::Protected { "protected" } else { "hidden" };
            format!("it has {visibility} visibility, so another library cannot define it")
        }),
        Format::Pe => pe::undefined_hint(link, id),
    }
}

/// Symbols of an object that are other names for symbols, with the names of these.
pub(crate) fn aliases<'a>(object: &Object<'a>) -> Vec<(SymbolIndex, &'a [u8])> {
    match &object.info {
        ObjectInfo::MachO(_) => macho::aliases(object),
        ObjectInfo::Elf(_) | ObjectInfo::Pe(_) => Vec::new(),
    }
}

/// Symbols that an object has count as referenced without mentioning them.
pub(crate) fn included<'a>(object: &Object<'a>) -> Vec<&'a [u8]> {
    match &object.info {
        ObjectInfo::Elf(_) | ObjectInfo::MachO(_) => Vec::new(),
        ObjectInfo::Pe(info) => pe::included(info),
    }
}

/// Whether data of shared libraries may be reached without being declared as theirs.
pub(crate) fn imports_automatically(target: Option<Target>) -> bool {
    target.is_some_and(|target| target.format == Format::Pe)
}

/// The size of the rows of a section, in bytes, if it is a table of functions that says how to unwind them.
pub(crate) fn function_row(link: &Link<'_>, section: &Section<'_>) -> Option<u64> {
    match link.target.format {
        Format::Elf => None,
        Format::MachO => macho::live::function_row(section),
        Format::Pe => pe::function_row(link.target.arch, section),
    }
}

/// Which section of a group keeps which other one, in pairs.
pub(crate) fn kept_in_group(object: &Object<'_>, group: &Group<'_>) -> Vec<(SectionIndex, SectionIndex)> {
    match object.info {
        ObjectInfo::Elf(_) => elf::kept_in_group(object, group),
        // The first one has the leader.
        ObjectInfo::Pe(_) => {
            let first = group.members.first().into_iter();
            first.flat_map(|first| group.members.iter().skip(1).map(|other| (*first, *other))).collect()
        }
        ObjectInfo::MachO(_) => Vec::new(),
    }
}

/// Leaves out what is not loaded and belongs to loaded sections that nothing refers to.
pub(crate) fn leave_out_attached(link: &mut Link<'_>) {
    match link.target.format {
        Format::Elf => elf::leave_out_attached(link),
        Format::MachO | Format::Pe => {}
    }
}

/// Symbols that stay in the image whoever refers to them, beside those with
/// [`EXPORTED`](crate::symbols::GlobalFlags::EXPORTED). As for all relocations of an object, one that is local may be known in
/// the whole link.
pub(crate) fn roots(link: &Link<'_>) -> Vec<SymbolRef> {
    match link.target.format {
        Format::Elf => Vec::new(),
        Format::MachO => macho::live::roots(link),
        Format::Pe => pe::roots(link).into_iter().map(SymbolRef::Global).collect(),
    }
}

/// Whether something refers to where the image's section begins or ends that an object's section goes to.
pub(crate) fn is_bounded(link: &Link<'_>, object: ObjectId, section: SectionIndex) -> bool {
    match link.target.format {
        Format::MachO => macho::live::is_bounded(link, object, section),
        Format::Elf | Format::Pe => crate::gc::is_bounded(link, link.section(object, section).name),
    }
}

/// Whether a section stays if something in its object does that it refers to.
pub(crate) fn supports(link: &Link<'_>, section: &Section<'_>) -> bool {
    link.target.format == Format::MachO && macho::live::supports(section)
}

/// The symbol whose address is subtracted in a relocation of a kind that names two.
pub(crate) fn subtracted(target: Target, kind: u32) -> Option<SymbolIndex> {
    if target.format == Format::MachO { macho::relocs::subtracted(kind) } else { None }
}

/// Divides sections into parts that can be left out each, and leaves out copies of weak definitions where these are in no
/// sections of their own.
///
/// # Errors
/// Unwind records that are malformed.
pub(crate) fn divide(link: &mut Link<'_>) -> Result<()> {
    match link.target.format {
        Format::MachO if link.options.gc_sections => macho::subsections::divide(link),
        Format::MachO => macho::copies::leave_out(link)?,
        Format::Elf | Format::Pe => {}
    }
    Ok(())
}

/// Takes what says how to unwind functions that are left out from sections that have such records of several functions, where
/// that is not done when these are put together.
///
/// # Errors
/// Records that are malformed.
pub(crate) fn leave_out_frames(link: &mut Link<'_>) -> Result<()> {
    match link.target.format {
        Format::MachO => macho::frames::leave_out(link),
        Format::Elf | Format::Pe => Ok(()),
    }
}

/// The symbol of the image that a place holds the address of, if it is there for that.
pub(crate) fn symbol_held(link: &Link<'_>, anchor: Anchor) -> Option<GlobalId> {
    match anchor {
        Anchor::Pe(place) => pe::imports::symbol_held(link, place),
        _ => None,
    }
}

/// Whether a weak reference takes members of archives. It does not on ELF (gABI, *Symbol Table*) and Windows; for Apple's
/// linker a reference is weak in that the loader may find nothing, so that it is one to archives as others are.
pub(crate) fn weak_takes_member(target: Option<Target>) -> bool {
    target.is_some_and(|target| target.format == Format::MachO)
}

/// Whether the linker defines a name itself, though archives may have a definition, too.
pub(crate) fn is_made(target: Option<Target>, name: &[u8]) -> bool {
    target.is_some_and(|target| target.format == Format::Pe && pe::define::is_list(target.arch, name))
}

/// Whether a weak reference is content with a shared library's definition.
pub(crate) fn weak_takes_library(target: Option<Target>) -> bool {
    target.is_none_or(|target| target.format != Format::Pe)
}

/// As [`plt_address`], for calls that do not use the GOT base that the image has in a register; such an entry can stand for
/// the symbol's address.
pub(crate) fn plt_address_no_base(link: &Link<'_>, entry: PltEntry) -> u64 {
    match (link.target.format, link.target.arch) {
        (Format::Elf, Arch::Ppc64) => elf::ppc64::no_toc_address(link, entry),
        _ => plt_address(link, entry),
    }
}

/// The thunk that a branch needs to get to its target.
pub(crate) fn thunk_for(link: &Link<'_>, branch: &Branch) -> Option<ThunkKind> {
    match (link.target.format, link.target.arch) {
        (Format::Elf, Arch::Ppc64) => elf::ppc64::thunk_for(link, branch),
        _ => arch::thunk_for(branch),
    }
}

/// The address that a thunk to a destination at `address` leads to, without the relocation's addend.
pub(crate) fn thunk_target(link: &Link<'_>, kind: ThunkKind, to: Destination, address: u64) -> u64 {
    match (link.target.format, link.target.arch) {
        (Format::Elf, Arch::Ppc64) => elf::ppc64::thunk_target(link, kind, to, address),
        _ => address,
    }
}

/// Whether branches need thunks however near their targets are.
pub(crate) fn calls_change_mode(link: &Link<'_>) -> bool {
    match (link.target.format, link.target.arch) {
        (Format::Elf, Arch::Ppc64) => elf::ppc64::needs_thunks(link),
        _ => false,
    }
}

/// Whether there may be instructions that must not stand where they are.
pub(crate) fn has_misplaced(link: &Link<'_>) -> bool {
    link.target.format == Format::Elf && elf::erratum::is_avoided(link)
}

/// The instructions of an object that must not stand where they are, with addresses as they are: sections and offsets in them.
pub(crate) fn misplaced(link: &Link<'_>, object: ObjectId) -> Vec<(SectionIndex, u64)> {
    match link.target.format {
        Format::Elf => elf::erratum::misplaced(link, object),
        Format::MachO | Format::Pe => Vec::new(),
    }
}

/// How far behind its address a function is entered by calls from its own image, in bytes.
pub(crate) fn local_entry(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    match (link.target.format, link.target.arch) {
        (Format::Elf, Arch::Ppc64) => elf::ppc64::local_entry(link, symbol),
        _ => 0,
    }
}

/// The offset in the image's TLS block that stands for an address in the template.
pub(crate) fn tls_block_offset(link: &Link<'_>, address: u64) -> u64 {
    match link.target.format {
        Format::Elf => elf::tls_block_offset(link, address),
        Format::MachO => address.wrapping_sub(macho::template_address(link)),
        Format::Pe => address,
    }
}

/// The size of what a symbol of an object stands for, in bytes.
pub(crate) fn symbol_size(link: &Link<'_>, symbol: &Symbol) -> u64 {
    match link.target.format {
        Format::Elf => elf::symtab::symbol_size(link, symbol),
        Format::MachO | Format::Pe => symbol.size,
    }
}

/// How the bytes that identify an image's contents are computed.
pub(crate) fn identity_kind<'l>(link: &'l Link<'_>) -> &'l BuildId {
    match link.target.format {
        Format::Elf => &link.options.elf.build_id,
        Format::Pe => pe::identity_kind(link),
        Format::MachO => &BuildId::Bytes16,
    }
}

/// A computed identity as the format stores it.
pub(crate) fn dressed_identity(link: &Link<'_>, identity: Vec<u8>) -> Vec<u8> {
    let identity = match malfunction::on(Malfunction::IdentityConstant) {
        false => identity,
        true => vec![0x77; identity.len()],
    };
    match link.target.format {
        Format::Elf | Format::Pe => identity,
        Format::MachO => macho::uuid(identity),
    }
}

/// Whether the fields that the loader fills with resolvers' answers keep what they hold in the input.
pub(crate) fn leaves_indirect(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => elf::machine(link).rela,
        Format::MachO | Format::Pe => true,
    }
}

/// Makes the bytes of a part of a table from its offset `at` on in `out`; what is missing is zero.
pub(crate) fn fill_table(link: &Link<'_>, table: u16, part: u32, at: u64, out: &mut [u8]) {
    match link.target.format {
        Format::Elf => elf::emit::fill_table(link, table, part, at, out),
        Format::MachO => macho::emit::fill_table(link, table, part, at, out),
        Format::Pe => out.fill(0),
    }
}

/// Corrects what relocations do not reach, in a stretch that starts at `start` of a section and is in `out`.
pub(crate) fn patch_section(link: &Link<'_>, object: ObjectId, section: SectionIndex, start: u64, out: &mut [u8]) {
    match link.target.format {
        Format::Elf => elf::emit::patch_section(link, object, section, start, out),
        Format::MachO => macho::dsym::patch(link, object, section, start, out),
        Format::Pe => {}
    }
}

/// Whether [`patch_section`] has something to do for a section.
pub(crate) fn is_patched(link: &Link<'_>, section: &Section<'_>) -> bool {
    match link.target.format {
        Format::Elf => section.flags.has(SectionFlags::EH_FRAME),
        Format::MachO => section.flags.has(SectionFlags::DEBUG),
        Format::Pe => false,
    }
}

/// The file that has an image's debug information, and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompanionFiles {
    /// The companion's path.
    pub(crate) path: PathBuf,
    /// Another file, complete, if the two are a bundle; then directories are made for them.
    pub(crate) beside: Option<(PathBuf, Vec<u8>)>,
}

/// Files that are to be written beside the image, and their contents.
///
/// # Errors
/// Contents that their format cannot hold.
pub(crate) fn further_files<'l>(link: &'l Link<'_>) -> Result<Vec<(&'l Path, Vec<u8>)>, Error> {
    match link.target.format {
        Format::Elf | Format::MachO => Ok(Vec::new()),
        Format::Pe => pe::further_files(link),
    }
}

/// Where the companion is to be written, if there is one.
pub(crate) fn companion_files(link: &Link<'_>) -> Option<CompanionFiles> {
    match link.target.format {
        Format::Elf => {
            let path = link.options.elf.separate_debug_file.clone()?;
            Some(CompanionFiles { path, beside: None })
        }
        Format::MachO => {
            let macho::dsym::Bundle { dwarf, plist, plist_contents } = macho::dsym::bundle(link.options)?;
            Some(CompanionFiles { path: dwarf, beside: Some((plist, plist_contents)) })
        }
        Format::Pe => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of archives that are linked whole may be anything: the message says what they are.
    #[test]
    fn what_is_no_object_is_called_what_it_is() {
        let cases: [(&[u8], &str); 4] = [
            (b"some words", "text, where an object file is needed"),
            (b"!<arch>\n", "archive in an archive"),
            (b"", "empty file"),
            (b"\x01\x02\x03", "binary file of an unknown format"),
        ];
        for (bytes, wanted) in cases {
            let name = InputName { file: "a.a", member: Some(b"member".into()) };
            let said = parse(name, bytes).unwrap_err().to_string();
            assert!(said.starts_with("a.a(member): ") && said.contains(wanted), "{said}");
        }
    }
}
