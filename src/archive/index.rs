//! Which member of an archive defines which symbol.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use foldhash::{HashMap, HashMapExt};
use object::elf::{
    ELFCLASS32, ELFCLASS64, ELFMAG, FileClass, FileHeader32, FileHeader64, SHN_UNDEF, SHT_SYMTAB, STB_LOCAL,
};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, FileKind, Object as _, ObjectSymbol as _};

use super::{Archive, HEADER_SIZE, IndexForm, MemberId};
use crate::bytes;
use crate::error::Error;

/// How many times the archive's size all names together may be, in bytes. Names share bytes in real string tables, but
/// not many; in a hostile one every name could be nearly the whole table.
const NAME_BYTES_FACTOR: u64 = 64;

/// Which member of an archive defines which symbol.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    definers: HashMap<&'a [u8], MemberId>,
}

impl<'a> Index<'a> {
    /// The member that defines `symbol`: of several the one that the archive's index names first, or without an index
    /// the first in the archive.
    pub(crate) fn definer(&self, symbol: &[u8]) -> Option<MemberId> {
        self.definers.get(symbol).copied()
    }

    /// A symbol that some member defines, as the index has it.
    pub(crate) fn symbol(&self, symbol: &[u8]) -> Option<&'a [u8]> {
        self.definers.get_key_value(symbol).map(|(symbol, _)| *symbol)
    }

    /// All symbols with their definers, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], MemberId)> {
        self.definers.iter().map(|(&symbol, &member)| (symbol, member))
    }

    pub(super) fn build(archive: &Archive<'a>) -> Result<Self, Error> {
        let mut builder = Builder::new(archive);
        match archive.symbols {
            Some((IndexForm::Gnu32, table)) => builder.gnu(table, 4)?,
            Some((IndexForm::Gnu64, table)) => builder.gnu(table, 8)?,
            Some((IndexForm::Bsd32, table)) => builder.bsd(table, 4)?,
            Some((IndexForm::Bsd64, table)) => builder.bsd(table, 8)?,
            None => {}
        }
        // `ar` writes an empty index, too, where it does not understand the members.
        if builder.definers.is_empty() {
            builder.members()?;
        }
        Ok(Self { definers: builder.definers })
    }
}

struct Builder<'a, 'b> {
    archive: &'b Archive<'a>,
    definers: HashMap<&'a [u8], MemberId>,
    /// How many bytes of names may still be added.
    budget: u64,
}

impl<'a, 'b> Builder<'a, 'b> {
    fn new(archive: &'b Archive<'a>) -> Self {
        let budget = (archive.bytes.len() as u64).saturating_mul(NAME_BYTES_FACTOR);
        Self { archive, definers: HashMap::new(), budget }
    }

    /// GNU's form: a count, that many offsets of members, and as many names, each ended by a NUL byte. Numbers are
    /// big-endian and `width` bytes wide.
    fn gnu(&mut self, table: &'a [u8], width: usize) -> Result<(), Error> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u64, &byte| (number << 8) | u64::from(byte));
        let split = table.split_at_checked(width).and_then(|(count, rest)| {
            let offsets = usize::try_from(number(count)).ok()?.checked_mul(width)?;
            rest.split_at_checked(offsets)
        });
        let (offsets, mut names) =
            split.ok_or_else(|| self.malformed("it does not hold as many symbols as it says"))?;
        for offset in offsets.chunks_exact(width) {
            let name = bytes::string(names, 0).ok_or_else(|| self.malformed("it ends inside its names"))?;
            names = names.get(name.len().saturating_add(1)..).unwrap_or_default();
            self.add(name, number(offset))?;
        }
        Ok(())
    }

