//! Finds an image's functions and slots as Julia's loader does, fills the slots, and calls what the manifest lists.
//!
//! # The walk
//!
//! From 1.10 on everything hangs off the exported variable `jl_image_pointers`, an array of pointers:
//!
//! | word | points to |
//! |---|---|
//! | 0 | the header, `u32` × 4: version (1), number of shards, of functions, of variables |
//! | 1 | the shard tables, one after the other: 8 pointers each (1.10: 9) |
//! | 2 | three pointers: `jl_pgcstack_func_slot`, `jl_pgcstack_key_slot`, `jl_tls_offset` |
//! | 3 | `jl_small_typeof`, 128 words that the loader copies in |
//! | 4 | the CPU targets: a `u32` count, then what the loader compares with the host |
//! | 5 | 1.14: the CPU target string |
//!
//! A shard's table from 1.11 on, and what the loader does with it:
//!
//! | word | name | what |
//! |---|---|---|
//! | 0 | `jl_fvar_count_i` | pointer-sized number of functions |
//! | 1 | `jl_fvar_ptrs_i` | their addresses |
//! | 2 | `jl_fvar_idxs_i` | `u32` index of each in the whole image |
//! | 3 | `jl_gvar_offsets_i` | `i32` count, then the distance of each variable from this table |
//! | 4 | `jl_gvar_idxs_i` | `u32` index of each in the whole image |
//! | 5 | `jl_clone_slots_i` | `i32` count, then pairs: function (in the shard), distance of its slot from this table |
//! | 6 | `jl_clone_ptrs_i` | addresses of clones, target after target |
//! | 7 | `jl_clone_idxs_i` | for each target a length and indices, below |
//!
//! In 1.10 functions are `i32` distances too: `jl_fvar_base`, `jl_fvar_offsets`, `jl_fvar_idxs`, `jl_gvar_base`,
//! `jl_gvar_offsets`, `jl_gvar_idxs`, `jl_clone_slots`, `jl_clone_offsets`, `jl_clone_idxs`, distances of variables
//! and slots counted from `jl_gvar_base`, those of functions and clones from `jl_fvar_base`. In 1.9 the same tables,
//! for one shard and without index tables, are exported: `jl_sysimg_fvars_base`, `jl_sysimg_fvars_offsets`,
//! `jl_sysimg_gvars_base`, `jl_sysimg_gvars_offsets`, `jl_dispatch_reloc_slots`, `jl_dispatch_fvars_offsets`,
//! `jl_dispatch_fvars_idxs`.
//!
//! `jl_clone_idxs`: a length with the top bit set means "all functions" (target 0 is that), and the indices after it are
//! those of functions that have slots. A length without it is followed by the index of the base target, then by the
//! indices of the cloned functions, each with the top bit set if it has slots. The clone, or the function itself if
//! it has none, goes into the slots.
//!
//! # What a test fills in
//!
//! Variable `i` gets [`gvar_value`]`(i)`, or a runtime function's address where the manifest says so; `jl_small_typeof`
//! word `i` gets [`small_typeof_value`]`(i)`; the function slot the address of the stub's `jl_get_pgcstack`; the key and
//! the offset slot two constants, all cut to a pointer's size. Then every call of the manifest must return what it says.

use std::ffi::c_void;
use std::fmt;

use crate::eval::{PGCSTACK_KEY, TLS_OFFSET};
use crate::julia::{Julia, Tables};
use crate::manifest::{Call, Manifest};
use crate::mix::{Rng, gvar_value, small_typeof_value};

/// Looks up a name in one library, as `dlsym` does.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<*const u8>;

/// The tag bit of lengths and indices.
const TAG: u32 = 0x8000_0000;

/// An image whose slots are filled.
#[derive(Debug)]
pub struct Image {
    functions: Vec<*const u8>,
    heap: *const u8,
    targets: u32,
}

