//! What the fuzz targets do with their bytes.
//!
//! Every body here must return for every input, in time and memory that the limits below bound. It says whether the
//! bytes were good for anything: both answers are right, and if an image was made, it must be well formed.

mod made;
mod seeds;
mod wellformed;

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;

use pkgld::{Input, Inputs, Options, Source, SymbolList, VersionScript, cli};

use made::{Choices, Format};
use seeds::{coff, elf, macho};
use wellformed::Imports;

/// What a target says of its bytes: that they were good, or what was wrong with them.
pub type Outcome = Result<(), String>;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, as `cargo fuzz run` takes it.
    pub name: &'static str,
    /// What it does with its bytes.
    pub body: fn(&[u8]) -> Outcome,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    // Containers and objects: whatever the bytes say they are, all of it is linked.
    Target { name: "archive", body: archive, seeds: seeds::archives },
    Target { name: "elf_object", body: object, seeds: elf::objects },
    Target { name: "macho_object", body: object, seeds: macho::objects },
    Target { name: "coff_object", body: object, seeds: coff::objects },
    // Libraries, beside an object that refers to what they have.
    Target { name: "elf_library", body: |data| library(&elf::referring(Some(data)), data), seeds: elf::libraries },
    Target { name: "dylib", body: |data| library(&macho::referring(Some(data)), data), seeds: macho::dylibs },
    Target { name: "stub", body: |data| library(&macho::referring(Some(data)), data), seeds: macho::stubs },
    Target { name: "dll", body: |data| library(&coff::referring(Some(data)), data), seeds: coff::dlls },
    Target {
        name: "import_library",
        body: |data| library(&coff::referring(Some(data)), data),
        seeds: coff::import_libraries,
    },
    Target { name: "script", body: script, seeds: elf::scripts },
    Target { name: "definitions", body: definitions, seeds: coff::definitions },
    // Texts that options name.
    Target { name: "version_script", body: version_script, seeds: elf::version_scripts },
    Target { name: "symbol_list", body: symbol_list, seeds: elf::symbol_lists },
    Target { name: "darwin_list", body: darwin_list, seeds: macho::lists },
    // What is told of a file, whatever it is.
    Target { name: "inspect", body: inspect, seeds: seeds::inspected },
    // Objects made of the bytes, with valid shells.
    Target { name: "made_elf", body: |data| made(Format::Elf, data), seeds: seeds::choices },
    Target { name: "made_macho", body: |data| made(Format::MachO, data), seeds: seeds::choices },
    Target { name: "made_coff", body: |data| made(Format::Coff, data), seeds: seeds::choices },
    // Options of any kind, and two inputs.
    Target { name: "link_elf", body: link, seeds: elf::links },
    Target { name: "link_macho", body: link, seeds: macho::links },
    Target { name: "link_pe", body: link, seeds: coff::links },
    Target { name: "options_elf", body: |data| options(&elf::referring(None), data), seeds: seeds::choices },
    Target { name: "options_macho", body: |data| options(&macho::referring(None), data), seeds: seeds::choices },
    Target { name: "options_pe", body: |data| options(&coff::referring(None), data), seeds: seeds::choices },
    // Arguments of the program in its dialects.
    Target { name: "command_line", body: |data| command_line("gnu", data), seeds: seeds::gnu_command_lines },
    Target {
        name: "command_line_darwin",
        body: |data| command_line("darwin", data),
        seeds: seeds::darwin_command_lines,
    },
    Target { name: "command_line_mingw", body: |data| command_line("gnu", data), seeds: seeds::mingw_command_lines },
];

/// The target of that name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target is called {name}"))
}

/// An archive, all members linked.
fn archive(data: &[u8]) -> Outcome {
    link_all(vec![Input::bytes("archive", data).whole_archive()], &limited())
}

/// One object.
fn object(data: &[u8]) -> Outcome {
    link_all(vec![Input::bytes("object", data)], &limited())
}

/// A library that a good object refers to.
fn library(object: &[u8], data: &[u8]) -> Outcome {
    let inputs = vec![Input::bytes("object", object), Input::bytes("library", data)];
    let mut options = limited();
    options.undefined = pkgld::Undefined::Error;
    let strict = link_all(inputs.clone(), &options);
    options.undefined = pkgld::Undefined::Allow;
    link_all(inputs, &options).and(strict)
}

