//! Static libraries: `ar` archives of object files, read without copying.
//!
//! An archive is the magic `!<arch>\n` and members, each a header of 60 ASCII bytes and its data, padded to an even
//! offset. The dialects differ in two things: where names of more than 15 bytes stand, and what the symbol index (which
//! member defines which symbol) looks like.
//!
//! * *GNU*: long names stand in the member `//`, the index is the member `/` (32-bit big-endian offsets) or `/SYM64/`
//!   (64-bit ones). The magic `!<thin>\n` makes it a *thin* archive: headers alone, the data are files.
//! * *BSD*, Darwin: long names stand before the data, counted by its size (`#1/LENGTH`); the index is the member
//!   `__.SYMDEF` or `__.SYMDEF_64`, with ` SORTED` behind it where it is sorted by name.
//!
//! There is no standard; these rules are those of `ar(5)` of FreeBSD, of binutils' `ar` and of LLVM's `llvm-ar`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod index;

pub(crate) use index::Index;

use std::sync::Arc;

use crate::bytes;
use crate::error::Error;
use crate::map::Contents;

/// The first bytes of an archive.
pub(crate) const MAGIC: &[u8; 8] = b"!<arch>\n";
/// The first bytes of a thin archive.
pub(crate) const THIN_MAGIC: &[u8; 8] = b"!<thin>\n";

/// The size of a member's header, in bytes.
const HEADER_SIZE: u64 = 60;
/// The longest name read from `//`, in bytes: no file system has names as long by far, and the bound keeps the names of a
/// hostile archive, which may overlap, from costing time and memory without end.
const NAME_LIMIT: u64 = 1 << 11;
/// The same for a thin archive, whose names are paths: each costs opening a file.
const PATH_LIMIT: u64 = 1 << 15;

/// A parsed archive: its special members are found, the others are read when they are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Archive<'a> {
    name: &'a str,
    bytes: &'a [u8],
    /// The contents of `//`.
    long_names: &'a [u8],
    symbols: Option<(IndexForm, &'a [u8])>,
    /// The offset of the first member that is not special.
    first: u64,
    thin: bool,
    /// The members' files of a thin archive, ascending.
    files: &'a [(MemberId, Arc<Contents>)],
}

/// A member, by the offset of its header in the archive: ascending in archive order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(u64);

/// A member of an archive: a file in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Which one it is.
    pub(crate) id: MemberId,
    /// The file name; several members may have the same.
    pub(crate) name: &'a [u8],
    /// The contents.
    pub(crate) bytes: &'a [u8],
}

/// The form of the symbol index: who writes it so, and the width of its numbers, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IndexForm {
    Gnu32,
    Gnu64,
    Bsd32,
    Bsd64,
}

impl<'a> Archive<'a> {
    /// Finds the special members of the archive `bytes`, which messages call `name`.
    ///
    /// # Errors
    /// A thin archive, since its members are in files; a malformed special member. Only the first few members are looked
    /// at.
    pub(crate) fn parse(name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let archive = Self::parse_any(name, bytes)?;
        if archive.thin {
            let what = "thin archive: its members are files, which are only read if the archive is given as a file";
            return Err(Error::unsupported(name, what));
        }
        Ok(archive)
    }

    /// As [`parse`](Self::parse), of a thin archive whose members are in `files`, in the order of
    /// [`thin_members`].
    pub(crate) fn parse_thin(
        name: &'a str,
        bytes: &'a [u8],
        files: &'a [(MemberId, Arc<Contents>)],
    ) -> Result<Self, Error> {
        Ok(Self { files, ..Self::parse_any(name, bytes)? })
    }

    fn parse_any(name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let magic = bytes.first_chunk();
        let thin = magic == Some(THIN_MAGIC);
        if !thin && magic != Some(MAGIC) {
            return Err(Error::malformed(name, "not an archive"));
        }
        let first = MAGIC.len() as u64;
        let mut archive = Self { name, bytes, long_names: &[], symbols: None, first, thin, files: &[] };
        while let Some(header) = archive.header(archive.first)? {
            let Some(special) = header.special else { break };
            let contents = archive.inline(archive.first, &header)?;
            match special {
                // Of two `/` (in COFF archives) the first is in GNU's form.
                Special::Index(form) => archive.symbols = archive.symbols.or(Some((form, contents))),
                Special::Names => archive.long_names = contents,
                Special::Other => {}
            }
            archive.first = header.next;
        }
        Ok(archive)
    }