/// What [`check`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Functions of the image that were called, all with the right result.
    pub calls: usize,
    /// Words of the heap image that were compared.
    pub words: usize,
    /// Slots of variables that were filled.
    pub gvars: usize,
    /// Frames of the image that were unwound; by [`run::check`](crate::run::check) only.
    pub frames: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, words, gvars, frames } = self;
        write!(f, "{calls} calls, {words} words of the heap image, {gvars} variables, {frames} frames")
    }
}

/// One module's tables, in the form of the newest generation.
struct Shard {
    functions: Vec<*const u8>,
    function_indices: *const u32,
    variables: Vec<*const u8>,
    variable_indices: *const u32,
    /// Function in the shard, slot.
    slots: Vec<(u32, *mut *const u8)>,
    clone_indices: *const u32,
    /// The `n`th clone.
    clones: Clones,
}

enum Clones {
    Pointers(*const *const u8),
    Offsets { base: *const u8, offsets: *const i32 },
}

impl Clones {
    unsafe fn at(&self, n: usize) -> *const u8 {
        // SAFETY: the caller keeps `n` within the table that the shard's clone indices describe.
        unsafe {
            match *self {
                Self::Pointers(pointers) => *pointers.add(n),
                Self::Offsets { base, offsets } => base.offset(*offsets.add(n) as isize),
            }
        }
    }
}

fn required(lookup: Lookup<'_>, name: &str) -> Result<*const u8, String> {
    lookup(name).ok_or_else(|| format!("{name}: not found"))
}

/// A count and as many words after it.
unsafe fn counted<'a>(table: *const i32) -> &'a [i32] {
    // SAFETY: the caller passes a table of that form.
    unsafe { std::slice::from_raw_parts(table.add(1), *table as u32 as usize) }
}

impl Image {
    /// Walks the tables of an image of `manifest`'s kind, chooses a CPU target and fills the slots.
    ///
    /// `image` looks names up in the image alone, `runtime` in libjulia-internal.
    ///
    /// # Errors
    /// A name that is not exported, a table that contradicts another, an address out of the reach of Julia's 32-bit
    /// distances, in words.
    ///
    /// # Safety
    /// `image` must give the addresses of an image, writable where Julia writes, that was linked from the archive which
    /// `manifest` belongs to, and `runtime` those of the stubs. Nothing else may use the image meanwhile.
    pub unsafe fn load(
        manifest: &Manifest,
        target: u32,
        image: Lookup<'_>,
        runtime: Lookup<'_>,
    ) -> Result<Self, String> {
        // SAFETY: all pointers come from the tables of the image, whose form the caller vouches for.
        unsafe {
            identity(manifest, image, runtime)?;
            let (shards, base) = match manifest.julia.tables() {
                Tables::Sysimg => (vec![shard_1_9(image)?], required(image, "jl_sysimg_gvars_base")?),
                _ => shards(manifest, image)?,
            };
            let targets = tls_and_targets(manifest, image, runtime)?;
            let mut functions = vec![std::ptr::null(); manifest.fvars as usize];
            let mut variables = vec![std::ptr::null(); manifest.gvars as usize];
            for shard in &shards {
                let own = choose(shard, target)?;
                let place =
                    |indices: *const u32, i: usize| if indices.is_null() { i } else { *indices.add(i) as usize };
                for (i, &function) in own.iter().enumerate() {
                    fill(&mut functions, place(shard.function_indices, i), function, "function")?;
                }
                for (i, &variable) in shard.variables.iter().enumerate() {
                    fill(&mut variables, place(shard.variable_indices, i), variable, "variable")?;
                }
            }
            if functions.iter().chain(&variables).any(|address| address.is_null()) {
                return Err("the shards do not cover all functions and variables".to_owned());
            }
            for (index, &variable) in variables.iter().enumerate() {
                // Julia keeps the distance in 32 bits.
                i32::try_from((variable as isize).wrapping_sub(base as isize))
                    .map_err(|_| format!("variable {index} is more than 2 GiB away from the header"))?;
                *variable.cast_mut().cast::<usize>() = gvar_value(index as u32) as usize;
            }
            for (index, function) in &manifest.function_gvars {
                *variables[*index as usize].cast_mut().cast::<*const u8>() = required(runtime, function)?;
            }
            Ok(Self { functions, heap: required(image, "jl_system_image_data")?, targets })
        }
    }

