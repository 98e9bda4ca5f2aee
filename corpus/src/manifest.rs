//! What an archive's image must compute once it is linked, as a text file beside it.
//!
//! One fact a line, words separated by spaces, numbers decimal unless they begin with `0x`; a line that begins with `#`
//! is a comment. Lines of a kind that a reader does not know are errors: the format has a version, in its first line.
//!
//! ```text
//! pkgld-expect 1
//! target linux-x86_64
//! julia 1.12
//! llvm 19
//! shards 2                             text members
//! targets 2                            CPU targets; the highest is the one with clones
//! fvars 70                             entries of the function table
//! gvars 31                             slots that the loader fills
//! heap 16384 64 0x1234 8               bytes, alignment and seed of the heap image; every how many bytes a word is set
//! gvar 30 ijl_alloc_array_1d           this slot wants the address of a runtime function
//! probe 12 0x5 0x77 jump tables        function 12, called with 5, returns 0x77
//! base 7 0x5 0x99 a function with…     the same when CPU target 0 was chosen, where that differs
//! boxed 40 0x5 0x12 the boxed…         function 40 of signature ptr (ptr, ptr, i32)
//! export pkgld_entry 0x5 0x1           a function found by dlsym
//! unwind 33 9 10                       function 33, called with 9, has 10 frames of the image below the
//!                                      backtrace hook
//! unwind 35 9 10 10                    the same; an exception through them makes 10 calls of the runtime
//! ```

use std::fmt::{self, Write as _};
use std::path::Path;
use std::str::FromStr;

use crate::julia::Julia;
use crate::mix::heap_word;
use crate::target::Target;

/// A function of the image's table, an argument, and what the call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Index in the image's function table.
    pub fvar: u32,
    /// The argument.
    pub arg: u64,
    /// The result of a correctly linked image.
    pub result: u64,
    /// What the call exercises, for the message of a failing test.
    pub what: String,
}

/// A function found by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The exported name.
    pub symbol: String,
    /// The argument.
    pub arg: u64,
    /// The result of a correctly linked image.
    pub result: u64,
}

/// A chain of calls that ends in the runtime's backtrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwind {
    /// Index in the image's function table.
    pub fvar: u32,
    /// The argument: how deep.
    pub arg: u64,
    /// Frames of the image on the stack when the backtrace hook is called.
    pub frames: u64,
    /// Calls of the runtime by the frames' cleanups when an exception takes them off the stack.
    pub cleanups: u64,
}

/// A parsed manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The platform's name.
    pub target: String,
    /// Julia's version.
    pub julia: Julia,
    /// LLVM's major version.
    pub llvm: u32,
    /// Text members of the archive.
    pub shards: u32,
    /// CPU targets: 1 or 2.
    pub targets: u32,
    /// Entries of the function table.
    pub fvars: u32,
    /// Slots that the loader fills.
    pub gvars: u32,
    /// Bytes of the heap image.
    pub heap: u64,
    /// Its alignment in bytes.
    pub heap_align: u64,
    /// What its words are made from, see [`heap_word`].
    pub heap_seed: u64,
    /// The distance in bytes of the words that are set, a multiple of eight; the last word is set too, others are zero.
    pub heap_stride: u64,
    /// Slots that want a runtime function's address in place of a [`gvar_value`](crate::mix::gvar_value).
    pub function_gvars: Vec<(u32, String)>,
    /// Calls with the highest CPU target chosen.
    pub probes: Vec<Call>,
    /// Calls whose result is another one with CPU target 0 chosen.
    pub base: Vec<Call>,
    /// Calls with the boxed signature.
    pub boxed: Vec<Call>,
    /// Calls of exported functions.
    pub exports: Vec<Export>,
    /// Stacks to unwind.
    pub unwind: Vec<Unwind>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// A file that cannot be read or that is not of this format.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        std::fs::read_to_string(path)?
            .parse()
            .map_err(|error| std::io::Error::other(format!("{}: {error}", path.display())))
    }

    /// The eight bytes, as a little-endian number, of the heap image at `offset`, a multiple of eight.
    ///
    /// Where the image ends before they do, the bytes beyond are zero.
    pub fn heap_word(&self, offset: u64) -> u64 {
        let rest = self.heap.saturating_sub(offset);
        if !offset.is_multiple_of(self.heap_stride) && rest > 8 {
            return 0;
        }
        let word = heap_word(self.heap_seed, offset / 8);
        if rest < 8 { word & ((1 << (8 * rest)) - 1) } else { word }
    }

    /// The platform; `None` for a name that this version of the generator does not know.
    pub fn target(&self) -> Option<Target> {
        Target::by_name(&self.target)
    }
}

