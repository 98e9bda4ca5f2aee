//! What only Mach-O images are asked for.

use std::collections::HashSet;
use std::path::PathBuf;

/// Which names an image has for others, beyond what the objects say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Exports {
    /// All that the objects do not hide.
    #[default]
    All,
    /// Only those that a pattern fits (`-exported_symbol`, `-exported_symbols_list`). What a library has and is asked for by its
    /// whole name is passed on to others as that library's.
    Only(Vec<String>),
    /// All but those that a pattern fits (`-unexported_symbol`, `-unexported_symbols_list`).
    AllBut(Vec<String>),
}

/// What [`Exports`] allow, ready to be asked for each of many names: only patterns are compared with all of them.
#[derive(Debug, Default)]
pub(crate) struct Filter<'a> {
    /// What is so of a name that is listed; of others the contrary is.
    listed: bool,
    names: HashSet<&'a [u8]>,
    patterns: Vec<&'a [u8]>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(exports: &'a Exports) -> Self {
        let (listed, all): (bool, &[String]) = match exports {
            Exports::All => (false, &[]),
            Exports::Only(all) => (true, all),
            Exports::AllBut(all) => (false, all),
        };
        let (patterns, names): (Vec<&String>, _) = all.iter().partition(|name| is_pattern(name));
        let patterns = patterns.into_iter().map(|pattern| pattern.as_bytes()).collect();
        Self { listed, names: names.into_iter().map(|name| name.as_bytes()).collect(), patterns }
    }

    /// Whether a name that the objects export stays so.
    pub(crate) fn allow(&self, name: &[u8]) -> bool {
        let fits = self.names.contains(name) || self.patterns.iter().any(|pattern| matches(pattern, name));
        fits == self.listed
    }

    /// Whether a name is asked for as it is, not by a pattern.
    pub(crate) fn asks_for(&self, name: &[u8]) -> bool {
        self.listed && self.names.contains(name)
    }
}

