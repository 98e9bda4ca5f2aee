//! What the fuzz targets do with their bytes.
//!
//! Every function here must return for every input, in time and memory that the limits below bound. It says whether the
//! bytes were good for anything: both answers are right, and if an image was made, it must be readable again.

mod seeds;

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use object::read::elf::{ElfFile64, FileHeader};
use object::{Object as _, ObjectSymbol as _};
use pkgld::{Input, Inputs, Options, Report, Target, cli};

pub use seeds::{Target as FuzzTarget, seeds};

/// What a target says of its bytes: that they were good, or what was wrong with them.
pub type Outcome = Result<(), String>;

/// An archive, all members linked.
pub fn archive(data: &[u8]) -> Outcome {
    link_all(vec![Input::bytes("archive", data).whole_archive()], &options())
}

/// One object.
pub fn elf_object(data: &[u8]) -> Outcome {
    link_all(vec![Input::bytes("object", data)], &options())
}

/// A shared library that a good object refers to.
pub fn elf_library(data: &[u8]) -> Outcome {
    let inputs = vec![Input::bytes("object", referring_object()), Input::bytes("library", data)];
    let mut options = options();
    options.undefined = pkgld::Undefined::Error;
    let _ = link_all(inputs.clone(), &options);
    options.undefined = pkgld::Undefined::Allow;
    link_all(inputs, &options)
}

/// A linker script, which has to be a file: beside it lies a good object.
pub fn script(data: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("libc.so");
    fs::write(&path, data).expect("a linker script");
    fs::write(directory.path().join("a.o"), referring_object()).expect("an object");
    let mut options = options();
    // An absolute path in the script leads into an empty directory first.
    options.sysroot = Some(directory.path().to_owned());
    options.read_inputs = true;
    let inputs = Inputs::open(vec![Input::path(path)], &options).map_err(message)?;
    pkgld::link(&inputs, &options).map(drop).map_err(message)
}

/// Two bytes of switches, three of the first input's size (least significant first), two inputs.
pub fn link(data: &[u8]) -> Outcome {
    let [first, second, low, middle, high, rest @ ..] = data else { return Err("too short".to_owned()) };
    let mut options = options();
    let switch = |byte: &u8, bit: u8| byte >> bit & 1 == 1;
    options.undefined = if switch(first, 0) { pkgld::Undefined::Error } else { pkgld::Undefined::Warn };
    options.allow_multiple_definition = switch(first, 1);
    options.gc_sections = switch(first, 2);
    options.map = switch(first, 3);
    options.strip = match first >> 4 & 3 {
        0 => pkgld::Strip::All,
        1 => pkgld::Strip::Debug,
        _ => pkgld::Strip::None,
    };
    options.elf.relr = switch(first, 6);
    options.elf.now = switch(first, 7);
    options.elf.relro = switch(second, 0);
    options.elf.text = switch(second, 1);
    options.elf.eh_frame_hdr = switch(second, 2);
    options.elf.build_id = if switch(second, 3) { pkgld::BuildId::Fast } else { pkgld::BuildId::None };
    options.elf.hash_style = match second >> 4 & 3 {
        0 => pkgld::HashStyle::Sysv,
        1 => pkgld::HashStyle::Gnu,
        _ => pkgld::HashStyle::Both,
    };
    options.elf.symbolic = if switch(second, 6) { pkgld::Symbolic::All } else { pkgld::Symbolic::default() };
    let size = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
    let (one, other) = rest.split_at(size.min(rest.len()));
    let one = Input::bytes("first", one).whole_archive();
    let other = Input::bytes("second", other);
    link_all(vec![one, if switch(second, 7) { other.whole_archive() } else { other }], &options)
}

