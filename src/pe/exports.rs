//! What the image exports: which symbols, and the export directory with its tables.
//!
//! Objects say what is exported (`-export:` in `.drectve`, which a compiler writes for `dllexport`). If none does, a MinGW
//! linker exports everything that is defined in objects of one's own, which leaves out what compilers' libraries and
//! start files bring, and what has a name that only a linker or a compiler makes (*ld and WIN32*,
//! `--export-all-symbols`).
//!
//! A definition file says it, too ([`definitions`](super::definitions)). What it, or a directive, calls `DLL.NAME` or
//! `DLL.#NUMBER` is a *forwarder*: the loader goes on to look there, so that the address table leads to that text.
//!
//! The loader finds an export by halving the list of names, which is sorted by their bytes. The list of addresses is
//! ordered by export number, and a list of 16-bit numbers leads from one to the other: so a DLL has 65,535 exports
//! at most.
//!
//! A tool may have made the tables already: see [`ready_exports`].
//!
//! The directory also states the DLL's own name. It comes from an option or is a constant, not from the output file,
//! which may have a temporary name: the same inputs give the same bytes.
//!
//! Source: PE/COFF specification, *The .edata Section (Image Only)*.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::directives::{Export, Imported};
use super::library::SLOT_PREFIX;
use super::{ImageSection, Table, c_name, ready_exports, table_output};
use crate::error::{Error, Errors, Result, SHOWN};
use crate::link::{Link, over};
use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;
use crate::model::{GlobalId, Object, Section, SectionFlags};
use crate::options::{Arch, AutoExport};
use crate::symbols::{Definition, Global, GlobalFlags};

/// The name of a DLL whose output file has no name that says it.
const DEFAULT_NAME: &str = "image.dll";
/// The size of the export directory, in bytes.
const DIRECTORY: u64 = 40;
/// Ordinals have 16 bits, and the first one is 1.
const LIMIT: u64 = 65_535;

/// What an image exports, in the order of the names.
#[derive(Debug, Default)]
pub(crate) struct Exports<'a> {
    entries: Vec<Entry<'a>>,
}

/// One export.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The name.
    pub(crate) name: Cow<'a, [u8]>,
    /// What is exported.
    pub(crate) target: Target<'a>,
    /// The number.
    pub(crate) ordinal: u16,
    /// It has no name in the tables.
    pub(crate) no_name: bool,
    /// It is data: those who import it reach it through its slot.
    pub(crate) data: bool,
    /// The same, and its name means the slot, too.
    pub(crate) constant: bool,
    /// It is left out of the import library.
    pub(crate) private: bool,
    /// What the import library has, where that is not the name.
    pub(crate) imported: Option<Imported<'a>>,
}

/// What an export stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A symbol of the image.
    Symbol(GlobalId),
    /// An export of another DLL: `DLL.NAME` or `DLL.#NUMBER`, the DLL without its extension.
    Forward(Cow<'a, [u8]>),
}

impl<'a> Entry<'a> {
    /// The symbol, if it is one of the image.
    pub(crate) fn symbol(&self) -> Option<GlobalId> {
        match self.target {
            Target::Symbol(id) => Some(id),
            Target::Forward(_) => None,
        }
    }

    /// The text of a forwarder.
    fn forward(&self) -> Option<&[u8]> {
        match &self.target {
            Target::Symbol(_) => None,
            Target::Forward(text) => Some(text),
        }
    }
}

