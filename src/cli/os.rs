//! Arguments as the system gives them: cut without loss, made of bytes without guessing.
//!
//! File names need not be Unicode, on Unix (any bytes but NUL) or on Windows (unpaired surrogates). The standard library
//! compares the encoded bytes of an [`OsStr`] safely, but takes one apart only by the system's own extension traits.

use std::ffi::{OsStr, OsString};

/// The bytes that spell `argument`, in an encoding that holds ASCII as it is.
pub(super) fn bytes(argument: &OsStr) -> &[u8] {
    argument.as_encoded_bytes()
}

/// What follows the first `ascii` bytes of `argument`, all of which are ASCII.
pub(super) fn rest(argument: &OsStr, ascii: usize) -> OsString {
    debug_assert!(bytes(argument).iter().take(ascii).all(u8::is_ascii));
    if let Some(text) = argument.to_str() {
        return text.get(ascii..).unwrap_or_default().into();
    }
    not_unicode(argument, ascii)
}

/// The argument that `bytes` spell: any bytes on Unix, UTF-8 elsewhere.
pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<OsString, NotUtf8> {
    #[cfg(unix)]
    return Ok(std::os::unix::ffi::OsStringExt::from_vec(bytes));
    #[cfg(not(unix))]
    return String::from_utf8(bytes).map(OsString::from).map_err(|_| NotUtf8);
}

/// Bytes that are no argument on this system, whose arguments are Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

#[cfg(unix)]
fn not_unicode(argument: &OsStr, ascii: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(argument.as_bytes().get(ascii..).unwrap_or_default()).to_owned()
}

#[cfg(windows)]
fn not_unicode(argument: &OsStr, ascii: usize) -> OsString {
    use std::os::windows::ffi::{OsStrExt, OsStringExt};
    // An ASCII character is one UTF-16 unit.
    let units: Vec<u16> = argument.encode_wide().skip(ascii).collect();
    OsString::from_wide(&units)
}

#[cfg(not(any(unix, windows)))]
fn not_unicode(argument: &OsStr, ascii: usize) -> OsString {
    argument.to_string_lossy().get(ascii..).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_follows_the_prefix() {
        assert_eq!(rest("-Lü".as_ref(), 2), "ü");
        assert_eq!(rest("-L".as_ref(), 2), "");
        assert_eq!(rest("-L".as_ref(), 3), "");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_unicode_survive() {
        let argument = from_bytes(b"-L\xff/\xfe".to_vec()).unwrap();
        assert_eq!(rest(&argument, 2), from_bytes(b"\xff/\xfe".to_vec()).unwrap());
    }
}
