//! What each kind of entry of a price file may hold.

use super::check::{Check, Entry, Numbers};
use super::entries::{
    Billing, Carbon, Compute, Egress, Kind, Power, Reserved, Storage, Upfront, term_name,
};
use super::error::BookError;
use super::parse::Place;

const USD_PER_GPU_HOUR: Numbers = Numbers {
    ok: |usd| usd > 0.0 && usd <= 1_000.0,
    allowed: "above 0 and at most 1000",
    remedy: "give US dollars per accelerator and hour, not per node or per month",
};
const GPUS_PER_NODE: Numbers = Numbers {
    ok: |gpus| (1.0..=1_024.0).contains(&gpus),
    allowed: "1 to 1024",
    remedy: "give the accelerators of one node",
};
const TERM_YEARS: Numbers = Numbers {
    ok: |years| (1.0..=10.0).contains(&years),
    allowed: "1 to 10",
    remedy: "give whole years; leave it out where upfront = \"owned\"",
};
const DISCOUNT: Numbers = Numbers {
    ok: |share| share > 0.0 && share < 1.0,
    allowed: "above 0 and below 1",
    remedy: "give the share that is saved: 0.4 for 40 %",
};
const GRANULARITY_S: Numbers = Numbers {
    ok: |s| s > 0.0 && s <= 2_678_400.0,
    allowed: "above 0 and at most 2678400",
    remedy: "give seconds: 1, 60 or 3600",
};
const MINIMUM_S: Numbers = Numbers {
    ok: |s| (0.0..=2_678_400.0).contains(&s),
    allowed: "0 to 2678400",
    remedy: "give seconds, 0 for no minimum",
};
const USD_PER_GB: Numbers = Numbers {
    ok: |usd| (0.0..=100.0).contains(&usd),
    allowed: "0 to 100",
    remedy: "give US dollars per 1e9 bytes, 0 where it is free",
};
const USD_PER_GB_MONTH: Numbers = Numbers {
    ok: |usd| usd > 0.0 && usd <= 100.0,
    allowed: "above 0 and at most 100",
    remedy: "give US dollars per 1e9 bytes and month",
};
const G_CO2_PER_KWH: Numbers = Numbers {
    ok: |g| g > 0.0 && g <= 2_000.0,
    allowed: "above 0 and at most 2000",
    remedy: "give grams per kWh, which are also kg per MWh",
};
const PUE: Numbers = Numbers {
    ok: |pue| (1.0..=3.0).contains(&pue),
    allowed: "1 to 3",
    remedy: "give the site's draw over its machines', such as 1.2",
};
const IDLE_SHARE: Numbers = Numbers {
    ok: |share| share > 0.0 && share <= 1.0,
    allowed: "above 0 and at most 1",
    remedy: "give a share of the TDP: 0.15 for 15 %",
};

impl Entry for Compute {
    const TABLE: &'static str = "compute";
    fn names(&self) -> Vec<String> {
        vec![
            self.provider.clone(),
            self.part.clone(),
            self.region.clone(),
        ]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("provider", &self.provider)?;
        check.name("part", &self.part)?;
        check.name("region", &self.region)?;
        check.number(
            "gpus_per_node",
            f64::from(self.gpus_per_node),
            &GPUS_PER_NODE,
        )?;
        check.number(
            "on_demand_usd_per_gpu_hour",
            self.on_demand_usd_per_gpu_hour,
            &USD_PER_GPU_HOUR,
        )?;
        check.maybe(
            "spot_usd_per_gpu_hour",
            self.spot_usd_per_gpu_hour,
            &USD_PER_GPU_HOUR,
        )?;
        check.source(&self.source)?;
        check.as_of(Some(&self.as_of))
    }
}

impl Entry for Reserved {
    const TABLE: &'static str = "reserved";
    fn names(&self) -> Vec<String> {
        let term = term_name(self.term_years);
        let upfront = self.upfront.name().to_owned();
        vec![self.provider.clone(), self.part.clone(), term, upfront]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("provider", &self.provider)?;
        check.name("part", &self.part)?;
        check.maybe("term_years", self.term_years.map(f64::from), &TERM_YEARS)?;
        check.maybe("discount", self.discount, &DISCOUNT)?;
        check.maybe("usd_per_gpu_hour", self.usd_per_gpu_hour, &USD_PER_GPU_HOUR)?;
        self.check_together(&check)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}

impl Reserved {
    fn check_together(&self, check: &Check<'_>) -> Result<(), BookError> {
        if self.discount.is_some() == self.usd_per_gpu_hour.is_some() {
            let both = self.discount.is_some();
            return Err(check.bad(
                "discount",
                String::from(if both {
                    "given beside usd_per_gpu_hour"
                } else {
                    "missing"
                }),
                "given, or else usd_per_gpu_hour, and not both",
                "give one of the two",
            ));
        }
        if self.term_years.is_some() == (self.upfront == Upfront::Owned) {
            return Err(check.bad(
                "term_years",
                self.term_years
                    .map_or_else(|| String::from("missing"), |years| years.to_string()),
                "given, unless upfront = \"owned\"",
                "state the years committed to, or that it is owned",
            ));
        }
        Ok(())
    }
}

impl Entry for Billing {
    const TABLE: &'static str = "billing";
    fn names(&self) -> Vec<String> {
        vec![self.provider.clone()]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("provider", &self.provider)?;
        check.number("granularity_s", self.granularity_s, &GRANULARITY_S)?;
        check.number("minimum_s", self.minimum_s, &MINIMUM_S)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}

impl Entry for Egress {
    const TABLE: &'static str = "egress";
    fn names(&self) -> Vec<String> {
        vec![self.provider.clone(), self.from.clone(), self.to.clone()]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("provider", &self.provider)?;
        check.name("from", &self.from)?;
        check.name("to", &self.to)?;
        check.number("usd_per_gb", self.usd_per_gb, &USD_PER_GB)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}

impl Entry for Storage {
    const TABLE: &'static str = "storage";
    fn names(&self) -> Vec<String> {
        vec![self.provider.clone(), self.class.clone()]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("provider", &self.provider)?;
        check.name("class", &self.class)?;
        check.number("usd_per_gb_month", self.usd_per_gb_month, &USD_PER_GB_MONTH)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}

impl Entry for Carbon {
    const TABLE: &'static str = "carbon";
    fn names(&self) -> Vec<String> {
        vec![self.region.clone()]
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.name("region", &self.region)?;
        check.number("g_co2_per_kwh", self.g_co2_per_kwh, &G_CO2_PER_KWH)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}

impl Entry for Power {
    const TABLE: &'static str = "power";
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn check(&self, at: &Place<'_>) -> Result<(), BookError> {
        let check = Check::of(self, at);
        check.number("pue", self.pue, &PUE)?;
        check.number("idle_share_of_tdp", self.idle_share_of_tdp, &IDLE_SHARE)?;
        check.source(&self.source)?;
        check.as_of(self.as_of.as_deref())
    }
}