impl<'a> Exports<'a> {
    /// Decides what is exported, given what directives and definition files ask for; with it comes what to warn of.
    ///
    /// # Errors
    /// Exports that nothing defines; numbers given twice; more of them than the format can number; files to be written of
    /// what only a ready table knows.
    pub(crate) fn new(
        link: &Link<'a>,
        asked: Vec<Export<'a>>,
        excluded: &[Cow<'a, [u8]>],
    ) -> Result<(Self, Vec<String>)> {
        let given = link
            .options
            .pe
            .exports
            .iter()
            .map(|name| Export { name: Cow::Borrowed(name.as_bytes()), ..Export::default() });
        let asked: Vec<Export<'a>> = asked.into_iter().chain(given).collect();
        if let Some(file) = ready_exports::bringer(link) {
            let warnings = ready_exports::warnings(link, &file, !asked.is_empty())?;
            return Ok((Self::default(), warnings));
        }
        let auto = match link.options.pe.auto_export {
            AutoExport::All => true,
            AutoExport::Unless => asked.is_empty(),
            AutoExport::None => false,
        };
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut found: Vec<(Export<'a>, Target<'a>)> = Vec::new();
        let mut decorated = None;
        for export in asked {
            if let Some(text) = export.symbol.clone().filter(|symbol| is_forwarder(symbol)) {
                if !leads_somewhere(&text) {
                    let (name, text) = (String::from_utf8_lossy(&export.name), String::from_utf8_lossy(&text));
                    let what = "what follows '#' is a number from 0 to 65535";
                    problems.push(Error::Options(format!("export {name}: cannot be forwarded to {text}: {what}")));
                    continue;
                }
                found.push((export, Target::Forward(text)));
                continue;
            }
            match find(link, &export, &mut decorated, &mut warnings) {
                Some(symbol) => found.push((export, Target::Symbol(symbol))),
                None => {
                    let name = export.symbol.as_ref().unwrap_or(&export.name);
                    problems.push(Error::Undefined {
                        symbol: String::from_utf8_lossy(name).into_owned(),
                        references: Vec::new(),
                        more: 0,
                        hint: Some("it is to be exported (-export: in .drectve, a .def file, or --export)".to_owned()),
                    });
                }
            }
        }
        Errors::check(problems)?;
        let asked = found.len();
        if auto {
            let excluded: HashSet<&[u8]> = excluded.iter().map(|name| &**name).collect();
            found.extend(automatic(link, &excluded));
        }
        if link.options.pe.kill_at && link.target.arch == Arch::X86 {
            found.iter_mut().for_each(|(export, _)| export.name = without_size(&export.name));
        }
        warnings.extend(contradictions(link, found.get(..asked).unwrap_or_default()));
        // Of one name asked for twice, the mention with a number counts, else the first.
        found.sort_by(|(one, _), (other, _)| {
            one.name.cmp(&other.name).then(one.ordinal.is_none().cmp(&other.ordinal.is_none()))
        });
        found.dedup_by(|(next, _), (kept, _)| {
            let same = next.name == kept.name;
            if same {
                // What makes it data is said in one place; that it is private would have to be said in all.
                kept.data |= next.data;
                kept.constant |= next.constant;
                kept.private &= next.private;
            }
            same
        });
        let count = found.len() as u64;
        if count > LIMIT {
            let what = format!(
                "the number of exports of a DLL (the format numbers them with 16 bits); {}",
                "export less: mark what is exported (dllexport, @ccallable), or give --exclude-all-symbols"
            );
            over("PE export ordinals", &what, count, LIMIT)?;
        }
        Ok((number(found)?, warnings))
    }

    /// The symbols.
    pub(crate) fn globals(&self) -> Vec<GlobalId> {
        self.entries.iter().filter_map(Entry::symbol).collect()
    }

    /// The exports, in the order of their names.
    pub(crate) fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// Bytes of memory that they have taken, without names that had to be copied.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.entries)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn named(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter().filter(|entry| !entry.no_name)
    }

    /// The first and last number.
    fn numbers(&self) -> (u16, u16) {
        let ordinals = || self.entries.iter().map(|entry| entry.ordinal);
        (ordinals().min().unwrap_or(1), ordinals().max().unwrap_or(0))
    }

    /// The size of the tables and names, in bytes.
    pub(crate) fn size(&self, link: &Link<'_>) -> u64 {
        let (first, last) = self.numbers();
        let addresses = u64::from(last).saturating_sub(first.into()).saturating_add(1);
        let names: u64 = self.named().map(|entry| 6 + entry.name.len() as u64 + 1).sum();
        let forwarders: u64 = self.entries.iter().filter_map(Entry::forward).map(|text| text.len() as u64 + 1).sum();
        DIRECTORY + 4 * addresses + names + dll_name(link).len() as u64 + 1 + forwarders
    }
}

