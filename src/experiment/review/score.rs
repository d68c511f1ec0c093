//! Scores: 1, and 1 more for each cut that the worse end of an interval reaches.

use serde::Serialize;

use super::criteria::{Better, Criteria, Criterion, Dimension, WhenMissing};

/// What a criterion came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// Its name.
    pub id: String,
    /// What the figure is.
    pub text: String,
    /// The figure, of all replications together.
    pub value: Option<f64>,
    /// The lower end of its interval; none of a single value.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Its score, 1 to 5; none where it does not count.
    pub score: Option<u8>,
    /// The score at the better end of the interval.
    pub at_best: Option<u8>,
    /// The cuts for 2, 3, 4 and 5.
    pub cuts: [f64; 4],
    /// Which direction is better.
    pub better: Better,
    /// What it counts for.
    pub weight: f64,
    /// What was run, which of several things was lost, or why there is no figure.
    pub why: String,
}

/// A dimension.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredDimension {
    /// Which.
    pub dimension: Dimension,
    /// Its score, 1 to 5; none where none of its criteria counts.
    pub score: Option<f64>,
    /// What it counts for.
    pub weight: f64,
    /// Its criteria.
    pub criteria: Vec<Scored>,
}

/// A figure with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub span: Option<(f64, f64)>,
    /// What was run.
    pub why: String,
}

/// The score of a value.
pub fn score_of(value: f64, better: Better, cuts: &[f64; 4]) -> u8 {
    let reached = cuts.iter().filter(|cut| match better {
        Better::More => value >= **cut,
        Better::Less => value <= **cut,
    });
    // At most four.
    1 + u8::try_from(reached.count()).unwrap_or(4)
}

impl Scored {
    /// Scores a figure, or says why there is none.
    pub fn of(criterion: &Criterion, figure: Result<Figure, String>) -> Scored {
        let mut scored = Scored {
            id: criterion.id.clone(),
            text: criterion.text.clone(),
            value: None,
            low: None,
            high: None,
            score: None,
            at_best: None,
            cuts: criterion.cuts,
            better: criterion.better,
            weight: criterion.weight,
            why: String::new(),
        };
        match figure {
            Ok(figure) => {
                let (low, high) = figure.span.unwrap_or((figure.value, figure.value));
                let ends = [low, high].map(|it| score_of(it, criterion.better, &criterion.cuts));
                scored.value = Some(figure.value);
                scored.low = figure.span.map(|(low, _)| low);
                scored.high = figure.span.map(|(_, high)| high);
                scored.score = Some(ends[0].min(ends[1]));
                scored.at_best = Some(ends[0].max(ends[1]));
                scored.why = figure.why;
            }
            Err(why) => {
                let one = criterion.when_missing == WhenMissing::One;
                scored.score = one.then_some(1);
                scored.at_best = scored.score;
                scored.why = why;
            }
        }
        scored
    }

    /// Weighted points below the best.
    fn lost(&self) -> f64 {
        self.score
            .map_or(0.0, |it| f64::from(5 - it.min(5)) * self.weight)
    }
}

/// The dimensions of scored criteria.
pub fn dimensions(criteria: &Criteria, scored: &[Scored]) -> Vec<ScoredDimension> {
    let of = |dimension: Dimension| {
        let rows = criteria.criteria.iter().zip(scored);
        let rows = rows.filter(|(criterion, _)| criterion.dimension == dimension);
        let rows: Vec<Scored> = rows.map(|(_, scored)| scored.clone()).collect();
        let counted = rows.iter().filter_map(|row| Some((row.score?, row.weight)));
        ScoredDimension {
            dimension,
            score: mean(counted.map(|(score, weight)| (f64::from(score), weight))),
            weight: criteria.weight(dimension),
            criteria: rows,
        }
    };
    let all = Dimension::ALL.into_iter().map(of);
    all.filter(|it| !it.criteria.is_empty()).collect()
}

/// The criteria that cost the whole anything, by their names, those that cost most first.
pub fn cost_most(dimensions: &[ScoredDimension]) -> Vec<String> {
    let mut costs: Vec<(f64, &Scored)> = Vec::new();
    for dimension in dimensions {
        let counted = dimension.criteria.iter().filter(|it| it.score.is_some());
        let all: f64 = counted.map(|it| it.weight).sum();
        let each = dimension.criteria.iter();
        costs.extend(each.map(|it| (it.lost() * dimension.weight / all, it)));
    }
    costs.retain(|(cost, _)| *cost > 0.0);
    costs.sort_by(|a, b| b.0.total_cmp(&a.0));
    costs.into_iter().map(|(_, it)| it.id.clone()).collect()
}

/// The score of the whole.
pub fn whole(dimensions: &[ScoredDimension]) -> f64 {
    let counted = dimensions
        .iter()
        .filter_map(|it| Some((it.score?, it.weight)));
    // Where nothing counts, nothing is shown.
    mean(counted).unwrap_or(1.0)
}

fn mean(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (sum, weight) = values.fold((0.0, 0.0), |(sum, all), (value, weight)| {
        (sum + value * weight, all + weight)
    });
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_one_and_one_for_each_cut_that_is_reached() {
        let falling = [2.0, 1.0, 0.5, 0.1];
        let scores = [3.0, 2.0, 1.0, 0.5, 0.1, 0.0].map(|it| score_of(it, Better::Less, &falling));
        assert_eq!(scores, [1, 2, 3, 4, 5, 5]);
        let rising = [0.8, 1.0, 1.25, 1.6];
        let scores = [0.7, 0.8, 1.1, 1.25, 2.0].map(|it| score_of(it, Better::More, &rising));
        assert_eq!(scores, [1, 2, 3, 4, 5]);
    }
}
