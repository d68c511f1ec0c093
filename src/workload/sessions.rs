//! Sessions of several turns, each of whose prompts is all that was said before and something new.
//!
//! A session has streams of random numbers of its own, one for its number of turns, one for think
//! times and one for lengths: its turns are the same whatever the fleet does to it, and another law
//! for one of them moves none of the others. Between turns it is one small entry of a list (a stream
//! is kept as the number of words drawn from it): memory grows with the sessions that are open, not
//! with those there were.

use rand::RngExt;

use crate::engine::{SimDuration, SimRng, Streams};
use crate::fleet::prefix::Prefix;

use super::law::Sampler;
use super::lengths::LengthPair;

/// How many turns a session has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TurnLaw {
    /// The same number for all, 1 or more.
    Constant(u32),
    /// After each turn another with probability `1 - 1 / mean`; `mean` is 1 or more.
    Geometric {
        /// Mean turns of a session.
        mean: f64,
    },
}

impl TurnLaw {
    /// Mean turns.
    pub fn mean(&self) -> f64 {
        match self {
            TurnLaw::Constant(turns) => f64::from(*turns),
            TurnLaw::Geometric { mean } => *mean,
        }
    }

    /// Mean number of the turns of its session before a turn, over all turns.
    fn mean_before(&self) -> f64 {
        match self {
            TurnLaw::Constant(turns) => (f64::from(*turns) - 1.0) / 2.0,
            // E[T (T - 1)] / (2 E[T]).
            TurnLaw::Geometric { mean } => mean - 1.0,
        }
    }

    fn sample(&self, rng: &mut SimRng) -> u32 {
        match self {
            TurnLaw::Constant(turns) => *turns,
            TurnLaw::Geometric { mean } => {
                // The inverse of the distribution function, at a number above 0.
                let above = 1.0 - rng.random::<f64>();
                let again = 1.0 - 1.0 / mean;
                // `as` saturates.
                match again > 0.0 {
                    true => 1 + (above.ln() / again.ln()) as u32,
                    false => 1,
                }
            }
        }
    }
}

/// How sessions go on.
#[derive(Debug, Clone)]
pub struct SessionPlan {
    /// How many turns they have.
    pub turns: TurnLaw,
    /// Time from an answer's last token to the next turn.
    pub think: Sampler,
    /// New prompt tokens and output tokens of the turns after the first.
    pub lengths: LengthPair,
    /// First tokens of every session, the same for all.
    pub system_prompt_tokens: u32,
    /// A session ends when prompt and output of its next turn would be longer.
    pub max_context_tokens: u32,
}

impl SessionPlan {
    /// Mean prompt and output tokens over all turns, when those of first turns (without the system
    /// prompt) are `first` and all sessions have all their turns.
    pub fn mean_tokens(&self, first: (f64, f64)) -> (f64, f64) {
        let (new, output) = self.lengths.means();
        let (before, turns) = (self.turns.mean_before(), self.turns.mean());
        // The share of turns that are not first ones.
        let later = 1.0 - 1.0 / turns;
        let history = later * first.1 + (before - later) * output + before * new;
        (
            f64::from(self.system_prompt_tokens) + first.0 + history,
            (1.0 - later) * first.1 + later * output,
        )
    }
}

impl SessionPlan {
    /// Mean prompt tokens over all turns that no turn of the session said before, nor the system
    /// prompt: what is left to compute where a prefix cache forgets nothing, but for the parts of
    /// blocks, which are never found. `first_prompt` as above.
    pub fn mean_new_tokens(&self, first_prompt: f64) -> f64 {
        let first = 1.0 / self.turns.mean();
        first * first_prompt + (1.0 - first) * self.lengths.means().0
    }

    /// What stands for the tokens of a session: the system prompt is that of all, the rest its own.
    fn prefix(&self, serial: u64) -> Prefix {
        Prefix::Group {
            shared: 0,
            shared_tokens: self.system_prompt_tokens,
            own: serial,
        }
    }

