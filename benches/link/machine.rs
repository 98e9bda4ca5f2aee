//! What a reader must know of the machine to judge the figures. No host name.

use std::fs;
use std::path::Path;

use crate::Result;

/// Processor, memory, kernel, the file system of `directory`, and whether the machine is busy with something else.
pub(crate) fn describe(directory: &Path) -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = value_of(&processors, "model name").unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = value_of(&memory, "MemTotal").unwrap_or("unknown").trim_end_matches(" kB");
    let gigabytes = memory.parse::<u64>().map_or(0, |kibibytes| (kibibytes + (1 << 19)) >> 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: String = kernel.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let remark = if load.parse().is_ok_and(|load: f64| load < 0.5) { "" } else { ": busy, so figures are no good" };
    Ok(format!(
        "{} of {model}, {gigabytes} GiB of memory, Linux {}; images on {}; load before {load}{remark}",
        match std::thread::available_parallelism()?.get() {
            1 => "1 processor".to_owned(),
            count => format!("{count} processors"),
        },
        kernel.trim_end_matches('.'),
        file_system(directory)?
    ))
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

/// The type of the file system that holds `directory`, such as `ext4`.
fn file_system(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut best = (0, "an unknown file system");
    for line in mounts.lines() {
        // proc(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": the fifth field is the mount point,
        // the type follows the dash. A later mount covers an earlier one of the same place.
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(point) = left.split(' ').nth(4) else { continue };
        let Some(kind) = right.split(' ').next() else { continue };
        if directory.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    Ok(best.1.to_owned())
}
