//! Findings, the rules that allow some of them, and the report.

use std::collections::BTreeMap;
use std::fmt;

/// What kind of meaning a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Program headers.
    Segments,
    /// Section headers.
    Sections,
    /// PT_DYNAMIC and what it names.
    Dynamic,
    /// The order and place of dynamic relocations.
    DynamicRelocations,
    /// `.hash` and `.gnu.hash`.
    Hash,
    /// Symbol versions.
    Versions,
    /// The form of `.symtab` and `.dynsym`.
    SymbolTable,
    /// The libraries needed and other strings of PT_DYNAMIC.
    Needed,
    /// Constructors and destructors.
    InitArray,
    /// A symbol that the library offers.
    Export,
    /// A symbol that the library asks for.
    Import,
    /// A symbol of `.symtab`.
    Symbol,
    /// What may be done with the memory of a symbol.
    Protection,
    /// The initial bytes of a symbol.
    Bytes,
    /// Where an input section went.
    Placement,
    /// A field that a relocation fills.
    Relocation,
    /// A reference that may be preempted at run time was bound at link time.
    Binding,
    /// `.eh_frame`.
    Unwind,
    /// `.eh_frame_hdr`.
    UnwindIndex,
    /// Line tables.
    Lines,
    /// Other DWARF.
    Debug,
    /// The file could not be read.
    Unreadable,
}

/// Which library a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The reference alone.
    Reference,
    /// The other library alone.
    Ours,
    /// The two differ.
    Both,
}

/// One difference or fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub check: Check,
    /// The library.
    pub side: Side,
    /// The symbol, section or field.
    pub subject: String,
    /// What the reference means, or what the rules of ELF or the inputs ask for.
    pub expected: String,
    /// What the library means.
    pub found: String,
}

impl Finding {
    /// A fault of one library; `side` is set by who asked.
    pub fn new(
        check: Check,
        subject: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Finding {
        let (subject, expected, found) = (subject.into(), expected.into(), found.into());
        Finding { check, side: Side::Ours, subject, expected, found }
    }

    /// The same finding, about `side`.
    pub fn about(mut self, side: Side) -> Finding {
        self.side = side;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            Side::Both => {
                write!(f, "[{:?}] {}: reference {}; ours {}", self.check, self.subject, self.expected, self.found)
            }
            Side::Reference => {
                write!(
                    f,
                    "[{:?}] reference: {}: expected {}; found {}",
                    self.check, self.subject, self.expected, self.found
                )
            }
            Side::Ours => {
                write!(f, "[{:?}] {}: expected {}; found {}", self.check, self.subject, self.expected, self.found)
            }
        }
    }
}

/// A difference that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The rule's name.
    pub name: &'static str,
    /// Why the difference is no defect.
    pub reason: &'static str,
    /// Whether the rule allows a finding.
    pub allows: fn(&Finding) -> bool,
}

/// Everything a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What no rule allows.
    pub findings: Vec<Finding>,
    /// What a rule allowed, by the rule's name.
    pub allowed: BTreeMap<&'static str, Vec<Finding>>,
    /// Rules that were given but allowed nothing.
    pub unused_rules: Vec<&'static str>,
    /// How many things were compared, by kind.
    pub counts: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Sorts findings into allowed ones and others.
    pub fn new(findings: Vec<Finding>, counts: BTreeMap<&'static str, usize>, rules: &[Rule]) -> Report {
        let mut report = Report { counts, ..Report::default() };
        for finding in findings {
            match rules.iter().find(|rule| (rule.allows)(&finding)) {
                Some(rule) => report.allowed.entry(rule.name).or_default().push(finding),
                None => report.findings.push(finding),
            }
        }
        report.unused_rules =
            rules.iter().map(|rule| rule.name).filter(|name| !report.allowed.contains_key(name)).collect();
        report
    }

    /// Whether nothing differs but what the rules allow.
    pub fn is_equal(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether something was found that is of kind `check` and mentions `subject`.
    pub fn mentions(&self, check: Check, subject: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check && finding.subject.contains(subject))
    }
}

