use super::*;
use crate::cli::Link;
use crate::cli::reading::Color;
use crate::{Input, Target, Undefined};

fn read(line: &str) -> Result<Link, Vec<String>> {
    let words = line.split(' ').map(|word| OsString::from(word.trim_matches('\'')));
    match parse(words) {
        Ok(Command::Link(link)) => Ok(*link),
        Ok(other) => panic!("{other:?}"),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn every_name_stands_in_one_item() {
    let mut seen = std::collections::HashSet::new();
    for flag in flags::all() {
        assert!(flag.help.len() > 3 && !flag.help.ends_with('.'), "{:?}", flag.names);
        for name in flag.names {
            assert!(seen.insert(*name), "{name} stands in two items");
            assert!(Help.to_string().contains(&format!("-{name}")));
        }
    }
}

/// What `base/linking.jl` passes behind `-flavor darwin`: Julia 1.9 to 1.13, then 1.14.
#[test]
fn julias_own_lines() {
    let link = read(
        "-arch arm64 -undefined dynamic_lookup -platform_version macos 13.3.1 13.3 '' -dylib -o /d/jl_AbCdEf -all_load \
         /d/jl_XyZ '' -L/j/lib/julia -L/j/lib -ljulia -ljulia-internal",
    )
    .unwrap();
    assert_eq!(link.options.target, Some(Target::MACOS_AARCH64));
    assert_eq!(link.options.undefined, Undefined::Allow);
    assert_eq!(link.options.macho.platform_version, Some((0x000d_0301, 0x000d_0300)));
    // A temporary name does not show in the image.
    assert_eq!(link.options.macho.install_name, None);
    assert_eq!(link.output, Path::new("/d/jl_AbCdEf"));
    assert_eq!(link.options.search_paths, [Path::new("/j/lib/julia"), Path::new("/j/lib")]);
    let inputs: Vec<_> = link.inputs.iter().map(|input| input.source.clone()).collect();
    let wanted =
        [Source::Path("/d/jl_XyZ".into()), Source::Library("julia".into()), Source::Library("julia-internal".into())];
    assert_eq!(inputs, wanted);
    assert!(link.inputs.iter().all(|input| input.mode.whole_archive));

    let link = read(
        "-arch x86_64 -undefined dynamic_lookup -platform_version macos 11.0 13.3 -dylib -o out.dylib -force_load in \
         -syslibroot /j/lib/julia -L/j/lib -ljulia -ljulia-internal /j/libclang_rt.osx.a /j/libSystem.tbd",
    )
    .unwrap();
    assert_eq!(link.options.target, Some(Target::MACOS_X86_64));
    assert_eq!(link.options.macho.install_name.as_deref(), Some("out.dylib"));
    assert_eq!(link.options.sysroot.as_deref(), Some(Path::new("/j/lib/julia")));
    let whole: Vec<_> = link.inputs.iter().map(|input| input.mode.whole_archive).collect();
    assert_eq!(whole, [true, false, false, false, false]);
    assert_eq!(link.inputs.last(), Some(&Input::path("/j/libSystem.tbd")));
}

/// What follows an equals sign is a value where there can be one; what names exported symbols asks for them.
#[test]
fn values_may_follow_an_equals_sign() {
    let link = read("-dylib a.o --threads=3 --icf=all --color-diagnostics=never --error-limit=0 -lx=y").unwrap();
    assert_eq!(link.options.threads.map(|threads| threads.get()), Some(3));
    assert_eq!((link.show.color, link.show.error_limit), (Color::Never, None));
    assert_eq!(link.inputs.last().map(|input| input.source.clone()), Some(Source::Library("x=y".to_owned())));
    let link = read("-dylib a.o -exported_symbol _a -exported_symbol _b* --color-diagnostics").unwrap();
    assert_eq!((link.options.required_symbols, link.show.color), (vec!["_a".to_owned()], Color::Always));
    // Each directory once, and the last kind of image counts.
    let link = read("-bundle a.o -rpath /a -rpath /a -o x.bundle").unwrap();
    assert!(link.options.macho.bundle && link.show.remarks.len() == 1);
    assert_eq!(link.options.macho.install_name.as_deref(), Some("x.bundle"));
    assert!(!read("-bundle -dylib a.o").unwrap().options.macho.bundle);
}

use crate::Source;

#[test]
fn values_are_checked() {
    let cases = [
        ("-dylib -arch ppc a.o", "-arch: 'ppc' is not one of arm64, x86_64"),
        ("-dylib -undefined maybe a.o", "-undefined: 'maybe' is not one of"),
        ("-dylib -platform_version ios 13 13 a.o", "-platform_version: 'ios' is not macos"),
        ("-dylib -platform_version macos x 13 a.o", "-platform_version: 'x' is not a version"),
        ("-dylib a.o -platform_version macos 13", "-platform_version: a value is needed: SDK"),
        ("-dylib a.o -headerpad 1g", "-headerpad: '1g' is not a hexadecimal number"),
        ("a.o", "add -dylib"),
        ("-dylib", "no input"),
        ("-dylib a.o -framework Cocoa,_debug", "-framework: 'Cocoa,_debug' is not the name of a framework"),
        ("-dylib a.o -lazy-lfoo", "-lazy-l: not supported"),
        ("-dylib a.o -interposable", "-interposable: not supported"),
        ("-dylib --start-lib a.o --start-lib b.o", "--start-lib: these do not nest"),
        ("-dylib a.o --end-lib", "--end-lib: there is no --start-lib before it"),
        ("-dylib a.o --threads=0", "--threads: '0' is not a number from 1 to 4096"),
        ("-dylib a.o --threads", "--threads: '' is not a number from 1 to 4096"),
        ("-dylib a.o --error-limit=x", "--error-limit: 'x' is not a number"),
        ("-dylib a.o --color-diagnostics=maybe", "--color-diagnostics: 'maybe' is not one of"),
        ("-dylib a.o -sectalign __DATA __data 3", "-sectalign 0x3: a power of two"),
        ("-dylib a.o -sectalign __DATA __data x", "-sectalign: 'x' is not a hexadecimal number"),
        ("-dylib a.o -segprot __DATA rw r", "-segprot: 'r' is not the same as the one before"),
        ("-dylib a.o -segprot __DATA q q", "-segprot: 'q' is not letters of rwx"),
        ("-dylib a.o -segprot __LINKEDIT rw rw", "-segprot __LINKEDIT: the loader's tables are read"),
        ("-dylib a.o -add_empty_section __A_SEGMENT_TOO_LONG __x", "names of segments and sections have 1 to 16 bytes"),
        ("-dylib a.o -rename_segment __DATA ''", "-rename_segment: '' is not a name"),
        ("-dylib a.o -sub_library libx", "-sub_library libx: no library of this name is linked with"),
        ("-dylib a.o -exported_symbol _a -unexported_symbol _b", "cannot be used together"),
        ("-dylib a.o -instal_name x", "unknown option '-instal_name', did you mean '-install_name'?"),
        ("-dylib a.o -exported_symbols_list /no/such/file", "cannot read /no/such/file"),
    ];
    for (line, what) in cases {
        let problems = read(line).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(what)), "{line}: {problems:?}");
    }
}

