//! What is told, laid out for people: columns that line up, sizes in units beside the exact bytes.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::fmt::{self, Display, Formatter};

use super::facts::{Cache, Checksum, CpuTarget, Image, Inspection, Julia, Member, Section, Segment};

/// An [`Inspection`] as text.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// What is told.
    pub told: &'a Inspection,
    /// Whether all exports are listed, not just counted.
    pub exports: bool,
    /// Whether headings and findings are in bold and in colours, by the escape sequences of terminals.
    pub color: bool,
}

impl Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Text { told: self, exports: false, color: false }.fmt(f)
    }
}

/// More names than this are counted only.
const NAMES: usize = 8;
/// The width of a line of names or features, in characters.
const WIDTH: usize = 100;

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let told = self.told;
        write!(f, "{}: ", plain(&told.file))?;
        write!(f, "{}{}", told.format.map(|format| format!("{format} ")).unwrap_or_default(), told.kind)?;
        if let Some(target) = &told.target {
            write!(f, " for {target}")?;
        }
        writeln!(f, ", {}", Size(told.size))?;
        for member in &told.members {
            self.member(f, member)?;
        }
        if let Some(image) = &told.image {
            self.image(f, image)?;
        }
        if let Some(julia) = &told.julia {
            self.julia(f, julia)?;
        } else if told.image.is_some() {
            self.heading(f, "Julia")?;
            writeln!(f, "  nothing: it exports neither jl_image_pointers nor jl_sysimg_fvars_base")?;
        }
        if let Some(cache) = &told.cache {
            self.cache(f, cache)?;
        }
        if !told.notes.is_empty() {
            self.heading(f, "Not read")?;
            told.notes.iter().try_for_each(|note| writeln!(f, "  {}", plain(note)))?;
        }
        Ok(())
    }
}

