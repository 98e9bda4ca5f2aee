//! Images in which things are far apart, made of objects that are mostly holes.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pkgld::{Input, Inputs, Options};
use pkgld_corpus::committed_for;
use pkgld_corpus::run;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::common::scratch;
use super::image::Image;
use super::{assemble, link, name};

const MIB: u64 = 1 << 20;

/// Writes an object with one section of `size` zeros, which a symbol names, and with pointers to that symbol at some offsets.
fn hole(target: Target, path: &Path, place: [&str; 2], symbol: &str, size: u64, pointers: &[u64]) {
    let (cpu, subtype) = if target == MACOS_ARM64 { (0x0100_000c_u32, 0_u32) } else { (0x0100_0007, 3) };
    let strings = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let (relocs, symbols) = (32 + 72 + 80 + 24_u32, 32 + 72 + 80 + 24 + 8 * pointers.len() as u32);
    let start = u64::from(symbols) + 16 + strings.len() as u64;
    let mut bytes = Vec::new();
    let words = |bytes: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    let longs = |bytes: &mut Vec<u8>, longs: &[u64]| longs.iter().for_each(|long| bytes.extend(long.to_le_bytes()));
    let field = |bytes: &mut Vec<u8>, name: &str| {
        let mut field = [0; 16];
        field[..name.len()].copy_from_slice(name.as_bytes());
        bytes.extend(field);
    };
    // mach_header_64, LC_SEGMENT_64 with one section, LC_SYMTAB
    words(&mut bytes, &[0xfeed_facf, cpu, subtype, 1, 2, 72 + 80 + 24, 0x2000, 0, 0x19, 72 + 80]);
    field(&mut bytes, "");
    longs(&mut bytes, &[0, size, start, size]);
    words(&mut bytes, &[7, 7, 1, 0]);
    field(&mut bytes, place[1]);
    field(&mut bytes, place[0]);
    longs(&mut bytes, &[0, size]);
    words(
        &mut bytes,
        &[start as u32, 3, if pointers.is_empty() { 0 } else { relocs }, pointers.len() as u32, 0, 0, 0, 0],
    );
    words(&mut bytes, &[2, 24, symbols, 1, symbols + 16, strings.len() as u32]);
    // UNSIGNED of 8 bytes against symbol 0; descending.
    for offset in pointers.iter().rev() {
        words(&mut bytes, &[*offset as u32, 1 << 27 | 3 << 25]);
    }
    words(&mut bytes, &[1, 0x0f | 1 << 8]);
    longs(&mut bytes, &[0]);
    bytes.extend(strings);
    assert_eq!(bytes.len() as u64, start);
    let mut file = File::create(path).unwrap();
    file.write_all(&bytes).unwrap();
    file.set_len(start + size).unwrap();
}

