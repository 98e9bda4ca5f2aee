//! A dylib: its install name, versions and the place of its names.

use std::borrow::Cow;
use std::sync::OnceLock;

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{LoadCommandVariant, MachHeader};

use super::exports::Exports;
use super::{Cpus, Library, Platform, Table};
use crate::bytes;
use crate::error::Error;
use crate::macho::header::{DEAD_STRIPPABLE, WEAK_DEFINES};

/// Reads a dylib of one CPU.
pub(super) fn parse<'a>(name: &'a str, bytes: &'a [u8]) -> Result<Library<'a>, Error> {
    let malformed = |what: &str| Error::malformed(name, format!("malformed dylib: {what}"));
    let header = macho::MachHeader64::<LE>::parse(bytes, 0).ok().filter(|header| header.is_little_endian());
    let Some(header) = header else {
        return Err(Error::unsupported(name, "not a 64-bit Mach-O library of little-endian byte order"));
    };
    let kind = header.filetype(LE);
    if kind != macho::MH_DYLIB && kind != macho::MH_DYLIB_STUB {
        return Err(Error::unsupported(
            name,
            "a Mach-O file that is no library: only dylibs and text stubs can be linked with",
        ));
    }
    let cpus = match header.cputype(LE) {
        macho::CPU_TYPE_X86_64 => Cpus::X86_64,
        macho::CPU_TYPE_ARM64 => Cpus::AARCH64,
        _ => Cpus::default(),
    };
    let mut install_name = None;
    let mut versions = (0, 0);
    let mut platform = None;
    let (mut reexports, mut rpaths) = (Vec::new(), Vec::new());
    let mut trie = None;
    let mut symbols = None;
    let part = |offset: u32, size: u64| bytes::slice(bytes, u64::from(offset), size);
    let mut commands = header.load_commands(LE, bytes, 0).map_err(|error| malformed(&error.to_string()))?;
    while let Some(command) = commands.next().map_err(|error| malformed(&error.to_string()))? {
        let variant = command.variant().map_err(|error| malformed(&error.to_string()))?;
        platform = Platform::before(platform, Platform::told_by(&command, &variant));
        match variant {
            LoadCommandVariant::IdDylib(dylib) => {
                let string = command.string(LE, dylib.dylib.name).map_err(|error| malformed(&error.to_string()))?;
                install_name = Some(string);
                versions = (dylib.dylib.current_version.get(LE).0, dylib.dylib.compatibility_version.get(LE).0);
            }
            LoadCommandVariant::Dylib(dylib) if command.cmd() == macho::LC_REEXPORT_DYLIB => {
                let string = command.string(LE, dylib.dylib.name).map_err(|error| malformed(&error.to_string()))?;
                reexports.push(Cow::Borrowed(string));
            }
            LoadCommandVariant::Rpath(rpath) => {
                let string = command.string(LE, rpath.path).map_err(|error| malformed(&error.to_string()))?;
                rpaths.push(String::from_utf8_lossy(string).into_owned());
            }
            LoadCommandVariant::DyldInfo(info) if info.export_size.get(LE) != 0 => {
                trie = Some(part(info.export_off.get(LE), u64::from(info.export_size.get(LE))));
            }
            LoadCommandVariant::LinkeditData(data) if command.cmd() == macho::LC_DYLD_EXPORTS_TRIE => {
                trie = Some(part(data.dataoff.get(LE), u64::from(data.datasize.get(LE))));
            }
            LoadCommandVariant::Symtab(table) => {
                let size = u64::from(table.nsyms.get(LE)).saturating_mul(16);
                let entries = part(table.symoff.get(LE), size);
                let strings = part(table.stroff.get(LE), u64::from(table.strsize.get(LE)));
                symbols = Some(entries.zip(strings));
            }
            _ => {}
        }
    }
    let exports = match (trie, symbols) {
        (Some(trie), _) => Exports::Trie(trie.ok_or_else(|| malformed("its export trie is outside of the file"))?),
        (None, Some(symbols)) => {
            let (entries, strings) = symbols.ok_or_else(|| malformed("its symbol table is outside of the file"))?;
            Exports::Symbols(entries, strings, OnceLock::new())
        }
        (None, None) => Exports::Trie(&[]),
    };
    let install_name = install_name.ok_or_else(|| malformed("it has no install name (LC_ID_DYLIB)"))?;
    Ok(Library {
        name,
        install_name: Cow::Borrowed(install_name),
        current_version: versions.0,
        compatibility_version: versions.1,
        reexports,
        rpaths,
        cpus,
        platform,
        dead_strippable: header.flags(LE).0 & DEAD_STRIPPABLE != 0,
        weak: header.flags(LE).0 & WEAK_DEFINES != 0,
        table: Table::Dylib(exports),
    })
}
