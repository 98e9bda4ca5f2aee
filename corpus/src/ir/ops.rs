//! Lowers one operation.

use super::function::{Body, Place};
use crate::eval::{SAME_ADDRESS, text_mask};
use crate::julia::Julia;
use crate::names;
use crate::program::Op;
use crate::target::{Cpu, Format, Target};

impl Body<'_, '_> {
    /// Writes `op`, which works on the running value and leaves another.
    pub(super) fn op(&mut self, op: &Op) {
        let program = self.shard.program;
        let v = self.value.clone();
        match *op {
            Op::Mix { xor, mul } => {
                self.constant("xor", xor);
                self.constant("mul", mul);
                let y = self.value.clone();
                let high = self.set(&format!("lshr i64 {y}, 29"));
                self.binary("xor", &high);
            }
            Op::Gvar(gvar) => {
                let gvar = &program.gvars[gvar];
                let name = self.shard.variable(&gvar.name, gvar.shard);
                let p = self.set(&format!("load atomic ptr, ptr {name} unordered, align {}", self.pointer()));
                let word = self.set(&format!("ptrtoint ptr {p} to i64"));
                self.rotate(7);
                self.binary("xor", &word);
            }
            Op::Const(id) => {
                let table = &program.consts[id];
                let name = self.shard.variable(&table.name, table.shard);
                let index = self.set(&format!("and i64 {v}, {}", table.value.len() - 1));
                let word = self.word(&name, &index);
                self.binary("add", &word);
            }
            Op::Text(id) => {
                let text = &program.texts[id];
                let name = self.shard.variable(&text.name, text.shard);
                let index = self.set(&format!("and i64 {v}, {}", text_mask(text.value.len())));
                let address = self.set(&format!("getelementptr inbounds i8, ptr {name}, i64 {index}"));
                let byte = self.load("i8", &address);
                let word = self.set(&format!("zext i8 {byte} to i64"));
                self.rotate(3);
                self.binary("add", &word);
            }
            Op::Object(object) => {
                let p = self.object(object);
                let word = self.load("i64", &p);
                self.binary("xor", &word);
            }
            Op::World => {
                let (word, pointer) = (self.shard.spec.target.cpu.word(), self.pointer());
                self.shard.module.import(self.shard.spec, "jl_world_counter", word, pointer);
                let number = self.set(&format!("load atomic {word}, ptr @jl_world_counter acquire, align {pointer}"));
                let word = self.widen(word, &number);
                self.binary("add", &word);
            }
            Op::BoxedByte => {
                self.shard.module.import(self.shard.spec, "jl_boxed_uint8_cache", "[256 x ptr]", 16);
                let byte = self.set(&format!("and i64 {v}, 255"));
                let slot = self.set(&format!("getelementptr inbounds ptr, ptr @jl_boxed_uint8_cache, i64 {byte}"));
                let p = self.load("ptr", &slot);
                let word = self.load("i64", &p);
                self.binary("xor", &word);
            }
            Op::Pool { mul, add } => {
                let low = self.set(&format!("and i64 {v}, 65535"));
                let float = self.set(&format!("sitofp i64 {low} to double"));
                let product = self.set(&format!("fmul double {float}, {}", hex(mul)));
                let sum = self.set(&format!("fadd double {product}, {}", hex(add)));
                let word = self.set(&format!("fptosi double {sum} to i64"));
                self.binary("xor", &word);
            }
            Op::Lanes([a, b]) => {
                let buffer = self.need(Place::Buffer);
                let one = self.set(&format!("insertelement <2 x i64> poison, i64 {v}, i32 0"));
                let both =
                    self.set(&format!("shufflevector <2 x i64> {one}, <2 x i64> poison, <2 x i32> zeroinitializer"));
                let sum = self.set(&format!("add <2 x i64> {both}, <i64 {}, i64 {}>", a as i64, b as i64));
                self.line(&format!("store <2 x i64> {sum}, ptr {buffer}, align 16"));
                let index = self.set(&format!("and i64 {v}, 1"));
                let word = self.word(buffer, &index);
                self.binary("xor", &word);
            }
            Op::Switch { seed, cases } => self.switch(seed, cases),
            Op::Call(id) => {
                // Versions call each other within their target.
                let suffix = if self.target > 0 && program.functions[id].cloned { ".1" } else { "" };
                let callee = self.shard.function(id, suffix, "i64", "i64");
                let r = self.set(&format!("call i64 {callee}(i64 {v})"));
                self.binary("add", &r);
            }
            Op::CallBoxed(id) => {
                let callee = self.shard.function(id, "", "ptr", "ptr, ptr, i32");
                let args = self.arguments();
                let p = self.set(&format!("call ptr {callee}(ptr null, ptr {args}, i32 1)"));
                let word = self.load("i64", &p);
                self.binary("xor", &word);
            }
            Op::CallSlot(id) => {
                let function = &program.functions[id];
                let slot = self.shard.variable(&format!("{}.reloc_slot", function.name), function.shard);
                let callee = self.load("ptr", &slot);
                let r = self.set(&format!("call i64 {callee}(i64 {v})"));
                self.rotate(1);
                self.binary("xor", &r);
            }
            Op::CallPlt(plt) => {
                let plt = &program.plts[plt];
                let slot = self.shard.variable(&plt.name, plt.shard);
                let callee = self.set(&format!("load atomic ptr, ptr {slot} unordered, align {}", self.pointer()));
                self.value = self.set(&format!("call i64 {callee}(i64 {v})"));
            }
            Op::Runtime(name) => self.runtime(name),
            Op::RuntimeByAddress(name) => {
                let name = names::FUNCTIONS[name];
                self.shard.module.runtime("i64", name, "i64");
                let cell = self.need(Place::Cell);
                self.line(&format!("store volatile ptr @{name}, ptr {cell}, align 8"));
                let callee = self.set(&format!("load volatile ptr, ptr {cell}, align 8"));
                self.value = self.set(&format!("call i64 {callee}(i64 {v})"));
            }
            Op::Box => {
                self.shard.module.runtime("ptr", "ijl_box_int64", "i64");
                self.shard.module.runtime("i64", "ijl_unbox_int64", "ptr");
                let p = self.set(&format!("call ptr @ijl_box_int64(i64 {v})"));
                self.value = self.set(&format!("call i64 @ijl_unbox_int64(ptr {p})"));
                self.rotate(5);
            }
            Op::Apply(object) => {
                let object = &program.objects[object];
                let f = self.shard.variable(&object.name, object.shard);
                let args = self.arguments();
                self.shard.module.runtime("ptr", "ijl_apply_generic", "ptr, ptr, i32");
                let p = self.set(&format!("call ptr @ijl_apply_generic(ptr {f}, ptr {args}, i32 1)"));
                self.value = self.load("i64", &p);
            }
            Op::SameAddress(object) => {
                let object = &program.objects[object];
                let name = self.shard.variable(&object.name, object.shard);
                let function = self.shard.function(object.value.1, "", "i64", "i64");
                let address = self.set(&format!("getelementptr inbounds i8, ptr {name}, i64 8"));
                let stored = self.load("ptr", &address);
                let same = self.set(&format!("icmp eq ptr {stored}, {function}"));
                let (yes, no) = (SAME_ADDRESS as i64, !SAME_ADDRESS as i64);
                let word = self.set(&format!("select i1 {same}, i64 {yes}, i64 {no}"));
                self.binary("add", &word);
            }
            Op::Copy(id) => {
                let buffer = self.copy_table(id);
                let index = self.set(&format!("and i64 {v}, 63"));
                let address = self.set(&format!("getelementptr inbounds i64, ptr {buffer}, i64 {index}"));
                self.line(&format!("store i64 {v}, ptr {address}, align 8"));
                let high = self.set(&format!("lshr i64 {v}, 6"));
                let index = self.set(&format!("and i64 {high}, 63"));
                let word = self.word(buffer, &index);
                self.binary("xor", &word);
            }
            Op::Fill => {
                let buffer = self.need(Place::Buffer);
                self.shard.module.runtime("void", "llvm.memset.p0.i64", "ptr, i8, i64, i1 immarg");
                let byte = self.set(&format!("trunc i64 {v} to i8"));
                self.line(&format!(
                    "call void @llvm.memset.p0.i64(ptr align 16 {buffer}, i8 {byte}, i64 512, i1 false)"
                ));
                let index = self.set(&format!("and i64 {v}, 63"));
                let word = self.word(buffer, &index);
                self.binary("xor", &word);
            }
            Op::Move(id) => {
                let buffer = self.copy_table(id);
                self.shard.module.runtime("void", "llvm.memmove.p0.p0.i64", "ptr, ptr, i64, i1 immarg");
                let second = self.set(&format!("getelementptr inbounds i64, ptr {buffer}, i64 1"));
                self.line(&format!(
                    "call void @llvm.memmove.p0.p0.i64(ptr align 8 {second}, ptr align 8 {buffer}, i64 504, i1 false)"
                ));
                let index = self.set(&format!("and i64 {v}, 63"));
                let word = self.word(buffer, &index);
                self.binary("xor", &word);
            }
            Op::Lazy(lazy) => self.lazy(lazy),
            Op::Slot(slot) => {
                let slot = &program.slots[slot];
                let name = self.shard.variable(&slot.name, slot.shard);
                self.line(&format!("store volatile i64 {v}, ptr {name}, align 8"));
                self.value = self.set(&format!("load volatile i64, ptr {name}, align 8"));
                self.rotate(9);
            }
            Op::Data(data) => {
                let data = &program.datas[data];
                let name = self.shard.variable(&data.name, data.shard);
                let first = self.load("i64", &name);
                let second = self.set(&format!("getelementptr inbounds i64, ptr {name}, i64 1"));
                self.line(&format!("store volatile i64 {v}, ptr {second}, align 8"));
                self.value = self.set(&format!("load volatile i64, ptr {second}, align 8"));
                self.binary("add", &first);
            }
            Op::Narrow(datas) => {
                for (data, (kind, offset)) in datas.into_iter().zip([("i8", 1), ("i16", 2), ("i32", 4)]) {
                    let data = &program.datas[data];
                    let name = self.shard.variable(&data.name, data.shard);
                    let address = self.set(&format!("getelementptr inbounds i8, ptr {name}, i64 {offset}"));
                    let number = self.load(kind, &address);
                    let number = self.widen(kind, &number);
                    self.rotate(11);
                    self.binary("add", &number);
                }
            }
            Op::Half => self.half("float"),
            Op::HalfFromDouble => self.half("double"),
            Op::SmallTypeof(index) => {
                self.hidden("jl_small_typeof", "[128 x ptr]");
                let kind = self.shard.spec.target.cpu.word();
                let address = self.set(&format!("getelementptr inbounds {kind}, ptr @jl_small_typeof, i64 {index}"));
                let word = self.load_word(&address);
                self.binary("xor", &word);
            }
            Op::Pgcstack => {
                let offset = if self.shard.spec.julia == Julia::V1_9 { "jl_tls_offset_image" } else { "jl_tls_offset" };
                self.hidden("jl_pgcstack_func_slot", "ptr");
                self.hidden("jl_pgcstack_key_slot", "ptr");
                self.hidden(offset, self.shard.spec.target.cpu.word());
                let f = self.load("ptr", "@jl_pgcstack_func_slot");
                let p = self.set(&format!("call ptr {f}()"));
                let word = self.load("i64", &p);
                self.binary("xor", &word);
                let key = self.load_word("@jl_pgcstack_key_slot");
                self.binary("add", &key);
                let word = self.load_word(&format!("@{offset}"));
                self.binary("add", &word);
            }
            Op::Throw { unless, object } => {
                let next = self.never(unless);
                let exception = self.object(object);
                self.shard.module.runtime("void", "ijl_throw", "ptr");
                self.line(&format!("call void @ijl_throw(ptr {exception})"));
                self.line("unreachable");
                self.start(&next);
            }
            Op::Cold { unless } => {
                let next = self.never(unless);
                self.shard.module.runtime("i128", "__udivti3", "i128, i128");
                let wide = self.set(&format!("zext i64 {v} to i128"));
                let r = self.set(&format!("call i128 @__udivti3(i128 {wide}, i128 3)"));
                let low = self.set(&format!("trunc i128 {r} to i64"));
                self.line(&format!("ret i64 {low}"));
                self.start(&next);
            }
            Op::Catch => self.catch(),
            Op::Raise => {
                self.shard.module.runtime("i64", "pkgld_raise", "i64");
                self.value = self.set(&format!("call i64 @pkgld_raise(i64 {v})"));
            }
            Op::Package { gvar, .. } => {
                let gvar = &program.gvars[gvar];
                let slot = &gvar.name;
                let thunk = slot.replace("jlpkg_got_", "jlpkg_");
                let jump = jump_through(self.shard.spec.target, slot);
                self.shard.module.declare(
                    &thunk,
                    format!(
                        "define private i64 @\"{thunk}\"(i64 %x) naked noinline nounwind {{\n  \
                         call void asm sideeffect \"{jump}\", \"~{{memory}}\"()\n  unreachable\n}}"
                    ),
                );
                self.value = self.set(&format!("call i64 @\"{thunk}\"(i64 {v})"));
            }
        }
    }
}

/// Assembly, in LLVM's form for inline assembly, that jumps to the function whose address is in the variable `slot`, and
/// changes no register that a function's caller expects to keep or its callee to find.
fn jump_through(target: Target, slot: &str) -> String {
    let slot = target.decorated(slot);
    match target.cpu {
        Cpu::X86_64 => format!("jmpq *{slot}(%rip)"),
        Cpu::Aarch64 if target.format == Format::MachO => {
            format!("adrp x16, {slot}@PAGE\\0A ldr x16, [x16, {slot}@PAGEOFF]\\0A br x16")
        }
        Cpu::Aarch64 => format!("adrp x16, {slot}\\0A ldr x16, [x16, :lo12:{slot}]\\0A br x16"),
        Cpu::Riscv64 => {
            let load = "ld t3, %pcrel_lo(1b)(t3)";
            format!("1: auipc t3, %pcrel_hi({slot})\\0A {load}\\0A jr t3")
        }
        // Julia has no such thunks there.
        Cpu::X86 | Cpu::Arm | Cpu::Ppc64 => unreachable!("no thunks on {}", target.name),
    }
}

/// A double in the hexadecimal form that LLVM reads exactly.
fn hex(x: f64) -> String {
    format!("0x{:016X}", x.to_bits())
}
