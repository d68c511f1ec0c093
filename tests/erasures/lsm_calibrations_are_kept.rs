//! The simulated store does what the measured one did, for every calibration that is shipped: the tree
//! after the same writes is within 15 % of the real one's, and is the one that the file says.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use std::path::Path;

use seatrial::calibrate::lsm::LsmCalibration;

#[test]
fn shipped_calibrations_are_matched() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/lsm");
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        found += 1;
        let calibration = LsmCalibration::read(path.to_str().unwrap(), Path::new("")).unwrap();
        let simulated = calibration.workload.simulate().unwrap();
        assert_eq!(simulated, calibration.simulated, "{}", path.display());
        let real = &calibration.measured.shape;
        eprintln!(
            "{}: real {real:?}\n  simulated {simulated:?}",
            path.display()
        );
        assert_eq!(simulated.depth, real.depth);
        let near = |a: f64, b: f64| (a / b - 1.0).abs() <= 0.15;
        assert!(near(
            simulated.write_amplification,
            real.write_amplification
        ));
        assert!(near(
            simulated.space_amplification,
            real.space_amplification
        ));
    }
    assert!(found > 0);
}
