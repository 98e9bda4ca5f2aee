//! What crosses the border: handles, strings, places for results, and failures.

use std::any::Any;
use std::ffi::{OsString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;

use crate::error::{Errors, Problem, Status};

/// Why a function did not do what it was asked.
pub(crate) type Failure = Vec<Problem>;

/// A failure with one problem, which the caller has made.
pub(crate) fn refused(what: impl Into<String>) -> Failure {
    vec![Problem::new(Status::Argument, what.into())]
}

/// What stands behind an opaque pointer.
#[repr(C)]
pub(crate) struct Handle<T> {
    magic: u64,
    state: T,
}

/// The kinds of handles.
pub(crate) trait Opaque {
    /// What the handle holds.
    type State;
    /// The word at its start.
    const MAGIC: u64;
    /// What messages call it.
    const NAME: &'static str;
}

/// The word at the start of a handle that has been freed.
const FREED: u64 = u64::from_le_bytes(*b"pkgldEND");

/// A new handle.
pub(crate) fn handle<K: Opaque>(state: K::State) -> *mut K {
    Box::into_raw(Box::new(Handle { magic: K::MAGIC, state })).cast()
}

/// Checks that `pointer` is a handle of its kind.
///
/// # Safety
/// It is null, or points to the start of a handle of any kind that this library has made and not freed.
unsafe fn check<K: Opaque>(pointer: *const K) -> Result<*mut Handle<K::State>, Failure> {
    if pointer.is_null() {
        return Err(refused(format!("{} is null: never made, or freed", K::NAME)));
    }
    let pointer: *mut Handle<K::State> = pointer.cast_mut().cast();
    if !pointer.is_aligned() {
        return Err(refused(format!("{} is no handle of this library", K::NAME)));
    }
    // SAFETY: all handles begin with this word, by `repr(C)`, and the caller says that it is one.
    let magic = unsafe { (&raw const (*pointer).magic).read() };
    match magic {
        _ if magic == K::MAGIC => Ok(pointer),
        FREED => Err(refused(format!("{} has been freed", K::NAME))),
        _ => Err(refused(format!("{} is a handle of another kind", K::NAME))),
    }
}

/// What a handle holds, to look at.
///
/// # Safety
/// As of [`check`]; nobody changes or frees it meanwhile.
pub(crate) unsafe fn shared<'a, K: Opaque>(pointer: *const K) -> Result<&'a K::State, Failure> {
    // SAFETY: what the caller promises is what both need.
    Ok(unsafe { &(*check(pointer)?).state })
}

/// What a handle holds, to change.
///
/// # Safety
/// As of [`check`]; nobody else uses it meanwhile.
pub(crate) unsafe fn exclusive<'a, K: Opaque>(pointer: *mut K) -> Result<&'a mut K::State, Failure> {
    // SAFETY: what the caller promises is what both need.
    Ok(unsafe { &mut (*check(pointer)?).state })
}

/// Frees the handle in `place`, and leaves null there. Null, or null there, is nothing to do.
///
/// # Safety
/// `place` is null or can be read and written; what stands there is as for [`check`], and nobody else uses it any more.
pub(crate) unsafe fn free<K: Opaque>(place: *mut *mut K) -> Status {
    if place.is_null() {
        return Status::Ok;
    }
    // SAFETY: the place can be read.
    let pointer = unsafe { place.read() };
    if pointer.is_null() {
        return Status::Ok;
    }
    // SAFETY: the caller's promise about what stands there.
    let Ok(handle) = (unsafe { check(pointer) }) else { return Status::Argument };
    // SAFETY: the place can be written. The handle came from `Box::into_raw` in `handle`, with the state of this kind, as its
    // first word says, and is used by nobody else.
    unsafe {
        place.write(std::ptr::null_mut());
        // Volatile, or it would be left out: nobody may read it again. Who does has a good chance to see this word.
        (&raw mut (*handle).magic).write_volatile(FREED);
        let freed = Box::from_raw(handle);
        match catch_unwind(AssertUnwindSafe(|| drop(freed))) {
            Ok(()) => Status::Ok,
            Err(_) => Status::Internal,
        }
    }
}

/// Puts a result where the caller wants it; null is for those who do not.
///
/// # Safety
/// `place` is null or can be written.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: the caller's promise.
        unsafe { place.write(value) }
    }
}