    /// Mean tokens said before a turn, over the turns after the first, the system prompt included;
    /// 0 where there are none.
    pub fn mean_history_tokens(&self, first: (f64, f64)) -> f64 {
        let turns = self.turns.mean();
        let all = self.mean_tokens(first).0 - self.mean_new_tokens(first.0);
        // First turns have the system prompt beside what is new, and nothing was said before them.
        let later = 1.0 - 1.0 / turns;
        let system = f64::from(self.system_prompt_tokens);
        match later > 0.0 {
            true => (all - system / turns) / later,
            false => 0.0,
        }
    }
}

/// What became of sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct SessionCounts {
    /// Those that began.
    pub started: u64,
    /// Those that had all their turns.
    pub finished: u64,
    /// Those that ended because their context would have grown too long.
    pub too_long: u64,
    /// Those that ended because a turn was not answered.
    pub broken: u64,
    /// Those whose next turn came after the last arrival of the run.
    pub cut: u64,
    /// Those still open.
    pub open: u64,
}

impl SessionCounts {
    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &SessionCounts) {
        self.started += other.started;
        self.finished += other.finished;
        self.too_long += other.too_long;
        self.broken += other.broken;
        self.cut += other.cut;
        self.open += other.open;
    }

    /// Whether every session that began is accounted for.
    pub fn balances(&self) -> bool {
        self.started == self.finished + self.too_long + self.broken + self.cut + self.open
    }
}

/// A population of clients, and which of its users.
pub type Client = (u16, u32);

/// An open session: there may be millions that think.
#[derive(Debug, Clone)]
struct Session {
    serial: u64,
    /// Words drawn so far from its stream of think times.
    think_words: u64,
    /// Words drawn so far from its stream of lengths.
    length_words: u64,
    tier: u16,
    turns_left: u32,
    /// Tokens of the turns so far, answers included.
    history_tokens: u64,
    /// The next turn's new tokens and output tokens, drawn when the last one was answered.
    next: (u32, u32),
    /// Whose it is, once that is known.
    client: Option<Client>,
}

const _: () = assert!(size_of::<Option<Session>>() <= 64);

/// The open sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    plan: SessionPlan,
    streams: Streams,
    list: Vec<Option<Session>>,
    free: Vec<u32>,
    /// Sessions of the arrival process so far, and those beside it.
    serial: u64,
    beside: u64,
    counts: SessionCounts,
}

/// Numbers of sessions beside the arrival process begin here: however many there are, those of the
/// process are what they would be without.
const BESIDE: u64 = 1 << 63;

/// Draws from a stream from where it was left, `words` words on.
fn go_on<T>(mut rng: SimRng, words: &mut u64, draw: impl FnOnce(&mut SimRng) -> T) -> T {
    rng.set_word_pos(u128::from(*words));
    let drawn = draw(&mut rng);
    // 2^64 words are more than a session draws.
    *words = rng.get_word_pos() as u64;
    drawn
}

/// A turn that comes: prompt and output tokens, the tier, and what it has in common with others.
pub type Turn = (u32, u32, u16, Prefix);

impl Sessions {
    /// None open yet.
    pub fn new(plan: SessionPlan, streams: Streams) -> Sessions {
        Sessions {
            plan,
            streams,
            list: Vec::new(),
            free: Vec::new(),
            serial: 0,
            beside: 0,
            counts: SessionCounts::default(),
        }
    }

    /// What became of them.
    pub fn counts(&self) -> SessionCounts {
        self.counts
    }

    /// A session begins with a prompt of `prompt_tokens` beside the system prompt: its number, and
    /// its first turn.
    pub fn start(&mut self, prompt_tokens: u32, output_tokens: u32, tier: u16) -> (u32, Turn) {
        let serial = self.serial;
        self.serial += 1;
        let prompt = prompt_tokens.saturating_add(self.plan.system_prompt_tokens);
        self.open(serial, (prompt, output_tokens), tier)
    }

