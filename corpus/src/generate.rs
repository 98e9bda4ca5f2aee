//! From a [`Spec`] to an archive and its manifest.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::julia::Tables;
use crate::manifest::{Call, Export, Manifest, Unwind};
use crate::program::{Kind, Probe, Program};
use crate::sysimg::Sysimg;
use crate::target::{Cpu, Format};
use crate::{Spec, ar, build, coff, elf, ir, llc, macho, names};

/// Calls that a manifest lists of the mass of functions; the probes are all listed.
const MASS_CALLS: usize = 2000;

/// Heap images of at most so many bytes are spelled out where a compiler has to write them.
const SPELLED_OUT: u64 = 1 << 19;

/// How deep the unwinding probe goes.
const DEPTH: u64 = 9;

/// An archive on disk with what its image must compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The archive.
    pub archive: PathBuf,
    /// Its manifest.
    pub expect: PathBuf,
}

impl Generated {
    /// The places of an archive called `name` in `dir`.
    pub(crate) fn places(dir: &Path, name: &str) -> Self {
        Self { archive: dir.join(format!("{name}.a")), expect: dir.join(format!("{name}.expect")) }
    }
}

/// Makes `spec`'s archive `NAME.a` and its manifest `NAME.expect` in `dir`, which is created.
///
/// # Errors
/// A missing `llc-N`, named with its Debian package; a failing one; a directory that cannot be written.
pub fn generate(spec: &Spec, dir: &Path) -> io::Result<Generated> {
    fs::create_dir_all(dir)?;
    let program = build::program(spec);
    let scratch = dir.join(unique(spec));
    fs::create_dir_all(&scratch)?;
    let members = compile_members(spec, &program, &scratch);
    let sysimg = plan_sysimg(spec, &scratch);
    fs::remove_dir_all(&scratch)?;
    pack(spec, members?, sysimg?, &manifest(spec, &program), dir)
}

/// The archive of `spec` in `dir`, if it is there and its manifest is what [`generate`] would write.
pub(crate) fn current(spec: &Spec, dir: &Path) -> Option<Generated> {
    let places = Generated::places(dir, &spec.name);
    // The archive appears under its name whole, after the manifest.
    let written = fs::read_to_string(&places.expect).ok()?;
    let current = places.archive.is_file() && written == manifest(spec, &build::program(spec)).to_string();
    current.then_some(places)
}

/// Makes `NAME.a` and `NAME.expect` in `dir` from an archive that was made before: the same code, with `spec`'s heap
/// image, seed and name. Needs no compiler, and takes the time and space of what is not zero.
///
/// # Errors
/// An archive that cannot be read or is not of this generator; a directory that cannot be written.
///
/// # Panics
/// If `spec` is of another target, Julia or LLVM than the archive.
pub fn generate_from(archive: &Path, spec: &Spec, dir: &Path) -> io::Result<Generated> {
    fs::create_dir_all(dir)?;
    let mut manifest = Manifest::read(&archive.with_extension("expect"))?;
    assert_eq!((&*manifest.target, manifest.julia, manifest.llvm), (spec.target.name, spec.julia, spec.llvm));
    (manifest.heap, manifest.heap_align) = (spec.heap, spec.heap_align);
    (manifest.heap_seed, manifest.heap_stride) = (spec.seed, spec.heap_stride);
    let bytes = fs::read(archive)?;
    let members = ar::members(&bytes).ok_or_else(|| io::Error::other(format!("{}: broken", archive.display())))?;
    let image = image_member(spec);
    let (image, code): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| *name == image);
    let sysimg = match (spec.target.format, spec.target.cpu) {
        (Format::Elf, Cpu::X86_64) => Some(Sysimg::new(spec)),
        (Format::MachO | Format::Coff, _) => return Err(io::Error::other("images of that format are not grown")),
        _ => image.first().and_then(|(_, small)| Sysimg::grown(small, spec)),
    };
    let sysimg = sysimg.ok_or_else(|| io::Error::other(format!("{}: no heap image", archive.display())))?;
    let code = code.into_iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
    pack(spec, code, sysimg, &manifest, dir)
}

