//! The prefix index finds what a plain list of blocks per member finds, whatever is sent, stored,
//! evicted and dropped.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::fleet::balance::PrefixIndex;
use seatrial::fleet::prefix::Prefix;
use seatrial::scenario::balance::PrefixIndex as Config;

const MEMBERS: u32 = 25;

#[derive(Debug, Clone)]
enum Step {
    Sent(u32, u64, u32),
    Stored(u32, u64, u32),
    Evicted(u32, u64, u32),
    Dropped(u32),
    Asked(u64, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = 0..MEMBERS;
    // Prompts of few groups, which share three blocks by twos.
    let (prompt, blocks) = (0_u64..6, 0_u32..14);
    let step = prop_oneof![
        4 => (member.clone(), prompt.clone(), blocks.clone())
            .prop_map(|(member, prompt, blocks)| Step::Sent(member, prompt, blocks)),
        3 => (member.clone(), prompt.clone(), blocks.clone())
            .prop_map(|(member, prompt, block)| Step::Stored(member, prompt, block)),
        3 => (member.clone(), prompt.clone(), blocks.clone())
            .prop_map(|(member, prompt, block)| Step::Evicted(member, prompt, block)),
        1 => member.prop_map(Step::Dropped),
        4 => (prompt, blocks).prop_map(|(prompt, blocks)| Step::Asked(prompt, blocks)),
    ];
    prop::collection::vec(step, 1..250)
}

fn key(prompt: u64, block: u32) -> u64 {
    let prefix = Prefix::Group {
        shared: prompt / 2,
        shared_tokens: 48,
        own: prompt,
    };
    prefix.key(block, 16)
}

/// A member's blocks, the one used last at the end.
#[derive(Debug, Clone)]
struct Model {
    held: Vec<Vec<u64>>,
    most: usize,
    prompt_most: u32,
    behind_gaps: bool,
}

impl Model {
    fn store(&mut self, member: u32, key: u64) {
        let held = &mut self.held[member as usize];
        let known = held.iter().position(|other| *other == key);
        if let Some(at) = known {
            held.remove(at);
        } else if held.len() == self.most {
            held.remove(0);
        }
        held.push(key);
    }

    fn matched(&self, member: u32, keys: &[u64]) -> u32 {
        let holds = |key: &u64| self.held[member as usize].contains(key);
        let anybody = |key: &u64| self.held.iter().any(|held| held.contains(key));
        let count = match self.behind_gaps {
            true => keys
                .iter()
                .take_while(|key| anybody(key))
                .filter(|key| holds(key))
                .count(),
            false => keys.iter().take_while(|key| holds(key)).count(),
        };
        count as u32
    }
}

fn check(config: &Config, mut model: Model, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut index = PrefixIndex::new(config, MEMBERS);
    for step in steps {
        match step {
            Step::Sent(member, prompt, blocks) => {
                index.sent(member, |block| key(prompt, block), blocks);
                for block in 0..blocks.min(model.prompt_most) {
                    model.store(member, key(prompt, block));
                }
            }
            Step::Stored(member, prompt, block) => {
                index.stored(member, key(prompt, block));
                model.store(member, key(prompt, block));
            }
            Step::Evicted(member, prompt, block) => {
                index.evicted(member, key(prompt, block));
                model.held[member as usize].retain(|other| *other != key(prompt, block));
            }
            Step::Dropped(member) => {
                index.drop_member(member);
                model.held[member as usize].clear();
            }
            Step::Asked(prompt, blocks) => {
                let keys: Vec<u64> = (0..blocks.min(model.prompt_most))
                    .map(|block| key(prompt, block))
                    .collect();
                let matches = index.lookup(|block| key(prompt, block), blocks);
                prop_assert_eq!(matches.asked() as usize, keys.len());
                let mut listed = 0;
                for member in 0..MEMBERS {
                    let expected = model.matched(member, &keys);
                    prop_assert_eq!(matches.of(member), expected);
                    listed += usize::from(expected > 0);
                }
                prop_assert_eq!(matches.members().count(), listed);
            }
        }
        let mut blocks: Vec<u64> = model.held.concat();
        blocks.sort_unstable();
        blocks.dedup();
        prop_assert_eq!(index.blocks(), blocks.len());
        for (member, held) in (0..).zip(&model.held) {
            prop_assert_eq!(index.blocks_of(member) as usize, held.len());
        }
    }
    Ok(())
}

fn model(most: usize, prompt_most: u32, behind_gaps: bool) -> Model {
    Model {
        held: vec![Vec::new(); MEMBERS as usize],
        most,
        prompt_most,
        behind_gaps,
    }
}

proptest! {
    #[test]
    fn the_precise_index_is_the_model(steps in steps()) {
        let config = Config::Precise { block_size: 16 };
        check(&config, model(usize::MAX, u32::MAX, false), steps)?;
    }

    #[test]
    fn the_approximate_index_is_the_model(
        steps in steps(),
        blocks_per_member in 1_u32..20,
        max_prompt_blocks in 1_u32..14,
        count_behind_gaps: bool,
    ) {
        let config = Config::Approximate {
            block_size: 16,
            max_prompt_blocks,
            blocks_per_member,
            count_behind_gaps,
        };
        let model = model(blocks_per_member as usize, max_prompt_blocks, count_behind_gaps);
        check(&config, model, steps)?;
    }
}

#[test]
fn prompts_of_a_group_match_in_what_they_share() {
    let config = Config::Approximate {
        block_size: 16,
        max_prompt_blocks: 256,
        blocks_per_member: 31_250,
        count_behind_gaps: true,
    };
    let mut index = PrefixIndex::new(&config, 3);
    index.sent(1, |block| key(0, block), 10);
    let matches = index.lookup(|block| key(1, block), 10);
    // 48 shared tokens are three blocks of 16.
    assert_eq!([0, 1, 2].map(|member| matches.of(member)), [0, 3, 0]);
    assert_eq!(matches.longest(), 3);
    assert_eq!(index.lookup(|block| key(0, block), 400).of(1), 10);
}
