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
    let links = archives.iter().zip(&members).enumerate().map(|(index, (archive, member))| {
        let [low, middle, high, ..] = (archive.len() as u32).to_le_bytes();
        let mut seed = vec![0x2a ^ (index as u8).wrapping_mul(0x35), 0x87 ^ (index as u8).wrapping_mul(0x4d)];
        seed.extend_from_slice(&[low, middle, high]);
        seed.extend_from_slice(archive);
        seed.extend_from_slice(member);
        seed
    });
    let target = |name, body| Target { name, body };
    vec![
        (target("archive", crate::archive), archives.clone()),
        (target("elf_object", crate::elf_object), members.clone()),
        (target("elf_library", crate::elf_library), committed("so")),
        (target("script", crate::script), SCRIPTS.iter().map(|text| text.as_bytes().to_vec()).collect()),
        (target("link", crate::link), links.collect()),
        (
            target("command_line", crate::command_line),
            COMMAND_LINES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        ),
        (
            target("response_file", crate::response_file),
            RESPONSE_FILES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        ),
    ]
}

const SCRIPTS: &[&str] = &[
    "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( a.o AS_NEEDED ( b.so ) )\n",
    "INPUT(-lc a.o)",
    "SEARCH_DIR(\"=/usr/lib\"); INPUT(a.o, a.o)",
    "GROUP ( libc.so )",
    "SECTIONS { .text : { *(.text) } }",
];

const COMMAND_LINES: &[&str] = &[
    "\n-shared\n-o\nout\n--whole-archive\nin\n--no-whole-archive\n-Llib/julia\n-Llib\n-ljulia\n-ljulia-internal",
    "--build-id\n--eh-frame-hdr\n--hash-style=gnu\n--as-needed\n-z\nrelro\n-z\ndefs\n--verbose\n-shared\n-o\nout\n\
     crti.o\n-lgcc\n--as-needed\n-lgcc_s\n--no-as-needed\n/lib/libc.so.6\n--push-state\n--pop-state",
    "-shared\n-soname=x\n-rpath\n/a:/b\n--defsym=a=0x10\n--defsym\nb=a+1\n-m\nelf_x86_64\n-e\nmain\n-u\nsym\n--exclude-libs\nALL",
    "--start-group\na.a\n--end-group\n-Bstatic\n-Bdynamic\n-Bsymbolic-functions\n--threads=2\n-O2\n--compress-debug-sections=zlib\n-s",
];

const RESPONSE_FILES: &[&str] = &[
    "-shared -o 'a file' \"another \\\" file\" \\ escaped\n-z\trelro",
    "C:\\objects\\a.o \"C:\\Program Files\\b.o\" \\\\server\\share 'x\\'",
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
