//! From a [`Spec`] to an archive and its manifest.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::julia::Tables;
use crate::manifest::{Call, Export, Manifest, Unwind};
use crate::program::{Probe, Program};
use crate::{Spec, ar, build, elf, ir, llc, names};

/// Calls that a manifest lists of the mass of functions; the probes are all listed.
const MASS_CALLS: usize = 2000;

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
    let places = Generated::places(dir, &spec.name);
    let program = build::program(spec);
    let scratch = dir.join(format!(".{}.{}", spec.name, std::process::id()));
    fs::create_dir_all(&scratch)?;
    let members = compile_members(spec, &program, &scratch);
    fs::remove_dir_all(&scratch)?;
    let members = members?;
    let packed: Vec<ar::Member<'_>> = members
        .iter()
        .map(|(name, bytes)| ar::Member {
            name: name.clone(),
            bytes,
            symbols: elf::defined_globals(bytes).expect("llc writes objects of 64-bit ELF"),
        })
        .collect();
    let mut out = BufWriter::new(File::create(&places.archive)?);
    ar::write(&mut out, &packed, spec.sym64)?;
    out.flush()?;
    fs::write(&places.expect, manifest(spec, &program).to_string())?;
    Ok(places)
}

/// The objects in the archive's order, compiled by as many threads as there are processors.
fn compile_members(spec: &Spec, program: &Program, scratch: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let names: Vec<String> = match spec.julia.tables() {
        Tables::Sysimg => vec!["text.o".to_owned(), "data.o".to_owned()],
        _ => {
            let texts = (0..spec.shards).map(|shard| format!("text#{shard}.o"));
            texts.chain(["metadata.o".to_owned(), "sysimg.o".to_owned()]).collect()
        }
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
                        "sysimg.o" => ir::sysimg(spec),
                        "data.o" => ir::data_1_9(spec),
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
        heap_stride: 8,
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
            .map(|&id| Unwind { fvar: index_of[id], arg: DEPTH, frames: DEPTH + 1 })
            .collect(),
        probes: probes.iter().map(|probe| call(probe, top)).collect(),
    }
}
