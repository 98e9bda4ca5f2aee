//! The tables through which Julia's loader finds a shard's functions, variables and clones.
//!
//! Which tables there are depends on Julia's version; what each entry means is said in [`crate::loader`], which reads
//! them.

use super::text::Shard;
use super::{i32_array, ptr_array};
use crate::julia::Tables;
use crate::program::FnId;

/// The tag of a count that says "every function", and of a clone's index that says "has slots".
pub(crate) const TAG: u32 = 0x8000_0000;

/// What the clone tables hold, in the order of the image's CPU targets.
struct Clones {
    /// Index in the shard's function table and the slot's name, ascending.
    slots: Vec<(usize, String)>,
    /// The functions of `jl_clone_ptrs`.
    pointers: Vec<String>,
    /// The words of `jl_clone_idxs`.
    indices: Vec<u32>,
}

/// Writes the tables of a shard.
pub(crate) fn emit(shard: &mut Shard<'_>) {
    let program = shard.program;
    let fvars: Vec<(usize, FnId)> =
        program.fvars().enumerate().filter(|&(_, id)| program.functions[id].shard == shard.index).collect();
    let gvars: Vec<usize> = (0..program.gvars.len()).filter(|&g| program.gvars[g].shard == shard.index).collect();
    let clones = clones(shard, &fvars);
    let suffix = format!("_{}", shard.index);
    let pointers: Vec<String> = fvars.iter().map(|&(_, id)| format!("@\"{}\"", program.functions[id].name)).collect();
    let fvar_idxs: Vec<String> = fvars.iter().map(|(index, _)| index.to_string()).collect();
    let gvar_idxs: Vec<String> = gvars.iter().map(ToString::to_string).collect();
    let clone_idxs: Vec<String> = clones.indices.iter().map(ToString::to_string).collect();
    match shard.spec.julia.tables() {
        Tables::Sysimg => {
            offsets(shard, &fvars, "", "jl_sysimg_fvars", &pointers);
            let names = gvar_names(shard, &gvars);
            offsets(shard, &fvars, "", "jl_sysimg_gvars", &names);
            clone_offsets(
                shard,
                &clones,
                "",
                ["jl_dispatch_reloc_slots", "jl_dispatch_fvars_offsets"],
                &pointers,
                &names,
            );
            constant(shard, "", "jl_dispatch_fvars_idxs", &i32_array(&clone_idxs));
        }
        Tables::Offsets => {
            offsets(shard, &fvars, &suffix, "jl_fvar", &pointers);
            constant(shard, &suffix, "jl_fvar_idxs", &i32_array(&fvar_idxs));
            let names = gvar_names(shard, &gvars);
            offsets(shard, &fvars, &suffix, "jl_gvar", &names);
            constant(shard, &suffix, "jl_gvar_idxs", &i32_array(&gvar_idxs));
            clone_offsets(shard, &clones, &suffix, ["jl_clone_slots", "jl_clone_offsets"], &pointers, &names);
            constant(shard, &suffix, "jl_clone_idxs", &i32_array(&clone_idxs));
        }
        Tables::Pointers => {
            // In the order in which Julia makes them: the partition's tables, then those of the multi-versioning pass.
            let table = format!("jl_gvar_offsets{suffix}");
            let mut entries = vec![gvars.len().to_string()];
            for &gvar in &gvars {
                entries.push(shard.offset(&program.gvars[gvar].name, &table));
            }
            constant(shard, &suffix, "jl_gvar_offsets", &i32_array(&entries));
            constant(shard, &suffix, "jl_fvar_idxs", &i32_array(&fvar_idxs));
            constant(shard, &suffix, "jl_gvar_idxs", &i32_array(&gvar_idxs));
            constant(shard, &suffix, "jl_fvar_count", &format!("{} {}", shard.spec.target.cpu.word(), fvars.len()));
            let table = format!("@\"jl_fvar_ptrs{suffix}\"");
            shard.module.define(&format!("{table} = hidden global {}", ptr_array(&pointers)));
            let table = format!("jl_clone_slots{suffix}");
            let mut entries = vec![clones.slots.len().to_string()];
            for (index, slot) in &clones.slots {
                entries.extend([index.to_string(), shard.offset(slot, &table)]);
            }
            constant(shard, &suffix, "jl_clone_slots", &i32_array(&entries));
            constant(shard, &suffix, "jl_clone_idxs", &i32_array(&clone_idxs));
            constant(shard, &suffix, "jl_clone_ptrs", &ptr_array(&clones.pointers));
        }
    }
}