/// Where and why a manifest is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseManifestError {
    line: usize,
    reason: &'static str,
}

impl fmt::Display for ParseManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ParseManifestError {}

impl FromStr for Manifest {
    type Err = ParseManifestError;

    fn from_str(text: &str) -> Result<Self, ParseManifestError> {
        let mut manifest = Self {
            target: String::new(),
            julia: Julia::V1_9,
            llvm: 0,
            shards: 0,
            targets: 0,
            fvars: 0,
            gvars: 0,
            heap: 0,
            heap_align: 0,
            heap_seed: 0,
            heap_stride: 8,
            function_gvars: Vec::new(),
            probes: Vec::new(),
            base: Vec::new(),
            boxed: Vec::new(),
            exports: Vec::new(),
            unwind: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            manifest.parse_line(index, line).map_err(|reason| ParseManifestError { line: index + 1, reason })?;
        }
        Ok(manifest)
    }
}

impl Manifest {
    fn parse_line(&mut self, index: usize, line: &str) -> Result<(), &'static str> {
        if index == 0 {
            return if line == "pkgld-expect 1" { Ok(()) } else { Err("not a manifest of version 1") };
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let mut words = Words(line);
        match words.word()? {
            "target" => self.target = words.word()?.to_owned(),
            "julia" => self.julia = Julia::by_name(words.word()?).ok_or("unknown version of Julia")?,
            "llvm" => self.llvm = words.small()?,
            "shards" => self.shards = words.small()?,
            "targets" => self.targets = words.small()?,
            "fvars" => self.fvars = words.small()?,
            "gvars" => self.gvars = words.small()?,
            "heap" => {
                (self.heap, self.heap_align) = (words.number()?, words.number()?);
                (self.heap_seed, self.heap_stride) = (words.number()?, words.number()?);
                if self.heap_stride == 0 || !self.heap_stride.is_multiple_of(8) {
                    return Err("the heap's stride is no multiple of eight");
                }
            }
            "gvar" => self.function_gvars.push((words.small()?, words.word()?.to_owned())),
            "probe" => self.probes.push(words.call()?),
            "base" => self.base.push(words.call()?),
            "boxed" => self.boxed.push(words.call()?),
            "export" => self.exports.push(Export {
                symbol: words.word()?.to_owned(),
                arg: words.number()?,
                result: words.number()?,
            }),
            "unwind" => {
                let (fvar, arg, frames) = (words.small()?, words.number()?, words.number()?);
                let cleanups = if words.0.is_empty() { 0 } else { words.number()? };
                self.unwind.push(Unwind { fvar, arg, frames, cleanups });
            }
            _ => return Err("unknown kind of line"),
        }
        Ok(())
    }
}

/// What is left of a line.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<&'a str, &'static str> {
        let (word, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        if word.is_empty() { Err("a word is missing") } else { Ok(word) }
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        let word = self.word()?;
        match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        }
        .map_err(|_| "not a number")
    }

    fn small(&mut self) -> Result<u32, &'static str> {
        self.number()?.try_into().map_err(|_| "a number is too large")
    }

    fn call(&mut self) -> Result<Call, &'static str> {
        Ok(Call { fvar: self.small()?, arg: self.number()?, result: self.number()?, what: self.0.to_owned() })
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::from("pkgld-expect 1\n");
        let _ = writeln!(out, "target {}\njulia {}\nllvm {}", self.target, self.julia, self.llvm);
        let _ = writeln!(out, "shards {}\ntargets {}", self.shards, self.targets);
        let _ = writeln!(out, "fvars {}\ngvars {}", self.fvars, self.gvars);
        let _ = writeln!(out, "heap {} {} {:#x} {}", self.heap, self.heap_align, self.heap_seed, self.heap_stride);
        for (gvar, function) in &self.function_gvars {
            let _ = writeln!(out, "gvar {gvar} {function}");
        }
        for (kind, calls) in [("probe", &self.probes), ("base", &self.base), ("boxed", &self.boxed)] {
            for Call { fvar, arg, result, what } in calls {
                let _ = writeln!(out, "{kind} {fvar} {arg:#x} {result:#x} {what}");
            }
        }
        for Export { symbol, arg, result } in &self.exports {
            let _ = writeln!(out, "export {symbol} {arg:#x} {result:#x}");
        }
        for Unwind { fvar, arg, frames, cleanups } in &self.unwind {
            let cleanups = if *cleanups == 0 { String::new() } else { format!(" {cleanups}") };
            let _ = writeln!(out, "unwind {fvar} {arg} {frames}{cleanups}");
        }
        f.write_str(&out)
    }
}