/// The name of the DLL in its export directory: what a definition file says, or an option.
pub(crate) fn dll_name<'l>(link: &'l Link<'_>) -> &'l str {
    link.pe.definitions.name().or(link.options.pe.dll_name.as_deref()).unwrap_or(DEFAULT_NAME)
}

/// Whether what an export is to stand for is an export of another DLL (`/EXPORT` of Microsoft's linker).
pub(super) fn is_forwarder(symbol: &[u8]) -> bool {
    memchr::memchr(b'.', symbol).is_some_and(|at| at > 0 && at + 1 < symbol.len())
}

/// Whether a forwarder ends in a name, or in a number that exports can have.
pub(super) fn leads_somewhere(text: &[u8]) -> bool {
    let last = text.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let Some(digits) = last.strip_prefix(b"#") else { return !last.is_empty() };
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain && std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
}

/// The name without the size of arguments, as `--kill-at` has it: `f@8` and `@f@8` are exported as `f`.
fn without_size<'a>(name: &[u8]) -> Cow<'a, [u8]> {
    let name = name.strip_prefix(b"@").unwrap_or(name);
    let end = memchr::memchr(b'@', name).filter(|at| *at > 0).unwrap_or(name.len());
    Cow::Owned(name.get(..end).unwrap_or(name).to_vec())
}

impl<'a> Export<'a> {
    /// The symbol, as in C, that archives are searched for since it is to be exported.
    pub(crate) fn wanted(&self) -> Option<&Cow<'a, [u8]>> {
        Some(self.symbol.as_ref().unwrap_or(&self.name)).filter(|name| !is_forwarder(name))
    }
}

/// Tells of exports that are asked for under one name, with different symbols or numbers.
fn contradictions<'a>(link: &Link<'a>, asked: &[(Export<'a>, Target<'a>)]) -> Vec<String> {
    let symbol = |target: &Target<'a>| match target {
        Target::Symbol(id) => Target::Symbol(link.symbols.root(*id, 0).0),
        Target::Forward(text) => Target::Forward(text.clone()),
    };
    let say = |(export, target): &(Export<'a>, Target<'a>)| {
        let name = match target {
            Target::Symbol(id) => link.symbols.get(*id).name,
            Target::Forward(text) => text,
        };
        let number = export.ordinal.map_or_else(String::new, |ordinal| format!(" @{ordinal}"));
        format!("{}{number}", String::from_utf8_lossy(name))
    };
    let mut first: HashMap<&[u8], &(Export<'a>, Target<'a>)> = HashMap::new();
    let mut warnings = Vec::new();
    for next in asked {
        let kept = *first.entry(&next.0.name).or_insert(next);
        let numbers = (kept.0.ordinal, next.0.ordinal);
        let other_number = numbers.0 != numbers.1 && numbers.0.is_some() && numbers.1.is_some();
        if (other_number || symbol(&kept.1) != symbol(&next.1)) && warnings.len() < SHOWN {
            // A number makes a mention the one that counts.
            let wins = if numbers.0.is_none() && numbers.1.is_some() { next } else { kept };
            let name = String::from_utf8_lossy(&kept.0.name);
            let (one, other, wins) = (say(kept), say(next), say(wins));
            warnings.push(format!("export {name}: asked for as {one} and as {other}; {wins} is exported"));
        }
    }
    warnings
}

