//! What `pkgld inspect` does with damaged files: it tells of them or refuses them, in time and memory that their size bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pkgld::inspect::{Text, inspect};

use super::anatomy::Anatomy;
use super::link::{BASE, FACTOR, last_panic, link, options, quiet_panics, whole};
use super::meter;
use super::mutate::{Random, damage};
use super::victims::{cases, dlls, one_of_each, read};
use pkgld::Mode;

/// Tells of a file, as text and as JSON, then of it as a `.ji` file beside itself; whether it could be told of.
///
/// # Errors
/// What must not be.
pub(crate) fn tell(name: &str, file: &[u8]) -> Result<bool, String> {
    let run = || {
        catch_unwind(AssertUnwindSafe(|| {
            let mut told = inspect(name, file).ok()?;
            let _ = told.add_cache("file.ji", file, file, None);
            let text = Text { told: &told, exports: true, color: true }.to_string();
            Some((told.to_json().len(), text.len()))
        }))
    };
    let (result, held, _) = meter::measure(name, run);
    let Ok(told) = result else { return Err(format!("panic: {}", last_panic())) };
    if held > BASE + FACTOR * file.len() as u64 {
        return Err(format!("{held} bytes held to tell of {}", file.len()));
    }
    Ok(told.is_some())
}

#[test]
fn damaged_images_are_told_or_refused() {
    quiet_panics();
    let (mut told, mut failures) = (0, Vec::new());
    for entry in one_of_each() {
        let (archive, beside) = (read(&entry.path), dlls(&entry));
        let rest = beside.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice(), Mode::default()));
        let inputs: Vec<_> = [("archive", archive.as_slice(), whole())].into_iter().chain(rest).collect();
        let image = link(entry.target.name, &inputs, &options()).unwrap().result.unwrap();
        let anatomy = Anatomy::of(&image);
        for number in cases() {
            let name = format!("{}:{number}", entry.target.name);
            match tell(&name, &damage(&image, &anatomy, &mut Random::new(entry.target.name, number))) {
                Ok(good) => told += u64::from(good),
                Err(what) => failures.push(format!("{name}: {what}")),
            }
        }
    }
    assert!(failures.is_empty() && told > 100, "{told} were told of; {failures:#?}");
}

/// A file that is made to cost more than its size.
#[track_caller]
fn costs_little(name: &str, file: &[u8]) {
    quiet_panics();
    assert_eq!(tell(name, file), Ok(true), "{name}");
}

fn put<const N: usize>(file: &mut [u8], at: usize, bytes: [u8; N]) {
    file[at..at + N].copy_from_slice(&bytes);
}

