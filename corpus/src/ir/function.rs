//! Lowers one function.

use std::fmt::Write as _;

use super::debug::Lines;
use super::text::Shard;
use crate::eval::{CAUGHT, CLONE_MARK, SAME_ADDRESS, text_mask};
use crate::mix::splitmix64;
use crate::names;
use crate::program::{FOREIGN, FnId, Kind, Lazy, Op};

/// Writes function `id` for CPU target `target`.
pub(crate) fn emit(shard: &mut Shard<'_>, id: FnId, target: u32) {
    let function = &shard.program.functions[id];
    let suffix = if target == 0 { "" } else { ".1" };
    let name = format!("{}{suffix}", function.name);
    let mut lines = function.frames.and_then(|_| shard.debug.function(&name, id));
    let place = lines.as_mut().map(|lines| shard.debug.location(lines, 0));
    let (result, parameters) = match function.kind {
        Kind::Boxed(_) => ("ptr", "ptr %F, ptr %args, i32 %nargs"),
        _ => ("i64", "i64 %x"),
    };
    let mut attributes = String::from("noinline \"frame-pointer\"=\"all\" \"probe-stack\"=\"inline-asm\"");
    if function.nounwind {
        attributes.push_str(" nounwind");
    }
    if target > 0 {
        let _ = write!(attributes, " \"target-features\"=\"{}\"", shard.spec.target.clone_features);
    }
    let debug = lines.as_ref().map_or(String::new(), |lines| format!(" !dbg !{}", lines.subprogram));
    let linkage = shard.linkage();
    let head = format!("define {linkage} {result} @\"{name}\"({parameters}) {attributes}{debug} {{");

    let mut body = Body {
        shard,
        text: String::new(),
        next: 0,
        value: "%x".to_owned(),
        block: "top".to_owned(),
        place,
        allocas: [false; 4],
        target,
    };
    body.run(id, &mut lines);
    let Body { text, allocas, .. } = body;
    let places = [
        "%buffer = alloca [64 x i64], align 16",
        "%cell = alloca i64, align 8",
        "%argv = alloca [1 x ptr], align 8",
        "%handler = alloca [272 x i8], align 16",
    ];
    let allocas: String =
        (places.iter().zip(allocas)).filter(|(_, wanted)| *wanted).map(|(place, _)| format!("  {place}\n")).collect();
    shard.module.define(&format!("{head}\ntop:\n{allocas}{text}}}"));
}

/// Places on the stack, allocated where an operation wants them.
#[derive(Clone, Copy)]
enum Place {
    Buffer,
    Cell,
    Args,
    Handler,
}

struct Body<'s, 'p> {
    shard: &'s mut Shard<'p>,
    text: String,
    next: u32,
    /// The SSA value that the next operation works on.
    value: String,
    block: String,
    /// The debug location of what is written now.
    place: Option<u32>,
    allocas: [bool; 4],
    target: u32,
}

impl Body<'_, '_> {
    fn run(&mut self, id: FnId, lines: &mut Option<Lines>) {
        let program = self.shard.program;
        let function = &program.functions[id];
        if let Kind::Boxed(_) = function.kind {
            let cell = self.set("load ptr, ptr %args, align 8");
            self.value = self.set(&format!("load i64, ptr {cell}, align 8"));
        }
        self.describe(lines, "x", true);
        let held = self.hold(function.held);
        let frames = function.frames.unwrap_or(0);
        let count = function.ops.len() as u32;
        for (i, op) in function.ops.iter().enumerate() {
            if let Some(lines) = lines {
                let i = i as u32;
                let depth = (i + 1) * frames / count - i * frames / count;
                self.place = Some(self.shard.debug.location(lines, depth));
            }
            self.op(op);
            for (i, word) in held.iter().enumerate() {
                self.binary(if i % 2 == 0 { "xor" } else { "add" }, word);
            }
        }
        if let Some(lines) = lines {
            self.place = Some(self.shard.debug.location(lines, 0));
        }
        match function.kind {
            Kind::Native => {}
            Kind::Boxed(native) => {
                let native = self.shard.function(native, "", "i64", "i64");
                let r = self.set(&format!("call i64 {native}(i64 {})", self.value));
                self.shard.module.runtime("ptr", "ijl_box_int64", "i64");
                let boxed = self.set(&format!("call ptr @ijl_box_int64(i64 {r})"));
                self.line(&format!("ret ptr {boxed}"));
                return;
            }
            Kind::Descend(next) => self.descend(next),
            Kind::Plt(plt) => self.resolve_plt(plt),
        }
        if self.target > 0 {
            self.value = self.set(&format!("add i64 {}, {}", self.value, CLONE_MARK as i64));
        }
        self.line(&format!("ret i64 {}", self.value));
    }

