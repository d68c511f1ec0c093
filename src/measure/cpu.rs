//! The processor time and memory that a run costs on this machine; never part of its results.
//!
//! On Linux both are read from `/proc`. Elsewhere the clock is a wall clock, and the memory is
//! not known.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// Ticks a second in which Linux gives processor times in `stat`.
const TICKS_PER_S: f64 = 100.0;

/// A stopwatch of processor time, of one thread or of the whole process.
///
/// A thread's time comes from the scheduler, exact but for the last few ms. The process's is
/// the greater of that over its living threads and the kernel's own count with a resolution of
/// 10 ms, which has the threads that ended too. Where `/proc` does not have them, it is a wall
/// clock.
#[derive(Debug, Clone)]
pub struct CpuClock {
    source: Source,
    wall: Instant,
}

#[derive(Debug, Clone)]
enum Source {
    /// A task's directory under `/proc`, with the time it had used in s.
    Thread(PathBuf, f64),
    /// Time used in s: by the scheduler over living threads, and by ticks.
    Process(Option<f64>, f64),
    Wall,
}

impl CpuClock {
    /// Starts a clock of the calling thread; of the process where a thread's time is not known.
    pub fn start() -> CpuClock {
        let thread = fs::read_link("/proc/thread-self")
            .ok()
            .map(|task| PathBuf::from("/proc").join(task));
        match thread.and_then(|task| task_s(&task).map(|used| (task, used))) {
            Some((task, used)) => CpuClock {
                source: Source::Thread(task, used),
                wall: now(),
            },
            None => CpuClock::start_process(),
        }
    }

    /// Starts a clock of all threads of the process together.
    pub fn start_process() -> CpuClock {
        let source = ticks_s("/proc/self/stat").map_or(Source::Wall, |ticks| {
            Source::Process(living_threads_s(), ticks)
        });
        CpuClock {
            source,
            wall: now(),
        }
    }

    /// Processor time used since the start, in s. Of a thread that has ended meanwhile, 0.
    pub fn elapsed_s(&self) -> f64 {
        let used = match &self.source {
            Source::Thread(task, start) => task_s(task).map_or(0.0, |now| now - start),
            Source::Process(scheduled, ticks) => {
                let by_ticks = ticks_s("/proc/self/stat").map_or(0.0, |now| now - ticks);
                let by_scheduler = match (scheduled, living_threads_s()) {
                    (Some(start), Some(now)) => now - start,
                    _ => 0.0,
                };
                by_ticks.max(by_scheduler)
            }
            Source::Wall => self.wall.elapsed().as_secs_f64(),
        };
        used.max(0.0)
    }
}

/// The greatest resident memory of the process so far, in MB (10⁶ bytes); none where it is not
/// known.
pub fn peak_rss_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Makes [`peak_rss_mb`] that from now on; false where that cannot be done, and it stays that of the
/// whole process.
pub fn reset_peak_rss() -> bool {
    // See proc(5), clear_refs: 5 resets the peak.
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The wall clock, which no result may depend on.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// Time used by a task in s, by the scheduler or else by ticks.
fn task_s(task: &std::path::Path) -> Option<f64> {
    // The scheduler brings a running task up to date when it yields; otherwise only at its ticks,
    // and a short run would have taken no time at all.
    std::thread::yield_now();
    scheduled_s(&task.join("schedstat")).or_else(|| ticks_s(task.join("stat")))
}

/// Time used in s by a `schedstat` file; none where the kernel does not keep it.
fn scheduled_s(path: &std::path::Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let ns: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    // A task that reads its own file has run, unless nobody counts.
    (ns > 0 || !text.trim_end().ends_with(" 0")).then_some(ns as f64 / 1e9)
}

/// Time used in s by the living threads of the process.
fn living_threads_s() -> Option<f64> {
    let mut total = 0.0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end between the listing and the reading.
        if let Some(used) = scheduled_s(&task.ok()?.path().join("schedstat")) {
            total += used;
        }
    }
    (total > 0.0).then_some(total)
}

/// Time used in s, user and system, by a `stat` file.
fn ticks_s(path: impl AsRef<std::path::Path>) -> Option<f64> {
    ticks_of(&fs::read_to_string(path).ok()?)
}

fn ticks_of(stat: &str) -> Option<f64> {
    // The name, in brackets, may hold spaces and brackets; 11 fields lie between it and these.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn() -> u64 {
        (0..80_000_000_u64).fold(1, |x, i| std::hint::black_box(x ^ i).rotate_left(5))
    }

    #[test]
    fn ticks_are_read_after_a_name_with_brackets() {
        let stat = "12 (a) b (c)) R 1 1 1 0 -1 4194304 106 0 0 0 250 50 9 9 20 0 1 0";
        assert_eq!(ticks_of(stat), Some(3.0));
        assert_eq!(ticks_of("12"), None);
    }

    #[test]
    fn work_takes_processor_time() {
        let (thread, process) = (CpuClock::start(), CpuClock::start_process());
        let wall = now();
        std::hint::black_box(burn());
        let wall_s = wall.elapsed().as_secs_f64();
        assert!(thread.elapsed_s() > 0.0);
        assert!(thread.elapsed_s() <= wall_s + 0.05);
        assert!(process.elapsed_s() > 0.0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sleep_takes_none() {
        let clock = CpuClock::start();
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert!(clock.elapsed_s() < 0.05, "{}", clock.elapsed_s());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_known() {
        let mb = peak_rss_mb().unwrap();
        assert!((0.5..100_000.0).contains(&mb), "{mb}");
    }
}
