//! The members beside the text shards: the tables that hold an image together, and the heap image.

use std::path::Path;

use super::{Module, exported, i32_array, quoted};
use crate::Spec;
use crate::julia::{Julia, Tables};
use crate::mix::heap_word;
use crate::program::Program;
use crate::target::{Cpu, Format, HeapPlacement};

/// The serialised CPU targets: their number, then for each its flags, a name and feature words.
fn target_ids(spec: &Spec, program: &Program) -> Vec<u8> {
    let mut bytes = program.targets.to_le_bytes().to_vec();
    for target in 0..program.targets {
        let name = if target == 0 { "generic" } else { spec.target.cpu.clone_target().0 };
        bytes.extend(0u32.to_le_bytes());
        for words in [target, target * 0x0098_2203] {
            bytes.extend(4u32.to_le_bytes());
            for i in 0..4u32 {
                bytes.extend((words >> i).to_le_bytes());
            }
        }
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
    }
    bytes
}

fn bytes_constant(bytes: &[u8]) -> String {
    format!("[{} x i8] {}", bytes.len(), quoted(bytes))
}

/// What every generation has: the slots that thread-local state is reached through.
fn tls_slots(spec: &Spec, module: &mut Module, visibility: &str, offset: &str) {
    for name in ["jl_pgcstack_func_slot", "jl_pgcstack_key_slot", offset] {
        let kind = if name == offset { format!("{} 0", spec.target.cpu.word()) } else { "ptr null".to_owned() };
        module.define(&format!("@{name} = {visibility}global {kind}"));
    }
}

/// The runtime's variable by whose address Julia knows its own images, and what gives the image's view of it.
fn runtime_handle(spec: &Spec, module: &mut Module) {
    let exported = exported(spec);
    module.import(spec, "jl_RTLD_DEFAULT_handle", "ptr", spec.target.cpu.pointer());
    if spec.julia <= Julia::V1_10 {
        module.define(&format!("@jl_RTLD_DEFAULT_handle_pointer = {exported}constant ptr @jl_RTLD_DEFAULT_handle"));
    } else {
        module.define(&format!(
            "define {exported}ptr @get_jl_RTLD_DEFAULT_handle_addr() {{\ntop:\n  ret ptr @jl_RTLD_DEFAULT_handle\n}}"
        ));
    }
}

/// A DLL's entry point, which C's startup code would be in a C program, and which only says that all is well.
fn entry_point(spec: &Spec, module: &mut Module) {
    if spec.target.format == Format::Coff {
        // LLVM knows that convention for x86 alone, and takes it for the usual one on x86-64.
        let convention = if spec.target.cpu == Cpu::Aarch64 { "" } else { "x86_stdcallcc " };
        module.define(&format!(
            "define {convention}i32 @_DllMainCRTStartup(ptr %0, i32 %1, ptr %2) {{\ntop:\n  ret i32 1\n}}"
        ));
    }
}

/// The tables of 1.9 that are no shard's, in the text module's own namespace. Returned as text to append to it.
pub(crate) fn tables_1_9(spec: &Spec, program: &Program, module: &mut Module) {
    let exported = exported(spec);
    tls_slots(spec, module, exported, "jl_tls_offset_image");
    module.define(&format!(
        "@jl_dispatch_target_ids = {exported}constant {}",
        bytes_constant(&target_ids(spec, program))
    ));
    runtime_handle(spec, module);
    entry_point(spec, module);
}

/// `metadata.o`: from 1.10 on, what leads the loader to the shards.
pub(crate) fn metadata(spec: &Spec, program: &Program) -> String {
    let mut module = Module::new();
    runtime_handle(spec, &mut module);
    entry_point(spec, &mut module);
    module.half_helpers(spec);
    module
        .define(&format!("@jl_dispatch_target_ids = internal constant {}", bytes_constant(&target_ids(spec, program))));

    // u32 version, shards, fvars, gvars
    let counts = [1, program.shards, program.fvars().count(), program.gvars.len()].map(|n| n.to_string());
    module.define(&format!("@jl_image_header = internal constant {}", i32_array(&counts)));

    tls_slots(spec, &mut module, "hidden ", "jl_tls_offset");
    module.define(
        "@jl_ptls_table = hidden global [3 x ptr] \
         [ptr @jl_pgcstack_func_slot, ptr @jl_pgcstack_key_slot, ptr @jl_tls_offset]",
    );
    let pointer = spec.target.cpu.pointer();
    module.define(&format!("@jl_small_typeof = hidden global [128 x ptr] zeroinitializer, align {pointer}"));

    let tables: &[&str] = match spec.julia.tables() {
        Tables::Pointers => &[
            "jl_fvar_count",
            "jl_fvar_ptrs",
            "jl_fvar_idxs",
            "jl_gvar_offsets",
            "jl_gvar_idxs",
            "jl_clone_slots",
            "jl_clone_ptrs",
            "jl_clone_idxs",
        ],
        _ => &[
            "jl_fvar_base",
            "jl_fvar_offsets",
            "jl_fvar_idxs",
            "jl_gvar_base",
            "jl_gvar_offsets",
            "jl_gvar_idxs",
            "jl_clone_slots",
            "jl_clone_offsets",
            "jl_clone_idxs",
        ],
    };
    let mut pointers = Vec::new();
    for shard in 0..program.shards {
        for table in tables {
            let name = format!("{table}_{shard}");
            module.declare(&name, format!("@{name} = external hidden global ptr"));
            pointers.push(format!("@{name}"));
        }
    }
    module.define(&format!("@jl_shard_tables = hidden global {}", super::ptr_array(&pointers)));

    let mut roots = ["@jl_image_header", "@jl_shard_tables", "@jl_ptls_table"].map(str::to_owned).to_vec();
    if spec.julia >= Julia::V1_10 {
        roots.push("@jl_small_typeof".to_owned());
    }
    roots.push("@jl_dispatch_target_ids".to_owned());
    if spec.julia >= Julia::V1_14 {
        let string = format!("generic;{}\0", spec.target.cpu.clone_target().0);
        let string = bytes_constant(string.as_bytes());
        module.define(&format!("@jl_cpu_target_string = internal constant {string}"));
        roots.push("@jl_cpu_target_string".to_owned());
    }
    module.define(&format!("@jl_image_pointers = {}global {}", exported(spec), super::ptr_array(&roots)));
    module.finish(spec, "metadata", &flags(spec))
}

