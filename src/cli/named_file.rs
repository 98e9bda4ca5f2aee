//! Files whose names are values of options.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::problem::Problem;

/// The most bytes of a file that lists names, or of a version script.
pub(super) const LIST_LIMIT: u64 = 64 << 20;

/// All of the file at `path`, which the value of `option` names.
///
/// # Errors
/// The file cannot be read, or has more than `limit` bytes.
pub(super) fn read(option: &str, path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    let name = path.display();
    let mut contents = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut contents));
    read.map_err(|error| Problem::Options(format!("{option}: cannot read {name}: {error}")))?;
    if contents.len() as u64 > limit {
        return Err(Problem::Options(format!("{option}: {name} is larger than {limit} bytes")));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read("-list", &path, 5).unwrap(), b"12345");
        let problem = read("-list", &path, 4).unwrap_err().to_string();
        assert!(problem.starts_with("-list: ") && problem.ends_with("names is larger than 4 bytes"), "{problem}");
        assert!(read("-list", folder.path(), 5).is_err());
    }
}
