//! Texts of about so many tokens, no two alike.

use rand::RngExt;

use crate::engine::Streams;

/// Words that tokenisers of today keep whole, with the blank before them: most texts of them have a
/// token a word, and how many exactly is found out by asking the server.
const WORDS: [&str; 48] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand", "part", "place",
    "case", "week", "company", "system", "program", "question", "work", "number", "night", "point",
    "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot", "right",
    "study", "book", "eye", "job", "word", "business",
];

/// How a server counts: tokens of a prompt by its words.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Counting {
    /// Tokens that every prompt has: of its beginning, of a chat's template.
    pub base: f64,
    /// Tokens of a word.
    pub per_word: f64,
    /// Whether the server counted; otherwise a token a word is assumed.
    pub measured: bool,
}

impl Counting {
    /// Where a server does not say.
    pub const ASSUMED: Counting = Counting {
        base: 0.0,
        per_word: 1.0,
        measured: false,
    };

    /// From the counts of two texts, `(words, tokens)`; none where they make no sense.
    pub fn of(few: (u32, u32), many: (u32, u32)) -> Option<Counting> {
        let words = f64::from(many.0) - f64::from(few.0);
        let per_word = (f64::from(many.1) - f64::from(few.1)) / words;
        let base = f64::from(few.1) - per_word * f64::from(few.0);
        (words > 0.0 && (0.2..20.0).contains(&per_word)).then_some(Counting {
            base,
            per_word,
            measured: true,
        })
    }

    /// The words of a text of so many tokens, at least one.
    pub fn words(&self, tokens: u32) -> u32 {
        // `as` saturates: a text shorter than its template is one word.
        let words = ((f64::from(tokens) - self.base) / self.per_word).round() as u32;
        words.max(1)
    }
}

/// A text of so many words: the `number`th of its kind, the same for the same seed.
pub fn text(seed: u64, kind: u64, number: u64, words: u32) -> String {
    let streams = Streams {
        seed,
        replication: kind,
    };
    let mut random = streams.stream("endpoint", number, "prompt");
    let drawn = (0..words).map(|_| WORDS[random.random_range(0..WORDS.len())]);
    drawn.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_count_of_the_server() {
        // 11 tokens of template and five tokens for four words.
        let counting = Counting::of((64, 91), (256, 331)).unwrap();
        assert_eq!((counting.base, counting.per_word), (11.0, 1.25));
        assert_eq!(counting.words(511), 400);
        assert_eq!(counting.words(3), 1);
        assert_eq!(Counting::of((64, 91), (256, 91)), None);
        assert_eq!(Counting::ASSUMED.words(128), 128);
    }

    #[test]
    fn no_two_texts_begin_alike() {
        let texts: Vec<String> = (0..50).map(|number| text(1, 0, number, 40)).collect();
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 50);
        assert_eq!(texts[7], text(1, 0, 7, 40));
        assert_ne!(texts[7], text(1, 1, 7, 40));
        assert_eq!(texts[7].split(' ').count(), 40);
    }
}