/// `sysimg.o`, `data.o` in 1.9: the heap image. The generator writes this member itself; this is what it is compared to.
pub(crate) fn sysimg(spec: &Spec) -> String {
    let mut module = Module::new();
    heap(spec, &mut module);
    finish_sysimg(spec, module)
}

/// The same of macOS or Windows, with a heap image too big to be spelled out: its bytes are in the file `contents`.
pub(crate) fn sysimg_of_file(spec: &Spec, contents: &Path) -> String {
    let (section, prefix) = match spec.target.format {
        Format::MachO => ("__DATA,__data", "_"),
        Format::Elf | Format::Coff => (".data,\\22dw\\22", ""),
    };
    let mut module = Module::new();
    let mut assembly = |line: &str| module.define(&format!("module asm \"{line}\""));
    if spec.target.format == Format::Coff {
        assembly(".section .drectve,\\22yni\\22");
        assembly(".ascii \\22 -export:jl_system_image_data,data\\22");
    }
    assembly(&format!(".section {section}"));
    assembly(&format!(".globl {prefix}jl_system_image_data"));
    assembly(&format!(".p2align {}", spec.heap_align.trailing_zeros()));
    assembly(&format!("{prefix}jl_system_image_data:"));
    assembly(&format!(".incbin \\22{}\\22", contents.display()));
    heap_size(spec, &mut module);
    finish_sysimg(spec, module)
}

/// Adds what later versions of Julia have beside the heap image.
fn finish_sysimg(spec: &Spec, mut module: Module) -> String {
    if spec.julia >= Julia::V1_13 {
        module.declare("jl_image_unpack_uncomp", "@jl_image_unpack_uncomp = external constant ptr".to_owned());
        module.define(&format!("@jl_image_unpack = {}constant ptr @jl_image_unpack_uncomp", exported(spec)));
    }
    if spec.julia >= Julia::V1_14 {
        module.define(&format!(
            "@jl_system_image_checksum = {}constant i32 {}",
            exported(spec),
            spec.checksum() as i32
        ));
    }
    let name = if spec.julia.tables() == Tables::Sysimg { "data" } else { "sysimg" };
    module.finish(spec, name, &flags(spec))
}

fn heap(spec: &Spec, module: &mut Module) {
    let placement = match spec.target.heap_placement(spec.julia, spec.llvm) {
        HeapPlacement::Ordinary => "",
        HeapPlacement::Section => ", section \".ldata\"",
        HeapPlacement::CodeModel => ", code_model \"large\"",
    };
    let bytes: Vec<u8> = (0..spec.heap.div_ceil(8))
        .flat_map(|index| heap_word(spec.seed, index).to_le_bytes())
        .take(spec.heap as usize)
        .collect();
    module.define(&format!(
        "@jl_system_image_data = {}global {}{placement}, align {}",
        exported(spec),
        bytes_constant(&bytes),
        spec.heap_align
    ));
    heap_size(spec, module);
}

fn heap_size(spec: &Spec, module: &mut Module) {
    module.define(&format!(
        "@jl_system_image_size = {}constant {} {}",
        exported(spec),
        spec.target.cpu.word(),
        spec.heap
    ));
}

fn flags(spec: &Spec) -> String {
    let merge = if spec.llvm < 15 { 7 } else { 8 };
    format!("\n!llvm.module.flags = !{{!0}}\n!0 = !{{i32 {merge}, !\"PIC Level\", i32 2}}\n")
}