/// A file that is written from the start to its end, in which blocks of zeros are holes.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for block in bytes.chunks(4096) {
            if block.iter().all(|byte| *byte == 0) {
                self.0.seek(SeekFrom::Current(block.len() as i64))?;
            } else {
                self.0.write_all(block)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Links `inputs`, and writes the image with holes.
fn link_sparse(target: Target, output: &Path, inputs: &[&Path], chained: Option<bool>) -> pkgld::Result<()> {
    let mut options = Options::julia(match target == MACOS_ARM64 {
        true => pkgld::Target::MACOS_AARCH64,
        false => pkgld::Target::MACOS_X86_64,
    });
    options.macho.platform_version = Some((13 << 16, 13 << 16));
    options.macho.chained_fixups = chained;
    let inputs = Inputs::open(inputs.iter().map(|path| Input::path(*path).whole_archive()).collect(), &options)?;
    let image = pkgld::link(&inputs, &options)?;
    let mut file = Sparse(File::create(output).unwrap());
    let report = image.write_to(&mut file)?;
    file.0.set_len(report.size).unwrap();
    Ok(())
}

/// Where chains cannot reach all pointers, programs tell of them; asked for, chains are an error.
#[test]
fn programs_tell_of_pointers_beyond_the_reach_of_chains() {
    let directory = scratch("macho");
    let (object, output) = (directory.join("pages.o"), directory.join("pages.dylib"));
    // Pages of 4 KiB; the first is the one whose number has 17 bits.
    for (last, chained) in [(256 * MIB - 4096 - 8, true), (256 * MIB - 4096, false)] {
        hole(MACOS_X86_64, &object, ["__DATA", "__data"], "_x", 256 * MIB, &[0, last]);
        link_sparse(MACOS_X86_64, &output, &[&object], None).unwrap();
        let bytes = fs::read(&output).unwrap();
        let image = Image::new(&bytes);
        let (_, address, offset) = image.segments().into_iter().find(|segment| segment.0 == b"__DATA").unwrap();
        assert_eq!(image.is_chained(), chained);
        if chained {
            assert_eq!(image.rebases(), [address, address + last]);
        } else {
            // Of pointers, in segment 1, at 0, one; the rest of the distance on, one; done.
            let mut program = vec![0x11, 0x21, 0, 0x51, 0x30];
            let mut step = last - 8;
            while step > 0x7f {
                program.push(step as u8 | 0x80);
                step >>= 7;
            }
            program.extend([step as u8, 0x51, 0]);
            assert_eq!(image.rebase_program()[..program.len()], program);
            let word = |at: u64| u64::from_le_bytes(bytes[(offset + at) as usize..][..8].try_into().unwrap());
            assert_eq!([word(0), word(last)], [address; 2]);
            let text = link_sparse(MACOS_X86_64, &output, &[&object], Some(true)).unwrap_err().to_string();
            assert!(text.contains("-no_fixup_chains") && text.contains("__DATA"), "{text}");
        }
    }
    fs::remove_file(object).unwrap();
    fs::remove_file(output).unwrap();
}

/// A heap image of more than 2 GiB links, with what uses it; the file's limit of 4 GiB is told.
#[test]
fn heap_images_beyond_2_gib() {
    let directory = scratch("macho");
    let (heap, output) = (directory.join("heap.o"), directory.join("heap.dylib"));
    let archive = small(MACOS_X86_64);
    let size = (2 << 30) + 5 * MIB;
    hole(MACOS_X86_64, &heap, ["__DATA", "__data"], "_jl_system_image_data", size, &[]);
    link_sparse(MACOS_X86_64, &output, &[&archive, &heap], None).unwrap();
    let file = File::open(&output).unwrap();
    // SAFETY: nobody writes the file, which this test made.
    let bytes = unsafe { memmap2::Mmap::map(&file).unwrap() };
    let image = Image::new(&bytes);
    let segments = image.segments();
    let names: Vec<&[u8]> = segments.iter().map(|segment| segment.0.as_slice()).collect();
    assert_eq!(names[names.len() - 2..], [&b"__HEAP_IMAGE"[..], b"__LINKEDIT"]);
    let [(_, start, _), (_, end, offset)] = &segments[segments.len() - 2..] else { unreachable!() };
    assert_eq!((image.exports()[&b"_jl_system_image_data"[..]], end - start >= size), (*start, true));
    assert!(*offset > 2 << 30 && bytes.len() as u64 > *offset);
    // The pointer to it, which the loader moves, is in the segment before.
    assert!(
        image
            .pointers()
            .iter()
            .any(|[_, (name, distance)]| (name.as_slice(), *distance) == (b"_jl_system_image_data", 0))
    );
    drop(bytes);
    hole(MACOS_X86_64, &heap, ["__DATA", "__data"], "_jl_system_image_data", (4 << 30) - 4096, &[]);
    let text = link_sparse(MACOS_X86_64, &output, &[&archive, &heap], None).unwrap_err().to_string();
    assert!(text.contains("size in the file"), "{text}");
    fs::remove_file(heap).unwrap();
    fs::remove_file(output).unwrap();
}

/// An object that points to a heap image.
fn small(target: Target) -> PathBuf {
    let text = ".section __DATA,__const\n.p2align 3\n.globl _uses\n_uses: .quad _jl_system_image_data\n";
    assemble(target, "uses-heap", text)
}

/// Code on both sides of 130 MiB calls each other: the first function leaves 12.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, llvm-19 and qemu-user-static"]
fn calls_over_more_than_128_mib_arrive_on_arm64() {
    let near = ".section __TEXT,__text,regular,pure_instructions\n.globl _near\n.p2align 2\n\
                _first: stp x29, x30, [sp, #-16]!\nbl _far\nadrp x8, _pkgld_initialised@PAGE\n\
                str x0, [x8, _pkgld_initialised@PAGEOFF]\nldp x29, x30, [sp], #16\nret\n_near: add x0, x0, #2\nret\n\
                .section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n.quad _first\n\
                .section __DATA,__data\n.globl _pkgld_initialised\n.p2align 3\n_pkgld_initialised: .quad 0\n";
    let far = ".section __TEXT,__far,regular,pure_instructions\n.globl _far\n.p2align 2\n\
               _far: stp x29, x30, [sp, #-16]!\nmov x0, #10\nbl _near\nldp x29, x30, [sp], #16\nret\n";
    let (near, far) = (assemble(MACOS_ARM64, "near", near), assemble(MACOS_ARM64, "far", far));
    let between = near.with_file_name("between.o");
    hole(MACOS_ARM64, &between, ["__TEXT", "__between"], "_between", 130 * MIB, &[]);
    let entry = committed_for(MACOS_ARM64).remove(0);
    let inputs = [&near, &between, &far].map(|path| path.to_str().unwrap());
    let image = link(&entry, &name(&entry, "-far"), &inputs);
    let bytes = fs::read(&image).unwrap();
    let place = |name: &[u8]| Image::new(&bytes).sections().into_iter().find(|section| section.0 == name).unwrap().1;
    assert!(place(b"__far") - place(b"__text") > 130 * MIB);
    run::check_committed(&entry, &image).unwrap_or_else(|error| panic!("{}:\n{error}", image.display()));
    fs::remove_file(image).unwrap();
    fs::remove_file(between).unwrap();
}