/// Checks that there is a place for a result, and leaves `value` there until there is one.
///
/// # Safety
/// `place` is null or can be written.
pub(crate) unsafe fn prepare<T>(name: &str, place: *mut T, value: T) -> Result<(), Failure> {
    if place.is_null() {
        return Err(refused(format!("{name} is null: there is no place for the result")));
    }
    // SAFETY: the caller's promise.
    unsafe { put(place, value) };
    Ok(())
}

/// The caller's bytes.
///
/// # Safety
/// `data` is null, or so many bytes can be read there, and nobody changes them, for as long as the result is used.
pub(crate) unsafe fn bytes<'a>(name: &str, data: *const u8, size: usize) -> Result<&'a [u8], Failure> {
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(refused(format!("{name} is null, and {size} bytes long")));
    }
    if isize::try_from(size).is_err() {
        return Err(refused(format!("{name}: a length of {size} bytes is more than memory can hold")));
    }
    // SAFETY: neither null nor too long; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

/// The caller's string, in UTF-8 and without NUL bytes.
///
/// # Safety
/// As of [`bytes`].
pub(crate) unsafe fn string(name: &str, data: *const c_char, size: usize) -> Result<String, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(name, data.cast(), size) }?;
    let string = std::str::from_utf8(bytes).map_err(|_| refused(format!("{name} is not in UTF-8")))?;
    if string.contains('\0') {
        return Err(refused(format!("{name} holds a NUL byte: {string:?}")));
    }
    Ok(string.to_owned())
}

/// The caller's path: bytes as the system has them on Unix, UTF-8 on Windows; not empty, without NUL bytes.
///
/// # Safety
/// As of [`bytes`].
pub(crate) unsafe fn path(name: &str, data: *const c_char, size: usize) -> Result<PathBuf, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(name, data.cast(), size) }?;
    if bytes.is_empty() {
        return Err(refused(format!("{name} is empty")));
    }
    if bytes.contains(&0) {
        return Err(refused(format!("{name} holds a NUL byte: {:?}", String::from_utf8_lossy(bytes))));
    }
    os_string(name, bytes).map(PathBuf::from)
}

/// Bytes as a string of the system.
#[cfg(unix)]
pub(crate) fn os_string(_: &str, bytes: &[u8]) -> Result<OsString, Failure> {
    use std::os::unix::ffi::OsStringExt;
    Ok(OsString::from_vec(bytes.to_vec()))
}

/// Bytes as a string of the system.
#[cfg(not(unix))]
pub(crate) fn os_string(name: &str, bytes: &[u8]) -> Result<OsString, Failure> {
    let string = std::str::from_utf8(bytes).map_err(|_| refused(format!("{name} is not in UTF-8")))?;
    Ok(string.into())
}

/// Does the work of a function: whatever it says, or panics with, becomes a status, and a handle in `errors`.
///
/// # Safety
/// `errors` is null or can be written.
pub(crate) unsafe fn guarded(errors: *mut *mut Errors, work: impl FnOnce() -> Result<(), Failure>) -> Status {
    silence();
    // A panic can leave nothing half done that anybody sees: links and images change only by assignments that do not panic.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let problems = match outcome {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(problems)) => problems,
        Err(payload) => vec![panicked(&*payload)],
    };
    let status = problems.first().map_or(Status::Ok, |problem| problem.status);
    let handle = if problems.is_empty() || errors.is_null() { std::ptr::null_mut() } else { Errors::handle(problems) };
    // SAFETY: the caller's promise.
    unsafe { put(errors, handle) };
    status
}

/// The problem that a panic is.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Problem {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    Problem::new(Status::Internal, format!("internal error, please report it: {text}"))
}

/// Keeps the standard library that is part of this library from printing panics, on whichever thread: they are returned.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}
