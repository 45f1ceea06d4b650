//! Medians and percentiles.

/// The value below which `percent` of all are. NaN of none.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the slice"
    )]
    let at = (last * percent / 100.0).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

/// The one in the middle, or what lies between the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.len(), values.len() % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[test]
fn the_median_is_in_the_middle_however_values_come() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    assert!(median(&[]).is_nan());
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
    assert_eq!(percentile(&mut values, 50.0), 50.0);
    assert_eq!(percentile(&mut values, 99.0), 99.0);
    assert_eq!(percentile(&mut values, 100.0), 100.0);
    assert!(percentile(&mut [], 50.0).is_nan());
}
