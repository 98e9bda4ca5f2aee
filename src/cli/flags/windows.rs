//! What only Windows DLLs have: the options that MinGW's linkers know besides the common ones.
//!
//! For images of other formats they change nothing: a driver that gives them means Windows.

use super::super::flag::{Flag, Given, Group, Takes};
use super::super::problem::Problem;
use super::super::reading::Reading;
use crate::AutoExport;

pub(super) const GROUP: Group = Group {
    title: "Windows DLLs (-m i386pep, -m i386pe, -m arm64pe)",
    flags: &[
        Flag::does(
            &["export-all-symbols"],
            Takes::Nothing,
            "export every symbol of one's own objects (default if nothing says what is exported)",
            |reading, _| {
                reading.options.pe.auto_export = AutoExport::All;
                Ok(())
            },
        ),
        Flag::does(
            &["exclude-all-symbols"],
            Takes::Nothing,
            "export only what objects say is exported",
            |reading, _| {
                reading.options.pe.auto_export = AutoExport::None;
                Ok(())
            },
        ),
        Flag::does(
            &["exclude-symbols"],
            Takes::Value("SYMBOLS"),
            "do not export these automatically; with commas between them",
            |reading, given| {
                let names = given.text()?.split([',', ':']).filter(|name| !name.is_empty()).map(str::to_owned);
                reading.options.pe.excluded_symbols.extend(names);
                Ok(())
            },
        ),
        Flag::does(
            &["subsystem"],
            Takes::Value("NAME"),
            "windows (default), console, native, or a number; perhaps a version behind a colon",
            subsystem,
        ),
        Flag::does(
            &["major-subsystem-version"],
            Takes::Value("N"),
            "the version of Windows that is needed (default: 6)",
            |reading, given| {
                reading.options.pe.subsystem_version.0 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(
            &["minor-subsystem-version"],
            Takes::Value("N"),
            "its second number (default: 0)",
            |reading, given| {
                reading.options.pe.subsystem_version.1 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(
            &["major-image-version"],
            Takes::Value("N"),
            "the image's own version (default: 0)",
            |reading, given| {
                reading.options.pe.image_version.0 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(&["minor-image-version"], Takes::Value("N"), "its second number (default: 0)", |reading, given| {
            reading.options.pe.image_version.1 = short(given)?;
            Ok(())
        }),
        Flag::does(
            &["dynamicbase"],
            Takes::Nothing,
            "let the loader choose the image's address (default)",
            |reading, _| {
                reading.options.pe.dynamic_base = true;
                Ok(())
            },
        ),
        Flag::does(&["disable-dynamicbase"], Takes::Nothing, "do not say that it may", |reading, _| {
            reading.options.pe.dynamic_base = false;
            Ok(())
        }),
        Flag::does(
            &["high-entropy-va"],
            Takes::Nothing,
            "let it choose among all 64-bit addresses (default)",
            |reading, _| {
                reading.options.pe.high_entropy_va = true;
                Ok(())
            },
        ),
        Flag::does(&["disable-high-entropy-va"], Takes::Nothing, "do not say that it may", |reading, _| {
            reading.options.pe.high_entropy_va = false;
            Ok(())
        }),
        Flag::does(&["nxcompat"], Takes::Nothing, "say that data are never executed (default)", |reading, _| {
            reading.options.pe.nx_compat = true;
            Ok(())
        }),
        Flag::does(&["disable-nxcompat"], Takes::Nothing, "do not say so", |reading, _| {
            reading.options.pe.nx_compat = false;
            Ok(())
        }),
        Flag::does(
            &["large-address-aware"],
            Takes::Nothing,
            "say that addresses beyond 2 GiB are no problem (default for 64-bit images)",
            |reading, _| {
                reading.options.pe.large_address_aware = Some(true);
                Ok(())
            },
        ),
        Flag::does(&["disable-large-address-aware"], Takes::Nothing, "do not say so", |reading, _| {
            reading.options.pe.large_address_aware = Some(false);
            Ok(())
        }),
        Flag::does(
            &["insert-timestamp"],
            Takes::Nothing,
            "have a time stamp, made of the contents and not of the time (default)",
            |reading, _| {
                reading.options.pe.timestamp = true;
                Ok(())
            },
        ),
        Flag::does(&["no-insert-timestamp"], Takes::Nothing, "leave the time stamp zero", |reading, _| {
            reading.options.pe.timestamp = false;
            Ok(())
        }),
        Flag::does(
            &["allow-large-image"],
            Takes::Nothing,
            "link an image of more than 2 GiB, which no loader is known to take",
            |reading, _| {
                reading.options.pe.large_image = true;
                Ok(())
            },
        ),
        Flag::does(&["section-alignment"], Takes::Value("BYTES"), "accepted for 4096 only, the page", |_, given| {
            alignment(given, 4096)
        }),
        Flag::does(&["file-alignment"], Takes::Value("BYTES"), "accepted for 512 only", |_, given| {
            alignment(given, 512)
        }),
        Flag::ignored(
            &["enable-auto-image-base"],
            Takes::Optional("BASE"),
            "the loader chooses the address, so the preferred one may be that of all DLLs",
        ),
        Flag::ignored(&["disable-auto-image-base"], Takes::Nothing, "the preferred address is that of all DLLs anyway"),
        Flag::does(
            &["enable-auto-import"],
            Takes::Nothing,
            "let code refer to data of DLLs as if they were the image's own (default)",
            |reading, _| {
                reading.options.pe.auto_import = true;
                Ok(())
            },
        ),
        Flag::does(
            &["disable-auto-import"],
            Takes::Nothing,
            "have data of DLLs be declared as imported",
            |reading, _| {
                reading.options.pe.auto_import = false;
                Ok(())
            },
        ),
        Flag::does(
            &["enable-runtime-pseudo-reloc"],
            Takes::Nothing,
            "have MinGW's start code correct references to data of DLLs that cannot do without (default)",
            |reading, _| {
                reading.options.pe.pseudo_relocs = true;
                Ok(())
            },
        ),
        Flag::does(&["disable-runtime-pseudo-reloc"], Takes::Nothing, "make such references an error", |reading, _| {
            reading.options.pe.pseudo_relocs = false;
            Ok(())
        }),
        Flag::ignored(
            &["enable-reloc-section", "enable-long-section-names", "no-leading-underscore", "leading-underscore"],
            Takes::Nothing,
            "this is what is done where it is right",
        ),
        Flag::ignored(&["tsaware", "disable-tsaware"], Takes::Nothing, "it concerns programs, not DLLs"),
        Flag::ignored(
            &["no-seh", "disable-no-seh", "no-bind", "no-isolation", "no-dynamicbase", "wdmdriver", "appcontainer"],
            Takes::Nothing,
            "no loader of package images looks at it",
        ),
        Flag::ignored(
            &["major-os-version", "minor-os-version"],
            Takes::Value("N"),
            "no loader looks at it; --major-subsystem-version counts",
        ),
        Flag::ignored(&["heap", "stack"], Takes::Value("SIZE"), "the program decides on them, not a DLL"),
        Flag::refused(
            &["out-implib", "output-def"],
            Takes::Value("FILE"),
            "DLLs are linked against without import libraries: give the DLL itself, or use dlltool",
        ),
        Flag::refused(&["kill-at", "add-stdcall-alias"], Takes::Nothing, "give exports their names in the objects"),
        Flag::refused(
            &["enable-stdcall-fixup", "disable-stdcall-fixup"],
            Takes::Nothing,
            "declare functions as they are defined",
        ),
        Flag::refused(&["disable-reloc-section"], Takes::Nothing, "DLLs are moved, which takes base relocations"),
        Flag::refused(&["pdb"], Takes::Value("FILE"), "debug information is DWARF, in the image"),
    ],
};

fn short(given: &Given) -> Result<u16, Problem> {
    u16::try_from(given.number()?).map_err(|_| given.bad("a number up to 65535"))
}

fn alignment(given: &Given, only: u64) -> Result<(), Problem> {
    match given.number()? {
        number if number == only => Ok(()),
        _ => Err(given.refused("the alignment is that of all DLLs; leave it out")),
    }
}

/// `NAME[:MAJOR[.MINOR]]`.
fn subsystem(reading: &mut Reading, given: &Given) -> Result<(), Problem> {
    let bad = || given.bad("windows, console, native or a number, perhaps with a version as in windows:6.0");
    let text = given.text()?;
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    reading.options.pe.subsystem = match name {
        "native" => 1,
        "windows" => 2,
        "console" => 3,
        number => number.parse().map_err(|_| bad())?,
    };
    if let Some(version) = version {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        let number = |text: &str| text.parse().map_err(|_| bad());
        reading.options.pe.subsystem_version = (number(major)?, number(minor)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsystems() {
        let read = |value: &str| {
            let mut reading = Reading::default();
            let given = Given { option: "--subsystem".into(), value: Some(value.into()) };
            subsystem(&mut reading, &given)
                .map(|()| (reading.options.pe.subsystem, reading.options.pe.subsystem_version))
        };
        assert_eq!(read("windows").unwrap(), (2, (6, 0)));
        assert_eq!(read("console:10.2").unwrap(), (3, (10, 2)));
        assert_eq!(read("16").unwrap(), (16, (6, 0)));
        for value in ["", "posix", "windows:", "windows:6.x", "70000"] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