    /// The CPU targets that the image says it has code for.
    pub fn targets(&self) -> u32 {
        self.targets
    }

    /// The address of function `fvar`, for the chosen CPU target.
    pub fn function(&self, fvar: u32) -> *const u8 {
        self.functions[fvar as usize]
    }

    /// The address of the heap image.
    pub fn heap(&self) -> *const u8 {
        self.heap
    }

    /// Calls function `fvar` with the native signature.
    ///
    /// # Safety
    /// The image must still be loaded, and the function have that signature: it is of a `probe`, `base` or `unwind` line.
    pub unsafe fn call(&self, fvar: u32, arg: u64) -> u64 {
        // SAFETY: as the caller says.
        unsafe { call(self.function(fvar), arg) }
    }

    /// Calls function `fvar` with the boxed signature: a boxed argument, a boxed result.
    ///
    /// # Safety
    /// The image must still be loaded, and the function have that signature: it is of a `boxed` line.
    pub unsafe fn call_boxed(&self, fvar: u32, arg: u64) -> u64 {
        type Boxed = extern "C" fn(*const c_void, *const *const u64, u32) -> *const u64;
        // SAFETY: as the caller says; the result points to a cell of the stub.
        unsafe {
            let function: Boxed = std::mem::transmute(self.function(fvar));
            let cell = &raw const arg;
            *function(std::ptr::null(), &raw const cell, 1)
        }
    }
}

unsafe fn call(function: *const u8, arg: u64) -> u64 {
    // SAFETY: the caller vouches for the signature.
    let function: extern "C" fn(u64) -> u64 = unsafe { std::mem::transmute(function) };
    function(arg)
}

/// Puts `address` where no other shard has put one.
fn fill(table: &mut [*const u8], index: usize, address: *const u8, what: &str) -> Result<(), String> {
    match table.get_mut(index) {
        Some(place) if place.is_null() => *place = address,
        Some(_) => return Err(format!("{what} {index} is in two shards")),
        None => return Err(format!("{what} {index} is beyond the count")),
    }
    Ok(())
}

/// The check by which Julia finds that an image belongs to the running libjulia-internal, and what a version adds.
unsafe fn identity(manifest: &Manifest, image: Lookup<'_>, runtime: Lookup<'_>) -> Result<(), String> {
    let handle = required(runtime, "jl_RTLD_DEFAULT_handle")?;
    // SAFETY: the names are those of a function without arguments and of pointers, in every image of that version.
    let of_image = unsafe {
        if manifest.julia >= Julia::V1_11 {
            let function = required(image, "get_jl_RTLD_DEFAULT_handle_addr")?;
            std::mem::transmute::<*const u8, extern "C" fn() -> *const u8>(function)()
        } else {
            *required(image, "jl_RTLD_DEFAULT_handle_pointer")?.cast::<*const u8>()
        }
    };
    if of_image != handle {
        return Err(format!("jl_RTLD_DEFAULT_handle is {of_image:p} for the image, {handle:p} for the runtime"));
    }
    if manifest.julia >= Julia::V1_13 {
        let unpack = required(runtime, "jl_image_unpack_uncomp")?;
        // SAFETY: as above.
        let of_image = unsafe { *required(image, "jl_image_unpack")?.cast::<*const u8>() };
        if of_image != unpack {
            return Err(format!("jl_image_unpack holds {of_image:p}, jl_image_unpack_uncomp is {unpack:p}"));
        }
    }
    if manifest.julia >= Julia::V1_14 {
        // SAFETY: a u32 in every image of that version.
        let sum = unsafe { *required(image, "jl_system_image_checksum")?.cast::<u32>() };
        let expected = crate::mix::heap_word(manifest.heap_seed, u64::MAX) as u32;
        if sum != expected {
            return Err(format!("jl_system_image_checksum is {sum:#x}, not {expected:#x}"));
        }
    }
    // SAFETY: pointer-sized in every image.
    let size = unsafe { *required(image, "jl_system_image_size")?.cast::<usize>() };
    if size as u64 != manifest.heap {
        return Err(format!("jl_system_image_size is {size}, not {}", manifest.heap));
    }
    Ok(())
}

