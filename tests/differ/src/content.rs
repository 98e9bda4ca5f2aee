//! Compares the initial bytes of two images, symbol by symbol, without the inputs: every address in them is decoded and named.
//!
//! Addresses without a symbol (constants, strings, jump tables) are compared by what lies there. How far such a thing reaches
//! is not written anywhere: it ends where a symbol starts, a section ends, or something else is referred to.

use std::collections::{BTreeSet, HashSet};

use object::elf;

use crate::arch;
use crate::elf::Place;
use crate::fixups::{self, Meaning};
use crate::image::Image;
use crate::rules::{Check, Finding, Side};
use crate::symbolic::{Key, Named, Symbolic};

/// The comparison of the contents of two images.
pub struct Contents<'c, 'r, 'a> {
    pub(crate) reference: &'c Symbolic<'r, 'a>,
    pub(crate) ours: &'c Symbolic<'r, 'a>,
    reference_anchors: BTreeSet<u64>,
    ours_anchors: BTreeSet<u64>,
    /// Whether both images were checked against their inputs, byte by byte and field by field: where there is no decoder for
    /// the CPU's code, that has to do.
    checked: bool,
    seen: HashSet<(u64, u64)>,
    queue: Vec<(u64, u64)>,
    /// What differs.
    pub findings: Vec<Finding>,
    /// Bytes compared.
    pub bytes: usize,
}

/// A stretch of both images that should mean the same.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'s> {
    pub(crate) reference: u64,
    pub(crate) ours: u64,
    pub(crate) size: u64,
    pub(crate) subject: &'s str,
    /// Whether `size` is a bound and not the size of a symbol: padding may follow.
    pub(crate) open: bool,
}

impl<'c, 'r, 'a> Contents<'c, 'r, 'a> {
    /// Prepares the comparison. `checked`: whether both images were checked against their inputs.
    pub fn new(reference: &'c Symbolic<'r, 'a>, ours: &'c Symbolic<'r, 'a>, checked: bool) -> Self {
        let checked = checked && !arch::has_decoder(reference.image.file.machine);
        Contents {
            reference,
            ours,
            reference_anchors: anchors(reference),
            ours_anchors: anchors(ours),
            checked,
            seen: HashSet::new(),
            queue: Vec::new(),
            findings: Vec::new(),
            bytes: 0,
        }
    }

