//! Unwind tables of thousands of functions: many encodings, several pages, personalities and language-specific data.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::common::rust_lld;
use super::contents::compare;
use super::image::Image;
use super::{assemble, assemble_by, place};

/// More than two pages of entries, which hold 1021 each where they are compressed.
const FUNCTIONS: usize = 4000;
/// More than the 127 that all pages can share.
const ENCODINGS: usize = 170;

/// Those for which LLVM writes compact entries.
const PERSONALITIES: [&str; 2] = ["___gxx_personality_v0", "___objc_personality_v0"];

/// An object of functions with different frames. Every seventh has a personality and data for it.
fn functions(target: Target) -> PathBuf {
    let arm = target == MACOS_ARM64;
    let mut text = ".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n".to_owned();
    let mut data = ".section __TEXT,__gcc_except_tab\n.p2align 2\n".to_owned();
    for number in 0..FUNCTIONS {
        let _ = write!(text, ".globl _f{number}\n_f{number}:\n.cfi_startproc\n");
        if number % 7 == 0 {
            let _ = writeln!(
                text,
                ".cfi_personality 155, {}\n.cfi_lsda 16, GCC_except_table{number}",
                PERSONALITIES[number % PERSONALITIES.len()]
            );
            let _ = writeln!(data, "GCC_except_table{number}: .long {number}");
        }
        // Neighbours differ, so that each has an entry of its own.
        let frame = 16 * (1 + number * 37 % ENCODINGS);
        let _ = match arm {
            true => writeln!(text, "sub sp, sp, #{frame}\n.cfi_def_cfa_offset {frame}\nadd sp, sp, #{frame}\nret"),
            false => {
                let frame = frame / 2;
                let after = frame + 8;
                writeln!(text, "subq ${frame}, %rsp\n.cfi_def_cfa_offset {after}\naddq ${frame}, %rsp\nretq")
            }
        };
        text += ".cfi_endproc\n";
    }
    for name in PERSONALITIES {
        let _ = writeln!(text, ".globl {name}\n{name}: .long 0");
    }
    assemble(target, "functions", &(text + &data))
}

fn linked(target: Target, object: &Path, lld: bool) -> PathBuf {
    try_linked(target, object, lld).unwrap_or_else(|text| panic!("{text}"))
}

fn try_linked(target: Target, object: &Path, lld: bool) -> Result<PathBuf, String> {
    let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
    let output = place().join(format!("functions-{arch}-{lld}"));
    let mut command = Command::new(if lld { rust_lld() } else { env!("CARGO_BIN_EXE_pkgld").into() });
    command.args(["-flavor", "darwin", "-arch", arch, "-platform_version", "macos", "13.0", "13.0", "-dylib", "-o"]);
    let out = command.arg(&output).arg(object).output().unwrap();
    if out.status.success() { Ok(output) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

/// What LLVM's reader says of an image's unwind table: the number of shared encodings and of pages, and the functions with
/// language-specific data, by name, each with the first word of these.
fn told(path: &Path) -> (usize, usize, Vec<(Vec<u8>, u32)>) {
    let out = Command::new("llvm-objdump-19").args(["--macho", "--unwind-info"]).arg(path).output();
    let out = out.expect("llvm-objdump-19 is not installed; it is in the Debian package llvm-19");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let bytes = fs::read(path).unwrap();
    let image = Image::new(&bytes);
    let hexadecimal = |line: &str, key: &str| {
        let digits = line.split(key).nth(1)?.trim().trim_start_matches("0x");
        let digits = digits.split(|c: char| !c.is_ascii_hexdigit()).next()?;
        u64::from_str_radix(digits, 16).ok()
    };
    let names = image.exports();
    let lsdas = text.lines().filter(|line| !line.contains("2nd level")).filter_map(|line| {
        let (function, data) = (hexadecimal(line, "function offset=")?, hexadecimal(line, "LSDA offset=")?);
        let name = names.iter().find(|(_, address)| **address == function).unwrap().0.clone();
        Some((name, u32::from_le_bytes(bytes[data as usize..][..4].try_into().unwrap())))
    });
    let lsdas = lsdas.collect();
    let common = text.lines().find_map(|line| hexadecimal(line, "Number of common encodings in array:")).unwrap();
    let pages = text.lines().filter(|line| line.contains("Second level index[")).count();
    (common as usize, pages, lsdas)
}

#[test]
#[ignore = "needs the package llvm-19"]
fn thousands_of_functions_are_unwound_as_lld_says() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = functions(target);
        let [ours, theirs] = [false, true].map(|lld| linked(target, &object, lld));
        let (common, pages, lsdas) = told(&ours);
        let (_, _, wanted) = told(&theirs);
        assert!(pages > 2 && common == 127, "{}: {pages} pages, {common} encodings", target.name);
        assert!(lsdas == wanted && lsdas.len() == FUNCTIONS.div_ceil(7), "{}: {} of them", target.name, lsdas.len());
        for (name, number) in &lsdas {
            assert_eq!(*name, format!("_f{number}").into_bytes());
        }
        let [ours, theirs] = [ours, theirs].map(|path| fs::read(path).unwrap());
        let (ours, theirs) = (Image::new(&ours).functions(), Image::new(&theirs).functions());
        assert!(ours.len() >= FUNCTIONS && ours == theirs, "{}", target.name);
        // Encodings have two bits for the number of a personality, of which 0 is none.
        let personalities: std::collections::BTreeSet<u32> = ours.iter().map(|row| row.2 >> 28 & 3).collect();
        assert_eq!(personalities.len(), 3, "{}", target.name);
        fs::remove_file(object).unwrap();
    }
}

