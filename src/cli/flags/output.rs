//! What is written.

use std::ffi::OsStr;
use std::num::NonZeroUsize;

use super::super::flag::{Flag, Given, Group, Takes};
use super::super::problem::Problem;
use crate::{BuildId, Format, Target};

pub(super) const GROUP: Group = Group {
    title: "Output",
    flags: &[
        Flag::does(&["o", "output"], Takes::Value("FILE"), "write FILE (default: a.out)", |reading, given| {
            reading.output = Some(given.path()?);
            Ok(())
        }),
        Flag::on(
            &["shared", "Bshareable", "dll"],
            "make a shared library; needed, since nothing else is made",
            |reading| &mut reading.shared,
        ),
        Flag::does(
            &["m"],
            Takes::Value("EMULATION"),
            "link for EMULATION, as elf_x86_64, elf_i386, aarch64linux, elf64lriscv, i386pep (default: what the first object is for)",
            |reading, given| {
                reading.options.target = Some(target(given)?);
                Ok(())
            },
        ),
        Flag::does(
            &["build-id"],
            Takes::Optional("STYLE"),
            "store a hash of the image: fast (the default), md5, uuid, sha1, tree, 0xHEX for that number, or none",
            |reading, given| {
                let build_id = build_id(given)?;
                reading.options.pe.build_id = build_id != BuildId::None;
                reading.options.elf.build_id = build_id;
                Ok(())
            },
        ),
        Flag::does(&["no-build-id"], Takes::Nothing, "store no hash", |reading, _| {
            reading.options.elf.build_id = BuildId::None;
            reading.options.pe.build_id = false;
            Ok(())
        }),
        Flag::does(
            &["fix-cortex-a53-843419"],
            Takes::Optional("HOW"),
            "for AArch64: move loads and stores that Cortex-A53 may carry out wrongly at the end of a page; full, adr and adrp mean the same",
            |reading, given| {
                reading.options.elf.fix_cortex_a53_843419 =
                    given.choice(&[("", true), ("full", true), ("adr", true), ("adrp", true)])?;
                Ok(())
            },
        ),
        Flag::off(&["no-fix-cortex-a53-843419"], "leave them where they are (default)", |reading| {
            &mut reading.options.elf.fix_cortex_a53_843419
        }),
        Flag::does(
            &["package-metadata"],
            Takes::Value("JSON"),
            "say in a note which package the image belongs to; %XX stands for the byte with that number",
            |reading, given| {
                let json = if given.value().is_empty() { None } else { Some(percent_decoded(given)?) };
                reading.options.elf.package_metadata = json;
                Ok(())
            },
        ),
        Flag::on(&["gc-sections"], "leave out sections that nothing reachable refers to", |reading| {
            &mut reading.options.gc_sections
        }),
        Flag::off(&["no-gc-sections"], "undo --gc-sections", |reading| &mut reading.options.gc_sections),
        Flag::on(&["print-gc-sections"], "tell which sections --gc-sections leaves out", |reading| {
            &mut reading.options.print_collected
        }),
        Flag::off(&["no-print-gc-sections"], "do not tell it (default)", |reading| {
            &mut reading.options.print_collected
        }),
        Flag::does(
            &["O"],
            Takes::Value("LEVEL"),
            "optimise the size of the output: any level is accepted and all make the same image",
            |_, given| match given.text()? {
                "s" | "z" | "fast" => Ok(()),
                level if !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
                _ => Err(given.bad("a level, as 0 or 2")),
            },
        ),
        Flag::does(&["oformat"], Takes::Value("FORMAT"), "write FORMAT, which is elf", |_, given| {
            if given.value() == "binary" {
                return Err(given.refused("link as usual and use 'objcopy -O binary'"));
            }
            // As in LLD, which machine it is for the inputs tell.
            if given.text()?.starts_with("elf") { Ok(()) } else { Err(given.bad("elf, or a name that begins so")) }
        }),
        Flag::does(
            &["image-base"],
            Takes::Value("ADDRESS"),
            "the address that a Windows DLL prefers; of others 0 only, where shared libraries begin",
            |reading, given| {
                reading.image_base = Some((given.clone(), given.number()?));
                Ok(())
            },
        ),
        Flag::does(
            &["target2"],
            Takes::Value("TYPE"),
            "what R_ARM_TARGET2 means: got-rel, as on all systems with shared libraries",
            |_, given| match given.text()? {
                "got-rel" => Ok(()),
                "abs" | "rel" => {
                    Err(given.refused("type information of other libraries is reached through the GOT: got-rel"))
                }
                _ => Err(given.bad("got-rel")),
            },
        ),
        Flag::does(
            &["threads"],
            Takes::Number("N"),
            "use N threads, 1 to 4096, of which 256 are used at the most (default: as many as processors may be used)",
            |reading, given| {
                if given.value.is_none() {
                    reading.options.threads = None;
                    return Ok(());
                }
                reading.threads(given.value().to_str()).map_err(|expected| given.bad(expected))
            },
        ),
        Flag::does(
            &["limit"],
            Takes::Value("NAME=N"),
            "fail beyond N of what may be output_size, symbols, sections, decompressed_size, lookups or relocations",
            |reading, given| reading.limit(given.value().to_str()).map_err(|expected| given.bad(expected)),
        ),
        Flag::does(&["no-threads"], Takes::Nothing, "use one thread", |reading, _| {
            reading.options.threads = Some(NonZeroUsize::MIN);
            Ok(())
        }),
        Flag::does(
            &["dependency-file"],
            Takes::Value("FILE"),
            "write a rule for make to FILE that names all files read",
            |reading, given| {
                reading.show.dependencies = Some(given.path()?);
                Ok(())
            },
        ),
    ],
};

