//! What reports, diagrams and files for others promise.

#[path = "../common/mod.rs"]
mod common;

mod diagrams_show_the_fleet;
mod files_are_as_documented;
mod reports_open_in_a_browser;
mod reports_say_what_was_found;
mod timelines_tell_what_was_so;
mod traces_open_in_viewers;
