//! The archives that have a name: those that are committed, and the sizes that tests and benchmarks ask for.

use std::io;
use std::path::Path;

use crate::generate::{Generated, current, generate, generate_from};
use crate::julia::Julia;
use crate::mix::{fnv1a, splitmix64};
use crate::spec::{Shape, Spec};
use crate::target::{
    FREEBSD_AARCH64, FREEBSD_X86_64, Format, LINUX_AARCH64, LINUX_ARMV7, LINUX_I686, LINUX_PPC64LE, LINUX_RISCV64,
    LINUX_X86_64, MACOS_ARM64, MACOS_X86_64, Target, WINDOWS_AARCH64, WINDOWS_I686, WINDOWS_X86_64,
};

/// A named archive.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What to make; its name is the preset's.
    pub spec: Spec,
    /// Whether it is part of the source tree, in the folder of its target.
    pub committed: bool,
    /// What it is good for.
    pub about: &'static str,
}

/// What was counted on an archive that Julia 1.11.1 wrote, one shard, `-g1`: bytes, and relocations of the text member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The preset that imitates it.
    pub preset: &'static str,
    /// Which archive it was.
    pub of: &'static str,
    /// Bytes of `.text`.
    pub text: usize,
    /// Bytes of the heap image.
    pub heap: u64,
    /// Bytes of `.debug_info`.
    pub debug_info: usize,
    /// Bytes of `.symtab` and `.strtab`.
    pub symbols: usize,
    /// Relocations by kind, in the order of [`KINDS`].
    pub relocations: [usize; 7],
}

/// The seven kinds of relocation that the archives of Julia 1.11 and 1.13 have: psABI names without `R_X86_64_`.
pub const KINDS: [&str; 7] = ["GOTPC32", "GOTOFF64", "REX_GOTPCRELX", "PLT32", "PC32", "64", "32"];

/// The archives that the size presets imitate.
pub const COUNTED: [Counted; 4] = [
    Counted {
        preset: "3m",
        of: "a test package, 6 functions",
        text: 95_704,
        heap: 2_436_508,
        debug_info: 106_499,
        symbols: 32_761,
        relocations: [328, 866, 109, 444, 545, 3_527, 6_848],
    },
    Counted {
        preset: "16m",
        of: "a test package, 300 functions",
        text: 616_232,
        heap: 12_145_044,
        debug_info: 666_734,
        symbols: 88_035,
        relocations: [2_371, 6_246, 803, 3_869, 1_828, 21_189, 45_612],
    },
    Counted {
        preset: "71m",
        of: "Pkg",
        text: 3_614_728,
        heap: 50_023_780,
        debug_info: 2_845_032,
        symbols: 621_294,
        relocations: [14_068, 39_822, 7_122, 26_813, 11_700, 96_564, 171_397],
    },
    Counted {
        preset: "156m",
        of: "the system image",
        text: 8_069_112,
        heap: 113_129_056,
        debug_info: 5_361_576,
        symbols: 1_414_867,
        relocations: [31_086, 83_270, 15_676, 57_208, 30_808, 191_545, 334_796],
    },
];

impl Counted {
    /// The shape whose archive has these counts.
    ///
    /// The constants are measured: what the probes have anyway, and what a function of the mass comes to with LLVM 16.
    /// In Julia's functions the registers are full, and the base of the GOT is computed about twice in each.
    fn shape(&self) -> Shape {
        let [gotpc, gotoff, gotpcrel, plt, pc, _, r32] = self.relocations;
        let functions = gotpc * 53 / 100;
        let boxed = functions / 4;
        let natives = functions - boxed;
        let switches = natives / 16;
        // An entry of `.eh_frame` for each function, eight of each jump table, one for each variable.
        let gvars = pc - 60 - functions - 8 * switches;
        Shape {
            natives,
            boxed,
            unwind_percent: 95,
            pressure_percent: 60,
            gvars,
            data_uses: gotoff - 70,
            imports: gotpcrel - 27,
            runtime_calls: plt - 95 - boxed,
            local_calls: natives / 3,
            texts: (self.symbols - 7000 - 44 * functions - 42 * gvars) / 42,
            pools: 0,
            switches,
            // Two strings for each inlined frame and for each function.
            frames: r32 / 2 - functions,
            arithmetic: (self.text - 5000 - 255 * functions) * 10 / 16,
        }
    }

