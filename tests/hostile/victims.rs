//! The campaign: every victim, so many times.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use pkgld::Mode;

use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::Format;
use pkgld_corpus::{Entry, Julia, Target, committed, committed_for, target};

use super::anatomy::Anatomy;
use super::link::{any_options, costs, link, options, quiet_panics, whole};
use super::mutate::{Random, damage};
use super::objects;

/// A good input that is damaged, and good ones beside it.
struct Victim {
    name: String,
    bytes: Vec<u8>,
    beside: Vec<(String, Vec<u8>)>,
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

pub(crate) fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not understood")))
}

/// The numbers of the links of each victim.
pub(crate) fn cases() -> std::ops::Range<u64> {
    let first = variable("PKGLD_HOSTILE_SEED").unwrap_or(0);
    first..first + variable::<u64>("PKGLD_HOSTILE_CASES").unwrap_or(250)
}

/// The stub libraries of one generation, by path.
fn stubs(target: Target, julia: Julia) -> Vec<(String, Vec<u8>)> {
    let directory = Stubs::committed_for(target, julia).dir;
    let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (file_name(path), read(path))).collect()
}

/// The committed archives of every CPU that images can be made for.
fn entries() -> impl Iterator<Item = Entry> {
    let others =
        [target::LINUX_I686, target::LINUX_AARCH64, target::LINUX_ARMV7, target::LINUX_RISCV64, target::LINUX_PPC64LE];
    others.into_iter().flat_map(committed_for).chain(committed())
}

fn name(entry: &Entry) -> String {
    format!("{}/{}", entry.target.name, file_name(&entry.path))
}

/// Links damaged copies of each victim and fails with all that went wrong.
fn campaign(victims: impl IntoIterator<Item = Victim>) {
    quiet_panics();
    let only: Option<String> = variable("PKGLD_HOSTILE_ONLY");
    let (only, number) = match only.as_deref().map(|only| only.split_once(':').unwrap_or((only, ""))) {
        Some((name, number)) => (Some(name.to_owned()), number.parse::<u64>().ok()),
        None => (None, None),
    };
    let mut failures = Vec::new();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let (mut links, mut images) = (0_u64, 0_u64);
    let (mut held, mut work, mut slowest) = ((0, String::new()), (0.0, String::new()), (Duration::ZERO, String::new()));
    let start = Instant::now();
    for victim in victims {
        if only.as_ref().is_some_and(|only| *only != victim.name) {
            continue;
        }
        let anatomy = Anatomy::of(&victim.bytes);
        let numbers = number.map_or_else(self::cases, |number| number..number + 1);
        for number in numbers {
            let name = format!("{}:{number}", victim.name);
            let mut random = Random::new(&victim.name, number);
            let mut options = any_options(&mut random);
            // The first link of all is of the good input.
            let damaged = if number == 0 { victim.bytes.clone() } else { damage(&victim.bytes, &anatomy, &mut random) };
            let mut inputs = vec![(victim.name.as_str(), damaged.as_slice(), whole())];
            if random.once_in(8) {
                inputs[0].2 = Mode::default();
                // Something has to ask for members.
                options.required_symbols =
                    ["jl_system_image_data", "jl_image_pointers", "get", "one", "call"].map(String::from).into();
            }
            if random.once_in(16) {
                inputs.push(("again", damaged.as_slice(), whole()));
            }
            if !random.once_in(8) {
                inputs.extend(victim.beside.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice(), whole())));
            }
            if random.once_in(4) {
                inputs.reverse();
            }
            links += 1;
            let outcome = link(&name, &inputs, &options).and_then(|mut outcome| {
                let mut good = inputs.clone();
                for (_, bytes, _) in good.iter_mut().filter(|(_, bytes, _)| std::ptr::eq(*bytes, damaged.as_slice())) {
                    *bytes = victim.bytes.as_slice();
                }
                costs(&name, &mut outcome, &inputs, &good, &options)?;
                #[cfg(feature = "inspect")]
                if number % 8 == 0 {
                    super::inspected::tell(&name, &damaged)?;
                }
                Ok(outcome)
            });
            match outcome {
                Ok(outcome) => {
                    if only.is_some() {
                        let text = outcome.result.as_ref().map(|image| format!("{} bytes", image.len()));
                        println!("{name}: {}", text.unwrap_or_else(Clone::clone));
                    }
                    images += u64::from(outcome.result.is_ok());
                    if outcome.held > held.0 {
                        held = (outcome.held, name.clone());
                    }
                    if outcome.work > work.0 {
                        work = (outcome.work, name.clone());
                    }
                    if outcome.time > slowest.0 {
                        slowest = (outcome.time, name);
                    }
                }
                Err(what) => {
                    if let Some(directory) = std::env::var_os("PKGLD_HOSTILE_KEEP") {
                        std::fs::write(Path::new(&directory).join(name.replace('/', "_")), &damaged).unwrap();
                    }
                    // One of each kind is enough to read.
                    let kind = kinds.entry(what.lines().take(2).collect()).or_default();
                    *kind += 1;
                    if *kind <= 3 {
                        failures.push(format!("{name}: {what}"));
                    }
                }
            }
        }
    }
    assert!(only.is_some() || links > 0, "nothing was linked");
    println!(
        "{links} links in {:.1?}, {images} images; most memory: {} KiB beside the image ({}); most work: {:.1} times that of \
         the good input ({}); slowest: {:.1?} ({})",
        start.elapsed(),
        held.0 >> 10,
        held.1,
        work.0,
        work.1,
        slowest.0,
        slowest.1
    );
    let total: u64 = kinds.values().sum();
    assert!(failures.is_empty(), "{total} of {links} links:\n{}", failures.join("\n"));
}

