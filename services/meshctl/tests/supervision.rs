//! `meshctl up`, `status` and `down` as a user meets them, with small stand-ins for the services.

mod stage;

use std::{fs, path::Path, process::Stdio, time::Duration};

use stage::{Stage, alive, eventually, output};

#[test]
fn a_detached_mesh_is_ready_when_up_returns_and_gone_when_down_returns() {
    let stage = Stage::new();
    let up = stage.run(&["up", "--detach"]);
    assert!(up.ok, "{}", up.all());
    assert!(up.out.contains("The mesh is ready.") && up.out.contains("/v1/embeddings"), "{}", up.out);
    let run = stage.run_file();
    assert_eq!(run["meshctl"]["state"], "ready");
    let pids = stage.pids();
    assert_eq!(pids.len(), 4, "{run:#}");
    assert!(pids.iter().all(|pid| alive(*pid)), "{run:#}");
    let status = stage.run(&["status", "--output", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), 3);
    assert!(services.iter().all(|service| service["ready"] == true), "{status:#}");
    let down = stage.run(&["down"]);
    assert!(down.ok, "{}", down.all());
    assert!(pids.iter().all(|pid| !alive(*pid)), "something is left running");
    assert!(!stage.home().join("run.json").exists());
}

#[test]
fn a_home_that_cannot_be_written_does_not_end_a_mesh_that_works() {
    let stage = Stage::new();
    stage.up();
    let worker = stage.run_file()["services"]["worker"]["pid"].as_u64().unwrap();
    // Root writes whatever the permissions say, but nobody can write a file over a folder.
    fs::create_dir(stage.home().join("run.draft")).unwrap();
    stage::kill("-KILL", worker);
    let log = || fs::read_to_string(stage.home().join("logs/meshctl.log")).unwrap();
    eventually("the trouble is reported", || log().contains("\"event\":\"trouble\""));
    fs::remove_dir(stage.home().join("run.draft")).unwrap();
    eventually("the file is written after all", || stage.run_file()["services"]["worker"]["restarts"] == 1);
    eventually("the worker is ready again", || stage.run_file()["services"]["worker"]["ready"] == true);
    assert_eq!(log().matches("\"event\":\"trouble\"").count(), 1);
}

#[test]
fn services_stop_in_the_order_in_which_calls_flow() {
    let stage = Stage::new().with("FAKE_GATEWAY", "slow").with("FAKE_ROUTER", "slow");
    stage.up();
    assert!(stage.run(&["down"]).ok);
    let story = stage.story();
    let order: Vec<_> = story.iter().filter(|line| !line.ends_with("listens")).map(String::as_str).collect();
    let want = ["gateway terminated", "gateway ended", "router terminated", "router ended", "worker terminated", "worker ended"];
    assert_eq!(order, want);
}

#[test]
fn down_is_fine_when_nothing_runs_and_twice() {
    let stage = Stage::new();
    assert!(stage.run(&["down"]).ok);
    stage.up();
    assert!(stage.run(&["down"]).ok && stage.run(&["down"]).ok);
}

#[test]
fn a_second_up_says_that_a_mesh_is_running_and_disturbs_nothing() {
    let stage = Stage::new();
    stage.up();
    let before = stage.run_file();
    let foreground = stage.run(&["up"]);
    assert!(
        !foreground.ok && foreground.err.contains("already running") && foreground.err.contains("meshctl down"),
        "{}",
        foreground.all()
    );
    let background = stage.run(&["up", "--detach"]);
    assert!(background.ok && background.err.contains("already running"), "{}", background.all());
    assert_eq!(stage.run_file(), before);
}

#[test]
fn only_ready_instances_are_in_the_discovery_file() {
    let stage = Stage::new();
    stage.up_with(&["--workers", "2"]);
    let run = stage.run_file();
    let discovery = stage.discovery();
    for name in ["router", "worker-1", "worker-2"] {
        let address = run["services"][name]["addresses"]["main"].as_str().unwrap();
        assert!(discovery.contains(address), "{name} at {address} is missing in:\n{discovery}");
    }
    assert!(!discovery.contains(run["services"]["gateway"]["addresses"]["main"].as_str().unwrap()));
}