impl Text<'_> {
    fn heading(&self, f: &mut Formatter<'_>, what: &str) -> fmt::Result {
        if self.color { writeln!(f, "\n\x1b[1m{what}\x1b[0m") } else { writeln!(f, "\n{what}") }
    }

    fn verdict(&self, good: bool, what: &str) -> String {
        match (self.color, good) {
            (true, true) => format!("\x1b[32m{what}\x1b[0m"),
            (true, false) => format!("\x1b[1;31m{what}\x1b[0m"),
            (false, _) => what.to_owned(),
        }
    }

    fn member(&self, f: &mut Formatter<'_>, member: &Member) -> fmt::Result {
        self.heading(f, &format!("Member {}", plain(&member.name)))?;
        field(f, "size", Size(member.size))?;
        field(f, "made by", plain(member.producer.as_deref().unwrap_or("(it does not say)")))?;
        let Member { defined, undefined, relocations, .. } = member;
        field(f, "symbols", format_args!("{defined} for others, {undefined} from others; {relocations} relocations"))?;
        sections(f, &member.sections, false)
    }

    fn image(&self, f: &mut Formatter<'_>, image: &Image) -> fmt::Result {
        if let Some(name) = &image.name {
            field(f, "name", plain(name))?;
        }
        if let Some(identity) = &image.identity {
            field(f, identity.kind, &identity.value)?;
        }
        if let Some(signature) = &image.signature {
            let kind = if signature.ad_hoc { "ad hoc" } else { "with a certificate" };
            let state = match &signature.problem {
                None => self.verdict(true, &format!("right: {} pages have the stated hashes", signature.pages)),
                Some(problem) => self.verdict(false, &format!("wrong: {problem}")),
            };
            field(f, "signature", format_args!("{kind}, for {}, {state}", plain(&signature.identifier)))?;
        }
        field(f, "needs", list(image.needed.iter().map(String::as_str)))?;

        self.heading(f, "Where the bytes go")?;
        let rows = image.space.iter().map(|space| {
            let percent = space.bytes.saturating_mul(1000).checked_div(self.told.size).unwrap_or_default();
            let share = format!("{}.{} %", percent / 10, percent % 10);
            vec![
                Cell::left(space.what),
                Cell::right(exact(space.bytes)),
                Cell::right(human(space.bytes)),
                Cell::right(share),
            ]
        });
        table(f, rows.collect())?;
        self.heading(f, "Segments")?;
        table(f, image.segments.iter().map(segment).collect())?;
        self.heading(f, "Sections")?;
        sections(f, &image.sections, true)?;
        if !image.biggest.is_empty() {
            self.heading(f, &format!("Biggest of {} symbols", image.symbols))?;
            let rows = image.biggest.iter().map(|symbol| {
                vec![
                    Cell::right(exact(symbol.size)),
                    Cell::right(human(symbol.size)),
                    Cell::right(format!("0x{:x}", symbol.address)),
                    Cell::left(plain(&symbol.name)),
                ]
            });
            table(f, rows.collect())?;
        }
        self.heading(f, "Symbols of others and for others")?;
        field(f, "exports", image.exports.count)?;
        if self.exports {
            image.exports.names.iter().try_for_each(|name| writeln!(f, "    {}", plain(name)))?;
        }
        for imports in &image.imports {
            let from = imports.library.as_deref().unwrap_or("whoever has them");
            let names = list(imports.names.iter().map(String::as_str));
            field(f, "imports", format_args!("{} from {}: {names}", imports.names.len(), plain(from)))?;
        }
        field(f, "relocations", image.relocation_form.unwrap_or("none"))?;
        let rows = image.relocations.iter();
        table(
            f,
            rows.map(|count| vec![Cell::left("  "), Cell::right(exact(count.count)), Cell::left(&count.kind)])
                .collect(),
        )?;
        let unwind = &image.unwind;
        if !unwind.tables.is_empty() || unwind.functions > 0 {
            let tables = if unwind.tables.is_empty() { "none".to_owned() } else { unwind.tables.join(", ") };
            let (covered, functions, rows) = (unwind.covered, unwind.functions, unwind.rows);
            field(f, "unwinding", format_args!("{covered} of {functions} functions, by {rows} rows of {tables}"))?;
            if !unwind.uncovered.is_empty() {
                field(f, "not unwound", list(unwind.uncovered.iter().map(String::as_str)))?;
            }
        }
        Ok(())
    }

    fn julia(&self, f: &mut Formatter<'_>, julia: &Julia) -> fmt::Result {
        self.heading(f, "Julia")?;
        let header = julia.header.map(|version| format!(", header version {version}")).unwrap_or_default();
        field(f, "version", format_args!("{}{header}", julia.version))?;
        field(f, "functions", exact(julia.functions))?;
        field(f, "variables", exact(julia.variables))?;
        let shards: Vec<String> = julia
            .shards
            .iter()
            .map(|shard| format!("{} functions, {} variables, {} slots", shard.functions, shard.variables, shard.slots))
            .collect();
        for (index, shard) in shards.iter().enumerate().take(64) {
            field(f, &format!("shard {index}"), shard)?;
        }
        if let Some(heap) = &julia.heap {
            field(
                f,
                "heap image",
                format_args!(
                    "{} at 0x{:x}, file offset 0x{:x}, aligned to {}, compression: {}",
                    Size(heap.size),
                    heap.address,
                    heap.file_offset,
                    exact(heap.alignment),
                    heap.compression
                ),
            )?;
        }
        if let Some(unpack) = &julia.unpack {
            field(f, "unpacked by", plain(unpack))?;
        }
        if let Some(checksum) = julia.checksum {
            field(f, "checksum", format_args!("{checksum:08x}"))?;
        }
        if let Some(target) = &julia.cpu_target {
            field(f, "CPU target", plain(target))?;
        }
        targets(f, &julia.targets, true)?;
        let verdict = if julia.accepted { "yes, as far as the file tells" } else { "no" };
        field(f, "would load", self.verdict(julia.accepted, verdict))?;
        julia.reasons.iter().try_for_each(|reason| writeln!(f, "    {}", plain(reason)))
    }

    fn cache(&self, f: &mut Formatter<'_>, cache: &Cache) -> fmt::Result {
        self.heading(f, &format!("Cache {}", plain(&cache.file)))?;
        field(
            f,
            "written by",
            format_args!(
                "Julia {} for {} on {}, {} bytes a pointer, format {}",
                plain(&cache.julia),
                plain(&cache.arch),
                plain(&cache.os),
                cache.pointer_size,
                cache.format_version
            ),
        )?;
        field(f, "commit", format_args!("{} of {}", plain(&cache.commit), plain(&cache.branch)))?;
        field(f, "modules", list(cache.modules.iter().map(String::as_str)))?;
        field(f, "needs", list(cache.required.iter().map(String::as_str)))?;
        let flags = &cache.flags;
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        field(
            f,
            "flags",
            format_args!(
                "0x{:02x}: --pkgimages={} -g{} --check-bounds={} --inline={} -O{}",
                flags.byte,
                yes(flags.pkgimages),
                flags.debug_level,
                flags.check_bounds,
                yes(flags.inline),
                flags.opt_level
            ),
        )?;
        targets(f, &cache.targets, false)?;
        field(f, "own CRC-32C", self.checksum(&cache.own_crc))?;
        if let Some(crc) = &cache.image_crc {
            field(f, "image's CRC", self.checksum(crc))?;
        }
        for rejection in &cache.rejected_by {
            field(f, "rejected by", plain(rejection))?;
        }
        for problem in &cache.problems {
            field(f, "problem", self.verdict(false, &plain(problem)))?;
        }
        Ok(())
    }

    fn checksum(&self, checksum: &Checksum) -> String {
        if checksum.right {
            return self.verdict(true, &format!("{}, right", checksum.stated));
        }
        self.verdict(false, &format!("{} is stated, {} is right", checksum.stated, checksum.computed))
    }
}