/// Emulations of other ELF machines, which LLD or GNU ld link for.
const OTHER_ELF: &[&str] = &[
    "aarch64elfb",
    "aarch64linuxb",
    "armelfb",
    "armelfb_linux_eabi",
    "elf32_x86_64",
    "elf32lriscv",
    "elf32ppc",
    "elf32ppclinux",
    "elf64_s390",
    "elf64briscv",
    "elf64loongarch",
    "elf64ppc",
    "elf32lppc",
    "elf32lppclinux",
    "elf_i386_fbsd",
    "elf_iamcu",
    "elf_s390",
];
/// Emulations of PE images that are not linked for.
const PE: &[&str] = &["arm64ecpe", "arm64xpe", "thumb2pe"];

/// Emulations, by the name that GNU ld gave them, and what they are for.
const EMULATIONS: &[(&str, Target)] = &[
    ("elf_x86_64", Target::LINUX_X86_64),
    ("elf_x86_64_fbsd", Target::FREEBSD_X86_64),
    ("elf_amd64", Target::LINUX_X86_64),
    ("elf_amd64_fbsd", Target::FREEBSD_X86_64),
    ("elf_i386", Target::LINUX_X86),
    ("elf64lriscv", Target::LINUX_RISCV64),
    ("aarch64linux", Target::LINUX_AARCH64),
    ("aarch64elf", Target::LINUX_AARCH64),
    ("aarch64_elf64_le_vec", Target::LINUX_AARCH64),
    ("aarch64fbsd", Target::FREEBSD_AARCH64),
    ("aarch64elf_fbsd", Target::FREEBSD_AARCH64),
    ("armelf_linux_eabi", Target::LINUX_ARM),
    ("armelf", Target::LINUX_ARM),
    ("i386pep", Target::WINDOWS_X86_64),
    ("i386pe", Target::WINDOWS_X86),
    ("arm64pe", Target::WINDOWS_AARCH64),
    ("elf64lppc", Target::LINUX_PPC64),
];

/// Whether an emulation is one of Windows.
pub(super) fn is_windows(emulation: &OsStr) -> bool {
    let windows = EMULATIONS.iter().filter(|(_, target)| target.format == Format::Pe);
    windows.map(|(name, _)| *name).chain(PE.iter().copied()).any(|name| emulation == OsStr::new(name))
}

fn target(given: &Given) -> Result<Target, Problem> {
    let name = given.text()?;
    if let Some((_, target)) = EMULATIONS.iter().find(|(known, _)| *known == name) {
        return Ok(*target);
    }
    if OTHER_ELF.contains(&name) {
        return Err(Problem::Format { option: format!("-m {name}"), what: "this machine".to_owned() });
    }
    let known: Vec<&str> = EMULATIONS.iter().map(|(known, _)| *known).collect();
    Err(given.bad(format!("one of {}", known.join(", "))))
}

/// The error for an emulation of a format that is not linked for yet.
pub(super) fn other_format(given: &Given) -> Option<Problem> {
    let name = PE.iter().find(|name| given.value() == **name)?;
    Some(Problem::Format { option: format!("-m {name}"), what: "linking for this machine".to_owned() })
}

fn build_id(given: &Given) -> Result<BuildId, Problem> {
    let Some(value) = &given.value else {
        return Ok(BuildId::Fast20);
    };
    if let Some(digits) = value.to_str().and_then(|text| text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))) {
        return hexadecimal(digits).map(BuildId::Given).ok_or_else(|| given.bad("0x and an even number of digits"));
    }
    given.choice(&[
        ("fast", BuildId::Fast),
        ("md5", BuildId::Bytes16),
        ("uuid", BuildId::Bytes16),
        ("sha1", BuildId::Bytes20),
        ("tree", BuildId::Bytes20),
        ("none", BuildId::None),
    ])
}

/// The bytes that pairs of hexadecimal digits spell; `-` and `:` may stand between pairs.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.chars().filter(|char| !matches!(char, '-' | ':')).map(|char| char.to_digit(16));
    let mut bytes = Vec::new();
    while let Some(high) = digits.next() {
        let byte = high? << 4 | digits.next()??;
        bytes.push(u8::try_from(byte).ok()?);
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// The value with the bytes that `%` and two hexadecimal digits stand for.
fn percent_decoded(given: &Given) -> Result<String, Problem> {
    let bad = || given.bad("text, in which two hexadecimal digits follow each '%'");
    let mut parts = given.text()?.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(bad)?;
        let byte = hexadecimal(digits).filter(|bytes| bytes.len() == 1).ok_or_else(bad)?;
        bytes.extend(byte);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs() {
        let read =
            |value: &str| percent_decoded(&Given { option: "--package-metadata".into(), value: Some(value.into()) });
        assert_eq!(read("%7B%22a%22:1%7d%C3%A4").unwrap(), "{\"a\":1}ä");
        assert_eq!(read("{}").unwrap(), "{}");
        for value in ["%", "%7", "%x0", "%-1", "%ff", "%é"] {
            assert!(read(value).is_err(), "{value}");
        }
    }

    #[test]
    fn build_ids() {
        let read = |value: &str| build_id(&Given { option: "--build-id".into(), value: Some(value.into()) });
        assert_eq!(read("0x0aFF").unwrap(), BuildId::Given(vec![0x0a, 0xff]));
        assert_eq!(read("0x01-02:03").unwrap(), BuildId::Given(vec![1, 2, 3]));
        assert_eq!(read("sha1").unwrap(), BuildId::Bytes20);
        for value in ["0x", "0x1", "0xgg", "", "crc", "0x1é"] {
            assert!(read(value).is_err(), "{value}");
        }
        assert_eq!(build_id(&Given { option: "--build-id".into(), value: None }).unwrap(), BuildId::Fast20);
    }
}
