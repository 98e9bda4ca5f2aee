//! What the loader is told.

use super::super::flag::{Flag, Group, Takes};
use super::super::parse;
use crate::{HashStyle, Symbolic};

pub(super) const GROUP: Group = Group {
    title: "Dynamic linking",
    flags: &[
        Flag::does(
            &["z"],
            Takes::Value("KEYWORD"),
            "one of the keywords below; an unknown one is a warning",
            parse::keyword,
        ),
        Flag::does(&["soname", "h"], Takes::Value("NAME"), "the library's own name: DT_SONAME", |reading, given| {
            // Build systems give names of variables that are not set.
            if given.value().is_empty() {
                return Ok(());
            }
            let name = given.name()?;
            reading.options.pe.dll_name = Some(name.clone());
            reading.options.elf.soname = Some(name);
            Ok(())
        }),
        Flag::does(
            &["rpath", "R"],
            Takes::Value("DIR"),
            "have the loader search DIR for the libraries needed",
            |reading, given| {
                if !given.value().is_empty() {
                    reading.options.elf.rpath.push(given.name()?);
                }
                Ok(())
            },
        ),
        Flag::on(&["enable-new-dtags"], "store the -rpath directories as DT_RUNPATH (default)", |reading| {
            &mut reading.options.elf.new_dtags
        }),
        Flag::off(&["disable-new-dtags"], "store the -rpath directories as DT_RPATH", |reading| {
            &mut reading.options.elf.new_dtags
        }),
        Flag::does(
            &["hash-style"],
            Takes::Value("STYLE"),
            "the hash tables of the exported symbols: sysv, gnu or both (default)",
            |reading, given| {
                let styles = [("sysv", HashStyle::Sysv), ("gnu", HashStyle::Gnu), ("both", HashStyle::Both)];
                reading.options.elf.hash_style = given.choice(&styles)?;
                Ok(())
            },
        ),
        Flag::on(&["eh-frame-hdr"], "make the search table that unwinders use (default)", |reading| {
            &mut reading.options.elf.eh_frame_hdr
        }),
        Flag::off(&["no-eh-frame-hdr"], "make no such table", |reading| &mut reading.options.elf.eh_frame_hdr),
        Flag::does(&["Bsymbolic"], Takes::Nothing, "bind references to own definitions at link time", |reading, _| {
            reading.options.elf.symbolic = Symbolic::All;
            Ok(())
        }),
        Flag::does(
            &["Bsymbolic-functions"],
            Takes::Nothing,
            "bind references to own functions at link time",
            |reading, _| {
                reading.options.elf.symbolic = Symbolic::Functions;
                Ok(())
            },
        ),
        Flag::does(&["Bsymbolic-non-weak"], Takes::Nothing, "as -Bsymbolic, but for weak definitions", |reading, _| {
            reading.options.elf.symbolic = Symbolic::NonWeak;
            Ok(())
        }),
        Flag::does(
            &["Bsymbolic-non-weak-functions"],
            Takes::Nothing,
            "as -Bsymbolic-functions, but for weak definitions",
            |reading, _| {
                reading.options.elf.symbolic = Symbolic::NonWeakFunctions;
                Ok(())
            },
        ),
        Flag::does(
            &["f", "auxiliary"],
            Takes::Value("NAME"),
            "look in the library NAME, if it is there, before the own definitions: DT_AUXILIARY",
            |reading, given| {
                reading.options.elf.auxiliary.push(given.name()?);
                Ok(())
            },
        ),
        Flag::does(
            &["F", "filter"],
            Takes::Value("NAME"),
            "take the definitions of the library NAME for the own ones: DT_FILTER",
            |reading, given| {
                reading.options.elf.filters.push(given.name()?);
                Ok(())
            },
        ),
        Flag::on(&["relax"], "rewrite loads from the GOT that can do without it (default)", |reading| {
            &mut reading.options.elf.relax
        }),
        Flag::off(&["no-relax"], "leave such loads as they are", |reading| &mut reading.options.elf.relax),
        Flag::does(
            &["Bno-symbolic"],
            Takes::Nothing,
            "let other libraries preempt own definitions (default)",
            |reading, _| {
                reading.options.elf.symbolic = Symbolic::None;
                Ok(())
            },
        ),
        Flag::does(
            &["pack-dyn-relocs"],
            Takes::Value("FORMAT"),
            "relr packs relative relocations (DT_RELR), none does not (default)",
            |reading, given| {
                if matches!(given.text()?, "android" | "android+relr") {
                    return Err(given.refused("use relr, which Android's loaders read since API level 30"));
                }
                reading.options.elf.relr = given.choice(&[("none", false), ("relr", true)])?;
                Ok(())
            },
        ),
        Flag::does(
            &["init"],
            Takes::Value("SYMBOL"),
            "the function to call after loading: DT_INIT (default: _init)",
            |reading, given| {
                reading.options.elf.init = given.name()?;
                Ok(())
            },
        ),
        Flag::does(
            &["fini"],
            Takes::Value("SYMBOL"),
            "the function to call before unloading: DT_FINI (default: _fini)",
            |reading, given| {
                reading.options.elf.fini = given.name()?;
                Ok(())
            },
        ),
        Flag::does(
            &["e", "entry"],
            Takes::Value("SYMBOL"),
            "the entry point in the header: a symbol, or an address (ELF); 0 for none",
            |reading, given| {
                // An empty name asks for none, as a 0 does.
                let none = given.value().is_empty();
                reading.options.entry = Some(if none { "0".to_owned() } else { given.name()? });
                Ok(())
            },
        ),
    ],
};
