//! The command: `pkgld-differ [options] REFERENCE.so OURS.so`, or one library to check it alone.

use std::process::ExitCode;

use pkgld_differ::check::check_against_inputs;
use pkgld_differ::compare::compare;
use pkgld_differ::elf::{Error, Result};
use pkgld_differ::image::Image;
use pkgld_differ::inputs::Inputs;
use pkgld_differ::lint::lint;
use pkgld_differ::rules::{self, Report, Rule};

const USAGE: &str = "\
usage: pkgld-differ [options] REFERENCE.so OURS.so     compare two libraries
       pkgld-differ [options] OURS.so                  check one library alone
  --inputs FILE   an object or archive that was linked whole; may be repeated, in link order
  --lazy FILE     an archive from which only needed members were linked
  --rule NAME     allow what the rule allows; --rules lists them
exit status: 0 equal or without fault, 1 different or with faults, 2 not compared";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("pkgld-differ: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let (mut whole, mut lazy, mut chosen, mut libraries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| Error(format!("{argument} needs a value\n{USAGE}")));
        match argument.as_str() {
            "--inputs" => whole.push(read(value()?)?),
            "--lazy" => lazy.push(read(value()?)?),
            "--rule" => chosen.push(rule(&value()?)?),
            "--rules" => {
                for rule in rules::ALL {
                    println!("{}: {}", rule.name, rule.reason);
                }
                return Ok(true);
            }
            "--help" => {
                println!("{USAGE}");
                return Ok(true);
            }
            other if other.starts_with('-') => return Err(Error(format!("unknown option {other}\n{USAGE}"))),
            _ => libraries.push(read(argument)?),
        }
    }
    let borrowed: Vec<(String, &[u8])> = whole.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
    let lazy: Vec<(String, &[u8])> = lazy.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
    let inputs = if borrowed.is_empty() { None } else { Some(Inputs::parse(&borrowed, &lazy)?) };
    let images = libraries
        .iter()
        .map(|(name, bytes)| Image::parse(bytes).map_err(|error| Error(format!("{name}: {error}"))))
        .collect::<Result<Vec<_>>>()?;
    let report = match &images[..] {
        [ours] => {
            let mut findings = lint(ours);
            let mut counts = Default::default();
            if let Some(inputs) = &inputs {
                let checked = check_against_inputs(ours, inputs);
                findings.extend(checked.findings);
                counts = checked.counts;
            }
            Report::new(findings, counts, &chosen)
        }
        [reference, ours] => compare(reference, ours, inputs.as_ref(), &chosen),
        _ => return Err(Error(USAGE.to_string())),
    };
    print!("{report}");
    Ok(report.is_equal())
}

fn read(name: String) -> Result<(String, Vec<u8>)> {
    let bytes = std::fs::read(&name).map_err(|error| Error(format!("{name}: {error}")))?;
    Ok((name, bytes))
}

fn rule(name: &str) -> Result<Rule> {
    let known = rules::ALL.iter().find(|rule| rule.name == name);
    known.copied().ok_or_else(|| Error(format!("unknown rule {name}: --rules lists them")))
}
