//! The entry point: what the loader calls when the DLL is loaded and unloaded, and when threads come and go.
//!
//! MinGW's start file defines it (`DllMainCRTStartup`), and so does Julia's compiler in package images up to 1.14
//! (`_DllMainCRTStartup`): there it does nothing but return 1, which means success. Where nobody defines it, that is what
//! the linker makes, so that no start file is needed and it matters to no one which of the two names a linker asks for. Who
//! brings what MinGW's start code would call is told that nothing does.
//! A function that touches neither the stack nor any register that it had to save needs no unwind data (*x64 exception
//! handling*, leaf functions; *ARM64 exception handling*: where there is no `.pdata` row, the unwinder takes the return address
//! from the link register).
//!
//! On i386 the function is `__stdcall`, takes its three arguments from the stack, and its symbol says so: `@12`.

use crate::error::Error;
use crate::link::Link;
use crate::model::{GlobalId, Section};
use crate::options::{Arch, Options};
use crate::symbols::{Anchor, Definition};

use super::{Place, Table, exports, parse};

/// The names that the entry point of a DLL has by custom, as symbols, first to last.
pub(crate) fn names(arch: Arch) -> [&'static str; 2] {
    match arch {
        Arch::X86 => ["__DllMainCRTStartup@12", "_DllMainCRTStartup@12"],
        _ => ["_DllMainCRTStartup", "DllMainCRTStartup"],
    }
}

/// The symbols that a name given for the entry point may mean, first to last. On i386 the name may be that of the C
/// function, with and without an underscore and the size of the arguments.
pub(crate) fn meanings(name: &str, arch: Arch) -> Vec<String> {
    let mut symbols = vec![name.to_owned()];
    if arch == Arch::X86 {
        let plain = name.strip_prefix('_').unwrap_or(name);
        symbols.extend([format!("{name}@12"), format!("_{plain}"), format!("_{plain}@12"), format!("_{name}@12")]);
    }
    symbols
}

/// The symbols, first to last, of which archives are to have one since the entry point is asked for.
pub(crate) fn wanted(options: &Options, arch: Arch) -> Option<Vec<Vec<u8>>> {
    let name = options.entry.as_deref().filter(|name| *name != "0")?;
    Some(meanings(name, arch).into_iter().map(String::into_bytes).collect())
}

/// Decides on the entry point, and whether it is to be made.
///
/// # Errors
/// One is asked for that nothing defines, and that is none of those that can be made.
pub(crate) fn choose(link: &mut Link<'_>) -> Result<(), Error> {
    let arch = link.target.arch;
    let defined = |link: &Link<'_>, name: &str| -> Option<GlobalId> {
        let (id, global) = link.symbols.find(name.as_bytes())?;
        let library = matches!(global.definition, Definition::Library(..) | Definition::Undefined);
        (!library).then_some(id)
    };
    let found = match &link.options.entry {
        // An image may well do without.
        Some(name) if name == "0" => return Ok(()),
        Some(name) => {
            let meanings = meanings(name, arch);
            let found = meanings.iter().find_map(|symbol| defined(link, symbol));
            if found.is_none() && !meanings.iter().any(|symbol| names(arch).contains(&symbol.as_str())) {
                let what = format!("-e {name}: nothing defines the entry point");
                return Err(Error::Options(what));
            }
            // Julia's compiler may bring it under the other name.
            found.or_else(|| names(arch).iter().find_map(|name| defined(link, name)))
        }
        None => names(arch).iter().find_map(|name| defined(link, name)),
    };
    link.pe.entry = found;
    if found.is_none() {
        let id = link.symbols.intern(names(arch)[0].as_bytes());
        link.symbols.get_mut(id).definition = Definition::Anchor(Anchor::Pe(Place::Start(Table::Entry)));
        link.pe.entry = Some(id);
        link.pe.makes_entry = true;
        let warning = uncalled(link);
        link.report.warnings.extend(warning);
    }
    Ok(())
}

/// What to say of one's own objects if they have something that MinGW's start code calls, and no entry point of the image's does.
fn uncalled(link: &Link<'_>) -> Option<String> {
    let main: &[u8] = if link.target.arch == Arch::X86 { b"_DllMain@12" } else { b"DllMain" };
    let main = link.symbols.find(main).and_then(|(_, global)| match global.definition {
        Definition::Object(object, _) => Some((object, "DllMain".to_owned())),
        _ => None,
    });
    let is_list = |section: &&Section<'_>| section.is_live() && section.size > 0 && is_start_list(section.name);
    let lists = link.objects().filter_map(|(id, object)| {
        let section = object.sections.iter().find(is_list)?;
        Some((id, String::from_utf8_lossy(section.name).into_owned()))
    });
    let (object, what) = main.into_iter().chain(lists).find(|(id, _)| !exports::is_compilers(link.object(*id)))?;
    Some(format!(
        "{}: has {what}, which start code calls, and the image has none; link dllcrt2.o with -e DllMainCRTStartup, or give \
         the function to be called by -e",
        link.object(object).name
    ))
}

/// Whether a section holds functions that start code calls: initialisers of the C runtime and of C++, constructors.
fn is_start_list(name: &[u8]) -> bool {
    name.starts_with(b".CRT$XC") || name.starts_with(b".CRT$XI") || parse::base_name(name).starts_with(b".ctors")
}

/// The code of an entry point that returns 1.
pub(crate) fn code(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::X86 => &[
            0xb8, 1, 0, 0, 0, // mov $1, %eax
            0xc2, 12, 0, // ret $12
        ],
        Arch::X86_64 => &[
            0xb8, 1, 0, 0, 0,    // mov $1, %eax
            0xc3, // ret
        ],
        _ => &[
            0x20, 0x00, 0x80, 0x52, // mov w0, #1
            0xc0, 0x03, 0x5f, 0xd6, // ret
        ],
    }
}
