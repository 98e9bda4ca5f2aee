//! The phases of a link, each for itself: `cargo bench --bench phases`.
//!
//! The archives are those of `heavy-small`, which has many relocations, for each format; they are made on demand. What a
//! phase needs of the former ones is made beforehand. `pkgld --verbose` tells the times of the passes of one link.

use std::path::{Path, PathBuf};

use divan::Bencher;
use divan::counter::BytesCount;
use pkgld::{Input, Inputs, Options, Target};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::{MACOS_ARM64, WINDOWS_X86_64};
use pkgld_corpus::{Julia, presets};

const ARCHIVES: [&str; 3] = ["heavy-small", "heavy-small-windows-x86_64", "heavy-small-macos-arm64"];

fn main() {
    for name in ARCHIVES {
        if let Err(error) = presets::cached(name, &directory()) {
            eprintln!("{name} could not be made: {error}");
            std::process::exit(1);
        }
    }
    divan::main();
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus")
}

/// What Julia's command line asks for, and the names of the libraries.
fn options(archive: &str) -> (Options, Vec<&'static str>) {
    let mut names = vec!["julia", "julia-internal"];
    let (target, search_paths) = match archive {
        "heavy-small-windows-x86_64" => {
            let stubs = WindowsStubs::committed(WINDOWS_X86_64);
            names.extend(["openlibm", "ssp", "gcc_s", "gcc", "msvcrt"]);
            (Target::WINDOWS_X86_64, vec![stubs.mingw, stubs.bin])
        }
        "heavy-small-macos-arm64" => {
            (Target::MACOS_AARCH64, vec![MacosStubs::committed(MACOS_ARM64, Julia::V1_12).dir])
        }
        _ => (Target::LINUX_X86_64, vec![Stubs::committed(Julia::V1_12).dir]),
    };
    let mut options = Options::julia(target);
    options.search_paths = search_paths;
    (options.allow_multiple_definition, options.pe.auto_import) = (true, false);
    options.macho.platform_version = Some((0x000d_0301, 0x000d_0300));
    (options, names)
}

fn inputs<'a>(archive: &str, options: &Options, names: &[&str]) -> Inputs<'a> {
    let path = directory().join(format!("{archive}.a"));
    let archive = Input::path(path).whole_archive();
    let libraries = names.iter().map(|name| Input::library(*name));
    Inputs::open([archive].into_iter().chain(libraries).collect(), options).expect("inputs")
}

/// Finding, mapping and looking into the inputs.
#[divan::bench(args = ARCHIVES)]
fn open(bencher: Bencher<'_, '_>, archive: &str) {
    let (options, names) = options(archive);
    bencher.bench(|| inputs(archive, &options, &names));
}

/// Parsing, resolving, scanning, layout and planning.
#[divan::bench(args = ARCHIVES)]
fn link(bencher: Bencher<'_, '_>, archive: &str) {
    let (options, names) = options(archive);
    let inputs = inputs(archive, &options, &names);
    bencher.bench(|| pkgld::link(&inputs, &options).expect("an image").size());
}

/// Copying, relocating and hashing.
#[divan::bench(args = ARCHIVES)]
fn produce(bencher: Bencher<'_, '_>, archive: &str) {
    let (options, names) = options(archive);
    let inputs = inputs(archive, &options, &names);
    let image = pkgld::link(&inputs, &options).expect("an image");
    let mut buffer = vec![0; image.size() as usize];
    bencher.counter(BytesCount::new(image.size())).bench_local(|| image.write_into(&mut buffer).expect("bytes").size);
}
