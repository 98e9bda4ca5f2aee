//! Julia's own structures in an image, and whether its loader would take them.
//!
//! From Julia 1.10 on everything hangs off the exported variable `jl_image_pointers`, an array of pointers:
//!
//! | word | points to |
//! |---|---|
//! | 0 | the header, four 32-bit words: version (1), number of shards, of functions, of variables |
//! | 1 | the tables of the shards, one after the other: 8 pointers each (1.10: 9) |
//! | 2 | three pointers: to the slots for the thread's state |
//! | 3 | `jl_small_typeof`, 128 words that the loader fills |
//! | 4 | the CPU targets |
//! | 5 | from 1.14 on: the CPU targets as a string |
//!
//! What the words of a shard's table lead to is told at [`Shard`]. Julia 1.9 exports the tables of its one shard by name.
//! The loader looks names up, follows pointers and believes what it finds: nothing it reads may be missing, and what it
//! writes to must be writable. That is what is checked here, in the order in which the loader meets it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod generation;

use std::collections::BTreeSet;

use self::generation::Generation;
use super::facts::{self, CpuTarget, Heap, Julia};
use super::memory::{Memory, Word};
use super::parts::Parts;
use super::targets;
use super::text_of;

/// The top bit of the lengths and indices in tables of clones.
const TAG: u32 = 0x8000_0000;
/// More findings than a person reads.
const REASONS_LIMIT: usize = 20;

/// Reads Julia's structures; `None` if the image exports none of them.
pub(super) fn read(parts: &Parts<'_>, file: &[u8]) -> Option<Julia> {
    let generation = Generation::of(parts)?;
    let told = Julia { version: generation.name(), ..Julia::default() };
    // Every step reads 4 bytes at least that no other step reads, in a sound image.
    let mut walk = Walk { parts, memory: &parts.memory, generation, told, left: file.len(), more: 0 };
    for name in generation.wanted() {
        if parts.export(name).is_none() {
            walk.reason(format!("{name} is not exported"));
        }
    }
    walk.first_segment();
    walk.heap();
    walk.unpack();
    let read = if generation == Generation::V1_9 { walk.tables_1_9() } else { walk.pointers() };
    if let Err(reason) = read {
        walk.reason(reason);
    }
    if let Some(problem) = parts.signature.as_ref().and_then(|signature| signature.problem.as_ref()) {
        walk.reason(format!("the system would not map it: the signature is wrong: {problem}"));
    } else if parts.target.as_deref() == Some("macos-arm64") && parts.signature.is_none() {
        walk.reason("the system would not map it: it has no signature".to_owned());
    }
    let Walk { mut told, more, .. } = walk;
    if more > 0 {
        told.reasons.push(format!("and {more} more"));
    }
    told.accepted = told.reasons.is_empty();
    Some(told)
}

struct Walk<'p, 'a> {
    parts: &'p Parts<'a>,
    memory: &'p Memory<'a>,
    generation: Generation,
    told: Julia,
    /// How many more steps are taken: a hostile image's tables may be long and overlap.
    left: usize,
    more: u64,
}

/// Where the tables of a shard are. Words of its table from 1.11 on:
///
/// | word | leads to |
/// |---|---|
/// | 0 | the number of functions, pointer-sized |
/// | 1 | their addresses |
/// | 2 | the index of each in the whole image |
/// | 3 | the number of variables, then the distance of each from here |
/// | 4 | the index of each in the whole image |
/// | 5 | the number of slots, then pairs: function of the shard, distance of its slot from here |
/// | 6 | the addresses of clones, target after target |
/// | 7 | which functions those are: for each target a length and indices |
///
/// In 1.10 there are, in this order: base and distances of functions, their indices; base and distances of variables,
/// their indices; slots, counted from the base of variables; distances of clones from the base of functions, their
/// indices. Distances are preceded by their number.
struct Shard {
    functions: Functions,
    function_indices: Option<u64>,
    variables: u64,
    variable_base: u64,
    variable_indices: Option<u64>,
    slots: u64,
    slot_base: u64,
    clones: u64,
    clone_indices: u64,
}

enum Functions {
    Pointers { count: u64, table: u64 },
    Distances { base: u64, table: u64 },
}

