//! Files as bytes: mapped read-only, or read into memory.
//!
//! This is the only module of the library with unsafe code. The hazard of a mapping: its bytes are the file's, so
//! another process that rewrites the file changes them under the link, and one that truncates it makes the next access
//! beyond the new end a fatal signal (`SIGBUS`; an exception on Windows). Compilers write their outputs under another
//! name, or before the linker starts, so that neither happens in a build; where it may, as in a service that links
//! files of strangers, [`Options::read_inputs`](crate::Options::read_inputs) makes a private copy instead.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most that is read from something without a length, such as a pipe: 4 GiB.
const STREAM_LIMIT: u64 = 1 << 32;

/// Below this many bytes a copy costs less than a mapping, of which the system grants a process some ten thousand.
const WORTH_MAPPING: u64 = 16 << 10;

/// The contents of a file.
#[derive(Debug)]
pub(crate) enum Contents {
    /// Pages of the file itself.
    Mapped(memmap2::Mmap),
    /// A private copy.
    Read(Vec<u8>),
}

impl Contents {
    /// Maps the file at `path`, or reads it if `read` is set, it is small or it cannot be mapped (a pipe, a device, an empty file;
    /// too many mappings).
    ///
    /// # Errors
    /// What the system says; a directory; a stream of more than 4 GiB; too little memory.
    pub(crate) fn open(path: &Path, read: bool) -> io::Result<(Self, Identity)> {
        let file = File::open(path).map_err(|error| {
            // Windows does not open directories at all, and says that permission is missing.
            if path.is_dir() { ErrorKind::IsADirectory.into() } else { error }
        })?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let identity = Identity::of(path, &metadata)?;
        // The length of an empty file says nothing: those of /proc have contents.
        let contents = if !metadata.is_file() || metadata.len() == 0 {
            read_stream(file, STREAM_LIMIT)?
        } else if read || metadata.len() < WORTH_MAPPING {
            read_regular(&file, metadata.len())?
        } else {
            // SAFETY: the mapping is read-only and private to this process, so that nothing here writes to it. What
            // remains is that another process changes or truncates the file; the module's documentation names this
            // hazard, and `Options::read_inputs` avoids it.
            match unsafe { memmap2::Mmap::map(&file) } {
                Ok(map) => Self::Mapped(map),
                Err(_) => read_regular(&file, metadata.len())?,
            }
        };
        Ok((contents, identity))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

/// What all names of one file have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity(
    /// Device and inode.
    #[cfg(unix)]
    (u64, u64),
    /// The canonical path.
    #[cfg(not(unix))]
    std::path::PathBuf,
);

impl Identity {
    #[cfg(unix)]
    fn of(_: &Path, metadata: &std::fs::Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        Ok(Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path, _: &std::fs::Metadata) -> io::Result<Self> {
        path.canonicalize().map(Self)
    }
}

/// The first `size` bytes of a file: what it held when it was opened, even if it grows meanwhile.
fn read_regular(file: &File, size: u64) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    let capacity = usize::try_from(size).map_err(|_| ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(capacity).map_err(|_| ErrorKind::OutOfMemory)?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(Contents::Read(bytes))
}

/// All of a stream, if it has at most `limit` bytes.
fn read_stream(file: File, limit: u64) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    let mut stream = file.take(limit);
    stream.read_to_end(&mut bytes)?;
    if stream.limit() == 0 && stream.into_inner().read(&mut [0])? > 0 {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("a stream of more than {limit} bytes")));
    }
    Ok(Contents::Read(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn a_file_is_mapped_or_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let contents = vec![b'c'; WORTH_MAPPING as usize];
        std::fs::write(file.path(), &contents).unwrap();
        let (mapped, identity) = Contents::open(file.path(), false).unwrap();
        assert!(matches!(mapped, Contents::Mapped(_)));
        assert_eq!(mapped.bytes(), contents);
        let (read, same) = Contents::open(file.path(), true).unwrap();
        assert!(matches!(read, Contents::Read(_)));
        assert_eq!(read.bytes(), contents);
        assert_eq!(identity, same);
        // A copy stays what it was. (Windows does not let a mapped file be rewritten.)
        drop(mapped);
        std::fs::write(file.path(), "rewritten").unwrap();
        assert_eq!(read.bytes(), contents);
        // A small one is read in any case.
        assert!(matches!(Contents::open(file.path(), false).unwrap().0, Contents::Read(_)));
    }

    #[test]
    fn an_empty_file_has_no_bytes_and_a_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for read in [false, true] {
            assert!(Contents::open(file.path(), read).unwrap().0.bytes().is_empty());
            let error = Contents::open(file.path().parent().unwrap(), read).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IsADirectory);
            let error = Contents::open(&file.path().join("gone"), read).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
        }
    }

    #[test]
    fn streams_are_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "contents").unwrap();
        let read = |limit| read_stream(File::open(file.path()).unwrap(), limit);
        assert_eq!(read(8).unwrap().bytes(), b"contents");
        assert_eq!(read(7).unwrap_err().to_string(), "a stream of more than 7 bytes");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_length_is_read() {
        assert!(!Contents::open(Path::new("/proc/self/maps"), false).unwrap().0.bytes().is_empty());
        assert!(Contents::open(Path::new("/dev/null"), false).unwrap().0.bytes().is_empty());
    }
}