/// The tables of each shard, and the address that Julia counts distances of variables from.
unsafe fn shards(manifest: &Manifest, image: Lookup<'_>) -> Result<(Vec<Shard>, *const u8), String> {
    // SAFETY: `jl_image_pointers` leads to tables of the form that the module's text describes.
    unsafe {
        let pointers = required(image, "jl_image_pointers")?.cast::<*const u8>();
        let header = (*pointers).cast::<u32>();
        let counts = std::slice::from_raw_parts(header, 4);
        let expected = [1, manifest.shards, manifest.fvars, manifest.gvars];
        if counts != expected {
            return Err(format!("the header says {counts:?}, not {expected:?}"));
        }
        let width = if manifest.julia.tables() == Tables::Pointers { 8 } else { 9 };
        let tables = (*pointers.add(1)).cast::<*const u8>();
        let shards = (0..manifest.shards as usize)
            .map(|shard| {
                let words = std::slice::from_raw_parts(tables.add(shard * width), width);
                if width == 8 { shard_pointers(words) } else { shard_offsets(words) }
            })
            .collect();
        Ok((shards, header.cast()))
    }
}

unsafe fn shard_pointers(words: &[*const u8]) -> Shard {
    // SAFETY: the words are a shard's table of 1.11 or later.
    unsafe {
        let count = *words[0].cast::<usize>();
        let distances = |table: *const u8| counted(table.cast());
        let slots = std::slice::from_raw_parts(words[5].cast::<i32>().add(1), 2 * *words[5].cast::<u32>() as usize);
        Shard {
            functions: std::slice::from_raw_parts(words[1].cast::<*const u8>(), count).to_vec(),
            function_indices: words[2].cast(),
            variables: distances(words[3]).iter().map(|&by| words[3].offset(by as isize)).collect(),
            variable_indices: words[4].cast(),
            slots: slots
                .chunks_exact(2)
                .map(|pair| (pair[0] as u32, words[5].offset(pair[1] as isize).cast_mut().cast()))
                .collect(),
            clone_indices: words[7].cast(),
            clones: Clones::Pointers(words[6].cast()),
        }
    }
}

/// From base and offsets of functions, indices, base and offsets of variables, indices, slots, clones, clone indices.
unsafe fn shard_offsets(words: &[*const u8]) -> Shard {
    // SAFETY: the words are a shard's table of 1.10, or the same of 1.9.
    unsafe {
        let slots = std::slice::from_raw_parts(words[6].cast::<i32>().add(1), 2 * *words[6].cast::<u32>() as usize);
        Shard {
            functions: counted(words[1].cast()).iter().map(|&by| words[0].offset(by as isize)).collect(),
            function_indices: words[2].cast(),
            variables: counted(words[4].cast()).iter().map(|&by| words[3].offset(by as isize)).collect(),
            variable_indices: words[5].cast(),
            slots: slots
                .chunks_exact(2)
                .map(|pair| (pair[0] as u32, words[3].offset(pair[1] as isize).cast_mut().cast()))
                .collect(),
            clone_indices: words[8].cast(),
            clones: Clones::Offsets { base: words[0], offsets: words[7].cast() },
        }
    }
}

