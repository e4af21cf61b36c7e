//! The text forms of metrics, and which of them a client gets.

use std::{collections::HashSet, fmt::Write as _};

/// The content type of `OpenMetrics`.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The content type of the older format of Prometheus.
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns true if a client wants `OpenMetrics`. As with other programs, who does not ask for it gets the older format,
/// which everything reads.
pub(super) fn wants_open_metrics(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let qualities = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let quality = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
            quality.parse::<f64>().ok().filter(|_| is_wanted)
        });
        qualities.fold(0.0, f64::max)
    };
    let open_metrics = quality("application/openmetrics-text");
    open_metrics > 0.0 && open_metrics >= quality("text/plain")
}

/// Returns metrics in the older format, from `OpenMetrics`. There a counter is described by the name of its sample, which
/// ends with `_total`.
pub(super) fn classic(open_metrics: &str) -> String {
    let counters: HashSet<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::new();
    for line in open_metrics.lines() {
        let described = ["# HELP ", "# TYPE "].iter().find_map(|start| Some((*start, line.strip_prefix(start)?)));
        if let Some((start, rest)) = described {
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let end = if counters.contains(name) { "_total" } else { "" };
            let rest = if start == "# TYPE " && rest == "unknown" { "untyped" } else { rest };
            let _ = writeln!(text, "{start}{name}{end} {rest}");
        } else if !line.starts_with('#') {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_open_metrics_gets_it() {
        let check = |accept: &str, expected: bool| assert_eq!(wants_open_metrics(accept), expected, "{accept}");
        check("", false);
        check("*/*", false);
        check("text/plain", false);
        check("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false);
        check("application/openmetrics-text", true);
        check("application/openmetrics-text; version=1.0.0; charset=utf-8", true);
        check("application/openmetrics-text;version=1.0.0;q=0", false);
        check("text/plain;q=0.9, application/openmetrics-text;q=0.2", false);
        // As Prometheus 2 and 3 ask.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            true,
        );
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            true,
        );
    }

    #[test]
    fn counters_are_described_by_their_samples() {
        let text = "# HELP a_calls Calls.\n# TYPE a_calls counter\na_calls_total{x=\"# TYPE\"} 2\n# HELP a_up Up.\n# TYPE a_up \
                    gauge\n# UNIT a_up y\na_up 1\n# TYPE a_b unknown\n# EOF\n";
        let expected = "# HELP a_calls_total Calls.\n# TYPE a_calls_total counter\na_calls_total{x=\"# TYPE\"} 2\n# HELP a_up \
                        Up.\n# TYPE a_up gauge\na_up 1\n# TYPE a_b untyped\n";
        assert_eq!(classic(text), expected);
    }
}
