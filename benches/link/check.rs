//! Whether an image is right: nobody shall win by doing less.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::{ExportTarget, NameOrOrdinal};
use object::{Object, ObjectSection, ObjectSymbol};
use pkgld_corpus::Manifest;
use pkgld_corpus::mix::heap_word;

use crate::Result;

/// First argument of the process that checks an image.
pub(crate) const CHECK: &str = "--check";

/// Checks an image against a manifest, in a process of its own: what a process has held counts as the peak of those that it
/// starts.
pub(crate) fn check(image: &Path, manifest: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg(CHECK).args([image, manifest]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into())
}

/// What that process does.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let [image, manifest] = &arguments[..] else { return Err("two arguments are needed".into()) };
    let manifest = Manifest::read(manifest)?;
    let bytes = fs::read(image)?;
    let file = object::File::parse(&*bytes).map_err(|error| format!("no sane image: {error}"))?;
    let exported = exports(&file)?;
    let address = |name: &str| {
        let found = exported.iter().find(|(exported, _)| exported == name);
        found.map(|(_, address)| *address).ok_or_else(|| format!("{name} is not exported"))
    };
    for export in &manifest.exports {
        address(&export.symbol)?;
    }
    let contents = |address: u64, size: u64| {
        let sections = file.sections().filter(|section| section.address() <= address && section.size() > 0);
        let section = sections.max_by_key(|section| section.address()).ok_or("an export is in no section")?;
        Ok::<_, Box<dyn std::error::Error>>(section.data_range(address, size)?.ok_or("an export is cut off")?.to_vec())
    };
    let size = contents(address("jl_system_image_size")?, 8)?;
    if size != manifest.heap.to_le_bytes() {
        return Err("jl_system_image_size is wrong".into());
    }
    // All of it would take longer than the links: a word of each page.
    let start = address("jl_system_image_data")?;
    let heap = contents(start, manifest.heap)?;
    for at in (0..manifest.heap / 8).step_by(509) {
        let word = heap.get(8 * at as usize..).and_then(|rest| rest.first_chunk());
        if word.copied().map(u64::from_le_bytes) != Some(heap_word(manifest.heap_seed, at)) {
            return Err(format!("word {at} of the heap image is wrong").into());
        }
    }
    Ok(())
}

/// Names that an image has for others, as C spells them, and their addresses.
fn exports(file: &object::File<'_>) -> Result<Vec<(String, u64)>> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    if let object::File::Elf64(_) = file {
        let symbols = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
        return symbols.map(|symbol| Ok((text(symbol.name_bytes()?), symbol.address()))).collect();
    }
    let underscore = matches!(file, object::File::MachO64(_));
    let mut found = Vec::new();
    for export in file.exports()? {
        let export = export?;
        if let (NameOrOrdinal::Name(name), ExportTarget::Address { address }) = (export.name(), export.target()) {
            found.push((text(name.strip_prefix(b"_").filter(|_| underscore).unwrap_or(name)), address));
        }
    }
    Ok(found)
}

/// CRC-32C of a file's contents.
pub(crate) fn checksum_of(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut checksum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(checksum),
            count => checksum = crc32c::crc32c_append(checksum, &buffer[..count]),
        }
    }
}