    /// Tells the debugger about the running value, with `-g2`.
    fn describe(&mut self, lines: &Option<Lines>, name: &str, argument: bool) {
        let Some(variable) = lines.as_ref().and_then(|lines| self.shard.debug.variable(lines, name, argument)) else {
            return;
        };
        self.shard.module.runtime("void", "llvm.dbg.value", "metadata, metadata, metadata");
        let expression = if argument { "" } else { "DW_OP_LLVM_fragment, 0, 64" };
        self.line(&format!(
            "call void @llvm.dbg.value(metadata i64 {}, metadata !{variable}, metadata !DIExpression({expression}))",
            self.value
        ));
    }

    /// Adds an instruction.
    fn line(&mut self, instruction: &str) {
        let _ = match self.place {
            Some(place) => writeln!(self.text, "  {instruction}, !dbg !{place}"),
            None => writeln!(self.text, "  {instruction}"),
        };
    }

    /// Adds an instruction and names its result.
    fn set(&mut self, instruction: &str) -> String {
        let name = format!("%t{}", self.next);
        self.next += 1;
        self.line(&format!("{name} = {instruction}"));
        name
    }

    /// A fresh label.
    fn label(&mut self) -> String {
        self.next += 1;
        format!("b{}", self.next)
    }

    fn start(&mut self, label: &str) {
        let _ = writeln!(self.text, "{label}:");
        self.block = label.to_owned();
    }

