//! Checks of one image by itself: whether loader, unwinder and debuggers can use it as its headers say.

use crate::exidx;
use crate::image::Image;
use crate::rules::{Check, Finding};
use crate::unwind;

mod dynamic;
mod hashes;
mod sections;
mod segments;
mod symbols;

/// All faults of an image that can be seen without knowing what it was made from.
pub fn lint(image: &Image<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    segments::lint(image, &mut findings);
    sections::lint(image, &mut findings);
    dynamic::lint(image, &mut findings);
    hashes::lint(image, &mut findings);
    symbols::lint(image, &mut findings);
    if let Err(error) = unwind::lint(image, &mut findings) {
        findings.push(Finding::new(Check::Unwind, ".eh_frame", "readable", error.0));
    }
    if let Err(error) = exidx::lint(image, &mut findings) {
        findings.push(Finding::new(Check::Unwind, ".ARM.exidx", "readable", error.0));
    }
    findings
}

/// Collects findings of one kind.
struct Faults<'f> {
    check: Check,
    findings: &'f mut Vec<Finding>,
}

impl<'f> Faults<'f> {
    fn new(check: Check, findings: &'f mut Vec<Finding>) -> Self {
        Faults { check, findings }
    }

    fn add(&mut self, subject: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) {
        self.findings.push(Finding::new(self.check, subject, expected, found));
    }

    /// Adds a finding unless `found` is what is expected.
    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, subject: impl Into<String>, expected: T, found: T) {
        if expected != found {
            self.add(subject, format!("{expected:x?}"), format!("{found:x?}"));
        }
    }
}