/// Whether a name stands for others than itself.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether `name` is as `pattern` says, in which `*` stands for any bytes, `?` for one, `[…]` for one of several
/// and `[^…]`, or `[!…]`, for one of the others.
///
/// The time is at most the product of both lengths: a star that did not do takes one byte more, and only the last one can.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        if let Some(b'*') = rest.first() {
            star = Some((at + 1, from));
            at += 1;
            continue;
        }
        let step = name.get(from).and_then(|byte| one(rest, *byte));
        match (step, star) {
            (Some(step), _) => {
                at += step;
                from += 1;
            }
            (None, _) if rest.is_empty() && from == name.len() => return true,
            (None, Some((after, taken))) if taken < name.len() => {
                star = Some((after, taken + 1));
                (at, from) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// The length of the first element of `pattern`, if that fits `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let end = set.iter().position(|byte| *byte == b']')?;
            let set = &set[..end];
            let (set, wanted) = match set {
                [b'^' | b'!', others @ ..] if !others.is_empty() => (others, false),
                _ => (set, true),
            };
            let in_range = set.windows(3).any(|part| part[1] == b'-' && (part[0]..=part[2]).contains(&byte));
            ((in_range || set.contains(&byte)) == wanted).then_some(end + 2)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// A section with contents from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSection {
    /// The segment, of at most 16 bytes.
    pub segment: String,
    /// The section's name, of at most 16 bytes.
    pub section: String,
    /// The contents.
    pub contents: Vec<u8>,
}

impl MachOOptions {
    /// What is wrong with it, in words.
    pub(super) fn problem(&self) -> Option<String> {
        let created = self.created_sections.iter().flat_map(|created| [&created.segment, &created.section]);
        let names = created.chain(self.renamed_sections.iter().flatten().flatten());
        let mut names = names.chain(self.renamed_segments.iter().flatten());
        if let Some(name) = names.find(|name| name.is_empty() || name.len() > 16 || name.contains('\0')) {
            return Some(format!("{name:?}: names of segments and sections have 1 to 16 bytes"));
        }
        let made = self.created_sections.iter().map(|created| &created.segment);
        let made = made.chain(self.renamed_sections.iter().map(|[_, [segment, _]]| segment));
        let mut made = made.chain(self.renamed_segments.iter().map(|[_, segment]| segment));
        if made.any(|segment| segment == "__LINKEDIT") {
            return Some(
                "-sectcreate, -rename_section, -rename_segment: __LINKEDIT has the loader's tables alone".to_owned(),
            );
        }
        if let Some((.., align)) =
            self.alignments.iter().find(|(.., align)| !align.is_power_of_two() || *align > 1 << 15)
        {
            return Some(format!("-sectalign 0x{align:x}: a power of two up to 0x8000 is needed"));
        }
        self.protections
            .iter()
            .find(|(name, _)| name == "__LINKEDIT")
            .map(|_| "-segprot __LINKEDIT: the loader's tables are read, and nothing else".to_owned())
    }
}

/// What only Mach-O images have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachOOptions {
    /// The name by which the loader knows the image, and of which the last part identifies its signature
    /// (`-install_name`). By default `image.dylib`: where the image is written does not show in it.
    pub install_name: Option<String>,
    /// The image's version, as 16, 8 and 8 bits (`-current_version`).
    pub current_version: u32,
    /// The oldest version that the image can stand for, in the same form (`-compatibility_version`).
    pub compatibility_version: u32,
    /// Directories that are searched for frameworks (`-F`); with a system root, what that has in their place and, last,
    /// `/Library/Frameworks` and `/System/Library/Frameworks` in it.
    pub framework_paths: Vec<PathBuf>,
    /// Directories in which the loader looks for libraries that are named with `@rpath` (`-rpath`).
    pub rpath: Vec<String>,
    /// The oldest macOS that the image is for, and the SDK's version, in the form of [`current_version`](Self::current_version)
    /// (`-platform_version`). By default what the objects say.
    pub platform_version: Option<(u32, u32)>,
    /// Whether what the loader fills is told by chains (`-fixup_chains`) or by programs (`-no_fixup_chains`). By default chains
    /// from macOS 13 on, if they can reach all of it: a segment may have 65535 pages with pointers, and these have to be at
    /// multiples of 4 bytes, each on one page.
    pub chained_fixups: Option<bool>,
    /// Without chains, have the loader look up all functions when the image is loaded, not at their first call
    /// (`-bind_at_load`).
    pub bind_at_load: bool,
    /// Tell by offsets which functions run when the image is loaded (`-init_offsets`), as is always done with chains. Loaders
    /// before macOS 12 do not know these.
    pub init_offsets: bool,
    /// Have a segment `__DATA_CONST` for what the loader alone writes, which nobody can write to afterwards (`-data_const`,
    /// `-no_data_const`). By default from macOS 10.15 on; without, all of it is in `__DATA`.
    pub data_const: Option<bool>,
    /// Make a bundle, which has no name and is loaded by its path only (`-bundle`), in place of a dylib.
    pub bundle: bool,
    /// Images that use nothing of this one need not name it to the loader (`-mark_dead_strippable_dylib`).
    pub dead_strippable: bool,
    /// The image may be loaded by an extension of an app (`-application_extension`).
    pub application_extension: bool,
    /// The framework through which alone others may link with the image (`-umbrella`).
    pub umbrella: Option<String>,
    /// Who else may link with the image, if not all may (`-allowable_client`).
    pub allowable_clients: Vec<String>,
    /// Symbols that are left to the loader if nothing defines them, whatever is done about others (`-U`).
    pub dynamic_lookup: Vec<String>,
    /// Link with the libraries that objects ask for by name (the default; `-ignore_auto_link`), if they are found.
    pub auto_link: bool,
    /// Names of such libraries and frameworks that are not linked with (`--ignore-auto-link-option`).
    pub auto_link_ignored: Vec<String>,
    /// Have a list of where functions start (the default; `-no_function_starts`).
    pub function_starts: bool,
    /// Have a list of data in code (the default; `-no_data_in_code_info`).
    pub data_in_code: bool,
    /// Sections of the image with these contents, beside those of objects (`-sectcreate`, `-add_empty_section`).
    pub created_sections: Vec<CreatedSection>,
    /// Sections that get another segment and name: first those of objects, then those of the image (`-rename_section`).
    pub renamed_sections: Vec<[[String; 2]; 2]>,
    /// Segments that get another name (`-rename_segment`).
    pub renamed_segments: Vec<[String; 2]>,
    /// How sections are aligned at least: segment, section and bytes, a power of two (`-sectalign`).
    pub alignments: Vec<(String, String, u64)>,
    /// What may be done with segments: names, and sums of 1 (read), 2 (write) and 4 (execute) (`-segprot`).
    pub protections: Vec<(String, u32)>,
    /// Sign the image with hashes of its pages alone (`-adhoc_codesign`, `-no_adhoc_codesign`). By default on arm64, whose
    /// systems load nothing else.
    pub sign: Option<bool>,
    /// Store a hash of the image as its UUID (the default; `-no_uuid`).
    pub uuid: bool,
    /// Bytes of room behind the load commands (`-headerpad`).
    pub header_pad: Option<u64>,
    /// Leave room for every name in the load commands to grow to 1024 bytes (`-headerpad_max_install_names`).
    pub pad_install_names: bool,
    /// Names for others (`-exported_symbol` and its like).
    pub exports: Exports,
    /// Leave local symbols out of the symbol table (`-x`).
    pub strip_locals: bool,
    /// Name the objects with debug information in the symbol table, so that `dsymutil` finds them (`-S` leaves it out).
    pub debug_map: bool,
    /// The directory that relative paths of inputs count from, in the debug map. Without it they stay as they are.
    pub debug_map_base: Option<PathBuf>,
    /// Which local symbols are in the symbol table (`-non_global_symbols_no_strip_list`, `-non_global_symbols_strip_list`);
    /// with [`strip_locals`](Self::strip_locals) none.
    pub locals: Exports,
    /// Files of Swift's modules for debuggers, named in the symbol table together with the debug map (`-add_ast_path`).
    pub ast_paths: Vec<String>,
    /// What is cut off paths in the debug map (`-oso_prefix`).
    pub oso_prefix: Option<String>,
    /// Write the objects' debug information, linked, into a bundle of this path, `….dSYM` (`-dsym`), as `dsymutil` would make it
    /// of the image. The file in it has the bundle's name without `.dSYM`: debuggers look for the image's name. Then there is no
    /// [`debug_map`](Self::debug_map).
    pub dsym: Option<PathBuf>,
    /// Do not ask for libraries that nothing is used of (`-dead_strip_dylibs`).
    pub dead_strip_dylibs: bool,
    /// Link every member of archives that has a class or a category of Objective-C, or Swift code: these are found by name when
    /// the image runs, and nothing refers to them (`-ObjC`).
    pub load_objc: bool,
}

