//! Damaged inputs through the program, as a build system runs it: it ends with status 0 and an image or with status 1 and a
//! message, never by a signal, within two gibibytes of address space and a bounded time of the processor.
//!
//! | variable | meaning |
//! |---|---|
//! | `PKGLD_HOSTILE_RUNS` | runs for each platform (default 40) |
//! | `PKGLD_HOSTILE_SEED` | the first number (default 0) |
//! | `PKGLD_HOSTILE_FILES` | a directory: its objects, archives and libraries are damaged in place of the corpus |
//! | `PKGLD_HOSTILE_KEEP` | a directory for the inputs of runs that fail the test |

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target;

use super::anatomy::Anatomy;
use super::mutate::{Random, damage, graft};
use super::victims::{is_object, one_of_each, read, variable};

/// A file that is damaged.
struct Victim {
    name: String,
    bytes: Vec<u8>,
    /// What the program is told about the target, and good files beside.
    words: Vec<String>,
}

/// How the program is told to link a file, by what it begins with; `None` for what is no input of the kind.
fn words(file: &[u8]) -> Option<Vec<String>> {
    let of_object = |object: &[u8]| {
        let words: &[&str] = match object {
            [0x7f, b'E', b'L', b'F', ..] => &["-flavor", "gnu", "-shared", "--whole-archive"],
            [0xcf, 0xfa, 0xed, 0xfe, cpu, ..] => &[
                "-flavor",
                "darwin",
                "-dylib",
                "-undefined",
                "dynamic_lookup",
                "-platform_version",
                "macos",
                "13.0",
                "13.0",
                "-all_load",
                "-arch",
                if *cpu == 7 { "x86_64" } else { "arm64" },
            ],
            [0x64, 0x86, ..] => &["-flavor", "gnu", "-m", "i386pep", "-shared", "--whole-archive"],
            [0x4c, 0x01, ..] => &["-flavor", "gnu", "-m", "i386pe", "-shared", "--whole-archive"],
            [0x64, 0xaa, ..] => &["-flavor", "gnu", "-m", "arm64pe", "-shared", "--whole-archive"],
            _ => return None,
        };
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let windows = match object {
            [0x64, 0x86, ..] => Some(target::WINDOWS_X86_64),
            [0x4c, 0x01, ..] => Some(target::WINDOWS_I686),
            [0x64, 0xaa, ..] => Some(target::WINDOWS_AARCH64),
            _ => None,
        };
        // Undefined names are errors there.
        if let Some(target) = windows {
            let stubs = WindowsStubs::committed(target);
            let files = [stubs.bin, stubs.mingw].into_iter().flat_map(|directory| fs::read_dir(directory).unwrap());
            let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
            paths.sort();
            words.extend(paths.iter().map(|path| path.display().to_string()));
        }
        Some(words)
    };
    if !file.starts_with(b"!<arch>\n") {
        return of_object(file);
    }
    Anatomy::of(file).contents.into_iter().find_map(|range| of_object(&file[range]))
}

fn victim(name: &str, bytes: Vec<u8>) -> Option<Victim> {
    let words = words(&bytes)?;
    Some(Victim { name: name.to_owned(), bytes, words })
}

/// Groups of files, of one platform each.
fn victims() -> Vec<(String, Vec<Victim>)> {
    if let Some(directory) = std::env::var_os("PKGLD_HOSTILE_FILES") {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        let files = paths.iter().filter_map(|path| victim(&path.file_name().unwrap().to_string_lossy(), read(path)));
        return files.map(|victim| (victim.name.clone(), vec![victim])).collect();
    }
    let group = |entry: &pkgld_corpus::Entry| {
        let (name, archive) = (entry.target.name, read(&entry.path));
        let members = Anatomy::of(&archive).contents.into_iter().enumerate().filter_map(|(number, range)| {
            let bytes = &archive[range];
            is_object(bytes).then(|| victim(&format!("{name}({number})"), bytes.to_vec()))?
        });
        let mut group: Vec<Victim> = members.collect();
        group.extend(victim(name, archive.clone()));
        (name.to_owned(), group)
    };
    one_of_each().iter().map(group).collect()
}

/// Runs the program; what must not be, if it is so, else whether there is an image.
fn run(directory: &Path, victim: &Victim, damaged: &[u8]) -> Result<bool, String> {
    let (input, output) = (directory.join("in"), directory.join("out"));
    fs::write(&input, damaged).unwrap();
    let _ = fs::remove_file(&output);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 2097152; ulimit -t 20; ulimit -f 1048576; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_pkgld")).args(&victim.words).arg(&input).arg("-o").arg(&output);
    let result = command.output().unwrap();
    let said = String::from_utf8_lossy(&result.stderr);
    let start: String = said.chars().take(600).collect();
    match (result.status.code(), output.exists()) {
        _ if said.contains("panicked") => Err(format!("panic: {start}")),
        (Some(0), true) => Ok(true),
        (Some(1), false) if !said.is_empty() => Ok(false),
        (code, exists) => {
            let signal = result.status.signal();
            Err(format!("status {code:?}, signal {signal:?}, an image: {exists}; {start}"))
        }
    }
}

#[test]
fn the_program_survives_damage() {
    let runs: u64 = variable("PKGLD_HOSTILE_RUNS").unwrap_or(40);
    let first: u64 = variable("PKGLD_HOSTILE_SEED").unwrap_or(0);
    let directory = tempfile::tempdir().unwrap();
    let (mut total, mut images, mut failures) = (0, 0, Vec::new());
    let groups = victims();
    assert!(!groups.is_empty(), "there is nothing to damage");
    for (platform, group) in &groups {
        let anatomies: Vec<Anatomy> = group.iter().map(|victim| Anatomy::of(&victim.bytes)).collect();
        for number in first..first + runs {
            let mut random = Random::new(platform, number);
            let chosen = random.below(group.len());
            let victim = &group[chosen];
            let mut damaged = damage(&victim.bytes, &anatomies[chosen], &mut random);
            if random.once_in(4) {
                let (_, other) = random.pick(&groups);
                graft(&mut damaged, &random.pick(other).bytes, &mut random);
            }
            total += 1;
            match run(directory.path(), victim, &damaged) {
                Ok(image) => images += u64::from(image),
                Err(what) => {
                    if let Some(directory) = std::env::var_os("PKGLD_HOSTILE_KEEP") {
                        fs::write(Path::new(&directory).join(format!("{platform}:{number}")), &damaged).unwrap();
                    }
                    failures.push(format!("{}, {platform}:{number}: {what}", victim.name));
                }
            }
        }
    }
    println!("{total} runs, {images} images");
    assert!(failures.is_empty(), "{} of {total} runs: {failures:#?}", failures.len());
    assert!(images > 0 && images < total, "{images} images of {total} damaged files: too little is tested");
}
