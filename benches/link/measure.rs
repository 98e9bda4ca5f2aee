//! One run of one process: its wall-clock time and its memory.

use std::fs;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::Result;

/// What one run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Wall-clock time from before the process is started until it has been waited for.
    pub(crate) wall: Duration,
    /// Processor time of all threads, in the program and in the kernel.
    pub(crate) cpu: Duration,
}

/// The largest resident memory of a process, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Of its own: what would have to be swapped out.
    pub(crate) anonymous: u64,
    /// Of files, its own code included.
    pub(crate) mapped: u64,
}

/// Runs `command` to its end; returns what it wrote to standard output too. Fails with the start of what it wrote to
/// standard error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(Sample, String)> {
    run_watched(command, |_| {})
}

/// As [`run`], and looks at the memory of the process every quarter of a millisecond, which costs some time.
pub(crate) fn run_and_watch(command: &mut Command) -> Result<(Sample, String, Memory)> {
    let ended = AtomicBool::new(false);
    let mut memory = Memory::default();
    let (sample, text) = std::thread::scope(|scope| {
        let mut watcher = None;
        let done = run_watched(command, |process| {
            let ended = &ended;
            watcher = Some(scope.spawn(move || watch(process, ended)));
        });
        ended.store(true, Ordering::Relaxed);
        if let Some(seen) = watcher.and_then(|watcher| watcher.join().ok()) {
            memory = seen;
        }
        done
    })?;
    Ok((sample, text, memory))
}

/// Looks at the memory of a process until told that it has ended.
fn watch(process: u32, ended: &AtomicBool) -> Memory {
    let path = format!("/proc/{process}/status");
    let mut most = Memory::default();
    while !ended.load(Ordering::Relaxed) {
        let Ok(status) = fs::read_to_string(&path) else { break };
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
        };
        most.anonymous = most.anonymous.max(of("RssAnon:").unwrap_or(0));
        most.mapped = most.mapped.max(of("RssFile:").unwrap_or(0) + of("RssShmem:").unwrap_or(0));
        std::thread::sleep(Duration::from_micros(250));
    }
    most
}

fn run_watched(command: &mut Command, started: impl FnOnce(u32)) -> Result<(Sample, String)> {
    // Files, not pipes: nobody reads while the process runs.
    let mut output = tempfile::tempfile()?;
    let mut errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    started(child.id());
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
    Ok((Sample { wall, cpu: used.rusage.utime + used.rusage.stime }, text))
}
