//! How cost grows with the number of invoices: a small SVG, both axes logarithmic.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use crate::process::Used;

/// Where the plot goes, in the repository.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cost-by-list.svg");

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 45.0;
/// Powers of ten on the axes: invoices, and the costs.
const ACROSS: (i32, i32) = (4, 6);
const UP: (i32, i32) = (-2, 3);

/// What one round cost.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub count: usize,
    pub used: Used,
    pub requests: u64,
    pub bytes: u64,
}

/// One of the costs of a point.
type Cost = fn(&Point) -> f64;

pub fn draw(points: &[Point]) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "figures for a drawing")]
    let lines: [(&str, &str, Cost); 4] = [
        ("requests", "#1b6ca8", |point| point.requests as f64),
        ("peak memory, MB", "#7a3e9d", |point| {
            point.used.peak_kib as f64 / 1024.0
        }),
        ("wall time, s", "#c8553d", |point| {
            point.used.wall.as_secs_f64()
        }),
        ("CPU time, s", "#588157", |point| {
            point.used.cpu.as_secs_f64()
        }),
    ];
    let mut svg = frame();
    for (name, colour, value) in lines {
        line(&mut svg, points, name, colour, value);
    }
    svg.push_str("</svg>\n");
    if let Some(folder) = std::path::Path::new(PATH).parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(PATH, svg)?)
}

fn frame() -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">One round by the order list, 1 % of the orders paid</text>\n"
    );
    for power in UP.0..=UP.1 {
        let (at, label) = (y(10_f64.powi(power)), 10_f64.powi(power));
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for power in ACROSS.0..=ACROSS.1 {
        let at = x(10_f64.powi(power));
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{} invoices</text>",
            HEIGHT - BOTTOM + 20.0,
            10_f64.powi(power)
        );
    }
    svg
}

fn line(svg: &mut String, points: &[Point], name: &str, colour: &str, value: Cost) {
    let mut path = String::new();
    let mut end = TOP;
    for point in points {
        #[expect(clippy::cast_precision_loss, reason = "a place in a drawing")]
        let across = x(point.count as f64);
        end = y(value(point));
        let step = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{step}{across:.1} {end:.1}");
        let _ = writeln!(
            svg,
            "<circle cx=\"{across:.1}\" cy=\"{end:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
         <text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
        WIDTH - RIGHT + 8.0,
        end + 4.0
    );
}

fn x(count: f64) -> f64 {
    scaled(count, ACROSS, LEFT, WIDTH - RIGHT)
}

fn y(cost: f64) -> f64 {
    scaled(cost, UP, HEIGHT - BOTTOM, TOP)
}

fn scaled(value: f64, (low, high): (i32, i32), from: f64, to: f64) -> f64 {
    let share = (value.max(1e-9).log10() - f64::from(low)) / f64::from(high - low);
    from + share.clamp(0.0, 1.0) * (to - from)
}
