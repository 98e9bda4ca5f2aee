//! How symbols are resolved.

use super::super::flag::{Flag, Given, Group, Takes};
use super::super::problem::Problem;
use crate::options::is_symbol;
use crate::{SymbolList, SymbolValue, VersionScript, WrappedSymbol};

pub(super) const GROUP: Group = Group {
    title: "Symbols",
    flags: &[
        Flag::on(
            &["no-undefined"],
            "fail if a symbol is defined nowhere, as -z defs does (default: leave it to the loader)",
            |reading| &mut reading.report_undefined,
        ),
        Flag::does(
            &["unresolved-symbols"],
            Takes::Value("POLICY"),
            "about undefined symbols: ignore-all, ignore-in-object-files, ignore-in-shared-libs or report-all",
            |reading, given| {
                // What shared libraries leave undefined is never looked at.
                reading.report_undefined = given.choice(&[
                    ("ignore-all", false),
                    ("ignore-in-object-files", false),
                    ("ignore-in-shared-libs", true),
                    ("report-all", true),
                ])?;
                Ok(())
            },
        ),
        Flag::on(&["warn-unresolved-symbols"], "where undefined symbols are reported, make it a warning", |reading| {
            &mut reading.undefined_warns
        }),
        Flag::off(
            &["error-unresolved-symbols"],
            "where undefined symbols are reported, make it an error (default)",
            |reading| &mut reading.undefined_warns,
        ),
        Flag::on(&["allow-multiple-definition"], "take the first of several definitions (default: fail)", |reading| {
            &mut reading.options.allow_multiple_definition
        }),
        Flag::off(&["no-allow-multiple-definition"], "undo --allow-multiple-definition", |reading| {
            &mut reading.options.allow_multiple_definition
        }),
        Flag::on(
            &["warn-common"],
            "warn of common symbols of several objects, and of those that give way to definitions",
            |reading| &mut reading.options.warn_common,
        ),
        Flag::off(&["no-warn-common"], "undo --warn-common", |reading| &mut reading.options.warn_common),
        Flag::on(&["noinhibit-exec"], "as --warn-unresolved-symbols; other errors stay what they are", |reading| {
            &mut reading.undefined_warns
        }),
        Flag::off(
            &["no-gnu-unique"],
            "let symbols of which a process has one definition (STB_GNU_UNIQUE) be ordinary ones",
            |reading| &mut reading.options.elf.gnu_unique,
        ),
        Flag::on(&["gnu-unique"], "keep them (default)", |reading| &mut reading.options.elf.gnu_unique),
        Flag::does(
            &["u", "undefined"],
            Takes::Value("SYMBOL"),
            "take SYMBOL as referenced, so that archives are searched for it",
            |reading, given| {
                reading.options.required_symbols.push(given.name()?);
                Ok(())
            },
        ),
        Flag::does(
            &["require-defined"],
            Takes::Value("SYMBOL"),
            "as -u, and fail if nothing in the image defines SYMBOL",
            |reading, given| {
                reading.options.required_definitions.push(given.name()?);
                Ok(())
            },
        ),
        Flag::does(
            &["undefined-glob"],
            Takes::Value("PATTERN"),
            "link the members of archives that define what PATTERN fits",
            |reading, given| {
                let added = reading.options.required_patterns.add(&given.name()?);
                added.map_err(|_| given.bad("a name or a pattern"))
            },
        ),
        Flag::does(
            &["wrap"],
            Takes::Value("SYMBOL"),
            "have undefined references to SYMBOL mean __wrap_SYMBOL, and those to __real_SYMBOL mean SYMBOL",
            |reading, given| {
                reading.options.wrapped_symbols.push(WrappedSymbol::new(&given.name()?));
                Ok(())
            },
        ),
        Flag::does(
            &["defsym"],
            Takes::Value("SYMBOL=VALUE"),
            "define SYMBOL as VALUE: a number, another symbol, or that plus or minus a number",
            |reading, given| {
                reading.options.defined_symbols.push(defsym(given)?);
                Ok(())
            },
        ),
        Flag::does(
            &["exclude-libs"],
            Takes::Value("NAME,…"),
            "export nothing that the archives NAME define, or any archive if NAME is ALL",
            |reading, given| {
                let names = given.text()?.split([',', ':']).filter(|name| !name.is_empty()).map(str::to_owned);
                reading.options.exclude_libs.extend(names);
                Ok(())
            },
        ),
        Flag::does(
            &["export-dynamic-symbol"],
            Takes::Value("PATTERN"),
            "let other libraries preempt the symbols that PATTERN fits, whatever -Bsymbolic says of others",
            |reading, given| {
                let added = reading.options.elf.export_dynamic_symbols.add(&given.name()?);
                added.map_err(|_| given.bad("a name or a pattern"))
            },
        ),
        Flag::does(
            &["export-dynamic-symbol-list"],
            Takes::Value("FILE"),
            "as --export-dynamic-symbol, for the patterns in FILE: { PATTERN; ... };",
            |reading, given| {
                let list = given.contents(SymbolList::parse)?;
                reading.options.elf.export_dynamic_symbols.extend(list);
                Ok(())
            },
        ),
        Flag::does(
            &["dynamic-list"],
            Takes::Value("FILE"),
            "let other libraries preempt the symbols in FILE, { PATTERN; ... };, and bind the others as -Bsymbolic does",
            |reading, given| {
                let list = given.contents(SymbolList::parse)?;
                reading.options.elf.dynamic_list.get_or_insert_default().extend(list);
                Ok(())
            },
        ),
        Flag::on(&["dynamic-list-data"], "as a --dynamic-list that names all data", |reading| {
            &mut reading.options.elf.dynamic_list_data
        }),
        Flag::does(
            &["version-script"],
            Takes::Value("FILE"),
            "export the symbols that FILE, found as it is or in a directory of -L, names, in its versions, and make local what it says",
            |reading, given| reading.version_script(given),
        ),
        Flag::does(
            &["retain-symbols-file"],
            Takes::Value("FILE"),
            "export the symbols that FILE names, one in each line, and no others",
            |reading, given| {
                reading.options.elf.version_script.extend(given.contents(VersionScript::retaining)?);
                reading.version_script.get_or_insert_with(|| given.clone());
                Ok(())
            },
        ),
        Flag::on(&["undefined-version"], "let a version script name symbols that nothing defines", |reading| {
            &mut reading.options.elf.undefined_version
        }),
        Flag::off(
            &["no-undefined-version"],
            "fail if a version script names a symbol that nothing defines (default)",
            |reading| &mut reading.options.elf.undefined_version,
        ),
    ],
};

