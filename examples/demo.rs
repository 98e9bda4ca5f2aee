//! Links the committed archives for Linux and FreeBSD on x86-64 in memory, checks each image, and loads and calls those made
//! for this machine.
//!
//! `cargo run --example demo`; with `--release` the times are those of a program as it is used.

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use object::{Object, ObjectSymbol};
use pkgld::{Input, Inputs, Options, Report, Target};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Entry, committed};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    println!("| {:<42} | {:>8} | {:>9} | {:>7} | {:<8} | checked", "archive", "bytes in", "bytes out", "ms", "CRC-32C");
    println!("|:{:-<42}-|-{:-<8}:|-{:-<9}:|-{:-<7}:|:{:-<8}-|:{:-<60}", "", "", "", "", "", "");
    let mut entries = committed();
    entries.sort_by_key(|entry| (entry.target.name, entry.julia));
    let mut failures = 0;
    for entry in &entries {
        let file = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}/{file}", entry.target.name);
        match demonstrate(entry) {
            Ok(Row { size, report, took, checked }) => println!(
                "| {name:<42} | {size:>8} | {:>9} | {:>7.2} | {:08x} | {checked}",
                report.size,
                took.as_secs_f64() * 1e3,
                report.crc32c.unwrap_or_default(),
            ),
            Err(error) => {
                failures += 1;
                println!("| {name:<42} | failed: {error}");
            }
        }
    }
    if entries.is_empty() || failures > 0 {
        println!("{failures} of {} archives failed", entries.len());
        return ExitCode::FAILURE;
    }
    println!("{} archives linked, every check passed", entries.len());
    ExitCode::SUCCESS
}

/// What is told of one archive.
struct Row {
    size: usize,
    report: Report,
    took: Duration,
    checked: String,
}

fn demonstrate(entry: &Entry) -> Outcome<Row> {
    let archive = fs::read(&entry.path)?;
    let stubs = Stubs::committed(entry.julia);
    let libraries = [fs::read(&stubs.libjulia)?, fs::read(&stubs.libjulia_internal)?];
    let target = match entry.target.name {
        "linux-x86_64" => Target::LINUX_X86_64,
        "freebsd-x86_64" => Target::FREEBSD_X86_64,
        other => return Err(format!("the demo does not know {other}").into()),
    };
    let mut options = Options::julia(target);
    let began = Instant::now();
    let (image, report) = link(&archive, &libraries, &options)?;
    let took = began.elapsed();

    let mut checked = vec![check(&image, &report, entry)?];
    options.threads = NonZeroUsize::new(1);
    if link(&archive, &libraries, &options)?.0 != image {
        return Err("another image on one thread".into());
    }
    checked.push("same bytes on one thread".to_owned());
    checked.push(load(&image, entry, &stubs)?);
    Ok(Row { size: archive.len(), report, took, checked: checked.join("; ") })
}

/// One link from memory to memory, as Julia asks for it.
fn link(archive: &[u8], libraries: &[Vec<u8>; 2], options: &Options) -> Outcome<(Vec<u8>, Report)> {
    let inputs = vec![
        Input::bytes("package.a", archive).whole_archive(),
        Input::bytes("libjulia.so", &libraries[0]),
        Input::bytes("libjulia-internal.so", &libraries[1]),
    ];
    let inputs = Inputs::open(inputs, options)?;
    Ok(pkgld::link(&inputs, options)?.to_vec()?)
}

/// Reads the image with another reader and compares it with the report and the manifest.
fn check(image: &[u8], report: &Report, entry: &Entry) -> Outcome<String> {
    if report.size != image.len() as u64 {
        return Err(format!("the report says {} bytes, there are {}", report.size, image.len()).into());
    }
    if report.crc32c != Some(crc32c::crc32c(image)) {
        return Err(format!("the report's CRC-32C is {:x?}, not that of the image", report.crc32c).into());
    }
    let file = object::File::parse(image)?;
    let mut exports = Vec::new();
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition()) {
        exports.push(symbol.name_bytes()?);
    }
    let wanted = entry.manifest.exports.iter().map(|export| export.symbol.as_str());
    for name in wanted.chain(["jl_system_image_data", "jl_system_image_size"]) {
        if !exports.contains(&name.as_bytes()) {
            return Err(format!("{name} is not exported").into());
        }
    }
    let needed = ["libjulia.so", "libjulia-internal.so"].map(|library| format!("{library}.{}", entry.julia.name()));
    if report.needed != needed {
        return Err(format!("the image needs {:?}, not {needed:?}", report.needed).into());
    }
    Ok(format!("CRC, {} exports, needed libraries", exports.len()))
}

/// Loads an image of this machine and makes every call of its manifest.
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
fn load(image: &[u8], entry: &Entry, stubs: &Stubs) -> Outcome<String> {
    use std::io::Write;

    use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};

    if entry.target.name != "linux-x86_64" {
        return Ok("not loaded: made for another system".to_owned());
    }
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(image)?;
    // SAFETY: the stubs do nothing when they are loaded but fill their own tables; images have no constructors.
    let open = |path| unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL) };
    // The dynamic linker finds what the image needs among what is loaded, by soname.
    let _libjulia = open(stubs.libjulia.as_path())?;
    let runtime = open(stubs.libjulia_internal.as_path())?;
    let image = open(file.path())?;
    let find = |library: &Library, name: &str| {
        // SAFETY: the address is only taken; what is there, the manifest says.
        unsafe { library.get::<*const u8>(name.as_bytes()).ok().map(|symbol| symbol.as_raw_ptr().cast_const().cast()) }
    };
    // SAFETY: the image was linked from the manifest's archive, is loaded with its stubs, and nobody else uses it.
    let report = unsafe {
        pkgld_corpus::loader::check(&entry.manifest, &|name| find(&image, name), &|name| find(&runtime, name))
    }?;
    Ok(format!("loaded: {} slots, {} calls, {} words of heap image", report.gvars, report.calls, report.words))
}

/// Images for x86-64 Linux cannot be loaded here.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")))]
fn load(_image: &[u8], _entry: &Entry, _stubs: &Stubs) -> Outcome<String> {
    Ok("not loaded: this machine is no x86-64 Linux".to_owned())
}
