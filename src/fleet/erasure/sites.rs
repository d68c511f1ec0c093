//! Where stores are: the places of a fleet that have to forget.

use std::sync::Arc;

use crate::engine::Streams;
use crate::fleet::spot::errors::RuleError;

use super::caches::Cache;
use super::desk::Erasure;
use super::logs::{Log, LogRow, PurgeSums};
use super::meters::PlaceMeter;

impl Erasure {
    pub(super) fn row(&mut self, store: &str, region: Option<u16>) -> u16 {
        let places = &mut self.meters.places;
        places.push(PlaceMeter::new(store, region));
        (places.len() - 1) as u16
    }

    pub(super) fn add_logs(&mut self, streams: Streams) -> Result<(), RuleError> {
        let plan = Arc::clone(&self.plan);
        let fleet = Arc::clone(&self.fleet);
        let regions = fleet.topology.regions.len() as u16;
        for (store, log) in (0_u16..).zip(&plan.logs) {
            self.first_log.push(self.logs.len());
            let sites: Vec<(u16, Option<u32>, u16)> = match log.pool {
                None => (0..regions)
                    .map(|region| (region, None, self.row(&log.name, Some(region))))
                    .collect(),
                Some(pool) => {
                    let region = fleet.pools[usize::from(pool)].region;
                    let row = self.row(&log.name, Some(region));
                    let before = fleet.pools[..usize::from(pool)].iter();
                    let first: u32 = before.map(|pool| pool.replicas).sum();
                    let replicas = first..first + fleet.pools[usize::from(pool)].replicas;
                    replicas
                        .map(|replica| (region, Some(replica), row))
                        .collect()
                }
            };
            for (region, replica, row) in sites {
                let site = (store, region, replica, row);
                let world = (&self.subjects, regions, plan.horizon);
                self.logs.push(Log::new(log, site, world, streams)?);
                self.purges.push(PurgeSums::default());
            }
        }
        Ok(())
    }

    pub(super) fn add_others(&mut self, regions: u16) {
        let plan = Arc::clone(&self.plan);
        self.kv_row = plan.kv.as_ref().map(|kv| self.row(&kv.name, None));
        for cache in &plan.caches {
            for region in 0..regions {
                let row = self.row(&cache.name, Some(region));
                self.caches.push(Cache::new(cache, region, row));
            }
        }
        for (index, backup) in plan.backups.iter().enumerate() {
            for log in self.logs_of(backup.of) {
                let region = self.logs[log].region;
                let before = self.backup_rows.range((index, 0)..(index, log));
                let same = before.map(|(_, row)| *row).next_back();
                // The copies of logs on replicas are one place.
                let row = match (self.logs[log].replica, same) {
                    (Some(_), Some(row)) => row,
                    _ => self.row(&backup.name, Some(region)),
                };
                self.backup_rows.insert((index, log), row);
            }
        }
        // Reads of these see nothing any more as soon as they are told.
        self.is_blind_early = vec![false; self.meters.places.len()];
        let logs = self.logs.iter().map(|log| log.row);
        for row in logs.chain(self.backup_rows.values().copied()) {
            self.is_blind_early[usize::from(row)] = true;
        }
    }

    /// The logs of a store, by index over all.
    pub(super) fn logs_of(&self, store: usize) -> std::ops::Range<usize> {
        let from = self.first_log.get(store).copied().unwrap_or(0);
        let to = self.first_log.get(store + 1).copied();
        from..to.unwrap_or(self.logs.len())
    }

    /// The logs by store and region: those on replicas of a pool together.
    #[must_use]
    pub fn log_rows(&self) -> Vec<LogRow> {
        let mut rows: Vec<((u16, u16), LogRow)> = Vec::new();
        for (log, purges) in self.logs.iter().zip(&self.purges) {
            let row = LogRow {
                purges: *purges,
                ..log.at_end.clone().unwrap_or_else(|| log.row())
            };
            let key = (log.store, log.region);
            match rows.iter_mut().find(|(other, _)| *other == key) {
                Some((_, known)) => known.merge(&row),
                None => rows.push((key, row)),
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }
}
