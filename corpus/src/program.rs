//! What an image computes: functions as lists of operations that can be lowered to LLVM IR and evaluated in Rust.
//!
//! Every function takes an `i64` and returns one. Each operation turns the running value into another with the help of
//! one thing a linker has to get right: a slot, a constant, a call. So a wrong address shows as a wrong result, and
//! the right one is known before anything is compiled.

/// Index of a function in [`Program::functions`].
pub(crate) type FnId = usize;

/// One step of a function. `v` is the running value.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Arithmetic only.
    Mix { xor: u64, mul: u64 },
    /// Reads a slot that the loader filled.
    Gvar(usize),
    /// Reads a word of a constant table.
    Const(usize),
    /// Reads a byte of a string.
    Text(usize),
    /// Follows one of the runtime's variables to its object.
    Object(usize),
    /// Reads the runtime's `jl_world_counter`.
    World,
    /// Indexes the runtime's `jl_boxed_uint8_cache` and follows the pointer.
    BoxedByte,
    /// Floating-point arithmetic with two constants that land in a constant pool.
    Pool { mul: f64, add: f64 },
    /// Vector arithmetic with a 16-byte constant.
    Lanes([u64; 2]),
    /// A dense switch: a jump table. `cases` is a power of two.
    Switch { seed: u64, cases: u64 },
    /// A direct call.
    Call(FnId),
    /// A call of a function with the boxed signature.
    CallBoxed(FnId),
    /// A call through the `.reloc_slot` of a function that has clones.
    CallSlot(FnId),
    /// A call through the slot of a lazily bound foreign function, filled by its resolver.
    CallPlt(usize),
    /// A direct call of a runtime function.
    Runtime(usize),
    /// A call of a runtime function whose address is taken first.
    RuntimeByAddress(usize),
    /// Boxes and unboxes.
    Box,
    /// Recursion through the runtime: `ijl_apply_generic` of a function object of the image.
    Apply(usize),
    /// Compares a function's address in a constant table with the one that code computes.
    SameAddress(usize),
    /// `memcpy` of a constant table of 64 words.
    Copy(usize),
    /// `memset`.
    Fill,
    /// `memmove` within a copy of a constant table of 64 words.
    Move(usize),
    /// A lazily resolved ccall with its two cache slots.
    Lazy(usize),
    /// Writes and reads a zero-initialised variable.
    Slot(usize),
    /// Reads the first word of an initialised variable, writes and reads the second.
    Data(usize),
    /// Reads a byte of one initialised variable, 16 bits of another and 32 of a third.
    Narrow([usize; 3]),
    /// Through half precision and back, by way of single precision.
    Half,
    /// Through half precision and back, by way of double precision.
    HalfFromDouble,
    /// Reads a word of `jl_small_typeof`.
    SmallTypeof(u32),
    /// Calls the function in `jl_pgcstack_func_slot` and reads the two slots beside it.
    Pgcstack,
    /// A branch that is never taken, to a throw.
    Throw { unless: u64, object: usize },
    /// A branch that is never taken, to a function that no library of the link defines (`__udivti3`).
    Cold { unless: u64 },
    /// Throws and catches.
    Catch,
    /// Raises an exception of the system that the function's personality sees and continues from.
    Raise,
    /// A call into another package image, through a thunk in inline assembly and its slot.
    Package { gvar: usize, runtime: usize },
}

/// What a function's body is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// `i64 (i64)`: the operations in order.
    Native,
    /// `ptr (ptr, ptr, i32)`: unbox, the operations, call the native function, box.
    Boxed(FnId),
    /// Calls `next` with one less, or at zero the runtime's backtrace; returns what came back.
    Descend(FnId),
    /// The same, with a personality: a cleanup that calls the runtime is run if the call is left by an exception.
    Guarded(FnId),
    /// Resolves a foreign function, stores it into the slot it was reached through, and calls it.
    Plt(usize),
}

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) shard: usize,
    pub(crate) kind: Kind,
    /// A constant table of 64 words and how many of them are read at the start and used after each operation: values
    /// that live through the whole function, as in Julia's functions, where full registers let the base of the GOT be
    /// computed more than once.
    pub(crate) held: Option<(usize, usize)>,
    pub(crate) ops: Vec<Op>,
    /// Without an entry in `.eh_frame`.
    pub(crate) nounwind: bool,
    /// Inlined frames that the line table tells of; `None` for no debug information at all.
    pub(crate) frames: Option<u32>,
    /// Has a second version for the second CPU target.
    pub(crate) cloned: bool,
    /// Whether the tables of the image list it.
    pub(crate) fvar: bool,
    /// What its stack frame is like.
    pub(crate) frame: Frame,
}

