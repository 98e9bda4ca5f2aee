//! Debug information as Julia writes it: one compile unit a member, a subprogram for each function and, for each
//! inlined frame, a subprogram of its own.

use std::fmt::Write as _;

use crate::Spec;

/// The metadata of a module, numbered in the order of addition.
pub(crate) struct Debug {
    level: u8,
    text: String,
    next: u32,
    unit: u32,
    files: Vec<u32>,
    signature: u32,
    word: u32,
    record: u32,
}

impl Debug {
    /// Starts the metadata of the member for `shard`.
    pub(crate) fn new(spec: &Spec, shard: usize) -> Self {
        let mut debug = Self {
            level: spec.debug,
            text: String::new(),
            next: 0,
            unit: 0,
            files: Vec::new(),
            signature: 0,
            word: 0,
            record: 0,
        };
        if spec.debug == 0 {
            return debug;
        }
        // ld64 wants a name of its own for each object, so Julia numbers them where there are several.
        let name = if spec.shards == 1 { "julia".to_owned() } else { format!("julia#{shard}") };
        let file = debug.add(&format!("!DIFile(filename: \"{name}\", directory: \".\")"));
        let tables = if spec.llvm <= 16 { "GNU" } else { "None" };
        debug.unit = debug.add(&format!(
            "distinct !DICompileUnit(language: DW_LANG_Julia, file: !{file}, producer: \"julia\", isOptimized: true, \
             runtimeVersion: 0, emissionKind: FullDebug, nameTableKind: {tables})"
        ));
        for name in ["boot.jl", "array.jl", "int.jl", "essentials.jl", "pkg/src/α.jl", "pkg/src/probes.jl"] {
            let file = debug.add(&format!("!DIFile(filename: \"{name}\", directory: \".\")"));
            debug.files.push(file);
        }
        debug.word = debug.add("!DIBasicType(name: \"Int64\", size: 64, encoding: DW_ATE_unsigned)");
        let types = if spec.debug > 1 {
            let fields = debug.next;
            let word = debug.word;
            let file = debug.files[0];
            debug.record = debug.add(&format!(
                "!DICompositeType(tag: DW_TAG_structure_type, name: \"Pair\", file: !{file}, line: 1, size: 128, \
                 align: 64, elements: !{}, runtimeLang: DW_LANG_Julia, identifier: \"Pair\")",
                fields + 1
            ));
            debug.add(&format!("!{{!{}, !{}}}", fields + 2, fields + 3));
            for (name, offset) in [("first", 0), ("second", 64)] {
                debug.add(&format!(
                    "!DIDerivedType(tag: DW_TAG_member, name: \"{name}\", scope: !{}, file: !{file}, \
                     baseType: !{word}, size: 64, align: 64, offset: {offset})",
                    debug.record
                ));
            }
            debug.add(&format!("!{{!{word}, !{word}}}"))
        } else {
            debug.add("!{null}")
        };
        debug.signature = debug.add(&format!("!DISubroutineType(types: !{types})"));
        debug
    }

    fn add(&mut self, node: &str) -> u32 {
        let id = self.next;
        self.next += 1;
        let _ = writeln!(self.text, "!{id} = {node}");
        id
    }

    /// A subprogram of `file`, by index.
    fn subprogram(&mut self, name: &str, linkage: &str, file: usize, line: u32, local: bool) -> u32 {
        let file = self.files[file % self.files.len()];
        let local = if local { "DISPFlagLocalToUnit | " } else { "" };
        let (unit, signature) = (self.unit, self.signature);
        let variables = if self.level > 1 { format!(", retainedNodes: !{}", self.next + 1) } else { String::new() };
        let id = self.add(&format!(
            "distinct !DISubprogram(name: \"{name};\", linkageName: \"{linkage}\", scope: null, file: !{file}, \
             line: {line}, type: !{signature}, scopeLine: {line}, flags: DIFlagPrototyped, \
             spFlags: {local}DISPFlagDefinition | DISPFlagOptimized, unit: !{unit}{variables})"
        ));
        if self.level > 1 {
            self.add("!{}");
        }
        id
    }

    /// Starts a function; `None` where it has no debug information.
    pub(crate) fn function(&mut self, name: &str, number: usize) -> Option<Lines> {
        if self.level == 0 {
            return None;
        }
        let line = 10 + (number as u32 * 7) % 5000;
        let short = name.split('_').nth(1).unwrap_or(name);
        let subprogram = self.subprogram(short, name, number, line, false);
        Some(Lines { subprogram, line, number })
    }

    /// A location within `lines`, `depth` inlined frames deep.
    pub(crate) fn location(&mut self, lines: &mut Lines, depth: u32) -> u32 {
        lines.line += 1;
        let line = lines.line;
        let mut at = self.add(&format!("!DILocation(line: {line}, scope: !{})", lines.subprogram));
        for frame in 0..depth {
            const INLINED: [&str; 8] =
                ["+", "getindex", "iterate", "convert", "checkbounds", "ifelse", "unsafe_load", "==ᵢ"];
            let number = lines.number + lines.line as usize + frame as usize;
            let name = INLINED[number % INLINED.len()];
            let scope = self.subprogram(name, name, number, 20 + frame, true);
            at = self.add(&format!("!DILocation(line: {}, scope: !{scope}, inlinedAt: !{at})", 21 + frame));
        }
        at
    }

    /// A local variable of word type for `-g2`, or `None` below.
    pub(crate) fn variable(&mut self, lines: &Lines, name: &str, argument: bool) -> Option<u32> {
        if self.level < 2 {
            return None;
        }
        let argument = if argument { "arg: 1, " } else { "" };
        let kind = if argument.is_empty() { self.record } else { self.word };
        let file = self.files[lines.number % self.files.len()];
        let (scope, line) = (lines.subprogram, lines.line);
        Some(self.add(&format!(
            "!DILocalVariable(name: \"{name}\", {argument}scope: !{scope}, file: !{file}, line: {line}, type: !{kind})"
        )))
    }

    /// The module's metadata.
    pub(crate) fn finish(mut self, spec: &Spec) -> String {
        let mut flags = vec!["!{i32 8, !\"PIC Level\", i32 2}"];
        if self.level > 0 {
            flags.extend(["!{i32 2, !\"Dwarf Version\", i32 4}", "!{i32 2, !\"Debug Info Version\", i32 3}"]);
        }
        if spec.llvm < 15 {
            flags[0] = "!{i32 7, !\"PIC Level\", i32 2}";
        }
        let flags: Vec<String> = flags.into_iter().map(|flag| format!("!{}", self.add(flag))).collect();
        let mut out = format!("\n!llvm.module.flags = !{{{}}}\n", flags.join(", "));
        if self.level > 0 {
            let _ = writeln!(out, "!llvm.dbg.cu = !{{!{}}}", self.unit);
        }
        out.push_str(&self.text);
        out
    }
}

/// Where a function's line numbers stand.
pub(crate) struct Lines {
    pub(crate) subprogram: u32,
    line: u32,
    number: usize,
}