/// The member with the heap image as `llc` compiles it: what [`written_sysimg`] must equal. For small heap images.
///
/// # Errors
/// As of [`generate`].
pub fn reference_sysimg(spec: &Spec, dir: &Path) -> io::Result<Vec<u8>> {
    fs::create_dir_all(dir)?;
    llc::compile(spec, dir, image_member(spec), &ir::sysimg(spec))
}

/// The member with the heap image as the generator writes it.
///
/// # Errors
/// As of [`generate`].
pub fn written_sysimg(spec: &Spec, dir: &Path) -> io::Result<Vec<u8>> {
    fs::create_dir_all(dir)?;
    let mut out = io::Cursor::new(Vec::new());
    plan_sysimg(spec, dir)?.write(&mut out)?;
    Ok(out.into_inner())
}

/// Plans the member with the heap image, for which the compiler is needed except on x86-64 ELF.
fn plan_sysimg(spec: &Spec, dir: &Path) -> io::Result<Sysimg> {
    if spec.target.format != Format::Elf {
        let object = if spec.heap <= SPELLED_OUT {
            reference_sysimg(spec, dir)?
        } else {
            let contents = dir.join("heap");
            let mut file = BufWriter::new(File::create(&contents)?);
            Sysimg::heap_alone(spec).write(&mut file)?;
            file.into_inner()?;
            let object = llc::compile(spec, dir, image_member(spec), &ir::sysimg_of_file(spec, &contents))?;
            fs::remove_file(&contents)?;
            object
        };
        return Ok(Sysimg::compiled(defined_globals(spec.target.format, &object), object));
    }
    if spec.target.cpu == Cpu::X86_64 {
        return Ok(Sysimg::new(spec));
    }
    let small = Spec { heap: 16, ..spec.clone() };
    let small = llc::compile(&small, dir, image_member(spec), &ir::sysimg(&small))?;
    Sysimg::grown(&small, spec).ok_or_else(|| io::Error::other("llc wrote another kind of object than it used to"))
}

/// The name of the member with the heap image.
fn image_member(spec: &Spec) -> &'static str {
    if spec.julia.tables() == Tables::Sysimg { "data.o" } else { "sysimg.o" }
}

/// A name that no other call, of this process or another, uses meanwhile.
fn unique(spec: &Spec) -> String {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    format!(".{}.{}.{}", spec.name, std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

/// Writes the archive of compiled members and the heap image, and the manifest.
fn pack(
    spec: &Spec,
    code: Vec<(String, Vec<u8>)>,
    sysimg: Sysimg,
    manifest: &Manifest,
    dir: &Path,
) -> io::Result<Generated> {
    let places = Generated::places(dir, &spec.name);
    let mut members: Vec<ar::Member> = code
        .into_iter()
        .map(|(name, bytes)| ar::Member {
            name,
            symbols: defined_globals(spec.target.format, &bytes),
            contents: ar::Contents::Bytes(bytes),
        })
        .collect();
    members.push(ar::Member {
        name: image_member(spec).to_owned(),
        symbols: sysimg.symbols.clone(),
        contents: ar::Contents::Sysimg(sysimg),
    });
    // A new file under the name, not the old one's inode: another process may be reading that. The old one goes first,
    // so that it never stands beside the new manifest.
    let partial = dir.join(unique(spec));
    let mut out = BufWriter::new(File::create(&partial)?);
    match spec.target.format {
        Format::MachO => ar::write_darwin(&mut out, &members)?,
        Format::Elf | Format::Coff => ar::write(&mut out, &members, spec.sym64)?,
    }
    out.flush()?;
    match fs::remove_file(&places.archive) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(&places.expect, manifest.to_string())?;
    fs::rename(&partial, &places.archive)?;
    Ok(places)
}

/// The global symbols that an object of `llc` defines, for the archive's table.
fn defined_globals(format: Format, object: &[u8]) -> Vec<Vec<u8>> {
    let names = match format {
        Format::Elf => elf::defined_globals(object),
        Format::MachO => macho::defined_globals(object),
        Format::Coff => coff::defined_globals(object),
    };
    names.expect("llc writes objects of the target's format")
}

/// Packs objects of macOS into an archive that is searched by name.
pub(crate) fn pack_darwin(objects: Vec<(String, Vec<u8>)>, archive: &Path) -> io::Result<()> {
    let members = objects.into_iter().map(|(name, bytes)| ar::Member {
        name,
        symbols: defined_globals(Format::MachO, &bytes),
        contents: ar::Contents::Bytes(bytes),
    });
    ar::write_darwin(&mut File::create(archive)?, &members.collect::<Vec<_>>())
}

/// The objects of code in the archive's order, compiled by as many threads as there are processors.
fn compile_members(spec: &Spec, program: &Program, scratch: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let names: Vec<String> = match spec.julia.tables() {
        Tables::Sysimg => vec!["text.o".to_owned()],
        _ => (0..spec.shards).map(|shard| format!("text#{shard}.o")).chain(["metadata.o".to_owned()]).collect(),
    };
    let objects: Vec<Mutex<io::Result<Vec<u8>>>> = names.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(names.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(index) else { return };
                    let assembly = match name.as_str() {
                        "metadata.o" => ir::metadata(spec, program),
                        _ => ir::shard(spec, program, index),
                    };
                    let object = llc::compile(spec, scratch, name, &assembly);
                    *objects[index].lock().expect("no thread panics while it holds a lock") = object;
                }
            });
        }
    });
    let objects = objects.into_iter().map(|object| object.into_inner().expect("as above"));
    names.into_iter().zip(objects).map(|(name, object)| Ok((name, object?))).collect()
}