#[test]
fn a_killed_worker_comes_back_and_is_out_of_the_discovery_file_meanwhile() {
    let stage = Stage::new();
    stage.up_with(&["--workers", "2"]);
    let before = stage.run_file()["services"]["worker-1"].clone();
    let address = before["addresses"]["main"].as_str().unwrap();
    let pid = before["pid"].as_u64().unwrap();
    stage::kill("-KILL", pid);
    eventually("the dead worker leaves the discovery file", || !stage.discovery().contains(address));
    // The discovery file is written first: for a moment the other one still speaks of the dead process.
    eventually("another worker is ready", || {
        let worker = &stage.run_file()["services"]["worker-1"];
        worker["pid"].as_u64() != Some(pid) && worker["ready"] == true
    });
    let after = &stage.run_file()["services"]["worker-1"];
    assert_ne!(after["pid"].as_u64(), Some(pid));
    assert_eq!(after["restarts"], 1);
    assert!(stage.discovery().contains(after["addresses"]["main"].as_str().unwrap()));
    let log = fs::read_to_string(stage.home().join("logs/meshctl.log")).unwrap();
    assert!(log.contains("\"event\":\"exited\"") && log.contains("signal: 9"), "{log}");
}

#[test]
fn when_meshctl_is_killed_its_services_end_too_and_the_file_left_behind_is_recognised() {
    let stage = Stage::new();
    stage.up();
    let pids = stage.pids();
    stage::kill("-KILL", stage.run_file()["meshctl"]["pid"].as_u64().unwrap());
    eventually("every process ends", || pids.iter().all(|pid| !alive(*pid)));
    assert!(stage.home().join("run.json").exists(), "nobody was left to remove it");
    let status = stage.run(&["status"]);
    assert!(status.code == 69 && status.err.contains("no mesh is running"), "{}", status.all());
    assert!(stage.run(&["up", "--detach"]).ok);
}

#[test]
fn down_ends_services_that_survived_their_meshctl() {
    let stage = Stage::new().with("FAKE_WORKER", "stubborn");
    stage.up();
    let worker = stage.run_file()["services"]["worker"]["pid"].as_u64().unwrap();
    let meshctl = stage.run_file()["meshctl"]["pid"].as_u64().unwrap();
    stage::kill("-KILL", meshctl);
    eventually("meshctl is gone", || !alive(meshctl));
    assert!(alive(worker));
    let down = stage.run(&["down", "--now"]);
    assert!(down.ok && down.out.contains("left behind"), "{}", down.all());
    assert!(!alive(worker));
}

#[test]
fn down_now_does_not_wait_for_a_service_that_takes_its_time() {
    let stage = Stage::new().with("FAKE_WORKER", "stubborn");
    stage.up();
    let worker = stage.run_file()["services"]["worker"]["pid"].as_u64().unwrap();
    assert!(stage.run(&["down", "--now"]).ok);
    assert!(!alive(worker));
}

#[test]
fn interrupting_the_foreground_drains_everything() {
    let stage = Stage::new();
    let mut up = stage.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the mesh is up", || stage.state() == "ready");
    let pids = stage.pids();
    stage::kill("-INT", u64::from(up.id()));
    let status = up.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert_eq!(stage.story().last().unwrap(), "worker ended");
}

#[test]
fn wrong_settings_of_every_service_are_reported_before_anything_starts() {
    let stage = Stage::new().with("FAKE_GATEWAY", "unchecked").with("FAKE_WORKER", "unchecked");
    let up = stage.run(&["up", "--detach"]);
    assert_eq!(up.code, 64, "{}", up.all());
    assert!(up.err.contains("torchmesh-gateway: 1 mistake") && up.err.contains("torchmesh-worker: 1 mistake"), "{}", up.err);
    assert!(stage.story().is_empty());
}

