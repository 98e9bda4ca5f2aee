//! Symbol table and debug information.

use super::super::flag::{Flag, Group, Takes};
use crate::{DebugCompression, Strip};

pub(super) const GROUP: Group = Group {
    title: "Symbol table and debug information",
    flags: &[
        Flag::does(&["S", "strip-debug"], Takes::Nothing, "leave out debug sections", |reading, _| {
            reading.options.strip = Strip::Debug;
            Ok(())
        }),
        Flag::does(
            &["s", "strip-all"],
            Takes::Nothing,
            "leave out debug sections and the symbol table",
            |reading, _| {
                reading.options.strip = Strip::All;
                Ok(())
            },
        ),
        Flag::does(
            &["compress-debug-sections"],
            Takes::Value("FORMAT"),
            "compress debug sections: none (default), zlib or zstd",
            |reading, given| {
                if given.value() == "zlib-gnu" {
                    return Err(given.refused("use zlib: the .zdebug form of GNU is obsolete"));
                }
                reading.options.elf.compress_debug = given.choice(&[
                    ("none", None),
                    ("zlib", Some(DebugCompression::Zlib)),
                    ("zstd", Some(DebugCompression::Zstd)),
                    ("zlib-gabi", Some(DebugCompression::Zlib)),
                ])?;
                Ok(())
            },
        ),
        Flag::does(
            &["separate-debug-file"],
            Takes::Optional("FILE"),
            "move debug sections and the symbol table to FILE (default: the output's name and .dbg), where debuggers find them",
            |reading, given| {
                reading.separate_debug_file = given.value.is_none();
                reading.options.elf.separate_debug_file = given.value.as_ref().map(|_| given.path()).transpose()?;
                Ok(())
            },
        ),
    ],
};
