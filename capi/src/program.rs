//! The whole program, with what it says caught.

use std::ffi::{CStr, OsString, c_char, c_void};

use linker::Report;
use linker::cli::{self, Console, Exit};

use crate::border::{self, Failure, Opaque, guarded, os_string, prepare, put, refused, shared};
use crate::error::{Errors, Status, Stored, Text};
use crate::job::{self, Job, Made, Notify};

/// What a run of the program has said. Many threads may use it at a time.
#[derive(Debug)]
pub struct Output {
    _opaque: (),
}

/// What an [`Output`] holds.
pub(crate) struct OutputState {
    exit: i32,
    report: Option<Report>,
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
        let arguments = unsafe {
            prepare("output", output, std::ptr::null_mut())?;
            strings(arguments, count)?
        };
        // SAFETY: the caller's promise.
        unsafe { put(output, border::handle(run(arguments))) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Has a thread do what `pkgld_run` does: returns at once, with a job for `pkgld_job_finish`. The arguments are copied.
///
/// # Safety
/// `arguments` is as for `pkgld_run`; `notify` is null, or a function that can be called with `context` from another thread
/// until the job is finished; `job` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_run_start(
    arguments: *const *const c_char,
    count: usize,
    notify: Notify,
    context: *mut c_void,
    job: *mut *mut Job,
    errors: *mut *mut Errors,
) -> Status {
    let make = || {
        // SAFETY: the caller's promise.
        let arguments = unsafe { strings(arguments, count) }?;
        Ok(move || Ok(Made::Output(Box::new(run(arguments)))))
    };
    // SAFETY: the caller's promise.
    unsafe { job::start(notify, context, job, errors, make) }
}

/// The caller's arguments.
///
/// # Safety
/// `arguments` is null, or has `count` pointers to strings that end with a NUL byte.
unsafe fn strings(arguments: *const *const c_char, count: usize) -> Result<Vec<OsString>, Failure> {
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
    Ok(strings)
}

/// Runs the program.
fn run(arguments: Vec<OsString>) -> OutputState {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (exit, report) = cli::run_with_report(arguments, &mut Console::new(&mut out, &mut err, false));
    let exit = match exit {
        Exit::Success => 0,
        Exit::Failure => 1,
    };
    OutputState { exit, report, out: Stored::new(out), err: Stored::new(err) }
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

/// The size, in bytes, and the CRC-32C (Castagnoli) of the image that the program has written, into `size` and `crc32c` where
/// these are not null. False, and nothing is put there, if it has written none, or if `output` is null or no such handle.
///
/// # Safety
/// `output` is null, or a handle that has not been freed; `size` and `crc32c` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_output_image(output: *const Output, size: *mut u64, crc32c: *mut u32) -> bool {
    // SAFETY: the caller's promise.
    let report = unsafe { shared(output) }.ok().and_then(|output| output.report.as_ref());
    let Some((report, sum)) = report.and_then(|report| Some((report, report.crc32c?))) else { return false };
    // SAFETY: the caller's promise.
    unsafe {
        put(size, report.size);
        put(crc32c, sum);
    }
    true
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
