//! What happens to the output when something goes wrong: a clear message, exit status 1, nothing left behind, and what
//! stood under the output's name untouched.
#![cfg(unix)]

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
#[cfg(target_os = "linux")]
use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

const FORMER: &[u8] = b"what stood here before";

/// A directory with nothing but a former output in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("out"), FORMER).expect("a former output");
        Self { directory }
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// Fails unless the former output is all that is there.
    fn assert_untouched(&self) {
        self.assert_alone();
        assert_eq!(fs::read(self.output()).expect("the former output"), FORMER, "the former output was changed");
    }

    /// Fails if anything but the output is there.
    fn assert_alone(&self) {
        let entries = fs::read_dir(self.directory.path()).expect("the directory");
        let names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names, ["out"], "something was left behind");
    }
}

/// A small archive that links.
fn archive() -> PathBuf {
    smallest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/linux-x86_64")).expect("a committed archive")
}

fn smallest(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let found = entries.filter_map(|path| {
        if path.is_dir() { smallest(&path) } else { path.extension().is_some_and(|name| name == "a").then_some(path) }
    });
    found.min_by_key(|path| (path.metadata().expect("an archive").len(), path.clone()))
}

fn pkgld(output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
    command.args(["-flavor", "gnu", "", "-shared", "-o"]).arg(output).stdin(Stdio::null());
    command
}

fn link(archive: &Path, output: &Path) -> Command {
    let mut command = pkgld(output);
    command.arg("--whole-archive").arg(archive).arg("--no-whole-archive");
    command
}

/// Runs a command that has to fail with status 1 and one of `texts` in its message.
#[track_caller]
fn assert_fails(command: &mut Command, texts: &[&str]) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let message = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{status}: {message}");
    assert!(texts.iter().any(|text| message.contains(text)), "none of {texts:?} in the message:\n{message}");
    assert!(stdout.is_empty(), "a message on standard output");
}

#[track_caller]
fn assert_links(command: &mut Command) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    stdout
}