/// How many findings of one kind a report shows in words.
const SHOWN: usize = 50;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One cause can make thousands of findings; a few of each kind tell it.
        let mut shown: BTreeMap<Check, usize> = BTreeMap::new();
        for finding in &self.findings {
            let count = shown.entry(finding.check).or_default();
            *count += 1;
            if *count <= SHOWN {
                writeln!(f, "{finding}")?;
            }
        }
        for (check, count) in shown.iter().filter(|(_, count)| **count > SHOWN) {
            writeln!(f, "[{check:?}] and {} more", count - SHOWN)?;
        }
        for (rule, findings) in &self.allowed {
            writeln!(f, "allowed by {rule}: {}", findings.len())?;
        }
        for rule in &self.unused_rules {
            writeln!(f, "rule without use: {rule}")?;
        }
        for (what, count) in &self.counts {
            writeln!(f, "{what}: {count}")?;
        }
        writeln!(f, "{}", if self.is_equal() { "equal in meaning" } else { "different" })
    }
}

/// The rules that the command knows by name.
pub const ALL: &[Rule] = &[
    ASSEMBLER_LOCALS,
    LINKER_SYMBOLS,
    PLT_FRAMES,
    RELRO_EXTENT,
    INDIRECT_FUNCTION_ENTRY,
    BOOKKEEPING_ENTRIES,
    BOUND_AT_LINK_TIME,
    SLOT_SYMBOLS,
    THUNK_SYMBOLS,
    HEAP_IMAGE_SECTION,
    GNU_OS_ABI,
    STATED_ALIGNMENT,
    SLOT_TABLES,
    STRIPPED_DEBUG,
    STRIPPED_SYMBOLS,
    COLLECTED_SECTIONS,
];

/// `.L` symbols.
pub const ASSEMBLER_LOCALS: Rule = Rule {
    name: "assembler-locals",
    reason: "names that begin with .L are the assembler's own: linkers may drop them from .symtab",
    allows: |finding| finding.check == Check::Symbol && finding.side == Side::Both && finding.subject.starts_with(".L"),
};

/// Symbols such as `_end`.
pub const LINKER_SYMBOLS: Rule = Rule {
    name: "linker-symbols",
    reason: "which of their own symbols (_DYNAMIC, _end, …) linkers put into .symtab is up to them, unless an input names one",
    allows: |finding| {
        finding.check == Check::Symbol
            && finding.side == Side::Both
            && crate::symbolic::is_linker_name(crate::elf::Name(
                finding.subject.strip_prefix("undefined ").unwrap_or(&finding.subject).as_bytes(),
            ))
    },
};

/// FDEs for `.plt`.
pub const PLT_FRAMES: Rule = Rule {
    name: "plt-frames",
    reason: "some linkers describe the PLT to unwinders: no input asks for it",
    allows: |finding| {
        finding.check == Check::Unwind && finding.side == Side::Both && finding.subject.starts_with(".plt")
    },
};

/// What PT_GNU_RELRO covers.
pub const RELRO_EXTENT: Rule = Rule {
    name: "relro-extent",
    reason: "read-only after relocation is protection, not meaning; that nothing written at run time is covered is checked apart",
    allows: |finding| {
        let rights = |text: &str| text.replace(", read-only after relocation", "");
        finding.check == Check::Protection
            && finding.side == Side::Both
            && rights(&finding.expected) == rights(&finding.found)
    },
};

/// An indirect function's type.
pub const INDIRECT_FUNCTION_ENTRY: Rule = Rule {
    name: "indirect-function-entry",
    reason: "the address of an indirect function may be its PLT entry: a plain function without size",
    allows: |finding| {
        let indirect = |text: &str| text.starts_with("type 10,");
        let plain = |text: &str| text.starts_with("type 2, size 0,");
        finding.check == Check::Symbol
            && finding.side == Side::Both
            && (indirect(&finding.expected) && plain(&finding.found)
                || plain(&finding.expected) && indirect(&finding.found))
    },
};

/// Entries of PT_DYNAMIC that only make loading faster.
pub const BOOKKEEPING_ENTRIES: Rule = Rule {
    name: "bookkeeping-entries",
    reason: "DT_RELACOUNT and DT_RELCOUNT only make loading faster",
    allows: |finding| {
        finding.check == Check::Dynamic
            && finding.side == Side::Both
            && ["DT_RELACOUNT", "DT_RELCOUNT"].contains(&finding.subject.as_str())
    },
};

/// `-Bsymbolic-functions`.
pub const BOUND_AT_LINK_TIME: Rule = Rule {
    name: "bound-at-link-time",
    reason: "the caller asked for -Bsymbolic-functions, of which the output bears no mark",
    allows: |finding| finding.check == Check::Binding,
};

