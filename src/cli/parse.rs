//! From arguments to options with values, and on to a [`Command`].

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

use super::flag::{Flag, Given, Meaning, Takes, WINDOWS_FILES, one_dash};
use super::flags::{self, HELP, VERSION};
use super::problem::Problem;
use super::reading::{Link, Reading};
use super::{os, suggest};

/// What a command line asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Command {
    /// Say what the options are.
    Help,
    /// Say what the options of the darwin dialect are.
    DarwinHelp,
    /// Say which version this is.
    Version,
    /// Link.
    Link(Box<Link>),
}

/// Reads the arguments of the GNU dialect: those that follow the program's name and `-flavor`, response files expanded
/// ([`expand`](super::expand)). Reads no file but the version scripts and lists of symbols that they name.
///
/// # Errors
/// Everything that is wrong with them, in order; at least one problem.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Vec<Problem>> {
    let (words, mut problems) = words(arguments.into_iter());
    if let Some(format) = other_format(&words) {
        return Err(vec![format]);
    }
    let asks = |name| words.iter().any(|word| matches!(word, Word::Option(flag, _) if flag.names.contains(&name)));
    if asks(HELP) {
        return Ok(Command::Help);
    }
    if asks(VERSION) {
        return Ok(Command::Version);
    }
    let mut reading = Reading::default();
    for word in words {
        if let Err(problem) = read(&mut reading, word) {
            problems.push(problem);
        }
    }
    if reading.show.version && !reading.has_inputs() && problems.is_empty() {
        return Ok(Command::Version);
    }
    let link = reading.finish(&mut problems);
    if problems.is_empty() { Ok(Command::Link(Box::new(link))) } else { Err(problems) }
}

/// What was typed: an input's name, or an option with its value.
#[derive(Debug)]
enum Word {
    Input(OsString),
    Option(&'static Flag, Given),
}

fn read(reading: &mut Reading, word: Word) -> Result<(), Problem> {
    let (flag, given) = match word {
        Word::Input(path) => {
            reading.file(path);
            return Ok(());
        }
        Word::Option(flag, given) => (flag, given),
    };
    match flag.meaning {
        Meaning::Does(does) => does(reading, &given),
        Meaning::Sets(what, value) => {
            *what(reading) = value;
            Ok(())
        }
        Meaning::Ignored => {
            reading.show.ignored.push(format!("{}: {}", given.option, flag.help));
            Ok(())
        }
        Meaning::Refused => Err(Problem::Refused { option: given.option, instead: flag.help }),
    }
}

/// Reads `-z KEYWORD` or `-z KEYWORD=VALUE`.
pub(super) fn keyword(reading: &mut Reading, given: &Given) -> Result<(), Problem> {
    let text = given.text()?;
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some(flag) = flags::keywords().find(|flag| flag.names.contains(&name)) else {
        // GNU ld and LLD warn of keywords they do not know, for the sake of keywords to come.
        let few = reading.show.remarks.len() < SUGGESTED;
        let nearest = few.then(|| suggest::name(name, flags::keywords())).flatten();
        let nearest = nearest.map(|nearest| format!("; did you mean '-z {nearest}'?")).unwrap_or_default();
        reading.show.remarks.push(format!("unknown keyword '-z {text}' is ignored{nearest}"));
        return Ok(());
    };
    let option = format!("-z {name}");
    let given = Given { option, value: value.map(OsString::from) };
    match (flag.takes, &given.value) {
        (Takes::Nothing, Some(value)) => {
            Err(Problem::NeedlessValue { option: given.option.clone(), value: value.clone() })
        }
        (Takes::Value(metavar), None) => Err(Problem::NoValue { option: given.option, metavar }),
        _ => read(reading, Word::Option(flag, given)),
    }
}

/// The error for an image that is not ELF, if one is asked for: the other dialects' options would else all be unknown.
fn other_format(words: &[Word]) -> Option<Problem> {
    words.iter().find_map(|word| match word {
        Word::Option(flag, given) if flag.names == ["m"] => flags::other_format(given),
        _ => None,
    })
}

/// Finds the options in `arguments`, and their values. Empty arguments are nothing, as in LLD: Julia passes them.
fn words(arguments: impl Iterator<Item = OsString>) -> (Vec<Word>, Vec<Problem>) {
    let arguments: Vec<OsString> = arguments.collect();
    let windows = is_for_windows(&arguments);
    let mut arguments = arguments.into_iter().peekable();
    let mut words = Vec::new();
    let mut problems = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument.is_empty() {
            continue;
        }
        if os::bytes(&argument).first() != Some(&b'-') || argument.len() == 1 {
            words.push(Word::Input(argument));
            continue;
        }
        match option(argument, windows, &mut arguments) {
            Ok((flag, given)) => words.push(Word::Option(flag, given)),
            Err(mut problem) => {
                if problems.len() < SUGGESTED {
                    suggest_option(&mut problem);
                }
                problems.push(problem);
            }
        }
    }
    (words, problems)
}