/// A module-definition file, beside an object that refers to what a good DLL has; what is made of the image for others to
/// link against is read again.
fn definitions(data: &[u8]) -> Outcome {
    let object = coff::referring(Some(&[]));
    let options = limited();
    let inputs = vec![Input::bytes("object", &object), Input::bytes("a.def", data)];
    link_all(inputs.clone(), &options)?;
    let opened = Inputs::open(inputs, &options).map_err(message)?;
    let image = pkgld::link(&opened, &options).map_err(message)?;
    let again = image.definition_file().unwrap_or_default();
    let library = image.import_library().map_err(message)?.unwrap_or_default();
    link_all(vec![Input::bytes("object", &object), Input::bytes("library", &library)], &options)?;
    let inputs = vec![Input::bytes("object", &object), Input::bytes("a.def", &again)];
    let opened = Inputs::open(inputs, &options).expect("the file that is made is read");
    // What it exports under other names is not there.
    pkgld::link(&opened, &options).map(drop).map_err(message)
}

/// A linker script, which has to be a file: beside it lies a good object.
fn script(data: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("libc.so");
    fs::write(&path, data).expect("a linker script");
    fs::write(directory.path().join("a.o"), elf::referring(None)).expect("an object");
    let mut options = limited();
    // An absolute path in the script leads into an empty directory first.
    options.sysroot = Some(directory.path().to_owned());
    options.read_inputs = true;
    let inputs = Inputs::open(vec![Input::path(path)], &options).map_err(message)?;
    pkgld::link(&inputs, &options).map(drop).map_err(message)
}

/// A version script, for an object whose symbols it exports or hides. Which of them have no version is no matter.
fn version_script(data: &[u8]) -> Outcome {
    let mut options = limited();
    options.elf.version_script = VersionScript::parse("script", data).map_err(message)?;
    options.elf.undefined_version = true;
    link_all(vec![Input::bytes("object", &elf::referring(None))], &options)
}

/// A list of symbols, as `--dynamic-list` and as `--export-dynamic-symbol-list`; its lines are patterns of their own, too.
fn symbol_list(data: &[u8]) -> Outcome {
    let mut options = limited();
    let list = SymbolList::parse("list", data);
    match &list {
        Ok(list) => options.elf.dynamic_list = Some(list.clone()),
        Err(error) => drop(message(error)),
    }
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let added = lines.take(100).map(|line| options.elf.export_dynamic_symbols.add(line).map_err(message));
    let added = added.fold(Ok(()), Result::and);
    link_all(vec![Input::bytes("object", &elf::referring(None))], &options)?;
    list.map(drop).map_err(message).or(added)
}

/// A list of the darwin dialect, in a file: symbols to export, for a good object.
fn darwin_list(data: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("list");
    fs::write(&path, data).expect("a list");
    let words = ["pkgld", "-flavor", "darwin", "-arch", "arm64", "-dylib", "in.o"].map(OsString::from);
    let words = words.into_iter().chain(["-exported_symbols_list".into(), path.into()]);
    let problems = |problems: Vec<_>| problems.into_iter().map(message).collect::<Vec<_>>().join("\n");
    let mut options = limited();
    options.macho.exports = match cli::command(words).map_err(problems)? {
        cli::Command::Link(command) => command.options.macho.exports,
        _ => return Err("no link is asked for".to_owned()),
    };
    let object = macho::referring(Some(b""));
    let inputs = vec![Input::bytes("object", &object)];
    link_all(inputs.clone(), &options)?;
    let opened = Inputs::open(inputs, &options).map_err(message)?;
    let (_, report) = pkgld::link(&opened, &options).map_err(message)?.to_vec().map_err(message)?;
    // Any line is a pattern: it is good if it fits what the object has.
    if report.exports.is_empty() { Err("nothing is exported".to_owned()) } else { Ok(()) }
}

/// Any file that `pkgld inspect` is given: told of as text and as JSON; then as a `.ji` file beside itself.
fn inspect(data: &[u8]) -> Outcome {
    let mut told = pkgld::inspect::inspect("file", data).map_err(message)?;
    if let Err(error) = told.add_cache("file.ji", data, data, None) {
        message(error);
    }
    let text = pkgld::inspect::Text { told: &told, exports: true, color: false }.to_string();
    assert!(!text.is_empty() && told.to_json().starts_with('{'), "nothing is told");
    Ok(())
}

