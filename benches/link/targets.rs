//! What pkgld means to reach, and whether it has.

use crate::entrants::{COPY, COPY_AND_HASH, LIBRARY, LLD_22, PROGRAM, WILD};
use crate::shapes::{Kind, PLATFORMS, Platform, SIZES, Size};
use crate::table::Results;

/// An upper bound on the ratio of two times.
struct Bound {
    of: &'static str,
    to: &'static str,
    limit: f64,
}

const fn bound(of: &'static str, limit: f64, to: &'static str) -> Bound {
    Bound { of, to, limit }
}

/// The bounds for images of a size on a platform.
fn bounds(kind: Kind, platform: Platform) -> Vec<Bound> {
    let mut bounds = Vec::new();
    if kind == Kind::Small {
        bounds.extend([bound(LIBRARY, 0.05, LLD_22), bound(PROGRAM, 1.6, COPY)]);
    }
    if kind == Kind::Small && platform == Platform::Elf {
        bounds.push(bound(PROGRAM, 1.0, WILD));
    }
    if platform == Platform::MachO {
        bounds.extend([bound(LIBRARY, 1.3, COPY_AND_HASH), bound(PROGRAM, 1.3, COPY_AND_HASH)]);
        if matches!(kind, Kind::Medium | Kind::Large) {
            bounds.push(bound(PROGRAM, 0.2, LLD_22));
        }
        return bounds;
    }
    match kind {
        Kind::Small | Kind::Plain => {}
        Kind::Medium => bounds.extend([bound(LIBRARY, 1.4, COPY), bound(PROGRAM, 1.6, COPY)]),
        Kind::Large => bounds.extend([bound(LIBRARY, 1.5, COPY), bound(PROGRAM, 1.5, COPY)]),
        Kind::Julia => bounds.extend([bound(LIBRARY, 1.2, COPY), bound(PROGRAM, 1.25, COPY)]),
    }
    if kind == Kind::Large && platform == Platform::Elf {
        bounds.push(bound(PROGRAM, 0.35, WILD));
    }
    bounds
}

/// The results of a size on a platform.
pub(crate) fn find<'r>(all: &'r [Results], size: &Size, platform: Platform) -> Option<&'r Results> {
    let name = format!("{}{}", size.preset, platform.suffix());
    all.iter().find(|results| results.shape.name == name)
}

/// A table of all bounds, with what was measured.
pub(crate) fn render(all: &[Results]) -> String {
    let mut text = String::from(
        "Targets:\n\n| image                 | what                               | target   | measured |      |\n\
         |:----------------------|:-----------------------------------|---------:|---------:|:-----|\n",
    );
    let (mut met, mut count) = (0, 0);
    let mut line = |image: &str, what: &str, target: String, measured: Option<(String, bool)>| {
        let (measured, verdict) = match measured {
            Some((measured, true)) => (measured, "yes"),
            Some((measured, false)) => (measured, "no"),
            None => ("-".to_owned(), "not measured"),
        };
        count += 1;
        met += u32::from(verdict == "yes");
        text.push_str(&format!("| {image:<21} | {what:<34} | {target:>8} | {measured:>8} | {verdict:<4} |\n"));
    };
    for size in &SIZES {
        for platform in PLATFORMS {
            let Some(results) = find(all, size, platform) else { continue };
            let image = format!("{}, {}", size.name, platform.name());
            for Bound { of, to, limit } in bounds(size.kind, platform) {
                let ratio = results.milliseconds(of).zip(results.milliseconds(to)).map(|(of, to)| of / to);
                let measured = ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= limit));
                line(&image, &format!("{of} / {to}"), format!("≤ {limit}"), measured);
            }
            // 32 MiB, 100 bytes a symbol, what was decompressed, and the entries of the dynamic relocation table.
            let counted = results.counted;
            let allowed = (32 << 20) + 100 * counted.symbols + counted.decompressed + 24 * counted.dynamic_relocations;
            for name in [LIBRARY, PROGRAM] {
                let measured = results.figures(name).map(|figures| figures.memory.anonymous);
                let in_megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
                let measured = measured.map(|bytes| (in_megabytes(bytes), bytes <= allowed));
                line(&image, &format!("{name}, anonymous MB"), format!("≤ {}", in_megabytes(allowed)), measured);
            }
        }
    }
    text.push_str(&format!("\n{met} of {count} reached.\n"));
    text
}
