//! Finding symbols by their names.

use std::hash::{BuildHasher, Hasher as _};

use crate::error::Error;
use crate::memory;
use crate::model::{Binding, Object};
use crate::names::{self, Names};

/// What is hashed with: another secret in each process, so that nobody can choose names whose hashes are the same.
pub(crate) type Hasher = foldhash::quality::RandomState;

/// The name of a global symbol of an object, as the table of symbols looks for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// The low half of the name's hash.
    hash: u32,
    /// The length of the name, in bytes, and [`Key::AT`] if there is an `@` in it.
    length: u32,
}

impl Key {
    /// There is an `@` in the name.
    const AT: u32 = 1 << 31;

    /// The keys of an object's global symbols, in order: what takes no turn, and so can be done to several objects at once.
    /// This is where names are walked; from here on their lengths are known.
    ///
    /// # Errors
    /// The names are far longer than their table.
    pub(crate) fn all(object: &Object<'_>, hasher: &Hasher) -> Result<Vec<Self>, Error> {
        let globals = || object.symbols.iter().filter(|symbol| symbol.binding != Binding::Local);
        let mut names = Names::new(object.symbols.len(), object.strings.len(), "symbols");
        let mut keys = Vec::with_capacity(globals().count());
        for symbol in globals() {
            let (name, has_at) = names::first(object.name_start(symbol));
            names.add(name.len()).map_err(|what| Error::malformed(&object.name, what))?;
            if name.len() >= Self::AT as usize {
                return Err(Error::malformed(&object.name, "the name of a symbol has 2^31 bytes or more"));
            }
            keys.push(Self::of(name, has_at, hasher));
        }
        Ok(keys)
    }

    fn of(name: &[u8], has_at: bool, hasher: &Hasher) -> Self {
        let mut hash = hasher.build_hasher();
        hash.write(name);
        Self { hash: hash.finish() as u32, length: name.len() as u32 | if has_at { Self::AT } else { 0 } }
    }

    /// The key of a name of its own.
    pub(super) fn new(name: &[u8], hasher: &Hasher) -> Self {
        Self::of(name, memchr::memchr(b'@', name).is_some(), hasher)
    }

    /// The length of the name, in bytes.
    pub(super) fn length(self) -> usize {
        (self.length & !Self::AT) as usize
    }

    /// Whether there is an `@` in the name.
    pub(super) fn has_at(self) -> bool {
        self.length & Self::AT != 0
    }
}

/// Finds symbols by their names: a hash table with open addressing, whose places have eight bytes, so that looking for a
/// name that is not there touches one line of memory and nothing else.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two of places, at most two thirds of them taken. Each has the hash, and one more than the index of the
    /// symbol; 0 where there is none.
    places: Vec<(u32, u32)>,
    taken: usize,
}

impl Table {
    /// The place of the symbol that `is` the one with that hash, or the free place where it belongs. There are places.
    fn place(&self, hash: u32, is: impl Fn(usize) -> bool) -> usize {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some((other, index)) = self.places.get(at) {
            if *index == 0 || (*other == hash && is(*index as usize - 1)) {
                break;
            }
            at = at.wrapping_add(1) & mask;
        }
        at
    }

    /// The index of the symbol that `is` the one with a name.
    pub(super) fn find(&self, key: Key, is: impl Fn(usize) -> bool) -> Option<usize> {
        let (_, index) = self.places.get(self.place(key.hash, is))?;
        (*index as usize).checked_sub(1)
    }

    /// As [`find`](Self::find), of the name of a symbol that gets the index `next` if it is new. There is room for it.
    pub(super) fn find_or_enter(&mut self, key: Key, is: impl Fn(usize) -> bool, next: usize) -> usize {
        let at = self.place(key.hash, is);
        let place = &mut self.places[at];
        if place.1 == 0 {
            *place = (key.hash, next as u32 + 1);
            self.taken += 1;
        }
        place.1 as usize - 1
    }

    /// The index of the symbol that looking for a name begins with, if it may be the one.
    pub(super) fn first(&self, key: Key) -> Option<usize> {
        let (hash, index) = self.places.get(key.hash as usize & self.places.len().wrapping_sub(1))?;
        if *hash == key.hash { (*index as usize).checked_sub(1) } else { None }
    }

    /// Bytes of memory that it has taken.
    pub(super) fn held(&self) -> u64 {
        memory::of_vec(&self.places)
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, count: usize) {
        let wanted = (self.taken + count).saturating_mul(3).div_ceil(2).next_power_of_two();
        if wanted <= self.places.len() {
            return;
        }
        let former = std::mem::replace(&mut self.places, vec![(0, 0); wanted]);
        for (hash, index) in former.into_iter().filter(|(_, index)| *index != 0) {
            let at = self.place(hash, |_| false);
            self.places[at] = (hash, index);
        }
    }
}
