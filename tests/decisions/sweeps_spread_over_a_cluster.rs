//! The manifests shipped for clusters run every part of a sweep once, by the very command lines in
//! them, and the parts merge to what one machine finds.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::sweeps;

use std::path::Path;
use std::process::{Command, Output};

use sweeps::{EXPERIMENT, fine, folder, same, seatrial, shipped};
use yaml_rust2::{Yaml, YamlLoader};

fn whole(here: &Path) {
    fine(here, &["sweep", "e.toml", "--out", "whole"]);
}

#[test]
fn the_slurm_array_runs_every_part() {
    let dir = folder(EXPERIMENT);
    let here = dir.path();
    whole(here);
    for task in 0..4 {
        let output = slurm_task(here, "4", task, 4);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "task {task}: {errors}");
    }
    fine(here, &["merge", "out"]);
    same(&here.join("whole"), &here.join("out"));
}

/// A task of an array of so many, of a sweep in so many parts.
fn slurm_task(here: &Path, shards: &str, task: u32, tasks: u32) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_seatrial")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command
        .arg(shipped("experiments/cluster/slurm-array.sh"))
        .args(["e.toml", "out"])
        .current_dir(here)
        .env("PATH", &path)
        .env("SHARDS", shards)
        .env("SLURM_ARRAY_TASK_ID", task.to_string())
        .env("SLURM_ARRAY_TASK_MIN", task.to_string())
        .env("SLURM_ARRAY_TASK_COUNT", tasks.to_string())
        .env("SLURM_CPUS_PER_TASK", "2");
    command.output().unwrap()
}

#[test]
fn a_slurm_task_that_is_run_again_runs_its_part_alone() {
    let dir = folder(EXPERIMENT);
    let here = dir.path();
    // `sbatch --array=1`: one task, whatever the sweep has.
    let output = slurm_task(here, "4", 1, 1);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("shard 1/4: 3 of 3 points done"), "{said}");
    let output = slurm_task(here, "4", 4, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("none of 0 to 3"), "{errors}");
    assert_eq!(slurm_task(here, "many", 0, 1).status.code(), Some(2));
}

#[test]
fn the_image_of_the_kubernetes_job_is_the_one_that_its_dockerfile_makes() {
    let read = |name: &str| std::fs::read_to_string(shipped(name)).unwrap();
    let image = concat!("seatrial:", env!("CARGO_PKG_VERSION"));
    let job = read("experiments/cluster/kubernetes-indexed-job.yaml");
    assert!(job.contains(&format!("image: {image}\n")), "{job}");
    let made = read("experiments/cluster/Dockerfile");
    assert!(made.contains(&format!("--tag {image} ")), "{made}");
}

/// The value at a path of keys.
fn at<'a>(yaml: &'a Yaml, path: &[&str]) -> &'a Yaml {
    path.iter().fold(yaml, |yaml, key| &yaml[*key])
}

#[test]
fn the_kubernetes_job_runs_every_part() {
    let dir = folder(EXPERIMENT);
    let here = dir.path();
    whole(here);
    let text = std::fs::read_to_string(shipped("experiments/cluster/kubernetes-indexed-job.yaml"));
    let documents = YamlLoader::load_from_str(&text.unwrap()).unwrap();
    let [job] = &documents[..] else {
        panic!("{} documents", documents.len());
    };
    assert_eq!(job["apiVersion"].as_str(), Some("batch/v1"));
    assert_eq!(job["kind"].as_str(), Some("Job"));
    assert_eq!(
        at(job, &["spec", "completionMode"]).as_str(),
        Some("Indexed")
    );
    let pod = at(job, &["spec", "template", "spec"]);
    // What `backoffLimitPerIndex` asks for.
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"));
    let container = &pod["containers"][0];
    assert_eq!(container["command"][0].as_str(), Some("seatrial"));
    let mounts: Vec<&str> = container["volumeMounts"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|mount| mount["name"].as_str().unwrap())
        .collect();
    assert_eq!(mounts, [pod["volumes"][0]["name"].as_str().unwrap()]);
    let index = container["env"][0]["name"].as_str().unwrap();
    let arguments: Vec<&str> = container["args"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap())
        .collect();
    let completions = at(job, &["spec", "completions"]).as_i64().unwrap();
    for part in 0..completions {
        let mut own: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace(&format!("$({index})"), &part.to_string()))
            .collect();
        assert!(
            own.iter().all(|argument| !argument.contains("$(")),
            "{own:?}"
        );
        for argument in &mut own {
            *argument = argument
                .replace("/sweep/experiment.toml", "e.toml")
                .replace("/sweep/", "");
        }
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let output = seatrial(here, &own);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{own:?}: {errors}");
    }
    fine(here, &["merge", "out"]);
    same(&here.join("whole"), &here.join("out"));
}
