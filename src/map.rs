//! Files as bytes: mapped read-only, or read into memory.
//!
//! This is the only module of the library with unsafe code. The hazard of a mapping: its bytes are the file's, so
//! another process that rewrites the file changes them under the link, and one that truncates it makes the next access
//! beyond the new end a fatal signal (`SIGBUS`; an exception on Windows). Compilers write their outputs under another
//! name, or before the linker starts, so that neither happens in a build; where it may, as in a service that links
//! files of strangers, [`Options::read_inputs`](crate::Options::read_inputs) makes a private copy instead.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most that is read from something without a length, such as a pipe: 4 GiB.
const STREAM_LIMIT: u64 = 1 << 32;

/// The contents of a file.
#[derive(Debug)]
pub(crate) enum Contents {
    /// Pages of the file itself.
    Mapped(memmap2::Mmap),
    /// A private copy.
    Read(Vec<u8>),
}

impl Contents {
    /// Maps the file at `path`, or reads it if `read` is set or it cannot be mapped (a pipe, a device, an empty file).
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
            read_stream(file)?
        } else if read {
            read_regular(file, metadata.len())?
        } else {
            // SAFETY: the mapping is read-only and private to this process, so that nothing here writes to it. What
            // remains is that another process changes or truncates the file; the module's documentation names this
            // hazard, and `Options::read_inputs` avoids it.
            Self::Mapped(unsafe { memmap2::Mmap::map(&file) }?)
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
fn read_regular(file: File, size: u64) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    let capacity = usize::try_from(size).map_err(|_| ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(capacity).map_err(|_| ErrorKind::OutOfMemory)?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(Contents::Read(bytes))
}

fn read_stream(file: File) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    let mut stream = file.take(STREAM_LIMIT);
    stream.read_to_end(&mut bytes)?;
    if stream.limit() == 0 && stream.into_inner().read(&mut [0])? > 0 {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "a stream of more than 4 GiB"));
    }
    Ok(Contents::Read(bytes))
}