/// An ELF file of x86-64 with so many program and section headers, and the places of both; one segment maps all of it.
fn elf(size: usize, programs: u16, sections: u16) -> (Vec<u8>, usize, usize) {
    let (program, section) = (64, 64 + 56 * usize::from(programs));
    let mut file = vec![0; size];
    put(&mut file, 0, *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01");
    put(&mut file, 32, (program as u64).to_le_bytes());
    put(&mut file, 40, (section as u64).to_le_bytes());
    for (at, value) in [(52, 64), (54, 56), (56, programs), (58, 64), (60, sections), (62, 1)] {
        put(&mut file, at, u16::to_le_bytes(value));
    }
    put(&mut file, program, 1_u32.to_le_bytes());
    put(&mut file, program + 4, 4_u32.to_le_bytes());
    for at in [32, 40] {
        put(&mut file, program + at, (size as u64).to_le_bytes());
    }
    (file, program, section)
}

/// Thousands of headers that all have the same unwind records.
#[test]
fn one_eh_frame_of_many_sections() {
    const COUNT: u16 = 30_000;
    let (mut file, _, headers) = elf(4 << 20, 1, COUNT);
    let names = headers + 64 * usize::from(COUNT);
    file[names..names + 11].copy_from_slice(b"\0.eh_frame\0");
    let records = (names + 16) as u64;
    // A CIE of 16 bytes with no augmentation, then FDEs of 24: absolute addresses.
    let mut at = records as usize;
    put(&mut file, at, [12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0, 0, 0]);
    at += 16;
    while at + 24 < (4 << 20) - 24 {
        put(&mut file, at, 20_u32.to_le_bytes());
        put(&mut file, at + 4, ((at + 4) as u32 - records as u32).to_le_bytes());
        put(&mut file, at + 8, (at as u64).to_le_bytes());
        put(&mut file, at + 16, 1_u64.to_le_bytes());
        at += 24;
    }
    for index in 0..usize::from(COUNT) {
        let header = headers + 64 * index;
        // The second has the names, the others the records.
        let (kind, start, size) =
            if index == 1 { (3_u32, names as u64, 11) } else { (1, records, at as u64 - records) };
        put(&mut file, header, 1_u32.to_le_bytes());
        put(&mut file, header + 4, kind.to_le_bytes());
        for (field, value) in [(8, 2), (16, start), (24, start), (32, size)] {
            put(&mut file, header + field, u64::to_le_bytes(value));
        }
    }
    costs_little("eh_frame", &file);
}

/// Thousands of headers that all have the same notes.
#[test]
fn one_note_segment_of_many_headers() {
    const COUNT: u16 = 60_000;
    let (mut file, headers, _) = elf(8 << 20, COUNT, 0);
    let notes = headers + 56 * usize::from(COUNT);
    for index in 1..usize::from(COUNT) {
        let header = headers + 56 * index;
        put(&mut file, header, 4_u32.to_le_bytes());
        put(&mut file, header + 8, (notes as u64).to_le_bytes());
        put(&mut file, header + 32, ((8 << 20) - notes as u64).to_le_bytes());
    }
    costs_little("notes", &file);
}

/// A Mach-O dylib for arm64 with these load commands behind those of one segment, which maps all of `rest`; `rest` is given
/// its offset in the file, which is its address, too.
fn macho(commands: impl Fn(u32) -> Vec<u8>, rest: &[u8]) -> Vec<u8> {
    let start = 32 + 72 + commands(0).len() as u32;
    let more = commands(start);
    let count = 1 + more_commands(&more);
    let mut file = Vec::new();
    for word in [0xfeed_facf_u32, 0x0100_000c, 0, 6, count, 72 + more.len() as u32, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    let size = u64::from(start) + rest.len() as u64;
    file.extend([0x19_u32, 72].map(u32::to_le_bytes).concat());
    file.extend(b"__DATA\0\0\0\0\0\0\0\0\0\0");
    file.extend([0, size, 0, size].map(u64::to_le_bytes).concat());
    file.extend([3_u32, 3, 0, 0].map(u32::to_le_bytes).concat());
    file.extend(more);
    file.extend(rest);
    file
}

fn more_commands(mut commands: &[u8]) -> u32 {
    let mut count = 0;
    while let Some(size) = commands.get(4..8) {
        commands = &commands[u32::from_le_bytes(size.try_into().unwrap()) as usize..];
        count += 1;
    }
    count
}

/// A node of the export trie that is its own child, many times.
#[test]
fn export_tries_that_multiply() {
    let mut trie = vec![0, 255];
    trie.extend([0, 0].repeat(255));
    trie.resize(1 << 20, 0);
    let size = trie.len() as u32;
    let command = |at: u32| [0x8000_0033, 16, at, size].map(u32::to_le_bytes).concat();
    costs_little("trie", &macho(command, &trie));
}

/// A name as long as the file, bound at as many places.
#[test]
fn one_long_name_that_is_bound_often() {
    // BIND_OPCODE_SET_TYPE_IMM, BIND_OPCODE_SET_SEGMENT_AND_OFFSET_ULEB 0, BIND_OPCODE_SET_SYMBOL_TRAILING_FLAGS_IMM
    let mut opcodes = vec![0x51, 0x70, 0, 0x40];
    opcodes.extend(vec![b'a'; 4 << 20]);
    // BIND_OPCODE_DO_BIND_ULEB_TIMES_SKIPPING_ULEB: a million times, with nothing in between
    opcodes.extend([0, 0xc0, 0xc0, 0x84, 0x3d, 0, 0]);
    let size = opcodes.len() as u32;
    let command = |at: u32| [0x8000_0022, 48, 0, 0, at, size, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    costs_little("binds", &macho(command, &opcodes));
}

/// Segments that share one list of pages, none of which has a chain.
#[test]
fn one_list_of_pages_of_many_segments() {
    const COUNT: u32 = 400_000;
    const PAGES: u16 = 0xffff;
    let info = 28 + 4 + 4 * COUNT;
    let mut fixups = [0, 28, info, info, 0, 1, 0, COUNT].map(u32::to_le_bytes).concat();
    fixups.extend((0..COUNT).flat_map(|_| (4 + 4 * COUNT).to_le_bytes()));
    let size = 22 + 2 * u32::from(PAGES);
    fixups.extend(size.to_le_bytes());
    fixups.extend([0x4000_u16, 6].map(u16::to_le_bytes).concat());
    fixups.extend([0; 12]);
    fixups.extend(PAGES.to_le_bytes());
    fixups.extend(vec![0xff; 2 * usize::from(PAGES)]);
    let length = fixups.len() as u32;
    let commands = |at: u32| {
        let mut segment = [0x19_u32, 72].map(u32::to_le_bytes).concat();
        segment.resize(72, 0);
        let mut commands = segment.repeat(COUNT as usize);
        commands.extend([0x8000_0034, 16, at, length].map(u32::to_le_bytes).concat());
        commands
    };
    costs_little("chains", &macho(commands, &fixups));
}

/// A PE image for x86-64 of one section that is all of the file behind the headers; `data_directory` numbers and addresses.
fn pe(directories: &[(usize, u32, u32)], rest: &[u8]) -> Vec<u8> {
    const START: usize = 0x400;
    let mut file = vec![0; START];
    put(&mut file, 0, *b"MZ");
    put(&mut file, 0x3c, 0x40_u32.to_le_bytes());
    put(&mut file, 0x40, *b"PE\0\0\x64\x86\x01\0");
    put(&mut file, 0x40 + 20, [240, 0, 0x22, 0x20]);
    let optional = 0x40 + 24;
    put(&mut file, optional, [0x0b, 0x02]);
    put(&mut file, optional + 60, (START as u32).to_le_bytes());
    put(&mut file, optional + 108, 16_u32.to_le_bytes());
    for (number, address, size) in directories {
        put(&mut file, optional + 112 + 8 * number, address.to_le_bytes());
        put(&mut file, optional + 116 + 8 * number, size.to_le_bytes());
    }
    let header = optional + 240;
    put(&mut file, header, *b".rdata\0\0");
    let size = rest.len() as u32;
    for (at, value) in [(8, size), (12, 0x1000), (16, size), (20, START as u32), (36, 0x4000_0040)] {
        put(&mut file, header + at, u32::to_le_bytes(value));
    }
    file.extend(rest);
    file
}

/// Lists of names end where they are longer than the file.
#[track_caller]
fn says_cut_off(what: &str, file: &[u8]) {
    let notes = inspect(what, file).unwrap().notes;
    assert!(notes.contains(&format!("the {what} are cut off")), "{notes:?}");
}

/// Exports and imports that all have one long name.
#[test]
fn long_names_of_exports_and_imports() {
    const COUNT: u32 = 1 << 20;
    // The directory, the long name, then as many addresses of it as ordinals, all zero.
    let mut table = vec![0; 40];
    let name = 0x1000 + 40;
    for (at, value) in [(12, name), (20, COUNT), (24, COUNT), (28, 0x1000), (32, 0x1000 + 40 + 4096), (36, 0x1000)] {
        put(&mut table, at, u32::to_le_bytes(value));
    }
    table.extend(vec![b'a'; 4095]);
    table.push(0);
    table.extend(name.to_le_bytes().repeat(COUNT as usize));
    says_cut_off("exports", &pe(&[(0, 0x1000, 40)], &table));

    let mut table = vec![0; 40];
    for (at, value) in [(0, 0x1000 + 40 + 4096), (12, name), (16, 0x1000 + 40 + 4096)] {
        put(&mut table, at, u32::to_le_bytes(value));
    }
    table.extend(vec![b'a'; 4095]);
    table.push(0);
    table.extend(u64::from(name).to_le_bytes().repeat(COUNT as usize));
    says_cut_off("imports", &pe(&[(1, 0x1000, 40)], &table));
}
