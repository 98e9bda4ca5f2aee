//! Writes a [`Program`](crate::program::Program) as LLVM assembly text, one module a member of the archive.
//!
//! The text is read by LLVM 14 (with `-opaque-pointers`) to 22 alike.

mod debug;
mod function;
mod image;
mod ops;
mod tables;
mod text;

pub(crate) use image::{metadata, sysimg, sysimg_of_file};
pub(crate) use text::shard;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Spec;
use crate::target::{Cpu, Format, Half};

/// A module being written: definitions in order, declarations as they turn out to be needed.
pub(crate) struct Module {
    definitions: String,
    /// By name; a name that is defined later in this module must not be here.
    declarations: BTreeMap<String, String>,
    /// Names that must not be dropped though nothing refers to them.
    used: Vec<String>,
}

impl Module {
    fn new() -> Self {
        Self { definitions: String::new(), declarations: BTreeMap::new(), used: Vec::new() }
    }

    /// Adds a line of definitions.
    fn define(&mut self, line: &str) {
        self.definitions.push_str(line);
        self.definitions.push('\n');
    }

    /// Declares something of another module, once.
    fn declare(&mut self, name: &str, declaration: String) {
        if !self.declarations.contains_key(name) {
            self.declarations.insert(name.to_owned(), declaration);
        }
    }

    /// Declares a variable of the runtime. On Windows it is `dllimport` from 1.11 (and 1.10.4) on.
    fn import(&mut self, spec: &Spec, name: &str, kind: &str, align: u64) {
        let import = if spec.target.format == Format::Coff && !spec.auto_import { "dllimport " } else { "" };
        self.declare(name, format!("@{name} = external {import}global {kind}, align {align}"));
    }

    /// Declares a function of the runtime or of libc.
    fn runtime(&mut self, result: &str, name: &str, parameters: &str) {
        self.declare(name, format!("declare {result} @{name}({parameters})"));
    }

    /// The duplicates of the half-precision helpers that Julia puts into every member with code, under the names that
    /// LLVM calls; they are kept though internal and perhaps unused.
    fn half_helpers(&mut self, spec: &Spec) {
        let by = spec.target.half(spec.llvm);
        let [widen, narrow, narrow_double] = if by == (Half::Integer { darwin: true }) {
            ["julia_half_to_float", "julia_float_to_half", "julia_double_to_half"]
        } else {
            ["julia__gnu_h2f_ieee", "julia__gnu_f2h_ieee", "julia__truncdfhf2"]
        };
        let half = if by == Half::Register { "half" } else { "i16" };
        let mut helpers = vec![
            ("__gnu_h2f_ieee", widen, "float", half),
            ("__extendhfsf2", widen, "float", half),
            ("__gnu_f2h_ieee", narrow, half, "float"),
            ("__truncsfhf2", narrow, half, "float"),
            ("__truncdfhf2", narrow_double, half, "double"),
        ];
        if spec.llvm >= 16 {
            helpers.push(("__truncsfbf2", "julia__truncsfbf2", "bfloat", "float"));
            helpers.push(("__truncdfbf2", "julia__truncdfbf2", "bfloat", "double"));
        }
        for (name, callee, result, parameter) in helpers {
            self.runtime(result, callee, parameter);
            self.define(&format!(
                "define internal {result} @{name}({parameter} %x) {{\n  \
                 %r = tail call {result} @{callee}({parameter} %x)\n  ret {result} %r\n}}"
            ));
            self.used.push(name.to_owned());
        }
    }

    /// The module's text. `metadata` is what follows the definitions.
    fn finish(self, spec: &Spec, name: &str, metadata: &str) -> String {
        let mut out =
            format!("source_filename = \"{name}\"\ntarget triple = \"{}\"\n\n", spec.target.triple(spec.julia));
        out.push_str(&self.definitions);
        if !self.used.is_empty() {
            let used: Vec<String> = self.used.iter().map(|name| format!("ptr @{name}")).collect();
            let _ = writeln!(
                out,
                "@llvm.compiler.used = appending global [{} x ptr] [{}], section \"llvm.metadata\"",
                used.len(),
                used.join(", ")
            );
        }
        out.push('\n');
        for declaration in self.declarations.values() {
            out.push_str(declaration);
            out.push('\n');
        }
        out.push_str(metadata);
        out
    }
}

/// A constant array of 32-bit numbers, each given as an LLVM constant.
fn i32_array(elements: &[String]) -> String {
    if elements.is_empty() {
        return "[0 x i32] zeroinitializer".to_owned();
    }
    let elements: Vec<String> = elements.iter().map(|element| format!("i32 {element}")).collect();
    format!("[{} x i32] [{}]", elements.len(), elements.join(", "))
}

/// A constant array of pointers, each given as an LLVM constant.
fn ptr_array(elements: &[String]) -> String {
    if elements.is_empty() {
        return "[0 x ptr] zeroinitializer".to_owned();
    }
    let elements: Vec<String> = elements.iter().map(|element| format!("ptr {element}")).collect();
    format!("[{} x ptr] [{}]", elements.len(), elements.join(", "))
}

/// The 32-bit difference of two addresses on `cpu`, as an LLVM constant.
fn difference(cpu: Cpu, of: &str, base: &str) -> String {
    let word = cpu.word();
    let full = format!("sub ({word} ptrtoint (ptr {of} to {word}), {word} ptrtoint (ptr {base} to {word}))");
    if cpu.pointer() == 4 { full } else { format!("trunc (i64 {full} to i32)") }
}

/// What marks a definition as one that `dlsym` or `GetProcAddress` finds: ELF and Mach-O export what is not hidden.
fn exported(spec: &Spec) -> &'static str {
    if spec.target.format == Format::Coff { "dllexport " } else { "" }
}

/// A string constant in LLVM's syntax.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("c\"");
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => out.push(byte as char),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    out.push('"');
    out
}
