//! The whole program, with what it says caught.

use std::ffi::{CStr, c_char};

use linker::cli::{self, Console, Exit};

use crate::border::{self, Opaque, guarded, os_string, prepare, put, refused, shared};
use crate::error::{Errors, Status, Stored, Text};

/// What a run of the program has said. Many threads may use it at a time.
#[derive(Debug)]
pub struct Output {
    _opaque: (),
}

/// What an [`Output`] holds.
pub(crate) struct OutputState {
    exit: i32,
    out: Stored,
    err: Stored,
}

impl Opaque for Output {
    type State = OutputState;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldOUT");
    const NAME: &'static str = "output";
}

/// Runs the program with arguments as on its command line, the program's name first: each a string with a NUL byte at its end.
/// What it would write to standard output and standard error is in `output`, with its exit status. `PKGLD_STATUS_OK` only says
/// that it ran.
///
/// # Safety
/// `arguments` has `count` pointers to strings that end with a NUL byte; `output` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_run(
    arguments: *const *const c_char,
    count: usize,
    output: *mut *mut Output,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        unsafe { prepare("output", output, std::ptr::null_mut()) }?;
        if arguments.is_null() || count == 0 {
            return Err(refused("arguments are none: the first is the program's name"));
        }
        let mut strings = Vec::new();
        for number in 0..count {
            // SAFETY: there are so many pointers, by the caller's promise.
            let argument = unsafe { arguments.add(number).read() };
            if argument.is_null() {
                return Err(refused(format!("argument {number} is null")));
            }
            // SAFETY: not null; that it ends with a NUL byte is the caller's promise.
            let argument = unsafe { CStr::from_ptr(argument) };
            strings.push(os_string("argument", argument.to_bytes())?);
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = match cli::run(strings, &mut Console::new(&mut out, &mut err, false)) {
            Exit::Success => 0,
            Exit::Failure => 1,
        };
        let state = OutputState { exit, out: Stored::new(out), err: Stored::new(err) };
        // SAFETY: the caller's promise.
        unsafe { put(output, border::handle(state)) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// The program's exit status: 0 if it did what it was asked, 1 if not; -1 if `output` is null or no such handle.
///
/// # Safety
/// `output` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_output_exit(output: *const Output) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { shared(output) }.map_or(-1, |output| output.exit)
}

/// What the program wrote to standard output. It belongs to `output`; a null pointer if that is no such handle.
///
/// # Safety
/// `output` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_output_stdout(output: *const Output) -> Text {
    // SAFETY: the caller's promise.
    unsafe { shared(output) }.map_or(Text::NONE, |output| output.out.text())
}

/// What the program wrote to standard error. It belongs to `output`; a null pointer if that is no such handle.
///
/// # Safety
/// `output` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_output_stderr(output: *const Output) -> Text {
    // SAFETY: the caller's promise.
    unsafe { shared(output) }.map_or(Text::NONE, |output| output.err.text())
}

/// Frees an output, and sets the pointer to null. Null, and a pointer to null, are allowed.
///
/// # Safety
/// `output` is null, or points to null or a handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_output_free(output: *mut *mut Output) -> Status {
    // SAFETY: the caller's promise.
    unsafe { border::free(output) }
}