/// Numbers exports that are sorted by name: as asked for, the others behind the highest of those.
fn number<'a>(found: Vec<(Export<'a>, Target<'a>)>) -> Result<Exports<'a>, Error> {
    let mut taken: HashMap<u16, &[u8]> = HashMap::new();
    for (export, _) in &found {
        let Some(ordinal) = export.ordinal else { continue };
        let name = String::from_utf8_lossy(&export.name);
        if ordinal == 0 {
            return Err(Error::Options(format!("export {name}: number 0 is none; the first is 1")));
        }
        if let Some(other) = taken.insert(ordinal, &export.name) {
            let other = String::from_utf8_lossy(other);
            return Err(Error::Options(format!("export {name}: number {ordinal} is taken by {other}")));
        }
    }
    let mut next = taken.keys().copied().max().unwrap_or(0);
    let mut entries = Vec::with_capacity(found.len());
    for (export, target) in found {
        let ordinal = match export.ordinal {
            Some(ordinal) => ordinal,
            None => {
                next = next.checked_add(1).ok_or_else(|| {
                    Error::Options("exports: no numbers are left behind the highest that is asked for".to_owned())
                })?;
                next
            }
        };
        let Export { name, no_name, data, constant, private, imported, .. } = export;
        entries.push(Entry { name, target, ordinal, no_name, data, constant, private, imported });
    }
    if malfunction::on(Malfunction::ExportLost) {
        entries.pop();
    }
    Ok(Exports { entries })
}

/// The symbol of an export. On i386 the name is as in C, without the underscore; the size of the arguments of a
/// `__stdcall` function may be left out.
fn find<'a>(
    link: &Link<'a>,
    export: &Export<'_>,
    decorated: &mut Option<HashMap<&'a [u8], GlobalId>>,
    warnings: &mut Vec<String>,
) -> Option<GlobalId> {
    let name = export.symbol.as_deref().unwrap_or(&export.name);
    let defined = |symbol: &[u8]| {
        let (id, global) = link.symbols.find(symbol)?;
        (global.definition != Definition::Undefined).then_some(id)
    };
    if link.target.arch != Arch::X86 {
        return defined(name);
    }
    let plain = defined(&[b"_", name].concat()).or_else(|| defined(name));
    if plain.is_some() || link.options.pe.stdcall_fixup == Some(false) {
        return plain;
    }
    let decorated = decorated.get_or_insert_with(|| {
        let stdcall = link.symbols.iter().filter(|(_, global)| global.is_defined_here()).filter_map(|(id, global)| {
            // `_f@8` of `__stdcall`, `@f@8` of `__fastcall`.
            let name = global.name.strip_prefix(b"_").or_else(|| global.name.strip_prefix(b"@"))?;
            Some((name.get(..memchr::memrchr(b'@', name)?)?, id))
        });
        stdcall.collect()
    });
    let id = decorated.get(name).copied()?;
    if link.options.pe.stdcall_fixup.is_none() && warnings.len() < SHOWN {
        warnings.push(format!(
            "export {}: it is taken from {}, since nothing is called so; say --enable-stdcall-fixup if that is right",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(link.symbols.get(id).name)
        ));
    }
    Some(id)
}

/// Libraries that come with compilers: what they define is for the image alone.
const COMPILERS_LIBRARIES: [&str; 29] = [
    "libFortranDecimal",
    "libFortranRuntime",
    "libclang_rt.builtins",
    "libclang_rt.builtins-aarch64",
    "libclang_rt.builtins-i386",
    "libclang_rt.builtins-x86_64",
    "libclang_rt.profile",
    "libclang_rt.profile-aarch64",
    "libclang_rt.profile-i386",
    "libclang_rt.profile-x86_64",
    "libc++",
    "libc++abi",
    "libg2c",
    "libgcc",
    "libgcc_eh",
    "libgcc_s",
    "libgcj",
    "libmingw32",
    "libmingwex",
    "libmoldname",
    "libmsvcrt",
    "libmsvcrt-os",
    "libobjc",
    "libssp",
    "libstdc++",
    "libsupc++",
    "libucrt",
    "libucrtbase",
    "libunwind",
];

/// Start files.
const START_FILES: [&str; 12] = [
    "crt0.o",
    "crt1.o",
    "crt1u.o",
    "crt2.o",
    "crt2u.o",
    "crtbegin.o",
    "crtend.o",
    "dllcrt1.o",
    "dllcrt2.o",
    "gcrt0.o",
    "gcrt1.o",
    "gcrt2.o",
];

