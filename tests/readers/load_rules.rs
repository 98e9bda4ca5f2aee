//! What dyld, the kernel and Apple's tools ask of a dylib before they take it: a table of the rules, and a planted defect for
//! each that the checker must find.
//!
//! No Mac is at hand to refuse an image, so the rules are checked by the loader of the tests (`corpus/run/macho_rules.h`),
//! which every image passes before it is run. Here images that are right but for one thing are given to it.

use std::fs;

use object::macho as m;
use pkgld_corpus::run::check_committed;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64};
use pkgld_corpus::{Entry, committed_for};

use crate::common::scratch;
use crate::link;

/// Where a rule is from: the functions that state it in their error messages.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// dyld, `mach_o/Header.cpp`: `forEachLoadCommand`, `validStructureLoadCommands`.
    Structure,
    /// dyld, `mach_o/Header.cpp`: `validSemantics…`.
    Semantics,
    /// dyld, `mach_o/Header.cpp`: `validSegment`, `validSemanticsSegments`.
    Segments,
    /// xnu, `bsd/kern/mach_loader.c`: `parse_machfile`, `load_segment`.
    Kernel,
    /// dyld, `mach_o/Image.cpp`: `validStructureLinkedit`.
    Linkedit,
    /// cctools, `libstuff/checkout.c`: `dyld_order`.
    Tools,
    /// `mach-o/nlist.h`, `mach-o/loader.h`: what the fields mean.
    Headers,
    /// dyld, `mach_o/ExportsTrie.cpp`: `recurseTrie`, `terminalPayloadToSymbol`.
    Trie,
    /// dyld, `mach_o/ChainedFixups.cpp`: `validLinkedit`, and what walks the chains.
    Chains,
    /// dyld, `mach_o/RebaseOpcodes.cpp`, `mach_o/BindOpcodes.cpp`.
    Programs,
    /// xnu, `bsd/kern/ubc_subr.c`: `cs_validate_codedirectory` and its neighbours; `osfmk/kern/cs_blobs.h`.
    Signature,
}

use Source::{Chains, Headers, Kernel, Linkedit, Programs, Segments, Semantics, Signature, Structure, Tools, Trie};

/// Which image a defect is planted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chained,
    Opcodes,
    Signed,
}

/// An image to plant defects into.
struct Victim(Vec<u8>);

