//! Lowers one function.

use std::fmt::Write as _;

use super::debug::Lines;
use super::text::Shard;
use crate::eval::{CAUGHT, CLONE_MARK};
use crate::julia::Julia;
use crate::mix::splitmix64;
use crate::names;
use crate::program::{FOREIGN, FnId, Frame, Kind, Lazy};
use crate::target::Format;

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
    let pointer = if matches!(function.frame, Frame::Pointer | Frame::Dwarf) { "all" } else { "none" };
    let mut attributes = format!("noinline \"frame-pointer\"=\"{pointer}\" \"probe-stack\"=\"inline-asm\"");
    if function.nounwind {
        attributes.push_str(" nounwind");
    }
    let machine = shard.spec.target;
    // As Julia's code generator has it: unwind data for every function of 64-bit Windows, whose exceptions its runtime
    // handles; a stack that is aligned anew on 32-bit Windows, whose callers align to four bytes only.
    if machine.personality() {
        attributes.push_str(" uwtable");
    } else if machine.format == Format::Coff {
        attributes.push_str(" alignstack(16)");
    }
    if target > 0 {
        let _ = write!(attributes, " \"target-features\"=\"{}\"", shard.spec.target.cpu.clone_target().1);
    }
    let debug = lines.as_ref().map_or(String::new(), |lines| format!(" !dbg !{}", lines.subprogram));
    let linkage = shard.linkage();
    let personality = if matches!(function.kind, Kind::Guarded(_)) {
        shard.module.runtime("i32", "__gcc_personality_v0", "...");
        " personality ptr @__gcc_personality_v0"
    } else if machine.personality() {
        shard.module.runtime("i32", "__julia_personality", "...");
        " personality ptr @__julia_personality"
    } else {
        ""
    };
    let head = format!("define {linkage} {result} @\"{name}\"({parameters}) {attributes}{personality}{debug} {{");

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
    let handler = format!("%handler = alloca [{} x i8], align 16", shard.spec.target.cpu.handler_buffer() + 16);
    let places = [
        "%buffer = alloca [64 x i64], align 16",
        "%cell = alloca i64, align 8",
        "%argv = alloca [1 x ptr], align 8",
        &handler,
    ];
    let allocas: String =
        (places.iter().zip(allocas)).filter(|(_, wanted)| *wanted).map(|(place, _)| format!("  {place}\n")).collect();
    shard.module.define(&format!("{head}\ntop:\n{allocas}{text}}}"));
}

/// Places on the stack, allocated where an operation wants them.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Buffer,
    Cell,
    Args,
    Handler,
}

/// A function's body under construction.
pub(super) struct Body<'s, 'p> {
    pub(super) shard: &'s mut Shard<'p>,
    text: String,
    next: u32,
    /// The SSA value that the next operation works on.
    pub(super) value: String,
    block: String,
    /// The debug location of what is written now.
    place: Option<u32>,
    allocas: [bool; 4],
    pub(super) target: u32,
}