/// mold's names for slots and PLT entries.
pub const SLOT_SYMBOLS: Rule = Rule {
    name: "slot-symbols",
    reason: "some linkers name each PLT entry and slot ($plt, $got, $tlsgd, …) for people who read disassembly",
    allows: |finding| {
        const ENDS: &[&str] = &["$plt", "$pltgot", "$got", "$gottp", "$tlsgd", "$tlsld", "$tlsdesc"];
        let name = finding.subject.split('#').next().unwrap_or_default();
        finding.check == Check::Symbol && finding.side == Side::Both && ENDS.iter().any(|end| name.ends_with(end))
    },
};

/// Names of stubs and thunks.
pub const THUNK_SYMBOLS: Rule = Rule {
    name: "thunk-symbols",
    reason: "whether and how a linker names the stubs and thunks that it makes is up to it: what they lead to is checked",
    allows: |finding| {
        let name = crate::elf::Name(finding.subject.as_bytes());
        finding.check == Check::Symbol && finding.side == Side::Both && crate::symbolic::is_thunk_name(name)
    },
};

/// The heap image in an output section of its own, behind all others.
pub const HEAP_IMAGE_SECTION: Rule = Rule {
    name: "heap-image-section",
    reason: "the heap image is moved behind everything else, into a section called NAME.image where NAME is taken",
    allows: |finding| finding.check == Check::Sections && finding.found.ends_with(".image"),
};

/// ELFOSABI_GNU.
pub const GNU_OS_ABI: Rule = Rule {
    name: "gnu-os-abi",
    reason: "ELFOSABI_GNU only says that indirect functions are used; glibc takes ELFOSABI_NONE for the same",
    allows: |finding| {
        let either = |value: &str| value == "0" || value == "3";
        finding.check == Check::Dynamic
            && finding.subject == "EI_OSABI"
            && either(&finding.expected)
            && either(&finding.found)
    },
};

/// `sh_addralign` of GNU ld's large sections.
pub const STATED_ALIGNMENT: Rule = Rule {
    name: "stated-alignment",
    reason: "GNU ld's script aligns large sections without saying so in sh_addralign; the addresses themselves are checked",
    allows: |finding| finding.check == Check::Sections && finding.expected.starts_with("sh_addralign of at least"),
};

/// DT_JMPREL and its like.
pub const SLOT_TABLES: Rule = Rule {
    name: "slot-tables",
    reason: "which relocation table the slot of a TLS descriptor, or of a function that is not bound lazily, is in, and so \
             which of the tables and PLT entries there are, is up to the linker",
    allows: |finding| {
        const TAGS: &[&str] = &[
            "DT_JMPREL",
            "DT_PLTRELSZ",
            "DT_PLTREL",
            "DT_PLTGOT",
            "DT_AARCH64_BTI_PLT",
            "DT_TLSDESC_PLT",
            "DT_TLSDESC_GOT",
            "DT_RELA",
            "tag 0x7",
            "tag 0x8",
            "tag 0x9",
        ];
        finding.check == Check::Dynamic && finding.side == Side::Both && TAGS.contains(&finding.subject.as_str())
    },
};

/// `-S`.
pub const STRIPPED_DEBUG: Rule = Rule {
    name: "stripped-debug",
    reason: "the caller asked for -S or -s: sections of DWARF are not kept",
    allows: |finding| finding.check == Check::Placement && finding.subject.contains(":(.debug_"),
};

/// `-x`.
pub const STRIPPED_SYMBOLS: Rule = Rule {
    name: "stripped-symbols",
    reason: "the caller asked for -x: local symbols are not kept",
    allows: |finding| {
        let absent = ["no symbol of the name", "not in .symtab"].contains(&finding.found.as_str());
        finding.check == Check::Symbol && finding.side != Side::Both && absent
    },
};

/// `--gc-sections`.
pub const COLLECTED_SECTIONS: Rule = Rule {
    name: "collected-sections",
    reason: "the caller asked for --gc-sections: what nothing refers to is not kept",
    allows: |finding| {
        let absent =
            finding.found == "no place that holds its bytes" || finding.found.ends_with("was not found in the output");
        [Check::Placement, Check::Relocation, Check::Unwind].contains(&finding.check) && absent
    },
};