    /// Compares the bytes of a symbol that both images have.
    pub fn symbol(&mut self, reference: &Named<'a>, ours: &Named<'a>) {
        let size = reference.symbol.size.min(ours.symbol.size);
        let subject = reference.key.to_string();
        let stretch =
            Stretch { reference: reference.address, ours: ours.address, size, subject: &subject, open: false };
        self.bytes += size as usize;
        let executable = |image: &Image<'_>, place: Place| match place {
            Place::Section(section) => image.file.sections.get(section as usize).is_some_and(|s| s.is_executable()),
            _ => false,
        };
        if executable(self.reference.image, reference.symbol.place) {
            if !self.checked {
                self.code(stretch);
            }
        } else {
            self.data(stretch);
        }
    }

    /// Compares all that has no symbol and that compared contents refer to.
    pub fn finish(&mut self) {
        while let Some((reference, ours)) = self.queue.pop() {
            let length = |symbolic: &Symbolic<'_, '_>, anchors: &BTreeSet<u64>, address: u64| {
                let section = symbolic.image.section_at(address).map_or(address, |section| section.end());
                let anchor = anchors.range(address + 1..).next().copied().unwrap_or(u64::MAX);
                section.min(anchor) - address
            };
            let size = length(self.reference, &self.reference_anchors, reference);
            let size = size.min(length(self.ours, &self.ours_anchors, ours));
            let subject = self.reference.describe(reference);
            self.bytes += size as usize;
            let stretch = Stretch { reference, ours, size, subject: &subject, open: true };
            match self.reference.image.section_at(reference).is_some_and(|section| section.is_executable()) {
                true => self.code(stretch),
                false => self.data(stretch),
            }
        }
    }

    pub(crate) fn differ(&mut self, stretch: Stretch<'_>, offset: u64, reference: String, ours: String) {
        let subject = format!("{}+{offset:#x}", stretch.subject);
        self.findings.push(Finding::new(Check::Bytes, subject, reference, ours).about(Side::Both));
    }

    /// Whether the two images' meanings are one.
    pub(crate) fn same_meaning(&mut self, reference: Meaning, ours: Meaning) -> bool {
        use Meaning as M;
        let (left, right) = (self.reference.image, self.ours.image);
        let same_name = |a: u32, b: u32| match (a, b) {
            (0, 0) => true,
            (0, _) | (_, 0) => false,
            (a, b) => left.dynamic_symbol_name(a) == right.dynamic_symbol_name(b),
        };
        // The address of a PLT entry stands for what the entry jumps to.
        let through = |symbolic: &Symbolic<'_, '_>, meaning: Meaning| match meaning {
            M::Address(address) => symbolic.plt_entry(address).unwrap_or(meaning),
            other => other,
        };
        match (through(self.reference, reference), through(self.ours, ours)) {
            (M::Number(a), M::Number(b)) => a == b,
            (M::Address(a), M::Address(b)) => self.same_place(a, b),
            (M::Resolved(a), M::Resolved(b)) => self.same_place(a, b),
            (M::Dynamic(a, x), M::Dynamic(b, y)) | (M::Size(a, x), M::Size(b, y)) => x == y && same_name(a, b),
            (M::TlsModule(a), M::TlsModule(b)) => same_name(a, b),
            (M::TlsOffset(a, x), M::TlsOffset(b, y))
            | (M::ThreadOffset(a, x), M::ThreadOffset(b, y))
            | (M::TlsDescriptor(a, x), M::TlsDescriptor(b, y)) => match (a, b) {
                (0, 0) => self.same_thread_place(x, y),
                _ => x == y && same_name(a, b),
            },
            _ => false,
        }
    }

    /// Whether two offsets in the thread-local blocks name one variable.
    pub(crate) fn same_thread_place(&mut self, reference: i64, ours: i64) -> bool {
        match (self.reference.image.tls(), self.ours.image.tls()) {
            (Some(left), Some(right)) => {
                let (left, right) =
                    (left.address.wrapping_add_signed(reference), right.address.wrapping_add_signed(ours));
                let (a, b) = (self.reference.thread_names(left), self.ours.thread_names(right));
                match (a.inside.is_empty(), b.inside.is_empty()) {
                    (false, false) => a.inside.iter().any(|name| b.inside.contains(name)),
                    (true, true) => self.same_place(left, right),
                    _ => a.end_of.iter().any(|name| b.end_of.contains(name)),
                }
            }
            _ => false,
        }
    }

    /// Whether two addresses name one thing. Things without a name are compared later.
    pub(crate) fn same_place(&mut self, reference: u64, ours: u64) -> bool {
        match (self.reference.plt_entry(reference), self.ours.plt_entry(ours)) {
            (Some(a), Some(b)) => return self.same_meaning(a, b),
            (None, None) => {}
            _ => return false,
        }
        let (left, right) = (self.reference.names(reference), self.ours.names(ours));
        let shared = |left: &[Key<'a>], right: &[Key<'a>]| left.iter().any(|name| right.contains(name));
        let same_inside = left.inside.iter().any(|name| right.inside.contains(name));
        if same_inside || shared(&left.labels, &right.labels) || shared(&left.end_of, &right.end_of) {
            return true;
        }
        let unlike_labels = !left.labels.is_empty() && !right.labels.is_empty();
        if !left.inside.is_empty() || !right.inside.is_empty() || unlike_labels {
            return false;
        }
        if self.reference.image.got_base() == Some(reference) && self.ours.image.got_base() == Some(ours) {
            return true;
        }
        let sections = (self.reference.image.section_at(reference), self.ours.image.section_at(ours));
        let (Some(a), Some(b)) = sections else {
            // The file header, at the start of both images, is in no section.
            return sections.0.is_none() && sections.1.is_none() && reference == ours && reference < 64;
        };
        if a.name.starts_with(".got") && b.name.starts_with(".got") {
            return self.same_slot(reference, ours);
        }
        let class =
            |section: &crate::elf::Section<'_>| (section.is_writable(), section.is_executable(), section.is_tls());
        if class(a) != class(b) {
            return false;
        }
        // How far things without a name reach, only the code that refers to them tells.
        if !self.checked && self.seen.insert((reference, ours)) {
            self.queue.push((reference, ours));
        }
        true
    }

    /// Whether two slots of the GOT hold one meaning; for the module slot of a thread-local variable, the next slot counts too.
    pub(crate) fn same_slot(&mut self, reference: u64, ours: u64) -> bool {
        let words = |image: &Image<'_>, address: u64| fixups::word_at(image, address);
        let (Some(a), Some(b)) = (words(self.reference.image, reference), words(self.ours.image, ours)) else {
            return false;
        };
        if !self.same_meaning(a, b) {
            return false;
        }
        if !matches!(a, Meaning::TlsModule(_)) {
            return true;
        }
        let word = self.reference.image.word_size() as u64;
        match (words(self.reference.image, reference + word), words(self.ours.image, ours + word)) {
            (Some(Meaning::Number(a)), Some(Meaning::Number(b))) => self.same_thread_place(a as i64, b as i64),
            (Some(a), Some(b)) => self.same_meaning(a, b),
            _ => false,
        }
    }

    /// Words that the loader relocates are compared by meaning, others by bytes; 32-bit fields that differ must be distances
    /// to one thing, from the field or from the start of the table, throughout.
    fn data(&mut self, stretch: Stretch<'_>) {
        let word = self.reference.image.word_size() as u64;
        let relocated = |image: &Image<'_>, start: u64| -> BTreeSet<u64> {
            let found = image.relocations_in(start, start.saturating_add(stretch.size));
            found.filter(|r| fixups::meaning_of(r).is_some()).map(|r| r.address - start).collect()
        };
        let mut fields = relocated(self.reference.image, stretch.reference);
        fields.extend(relocated(self.ours.image, stretch.ours));
        let mut position = 0;
        let mut from_start = None;
        for field in fields.into_iter().chain([stretch.size]) {
            if field > position {
                self.plain(stretch, position, field, &mut from_start);
            }
            if field == stretch.size {
                return;
            }
            let meanings = (
                fixups::word_at(self.reference.image, stretch.reference + field),
                fixups::word_at(self.ours.image, stretch.ours + field),
            );
            if let (Some(a), Some(b)) = meanings
                && !self.same_meaning(a, b)
            {
                let (a, b) = (self.reference.describe_meaning(a), self.ours.describe_meaning(b));
                self.differ(stretch, field, a, b);
            }
            position = field + word;
        }
    }

    /// Bytes `[from, to)` of the stretch, which hold no dynamic relocation.
    fn plain(&mut self, stretch: Stretch<'_>, from: u64, to: u64, from_start: &mut Option<bool>) {
        let size = to - from;
        let (left, right) = (self.reference.image, self.ours.image);
        if left.is_zero(stretch.reference + from, size) && right.is_zero(stretch.ours + from, size) {
            return;
        }
        let bytes = |image: &Image<'a>, address: u64| image.read_memory(address, size);
        let (Some(a), Some(b)) = (bytes(left, stretch.reference + from), bytes(right, stretch.ours + from)) else {
            return self.differ(stretch, from, "bytes in memory".into(), "bytes outside the image".into());
        };
        let mut at = 0;
        while let Some(next) = a[at..].iter().zip(&b[at..]).position(|(a, b)| a != b) {
            let field = (from as usize + at + next) / 4 * 4;
            let fits = field >= from as usize && field + 4 <= to as usize;
            let local = field.wrapping_sub(from as usize);
            if !fits
                || !self.same_distance(stretch, field as u64, &a[local..local + 4], &b[local..local + 4], from_start)
            {
                let start = at + next;
                let (a, b) = (crate::check::hex(&a[start..], 8), crate::check::hex(&b[start..], 8));
                return self.differ(stretch, from + start as u64, a, b);
            }
            at = local + 4;
        }
    }

    fn same_distance(
        &mut self,
        stretch: Stretch<'_>,
        field: u64,
        reference: &[u8],
        ours: &[u8],
        from_start: &mut Option<bool>,
    ) -> bool {
        let (a, b) = (self.reference.image.file.signed(reference), self.ours.image.file.signed(ours));
        for whole in [true, false] {
            if from_start.is_some_and(|decided| decided != whole) {
                continue;
            }
            let base = if whole { 0 } else { field };
            let left = stretch.reference.wrapping_add(base).wrapping_add_signed(a);
            let right = stretch.ours.wrapping_add(base).wrapping_add_signed(b);
            let in_image =
                self.reference.image.section_at(left).is_some() && self.ours.image.section_at(right).is_some();
            if in_image && self.named_alike(left, right) {
                *from_start = Some(whole);
                return true;
            }
        }
        false
    }

    /// As [`Contents::same_place`], for numbers that may or may not be addresses: only what has a name counts.
    pub(crate) fn named_alike(&self, reference: u64, ours: u64) -> bool {
        let (left, right) = (self.reference.names(reference), self.ours.names(ours));
        left.inside.iter().any(|name| right.inside.contains(name))
            || left.labels.iter().any(|name| right.labels.contains(name))
            || left.end_of.iter().any(|name| right.end_of.contains(name))
    }
}

/// Everything that is referred to or has a symbol.
fn anchors(symbolic: &Symbolic<'_, '_>) -> BTreeSet<u64> {
    let image = symbolic.image;
    let mut anchors: BTreeSet<u64> = symbolic.symbols.iter().map(|named| named.address).collect();
    for relocation in &image.relocations {
        if let Some(Meaning::Address(address)) = fixups::meaning_of(relocation) {
            anchors.insert(address);
        }
        anchors.insert(relocation.address);
    }
    for section in image.file.sections.iter().filter(|section| section.is_executable() && section.is_allocated()) {
        if section.kind == elf::SHT_PROGBITS.0 {
            arch::references(image.file.machine, &section.data, section.address, image.got_base(), &mut anchors);
        }
    }
    anchors
}
