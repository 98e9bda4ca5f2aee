//! Links objects that are in memory, and a heap image that never was in an object, into an image in memory.
//!
//! ```sh
//! cargo run --example memory
//! ```

use pkgld::{Blob, Input, Inputs, Options, Target};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Julia, committed_for, target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What a compiler has just made; here, what is committed for tests.
    let entries = committed_for(target::LINUX_X86_64);
    let entry = entries.iter().find(|entry| entry.julia == Julia::V1_12).ok_or("no archive of Julia 1.12")?;
    let archive = std::fs::read(&entry.path)?;
    let objects: Vec<(String, &[u8])> = object::read::archive::ArchiveFile::parse(&*archive)?
        .members()
        .map(|member| {
            let member = member?;
            Ok((String::from_utf8_lossy(member.name()).into_owned(), member.data(&*archive)?))
        })
        .collect::<Result<_, object::Error>>()?;
    // The heap image is in an object there, and is replaced by another.
    let objects = objects.into_iter().filter(|(name, _)| name != "sysimg.o");
    let heap = vec![7; 1_000_000];

    let mut inputs: Vec<Input<'_>> = objects.map(|(name, bytes)| Input::bytes(name, bytes)).collect();
    let blob = Blob::new("jl_system_image_data", &heap).align(64).size_symbol("jl_system_image_size");
    inputs.push(Input::blob(blob));
    inputs.extend([Input::library("julia"), Input::library("julia-internal")]);

    let mut options = Options::julia(Target::LINUX_X86_64);
    options.search_paths.push(Stubs::committed_for(entry.target, entry.julia).dir);
    let inputs = Inputs::open(inputs, &options)?;
    let (image, report) = pkgld::link(&inputs, &options)?.to_vec()?;
    println!("{} bytes, CRC-32C {:08x}", image.len(), report.crc32c.ok_or("no checksum")?);
    println!("made of {}", report.inputs.join(", "));
    Ok(())
}