    /// Another session begins whose first turn is as long as that of one that came, the system
    /// prompt included; all that follows is its own.
    pub fn start_beside(&mut self, first: (u32, u32), tier: u16) -> (u32, Turn) {
        let serial = BESIDE | self.beside;
        self.beside += 1;
        self.open(serial, first, tier)
    }

    fn open(&mut self, serial: u64, (prompt, output): (u32, u32), tier: u16) -> (u32, Turn) {
        self.counts.started += 1;
        self.counts.open += 1;
        let mut rng = self.streams.stream("session", serial, "turns");
        let turns = self.plan.turns.sample(&mut rng);
        let session = Session {
            serial,
            think_words: 0,
            length_words: 0,
            tier,
            turns_left: turns - 1,
            history_tokens: u64::from(prompt) + u64::from(output),
            next: (0, 0),
            client: None,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.list[number as usize] = Some(session);
                number
            }
            None => {
                self.list.push(Some(session));
                self.list.len() as u32 - 1
            }
        };
        let prefix = self.plan.prefix(serial);
        (number, (prompt, output, tier, prefix))
    }

    /// A session whose first turn never came: as if it had not begun.
    pub fn never_came(&mut self, number: u32) {
        self.counts.started -= u64::from(self.take(number));
    }

    /// Whose session it is, if it is open and that is known.
    pub fn client(&self, number: u32) -> Option<Client> {
        self.list.get(number as usize)?.as_ref()?.client
    }

    /// Keeps whose session it is. Without effect where it is not open.
    pub fn is_of(&mut self, number: u32, client: Client) {
        if let Some(Some(session)) = self.list.get_mut(number as usize) {
            session.client = Some(client);
        }
    }

    /// A turn ended, answered or not: the time until the next one, if there is one.
    pub fn turn_ended(&mut self, number: u32, answered: bool) -> Option<SimDuration> {
        let session = self.list.get_mut(number as usize)?.as_mut()?;
        if !answered {
            self.close(number, |counts| &mut counts.broken);
            return None;
        }
        if session.turns_left == 0 {
            self.close(number, |counts| &mut counts.finished);
            return None;
        }
        session.turns_left -= 1;
        let (plan, streams, serial) = (&self.plan, self.streams, session.serial);
        let pause = go_on(
            streams.stream("session", serial, "think times"),
            &mut session.think_words,
            |rng| plan.think.sample(rng),
        );
        session.next = go_on(
            streams.stream("session", serial, "lengths"),
            &mut session.length_words,
            |rng| plan.lengths.sample(rng),
        );
        let longest =
            session.history_tokens + u64::from(session.next.0) + u64::from(session.next.1);
        if longest > u64::from(self.plan.max_context_tokens) {
            self.close(number, |counts| &mut counts.too_long);
            return None;
        }
        Some(pause)
    }

    /// The next turn comes.
    pub fn turn(&mut self, number: u32) -> Option<Turn> {
        let session = self.list.get_mut(number as usize)?.as_mut()?;
        let (new, output) = session.next;
        // Within `max_context_tokens`, which is a `u32`.
        let prompt = (session.history_tokens + u64::from(new)) as u32;
        session.history_tokens = u64::from(prompt) + u64::from(output);
        let prefix = self.plan.prefix(session.serial);
        Some((prompt, output, session.tier, prefix))
    }

    /// The next turn would come after the last arrival of the run.
    pub fn cut(&mut self, number: u32) {
        self.close(number, |counts| &mut counts.cut);
    }

    fn close(&mut self, number: u32, kind: fn(&mut SessionCounts) -> &mut u64) {
        let open = self.take(number);
        *kind(&mut self.counts) += u64::from(open);
    }

    /// Takes a session from the list; false where it is not open.
    fn take(&mut self, number: u32) -> bool {
        let entry = self.list.get_mut(number as usize);
        let open = entry.is_some_and(|entry| entry.take().is_some());
        if open {
            self.free.push(number);
            self.counts.open -= 1;
        }
        open
    }
}
