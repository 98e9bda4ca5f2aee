//! Archives beyond 2 GiB: made sparse, in no time, and beyond what LLD can link.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::MetadataExt as _;

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use pkgld_corpus::presets::big;
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Manifest, Target};

use common::{link, link_command, run, scratch};

const HEAP: u64 = 2_500_000_000;

#[test]
fn an_archive_of_2500_mb_is_a_hole_with_words_in_it() {
    let made = big("julia-1.12-llvm19-shards3", HEAP, &scratch("big")).unwrap();
    let manifest = Manifest::read(&made.expect).unwrap();
    assert_eq!((manifest.heap, manifest.heap_stride), (HEAP, 16 << 20));
    let file = std::fs::metadata(&made.archive).unwrap();
    assert!(file.len() > HEAP);
    assert!(file.blocks() * 512 < 20 << 20, "{} bytes on disk", file.blocks() * 512);

    // SAFETY: nobody writes the file, which this test made.
    let data = unsafe { memmap2::Mmap::map(&std::fs::File::open(&made.archive).unwrap()).unwrap() };
    let archive = ArchiveFile::parse(&*data).unwrap();
    let member = archive.members().map(Result::unwrap).find(|member| member.name() == b"sysimg.o").unwrap();
    let object = object::File::parse(member.data(&*data).unwrap()).unwrap();
    let symbol = object.symbol_by_name("jl_system_image_data").unwrap();
    let section = object.section_by_index(symbol.section_index().unwrap()).unwrap();
    assert_eq!((symbol.size(), section.size(), section.name().unwrap()), (HEAP, HEAP, ".ldata"));
    let contents = section.data().unwrap();
    for offset in [0, 8, 16 << 20, (16 << 20) + 8, 2 << 30, HEAP - 8] {
        let word = u64::from_le_bytes(contents[offset as usize..][..8].try_into().unwrap());
        assert_eq!(word, manifest.heap_word(offset), "at {offset:#x}");
    }
    std::fs::remove_file(made.archive).unwrap();
}

/// A heap image that is sparse, but within LLD's reach, runs: the manifest's rule for words is the file's.
#[test]
fn a_sparse_heap_image_runs() {
    let made = big("julia-1.11-llvm16", 100_000_003, &scratch("sparse")).unwrap();
    let manifest = Manifest::read(&made.expect).unwrap();
    let image = link(&made.archive, manifest.julia, &["--eh-frame-hdr"]);
    run(&image, &manifest).unwrap();
    std::fs::remove_file(image).unwrap();
    std::fs::remove_file(made.archive).unwrap();
}

/// On other processors the heap image takes the place of the one that the committed archive has.
#[test]
fn archives_of_other_processors_become_as_big() {
    for from in ["linux-aarch64/julia-1.12-llvm19-shards2", "linux-riscv64/julia-1.14-llvm22"] {
        let made = big(from, HEAP, &scratch("big-elsewhere")).unwrap();
        let manifest = Manifest::read(&made.expect).unwrap();
        let file = std::fs::metadata(&made.archive).unwrap();
        assert!(file.len() > HEAP && file.blocks() * 512 < 20 << 20, "{} bytes on disk", file.blocks() * 512);
        // SAFETY: nobody writes the file, which this test made.
        let data = unsafe { memmap2::Mmap::map(&std::fs::File::open(&made.archive).unwrap()).unwrap() };
        let archive = ArchiveFile::parse(&*data).unwrap();
        let member = archive.members().map(Result::unwrap).find(|member| member.name() == b"sysimg.o").unwrap();
        let object = object::File::parse(member.data(&*data).unwrap()).unwrap();
        let heap = object.symbol_by_name("jl_system_image_data").unwrap();
        let section = object.section_by_index(heap.section_index().unwrap()).unwrap();
        assert_eq!((heap.size(), section.size(), section.name().unwrap()), (HEAP, HEAP, ".data"));
        let contents = section.data().unwrap();
        for offset in [0, 8, 16 << 20, HEAP - 8] {
            let word = u64::from_le_bytes(contents[offset as usize..][..8].try_into().unwrap());
            assert_eq!(word, manifest.heap_word(offset), "{from} at {offset:#x}");
        }
        let size = object.symbol_by_name("jl_system_image_size").unwrap();
        let read_only = object.section_by_index(size.section_index().unwrap()).unwrap();
        assert_eq!(read_only.data_range(size.address(), 8).unwrap().unwrap(), HEAP.to_le_bytes(), "{from}");
        std::fs::remove_file(made.archive).unwrap();
    }
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, gcc-riscv64-linux-gnu and qemu-user-static"]
fn a_sparse_heap_image_runs_on_other_processors() {
    for from in ["linux-aarch64/julia-1.12-llvm19-shards2", "linux-riscv64/julia-1.14-llvm22"] {
        let target = Target::by_name(from.split('/').next().unwrap()).unwrap();
        // The linking finds the stub libraries by the folder's name.
        let made = big(from, 100_000_003, &scratch("sparse").join(target.name)).unwrap();
        let manifest = Manifest::read(&made.expect).unwrap();
        let image = link(&made.archive, manifest.julia, &["--eh-frame-hdr"]);
        let stubs = Stubs::committed_for(target, manifest.julia);
        pkgld_corpus::run::check(target, &image, &manifest, &stubs).unwrap_or_else(|error| panic!("{from}: {error}"));
        std::fs::remove_file(image).unwrap();
        std::fs::remove_file(made.archive).unwrap();
    }
}

/// What the file is for: were LLD to link it one day, tests that show pkgld's images beyond 2 GiB could compare with it.
#[test]
fn lld_cannot_link_it() {
    for from in ["julia-1.12-llvm19-shards3", "julia-1.11-llvm16"] {
        let made = big(from, HEAP + 1, &scratch("big")).unwrap();
        let manifest = Manifest::read(&made.expect).unwrap();
        let (output, mut command) = link_command(&made.archive, manifest.julia, &[]);
        let out = command.output().unwrap();
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && message.contains("out of range"), "{from}: {message}");
        assert!(!output.exists());
        std::fs::remove_file(made.archive).unwrap();
    }
}