    /// The BSD form: the size of an array of pairs (offset of the name, offset of the member), the array, the size of
    /// the names, the names. Numbers are those of the target, little-endian here, and `width` bytes wide.
    fn bsd(&mut self, table: &'a [u8], width: usize) -> Result<(), Error> {
        let number = |bytes: &[u8]| bytes.iter().rfold(0, |number: u64, &byte| (number << 8) | u64::from(byte));
        let sized = |table: &'a [u8]| {
            let (size, rest) = table.split_at_checked(width)?;
            rest.split_at_checked(usize::try_from(number(size)).ok()?)
        };
        let split = sized(table).and_then(|(pairs, rest)| Some((pairs, sized(rest)?.0)));
        let (pairs, names) = split.ok_or_else(|| self.malformed("it is shorter than it says"))?;
        for pair in pairs.chunks_exact(width.saturating_mul(2)) {
            let (name, offset) = pair.split_at_checked(width).unwrap_or_default();
            let name = bytes::string(names, number(name));
            let name = name.ok_or_else(|| self.malformed("the name of a symbol is outside of its names"))?;
            self.add(name, number(offset))?;
        }
        Ok(())
    }

    /// Enters `symbol`, defined by the member whose header is at `offset`.
    fn add(&mut self, symbol: &'a [u8], offset: u64) -> Result<(), Error> {
        if bytes::slice(self.archive.bytes, offset, HEADER_SIZE).is_none() {
            let symbol = String::from_utf8_lossy(symbol);
            return Err(
                self.malformed(&format!("{symbol} is said to be at offset {offset:#x}, where no member can be"))
            );
        }
        self.define(symbol, MemberId(offset))
    }

    fn define(&mut self, symbol: &'a [u8], member: MemberId) -> Result<(), Error> {
        let cost = (symbol.len() as u64).saturating_add(1);
        self.budget = self.budget.checked_sub(cost).ok_or_else(|| self.malformed("its names overlap"))?;
        self.definers.entry(symbol).or_insert(member);
        // A default version is what the name alone means; in other formats an `@@` never ends a name like that.
        let plain = memchr::memmem::find(symbol, b"@@").filter(|at| *at > 0).and_then(|at| symbol.get(..at));
        if let Some(plain) = plain {
            self.definers.entry(plain).or_insert(member);
        }
        Ok(())
    }

    /// Makes up for a missing index: enters what the members' own symbol tables define.
    fn members(&mut self) -> Result<(), Error> {
        for member in self.archive.members() {
            let member = member?;
            let class = member.bytes.strip_prefix(&ELFMAG).and_then(<[u8]>::first).copied().map(FileClass);
            let defined = match class {
                Some(ELFCLASS64) => self.object::<FileHeader64<Endianness>>(member.bytes, member.id)?,
                Some(ELFCLASS32) => self.object::<FileHeader32<Endianness>>(member.bytes, member.id)?,
                _ => self.foreign(member.bytes, member.id)?,
            };
            defined.map_err(|what| {
                let file = format!("{}({})", self.archive.name, String::from_utf8_lossy(member.name));
                Error::malformed(file, what.to_string())
            })?;
        }
        Ok(())
    }

    /// Enters the symbols that the object file `bytes`, the contents of `member`, defines for others. The inner error
    /// is the object's, the outer one the index's.
    fn object<Elf: FileHeader<Endian = Endianness>>(
        &mut self,
        bytes: &'a [u8],
        member: MemberId,
    ) -> Result<Result<(), object::read::Error>, Error> {
        let table = Elf::parse(bytes).and_then(|header| {
            let endian = header.endian()?;
            Ok((endian, header.sections(endian, bytes)?.symbols(endian, bytes, SHT_SYMTAB)?))
        });
        let (endian, symbols) = match table {
            Ok(table) => table,
            Err(error) => return Ok(Err(error)),
        };
        for symbol in symbols.iter() {
            if symbol.st_bind() == STB_LOCAL || symbol.st_shndx(endian) == SHN_UNDEF {
                continue;
            }
            match symbol.name(endian, symbols.strings()) {
                Ok(name) => self.define(name, member)?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// The same of an object file of Mach-O or COFF. Members that are no objects define nothing.
    fn foreign(&mut self, bytes: &'a [u8], member: MemberId) -> Result<Result<(), object::read::Error>, Error> {
        let file = match FileKind::parse(bytes) {
            Ok(FileKind::MachO64 | FileKind::Coff | FileKind::CoffBig) => object::File::parse(bytes),
            _ => return Ok(Ok(())),
        };
        let file = match file {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        for symbol in file.symbols().filter(|symbol| symbol.is_global() && !symbol.is_undefined()) {
            match symbol.name_bytes() {
                Ok(name) => self.define(name, member)?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    fn malformed(&self, what: &str) -> Error {
        Error::malformed(self.archive.name, format!("malformed symbol index of the archive: {what}"))
    }
}
