//! One run of one process: its wall-clock time and its peak of resident memory.

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::Result;

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Wall-clock time from before the process is started until it has been waited for.
    pub(crate) wall: Duration,
    /// Processor time of all threads, in the program and in the kernel.
    pub(crate) cpu: Duration,
    /// Largest resident set of the process, in bytes: mapped files included, and never less than that of the process
    /// that started it.
    pub(crate) peak: u64,
}

/// Runs `command` to its end; returns what it wrote to standard output too. Fails with the start of what it wrote to
/// standard error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(Sample, String)> {
    // Files, not pipes: nobody reads while the process runs.
    let mut output = tempfile::tempfile()?;
    let mut errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let used = child.wait4()?;
    let wall = began.elapsed();
    if !used.status.success() {
        let mut text = Vec::new();
        errors.rewind()?;
        errors.take(300).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        return Err(format!("{} ended with {}: {}", command.get_program().display(), used.status, text.trim()).into());
    }
    let mut text = String::new();
    output.rewind()?;
    output.read_to_string(&mut text)?;
    Ok((Sample { wall, cpu: used.rusage.utime + used.rusage.stime, peak: used.rusage.maxrss }, text))
}