unsafe fn shard_1_9(image: Lookup<'_>) -> Result<Shard, String> {
    let none = std::ptr::null();
    let words = [
        required(image, "jl_sysimg_fvars_base")?,
        required(image, "jl_sysimg_fvars_offsets")?,
        none,
        required(image, "jl_sysimg_gvars_base")?,
        required(image, "jl_sysimg_gvars_offsets")?,
        none,
        required(image, "jl_dispatch_reloc_slots")?,
        required(image, "jl_dispatch_fvars_offsets")?,
        required(image, "jl_dispatch_fvars_idxs")?,
    ];
    // SAFETY: these are the tables of 1.9, which has no indices: null stands for the identity.
    Ok(unsafe { shard_offsets(&words) })
}

/// Fills the slots that are no shard's, and returns the number of CPU targets.
unsafe fn tls_and_targets(manifest: &Manifest, image: Lookup<'_>, runtime: Lookup<'_>) -> Result<u32, String> {
    // SAFETY: the slots are pointer-sized and writable, `jl_small_typeof` has 128 words.
    unsafe {
        let (slots, ids) = if manifest.julia.tables() == Tables::Sysimg {
            let slot = |name| required(image, name).map(|slot| slot.cast_mut().cast::<usize>());
            let slots = [slot("jl_pgcstack_func_slot")?, slot("jl_pgcstack_key_slot")?, slot("jl_tls_offset_image")?];
            (slots, required(image, "jl_dispatch_target_ids")?)
        } else {
            let pointers = required(image, "jl_image_pointers")?.cast::<*const u8>();
            let small_typeof = (*pointers.add(3)).cast_mut().cast::<usize>();
            for index in 0..128 {
                *small_typeof.add(index) = small_typeof_value(index as u32) as usize;
            }
            ((*pointers.add(2)).cast::<[*mut usize; 3]>().read(), *pointers.add(4))
        };
        *slots[0] = required(runtime, "jl_get_pgcstack")? as usize;
        *slots[1] = PGCSTACK_KEY as usize;
        *slots[2] = TLS_OFFSET as usize;
        let targets = ids.cast::<u32>().read_unaligned();
        if targets != manifest.targets {
            return Err(format!("the image says it has {targets} CPU targets, not {}", manifest.targets));
        }
        Ok(targets)
    }
}

/// Chooses a CPU target: fills the shard's relocation slots and returns its functions.
unsafe fn choose(shard: &Shard, target: u32) -> Result<Vec<*const u8>, String> {
    let mut functions = shard.functions.clone();
    let mut indices = shard.clone_indices;
    let mut first_clone = 0;
    // SAFETY: the indices of the targets before the chosen one are there, of the form that the module's text describes.
    let chosen = unsafe {
        for passed in 0..target {
            let length = *indices;
            if length & TAG != 0 {
                first_clone += if passed == 0 { 0 } else { functions.len() };
                indices = indices.add(1 + (length & !TAG) as usize);
            } else {
                first_clone += length as usize;
                indices = indices.add(2 + length as usize);
            }
        }
        let length = *indices;
        let skip = if length & TAG != 0 { 1 } else { 2 };
        if length & TAG != 0 && target != 0 {
            for (i, function) in functions.iter_mut().enumerate() {
                *function = shard.clones.at(first_clone + i);
            }
        } else if length & TAG == 0 && *indices.add(1) != 0 {
            return Err("clones of clones are not generated".to_owned());
        }
        std::slice::from_raw_parts(indices, skip + (length & !TAG) as usize)
    };
    let all = chosen[0] & TAG != 0;
    for (i, &index) in chosen[if all { 1 } else { 2 }..].iter().enumerate() {
        let function = (index & !TAG) as usize;
        if !all {
            // SAFETY: there are as many clones as indices.
            functions[function] = unsafe { shard.clones.at(first_clone + i) };
            if index & TAG == 0 {
                continue;
            }
        }
        let mut slots = shard.slots.iter().filter(|(owner, _)| *owner as usize == function).peekable();
        if slots.peek().is_none() {
            return Err(format!("function {function} of a shard has no relocation slot"));
        }
        for (_, slot) in slots {
            // SAFETY: the slot is a writable pointer of the image.
            unsafe { **slot = functions[function] };
        }
    }
    Ok(functions)
}