    fn spec(&self, julia: Julia) -> Spec {
        let mut spec = Spec::new(LINUX_X86_64, julia);
        spec.name = self.preset.to_owned();
        spec.targets = 1;
        spec.heap = self.heap;
        spec.shape = self.shape();
        spec
    }
}

/// As the system image, with two fifths more of everything: its archive has 217 MB.
fn larger_system_image(julia: Julia) -> Spec {
    let more = |count: usize| count * 14 / 10;
    let [.., image] = &COUNTED;
    let larger = Counted {
        preset: "217m",
        of: image.of,
        text: more(image.text),
        heap: image.heap * 14 / 10,
        debug_info: more(image.debug_info),
        symbols: more(image.symbols),
        relocations: image.relocations.map(more),
    };
    larger.spec(julia)
}

/// Many relocations for its size: `thousandths` of 50 MB of code and 3.2 million relocations.
fn heavy(name: &str, shards: usize, thousandths: usize, heap: u64) -> Spec {
    let part = |total: usize| total * thousandths / 1000;
    let mut spec = Spec::new(LINUX_X86_64, Julia::V1_12);
    spec.name = name.to_owned();
    spec.shards = shards;
    spec.targets = 1;
    spec.heap = heap;
    spec.shape = Shape {
        natives: part(90_000),
        boxed: part(22_000),
        unwind_percent: 95,
        pressure_percent: 60,
        gvars: part(199_000),
        data_uses: part(560_000),
        imports: part(60_000),
        runtime_calls: part(250_000),
        local_calls: part(60_000),
        texts: part(40_000),
        pools: part(10_000),
        switches: part(5_000),
        frames: part(400_000),
        arithmetic: part(14_000_000),
    };
    spec
}

