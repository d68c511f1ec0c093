//! What logs that are read and nights that are replayed promise.

mod incidents_read_like_their_accounts;
mod logs_are_read;
mod logs_never_panic;
mod logs_round_trip;
mod logs_that_are_malformed;
mod replays_are_paired;
mod replays_recover_what_was_hidden;
mod replays_refuse_what_cannot_be_judged;
