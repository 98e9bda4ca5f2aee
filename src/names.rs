//! Names of symbols as they stand in string tables, walked once.
//!
//! Names share bytes of a string table where one is the end of another, and many things may have one name; but a table
//! can be made in which each name is nearly the whole of it, so that walking all of them costs time without end. Whoever
//! walks the names of a list keeps count of their lengths.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

/// Bounds the length of the names of one list, all together.
pub(crate) struct Names {
    left: u64,
    of: &'static str,
}

impl Names {
    /// For `count` names in a table of `size` bytes.
    pub(crate) fn new(count: usize, size: usize, of: &'static str) -> Self {
        let left = (count as u64).saturating_mul(64).saturating_add((size as u64).saturating_mul(16));
        Self { left, of }
    }

    /// Counts one of so many bytes.
    ///
    /// # Errors
    /// The names are too long, in words.
    pub(crate) fn add(&mut self, length: usize) -> Result<(), String> {
        match self.left.checked_sub(length as u64) {
            Some(left) => self.left = left,
            None => return Err(format!("the names of its {} overlap: they are far longer than their table", self.of)),
        }
        Ok(())
    }
}

/// Splits off the string that `bytes` start with; it may lack its NUL at their end. Tells, too, whether there is an `@` in it.
pub(crate) fn first(bytes: &[u8]) -> (&[u8], bool) {
    let found = memchr::memchr2(0, b'@', bytes);
    let has_at = found.and_then(|at| bytes.get(at)) == Some(&b'@');
    let end = match found {
        Some(at) if has_at => {
            let rest = bytes.get(at..).unwrap_or_default();
            memchr::memchr(0, rest).map(|more| at.saturating_add(more))
        }
        found => found,
    };
    (bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default(), has_at)
}

/// Whether a name is an identifier of C, so that programs can ask for the bounds of sections with it (`__start_NAME`).
pub(crate) fn is_identifier(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.first().is_some_and(|first| !first.is_ascii_digit()) && name.iter().all(letter)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_end_at_nul_and_tell_of_versions() {
        for (bytes, name, has_at) in [
            (&b"plain\0more@"[..], &b"plain"[..], false),
            (b"open", b"open", false),
            (b"", b"", false),
            (b"\0@", b"", false),
            (b"f@V1\0", b"f@V1", true),
            (b"f@@V1\0x", b"f@@V1", true),
            (b"@", b"@", true),
        ] {
            assert_eq!(first(bytes), (name, has_at));
        }
    }

    #[test]
    fn identifiers_are_those_of_c() {
        for (name, is) in [("words", true), ("_1", true), ("A_b2", true), ("", false), ("1a", false), (".data", false)]
        {
            assert_eq!(is_identifier(name.as_bytes()), is, "{name}");
        }
    }

    #[test]
    fn names_may_be_as_long_as_their_table_and_not_much_longer() {
        let mut names = Names::new(1, 100, "things");
        for _ in 0..16 {
            names.add(100).unwrap();
        }
        names.add(64).unwrap();
        assert!(names.add(1).unwrap_err().contains("the names of its things overlap"));
    }
}