/// Loads the image for each CPU target in turn, compares the heap image, and makes all calls of the manifest but those
/// that unwind.
///
/// # Errors
/// What is wrong, one line a finding.
///
/// # Safety
/// As for [`Image::load`].
pub unsafe fn check(manifest: &Manifest, image: Lookup<'_>, runtime: Lookup<'_>) -> Result<Report, String> {
    let mut report = Report { gvars: manifest.gvars as usize, ..Report::default() };
    let mut findings = Vec::new();
    for target in 0..manifest.targets {
        // SAFETY: as the caller says.
        let loaded = unsafe { Image::load(manifest, target, image, runtime) }?;
        let mut expect = |call: &Call, result: u64| {
            report.calls += 1;
            if result != call.result {
                findings.push(format!(
                    "function {} ({}) for CPU target {target}: {result:#x}, not {:#x}",
                    call.fvar, call.what, call.result
                ));
            }
        };
        for probe in &manifest.probes {
            let base = manifest.base.iter().find(|base| base.fvar == probe.fvar && target + 1 < manifest.targets);
            let probe = base.unwrap_or(probe);
            // SAFETY: the manifest says that these have the native signature, and those below the boxed one.
            expect(probe, unsafe { loaded.call(probe.fvar, probe.arg) });
        }
        for boxed in &manifest.boxed {
            expect(boxed, unsafe { loaded.call_boxed(boxed.fvar, boxed.arg) });
        }
        for export in &manifest.exports {
            // SAFETY: exported functions have the native signature.
            let result = unsafe { call(required(image, &export.symbol)?, export.arg) };
            report.calls += 1;
            if result != export.result {
                findings.push(format!("{}: {result:#x}, not {:#x}", export.symbol, export.result));
            }
        }
        if target == 0 {
            if !(loaded.heap() as u64).is_multiple_of(manifest.heap_align) {
                findings.push(format!(
                    "the heap image is at {:p}, not aligned to {}",
                    loaded.heap(),
                    manifest.heap_align
                ));
            }
            // SAFETY: the heap image is readable, of that size.
            unsafe { heap(manifest, loaded.heap(), &mut report, &mut findings) };
        }
    }
    if findings.is_empty() { Ok(report) } else { Err(findings.join("\n")) }
}

/// Compares a heap image: all of a small one; the first, the last, the set and some random words of a big one.
unsafe fn heap(manifest: &Manifest, heap: *const u8, report: &mut Report, findings: &mut Vec<String>) {
    const ALL: u64 = 1 << 20;
    let words = manifest.heap.div_ceil(8);
    let mut rng = Rng::new(manifest.heap_seed);
    let step = manifest.heap_stride.max(8);
    let mut compare = |offset: u64| {
        let rest = (manifest.heap - offset).min(8) as usize;
        let mut bytes = [0; 8];
        // SAFETY: `rest` bytes at `offset` are within the heap image.
        unsafe { std::ptr::copy_nonoverlapping(heap.add(offset as usize), bytes.as_mut_ptr(), rest) };
        report.words += 1;
        let (found, expected) = (u64::from_le_bytes(bytes), manifest.heap_word(offset));
        if found != expected && findings.len() < 20 {
            findings.push(format!("the heap image has {found:#x} at {offset:#x}, not {expected:#x}"));
        }
    };
    if words <= ALL {
        (0..words).for_each(|word| compare(8 * word));
    } else {
        compare(8 * (words - 1));
        (0..manifest.heap.div_ceil(step).min(ALL)).for_each(|i| compare(i * step));
        (0..10_000).for_each(|_| compare(8 * (rng.word() % words)));
    }
}
