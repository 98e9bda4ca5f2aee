//! Output files: complete or not there at all.
//!
//! The image is written to a file without a name where the system has such (Linux's `O_TMPFILE`), else under a temporary
//! name in the output's directory, and gets the output's name by a rename when it is complete. The file is opened with
//! mode 0777, so that the kernel applies the umask, as it does for other linkers.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A regular file that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: Pending,
}

#[derive(Debug)]
enum Pending {
    /// It has no name: if nothing gives it one, it is gone with the process.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// It has a temporary name, and is removed when dropped.
    Named(NamedTempFile),
}

impl Output {
    /// Prepares to write `size` bytes to `path`. Returns `None` if that is something other than a regular file, such as a
    /// pipe or a device, which has to be written in place and in order, or names a file that is open already, as
    /// `/dev/stdout` does.
    ///
    /// # Errors
    /// What the system says: no such directory, no permission; `path` is a directory.
    pub(crate) fn create(path: &Path, size: u64) -> io::Result<Option<Self>> {
        Self::with_mode(path, size, 0o777)
    }

    /// As [`create`](Self::create), with another mode, from which the kernel takes the umask.
    fn with_mode(path: &Path, size: u64, mode: u32) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::Error::from(ErrorKind::IsADirectory)),
            Ok(there) if !there.is_file() || is_descriptor(path) => return Ok(None),
            // Not there, or not to be looked at: creating it will tell.
            _ => {}
        }
        let directory = directory(path);
        let file = Pending::create(directory, mode)?;
        file.file().set_len(size)?;
        Ok(Some(Self { path: path.to_owned(), file }))
    }

    /// Writes bytes at an offset of the file.
    ///
    /// # Errors
    /// What the system says, such as a full disk.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_all_at(self.file.file(), offset, bytes)
    }

    /// Gives the file its name; what had it before is replaced.
    ///
    /// # Errors
    /// What the system says; the former file is untouched then, and nothing of this one is left.
    pub(crate) fn commit(self) -> io::Result<()> {
        match self.file {
            #[cfg(target_os = "linux")]
            Pending::Unnamed(file) => name_file(&file, &self.path),
            Pending::Named(file) => persist(file, &self.path),
        }
    }
}

/// Writes a file that is no program, as a whole: it appears under its name complete or not at all. Devices and pipes are
/// written in place.
///
/// # Errors
/// What the system says; the former file is untouched then, and nothing of this one is left.
pub(crate) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    match Output::with_mode(path, contents.len() as u64, 0o666)? {
        Some(output) => {
            output.write_at(0, contents)?;
            output.commit()
        }
        None => open_stream(path)?.write_all(contents),
    }
}

/// Opens something that is written in place and in order.
///
/// # Errors
/// What the system says.
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Whether a path stands for a descriptor of this process, so that a file of its name would take the place of that of the
/// descriptor: `/dev/stdout`, `/dev/fd/1` and `/proc/self/fd/1`, on the systems that have them, and links to them.
fn is_descriptor(path: &Path) -> bool {
    /// Links may lead to links, this often: as the kernel has it.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let directory = directory(&path);
        if directory == Path::new("/dev/fd") || directory.starts_with("/proc") && directory.ends_with("fd") {
            return true;
        }
        let Ok(target) = std::fs::read_link(&path) else { return false };
        path = directory.join(target);
    }
    false
}

/// Whether two paths lead to one place, for all that can be told before there is a file.
pub(crate) fn is_same_place(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| -> Option<(PathBuf, PathBuf)> {
        Some((std::fs::canonicalize(directory(path)).ok()?, path.file_name()?.into()))
    };
    one == other || place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Pending {
    #[cfg_attr(windows, allow(unused_variables, reason = "files there have no mode"))]
    fn create(directory: &Path, mode: u32) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            // File systems without unnamed files answer in several ways; the other way tells what is really wrong.
            if let Ok(file) = rustix::fs::open(directory, flags, Mode::from_raw_mode(mode as _)) {
                let file = File::from(file);
                // Without /proc, as in some containers, it could never be given a name.
                if std::fs::symlink_metadata(proc_path(&file)).is_ok() {
                    return Ok(Self::Unnamed(file));
                }
            }
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        under_temporary_name(directory, |path| options.open(path)).map(Self::Named)
    }

    fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }
}

/// What `make` creates in `directory` under a temporary name that it is given. What goes wrong is told as the system says it,
/// without that name: nobody has asked for it, and it is another one each time.
fn under_temporary_name<T>(
    directory: &Path,
    mut make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<NamedTempFile<T>> {
    let mut said = None;
    let made = tempfile::Builder::new()
        .prefix(".pkgld-")
        .make_in(directory, |path| make(path).inspect_err(|error| said = error.raw_os_error()));
    made.map_err(|error| said.map_or(error, io::Error::from_raw_os_error))
}

/// Where a file without a name can be found as long as it is open.
#[cfg(target_os = "linux")]
fn proc_path(file: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Gives an unnamed file a name. A link cannot replace a file, so where there is one the link gets a name of its own first.
#[cfg(target_os = "linux")]
fn name_file(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    let source = proc_path(file);
    let link = |name: &Path| linkat(CWD, source.as_str(), CWD, name, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from);
    match link(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let temporary = under_temporary_name(directory(path), link)?;
    // Dropped without being kept, the path is removed: the failed rename leaves nothing behind.
    temporary.into_temp_path().persist(path).map_err(|failed| failed.error)
}

#[cfg(not(windows))]
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

/// On Windows a scanner may hold the new or the former file for a moment.
#[cfg(windows)]
fn persist(mut file: NamedTempFile, path: &Path) -> io::Result<()> {
    use std::time::Duration;
    let mut wait = Duration::from_millis(1);
    loop {
        match file.persist(path) {
            Ok(_) => return Ok(()),
            // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
            Err(failed)
                if matches!(failed.error.raw_os_error(), Some(5 | 32 | 33)) && wait < Duration::from_secs(1) =>
            {
                std::thread::sleep(wait);
                wait *= 2;
                file = failed.file;
            }
            Err(failed) => return Err(failed.error),
        }
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset) {
            Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero)),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn small_files_are_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.map");
        for contents in [&b"first"[..], b"", b"the second one"] {
            write(&path, contents).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), contents);
        }
        assert!(write(folder.path(), b"x").is_err());
        let missing = write(&folder.path().join("no/where"), b"x").unwrap_err();
        assert_eq!(missing.to_string(), io::Error::from_raw_os_error(missing.raw_os_error().unwrap()).to_string());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0, "it is no program");
        }
    }
}
