//! The older text format: what a reader gets that did not ask for `OpenMetrics`, such as a person with curl.

use std::{borrow::Cow, fmt::Write as _};

/// `OpenMetrics` text in Prometheus' text format 0.0.4, as far as the two differ in what we use: there a counter and an
/// info bear the names of their samples, `info` is a gauge, and there is no end mark.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1_024);
    // A name's HELP stands before its TYPE, and the type decides the name.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(words) = line.strip_prefix("# HELP ") {
            help = words.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|words| words.split_once(' ')) {
            let (name, kind): (Cow<'_, str>, _) = match kind {
                "counter" => (format!("{name}_total").into(), kind),
                "info" => (format!("{name}_info").into(), "gauge"),
                "unknown" => (name.into(), "untyped"),
                _ => (name.into(), kind),
            };
            // Writing to a String cannot fail.
            if let Some((_, words)) = help.take() {
                let _ = writeln!(text, "# HELP {name} {words}");
            }
            let _ = writeln!(text, "# TYPE {name} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_samples() {
        let open_metrics = "# HELP a_b Things done.\n# TYPE a_b counter\na_b_total{c=\"# TYPE\"} 3\n\
                            # HELP d Which.\n# TYPE d info\nd_info{v=\"1\"} 1\n\
                            # HELP e_seconds Time.\n# TYPE e_seconds gauge\n# UNIT e_seconds seconds\ne_seconds 2\n# EOF\n";
        let expected = "# HELP a_b_total Things done.\n# TYPE a_b_total counter\na_b_total{c=\"# TYPE\"} 3\n\
                        # HELP d_info Which.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n\
                        # HELP e_seconds Time.\n# TYPE e_seconds gauge\ne_seconds 2\n";
        assert_eq!(classic(open_metrics), expected);
    }
}
