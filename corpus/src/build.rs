//! Plans the functions of an image: probes that exercise one thing each, then a mass of functions in the proportions
//! that a [`Shape`](crate::Shape) asks for.

use crate::Spec;
use crate::julia::Julia;
use crate::mix::{Rng, fnv1a, splitmix64};
use crate::names;
use crate::program::{FOREIGN, FnId, Frame, Function, Kind, Lazy, Op, Probe, Program, Variable};
use crate::target::{Cpu, Format};

/// Plans the image that `spec` describes.
pub(crate) fn program(spec: &Spec) -> Program {
    let mut builder = Builder {
        spec,
        rng: Rng::new(spec.seed),
        program: Program {
            shards: spec.shards,
            targets: spec.targets,
            word_mask: spec.target.cpu.word_mask(),
            ..Program::default()
        },
        number: 0,
    };
    builder.data();
    builder.probes();
    builder.mass();
    builder.program
}

/// Values that a function under pressure keeps alive: more than the registers that a call preserves.
const HELD: usize = 7;

struct Builder<'a> {
    spec: &'a Spec,
    rng: Rng,
    program: Program,
    /// Julia's counter at the end of names.
    number: usize,
}

impl Builder<'_> {
    fn number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    fn shard(&mut self) -> usize {
        self.rng.below(self.spec.shards)
    }

    fn variable<T>(&mut self, name: String, value: T) -> Variable<T> {
        let shard = self.shard();
        Variable { name, shard, value }
    }

    fn data(&mut self) {
        const KINDS: [&str; 6] = [
            "jl_globalYY.",
            "SUM.Core.Array.",
            "SUM.Main.Base.Dict.",
            "jl_symYY.α.",
            "YY.Main.Probes.",
            "jl_globalYY.",
        ];
        for gvar in 0..self.spec.shape.gvars.max(8) {
            let name = format!("{}{}", KINDS[gvar % KINDS.len()], self.number());
            let gvar = self.variable(name, None);
            self.program.gvars.push(gvar);
        }
        // One table of each size that has a section of its own, then the long ones that are copied.
        for len in [1, 2, 4, 8, 16, 64, 64] {
            let name = format!("_j_const_{}", self.number());
            let words = (0..len).map(|_| self.rng.word()).collect();
            let table = self.variable(name, words);
            self.program.consts.push(table);
        }
        for text in ["libforeign", "an error message, as long as they are", "ein Wort: größer", "DimensionMismatch"] {
            self.text(text);
        }
        for slot in 0..4 {
            let name = format!("jl_lazy_slot_{slot}_{}", self.number());
            let slot = self.variable(name, ());
            self.program.slots.push(slot);
            let name = format!("jl_cache_{}", self.number());
            let word = self.rng.word();
            let data = self.variable(name, word);
            self.program.datas.push(data);
        }
    }

    fn text(&mut self, text: &str) -> usize {
        let name = format!("_j_str_{}_{}", self.program.texts.len(), self.number());
        let text = self.variable(name, text.to_owned());
        self.program.texts.push(text);
        self.program.texts.len() - 1
    }

    fn function(&mut self, name: String, ops: Vec<Op>) -> FnId {
        let shard = self.shard();
        self.program.functions.push(Function {
            name,
            shard,
            kind: Kind::Native,
            held: None,
            ops,
            nounwind: false,
            frames: Some(2),
            cloned: false,
            fvar: true,
            frame: Frame::Pointer,
        });
        self.program.functions.len() - 1
    }

    /// A native function with Julia's kind of name.
    fn native(&mut self, name: &str, ops: Vec<Op>) -> FnId {
        let name = format!("julia_{name}_{}", self.number());
        self.function(name, ops)
    }

    fn probe(&mut self, name: &str, what: &'static str, mut ops: Vec<Op>) -> FnId {
        // A lone operation may leave most bits of the argument out of the result; mixing shows every bit.
        ops.insert(0, self.mix());
        ops.push(self.mix());
        let function = self.native(name, ops);
        self.program.probes.push(Probe { function, what });
        function
    }

    fn mix(&mut self) -> Op {
        Op::Mix { xor: self.rng.word(), mul: self.rng.word() | 1 }
    }

    fn lazy(&mut self, foreign: usize) -> Lazy {
        let function_text = self.text(FOREIGN[foreign].0);
        Lazy { foreign, function_text, library_text: 0 }
    }

    /// A function of another shard than `than`, where there is one.
    fn elsewhere(&mut self, id: FnId, than: FnId) {
        if self.spec.shards > 1 && self.program.functions[id].shard == self.program.functions[than].shard {
            self.program.functions[id].shard = (self.program.functions[than].shard + 1) % self.spec.shards;
        }
    }

    fn probes(&mut self) {
        self.probe("arithmetic", "no relocation", vec![]);
        let first_gvars = (0..4).map(Op::Gvar).collect();
        self.probe("gvars", "slots that the loader filled, by GOTOFF64 or PC32", first_gvars);
        self.probe("gvar_last", "the last slot", vec![Op::Gvar(self.program.gvars.len() - 1)]);
        let consts = (0..7).map(Op::Const).collect();
        self.probe("consts", "constant tables of 8 to 512 bytes", consts);
        self.probe("strings", "strings in a mergeable section", vec![Op::Text(1), Op::Text(2), Op::Text(3)]);
        self.probe("slots", "zero-initialised variables, written", (0..4).map(Op::Slot).collect());
        self.probe("datas", "initialised variables, written", (0..4).map(Op::Data).collect());
        self.probe(
            "objects",
            "the runtime's data through the GOT",
            (0..names::OBJECTS.len()).map(Op::Object).collect(),
        );
        self.probe("world", "jl_world_counter and jl_boxed_uint8_cache", vec![Op::World, Op::BoxedByte]);
        self.probe(
            "pool",
            "constant pool of doubles",
            vec![Op::Pool { mul: 1.5, add: 0.25 }, Op::Pool { mul: 1234.5, add: 1e9 }],
        );
        let lanes = [self.rng.word(), self.rng.word()];
        self.probe("lanes", "constant pool of vectors", vec![Op::Lanes(lanes)]);
        let seed = self.rng.word();
        self.probe("switch", "jump tables", vec![Op::Switch { seed, cases: 8 }, Op::Switch { seed: !seed, cases: 16 }]);
        if self.spec.target.cpu != Cpu::X86_64 {
            self.probe("narrow", "loads of 8, 16 and 32 bits", vec![Op::Narrow([0, 1, 2])]);
        }
        self.calls();
        self.runtime();
        self.foreign();
        self.memory();
        // On 32-bit Arm LLVM calls helpers that Julia does not bring, or brings with another calling convention.
        if self.spec.target.cpu != Cpu::Arm {
            self.probe("half", "the member's own half-precision helpers", vec![Op::Half, Op::HalfFromDouble]);
        }
        if self.spec.julia >= Julia::V1_10 {
            self.probe(
                "small_typeof",
                "jl_small_typeof, filled by the loader",
                vec![Op::SmallTypeof(0), Op::SmallTypeof(127)],
            );
        }
        self.probe("pgcstack", "the slots of thread-local state", vec![Op::Pgcstack]);
        let unless = self.rng.word();
        self.probe("throw", "a cold path that throws", vec![Op::Throw { unless, object: 5 }]);
        if self.spec.cold_libcall {
            self.probe("cold", "a cold path to a function that nobody defines", vec![Op::Cold { unless: !unless }]);
        }
        if self.spec.target.sigsetjmp {
            self.probe("catch", "an exception thrown and caught", vec![Op::Catch]);
        }
        if self.spec.target.personality() {
            self.probe("raise", "an exception that the personality sees", vec![Op::Raise]);
        }
        let thunks = matches!(self.spec.target.cpu, Cpu::X86_64 | Cpu::Aarch64 | Cpu::Riscv64);
        if self.spec.julia >= Julia::V1_14 && thunks {
            let name = format!("jlpkg_got_other_{}", self.number());
            let slot = self.variable(name, Some(0));
            self.program.gvars.push(slot);
            let gvar = self.program.gvars.len() - 1;
            let probe =
                self.probe("package", "a thunk into another package image", vec![Op::Package { gvar, runtime: 0 }]);
            // Inline assembly names the slot without declaring it, so they live together.
            self.program.functions[probe].shard = self.program.gvars[gvar].shard;
        }
    }

    /// Calls within the image, clones, boxed signatures, an export.
    fn calls(&mut self) {
        let mix = vec![self.mix()];
        let leaf = self.native("leaf", mix);
        let mix = vec![self.mix(), Op::Gvar(5)];
        let greek = self.native("α", mix);
        self.program.probes.push(Probe { function: greek, what: "a function with a UTF-8 name" });
        let caller = self.probe("call", "direct calls of the image's functions", vec![Op::Call(leaf), Op::Call(greek)]);
        self.elsewhere(leaf, caller);

        if self.spec.targets > 1 {
            let mix = vec![self.mix(), Op::Const(3)];
            let inner = self.native("vectorised", mix);
            let mix = vec![self.mix(), Op::Call(inner)];
            let outer = self.native("multiversioned", mix);
            for (id, what) in [(inner, "a function with a clone"), (outer, "a clone that calls a clone")] {
                self.program.functions[id].cloned = true;
                self.program.probes.push(Probe { function: id, what });
            }
            let caller = self.probe(
                "call_slot",
                "clones through their relocation slots",
                vec![Op::CallSlot(inner), Op::CallSlot(outer)],
            );
            self.elsewhere(inner, caller);
        }

        let boxed = self.boxed(leaf, "leaf");
        self.program.boxed_probes.push(Probe { function: boxed, what: "the boxed signature" });
        self.probe("call_boxed", "a call with the boxed signature", vec![Op::CallBoxed(boxed)]);

        let mut objects = Vec::new();
        for function in [leaf, greek] {
            let name = format!("_j_const_fn_{}", self.number());
            let tag = self.rng.word();
            let object = self.variable(name, (tag, function));
            self.program.objects.push(object);
            objects.push(self.program.objects.len() - 1);
        }
        self.probe("apply", "recursion through the runtime", objects.iter().copied().map(Op::Apply).collect());
        self.probe(
            "address",
            "a function's address in code and in data",
            objects.into_iter().map(Op::SameAddress).collect(),
        );

        let mix = vec![self.mix(), Op::Gvar(1), Op::Call(leaf), self.mix()];
        let name = format!("jlcapi_pkgld_entry_{}", self.number());
        let entry = self.function(name, mix);
        self.program.exports.push(("pkgld_entry".to_owned(), entry));

        let [down, again] = self.pair(["descend", "descend_again"], Kind::Descend);
        if self.spec.target.format == Format::MachO {
            self.program.functions[again].frame = Frame::None;
            let mut last = again;
            for (name, frame) in [("descend_large", Frame::Large), ("descend_dwarf", Frame::Dwarf)] {
                let id = self.native(name, Vec::new());
                self.program.functions[id].frame = frame;
                self.program.functions[last].kind = Kind::Descend(id);
                self.program.functions[id].kind = Kind::Descend(down);
                last = id;
            }
        }
        if self.spec.guards {
            self.pair(["guarded", "guarded_again"], Kind::Guarded);
        }
    }

    /// Two functions that call each other, for stacks to unwind.
    fn pair(&mut self, names: [&str; 2], kind: fn(FnId) -> Kind) -> [FnId; 2] {
        let [down, again] = names.map(|name| self.native(name, Vec::new()));
        self.program.functions[down].kind = kind(again);
        self.program.functions[again].kind = kind(down);
        self.elsewhere(again, down);
        self.program.unwind.push(down);
        [down, again]
    }

    fn runtime(&mut self) {
        let functions = names::FUNCTIONS.len();
        let all = (0..functions).map(Op::Runtime).collect();
        self.probe("runtime", "every function of the runtime, by PLT32", all);
        self.probe(
            "runtime_address",
            "functions of the runtime by address, through the GOT",
            vec![
                Op::RuntimeByAddress(0),
                Op::RuntimeByAddress(functions - 1),
                Op::RuntimeByAddress(functions / 2),
                Op::Runtime(functions / 2),
            ],
        );
        self.probe("box", "boxes", vec![Op::Box]);
    }

    fn foreign(&mut self) {
        let mut plts = Vec::new();
        let mut lazies = Vec::new();
        for (foreign, (name, _)) in FOREIGN.iter().enumerate() {
            let number = self.number();
            let lazy = self.lazy(foreign);
            let resolver = self.function(format!("jlplt_{name}_{number}"), Vec::new());
            let plt = self.program.plts.len();
            self.program.functions[resolver].kind = Kind::Plt(plt);
            self.program.functions[resolver].fvar = false;
            let slot = self.variable(format!("jlplt_{name}_{number}_got"), (resolver, lazy));
            self.program.plts.push(slot);
            plts.push(Op::CallPlt(plt));
            let lazy = self.lazy(foreign);
            let number = self.number();
            let variable = self.variable(format!("ccall_{name}_{number}"), lazy);
            self.program.lazies.push(variable);
            lazies.push(Op::Lazy(foreign));
        }
        self.probe("plt", "foreign functions by resolver and slot", plts);
        self.probe("ccall", "foreign functions looked up on first use", lazies);
    }

    fn memory(&mut self) {
        self.probe("memcpy", "memcpy of libc", vec![Op::Copy(5), Op::Copy(6)]);
        self.probe("memset", "memset of libc", vec![Op::Fill]);
        self.probe("memmove", "memmove of libc", vec![Op::Move(6)]);
    }

    fn boxed(&mut self, native: FnId, name: &str) -> FnId {
        let name = format!("jfptr_{name}_{}", self.number());
        let id = self.function(name, Vec::new());
        self.program.functions[id].kind = Kind::Boxed(native);
        self.program.functions[id].frames = Some(0);
        id
    }

    /// The functions that give the image its size.
    fn mass(&mut self) {
        let shape = self.spec.shape;
        let all = shape.natives + shape.boxed;
        if all == 0 {
            return;
        }
        let first = self.program.texts.len();
        for i in 0..shape.texts {
            let text =
                ["the argument is out of range", "größer als erwartet: ", "not implemented for this type"][i % 3];
            // Some are the same in several places, as they are in Julia's images.
            self.text(&if i % 4 == 0 { text.to_owned() } else { format!("{text} {i}") });
        }
        let texts = if shape.texts == 0 { 1..4 } else { first..self.program.texts.len() };
        let mut natives: Vec<FnId> = Vec::with_capacity(shape.natives);
        let mut leaves: Vec<FnId> = Vec::new();
        let words = ["push", "größe", "Δx", "iterate", "show", "convert", "_mapreduce", "setindexNOT.", "YY.f", "SUM."];
        for i in 0..shape.natives {
            let due = |total: usize| share(i, all, total);
            let due_native = |total: usize| share(i, shape.natives, total);
            let mut ops = Vec::new();
            let mut uses = due(shape.data_uses);
            let mut held = None;
            if uses > 1 && (i * 61) % 100 < shape.pressure_percent {
                held = Some((5 + i % 2, HELD));
                uses -= 1;
            }
            for k in 0..uses {
                let r = self.rng.word() as usize;
                ops.push(match (i + k) % 8 {
                    5 => Op::Const(r % self.program.consts.len()),
                    6 => Op::Text(texts.start + r % texts.len()),
                    7 => Op::Data(r % self.program.datas.len()),
                    _ => Op::Gvar(r % shape.gvars.max(8)),
                });
            }
            for _ in 0..due(shape.imports) {
                ops.push(Op::Object(self.rng.below(names::OBJECTS.len())));
            }
            for _ in 0..due_native(shape.runtime_calls) {
                ops.push(Op::Runtime(self.rng.below(names::FUNCTIONS.len())));
            }
            // Only functions without such calls are called, so that running one does not run a tree of them.
            let calls = if leaves.is_empty() { 0 } else { due_native(shape.local_calls) };
            for _ in 0..calls {
                ops.push(Op::Call(leaves[self.rng.below(leaves.len())]));
            }
            for _ in 0..due_native(shape.pools) {
                let r = self.rng.word();
                ops.push(Op::Pool { mul: 1.0 + (r & 0xffff) as f64 / 64.0, add: (r >> 16 & 0xffff_ffff) as f64 });
            }
            for _ in 0..due_native(shape.switches) {
                ops.push(Op::Switch { seed: self.rng.word(), cases: 8 });
            }
            for _ in 0..due(shape.arithmetic / 37) {
                ops.push(self.mix());
            }
            if ops.is_empty() {
                ops.push(self.mix());
            }
            // Neighbouring operations of one kind would be one relocation where they meet in a register.
            for k in (1..ops.len()).rev() {
                ops.swap(k, self.rng.below(k + 1));
            }
            let word = words[i % words.len()];
            let id = self.native(word, ops);
            self.program.functions[id].frames = Some(due_native(shape.frames) as u32);
            self.program.functions[id].held = held;
            self.program.functions[id].nounwind = (i * 37) % 100 >= shape.unwind_percent;
            if calls == 0 {
                leaves.push(id);
            }
            natives.push(id);
            self.program.probes.push(Probe { function: id, what: "one of the mass" });
        }
        for i in 0..shape.boxed {
            let native = natives[(splitmix64(i as u64 ^ fnv1a(b"boxed")) % natives.len() as u64) as usize];
            let id = self.boxed(native, words[i % words.len()]);
            let due = |total: usize| share(shape.natives + i, all, total);
            let mut ops: Vec<Op> =
                (0..due(shape.data_uses)).map(|_| Op::Gvar(self.rng.below(shape.gvars.max(8)))).collect();
            for _ in 0..due(shape.imports) {
                ops.push(Op::Object(self.rng.below(names::OBJECTS.len())));
            }
            for _ in 0..due(shape.arithmetic / 37) {
                ops.push(self.mix());
            }
            self.program.functions[id].ops = ops;
            self.program.boxed_probes.push(Probe { function: id, what: "one of the mass, boxed" });
        }
    }
}

/// What of `total` falls to the `i`th of `all`, so that it is dealt out evenly and completely.
fn share(i: usize, all: usize, total: usize) -> usize {
    (i + 1) * total / all - i * total / all
}
