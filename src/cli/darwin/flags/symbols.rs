//! Options about symbols.

use super::does;
use crate::SymbolValue;
use crate::cli::darwin::{Flag, list};
pub(super) const SYMBOLS: &[Flag] = &[
    does(
        &["undefined"],
        &["TREATMENT"],
        "symbols that nothing defines are an error (error, the default), a warning (warning), or left to the loader (dynamic_lookup, suppress)",
        |darwin, given| {
            let (report, warns) = match given.text()? {
                "error" => (true, false),
                "warning" => (true, true),
                "dynamic_lookup" | "suppress" => (false, false),
                _ => return Err(given.bad(0, "one of error, warning, suppress, dynamic_lookup")),
            };
            (darwin.reading.report_undefined, darwin.reading.undefined_warns) = (report, warns);
            Ok(())
        },
    ),
    does(&["u"], &["SYMBOL"], "search archives for SYMBOL", |darwin, given| {
        darwin.reading.options.required_symbols.push(given.text()?.to_owned());
        Ok(())
    }),
    does(&["U"], &["SYMBOL"], "leave SYMBOL to the loader if nothing defines it", |darwin, given| {
        let name = given.name(0)?;
        darwin.reading.options.macho.dynamic_lookup.push(name);
        Ok(())
    }),
    does(&["no_exported_symbols"], &[], "export no symbols", |darwin, _| {
        darwin.exported.get_or_insert_default();
        Ok(())
    }),
    does(&["alias"], &["SYMBOL", "NAME"], "define NAME as SYMBOL", |darwin, given| {
        let symbol = given.text()?.to_owned();
        let name = given.value(1).to_str().filter(|name| !name.is_empty()).ok_or_else(|| given.bad(1, "a name"))?;
        darwin.reading.options.defined_symbols.push((name.to_owned(), SymbolValue::Symbol(symbol, 0)));
        Ok(())
    }),
    does(&["alias_list"], &["FILE"], "define the second name of each line of FILE as the first", |darwin, given| {
        for line in list(given)? {
            let names: Vec<&str> = line.split_whitespace().collect();
            let [symbol, name] = names[..] else {
                return Err(given.bad(0, &format!("a list of two names a line: it has the line '{line}'")));
            };
            let value = SymbolValue::Symbol(symbol.to_owned(), 0);
            darwin.reading.options.defined_symbols.push((name.to_owned(), value));
        }
        Ok(())
    }),
    does(&["exported_symbol"], &["PATTERN"], "export only symbols that a PATTERN fits", |darwin, given| {
        let pattern = given.text()?.to_owned();
        darwin.exported.get_or_insert_default().push(pattern);
        Ok(())
    }),
    does(&["exported_symbols_list"], &["FILE"], "export only symbols that a pattern in FILE fits", |darwin, given| {
        let patterns = list(given)?;
        darwin.exported.get_or_insert_default().extend(patterns);
        Ok(())
    }),
    does(&["unexported_symbol"], &["PATTERN"], "do not export symbols that a PATTERN fits", |darwin, given| {
        let pattern = given.text()?.to_owned();
        darwin.unexported.get_or_insert_default().push(pattern);
        Ok(())
    }),
    does(
        &["unexported_symbols_list"],
        &["FILE"],
        "do not export symbols that a pattern in FILE fits",
        |darwin, given| {
            let patterns = list(given)?;
            darwin.unexported.get_or_insert_default().extend(patterns);
            Ok(())
        },
    ),
];