/// How a function's stack frame is described to unwinders: for macOS, whose compact encodings are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// With a frame pointer, as all of Julia's functions.
    Pointer,
    /// Without.
    None,
    /// Without, and with more on the stack than a compact encoding can say itself.
    Large,
    /// With a frame pointer, but with a directive that no compact encoding has: described in `__eh_frame` alone.
    Dwarf,
}

/// A variable with a name and a home.
#[derive(Clone, Debug)]
pub(crate) struct Variable<T> {
    pub(crate) name: String,
    pub(crate) shard: usize,
    pub(crate) value: T,
}

/// A lazily resolved ccall: the foreign function's index and the strings' indices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lazy {
    pub(crate) foreign: usize,
    pub(crate) function_text: usize,
    pub(crate) library_text: usize,
}

/// A value that only the evaluator and the tests know: what a probe returns.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) function: FnId,
    pub(crate) what: &'static str,
}

/// Everything in an image but its heap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) shards: usize,
    /// CPU targets: 1, or 2 with clones.
    pub(crate) targets: u32,
    /// The bits of a number that fit into a variable of a pointer's size.
    pub(crate) word_mask: u64,
    pub(crate) functions: Vec<Function>,
    /// Slots that the loader fills, by global index. The value is a runtime function whose address is wanted, if any.
    pub(crate) gvars: Vec<Variable<Option<usize>>>,
    pub(crate) consts: Vec<Variable<Vec<u64>>>,
    pub(crate) texts: Vec<Variable<String>>,
    /// `ccall_*` and `ccalllib_*` caches.
    pub(crate) lazies: Vec<Variable<Lazy>>,
    /// Resolvers of foreign functions, by function; each has a slot.
    pub(crate) plts: Vec<Variable<(FnId, Lazy)>>,
    /// Constant function objects: a tag and a pointer to a function.
    pub(crate) objects: Vec<Variable<(u64, FnId)>>,
    pub(crate) slots: Vec<Variable<()>>,
    pub(crate) datas: Vec<Variable<u64>>,
    pub(crate) probes: Vec<Probe>,
    /// Boxed functions that the manifest tells of.
    pub(crate) boxed_probes: Vec<Probe>,
    /// Where the unwinding probes start.
    pub(crate) unwind: Vec<FnId>,
    /// `@ccallable` functions: the exported alias and the function.
    pub(crate) exports: Vec<(String, FnId)>,
}

/// A foreign function's name, and what it computes.
pub(crate) type Foreign = (&'static str, fn(u64) -> u64);

/// The foreign functions that the stub runtime finds by name.
pub(crate) const FOREIGN: [Foreign; 4] = [
    ("foreign_add", |x| x.wrapping_add(0x1122_3344_5566_7788)),
    ("foreign_xor", |x| x ^ 0x8877_6655_4433_2211),
    ("foreign_mul", |x| x.wrapping_mul(0x0000_0001_0000_01b3)),
    ("foreign_rot", |x| x.rotate_left(13)),
];

impl Program {
    /// The functions in the order of the image's function table: position is the global index.
    pub(crate) fn fvars(&self) -> impl Iterator<Item = FnId> + '_ {
        (0..self.functions.len()).filter(|&id| self.functions[id].fvar)
    }

    /// Whether any function reaches this one through its `.reloc_slot`.
    pub(crate) fn has_slot(&self, id: FnId) -> bool {
        self.functions[id].cloned
    }
}