/// Whether the arguments ask for an image for Windows (`-m`), which has a say in how others are read.
fn is_for_windows(arguments: &[OsString]) -> bool {
    let next = arguments.iter().skip(1);
    let apart = arguments.iter().zip(next).any(|(option, value)| option == "-m" && flags::is_windows(value));
    let joined = |argument: &OsString| {
        let text = argument.to_str().and_then(|text| text.strip_prefix("-m"));
        text.is_some_and(|value| flags::is_windows(OsStr::new(value)))
    };
    apart || arguments.iter().any(joined)
}

/// The number of mistakes for which the option that was probably meant is looked for: a response file may hold millions,
/// and nobody reads on.
const SUGGESTED: usize = 20;

fn suggest_option(problem: &mut Problem) {
    if let Problem::Unknown { argument, nearest } = problem {
        let typed = os::bytes(argument).split(|byte| *byte == b'=').next().unwrap_or_default();
        *nearest = suggest::nearest(String::from_utf8_lossy(typed).trim_start_matches('-'), flags::all());
    }
}

/// The option that `argument` is, and its value, which may be the next of `arguments`.
fn option(
    argument: OsString,
    windows: bool,
    arguments: &mut Peekable<impl Iterator<Item = OsString>>,
) -> Result<(&'static Flag, Given), Problem> {
    let Some(Match { flag, option, joined }) = find(&argument, windows) else {
        return Err(Problem::Unknown { argument, nearest: None });
    };
    let value = match (flag.takes, joined) {
        (Takes::Nothing, Some(value)) => return Err(Problem::NeedlessValue { option, value }),
        (Takes::Nothing | Takes::Optional(_), None) => None,
        (Takes::Number(_), None) => {
            arguments.next_if(|next| !next.is_empty() && os::bytes(next).iter().all(u8::is_ascii_digit))
        }
        (Takes::Value(_) | Takes::Optional(_) | Takes::Number(_) | Takes::Joined(_), Some(value)) => Some(value),
        (Takes::Value(metavar), None) => match arguments.next() {
            Some(value) => Some(value),
            None => return Err(Problem::NoValue { option, metavar }),
        },
        (Takes::Joined(metavar), None) => return Err(Problem::NoValue { option, metavar }),
    };
    Ok((flag, Given { option, value }))
}

/// An option found in an argument.
struct Match {
    flag: &'static Flag,
    /// The option as typed.
    option: String,
    /// The value that is part of the argument.
    joined: Option<OsString>,
}

impl Match {
    /// An option whose name fills the first `length` bytes of `argument`, all ASCII, and `skip` bytes more.
    fn new(flag: &'static Flag, argument: &OsString, length: usize, skip: Option<usize>) -> Self {
        let option = String::from_utf8_lossy(os::bytes(argument).get(..length).unwrap_or_default()).into_owned();
        Self { flag, option, joined: skip.map(|skip| os::rest(argument, length + skip)) }
    }
}

/// The option whose name stands in `argument`, which begins with a dash and has more than that.
///
/// Whole names go before letters with a joined value: `-entry=f` is `--entry`, `-entries` is `-e`.
fn find(argument: &OsString, windows: bool) -> Option<Match> {
    let bytes = os::bytes(argument);
    let dashes = if bytes.starts_with(b"--") { 2 } else { 1 };
    let name = bytes.get(dashes..)?;
    let equals = name.iter().position(|byte| *byte == b'=');
    let whole = std::str::from_utf8(name.get(..equals.unwrap_or(name.len()))?).unwrap_or_default();
    let letter = |name: &str| name.chars().count() == 1;
    let may_stand = |name: &str| match dashes {
        1 => one_dash(name) || windows && WINDOWS_FILES.contains(&name),
        _ => !letter(name),
    };

    let named = |flag: &&Flag| flag.names.iter().any(|name| *name == whole && !letter(name) && may_stand(name));
    if let Some(flag) = flags::all().find(named).filter(|flag| !matches!(flag.takes, Takes::Joined(_))) {
        return Some(Match::new(flag, argument, dashes + whole.len(), equals.map(|_| 1)));
    }

    let prefix = |flag: &'static Flag| {
        let names = flag.names.iter().filter(|known| may_stand(known) && name.starts_with(known.as_bytes()));
        names.map(|known| known.len()).max().filter(|_| matches!(flag.takes, Takes::Joined(_))).map(|len| (flag, len))
    };
    if let Some((flag, length)) = flags::all().find_map(prefix) {
        return Some(Match::new(flag, argument, dashes + length, (name.len() > length).then_some(0)));
    }

    if dashes == 2 {
        return None;
    }
    let first = name.get(..1)?;
    let flag = flags::all().find(|flag| flag.names.iter().any(|name| name.as_bytes() == first))?;
    match (flag.takes, name.len()) {
        (_, 1) => Some(Match::new(flag, argument, 2, None)),
        // Letters without value do not run together: -sx is not -s -x.
        (Takes::Nothing, _) => None,
        _ => Some(Match::new(flag, argument, 2, Some(0))),
    }
}
