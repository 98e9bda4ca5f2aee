//! The runtime's names, read from the file that the stub libraries include.

use std::sync::LazyLock;

/// The names of one kind, in the file's order.
fn names(kind: &str) -> Vec<&'static str> {
    include_str!("../stubs/names.inc")
        .lines()
        .filter_map(|line| line.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')'))
        .collect()
}

/// Functions `i64 -> i64` of the runtime, those of libjulia last.
pub(crate) static FUNCTIONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| [&INTERNAL[..], &PUBLIC[..]].concat());

/// Those of libjulia-internal.
pub(crate) static INTERNAL: LazyLock<Vec<&'static str>> = LazyLock::new(|| names("FUNCTION"));

/// Those of libjulia.
pub(crate) static PUBLIC: LazyLock<Vec<&'static str>> = LazyLock::new(|| names("PUBLIC"));

/// Variables of the runtime that point to objects.
pub(crate) static OBJECTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| names("OBJECT"));