/// Names, as in C, of what start files expect and of what every DLL has.
const OWN_NAMES: [&[u8]; 14] = [
    b"DllMain",
    b"DllEntryPoint",
    b"DllMainCRTStartup",
    b"_DllMainCRTStartup",
    b"DllMain@12",
    b"DllEntryPoint@12",
    b"DllMainCRTStartup@12",
    b"_DllMainCRTStartup@12",
    b"__NULL_IMPORT_DESCRIPTOR",
    b"_pei386_runtime_relocator",
    b"do_pseudo_reloc",
    b"impure_ptr",
    b"_fmode",
    b"environ",
];

/// How names begin and end that only linkers, import libraries and compilers make.
const OWN_PREFIXES: [&[u8]; 7] =
    [SLOT_PREFIX, b"__IMPORT_DESCRIPTOR_", b"__nm_", b"__rtti_", b"__builtin_", b"_head_", b"."];
const OWN_SUFFIXES: [&[u8]; 2] = [b"_iname", b"_NULL_THUNK_DATA"];

/// What is exported if nobody says what is.
fn automatic<'a>(link: &Link<'a>, excluded: &HashSet<&[u8]>) -> Vec<(Export<'a>, Target<'a>)> {
    let mut found = Vec::new();
    let given: HashSet<&[u8]> = link.options.pe.excluded_symbols.iter().map(|name| name.as_bytes()).collect();
    for (id, global) in link.symbols.iter() {
        if !is_own(link, global) {
            continue;
        }
        let name = c_name(link.target.arch, global.name);
        let hidden = excluded.contains(name) || given.contains(name) || OWN_NAMES.contains(&name);
        let made = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix) || global.name.starts_with(prefix));
        let made = made || OWN_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        let imported = link.symbols.find(&[SLOT_PREFIX, global.name].concat()).is_some();
        if hidden || made || imported {
            continue;
        }
        let export = Export { name: Cow::Borrowed(name), data: !is_code(link, id), ..Export::default() };
        found.push((export, Target::Symbol(id)));
    }
    found
}

/// Whether a symbol is defined in an object of one's own, in a section of the image.
fn is_own(link: &Link<'_>, global: &Global<'_>) -> bool {
    let definition = match global.definition {
        // A weak definition is an alias of what it is called where it stands.
        Definition::Alias(target, 0) => link.symbols.get(link.symbols.root(target, 0).0).definition,
        definition => definition,
    };
    let (id, symbol) = match (definition, global.mention) {
        (Definition::Object(id, symbol), _) => (id, Some(symbol)),
        (Definition::Common { .. }, Some((id, _))) => (id, None),
        _ => return false,
    };
    let object = link.object(id);
    if is_compilers(object) || global.flags.has(GlobalFlags::HIDDEN_BY_OPTION) {
        return false;
    }
    let Some(symbol) = symbol else { return true };
    let section = object.symbols.get(symbol as usize).and_then(|symbol| object.symbol_section(symbol));
    section.is_some_and(|section| section.is_live())
}

/// Whether an object is a start file, or of a library, that comes with compilers.
pub(super) fn is_compilers(object: &Object<'_>) -> bool {
    let file = file_name(object.name.file);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = stem.strip_suffix(".dll").unwrap_or(stem);
    if object.name.member.is_some() { COMPILERS_LIBRARIES.contains(&stem) } else { START_FILES.contains(&file) }
}

