//! `julia/PkgLD.jl` agrees with the header, for want of a Julia that could be installed: its syntax, the functions it calls with
//! what they take and return, the structs, the numbers.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The header without comments and what is for the preprocessor, its white space single.
fn header() -> String {
    let header = fs::read_to_string(root().join("capi/include/pkgld.h")).unwrap();
    let lines = header.lines().filter(|line| !line.starts_with('#')).map(|line| line.split("//").next().unwrap());
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// What a type of C is in Julia.
fn julia(c: &str) -> &'static str {
    let plain = c.replace("const ", "").replace("struct ", "");
    match plain.trim() {
        "pkgld_status" | "int32_t" => "Int32",
        "uint32_t" => "UInt32",
        "uint64_t" => "UInt64",
        "size_t" => "Csize_t",
        "ptrdiff_t" => "Cptrdiff_t",
        "bool" => "Bool",
        "pkgld_text_t" => "TextView",
        "pkgld_problem_t *" => "Ptr{ProblemView}",
        "char *" | "uint8_t *" => "Ptr{UInt8}",
        "char **" => "Ptr{Ptr{UInt8}}",
        "uint32_t *" => "Ptr{UInt32}",
        "uint64_t *" => "Ptr{UInt64}",
        "void *" | "pkgld_notify_t" => "Ptr{Cvoid}",
        handle if handle.starts_with("pkgld_") && handle.ends_with("_t *") => "Ptr{Cvoid}",
        handle if handle.starts_with("pkgld_") && handle.ends_with("_t **") => "Ptr{Ptr{Cvoid}}",
        other => panic!("{other}: what is that in Julia?"),
    }
}

/// A declaration such as `const char *path` without its name.
fn type_of(declaration: &str) -> &str {
    declaration.trim().trim_end_matches(|c: char| c.is_alphanumeric() || c == '_')
}

/// The functions of the header: result and arguments, as Julia has them.
fn functions(header: &str) -> BTreeMap<String, Vec<&'static str>> {
    let mut functions = BTreeMap::new();
    for declaration in header.split([';', '{', '}']) {
        let Some((head, arguments)) = declaration.trim().split_once('(') else { continue };
        let name = head.rsplit([' ', '*']).next().unwrap();
        if !name.starts_with("pkgld_") || head.contains("typedef") {
            continue;
        }
        let mut types = vec![julia(head.strip_suffix(name).unwrap())];
        let arguments = arguments.strip_suffix(')').unwrap();
        if arguments != "void" {
            types.extend(arguments.split(", ").map(|argument| julia(type_of(argument))));
        }
        functions.insert(name.to_owned(), types);
    }
    functions
}

/// The types of a struct's fields, as Julia has them.
fn fields(header: &str, name: &str) -> Vec<&'static str> {
    let (_, rest) = header.split_once(&format!("typedef struct {name} {{ ")).expect(name);
    let (body, _) = rest.split_once(" }").unwrap();
    let fields = body.split(';').map(str::trim).filter(|field| !field.is_empty());
    fields.map(|field| julia(type_of(field))).collect()
}

/// The numbers that begin with a prefix, by the rest of their names in small letters.
fn numbers(prefix: &str) -> BTreeMap<String, String> {
    let header = fs::read_to_string(root().join("capi/include/pkgld.h")).unwrap();
    let define = format!("#define {prefix}");
    let lines = header.lines().filter_map(|line| line.strip_prefix(&define)?.split_once(' '));
    lines.map(|(name, number)| (name.to_lowercase(), number.to_owned())).collect()
}

/// What `glue.py` tells of a file.
#[derive(Debug, Default)]
struct Facts {
    errors: Vec<String>,
    calls: Vec<(String, usize, Vec<String>)>,
    structs: BTreeMap<String, Vec<String>>,
    tables: BTreeMap<String, BTreeMap<String, String>>,
    names: BTreeMap<String, BTreeSet<String>>,
}

