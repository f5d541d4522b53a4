//! One line of the table: a figure beside its yardstick, measured in the same run, and the goal for their ratio.

use serde::Serialize;

/// A figure, what it is held against, and whether it is good enough.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: &'static str,
    /// The figure.
    pub(crate) figure: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it is compared with, with its own figure.
    pub(crate) yardstick: String,
    /// The goal in words.
    pub(crate) goal: String,
    /// Whether the goal is met.
    pub(crate) holds: bool,
}

impl Row {
    /// A row whose goal is a ratio to its yardstick: `figure / yardstick` must be at most `most`.
    pub(crate) fn ratio(
        name: &'static str,
        unit: &'static str,
        figure: f64,
        (yardstick, value): (&str, f64),
        most: f64,
    ) -> Self {
        let ratio = figure / value;
        Self {
            name,
            figure,
            unit,
            yardstick: format!("{yardstick}: {value:.2} {unit}; ratio {ratio:.3}"),
            goal: format!("ratio at most {most:.3}"),
            holds: ratio <= most,
        }
    }

    /// A row that is told for its own sake.
    pub(crate) fn plain(name: &'static str, unit: &'static str, figure: f64, about: &str) -> Self {
        Self { name, figure, unit, yardstick: about.to_owned(), goal: "-".to_owned(), holds: true }
    }

    /// A row with a bound of its own.
    pub(crate) fn bound(name: &'static str, unit: &'static str, figure: f64, most: f64) -> Self {
        Self {
            name,
            figure,
            unit,
            yardstick: "-".to_owned(),
            goal: format!("at most {most} {unit}"),
            holds: figure <= most,
        }
    }
}

/// The middle of `figures`; what a noisy machine distorts least.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