    /// The size of all members together, at most, in bytes.
    pub(crate) fn size(&self) -> u64 {
        if !self.thin {
            return self.bytes.len() as u64;
        }
        self.files.iter().fold(0, |total, (_, file)| total.saturating_add(file.bytes().len() as u64))
    }

    /// The members in archive order, without the special ones. After an error the iteration ends.
    pub(crate) fn members(&self) -> impl Iterator<Item = Result<Member<'a>, Error>> + use<'a> {
        let archive = *self;
        let mut offset = Some(archive.first);
        std::iter::from_fn(move || {
            loop {
                let at = offset.take()?;
                match archive.header(at) {
                    Ok(None) => return None,
                    Ok(Some(header)) if header.special.is_some() => offset = Some(header.next),
                    Ok(Some(header)) => {
                        let member = archive.read(at, &header);
                        if member.is_ok() {
                            offset = Some(header.next);
                        }
                        return Some(member);
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
        })
    }

    /// The member `id`, as [`Index::definer`] tells it.
    ///
    /// # Errors
    /// There is no well-formed member at that place.
    pub(crate) fn member(&self, id: MemberId) -> Result<Member<'a>, Error> {
        match self.header(id.0)? {
            Some(header) if header.special.is_none() => self.read(id.0, &header),
            _ => Err(self.malformed(id.0, "no member stands here, as the symbol index claims")),
        }
    }

    /// Which member defines which symbol: from the archive's symbol index or, where it has none, from the members'
    /// symbol tables.
    ///
    /// # Errors
    /// The symbol index is malformed; without one, any malformed member.
    pub(crate) fn index(&self) -> Result<Index<'a>, Error> {
        Index::build(self)
    }

    /// The header at `offset`; `None` at the end of the archive.
    fn header(&self, offset: u64) -> Result<Option<Header<'a>>, Error> {
        let rest = bytes::tail(self.bytes, offset).unwrap_or_default();
        // Some writers pad the last member, others do not.
        if rest.is_empty() || rest == b"\n" {
            return Ok(None);
        }
        let header = bytes::slice(rest, 0, HEADER_SIZE);
        let header = header.ok_or_else(|| self.malformed(offset, "the archive ends inside a member's header"))?;
        if !header.ends_with(b"`\n") {
            return Err(self.malformed(offset, "no member's header stands here"));
        }
        let field = |start, size| bytes::slice(header, start, size).unwrap_or_default().trim_ascii_end();
        let (raw, size) = (field(0, 16), field(48, 10));
        let size = decimal(size).ok_or_else(|| {
            let size = String::from_utf8_lossy(size);
            self.malformed(offset, &format!("the member's size {size:?} is no decimal number"))
        })?;
        Header::new(self, offset, raw, size).map(Some)
    }

    /// The data that follow the header at `offset`.
    fn inline(&self, offset: u64, header: &Header<'a>) -> Result<&'a [u8], Error> {
        bytes::slice(self.bytes, header.data, header.size).ok_or_else(|| {
            let name = String::from_utf8_lossy(header.name);
            let what = format!("the archive ends inside the {} bytes of member {name:?}", header.size);
            self.malformed(offset, &what)
        })
    }

    fn read(&self, offset: u64, header: &Header<'a>) -> Result<Member<'a>, Error> {
        let id = MemberId(offset);
        let bytes = if self.thin {
            let file = self.files.binary_search_by_key(&id, |(id, _)| *id).ok().and_then(|at| self.files.get(at));
            let (_, file) = file.ok_or_else(|| self.malformed(offset, "the thin archive changed while it was read"))?;
            file.bytes()
        } else {
            self.inline(offset, header)?
        };
        if bytes.starts_with(MAGIC) || bytes.starts_with(THIN_MAGIC) {
            let what = format!("{} is an archive itself; link the inner archive", self.describe(offset, header.name));
            return Err(Error::unsupported(self.name, what));
        }
        Ok(Member { id, name: header.name, bytes })
    }

    /// The long name that starts at offset `start` of the member `//`.
    fn long_name(&self, start: u64) -> Option<&'a [u8]> {
        let rest = bytes::tail(self.long_names, start).filter(|rest| !rest.is_empty())?;
        let limit = if self.thin { PATH_LIMIT } else { NAME_LIMIT };
        let rest = bytes::slice(rest, 0, limit).unwrap_or(rest);
        // GNU ends a name with a slash and a newline, Microsoft's LIB with a NUL byte.
        let name = rest.get(..memchr::memchr2(b'\n', 0, rest).unwrap_or(rest.len()))?;
        Some(name.strip_suffix(b"/").unwrap_or(name))
    }

    fn describe(&self, offset: u64, name: &[u8]) -> String {
        format!("member {:?} at offset {offset:#x}", String::from_utf8_lossy(name))
    }

    fn malformed(&self, offset: u64, what: &str) -> Error {
        Error::malformed(self.name, format!("malformed archive at offset {offset:#x}: {what}"))
    }
}

/// The members of the thin archive `bytes` and the paths of their files, which are relative to the archive's directory.
///
/// # Errors
/// As [`Archive::parse`]; a malformed header.
pub(crate) fn thin_members<'a>(name: &'a str, bytes: &'a [u8]) -> Result<Vec<(MemberId, &'a [u8])>, Error> {
    let archive = Archive::parse_any(name, bytes)?;
    let mut members = Vec::new();
    let mut offset = archive.first;
    while let Some(header) = archive.header(offset)? {
        if header.special.is_none() {
            members.push((MemberId(offset), header.name));
        }
        offset = header.next;
    }
    Ok(members)
}

