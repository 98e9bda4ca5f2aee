#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;

#[test]
fn a_bundle_says_the_name_of_its_image() {
    let cases =
        [("a/libx.dylib.dSYM", Some("libx.dylib")), ("x.dSYM", Some("x")), ("x", None), (".dSYM", None), ("", None)];
    for (path, name) in cases {
        assert_eq!(image_name(Path::new(path)), name.map(OsStr::new), "{path}");
    }
}

#[test]
fn names_are_escaped_in_lists_of_properties() {
    let list = plist("a<&>\u{1}.dylib");
    assert!(list.contains("<string>com.apple.xcode.dsym.a&lt;&amp;&gt;_.dylib</string>"), "{list}");
}

#[test]
fn names_of_sections_are_cut_to_16_bytes() {
    assert_eq!(section_name("str_offsets"), *b"__debug_str_offs");
    assert_eq!(section_name("info"), *b"__debug_info\0\0\0\0");
}
