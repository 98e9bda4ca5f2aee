//! Options that are known and cannot be honoured, with what to do instead.

use super::{equals_refused, refused};
use crate::cli::darwin::{Flag, Meaning};
pub(super) const REFUSED: &[Flag] = &[
    refused(
        &["execute", "r", "dylinker", "preload", "static", "kext"],
        &[],
        "only dylibs and bundles are made: use -dylib",
    ),
    refused(
        &["flat_namespace", "force_flat_namespace"],
        &[],
        "names are looked up in two levels; -undefined dynamic_lookup leaves single ones open",
    ),
    refused(&["why_live"], &["SYMBOL"], "-map has what stays"),
    refused(&["why_load", "whyload", "print-dylib-search"], &[], "-t names what is linked, -map what stands where"),
    refused(&["order_file", "order_file_statistics"], &["FILE"], "sections stay in the order of the inputs"),
    refused(&["interposable"], &[], "what the image defines it uses itself"),
    refused(
        &["bundle_loader"],
        &["FILE"],
        "leave the program's symbols to the loader: -undefined dynamic_lookup or -U",
    ),
    refused(&["dyld_env"], &["VARIABLE"], "that is about programs"),
    refused(&["encryptable"], &[], "images for macOS are not encrypted"),
    refused(&["Z", "search_dylibs_first"], &[], "name the directories in order by -L, or the libraries' files"),
    refused(
        &[
            "ios_version_min",
            "iphoneos_version_min",
            "tvos_version_min",
            "watchos_version_min",
            "maccatalyst_version_min",
        ],
        &["VERSION"],
        "only images for macOS are made",
    ),
    equals_refused(&["reproduce"], "FILE", "copy the inputs that -t names, and the command line"),
    refused(&["init"], &["SYMBOL"], "put the function's address into __DATA,__mod_init_func"),
    refused(&["lazy_library"], &["FILE"], "the loader loads all libraries with the image: give the file alone"),
    Flag {
        names: &["lazy-l"],
        values: &["NAME"],
        joined: true,
        equals: None,
        help: "the loader loads all libraries with the image: use -l",
        meaning: Meaning::Refused,
    },
    refused(
        &["no_weak_imports", "no_weak_exports"],
        &[],
        "weak names are linked as the objects have them; leave it out",
    ),
    refused(
        &["image_base", "seg1addr", "pagezero_size", "stack_size"],
        &["NUMBER"],
        "a dylib begins at address 0, and the loader moves it",
    ),
    refused(&["bitcode_bundle"], &[], "no bitcode is linked"),
];
