//! Columns for people, as kubectl draws them.

use std::fmt::Write as _;

use crate::output::Printable;
use crate::time::UnixTime;

/// Longest text in a column, in characters. The concierge cuts at the same length.
const CELL_MAX_CHARS: usize = 64;
/// What kubectl shows where there is nothing.
const NOTHING: &str = "<none>";

/// Rows of equally many cells, the head first, in columns as wide as their widest cell.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _cannot_fail = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text in a column: short, and nothing in it moves the cursor.
pub(super) fn cell(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    let shown = Printable(text).to_string();
    if shown.chars().count() <= CELL_MAX_CHARS {
        return shown;
    }
    shown.chars().take(CELL_MAX_CHARS - 1).chain(['…']).collect()
}

/// How long ago a time in RFC 3339 was; nothing, if it is none.
pub(super) fn age_of(text: &str, now: UnixTime) -> String {
    UnixTime::parse_rfc3339(text).map(|at| span(now.since(at))).unwrap_or_default()
}

/// A span of seconds, as kubectl says it: two units at most, and none that nobody needs.
pub(super) fn span(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    // Clocks differ by seconds.
    let seconds = seconds.max(0);
    let two = |big: i64, big_unit: char, small: i64, small_unit: char| {
        let rest = seconds % big / small;
        let rest = if rest == 0 { String::new() } else { format!("{rest}{small_unit}") };
        format!("{}{big_unit}{rest}", seconds / big)
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, 'h', MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, 'd', HOUR, 'h'),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        let now = UnixTime::from_secs(1_782_000_000);
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (301, "5m1s"),
            (3_600, "60m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (691_200, "8d"),
            (-5, "0s"),
        ] {
            assert_eq!(age_of(&now.plus(-seconds).to_string(), now), expected, "{seconds}");
        }
        assert_eq!(age_of("yesterday", now), "");
    }

    #[test]
    fn a_cell_is_short_and_moves_nothing() {
        assert_eq!(cell(""), NOTHING);
        assert_eq!(cell("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        let long = cell(&"x".repeat(5_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (64, true));
    }
}
