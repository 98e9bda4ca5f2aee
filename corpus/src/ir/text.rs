//! A text shard: its share of the data, the functions, the tables.

use super::debug::Debug;
use super::{Module, difference, exported, function, image, quoted, tables};
use crate::Spec;
use crate::julia::Tables;
use crate::program::{FnId, Program};

/// The module of a shard under construction.
pub(crate) struct Shard<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) program: &'a Program,
    pub(crate) index: usize,
    pub(crate) module: Module,
    pub(crate) debug: Debug,
}

/// The LLVM assembly of shard `index`.
pub(crate) fn shard(spec: &Spec, program: &Program, index: usize) -> String {
    let mut shard = Shard { spec, program, index, module: Module::new(), debug: Debug::new(spec, index) };
    shard.data();
    for (id, function) in program.functions.iter().enumerate() {
        if function.shard == index {
            function::emit(&mut shard, id, 0);
            if function.cloned {
                function::emit(&mut shard, id, 1);
            }
        }
    }
    shard.module.half_helpers(spec);
    tables::emit(&mut shard);
    if spec.julia.tables() == Tables::Sysimg {
        image::tables_1_9(spec, program, &mut shard.module);
    }
    shard.exports();
    let Shard { module, debug, .. } = shard;
    let metadata = debug.finish(spec);
    module.finish(spec, "text", &metadata)
}

impl Shard<'_> {
    /// Julia keeps a lone shard's symbols local; several shards see each other's, hidden from everybody else.
    pub(crate) fn linkage(&self) -> &'static str {
        if self.program.shards == 1 { "internal" } else { "hidden" }
    }

    fn here(&self, shard: usize) -> bool {
        shard == self.index
    }

    /// Refers to a variable, declaring it where another shard has it.
    pub(crate) fn variable(&mut self, name: &str, shard: usize) -> String {
        if !self.here(shard) {
            let pointer = self.spec.target.cpu.pointer();
            self.module.declare(name, format!("@\"{name}\" = external hidden global ptr, align {pointer}"));
        }
        format!("@\"{name}\"")
    }

    /// Refers to a function of the image, declaring it where another shard has it.
    pub(crate) fn function(&mut self, id: FnId, suffix: &str, result: &str, parameters: &str) -> String {
        let function = &self.program.functions[id];
        let name = format!("{}{suffix}", function.name);
        if !self.here(function.shard) {
            self.module.declare(&name, format!("declare hidden {result} @\"{name}\"({parameters})"));
        }
        format!("@\"{name}\"")
    }

    fn data(&mut self) {
        let program = self.program;
        let linkage = self.linkage();
        let pointer = self.spec.target.cpu.pointer();
        for (name, _) in own(&program.gvars, self.index) {
            self.module.define(&format!("@\"{name}\" = {linkage} global ptr null, align {pointer}"));
        }
        for (name, words) in own(&program.consts, self.index) {
            let elements: Vec<String> = words.iter().map(|word| format!("i64 {}", *word as i64)).collect();
            self.module.define(&format!(
                "@\"{name}\" = {linkage} unnamed_addr constant [{} x i64] [{}], align 8",
                elements.len(),
                elements.join(", ")
            ));
        }
        for (name, text) in own(&program.texts, self.index) {
            let mut bytes = text.as_bytes().to_vec();
            bytes.push(0);
            self.module.define(&format!(
                "@\"{name}\" = {linkage} unnamed_addr constant [{} x i8] {}, align 1",
                bytes.len(),
                quoted(&bytes)
            ));
        }
        for (name, _) in own(&program.lazies, self.index) {
            self.module.define(&format!("@\"{name}\" = {linkage} global ptr null, align {pointer}"));
            self.module.define(&format!("@\"{name}.lib\" = {linkage} global ptr null, align {pointer}"));
        }
        for (name, (resolver, _)) in own(&program.plts, self.index) {
            let resolver = self.function(*resolver, "", "i64", "i64");
            self.module.define(&format!("@\"{name}\" = {linkage} global ptr {resolver}, align {pointer}"));
            self.module.define(&format!("@\"{name}.lib\" = {linkage} global ptr null, align {pointer}"));
        }
        for (name, (tag, function)) in own(&program.objects, self.index) {
            let function = self.function(*function, "", "i64", "i64");
            self.module.define(&format!(
                "@\"{name}\" = {linkage} constant {{ i64, ptr }} {{ i64 {}, ptr {function} }}, align 8",
                *tag as i64
            ));
        }
        for (name, ()) in own(&program.slots, self.index) {
            self.module.define(&format!("@\"{name}\" = {linkage} global i64 0, align 8"));
        }
        for (name, word) in own(&program.datas, self.index) {
            self.module
                .define(&format!("@\"{name}\" = {linkage} global [2 x i64] [i64 {}, i64 1], align 16", *word as i64));
        }
        for (id, function) in program.functions.iter().enumerate() {
            if function.shard == self.index && program.has_slot(id) {
                let name = &function.name;
                self.module.define(&format!("@\"{name}.reloc_slot\" = {linkage} global ptr null, align {pointer}"));
            }
        }
    }

    /// The aliases of `@ccallable` functions are what users look up by name: default visibility.
    fn exports(&mut self) {
        for (alias, id) in &self.program.exports {
            let function = &self.program.functions[*id];
            if function.shard == self.index {
                let exported = exported(self.spec);
                self.module.define(&format!("@\"{alias}\" = {exported}alias i64 (i64), ptr @\"{}\"", function.name));
            }
        }
    }

    /// The difference of a variable of this shard and a table, for the tables of offsets.
    pub(crate) fn offset(&self, variable: &str, base: &str) -> String {
        difference(self.spec.target.cpu, &format!("@\"{variable}\""), &format!("@\"{base}\""))
    }
}

/// The variables that live in a shard.
fn own<T>(variables: &[crate::program::Variable<T>], shard: usize) -> impl Iterator<Item = (&str, &T)> {
    variables.iter().filter(move |v| v.shard == shard).map(|v| (v.name.as_str(), &v.value))
}