#[test]
fn options_mean_what_they_say() {
    let link = read(
        "-dylib a.o -o libx.dylib -install_name @rpath/libx.dylib -current_version 1.2.3 -compatibility_version 1 -rpath \
         @loader_path -headerpad 0x40 -no_fixup_chains -adhoc_codesign -no_uuid -x -S -exported_symbol _jl_* -map m -w",
    )
    .unwrap();
    let macho = link.options.macho;
    assert_eq!(macho.install_name.as_deref(), Some("@rpath/libx.dylib"));
    assert_eq!((macho.current_version, macho.compatibility_version), (0x1_0203, 0x1_0000));
    assert_eq!((macho.rpath, macho.header_pad), (vec!["@loader_path".to_owned()], Some(0x40)));
    assert_eq!((macho.chained_fixups, macho.sign, macho.uuid), (Some(false), Some(true), false));
    assert!(macho.strip_locals && !macho.debug_map && !link.show.warnings && link.options.map);
    assert_eq!(macho.exports, Exports::Only(vec!["_jl_*".to_owned()]));
    assert_eq!(link.options.undefined, Undefined::Error);
}

/// As messages spell it; with one dash it is no library, either.
#[test]
fn limits_are_set_by_name() {
    let limits = read("-dylib a.o --limit=symbols=0x10 -limit=relocations=5").unwrap().options.limits;
    assert_eq!((limits.symbols, limits.relocations), (16, 5));
    for bad in ["symbols", "nothing=1", "symbols=many"] {
        let said = read(&format!("-dylib a.o --limit={bad}")).unwrap_err();
        assert!(said[0].contains("NAME=N, where NAME is one of output_size, symbols"), "{said:?}");
    }
}

/// What a library or archive is to the image.
#[test]
fn libraries_in_their_roles() {
    use crate::{LibraryRole, Mode};
    type Change = fn(&mut Mode);
    let cases: [(&str, Source<'static>, Change); 14] = [
        ("-weak-lx", Source::Library("x".into()), |mode| mode.role = LibraryRole::Weak),
        ("-reexport-lx", Source::Library("x".into()), |mode| mode.role = LibraryRole::Reexport),
        ("-upward-lx", Source::Library("x".into()), |mode| mode.role = LibraryRole::Upward),
        ("-needed-lx", Source::Library("x".into()), |mode| mode.needed = true),
        ("-hidden-lx", Source::Library("x".into()), |mode| mode.hidden = true),
        ("-weak_library x", Source::Path("x".into()), |mode| mode.role = LibraryRole::Weak),
        ("-reexport_library x", Source::Path("x".into()), |mode| mode.role = LibraryRole::Reexport),
        ("-upward_library x", Source::Path("x".into()), |mode| mode.role = LibraryRole::Upward),
        ("-needed_library x", Source::Path("x".into()), |mode| mode.needed = true),
        ("-load_hidden x", Source::Path("x".into()), |mode| mode.hidden = true),
        ("-framework x", Source::Framework("x".into()), |_| {}),
        ("-weak_framework x", Source::Framework("x".into()), |mode| mode.role = LibraryRole::Weak),
        ("-reexport_framework x", Source::Framework("x".into()), |mode| mode.role = LibraryRole::Reexport),
        ("-needed_framework x", Source::Framework("x".into()), |mode| mode.needed = true),
    ];
    for (option, source, change) in cases {
        let link = read(&format!("-dylib {option} -F/f -F /g y.o")).unwrap();
        let mut mode = Mode::default();
        change(&mut mode);
        assert_eq!(link.inputs, [Input { source, mode }, Input::path("y.o")], "{option}");
        assert_eq!(link.options.macho.framework_paths, [Path::new("/f"), Path::new("/g")]);
    }
}