/// Objects made of choices, and options after them.
fn made(format: Format, data: &[u8]) -> Outcome {
    let mut choices = Choices::new(data);
    let objects = made::objects(format, &mut choices);
    let mut options = limited();
    made::options::vary(&mut options, &mut choices);
    link_all(objects.iter().map(|object| Input::bytes("object", object)).collect(), &options)
}

/// Bytes of options, of which one says how many; three of the first input's size (least significant first); two inputs.
fn link(data: &[u8]) -> Outcome {
    let [count, rest @ ..] = data else { return Err("too short".to_owned()) };
    let (choices, rest) = rest.split_at(usize::from(*count).min(rest.len()));
    let [low, middle, high, rest @ ..] = rest else { return Err("too short".to_owned()) };
    let mut options = limited();
    made::options::vary(&mut options, &mut Choices::new(choices));
    let size = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
    let (one, other) = rest.split_at(size.min(rest.len()));
    let other = Input::bytes("second", other);
    let other = if options.gc_sections { other } else { other.whole_archive() };
    link_all(vec![Input::bytes("first", one).whole_archive(), other], &options)
}

/// Any options for a good object.
fn options(object: &[u8], data: &[u8]) -> Outcome {
    let mut options = limited();
    made::options::vary(&mut options, &mut Choices::new(data));
    link_all(vec![Input::bytes("object", object)], &options)
}

/// A response file of the program: a first byte that chooses how it is quoted, then its contents. The arguments are read
/// and nothing is linked.
fn command_line(flavor: &str, data: &[u8]) -> Outcome {
    let [quoting, contents @ ..] = data else { return Err("too short".to_owned()) };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("response");
    // What it names in turn would be files of this machine, as would the lists of symbols of the darwin dialect.
    let alone: Vec<u8> = contents.iter().map(|&byte| if matches!(byte, b'@' | b'/') { b'a' } else { byte }).collect();
    fs::write(&path, alone).expect("a response file");
    let mut response = OsString::from("@");
    response.push(path);
    let mut arguments: Vec<OsString> = vec!["pkgld".into(), "-flavor".into(), flavor.into()];
    if flavor == "gnu" {
        arguments.push(if quoting & 1 == 0 { "--rsp-quoting=posix" } else { "--rsp-quoting=windows" }.into());
    }
    arguments.push(response);
    match cli::command(arguments) {
        Ok(cli::Command::Link(link)) => link.options.validate().map_err(message),
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.into_iter().map(message).collect::<Vec<_>>().join("\n")),
    }
}

/// Links, and checks what came out.
fn link_all(inputs: Vec<Input<'_>>, options: &Options) -> Outcome {
    // Sections of that name are put into the image's import tables as they are: what is wrong in them is wrong there.
    let given = |input: &Input<'_>| match &input.source {
        Source::Bytes { bytes, .. } => bytes.windows(6).any(|bytes| bytes == b".idata"),
        _ => false,
    };
    let imports = if inputs.iter().any(given) { Imports::Given } else { Imports::Made };
    let inputs = Inputs::open(inputs, options).map_err(message)?;
    let image = pkgld::link(&inputs, options).map_err(message)?;
    let (bytes, report) = image.to_vec().map_err(message)?;
    assert_eq!(bytes.len() as u64, report.size, "the report's size");
    if let Some(companion) = image.companion() {
        companion.to_vec().map_err(message)?;
    }
    if let Err(what) = wellformed::check(&bytes, imports) {
        panic!("the image is not well formed: {what}");
    }
    Ok(())
}

/// The message of an error: making it must not fail either.
fn message(error: impl std::fmt::Display) -> String {
    let message = error.to_string();
    assert!(!message.is_empty(), "an empty message");
    message
}

/// Limits small enough for a fuzzer, and no threads, so that a run can be repeated. The target is what the first object says.
fn limited() -> Options {
    let mut options = Options::default();
    options.threads = NonZeroUsize::new(1);
    options.limits.output_size = 64 << 20;
    options.limits.symbols = 1 << 20;
    options.limits.sections = 1 << 18;
    options.limits.decompressed_size = 16 << 20;
    options
}