/// All presets: first those that are committed.
pub fn presets() -> Vec<Preset> {
    let mut presets = Vec::new();
    let mut add = |spec: Spec, committed: bool, about: &'static str| presets.push(Preset { spec, committed, about });

    for julia in Julia::ALL {
        add(Spec::new(LINUX_X86_64, julia), true, "one shard, line tables, clones");
    }
    let variant = |target: Target, julia: Julia, suffix: &str, change: &dyn Fn(&mut Spec)| {
        let mut spec = Spec::new(target, julia);
        spec.name = format!("{}{suffix}", spec.name);
        spec.seed = splitmix64(spec.seed ^ fnv1a(spec.name.as_bytes()));
        change(&mut spec);
        spec
    };
    let linux = |julia, suffix: &str, change: &dyn Fn(&mut Spec)| variant(LINUX_X86_64, julia, suffix, change);
    let shards = |shards: usize| move |spec: &mut Spec| spec.shards = shards;
    add(linux(Julia::V1_10, "-shards2", &shards(2)), true, "two shards");
    add(linux(Julia::V1_11, "-shards4", &shards(4)), true, "four shards");
    add(linux(Julia::V1_12, "-shards3", &shards(3)), true, "three shards");
    add(linux(Julia::V1_14, "-shards2", &shards(2)), true, "two shards");
    add(linux(Julia::V1_12, "-g0", &|spec| spec.debug = 0), true, "no debug information");
    add(linux(Julia::V1_11, "-g2", &|spec| spec.debug = 2), true, "types and variables in the debug information");
    add(linux(Julia::V1_12, "-sym64", &|spec| spec.sym64 = true), true, "/SYM64/ in place of the archive's /");
    add(
        linux(Julia::V1_10, "-cold", &|spec| spec.cold_libcall = true),
        true,
        "__udivti3 undefined, called on a path never taken: relies on lazy binding",
    );
    add(
        linux(Julia::V1_13, "-64k", &|spec| (spec.heap, spec.heap_align) = (20_003, 65_536)),
        true,
        "heap image aligned to 64 KiB, of odd size",
    );
    let freebsd = |julia, suffix: &str, change: &dyn Fn(&mut Spec)| variant(FREEBSD_X86_64, julia, suffix, change);
    add(freebsd(Julia::V1_10, "", &|_| {}), true, "one shard");
    add(freebsd(Julia::V1_12, "-shards2", &shards(2)), true, "two shards; the heap image is in .ldata");
    add(freebsd(Julia::V1_14, "", &|_| {}), true, "one shard");

    for target in [LINUX_I686, LINUX_AARCH64, FREEBSD_AARCH64, LINUX_ARMV7, LINUX_RISCV64, LINUX_PPC64LE] {
        // With LLVM 15 RISC-V's calls of functions that another member hides have a relocation of their own.
        if target == LINUX_RISCV64 {
            add(variant(target, Julia::V1_10, "-shards2", &shards(2)), true, "two shards");
        } else {
            add(variant(target, Julia::V1_10, "", &|_| {}), true, "one shard");
        }
        add(variant(target, Julia::V1_12, "-shards2", &shards(2)), true, "two shards");
        add(variant(target, Julia::V1_14, "", &|_| {}), true, "one shard");
        if target.osabi == 0 {
            let guards = |spec: &mut Spec| (spec.guards, spec.debug, spec.shape) = (true, 0, Shape::default());
            add(variant(target, Julia::V1_12, "-guards", &guards), true, "frames with a personality; the probes alone");
        }
    }

    for (target, oldest) in [(MACOS_ARM64, Julia::V1_10), (MACOS_X86_64, Julia::V1_9)] {
        add(variant(target, oldest, "", &|_| {}), true, "one shard, no LC_BUILD_VERSION");
        add(variant(target, Julia::V1_11, "-g2", &|spec| spec.debug = 2), true, "types and variables");
        add(variant(target, Julia::V1_12, "-shards3", &shards(3)), true, "three shards");
        add(variant(target, Julia::V1_14, "", &|_| {}), true, "one shard");
    }
    // Julia makes one shard on 32-bit machines.
    for (target, many, suffix) in
        [(WINDOWS_X86_64, 3, "-shards3"), (WINDOWS_I686, 1, ""), (WINDOWS_AARCH64, 3, "-shards3")]
    {
        add(variant(target, Julia::V1_11, "-g2", &|spec| spec.debug = 2), true, "types and variables");
        let automatic = |spec: &mut Spec| spec.auto_import = true;
        add(variant(target, Julia::V1_11, "-auto", &automatic), true, "the runtime's data without dllimport");
        add(variant(target, Julia::V1_12, suffix, &shards(many)), true, "three shards, one on i686");
        add(variant(target, Julia::V1_14, "", &|_| {}), true, "one shard");
    }

    for counted in &COUNTED {
        add(counted.spec(Julia::V1_11), false, counted.of);
    }
    for julia in [Julia::V1_12, Julia::V1_13] {
        for counted in &COUNTED {
            let mut spec = counted.spec(julia);
            spec.name = format!("{}-llvm{}", counted.preset, spec.llvm);
            add(spec, false, counted.of);
        }
    }
    for target in [LINUX_I686, LINUX_AARCH64, LINUX_ARMV7, LINUX_RISCV64, LINUX_PPC64LE] {
        for counted in &COUNTED[..3] {
            let (mut spec, processor) = (counted.spec(Julia::V1_12), target.name.trim_start_matches("linux-"));
            (spec.name, spec.target) = (format!("{}-{processor}", counted.preset), target);
            add(spec, false, "the same functions for another processor");
        }
    }
    let mut sharded = COUNTED[1].spec(Julia::V1_11);
    (sharded.name, sharded.shards) = ("16m-shards4".to_owned(), 4);
    add(sharded, false, "the same, JULIA_IMAGE_THREADS=4");
    let larger = "as the system image, two fifths more of everything";
    add(larger_system_image(Julia::V1_11), false, larger);
    for (name, heap) in [("1g", 1_000_000_000), ("2500m", 2_500_000_000)] {
        let mut large = COUNTED[3].spec(Julia::V1_11);
        (large.name, large.heap) = (name.to_owned(), heap);
        add(large, false, "the code of the system image with a larger heap image");
    }
    for (name, shards, thousandths, heap) in HEAVY {
        add(heavy(name, shards, thousandths, heap), false, "many relocations; heavy-large takes minutes to make");
    }
    for target in [MACOS_ARM64, WINDOWS_X86_64] {
        let mut other = |mut spec: Spec, about| {
            (spec.name, spec.target) = (format!("{}-{}", spec.name, target.name), target);
            spec.heap_align = target.heap_align(spec.julia);
            add(spec, false, about);
        };
        for counted in &COUNTED {
            other(counted.spec(Julia::V1_12), "the same functions for another platform");
        }
        other(larger_system_image(Julia::V1_12), larger);
        for (name, shards, thousandths, heap) in HEAVY {
            other(heavy(name, shards, thousandths, heap), "as many relocations for another platform");
        }
    }
    presets
}

