//! What the program tells about a link.

use std::collections::BTreeSet;
use std::path::Path;

use super::console::Console;
use super::os;
use super::reading::Link;
use crate::Report;

/// The line that `--version` prints. Build systems look for "GNU" in it to learn which options they may use.
pub(super) const VERSION: &str = concat!("pkgld v", env!("CARGO_PKG_VERSION"), " (compatible with GNU linkers)");

/// Tells what was linked, on standard error.
pub(super) fn verbose(report: &Report, link: &Link, console: &mut Console<'_>) {
    for directory in &link.options.search_paths {
        console.err(format_args!("pkgld: search: {}", directory.display()));
    }
    for (what, names) in [("input", &report.inputs), ("library", &report.libraries), ("needed", &report.needed)] {
        for name in names {
            console.err(format_args!("pkgld: {what}: {name}"));
        }
    }
    let counts = &report.counts;
    let exports = u64::try_from(report.exports.len()).unwrap_or(u64::MAX);
    for (what, count) in [
        ("objects", counts.objects),
        ("sections", counts.sections),
        ("symbols", counts.symbols),
        ("exported symbols", exports),
        ("relocations", counts.relocations),
        ("dynamic relocations", counts.dynamic_relocations),
        ("PLT entries", counts.plt_entries),
        ("GOT entries", counts.got_entries),
        ("bytes decompressed", counts.decompressed_bytes),
        ("bytes of memory", report.memory_peak),
    ] {
        console.err(format_args!("pkgld: {what}: {count}"));
    }
    for (phase, time) in &report.phases {
        console.err(format_args!("pkgld: time: {phase}: {:.3} ms", time.as_secs_f64() * 1e3));
    }
    if let Some(file) = &report.debug_file {
        let crc = file.crc32.map(|crc| format!(", CRC-32 0x{crc:08x}")).unwrap_or_default();
        console.err(format_args!("pkgld: debug file: {}: {} bytes{crc}", file.name, file.size));
    }
    let crc = report.crc32c.map(|crc| format!(", CRC-32C 0x{crc:08x}")).unwrap_or_default();
    console.err(format_args!("pkgld: output: {}: {} bytes{crc}", link.output.display(), report.size));
}

/// A rule for `make`: the output depends on the files read, and each of these is a target without a rule, so that `make`
/// does not fail once one is gone.
pub(super) fn dependencies<'a>(output: &Path, inputs: impl Iterator<Item = &'a Path>) -> Vec<u8> {
    let inputs: BTreeSet<&Path> = inputs.collect();
    let mut rule = escaped(output);
    rule.push(b':');
    for input in &inputs {
        rule.extend(b" \\\n  ");
        rule.extend(escaped(input));
    }
    rule.push(b'\n');
    for input in &inputs {
        rule.extend(b"\n");
        rule.extend(escaped(input));
        rule.extend(b":\n");
    }
    rule
}

/// What Apple's build system reads: for each file a byte that says what it is, its path, and a NUL byte. The first entry is
/// the linker's name.
pub(super) fn dependency_info<'a>(output: &Path, inputs: impl Iterator<Item = &'a Path>) -> Vec<u8> {
    const LINKER: u8 = 0x00;
    const INPUT: u8 = 0x10;
    const OUTPUT: u8 = 0x40;
    let mut info = Vec::new();
    let mut add = |kind: u8, text: &[u8]| {
        info.push(kind);
        info.extend(text);
        info.push(0);
    };
    add(LINKER, VERSION.as_bytes());
    let inputs: BTreeSet<&Path> = inputs.collect();
    inputs.iter().for_each(|input| add(INPUT, os::bytes(input.as_os_str())));
    add(OUTPUT, os::bytes(output.as_os_str()));
    info
}

/// A path as `make` reads it: a space and a hash sign are quoted by a backslash, and so are backslashes before them; a
/// dollar sign is doubled.
fn escaped(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    let mut backslashes = 0_usize;
    for byte in os::bytes(path.as_os_str()) {
        match byte {
            b' ' | b'\t' => out.extend(std::iter::repeat_n(b'\\', backslashes + 1)),
            b'#' => out.push(b'\\'),
            b'$' => out.push(b'$'),
            _ => {}
        }
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_what_they_are() {
        let inputs = ["b.o", "a.o", "b.o"].map(Path::new);
        let info = dependency_info("out.dylib".as_ref(), inputs.into_iter());
        let wanted = format!("\0{VERSION}\0\x10a.o\0\x10b.o\0\x40out.dylib\0");
        assert_eq!(String::from_utf8(info).unwrap(), wanted);
    }

    #[test]
    fn dependencies_are_a_rule_of_make() {
        let inputs = ["b c.o", "a#$.o", "b c.o", "d\\ e"].map(Path::new);
        let rule = dependencies("out.so".as_ref(), inputs.into_iter());
        let wanted = "out.so: \\\n  a\\#$$.o \\\n  b\\ c.o \\\n  d\\\\\\ e\n\na\\#$$.o:\n\nb\\ c.o:\n\nd\\\\\\ e:\n";
        assert_eq!(String::from_utf8(rule).unwrap(), wanted);
    }
}