impl Default for MachOOptions {
    fn default() -> Self {
        Self {
            install_name: None,
            current_version: 0,
            compatibility_version: 0,
            framework_paths: Vec::new(),
            rpath: Vec::new(),
            platform_version: None,
            chained_fixups: None,
            bind_at_load: false,
            init_offsets: false,
            data_const: None,
            bundle: false,
            dead_strippable: false,
            application_extension: false,
            umbrella: None,
            allowable_clients: Vec::new(),
            dynamic_lookup: Vec::new(),
            auto_link: true,
            auto_link_ignored: Vec::new(),
            function_starts: true,
            data_in_code: true,
            created_sections: Vec::new(),
            renamed_sections: Vec::new(),
            renamed_segments: Vec::new(),
            alignments: Vec::new(),
            protections: Vec::new(),
            sign: None,
            uuid: true,
            header_pad: None,
            pad_install_names: false,
            exports: Exports::All,
            strip_locals: false,
            locals: Exports::All,
            ast_paths: Vec::new(),
            debug_map: true,
            debug_map_base: None,
            oso_prefix: None,
            dsym: None,
            dead_strip_dylibs: false,
            load_objc: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        let cases = [
            ("_a", "_a", true),
            ("_a", "_ab", false),
            ("*", "", true),
            ("_jl_*", "_jl_image_pointers", true),
            ("*_x*", "_a_b_xyz", true),
            ("*_x*z", "_a_b_xyzw", false),
            ("_?b", "_ab", true),
            ("_?b", "_b", false),
            ("_[a-c]x", "_bx", true),
            ("_[ac]x", "_bx", false),
            ("_[", "_[", false),
            ("_*[^xy]", "_ab", true),
            ("_*[^xy]", "_ay", false),
            ("_[!a-c]", "_d", true),
            ("_[!a-c]", "_b", false),
            ("_[^]", "_^", true),
            ("**a**", "bab", true),
        ];
        for (pattern, name, fits) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        let filter = |exports: &Exports, name: &str| Filter::new(exports).allow(name.as_bytes());
        let only = Exports::Only(vec!["_a".to_owned(), "_b*".to_owned()]);
        assert_eq!(["_a", "_b1", "_c"].map(|name| filter(&only, name)), [true, true, false]);
        let but = Exports::AllBut(vec!["_a".to_owned(), "_b*".to_owned()]);
        assert_eq!(["_a", "_b1", "_c"].map(|name| filter(&but, name)), [false, false, true]);
        assert!(filter(&Exports::All, "_a") && !filter(&Exports::Only(Vec::new()), "_a"));
        // No pattern takes time without bounds.
        assert!(!matches("*a*a*a*a*a*a*a*b".as_bytes(), "a".repeat(10_000).as_bytes()));
    }
}
