//! The Pareto front: points that no other point beats in everything.

use super::schema::Goal;

/// Which of the points are on the front: those than which no other is at least as good by every
/// goal and better by one. Points with equal values are on it together. Points without all values
/// take no part.
pub fn front(values: &[Vec<Option<f64>>], goals: &[Goal]) -> Vec<usize> {
    if goals.is_empty() {
        return Vec::new();
    }
    // As costs: less is better.
    let costs = values.iter().enumerate().filter_map(|(index, values)| {
        let costs = values.iter().zip(goals).map(|(value, goal)| {
            value.map(|value| match goal {
                Goal::Min => value,
                Goal::Max => -value,
            })
        });
        Some((index, costs.collect::<Option<Vec<f64>>>()?))
    });
    let mut costs: Vec<(usize, Vec<f64>)> = costs.collect();
    // What is beaten is beaten by something before it in this order.
    costs.sort_by(|a, b| {
        let pairs = a.1.iter().zip(&b.1);
        let order = pairs
            .map(|(a, b)| a.total_cmp(b))
            .find(|order| order.is_ne());
        order.unwrap_or_else(|| a.0.cmp(&b.0))
    });
    let mut kept: Vec<(usize, Vec<f64>)> = Vec::new();
    for (index, costs) in costs {
        if !kept.iter().any(|(_, other)| beats(other, &costs)) {
            kept.push((index, costs));
        }
    }
    kept.into_iter().map(|(index, _)| index).collect()
}

fn beats(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a != b
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_front_is_what_the_definition_says(
            rows in prop::collection::vec((0_u8..6, 0_u8..6, 0_u8..6), 0..40),
        ) {
            let values: Vec<Vec<Option<f64>>> = rows
                .iter()
                .map(|(a, b, c)| vec![Some(f64::from(*a)), Some(f64::from(*b)), Some(f64::from(*c))])
                .collect();
            let goals = [Goal::Min, Goal::Max, Goal::Min];
            let beaten = |row: &(u8, u8, u8)| rows.iter().any(|other| {
                other.0 <= row.0 && other.1 >= row.1 && other.2 <= row.2 && other != row
            });
            let expected: Vec<usize> =
                (0..rows.len()).filter(|index| !beaten(&rows[*index])).collect();
            let mut found = front(&values, &goals);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn points_without_a_value_take_no_part() {
        let values = [vec![Some(1.0), None], vec![Some(2.0), Some(2.0)]];
        assert_eq!(front(&values, &[Goal::Min, Goal::Min]), [1]);
        assert!(front(&values, &[]).is_empty());
    }
}