fn targets(f: &mut Formatter<'_>, targets: &[CpuTarget], clones: bool) -> fmt::Result {
    for (index, target) in targets.iter().enumerate() {
        let name = if target.name.is_empty() { "(not readable)".to_owned() } else { plain(&target.name) };
        let code = match (clones, target.base) {
            (false, _) => String::new(),
            (true, None) => format!(", all {} functions", exact(target.clones)),
            (true, Some(base)) => format!(", {} clones, else target {base}", exact(target.clones)),
        };
        let flags = if target.flags.is_empty() { String::new() } else { format!(", {}", target.flags.join(" ")) };
        field(f, &format!("target {index}"), format_args!("{name}{code}{flags}"))?;
        let mut line = String::new();
        let extra = if target.extra.is_empty() { None } else { Some(plain(&target.extra)) };
        for word in target.features.iter().map(|feature| plain(feature)).chain(extra) {
            if line.len().saturating_add(word.len()) > WIDTH {
                writeln!(f, "    {}", line.trim_end())?;
                line.clear();
            }
            line.push_str(&word);
            line.push(' ');
        }
        if !line.is_empty() {
            writeln!(f, "    {}", line.trim_end())?;
        }
    }
    Ok(())
}

fn segment(segment: &Segment) -> Vec<Cell> {
    vec![
        Cell::left(plain(&segment.name)),
        Cell::left(&segment.permissions),
        Cell::right(format!("0x{:x}", segment.address)),
        Cell::right(exact(segment.size)),
        Cell::right(human(segment.size)),
        Cell::right(format!("{} in the file", exact(segment.file_size))),
    ]
}

fn sections(f: &mut Formatter<'_>, sections: &[Section], placed: bool) -> fmt::Result {
    let row = |section: &Section| {
        let mut row = vec![Cell::left(plain(&section.name)), Cell::left(&section.permissions)];
        if placed {
            row.push(Cell::right(format!("0x{:x}", section.address)));
        }
        row.extend([Cell::right(exact(section.size)), Cell::right(human(section.size))]);
        row
    };
    table(f, sections.iter().map(row).collect())
}

/// A line that begins with what it is about.
fn field(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<12} {value}")
}

/// The first few of `names`.
fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let shown: Vec<String> = names.take(NAMES).map(plain).collect();
    match (shown.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// A name without what would move a terminal's cursor or change its colours.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

struct Cell {
    text: String,
    right: bool,
}

impl Cell {
    fn left(text: impl Into<String>) -> Self {
        Self { text: text.into(), right: false }
    }

    fn right(text: impl Into<String>) -> Self {
        Self { text: text.into(), right: true }
    }
}

fn table(f: &mut Formatter<'_>, rows: Vec<Vec<Cell>>) -> fmt::Result {
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            // Names that are much longer than the others do not widen the column.
            *width = (*width).max(cell.text.chars().count().min(40));
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str("  ");
            let fill = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            if cell.right {
                line.push_str(&fill);
            }
            line.push_str(&cell.text);
            if !cell.right {
                line.push_str(&fill);
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A number with its digits in groups of three.
fn exact(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size in the unit that makes it a number of up to four digits; empty for what is small anyway.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut tenths, mut unit) = (u128::from(bytes).saturating_mul(10), None);
    for name in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = Some(name);
    }
    unit.map_or_else(String::new, |unit| format!("{}.{} {unit}", tenths / 10, tenths % 10))
}

struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match human(self.0) {
            human if human.is_empty() => write!(f, "{} bytes", self.0),
            human => write!(f, "{human} ({} bytes)", exact(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people_and_exact() {
        let of = |bytes| Size(bytes).to_string();
        assert_eq!(of(0), "0 bytes");
        assert_eq!(of(1023), "1023 bytes");
        assert_eq!(of(1024), "1.0 KiB (1,024 bytes)");
        assert_eq!(of(113_129_056), "107.8 MiB (113,129,056 bytes)");
        assert_eq!(of(u64::MAX), "15.9 EiB (18,446,744,073,709,551,615 bytes)");
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
