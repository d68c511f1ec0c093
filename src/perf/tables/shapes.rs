//! Which measured shapes of products stand for another.

use super::Reach;

/// How much of what is asked for must be there: half of the weights.
const ENOUGH: f64 = 0.5;

/// Shapes with their weights.
type Weighted = Vec<((u32, u32), f64)>;

/// The measured shapes that stand for n columns and k summands, with their weights, and how near
/// they are: the very one; the (up to four) around it; where these are not there, as in a grid with
/// holes, those beside it with the same k or the same n; or else the nearest.
pub(super) fn around(shapes: &[(u32, u32)], n: f64, k: f64) -> Option<(Weighted, Reach)> {
    let (columns, columns_reach) = between_widths(&widths(shapes, |shape| shape.0), n)?;
    let (summands, summands_reach) = between_widths(&widths(shapes, |shape| shape.1), k)?;
    let corners = columns.into_iter().flat_map(|(column, weight)| {
        let each = summands.map(|(summand, other)| ((column, summand), weight * other));
        each.into_iter()
    });
    let there = corners.filter(|(shape, weight)| *weight > 0.0 && shapes.contains(shape));
    let corners: Weighted = there.collect();
    if corners.iter().map(|(_, weight)| weight).sum::<f64>() >= ENOUGH {
        return Some((corners, columns_reach.max(summands_reach)));
    }
    beside(shapes, n, k)
        .map(|found| (found, Reach::BetweenShapes))
        .or_else(|| Some((vec![(nearest(shapes, n, k)?, 1.0)], Reach::Extrapolated)))
}

/// The shapes of the same k around n, and those of the same n around k; both count alike.
fn beside(shapes: &[(u32, u32)], n: f64, k: f64) -> Option<Weighted> {
    let same = |shape: &&(u32, u32), by_k: bool| match by_k {
        true => f64::from(shape.1) == k,
        false => f64::from(shape.0) == n,
    };
    let mut found = Vec::new();
    let mut lines = 0.0;
    for by_k in [true, false] {
        let line = shapes.iter().filter(|shape| same(shape, by_k));
        let line: Vec<(u32, u32)> = line.copied().collect();
        let (free, at) = match by_k {
            true => (widths(&line, |shape| shape.0), n),
            false => (widths(&line, |shape| shape.1), k),
        };
        if let Some((pair, Reach::BetweenShapes)) = between_widths(&free, at) {
            lines += 1.0;
            found.extend(pair.map(|(width, weight)| match by_k {
                true => ((width, line[0].1), weight),
                false => ((line[0].0, width), weight),
            }));
        }
    }
    (lines > 0.0).then(|| {
        let each = found.into_iter();
        each.map(|(shape, weight)| (shape, weight / lines))
            .collect()
    })
}

/// The shape nearest in the logarithms of n and k.
fn nearest(shapes: &[(u32, u32)], n: f64, k: f64) -> Option<(u32, u32)> {
    let far = |a: u32, b: f64| (f64::from(a) / b).ln().abs();
    let distance = |shape: &(u32, u32)| far(shape.0, n) + far(shape.1, k);
    let mut best: Option<(f64, (u32, u32))> = None;
    for shape in shapes {
        let distance = distance(shape);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, *shape));
        }
    }
    best.map(|(_, shape)| shape)
}

/// The widths of some shapes, sorted, each once.
fn widths(shapes: &[(u32, u32)], of: impl Fn(&(u32, u32)) -> u32) -> Vec<u32> {
    let mut all: Vec<u32> = shapes.iter().map(of).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The two widths around `x` with their weights (the logarithm decides), and how near that is.
pub(super) fn between_widths(widths: &[u32], x: f64) -> Option<([(u32, f64); 2], Reach)> {
    let above = widths.partition_point(|width| f64::from(*width) < x);
    let alone = |width: u32, reach| Some(([(width, 1.0), (width, 0.0)], reach));
    match (
        above.checked_sub(1).and_then(|at| widths.get(at)),
        widths.get(above),
    ) {
        (_, Some(width)) if f64::from(*width) == x => alone(*width, Reach::Measured),
        (Some(low), Some(high)) => {
            let [a, b] = [*low, *high].map(|width| f64::from(width).ln());
            let weight = (x.ln() - a) / (b - a);
            Some((
                [(*low, 1.0 - weight), (*high, weight)],
                Reach::BetweenShapes,
            ))
        }
        (Some(width), None) | (None, Some(width)) => alone(*width, Reach::Extrapolated),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_very_shape_stands_for_itself() {
        let shapes = [(1, 1), (1, 4), (4, 1), (4, 4)];
        assert_eq!(
            around(&shapes, 4.0, 1.0),
            Some((vec![((4, 1), 1.0)], Reach::Measured))
        );
        // Half way in both logarithms: a quarter of each.
        let (four, reach) = around(&shapes, 2.0, 2.0).unwrap();
        assert_eq!(reach, Reach::BetweenShapes);
        assert!(four.len() == 4 && four.iter().all(|(_, weight)| (weight - 0.25).abs() < 1e-12));
    }

    #[test]
    fn a_hole_is_read_from_beside_it() {
        let shapes = [(1, 2), (4, 2), (2, 1), (2, 4), (9, 9)];
        let (found, reach) = around(&shapes, 2.0, 2.0).unwrap();
        assert_eq!(reach, Reach::BetweenShapes);
        let both = [(1, 2), (4, 2), (2, 1), (2, 4)].map(|shape| (shape, 0.25));
        assert!(
            found.len() == 4
                && both.iter().all(|one| {
                    found
                        .iter()
                        .any(|other| other.0 == one.0 && (other.1 - one.1).abs() < 1e-12)
                }),
            "{found:?}"
        );
        // Nothing beside it: the nearest, and it is said that it is none of the same.
        let (found, reach) = around(&[(1, 8), (8, 1)], 8.0, 7.0).unwrap();
        assert_eq!((found, reach), (vec![((8, 1), 1.0)], Reach::Extrapolated));
    }

    #[test]
    fn outside_all_shapes_the_outermost_stands() {
        let (found, reach) = around(&[(1, 1), (2, 1)], 8.0, 1.0).unwrap();
        assert_eq!((found, reach), (vec![((2, 1), 1.0)], Reach::Extrapolated));
        assert_eq!(around(&[], 1.0, 1.0), None);
    }
}