#[test]
fn a_service_that_cannot_start_fails_the_start_with_the_end_of_its_log() {
    let stage = Stage::new().with("FAKE_WORKER", "exit64");
    let up = stage.run(&["up", "--detach"]);
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(up.err.contains("the worker does not start") && up.err.contains("a setting is wrong"), "{}", up.err);
    assert!(!stage.home().join("run.json").exists());
}

#[test]
fn a_service_that_keeps_crashing_at_the_start_is_given_up() {
    let stage = Stage::new().with("FAKE_ROUTER", "crash");
    let up = stage.run(&["up", "--detach"]);
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(up.err.contains("the router does not start") && up.err.contains("it does not work"), "{}", up.err);
}

#[test]
fn a_mesh_that_does_not_get_ready_in_time_says_who_it_waited_for() {
    let stage = Stage::new().with("FAKE_WORKER", "deaf");
    let up = stage.run(&["up", "--detach", "--timeout", "2s"]);
    assert_eq!(up.code, 69, "{}", up.all());
    assert!(up.err.contains("not ready within 2 s: worker"), "{}", up.err);
    assert!(!stage.home().join("run.json").exists());
}

#[test]
fn a_port_in_use_is_named_together_with_its_setting() {
    let stage = Stage::new();
    let squatter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = squatter.local_addr().unwrap().to_string();
    let up = output(stage.command(&["up", "--detach"]).env("TORCHMESH_GATEWAY_ADDR", &address));
    assert_eq!(up.code, 69, "{}", up.all());
    assert!(up.err.contains(&format!("{address} is in use")) && up.err.contains("TORCHMESH_GATEWAY_ADDR"), "{}", up.err);
}

#[test]
fn programs_that_are_not_built_are_named() {
    let stage = Stage::new();
    fs::remove_file(stage.bin_dir().join("torchmesh-worker")).unwrap();
    let up = stage.run(&["up", "--detach"]);
    assert!(!up.ok && up.err.contains("torchmesh-worker") && up.err.contains("make build"), "{}", up.all());
}

#[test]
fn a_mesh_without_a_model_is_not_started() {
    let stage = Stage::new();
    fs::remove_dir_all(stage.home().join("models/sample")).unwrap();
    let up = stage.run(&["up", "--detach"]);
    assert!(!up.ok && up.err.contains("no model in") && up.err.contains("make setup"), "{}", up.all());
}

#[test]
fn the_caller_of_a_detached_up_is_not_held_by_the_mesh() {
    // `output()` returns when every holder of the pipes is gone; a service that had inherited one would keep it open.
    let stage = Stage::new();
    let shell = format!("{} up --detach | cat", env!("CARGO_BIN_EXE_meshctl"));
    let up = output(stage.program("sh").args(["-c", &shell]));
    assert!(up.ok && up.out.contains("The mesh is ready."), "{}", up.all());
}

#[test]
fn the_key_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    stage.up();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&stage.home().join("dev.key")), 0o600);
    let key = fs::read_to_string(stage.home().join("dev.key")).unwrap();
    for entry in fs::read_dir(stage.home().join("logs")).unwrap() {
        let log = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!log.contains(key.trim()));
    }
}

#[test]
fn json_output_is_one_value_whatever_happens() {
    let stage = Stage::new();
    let failed = stage.run(&["status", "--output", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&failed.out).unwrap()["code"], 69);
    let up = stage.run(&["up", "--detach", "--output", "json"]);
    let value: serde_json::Value = serde_json::from_str(&up.out).unwrap();
    assert_eq!(value["gateway"], format!("http://{}", stage.run_file()["services"]["gateway"]["addresses"]["main"].as_str().unwrap()));
    let down = stage.run(&["down", "--output", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&down.out).unwrap()["was_running"], true);
}

#[test]
fn a_call_without_a_mesh_says_how_to_start_one() {
    let stage = Stage::new();
    fs::write(stage.home().join("dev.key"), "tm_dev_x").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let embed = stage.run(&["embed", "hello", "--gateway", &format!("127.0.0.1:{port}")]);
    assert!(embed.code == 69 && embed.err.contains("meshctl up --detach"), "{}", embed.all());
    assert!(stage.took() < Duration::from_secs(20));
}