fn facts(file: &Path) -> Facts {
    let python = root().join("target/python/bin/python");
    let script = root().join("capi/tests/glue.py");
    let output = Command::new(&python).arg(script).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}: see tests/install", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut facts = Facts::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let list = |types: &str| types.split('|').map(str::to_owned).collect::<Vec<_>>();
        match *words {
            ["call", _, function, values, types] => {
                facts.calls.push((function.to_owned(), values.parse().unwrap(), list(types)));
            }
            ["struct", name, types] => drop(facts.structs.insert(name.to_owned(), list(types))),
            ["table", name, entries] => {
                let entries = entries.split('|').map(|entry| entry.split_once('=').unwrap());
                let entries = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                facts.tables.insert(name.to_owned(), entries);
            }
            ["names", name, names] => {
                let names = names.split('|').map(|name| name.trim_start_matches(':').to_owned()).collect();
                facts.names.insert(name.to_owned(), names);
            }
            _ => facts.errors.push(line.to_owned()),
        }
    }
    facts
}

#[test]
#[ignore = "needs the package python3-venv, and tree-sitter-julia from PyPI"]
fn glue_agrees_with_the_header() {
    let file = root().join("julia/PkgLD.jl");
    let (facts, header) = (facts(&file), header());
    assert_eq!(facts.errors, [""; 0], "the syntax");

    let functions = functions(&header);
    assert!(functions.len() > 30, "{functions:?}");
    let mut called = BTreeSet::new();
    for (function, values, types) in &facts.calls {
        assert_eq!(*values, types.len() - 1, "{function}: arguments and their types");
        // `symbol(:name)`, `Libdl.dlsym(handle,:name)`; else `:name`, a function of Julia itself.
        let Some(name) = function.strip_suffix(')').map(|call| call.rsplit(':').next().unwrap()) else {
            assert!(function.starts_with(":jl_"), "{function}");
            continue;
        };
        let declared = functions.get(name).unwrap_or_else(|| panic!("{name} is not in the header"));
        assert_eq!(types, declared, "{name}");
        called.insert(name.to_owned());
    }
    assert!(called.len() > 25, "{called:?}");
    // The functions that a library is asked for when it is loaded.
    assert_eq!(facts.names["FUNCTIONS"], called);

    for (c, name) in [("pkgld_text_t", "TextView"), ("pkgld_problem_t", "ProblemView")] {
        assert_eq!(facts.structs[name], fields(&header, c), "{name}");
    }
    assert_eq!(facts.tables["TARGETS"], numbers("PKGLD_TARGET_"));
    assert_eq!(facts.tables["OPTIONS"], numbers("PKGLD_OPTION_"));
    let text = fs::read_to_string(&file).unwrap();
    for (name, of) in [("ABI_VERSION", "PKGLD_ABI_"), ("WHOLE_ARCHIVE", "PKGLD_WHOLE_"), ("READ_ONLY", "PKGLD_READ_")] {
        let number = numbers(of).into_values().next().unwrap();
        assert!(text.contains(&format!("const {name} = {number}\n")), "{name} is {number}");
    }
}

/// The comparison notices what it is for.
#[test]
#[ignore = "needs the package python3-venv, and tree-sitter-julia from PyPI"]
fn mistakes_in_glue_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.jl");
    fs::write(&file, "f(x) = ccall(symbol(:pkgld_version), Int32, (Ptr{UInt8}, Csize_t), x)\nfunction g(\n").unwrap();
    let facts = facts(&file);
    assert!(!facts.errors.is_empty());
    let types = ["Int32", "Ptr{UInt8}", "Csize_t"].map(str::to_owned).to_vec();
    assert_eq!(facts.calls, [("symbol(:pkgld_version)".to_owned(), 1, types.clone())]);
    assert_ne!(types, functions(&header())["pkgld_version"]);
}