/// `SYMBOL=NUMBER`, `SYMBOL=OTHER`, `SYMBOL=OTHER+NUMBER` or `SYMBOL=OTHER-NUMBER`.
fn defsym(given: &Given) -> Result<(String, SymbolValue), Problem> {
    let expected = "SYMBOL=NUMBER, SYMBOL=OTHER, SYMBOL=OTHER+NUMBER or SYMBOL=OTHER-NUMBER";
    let parts = given.text()?.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    let (name, value) = parts.ok_or_else(|| given.bad(expected))?;
    let value = SymbolValue::parse(value).filter(|_| is_symbol(name)).ok_or_else(|| given.bad(expected))?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defined_symbols() {
        let read = |value: &str| defsym(&Given { option: "--defsym".into(), value: Some(value.into()) });
        let symbol = |name: &str, addend| SymbolValue::Symbol(name.to_owned(), addend);
        assert_eq!(read("a=0x10").unwrap(), ("a".to_owned(), SymbolValue::Number(16)));
        assert_eq!(read("a = b").unwrap(), ("a".to_owned(), symbol("b", 0)));
        assert_eq!(read("a=b+8").unwrap().1, symbol("b", 8));
        assert_eq!(read("a=b - 0x8").unwrap().1, symbol("b", -8));
        assert_eq!(read("ä=jl_β#1").unwrap(), ("ä".to_owned(), symbol("jl_β#1", 0)));
        for value in
            ["a", "a=", "=b", "1=b", "a=.", "a=b+c", "a=b*2", "a=-1", "a=b+", "a=b+9223372036854775808", "a=1+2"]
        {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
