//! What is known of each CPU: relocation kinds, instruction encodings, stub templates.

pub(crate) mod x86_64;
