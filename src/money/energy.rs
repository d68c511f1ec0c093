//! Energy of nodes from their busy and idle time, and the CO2 of making it.
//!
//! A model of two levels: a busy node draws [`NodePower::busy_w`] and an idle one [`NodePower::idle_w`].
//! Taken from the TDP this is an upper bound when busy: decode, bound by memory, draws less than the TDP.

use serde::Serialize;

use crate::engine::SimDuration;

/// Joules in a kWh.
const J_PER_KWH: f64 = 3.6e6;
/// Nanoseconds in a second.
const NS_PER_S: f64 = 1e9;

/// Why an energy could not be worked out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{name} = {value} is out of range: it must be {allowed}")]
pub struct EnergyError {
    /// The argument's name.
    pub name: &'static str,
    /// The value given.
    pub value: f64,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

fn within(
    name: &'static str,
    value: f64,
    low: f64,
    high: f64,
    allowed: &'static str,
) -> Result<f64, EnergyError> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(EnergyError {
            name,
            value,
            allowed,
        })
    }
}

fn watts(name: &'static str, value: f64) -> Result<f64, EnergyError> {
    within(name, value, 0.0, 1e9, "0 or more and at most 1e9 W")
}

/// What a node draws at its inlet, in watts.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct NodePower {
    idle_w: f64,
    busy_w: f64,
}

impl NodePower {
    /// A node that draws `idle_w` watts when it does nothing and `busy_w` when it works, each 0 to 1e9.
    ///
    /// # Errors
    /// A value out of range, or `busy_w` below `idle_w`.
    pub fn new(idle_w: f64, busy_w: f64) -> Result<Self, EnergyError> {
        watts("idle_w", idle_w)?;
        watts("busy_w", busy_w)?;
        if busy_w < idle_w {
            return Err(EnergyError {
                name: "busy_w",
                value: busy_w,
                allowed: "at least idle_w",
            });
        }
        Ok(Self { idle_w, busy_w })
    }

    /// A node of `devices` accelerators of `tdp_w` watts each (0 to 1e9), beside a host that always draws
    /// `host_w` watts (0 where it is not to be counted). Busy accelerators draw their TDP, idle ones
    /// `idle_share_of_tdp` of it (0 to 1).
    ///
    /// # Errors
    /// A value out of range.
    pub fn from_tdp(
        tdp_w: f64,
        devices: u32,
        idle_share_of_tdp: f64,
        host_w: f64,
    ) -> Result<Self, EnergyError> {
        watts("tdp_w", tdp_w)?;
        watts("host_w", host_w)?;
        within(
            "idle_share_of_tdp",
            idle_share_of_tdp,
            0.0,
            1.0,
            "0 or more and at most 1",
        )?;
        let devices_w = tdp_w * f64::from(devices);
        Self::new(host_w + idle_share_of_tdp * devices_w, host_w + devices_w)
    }

    /// What an idle node draws, watts.
    #[must_use]
    pub fn idle_w(&self) -> f64 {
        self.idle_w
    }

    /// What a busy node draws, watts.
    #[must_use]
    pub fn busy_w(&self) -> f64 {
        self.busy_w
    }

    /// What a node uses in `busy` and `idle` time, in a building that draws `pue` times what its machines
    /// do (1 to 10; power usage effectiveness, ISO/IEC 30134-2).
    ///
    /// # Errors
    /// A PUE out of range.
    pub fn energy(
        &self,
        busy: SimDuration,
        idle: SimDuration,
        pue: f64,
    ) -> Result<Energy, EnergyError> {
        within("pue", pue, 1.0, 10.0, "1 or more and at most 10")?;
        let joules = (self.busy_w * busy.0 as f64 + self.idle_w * idle.0 as f64) / NS_PER_S;
        let node_kwh = joules / J_PER_KWH;
        Ok(Energy {
            node_kwh,
            site_kwh: node_kwh * pue,
        })
    }
}

/// Energy used.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Energy {
    /// By the nodes, kWh.
    pub node_kwh: f64,
    /// By the nodes and what cools and feeds them, kWh.
    pub site_kwh: f64,
}

impl Energy {
    /// Both energies together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            node_kwh: self.node_kwh + other.node_kwh,
            site_kwh: self.site_kwh + other.site_kwh,
        }
    }

    /// The grams of CO2 of making the site's energy where a kWh takes `g_co2_per_kwh` grams (0 to 1e5).
    /// Location-based: what the grid emits, not what certificates offset.
    ///
    /// # Errors
    /// An intensity out of range.
    pub fn g_co2(&self, g_co2_per_kwh: f64) -> Result<f64, EnergyError> {
        within(
            "g_co2_per_kwh",
            g_co2_per_kwh,
            0.0,
            1e5,
            "0 or more and at most 1e5",
        )?;
        Ok(self.site_kwh * g_co2_per_kwh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * b.abs()
    }

    #[test]
    fn eight_devices_by_hand() {
        // 8 x 700 W = 5,600 W busy, a tenth of it idle; 3 h busy and 1 h idle are 16.8 + 0.56 = 17.36 kWh.
        let power = NodePower::from_tdp(700.0, 8, 0.1, 0.0).unwrap();
        assert_eq!(power.busy_w(), 5_600.0);
        assert!(close(power.idle_w(), 560.0));
        let energy = power
            .energy(SimDuration(3 * HOUR), SimDuration(HOUR), 1.25)
            .unwrap();
        assert!(close(energy.node_kwh, 17.36));
        assert!(close(energy.site_kwh, 21.7));
        // 21.7 kWh at 400 g are 8,680 g.
        assert!(close(energy.g_co2(400.0).unwrap(), 8_680.0));
        assert!(close(energy.plus(energy).site_kwh, 43.4));
    }

    #[test]
    fn a_host_draws_always() {
        let power = NodePower::from_tdp(300.0, 4, 0.5, 200.0).unwrap();
        assert_eq!((power.idle_w(), power.busy_w()), (800.0, 1_400.0));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let message = NodePower::from_tdp(700.0, 8, 1.5, 0.0)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "idle_share_of_tdp = 1.5 is out of range: it must be 0 or more and at most 1"
        );
        assert!(NodePower::new(2.0, 1.0).is_err());
        assert!(NodePower::new(f64::NAN, 1.0).is_err());
        let power = NodePower::new(1.0, 2.0).unwrap();
        assert!(power.energy(SimDuration(1), SimDuration(1), 0.99).is_err());
        assert!(Energy::default().g_co2(f64::INFINITY).is_err());
    }

    proptest! {
        #[test]
        fn energy_is_finite_and_rises_with_work(
            busy in any::<u64>(), idle in any::<u64>(), tdp_w in 0.0_f64..1e4, share in 0.0_f64..=1.0,
        ) {
            let power = NodePower::from_tdp(tdp_w, 8, share, 0.0).unwrap();
            let of = |busy, idle| power.energy(SimDuration(busy), SimDuration(idle), 1.2).unwrap();
            let energy = of(busy, idle);
            prop_assert!(energy.site_kwh.is_finite() && energy.site_kwh >= energy.node_kwh);
            prop_assert!(of(busy, idle / 2).site_kwh <= energy.site_kwh);
            prop_assert!(of(busy / 2, idle).site_kwh <= energy.site_kwh);
        }
    }
}