impl Body<'_, '_> {
    fn run(&mut self, id: FnId, lines: &mut Option<Lines>) {
        let program = self.shard.program;
        let function = &program.functions[id];
        if let Kind::Boxed(_) = function.kind {
            let cell = self.load("ptr", "%args");
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
            Kind::Descend(next) => self.descend(next, false, function.frame),
            Kind::Guarded(next) => self.descend(next, true, function.frame),
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
    pub(super) fn line(&mut self, instruction: &str) {
        let _ = match self.place {
            Some(place) => writeln!(self.text, "  {instruction}, !dbg !{place}"),
            None => writeln!(self.text, "  {instruction}"),
        };
    }

    /// Adds an instruction and names its result.
    pub(super) fn set(&mut self, instruction: &str) -> String {
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

    pub(super) fn start(&mut self, label: &str) {
        let _ = writeln!(self.text, "{label}:");
        self.block = label.to_owned();
    }

    pub(super) fn need(&mut self, place: Place) -> &'static str {
        self.allocas[place as usize] = true;
        ["%buffer", "%cell", "%argv", "%handler"][place as usize]
    }

    pub(super) fn binary(&mut self, operation: &str, with: &str) {
        self.value = self.set(&format!("{operation} i64 {}, {with}", self.value));
    }

    pub(super) fn constant(&mut self, operation: &str, with: u64) {
        self.binary(operation, &(with as i64).to_string());
    }

    pub(super) fn rotate(&mut self, by: u32) {
        self.shard.module.runtime("i64", "llvm.fshl.i64", "i64, i64, i64");
        let v = self.value.clone();
        self.value = self.set(&format!("call i64 @llvm.fshl.i64(i64 {v}, i64 {v}, i64 {by})"));
    }

    /// The size of a pointer in bytes.
    pub(super) fn pointer(&self) -> u64 {
        self.shard.spec.target.cpu.pointer()
    }

    pub(super) fn load(&mut self, kind: &str, address: &str) -> String {
        let align = match kind {
            "i8" => 1,
            "i16" => 2,
            "i32" => 4,
            "ptr" => self.pointer(),
            _ => 8,
        };
        self.set(&format!("load {kind}, ptr {address}, align {align}"))
    }

    /// A number of a pointer's size, read from `address`, as the number that functions work with.
    pub(super) fn load_word(&mut self, address: &str) -> String {
        let word = self.shard.spec.target.cpu.word();
        let number = self.load(word, address);
        self.widen(word, &number)
    }

    /// An integer of type `kind` as the number that functions work with.
    pub(super) fn widen(&mut self, kind: &str, number: &str) -> String {
        if kind == "i64" { number.to_owned() } else { self.set(&format!("zext {kind} {number} to i64")) }
    }

    /// Word `index` of what `base` points to.
    pub(super) fn word(&mut self, base: &str, index: &str) -> String {
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

    pub(super) fn object(&mut self, object: usize) -> String {
        let name = names::OBJECTS[object];
        let pointer = self.pointer();
        self.shard.module.import(self.shard.spec, name, "ptr", pointer);
        self.load("ptr", &format!("@{name}"))
    }

    pub(super) fn hidden(&mut self, name: &str, kind: &str) {
        // The one module of 1.9 defines them itself.
        if self.shard.spec.julia != Julia::V1_9 {
            let declaration = format!("@{name} = external hidden global {kind}, align {}", self.pointer());
            self.shard.module.declare(name, declaration);
        }
    }

    /// Boxes the running value on the stack as the only argument.
    pub(super) fn arguments(&mut self) -> &'static str {
        let cell = self.need(Place::Cell);
        let args = self.need(Place::Args);
        let v = self.value.clone();
        self.line(&format!("store i64 {v}, ptr {cell}, align 8"));
        self.line(&format!("store ptr {cell}, ptr {args}, align {}", self.pointer()));
        args
    }

    pub(super) fn runtime(&mut self, name: usize) {
        let name = names::FUNCTIONS[name];
        self.shard.module.runtime("i64", name, "i64");
        self.value = self.set(&format!("call i64 @{name}(i64 {})", self.value));
    }

    pub(super) fn switch(&mut self, seed: u64, cases: u64) {
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
    pub(super) fn never(&mut self, unless: u64) -> String {
        let v = self.value.clone();
        let (cold, next) = (self.label(), self.label());
        let hit = self.set(&format!("icmp eq i64 {v}, {}", unless as i64));
        self.line(&format!("br i1 {hit}, label %{cold}, label %{next}"));
        self.start(&cold);
        next
    }

    pub(super) fn copy_table(&mut self, id: usize) -> &'static str {
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

    pub(super) fn lazy(&mut self, lazy: usize) {
        let program = self.shard.program;
        let variable = &program.lazies[lazy];
        let slot = self.shard.variable(&variable.name, variable.shard);
        let handle = self.shard.variable(&format!("{}.lib", variable.name), variable.shard);
        let v = self.value.clone();
        let (find, call) = (self.label(), self.label());
        let known = self.set(&format!("load atomic ptr, ptr {slot} unordered, align {}", self.pointer()));
        let first = self.set(&format!("icmp eq ptr {known}, null"));
        let before = self.block.clone();
        self.line(&format!("br i1 {first}, label %{find}, label %{call}"));
        self.start(&find);
        let found = self.look_up(variable.value, &handle);
        self.line(&format!("store atomic ptr {found}, ptr {slot} release, align {}", self.pointer()));
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
        self.line(&format!("store atomic ptr {found}, ptr {slot} release, align {}", self.pointer()));
        self.value = self.set(&format!("tail call i64 {found}(i64 {})", self.value));
    }

    fn descend(&mut self, next: FnId, guarded: bool, frame: Frame) {
        let v = self.value.clone();
        match frame {
            Frame::Pointer | Frame::None => {}
            Frame::Large => {
                let buffer = self.set("alloca [8192 x i8], align 16");
                self.line(&format!("call void asm sideeffect \"\", \"r,~{{memory}}\"(ptr {buffer})"));
            }
            Frame::Dwarf => {
                self.line("call void asm sideeffect \".cfi_remember_state\\0A.cfi_restore_state\", \"\"()");
            }
        }
        let [bottom, deeper, end, pad] = std::array::from_fn(|_| self.label());
        let last = self.set(&format!("icmp eq i64 {v}, 0"));
        self.line(&format!("br i1 {last}, label %{bottom}, label %{deeper}"));
        self.start(&bottom);
        self.shard.module.runtime("i64", "ijl_backtrace_from_here", "");
        let here = self.call_below("@ijl_backtrace_from_here()", &end, guarded.then_some(&pad));
        self.start(&deeper);
        let less = self.set(&format!("sub i64 {v}, 1"));
        let next = self.shard.function(next, "", "i64", "i64");
        let below = self.call_below(&format!("{next}(i64 {less})"), &end, guarded.then_some(&pad));
        if guarded {
            self.start(&pad);
            let exception = self.set("landingpad { ptr, i32 } cleanup");
            let cleanup = names::FUNCTIONS[0];
            self.shard.module.runtime("i64", cleanup, "i64");
            self.line(&format!("call i64 @{cleanup}(i64 {v})"));
            self.line(&format!("resume {{ ptr, i32 }} {exception}"));
        }
        self.start(&end);
        self.value = self.set(&format!("phi i64 [ {here}, %{bottom} ], [ {below}, %{deeper} ]"));
    }

    /// A call that keeps the frame, and goes on at `end`, or at `pad` if there is one and an exception comes.
    fn call_below(&mut self, callee: &str, end: &str, pad: Option<&String>) -> String {
        if let Some(pad) = pad {
            return self.set(&format!("invoke i64 {callee} to label %{end} unwind label %{pad}"));
        }
        let result = self.set(&format!("notail call i64 {callee}"));
        self.line(&format!("br label %{end}"));
        result
    }

    pub(super) fn half(&mut self, by: &str) {
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
    pub(super) fn catch(&mut self) {
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
        let thrown = self.shard.spec.target.cpu.handler_buffer() + 8;
        let address = self.set(&format!("getelementptr inbounds i8, ptr {handler}, i64 {thrown}"));
        self.value = self.set(&format!("load volatile i64, ptr {address}, align 8"));
        self.constant("add", CAUGHT);
    }
}
