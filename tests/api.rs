//! The crate's public face, used as its users may use it: what no longer compiles here breaks them, and wants a new major
//! version. New items are added to it.

use std::ffi::OsString;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use pkgld::cli::{self, Command, Console, Exit, Problem};
use pkgld::{
    Arch, AutoExport, Blob, BuildId, Companion, Counts, DebugCompression, DebugFile, DynamicFlags, ElfOptions, Error,
    Errors, Exports, Format, HashStyle, Image, Input, Inputs, Limits, MachOOptions, Mode, Options, Os, PeOptions,
    Place, Report, Source, Strip, SymbolValue, Symbolic, Target, Undefined,
};

/// Functions with their types.
#[allow(clippy::type_complexity, clippy::extra_unused_lifetimes)]
fn functions<'a>() {
    let _: fn(&'a Inputs<'a>, &'a Options) -> pkgld::Result<Image<'a>> = pkgld::link;
    let _: fn(PathBuf) -> Input<'a> = Input::path;
    let _: fn(String) -> Input<'a> = Input::library;
    let _: fn(String, &'a [u8]) -> Input<'a> = Input::bytes;
    let _: fn(Blob<'a>) -> Input<'a> = Input::blob;
    let _: [fn(Input<'a>) -> Input<'a>; 2] = [Input::whole_archive, Input::as_needed];
    let _: fn(Vec<Input<'a>>, &Options) -> Result<Inputs<'a>, Errors> = Inputs::open;
    let _: fn(String, &'a [u8]) -> Blob<'a> = Blob::new;
    let _: fn(String, PathBuf) -> Blob<'a> = Blob::file;
    let _: fn(Blob<'a>, u64) -> Blob<'a> = Blob::align;
    let _: fn(Blob<'a>, String) -> Blob<'a> = Blob::size_symbol;
    let _: fn(Blob<'a>) -> Blob<'a> = Blob::read_only;
    let _: fn(&Image<'a>) -> u64 = Image::size;
    let _: for<'i> fn(&'i Image<'a>) -> &'i Report = Image::report;
    let _: for<'i> fn(&'i Image<'a>) -> Option<Companion<'i, 'a>> = Image::companion;
    let _: fn(&Image<'a>, PathBuf) -> Result<Report, Errors> = Image::write_file;
    let _: fn(&Image<'a>, &mut File) -> Result<Report, Errors> = |image, file| image.write_to(file);
    let _: fn(&Image<'a>) -> Result<(Vec<u8>, Report), Errors> = Image::to_vec;
    let _: fn(&Image<'a>, &mut [u8]) -> Result<Report, Errors> = Image::write_into;
    let _: fn(&Companion<'a, 'a>) -> u64 = Companion::size;
    let _: fn(&Companion<'a, 'a>) -> Result<DebugFile, Errors> = Companion::describe;
    let _: fn(&Companion<'a, 'a>, PathBuf) -> Result<(), Errors> = Companion::write_file;
    let _: fn(&Companion<'a, 'a>, &mut File) -> Result<(), Errors> = |companion, file| companion.write_to(file);
    let _: fn(&Companion<'a, 'a>) -> Result<Vec<u8>, Errors> = Companion::to_vec;
    let _: fn(&Companion<'a, 'a>, &mut [u8]) -> Result<(), Errors> = Companion::write_into;
    let _: fn(Target) -> Options = Options::julia;
    let _: fn(&Options) -> Result<(), Errors> = Options::validate;
    let _: for<'e> fn(&'e Errors) -> &'e [Error] = Errors::problems;
    let _: fn(&Errors) -> usize = Errors::cut;
    let _: fn(Vec<OsString>, &mut Console<'_>) -> Exit = cli::run;
    let _: fn(Vec<OsString>, &mut Console<'_>) -> (Exit, Option<Report>) = cli::run_with_report;
    let _: [fn(Vec<OsString>) -> Result<Command, Vec<Problem>>; 2] = [cli::command, cli::parse];
}

/// What may be used by several threads, sent to another, and returned from `main`.
fn traits() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    shared::<(Image<'_>, Inputs<'_>, Input<'_>, Blob<'_>, Options, Report)>();
    error::<Error>();
    error::<Errors>();
}

/// Each kind of error with its facts. Kinds may be added.
fn facts(error: Error) -> Option<Place> {
    match error {
        Error::Read { path, source } | Error::Write { path, source } => drop((path, source)),
        Error::Malformed { file, what } | Error::Unsupported { file, what } => drop((file, what)),
        Error::Incompatible { file, what, other, other_what } => drop((file, what, other, other_what)),
        Error::LibraryNotFound { name, searched } => drop((name, searched)),
        Error::Undefined { symbol, references, more, hint } => {
            let _: (String, usize, Option<String>) = (symbol, more, hint);
            return references.into_iter().next();
        }
        Error::Duplicate { symbol, first, second } => {
            let _: (String, Box<Place>) = (symbol, first);
            return Some(*second);
        }
        Error::Overflow { place, relocation, symbol, value, min, max, hint } => {
            let _: (String, String, [i64; 3], Option<String>) = (relocation, symbol, [value, min, max], hint);
            return Some(*place);
        }
        Error::Relocation { place, relocation, symbol, what } => {
            drop((relocation, symbol, what));
            return Some(*place);
        }
        Error::Limit { name, what, wanted, limit } => {
            let _: (&'static str, String, [u64; 2]) = (name, what, [wanted, limit]);
        }
        Error::Options(what) => drop(what),
        Error::NoInput => {}
        _ => {}
    }
    None
}

#[test]
fn what_users_may_rely_on_is_there() {
    functions();
    traits();
    let targets = [
        (Target::LINUX_X86_64, Format::Elf, Arch::X86_64, Os::Linux),
        (Target::LINUX_X86, Format::Elf, Arch::X86, Os::Linux),
        (Target::LINUX_AARCH64, Format::Elf, Arch::Aarch64, Os::Linux),
        (Target::LINUX_ARM, Format::Elf, Arch::Arm, Os::Linux),
        (Target::LINUX_RISCV64, Format::Elf, Arch::Riscv64, Os::Linux),
        (Target::LINUX_PPC64, Format::Elf, Arch::Ppc64, Os::Linux),
        (Target::FREEBSD_X86_64, Format::Elf, Arch::X86_64, Os::FreeBsd),
        (Target::FREEBSD_AARCH64, Format::Elf, Arch::Aarch64, Os::FreeBsd),
        (Target::MACOS_AARCH64, Format::MachO, Arch::Aarch64, Os::MacOs),
        (Target::MACOS_X86_64, Format::MachO, Arch::X86_64, Os::MacOs),
        (Target::WINDOWS_X86_64, Format::Pe, Arch::X86_64, Os::Windows),
        (Target::WINDOWS_X86, Format::Pe, Arch::X86, Os::Windows),
        (Target::WINDOWS_AARCH64, Format::Pe, Arch::Aarch64, Os::Windows),
    ];
    for (target, format, arch, os) in targets {
        assert_eq!((target.format, target.arch, target.os), (format, arch, os));
        assert_eq!(Options::julia(target).target, Some(target));
    }

    let mut options = Options::default();
    options.target = Some(Target::LINUX_X86_64);
    options.threads = NonZeroUsize::new(1);
    options.limits = Limits::default();
    options.limits.output_size = 1 << 20;
    options.search_paths = vec![PathBuf::from("lib")];
    options.undefined = Undefined::Allow;
    options.strip = Strip::None;
    options.elf.soname = Some("libdata.so".to_owned());
    options.elf.build_id = BuildId::Fast;
    options.elf.hash_style = HashStyle::Gnu;
    let _: (&ElfOptions, &PeOptions, &MachOOptions) = (&options.elf, &options.pe, &options.macho);
    let _: (Option<AutoExport>, Option<DebugCompression>, Option<DynamicFlags>) = (None, None, None);
    let _: (Option<Exports>, Option<SymbolValue>, Option<Symbolic>) = (None, None, None);
    options.validate().expect("options that agree");

    let blob = Blob::new("data", b"12345678").align(16).size_symbol("size").read_only();
    let input = Input::blob(blob);
    assert!(matches!((&input.source, input.mode), (Source::Blob(_), Mode { whole_archive: false, .. })));
    let inputs = Inputs::open(vec![input], &options).expect("inputs");
    assert_eq!(inputs.paths().next(), None::<&Path>);
    let image = pkgld::link(&inputs, &options).expect("an image");
    let (bytes, report) = image.to_vec().expect("its bytes");
    let Report { size, crc32c, exports, warnings, .. } = report;
    assert_eq!((size, size), (bytes.len() as u64, image.size()));
    assert!(crc32c.is_some() && warnings.is_empty());
    assert_eq!(exports, [&b"data"[..], b"size"]);
    let counts: &Counts = &image.report().counts;
    assert_eq!(counts.objects, 1);

    let errors = Inputs::open(vec![Input::path("no-such-file")], &options).expect_err("no file");
    assert_eq!((errors.problems().len(), errors.cut()), (1, 0));
    assert_eq!(facts(Error::NoInput), None);
}