#[test]
fn archives() {
    campaign(entries().map(|entry| {
        let beside = stubs(entry.target, entry.julia);
        Victim { name: name(&entry), bytes: read(&entry.path), beside }
    }));
}

/// The committed archives of macOS and Windows.
fn foreign() -> impl Iterator<Item = Entry> {
    let windows = [target::WINDOWS_X86_64, target::WINDOWS_I686, target::WINDOWS_AARCH64];
    let targets = [target::MACOS_ARM64, target::MACOS_X86_64].into_iter().chain(windows);
    targets.flat_map(committed_for)
}

#[test]
fn foreign_archives() {
    campaign(foreign().map(|entry| {
        let beside = dlls(&entry);
        Victim { name: name(&entry), bytes: read(&entry.path), beside }
    }));
}

/// The DLLs that an archive for Windows refers to: no image is made without them.
pub(crate) fn dlls(entry: &Entry) -> Vec<(String, Vec<u8>)> {
    if entry.target.format != Format::Coff {
        return Vec::new();
    }
    let stubs = WindowsStubs::committed(entry.target);
    let files = [stubs.bin, stubs.mingw].into_iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (file_name(path), read(path))).collect()
}

/// One archive of each platform.
pub(crate) fn one_of_each() -> Vec<Entry> {
    let mut seen = Vec::new();
    let mut new = |entry: &Entry| {
        !seen.contains(&entry.target.name) && {
            seen.push(entry.target.name);
            true
        }
    };
    entries().chain(foreign()).filter(|entry| new(entry)).collect()
}

/// One library of each kind that a platform has.
fn libraries_of(entry: &Entry) -> Vec<Vec<u8>> {
    let first = |directory: &Path, end: &str| {
        let mut paths: Vec<_> = std::fs::read_dir(directory).ok()?.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(end));
        paths.sort();
        paths.first().map(|path| read(path))
    };
    let found = match entry.target.format {
        Format::Elf => vec![first(&Stubs::committed_for(entry.target, entry.julia).dir, ".so")],
        Format::MachO => {
            let stubs = MacosStubs::committed(entry.target, Julia::V1_12);
            vec![first(&stubs.dir, ".tbd"), first(&stubs.dylibs, ".dylib")]
        }
        Format::Coff => {
            let stubs = WindowsStubs::committed(entry.target);
            [(stubs.bin, ".dll"), (stubs.lib, ".a"), (stubs.lib_short, ".a")]
                .map(|(path, end)| first(&path, end))
                .into()
        }
    };
    found.into_iter().flatten().collect()
}

/// An archive, an object and a library by itself, that end where a structure begins or ends, or a byte beside that.
#[test]
fn truncated_at_every_bound() {
    quiet_panics();
    let (mut links, mut failures) = (0, Vec::new());
    for entry in one_of_each() {
        let archive = read(&entry.path);
        let object = archive[Anatomy::of(&archive).contents.last().unwrap().clone()].to_vec();
        assert!(is_object(&object), "{}", name(&entry));
        let mut files = vec![("archive", archive), ("object", object)];
        files.extend(libraries_of(&entry).into_iter().map(|library| ("library", library)));
        for (what, file) in files {
            let mut bounds: Vec<usize> = Anatomy::of(&file).bounds;
            bounds = bounds.into_iter().flat_map(|bound| [bound.saturating_sub(1), bound, bound + 1]).collect();
            bounds.retain(|bound| *bound < file.len());
            bounds.dedup();
            // Unwind records are many and alike.
            let step = bounds.len().div_ceil(150);
            for bound in bounds.into_iter().step_by(step) {
                let name = format!("{} {what} of {bound} bytes", name(&entry));
                links += 1;
                failures.extend(link(&name, &[("cut", &file[..bound], whole())], &options()).err());
            }
        }
    }
    assert!(failures.is_empty() && links > 1000, "{links} links: {failures:#?}");
}

