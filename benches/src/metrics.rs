//! Duogate's own histograms, to hold against what the wire has shown.

/// The bound of the bucket that holds the `share` quantile of a Prometheus histogram, as printed: the quantile is no
/// larger. `None` if there is no such histogram, or nothing in it.
#[must_use]
pub fn quantile_bound<'a>(metrics: &'a str, name: &str, share: f64) -> Option<&'a str> {
    let bucket = format!("{name}_bucket{{");
    let buckets: Vec<(&str, f64)> = metrics
        .lines()
        .filter(|line| line.starts_with(&bucket))
        .filter_map(|line| {
            let (_, rest) = line.split_once("le=\"")?;
            let (bound, rest) = rest.split_once('"')?;
            Some((bound, rest.split_whitespace().last()?.parse().ok()?))
        })
        .collect();
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    buckets.iter().find(|(_, count)| *count >= all * share).map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_seconds x\n\
        a_seconds_bucket{le=\"0.001\"} 90\n\
        a_seconds_bucket{le=\"0.005\"} 99\n\
        a_seconds_bucket{le=\"+Inf\"} 100\n\
        a_seconds_count 100\n\
        b_seconds_bucket{le=\"+Inf\"} 0\n";

    #[test]
    fn the_bucket_of_a_quantile_is_found() {
        assert_eq!(quantile_bound(TEXT, "a_seconds", 0.5), Some("0.001"));
        assert_eq!(quantile_bound(TEXT, "a_seconds", 0.99), Some("0.005"));
        assert_eq!(quantile_bound(TEXT, "a_seconds", 0.999), Some("+Inf"));
        assert_eq!(quantile_bound(TEXT, "b_seconds", 0.5), None);
        assert_eq!(quantile_bound(TEXT, "c_seconds", 0.5), None);
    }
}