/// The manifest of the image that `spec` and `program` describe.
fn manifest(spec: &Spec, program: &Program) -> Manifest {
    let mut index_of = vec![u32::MAX; program.functions.len()];
    for (index, id) in program.fvars().enumerate() {
        index_of[id] = index as u32;
    }
    let argument = |probe: &Probe| 0x5eed_0000_0000_0000 | (probe.function as u64) << 16 | 0x2a;
    let call = |probe: &Probe, target: u32| Call {
        fvar: index_of[probe.function],
        arg: argument(probe),
        result: program.eval(probe.function, argument(probe), target),
        what: format!("{}: {}", program.functions[probe.function].name, probe.what),
    };
    let listed = |probes: &[Probe]| -> Vec<Probe> {
        // All of the first, which exercise one thing each; of the mass an even sample.
        let (single, mass): (Vec<_>, Vec<_>) =
            probes.iter().cloned().partition(|probe| !probe.what.starts_with("one of the mass"));
        let step = mass.len().div_ceil(MASS_CALLS).max(1);
        single.into_iter().chain(mass.into_iter().step_by(step)).collect()
    };
    let top = program.targets - 1;
    let probes = listed(&program.probes);
    let base = probes.iter().map(|probe| call(probe, 0)).zip(probes.iter().map(|probe| call(probe, top)));
    Manifest {
        target: spec.target.name.to_owned(),
        julia: spec.julia,
        llvm: spec.llvm,
        shards: program.shards as u32,
        targets: program.targets,
        fvars: program.fvars().count() as u32,
        gvars: program.gvars.len() as u32,
        heap: spec.heap,
        heap_align: spec.heap_align,
        heap_seed: spec.seed,
        heap_stride: spec.heap_stride,
        function_gvars: (program.gvars.iter().enumerate())
            .filter_map(|(index, gvar)| Some((index as u32, names::FUNCTIONS[gvar.value?].to_owned())))
            .collect(),
        base: base.filter(|(base, top)| base != top).map(|(base, _)| base).collect(),
        boxed: listed(&program.boxed_probes).iter().map(|probe| call(probe, top)).collect(),
        exports: (program.exports.iter())
            .map(|(symbol, id)| {
                let arg = 0x1234_5678_9abc_def0;
                Export { symbol: symbol.clone(), arg, result: program.eval(*id, arg, top) }
            })
            .collect(),
        unwind: (program.unwind.iter())
            .map(|&id| {
                let guarded = matches!(program.functions[id].kind, Kind::Guarded(_));
                let frames = DEPTH + 1;
                Unwind { fvar: index_of[id], arg: DEPTH, frames, cleanups: if guarded { frames } else { 0 } }
            })
            .collect(),
        probes: probes.iter().map(|probe| call(probe, top)).collect(),
    }
}
