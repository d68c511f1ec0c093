//! What a shape lacks between its measurements, after the example of its neighbours.
//!
//! Between two measurements of a shape others of its kind were measured: where they all rise above
//! the line between the same two points (a library changes its kernel at that number of rows, or
//! the work grows with the square), so does this one.

/// So many of the nearest neighbours are asked: few enough to be alike, and enough that one badly
/// chosen kernel does not decide.
const NEIGHBOURS: usize = 7;

/// The times of a row, the gaps between its measurements filled.
///
/// `line` gives the time at a point by those at the measured points around it, as it is read where
/// nothing was measured. `neighbours` are rows of other shapes, with how far they are and their own
/// lines. What lies before the first measurement or after the last stays empty.
pub(super) fn filled<'a, L, N>(
    times: &[f64],
    line: L,
    neighbours: impl Fn() -> Vec<(f64, &'a [f64], N)>,
) -> Option<Vec<f64>>
where
    L: Fn(&[f64], [usize; 2], usize) -> f64,
    N: Fn(&[f64], [usize; 2], usize) -> f64,
{
    let gaps = gaps(times);
    if gaps.is_empty() {
        return None;
    }
    let mut nearest = neighbours();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut whole = times.to_vec();
    for (at, around) in gaps {
        let mut ratios: Vec<f64> = nearest
            .iter()
            .filter_map(|(_, other, line)| {
                let measured = |place: usize| other.get(place).is_some_and(|us| us.is_finite());
                let all = measured(at) && around.iter().all(|place| measured(*place));
                all.then(|| other[at] / line(other, around, at))
            })
            .take(NEIGHBOURS)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let usual = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0);
        whole[at] = line(times, around, at) * usual;
    }
    Some(whole)
}

/// The places between measurements that have none, each with the measurements around it.
fn gaps(times: &[f64]) -> Vec<(usize, [usize; 2])> {
    let mut gaps = Vec::new();
    let mut last: Option<usize> = None;
    for (at, us) in times.iter().enumerate() {
        if !us.is_finite() {
            continue;
        }
        if let Some(before) = last {
            gaps.extend((before + 1..at).map(|gap| (gap, [before, at])));
        }
        last = Some(at);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

    fn straight(times: &[f64], [a, b]: [usize; 2], at: usize) -> f64 {
        times[a] + (times[b] - times[a]) * (X[at] - X[a]) / (X[b] - X[a])
    }

    #[test]
    fn a_gap_follows_the_line_where_nobody_knows_better() {
        let none = Vec::<(f64, &[f64], fn(&[f64], [usize; 2], usize) -> f64)>::new;
        let whole = filled(&[1.0, f64::NAN, 4.0, f64::NAN], straight, none).unwrap();
        assert_eq!(whole[1], 2.0);
        // After the last measurement nothing is made up.
        assert!(whole[3].is_nan());
        assert!(filled(&[1.0, 2.0, 4.0, f64::NAN], straight, none).is_none());
    }

    #[test]
    fn a_gap_follows_the_median_of_the_nearest() {
        // All of them take half more at the second point than the line says.
        let [a, b, c] = [
            [2.0, 6.0, 8.0, 9.0],
            [1.0, 3.0, 4.0, 9.0],
            [1.0, 80.0, 4.0, 9.0],
        ];
        let others = || {
            let each = [(0.1, &a), (0.2, &b), (0.3, &c)];
            each.map(|(far, row)| {
                (
                    far,
                    &row[..],
                    straight as fn(&[f64], [usize; 2], usize) -> f64,
                )
            })
            .to_vec()
        };
        let whole = filled(&[10.0, f64::NAN, 40.0, 80.0], straight, others).unwrap();
        assert_eq!(whole[1], 20.0 * 1.5);
        assert_eq!([whole[0], whole[2], whole[3]], [10.0, 40.0, 80.0]);
    }
}
