//! Objects between `--start-lib` and `--end-lib`: each takes part if it defines a name that is needed, as the members of an
//! archive do that nobody had to make.

use foldhash::{HashMap, HashMapExt};

use crate::model::{Binding, Object, SymbolSection};

/// Neighbouring objects that take part when they are needed.
#[derive(Debug)]
pub(crate) struct Bracketed<'a> {
    /// Which object defines which symbol: of several the first.
    definers: HashMap<&'a [u8], usize>,
    /// The objects, those that have been taken left out.
    objects: Vec<Option<Object<'a>>>,
}

impl<'a> Bracketed<'a> {
    /// None so far.
    pub(super) fn new() -> Self {
        Self { definers: HashMap::new(), objects: Vec::new() }
    }

    /// Adds an object behind the others.
    pub(super) fn add(&mut self, object: Object<'a>) {
        let globals = object.symbols.iter().filter(|symbol| symbol.binding != Binding::Local);
        for symbol in globals.filter(|symbol| symbol.section() != SymbolSection::Undefined) {
            let name = object.symbol_name(symbol);
            // A default version is what the name alone means; in other formats an `@@` never ends a name like that.
            let plain = memchr::memmem::find(name, b"@@").filter(|at| *at > 0).and_then(|at| name.get(..at));
            for name in [Some(name), plain].into_iter().flatten() {
                self.definers.entry(name).or_insert(self.objects.len());
            }
        }
        self.objects.push(Some(object));
    }

    /// The number of the object that defines a name.
    pub(super) fn definer(&self, name: &[u8]) -> Option<usize> {
        self.definers.get(name).copied()
    }

    /// A name that an object defines, as that has it.
    pub(super) fn name(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.definers.get_key_value(name).map(|(name, _)| *name)
    }

    /// All names with the objects that define them, in no particular order.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'a [u8], usize)> {
        self.definers.iter().map(|(name, number)| (*name, *number))
    }

    /// An object, unless it has been taken before.
    pub(super) fn take(&mut self, number: usize) -> Option<Object<'a>> {
        self.objects.get_mut(number)?.take()
    }

    /// The objects of which `is_wanted` says so, given their numbers too, unless they have been taken before.
    pub(super) fn take_all(&mut self, is_wanted: impl Fn(usize, &Object<'a>) -> bool) -> Vec<Object<'a>> {
        let objects = self.objects.iter_mut().enumerate();
        objects.filter_map(|(number, object)| object.take_if(|object| is_wanted(number, object))).collect()
    }

    /// An object that has not been taken.
    pub(super) fn waiting(&self, number: usize) -> Option<&Object<'a>> {
        self.objects.get(number)?.as_ref()
    }

    /// Those that have not been taken.
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = &Object<'a>> {
        self.objects.iter().flatten()
    }
}