/// Whether a symbol is in a section that is executed.
fn is_code(link: &Link<'_>, id: GlobalId) -> bool {
    match link.symbols.get(link.symbols.root(id, 0).0).definition {
        Definition::Object(object, symbol) => {
            let object = link.object(object);
            let section = object.symbols.get(symbol as usize).and_then(|symbol| object.symbol_section(symbol));
            section.is_some_and(|section| section.flags.has(SectionFlags::EXEC))
        }
        _ => false,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Checks exported addresses, now that they are fixed: the table counts from the image's start, so that they are in the image,
/// and what leads into the table itself the loader takes for the text of a forwarder.
///
/// # Errors
/// An export of a number (absolute symbols), of what is weak and absent, or of a symbol beyond its section.
pub(crate) fn check(link: &Link<'_>) -> Result<(), Error> {
    let Some(output) = table_output(link, Table::Exports) else { return Ok(()) };
    let end = link.pe.sections.last().map_or(link.pe.base, ImageSection::end);
    let symbols = link.pe.exports.entries.iter().filter_map(|entry| Some((entry, entry.symbol()?)));
    for (entry, symbol) in symbols.filter(|(_, symbol)| !is_nowhere(link, *symbol)) {
        let address = link.global_address(symbol);
        let what = match address {
            // The image's own start, 0 in the table, means that there is no such export.
            address if address <= link.pe.base || address > end => {
                format!("the symbol's value is {address:#x}, which is no place in the image")
            }
            address if address.wrapping_sub(output.address) < output.size => {
                "the symbol lies beyond its section, in the export table".to_owned()
            }
            _ => continue,
        };
        let name = String::from_utf8_lossy(&entry.name);
        return Err(Error::Options(format!("export {name}: {what}")));
    }
    Ok(())
}

/// Whether a symbol is a label in a section that has no bytes, nor a place in the image. The table has 0 for it, which to the loader
/// means that there is no such export.
fn is_nowhere(link: &Link<'_>, symbol: GlobalId) -> bool {
    let (root, _) = link.symbols.root(symbol, 0);
    let Definition::Object(object, index) = link.symbols.get(root).definition else { return false };
    let symbol = link.object(object).symbols.get(index as usize);
    let section = symbol.and_then(|symbol| link.object(object).symbol_section(symbol));
    section.is_some_and(|section| section.size == 0 && section.output == Section::NOWHERE)
}

/// `.edata`, now that addresses are fixed.
pub(crate) fn bytes(link: &Link<'_>) -> Vec<u8> {
    let exports = &link.pe.exports;
    let Some(output) = table_output(link, Table::Exports) else { return Vec::new() };
    let relative = |address: u64| address.wrapping_sub(link.pe.base) as u32;
    let start = relative(output.address);
    let (first, last) = exports.numbers();
    let addresses = u32::from(last - first) + 1;
    let names = exports.named().count() as u32;
    let address_table = start + DIRECTORY as u32;
    let name_table = address_table + 4 * addresses;
    let ordinal_table = name_table + 4 * names;
    let strings = ordinal_table + 2 * names;

    let mut bytes = Vec::with_capacity(output.size as usize);
    // Characteristics, time stamp, version.
    for field in [0, 0, 0, strings, first.into(), addresses, names, address_table, name_table, ordinal_table] {
        bytes.extend(field.to_le_bytes());
    }
    let mut places = vec![0; addresses as usize];
    let names_size: usize = exports.named().map(|entry| entry.name.len() + 1).sum();
    // The texts of forwarders stand last.
    let mut forward = strings + (dll_name(link).len() + 1 + names_size) as u32;
    for entry in &exports.entries {
        places[usize::from(entry.ordinal - first)] = match &entry.target {
            Target::Symbol(symbol) if is_nowhere(link, *symbol) => 0,
            Target::Symbol(symbol) => relative(link.global_address(*symbol)),
            Target::Forward(text) => {
                let at = forward;
                forward += text.len() as u32 + 1;
                at
            }
        };
    }
    bytes.extend(places.into_iter().flat_map(u32::to_le_bytes));
    let mut at = strings + dll_name(link).len() as u32 + 1;
    for entry in exports.named() {
        bytes.extend(at.to_le_bytes());
        at += entry.name.len() as u32 + 1;
    }
    let off = u16::from(malfunction::on(Malfunction::ExportNumbersOff));
    bytes.extend(exports.named().flat_map(|entry| ((entry.ordinal - first) ^ off).to_le_bytes()));
    let names = std::iter::once(dll_name(link).as_bytes()).chain(exports.named().map(|entry| &*entry.name));
    for name in names.chain(exports.entries.iter().filter_map(Entry::forward)) {
        bytes.extend_from_slice(name);
        bytes.push(0);
    }
    bytes
}