/// What an input has between its structures is in no image: with other padding the image is the same.
#[test]
fn padding_of_inputs_shows_nowhere() {
    let mut marked = 0;
    for entry in one_of_each() {
        let archive = read(&entry.path);
        let mut other = archive.clone();
        let mut used = Anatomy::of(&archive).used;
        used.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in used {
            if range.start > end {
                other[end..range.start].fill(0xa5);
                marked += range.start - end;
            }
            end = end.max(range.end);
        }
        let beside = dlls(&entry);
        let image = |bytes: &[u8]| {
            let rest = beside.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice(), Mode::default()));
            let inputs: Vec<_> = [("archive", bytes, whole())].into_iter().chain(rest).collect();
            link(&name(&entry), &inputs, &options()).unwrap().result.unwrap()
        };
        assert!(image(&archive) == image(&other), "{}", name(&entry));
    }
    assert!(marked > 100, "only {marked} bytes of padding");
}

/// Whether a member is an object, and no table of the archive's.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\xcf\xfa\xed\xfe") || {
        matches!(bytes, [0x4c, 1, ..] | [0x64, 0x86, ..] | [0x64, 0xaa, ..])
    }
}

/// Members of archives by themselves: all damage is in the object.
#[test]
fn members() {
    campaign(entries().chain(foreign()).flat_map(|entry| {
        let name = name(&entry);
        let archive = read(&entry.path);
        let anatomy = Anatomy::of(&archive);
        let objects = anatomy.contents.into_iter().enumerate().filter_map(move |(number, range)| {
            let bytes = &archive[range];
            let beside = if number % 2 == 0 { vec![("rest.a".to_owned(), archive.clone())] } else { Vec::new() };
            let victim = Victim { name: format!("{name}({number})"), bytes: bytes.to_vec(), beside };
            is_object(bytes).then_some(victim)
        });
        objects.collect::<Vec<_>>()
    }));
}

#[test]
fn libraries() {
    // Those of each generation of x86-64, and one of each other CPU.
    let mut seen = Vec::new();
    let entries = entries().filter(|entry| {
        let native = entry.target.name == "linux-x86_64";
        let key = (entry.target.name, if native { entry.julia.name() } else { "" });
        let new = !seen.contains(&key) && entry.target.name.starts_with("linux");
        seen.push(key);
        new
    });
    campaign(entries.collect::<Vec<_>>().into_iter().flat_map(|entry| {
        let beside = vec![("image.a".to_owned(), read(&entry.path))];
        let of = format!("{}-{}", entry.target.name, entry.julia.name());
        let victims = stubs(entry.target, entry.julia).into_iter();
        victims.map(move |(name, bytes)| Victim { name: format!("{of}-{name}"), bytes, beside: beside.clone() })
    }));
}

/// Dylibs, text stubs, DLLs and import libraries of both forms, each beside an archive that refers to it.
#[test]
fn foreign_libraries() {
    let newest = |entries: Vec<Entry>| entries.into_iter().next_back().unwrap();
    let of = |entry: &Entry, directory: &Path| {
        let (of, beside) = (entry.target.name, vec![("image.a".to_owned(), read(&entry.path))]);
        let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        let victim = move |path: std::path::PathBuf| {
            let name = format!("{of}-{}-{}", path.parent().map(file_name).unwrap_or_default(), file_name(&path));
            Victim { name, bytes: read(&path), beside: beside.clone() }
        };
        paths.into_iter().filter(|path| path.is_file()).map(victim).collect::<Vec<_>>()
    };
    let mut victims = Vec::new();
    for target in [target::MACOS_ARM64, target::MACOS_X86_64] {
        let entry = newest(committed_for(target).into_iter().filter(|entry| entry.julia == Julia::V1_12).collect());
        let stubs = MacosStubs::committed(target, entry.julia);
        for directory in [&stubs.dir, &stubs.dylibs, &stubs.system].into_iter().filter(|path| path.is_dir()) {
            victims.extend(of(&entry, directory));
        }
    }
    for target in [target::WINDOWS_X86_64, target::WINDOWS_I686, target::WINDOWS_AARCH64] {
        let (entry, stubs) = (newest(committed_for(target)), WindowsStubs::committed(target));
        for directory in [&stubs.bin, &stubs.lib, &stubs.lib_short].into_iter().filter(|path| path.is_dir()) {
            victims.extend(of(&entry, directory));
        }
    }
    let kinds = |end: &str| victims.iter().filter(|victim| victim.name.ends_with(end)).count();
    for end in [".tbd", ".dylib", ".dll", ".dll.a"] {
        assert!(kinds(end) > 0, "no {end} to damage");
    }
    campaign(victims);
}

/// What Julia's archives do not have: COMDAT groups, thread-local storage, indirect functions, common symbols, notes.
#[test]
fn compiled_objects() {
    let objects = objects::compiled();
    let rest: Vec<(String, Vec<u8>)> = objects.clone();
    campaign(objects.into_iter().map(|(name, bytes)| {
        let beside = rest.iter().filter(|(other, _)| *other != name).cloned().collect();
        Victim { name, bytes, beside }
    }));
}