/// The presets with many relocations: name, shards, thousandths of the largest one's code, bytes of heap image.
const HEAVY: [(&str, usize, usize, u64); 3] =
    [("heavy-small", 2, 2, 1_000_000), ("heavy-medium", 4, 100, 20_000_000), ("heavy-large", 8, 1000, 300_000_000)];

/// The preset of that name; one of several targets' is asked for as `linux-aarch64/julia-1.10-llvm15`, else the first in
/// the order of [`presets`] is meant.
pub fn preset(name: &str) -> Option<Preset> {
    let (target, name) = match name.split_once('/') {
        Some((target, name)) => (Some(target), name),
        None => (None, name),
    };
    let of_target = |preset: &Preset| target.is_none_or(|target| preset.spec.target.name == target);
    presets().into_iter().find(|preset| preset.spec.name == name && of_target(preset))
}

/// The platforms and generations for which stub libraries are committed: on x86-64 Linux all, on others those of the
/// committed archives.
pub fn committed_stubs() -> Vec<(Target, Julia)> {
    let mut stubs: Vec<(Target, Julia)> = Julia::ALL.map(|julia| (LINUX_X86_64, julia)).to_vec();
    for Preset { spec, committed, .. } in presets() {
        let pair = (spec.target.stubs(), spec.julia);
        if committed && pair.0.format == Format::Elf && !stubs.contains(&pair) {
            stubs.push(pair);
        }
    }
    stubs
}

/// Makes the preset in `dir` unless it is there already with the manifest that it would get: an archive that a generator
/// with another plan made is made anew. Two callers at once do the work twice, to the same result.
///
/// # Errors
/// As of [`generate`](crate::generate()), and a name that is no preset's.
pub fn cached(name: &str, dir: &Path) -> io::Result<Generated> {
    let preset = preset(name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: no preset of that name")))?;
    match current(&preset.spec, dir) {
        Some(places) => Ok(places),
        None => generate(&preset.spec, dir),
    }
}

/// An archive whose heap image has `heap` bytes, made in `dir` from a committed one of its target: needs no compiler,
/// and takes no more space than the code, as all but one word in 16 MiB is a hole in the file.
///
/// In such an image gvars lie in `.lbss` or `.bss` and the tables of their 32-bit distances in `.lrodata` or
/// `.rodata`; a linker that puts the heap image between the two, as LLD does, fails beyond 2 GiB.
///
/// # Errors
/// As of [`generate_from`].
///
/// # Panics
/// If there is no committed archive called `from`.
pub fn big(from: &str, heap: u64, dir: &Path) -> io::Result<Generated> {
    let preset = preset(from).filter(|preset| preset.committed);
    let mut spec = preset.unwrap_or_else(|| panic!("{from}: no committed archive")).spec;
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(spec.target.name).join(format!("{}.a", spec.name));
    spec.name = format!("{}-{heap}", spec.name);
    (spec.heap, spec.heap_stride) = (heap, 16 << 20);
    generate_from(&archive, &spec, dir)
}
