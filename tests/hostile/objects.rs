//! Objects: from the C compiler, and made by hand with any number anywhere.

use std::process::Command;

const SOURCES: [(&str, &str, &[&str]); 6] = [
    (
        "comdat.o",
        ".macro copy name
            .section .text.\\name,\"axG\",@progbits,\\name,comdat
            .weak \\name
            .type \\name,@function
        \\name:
            .cfi_startproc
            .cfi_personality 0x9b,ref
            .cfi_lsda 0x1b,table
            call helper@PLT
            mov shared@GOTPCREL(%rip),%rax
            ret
            .cfi_endproc
            .size \\name,.-\\name
            .section .data.\\name,\"awG\",@progbits,\\name,comdat
            .quad \\name
         .endm
         copy one
         copy two
         .data
         ref: .quad personality
         .section foo,\"aw\"
         .quad __start_foo, __stop_foo
         .section .gcc_except_table,\"a\"
         table: .long 0",
        &["-xassembler"],
    ),
    (
        "threads.o",
        "static __thread int mine = 1; extern __thread int theirs; __thread long zero[4];
         int get(void) { return mine + theirs + (int)zero[1]; }
         int *own(void) { return &mine; }",
        &["-xc", "-O1", "-fPIC", "-g"],
    ),
    (
        "descriptors.o",
        "static __thread int mine = 1; extern __thread int theirs; int described(void) { return mine + theirs; }",
        &["-xc", "-O1", "-fPIC", "-mtls-dialect=gnu2", "-fcf-protection"],
    ),
    (
        "ifunc.o",
        "static int a(void) { return 1; } static void *resolve(void) { return a; }
         __attribute__((visibility(\"hidden\"))) int chosen(void) __attribute__((ifunc(\"resolve\")));
         int open(void) __attribute__((ifunc(\"resolve\"))); void *address = chosen;
         int call(void) { return chosen() + open(); }
         __attribute__((constructor(200))) static void first(void) {} __attribute__((destructor)) static void last(void) {}",
        &["-xc", "-O1", "-fPIC", "-ffunction-sections", "-fcf-protection"],
    ),
    (
        "common.o",
        "int shared[100]; long other; __attribute__((weak)) int weak(void); extern char end[], __bss_start[], _edata[], etext[];
         char *bounds[] = { end, __bss_start, _edata, etext }; static const char text[] = \"some text\"; const char *where = text;
         int helper(void) { return weak ? weak() : shared[3] + (int)other; }",
        &["-xc", "-O0", "-fPIC", "-fcommon", "-g", "-gz"],
    ),
    (
        "large.o",
        "static char big[1 << 20]; char data[4096] = {1}; int use(int i) { return big[i] + data[i]; }
         extern int outside; int *reach(void) { return &outside; } double f(double x) { return x * 2.5 + 1e300; }",
        &["-xc", "-O1", "-fPIC", "-mcmodel=large", "-fno-asynchronous-unwind-tables"],
    ),
];

/// Objects of the system's compiler, which every Rust toolchain for this host needs to link at all.
pub(crate) fn compiled() -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let compile = |(name, source, flags): &(&str, &str, &[&str])| {
        let (input, output) = (directory.path().join("source"), directory.path().join(name));
        std::fs::write(&input, source).unwrap();
        let run = Command::new("cc").args(*flags).arg("-c").arg(&input).arg("-o").arg(&output).output();
        let run = run.unwrap_or_else(|error| panic!("cc: {error}; install gcc or clang"));
        assert!(run.status.success(), "cc {name}: {}", String::from_utf8_lossy(&run.stderr));
        ((*name).to_owned(), std::fs::read(&output).unwrap())
    };
    SOURCES.iter().map(compile).collect()
}

/// `sh_type`s.
pub(crate) const PROGBITS: u32 = 1;
pub(crate) const RELA: u32 = 4;
pub(crate) const NOTE: u32 = 7;
pub(crate) const NOBITS: u32 = 8;
pub(crate) const GROUP: u32 = 17;
/// `sh_flags`.
pub(crate) const WRITE: u64 = 1;
pub(crate) const ALLOC: u64 = 2;
pub(crate) const EXEC: u64 = 4;
pub(crate) const TLS: u64 = 0x400;
/// `st_info`s.
pub(crate) const LOCAL: u8 = 0;
pub(crate) const GLOBAL: u8 = 0x10;
/// `st_shndx`s.
pub(crate) const ABS: u16 = 0xfff1;
pub(crate) const COMMON: u16 = 0xfff2;

/// A section header and the data it speaks of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) data: Vec<u8>,
    /// `sh_size`, if it is not that of the data.
    pub(crate) size: Option<u64>,
    /// The data are those of this other section.
    pub(crate) data_of: Option<usize>,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) align: u64,
    pub(crate) entry_size: u64,
}

impl Section {
    pub(crate) fn new(name: &str, kind: u32, flags: u64, data: &[u8]) -> Self {
        Self { name: name.to_owned(), kind, flags, data: data.to_vec(), align: 1, ..Self::default() }
    }

    pub(crate) fn size(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    pub(crate) fn align(self, align: u64) -> Self {
        Self { align, ..self }
    }
}

/// An object in the making. Sections count from 1 in the order they are added.
#[derive(Debug, Default)]
pub(crate) struct Object {
    pub(crate) sections: Vec<Section>,
    /// Name, `st_info`, `st_shndx`, `st_value`, `st_size`. Local ones have to come first.
    pub(crate) symbols: Vec<(u32, u8, u16, u64, u64)>,
    /// The names of symbols, by offset.
    pub(crate) strings: Vec<u8>,
    /// If set, the names of sections are offsets in `.strtab`, in decimal.
    pub(crate) names_by_offset: bool,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    /// Adds a section; returns its index.
    pub(crate) fn section(&mut self, section: Section) -> u16 {
        self.sections.push(section);
        self.sections.len() as u16
    }

    /// Adds a symbol under a name; returns its index.
    pub(crate) fn symbol(&mut self, name: &str, info: u8, section: u16, value: u64, size: u64) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self.symbol_at(at, info, section, value, size)
    }

    /// Adds a symbol whose name is at an offset; returns its index.
    pub(crate) fn symbol_at(&mut self, name: u32, info: u8, section: u16, value: u64, size: u64) -> u32 {
        self.symbols.push((name, info, section, value, size));
        self.symbols.len() as u32
    }

    /// Adds a table of relocations (offset, kind, symbol, addend) for a section.
    pub(crate) fn relocations(&mut self, section: u16, relocations: &[(u64, u32, u32, i64)]) {
        let data = relocations.iter().flat_map(|(offset, kind, symbol, addend)| {
            let words = [*offset, u64::from(*symbol) << 32 | u64::from(*kind), addend.cast_unsigned()];
            words.into_iter().flat_map(u64::to_le_bytes)
        });
        let data: Vec<u8> = data.collect();
        let table = Section { info: section.into(), entry_size: 24, ..Section::new(".rela", RELA, 0, &data) };
        self.sections.push(Section { link: u32::MAX, ..table });
    }

    /// The file.
    pub(crate) fn build(mut self) -> Vec<u8> {
        let symtab = self.sections.len() as u32 + 1;
        for section in &mut self.sections {
            if section.link == u32::MAX {
                section.link = symtab;
            }
        }
        let locals = self.symbols.iter().take_while(|(_, info, ..)| info >> 4 == 0).count();
        let mut table = vec![0; 24];
        for (name, info, section, value, size) in &self.symbols {
            table.extend(name.to_le_bytes());
            table.extend([*info, 0]);
            table.extend(section.to_le_bytes());
            table.extend(value.to_le_bytes());
            table.extend(size.to_le_bytes());
        }
        let symbols = Section { link: symtab + 1, info: locals as u32 + 1, ..Section::new(".symtab", 2, 0, &table) };
        self.sections.push(Section { entry_size: 24, ..symbols }.align(8));
        self.sections.push(Section::new(".strtab", 3, 0, &self.strings));
        let mut names = vec![0];
        let by_offset = self.names_by_offset;
        let mut starts: Vec<u32> = Vec::new();
        for section in &self.sections {
            if by_offset && section.name.bytes().all(|byte| byte.is_ascii_digit()) {
                starts.push(section.name.parse().unwrap());
                continue;
            }
            if by_offset {
                starts.push(0);
                continue;
            }
            starts.push(names.len() as u32);
            names.extend_from_slice(section.name.as_bytes());
            names.push(0);
        }
        let name_index = if by_offset {
            starts.len() as u16
        } else {
            starts.push(names.len() as u32);
            names.extend(b".shstrtab\0");
            self.sections.push(Section::new(".shstrtab", 3, 0, &names));
            self.sections.len() as u16
        };

        let mut file = vec![0; 64];
        let mut offsets = Vec::new();
        for section in &self.sections {
            let align = section.align.clamp(1, 16) as usize;
            file.resize(file.len().next_multiple_of(if align.is_power_of_two() { align } else { 1 }), 0);
            match section.data_of {
                Some(other) => offsets.push(offsets[other]),
                None => {
                    offsets.push(file.len());
                    file.extend_from_slice(&section.data);
                }
            }
        }
        file.resize(file.len().next_multiple_of(8), 0);
        let headers = file.len() as u64;
        file.extend([0; 64]);
        for ((section, offset), name) in self.sections.iter().zip(offsets).zip(starts) {
            let size = section.size.unwrap_or(match section.data_of {
                Some(other) => self.sections[other].data.len() as u64,
                None => section.data.len() as u64,
            });
            file.extend(name.to_le_bytes());
            file.extend(section.kind.to_le_bytes());
            for word in [section.flags, 0, offset as u64, size] {
                file.extend(word.to_le_bytes());
            }
            file.extend(section.link.to_le_bytes());
            file.extend(section.info.to_le_bytes());
            file.extend(section.align.to_le_bytes());
            file.extend(section.entry_size.to_le_bytes());
        }
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0");
        file[20] = 1;
        file[40..48].copy_from_slice(&headers.to_le_bytes());
        file[52..54].copy_from_slice(&64_u16.to_le_bytes());
        file[58..60].copy_from_slice(&64_u16.to_le_bytes());
        file[60..62].copy_from_slice(&(self.sections.len() as u16 + 1).to_le_bytes());
        file[62..64].copy_from_slice(&name_index.to_le_bytes());
        file
    }
}
