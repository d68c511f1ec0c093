//! What a user writes as `[faults]` is read, and refused with its place and a remedy where it is
//! wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::single_range_in_vec_init)]

use seatrial::scenario::faults::{
    FaultKind, Faults, FaultsFile, GPU_H100_LLAMA3_MTBF_H, Layout, Peer, PoolPlace, Target,
};
use seatrial::scenario::{Problems, ScenarioError, SourceText};

fn layout() -> Layout {
    let pool = |name: &str, first_replica, replicas, region| PoolPlace {
        name: name.to_owned(),
        first_replica,
        replicas,
        accelerators_per_replica: 8,
        region: Some(region),
    };
    Layout {
        pools: vec![pool("h100", 0, 10, 0), pool("spot", 10, 20, 1)],
        regions: vec!["us".to_owned(), "eu".to_owned()],
        populations: vec!["phones".to_owned()],
    }
}

fn read(text: &str) -> Result<Faults, ScenarioError> {
    let (document, faults) = Faults::parse(SourceText::new("f.toml", text))?;
    let mut problems = Problems::new(&document);
    faults.check("faults", &layout(), &mut problems);
    problems.finish().map(|()| faults)
}

#[track_caller]
fn refused(entry: &str, parts: &[&str]) {
    let message = read(entry).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// One entry of the timeline.
fn entry(rest: &str) -> String {
    format!("[[faults.timeline]]\nat_s = 120\nfor_s = 300\n{rest}\n")
}

const EVERY_KIND: &str = r#"
[[faults.timeline]]
at_s = 120.0
for_s = 300.0
kind = "crash"
target = { pool = "h100", replica = 3 }

[[faults.timeline]]
at_s = 1
until_s = 2
kind = "hang"
target = { rack = "r1" }

[[faults.timeline]]
at_s = 1
kind = "slow"
factor = 2
target = { pool = "h100", share = 0.3 }

[[faults.timeline]]
at_s = 1
kind = "packet_loss"
probability = 0.01
target = { region = "eu" }

[[faults.timeline]]
at_s = 1
kind = "partition"
target = { region = "us" }
from = { region = "eu" }

[[faults.timeline]]
at_s = 1
kind = "partition"
target = { region = "us" }
from = "clients"

[[faults.timeline]]
at_s = 1
kind = "brown_out"
share = 0.5
target = { pool = "spot" }

[[faults.timeline]]
at_s = 1
kind = "bad_deploy"
share = 0.008
share_steps = [[100, 0.01], [200, 0.16]]
misroute_to = "spot"

[[faults.timeline]]
at_s = 1
kind = "control_plane_loss"

[[faults.timeline]]
at_s = 1
kind = "dns_outage"
target = { population = "phones" }

[[faults.timeline]]
at_s = 1
for_s = 1000
kind = "oscillating"
period_s = 300
on_share = 0.4
target = { region = "eu" }
fault = { kind = "packet_loss", probability = 0.5 }

[[faults.timeline]]
at_s = 1
for_s = 60
kind = "traffic_spike"
factor = 3

[[faults.timeline]]
at_s = 1
kind = "drain"
target = { pool = "spot", replica = 0 }

[[faults.random]]
name = "gpus"
component = "gpu"
preset = "gpu_h100_llama3"
mttr = { law = "lognormal", mean_ms = 600000, scv = 2 }

[[faults.random]]
name = "switches"
component = "switch"
target = { pool = "spot" }
group_size = 4
mtbf_h = 20000
mttr_s = 3600
fault = { kind = "slow", factor = 3 }
distribution = { law = "weibull", shape = 0.7 }

[[faults.racks]]
name = "r1"
members = [{ pool = "h100", first_replica = 2, replicas = 4 }, { pool = "spot", replicas = 1 }]
"#;

#[test]
fn every_kind_is_read() {
    let faults = read(EVERY_KIND).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(faults.timeline.len(), 13);
    assert_eq!(faults.timeline[0].end_s(), Some(420.0));
    assert_eq!(faults.timeline[1].end_s(), Some(2.0));
    assert_eq!(faults.timeline[2].end_s(), None);
    assert_eq!(faults.timeline[0].target, Some(Target::replica("h100", 3)));
    let FaultKind::Partition { from } = &faults.timeline[4].fault else {
        panic!("{:?}", faults.timeline[4]);
    };
    assert_eq!(*from, Peer::Region("eu".to_owned()));
    assert_eq!(
        faults.timeline[12].fault,
        FaultKind::Drain { notice_s: 120.0 }
    );
    assert_eq!(faults.random[0].mean_up_h(), Some(GPU_H100_LLAMA3_MTBF_H));
    let layout = layout();
    let ranges =
        |target: &Option<Target>| layout.replicas_of(target.as_ref().unwrap(), &faults.racks);
    assert_eq!(ranges(&faults.timeline[0].target), [3..4]);
    assert_eq!(ranges(&faults.timeline[1].target), [2..6, 10..11]);
    assert_eq!(ranges(&faults.timeline[2].target), [0..3]);
    assert_eq!(ranges(&faults.timeline[3].target), [10..30]);
}

#[test]
fn the_preset_is_the_published_rate() {
    assert!((1.0 / GPU_H100_LLAMA3_MTBF_H - 1.97e-5).abs() < 0.005e-5);
}

#[test]
fn what_is_written_out_reads_the_same() {
    let faults = read(EVERY_KIND).unwrap();
    let text = toml::to_string(&FaultsFile {
        faults: faults.clone(),
    })
    .unwrap();
    assert_eq!(read(&text).unwrap(), faults);
    let schema = serde_json::to_value(schemars::schema_for!(FaultsFile)).unwrap();
    let shown = schema.to_string();
    for word in [
        "share_steps",
        "gpu_h100_llama3",
        "control_plane_loss",
        "weibull",
    ] {
        assert!(shown.contains(word), "{word}");
    }
}

#[test]
fn fields_that_a_kind_does_not_have() {
    let target = "target = { pool = \"h100\" }";
    refused(
        &entry(&format!("kind = \"slow\"\nfactr = 2\n{target}")),
        &["f.toml:", "factr", "`factor`"],
    );
    refused(
        &entry(&format!("kind = \"crash\"\nfactor = 2\n{target}")),
        &["factor", "is not a field here"],
    );
    refused(
        &entry(&format!("kind = \"slow\"\n{target}")),
        &["factor", "is missing"],
    );
    refused(
        &entry(&format!("kind = \"crush\"\n{target}")),
        &["crush", "`crash`"],
    );
    refused(
        &entry("kind = \"crash\"\ntarget = { pol = \"h100\" }"),
        &["pol", "`pool`"],
    );
    refused(
        &entry("kind = \"partition\"\ntarget = { region = \"us\" }\nfrom = \"client\""),
        &["`clients`"],
    );
    refused("[[faults.timeline]]\nkind = \"crash\"\n", &["at_s"]);
}

#[test]
fn numbers_out_of_range() {
    let target = "target = { pool = \"h100\" }";
    for (rest, field) in [
        ("kind = \"slow\"\nfactor = 1", "factor"),
        ("kind = \"slow\"\nfactor = 0.5", "factor"),
        ("kind = \"packet_loss\"\nprobability = 0", "probability"),
        ("kind = \"packet_loss\"\nprobability = 1.5", "probability"),
        ("kind = \"packet_loss\"\nprobability = nan", "probability"),
        ("kind = \"brown_out\"\nshare = 1", "share"),
        ("kind = \"bad_deploy\"\nshare = -0.1", "share"),
        ("kind = \"drain\"\nnotice_s = 300", "notice_s"),
        (
            "kind = \"oscillating\"\nperiod_s = 0\non_share = 0.5\nfault = { kind = \"hang\" }",
            "period_s",
        ),
        (
            "kind = \"oscillating\"\nperiod_s = 1\non_share = 1\nfault = { kind = \"hang\" }",
            "on_share",
        ),
        (
            "kind = \"oscillating\"\nperiod_s = 1\non_share = 0.5\n\
             fault = { kind = \"slow\", factor = 0 }",
            "fault.factor",
        ),
        (
            "kind = \"oscillating\"\nperiod_s = 1\non_share = 0.5\nfault = { kind = \"drain\" }",
            "cannot oscillate",
        ),
    ] {
        refused(&entry(&format!("{rest}\n{target}")), &[field]);
    }
    for steps in [
        "[[120, 0.1]]",
        "[[130, 0.1], [130, 0.2]]",
        "[[130, 1.1]]",
        "[[500, 0.1]]",
    ] {
        let rest = format!("kind = \"bad_deploy\"\nshare = 0.0\nshare_steps = {steps}");
        refused(&entry(&rest), &["share_steps", "rising"]);
    }
}

#[test]
fn windows() {
    let crash = "kind = \"crash\"\ntarget = { pool = \"h100\" }";
    let with = |window: &str| format!("[[faults.timeline]]\n{window}\n{crash}\n");
    refused(&with("at_s = -1"), &["at_s"]);
    refused(&with("at_s = inf"), &["at_s"]);
    refused(&with("at_s = 10\nfor_s = 0"), &["for_s"]);
    refused(&with("at_s = 10\nuntil_s = 10"), &["until_s", "after at_s"]);
    refused(
        &with("at_s = 10\nuntil_s = 20\nfor_s = 5"),
        &["beside for_s"],
    );
}

#[test]
fn targets() {
    let crash = |target: &str| entry(&format!("kind = \"crash\"\ntarget = {target}"));
    refused(
        &entry("kind = \"crash\""),
        &["target", "is needed by crash"],
    );
    refused(&crash("{}"), &["exactly one of"]);
    refused(
        &crash("{ pool = \"h100\", region = \"us\" }"),
        &["exactly one of"],
    );
    refused(&crash("{ pool = \"h10\" }"), &["did you mean \"h100\"?"]);
    refused(
        &crash("{ pool = \"h100\", replica = 10 }"),
        &["replica", "0 to 9"],
    );
    refused(&crash("{ pool = \"h100\", share = 0 }"), &["share"]);
    refused(
        &crash("{ pool = \"h100\", share = 0.1, replica = 1 }"),
        &["beside replica"],
    );
    refused(
        &crash("{ region = \"us\", replica = 1 }"),
        &["only goes with pool"],
    );
    refused(&crash("{ rack = \"r9\" }"), &["[[faults.racks]]"]);
    refused(
        &crash("{ population = \"phones\" }"),
        &["cannot be the target of crash"],
    );
    refused(
        &entry("kind = \"traffic_spike\"\nfactor = 2\ntarget = { pool = \"h100\" }"),
        &["cannot be the target of traffic_spike"],
    );
    refused(
        &entry("kind = \"partition\"\ntarget = { region = \"us\" }\nfrom = { region = \"us\" }"),
        &["must differ"],
    );
    refused(
        &entry("kind = \"bad_deploy\"\nshare = 0.1\nmisroute_to = \"sport\""),
        &["did you mean \"spot\"?"],
    );
}

#[test]
fn the_same_fault_twice_and_deployments_that_overlap() {
    let crash = entry("kind = \"crash\"\ntarget = { pool = \"h100\" }");
    refused(
        &format!("{crash}{crash}"),
        &["faults.timeline.1", "is the same fault as"],
    );
    let longer = crash.replace("300", "400");
    assert!(read(&format!("{crash}{longer}")).is_ok(), "crashes add up");
    let deploy = entry("kind = \"bad_deploy\"\nshare = 0.1");
    let later = deploy.replace("at_s = 120", "at_s = 400");
    refused(
        &format!("{later}{deploy}"),
        &["faults.timeline.0", "overlaps"],
    );
    let after = deploy.replace("at_s = 120", "at_s = 420");
    assert!(read(&format!("{after}{deploy}")).is_ok());
}

#[test]
fn random_faults() {
    let random = |rest: &str| format!("[[faults.random]]\nname = \"r\"\n{rest}\n");
    for (rest, parts) in [
        (
            "component = \"node\"\nmttr_s = 60",
            ["must state mtbf_h or preset"],
        ),
        ("component = \"node\"\nmtbf_h = 0\nmttr_s = 60", ["mtbf_h"]),
        (
            "component = \"node\"\nmtbf_h = 10",
            ["must state mttr or mttr_s"],
        ),
        (
            "component = \"node\"\npreset = \"gpu_h100_llama3\"\nmttr_s = 60",
            ["is a rate per GPU"],
        ),
        (
            "component = \"gpu\"\nmtbf_h = 10\nmttr_s = 60\ngroup_size = 2",
            ["group_size"],
        ),
        (
            "component = \"gpu\"\nmtbf_h = 10\nmttr_s = 60\nfault = { kind = \"dns_outage\" }",
            ["cannot come at random"],
        ),
        (
            "component = \"rack\"\nmtbf_h = 10\nmttr_s = 60",
            ["has none to fail"],
        ),
        (
            "component = \"node\"\nmtbf_h = 10\nmttr_s = 60\n\
             distribution = { law = \"weibull\", shape = 0 }",
            ["distribution.shape"],
        ),
        (
            "component = \"node\"\nmtbf_h = 10\nmttr = { law = \"exponential\", mean_ms = -1 }",
            ["mttr.mean_ms"],
        ),
    ] {
        refused(&random(rest), &parts);
    }
}