    fn need(&mut self, place: Place) -> &'static str {
        self.allocas[place as usize] = true;
        ["%buffer", "%cell", "%argv", "%handler"][place as usize]
    }

    fn binary(&mut self, operation: &str, with: &str) {
        self.value = self.set(&format!("{operation} i64 {}, {with}", self.value));
    }

    fn constant(&mut self, operation: &str, with: u64) {
        self.binary(operation, &(with as i64).to_string());
    }

    fn rotate(&mut self, by: u32) {
        self.shard.module.runtime("i64", "llvm.fshl.i64", "i64, i64, i64");
        let v = self.value.clone();
        self.value = self.set(&format!("call i64 @llvm.fshl.i64(i64 {v}, i64 {v}, i64 {by})"));
    }

    fn load(&mut self, kind: &str, address: &str) -> String {
        self.set(&format!("load {kind}, ptr {address}, align {}", if kind == "i8" { 1 } else { 8 }))
    }

    /// Word `index` of what `base` points to.
    fn word(&mut self, base: &str, index: &str) -> String {
        let address = self.set(&format!("getelementptr inbounds i64, ptr {base}, i64 {index}"));
        self.load("i64", &address)
    }

    /// Reads the words that the function holds.
    fn hold(&mut self, held: Option<(usize, usize)>) -> Vec<String> {
        let Some((table, count)) = held else { return Vec::new() };
        let table = &self.shard.program.consts[table];
        let name = self.shard.variable(&table.name, table.shard);
        (0..count)
            .map(|index| {
                let address = self.set(&format!("getelementptr inbounds i64, ptr {name}, i64 {index}"));
                // Atomic, lest each be read again where it is wanted.
                self.set(&format!("load atomic i64, ptr {address} unordered, align 8"))
            })
            .collect()
    }

    fn object(&mut self, object: usize) -> String {
        let name = names::OBJECTS[object];
        self.shard.module.declare(name, format!("@{name} = external global ptr, align 8"));
        self.load("ptr", &format!("@{name}"))
    }

    fn op(&mut self, op: &Op) {
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
                let p = self.set(&format!("load atomic ptr, ptr {name} unordered, align 8"));
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
                self.shard
                    .module
                    .declare("jl_world_counter", "@jl_world_counter = external global i64, align 8".to_owned());
                let word = self.set("load atomic i64, ptr @jl_world_counter acquire, align 8");
                self.binary("add", &word);
            }
            Op::BoxedByte => {
                self.shard.module.declare(
                    "jl_boxed_uint8_cache",
                    "@jl_boxed_uint8_cache = external global [256 x ptr], align 16".to_owned(),
                );
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
                let callee = self.set(&format!("load atomic ptr, ptr {slot} unordered, align 8"));
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
            Op::Half => self.half("float"),
            Op::HalfFromDouble => self.half("double"),
            Op::SmallTypeof(index) => {
                self.hidden("jl_small_typeof", "[128 x ptr]");
                let address = self.set(&format!("getelementptr inbounds i64, ptr @jl_small_typeof, i64 {index}"));
                let word = self.load("i64", &address);
                self.binary("xor", &word);
            }
            Op::Pgcstack => {
                let offset = if self.shard.spec.julia == crate::julia::Julia::V1_9 {
                    "jl_tls_offset_image"
                } else {
                    "jl_tls_offset"
                };
                self.hidden("jl_pgcstack_func_slot", "ptr");
                self.hidden("jl_pgcstack_key_slot", "ptr");
                self.hidden(offset, "i64");
                let f = self.load("ptr", "@jl_pgcstack_func_slot");
                let p = self.set(&format!("call ptr {f}()"));
                let word = self.load("i64", &p);
                self.binary("xor", &word);
                let key = self.load("i64", "@jl_pgcstack_key_slot");
                self.binary("add", &key);
                let word = self.load("i64", &format!("@{offset}"));
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
            Op::Package { gvar, runtime } => {
                let gvar = &program.gvars[gvar];
                let slot = &gvar.name;
                let thunk = slot.replace("jlpkg_got_", "jlpkg_");
                let _ = runtime;
                self.shard.module.declare(
                    &thunk,
                    format!(
                        "define private i64 @\"{thunk}\"(i64 %x) naked noinline nounwind {{\n  \
                         call void asm sideeffect \"jmpq *{slot}(%rip)\", \"~{{memory}}\"()\n  unreachable\n}}"
                    ),
                );
                self.value = self.set(&format!("call i64 @\"{thunk}\"(i64 {v})"));
            }
        }
    }

    fn hidden(&mut self, name: &str, kind: &str) {
        // The one module of 1.9 defines them itself.
        if self.shard.spec.julia != crate::julia::Julia::V1_9 {
            self.shard.module.declare(name, format!("@{name} = external hidden global {kind}, align 8"));
        }
    }

    /// Boxes the running value on the stack as the only argument.
    fn arguments(&mut self) -> &'static str {
        let cell = self.need(Place::Cell);
        let args = self.need(Place::Args);
        let v = self.value.clone();
        self.line(&format!("store i64 {v}, ptr {cell}, align 8"));
        self.line(&format!("store ptr {cell}, ptr {args}, align 8"));
        args
    }

    fn runtime(&mut self, name: usize) {
        let name = names::FUNCTIONS[name];
        self.shard.module.runtime("i64", name, "i64");
        self.value = self.set(&format!("call i64 @{name}(i64 {})", self.value));
    }

    fn switch(&mut self, seed: u64, cases: u64) {
        let v = self.value.clone();
        let index = self.set(&format!("and i64 {v}, {}", cases - 1));
        let labels: Vec<String> = (0..cases).map(|_| self.label()).collect();
        let (join, unreachable) = (self.label(), self.label());
        let table: Vec<String> =
            labels.iter().enumerate().map(|(case, label)| format!("i64 {case}, label %{label}")).collect();
        self.line(&format!("switch i64 {index}, label %{unreachable} [ {} ]", table.join(" ")));
        let mut incoming = Vec::new();
        for (case, label) in labels.iter().enumerate() {
            self.start(label);
            let k = splitmix64(seed.wrapping_add(case as u64));
            let r = if case % 2 == 0 {
                self.set(&format!("xor i64 {v}, {}", k as i64))
            } else {
                self.set(&format!("mul i64 {v}, {}", (k | 1) as i64))
            };
            self.line(&format!("br label %{join}"));
            incoming.push(format!("[ {r}, %{label} ]"));
        }
        self.start(&unreachable);
        self.line("unreachable");
        self.start(&join);
        self.value = self.set(&format!("phi i64 {}", incoming.join(", ")));
    }

    /// Starts a block that runs if the running value is `unless`, and returns the label of what follows.
    fn never(&mut self, unless: u64) -> String {
        let v = self.value.clone();
        let (cold, next) = (self.label(), self.label());
        let hit = self.set(&format!("icmp eq i64 {v}, {}", unless as i64));
        self.line(&format!("br i1 {hit}, label %{cold}, label %{next}"));
        self.start(&cold);
        next
    }

    fn copy_table(&mut self, id: usize) -> &'static str {
        let program = self.shard.program;
        let table = &program.consts[id];
        let name = self.shard.variable(&table.name, table.shard);
        let buffer = self.need(Place::Buffer);
        self.shard.module.runtime("void", "llvm.memcpy.p0.p0.i64", "ptr, ptr, i64, i1 immarg");
        self.line(&format!(
            "call void @llvm.memcpy.p0.p0.i64(ptr align 16 {buffer}, ptr align 8 {name}, i64 512, i1 false)"
        ));
        buffer
    }

    /// Looks the foreign function up, with the library's handle going into the slot `handle`.
    fn look_up(&mut self, lazy: Lazy, handle: &str) -> String {
        let program = self.shard.program;
        let [library, function] = [lazy.library_text, lazy.function_text].map(|text| {
            let text = &program.texts[text];
            self.shard.variable(&text.name, text.shard)
        });
        debug_assert_eq!(program.texts[lazy.function_text].value, FOREIGN[lazy.foreign].0);
        self.shard.module.runtime("ptr", "ijl_load_and_lookup", "ptr, ptr, ptr");
        self.set(&format!("call ptr @ijl_load_and_lookup(ptr {library}, ptr {function}, ptr {handle})"))
    }

    fn lazy(&mut self, lazy: usize) {
        let program = self.shard.program;
        let variable = &program.lazies[lazy];
        let slot = self.shard.variable(&variable.name, variable.shard);
        let handle = self.shard.variable(&format!("{}.lib", variable.name), variable.shard);
        let v = self.value.clone();
        let (find, call) = (self.label(), self.label());
        let known = self.set(&format!("load atomic ptr, ptr {slot} unordered, align 8"));
        let first = self.set(&format!("icmp eq ptr {known}, null"));
        let before = self.block.clone();
        self.line(&format!("br i1 {first}, label %{find}, label %{call}"));
        self.start(&find);
        let found = self.look_up(variable.value, &handle);
        self.line(&format!("store atomic ptr {found}, ptr {slot} release, align 8"));
        self.line(&format!("br label %{call}"));
        self.start(&call);
        let callee = self.set(&format!("phi ptr [ {known}, %{before} ], [ {found}, %{find} ]"));
        self.value = self.set(&format!("call i64 {callee}(i64 {v})"));
    }

    fn resolve_plt(&mut self, plt: usize) {
        let program = self.shard.program;
        let variable = &program.plts[plt];
        let slot = self.shard.variable(&variable.name, variable.shard);
        let handle = self.shard.variable(&format!("{}.lib", variable.name), variable.shard);
        let found = self.look_up(variable.value.1, &handle);
        self.line(&format!("store atomic ptr {found}, ptr {slot} release, align 8"));
        self.value = self.set(&format!("tail call i64 {found}(i64 {})", self.value));
    }

    fn descend(&mut self, next: FnId) {
        let v = self.value.clone();
        let (bottom, deeper, end) = (self.label(), self.label(), self.label());
        let last = self.set(&format!("icmp eq i64 {v}, 0"));
        self.line(&format!("br i1 {last}, label %{bottom}, label %{deeper}"));
        self.start(&bottom);
        self.shard.module.runtime("i64", "ijl_backtrace_from_here", "");
        let here = self.set("notail call i64 @ijl_backtrace_from_here()");
        self.line(&format!("br label %{end}"));
        self.start(&deeper);
        let less = self.set(&format!("sub i64 {v}, 1"));
        let next = self.shard.function(next, "", "i64", "i64");
        let below = self.set(&format!("notail call i64 {next}(i64 {less})"));
        self.line(&format!("br label %{end}"));
        self.start(&end);
        self.value = self.set(&format!("phi i64 [ {here}, %{bottom} ], [ {below}, %{deeper} ]"));
    }

    fn half(&mut self, by: &str) {
        let v = self.value.clone();
        let low = self.set(&format!("and i64 {v}, 4095"));
        let wide = self.set(&format!("sitofp i64 {low} to {by}"));
        let half = self.set(&format!("fptrunc {by} {wide} to half"));
        let back = self.set(&format!("fpext half {half} to {by}"));
        let word = self.set(&format!("fptosi {by} {back} to i64"));
        self.constant("mul", 3);
        self.binary("add", &word);
    }

    /// Enters a handler, throws the running value, and takes it from the handler after the jump back.
    fn catch(&mut self) {
        let handler = self.need(Place::Handler);
        let cell = self.need(Place::Cell);
        let v = self.value.clone();
        self.shard.module.runtime("void", "ijl_enter_handler", "ptr");
        self.shard.module.runtime("void", "ijl_throw", "ptr");
        self.shard.module.declare("__sigsetjmp", "declare i32 @__sigsetjmp(ptr, i32) returns_twice".to_owned());
        let (attempt, caught) = (self.label(), self.label());
        self.line(&format!("store volatile i64 {v}, ptr {cell}, align 8"));
        self.line(&format!("call void @ijl_enter_handler(ptr {handler})"));
        let back = self.set(&format!("call i32 @__sigsetjmp(ptr {handler}, i32 0) returns_twice"));
        let thrown = self.set(&format!("icmp ne i32 {back}, 0"));
        self.line(&format!("br i1 {thrown}, label %{caught}, label %{attempt}"));
        self.start(&attempt);
        self.line(&format!("call void @ijl_throw(ptr {cell})"));
        self.line("unreachable");
        self.start(&caught);
        let address = self.set(&format!("getelementptr inbounds i8, ptr {handler}, i64 264"));
        self.value = self.set(&format!("load volatile i64, ptr {address}, align 8"));
        self.constant("add", CAUGHT);
    }
}

/// A double in the hexadecimal form that LLVM reads exactly.
fn hex(x: f64) -> String {
    format!("0x{:016X}", x.to_bits())
}