/// Visible to everybody in 1.9, which has one module; to the other members else.
fn visibility(shard: &Shard<'_>, suffix: &str) -> &'static str {
    if suffix.is_empty() { super::exported(shard.spec) } else { "hidden " }
}

fn constant(shard: &mut Shard<'_>, suffix: &str, name: &str, value: &str) {
    let visibility = visibility(shard, suffix);
    shard.module.define(&format!("@\"{name}{suffix}\" = {visibility}constant {value}"));
}

fn gvar_names(shard: &Shard<'_>, gvars: &[usize]) -> Vec<String> {
    gvars.iter().map(|&gvar| format!("@\"{}\"", shard.program.gvars[gvar].name)).collect()
}

/// An alias of the first entry as base, and each entry's 32-bit distance from it after their count.
fn offsets(shard: &mut Shard<'_>, fvars: &[(usize, FnId)], suffix: &str, name: &str, entries: &[String]) {
    let visibility = visibility(shard, suffix);
    let cpu = shard.spec.target.cpu;
    let base = entries.first().unwrap_or_else(|| panic!("{name}: no entry among {} functions", fvars.len()));
    shard.module.define(&format!("@\"{name}_base{suffix}\" = {visibility}alias i64, ptr {base}"));
    let mut offsets = vec![entries.len().to_string(), "0".to_owned()];
    offsets.extend(entries[1..].iter().map(|entry| super::difference(cpu, entry, base)));
    constant(shard, suffix, &format!("{name}_offsets"), &i32_array(&offsets));
}

/// Slots as distances from the first variable, clones as distances from the first function.
fn clone_offsets(
    shard: &mut Shard<'_>,
    clones: &Clones,
    suffix: &str,
    names: [&str; 2],
    functions: &[String],
    variables: &[String],
) {
    let cpu = shard.spec.target.cpu;
    let mut slots = vec![clones.slots.len().to_string()];
    for (index, slot) in &clones.slots {
        slots.extend([index.to_string(), super::difference(cpu, &format!("@\"{slot}\""), &variables[0])]);
    }
    constant(shard, suffix, names[0], &i32_array(&slots));
    let offsets: Vec<String> =
        clones.pointers.iter().map(|clone| super::difference(cpu, clone, &functions[0])).collect();
    constant(shard, suffix, names[1], &i32_array(&offsets));
}

/// Target 0 lists the functions with slots; target 1 its clones, all of which have slots here.
fn clones(shard: &Shard<'_>, fvars: &[(usize, FnId)]) -> Clones {
    let cloned: Vec<(usize, &str)> = fvars
        .iter()
        .enumerate()
        .filter(|&(_, &(_, id))| shard.program.has_slot(id))
        .map(|(position, &(_, id))| (position, shard.program.functions[id].name.as_str()))
        .collect();
    let mut indices = vec![TAG | cloned.len() as u32];
    indices.extend(cloned.iter().map(|&(position, _)| position as u32));
    let mut pointers = Vec::new();
    if shard.program.targets > 1 {
        indices.extend([cloned.len() as u32, 0]);
        indices.extend(cloned.iter().map(|&(position, _)| TAG | position as u32));
        pointers.extend(cloned.iter().map(|(_, name)| format!("@\"{name}.1\"")));
    }
    let slots = cloned.iter().map(|&(position, name)| (position, format!("{name}.reloc_slot"))).collect();
    Clones { slots, pointers, indices }
}
