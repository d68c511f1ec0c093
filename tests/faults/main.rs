//! What faults do, and what becomes of nodes and clients.

#[path = "../common/mod.rs"]
mod common;

mod dns_hands_clients_over;
mod faults_are_checked;
mod faults_are_imported;
mod faults_come_in_order;
mod faults_do_what_they_say;
mod faults_lose_nothing;
mod nodes_are_accounted_for;
mod nodes_come_and_go;
mod round_trips_are_looked_up;
