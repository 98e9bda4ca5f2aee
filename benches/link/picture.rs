//! All results as a picture: for each image a row, for each entrant a mark at its time, in units of the floor.

use crate::entrants::{COPY, COPY_AND_HASH, LIBRARY, PROGRAM};
use crate::shapes::{PLATFORMS, SIZES};
use crate::table::Results;
use crate::targets::find;

/// Entrants and their colours.
const MARKS: [(&str, &str); 9] = [
    (LIBRARY, "#8fd0a3"),
    (PROGRAM, "#1a7f37"),
    ("rust-lld", "#cf222e"),
    ("LLD 22", "#fa4549"),
    ("LLD 19", "#ff8182"),
    ("LLD 16", "#ffaba8"),
    ("mold", "#9a6700"),
    ("wild", "#8250df"),
    ("GNU ld", "#57606a"),
];

/// Pixels: the left edge of the scale, the length of a factor of ten, the height of a row.
const LEFT: f64 = 150.0;
const DECADE: f64 = 260.0;
const ROW: f64 = 18.0;
/// The scale: from a tenth of the floor to a hundred times it.
const FROM: f64 = 0.1;
const TO: f64 = 300.0;

/// The picture, as SVG.
pub(crate) fn draw(all: &[Results]) -> String {
    let at = |ratio: f64| LEFT + DECADE * (ratio.clamp(FROM, TO) / FROM).log10();
    let width = at(TO) + 20.0;
    let mut body = String::new();
    let mut text = |x: f64, y: f64, style: &str, what: &str| {
        body.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{what}</text>\n"));
    };
    text(
        10.0,
        20.0,
        "font-weight=\"bold\"",
        "Time of a link, in units of a copy of the image (cp); Mach-O: cp and SHA-256",
    );
    let mut y = 40.0;
    for (index, (name, _)) in MARKS.iter().enumerate() {
        text(
            24.0 + 105.0 * index as f64,
            y,
            "",
            &name.replace("pkgld, library call", "pkgld (library)").replace("pkgld, program", "pkgld"),
        );
    }
    let mut shapes = String::new();
    for (index, (_, colour)) in MARKS.iter().enumerate() {
        let x = 16.0 + 105.0 * index as f64;
        shapes.push_str(&format!("<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/>\n", y - 4.0));
    }
    y += 20.0;
    let top = y;
    for platform in PLATFORMS {
        y += ROW;
        text(10.0, y, "font-weight=\"bold\"", platform.name());
        for size in &SIZES {
            let Some(results) = find(all, size, platform) else { continue };
            y += ROW;
            text(24.0, y, "", &format!("{}, {:.0} MB", size.name, results.size as f64 / 1e6));
            let line = y - 4.0;
            shapes.push_str(&format!(
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#d0d7de\"/>\n",
                at(TO)
            ));
            let floor = if results.floor() == COPY { COPY } else { COPY_AND_HASH };
            let Some(floor) = results.milliseconds(floor) else { continue };
            // The first are drawn last, on top.
            for (name, colour) in MARKS.iter().rev() {
                let Some(time) = results.milliseconds(name) else { continue };
                shapes.push_str(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{line:.1}\" r=\"5\" fill=\"{colour}\"><title>{name}: {time:.1} ms</title></circle>\n",
                    at(time / floor)
                ));
            }
        }
        y += ROW / 2.0;
    }
    let mut grid = String::new();
    for ratio in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
        let (x, colour) = (at(ratio), if ratio == 1.0 { "#24292f" } else { "#eaeef2" });
        grid.push_str(&format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>\n"
        ));
        text(x, y + 14.0, "text-anchor=\"middle\"", &format!("{ratio}"));
    }
    let height = y + 26.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{grid}{shapes}{body}</svg>\n"
    )
}
