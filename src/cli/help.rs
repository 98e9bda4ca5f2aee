//! The help text, made from the options' data.

use std::fmt::{self, Display, Formatter};

use super::flag::{Flag, Takes, one_dash};
use super::flags::{GROUPS, KEYWORDS};

/// The text that `--help` prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Help;

/// The width of a line, in characters.
const WIDTH: usize = 100;
/// Where the sentence about an option begins.
const COLUMN: usize = 30;

const OPENING: &str = "\
Usage: pkgld [-flavor gnu] OPTION|FILE ...

Links objects, archives and shared libraries to a shared library: ELF for Linux and FreeBSD, PE for Windows (-m i386pep, \
i386pe, arm64pe); for macOS see 'pkgld -flavor darwin --help'. The program takes the place of LLD: it is called as \
ld.lld, ld, lld or pkgld, with the same options. Options of several letters \
take one dash or two (those in 'o' take two); '--option VALUE' is '--option=VALUE'. @FILE stands for the arguments in \
FILE. Empty arguments are ignored.";

impl Display for Help {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, paragraph) in OPENING.split('\n').enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            wrapped(f, paragraph, 0)?;
        }
        writeln!(f)?;
        for group in GROUPS {
            writeln!(f)?;
            wrapped(f, &format!("{}:", group.title), 0)?;
            writeln!(f)?;
            for flag in group.flags {
                item(f, flag, &|name| if name.len() == 1 || written_with_one_dash(name) { "-" } else { "--" })?;
            }
        }
        for group in KEYWORDS {
            writeln!(f, "\n{}:", group.title)?;
            for flag in group.flags {
                item(f, flag, &|_| "")?;
            }
        }
        #[cfg(feature = "inspect")]
        writeln!(f, "\nWhat is in an image or an archive: pkgld inspect --help")?;
        // Build systems (libtool) look for this line to learn whether ELF is linked.
        writeln!(f, "\npkgld: supported targets: elf")
    }
}

/// Names that are always seen with one dash, though two will do.
fn written_with_one_dash(name: &str) -> bool {
    let usual =
        ["shared", "soname", "rpath", "init", "fini", "dn", "dy", "dc", "dp", "dT", "static", "plugin", "mllvm"];
    one_dash(name) && (name.starts_with(|first: char| first.is_ascii_uppercase()) || usual.contains(&name))
}

/// One option: its names, and in the second column the sentence about it.
fn item(f: &mut Formatter<'_>, flag: &Flag, dashes: &dyn Fn(&str) -> &'static str) -> fmt::Result {
    let names: Vec<String> = flag.names.iter().map(|name| named(name, flag.takes, dashes(name))).collect();
    let names = format!("  {}", names.join(", "));
    let length = wrapped(f, &names, 4)?;
    if length + 2 > COLUMN {
        writeln!(f)?;
        write!(f, "{:COLUMN$}", "")?;
    } else {
        write!(f, "{:1$}", "", COLUMN - length)?;
    }
    wrapped(f, flag.help, COLUMN)?;
    writeln!(f)
}

fn named(name: &str, takes: Takes, dashes: &str) -> String {
    match takes {
        Takes::Nothing => format!("{dashes}{name}"),
        Takes::Value(value) if name.len() == 1 => format!("{dashes}{name} {value}"),
        Takes::Value(value) => format!("{dashes}{name}={value}"),
        Takes::Optional(value) | Takes::Number(value) => format!("{dashes}{name}[={value}]"),
        Takes::Joined(value) => format!("{dashes}{name}{value}"),
    }
}

/// Writes `text` in lines of at most [`WIDTH`] characters, of which the first begins where the text stands and the
/// others after `indent` spaces. Returns the length of the last line.
fn wrapped(f: &mut Formatter<'_>, text: &str, indent: usize) -> Result<usize, fmt::Error> {
    let body = text.trim_start();
    let lead = text.len() - body.len();
    write!(f, "{:lead$}", "")?;
    let start = if lead > 0 { lead } else { indent };
    let mut at = start;
    for (index, word) in body.split(' ').enumerate() {
        let length = word.chars().count();
        if index == 0 {
            f.write_str(word)?;
            at += length;
        } else if at + 1 + length > WIDTH {
            write!(f, "\n{:indent$}{word}", "")?;
            at = indent + length;
        } else {
            write!(f, " {word}")?;
            at += 1 + length;
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::super::flags;
    use super::*;

    #[test]
    fn every_option_is_in_the_help_and_no_line_is_too_long() {
        let text = Help.to_string();
        for flag in flags::all().chain(flags::keywords()) {
            for name in flag.names {
                let found = text.match_indices(name).any(|(at, _)| {
                    let before = text.get(..at).and_then(|before| before.chars().last());
                    let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
                    before.is_none_or(|char| " -".contains(char))
                        && after.is_none_or(|char| !char.is_alphanumeric() || flag.takes == Takes::Joined("LEVEL"))
                });
                assert!(found, "{name}");
            }
        }
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}
