//! Inputs to start from: the committed archives and what is in them.

use std::fs;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;

/// A fuzz target: its name and what it does.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name, as `cargo fuzz run` takes it.
    pub name: &'static str,
    /// Its body.
    pub body: fn(&[u8]) -> crate::Outcome,
}

/// Every target with its seeds.
pub fn seeds() -> Vec<(Target, Vec<Vec<u8>>)> {
    let archives = committed("a");
    let members: Vec<Vec<u8>> = archives.iter().flat_map(|bytes| members(bytes)).collect();
    let libraries = committed("so");
    let links = archives.iter().zip(libraries.iter().cycle()).enumerate().map(|(index, (archive, library))| {
        let [low, middle, high, ..] = (archive.len() as u32).to_le_bytes();
        // Undefined symbols stay allowed: bit 0 of the first byte is clear.
        let mut seed =
            vec![(index as u8).wrapping_mul(0x36), 0x87 ^ (index as u8).wrapping_mul(0x4d), low, middle, high];
        seed.extend_from_slice(archive);
        seed.extend_from_slice(library);
        seed
    });
    let target = |name, body| Target { name, body };
    vec![
        (target("archive", crate::archive), archives.clone()),
        (target("elf_object", crate::elf_object), members.clone()),
        (target("script", crate::script), SCRIPTS.iter().map(|text| text.as_bytes().to_vec()).collect()),
        (target("link", crate::link), links.collect()),
        (target("elf_library", crate::elf_library), libraries),
        (
            target("command_line", crate::command_line),
            COMMAND_LINES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        ),
    ]
}

const SCRIPTS: &[&str] = &[
    "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( a.o AS_NEEDED ( \"./../nothing/..\" ) )\n",
    "GROUP ( a.o )",
    "SEARCH_DIR(\"=/usr/lib\"); /* a */ INPUT(a.o)",
    "OUTPUT_FORMAT(elf64-x86-64, elf64-big, elf64-little) INPUT ( \"a.o\", )",
    "INPUT(-lc a.o)",
    "SECTIONS { .text : { *(.text) } }",
];

const COMMAND_LINES: &[&str] = &[
    "0\n'' -shared -o out --whole-archive in --no-whole-archive -Llib/julia -Llib -ljulia -ljulia-internal",
    "0--build-id --eh-frame-hdr --hash-style=gnu --as-needed -z relro -z defs --verbose -shared -o out crti.o -lgcc \
     --as-needed -lgcc_s --no-as-needed /lib/libc.so.6 --push-state --pop-state",
    "0-shared in -soname=x -rpath /a:/b --defsym=a=0x10 --defsym b=a+1 -m elf_x86_64 -e main -u sym --exclude-libs ALL",
    "0-shared --start-group a.a --end-group -Bstatic -Bdynamic -Bsymbolic-functions --threads=2 -O2 \
     --compress-debug-sections=zlib -s",
    "0-shared -o 'a file' \"another \\\" file\" \\ escaped\n-z\trelro",
    "1-shared C:\\objects\\a.o \"C:\\Program Files\\b.o\" \\\\server\\share 'x\\'",
];

/// The contents of the committed files with that extension, smallest first: a fuzzer works best on small inputs.
fn committed(extension: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(&corpus(), &mut found);
    found.retain(|path| path.extension().is_some_and(|of_file| of_file == extension));
    found.sort();
    let mut contents: Vec<Vec<u8>> = found.iter().map(|path| read(path)).collect();
    contents.sort_by_key(Vec::len);
    assert!(!contents.is_empty(), "no .{extension} file in {}", corpus().display());
    contents
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn members(archive: &[u8]) -> Vec<Vec<u8>> {
    let file = ArchiveFile::parse(archive).expect("a committed archive is well formed");
    let members = file.members().map(|member| {
        let member = member.expect("a committed archive is well formed");
        member.data(archive).expect("a member has contents").to_vec()
    });
    members.collect()
}