impl Victim {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn put(&mut self, at: usize, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        assert_ne!(&self.0[at..at + bytes.len()], bytes, "nothing is planted");
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_word(&mut self, at: usize, word: u32) {
        self.put(at, word.to_le_bytes());
    }

    fn put_long(&mut self, at: usize, long: u64) {
        self.put(at, long.to_le_bytes());
    }

    fn add(&mut self, at: usize, more: u32) {
        self.put_word(at, self.word(at).wrapping_add(more));
    }

    /// Offsets of load commands.
    fn commands(&self) -> Vec<usize> {
        let mut at = 32;
        let mut next = |_| {
            let end = at + self.word(at + 4) as usize;
            std::mem::replace(&mut at, end)
        };
        (0..self.word(16)).map(&mut next).collect()
    }

    fn all(&self, kind: m::LoadCommandType) -> Vec<usize> {
        self.commands().into_iter().filter(|at| self.word(*at) == kind.0).collect()
    }

    fn command(&self, kind: m::LoadCommandType) -> usize {
        self.all(kind)[0]
    }

    /// The file offset of a table that a load command of 16 bytes names.
    fn table(&self, kind: m::LoadCommandType) -> usize {
        self.word(self.command(kind) + 8) as usize
    }

    fn named(&self, at: usize, name: &str) -> bool {
        self.0[at..at + 16].split(|byte| *byte == 0).next() == Some(name.as_bytes())
    }

    /// The load command of a segment: address at 24, size at 32, file offset at 40, file size at 48, permissions at 56 and
    /// 60, flags at 68.
    fn segment(&self, name: &str) -> usize {
        self.all(m::LC_SEGMENT_64).into_iter().find(|at| self.named(at + 8, name)).unwrap()
    }

    /// The header of a section: address at 32, size at 40, file offset at 48, alignment at 52, number of relocations at 60,
    /// flags at 64, first indirect symbol at 68.
    fn section(&self, name: &str) -> usize {
        let segments = self.all(m::LC_SEGMENT_64).into_iter();
        let mut sections = segments.flat_map(|at| (0..self.word(at + 64) as usize).map(move |n| at + 72 + 80 * n));
        sections.find(|at| self.named(*at, name)).unwrap()
    }

    /// The first symbol that fits: name at 0, type at 4, section at 5, value at 8.
    fn symbol(&self, fits: impl Fn(u8, u16) -> bool) -> usize {
        let symtab = self.command(m::LC_SYMTAB);
        let (start, count) = (self.word(symtab + 8) as usize, self.word(symtab + 12) as usize);
        let description = |at: usize| u16::from_le_bytes([self.0[at + 6], self.0[at + 7]]);
        (0..count).map(|n| start + 16 * n).find(|at| fits(self.0[at + 4], description(*at))).unwrap()
    }

    /// The starts of the chains of the first segment that has some: size at 0, page size at 4, format at 6, distance at 8,
    /// pages at 20, their starts from 22.
    fn chains(&self) -> usize {
        let header = self.table(m::LC_DYLD_CHAINED_FIXUPS);
        let starts = header + self.word(header + 4) as usize;
        let mut segments = (0..self.word(starts) as usize).map(|n| self.word(starts + 4 + 4 * n) as usize);
        starts + segments.find(|offset| *offset != 0).unwrap()
    }

    /// The file offset of the first chained pointer that fits.
    fn pointer(&self, fits: impl Fn(u64) -> bool) -> usize {
        let chains = self.chains();
        let address = self.long(chains + 8);
        let segments = self.all(m::LC_SEGMENT_64);
        let segment = segments.into_iter().find(|at| self.long(at + 24) == address).unwrap();
        let mut at = self.long(segment + 40) as usize + (self.word(chains + 22) & 0xffff) as usize;
        while !fits(self.long(at)) {
            let next = self.long(at) >> 51 & 0xfff;
            assert_ne!(next, 0, "no pointer is of this kind");
            at += 4 * next as usize;
        }
        at
    }

    /// The code directory of the signature.
    fn directory(&self) -> usize {
        let blob = self.table(m::LC_CODE_SIGNATURE);
        blob + u32::from_be_bytes(self.0[blob + 16..blob + 20].try_into().unwrap()) as usize
    }
}

/// A rule, by what the checker says of an image that breaks it, and how it is broken.
type Defect = (Source, Kind, &'static str, fn(&mut Victim));

const C: Kind = Kind::Chained;
const O: Kind = Kind::Opcodes;
const S: Kind = Kind::Signed;

const DEFECTS: &[Defect] = &[
    (Structure, C, "not a 64-bit Mach-O file", |v| v.put_word(0, m::MH_MAGIC)),
    (Structure, C, "the file type", |v| v.put_word(12, 8)),
    (Structure, C, "load commands beyond the end of the file", |v| v.put_word(20, 0x0fff_fff8)),
    (Structure, C, "a load command of wrong size", |v| v.put_word(36, 4)),
    (Structure, C, "size of all load commands", |v| v.add(20, 8)),
    (Structure, C, "size of the load command", |v| {
        // It swallows the next one.
        let at = v.command(m::LC_UUID);
        v.add(at + 4, v.word(at + 28));
        v.add(16, u32::MAX);
    }),
    (Structure, C, "size of the command of __DATA", |v| v.add(v.segment("__DATA") + 64, 1)),
    (Structure, C, "unknown load command that must be understood", |v| {
        v.put_word(v.command(m::LC_SOURCE_VERSION), 0x8000_0077);
    }),
    (Structure, C, "LC_ID_DYLIB's name", |v| v.put_word(v.command(m::LC_ID_DYLIB) + 8, 0xfff0)),
    (Structure, C, "the name of a library has no end", |v| v.put_word(v.command(m::LC_LOAD_DYLIB) + 8, 0xfff0)),
    (Semantics, C, "LC_ID_DYLIB: 0x0, expected 0x1", |v| {
        v.put_word(v.command(m::LC_ID_DYLIB), m::LC_LOAD_WEAK_DYLIB.0);
    }),
    (Semantics, C, "LC_UUID: 0x0, expected 0x1", |v| v.put_word(v.command(m::LC_UUID), 0x77)),
    (Headers, C, "LC_UUID is zero", |v| v.put(v.command(m::LC_UUID) + 8, [0; 16])),
    (Semantics, C, "LC_BUILD_VERSION: 0x0, expected 0x1", |v| v.put_word(v.command(m::LC_BUILD_VERSION), 0x77)),
    (Semantics, C, "the platform of LC_BUILD_VERSION", |v| v.put_word(v.command(m::LC_BUILD_VERSION) + 8, 2)),
    (Semantics, C, "the oldest system of LC_BUILD_VERSION", |v| v.put_word(v.command(m::LC_BUILD_VERSION) + 12, 0)),
    (Semantics, C, "the SDK of LC_BUILD_VERSION", |v| v.put_word(v.command(m::LC_BUILD_VERSION) + 16, 0)),
    (Semantics, C, "loaded twice:", |v| {
        let at = v.all(m::LC_LOAD_DYLIB);
        // The shorter of the two names.
        let name = v.0[at[0] + 24..at[1]].to_vec();
        v.put(at[1] + 24, name);
    }),
    (Semantics, C, "no library is loaded", |v| {
        for at in v.all(m::LC_LOAD_DYLIB) {
            v.put_word(at, 0x77);
        }
    }),
    (Segments, C, "no __TEXT or no __LINKEDIT", |v| v.put(v.segment("__LINKEDIT") + 8, b"__LINKFOOT")),
    (Segments, C, "file offset of __TEXT", |v| v.put_long(v.segment("__TEXT") + 40, 0x1000)),
    (Segments, C, "permissions of __TEXT", |v| v.put_word(v.segment("__TEXT") + 60, 1)),
    (Segments, C, "load commands beyond __TEXT", |v| v.put_long(v.segment("__TEXT") + 48, 0x100)),
    (Segments, C, "permissions of __LINKEDIT", |v| v.put_word(v.segment("__LINKEDIT") + 60, 3)),
    (Segments, C, "permissions of __DATA:", |v| v.put_word(v.segment("__DATA") + 60, 1)),
    (Segments, C, "permissions of __DATA_CONST:", |v| v.put_word(v.segment("__DATA_CONST") + 60, 1)),
    (Segments, C, "SG_READ_ONLY of __DATA_CONST", |v| v.put_word(v.segment("__DATA_CONST") + 68, 0)),
    (Segments, C, "wraps around: __DATA:", |v| v.put_long(v.segment("__DATA") + 32, 0xffff_ffff_ffff_f000)),
    (Segments, C, "more in the file than in memory: __DATA:", |v| v.put_long(v.segment("__DATA") + 32, 0)),
    (Segments, C, "beyond the file: __DATA:", |v| v.put_long(v.segment("__DATA") + 40, 0x1000_0000)),
    (Segments, C, "address out of order: __DATA:", |v| {
        v.put_long(v.segment("__DATA") + 24, v.long(v.segment("__DATA_CONST") + 24));
    }),
    (Segments, C, "file offset out of order: __DATA:", |v| {
        v.put_long(v.segment("__DATA") + 40, v.long(v.segment("__DATA_CONST") + 40));
    }),
    (Segments, C, "section outside of its segment: __const", |v| v.put_long(v.section("__const") + 32, 0x7000_0000)),
    (Kernel, C, "address of __TEXT", |v| v.put_long(v.segment("__TEXT") + 24, 0x1000)),
    (Kernel, C, "page offset of the address of __DATA:", |v| v.add(v.segment("__DATA") + 24, 0x10)),
    (Kernel, C, "page offset of the size of __DATA:", |v| v.add(v.segment("__DATA") + 32, 8)),
    (Kernel, C, "page offset of the file offset of __DATA:", |v| v.add(v.segment("__DATA") + 40, 8)),
    (Kernel, C, "permissions of __DATA:", |v| v.put_word(v.segment("__DATA") + 56, 1)),
    (Kernel, C, "writable and executable: __DATA:", |v| {
        v.put_word(v.segment("__DATA") + 56, 7);
        v.put_word(v.segment("__DATA") + 60, 7);
    }),
    (Headers, C, "two segments are called __DATA", |v| v.put(v.segment("__DATA_CONST") + 8, b"__DATA\0\0\0\0\0\0")),
    (Headers, C, "section of another segment: __text", |v| v.put(v.section("__text") + 16, b"__TEXX")),
    (Headers, C, "alignment of the section __text", |v| v.put_word(v.section("__text") + 52, 15)),
    (Headers, C, "relocations of the section __text", |v| v.put_word(v.section("__text") + 60, 1)),
    (Headers, C, "file offset of the section __text", |v| v.add(v.section("__text") + 48, 16)),
    (Headers, C, "load commands overlap the first section", |v| v.put_word(v.section("__text") + 48, 64)),
    (Headers, C, "sections overlap:", |v| v.add(v.section("__text") + 40, 0x100)),
    (Headers, C, "contents beyond the segment's: __data", |v| v.put_long(v.segment("__DATA") + 48, 0)),
    (Linkedit, C, "kinds of fixups: 0x0", |v| {
        v.put_word(v.command(m::LC_DYLD_CHAINED_FIXUPS), 0x77);
    }),
    (Linkedit, C, "outside of __LINKEDIT: string table", |v| v.put_word(v.command(m::LC_SYMTAB) + 16, 0x1000)),
    (Linkedit, C, "outside of __LINKEDIT: string table", |v| v.add(v.command(m::LC_SYMTAB) + 20, 0x1000)),
    (Linkedit, C, "alignment of symbol table", |v| v.add(v.command(m::LC_SYMTAB) + 8, 4)),
    (Linkedit, C, "alignment of indirect symbols", |v| v.add(v.command(m::LC_DYSYMTAB) + 56, 2)),
    (Linkedit, C, "tables overlap:", |v| {
        v.put_word(v.command(m::LC_FUNCTION_STARTS) + 8, v.table(m::LC_DYLD_EXPORTS_TRIE) as u32);
    }),
    (Linkedit, C, "first external symbol", |v| v.add(v.command(m::LC_DYSYMTAB) + 12, 1)),
    (Linkedit, C, "first undefined symbol", |v| v.add(v.command(m::LC_DYSYMTAB) + 24, 1)),
    (Linkedit, C, "first local symbol", |v| v.put_word(v.command(m::LC_DYSYMTAB) + 8, 1)),
    (Linkedit, C, "symbols by LC_DYSYMTAB", |v| v.add(v.command(m::LC_DYSYMTAB) + 28, 1)),
    (Linkedit, C, "relocations of LC_DYSYMTAB", |v| v.put_word(v.command(m::LC_DYSYMTAB) + 76, 1)),
    (Tools, C, "end of __LINKEDIT in the file", |v| v.0.extend([0; 8])),
    (Tools, C, "out of place: data in code", |v| v.add(v.command(m::LC_FUNCTION_STARTS) + 12, 8_u32.wrapping_neg())),
    (Tools, C, "out of place: function starts", |v| {
        v.add(v.command(m::LC_DYLD_EXPORTS_TRIE) + 12, 8_u32.wrapping_neg());
    }),
    (Tools, C, "end of the tables", |v| v.add(v.command(m::LC_SYMTAB) + 20, 1_u32.wrapping_neg())),
    (Headers, C, "the string table does not end with a zero", |v| v.put(v.0.len() - 1, *b"x")),
    (Headers, C, "a symbol's name beyond the string table", |v| {
        v.put_word(v.symbol(|kind, _| kind == 0x0f), 0x00ff_ffff)
    }),
    (Headers, C, "among local symbols:", |v| v.put(v.symbol(|kind, _| kind == 0x0e) + 4, [0x0f])),
    (Headers, C, "among symbols for others:", |v| v.put(v.symbol(|kind, _| kind == 0x0f) + 4, [0x0e])),
    (Headers, C, "among undefined symbols:", |v| v.put(v.symbol(|kind, _| kind == 0x01) + 4, [0x0f])),
    (Headers, C, "library of the undefined symbol", |v| v.put(v.symbol(|kind, _| kind == 0x01) + 7, [0x70])),
    (Headers, C, "section number of", |v| v.put(v.symbol(|kind, _| kind == 0x0f) + 5, [0xf0])),
    (Headers, C, "address of", |v| v.put_long(v.symbol(|kind, _| kind == 0x0f) + 8, 0x7000_0000)),
    (Headers, C, "indirect symbols of __got", |v| v.put_word(v.section("__got") + 68, 0xfff0)),
    (Headers, C, "an indirect symbol of", |v| {
        let at = v.word(v.command(m::LC_DYSYMTAB) + 56) as usize;
        v.put_word(at, 0x3fff_ffff);
    }),
    (Headers, C, "size of __stubs", |v| v.add(v.section("__stubs") + 40, 1)),
    (Headers, C, "a function start outside of code", |v| v.put(v.table(m::LC_FUNCTION_STARTS), [0xff, 0x7f])),
    (Headers, C, "no function start:", |v| v.put(v.table(m::LC_FUNCTION_STARTS), [0])),
    (Headers, C, "the function starts have no end", |v| {
        let (at, size) = (v.table(m::LC_FUNCTION_STARTS), v.word(v.command(m::LC_FUNCTION_STARTS) + 12) as usize);
        v.put(at, vec![1; size]);
    }),
    (Headers, C, "data in code outside of __text", |v| v.put_word(v.table(m::LC_DATA_IN_CODE), 0x10)),
    (Headers, C, "data in code out of order", |v| v.put(v.table(m::LC_DATA_IN_CODE) + 4, [0, 0])),
    // The root has no terminal: the number of its edges is at 1, the first name at 2.
    (Trie, C, "export trie: a terminal beyond its end", |v| v.put(v.table(m::LC_DYLD_EXPORTS_TRIE), [0xff, 0x7f])),
    (Trie, C, "export trie: a node is reached twice", |v| {
        let name = v.table(m::LC_DYLD_EXPORTS_TRIE) + 2;
        let end = v.0[name..].iter().position(|byte| *byte == 0).unwrap();
        v.put(name + end + 1, [0]);
    }),
    (Trie, C, "export trie: a node beyond its end", |v| {
        let name = v.table(m::LC_DYLD_EXPORTS_TRIE) + 2;
        let end = v.0[name..].iter().position(|byte| *byte == 0).unwrap();
        v.put(name + end + 1, [0xff, 0x7f]);
    }),
    (Trie, C, "export trie: the name of an edge has no end", |v| {
        let (at, size) = (v.table(m::LC_DYLD_EXPORTS_TRIE), v.word(v.command(m::LC_DYLD_EXPORTS_TRIE) + 12) as usize);
        v.put(at + 2, vec![b'x'; size - 2]);
    }),
    (Trie, C, "names in the export trie", |v| {
        // One symbol fewer is for others.
        v.put(v.symbol(|kind, _| kind == 0x0f) + 4, [0x1f]);
    }),
    (Chains, C, "header of the chained fixups", |v| v.put_word(v.table(m::LC_DYLD_CHAINED_FIXUPS), 1)),
    (Chains, C, "header of the chained fixups", |v| v.put_word(v.table(m::LC_DYLD_CHAINED_FIXUPS) + 24, 1)),
    (Chains, C, "format of the imports", |v| v.put_word(v.table(m::LC_DYLD_CHAINED_FIXUPS) + 20, 9)),
    (Chains, C, "chained fixups beyond their table", |v| v.put_word(v.table(m::LC_DYLD_CHAINED_FIXUPS) + 16, 0xffff)),
    (Chains, C, "imports overlap other chained fixups", |v| v.add(v.table(m::LC_DYLD_CHAINED_FIXUPS) + 16, 16)),
    (Chains, C, "segments of the chained fixups", |v| {
        let header = v.table(m::LC_DYLD_CHAINED_FIXUPS);
        v.add(header + v.word(header + 4) as usize, 1);
    }),
    (Chains, C, "chain starts beyond their table", |v| v.add(v.chains(), 0x800)),
    (Chains, C, "page size of the chains of", |v| v.put(v.chains() + 4, 0x4000_u16.to_le_bytes())),
    (Chains, C, "pointer format", |v| v.put(v.chains() + 6, [1, 0])),
    (Chains, C, "offset of the chains of", |v| v.add(v.chains() + 8, 0x1000)),
    (Chains, C, "largest pointer that is none", |v| v.put_word(v.chains() + 16, 1)),
    (Chains, C, "chain starts of", |v| v.put(v.chains() + 20, [0, 0x10])),
    (Chains, C, "a chain leaves its page", |v| v.put(v.chains() + 22, 0x0ffc_u16.to_le_bytes())),
    (Chains, C, "target of a rebase", |v| {
        let at = v.pointer(|pointer| pointer >> 63 == 0);
        v.put_long(at, v.long(at) | 0xf_ffff_ffff);
    }),
    (Chains, C, "reserved bits of a rebase", |v| {
        let at = v.pointer(|pointer| pointer >> 63 == 0);
        v.put_long(at, v.long(at) | 1 << 45);
    }),
    (Chains, C, "import number of a chained bind", |v| {
        let at = v.pointer(|pointer| pointer >> 63 == 1);
        v.put_long(at, v.long(at) | 0xff_ffff);
    }),
    (Chains, C, "library number of", |v| {
        let header = v.table(m::LC_DYLD_CHAINED_FIXUPS);
        v.put(header + v.word(header + 8) as usize, [0x70]);
    }),
    (Programs, O, "unknown rebase opcode", |v| v.put(v.word(v.command(m::LC_DYLD_INFO_ONLY) + 8) as usize, [0xf0])),
    (Programs, O, "kind of rebase", |v| v.put(v.word(v.command(m::LC_DYLD_INFO_ONLY) + 8) as usize, [0x12])),
    (Programs, O, "an opcode names no segment", |v| {
        let start = v.word(v.command(m::LC_DYLD_INFO_ONLY) + 8) as usize;
        let at = v.0[start..].iter().position(|byte| byte & 0xf0 == 0x20).unwrap();
        v.put(start + at, [0x2f]);
    }),
    (Programs, O, "a fixup outside of writable segments", |v| {
        let start = v.word(v.command(m::LC_DYLD_INFO_ONLY) + 8) as usize;
        let at = v.0[start..].iter().position(|byte| byte & 0xf0 == 0x20).unwrap();
        v.put(start + at, [0x20]);
    }),
    (Programs, O, "unknown bind opcode", |v| v.put(v.word(v.command(m::LC_DYLD_INFO_ONLY) + 16) as usize, [0xf0])),
    (Programs, O, "library number of", |v| {
        let start = v.word(v.command(m::LC_DYLD_INFO_ONLY) + 16) as usize;
        let at = v.0[start..].iter().position(|byte| byte & 0xf0 == 0x10).unwrap();
        v.put(start + at, [0x1d]);
    }),
    (Linkedit, O, "alignment of bind opcodes", |v| v.add(v.command(m::LC_DYLD_INFO_ONLY) + 16, 4)),
    (Signature, S, "hash of a page", |v| {
        let at = v.word(v.section("__text") + 48) as usize;
        v.put(at, [!v.0[at]]);
    }),
    (Signature, S, "hash of a page", |v| {
        let last = v.0.len() - 1;
        v.put(last, [!v.0[last]]);
    }),
    (Signature, S, "the signature is no super blob", |v| v.put(v.table(m::LC_CODE_SIGNATURE), [0])),
    (Signature, S, "the signature has no code directory", |v| v.put(v.table(m::LC_CODE_SIGNATURE) + 12, [0xff])),
    (Signature, S, "version of the code directory", |v| v.put(v.directory() + 8, [0, 2, 0, 0])),
    (Signature, S, "flags of the code directory", |v| v.put(v.directory() + 12, [0, 0, 0, 2])),
    (Signature, S, "identifier of the signature", |v| v.put(v.directory() + 20, [0xff])),
    (Signature, S, "pages of the signature", |v| v.put(v.directory() + 28, [0, 0, 0, 1])),
    (Signature, S, "end of what is signed", |v| v.put(v.directory() + 32, [0, 0, 0, 1])),
    (Signature, S, "size and kind of hashes", |v| v.put(v.directory() + 36, [20, 1])),
    (Signature, S, "page size of the signature", |v| v.put(v.directory() + 39, [13])),
    (Signature, S, "executable segment's base", |v| v.put(v.directory() + 64, [1])),
    (Signature, S, "executable segment's limit", |v| v.put(v.directory() + 72, [1])),
    (Tools, S, "alignment of code signature", |v| v.add(v.command(m::LC_CODE_SIGNATURE) + 8, 8)),
    (Tools, S, "end of the tables", |v| v.add(v.command(m::LC_CODE_SIGNATURE) + 12, 16_u32.wrapping_neg())),
];

fn newest(target: pkgld_corpus::target::Target) -> Entry {
    committed_for(target).pop().unwrap()
}

#[test]
#[ignore = "needs the package gcc"]
fn each_rule_bites() {
    let entry = newest(MACOS_X86_64);
    let images = [(C, &[][..]), (O, &["-no_fixup_chains"][..]), (S, &["-adhoc_codesign"][..])].map(|(kind, more)| {
        let path = link(&entry, &format!("-rules-{kind:?}.dylib"), more);
        check_committed(&entry, &path).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        (kind, fs::read(path).unwrap())
    });
    let mut silent = Vec::new();
    for (number, (source, kind, rule, plant)) in DEFECTS.iter().enumerate() {
        let (_, image) = images.iter().find(|(other, _)| other == kind).unwrap();
        let mut victim = Victim(image.clone());
        plant(&mut victim);
        let path = scratch("readers").join(format!("defect-{number}.dylib"));
        fs::write(&path, &victim.0).unwrap();
        let said = check_committed(&entry, &path).err().unwrap_or_else(|| "nothing".to_owned());
        if !said.lines().any(|line| line.starts_with(rule)) {
            silent.push(format!("{number}, {source:?} {kind:?}: {rule}: {said}"));
        }
        fs::remove_file(path).unwrap();
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

/// The kernel kills a process that maps an arm64 image without one.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"]
fn arm64_images_must_be_signed() {
    let entry = newest(MACOS_ARM64);
    let said = check_committed(&entry, &link(&entry, "-bare.dylib", &["-no_adhoc_codesign"])).unwrap_err();
    assert!(said.contains("no code signature"), "{said}");
}
