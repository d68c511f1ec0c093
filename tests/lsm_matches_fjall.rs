//! The simulated store beside a real one, `fjall`, after the same writes in the same shape. It has a file
//! of its own, since what a process writes is counted for all of its threads.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests
#![cfg(feature = "lsm-calibration")]

use seatrial::calibrate::lsm::{Workload, calibrate};

#[test]
fn amplification_and_levels_are_those_of_fjall() {
    let folder = tempfile::tempdir().unwrap();
    for (size_ratio, rounds) in [(4, 2), (8, 3)] {
        let workload = Workload {
            size_ratio,
            rounds,
            ..Workload::quick()
        };
        let calibration = calibrate(&workload, folder.path()).unwrap();
        let (real, simulated) = (&calibration.measured.shape, &calibration.simulated);
        eprintln!("T {size_ratio}: fjall {real:?}\n     simulated {simulated:?}");
        let near = |a: f64, b: f64| (a / b - 1.0).abs() <= 0.15;
        assert_eq!(real.depth, simulated.depth);
        assert!(near(
            simulated.write_amplification,
            real.write_amplification
        ));
        assert!(near(
            simulated.space_amplification,
            real.space_amplification
        ));
    }
}