/// Encodings have two bits for a personality. What is in excess is an error, as it is of LLD; functions whose records in
/// `__eh_frame` name theirs do not count.
#[test]
#[ignore = "needs the packages llvm-14 and llvm-19"]
fn more_than_three_personalities_are_refused() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let text = |count: usize| {
            let mut text = ".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n".to_owned();
            for number in 0..count {
                let frame = if target == MACOS_ARM64 { "sub sp, sp, #16" } else { "pushq %rbp" };
                let _ = write!(
                    text,
                    ".globl _f{number}, _personality{number}\n_f{number}: .cfi_startproc\n\
                     .cfi_personality 155, _personality{number}\n{frame}\n.cfi_def_cfa_offset 16\nret\n.cfi_endproc\n\
                     _personality{number}: ret\n.p2align 2\n"
                );
            }
            text
        };
        // LLVM 14 makes encodings for functions of any personality, LLVM 19 for those of known ones.
        for (llvm, count, fits) in [(14, 3, true), (14, 4, false), (19, 4, true)] {
            let object = assemble_by(llvm, target, "personalities", &text(count));
            let [ours, theirs] = [false, true].map(|lld| try_linked(target, &object, lld));
            assert_eq!((ours.is_ok(), theirs.is_ok()), (fits, fits), "{}: {llvm}, {count}", target.name);
            match ours {
                Ok(ours) => {
                    let [ours, theirs] = [ours, theirs.unwrap()].map(|path| fs::read(path).unwrap());
                    assert_eq!(Image::new(&ours).functions().len(), 2 * count, "{}", target.name);
                    compare(&theirs, &ours, target, &object);
                }
                Err(text) => assert!(text.contains("the number of personality routines is 4"), "{text}"),
            }
        }
    }
}

/// A routine at the start of its section, where assemblers put a label too, is one; and so is one that others have a copy of.
#[test]
#[ignore = "needs the package llvm-19"]
fn personalities_are_told_by_their_symbols() {
    let function = |name: &str, personality: &str| {
        format!(
            ".globl _{name}\n.p2align 2\n_{name}:\n.cfi_startproc\n.cfi_personality 155, {personality}\n\
             .cfi_def_cfa_offset 16\nnop\n.cfi_endproc\n"
        )
    };
    let first = format!(".text\n.globl _p1\n.p2align 2\n_p1: ret\n{}", function("a", "_p1"));
    let others = ["_p1", "_p2", "_p3"].map(|routine| function(&routine[2..].replace('1', "b"), routine)).concat();
    let others = format!(".text\n{others}.globl _p2, _p3\n_p2: nop\n_p3: nop\n");
    let weak = |name: &str| {
        format!(".text\n{}.globl _p\n.weak_definition _p\n.private_extern _p\n_p: ret\n", function(name, "_p"))
    };
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let pairs =
            [[("first", first.clone()), ("others", others.clone())], [("here", weak("f")), ("there", weak("g"))]];
        for pair in pairs {
            let objects = pair.map(|(name, text)| assemble(target, &format!("personality-{name}"), &text));
            let paths = objects.each_ref().map(|path| path.to_str().unwrap());
            for option in ["-dead_strip", "-no_uuid"] {
                let images = super::libraries::both(target, &[paths[0], paths[1], option]);
                let [ours, theirs] = images.map(|image| image.unwrap_or_else(|text| panic!("{text}")));
                let rows = |bytes: &[u8]| {
                    let image = Image::new(bytes);
                    // Of addresses in code, their distances alone are compared.
                    let functions = image.functions();
                    functions.into_iter().map(|(name, _, encoding)| (name, encoding)).collect::<Vec<_>>()
                };
                assert_eq!(rows(&ours), rows(&theirs), "{} {option}", target.name);
            }
        }
    }
}
