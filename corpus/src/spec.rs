//! What to generate.

use crate::julia::Julia;
use crate::mix::{heap_word, splitmix64};
use crate::target::{Cpu, Target};

/// An archive to be made. Everything in it follows from this value alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The archive's file name without extension.
    pub name: String,
    /// What it runs on.
    pub target: Target,
    /// The generation of Julia that it imitates.
    pub julia: Julia,
    /// The LLVM that compiles it, by default [`Julia::llvm`].
    pub llvm: u32,
    /// Text members, at least one; 1.9 has exactly one.
    pub shards: usize,
    /// `-g0`, `-g1` or `-g2`.
    pub debug: u8,
    /// CPU targets: 1, or 2 for clones.
    pub targets: u32,
    /// Bytes of the heap image.
    pub heap: u64,
    /// Its alignment in bytes, a power of two.
    pub heap_align: u64,
    /// The distance in bytes of the heap image's words that are set, a multiple of eight; the others, but the last, are
    /// zero, and a hole in the file.
    pub heap_stride: u64,
    /// Decides everything that is random.
    pub seed: u64,
    /// `/SYM64/` for the archive's symbol table in place of `/`.
    pub sym64: bool,
    /// With a call, never reached, of `__udivti3`, which no library of the link defines.
    pub cold_libcall: bool,
    /// With frames that have a personality, which Julia's have on Windows only.
    pub guards: bool,
    /// Refers to the runtime's variables as Windows images of Julia before 1.10.4 do: without `dllimport`, so that the
    /// linker imports them unasked.
    pub auto_import: bool,
    /// How much there is beside the probes.
    pub shape: Shape,
}

/// What stands beside the probes, as totals of the archive: the operations are dealt out evenly to the functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Functions with the native signature.
    pub natives: usize,
    /// Functions with the boxed signature, each of which calls a native one.
    pub boxed: usize,
    /// Of a hundred native functions, how many have an entry in `.eh_frame`.
    pub unwind_percent: usize,
    /// Of a hundred native functions, how many keep the registers full from start to end.
    pub pressure_percent: usize,
    /// Slots that the loader fills.
    pub gvars: usize,
    /// Reads of the image's own data: slots, constants, strings.
    pub data_uses: usize,
    /// Reads of the runtime's data.
    pub imports: usize,
    /// Calls of the runtime, beside the one of each boxed function.
    pub runtime_calls: usize,
    /// Calls between native functions.
    pub local_calls: usize,
    /// Strings.
    pub texts: usize,
    /// Operations with two constants of a constant pool each.
    pub pools: usize,
    /// Jump tables of eight entries.
    pub switches: usize,
    /// Inlined frames in the debug information.
    pub frames: usize,
    /// Bytes of arithmetic to bring `.text` to its size (37 bytes an operation).
    pub arithmetic: usize,
}

impl Spec {
    /// A small archive: the probes and a few functions (fewer where an archive of x86-64 shows the mass), 16 KiB of heap
    /// image, one shard, `-g1`, clones.
    pub fn new(target: Target, julia: Julia) -> Self {
        let less = if target.cpu == Cpu::X86_64 { 1 } else { 3 };
        Self {
            name: format!("julia-{julia}-llvm{}", julia.llvm()),
            target,
            julia,
            llvm: julia.llvm(),
            shards: 1,
            debug: 1,
            targets: 2,
            heap: 16 << 10,
            heap_align: target.heap_align(julia),
            heap_stride: 8,
            seed: splitmix64(julia.llvm().into()),
            sym64: false,
            cold_libcall: false,
            guards: false,
            auto_import: false,
            shape: Shape {
                natives: 24 / less,
                boxed: 8 / less,
                unwind_percent: 90,
                pressure_percent: 30,
                gvars: 24,
                data_uses: 90 / less,
                imports: 16,
                runtime_calls: 30 / less,
                local_calls: 10,
                texts: 6,
                pools: 4,
                switches: 2,
                frames: 200 / less,
                arithmetic: 3000 / less,
            },
        }
    }

    /// The value of `jl_system_image_checksum`.
    pub(crate) fn checksum(&self) -> u32 {
        heap_word(self.seed, u64::MAX) as u32
    }
}