/// The image that a good link writes.
fn image() -> Vec<u8> {
    let place = Place::new();
    assert_links(&mut link(&archive(), &place.output()));
    place.assert_alone();
    fs::read(place.output()).expect("the image")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// Says in the summary of `tests/run` that a test could not be run here, and why.
#[cfg(target_os = "linux")]
fn skip(test: &str, reason: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tests");
    fs::create_dir_all(&directory).expect("a directory for logs");
    let mut file =
        File::options().create(true).append(true).open(directory.join("skipped")).expect("the list of skips");
    std::io::Write::write_all(&mut file, format!("skipped: {test}: {reason}\n").as_bytes()).expect("a line for a skip");
}

#[test]
fn missing_input() {
    let place = Place::new();
    assert_fails(&mut link(Path::new("no/such/archive"), &place.output()), &["no/such/archive"]);
    place.assert_untouched();
}

#[test]
fn truncated_archive() {
    let whole = fs::read(archive()).expect("an archive");
    let inputs = tempfile::tempdir().expect("a temporary directory");
    let path = inputs.path().join("truncated");
    for part in 1..8 {
        fs::write(&path, &whole[..whole.len() * part / 8]).expect("a truncated archive");
        let place = Place::new();
        assert_fails(&mut link(&path, &place.output()), &[&path.display().to_string()]);
        place.assert_untouched();
    }
}

#[test]
fn undefined_symbols() {
    let place = Place::new();
    assert_fails(link(&archive(), &place.output()).args(["-z", "defs"]), &["undefined symbol"]);
    place.assert_untouched();
}

#[test]
fn missing_library() {
    let place = Place::new();
    let mut command = link(&archive(), &place.output());
    assert_fails(command.args(["-L/no/such/directory", "-lnosuchlibrary"]), &["/no/such/directory"]);
    place.assert_untouched();
}

#[test]
fn unknown_option() {
    let place = Place::new();
    assert_fails(link(&archive(), &place.output()).arg("--hash-stile=gnu"), &["hash-style"]);
    place.assert_untouched();
}

#[test]
fn missing_directory() {
    let place = Place::new();
    let output = place.directory.path().join("no/such/out");
    assert_fails(&mut link(&archive(), &output), &[&output.display().to_string()]);
    place.assert_untouched();
}

#[test]
fn output_is_a_directory() {
    let place = Place::new();
    let output = place.directory.path().to_owned();
    assert_fails(&mut link(&archive(), &output), &[&output.display().to_string()]);
    place.assert_untouched();
}

#[test]
fn read_only_directory() {
    let place = Place::new();
    let output = place.output();
    let mut command = link(&archive(), &output);
    // No permission keeps the superuser out, so the program runs as somebody else then.
    let program = tempfile::tempdir().expect("a temporary directory");
    if is_root() {
        fs::set_permissions(place.directory.path(), Permissions::from_mode(0o755)).expect("a readable directory");
        fs::set_permissions(program.path(), Permissions::from_mode(0o755)).expect("a readable directory");
        // Neither the program nor the archive need be where others can reach them.
        let (copy, input) = (program.path().join("pkgld"), program.path().join("in"));
        // Copied by another process: a program that is open for writing here could not be started, and other tests start
        // processes that would inherit the open file.
        for (from, to) in [(Path::new(env!("CARGO_BIN_EXE_pkgld")), &copy), (&archive(), &input)] {
            assert!(Command::new("cp").arg(from).arg(to).status().expect("cp, of coreutils").success());
        }
        command = Command::new(copy);
        command.args(["-flavor", "gnu", "-shared", "-o"]).arg(&output).arg("--whole-archive").arg(input);
        command.current_dir("/").uid(65534).gid(65534);
    } else {
        fs::set_permissions(place.directory.path(), Permissions::from_mode(0o555)).expect("a read-only directory");
    }
    assert_fails(&mut command, &[&output.display().to_string()]);
    fs::set_permissions(place.directory.path(), Permissions::from_mode(0o755)).expect("a writable directory");
    place.assert_untouched();
}

/// The write fails half-way, as on a full disk: files may not grow beyond a few blocks.
#[test]
fn file_size_limit() {
    let place = Place::new();
    let mut limited = Command::new("sh");
    // The signal is ignored in the program too then, so that the write fails instead.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]);
    let inner = link(&archive(), &place.output());
    limited.arg(inner.get_program()).args(inner.get_args());
    assert_fails(&mut limited, &[&place.output().display().to_string()]);
    place.assert_untouched();
}

#[test]
#[cfg(target_os = "linux")]
fn full_disk() {
    let place = Place::new();
    let disk = tempfile::tempdir().expect("a temporary directory");
    // A file system of 64 KiB in a mount namespace of its own: it is gone when the command ends.
    let script = "mount -t tmpfs -o size=64k tmpfs \"$0\" || exit 77
        printf former >\"$0/out\"
        \"$@\"
        echo \"status $?, $(ls -A \"$0\"), $(cat \"$0/out\")\"";
    let output = disk.path().join("out");
    let inner = link(&archive(), &output);
    let mut command = Command::new("unshare");
    command.arg("--mount").args((!is_root()).then_some("--map-root-user"));
    command.args(["sh", "-c", script]).arg(disk.path());
    let result = command.arg(inner.get_program()).args(inner.get_args()).output().expect("unshare, of util-linux");
    let message = String::from_utf8_lossy(&result.stderr);
    if !result.status.success() {
        return skip("full_disk", &format!("this system lets nobody mount a small file system: {}", message.trim()));
    }
    assert_eq!(String::from_utf8_lossy(&result.stdout).trim(), "status 1, out, former", "{message}");
    assert!(message.contains(&output.display().to_string()), "the message does not name the output: {message}");
    place.assert_untouched();
}

/// A quota of the file system: on btrfs, which keeps its own, so that no support of the kernel's for others is needed.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the package btrfs-progs"]
fn disk_quota() {
    let disk = tempfile::tempdir().expect("a temporary directory");
    let (image, mounted) = (disk.path().join("image"), disk.path().join("mounted"));
    fs::create_dir(&mounted).expect("a directory");
    File::create(&image).and_then(|file| file.set_len(128 << 20)).expect("an empty disk");
    let made = Command::new("mkfs.btrfs").args(["-q", "-M"]).arg(&image).status();
    assert!(made.expect("mkfs.btrfs is not installed; it is in the package btrfs-progs").success());
    let script = "mount -o loop \"$0\" \"$1\" || exit 77
        set -e
        cd \"$1\" && shift
        btrfs subvolume create part >/dev/null
        btrfs quota enable . >/dev/null
        printf former >part/out && sync
        btrfs qgroup limit 64K part
        set +e
        \"$@\"
        echo \"status $?, $(ls -A part), $(cat part/out)\"";
    let inner = link(&archive(), Path::new("part/out"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(&image).arg(&mounted);
    let result = command.arg(inner.get_program()).args(inner.get_args()).output().expect("unshare, of util-linux");
    let message = String::from_utf8_lossy(&result.stderr);
    if result.status.code() != Some(0) && !message.contains("btrfs:") {
        return skip("disk_quota", &format!("this system lets nobody mount a file: {}", message.trim()));
    }
    assert_eq!(String::from_utf8_lossy(&result.stdout).trim(), "status 1, out, former", "{message}");
    assert!(message.contains("part/out: ") && message.contains("quota"), "{message}");
}

/// A container need not have /proc, and without it a file without a name could never get one.
#[test]
#[cfg(target_os = "linux")]
fn no_proc() {
    let place = Place::new();
    let script = "mount -t tmpfs tmpfs /proc || exit 77; \"$@\"; echo \"status $?\"";
    let inner = link(&archive(), &place.output());
    let mut command = Command::new("unshare");
    command.arg("--mount").args((!is_root()).then_some("--map-root-user")).args(["sh", "-c", script, "sh"]);
    let result = command.arg(inner.get_program()).args(inner.get_args()).output().expect("unshare, of util-linux");
    let message = String::from_utf8_lossy(&result.stderr);
    if !result.status.success() {
        return skip("no_proc", &format!("this system lets nobody hide /proc: {}", message.trim()));
    }
    assert_eq!(String::from_utf8_lossy(&result.stdout).trim(), "status 0", "{message}");
    place.assert_alone();
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

/// The input is mapped while the output takes its place.
#[test]
fn output_is_an_input() {
    let place = Place::new();
    fs::copy(archive(), place.output()).expect("a copy of the archive");
    assert_links(&mut link(&place.output(), &place.output()));
    place.assert_alone();
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

/// What a symbolic link leads to is not ours to change: the link is replaced, as any other file.
#[test]
#[cfg(unix)]
fn output_is_a_symbolic_link() {
    let (place, elsewhere) = (Place::new(), Place::new());
    fs::remove_file(place.output()).expect("the former output goes");
    std::os::unix::fs::symlink(elsewhere.output(), place.output()).expect("a symbolic link");
    assert_links(&mut link(&archive(), &place.output()));
    place.assert_alone();
    elsewhere.assert_untouched();
    assert!(fs::symlink_metadata(place.output()).expect("the image").is_file(), "still a link");
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

/// As many threads as anybody may ask for.
#[test]
fn many_threads() {
    let place = Place::new();
    assert_links(link(&archive(), &place.output()).arg("--threads=256"));
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

#[test]
fn full_device() {
    if Path::new("/dev/full").exists() {
        assert_fails(&mut link(&archive(), Path::new("/dev/full")), &["/dev/full"]);
        assert!(fs::metadata("/dev/full").expect("the device").file_type().is_char_device(), "the device was replaced");
    }
}

/// Julia's output file exists, is empty and has mode 0600; the image must be readable by others.
#[test]
fn mode_follows_the_umask() {
    for umask in ["022", "077", "002"] {
        let place = Place::new();
        fs::set_permissions(place.output(), Permissions::from_mode(0o600)).expect("a private file");
        let inner = link(&archive(), &place.output());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        assert_links(command.arg(inner.get_program()).args(inner.get_args()));
        let mask = u32::from_str_radix(umask, 8).expect("an octal number");
        let mode = fs::metadata(place.output()).expect("the image").permissions().mode() & 0o7777;
        assert_eq!(mode, 0o777 & !mask, "mode {mode:o} with umask {umask}");
        place.assert_alone();
    }
}

/// Somebody who has the former output open or mapped keeps it: the new one is another file.
#[test]
fn former_output_lives_on() {
    let place = Place::new();
    let mut former = File::open(place.output()).expect("the former output");
    assert_links(&mut link(&archive(), &place.output()));
    let mut contents = Vec::new();
    former.read_to_end(&mut contents).expect("the former output");
    assert_eq!(contents, FORMER);
}

#[test]
fn standard_output() {
    // A pipe: written in place.
    assert!(assert_links(&mut link(&archive(), Path::new("/dev/stdout"))) == image(), "another image through a pipe");
}

/// A file, to which a name leads that stands for a descriptor: it is written through, and the name stays.
#[test]
#[cfg(target_os = "linux")]
fn standard_output_is_a_file() {
    let place = Place::new();
    let (name, file) = (place.directory.path().join("stdout"), place.directory.path().join("redirected"));
    std::os::unix::fs::symlink("/proc/self/fd/1", &name).expect("a symbolic link");
    // A longer file than the image will be.
    fs::write(&file, [7; 1 << 20]).expect("a file");
    let mut command = link(&archive(), &name);
    let status = command.stdout(File::options().write(true).open(&file).expect("the file")).status();
    assert!(status.expect("the program starts").success());
    assert!(fs::read(&file).expect("the file") == image(), "another image");
    assert!(fs::symlink_metadata(&name).expect("the link").is_symlink(), "the name was replaced");
}

#[test]
fn null_device() {
    assert_links(&mut link(&archive(), Path::new("/dev/null")));
    assert!(fs::metadata("/dev/null").expect("the device").file_type().is_char_device(), "the device was replaced");
}

#[test]
fn fifo() {
    let place = Place::new();
    fs::remove_file(place.output()).expect("the former output can go");
    let made = Command::new("mkfifo").arg(place.output()).status().expect("mkfifo, of coreutils");
    assert!(made.success());
    let path = place.output();
    let reader = thread::spawn(move || fs::read(path));
    assert_links(&mut link(&archive(), &place.output()));
    let bytes = reader.join().expect("the reader ends").expect("the FIFO can be read");
    assert!(bytes == image(), "another image through a FIFO");
    assert!(fs::metadata(place.output()).expect("the FIFO").file_type().is_fifo(), "the FIFO was replaced");
}

/// Whenever the program is killed, either the former output is there or the whole new one, and nothing else.
#[test]
#[cfg(target_os = "linux")]
fn killed() {
    let expected = image();
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let began = Instant::now();
        assert_links(&mut link(&archive(), &Place::new().output()));
        longest = longest.max(began.elapsed());
    }
    let (mut deaths, mut leftovers) = (0, 0);
    for step in 0..60 {
        let place = Place::new();
        let mut child = link(&archive(), &place.output()).stderr(Stdio::null()).spawn().expect("the program starts");
        thread::sleep(longest * step / 50);
        child.kill().expect("a signal can be sent");
        let status = child.wait().expect("the program ends");
        deaths += u32::from(status.signal().is_some());
        // No system call replaces a file by an unnamed one: between the link under a name of its own and the rename
        // there is an instant in which a kill leaves that name. It is rare, and what has it is complete.
        let entries =
            fs::read_dir(place.directory.path()).expect("the directory").map(|entry| entry.expect("an entry"));
        for left in entries.filter(|entry| entry.file_name() != "out") {
            assert!(left.file_name().display().to_string().starts_with(".pkgld-"), "{left:?} was left behind");
            assert!(fs::read(left.path()).expect("what was left") == expected, "a part of an image was left behind");
            leftovers += 1;
        }
        assert!(leftovers <= 2, "{leftovers} of {step} kills left something behind");
        let contents = fs::read(place.output()).expect("an output");
        assert!(contents == FORMER || contents == expected, "a part of an image after {step} steps");
    }
    assert!(deaths > 0, "the program was never killed before its end");
}

/// A command run as somebody whom permissions keep out, which they do not the superuser; `directory` is for a copy of the
/// program where others reach it.
fn as_nobody(directory: &Path, output: &Path, archive: &Path) -> Command {
    if !is_root() {
        return link(archive, output);
    }
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("a readable directory");
    let copy = directory.join("pkgld");
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_pkgld")).arg(&copy).status().expect("cp").success());
    let mut command = Command::new(copy);
    command.args(["-flavor", "gnu", "-shared", "-o"]).arg(output).arg("--whole-archive").arg(archive);
    command.current_dir("/").uid(65534).gid(65534);
    command
}

#[test]
fn unreadable_input() {
    let (place, inputs) = (Place::new(), tempfile::tempdir().expect("a temporary directory"));
    let secret = inputs.path().join("secret.a");
    fs::copy(archive(), &secret).expect("a copy of the archive");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).expect("an unreadable archive");
    fs::set_permissions(place.directory.path(), Permissions::from_mode(0o777)).expect("a directory for all");
    let command = &mut as_nobody(inputs.path(), &place.output(), &secret);
    assert_fails(command, &[&format!("{}: Permission denied", secret.display())]);
    place.assert_untouched();
}

#[test]
fn directory_as_input() {
    let (place, inputs) = (Place::new(), tempfile::tempdir().expect("a temporary directory"));
    assert_fails(&mut link(inputs.path(), &place.output()), &[&inputs.path().display().to_string()]);
    place.assert_untouched();
}

/// Files that change between being opened and being linked: by their own length and contents of then, if they are read.
#[test]
fn input_that_changes() {
    use pkgld::{Input, Inputs, Options};
    let directory = tempfile::tempdir().expect("a temporary directory");
    let good = fs::read(archive()).expect("an archive");
    let image = |options: &Options, change: &dyn Fn(&Path)| {
        let path = directory.path().join("in.a");
        fs::write(&path, &good).expect("a copy of the archive");
        let inputs = Inputs::open(vec![Input::path(&path).whole_archive()], options).expect("an archive");
        change(&path);
        let image = pkgld::link(&inputs, options).expect("a link").to_vec().expect("an image").0;
        fs::remove_file(path).expect("the input can go");
        image
    };
    let mut options = Options::default();
    let expected = image(&options, &|_| ());
    let replace = |path: &Path| {
        fs::write(path.with_extension("new"), b"something else").expect("another file");
        fs::rename(path.with_extension("new"), path).expect("another file under the name");
    };
    // A file that takes the name is another file, also where it is mapped.
    assert!(image(&options, &replace) == expected);
    options.read_inputs = true;
    assert!(image(&options, &replace) == expected);
    let truncate = |path: &Path| fs::write(path, b"!<arch>\n").expect("a shorter file");
    assert!(image(&options, &truncate) == expected, "an input that was read is looked at again");
}

/// A program that runs cannot be written to, only replaced.
#[test]
#[cfg(target_os = "linux")]
fn output_is_running() {
    let place = Place::new();
    let sleep = Command::new("sh").args(["-c", "command -v sleep"]).output().expect("sh").stdout;
    let sleep = String::from_utf8(sleep).expect("a path");
    fs::remove_file(place.output()).expect("the former output goes");
    assert!(Command::new("cp").arg(sleep.trim()).arg(place.output()).status().expect("cp").success());
    let mut running = Command::new(place.output()).arg0("sleep").arg("60").spawn().expect("a program");
    assert_links(&mut link(&archive(), &place.output()));
    assert!(running.try_wait().expect("its state").is_none(), "the program that was replaced has died");
    running.kill().and_then(|()| running.wait()).expect("it ends");
    place.assert_alone();
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

/// A library that a program has loaded is replaced, not written to: the program goes on with the one it has.
#[test]
#[cfg(target_os = "linux")]
fn output_is_a_library_in_use() {
    let place = Place::new();
    let maps = fs::read_to_string("/proc/self/maps").expect("the maps");
    let library = maps.split_ascii_whitespace().find(|word| word.starts_with('/') && word.contains("libc.so"));
    assert!(
        Command::new("cp").arg(library.expect("the C library")).arg(place.output()).status().expect("cp").success()
    );
    let mut running = Command::new("sleep").arg("60").env("LD_PRELOAD", place.output()).spawn().expect("a program");
    let maps = format!("/proc/{}/maps", running.id());
    let loaded = |what: &str| {
        let wanted = format!("{}{what}\n", place.output().display());
        fs::read_to_string(&maps).expect("its maps").contains(&wanted)
    };
    while !loaded("") {
        assert!(running.try_wait().expect("its state").is_none(), "it has ended");
        thread::yield_now();
    }
    assert_links(&mut link(&archive(), &place.output()));
    assert!(running.try_wait().expect("its state").is_none(), "the program whose library was replaced has died");
    assert!(loaded(" (deleted)"), "the program's library is not the former one");
    running.kill().and_then(|()| running.wait()).expect("it ends");
    place.assert_alone();
    assert!(fs::read(place.output()).expect("the image") == image(), "another image");
}

#[test]
fn two_links_to_one_output() {
    let other = archive().with_file_name("julia-1.9-llvm14.a");
    let images = [archive(), other].map(|archive| {
        let place = Place::new();
        assert_links(&mut link(&archive, &place.output()));
        (fs::read(place.output()).expect("the image"), archive)
    });
    assert!(images[0].0 != images[1].0, "the two links do the same");
    let place = Place::new();
    for _ in 0..5 {
        let start =
            |(_, archive): &(Vec<u8>, PathBuf)| link(archive, &place.output()).spawn().expect("the program starts");
        let both: Vec<_> = images.iter().chain(&images).map(start).collect();
        for mut child in both {
            assert!(child.wait().expect("the program ends").success());
        }
        place.assert_alone();
        let image = fs::read(place.output()).expect("the image");
        assert!(images.iter().any(|(bytes, _)| *bytes == image), "a mixture of two images");
    }
}

/// A link in which a system call fails as strace is told; `None` if nobody may be traced here.
#[cfg(target_os = "linux")]
fn injected(fault: &str, command: &Command) -> Option<Output> {
    let call = fault.split(':').next().unwrap_or_default();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}")]);
    let output = strace.arg(command.get_program()).args(command.get_args()).output();
    let output = output.expect("strace is not installed; it is in the package strace");
    let message = String::from_utf8_lossy(&output.stderr);
    if message.contains("ptrace") {
        skip("injected faults", &format!("this system lets nobody trace a program: {}", message.trim()));
        return None;
    }
    Some(output)
}

/// Whatever system call fails on the way, for whatever reason: a message with the reason, and the former output.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the package strace"]
fn system_calls_that_fail() {
    let faults = [
        ("pwrite64:error=ENOSPC", "No space left on device"),
        ("pwrite64:error=EDQUOT", "quota"),
        ("pwrite64:error=EIO", "Input/output error"),
        ("ftruncate:error=ENOSPC", "No space left on device"),
        ("ftruncate:error=EFBIG", "File too large"),
        ("linkat:error=EDQUOT:when=2+", "quota"),
        ("/^rename:error=EACCES", "Permission denied"),
    ];
    for (fault, reason) in faults {
        let place = Place::new();
        let Some(output) = injected(fault, &link(&archive(), &place.output())) else { return };
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{fault}: {message}");
        let named = message.contains(&place.output().display().to_string());
        assert!(named && message.contains(reason), "{fault}: {message}");
        place.assert_untouched();
    }
}

/// A signal may interrupt any call that waits; the call is made again.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the package strace"]
fn interrupted_system_calls() {
    for fault in ["pwrite64:error=EINTR:when=1", "read:error=EINTR:when=3+4", "openat:error=EINTR:when=3+4"] {
        let place = Place::new();
        let mut command = link(&archive(), &place.output());
        command.arg("--read-inputs");
        let Some(output) = injected(fault, &command) else { return };
        assert!(output.status.success(), "{fault}: {}", String::from_utf8_lossy(&output.stderr));
        place.assert_alone();
        assert!(fs::read(place.output()).expect("the image") == image(), "{fault}: another image");
    }
    let command = link(&archive(), Path::new("/dev/stdout"));
    let Some(output) = injected("write:error=EINTR:when=1+2", &command) else { return };
    assert!(output.status.success() && output.stdout == image(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The map, the rule for make and the companion are complete or not there, too; a former one stays.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the package strace"]
fn side_outputs_are_whole() {
    let (mut failed, mut succeeded) = (0, 0);
    for number in 1..8 {
        let place = Place::new();
        let former = Place::new();
        let side = |name: &str| {
            let path = former.directory.path().join(name);
            fs::write(&path, FORMER).expect("a former file");
            path
        };
        let (map, rule, debug) = (side("map"), side("rule"), side("debug"));
        let mut command = link(&archive(), &place.output());
        command.arg("-Map").arg(&map).arg("--dependency-file").arg(&rule);
        command.arg(format!("--separate-debug-file={}", debug.display()));
        let Some(output) = injected(&format!("pwrite64:error=ENOSPC:when={number}"), &command) else { return };
        let message = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => succeeded += 1,
            Some(1) => failed += 1,
            other => panic!("{other:?}: {message}"),
        }
        let image = place.output();
        let named = [&map, &rule, &debug, &image]
            .into_iter()
            .filter(|path| message.contains(&format!("{}: No space", path.display())));
        assert_eq!(named.count(), usize::from(!output.status.success()), "{message}");
        // Nothing is left beside them, and what is new has its end.
        let files = fs::read_dir(former.directory.path()).expect("a directory").count();
        assert_eq!(files, 4, "something was left behind");
        let new = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes != FORMER);
        let ends = |path: &Path, end: &str| fs::read(path).expect("a file").ends_with(end.as_bytes());
        assert!(!new(&map) || ends(&map, "\n"), "a part of a map");
        assert!(!new(&rule) || ends(&rule, "\n"), "a part of a rule");
        assert!(!new(&place.output()) || new(&debug), "an image without its companion");
        place.assert_alone();
    }
    assert!(failed >= 4 && succeeded > 0, "{failed} links failed, {succeeded} did not");
}

/// A dSYM is a bundle of directories: of one that could not be completed nothing is left.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the package strace"]
fn bundles_are_whole() {
    let archive = smallest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/macos-arm64")).expect("an archive");
    let (mut failed, mut succeeded) = (0, 0);
    for number in 1..16 {
        let place = Place::new();
        let bundles = tempfile::tempdir().expect("a temporary directory");
        let bundle = bundles.path().join("out.dSYM");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        command.args(["-flavor", "darwin", "-arch", "arm64", "-dylib", "-undefined", "dynamic_lookup"]);
        command.args(["-platform_version", "macos", "13.0", "13.0", "-o"]).arg(place.output());
        command.arg("-all_load").arg(&archive).arg("-dsym").arg(&bundle);
        let Some(output) = injected(&format!("pwrite64:error=ENOSPC:when={number}"), &command) else { return };
        let message = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            succeeded += 1;
            place.assert_alone();
            assert!(bundle.join("Contents/Info.plist").is_file(), "no bundle");
        } else {
            failed += 1;
            assert!(message.contains("No space left on device"), "{message}");
            place.assert_untouched();
            assert!(!bundle.exists(), "a part of a bundle: {message}");
        }
    }
    assert!(failed > 2 && succeeded > 2, "{failed} links failed, {succeeded} did not");
}
