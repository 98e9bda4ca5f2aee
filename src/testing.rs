//! What the unit tests share.

/// The file of this name that the C compiler would link: a library, or a start file.
#[cfg(target_os = "linux")]
pub(crate) fn compiler_file(name: &str) -> std::path::PathBuf {
    let output = std::process::Command::new("cc").arg(format!("-print-file-name={name}")).output();
    let output = output.unwrap_or_else(|error| panic!("cc (package gcc): {error}"));
    let path = std::path::PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    assert!(path.is_absolute(), "cc does not find {name} (packages gcc, libc6-dev)");
    path
}