/// A response file of the program: a first byte that chooses how it is quoted, then its contents. The arguments are read
/// and nothing is linked.
pub fn command_line(data: &[u8]) -> Outcome {
    let [quoting, contents @ ..] = data else { return Err("too short".to_owned()) };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("response");
    // What it names in turn would be files of this machine.
    let alone: Vec<u8> = contents.iter().map(|&byte| if byte == b'@' { b'a' } else { byte }).collect();
    fs::write(&path, alone).expect("a response file");
    let quoting = if quoting & 1 == 0 { "--rsp-quoting=posix" } else { "--rsp-quoting=windows" };
    let mut response = OsString::from("@");
    response.push(path);
    let arguments = cli::expand([quoting.into(), response]).map_err(message)?;
    match cli::parse(arguments) {
        Ok(cli::Command::Link(link)) => link.options.validate().map_err(message),
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.into_iter().map(message).collect::<Vec<_>>().join("\n")),
    }
}

/// Links, and reads what came out.
fn link_all(inputs: Vec<Input<'_>>, options: &Options) -> Outcome {
    let (bytes, report) = image(inputs, options).map_err(message)?;
    assert_eq!(bytes.len() as u64, report.size, "the report's size");
    let image = ElfFile64::<object::Endianness>::parse(&*bytes).expect("an image can be read");
    assert!(image.elf_header().is_little_endian());
    for symbol in image.dynamic_symbols() {
        symbol.name_bytes().expect("a dynamic symbol has a name");
    }
    if let Some(mut relocations) = image.dynamic_relocations() {
        assert!(relocations.all(|(address, _)| address != 0), "a dynamic relocation has a place");
    }
    Ok(())
}

fn image(inputs: Vec<Input<'_>>, options: &Options) -> pkgld::Result<(Vec<u8>, Report)> {
    let inputs = Inputs::open(inputs, options)?;
    let image = pkgld::link(&inputs, options)?;
    image.to_vec()
}

/// The message of an error: making it must not fail either.
fn message(error: impl std::fmt::Display) -> String {
    let message = error.to_string();
    assert!(!message.is_empty(), "an empty message");
    message
}

/// Limits small enough for a fuzzer, and no threads, so that a run can be repeated.
fn options() -> Options {
    let mut options = Options::julia(Target::LINUX_X86_64);
    options.threads = NonZeroUsize::new(1);
    options.limits.output_size = 64 << 20;
    options.limits.symbols = 1 << 20;
    options.limits.sections = 1 << 18;
    options.limits.decompressed_size = 16 << 20;
    options
}

/// An object that refers to functions and data which a library may define.
fn referring_object() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| {
        use object::write::{Object, Relocation, StandardSection, Symbol, SymbolSection};
        use object::{
            Architecture, BinaryFormat, Endianness, RelocationFlags, SymbolFlags, SymbolKind, SymbolScope, elf,
        };
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let text = object.section_id(StandardSection::Text);
        let symbol = |object: &mut Object<'_>, name: &str, weak: bool, section| {
            object.add_symbol(Symbol {
                name: name.into(),
                value: 0,
                size: 0,
                kind: SymbolKind::Text,
                scope: SymbolScope::Dynamic,
                weak,
                section,
                flags: SymbolFlags::None,
            })
        };
        symbol(&mut object, "caller", false, SymbolSection::Section(text));
        // Names that libjulia has, and some that are in every libc.
        for (name, weak) in [("jl_alloc", false), ("jl_box_int64", false), ("malloc", false), ("environ", true)] {
            let id = symbol(&mut object, name, weak, SymbolSection::Undefined);
            // call rel32; mov rax, [rip + rel32]
            for (code, r_type) in [
                (&[0xe8, 0, 0, 0, 0][..], elf::R_X86_64_PLT32),
                (&[0x48, 0x8b, 5, 0, 0, 0, 0], elf::R_X86_64_REX_GOTPCRELX),
            ] {
                let offset = object.append_section_data(text, code, 1) + code.len() as u64 - 4;
                let flags = RelocationFlags::Elf { r_type };
                let relocation = Relocation { offset, symbol: id, addend: -4, flags };
                object.add_relocation(text, relocation).expect("a relocation that the format has");
            }
        }
        object.write().expect("a well-formed object")
    })
}
