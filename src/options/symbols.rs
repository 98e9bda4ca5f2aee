//! Options about single symbols.

use crate::options::Target;

/// The value of a `--defsym`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SymbolValue {
    /// An absolute number.
    Number(u64),
    /// Another symbol, plus a number of bytes.
    Symbol(String, i64),
}

impl SymbolValue {
    /// What an expression means: `NUMBER`, `OTHER`, `OTHER+NUMBER` or `OTHER-NUMBER`, with numbers as C spells them (`read`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(number) = number(text) {
            return Some(Self::Number(number));
        }
        let Some(sign) = text.find(['+', '-']) else {
            return is_symbol(text).then(|| Self::Symbol(text.to_owned(), 0));
        };
        let (symbol, addend) = text.split_at_checked(sign)?;
        let symbol = symbol.trim_end();
        let negative = addend.starts_with('-');
        let addend = i64::try_from(number(addend.get(1..)?.trim_start())?).ok()?;
        is_symbol(symbol)
            .then(|| Self::Symbol(symbol.to_owned(), if negative { addend.wrapping_neg() } else { addend }))
    }
}

/// The number that `text` spells as C does: decimal, `0x` hexadecimal, `0b` binary, `0o` or a leading `0` octal.
pub(crate) fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8)
    } else if let Some(digits) = lower.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        (digits, 8)
    } else {
        (lower.as_str(), 10)
    };
    // `from_str_radix` takes a sign, which has no place here.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// Whether `name` can only be meant as a symbol: no number, not the location counter, no other expression.
pub(crate) fn is_symbol(name: &str) -> bool {
    let operator = |char: char| char.is_whitespace() || char.is_control() || "+-*/%&|^~!?:<>=(),;\"".contains(char);
    !name.is_empty() && name != "." && !name.starts_with(|char: char| char.is_ascii_digit()) && !name.contains(operator)
}

/// A symbol of which references mean another one (`--wrap`): those to `SYMBOL` mean `__wrap_SYMBOL`, and those to
/// `__real_SYMBOL` mean `SYMBOL`. Only references are concerned that are undefined in their own object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedSymbol {
    // With the underscore in front that names of C have on some targets.
    symbol: String,
    wrap: String,
    real: String,
}

impl WrappedSymbol {
    /// The symbol, called as in C.
    pub fn new(symbol: &str) -> Self {
        Self { symbol: format!("_{symbol}"), wrap: format!("___wrap_{symbol}"), real: format!("___real_{symbol}") }
    }

    /// The symbol's name, as in C.
    pub fn name(&self) -> &str {
        self.symbol.get(1..).unwrap_or_default()
    }

    /// Which names mean which others, as a target spells them.
    pub(crate) fn redirections(&self, target: Option<Target>) -> [(&[u8], &[u8]); 2] {
        let skip = usize::from(!target.is_some_and(crate::blob::has_underscores));
        let [symbol, wrap, real] =
            [&self.symbol, &self.wrap, &self.real].map(|name| name.as_bytes().get(skip..).unwrap_or_default());
        [(symbol, wrap), (real, symbol)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let read = ["0", "10", "0x10", "0XfF", "010", "0o17", "0b101", "18446744073709551615"]
            .map(|text| number(text).unwrap());
        assert_eq!(read, [0, 10, 16, 255, 8, 15, 5, u64::MAX]);
        for text in ["", "-1", "+1", "0x", "0x+1", "1k", " 1", "08", "18446744073709551616", "é"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn wrapped_names_are_spelled_as_the_target_has_them() {
        let wrapped = WrappedSymbol::new("f");
        let spelled = |target| {
            wrapped.redirections(target).map(|pair| {
                let (from, to) = (String::from_utf8_lossy(pair.0), String::from_utf8_lossy(pair.1));
                (from.into_owned(), to.into_owned())
            })
        };
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let plain = [pair("f", "__wrap_f"), pair("__real_f", "f")];
        assert_eq!(spelled(Some(Target::LINUX_X86_64)), plain);
        assert_eq!(spelled(None), plain);
        assert_eq!(spelled(Some(Target::WINDOWS_X86)), [pair("_f", "___wrap_f"), pair("___real_f", "_f")]);
        assert_eq!(wrapped.name(), "f");
    }
}
