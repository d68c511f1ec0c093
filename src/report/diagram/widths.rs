//! How wide text is drawn.
//!
//! Viewers draw with what fonts they have. Widths here are those of DejaVu Sans, and a little more:
//! Verdana is as wide, Arial, Helvetica and Liberation Sans are narrower, so that text keeps within its
//! box with any of them.

/// Widths of the printable characters of ASCII, from the blank on, in thousandths of the font size: as
/// DejaVu Sans has them.
const PLAIN: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];
/// The same of DejaVu Sans Bold.
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683,
    683, 821, 837, 372, 372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771,
    724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665,
    343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
];
/// Other characters may be as wide as they are high.
const OTHER: u16 = 1_000;
/// What other fonts may be wider.
const SLACK: f64 = 1.02;

/// The width of a text at a font size, in the size's unit.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let table = if bold { &BOLD } else { &PLAIN };
    let of = |it: char| {
        let index = u32::from(it).checked_sub(u32::from(' '));
        let found = index.and_then(|index| table.get(index as usize));
        u32::from(found.copied().unwrap_or(OTHER))
    };
    let thousandths: u32 = text.chars().map(of).sum();
    f64::from(thousandths) / 1e3 * size * SLACK
}

/// A text in lines no wider than `most`, broken at blanks; a word that is wider stays whole.
pub(super) fn wrapped(text: &str, most: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, false) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a renderer measures them.
    #[test]
    fn widths_are_those_of_the_font() {
        for (text, bold, measured) in [
            ("least request of all", false, 930.594),
            ("10 x llama-3.1-70b, 60 requests/s", false, 1_688.047),
            ("pool node-1 (prefill)", true, 1_126.078),
        ] {
            let own = width(text, 100.0, bold);
            assert!(own > measured && own < 1.04 * measured, "{text}: {own}");
        }
    }

    #[test]
    fn text_is_broken_where_it_must_be() {
        let lines = wrapped("one two three", width("one two", 10.0, false), 10.0);
        assert_eq!(lines, ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 1.0, 10.0), ["unbreakable"]);
        assert!(wrapped("", 1.0, 10.0).is_empty());
    }
}