/// A member's header, decoded.
struct Header<'a> {
    name: &'a [u8],
    special: Option<Special>,
    /// The offset of the data, in the archive.
    data: u64,
    /// The size of the data, in bytes.
    size: u64,
    /// The offset of the next header.
    next: u64,
}

/// What a member is that is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    /// The symbol index.
    Index(IndexForm),
    /// Long names.
    Names,
    /// Something of no use here.
    Other,
}

impl<'a> Header<'a> {
    /// Decodes the header at `offset` from its name field `raw` and its `size` field.
    fn new(archive: &Archive<'a>, offset: u64, raw: &'a [u8], size: u64) -> Result<Self, Error> {
        let special = match raw {
            b"/" => Some(Special::Index(IndexForm::Gnu32)),
            b"/SYM64/" => Some(Special::Index(IndexForm::Gnu64)),
            b"//" => Some(Special::Names),
            b"/<ECSYMBOLS>/" | b"/<XFGHASHMAP>/" => Some(Special::Other),
            _ => None,
        };
        let header = offset.checked_add(HEADER_SIZE);
        let data_size = if archive.thin && special.is_none() { 0 } else { size };
        let end = header.and_then(|data| data.checked_add(data_size));
        let (Some(data), Some(next)) = (header, end.and_then(|end| end.checked_next_multiple_of(2))) else {
            return Err(archive.malformed(offset, "the member's size is beyond all bounds"));
        };
        let mut header = Self { name: raw, special, data, size, next };
        if header.special.is_some() {
            return Ok(header);
        }
        if let Some(digits) = raw.strip_prefix(b"#1/") {
            let name = decimal(digits).and_then(|length| {
                header.size = size.checked_sub(length)?;
                header.data = data.checked_add(length)?;
                bytes::slice(archive.bytes, data, length)
            });
            let name = name.ok_or_else(|| archive.malformed(offset, "the member's name does not fit in it"))?;
            header.name = name.split(|&byte| byte == 0).next().unwrap_or(name);
        } else if let Some(digits) = raw.strip_prefix(b"/") {
            header.name = decimal(digits).and_then(|start| archive.long_name(start)).ok_or_else(|| {
                let raw = String::from_utf8_lossy(raw);
                archive.malformed(offset, &format!("the member's name {raw:?} is not in the table of long names"))
            })?;
        } else {
            // GNU ends names with a slash, so that they can end in spaces; BSD does not.
            header.name = raw.strip_suffix(b"/").unwrap_or(raw);
        }
        header.special = match header.name {
            b"__.SYMDEF" | b"__.SYMDEF SORTED" => Some(Special::Index(IndexForm::Bsd32)),
            b"__.SYMDEF_64" | b"__.SYMDEF_64 SORTED" => Some(Special::Index(IndexForm::Bsd64)),
            _ => None,
        };
        Ok(header)
    }
}

/// The decimal number that all of `digits` make up.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
