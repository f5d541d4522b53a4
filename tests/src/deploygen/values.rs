//! The table of the chart's values, from the comments in `values.yaml` that begin with two hyphens.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Between these lines of the chart's page.
const MARKS: (&str, &str) = ("<!-- values -->\n", "<!-- /values -->\n");

/// A longer default says nothing in a table.
const LONGEST_DEFAULT: usize = 60;

/// The page with the table in its place.
pub(super) fn put_in(page: &str, table: &str) -> Result<String> {
    let (before, rest) = page.split_once(MARKS.0).context("no mark before the table")?;
    let (_, after) = rest.split_once(MARKS.1).context("no mark behind the table")?;
    Ok([before, MARKS.0, table, MARKS.1, after].concat())
}

/// A row for each value that is explained, in the order of the file.
pub(super) fn table(values: &str) -> Result<String> {
    let defaults: Value = serde_norway::from_str(values).context("reading values.yaml")?;
    let mut table = "| value | what it says | default |\n|---|---|---|\n".to_owned();
    let mut place: Vec<(usize, &str)> = Vec::new();
    let mut words: Option<String> = None;
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(first) = text.strip_prefix("# -- ") {
            ensure!(words.is_none(), "two comments before one value: {first}");
            words = Some(first.to_owned());
        } else if let Some(more) = text.strip_prefix("# ") {
            if let Some(words) = &mut words {
                words.push(' ');
                words.push_str(more);
            }
        } else if let Some((key, _)) =
            text.split_once(':').filter(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            place.retain(|(depth, _)| *depth < indent);
            place.push((indent, key));
            let Some(words) = words.take() else { continue };
            let keys: Vec<&str> = place.iter().map(|(_, key)| *key).collect();
            let default = defaults.pointer(&format!("/{}", keys.join("/"))).with_context(|| keys.join("."))?;
            table.extend(["| `", &keys.join("."), "` | ", &words.replace('|', r"\|"), " | ", &shown(default), " |\n"]);
        } else {
            ensure!(words.is_none(), "a comment before no value: {line}");
        }
    }
    Ok(table)
}

fn shown(default: &Value) -> String {
    let text = default.to_string();
    if text.len() > LONGEST_DEFAULT { "in `values.yaml`".to_owned() } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explained_values_become_rows() {
        let values = "# A page.\n\n# -- The name, a|b.\n# More.\nname: \"\"\nimage:\n  # -- Whose.\n  registry: x\n# -- All.\n\
                      strategy:\n  type: Rolling\n  list:\n  - a: 1\n# -- Last.\nlast: []\n";
        let rows = "| `name` | The name, a\\|b. More. | `\"\"` |\n| `image.registry` | Whose. | `\"x\"` |\n\
                    | `strategy` | All. | `{\"list\":[{\"a\":1}],\"type\":\"Rolling\"}` |\n| `last` | Last. | `[]` |\n";
        assert!(table(values).unwrap().ends_with(rows), "{}", table(values).unwrap());
        let page = put_in("a\n<!-- values -->\nold\n<!-- /values -->\nb\n", "new\n").unwrap();
        assert_eq!(page, "a\n<!-- values -->\nnew\n<!-- /values -->\nb\n");
        put_in("a\n", "new\n").expect_err("no marks");
    }

    #[test]
    fn a_comment_that_explains_nothing_is_an_error() {
        table("# -- Of nothing.\n\nname: 1\n").expect_err("a blank line between them");
        table("# -- One.\n# -- Two.\nname: 1\n").expect_err("two comments");
    }
}