impl Walk<'_, '_> {
    fn reason(&mut self, reason: String) {
        if self.told.reasons.len() < REASONS_LIMIT {
            self.told.reasons.push(reason);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Julia takes addresses in DWARF and symbol tables to count from where the image is mapped.
    fn first_segment(&mut self) {
        let first = self.parts.segments.iter().find(|segment| matches!(segment.name.as_str(), "LOAD" | "__TEXT"));
        if let Some(first) = first
            && first.address != 0
        {
            let address = first.address;
            self.reason(format!(
                "the first segment is at 0x{address:x}, not at 0: symbols would be looked up in wrong places"
            ));
        }
    }

    fn heap(&mut self) {
        let Some(address) = self.parts.export("jl_system_image_data") else { return };
        let Some(size) = self.parts.export("jl_system_image_size") else { return };
        let Some(size) = self.memory.number(size, self.memory.pointer) else {
            self.reason("jl_system_image_size is not mapped".to_owned());
            return;
        };
        // Magic number of a frame: RFC 8878, 3.1.1.
        let compressed = self.memory.slice(address, 4) == Some(&[0x28, 0xb5, 0x2f, 0xfd]);
        self.told.heap = Some(Heap {
            address,
            size,
            file_offset: self.memory.file_offset(address).unwrap_or_default(),
            alignment: address & address.wrapping_neg(),
            compression: if compressed { "zstd" } else { "none" },
        });
        if !self.memory.has(address, size) {
            self.reason(format!("the heap image of {size} bytes at 0x{address:x} is not all mapped"));
        }
        if self.memory.piece(address).is_some_and(|piece| !piece.write) {
            self.reason("the heap image is not writable".to_owned());
        }
        if address & 63 != 0 {
            self.reason(format!("the heap image at 0x{address:x} is not aligned to 64 bytes"));
        }
    }

    /// The function that prepares the heap image (from 1.13 on).
    fn unpack(&mut self) {
        if self.generation < Generation::V1_13 {
            return;
        }
        if self.generation >= Generation::V1_14 {
            self.told.checksum = self.parts.export("jl_system_image_checksum").and_then(|at| self.memory.u32(at));
        }
        let Some(place) = self.parts.export("jl_image_unpack") else { return };
        let word = match self.memory.word(place) {
            // On Windows data of the image cannot have another image's address: it is that of an import's thunk.
            Some(Word::Address(thunk)) if self.is_code(thunk) => {
                self.slot_of(thunk).and_then(|slot| self.memory.word(slot))
            }
            word => word,
        };
        match word {
            Some(Word::Import(name)) => {
                let name = text_of(name);
                let name = name.trim_start_matches('_').to_owned();
                let compressed = self.told.heap.as_ref().is_some_and(|heap| heap.compression == "zstd");
                match name.as_str() {
                    "jl_image_unpack_uncomp" if compressed => {
                        self.reason(
                            "the heap image is compressed, and jl_image_unpack_uncomp does not decompress".to_owned(),
                        );
                    }
                    "jl_image_unpack_zstd" if !compressed => {
                        self.reason(
                            "the heap image is not compressed, and jl_image_unpack_zstd decompresses".to_owned(),
                        );
                    }
                    "jl_image_unpack_uncomp" | "jl_image_unpack_zstd" => {}
                    other => self.reason(format!("jl_image_unpack leads to {other}")),
                }
                self.told.unpack = Some(name);
            }
            _ => self.reason("jl_image_unpack does not lead to a function".to_owned()),
        }
    }

    /// The slot through which the import thunk at `address` jumps.
    fn slot_of(&self, address: u64) -> Option<u64> {
        let word = |offset: u64| self.memory.u32(address.checked_add(offset)?);
        let first = word(0)?;
        if first & 0xffff == 0x25ff {
            // ff 25 SLOT: jmp *SLOT, on x86-64 counted from the next instruction.
            let slot = word(2)?;
            let next = address.checked_add(6)?;
            return Some(if self.memory.pointer == 4 {
                slot.into()
            } else {
                next.wrapping_add_signed(slot.cast_signed().into())
            });
        }
        // adrp x16, SLOT; ldr x16, [x16, :lo12:SLOT]; br x16
        let load = word(4)?;
        if first & 0x9f00_001f != 0x9000_0010 || load & 0xffc0_03ff != 0xf940_0210 || word(8)? != 0xd61f_0200 {
            return None;
        }
        // 21 bits with a sign, of pages: the lower two in bits 29 and 30.
        let pages = (((first >> 5) & 0x7_ffff) << 2) | ((first >> 29) & 3);
        let pages = i64::from(pages.wrapping_shl(11).cast_signed() >> 11);
        let page = (address & !0xfff).wrapping_add_signed(pages.wrapping_mul(0x1000));
        page.checked_add(u64::from((load >> 10) & 0xfff).checked_mul(8)?)
    }

    fn is_code(&self, address: u64) -> bool {
        // The lowest bit of a Thumb function's address is a flag.
        self.memory.piece(address & !1).is_some_and(|piece| piece.execute)
    }

    fn is_writable(&self, address: u64, size: u64) -> bool {
        self.memory.has(address, size) && self.memory.piece(address).is_some_and(|piece| piece.write)
    }

    fn step(&mut self) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or("Julia's tables are longer than the file")?;
        Ok(())
    }

    /// The address in word `index` of the array of pointers `table`.
    fn follow(&self, table: u64, index: u64, what: &str) -> Result<u64, String> {
        let place = index.checked_mul(self.memory.pointer).and_then(|by| table.checked_add(by));
        place.and_then(|place| self.memory.pointer(place)).ok_or_else(|| format!("{what}: no pointer leads there"))
    }

    fn u32(&self, table: u64, index: u64, what: &str) -> Result<u32, String> {
        let place = index.checked_mul(4).and_then(|by| table.checked_add(by));
        place.and_then(|place| self.memory.u32(place)).ok_or_else(|| format!("{what}: not mapped"))
    }

    /// The address that the distance at `index` of `table` leads to, from `base` on.
    fn distance(&self, base: u64, table: u64, index: u64, what: &str) -> Result<u64, String> {
        Ok(base.wrapping_add_signed(self.u32(table, index, what)?.cast_signed().into()))
    }

    fn pointers(&mut self) -> Result<(), String> {
        let pointers = self.parts.export("jl_image_pointers").ok_or("jl_image_pointers is not exported")?;
        let header = self.follow(pointers, 0, "jl_image_header")?;
        let fields = [0, 1, 2, 3].map(|field| self.u32(header, field, "jl_image_header"));
        let [version, shards, functions, variables] = fields;
        let (version, shards) = (version?, shards?);
        self.told.header = Some(version);
        self.told.functions = functions?.into();
        self.told.variables = variables?.into();
        if version != 1 {
            return Err(format!("the header's version is {version}: Julia knows 1"));
        }
        self.slots_of_threads(pointers);
        match self.follow(pointers, 3, "jl_small_typeof") {
            Ok(table) if self.is_writable(table, self.memory.pointer.saturating_mul(128)) => {}
            Ok(_) => self.reason("jl_small_typeof is not writable".to_owned()),
            Err(reason) => self.reason(reason),
        }
        let ids = self.follow(pointers, 4, "jl_dispatch_target_ids")?;
        self.targets(ids)?;
        if self.generation >= Generation::V1_14 {
            let string = self.follow(pointers, 5, "jl_cpu_target_string")?;
            self.told.cpu_target = self.memory.string(string).map(text_of);
        }
        let tables = self.follow(pointers, 1, "jl_shard_tables")?;
        let width = if self.generation == Generation::V1_10 { 9 } else { 8 };
        let (functions, variables) = (Places::new(self.told.functions), Places::new(self.told.variables));
        let mut whole = Whole { functions, variables, base: header };
        for shard in 0..u64::from(shards) {
            self.step()?;
            let words = (0..width).map(|word| {
                let index = shard.saturating_mul(width).saturating_add(word);
                self.follow(tables, index, "jl_shard_tables")
            });
            let words = words.collect::<Result<Vec<_>, _>>()?;
            let shard = match *words.as_slice() {
                [count, functions, indices, variables, variable_indices, slots, clones, clone_indices] => {
                    let count = self.memory.number(count, self.memory.pointer).ok_or("jl_fvar_count: not mapped")?;
                    Shard {
                        functions: Functions::Pointers { count, table: functions },
                        function_indices: Some(indices),
                        variables,
                        variable_base: variables,
                        variable_indices: Some(variable_indices),
                        slots,
                        slot_base: slots,
                        clones,
                        clone_indices,
                    }
                }
                [
                    base,
                    functions,
                    indices,
                    variable_base,
                    variables,
                    variable_indices,
                    slots,
                    clones,
                    clone_indices,
                ] => Shard {
                    functions: Functions::Distances { base, table: functions },
                    function_indices: Some(indices),
                    variables,
                    variable_base,
                    variable_indices: Some(variable_indices),
                    slots,
                    slot_base: variable_base,
                    clones,
                    clone_indices,
                },
                _ => return Err("jl_shard_tables: not a table".to_owned()),
            };
            self.shard(&shard, &mut whole)?;
        }
        for (places, what) in [(&whole.functions, "functions"), (&whole.variables, "variables")] {
            let missing = places.missing();
            if missing > 0 {
                self.reason(format!("{missing} {what} are in no shard"));
            }
        }
        Ok(())
    }

    fn tables_1_9(&mut self) -> Result<(), String> {
        let export = |name: &str| self.parts.export(name).ok_or_else(|| format!("{name} is not exported"));
        let (base, table) = (export("jl_sysimg_fvars_base")?, export("jl_sysimg_fvars_offsets")?);
        let slots = export("jl_dispatch_reloc_slots")?;
        let (clones, clone_indices) = (export("jl_dispatch_fvars_offsets")?, export("jl_dispatch_fvars_idxs")?);
        // An image without variables does not have theirs.
        let variables = self.parts.export("jl_sysimg_gvars_offsets");
        let variable_base = self.parts.export("jl_sysimg_gvars_base").unwrap_or_default();
        let ids = export("jl_dispatch_target_ids")?;
        self.targets(ids)?;
        self.told.functions = self.u32(table, 0, "jl_sysimg_fvars_offsets")?.into();
        self.told.variables = match variables {
            Some(variables) => self.u32(variables, 0, "jl_sysimg_gvars_offsets")?.into(),
            None => 0,
        };
        let shard = Shard {
            functions: Functions::Distances { base, table },
            function_indices: None,
            variables: variables.unwrap_or_default(),
            variable_base,
            variable_indices: None,
            slots,
            slot_base: variable_base,
            clones,
            clone_indices,
        };
        let (functions, variables) = (Places::new(self.told.functions), Places::new(self.told.variables));
        let mut whole = Whole { functions, variables, base: variable_base };
        self.shard(&shard, &mut whole)
    }

    fn slots_of_threads(&mut self, pointers: u64) {
        let table = match self.follow(pointers, 2, "jl_ptls_table") {
            Ok(table) => table,
            Err(reason) => return self.reason(reason),
        };
        for (index, name) in (0_u64..).zip(["jl_pgcstack_func_slot", "jl_pgcstack_key_slot", "jl_tls_offset"]) {
            match self.follow(table, index, name) {
                Ok(slot) if self.is_writable(slot, self.memory.pointer) => {}
                Ok(_) => self.reason(format!("{name} is not writable")),
                Err(reason) => self.reason(reason),
            }
        }
    }

    fn targets(&mut self, ids: u64) -> Result<(), String> {
        let rest =
            self.memory.piece(ids).and_then(|piece| crate::bytes::tail(piece.bytes, ids.wrapping_sub(piece.address)));
        let rest = rest.ok_or("jl_dispatch_target_ids: not mapped")?;
        let arch = self.parts.target.as_deref().and_then(|target| target.split('-').nth(1));
        match targets::parse(rest, arch, false) {
            Ok(targets) => self.told.targets = targets,
            Err(malformed) => {
                self.reason(format!("jl_dispatch_target_ids is not what a Julia writes: {malformed}"));
                // Their number comes first in any form: the tables of clones can be read with it.
                let count = crate::bytes::u32(rest, 0).filter(|count| *count <= 256).unwrap_or_default();
                self.told.targets = (0..count).map(|_| CpuTarget::default()).collect();
            }
        }
        Ok(())
    }

    fn shard(&mut self, shard: &Shard, whole: &mut Whole) -> Result<(), String> {
        let number = self.told.shards.len();
        let count = match shard.functions {
            Functions::Pointers { count, .. } => count,
            Functions::Distances { table, .. } => self.u32(table, 0, "jl_fvar_offsets")?.into(),
        };
        for index in 0..count {
            self.step()?;
            let function = match shard.functions {
                Functions::Pointers { table, .. } => self.follow(table, index, "jl_fvar_ptrs")?,
                Functions::Distances { base, table } => {
                    self.distance(base, table, index.saturating_add(1), "jl_fvar_offsets")?
                }
            };
            if !self.is_code(function) {
                self.reason(format!("function {index} of shard {number} at 0x{function:x} is no code"));
            }
            let place = match shard.function_indices {
                Some(table) => self.u32(table, index, "jl_fvar_idxs")?.into(),
                None => index,
            };
            if !whole.functions.take(place) {
                self.reason(format!("function {place} is twice in the shards, or beyond their number"));
            }
        }
        let variables: u64 =
            if shard.variables == 0 { 0 } else { self.u32(shard.variables, 0, "jl_gvar_offsets")?.into() };
        for index in 0..variables {
            self.step()?;
            let variable =
                self.distance(shard.variable_base, shard.variables, index.saturating_add(1), "jl_gvar_offsets")?;
            if !self.is_writable(variable, self.memory.pointer) {
                self.reason(format!("variable {index} of shard {number} at 0x{variable:x} is not writable"));
            }
            // The loader keeps the distance from the header in 32 bits.
            if i32::try_from(i128::from(variable).wrapping_sub(whole.base.into())).is_err() {
                self.reason(format!("variable {index} of shard {number} is more than 2 GiB away from the header"));
            }
            let place = match shard.variable_indices {
                Some(table) => self.u32(table, index, "jl_gvar_idxs")?.into(),
                None => index,
            };
            if !whole.variables.take(place) {
                self.reason(format!("variable {place} is twice in the shards, or beyond their number"));
            }
        }
        let slots: u64 = self.u32(shard.slots, 0, "jl_clone_slots")?.into();
        for index in 0..slots {
            self.step()?;
            let pair = index.saturating_mul(2);
            let function = self.u32(shard.slots, pair.saturating_add(1), "jl_clone_slots")?;
            let slot = self.distance(shard.slot_base, shard.slots, pair.saturating_add(2), "jl_clone_slots")?;
            if u64::from(function) >= count || !self.is_writable(slot, self.memory.pointer) {
                self.reason(format!("slot {index} of shard {number} is not writable, or of no function"));
            }
        }
        self.told.shards.push(facts::Shard { functions: count, variables, slots });
        self.clones(shard, count)
    }

    /// Reads the tables of clones. For each target: a length with the top bit set stands for all functions (of target 0
    /// those that the shard has anyway), and as many indices follow, of functions with slots; a length without it is
    /// followed by the base target, then by as many indices of functions that have a clone.
    fn clones(&mut self, shard: &Shard, count: u64) -> Result<(), String> {
        const WHAT: &str = "jl_clone_idxs";
        let mut at = 0_u64;
        let mut clone = 0_u64;
        for target in 0..self.told.targets.len() {
            self.step()?;
            let length = self.u32(shard.clone_indices, at, WHAT)?;
            let all = length & TAG != 0;
            let length = length & !TAG;
            at = at.saturating_add(1);
            let mut base = None;
            if !all {
                let index = self.u32(shard.clone_indices, at, WHAT)?;
                if usize::try_from(index).map_or(true, |index| index >= target) {
                    return Err(format!("CPU target {target} is based on target {index}"));
                }
                base = Some(index);
                at = at.saturating_add(1);
            } else if target == 0 {
                self.clone_of(target, None, count);
            }
            let clones = match (all, target) {
                (true, 0) => 0,
                (true, _) => count,
                (false, _) => length.into(),
            };
            for index in 0..clones {
                self.step()?;
                let number = clone.saturating_add(index);
                let address = match shard.functions {
                    Functions::Pointers { .. } => self.follow(shard.clones, number, "jl_clone_ptrs")?,
                    Functions::Distances { base, .. } => {
                        self.distance(base, shard.clones, number, "jl_clone_offsets")?
                    }
                };
                if !self.is_code(address) {
                    self.reason(format!("clone {number} at 0x{address:x} is no code"));
                }
            }
            for index in 0..length {
                self.step()?;
                let function = self.u32(shard.clone_indices, at.saturating_add(index.into()), WHAT)? & !TAG;
                if u64::from(function) >= count {
                    self.reason(format!("a clone for CPU target {target} is of function {function}, which is none"));
                }
            }
            at = at.saturating_add(length.into());
            clone = clone.saturating_add(clones);
            if target != 0 || !all {
                self.clone_of(target, base, clones);
            }
        }
        Ok(())
    }

    fn clone_of(&mut self, target: usize, base: Option<u32>, clones: u64) {
        if let Some(target) = self.told.targets.get_mut(target) {
            target.base = base;
            target.clones = target.clones.saturating_add(clones);
        }
    }
}

/// Which functions and variables of the whole image are in a shard already.
struct Whole {
    functions: Places,
    variables: Places,
    /// What distances of variables count from.
    base: u64,
}

/// The numbers from 0 to a limit, each to be taken once.
struct Places {
    limit: u64,
    /// No bitmap: the limit is the image's word, and may be any number.
    taken: BTreeSet<u64>,
}

impl Places {
    fn new(limit: u64) -> Self {
        Self { limit, taken: BTreeSet::new() }
    }

    fn take(&mut self, place: u64) -> bool {
        place < self.limit && self.taken.insert(place)
    }

    fn missing(&self) -> u64 {
        self.limit.saturating_sub(self.taken.len() as u64)
    }
}
