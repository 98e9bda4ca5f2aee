//! Names of C++ as people write them: what `extern "C++"` in a script or list compares its patterns with.
//!
//! Objects have the mangled form (Itanium C++ ABI, chapter 5.1), `_ZN2ns1A1fEi` for `ns::A::f(int)`. A name that is none of
//! these means itself. The source form of a short name can be long, since its parts can repeat others, so it is cut off at a
//! length that no pattern of a person reaches.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, DemangleWrite, ParseOptions, Symbol};

/// The longest mangled name that is read, in bytes. Others mean themselves.
const MANGLED: usize = 1 << 13;
/// The longest source form, in bytes. Names with longer ones mean themselves.
const SOURCE: usize = 1 << 15;
/// How deep names may nest.
const DEPTH: u32 = 64;

/// The source form of a name.
pub(super) fn source_form(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.starts_with(b"_Z") || name.len() > MANGLED {
        return Cow::Borrowed(name);
    }
    let parse = ParseOptions::default().recursion_limit(DEPTH);
    let demangle = DemangleOptions::default().recursion_limit(DEPTH);
    let mut text = Text(String::new());
    let symbol = Symbol::new_with_options(name, &parse);
    match symbol.map(|symbol| symbol.structured_demangle(&mut text, &demangle)) {
        Ok(Ok(())) => Cow::Owned(closed(&usual(text.0)).into_bytes()),
        _ => Cow::Borrowed(name),
    }
}

/// What the compiler makes beside functions and variables, called as GNU's and LLVM's tools call it.
fn usual(text: String) -> String {
    const THUNK: &str = "{virtual override thunk(";
    let inner = |start| text.strip_prefix(start).and_then(|rest: &str| rest.strip_suffix(")}"));
    if let Some(class) = inner("{vtable(") {
        return format!("vtable for {class}");
    }
    if let Some(class) = inner("{vtt(") {
        return format!("VTT for {class}");
    }
    let Some((first, rest)) = inner(THUNK).and_then(|thunk| thunk.split_once(")}, ")) else { return text };
    match rest.strip_prefix('{').and_then(|rest| rest.split_once(")}, ")) {
        Some((_, function)) => format!("covariant return thunk to {function}"),
        None if first.starts_with("{offset(") => format!("non-virtual thunk to {rest}"),
        None => format!("virtual thunk to {rest}"),
    }
}

/// The text without spaces between the ends of lists of template arguments: LLVM's tools write none there, others do, and
/// people either. Those after `operator>` and `operator>>` stay.
pub(super) fn closed(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let between = char == ' ' && all.ends_with('>') && rest.peek() == Some(&'>');
        if !between || all.ends_with("operator>") || all.ends_with("operator>>") {
            all.push(char);
        }
    }
    all
}

/// A text of bounded length.
struct Text(String);

impl DemangleWrite for Text {
    fn write_string(&mut self, more: &str) -> fmt::Result {
        if self.0.len().saturating_add(more.len()) > SOURCE {
            return Err(fmt::Error);
        }
        self.0.write_str(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> String {
        String::from_utf8_lossy(&source_form(name.as_bytes())).into_owned()
    }

    #[test]
    fn names_are_written_as_in_source() {
        for (mangled, wanted) in [
            ("_ZN2ns1A1fEi", "ns::A::f(int)"),
            ("_ZN2ns1AC1Ei", "ns::A::A(int)"),
            ("_Z2tmIiET_S0_", "int tm<int>(int)"),
            ("_ZTVN2ns1AE", "vtable for ns::A"),
            ("_ZTIN2ns1AE", "typeinfo for ns::A"),
            ("_ZTTN2ns1AE", "VTT for ns::A"),
            ("_ZGVZ1fvE1x", "guard variable for f()::x"),
            ("_ZThn8_N1B1fEv", "non-virtual thunk to B::f()"),
            ("_ZTv0_n24_N1B1fEv", "virtual thunk to B::f()"),
            ("_ZTch0_h16_N1B1fEv", "covariant return thunk to B::f()"),
            ("_Z1fv", "f()"),
            ("_ZN1AIS_IiEE1fEv", "A<A<int>>::f()"),
            ("_Z1fI1AIS0_IiEEEvv", "void f<A<A<int>>>()"),
            ("main", "main"),
            ("_Z", "_Z"),
            ("_ZN2", "_ZN2"),
        ] {
            assert_eq!(source(mangled), wanted);
        }
    }

    #[test]
    fn short_names_of_long_forms_are_cut_off() {
        // Each parameter is a pair of the one before it, so that the form doubles with every six bytes.
        let mut name = String::from("_Z1fSt4pairIiiE");
        for seed in ["S_", "S0_", "S1_", "S2_", "S3_", "S4_", "S5_", "S6_", "S7_", "S8_", "S9_", "SA_", "SB_", "SC_"] {
            name.push_str(&format!("S_I{seed}{seed}E"));
        }
        assert!(source(&name).len() <= SOURCE);
        let nested = format!("_Z1f{}i", "P".repeat(4000));
        assert!(source(&nested).len() <= SOURCE);
        let long = format!("_Z{}{}", MANGLED, "a".repeat(MANGLED));
        assert_eq!(source(&long), long);
    }
}
